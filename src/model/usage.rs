//! How much disk an engine takes, and what for.

use serde::{Deserialize, Serialize};

use crate::{ContainerSummary, ImageSummary, VolumeInfo};

/// What objects of one kind take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Space {
    /// How many there are.
    pub total: usize,
    /// How many of them are used.
    pub active: usize,
    /// Their bytes.
    pub size: u64,
    /// The bytes that would be free without those that aren't used.
    pub reclaimable: u64,
}

/// An image, and what of it is its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageUsage {
    /// The list row.
    pub image: ImageSummary,
    /// Bytes of its layers that other images have too, unpacked.
    pub shared: u64,
}

/// How much disk an engine takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DiskUsage {
    /// All images together, what they share counted once, and what interrupted pulls have left.
    pub images: Space,
    /// What containers have written.
    pub containers: Space,
    /// The volumes.
    pub volumes: Space,
    /// The cache of builds.
    pub build_cache: Space,
    /// The images, newest first.
    pub image_list: Vec<ImageUsage>,
    /// The containers, with their sizes, newest first.
    pub container_list: Vec<ContainerSummary>,
    /// The volumes, with their sizes, by name.
    pub volume_list: Vec<VolumeInfo>,
}

impl DiskUsage {
    /// Adds up what the lists of containers and volumes say.
    #[must_use]
    pub fn with_objects(
        mut self,
        containers: Vec<ContainerSummary>,
        volumes: Vec<VolumeInfo>,
    ) -> Self {
        for container in &containers {
            let size = container.size.unwrap_or_default().writable;
            add(&mut self.containers, size, container.status.is_alive());
        }
        for volume in &volumes {
            add(&mut self.volumes, volume.size.unwrap_or_default(), !volume.users.is_empty());
        }
        (self.container_list, self.volume_list) = (containers, volumes);
        self
    }
}

fn add(space: &mut Space, size: u64, active: bool) {
    space.total += 1;
    space.size = space.size.saturating_add(size);
    match active {
        true => space.active += 1,
        false => space.reclaimable = space.reclaimable.saturating_add(size),
    }
}
