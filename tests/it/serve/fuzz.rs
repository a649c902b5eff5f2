//! Requests that a machine makes up: none ends the server, hangs it, makes it grow without end, or gets
//! out of the engine's root.
//!
//! A run is decided by its seed. `WHARF_FUZZ_SEED` gives another one, and `WHARF_FUZZ_SECONDS` lets it
//! go on for so long.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::Served;
use crate::harness::{IMAGE, Lab, PATIENCE, Test, eventually, folder};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![made_up_requests_do_no_harm]
}

/// How many requests there are when nobody says for how long.
const REQUESTS: usize = 600;

/// How many are made at once.
const AT_ONCE: usize = 4;

/// How long an answer may pause before the client says that it says no more: a request that was cut
/// short waits for its rest, and a stream has no end of its own.
const PAUSE: Duration = Duration::from_millis(100);

/// xorshift64*.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn of<'l>(&mut self, list: &[&'l str]) -> &'l str {
        list[self.below(list.len())]
    }
}

const METHODS: &[&str] = &[
    "GET", "GET", "GET", "POST", "POST", "POST", "DELETE", "HEAD", "PUT", "PATCH", "OPTIONS",
    "get", "", "G\0T",
];

const ROUTES: &[&str] = &[
    "_ping",
    "version",
    "info",
    "system/df",
    "events",
    "auth",
    "commit",
    "build",
    "swarm",
    "plugins",
    "plugins/N/json",
    "plugins/N/enable",
    "plugins/N",
    "containers/json",
    "containers/create",
    "containers/prune",
    "containers/N/json",
    "containers/N/top",
    "containers/N/changes",
    "containers/N/export",
    "containers/N/logs",
    "containers/N/stats",
    "containers/N/archive",
    "containers/N/start",
    "containers/N/stop",
    "containers/N/restart",
    "containers/N/kill",
    "containers/N/pause",
    "containers/N/unpause",
    "containers/N/rename",
    "containers/N/wait",
    "containers/N/update",
    "containers/N/resize",
    "containers/N/attach",
    "containers/N/attach/ws",
    "containers/N/exec",
    "containers/N",
    "exec/N/start",
    "exec/N/json",
    "exec/N/resize",
    "images/json",
    // Without `fromImage`: nobody's registry is asked.
    "images/create",
    "images/load",
    "images/get",
    "images/prune",
    "images/N/json",
    "images/N/history",
    "images/N/get",
    "images/N/tag",
    "images/N",
    "networks",
    "networks/create",
    "networks/prune",
    "networks/N",
    "networks/N/connect",
    "networks/N/disconnect",
    "volumes",
    "volumes/create",
    "volumes/prune",
    "volumes/N",
    "..",
    "",
    "N",
    "N/N/N",
];

const NAMES: &[&str] = &[
    "web",
    "web",
    "web",
    "busy",
    "busy",
    "box",
    "data",
    "back",
    "bridge",
    "none",
    "nope",
    "..",
    ".",
    "%2e%2e",
    "..%2f..%2fsecret",
    "%2e%2e%2fsecret",
    "....//secret",
    "..%5csecret",
    "%00",
    "web%00",
    "%ff%fe",
    "%c0%ae%c0%ae",
    "%",
    "%zz",
    "-web",
    "/web",
    "a%20b",
    "%e2%80%ae",
    "sha256:00",
    "box@sha256:00",
    "127.0.0.1:1/x",
    "%252e%252e",
    "~",
    "*",
    "web;id",
    "$(id)",
    "{}",
    "'",
];

const KEYS: &[&str] = &[
    "all",
    "size",
    "limit",
    "filters",
    "stdout",
    "stderr",
    "stdin",
    "stream",
    "follow",
    "tail",
    "since",
    "until",
    "timestamps",
    "path",
    "name",
    "t",
    "signal",
    "h",
    "w",
    "condition",
    "force",
    "v",
    "repo",
    "tag",
    "names",
    "fromSrc",
    "platform",
    "changes",
    "container",
    "detachKeys",
    "ps_args",
    "one-shot",
    "type",
    "noOverwriteDirNonDir",
    "author",
    "comment",
    "logs",
    "details",
    "link",
    "noprune",
];

