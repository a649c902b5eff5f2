//! The container's mounts, made before its root becomes the root: the overlay, the kernel's
//! filesystems as the OCI runtime specification has them, and what the user binds in.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount,
    mount_change, mount_remount, move_mount, open_tree, unmount,
};
use wharf_cgroup::Layout;
use wharf_model::{Bind, MASKED_PATHS, MountKind, NetworkMode, READ_ONLY_PATHS};
use wharf_sys::mount as attributes;

use super::Plan;
use super::rootfs::{Root, by_descriptor};
use crate::{Error, Result};

fn failed(what: impl std::fmt::Display, cause: impl Into<io::Error>) -> Error {
    Error::failed(what, cause.into())
}

fn text(value: &str) -> Result<CString> {
    CString::new(value).map_err(|cause| failed("mount options", cause))
}

/// Mounts what the plan says and returns the new root, not yet the process's own.
pub(super) fn overlay(plan: &Plan) -> Result<Root> {
    // What is mounted here must not reach the host, nor the other way round.
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|cause| failed("make mounts private", cause))?;
    // Folders go in as descriptors: no length limit that a deep image could meet, no character that
    // would need escaping, and no path of the host that the container could read in its mount table.
    let folder = |path: &Path| -> Result<(OwnedFd, String)> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|cause| failed(format_args!("open {}", path.display()), cause))?;
        let name = by_descriptor(&fd).display().to_string();
        Ok((fd, name))
    };
    let lowers = plan.lower_dirs.iter().map(|p| folder(p)).collect::<Result<Vec<_>>>()?;
    let (_upper, upper) = folder(&plan.upper_dir)?;
    let (_work, work) = folder(&plan.work_dir)?;
    let names: Vec<&str> = lowers.iter().map(|(_, name)| name.as_str()).collect();
    let options = text(&format!("lowerdir={},upperdir={upper},workdir={work}", names.join(":")))?;
    mount("overlay", &plan.merged_dir, "overlay", MountFlags::empty(), options.as_c_str())
        .map_err(|cause| {
            failed(format_args!("mount overlay on {}", plan.merged_dir.display()), cause)
        })?;
    Root::open(&plan.merged_dir)
        .map_err(|cause| failed(format_args!("open {}", plan.merged_dir.display()), cause))
}

const COMMON: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// Mounts a filesystem of the kernel's inside, making its folder.
fn special(root: &Root, path: &str, kind: &str, flags: MountFlags, options: &str) -> Result<()> {
    named(root, kind, path, kind, flags, options)
}

/// The same, with another name in the mount table than the filesystem's.
fn named(
    root: &Root,
    name: &str,
    path: &str,
    kind: &str,
    flags: MountFlags,
    options: &str,
) -> Result<()> {
    let what = || format!("mount {kind} on {path}");
    let target = root.make_folder(Path::new(path), 0o755).map_err(|cause| failed(what(), cause))?;
    let options = text(options)?;
    mount(name, by_descriptor(&target), kind, flags, options.as_c_str())
        .map_err(|cause| failed(what(), cause))
}

/// Mounts /proc, /sys, /dev and what belongs in them.
pub(super) fn kernel_filesystems(root: &Root, plan: &Plan) -> Result<()> {
    let read_only = if plan.privileged { MountFlags::empty() } else { MountFlags::RDONLY };
    special(root, "/proc", "proc", COMMON, "")?;
    special(
        root,
        "/dev",
        "tmpfs",
        MountFlags::NOSUID | MountFlags::STRICTATIME,
        "mode=755,size=65536k",
    )?;
    let pty = "newinstance,ptmxmode=0666,mode=0620,gid=5";
    special(root, "/dev/pts", "devpts", MountFlags::NOSUID | MountFlags::NOEXEC, pty)?;
    named(root, "shm", "/dev/shm", "tmpfs", COMMON, "mode=1777,size=67108864")?;
    special(root, "/dev/mqueue", "mqueue", COMMON, "")?;
    special(root, "/sys", "sysfs", COMMON | read_only, "")?;
    devices(root, plan.privileged)
}

