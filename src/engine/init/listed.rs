//! Mounts as an OCI bundle lists them: of any type, with any options, in this order.
//!
//! As with all mounts here, a target is opened inside the new root and mounted on by descriptor, and a
//! bind's source is a copy of its mount that takes its properties before anybody can see it.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount, mount_change,
    mount_remount, move_mount, open_tree,
};
use wharf_cgroup::Layout;
use wharf_sys::mount as attributes;

use super::binds::check_proc;
use super::mounts::{cgroups, failed};
use super::rootfs::{Root, by_descriptor};
use crate::{Error, Result};

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Where, inside.
    pub(crate) target: PathBuf,
    pub(crate) what: What,
    /// Flags that are set, as `mount(2)` has them.
    pub(crate) set: MountFlags,
    /// Flags of a bind that are taken away.
    pub(crate) cleared: MountFlags,
    /// What the filesystem itself understands.
    pub(crate) data: String,
    /// How it spreads, in the order in which that was said.
    pub(crate) propagation: Vec<MountPropagationFlags>,
    /// Properties of it and all below it: set and taken away, as `mount_setattr(2)` has them.
    pub(crate) below: (u64, u64),
    /// Whether memory begins with what it covers.
    pub(crate) copies_up: bool,
    /// Whether a bind shows other owners, and if so, whether all that is mounted below it does.
    pub(crate) mapped: Option<bool>,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A file or folder of the host's.
    Bind {
        /// Where the host has it.
        source: PathBuf,
        /// Whether what is mounted below it comes along.
        recursive: bool,
    },
    /// The container's own view of its cgroups.
    Cgroups,
    /// A filesystem.
    Filesystem {
        /// Its type.
        kind: String,
        /// Its device, or any name.
        source: String,
    },
}

/// Mounts it. Memory that is to be read-only can be written until [`finish`]. `mapped` is the source of a
/// bind that shows other owners.
pub(super) fn attach(
    root: &Root,
    listed: &Listed,
    mapped: Option<&OwnedFd>,
    host_cgroups: Option<&str>,
    layout: &Layout,
) -> Result<()> {
    match &listed.what {
        What::Bind { source, recursive } => bind(root, listed, source, *recursive, mapped),
        What::Cgroups => {
            cgroups(root, &listed.target, host_cgroups, listed.set & MountFlags::RDONLY, layout)?;
            spread(root, listed)
        }
        What::Filesystem { kind, source } => filesystem(root, listed, kind, source),
    }
}

/// Makes read-only what had to be writable until everything else was in place.
pub(super) fn finish(root: &Root, listed: &Listed) -> Result<()> {
    if !listed.is_late() {
        return Ok(());
    }
    let what = || format!("make {} read-only", listed.target.display());
    let above = root.path(&listed.target, OFlags::PATH).map_err(|cause| failed(what(), cause))?;
    super::mounts::remount_read_only(&above).map_err(|cause| failed(what(), cause))
}

impl Listed {
    fn is_late(&self) -> bool {
        matches!(&self.what, What::Filesystem { kind, .. } if kind == "tmpfs")
            && self.set.contains(MountFlags::RDONLY)
    }
}

/// Returns a copy of what is mounted at a path of the host's, which is in no namespace yet.
///
/// # Errors
/// When nothing is there, or it may not be copied.
pub(crate) fn open_source(source: &Path, recursive: bool) -> rustix::io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(CWD, source, flags)
}

fn bind(
    root: &Root,
    listed: &Listed,
    source: &Path,
    recursive: bool,
    mapped: Option<&OwnedFd>,
) -> Result<()> {
    let what = || format!("bind {} on {}", source.display(), listed.target.display());
    let tree = match mapped {
        Some(tree) => tree.try_clone().map_err(|cause| Error::failed(what(), cause))?,
        None => open_source(source, recursive).map_err(|cause| failed(what(), cause))?,
    };
    let found = rustix::fs::fstat(&tree).map_err(|cause| failed(what(), cause))?;
    let target = match FileType::from_raw_mode(found.st_mode) {
        FileType::Directory => root.make_folder(&listed.target, 0o755),
        _ => root.make_file(&listed.target),
    }
    .map_err(|cause| failed(what(), cause))?;
    check_proc(root, &target, Some(&tree))?;
    let (set, clear) = properties(listed.set, listed.cleared);
    let mut unchanged = false;
    if (set, clear) != (0, 0) {
        match attributes::change_attributes(tree.as_fd(), set, clear, false) {
            Err(error) if error.raw_os_error() == Some(Errno::NOSYS.raw_os_error()) => {
                unchanged = true;
            }
            result => result.map_err(|cause| failed(what(), cause))?,
        }
    }
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(&tree, "", &target, "", flags).map_err(|cause| failed(what(), cause))?;
    if unchanged {
        // Before Linux 5.12 only the topmost mount can be changed, by naming all its properties.
        let flags = MountFlags::BIND | listed.set;
        mount_remount(by_descriptor(&tree), flags, c"").map_err(|cause| failed(what(), cause))?;
    }
    further(listed, &tree)
}

