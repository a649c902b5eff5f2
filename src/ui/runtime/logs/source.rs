//! Where the lines come from: the files of one log, a stream of records, or several of these as one.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream, SelectAll};
use tokio::io::unix::AsyncFd;
use wharf_backend::{Backend, LogSource};
use wharf_logs::{FileView, Follow, LogView, Merged, Since, StreamView, sanitize_line};
use wharf_model::{ContainerId, ErrorKind, LogConfig, LogDriver, LogOptions, LogRecord};

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
    /// The engine lost some records of a stream, which goes on after them.
    Lost,
    /// A stream has ended.
    Ended,
}

/// How long to wait before a stream that lost records is asked for again: it may lose more at once.
const ANEW: Duration = Duration::from_millis(500);

/// An open log, or several.
pub(super) struct Source {
    /// What there is to see.
    pub(super) view: Since,
    feeds: SelectAll<BoxStream<'static, Woken>>,
    /// How many streams haven't ended.
    pub(super) streams: usize,
    /// How many of the logs are streams.
    pub(super) limited: bool,
    /// What the engine keeps of a log that comes as a stream, if it doesn't keep all.
    pub(super) kept: Option<String>,
}

impl Source {
    /// Opens the logs of these containers.
    pub(super) async fn open(logs: &[(Arc<dyn Backend>, ContainerId)]) -> Result<Self, String> {
        let mut views: Vec<Box<dyn LogView>> = Vec::new();
        let mut feeds = SelectAll::new();
        let (mut streams, mut kept) = (0, None);
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
            feeds.push(records_of(place, Arc::clone(backend), id.clone(), records));
            // Without its settings nothing is said of them.
            if let Ok(detail) = backend.container(id.as_str()).await {
                kept = kept.or(what_is_kept(&detail.host_config.log_config));
            }
            views.push(Box::new(StreamView::new(KEPT / logs.len().max(1))));
            streams += 1;
        }
        let view: Box<dyn LogView> = match views.len() {
            1 => views.remove(0),
            _ => Box::new(Merged::new(views)),
        };
        Ok(Self { view: Since::all(view), feeds, streams, limited: streams > 0, kept })
    }

    /// Waits until there may be more.
    pub(super) async fn wait(&mut self) -> Woken {
        match self.feeds.next().await {
            Some(woken) => woken,
            None => std::future::pending().await,
        }
    }
}

/// Returns what an engine keeps of a log that it rotates.
fn what_is_kept(config: &LogConfig) -> Option<String> {
    let size = config.options.get("max-size");
    let size = match config.driver {
        LogDriver::Local => size.map_or("20m", String::as_str),
        _ => size.filter(|size| !size.starts_with('-'))?,
    };
    let files = config.options.get("max-file").map(String::as_str);
    let files = files.unwrap_or(if config.driver == LogDriver::Local { "5" } else { "1" });
    let files = if files == "1" { "a file".to_owned() } else { format!("{files} files") };
    Some(sanitize_line(&format!("{files} of {size}")).into_owned())
}

/// The records of a stream, on their way.
struct Feed {
    place: usize,
    backend: Arc<dyn Backend>,
    id: ContainerId,
    records: Chunks,
    /// When the last of them was written.
    last: Option<DateTime<Utc>>,
    state: State,
}

type Chunks = BoxStream<'static, Vec<Result<LogRecord, wharf_backend::Error>>>;

enum State {
    Flows,
    /// Some records are lost.
    Lost,
    Ended,
}

/// Returns the wakes of a stream of records. One that the engine breaks off because it lost its place is
/// asked for again from there.
fn records_of(
    place: usize,
    backend: Arc<dyn Backend>,
    id: ContainerId,
    records: BoxStream<'static, Result<LogRecord, wharf_backend::Error>>,
) -> BoxStream<'static, Woken> {
    let records = records.ready_chunks(MANY).boxed();
    let feed = Feed { place, backend, id, records, last: None, state: State::Flows };
    stream::unfold(feed, |mut feed| async move { Some((feed.next().await?, feed)) }).boxed()
}

