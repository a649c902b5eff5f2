//! Names of containers on networks that somebody made.

use std::net::{IpAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::audit::is_clean;
use crate::harness::{IMAGE, Lab, Test, eventually};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        found_by_all_their_names,
        the_default_bridge_has_no_names,
        who_comes_and_goes_is_known_at_once,
        who_shares_an_alias_answers_in_turn,
        port_53_is_the_containers_own,
        others_are_asked_of_the_given_server,
        connected_while_it_runs,
        probes_and_restarts_have_names,
        an_idle_server_keeps_nothing,
    ]
}

/// Returns the addresses that a program in a container finds for a name, in their order.
fn resolve(lab: &Lab, container: &str, name: &str) -> Vec<IpAddr> {
    // With a dot at its end, a name is asked for as it is: busybox tries search domains first.
    let out = lab.run(&["exec", container, "nslookup", &format!("{name}.")]);
    let lines = out.stdout.lines().skip_while(|line| !line.starts_with("Name:"));
    let lines = lines.filter(|line| line.starts_with("Address"));
    lines.filter_map(|line| line.split_whitespace().find_map(|word| word.parse().ok())).collect()
}

/// Starts a container that does nothing.
fn start(lab: &Lab, name: &str, flags: &[&str]) -> String {
    let words = [&["run", "-d", "--name", name], flags, &[IMAGE, "sleep", "10000"]].concat();
    lab.ok(&words)
}

fn address(lab: &Lab, container: &str, network: &str) -> IpAddr {
    let pointer = format!("/NetworkSettings/Networks/{network}/IPAddress");
    lab.inspect(container, &pointer).as_str().unwrap().parse().unwrap()
}

fn found_by_all_their_names() {
    let lab = Lab::new();
    lab.ok(&["network", "create", "front"]);
    lab.ok(&["network", "create", "back"]);
    start(&lab, "asker", &["--network", "front"]);
    let flags = ["--network", "front", "--network-alias", "web", "--hostname", "far.example"];
    let id = start(&lab, "Server", &flags);
    let there = [address(&lab, "Server", "front")];
    for name in ["Server", "server", "WEB", &id[..12], "far.example", "server.front", "web.FRONT"] {
        assert_eq!(resolve(&lab, "asker", name), there, "{name}");
        assert_eq!(resolve(&lab, "Server", name), there, "{name}, by itself");
    }
    assert_eq!(resolve(&lab, "asker", "web.back"), [] as [IpAddr; 0]);
    let resolver = lab.ok(&["exec", "asker", "cat", "/etc/resolv.conf"]);
    let servers: Vec<&str> = resolver.lines().filter(|line| line.starts_with("names")).collect();
    assert_eq!(servers, ["nameserver 127.0.0.11"]);
    assert!(resolver.lines().any(|line| line.starts_with("options ")), "{resolver}");
    // Another network's names are nobody's business.
    start(&lab, "stranger", &["--network", "back"]);
    assert_eq!(resolve(&lab, "stranger", "Server"), [] as [IpAddr; 0]);
    lab.ok(&["rename", "Server", "other"]);
    assert_eq!(resolve(&lab, "asker", "other"), there);
    assert_eq!(resolve(&lab, "asker", "Server"), [] as [IpAddr; 0]);
    lab.ok(&["system", "check"]);
    lab.ok(&["rm", "-f", "asker", "other", "stranger"]);
    is_clean(&lab);
}

fn the_default_bridge_has_no_names() {
    let lab = Lab::new();
    start(&lab, "one", &[]);
    let resolver = lab.ok(&["exec", "one", "cat", "/etc/resolv.conf"]);
    assert!(!resolver.contains("127.0.0.11"), "{resolver}");
    start(&lab, "two", &[]);
    assert!(lab.run(&["exec", "one", "ping", "-c", "1", "-W", "1", "two"]).code != 0);
}

fn who_comes_and_goes_is_known_at_once() {
    let lab = Lab::new();
    lab.ok(&["network", "create", "net"]);
    start(&lab, "asker", &["--network", "net"]);
    for round in 0..5 {
        assert_eq!(resolve(&lab, "asker", "guest"), [] as [IpAddr; 0], "round {round}");
        start(&lab, "guest", &["--network", "net"]);
        // The first answer after the start is right, and so is the first after the end.
        let there = address(&lab, "guest", "net");
        assert_eq!(resolve(&lab, "asker", "guest"), [there], "round {round}");
        lab.ok(&["rm", "-f", "guest"]);
    }
    assert_eq!(resolve(&lab, "asker", "guest"), [] as [IpAddr; 0]);
}

