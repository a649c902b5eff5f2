//! Images: lists, details, history, and taking them in.

use std::collections::HashMap;

use bollard::models;
use bollard::query_parameters::{ListImagesOptions, ListImagesOptionsBuilder};
use chrono::DateTime;
use futures_util::TryStreamExt;
use serde::Deserialize;
use wharf_model::{
    ContainerListOptions, Digest, DiskUsage, ErrorKind, Filters, HistoryEntry, ImageConfig,
    ImageDetail, ImageListOptions, ImageName, ImageSummary, ImageUsage, ImportOptions, LayerInfo,
};

use super::transport::upload;
use super::{Docker, error, image_segment, list};
use crate::{Backend as _, ByteStream, Error, Reader, Result};

/// What `/system/df` says of images.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Space {
    #[serde(default)]
    layers_size: i64,
    images: Option<Vec<models::ImageSummary>>,
    build_cache: Option<Vec<models::BuildCache>>,
}

/// A line of progress while an archive is taken in.
#[derive(Debug, Deserialize)]
struct Progress {
    #[serde(default)]
    stream: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    error: Option<String>,
}

/// Docker writes -1 where it doesn't know.
fn count(size: i64) -> u64 {
    u64::try_from(size).unwrap_or_default()
}

/// Returns what images take, all layers together being this large.
fn image_space(layers: u64, rows: &[models::ImageSummary]) -> wharf_model::Space {
    let own = |row: &models::ImageSummary| count(row.size.saturating_sub(row.shared_size));
    // Podman leaves the sum out.
    let size = if layers > 0 { layers } else { rows.iter().map(own).sum() };
    let used = rows.iter().filter(|row| row.containers > 0);
    wharf_model::Space {
        total: rows.len(),
        active: used.clone().count(),
        size,
        reclaimable: size.saturating_sub(used.map(own).sum()),
    }
}

impl Docker {
    /// Returns the images that are wanted.
    pub(super) async fn image_list(&self, wanted: &ImageListOptions) -> Result<Vec<ImageSummary>> {
        let filters = list::map(&wanted.filters);
        let options = ListImagesOptionsBuilder::default().filters(&filters).build();
        let rows = self.client.list_images(Some(options)).await?;
        let mut users: HashMap<Digest, usize> = HashMap::new();
        // The engine counts them only for `system df`.
        for container in self.containers(true).await? {
            if let Some(image) = container.image_id {
                *users.entry(image).or_default() += 1;
            }
        }
        rows.into_iter()
            .map(|row| {
                let mut image = summary(row, 0)?;
                image.containers = users.get(&image.id).copied().unwrap_or_default();
                Ok(image)
            })
            .collect()
    }

    /// Returns what the engine knows of one image, its layers' sizes taken from its history.
    pub(super) async fn image_detail(&self, image: &str) -> Result<ImageDetail> {
        let document = self.inspect_image(image).await?;
        let config = document
            .get("Config")
            .filter(|config| !config.is_null())
            .map(|config| serde_json::from_value::<ImageConfig>(config.clone()))
            .transpose()
            .map_err(|cause| error::malformed("image document", cause))?
            .unwrap_or_default();
        let document: models::ImageInspect = serde_json::from_value(document)
            .map_err(|cause| error::malformed("image document", cause))?;
        let id = image_id("image document", &document.id.unwrap_or_default())?;
        let history = self.image_history(id.as_str()).await?;
        let containers = self.containers(true).await?;
        let diff_ids = document.root_fs.and_then(|root| root.layers).unwrap_or_default();
        Ok(ImageDetail {
            summary: ImageSummary {
                tags: names(&document.repo_tags.unwrap_or_default()),
                repo_digests: digests(document.repo_digests.unwrap_or_default()),
                created: document.created.as_deref().and_then(list::instant),
                size: document.size.and_then(|s| u64::try_from(s).ok()).unwrap_or_default(),
                containers: containers.iter().filter(|c| c.image_id.as_ref() == Some(&id)).count(),
                labels: config.labels.clone(),
                id,
            },
            architecture: document.architecture.unwrap_or_default(),
            os: document.os.unwrap_or_default(),
            author: document.author.unwrap_or_default(),
            comment: document.comment.unwrap_or_default(),
            config,
            layers: layers(&diff_ids, &history)?,
        })
    }

    /// Returns an image's steps, newest first.
    pub(super) async fn image_history(&self, image: &str) -> Result<Vec<HistoryEntry>> {
        let steps = self.client.image_history(&image_segment(image)?).await?;
        let entry = |step: models::ImageHistoryResponseItem| HistoryEntry {
            // `<missing>` for the steps of an image that was built elsewhere.
            id: step.id.parse().ok(),
            created: DateTime::from_timestamp(step.created, 0).filter(|t| t.timestamp() > 0),
            created_by: step.created_by,
            comment: step.comment,
            size: u64::try_from(step.size).unwrap_or_default(),
            empty_layer: step.size <= 0,
            tags: names(&step.tags),
        };
        Ok(steps.into_iter().map(entry).collect())
    }

