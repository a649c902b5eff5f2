//! `exec`: a further program in a running container.

use std::io::ErrorKind as ErrorOf;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::pipe::{PipeFlags, pipe_with};
use wharf_model::{ContainerId, ErrorKind, Event, ExecSpec, Status, TermSize};

use super::create::random;
use super::signal::not_running;
use crate::channel::{Channel, Request};
use crate::engine::Engine;
use crate::state::Record;
use crate::supervisor::restart::is_restarting;
use crate::{Error, Result};

/// The caller's ends of a further program's streams.
#[derive(Debug)]
pub enum ExecStreams {
    /// It is detached: nobody is connected to it.
    None,
    /// The master of its terminal.
    Terminal(OwnedFd),
    /// Pipes.
    Pipes {
        /// Its input, when it was asked for.
        stdin: Option<OwnedFd>,
        /// Its output.
        stdout: OwnedFd,
        /// Its error output.
        stderr: OwnedFd,
    },
}

/// A further program that runs.
#[derive(Debug)]
pub struct Executed {
    /// Tells the exit code.
    pub channel: Channel,
    /// Its streams.
    pub streams: ExecStreams,
    /// The host's number of its process; none where an older supervisor doesn't tell.
    pub process: Option<i32>,
}

/// Returns docker's error for a container that can't run a further program now.
pub(crate) fn paused_before_exec(record: &Record) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!("Container {} is paused, unpause the container before exec", record.id),
    )
}

impl Engine {
    /// Runs a further program in a running container.
    ///
    /// # Errors
    /// When the container doesn't run or is paused; of kind `CommandNotFound` and
    /// `CommandNotExecutable` when the program is at fault.
    pub fn exec(
        &self,
        reference: &str,
        spec: &ExecSpec,
        size: Option<TermSize>,
    ) -> Result<Executed> {
        let record = self.with_store(|store| {
            let record = store.container(reference)?;
            self.refreshed(store, record)
        })?;
        match record.observed.state.status {
            Status::Running => {}
            Status::Paused => {
                return Err(paused_before_exec(&record));
            }
            Status::Restarting => return Err(is_restarting(&record)),
            _ => return Err(not_running(&record)),
        }
        let toolbox = self.toolbox(&record, spec)?;
        let mut spec = toolbox.as_ref().map_or(spec, |toolbox| &toolbox.spec).clone();
        if spec.id.is_empty() {
            spec.id = ContainerId::from_bytes(random()?).to_string();
            let action = Event::of_program("exec_create", &spec.command);
            let attributes = [("execID", spec.id.clone())];
            self.with_store(|store| store.add_container_event(&record, &action, &attributes))?;
        }
        let failed = |cause: rustix::io::Errno| Error::failed("make pipes", cause);
        let (theirs, mut streams) = match (spec.detach, spec.tty) {
            (true, _) | (_, true) => (Vec::new(), ExecStreams::None),
            (false, false) => {
                let (stdin, ours) = match spec.stdin {
                    true => {
                        let (stdin, ours) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
                        (stdin, Some(ours))
                    }
                    false => {
                        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
                        let mode = rustix::fs::Mode::empty();
                        (rustix::fs::open("/dev/null", flags, mode).map_err(failed)?, None)
                    }
                };
                let (stdout, stdout_in) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
                let (stderr, stderr_in) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
                let streams = ExecStreams::Pipes { stdin: ours, stdout, stderr };
                (vec![stdin, stdout_in, stderr_in], streams)
            }
        };
        let channel = self.supervisor_of(&record)?;
        let request = Request::Exec(Box::new(spec.clone()), size);
        let tree = toolbox.as_ref().map(|toolbox| toolbox.tree.as_fd());
        let borrowed: Vec<BorrowedFd<'_>> = theirs.iter().map(AsFd::as_fd).chain(tree).collect();
        channel.send_request(&request, &borrowed).map_err(|cause| match cause.kind() {
            // It has ended since it was connected to.
            ErrorOf::BrokenPipe | ErrorOf::ConnectionReset => not_running(&record),
            _ => Error::failed(format_args!("exec in {}", record.name), cause),
        })?;
        drop(theirs);
        let answer = channel.answer_about_process().map_err(|error| match error.kind() {
            ErrorKind::Unavailable => not_running(&record),
            _ => error,
        });
        let (process, descriptors) = answer?;
        let mut descriptors = descriptors.into_iter();
        if let (true, Some(master)) = (spec.tty && !spec.detach, descriptors.next()) {
            streams = ExecStreams::Terminal(master);
        }
        Ok(Executed { channel, streams, process })
    }
}
