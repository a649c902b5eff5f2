//! An engine behind ssh: the system's `ssh` program logs in once and stays; every connection goes
//! through that login.
//!
//! The engine's socket there is forwarded to one of this host's, which costs no further program and
//! isn't limited by the server's `MaxSessions`. Which socket it is, docker's own program there says, if
//! there is one; else the usual places are looked at. Where nothing may be forwarded, each connection is
//! `docker system dial-stdio` in a session of its own, as docker's command line has it.
//!
//! ssh is never let near the terminal: what it would ask for is an error that says so.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
};
use tokio::io::{BufReader, Lines};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::Mutex;
use tokio::time::Instant;
use wharf_model::ErrorKind;

use super::address::SshAddress;
use super::way::{Pipe, Stream};
use crate::{Error, Result};

/// How long logging in may take.
const LOGGING_IN: Duration = Duration::from_secs(30);

/// How long the engine may take to answer its first question.
const ANSWERING: Duration = Duration::from_secs(10);

/// For how long a failure is believed: those who wait for the same login needn't all try it.
const BELIEVED: Duration = Duration::from_secs(1);

/// What runs there as long as the login lasts: says whether docker's program is there and which socket
/// is the engine's, and ends with its input. For any POSIX shell, by way of any login shell: a line without
/// single quotes.
const PROBE: &str = concat!(
    "d=0; s=; if command -v docker >/dev/null 2>&1; then d=1; ",
    r#"s=$(docker context inspect -f "{{.Endpoints.docker.Host}}" 2>/dev/null); fi; "#,
    r#"case "$s" in unix://*) s=${s#unix://};; "") r=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}; "#,
    r#"for f in "${DOCKER_HOST#unix://}" /var/run/docker.sock "$r/docker.sock" "#,
    r#"/run/podman/podman.sock "$r/podman/podman.sock"; do "#,
    r#"if [ -S "$f" ] && [ -w "$f" ]; then s=$f; break; fi; done;; *) s=;; esac; "#,
    r#"echo "wharf $d $s"; exec cat >/dev/null"#,
);

/// The way through ssh.
#[derive(Debug)]
pub(super) struct Ssh {
    address: SshAddress,
    login: Mutex<State>,
}

#[derive(Debug, Default)]
enum State {
    /// Not logged in.
    #[default]
    None,
    /// Logged in.
    Up(Arc<Login>),
    /// Tried in vain.
    Failed(Instant, Error),
}

/// A login; dropping it ends it.
#[derive(Debug)]
struct Login {
    /// ssh, whose input keeps what runs there.
    master: StdMutex<Child>,
    folder: Folder,
    by: By,
}

/// How connections are made.
#[derive(Debug)]
enum By {
    /// Through this socket, which ssh forwards.
    Forward(PathBuf),
    /// By a program there.
    Dial,
}

/// A private folder that goes with its owner.
#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in it is sockets.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Login {
    fn lives(&self) -> bool {
        let mut master = self.master.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(master.try_wait(), Ok(None))
    }
}

impl Ssh {
    /// Returns the way to this address. Nothing is connected yet.
    pub(super) fn new(address: SshAddress) -> Self {
        Self { address, login: Mutex::default() }
    }

    /// Returns a new connection; logs in first where that is needed.
    pub(super) async fn open(&self) -> Result<Stream> {
        let login = self.login().await?;
        match &login.by {
            By::Forward(socket) => match UnixStream::connect(socket).await {
                Ok(stream) => Ok(Stream::Unix(stream)),
                Err(cause) => Err(self.failed(&cause.to_string())),
            },
            By::Dial => {
                self.dial(&login.folder.0, Stdio::null()).map(|pipe| Stream::Pipe(Box::new(pipe)))
            }
        }
    }

    async fn login(&self) -> Result<Arc<Login>> {
        let mut state = self.login.lock().await;
        match &*state {
            State::Up(login) if login.lives() => return Ok(Arc::clone(login)),
            State::Failed(at, error) if at.elapsed() < BELIEVED => return Err(error.clone()),
            _ => {}
        }
        // The old one's sockets go before there are new ones.
        *state = State::None;
        match self.log_in().await {
            Ok(login) => {
                let login = Arc::new(login);
                *state = State::Up(Arc::clone(&login));
                Ok(login)
            }
            Err(error) => {
                *state = State::Failed(Instant::now(), error.clone());
                Err(error)
            }
        }
    }