/// The devices of the OCI runtime specification: name, major, minor.
const DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

fn devices(root: &Root, privileged: bool) -> Result<()> {
    let dev = root
        .path(Path::new("/dev"), OFlags::PATH | OFlags::DIRECTORY)
        .map_err(|cause| failed("open /dev", cause))?;
    for (name, major, minor) in DEVICES {
        let mode = Mode::from_raw_mode(0o666);
        let device = rustix::fs::makedev(major, minor);
        rustix::fs::mknodat(&dev, name, FileType::CharacterDevice, mode, device)
            // The umask has cut the mode.
            .and_then(|()| rustix::fs::chmodat(&dev, name, mode, rustix::fs::AtFlags::empty()))
            .map_err(|cause| failed(format_args!("make /dev/{name}"), cause))?;
    }
    for (name, target) in LINKS {
        rustix::fs::symlinkat(target, &dev, name)
            .map_err(|cause| failed(format_args!("make /dev/{name}"), cause))?;
    }
    if privileged { host_devices(Path::new("/dev"), &dev) } else { Ok(()) }
}

/// Folders and names of the host's /dev that a privileged container doesn't get: they have an
/// instance of their own inside, or lead out.
const NOT_SHARED: [&str; 8] =
    ["pts", "shm", "fd", "mqueue", "console", ".lxc", ".lxd-mounts", ".udev"];

/// Makes the host's device nodes inside, in the same folders.
fn host_devices(host: &Path, inside: &OwnedFd) -> Result<()> {
    let entries = match std::fs::read_dir(host) {
        Ok(entries) => entries,
        Err(cause) => return Err(failed(format_args!("read {}", host.display()), cause)),
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if NOT_SHARED.iter().any(|n| *n == name) {
            continue;
        }
        let path = entry.path();
        // A node that vanishes meanwhile is none of the container's.
        let Ok(found) = rustix::fs::lstat(&path) else { continue };
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => {
                match rustix::fs::mkdirat(inside, &name, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(cause) => {
                        return Err(failed(format_args!("make {}", path.display()), cause));
                    }
                }
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let folder = rustix::fs::openat(inside, &name, flags, Mode::empty())
                    .map_err(|cause| failed(format_args!("open {}", path.display()), cause))?;
                host_devices(&path, &folder)?;
            }
            kind @ (FileType::CharacterDevice | FileType::BlockDevice) => {
                let mode = Mode::from_raw_mode(found.st_mode);
                match rustix::fs::mknodat(inside, &name, kind, mode, found.st_rdev) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(cause) => {
                        return Err(failed(format_args!("make {}", path.display()), cause));
                    }
                }
                // Ownership is a courtesy: the node itself is what was asked for.
                let _ = rustix::fs::chownat(
                    inside,
                    &name,
                    Some(Uid::from_raw(found.st_uid)),
                    Some(Gid::from_raw(found.st_gid)),
                    rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
                );
            }
            _ => {}
        }
    }
    Ok(())
}

/// Mounts the container's own view of its cgroups. It must be in them, and in a cgroup namespace
/// made since.
pub(super) fn cgroups(root: &Root, plan: &Plan, layout: &Layout) -> Result<()> {
    let read_only = if plan.privileged { MountFlags::empty() } else { MountFlags::RDONLY };
    let views = layout.views();
    let whole = matches!(views.as_slice(), [one] if one.folder.is_empty());
    if !whole {
        special(root, "/sys/fs/cgroup", "tmpfs", COMMON, "mode=755")?;
    }
    for view in &views {
        let path = Path::new("/sys/fs/cgroup").join(&view.folder).display().to_string();
        special(root, &path, view.kind, COMMON | read_only, &view.options)?;
    }
    if !whole && !plan.privileged {
        let folder = root
            .path(Path::new("/sys/fs/cgroup"), OFlags::PATH | OFlags::DIRECTORY)
            .map_err(|cause| failed("open /sys/fs/cgroup", cause))?;
        mount_remount(by_descriptor(&folder), COMMON | MountFlags::RDONLY | MountFlags::BIND, c"")
            .map_err(|cause| failed("make /sys/fs/cgroup read-only", cause))?;
    }
    Ok(())
}

