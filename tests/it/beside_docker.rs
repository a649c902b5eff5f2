//! docker on the same host: neither disturbs the other. And hosts beside it, with clients as people
//! have them.

use std::net::UdpSocket;

use crate::dockerd::{self, Dockerd};
use crate::harness::{IMAGE, Lab, PATIENCE, Test, eventually, lacks_programs, run};
use crate::hosts::{Host, SHORT, Server, ask, network_of, succeed, within};
use crate::sides::Side;

pub(crate) fn tests() -> Vec<Test> {
    let lacks = dockerd::lacks()
        .or_else(|| lacks_programs(&["docker", "iptables-save", "iptables", "nsenter"]));
    let clients = lacks_programs(&["curl", "dig", "nsenter"]);
    vec![
        Test::new("a_dockerd_that_comes_and_goes", comes_and_goes).needing(lacks),
        Test::new("reached_by_curl_and_dig", real_clients).needing(clients),
    ]
}

/// A host, and another one that is joined to it: 192.0.2.1 and 192.0.2.2.
fn two_hosts() -> (Host, Host) {
    let (host, outside) = (Host::new(), Host::new());
    host.join(&["192.0.2.1/24", "2001:db8::1/64"], &outside, &["192.0.2.2/24", "2001:db8::2/64"]);
    (host, outside)
}

/// Returns docker's rules: all that `iptables` knows, but for counters, and those about bridges of ours.
fn rules(host: &Host) -> Vec<String> {
    let text = succeed(&mut host.command(&["iptables-save"]));
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.contains(" wh"));
    lines.map(|line| line.split(" [").next().unwrap_or(line).to_owned()).collect()
}

/// Starts a container with a published port and a server in it that calls itself by its name.
#[track_caller]
fn serve(side: &Side, name: &str, flags: &[&str], published: u16) -> Server {
    let port = format!("{published}:80");
    let words = [&["run", "-d", "--name", name, "-p", &port], flags, &[IMAGE, "sleep", "100000"]];
    side.ok(&words.concat());
    Server::new(&namespace(side, name), 80, name)
}

/// Returns the file of a container's network namespace.
fn namespace(side: &Side, name: &str) -> String {
    format!("/proc/{}/ns/net", side.ok(&["inspect", "-f", "{{.State.Pid}}", name]))
}

fn address(side: &Side, name: &str) -> String {
    let each = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    side.ok(&["inspect", "-f", each, name])
}

fn comes_and_goes() {
    let (host, outside) = two_hosts();
    let _there = Server::new(&outside.file(), 7000, "there");
    // wharf comes first.
    let wharf = Side::wharf(Lab::empty().on(&host));
    wharf.ok(&["network", "create", "ours"]);
    let _w1 = serve(&wharf, "w1", &["--network", "ours"], 8081);
    assert_eq!(outside.ask("192.0.2.1:8081").unwrap(), "w1 192.0.2.2");
    let mut docker = Side::docker(Dockerd::on(&host));
    docker.ok(&["network", "create", "theirs"]);
    let _d1 = serve(&docker, "d1", &["--network", "theirs"], 8082);
    wharf.ok(&["system", "check"]);
    // docker does so by itself when it is the first to turn forwarding on, newer ones in any case.
    succeed(&mut host.command(&["iptables", "-P", "FORWARD", "DROP"]));
    let own = rules(&host);
    assert!(own.iter().any(|rule| rule.contains("DOCKER-USER")), "{own:?}");

    let works = |side: &Side, name: &str, port: u16| {
        let seen = outside.ask(&format!("192.0.2.1:{port}"));
        assert_eq!(seen.unwrap(), format!("{name} 192.0.2.2"));
        let local = host.ask(&format!("127.0.0.1:{port}")).unwrap();
        assert!(local.starts_with(name), "{local}");
        let out = ask(&namespace(side, name), "192.0.2.2:7000", *PATIENCE);
        assert_eq!(out.unwrap(), "there 192.0.2.1", "{name} goes out");
    };
    works(&docker, "d1", 8082);
    // That docker's firewall is new is found, and mended.
    let found = wharf.run(&["system", "check"], b"");
    assert!(found.stdout.contains("is cut off by docker's firewall"), "{found:?}");
    wharf.ok(&["system", "check", "--repair"]);
    wharf.ok(&["system", "check"]);
    works(&wharf, "w1", 8081);
    assert_eq!(rules(&host), own, "docker's rules are docker's");
    // Whoever starts later is let through at once.
    let _w2 = serve(&wharf, "w2", &[], 8083);
    works(&wharf, "w2", 8083);
    works(&docker, "d1", 8082);
    assert_eq!(rules(&host), own);
    // Neither reaches the containers of the other but by a published port; docker's rules of that
    // time let everybody have what is published by its own address too.
    let _more = [("w1", &wharf), ("d1", &docker)]
        .map(|(name, side)| Server::new(&namespace(side, name), 81, name));
    for (from, to, name, port) in
        [(&wharf, &docker, ["w1", "d1"], 8082), (&docker, &wharf, ["d1", "w1"], 8081)]
    {
        let from = namespace(from, name[0]);
        let direct = format!("{}:81", address(to, name[1]));
        assert!(ask(&from, &direct, SHORT).is_err(), "{name:?}");
        let said = ask(&from, &format!("192.0.2.1:{port}"), *PATIENCE).unwrap();
        assert!(said.starts_with(name[1]), "{name:?}: {said}");
    }
    // dockerd goes and comes again, and its firewall with it.
    docker.dockerd().stop();
    works(&wharf, "w1", 8081);
    docker.dockerd().go();
    for (side, name, port) in [(&wharf, "w1", 8081), (&wharf, "w2", 8083), (&docker, "d1", 8082)] {
        works(side, name, port);
    }
    // Our part of its firewall is gone, as after a careless `iptables -F`: a start puts all of it back.
    succeed(&mut host.command(&["iptables", "-F", "DOCKER-USER"]));
    wharf.ok(&["run", "--rm", "--network", "ours", IMAGE, "true"]);
    works(&wharf, "w1", 8081);
    works(&wharf, "w2", 8083);
    // What is ours goes, and nothing else.
    wharf.ok(&["rm", "-f", "w1", "w2"]);
    wharf.ok(&["network", "rm", "ours"]);
    wharf.ok(&["system", "reset", "-f"]);
    let left = succeed(&mut host.command(&["iptables-save"]));
    assert!(!left.contains(" wh"), "{left}");
    works(&docker, "d1", 8082);
}

