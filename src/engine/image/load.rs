//! `load`: images out of an archive as `docker save`, `skopeo copy` and image builders write it.
//!
//! The archive's documents are read and checked into [`Candidate`]s, the layers that aren't here yet are
//! unpacked in a staging folder, several at once, and everything is published at once. Of an archive in
//! a file nothing else is written; of one that comes as a stream, see [`Archive::come`].

use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;

use wharf_model::{Digest, ImageName};

use super::archive::{
    Archive, Come, Content, Member, explain, invalid, mismatch, parse, stated_digest,
};
use super::blobs::{self, NewBlob};
use super::compression::{Packing, decompress};
use super::document::{ArchiveImage, ConfigDocument};
use super::frame;
use super::hash::{self, HashReader};
use super::intake::{Intake, Taken};
use super::oci::Wanted;
use super::publish::{
    NewImage, NewManifest, Parts, Published, Unpacked, chain, is_complete, publish,
};
use super::receive::BlobDescriptor;
use super::resolve::repository;
use super::staging::Staging;
use super::work::parallel;
use super::{Images, oci};
use crate::container::create::check_platform;
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
    pub(super) manifest: Option<NewManifest>,
    /// Lowest first.
    pub(super) layers: Vec<ArchiveLayer>,
}

/// A layer of an image of an archive.
pub(super) struct ArchiveLayer {
    pub(super) member: Member,
    /// What the archive says that its blob's digest is.
    pub(super) stated: Option<Digest>,
}

