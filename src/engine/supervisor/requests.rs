//! What clients ask for, one request a connection.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::process::Signal;
use wharf_model::{ErrorKind, Event, Status, UpdateOptions};

use super::clients::{Client, Role};
use super::exec;
use super::launch::Container;
use super::restart::{Backoff, is_restarting};
use super::run::{Phase, Supervisor};
use crate::channel::{AttachRequest, Request};
use crate::container::exec::paused_before_exec;
use crate::container::limits;
use crate::container::signal::{self, not_paused};
use crate::state::Store;
use crate::{Error, Result};

impl Supervisor {
    pub(super) fn answer(&mut self, number: u64, result: &Result<()>, role: Role) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let sent = match result {
            Ok(()) => client.channel().send_ok(&[]),
            Err(error) => client.channel().send_failure(error),
        };
        client.role = role;
        if sent.is_err() || result.is_err() || role == Role::Answered {
            self.drop_client(number);
        }
    }

    pub(super) fn request(&mut self, number: u64, request: Request, descriptors: Vec<OwnedFd>) {
        match request {
            Request::Start(_) => {
                let error = Error::new(ErrorKind::Invalid, "the container is already started");
                self.answer(number, &Err(error), Role::Answered);
            }
            Request::StartNow(attach) => {
                let result = match self.phase {
                    Phase::Waiting(_) => {
                        self.backoff = Backoff::default();
                        self.container.record.observed.state.restart_count = 0;
                        self.start_again(attach)
                    }
                    _ => Err(Error::new(
                        ErrorKind::NotModified,
                        format!("container {} is already running", self.container.record.name),
                    )),
                };
                let role =
                    attach.map_or(Role::Answered, |AttachRequest { stdin, output, .. }| {
                        Role::Attached { stdin, output, starter: true }
                    });
                self.answer(number, &result, role);
            }
            Request::Wait => self.answer(number, &Ok(()), Role::Waiting),
            Request::Follow => self.answer(number, &Ok(()), Role::Following),
            Request::Attach(_)
            | Request::Pause
            | Request::Hold
            | Request::Process
            | Request::Exec(..)
                if matches!(self.phase, Phase::Waiting(_)) =>
            {
                let error = is_restarting(&self.container.record);
                self.answer(number, &Err(error), Role::Answered);
            }
            Request::Attach(AttachRequest { stdin, output, size }) => {
                // Without either it is only to say the size.
                if stdin || output {
                    self.store_observed("attach", &[]);
                }
                if let Some(size) = size {
                    self.resize(size);
                }
                let role = Role::Attached { stdin, output, starter: false };
                self.answer(number, &Ok(()), role);
            }
            Request::Keep => {
                self.container.record.spec.host.auto_remove = false;
                self.answer(number, &Ok(()), Role::Answered);
            }
            Request::Signal(signal) => {
                let result = self.signal(signal, self.asks_to_end(signal));
                self.answer(number, &result, Role::Answered);
            }
            Request::End(signal) => {
                let result = self.signal(signal, true);
                self.answer(number, &result, Role::Answered);
            }
            Request::Pause => {
                let result = self.pause();
                self.answer(number, &result, Role::Answered);
            }
            Request::Unpause => {
                let result = self.unpause();
                self.answer(number, &result, Role::Answered);
            }
            Request::Hold => {
                let result = self.hold();
                self.answer(number, &result, Role::Holding);
            }
            Request::Process => {
                if let Some(client) = self.clients.get(&number) {
                    // Who asked and has gone needs no answer.
                    let _ = client.channel().send_ok(&[self.container.init.pidfd.as_fd()]);
                }
                self.drop_client(number);
            }
            Request::Update(options) => {
                let result = self.update(&options);
                self.answer(number, &result, Role::Answered);
            }
            Request::Connect(options) => {
                let result = self.connect(&options);
                self.answer(number, &result, Role::Answered);
            }
            Request::Disconnect(network) => {
                let result = self.disconnect(&network);
                self.answer(number, &result, Role::Answered);
            }
            Request::Exec(..) if self.is_paused() => {
                let error = paused_before_exec(&self.container.record);
                self.answer(number, &Err(error), Role::Answered);
            }
            Request::Exec(spec, size) => {
                let begun = exec::begin(
                    &spec,
                    size,
                    descriptors,
                    &self.container.program,
                    &self.container.init,
                    &self.container.group,
                    None,
                );
                // While it starts; as with docker, one that can't be run was started too.
                let action = Event::of_program("exec_start", &spec.command);
                self.store_events(&[(action, vec![("execID", spec.id.clone())])]);
                match begun {
                    Ok(starting) => {
                        let token = self.number();
                        self.watch(starting.channel().as_fd(), token, EventFlags::IN);
                        self.starting.insert(token, (starting, number));
                        self.told.insert(token, spec.id);
                        if let Some(client) = self.clients.get_mut(&number) {
                            client.role = Role::Exec;
                        }
                    }
                    Err(error) => self.answer(number, &Err(error), Role::Answered),
                }
            }
        }
    }

    fn signal(&mut self, number: i32, to_end: bool) -> Result<()> {
        match self.phase {
            Phase::Waiting(_) if to_end => {
                self.give_up();
                return Ok(());
            }
            Phase::Waiting(_) => return Err(is_restarting(&self.container.record)),
            Phase::Running | Phase::Ended => {}
        }
        // Before it is sent: what it leads to must not be taken for an end of its own.
        self.container.record.observed.stopped |= to_end;
        self.send(number)?;
        // Whoever sends it, and before what it leads to. A removal kills twice, to be sure.
        if number != Signal::KILL.as_raw() || !std::mem::replace(&mut self.killed, true) {
            self.store_observed("kill", &[("signal", number.to_string())]);
        }
        if to_end && self.is_paused() {
            self.unpause()?;
        }
        Ok(())
    }

    /// Sends a signal to the first process; one that is to end must be able to run.
    pub(super) fn send(&mut self, number: i32) -> Result<()> {
        match wharf_sys::signals::send(self.container.init.pidfd.as_fd(), number) {
            Ok(()) => {}
            // It has ended, which is about to be noticed.
            Err(cause) if cause.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {
                return match self.asks_to_end(number) {
                    true => Ok(()),
                    false => Err(signal::not_running(&self.container.record)),
                };
            }
            Err(cause) => return Err(Error::failed(format_args!("send signal {number}"), cause)),
        }
        let to_end = number == Signal::TERM.as_raw() || self.asks_to_end(number);
        if to_end {
            self.recording.signalled(number);
        }
        if self.is_paused() && to_end {
            self.unpause()?;
        }
        Ok(())
    }

    fn pause(&mut self) -> Result<()> {
        let record = &self.container.record;
        if self.is_paused() {
            let text = format!("container {} is already paused", record.id);
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        self.drop_probe();
        self.container.group.freeze().map_err(|cause| Error::failed("freeze the cgroup", cause))?;
        self.container.record.observed.state.status = Status::Paused;
        self.store_observed("pause", &[]);
        Ok(())
    }

    /// Lets the container stand still for one more client; one that is paused anyway stays so.
    fn hold(&mut self) -> Result<()> {
        if self.is_paused() {
            return Ok(());
        }
        self.pause()?;
        self.held = true;
        Ok(())
    }

    /// Lets the container go on once nobody holds it any more.
    pub(super) fn release(&mut self) {
        let holding = |client: &Client| client.role == Role::Holding;
        if self.held && !self.clients.values().any(holding) {
            // It may have been thawed by hand meanwhile.
            let _ = self.unpause();
        }
    }

    fn unpause(&mut self) -> Result<()> {
        if !self.is_paused() {
            return Err(not_paused(&self.container.record));
        }
        self.held = false;
        self.container.group.thaw().map_err(|cause| Error::failed("thaw the cgroup", cause))?;
        self.container.record.observed.state.status = Status::Running;
        self.store_observed("unpause", &[]);
        self.resume_probes();
        Ok(())
    }

    /// Changes the kernel's limits and then the row: both, or neither. Between two runs there is no
    /// group; the next one is made with the new limits.
    fn update(&mut self, options: &UpdateOptions) -> Result<()> {
        let runs = matches!(self.phase, Phase::Running);
        let Container { paths, record, group, .. } = &mut self.container;
        let (host, _) = limits::updated(record, options)?;
        let (from, to) = (record.spec.host.resources.clone(), host.resources.clone());
        if runs {
            group.update(&from, &to).map_err(|cause| {
                let text = format!("Cannot update container {}: {cause}", record.id);
                Error::new(cause.kind(), text)
            })?;
        }
        let before = std::mem::replace(&mut record.spec.host, host);
        let stored = Store::open(&paths.database())
            .and_then(|mut store| store.change_spec(record, Some("update")));
        if stored.is_err() {
            record.spec.host = before;
            if runs {
                // It held these limits a moment ago.
                let _ = group.update(&to, &from);
            }
        }
        stored
    }
}
