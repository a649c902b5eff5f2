//! Layers as they came: the blobs of manifests, kept so that an image goes out as it came in.
//!
//! A blob is a file and a row, both named by its digest. As with layers, the database's write lock
//! orders every change of the folder: a file is renamed into place in the transaction that adds the
//! row, and renamed away only in one that has seen that there is no row. A blob is in use while an
//! image's layer names it. One that isn't comes from a pull that was interrupted; the next pull goes
//! on from it, and after a day it is removed.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use chrono::Utc;
use rusqlite::{Connection, OptionalExtension, params};
use wharf_model::Digest;

use super::resolve::stored_digest;
use super::staging::Staging;
use crate::{Error, Paths, Result};

/// How long a blob stays that no image uses, in milliseconds.
const KEPT: i64 = 24 * 60 * 60 * 1000;

/// A whole, verified blob that has no row yet.
#[derive(Debug)]
pub(super) struct NewBlob {
    pub(super) path: PathBuf,
    pub(super) digest: Digest,
    pub(super) size: u64,
    /// The digest of the tar that it unpacks to.
    pub(super) diff_id: Digest,
}

/// Keeps a blob, in a transaction. One that is here already stays as it is.
pub(super) fn keep(tx: &Connection, paths: &Paths, blob: &NewBlob) -> Result<()> {
    let target = paths.blob(&blob.digest);
    let failed = |e| Error::failed(format!("keep blob {}", blob.digest), e);
    if !(is_known(tx, &blob.digest)? && has_size(&target, blob.size)) {
        std::fs::rename(&blob.path, &target).map_err(failed)?;
    }
    tx.execute(
        "INSERT INTO blob (digest, diff_id, size, wanted) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (digest) DO UPDATE SET wanted = excluded.wanted",
        params![
            blob.digest.as_str(),
            blob.diff_id.as_str(),
            i64::try_from(blob.size).unwrap_or(i64::MAX),
            Utc::now().timestamp_millis()
        ],
    )?;
    adopt(tx, &blob.diff_id, &blob.digest)
}

/// Gives a blob to all images that have its layer and no blob of it.
pub(super) fn adopt(tx: &Connection, diff_id: &Digest, digest: &Digest) -> Result<()> {
    tx.execute(
        "INSERT OR IGNORE INTO image_blob (image, position, blob)
         SELECT image, position, ?1 FROM image_layer JOIN layer ON layer = chain_id
         WHERE diff_id = ?2",
        [digest.as_str(), diff_id.as_str()],
    )?;
    Ok(())
}

/// Returns whether a blob has a row.
pub(super) fn is_known(connection: &Connection, digest: &Digest) -> Result<bool> {
    let sql = "SELECT 1 FROM blob WHERE digest = ?";
    Ok(connection.query_row(sql, [digest.as_str()], |_| Ok(())).optional()?.is_some())
}

/// Returns some blob of a layer.
pub(super) fn of_layer(connection: &Connection, diff_id: &Digest) -> Result<Option<Digest>> {
    let sql = "SELECT min(digest) FROM blob WHERE diff_id = ?";
    let found: Option<String> = connection.query_row(sql, [diff_id.as_str()], |row| row.get(0))?;
    found.as_deref().map(stored_digest).transpose()
}

/// Opens a blob; none when it isn't here. Its bytes are to be verified by whoever unpacks it.
pub(super) fn open(
    connection: &Connection,
    paths: &Paths,
    digest: &Digest,
) -> Result<Option<(File, u64)>> {
    let sql = "SELECT size FROM blob WHERE digest = ?";
    let size: Option<i64> =
        connection.query_row(sql, [digest.as_str()], |row| row.get(0)).optional()?;
    let Some(size) = size.and_then(|size| u64::try_from(size).ok()) else { return Ok(None) };
    let path = paths.blob(digest);
    match File::open(&path) {
        Ok(file) if has_size(&path, size) => Ok(Some((file, size))),
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(Error::failed(format!("open blob {digest}"), e))
        }
        _ => Ok(None),
    }
}

