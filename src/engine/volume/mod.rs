//! Volumes: data that outlives the containers that have it.
//!
//! A volume is a row and the folder `volumes/NAME/_data`. The folder is made elsewhere and renamed
//! into its place in the transaction that adds the row, so that nobody ever sees half of one; a note
//! in the journal (`volume`) tells of folders that have no row yet, or none any more, and [`sweep`]
//! removes these. What no note knows of is somebody's data and is left alone.
//!
//! Which containers have a volume is in the table `volume_use`, written together with their rows: the
//! database itself refuses to forget a volume that is used. While a container runs, a note of its own
//! (`mount`) says so. A volume with options of the `mount(8)` kind is mounted on its folder with the
//! first of these notes and unmounted with the last; both happen under the volume's lock.

mod change;
mod choose;
mod fill;
mod folder;
mod mount;
mod record;
mod transfer;

use change::DRIVER;
pub use change::Pruned;
pub(crate) use choose::{Choice, check_targets, choose};
pub(crate) use fill::copy_tree;
pub(crate) use folder::{NOTE, adopt, is_bare, sweep};
pub(crate) use mount::{
    MOUNT, give_back, is_mounted, located, mount, mounted_below, release, take, unmount, unmounted,
};
pub(crate) use record::{Volume, add_uses, forget_uses, insert};
pub use transfer::Export;

use wharf_model::ErrorKind;

use crate::lock::Lock;
use crate::{Error, Paths, Result};

/// The label of a volume that was made without a name, as docker has it.
pub(crate) const ANONYMOUS: &str = "com.docker.volume.anonymous";

/// Refuses a name that no volume can have.
///
/// # Errors
/// In docker's words.
pub(crate) fn check_name(name: &str) -> Result<()> {
    /// The longest name of a folder.
    const LONGEST: usize = 255;
    let refuse = |why: String| Err(Error::new(ErrorKind::Invalid, format!("create {name}: {why}")));
    if name.len() == 1 {
        return refuse(
            "volume name is too short, names should be at least two alphanumeric characters"
                .to_owned(),
        );
    }
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if !name.bytes().all(fits) || !name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric) {
        return refuse(format!(
            "{name:?} includes invalid characters for a local volume name, only \
             \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use \
             absolute path"
        ));
    }
    if name.len() > LONGEST {
        return refuse(format!("volume name is too long, it may have {LONGEST} characters"));
    }
    Ok(())
}

/// Waits until nobody else changes what a volume holds or where it is mounted.
pub(crate) fn lock(paths: &Paths, name: &str) -> Result<Lock> {
    Lock::acquire(&paths.volume_locks(), name)
        .map_err(|cause| Error::failed(format_args!("lock volume {name}"), cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dockers() {
        for name in ["ab", "a.b-c_d", "0x", &"a".repeat(64), &"a".repeat(255)] {
            check_name(name).unwrap();
        }
        let refused = |name: &str| check_name(name).unwrap_err().to_string();
        assert!(refused("a").contains("create a: volume name is too short"));
        for name in ["", "-a", ".a", "a/b", "a b", "ä1", "..", "a\n"] {
            assert!(refused(name).contains("includes invalid characters"), "{name}");
        }
        assert!(refused(&"a".repeat(256)).contains("too long"));
    }
}
