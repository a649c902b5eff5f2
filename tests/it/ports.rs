//! Published ports: who reaches them and as whom, who gets them, and that they are gone afterwards.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use crate::harness::{IMAGE, Lab, PATIENCE, Test, eventually, joined, lacks_programs};
use crate::hosts::{Host, SHORT, Server, ask, ask_again, ask_udp, network_of, succeed, within};
use crate::missing_calls::{NF_TABLES, without};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    let mut all = tests![
        reached_from_everywhere,
        reached_by_datagrams,
        one_address_of_the_host,
        other_families_and_ports,
        a_real_server,
        streams_pass_whole_both_ways,
        many_at_once,
        gone_with_the_container,
        kept_through_restarts,
        killed_supervisors,
        ports_that_are_taken,
        free_ports_are_found,
        lists_and_documents,
        refusals,
        other_networks,
        a_flow_of_datagrams_finds_the_next_container,
        on_the_loopback_alone,
        without_nf_tables,
    ];
    for test in &mut all {
        let lacks = lacks_programs(&["nsenter"]);
        let plain = std::mem::replace(test, Test::new("", || {}));
        *test = plain.needing(lacks);
    }
    let nft = lacks_programs(&["nft", "nsenter"]);
    all.push(Test::new("a_flushed_firewall", a_flushed_firewall).needing(nft));
    let legacy = lacks_programs(&["iptables-legacy", "nsenter"]);
    all.push(Test::new("a_legacy_firewall_is_named", a_legacy_firewall_is_named).needing(legacy));
    all
}

/// Starts a container on the bridge with these flags that does nothing; returns its id.
#[track_caller]
fn sleeper(lab: &Lab, flags: &[&str]) -> String {
    lab.ok(&[&["run", "-d"], flags, &[IMAGE, "sleep", "100000"]].concat())
}

fn address(lab: &Lab, container: &str) -> String {
    lab.inspect(container, "/NetworkSettings/Networks/bridge/IPAddress")
        .as_str()
        .unwrap()
        .to_owned()
}

fn gateway(lab: &Lab, container: &str) -> String {
    lab.inspect(container, "/NetworkSettings/Networks/bridge/Gateway").as_str().unwrap().to_owned()
}

/// A host with an engine, and another host that is joined to it: 192.0.2.1 and 192.0.2.2.
fn two_hosts() -> (Host, Host) {
    let (host, outside) = (Host::new(), Host::new());
    host.join(&["192.0.2.1/24"], &outside, &["192.0.2.2/24"]);
    (host, outside)
}

fn reached_from_everywhere() {
    let (host, outside) = two_hosts();
    let lab = host.lab();
    sleeper(&lab, &["--name", "web", "-p", "8080:80"]);
    sleeper(&lab, &["--name", "other"]);
    let web = network_of(&lab, "web");
    let _server = Server::new(&web, 80, "web");
    let gateway = gateway(&lab, "web");

    // From another host, its address is seen.
    assert_eq!(outside.ask("192.0.2.1:8080").unwrap(), "web 192.0.2.2");
    // From this host, by its address and over the loopback of both families.
    assert_eq!(host.ask("192.0.2.1:8080").unwrap(), "web 192.0.2.1");
    assert_eq!(host.ask(&format!("{gateway}:8080")).unwrap(), format!("web {gateway}"));
    assert_eq!(host.ask("127.0.0.1:8080").unwrap(), format!("web {gateway}"));
    assert_eq!(host.ask("[::1]:8080").unwrap(), format!("web {gateway}"));
    // From the same network, and from itself.
    for from in ["other", "web"] {
        let from = network_of(&lab, from);
        for to in ["192.0.2.1", &gateway] {
            let said = ask(&from, &format!("{to}:8080"), *PATIENCE).unwrap();
            assert_eq!(said, format!("web {gateway}"), "{to}");
        }
    }
    // What isn't published isn't reached, not even by who knows the way.
    let _other = Server::new(&web, 81, "other");
    outside.ip(&format!("route add {} via 192.0.2.1", address(&lab, "web")));
    outside.reaches_nobody(&format!("{}:81", address(&lab, "web")));
    outside.reaches_nobody(&format!("{}:80", address(&lab, "web")));
    assert!(host.ask("192.0.2.1:81").is_err());
}

