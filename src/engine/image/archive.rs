//! The table of contents of an image archive, and where each of its files is.
//!
//! A file that can be sought in is read in place: nothing of it is copied but what is kept. A stream
//! tells what it holds last, so what looks like a layer is unpacked while it comes, before anything is
//! known of it; documents, and layers that are here already, are spooled.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use wharf_model::{Digest, ErrorKind};

use super::compression::{Packing, decompress};
use super::intake::{Intake, Taken};
use super::staging::Staging;
use super::tar_stream::{EntryKind, TarStream};
use crate::{Error, Result};

/// The greatest JSON document taken into memory (registries allow 4 MiB for a manifest).
const MAX_DOCUMENT: u64 = 16 << 20;
const MAX_MEMBERS: usize = 100_000;

/// How much of a file tells what it is: a header of a tar.
const HEAD: usize = 512;

/// A file of the archive.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Which one it is.
    pub(super) number: usize,
    pub(super) size: u64,
    pub(super) content: Content,
}

/// What is here of a file of the archive.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// Its bytes, in a file that begins elsewhere.
    InPlace(Range),
    /// Its bytes, in a file of its own that may be moved.
    Spooled(Range, PathBuf),
    /// It was unpacked while it came.
    Unpacked(Arc<Come>),
    /// It can't be unpacked, for this reason.
    Damaged(String),
}

/// A layer that was unpacked while it came.
#[derive(Debug)]
pub(super) struct Come {
    pub(super) taken: Taken,
    /// Where it was unpacked.
    pub(super) path: PathBuf,
    /// The frame of its archive, where that wasn't packed.
    pub(super) frame: Option<PathBuf>,
    /// The blob, where it was.
    pub(super) blob: Option<PathBuf>,
}

/// A part of a file, which several may read at once.
#[derive(Clone, Debug)]
pub(super) struct Range {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Read for Range {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let n = self.file.read_at(&mut buffer[..wanted], self.at)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        (self.at, self.left) = (self.at + n as u64, self.left - n as u64);
        Ok(n)
    }
}

/// A stream that fails again where it has failed once: whoever looks at it next is told the reason too.
struct Steady<R> {
    inner: R,
    failed: Option<(io::ErrorKind, String)>,
}

impl<R: Read> Read for Steady<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some((kind, text)) = &self.failed {
            return Err(io::Error::new(*kind, text.clone()));
        }
        let read = self.inner.read(buffer);
        if let Err(e) = &read
            && e.kind() != io::ErrorKind::Interrupted
        {
            self.failed = Some((e.kind(), e.to_string()));
        }
        read
    }
}

/// The members of an archive by their paths.
#[derive(Default)]
pub(super) struct Archive {
    members: BTreeMap<String, Member>,
    /// Links, symbolic and hard, by the path they lead to.
    links: BTreeMap<String, String>,
    count: usize,
}

impl Archive {
    /// Reads the headers of an archive that isn't packed, in a file that can be sought in; from where
    /// that stands. None when it is packed.
    pub(super) fn in_place(mut file: File) -> io::Result<std::result::Result<Self, File>> {
        let (begin, length) = (file.stream_position()?, file.metadata()?.len());
        let mut magic = [0; 6];
        let n = file.read_at(&mut magic, begin)?;
        if Packing::of(&magic[..n]) != Packing::Plain || is_foreign(&magic[..n]) {
            return Ok(Err(file));
        }
        let shared = Arc::new(file.try_clone()?);
        let mut stream = TarStream::new(BufReader::with_capacity(4 * HEAD, file));
        let mut this = Self::default();
        while let Some(entry) = stream.next_entry()? {
            let number = this.counted()?;
            let Some(name) = this.noted(entry.kind, &entry.path, &entry.link) else { continue };
            refuse_holes(&name, entry.sparse.is_some())?;
            let range =
                Range { file: Arc::clone(&shared), at: stream.pass(length)?, left: entry.size };
            this.members.insert(
                name,
                Member { number, size: entry.size, content: Content::InPlace(range) },
            );
        }
        Ok(Ok(this))
    }

