//! Putting processes into a group.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::group::Group;
use crate::io;

/// Open files through which a process enters the version 1 part of a group: see the crate's
/// documentation. Made by the parent, used by the child; using it allocates nothing.
#[derive(Debug)]
pub struct Gate {
    tasks: Vec<OwnedFd>,
}

impl Gate {
    /// Moves the calling thread into the group. The process must have no other thread.
    ///
    /// # Errors
    /// What the kernel said.
    pub fn enter(&self) -> std::result::Result<(), Errno> {
        self.tasks.iter().try_for_each(|file| io::write_fd(file, b"0"))
    }

    /// Returns the open files, for a caller that hands them to another process, which writes `0`
    /// into each.
    pub fn files(&self) -> &[OwnedFd] {
        &self.tasks
    }
}

impl Group {
    /// Returns the way into the version 1 hierarchies for a process that was cloned into
    /// [`Group::directory_fd`]; empty on hosts with version 2 alone.
    ///
    /// # Errors
    /// When a file can't be opened.
    pub fn gate(&self) -> Result<Gate> {
        let legacy = self.members.iter().filter(|member| !member.hierarchy.unified);
        let tasks = legacy
            .map(|member| {
                let path = member.path.join("tasks");
                io::open_write(&path).map_err(|cause| Error::io("open", path, cause))
            })
            .collect::<Result<_>>()?;
        Ok(Gate { tasks })
    }

    /// Moves a running process, with all its threads, into the group in every hierarchy: 1 to 3 ms.
    ///
    /// # Errors
    /// When it is gone, or the kernel refuses.
    pub fn add(&self, pid: i32) -> Result<()> {
        let word = pid.to_string();
        for member in &self.members {
            let path = member.path.join("cgroup.procs");
            io::write(&path, word.as_bytes())
                .map_err(|cause| Error::io("add process to", &member.path, cause))?;
        }
        Ok(())
    }
}