const VALUES: &[&str] = &[
    "1",
    "0",
    "true",
    "-1",
    "99999999999999999999",
    "1.5",
    "nan",
    "",
    "web",
    "../../secret",
    "..%2f..%2fsecret",
    "%2fetc%2f..%2f..%2fsecret",
    "/tmp/../../../secret",
    "%00",
    "%ff",
    "%7B%22label%22%3A%5B%22a%22%5D%7D",
    "%7B%22name%22%3A%7B%22%28%28%28%22%3Atrue%7D%7D",
    "{",
    "[[[[",
    "-",
    "not-running",
    "removed",
    "KILL",
    "SIGNOPE",
    "ctrl-p",
    "ctrl-",
    "linux%2Famd64",
    "-eo%20pid",
    "ENV%20A%3Db",
    "0s",
    "10m",
    "2020-01-01",
    "%F0%9F%92%A9",
    "box",
];

const DOCUMENTS: &[&str] = &[
    r#"{"Image":"box","Cmd":["true"],"HostConfig":{"NetworkMode":"none","Memory":67108864,"Binds":["data:/d:ro"],"Tmpfs":{"/t":"size=1m"}}}"#,
    r#"{"Image":"box","Entrypoint":"sh","Env":["A=1"],"Labels":{"a":"b"},"HostConfig":{"NetworkMode":"none","Mounts":[{"Type":"volume","Source":"../../secret","Target":"/x"}]}}"#,
    r#"{"Image":"box","HostConfig":{"Binds":["../../secret:/x"],"NetworkMode":"container:..","PortBindings":{"80/tcp":[{"HostPort":"0"}]},"Ulimits":[{"Name":"nofile","Soft":1,"Hard":2}],"RestartPolicy":{"Name":"no"}}}"#,
    r#"{"Cmd":["echo","hi"],"AttachStdout":true,"Tty":false,"User":"nobody","WorkingDir":"/../.."}"#,
    r#"{"Detach":true,"Tty":false,"ConsoleSize":[24,80]}"#,
    r#"{"Name":"../../secret","Driver":"local","DriverOpts":{"type":"none","device":"../secret"}}"#,
    r#"{"Name":"net","Driver":"bridge","IPAM":{"Config":[{"Subnet":"10.231.9.0/29","Gateway":"10.231.9.1"}]},"Internal":true}"#,
    r#"{"Container":"web","Force":true,"EndpointConfig":{"IPAMConfig":{"IPv4Address":"1.2.3.4"},"Aliases":["a"]}}"#,
    r#"{"Memory":134217728,"CpuShares":5,"PidsLimit":7,"RestartPolicy":{"Name":"always","MaximumRetryCount":1}}"#,
    r#"{"username":"a","password":"b","serveraddress":"127.0.0.1:1"}"#,
    r#"{"Healthcheck":{"Test":["CMD","true"],"Interval":-5},"StopTimeout":-1,"ExposedPorts":{"x/y":{}}}"#,
    "null",
    "[]",
    "5",
    "\"text\"",
    "{}",
    "",
];

