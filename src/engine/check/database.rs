//! The database: whole, readable, and without references that lead nowhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use wharf_model::{ContainerId, ErrorKind};

use super::{Area, Check, Finding, beyond_repair, finding};
use crate::reconcile;
use crate::state::{Record, Store};
use crate::{Error, Paths, Result, folder, network, volume};

/// Its tables, those that others refer to first.
const TABLES: [&str; 16] = [
    "network",
    "image",
    "manifest",
    "layer",
    "blob",
    "image_layer",
    "image_blob",
    "repo_digest",
    "tag",
    "builtin",
    "container",
    "volume",
    "volume_use",
    "endpoint",
    "journal",
    "event",
];

/// Checks the file itself; returns whether it is whole.
pub(super) fn file(paths: &Paths, repair: bool, findings: &mut Vec<Finding>) -> Result<bool> {
    let path = paths.database();
    if !path.exists() {
        let problem = "it isn't there: containers and images are unknown without it";
        if !has_any(&paths.root().join("containers")) && !has_any(&paths.layers()) {
            return Ok(true);
        }
        let mending = repair.then(|| Store::open(&path).map(drop));
        findings.push(finding(Area::Database, name(&path), problem, mending));
        return Ok(false);
    }
    let problems = match Store::open(&path).and_then(|store| problems(&store)) {
        Ok(problems) => problems,
        Err(error) if is_damage(&error) => vec![error.to_string()],
        Err(error) => return Err(error),
    };
    let Some(first) = problems.first() else { return Ok(true) };
    let mut found = finding(
        Area::Database,
        name(&path),
        format!("damaged: {first}"),
        repair.then(|| salvage(&path)),
    );
    if found.mended {
        found.way_out = format!("what it was is kept as {}", aside(&path).display());
    }
    findings.push(found);
    Ok(false)
}

fn has_any(folder: &Path) -> bool {
    std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

fn is_damage(error: &Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<rusqlite::Error>() {
            return matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
                // A database without the tables that its version says it has.
                || error.to_string().contains("no such table");
        }
        cause = error.source();
    }
    false
}

/// Returns what `SQLite` itself has to say of the file.
fn problems(store: &Store) -> Result<Vec<String>> {
    let connection = store.connection();
    for table in TABLES {
        connection.prepare(&format!("SELECT 1 FROM {table}"))?;
    }
    let mut statement = connection.prepare("PRAGMA integrity_check(10)")?;
    let lines: Vec<String> =
        statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}

/// Where a damaged database is kept.
fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".damaged");
    name.into()
}

/// Puts a new database in the damaged one's place, with every row that can be read.
fn salvage(path: &Path) -> Result<()> {
    let failed = |what: &Path| {
        let what = what.display().to_string();
        move |cause: std::io::Error| Error::failed(format!("replace {what}"), cause)
    };
    let with = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let fresh = with(".new");
    for suffix in [".new", ".new-wal", ".new-shm"] {
        match std::fs::remove_file(with(suffix)) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(path)(cause));
            }
            _ => {}
        }
    }
    {
        let store = Store::open(&fresh)?;
        let to = store.connection();
        to.execute_batch("PRAGMA foreign_keys = OFF")?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        // What can't even be opened has nothing to save.
        if let Ok(from) = Connection::open_with_flags(path, flags) {
            for table in TABLES {
                // A damaged page ends a reading; what is behind it is reached from the other end.
                for order in ["", "DESC"] {
                    copy(&from, to, table, order)?;
                }
            }
            // What is set aside is one file then, if that can still be had.
            let _ = from.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        }
        to.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    }
    // It says nothing that the log doesn't.
    let _ = std::fs::remove_file(with("-shm"));
    if std::fs::metadata(with("-wal")).is_ok_and(|log| log.len() == 0) {
        let _ = std::fs::remove_file(with("-wal"));
    }
    for suffix in ["-wal", ""] {
        let to = aside(path);
        let mut to = to.into_os_string();
        to.push(suffix);
        match std::fs::rename(with(suffix), &to) {
            Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(path)(cause));
            }
            _ => {}
        }
    }
    std::fs::rename(&fresh, path).map_err(failed(path))?;
    for suffix in [".new-wal", ".new-shm"] {
        // Both are empty and of no further use.
        let _ = std::fs::remove_file(with(suffix));
    }
    Ok(())
}

