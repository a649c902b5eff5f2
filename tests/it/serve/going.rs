//! Clients that go while something is done for them or for others, and clients that come late.

use std::io::{Read, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::Served;
use crate::harness::{IMAGE, Test, eventually};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        who_starts_a_container_may_go,
        who_starts_a_program_may_go,
        a_start_that_was_missed_is_noticed,
    ]
}

/// How long clients stay after their requests: from one that is gone before it is heard, to one that is
/// gone when all is done.
fn stays() -> impl Iterator<Item = Duration> {
    (0..24).map(|number| Duration::from_millis(2 * number))
}

/// Sends a request and goes away.
fn ask_and_go(served: &Served, path: &str, body: &Value, stay: Duration) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = served.connect();
    stream.write_all(request.as_bytes()).unwrap();
    std::thread::sleep(stay);
}

/// Returns a connection that is attached to a container's standard output, its head read.
fn attach(served: &Served, name: &str, query: &str) -> std::os::unix::net::UnixStream {
    let mut stream = served.connect();
    let path = format!("/containers/{name}/attach?stream=1&stdout=1{query}");
    write!(stream, "POST {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    stream
}

fn who_starts_a_container_may_go() {
    let served = Served::new();
    let body = json!({"Image": IMAGE, "Cmd": ["echo", "hello"], "Tty": true,
        "HostConfig": {"NetworkMode": "none"}});
    for (number, stay) in stays().enumerate() {
        let made = served.ask("POST", &format!("/containers/create?name=one{number}"), Some(&body));
        assert_eq!(made.status, 201, "{made:?}");
        let mut other = attach(&served, &format!("one{number}"), "");
        let start = format!("/containers/one{number}/start");
        ask_and_go(&served, &start, &Value::Null, stay);
        // Whichever of the two starts it, whoever is attached has all of it.
        let again = served.ask("POST", &start, None);
        assert!(matches!(again.status, 204 | 304), "{again:?}");
        let mut said = String::new();
        other.read_to_string(&mut said).unwrap();
        assert_eq!(said, "hello\r\n", "after {stay:?}");
    }
}

fn who_starts_a_program_may_go() {
    let served = Served::new();
    served.lab.start(&["--name", "web"], "exec sleep 1000");
    let program = json!({"Cmd": ["true"]});
    let paths: Vec<String> = stays()
        .map(|stay| {
            let made = served.ask("POST", "/containers/web/exec", Some(&program)).json();
            let path = format!("/exec/{}", made["Id"].as_str().unwrap());
            ask_and_go(&served, &format!("{path}/start"), &json!({"Detach": true}), stay);
            path
        })
        .collect();
    for path in paths {
        eventually("it has ended, if it was started at all", || {
            served.ask("GET", &format!("{path}/json"), None).json()["Running"] == false
        });
    }
}

/// Somebody else starts the container while a client that is attached to it still reads what was.
fn a_start_that_was_missed_is_noticed() {
    let served = Served::new();
    let script = "if [ -e /again ]; then while :; do echo again; sleep 0.1; done; fi; touch /again; \
                  head -c 4000000 /dev/zero | tr '\\0' x | fold -w 8000";
    served.lab.ok(&["run", "--name", "late", "--network", "none", IMAGE, "sh", "-c", script]);
    let mut stream = attach(&served, "late", "&logs=1");
    served.lab.ok(&["start", "late"]);
    let mut said = Vec::new();
    let mut piece = vec![0; 1 << 16];
    while !said.ends_with(b"again\n") {
        let length = stream.read(&mut piece).expect("it goes on");
        assert_ne!(length, 0, "it isn't over");
        said.extend_from_slice(&piece[..length]);
    }
}
