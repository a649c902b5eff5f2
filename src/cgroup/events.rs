//! The version 2 `cgroup.events` file: whether a group has processes and whether it is frozen, with
//! the kernel's notice when that changes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::group::Group;
use crate::{io, parse};

/// An open `cgroup.events`. Its descriptor has an exceptional condition (`EPOLLPRI`) after each
/// change, until it is read.
#[derive(Debug)]
pub struct Events {
    file: OwnedFd,
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Events {
    /// Returns whether a process is in the group or below it; a group that is gone has none.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn populated(&self) -> Result<bool> {
        self.flag(b"populated")
    }

    /// Returns whether all processes are frozen.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn frozen(&self) -> Result<bool> {
        self.flag(b"frozen")
    }

    fn flag(&self, key: &[u8]) -> Result<bool> {
        let mut buffer = [0; 256];
        match io::reread(&self.file, &mut buffer) {
            Ok(text) => Ok(parse::keyed(text, key) == Some(1)),
            Err(Errno::NODEV) => Ok(false),
            Err(cause) => Err(Error::io("read", "cgroup.events", cause)),
        }
    }

    /// Waits until `done` holds, asking again after each change; returns whether it does.
    pub(crate) fn wait(
        &self,
        deadline: Instant,
        done: impl Fn(&Self) -> Result<bool>,
    ) -> Result<bool> {
        loop {
            if done(self)? {
                return Ok(true);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            wait_for(&mut [PollFd::new(&self.file, PollFlags::PRI)], left)?;
        }
    }
}

/// Waits for any of the descriptors, at most this long.
pub(crate) fn wait_for(fds: &mut [PollFd<'_>], left: Duration) -> Result<()> {
    let timeout = Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(left.subsec_nanos()),
    };
    match rustix::event::poll(fds, Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(cause) => Err(Error::io("poll", "cgroup.events", cause)),
    }
}

impl Group {
    /// Returns the open events file of the version 2 group; none on hosts with version 1 alone.
    ///
    /// # Errors
    /// When the file can't be opened.
    pub fn events(&self) -> Result<Option<Events>> {
        let Some(member) = self.unified() else { return Ok(None) };
        let path = member.path.join("cgroup.events");
        match io::open_read(&path) {
            Ok(file) => Ok(Some(Events { file })),
            Err(cause) => Err(Error::io("open", path, cause)),
        }
    }

    /// Waits until no process is in the group or below it; returns whether that came true in time.
    ///
    /// # Errors
    /// When the kernel's files can't be read.
    pub fn wait_empty(&self, timeout: Duration) -> Result<bool> {
        let deadline = Instant::now() + timeout;
        match self.events() {
            Ok(Some(events)) => events.wait(deadline, |events| Ok(!events.populated()?)),
            Ok(None) => self.wait_processes(deadline),
            Err(Error::Io { cause: Errno::NOENT, .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Version 1 gives no notice of an empty group: waits for each of its processes.
    fn wait_processes(&self, deadline: Instant) -> Result<bool> {
        loop {
            let pids = self.processes()?;
            if pids.is_empty() {
                return Ok(true);
            }
            for pid in pids.into_iter().filter_map(rustix::process::Pid::from_raw) {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Ok(false);
                }
                let flags = rustix::process::PidfdFlags::empty();
                let Ok(process) = rustix::process::pidfd_open(pid, flags) else {
                    // It is about to leave the list.
                    rustix::thread::sched_yield();
                    continue;
                };
                wait_for(&mut [PollFd::new(&process, PollFlags::IN)], left)?;
            }
        }
    }
}
