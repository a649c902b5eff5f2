//! The server on real sockets, as root. Each test is a host of its own, with one container.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use domain::base::iana::{Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name, Ttl};
use domain::rdata::A;
use nix::sched::{CloneFlags, setns, unshare};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

use super::source::Names;
use super::table::{Member, Network, Table};
use super::upstream::Upstream;
use super::{Dns, Settings};

const PATIENCE: Duration = Duration::from_secs(20);
/// Where the server is found.
const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(127, 0, 0, 11), 53);

struct Fixed(Table);

impl Names for Fixed {
    fn table(&mut self) -> Option<&Table> {
        Some(&self.0)
    }

    fn forget(&mut self) {}
}

fn table(internal: bool) -> Table {
    let mut network = Network::new("net", internal);
    let member = |name: &str, others: &[&str], last| Member {
        name: name.to_owned(),
        others: others.iter().map(ToString::to_string).collect(),
        ipv4: Some(Ipv4Addr::new(10, 77, 0, last)),
        ipv6: None,
    };
    network.add(member("one", &["web"], 2));
    for number in 3..200 {
        network.add(member(&format!("c{number}"), &["crowd"], number));
    }
    Table::new(vec![network])
}

/// Returns a fresh network namespace, with its loopback up.
fn namespace() -> File {
    let make = || {
        unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root");
        crate::network::loopback_up().unwrap();
        File::open("/proc/thread-self/ns/net").unwrap()
    };
    std::thread::spawn(make).join().unwrap()
}

fn enter(namespace: &File) {
    setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
}

/// Runs a server whose upstreams these are, and clients in its container meanwhile.
fn serve(
    container: &File,
    host: &File,
    upstreams: Vec<Upstream>,
    internal: bool,
    clients: impl FnOnce() + Send,
) {
    let done = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (ready, started) = std::sync::mpsc::channel();
        let server = scope.spawn(move || {
            enter(host);
            let names = Box::new(Fixed(table(internal)));
            let settings = Settings { names, upstreams, keeps_plain: false };
            let mut dns = Dns::start(container.try_clone().unwrap().into(), settings).unwrap();
            ready.send(()).unwrap();
            let mut buffer = vec![0; 32 * 1024];
            while !done.load(Ordering::Relaxed) {
                let wait = Timespec::try_from(Duration::from_millis(20)).unwrap();
                let fd = dns.fd();
                let mut fds = [PollFd::new(&fd, PollFlags::IN)];
                if poll(&mut fds, Some(&wait)).unwrap() > 0 {
                    let begin = Instant::now();
                    dns.serve(&mut buffer);
                    let took = begin.elapsed();
                    assert!(took < Duration::from_secs(1), "it waited for {took:?}");
                }
            }
            assert!(dns.flights.is_empty(), "queries are left: {:?}", dns.flights);
        });
        started.recv().unwrap();
        let client = scope.spawn(move || {
            enter(container);
            clients();
        });
        let result = client.join();
        done.store(true, Ordering::Relaxed);
        server.join().unwrap();
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

fn query(id: u16, name: &str, kind: Rtype) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(id);
    builder.header_mut().set_rd(true);
    let mut builder = builder.question();
    builder.push((Name::vec_from_str(name).unwrap(), kind)).unwrap();
    builder.finish()
}

fn client() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(SERVER).unwrap();
    socket
}

fn receive(socket: &UdpSocket) -> Message<Vec<u8>> {
    let mut buffer = [0; 65536];
    let length = socket.recv(&mut buffer).unwrap();
    Message::from_octets(buffer[..length].to_vec()).unwrap()
}

#[track_caller]
fn ask(name: &str) -> (Rcode, Vec<String>) {
    let socket = client();
    let query = query(7, name, Rtype::A);
    socket.send(&query).unwrap();
    let message = receive(&socket);
    assert!(message.is_answer(Message::from_slice(&query).unwrap()));
    found(&message)
}

/// Asks as a resolver does whose question the kernel may have dropped: again after a while.
fn ask_until_heard(name: &str) -> (Rcode, Vec<String>) {
    let socket = client();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let over = Instant::now() + PATIENCE;
    let mut buffer = [0; 512];
    loop {
        socket.send(&query(8, name, Rtype::A)).unwrap();
        match socket.recv(&mut buffer) {
            Ok(length) => return found(&Message::from_octets(buffer[..length].to_vec()).unwrap()),
            Err(error) => assert!(Instant::now() < over, "{error}"),
        }
    }
}

