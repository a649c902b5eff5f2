//! What happens to a container after its creation: `start`, `run`, `kill`, `delete`, `pause`,
//! `resume`.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::io::Errno;
use serde_json::json;
use wharf_cgroup::Group;
use wharf_model::ErrorKind;
use wharf_sys::clone::Child;

use super::console::{self, Happened};
use super::create::CreateOptions;
use super::hooks::{self, State};
use super::look::processes_of;
use super::process;
use super::spec::{self, Config};
use super::store::{self, Held, Phase, Record, Runtime, Status, group, wait_for_end};
use crate::channel::{Channel, Reply};
use crate::supervisor::reap;
use crate::{Error, Result};

/// SIGKILL.
const KILL: i32 = 9;

/// How long a first process may take to be gone once it is killed.
const PATIENCE: Duration = Duration::from_secs(10);

fn conflict(text: String) -> Error {
    Error::new(ErrorKind::Conflict, text)
}

/// The error of a container that is needed running.
pub(super) fn not_running() -> Error {
    conflict("container not running".to_owned())
}

/// The error of a container that can't be started any more.
fn stopped() -> Error {
    conflict("cannot start a container that has stopped".to_owned())
}

/// The error of a container that would need a control group.
pub(super) fn no_group(verb: &str) -> Error {
    let text = format!(
        "{verb}: the container has no control group: none was handed down to the user who created it"
    );
    Error::new(ErrorKind::Unsupported, text)
}

/// Returns what hooks are told of a container.
pub(super) fn told(record: &Record, config: &Config) -> State {
    State {
        id: record.id.clone(),
        bundle: record.bundle.clone(),
        annotations: config.annotations.clone(),
    }
}

impl Runtime {
    /// Starts the program of a created container, and returns once it runs.
    ///
    /// # Errors
    /// When it isn't a created one, its program can't be executed, or a hook fails.
    pub fn start(&self, id: &str) -> Result<()> {
        let mut held = self.hold(id)?;
        self.start_held(&mut held)
    }

    fn start_held(&self, held: &mut Held) -> Result<()> {
        let config = self.config(&held.record.id)?;
        match self.status(&held.record)? {
            Status::Created => {}
            Status::Stopped => {
                return Err(stopped());
            }
            Status::Paused => {
                return Err(conflict("cannot start a paused container: resume it".to_owned()));
            }
            Status::Creating | Status::Running => {
                return Err(conflict("cannot start an already running container".to_owned()));
            }
        }
        let failed = |cause| Error::failed("start the container's program", cause);
        self.debug(format_args!("start process {}", held.record.pid));
        let channel = Channel::connect(&held.folder).map_err(|cause| match cause.kind() {
            // Killed between two looks.
            std::io::ErrorKind::ConnectionRefused => stopped(),
            _ => failed(cause),
        })?;
        channel.send_go().map_err(failed)?;
        follow_execution(&channel, &held.record, &config)?;
        self.debug(format_args!("its program is executed"));
        held.record.phase = Phase::Started;
        held.save()?;
        held.forget_socket();
        let state = told(&held.record, &config).with("running", held.record.pid);
        self.run_hooks(&config.hooks.poststart, "poststart", &state).inspect_err(|_| {
            // As with the other runtimes: one that a hook hasn't accepted doesn't go on.
            if let Some(process) = store::process(&held.record) {
                let _ = wharf_sys::signals::send(process.as_fd(), KILL);
            }
        })
    }

