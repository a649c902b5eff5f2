//! The root filesystem of a program with a toolbox, made by the new process itself: the toolbox with
//! the container's kernel filesystems and name service in it, and all of the container's own below
//! [`TARGET`].
//!
//! It happens in a copy of the container's mount namespace, which the container doesn't see. What is
//! mounted is opened inside the container's root, whose paths it may have made into links; where it is
//! mounted is in the toolbox, which nobody else has seen yet.

use std::os::fd::OwnedFd;
use std::path::Path;

use nix::sched::{CloneFlags, unshare};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};
use wharf_model::TARGET;

use super::mounts::make_private;
use super::rootfs::Root;
use crate::{Error, Result};

/// The container's folders that a toolbox has in place of its own, with all that is mounted in them.
pub(crate) const FOLDERS: [&str; 3] = ["/proc", "/sys", "/dev"];

/// The container's files that it has in place of its own.
pub(crate) const FILES: [&str; 3] = ["/etc/resolv.conf", "/etc/hosts", "/etc/hostname"];

const ATTACH: MoveMountFlags =
    MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH.union(MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH);

/// Makes the toolbox this process's root. The process is in the container's namespaces, with every
/// right in them.
pub(crate) fn enter(tree: &OwnedFd) -> Result<()> {
    let failed = |what: &'static str| move |cause: Errno| Error::failed(what, cause);
    unshare(CloneFlags::CLONE_NEWNS)
        .map_err(|cause| Error::failed("make a mount namespace", cause))?;
    make_private()?;
    let root = Root::open(Path::new("/"))
        .map_err(|cause| Error::failed("open the container's root", cause))?;
    let mut copies = Vec::new();
    for path in FOLDERS {
        let copy = copy(&root, path, OpenTreeFlags::AT_RECURSIVE)
            .map_err(|cause| Error::failed(format_args!("copy the container's {path}"), cause))?;
        copies.push((path, copy));
    }
    for path in FILES {
        // What isn't there, or isn't a file, stays as the toolbox has it.
        if let Ok(copy) = copy(&root, path, OpenTreeFlags::empty())
            && rustix::fs::fstat(&copy)
                .is_ok_and(|it| FileType::from_raw_mode(it.st_mode) == FileType::RegularFile)
        {
            copies.push((path, copy));
        }
    }
    // Upon the container's root, from where it can become the root.
    move_mount(tree, "", root.folder(), "", ATTACH).map_err(failed("mount the toolbox"))?;
    let toolbox = Root::from(tree.try_clone().map_err(|c| Error::failed("mount the toolbox", c))?);
    for (path, copy) in &copies {
        let what = |cause: Errno| Error::failed(format_args!("mount {path} in the toolbox"), cause);
        let place = toolbox.path(Path::new(path), OFlags::PATH).map_err(what)?;
        move_mount(copy, "", &place, "", ATTACH).map_err(what)?;
    }
    let pivot = || -> rustix::io::Result<()> {
        rustix::process::fchdir(toolbox.folder())?;
        rustix::process::pivot_root(".", TARGET.trim_start_matches('/'))?;
        rustix::process::chdir("/")
    };
    pivot().map_err(failed("make the toolbox the root"))
}

/// Returns a copy of what a path of the container leads to, which is in no namespace.
fn copy(root: &Root, path: &str, more: OpenTreeFlags) -> rustix::io::Result<OwnedFd> {
    let found = root.path(Path::new(path), OFlags::PATH)?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | more;
    open_tree(&found, "", flags)
}
