//! Takes in an image whose blobs come one by one, as a registry hands them out.
//!
//! [`Engine::receive`] checks what the manifest and the configuration say of each other, and tells
//! which layers are here. The others come through [`Receiving::layer`], several at once if the caller
//! has several threads. [`Receiving::publish`] makes the image visible in one transaction.

use std::io::Read;

use wharf_model::{Digest, ErrorKind, ImageName};

use crate::engine::Engine;
use crate::{Error, Result};

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
    layers: Vec<ReceivingLayer>,
}

impl Engine {
    /// Begins to take in an image. `media_type` is the manifest's: OCI's or docker's schema 2.
    ///
    /// # Errors
    /// When the configuration isn't the one that the manifest names, the two disagree about the
    /// layers, or a layer can't be had from here (a foreign one, an unknown media type).
    pub fn receive(
        &self,
        _manifest: &[u8],
        _media_type: &str,
        _config: &[u8],
    ) -> Result<Receiving> {
        Err(Error::new(ErrorKind::Unsupported, "receive: not there yet"))
    }

    /// Returns the image that a repository (`domain/path`) has under a digest, that of a manifest or
    /// of an index: what [`Receiving::publish`] was told. None when it has to be fetched.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn received(&self, _repository: &str, _digest: &Digest) -> Result<Option<Digest>> {
        Ok(None)
    }

    /// Gives names to an image that is here, and notes the digest by which a repository knows it: for
    /// a pull that had nothing to fetch, and after a push.
    ///
    /// # Errors
    /// When there is no such image.
    pub fn note_names(
        &self,
        _image: &Digest,
        _names: &[ImageName],
        _repo_digest: Option<(&str, &Digest)>,
    ) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "note_names: not there yet"))
    }
}

impl Receiving {
    /// Returns the image's layers, lowest first.
    pub fn layers(&self) -> &[ReceivingLayer] {
        &self.layers
    }

    /// Returns the image's id, the digest of its configuration.
    pub fn id(&self) -> &Digest {
        &self.layers[0].diff_id
    }

    /// Reads the blob of one layer, verifies it, keeps it, and unpacks it while it arrives. For a
    /// layer whose blob is here `from` isn't read. `progress` is told how many bytes of the blob have
    /// been read so far. Layers may come in any order and at once.
    ///
    /// # Errors
    /// When the bytes aren't those that the manifest names, or reading or writing fails: then nothing
    /// of the layer stays, but its blob if that was whole. A failure of `from` comes back as this
    /// error's cause.
    pub fn layer(
        &self,
        _index: usize,
        _from: &mut dyn Read,
        _progress: &dyn Fn(u64),
    ) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "receive: not there yet"))
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
        _names: &[ImageName],
        _repo_digest: Option<(&str, &Digest)>,
    ) -> Result<Digest> {
        Err(Error::new(ErrorKind::Unsupported, "receive: not there yet"))
    }
}
