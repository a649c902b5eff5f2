//! A pull: from a reference to an image that is here.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use wharf_engine::image::{Here, Receiving, ReceivingLayer};
use wharf_model::{
    Digest, ErrorKind, ImageName, ImageReference, LayerState, PullOptions, Pulled, TransferEvent,
};
use wharf_registry::manifest::Descriptor;
use wharf_registry::{Origin, Platform, Remote, Resolved};

use super::super::Native;
use super::feed::feed;
use super::{AT_ONCE, Counter, Tell, joined, transferred};
use crate::platform::{fits, stated};
use crate::{Error, Result};

/// The greatest configuration.
const LONGEST_CONFIG: u64 = 16 << 20;

/// How often a pull begins anew when what it builds on is removed under it.
const ATTEMPTS: usize = 3;

/// A pull.
pub(super) struct Pull {
    native: Native,
    remote: Remote,
    options: PullOptions,
    platform: Platform,
    /// Whether the user said what machine it is for.
    named: bool,
}

impl Pull {
    pub(super) fn new(native: &Native, options: PullOptions) -> Result<Self> {
        let platform = match &options.platform {
            Some(text) => Platform::parse(text)?,
            None => Platform::this(),
        };
        let remote = native.registries()?.repository(options.reference.repository());
        let named = options.platform.is_some();
        Ok(Self { native: native.clone(), remote, options, platform, named })
    }

    pub(super) async fn run(mut self, tell: Tell) -> Result<()> {
        let warn = tell.clone();
        self.remote = self.remote.warning(Arc::new(move |text| warn.warning(text)));
        let repository = self.options.reference.repository();
        if !self.options.all_tags {
            let reference = self.options.reference.clone();
            let newer = self.one(&reference, &tell).await?;
            transferred(&self.native, "pull", reference.to_string(), repository).await?;
            tell.event(TransferEvent::Ended { reference: reference.to_string(), newer });
            return Ok(());
        }
        let mut newer = false;
        let mut tags = self.remote.tags().await?;
        tags.retain(|tag| !is_attachment(tag));
        if tags.is_empty() {
            let text = format!("{} has no tags", repository.familiar());
            return Err(Error::new(ErrorKind::NotFound, text));
        }
        for tag in tags {
            let name = repository.tagged(&tag).map_err(|cause| {
                Error::new(ErrorKind::Invalid, format!("{}: {cause}", repository.familiar()))
            })?;
            newer |= self.one(&name.into(), &tell).await?;
        }
        transferred(&self.native, "pull", repository.familiar(), repository).await?;
        tell.event(TransferEvent::Ended { reference: repository.familiar(), newer });
        Ok(())
    }

    /// Pulls one image; returns whether anything is newer now.
    async fn one(&self, reference: &ImageReference, tell: &Tell) -> Result<bool> {
        let selector = reference.selector();
        // A digest says all, a tag beside it nothing more.
        let name = reference.name().filter(|_| reference.digest().is_none());
        let before = self.current(reference).await?;
        if before.is_some()
            && let Some(newer) = self.known(reference, name.as_ref(), before.as_ref(), tell).await?
        {
            return Ok(newer);
        }
        let image = self.remote.resolve(selector, &self.platform).await?;
        tell_begun(tell, reference);
        self.remote.check_policy(reference, &image).await?;
        let config = self.remote.small_blob(&image.content.config, LONGEST_CONFIG).await?;
        self.check_platform(reference, &config)?;
        let mut attempt = 1;
        let id = loop {
            match self.receive(&image, &config, reference, name.as_ref(), tell).await {
                Err(error) if error.kind == ErrorKind::Conflict && attempt < ATTEMPTS => {
                    attempt += 1;
                }
                outcome => break outcome?,
            }
        };
        tell_pulled(tell, selector, &image.digest);
        Ok(before != Some(id))
    }

