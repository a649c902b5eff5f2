//! The open log: a task that holds a view of it, answers the log tab's questions and tells what is
//! new. Its work is cut into small steps, so that the task can be dropped at any time and doesn't
//! hold up others on its thread.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use wharf_backend::{Backend, LogSource};
use wharf_logs::{
    Case, Direction, FileView, Follow, Line, LogView, Matcher, Sanitizer, Search, Span, Step,
    StreamView, Style,
};
use wharf_model::{ContainerId, LogOptions, LogRecord};

use crate::message::{LogAsk, LogReply, Msg, Place, RawLine};

/// Bytes that are read in one step.
const STEP: u64 = 1 << 20;

/// Bytes of a line that are shown.
const SHOWN: usize = 8 << 10;

/// Lines that are sent at once when many are new.
const MANY: usize = 500;

/// Bytes that are kept of a log that comes as a stream, and records that are asked for.
const KEPT: usize = 8 << 20;
const ASKED: u64 = 5000;

/// The time between two counts of matches.
const COUNT_EVERY: Duration = Duration::from_millis(250);

/// How often to look at a file that can't be watched.
const LOOK: Duration = Duration::from_millis(500);

/// An open log; dropping it ends the task.
pub(super) struct LogJob {
    asks: mpsc::UnboundedSender<LogAsk>,
    task: JoinHandle<()>,
}

impl LogJob {
    /// Opens a container's log and answers with this generation.
    pub(super) fn open(
        backend: Arc<dyn Backend>,
        id: ContainerId,
        generation: u64,
        sender: mpsc::Sender<Msg>,
    ) -> Self {
        let (asks, receiver) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let replies = Replies { generation, sender };
            match open(backend, &id).await {
                Ok(source) => Job::new(source, receiver, replies).work().await,
                Err(text) => replies.send(LogReply::Failed(text)).await,
            }
        });
        Self { asks, task }
    }

    /// Asks something; the answer comes as a message.
    pub(super) fn ask(&self, ask: LogAsk) {
        // The task has ended if the log couldn't be opened, which it has told.
        let _ = self.asks.send(ask);
    }
}

impl Drop for LogJob {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Replies {
    generation: u64,
    sender: mpsc::Sender<Msg>,
}

impl Replies {
    async fn send(&self, reply: LogReply) {
        // Nobody listens any more when the dashboard has ended.
        let _ = self.sender.send(Msg::Log { generation: self.generation, reply }).await;
    }
}

/// Where the lines come from.
enum Source {
    File { view: FileView, watch: Option<(Follow, AsyncFd<std::os::fd::OwnedFd>)> },
    Stream { view: StreamView, records: Option<Records> },
}

type Records = BoxStream<'static, Vec<Result<LogRecord, wharf_backend::Error>>>;

async fn open(backend: Arc<dyn Backend>, id: &ContainerId) -> Result<Source, String> {
    let source = backend.log_source(id.as_str()).await.map_err(|e| e.message)?;
    if let LogSource::Files(path) = source
        && let Ok(view) = FileView::open(&path)
    {
        return Ok(Source::File { watch: watch(&path), view });
    }
    // A container that never ran has no file yet.
    let options = LogOptions { tail: Some(ASKED), follow: true, ..LogOptions::default() };
    let records = backend.logs(id.as_str(), options).await.map_err(|e| e.message)?;
    let records = records.ready_chunks(MANY).boxed();
    Ok(Source::Stream { view: StreamView::new(KEPT), records: Some(records) })
}

fn watch(path: &Path) -> Option<(Follow, AsyncFd<std::os::fd::OwnedFd>)> {
    let follow = Follow::new(path).ok()?;
    let fd = follow.as_fd()?.try_clone_to_owned().ok()?;
    #[expect(deprecated, reason = "unsound for others only: an owned descriptor stays what it is")]
    let fd = AsyncFd::new(fd).ok()?;
    Some((follow, fd))
}

/// What woke a source.
enum Woken {
    Changed,
    Ended,
    Failed(String),
}

impl Source {
    fn view(&mut self) -> &mut dyn LogView {
        match self {
            Self::File { view, .. } => view,
            Self::Stream { view, .. } => view,
        }
    }

