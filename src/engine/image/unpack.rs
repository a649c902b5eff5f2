//! Writes the entries of a layer's tar below one folder, and nowhere else.
//!
//! Every path is resolved by the kernel with the folder as its root (`openat2` with
//! `RESOLVE_IN_ROOT`), so neither `..`, nor an absolute path, nor a symbolic link made by an
//! earlier entry leads out. The last component is never followed. Whiteouts become what overlayfs
//! understands: a character device 0:0, or `trusted.overlay.opaque` on the folder, `user.` in a user
//! namespace (OCI image layer specification, "Whiteouts"; kernel documentation, overlayfs).
//!
//! The same writer takes in the archives of `cp` ([`unpack_into`]), whose target may be a folder of a
//! running container that changes names under its hands: what it has just made it touches only by
//! the descriptor of it, or in a way that follows no link.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid,
    XattrFlags, makedev,
};
use rustix::io::Errno;

use super::frame::Frame;
use super::owned::Owned;
use super::tar_stream::{Entry, EntryKind, TarStream, show};
use crate::init::rootfs::by_descriptor;
use crate::userns::{self, Owners};

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// A path without `.`, `..` and empty components; the root has none.
pub(crate) type Components = Vec<Vec<u8>>;

/// What came of an archive.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents {
    /// The bytes of all its regular files.
    pub(crate) size: u64,
    /// The folders that it leaves out, each after those above it: see [`super::settle`].
    pub(crate) implied: Vec<Components>,
}

/// Unpacks a layer's tar below `root`, which exists and is empty. With a frame, everything must be
/// read through it ([`super::frame::Framed`]).
///
/// # Errors
/// When the archive is damaged or wants something outside its root, or something can't be written;
/// names the entry. What was written until then stays.
pub(super) fn unpack(
    reader: impl Read,
    root: &Path,
    frame: Option<&RefCell<Frame>>,
) -> io::Result<Contents> {
    let options = Options { is_layer: true, frame, ..Options::default() };
    unpack_into(reader, open_root(root)?, options)
}

/// Opens a layer's folder.
pub(super) fn open_root(root: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(root, DIRECTORY, Mode::empty())?)
}

/// Opens a regular file of a layer, by the path that its archive gave it.
pub(super) fn open_below(root: &OwnedFd, path: &[Vec<u8>]) -> io::Result<File> {
    let (name, folder) = path.split_last().ok_or(Errno::ISDIR)?;
    let folder = open_in(root, folder, ResolveFlags::IN_ROOT)?;
    open_plain(&folder, name)
}

/// Opens a regular file by its name in an open folder.
fn open_plain(folder: &OwnedFd, name: &[u8]) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(folder, name, flags, Mode::empty())?.into())
}

/// Whose the unpacked files are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Those that the archive names.
    #[default]
    Kept,
    /// Whoever unpacks it.
    Caller,
}

/// Another name for what an archive holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    /// The first name of its paths; none when they begin at the archive's root.
    pub from: Option<Vec<u8>>,
    /// What stands there instead.
    pub to: Vec<u8>,
}

impl Rename {
    fn apply(&self, mut path: Components) -> Components {
        match &self.from {
            None => path.insert(0, self.to.clone()),
            Some(from) if path.first() == Some(from) => path[0].clone_from(&self.to),
            Some(_) => {}
        }
        path
    }
}

/// How to unpack.
#[derive(Debug, Default)]
pub(crate) struct Options<'a> {
    /// What the archive is to be put together again with.
    pub(crate) frame: Option<&'a RefCell<Frame>>,
    /// Whether whiteouts are meant, and the last entry of a name wins over all before.
    pub(crate) is_layer: bool,
    /// Whether a folder may not become something else, nor something else a folder.
    pub(crate) keeps_folders: bool,
    /// Whether no symbolic link may be on the way to an entry.
    pub(crate) without_links: bool,
    /// Whether long runs of zeros become holes.
    pub(crate) makes_holes: bool,
    /// Whether the folder that is unpacked in takes owner, mode and times from the archive.
    pub(crate) sets_root: bool,
    /// Whether an archive without its end mark is a damaged one.
    pub(crate) wants_end: bool,
    /// Whose the files are.
    pub(crate) owner: Owner,
    /// Who the archive's owners are here, where they are somebody else.
    pub(crate) owners: Option<&'a Owners>,
    /// The folder to unpack in, seen from the root.
    pub(crate) base: Components,
    /// The same as messages show it.
    pub(crate) shown: Vec<u8>,
    /// Another name for what the archive holds.
    pub(crate) rename: Option<Rename>,
}

