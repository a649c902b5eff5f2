//! What happens to the engine's objects, as a stream.

use std::os::fd::AsFd;

use chrono::Utc;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;
use wharf_inspect::filter::EventFilter;
use wharf_model::{ErrorKind, Event, EventOptions};

use super::{Native, receiver_stream, watched};
use crate::{Error, Result};

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
    let history = options.wants_history();
    let mut watch = native.blocking(move |engine| engine.watch(history)).await?;
    let descriptor = watch
        .as_fd()
        .try_clone_to_owned()
        .and_then(watched)
        .map_err(|cause| Error::new(ErrorKind::Internal, format!("watch events: {cause}")))?;
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(async move {
        loop {
            // Looked at before the events are taken, so that none of before the end is left out.
            let over = options.until.is_some_and(|until| until <= Utc::now());
            // It waits for whoever is writing, and whoever asked for events may be drawing a screen.
            let taken = tokio::task::spawn_blocking(move || {
                let events = watch.take();
                (watch, events)
            });
            // It doesn't come back when the program ends.
            let Ok((back, events)) = taken.await else { return };
            watch = back;
            match events {
                Ok(events) => {
                    for event in events {
                        let within = options.since.is_none_or(|since| event.time >= since)
                            && options.until.is_none_or(|until| event.time <= until);
                        if within && filter.matches(&event) && sender.send(Ok(event)).await.is_err()
                        {
                            return;
                        }
                    }
                }
                Err(error) => {
                    let _ = sender.send(Err(error.into())).await;
                    return;
                }
            }
            if over {
                return;
            }
            let end = async {
                match options.until.map(|until| (until - Utc::now()).to_std()) {
                    Some(left) => tokio::time::sleep(left.unwrap_or_default()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                ready = descriptor.readable() => match ready {
                    Ok(mut ready) => ready.clear_ready(),
                    Err(_) => return,
                },
                () = end => {}
                () = sender.closed() => return,
            }
        }
    });
    Ok(receiver_stream(receiver))
}
