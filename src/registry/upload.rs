//! A blob on its way to a registry: skipped if it is there, taken over from another repository of
//! the registry, or sent in pieces, each of which can be sent again.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use reqwest::header::{HeaderMap, LOCATION, RANGE};
use reqwest::{Body, Method, Response, Url};
use tokio::sync::mpsc;
use wharf_model::{Digest, ErrorKind};

use crate::blob::is_there;
use crate::endpoint::{Ask, Endpoint, refusal};
use crate::http::{Backoff, is_transient, retry_after};
use crate::{Error, Result};

/// The bytes of one request. Smaller blobs go in one; it bounds what a break costs, and what proxies
/// in between have to let through.
const PIECE: u64 = 32 << 20;

/// What is read from the file at a time.
const CHUNK: usize = 128 << 10;

/// How many chunks wait for the network.
const AHEAD: usize = 4;

/// How long the answer to a piece may take: the registry may be copying it to another store.
const PATIENCE: Duration = Duration::from_secs(600);

/// Where a blob is sent to.
pub(crate) struct Destination<'a> {
    pub(crate) endpoint: &'a Endpoint,
    /// The repository's path.
    pub(crate) repository: &'a str,
    /// What pushing to it needs.
    pub(crate) scope: &'a str,
}

/// A blob to be sent.
pub struct Upload<'a> {
    /// Its digest.
    pub digest: &'a Digest,
    /// How many bytes it has.
    pub size: u64,
    /// Opens it at its beginning; each time anew.
    pub open: &'a (dyn Fn() -> io::Result<File> + Send + Sync),
    /// Repositories of the same registry that may have it.
    pub elsewhere: &'a [String],
    /// Is told how many bytes have gone.
    pub progress: Arc<dyn Fn(u64) + Send + Sync>,
    /// Is told before each pause how many seconds it lasts.
    pub on_retry: &'a (dyn Fn(u64) + Send + Sync),
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uploaded {
    /// It was there.
    Exists,
    /// The registry took it over from this repository.
    Mounted(String),
    /// It was sent.
    Sent,
}

/// What a try ended with.
enum Try {
    Done(Uploaded),
    /// Later it may work; the registry may have said when.
    Again(Error, Option<Duration>),
}

