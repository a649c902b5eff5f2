//! The rows of containers, and their events.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, TimeZone, Timelike, Utc};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wharf_model::{
    ContainerConfig, ContainerId, ContainerState, Digest, EndpointOptions, ErrorKind, Event,
    EventKind, HostConfig, PortBinding, is_passing,
};

use super::Store;
use crate::container::discard::Discarded;
use crate::container::mounts::MountPoint;
use crate::supervisor::uptime;
use crate::{Error, Paths, Result, volume};

/// What doesn't change after `create`, but by `update`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Spec {
    pub(crate) config: ContainerConfig,
    pub(crate) host: HostConfig,
    /// The mounts it has taken over from other containers.
    pub(crate) inherited: Vec<MountPoint>,
    /// The mounts of its volumes that have no name of the user's.
    pub(crate) volumes: Vec<MountPoint>,
    /// The networks that it is on while it runs; none is the one that its network mode names.
    pub(crate) networks: Option<Vec<EndpointOptions>>,
}

/// What the supervisor observes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Observed {
    pub(crate) state: ContainerState,
    /// The boot in which it was last started: after another one it can't be running.
    pub(crate) boot: String,
    /// The ports that the host serves for it, while it runs.
    #[serde(default)]
    pub(crate) ports: Vec<PortBinding>,
    /// Whether it was stopped by hand since it was last started.
    #[serde(default)]
    pub(crate) stopped: bool,
    /// What is to become of it, once it is put aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) discarded: Option<Discarded>,
    /// How long the host had been up when it was last started, in milliseconds.
    #[serde(default)]
    pub(crate) started_uptime: Option<i64>,
}

impl Observed {
    /// Returns when a container that runs was started, by what the wall clock says now: it may have been
    /// set since `recorded` was read from it.
    pub(crate) fn start_by_clock(&self, recorded: DateTime<Utc>) -> DateTime<Utc> {
        /// What adjusting the clock bit by bit, and reading two clocks one after the other, may make up.
        const SLACK: TimeDelta = TimeDelta::seconds(2);
        let Some(started) = self.started_uptime.filter(|_| self.state.status.is_alive()) else {
            return recorded;
        };
        let ran = TimeDelta::milliseconds(uptime().saturating_sub(started));
        let by_clock = Utc::now() - ran;
        let off = (by_clock - recorded).abs();
        // In whole seconds, so that it doesn't differ from reading to reading.
        if off <= SLACK { recorded } else { by_clock.with_nanosecond(0).unwrap_or(by_clock) }
    }
}

/// A container's row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) id: ContainerId,
    pub(crate) name: String,
    pub(crate) created: DateTime<Utc>,
    pub(crate) image: Digest,
    pub(crate) spec: Spec,
    pub(crate) observed: Observed,
}

/// What happened to a container: docker's word, and more about it.
pub(crate) type Happened = (String, Vec<(&'static str, String)>);

const COLUMNS: &str = "id, name, created, image, spec, state";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Record> {
    fn read<T, E: std::error::Error + Send + Sync + 'static>(
        column: usize,
        value: std::result::Result<T, E>,
    ) -> rusqlite::Result<T> {
        value.map_err(|cause| {
            rusqlite::Error::FromSqlConversionFailure(
                column,
                rusqlite::types::Type::Text,
                Box::new(cause),
            )
        })
    }
    let text = |column: usize| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
    Ok(Record {
        id: read(0, text(0)?.parse())?,
        name: text(1)?.to_owned(),
        created: Utc.timestamp_millis_opt(row.get(2)?).single().unwrap_or_default(),
        image: read(3, text(3)?.parse())?,
        spec: read(4, serde_json::from_str(text(4)?))?,
        observed: read(5, serde_json::from_str(text(5)?))?,
    })
}

fn to_json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|cause| Error::failed("state database", cause))
}

