//! What the user mounts: host paths and memory, parents before what lies below them.
//!
//! Host paths are opened first, while the mounts of this namespace still are what they are on the
//! host: a copy of a shared mount stays one of its peers, which is how mounts spread into a
//! container that asks for it. Only then everything else becomes private. A target is opened inside
//! the new root and mounted on by descriptor, so that whoever swaps it for a symbolic link meanwhile
//! gains nothing (CVE-2021-30465).

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, mount_change, move_mount,
    open_tree,
};
use wharf_model::{ErrorKind, Mount, MountKind, Propagation, ReadOnlyBelow};
use wharf_sys::mount as attributes;

use super::mounts::{failed, remount_read_only, special};
use super::rootfs::{Root, by_descriptor};
use crate::container::mounts::TmpfsOptions;
use crate::mount_table::MountTable;
use crate::userns::trees::Trees;
use crate::{Error, Result};

/// A mount whose host path is open.
pub(crate) struct Opened {
    mount: Mount,
    /// A copy of what is mounted there, not yet anywhere; none for memory.
    tree: Option<OwnedFd>,
}

/// Opens the host paths of all binds: the engine's own files, and the user's. A remapped container
/// gets them from its supervisor.
pub(crate) fn open(
    files: &[(PathBuf, &'static str)],
    mounts: &[Mount],
    memory: &BTreeMap<String, String>,
    trees: Option<&Trees>,
) -> Result<Vec<Opened>> {
    // A file of the engine's gives way to what the user mounts there.
    let free = |target: &str| {
        !memory.contains_key(target) && mounts.iter().all(|mount| mount.target != target)
    };
    let engine = files.iter().filter(|(_, target)| free(target)).map(|(source, target)| Mount {
        source: source.display().to_string(),
        target: (*target).to_owned(),
        ..Mount::default()
    });
    let memory = memory.iter().map(|(target, options)| Mount {
        kind: MountKind::Tmpfs,
        target: target.clone(),
        tmpfs_options: vec![options.clone()],
        ..Mount::default()
    });
    let mut mounts: Vec<Mount> = mounts.iter().cloned().chain(engine).chain(memory).collect();
    mounts.sort_by_key(|mount| Path::new(&mount.target).components().count());
    mounts
        .into_iter()
        .map(|mount| {
            let sent = trees.and_then(|trees| trees.bind(&mount.target));
            let tree = match (mount.kind, sent) {
                (MountKind::Tmpfs, _) => None,
                (_, Some(tree)) => Some(tree.try_clone_to_owned().map_err(|cause| {
                    Error::failed(format_args!("bind {} on {}", mount.source, mount.target), cause)
                })?),
                (_, None) => Some(open_source(&mount)?),
            };
            Ok(Opened { mount, tree })
        })
        .collect()
}

pub(crate) fn open_source(mount: &Mount) -> Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if !mount.non_recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let tree = if mount.volume.subpath.is_empty() {
        open_tree(CWD, mount.source.as_str(), flags)
    } else {
        open_tree(&open_below(mount)?, "", flags | OpenTreeFlags::AT_EMPTY_PATH)
    };
    let tree = tree.map_err(|cause| {
        failed(format_args!("bind {} on {}", mount.source, mount.target), cause)
    })?;
    check_spreads(mount)?;
    Ok(tree)
}

/// Opens the part of a volume that is mounted. Others may write to the volume meanwhile: nothing that
/// they put in the way leads out of it.
fn open_below(mount: &Mount) -> Result<OwnedFd> {
    let Mount { source, volume, .. } = mount;
    let about = |why: &dyn std::fmt::Display| {
        let text = format!("cannot access path {source}/{}: {why}", volume.subpath);
        Error::new(ErrorKind::Invalid, text)
    };
    let whole = Root::open(Path::new(source)).map_err(|cause| about(&cause))?;
    whole.below(Path::new(&volume.subpath)).map_err(|cause| match cause {
        Errno::XDEV => about(&"path concatenation escapes the base directory"),
        Errno::NOENT => about(&"no such file or directory"),
        cause => about(&std::io::Error::from(cause)),
    })
}

/// Refuses a propagation that the source's own mount can't give.
fn check_spreads(mount: &Mount) -> Result<()> {
    let (tags, kind): (&[&str], _) = match mount.propagation.unwrap_or_default() {
        Propagation::Private | Propagation::Rprivate => return Ok(()),
        Propagation::Shared | Propagation::Rshared => (&["shared:"], "shared"),
        Propagation::Slave | Propagation::Rslave => (&["shared:", "master:"], "shared or slave"),
    };
    let table = MountTable::read()?;
    let holding = table.holding(Path::new(&mount.source))?;
    if holding.as_ref().is_some_and(|it| tags.iter().any(|tag| it.is_tagged(tag))) {
        return Ok(());
    }
    let point = holding.map_or_else(|| "/".into(), |it| it.point());
    Err(Error::new(
        ErrorKind::Invalid,
        format!(
            "path {} is mounted on {} but it is not a {kind} mount",
            mount.source,
            point.display()
        ),
    ))
}

/// Mounts all of it inside.
pub(crate) fn attach(root: &Root, opened: &[Opened]) -> Result<()> {
    opened.iter().try_for_each(|Opened { mount, tree }| match tree {
        Some(tree) => bind(root, mount, tree),
        None => tmpfs(root, mount),
    })
}

fn bind(root: &Root, mount: &Mount, tree: &OwnedFd) -> Result<()> {
    let what = || format!("bind {} on {}", mount.source, mount.target);
    let found = rustix::fs::fstat(tree).map_err(|cause| failed(what(), cause))?;
    let target = Path::new(&mount.target);
    let target = if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
        root.make_folder(target, 0o755)
    } else {
        root.make_file(target)
    }
    .map_err(|cause| failed(what(), cause))?;
    check_proc(root, &target, Some(tree))?;
    let below = !mount.non_recursive && mount.read_only_below != ReadOnlyBelow::Never;
    let mut unprotected = false;
    if mount.read_only {
        match attributes::set_attributes(tree.as_fd(), attributes::READ_ONLY, below) {
            Err(error)
                if error.raw_os_error() == Some(Errno::NOSYS.raw_os_error())
                    && mount.read_only_below != ReadOnlyBelow::Always =>
            {
                unprotected = true;
            }
            result => result.map_err(|cause| failed(what(), cause))?,
        }
    }
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, "", &target, "", flags).map_err(|cause| failed(what(), cause))?;
    if unprotected {
        // Before Linux 5.12 only the topmost mount can be made read-only.
        remount_read_only(tree).map_err(|cause| failed(what(), cause))?;
    }
    let propagation = mount.propagation.unwrap_or_default();
    mount_change(by_descriptor(tree), flags_of(propagation)).map_err(|cause| failed(what(), cause))
}

