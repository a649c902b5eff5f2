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

use super::blobs::{self, NewBlob};
use super::events;
use super::hash::chain_id;
use super::settle::settle;
use super::staging::Staging;
use super::unpack::Contents;
use crate::state::Store;
use crate::{Error, Paths, Result};

/// A layer unpacked in a staging folder.
pub(super) struct Unpacked {
    pub(super) path: PathBuf,
    pub(super) contents: Contents,
    /// The frame of its archive, where there is no blob.
    pub(super) frame: Option<PathBuf>,
}

/// A manifest as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NewManifest {
    pub(super) digest: Digest,
    pub(super) media_type: String,
    pub(super) content: Vec<u8>,
    /// The blobs of the layers, lowest first.
    pub(super) layers: Vec<Digest>,
}

/// An image ready to be published.
pub(super) struct NewImage {
    pub(super) id: Digest,
    pub(super) config: Vec<u8>,
    /// Milliseconds since 1970.
    pub(super) created: Option<i64>,
    pub(super) manifest: Option<NewManifest>,
    /// Lowest first.
    pub(super) diff_ids: Vec<Digest>,
    pub(super) tags: Vec<ImageName>,
    /// The repositories (`domain/path`) that know it by a digest.
    pub(super) repo_digests: Vec<(String, Digest)>,
    /// The event's word: `load`, `import` or `create`; none of a pull, which tells of its end.
    pub(super) action: Option<&'static str>,
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

/// What images are published with.
#[derive(Default)]
pub(super) struct Parts {
    /// Layers by chain ID.
    pub(super) unpacked: BTreeMap<Digest, Unpacked>,
    pub(super) blobs: Vec<NewBlob>,
}

/// Makes images visible, with their layers and blobs.
///
/// # Errors
/// When the disk or the database refuses; then nothing has become visible.
pub(super) fn publish(
    store: &mut Store,
    paths: &Paths,
    staging: &Staging,
    images: &[NewImage],
    parts: &Parts,
) -> Result<Published> {
    if !parts.unpacked.is_empty() || !parts.blobs.is_empty() {
        let folder = File::open(staging.join("."))
            .map_err(|e| Error::failed("open the staging folder", e))?;
        rustix::fs::syncfs(&folder)
            .map_err(|e| Error::failed("write the layers to disk", std::io::Error::from(e)))?;
    }
    store.transaction(|tx| {
        for image in images {
            for id in chain(&image.diff_ids) {
                if !parts.unpacked.contains_key(&id) && !has_layer(tx, &id)? {
                    return Ok(Published::Missing);
                }
            }
        }
        let mut moved = Vec::new();
        let result = insert_all(tx, paths, staging, images, parts, &mut moved);
        if result.is_err() {
            // The rows are rolled back, and the folders go with the staging folder. A blob or a frame
            // without a row is what a sweep removes.
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
    parts: &'a Parts,
    moved: &mut Vec<(&'a Digest, &'a Unpacked)>,
) -> Result<Vec<(ImageName, Digest)>> {
    let mut replaced = Vec::new();
    for blob in &parts.blobs {
        blobs::keep(tx, paths, blob)?;
    }
    for image in images {
        let chain = chain(&image.diff_ids);
        for (n, id) in chain.iter().enumerate() {
            let known = has_layer(tx, id)?;
            let Some((id, layer)) = parts.unpacked.get_key_value(id) else { continue };
            if let Some(frame) = layer.frame.as_ref().filter(|path| path.exists()) {
                std::fs::rename(frame, paths.frame(id))
                    .map_err(|e| Error::failed(format!("keep the frame of layer {id}"), e))?;
            }
            if known {
                continue;
            }
            let lowers: Vec<PathBuf> = chain[..n].iter().rev().map(|id| paths.layer(id)).collect();
            settle(&layer.path, &layer.contents.implied, &lowers)
                .map_err(|e| Error::failed(format!("layer {id}"), e))?;
            put_in_place(paths, staging, id, layer)?;
            moved.push((id, layer));
            tx.execute(
                "INSERT INTO layer (chain_id, diff_id, parent, size) VALUES (?, ?, ?, ?)",
                params![
                    id.as_str(),
                    image.diff_ids[n].as_str(),
                    n.checked_sub(1).map(|below| chain[below].as_str()),
                    i64::try_from(layer.contents.size).unwrap_or(i64::MAX)
                ],
            )?;
        }
        insert_image(tx, image, &chain)?;
        for name in &image.tags {
            replaced.extend(set_tag(tx, name, &image.id)?.map(|old| (name.clone(), old)));
        }
        for (repository, digest) in &image.repo_digests {
            set_repo_digest(tx, repository, digest, &image.id)?;
        }
        let Some(action) = image.action else { continue };
        // The names in an archive are no news of their own.
        for name in image.tags.iter().filter(|_| action != "load") {
            events::record(tx, "tag", &image.id, Some(&name.to_string()))?;
        }
        let name = image.tags.first().map(ToString::to_string);
        events::record(tx, action, &image.id, name.as_deref())?;
    }
    Ok(replaced)
}

/// Returns whether the layer is unpacked.
pub(super) fn has_layer(connection: &rusqlite::Connection, id: &Digest) -> Result<bool> {
    let sql = "SELECT 1 FROM layer WHERE chain_id = ?";
    Ok(connection.query_row(sql, [id.as_str()], |_| Ok(())).optional()?.is_some())
}

/// Returns whether the layer is unpacked and its archive can be had again.
pub(super) fn is_complete(
    connection: &rusqlite::Connection,
    paths: &Paths,
    id: &Digest,
    diff_id: &Digest,
) -> Result<bool> {
    Ok(has_layer(connection, id)?
        && (paths.frame(id).exists() || blobs::of_layer(connection, paths, diff_id)?.is_some()))
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
        "INSERT INTO image (id, created, added, config, removed) VALUES (?1, ?2, ?3, ?4, 0)
         ON CONFLICT (id) DO UPDATE SET removed = 0",
        params![image.id.as_str(), image.created, Utc::now().timestamp_millis(), image.config],
    )?;
    for (position, layer) in (0i64..).zip(chain) {
        tx.execute(
            "INSERT OR IGNORE INTO image_layer (image, position, layer) VALUES (?, ?, ?)",
            params![image.id.as_str(), position, layer.as_str()],
        )?;
    }
    if let Some(manifest) = &image.manifest {
        set_manifest(tx, &image.id, manifest)?;
    }
    for (position, diff_id) in (0i64..).zip(&image.diff_ids) {
        tx.execute(
            "INSERT OR IGNORE INTO image_blob (image, position, blob)
             SELECT ?1, ?2, digest FROM blob WHERE diff_id = ?3 ORDER BY digest LIMIT 1",
            params![image.id.as_str(), position, diff_id.as_str()],
        )?;
    }
    Ok(())
}

/// Makes a manifest an image's: the one that it goes out with, as far as its blobs are here.
fn set_manifest(tx: &Transaction<'_>, image: &Digest, manifest: &NewManifest) -> Result<()> {
    forget_manifest(tx, image)?;
    tx.execute(
        "UPDATE image SET manifest = ?2 WHERE id = ?1",
        [image.as_str(), manifest.digest.as_str()],
    )?;
    tx.execute(
        "INSERT OR REPLACE INTO manifest (digest, media_type, content) VALUES (?, ?, ?)",
        params![manifest.digest.as_str(), manifest.media_type, manifest.content],
    )?;
    for (position, blob) in (0i64..).zip(&manifest.layers) {
        tx.execute(
            "INSERT OR REPLACE INTO image_blob (image, position, blob)
             SELECT ?1, ?2, digest FROM blob WHERE digest = ?3",
            params![image.as_str(), position, blob.as_str()],
        )?;
    }
    Ok(())
}

/// Deletes the manifest of an image; a manifest names one image only.
pub(super) fn forget_manifest(tx: &rusqlite::Connection, image: &Digest) -> Result<()> {
    tx.execute(
        "DELETE FROM manifest WHERE digest = (SELECT manifest FROM image WHERE id = ?)",
        [image.as_str()],
    )?;
    Ok(())
}

/// Notes that a repository (`domain/path`) knows an image by a digest.
pub(super) fn set_repo_digest(
    tx: &rusqlite::Connection,
    repository: &str,
    digest: &Digest,
    image: &Digest,
) -> Result<()> {
    tx.execute(
        "INSERT OR REPLACE INTO repo_digest (repository, digest, image) VALUES (?, ?, ?)",
        [repository, digest.as_str(), image.as_str()],
    )?;
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
