//! What is told of the same deeds by a dockerd, by wharf's server, and by wharf's own command line.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{Served, ask, docker};
use crate::dockerd::{self, Dockerd};
use crate::harness::{
    IMAGE, Lab, Out, PATIENCE, Test, eventually, folder, lacks_programs, rootfs_archive, run,
};
use crate::pty::Terminal;

pub(crate) fn tests() -> Vec<Test> {
    let lacks = dockerd::lacks().or_else(|| lacks_programs(&["docker", "curl"]));
    vec![Test::new("what_happens_is_told_as_by_a_dockerd", same).needing(lacks)]
}

/// Somebody who does things, and the socket that tells of them.
struct Doer<'d> {
    command: &'d dyn Fn(&[&str]) -> Command,
    socket: &'d Path,
    /// Whether what has a terminal is done by requests. Docker's own client keeps the keys that leave a
    /// program to itself, and no engine hears of them.
    by_requests: bool,
}

/// Takes a connection over by a request, and reads from it until a text has come.
fn hijack(socket: &Path, path: &str, body: &str, meanwhile: impl FnOnce(&mut UnixStream)) {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(*PATIENCE)).unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: \
         application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    meanwhile(&mut stream);
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("here\r\n") {
        let mut piece = [0; 512];
        let length = stream.read(&mut piece).unwrap();
        assert!(length > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&piece[..length]);
    }
    // ctrl-x
    stream.write_all(b"\x18").unwrap();
    let _ = stream.read_to_end(&mut seen);
}

impl Doer<'_> {
    fn run(&self, words: &[&str], input: &[u8]) -> Out {
        run((self.command)(words), input)
    }

    #[track_caller]
    fn ok(&self, words: &[&str]) -> String {
        let out = self.run(words, b"");
        assert_eq!(out.code, 0, "{words:?}: {out:?}");
        out.stdout
    }

    /// Runs a verb in a terminal, types something, and leaves the program by its keys.
    fn leave(&self, words: &[&str], typed: &str) {
        let words = [&words[..1], &["--detach-keys", "ctrl-x"], &words[1..]].concat();
        let mut terminal = Terminal::start(&(self.command)(&words), 80, 24);
        terminal.send(typed);
        terminal.wait_for("here");
        terminal.send("\x18");
        terminal.wait();
    }

    /// Attaches to a container, starts it where that is asked for, and leaves it.
    fn visit(&self, name: &str, starts: bool) {
        let typed = "echo he''re\r";
        match (self.by_requests, starts) {
            (false, true) => return self.leave(&["start", "-ai", name], typed),
            (false, false) => return self.leave(&["attach", name], typed),
            (true, _) => {}
        }
        let query = "stream=1&stdin=1&stdout=1&stderr=1&detachKeys=ctrl-x";
        hijack(self.socket, &format!("/v1.41/containers/{name}/attach?{query}"), "", |stream| {
            eventually("somebody is attached", || self.waits(stream));
            if starts {
                self.ok(&["start", name]);
            }
            let resize = format!("/v1.41/containers/{name}/resize?h=24&w=80");
            assert_eq!(ask(self.socket, "POST", &resize, None).status, 200);
            stream.write_all(typed.as_bytes()).unwrap();
        });
    }

    /// Returns whether the head of an answer has come.
    fn waits(&self, stream: &UnixStream) -> bool {
        crate::harness::readable(stream, std::time::Duration::from_millis(50))
    }

    /// Runs a further program in a terminal, and leaves it.
    fn run_and_leave(&self, name: &str) {
        let line = "echo he''re; exec sleep 1234";
        if !self.by_requests {
            return self.leave(&["exec", "-it", name, "sh", "-c", line], "");
        }
        let program = json!({"Cmd": ["sh", "-c", line], "Tty": true, "AttachStdin": true,
            "AttachStdout": true, "AttachStderr": true, "DetachKeys": "ctrl-x"});
        let path = format!("/v1.41/containers/{name}/exec");
        let made = ask(self.socket, "POST", &path, Some(&program)).json();
        let path = format!("/v1.41/exec/{}/start", made["Id"].as_str().unwrap());
        hijack(self.socket, &path, "{\"Tty\":true}", |_| ());
    }

    /// Returns what was told so far.
    fn events(&self) -> Vec<Value> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let until = format!("{}.{:09}", now.as_secs(), now.subsec_nanos());
        let answer = ask(self.socket, "GET", &format!("/v1.41/events?since=1&until={until}"), None);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn has(&self, action: &str) -> bool {
        self.events().iter().any(|event| event["Action"] == action)
    }

    /// Does one thing after the other; returns what is told of containers and images, without what is
    /// another each time.
    fn deeds(&self, folder: &Path) -> Vec<String> {
        let words =
            ["create", "--name", "one", "-it", "-l", "a=b", "--network", "none", IMAGE, "sh"];
        self.ok(&words);
        self.visit("one", true);
        eventually("it was left", || self.has("detach"));
        self.ok(&["exec", "one", "true"]);
        self.ok(&["exec", "one", "sh", "-c", "exit 0"]);
        assert_ne!(self.run(&["exec", "one", "/no/such"], b"").code, 0);
        self.run_and_leave("one");
        // A dockerd of 20.10 takes it for a failure and ends the program.
        eventually("the program was left", || {
            self.has("exec_detach")
                || self.events().iter().filter(|event| event["Action"] == "exec_die").count() == 3
        });
        self.ok(&["top", "one"]);
        let file = folder.join("file");
        self.ok(&["cp", "one:/etc/passwd", file.to_str().unwrap()]);
        self.ok(&["cp", file.to_str().unwrap(), "one:/"]);
        self.ok(&["export", "-o", file.to_str().unwrap(), "one"]);
        self.ok(&["commit", "-m", "hey", "one", "made:1"]);
        self.ok(&["update", "--memory", "64m", "--memory-swap", "64m", "one"]);
        self.ok(&["pause", "one"]);
        self.ok(&["unpause", "one"]);
        self.ok(&["rename", "one", "two"]);
        self.ok(&["kill", "-s", "USR1", "two"]);
        self.visit("two", false);
        eventually("it was left again", || {
            self.events().iter().filter(|event| event["Action"] == "detach").count() == 2
        });
        self.ok(&["kill", "two"]);
        self.ok(&["wait", "two"]);
        self.ok(&["start", "two"]);
        self.ok(&["rm", "-f", "two"]);
        self.ok(&["run", "--rm", "--network", "none", "--name", "brief", IMAGE, "true"]);
        self.ok(&["create", "--network", "none", "--name", "three", IMAGE, "true"]);
        self.ok(&["container", "prune", "-f"]);
        self.ok(&["tag", "made:1", "made:2"]);
        self.ok(&["rmi", "made:1"]);
        self.ok(&["save", "-o", file.to_str().unwrap(), "made:2"]);
        self.ok(&["load", "-i", file.to_str().unwrap()]);
        self.ok(&["rmi", "made:2"]);
        self.ok(&["image", "prune", "-f"]);
        self.ok(&["volume", "create", "data"]);
        self.ok(&["volume", "rm", "data"]);
        self.ok(&["volume", "prune", "-f"]);
        self.ok(&["network", "prune", "-f"]);
        eventually("all of it is told", || {
            let events = self.events();
            events.iter().filter(|event| event["Action"] == "prune").count() == 4
                && events.iter().filter(|event| event["Action"] == "exec_die").count() == 3
        });
        told(&self.events())
    }
}