/// Binds what the user and the engine bind in, parents before what lies below them.
pub(super) fn user_mounts(root: &Root, plan: &Plan) -> Result<()> {
    let engine = plan.files.iter().map(|(source, target)| Bind {
        source: source.display().to_string(),
        target: (*target).to_owned(),
        read_only: false,
    });
    let mut mounts: Vec<(MountKind, Bind)> =
        plan.binds.iter().cloned().chain(engine).map(|b| (MountKind::Bind, b)).collect();
    mounts.extend(plan.tmpfs.iter().map(|(target, options)| {
        let bind = Bind { source: options.clone(), target: target.clone(), read_only: false };
        (MountKind::Tmpfs, bind)
    }));
    mounts.sort_by_key(|(_, b)| Path::new(&b.target).components().count());
    for (kind, mount) in &mounts {
        match kind {
            MountKind::Tmpfs => tmpfs(root, &mount.target, &mount.source)?,
            _ => bind(root, mount)?,
        }
    }
    Ok(())
}

fn bind(root: &Root, bind: &Bind) -> Result<()> {
    let what = || format!("bind {} on {}", bind.source, bind.target);
    let tree = open_tree(
        CWD,
        bind.source.as_str(),
        OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE,
    )
    .map_err(|cause| failed(what(), cause))?;
    let found = rustix::fs::fstat(&tree).map_err(|cause| failed(what(), cause))?;
    let target = Path::new(&bind.target);
    let target = if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
        root.make_folder(target, 0o755)
    } else {
        root.make_file(target)
    }
    .map_err(|cause| failed(what(), cause))?;
    let mut unprotected = false;
    if bind.read_only {
        match attributes::set_attributes(tree.as_fd(), attributes::READ_ONLY, true) {
            Err(error) if error.raw_os_error() == Some(Errno::NOSYS.raw_os_error()) => {
                unprotected = true;
            }
            result => result.map_err(|cause| failed(what(), cause))?,
        }
    }
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(&tree, "", &target, "", flags).map_err(|cause| failed(what(), cause))?;
    if unprotected {
        // Before Linux 5.12 only the topmost mount can be made read-only, and by naming all its
        // properties; the bits of the two sets are the same (statvfs(3), linux/mount.h).
        let found = rustix::fs::fstatvfs(&tree).map_err(|cause| failed(what(), cause))?;
        let restrictions = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        let bits = u32::try_from(found.f_flag.bits()).unwrap_or_default();
        let kept = MountFlags::from_bits_truncate(bits) & restrictions;
        let flags = MountFlags::BIND | MountFlags::RDONLY | kept;
        mount_remount(by_descriptor(&tree), flags, c"").map_err(|cause| failed(what(), cause))?;
    }
    Ok(())
}

/// Mounts memory; `options` is a list of mount options, `size=` and `mode=` among them.
fn tmpfs(root: &Root, path: &str, options: &str) -> Result<()> {
    let mut flags = COMMON;
    let mut data = Vec::new();
    for option in options.split(',').filter(|o| !o.is_empty()) {
        match option {
            "rw" => flags.remove(MountFlags::RDONLY),
            "ro" => flags.insert(MountFlags::RDONLY),
            "exec" => flags.remove(MountFlags::NOEXEC),
            "noexec" => flags.insert(MountFlags::NOEXEC),
            "suid" => flags.remove(MountFlags::NOSUID),
            "nosuid" => flags.insert(MountFlags::NOSUID),
            "dev" => flags.remove(MountFlags::NODEV),
            "nodev" => flags.insert(MountFlags::NODEV),
            "noatime" => flags.insert(MountFlags::NOATIME),
            "nodiratime" => flags.insert(MountFlags::NODIRATIME),
            "relatime" => flags.insert(MountFlags::RELATIME),
            "strictatime" => flags.insert(MountFlags::STRICTATIME),
            "sync" => flags.insert(MountFlags::SYNCHRONOUS),
            "async" => flags.remove(MountFlags::SYNCHRONOUS),
            other => data.push(other),
        }
    }
    special(root, path, "tmpfs", flags, &data.join(","))
}