fn flags_of(propagation: Propagation) -> MountPropagationFlags {
    let flags = match propagation {
        Propagation::Private | Propagation::Rprivate => MountPropagationFlags::PRIVATE,
        Propagation::Shared | Propagation::Rshared => MountPropagationFlags::SHARED,
        Propagation::Slave | Propagation::Rslave => MountPropagationFlags::DOWNSTREAM,
    };
    if propagation.is_recursive() { flags | MountPropagationFlags::REC } else { flags }
}

/// `PROC_SUPER_MAGIC` of linux/magic.h.
const PROC_MAGIC: u64 = 0x9fa0;

/// What tells of the host's resources, which a container may be told otherwise.
const MAY_BE_COVERED: [&str; 8] =
    ["cpuinfo", "diskstats", "loadavg", "meminfo", "slabinfo", "stat", "swaps", "uptime"];

/// Refuses to cover what the engine itself relies on in /proc, whatever links led there: only
/// another /proc may take its place, and few of its files may be replaced (CVE-2019-19921).
pub(super) fn check_proc(root: &Root, target: &OwnedFd, tree: Option<&OwnedFd>) -> Result<()> {
    let what = "look where a mount goes";
    let shown = |fd: &dyn AsFd| -> Result<PathBuf> {
        let path = by_descriptor(fd.as_fd());
        std::fs::read_link(path).map_err(|cause| Error::failed(what, cause))
    };
    let (base, target) = (shown(&root.folder())?, shown(target)?);
    let Ok(inside) = target.strip_prefix(&base) else { return Ok(()) };
    let Ok(below) = inside.strip_prefix("proc") else { return Ok(()) };
    let refuse = |why: &str| {
        let text = format!("/{} cannot be mounted because it is {why}", inside.display());
        Err(Error::new(ErrorKind::Invalid, text))
    };
    if below.as_os_str().is_empty() {
        let found = tree.map(rustix::fs::fstatfs).transpose();
        let found = found.map_err(|cause| failed(what, cause))?;
        return match found {
            Some(found) if u64::try_from(found.f_type) == Ok(PROC_MAGIC) => Ok(()),
            _ => refuse("not of type proc"),
        };
    }
    match below.to_str().is_some_and(|name| MAY_BE_COVERED.contains(&name) || name == "net/dev") {
        true => Ok(()),
        false => refuse("inside /proc"),
    }
}

/// Mounts memory. It has the mode of the folder it covers, unless one is asked for.
fn tmpfs(root: &Root, mount: &Mount) -> Result<()> {
    let path = mount.target.as_str();
    let what = || format!("mount tmpfs on {path}");
    let options = TmpfsOptions::of(mount)?;
    let covered = root.path(Path::new(path), rustix::fs::OFlags::PATH).ok();
    let target = root.make_folder(Path::new(path), 0o755).map_err(|cause| failed(what(), cause))?;
    check_proc(root, &target, None)?;
    drop(target);
    special(root, path, "tmpfs", options.flags, &options.data.join(","))?;
    if let Some(covered) = covered.filter(|_| !options.has_mode()) {
        let mode = rustix::fs::fstat(covered).map_err(|cause| failed(what(), cause))?.st_mode;
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY;
        let above = root.path(Path::new(path), flags).map_err(|cause| failed(what(), cause))?;
        rustix::fs::chmod(by_descriptor(&above), Mode::from_raw_mode(mode & 0o7777))
            .or_else(|cause| match (cause, options.flags.contains(MountFlags::RDONLY)) {
                (Errno::ROFS, true) => Ok(()),
                _ => Err(cause),
            })
            .map_err(|cause| failed(what(), cause))?;
    }
    Ok(())
}