    /// Waits until there may be more.
    async fn wait(&mut self) -> Woken {
        match self {
            Self::File { watch: Some((follow, fd)), .. } => {
                if let Ok(mut guard) = fd.readable().await {
                    // Takes the wakes from the queue; what they are about doesn't matter.
                    let _ = follow.wait(None, Some(Duration::ZERO));
                    guard.clear_ready();
                }
                Woken::Changed
            }
            Self::File { watch: None, .. } => {
                tokio::time::sleep(LOOK).await;
                Woken::Changed
            }
            Self::Stream { view, records: Some(stream) } => match stream.next().await {
                Some(records) => {
                    for record in records {
                        match record {
                            Ok(record) => view.push(record),
                            Err(e) => return Woken::Failed(e.message),
                        }
                    }
                    Woken::Changed
                }
                None => Woken::Ended,
            },
            Self::Stream { records: None, .. } => std::future::pending().await,
        }
    }
}

struct Job {
    source: Source,
    asks: mpsc::UnboundedReceiver<LogAsk>,
    replies: Replies,
    search: Option<Search>,
    only: bool,
    following: bool,
    /// Where the lines end that have been sent.
    sent: u64,
    /// Whether it has been told that there are more.
    told: bool,
    /// Whether matches are still being counted.
    counting: bool,
    counted: Instant,
}

type Done<T> = Result<T, wharf_logs::Error>;

/// Lines in one direction from some position, oldest first.
struct Lines {
    lines: Vec<Line>,
    /// Whether there are no more in that direction.
    last: bool,
}

impl Job {
    fn new(source: Source, asks: mpsc::UnboundedReceiver<LogAsk>, replies: Replies) -> Self {
        Self {
            source,
            asks,
            replies,
            search: None,
            only: false,
            following: true,
            sent: 0,
            told: false,
            counting: false,
            counted: Instant::now(),
        }
    }