fn reached_by_datagrams() {
    let (host, outside) = two_hosts();
    let lab = host.lab();
    sleeper(&lab, &["--name", "dns", "-p", "5353:53/udp"]);
    sleeper(&lab, &["--name", "other"]);
    let _server = Server::new(&network_of(&lab, "dns"), 53, "dns");
    let gateway = gateway(&lab, "dns");
    for (from, to, seen) in [
        (outside.file(), "192.0.2.1:5353", "192.0.2.2"),
        (host.file(), "192.0.2.1:5353", "192.0.2.1"),
        (host.file(), "127.0.0.1:5353", &gateway),
        (host.file(), "[::1]:5353", &gateway),
        (network_of(&lab, "other"), &format!("{gateway}:5353"), &gateway),
        // The asker takes an answer from where it asked, and from nowhere else.
        (network_of(&lab, "other"), "192.0.2.1:5353", &gateway),
        (network_of(&lab, "dns"), "192.0.2.1:5353", &gateway),
    ] {
        assert_eq!(ask_udp(&from, to).unwrap(), format!("dns {seen}"), "{to}");
    }
    // Two clients at once get their own answers, again and again, and large ones whole.
    within(&host.file(), || {
        let clients = [0, 1].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
        for client in &clients {
            client.connect("127.0.0.1:5353").unwrap();
        }
        for _ in 0..20 {
            for client in &clients {
                assert_eq!(ask_again(client).unwrap(), format!("dns {gateway}"));
            }
        }
    });
}

fn one_address_of_the_host() {
    let (host, outside) = two_hosts();
    host.ip("addr add 192.0.2.11/32 dev lo");
    let lab = host.lab();
    sleeper(&lab, &["--name", "one", "-p", "192.0.2.11:8080:80", "-p", "127.0.0.1:9090:80"]);
    let _server = Server::new(&network_of(&lab, "one"), 80, "one");
    assert_eq!(outside.ask("192.0.2.11:8080").unwrap(), "one 192.0.2.2");
    assert!(outside.ask("192.0.2.1:8080").is_err());
    assert!(host.ask("127.0.0.1:8080").is_err());
    assert!(host.ask("127.0.0.1:9090").unwrap().starts_with("one "));
    assert!(outside.ask("192.0.2.1:9090").is_err());
    // Another container may have the same port on another address.
    sleeper(&lab, &["--name", "two", "-p", "192.0.2.1:8080:80"]);
    let _other = Server::new(&network_of(&lab, "two"), 80, "two");
    assert_eq!(outside.ask("192.0.2.1:8080").unwrap(), "two 192.0.2.2");
    assert_eq!(outside.ask("192.0.2.11:8080").unwrap(), "one 192.0.2.2");
}

fn other_families_and_ports() {
    let (host, outside) = (Host::new(), Host::new());
    host.join(&["192.0.2.1/24", "2001:db8::1/64"], &outside, &["192.0.2.2/24", "2001:db8::2/64"]);
    let lab = host.lab();
    sleeper(&lab, &["--name", "web", "-p", "8080-8082:80-82", "-p", "[::1]:9090:80"]);
    let web = network_of(&lab, "web");
    let _servers = [80, 81, 82].map(|port| Server::new(&web, port, &port.to_string()));
    for (host_port, port) in [(8080, 80), (8081, 81), (8082, 82)] {
        let said = outside.ask(&format!("192.0.2.1:{host_port}")).unwrap();
        assert_eq!(said, format!("{port} 192.0.2.2"));
    }
    // A container without IPv6 is served over it all the same. A new address takes its time.
    let six = || ask(&outside.file(), "[2001:db8::1]:8080", SHORT);
    eventually("IPv6 gets through", || six().is_ok());
    assert_eq!(host.ask("[::1]:9090").unwrap(), format!("80 {}", gateway(&lab, "web")));
    assert!(host.ask("127.0.0.1:9090").is_err());
}

