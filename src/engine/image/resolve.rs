//! From what users type to one image.

use std::path::PathBuf;

use rusqlite::OptionalExtension;
use wharf_model::{Digest, ErrorKind, ImageConfig, ImageName};

use super::Images;
use super::archive::parse;
use super::document::ConfigDocument;
use crate::{Error, Result};

/// An image as containers are made from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The digest of its configuration.
    pub id: Digest,
    /// What it says about its containers.
    pub config: ImageConfig,
    /// The operating system it is for, or empty.
    pub os: String,
    /// The processor it is for (`amd64`), or empty.
    pub architecture: String,
    /// Its unpacked layers, topmost first, as overlayfs wants them.
    pub lower_dirs: Vec<PathBuf>,
}

/// What a reference turned out to be.
pub(super) struct Found {
    pub(super) id: Digest,
    /// The name, when it was a name.
    pub(super) name: Option<ImageName>,
    /// The repository and the digest, when it was those.
    pub(super) digest: Option<(String, Digest)>,
}

impl Images<'_> {
    /// Returns the image that a name, `name@digest`, id, or the beginning of an id stands for.
    ///
    /// # Errors
    /// When there is none (docker's sentence), or the beginning fits several.
    pub fn resolve(&self, reference: &str) -> Result<Image> {
        let id = self.find(reference)?.id;
        let document = self.document(&id)?;
        let mut lower_dirs = self.layer_ids(&id)?;
        lower_dirs.reverse();
        Ok(Image {
            id,
            config: document.config.unwrap_or_default(),
            os: document.os,
            architecture: document.architecture,
            lower_dirs: lower_dirs.iter().map(|layer| self.paths.layer(layer)).collect(),
        })
    }

    /// Returns the configuration of an image that a container was made from, whether or not the image
    /// was removed meanwhile.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) fn config(&self, id: &Digest) -> Result<ImageConfig> {
        Ok(self.document(id)?.config.unwrap_or_default())
    }

    /// Returns the layers of an image that a container was made from, topmost first, whether or not
    /// the image was removed meanwhile.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn lower_dirs(&self, id: &Digest) -> Result<Vec<PathBuf>> {
        Ok(self.layer_ids(id)?.iter().rev().map(|layer| self.paths.layer(layer)).collect())
    }

    /// Returns the image's id and, if it was named, its name. A name goes before an id.
    pub(super) fn find(&self, reference: &str) -> Result<Found> {
        if let Some((name, digest)) = reference.split_once('@') {
            return self.find_digest(reference, name, digest);
        }
        let name = reference.parse::<ImageName>();
        if let Ok(name) = &name
            && let Some(id) = self.tagged(name)?
        {
            return Ok(Found { id, name: Some(name.clone()), digest: None });
        }
        if let Some(id) = self.find_prefix(reference)? {
            return Ok(Found { id, name: None, digest: None });
        }
        match name {
            Ok(name) => Err(not_found(&name.to_string())),
            // An id with its algorithm is no name, and neither is a whole id.
            Err(_) if reference.starts_with("sha256:") || is_hex_id(reference) => {
                Err(not_found(reference))
            }
            Err(e) => Err(Error::new(ErrorKind::Invalid, e.to_string())),
        }
    }

    fn find_digest(&self, reference: &str, name: &str, digest: &str) -> Result<Found> {
        let invalid = |e: wharf_model::ParseError| Error::new(ErrorKind::Invalid, e.to_string());
        let name: ImageName = name.parse().map_err(invalid)?;
        let digest: Digest = digest.parse().map_err(invalid)?;
        let id: Option<String> = self
            .store
            .connection()
            .query_row(
                "SELECT image.id FROM image LEFT JOIN repo_digest ON repo_digest.image = image.id
                 LEFT JOIN tag ON tag.image = image.id
                 WHERE removed = 0 AND (
                     repo_digest.digest = ?1 AND repository = ?2
                     OR image.id = ?1 AND substr(tag.name, 1, length(?2) + 1) = ?2 || ':')",
                [digest.as_str(), repository(&name).as_str()],
                |row| row.get(0),
            )
            .optional()?;
        let id = id.ok_or_else(|| not_found(reference))?;
        Ok(Found { id: stored_digest(&id)?, name: None, digest: Some((repository(&name), digest)) })
    }

    /// Returns the image that has this name.
    pub(super) fn tagged(&self, name: &ImageName) -> Result<Option<Digest>> {
        let id: Option<String> = self
            .store
            .connection()
            .query_row("SELECT image FROM tag WHERE name = ?", [name.canonical()], |row| row.get(0))
            .optional()?;
        id.as_deref().map(stored_digest).transpose()
    }

    fn find_prefix(&self, reference: &str) -> Result<Option<Digest>> {
        let digits = reference.strip_prefix("sha256:").unwrap_or(reference);
        let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if digits.is_empty() || digits.len() > 64 || !digits.bytes().all(is_hex) {
            return Ok(None);
        }
        let mut statement = self.store.connection().prepare(
            // A range, so that the primary key's index serves; g follows the last digit.
            "SELECT id FROM image WHERE id >= ?1 AND id < ?1 || 'g' AND removed = 0 LIMIT 2",
        )?;
        let ids: Vec<String> = statement
            .query_map([format!("sha256:{digits}")], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        match ids.as_slice() {
            [] => Ok(None),
            [id] => stored_digest(id).map(Some),
            _ => Err(Error::new(
                ErrorKind::Conflict,
                format!("image id prefix {reference} is ambiguous: give more digits"),
            )),
        }
    }

    /// Returns the configuration of an image, byte for byte.
    pub(super) fn config_bytes(&self, id: &Digest) -> Result<Vec<u8>> {
        let sql = "SELECT config FROM image WHERE id = ?";
        let config: Option<Vec<u8>> =
            self.store.connection().query_row(sql, [id.as_str()], |row| row.get(0)).optional()?;
        config.ok_or_else(|| not_found(id.as_str()))
    }

    /// Returns the parsed configuration of an image.
    pub(super) fn document(&self, id: &Digest) -> Result<ConfigDocument> {
        parse(&self.config_bytes(id)?, &format!("configuration {id}"))
    }

    /// Returns the chain IDs of an image's layers, lowest first.
    pub(super) fn layer_ids(&self, id: &Digest) -> Result<Vec<Digest>> {
        let mut statement = self
            .store
            .connection()
            .prepare("SELECT layer FROM image_layer WHERE image = ? ORDER BY position")?;
        let ids: Vec<String> = statement
            .query_map([id.as_str()], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        ids.iter().map(|id| stored_digest(id)).collect()
    }
}

fn is_hex_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns a name without its tag, nothing left out: `domain/path`.
pub(super) fn repository(name: &ImageName) -> String {
    format!("{}/{}", name.domain(), name.path())
}

/// Returns a repository with a digest as lists show it.
pub(super) fn by_digest(repository: &str, digest: &Digest) -> String {
    let name = format!("{repository}:latest").parse::<ImageName>();
    let familiar = name.map_or_else(|_| repository.to_owned(), |name| name.familiar_repository());
    format!("{familiar}@{digest}")
}

/// Returns docker's error for an image that isn't there.
pub(super) fn not_found(what: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("No such image: {what}"))
}

/// Returns a digest as the database has it.
pub(super) fn stored_digest(text: &str) -> Result<Digest> {
    text.parse().map_err(|e: wharf_model::ParseError| Error::failed("state database", e))
}
