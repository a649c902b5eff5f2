//! `network reach`: a real attempt between real containers, and the reason of each no.

use crate::harness::{IMAGE, Lab, Test};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        who_listens_is_reached,
        each_no_has_its_reason,
        what_does_not_run_is_named,
        names_are_resolved_as_in_the_container,
        nothing_is_asked_that_makes_no_sense,
    ]
}

/// A server on port 80, and what says that it is there.
const SERVE: &str = "mkdir -p /www; httpd -p 80 -h /www && echo up; sleep 1000";

/// Starts a container that runs a shell line, on the default network unless told otherwise.
fn start(lab: &Lab, flags: &[&str], line: &str) {
    lab.ok(&[&["run", "-d"], flags, &[IMAGE, "sh", "-c", line]].concat());
}

fn serve(lab: &Lab, flags: &[&str], name: &str) {
    start(lab, &[flags, &["--name", name]].concat(), SERVE);
    lab.wait_for_log(name, "up");
}

/// Returns what was said, after checking the answer.
#[track_caller]
fn reach(lab: &Lab, reached: bool, from: &str, to: &str, port: &str) -> String {
    let out = lab.ends(i32::from(!reached), &["network", "reach", from, to, port]);
    assert!(out.stderr.is_empty(), "{out:?}");
    out.stdout
}

fn who_listens_is_reached() {
    let lab = Lab::new();
    serve(&lab, &[], "server");
    start(&lab, &["--name", "client"], "sleep 1000");
    let said = reach(&lab, true, "client", "server", "80");
    assert!(said.contains("connected within"), "{said}");
    // By the beginning of its id, and by its address.
    let id = lab.inspect("server", "/Id");
    reach(&lab, true, "client", &id.as_str().unwrap()[..12], "80");
    let address = lab.inspect("server", "/NetworkSettings/Networks/bridge/IPAddress");
    reach(&lab, true, "client", address.as_str().unwrap(), "80");
    // Itself, at the loopback.
    reach(&lab, true, "server", "localhost", "80");
    // One that is paused still has its connections taken.
    lab.ok(&["pause", "server"]);
    let said = reach(&lab, true, "client", "server", "80");
    assert!(said.contains("server is paused"), "{said}");
    lab.ok(&["unpause", "server"]);
}

fn each_no_has_its_reason() {
    let lab = Lab::new();
    for network in ["front", "back"] {
        lab.ok(&["network", "create", network]);
    }
    lab.ok(&["network", "create", "--internal", "inner"]);
    serve(&lab, &["--network", "front"], "server");
    start(&lab, &["--name", "near", "--network", "front"], "sleep 1000");
    start(&lab, &["--name", "far", "--network", "back"], "sleep 1000");
    start(&lab, &["--name", "shut", "--network", "inner"], "sleep 1000");
    start(&lab, &["--name", "alone", "--network", "none"], "sleep 1000");
    let line = "mkdir -p /www; httpd -p 127.0.0.1:80 -h /www && echo up; sleep 1000";
    start(&lab, &["--name", "shy", "--network", "front"], line);
    lab.wait_for_log("shy", "up");
    for (from, to, port, wanted) in [
        ("near", "server", "81", "nothing listens on TCP port 81 in server"),
        ("near", "server", "81", "server listens on 80"),
        ("near", "shy", "80", "at the loopback only"),
        ("near", "shy", "80", "listens on 127.0.0.1:80"),
        ("near", "alone", "80", "alone is on no network"),
        ("alone", "server", "80", "alone is on no network"),
        // The documentation's network (RFC 5737), where nobody is.
        ("shut", "192.0.2.1", "80", "shut is on internal networks only (inner)"),
    ] {
        let said = reach(&lab, false, from, to, port);
        assert!(said.contains(wanted), "{from} {to} {port}: {wanted}\n{said}");
    }
    // Whether another network keeps packets out is the firewall's affair; what is said of it isn't.
    let out = lab.run(&["network", "reach", "far", "server", "80"]);
    match out.code {
        0 => assert!(out.stdout.contains("connected"), "{out:?}"),
        1 => {
            let wanted = "no common network: far is on back, server on front; \
                          'wharf network connect front far' gives them one";
            assert!(out.stdout.contains(wanted), "{out:?}");
        }
        _ => panic!("{out:?}"),
    }
    // The way out that is told works.
    lab.ok(&["network", "connect", "front", "far"]);
    reach(&lab, true, "far", "server", "80");
}

fn what_does_not_run_is_named() {
    let lab = Lab::new();
    start(&lab, &["--name", "gone"], "exit 0");
    lab.ok(&["wait", "gone"]);
    start(&lab, &["--name", "here"], "sleep 1000");
    let said = reach(&lab, false, "here", "gone", "80");
    assert!(said.contains("gone is not running (exited): 'wharf start gone' starts it"), "{said}");
    let said = reach(&lab, false, "gone", "here", "80");
    assert!(said.contains("gone is not running (exited)"), "{said}");
}

fn names_are_resolved_as_in_the_container() {
    let lab = Lab::new();
    serve(&lab, &[], "server");
    let address = lab.inspect("server", "/NetworkSettings/Networks/bridge/IPAddress");
    let address = address.as_str().unwrap();
    // A name server that isn't there answers nobody; what the hosts file says needs none.
    let flags =
        ["--name", "client", "--add-host", &format!("shop:{address}"), "--dns", "127.0.0.1"];
    start(&lab, &flags, "sleep 1000");
    let said = reach(&lab, true, "client", "shop", "80");
    assert!(said.contains(&format!("shop resolves to {address} (its /etc/hosts)")), "{said}");
    let said = reach(&lab, false, "client", "nobody.example", "80");
    assert!(said.contains("no container and no host is called nobody.example"), "{said}");
    assert!(said.contains("127.0.0.1 doesn't answer"), "{said}");
    // What the container does to its file while it runs counts, and leads nowhere else.
    let line = "echo '127.0.0.1 shop' > /etc/hosts";
    lab.ok(&["exec", "client", "sh", "-c", line]);
    let said = reach(&lab, false, "client", "shop", "80");
    assert!(said.contains("shop resolves to 127.0.0.1"), "{said}");
}

fn nothing_is_asked_that_makes_no_sense() {
    let lab = Lab::new();
    start(&lab, &["--name", "here"], "sleep 1000");
    lab.fails(1, "No such container: nobody", &["network", "reach", "nobody", "here", "80"]);
    for port in ["0", "65536", "http", ""] {
        let out = lab.run(&["network", "reach", "here", "here", port]);
        assert!(out.code != 0 && out.stderr.contains("invalid port"), "{port}: {out:?}");
    }
    assert!(lab.ok(&["network", "reach", "--help"]).contains("docker has no such verb"));
}