fn a_real_server() {
    let (host, outside) = two_hosts();
    let lab = host.lab();
    let serve = "mkdir -p /www/cgi-bin; echo hello > /www/index.html; \
                 printf '#!/bin/sh\\necho; echo \"$REMOTE_ADDR\"\\n' > /www/cgi-bin/who; \
                 chmod +x /www/cgi-bin/who; echo up; exec httpd -f -p 80 -h /www";
    lab.ok(&["run", "-d", "--name", "web", "-p", "80:80", IMAGE, "sh", "-c", serve]);
    lab.wait_for_log("web", "up");
    let get = |path: &str| {
        within(&outside.file(), || {
            let mut text = String::new();
            let Ok(mut stream) = TcpStream::connect("192.0.2.1:80") else { return text };
            write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
            stream.read_to_string(&mut text).unwrap();
            text
        })
    };
    eventually("the server listens", || get("/").ends_with("hello\n"));
    assert!(get("/cgi-bin/who").contains("192.0.2.2"), "{}", get("/cgi-bin/who"));
}

/// Sends much one way and then the other over each of these ways to a server that echoes after the
/// end.
fn streams_pass_whole_both_ways() {
    const LENGTH: usize = 6_000_000;
    let host = Host::new();
    host.ip("addr add 192.0.2.1/24 dev lo");
    let lab = host.lab();
    sleeper(&lab, &["--name", "web", "-p", "8080:80"]);
    let listener = within(&network_of(&lab, "web"), || TcpListener::bind("0.0.0.0:80").unwrap());
    let data: Vec<u8> = (0..LENGTH).map(|n| (n * 7 + n / 251) as u8).collect();
    for to in ["127.0.0.1:8080", "[::1]:8080", "192.0.2.1:8080"] {
        std::thread::scope(|scope| {
            let server = scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut got = Vec::new();
                // Slowly at first, so that what is on its way must wait.
                std::thread::sleep(Duration::from_millis(200));
                stream.read_to_end(&mut got).unwrap();
                stream.write_all(&got).unwrap();
                got.len()
            });
            let back = within(&host.file(), || {
                let mut stream = TcpStream::connect(to).unwrap();
                stream.set_read_timeout(Some(*PATIENCE)).unwrap();
                stream.write_all(&data).unwrap();
                // One direction ends, the other goes on.
                stream.shutdown(Shutdown::Write).unwrap();
                let mut back = Vec::new();
                stream.read_to_end(&mut back).unwrap();
                back
            });
            assert_eq!(joined(server), LENGTH, "{to}");
            assert!(back == data, "{to}: {} bytes came back, not the same", back.len());
        });
    }
}

fn many_at_once() {
    let host = Host::new();
    let lab = host.lab();
    sleeper(&lab, &["--name", "web", "-p", "8080:80"]);
    let _server = Server::new(&network_of(&lab, "web"), 80, "web");
    let wanted = format!("web {}", gateway(&lab, "web"));
    within(&host.file(), || {
        for _ in 0..3 {
            let mut streams: Vec<TcpStream> =
                (0..200).map(|_| TcpStream::connect("127.0.0.1:8080").unwrap()).collect();
            for stream in &mut streams {
                let mut text = String::new();
                stream.set_read_timeout(Some(*PATIENCE)).unwrap();
                stream.read_to_string(&mut text).unwrap();
                assert_eq!(text, wanted);
            }
        }
    });
    // Nobody serves there: the client is told, and the supervisor lives.
    drop(_server);
    assert_eq!(host.ask("127.0.0.1:8080").unwrap_or_default(), "");
    lab.ok(&["exec", "web", "true"]);
}