impl Destination<'_> {
    /// Sees to it that the registry has the blob.
    ///
    /// # Errors
    /// When it refuses it, or it can't be sent by now.
    pub(crate) async fn put(&self, upload: &Upload<'_>) -> Result<Uploaded> {
        let place = format!("{}/blobs/{}", self.repository, upload.digest);
        if is_there(self.endpoint, &place, self.scope).await? {
            return Ok(Uploaded::Exists);
        }
        for other in upload.elsewhere {
            if self.mount(upload.digest, other).await {
                return Ok(Uploaded::Mounted(other.clone()));
            }
        }
        let mut backoff = Backoff::default();
        loop {
            match self.send(upload).await? {
                Try::Done(done) => return Ok(done),
                Try::Again(error, wanted) => {
                    let Some(wait) = backoff.next(wanted) else { return Err(error) };
                    (upload.on_retry)(wait.as_secs().max(1));
                    tokio::time::sleep(wait).await;
                    // The answer may have been lost, and not the blob.
                    if is_there(self.endpoint, &place, self.scope).await? {
                        return Ok(Uploaded::Sent);
                    }
                }
            }
        }
    }

    /// Asks the registry to take a blob over; whatever goes wrong, it can be sent instead.
    async fn mount(&self, digest: &Digest, from: &str) -> bool {
        let scope = format!("{} repository:{from}:pull", self.scope);
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("mount", digest.as_str()), ("from", from)])
            .finish();
        let path = format!("{}/blobs/uploads/?{query}", self.repository);
        let ask = Ask::new(Method::POST, path, &scope).header("content-length", "0");
        match self.endpoint.send(&ask).await {
            Ok(response) if response.status().as_u16() == 201 => true,
            Ok(response) => {
                // It began an upload instead, which nobody will end.
                if let (202, Some(url)) = (response.status().as_u16(), location(&response)) {
                    let _ = self.endpoint.send(&Ask::new(Method::DELETE, url, self.scope)).await;
                }
                false
            }
            Err(_) => false,
        }
    }

    async fn send(&self, upload: &Upload<'_>) -> Result<Try> {
        let path = format!("{}/blobs/uploads/", self.repository);
        let ask = Ask::new(Method::POST, path, self.scope).header("content-length", "0");
        let response = self.endpoint.send(&ask).await.map_err(|failed| failed.error)?;
        if response.status().as_u16() != 202 {
            return Err(refusal(response).await);
        }
        let nowhere = || {
            let text = format!("blob {}: the registry takes no upload", upload.digest);
            Error::unavailable(text)
        };
        let mut place = location(&response).ok_or_else(nowhere)?;
        let mut offset = 0;
        let mut backoff = Backoff::default();
        while offset < upload.size {
            let end = upload.size.min(offset + PIECE);
            match self.piece(upload, &place, offset, end).await {
                Ok(response) => {
                    place = location(&response).unwrap_or(place);
                    offset = range_end(response.headers()).unwrap_or(end);
                    backoff.reset();
                }
                Err(Stopped { error, passing: false, .. }) => return Err(error),
                Err(Stopped { error, wanted, .. }) => {
                    let Some(wait) = backoff.next(wanted) else { return Err(error) };
                    (upload.on_retry)(wait.as_secs().max(1));
                    tokio::time::sleep(wait).await;
                    match self.resumed(&place).await {
                        Some((next, reached)) if reached <= end => {
                            (place, offset) = (next, reached);
                        }
                        // The registry has lost it: from the beginning.
                        _ => return Ok(Try::Again(error, None)),
                    }
                }
            }
        }
        self.finish(upload, &place).await
    }

    /// Sends the bytes from `offset` to `end`.
    async fn piece(
        &self,
        upload: &Upload<'_>,
        place: &str,
        offset: u64,
        end: u64,
    ) -> std::result::Result<Response, Stopped> {
        let body = || body(upload, offset, end);
        let mut ask = Ask::new(Method::PATCH, place, self.scope)
            .header("content-type", "application/octet-stream")
            .header("content-length", &(end - offset).to_string())
            .body(&body)
            .patience(PATIENCE)
            .once();
        // One piece that is all needs no place; some registries want none then.
        if offset > 0 || end < upload.size {
            ask = ask.header("content-range", &format!("{offset}-{}", end - 1));
        }
        match self.endpoint.send(&ask).await {
            Ok(response) if response.status().is_success() => Ok(response),
            Ok(response) => {
                let (passing, wanted) = (is_transient(response.status()), retry_after(&response));
                Err(Stopped { error: refusal(response).await, passing, wanted })
            }
            Err(failed) => {
                Err(Stopped { error: failed.error, passing: failed.passing, wanted: None })
            }
        }
    }

    /// Asks how far an upload has come; none when the registry knows nothing of it.
    async fn resumed(&self, place: &str) -> Option<(String, u64)> {
        let response = self.endpoint.send(&Ask::get(place, self.scope)).await.ok()?;
        if response.status().as_u16() != 204 {
            return None;
        }
        // "0-0" is nothing at some registries, and one byte at others.
        let end = range_end(response.headers()).filter(|end| *end > 1)?;
        Some((location(&response).unwrap_or_else(|| place.to_owned()), end))
    }

    async fn finish(&self, upload: &Upload<'_>, place: &str) -> Result<Try> {
        let separator = if place.contains('?') { '&' } else { '?' };
        let digest = upload.digest.as_str().replace(':', "%3A");
        let ask = Ask::new(Method::PUT, format!("{place}{separator}digest={digest}"), self.scope)
            .header("content-length", "0")
            .patience(PATIENCE)
            .once();
        match self.endpoint.send(&ask).await {
            Ok(response) if response.status().is_success() => Ok(Try::Done(Uploaded::Sent)),
            Ok(response) if is_transient(response.status()) => {
                let wanted = retry_after(&response);
                Ok(Try::Again(refusal(response).await, wanted))
            }
            Ok(response) => Err(refusal(response).await),
            Err(failed) if failed.passing => Ok(Try::Again(failed.error, None)),
            Err(failed) => Err(failed.error),
        }
    }
}

