//! A blob on its way here. When the connection breaks, it goes on where it was; nothing beyond the
//! size that the manifest names is taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use reqwest::header::{CONTENT_RANGE, HeaderMap};
use reqwest::{Method, Response};
use wharf_model::{Digest, ErrorKind};

use crate::endpoint::{Ask, Endpoint, refusal};
use crate::error::innermost;
use crate::http::{Backoff, STALL};
use crate::remote::Warn;
use crate::{Error, Result};

/// How much has to come between two failures for the second to count as the first of its own.
const PROGRESS: u64 = 64 << 10;

/// Is told before each pause how many seconds it lasts.
pub type OnRetry = Box<dyn Fn(u64) + Send + Sync>;

/// Tells where the bytes of a blob came from.
#[derive(Clone, Debug)]
pub struct Origin(Arc<AtomicUsize>);

impl Origin {
    /// Returns the number of the first source that sent any: if the blob is wrong, it may be to blame.
    pub fn first(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// The bytes of a blob. They are not verified here: who reads them knows the digest.
pub struct BlobStream {
    endpoints: Vec<Arc<Endpoint>>,
    /// Which of them is asked.
    at: usize,
    origin: Origin,
    path: String,
    scope: String,
    digest: Digest,
    size: u64,
    offset: u64,
    /// Bytes of the answer that were here already.
    skip: u64,
    response: Option<Response>,
    backoff: Backoff,
    /// Where the last failure was.
    broken_at: u64,
    on_retry: OnRetry,
    warn: Warn,
}

impl BlobStream {
    pub(crate) fn new(
        (endpoints, at): (Vec<Arc<Endpoint>>, usize),
        repository: &str,
        scope: String,
        (digest, size): (&Digest, u64),
        (on_retry, warn): (OnRetry, Warn),
    ) -> Self {
        Self {
            endpoints,
            at,
            origin: Origin(Arc::new(AtomicUsize::new(at))),
            path: format!("{repository}/blobs/{digest}"),
            scope,
            digest: digest.clone(),
            size,
            offset: 0,
            skip: 0,
            response: None,
            backoff: Backoff::default(),
            broken_at: 0,
            on_retry,
            warn,
        }
    }

    /// Returns what tells where the bytes came from.
    pub fn origin(&self) -> Origin {
        self.origin.clone()
    }

    /// Returns the next bytes, none at the end.
    ///
    /// # Errors
    /// When they can't be had, by now or at all.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if self.offset == self.size {
                self.response = None;
                return Ok(None);
            }
            let Some(response) = &mut self.response else {
                self.open().await?;
                continue;
            };
            let why = match tokio::time::timeout(STALL, response.chunk()).await {
                Ok(Ok(Some(bytes))) => match self.take(bytes) {
                    Ok(Some(bytes)) => return Ok(Some(bytes)),
                    Ok(None) => continue,
                    Err(error) => {
                        self.turn_away(&error).ok_or(error)?;
                        continue;
                    }
                },
                Ok(Ok(None)) => "it ends too early".to_owned(),
                Ok(Err(cause)) => innermost(cause),
                Err(_) => "it stands still".to_owned(),
            };
            self.pause(&why).await?;
        }
    }

    fn take(&mut self, mut bytes: Bytes) -> Result<Option<Bytes>> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let skipped = self.skip.min(length);
        self.skip -= skipped;
        let bytes = bytes.split_off(usize::try_from(skipped).unwrap_or(usize::MAX));
        let length = length - skipped;
        if length > self.size - self.offset {
            return Err(self.failed(ErrorKind::Invalid, "it is longer than its manifest says"));
        }
        if self.offset == 0 {
            self.origin.0.store(self.at, Ordering::Relaxed);
        }
        self.offset += length;
        Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }

    async fn pause(&mut self, why: &str) -> Result<()> {
        self.response = None;
        if self.offset - self.broken_at >= PROGRESS {
            self.backoff.reset();
        }
        // A mirror that breaks off twice at the same place has had its chance.
        let again = self.broken_at == self.offset && self.offset > 0;
        self.broken_at = self.offset;
        let wait = self.backoff.next(None);
        if again || wait.is_none() {
            let text = format!("{why} ({} of {} bytes came)", self.offset, self.size);
            let error = self.failed(ErrorKind::Unavailable, &text);
            if self.turn_away(&error).is_some() {
                return Ok(());
            }
            if wait.is_none() {
                return Err(error);
            }
        }
        let wait = wait.unwrap_or_default();
        (self.on_retry)(wait.as_secs().max(1));
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// Goes on with the next address, if there is one.
    fn turn_away(&mut self, error: &Error) -> Option<()> {
        let (name, next) = (self.endpoints.get(self.at)?.name(), self.endpoints.get(self.at + 1)?);
        let text = format!("Warning: mirror {name}: {}: asking {}", error.message, next.name());
        (self.warn)(text);
        self.at += 1;
        self.response = None;
        self.backoff.reset();
        Some(())
    }

    fn failed(&self, kind: ErrorKind, why: &str) -> Error {
        Error::new(kind, format!("blob {}: {why}", self.digest))
    }

    /// Asks for what is missing, one address after the other.
    async fn open(&mut self) -> Result<()> {
        loop {
            let Some(endpoint) = self.endpoints.get(self.at).map(Arc::clone) else {
                return Err(self.failed(ErrorKind::NotFound, "no registry has it"));
            };
            match self.ask(&endpoint).await {
                Ok(response) => {
                    self.response = Some(response);
                    return Ok(());
                }
                Err(error) if self.at + 1 >= self.endpoints.len() => return Err(error),
                // A lie about the length is said; one that hasn't got it is no matter.
                Err(error) if error.kind == ErrorKind::Invalid => {
                    self.turn_away(&error);
                }
                Err(_) => self.at += 1,
            }
        }
    }

    async fn ask(&mut self, endpoint: &Endpoint) -> Result<Response> {
        let mut ask = Ask::get(&self.path, &self.scope).on_retry(&*self.on_retry);
        if self.offset > 0 {
            ask = ask.header("range", &format!("bytes={}-", self.offset));
        }
        let response = endpoint.send(&ask).await.map_err(|failed| failed.error)?;
        let left = self.size - self.offset;
        self.skip = 0;
        let expected = match response.status().as_u16() {
            206 if starts_at(response.headers()) == Some(self.offset) => left,
            200 => {
                // It doesn't know parts: what is here comes again.
                self.skip = self.offset;
                self.size
            }
            206 => {
                return Err(self.failed(ErrorKind::Unavailable, "the registry sent another part"));
            }
            404 => {
                let error = refusal(response).await;
                return Err(self.failed(ErrorKind::NotFound, &error.message));
            }
            _ => {
                let error = refusal(response).await;
                return Err(self.failed(error.kind, &error.message));
            }
        };
        match response.content_length() {
            Some(length) if length != expected => {
                let whole = length + (self.size - expected);
                let why =
                    format!("the registry has {whole} bytes, its manifest says {}", self.size);
                Err(self.failed(ErrorKind::Invalid, &why))
            }
            _ => Ok(response),
        }
    }
}

/// Returns where a part begins.
fn starts_at(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    text.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

/// Asks whether a blob is there.
pub(crate) async fn is_there(endpoint: &Endpoint, path: &str, scope: &str) -> Result<bool> {
    let ask = Ask::new(Method::HEAD, path, scope);
    let response = endpoint.send(&ask).await.map_err(|failed| failed.error)?;
    match response.status().as_u16() {
        200 => Ok(true),
        404 => Ok(false),
        _ => Err(refusal(response).await),
    }
}
