//! A container's root filesystem as seen from outside: by `cp`, `export` and `diff`.
//!
//! Of a running container it is what the container itself sees, its binds and memory included: a
//! thread joins its mount namespace for an instant and brings back a descriptor of its root. Of any
//! other, a thread mounts the overlay and the binds in a new mount namespace, which lives as long as
//! the descriptors of this view and no longer: nothing shows on the host, and nothing is left when
//! this process is killed.
//!
//! Only the root crosses over. All paths are resolved below it from here, by `openat2` with
//! `RESOLVE_IN_ROOT`, so that no link inside leads out (CVE-2018-15664), and nothing of the
//! container is ever executed or loaded (CVE-2019-14271).

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, setns, unshare};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};
use wharf_model::{ErrorKind, Mount, MountKind, Status};

use super::mounts::{MountPoint, points};
use super::signal::not_running;
use crate::channel::Request;
use crate::engine::Engine;
use crate::init::binds;
use crate::init::mounts::{self, Layers};
use crate::init::rootfs::Root;
use crate::lock::{self, Lock};
use crate::state::{Record, Store};
use crate::supervisor::is_restarting;
use crate::userns::Owners;
use crate::{Error, Paths, Result, folder, volume};

/// What is seen of what a container has mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mounts {
    /// All of it.
    Seen,
    /// Nothing: its root filesystem alone.
    LeftOut,
}

/// An open root filesystem.
pub(crate) struct View {
    pub(crate) root: Root,
    /// Whether the container itself may not write to its root filesystem.
    pub(crate) read_only: bool,
    /// Who the owners of its files are, where that isn't what they are here.
    pub(crate) owners: Option<Owners>,
    /// Keeps mounts in place that only this view has.
    _namespace: Option<OwnedFd>,
    /// A container that doesn't run must not be started meanwhile: its upper folder serves one
    /// overlay at a time.
    _locks: Option<(Lock, Lock)>,
}

impl Engine {
    /// Opens a container's root filesystem.
    pub(crate) fn view(
        &self,
        store: &mut Store,
        reference: &str,
        mounts: Mounts,
    ) -> Result<(Record, View)> {
        let record = store.container(reference)?;
        let record = self.refreshed(store, record)?;
        if record.observed.state.status.is_alive() {
            match self.running_view(&record, mounts) {
                // It has ended meanwhile.
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                other => return Ok((record, other?)),
            }
        }
        let (verbs, record) = self.locked(store, record.id.as_str())?;
        if record.observed.state.status == Status::Restarting {
            // Its supervisor may mount the same upper folder at any moment.
            return Err(is_restarting(&record));
        }
        if record.observed.state.status.is_alive() {
            drop(verbs);
            let view = self.running_view(&record, mounts)?;
            return Ok((record, view));
        }
        let run = self.paths().container_run(&record.id);
        // Its last supervisor may still be giving back.
        let life = Lock::acquire(&run, lock::LIFE)
            .map_err(|cause| Error::failed(format_args!("lock {}", run.display()), cause))?;
        let record = self.reread(store, &record, lock::LIFE)?;
        folder::make(self.paths(), &record.id)?;
        let layers = folder::layers(self.paths(), store, &record)?;
        let binds = match mounts {
            Mounts::Seen => self.binds(store, &record)?,
            Mounts::LeftOut => Binds::default(),
        };
        let paths = self.paths();
        let (root, namespace) = in_thread(|| mount(paths, &layers, &binds))?;
        let view = View {
            root,
            read_only: record.spec.host.readonly_rootfs,
            owners: None,
            _namespace: Some(namespace),
            _locks: Some((verbs, life)),
        };
        Ok((record, view))
    }

    fn running_view(&self, record: &Record, mounts: Mounts) -> Result<View> {
        let process = self.process_of(record)?;
        let root = in_thread(|| join(process.as_fd(), mounts, record))?;
        let owners = record.observed.state.pid.map(Owners::of);
        if is_over(&process)? {
            // Its number may have been somebody else's.
            return Err(not_running(record));
        }
        Ok(View {
            root,
            read_only: record.spec.host.readonly_rootfs,
            owners: owners.transpose().map_err(failed)?.flatten(),
            _namespace: None,
            _locks: None,
        })
    }

    /// Returns a handle to a running container's first process.
    pub(crate) fn process_of(&self, record: &Record) -> Result<OwnedFd> {
        let channel = self.supervisor_of(record)?;
        channel.send_request(&Request::Process, &[]).map_err(|_| not_running(record))?;
        match channel.answer() {
            Ok(descriptors) => descriptors.into_iter().next().ok_or_else(|| not_running(record)),
            Err(error) if error.kind() == ErrorKind::Unavailable => Err(not_running(record)),
            Err(error) => Err(error),
        }
    }

    /// Returns what is bound into a container that doesn't run: the engine's files, and the user's
    /// host paths. A source that isn't there is made only when the container starts.
    fn binds(&self, store: &Store, record: &Record) -> Result<Binds> {
        let folder = self.paths().container(&record.id);
        let files = [
            ("hosts", "/etc/hosts"),
            ("hostname", "/etc/hostname"),
            ("resolv.conf", "/etc/resolv.conf"),
        ];
        let files = files.map(|(name, target)| (folder.join(name), target));
        let mut binds = Binds {
            files: files.into_iter().filter(|(source, _)| source.exists()).collect(),
            ..Binds::default()
        };
        for MountPoint { mount, .. } in points(&record.spec) {
            if mount.kind == MountKind::Volume {
                binds.volumes.extend(volume::unmounted(self.paths(), store, &mount.source)?);
            }
            let mount = volume::located(self.paths(), store, mount)?;
            if mount.kind != MountKind::Tmpfs && Path::new(&mount.source).exists() {
                binds.mounts.push(mount);
            }
        }
        Ok(binds)
    }
}