/// Notes that somebody wants a blob, which then stays another day.
pub(super) fn want(connection: &Connection, digest: &Digest) -> Result<()> {
    let now = Utc::now().timestamp_millis();
    connection
        .execute("UPDATE blob SET wanted = ?1 WHERE digest = ?2", params![now, digest.as_str()])?;
    Ok(())
}

/// Takes away the row of a blob that is damaged or gone.
pub(crate) fn forget(tx: &Connection, digest: &Digest) -> Result<()> {
    tx.execute("DELETE FROM image_blob WHERE blob = ?", [digest.as_str()])?;
    tx.execute("DELETE FROM blob WHERE digest = ?", [digest.as_str()])?;
    Ok(())
}

fn has_size(path: &Path, size: u64) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.len() == size)
}

/// Deletes the rows of blobs that no image uses: those that nobody has wanted for a day, or `all`.
/// Returns how many. While a pull is under way, what it has so far is nobody else's to judge.
pub(super) fn expire(connection: &Connection, paths: &Paths, all: bool) -> Result<usize> {
    const UNUSED: &str = "FROM blob WHERE wanted <= ?1
         AND NOT EXISTS (SELECT 1 FROM image_blob WHERE blob = digest)";
    let until = if all { i64::MAX } else { Utc::now().timestamp_millis() - KEPT };
    let count: i64 =
        connection.query_row(&format!("SELECT count(*) {UNUSED}"), [until], |row| row.get(0))?;
    if count == 0 {
        return Ok(0);
    }
    let Some(_gate) = Gate::close(paths)? else { return Ok(0) };
    Ok(connection.execute(&format!("DELETE {UNUSED}"), [until])?)
}

/// Returns the names of the files in the folder that may be blobs.
pub(super) fn files(paths: &Paths) -> Vec<Digest> {
    let Ok(entries) = std::fs::read_dir(paths.blobs()) else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|e| format!("sha256:{}", e.file_name().to_string_lossy()).parse().ok())
        .collect()
}

/// Returns the files without a row.
pub(super) fn orphans(connection: &Connection, paths: &Paths) -> Result<Vec<Digest>> {
    let mut orphans = Vec::new();
    for digest in files(paths) {
        if !is_known(connection, &digest)? {
            orphans.push(digest);
        }
    }
    Ok(orphans)
}

/// Returns the files without a row, and the rows without their file.
pub(crate) fn disagreeing(tx: &Connection, paths: &Paths) -> Result<(Vec<Digest>, Vec<Digest>)> {
    let mut statement = tx.prepare("SELECT digest, size FROM blob")?;
    let rows: Vec<(String, i64)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut missing = Vec::new();
    for (digest, size) in rows {
        let digest = stored_digest(&digest)?;
        if !u64::try_from(size).is_ok_and(|size| has_size(&paths.blob(&digest), size)) {
            missing.push(digest);
        }
    }
    Ok((orphans(tx, paths)?, missing))
}

/// Moves a blob's file out of sight, in a transaction that has seen that it has no row.
pub(super) fn take_away(paths: &Paths, staging: &Staging, digest: &Digest) -> Result<()> {
    match std::fs::rename(paths.blob(digest), staging.join(format!("blob-{}", digest.hex()))) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(Error::failed(format!("remove blob {digest}"), e))
        }
        _ => Ok(()),
    }
}

/// Held by pulls, together, for as long as they have blobs that no image uses yet.
#[derive(Debug)]
pub(super) struct Gate {
    _file: File,
}

impl Gate {
    fn open(paths: &Paths) -> Result<File> {
        let path = paths.blobs().join(".lock");
        File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(|e| Error::failed(format!("open {}", path.display()), e))
    }

    /// Keeps others from removing blobs that no image uses.
    pub(super) fn hold(paths: &Paths) -> Result<Self> {
        let file = Self::open(paths)?;
        file.lock_shared().map_err(|e| Error::failed("lock the folder of blobs", e))?;
        Ok(Self { _file: file })
    }

    /// Returns the lock if no pull holds it.
    fn close(paths: &Paths) -> Result<Option<Self>> {
        let file = Self::open(paths)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(std::fs::TryLockError::WouldBlock) => Ok(None),
            Err(std::fs::TryLockError::Error(e)) => {
                Err(Error::failed("lock the folder of blobs", e))
            }
        }
    }
}
