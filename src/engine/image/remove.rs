//! `rmi` with docker's rules about names, ids and containers, and the collection of what nobody
//! uses any more.

use std::collections::BTreeSet;

use chrono::Utc;
use rusqlite::Transaction;
use wharf_inspect::filter::ImagePruneFilter;
use wharf_model::{Digest, ErrorKind, EventKind, Filters, ImageName, Status};

use super::list::stored_name;
use super::publish::{forget_manifest, has_layer};
use super::resolve::{by_digest, repository, stored_digest};
use super::staging::{self, Staging};
use super::{Images, blobs, events};
use crate::state::Observed;
use crate::{Error, Paths, Result, disk};

/// What a removal took away, in docker's order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// The names it took, with a tag or a digest, as lists show them.
    pub untagged: Vec<String>,
    /// The image, then its layers that no other image has, topmost first (chain IDs).
    pub deleted: Vec<Digest>,
}

impl Images<'_> {
    /// Takes a name from an image; removes the image with its last name. By its id, an image goes
    /// with its only name; `force` takes all its names, and lets stopped containers keep its
    /// layers. A name's digests go with its last tag.
    ///
    /// # Errors
    /// When there is none such; a conflict in docker's words when containers use it or it has
    /// several names.
    pub fn remove(&mut self, reference: &str, force: bool) -> Result<Removed> {
        let found = self.find(reference)?;
        let id = found.id;
        let (removed, rest) = self.store.transaction(|tx| {
            let mut removed = Removed::default();
            let names = names(tx, &id)?;
            let users = users(tx, &id)?;
            let named = match (&found.name, found.digest) {
                (Some(name), _) => Some(Name::Tag(name.clone())),
                // The image's own id can stand there too.
                (None, Some((repository, digest))) => {
                    Some(Name::Digest(repository, digest)).filter(|name| names.contains(name))
                }
                (None, None) => None,
            };
            if let Some(name) = &named {
                if let (false, true, [user, ..]) = (force, are_one(&names), users.as_slice()) {
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
                let mut left: Vec<&Name> = names.iter().filter(|other| *other != name).collect();
                let of_it = |other: &Name| other.repository() == name.repository();
                if !left.iter().any(|n| of_it(n) && matches!(n, Name::Tag(_))) {
                    for digest in left.iter().filter(|n| of_it(n)) {
                        untag(tx, &id, digest, &mut removed)?;
                    }
                    left.retain(|n| !of_it(n));
                }
                // A running container keeps its image, though it now has no name.
                if !left.is_empty() || users.iter().any(|user| user.running) {
                    return Ok((removed, Rest::default()));
                }
            } else {
                check(&id, &users, are_one(&names), force)?;
                for name in &names {
                    untag(tx, &id, name, &mut removed)?;
                }
            }
            removed.deleted.push(id.clone());
            events::record(tx, "delete", &id, None)?;
            let mut rest = Rest::default();
            if users.is_empty() {
                rest = delete(tx, &id)?;
            } else {
                tx.execute("UPDATE image SET removed = 1 WHERE id = ?", [id.as_str()])?;
            }
            removed.deleted.extend(rest.layers.iter().cloned());
            Ok((removed, rest))
        })?;
        discard(self, &rest)?;
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
        let rest = self.store.transaction(|tx| {
            let mut rest = Rest::default();
            for id in unused(tx)? {
                rest.append(delete(tx, &id)?);
            }
            Ok(rest)
        })?;
        discard(self, &rest).map(drop)
    }

    /// Removes what processes left behind when they were killed: staging folders, layers and blobs
    /// without a row, removed images without containers; and blobs that no image has used for a day.
    ///
    /// # Errors
    /// When the database or the disk refuses.
    pub fn sweep(&mut self) -> Result<()> {
        staging::sweep(self.paths)?;
        self.collect()?;
        self.clear(false).map(drop)
    }

    /// Removes the blobs that no image uses and nobody has wanted for a day, or `all` of them, with
    /// everything that has no row. Returns the bytes of the disk that this gave back.
    fn clear(&mut self, all: bool) -> Result<u64> {
        blobs::expire(self.store.connection(), self.paths, all)?;
        let connection = self.store.connection();
        let mut rest = Rest { blobs: blobs::orphans(connection, self.paths)?, ..Rest::default() };
        for id in unpacked(self.paths) {
            if !has_layer(connection, &id)? {
                rest.layers.push(id);
            }
        }
        discard(self, &rest)
    }
}

