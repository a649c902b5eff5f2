//! From unpacked folders to images that everybody sees: one transaction for all of them.
//!
//! The database's write lock orders every change of the layers' folder: a folder is renamed into
//! place in the transaction that adds its row, and renamed away only in one that has seen that
//! there is no row. A crash between a rename and its commit leaves a folder without a row, which
//! the next publisher of that layer replaces and a sweep removes.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use chrono::Utc;
use rusqlite::{OptionalExtension, Transaction, params};
use wharf_model::{Digest, ImageName};

use super::events;
use super::hash::chain_id;
use super::staging::Staging;
use crate::state::Store;
use crate::{Error, Paths, Result};

/// A layer unpacked in a staging folder.
pub(super) struct Unpacked {
    pub(super) path: PathBuf,
    pub(super) size: u64,
}

/// An image ready to be published.
pub(super) struct NewImage {
    pub(super) id: Digest,
    pub(super) config: Vec<u8>,
    /// Milliseconds since 1970.
    pub(super) created: Option<i64>,
    pub(super) manifest: Option<Digest>,
    /// Lowest first.
    pub(super) diff_ids: Vec<Digest>,
    pub(super) tags: Vec<ImageName>,
    /// The event's word: `load` or `import`.
    pub(super) action: &'static str,
}

/// What became of the images.
pub(super) enum Published {
    /// All are there. Names that another image had until now, with that image.
    Done(Vec<(ImageName, Digest)>),
    /// A layer that was there before has gone meanwhile, and has to be unpacked after all.
    Missing,
}

/// Returns the chain IDs of an image's layers, lowest first.
pub(super) fn chain(diff_ids: &[Digest]) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::new();
    for diff_id in diff_ids {
        chain.push(chain_id(chain.last(), diff_id));
    }
    chain
}

/// Makes images visible, with their unpacked layers (by chain ID).
///
/// # Errors
/// When the disk or the database refuses; then nothing has become visible.
pub(super) fn publish(
    store: &mut Store,
    paths: &Paths,
    staging: &Staging,
    images: &[NewImage],
    unpacked: &BTreeMap<Digest, Unpacked>,
) -> Result<Published> {
    if !unpacked.is_empty() {
        let folder = File::open(staging.join("."))
            .map_err(|e| Error::failed("open the staging folder", e))?;
        rustix::fs::syncfs(&folder)
            .map_err(|e| Error::failed("write the layers to disk", std::io::Error::from(e)))?;
    }
    store.transaction(|tx| {
        for image in images {
            for id in chain(&image.diff_ids) {
                if !unpacked.contains_key(&id) && !has_layer(tx, &id)? {
                    return Ok(Published::Missing);
                }
            }
        }
        let mut moved = Vec::new();
        let result = insert_all(tx, paths, staging, images, unpacked, &mut moved);
        if result.is_err() {
            // The rows are rolled back, and the folders go with the staging folder.
            for (id, layer) in moved {
                let _ = std::fs::rename(paths.layer(id), &layer.path);
            }
        }
        result.map(Published::Done)
    })
}

fn insert_all<'a>(
    tx: &Transaction<'_>,
    paths: &Paths,
    staging: &Staging,
    images: &[NewImage],
    unpacked: &'a BTreeMap<Digest, Unpacked>,
    moved: &mut Vec<(&'a Digest, &'a Unpacked)>,
) -> Result<Vec<(ImageName, Digest)>> {
    let mut replaced = Vec::new();
    for image in images {
        let chain = chain(&image.diff_ids);
        for (n, id) in chain.iter().enumerate() {
            if has_layer(tx, id)? {
                continue;
            }
            let (id, layer) = unpacked
                .get_key_value(id)
                .ok_or_else(|| Error::failed(format!("layer {id}"), "it is not unpacked"))?;
            put_in_place(paths, staging, id, layer)?;
            moved.push((id, layer));
            tx.execute(
                "INSERT INTO layer (chain_id, diff_id, parent, size) VALUES (?, ?, ?, ?)",
                params![
                    id.as_str(),
                    image.diff_ids[n].as_str(),
                    n.checked_sub(1).map(|below| chain[below].as_str()),
                    i64::try_from(layer.size).unwrap_or(i64::MAX)
                ],
            )?;
        }
        insert_image(tx, image, &chain)?;
        for name in &image.tags {
            replaced.extend(set_tag(tx, name, &image.id)?.map(|old| (name.clone(), old)));
        }
        let name = image.tags.first().map(ToString::to_string);
        events::record(tx, image.action, &image.id, name.as_deref())?;
    }
    Ok(replaced)
}

/// Returns whether the layer is unpacked.
pub(super) fn has_layer(connection: &rusqlite::Connection, id: &Digest) -> Result<bool> {
    let sql = "SELECT 1 FROM layer WHERE chain_id = ?";
    Ok(connection.query_row(sql, [id.as_str()], |_| Ok(())).optional()?.is_some())
}

fn put_in_place(paths: &Paths, staging: &Staging, id: &Digest, layer: &Unpacked) -> Result<()> {
    let target = paths.layer(id);
    let failed = |e| Error::failed(format!("move layer {id} into place"), e);
    match std::fs::rename(&target, staging.join(format!("orphan-{}", id.hex()))) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failed(e)),
        _ => {}
    }
    std::fs::rename(&layer.path, &target).map_err(failed)
}

fn insert_image(tx: &Transaction<'_>, image: &NewImage, chain: &[Digest]) -> Result<()> {
    tx.execute(
        "INSERT INTO image (id, created, added, manifest, config, removed)
         VALUES (?1, ?2, ?3, ?4, ?5, 0)
         ON CONFLICT (id) DO UPDATE
         SET removed = 0, manifest = coalesce(excluded.manifest, manifest)",
        params![
            image.id.as_str(),
            image.created,
            Utc::now().timestamp_millis(),
            image.manifest.as_ref().map(Digest::as_str),
            image.config
        ],
    )?;
    for (position, layer) in (0i64..).zip(chain) {
        tx.execute(
            "INSERT OR IGNORE INTO image_layer (image, position, layer) VALUES (?, ?, ?)",
            params![image.id.as_str(), position, layer.as_str()],
        )?;
    }
    Ok(())
}

/// Gives a name to an image, and returns the other image that had it.
pub(super) fn set_tag(
    tx: &rusqlite::Connection,
    name: &ImageName,
    image: &Digest,
) -> Result<Option<Digest>> {
    let canonical = name.canonical();
    let old: Option<String> = tx
        .query_row("SELECT image FROM tag WHERE name = ?", [&canonical], |row| row.get(0))
        .optional()?;
    tx.execute(
        "INSERT INTO tag (name, image) VALUES (?, ?)
         ON CONFLICT (name) DO UPDATE SET image = excluded.image",
        [canonical.as_str(), image.as_str()],
    )?;
    Ok(old.filter(|old| old != image.as_str()).and_then(|old| old.parse().ok()))
}
