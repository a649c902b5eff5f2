//! The container's mounts, made before its root becomes the root: the overlay, and the kernel's
//! filesystems as the OCI runtime specification has them.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Gid, Mode, OFlags, StatVfsMountFlags, Uid};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount,
    mount_change, mount_remount, move_mount, open_tree, unmount,
};
use wharf_cgroup::Layout;
use wharf_model::{ErrorKind, MASKED_PATHS, NetworkMode};

use super::rootfs::{Root, by_descriptor};
use super::{Plan, Shm, devices};
use crate::userns::trees::Trees;
use crate::{Error, Result, userns};

pub(super) fn failed(what: impl std::fmt::Display, cause: impl Into<io::Error>) -> Error {
    Error::failed(what, cause.into())
}

fn text(value: &str) -> Result<CString> {
    CString::new(value).map_err(|cause| failed("mount options", cause))
}

/// Mounts what the plan says and returns the new root, not yet the process's own.
pub(super) fn root(plan: &Plan, trees: Option<&Trees>) -> Result<Root> {
    match trees {
        Some(trees) => {
            make_private()?;
            trees.root()
        }
        None => overlay(&plan.layers),
    }
}

/// What is mounted here must not reach the host, nor the other way round.
pub(crate) fn make_private() -> Result<()> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|cause| failed("make mounts private", cause))
}

/// The folders that a container's root filesystem is made of.
pub(crate) struct Layers {
    /// The image's layers, topmost first.
    pub(crate) lower_dirs: Vec<PathBuf>,
    pub(crate) upper_dir: PathBuf,
    pub(crate) work_dir: PathBuf,
    pub(crate) merged_dir: PathBuf,
}

/// Mounts the root filesystem, in a mount namespace of the caller's own, and returns it, not yet the
/// process's root.
pub(crate) fn overlay(layers: &Layers) -> Result<Root> {
    let Layers { lower_dirs, upper_dir, work_dir, merged_dir } = layers;
    mount_overlay(lower_dirs, Some((upper_dir, work_dir)), merged_dir)
}

/// Mounts several layers on a folder; with an upper and a work folder, writable.
pub(crate) fn mount_overlay(
    lower_dirs: &[PathBuf],
    writable: Option<(&PathBuf, &PathBuf)>,
    at: &Path,
) -> Result<Root> {
    make_private()?;
    // Folders go in as descriptors: no length limit that a deep image could meet, no character that
    // would need escaping, and no path of the host that the container could read in its mount table.
    let folder = |path: &Path| -> Result<(OwnedFd, String)> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|cause| failed(format_args!("open {}", path.display()), cause))?;
        let name = by_descriptor(&fd).display().to_string();
        Ok((fd, name))
    };
    let lowers = lower_dirs.iter().map(|p| folder(p)).collect::<Result<Vec<_>>>()?;
    let names: Vec<&str> = lowers.iter().map(|(_, name)| name.as_str()).collect();
    let mut options = format!("lowerdir={}", names.join(":"));
    let mut flags = MountFlags::RDONLY;
    let mut held = Vec::new();
    if let Some((upper, work)) = writable {
        let ((upper, upper_name), (work, work_name)) = (folder(upper)?, folder(work)?);
        // Whatever the kernel's defaults are, the upper folder alone tells what differs: `diff` and
        // `commit` read it. In a user namespace the overlay's own attributes are those that its root
        // may write, which excludes redirection.
        let attributes = match userns::is_nested() {
            true => "userxattr",
            false => "redirect_dir=off,metacopy=off",
        };
        options += &format!(",upperdir={upper_name},workdir={work_name},{attributes}");
        held.extend([upper, work]);
        flags = MountFlags::empty();
    }
    let options = text(&options)?;
    mount("overlay", at, "overlay", flags, options.as_c_str())
        .map_err(|cause| failed(format_args!("mount overlay on {}", at.display()), cause))?;
    // Without room for what it needs in the work folder, the kernel mounts it all the same, but so
    // that it can't be written.
    if writable.is_some()
        && rustix::fs::statvfs(at)
            .is_ok_and(|found| found.f_flag.contains(StatVfsMountFlags::RDONLY))
    {
        let cause = rustix::io::Errno::NOSPC;
        return Err(failed(format_args!("mount overlay on {}", at.display()), cause));
    }
    Root::open(at).map_err(|cause| failed(format_args!("open {}", at.display()), cause))
}

