//! Pulls and pushes: `wharf-registry` on the one side, the engine on the other.
//!
//! Each is one task, which tells its steps through a channel; dropping the stream ends the task, and
//! everything it has begun with it. What the network does is asynchronous, what the engine does sits
//! on threads that may block, and [`feed`] is between the two.

mod feed;
mod pull;
mod push;

use std::future::Future;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};
use wharf_model::{
    Digest, ErrorKind, LayerState, PullOptions, PushOptions, Repository, TransferEvent,
};

use super::Native;
use crate::{Error, Result, TransferStream};

/// How many layers come or go at once, as with docker.
const AT_ONCE: usize = 3;

/// The least time between two counts of one layer.
const COUNT_EVERY: Duration = Duration::from_millis(100);

/// Begins a pull.
pub(super) fn pull(native: &Native, options: PullOptions) -> Result<TransferStream> {
    let pull = pull::Pull::new(native, options)?;
    Ok(told(|tell| pull.run(tell)))
}

/// Begins a push.
pub(super) fn push(native: &Native, options: PushOptions) -> Result<TransferStream> {
    let push = push::Push::new(native, options)?;
    Ok(told(|tell| push.run(tell)))
}

/// Tells the steps of a pull or a push. Who listens may be slow: counts are few, all else is little.
#[derive(Clone)]
struct Tell(mpsc::UnboundedSender<Result<TransferEvent>>);

impl Tell {
    fn event(&self, event: TransferEvent) {
        // Without a listener the work is about to end.
        let _ = self.0.send(Ok(event));
    }

    fn note(&self, text: impl Into<String>) {
        self.event(TransferEvent::Note(text.into()));
    }

    fn warning(&self, text: impl Into<String>) {
        self.event(TransferEvent::Warning(text.into()));
    }

    fn layer(&self, layer: &Digest, state: LayerState) {
        self.event(TransferEvent::Layer { layer: layer.short().to_owned(), state });
    }
}

/// Counts a layer's bytes, and tells of it now and then.
struct Counter {
    tell: Tell,
    layer: Digest,
    last: Mutex<Option<Instant>>,
}

impl Counter {
    fn new(tell: &Tell, layer: &Digest) -> Self {
        Self { tell: tell.clone(), layer: layer.clone(), last: Mutex::default() }
    }

    fn count(&self, state: impl FnOnce() -> LayerState) {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= COUNT_EVERY) {
            *last = Some(Instant::now());
            self.tell.layer(&self.layer, state());
        }
    }
}

/// A task that ends with whoever waits for it.
struct Owned(JoinHandle<()>);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs `work` and returns what it tells.
fn told<F>(work: impl FnOnce(Tell) -> F) -> TransferStream
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let (sender, receiver) = mpsc::unbounded_channel();
    let work = work(Tell(sender.clone()));
    let task = Owned(tokio::spawn(async move {
        if let Err(error) = work.await {
            // Who has gone needs no reason.
            let _ = sender.send(Err(error));
        }
    }));
    futures_util::stream::unfold((receiver, task), |(mut receiver, task)| async move {
        receiver.recv().await.map(|event| (event, (receiver, task)))
    })
    .boxed()
}

/// Tells in the events that a transfer has come to its end.
async fn transferred(
    native: &Native,
    action: &'static str,
    reference: String,
    repository: &Repository,
) -> Result<()> {
    let name = repository.familiar();
    native.blocking(move |engine| engine.transferred(action, &reference, &name)).await
}

/// Returns the outcome of a task or a thread.
fn joined<T>(outcome: std::result::Result<Result<T>, JoinError>) -> Result<T> {
    outcome
        .unwrap_or_else(|cause| Err(Error::new(ErrorKind::Internal, format!("transfer: {cause}"))))
}