/// Returns whether the host lets a port be bound on all addresses.
fn is_free(host: &Host, port: u16) -> bool {
    within(&host.file(), || {
        TcpListener::bind(("0.0.0.0", port)).is_ok() && TcpListener::bind(("::", port)).is_ok()
    })
}

/// Asserts that nothing of any container's ports is left.
fn nothing_is_left(lab: &Lab) {
    let database = rusqlite::Connection::open(lab.root().join("state.db")).unwrap();
    let notes = "SELECT count(*) FROM journal WHERE kind = 'port'";
    eventually("the notes are gone", || {
        database.query_row(notes, [], |row| row.get::<_, i64>(0)).unwrap() == 0
    });
    let out = lab.run(&["system", "check"]);
    assert_eq!(out.code, 0, "{}", out.stdout);
}

fn gone_with_the_container() {
    let (host, outside) = two_hosts();
    let lab = host.lab();
    sleeper(&lab, &["--name", "web", "-p", "8080:80", "-p", "5353:53/udp"]);
    let server = Server::new(&network_of(&lab, "web"), 80, "web");
    assert!(outside.ask("192.0.2.1:8080").is_ok());
    assert!(!is_free(&host, 8080));
    drop(server);
    lab.ok(&["stop", "-t", "0", "web"]);
    assert!(is_free(&host, 8080));
    assert!(outside.ask("192.0.2.1:8080").is_err());
    assert_eq!(lab.ok(&["port", "web"]), "");
    nothing_is_left(&lab);
    lab.ok(&["start", "web"]);
    let _server = Server::new(&network_of(&lab, "web"), 80, "again");
    assert_eq!(outside.ask("192.0.2.1:8080").unwrap(), "again 192.0.2.2");
    lab.ok(&["rm", "-f", "web"]);
    nothing_is_left(&lab);
}

fn kept_through_restarts() {
    let (host, outside) = two_hosts();
    let lab = host.lab();
    let flags = ["--name", "web", "--restart", "always", "-p", "8080:80"];
    sleeper(&lab, &flags);
    let first = lab.pid("web");
    lab.ok(&["exec", "web", "kill", "-9", "1"]);
    // The first process is deaf to signals from inside.
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(first).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    eventually("it runs again", || {
        let state = lab.inspect("web", "/State");
        state["Running"] == true
            && state["Pid"].as_i64().is_some_and(|pid| pid > 0 && pid != i64::from(first))
    });
    let _server = Server::new(&network_of(&lab, "web"), 80, "web");
    assert_eq!(outside.ask("192.0.2.1:8080").unwrap(), "web 192.0.2.2");
    assert!(host.ask("127.0.0.1:8080").is_ok());
}

fn killed_supervisors() {
    let host = Host::new();
    let lab = host.lab();
    sleeper(&lab, &["--name", "web", "-p", "8080:80", "-p", "8080:80/udp"]);
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", lab.pid("web"))).unwrap();
    let supervisor: i32 =
        stat.rsplit(')').next().unwrap().split_whitespace().nth(1).unwrap().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(supervisor).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    eventually("it is noticed", || lab.inspect("web", "/State/Status") == "exited");
    eventually("the port is free", || is_free(&host, 8080));
    nothing_is_left(&lab);
    lab.ok(&["start", "web"]);
    assert!(!is_free(&host, 8080));
}

