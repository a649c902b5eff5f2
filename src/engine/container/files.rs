//! A container's files as the dashboard looks through them: without anything that runs in the
//! container, so those of one that is stopped or has no shell as well.
//!
//! What is listed is what the container itself sees ([`super::view`]): every path is resolved inside
//! its root. What it changed, and which layer a file is from, comes from the layers' folders, each
//! walked name by name without following any link.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::OFlags;
use rustix::io::Errno;
use wharf_model::{ChangeKind, ErrorKind, FileChange, FileEntry, FileHead, FileKind, FolderList};

use super::archive::{clean_names, evaluate};
use super::diff::{Depth, differs, is_placeholder};
use super::view::{Mounts, View, mount_of};
use crate::engine::Engine;
use crate::image::layers::{Owned, Stack, entry, open_owned};
use crate::image::tree::Node;
use crate::init::mounts::Layers;
use crate::{Error, Result, folder};

/// A folder with more entries is shown as far as this.
const MOST_SHOWN: usize = 20_000;

/// Folders that lie deeper are not measured: the walk holds their parents open.
const DEEPEST: usize = 500;

impl Engine {
    /// Returns what a container has in a folder, with what it changed of its image's and the layer
    /// that each is from; links on the way are followed inside the container.
    ///
    /// # Errors
    /// When there is no such container or folder.
    pub fn container_files(&self, container: &str, path: &Path) -> Result<FolderList> {
        let (view, layers) = self.files_of(container)?;
        let real = real(&view, path);
        list(&view, &layers, &real).map_err(|e| failed(container, path, &e))
    }

    /// Returns the beginning of a file of a container's, or of its image's if the container removed
    /// it. Nothing but plain files is opened.
    ///
    /// # Errors
    /// When there is no such container or file, or it is no plain file.
    pub fn container_file(&self, container: &str, path: &Path, most: usize) -> Result<FileHead> {
        let (view, layers) = self.files_of(container)?;
        head(&view, &layers, path, most).map_err(|e| failed(container, path, &e))
    }

    /// Returns how much disk a folder of a container takes with all in it, in bytes, each file once
    /// and nothing that is mounted in it; none when `stop` was set meanwhile. A container that doesn't
    /// run can't be started before that is done.
    ///
    /// # Errors
    /// When there is no such container or folder.
    pub fn container_folder_size(
        &self,
        container: &str,
        path: &Path,
        stop: &AtomicBool,
    ) -> Result<Option<u64>> {
        let (view, _) = self.files_of(container)?;
        let real = real(&view, path);
        let open = || -> io::Result<Option<u64>> {
            let folder = Node::from_fd(view.root.path(&real, OFlags::PATH | OFlags::DIRECTORY)?)?;
            measure(folder, stop)
        };
        open().map_err(|e| failed(container, path, &e))
    }

    fn files_of(&self, container: &str) -> Result<(View, Layers)> {
        self.with_store(|store| {
            let (record, view) = self.view(store, container, Mounts::Seen)?;
            let layers = folder::layers(self.paths(), store, &record)?;
            Ok((view, layers))
        })
    }
}

fn failed(container: &str, path: &Path, cause: &io::Error) -> Error {
    let kind = match cause.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::InvalidInput => ErrorKind::Invalid,
        _ => ErrorKind::Internal,
    };
    let path = Path::new("/").join(path);
    Error::new(kind, format!("container {container}: open {}: {cause}", path.display()))
}

/// Returns where a path leads in the container, below its root.
fn real(view: &View, path: &Path) -> PathBuf {
    let names = clean_names(&path.to_string_lossy());
    let names = if path.to_str().is_some() {
        names
    } else {
        // A name that isn't UTF-8 is taken as it is.
        path.iter().map(|name| name.as_bytes().to_vec()).collect()
    };
    let real = OsString::from_vec(evaluate(&view.root, &names));
    Path::new(&real).strip_prefix("/").map_or_else(|_| PathBuf::from(&real), Path::to_owned)
}

fn stack(layers: &Layers) -> Stack {
    let mut folders = vec![layers.upper_dir.clone()];
    folders.extend(layers.lower_dirs.iter().cloned());
    Stack::new(folders)
}

fn list(view: &View, layers: &Layers, path: &Path) -> io::Result<FolderList> {
    let folder = Node::from_fd(view.root.path(path, OFlags::PATH | OFlags::DIRECTORY)?)?;
    let mut entries = Vec::new();
    for name in folder.names()? {
        match Node::open(folder.fd(), &name) {
            Ok(node) => entries.push(entry(&name, &node, None)?),
            // It was removed meanwhile.
            Err(Errno::NOENT) => {}
            Err(cause) => return Err(cause.into()),
        }
        if entries.len() == MOST_SHOWN {
            break;
        }
    }
    let mount = |node: &Node| mount_of(node.fd()).map_err(io::Error::other);
    let root = mount_of(view.root.folder()).map_err(io::Error::other)?;
    let mut unknown = None;
    if mount(&folder)? == root {
        mark(layers, path, &mut entries)?;
        for found in entries.iter_mut().filter(|e| e.kind == FileKind::Folder) {
            // What is mounted on a folder hides what the layers say of it.
            let node = Node::open(folder.fd(), found.name.as_bytes());
            if let Ok(node) = node
                && mount(&node)? != root
            {
                (found.change, found.layer) = (None, None);
            }
        }
    } else {
        unknown = Some("mounted here: it belongs to no layer".to_owned());
    }
    let rank = |entry: &FileEntry| entry.kind != FileKind::Folder;
    entries.sort_by(|a, b| (rank(a), &a.name).cmp(&(rank(b), &b.name)));
    Ok(FolderList {
        path: path.to_owned(),
        entries,
        unknown,
        layers: Some(layers.lower_dirs.len()),
    })
}