/// Unpacks a tar below an open root as `options` say. What comes after the archive's end is left to be
/// read.
///
/// # Errors
/// As [`unpack`].
pub(crate) fn unpack_into(
    reader: impl Read,
    root: OwnedFd,
    options: Options<'_>,
) -> io::Result<Contents> {
    let mut stream = TarStream::new(reader);
    let mut unpacker = Unpacker::new(root, options)?;
    let owners = Owned::current(unpacker.options.owners);
    while let Some(mut entry) = stream.next_entry()? {
        if unpacker.options.is_layer && entry.kind != EntryKind::Symlink {
            entry.mtime = bounded(entry.mtime);
        }
        owners
            .fit(&mut entry)
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", show(&entry.path))))?;
        unpacker.entry(&entry, &mut stream).map_err(|e| match e.kind() {
            // It names the place itself.
            io::ErrorKind::InvalidInput => e,
            kind => io::Error::new(kind, format!("{}: {e}", show(&entry.path))),
        })?;
    }
    if unpacker.options.wants_end && !stream.is_whole() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    unpacker.finish()
}

struct Unpacker<'a> {
    root: OwnedFd,
    options: Options<'a>,
    /// The folder of the last entry: the next is most often there too.
    recent: Option<(Components, OwnedFd)>,
    /// Times of folders, set when nothing is written into them any more.
    times: BTreeMap<Components, (i64, u32)>,
    /// Folders that the archive has left out so far.
    implied: BTreeSet<Components>,
    size: u64,
    buffer: Vec<u8>,
}

impl<'a> Unpacker<'a> {
    fn new(root: OwnedFd, options: Options<'a>) -> io::Result<Self> {
        let mut this = Self {
            root,
            options,
            recent: None,
            times: BTreeMap::new(),
            implied: BTreeSet::new(),
            size: 0,
            buffer: vec![0; 1 << 17],
        };
        if this.options.is_layer {
            let root = this.root.try_clone()?;
            this.imply(&root, &[])?;
        }
        Ok(this)
    }

    /// Returns the components of a path of the archive, under their new name.
    fn place(&self, path: &[u8]) -> io::Result<Components> {
        let path = clean(path)?;
        Ok(match &self.options.rename {
            Some(rename) => rename.apply(path),
            None => path,
        })
    }

    /// Opens a folder by its path in the archive.
    fn open(&self, path: &[Vec<u8>]) -> rustix::io::Result<OwnedFd> {
        let resolve = match self.options.without_links {
            true => ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
            false => ResolveFlags::IN_ROOT,
        };
        open_in(&self.root, &[self.options.base.as_slice(), path].concat(), resolve)
    }

    fn entry(&mut self, entry: &Entry, data: &mut impl Read) -> io::Result<()> {
        let mut path = self.place(&entry.path)?;
        let Some(name) = path.pop() else {
            return self.root_entry(entry);
        };
        let folder = path;
        let parent = self.folder(&folder)?;
        if self.options.is_layer && name == OPAQUE {
            set_opaque(&parent)?;
        } else if let Some(hidden) = name.strip_prefix(WHITEOUT).filter(|_| self.options.is_layer) {
            // Other names of this form are aufs's own bookkeeping.
            if !hidden.starts_with(WHITEOUT) {
                whiteout(&parent, hidden, entry, self.options.owner)?;
            }
        } else {
            match entry.kind {
                EntryKind::Directory => {
                    let made = self.directory(&parent, &folder, &name, entry)?;
                    let path = child(&folder, &name);
                    self.times.insert(path.clone(), entry.mtime);
                    self.implied.remove(&path);
                    self.recent = Some((path, made));
                    return Ok(());
                }
                EntryKind::File => self.file(&parent, &folder, &name, entry, data)?,
                EntryKind::HardLink => self.hard_link(&parent, &folder, &name, entry)?,
                _ => self.special(&parent, &folder, &name, entry)?,
            }
        }
        self.recent = Some((folder, parent));
        Ok(())
    }

    fn root_entry(&mut self, entry: &Entry) -> io::Result<()> {
        if entry.kind != EntryKind::Directory {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the root is not a folder"));
        }
        if !self.options.is_layer && !self.options.sets_root {
            // The folder that is copied into stays as it is.
            return Ok(());
        }
        let root = self.root.try_clone()?;
        self.set_metadata(&root, entry, false)?;
        self.implied.remove(&Vec::new());
        self.times.insert(Vec::new(), entry.mtime);
        Ok(())
    }