fn ports_that_are_taken() {
    let host = Host::new();
    let lab = host.lab();
    sleeper(&lab, &["--name", "first", "-p", "8080:80", "-p", "8081:81"]);
    let says = "Bind for 0.0.0.0:8080 failed: port is already allocated";
    lab.fails(125, says, &["run", "-d", "--name", "second", "-p", "8080:80", IMAGE, "true"]);
    assert_eq!(lab.inspect("second", "/State/Status"), "created");
    lab.ok(&["rm", "second"]);
    // With one more port that could be had, which is free again.
    let both = ["run", "--rm", "-p", "9000:80", "-p", "127.0.0.1:8080:80", IMAGE, "true"];
    lab.fails(125, "Bind for 127.0.0.1:8080 failed: port is already allocated", &both);
    assert!(is_free(&host, 9000));
    lab.fails(
        125,
        "all ports are allocated",
        &["run", "--rm", "-p", "8080-8081:80", IMAGE, "true"],
    );
    // The other protocol has ports of its own.
    lab.ok(&["run", "--rm", "-p", "8080:80/udp", IMAGE, "true"]);
    // Other programs of the host, and other engines.
    let _taken = within(&host.file(), || TcpListener::bind("0.0.0.0:8090").unwrap());
    let says = "Bind for 0.0.0.0:8090 failed: port is already allocated: another program";
    lab.fails(125, says, &["run", "--rm", "-p", "8090:80", IMAGE, "true"]);
    let other = host.lab();
    other.fails(125, "8080 failed: port is", &["run", "--rm", "-p", "8080:80", IMAGE, "true"]);
    let says = "failed to bind host port 203.0.113.7:80/tcp";
    lab.fails(125, says, &["run", "--rm", "-p", "203.0.113.7:80:80", IMAGE, "true"]);
    assert_eq!(lab.ok(&["ps", "-a", "--format", "{{.Names}}"]), "first");
    lab.ok(&["rm", "-f", "first"]);
    nothing_is_left(&lab);
}

fn free_ports_are_found() {
    let host = Host::new();
    let lab = host.lab();
    sleeper(&lab, &["--name", "any", "-p", "80", "-p", "127.0.0.1::81", "-p", "82-83/udp"]);
    let shown = lab.ok(&["port", "any"]);
    assert_eq!(shown.lines().count(), 2 + 1 + 4, "{shown}");
    let number = |line: &str| line.rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let of =
        |port: &str| -> Vec<u16> { lab.ok(&["port", "any", port]).lines().map(number).collect() };
    let web = of("80");
    assert!(web.len() == 2 && web[0] == web[1] && web[0] >= 1024, "{web:?}");
    assert_ne!(of("82/udp"), of("83/udp"));
    let _server = Server::new(&network_of(&lab, "any"), 80, "any");
    assert!(host.ask(&format!("127.0.0.1:{}", web[0])).is_ok());
    // One of a range.
    let range: Vec<u16> = (0..3)
        .map(|n| {
            let name = format!("range{n}");
            sleeper(&lab, &["--name", &name, "-p", "7000-7002:80"]);
            number(lab.ok(&["port", &name, "80"]).lines().next().unwrap())
        })
        .collect();
    assert_eq!(range, [7000, 7001, 7002]);
    // All that it says it has.
    let flags = ["--name", "all", "-P", "--expose", "90-91", "--expose", "53/udp", "-p", "6000:90"];
    sleeper(&lab, &flags);
    assert_eq!(lab.ok(&["port", "all", "90"]), "0.0.0.0:6000\n[::]:6000");
    assert_eq!(lab.ok(&["port", "all"]).lines().count(), 6);
}