/// What is bound into a container.
#[derive(Default)]
struct Binds {
    files: Vec<(PathBuf, &'static str)>,
    mounts: Vec<Mount>,
    /// Volumes whose own mounts aren't there while nobody uses them.
    volumes: Vec<volume::Volume>,
}

/// Returns whether a process that this is a handle of has ended.
fn is_over(process: &OwnedFd) -> Result<bool> {
    let mut ready = [PollFd::new(process, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    Ok(rustix::io::retry_on_intr(|| poll(&mut ready, Some(&at_once))).map_err(failed)? > 0)
}

/// Runs `work` on a thread of its own, whose namespaces are its own to change.
pub(crate) fn in_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(_) => Err(Error::failed("open the root filesystem", "its thread panicked")),
    })
}

fn failed(cause: impl Into<io::Error>) -> Error {
    Error::failed("open the container's root filesystem", cause.into())
}

/// Joins a container's mount namespace and opens its root, wherever its processes have moved
/// theirs.
fn join(process: BorrowedFd<'_>, mounts: Mounts, record: &Record) -> Result<Root> {
    unshare(CloneFlags::CLONE_FS).map_err(failed)?;
    setns(process, CloneFlags::CLONE_NEWNS).map_err(|cause| match cause {
        nix::errno::Errno::ESRCH => not_running(record),
        cause => failed(cause),
    })?;
    let root = match mounts {
        Mounts::Seen => {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::open("/", flags, Mode::empty())
        }
        // A mount of its own without those below it, which belongs to no namespace.
        Mounts::LeftOut => {
            let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            open_tree(CWD, "/", flags)
        }
    };
    root.map(Root::from).map_err(failed)
}

/// Mounts a container's root filesystem in a new mount namespace; returns it and the namespace.
fn mount(paths: &Paths, layers: &Layers, binds: &Binds) -> Result<(Root, OwnedFd)> {
    let namespace = private_mounts()?;
    binds.volumes.iter().try_for_each(|one| volume::mount(paths, one))?;
    let opened = binds::open(&binds.files, &binds.mounts, &BTreeMap::new(), None)?;
    let root = mounts::overlay(layers)?;
    binds::attach(&root, &opened)?;
    Ok((root, namespace))
}

/// Gives this thread a mount namespace of its own, from which nothing reaches the host, and returns
/// it: its mounts live as long as the descriptor.
pub(crate) fn private_mounts() -> Result<OwnedFd> {
    unshare(CloneFlags::CLONE_NEWNS).map_err(failed)?;
    mounts::make_private()?;
    own_namespace()
}

/// The image that a container was made from, as one read-only folder.
pub(crate) struct Lower {
    /// None for an image without layers.
    pub(crate) root: Option<OwnedFd>,
    _namespace: Option<OwnedFd>,
}

impl Lower {
    /// Opens it: the kernel merges several layers, in a mount namespace of this value's own.
    pub(crate) fn open(layers: &Layers) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match layers.lower_dirs.as_slice() {
            [] => Ok(Self { root: None, _namespace: None }),
            [one] => {
                let root = rustix::fs::open(one, flags, Mode::empty()).map_err(failed)?;
                Ok(Self { root: Some(root), _namespace: None })
            }
            several => in_thread(|| {
                unshare(CloneFlags::CLONE_NEWNS).map_err(failed)?;
                let root = mounts::mount_overlay(several, None, &layers.merged_dir)?;
                let root = root.folder().try_clone_to_owned().map_err(failed)?;
                Ok(Self { root: Some(root), _namespace: Some(own_namespace()?) })
            }),
        }
    }
}

/// Returns the mount namespace of this thread, which lives as long as the descriptor.
fn own_namespace() -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open("/proc/thread-self/ns/mnt", flags, Mode::empty()).map_err(failed)
}

impl View {
    /// Returns docker's error when a folder in it can't be written to.
    pub(crate) fn check_writable(&self, target: &OwnedFd) -> Result<()> {
        let refuse = |message: &str| Err(Error::new(ErrorKind::Invalid, message));
        let in_root = mount_of(target)? == mount_of(self.root.folder())?;
        let read_only = rustix::fs::fstatvfs(target)
            .map_err(failed)?
            .f_flag
            .contains(rustix::fs::StatVfsMountFlags::RDONLY);
        match (in_root, read_only) {
            (true, _) if self.read_only => refuse("container rootfs is marked read-only"),
            (false, true) => refuse("mounted volume is marked read-only"),
            _ => Ok(()),
        }
    }
}

/// Returns the number of the mount that something lies on.
fn mount_of(fd: impl AsFd) -> Result<u64> {
    use rustix::fs::{AtFlags, StatxFlags, statx};
    match statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID) {
        Ok(found) => Ok(found.stx_mnt_id),
        Err(Errno::NOSYS) => Ok(0),
        Err(cause) => Err(failed(cause)),
    }
}