    /// Reads a stream, packed or not, to its end. `is_here` tells of a layer, by the digest of its blob
    /// or of its archive, whether it needn't be unpacked.
    pub(super) fn come(
        reader: impl Read + Send,
        staging: &Staging,
        is_here: &dyn Fn(&Digest) -> bool,
    ) -> Result<Self> {
        let failed = |e: io::Error| Error::failed("read the image archive", explain(e));
        let folder = staging.folder("come")?;
        let reader = Steady { inner: decompress(reader).map_err(failed)?, failed: None };
        let mut stream = TarStream::new(reader);
        let mut this = Self::default();
        while let Some(entry) = stream.next_entry().map_err(failed)? {
            let number = this.counted().map_err(failed)?;
            let Some(name) = this.noted(entry.kind, &entry.path, &entry.link) else { continue };
            refuse_holes(&name, entry.sparse.is_some()).map_err(failed)?;
            let mut head = Vec::new();
            (&mut stream).take(HEAD as u64).read_to_end(&mut head).map_err(failed)?;
            let stated = stated_digest(&name);
            let unpack = looks_like_layer(&head) && !stated.is_some_and(|digest| is_here(&digest));
            let mut data = io::Cursor::new(&head).chain(&mut stream);
            let path = folder.join(number.to_string());
            let content = match unpack {
                true => unpack_coming(&name, &mut data, &head, path, entry.size)?,
                false => spool(&mut data, path).map_err(failed)?,
            };
            this.members.insert(name, Member { number, size: entry.size, content });
        }
        Ok(this)
    }

    fn counted(&mut self) -> io::Result<usize> {
        self.count += 1;
        match self.count > MAX_MEMBERS {
            true => Err(damaged(format!("it has more than {MAX_MEMBERS} files"))),
            false => Ok(self.count),
        }
    }

    /// Takes note of an entry; returns the name under which a file is to be found.
    fn noted(&mut self, kind: EntryKind, path: &[u8], link: &[u8]) -> Option<String> {
        let name = join("", &String::from_utf8_lossy(path));
        match kind {
            EntryKind::File => {
                self.links.remove(&name);
                return Some(name);
            }
            EntryKind::Symlink | EntryKind::HardLink => {
                let link = String::from_utf8_lossy(link);
                let target = if kind == EntryKind::Symlink {
                    join(name.rsplit_once('/').map_or("", |(folder, _)| folder), &link)
                } else {
                    join("", &link)
                };
                self.members.remove(&name);
                self.links.insert(name, target);
            }
            _ => {}
        }
        None
    }

    /// Returns a member by its path, links followed.
    pub(super) fn find(&self, path: &str) -> Option<&Member> {
        let mut path = join("", path);
        for _ in 0..16 {
            match self.links.get(&path) {
                Some(target) => path.clone_from(target),
                None => break,
            }
        }
        self.members.get(&path)
    }

    /// Returns a member that something refers to.
    pub(super) fn member(&self, path: &str) -> Result<&Member> {
        self.find(path)
            .ok_or_else(|| invalid(format!("{path:?} is missing from the image archive")))
    }

    /// Returns the blob of an OCI layout that is named by this digest. Whether it has it, who reads it
    /// looks.
    pub(super) fn blob(&self, digest: &Digest, what: &str) -> Result<&Member> {
        self.find(&format!("blobs/sha256/{}", digest.hex()))
            .ok_or_else(|| invalid(format!("{what} {digest} is missing from the image archive")))
    }

    /// Returns the document of an OCI layout whose content has this digest.
    pub(super) fn document(&self, digest: &Digest, what: &str) -> Result<Vec<u8>> {
        self.blob(digest, what)?.verified(digest, what)
    }
}

/// Writes a file of a stream to one of its own.
fn spool(data: &mut impl Read, path: PathBuf) -> io::Result<Content> {
    let mut file = File::options().read(true).write(true).create_new(true).open(&path)?;
    let left = io::copy(data, &mut file)?;
    Ok(Content::Spooled(Range { file: Arc::new(file), at: 0, left }, path))
}

/// Unpacks what looks like a layer. What turns out to be none is looked at again if it is wanted: the
/// blob of one that was packed is there by then.
fn unpack_coming(
    name: &str,
    data: &mut dyn Read,
    head: &[u8],
    path: PathBuf,
    size: u64,
) -> Result<Content> {
    let what = format!("{name:?} of the image archive");
    let packed = Packing::of(head) != Packing::Plain;
    let (root, beside) = (path.with_extension("layer"), path);
    let intake = Intake {
        keep: packed.then_some(beside.as_path()),
        frame: (!packed).then_some(beside.as_path()),
        ..Intake::default()
    };
    let error = match intake.run(&what, data, &root, None, &|_| {}) {
        Ok(taken) => {
            let (frame, blob) = if packed { (None, Some(beside)) } else { (Some(beside), None) };
            return Ok(Content::Unpacked(Arc::new(Come { taken, path: root, frame, blob })));
        }
        Err(error) => error,
    };
    let failed = |e| Error::failed(&what, explain(e));
    // What can't be removed now goes with the staging folder.
    let _ = std::fs::remove_dir_all(&root);
    if packed && std::fs::metadata(&beside).is_ok_and(|file| file.len() == size) {
        let file = Arc::new(File::open(&beside).map_err(failed)?);
        return Ok(Content::Spooled(Range { file, at: 0, left: size }, beside));
    }
    if packed || error.is_full() {
        return Err(error);
    }
    Ok(Content::Damaged(error.to_string()))
}

