//! Waiting that a signal ends.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// The time is up.
    Timeout,
    /// There is something to read or accept.
    Ready,
    /// The program is asked to end.
    Signal(i32),
}

/// The signals that ask a program to end, taken from their default action.
pub(crate) struct Signals {
    fd: SignalFd,
}

impl Signals {
    /// Takes SIGTERM, SIGINT and SIGQUIT from now on. To be called before any thread is started.
    pub(crate) fn take() -> std::io::Result<Self> {
        let mut set = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
            set.add(signal);
        }
        set.thread_block()?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(Self { fd: SignalFd::with_flags(&set, flags)? })
    }

    /// Waits until a signal, a readable `fd`, or the end of the time.
    pub(crate) fn wait_for(&self, fd: Option<BorrowedFd<'_>>, time: Option<Duration>) -> Woken {
        let end = time.and_then(|time| Instant::now().checked_add(time));
        loop {
            let timeout = match (time, end) {
                (Some(_), Some(end)) => {
                    let left = end.saturating_duration_since(Instant::now());
                    // Rounded up, or the last millisecond would be spent spinning.
                    let millis = left.as_micros().div_ceil(1000).min(1 << 30);
                    PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)
                }
                _ => PollTimeout::NONE,
            };
            let mut fds = vec![PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
            fds.extend(fd.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
            match poll(&mut fds, timeout) {
                Ok(0) if end.is_some_and(|end| Instant::now() >= end) => return Woken::Timeout,
                Ok(_) | Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(_) => return Woken::Timeout,
            }
            if let Ok(Some(info)) = self.fd.read_signal() {
                return Woken::Signal(i32::try_from(info.ssi_signo).unwrap_or(15));
            }
            if fds.get(1).and_then(PollFd::any) == Some(true) {
                return Woken::Ready;
            }
        }
    }

    /// Waits for a signal that long; returns the exit code it asks for, 128 and its number.
    pub(crate) fn sleep(&self, time: Option<Duration>) -> Option<i32> {
        match self.wait_for(None, time) {
            Woken::Signal(signal) => Some(128 + signal),
            _ => None,
        }
    }
}
