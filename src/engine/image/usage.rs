//! How much disk the images take, as the filesystem counts it.

use std::collections::{BTreeMap, BTreeSet};

use wharf_model::{Digest, DiskUsage, ImageUsage, Space};

use super::resolve::stored_digest;
use super::{Images, blobs, unpacked};
use crate::{Result, disk};

impl Images<'_> {
    /// Returns what the images take: all that is in the folders of layers and blobs, and how much of
    /// it a prune of all unused images would give back.
    ///
    /// # Errors
    /// When the database can't be read.
    pub(crate) fn usage(&self) -> Result<DiskUsage> {
        let connection = self.store.connection();
        let of_images = |sql: &str| -> Result<BTreeMap<Digest, BTreeSet<Digest>>> {
            let mut statement = connection.prepare(sql)?;
            let rows: Vec<(String, String)> = statement
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            let mut images: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
            for (thing, image) in rows {
                let image = stored_digest(&image)?;
                images.entry(stored_digest(&thing)?).or_default().insert(image);
            }
            Ok(images)
        };
        let layers = of_images("SELECT layer, image FROM image_layer")?;
        let kept = of_images("SELECT blob, image FROM image_blob")?;
        let used = of_images("SELECT DISTINCT image, image FROM container")?;
        let list = self.list()?;
        let mut space = Space {
            total: list.len(),
            active: list.iter().filter(|image| image.containers > 0).count(),
            ..Space::default()
        };
        let mut add = |size: u64, images: Option<&BTreeSet<Digest>>| {
            space.size = space.size.saturating_add(size);
            if !images.into_iter().flatten().any(|image| used.contains_key(image)) {
                space.reclaimable = space.reclaimable.saturating_add(size);
            }
        };
        for id in unpacked(self.paths) {
            let (layer, frame) = (self.paths.layer(&id), self.paths.frame(&id));
            add(disk::all(&layer).saturating_add(disk::all(&frame)), layers.get(&id));
        }
        for digest in blobs::files(self.paths) {
            add(disk::all(&self.paths.blob(&digest)), kept.get(&digest));
        }
        let image_list = list
            .into_iter()
            .map(|image| {
                let shared = self
                    .layers(&image.id)?
                    .iter()
                    .filter(|layer| layers.get(&layer.chain_id).is_some_and(|all| all.len() > 1))
                    .map(|layer| layer.size)
                    .sum();
                Ok(ImageUsage { image, shared })
            })
            .collect::<Result<_>>()?;
        Ok(DiskUsage { images: space, image_list, ..DiskUsage::default() })
    }
}