    /// Creates and starts a container; unless `detach`, waits for its end, removes it, and returns its
    /// exit code.
    ///
    /// # Errors
    /// As for [`Runtime::create`] and [`Runtime::start`]; nothing is left then.
    pub fn run(&self, options: &CreateOptions, detach: bool, keep: bool) -> Result<i32> {
        let preserved = process::take_preserved(options.preserve_fds)?;
        // Blocked before there is a process to pass them on to.
        let signals = if detach { None } else { Some(catch_signals()?) };
        let mut created = self.make(options, preserved, !detach)?;
        if let Err(error) = self.start_held(&mut created.held) {
            let _ = self.remove(created.held);
            return Err(error);
        }
        let Some(signals) = signals else { return Ok(0) };
        // Others may work on it meanwhile.
        drop(created.held);
        let code = wait(&created.child, created.master.as_ref(), &signals)?;
        if !keep {
            match self.hold(&options.id) {
                Ok(held) => self.remove(held)?,
                // Somebody else has removed it.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(code)
    }

    /// Sends a signal to a container's first process, or to `all` of them.
    ///
    /// # Errors
    /// When it doesn't run.
    pub fn kill(&self, id: &str, signal: i32, all: bool) -> Result<()> {
        let record = self.record(id)?;
        let about = |cause| Error::failed(format_args!("signal container {id}"), cause);
        let first = store::process(&record);
        let group = group(&record)?;
        // Returns whether it was there to be signalled.
        let send = |process: BorrowedFd<'_>| match wharf_sys::signals::send(process, signal) {
            Ok(()) => Ok(true),
            Err(cause) if cause.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(false),
            Err(cause) => Err(Error::failed(format_args!("signal container {id}"), cause)),
        };
        // Without the end of a PID namespace the others would outlive the first one.
        if all || signal == KILL && !record.own_pids {
            if first.is_none() && (!all || group.is_none()) {
                return Err(not_running());
            }
            if signal == KILL
                && let Some(group) = &group
            {
                self.debug(format_args!("kill all in control group {}", record.cgroup));
                group.kill().map_err(about)?;
                return thaw_killed(group);
            }
            for pid in processes_of(&record, group.as_ref())? {
                self.debug(format_args!("send signal {signal} to process {pid}"));
                let Some(pid) = rustix::process::Pid::from_raw(pid) else { continue };
                let flags = rustix::process::PidfdFlags::empty();
                // One that ended meanwhile needs no signal.
                let Ok(process) = rustix::process::pidfd_open(pid, flags) else { continue };
                send(process.as_fd())?;
            }
            return Ok(());
        }
        let Some(first) = first else { return Err(not_running()) };
        self.debug(format_args!("send signal {signal} to process {}", record.pid));
        if !send(first.as_fd())? {
            return Err(not_running());
        }
        match &group {
            Some(group) if signal == KILL => thaw_killed(group),
            _ => Ok(()),
        }
    }

    /// Removes a container that has stopped or was never started; with `force`, any, and what isn't
    /// there is no error.
    ///
    /// # Errors
    /// When it runs, or something of it can't be removed.
    pub fn delete(&self, id: &str, force: bool) -> Result<()> {
        if force && let Ok(record) = self.record(id) {
            // Whoever is creating it finds it dead, and cleans up.
            if let (Phase::Creating, Some(process)) = (record.phase, store::process(&record)) {
                let _ = wharf_sys::signals::send(process.as_fd(), KILL);
            }
        }
        let held = match self.hold(id) {
            Err(error) if force && error.kind() == ErrorKind::NotFound => return Ok(()),
            held => held?,
        };
        let status = self.status(&held.record)?;
        if !force && !matches!(status, Status::Stopped | Status::Created) {
            return Err(conflict(format!(
                "cannot delete container {id} that is not stopped: {}",
                status.as_str()
            )));
        }
        self.remove(held)
    }

    /// Ends and removes a container, and tells its last hooks.
    pub(super) fn remove(&self, held: Held) -> Result<()> {
        // What can't be read has no hooks.
        let config = self.config(&held.record.id).unwrap_or_default();
        let state = told(&held.record, &config).with("stopped", 0);
        if let Some(process) = store::process(&held.record) {
            self.debug(format_args!("kill process {}", held.record.pid));
            let _ = wharf_sys::signals::send(process.as_fd(), KILL);
            if let Some(group) = group(&held.record)? {
                thaw_killed(&group)?;
            }
            wait_for_end(&process, PATIENCE);
        }
        held.destroy()?;
        self.debug(format_args!("removed"));
        let poststop = &config.hooks.poststop;
        poststop.iter().for_each(|hook| self.debug(format_args!("poststop hook {}", hook.path)));
        let complaints = hooks::run_each(poststop, "poststop", &state);
        // It is removed all the same: who wants to know reads the log.
        complaints.iter().for_each(|error| self.warn(&error.to_string()));
        Ok(())
    }

    /// Freezes all processes of a container.
    ///
    /// # Errors
    /// When it doesn't run.
    pub fn pause(&self, id: &str) -> Result<()> {
        let held = self.hold(id)?;
        match self.status(&held.record)? {
            Status::Running | Status::Created => {}
            Status::Paused => return Err(conflict("container already paused".to_owned())),
            Status::Stopped | Status::Creating => return Err(not_running()),
        }
        let group = group(&held.record)?.ok_or_else(|| no_group("pause"))?;
        self.debug(format_args!("freeze control group {}", held.record.cgroup));
        group.freeze().map_err(|cause| match store::process(&held.record) {
            Some(_) => Error::failed(format_args!("pause container {id}"), cause),
            // Killed meanwhile.
            None => not_running(),
        })
    }

    /// Lets a paused container go on.
    ///
    /// # Errors
    /// When it isn't paused.
    pub fn resume(&self, id: &str) -> Result<()> {
        let held = self.hold(id)?;
        if self.status(&held.record)? != Status::Paused {
            return Err(conflict("container not paused".to_owned()));
        }
        let group = group(&held.record)?.ok_or_else(|| no_group("resume"))?;
        self.debug(format_args!("thaw control group {}", held.record.cgroup));
        group.thaw().map_err(|cause| Error::failed(format_args!("resume container {id}"), cause))
    }
}

/// Lets what was killed while it is frozen see it: the freezer of version 1 keeps it from that.
fn thaw_killed(group: &Group) -> Result<()> {
    let about = |cause| Error::failed("thaw what was killed", cause);
    match group.is_frozen() {
        Ok(true) => group.thaw().map_err(about),
        // It has gone since.
        _ => Ok(()),
    }
}

/// Waits until the program is executed. Somebody who is to answer system calls for it is told.
pub(super) fn follow_execution(channel: &Channel, record: &Record, config: &Config) -> Result<()> {
    loop {
        match channel.receive_reply() {
            Ok(Some((Reply::Failed(error), _))) => return Err(error),
            Ok(Some((_, descriptors))) => {
                if let Some(listener) = descriptors.first() {
                    hand_over_listener(listener, record, config)?;
                }
            }
            // Executed, or ended: whichever it is, nobody says more.
            Ok(None) => return Ok(()),
            Err(cause) => return Err(Error::failed("start the container's program", cause)),
        }
    }
}

/// Sends the descriptor over which system calls are answered, with the document that the specification
/// has for it.
pub(super) fn hand_over_listener(
    listener: &OwnedFd,
    record: &Record,
    config: &Config,
) -> Result<()> {
    let Some((path, metadata)) = process::listener(&config.linux) else { return Ok(()) };
    let state = told(record, config).with("created", record.pid);
    let state: serde_json::Value = serde_json::from_str(&state).unwrap_or_default();
    let document = json!({
        "ociVersion": spec::VERSION,
        "fds": ["seccompFd"],
        "pid": record.pid,
        "metadata": metadata,
        "state": state,
    });
    console::send(Path::new(path), listener.as_fd(), document.to_string().as_bytes())
}

/// Keeps signals from ending this process, and returns where they come instead.
pub(super) fn catch_signals() -> Result<SignalFd> {
    let all = SigSet::all();
    let failed = |cause| Error::failed("catch signals", cause);
    all.thread_set_mask().map_err(failed)?;
    SignalFd::with_flags(&all, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(failed)
}

/// Stands between the caller and a program until that ends; returns its exit code.
pub(super) fn wait(child: &Child, master: Option<&OwnedFd>, signals: &SignalFd) -> Result<i32> {
    if let Some(master) = master {
        console::follow_size(master.as_fd());
    }
    console::between(master, &child.pidfd, signals.as_fd(), |happened| {
        let Happened::Signal = happened else { return };
        while let Ok(Some(signal)) = signals.read_signal() {
            let number = i32::try_from(signal.ssi_signo).unwrap_or_default();
            match Signal::try_from(number) {
                Ok(Signal::SIGCHLD | Signal::SIGPIPE | Signal::SIGURG) => {}
                Ok(Signal::SIGWINCH) => {
                    if let Some(master) = master {
                        console::follow_size(master.as_fd());
                    }
                }
                // It may have ended just now.
                _ => drop(wharf_sys::signals::send(child.pidfd.as_fd(), number)),
            }
        }
    })?;
    reap(child).map_err(|cause| Error::failed("wait for the program", cause))
}