const COMMON: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// Mounts a filesystem inside, making its folder.
pub(super) fn special(
    root: &Root,
    path: &str,
    kind: &str,
    flags: MountFlags,
    options: &str,
) -> Result<()> {
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
pub(super) fn kernel_filesystems(root: &Root, plan: &Plan, shm: Memory) -> Result<()> {
    let read_only = if plan.privileged { MountFlags::empty() } else { MountFlags::RDONLY };
    for path in ["/proc", "/sys", "/dev"] {
        root.make_plain_folder(path).map_err(|cause| match cause {
            Errno::LOOP | Errno::NOTDIR => Error::new(
                ErrorKind::Invalid,
                format!("mount on {path}: it is no folder in the image, which it must be"),
            ),
            _ => failed(format_args!("make {path}"), cause),
        })?;
    }
    if plan.nested && plan.host_pids {
        userns::devices::bind_proc(root)?;
    } else {
        special(root, "/proc", "proc", COMMON, "")?;
    }
    special(
        root,
        "/dev",
        "tmpfs",
        MountFlags::NOSUID | MountFlags::STRICTATIME,
        "mode=755,size=65536k",
    )?;
    let in_namespace = plan.nested || plan.remapped;
    // The group of terminals, where it is mapped.
    let group = if in_namespace && userns::mapped().1 <= 5 { "" } else { ",gid=5" };
    let pty = format!("newinstance,ptmxmode=0666,mode=0620{group}");
    special(root, "/dev/pts", "devpts", MountFlags::NOSUID | MountFlags::NOEXEC, &pty)?;
    shared_memory(root, shm)?;
    if plan.nested && matches!(plan.shm, Shm::Host) {
        userns::devices::bind_queues(root)?;
    } else {
        special(root, "/dev/mqueue", "mqueue", COMMON, "")?;
    }
    if plan.nested && plan.network == NetworkMode::Host {
        // Only who owns the network may mount a /sys that shows it.
        userns::devices::bind_sys(root)?;
    } else {
        special(root, "/sys", "sysfs", COMMON | read_only, "")?;
    }
    own_devices(root, plan.privileged, in_namespace)
}

/// Where a container's /dev/shm comes from, ready to be mounted.
pub(super) enum Memory {
    /// It has none.
    None,
    /// Its own, of so many bytes.
    Own(u64),
    /// A copy of somebody else's mount.
    Copy(OwnedFd),
}

/// Opens the /dev/shm that belongs to the IPC namespace that is joined. To be called before anything
/// is mounted.
pub(super) fn open_shared_memory(shm: &Shm) -> Result<Memory> {
    let what = "open the /dev/shm to share";
    let copy = |root: &Root| -> rustix::io::Result<OwnedFd> {
        let folder = root.path(Path::new("/dev/shm"), OFlags::PATH | OFlags::DIRECTORY)?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH;
        open_tree(&folder, "", flags)
    };
    let here = || Root::open(Path::new("/")).map_err(|cause| Error::failed(what, cause));
    match shm {
        Shm::None => Ok(Memory::None),
        Shm::Own(size) => Ok(Memory::Own(*size)),
        Shm::Host => copy(&here()?).map(Memory::Copy).map_err(|cause| failed(what, cause)),
        Shm::Of(process) => {
            // A mount can be copied in its own namespace only, and moved anywhere from there.
            let join = |fd: BorrowedFd<'_>| {
                nix::sched::setns(fd, nix::sched::CloneFlags::CLONE_NEWNS)
                    .map_err(|cause| Error::failed(what, cause))
            };
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let own = rustix::fs::open("/proc/self/ns/mnt", flags, Mode::empty())
                .map_err(|cause| failed(what, cause))?;
            let root = here()?;
            join(process.as_fd())?;
            let copied = here().and_then(|theirs| copy(&theirs).map_err(|c| failed(what, c)));
            join(own.as_fd())?;
            // Joining has made the namespace's root this process's.
            rustix::process::fchdir(root.folder())
                .and_then(|()| rustix::process::chroot("."))
                .map_err(|cause| failed(what, cause))?;
            copied.map(Memory::Copy)
        }
    }
}

