//! Where the lines come from: the files of one log, a stream of records, or several of these as one.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream, SelectAll};
use tokio::io::unix::AsyncFd;
use wharf_backend::{Backend, LogSource};
use wharf_logs::{FileView, Follow, LogView, Merged, Since, StreamView};
use wharf_model::{ContainerId, LogOptions, LogRecord};

use super::MANY;

/// Bytes that are kept of the logs that come as streams, and records that are asked for of each.
const KEPT: usize = 16 << 20;
pub(super) const ASKED: u64 = 20_000;

/// How often to look at a file that can't be watched.
const LOOK: Duration = Duration::from_millis(500);

/// What woke a source.
pub(super) enum Woken {
    /// A file may have grown.
    Changed,
    /// Records came.
    Records(usize, Vec<Result<LogRecord, wharf_backend::Error>>),
    /// A stream has ended.
    Ended,
}

/// An open log, or several.
pub(super) struct Source {
    /// What there is to see.
    pub(super) view: Since,
    feeds: SelectAll<BoxStream<'static, Woken>>,
    /// How many streams haven't ended.
    pub(super) streams: usize,
    /// How many of the logs are streams.
    pub(super) limited: bool,
}

impl Source {
    /// Opens the logs of these containers.
    pub(super) async fn open(logs: &[(Arc<dyn Backend>, ContainerId)]) -> Result<Self, String> {
        let mut views: Vec<Box<dyn LogView>> = Vec::new();
        let mut feeds = SelectAll::new();
        let mut streams = 0;
        for (place, (backend, id)) in logs.iter().enumerate() {
            let source = backend.log_source(id.as_str()).await.map_err(|e| e.message)?;
            if let LogSource::Files(path) = source
                && let Ok(view) = FileView::open(&path)
            {
                views.push(Box::new(view));
                feeds.push(watch(&path));
                continue;
            }
            // A container that never ran has no file yet.
            let options = LogOptions { tail: Some(ASKED), follow: true, ..LogOptions::default() };
            let records = backend.logs(id.as_str(), options).await.map_err(|e| e.message)?;
            let records = records.ready_chunks(MANY).map(move |part| Woken::Records(place, part));
            feeds.push(records.chain(stream::once(async { Woken::Ended })).boxed());
            views.push(Box::new(StreamView::new(KEPT / logs.len().max(1))));
            streams += 1;
        }
        let view: Box<dyn LogView> = match views.len() {
            1 => views.remove(0),
            _ => Box::new(Merged::new(views)),
        };
        Ok(Self { view: Since::all(view), feeds, streams, limited: streams > 0 })
    }

    /// Waits until there may be more.
    pub(super) async fn wait(&mut self) -> Woken {
        match self.feeds.next().await {
            Some(woken) => woken,
            None => std::future::pending().await,
        }
    }
}

/// Returns a wake for each change of a file.
fn watch(path: &Path) -> BoxStream<'static, Woken> {
    let Some(watched) = notified(path) else {
        let timer = tokio::time::interval(LOOK);
        return stream::unfold(timer, |mut timer| async move {
            timer.tick().await;
            Some((Woken::Changed, timer))
        })
        .boxed();
    };
    stream::unfold(watched, |(follow, fd)| async move {
        if let Ok(mut guard) = fd.readable().await {
            // Takes the wakes from the queue; what they are about doesn't matter.
            follow.drain();
            guard.clear_ready();
        }
        Some((Woken::Changed, (follow, fd)))
    })
    .boxed()
}

fn notified(path: &Path) -> Option<(Follow, AsyncFd<OwnedFd>)> {
    let follow = Follow::new(path).ok()?;
    let fd = follow.as_fd().try_clone_to_owned().ok()?;
    #[expect(deprecated, reason = "unsound for others only: an owned descriptor stays what it is")]
    let fd = AsyncFd::new(fd).ok()?;
    Some((follow, fd))
}