/// Copies the rows that can be read; only a failure of the new database is one.
fn copy(from: &Connection, to: &Connection, table: &str, order: &str) -> Result<()> {
    let key = match table {
        "image_layer" | "image_blob" => "image",
        "manifest" | "blob" => "digest",
        "repo_digest" => "repository",
        "event" => "seq",
        "tag" | "builtin" | "volume" => "name",
        "volume_use" => "volume",
        "layer" => "chain_id",
        "endpoint" => "container",
        "journal" => "kind",
        _ => "id",
    };
    let Ok(mut rows) = from.prepare(&format!("SELECT * FROM {table} ORDER BY {key} {order}"))
    else {
        return Ok(());
    };
    let marks = vec!["?"; rows.column_count()].join(",");
    // An older version's table may have fewer.
    let columns = rows.column_names().collect::<Vec<_>>().join(",");
    let mut insert =
        to.prepare(&format!("INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})"))?;
    let width = rows.column_count();
    let Ok(mut rows) = rows.query([]) else { return Ok(()) };
    while let Ok(Some(row)) = rows.next() {
        let values: rusqlite::Result<Vec<rusqlite::types::Value>> =
            (0..width).map(|column| row.get(column)).collect();
        if let Ok(values) = values {
            match insert.execute(rusqlite::params_from_iter(values)) {
                // A value that its column doesn't take is a damaged one.
                Ok(_) | Err(rusqlite::Error::SqliteFailure(_, _)) => {}
                Err(cause) => return Err(cause.into()),
            }
        }
    }
    Ok(())
}