fn found(message: &Message<Vec<u8>>) -> (Rcode, Vec<String>) {
    let records = message.answer().unwrap().limit_to::<A>();
    let addresses = records.map(|record| record.unwrap().data().addr().to_string()).collect();
    (message.header().rcode(), addresses)
}

fn connect() -> TcpStream {
    let stream = TcpStream::connect(SERVER).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn frame(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
}

fn read_frame(stream: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message)?;
    Ok(message)
}

fn ask_tcp(stream: &mut TcpStream, name: &str) -> (Rcode, Vec<String>) {
    stream.write_all(&frame(&query(9, name, Rtype::A))).unwrap();
    found(&Message::from_octets(read_frame(stream).unwrap()).unwrap())
}

/// How an upstream server behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    /// It answers with this address.
    Answers(u8),
    /// It says over UDP that the answer doesn't fit, and has 1,000 addresses over TCP.
    Cuts,
    /// It hears everything and says nothing.
    Silent,
    /// It answers with this code.
    Refuses(Rcode),
    /// Others answer first: with another id, with another question, with noise.
    Spoofed,
}

/// An upstream server.
struct Server {
    address: SocketAddr,
    heard: &'static AtomicUsize,
}

impl Server {
    /// Starts one at an address of a namespace's loopback.
    fn start(namespace: &File, last: u8, manner: Manner) -> Self {
        let namespace = namespace.try_clone().unwrap();
        let heard: &'static AtomicUsize = Box::leak(Box::new(AtomicUsize::new(0)));
        let bind = move || {
            enter(&namespace);
            let udp = UdpSocket::bind((Ipv4Addr::new(127, 0, 1, last), 0)).unwrap();
            let tcp = TcpListener::bind(udp.local_addr().unwrap()).unwrap();
            (udp, tcp)
        };
        let (udp, tcp) = std::thread::spawn(bind).join().unwrap();
        let address = udp.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, from)) = udp.recv_from(&mut buffer) {
                heard.fetch_add(1, Ordering::Relaxed);
                for answer in answers(manner, &buffer[..length], false) {
                    udp.send_to(&answer, from).unwrap();
                }
            }
        });
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = tcp.accept() {
                while let Ok(query) = read_frame(&mut stream) {
                    heard.fetch_add(1, Ordering::Relaxed);
                    for answer in answers(manner, &query, true) {
                        // In pieces, as it may come from afar.
                        for piece in frame(&answer).chunks(1000) {
                            stream.write_all(piece).unwrap();
                        }
                    }
                }
            }
        });
        Self { address, heard }
    }

    fn upstream(&self, from_host: bool) -> Upstream {
        Upstream { address: self.address, from_host }
    }

    fn heard(&self) -> usize {
        self.heard.load(Ordering::Relaxed)
    }
}

fn answers(manner: Manner, query: &[u8], tcp: bool) -> Vec<Vec<u8>> {
    let query = Message::from_slice(query).unwrap();
    let name = query.first_question().unwrap().into_qname();
    let make = |code, count: u16, last: u8| {
        let mut builder = MessageBuilder::new_vec().start_answer(query, code).unwrap();
        for number in 0..count {
            let [high, low] = number.to_be_bytes();
            let data = A::new(Ipv4Addr::new(198, 51, high, low.wrapping_add(last)));
            builder.push((&name, Ttl::from_secs(1), data)).unwrap();
        }
        builder.header_mut().set_tc(false);
        builder.finish()
    };
    match manner {
        Manner::Answers(last) => vec![make(Rcode::NOERROR, 1, last)],
        Manner::Cuts if tcp => vec![make(Rcode::NOERROR, 1000, 0)],
        Manner::Cuts => {
            let mut cut = make(Rcode::NOERROR, 1, 0);
            cut[2] |= 2;
            vec![cut]
        }
        Manner::Silent => vec![],
        Manner::Refuses(code) => vec![make(code, 0, 0)],
        Manner::Spoofed => {
            let right = make(Rcode::NOERROR, 1, 9);
            let (mut other_id, mut other_name) = (right.clone(), right.clone());
            other_id[1] ^= 0xff;
            other_name[13] ^= 1;
            vec![other_id, other_name, vec![1, 2, 3], vec![], right]
        }
    }
}

fn ok(addresses: &[&str]) -> (Rcode, Vec<String>) {
    (Rcode::NOERROR, addresses.iter().map(ToString::to_string).collect())
}

