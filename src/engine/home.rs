//! Whose a root folder is.
//!
//! What a database says of the kernel (control groups, links, rules) is true where its containers were
//! started. A copy of the folder says the same of things that are the original's: whoever tidied up by it
//! would end the original's containers. So the database remembers its folder, and a copy isn't opened
//! while what it says of running containers may still be so.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use wharf_model::ErrorKind;

use crate::state::Store;
use crate::supervisor::boot_id;
use crate::{Error, Paths, Result};

/// Asserts that the database is in the folder where its containers were started, or that none of them
/// runs any more.
///
/// # Errors
/// A conflict when it is a copy's.
pub(crate) fn check(paths: &Paths, store: &Store) -> Result<()> {
    let root = paths.root();
    let here = identity(root)
        .map_err(|cause| Error::failed(format_args!("look at {}", root.display()), cause))?;
    let known = store.home()?;
    if known == here {
        return Ok(());
    }
    // Nobody has asked before, or the folder has been moved to another filesystem.
    let boot = boot_id();
    if known != 0
        && let Some(name) = running(store, &boot)?
    {
        return Err(Error::new(
            ErrorKind::Conflict,
            format!(
                "{} is a copy of a root folder, and the container {name} ran there when it was made: opened \
                 here, it would take what is the original's. Stop the containers there and copy it again, \
                 or take the copy to another machine",
                root.display()
            ),
        ));
    }
    match store.set_home(here) {
        // It is asked again by the next one.
        Err(error) if error.is_full() => Ok(()),
        result => result,
    }
}

/// Returns the name of a container that the database takes for running since this boot.
fn running(store: &Store, boot: &str) -> Result<Option<String>> {
    let mut found = None;
    store.each_container(|record| {
        if record.observed.state.status.is_supervised() && record.observed.boot == boot {
            found = Some(record.name.clone());
        }
        Ok(())
    })?;
    Ok(found)
}

/// Returns a number for the folder that a copy doesn't have, never 0.
fn identity(root: &Path) -> std::io::Result<i32> {
    let data = std::fs::metadata(root)?;
    let mixed = data.ino() ^ (data.ino() >> 32) ^ data.dev().wrapping_mul(0x9e37_79b1);
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
    let number = mixed as u32;
    Ok(if number == 0 { 1 } else { number.cast_signed() })
}
