//! The container's streams: its output to the log and to attached clients, their input to it.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use wharf_model::LogStream;

use super::launch::Ends;

/// The supervisor's ends, as far as they are still open.
pub(super) struct ContainerStreams {
    /// The terminal's master, where there is one: it is both output and input.
    terminal: bool,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    stdin: Option<OwnedFd>,
    /// Input that the container hasn't taken yet.
    pending: VecDeque<u8>,
    /// Whether the input ends after what is pending.
    ending: bool,
}

/// The input that waits for the container, above which clients are not read from.
const PENDING_AT_MOST: usize = 64 * 1024;

/// What a read gave.
pub(super) enum Taken {
    Data(usize),
    NothingNow,
    Closed,
}

impl ContainerStreams {
    pub(super) fn new(ends: Ends) -> rustix::io::Result<Self> {
        let (terminal, stdin, stdout, stderr) = match ends {
            Ends::Terminal(master) => {
                let input = rustix::io::fcntl_dupfd_cloexec(&master, 3)?;
                (true, Some(input), master, None)
            }
            Ends::Taken => return Err(Errno::BADF),
            Ends::Pipes { stdin, stdout, stderr } => (false, stdin, stdout, Some(stderr)),
        };
        for fd in [stdin.as_ref(), Some(&stdout), stderr.as_ref()].into_iter().flatten() {
            rustix::io::ioctl_fionbio(fd, true)?;
        }
        let pending = VecDeque::new();
        Ok(Self { terminal, stdout: Some(stdout), stderr, stdin, pending, ending: false })
    }

    /// Returns the descriptor of an output that is still open.
    pub(super) fn output(&self, stream: LogStream) -> Option<BorrowedFd<'_>> {
        match stream {
            LogStream::Stdout => self.stdout.as_ref().map(AsFd::as_fd),
            LogStream::Stderr => self.stderr.as_ref().map(AsFd::as_fd),
        }
    }

    /// Returns the descriptor of the input while it is open.
    pub(super) fn input(&self) -> Option<BorrowedFd<'_>> {
        self.stdin.as_ref().map(AsFd::as_fd)
    }

    /// Returns the terminal's master, where there is one.
    pub(super) fn terminal(&self) -> Option<BorrowedFd<'_>> {
        self.stdout.as_ref().filter(|_| self.terminal).map(AsFd::as_fd)
    }

    /// Reads what an output has now.
    pub(super) fn read(&self, stream: LogStream, buffer: &mut [u8]) -> Taken {
        let Some(fd) = self.output(stream) else { return Taken::Closed };
        match rustix::io::retry_on_intr(|| rustix::io::read(fd, &mut *buffer)) {
            Ok(0) => Taken::Closed,
            Ok(length) => Taken::Data(length),
            Err(Errno::AGAIN) => Taken::NothingNow,
            // A master whose slaves are all closed says EIO; it may be opened again while the
            // container runs, so that is no end.
            Err(Errno::IO) if self.terminal => Taken::NothingNow,
            Err(_) => Taken::Closed,
        }
    }

    /// Lets go of an output that has ended.
    pub(super) fn close_output(&mut self, stream: LogStream) {
        match stream {
            LogStream::Stdout => self.stdout = None,
            LogStream::Stderr => self.stderr = None,
        }
    }

    /// Takes input for the container.
    pub(super) fn push(&mut self, data: &[u8]) {
        if self.stdin.is_some() && !self.ending {
            self.pending.extend(data);
            self.flush();
        }
    }

    /// Ends the input after what is pending. A terminal has no end.
    pub(super) fn end_input(&mut self) {
        if !self.terminal {
            self.ending = true;
            self.flush();
        }
    }

    /// Hands pending input to the container as far as it takes it.
    pub(super) fn flush(&mut self) {
        while !self.pending.is_empty() {
            let Some(stdin) = &self.stdin else { break };
            match rustix::io::write(stdin, self.pending.as_slices().0) {
                Ok(written) => drop(self.pending.drain(..written)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // Nobody reads it any more.
                Err(_) => {
                    self.pending.clear();
                    self.ending = true;
                }
            }
        }
        // An idle container's supervisor keeps no buffer.
        self.pending.shrink_to(0);
        if self.ending {
            self.stdin = None;
        }
    }

    /// Returns whether input waits for the container.
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty() && self.stdin.is_some()
    }

    /// Returns whether clients may send more input now.
    pub(super) fn has_room(&self) -> bool {
        self.pending.len() < PENDING_AT_MOST
    }
}
