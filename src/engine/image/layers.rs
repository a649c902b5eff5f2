//! What the layers of an image hold, and what each does to those below it.
//!
//! A layer's folder is an upper folder as overlayfs has them: what it adds and changes lies in it,
//! what it removes is a whiteout, and an opaque folder hides all that was below. Nothing in it is
//! trusted: each name of a path is opened in its open parent, without following links, so that no
//! layer leads anywhere but into itself.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use std::sync::PoisonError;

use chrono::DateTime;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use wharf_model::{
    ChangeKind, Digest, ErrorKind, FileChange, FileCount, FileEntry, FileHead, FileKind,
    LayerChanges, LayerInfo, LayerSpace,
};

use super::Images;
use super::resolve::stored_digest;
use super::tree::Node;
use crate::engine::Engine;
use crate::{Error, Result, disk, userns};

/// A folder with more entries is shown as far as this.
const MOST_SHOWN: usize = 20_000;

/// A layer with more files is counted as far as this.
const MOST_COUNTED: usize = 200_000;

/// Folders that lie deeper are not counted: each is opened from the root on, so that a deep tree
/// needs no more descriptors than a flat one.
const DEEPEST: usize = 200;

impl Images<'_> {
    /// Returns the layers of every image, lowest first, also of removed ones that containers use.
    /// `unpacked` tells what a layer's folder takes of the disk.
    fn all_layers(
        &self,
        unpacked: impl Fn(&Digest) -> u64,
    ) -> Result<Vec<(Digest, Vec<LayerInfo>)>> {
        let mut statement = self.store.connection().prepare(
            "SELECT image_layer.image, chain_id, diff_id, size, blob
             FROM image_layer JOIN layer ON layer = chain_id
             LEFT JOIN image_blob ON image_blob.image = image_layer.image
                 AND image_blob.position = image_layer.position
             ORDER BY image_layer.image, image_layer.position",
        )?;
        let rows: Vec<(String, String, String, i64, Option<String>)> = statement
            .query_map([], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let mut list: Vec<(Digest, Vec<LayerInfo>)> = Vec::new();
        for (image, chain_id, diff_id, size, blob) in rows {
            let image = stored_digest(&image)?;
            let chain_id = stored_digest(&chain_id)?;
            let path = Some(self.paths.layer(&chain_id).to_string_lossy().into_owned());
            let size = u64::try_from(size).unwrap_or_default();
            let blob = blob.as_deref().map(stored_digest).transpose()?;
            let blob = blob.map(|digest| {
                let size = disk::all(&self.paths.blob(&digest));
                (digest, size)
            });
            let frame = disk::all(&self.paths.frame(&chain_id));
            let unpacked = unpacked(&chain_id).saturating_add(frame);
            let diff_id = stored_digest(&diff_id)?;
            let space = Some(LayerSpace { unpacked, blob });
            let layer = LayerInfo { diff_id, chain_id, size, path, space };
            match list.last_mut() {
                Some((last, layers)) if *last == image => layers.push(layer),
                _ => list.push((image, vec![layer])),
            }
        }
        Ok(list)
    }
}

