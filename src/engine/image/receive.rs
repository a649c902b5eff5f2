//! Takes in an image whose blobs come one by one, as a registry hands them out.
//!
//! [`Engine::receive`] checks what the manifest and the configuration say of each other, and tells
//! which layers are here. The others come through [`Receiving::layer`], several at once if the caller
//! has several threads. [`Receiving::publish`] makes the image visible in one transaction.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::OptionalExtension;
use wharf_model::{Digest, ErrorKind, ImageName};

use super::archive::{invalid, parse};
use super::blobs::{self, Gate, NewBlob};
use super::document::{ConfigDocument, Descriptor, Manifest};
use super::intake::Intake;
use super::publish::{
    NewImage, NewManifest, Parts, Published, Unpacked, chain, is_complete, publish,
    set_repo_digest, set_tag,
};
use super::resolve::{not_found, stored_digest};
use super::staging::Staging;
use super::{Images, hash, oci};
use crate::engine::Engine;
use crate::state::Store;
use crate::{Error, Paths, Result};

/// What is here of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Here {
    /// All: it needs no [`Receiving::layer`].
    Unpacked,
    /// Its blob, from which [`Receiving::layer`] unpacks it; nothing has to be fetched.
    Blob,
    /// Nothing.
    Missing,
}

/// What names a blob, and bounds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobDescriptor {
    /// Its media type, as the manifest says.
    pub media_type: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
}

/// A layer of an image that is being received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivingLayer {
    /// Its blob.
    pub blob: BlobDescriptor,
    /// The digest of its uncompressed tar.
    pub diff_id: Digest,
    /// What was here of it when the reception began.
    pub here: Here,
}

/// A pull in progress. Dropped before [`Receiving::publish`], it leaves nothing but whole, verified
/// blobs, from which the next one goes on.
pub struct Receiving {
    paths: Paths,
    store: Mutex<Store>,
    staging: Staging,
    image: NewImage,
    /// The layers' chain IDs, lowest first.
    chain: Vec<Digest>,
    layers: Vec<ReceivingLayer>,
    unpacked: Mutex<BTreeMap<Digest, Unpacked>>,
    /// Keeps the blobs that no image has yet.
    _gate: Gate,
}

impl Engine {
    /// Begins to take in an image. `media_type` is the manifest's: OCI's or docker's schema 2.
    ///
    /// # Errors
    /// When the configuration isn't the one that the manifest names, the two disagree about the
    /// layers, or a layer can't be had from here (a foreign one, an unknown media type).
    pub fn receive(&self, manifest: &[u8], media_type: &str, config: &[u8]) -> Result<Receiving> {
        let digest = hash::digest(manifest);
        let what = format!("manifest {digest}");
        let document: Manifest = parse(manifest, &what)?;
        let image = examine(&what, &document, media_type, config)?;
        let blobs = document
            .layers
            .iter()
            .flatten()
            .map(|layer| layer_blob(&what, layer))
            .collect::<Result<Vec<_>>>()?;
        let image = NewImage {
            manifest: Some(NewManifest {
                digest,
                media_type: media_type.to_owned(),
                content: manifest.to_vec(),
                layers: blobs.iter().map(|blob| blob.digest.clone()).collect(),
            }),
            ..image
        };
        let paths = self.paths().clone();
        let mut store = Store::open(&paths.database())?;
        // Not this work's business if it fails: what is in the way is in the way of others too.
        let _ = Images::new(&mut store, &paths).sweep();
        let staging = Staging::new(&paths)?;
        let gate = Gate::hold(&paths)?;
        let chain = chain(&image.diff_ids);
        let mut layers = Vec::new();
        for ((blob, diff_id), id) in blobs.into_iter().zip(&image.diff_ids).zip(&chain) {
            let connection = store.connection();
            let here = if is_complete(connection, &paths, id, diff_id)? {
                Here::Unpacked
            } else if blobs::open(connection, &paths, &blob.digest)?.is_some() {
                blobs::want(connection, &blob.digest)?;
                Here::Blob
            } else {
                Here::Missing
            };
            layers.push(ReceivingLayer { blob, diff_id: diff_id.clone(), here });
        }
        Ok(Receiving {
            paths,
            store: Mutex::new(store),
            staging,
            image,
            chain,
            layers,
            unpacked: Mutex::default(),
            _gate: gate,
        })
    }

