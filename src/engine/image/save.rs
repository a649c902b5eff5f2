//! `save`: images in one archive, which is an OCI layout and a docker-archive at once, as docker
//! writes it.
//!
//! Layers go out as the blobs they came as, or were packed to; those that have none, uncompressed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};

use serde_json::{Value, json};
use tar::{EntryType, Header};
use wharf_model::{Digest, ErrorKind, ImageName};

use super::compression::Packing;
use super::outgoing::{Stock, StockLayer, Written};
use super::receive::BlobDescriptor;
use super::staging::Staging;
use super::{Images, events, frame, oci};
use crate::container::create::check_platform;
use crate::engine::Engine;
use crate::{Error, Paths, Result};

/// Images that are to be written. Their blobs are open: whoever removes them now takes nothing away.
pub struct Saving {
    paths: Paths,
    staging: Staging,
    images: Vec<Image>,
}

/// One image of the archive.
struct Image {
    stock: Stock,
    names: Vec<ImageName>,
    manifest: Written,
    /// The descriptors of its layers, lowest first.
    blobs: Vec<BlobDescriptor>,
}

impl Engine {
    /// Returns the images that are to be saved: by a name with its tag or digest, by an id, or all of
    /// a repository by its name alone.
    ///
    /// # Errors
    /// When one isn't there or is for another platform, or its layers' archives are gone.
    pub fn save(&self, references: &[String], platform: Option<&str>) -> Result<Saving> {
        self.with_images(|images| {
            let staging = Staging::new(images.paths)?;
            let mut found: Vec<(Digest, Vec<ImageName>)> = Vec::new();
            for reference in references {
                images.ensure_named(reference)?;
                for (id, name) in images.all_of(reference)? {
                    if let Some(platform) = platform {
                        let document = images.document(&id)?;
                        check_platform(reference, platform, &document.os, &document.architecture)?;
                    }
                    let at = found.iter().position(|(other, _)| *other == id);
                    let at = at.unwrap_or_else(|| {
                        found.push((id, Vec::new()));
                        found.len() - 1
                    });
                    let names = &mut found[at].1;
                    names.extend(name.filter(|name| !names.contains(name)));
                }
            }
            let saved = found.into_iter().map(|(id, names)| images.to_save(&id, names));
            let saved: Vec<Image> = saved.collect::<Result<_>>()?;
            images.store.transaction(|tx| {
                saved.iter().try_for_each(|image| {
                    let name = image.names.first().map(ToString::to_string);
                    events::record(tx, "save", &image.stock.id, name.as_deref())
                })
            })?;
            Ok(Saving { paths: images.paths.clone(), staging, images: saved })
        })
    }
}

impl Images<'_> {
    /// Returns the images that a reference stands for, with the names that it means.
    fn all_of(&self, reference: &str) -> Result<Vec<(Digest, Option<ImageName>)>> {
        let last = reference.rsplit('/').next().unwrap_or(reference);
        if !last.contains([':', '@'])
            && let Ok(name) = reference.parse::<ImageName>()
        {
            let all = self.tags_of(&name)?;
            if !all.is_empty() {
                return Ok(all.into_iter().map(|(name, id)| (id, Some(name))).collect());
            }
        }
        let found = self.find(reference)?;
        Ok(vec![(found.id, found.name)])
    }

    fn to_save(&self, id: &Digest, names: Vec<ImageName>) -> Result<Image> {
        let stock = self.stock(id)?;
        let blobs = stock
            .layers
            .iter()
            .map(|layer| match &layer.blob {
                Some((blob, _)) => Ok(stock.as_stated(blob)),
                None => plain(self.paths, layer),
            })
            .collect::<Result<Vec<_>>>()?;
        let (manifest, _) = stock.manifest(&blobs.iter().collect::<Vec<_>>())?;
        Ok(Image { stock, names, manifest, blobs })
    }
}

/// Describes a layer as the plain archive that it is put together again to.
fn plain(paths: &Paths, layer: &StockLayer) -> Result<BlobDescriptor> {
    let size = frame::length(&paths.frame(&layer.chain_id)).map_err(|_| {
        Error::new(
            ErrorKind::NotFound,
            format!(
                "layer {}: its archive is not here any more: pull or load the image again",
                layer.diff_id
            ),
        )
    })?;
    Ok(BlobDescriptor {
        media_type: Packing::Plain.media_type().to_owned(),
        digest: layer.diff_id.clone(),
        size,
    })
}