fn who_shares_an_alias_answers_in_turn() {
    let lab = Lab::new();
    lab.ok(&["network", "create", "net"]);
    start(&lab, "asker", &["--network", "net"]);
    let mut all: Vec<IpAddr> = ["c1", "c2", "c3"]
        .map(|name| {
            start(&lab, name, &["--network", "net", "--network-alias", "web"]);
            address(&lab, name, "net")
        })
        .to_vec();
    all.sort();
    let mut firsts = Vec::new();
    for _ in 0..3 {
        let mut found = resolve(&lab, "asker", "web");
        firsts.push(found[0]);
        found.sort();
        assert_eq!(found, all);
    }
    firsts.sort();
    assert_eq!(firsts, all, "each of them was first once");
}

fn port_53_is_the_containers_own() {
    let lab = Lab::new();
    lab.ok(&["network", "create", "net"]);
    let serve = "echo up; while :; do echo mine | nc -l -p 53; done";
    let flags = ["run", "-d", "--network", "net", "--name", "server", IMAGE, "sh", "-c", serve];
    let server = lab.ok(&flags);
    lab.wait_for_log(&server, "up");
    assert_eq!(resolve(&lab, "server", "server"), [address(&lab, "server", "net")]);
    let fetch = "until nc -w 5 127.0.0.1 53 < /dev/null 2> /dev/null; do :; done";
    assert_eq!(lab.ok(&["exec", "server", "sh", "-c", fetch]), "mine");
}

