//! Writes folders into an archive: the one packer behind `cp`, `export` and `commit`.

use std::collections::HashMap;
use std::io::{self, Write};

use rustix::io::Errno;

use super::tar_stream::{EntryKind, show};
use super::tar_writer::TarWriter;
use super::tree::Node;
use crate::userns::Owners;

/// Writes what it is shown into one archive.
pub(crate) struct Packer<W> {
    tar: TarWriter<W>,
    /// The first path of each file that has several, by device and inode.
    seen: HashMap<(u64, u64), Vec<u8>>,
    /// Whether files with holes are written as such.
    holes: bool,
    /// Whether times are written to the nanosecond.
    nanoseconds: bool,
    /// Who the owners are to those whom the archive is for; none where that is what they are here.
    owners: Option<Owners>,
}

/// A folder whose entries are being packed.
struct Level {
    folder: Node,
    names: std::vec::IntoIter<Vec<u8>>,
    /// How much of the path is this folder's.
    path: usize,
}

/// Names the entry that an error is about.
pub(super) fn about(path: &[u8]) -> impl Fn(io::Error) -> io::Error + '_ {
    move |e| io::Error::new(e.kind(), format!("{}: {e}", show(path)))
}

impl<W: Write> Packer<W> {
    /// Returns a packer that writes every byte of files with holes, so that the same content always
    /// gives the same archive.
    pub(crate) fn new(inner: W) -> Self {
        Self {
            tar: TarWriter::new(inner),
            seen: HashMap::new(),
            holes: false,
            nanoseconds: false,
            owners: None,
        }
    }

    /// Writes owners as those see them who are somebody else here.
    #[must_use]
    pub(crate) fn seen_by(mut self, owners: Option<Owners>) -> Self {
        self.owners = owners;
        self
    }

    /// Leaves holes out, for an archive that is unpacked and forgotten.
    #[must_use]
    pub(crate) fn with_holes(mut self) -> Self {
        self.holes = true;
        self
    }

    /// Leaves nothing out that can be put back: holes, and times to the nanosecond. Other archives
    /// have whole seconds, as docker's.
    #[must_use]
    pub(crate) fn exact(mut self) -> Self {
        (self.holes, self.nanoseconds) = (true, true);
        self
    }

    /// Packs one thing, of a folder nothing but itself.
    pub(super) fn node(&mut self, node: &Node, path: &[u8]) -> io::Result<()> {
        let Some(mut entry) = node.entry(path).map_err(about(path))? else { return Ok(()) };
        if !self.nanoseconds {
            entry.mtime.1 = 0;
        }
        if let Some(owners) = &self.owners {
            (entry.uid, entry.gid) = owners.inside((entry.uid, entry.gid));
        }
        if entry.kind == EntryKind::Directory {
            return self.tar.entry(&entry, io::empty());
        }
        if node.stat().st_nlink > 1 {
            let id = (node.stat().st_dev, node.stat().st_ino);
            if let Some(first) = self.seen.get(&id) {
                entry.link.clone_from(first);
                entry.kind = EntryKind::HardLink;
                // They are those of the first.
                entry.xattrs.clear();
                return self.tar.entry(&entry, io::empty());
            }
            self.seen.insert(id, path.to_vec());
        }
        if entry.kind != EntryKind::File {
            return self.tar.entry(&entry, io::empty());
        }
        let content = node.content(self.holes).map_err(about(path))?;
        (entry.size, entry.sparse) = (content.size, content.sparse);
        let mut failure = None;
        let data = Noting { inner: content.data, failure: &mut failure };
        let written = self.tar.entry(&entry, data);
        match failure {
            Some(e) => Err(about(path)(e)),
            None => written,
        }
    }

    /// Packs an entry that is made up: an empty file.
    pub(super) fn empty_file(&mut self, path: &[u8]) -> io::Result<()> {
        let entry = super::tar_stream::Entry {
            path: path.to_vec(),
            link: Vec::new(),
            kind: EntryKind::File,
            mode: 0,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: (0, 0),
            device: (0, 0),
            xattrs: Vec::new(),
            sparse: None,
        };
        self.tar.entry(&entry, io::empty())
    }

    /// Packs something with all that is in it. What vanishes while it is looked at is left out.
    pub(crate) fn tree(&mut self, node: Node, path: &[u8]) -> io::Result<()> {
        if !path.is_empty() {
            self.node(&node, path)?;
        }
        if !node.is_folder() {
            return Ok(());
        }
        let mut here = path.to_vec();
        while here.last() == Some(&b'/') {
            here.pop();
        }
        let rooted = path.first() == Some(&b'/');
        let level = |folder: Node, path: &[u8]| -> io::Result<Level> {
            let names = folder.names().map_err(about(path))?.into_iter();
            Ok(Level { folder, names, path: path.len() })
        };
        let mut levels = vec![level(node, &here)?];
        while let Some(top) = levels.last_mut() {
            here.truncate(top.path);
            let Some(name) = top.names.next() else {
                levels.pop();
                continue;
            };
            if rooted || !here.is_empty() {
                here.push(b'/');
            }
            here.extend_from_slice(&name);
            let node = match Node::open(top.folder.fd(), &name) {
                Ok(node) => node,
                Err(Errno::NOENT) => continue,
                Err(e) => return Err(about(&here)(e.into())),
            };
            self.node(&node, &here)?;
            if node.is_folder() {
                levels.push(level(node, &here)?);
            }
        }
        Ok(())
    }

    /// Writes the end of the archive.
    pub(crate) fn finish(self) -> io::Result<W> {
        self.tar.finish()
    }
}

/// Remembers why reading failed: a failure to write must not be blamed on the file.
struct Noting<'a, R> {
    inner: R,
    failure: &'a mut Option<io::Error>,
}

impl<R: io::Read> io::Read for Noting<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).inspect_err(|e| {
            if e.kind() != io::ErrorKind::Interrupted {
                *self.failure = Some(io::Error::from(e.kind()));
            }
        })
    }
}