/// Returns the chain IDs that the folder of layers has something of.
pub(crate) fn unpacked(paths: &Paths) -> BTreeSet<Digest> {
    let Ok(entries) = std::fs::read_dir(paths.layers()) else { return BTreeSet::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            format!("sha256:{}", name.strip_suffix(".frame").unwrap_or(&name)).parse().ok()
        })
        .collect()
}

/// What a prune of images took away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrunedImages {
    /// Names, images and layers.
    pub removed: Removed,
    /// How many bytes of the disk this gave back.
    pub reclaimed: u64,
    /// Why others are still there, a sentence each.
    pub failed: Vec<String>,
}

impl Images<'_> {
    /// Removes the images that no container uses and that have no name, or all that no container uses;
    /// and what interrupted pulls have left.
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
        // What a filter says is said of images.
        if filters.is_empty() {
            pruned.reclaimed = pruned.reclaimed.saturating_add(self.clear(true)?);
        }
        self.store.add_prune_event(EventKind::Image, pruned.reclaimed)?;
        Ok(pruned)
    }

    /// Removes an image, unless somebody has come to use it or to name it meanwhile.
    fn prune_one(&mut self, id: &Digest, known: &[ImageName]) -> Result<(Removed, u64)> {
        let (removed, rest) = self.store.transaction(|tx| {
            let mut removed = Removed::default();
            let names = names(tx, id)?;
            let is_new = |name: &Name| matches!(name, Name::Tag(tag) if !known.contains(tag));
            if !users(tx, id)?.is_empty() || names.iter().any(is_new) {
                return Ok((removed, Rest::default()));
            }
            for name in &names {
                untag(tx, id, name, &mut removed)?;
            }
            removed.deleted.push(id.clone());
            events::record(tx, "delete", id, None)?;
            let rest = delete(tx, id)?;
            removed.deleted.extend(rest.layers.iter().cloned());
            Ok((removed, rest))
        })?;
        let bytes = discard(self, &rest)?;
        Ok((removed, bytes))
    }
}

/// Something that an image is called.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Tag(ImageName),
    /// A repository (`domain/path`) and a digest.
    Digest(String, Digest),
}

impl Name {
    fn repository(&self) -> String {
        match self {
            Self::Tag(name) => repository(name),
            Self::Digest(repository, _) => repository.clone(),
        }
    }
}

