//! Connections to a supervisor: what each asked for, and what waits to be sent to it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use wharf_model::LogStream;

use crate::channel::Channel;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It has not asked for anything yet.
    New,
    /// It sees the container's streams, then its exit code.
    Attached { stdin: bool, output: bool, starter: bool },
    /// It waits for the container's exit code.
    Waiting,
    /// It waits for the exit code of the container's last run.
    Following,
    /// It waits for the exit code of a further program.
    Exec,
    /// While it is there, the container stands still.
    Holding,
    /// It has its answer.
    Answered,
}

enum Outgoing {
    Output(LogStream, Vec<u8>),
    Exit(i32),
}

/// One connection.
pub(super) struct Client {
    channel: Channel,
    pub(super) role: Role,
    queue: VecDeque<Outgoing>,
    queued: usize,
    /// Whether the peer will send nothing more.
    pub(super) silent: bool,
}

/// The output that waits for one client, above which the container's output is not read.
const QUEUED_AT_MOST: usize = 256 * 1024;

impl Client {
    pub(super) fn new(channel: Channel, role: Role) -> io::Result<Self> {
        channel.set_nonblocking()?;
        Ok(Self { channel, role, queue: VecDeque::new(), queued: 0, silent: false })
    }

    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }

    /// Returns whether it gets the container's output.
    pub(super) fn wants_output(&self) -> bool {
        matches!(self.role, Role::Attached { output: true, .. })
    }

    /// Returns whether it is told the container's exit code.
    pub(super) fn wants_exit(&self) -> bool {
        matches!(self.role, Role::Attached { .. } | Role::Waiting)
    }

    /// Returns whether its input goes to the container.
    pub(super) fn gives_input(&self) -> bool {
        matches!(self.role, Role::Attached { stdin: true, .. })
    }

    /// Returns whether something waits to be sent.
    pub(super) fn has_queue(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Returns whether so much waits that the container has to wait too.
    pub(super) fn is_behind(&self) -> bool {
        self.queued >= QUEUED_AT_MOST
    }

    /// Sends output, now or when there is room.
    pub(super) fn output(&mut self, stream: LogStream, data: &[u8]) {
        if self.queue.is_empty() {
            match self.channel.send_output(stream, data) {
                Ok(()) => return,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return self.deafen(),
            }
        }
        self.queued += data.len();
        self.queue.push_back(Outgoing::Output(stream, data.to_vec()));
    }

    /// Takes in that the peer has gone. What it said before is still to be read: input, or that it leaves.
    pub(super) fn deafen(&mut self) {
        self.queue = VecDeque::new();
        self.queued = 0;
        if let Role::Attached { output, .. } = &mut self.role {
            *output = false;
        }
    }

    /// Sends the exit code, after what waits.
    ///
    /// # Errors
    /// When the peer has gone.
    pub(super) fn exit(&mut self, code: i32) -> io::Result<()> {
        self.queue.push_back(Outgoing::Exit(code));
        self.role = Role::Answered;
        self.flush()
    }

    /// Sends what waits, as far as there is room.
    ///
    /// # Errors
    /// When the peer has gone.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while let Some(next) = self.queue.front() {
            let result = match next {
                Outgoing::Output(stream, data) => self.channel.send_output(*stream, data),
                Outgoing::Exit(code) => self.channel.send_exit(*code),
            };
            match result {
                Ok(()) => {
                    if let Some(Outgoing::Output(_, data)) = self.queue.pop_front() {
                        self.queued -= data.len();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.queue = VecDeque::new();
        Ok(())
    }
}
