//! The mounts of a remapped container, made by its supervisor.
//!
//! The container's own root may neither pass the engine's private folders nor mount an overlay of
//! layers that belong to others. So the supervisor, in a mount namespace of its own, mounts the
//! overlay over layers and an upper folder that show the container's owners (id-mapped mounts), opens
//! the engine's files in the same way and the user's binds as they are, as docker does; and sends
//! them to the container's first process as mounts that are in no namespace yet.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::sched::{CloneFlags, unshare};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, mount,
    mount_change, move_mount, open_tree, unmount,
};
use wharf_model::{ErrorKind, Mount, MountKind};

use crate::channel::Channel;
use crate::container::view::in_thread;
use crate::init::Plan;
use crate::init::binds::open_source;
use crate::init::rootfs::{Root, by_descriptor};
use crate::{Error, Result};

/// Where the first process attaches the container's root for the moment until it is the root: any
/// folder of the host serves that it needs nothing from.
const PLACES: [&str; 5] = ["/usr", "/var", "/run", "/tmp", "/etc"];

/// Makes the mounts and sends them to the container's first process, which waits in [`receive`].
/// `root` is who the container's root is outside.
pub(crate) fn send(
    plan: &Plan,
    user_namespace: &File,
    root: (u32, u32),
    channel: &Channel,
) -> Result<()> {
    // On a thread of its own: the supervisor itself stays where the host's mounts are, since it has
    // those of volumes to take away at the end.
    in_thread(|| {
        leave_mounts()?;
        send_all(plan, user_namespace, root, channel)
    })
}

fn send_all(plan: &Plan, user_namespace: &File, root: (u32, u32), channel: &Channel) -> Result<()> {
    let send = |tree: &OwnedFd| {
        // A process that has failed already has closed its end; its reason is still to be read.
        let _ = channel.send_ok(&[tree.as_fd()]);
    };
    send(&overlay(plan, user_namespace.as_fd(), root)?);
    for (source, _) in &plan.files {
        let tree = open(source)?;
        map(tree.as_fd(), user_namespace.as_fd(), source)?;
        send(&tree);
    }
    for mount in binds(plan) {
        let tree = open_source(mount)?;
        if mount.kind == MountKind::Volume {
            // It holds the container's owners, as the container's own files do.
            map(tree.as_fd(), user_namespace.as_fd(), Path::new(&mount.source))?;
        }
        send(&tree);
    }
    Ok(())
}

/// The mounts as the first process gets them.
pub(crate) struct Trees {
    overlay: OwnedFd,
    /// By their targets.
    binds: Vec<(String, OwnedFd)>,
}

/// Returns the host paths that the user mounts.
fn binds(plan: &Plan) -> impl Iterator<Item = &Mount> {
    plan.mounts.iter().filter(|mount| mount.kind != MountKind::Tmpfs)
}

/// Receives what [`send`] sends.
pub(crate) fn receive(plan: &Plan, channel: &Channel) -> Result<Trees> {
    let next = || -> Result<OwnedFd> {
        let failed = |cause: std::io::Error| Error::failed("start", cause);
        let message = channel.receive(1).map_err(failed)?;
        let tree = message.and_then(|message| message.descriptors.into_iter().next());
        tree.ok_or_else(|| Error::failed("start", "the supervisor has ended"))
    };
    let overlay = next()?;
    let files = plan.files.iter().map(|(_, target)| (*target).to_owned());
    let targets = files.chain(binds(plan).map(|mount| mount.target.clone()));
    let binds = targets.map(|target| Ok((target, next()?))).collect::<Result<_>>()?;
    Ok(Trees { overlay, binds })
}

impl Trees {
    /// Attaches the overlay and returns it as the new root.
    pub(crate) fn root(&self) -> Result<Root> {
        let failed = |cause: std::io::Error| Error::failed("attach the container's root", cause);
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        let mut last = Errno::NOENT;
        for place in PLACES {
            match move_mount(&self.overlay, "", CWD, place, flags) {
                Ok(()) => return Root::open(Path::new(place)).map_err(failed),
                Err(cause) => last = cause,
            }
        }
        Err(failed(last.into()))
    }

    /// Returns the mount for a target: the user's, where one of the engine's files has the same.
    pub(crate) fn bind(&self, target: &str) -> Option<BorrowedFd<'_>> {
        self.binds.iter().rfind(|(name, _)| name == target).map(|(_, tree)| tree.as_fd())
    }
}

