//! `wharf serve`, driven by the programs that people have.

mod beside;
mod clients;
mod compose;
mod crowd;
mod events;
mod framing;
mod fuzz;
mod going;
mod hostile;
mod many;
mod python;
mod registry;
mod server;
mod tcp;
mod versions;
mod websocket;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::harness::{Lab, Out, PATIENCE, Test, run, wait_for};

pub(crate) fn tests() -> Vec<Test> {
    [
        beside::tests(),
        clients::tests(),
        compose::tests(),
        crowd::tests(),
        events::tests(),
        framing::tests(),
        fuzz::tests(),
        going::tests(),
        hostile::tests(),
        many::tests(),
        python::tests(),
        registry::tests(),
        server::tests(),
        tcp::tests(),
        versions::tests(),
        websocket::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A server over an engine of its own. Dropping it ends it, and then the engine.
pub(crate) struct Served {
    server: Option<Child>,
    said: Option<JoinHandle<String>>,
    socket: PathBuf,
    pub(crate) lab: Lab,
}

/// Starts a server and waits until it listens.
pub(crate) fn server(lab: &Lab, socket: &Path, flags: &[&str]) -> Child {
    heard_server(lab, socket, flags).0
}

/// As [`server`], with what it says afterwards, which at its end is known.
fn heard_server(lab: &Lab, socket: &Path, flags: &[&str]) -> (Child, JoinHandle<String>) {
    let host = format!("unix://{}", socket.display());
    let mut command = lab.command(&[&["serve", "--host", &host], flags].concat());
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    stderr.read_line(&mut line).unwrap();
    assert!(line.starts_with("listening on unix://"), "{line}");
    let said = std::thread::spawn(move || {
        let mut rest = String::new();
        let _ = stderr.read_to_string(&mut rest);
        rest
    });
    (child, said)
}

impl Served {
    /// Returns a server over an engine with the usual image in it.
    pub(crate) fn new() -> Self {
        Self::over(Lab::new())
    }

    /// Returns a server over this engine.
    pub(crate) fn over(lab: Lab) -> Self {
        let socket = lab.root().join("api.sock");
        Self::with(lab, socket, &[])
    }

    /// Returns a server with these flags.
    pub(crate) fn with(lab: Lab, socket: PathBuf, flags: &[&str]) -> Self {
        let (server, said) = heard_server(&lab, &socket, flags);
        Self { server: Some(server), said: Some(said), socket, lab }
    }

    /// Returns its address.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Kills it as nobody can prepare for.
    pub(crate) fn kill(&mut self) {
        let mut server = self.server.take().unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
    }

    /// Starts it anew where it was.
    pub(crate) fn restart(&mut self) {
        let (server, said) = heard_server(&self.lab, &self.socket, &[]);
        (self.server, self.said) = (Some(server), Some(said));
    }

    /// Returns its process.
    pub(crate) fn pid(&self) -> u32 {
        self.server.as_ref().unwrap().id()
    }

    /// Returns a command of docker's own program at this server.
    pub(crate) fn docker_command(&self, arguments: &[&str]) -> Command {
        docker(&self.host(), arguments)
    }

    /// Runs a command of docker's own program.
    pub(crate) fn docker_run(&self, arguments: &[&str], input: &[u8]) -> Out {
        run(self.docker_command(arguments), input)
    }

    /// Runs a command of docker's own program that must succeed; returns its output without the last
    /// newline.
    #[track_caller]
    pub(crate) fn docker(&self, arguments: &[&str]) -> String {
        let out = self.docker_run(arguments, b"");
        assert_eq!(out.code, 0, "docker {}: {out:?}", arguments.join(" "));
        out.stdout.trim_end_matches('\n').to_owned()
    }

    /// Sends a request; returns the status, the head and the body.
    #[track_caller]
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        ask(&self.socket, method, path, body)
    }

    /// Sends bytes and returns all that comes back until the server closes. A client that `breaks_off`
    /// says at once that nothing more will come.
    pub(crate) fn raw(&self, bytes: &[u8], breaks_off: bool) -> Vec<u8> {
        let mut stream = self.connect();
        // A server that refuses early may have closed by then.
        let _ = stream.write_all(bytes);
        if breaks_off {
            let _ = stream.shutdown(std::net::Shutdown::Write);
        }
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer
    }

    /// Returns a connection.
    pub(crate) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(*PATIENCE)).unwrap();
        stream
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = kill_process(Pid::from_child(&server), Signal::TERM);
            let ended = wait_for(&mut server, *PATIENCE);
            if !std::thread::panicking() {
                assert_eq!(ended.and_then(|status| status.code()), Some(0), "the server's end");
                assert!(!self.socket.exists(), "the socket goes with its server");
                // But where else it listens, it says nothing; a panic would be heard.
                let said = self.said.take().unwrap().join().unwrap();
                let known = |line: &str| line.starts_with("listening on ");
                assert!(said.lines().all(known), "a server says: {said}");
            }
        }
    }
}

/// Returns a command of docker's own program at this address.
pub(crate) fn docker(host: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("docker");
    // Nobody's settings, and no helper programs.
    command.env("DOCKER_CONFIG", "/nonexistent").env_remove("DOCKER_HOST");
    command.env("DOCKER_BUILDKIT", "0").args(["--host", host]).args(arguments);
    command
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    /// Returns the body as a document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Returns a header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Sends a request to a socket by `curl`, which knows HTTP by itself.
#[track_caller]
pub(crate) fn ask(socket: &Path, method: &str, path: &str, body: Option<&Value>) -> Reply {
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--show-error",
        "--path-as-is",
        "--globoff",
        "--include",
        "--unix-socket",
    ]);
    command.arg(socket).args(["--header", "Expect:"]);
    match method {
        "HEAD" => command.arg("--head"),
        _ => command.args(["--request", method]),
    };
    let text = body.map(Value::to_string).unwrap_or_default();
    if body.is_some() {
        command.args(["--header", "Content-Type: application/json", "--data-binary", "@-"]);
    }
    command.arg(format!("http://localhost{path}"));
    let out = run(command, text.as_bytes());
    assert_eq!(out.code, 0, "{method} {path}: {out:?}");
    let (head, body) = out.stdout.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    Reply { status, head: head.to_owned(), body: body.to_owned() }
}
