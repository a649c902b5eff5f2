//! OCI image layouts (image specification, "Image Layout") within an archive: which images they
//! hold, for this platform.

use std::collections::BTreeMap;

use wharf_model::{Digest, ImageName};

use super::archive::{Archive, Member, invalid, parse};
use super::document::{Descriptor, Manifest};
use super::load::{ArchiveLayer, Candidate};
use super::publish::NewManifest;
use crate::Result;
use crate::container::create::parse_platform;

/// The media types of a manifest and of a configuration (OCI image specification).
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Indexes within indexes are followed this far.
const MAX_DEPTH: usize = 4;

/// Returns the images of `index.json`: one for each name, and one for each descriptor without.
pub(super) fn images(archive: &Archive, wanted: &Wanted) -> Result<Vec<Candidate>> {
    let index: Manifest = archive.member("index.json")?.json("index.json")?;
    let mut named: Vec<(Option<ImageName>, Vec<Descriptor>)> = Vec::new();
    for descriptor in index.manifests.unwrap_or_default() {
        if is_attestation(&descriptor) {
            continue;
        }
        let name = name(&descriptor);
        match named.iter_mut().find(|(n, _)| name.is_some() && *n == name) {
            Some((_, group)) => group.push(descriptor),
            None => named.push((name, vec![descriptor])),
        }
    }
    if named.is_empty() {
        return Err(invalid("index.json: no image is in it"));
    }
    let mut candidates: Vec<Candidate> = Vec::new();
    for (name, group) in named {
        let candidate = candidate(archive, name, &group, wanted)?;
        // One image may have several names.
        match candidates.iter_mut().find(|c| c.config == candidate.config) {
            Some(same) => same.tags.extend(candidate.tags),
            None => candidates.push(candidate),
        }
    }
    Ok(candidates)
}

/// Returns which manifest each configuration has, as far as there is an `index.json`.
pub(super) fn manifests_by_config(
    archive: &Archive,
    wanted: &Wanted,
) -> BTreeMap<Digest, NewManifest> {
    if archive.find("index.json").is_none() {
        return BTreeMap::new();
    }
    // A docker-archive that has one stands without it.
    images(archive, wanted)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|c| Some((super::hash::digest(&c.config), c.manifest?)))
        .collect()
}

fn candidate(
    archive: &Archive,
    name: Option<ImageName>,
    group: &[Descriptor],
    wanted: &Wanted,
) -> Result<Candidate> {
    let mut descriptor = choose(group, wanted)?.clone();
    for _ in 0..MAX_DEPTH {
        let what = "manifest";
        let (digest, _) = located(archive, &descriptor, what)?;
        let content = archive.document(&digest, what)?;
        let manifest: Manifest = parse(&content, &format!("manifest {}", descriptor.digest))?;
        if let Some(inner) = manifest.manifests {
            let inner: Vec<_> = inner.into_iter().filter(|d| !is_attestation(d)).collect();
            descriptor = choose(&inner, wanted)?.clone();
            continue;
        }
        let Some(config) = manifest.config else {
            return Err(invalid(format!(
                "manifest {}: it has no configuration",
                descriptor.digest
            )));
        };
        let layers = manifest.layers.unwrap_or_default();
        let layers: Vec<ArchiveLayer> = layers
            .iter()
            .map(|layer| {
                let (stated, member) = located(archive, layer, "layer")?;
                Ok(ArchiveLayer { member: member.clone(), stated: Some(stated) })
            })
            .collect::<Result<_>>()?;
        let stated = manifest.media_type.or(descriptor.media_type).unwrap_or_default();
        return Ok(Candidate {
            config: {
                let what = "configuration";
                archive.document(&located(archive, &config, what)?.0, what)?
            },
            manifest: Some(NewManifest {
                digest,
                media_type: if stated.is_empty() { MANIFEST.to_owned() } else { stated },
                content,
                layers: layers.iter().filter_map(|layer| layer.stated.clone()).collect(),
            }),
            tags: name.into_iter().collect(),
            layers,
        });
    }
    Err(invalid("index.json: too many indexes within indexes"))
}

/// Returns the blob that a descriptor names, with its digest; its size is as stated.
fn located<'a>(
    archive: &'a Archive,
    descriptor: &Descriptor,
    what: &str,
) -> Result<(Digest, &'a Member)> {
    let digest: Digest = descriptor.digest.parse().map_err(|e| invalid(format!("{what}: {e}")))?;
    let member = archive.blob(&digest, what)?;
    match member.size == descriptor.size {
        true => Ok((digest, member)),
        false => Err(invalid(format!(
            "{what} {digest}: size mismatch: {} bytes, not {}",
            member.size, descriptor.size
        ))),
    }
}

