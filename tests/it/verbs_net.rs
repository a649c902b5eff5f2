//! Networks: none, host, the default bridge.

use std::io::Write;
use std::process::{Child, Command, Stdio};

use crate::harness::{IMAGE, Lab, Test, busybox, eventually};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![none, host, bridge_address, bridge_between_containers, bridge_to_the_outside, files]
}

fn none() {
    let lab = Lab::new();
    assert_eq!(lab.shell(&[], "ls /sys/class/net"), "lo");
    assert_eq!(lab.shell(&[], "cat /sys/class/net/lo/operstate"), "unknown", "it is up");
    lab.fails(
        125,
        "wharf-no-such-network",
        &["run", "--rm", "--network", "wharf-no-such-network", IMAGE, "true"],
    );
}

fn host() {
    let lab = Lab::new();
    let inside =
        lab.ok(&["run", "--rm", "--network", "host", IMAGE, "readlink", "/proc/self/ns/net"]);
    let outside = std::fs::read_link("/proc/self/ns/net").unwrap();
    assert_eq!(inside, outside.to_str().unwrap());
}

fn bridge_address() {
    let lab = Lab::new();
    let id = lab.ok(&["run", "-d", IMAGE, "sleep", "1000"]);
    let address = lab.inspect(&id, "/NetworkSettings/Networks/bridge/IPAddress");
    let gateway = lab.inspect(&id, "/NetworkSettings/Networks/bridge/Gateway");
    let (address, gateway) = (address.as_str().unwrap(), gateway.as_str().unwrap());
    let shown = lab.ok(&["exec", &id, "ip", "-o", "-4", "addr", "show", "eth0"]);
    assert!(shown.contains(&format!(" {address}/")), "{shown} has no {address}");
    let routes = lab.ok(&["exec", &id, "ip", "route"]);
    assert!(routes.contains(&format!("default via {gateway}")), "{routes}");
    lab.ok(&["exec", &id, "ping", "-c", "1", "-W", "5", gateway]);
    lab.ok(&["stop", "-t", "0", &id]);
    assert_eq!(lab.inspect(&id, "/NetworkSettings/Networks/bridge/IPAddress"), "");
    lab.ok(&["start", &id]);
    lab.ok(&["exec", &id, "ping", "-c", "1", "-W", "5", gateway]);
}

fn bridge_between_containers() {
    let lab = Lab::new();
    let serve = "echo up; echo hello from the other | nc -l -p 80";
    let server = lab.ok(&["run", "-d", IMAGE, "sh", "-c", serve]);
    lab.wait_for_log(&server, "up");
    let address = lab.inspect(&server, "/NetworkSettings/Networks/bridge/IPAddress");
    let address = address.as_str().unwrap();
    let ping = format!("ping -c 1 -W 5 {address}");
    lab.ok(&["run", "--rm", IMAGE, "sh", "-c", &ping]);
    let out = lab.run(&["run", "--rm", "--network", "none", IMAGE, "sh", "-c", &ping]);
    assert!(out.code != 0, "none reaches nobody");
    // The server says that it is up just before it listens.
    let fetch = format!("until nc -w 5 {address} 80 < /dev/null 2> /dev/null; do :; done");
    assert_eq!(lab.ok(&["run", "--rm", IMAGE, "sh", "-c", &fetch]), "hello from the other");
}

/// A network namespace outside of everything, one link away from the host and without a route to
/// any container.
struct Outside {
    holder: Child,
}

impl Outside {
    const ADDRESS: &str = "198.51.100.2";

    fn new() -> Self {
        let mut command = Command::new(busybox());
        command.args(["unshare", "-n", "sleep", "1000"]);
        let outside = Self { holder: command.spawn().unwrap() };
        let pid = outside.holder.id().to_string();
        let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
        eventually("it has its namespace", || namespace(&pid) != namespace("self"));
        let near = outside.link();
        let ip = |line: String| succeed(Command::new(busybox()).arg("ip").args(line.split(' ')));
        // The busybox of the virtual machine names the other end as it likes.
        ip(format!("link add {near} type veth"));
        let far = peer(&near);
        ip(format!("link set {far} netns {pid}"));
        ip(format!("addr add 198.51.100.1/24 dev {near}"));
        ip(format!("link set {near} up"));
        let address = format!("{}/24", Self::ADDRESS);
        succeed(&mut outside.command(&["ip", "addr", "add", &address, "dev", &far]));
        succeed(&mut outside.command(&["ip", "link", "set", &far, "up"]));
        outside
    }

    /// Returns the name of the host's end of the link.
    fn link(&self) -> String {
        format!("wht{}", self.holder.id())
    }

    /// Returns a command that runs there.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(busybox());
        let pid = self.holder.id().to_string();
        command.args(["nsenter", "-t", &pid, "-n"]).arg(busybox()).args(words);
        command
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let link = self.link();
        let _ = Command::new(busybox()).args(["ip", "link", "del", &link]).output();
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Returns the other end of a link of two ends.
fn peer(link: &str) -> String {
    let number = |name: &str, file: &str| {
        let text = std::fs::read_to_string(format!("/sys/class/net/{name}/{file}"));
        text.unwrap_or_default().trim().to_owned()
    };
    let wanted = number(link, "iflink");
    let mut links = std::fs::read_dir("/sys/class/net").unwrap().flatten();
    let found = links.find_map(|entry| {
        let name = entry.file_name().into_string().unwrap();
        (number(&name, "ifindex") == wanted).then_some(name)
    });
    found.unwrap_or_else(|| panic!("{link} has no other end here"))
}

fn succeed(command: &mut Command) {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
}

fn bridge_to_the_outside() {
    // Nobody there knows the way back to a container: only NAT brings an answer.
    let outside = Outside::new();
    let mut serve = outside.command(&["nc", "-l", "-p", "7777"]);
    let mut server = serve.stdin(Stdio::piped()).spawn().unwrap();
    server.stdin.take().unwrap().write_all(b"reached\n").unwrap();
    let lab = Lab::new();
    let fetch = format!("nc -w 5 {} 7777 < /dev/null 2> /dev/null", Outside::ADDRESS);
    let fetch = format!("until {fetch}; do :; done");
    assert_eq!(lab.ok(&["run", "--rm", IMAGE, "sh", "-c", &fetch]), "reached");
    let _ = server.kill();
    let _ = server.wait();
}

fn files() {
    let lab = Lab::new();
    let hosts = "cat /etc/hosts; hostname -i 2>/dev/null || true";
    let text = lab.ok(&["run", "--rm", "--hostname", "sea", IMAGE, "sh", "-c", hosts]);
    assert!(text.contains("127.0.0.1\tlocalhost"), "{text}");
    assert!(text.lines().any(|line| line.ends_with("sea")), "{text}");
    let text = lab.ok(&["run", "--rm", IMAGE, "cat", "/etc/resolv.conf"]);
    assert!(text.contains("nameserver"), "{text}");
    assert!(!text.contains("nameserver 127."), "a loopback server is the host's: {text}");
    // They are the container's own to write, and nobody else's.
    let line = "echo '10.0.0.1 extra' >> /etc/hosts; grep -c extra /etc/hosts";
    assert_eq!(lab.ok(&["run", "--rm", IMAGE, "sh", "-c", line]), "1");
}