impl Check<'_> {
    /// Rows that refer to rows which aren't there.
    pub(super) fn references(&mut self) -> Result<()> {
        let dangling = [
            ("tag", "image", "image", "id"),
            ("image_layer", "image", "image", "id"),
            ("image_blob", "image", "image", "id"),
            ("image_blob", "blob", "blob", "digest"),
            ("repo_digest", "image", "image", "id"),
            ("endpoint", "network", "network", "id"),
            ("volume_use", "volume", "volume", "name"),
            ("volume_use", "container", "container", "id"),
        ];
        for (table, column, to, key) in dangling {
            let wrong = format!("FROM {table} WHERE {column} NOT IN (SELECT {key} FROM {to})");
            let connection = self.store.connection();
            let count: i64 =
                connection.query_row(&format!("SELECT count(*) {wrong}"), [], |row| row.get(0))?;
            if count > 0 {
                let mending = self.repair.then(|| {
                    connection.execute(&format!("DELETE {wrong}"), [])?;
                    Ok(())
                });
                let problem = format!("{count} of its rows name a {to} that isn't there");
                let object = format!("table {table}");
                self.add(finding(Area::Database, object, problem, mending));
            }
        }
        let lacking = {
            let mut statement = self.store.connection().prepare(
                "SELECT DISTINCT image FROM image_layer
                 WHERE layer NOT IN (SELECT chain_id FROM layer)",
            )?;
            let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()?
        };
        for image in lacking {
            self.add(beyond_repair(
                Area::Database,
                format!("image {image}"),
                "a layer of it isn't known",
                format!("remove it with 'wharf rmi -f {image}' and load it again"),
            ));
        }
        Ok(())
    }

    /// Returns the readable rows of containers; those that can't be read are findings.
    pub(super) fn readable(&mut self) -> Result<BTreeMap<ContainerId, Record>> {
        let mut records = BTreeMap::new();
        for (id, row) in self.store.container_rows()? {
            let error = match row {
                Ok(record) => {
                    records.insert(record.id.clone(), record);
                    continue;
                }
                Err(error) => error,
            };
            let store = &self.store;
            let mending = self.repair.then(|| {
                store.connection().execute("DELETE FROM container WHERE id = ?1", [&id])?;
                Ok(())
            });
            // Its files are for a second look.
            self.keep_unknown |= mending.is_some();
            if mending.is_none() {
                self.unreadable.insert(id.clone());
            }
            let problem = format!("its row can't be read: {error}");
            self.add(finding(Area::Database, format!("container {id}"), problem, mending));
        }
        Ok(records)
    }

    /// Each container's row against its supervisor, its image and its folders.
    pub(super) fn containers(&mut self, records: &BTreeMap<ContainerId, Record>) -> Result<()> {
        for (id, seen) in records {
            self.idle(id, |check, record| {
                let Some(record) = record else { return Ok(()) };
                if record.observed.state.status.is_alive() {
                    let mending = check
                        .repair
                        .then(|| check.engine.correct(check.store, record.clone()).map(drop));
                    check.add(finding(
                        Area::Database,
                        format!("container {}", seen.name),
                        format!(
                            "its row says {}, but its supervisor is gone",
                            record.observed.state.status.as_str()
                        ),
                        mending,
                    ));
                    return Ok(());
                }
                let folder = check.paths().container(id);
                if !folder.is_dir() {
                    let mending = check.repair.then(|| folder::make(check.paths(), id));
                    check.add(finding(
                        Area::Files,
                        folder.display().to_string(),
                        format!("container {} has no folder: what it wrote is lost", record.name),
                        mending,
                    ));
                }
                Ok(())
            })?;
            let known: bool = self.store.connection().query_row(
                "SELECT EXISTS (SELECT 1 FROM image WHERE id = ?1)
                     OR NOT EXISTS (SELECT 1 FROM container WHERE id = ?2)",
                [seen.image.as_str(), id.as_str()],
                |row| row.get(0),
            )?;
            if !known {
                self.add(beyond_repair(
                    Area::Database,
                    format!("container {}", seen.name),
                    format!("its image {} isn't known", seen.image.short()),
                    format!("load the image, or remove the container: 'wharf rm -f {}'", seen.name),
                ));
            }
        }
        Ok(())
    }

    /// What the journal and the leases name of containers that don't run.
    pub(super) fn journal(&mut self) -> Result<()> {
        let journalled = self.store.journalled()?.into_iter();
        // Folders of volumes are nobody's: the next command sees to them.
        let mut owners: Vec<String> = journalled
            .filter(|(kind, ..)| kind != volume::NOTE)
            .map(|(_, _, owner)| owner)
            .collect();
        owners.extend(network::lease_owners(self.store)?);
        owners.sort_unstable();
        owners.dedup();
        for owner in owners {
            let Ok(id) = owner.parse::<ContainerId>() else {
                let mending = self.repair.then(|| {
                    self.store
                        .connection()
                        .execute("DELETE FROM journal WHERE owner = ?1", [&owner])?;
                    self.store
                        .connection()
                        .execute("DELETE FROM endpoint WHERE container = ?1", [&owner])?;
                    Ok(())
                });
                let object = format!("journal of {owner:?}");
                self.add(finding(Area::Database, object, "no container can be called so", mending));
                continue;
            };
            self.idle(&id, |check, record| {
                if record.as_ref().is_some_and(|r| r.observed.state.status.is_alive()) {
                    return Ok(());
                }
                let mut left: Vec<String> = check
                    .store
                    .journalled_for(&id)?
                    .into_iter()
                    .map(|(kind, key)| format!("{kind} {key}"))
                    .collect();
                let endpoints = network::endpoints_of(check.store, &id)?;
                let addresses = endpoints.iter().flat_map(network::Endpoint::addresses);
                left.extend(addresses.map(|address| format!("address {address}")));
                if left.is_empty() {
                    return Ok(());
                }
                let object = match &record {
                    Some(record) => format!("container {}", record.name),
                    None => format!("container {} (removed)", id.short()),
                };
                let mending = check.repair.then(|| {
                    reconcile::give_back(check.engine.paths(), check.store, &id)?;
                    network::release(check.store, id.as_str())
                });
                let problem = format!("doesn't run, but still has {}", left.join(", "));
                check.add(finding(Area::Database, object, problem, mending));
                Ok(())
            })?;
        }
        Ok(())
    }
}

impl Check<'_> {
    /// Returns whether this container has a row or something in the journal.
    pub(super) fn is_known(&self, id: &ContainerId) -> Result<bool> {
        match self.store.container(id.as_str()) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Ok(!self.store.journalled_for(id)?.is_empty())
            }
            Err(error) => Err(error),
        }
    }
}