impl Saving {
    /// Writes the archive. The same images give the same bytes.
    ///
    /// # Errors
    /// When a layer can't be read, or `to` refuses.
    pub fn write(self, to: &mut dyn Write) -> io::Result<()> {
        let mut out = Out { to, written: BTreeSet::new() };
        for image in &self.images {
            for (layer, blob) in image.stock.layers.iter().zip(&image.blobs) {
                self.layer(&mut out, layer, blob)?;
            }
            out.blob(&image.stock.id, &image.stock.config)?;
            out.blob(&image.manifest.digest, &image.manifest.content)?;
        }
        out.json("index.json", &self.index())?;
        out.json("manifest.json", &self.list())?;
        out.json("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}))?;
        // The end of an archive.
        to.write_all(&[0; 1024])
    }

    fn layer(
        &self,
        out: &mut Out<'_>,
        layer: &StockLayer,
        blob: &BlobDescriptor,
    ) -> io::Result<()> {
        if !out.is_new(&blob.digest) {
            return Ok(());
        }
        out.header(&path(&blob.digest), blob.size)?;
        match &layer.blob {
            Some((_, file)) => {
                let again = crate::init::rootfs::by_descriptor(file);
                let mut file = std::fs::File::open(again)?.take(blob.size);
                let copied = io::copy(&mut file, out.to)?;
                if copied < blob.size {
                    return Err(io::Error::other(format!("blob {} is cut off", blob.digest)));
                }
            }
            None => {
                layer
                    .rebuild(&self.paths, &self.staging, &mut *out.to)
                    .map_err(io::Error::other)?;
            }
        }
        out.pad(blob.size)
    }

    /// Returns the index of the OCI layout: an entry for each name, as most readers expect.
    fn index(&self) -> Value {
        let mut manifests = Vec::new();
        for image in &self.images {
            let descriptor = json!({
                "mediaType": image.manifest.media_type,
                "digest": image.manifest.digest,
                "size": image.manifest.content.len(),
            });
            if image.names.is_empty() {
                manifests.push(descriptor.clone());
            }
            for name in &image.names {
                let mut named = descriptor.clone();
                named["annotations"] = json!({
                    "io.containerd.image.name": name.canonical(),
                    "org.opencontainers.image.ref.name": name.tag(),
                });
                manifests.push(named);
            }
        }
        json!({"schemaVersion": 2, "mediaType": oci::INDEX, "manifests": manifests})
    }

    /// Returns the list of a docker-archive.
    fn list(&self) -> Value {
        let image = |image: &Image| {
            let names: Vec<String> = image.names.iter().map(ToString::to_string).collect();
            let sources: BTreeMap<&str, Value> = image
                .stock
                .layers
                .iter()
                .zip(&image.blobs)
                .map(|(layer, blob)| {
                    let BlobDescriptor { media_type, digest, size } = blob;
                    let source = json!({"mediaType": media_type, "digest": digest, "size": size});
                    (layer.diff_id.as_str(), source)
                })
                .collect();
            json!({
                "Config": path(&image.stock.id),
                "RepoTags": if names.is_empty() { Value::Null } else { json!(names) },
                "Layers": image.blobs.iter().map(|blob| path(&blob.digest)).collect::<Vec<_>>(),
                "LayerSources": sources,
            })
        };
        self.images.iter().map(image).collect()
    }
}

fn path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// An archive that is being written.
struct Out<'a> {
    to: &'a mut dyn Write,
    /// Blobs that are in it.
    written: BTreeSet<Digest>,
}

impl Out<'_> {
    fn is_new(&mut self, digest: &Digest) -> bool {
        self.written.insert(digest.clone())
    }

    fn header(&mut self, path: &str, size: u64) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_path(path)?;
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(size);
        header.set_cksum();
        self.to.write_all(header.as_bytes())
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let padding = usize::try_from(size.next_multiple_of(512) - size).unwrap_or(0);
        self.to.write_all(&[0; 512][..padding])
    }

    fn file(&mut self, path: &str, content: &[u8]) -> io::Result<()> {
        let size = content.len() as u64;
        self.header(path, size)?;
        self.to.write_all(content)?;
        self.pad(size)
    }

    fn blob(&mut self, digest: &Digest, content: &[u8]) -> io::Result<()> {
        if self.is_new(digest) { self.file(&path(digest), content) } else { Ok(()) }
    }

    fn json(&mut self, path: &str, document: &Value) -> io::Result<()> {
        self.file(path, &serde_json::to_vec(document)?)
    }
}