    /// Returns the image that a reference stands for here.
    async fn current(&self, reference: &ImageReference) -> Result<Option<Digest>> {
        let text = reference.canonical();
        let found = self.native.with_images(move |images| images.resolve(&text)).await;
        match found {
            Ok(image) => Ok(Some(image.id)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes do with what is here, if the registry means the same; returns whether a name is newer.
    async fn known(
        &self,
        reference: &ImageReference,
        name: Option<&ImageName>,
        before: Option<&Digest>,
        tell: &Tell,
    ) -> Result<Option<bool>> {
        // A signature has to be looked at each time: the policy may be newer than the image.
        if !self.remote.is_unconditional(reference) {
            return Ok(None);
        }
        let digest = match reference.digest() {
            Some(digest) => digest.clone(),
            None => match self.remote.head(reference.selector()).await? {
                Some(digest) => digest,
                None => return Ok(None),
            },
        };
        let repository = reference.repository().to_string();
        let (wanted, place) = (digest.clone(), repository.clone());
        let found = self.native.blocking(move |engine| engine.received(&place, &wanted)).await?;
        let Some(id) = found else { return Ok(None) };
        let image = id.as_str().to_owned();
        let image = self.native.with_images(move |images| images.resolve(&image)).await?;
        if !self.platform.takes(&stated(image.os, image.architecture)) {
            return Ok(None);
        }
        let newer = before != Some(&id);
        if newer {
            let (names, noted) = (name.cloned(), digest.clone());
            let note = self.native.blocking(move |engine| {
                engine.note_names(&id, names.as_slice(), Some((&repository, &noted)))
            });
            note.await?;
        }
        tell_begun(tell, reference);
        tell_pulled(tell, reference.selector(), &digest);
        Ok(Some(newer))
    }

    /// Refuses an image for another machine than the one that the user named.
    fn check_platform(&self, reference: &ImageReference, config: &[u8]) -> Result<()> {
        let stated: Platform = serde_json::from_slice(config).map_err(|cause| {
            Error::new(ErrorKind::Invalid, format!("configuration of {reference}: {cause}"))
        })?;
        match self.named {
            true => fits(reference, &self.platform, &stated),
            false => Ok(()),
        }
    }

    /// Takes the image in; returns its id.
    async fn receive(
        &self,
        image: &Resolved,
        config: &[u8],
        reference: &ImageReference,
        name: Option<&ImageName>,
        tell: &Tell,
    ) -> Result<Digest> {
        let (manifest, config) = (image.manifest.clone(), config.to_vec());
        let receiving = self
            .native
            .blocking(move |engine| engine.receive(&manifest.bytes, &manifest.media_type, &config))
            .await?;
        let receiving = Arc::new(receiving);
        self.layers(&receiving, tell).await?;
        let receiving = Arc::into_inner(receiving)
            .ok_or_else(|| Error::new(ErrorKind::Internal, "pull: a layer is still on its way"))?;
        let names: Vec<ImageName> = name.cloned().into_iter().collect();
        let (repository, digest) = (reference.repository().to_string(), image.digest.clone());
        self.native.blocking(move |_| receiving.publish(&names, Some((&repository, &digest)))).await
    }

    /// Brings the layers that aren't here, several at once.
    async fn layers(&self, receiving: &Arc<Receiving>, tell: &Tell) -> Result<()> {
        // The same blob twice is fetched once: the second finds it kept.
        let mut missing: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut first: BTreeMap<&Digest, usize> = BTreeMap::new();
        for (index, layer) in receiving.layers().iter().enumerate() {
            match layer.here {
                Here::Unpacked => tell.layer(&layer.blob.digest, LayerState::Exists),
                Here::Blob | Here::Missing => {
                    tell.layer(&layer.blob.digest, LayerState::Preparing);
                    // Whoever shows how much of all is done has to know of all from the beginning.
                    tell.layer(&layer.blob.digest, moving(layer, 0));
                    let leader = *first.entry(&layer.blob.digest).or_insert(index);
                    missing.entry(leader).or_default().push(index);
                }
            }
        }
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let mut tasks = JoinSet::new();
        for (position, indexes) in missing.into_values().enumerate() {
            let (turns, tell) = (Arc::clone(&turns), tell.clone());
            let (receiving, remote) = (Arc::clone(receiving), self.remote.clone());
            if position >= AT_ONCE {
                for layer in indexes.iter().filter_map(|index| receiving.layers().get(*index)) {
                    tell.layer(&layer.blob.digest, LayerState::Waiting);
                }
            }
            tasks.spawn(async move {
                // It is never closed.
                let _turn = turns.acquire_owned().await;
                for index in indexes {
                    layer(&receiving, &remote, index, &tell).await?;
                }
                Ok(())
            });
        }
        // Dropped with the first failure, which ends the others.
        while let Some(outcome) = tasks.join_next().await {
            joined(outcome)?;
        }
        Ok(())
    }
}

/// Brings one layer, from the source that has it.
async fn layer(
    receiving: &Arc<Receiving>,
    remote: &Remote,
    index: usize,
    tell: &Tell,
) -> Result<()> {
    let Some(layer) = receiving.layers().get(index) else { return Ok(()) };
    let mut source = 0;
    loop {
        let (origin, outcome) = layer_from(receiving, remote, (index, layer), source, tell).await;
        match outcome {
            Err(error) if error.kind == ErrorKind::Unavailable => {
                source = remote.source_after(origin.first(), &error.message).ok_or(error)?;
            }
            outcome => {
                outcome?;
                tell.layer(&layer.blob.digest, LayerState::Complete);
                return Ok(());
            }
        }
    }
}

async fn layer_from(
    receiving: &Arc<Receiving>,
    remote: &Remote,
    (index, layer): (usize, &ReceivingLayer),
    source: usize,
    tell: &Tell,
) -> (Origin, Result<()>) {
    let (moved, blob) = (layer.clone(), layer.blob.clone());
    let digest = blob.digest.clone();
    let descriptor = Descriptor {
        media_type: blob.media_type,
        digest: blob.digest,
        size: blob.size,
        platform: None,
        annotations: BTreeMap::new(),
    };
    let waiting = (tell.clone(), digest.clone());
    let stream = remote.blob(
        &descriptor,
        source,
        Box::new(move |seconds| waiting.0.layer(&waiting.1, LayerState::Retrying { seconds })),
    );
    let origin = stream.origin();
    let arrived = (tell.clone(), digest.clone());
    let (mut feed, work) =
        feed(stream, move || arrived.0.layer(&arrived.1, LayerState::Downloaded));
    let cause = feed.cause();
    let counter = Counter::new(tell, &digest);
    let receiving = Arc::clone(receiving);
    let unpacking = tokio::task::spawn_blocking(move || {
        let progress = |done: u64| counter.count(|| moving(&moved, done));
        receiving.layer(index, &mut feed, &progress).map_err(Error::from)
    });
    let (outcome, ()) = tokio::join!(unpacking, work);
    let outcome = joined(outcome).map_err(|error| {
        let cause = cause.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        cause.map_or(error, Error::from)
    });
    (origin, outcome)
}

/// Returns how far a layer is.
fn moving(layer: &ReceivingLayer, done: u64) -> LayerState {
    let total = Some(layer.blob.size);
    match layer.here {
        Here::Missing => LayerState::Downloading { done, total },
        _ => LayerState::Extracting { done, total },
    }
}

/// Says where an image comes from, once it is known to be there.
fn tell_begun(tell: &Tell, reference: &ImageReference) {
    let (selector, path) = (reference.selector(), reference.repository().path());
    tell.note(format!("{selector}: Pulling from {path}"));
}

fn tell_pulled(tell: &Tell, selector: &str, digest: &Digest) {
    let pulled = Pulled { selector: selector.to_owned(), digest: digest.clone() };
    tell.event(TransferEvent::Pulled(pulled));
}

/// Returns whether a tag is a signature's or the like, which cosign puts beside the image: no image.
fn is_attachment(tag: &str) -> bool {
    tag.strip_prefix("sha256-")
        .and_then(|rest| rest.split_once('.'))
        .is_some_and(|(hex, kind)| hex.len() == 64 && matches!(kind, "sig" | "att" | "sbom"))
}