impl Engine {
    /// Returns the layers of every image, lowest first, also of removed ones that containers use, with
    /// what they take of the disk. A layer's folder never changes, so it is walked once.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn image_layers(&self) -> Result<Vec<(Digest, Vec<LayerInfo>)>> {
        let mut known = self.layer_sizes.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut *known);
        let now = RefCell::new(HashMap::new());
        let layers = self.with_images(|images| {
            images.all_layers(|chain_id| {
                let walk = || disk::all(&self.paths().layer(chain_id));
                let size = before.get(chain_id).copied();
                *now.borrow_mut()
                    .entry(chain_id.clone())
                    .or_insert_with(|| size.unwrap_or_else(walk))
            })
        });
        *known = now.into_inner();
        layers
    }

    /// Returns what a layer of an image (the lowest is 0) has in a folder, and what it removes there:
    /// folders first, by name.
    ///
    /// # Errors
    /// When there is no such image, layer or folder.
    pub fn layer_files(&self, image: &str, layer: usize, path: &Path) -> Result<Vec<FileEntry>> {
        let stack = self.layer_stack(image, layer)?;
        stack.place(path).and_then(|place| place.entries()).map_err(|e| stack.failed(path, &e))
    }

    /// Returns the beginning of a file in a layer; of one that the layer removes, as it was.
    ///
    /// # Errors
    /// When there is no such image, layer or file, or it is no plain file.
    pub fn layer_file(
        &self,
        image: &str,
        layer: usize,
        path: &Path,
        most: usize,
    ) -> Result<FileHead> {
        let stack = self.layer_stack(image, layer)?;
        stack.head(path, most).map_err(|e| stack.failed(path, &e))
    }

    /// Returns how many files a layer adds, changes and removes.
    ///
    /// # Errors
    /// When there is no such image or layer, or it can't be read.
    pub fn layer_changes(&self, image: &str, layer: usize) -> Result<LayerChanges> {
        let stack = self.layer_stack(image, layer)?;
        stack.changes().map_err(|e| stack.failed(Path::new(""), &e))
    }

    fn layer_stack(&self, image: &str, layer: usize) -> Result<Stack> {
        let layers = self.with_images(|images| Ok(images.detail(image)?.layers))?;
        let folder = |info: &LayerInfo| self.paths().layer(&info.chain_id);
        let mut folders: Vec<PathBuf> = layers.iter().map(folder).collect();
        if layer >= folders.len() {
            let text = format!("image {image} has {} layers: there is no {layer}", folders.len());
            return Err(Error::new(ErrorKind::NotFound, text));
        }
        folders.truncate(layer + 1);
        folders.reverse();
        Ok(Stack { folders, what: format!("layer {layer} of {image}") })
    }
}

/// A layer's folder and those of the layers below it, downwards.
pub(crate) struct Stack {
    folders: Vec<PathBuf>,
    what: String,
}

/// A folder of a layer, and what the layers below have in its place.
pub(crate) struct Place {
    top: Node,
    /// Downwards, as far as they show through.
    below: Vec<Node>,
    /// Whether nothing of what is below shows through.
    is_opaque: bool,
}

fn is_opaque(node: &Node) -> bool {
    node.xattr(userns::opaque_attribute()).is_some_and(|value| value == b"y")
}

fn no_folder() -> io::Error {
    io::Error::other("it is no folder")
}

/// Returns the names of a path below the root; `..` and the like are none.
fn names(path: &Path) -> io::Result<Vec<&[u8]>> {
    path.components()
        .map(|part| match part {
            Component::Normal(name) => Ok(name.as_bytes()),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no path below the root")),
        })
        .collect()
}

/// Opens a name in the first folder that has it; none when it is hidden or nowhere.
fn visible(folders: &[Node], name: &[u8]) -> io::Result<Option<Node>> {
    for folder in folders {
        match Node::open(folder.fd(), name) {
            Ok(node) => return Ok(Some(node).filter(|node| !node.is_whiteout())),
            Err(Errno::NOENT) => {}
            Err(cause) => return Err(cause.into()),
        }
    }
    Ok(None)
}

/// Returns the folders of this name that make up one when merged.
fn merged(folders: &[Node], name: &[u8]) -> io::Result<Vec<Node>> {
    let mut list = Vec::new();
    for folder in folders {
        match Node::open(folder.fd(), name) {
            Ok(node) if node.is_folder() => {
                let last = is_opaque(&node);
                list.push(node);
                if last {
                    break;
                }
            }
            Ok(_) => break,
            Err(Errno::NOENT) => {}
            Err(cause) => return Err(cause.into()),
        }
    }
    Ok(list)
}

/// A folder of one of the layers.
pub(crate) struct Owned {
    /// The layer's place in the stack; the topmost is 0.
    pub(crate) place: usize,
    /// The folder.
    pub(crate) node: Node,
}

