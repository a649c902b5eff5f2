//! Hosts for tests: network namespaces joined by links, of which the machine's own links know nothing,
//! and servers and clients in them.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::harness::{Lab, PATIENCE, busybox, eventually};

/// How long a connection may take of which nothing is to come.
pub(crate) const SHORT: Duration = Duration::from_millis(700);

/// A host of its own: a network namespace that a process holds.
pub(crate) struct Host {
    holder: Child,
}

impl Host {
    /// Returns a host with a loopback and nothing else.
    pub(crate) fn new() -> Self {
        let mut command = Command::new(busybox());
        command.args(["unshare", "-n", "sleep", "100000"]);
        let host = Self { holder: command.stdin(Stdio::null()).spawn().unwrap() };
        let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        let pid = host.holder.id().to_string();
        eventually("it has its namespace", || namespace(&pid) != namespace("self"));
        host.ip("link set lo up");
        host
    }

    /// Returns the file of its network namespace.
    pub(crate) fn file(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }

    /// Returns an engine that runs on this host, with the usual image.
    pub(crate) fn lab(&self) -> Lab {
        Lab::new().on(self)
    }

    /// Returns a command that runs on this host.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.file())).args(words);
        command
    }

    /// Runs busybox' `ip` on this host.
    #[track_caller]
    pub(crate) fn ip(&self, line: &str) -> String {
        let busybox = busybox();
        let mut words = vec![busybox.to_str().unwrap(), "ip"];
        words.extend(line.split(' '));
        succeed(&mut self.command(&words))
    }

    /// Joins this host and another by a link, with these addresses (`192.0.2.1/24`) on its ends.
    pub(crate) fn join(&self, own: &[&str], other: &Self, others: &[&str]) {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let near = format!("up{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let names = || -> Vec<String> {
            let text = self.ip("-o link");
            let name = |line: &str| line.split(": ").nth(1).map(str::to_owned);
            let names = text.lines().filter_map(name);
            names.map(|name| name.split('@').next().unwrap().to_owned()).collect()
        };
        let before = names();
        self.ip(&format!("link add {near} type veth"));
        // Some busyboxes name the other end as they like.
        let far = names().into_iter().find(|name| *name != near && !before.contains(name)).unwrap();
        self.ip(&format!("link set {far} netns {}", other.holder.id()));
        for (host, link, addresses) in [(self, &near, own), (other, &far, others)] {
            host.ip(&format!("link set {link} up"));
            for address in addresses {
                host.ip(&format!("addr add {address} dev {link}"));
            }
        }
    }

    /// Tries to reach a TCP server from this host; returns what it said.
    pub(crate) fn ask(&self, server: &str) -> io::Result<String> {
        ask(&self.file(), server, *PATIENCE)
    }

    /// Asserts that nothing answers there, and nothing refuses either.
    #[track_caller]
    pub(crate) fn reaches_nobody(&self, server: &str) {
        let error = ask(&self.file(), server, SHORT).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{server}: {error}");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

impl Lab {
    /// Returns the same engine, all of whose commands run on this host.
    pub(crate) fn on(self, host: &Host) -> Self {
        self.in_network(&format!("--net={}", host.file()))
    }
}

/// Runs a program that must succeed; returns its output.
#[track_caller]
pub(crate) fn succeed(command: &mut Command) -> String {
    let out = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// Returns the file of a container's network namespace.
pub(crate) fn network_of(lab: &Lab, container: &str) -> String {
    format!("/proc/{}/ns/net", lab.pid(container))
}

/// Runs `work` on a thread in this network namespace.
#[track_caller]
pub(crate) fn within<T: Send>(namespace: &str, work: impl FnOnce() -> T + Send) -> T {
    let file = File::open(namespace).unwrap();
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            move_into_link_name_space(
                std::os::fd::AsFd::as_fd(&file),
                Some(LinkNameSpaceType::Network),
            )
            .unwrap();
            work()
        });
        crate::harness::joined(thread)
    })
}

/// Connects to a TCP server from a network namespace, and returns what it says until it closes.
pub(crate) fn ask(namespace: &str, server: &str, patience: Duration) -> io::Result<String> {
    let server: SocketAddr = server.parse().unwrap();
    within(namespace, || {
        let mut stream = TcpStream::connect_timeout(&server, patience)?;
        stream.set_read_timeout(Some(*PATIENCE))?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    })
}

/// Sends a datagram from a network namespace until an answer comes, and returns that.
pub(crate) fn ask_udp(namespace: &str, server: &str) -> io::Result<String> {
    let server: SocketAddr = server.parse().unwrap();
    within(namespace, || {
        let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any)?;
        socket.connect(server)?;
        ask_again(&socket)
    })
}

/// Sends datagrams until an answer comes, and returns that.
pub(crate) fn ask_again(socket: &UdpSocket) -> io::Result<String> {
    socket.set_read_timeout(Some(Duration::from_millis(300)))?;
    let deadline = Instant::now() + *PATIENCE;
    loop {
        // The refusal of an earlier one may be told here.
        let _ = socket.send(b"who am I?");
        let mut buffer = [0; 2048];
        match socket.recv(&mut buffer) {
            Ok(length) => return Ok(String::from_utf8_lossy(&buffer[..length]).into_owned()),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => {}
        }
    }
}

/// A server in a network namespace that tells each client its address, and by which name it calls
/// itself. Dropping it ends it.
pub(crate) struct Server {
    ending: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Serves TCP and UDP on a port, on all addresses of both families.
    pub(crate) fn new(namespace: &str, port: u16, name: &str) -> Self {
        let ending = Arc::new(AtomicBool::new(false));
        let tick = Some(Duration::from_millis(50));
        let (tcp, udp) = within(namespace, || {
            (TcpListener::bind(("::", port)).unwrap(), UdpSocket::bind(("::", port)).unwrap())
        });
        tcp.set_nonblocking(true).unwrap();
        udp.set_read_timeout(tick).unwrap();
        let mut threads = Vec::new();
        let (over, said) = (Arc::clone(&ending), name.to_owned());
        threads.push(std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                match tcp.accept() {
                    Ok((mut stream, from)) => {
                        // Who has gone needs no answer.
                        let _ = write!(stream, "{said} {}", plain(from.ip()));
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        }));
        let (over, said) = (Arc::clone(&ending), name.to_owned());
        threads.push(std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !over.load(Ordering::Relaxed) {
                if let Ok((_, from)) = udp.recv_from(&mut buffer) {
                    let _ = udp.send_to(format!("{said} {}", plain(from.ip())).as_bytes(), from);
                }
            }
        }));
        Self { ending, threads }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Returns an IPv4 address that came in an IPv6 one.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}
