//! Folders for half-made things: each process has its own below `tmp`, holds a lock on it until it
//! is removed, and a [`sweep`] removes those that nobody holds any more.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use wharf_model::Digest;

use crate::{Error, Paths, Result};

/// Only folders with this prefix are this module's.
const PREFIX: &str = "image-";

/// A folder that is removed with all in it when dropped.
#[derive(Debug)]
pub(crate) struct Staging {
    path: PathBuf,
    _lock: File,
}

impl Staging {
    /// Makes a new folder on the filesystem of the layers.
    pub(crate) fn new(paths: &Paths) -> Result<Self> {
        make_private(&paths.temporary())?;
        make_private(&paths.layers())?;
        make_private(&paths.blobs())?;
        let gate = gate(paths)?;
        gate.lock_shared().map_err(|e| Error::failed("lock the temporary folder", e))?;
        let mut random = [0; 8];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
            .map_err(|e| Error::failed("get random bytes", e))?;
        let name = format!("{PREFIX}{:016x}", u64::from_ne_bytes(random));
        let path = paths.temporary().join(name);
        let failed = |e| Error::failed(format!("create {}", path.display()), e);
        DirBuilder::new().mode(0o700).create(&path).map_err(failed)?;
        let lock = File::open(&path).map_err(failed)?;
        lock.lock().map_err(failed)?;
        Ok(Self { path, _lock: lock })
    }

    /// Returns a path in the folder.
    pub(crate) fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Returns where a layer is unpacked.
    pub(crate) fn layer(&self, chain_id: &Digest) -> PathBuf {
        self.join(format!("layer-{}", chain_id.hex()))
    }

    /// Returns where the frame of a layer is written.
    pub(crate) fn frame(&self, chain_id: &Digest) -> PathBuf {
        self.join(format!("frame-{}", chain_id.hex()))
    }

    /// Makes a folder in it.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
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

/// Returns the folders that processes left when they were killed, with a lock on each that keeps
/// others from removing it too.
pub(crate) fn dead(paths: &Paths) -> Result<Vec<(PathBuf, File)>> {
    let mut dead = Vec::new();
    let Ok(entries) = std::fs::read_dir(paths.temporary()) else {
        return Ok(dead);
    };
    // Nobody is between making a folder and locking it while this is held.
    let gate = gate(paths)?;
    gate.lock().map_err(|e| Error::failed("lock the temporary folder", e))?;
    for entry in entries.flatten() {
        if !entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        let path = entry.path();
        let Ok(lock) = File::open(&path) else { continue };
        // Its maker may have removed it between the two calls.
        if lock.try_lock().is_ok() && path.exists() {
            dead.push((path, lock));
        }
    }
    Ok(dead)
}

/// Removes the folders that processes left when they were killed.
pub(crate) fn sweep(paths: &Paths) -> Result<()> {
    for (path, _lock) in dead(paths)? {
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
