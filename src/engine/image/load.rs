//! `load`: images out of an archive as `docker save`, `skopeo copy` and image builders write it.
//!
//! The archive is spooled, its documents are read and checked into [`Candidate`]s, the layers that
//! aren't here yet are unpacked in a staging folder, and everything is published at once.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use wharf_model::{Digest, ImageName};

use super::archive::{Archive, Member, explain, invalid, parse};
use super::compression::decompress;
use super::document::{ArchiveImage, ConfigDocument};
use super::hash::{self, HashReader};
use super::publish::{NewImage, Published, Unpacked, chain, has_layer, publish};
use super::staging::Staging;
use super::unpack::unpack;
use super::{Images, oci};
use crate::{Error, Result};

/// An image that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Its id.
    pub id: Digest,
    /// The names it got.
    pub tags: Vec<ImageName>,
    /// Names that another image had until now, with that image's id.
    pub replaced: Vec<(ImageName, Digest)>,
}

impl Loaded {
    /// Returns the lines that docker prints.
    pub fn lines(&self) -> Vec<String> {
        let replaced = self.replaced.iter().map(|(name, old)| {
            format!(
                "The image {name} already exists, renaming the old one with ID {old} to empty \
                 string"
            )
        });
        let mut lines: Vec<String> = replaced.collect();
        if self.tags.is_empty() {
            lines.push(format!("Loaded image ID: {}", self.id));
        }
        lines.extend(self.tags.iter().map(|name| format!("Loaded image: {name}")));
        lines
    }
}

/// An image of an archive, its documents checked, its layers not yet.
pub(super) struct Candidate {
    pub(super) config: Vec<u8>,
    pub(super) tags: Vec<ImageName>,
    pub(super) manifest: Option<Digest>,
    /// Lowest first.
    pub(super) layers: Vec<Member>,
}

impl Images<'_> {
    /// Takes in all images of a docker-archive or OCI archive, compressed or not.
    ///
    /// # Errors
    /// When the archive is damaged, a digest doesn't fit, or the disk is full; then no image and no
    /// layer of it stays.
    pub fn load(&mut self, archive: impl Read) -> Result<Vec<Loaded>> {
        // Not this work's business if it fails: what is in the way is in the way of others too.
        let _ = self.sweep();
        let staging = Staging::new(self.paths)?;
        let archive = Archive::spool(archive, &staging)?;
        let candidates = if archive.find("manifest.json").is_some() {
            docker_images(&archive)?
        } else if archive.find("index.json").is_some() {
            oci::images(&archive)?
        } else {
            return Err(invalid(
                "not an image archive: neither manifest.json (docker save) nor index.json (OCI \
                 layout) is in it; to make an image of a root filesystem, use import",
            ));
        };
        self.install(&staging, candidates)
    }

    fn install(&mut self, staging: &Staging, candidates: Vec<Candidate>) -> Result<Vec<Loaded>> {
        let mut images = Vec::new();
        let mut sources = Vec::new();
        for candidate in candidates {
            let id = hash::digest(&candidate.config);
            let what = format!("configuration {id}");
            let document: ConfigDocument = parse(&candidate.config, &what)?;
            let diff_ids = document.diff_ids().to_vec();
            if diff_ids.len() != candidate.layers.len() {
                return Err(invalid(format!(
                    "image {id}: its configuration names {} layers, its manifest {}",
                    diff_ids.len(),
                    candidate.layers.len()
                )));
            }
            images.push(NewImage {
                id,
                config: candidate.config,
                created: document.created.map(|t| t.timestamp_millis()),
                manifest: candidate.manifest,
                diff_ids,
                tags: candidate.tags,
                action: "load",
            });
            sources.push(candidate.layers);
        }
        let mut unpacked = BTreeMap::new();
        // Others may remove a layer that the first pass counts on; the second counts on none.
        for share in [true, false] {
            let mut is_whole = true;
            for (image, layers) in images.iter().zip(&sources) {
                is_whole = is_whole
                    && self.unpack_missing(staging, image, layers, &mut unpacked, share)?;
            }
            if !is_whole {
                continue;
            }
            match publish(self.store, self.paths, staging, &images, &unpacked)? {
                Published::Missing => {}
                Published::Done(replaced) => {
                    return Ok(images
                        .into_iter()
                        .map(|image| Loaded {
                            replaced: replaced
                                .iter()
                                .filter(|(name, _)| image.tags.contains(name))
                                .cloned()
                                .collect(),
                            id: image.id,
                            tags: image.tags,
                        })
                        .collect());
                }
            }
        }
        Err(Error::failed("load images", "a layer that was unpacked is missing"))
    }

    /// Unpacks the layers that aren't here; with `share` unset, those too. Returns false when a
    /// layer that was here has been removed meanwhile.
    fn unpack_missing(
        &self,
        staging: &Staging,
        image: &NewImage,
        layers: &[Member],
        unpacked: &mut BTreeMap<Digest, Unpacked>,
        share: bool,
    ) -> Result<bool> {
        let chain = chain(&image.diff_ids);
        let mut lowers: Vec<PathBuf> = Vec::new();
        let mut shared = Vec::new();
        for ((id, diff_id), member) in chain.iter().zip(&image.diff_ids).zip(layers) {
            let here = unpacked.get(id).map(|u| u.path.clone());
            let path = match here {
                Some(path) => path,
                None if share && has_layer(self.store.connection(), id)? => {
                    let path = self.paths.layer(id);
                    let Some(layer) = Shared::open(&path) else {
                        return Ok(false);
                    };
                    shared.push(layer);
                    path
                }
                None => {
                    let layer = unpack_layer(staging, id, diff_id, member, &lowers);
                    if !shared.iter().all(Shared::is_there) {
                        let folder = staging.layer(id);
                        std::fs::remove_dir_all(&folder).map_err(|e| {
                            Error::failed(format!("remove {}", folder.display()), e)
                        })?;
                        return Ok(false);
                    }
                    let layer = layer?;
                    let path = layer.path.clone();
                    unpacked.insert(id.clone(), layer);
                    path
                }
            };
            lowers.insert(0, path);
        }
        Ok(true)
    }
}