/// Opens a folder in each layer of a stack that has it and isn't hidden there, downwards.
pub(crate) fn open_owned(stack: &Stack, path: &Path) -> io::Result<Vec<Owned>> {
    let roots = stack.roots()?.into_iter().enumerate();
    let mut list: Vec<Owned> = roots.map(|(place, node)| Owned { place, node }).collect();
    for name in names(path)? {
        let mut next = Vec::new();
        for owned in list {
            match Node::open(owned.node.fd(), name) {
                Ok(node) if node.is_folder() => {
                    let last = is_opaque(&node);
                    next.push(Owned { place: owned.place, node });
                    if last {
                        break;
                    }
                }
                Ok(_) => break,
                Err(Errno::NOENT) => {}
                Err(cause) => return Err(cause.into()),
            }
        }
        list = next;
    }
    Ok(list)
}

impl Stack {
    /// Returns the stack of these folders, the topmost first.
    pub(crate) fn new(folders: Vec<PathBuf>) -> Self {
        Self { folders, what: String::new() }
    }

    fn failed(&self, path: &Path, cause: &io::Error) -> Error {
        let kind = match cause.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::InvalidInput => ErrorKind::Invalid,
            _ => ErrorKind::Internal,
        };
        Error::new(kind, format!("{}: open /{}: {cause}", self.what, path.display()))
    }

    fn roots(&self) -> io::Result<Vec<Node>> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open =
            |folder: &PathBuf| Ok(Node::from_fd(rustix::fs::open(folder, flags, Mode::empty())?)?);
        self.folders.iter().map(open).collect()
    }

    /// Opens a folder of the layer.
    pub(crate) fn place(&self, path: &Path) -> io::Result<Place> {
        let mut below = self.roots()?;
        let top = below.remove(0);
        let mut place = Place { is_opaque: is_opaque(&top), top, below };
        for name in names(path)? {
            let top = Node::open(place.top.fd(), name)?;
            if !top.is_folder() {
                return Err(no_folder());
            }
            let is_opaque = place.is_opaque || is_opaque(&top);
            place = Place { top, below: merged(&place.below, name)?, is_opaque };
        }
        Ok(place)
    }

    pub(crate) fn head(&self, path: &Path, most: usize) -> io::Result<FileHead> {
        let names = names(path)?;
        let Some(name) = names.last() else { return Err(io::Error::other("it is a folder")) };
        let place = self.place(path.parent().unwrap_or(Path::new("")))?;
        let node = match Node::open(place.top.fd(), name) {
            Ok(node) if !node.is_whiteout() => Some(node),
            Ok(_) | Err(Errno::NOENT) => visible(&place.below, name)?,
            Err(cause) => return Err(cause.into()),
        };
        let Some(node) = node else { return Err(Errno::NOENT.into()) };
        node.head(most)
    }

    /// Walks all of the layer.
    fn changes(&self) -> io::Result<LayerChanges> {
        let mut found = LayerChanges { complete: true, ..LayerChanges::default() };
        let mut left = MOST_COUNTED;
        let mut folders = vec![PathBuf::new()];
        while let Some(path) = folders.pop() {
            let place = self.place(&path)?;
            for difference in place.differences()? {
                let (name, now, before) = difference?;
                if left == 0 {
                    found.complete = false;
                    return Ok(found);
                }
                left -= 1;
                let size = |node: &Node| u64::try_from(node.stat().st_size).unwrap_or_default();
                match (&now, &before) {
                    (None, Some(node)) if node.is_folder() => {
                        let gone = merged(&place.below, &name)?;
                        let depth = path.components().count();
                        found.complete &= count(&gone, depth, &mut left, &mut found.removed)?;
                    }
                    (None, Some(node)) => found.removed.add(size(node)),
                    (Some(node), _) if node.is_folder() => {
                        if path.components().count() < DEEPEST {
                            folders.push(path.join(OsString::from_vec(name)));
                        } else {
                            found.complete = false;
                        }
                    }
                    (Some(node), Some(_)) => found.changed.add(size(node)),
                    (Some(node), None) => found.added.add(size(node)),
                    (None, None) => {}
                }
            }
        }
        Ok(found)
    }
}