impl Feed {
    async fn next(&mut self) -> Option<Woken> {
        match self.state {
            State::Ended => None,
            State::Lost => {
                tokio::time::sleep(ANEW).await;
                let since = self.last.map(|last| last + TimeDelta::nanoseconds(1));
                let options = LogOptions { since, follow: true, ..LogOptions::default() };
                self.state = State::Flows;
                match self.backend.logs(self.id.as_str(), options).await {
                    Ok(records) => self.records = records.ready_chunks(MANY).boxed(),
                    Err(error) => {
                        self.records = stream::empty().boxed();
                        return Some(Woken::Records(self.place, vec![Err(error)]));
                    }
                }
                Some(Woken::Lost)
            }
            State::Flows => {
                let Some(mut part) = self.records.next().await else {
                    self.state = State::Ended;
                    return Some(Woken::Ended);
                };
                self.last = part.iter().flatten().map(|one| one.time).max().max(self.last);
                if part.last().is_some_and(is_lost) {
                    part.pop();
                    self.state = State::Lost;
                }
                Some(Woken::Records(self.place, part))
            }
        }
    }
}

fn is_lost(record: &Result<LogRecord, wharf_backend::Error>) -> bool {
    record.as_ref().is_err_and(|error| error.kind == ErrorKind::NotFound)
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

#[cfg(test)]
mod tests {
    use wharf_backend::Error;
    use wharf_backend::fake::{Fake, container, time};
    use wharf_model::{LogStream, Status};

    use super::*;

    fn record(second: i64) -> LogRecord {
        let message = format!("line {second}\n").into_bytes();
        let (time, stream) = (time(second), LogStream::Stdout);
        LogRecord { time, stream, message, attributes: std::collections::BTreeMap::new() }
    }

    /// A stream that the engine breaks off because a file was rotated away goes on behind what was read,
    /// and that lines are missing is told; any other failure ends it.
    #[tokio::test(start_paused = true)]
    async fn a_stream_that_lost_its_place_goes_on() {
        let fake = Fake::new();
        let ended = container(1, "talker", "img", Status::Exited);
        fake.put(ended.clone());
        fake.set_log(&ended.id, (0..6).map(record).collect());
        for (kind, goes_on) in [(ErrorKind::NotFound, true), (ErrorKind::Unavailable, false)] {
            let first = [Ok(record(0)), Ok(record(1)), Err(Error::new(kind, "gone"))];
            let first = stream::iter(first).boxed();
            let backend: Arc<dyn Backend> = Arc::new(fake.clone());
            let (mut lines, mut lost, mut failures) = (Vec::new(), 0, 0);
            let mut feed = records_of(0, backend, ended.id.clone(), first);
            while let Some(woken) = feed.next().await {
                match woken {
                    Woken::Records(_, part) => {
                        failures += part.iter().filter(|one| one.is_err()).count();
                        lines.extend(part.into_iter().flatten());
                    }
                    Woken::Lost => lost += 1,
                    Woken::Changed | Woken::Ended => {}
                }
            }
            let wanted: Vec<LogRecord> = (0..if goes_on { 6 } else { 2 }).map(record).collect();
            assert_eq!(lines, wanted);
            assert_eq!((lost, failures), if goes_on { (1, 0) } else { (0, 1) });
        }
    }

    #[test]
    fn what_an_engine_keeps_is_told_where_it_rotates() {
        let config = |driver, options: &[(&str, &str)]| LogConfig {
            driver,
            options: options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        };
        let json = |options| what_is_kept(&config(LogDriver::JsonFile, options));
        assert_eq!(json(&[]), None);
        assert_eq!(json(&[("max-size", "-1")]), None);
        assert_eq!(json(&[("max-size", "10k")]).as_deref(), Some("a file of 10k"));
        let two = [("max-size", "10k"), ("max-file", "2")];
        assert_eq!(json(&two).as_deref(), Some("2 files of 10k"));
        let local = what_is_kept(&config(LogDriver::Local, &[]));
        assert_eq!(local.as_deref(), Some("5 files of 20m"));
    }
}