    /// Returns the image that a repository (`domain/path`) has under a digest, that of a manifest or
    /// of an index: what [`Receiving::publish`] was told. None when it has to be fetched.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn received(&self, repository: &str, digest: &Digest) -> Result<Option<Digest>> {
        self.with_store(|store| {
            let found: Option<String> = store
                .connection()
                .query_row(
                    "SELECT image FROM repo_digest JOIN image ON image.id = image
                     WHERE repository = ? AND digest = ? AND removed = 0",
                    [repository, digest.as_str()],
                    |row| row.get(0),
                )
                .optional()?;
            found.as_deref().map(stored_digest).transpose()
        })
    }

    /// Gives names to an image that is here, and notes the digest by which a repository knows it: for
    /// a pull that had nothing to fetch, and after a push.
    ///
    /// # Errors
    /// When there is no such image.
    pub fn note_names(
        &self,
        image: &Digest,
        names: &[ImageName],
        repo_digest: Option<(&str, &Digest)>,
    ) -> Result<()> {
        self.with_store(|store| {
            store.transaction(|tx| {
                let sql = "SELECT 1 FROM image WHERE id = ? AND removed = 0";
                if tx.query_row(sql, [image.as_str()], |_| Ok(())).optional()?.is_none() {
                    return Err(not_found(image.as_str()));
                }
                for name in names {
                    set_tag(tx, name, image)?;
                }
                if let Some((repository, digest)) = repo_digest {
                    set_repo_digest(tx, repository, digest, image)?;
                }
                Ok(())
            })
        })
    }
}

impl Receiving {
    /// Returns the image's layers, lowest first.
    pub fn layers(&self) -> &[ReceivingLayer] {
        &self.layers
    }

    /// Returns the image's id, the digest of its configuration.
    pub fn id(&self) -> &Digest {
        &self.image.id
    }

    /// Reads the blob of one layer, verifies it, keeps it, and unpacks it while it arrives. For a
    /// layer whose blob is here `from` isn't read. `progress` is told how many bytes of the blob have
    /// been read so far. Layers may come in any order and at once.
    ///
    /// # Errors
    /// When the bytes aren't those that the manifest names, or reading or writing fails: then nothing
    /// of the layer stays, but its blob if that was whole. A failure of `from` comes back as this
    /// error's cause. With [`ErrorKind::Unavailable`], `from` was another blob than the manifest names:
    /// it may be had elsewhere. With [`ErrorKind::Conflict`], the blob that was here was damaged, and is gone:
    /// begin again.
    pub fn layer(&self, index: usize, from: &mut dyn Read, progress: &dyn Fn(u64)) -> Result<()> {
        let (Some(layer), Some(id)) = (self.layers.get(index), self.chain.get(index)) else {
            return Err(invalid(format!("the image has no layer {index}")));
        };
        if layer.here == Here::Unpacked || locked(&self.unpacked).contains_key(id) {
            return Ok(());
        }
        let what = format!("layer {}", layer.diff_id);
        let path = self.staging.layer(id);
        let blob = self.staging.join(format!("blob-{index}"));
        let kept = {
            let store = locked(&self.store);
            blobs::open(store.connection(), &self.paths, &layer.blob.digest)?
        };
        let is_new = kept.is_none();
        let intake = Intake {
            wanted: Some(&layer.blob),
            keep: is_new.then_some(blob.as_path()),
            ..Intake::default()
        };
        let taken = match kept {
            Some((mut file, _)) => {
                intake.run(&what, &mut file, &path, Some(&layer.diff_id), progress)
            }
            None => intake.run(&what, from, &path, Some(&layer.diff_id), progress),
        };
        let taken = taken.map_err(|error| {
            // What can't be removed now goes with the staging folder.
            let _ = std::fs::remove_dir_all(&path);
            let _ = std::fs::remove_file(&blob);
            match (is_new, error.kind()) {
                (false, ErrorKind::Invalid | ErrorKind::Unavailable) => {
                    self.discard(&layer.blob.digest, &error)
                }
                _ => error,
            }
        })?;
        if is_new {
            let (digest, size) = (layer.blob.digest.clone(), layer.blob.size);
            let blob = NewBlob { path: blob, digest, size, diff_id: layer.diff_id.clone() };
            locked(&self.store).transaction(|tx| blobs::keep(tx, &self.paths, &blob))?;
        }
        let layer = Unpacked { path, contents: taken.contents, frame: None };
        locked(&self.unpacked).insert(id.clone(), layer);
        Ok(())
    }

    /// Removes a blob whose bytes aren't its own any more.
    fn discard(&self, digest: &Digest, cause: &Error) -> Error {
        let forgotten = locked(&self.store).transaction(|tx| {
            blobs::forget(tx, digest)?;
            blobs::take_away(&self.paths, &self.staging, digest)
        });
        match forgotten {
            Ok(()) => Error::new(
                ErrorKind::Conflict,
                format!("{cause}: what was kept of it was damaged and is removed: pull again"),
            ),
            Err(error) => error,
        }
    }

