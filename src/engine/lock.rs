//! Locks on files: one that serialises a container's verbs, one that says its supervisor lives.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::FlockOperation;

/// A held lock; dropping it, or the end of the process, releases it. A descriptor of it that was sent
/// to another process keeps it held there too, since the lock belongs to what both refer to.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

/// Serialises the verbs of a container across processes.
pub(crate) const VERBS: &str = "verbs.lock";

/// Held by a container's supervisor for as long as anything of the container is left.
pub(crate) const LIFE: &str = "life.lock";

fn open(folder: &Path, name: &str) -> io::Result<File> {
    let open = || {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(folder.join(name))
    };
    open().or_else(|error| {
        if error.kind() != io::ErrorKind::NotFound {
            return Err(error);
        }
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        open()
    })
}

impl Lock {
    /// Waits for the lock, making its file and folder when they are missing.
    pub(crate) fn acquire(folder: &Path, name: &str) -> io::Result<Self> {
        let file = open(folder, name)?;
        rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockExclusive))?;
        Ok(Self { file })
    }

    /// Waits until nobody holds the lock alone, and holds it together with all others who do so.
    pub(crate) fn share(folder: &Path, name: &str) -> io::Result<Self> {
        let file = open(folder, name)?;
        rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockShared))?;
        Ok(Self { file })
    }

    /// Returns the lock if nobody holds it.
    pub(crate) fn try_acquire(folder: &Path, name: &str) -> io::Result<Option<Self>> {
        let file = open(folder, name)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { file })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Lock {
    /// The file: a copy of the descriptor, in another process too, holds the same lock.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Waits until nobody holds the lock; makes nothing.
pub(crate) fn wait_free(folder: &Path, name: &str) -> io::Result<()> {
    match File::open(folder.join(name)) {
        Ok(file) => {
            rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockShared))?;
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes the file of a lock whose container has gone, and its folder if nothing else is in it.
pub(crate) fn forget(folder: &Path, name: &str) {
    // Whatever isn't there, or is somebody else's, needs no removal.
    let _ = std::fs::remove_file(folder.join(name));
    let _ = std::fs::remove_dir(folder);
}

/// Returns whether somebody holds the lock. Takes it shared for an instant, so that two askers
/// don't see each other.
pub(crate) fn is_held(folder: &Path, name: &str) -> io::Result<bool> {
    let file = match File::open(folder.join(name)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_excludes_and_ends_with_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("made/on/demand");
        assert!(!is_held(&inside, LIFE).unwrap());
        let held = Lock::acquire(&inside, LIFE).unwrap();
        assert!(is_held(&inside, LIFE).unwrap());
        assert!(Lock::try_acquire(&inside, LIFE).unwrap().is_none());
        let copy = held.as_fd().try_clone_to_owned().unwrap();
        drop(held);
        assert!(is_held(&inside, LIFE).unwrap());
        drop(copy);
        wait_free(&inside, LIFE).unwrap();
        assert!(Lock::try_acquire(&inside, LIFE).unwrap().is_some());
    }

    #[test]
    fn only_an_unused_folder_is_forgotten() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("run");
        wait_free(&folder, LIFE).unwrap();
        assert!(!folder.exists());
        drop(Lock::acquire(&folder, VERBS).unwrap());
        drop(Lock::acquire(&folder, LIFE).unwrap());
        forget(&folder, VERBS);
        assert!(!folder.join(VERBS).exists() && folder.join(LIFE).exists());
        forget(&folder, LIFE);
        assert!(!folder.exists());
    }
}
