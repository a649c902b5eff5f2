//! Attaching by a websocket, and by requests that don't say that they leave HTTP.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::json;

use super::Served;
use crate::harness::{IMAGE, Test, eventually};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![messages_carry_the_streams, a_connection_is_taken_over_as_it_is]
}

/// A client of a few lines: it masks what it sends, as clients must (RFC 6455, section 5.3).
struct Client(UnixStream);

impl Client {
    fn open(served: &Served, path: &str) -> Self {
        let mut stream = served.connect();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: \
             websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \
             dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let head = head(&mut stream);
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        Self(stream)
    }

    fn send(&mut self, kind: u8, data: &[u8]) {
        let mask = [1, 2, 3, 4];
        let mut frame = vec![0x80 | kind];
        match u16::try_from(data.len()).unwrap() {
            length @ 0..126 => frame.push(0x80 | u8::try_from(length).unwrap()),
            length => {
                frame.push(0x80 | 126);
                frame.extend(length.to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(data.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.0.write_all(&frame).unwrap();
    }

    /// Returns the next message's kind and data.
    fn receive(&mut self) -> (u8, Vec<u8>) {
        let mut start = [0; 2];
        self.0.read_exact(&mut start).unwrap();
        let length = match start[1] {
            126 => {
                let mut length = [0; 2];
                self.0.read_exact(&mut length).unwrap();
                u16::from_be_bytes(length).into()
            }
            short => usize::from(short),
        };
        let mut data = vec![0; length];
        self.0.read_exact(&mut data).unwrap();
        (start[0] & 0xf, data)
    }

    /// Returns what messages of this kind say until there is this in it.
    fn until(&mut self, kind: u8, end: &str) -> String {
        let mut all = String::new();
        while !all.contains(end) {
            let (found, data) = self.receive();
            assert_eq!(found, kind, "{all:?}");
            all.push_str(std::str::from_utf8(&data).unwrap());
        }
        all
    }
}

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

fn head(stream: &mut UnixStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn make(served: &Served, tty: bool, line: &str) -> String {
    let body = json!({"Image": IMAGE, "Cmd": ["sh", "-c", line], "OpenStdin": true, "Tty": tty,
        "StdinOnce": true, "AttachStdin": true, "HostConfig": {"NetworkMode": "none"}});
    let reply = served.ask("POST", "/containers/create", Some(&body));
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.json()["Id"].as_str().unwrap().to_owned()
}

fn start(served: &Served, id: &str) {
    assert_eq!(served.ask("POST", &format!("/containers/{id}/start"), None).status, 204);
}

fn messages_carry_the_streams() {
    let served = Served::new();
    let line = "read a; echo got $a; echo bad >&2; read b; echo \"and ${#b}\"; exit 3";
    let id = make(&served, false, line);
    let plain = served.ask("GET", &format!("/containers/{id}/attach/ws?stream=1"), None);
    assert_eq!(plain.status, 400, "{plain:?}");
    // Before the start, as one likes it; both outputs come as they are, in one.
    let path = format!("/containers/{id}/attach/ws?stream=1&stdin=1&stdout=1&stderr=1");
    let mut client = Client::open(&served, &path);
    start(&served, &id);
    client.send(PING, b"there?");
    assert_eq!(client.receive(), (PONG, b"there?".to_vec()));
    client.send(TEXT, b"one\n");
    let seen = client.until(BINARY, "bad\n");
    assert!(seen.contains("got one\n"), "{seen}");
    client.send(BINARY, &[b'x'; 300]);
    client.send(BINARY, b"\n");
    client.until(BINARY, "and 300\n");
    // The end of the container is the connection's.
    assert_eq!(client.receive().0, CLOSE);
    // Clients of old have text, and all streams.
    let id = make(&served, true, "cat");
    start(&served, &id);
    let mut client = Client::open(
        &served,
        &format!("/v1.27/containers/{id}/attach/ws?stream=1&detachKeys=ctrl-a,x"),
    );
    client.send(TEXT, b"hi\n");
    client.until(TEXT, "hi\r\nhi\r\n");
    client.send(TEXT, b"\x01x");
    let mut rest = Vec::new();
    let _ = client.0.read_to_end(&mut rest);
    assert_eq!(served.lab.inspect(&id, "/State/Status"), "running");
    // Whoever leaves is let go of, and whoever breaks the rules too; the container goes on.
    let path = format!("/containers/{id}/attach/ws?stream=1&stdin=1&stdout=1");
    let sockets = || std::fs::read_dir(format!("/proc/{}/fd", served.pid())).unwrap().count();
    let few = sockets() + 24;
    for bytes in
        [&b"\x88\x80\x01\x02\x03\x04"[..], b"\x82\x05abcde", b"\xff\xff\xff\xff\xff\xff", b""]
    {
        for _ in 0..10 {
            let mut client = Client::open(&served, &path);
            client.0.write_all(bytes).unwrap();
        }
    }
    eventually("they are let go of", || sockets() < few);
    assert_eq!(served.lab.inspect(&id, "/State/Status"), "running");
    // What was, too.
    let id = make(&served, false, "echo before; exec cat");
    start(&served, &id);
    served.lab.wait_for_log(&id, "before");
    let path = format!("/containers/{id}/attach/ws?logs=1&stdout=1");
    let mut client = Client::open(&served, &path);
    assert_eq!(client.until(BINARY, "\n"), "before\n");
    assert_eq!(client.receive().0, CLOSE);
}

fn a_connection_is_taken_over_as_it_is() {
    let served = Served::new();
    // As old clients do: no word of an upgrade, and bytes right behind the request.
    let id = make(&served, false, "read a; echo got $a; cat");
    let mut stream = served.connect();
    let request = format!(
        "POST /v1.24/containers/{id}/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: x\r\n\r\none\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let found = head(&mut stream);
    assert!(found.starts_with("HTTP/1.1 200 OK\r\n"), "{found}");
    assert!(found.contains("application/vnd.docker.raw-stream"), "{found}");
    start(&served, &id);
    let mut seen = [0; 16];
    stream.read_exact(&mut seen).unwrap();
    assert_eq!(&seen, b"\x01\0\0\0\0\0\0\x08got one\n");
    stream.write_all(b"two").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"\x01\0\0\0\0\0\0\x03two");
    // A further program the same, whose number is the host's.
    let id = make(&served, false, "exec sleep 1000");
    start(&served, &id);
    let body = json!({"Cmd": ["sh", "-c", "read a; echo $a $$; read b"], "AttachStdin": true,
        "AttachStdout": true});
    let made = served.ask("POST", &format!("/containers/{id}/exec"), Some(&body)).json();
    let exec = made["Id"].as_str().unwrap().to_owned();
    let look = || served.ask("GET", &format!("/exec/{exec}/json"), None).json();
    assert_eq!(look()["Pid"], 0);
    let mut stream = served.connect();
    let request = format!(
        "POST /exec/{exec}/start HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: 2\r\n\r\n{{}}early\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    assert!(head(&mut stream).starts_with("HTTP/1.1 200 OK\r\n"));
    let mut frame = [0; 8];
    stream.read_exact(&mut frame).unwrap();
    let mut text = vec![0; usize::from(frame[7])];
    stream.read_exact(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let inside = text.trim().strip_prefix("early ").unwrap();
    // The kernel tells both numbers of the process.
    let pid = look()["Pid"].as_i64().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let numbers = status.lines().find(|line| line.starts_with("NSpid:")).unwrap();
    assert_eq!(numbers.split_whitespace().last(), Some(inside), "{status}");
    stream.write_all(b"end\n").unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    eventually("it has ended", || look()["ExitCode"] == 0);
    assert_eq!(look()["Pid"], pid, "it was that");
}