#[test]
fn clients_are_answered_over_udp_and_tcp() {
    let (host, container) = (namespace(), namespace());
    serve(&container, &host, vec![], false, || {
        assert_eq!(ask("one"), ok(&["10.77.0.2"]));
        assert_eq!(ask("WEB.net"), ok(&["10.77.0.2"]));
        // There is nobody to ask about others.
        assert_eq!(ask("example.org").0, Rcode::SERVFAIL);

        let mut stream = connect();
        assert_eq!(ask_tcp(&mut stream, "one"), ok(&["10.77.0.2"]));
        assert_eq!(ask_tcp(&mut stream, "crowd").1.len(), 197);
        assert_eq!(ask_tcp(&mut stream, "example.org").0, Rcode::SERVFAIL);
        // Many at once, cut anywhere, and no more after them.
        let names = ["one", "example.org", "web", "crowd"];
        let all: Vec<u8> = (0_u16..200)
            .flat_map(|id| frame(&query(id, names[usize::from(id) % 4], Rtype::A)))
            .collect();
        let mut writer = stream.try_clone().unwrap();
        let writing = std::thread::spawn(move || {
            for piece in all.chunks(7) {
                writer.write_all(piece).unwrap();
            }
            writer.shutdown(std::net::Shutdown::Write).unwrap();
        });
        for id in 0..200 {
            let message = Message::from_octets(read_frame(&mut stream).unwrap()).unwrap();
            assert_eq!(message.header().id(), id);
            let expected = [1, 0, 1, 197][usize::from(id) % 4];
            assert_eq!(found(&message).1.len(), expected);
        }
        writing.join().unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "and then it closes");
    });
}

#[test]
fn a_container_may_listen_on_port_53_of_all_addresses_itself() {
    let (host, container) = (namespace(), namespace());
    serve(&container, &host, vec![], false, || {
        let _tcp = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 53)).unwrap();
        let udp = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 53)).unwrap();
        assert_eq!(ask("one"), ok(&["10.77.0.2"]));
        assert_eq!(ask_tcp(&mut connect(), "one"), ok(&["10.77.0.2"]));
        // What is meant for it gets there.
        let other = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        other.send_to(b"hello", (Ipv4Addr::LOCALHOST, 53)).unwrap();
        let mut buffer = [0; 16];
        assert_eq!(udp.recv(&mut buffer).unwrap(), 5);
    });
}

#[test]
fn other_names_are_forwarded_from_the_right_network() {
    let (host, container) = (namespace(), namespace());
    let near = Server::start(&container, 1, Manner::Answers(1));
    let far = Server::start(&host, 1, Manner::Answers(2));
    // Both at 127.0.1.1, in different networks.
    for (server, from_host, expected) in [(&near, false, "198.51.0.1"), (&far, true, "198.51.0.2")]
    {
        serve(&container, &host, vec![server.upstream(from_host)], false, || {
            assert_eq!(ask("example.org"), ok(&[expected]));
            let mut stream = connect();
            assert_eq!(ask_tcp(&mut stream, "example.org"), ok(&[expected]));
            assert_eq!(ask_tcp(&mut stream, "one"), ok(&["10.77.0.2"]));
        });
        assert_eq!(server.heard(), 2);
    }
    serve(&container, &host, vec![near.upstream(false)], true, || {
        assert_eq!(ask("example.org").0, Rcode::SERVFAIL);
        assert_eq!(ask("one"), ok(&["10.77.0.2"]));
    });
    assert_eq!(near.heard(), 2, "nothing leaves an internal network");
}

#[test]
fn an_answer_that_does_not_fit_is_asked_for_again_over_tcp() {
    let (host, container) = (namespace(), namespace());
    let server = Server::start(&container, 1, Manner::Cuts);
    serve(&container, &host, vec![server.upstream(false)], false, || {
        let socket = client();
        socket.send(&query(7, "example.org", Rtype::A)).unwrap();
        assert!(receive(&socket).header().tc());
        assert_eq!(ask_tcp(&mut connect(), "example.org").1.len(), 1000);
    });
}