    async fn work(mut self) {
        loop {
            let result = tokio::select! {
                biased;
                ask = self.asks.recv() => match ask {
                    Some(ask) => self.answer(ask).await,
                    None => return,
                },
                woken = self.source.wait() => self.woken(woken).await,
                // Nothing else to do: go on counting.
                () = std::future::ready(()), if self.counting => self.count().await,
            };
            if let Err(e) = result {
                self.replies.send(LogReply::Failed(e.to_string())).await;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn woken(&mut self, woken: Woken) -> Done<()> {
        match woken {
            Woken::Changed => {}
            Woken::Ended => {
                if let Source::Stream { records, .. } = &mut self.source {
                    *records = None;
                }
                self.replies.send(LogReply::Ended).await;
                return Ok(());
            }
            Woken::Failed(text) => {
                if let Source::Stream { records, .. } = &mut self.source {
                    *records = None;
                }
                self.replies.send(LogReply::Failed(text)).await;
                return Ok(());
            }
        }
        self.source.view().refresh()?;
        self.counting = self.search.is_some();
        if self.source.view().end() <= self.sent {
            return Ok(());
        }
        if !self.following {
            if !self.told {
                self.told = true;
                self.replies.send(LogReply::Grown).await;
            }
            return Ok(());
        }
        let Lines { lines, last } = self.forward(self.sent, MANY).await?;
        let end = self.source.view().end();
        if !last {
            // Too much to pass on line by line: only the end matters.
            return self.tail(MANY).await;
        }
        self.sent = end;
        if !lines.is_empty() {
            self.lines(Place::After, &lines, false, true).await;
        }
        Ok(())
    }

    async fn lines(&mut self, place: Place, lines: &[Line], at_start: bool, at_end: bool) {
        let mut sanitizer = Sanitizer::new();
        let lines = lines.iter().map(|line| safe(&mut sanitizer, line)).collect();
        self.replies.send(LogReply::Lines { place, lines, at_start, at_end }).await;
    }

    async fn answer(&mut self, ask: LogAsk) -> Done<()> {
        match ask {
            LogAsk::Tail { rows } => return self.tail(rows).await,
            LogAsk::Head { rows } => {
                let start = self.source.view().start();
                let Lines { lines, last } = self.forward(start, rows).await?;
                self.reached(last);
                self.lines(Place::Head, &lines, true, last).await;
            }
            LogAsk::After { position, rows } => {
                let Lines { lines, last } = self.forward(position, rows).await?;
                self.reached(last);
                self.lines(Place::After, &lines, false, last).await;
            }
            LogAsk::Before { position, rows } => {
                let Lines { lines, last } = self.backward(position, rows).await?;
                self.lines(Place::Before, &lines, last, false).await;
            }
            LogAsk::Around { position, rows } => {
                let before = self.backward(position, rows).await?;
                let after = self.forward(position, rows).await?;
                self.reached(after.last);
                let lines = [before.lines, after.lines].concat();
                self.lines(Place::Around(position), &lines, before.last, after.last).await;
            }
            LogAsk::Search { pattern } => {
                // The tab has compiled it already, and told if it isn't one.
                let matcher = Matcher::new(&pattern, Case::Smart);
                let matcher = matcher.ok().filter(|_| !pattern.is_empty());
                self.search = matcher.map(Search::new);
                self.counting = self.search.is_some();
            }
            LogAsk::Find { from, direction } => self.find(from, direction).await?,
            LogAsk::Only(only) => self.only = only && self.search.is_some(),
            LogAsk::Follow(follow) => {
                self.following = follow;
                self.told = false;
            }
            LogAsk::Save { path } => {
                let reply = match self.save(&path).await {
                    Ok(lines) => LogReply::Saved(path, lines),
                    Err(e) => LogReply::Failed(format!("save {}: {e}", path.display())),
                };
                self.replies.send(reply).await;
            }
        }
        Ok(())
    }

    async fn tail(&mut self, rows: usize) -> Done<()> {
        self.source.view().refresh()?;
        let end = self.source.view().end();
        let Lines { lines, last } = self.backward(end, rows).await?;
        self.sent = end;
        self.told = false;
        self.lines(Place::Tail, &lines, last, true).await;
        Ok(())
    }

    /// Notes, if the log's end has been sent, that what comes next is new.
    fn reached(&mut self, end: bool) {
        if end {
            self.sent = self.source.view().end();
            self.told = false;
        }
    }

    /// Returns lines from a position on: all, or those that match.
    async fn forward(&mut self, position: u64, rows: usize) -> Done<Lines> {
        if self.only && self.search.is_some() {
            return self.matching(position, rows, Direction::Forward, false).await;
        }
        self.plain_forward(position, rows)
    }

    fn plain_forward(&mut self, position: u64, rows: usize) -> Done<Lines> {
        let view = self.source.view();
        let lines = view.forward(position, rows)?;
        let last = lines.last().is_none_or(|l| l.next >= view.end());
        Ok(Lines { lines, last })
    }

    /// Returns lines before a position: all, or those that match.
    async fn backward(&mut self, position: u64, rows: usize) -> Done<Lines> {
        if self.only && self.search.is_some() {
            return self.matching(position, rows, Direction::Backward, false).await;
        }
        let lines = self.source.view().backward(position, rows)?;
        let last = lines.len() < rows;
        Ok(Lines { lines, last })
    }

    /// Returns lines that match. Another question cuts it short, unless it is `patient`.
    async fn matching(
        &mut self,
        position: u64,
        rows: usize,
        direction: Direction,
        patient: bool,
    ) -> Done<Lines> {
        let mut from = position;
        let mut found = Vec::new();
        let last = loop {
            let view = self.source.view();
            let Some(search) = &mut self.search else { break true };
            let page = search.page(view, from, direction, rows - found.len(), STEP)?;
            // The search remembers where nothing matches; past what does, it is told to go on.
            match direction {
                Direction::Forward => {
                    from = page.positions.last().map_or(from, |p| p + 1);
                    found.extend(page.positions);
                }
                Direction::Backward => {
                    from = page.positions.first().copied().unwrap_or(from);
                    found.splice(..0, page.positions);
                }
            }
            if !page.pending {
                break found.len() < rows;
            }
            if !patient && !self.asks.is_empty() {
                break false;
            }
            tokio::task::yield_now().await;
        };
        let view = self.source.view();
        let mut lines = Vec::with_capacity(found.len());
        for position in found {
            lines.extend(view.forward(position, 1)?);
        }
        Ok(Lines { lines, last })
    }

    async fn find(&mut self, from: u64, direction: Direction) -> Done<()> {
        loop {
            let Some(search) = &mut self.search else { return Ok(()) };
            match search.step(self.source.view(), from, direction, STEP)? {
                Step::Found(position) => {
                    self.replies.send(LogReply::Found(position)).await;
                    return Ok(());
                }
                Step::None => {
                    self.replies.send(LogReply::NotFound).await;
                    return Ok(());
                }
                // Another question makes this one pointless.
                Step::Pending if !self.asks.is_empty() => return Ok(()),
                Step::Pending => tokio::task::yield_now().await,
            }
        }
    }

    /// Counts some more of the matches and tells now and then.
    async fn count(&mut self) -> Done<()> {
        let Some(search) = &mut self.search else {
            self.counting = false;
            return Ok(());
        };
        let progress = search.advance(self.source.view(), STEP)?;
        self.counting = !progress.complete;
        if progress.complete || self.counted.elapsed() >= COUNT_EVERY {
            self.counted = Instant::now();
            let (count, complete) = (progress.matches, progress.complete);
            self.replies.send(LogReply::Matches { count, complete }).await;
        }
        Ok(())
    }

    /// Writes all lines, or those that match, as the container wrote them.
    async fn save(&mut self, path: &Path) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
        let mut file = BufWriter::new(std::fs::File::create_new(path)?);
        let mut position = self.source.view().start();
        let mut count = 0;
        loop {
            let part = if self.only && self.search.is_some() {
                self.matching(position, MANY, Direction::Forward, true).await?
            } else {
                self.plain_forward(position, MANY)?
            };
            let Some(last) = part.lines.last() else { break };
            position = last.next;
            for line in &part.lines {
                file.write_all(&line.message)?;
                if line.complete {
                    file.write_all(b"\n")?;
                    count += 1;
                }
            }
            tokio::task::yield_now().await;
        }
        file.flush()?;
        Ok(count)
    }
}

/// Returns a line as it may be shown.
fn safe(sanitizer: &mut Sanitizer, line: &Line) -> RawLine {
    let shown = line.message.len().min(SHOWN);
    let mut spans = sanitizer.line(&line.message[..shown]);
    if line.cut || shown < line.message.len() {
        let text = format!(" [{} bytes in all]", line.message.len());
        spans.push(Span { text, style: Style { reverse: true, ..Style::default() } });
    }
    RawLine {
        position: line.position,
        next: line.next,
        time: line.time,
        stream: line.stream,
        spans,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use wharf_backend::fake::{Fake, container, time};
    use wharf_model::{LogStream, Status};

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let name = format!("wharf-ui-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn write(path: &Path, range: std::ops::Range<i64>) {
        let mut out = Vec::new();
        for n in range {
            let line = format!("line {n} \x1b[31mred\x1b[0m\n");
            wharf_logs::codec::encode(&mut out, LogStream::Stdout, time(n), line.as_bytes());
        }
        let mut file = std::fs::File::options().append(true).create(true).open(path).unwrap();
        file.write_all(&out).unwrap();
    }

    struct Open {
        job: LogJob,
        receiver: mpsc::Receiver<Msg>,
    }

    impl Open {
        fn new(source: LogSource) -> Self {
            let fake = Fake::new();
            let c = container(1, "talker", "img", Status::Running);
            fake.put(c.clone());
            fake.set_log_source(source);
            let (sender, receiver) = mpsc::channel(64);
            Self { job: LogJob::open(Arc::new(fake), c.id, 7, sender), receiver }
        }

        async fn ask(&mut self, ask: LogAsk) -> LogReply {
            self.job.ask(ask);
            self.next().await
        }

        async fn next(&mut self) -> LogReply {
            let wait = tokio::time::timeout(Duration::from_secs(20), self.receiver.recv());
            match wait.await.unwrap() {
                Some(Msg::Log { generation: 7, reply }) => reply,
                other => panic!("{other:?}"),
            }
        }
    }

    fn texts(reply: &LogReply) -> Vec<String> {
        match reply {
            LogReply::Lines { lines, .. } => {
                lines.iter().map(|l| l.spans.iter().map(|s| s.text.as_str()).collect()).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_file_is_paged_followed_searched_and_saved() {
        let folder = Folder::new("log");
        let path = folder.0.join("c-json.log");
        write(&path, 0..1000);
        let mut open = Open::new(LogSource::Files(path.clone()));
        let tail = open.ask(LogAsk::Tail { rows: 3 }).await;
        assert_eq!(texts(&tail), ["line 997 red", "line 998 red", "line 999 red"]);
        let LogReply::Lines { lines, at_start: false, at_end: true, .. } = tail else { panic!() };
        let before = LogAsk::Before { position: lines[0].position, rows: 2 };
        assert_eq!(texts(&open.ask(before).await), ["line 995 red", "line 996 red"]);
        // What is new comes by itself.
        write(&path, 1000..1002);
        assert_eq!(texts(&open.next().await), ["line 1000 red", "line 1001 red"]);
        open.job.ask(LogAsk::Follow(false));
        open.job.ask(LogAsk::Search { pattern: "e 5. r".to_owned() });
        assert_eq!(open.next().await, LogReply::Matches { count: 10, complete: true });
        let end = lines[2].next;
        let find = LogAsk::Find { from: end, direction: Direction::Backward };
        let LogReply::Found(position) = open.ask(find).await else { panic!() };
        let around = open.ask(LogAsk::Around { position, rows: 1 }).await;
        assert_eq!(texts(&around), ["line 58 red", "line 59 red"]);
        open.job.ask(LogAsk::Only(true));
        let head = open.ask(LogAsk::Head { rows: 2 }).await;
        assert_eq!(texts(&head), ["line 50 red", "line 51 red"]);
        let copy = folder.0.join("saved.log");
        let saved = open.ask(LogAsk::Save { path: copy.clone() }).await;
        assert_eq!(saved, LogReply::Saved(copy.clone(), 10));
        let text = std::fs::read_to_string(&copy).unwrap();
        assert!(
            text.starts_with("line 50 \x1b[31mred")
                && text.ends_with("line 59 \x1b[31mred\x1b[0m\n")
        );
        // Nothing is ever overwritten.
        let again = open.ask(LogAsk::Save { path: copy }).await;
        assert!(matches!(again, LogReply::Failed(_)), "{again:?}");
    }

    #[tokio::test]
    async fn matches_far_apart_are_all_found_and_paged() {
        let folder = Folder::new("sparse");
        let path = folder.0.join("c-json.log");
        // Some megabytes with a match in every block that a search takes at a time.
        write(&path, 0..60_000);
        let mut open = Open::new(LogSource::Files(path));
        open.job.ask(LogAsk::Follow(false));
        open.ask(LogAsk::Tail { rows: 1 }).await;
        open.job.ask(LogAsk::Search { pattern: "000 ".to_owned() });
        loop {
            if open.next().await == (LogReply::Matches { count: 59, complete: true }) {
                break;
            }
        }
        open.job.ask(LogAsk::Only(true));
        let head = open.ask(LogAsk::Head { rows: 40 }).await;
        assert_eq!(texts(&head).len(), 40);
        assert!(texts(&head)[39].contains("line 40000"), "{head:?}");
        let LogReply::Lines { lines, at_start: true, at_end: false, .. } = head else {
            panic!("{head:?}")
        };
        let after = LogAsk::After { position: lines[39].next, rows: 40 };
        let after = open.ask(after).await;
        assert_eq!(texts(&after).len(), 19);
        assert!(matches!(after, LogReply::Lines { at_end: true, .. }), "{after:?}");
        let before = LogAsk::Before { position: lines[39].position, rows: 10 };
        let before = open.ask(before).await;
        assert!(texts(&before)[0].contains("line 30000"), "{before:?}");
        assert!(matches!(before, LogReply::Lines { at_start: false, .. }), "{before:?}");
    }

    #[tokio::test]
    async fn nobody_following_is_told_once_that_there_is_more() {
        let folder = Folder::new("held");
        let path = folder.0.join("c-json.log");
        write(&path, 0..10);
        let mut open = Open::new(LogSource::Files(path.clone()));
        open.ask(LogAsk::Tail { rows: 3 }).await;
        open.job.ask(LogAsk::Follow(false));
        let head = open.ask(LogAsk::Head { rows: 2 }).await;
        assert_eq!(texts(&head).len(), 2);
        write(&path, 10..11);
        assert_eq!(open.next().await, LogReply::Grown);
        write(&path, 11..12);
        let position = match open.ask(LogAsk::Tail { rows: 1 }).await {
            LogReply::Lines { lines, .. } => lines[0].position,
            other => panic!("{other:?}"),
        };
        let after = open.ask(LogAsk::After { position, rows: 5 }).await;
        assert_eq!(texts(&after), ["line 11 red"]);
    }

    #[tokio::test]
    async fn a_log_that_is_a_stream_is_kept_and_followed() {
        let mut open = Open::new(LogSource::Stream);
        // The fake container says something now and then.
        let reply = open.next().await;
        assert!(texts(&reply)[0].starts_with("talker"), "{reply:?}");
    }
}