    /// Returns a folder, made with those above it if it isn't there.
    fn folder(&mut self, path: &[Vec<u8>]) -> io::Result<OwnedFd> {
        match self.recent.take() {
            Some((recent, fd)) if recent == path => return Ok(fd),
            _ => {}
        }
        match self.open(path) {
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            other => return Ok(other?),
        }
        let mut above = self.open(&[])?;
        for (depth, name) in path.iter().enumerate() {
            let here = &path[..=depth];
            above = match self.open(here) {
                Ok(fd) => fd,
                Err(Errno::NOENT) => self.implied_folder(&above, here, name)?,
                Err(Errno::NOTDIR) if self.options.is_layer && is_whiteout(&above, name)? => {
                    rustix::fs::unlinkat(&above, name.as_slice(), AtFlags::empty())?;
                    let made = self.implied_folder(&above, here, name)?;
                    set_opaque(&made)?;
                    made
                }
                Err(e) => return Err(e.into()),
            };
        }
        Ok(above)
    }

    fn implied_folder(
        &mut self,
        above: &OwnedFd,
        path: &[Vec<u8>],
        name: &[u8],
    ) -> io::Result<OwnedFd> {
        rustix::fs::mkdirat(above, name, Mode::RWXU)?;
        let made = rustix::fs::openat(above, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
        self.imply(&made, path)?;
        Ok(made)
    }

    /// Gives a folder that the archive leaves out the owner and mode that docker gives it; of a layer,
    /// the layers below may have others.
    fn imply(&mut self, fd: &OwnedFd, path: &[Vec<u8>]) -> io::Result<()> {
        if self.options.owner == Owner::Kept {
            let (uid, gid) =
                self.options.owners.and_then(|owners| owners.outside((0, 0))).unwrap_or_default();
            rustix::fs::fchown(fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
        }
        rustix::fs::fchmod(fd, Mode::from_raw_mode(0o755))?;
        if self.options.is_layer {
            self.implied.insert(path.to_vec());
        }
        Ok(())
    }

    /// Owner before mode and capabilities, which a change of owner clears; times last.
    fn set_metadata(&self, fd: &OwnedFd, entry: &Entry, times: bool) -> io::Result<()> {
        if self.options.owner == Owner::Kept {
            let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
            rustix::fs::fchown(fd, Some(uid), Some(gid))?;
        }
        rustix::fs::fchmod(fd, Mode::from_raw_mode(entry.mode))?;
        for (key, value) in entry.xattrs.iter().filter(|(key, _)| may_set(key)) {
            let set = rustix::fs::fsetxattr(fd, key.as_slice(), value, XattrFlags::empty());
            tolerate(set, key, self.options.owner == Owner::Caller)?;
        }
        if times {
            rustix::fs::futimens(fd, &timestamps(entry.mtime))?;
        }
        Ok(())
    }

    fn directory(
        &mut self,
        parent: &OwnedFd,
        folder: &[Vec<u8>],
        name: &[u8],
        entry: &Entry,
    ) -> io::Result<OwnedFd> {
        let mut hides = false;
        if let Err(e) = rustix::fs::mkdirat(parent, name, Mode::RWXU) {
            let stat = existing(parent, name, e)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                if self.options.keeps_folders {
                    return Err(self.refuse("non-directory", folder, name, "directory"));
                }
                hides = self.options.is_layer && is_whiteout_stat(&stat);
                self.remove(parent, folder, name, &stat)?;
                rustix::fs::mkdirat(parent, name, Mode::RWXU)?;
            }
        }
        let made = rustix::fs::openat(parent, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
        if hides {
            set_opaque(&made)?;
        }
        self.set_metadata(&made, entry, false)?;
        Ok(made)
    }

    fn file(
        &mut self,
        parent: &OwnedFd,
        folder: &[Vec<u8>],
        name: &[u8],
        entry: &Entry,
        data: &mut impl Read,
    ) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let made = self.replacing(parent, folder, name, || {
            rustix::fs::openat(parent, name, flags | OFlags::NOFOLLOW, Mode::RUSR | Mode::WUSR)
        })?;
        let mut file = File::from(made);
        if let Some(frame) = self.options.frame {
            frame.borrow_mut().file(&child(folder, name), file.metadata()?.ino(), entry)?;
        }
        self.fill(&mut file, entry, data).inspect_err(|_| {
            // Half a file is of no use, and what it takes of a full disk is.
            let _ = rustix::fs::unlinkat(parent, name, AtFlags::empty());
        })?;
        if self.options.is_layer {
            wharf_sys::writeback::of_file(&file, entry.size);
        }
        self.size = self.size.saturating_add(entry.size);
        let fd = OwnedFd::from(file);
        self.set_metadata(&fd, entry, true)?;
        Ok(())
    }

    fn fill(&mut self, file: &mut File, entry: &Entry, data: &mut impl Read) -> io::Result<()> {
        match &entry.sparse {
            None if self.options.makes_holes => self.copy_with_holes(data, file, entry.size),
            None => self.copy(data, file, entry.size),
            Some(segments) => {
                for segment in segments {
                    file.seek(SeekFrom::Start(segment.offset))?;
                    self.copy(data, file, segment.length)?;
                }
                file.set_len(entry.size)
            }
        }
    }

    fn copy(&mut self, data: &mut impl Read, file: &mut File, mut left: u64) -> io::Result<()> {
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let n = match data.read(&mut self.buffer[..wanted]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            file.write_all(&self.buffer[..n])?;
            left -= n as u64;
        }
        Ok(())
    }

    /// Copies a whole file, and leaves out blocks that hold nothing but zeros.
    fn copy_with_holes(
        &mut self,
        data: &mut impl Read,
        file: &mut File,
        size: u64,
    ) -> io::Result<()> {
        const BLOCK: usize = 1 << 16;
        static ZEROS: [u8; BLOCK] = [0; BLOCK];
        let mut left = size;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK);
            let block = &mut self.buffer[..wanted];
            data.read_exact(block)?;
            if *block == ZEROS[..wanted] {
                file.seek(SeekFrom::Current(i64::try_from(wanted).unwrap_or(0)))?;
            } else {
                file.write_all(block)?;
            }
            left -= wanted as u64;
        }
        file.set_len(size)
    }

    /// Returns docker's error for a folder in the way of something else, or the other way round.
    fn refuse(&self, what: &str, folder: &[Vec<u8>], name: &[u8], with: &str) -> io::Error {
        let shown = &self.options.shown;
        let shown = shown.strip_suffix(b"/").unwrap_or(shown);
        let mut path = shown.to_vec();
        for part in folder.iter().map(Vec::as_slice).chain([name]) {
            path.push(b'/');
            path.extend_from_slice(part);
        }
        io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("cannot overwrite {what} {} with {with} {}", show(&path), show(shown)),
        )
    }

    fn hard_link(
        &mut self,
        parent: &OwnedFd,
        folder: &[Vec<u8>],
        name: &[u8],
        entry: &Entry,
    ) -> io::Result<()> {
        let mut target = self.place(&entry.link)?;
        let missing = |e: Errno| {
            let what = format!("hard link to {}: {}", show(&entry.link), io::Error::from(e));
            io::Error::new(io::Error::from(e).kind(), what)
        };
        let target_name = target.pop().ok_or_else(|| missing(Errno::ISDIR))?;
        let target_folder = self.open(&target).map_err(missing)?;
        let stat =
            |dir: &OwnedFd, name: &[u8]| rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
        let of = stat(&target_folder, &target_name).map_err(missing)?;
        if let Ok(there) = stat(parent, name)
            && (there.st_dev, there.st_ino) == (of.st_dev, of.st_ino)
        {
            return Ok(());
        }
        let flags = AtFlags::empty();
        self.replacing(parent, folder, name, || {
            rustix::fs::linkat(&target_folder, target_name.as_slice(), parent, name, flags)
        })?;
        if !self.options.is_layer {
            return Ok(());
        }
        // One file has one owner and one mode: as docker has it, those that came last.
        let kind = FileType::from_raw_mode(of.st_mode);
        self.describe(parent, name, kind, entry, kind != FileType::Symlink)
    }

    fn special(
        &mut self,
        parent: &OwnedFd,
        folder: &[Vec<u8>],
        name: &[u8],
        entry: &Entry,
    ) -> io::Result<()> {
        let mode = Mode::from_raw_mode(entry.mode);
        let kind = match entry.kind {
            EntryKind::Symlink => FileType::Symlink,
            EntryKind::CharDevice => FileType::CharacterDevice,
            EntryKind::BlockDevice => FileType::BlockDevice,
            _ => FileType::Fifo,
        };
        let nested = userns::is_nested() || self.options.owners.is_some();
        if nested && matches!(kind, FileType::CharacterDevice | FileType::BlockDevice) {
            // Nobody can make it here, and in the container nobody could open it.
            return Ok(());
        }
        let device = makedev(entry.device.0, entry.device.1);
        self.replacing(parent, folder, name, || match kind {
            FileType::Symlink => rustix::fs::symlinkat(entry.link.as_slice(), parent, name),
            _ => rustix::fs::mknodat(parent, name, kind, mode, device),
        })?;
        self.describe(parent, name, kind, entry, true)
    }

    /// Gives owner, mode, attributes and times to something that isn't open.
    fn describe(
        &self,
        parent: &OwnedFd,
        name: &[u8],
        kind: FileType,
        entry: &Entry,
        times: bool,
    ) -> io::Result<()> {
        if self.options.owner == Owner::Kept {
            let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
            rustix::fs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if kind != FileType::Symlink {
            set_mode(parent, name, kind, Mode::from_raw_mode(entry.mode))?;
        }
        for (key, value) in entry.xattrs.iter().filter(|(key, _)| may_set(key)) {
            let path = path_of(parent, name);
            let set = rustix::fs::lsetxattr(path, key.as_slice(), value, XattrFlags::empty());
            tolerate(set, key, true)?;
        }
        if times {
            let times = timestamps(entry.mtime);
            rustix::fs::utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    }

    /// Makes something, after removing what has the name if need be: the last entry wins.
    fn replacing<T>(
        &mut self,
        parent: &OwnedFd,
        folder: &[Vec<u8>],
        name: &[u8],
        make: impl Fn() -> rustix::io::Result<T>,
    ) -> io::Result<T> {
        match make() {
            Err(Errno::EXIST) => {
                let stat = existing(parent, name, Errno::EXIST)?;
                let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
                if is_folder && self.options.keeps_folders {
                    return Err(self.refuse("directory", folder, name, "non-directory"));
                }
                self.remove(parent, folder, name, &stat)?;
                Ok(make()?)
            }
            other => Ok(other?),
        }
    }

    fn remove(
        &mut self,
        parent: &OwnedFd,
        folder: &[Vec<u8>],
        name: &[u8],
        stat: &Stat,
    ) -> io::Result<()> {
        if !self.options.is_layer && is_mount_point(parent, name)? {
            return Err(Errno::BUSY.into());
        }
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let path = child(folder, name);
            self.times.retain(|p, _| !p.starts_with(&path));
            self.implied.retain(|p| !p.starts_with(&path));
            std::fs::remove_dir_all(path_of(parent, name))
        } else {
            let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            if let Some(frame) = self.options.frame.filter(|_| is_file && stat.st_size > 0) {
                frame.borrow_mut().lose(stat.st_ino, &open_plain(parent, name)?)?;
            }
            Ok(rustix::fs::unlinkat(parent, name, AtFlags::empty())?)
        }
    }

    fn finish(self) -> io::Result<Contents> {
        for (path, time) in &self.times {
            match self.open(path) {
                Ok(fd) => rustix::fs::futimens(&fd, &timestamps(*time))?,
                // Something else took its place.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(Contents { size: self.size, implied: self.implied.into_iter().collect() })
    }
}

/// Splits a path of an archive. `..` is undone by name, as docker does, not by what links lead to.
///
/// # Errors
/// When it leads above the root.
pub(crate) fn clean(path: &[u8]) -> io::Result<Components> {
    let mut components = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." if components.is_empty() => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("{} leads out of the root filesystem", show(path)),
                ));
            }
            b".." => {
                components.pop();
            }
            _ => components.push(part.to_vec()),
        }
    }
    Ok(components)
}

