//! The rows of volumes, and who has them.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeZone, Utc};
use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};
use wharf_model::{ContainerId, ErrorKind, Event, EventKind};

use super::folder::Staged;
use super::{ANONYMOUS, DRIVER, folder};
use crate::state::{Store, add_event};
use crate::{Error, Paths, Result};

/// What never changes about a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct VolumeSpec {
    pub(crate) labels: BTreeMap<String, String>,
    /// `type`, `o` and `device`, or nothing.
    pub(crate) options: BTreeMap<String, String>,
}

/// A volume's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) name: String,
    pub(crate) created: DateTime<Utc>,
    pub(crate) spec: VolumeSpec,
}

impl Volume {
    pub(crate) fn is_anonymous(&self) -> bool {
        self.spec.labels.contains_key(ANONYMOUS)
    }

    /// Returns whether something else is mounted on its folder while it is used.
    pub(crate) fn is_mount(&self) -> bool {
        !self.spec.options.is_empty()
    }
}

/// A volume that is about to be: its row, and its folder, not yet in its place.
pub(crate) struct New {
    pub(crate) volume: Volume,
    pub(crate) staged: Staged,
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Volume> {
    let text: String = row.get(2)?;
    let spec = serde_json::from_str(&text).map_err(|cause| {
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(2, kind, Box::new(cause))
    })?;
    let created = Utc.timestamp_millis_opt(row.get(1)?).single().unwrap_or_default();
    Ok(Volume { name: row.get(0)?, created, spec })
}

/// Returns docker's error for a volume that isn't there.
pub(crate) fn no_such_volume(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("get {name}: no such volume"))
}

impl Store {
    /// Returns a volume, if it is there.
    pub(crate) fn find_volume(&self, name: &str) -> Result<Option<Volume>> {
        let sql = "SELECT name, created, spec FROM volume WHERE name = ?1";
        Ok(self.connection().prepare_cached(sql)?.query_row([name], from_row).optional()?)
    }

    /// Returns a volume.
    pub(crate) fn volume(&self, name: &str) -> Result<Volume> {
        self.find_volume(name)?.ok_or_else(|| no_such_volume(name))
    }

    /// Returns all volumes, by name.
    pub(crate) fn volumes(&self) -> Result<Vec<Volume>> {
        let sql = "SELECT name, created, spec FROM volume ORDER BY name";
        let mut statement = self.connection().prepare_cached(sql)?;
        let rows = statement.query_map([], from_row)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns the containers that run, or are about to, with a volume.
    pub(crate) fn volume_runners(&self, name: &str) -> Result<Vec<ContainerId>> {
        let sql =
            "SELECT owner FROM journal WHERE kind = ?1 AND key >= ?2 || ':' AND key < ?2 || ';'";
        let mut statement = self.connection().prepare_cached(sql)?;
        let rows = statement.query_map([super::MOUNT, name], |row| row.get::<_, String>(0))?;
        let owners = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(owners.into_iter().filter_map(|owner| owner.parse().ok()).collect())
    }

    /// Removes the row of a volume that nobody has, and notes that its folder is to go.
    ///
    /// # Errors
    /// With docker's sentence, when containers have it.
    pub(crate) fn remove_volume(&mut self, name: &str) -> Result<()> {
        self.transaction(|transaction| {
            let users: Vec<String> = transaction
                .prepare_cached("SELECT container FROM volume_use WHERE volume = ?1")?
                .query_map([name], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            if !users.is_empty() {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    format!("remove {name}: volume is in use - [{}]", users.join(", ")),
                ));
            }
            match forget(transaction, name)? {
                true => Ok(()),
                false => Err(no_such_volume(name)),
            }
        })
    }
}

/// Removes a row and notes that its folder is to go; returns whether there was one.
fn forget(transaction: &Transaction<'_>, name: &str) -> Result<bool> {
    let removed = transaction.execute("DELETE FROM volume WHERE name = ?1", [name])? > 0;
    if removed {
        folder::note(transaction, name)?;
        add_event(transaction, &event("destroy", name, []))?;
    }
    Ok(removed)
}

/// Adds the row of a volume and puts its folder in its place, unless it is there already; returns
/// whether it wasn't.
pub(crate) fn insert(transaction: &Transaction<'_>, paths: &Paths, new: &New) -> Result<bool> {
    let Volume { name, created, spec } = &new.volume;
    let spec = serde_json::to_string(spec).map_err(|c| Error::failed("state database", c))?;
    let added = transaction.execute(
        "INSERT OR IGNORE INTO volume (name, created, spec) VALUES (?1, ?2, ?3)",
        params![name, created.timestamp_millis(), spec],
    )? > 0;
    if added {
        new.staged.put(transaction, paths, name)?;
        add_event(transaction, &event("create", name, []))?;
    }
    Ok(added)
}

/// Notes that a new container has these volumes.
///
/// # Errors
/// When one of them isn't there any more.
pub(crate) fn add_uses(
    transaction: &Transaction<'_>,
    container: &ContainerId,
    names: &[String],
) -> Result<()> {
    for name in names {
        let known: bool = transaction.query_row(
            "SELECT EXISTS (SELECT 1 FROM volume WHERE name = ?1)",
            [name],
            |row| row.get(0),
        )?;
        if !known {
            // Of another kind: what isn't found when a container is made is its image.
            return Err(no_such_volume(name).with_kind(ErrorKind::Conflict));
        }
        transaction.execute(
            "INSERT OR IGNORE INTO volume_use (volume, container) VALUES (?1, ?2)",
            [name.as_str(), container.as_str()],
        )?;
    }
    Ok(())
}

/// Forgets which volumes a container had, and removes those of `doomed` that nobody else has.
pub(crate) fn forget_uses(
    transaction: &Transaction<'_>,
    container: &ContainerId,
    doomed: &[String],
) -> Result<()> {
    transaction.execute("DELETE FROM volume_use WHERE container = ?1", [container.as_str()])?;
    for name in doomed {
        let used: bool = transaction.query_row(
            "SELECT EXISTS (SELECT 1 FROM volume_use WHERE volume = ?1)",
            [name],
            |row| row.get(0),
        )?;
        if !used {
            forget(transaction, name)?;
        }
    }
    Ok(())
}

/// Returns an event about a volume.
pub(crate) fn event<'a>(
    action: &str,
    name: &str,
    attributes: impl IntoIterator<Item = (&'a str, String)>,
) -> Event {
    let mut all: BTreeMap<String, String> =
        attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    all.insert("driver".to_owned(), DRIVER.to_owned());
    Event {
        time: Utc::now(),
        kind: EventKind::Volume,
        action: action.to_owned(),
        id: name.to_owned(),
        attributes: all,
    }
}
