//! Notice of kills for want of memory.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::epoll::EventFlags;
use rustix::event::{EventfdFlags, eventfd};

use crate::error::{Error, Result};
use crate::group::Group;
use crate::layout::Controller;
use crate::{io, parse};

/// Watches a group for kills. Version 1 announces through an eventfd that the group ran out of
/// memory, just before it kills; version 2 marks `memory.events` as changed.
#[derive(Debug)]
pub struct OomWatch {
    /// `memory.oom_control` or `memory.events`.
    file: OwnedFd,
    /// Version 1's announcements.
    eventfd: Option<OwnedFd>,
}

impl OomWatch {
    /// Returns the watch; none when the host has no memory controller.
    ///
    /// # Errors
    /// When the files can't be opened.
    pub fn open(group: &Group) -> Result<Option<Self>> {
        let Some(member) = group.member(Controller::Memory) else { return Ok(None) };
        let unified = member.hierarchy.unified;
        let path = member.path.join(if unified { "memory.events" } else { "memory.oom_control" });
        let file = io::open_read(&path).map_err(|cause| Error::io("open", &path, cause))?;
        if unified {
            let watch = Self { file, eventfd: None };
            // The first reading arms the notice.
            watch.oom_kills()?;
            return Ok(Some(watch));
        }
        let failed = |cause| Error::io("watch", &path, cause);
        let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(failed)?;
        let order = format!("{} {}", eventfd.as_raw_fd(), file.as_raw_fd());
        let control = member.path.join("cgroup.event_control");
        io::write(&control, order.as_bytes()).map_err(failed)?;
        Ok(Some(Self { file, eventfd: Some(eventfd) }))
    }

    /// Returns the descriptor to wait on, for the conditions of [`OomWatch::interest`].
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.eventfd.as_ref().unwrap_or(&self.file).as_fd()
    }

    /// Returns what to wait for: readable in version 1, an exceptional condition in version 2.
    pub fn interest(&self) -> EventFlags {
        if self.eventfd.is_some() { EventFlags::IN } else { EventFlags::PRI }
    }

    /// Returns how many processes were killed so far, and makes the descriptor quiet until the next
    /// event. Version 1 announces before it kills: read again when a process has died.
    ///
    /// # Errors
    /// When the counter can't be read, because the group is gone for instance.
    pub fn oom_kills(&self) -> Result<u64> {
        if let Some(eventfd) = &self.eventfd {
            // Nothing to read is the usual case.
            let _ = rustix::io::read(eventfd, &mut [0; 8]);
        }
        let mut buffer = [0; 512];
        let text = io::reread(&self.file, &mut buffer)
            .map_err(|cause| Error::io("read", "memory events", cause))?;
        Ok(parse::keyed(text, b"oom_kill").unwrap_or_default())
    }
}