fn child(folder: &[Vec<u8>], name: &[u8]) -> Components {
    let mut path = folder.to_vec();
    path.push(name.to_vec());
    path
}

/// Opens a folder by its path below `root`, which nothing leads out of.
pub(super) fn open_in(
    root: &OwnedFd,
    path: &[Vec<u8>],
    resolve: ResolveFlags,
) -> rustix::io::Result<OwnedFd> {
    let joined = if path.is_empty() { b".".to_vec() } else { path.join(&b'/') };
    let resolve = resolve | ResolveFlags::NO_MAGICLINKS;
    loop {
        // EAGAIN: something on the host was renamed meanwhile, and the kernel can't be sure.
        match rustix::fs::openat2(root, joined.as_slice(), DIRECTORY, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Returns the path of an entry of an open folder, for calls that take no folder.
fn path_of(parent: &OwnedFd, name: &[u8]) -> PathBuf {
    Path::new(&format!("/proc/self/fd/{}", parent.as_raw_fd()))
        .join(std::ffi::OsStr::from_bytes(name))
}

/// Sets the mode of what was just made. The name may mean something else by now,
/// and a plain `chmod` would follow a link to wherever it leads.
fn set_mode(parent: &OwnedFd, name: &[u8], kind: FileType, mode: Mode) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    if FileType::from_raw_mode(rustix::fs::fstat(&made)?.st_mode) != kind {
        return Err(io::Error::other("it was replaced while it was made"));
    }
    Ok(rustix::fs::chmod(by_descriptor(&made), mode)?)
}

/// Returns whether something is mounted on an entry. The kernel refuses to remove such an entry only
/// in the mount's own namespace; from another one the removal would take the mount away.
fn is_mount_point(parent: &OwnedFd, name: &[u8]) -> io::Result<bool> {
    use rustix::fs::{StatxFlags, statx};
    let mask = StatxFlags::MNT_ID;
    let above = statx(parent, "", AtFlags::EMPTY_PATH, mask)?;
    let found = statx(parent, name, AtFlags::SYMLINK_NOFOLLOW, mask)?;
    Ok(above.stx_mnt_id != found.stx_mnt_id)
}

fn existing(parent: &OwnedFd, name: &[u8], error: Errno) -> io::Result<Stat> {
    if error != Errno::EXIST {
        return Err(error.into());
    }
    Ok(rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?)
}

fn is_whiteout_stat(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

fn is_whiteout(parent: &OwnedFd, name: &[u8]) -> io::Result<bool> {
    Ok(is_whiteout_stat(&rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?))
}

/// Hides a name of the layers below. What this layer itself has of that name stays.
fn whiteout(parent: &OwnedFd, name: &[u8], entry: &Entry, owner: Owner) -> io::Result<()> {
    if matches!(name, b"" | b"." | b"..") {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "bad whiteout"));
    }
    let mode = Mode::empty();
    match rustix::fs::mknodat(parent, name, FileType::CharacterDevice, mode, makedev(0, 0)) {
        Err(Errno::EXIST) => {
            let flags = DIRECTORY | OFlags::NOFOLLOW;
            match rustix::fs::openat(parent, name, flags, Mode::empty()) {
                Ok(folder) => set_opaque(&folder),
                // A file hides what is below by itself.
                Err(Errno::NOTDIR | Errno::LOOP) => Ok(()),
                Err(e) => Err(e.into()),
            }
        }
        Ok(()) if owner == Owner::Kept => {
            let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
            Ok(rustix::fs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?)
        }
        other => Ok(other?),
    }
}

fn set_opaque(folder: &OwnedFd) -> io::Result<()> {
    Ok(rustix::fs::fsetxattr(folder, userns::opaque_attribute(), b"y", XattrFlags::empty())?)
}

/// Returns whether an archive may set this attribute: overlayfs's own are not an image's to set, a
/// redirect could show another part of the layers below.
fn may_set(key: &[u8]) -> bool {
    !key.starts_with(b"trusted.overlay.") && !key.starts_with(b"user.overlay.")
}

/// Lets pass what a filesystem without that kind of attribute answers.
fn tolerate(set: rustix::io::Result<()>, key: &[u8], special: bool) -> io::Result<()> {
    match set {
        Err(Errno::OPNOTSUPP) => Ok(()),
        Err(Errno::PERM) if special && key.starts_with(b"user.") => Ok(()),
        // Attributes of the host's root, in a user namespace.
        Err(Errno::PERM)
            if !key.starts_with(b"user.")
                && key != b"security.capability"
                && userns::is_nested() =>
        {
            Ok(())
        }
        Err(e) => {
            let e = io::Error::from(e);
            Err(io::Error::new(e.kind(), format!("attribute {}: {e}", show(key))))
        }
        Ok(()) => Ok(()),
    }
}

/// Returns the time that docker gives a layer's file: what is before 1970, or later than 64 bits of
/// nanoseconds tell, is 1970.
fn bounded(time: (i64, u32)) -> (i64, u32) {
    const LATEST: i64 = i64::MAX / 1_000_000_000;
    if (0..LATEST).contains(&time.0) { time } else { (0, 0) }
}

fn timestamps((seconds, nanos): (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
