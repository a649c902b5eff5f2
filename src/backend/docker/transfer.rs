//! Pulls and pushes, which the engine does by itself: its progress, translated.

use futures_util::StreamExt;
use serde::Deserialize;
use wharf_model::{
    Digest, ErrorKind, LayerState, PullOptions, Pulled, PushOptions, Pushed, Repository,
    TransferEvent,
};

use super::image::platform_document;
use super::{Docker, error, image_segment};
use crate::{Error, Result, TransferStream};

/// A line of progress.
#[derive(Debug, Deserialize)]
struct Line {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default, rename = "progressDetail")]
    detail: Option<Detail>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    aux: Option<Aux>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Detail {
    current: u64,
    total: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Aux {
    tag: Option<String>,
    digest: Option<Digest>,
    size: u64,
}

impl Docker {
    /// Lets the engine pull; its stream ends when it is dropped.
    pub(super) async fn pull_image(&self, options: PullOptions) -> Result<TransferStream> {
        let repository = options.reference.repository().to_string();
        let selector = if options.all_tags { "" } else { options.reference.selector() };
        let mut query = vec![("fromImage", repository.as_str()), ("tag", selector)];
        query.extend(options.platform.iter().map(|platform| ("platform", platform.as_str())));
        let who = self.authorization(options.reference.repository()).await?;
        let reply = self.transport.post_for_registry("/images/create", &query, &who);
        let wanted = match options.all_tags {
            true => options.reference.repository().familiar(),
            false => options.reference.to_string(),
        };
        let mut pull = Pull { wanted, selector: options.reference.selector().to_owned() };
        let lines = reply.await?.into_lines::<Line>("pull");
        Ok(lines.filter_map(move |line| std::future::ready(pull.event(line).transpose())).boxed())
    }

    /// Lets the engine push; its stream ends when it is dropped.
    pub(super) async fn push_image(&self, options: PushOptions) -> Result<TransferStream> {
        let path = format!("/images/{}/push", image_segment(&options.repository.to_string())?);
        let platform = options.platform.as_deref().map(platform_document);
        let tag = options.tag.iter().map(|tag| ("tag", tag.as_str()));
        let query: Vec<_> =
            tag.chain(platform.iter().map(|text| ("platform", text.as_str()))).collect();
        let who = self.authorization(&options.repository).await?;
        let reply = self.transport.post_for_registry(&path, &query, &who).await?;
        let lines = reply.into_lines::<Line>("push");
        Ok(lines.filter_map(|line| std::future::ready(pushed(line).transpose())).boxed())
    }

    /// Returns the header that says who the user is at a repository's registry.
    async fn authorization(&self, repository: &Repository) -> Result<String> {
        let (store, domain) = (self.credentials.clone(), repository.domain().to_owned());
        // A helper may take its time.
        let found = tokio::task::spawn_blocking(move || {
            let found = store.get(&domain)?.unwrap_or_default();
            Ok::<_, wharf_registry::Error>(found.for_engine(&domain))
        });
        let failed = |cause| Error::new(ErrorKind::Internal, format!("credentials: {cause}"));
        Ok(found.await.map_err(failed)??)
    }
}

/// A pull whose lines come in.
struct Pull {
    wanted: String,
    /// The tag or digest whose layers come now.
    selector: String,
}

impl Pull {
    fn event(&mut self, line: Result<Line>) -> Result<Option<TransferEvent>> {
        let line = told(line)?;
        let status = line.status.clone().unwrap_or_default();
        if let Some(id) = &line.id
            && status.starts_with("Pulling from ")
        {
            self.selector.clone_from(id);
            return Ok(Some(TransferEvent::Note(format!("{id}: {status}"))));
        }
        if let Some(digest) = status.strip_prefix("Digest: ") {
            let digest = digest.parse().map_err(|cause| error::malformed("pull", cause))?;
            let pulled = Pulled { selector: self.selector.clone(), digest };
            return Ok(Some(TransferEvent::Pulled(pulled)));
        }
        if let Some(outcome) = status.strip_prefix("Status: ") {
            let newer = outcome.starts_with("Downloaded");
            return Ok(Some(TransferEvent::Ended { reference: self.wanted.clone(), newer }));
        }
        Ok(event(line))
    }
}

fn pushed(line: Result<Line>) -> Result<Option<TransferEvent>> {
    let mut line = told(line)?;
    if let Some(Aux { tag: Some(tag), digest: Some(digest), size }) = line.aux.take() {
        return Ok(Some(TransferEvent::Pushed(Pushed { tag, digest, size })));
    }
    // The same again, as a sentence.
    if line.status.as_deref().is_some_and(|status| status.contains(": digest: sha256:")) {
        return Ok(None);
    }
    Ok(event(line))
}

/// Returns a line that tells no failure.
fn told(line: Result<Line>) -> Result<Line> {
    let line = line?;
    match &line.error {
        None => Ok(line),
        Some(message) => {
            let kind = match message {
                text if text.contains("not found") || text.contains("manifest unknown") => {
                    ErrorKind::NotFound
                }
                text if text.contains("denied") || text.contains("unauthorized") => {
                    ErrorKind::Denied
                }
                _ => ErrorKind::Internal,
            };
            Err(Error::new(kind, message.trim_end()))
        }
    }
}

fn event(line: Line) -> Option<TransferEvent> {
    let status = line.status.filter(|status| !status.is_empty())?;
    let Some(layer) = line.id else { return Some(TransferEvent::Note(status)) };
    let detail = line.detail.unwrap_or_default();
    let total = detail.total.filter(|total| *total > 0);
    let state = match status.as_str() {
        "Pulling fs layer" | "Preparing" => LayerState::Preparing,
        "Waiting" => LayerState::Waiting,
        "Downloading" => LayerState::Downloading { done: detail.current, total },
        "Verifying Checksum" => LayerState::Verifying,
        "Download complete" => LayerState::Downloaded,
        "Extracting" => LayerState::Extracting { done: detail.current, total },
        "Pull complete" => LayerState::Complete,
        "Already exists" | "Layer already exists" => LayerState::Exists,
        "Pushing" => LayerState::Uploading { done: detail.current, total },
        "Pushed" => LayerState::Pushed,
        other => {
            if let Some(from) = other.strip_prefix("Mounted from ") {
                LayerState::Mounted { from: from.to_owned() }
            } else if let Some(rest) = other.strip_prefix("Retrying in ") {
                let seconds = rest.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
                LayerState::Retrying { seconds }
            } else {
                return Some(TransferEvent::Note(format!("{layer}: {status}")));
            }
        }
    };
    Some(TransferEvent::Layer { layer, state })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Result<Line> {
        Ok(serde_json::from_str(text).unwrap())
    }

    const DIGEST: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";

    #[test]
    fn an_engine_s_pull_is_understood() {
        let mut pull = Pull { wanted: "alpine:latest".to_owned(), selector: String::new() };
        let mut read = |text: &str| pull.event(line(text)).unwrap();
        let note = read(r#"{"status":"Pulling from library/alpine","id":"latest"}"#);
        let words = "latest: Pulling from library/alpine".to_owned();
        assert_eq!(note, Some(TransferEvent::Note(words)));
        let text = r#"{"status":"Downloading","progressDetail":{"current":7,"total":9},
                       "progress":"[=>] 7B/9B","id":"c158987b0551"}"#;
        let state = LayerState::Downloading { done: 7, total: Some(9) };
        let layer = "c158987b0551".to_owned();
        assert_eq!(read(text), Some(TransferEvent::Layer { layer, state }));
        let digest: Digest = DIGEST.parse().unwrap();
        let pulled = Pulled { selector: "latest".to_owned(), digest };
        let text = format!(r#"{{"status":"Digest: {DIGEST}"}}"#);
        assert_eq!(read(&text), Some(TransferEvent::Pulled(pulled)));
        let ended = TransferEvent::Ended { reference: "alpine:latest".to_owned(), newer: true };
        let text = r#"{"status":"Status: Downloaded newer image for alpine:latest"}"#;
        assert_eq!(read(text), Some(ended));
        let text = r#"{"errorDetail":{"message":"x"},"error":"manifest unknown"}"#;
        assert_eq!(pull.event(line(text)).unwrap_err().kind, ErrorKind::NotFound);
    }

    #[test]
    fn an_engine_s_push_is_understood() {
        let read = |text: &str| pushed(line(text)).unwrap();
        let layer = || "d69483a6face".to_owned();
        let text = r#"{"status":"Mounted from a/b","progressDetail":{},"id":"d69483a6face"}"#;
        let state = LayerState::Mounted { from: "a/b".to_owned() };
        assert_eq!(read(text), Some(TransferEvent::Layer { layer: layer(), state }));
        let text = format!(r#"{{"status":"1: digest: {DIGEST} size: 528"}}"#);
        assert_eq!(read(&text), None);
        let text = format!(
            r#"{{"progressDetail":{{}},"aux":{{"Tag":"1","Digest":"{DIGEST}","Size":528}}}}"#
        );
        let digest: Digest = DIGEST.parse().unwrap();
        let wanted = Pushed { tag: "1".to_owned(), digest, size: 528 };
        assert_eq!(read(&text), Some(TransferEvent::Pushed(wanted)));
    }
}