/// A piece that didn't arrive.
struct Stopped {
    error: Error,
    passing: bool,
    wanted: Option<Duration>,
}

/// Returns where an answer says that the upload goes on, as a whole address.
fn location(response: &Response) -> Option<String> {
    let text = response.headers().get(LOCATION)?.to_str().ok()?;
    let url: Url = response.url().join(text).ok()?;
    Some(url.into())
}

/// Returns how many bytes the registry has, by a header `0-LAST`.
fn range_end(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(RANGE)?.to_str().ok()?;
    let text = text.strip_prefix("bytes=").unwrap_or(text);
    text.split_once('-')?.1.parse::<u64>().ok()?.checked_add(1)
}

/// Returns a part of the file as a body, read on a thread that may block while the network takes it.
fn body(upload: &Upload<'_>, offset: u64, end: u64) -> Body {
    let file = (upload.open)();
    let progress = Arc::clone(&upload.progress);
    let (sender, receiver) = mpsc::channel::<io::Result<Bytes>>(AHEAD);
    tokio::task::spawn_blocking(move || {
        let result = file.and_then(|file| read(file, offset, end, &sender));
        if let Err(cause) = result {
            // Nobody waits any more where the request has failed.
            let _ = sender.blocking_send(Err(cause));
        }
    });
    let chunks = futures_util::stream::unfold((receiver, offset), move |(mut receiver, sent)| {
        let progress = Arc::clone(&progress);
        async move {
            let item = receiver.recv().await?;
            let length = item.as_ref().map_or(0, |bytes| u64::try_from(bytes.len()).unwrap_or(0));
            progress(sent + length);
            Some((item, (receiver, sent + length)))
        }
    });
    Body::wrap_stream(chunks.boxed())
}

fn read(
    mut file: File,
    offset: u64,
    end: u64,
    to: &mpsc::Sender<io::Result<Bytes>>,
) -> io::Result<()> {
    file.seek(SeekFrom::Start(offset))?;
    let mut rest = file.take(end - offset);
    loop {
        let mut chunk = vec![0; CHUNK];
        let length = match rest.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
            Err(cause) => return Err(cause),
        };
        chunk.truncate(length);
        if to.blocking_send(Ok(Bytes::from(chunk))).is_err() {
            return Ok(());
        }
    }
}

/// Sends a manifest under a tag or its digest.
///
/// # Errors
/// When the registry refuses it, or calls it something else.
pub(crate) async fn put_manifest(
    to: &Destination<'_>,
    selector: &str,
    media_type: &str,
    bytes: &Bytes,
    digest: &Digest,
) -> Result<()> {
    let body = || Body::from(bytes.clone());
    let ask = Ask::new(Method::PUT, format!("{}/manifests/{selector}", to.repository), to.scope)
        .header("content-type", media_type)
        .body(&body)
        .patience(PATIENCE);
    let response = to.endpoint.send(&ask).await.map_err(|failed| failed.error)?;
    if !response.status().is_success() {
        return Err(refusal(response).await);
    }
    let answered = response.headers().get("docker-content-digest");
    match answered.and_then(|value| value.to_str().ok()) {
        Some(answered) if answered != digest.as_str() => Err(Error::new(
            ErrorKind::Unavailable,
            format!("manifest {digest}: the registry has taken it for {answered}"),
        )),
        _ => Ok(()),
    }
}
