//! Who must not reach whom: networks apart, internal ones, containers that don't talk.

use std::net::TcpListener;

use crate::harness::{IMAGE, Lab, PATIENCE, Test, eventually, lacks_programs};
use crate::hosts::{Host, SHORT, Server, ask, ask_udp, network_of, within};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    let all = tests![
        networks_are_apart,
        internal_networks,
        containers_that_do_not_talk,
        without_masquerading,
        ipv6_is_no_way_round,
        ports_follow_the_networks,
        ports_come_and_go_with_the_way_in,
    ];
    all.into_iter().map(|test| test.needing(lacks_programs(&["nsenter"]))).collect()
}

#[track_caller]
fn on(lab: &Lab, network: &str, name: &str, flags: &[&str]) -> String {
    let start = ["run", "-d", "--name", name, "--network", network];
    lab.ok(&[&start[..], flags, &[IMAGE, "sleep", "100000"]].concat());
    network_of(lab, name)
}

fn address(lab: &Lab, container: &str, network: &str) -> String {
    let pointer = format!("/NetworkSettings/Networks/{network}/IPAddress");
    lab.inspect(container, &pointer).as_str().unwrap().to_owned()
}

/// A host with an engine, and another host: 192.0.2.1 and 192.0.2.2.
fn two_hosts() -> (Host, Host) {
    let (host, outside) = (Host::new(), Host::new());
    host.join(&["192.0.2.1/24"], &outside, &["192.0.2.2/24"]);
    (host, outside)
}

#[track_caller]
fn reaches(from: &str, to: &str) -> String {
    ask(from, to, *PATIENCE).unwrap_or_else(|error| panic!("{to}: {error}"))
}

#[track_caller]
fn is_kept_from(from: &str, to: &str) {
    let got = ask(from, to, SHORT);
    assert!(got.is_err(), "{to} is reached: {got:?}");
}

fn networks_are_apart() {
    let (host, _outside) = two_hosts();
    let lab = host.lab();
    for name in ["red", "blue"] {
        lab.ok(&["network", "create", name]);
    }
    let red = on(&lab, "red", "red1", &["-p", "8080:80"]);
    let blue = on(&lab, "blue", "blue1", &[]);
    let plain = on(&lab, "bridge", "plain", &[]);
    let _servers = [Server::new(&red, 80, "red"), Server::new(&blue, 80, "blue")];
    let (to_red, to_blue) = (address(&lab, "red1", "red"), address(&lab, "blue1", "blue"));
    for (from, to) in [(&red, &to_blue), (&blue, &to_red), (&plain, &to_red), (&plain, &to_blue)] {
        is_kept_from(from, &format!("{to}:80"));
    }
    for from in [&red, &blue, &plain] {
        assert!(reaches(from, "192.0.2.1:8080").starts_with("red "));
    }
    // Whoever is on both reaches both.
    lab.ok(&["network", "connect", "red", "plain"]);
    reaches(&plain, &format!("{to_red}:80"));
    is_kept_from(&plain, &format!("{to_blue}:80"));
}

fn internal_networks() {
    let (host, outside) = two_hosts();
    let lab = host.lab();
    lab.ok(&["network", "create", "--internal", "--subnet", "10.77.0.0/24", "deep"]);
    let one = on(&lab, "deep", "one", &["-p", "8080:80"]);
    let two = on(&lab, "deep", "two", &[]);
    let open = on(&lab, "bridge", "open", &["-p", "8081:80"]);
    let _servers = [
        Server::new(&one, 80, "one"),
        Server::new(&open, 80, "open"),
        Server::new(&outside.file(), 80, "outside"),
        Server::new(&host.file(), 90, "host"),
    ];
    let inside = address(&lab, "one", "deep");
    assert!(reaches(&two, &format!("{inside}:80")).starts_with("one "));
    // Even a container that makes itself a way out has none.
    for name in ["one", "two"] {
        let pid = lab.pid(name).to_string();
        let busybox = crate::harness::busybox();
        let mut command = std::process::Command::new("nsenter");
        command.args(["-t", &pid, "-n"]).arg(busybox);
        command.args(["ip", "route", "add", "default", "via", "10.77.0.1"]);
        crate::hosts::succeed(&mut command);
    }
    for to in ["192.0.2.2:80", "192.0.2.1:90", "192.0.2.1:8081", "10.77.0.1:8081"] {
        is_kept_from(&two, to);
    }
    is_kept_from(&two, &format!("{}:80", address(&lab, "open", "bridge")));
    is_kept_from(&open, &format!("{inside}:80"));
    outside.ip("route add 10.77.0.0/24 via 192.0.2.1");
    outside.reaches_nobody(&format!("{inside}:80"));
    assert!(outside.ask("192.0.2.1:8080").is_err(), "nothing is published of it");
    // The host itself does, and its gateway is reached.
    assert!(host.ask(&format!("{inside}:80")).unwrap().starts_with("one "));
    assert!(reaches(&two, "10.77.0.1:90").starts_with("host "));
}