/// Answers every query with one address, until the namespace's container ends.
fn name_server(namespace: &str) -> std::thread::JoinHandle<()> {
    let socket = within(namespace, || UdpSocket::bind("[::]:53").unwrap());
    socket.set_read_timeout(Some(*PATIENCE)).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            if length == 1 {
                return;
            }
            let question = buffer[12..length].iter().position(|byte| *byte == 0).unwrap() + 5;
            let mut answer = [&buffer[..2], &[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]].concat();
            answer.extend(&buffer[12..12 + question]);
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 198, 51, 100, 7]);
            let _ = socket.send_to(&answer, from);
        }
    })
}

fn real_clients() {
    let (host, outside) = two_hosts();
    let lab = host.lab();
    lab.ok(&["network", "create", "--ipv6", "net"]);
    let pages = "mkdir /www; echo hello > /www/index.html; echo up; exec httpd -f -p 80 -h /www";
    let flags = ["--network", "net", "-p", "8080:80", "-p", "5353:53/udp"];
    let words = [&["run", "-d", "--name", "web"], &flags[..], &[IMAGE, "sh", "-c", pages]];
    lab.ok(&words.concat());
    lab.wait_for_log("web", "up");
    let inside = network_of(&lab, "web");
    let names = name_server(&inside);
    let get = |from: &Host, url: &str| {
        let words = ["curl", "-gsS", "--noproxy", "*", "--max-time", "20", url];
        run(from.command(&words), b"").stdout
    };
    let url = "http://192.0.2.1:8080/index.html";
    eventually("the server listens", || get(&outside, url) == "hello\n");
    for (from, at) in [
        (&outside, "[2001:db8::1]"),
        (&host, "192.0.2.1"),
        (&host, "[2001:db8::1]"),
        (&host, "127.0.0.1"),
        (&host, "[::1]"),
    ] {
        // An address of version 6 is searched for others that have it, before it is used.
        let url = format!("http://{at}:8080/index.html");
        eventually(&format!("{url} is reached"), || get(from, &url) == "hello\n");
        let at = format!("@{}", at.trim_matches(['[', ']']));
        let words = ["dig", "+short", "+time=5", "+tries=3", "-p", "5353", &at, "any.example"];
        assert_eq!(succeed(&mut from.command(&words)), "198.51.100.7\n", "{at}");
    }
    // Ends the server's thread before its container.
    within(&inside, || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(b"x", "127.0.0.1:53").unwrap();
    });
    names.join().unwrap();
}