/// Gives this thread a mount namespace of its own: what it mounts for a moment is on no table of
/// the host's, and nobody has to take it away.
fn leave_mounts() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)
        .map_err(|cause| Error::failed("make a mount namespace", cause))?;
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)
        .map_err(|cause| Error::failed("keep mounts from the host", cause))
}

fn open(path: &Path) -> Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    open_tree(CWD, path, flags)
        .map_err(|cause| Error::failed(format_args!("bind {}", path.display()), cause))
}

fn map(tree: BorrowedFd<'_>, user_namespace: BorrowedFd<'_>, path: &Path) -> Result<()> {
    wharf_sys::mount::map_ids(tree, user_namespace, false).map_err(|cause| {
        let errno = Errno::from_io_error(&cause);
        let text = match errno {
            Some(Errno::NOSYS) => TOO_OLD.to_owned(),
            Some(Errno::INVAL | Errno::OPNOTSUPP) => format!(
                "--userns: the filesystem of {} can't show other owners on this kernel (id-mapped \
                 mounts): keep the engine's root on ext4, xfs or btrfs, or run with --userns host",
                path.display()
            ),
            _ => return Error::failed(format_args!("map the owners of {}", path.display()), cause),
        };
        Error::new(ErrorKind::Unsupported, text)
    })
}

const TOO_OLD: &str = "--userns: this kernel can't show layers with other owners: remapped containers \
    need Linux 5.19; run with --userns host";

/// Runs `work` as the container's root in the eyes of filesystems, with every right of the engine's:
/// only who is mapped can make anything in a filesystem of the container's, and an overlay works in its
/// upper folder as who has mounted it.
pub(crate) fn as_root_inside<T>((uid, gid): (u32, u32), work: impl FnOnce() -> T) -> Result<T> {
    use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
    use rustix::thread::{CapabilitySets, capabilities, set_capabilities};
    let failed = |cause| Error::failed("keep capabilities", cause);
    let sets = capabilities(None).map_err(failed)?;
    let (old_gid, old_uid) = (setfsgid(Gid::from_raw(gid)), setfsuid(Uid::from_raw(uid)));
    // The change has taken those that override file permissions.
    let result = set_capabilities(None, CapabilitySets { effective: sets.permitted, ..sets })
        .map_err(failed)
        .map(|()| work());
    setfsuid(old_uid);
    setfsgid(old_gid);
    set_capabilities(None, sets).map_err(failed)?;
    result
}

/// Returns the container's overlay, in no namespace.
fn overlay(plan: &Plan, user_namespace: BorrowedFd<'_>, root: (u32, u32)) -> Result<OwnedFd> {
    let place = &plan.layers.merged_dir;
    // An overlay takes only layers that are mounted somewhere: here, one over the other.
    let attached = |path: &Path| -> Result<OwnedFd> {
        let tree = open(path)?;
        map(tree.as_fd(), user_namespace, path)?;
        move_mount(&tree, "", CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .map_err(|cause| Error::failed(format_args!("mount {}", path.display()), cause))?;
        Ok(tree)
    };
    let failed = |cause| Error::failed(format_args!("mount overlay on {}", place.display()), cause);
    let lowers =
        plan.layers.lower_dirs.iter().map(|path| attached(path)).collect::<Result<Vec<_>>>()?;
    let own = plan.layers.upper_dir.parent().unwrap_or(&plan.layers.upper_dir);
    let own = attached(own)?;
    let below = |name: &Path| -> Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(&own, name.file_name().unwrap_or_default(), flags, Mode::empty())
            .map_err(|cause| Error::failed(format_args!("open {}", name.display()), cause))
    };
    let (upper, work) = (below(&plan.layers.upper_dir)?, below(&plan.layers.work_dir)?);
    let names: Vec<String> =
        lowers.iter().map(|fd| by_descriptor(fd).display().to_string()).collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        names.join(":"),
        by_descriptor(&upper).display(),
        by_descriptor(&work).display()
    );
    let options = std::ffi::CString::new(options).map_err(|_| failed(Errno::INVAL))?;
    let mounted = as_root_inside(root, || {
        mount("overlay", place, "overlay", MountFlags::empty(), options.as_c_str())
    })?;
    match mounted {
        // Those that can't have such layers say it thus.
        Err(Errno::INVAL) => return Err(Error::new(ErrorKind::Unsupported, TOO_OLD)),
        result => result.map_err(failed)?,
    }
    let overlay = open(place)?;
    for _ in 0..lowers.len() + 2 {
        unmount(place, UnmountFlags::DETACH).map_err(failed)?;
    }
    Ok(overlay)
}