/// A name server that knows one address for everything.
pub(crate) struct Upstream {
    heard: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

const ANSWER: [u8; 4] = [198, 51, 100, 7];

impl Upstream {
    pub(crate) fn start(address: IpAddr) -> Self {
        let socket = UdpSocket::bind((address, 53)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let (heard, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, stopped) = (heard.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                counter.fetch_add(1, Ordering::Relaxed);
                // The question again, and to one about IPv4 an answer that refers to its name.
                let question = buffer[12..length].to_vec();
                let name = question.iter().position(|byte| *byte == 0).unwrap();
                let wants_ipv4 = question[name + 1..name + 3] == [0, 1];
                let mut answer =
                    [&buffer[..2], &[0x81, 0x80, 0, 1, 0, u8::from(wants_ipv4)]].concat();
                answer.extend([0; 4]);
                answer.extend(&question[..name + 5]);
                if wants_ipv4 {
                    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4]);
                    answer.extend(ANSWER);
                }
                socket.send_to(&answer, from).unwrap();
            }
        });
        Self { heard, stop, thread: Some(thread) }
    }

    fn heard(&self) -> usize {
        self.heard.load(Ordering::Relaxed)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

fn others_are_asked_of_the_given_server() {
    let lab = Lab::new();
    lab.ok(&["network", "create", "net"]);
    lab.ok(&["network", "create", "--internal", "inner"]);
    start(&lab, "holder", &["--network", "net"]);
    let gateway = lab.inspect("holder", "/NetworkSettings/Networks/net/Gateway");
    let gateway = gateway.as_str().unwrap();
    let upstream = Upstream::start(gateway.parse().unwrap());
    start(&lab, "asker", &["--network", "net", "--dns", gateway, "--dns-search", "a.example"]);
    assert_eq!(resolve(&lab, "asker", "elsewhere.example"), [IpAddr::from(ANSWER)]);
    let heard = upstream.heard();
    assert!(heard > 0);
    assert_eq!(resolve(&lab, "asker", "holder"), [address(&lab, "holder", "net")]);
    assert_eq!(upstream.heard(), heard, "what is known here is asked of nobody");
    let resolver = lab.ok(&["exec", "asker", "cat", "/etc/resolv.conf"]);
    assert!(resolver.starts_with("search a.example\nnameserver 127.0.0.11\n"), "{resolver}");
    // Nothing leaves an internal network.
    start(&lab, "inside", &["--network", "inner", "--dns", gateway]);
    assert_eq!(resolve(&lab, "inside", "elsewhere.example"), [] as [IpAddr; 0]);
    assert_eq!(resolve(&lab, "inside", "inside"), [address(&lab, "inside", "inner")]);
    assert_eq!(upstream.heard(), heard);
}

fn connected_while_it_runs() {
    let lab = Lab::new();
    lab.ok(&["network", "create", "one"]);
    lab.ok(&["network", "create", "two"]);
    start(&lab, "asker", &[]);
    start(&lab, "first", &["--network", "one"]);
    start(&lab, "second", &["--network", "two"]);
    let (first, second) = (address(&lab, "first", "one"), address(&lab, "second", "two"));
    lab.ok(&["network", "connect", "--alias", "known", "one", "asker"]);
    assert_eq!(resolve(&lab, "asker", "first"), [first]);
    assert_eq!(resolve(&lab, "asker", "second"), [] as [IpAddr; 0]);
    assert_eq!(resolve(&lab, "first", "known"), [address(&lab, "asker", "one")]);
    lab.ok(&["network", "connect", "two", "asker"]);
    assert_eq!(resolve(&lab, "asker", "first"), [first]);
    assert_eq!(resolve(&lab, "asker", "second"), [second]);
    lab.ok(&["network", "disconnect", "one", "asker"]);
    assert_eq!(resolve(&lab, "asker", "first"), [] as [IpAddr; 0]);
    assert_eq!(resolve(&lab, "asker", "second"), [second]);
    assert_eq!(resolve(&lab, "first", "known"), [] as [IpAddr; 0]);
    lab.ok(&["network", "disconnect", "two", "asker"]);
    assert_eq!(resolve(&lab, "asker", "second"), [] as [IpAddr; 0]);
    lab.ok(&["network", "connect", "two", "asker"]);
    assert_eq!(resolve(&lab, "asker", "second"), [second]);
    lab.ok(&["system", "check"]);
}

fn probes_and_restarts_have_names() {
    let lab = Lab::new();
    lab.ok(&["network", "create", "net"]);
    start(&lab, "friend", &["--network", "net"]);
    let probe = ["--health-cmd", "nslookup friend", "--health-interval", "200ms"];
    start(&lab, "asker", &[&["--network", "net"][..], &probe].concat());
    let health = || lab.inspect("asker", "/State/Health/Status") == "healthy";
    eventually("its probe finds the name", health);
    let there = [address(&lab, "friend", "net")];
    lab.ok(&["restart", "-t", "0", "asker"]);
    assert_eq!(resolve(&lab, "asker", "friend"), there);
    // Started again by its supervisor, in a new namespace.
    lab.ok(&["update", "--restart", "always", "asker"]);
    let before = lab.pid("asker");
    end_by_force(before);
    eventually("it runs again", || {
        let pid = lab.inspect("asker", "/State/Pid").as_i64().unwrap_or(0);
        pid != 0 && pid != i64::from(before)
    });
    assert_eq!(resolve(&lab, "asker", "friend"), there);
    eventually("its probe finds the name", health);
}

/// Ends a container's first process, as whoever may on the host.
fn end_by_force(pid: i32) {
    if let Some(pid) = rustix::process::Pid::from_raw(pid) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

fn an_idle_server_keeps_nothing() {
    let lab = Lab::new();
    lab.ok(&["network", "create", "net"]);
    start(&lab, "asker", &["--network", "net"]);
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", lab.pid("asker"))).unwrap();
    let rest = stat.rsplit(')').next().unwrap();
    let supervisor: u32 = rest.split_whitespace().nth(1).unwrap().parse().unwrap();
    let own = || {
        let path = format!("/proc/{supervisor}/smaps_rollup");
        let text = std::fs::read_to_string(path).unwrap();
        let line = text.lines().find(|line| line.starts_with("Private_Dirty:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let database = lab.root().join("state.db");
    let open = || {
        let folder = Path::new("/proc").join(supervisor.to_string()).join("fd");
        let links = std::fs::read_dir(folder).unwrap().flatten();
        links.filter(|link| std::fs::read_link(link.path()).is_ok_and(|to| to == database)).count()
    };
    let ask = "for n in $(seq 200); do nslookup asker > /dev/null; done";
    lab.ok(&["exec", "asker", "sh", "-c", ask]);
    eventually("the database is let go of", || open() == 0);
    eventually("it is small", || own() <= 1024);
    let before = own();
    lab.ok(&["exec", "asker", "sh", "-c", ask]);
    eventually("it is as small again", || open() == 0 && own() <= before + 64);
}
