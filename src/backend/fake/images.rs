//! The fake engine's layers, what is in them, and saved images.

use std::path::Path;

use chrono::TimeDelta;
use wharf_model::{
    ChangeKind, CreateOptions, Created, Digest, ErrorKind, EventKind, FileChange, FileCount,
    FileEntry, FileHead, FileKind, ImageName, ImageSummary, LayerChanges, LayerInfo, Outcome,
    Status,
};

use super::data::{self, epoch};
use super::{Fake, no_such};
use crate::{Error, Result};

/// The lowest layer of all images but the one without a name: they are built on the same system.
const BASE: u64 = 5 << 20;

/// Returns an image's layers, lowest first: the system, what was installed, and the program.
pub(super) fn layers(image: &ImageSummary) -> Vec<LayerInfo> {
    let number = image.id.hex().get(..2).and_then(|text| u8::from_str_radix(text, 16).ok());
    let number = number.unwrap_or_default();
    let layer = |n: u8, size: u64| LayerInfo {
        diff_id: Digest::from_bytes(&[n; 32]),
        chain_id: Digest::from_bytes(&[n; 32]),
        size,
        path: None,
        space: None,
    };
    let base = if image.tags.is_empty() { layer(99, BASE) } else { layer(100, BASE) };
    let program = image.size / 20;
    let rest = image.size.saturating_sub(BASE + program);
    vec![base, layer(number.saturating_add(110), rest), layer(number.saturating_add(180), program)]
}

fn entry(name: &str, kind: FileKind, size: u64, change: Option<FileChange>) -> FileEntry {
    FileEntry {
        name: name.into(),
        kind,
        size,
        mode: if kind == FileKind::Folder { 0o755 } else { 0o644 },
        uid: 0,
        gid: 0,
        modified: Some(epoch() - TimeDelta::minutes(7)),
        target: (kind == FileKind::Link).then(|| "os-release".into()),
        change,
    }
}

fn changed(kind: ChangeKind, before: Option<u64>) -> Option<FileChange> {
    Some(FileChange { kind, before })
}

impl Fake {
    fn find_layer(&self, image: &str, layer: usize) -> Result<ImageSummary> {
        let found = self.find_image(image)?;
        match layer {
            0..3 => Ok(found),
            _ => Err(no_such("layer", &layer.to_string())),
        }
    }

    pub(super) fn all_layers(&self) -> Result<Vec<(Digest, Vec<LayerInfo>)>> {
        let state = self.answering()?;
        Ok(state.images.iter().map(|image| (image.id.clone(), layers(image))).collect())
    }

    pub(super) fn files_of_layer(
        &self,
        image: &str,
        layer: usize,
        path: &Path,
    ) -> Result<Vec<FileEntry>> {
        self.find_layer(image, layer)?;
        use ChangeKind::{Added, Deleted, Modified};
        match path.to_str() {
            Some("") => Ok(vec![
                entry("etc", FileKind::Folder, 4096, None),
                entry("srv", FileKind::Folder, 4096, changed(Added, None)),
                entry("core\u{1b}[2J", FileKind::File, 9 << 20, changed(Added, None)),
            ]),
            Some("etc") => Ok(vec![
                entry("motd", FileKind::File, 286, changed(Deleted, Some(286))),
                entry("passwd", FileKind::File, 1201, changed(Modified, Some(1140))),
                entry("release", FileKind::Link, 10, changed(Added, None)),
            ]),
            Some("srv") => Ok(Vec::new()),
            _ => Err(no_such("file", &path.to_string_lossy())),
        }
    }

    pub(super) fn head_of_layer(&self, image: &str, layer: usize, path: &Path) -> Result<FileHead> {
        self.find_layer(image, layer)?;
        let bytes = match path.to_str() {
            Some("etc/passwd") => b"root:x:0:0:\x1b[2J:/root:/bin/sh\n".to_vec(),
            Some("etc/motd") => b"welcome\n".to_vec(),
            _ => return Err(no_such("file", &path.to_string_lossy())),
        };
        let size = bytes.len() as u64;
        Ok(FileHead { bytes, size })
    }

    pub(super) fn changes_of_layer(&self, image: &str, layer: usize) -> Result<LayerChanges> {
        let found = self.find_layer(image, layer)?;
        let bytes = layers(&found).get(layer).map_or(0, |layer| layer.size);
        let count = |files, bytes| FileCount { files, bytes };
        Ok(match layer {
            0 => LayerChanges {
                added: count(1203, bytes),
                complete: true,
                ..LayerChanges::default()
            },
            1 => LayerChanges {
                added: count(311, bytes - 1201),
                changed: count(1, 1201),
                removed: count(42, 812_000),
                complete: true,
            },
            _ => {
                LayerChanges { added: count(7, bytes), complete: false, ..LayerChanges::default() }
            }
        })
    }

    /// Returns the same bytes for the same images each time.
    pub(super) fn saved(&self, images: &[String]) -> Result<bytes::Bytes> {
        let mut text = String::new();
        for image in images {
            text.push_str(&self.find_image(image)?.id.as_str().repeat(16));
        }
        Ok(bytes::Bytes::from(text))
    }

    pub(super) fn prune_images(&self, all: bool) -> Result<Outcome> {
        let mut state = self.answering()?;
        let unused = |image: &ImageSummary| image.containers == 0 && (all || image.tags.is_empty());
        let (gone, kept) = state.images.drain(..).partition(unused);
        state.images = kept;
        drop(state);
        let gone: Vec<ImageSummary> = gone;
        let names = gone.iter().flat_map(|image| &image.tags);
        let untagged = names.map(ToString::to_string).collect();
        let reclaimed = gone.iter().map(|image| image.size).sum();
        let deleted: Vec<Digest> = gone.into_iter().map(|image| image.id).collect();
        for id in &deleted {
            self.tell(EventKind::Image, "delete", id.as_str());
        }
        Ok(Outcome::ImagesPruned { untagged, deleted, reclaimed, failed: Vec::new() })
    }

    pub(super) fn create(&self, options: CreateOptions) -> Result<Outcome> {
        let image = self.find_image(&options.image)?;
        let mut state = self.answering()?;
        let name = options.name.unwrap_or_else(|| "brave_heron".to_owned());
        if state.containers.iter().any(|container| container.name == name) {
            let text = format!(
                "Conflict. The container name \"/{name}\" is already in use by another container"
            );
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        let number = u8::try_from(0xa0 + state.containers.len()).unwrap_or(u8::MAX);
        let mut container = data::container(number, &name, &options.image, Status::Created);
        container.image_id = Some(image.id);
        let id = container.id.clone();
        state.containers.push(container);
        drop(state);
        self.tell(EventKind::Container, "create", id.as_str());
        Ok(Outcome::Created(Created { id, name, warnings: Vec::new() }))
    }
}

/// Ties the containers to the images that they name.
pub(super) fn use_images(state: &mut super::State) {
    for image in &mut state.images {
        image.containers = 0;
    }
    for container in &mut state.containers {
        let names = |tag: &ImageName| tag.to_string() == container.image;
        let image = state.images.iter_mut().find(|image| image.tags.iter().any(names));
        container.image_id = image.map(|image| {
            image.containers += 1;
            image.id.clone()
        });
    }
}