impl Spec {
    /// Returns the networks that it is on while it runs, with how it is to be there.
    pub(crate) fn networks(&self) -> Vec<EndpointOptions> {
        let of_mode = || {
            let network = self.host.network_mode.network()?.to_owned();
            Some(EndpointOptions { network, ..EndpointOptions::default() })
        };
        self.networks.clone().unwrap_or_else(|| of_mode().into_iter().collect())
    }

    /// Returns the text of a row. Settings that have their defaults are left out, and filled in by
    /// reading: most have, and every list reads all rows.
    fn to_text(&self) -> Result<String> {
        fn leave_out(value: &mut Value, default: &Value) {
            let (Value::Object(members), Value::Object(defaults)) = (value, default) else {
                return;
            };
            members.retain(|name, member| match defaults.get(name) {
                Some(default) if default == member => false,
                Some(default) => {
                    leave_out(member, default);
                    true
                }
                None => true,
            });
        }
        let to_value = |spec: &Self| {
            serde_json::to_value(spec).map_err(|cause| Error::failed("state database", cause))
        };
        let mut value = to_value(self)?;
        leave_out(&mut value, &to_value(&Self::default())?);
        to_json(&value)
    }
}

/// Returns docker's error for a container that isn't there.
fn no_such_container(reference: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("No such container: {reference}"))
}

/// Stores changed settings.
pub(crate) fn write_spec(transaction: &Transaction<'_>, record: &Record) -> Result<()> {
    let changed = transaction.execute(
        "UPDATE container SET spec = ?2 WHERE id = ?1",
        params![record.id.as_str(), record.spec.to_text()?],
    )?;
    match changed {
        0 => Err(no_such_container(record.id.as_str())),
        _ => Ok(()),
    }
}

/// Stores what was observed.
pub(crate) fn write_observed(transaction: &Transaction<'_>, record: &Record) -> Result<()> {
    transaction.execute(
        "UPDATE container SET state = ?2 WHERE id = ?1",
        params![record.id.as_str(), to_json(&record.observed)?],
    )?;
    Ok(())
}

impl Store {
    /// Returns the container with this name, id, or beginning of an id.
    pub(crate) fn container(&self, reference: &str) -> Result<Record> {
        let name = reference.strip_prefix('/').unwrap_or(reference);
        let exact = format!("SELECT {COLUMNS} FROM container WHERE name = ?1 OR id = ?1");
        let found =
            self.connection().prepare_cached(&exact)?.query_row([name], from_row).optional()?;
        if let Some(record) = found {
            return Ok(record);
        }
        let hexadecimal = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if name.is_empty() || name.len() > 64 || !name.bytes().all(hexadecimal) {
            return Err(no_such_container(reference));
        }
        let prefix =
            format!("SELECT {COLUMNS} FROM container WHERE id >= ?1 AND id < ?1 || 'g' LIMIT 2");
        let mut statement = self.connection().prepare_cached(&prefix)?;
        let mut rows = statement.query_map([name], from_row)?;
        match (rows.next().transpose()?, rows.next()) {
            (None, _) => Err(no_such_container(reference)),
            (Some(record), None) => Ok(record),
            (Some(_), Some(_)) => Err(Error::new(
                ErrorKind::Invalid,
                format!("multiple IDs found with provided prefix: {reference}"),
            )),
        }
    }

