//! Manifests: what registries say of an image, or of several for different machines.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wharf_model::Digest;

use crate::platform::Platform;
use crate::{Error, Result};

/// OCI's manifest of an image.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Docker's manifest of an image.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// OCI's index of several images.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Docker's list of several images.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// What registries may answer with.
pub(crate) const ACCEPTED: [&str; 4] = [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST];

/// Docker's first two generations of manifests, which name nothing that can be verified.
const FORMER: [&str; 2] = [
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
];

/// The configurations of images that can be run.
const CONFIGS: [&str; 2] =
    ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/// The most images that one index may name.
const MOST_ENTRIES: usize = 10_000;

/// A manifest as it came, its digest verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Byte for byte.
    pub bytes: Bytes,
    /// What it is.
    pub media_type: String,
    /// The digest of the bytes.
    pub digest: Digest,
}

/// What names a blob or a manifest, and bounds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Its media type.
    #[serde(default)]
    pub media_type: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// What machine an image of an index is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Remarks.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub annotations: std::collections::BTreeMap<String, String>,
}

/// The manifest of one image.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ImageManifest {
    /// Its configuration.
    pub config: Descriptor,
    /// Its layers, lowest first.
    pub layers: Vec<Descriptor>,
}

/// What a manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// One image.
    Image(Box<ImageManifest>),
    /// Several.
    Index(Vec<Descriptor>),
}

/// The parts that tell what a manifest is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(default)]
    schema_version: u64,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    manifests: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    layers: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

impl Manifest {
    /// Takes in what a registry answered for `reference`. `content_type` is what it calls it.
    ///
    /// # Errors
    /// When it isn't a manifest of an image, or says two things of itself.
    pub(crate) fn new(bytes: Bytes, content_type: &str, reference: &str) -> Result<Self> {
        let wrong = |why: String| Error::invalid(format!("manifest of {reference}: {why}"));
        let stated = content_type.split(';').next().unwrap_or_default().trim();
        let head: Head = serde_json::from_slice(&bytes)
            .map_err(|cause| wrong(format!("it isn't one: {cause}")))?;
        if FORMER.contains(&stated) || head.schema_version == 1 {
            return Err(Error::new(
                wharf_model::ErrorKind::Unsupported,
                format!(
                    "{reference}: its manifest is of version 2, schema 1, which nobody writes any \
                     more: have it pushed anew by a current program"
                ),
            ));
        }
        if head.schema_version != 2 {
            return Err(wrong(format!("schema version {} is unknown", head.schema_version)));
        }
        if head.manifests.is_some() && head.layers.is_some() {
            // Two readers could see two things in it (CVE-2021-41190).
            return Err(wrong("it is both one image and several".to_owned()));
        }
        let known = |name: &str| ACCEPTED.contains(&name);
        let media_type = match (&head.media_type, stated) {
            (Some(own), stated) if known(stated) && own != stated => {
                return Err(wrong(format!("it says that it is {own}, its registry {stated}")));
            }
            (Some(own), _) => own.clone(),
            (None, stated) if known(stated) => stated.to_owned(),
            (None, _) if head.manifests.is_some() => OCI_INDEX.to_owned(),
            (None, _) => OCI_MANIFEST.to_owned(),
        };
        if !known(&media_type) {
            return Err(wrong(format!("media type {media_type:?} is not one of an image")));
        }
        let is_index = media_type == OCI_INDEX || media_type == DOCKER_LIST;
        if is_index != head.manifests.is_some() {
            return Err(wrong(format!("it isn't the {media_type} that it says it is")));
        }
        let digest = digest(&bytes);
        Ok(Self { bytes, media_type, digest })
    }

    /// Returns what it says.
    ///
    /// # Errors
    /// When that can't be read.
    pub fn content(&self) -> Result<Content> {
        let wrong =
            |cause: serde_json::Error| Error::invalid(format!("manifest {}: {cause}", self.digest));
        if self.media_type != OCI_INDEX && self.media_type != DOCKER_LIST {
            return serde_json::from_slice(&self.bytes).map(Content::Image).map_err(wrong);
        }
        let index: Index = serde_json::from_slice(&self.bytes).map_err(wrong)?;
        if index.manifests.len() > MOST_ENTRIES {
            let text = format!("manifest {}: it names too many images", self.digest);
            return Err(Error::invalid(text));
        }
        Ok(Content::Index(index.manifests))
    }
}

impl ImageManifest {
    /// Returns an error if this is something else than an image that can be run.
    pub(crate) fn check(&self, reference: &str) -> Result<()> {
        let kind = self.config.media_type.as_str();
        if !kind.is_empty() && !CONFIGS.contains(&kind) {
            return Err(Error::invalid(format!(
                "{reference} is no image that can be run, but an artifact with a configuration of \
                 type {kind:?}"
            )));
        }
        Ok(())
    }
}

/// Returns the SHA-256 digest of some bytes.
pub fn digest(bytes: &[u8]) -> Digest {
    let hash = ring::digest::digest(&ring::digest::SHA256, bytes);
    let mut raw = [0; 32];
    raw.copy_from_slice(hash.as_ref());
    Digest::from_bytes(&raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, content_type: &str) -> Result<Manifest> {
        Manifest::new(Bytes::copy_from_slice(text.as_bytes()), content_type, "x:1")
    }

    #[test]
    fn manifests_are_what_they_say_or_refused() {
        let one = r#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json",
            "digest":"sha256:1111111111111111111111111111111111111111111111111111111111111111",
            "size":2},"layers":[]}"#;
        let manifest = read(one, &format!("{OCI_MANIFEST}; charset=utf-8")).unwrap();
        assert_eq!(manifest.media_type, OCI_MANIFEST);
        assert!(matches!(manifest.content().unwrap(), Content::Image(image)
            if image.config.size == 2 && image.check("x").is_ok()));
        // A registry that doesn't say what it serves.
        assert_eq!(read(one, "application/octet-stream").unwrap().media_type, OCI_MANIFEST);
        let several =
            format!(r#"{{"schemaVersion":2,"mediaType":"{DOCKER_LIST}","manifests":[]}}"#);
        assert_eq!(read(&several, DOCKER_LIST).unwrap().content().unwrap(), Content::Index(vec![]));
        for (text, content_type, why) in [
            (several.as_str(), OCI_INDEX, "it says that it is"),
            (several.as_str(), DOCKER_MANIFEST, "it says that it is"),
            (one, OCI_INDEX, "it isn't the"),
            (r#"{"schemaVersion":1}"#, "application/json", "schema 1"),
            (r#"{"schemaVersion":2}"#, FORMER[1], "schema 1"),
            (r#"{"schemaVersion":3}"#, OCI_MANIFEST, "schema version 3"),
            (r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#, OCI_INDEX, "both"),
            (r#"{"schemaVersion":2,"mediaType":"text/html"}"#, "text/html", "text/html"),
            ("<html>", "text/html", "it isn't one"),
        ] {
            let error = read(text, content_type).unwrap_err();
            assert!(error.message.contains(why), "{text}: {error}");
        }
        let helm = one.replace("oci.image.config.v1", "cncf.helm.config.v1");
        let Content::Image(helm) = read(&helm, OCI_MANIFEST).unwrap().content().unwrap() else {
            panic!("not an image");
        };
        assert!(helm.check("x").unwrap_err().message.contains("helm"));
    }
}