impl Images<'_> {
    /// Takes in all images of a docker-archive or OCI archive, compressed or not, that comes as a
    /// stream.
    ///
    /// # Errors
    /// When the archive is damaged, a digest doesn't fit, or the disk is full; then no image and no
    /// layer of it stays.
    pub fn load(&mut self, archive: impl Read + Send) -> Result<Vec<Loaded>> {
        let staging = self.begin_load()?;
        let archive = self.come(archive, &staging)?;
        self.load_from(&archive, &staging, None, &Wanted::new(None)?)
    }

    /// As [`Images::load`], from a file, which is read where it is if it can be sought in and isn't
    /// compressed as a whole. Of images for several platforms it takes the one for this (`os/arch`)
    /// instead of this host's, and refuses those that are for another only.
    ///
    /// # Errors
    /// As there.
    pub fn load_file(&mut self, file: File, platform: Option<&str>) -> Result<Vec<Loaded>> {
        let failed = |e| Error::failed("read the image archive", explain(e));
        let wanted = Wanted::new(platform)?;
        let staging = self.begin_load()?;
        let archive = match file.metadata().map_err(failed)?.is_file() {
            true => Archive::in_place(file).map_err(failed)?,
            false => Err(file),
        };
        let archive = match archive {
            Ok(archive) => archive,
            Err(file) => self.come(file, &staging)?,
        };
        self.load_from(&archive, &staging, platform, &wanted)
    }

    fn begin_load(&mut self) -> Result<Staging> {
        // Not this work's business if it fails: what is in the way is in the way of others too.
        let _ = self.sweep();
        Staging::new(self.paths)
    }

    fn come(&self, archive: impl Read + Send, staging: &Staging) -> Result<Archive> {
        let connection = self.store.connection();
        let is_here = |digest: &Digest| {
            let layer = "SELECT 1 FROM layer WHERE diff_id = ?";
            connection.query_row(layer, [digest.as_str()], |_| Ok(())).is_ok()
                || blobs::is_known(connection, digest).unwrap_or(false)
        };
        Archive::come(archive, staging, &is_here)
    }

    fn load_from(
        &mut self,
        archive: &Archive,
        staging: &Staging,
        platform: Option<&str>,
        wanted: &Wanted,
    ) -> Result<Vec<Loaded>> {
        let candidates = if archive.find("manifest.json").is_some() {
            docker_images(archive, wanted)?
        } else if archive.find("index.json").is_some() {
            oci::images(archive, wanted)?
        } else {
            return Err(invalid(
                "not an image archive: neither manifest.json (docker save) nor index.json (OCI \
                 layout) is in it; to make an image of a root filesystem, use import",
            ));
        };
        if let Some(platform) = platform {
            for candidate in &candidates {
                let document: ConfigDocument = parse(&candidate.config, "configuration")?;
                let id = hash::digest(&candidate.config);
                let name =
                    candidate.tags.first().map_or_else(|| id.to_string(), ToString::to_string);
                check_platform(&name, platform, &document.os, &document.architecture)?;
            }
        }
        self.install(staging, candidates)
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
            let repo_digests = match &candidate.manifest {
                Some(manifest) => candidate
                    .tags
                    .iter()
                    .map(|name| (repository(name), manifest.digest.clone()))
                    .collect(),
                None => Vec::new(),
            };
            images.push(NewImage {
                id,
                config: candidate.config,
                created: document.created.map(|t| t.timestamp_millis()),
                manifest: candidate.manifest,
                diff_ids,
                tags: candidate.tags,
                repo_digests,
                action: Some("load"),
            });
            sources.push(candidate.layers);
        }
        let mut parts = Parts::default();
        // Others may remove a layer that the first pass counts on; the second counts on none.
        for share in [true, false] {
            let jobs = self.jobs(staging, &images, &sources, &mut parts, share)?;
            work(staging, jobs, &mut parts)?;
            match publish(self.store, self.paths, staging, &images, &parts)? {
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

    /// Takes what was unpacked while it came, and returns what is to be done for the other layers that
    /// aren't here; with `share` unset, for all.
    fn jobs(
        &self,
        staging: &Staging,
        images: &[NewImage],
        sources: &[Vec<ArchiveLayer>],
        parts: &mut Parts,
        share: bool,
    ) -> Result<Vec<Job>> {
        let connection = self.store.connection();
        let mut jobs: Vec<Job> = Vec::new();
        for (image, layers) in images.iter().zip(sources) {
            let ids = chain(&image.diff_ids);
            for ((id, diff_id), layer) in ids.into_iter().zip(&image.diff_ids).zip(layers) {
                if parts.unpacked.contains_key(&id) || jobs.iter().any(|job| job.id == id) {
                    continue;
                }
                let ArchiveLayer { member, stated } = layer;
                let mut unpack = !(share && is_complete(connection, self.paths, &id, diff_id)?);
                let come = match &member.content {
                    Content::Unpacked(come) => Some(come),
                    _ => None,
                };
                if let Some(come) = come {
                    check_come(come, diff_id, stated.as_ref())?;
                    // The folder is for one; the same layer upon another base is unpacked again.
                    if unpack && !parts.unpacked.values().any(|layer| layer.path == come.path) {
                        parts.unpacked.insert(id.clone(), come.unpacked());
                        unpack = false;
                    }
                }
                let read = |e| Error::failed(format!("layer {diff_id}"), explain(e));
                let packed = match come {
                    Some(come) => come.blob.is_some(),
                    None => {
                        Packing::of_reader(&mut member.open()?).map_err(read)? != Packing::Plain
                    }
                };
                let stated = stated.as_ref().or(come.map(|come| &come.taken.digest));
                let is_kept = match stated {
                    Some(stated) => {
                        blobs::open(connection, self.paths, stated)?.is_some()
                            || parts.blobs.iter().any(|blob| blob.digest == *stated)
                    }
                    None => false,
                };
                // A plain one takes more room than what puts it together again.
                let keep = packed
                    && !is_kept
                    && !jobs.iter().any(|job| job.keep.is_some() && job.number == member.number)
                    && !parts.blobs.iter().any(|blob| blob.path == member.blob_path(staging));
                if let (true, Some(come)) = (keep, come) {
                    parts.blobs.push(NewBlob {
                        path: member.blob_path(staging),
                        digest: come.taken.digest.clone(),
                        size: member.size,
                        diff_id: diff_id.clone(),
                    });
                }
                let keep = (keep && come.is_none()).then(|| member.blob_path(staging));
                if unpack || keep.is_some() {
                    jobs.push(Job {
                        id,
                        diff_id: diff_id.clone(),
                        stated: stated.cloned(),
                        number: member.number,
                        size: member.size,
                        content: member.content.clone(),
                        packed,
                        keep,
                        unpack,
                    });
                }
            }
        }
        Ok(jobs)
    }
}

impl Member {
    /// Returns where its blob is, or is written, until it is kept.
    fn blob_path(&self, staging: &Staging) -> PathBuf {
        match &self.content {
            Content::Spooled(_, path) => path.clone(),
            Content::Unpacked(come) if come.blob.is_some() => come.blob.clone().unwrap_or_default(),
            _ => staging.join(format!("blob-{}", self.number)),
        }
    }
}

impl Come {
    fn unpacked(&self) -> Unpacked {
        Unpacked {
            path: self.path.clone(),
            contents: self.taken.contents.clone(),
            frame: self.frame.clone(),
        }
    }
}

/// Checks that what was unpacked while it came is the layer that is wanted.
fn check_come(come: &Come, diff_id: &Digest, stated: Option<&Digest>) -> Result<()> {
    let Taken { digest, diff_id: found, .. } = &come.taken;
    match stated {
        Some(stated) if stated != digest => Err(mismatch("layer", stated, digest)),
        _ if found != diff_id => Err(wrong_content(diff_id, found)),
        _ => Ok(()),
    }
}

fn wrong_content(diff_id: &Digest, found: &Digest) -> Error {
    invalid(format!("layer {diff_id}: diff ID mismatch: its content is {found}"))
}

/// A layer of the archive that something is to be done with.
struct Job {
    /// The chain ID.
    id: Digest,
    diff_id: Digest,
    /// The digest of its blob, as far as it is known.
    stated: Option<Digest>,
    /// Which member of the archive it is.
    number: usize,
    size: u64,
    content: Content,
    packed: bool,
    /// Where its blob is written, if it is to be kept.
    keep: Option<PathBuf>,
    /// Whether it is to be unpacked; else it is only verified.
    unpack: bool,
}

/// Works on several layers at once.
fn work(staging: &Staging, jobs: Vec<Job>, parts: &mut Parts) -> Result<()> {
    let done = parallel(jobs, |job| {
        let (digest, layer) = match job.unpack {
            true => job.unpack(staging).map(|(digest, layer)| (digest, Some(layer)))?,
            false => (job.verify()?, None),
        };
        Ok((job, digest, layer))
    })?;
    for (Job { id, diff_id, size, keep, .. }, digest, layer) in done {
        if let Some(path) = keep
            && !parts.blobs.iter().any(|blob| blob.digest == digest)
        {
            parts.blobs.push(NewBlob { path, digest, size, diff_id });
        }
        if let Some(layer) = layer {
            parts.unpacked.insert(id, layer);
        }
    }
    Ok(())
}

impl Job {
    fn what(&self) -> String {
        format!("layer {}", self.diff_id)
    }

    /// Unpacks it, and writes its blob where that is to be kept; returns the blob's digest, if somebody
    /// needs that.
    fn unpack(&self, staging: &Staging) -> Result<(Digest, Unpacked)> {
        let what = self.what();
        let path = staging.layer(&self.id);
        let frame = (!self.packed).then(|| staging.frame(&self.id));
        let wanted = self.stated.as_ref().map(|stated| BlobDescriptor {
            media_type: String::new(),
            digest: stated.clone(),
            size: self.size,
        });
        let spooled = matches!(self.content, Content::Spooled(..));
        let intake = Intake {
            wanted: wanted.as_ref(),
            digest: self.keep.is_some(),
            keep: self.keep.as_deref().filter(|_| !spooled),
            frame: frame.as_deref(),
        };
        let take =
            |from: &mut dyn Read| intake.run(&what, from, &path, Some(&self.diff_id), &|_| {});
        let taken = match &self.content {
            Content::Unpacked(come) if come.frame.is_some() => self.again(come, staging, take)?,
            _ => take(&mut self.open()?)?,
        };
        Ok((taken.digest, Unpacked { path, contents: taken.contents, frame }))
    }

    /// Takes the archive of a layer that was unpacked while it came once more: its files put it together.
    fn again(
        &self,
        come: &Come,
        staging: &Staging,
        take: impl FnOnce(&mut dyn Read) -> Result<Taken>,
    ) -> Result<Taken> {
        let frame = come.frame.as_deref().unwrap_or(&come.path);
        let failed = |e| Error::failed(self.what(), e);
        let (mut reader, mut writer) = std::io::pipe().map_err(failed)?;
        std::thread::scope(|scope| {
            // Where it ends too early, the digest says so.
            scope.spawn(move || frame::rebuild(frame, &come.path, &staging.join("."), &mut writer));
            take(&mut reader)
        })
    }

    fn open(&self) -> Result<impl Read + use<>> {
        Member { number: self.number, size: self.size, content: self.content.clone() }.open()
    }

    /// Checks that a blob is the layer that the configuration says, and writes it where it is to be kept;
    /// returns its digest.
    fn verify(&self) -> Result<Digest> {
        let what = self.what();
        let failed = |e| Error::failed(&what, explain(e));
        let spooled = matches!(self.content, Content::Spooled(..));
        let to = match self.keep.as_deref().filter(|_| !spooled) {
            Some(path) => Some(File::create_new(path).map_err(failed)?),
            None => None,
        };
        let mut blob = HashReader::new(Copying { from: self.open()?, to });
        let tar = HashReader::new(decompress(&mut blob).map_err(failed)?);
        let (found, _) = tar.finish().map_err(failed)?;
        let (digest, _) = blob.finish().map_err(failed)?;
        match &self.stated {
            Some(stated) if *stated != digest => Err(mismatch("layer", stated, &digest)),
            _ if found != self.diff_id => Err(wrong_content(&self.diff_id, &found)),
            _ => Ok(digest),
        }
    }
}

/// Writes what is read through it.
struct Copying<R> {
    from: R,
    to: Option<File>,
}

impl<R: Read> Read for Copying<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.from.read(buffer)?;
        if let Some(to) = &mut self.to {
            to.write_all(&buffer[..n])?;
        }
        Ok(n)
    }
}

