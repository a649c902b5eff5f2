//! Programs of the caller's that run at moments of a container's life, and what they are told.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::json;
use wharf_model::ErrorKind;

use super::spec;
use crate::{Error, Result};

pub(crate) use super::spec::{Hook, Hooks};

/// What hooks are told of a container, but for what changes: the specification's state document.
#[derive(Clone, Debug)]
pub(crate) struct State {
    pub(crate) id: String,
    pub(crate) bundle: String,
    pub(crate) annotations: std::collections::BTreeMap<String, String>,
}

impl State {
    /// Returns the document; a `pid` of 0 is none.
    pub(crate) fn with(&self, status: &str, pid: i32) -> String {
        let mut document = json!({
            "ociVersion": spec::VERSION,
            "id": self.id,
            "status": status,
        });
        if pid != 0 {
            document["pid"] = pid.into();
        }
        document["bundle"] = self.bundle.as_str().into();
        if !self.annotations.is_empty() {
            document["annotations"] = json!(self.annotations);
        }
        document.to_string()
    }
}

/// What hooks read and where they complain: files in memory, so that nobody waits for a hook that
/// doesn't read, or writes too much to a pipe.
pub(crate) struct Pipes {
    state: File,
    complaints: File,
}

impl Pipes {
    /// Returns those of a state.
    ///
    /// # Errors
    /// Without memory.
    pub(crate) fn new(state: &str) -> Result<Self> {
        let file = |name: &str| -> std::io::Result<File> {
            Ok(File::from(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?))
        };
        let make = || {
            let mut pipes = Self { state: file("state")?, complaints: file("complaints")? };
            pipes.state.write_all(state.as_bytes())?;
            Ok(pipes)
        };
        make().map_err(|cause: std::io::Error| Error::failed("prepare hooks", cause))
    }

    /// Returns what a hook gets as its streams, from their beginnings.
    fn renewed(&self) -> std::io::Result<(OwnedFd, OwnedFd)> {
        (&self.state).rewind()?;
        self.complaints.set_len(0)?;
        (&self.complaints).rewind()?;
        Ok((
            self.state.as_fd().try_clone_to_owned()?,
            self.complaints.as_fd().try_clone_to_owned()?,
        ))
    }

    /// Returns the beginning of what the last hook complained about.
    fn complaint(&self) -> String {
        let mut bytes = Vec::new();
        let read = (&self.complaints).rewind().and_then(|()| {
            let mut part = (&self.complaints).take(1024);
            part.read_to_end(&mut bytes)
        });
        match read {
            Ok(length) if length > 0 => {
                format!(": {}", String::from_utf8_lossy(&bytes).trim_end())
            }
            _ => String::new(),
        }
    }
}

impl Hook {
    /// Runs it and waits for its end.
    ///
    /// # Errors
    /// When it can't be run, takes longer than it may, or ends with something else than 0.
    pub(crate) fn run(&self, name: &str, pipes: &Pipes) -> Result<()> {
        let failed = |why: &dyn std::fmt::Display| {
            let text = format!("error running {name} hook {}: {why}", self.path);
            Error::new(ErrorKind::Internal, text)
        };
        let (stdin, stderr) = pipes.renewed().map_err(|cause| failed(&cause))?;
        let mut command = Command::new(&self.path);
        if let Some((own, rest)) = self.args.split_first() {
            command.arg0(own).args(rest);
        }
        let environment = self.env.iter().filter_map(|entry| entry.split_once('='));
        let mut child = command
            .env_clear()
            .envs(environment)
            .stdin(Stdio::from(stdin))
            .stdout(Stdio::null())
            .stderr(Stdio::from(stderr))
            .spawn()
            .map_err(|cause| failed(&cause))?;
        if let Some(seconds) = self.timeout
            && !ends_within(&child, seconds).map_err(|cause| failed(&cause))?
        {
            let _ = child.kill();
            let _ = child.wait();
            return Err(failed(&format_args!("it took longer than {seconds} s")));
        }
        let status = child.wait().map_err(|cause| failed(&cause))?;
        match (status.code(), status.signal()) {
            (Some(0), _) => Ok(()),
            (Some(code), _) => {
                Err(failed(&format_args!("exit status {code}{}", pipes.complaint())))
            }
            (None, signal) => {
                let signal = signal.unwrap_or_default();
                Err(failed(&format_args!("ended by signal {signal}{}", pipes.complaint())))
            }
        }
    }
}

/// Waits until a process has ended or its time is over; returns whether it has ended.
fn ends_within(child: &Child, seconds: i64) -> rustix::io::Result<bool> {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let time = Duration::from_secs(seconds.try_into().unwrap_or(0));
    let timeout = Timespec::try_from(time).map_err(|_| rustix::io::Errno::INVAL)?;
    rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout)))
        .map(|count| count > 0)
}

/// Runs hooks one after the other, and stops at the first that fails.
///
/// # Errors
/// That one's.
pub(crate) fn run(hooks: &[Hook], name: &str, state: &str) -> Result<()> {
    if hooks.is_empty() {
        return Ok(());
    }
    let pipes = Pipes::new(state)?;
    hooks.iter().try_for_each(|hook| hook.run(name, &pipes))
}

/// Runs hooks one after the other whatever becomes of each, and returns what went wrong.
pub(crate) fn run_each(hooks: &[Hook], name: &str, state: &str) -> Vec<Error> {
    if hooks.is_empty() {
        return Vec::new();
    }
    match Pipes::new(state) {
        Ok(pipes) => hooks.iter().filter_map(|hook| hook.run(name, &pipes).err()).collect(),
        Err(error) => vec![error],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, timeout: Option<i64>) -> Hook {
        Hook {
            path: "/bin/sh".to_owned(),
            args: ["sh", "-c", script].map(str::to_owned).to_vec(),
            env: vec!["OWN=yes".to_owned()],
            timeout,
        }
    }

    #[test]
    fn a_hook_reads_the_state_and_says_why_it_fails() {
        let state = State { id: "c".into(), bundle: "/b".into(), annotations: [].into() };
        let text = state.with("created", 42);
        let folder = tempfile::tempdir().unwrap();
        let read = folder.path().join("read").display().to_string();
        let hooks = [
            shell(&format!("cat > {read}; echo $OWN$HOME >> {read}"), None),
            shell("cat", Some(9)),
        ];
        run(&hooks, "poststart", &text).unwrap();
        let read = std::fs::read_to_string(read).unwrap();
        assert_eq!(read, format!("{text}yes\n"));
        assert!(read.contains("\"pid\":42,\"bundle\":\"/b\""));
        let fails = |hook: Hook| run(&[hook], "poststop", &text).unwrap_err().to_string();
        let says = "error running poststop hook /bin/sh: exit status 3: oh no";
        assert_eq!(fails(shell("echo oh no >&2; exit 3", None)), says);
        assert!(fails(shell("sleep 100", Some(0))).contains("longer than 0 s"));
        assert!(fails(shell("kill -9 $$", None)).contains("signal 9"));
        let missing = Hook { path: "/nonexistent".to_owned(), ..Hook::default() };
        assert!(fails(missing).contains("No such file"));
        let all = [shell("exit 1", None), shell("exit 0", None), shell("exit 2", None)];
        assert_eq!(run_each(&all, "poststop", &text).len(), 2);
    }
}