/// Counts the files in a folder that is gone as a whole; returns whether that is all of them.
fn count(folders: &[Node], depth: usize, left: &mut usize, to: &mut FileCount) -> io::Result<bool> {
    let mut complete = true;
    for name in all_names(folders)? {
        let Some(node) = visible(folders, &name)? else { continue };
        if *left == 0 {
            return Ok(false);
        }
        *left -= 1;
        if !node.is_folder() {
            to.add(u64::try_from(node.stat().st_size).unwrap_or_default());
        } else if depth < MOST_NESTED {
            complete &= count(&merged(folders, &name)?, depth + 1, left, to)?;
        } else {
            complete = false;
        }
    }
    Ok(complete)
}

/// How deep the walk of a removed folder goes, which holds its parents open.
const MOST_NESTED: usize = 24;

fn all_names(folders: &[Node]) -> io::Result<BTreeSet<Vec<u8>>> {
    let mut names = BTreeSet::new();
    for folder in folders {
        names.extend(folder.names()?);
    }
    Ok(names)
}

/// A name with what is there now and what was there before.
pub(crate) type Difference = (Vec<u8>, Option<Node>, Option<Node>);

impl Place {
    /// Returns what the layer has in the folder and what it removes there, by name.
    pub(crate) fn differences(&self) -> io::Result<impl Iterator<Item = io::Result<Difference>>> {
        let mut names: BTreeSet<Vec<u8>> = self.top.names()?.into_iter().collect();
        if self.is_opaque {
            names.extend(all_names(&self.below)?);
        }
        // One by one: a folder has more entries than a process may have descriptors.
        Ok(names.into_iter().map(|name| {
            let before = visible(&self.below, &name)?;
            let now = match Node::open(self.top.fd(), &name) {
                Ok(node) => Some(node).filter(|node| !node.is_whiteout()),
                Err(Errno::NOENT) => None,
                Err(cause) => return Err(cause.into()),
            };
            Ok((name, now, before))
        }))
    }

    fn entries(&self) -> io::Result<Vec<FileEntry>> {
        let mut list = Vec::new();
        for difference in self.differences()? {
            let (name, now, before) = difference?;
            let change = match (&now, &before) {
                // It removes what wasn't there.
                (None, None) => continue,
                (None, Some(_)) => Some(ChangeKind::Deleted),
                (Some(_), None) => Some(ChangeKind::Added),
                (Some(now), Some(before)) if now.is_folder() && before.is_folder() => {
                    let (a, b) = (before.stat(), now.stat());
                    let same = (a.st_mode, a.st_uid, a.st_gid) == (b.st_mode, b.st_uid, b.st_gid);
                    (!same).then_some(ChangeKind::Modified)
                }
                (Some(_), Some(_)) => Some(ChangeKind::Modified),
            };
            let size = |node: &Node| u64::try_from(node.stat().st_size).unwrap_or_default();
            let file = |node: &&Node| !node.is_folder();
            let before_size = before.as_ref().filter(file).map(size);
            let change = change.map(|kind| FileChange { kind, before: before_size });
            if let Some(node) = now.as_ref().or(before.as_ref()) {
                list.push(entry(&name, node, change)?);
            }
            if list.len() == MOST_SHOWN {
                break;
            }
        }
        let rank = |entry: &FileEntry| entry.kind != FileKind::Folder;
        list.sort_by(|a, b| (rank(a), &a.name).cmp(&(rank(b), &b.name)));
        Ok(list)
    }
}

