//! Waits for a log to change, without polling.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::{Errno, retry_on_intr};

use crate::{Error, Result};

/// How often to look when the kernel refuses a watch (too many of this user's are in use).
const POLL: Duration = Duration::from_millis(200);

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The log may have changed.
    Changed,
    /// The caller's stop descriptor became readable or was hung up.
    Stopped,
    /// The time is up.
    TimedOut,
}

/// A watch on a log's folder, so that appends and rotations are both seen.
#[derive(Debug)]
pub struct Follow {
    watch: Option<OwnedFd>,
}

impl Follow {
    /// Begins to watch. What changes from now on ends a [`Follow::wait`], even one begun later.
    ///
    /// # Errors
    /// When the folder can't be watched at all. Too many watches is no error: then the wait looks
    /// five times a second.
    pub fn new(log: &Path) -> Result<Self> {
        let fail = |e: Errno| Error::file("watch", log, e);
        let folder = match log.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let watch = match inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK) {
            Ok(watch) => watch,
            Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => return Ok(Self { watch: None }),
            Err(e) => return Err(fail(e)),
        };
        let what = WatchFlags::MODIFY
            | WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE
            | WatchFlags::ONLYDIR;
        match inotify::add_watch(&watch, folder, what) {
            Ok(_) => Ok(Self { watch: Some(watch) }),
            Err(Errno::NOSPC | Errno::NOMEM) => Ok(Self { watch: None }),
            Err(e) => Err(fail(e)),
        }
    }

    /// Returns the descriptor to poll for reading, for callers with an event loop of their own;
    /// they call [`Follow::wait`] with a zero timeout once it is readable. None when the kernel
    /// refused a watch.
    pub fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().map(AsFd::as_fd)
    }

    /// Waits until the log may have changed, `stop` becomes readable, or the time is up.
    ///
    /// # Errors
    /// When polling fails.
    pub fn wait(&self, stop: Option<BorrowedFd<'_>>, timeout: Option<Duration>) -> Result<Wake> {
        let fail = |e: Errno| Error::file("watch", Path::new(""), e);
        let blind = self.watch.is_none();
        let limit = if blind { Some(timeout.map_or(POLL, |t| t.min(POLL))) } else { timeout };
        let limit = limit.and_then(|t| Timespec::try_from(t).ok());
        let mut fds = Vec::with_capacity(2);
        fds.extend(stop.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        fds.extend(self.watch.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
        let ready = retry_on_intr(|| poll(&mut fds, limit.as_ref())).map_err(fail)?;
        if stop.is_some() && !fds[0].revents().is_empty() {
            return Ok(Wake::Stopped);
        }
        if ready == 0 {
            let early = blind && timeout.is_none_or(|t| t > POLL);
            return Ok(if early { Wake::Changed } else { Wake::TimedOut });
        }
        self.drain();
        Ok(Wake::Changed)
    }

    /// Empties the queue: one wake stands for all changes so far.
    fn drain(&self) {
        let Some(watch) = &self.watch else { return };
        let mut events = [0_u8; 4096];
        while matches!(retry_on_intr(|| rustix::io::read(watch, &mut events)), Ok(1..)) {}
    }
}
