//! `rmi` with docker's rules about names, ids and containers, and the collection of what nobody
//! uses any more.

use chrono::Utc;
use rusqlite::Transaction;
use wharf_inspect::filter::ImagePruneFilter;
use wharf_model::{Digest, ErrorKind, Filters, ImageName, Status};

use super::list::stored_name;
use super::publish::has_layer;
use super::resolve::stored_digest;
use super::staging::{self, Staging};
use super::{Images, events};
use crate::state::Observed;
use crate::{Error, Paths, Result};

/// What a removal took away, in docker's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// The names it took.
    pub untagged: Vec<ImageName>,
    /// The image, then its layers that no other image has, topmost first (chain IDs).
    pub deleted: Vec<Digest>,
}

impl Images<'_> {
    /// Takes a name from an image; removes the image with its last name. By its id, an image goes
    /// with its only name; `force` takes all its names, and lets stopped containers keep its
    /// layers.
    ///
    /// # Errors
    /// When there is none such; a conflict in docker's words when containers use it or it has
    /// several names.
    pub fn remove(&mut self, reference: &str, force: bool) -> Result<Removed> {
        let found = self.find(reference)?;
        let id = found.id;
        let mut removed = self.store.transaction(|tx| {
            let mut removed = Removed::default();
            let names = names(tx, &id)?;
            let users = users(tx, &id)?;
            if let Some(name) = &found.name {
                if let (false, true, [user, ..]) = (force, names.len() <= 1, users.as_slice()) {
                    return Err(Error::new(
                        ErrorKind::Conflict,
                        format!(
                            "conflict: unable to remove repository reference {reference:?} (must \
                             force) - container {} is using its referenced image {}",
                            user.short,
                            id.short()
                        ),
                    ));
                }
                untag(tx, &id, name, &mut removed)?;
                // A running container keeps its image, though it now has no name.
                if names.len() > 1 || users.iter().any(|user| user.running) {
                    return Ok(removed);
                }
            } else {
                check(&id, &users, names.len(), force)?;
                for name in &names {
                    untag(tx, &id, name, &mut removed)?;
                }
            }
            removed.deleted.push(id.clone());
            events::record(tx, "delete", &id, None)?;
            if users.is_empty() {
                removed.deleted.extend(delete(tx, &id)?);
            } else {
                tx.execute("UPDATE image SET removed = 1 WHERE id = ?", [id.as_str()])?;
            }
            Ok(removed)
        })?;
        removed.untagged.sort();
        discard(self, removed.deleted.get(1..).unwrap_or_default())?;
        Ok(removed)
    }

    /// Removes the removed images whose last container is gone. To be called after a container's
    /// row is deleted; costs one query when there is nothing to do.
    ///
    /// # Errors
    /// When the database or the disk refuses.
    pub fn collect(&mut self) -> Result<()> {
        const UNUSED: &str = "SELECT id FROM image WHERE removed = 1
             AND NOT EXISTS (SELECT 1 FROM container WHERE container.image = image.id)";
        let unused = |connection: &rusqlite::Connection| -> Result<Vec<Digest>> {
            let mut statement = connection.prepare(UNUSED)?;
            let ids: Vec<String> =
                statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            ids.iter().map(|id| stored_digest(id)).collect()
        };
        if unused(self.store.connection())?.is_empty() {
            return Ok(());
        }
        let layers = self.store.transaction(|tx| {
            let mut layers = Vec::new();
            for id in unused(tx)? {
                layers.extend(delete(tx, &id)?);
            }
            Ok(layers)
        })?;
        discard(self, &layers)
    }

    /// Removes what processes left behind when they were killed: staging folders, layers without a
    /// row, and removed images without containers.
    ///
    /// # Errors
    /// When the database or the disk refuses.
    pub fn sweep(&mut self) -> Result<()> {
        staging::sweep(self.paths)?;
        self.collect()?;
        let Ok(folders) = std::fs::read_dir(self.paths.layers()) else {
            return Ok(());
        };
        let mut orphans = Vec::new();
        for folder in folders.flatten() {
            let id = format!("sha256:{}", folder.file_name().to_string_lossy()).parse::<Digest>();
            if let Ok(id) = id
                && !has_layer(self.store.connection(), &id)?
            {
                orphans.push(id);
            }
        }
        discard(self, &orphans)
    }
}

/// What a prune of images took away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrunedImages {
    /// Names, images and layers.
    pub removed: Removed,
    /// How many bytes the layers had.
    pub reclaimed: u64,
    /// Why others are still there, a sentence each.
    pub failed: Vec<String>,
}

