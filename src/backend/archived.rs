//! Files of a container over the Engine API, which knows archives only: a folder comes with all that
//! is in it, so what is read of it is bounded, and what that leaves out is said.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::DateTime;
use wharf_model::{
    Change, ChangeKind, ErrorKind, FileChange, FileEntry, FileHead, FileKind, FolderList,
};

use crate::{Backend, BytesReader, Error, Result};

/// How much of an archive is read to list a folder, and for how long.
const MOST_BYTES: u64 = 256 << 20;
const MOST_TIME: Duration = Duration::from_secs(15);

/// A folder with more entries is shown as far as this.
const MOST_SHOWN: usize = 20_000;

fn inside(path: &Path) -> String {
    Path::new("/").join(path).to_string_lossy().into_owned()
}

/// Returns what is in a folder.
pub(crate) async fn list<B: Backend + ?Sized>(
    backend: &B,
    container: &str,
    path: &Path,
) -> Result<FolderList> {
    let mut path = path.to_owned();
    if !path.as_os_str().is_empty() {
        let stat = backend.archive_stat(container, &inside(&path)).await?;
        if stat.is_symlink() {
            path = stat.link_target.trim_start_matches('/').into();
        } else if !stat.is_dir() {
            let text = format!("container {container}: open {}: it is no folder", inside(&path));
            return Err(Error::new(ErrorKind::Invalid, text));
        }
    }
    let source = format!("{}/.", inside(&path).trim_end_matches('/'));
    let (_, stream) = backend.archive_get(container, &source).await?;
    let reader = BytesReader::new(stream);
    let read = tokio::task::spawn_blocking(move || entries(reader)).await;
    let (mut entries, complete) = match read {
        Ok(result) => result.map_err(|cause| broken(container, &path, &cause))?,
        Err(cause) => return Err(broken(container, &path, &io::Error::other(cause))),
    };
    // It stands in a row beside the folder's path.
    let mut unknown = "layers: not from this engine".to_owned();
    if !complete {
        unknown = "too much below it: not all was read".to_owned();
    }
    match backend.changes(container).await {
        Ok(changes) => mark(&path, &changes, &mut entries),
        Err(error) => unknown = format!("changes unknown: {}", error.message),
    }
    let rank = |entry: &FileEntry| entry.kind != FileKind::Folder;
    entries.sort_by(|a, b| (rank(a), &a.name).cmp(&(rank(b), &b.name)));
    Ok(FolderList { path, entries, unknown: Some(unknown), layers: None })
}

/// Returns the beginning of a file.
pub(crate) async fn head<B: Backend + ?Sized>(
    backend: &B,
    container: &str,
    path: &Path,
    most: usize,
) -> Result<FileHead> {
    let mut source = inside(path);
    let stat = backend.archive_stat(container, &source).await?;
    if stat.is_symlink() {
        source = stat.link_target;
    }
    let (_, stream) = backend.archive_get(container, &source).await?;
    let reader = BytesReader::new(stream);
    let read = tokio::task::spawn_blocking(move || {
        let mut archive = tar::Archive::new(reader);
        let mut entries = archive.entries()?;
        let entry = entries.next().ok_or(io::ErrorKind::UnexpectedEof)??;
        if !entry.header().entry_type().is_file() {
            return Err(io::Error::other("it is no plain file"));
        }
        let size = entry.size();
        let mut bytes = Vec::new();
        entry.take(most as u64).read_to_end(&mut bytes)?;
        Ok(FileHead { bytes, size })
    });
    match read.await {
        Ok(result) => result.map_err(|cause| broken(container, path, &cause)),
        Err(cause) => Err(broken(container, path, &io::Error::other(cause))),
    }
}

fn broken(container: &str, path: &Path, cause: &io::Error) -> Error {
    let text = format!("container {container}: open {}: {cause}", inside(path));
    Error::new(ErrorKind::Internal, text)
}

