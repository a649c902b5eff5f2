//! `load`: images out of an archive as `docker save`, `skopeo copy` and image builders write it.
//!
//! The archive is spooled, its documents are read and checked into [`Candidate`]s, the layers that
//! aren't here yet are unpacked in a staging folder, and everything is published at once.

use std::fs::File;
use std::io::Read;
use std::sync::{Mutex, PoisonError};

use wharf_model::{Digest, ImageName};

use super::archive::{Archive, Member, explain, invalid, parse};
use super::blobs::{self, NewBlob};
use super::compression::{Packing, decompress};
use super::document::{ArchiveImage, ConfigDocument};
use super::hash::{self, HashReader};
use super::intake::Intake;
use super::oci::Wanted;
use super::publish::{
    NewImage, NewManifest, Parts, Published, Unpacked, chain, is_complete, publish,
};
use super::resolve::repository;
use super::staging::Staging;
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
    pub(super) layers: Vec<Member>,
}

impl Images<'_> {
    /// Takes in all images of a docker-archive or OCI archive, compressed or not.
    ///
    /// # Errors
    /// When the archive is damaged, a digest doesn't fit, or the disk is full; then no image and no
    /// layer of it stays.
    pub fn load(&mut self, archive: impl Read) -> Result<Vec<Loaded>> {
        self.load_for(archive, None)
    }

    /// As [`Images::load`]; of images for several platforms takes the one for this (`os/arch`) instead
    /// of this host's, and refuses those that are for another only.
    ///
    /// # Errors
    /// As there.
    pub fn load_for(&mut self, archive: impl Read, platform: Option<&str>) -> Result<Vec<Loaded>> {
        let wanted = Wanted::new(platform)?;
        // Not this work's business if it fails: what is in the way is in the way of others too.
        let _ = self.sweep();
        let staging = Staging::new(self.paths)?;
        let archive = Archive::spool(archive, &staging)?;
        let candidates = if archive.find("manifest.json").is_some() {
            docker_images(&archive, &wanted)?
        } else if archive.find("index.json").is_some() {
            oci::images(&archive, &wanted)?
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
                let name = candidate.tags.first().map_or_else(|| id.to_string(), |n| n.to_string());
                check_platform(&name, platform, &document.os, &document.architecture)?;
            }
        }
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
                action: "load",
            });
            sources.push(candidate.layers);
        }
        let mut parts = Parts::default();
        // Others may remove a layer that the first pass counts on; the second counts on none.
        for share in [true, false] {
            let jobs = self.jobs(&images, &sources, &parts, share)?;
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

    /// Returns what is to be done for layers that aren't here; with `share` unset, for all.
    fn jobs(
        &self,
        images: &[NewImage],
        sources: &[Vec<Member>],
        parts: &Parts,
        share: bool,
    ) -> Result<Vec<Job>> {
        let connection = self.store.connection();
        let mut jobs: Vec<Job> = Vec::new();
        for (image, layers) in images.iter().zip(sources) {
            let ids = chain(&image.diff_ids);
            for ((id, diff_id), member) in ids.into_iter().zip(&image.diff_ids).zip(layers) {
                if parts.unpacked.contains_key(&id) || jobs.iter().any(|job| job.id == id) {
                    continue;
                }
                let read = |e| Error::failed(format!("layer {diff_id}"), e);
                let file = File::open(&member.path).map_err(read)?;
                let packed = Packing::of_file(&file).map_err(read)? != Packing::Plain;
                // A plain one takes more room than what puts it together again.
                let keep = packed
                    && !blobs::is_known(connection, &member.digest)?
                    && !parts.blobs.iter().any(|blob| blob.digest == member.digest);
                let unpack = !(share && is_complete(connection, self.paths, &id, diff_id)?);
                if unpack || keep {
                    let (diff_id, member) = (diff_id.clone(), member.clone());
                    jobs.push(Job { id, diff_id, member, packed, keep, unpack });
                }
            }
        }
        Ok(jobs)
    }
}

/// A layer of the archive that something is to be done with.
struct Job {
    /// The chain ID.
    id: Digest,
    diff_id: Digest,
    member: Member,
    packed: bool,
    /// Whether its blob is to be kept.
    keep: bool,
    /// Whether it is to be unpacked; else it is only verified.
    unpack: bool,
}

/// Works on as many layers at once as there are processors.
fn work(staging: &Staging, jobs: Vec<Job>, parts: &mut Parts) -> Result<()> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(jobs.len());
    let jobs = Mutex::new(jobs.into_iter());
    let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
    let done: Vec<Result<Vec<_>>> = std::thread::scope(|scope| {
        let worker = || {
            let mut done = Vec::new();
            while let Some(job) = next() {
                let layer = match job.unpack {
                    true => Some(unpack_layer(staging, &job)?),
                    false => verify(&job).map(|()| None)?,
                };
                done.push((job, layer));
            }
            Ok(done)
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let panicked = |_| Err(Error::failed("unpack the layers", "a thread panicked"));
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(panicked)).collect()
    });
    for (job, layer) in done.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten() {
        if job.keep && !parts.blobs.iter().any(|blob| blob.digest == job.member.digest) {
            let Member { path, digest, size } = job.member;
            parts.blobs.push(NewBlob { path, digest, size, diff_id: job.diff_id });
        }
        if let Some(layer) = layer {
            parts.unpacked.insert(job.id, layer);
        }
    }
    Ok(())
}

fn unpack_layer(staging: &Staging, job: &Job) -> Result<Unpacked> {
    let what = format!("layer {}", job.diff_id);
    let mut file = File::open(&job.member.path).map_err(|e| Error::failed(&what, explain(e)))?;
    let path = staging.layer(&job.id);
    let frame = (!job.packed).then(|| staging.frame(&job.id));
    let intake = Intake { frame: frame.as_deref(), ..Intake::default() };
    let taken = intake.run(&what, &mut file, &path, Some(&job.diff_id), &|_| {})?;
    Ok(Unpacked { path, contents: taken.contents, frame })
}

/// Checks that a blob is the layer that the configuration says.
fn verify(job: &Job) -> Result<()> {
    let Job { diff_id, member, .. } = job;
    let failed = |e| Error::failed(format!("layer {diff_id}"), explain(e));
    let file = File::open(&member.path).map_err(failed)?;
    let (found, _) = HashReader::new(decompress(file).map_err(failed)?).finish().map_err(failed)?;
    match found == *diff_id {
        true => Ok(()),
        false => Err(invalid(format!("layer {diff_id}: diff ID mismatch: its content is {found}"))),
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
