//! Following the events that any process of this engine records.
//!
//! The database's write-ahead log changes with every commit, so an inotify watch on it wakes the
//! follower exactly then; nothing polls.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use wharf_model::Event;

use crate::engine::Engine;
use crate::state::Store;
use crate::{Error, Result};

/// A follower of the engine's events.
pub struct EventWatch {
    store: Store,
    inotify: OwnedFd,
    last: i64,
    version: i64,
}

impl Engine {
    /// Returns a follower of what happens from now on.
    ///
    /// # Errors
    /// When the database can't be opened or watched.
    pub fn watch(&self) -> Result<EventWatch> {
        let store = Store::open(&self.paths().database())?;
        let failed = |cause: rustix::io::Errno| Error::failed("watch the state database", cause);
        let inotify =
            inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(failed)?;
        let last = store.last_event()?;
        let version = store.data_version()?;
        let mut log = self.paths().database().into_os_string();
        log.push("-wal");
        inotify::add_watch(&inotify, &log, WatchFlags::MODIFY).map_err(failed)?;
        let mut watch = EventWatch { store, inotify, last, version };
        // What was committed before the watch stood is found by number.
        watch.version = watch.version.wrapping_sub(1);
        Ok(watch)
    }

    /// Returns what is remembered of what happened after the event of this number, each event with its
    /// own, in order; 0 is before all.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn events_after(&self, number: i64) -> Result<Vec<(i64, Event)>> {
        self.with_store(|store| store.events_after(number))
    }

    /// Returns the number of the newest event, 0 when there was none.
    ///
    /// # Errors
    /// As [`Engine::events_after`].
    pub fn last_event(&self) -> Result<i64> {
        self.with_store(|store| store.last_event())
    }
}

impl AsFd for EventWatch {
    /// Readable when there may be news.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

impl EventWatch {
    /// Returns the events since the last call, each with its number.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn take(&mut self) -> Result<Vec<(i64, Event)>> {
        let mut buffer = [0_u8; 4096];
        let mut written = false;
        // Only that something changed matters, not what the kernel says of it.
        while rustix::io::read(&self.inotify, &mut buffer).is_ok_and(|length| length > 0) {
            written = true;
        }
        if written {
            // The log is written a moment before the commit can be seen, of which nobody tells then.
            self.store.wait_for_writers()?;
        }
        let version = self.store.data_version()?;
        if version == self.version {
            return Ok(Vec::new());
        }
        self.version = version;
        let events = self.store.events_after(self.last)?;
        if let Some((number, _)) = events.last() {
            self.last = *number;
        }
        Ok(events)
    }
}
