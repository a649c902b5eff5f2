//! Volumes: their documents, and the requests that change them.

use std::collections::{BTreeMap, HashMap};

use bollard::models;
use bollard::query_parameters::{PruneVolumesOptionsBuilder, RemoveVolumeOptionsBuilder};
use serde::Deserialize;
use wharf_model::{
    ContainerListOptions, ContainerSummary, ErrorKind, Filters, MountKind, Outcome,
    VolumeCreateOptions, VolumeInfo, VolumeUser,
};

use super::transport::segment;
use super::{Docker, list};
use crate::{Error, Result};

/// What engines from 23 on write on a volume that was made without a name.
pub(super) const ANONYMOUS: &str = "com.docker.volume.anonymous";

/// The first version of the API (Docker 23) whose prune leaves volumes with names alone.
const SPARING: (u32, u32) = (1, 42);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    volumes: Option<Vec<models::Volume>>,
}

/// What of `GET /system/df` is about volumes: engines up to 29 and from then on.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Usage {
    volumes: Option<Vec<models::Volume>>,
    volume_usage: Option<Items>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Items {
    items: Option<Vec<models::Volume>>,
}

impl Docker {
    /// Returns the volumes that are wanted, by name.
    pub(super) async fn volume_list(
        &self,
        filters: &Filters,
        sizes: bool,
    ) -> Result<Vec<VolumeInfo>> {
        let filters = serde_json::to_string(filters)
            .map_err(|cause| super::error::malformed("volume list", cause))?;
        let reply = self.transport.get("/volumes", &[("filters", &filters)]).await?;
        let listed: Listed = reply.json().await?;
        let containers = self.with_mounts().await?;
        let measured = if sizes { self.volume_sizes().await? } else { HashMap::new() };
        let rows = listed.volumes.unwrap_or_default().into_iter();
        let mut volumes: Vec<VolumeInfo> = rows
            .map(|row| {
                let mut volume = volume(row, &containers);
                volume.size = measured.get(&volume.name).copied().or(volume.size);
                volume
            })
            .collect();
        volumes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(volumes)
    }

    /// Returns one volume.
    pub(super) async fn one_volume(&self, name: &str) -> Result<VolumeInfo> {
        let path = format!("/volumes/{}", volume_segment(name)?);
        let document: models::Volume = self.transport.get(&path, &[]).await?.json().await?;
        Ok(volume(document, &self.with_mounts().await?))
    }

    /// Returns a volume's document as the engine has it.
    pub(super) async fn volume_document(&self, name: &str) -> Result<serde_json::Value> {
        let path = format!("/volumes/{}", volume_segment(name)?);
        self.transport.get(&path, &[]).await?.json().await
    }

    async fn with_mounts(&self) -> Result<Vec<ContainerSummary>> {
        let options = ContainerListOptions { all: true, ..ContainerListOptions::default() };
        self.container_list(&options).await
    }

    async fn volume_sizes(&self) -> Result<HashMap<String, u64>> {
        // Older engines take no type, and measure all they have.
        let usage: Usage =
            self.transport.get("/system/df", &[("type", "volume")]).await?.json().await?;
        let newer = usage.volume_usage.and_then(|usage| usage.items);
        let volumes = usage.volumes.filter(|list| !list.is_empty()).or(newer).unwrap_or_default();
        let size = |volume: models::Volume| {
            // -1 stands for a size that isn't known.
            let size = u64::try_from(volume.usage_data?.size).ok()?;
            Some((volume.name, size))
        };
        Ok(volumes.into_iter().filter_map(size).collect())
    }

    pub(super) async fn create_volume(&self, options: VolumeCreateOptions) -> Result<Outcome> {
        let filled = |map: BTreeMap<String, String>| -> Option<HashMap<String, String>> {
            (!map.is_empty()).then(|| map.into_iter().collect())
        };
        let request = models::VolumeCreateRequest {
            name: options.name,
            driver: Some(options.driver).filter(|driver| !driver.is_empty()),
            driver_opts: filled(options.options),
            labels: filled(options.labels),
            ..Default::default()
        };
        let made = self.client.create_volume(request).await?;
        Ok(Outcome::VolumeCreated(Box::new(volume(made, &[]))))
    }

    pub(super) async fn remove_volume(&self, name: &str, force: bool) -> Result<Outcome> {
        let options = RemoveVolumeOptionsBuilder::default().force(force).build();
        self.client.remove_volume(&volume_segment(name)?, Some(options)).await?;
        Ok(Outcome::Done)
    }

    /// Removes the volumes that no container has. An engine whose prune would take those with names
    /// along is asked to remove the others one by one.
    pub(super) async fn prune_volumes(&self, all: bool, filters: &Filters) -> Result<Outcome> {
        let spares = version(&self.engine_version().await?.api_version) >= SPARING;
        if !all && !spares {
            return self.prune_one_by_one(filters).await;
        }
        let mut filters = filters.clone();
        if all && spares {
            filters.insert("all", "true");
        }
        let options = PruneVolumesOptionsBuilder::default().filters(&list::map(&filters)).build();
        let answer = self.client.prune_volumes(Some(options)).await?;
        Ok(Outcome::VolumesPruned {
            deleted: answer.volumes_deleted.unwrap_or_default(),
            reclaimed: answer
                .space_reclaimed
                .and_then(|bytes| u64::try_from(bytes).ok())
                .unwrap_or_default(),
            failed: Vec::new(),
        })
    }