/// Attributes that are others each time.
const OWN: &[&str] = &["execID", "imageID", "height", "width", "reclaimed"];

fn told(events: &[Value]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    // Programs end when they like, and a commit lets its container go on as soon as it can.
    let mut ends: Vec<String> = Vec::new();
    for event in events {
        let (kind, action) = (event["Type"].as_str().unwrap(), event["Action"].as_str().unwrap());
        // Whether an image that is made is an event of its own differs from version to version. So does
        // what is told of a container without a network, and how often a volume is made.
        if kind == "image" && action == "create" || kind == "network" && action != "prune" {
            continue;
        }
        if action == "exec_detach" {
            continue;
        }
        let attributes = event["Actor"]["Attributes"].as_object().unwrap();
        let attributes = attributes.iter().filter_map(|(key, value)| match key.as_str() {
            // What is told by 20.10 not yet.
            "execDuration" => None,
            // Here an image is told by its tag where that is known.
            "name" if kind == "image" => Some(format!("{key}=*")),
            "exitCode" | "name" if action == "exec_die" => Some(format!("{key}=*")),
            key if OWN.contains(&key) => Some(format!("{key}=*")),
            key => Some(format!("{key}={}", value.as_str().unwrap())),
        });
        let line = format!("{kind} {action} [{}]", attributes.collect::<Vec<_>>().join(" "));
        let untagged = lines.last().is_some_and(|last| *last == line && action == "untag");
        if matches!(action, "exec_die" | "unpause") {
            ends.push(line);
        // Here a loaded image is known by its digest too.
        } else if untagged {
            continue;
        // A client says the size of its terminal as often as it likes.
        } else if action != "resize" || lines.last() != Some(&line) {
            lines.push(line);
        }
    }
    ends.sort();
    lines.extend(ends);
    lines
}

fn same() {
    let folder = folder();
    let dockerd = Dockerd::start();
    let there = dockerd.host();
    let by_dockerd = Doer {
        command: &|words| docker(&there, words),
        socket: &dockerd.socket(),
        by_requests: true,
    };
    by_dockerd.ok(&["import", rootfs_archive().to_str().unwrap(), IMAGE]);
    let wanted = by_dockerd.deeds(&folder);
    let served = Served::over(Lab::empty());
    let socket: PathBuf = served.socket.clone();
    let by_server =
        Doer { command: &|words| served.docker_command(words), socket: &socket, by_requests: true };
    by_server.ok(&["import", rootfs_archive().to_str().unwrap(), IMAGE]);
    assert_eq!(by_server.deeds(&folder), wanted, "docker's client, and wharf's server");
    assert!(by_server.has("exec_detach"));
    drop(served);
    let served = Served::over(Lab::empty());
    let socket: PathBuf = served.socket.clone();
    let by_itself =
        Doer { command: &|words| served.lab.command(words), socket: &socket, by_requests: false };
    by_itself.ok(&["import", rootfs_archive().to_str().unwrap(), IMAGE]);
    assert_eq!(by_itself.deeds(&folder), wanted, "wharf's command line");
    assert!(by_itself.has("exec_detach"));
    drop(served);
    std::fs::remove_dir_all(folder).unwrap();
}