fn lists_and_documents() {
    let host = Host::new();
    let lab = host.lab();
    let flags =
        ["-p", "8080:80", "-p", "127.0.0.1:5353:53/udp", "--expose", "443", "-p", "90-91:90-91"];
    sleeper(&lab, &[&["--name", "web"], &flags[..]].concat());
    sleeper(&lab, &["--name", "none"]);
    assert_eq!(
        lab.ok(&["ps", "--filter", "name=web", "--format", "{{.Ports}}"]),
        "0.0.0.0:90-91->90-91/tcp, [::]:90-91->90-91/tcp, 443/tcp, 127.0.0.1:5353->53/udp, \
         0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"
    );
    let names = |filter: &str| lab.ok(&["ps", "--filter", filter, "--format", "{{.Names}}"]);
    for filter in
        ["publish=8080", "publish=8000-8100/tcp", "expose=443", "expose=80", "publish=5353/udp"]
    {
        assert_eq!(names(filter), "web", "{filter}");
    }
    for filter in ["publish=80", "publish=8080/udp", "expose=8080", "publish=443"] {
        assert_eq!(names(filter), "", "{filter}");
    }
    assert_eq!(lab.ok(&["port", "web", "80/tcp"]), "0.0.0.0:8080\n[::]:8080");
    assert_eq!(lab.ok(&["port", "web", "53/udp"]), "127.0.0.1:5353");
    lab.fails(1, "No public port '443' published for web", &["port", "web", "443"]);
    let format = |template: &str| lab.ok(&["inspect", "-f", template, "web"]);
    assert_eq!(
        format("{{json .HostConfig.PortBindings}}"),
        r#"{"53/udp":[{"HostIp":"127.0.0.1","HostPort":"5353"}],"80/tcp":[{"HostIp":"","HostPort":"8080"}],"90/tcp":[{"HostIp":"","HostPort":"90"}],"91/tcp":[{"HostIp":"","HostPort":"91"}]}"#
    );
    assert_eq!(
        format("{{json (index .NetworkSettings.Ports \"80/tcp\")}}"),
        r#"[{"HostIp":"0.0.0.0","HostPort":"8080"},{"HostIp":"::","HostPort":"8080"}]"#
    );
    assert_eq!(format("{{json (index .NetworkSettings.Ports \"443/tcp\")}}"), "null");
    assert_eq!(format("{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}"), "8080");
    assert_eq!(
        format("{{range $port, $_ := .Config.ExposedPorts}}{{$port}} {{end}}"),
        "443/tcp 53/udp 80/tcp 90/tcp 91/tcp "
    );
    lab.ok(&["stop", "-t", "0", "web"]);
    assert_eq!(format("{{json .NetworkSettings.Ports}}"), "{}");
    assert_eq!(lab.ok(&["ps", "-a", "--filter", "name=web", "--format", "{{.Ports}}"]), "");
    // Where the network is the host's, its ports are too.
    let out = lab.ends(0, &["run", "--rm", "--network", "host", "-p", "80:80", IMAGE, "true"]);
    assert!(out.stderr.contains("Published ports are discarded when using host network mode"));
}

fn refusals() {
    let lab = Lab::new();
    for (flags, says) in [
        (&["-p", "x"][..], "invalid containerPort: x"),
        (&["-p", "x:80"], "invalid hostPort: x"),
        (&["-p", "70000:80"], "invalid hostPort: 70000"),
        (&["-p", "80/abc"], "invalid proto: abc"),
        (&["-p", "80/sctp"], "sctp"),
        (&["-p", "host:80:80"], "invalid IP address: host"),
        (
            &["-p", "8000-8002:80-81"],
            "Invalid ranges specified for container and host Ports: 80-81 and 8000-8002",
        ),
        (&["--expose", "80:80"], "invalid port format for --expose: 80:80"),
        (&["--expose", "x"], "invalid range format for --expose: x"),
    ] {
        lab.fails(125, says, &[&["run", "-d"], flags, &[IMAGE, "true"]].concat());
        lab.fails(125, says, &[&["create"], flags, &[IMAGE, "true"]].concat());
    }
    assert_eq!(lab.ok(&["ps", "-a", "-q"]), "");
}