/// Reads the entries that lie in the archive's folder itself; returns whether these are all.
fn entries(reader: impl Read) -> io::Result<(Vec<FileEntry>, bool)> {
    let begun = Instant::now();
    let mut found: BTreeMap<OsString, FileEntry> = BTreeMap::new();
    let mut archive = tar::Archive::new(reader);
    let mut bytes = 0;
    for entry in archive.entries()? {
        let entry = entry?;
        bytes += entry.size() + 512;
        if bytes > MOST_BYTES || begun.elapsed() > MOST_TIME || found.len() == MOST_SHOWN {
            return Ok((found.into_values().collect(), false));
        }
        let path = PathBuf::from(OsString::from_vec(entry.path_bytes().into_owned()));
        let mut names = path.iter().filter(|name| name.as_bytes() != b".");
        let (Some(name), None) = (names.next(), names.next()) else { continue };
        let header = entry.header();
        let kind = match header.entry_type() {
            tar::EntryType::Directory => FileKind::Folder,
            tar::EntryType::Regular | tar::EntryType::Link => FileKind::File,
            tar::EntryType::Symlink => FileKind::Link,
            _ => FileKind::Other,
        };
        let target = entry.link_name_bytes().filter(|_| kind == FileKind::Link);
        let number = |value: io::Result<u64>| value.ok().and_then(|n| u32::try_from(n).ok());
        let seconds = header.mtime().ok().and_then(|time| i64::try_from(time).ok());
        let shown = FileEntry {
            name: name.to_owned(),
            kind,
            size: entry.size(),
            mode: header.mode().unwrap_or_default() & 0o7777,
            uid: number(header.uid()).unwrap_or_default(),
            gid: number(header.gid()).unwrap_or_default(),
            modified: seconds.and_then(|time| DateTime::from_timestamp(time, 0)),
            target: target.map(|target| OsString::from_vec(target.into_owned())),
            change: None,
            layer: None,
        };
        found.insert(name.to_owned(), shown);
    }
    Ok((found.into_values().collect(), true))
}

/// Notes what the container changed in a folder.
fn mark(path: &Path, changes: &[Change], entries: &mut Vec<FileEntry>) {
    for change in changes {
        let changed = Path::new(change.path.trim_start_matches('/'));
        let (Some(parent), Some(name)) = (changed.parent(), changed.file_name()) else { continue };
        if parent != path {
            continue;
        }
        let mark = Some(FileChange { kind: change.kind, before: None });
        match entries.iter_mut().find(|entry| entry.name == name) {
            Some(entry) => entry.change = mark,
            None if change.kind == ChangeKind::Deleted => entries.push(FileEntry {
                name: name.to_owned(),
                kind: FileKind::File,
                size: 0,
                mode: 0,
                uid: 0,
                gid: 0,
                modified: None,
                target: None,
                change: mark,
                layer: None,
            }),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_listed_from_its_archive_and_marked() {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, kind) in [
            ("./", tar::EntryType::Directory),
            ("./conf.d/", tar::EntryType::Directory),
            ("./conf.d/deep", tar::EntryType::Regular),
            ("./hosts", tar::EntryType::Regular),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(if path.ends_with("hosts") { 3 } else { 0 });
            header.set_mode(0o755);
            let data: &[u8] = if path.ends_with("hosts") { b"abc" } else { b"" };
            builder.append_data(&mut header, path, data).unwrap();
        }
        let (mut list, complete) = entries(builder.into_inner().unwrap().as_slice()).unwrap();
        assert!(complete);
        let change = |kind, path: &str| Change { kind, path: path.to_owned() };
        let changes = [
            change(ChangeKind::Modified, "/etc"),
            change(ChangeKind::Modified, "/etc/hosts"),
            change(ChangeKind::Deleted, "/etc/passwd"),
            change(ChangeKind::Added, "/etc/conf.d/deep"),
        ];
        mark(Path::new("etc"), &changes, &mut list);
        let shown: Vec<_> = list
            .iter()
            .map(|e| (e.name.to_str().unwrap(), e.kind, e.change.map(|c| c.kind)))
            .collect();
        assert_eq!(
            shown,
            [
                ("conf.d", FileKind::Folder, None),
                ("hosts", FileKind::File, Some(ChangeKind::Modified)),
                ("passwd", FileKind::File, Some(ChangeKind::Deleted)),
            ]
        );
    }
}
