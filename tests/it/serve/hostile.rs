//! Requests that nobody should make: none ends the server, hangs it, or gets anywhere.

use std::io::{Read, Write};

use serde_json::json;

use super::Served;
use crate::harness::{IMAGE, Test, eventually};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![bad_requests_are_refused, clients_that_stop_cost_nothing]
}

/// Returns the greatest memory that a process has had, in KiB.
pub(super) fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn bad_requests_are_refused() {
    let served = Served::new();
    let pid = served.pid();
    served.lab.ok(&["create", "--name", "web", IMAGE, "true"]);
    let secret = served.lab.root().join("secret");
    std::fs::write(&secret, "secret").unwrap();
    // Paths that would lead elsewhere.
    for path in [
        "/containers/../../etc/passwd/json",
        "/containers/%2e%2e%2f%2e%2e/json",
        "/containers/..%2fweb/json",
        "/v1.40/containers/%2e/json",
        "/volumes/..%2f..%2fsecret",
        "/volumes/%2e%2e",
        "/networks/..%2fx",
        "/images/..%2f..%2fx/json",
        "/containers/web%00/json",
        "/containers/%ff/json",
        "/containers//json",
        "/exec/..%2fx/json",
    ] {
        let reply = served.ask("GET", path, None);
        assert!(matches!(reply.status, 400 | 404) || path.contains("//"), "{path}: {reply:?}");
        assert!(!reply.body.contains("secret\n") && !reply.body.contains("root:"), "{reply:?}");
    }
    for name in ["../x", "a/b", "..", "a\u{0}b", "é", "-x", "x"] {
        let body = json!({"Image": IMAGE, "Cmd": ["true"]});
        let escaped: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let path = format!("/containers/create?name={escaped}");
        let reply = served.ask("POST", &path, Some(&body));
        assert_eq!(reply.status, 400, "{name:?}: {reply:?}");
        let volume = served.ask("POST", "/volumes/create", Some(&json!({"Name": name})));
        assert_eq!(volume.status, 400, "{name:?}: {volume:?}");
    }
    let body = json!({"Image": IMAGE, "HostConfig": {"Binds": ["../secret:/x"]}});
    assert_eq!(served.ask("POST", "/containers/create", Some(&body)).status, 400);
    let reply = served.ask("GET", "/containers/web/archive?path=../../../../secret", None);
    assert_eq!(reply.status, 404, "{reply:?}");
    // Documents that aren't.
    for text in ["{", "[]", "null", "5", "\"x\"", "{\"Image\":5}", "{\"Image\":\"box\"}x", "\u{0}"]
    {
        let request = format!(
            "POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{text}",
            text.len()
        );
        let answer = String::from_utf8_lossy(&served.raw(request.as_bytes(), false)).into_owned();
        assert!(answer.starts_with("HTTP/1.1 400"), "{text}: {answer}");
        assert!(answer.contains("{\"message\":"), "{text}: {answer}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let huge = format!("{{\"Image\":\"{}\"}}", "x".repeat(6 << 20));
    for (text, status) in [(deep, "400"), (huge, "413")] {
        let head = format!(
            "POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            text.len()
        );
        let answer = served.raw(&[head.as_bytes(), text.as_bytes()].concat(), false);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
    // Heads that aren't, bodies that break off, framing that contradicts itself.
    let long = format!("GET /_ping HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(200_000));
    let many = format!("GET /_ping HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(10_000));
    for request in [
        "\r\n\r\n",
        "GET\r\n\r\n",
        "NOPE / HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /_ping HTTP/9.9\r\n\r\n",
        "\u{16}\u{3}\u{1}",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /_ping HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        "POST /containers/create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\nzz\r\n",
        "POST /containers/create HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\nffffffffffffffff\r\n{",
        "POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"Im",
        "POST /images/load HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nnot a tar",
        "PUT /containers/web/archive?path=/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nnot a tar",
        "POST /containers/web/attach?stream=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
        &long,
        &many,
    ] {
        let answer = served.raw(request.as_bytes(), true);
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.contains("200 OK"), "{request:.60}: {answer}");
    }
    assert_eq!(served.ask("GET", "/_ping", None).body, "OK");
    assert_eq!(served.pid(), pid);
    assert!(peak(pid) < 200 << 10, "{} KiB", peak(pid));
    assert_eq!(served.lab.ok(&["ps", "-aq"]).lines().count(), 1);
    assert_eq!(served.lab.ok(&["volume", "ls", "-q"]), "");
}

fn clients_that_stop_cost_nothing() {
    let served = Served::new();
    let lab = &served.lab;
    lab.start(&["--name", "flood"], "head -c 8000000 /dev/zero | tr '\\0' x | fold -w 8000; echo; echo over >&2; exec sleep 1000");
    let sockets = || std::fs::read_dir(format!("/proc/{}/fd", served.pid())).unwrap().count();
    assert_eq!(served.ask("GET", "/containers/json", None).status, 200);
    // What is kept open for the next callers comes to some more.
    let few = sockets() + 24;
    // Followers that read nothing, and some that leave at once.
    let mut stopped = Vec::new();
    for number in 0..20 {
        let mut stream = served.connect();
        let request =
            "GET /containers/flood/logs?follow=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: x\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        if number % 2 == 0 {
            stopped.push(stream);
        }
    }
    // The container isn't held up by them.
    let last = || lab.run(&["logs", "-n", "9", "flood"]).stderr;
    eventually("it has written all", || last().contains("over"));
    for stream in &mut stopped {
        let mut first = [0; 1024];
        assert!(stream.read(&mut first).unwrap() > 0);
    }
    assert!(peak(served.pid()) < 200 << 10, "{} KiB", peak(served.pid()));
    assert_eq!(served.ask("GET", "/_ping", None).body, "OK");
    // An attached client that has gone is let go of.
    lab.start(&["--name", "quiet", "-i"], "exec sleep 1000");
    drop(stopped);
    eventually("the followers are gone", || sockets() < few);
    for _ in 0..10 {
        let mut stream = served.connect();
        let request = "POST /containers/quiet/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\n\
                       Host: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
        stream.write_all(request.as_bytes()).unwrap();
        let mut head = [0; 32];
        stream.read_exact(&mut head).unwrap();
        assert!(head.starts_with(b"HTTP/1.1 101"));
    }
    eventually("the attached ones are gone", || sockets() < few);
    assert_eq!(lab.inspect("quiet", "/State/Status"), "running");
}
