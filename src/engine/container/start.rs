//! `start` and `attach`.

use std::os::fd::AsFd;

use wharf_model::{ErrorKind, Status, TermSize};

use super::{discard, mounts};
use crate::channel::{AttachRequest, Channel, Request, StartRequest};
use crate::engine::Engine;
use crate::lock::{self, Lock};
use crate::state::{Record, Store};
use crate::{Error, Result, spawn};

/// What to be connected to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attach {
    /// Its input.
    pub stdin: bool,
    /// Its output and error output.
    pub output: bool,
    /// The size of the caller's terminal.
    pub size: Option<TermSize>,
}

impl From<Attach> for AttachRequest {
    fn from(attach: Attach) -> Self {
        Self { stdin: attach.stdin, output: attach.output, size: attach.size }
    }
}

impl Engine {
    /// Starts a container. Returns the connection to its streams when `attach` asks for it, made
    /// before its first byte of output; none otherwise.
    ///
    /// # Errors
    /// Of kind `NotModified` when it runs already; of kind `CommandNotFound` and
    /// `CommandNotExecutable` when its program is at fault.
    pub fn start(&self, reference: &str, attach: Option<Attach>) -> Result<Option<Channel>> {
        self.with_store(|store| {
            let (verbs, record) = self.locked(store, reference)?;
            self.start_locked(store, &verbs, &record, attach)
        })
    }

    /// Starts a container whose verbs the caller has locked.
    pub(super) fn start_locked(
        &self,
        store: &mut Store,
        verbs: &Lock,
        record: &Record,
        attach: Option<Attach>,
    ) -> Result<Option<Channel>> {
        discard::check(record)?;
        match record.observed.state.status {
            Status::Running => {
                return Err(Error::new(
                    ErrorKind::NotModified,
                    format!("container {} is already running", record.name),
                ));
            }
            Status::Paused => {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    "cannot start a paused container, try unpause instead",
                ));
            }
            // Its policy is about to do it: now is as good, and the connection may be wanted.
            Status::Restarting => {
                let request = Request::StartNow(attach.map(AttachRequest::from));
                match self.ask(record, &request) {
                    Ok(channel) => return Ok(attach.map(|_| channel)),
                    // Its supervisor was killed.
                    Err(error) if error.kind() == ErrorKind::Conflict => {}
                    Err(error) => return Err(error),
                }
            }
            _ => {}
        }
        mounts::make_sources(&record.spec)?;
        let channel = self.spawn(verbs, record, attach, false)?;
        match channel.answer() {
            Ok(_) => Ok(attach.map(|_| channel)),
            Err(error) => {
                if record.spec.host.auto_remove && store.container(record.id.as_str()).is_ok() {
                    // The supervisor was killed before it could. Why it didn't start is what
                    // the caller wants to know.
                    let _ = self.remove_stopped(store, record, true);
                }
                Err(Error::new(
                    error.kind(),
                    format!("failed to start container {}: {error}", record.name),
                ))
            }
        }
    }

    /// Has a new supervisor start a container, and doesn't wait for the outcome.
    pub(crate) fn spawn(
        &self,
        verbs: &Lock,
        record: &Record,
        attach: Option<Attach>,
        resumes: bool,
    ) -> Result<Channel> {
        let text = |path: &std::path::Path| {
            path.to_str().map(str::to_owned).ok_or_else(|| {
                Error::new(ErrorKind::Invalid, format!("{path:?} is not valid UTF-8"))
            })
        };
        let request = Request::Start(StartRequest {
            root: text(self.paths().root())?,
            run: text(self.paths().run())?,
            id: record.id.clone(),
            attach: attach.map(AttachRequest::from),
            resumes,
            network: self.network_settings().clone(),
        });
        let channel = spawn::supervisor(&record.id)?;
        channel
            .send_request(&request, &[verbs.as_fd()])
            .map_err(|cause| Error::failed("start a supervisor", cause))?;
        Ok(channel)
    }

    /// Connects to the streams of a running container.
    ///
    /// # Errors
    /// When it doesn't run.
    pub fn attach(&self, reference: &str, attach: Attach) -> Result<Channel> {
        self.with_store(|store| {
            let record = store.container(reference)?;
            let record = self.refreshed(store, record)?;
            match record.observed.state.status {
                Status::Running => self.ask(&record, &Request::Attach(attach.into())),
                Status::Paused => Err(Error::new(
                    ErrorKind::Conflict,
                    "You cannot attach to a paused container, unpause it first",
                )),
                Status::Restarting => Err(Error::new(
                    ErrorKind::Conflict,
                    "You cannot attach to a restarting container, wait until it is running",
                )),
                _ => Err(Error::new(
                    ErrorKind::Conflict,
                    "You cannot attach to a stopped container, start it first",
                )),
            }
        })
    }

    /// Connects to a container to be told its exit code; the code itself when it doesn't run.
    ///
    /// # Errors
    /// When there is no such container.
    pub fn watch_exit(&self, reference: &str) -> Result<std::result::Result<Channel, i32>> {
        self.watch_end(reference, &Request::Wait)
    }

    /// As [`Engine::watch_exit`], for the end of the last run that its restart policy makes.
    ///
    /// # Errors
    /// When there is no such container.
    pub fn watch_last_exit(&self, reference: &str) -> Result<std::result::Result<Channel, i32>> {
        self.watch_end(reference, &Request::Follow)
    }

    fn watch_end(
        &self,
        reference: &str,
        request: &Request,
    ) -> Result<std::result::Result<Channel, i32>> {
        self.with_store(|store| {
            let record = store.container(reference)?;
            let record = self.refreshed(store, record)?;
            let code = |record: &Record| Err(record.observed.state.exit_code);
            if !record.observed.state.status.is_supervised() {
                return Ok(code(&record));
            }
            match self.ask(&record, request) {
                Ok(channel) => Ok(Ok(channel)),
                // It has just ended.
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    Ok(code(&self.settled(store, &record)?))
                }
                Err(error) => Err(error),
            }
        })
    }

    /// Returns a container's record once its supervisor has given everything back.
    pub(crate) fn settled(&self, store: &mut Store, record: &Record) -> Result<Record> {
        let folder = self.paths().container_run(&record.id);
        lock::wait_free(&folder, lock::LIFE)
            .map_err(|cause| Error::failed(format_args!("lock {}", folder.display()), cause))?;
        let record = store.container(record.id.as_str())?;
        self.refreshed(store, record)
    }
}
