//! `cp` and `export`: files of a container as archives, in the terms of docker's Engine API.

use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use chrono::{DateTime, Utc};
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;
use wharf_model::{ErrorKind, PathStat};

use super::view::{Mounts, View};
use crate::engine::Engine;
use crate::image::pack::Packer;
use crate::image::tree::Node;
use crate::image::unpack::{Components, Options, Owner, clean, unpack_into};
use crate::init::rootfs::Root;
use crate::userns::trees::as_root_inside;
use crate::{Error, Result};

/// A path as docker understands it: from the root, cleaned by its text alone, and what its end says.
struct Wanted {
    /// Its names.
    names: Components,
    /// How it ends.
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// In a name, which isn't followed if it is a link's.
    Name,
    /// In a slash: a folder.
    Slash,
    /// In `/.`: what is in a folder.
    Dot,
}

impl Wanted {
    fn new(path: &str) -> Self {
        let mut names: Components = Vec::new();
        for part in path.as_bytes().split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    names.pop();
                }
                name => names.push(name.to_vec()),
            }
        }
        let end = match path {
            _ if path.ends_with("/.") || path == "." => End::Dot,
            _ if path.ends_with('/') || names.is_empty() => End::Slash,
            _ => End::Name,
        };
        Self { names, end }
    }

    /// Returns the path as text.
    fn text(&self) -> Vec<u8> {
        [b"/".as_slice(), &self.names.join(&b'/')].concat()
    }

    /// Returns the name that answers and archives begin with.
    fn name(&self) -> Vec<u8> {
        match (self.end, self.names.last()) {
            (End::Dot, _) => b".".to_vec(),
            (_, None) => b"/".to_vec(),
            (_, Some(name)) => name.clone(),
        }
    }
}

/// Files of a container that are to be read.
pub struct Source {
    view: View,
    node: Node,
    name: Vec<u8>,
    stat: PathStat,
}

impl Source {
    /// Returns what the path leads to.
    pub fn stat(&self) -> &PathStat {
        &self.stat
    }

    /// Writes it, with all that is in it, as a tar.
    ///
    /// # Errors
    /// When a file can't be read, or `to` refuses.
    pub fn write(self, to: impl Write) -> io::Result<()> {
        let mut packer = Packer::new(to).with_holes().seen_by(self.view.owners.clone());
        packer.tree(self.node, &self.name)?;
        packer.finish()?;
        drop(self.view);
        Ok(())
    }
}

/// A root filesystem that is to be read.
pub struct Export {
    view: View,
}

impl Export {
    /// Writes it as a tar.
    ///
    /// # Errors
    /// As for [`Source::write`].
    pub fn write(self, to: impl Write) -> io::Result<()> {
        let mut packer = Packer::new(to).seen_by(self.view.owners.clone());
        let root = self.view.root.folder().try_clone_to_owned()?;
        packer.tree(Node::from_fd(root)?, b"")?;
        packer.finish()?;
        Ok(())
    }
}

/// How to take in an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PutOptions {
    /// Whether a folder may not become something else, nor something else a folder.
    pub keeps_folders: bool,
}

/// Returns docker's error for a path that isn't there.
fn not_found(path: &str, container: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("Could not find the file {path} in container {container}"),
    )
}

impl Engine {
    /// Returns what a path in a container leads to; of a symbolic link, the link itself.
    ///
    /// # Errors
    /// Of kind `NotFound` when there is no such container or path.
    pub fn archive_stat(&self, container: &str, path: &str) -> Result<PathStat> {
        Ok(self.source(container, path)?.1.stat)
    }

    /// Opens files of a container for reading.
    ///
    /// # Errors
    /// As for [`Engine::archive_stat`].
    pub fn archive_get(&self, container: &str, path: &str) -> Result<Source> {
        let (record, source) = self.source(container, path)?;
        self.with_store(|store| store.add_container_event(&record, "archive-path", &[]))?;
        Ok(source)
    }

    fn source(&self, container: &str, path: &str) -> Result<(crate::state::Record, Source)> {
        let (record, view) = self.with_store(|store| self.view(store, container, Mounts::Seen))?;
        let wanted = Wanted::new(path);
        let failed = |cause: Errno| match cause {
            Errno::NOENT => not_found(path, container),
            Errno::NOTDIR => Error::failed(format_args!("lstat {path}"), "not a directory"),
            cause => Error::failed(format_args!("lstat {path}"), io::Error::from(cause)),
        };
        let node = find(&view.root, &wanted).map_err(failed)?;
        let stat = describe(&view.root, &wanted, &node);
        Ok((record, Source { view, node, name: wanted.name(), stat }))
    }