pub(crate) fn entry(name: &[u8], node: &Node, change: Option<FileChange>) -> io::Result<FileEntry> {
    let stat = node.stat();
    let kind = match node.file_type() {
        FileType::Directory => FileKind::Folder,
        FileType::RegularFile => FileKind::File,
        FileType::Symlink => FileKind::Link,
        _ => FileKind::Other,
    };
    let target = match kind {
        FileKind::Link => Some(OsString::from_vec(node.link()?)),
        _ => None,
    };
    Ok(FileEntry {
        name: OsString::from_vec(name.to_vec()),
        kind,
        size: u64::try_from(stat.st_size).unwrap_or_default(),
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        modified: DateTime::from_timestamp(stat.st_mtime, 0),
        target,
        change,
        layer: None,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, FileType as Kind, XattrFlags};

    use super::*;

    fn whiteout(path: &Path) {
        rustix::fs::mknodat(CWD, path, Kind::CharacterDevice, Mode::empty(), 0).unwrap();
    }

    fn opaque(path: &Path) {
        let none = XattrFlags::empty();
        rustix::fs::setxattr(path, userns::opaque_attribute(), b"y", none).unwrap();
    }

    /// Three layers; whiteouts need root.
    fn layers(place: &Path) -> Option<Stack> {
        let layer = |n: usize| place.join(n.to_string());
        for (path, text) in [
            ("0/etc/keep", "as it was"),
            ("0/etc/old", "1234"),
            ("0/etc/conf", "12"),
            ("0/var/cache/a", "123"),
            ("0/var/cache/b/c", "12345"),
            ("0/srv/x", "1"),
            ("1/srv/y", "22"),
            ("2/etc/conf", "1234567"),
            ("2/etc/new", "123456"),
            ("2/srv/z", "333"),
        ] {
            let path = place.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        fs::create_dir(layer(2).join("var")).unwrap();
        whiteout(&layer(2).join("var/cache"));
        whiteout(&layer(2).join("etc/old"));
        whiteout(&layer(2).join("etc/never"));
        opaque(&layer(2).join("srv"));
        symlink("/etc", layer(2).join("out")).unwrap();
        let folders = [2, 1, 0].map(layer).to_vec();
        Some(Stack { folders, what: "layer 2 of x".to_owned() })
    }

    fn told(list: &[FileEntry]) -> Vec<(&str, Option<ChangeKind>, Option<u64>)> {
        let one = |entry: &'_ FileEntry| {
            (entry.change.map(|c| c.kind), entry.change.and_then(|c| c.before))
        };
        list.iter().map(|e| (e.name.to_str().unwrap(), one(e).0, one(e).1)).collect()
    }

    #[test]
    fn a_layer_is_told_against_those_below() {
        let place = tempfile::tempdir().unwrap();
        let Some(stack) = layers(place.path()) else { return };
        let list = |path: &str| stack.place(Path::new(path)).unwrap().entries().unwrap();
        use ChangeKind::{Added, Deleted, Modified};
        assert_eq!(
            told(&list("")),
            [
                ("etc", None, None),
                ("srv", None, None),
                ("var", None, None),
                ("out", Some(Added), None)
            ]
        );
        assert_eq!(
            told(&list("etc")),
            [
                ("conf", Some(Modified), Some(2)),
                ("new", Some(Added), None),
                ("old", Some(Deleted), Some(4)),
            ]
        );
        assert_eq!(told(&list("var")), [("cache", Some(Deleted), None)]);
        assert_eq!(
            told(&list("srv")),
            [
                ("x", Some(Deleted), Some(1)),
                ("y", Some(Deleted), Some(2)),
                ("z", Some(Added), None)
            ]
        );
        let count = |files, bytes| FileCount { files, bytes };
        let found = stack.changes().unwrap();
        assert_eq!(found.changed, count(1, 7));
        // `new`, `z`, and the link, whose length is that of its target.
        assert_eq!(found.added, count(3, 6 + 3 + 4));
        // `old`, both files of `var/cache`, and what the opaque folder hides.
        assert_eq!(found.removed, count(5, 4 + 3 + 5 + 1 + 2));
        assert!(found.complete);
        let head = |path: &str| stack.head(Path::new(path), 4);
        assert_eq!(head("etc/conf").unwrap(), FileHead { bytes: b"1234".to_vec(), size: 7 });
        assert_eq!(head("etc/old").unwrap().size, 4, "what is removed is shown as it was");
        for path in ["out/passwd", "etc/missing", "../0/etc/keep", "etc", "etc/conf/x"] {
            assert!(head(path).is_err(), "{path}");
        }
        assert!(stack.place(Path::new("out")).is_err(), "no link is followed");
        assert!(stack.place(Path::new("var/cache")).is_err(), "it isn't there");
    }
}
