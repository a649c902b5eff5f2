//! Reads what a folder holds while somebody hostile may change it.
//!
//! Nothing is looked up by a path that others can bend: each entry is opened by its name in an open
//! folder, without following it and without opening it for anything (`O_PATH`), and what it turns
//! out to be is what is read. So no link is followed, no device is opened, and no FIFO is waited
//! for, whatever is put in an entry's place meanwhile.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rustix::fs::{Dir, FileType, Mode, OFlags, SeekFrom, Stat};
use rustix::io::Errno;
use wharf_model::FileHead;

use super::tar_stream::{Entry, EntryKind, Segment};
use crate::init::rootfs::by_descriptor;

/// The most that is read of a file whose size the kernel doesn't know before.
const MOST_VIRTUAL: u64 = 16 << 20;

/// The block of an archive.
const BLOCK: u64 = 512;

/// More parts than this, and a file is read as if it had no holes: no reader takes them.
const MOST_SEGMENTS: usize = 1 << 16;

/// Something in a folder.
pub(crate) struct Node {
    fd: OwnedFd,
    stat: Stat,
}

/// The bytes of a file, and where they belong.
pub(crate) struct Content {
    pub(crate) size: u64,
    pub(in crate::image) sparse: Option<Vec<Segment>>,
    pub(crate) data: Box<dyn Read>,
}

impl Node {
    /// Opens an entry of a folder.
    pub(crate) fn open(folder: impl AsFd, name: &[u8]) -> rustix::io::Result<Self> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Self::from_fd(rustix::fs::openat(folder, name, flags, Mode::empty())?)
    }

    /// Returns what `fd` is open on.
    pub(crate) fn from_fd(fd: OwnedFd) -> rustix::io::Result<Self> {
        let stat = rustix::fs::fstat(&fd)?;
        Ok(Self { fd, stat })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn stat(&self) -> &Stat {
        &self.stat
    }

    pub(crate) fn file_type(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    pub(crate) fn is_folder(&self) -> bool {
        self.file_type() == FileType::Directory
    }

    /// Returns whether it hides a name of the layers below, as overlayfs writes that.
    pub(crate) fn is_whiteout(&self) -> bool {
        self.file_type() == FileType::CharacterDevice && self.stat.st_rdev == 0
    }

    /// Returns the names in the folder, in the order of their bytes.
    pub(crate) fn names(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut names = Vec::new();
        for entry in Dir::new(self.reopen(OFlags::DIRECTORY)?)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                names.push(name.to_vec());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Opens for reading what is open only as a place; it can't have become something else.
    fn reopen(&self, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let flags = flags | OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::open(by_descriptor(&self.fd), flags, Mode::empty())
    }

    fn path(&self) -> PathBuf {
        by_descriptor(&self.fd)
    }

    /// Returns what a symbolic link says.
    pub(crate) fn link(&self) -> rustix::io::Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(&self.fd, "", Vec::new())?.into_bytes())
    }

    /// Returns one extended attribute; none where there is none.
    pub(crate) fn xattr(&self, key: &str) -> Option<Vec<u8>> {
        let mut value = vec![0; 1 << 16];
        let length = rustix::fs::getxattr(self.path(), key, value.as_mut_slice()).ok()?;
        value.truncate(length);
        Some(value)
    }

    /// Returns the extended attributes that go along with a file: not those of overlayfs, and none
    /// that only this host's security modules understand.
    pub(crate) fn xattrs(&self) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut list = vec![0; 1 << 16];
        let length = match rustix::fs::listxattr(self.path(), list.as_mut_slice()) {
            Ok(length) => length,
            Err(Errno::OPNOTSUPP | Errno::PERM | Errno::ACCESS | Errno::LOOP) => 0,
            Err(e) => return Err(e.into()),
        };
        list.truncate(length);
        let mut keys: Vec<&[u8]> = list.split(|b| *b == 0).filter(|key| is_kept(key)).collect();
        keys.sort_unstable();
        let mut value = vec![0; 1 << 16];
        let mut found = Vec::new();
        for key in keys {
            match rustix::fs::getxattr(self.path(), key, value.as_mut_slice()) {
                Ok(length) => found.push((key.to_vec(), value[..length].to_vec())),
                // It was taken away meanwhile.
                Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(found)
    }

    /// Returns the entry that an archive has of it, under this path; none for a socket, which no
    /// archive can hold. Of a file, size and holes are [`Node::content`]'s to say.
    pub(super) fn entry(&self, path: &[u8]) -> io::Result<Option<Entry>> {
        let stat = &self.stat;
        let kind = match self.file_type() {
            FileType::RegularFile => EntryKind::File,
            FileType::Directory => EntryKind::Directory,
            FileType::Symlink => EntryKind::Symlink,
            FileType::CharacterDevice => EntryKind::CharDevice,
            FileType::BlockDevice => EntryKind::BlockDevice,
            FileType::Fifo => EntryKind::Fifo,
            FileType::Socket | FileType::Unknown => return Ok(None),
        };
        let link = if kind == EntryKind::Symlink { self.link()? } else { Vec::new() };
        let device = match kind {
            EntryKind::CharDevice | EntryKind::BlockDevice => {
                (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev))
            }
            _ => (0, 0),
        };
        Ok(Some(Entry {
            path: path.to_vec(),
            link,
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: 0,
            mtime: (stat.st_mtime, u32::try_from(stat.st_mtime_nsec).unwrap_or(0)),
            device,
            xattrs: self.xattrs()?,
            sparse: None,
        }))
    }

    /// Opens a regular file; `holes` tells whether its holes are looked for.
    pub(crate) fn content(&self, holes: bool) -> io::Result<Content> {
        let size = u64::try_from(self.stat.st_size).unwrap_or(0);
        let file = File::from(self.reopen(OFlags::empty())?);
        if matches!(size, 0 | 4096) && is_virtual(&file)? {
            let mut data = Vec::new();
            file.take(MOST_VIRTUAL).read_to_end(&mut data)?;
            let size = data.len() as u64;
            return Ok(Content { size, sparse: None, data: Box::new(io::Cursor::new(data)) });
        }
        let stored = u64::try_from(self.stat.st_blocks).unwrap_or(0).saturating_mul(512);
        let sparse = if holes && stored < size { segments(&file, size)? } else { None };
        let data: Box<dyn Read> = match &sparse {
            None => Box::new(file),
            Some(parts) => Box::new(Parts { file, parts: parts.clone(), at: 0, done: 0 }),
        };
        Ok(Content { size, sparse, data })
    }

    /// Reads the first `most` bytes of a regular file.
    pub(crate) fn head(&self, most: usize) -> io::Result<FileHead> {
        if self.file_type() != FileType::RegularFile {
            return Err(io::Error::other("it is no plain file"));
        }
        let content = self.content(false)?;
        let mut bytes = Vec::new();
        content.data.take(most as u64).read_to_end(&mut bytes)?;
        Ok(FileHead { bytes, size: content.size })
    }
}

