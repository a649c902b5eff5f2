//! Removing a group from every hierarchy.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::group::{Group, children};

/// How long a folder may stay busy after its last process has left.
const PATIENCE: Duration = Duration::from_millis(500);

impl Group {
    /// Removes the group, with groups that the container made below it, from all hierarchies. It
    /// must be empty. A folder that is gone already is no error.
    ///
    /// # Errors
    /// [`Error::Delete`] with every folder that is still there; the others are removed.
    pub fn delete(&self) -> Result<()> {
        let mut failures = Vec::new();
        for member in &self.members {
            remove_tree(&member.path, &mut failures);
        }
        if failures.is_empty() {
            Ok(())
        } else {
            Err(Error::Delete { name: self.name().to_owned(), failures })
        }
    }
}

impl Group {
    /// Removes the group's folders where nothing is in them: neither a process nor another group,
    /// not even an empty one, which somebody may be about to use. Returns whether all are gone.
    pub fn delete_if_bare(&self) -> bool {
        let gone = |member: &crate::group::Member| {
            matches!(rustix::fs::rmdir(&member.path), Ok(()) | Err(Errno::NOENT))
        };
        self.members.iter().filter(|member| !gone(member)).count() == 0
    }
}

/// Removes one folder and all below it; adds what could not be removed to `failures`.
pub(crate) fn remove_tree(path: &Path, failures: &mut Vec<Error>) {
    // Nearly always there is nothing below, and one call does it.
    let first = match rustix::fs::rmdir(path) {
        Ok(()) | Err(Errno::NOENT) => return,
        Err(cause) => cause,
    };
    if !matches!(first, Errno::BUSY | Errno::NOTEMPTY) {
        failures.push(Error::io("remove", path, first));
        return;
    }
    let before = failures.len();
    match children(path) {
        Ok(below) => below.iter().for_each(|child| remove_tree(child, failures)),
        Err(error) => failures.push(error),
    }
    if failures.len() > before {
        return;
    }
    if let Err(cause) = remove_when_free(path) {
        failures.push(Error::io("remove", path, cause));
    }
}

/// Removes an empty folder. Its last process counts for a moment after its parent has reaped it,
/// and no file tells when that is over.
fn remove_when_free(path: &Path) -> std::result::Result<(), Errno> {
    let mut deadline = None;
    loop {
        match rustix::fs::rmdir(path) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY) => {}
            Err(cause) => return Err(cause),
        }
        let mut pids = Vec::new();
        let occupied = crate::group::collect(path, &mut pids).is_err() || !pids.is_empty();
        let deadline = *deadline.get_or_insert_with(|| Instant::now() + PATIENCE);
        if occupied || Instant::now() >= deadline {
            return Err(Errno::BUSY);
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}