/// Returns a request, and whether it is all there.
fn request(dice: &mut Dice) -> Vec<u8> {
    let mut path = String::new();
    if dice.one_in(3) {
        path.push('/');
        path.push_str(dice.of(&[
            "v1.24",
            "v1.41",
            "v1.51",
            "v1.52",
            "v0.1",
            "v1.",
            "v99999999999.1",
            "vx",
        ]));
    }
    path.push('/');
    for part in dice.of(ROUTES).split('/') {
        path.push_str(if part == "N" { dice.of(NAMES) } else { part });
        path.push('/');
    }
    path.pop();
    for number in 0..dice.below(5) {
        path.push(if number == 0 { '?' } else { '&' });
        path.push_str(dice.of(KEYS));
        path.push('=');
        path.push_str(dice.of(VALUES));
    }
    if dice.one_in(40) {
        path.push_str(&"x".repeat(dice.below(100_000)));
    }
    let body = body(dice);
    let mut bytes = format!("{} {path} HTTP/1.1\r\nHost: x\r\n", dice.of(METHODS)).into_bytes();
    if !dice.one_in(8) {
        bytes.extend(b"Connection: close\r\n");
    }
    for header in [
        "Content-Type: application/json",
        "Content-Type: application/json; charset=utf-8",
        "Content-Type: application/x-tar",
        "Connection: Upgrade\r\nUpgrade: tcp",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Expect: 100-continue",
        "X-Registry-Auth: e30=",
        "X-Registry-Auth: {}",
        "Accept-Encoding: gzip",
        "Content-Encoding: gzip",
        ": empty",
        "X-\u{e9}: \u{1}",
    ] {
        let usual = header == "Content-Type: application/json";
        if usual && !dice.one_in(6) || dice.one_in(14) {
            bytes.extend(header.as_bytes());
            bytes.extend(b"\r\n");
        }
    }
    match dice.below(12) {
        0 => bytes.extend(b"\r\n"),
        1 => bytes.extend(b"Content-Length: 18446744073709551616\r\n\r\n"),
        2 => bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len() + 7).as_bytes()),
        3..6 => {
            bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n");
            for piece in body.chunks(1 + dice.below(4000)) {
                bytes.extend(format!("{:x}\r\n", piece.len()).as_bytes());
                bytes.extend(piece);
                bytes.extend(b"\r\n");
            }
            bytes.extend(
                dice.of(&[
                    "0\r\n\r\n",
                    "0\r\n\r\n",
                    "",
                    "zz\r\n",
                    "-1\r\n\r\n",
                    "ffffffffffffffffff\r\n",
                ])
                .as_bytes(),
            );
            return broken(dice, bytes);
        }
        _ => bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes()),
    }
    bytes.extend(body);
    broken(dice, bytes)
}

/// Returns a body: a document, what is left of one, or nothing of the kind.
fn body(dice: &mut Dice) -> Vec<u8> {
    let mut text = dice.of(DOCUMENTS).as_bytes().to_vec();
    match dice.below(12) {
        0 => {
            let deep = 1 << dice.below(17);
            text = [vec![b'['; deep], text, vec![b']'; deep]].concat();
        }
        1 => {
            text =
                format!("{{\"Image\":\"box\",\"Cmd\":[\"{}\"]}}", "x".repeat(dice.below(1 << 20)))
                    .into_bytes();
        }
        2 => {
            text =
                format!("{{\"Env\":[{}\"\"]}}", "\"A=1\",".repeat(dice.below(50_000))).into_bytes();
        }
        3 => text = (0..dice.below(5000)).map(|_| dice.next().to_le_bytes()[0]).collect(),
        4..7 => {
            // Some value is of another kind.
            let other = dice.of(&[
                "null",
                "-1",
                "1e999",
                "[]",
                "{}",
                "\"\\u0000\"",
                "\"\\ud800\"",
                "true",
                "[[1]]",
            ]);
            let places: Vec<usize> = (0..text.len()).filter(|at| text[*at] == b':').collect();
            if !places.is_empty() {
                let at = places[dice.below(places.len())] + 1;
                let end = text[at..]
                    .iter()
                    .position(|byte| b",}]".contains(byte))
                    .map_or(text.len(), |n| at + n);
                text.splice(at..end, other.bytes());
            }
        }
        7 => text.truncate(dice.below(text.len() + 1)),
        _ => {}
    }
    text
}

/// Returns the request, sometimes with a byte or a half of it gone.
fn broken(dice: &mut Dice, mut bytes: Vec<u8>) -> Vec<u8> {
    if dice.one_in(10) {
        bytes.truncate(dice.below(bytes.len()));
    }
    if dice.one_in(10) && !bytes.is_empty() {
        let at = dice.below(bytes.len());
        bytes[at] = dice.next().to_le_bytes()[0];
    }
    bytes
}