impl Images<'_> {
    /// Removes the images that no container uses and that have no name, or all that no container uses.
    ///
    /// # Errors
    /// When a filter means nothing, or the database can't be read. An image that can't be removed is
    /// reported and passed over.
    pub(crate) fn prune(&mut self, all: bool, filters: &Filters) -> Result<PrunedImages> {
        let filter = ImagePruneFilter::new(all, filters, Utc::now())
            .map_err(|cause| Error::new(ErrorKind::Invalid, cause.to_string()))?;
        let mut pruned = PrunedImages::default();
        for image in self.list()? {
            if image.containers > 0 || !filter.matches(&image) {
                continue;
            }
            match self.prune_one(&image.id, &image.tags) {
                Ok((removed, bytes)) => {
                    pruned.removed.untagged.extend(removed.untagged);
                    pruned.removed.deleted.extend(removed.deleted);
                    pruned.reclaimed = pruned.reclaimed.saturating_add(bytes);
                }
                Err(error) => pruned.failed.push(format!("remove {}: {error}", image.id.short())),
            }
        }
        Ok(pruned)
    }

    /// Removes an image, unless somebody has come to use it or to name it meanwhile.
    fn prune_one(&mut self, id: &Digest, known: &[ImageName]) -> Result<(Removed, u64)> {
        let size = |tx: &Transaction<'_>| -> Result<u64> {
            let sum: i64 =
                tx.query_row("SELECT coalesce(sum(size), 0) FROM layer", [], |row| row.get(0))?;
            Ok(u64::try_from(sum).unwrap_or_default())
        };
        let (mut removed, layers, bytes) = self.store.transaction(|tx| {
            let mut removed = Removed::default();
            let names = names(tx, id)?;
            if !users(tx, id)?.is_empty() || names.iter().any(|name| !known.contains(name)) {
                return Ok((removed, Vec::new(), 0));
            }
            for name in &names {
                untag(tx, id, name, &mut removed)?;
            }
            removed.deleted.push(id.clone());
            events::record(tx, "delete", id, None)?;
            let before = size(tx)?;
            let layers = delete(tx, id)?;
            Ok((removed, layers, before.saturating_sub(size(tx)?)))
        })?;
        discard(self, &layers)?;
        removed.deleted.extend(layers);
        Ok((removed, bytes))
    }
}

/// A container that uses an image.
struct User {
    short: String,
    running: bool,
}

fn users(tx: &Transaction<'_>, id: &Digest) -> Result<Vec<User>> {
    let mut statement =
        tx.prepare("SELECT id, state FROM container WHERE image = ? ORDER BY created, id")?;
    let rows: Vec<(String, String)> = statement
        .query_map([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    rows.into_iter()
        .map(|(container, state)| {
            let observed: Observed = serde_json::from_str(&state)
                .map_err(|e| Error::failed(format!("state of container {container}"), e))?;
            let short = container.get(..12).unwrap_or(&container).to_owned();
            let status = observed.state.status;
            let running = status.is_alive() || status == Status::Restarting;
            Ok(User { short, running })
        })
        .collect()
}

fn names(tx: &Transaction<'_>, id: &Digest) -> Result<Vec<ImageName>> {
    let mut statement = tx.prepare("SELECT name FROM tag WHERE image = ? ORDER BY name")?;
    let names: Vec<String> =
        statement.query_map([id.as_str()], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    names.iter().map(|name| stored_name(name)).collect()
}

/// Says what stands in the way of removing an image by its id.
fn check(id: &Digest, users: &[User], names: usize, force: bool) -> Result<()> {
    let conflict = |how: &str, why: String| {
        Err(Error::new(
            ErrorKind::Conflict,
            format!("conflict: unable to delete {} ({how}) - {why}", id.short()),
        ))
    };
    if let Some(user) = users.iter().find(|user| user.running) {
        let why = format!("image is being used by running container {}", user.short);
        return conflict("cannot be forced", why);
    }
    if force {
        return Ok(());
    }
    if names > 1 {
        let why = "image is referenced in multiple repositories".to_owned();
        return conflict("must be forced", why);
    }
    match users.first() {
        Some(user) => {
            let why = format!("image is being used by stopped container {}", user.short);
            conflict("must be forced", why)
        }
        None => Ok(()),
    }
}

fn untag(tx: &Transaction<'_>, id: &Digest, name: &ImageName, removed: &mut Removed) -> Result<()> {
    tx.execute("DELETE FROM tag WHERE name = ? AND image = ?", [&name.canonical(), id.as_str()])?;
    events::record(tx, "untag", id, Some(&name.to_string()))?;
    removed.untagged.push(name.clone());
    Ok(())
}

/// Deletes an image's rows and those of the layers that no other image has; returns these, topmost
/// first.
fn delete(tx: &Transaction<'_>, id: &Digest) -> Result<Vec<Digest>> {
    let mut statement =
        tx.prepare("SELECT layer FROM image_layer WHERE image = ? ORDER BY position DESC")?;
    let layers: Vec<String> =
        statement.query_map([id.as_str()], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    tx.execute("DELETE FROM image_layer WHERE image = ?", [id.as_str()])?;
    tx.execute("DELETE FROM tag WHERE image = ?", [id.as_str()])?;
    tx.execute("DELETE FROM image WHERE id = ?", [id.as_str()])?;
    let mut deleted = Vec::new();
    for layer in layers {
        let gone = tx.execute(
            "DELETE FROM layer WHERE chain_id = ?1
             AND NOT EXISTS (SELECT 1 FROM image_layer WHERE layer = ?1)",
            [&layer],
        )?;
        if gone > 0 {
            deleted.push(stored_digest(&layer)?);
        }
    }
    Ok(deleted)
}

/// Removes the folders of layers that have no row any more (somebody may have published one again
/// meanwhile): out of sight first, under the database's write lock, then for good.
fn discard(images: &mut Images<'_>, layers: &[Digest]) -> Result<()> {
    if layers.is_empty() {
        return Ok(());
    }
    let paths: &Paths = images.paths;
    let staging = Staging::new(paths)?;
    images.store.transaction(|tx| {
        for layer in layers {
            if has_layer(tx, layer)? {
                continue;
            }
            match std::fs::rename(paths.layer(layer), staging.join(layer.hex())) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::failed(format!("remove layer {layer}"), e));
                }
                _ => {}
            }
        }
        Ok(())
    })
}
