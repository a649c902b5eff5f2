//! Clients that stay, hundreds of them: dashboards, log shippers, scripts that wait.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use super::Served;
use crate::harness::{PATIENCE, Test, eventually, lacks_programs};

pub(crate) fn tests() -> Vec<Test> {
    vec![Test::new("hundreds_stay_and_cost_little", stay).needing(lacks_programs(&["curl"]))]
}

/// How many of each: more than the inotify instances that the kernel gives a user.
const EACH: usize = 135;

/// What a client that stays may cost, in KiB: half of what a thread of its own did.
const COST: usize = 64;

/// A client, and what it has heard.
struct Client {
    stream: UnixStream,
    heard: String,
}

impl Client {
    fn new(served: &Served, request: &str) -> Self {
        let mut stream = served.connect();
        write!(stream, "{request} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").unwrap();
        Self { stream, heard: String::new() }
    }

    /// Reads until this text has come.
    #[track_caller]
    fn hears(&mut self, text: &str) {
        let mut piece = [0; 4096];
        while !self.heard.contains(text) {
            let length = self.stream.read(&mut piece).unwrap();
            assert!(length > 0, "{text:?} in {:?}", self.heard);
            self.heard.push_str(&String::from_utf8_lossy(&piece[..length]));
        }
    }
}

/// Returns the server's own memory, in KiB.
fn memory(served: &Served) -> usize {
    let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", served.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Private_Dirty:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn threads(served: &Served) -> usize {
    std::fs::read_dir(format!("/proc/{}/task", served.pid())).unwrap().count()
}

fn stay() {
    let served = Served::new();
    let line = "trap 'echo heard' USR1; trap 'exit 7' TERM; echo begun; \
                while :; do sleep 0.1; done";
    let id = served.lab.start(&["--name", "web"], line);
    served.lab.wait_for_log("web", "begun");
    assert_eq!(served.ask("GET", "/containers/json", None).status, 200);
    let before = memory(&served);
    let many = |request: &str| -> Vec<Client> {
        (0..EACH).map(|_| Client::new(&served, request)).collect()
    };
    let mut events = many("GET /events");
    let mut logs = many("GET /containers/web/logs?follow=1&stdout=1");
    let mut waits = many("POST /containers/web/wait");
    let mut statistics: Vec<Client> =
        (0..20).map(|_| Client::new(&served, "GET /containers/web/stats")).collect();
    for client in events.iter_mut().chain(&mut logs).chain(&mut waits) {
        client.hears("\r\n\r\n");
        assert!(client.heard.starts_with("HTTP/1.1 200"), "{}", client.heard);
    }
    logs.iter_mut().for_each(|client| client.hears("begun\n"));
    for client in &mut statistics {
        client.hears("\"preread\":\"2");
        assert!(client.heard.contains("\"percpu_usage\"") || client.heard.contains("\"usage\""));
    }
    // Nobody keeps a thread, and what their requests needed is given back.
    eventually("nobody has a thread of its own", || threads(&served) < 32);
    let clients = 3 * EACH + statistics.len();
    let cost = || memory(&served).saturating_sub(before) / clients;
    let deadline = Instant::now() + *PATIENCE;
    while cost() >= COST {
        assert!(Instant::now() < deadline, "{} KiB for each", cost());
        std::thread::yield_now();
    }
    // All hear of the same things, and others are served meanwhile.
    served.lab.ok(&["kill", "--signal", "USR1", "web"]);
    assert_eq!(served.ask("GET", "/containers/web/json", None).json()["Id"], id.as_str());
    events.iter_mut().for_each(|client| client.hears("\"Action\":\"kill\""));
    logs.iter_mut().for_each(|client| client.hears("heard\n"));
    served.lab.ok(&["kill", "--signal", "TERM", "web"]);
    events.iter_mut().for_each(|client| client.hears("\"exitCode\":\"7\""));
    waits.iter_mut().for_each(|client| client.hears("{\"StatusCode\":7}"));
    // The last piece of a body: a log that is followed ends with its container.
    logs.iter_mut().for_each(|client| client.hears("\r\n0\r\n\r\n"));
    drop((events, logs, waits));
    served.lab.ok(&["rm", "web"]);
    // Statistics end with the container itself.
    statistics.iter_mut().for_each(|client| client.hears("\r\n0\r\n\r\n"));
}
