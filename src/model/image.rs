//! Images: their configuration, layers and history.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::host::HealthCheck;
use crate::{Digest, ImageName};

/// What an image says about the containers made from it: the `config` object of the OCI image
/// configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageConfig {
    /// `user[:group]`, or empty for root.
    pub user: String,
    /// `port/protocol` keys.
    #[serde(deserialize_with = "null_is_default")]
    pub exposed_ports: BTreeMap<String, serde_json::Value>,
    /// `NAME=value` entries.
    #[serde(deserialize_with = "null_is_default")]
    pub env: Vec<String>,
    /// The entrypoint.
    #[serde(deserialize_with = "null_is_default")]
    pub entrypoint: Vec<String>,
    /// The default command, or the entrypoint's arguments.
    #[serde(deserialize_with = "null_is_default")]
    pub cmd: Vec<String>,
    /// Paths that want a volume.
    #[serde(deserialize_with = "null_is_default")]
    pub volumes: BTreeMap<String, serde_json::Value>,
    /// The working directory.
    pub working_dir: String,
    /// The labels.
    #[serde(deserialize_with = "null_is_default")]
    pub labels: BTreeMap<String, String>,
    /// The signal that asks a container to stop.
    pub stop_signal: Option<String>,
    /// The shell of `CMD-SHELL` probes and its flags.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub shell: Vec<String>,
    /// How a container is probed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthCheck>,
    /// Instructions for builds that start from the image.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub on_build: Vec<String>,
}

/// Docker writes `null` for an empty list or map.
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// One row of an image list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageSummary {
    /// The digest of the image's configuration.
    pub id: Digest,
    /// Its names; empty for a dangling image.
    pub tags: Vec<ImageName>,
    /// `repository@digest` texts.
    pub repo_digests: Vec<String>,
    /// When it was made, if it says so.
    pub created: Option<DateTime<Utc>>,
    /// Bytes of all its layers, unpacked.
    pub size: u64,
    /// How many containers use it.
    pub containers: usize,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// How a root filesystem becomes an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportOptions {
    /// Its name, if it is to have one.
    pub name: Option<ImageName>,
    /// Instructions of a Dockerfile that make its settings.
    pub changes: Vec<String>,
    /// A remark; docker's own when it is empty.
    pub message: String,
    /// What it is for, `os/arch`, when it isn't this machine's.
    pub platform: Option<String>,
}

impl From<Option<ImageName>> for ImportOptions {
    fn from(name: Option<ImageName>) -> Self {
        Self { name, ..Self::default() }
    }
}

/// The manifest that an image came with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestDescriptor {
    /// Its media type.
    pub media_type: String,
    /// The digest of its bytes.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
}

/// One layer of an image as the history shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HistoryEntry {
    /// The image's id for the newest entry, none for others.
    pub id: Option<Digest>,
    /// When this step was made.
    pub created: Option<DateTime<Utc>>,
    /// The instruction that made it.
    pub created_by: String,
    /// A remark.
    pub comment: String,
    /// Bytes it added; 0 for an empty layer.
    pub size: u64,
    /// Whether it changed nothing but the configuration.
    pub empty_layer: bool,
    /// The names of the image, at the newest entry.
    pub tags: Vec<ImageName>,
}

/// A filesystem layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LayerInfo {
    /// The digest of the uncompressed tar.
    pub diff_id: Digest,
    /// The digest over this layer and all below it.
    pub chain_id: Digest,
    /// Bytes unpacked.
    pub size: u64,
    /// The host's folder it is unpacked in, for the embedded engine.
    pub path: Option<String>,
    /// What it takes of the disk, where the engine tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<LayerSpace>,
}

/// What a layer takes of the disk, in bytes as the filesystem counts them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LayerSpace {
    /// Its files and folders, and what is kept to put its archive together again.
    pub unpacked: u64,
    /// The blob that it came as, if that is kept, and what that takes.
    pub blob: Option<(Digest, u64)>,
}

/// Files of one kind, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct FileCount {
    /// How many; folders don't count.
    pub files: u64,
    /// Their lengths together, in bytes: of what was removed those before, else those after.
    pub bytes: u64,
}

impl FileCount {
    /// Takes one more file of this length in.
    pub fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// What a layer does to the files of the layers below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct LayerChanges {
    /// Files that weren't there.
    pub added: FileCount,
    /// Files that were there and are now others.
    pub changed: FileCount,
    /// Files that are gone.
    pub removed: FileCount,
    /// Whether that is all; a layer with very many files is counted as far as a bound.
    pub complete: bool,
}

/// Everything known of one image; `wharf-inspect` makes docker's document of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageDetail {
    /// The list row.
    pub summary: ImageSummary,
    /// `amd64` for instance.
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// Who made it.
    pub author: String,
    /// A remark.
    pub comment: String,
    /// What it says about its containers.
    pub config: ImageConfig,
    /// Its layers, lowest first.
    pub layers: Vec<LayerInfo>,
}