fn shared_memory(root: &Root, shm: Memory) -> Result<()> {
    match shm {
        Memory::None => Ok(()),
        Memory::Own(size) => {
            let options = format!("mode=1777,size={size}");
            named(root, "shm", "/dev/shm", "tmpfs", COMMON, &options)
        }
        Memory::Copy(tree) => {
            let what = "mount the shared /dev/shm";
            let target = root
                .make_folder(Path::new("/dev/shm"), 0o755)
                .map_err(|cause| failed(what, cause))?;
            let flags =
                MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
            move_mount(&tree, "", &target, "", flags)
                .and_then(|()| mount_change(by_descriptor(&tree), MountPropagationFlags::PRIVATE))
                .map_err(|cause| failed(what, cause))
        }
    }
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

fn own_devices(root: &Root, privileged: bool, in_namespace: bool) -> Result<()> {
    let dev = root
        .path(Path::new("/dev"), OFlags::PATH | OFlags::DIRECTORY)
        .map_err(|cause| failed("open /dev", cause))?;
    for (name, major, minor) in DEVICES {
        if in_namespace {
            userns::devices::bind(&Path::new("/dev").join(name), &dev, name)?;
            continue;
        }
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
    if privileged { host_devices(Path::new("/dev"), &dev, in_namespace) } else { Ok(()) }
}

/// Returns the devices that every container has, for one whose /dev may have some already.
pub(crate) fn standard_devices() -> impl Iterator<Item = devices::Node> {
    DEVICES.into_iter().map(|(name, major, minor)| {
        let path = Path::new("/dev").join(name);
        let number = rustix::fs::makedev(major, minor);
        devices::Node::new(path, FileType::CharacterDevice, number, 0o666, (0, 0))
    })
}

/// Makes the links that every /dev has, where nothing is in their place.
pub(super) fn standard_links(root: &Root) -> Result<()> {
    let what = |name| format!("make /dev/{name}");
    let dev =
        root.make_folder(Path::new("/dev"), 0o755).map_err(|cause| failed("make /dev", cause))?;
    for (name, target) in LINKS {
        match rustix::fs::symlinkat(target, &dev, name) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(cause) => return Err(failed(what(name), cause)),
        }
    }
    Ok(())
}

/// Folders and names of the host's /dev that a privileged container doesn't get: they have an
/// instance of their own inside, or lead out.
const NOT_SHARED: [&str; 8] =
    ["pts", "shm", "fd", "mqueue", "console", ".lxc", ".lxd-mounts", ".udev"];

/// Makes the host's device nodes inside, in the same folders.
fn host_devices(host: &Path, inside: &OwnedFd, in_namespace: bool) -> Result<()> {
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
                host_devices(&path, &folder, in_namespace)?;
            }
            FileType::CharacterDevice | FileType::BlockDevice if in_namespace => {
                userns::devices::bind_if_allowed(&path, inside, &name)?;
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
/// made since, unless it keeps the host's, where `host_cgroups` is the group's name.
pub(super) fn cgroups(
    root: &Root,
    target: &Path,
    host_cgroups: Option<&str>,
    read_only: MountFlags,
    layout: &Layout,
) -> Result<()> {
    let views = layout.views();
    let whole = matches!(views.as_slice(), [one] if one.folder.is_empty());
    let shown = target.display().to_string();
    if !whole {
        special(root, &shown, "tmpfs", COMMON, "mode=755")?;
    }
    for view in &views {
        let path = target.join(&view.folder).display().to_string();
        if let (Some(group), false) = (host_cgroups, whole) {
            // In the host's namespace a hierarchy would begin at its own root.
            bind_group(root, &view.mount.join(group), &path, COMMON | read_only)?;
            continue;
        }
        special(root, &path, view.kind, COMMON | read_only, &view.options)?;
    }
    if !whole && !read_only.is_empty() {
        let folder = root
            .path(target, OFlags::PATH | OFlags::DIRECTORY)
            .map_err(|cause| failed(format_args!("open {shown}"), cause))?;
        mount_remount(by_descriptor(&folder), COMMON | MountFlags::RDONLY | MountFlags::BIND, c"")
            .map_err(|cause| failed(format_args!("make {shown} read-only"), cause))?;
    }
    Ok(())
}

/// Shows one folder of the host's hierarchy as the container's.
fn bind_group(root: &Root, source: &Path, path: &str, flags: MountFlags) -> Result<()> {
    let what = || format!("bind {} on {path}", source.display());
    let target = root.make_folder(Path::new(path), 0o755).map_err(|cause| failed(what(), cause))?;
    let tree = open_tree(
        rustix::fs::CWD,
        source,
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
    )
    .map_err(|cause| failed(what(), cause))?;
    let moving = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(&tree, "", &target, "", moving)
        .and_then(|()| mount_change(by_descriptor(&tree), MountPropagationFlags::PRIVATE))
        .and_then(|()| mount_remount(by_descriptor(&tree), flags | MountFlags::BIND, c""))
        .map_err(|cause| failed(what(), cause))
}

/// Returns the paths that are hidden unless somebody says otherwise.
pub(super) fn masked_paths() -> impl Iterator<Item = PathBuf> {
    MASKED_PATHS.iter().map(PathBuf::from).chain(thermal_throttles())
}

/// Hides these paths. What this kernel doesn't have needs no protection.
pub(super) fn hide(root: &Root, paths: impl Iterator<Item = PathBuf>) -> Result<()> {
    let mut paths = paths.peekable();
    if paths.peek().is_none() {
        return Ok(());
    }
    let null = root
        .path(Path::new("/dev/null"), OFlags::PATH)
        .map_err(|cause| failed("open /dev/null", cause))?;
    // Where the user has mounted a folder on /dev, it may be a link to what is to be hidden
    // (CVE-2025-31133).
    let found = rustix::fs::fstat(&null).map_err(|cause| failed("open /dev/null", cause))?;
    let is_device = FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice;
    if !is_device || found.st_rdev != rustix::fs::makedev(1, 3) {
        let text = "/dev/null is not the null device, which paths of /proc are hidden with";
        return Err(Error::new(ErrorKind::Invalid, text));
    }
    for path in paths {
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
    Ok(())
}

/// Makes these paths, with all that is mounted below them, unchangeable. What isn't there needs no
/// protection.
pub(super) fn make_read_only(root: &Root, paths: impl Iterator<Item = PathBuf>) -> Result<()> {
    for path in paths {
        let what = || format!("make {} read-only", path.display());
        let target = match root.path(&path, OFlags::PATH) {
            Ok(target) => by_descriptor_of(target),
            Err(Errno::NOENT | Errno::NOTDIR) => continue,
            Err(cause) => return Err(failed(what(), cause)),
        };
        let (_held, target) = target;
        rustix::mount::mount_bind_recursive(&target, &target)
            .map_err(|cause| failed(what(), cause))?;
        // The descriptor still leads to the mount below; the path leads to the new one.
        let above = root.path(&path, OFlags::PATH).map_err(|c| failed(what(), c))?;
        remount_read_only(&above).map_err(|cause| failed(what(), cause))?;
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

/// Makes the mount behind `fd` read-only, with all its other properties as they are.
pub(super) fn remount_read_only(fd: &OwnedFd) -> rustix::io::Result<()> {
    let flags = read_only_too(rustix::fs::fstatvfs(fd)?.f_flag);
    mount_remount(by_descriptor(fd), flags, c"")
}

/// Makes the process's root read-only.
pub(super) fn seal_root() -> Result<()> {
    let seal = || mount_remount("/", read_only_too(rustix::fs::statvfs("/")?.f_flag), c"");
    seal().map_err(|cause| failed("make / read-only", cause))
}

/// Returns what a mount is remounted with to be read-only: what isn't named is taken away from it, but
/// for what concerns times of access.
fn read_only_too(found: StatVfsMountFlags) -> MountFlags {
    let kept = [
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
    ];
    let kept = kept.into_iter().filter(|(is, _)| found.contains(*is));
    kept.fold(MountFlags::BIND | MountFlags::RDONLY, |flags, (_, kept)| flags | kept)
}

/// Makes the new root the process's root, and lets go of the old one. Where the old one's mounts may
/// spread (`spreads`), they are kept from taking the host's along.
pub(super) fn pivot(root: &Root, spreads: bool) -> Result<()> {
    let pivot = || -> rustix::io::Result<()> {
        rustix::process::fchdir(root.folder())?;
        // The same folder twice: the old root is stacked on the new one, and taken off.
        rustix::process::pivot_root(".", ".")?;
        if spreads {
            mount_change(".", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
        }
        unmount(".", UnmountFlags::DETACH)?;
        rustix::process::chdir("/")
    };
    pivot().map_err(|cause| failed("pivot_root", cause))
}