/// Notes what the container did to the image's files in a folder, and which layer each is from.
fn mark(layers: &Layers, path: &Path, entries: &mut Vec<FileEntry>) -> io::Result<()> {
    let stack = stack(layers);
    let owned: Vec<Owned> = open_owned(&stack, path)?;
    let lower = layers.lower_dirs.len();
    for found in entries.iter_mut() {
        let name = found.name.as_bytes();
        let owner = owned.iter().find(|folder| Node::open(folder.node.fd(), name).is_ok());
        // Place 0 is the container's own folder, then come the layers from the topmost on.
        found.layer = owner.filter(|o| o.place > 0).map(|o| lower - o.place);
    }
    let place = match stack.place(path) {
        Ok(place) => place,
        // The container has changed nothing here.
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(cause),
    };
    for difference in place.differences()? {
        let (name, now, before) = difference?;
        let full = path.join(OsString::from_vec(name.clone()));
        let kind = match (&now, &before) {
            (None, None) => continue,
            (None, Some(_)) => ChangeKind::Deleted,
            (Some(now), None) if is_placeholder(full.as_os_str().as_bytes(), now)? => continue,
            (Some(_), None) => ChangeKind::Added,
            (Some(now), Some(before)) if now.is_folder() && before.is_folder() => {
                if !differs(before, now, Depth::Shown)? && !has_changes(now, &full)? {
                    continue;
                }
                ChangeKind::Modified
            }
            (Some(now), Some(before)) if differs(before, now, Depth::Shown)? => {
                ChangeKind::Modified
            }
            (Some(_), Some(_)) => continue,
        };
        let size = |node: &Node| u64::try_from(node.stat().st_size).unwrap_or_default();
        let before_size = before.as_ref().filter(|node| !node.is_folder()).map(size);
        let change = Some(FileChange { kind, before: before_size });
        match entries.iter_mut().find(|entry| entry.name.as_bytes() == name) {
            Some(found) => found.change = change,
            None => {
                if let (ChangeKind::Deleted, Some(node)) = (kind, &before) {
                    entries.push(entry(&name, node, change)?);
                }
            }
        }
    }
    Ok(())
}

/// Returns whether a folder of the container's own has anything but what the engine mounts on.
fn has_changes(folder: &Node, path: &Path) -> io::Result<bool> {
    for name in folder.names()? {
        let full = path.join(OsString::from_vec(name.clone()));
        let node = match Node::open(folder.fd(), &name) {
            Ok(node) => node,
            Err(Errno::NOENT) => continue,
            Err(cause) => return Err(cause.into()),
        };
        if !is_placeholder(full.as_os_str().as_bytes(), &node)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn head(view: &View, layers: &Layers, path: &Path, most: usize) -> io::Result<FileHead> {
    let inside = Path::new("/").join(path);
    let node = match view.root.path(&inside, OFlags::PATH) {
        Ok(fd) => Node::from_fd(fd)?,
        // The container removed it: as it is in the image.
        Err(Errno::NOENT) => return stack(layers).head(path, most),
        Err(cause) => return Err(cause.into()),
    };
    node.head(most)
}

/// Adds up the disk that a tree takes, on its own filesystem only.
fn measure(folder: Node, stop: &AtomicBool) -> io::Result<Option<u64>> {
    let device = folder.stat().st_dev;
    let blocks = |node: &Node| u64::try_from(node.stat().st_blocks).unwrap_or(0) * 512;
    let mut total = blocks(&folder);
    let mut seen = HashSet::new();
    let names = folder.names()?.into_iter();
    let mut levels = vec![(folder, names)];
    while let Some((folder, names)) = levels.last_mut() {
        if stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let Some(name) = names.next() else {
            levels.pop();
            continue;
        };
        let node = match Node::open(folder.fd(), &name) {
            Ok(node) => node,
            Err(Errno::NOENT) => continue,
            Err(cause) => return Err(cause.into()),
        };
        if node.stat().st_dev != device {
            continue;
        }
        let again = node.stat().st_nlink > 1
            && !node.is_folder()
            && !seen.insert((node.stat().st_dev, node.stat().st_ino));
        if !again {
            total += blocks(&node);
        }
        if node.is_folder() && levels.len() < DEEPEST {
            let names = node.names()?.into_iter();
            levels.push((node, names));
        }
    }
    Ok(Some(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_measured_once_and_can_be_given_up() {
        let base = tempfile::tempdir().unwrap();
        std::fs::create_dir(base.path().join("sub")).unwrap();
        std::fs::write(base.path().join("sub/a"), vec![1; 100_000]).unwrap();
        let alone = open_and_measure(base.path(), false).unwrap();
        std::fs::hard_link(base.path().join("sub/a"), base.path().join("b")).unwrap();
        assert_eq!(open_and_measure(base.path(), false), Some(alone), "a hard link takes nothing");
        assert!(alone >= 100_000);
        assert_eq!(open_and_measure(base.path(), true), None);
    }

    fn open_and_measure(path: &Path, stop: bool) -> Option<u64> {
        let fd = rustix::fs::open(path, OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
        measure(Node::from_fd(fd).unwrap(), &AtomicBool::new(stop)).unwrap()
    }
}
