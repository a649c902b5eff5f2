//! `stop`, `restart` and waiting for an end.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wharf_model::{ErrorKind, Status};

use super::signal::parse;
use crate::channel::{Channel, Reply, Request};
use crate::engine::Engine;
use crate::lock::{self, Lock};
use crate::state::{Record, Store};
use crate::{Error, Result};

/// Seconds between the stop signal and SIGKILL when nobody says otherwise.
const DEFAULT_TIMEOUT: i64 = 10;

pub(super) const SIGKILL: i32 = 9;

/// Waits for a container's exit code on a connection that was asked for it; none when time runs out
/// first, or the supervisor ended without a word.
fn exit_within(channel: &Channel, time: Option<Duration>) -> Result<Option<i32>> {
    let deadline = time.map(|time| Instant::now() + time);
    loop {
        let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
        let timeout = left.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        let mut fds = [PollFd::new(channel, PollFlags::IN)];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(cause) => return Err(Error::failed("wait for the container", cause)),
        }
        match channel.receive_reply() {
            Ok(Some((Reply::Exit(code), _))) => return Ok(Some(code)),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return Ok(None),
        }
    }
}

impl Engine {
    /// Asks a container to end, and kills it when it hasn't within `timeout` seconds (its own
    /// setting, or 10, when none is given; never when negative). `signal` asks instead of its own.
    ///
    /// # Errors
    /// Of kind `NotModified` when it doesn't run.
    pub fn stop(&self, reference: &str, timeout: Option<i64>, signal: Option<&str>) -> Result<()> {
        let signal = signal.map(parse).transpose()?;
        self.with_store(|store| {
            let (_lock, record) = self.locked(store, reference)?;
            if !record.observed.state.status.is_supervised() {
                self.lay_down(store, &record)?;
                return Err(Error::new(
                    ErrorKind::NotModified,
                    format!("container {} is not running", record.name),
                ));
            }
            self.end(store, &record, timeout, signal)?;
            // Removed at its end, when it was run with `--rm`.
            let _ = store.add_container_event(&record, "stop", &[]);
            Ok(())
        })
    }

    /// Ends a running container and waits until all it took is given back.
    fn end(
        &self,
        store: &mut Store,
        record: &Record,
        timeout: Option<i64>,
        signal: Option<i32>,
    ) -> Result<()> {
        let config = &record.spec.config;
        let signal = signal.map_or_else(|| parse(&config.stop_signal), Ok)?;
        let timeout = timeout.or(config.stop_timeout.map(i64::from)).unwrap_or(DEFAULT_TIMEOUT);
        let patience = u64::try_from(timeout).ok().map(Duration::from_secs);
        let watch = match self.ask(record, &Request::Wait) {
            Ok(watch) => watch,
            Err(error) if error.kind() == ErrorKind::Conflict => {
                return match self.settled(store, record) {
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                    other => self.lay_down(store, &other?),
                };
            }
            Err(error) => return Err(error),
        };
        let send = |signal: i32| match self.ask(record, &Request::End(signal)) {
            // It ended by itself meanwhile.
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            other => other.map(drop),
        };
        send(signal)?;
        if exit_within(&watch, patience)?.is_none() {
            send(SIGKILL)?;
            exit_within(&watch, None)?;
        }
        match self.settled(store, record) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => self.lay_down(store, &other?),
        }
    }

    /// Stores that a container was stopped by hand, and is not to be started again, where its
    /// supervisor couldn't. The caller holds its verbs lock.
    fn lay_down(&self, store: &mut Store, record: &Record) -> Result<()> {
        let mut record = record.clone();
        let observed = &mut record.observed;
        // One that never ran has no policy to hold off.
        if observed.stopped || observed.state.status == Status::Created {
            return Ok(());
        }
        let folder = self.paths().container_run(&record.id);
        let life = Lock::try_acquire(&folder, lock::LIFE)
            .map_err(|cause| Error::failed(format_args!("lock {}", folder.display()), cause))?;
        if life.is_some() {
            observed.stopped = true;
            if observed.state.status == Status::Restarting {
                observed.state.status = Status::Exited;
            }
            store.observe_all(&record, &[])?;
        }
        Ok(())
    }

    /// Kills a running container and waits until all it took is given back.
    pub(crate) fn end_now(&self, store: &mut Store, record: &Record) -> Result<()> {
        if let Ok(watch) = self.ask(record, &Request::Wait) {
            // A refusal means that it has ended.
            let _ = self.ask(record, &Request::Signal(SIGKILL));
            exit_within(&watch, None)?;
        }
        match self.settled(store, record) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other.map(drop),
        }
    }

    /// Stops a container, if it runs, and starts it.
    ///
    /// # Errors
    /// As for stop and start.
    pub fn restart(
        &self,
        reference: &str,
        timeout: Option<i64>,
        signal: Option<&str>,
    ) -> Result<()> {
        let signal = signal.map(parse).transpose()?;
        self.with_store(|store| {
            let (verbs, record) = self.locked(store, reference)?;
            if record.observed.state.status.is_supervised() {
                if record.spec.host.auto_remove {
                    // A refusal means that it has just ended, which was its removal.
                    let _ = self.ask(&record, &Request::Keep);
                }
                self.end(store, &record, timeout, signal)?;
                store.add_container_event(&record, "stop", &[])?;
            }
            let record = store.container(record.id.as_str())?;
            self.start_locked(store, &verbs, &record, None)?;
            store.add_container_event(&record, "restart", &[])
        })
    }

    /// Waits until a container doesn't run and returns its exit code.
    ///
    /// # Errors
    /// When there is no such container.
    pub fn wait(&self, reference: &str) -> Result<i32> {
        let channel = match self.watch_exit(reference)? {
            Ok(channel) => channel,
            Err(code) => return Ok(code),
        };
        match exit_within(&channel, None)? {
            Some(code) => Ok(code),
            // The supervisor was killed: the row, corrected, has the code.
            None => match self.watch_exit(reference)? {
                Err(code) => Ok(code),
                Ok(_) => Err(Error::failed("wait for the container", "the connection broke")),
            },
        }
    }
}
