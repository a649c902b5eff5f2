//! Volumes: data that outlives containers.

use std::collections::BTreeMap;
use std::ffi::OsString;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{ChangeKind, ContainerId};

/// What `volume create` is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeCreateOptions {
    /// The name; none makes one up, and the volume is anonymous.
    pub name: Option<String>,
    /// The driver; empty means `local`.
    pub driver: String,
    /// The driver's options (`type`, `o`, `device`).
    pub options: BTreeMap<String, String>,
    /// The labels.
    pub labels: BTreeMap<String, String>,
}

/// A volume, as lists and `volume inspect` tell it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct VolumeInfo {
    /// The name.
    pub name: String,
    /// The driver.
    pub driver: String,
    /// Where its data is on the host.
    pub mountpoint: String,
    /// When it was made, as far as the backend says.
    pub created: Option<DateTime<Utc>>,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// `local`, or `global` on a cluster.
    pub scope: String,
    /// Whether it was made without a name, for one container.
    pub anonymous: bool,
    /// The containers that have it, running or not.
    pub users: Vec<VolumeUser>,
    /// How much disk it takes, in bytes, when that was asked for.
    pub size: Option<u64>,
}

impl VolumeInfo {
    /// Returns whether a prune takes it once no container has it; `all` is whether names protect
    /// nothing. What its options say is nowhere else, so those that have any stay, as with docker.
    pub fn is_prunable(&self, all: bool) -> bool {
        (all || self.anonymous) && self.options.is_empty()
    }
}

/// A container that has a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct VolumeUser {
    /// The container.
    pub container: ContainerId,
    /// Its name.
    pub name: String,
    /// Where it has it.
    pub destination: String,
    /// Whether it may write.
    pub writable: bool,
    /// Whether it runs.
    pub running: bool,
}

/// What an entry of a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FileKind {
    /// A folder.
    Folder,
    /// A file.
    File,
    /// A symbolic link.
    Link,
    /// A device, a socket or a named pipe.
    Other,
}

/// An entry of a folder in a volume, or in a layer of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct FileEntry {
    /// Its name, as it is on the disk.
    pub name: OsString,
    /// What it is.
    pub kind: FileKind,
    /// Its length in bytes.
    pub size: u64,
    /// Its permission bits, `0o7777` at most.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// When its content last changed.
    pub modified: Option<DateTime<Utc>>,
    /// Where a link leads.
    pub target: Option<OsString>,
    /// In a layer: what it does to what is below. None in a volume, and for a folder that is as it
    /// was.
    pub change: Option<FileChange>,
    /// In a container: the layer of its image that it is from, the lowest being 0; none for what is
    /// the container's own, and where that isn't known.
    pub layer: Option<usize>,
}

/// What is in a folder of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct FolderList {
    /// The folder below the root, once all links are followed.
    pub path: std::path::PathBuf,
    /// What is in it, folders first, by name; what the container removed is there too.
    pub entries: Vec<FileEntry>,
    /// Why some of it isn't told, if so.
    pub unknown: Option<String>,
    /// How many layers the image has, where it is known which one a file is from.
    pub layers: Option<usize>,
}

/// What a layer does to a file of the layers below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct FileChange {
    /// What.
    pub kind: ChangeKind,
    /// The file's length before, in bytes, if there was one.
    pub before: Option<u64>,
}

/// The beginning of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct FileHead {
    /// Its first bytes, as many as were asked for or as it has.
    pub bytes: Vec<u8>,
    /// How many it has.
    pub size: u64,
}
