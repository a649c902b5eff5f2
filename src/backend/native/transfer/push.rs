//! A push: an image that is here, made to be there.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use wharf_engine::image::{Outgoing, OutgoingLayer};
use wharf_model::{
    Digest, ErrorKind, ImageListOptions, ImageName, LayerState, PushOptions, Pushed, TransferEvent,
};
use wharf_registry::manifest::Manifest;
use wharf_registry::{Platform, Remote, Upload, Uploaded};

use super::super::Native;
use super::{AT_ONCE, Counter, Tell, joined, transferred};
use crate::platform::{fits, stated};
use crate::{Backend as _, Error, Result};

/// A push.
pub(super) struct Push {
    native: Native,
    remote: Remote,
    options: PushOptions,
}

impl Push {
    pub(super) fn new(native: &Native, options: PushOptions) -> Result<Self> {
        let remote = native.registries()?.repository(&options.repository);
        Ok(Self { native: native.clone(), remote, options })
    }

    pub(super) async fn run(self, tell: Tell) -> Result<()> {
        tell.note(format!("The push refers to repository [{}]", self.options.repository));
        for name in self.names().await? {
            self.one(&name, &tell).await?;
        }
        let repository = &self.options.repository;
        let familiar = repository.familiar();
        let reference = match &self.options.tag {
            Some(tag) => format!("{familiar}:{tag}"),
            None => familiar,
        };
        transferred(&self.native, "push", reference, repository).await
    }

    /// Returns the names that are wanted and here.
    async fn names(&self) -> Result<Vec<ImageName>> {
        let repository = &self.options.repository;
        if let Some(tag) = &self.options.tag {
            let wanted = format!("{}:{tag}", repository.familiar());
            self.native.with_images(move |images| images.ensure_named(&wanted)).await?;
        }
        let images = self.native.list_images(&ImageListOptions::default()).await?;
        let here = images.into_iter().flat_map(|image| image.tags);
        let mut here: Vec<ImageName> =
            here.filter(|name| name.repository() == repository).collect();
        here.sort();
        let familiar = repository.familiar();
        if here.is_empty() {
            let text = format!("An image does not exist locally with the tag: {familiar}");
            return Err(Error::new(ErrorKind::NotFound, text));
        }
        if let Some(tag) = &self.options.tag {
            here.retain(|name| name.tag() == tag);
            if here.is_empty() {
                let text = format!("tag does not exist: {familiar}:{tag}");
                return Err(Error::new(ErrorKind::NotFound, text));
            }
        }
        Ok(here)
    }

    async fn one(&self, name: &ImageName, tell: &Tell) -> Result<()> {
        let text = name.canonical();
        if let Some(platform) = &self.options.platform {
            self.check_platform(name, platform).await?;
        }
        let outgoing = self.native.blocking(move |engine| engine.outgoing(&text)).await?;
        let outgoing = Arc::new(outgoing);
        self.layers(&outgoing, tell).await?;
        let spooled = || spooled(&outgoing.config);
        let upload = Upload {
            digest: &outgoing.config_blob.digest,
            size: outgoing.config_blob.size,
            open: &spooled,
            elsewhere: &[],
            progress: Arc::new(|_| ()),
            on_retry: &|_| (),
        };
        self.remote.upload(&upload).await?;
        let manifest = Manifest {
            bytes: Bytes::copy_from_slice(&outgoing.manifest),
            media_type: outgoing.media_type.clone(),
            digest: outgoing.digest.clone(),
        };
        self.remote.put_manifest(name.tag(), &manifest).await?;
        let (id, repository) = (outgoing.id.clone(), name.repository().to_string());
        let (digest, noted) = (manifest.digest.clone(), manifest.digest.clone());
        let note = self
            .native
            .blocking(move |engine| engine.note_names(&id, &[], Some((&repository, &noted))));
        note.await?;
        let size = u64::try_from(manifest.bytes.len()).unwrap_or(u64::MAX);
        let pushed = Pushed { tag: name.tag().to_owned(), digest, size };
        tell.event(TransferEvent::Pushed(pushed));
        Ok(())
    }

    /// Refuses an image for another machine than the one that the user named.
    async fn check_platform(&self, name: &ImageName, platform: &str) -> Result<()> {
        let wanted = Platform::parse(platform)?;
        let image = self.native.image(&name.canonical()).await?;
        fits(name, &wanted, &stated(image.os, image.architecture))
    }

    /// Sends the layers that aren't there, several at once.
    async fn layers(&self, outgoing: &Arc<Outgoing>, tell: &Tell) -> Result<()> {
        let elsewhere = Arc::new(self.elsewhere(outgoing));
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let mut tasks = JoinSet::new();
        let mut begun: Vec<&Digest> = Vec::new();
        // As docker lists them: the topmost first.
        for layer in outgoing.layers.iter().rev() {
            tell.layer(&layer.diff_id, LayerState::Preparing);
        }
        for (index, layer) in outgoing.layers.iter().enumerate().rev() {
            // The same blob twice goes once.
            if begun.contains(&&layer.blob.digest) {
                tell.layer(&layer.diff_id, LayerState::Exists);
                continue;
            }
            if begun.len() >= AT_ONCE {
                tell.layer(&layer.diff_id, LayerState::Waiting);
            }
            begun.push(&layer.blob.digest);
            let (turns, tell, remote) = (Arc::clone(&turns), tell.clone(), self.remote.clone());
            let (outgoing, elsewhere) = (Arc::clone(outgoing), Arc::clone(&elsewhere));
            tasks.spawn(async move {
                // It is never closed.
                let _turn = turns.acquire_owned().await;
                match outgoing.layers.get(index) {
                    Some(layer) => send(&remote, layer, &elsewhere, &tell).await,
                    None => Ok(()),
                }
            });
        }
        // Dropped with the first failure, which ends the others.
        while let Some(outcome) = tasks.join_next().await {
            joined(outcome)?;
        }
        Ok(())
    }

    /// Returns the paths of other repositories of the same registry that have the image.
    fn elsewhere(&self, outgoing: &Outgoing) -> Vec<String> {
        let own = self.options.repository.path();
        let domain = format!("{}/", self.options.repository.domain());
        let paths = outgoing.repositories.iter().filter_map(|name| name.strip_prefix(&domain));
        paths.filter(|path| *path != own).map(str::to_owned).collect()
    }
}

async fn send(
    remote: &Remote,
    layer: &OutgoingLayer,
    elsewhere: &[String],
    tell: &Tell,
) -> Result<()> {
    let (id, size) = (&layer.diff_id, layer.blob.size);
    let counter = Counter::new(tell, id);
    let open = || layer.open().map_err(|cause| std::io::Error::other(cause.to_string()));
    let upload = Upload {
        digest: &layer.blob.digest,
        size,
        open: &open,
        elsewhere,
        progress: Arc::new(move |done| {
            counter.count(|| LayerState::Uploading { done, total: Some(size) });
        }),
        on_retry: &|seconds| tell.layer(id, LayerState::Retrying { seconds }),
    };
    let state = match remote.upload(&upload).await? {
        Uploaded::Exists => LayerState::Exists,
        Uploaded::Mounted(from) => LayerState::Mounted { from },
        Uploaded::Sent => LayerState::Pushed,
    };
    tell.layer(id, state);
    Ok(())
}

/// Returns bytes as a file in memory, which is how blobs go.
fn spooled(bytes: &[u8]) -> std::io::Result<std::fs::File> {
    use std::io::{Seek, Write};
    let memory = rustix::fs::memfd_create("config", rustix::fs::MemfdFlags::CLOEXEC)?;
    let mut file = std::fs::File::from(memory);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}
