//! What an image has at a volume's path goes into the volume when that is empty.
//!
//! It is copied aside, by the packer and the unpacker of archives, and then put in the volume's place
//! at once: an empty folder gives way to a full one in one step, and refuses if it isn't empty any
//! more.

use std::io::{self, BufWriter};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use wharf_model::ErrorKind;

use super::folder::Staged;
use super::{lock, mount};
use crate::container::view::{Lower, in_thread, private_mounts};
use crate::image::pack::Packer;
use crate::image::pipe;
use crate::image::staging::Staging;
use crate::image::tree::Node;
use crate::image::unpack::{Options, unpack_into};
use crate::init::mounts::Layers;
use crate::init::rootfs::Root;
use crate::state::Store;
use crate::{Error, Paths, Result};

/// The files of an image.
pub(super) struct ImageFiles {
    root: Option<Root>,
    _lower: Lower,
    _staging: Staging,
}

/// Opens a folder that the engine knows.
pub(super) fn open(folder: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(folder, flags, Mode::empty())
        .map_err(|cause| Error::failed(format_args!("open {}", folder.display()), cause))
}

/// Returns whether a folder is there and holds nothing.
pub(super) fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// Copies a folder with all that is in it into another: owners, modes, times, attributes, links and
/// holes, and those of the folder itself.
pub(crate) fn copy_tree(from: OwnedFd, to: OwnedFd) -> Result<()> {
    let what = "copy the files of a volume";
    let pack = |writer| {
        let packed = || -> io::Result<()> {
            let mut packer = Packer::new(BufWriter::with_capacity(1 << 16, writer)).exact();
            packer.tree(Node::from_fd(from)?, b".")?;
            packer.finish().map(drop)
        };
        packed().map_err(|cause| Error::failed(what, cause))
    };
    pipe::through(what, pack, |reader| {
        let options = Options { sets_root: true, wants_end: true, ..Options::default() };
        unpack_into(reader, to, options).map(drop)
    })
}

impl ImageFiles {
    pub(super) fn open(paths: &Paths, lower_dirs: Vec<PathBuf>) -> Result<Self> {
        let staging = Staging::new(paths)?;
        let merged_dir = staging.folder("merged")?;
        let nowhere = PathBuf::new();
        let layers =
            Layers { lower_dirs, upper_dir: nowhere.clone(), work_dir: nowhere, merged_dir };
        let mut lower = Lower::open(&layers)?;
        Ok(Self { root: lower.root.take().map(Root::from), _lower: lower, _staging: staging })
    }

    /// Returns the folder at a path; none when there is nothing. No link leads out of the image.
    fn at(&self, path: &str) -> Result<Option<OwnedFd>> {
        let Some(root) = &self.root else { return Ok(None) };
        match root.path(Path::new(path), OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(folder) => Ok(Some(folder)),
            Err(Errno::NOENT | Errno::LOOP) => Ok(None),
            Err(Errno::NOTDIR) if root.path(Path::new(path), OFlags::PATH).is_ok() => {
                Err(Error::new(
                    ErrorKind::Conflict,
                    format!("cannot mount volume over existing file, file exists {path}"),
                ))
            }
            Err(Errno::NOTDIR) => Ok(None),
            Err(cause) => Err(Error::failed(format_args!("look at {path} in the image"), cause)),
        }
    }

    /// Copies what is at a path into a folder; returns whether there is anything.
    pub(super) fn copy(&self, path: &str, to: &Path) -> Result<bool> {
        let Some(from) = self.at(path)? else { return Ok(false) };
        copy_tree(from, open(to)?)?;
        Ok(true)
    }
}