/// Which of several platforms' images is wanted.
pub(super) struct Wanted {
    os: String,
    architecture: String,
}

impl Wanted {
    /// Returns the platform that is named, or this host's.
    pub(super) fn new(platform: Option<&str>) -> Result<Self> {
        let (os, named) = match platform {
            Some(platform) => parse_platform(platform)?,
            None => ("linux".to_owned(), None),
        };
        Ok(Self { os, architecture: named.unwrap_or_else(|| architecture().to_owned()) })
    }
}

/// Returns the manifest for a platform, or the only one there is.
fn choose<'a>(descriptors: &'a [Descriptor], wanted: &Wanted) -> Result<&'a Descriptor> {
    let fits = |d: &&Descriptor| {
        d.platform
            .as_ref()
            .is_some_and(|p| p.os == wanted.os && p.architecture == wanted.architecture)
    };
    let found =
        descriptors.iter().find(fits).or_else(|| descriptors.iter().find(|d| d.platform.is_none()));
    match (found, descriptors) {
        (Some(found), _) | (None, [found]) => Ok(found),
        _ => {
            let there: Vec<String> = descriptors
                .iter()
                .filter_map(|d| d.platform.as_ref())
                .map(|p| format!("{}/{}", p.os, p.architecture))
                .collect();
            Err(invalid(format!(
                "no image for {}/{} in the archive (there is: {})",
                wanted.os,
                wanted.architecture,
                there.join(", ")
            )))
        }
    }
}

/// Returns this host's architecture in Go's words, as images have it.
pub(super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Build tools put what they know of a build beside the image, for no platform.
fn is_attestation(descriptor: &Descriptor) -> bool {
    descriptor.platform.as_ref().is_some_and(|p| p.os == "unknown")
        || descriptor.annotations.as_ref().is_some_and(|a| {
            a.get("vnd.docker.reference.type").map(String::as_str) == Some("attestation-manifest")
        })
}

/// Returns the name that the annotations give. The specification's own may be a whole name or only
/// a tag; a word that looks like a tag is not taken for a name.
fn name(descriptor: &Descriptor) -> Option<ImageName> {
    let annotations = descriptor.annotations.as_ref()?;
    if let Some(name) = annotations.get("io.containerd.image.name") {
        return name.parse().ok();
    }
    let name = annotations.get("org.opencontainers.image.ref.name")?;
    let digits = name.strip_prefix('v').unwrap_or(name);
    let is_tag = name == "latest" || digits.starts_with(|c: char| c.is_ascii_digit());
    if is_tag && !name.contains(['/', ':']) { None } else { name.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(json: &str) -> Descriptor {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn names_come_from_annotations() {
        for (annotations, wanted) in [
            (r#"{"org.opencontainers.image.ref.name":"latest"}"#, None),
            (r#"{"org.opencontainers.image.ref.name":"1.36"}"#, None),
            (r#"{"org.opencontainers.image.ref.name":"busybox"}"#, Some("busybox:latest")),
            (r#"{"org.opencontainers.image.ref.name":"a/b:1"}"#, Some("a/b:1")),
            (
                r#"{"org.opencontainers.image.ref.name":"1",
                    "io.containerd.image.name":"docker.io/library/x:1"}"#,
                Some("x:1"),
            ),
        ] {
            let d =
                descriptor(&format!(r#"{{"digest":"d","size":1,"annotations":{annotations}}}"#));
            assert_eq!(name(&d).map(|n| n.to_string()).as_deref(), wanted, "{annotations}");
        }
    }

    #[test]
    fn the_manifest_of_this_platform_is_chosen() {
        let of = |arch: &str| {
            descriptor(&format!(
                r#"{{"digest":"{arch}","size":1,
                    "platform":{{"os":"linux","architecture":"{arch}"}}}}"#
            ))
        };
        let both = [of("riscv64"), of(architecture())];
        let here = Wanted::new(None).unwrap();
        assert_eq!(choose(&both, &here).unwrap().digest, architecture());
        let named = Wanted::new(Some("linux/riscv64")).unwrap();
        assert_eq!(choose(&both, &named).unwrap().digest, "riscv64");
        assert_eq!(choose(&both[..1], &here).unwrap().digest, "riscv64");
        let error = choose(&[of("riscv64"), of("s390x")], &here).unwrap_err().to_string();
        assert!(error.contains("there is: linux/riscv64, linux/s390x"), "{error}");
    }
}