/// Returns whether an attribute goes along with its file.
fn is_kept(key: &[u8]) -> bool {
    let spaces: [&[u8]; 3] = [b"user.", b"trusted.", b"system.posix_acl_"];
    let of_overlay: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];
    key == b"security.capability"
        || spaces.iter().any(|space| key.starts_with(space))
            && !of_overlay.iter().any(|space| key.starts_with(space))
}

/// Returns whether a file is made up by the kernel when it is read, so that its size says nothing.
fn is_virtual(file: &File) -> io::Result<bool> {
    // Of linux/magic.h: proc, sysfs, both versions of cgroup, debugfs, tracefs, securityfs.
    const MAGICS: [i64; 7] =
        [0x9fa0, 0x6265_6572, 0x27_e0eb, 0x6367_7270, 0x6462_6720, 0x7472_6163, 0x7363_6673];
    let kind = rustix::fs::fstatfs(file)?.f_type;
    #[expect(clippy::useless_conversion, reason = "the type differs between machines")]
    Ok(MAGICS.contains(&i64::from(kind)))
}

/// Returns where a file has data; none when that can't be told, or it isn't worth it.
fn segments(file: &File, size: u64) -> io::Result<Option<Vec<Segment>>> {
    let mut parts = Vec::new();
    let mut at = 0;
    while at < size {
        let offset = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(offset) => offset,
            // Only a hole is left.
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::OPNOTSUPP) => {
                rustix::fs::seek(file, SeekFrom::Start(0))?;
                return Ok(None);
            }
            Err(e) => return Err(e.into()),
        };
        let end = rustix::fs::seek(file, SeekFrom::Hole(offset))?.min(size);
        if offset >= size || end <= offset {
            break;
        }
        if parts.len() == MOST_SEGMENTS {
            rustix::fs::seek(file, SeekFrom::Start(0))?;
            return Ok(None);
        }
        // Parts begin and end with a block of the archive, whatever the filesystem's blocks are: some
        // readers look for the next part there.
        let start = offset & !(BLOCK - 1);
        let end = end.next_multiple_of(BLOCK).min(size);
        parts.push(Segment { offset: start.max(at), length: end - start.max(at) });
        at = end;
    }
    Ok(Some(parts))
}

/// Reads the parts of a file that hold data, one after the other.
struct Parts {
    file: File,
    parts: Vec<Segment>,
    at: usize,
    done: u64,
}

impl Read for Parts {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(part) = self.parts.get(self.at) {
            let left = part.length - self.done;
            if left == 0 {
                (self.at, self.done) = (self.at + 1, 0);
                continue;
            }
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let length = self.file.read_at(&mut buffer[..wanted], part.offset + self.done)?;
            self.done += length as u64;
            return Ok(length);
        }
        Ok(0)
    }
}