    async fn prune_one_by_one(&self, filters: &Filters) -> Result<Outcome> {
        let mut wanted: Filters = [("dangling", "true")].into_iter().collect();
        for key in filters.keys().filter(|key| *key != "label!") {
            for value in filters.values(key) {
                wanted.insert(key, value);
            }
        }
        let spared = |volume: &VolumeInfo| {
            filters.values("label!").iter().any(|label| match label.split_once('=') {
                Some((key, value)) => volume.labels.get(key).is_some_and(|v| v == value),
                None => volume.labels.contains_key(label),
            })
        };
        let (mut deleted, mut reclaimed, mut failed) = (Vec::new(), 0, Vec::new());
        let listed = self.volume_list(&wanted, true).await?;
        for volume in listed.into_iter().filter(|v| v.anonymous && !spared(v)) {
            match self.remove_volume(&volume.name, false).await {
                Ok(_) => {
                    reclaimed += volume.size.unwrap_or_default();
                    deleted.push(volume.name);
                }
                Err(error) => failed.push(error.message),
            }
        }
        Ok(Outcome::VolumesPruned { deleted, reclaimed, failed })
    }
}

/// Returns a volume's name as a path segment.
fn volume_segment(volume: &str) -> Result<String> {
    if matches!(volume, "" | "." | "..") {
        return Err(Error::new(ErrorKind::NotFound, format!("get {volume}: no such volume")));
    }
    Ok(segment(volume))
}

/// Returns the numbers of an API version, zeros for nonsense.
fn version(text: &str) -> (u32, u32) {
    let (major, minor) = text.split_once('.').unwrap_or((text, "0"));
    (major.parse().unwrap_or(0), minor.parse().unwrap_or(0))
}

fn volume(document: models::Volume, containers: &[ContainerSummary]) -> VolumeInfo {
    let labels: BTreeMap<String, String> = document.labels.into_iter().collect();
    let hex = document.name.len() == 64 && document.name.bytes().all(|b| b.is_ascii_hexdigit());
    VolumeInfo {
        // Engines before 23 only make up names of this form.
        anonymous: labels.contains_key(ANONYMOUS) || hex,
        driver: document.driver,
        mountpoint: document.mountpoint,
        created: document.created_at.and_then(|text| list::instant(&text)),
        options: document.options.into_iter().collect(),
        scope: document.scope.map(|scope| scope.to_string()).unwrap_or_default(),
        users: users(&document.name, containers),
        size: document.usage_data.and_then(|usage| u64::try_from(usage.size).ok()),
        name: document.name,
        labels,
    }
}

fn users(volume: &str, containers: &[ContainerSummary]) -> Vec<VolumeUser> {
    let mut users: Vec<VolumeUser> = containers
        .iter()
        .flat_map(|container| container.mounts.iter().map(move |mount| (container, mount)))
        .filter(|(_, m)| m.kind == MountKind::Volume && m.name.as_deref() == Some(volume))
        .map(|(container, mount)| VolumeUser {
            container: container.id.clone(),
            name: container.name.clone(),
            destination: mount.destination.clone(),
            writable: mount.writable,
            running: container.status.is_alive(),
        })
        .collect();
    users.sort_by(|a, b| (&a.name, &a.destination).cmp(&(&b.name, &b.destination)));
    users
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_of_dockerd_becomes_a_volume() {
        // Captured from Docker 20.10 (`GET /volumes`).
        let listed = r#"{"Volumes":[{"CreatedAt":"2026-03-01T10:00:00Z","Driver":"local",
            "Labels":null,"Mountpoint":"/var/lib/docker/volumes/data/_data","Name":"data",
            "Options":null,"Scope":"local"}],"Warnings":null}"#;
        let listed: Listed = serde_json::from_str(listed).unwrap();
        let row = listed.volumes.unwrap().remove(0);
        let volume = volume(row, &[]);
        assert_eq!((volume.name.as_str(), volume.anonymous), ("data", false));
        assert_eq!(volume.scope, "local");
        assert!(volume.created.is_some() && volume.size.is_none());
    }

    #[test]
    fn sizes_are_read_from_old_and_new_engines() {
        let old = r#"{"Images":[],"Volumes":[{"Name":"a","Driver":"local","Mountpoint":"/a",
            "Labels":null,"Options":null,"Scope":"local","UsageData":{"RefCount":1,"Size":42}}]}"#;
        let old: Usage = serde_json::from_str(old).unwrap();
        assert_eq!(old.volumes.unwrap()[0].usage_data.as_ref().unwrap().size, 42);
        let new = r#"{"VolumeUsage":{"Items":[]}}"#;
        let new: Usage = serde_json::from_str(new).unwrap();
        assert!(new.volumes.is_none() && new.volume_usage.is_some());
        assert!(version("1.41") < SPARING && version("1.52") >= SPARING);
    }
}
