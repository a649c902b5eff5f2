//! What happens to the engine's objects, as a stream.
//!
//! All who follow share one watch on the database, and one reading of what is new. Who is slow takes
//! what is remembered from the database, by number: nobody keeps it for him.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Weak};

use chrono::Utc;
use futures_util::stream::BoxStream;
use tokio::io::unix::AsyncFd;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Mutex, broadcast};
use tokio::task::JoinHandle;
use wharf_engine::EventWatch;
use wharf_inspect::filter::EventFilter;
use wharf_model::{ErrorKind, Event, EventOptions};

use super::{Native, watched};
use crate::{Error, Result};

/// How far somebody may fall behind until he reads the database.
const AHEAD: usize = 128;

/// An event and its number, or why there are no more.
type News = Result<Arc<(i64, Event)>>;

/// What all who follow share, while there is one.
#[derive(Default)]
pub(super) struct Feed(Mutex<Weak<Running>>);

struct Running {
    news: broadcast::Sender<News>,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Feed {
    /// Begins to follow.
    async fn follow(&self, native: &Native) -> Result<(Arc<Running>, broadcast::Receiver<News>)> {
        let mut current = self.0.lock().await;
        let alive = current.upgrade().filter(|running| !running.task.is_finished());
        if let Some(running) = alive {
            let receiver = running.news.subscribe();
            return Ok((running, receiver));
        }
        let watch = native.blocking(wharf_engine::Engine::watch).await?;
        let descriptor =
            watch.as_fd().try_clone_to_owned().and_then(watched).map_err(|cause| {
                Error::new(ErrorKind::Internal, format!("watch events: {cause}"))
            })?;
        let (news, receiver) = broadcast::channel(AHEAD);
        let task = tokio::spawn(pass_on(watch, descriptor, news.clone()));
        let running = Arc::new(Running { news, task });
        *current = Arc::downgrade(&running);
        Ok((running, receiver))
    }
}

/// Tells everybody what happens.
async fn pass_on(
    mut watch: EventWatch,
    descriptor: AsyncFd<OwnedFd>,
    news: broadcast::Sender<News>,
) {
    loop {
        // It waits for whoever is writing, and who follows may be drawing a screen.
        let taken = tokio::task::spawn_blocking(move || {
            let events = watch.take();
            (watch, events)
        });
        // It doesn't come back when the program ends.
        let Ok((back, events)) = taken.await else { return };
        watch = back;
        // Whoever has gone needn't know.
        match events {
            Ok(events) => events.into_iter().for_each(|event| {
                let _ = news.send(Ok(Arc::new(event)));
            }),
            Err(error) => {
                let _ = news.send(Err(error.into()));
                return;
            }
        }
        match descriptor.readable().await {
            Ok(mut ready) => ready.clear_ready(),
            Err(_) => return,
        }
    }
}

/// Returns the wanted events, what is remembered first.
pub(super) async fn stream(
    native: &Native,
    options: EventOptions,
) -> Result<BoxStream<'static, Result<Event>>> {
    let invalid = |message: String| Error::new(ErrorKind::Invalid, message);
    let filter = EventFilter::new(&options.filters).map_err(|cause| invalid(cause.to_string()))?;
    if let (Some(since), Some(until)) = (options.since, options.until)
        && since > until
    {
        return Err(invalid(format!(
            "`since` time ({}) cannot be after `until` time ({})",
            since.timestamp(),
            until.timestamp()
        )));
    }
    // What happens between these two comes twice, and is known by its number.
    let (running, news) = native.feed.follow(native).await?;
    let last = match options.wants_history() {
        true => 0,
        false => native.blocking(wharf_engine::Engine::last_event).await?,
    };
    let follower = Follower {
        native: native.clone(),
        _running: running,
        news,
        remembered: match options.wants_history() {
            true => native.blocking(|engine| engine.events_after(0)).await?,
            false => Vec::new(),
        }
        .into_iter(),
        options,
        filter,
        last,
        over: false,
    };
    Ok(Box::pin(futures_util::stream::unfold(follower, Follower::next)))
}

/// Somebody who follows events.
struct Follower {
    native: Native,
    _running: Arc<Running>,
    news: broadcast::Receiver<News>,
    /// What was read from the database.
    remembered: std::vec::IntoIter<(i64, Event)>,
    options: EventOptions,
    filter: EventFilter,
    /// The number of the newest event that was looked at.
    last: i64,
    /// Whether no more is wanted than what was read.
    over: bool,
}

impl Follower {
    /// Returns whether an event hasn't been looked at yet, and is wanted.
    fn takes(&mut self, number: i64, event: &Event) -> bool {
        let new = number > self.last;
        self.last = self.last.max(number);
        new && self.options.since.is_none_or(|since| event.time >= since)
            && self.options.until.is_none_or(|until| event.time <= until)
            && self.filter.matches(event)
    }

    async fn next(mut self) -> Option<(Result<Event>, Self)> {
        loop {
            while let Some((number, event)) = self.remembered.next() {
                if self.takes(number, &event) {
                    return Some((Ok(event), self));
                }
            }
            if self.over {
                return None;
            }
            let end = async {
                match self.options.until.map(|until| (until - Utc::now()).to_std()) {
                    Some(left) => tokio::time::sleep(left.unwrap_or_default()).await,
                    None => std::future::pending().await,
                }
            };
            let told = tokio::select! {
                told = self.news.recv() => Some(told),
                () = end => None,
            };
            match told {
                Some(Ok(Ok(told))) => {
                    let (number, event) = &*told;
                    if self.takes(*number, event) {
                        return Some((Ok(event.clone()), self));
                    }
                    continue;
                }
                Some(Ok(Err(error))) => {
                    self.over = true;
                    return Some((Err(error), self));
                }
                // What was missed is remembered.
                Some(Err(RecvError::Lagged(_))) => {}
                Some(Err(RecvError::Closed)) => return None,
                // None of before the end is left out.
                None => self.over = true,
            }
            let last = self.last;
            match self.native.blocking(move |engine| engine.events_after(last)).await {
                Ok(events) => self.remembered = events.into_iter(),
                Err(error) => {
                    self.over = true;
                    return Some((Err(error), self));
                }
            }
        }
    }
}