/// Returns whether these are one name only: none, one, or a tag with the digest of its repository.
fn are_one(names: &[Name]) -> bool {
    match names {
        [Name::Tag(tag), Name::Digest(of, _)] => repository(tag) == *of,
        names => names.len() <= 1,
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

/// Returns what an image is called, tags first.
fn names(tx: &Transaction<'_>, id: &Digest) -> Result<Vec<Name>> {
    let mut statement = tx.prepare("SELECT name FROM tag WHERE image = ? ORDER BY name")?;
    let tags: Vec<String> =
        statement.query_map([id.as_str()], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let sql = "SELECT repository, digest FROM repo_digest WHERE image = ? ORDER BY 1, 2";
    let mut statement = tx.prepare(sql)?;
    let digests: Vec<(String, String)> = statement
        .query_map([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let tags = tags.iter().map(|name| Ok(Name::Tag(stored_name(name)?)));
    let digests =
        digests.into_iter().map(|(of, digest)| Ok(Name::Digest(of, stored_digest(&digest)?)));
    tags.chain(digests).collect()
}

/// Says what stands in the way of removing an image by its id.
fn check(id: &Digest, users: &[User], one_name: bool, force: bool) -> Result<()> {
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
    if !one_name {
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

fn untag(tx: &Transaction<'_>, id: &Digest, name: &Name, removed: &mut Removed) -> Result<()> {
    let shown = match name {
        Name::Tag(name) => {
            let sql = "DELETE FROM tag WHERE name = ? AND image = ?";
            tx.execute(sql, [&name.canonical(), id.as_str()])?;
            name.to_string()
        }
        Name::Digest(repository, digest) => {
            let sql = "DELETE FROM repo_digest WHERE repository = ? AND digest = ? AND image = ?";
            tx.execute(sql, [repository, digest.as_str(), id.as_str()])?;
            by_digest(repository, digest)
        }
    };
    events::record(tx, "untag", id, Some(&shown))?;
    removed.untagged.push(shown);
    Ok(())
}

/// What an image leaves behind on the disk.
#[derive(Debug, Default)]
struct Rest {
    /// Chain IDs, topmost first.
    layers: Vec<Digest>,
    blobs: Vec<Digest>,
}

impl Rest {
    fn append(&mut self, other: Self) {
        self.layers.extend(other.layers);
        self.blobs.extend(other.blobs);
    }
}

/// Deletes an image's rows and those of the layers and blobs that no other image has; returns these.
fn delete(tx: &Transaction<'_>, id: &Digest) -> Result<Rest> {
    let column = |sql: &str| -> Result<Vec<Digest>> {
        let mut statement = tx.prepare(sql)?;
        let rows: Vec<String> = statement
            .query_map([id.as_str()], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        rows.iter().map(|digest| stored_digest(digest)).collect()
    };
    let layers = column("SELECT layer FROM image_layer WHERE image = ? ORDER BY position DESC")?;
    let blobs = column("SELECT DISTINCT blob FROM image_blob WHERE image = ?")?;
    forget_manifest(tx, id)?;
    for table in ["image_blob", "image_layer", "tag", "repo_digest"] {
        tx.execute(&format!("DELETE FROM {table} WHERE image = ?"), [id.as_str()])?;
    }
    tx.execute("DELETE FROM image WHERE id = ?", [id.as_str()])?;
    let mut rest = Rest::default();
    for layer in layers {
        let gone = tx.execute(
            "DELETE FROM layer WHERE chain_id = ?1
             AND NOT EXISTS (SELECT 1 FROM image_layer WHERE layer = ?1)",
            [layer.as_str()],
        )?;
        if gone > 0 {
            rest.layers.push(layer);
        }
    }
    for blob in blobs {
        let gone = tx.execute(
            "DELETE FROM blob WHERE digest = ?1
             AND NOT EXISTS (SELECT 1 FROM image_blob WHERE blob = ?1)",
            [blob.as_str()],
        )?;
        if gone > 0 {
            rest.blobs.push(blob);
        }
    }
    Ok(rest)
}

/// Removes the files of layers and blobs that have no row any more (somebody may have published one
/// again meanwhile): out of sight first, under the database's write lock, then for good. Returns the
/// bytes of the disk that this gives back.
fn discard(images: &mut Images<'_>, rest: &Rest) -> Result<u64> {
    if rest.layers.is_empty() && rest.blobs.is_empty() {
        return Ok(0);
    }
    let paths: &Paths = images.paths;
    let staging = Staging::new(paths)?;
    images.store.transaction(|tx| {
        for layer in &rest.layers {
            if has_layer(tx, layer)? {
                continue;
            }
            for (from, to) in [
                (paths.layer(layer), layer.hex().to_owned()),
                (paths.frame(layer), format!("{}.frame", layer.hex())),
            ] {
                match std::fs::rename(from, staging.join(to)) {
                    Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                        return Err(Error::failed(format!("remove layer {layer}"), e));
                    }
                    _ => {}
                }
            }
        }
        for blob in &rest.blobs {
            if !blobs::is_known(tx, blob)? {
                blobs::take_away(paths, &staging, blob)?;
            }
        }
        Ok(())
    })?;
    Ok(disk::blocks(&staging.join(".")))
}