/// Hides and protects what the defaults name. What this kernel doesn't have needs no protection.
pub(super) fn protect(root: &Root) -> Result<()> {
    let null = root
        .path(Path::new("/dev/null"), OFlags::PATH)
        .map_err(|cause| failed("open /dev/null", cause))?;
    for path in MASKED_PATHS.iter().map(PathBuf::from).chain(thermal_throttles()) {
        let what = || format!("mask {}", path.display());
        let target = match root.path(&path, OFlags::PATH) {
            Ok(target) => target,
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            Err(cause) => return Err(failed(what(), cause)),
        };
        let found = rustix::fs::fstat(&target).map_err(|cause| failed(what(), cause))?;
        let target = by_descriptor(&target);
        if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
            mount("tmpfs", target, "tmpfs", MountFlags::RDONLY | COMMON, c"size=0k")
        } else {
            rustix::mount::mount_bind(by_descriptor(&null), target)
        }
        .map_err(|cause| failed(what(), cause))?;
    }
    for path in READ_ONLY_PATHS {
        let what = || format!("make {path} read-only");
        let target = match root.path(Path::new(path), OFlags::PATH) {
            Ok(target) => by_descriptor_of(target),
            Err(Errno::NOENT) => continue,
            Err(cause) => return Err(failed(what(), cause)),
        };
        let (_held, target) = target;
        rustix::mount::mount_bind_recursive(&target, &target)
            .map_err(|cause| failed(what(), cause))?;
        // The descriptor still leads to the mount below; the path leads to the new one.
        let above = root.path(Path::new(path), OFlags::PATH).map_err(|c| failed(what(), c))?;
        let flags = MountFlags::BIND | MountFlags::RDONLY | COMMON;
        mount_remount(by_descriptor(&above), flags, c"").map_err(|cause| failed(what(), cause))?;
    }
    Ok(())
}

fn by_descriptor_of(fd: OwnedFd) -> (OwnedFd, PathBuf) {
    let path = by_descriptor(&fd);
    (fd, path)
}

/// Each CPU's thermal counters, from which other programs' work can be told.
fn thermal_throttles() -> impl Iterator<Item = PathBuf> {
    let cpus = std::fs::read_dir("/sys/devices/system/cpu").into_iter().flatten().flatten();
    cpus.map(|cpu| cpu.path().join("thermal_throttle")).filter(|path| {
        path.parent().and_then(Path::file_name).is_some_and(|n| n.as_bytes().starts_with(b"cpu"))
    })
}

/// Sets what docker sets for a network namespace of the container's own: ports below 1024 and
/// echo requests need no privilege.
pub(super) fn network_settings(root: &Root, mode: &NetworkMode) -> Result<()> {
    if *mode == NetworkMode::Host {
        return Ok(());
    }
    for (path, value) in crate::network::NAMESPACE_SETTINGS {
        let path = Path::new("/proc/sys").join(path);
        let path = path.as_path();
        let file = match root.path(path, OFlags::WRONLY) {
            Ok(file) => file,
            Err(Errno::NOENT) => continue,
            Err(cause) => return Err(failed(format_args!("write {}", path.display()), cause)),
        };
        rustix::io::write(&file, value.as_bytes())
            .map_err(|cause| failed(format_args!("write {}", path.display()), cause))?;
    }
    Ok(())
}

/// Makes the new root the process's root, and lets go of the old one.
pub(super) fn pivot(root: &Root, read_only: bool) -> Result<()> {
    let pivot = || -> rustix::io::Result<()> {
        rustix::process::fchdir(root.folder())?;
        // The same folder twice: the old root is stacked on the new one, and taken off.
        rustix::process::pivot_root(".", ".")?;
        unmount(".", UnmountFlags::DETACH)?;
        rustix::process::chdir("/")
    };
    pivot().map_err(|cause| failed("pivot_root", cause))?;
    if read_only {
        mount_remount("/", MountFlags::BIND | MountFlags::RDONLY, c"")
            .map_err(|cause| failed("make / read-only", cause))?;
    }
    Ok(())
}
