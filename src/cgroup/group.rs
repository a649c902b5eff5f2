//! A container's control group: one folder of the same name in each hierarchy.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::io;
use crate::layout::{Controller, Hierarchy, Layout};

/// A group in all hierarchies of the host. Dropping it leaves the kernel's group as it is.
#[derive(Clone, Debug)]
pub struct Group {
    pub(crate) name: String,
    /// In the layout's order: the version 2 hierarchy first, when there is one.
    pub(crate) members: Vec<Member>,
}

/// The group's folder in one hierarchy.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) hierarchy: Hierarchy,
    pub(crate) path: PathBuf,
}

impl Group {
    /// Returns the existing group of this name (`wharf/<id>`).
    ///
    /// # Errors
    /// [`Error::NotFound`] when no hierarchy has it.
    pub fn open(layout: &Layout, name: &str) -> Result<Self> {
        let mut group = Self::at(layout, name)?;
        group.members.retain(|member| {
            rustix::fs::access(&member.path, rustix::fs::Access::EXISTS) != Err(Errno::NOENT)
        });
        if group.members.is_empty() { Err(Error::NotFound(name.to_owned())) } else { Ok(group) }
    }

    /// Returns the group of this name without a look at whether it exists.
    pub(crate) fn at(layout: &Layout, name: &str) -> Result<Self> {
        let well_formed = |part: &str| {
            !matches!(part, "" | "." | "..") && !part.starts_with("cgroup.") && !part.contains('\0')
        };
        if !name.split('/').all(well_formed) {
            return Err(Error::Name(name.to_owned()));
        }
        let members = layout
            .hierarchies()
            .iter()
            .map(|hierarchy| Member {
                hierarchy: hierarchy.clone(),
                path: hierarchy.mount.join(name),
            })
            .collect();
        Ok(Self { name: name.to_owned(), members })
    }

    /// Returns the name it was made with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns an open folder of the version 2 group, for `clone3` with `CLONE_INTO_CGROUP`; none
    /// on hosts with version 1 alone.
    ///
    /// # Errors
    /// When the folder can't be opened.
    pub fn directory_fd(&self) -> Result<Option<OwnedFd>> {
        let Some(member) = self.unified() else { return Ok(None) };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(&member.path, flags, Mode::empty())
            .map(Some)
            .map_err(|cause| Error::io("open", &member.path, cause))
    }

    /// Returns the processes of the group and of all groups below it, as this process counts them.
    ///
    /// # Errors
    /// When the kernel's lists can't be read.
    pub fn processes(&self) -> Result<Vec<i32>> {
        let mut pids = Vec::new();
        if let Some(member) = self.census() {
            collect(&member.path, &mut pids)?;
        }
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }

    /// Returns whether no process is in the group or below it.
    ///
    /// # Errors
    /// When the kernel's lists can't be read.
    pub fn is_empty(&self) -> Result<bool> {
        match self.events()? {
            Some(events) => Ok(!events.populated()?),
            None => Ok(self.processes()?.is_empty()),
        }
    }

    pub(crate) fn unified(&self) -> Option<&Member> {
        self.members.iter().find(|member| member.hierarchy.unified)
    }

    /// Returns the folder in the hierarchy of this controller, a version 1 one before the other.
    pub(crate) fn member(&self, controller: Controller) -> Option<&Member> {
        let mut homes = self.members.iter().filter(|one| one.hierarchy.has(controller));
        let first = homes.next();
        first.filter(|one| !one.hierarchy.unified).or_else(|| homes.next()).or(first)
    }

    /// Returns the folder whose list of processes counts: every process is in each hierarchy.
    pub(crate) fn census(&self) -> Option<&Member> {
        self.unified().or_else(|| self.member(Controller::Freezer)).or(self.members.first())
    }
}

/// Adds the processes of the group at `path` and of those below it; a group that is gone has none.
pub(crate) fn collect(path: &std::path::Path, pids: &mut Vec<i32>) -> Result<()> {
    let list = path.join("cgroup.procs");
    match io::read(&list) {
        Ok(text) => pids.extend(
            text.split(|byte| *byte == b'\n')
                .filter_map(|line| std::str::from_utf8(line).ok()?.parse().ok())
                // A process that this PID namespace can't see counts as 0.
                .filter(|pid: &i32| *pid > 0),
        ),
        Err(Errno::NOENT | Errno::NODEV) => return Ok(()),
        // The kernel lists the threads of a threaded group in the group above it.
        Err(Errno::OPNOTSUPP) => {}
        Err(cause) => return Err(Error::io("read", list, cause)),
    }
    for child in children(path)? {
        collect(&child, pids)?;
    }
    Ok(())
}

/// Returns the folders of the groups directly below `path`; none when it is gone.
pub(crate) fn children(path: &std::path::Path) -> Result<Vec<PathBuf>> {
    let failed = |cause: std::io::Error| {
        Error::io("list", path, Errno::from_io_error(&cause).unwrap_or(Errno::IO))
    };
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(failed(cause)),
    };
    let mut folders = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            folders.push(entry.path());
        }
    }
    Ok(folders)
}
