//! A container's folders: the one that lasts, and the one of its sockets and locks.
//!
//! A container's folders are made before its row and go after it, under a note in the journal, so that
//! no folder is ever without a row or that note. A row whose folders somebody has removed is a container
//! all the same: `start` makes what isn't there.

use std::fs::DirBuilder;
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use wharf_model::ContainerId;

use crate::image::Images;
use crate::init::mounts::Layers;
use crate::state::{Record, Store};
use crate::{Error, Paths, Result};

/// Makes the folders that a container's root filesystem is made of, where they are missing.
pub(crate) fn make(paths: &Paths, id: &ContainerId) -> Result<()> {
    let folder = paths.container(id);
    let make = |path: &Path, mode: u32| match DirBuilder::new().mode(mode).create(path) {
        Err(cause) if cause.kind() != ErrorKind::AlreadyExists => {
            Err(Error::failed(format_args!("make {}", path.display()), cause))
        }
        _ => Ok(()),
    };
    // Set-user-id programs that the container writes must not be within reach of the host's users.
    make(&folder, 0o700)?;
    for (name, mode) in [("upper", 0o755), ("work", 0o700), ("merged", 0o700)] {
        make(&folder.join(name), mode)?;
    }
    Ok(())
}

/// Returns the folders that a container's root filesystem is made of.
pub(crate) fn layers(paths: &Paths, store: &mut Store, record: &Record) -> Result<Layers> {
    let folder = paths.container(&record.id);
    Ok(Layers {
        lower_dirs: Images::new(store, paths).lower_dirs(&record.image)?,
        upper_dir: folder.join("upper"),
        work_dir: folder.join("work"),
        merged_dir: folder.join("merged"),
    })
}

/// Removes what a container wrote, before its row: for want of room to write that down.
pub(crate) fn empty(paths: &Paths, id: &ContainerId) -> Result<()> {
    let folder = paths.container(id);
    remove_all(&folder)
        .map_err(|cause| Error::failed(format_args!("remove {}", folder.display()), cause))
}

/// Removes the folders of a container whose row is gone, and their note in the journal.
pub(crate) fn remove(paths: &Paths, store: &Store, id: &ContainerId) -> Result<()> {
    let remove = |folder: &Path| {
        remove_all(folder)
            .map_err(|cause| Error::failed(format_args!("remove {}", folder.display()), cause))
    };
    remove(&paths.container(id))?;
    store.settle("folder", id.as_str())?;
    // Last, since the locks are in it: who makes new ones must find that all is done.
    remove(&paths.container_run(id))
}

/// Removes a folder with all in it. Somebody who looked the container up before its row went may
/// still put a lock there, once.
fn remove_all(folder: &Path) -> io::Result<()> {
    const ATTEMPTS: usize = 100;
    let mut attempt = 0;
    loop {
        attempt += 1;
        match std::fs::remove_dir_all(folder) {
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(()),
            Err(cause) if cause.kind() == ErrorKind::DirectoryNotEmpty && attempt < ATTEMPTS => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn folders_are_private_made_again_and_removed_once() {
        let base = tempfile::tempdir().unwrap();
        let paths = Paths::new(base.path(), base.path().join("run"));
        let store = Store::open(&paths.database()).unwrap();
        let id = ContainerId::from_bytes([7; 32]);
        std::fs::create_dir(base.path().join("containers")).unwrap();
        make(&paths, &id).unwrap();
        make(&paths, &id).unwrap();
        let mode = paths.container(&id).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        store.journal("folder", id.as_str(), &id).unwrap();
        remove(&paths, &store, &id).unwrap();
        remove(&paths, &store, &id).unwrap();
        assert!(!paths.container(&id).exists());
        assert!(store.journalled().unwrap().is_empty());
    }
}