    /// Unpacks a tar in a folder of a container.
    ///
    /// # Errors
    /// Of kind `NotFound` when there is no such container or folder, `Invalid` when it is no folder
    /// or may not be written to.
    pub fn archive_put(
        &self,
        container: &str,
        path: &str,
        mut archive: impl Read,
        options: PutOptions,
    ) -> Result<()> {
        let (record, view) = self.with_store(|store| self.view(store, container, Mounts::Seen))?;
        let wanted = Wanted::new(path);
        let text = wanted.text();
        let target = view.root.path(Path::new(std::ffi::OsStr::from_bytes(&text)), OFlags::PATH);
        let target = target.map_err(|cause| match cause {
            Errno::NOENT => not_found(path, container),
            cause => Error::failed(path, io::Error::from(cause)),
        })?;
        let stat = rustix::fs::fstat(&target).map_err(|cause| Error::failed(path, cause))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Err(Error::new(ErrorKind::Invalid, "extraction point is not a directory"));
        }
        view.check_writable(&target)?;
        let failed = |cause: io::Error| {
            let kind = match cause.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => ErrorKind::Invalid,
                _ => ErrorKind::Internal,
            };
            Error::new(kind, cause.to_string())
        };
        let root = view.root.folder().try_clone_to_owned().map_err(failed)?;
        let options = Options {
            keeps_folders: options.keeps_folders,
            owner: Owner::Kept,
            base: clean(&text).map_err(failed)?,
            shown: text,
            owners: view.owners.as_ref(),
            ..Options::default()
        };
        let unpack = || unpack_into(&mut archive, root, options).map_err(failed);
        match view.owners.as_ref().and_then(|owners| owners.outside((0, 0))) {
            Some(inside) => as_root_inside(inside, unpack)??,
            None => unpack()?,
        };
        // Whoever writes the archive has a right to write all of it.
        io::copy(&mut archive, &mut io::sink()).map_err(failed)?;
        self.with_store(|store| store.add_container_event(&record, "extract-to-dir", &[]))
    }

    /// Opens a container's root filesystem, without what is mounted in it, for reading.
    ///
    /// # Errors
    /// When there is no such container.
    pub fn export(&self, container: &str) -> Result<Export> {
        self.with_store(|store| {
            let (record, view) = self.view(store, container, Mounts::LeftOut)?;
            store.add_container_event(&record, "export", &[])?;
            Ok(Export { view })
        })
    }
}

/// Opens what a path leads to: a link at its end isn't followed, unless a slash comes after it.
fn find(root: &Root, wanted: &Wanted) -> rustix::io::Result<Node> {
    let path = wanted.text();
    let path = Path::new(std::ffi::OsStr::from_bytes(&path));
    match (wanted.end, path.parent(), path.file_name()) {
        (End::Name, Some(parent), Some(name)) => {
            let folder = root.path(parent, OFlags::PATH | OFlags::DIRECTORY)?;
            Node::open(folder, name.as_bytes())
        }
        _ => Node::from_fd(root.path(path, OFlags::PATH | OFlags::DIRECTORY)?),
    }
}

fn describe(root: &Root, wanted: &Wanted, node: &Node) -> PathStat {
    let stat = node.stat();
    let link_target = match node.file_type() {
        FileType::Symlink => evaluate(root, &wanted.names),
        _ => Vec::new(),
    };
    let nanos = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
    PathStat {
        name: String::from_utf8_lossy(&wanted.name()).into_owned(),
        size: stat.st_size,
        mode: PathStat::mode_of(stat.st_mode),
        mtime: DateTime::<Utc>::from_timestamp(stat.st_mtime, nanos).unwrap_or_default(),
        link_target: String::from_utf8_lossy(&link_target).into_owned(),
    }
}

/// Returns where a path leads once all links in it are followed, whether or not that is there. Only
/// told to the caller, who comes back with it as with any other path.
fn evaluate(root: &Root, names: &[Vec<u8>]) -> Vec<u8> {
    /// As many as the kernel follows.
    const MOST_LINKS: usize = 40;
    let mut left: Vec<Vec<u8>> = names.iter().rev().cloned().collect();
    let mut done: Components = Vec::new();
    let mut links = 0;
    while let Some(name) = left.pop() {
        match name.as_slice() {
            b"" | b"." => continue,
            b".." => {
                done.pop();
                continue;
            }
            _ => {}
        }
        let above = [b"/".as_slice(), &done.join(&b'/')].concat();
        let folder = root.path(Path::new(std::ffi::OsStr::from_bytes(&above)), OFlags::PATH);
        let link = folder
            .and_then(|folder| Node::open(folder, &name))
            .ok()
            .filter(|node| node.file_type() == FileType::Symlink)
            .and_then(|node| node.link().ok());
        match link {
            Some(link) if links < MOST_LINKS => {
                links += 1;
                if link.starts_with(b"/") {
                    done.clear();
                }
                left.extend(link.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec));
            }
            _ => done.push(name),
        }
    }
    [b"/".as_slice(), &done.join(&b'/')].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn paths_are_cleaned_by_their_text_and_keep_their_end() {
        for (path, text, name, end) in [
            ("a/b", "/a/b", "b", End::Name),
            ("/a/b/", "/a/b", "b", End::Slash),
            ("/a/b/.", "/a/b", ".", End::Dot),
            ("/", "/", "/", End::Slash),
            ("", "/", "/", End::Slash),
            (".", "/", ".", End::Dot),
            ("../../etc//passwd", "/etc/passwd", "passwd", End::Name),
            ("/a/../..", "/", "/", End::Slash),
        ] {
            let wanted = Wanted::new(path);
            assert_eq!(wanted.text(), text.as_bytes(), "{path}");
            assert_eq!(wanted.name(), name.as_bytes(), "{path}");
            assert!(wanted.end == end, "{path}");
        }
    }

    #[test]
    fn links_are_evaluated_within_the_root() {
        let base = tempfile::tempdir().unwrap();
        let root = Root::open(base.path()).unwrap();
        std::fs::create_dir_all(base.path().join("a/b")).unwrap();
        symlink("../../../../a", base.path().join("a/up")).unwrap();
        symlink("/a/up/b", base.path().join("abs")).unwrap();
        symlink("missing/x", base.path().join("dangling")).unwrap();
        symlink("loop", base.path().join("loop")).unwrap();
        let at = |path: &str| String::from_utf8(evaluate(&root, &Wanted::new(path).names)).unwrap();
        assert_eq!(at("a/up/b"), "/a/b");
        assert_eq!(at("abs/x"), "/a/b/x");
        assert_eq!(at("dangling"), "/missing/x");
        assert_eq!(at("loop"), "/loop");
    }
}