/// Returns whether a file that begins so may be a layer: a tar, or something packed.
fn looks_like_layer(head: &[u8]) -> bool {
    Packing::of(head) != Packing::Plain || head.get(257..262) == Some(b"ustar")
}

fn is_foreign(magic: &[u8]) -> bool {
    decompress(magic).is_err()
}

fn refuse_holes(name: &str, has_holes: bool) -> io::Result<()> {
    match has_holes {
        true => Err(damaged(format!("{name:?} is stored with holes: pack it without --sparse"))),
        false => Ok(()),
    }
}

/// Returns the digest that the name of a blob, or of a configuration of docker's, is.
pub(super) fn stated_digest(path: &str) -> Option<Digest> {
    let name = path.rsplit('/').next().unwrap_or(path);
    format!("sha256:{}", name.strip_suffix(".json").unwrap_or(name)).parse().ok()
}

fn damaged(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

impl Member {
    /// Returns its bytes as a stream.
    pub(super) fn open(&self) -> Result<Range> {
        match &self.content {
            Content::InPlace(range) | Content::Spooled(range, _) => Ok(range.clone()),
            Content::Damaged(why) => Err(invalid(why.as_str())),
            Content::Unpacked(come) => {
                let failed = |e| Error::failed("open a layer of the image archive", e);
                let blob = come.blob.as_ref().ok_or_else(|| invalid("a layer is no document"))?;
                let file = Arc::new(File::open(blob).map_err(failed)?);
                Ok(Range { file, at: 0, left: self.size })
            }
        }
    }

    /// Returns the whole content.
    pub(super) fn bytes(&self, what: &str) -> Result<Vec<u8>> {
        if self.size > MAX_DOCUMENT {
            return Err(invalid(format!("{what} has {} bytes, too many", self.size)));
        }
        let mut bytes = Vec::new();
        let read = self.open()?.read_to_end(&mut bytes);
        read.map_err(|e| Error::failed(format!("read {what}"), explain(e)))?;
        Ok(bytes)
    }

    /// Returns the whole content, which has to have this digest.
    pub(super) fn verified(&self, digest: &Digest, what: &str) -> Result<Vec<u8>> {
        let bytes = self.bytes(what)?;
        let found = super::hash::digest(&bytes);
        match found == *digest {
            true => Ok(bytes),
            false => Err(mismatch(what, digest, &found)),
        }
    }

    /// Returns the content as the JSON document that it has to be.
    pub(super) fn json<T: DeserializeOwned>(&self, what: &str) -> Result<T> {
        parse(&self.bytes(what)?, what)
    }
}

/// Returns the error of a blob that is another than its name says.
pub(super) fn mismatch(what: &str, stated: &Digest, found: &Digest) -> Error {
    invalid(format!("{what} {stated}: digest mismatch: its content is {found}"))
}

/// Returns a JSON document.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| invalid(format!("{what}: {e}")))
}

pub(super) fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

/// Says in words what the most frequent failures mean.
pub(crate) fn explain(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::StorageFull => io::Error::new(
            error.kind(),
            format!("{error}: free some space where the engine keeps its data, and try again"),
        ),
        io::ErrorKind::UnexpectedEof => {
            io::Error::new(error.kind(), "it ends too early: the archive is cut off")
        }
        _ => error,
    }
}

/// Returns `path` as seen from `folder`, without `.` and `..`; nothing is above the top.
fn join(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let folder = if path.starts_with('/') { "" } else { folder };
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::join;

    #[test]
    fn links_are_seen_from_their_folder() {
        assert_eq!(join("abc", "../def/layer.tar"), "def/layer.tar");
        assert_eq!(join("a/b", "/x/./y"), "x/y");
        assert_eq!(join("", "../../x"), "x");
    }
}
