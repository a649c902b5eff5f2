//! An image archive, spooled to disk member by member, since it comes as a stream and its table of
//! contents may come last.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use wharf_model::{Digest, ErrorKind};

use super::compression::decompress;
use super::hash::HashReader;
use super::staging::Staging;
use super::tar_stream::{Entry, EntryKind, TarStream};
use crate::{Error, Result};

/// The greatest JSON document taken into memory (registries allow 4 MiB for a manifest).
const MAX_DOCUMENT: u64 = 16 << 20;
const MAX_MEMBERS: usize = 100_000;

/// A file of the archive.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) path: PathBuf,
    pub(super) digest: Digest,
    pub(super) size: u64,
}

/// The members of an archive by their paths.
pub(super) struct Archive {
    members: BTreeMap<String, Member>,
    /// Links, symbolic and hard, by the path they lead to.
    links: BTreeMap<String, String>,
}

impl Archive {
    /// Spools a stream, compressed or not.
    pub(super) fn spool(reader: impl Read, staging: &Staging) -> Result<Self> {
        let folder = staging.folder("spool")?;
        let failed = |e: io::Error| Error::failed("read the image archive", explain(e));
        let mut stream = TarStream::new(decompress(reader).map_err(failed)?);
        let mut this = Self { members: BTreeMap::new(), links: BTreeMap::new() };
        let mut count = 0;
        while let Some(entry) = stream.next_entry().map_err(failed)? {
            count += 1;
            if count > MAX_MEMBERS {
                return Err(invalid(format!(
                    "the image archive has more than {MAX_MEMBERS} files"
                )));
            }
            this.add(&entry, &mut stream, folder.join(count.to_string())).map_err(failed)?;
        }
        Ok(this)
    }

    fn add(&mut self, entry: &Entry, data: &mut impl Read, file: PathBuf) -> io::Result<()> {
        let name = String::from_utf8_lossy(&entry.path);
        let name = join("", &name);
        match entry.kind {
            EntryKind::File => {
                let mut hashed = HashReader::new(data);
                io::copy(&mut hashed, &mut File::create_new(&file)?)?;
                let (digest, size) = hashed.finish()?;
                self.links.remove(&name);
                self.members.insert(name, Member { path: file, digest, size });
            }
            EntryKind::Symlink | EntryKind::HardLink => {
                let link = String::from_utf8_lossy(&entry.link);
                let target = if entry.kind == EntryKind::Symlink {
                    join(name.rsplit_once('/').map_or("", |(folder, _)| folder), &link)
                } else {
                    join("", &link)
                };
                self.members.remove(&name);
                self.links.insert(name, target);
            }
            _ => {}
        }
        Ok(())
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

    /// Returns the blob of an OCI layout whose content has this digest.
    pub(super) fn blob(&self, digest: &str, what: &str) -> Result<&Member> {
        let digest: Digest = digest.parse().map_err(|e| invalid(format!("{what}: {e}")))?;
        let member = self
            .find(&format!("blobs/sha256/{}", digest.hex()))
            .ok_or_else(|| invalid(format!("{what} {digest} is missing from the image archive")))?;
        if member.digest != digest {
            return Err(invalid(format!(
                "{what} {digest}: digest mismatch: its content is {}",
                member.digest
            )));
        }
        Ok(member)
    }
}

impl Member {
    /// Returns the whole content.
    pub(super) fn bytes(&self, what: &str) -> Result<Vec<u8>> {
        if self.size > MAX_DOCUMENT {
            return Err(invalid(format!("{what} has {} bytes, too many", self.size)));
        }
        std::fs::read(&self.path).map_err(|e| Error::failed(format!("read {what}"), e))
    }

    /// Returns the content as the JSON document that it has to be.
    pub(super) fn json<T: DeserializeOwned>(&self, what: &str) -> Result<T> {
        parse(&self.bytes(what)?, what)
    }
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