    /// Returns the layers of all images, with their sizes as far as the histories tell them.
    pub(super) async fn all_layers(&self) -> Result<Vec<(Digest, Vec<LayerInfo>)>> {
        let rows = self.client.list_images(None::<ListImagesOptions>).await?;
        let mut list = Vec::new();
        for row in rows {
            let id = image_id("image list", &row.id)?;
            match self.layers_of(&id).await {
                Ok(layers) => list.push((id, layers)),
                // It was removed meanwhile.
                Err(error) if error.kind == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(list)
    }

    async fn layers_of(&self, id: &Digest) -> Result<Vec<LayerInfo>> {
        let document: models::ImageInspect =
            serde_json::from_value(self.inspect_image(id.as_str()).await?)
                .map_err(|cause| error::malformed("image document", cause))?;
        let diff_ids = document.root_fs.and_then(|root| root.layers).unwrap_or_default();
        layers(&diff_ids, &self.image_history(id.as_str()).await?)
    }

    /// Hands an archive to the engine; returns its `Loaded image…` lines.
    pub(super) async fn load_archive(
        &self,
        archive: Reader,
        platform: Option<&str>,
    ) -> Result<Vec<String>> {
        let body = upload(archive);
        let platform = platform.map(platform_document);
        let mut query = vec![("quiet", "1")];
        query.extend(platform.iter().map(|platform| ("platform", platform.as_str())));
        let reply = self.transport.post("/images/load", &query, body, "application/x-tar").await?;
        let mut lines = reply.into_lines::<Progress>("load");
        let mut loaded = Vec::new();
        while let Some(progress) = lines.try_next().await? {
            failure(&progress)?;
            let text = progress.stream.unwrap_or_default();
            loaded
                .extend(text.lines().filter(|line| line.starts_with("Loaded")).map(str::to_owned));
        }
        Ok(loaded)
    }

    /// Returns images as one archive.
    pub(super) async fn save_archive(
        &self,
        images: &[String],
        platform: Option<&str>,
    ) -> Result<ByteStream> {
        let platform = platform.map(platform_document);
        let mut query: Vec<(&str, &str)> =
            images.iter().map(|image| ("names", image.as_str())).collect();
        query.extend(platform.iter().map(|platform| ("platform", platform.as_str())));
        Ok(self.transport.get("/images/get", &query).await?.into_bytes("save"))
    }

    /// Returns how much disk the engine takes.
    pub(super) async fn space(&self) -> Result<DiskUsage> {
        let document: Space = self.transport.get("/system/df", &[]).await?.json().await?;
        let rows = document.images.unwrap_or_default();
        let images = image_space(count(document.layers_size), &rows);
        let cache = document.build_cache.unwrap_or_default();
        let held = |cache: &&models::BuildCache| cache.in_use.unwrap_or_default();
        let bytes = |cache: &models::BuildCache| count(cache.size.unwrap_or_default());
        let build_cache = wharf_model::Space {
            total: cache.len(),
            active: cache.iter().filter(held).count(),
            size: cache.iter().map(bytes).sum(),
            reclaimable: cache
                .iter()
                .filter(|cache| !held(cache) && !cache.shared.unwrap_or_default())
                .map(bytes)
                .sum(),
        };
        let image_list = rows
            .into_iter()
            .map(|row| {
                let (shared, containers) = (count(row.shared_size), row.containers);
                let image = summary(row, usize::try_from(containers).unwrap_or_default())?;
                Ok(ImageUsage { image, shared })
            })
            .collect::<Result<_>>()?;
        let options =
            ContainerListOptions { all: true, size: true, ..ContainerListOptions::default() };
        let containers = self.container_list(&options).await?;
        let volumes = self.volume_list(&Filters::default(), true).await?;
        let usage = DiskUsage { images, build_cache, image_list, ..DiskUsage::default() };
        Ok(usage.with_objects(containers, volumes))
    }

    /// Hands a root filesystem to the engine; returns the new image's id.
    pub(super) async fn import_archive(
        &self,
        archive: Reader,
        options: ImportOptions,
    ) -> Result<Digest> {
        let (repository, tag) = options
            .name
            .as_ref()
            .map(|name| (name.familiar_repository(), name.tag().to_owned()))
            .unwrap_or_default();
        let mut query =
            vec![("fromSrc", "-"), ("repo", repository.as_str()), ("tag", tag.as_str())];
        query.extend(options.changes.iter().map(|change| ("changes", change.as_str())));
        if !options.message.is_empty() {
            query.push(("message", options.message.as_str()));
        }
        query.extend(options.platform.iter().map(|platform| ("platform", platform.as_str())));
        let reply = self
            .transport
            .post("/images/create", &query, upload(archive), "application/x-tar")
            .await?;
        let mut lines = reply.into_lines::<Progress>("import");
        let mut id = None;
        while let Some(progress) = lines.try_next().await? {
            failure(&progress)?;
            if let Some(digest) = progress.status.and_then(|status| status.trim().parse().ok()) {
                id = Some(digest);
            }
        }
        id.ok_or_else(|| error::malformed("import", "it names no image"))
    }
}

/// Returns an image of a list, which so many containers use.
fn summary(row: models::ImageSummary, containers: usize) -> Result<ImageSummary> {
    let id = image_id("image list", &row.id)?;
    Ok(ImageSummary {
        tags: names(&row.repo_tags),
        repo_digests: digests(row.repo_digests),
        created: DateTime::from_timestamp(row.created, 0).filter(|t| t.timestamp() > 0),
        size: u64::try_from(row.size).unwrap_or_default(),
        containers,
        labels: row.labels.into_iter().collect(),
        id,
    })
}

/// Returns a platform as the API wants it: a document of the OCI image specification.
pub(super) fn platform_document(platform: &str) -> String {
    let mut parts = platform.split('/');
    let mut next = || parts.next().unwrap_or_default();
    let (os, architecture, variant) = (next(), next(), next());
    serde_json::json!({"os": os, "architecture": architecture, "variant": variant}).to_string()
}

/// Returns the error that a progress line tells.
fn failure(progress: &Progress) -> Result<()> {
    match &progress.error {
        Some(message) => Err(Error::new(ErrorKind::Invalid, message.trim_end())),
        None => Ok(()),
    }
}

/// Returns an image's id, which podman writes without the algorithm in some places.
fn image_id(operation: &str, text: &str) -> Result<Digest> {
    let whole = match text.contains(':') {
        true => text.parse(),
        false => format!("sha256:{text}").parse(),
    };
    whole.map_err(|cause| error::malformed(operation, cause))
}

/// Returns the names among docker's, which writes `<none>:<none>` for no name.
fn names(texts: &[String]) -> Vec<ImageName> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

fn digests(texts: Vec<String>) -> Vec<String> {
    texts.into_iter().filter(|text| !text.starts_with("<none>@")).collect()
}

/// Returns the layers, lowest first. The history tells the sizes if as many of its steps have
/// content as there are layers.
fn layers(diff_ids: &[String], history: &[HistoryEntry]) -> Result<Vec<LayerInfo>> {
    let mut sizes: Vec<u64> =
        history.iter().rev().filter(|step| !step.empty_layer).map(|step| step.size).collect();
    if sizes.len() != diff_ids.len() {
        sizes = vec![0; diff_ids.len()];
    }
    let mut parent: Option<Digest> = None;
    let mut layers = Vec::with_capacity(diff_ids.len());
    for (text, size) in diff_ids.iter().zip(sizes) {
        let diff_id: Digest =
            text.parse().map_err(|cause| error::malformed("image document", cause))?;
        let chain_id = chain_id(parent.as_ref(), &diff_id);
        parent = Some(chain_id.clone());
        layers.push(LayerInfo { diff_id, chain_id, size, path: None, space: None });
    }
    Ok(layers)
}

/// Returns the digest over a layer and all below it, as the OCI image specification defines it
/// (config.md, "Layer ChainID").
fn chain_id(parent: Option<&Digest>, diff_id: &Digest) -> Digest {
    let Some(parent) = parent else {
        return diff_id.clone();
    };
    let text = format!("{parent} {diff_id}");
    let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.as_ref());
    Digest::from_bytes(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_s_words_for_no_name_are_no_names() {
        assert!(names(&["<none>:<none>".to_owned()]).is_empty());
        assert!(digests(vec!["<none>@<none>".to_owned()]).is_empty());
        assert_eq!(names(&["busybox:latest".to_owned()])[0].to_string(), "busybox:latest");
    }

    #[test]
    fn chain_ids_follow_the_specification() {
        // `printf 'sha256:01… sha256:02…' | sha256sum` with 32 bytes each.
        let first = Digest::from_bytes(&[1; 32]);
        let second = Digest::from_bytes(&[2; 32]);
        assert_eq!(chain_id(None, &first), first);
        let chained = chain_id(Some(&first), &second);
        assert_eq!(chained.as_str(), CHAINED);
    }

    /// Podman 4.3 has 0 for the sum of all layers, docker what they take on disk.
    #[test]
    fn images_take_what_their_layers_take() {
        let rows = |containers: i64| -> Vec<models::ImageSummary> {
            let image = serde_json::json!({
                "Containers": containers, "Created": 1, "Id": "a", "Labels": {}, "ParentId": "",
                "RepoTags": ["latest"], "RepoDigests": [], "SharedSize": 1000, "Size": 3000,
            });
            serde_json::from_value(serde_json::json!([image])).unwrap()
        };
        let space = |layers, containers| {
            let space = image_space(layers, &rows(containers));
            (space.total, space.active, space.size, space.reclaimable)
        };
        assert_eq!(space(5000, 1), (1, 1, 5000, 3000));
        assert_eq!(space(0, 1), (1, 1, 2000, 0));
        assert_eq!(space(0, 0), (1, 0, 2000, 2000));
    }

    const CHAINED: &str = "sha256:ad00036de6f26a309d173ace61d4a45573a1658ab0ff36e3858c3dbee3c5ded8";
}