/// A layer that was here before and that others may remove.
struct Shared {
    path: PathBuf,
    // Kept open, so that its inode's number can't be another folder's.
    folder: File,
}

impl Shared {
    fn open(path: &Path) -> Option<Self> {
        Some(Self { path: path.to_owned(), folder: File::open(path).ok()? })
    }

    /// Returns whether the folder still stands where it stood, and so was whole all the time.
    fn is_there(&self) -> bool {
        let id = |metadata: Metadata| (metadata.dev(), metadata.ino());
        match (self.folder.metadata(), std::fs::metadata(&self.path)) {
            (Ok(opened), Ok(found)) => id(opened) == id(found),
            _ => false,
        }
    }
}

fn unpack_layer(
    staging: &Staging,
    id: &Digest,
    diff_id: &Digest,
    member: &Member,
    lowers: &[PathBuf],
) -> Result<Unpacked> {
    let failed = |e| Error::failed(format!("layer {diff_id}"), explain(e));
    let file = File::open(&member.path).map_err(failed)?;
    let path = staging.layer(id);
    std::fs::create_dir(&path).map_err(failed)?;
    let mut tar = HashReader::new(decompress(file).map_err(failed)?);
    let result = unpack(&mut tar, &path, lowers);
    // A wrong layer is called that, whatever else unpacking it led to; but a broken disk is not.
    let storage = |e: &std::io::Error| e.kind() == std::io::ErrorKind::StorageFull;
    let size = match result {
        Err(e) if storage(&e) => return Err(failed(e)),
        other => {
            let found = tar.finish();
            match (other, found) {
                (_, Ok((found, _))) if found != *diff_id => {
                    return Err(invalid(format!(
                        "layer {diff_id}: diff ID mismatch: its content is {found}"
                    )));
                }
                (Ok(size), Ok(_)) => size,
                (Err(e), _) | (_, Err(e)) => return Err(failed(e)),
            }
        }
    };
    Ok(Unpacked { path, size })
}

/// Returns the images of a docker-archive: old ones have a folder with `layer.tar` for each layer
/// (links where layers are the same), new ones the blobs of an OCI layout.
fn docker_images(archive: &Archive) -> Result<Vec<Candidate>> {
    let images: Vec<ArchiveImage> = archive.member("manifest.json")?.json("manifest.json")?;
    let manifests = oci::manifests_by_config(archive);
    images
        .into_iter()
        .map(|image| {
            let member = checked(archive, &image.config, "configuration")?;
            let tags = image.repo_tags.unwrap_or_default();
            let layers = image.layers.unwrap_or_default();
            Ok(Candidate {
                config: member.bytes("configuration")?,
                manifest: manifests.get(&member.digest).cloned(),
                tags: tags
                    .iter()
                    .map(|tag| tag.parse::<ImageName>())
                    .collect::<std::result::Result<_, _>>()
                    .map_err(|e| invalid(format!("manifest.json: {e}")))?,
                layers: layers
                    .iter()
                    .map(|path| checked(archive, path, "layer").cloned())
                    .collect::<Result<_>>()?,
            })
        })
        .collect()
}

/// Returns a member, whose name may be its digest.
fn checked<'a>(archive: &'a Archive, path: &str, what: &str) -> Result<&'a Member> {
    let member = archive.member(path)?;
    let name = path.rsplit('/').next().unwrap_or(path);
    let stated = format!("sha256:{}", name.strip_suffix(".json").unwrap_or(name));
    let is_named = what == "configuration" || path.contains("blobs/sha256/");
    match stated.parse::<Digest>() {
        Ok(stated) if is_named && stated != member.digest => Err(invalid(format!(
            "{what} {stated}: digest mismatch: its content is {}",
            member.digest
        ))),
        _ => Ok(member),
    }
}