    async fn log_in(&self) -> Result<Login> {
        let folder = private_folder().map_err(|cause| {
            Error::new(
                ErrorKind::Unavailable,
                format!("{}: a private folder: {cause}", self.address),
            )
        })?;
        let mut command = self.command(&folder.0);
        command
            .args(["-o", "ControlMaster=yes", "-o", "ControlPersist=no"])
            .args(["-o", "ClearAllForwardings=yes", "-o", "ForwardAgent=no", "-o", "ForwardX11=no"])
            .args(["-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3"])
            .args(["-o", "ConnectTimeout=10", "-o", "ConnectionAttempts=1"])
            .args(["-o", "RemoteCommand=none", "-o", "PermitLocalCommand=no"]);
        self.to(&mut command, &format!("exec sh -c '{PROBE}'"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut master = command.spawn().map_err(|cause| self.cannot_run(&cause))?;
        let complaints = Complaints::of(&mut master);
        let Some(output) = master.stdout.take() else { return Err(self.failed("no output")) };
        let mut lines = BufReader::new(output).lines();
        let answer = tokio::time::timeout(LOGGING_IN, answer(&mut lines)).await;
        let (docker, socket) = match answer {
            Ok(Some(answer)) => answer,
            Ok(None) => return Err(self.failed(&complaints.last().await)),
            Err(_) => return Err(self.failed("logging in takes too long")),
        };
        let by = self.find(&folder.0, docker, socket.as_deref()).await?;
        Ok(Login { master: StdMutex::new(master), folder, by })
    }

    /// Finds out how to get from the login to the engine.
    async fn find(&self, folder: &Path, docker: bool, socket: Option<&str>) -> Result<By> {
        let mut why = None;
        if let Some(socket) = self.address.path.as_deref().or(socket) {
            let local = folder.join("s");
            match self.forward(folder, &local, socket).await {
                Ok(()) => return Ok(By::Forward(local)),
                Err(error) => why = Some(error),
            }
        }
        if docker {
            let mut pipe = self.dial(folder, Stdio::piped())?;
            let complaints = pipe.complaints();
            let answered = answers(&mut Stream::Pipe(Box::new(pipe))).await;
            return match answered {
                Ok(()) => Ok(By::Dial),
                Err(cause) => {
                    let said = complaints.last().await;
                    Err(self.failed(if said.is_empty() { &cause } else { &said }))
                }
            };
        }
        Err(why.unwrap_or_else(|| {
            self.failed(
                "no engine was found: there is no docker program, and no socket of docker's or \
                 podman's that may be used; name it: ssh://host/path/to.sock",
            )
        }))
    }

    /// Forwards a socket, and sees whether an engine is behind it.
    async fn forward(&self, folder: &Path, local: &Path, socket: &str) -> Result<()> {
        let mut command = self.command(folder);
        let forward = format!("{}:{socket}", local.display());
        command.args(["-O", "forward", "-L", &forward]);
        self.to(&mut command, "");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let done = command.output().await.map_err(|cause| self.cannot_run(&cause))?;
        if !done.status.success() {
            return Err(self.failed(last_line(&String::from_utf8_lossy(&done.stderr))));
        }
        let answered = match UnixStream::connect(local).await {
            Ok(mut stream) => answers(&mut stream).await,
            Err(cause) => Err(cause.to_string()),
        };
        answered.map_err(|why| {
            self.failed(&format!(
                "no engine answers at {socket} there ({why}): is it running, and may this user use \
                 it?"
            ))
        })
    }

    /// Returns a connection through docker's own program there.
    fn dial(&self, folder: &Path, complaints: Stdio) -> Result<Pipe> {
        let mut command = self.command(folder);
        let host = match &self.address.path {
            Some(path) => format!(" --host {}", quoted(&format!("unix://{path}"))),
            None => String::new(),
        };
        self.to(&mut command, &format!("docker{host} system dial-stdio"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(complaints);
        let child = command.spawn().map_err(|cause| self.cannot_run(&cause))?;
        Pipe::new(child).ok_or_else(|| self.failed("no output"))
    }

    /// Returns `ssh` with what all of its calls have.
    fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new("ssh");
        command
            .args(["-o", "BatchMode=yes", "-T"])
            .arg("-S")
            .arg(folder.join("c"))
            // Keys of the terminal are for the dashboard alone.
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    /// Adds where to, and what to run there.
    fn to(&self, command: &mut Command, line: &str) {
        if let Some(user) = &self.address.user {
            command.args(["-l", user]);
        }
        if let Some(port) = self.address.port {
            command.args(["-p", &port.to_string()]);
        }
        command.arg("--").arg(&self.address.host);
        if !line.is_empty() {
            command.arg(line);
        }
    }

    fn cannot_run(&self, cause: &io::Error) -> Error {
        self.failed(&match cause.kind() {
            io::ErrorKind::NotFound => {
                "there is no ssh program here: install openssh-client".to_owned()
            }
            _ => format!("run ssh: {cause}"),
        })
    }

    /// Returns why there is no connection, with the way out where there is one.
    fn failed(&self, why: &str) -> Error {
        let host = match &self.address.user {
            Some(user) => format!("{user}@{}", self.address.host),
            None => self.address.host.clone(),
        };
        let way = if why.contains("Host key verification failed") {
            format!(": run 'ssh {host}' once to see and accept its key")
        } else if why.contains("Permission denied") && why.contains("publickey") {
            ": nobody can be asked for a password here: use a key (ssh-agent, ssh-copy-id)"
                .to_owned()
        } else {
            String::new()
        };
        let why = why.trim_end_matches('.');
        let why = if why.is_empty() { "ssh ended without a word" } else { why };
        Error::new(ErrorKind::Unavailable, format!("{}: {why}{way}", self.address))
    }
}

impl Pipe {
    fn complaints(&mut self) -> Complaints {
        Complaints::of(self.child())
    }
}

/// Waits for the line of [`PROBE`]; a login shell may greet before.
async fn answer(lines: &mut Lines<BufReader<ChildStdout>>) -> Option<(bool, Option<String>)> {
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(rest) = line.strip_prefix("wharf ") {
            let (docker, socket) = rest.split_once(' ').unwrap_or((rest, ""));
            let socket = Some(socket.trim()).filter(|socket| socket.starts_with('/'));
            return Some((docker == "1", socket.map(str::to_owned)));
        }
    }
    None
}

/// Asks for a sign of life; errors say what came instead.
async fn answers(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> std::result::Result<(), String> {
    let ask = async {
        stream
            .write_all(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
            .await?;
        let mut head = [0; 7];
        stream.read_exact(&mut head).await?;
        Ok::<_, io::Error>(head)
    };
    match tokio::time::timeout(ANSWERING, ask).await {
        Ok(Ok(head)) if &head == b"HTTP/1." => Ok(()),
        Ok(Ok(_)) => Err("something else answers".to_owned()),
        Ok(Err(_)) => Err("the connection was closed".to_owned()),
        Err(_) => Err("it doesn't answer".to_owned()),
    }
}

/// The last of what a program complains of.
struct Complaints(tokio::task::JoinHandle<String>);

impl Complaints {
    fn of(child: &mut Child) -> Self {
        let errors = child.stderr.take();
        Self(tokio::spawn(async move {
            let mut last = String::new();
            let Some(errors) = errors else { return last };
            let mut lines = BufReader::new(errors).lines();
            // Read to the end, so that the program never waits for room.
            while let Ok(Some(line)) = lines.next_line().await {
                if !line.trim().is_empty() {
                    last = line.trim().to_owned();
                }
            }
            last
        }))
    }

    /// Returns the last line, once the program has ended, or what there is after a moment.
    async fn last(self) -> String {
        let task = tokio::time::timeout(Duration::from_secs(2), self.0).await;
        task.ok().and_then(std::result::Result::ok).unwrap_or_default()
    }
}

fn last_line(text: &str) -> &str {
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default()
}

/// Returns a word that any POSIX shell reads as this text.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Makes a folder that only this user can enter, with a short path: those of sockets are limited.
fn private_folder() -> io::Result<Folder> {
    use std::os::unix::fs::DirBuilderExt as _;
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime = runtime.filter(|path| path.is_absolute() && path.as_os_str().len() < 40);
    let mut bytes = [0_u8; 6];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    let name: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut failed = io::Error::from(io::ErrorKind::NotFound);
    for base in runtime.into_iter().chain([PathBuf::from("/tmp")]) {
        let path = base.join(format!("wharf-ssh-{name}"));
        match std::fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => return Ok(Folder(path)),
            Err(cause) => failed = cause,
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_shell_at_the_other_end() {
        assert_eq!(quoted("unix:///a b"), "'unix:///a b'");
        assert_eq!(quoted("a'; rm -rf /"), r"'a'\''; rm -rf /'");
        assert!(!PROBE.contains('\''), "it is put in single quotes");
    }

    #[test]
    fn what_ssh_would_have_asked_for_is_told_with_the_way_out() {
        let ssh = Ssh::new(SshAddress {
            user: Some("me".to_owned()),
            host: "h".to_owned(),
            port: None,
            path: None,
        });
        let said = ssh.failed("Host key verification failed.").message;
        assert!(
            said.contains("ssh://me@h: Host key") && said.contains("'ssh me@h' once"),
            "{said}"
        );
        let said = ssh.failed("me@h: Permission denied (publickey,password).").message;
        assert!(said.contains("use a key"), "{said}");
        assert!(ssh.failed("").message.contains("without a word"));
    }

    #[tokio::test]
    async fn only_an_http_server_counts_as_an_answer() {
        let (mut ours, mut theirs) = tokio::io::duplex(1024);
        let server = tokio::spawn(async move {
            let mut asked = [0; 9];
            theirs.read_exact(&mut asked).await.unwrap();
            assert_eq!(&asked, b"GET /_pin");
            theirs.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
            theirs
        });
        assert_eq!(answers(&mut ours).await, Ok(()));
        drop(server.await);
        let (mut ours, theirs) = tokio::io::duplex(1024);
        drop(theirs);
        assert_eq!(answers(&mut ours).await, Err("the connection was closed".to_owned()));
    }
}