fn containers_that_do_not_talk() {
    let (host, outside) = two_hosts();
    let lab = host.lab();
    let option = "com.docker.network.bridge.enable_icc=false";
    lab.ok(&["network", "create", "-o", option, "quiet"]);
    let one = on(&lab, "quiet", "one", &["-p", "8080:80"]);
    let two = on(&lab, "quiet", "two", &[]);
    let _servers = [
        Server::new(&one, 80, "one"),
        Server::new(&two, 80, "two"),
        Server::new(&outside.file(), 80, "outside"),
    ];
    is_kept_from(&two, &format!("{}:80", address(&lab, "one", "quiet")));
    is_kept_from(&one, &format!("{}:80", address(&lab, "two", "quiet")));
    // Not even through the gateway, as who makes his own packets could.
    let pid = lab.pid("two").to_string();
    let (busybox, to) = (crate::harness::busybox(), address(&lab, "one", "quiet"));
    let gateway = lab.inspect("two", "/NetworkSettings/Networks/quiet/Gateway");
    let mut command = std::process::Command::new("nsenter");
    command.args(["-t", &pid, "-n"]).arg(busybox);
    command.args(["ip", "route", "add", &to, "via", gateway.as_str().unwrap()]);
    crate::hosts::succeed(&mut command);
    is_kept_from(&two, &format!("{to}:80"));
    // What is published is for all, and the outside is open.
    assert!(reaches(&two, "192.0.2.1:8080").starts_with("one "));
    assert_eq!(outside.ask("192.0.2.1:8080").unwrap(), "one 192.0.2.2");
    assert_eq!(reaches(&two, "192.0.2.2:80"), "outside 192.0.2.1");
}

fn without_masquerading() {
    let (host, outside) = two_hosts();
    let lab = host.lab();
    let option = "com.docker.network.bridge.enable_ip_masquerade=false";
    lab.ok(&["network", "create", "-o", option, "--subnet", "10.78.0.0/24", "bare"]);
    let one = on(&lab, "bare", "one", &[]);
    let _server = Server::new(&outside.file(), 80, "outside");
    is_kept_from(&one, "192.0.2.2:80");
    outside.ip("route add 10.78.0.0/24 via 192.0.2.1");
    let own = address(&lab, "one", "bare");
    assert_eq!(reaches(&one, "192.0.2.2:80"), format!("outside {own}"));
}

fn ipv6_is_no_way_round() {
    let (host, outside) = (Host::new(), Host::new());
    host.join(&["192.0.2.1/24", "2001:db8::1/64"], &outside, &["192.0.2.2/24", "2001:db8::2/64"]);
    let lab = host.lab();
    lab.ok(&["network", "create", "--ipv6", "--subnet", "fd00:77::/64", "six"]);
    let one = on(&lab, "six", "one", &["-p", "8080:80"]);
    let plain = on(&lab, "bridge", "plain", &[]);
    let _servers = [
        Server::new(&one, 80, "one"),
        Server::new(&one, 81, "hidden"),
        Server::new(&outside.file(), 80, "outside"),
    ];
    let own = lab.inspect("one", "/NetworkSettings/Networks/six/GlobalIPv6Address");
    let own = own.as_str().unwrap();
    let six = || ask(&outside.file(), "[2001:db8::1]:8080", SHORT);
    eventually("IPv6 gets through", || six().is_ok());
    assert_eq!(outside.ask("[2001:db8::1]:8080").unwrap(), "one 2001:db8::2");
    assert!(host.ask("[::1]:8080").unwrap().starts_with("one "));
    assert_eq!(reaches(&one, "[2001:db8::2]:80"), "outside 2001:db8::1");
    outside.ip("-6 route add fd00:77::/64 via 2001:db8::1");
    for port in [80, 81] {
        assert!(ask(&outside.file(), &format!("[{own}]:{port}"), SHORT).is_err());
        is_kept_from(&plain, &format!("[{own}]:{port}"));
    }
    lab.ok(&["rm", "-f", "one"]);
    assert!(ask(&outside.file(), "[2001:db8::1]:8080", SHORT).is_err());
}

