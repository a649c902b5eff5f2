//! Making a group: its folders, the controllers handed down to it, its limits and its devices.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::group::{Group, Member};
use crate::io;
use crate::layout::{Controller, Controllers, Layout, enable_words};
use crate::limits::Limits;

impl Group {
    /// Makes the group `name` (`wharf/<id>`) in every hierarchy and applies the limits. An empty
    /// group of that name is replaced, so that its counters begin at zero.
    ///
    /// # Errors
    /// [`Error::Unsupported`] before anything is made when a limit lacks its controller;
    /// [`Error::Occupied`] when a group of that name has processes. What was made is removed again.
    pub fn create(layout: &Layout, name: &str, limits: &Limits) -> Result<Self> {
        limits.check(layout)?;
        let group = Self::at(layout, name)?;
        let mut made = 0;
        let built = (|| {
            for member in &group.members {
                make(member, name)?;
                made += 1;
                furnish(member)?;
            }
            limits.apply(&group)?;
            crate::devices::apply(&group, &limits.devices)
        })();
        if let Err(error) = built {
            for member in &group.members[..made] {
                // The first failure is the one to report.
                let _ = rustix::fs::rmdir(&member.path);
            }
            return Err(error);
        }
        Ok(group)
    }
}

impl Group {
    /// Makes a group below this one, without limits of its own, in the one hierarchy whose list of
    /// processes counts: what enters it can be ended as a whole ([`Group::kill`]) while the rest of
    /// this group goes on. It is removed with [`Group::delete`], or together with this group.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn part(&self, name: &str) -> Result<Self> {
        let Some(member) = self.census() else { return Err(Error::NotMounted) };
        let path = member.path.join(name);
        match mkdir(&path) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(cause) => return Err(Error::io("make", path, cause)),
        }
        let member = Member { hierarchy: member.hierarchy.clone(), path };
        if member.hierarchy.has(Controller::Cpuset) && !member.hierarchy.unified {
            inherit_cpuset(&member.path)?;
        }
        Ok(Self { name: format!("{}/{name}", self.name()), members: vec![member] })
    }
}

/// Returns an open folder of the version 2 group of this name, for `clone3` with
/// `CLONE_INTO_CGROUP`, made when it is missing and without limits; none on hosts with version 1
/// alone.
///
/// # Errors
/// When the kernel refuses.
pub fn leaf(layout: &Layout, name: &str) -> Result<Option<OwnedFd>> {
    let group = Group::at(layout, name)?;
    let Some(member) = group.unified() else { return Ok(None) };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = || rustix::fs::open(&member.path, flags, Mode::empty());
    if let Ok(folder) = open() {
        return Ok(Some(folder));
    }
    let mut folders = parents(member);
    folders.push(member.path.clone());
    for path in folders {
        match mkdir(&path) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(cause) => return Err(Error::io("make", path, cause)),
        }
    }
    open().map(Some).map_err(|cause| Error::io("open", &member.path, cause))
}

/// Makes the folder of one hierarchy, the parents where they are missing.
fn make(member: &Member, name: &str) -> Result<()> {
    let path = &member.path;
    match mkdir(path) {
        Err(Errno::NOENT) => {
            for parent in parents(member) {
                match mkdir(&parent) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(cause) => return Err(Error::io("make", parent, cause)),
                }
                if member.hierarchy.has(Controller::Cpuset) && !member.hierarchy.unified {
                    inherit_cpuset(&parent)?;
                }
            }
            mkdir(path).map_err(|cause| Error::io("make", path, cause))?;
        }
        Err(Errno::EXIST) => {
            let mut failures = Vec::new();
            crate::delete::remove_tree(path, &mut failures);
            if !failures.is_empty() {
                return Err(Error::Occupied(name.to_owned()));
            }
            mkdir(path).map_err(|cause| Error::io("make", path, cause))?;
        }
        other => other.map_err(|cause| Error::io("make", path, cause))?,
    }
    Ok(())
}

/// Gives a new folder what processes need to enter it and limits to be written.
fn furnish(member: &Member) -> Result<()> {
    if member.hierarchy.unified {
        hand_down(member, &Controllers::DELEGATED)
    } else if member.hierarchy.has(Controller::Cpuset) {
        inherit_cpuset(&member.path)
    } else {
        Ok(())
    }
}

fn mkdir(path: &Path) -> std::result::Result<(), Errno> {
    rustix::fs::mkdir(path, Mode::from_raw_mode(0o755))
}

/// Returns the folders between the mount and the group, outermost first.
pub(crate) fn parents(member: &Member) -> Vec<PathBuf> {
    let mount = &member.hierarchy.mount;
    let mut between: Vec<PathBuf> = member
        .path
        .ancestors()
        .skip(1)
        .take_while(|path| path != mount)
        .map(Path::to_path_buf)
        .collect();
    between.reverse();
    between
}

/// Gives a version 1 cpuset what its parent has: the kernel starts it empty and then lets no
/// process in. Groups made below it later inherit by themselves. A parent that is empty itself is one
/// that somebody else is about to furnish; the root never is.
fn inherit_cpuset(path: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let own = path.join(file);
        let read = |path: &Path| io::read(path).map_err(|cause| Error::io("read", path, cause));
        if read(&own)?.trim_ascii().is_empty()
            && let Some(parent) = path.parent()
        {
            let mut inherited = read(&parent.join(file))?;
            if inherited.trim_ascii().is_empty() {
                inherit_cpuset(parent)?;
                inherited = read(&parent.join(file))?;
            }
            io::write(&own, inherited.trim_ascii())
                .map_err(|cause| Error::io("write", &own, cause))?;
            let flag = path.join("cgroup.clone_children");
            io::write(&flag, b"1").map_err(|cause| Error::io("write", flag, cause))?;
        }
    }
    Ok(())
}

/// Sees to it that a version 2 group has these of the controllers that the hierarchy's root has, as far
/// as the groups above it will hand them down.
pub(crate) fn hand_down(member: &Member, controllers: &[Controller]) -> Result<()> {
    let wanted = member.hierarchy.controllers.and(Controllers::of(controllers));
    if wanted.is_empty() {
        return Ok(());
    }
    let own = member.path.join("cgroup.controllers");
    let text = io::read(&own).map_err(|cause| Error::io("read", &own, cause))?;
    if wanted.minus(Controllers::from_words(text.split(u8::is_ascii_whitespace))).is_empty() {
        return Ok(());
    }
    let mut path = member.hierarchy.mount.clone();
    enable(&path, wanted)?;
    for parent in parents(member) {
        path = parent;
        enable(&path, wanted)?;
    }
    Ok(())
}

fn enable(path: &Path, wanted: Controllers) -> Result<()> {
    let file = path.join("cgroup.subtree_control");
    let text = io::read(&file).map_err(|cause| Error::io("read", &file, cause))?;
    let missing = wanted.minus(Controllers::from_words(text.split(u8::is_ascii_whitespace)));
    if missing.is_empty() {
        return Ok(());
    }
    match io::write(&file, enable_words(missing).as_bytes()) {
        Ok(()) => Ok(()),
        Err(Errno::BUSY) => Err(Error::ParentOccupied(path.to_path_buf())),
        Err(cause @ (Errno::ACCESS | Errno::PERM | Errno::ROFS)) => {
            Err(Error::io("write", file, cause))
        }
        // One of them can't be had (the cpu controller while real-time tasks run, say): take the
        // others. A limit that needs the missing one fails when it is applied.
        Err(_) => {
            for controller in missing.iter() {
                let _ = io::write(&file, format!("+{}", controller.as_str()).as_bytes());
            }
            Ok(())
        }
    }
}