/// Returns the images of a docker-archive: old ones have a folder with `layer.tar` for each layer
/// (links where layers are the same), new ones the blobs of an OCI layout.
fn docker_images(archive: &Archive, wanted: &Wanted) -> Result<Vec<Candidate>> {
    let images: Vec<ArchiveImage> = archive.member("manifest.json")?.json("manifest.json")?;
    let manifests = oci::manifests_by_config(archive, wanted);
    images
        .into_iter()
        .map(|image| {
            let what = "configuration";
            let member = archive.member(&image.config)?;
            let config = match stated_digest(&image.config) {
                Some(stated) => member.verified(&stated, what)?,
                None => member.bytes(what)?,
            };
            let tags = image.repo_tags.unwrap_or_default();
            let layers = image.layers.unwrap_or_default();
            Ok(Candidate {
                manifest: manifests.get(&hash::digest(&config)).cloned(),
                config,
                tags: tags
                    .iter()
                    .map(|tag| tag.parse::<ImageName>())
                    .collect::<std::result::Result<_, _>>()
                    .map_err(|e| invalid(format!("manifest.json: {e}")))?,
                layers: layers
                    .iter()
                    .map(|path| {
                        let member = archive.member(path)?.clone();
                        // Folders of old archives are named by digests of something else.
                        let stated = stated_digest(path).filter(|_| path.contains("blobs/sha256/"));
                        Ok(ArchiveLayer { member, stated })
                    })
                    .collect::<Result<_>>()?,
            })
        })
        .collect()
}
