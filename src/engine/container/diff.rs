//! What a container changed: its upper folder against its image.
//!
//! Only the upper folder is walked, so the work is proportional to what changed, and the image is
//! asked name by name. `diff` lists what the walk finds, `commit` packs it.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, Stat};
use rustix::io::Errno;
use wharf_model::{Change, ChangeKind};

use super::view::Lower;
use crate::engine::Engine;
use crate::image::tree::Node;
use crate::init::mounts::Layers;
use crate::{Error, Result, folder};

/// Told of what differs, folders before what is in them. Folders that are as they were come too,
/// when something in them isn't.
pub(crate) trait Visitor {
    /// Something differs; `node` is what is there now, none for what is gone. Without a kind it is as
    /// it was, as far as docker's `diff` looks.
    fn visit(
        &mut self,
        kind: Option<ChangeKind>,
        path: &[u8],
        node: Option<&Node>,
    ) -> io::Result<()>;
}

/// How much is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// What docker's `diff` looks at.
    Shown,
    /// All attributes.
    Exact,
}

/// A folder that is being walked.
struct Level {
    upper: Node,
    /// The same folder in the image.
    lower: Option<Node>,
    /// Whether nothing of the image's folder shows through.
    is_opaque: bool,
    names: std::vec::IntoIter<Vec<u8>>,
    /// How much of the path is this folder's.
    path: usize,
    /// What to say of the folder before something in it is told; none once it is said.
    pending: Option<ChangeKind>,
}

/// Folders that the engine makes in a root filesystem to mount on, and files.
const FOLDERS: [&[u8]; 3] = [b"dev", b"proc", b"sys"];
const FILES: [&[u8]; 3] = [b"etc/hosts", b"etc/hostname", b"etc/resolv.conf"];

