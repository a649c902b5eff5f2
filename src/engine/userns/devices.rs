//! What a user namespace's root can't make anew: the host's own, bound in. Device nodes first of all.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};

use wharf_sys::mount as attributes;

use crate::init::rootfs::Root;
use crate::{Error, Result};

/// Binds the host's node onto `name` in the open folder `inside`.
pub(crate) fn bind(host: &Path, inside: &OwnedFd, name: &str) -> Result<()> {
    attach(host, inside, OsStr::new(name))
        .map_err(|cause| Error::failed(format_args!("bind {}", host.display()), cause))
}

/// Binds a node that a privileged container gets. One that this user may not even see is left out,
/// and one that the container has of its own stays.
pub(crate) fn bind_if_allowed(host: &Path, inside: &OwnedFd, name: &OsStr) -> Result<()> {
    match attach(host, inside, name) {
        Ok(()) | Err(Errno::ACCESS | Errno::PERM | Errno::NOENT | Errno::EXIST) => Ok(()),
        Err(cause) => Err(Error::failed(format_args!("bind {}", host.display()), cause)),
    }
}

fn attach(host: &Path, inside: &OwnedFd, name: &OsStr) -> rustix::io::Result<()> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = open_tree(CWD, host, flags)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    drop(rustix::fs::openat(inside, name, flags, Mode::from_raw_mode(0o644))?);
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(tree.as_fd(), "", inside, name, flags)
}

/// Binds a node of the host's at a container's path. One that is there already stays.
pub(crate) fn bind_once(host: &Path, inside: &OwnedFd, name: &OsStr) -> rustix::io::Result<()> {
    match attach(host, inside, name) {
        Err(Errno::EXIST) => Ok(()),
        result => result,
    }
}

/// Binds the host's /sys, read-only.
pub(crate) fn bind_sys(root: &Root) -> Result<()> {
    bind_tree(root, "/sys", attributes::READ_ONLY)
}

/// Binds the host's /proc: that of its PID namespace, whose root only may mount it anew.
pub(crate) fn bind_proc(root: &Root) -> Result<()> {
    bind_tree(root, "/proc", 0)
}

/// Binds the host's message queues, if it has them mounted.
pub(crate) fn bind_queues(root: &Root) -> Result<()> {
    match Path::new("/dev/mqueue").is_dir() {
        true => bind_tree(root, "/dev/mqueue", 0),
        false => Ok(()),
    }
}

fn bind_tree(root: &Root, path: &str, more: u64) -> Result<()> {
    let bind = || -> std::io::Result<()> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE;
        let tree = open_tree(CWD, path, flags)?;
        let all = attributes::NO_SUID | attributes::NO_DEVICES | attributes::NO_EXEC | more;
        attributes::set_attributes(tree.as_fd(), all, true)?;
        let target = root.make_folder(Path::new(path), 0o755)?;
        let flags =
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        Ok(move_mount(tree.as_fd(), "", &target, "", flags)?)
    };
    bind().map_err(|cause| Error::failed(format_args!("bind {path}"), cause))
}
