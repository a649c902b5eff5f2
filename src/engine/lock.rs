//! Locks on files: one that serialises a container's verbs, one that says its supervisor lives.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

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
    loop {
        match open() {
            // The folder isn't there, or somebody has just removed it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            }
            result => return result,
        }
    }
}

fn open_existing(folder: &Path, name: &str) -> io::Result<File> {
    OpenOptions::new().write(true).open(folder.join(name))
}

/// A way to open the file of a lock.
type Opening = fn(&Path, &str) -> io::Result<File>;

/// Returns whether this open file is still the one of that name: a lock on a file that was removed
/// since it was opened keeps nobody out.
fn is_current(file: &File, folder: &Path, name: &str) -> io::Result<bool> {
    let id = |metadata: Metadata| (metadata.dev(), metadata.ino());
    match std::fs::metadata(folder.join(name)) {
        Ok(found) => Ok(id(found) == id(file.metadata()?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

impl Lock {
    /// Waits for the lock, making its file and folder when they are missing.
    pub(crate) fn acquire(folder: &Path, name: &str) -> io::Result<Self> {
        Self::wait(folder, name, open)
    }

    /// Waits for the lock of a folder that appears and goes as a whole, and makes nothing: `NotFound` when
    /// it isn't there, or has gone meanwhile.
    pub(crate) fn acquire_existing(folder: &Path, name: &str) -> io::Result<Self> {
        Self::wait(folder, name, open_existing)
    }

    fn wait(folder: &Path, name: &str, open: Opening) -> io::Result<Self> {
        loop {
            let file = open(folder, name)?;
            rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockExclusive))?;
            if is_current(&file, folder, name)? {
                return Ok(Self { file });
            }
        }
    }

    /// Waits until nobody holds the lock alone, and holds it together with all others who do so.
    pub(crate) fn share(folder: &Path, name: &str) -> io::Result<Self> {
        let file = open(folder, name)?;
        rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockShared))?;
        Ok(Self { file })
    }

    /// Returns the lock if nobody holds it.
    pub(crate) fn try_acquire(folder: &Path, name: &str) -> io::Result<Option<Self>> {
        Self::attempt(folder, name, open)
    }

    /// As [`Lock::acquire_existing`], if nobody holds it.
    pub(crate) fn try_acquire_existing(folder: &Path, name: &str) -> io::Result<Option<Self>> {
        Self::attempt(folder, name, open_existing)
    }

    fn attempt(folder: &Path, name: &str, open: Opening) -> io::Result<Option<Self>> {
        loop {
            let file = open(folder, name)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if is_current(&file, folder, name)? => return Ok(Some(Self { file })),
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
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

/// Both locks of a container: nobody works on it, and nothing of it runs.
#[derive(Debug)]
pub(crate) struct Idle {
    _verbs: Lock,
    _life: Lock,
}

impl Idle {
    /// Returns both locks if nobody holds either.
    pub(crate) fn try_acquire(folder: &Path) -> io::Result<Option<Self>> {
        let Some(verbs) = Lock::try_acquire(folder, VERBS)? else { return Ok(None) };
        let life = Lock::try_acquire(folder, LIFE)?;
        Ok(life.map(|life| Self { _verbs: verbs, _life: life }))
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
    is_held_below(CWD, &folder.join(name))
}

/// As [`is_held`], of a lock whose file has this path below an open folder.
pub(crate) fn is_held_below(above: BorrowedFd<'_>, path: &Path) -> io::Result<bool> {
    let file =
        match rustix::fs::openat(above, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(Errno::WOULDBLOCK) => Ok(true),
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
    fn a_lock_is_on_the_file_that_others_find() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("run");
        let held = Lock::acquire(&folder, VERBS).unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| Lock::acquire(&folder, VERBS).unwrap());
            // Removed by its holder, while somebody waits for what is no lock any more.
            std::fs::remove_dir_all(&folder).unwrap();
            drop(held);
            let got = waiter.join().unwrap();
            assert!(folder.join(VERBS).exists() && is_held(&folder, VERBS).unwrap());
            drop(got);
        });
        assert!(!is_held(&folder, VERBS).unwrap());
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
