//! `images`, `history` and what `inspect` needs; and `tag`.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use wharf_inspect::filter::ImageFilter;
use wharf_model::{
    Digest, ErrorKind, Filters, HistoryEntry, ImageDetail, ImageName, ImageSummary, LayerInfo,
};

use super::archive::parse;
use super::document::ConfigDocument;
use super::resolve::{by_digest, stored_digest};
use super::{Images, events, publish};
use crate::{Error, Result};

/// A row of the image table with what belongs to it.
struct Row {
    id: String,
    created: Option<i64>,
    config: Vec<u8>,
    size: u64,
    containers: usize,
}

const ROWS: &str = "
SELECT id, created, config,
       (SELECT coalesce(sum(size), 0) FROM image_layer JOIN layer ON layer = chain_id
        WHERE image = image.id),
       (SELECT count(*) FROM container WHERE container.image = image.id)
FROM image WHERE removed = 0";

impl Images<'_> {
    /// Returns all images, newest first.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn list(&self) -> Result<Vec<ImageSummary>> {
        let mut tags = self.all_tags()?;
        let mut statement =
            self.store.connection().prepare(&format!("{ROWS} ORDER BY created DESC, id"))?;
        let rows: Vec<Row> = statement.query_map([], read_row)?.collect::<rusqlite::Result<_>>()?;
        rows.into_iter()
            .map(|row| {
                let id = stored_digest(&row.id)?;
                let tags = tags.remove(&id).unwrap_or_default();
                let digests = self.repo_digests(&id)?;
                Ok(summary(id, tags, digests, &row)?.0)
            })
            .collect()
    }

    /// Returns the images that are wanted, with those of their names that are.
    ///
    /// # Errors
    /// As for [`Images::list`], and when a filter means nothing or names an image that isn't there.
    pub fn list_filtered(&self, filters: &Filters) -> Result<Vec<ImageSummary>> {
        let mut filter = ImageFilter::new(filters, Utc::now())
            .map_err(|cause| Error::new(ErrorKind::Invalid, cause.to_string()))?;
        let created = |reference: &str| Ok::<_, Error>(self.detail(reference)?.summary.created);
        let (before, since) = filter.limits();
        let (before, since) = (before.map(created), since.map(created));
        filter.set_limits(before.transpose()?, since.transpose()?);
        Ok(self.list()?.into_iter().filter_map(|image| filter.apply(image)).collect())
    }

    /// Returns the ids of an image and of those whose lowest layers are all of its layers, removed
    /// ones that containers still use among them.
    ///
    /// # Errors
    /// When there is none such.
    pub fn descendants(&self, reference: &str) -> Result<Vec<Digest>> {
        let ancestor = self.find(reference)?.id;
        let layers = self.layer_ids(&ancestor)?;
        let mut statement = self.store.connection().prepare("SELECT id FROM image")?;
        let ids: Vec<String> =
            statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        let mut images = Vec::new();
        for id in ids {
            let id = stored_digest(&id)?;
            let descends = !layers.is_empty() && self.layer_ids(&id)?.starts_with(&layers);
            if id == ancestor || descends {
                images.push(id);
            }
        }
        Ok(images)
    }

    /// Returns the bytes of an image's layers, unpacked.
    ///
    /// # Errors
    /// When the database can't be read.
    pub fn size(&self, id: &Digest) -> Result<u64> {
        Ok(count(self.store.connection().query_row(
            "SELECT coalesce(sum(size), 0) FROM image_layer JOIN layer ON layer = chain_id
             WHERE image = ?",
            [id.as_str()],
            |row| row.get(0),
        )?))
    }

    /// Returns what is known of one image.
    ///
    /// # Errors
    /// When there is none such.
    pub fn detail(&self, reference: &str) -> Result<ImageDetail> {
        let id = self.find(reference)?.id;
        let sql = format!("{ROWS} AND id = ?");
        let row = self.store.connection().query_row(&sql, [id.as_str()], read_row)?;
        let (summary, document) =
            summary(id.clone(), self.tags(&id)?, self.repo_digests(&id)?, &row)?;
        let last = document.history.iter().flatten().next_back();
        let comment = match (document.comment.is_empty(), last) {
            // As with docker, that of the last step is the image's.
            (true, Some(step)) => step.comment.clone(),
            _ => document.comment,
        };
        Ok(ImageDetail {
            summary,
            layers: self.layers(&id)?,
            architecture: document.architecture,
            os: document.os,
            author: document.author,
            comment,
            config: document.config.unwrap_or_default(),
        })
    }

    /// Returns the steps that made an image, newest first.
    ///
    /// # Errors
    /// When there is none such.
    pub fn history(&self, reference: &str) -> Result<Vec<HistoryEntry>> {
        let id = self.find(reference)?.id;
        let document = self.document(&id)?;
        let mut layers = self.layers(&id)?.into_iter();
        let mut steps: Vec<HistoryEntry> = Vec::new();
        for step in document.history.unwrap_or_default() {
            let layer = if step.empty_layer { None } else { layers.next() };
            steps.push(HistoryEntry {
                id: None,
                created: step.created,
                created_by: step.created_by,
                comment: step.comment,
                size: layer.map_or(0, |l| l.size),
                empty_layer: step.empty_layer,
                tags: Vec::new(),
            });
        }
        // Not every builder writes a history of all its layers.
        steps.extend(layers.map(|layer| HistoryEntry {
            id: None,
            created: None,
            created_by: String::new(),
            comment: String::new(),
            size: layer.size,
            empty_layer: false,
            tags: Vec::new(),
        }));
        steps.reverse();
        if let Some(newest) = steps.first_mut() {
            newest.tags = self.tags(&id)?;
            newest.id = Some(id);
        }
        Ok(steps)
    }

    /// Gives an image one more name. An image that had the name keeps its others.
    ///
    /// # Errors
    /// When there is no such image, or the name would be taken for a digest.
    pub fn tag(&mut self, reference: &str, name: &ImageName) -> Result<()> {
        if name.familiar_repository() == "sha256" {
            return Err(Error::new(
                ErrorKind::Invalid,
                "refusing to create an ambiguous tag using digest algorithm as name",
            ));
        }
        let id = self.find(reference)?.id;
        self.store.transaction(|tx| {
            publish::set_tag(tx, name, &id)?;
            events::record(tx, "tag", &id, Some(&name.to_string()))
        })
    }

    /// Returns the names of an image.
    pub(super) fn tags(&self, id: &Digest) -> Result<Vec<ImageName>> {
        let mut statement = self
            .store
            .connection()
            .prepare("SELECT name FROM tag WHERE image = ? ORDER BY name")?;
        let names: Vec<String> = statement
            .query_map([id.as_str()], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        names.iter().map(|name| stored_name(name)).collect()
    }

    /// Returns all names that a name's repository has here.
    pub(super) fn tags_of(&self, name: &ImageName) -> Result<Vec<(ImageName, Digest)>> {
        let wanted = super::resolve::repository(name);
        let all = self
            .all_tags()?
            .into_iter()
            .flat_map(|(id, names)| names.into_iter().map(move |name| (name, id.clone())));
        let mut tags: Vec<_> =
            all.filter(|(other, _)| super::resolve::repository(other) == wanted).collect();
        tags.sort();
        Ok(tags)
    }

    /// Returns by which digests repositories know an image, as lists show them.
    fn repo_digests(&self, id: &Digest) -> Result<Vec<String>> {
        let mut statement = self.store.connection().prepare_cached(
            "SELECT repository, digest FROM repo_digest WHERE image = ? ORDER BY 1, 2",
        )?;
        let rows: Vec<(String, String)> = statement
            .query_map([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        rows.iter().map(|(name, digest)| Ok(by_digest(name, &stored_digest(digest)?))).collect()
    }

    fn all_tags(&self) -> Result<BTreeMap<Digest, Vec<ImageName>>> {
        let mut statement =
            self.store.connection().prepare("SELECT image, name FROM tag ORDER BY name")?;
        let rows: Vec<(String, String)> = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let mut tags: BTreeMap<Digest, Vec<ImageName>> = BTreeMap::new();
        for (image, name) in rows {
            tags.entry(stored_digest(&image)?).or_default().push(stored_name(&name)?);
        }
        Ok(tags)
    }

    pub(super) fn layers(&self, id: &Digest) -> Result<Vec<LayerInfo>> {
        let mut statement = self.store.connection().prepare(
            "SELECT chain_id, diff_id, size FROM image_layer JOIN layer ON layer = chain_id
             WHERE image = ? ORDER BY position",
        )?;
        let rows: Vec<(String, String, u64)> = statement
            .query_map([id.as_str()], |row| Ok((row.get(0)?, row.get(1)?, count(row.get(2)?))))?
            .collect::<rusqlite::Result<_>>()?;
        rows.into_iter()
            .map(|(chain_id, diff_id, size)| {
                let chain_id = stored_digest(&chain_id)?;
                let path = Some(self.paths.layer(&chain_id).to_string_lossy().into_owned());
                let diff_id = stored_digest(&diff_id)?;
                Ok(LayerInfo { diff_id, chain_id, size, path, space: None })
            })
            .collect()
    }
}

fn read_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok(Row {
        id: row.get(0)?,
        created: row.get(1)?,
        config: row.get(2)?,
        size: count(row.get(3)?),
        containers: usize::try_from(row.get::<_, i64>(4)?).unwrap_or_default(),
    })
}

/// Returns a number of the database that is never negative.
fn count(n: i64) -> u64 {
    u64::try_from(n).unwrap_or_default()
}

fn summary(
    id: Digest,
    tags: Vec<ImageName>,
    repo_digests: Vec<String>,
    row: &Row,
) -> Result<(ImageSummary, ConfigDocument)> {
    let document: ConfigDocument = parse(&row.config, &format!("configuration {id}"))?;
    let summary = ImageSummary {
        id,
        tags,
        repo_digests,
        created: row.created.and_then(DateTime::from_timestamp_millis),
        size: row.size,
        containers: row.containers,
        labels: document.config.as_ref().map(|c| c.labels.clone()).unwrap_or_default(),
    };
    Ok((summary, document))
}

/// Returns a name as the database has it.
pub(super) fn stored_name(text: &str) -> Result<ImageName> {
    text.parse().map_err(|e: wharf_model::ParseError| Error::failed("state database", e))
}