/// Fills an empty volume that is there.
pub(super) fn existing(
    paths: &Paths,
    store: &Store,
    files: &ImageFiles,
    name: &str,
    path: &str,
) -> Result<()> {
    let staged = Staged::new(paths)?;
    if !files.copy(path, &staged.data())? {
        return Ok(());
    }
    let _lock = lock(paths, name)?;
    let place = paths.volume_data(name);
    let failed = |cause: io::Error| Error::failed(format_args!("fill volume {name}"), cause);
    if !is_empty(&place) {
        return Ok(());
    }
    if store.volume_runners(name)?.is_empty() {
        return match rustix::fs::rename(staged.data(), &place) {
            // Somebody on the host was faster.
            Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
            result => result.map_err(|cause| failed(cause.into())),
        };
    }
    // Containers that run see this very folder.
    let (from, to) = (open(&staged.data())?, open(&place)?);
    for name in Node::from_fd(from.try_clone().map_err(failed)?)
        .map_err(|cause| failed(cause.into()))?
        .names()
        .map_err(failed)?
    {
        rustix::fs::renameat(&from, name.as_slice(), &to, name.as_slice())
            .map_err(|cause| failed(cause.into()))?;
    }
    like(&from, &to).map_err(|cause| failed(cause.into()))
}

/// Gives a folder the owner and mode of another one.
fn like(from: &OwnedFd, to: &OwnedFd) -> rustix::io::Result<()> {
    let found = rustix::fs::fstat(from)?;
    let (uid, gid) =
        (rustix::fs::Uid::from_raw(found.st_uid), rustix::fs::Gid::from_raw(found.st_gid));
    rustix::fs::fchown(to, Some(uid), Some(gid))?;
    rustix::fs::fchmod(to, Mode::from_raw_mode(found.st_mode & 0o7777))
}

/// Fills an empty volume that has a mount of its own. While nobody uses it, that is mounted where
/// this process alone sees it.
pub(super) fn mounted(
    paths: &Paths,
    store: &Store,
    files: &ImageFiles,
    name: &str,
    path: &str,
) -> Result<()> {
    let volume = store.volume(name)?;
    let Some(from) = files.at(path)? else { return Ok(()) };
    let _lock = lock(paths, name)?;
    // What memory holds goes away with the mount.
    let is_memory = volume.spec.options.get("type").is_some_and(|kind| kind == "tmpfs");
    if is_memory && !mount::is_mounted(&paths.volume_data(name)).unwrap_or(false) {
        return Ok(());
    }
    let opened = super::transfer::data(paths, &volume)?;
    let empty = Node::from_fd(opened.folder.try_clone().map_err(|c| Error::failed("open", c))?)
        .map_err(io::Error::from)
        .and_then(|node| node.names())
        .map_err(|cause| Error::failed(format_args!("read volume {name}"), cause))?
        .is_empty();
    if empty { copy_tree(from, opened.folder) } else { Ok(()) }
}

/// What a volume holds, open.
pub(super) struct Opened {
    pub(super) folder: OwnedFd,
    /// Keeps its mount in place where only this process has it.
    pub(super) _namespace: Option<OwnedFd>,
}

impl Opened {
    /// Runs `mount` in a mount namespace of its own, and opens a folder there.
    pub(super) fn privately(
        folder: &Path,
        mount: impl FnOnce() -> Result<()> + Send,
    ) -> Result<Self> {
        let (folder, namespace) = in_thread(|| {
            let namespace = private_mounts()?;
            mount()?;
            Ok((open(folder)?, namespace))
        })?;
        Ok(Self { folder, _namespace: Some(namespace) })
    }

    pub(super) fn plain(folder: &Path) -> Result<Self> {
        Ok(Self { folder: open(folder)?, _namespace: None })
    }

    /// Returns whether the same folder is still found at a path.
    pub(super) fn is_at(&self, path: &Path) -> bool {
        let id = |found: rustix::fs::Stat| (found.st_dev, found.st_ino);
        let here = rustix::fs::fstat(self.folder.as_fd()).map(id);
        let there = rustix::fs::statat(CWD, path, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).map(id);
        here.is_ok() && here == there
    }
}