    /// Shows each container, in no order.
    pub(crate) fn each_container(&self, mut show: impl FnMut(Record) -> Result<()>) -> Result<()> {
        let all = format!("SELECT {COLUMNS} FROM container");
        let mut statement = self.connection().prepare_cached(&all)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            show(from_row(row)?)?;
        }
        Ok(())
    }

    /// Returns the id of each container, with its record or why that can't be read.
    pub(crate) fn container_rows(&self) -> Result<Vec<(String, Result<Record>)>> {
        let all = format!("SELECT {COLUMNS} FROM container");
        let mut statement = self.connection().prepare_cached(&all)?;
        let rows = statement.query_map([], |row| {
            let id = row.get_ref(0)?.as_str().map(str::to_owned).unwrap_or_default();
            Ok((id, from_row(row).map_err(Error::from)))
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Adds a container with its volumes, unless its name is taken or its image has gone. Its folder,
    /// which was journalled before it was made, is then its own.
    pub(crate) fn add_container(
        &mut self,
        paths: &Paths,
        record: &Record,
        volumes: &volume::Choice,
    ) -> Result<()> {
        let spec = record.spec.to_text()?;
        let observed = to_json(&record.observed)?;
        self.transaction(|transaction| {
            check_name(transaction, &record.name)?;
            let image: bool = transaction.query_row(
                "SELECT EXISTS (SELECT 1 FROM image WHERE id = ?1 AND removed = 0)",
                [record.image.as_str()],
                |r| r.get(0),
            )?;
            if !image {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    format!("No such image: {}", record.spec.config.image),
                ));
            }
            transaction.execute(
                "INSERT INTO container (id, name, created, image, spec, state)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    record.id.as_str(),
                    record.name,
                    record.created.timestamp_millis(),
                    record.image.as_str(),
                    spec,
                    observed
                ],
            )?;
            transaction.execute(
                "DELETE FROM journal WHERE kind = 'folder' AND key = ?1",
                [record.id.as_str()],
            )?;
            for new in &volumes.new {
                volume::insert(transaction, paths, new)?;
            }
            volume::add_uses(transaction, &record.id, &volumes.names)?;
            add_event(transaction, &container_event(transaction, record, "create", &[])?)
        })
    }

    /// Refuses a name that a container has, before anything is made for a new one.
    pub(crate) fn check_container_name(&self, name: &str) -> Result<()> {
        check_name(self.connection(), name)
    }

    /// Gives a container another name, unless that is taken.
    pub(crate) fn rename_container(&mut self, record: &Record, name: &str) -> Result<()> {
        self.transaction(|transaction| {
            check_name(transaction, name)?;
            transaction.execute(
                "UPDATE container SET name = ?2 WHERE id = ?1",
                params![record.id.as_str(), name],
            )?;
            let old = ("oldName", format!("/{}", record.name));
            add_event(transaction, &container_event(transaction, record, "rename", &[old])?)
        })
    }

    /// Stores what was observed, and the event that says so.
    pub(crate) fn observe(
        &mut self,
        record: &Record,
        action: &str,
        attributes: &[(&'static str, String)],
    ) -> Result<()> {
        self.observe_all(record, &[(action.to_owned(), attributes.to_vec())])
    }

    /// Stores what was observed, and the events that say so, if any.
    pub(crate) fn observe_all(&mut self, record: &Record, events: &[Happened]) -> Result<()> {
        self.transaction(|transaction| {
            write_observed(transaction, record)?;
            events.iter().try_for_each(|(action, attributes)| {
                add_event(transaction, &container_event(transaction, record, action, attributes)?)
            })
        })
    }

    /// Stores changed settings, and the event that says so, if any.
    pub(crate) fn change_spec(&mut self, record: &Record, action: Option<&str>) -> Result<()> {
        self.transaction(|transaction| {
            write_spec(transaction, record)?;
            action.map_or(Ok(()), |action| {
                add_event(transaction, &container_event(transaction, record, action, &[])?)
            })
        })
    }

    /// Stores an event about a container that changes nothing of its state.
    pub(crate) fn add_container_event(
        &mut self,
        record: &Record,
        action: &str,
        attributes: &[(&str, String)],
    ) -> Result<()> {
        self.transaction(|transaction| {
            add_event(transaction, &container_event(transaction, record, action, attributes)?)
        })
    }

    /// Stores that what nobody uses of a kind was removed, and how many bytes that gave back.
    pub(crate) fn add_prune_event(&mut self, kind: EventKind, reclaimed: u64) -> Result<()> {
        let attributes = [("reclaimed".to_owned(), reclaimed.to_string())].into();
        let (time, action) = (Utc::now(), "prune".to_owned());
        let event = Event { time, kind, action, id: String::new(), attributes };
        self.transaction(|transaction| add_event(transaction, &event))
    }

    /// Removes a container's row, and with `volumes` those of its volumes that have no name of the
    /// user's and that no other container has; its folder is journalled first, so that it can't be
    /// forgotten.
    pub(crate) fn remove_container(
        &mut self,
        record: &Record,
        events: &[(&str, Vec<(&str, String)>)],
        volumes: bool,
    ) -> Result<()> {
        let points = record.spec.volumes.iter().chain(&record.spec.inherited);
        let doomed: Vec<String> = points
            .filter(|point| volumes && point.anonymous)
            .map(|point| point.mount.source.clone())
            .collect();
        self.transaction(|transaction| {
            transaction.execute(
                "INSERT OR IGNORE INTO journal (kind, key, owner) VALUES ('folder', ?1, ?1)",
                [record.id.as_str()],
            )?;
            for (action, attributes) in events {
                let event = container_event(transaction, record, action, attributes)?;
                add_event(transaction, &event)?;
            }
            transaction.execute("DELETE FROM container WHERE id = ?1", [record.id.as_str()])?;
            volume::forget_uses(transaction, &record.id, &doomed)
        })
    }

    /// Notes that something outside the database is about to be taken for a container.
    pub(crate) fn journal(&self, kind: &str, key: &str, owner: &ContainerId) -> Result<()> {
        self.connection().execute(
            "INSERT OR REPLACE INTO journal (kind, key, owner) VALUES (?1, ?2, ?3)",
            params![kind, key, owner.as_str()],
        )?;
        Ok(())
    }

    /// Returns what is journalled, as kind, key and owner.
    pub(crate) fn journalled(&self) -> Result<Vec<(String, String, String)>> {
        let mut statement =
            self.connection().prepare_cached("SELECT kind, key, owner FROM journal")?;
        let rows = statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Returns what is journalled for one container, as kind and key.
    pub(crate) fn journalled_for(&self, owner: &ContainerId) -> Result<Vec<(String, String)>> {
        let mut statement = self
            .connection()
            .prepare_cached("SELECT kind, key FROM journal WHERE owner = ?1 ORDER BY kind, key")?;
        let rows = statement.query_map([owner.as_str()], |r| Ok((r.get(0)?, r.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Forgets what was journalled, once it is given back.
    pub(crate) fn settle(&self, kind: &str, key: &str) -> Result<()> {
        self.connection()
            .execute("DELETE FROM journal WHERE kind = ?1 AND key = ?2", [kind, key])?;
        Ok(())
    }

    /// Returns the events after the one numbered `after`, with their numbers.
    pub(crate) fn events_after(&self, after: i64) -> Result<Vec<(i64, Event)>> {
        let mut statement = self
            .connection()
            .prepare_cached("SELECT seq, event FROM event WHERE seq > ?1 ORDER BY seq")?;
        let rows = statement
            .query_map([after], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?
            .collect::<rusqlite::Result<Vec<(i64, String)>>>()?;
        // An event that a newer version wrote in another shape is skipped.
        Ok(rows
            .into_iter()
            .filter_map(|(n, e)| Some((n, serde_json::from_str(&e).ok()?)))
            .collect())
    }

    /// Returns the number of the newest event, 0 when there is none.
    pub(crate) fn last_event(&self) -> Result<i64> {
        Ok(self
            .connection()
            .query_row("SELECT coalesce(max(seq), 0) FROM event", [], |r| r.get(0))?)
    }
}

/// Which events are kept for those who ask later what happened (docker keeps the last 256), and how far
/// a slow follower may fall behind: the last so many.
const EVENTS_KEPT: i64 = 10_000;

/// Of what passes (`wharf_model::is_passing`) only what is among the last so many: a probe every few
/// seconds would leave room for nothing else.
const PASSING_KEPT: i64 = 1000;

/// Adds an event within a transaction that makes it true.
pub(crate) fn add_event(transaction: &Transaction<'_>, event: &Event) -> Result<()> {
    transaction
        .prepare_cached("INSERT INTO event (time, event) VALUES (?1, ?2)")?
        .execute(params![event.time.timestamp_millis(), to_json(event)?])?;
    let last = transaction.last_insert_rowid();
    transaction
        .prepare_cached("DELETE FROM event WHERE seq <= ?1")?
        .execute([last - EVENTS_KEPT])?;
    // Every event comes to this place once.
    let old: Option<String> = transaction
        .prepare_cached("SELECT event FROM event WHERE seq = ?1")?
        .query_row([last - PASSING_KEPT], |row| row.get(0))
        .optional()?;
    let old = old.and_then(|text| serde_json::from_str::<Event>(&text).ok());
    if old.is_some_and(|old| is_passing(&old.action)) {
        transaction
            .prepare_cached("DELETE FROM event WHERE seq = ?1")?
            .execute([last - PASSING_KEPT])?;
    }
    Ok(())
}

/// Refuses a name that a container has.
fn check_name(connection: &Connection, name: &str) -> Result<()> {
    let taken: Option<String> = connection
        .query_row("SELECT id FROM container WHERE name = ?1", [name], |r| r.get(0))
        .optional()?;
    match taken {
        None => Ok(()),
        Some(holder) => Err(Error::new(
            ErrorKind::Conflict,
            format!(
                "Conflict. The container name \"/{name}\" is already in use by container \
                 \"{holder}\". You have to remove (or rename) that container to be able to reuse \
                 that name."
            ),
        )),
    }
}

fn container_event(
    transaction: &Transaction<'_>,
    record: &Record,
    action: &str,
    attributes: &[(&str, String)],
) -> Result<Event> {
    // Who tells of it may have read the record before it got another name.
    let name: Option<String> = transaction
        .prepare_cached("SELECT name FROM container WHERE id = ?1")?
        .query_row([record.id.as_str()], |row| row.get(0))
        .optional()?;
    let mut all: BTreeMap<String, String> = record.spec.config.labels.clone();
    all.insert("name".into(), name.unwrap_or_else(|| record.name.clone()));
    all.insert("image".into(), record.spec.config.image.clone());
    all.extend(attributes.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    Ok(Event {
        time: Utc::now(),
        kind: EventKind::Container,
        action: action.to_owned(),
        id: record.id.to_string(),
        attributes: all,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_pushes_out_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("state.db")).unwrap();
        let event = |action: &str| Event {
            time: Utc::now(),
            kind: wharf_model::EventKind::Container,
            action: action.to_owned(),
            id: "1".to_owned(),
            attributes: BTreeMap::new(),
        };
        store
            .transaction(|transaction| {
                add_event(transaction, &event("start"))?;
                for _ in 0..PASSING_KEPT {
                    add_event(transaction, &event("exec_start: true "))?;
                    add_event(transaction, &event("resize"))?;
                }
                add_event(transaction, &event("die"))
            })
            .unwrap();
        let kept = store.events_after(0).unwrap();
        let first = kept.first().map(|(seq, event)| (*seq, event.action.as_str()));
        assert_eq!(first, Some((1, "start")));
        assert_eq!(kept.last().map(|(_, event)| event.action.as_str()), Some("die"));
        assert_eq!(i64::try_from(kept.len()).unwrap(), PASSING_KEPT + 1);
        store
            .transaction(|transaction| {
                (0..EVENTS_KEPT).try_for_each(|_| add_event(transaction, &event("start")))
            })
            .unwrap();
        assert_eq!(i64::try_from(store.events_after(0).unwrap().len()).unwrap(), EVENTS_KEPT);
    }
}
