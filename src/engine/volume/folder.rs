//! The folders of volumes: made aside, put in place together with the row, and removed after it.

use std::fs::DirBuilder;
use std::io::ErrorKind as Io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use rusqlite::{Transaction, TransactionBehavior};
use wharf_model::ErrorKind;

use super::record::{Volume, VolumeSpec};
use super::{check_name, lock, mount};
use crate::image::staging::{self, Staging};
use crate::state::Store;
use crate::{Error, Paths, Result};

/// The kind of the note of a folder without a row, and its owner: it is nobody's.
pub(crate) const NOTE: &str = "volume";

/// A volume's folder that isn't in its place yet. It goes away unless it is put there.
pub(crate) struct Staged {
    staging: Staging,
}

impl Staged {
    /// Makes an empty one.
    pub(crate) fn new(paths: &Paths) -> Result<Self> {
        // What is in the way of this is in the way of others too, and theirs to tell.
        let _ = staging::sweep(paths);
        let this = Self { staging: Staging::new(paths)? };
        for (path, mode) in [(this.folder(), 0o700), (this.data(), 0o755)] {
            DirBuilder::new()
                .mode(mode)
                .create(&path)
                .map_err(|cause| Error::failed(format_args!("make {}", path.display()), cause))?;
        }
        Ok(this)
    }

    fn folder(&self) -> PathBuf {
        self.staging.join("volume")
    }

    /// Returns the folder of what it holds.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder().join("_data")
    }

    /// Puts it in its place; to be called in the transaction that adds the row.
    pub(super) fn put(
        &self,
        transaction: &Transaction<'_>,
        paths: &Paths,
        name: &str,
    ) -> Result<()> {
        let place = paths.volumes().join(name);
        let failed = |cause| Error::failed(format_args!("make {}", place.display()), cause);
        if exists(&place) {
            clear(&place, &self.staging.join("old"))?;
        }
        std::fs::rename(self.folder(), &place).map_err(failed)?;
        settle(transaction, name)
    }
}

fn exists(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

/// Notes that a folder without a row is there, or may be, which is to go.
pub(super) fn note(transaction: &Transaction<'_>, name: &str) -> Result<()> {
    transaction.execute(
        "INSERT OR IGNORE INTO journal (kind, key, owner) VALUES (?1, ?2, ?1)",
        [NOTE, name],
    )?;
    Ok(())
}

fn settle(transaction: &Transaction<'_>, name: &str) -> Result<()> {
    transaction.execute("DELETE FROM journal WHERE kind = ?1 AND key = ?2", [NOTE, name])?;
    Ok(())
}

fn is_noted(transaction: &Transaction<'_>, name: &str) -> Result<bool> {
    Ok(transaction.query_row(
        "SELECT EXISTS (SELECT 1 FROM journal WHERE kind = ?1 AND key = ?2)",
        [NOTE, name],
        |row| row.get(0),
    )?)
}

/// Notes that volumes of these names are about to be made, so that their folders can't be forgotten.
///
/// # Errors
/// When there is a folder of such a name that no row and no note knows: it is somebody's data.
pub(super) fn announce(store: &mut Store, paths: &Paths, names: &[&str]) -> Result<()> {
    store.transaction(|transaction| {
        for name in names {
            let place = paths.volumes().join(name);
            let known: bool = transaction.query_row(
                "SELECT EXISTS (SELECT 1 FROM volume WHERE name = ?1)",
                [name],
                |row| row.get(0),
            )?;
            if !known && exists(&place) && !is_noted(transaction, name)? && !is_bare(&place) {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    format!(
                        "create {name}: {} holds data that no volume is known for: move it away, or \
                         make it a volume with 'wharf system check --repair'",
                        place.display()
                    ),
                ));
            }
            note(transaction, name)?;
        }
        Ok(())
    })
}

/// Returns whether a volume's folder holds nothing.
pub(crate) fn is_bare(place: &Path) -> bool {
    let names = |path: &Path| -> Option<Vec<_>> {
        let entries = std::fs::read_dir(path).ok()?;
        entries.map(|entry| Some(entry.ok()?.file_name())).collect()
    };
    match names(place).as_deref() {
        Some([]) => true,
        Some([one]) if one == "_data" => {
            names(&place.join("_data")).is_some_and(|names| names.is_empty())
                && !mount::is_mounted(&place.join("_data")).unwrap_or(true)
        }
        _ => false,
    }
}

/// Moves a volume's folder to where it is removed, never with something mounted in it: a removal
/// would empty that.
fn clear(place: &Path, to: &Path) -> Result<()> {
    mount::unmount(&place.join("_data"))?;
    if let Some(point) = mount::mounted_below(place)? {
        return Err(Error::new(
            ErrorKind::Conflict,
            format!("{point} is mounted in the volume: unmount it first"),
        ));
    }
    match std::fs::rename(place, to) {
        Err(cause) if cause.kind() != Io::NotFound => {
            Err(Error::failed(format_args!("remove {}", place.display()), cause))
        }
        _ => Ok(()),
    }
}

/// Removes the folders of volumes whose rows are gone, or never came.
///
/// # Errors
/// When one can't be moved away; its note stays.
pub(crate) fn sweep(paths: &Paths, store: &Store) -> Result<()> {
    let names: Vec<String> = store
        .connection()
        .prepare_cached("SELECT key FROM journal WHERE kind = ?1")?
        .query_map([NOTE], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    if names.is_empty() {
        return Ok(());
    }
    let _ = staging::sweep(paths);
    for name in names {
        let staging = Staging::new(paths)?;
        let lock = lock(paths, &name)?;
        let place = paths.volumes().join(&name);
        let transaction =
            Transaction::new_unchecked(store.connection(), TransactionBehavior::Immediate)?;
        let known: bool = transaction.query_row(
            "SELECT EXISTS (SELECT 1 FROM volume WHERE name = ?1)",
            [&name],
            |row| row.get(0),
        )?;
        if !known && exists(&place) {
            clear(&place, &staging.join("old"))?;
        }
        settle(&transaction, &name)?;
        transaction.commit()?;
        if !known {
            crate::lock::forget(&paths.volume_locks(), &name);
        }
        drop(lock);
    }
    Ok(())
}

/// Gives a folder without a row its row again: what it holds may be all that is left of somebody's
/// data.
pub(crate) fn adopt(paths: &Paths, store: &mut Store, name: &str) -> Result<()> {
    check_name(name)?;
    let place = paths.volumes().join(name);
    let failed = |cause| Error::failed(format_args!("make {}", place.display()), cause);
    let created = place.metadata().and_then(|found| found.modified()).map_err(failed)?;
    match DirBuilder::new().mode(0o755).create(place.join("_data")) {
        Err(cause) if cause.kind() != Io::AlreadyExists => return Err(failed(cause)),
        _ => {}
    }
    let volume = Volume {
        name: name.to_owned(),
        created: DateTime::<Utc>::from(created),
        spec: VolumeSpec::default(),
    };
    let spec = serde_json::to_string(&volume.spec).map_err(|c| Error::failed("adopt", c))?;
    store.transaction(|transaction| {
        transaction.execute(
            "INSERT OR IGNORE INTO volume (name, created, spec) VALUES (?1, ?2, ?3)",
            rusqlite::params![volume.name, volume.created.timestamp_millis(), spec],
        )?;
        Ok(())
    })
}