    /// Makes the image visible under these names, and returns its id. `repo_digest` is the repository
    /// (`domain/path`) with the digest that it was asked for or that the registry answered: that of
    /// the manifest, or of the index that led to it.
    ///
    /// # Errors
    /// When a layer wasn't received, or the disk or the database refuses; then nothing is visible.
    /// With [`ErrorKind::Conflict`], a layer that was here has been removed meanwhile: begin again.
    pub fn publish(
        self,
        names: &[ImageName],
        repo_digest: Option<(&str, &Digest)>,
    ) -> Result<Digest> {
        let unpacked = self.unpacked.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut store = self.store.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (layer, id) in self.layers.iter().zip(&self.chain) {
            if layer.here != Here::Unpacked && !unpacked.contains_key(id) {
                return Err(invalid(format!("layer {} was not received", layer.diff_id)));
            }
        }
        let image = NewImage {
            tags: names.to_vec(),
            repo_digests: repo_digest
                .into_iter()
                .map(|(repository, digest)| (repository.to_owned(), digest.clone()))
                .collect(),
            ..self.image
        };
        let id = image.id.clone();
        let parts = Parts { unpacked, ..Parts::default() };
        match publish(&mut store, &self.paths, &self.staging, &[image], &parts)? {
            Published::Done(_) => Ok(id),
            Published::Missing => Err(Error::new(
                ErrorKind::Conflict,
                "a layer of the image was removed while the others came: pull again",
            )),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Checks a manifest against its media type and its configuration, and returns the image they tell of.
fn examine(what: &str, manifest: &Manifest, media_type: &str, config: &[u8]) -> Result<NewImage> {
    if !MANIFESTS.contains(&media_type)
        || manifest.media_type.as_deref().unwrap_or(media_type) != media_type
    {
        return Err(invalid(format!("{what}: it is no image's manifest, but {media_type:?}")));
    }
    let stated = manifest
        .config
        .as_ref()
        .ok_or_else(|| invalid(format!("{what}: it has no configuration")))?;
    let kind = stated.media_type.as_deref().unwrap_or_default();
    if !CONFIGS.contains(&kind) {
        return Err(invalid(format!(
            "{what}: it is not an image, but an artifact of type {kind:?}"
        )));
    }
    let id = hash::digest(config);
    if stated.digest != id.as_str() || stated.size != config.len() as u64 {
        return Err(invalid(format!(
            "configuration {}: digest mismatch: its content is {id}",
            stated.digest
        )));
    }
    let document: ConfigDocument = parse(config, &format!("configuration {id}"))?;
    if !matches!(document.os.as_str(), "" | "linux") {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("image operating system {:?} cannot be used on this platform", document.os),
        ));
    }
    let (named, counted) =
        (document.diff_ids().len(), manifest.layers.as_deref().unwrap_or_default().len());
    if named != counted {
        return Err(invalid(format!(
            "image {id}: its configuration names {named} layers, its manifest {counted}"
        )));
    }
    Ok(NewImage {
        id,
        config: config.to_vec(),
        created: document.created.map(|t| t.timestamp_millis()),
        manifest: None,
        diff_ids: document.diff_ids().to_vec(),
        tags: Vec::new(),
        repo_digests: Vec::new(),
        action: None,
    })
}

const MANIFESTS: [&str; 2] =
    [oci::MANIFEST, "application/vnd.docker.distribution.manifest.v2+json"];
const CONFIGS: [&str; 2] = [oci::CONFIG, "application/vnd.docker.container.image.v1+json"];

/// Returns the blob of a layer that can be had from a registry.
fn layer_blob(what: &str, layer: &Descriptor) -> Result<BlobDescriptor> {
    let media_type = layer.media_type.clone().unwrap_or_default();
    let digest: Digest =
        layer.digest.parse().map_err(|e| invalid(format!("{what}: layer: {e}")))?;
    let refuse = |why: &str| {
        let message = format!("{what}: layer {digest}: {why} ({media_type})");
        Err(Error::new(ErrorKind::Unsupported, message))
    };
    if media_type.contains(".foreign.") || media_type.contains(".nondistributable.") {
        return refuse("a foreign layer, which no registry hands out, can't be had");
    }
    if !LAYERS.iter().any(|kind| media_type.starts_with(kind)) {
        return refuse("its media type is unknown");
    }
    if media_type.ends_with("+encrypted") {
        return refuse("it is encrypted");
    }
    Ok(BlobDescriptor { media_type, digest, size: layer.size })
}

const LAYERS: [&str; 2] =
    ["application/vnd.oci.image.layer.v1.tar", "application/vnd.docker.image.rootfs.diff.tar"];
