//! Folders for half-made things: each process has its own below `tmp`, holds a lock while it uses
//! it, and a [`sweep`] removes those that nobody holds any more.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use wharf_model::Digest;

use crate::{Error, Paths, Result};

/// Only folders with this prefix are this module's.
const PREFIX: &str = "image-";
const LOCK: &str = "lock";

/// A folder that is removed with all in it when dropped.
pub(super) struct Staging {
    path: PathBuf,
    _lock: File,
}

impl Staging {
    /// Makes a new folder on the filesystem of the layers.
    pub(super) fn new(paths: &Paths) -> Result<Self> {
        make_private(&paths.temporary())?;
        make_private(&paths.layers())?;
        let gate = gate(paths)?;
        gate.lock_shared().map_err(|e| Error::failed("lock the temporary folder", e))?;
        let mut random = [0; 8];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
            .map_err(|e| Error::failed("get random bytes", e))?;
        let name = format!("{PREFIX}{:016x}", u64::from_ne_bytes(random));
        let path = paths.temporary().join(name);
        let failed = |e| Error::failed(format!("create {}", path.display()), e);
        DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
        let lock = File::create_new(path.join(LOCK)).map_err(failed)?;
        lock.lock().map_err(failed)?;
        Ok(Self { path, _lock: lock })
    }

    /// Returns a path in the folder.
    pub(super) fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Returns where a layer is unpacked.
    pub(super) fn layer(&self, chain_id: &Digest) -> PathBuf {
        self.join(format!("layer-{}", chain_id.hex()))
    }

    /// Makes a folder in it.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        std::fs::create_dir(&path)
            .map_err(|e| Error::failed(format!("create {}", path.display()), e))?;
        Ok(path)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What can't be removed now, the next sweep removes.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Removes the folders that processes left when they were killed.
pub(super) fn sweep(paths: &Paths) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(paths.temporary()) else {
        return Ok(());
    };
    let mut dead = Vec::new();
    {
        // Nobody is between making a folder and locking it while this is held.
        let gate = gate(paths)?;
        gate.lock().map_err(|e| Error::failed("lock the temporary folder", e))?;
        for entry in entries.flatten() {
            if !entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
                continue;
            }
            let path = entry.path();
            match File::open(path.join(LOCK)) {
                Ok(lock) => match lock.try_lock() {
                    Ok(()) => dead.push((path, Some(lock))),
                    Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
                },
                Err(_) => dead.push((path, None)),
            }
        }
    }
    for (path, _lock) in dead {
        match std::fs::remove_dir_all(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::failed(format!("remove {}", path.display()), e));
            }
            _ => {}
        }
    }
    Ok(())
}

fn gate(paths: &Paths) -> Result<File> {
    let path = paths.temporary().join(".lock");
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(|e| Error::failed(format!("open {}", path.display()), e))
}

/// Set-user-id programs of images must not be within reach of the host's users.
fn make_private(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|e| Error::failed(format!("create {}", path.display()), e))
}
