//! Tells when a log changes, without polling.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::{Errno, retry_on_intr};

use crate::{Error, Result};

/// What happens in a log's folder when the log grows or is rotated.
pub const CHANGES: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::CREATE)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::ONLYDIR);

/// A watch on a log's folder, so that appends and rotations are both seen.
#[derive(Debug)]
pub struct Follow(OwnedFd);

impl Follow {
    /// Begins to watch.
    ///
    /// # Errors
    /// When the folder can't be watched, or the kernel refuses: too many of this user's watches are
    /// in use.
    pub fn new(log: &Path) -> Result<Self> {
        let fail = |e: Errno| Error::file("watch", log, e);
        let folder = match log.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(fail)?;
        inotify::add_watch(&watch, folder, CHANGES).map_err(fail)?;
        Ok(Self(watch))
    }

    /// Empties the queue: one wake stands for all changes so far.
    pub fn drain(&self) {
        let mut events = [0_u8; 4096];
        while matches!(retry_on_intr(|| rustix::io::read(&self.0, &mut events)), Ok(1..)) {}
    }
}

impl AsFd for Follow {
    /// Readable when the log may have changed since the last [`Follow::drain`].
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