/// Walks an upper folder.
pub(crate) fn walk(layers: &Layers, depth: Depth, visitor: &mut dyn Visitor) -> Result<()> {
    let lower = Lower::open(layers)?;
    let failed = |cause: io::Error| {
        Error::failed(format_args!("read {}", layers.upper_dir.display()), cause)
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let upper = match rustix::fs::open(&layers.upper_dir, flags, Mode::empty()) {
        Ok(upper) => upper,
        // Lost: nothing that could differ.
        Err(Errno::NOENT) => return Ok(()),
        Err(cause) => return Err(failed(cause.into())),
    };
    let root = match &lower.root {
        Some(fd) => Some(fd.try_clone().map_err(failed)?),
        None => None,
    };
    walk_folders(upper, root, depth, visitor).map_err(failed)
}

fn walk_folders(
    upper: OwnedFd,
    lower: Option<OwnedFd>,
    depth: Depth,
    visitor: &mut dyn Visitor,
) -> io::Result<()> {
    let upper = Node::from_fd(upper)?;
    let lower = lower.map(Node::from_fd).transpose()?;
    let mut levels = vec![Level::new(upper, lower, false, 0, None)?];
    let mut path: Vec<u8> = Vec::new();
    while let Some(top) = levels.last_mut() {
        path.truncate(top.path);
        let Some(name) = top.names.next() else {
            levels.pop();
            continue;
        };
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(&name);
        let before = top.lower_node(&name)?;
        let now = match Node::open(top.upper.fd(), &name) {
            Ok(node) => Some(node).filter(|node| !node.is_whiteout()),
            Err(Errno::NOENT) => None,
            Err(cause) => return Err(cause.into()),
        };
        let Some(now) = now else {
            if before.is_some() {
                tell_above(&mut levels, &path, visitor)?;
                visitor.visit(Some(ChangeKind::Deleted), &path, None)?;
            }
            continue;
        };
        if before.is_none() && is_placeholder(&path, &now)? {
            continue;
        }
        let kind = match &before {
            None => Some(ChangeKind::Added),
            Some(before) if differs(before, &now, depth)? => Some(ChangeKind::Modified),
            Some(_) => None,
        };
        // The engine's own files alone don't make a folder of the container's.
        let waits = now.is_folder() && (kind.is_none() || before.is_none() && path == b"etc");
        if !waits && (kind.is_some() || depth == Depth::Exact) {
            tell_above(&mut levels, &path, visitor)?;
            visitor.visit(kind, &path, Some(&now))?;
        }
        if now.is_folder() {
            let inherited = levels.last().is_some_and(|top| top.is_opaque);
            let lower = before.filter(Node::is_folder);
            let pending = waits.then(|| kind.unwrap_or(ChangeKind::Modified));
            levels.push(Level::new(now, lower, inherited, path.len(), pending)?);
        }
    }
    Ok(())
}

/// Tells of the folders that something lies in, as far as it isn't told yet.
fn tell_above(levels: &mut [Level], path: &[u8], visitor: &mut dyn Visitor) -> io::Result<()> {
    for level in levels {
        if let Some(kind) = level.pending.take() {
            visitor.visit(Some(kind), &path[..level.path], Some(&level.upper))?;
        }
    }
    Ok(())
}

impl Level {
    fn new(
        upper: Node,
        lower: Option<Node>,
        inherited: bool,
        path: usize,
        pending: Option<ChangeKind>,
    ) -> io::Result<Self> {
        let opaque = upper.xattr("trusted.overlay.opaque").is_some_and(|value| value == b"y");
        let is_opaque = inherited || opaque;
        let mut names = upper.names()?;
        if let Some(lower) = lower.as_ref().filter(|_| is_opaque) {
            names.extend(lower.names()?);
            names.sort_unstable();
            names.dedup();
        }
        Ok(Self { upper, lower, is_opaque, names: names.into_iter(), path, pending })
    }

    /// Opens what the image has under a name of this folder.
    fn lower_node(&self, name: &[u8]) -> io::Result<Option<Node>> {
        let Some(lower) = &self.lower else { return Ok(None) };
        match Node::open(lower.fd(), name) {
            Ok(node) => Ok(Some(node).filter(|node| !node.is_whiteout())),
            Err(Errno::NOENT) => Ok(None),
            Err(cause) => Err(cause.into()),
        }
    }
}

/// Returns whether something was made by the engine only to mount on it.
pub(super) fn is_placeholder(path: &[u8], node: &Node) -> io::Result<bool> {
    if FOLDERS.contains(&path) {
        return Ok(node.is_folder() && node.names()?.is_empty());
    }
    Ok(FILES.contains(&path)
        && node.file_type() == rustix::fs::FileType::RegularFile
        && node.stat().st_size == 0)
}

/// Compares as docker does: of folders neither size nor time, of files no content, since a change of
/// that changes the time.
pub(super) fn differs(before: &Node, now: &Node, depth: Depth) -> io::Result<bool> {
    let (a, b) = (before.stat(), now.stat());
    if (a.st_mode, a.st_uid, a.st_gid, a.st_rdev) != (b.st_mode, b.st_uid, b.st_gid, b.st_rdev) {
        return Ok(true);
    }
    if !now.is_folder() && (a.st_size != b.st_size || !same_time(a, b)) {
        return Ok(true);
    }
    if depth == Depth::Exact {
        return Ok(before.xattrs()? != now.xattrs()?);
    }
    let capability = "security.capability";
    Ok(before.xattr(capability) != now.xattr(capability))
}

/// An archive may have lost the fraction of a second.
fn same_time(a: &Stat, b: &Stat) -> bool {
    a.st_mtime == b.st_mtime
        && (a.st_mtime_nsec == b.st_mtime_nsec || a.st_mtime_nsec == 0 || b.st_mtime_nsec == 0)
}

#[derive(Default)]
struct List(Vec<Change>);

impl Visitor for List {
    fn visit(
        &mut self,
        kind: Option<ChangeKind>,
        path: &[u8],
        _node: Option<&Node>,
    ) -> io::Result<()> {
        if let Some(kind) = kind {
            self.0.push(Change { kind, path: format!("/{}", String::from_utf8_lossy(path)) });
        }
        Ok(())
    }
}

impl Engine {
    /// Returns what a container changed, in the order of the paths.
    ///
    /// # Errors
    /// When there is no such container.
    pub fn changes(&self, container: &str) -> Result<Vec<Change>> {
        let layers = self.with_store(|store| {
            let record = store.container(container)?;
            folder::layers(self.paths(), store, &record)
        })?;
        let mut list = List::default();
        walk(&layers, Depth::Shown, &mut list)?;
        Ok(list.0)
    }
}
