//! The files of a volume, read where the engine says they are.
//!
//! A volume's content is its containers': every path is resolved by `openat2` with
//! `RESOLVE_BENEATH`, so that no link in it leads out, and only plain files are ever opened:
//! opening a device or a pipe may do something.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use chrono::DateTime;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use wharf_model::{ErrorKind, FileEntry, FileHead, FileKind, VolumeInfo};

use crate::{Error, Result};

/// A folder with more entries is shown as far as this.
const MOST: usize = 20_000;

/// Returns what is in a folder of a volume, folders first, by name.
pub(crate) async fn list(volume: VolumeInfo, path: PathBuf) -> Result<Vec<FileEntry>> {
    blocking(volume, path, entries).await
}

/// Returns the beginning of a file.
pub(crate) async fn head(volume: VolumeInfo, path: PathBuf, most: usize) -> Result<FileHead> {
    blocking(volume, path, move |root, path| beginning(root, path, most)).await
}

async fn blocking<T: Send + 'static>(
    volume: VolumeInfo,
    path: PathBuf,
    work: impl FnOnce(&Path, &Path) -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(move || {
        work(Path::new(&volume.mountpoint), &path).map_err(|cause| failed(&volume, &path, &cause))
    });
    match done.await {
        Ok(result) => result,
        Err(cause) => Err(Error::new(ErrorKind::Internal, format!("volume files: {cause}"))),
    }
}

fn failed(volume: &VolumeInfo, path: &Path, cause: &io::Error) -> Error {
    let name = &volume.name;
    if path.as_os_str().is_empty() && cause.kind() == io::ErrorKind::NotFound {
        let text = format!(
            "volume {name}: there is no {} on this host: its engine may be on another, or mount it \
             only while it is used",
            volume.mountpoint
        );
        return Error::new(ErrorKind::Unavailable, text);
    }
    let path = path.display();
    // The kernel's answer to a path that would lead out.
    if cause.raw_os_error() == Some(Errno::XDEV.raw_os_error()) {
        let text = format!("volume {name}: {path} leads out of the volume");
        return Error::new(ErrorKind::Denied, text);
    }
    let kind = match cause.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied => ErrorKind::Denied,
        _ => ErrorKind::Internal,
    };
    Error::new(kind, format!("volume {name}: open /{path}: {cause}"))
}

fn open(root: &Path, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC;
    let top = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(root, top, Mode::empty())?;
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rustix::fs::openat2(&root, path, flags, Mode::empty(), resolve) {
            // Something was renamed meanwhile: the kernel asks for another try.
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

fn entries(root: &Path, path: &Path) -> io::Result<Vec<FileEntry>> {
    let folder = open(root, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK)?;
    let mut list = Vec::new();
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let found = match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => found,
            // It was removed meanwhile.
            Err(Errno::NOENT) => continue,
            Err(cause) => return Err(cause.into()),
        };
        let kind = match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => FileKind::Folder,
            FileType::RegularFile => FileKind::File,
            FileType::Symlink => FileKind::Link,
            _ => FileKind::Other,
        };
        let target = match kind {
            FileKind::Link => rustix::fs::readlinkat(&folder, name, Vec::new()).ok(),
            _ => None,
        };
        let text = |bytes: &[u8]| std::ffi::OsStr::from_bytes(bytes).to_owned();
        list.push(FileEntry {
            name: text(name.to_bytes()),
            kind,
            size: u64::try_from(found.st_size).unwrap_or_default(),
            mode: found.st_mode & 0o7777,
            uid: found.st_uid,
            gid: found.st_gid,
            modified: DateTime::from_timestamp(found.st_mtime, 0),
            target: target.map(|target| std::ffi::OsString::from_vec(target.into_bytes())),
            change: None,
            layer: None,
        });
        if list.len() == MOST {
            break;
        }
    }
    let rank = |entry: &FileEntry| entry.kind != FileKind::Folder;
    list.sort_by(|a, b| (rank(a), &a.name).cmp(&(rank(b), &b.name)));
    Ok(list)
}

fn beginning(root: &Path, path: &Path, most: usize) -> io::Result<FileHead> {
    let found = open(root, path, OFlags::PATH)?;
    let stat = rustix::fs::fstat(&found)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(io::Error::other("it is no plain file"));
    }
    // The same file, whatever stands under its name now.
    let file = File::open(format!("/proc/self/fd/{}", found.as_raw_fd()))?;
    let mut bytes = Vec::new();
    file.take(most as u64).read_to_end(&mut bytes)?;
    Ok(FileHead { bytes, size: u64::try_from(stat.st_size).unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::symlink;

    use super::*;

    fn volume(mountpoint: &Path) -> VolumeInfo {
        VolumeInfo {
            name: "data".to_owned(),
            driver: "local".to_owned(),
            mountpoint: mountpoint.to_str().unwrap().to_owned(),
            created: None,
            labels: BTreeMap::new(),
            options: BTreeMap::new(),
            scope: "local".to_owned(),
            anonymous: false,
            users: Vec::new(),
            size: None,
        }
    }

    #[tokio::test]
    async fn no_link_leads_out_and_nothing_but_files_is_opened() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("data");
        std::fs::create_dir_all(root.join("sub/deep")).unwrap();
        std::fs::write(root.join("sub/notes"), "one\ntwo\n").unwrap();
        std::fs::write(place.path().join("secret"), "out of reach").unwrap();
        symlink("../secret", root.join("up")).unwrap();
        symlink(place.path().join("secret"), root.join("absolute")).unwrap();
        symlink("sub/notes", root.join("inside")).unwrap();
        symlink("..", root.join("parent")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, root.join("pipe"), Mode::from_raw_mode(0o600))
            .unwrap();
        let volume = volume(&root);
        let names = |list: &[FileEntry]| {
            list.iter().map(|e| (e.name.to_str().unwrap().to_owned(), e.kind)).collect::<Vec<_>>()
        };
        let top = list(volume.clone(), PathBuf::new()).await.unwrap();
        assert_eq!(
            names(&top),
            [
                ("sub".to_owned(), FileKind::Folder),
                ("absolute".to_owned(), FileKind::Link),
                ("inside".to_owned(), FileKind::Link),
                ("parent".to_owned(), FileKind::Link),
                ("pipe".to_owned(), FileKind::Other),
                ("up".to_owned(), FileKind::Link),
            ]
        );
        assert_eq!(top[2].target.as_deref(), Some("sub/notes".as_ref()));
        let read = async |path: &str| head(volume.clone(), path.into(), 5).await;
        let notes = FileHead { bytes: b"one\nt".to_vec(), size: 8 };
        assert_eq!(read("sub/notes").await.unwrap(), notes);
        assert_eq!(read("inside").await.unwrap(), notes);
        for path in ["up", "absolute", "../secret", "sub/../../secret"] {
            let error = read(path).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Denied, "{path}: {error}");
        }
        let error = list(volume.clone(), "parent".into()).await.unwrap_err();
        assert!(error.message.contains("parent leads out of the volume"), "{error}");
        assert!(read("pipe").await.unwrap_err().message.contains("no plain file"));
        assert!(read("sub").await.unwrap_err().message.contains("no plain file"));
        assert_eq!(read("missing").await.unwrap_err().kind, ErrorKind::NotFound);
        let gone = super::tests::volume(&place.path().join("gone"));
        assert_eq!(list(gone, PathBuf::new()).await.unwrap_err().kind, ErrorKind::Unavailable);
    }
}
