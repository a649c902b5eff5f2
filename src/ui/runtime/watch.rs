//! What the backend tells by itself: samples and events, asked for again when a stream ends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use tokio::sync::{Notify, mpsc};
use wharf_backend::{Backend, Error, SampleBatch};
use wharf_model::{ErrorKind, Event, EventOptions};

use crate::message::Msg;

/// The first wait before another try; it doubles up to [`LAST`].
const FIRST: Duration = Duration::from_millis(250);
const LAST: Duration = Duration::from_secs(5);

/// How often to ask an engine that has no events.
const POLL: Duration = Duration::from_secs(2);

/// How often an engine elsewhere is asked for a sign of life.
const PING: Duration = Duration::from_secs(5);

/// Marks the messages of one of several engines.
#[derive(Clone, Copy)]
pub(super) struct Tag(pub(super) Option<usize>);

impl Tag {
    /// Returns a message with its mark.
    pub(super) fn message(self, msg: Msg) -> Msg {
        match self.0 {
            Some(host) => Msg::Of { host, msg: Box::new(msg) },
            None => msg,
        }
    }
}

/// A place for the newest samples of each engine.
#[derive(Default)]
pub(super) struct Samples {
    newest: Mutex<Vec<(usize, SampleBatch)>>,
    put: Notify,
}

impl Samples {
    fn put(&self, host: usize, batch: SampleBatch) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        match newest.iter_mut().find(|(other, _)| *other == host) {
            Some((_, place)) => *place = batch,
            None => newest.push((host, batch)),
        }
        drop(newest);
        self.put.notify_one();
    }

    /// Waits for samples and takes them, with their engine's place.
    pub(super) async fn take(&self) -> (usize, SampleBatch) {
        loop {
            let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match newest {
                Some(batch) => return batch,
                None => self.put.notified().await,
            }
        }
    }
}

/// Puts every batch of samples into its place, for ever.
pub(super) async fn samples(
    backend: Arc<dyn Backend>,
    host: usize,
    interval: Duration,
    place: Arc<Samples>,
) {
    let mut wait = FIRST;
    loop {
        // That the engine can't be reached is told by the events.
        if let Ok(mut stream) = backend.samples(interval).await {
            while let Some(Ok(batch)) = stream.next().await {
                place.put(host, batch);
                wait = FIRST;
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LAST);
    }
}

/// Passes every event on, and whether they can be heard, until nobody listens.
pub(super) async fn events(backend: Arc<dyn Backend>, tag: Tag, sender: mpsc::Sender<Msg>) {
    let send = async |msg| sender.send(tag.message(msg)).await;
    let mut wait = FIRST;
    loop {
        let lost = match backend.events().await {
            Ok(mut stream) => {
                // Whatever happened before is in the answers to the questions that follow.
                if send(Msg::Connected).await.is_err() {
                    return;
                }
                wait = FIRST;
                // A host that is gone without a word leaves a stream in which nothing happens.
                let mut silence = std::pin::pin!(silence(&*backend, tag, &sender));
                loop {
                    let event = tokio::select! {
                        event = stream.next() => event,
                        error = &mut silence => Some(Err(error)),
                    };
                    match event {
                        Some(Ok(event)) => {
                            if send(Msg::Event(event)).await.is_err() {
                                return;
                            }
                        }
                        Some(Err(e)) => break e,
                        None => {
                            let text = "the engine closed the connection";
                            break Error::new(ErrorKind::Unavailable, text);
                        }
                    }
                }
            }
            Err(e) if e.kind == ErrorKind::Unsupported => {
                if send(Msg::Connected).await.is_err() {
                    return;
                }
                tokio::time::sleep(POLL).await;
                continue;
            }
            Err(e) => e,
        };
        if send(Msg::Lost(lost)).await.is_err() {
            return;
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LAST);
    }
}

/// Asks an engine elsewhere for signs of life until none comes; returns why.
async fn silence(backend: &dyn Backend, tag: Tag, sender: &mpsc::Sender<Msg>) -> Error {
    loop {
        match backend.ping().await {
            Ok(Some(latency)) => {
                // Whoever listens no more says so to those with news.
                let _ = sender.send(tag.message(Msg::Latency(latency))).await;
            }
            Ok(None) => return std::future::pending().await,
            Err(error) => return error,
        }
        tokio::time::sleep(PING).await;
    }
}

/// Returns the events that the engine remembers.
pub(super) async fn remembered(backend: &dyn Backend) -> Result<Vec<Event>, Error> {
    let options = EventOptions {
        since: Some(DateTime::<Utc>::UNIX_EPOCH),
        until: Some(Utc::now()),
        ..EventOptions::default()
    };
    let mut stream = backend.list_events(options).await?;
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        events.push(event?);
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use wharf_backend::fake::Fake;

    use super::*;

    #[tokio::test]
    async fn only_the_newest_samples_wait() {
        let place = Samples::default();
        for tick in 1..5 {
            place.put(0, Fake::demo().batch(tick));
            place.put(1, Fake::demo().batch(tick));
        }
        for wanted in [1, 0] {
            let (host, batch) = place.take().await;
            assert_eq!((host, batch.host.unwrap().at), (wanted, Duration::from_secs(4)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_engine_is_told_and_tried_again() {
        let fake = Fake::demo();
        let gone = Error::new(ErrorKind::Unavailable, "no engine there");
        fake.set_unreachable(Some(gone.clone()));
        let (sender, mut receiver) = mpsc::channel(8);
        let task = tokio::spawn(events(Arc::new(fake.clone()), Tag(None), sender));
        assert!(matches!(receiver.recv().await, Some(Msg::Lost(e)) if e == gone));
        fake.set_unreachable(None);
        loop {
            match receiver.recv().await {
                Some(Msg::Connected) => break,
                Some(Msg::Lost(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        task.abort();
    }
}