/// Two engines on one host: their containers meet only where ports are published.
fn other_networks() {
    let host = Host::new();
    host.ip("addr add 192.0.2.1/24 dev lo");
    let (lab, other) = (host.lab(), host.lab());
    sleeper(&lab, &["--name", "web", "-p", "8080:80", "-p", "127.0.0.1:9090:80"]);
    sleeper(&other, &["--name", "client"]);
    let _server = Server::new(&network_of(&lab, "web"), 80, "web");
    let client = network_of(&other, "client");
    let (web, gateway) = (address(&lab, "web"), gateway(&lab, "web"));
    let short = SHORT;
    assert!(ask(&client, &format!("{web}:80"), short).is_err());
    assert!(ask(&client, &format!("{web}:8080"), short).is_err());
    assert!(ask(&client, &format!("{gateway}:80"), short).is_err());
    // By the host's port, under the address of the bridge.
    for to in ["192.0.2.1:8080".to_owned(), format!("{gateway}:8080")] {
        let said = ask(&client, &to, *PATIENCE).unwrap();
        assert_eq!(said, format!("web {gateway}"), "{to}");
    }
    assert!(ask(&client, "192.0.2.1:9090", short).is_err());
}

fn a_flow_of_datagrams_finds_the_next_container() {
    let (host, outside) = two_hosts();
    let lab = host.lab();
    let flags = ["-p", "5353:53/udp"];
    sleeper(&lab, &[&["--name", "first"], &flags[..]].concat());
    let server = Server::new(&network_of(&lab, "first"), 53, "first");
    // One client with one port of its own throughout: the kernel takes it for one connection.
    let socket = within(&outside.file(), || {
        let socket = UdpSocket::bind("0.0.0.0:4444").unwrap();
        socket.connect("192.0.2.1:5353").unwrap();
        socket
    });
    assert_eq!(ask_again(&socket).unwrap(), "first 192.0.2.2");
    drop(server);
    lab.ok(&["rm", "-f", "first"]);
    // While nobody serves it goes on.
    for _ in 0..3 {
        let _ = socket.send(b"anybody?");
    }
    sleeper(&lab, &[&["--name", "second"], &flags[..]].concat());
    let _server = Server::new(&network_of(&lab, "second"), 53, "second");
    assert_eq!(ask_again(&socket).unwrap(), "second 192.0.2.2");
}

fn a_flushed_firewall() {
    let (host, outside) = two_hosts();
    let lab = host.lab();
    sleeper(&lab, &["--name", "web", "-p", "8080:80"]);
    sleeper(&lab, &["--name", "other", "-p", "8081:80"]);
    let _servers = ["web", "other"].map(|name| Server::new(&network_of(&lab, name), 80, name));
    let works = || {
        assert_eq!(outside.ask("192.0.2.1:8080").unwrap(), "web 192.0.2.2");
        assert_eq!(outside.ask("192.0.2.1:8081").unwrap(), "other 192.0.2.2");
    };
    works();
    let nft = |line: &str| {
        let words: Vec<&str> = ["nft"].into_iter().chain(line.split(' ')).collect();
        succeed(&mut host.command(&words))
    };
    let tables = nft("list tables");
    let table =
        tables.split_whitespace().find(|word| word.starts_with("wharf")).unwrap().to_owned();
    let repair = || {
        let out = lab.ends(1, &["system", "check"]);
        assert!(out.stdout.contains(&table), "{}", out.stdout);
        lab.ok(&["system", "check", "--repair"]);
        lab.ok(&["system", "check"]);
        works();
    };
    for line in [
        "flush ruleset".to_owned(),
        format!("flush table inet {table}"),
        format!("flush chain inet {table} published"),
        format!("flush map inet {table} any4"),
        format!("flush set inet {table} neighbours"),
        format!("flush set inet {table} masqueraded"),
        format!("delete table inet {table}"),
    ] {
        nft(&line);
        // Without rules the supervisors serve, as their own.
        repair();
    }
    // A port that nobody has is taken away.
    let stray = format!("add element inet {table} any4 {{ tcp . 99 : 10.9.9.9 . 99 }}");
    nft(&stray);
    repair();
    assert!(!nft(&format!("list map inet {table} any4")).contains("10.9.9.9"));
    // The next start mends it too, for all.
    nft("flush ruleset");
    sleeper(&lab, &["--name", "third"]);
    lab.ok(&["system", "check"]);
    works();
}