/// Sends a request; its answer has to come to an end, unless it is one that has none.
fn send(socket: &Path, dice: &mut Dice) {
    let bytes = request(dice);
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_write_timeout(Some(*PATIENCE)).unwrap();
    // A server that refuses early may have closed by then.
    let _ = stream.write_all(&bytes);
    if dice.one_in(8) {
        return;
    }
    stream.set_read_timeout(Some(PAUSE)).unwrap();
    let deadline = Instant::now() + *PATIENCE;
    let (mut head, mut length, mut chunk) = (String::new(), 0, [0; 4096]);
    let mut says_more = true;
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return,
            Ok(count) => {
                length += count;
                if head.len() < 1000 {
                    head.push_str(&String::from_utf8_lossy(&chunk[..count]));
                }
                if length > 1 << 20 {
                    return;
                }
            }
            Err(cause) if cause.kind() == std::io::ErrorKind::WouldBlock => {
                // Whoever has left HTTP may be silent and still be there. So may a stream, as long as
                // the server has nothing to tell: what is said behind a request hides the end of
                // whoever has said it.
                let head = head.trim_start_matches("HTTP/1.1 100 Continue\r\n\r\n");
                let is_stream =
                    head.starts_with("HTTP/1.1 200") && head.contains("transfer-encoding: chunked");
                let has_left = head.starts_with("HTTP/1.1 101") || head.contains("-stream\r\n");
                if has_left || is_stream && !says_more {
                    return;
                }
                let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]);
                assert!(Instant::now() < deadline, "no end: {shown}\n{head}");
                if std::mem::replace(&mut says_more, false) {
                    let _ = stream.shutdown(Shutdown::Write);
                }
            }
            Err(_) => return,
        }
    }
}

/// Returns the files below a folder with what is in them, but for those below `except`.
fn files(folder: &Path, except: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path == except {
            continue;
        }
        match path.is_dir() {
            true => {
                found.insert(path.display().to_string(), Vec::new());
                found.extend(files(&path, except));
            }
            false => drop(found.insert(path.display().to_string(), std::fs::read(&path).unwrap())),
        }
    }
    found
}

fn made_up_requests_do_no_harm() {
    let variable = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = variable("WHARF_FUZZ_SEED").unwrap_or(20);
    let until =
        variable("WHARF_FUZZ_SECONDS").map(|time| Instant::now() + Duration::from_secs(time));
    let place = folder();
    for name in ["secret", "data", "containers/secret", "web", "volumes/secret"] {
        let path = place.join("beside").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "sentinel").unwrap();
        std::fs::write(place.join(name.replace('/', "-")), "sentinel").unwrap();
    }
    let lab = Lab::below(&place);
    lab.import(&crate::harness::rootfs_tar(), IMAGE);
    let root = lab.root().to_owned();
    let before = files(&place, &root);
    assert_eq!(before.len(), 13);
    let served = Served::over(lab);
    let pid = served.pid();
    served.lab.ok(&["create", "--name", "web", "--network", "none", IMAGE, "true"]);
    served.lab.start(&["--name", "busy"], "exec sleep 1000");
    let socket = root.join("api.sock");
    let descriptors = || std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let few = descriptors() + 48;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_ONCE)
            .map(|worker| {
                let socket = &socket;
                scope.spawn(move || {
                    let worker = u64::try_from(worker).unwrap();
                    let mut dice =
                        Dice((seed << 8 | worker << 1 | 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                    let mut count = 0;
                    while until.map_or(count < REQUESTS / AT_ONCE, |until| Instant::now() < until) {
                        send(socket, &mut dice);
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        let made: usize = workers.into_iter().map(crate::harness::joined).sum();
        if until.is_some() {
            eprintln!("seed {seed}: {made} requests, {} KiB at most", super::hostile::peak(pid));
        }
    });
    assert_eq!(served.ask("GET", "/_ping", None).body, "OK");
    assert!(super::hostile::peak(pid) < 300 << 10, "{} KiB", super::hostile::peak(pid));
    assert_eq!(files(&place, &root), before, "seed {seed}");
    // With what they were about, all have gone.
    for id in served.lab.ok(&["ps", "-aq"]).lines() {
        served.lab.ok(&["rm", "-f", id]);
    }
    eventually("all clients are forgotten", || descriptors() < few);
    // What it has is whole.
    assert_eq!(served.lab.run(&["system", "check"]).code, 0, "seed {seed}");
    drop(served);
    std::fs::remove_dir_all(&place).unwrap();
}
