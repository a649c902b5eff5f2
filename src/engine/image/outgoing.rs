//! An image as others take it: its manifest, its configuration, and its layers as blobs.

use std::fs::File;

use wharf_model::{Digest, ErrorKind};

use super::receive::BlobDescriptor;
use crate::engine::Engine;
use crate::{Error, Result};

/// An image to be sent.
pub struct Outgoing {
    /// Its id, which is the digest of its configuration.
    pub id: Digest,
    /// The manifest, byte for byte as it came where it did.
    pub manifest: Vec<u8>,
    /// The manifest's media type.
    pub media_type: String,
    /// The digest of the manifest.
    pub digest: Digest,
    /// The configuration's blob as the manifest names it.
    pub config_blob: BlobDescriptor,
    /// The configuration.
    pub config: Vec<u8>,
    /// The layers, lowest first.
    pub layers: Vec<OutgoingLayer>,
    /// The repositories (`domain/path`) that have this image under a digest: from where blobs may be
    /// mounted.
    pub repositories: Vec<String>,
}

/// A layer to be sent.
pub struct OutgoingLayer {
    /// Its blob as the manifest names it.
    pub blob: BlobDescriptor,
    /// The digest of its uncompressed tar.
    pub diff_id: Digest,
    file: File,
}

impl OutgoingLayer {
    /// Opens the blob, at its beginning: each time another file to be read from.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn open(&self) -> Result<File> {
        let path = crate::init::rootfs::by_descriptor(&self.file);
        File::open(path)
            .map_err(|e| Error::failed(format!("open the blob {}", self.blob.digest), e))
    }
}

impl Engine {
    /// Returns an image with its blobs. What was pulled, or loaded from an OCI layout, goes out as it
    /// came; layers without a blob (of `import`, `commit`, a docker-archive, the built-in image) are
    /// packed once, to the same bytes each time, and the blob is kept.
    ///
    /// # Errors
    /// When there is no such image, or a layer can't be packed.
    pub fn outgoing(&self, _image: &str) -> Result<Outgoing> {
        Err(Error::new(ErrorKind::Unsupported, "outgoing: not there yet"))
    }
}