/// Returns what flags of `mount(2)` are as properties of a mount that are set and taken away.
fn properties(set: MountFlags, cleared: MountFlags) -> (u64, u64) {
    const SAME: [(MountFlags, u64); 5] = [
        (MountFlags::RDONLY, attributes::READ_ONLY),
        (MountFlags::NOSUID, attributes::NO_SUID),
        (MountFlags::NODEV, attributes::NO_DEVICES),
        (MountFlags::NOEXEC, attributes::NO_EXEC),
        (MountFlags::NODIRATIME, attributes::NO_FOLDER_ACCESS_TIMES),
    ];
    let all = |flags: MountFlags| {
        SAME.iter().filter(|(flag, _)| flags.contains(*flag)).fold(0, |bits, (_, bit)| bits | bit)
    };
    let (mut setting, mut clearing) = (all(set), all(cleared));
    if set.bits() & NO_SYMBOLIC_LINKS != 0 {
        setting |= attributes::NO_LINKS;
    }
    if cleared.bits() & NO_SYMBOLIC_LINKS != 0 {
        clearing |= attributes::NO_LINKS;
    }
    // Three ways, of which one is what no bit stands for.
    for (flag, bit) in [
        (MountFlags::RELATIME, 0),
        (MountFlags::NOATIME, attributes::NO_ACCESS_TIMES),
        (MountFlags::STRICTATIME, attributes::STRICT_ACCESS_TIMES),
    ] {
        if set.contains(flag) {
            clearing |= attributes::ACCESS_TIMES;
            setting = setting & !attributes::ACCESS_TIMES | bit;
        }
    }
    (setting, clearing)
}

/// `MS_NOSYMFOLLOW` of linux/mount.h.
pub(crate) const NO_SYMBOLIC_LINKS: u32 = 0x100;

fn filesystem(root: &Root, listed: &Listed, kind: &str, source: &str) -> Result<()> {
    let path = &listed.target;
    let what = || format!("mount {kind} on {}", path.display());
    let text = |value: &str| CString::new(value).map_err(|cause| Error::failed(what(), cause));
    let covered = root.path(path, OFlags::RDONLY | OFlags::DIRECTORY).ok();
    let target = root.make_folder(path, 0o755).map_err(|cause| failed(what(), cause))?;
    if kind != "proc" {
        check_proc(root, &target, None)?;
    }
    let mut flags = listed.set;
    if listed.is_late() {
        flags.remove(MountFlags::RDONLY);
    }
    let (data, kind_text, source) = (text(&listed.data)?, text(kind)?, text(source)?);
    mount(source.as_c_str(), by_descriptor(&target), kind_text.as_c_str(), flags, data.as_c_str())
        .map_err(|cause| failed(what(), cause))?;
    let above = root.path(path, OFlags::RDONLY | OFlags::DIRECTORY);
    let above = above.map_err(|cause| failed(what(), cause))?;
    if kind == "tmpfs"
        && let Some(covered) = covered
    {
        // Memory has the mode of the folder that it covers, unless one is asked for.
        let has_mode = listed.data.split(',').any(|option| option.starts_with("mode="));
        if !has_mode {
            let mode = rustix::fs::fstat(&covered).map_err(|cause| failed(what(), cause))?.st_mode;
            rustix::fs::fchmod(&above, Mode::from_raw_mode(mode & 0o7777))
                .map_err(|cause| failed(what(), cause))?;
        }
        if listed.copies_up {
            let above = above.try_clone().map_err(|cause| failed(what(), cause))?;
            crate::volume::copy_tree(covered, above)?;
        }
    }
    further(listed, &above)
}

/// Gives a mount that is in place what is said of it and of those below it.
fn further(listed: &Listed, above: &OwnedFd) -> Result<()> {
    let what = || format!("mount on {}", listed.target.display());
    let (set, clear) = listed.below;
    if (set, clear) != (0, 0) {
        attributes::change_attributes(above.as_fd(), set, clear, true)
            .map_err(|cause| failed(what(), cause))?;
    }
    let spread = |flags: &MountPropagationFlags| mount_change(by_descriptor(above), *flags);
    listed.propagation.iter().try_for_each(spread).map_err(|cause| failed(what(), cause))
}

fn spread(root: &Root, listed: &Listed) -> Result<()> {
    let above = root
        .path(&listed.target, OFlags::PATH)
        .map_err(|cause| failed(format_args!("mount on {}", listed.target.display()), cause))?;
    further(listed, &above)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_a_bind_become_its_properties() {
        let both = MountFlags::RDONLY | MountFlags::NOEXEC;
        assert_eq!(properties(both, MountFlags::NODEV), (0x9, 0x4));
        assert_eq!(properties(MountFlags::NOATIME, MountFlags::empty()), (0x10, 0x70));
        assert_eq!(properties(MountFlags::RELATIME, MountFlags::empty()), (0, 0x70));
        let links = MountFlags::from_bits_retain(NO_SYMBOLIC_LINKS);
        assert_eq!(properties(links, MountFlags::empty()), (0x20_0000, 0));
    }
}
