//! An image as others take it: its manifest, its configuration, and its layers as blobs.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use flate2::{Compression, GzBuilder};
use rusqlite::{OptionalExtension, params};
use wharf_model::{Digest, ErrorKind, ManifestDescriptor};

use super::archive::{explain, parse};
use super::blobs::{self, NewBlob};
use super::compression::Packing;
use super::conduit::conduit;
use super::document::Manifest;
use super::hash::{self, HashWriter};
use super::receive::BlobDescriptor;
use super::resolve::stored_digest;
use super::staging::Staging;
use super::{Images, frame, oci};
use crate::engine::Engine;
use crate::{Error, Paths, Result};

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
    pub fn outgoing(&self, image: &str) -> Result<Outgoing> {
        self.with_images(|images| images.outgoing(image))
    }
}

impl Images<'_> {
    fn outgoing(&mut self, image: &str) -> Result<Outgoing> {
        let found = self.find(image)?.id;
        let mut stock = self.stock(&found)?;
        for layer in &mut stock.layers {
            if layer.blob.is_none() {
                layer.blob = Some(self.pack(layer)?);
            }
        }
        let mut layers = Vec::new();
        for layer in &stock.layers {
            let Some((descriptor, file)) = &layer.blob else { continue };
            let file = file
                .try_clone()
                .map_err(|e| Error::failed(format!("layer {}", layer.diff_id), e))?;
            let blob = stock.as_stated(descriptor);
            layers.push(OutgoingLayer { blob, diff_id: layer.diff_id.clone(), file });
        }
        let blobs: Vec<_> = layers.iter().map(|layer| &layer.blob).collect();
        let (manifest, config_blob) = stock.manifest(&blobs)?;
        let Written { digest, media_type, content } = manifest;
        Ok(Outgoing {
            id: stock.id,
            manifest: content,
            media_type,
            digest,
            config_blob,
            config: stock.config,
            layers,
            repositories: self.repositories(&found)?,
        })
    }

    /// Returns what is here of an image.
    pub(super) fn stock(&self, id: &Digest) -> Result<Stock> {
        let connection = self.store.connection();
        let came = self.manifest(id)?;
        let named = came.as_ref().and_then(|(_, document)| document.layers.as_deref());
        let diff_ids = self.document(id)?.diff_ids().to_vec();
        let mut layers = Vec::new();
        for (position, (chain_id, diff_id)) in
            self.layer_ids(id)?.into_iter().zip(diff_ids).enumerate()
        {
            // That of the manifest goes before all others.
            let named = named.and_then(|layers| layers.get(position)?.digest.parse().ok());
            let sql = "SELECT blob FROM image_blob WHERE image = ? AND position = ?";
            let position = i64::try_from(position).unwrap_or(i64::MAX);
            let own: Option<String> = connection
                .query_row(sql, params![id.as_str(), position], |row| row.get(0))
                .optional()?;
            let own = own.as_deref().map(stored_digest).transpose()?;
            let other = blobs::of_layer(connection, &diff_id)?;
            let mut blob = None;
            for digest in [named, own, other].into_iter().flatten() {
                if let Some((file, size)) = blobs::open(connection, self.paths, &digest)? {
                    blob = Some((describe(&file, digest, size)?, file));
                    break;
                }
            }
            layers.push(StockLayer { chain_id, diff_id, blob });
        }
        Ok(Stock { id: id.clone(), config: self.config_bytes(id)?, came, layers })
    }

    /// Packs a layer's archive, and keeps the blob.
    fn pack(&mut self, layer: &StockLayer) -> Result<(BlobDescriptor, File)> {
        let what = format!("pack layer {}", layer.diff_id);
        let failed = |e: io::Error| Error::failed(&what, explain(e));
        let paths = self.paths;
        let staging = Staging::new(paths)?;
        let path = staging.join("blob");
        let file = File::create_new(&path).map_err(failed)?;
        let (inlet, mut outlet) = conduit();
        let (rebuilt, packed) = std::thread::scope(|scope| {
            let rebuilding = scope.spawn(|| {
                let inlet = layer.rebuild(paths, &staging, inlet)?;
                inlet.finish().map_err(failed)
            });
            let packing = || {
                // No time, no name, no system: the same bytes each time.
                let to = HashWriter::new(BufWriter::with_capacity(1 << 16, file));
                let mut gzip = GzBuilder::new().write(to, Compression::default());
                io::copy(&mut outlet, &mut gzip)?;
                let (mut file, digest, size) = gzip.finish()?.finish();
                file.flush()?;
                Ok((digest, size))
            };
            let packed: io::Result<_> = packing();
            drop(outlet);
            let panicked = |_| Err(Error::failed(&what, "a thread panicked"));
            (rebuilding.join().unwrap_or_else(panicked), packed)
        });
        let packed = match (rebuilt, packed) {
            (Ok(()), packed) => packed,
            (Err(_), Err(e)) if e.kind() != io::ErrorKind::UnexpectedEof => Err(e),
            (Err(e), _) => return Err(e),
        };
        let (digest, size) = packed.map_err(failed)?;
        let diff_id = layer.diff_id.clone();
        let blob = NewBlob { path, digest: digest.clone(), size, diff_id };
        // Before the row is there: what a row names is whole.
        let folder = File::open(staging.join(".")).map_err(failed)?;
        rustix::fs::syncfs(folder).map_err(|e| failed(e.into()))?;
        self.store.transaction(|tx| blobs::keep(tx, self.paths, &blob))?;
        match blobs::open(self.store.connection(), self.paths, &digest)? {
            Some((file, size)) => Ok((describe(&file, digest, size)?, file)),
            None => Err(Error::failed(&what, "somebody has removed it meanwhile: try again")),
        }
    }

    /// Returns the manifest that an image came with, as text and as a document.
    fn manifest(&self, id: &Digest) -> Result<Option<(Written, Manifest)>> {
        let row: Option<(String, String, Vec<u8>)> = self
            .store
            .connection()
            .query_row(
                "SELECT digest, media_type, content FROM manifest
                 WHERE digest = (SELECT manifest FROM image WHERE id = ?)",
                [id.as_str()],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()?;
        let Some((digest, media_type, content)) = row else { return Ok(None) };
        let document = parse(&content, &format!("manifest {digest}"))?;
        Ok(Some((Written { digest: stored_digest(&digest)?, media_type, content }, document)))
    }

    /// Returns what names the manifest that an image came with.
    pub(crate) fn manifest_descriptor(&self, id: &Digest) -> Result<Option<ManifestDescriptor>> {
        let came = self.manifest(id)?;
        Ok(came.map(|(Written { digest, media_type, content }, _)| ManifestDescriptor {
            media_type,
            digest,
            size: content.len() as u64,
        }))
    }

    fn repositories(&self, id: &Digest) -> Result<Vec<String>> {
        let mut statement = self.store.connection().prepare(
            "SELECT DISTINCT repository FROM repo_digest WHERE image = ? ORDER BY repository",
        )?;
        let rows = statement.query_map([id.as_str()], |row| row.get(0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

/// A manifest as text.
#[derive(Clone)]
pub(super) struct Written {
    pub(super) digest: Digest,
    pub(super) media_type: String,
    pub(super) content: Vec<u8>,
}

/// What is here of an image.
pub(super) struct Stock {
    pub(super) id: Digest,
    pub(super) config: Vec<u8>,
    came: Option<(Written, Manifest)>,
    pub(super) layers: Vec<StockLayer>,
}

/// What is here of a layer.
pub(super) struct StockLayer {
    pub(super) chain_id: Digest,
    pub(super) diff_id: Digest,
    pub(super) blob: Option<(BlobDescriptor, File)>,
}

impl StockLayer {
    /// Writes the layer's archive, uncompressed, and returns what it was written to.
    pub(super) fn rebuild<W: Write>(&self, paths: &Paths, staging: &Staging, to: W) -> Result<W> {
        let mut to = HashWriter::new(to);
        let what = format!("layer {}", self.diff_id);
        let (frame, layer) = (paths.frame(&self.chain_id), paths.layer(&self.chain_id));
        if !frame.exists() {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("{what}: its archive is not here any more: pull or load the image again"),
            ));
        }
        frame::rebuild(&frame, &layer, &staging.join("."), &mut to)
            .map_err(|e| Error::failed(&what, e))?;
        let (to, found, _) = to.finish();
        if found != self.diff_id {
            return Err(Error::failed(
                &what,
                "its files can't be put together again to the archive that they came from: load or \
                 import the image again",
            ));
        }
        Ok(to)
    }
}

impl Stock {
    /// Returns a blob's descriptor with the words of the manifest, if it names that blob.
    pub(super) fn as_stated(&self, blob: &BlobDescriptor) -> BlobDescriptor {
        let layers = self.came.as_ref().and_then(|(_, document)| document.layers.as_deref());
        let stated = layers
            .unwrap_or_default()
            .iter()
            .find(|layer| layer.digest == blob.digest.as_str())
            .and_then(|layer| layer.media_type.clone());
        BlobDescriptor {
            media_type: stated.unwrap_or_else(|| blob.media_type.clone()),
            ..blob.clone()
        }
    }

    /// Returns the manifest for these blobs: the one that came, if they are its own, and the
    /// configuration's descriptor.
    pub(super) fn manifest(&self, blobs: &[&BlobDescriptor]) -> Result<(Written, BlobDescriptor)> {
        let size = self.config.len() as u64;
        let config = |kind: &str| BlobDescriptor {
            media_type: kind.to_owned(),
            digest: self.id.clone(),
            size,
        };
        if let Some((written, document)) = &self.came {
            let named = document.layers.as_deref().unwrap_or_default();
            let same = named.len() == blobs.len()
                && named.iter().zip(blobs).all(|(n, b)| n.digest == b.digest.as_str());
            if same {
                let kind = document.config.as_ref().and_then(|c| c.media_type.as_deref());
                return Ok((written.clone(), config(kind.unwrap_or(oci::CONFIG))));
            }
        }
        let descriptor = |blob: &BlobDescriptor| {
            serde_json::json!({
                "mediaType": if blob.digest == self.id { oci::CONFIG } else { &blob.media_type },
                "digest": blob.digest,
                "size": blob.size,
            })
        };
        let config = config(oci::CONFIG);
        let document = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": oci::MANIFEST,
            "config": descriptor(&config),
            "layers": blobs
                .iter()
                .map(|blob| descriptor(&BlobDescriptor {
                    media_type: oci_layer(&blob.media_type).to_owned(),
                    ..(*blob).clone()
                }))
                .collect::<Vec<_>>(),
        });
        let content = serde_json::to_vec(&document)
            .map_err(|e| Error::failed(format!("write the manifest of image {}", self.id), e))?;
        let (digest, media_type) = (hash::digest(&content), oci::MANIFEST.to_owned());
        Ok((Written { digest, media_type, content }, config))
    }
}

/// Returns OCI's media type for a layer, whatever manifest it came with.
fn oci_layer(media_type: &str) -> &'static str {
    if media_type.ends_with("zstd") {
        Packing::Zstd.media_type()
    } else if media_type.ends_with("gzip") {
        Packing::Gzip.media_type()
    } else {
        Packing::Plain.media_type()
    }
}

fn describe(file: &File, digest: Digest, size: u64) -> Result<BlobDescriptor> {
    let packing =
        Packing::of_file(file).map_err(|e| Error::failed(format!("read blob {digest}"), e))?;
    Ok(BlobDescriptor { media_type: packing.media_type().to_owned(), digest, size })
}