#[test]
fn the_next_server_is_asked_when_one_is_silent_gone_or_refuses() {
    let (host, container) = (namespace(), namespace());
    let good = Server::start(&container, 1, Manner::Answers(1));
    let silent = Server::start(&container, 2, Manner::Silent);
    let refusing = Server::start(&container, 3, Manner::Refuses(Rcode::REFUSED));
    let missing = Server::start(&container, 4, Manner::Refuses(Rcode::NXDOMAIN));
    let gone = Upstream { address: ([127, 0, 1, 9], 53).into(), from_host: false };
    let nowhere = Upstream { address: ([192, 0, 2, 1], 53).into(), from_host: false };
    let (good, silent) = (good.upstream(false), silent);
    let expected = ok(&["198.51.0.1"]);
    for first in [gone, nowhere, refusing.upstream(false)] {
        serve(&container, &host, vec![first, good], false, || {
            let begin = Instant::now();
            assert_eq!(ask("example.org"), expected);
            assert_eq!(ask_tcp(&mut connect(), "example.org"), expected);
            assert!(begin.elapsed() < Duration::from_secs(2), "nothing had to be waited for");
        });
    }
    serve(&container, &host, vec![silent.upstream(false), good], false, || {
        let begin = Instant::now();
        assert_eq!(ask("example.org"), expected);
        assert!(begin.elapsed() < Duration::from_secs(5), "before the client asks again");
        // It is known by now.
        let begin = Instant::now();
        assert_eq!(ask("example.org"), expected);
        assert!(begin.elapsed() < Duration::from_secs(1));
        assert_eq!(silent.heard(), 1);
    });
    // That there is no such name is an answer.
    serve(&container, &host, vec![missing.upstream(false), good], false, || {
        assert_eq!(ask("example.org").0, Rcode::NXDOMAIN);
    });
    serve(&container, &host, vec![gone, refusing.upstream(false)], false, || {
        assert_eq!(ask("example.org").0, Rcode::REFUSED, "what one of them has said");
        assert_eq!(ask_tcp(&mut connect(), "example.org").0, Rcode::REFUSED);
    });
    let lonely = Server::start(&container, 5, Manner::Silent);
    serve(&container, &host, vec![lonely.upstream(false), gone], false, || {
        assert_eq!(ask("example.org").0, Rcode::SERVFAIL);
    });
    assert_eq!(lonely.heard(), 2, "it is asked twice");
}

#[test]
fn answers_of_others_are_not_believed() {
    let (host, container) = (namespace(), namespace());
    let server = Server::start(&container, 1, Manner::Spoofed);
    serve(&container, &host, vec![server.upstream(false)], false, || {
        assert_eq!(ask("example.org"), ok(&["198.51.0.9"]));
    });
}

#[test]
fn a_query_that_is_sent_again_is_asked_once() {
    let (host, container) = (namespace(), namespace());
    let server = Server::start(&container, 1, Manner::Silent);
    serve(&container, &host, vec![server.upstream(false)], false, || {
        let socket = client();
        let query = query(7, "example.org", Rtype::A);
        for _ in 0..10 {
            socket.send(&query).unwrap();
        }
        assert_eq!(receive(&socket).header().rcode(), Rcode::SERVFAIL);
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        assert!(socket.recv(&mut [0; 512]).is_err(), "one answer");
    });
    assert_eq!(server.heard(), 2);
}

#[test]
fn a_flood_is_bounded_and_leaves_others_their_answers() {
    let (host, container) = (namespace(), namespace());
    let server = Server::start(&container, 1, Manner::Silent);
    serve(&container, &host, vec![server.upstream(false)], false, || {
        let flooder = client();
        let name = |id: u16| format!("n{id}.example");
        for id in 0..2000 {
            flooder.send(&query(id, &name(id), Rtype::A)).unwrap();
        }
        flooder.send(&[0xff; 60000]).unwrap();
        assert_eq!(ask_until_heard("one"), ok(&["10.77.0.2"]));
        // Connections that say nothing, and one that says too much.
        let silent: Vec<TcpStream> = (0..64).map(|_| connect()).collect();
        let mut loud = connect();
        loud.write_all(&[0xff; 100]).unwrap();
        let said = loud.read(&mut [0; 8]);
        assert!(said.is_err() || said.is_ok_and(|length| length == 0), "it is closed");
        assert_eq!(ask_tcp(&mut connect(), "one"), ok(&["10.77.0.2"]));
        drop(silent);
        // All are told in the end: the first of them that there was no room.
        flooder.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(receive(&flooder).header().rcode(), Rcode::SERVFAIL);
        // Of the two thousand no more than had room were asked for, twice each; nothing is left under
        // way when they are over.
        let over = Instant::now() + PATIENCE;
        while server.heard() < 512 && Instant::now() < over {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(2500));
        assert_eq!(ask("example.org").0, Rcode::SERVFAIL, "and there is room again");
        assert_eq!(server.heard(), 514);
    });
}