/// A port of 127.0.0.1 is nobody else's, even on a host that takes packets for it from elsewhere.
fn on_the_loopback_alone() {
    let (host, outside) = two_hosts();
    for host in [&host, &outside] {
        let line = "for f in /proc/sys/net/ipv4/conf/*/route_localnet; do echo 1 >$f; done";
        succeed(&mut host.command(&["sh", "-c", line]));
    }
    outside.ip("addr del 127.0.0.1/8 dev lo");
    outside.ip("route add 127.0.0.1/32 via 192.0.2.1");
    let lab = host.lab();
    sleeper(&lab, &["--name", "one", "-p", "127.0.0.1:9090:80"]);
    let _server = Server::new(&network_of(&lab, "one"), 80, "one");
    let _plain = Server::new(&host.file(), 9999, "plain");
    assert_eq!(outside.ask("127.0.0.1:9999").unwrap(), "plain 192.0.2.2");
    outside.reaches_nobody("127.0.0.1:9090");
    assert!(host.ask("127.0.0.1:9090").unwrap().starts_with("one "));
    lab.ok(&["rm", "-f", "one"]);
    // Not the port's any more.
    let _plain = Server::new(&host.file(), 9090, "plain");
    assert_eq!(outside.ask("127.0.0.1:9090").unwrap(), "plain 192.0.2.2");
}

fn a_legacy_firewall_is_named() {
    let host = Host::new();
    let lab = host.lab();
    let policy = |word: &str| {
        let mut command = host.command(&["iptables-legacy", "-P", "FORWARD", word]);
        command.stderr(std::process::Stdio::null()).status().unwrap().success()
    };
    let warned = || {
        let out = lab.ends(0, &["create", IMAGE, "true"]);
        out.stderr.contains("(iptables-legacy, chain FORWARD)")
    };
    assert!(!warned());
    if !policy("DROP") {
        // This kernel has no such tables.
        return;
    }
    assert!(warned());
    assert!(policy("ACCEPT"));
    assert!(!warned());
}

fn without_nf_tables() {
    let (host, outside) = two_hosts();
    let lab = host.lab();
    succeed(&mut host.command(&["sh", "-c", "echo 0 >/proc/sys/net/ipv4/ip_forward"]));
    let hidden = |words: &[&str]| {
        let out = without(&lab, &NF_TABLES, words);
        assert_eq!(out.code, 0, "{words:?}: {out:?}");
        out
    };
    let ports = ["-p", "8080:80", "-p", "5353:5300/udp"];
    let web = [&["run", "-d", "--name", "web"][..], &ports, &[IMAGE, "sleep", "100000"]].concat();
    let out = hidden(&web);
    assert!(out.stderr.contains("this kernel has no nf_tables"), "{out:?}");
    let inside = network_of(&lab, "web");
    let _servers = [Server::new(&inside, 80, "web"), Server::new(&inside, 5300, "dns")];
    let gateway = gateway(&lab, "web");
    for from in [&host, &outside] {
        assert_eq!(from.ask("192.0.2.1:8080").unwrap(), format!("web {gateway}"));
        let said = ask_udp(&from.file(), "192.0.2.1:5353").unwrap();
        assert_eq!(said, format!("dns {gateway}"));
    }
    assert_eq!(host.ask("127.0.0.1:8080").unwrap(), format!("web {gateway}"));
    // Networks are kept apart by nobody else.
    let forwarding = ["cat", "/proc/sys/net/ipv4/ip_forward"];
    assert_eq!(succeed(&mut host.command(&forwarding)).trim(), "0");
    hidden(&["network", "create", "net"]);
    hidden(&["run", "-d", "--name", "other", "--network", "net", IMAGE, "sleep", "100000"]);
    hidden(&["network", "connect", "net", "web"]);
    hidden(&["exec", "other", "nslookup", "web"]);
    hidden(&["system", "check"]);
    hidden(&["rm", "-f", "web", "other"]);
    hidden(&["network", "rm", "net"]);
    hidden(&["system", "check"]);
}