fn ports_follow_the_networks() {
    let (host, outside) = two_hosts();
    let lab = host.lab();
    lab.ok(&["network", "create", "a"]);
    lab.ok(&["network", "create", "b"]);
    let web = on(&lab, "b", "web", &["-p", "8080:80"]);
    let _server = Server::new(&web, 80, "web");
    assert_eq!(outside.ask("192.0.2.1:8080").unwrap(), "web 192.0.2.2");
    // The way out moves, and the port with it.
    lab.ok(&["network", "connect", "a", "web"]);
    assert_eq!(outside.ask("192.0.2.1:8080").unwrap(), "web 192.0.2.2");
    lab.ok(&["network", "disconnect", "b", "web"]);
    assert_eq!(outside.ask("192.0.2.1:8080").unwrap(), "web 192.0.2.2");
    assert!(host.ask("127.0.0.1:8080").unwrap().starts_with("web "));
    lab.ok(&["system", "check"]);
}

fn ports_come_and_go_with_the_way_in() {
    let (host, outside) = two_hosts();
    let lab = host.lab();
    lab.ok(&["network", "create", "--internal", "deep"]);
    for name in ["open", "other"] {
        lab.ok(&["network", "create", name]);
    }
    let web = on(&lab, "deep", "web", &["-p", "8080:80", "-p", "5353:53/udp"]);
    let _servers = [Server::new(&web, 80, "web"), Server::new(&web, 53, "names")];
    let free = |port: u16| within(&host.file(), || TcpListener::bind(("0.0.0.0", port)).is_ok());
    let has_none = || {
        assert!(outside.ask("192.0.2.1:8080").is_err() && host.ask("127.0.0.1:8080").is_err());
        assert_eq!(lab.ok(&["port", "web"]), "");
        assert!(free(8080));
        lab.ok(&["system", "check"]);
    };
    has_none();
    // Somebody else has the port: the container stays where it was.
    let taken = within(&host.file(), || TcpListener::bind("0.0.0.0:8080").unwrap());
    let connect = ["network", "connect", "open", "web"];
    lab.fails(1, "Bind for 0.0.0.0:8080 failed: port is already allocated", &connect);
    drop(taken);
    assert_eq!(lab.ok(&["exec", "web", "ls", "/sys/class/net"]), "eth0\nlo");
    assert_eq!(lab.ok(&["ps", "--format", "{{.Networks}}"]), "deep");
    has_none();
    for _ in 0..2 {
        lab.ok(&connect);
        assert_eq!(outside.ask("192.0.2.1:8080").unwrap(), "web 192.0.2.2");
        assert!(host.ask("127.0.0.1:8080").unwrap().starts_with("web "));
        assert_eq!(ask_udp(&outside.file(), "192.0.2.1:5353").unwrap(), "names 192.0.2.2");
        assert_eq!(lab.ok(&["port", "web", "80"]), "0.0.0.0:8080\n[::]:8080");
        lab.ok(&["system", "check"]);
        // From one way in to the other, and then none.
        lab.ok(&["network", "connect", "other", "web"]);
        lab.ok(&["network", "disconnect", "open", "web"]);
        assert_eq!(outside.ask("192.0.2.1:8080").unwrap(), "web 192.0.2.2");
        lab.ok(&["network", "disconnect", "other", "web"]);
        has_none();
    }
    // Off all networks and back on one.
    lab.ok(&["network", "disconnect", "deep", "web"]);
    has_none();
    lab.ok(&connect);
    assert_eq!(outside.ask("192.0.2.1:8080").unwrap(), "web 192.0.2.2");
    lab.ok(&["rm", "-f", "web"]);
    assert!(free(8080));
    lab.ok(&["system", "check"]);
}
