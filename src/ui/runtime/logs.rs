//! The open log: a task that holds a view of it, answers the log tab's questions and tells what is
//! new. Its work is cut into small steps, so that the task can be dropped at any time and doesn't
//! hold up others on its thread.

mod shown;
mod source;

use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::SecondsFormat;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use wharf_backend::Backend;
use wharf_logs::{
    Case, Direction, Histogram, Line, LogView, Looked, MOST_JOINED, Matcher, Search, Step,
};

use crate::app::LogOrigin;
use crate::message::{LogAsk, LogReply, Msg, Place};
use shown::joins;
use source::{ASKED, Source, Woken};

/// Bytes that are read in one step.
const STEP: u64 = 1 << 20;

/// Lines that are sent at once when many are new.
const MANY: usize = 500;

/// The time between two counts of matches, and between two histograms of a log that grows.
const COUNT_EVERY: Duration = Duration::from_millis(250);
const BARS_EVERY: Duration = Duration::from_secs(1);

/// Bytes that are copied at most.
const COPIED: usize = 1 << 20;

/// An open log; dropping it ends the task.
pub(super) struct LogJob {
    asks: mpsc::UnboundedSender<LogAsk>,
    task: JoinHandle<()>,
}

impl LogJob {
    /// Opens the log of a container, or of several as one, each at its engine, and answers with this
    /// generation.
    pub(super) fn open(
        backends: Vec<Arc<dyn Backend>>,
        origins: Vec<LogOrigin>,
        generation: u64,
        sender: mpsc::Sender<Msg>,
    ) -> Self {
        let (asks, receiver) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let replies = Replies { generation, sender };
            let ids = origins.iter().map(|origin| origin.id.clone());
            let logs: Vec<_> = backends.into_iter().zip(ids).collect();
            match Source::open(&logs).await {
                Ok(source) => Job::new(source, origins, receiver, replies).work().await,
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

struct Job {
    source: Source,
    origins: Vec<LogOrigin>,
    asks: mpsc::UnboundedReceiver<LogAsk>,
    replies: Replies,
    search: Option<Search>,
    only: bool,
    following: bool,
    /// Whether JSON is shown as it was written.
    raw: bool,
    /// Where the lines end that have been sent.
    sent: u64,
    /// Whether it has been told that there are more.
    told: bool,
    /// Whether matches are still being counted.
    counting: bool,
    counted: Instant,
    histogram: Histogram,
    /// How many bars are wanted; 0 for none.
    columns: usize,
    /// When to look at them.
    bars_at: Option<Instant>,
    /// How many records of streams were dropped to bound the memory, if that was told.
    dropped: Option<u64>,
    /// How often the engine has lost records of a stream.
    lost: u64,
    /// How many bytes rotation has removed, as far as that was told.
    removed: u64,
}

type Done<T> = Result<T, wharf_logs::Error>;

/// Lines in one direction from some position, oldest first.
struct Lines {
    lines: Vec<Line>,
    /// Whether there are no more in that direction.
    last: bool,
}

impl Job {
    fn new(
        source: Source,
        origins: Vec<LogOrigin>,
        asks: mpsc::UnboundedReceiver<LogAsk>,
        replies: Replies,
    ) -> Self {
        Self {
            source,
            origins,
            asks,
            replies,
            search: None,
            only: false,
            following: true,
            raw: false,
            sent: 0,
            told: false,
            counting: false,
            counted: Instant::now(),
            histogram: Histogram::new(),
            columns: 0,
            bars_at: None,
            dropped: None,
            lost: 0,
            removed: 0,
        }
    }

    async fn work(mut self) {
        if let Some(kept) = self.source.kept.take() {
            self.replies.send(LogReply::Kept(kept)).await;
        }
        loop {
            let result = tokio::select! {
                biased;
                ask = self.asks.recv() => match ask {
                    Some(ask) => self.answer(ask).await,
                    None => return,
                },
                woken = self.source.wait() => self.woken(woken).await,
                () = until(self.bars_at), if self.bars_at.is_some() => self.bars().await,
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
                self.source.streams -= 1;
                if self.source.streams == 0 {
                    self.replies.send(LogReply::Ended).await;
                }
                return Ok(());
            }
            Woken::Lost => {
                self.lost += 1;
                self.replies.send(LogReply::Lost(self.lost)).await;
                return Ok(());
            }
            Woken::Records(place, records) => {
                for record in records {
                    match record {
                        Ok(record) => self.source.view.feed(place, record),
                        Err(e) => self.replies.send(LogReply::Failed(e.message)).await,
                    }
                }
            }
        }
        self.source.view.refresh()?;
        self.counting = self.search.is_some();
        if self.source.view.end() <= self.sent {
            return Ok(());
        }
        if self.columns > 0 && self.bars_at.is_none() {
            self.bars_at = Some(Instant::now() + BARS_EVERY);
        }
        self.tell_what_is_missing().await;
        if !self.following {
            if !self.told {
                self.told = true;
                self.replies.send(LogReply::Grown).await;
            }
            return Ok(());
        }
        let Lines { lines, last } = self.forward(self.sent, MANY).await?;
        let end = self.source.view.end();
        if !last {
            // Too much to pass on line by line: only the end matters.
            return self.tail(MANY).await;
        }
        self.sent = end;
        if !lines.is_empty() {
            self.lines(Place::After, lines, false, true).await?;
        }
        Ok(())
    }

    /// Tells how much of the log isn't there.
    async fn tell_what_is_missing(&mut self) {
        let progress = self.source.view.progress();
        if self.removed != progress.removed {
            self.removed = progress.removed;
            self.replies.send(LogReply::Removed(progress.removed)).await;
        }
        let dropped = progress.dropped;
        let whole = !self.source.limited || progress.lines + dropped < ASKED;
        if !whole && self.dropped != Some(dropped) {
            self.dropped = Some(dropped);
            self.replies.send(LogReply::Missing { asked: ASKED, dropped }).await;
        }
    }

    /// Sends records as lines, the parts of a long line put together.
    async fn lines(
        &mut self,
        place: Place,
        mut records: Vec<Line>,
        at_start: bool,
        at_end: bool,
    ) -> Done<()> {
        let view = &mut self.source.view;
        let mut before = match records.first() {
            Some(first) => view.backward(first.position, 1)?.pop(),
            None => None,
        };
        let mut front = Vec::new();
        while let (Some(last), Some(first)) = (&before, front.last().or(records.first()))
            && !last.complete
            && joins(last, first)
            && front.len() < MOST_JOINED
        {
            let position = last.position;
            front.extend(before.take());
            before = view.backward(position, 1)?.pop();
        }
        front.reverse();
        records.splice(..0, front);
        for _ in 0..MOST_JOINED {
            let Some(last) = records.last().filter(|last| !last.complete) else { break };
            let Some(next) = view.forward(last.next, 1)?.pop() else { break };
            if !joins(last, &next) {
                break;
            }
            records.push(next);
        }
        if at_end {
            self.sent = self.sent.max(records.last().map_or(0, |last| last.next));
        }
        let lines = shown::lines(before.as_ref(), &records, self.raw);
        self.replies.send(LogReply::Lines { place, lines, at_start, at_end }).await;
        Ok(())
    }

    async fn answer(&mut self, ask: LogAsk) -> Done<()> {
        match ask {
            LogAsk::Tail { rows } => return self.tail(rows).await,
            LogAsk::Head { rows } => {
                let start = self.source.view.start();
                let Lines { lines, last } = self.forward(start, rows).await?;
                self.reached(last);
                return self.lines(Place::Head, lines, true, last).await;
            }
            LogAsk::After { position, rows } => {
                let Lines { lines, last } = self.forward(position, rows).await?;
                self.reached(last);
                return self.lines(Place::After, lines, false, last).await;
            }
            LogAsk::Before { position, rows } => {
                let Lines { lines, last } = self.backward(position, rows).await?;
                return self.lines(Place::Before, lines, last, false).await;
            }
            LogAsk::Around { position, rows } => return self.around(position, rows).await,
            LogAsk::At { time, rows } => {
                let position = self.source.view.at_time(time)?;
                return self.around(position, rows).await;
            }
            LogAsk::Since(time) => {
                self.source.view.begin(time)?;
                self.histogram.forget();
                // What lies before doesn't count any more.
                self.search = self.search.take().map(|s| Search::new(s.matcher().clone()));
                self.counting = self.search.is_some();
                return self.bars().await;
            }
            LogAsk::Bars { columns } => {
                self.columns = columns;
                return self.bars().await;
            }
            LogAsk::Whole { position, next, columns } => {
                let records = self.records(position, next)?;
                let rows = shown::whole(&records, columns);
                self.replies.send(LogReply::Whole { position, rows }).await;
            }
            LogAsk::Raw(raw) => self.raw = raw,
            LogAsk::Copy(lines) => {
                let (mut text, mut count) = (String::new(), 0);
                for (position, next) in lines {
                    if text.len() > COPIED {
                        break;
                    }
                    shown::copy(&mut text, &self.records(position, next)?);
                    count += 1;
                }
                self.replies.send(LogReply::Copied { text, lines: count }).await;
            }
            LogAsk::Search { pattern } => {
                // The tab has compiled it already, and told if it isn't one.
                let matcher = Matcher::new(&pattern, Case::Smart);
                let matcher = matcher.ok().filter(|_| !pattern.is_empty());
                self.search = matcher.map(Search::new);
                self.counting = self.search.is_some();
                if self.search.is_none() {
                    return self.bars().await;
                }
            }
            LogAsk::Find { from, direction } => self.find(from, direction).await?,
            LogAsk::Only(only) => self.only = only && self.search.is_some(),
            LogAsk::Follow(follow) => {
                self.following = follow;
                self.told = false;
            }
            LogAsk::Save { path, times } => {
                let reply = match self.save(&path, times).await {
                    Ok(lines) => LogReply::Saved(path, lines),
                    Err(e) => LogReply::Failed(format!("save {}: {e}", path.display())),
                };
                self.replies.send(reply).await;
            }
        }
        Ok(())
    }

    async fn around(&mut self, position: u64, rows: usize) -> Done<()> {
        let before = self.backward(position, rows).await?;
        let after = self.forward(position, rows).await?;
        self.reached(after.last);
        let lines = [before.lines, after.lines].concat();
        self.lines(Place::Around(position), lines, before.last, after.last).await
    }

    /// Returns the records between two positions, as many as may belong together.
    fn records(&mut self, position: u64, next: u64) -> Done<Vec<Line>> {
        let mut records = self.source.view.forward(position, 1)?;
        while let Some(last) = records.last()
            && last.next < next
            && records.len() < MOST_JOINED
        {
            let Some(line) = self.source.view.forward(last.next, 1)?.pop() else { break };
            records.push(line);
        }
        Ok(records)
    }

    /// Looks at the histogram as far as one step goes, and tells of it when it is done.
    async fn bars(&mut self) -> Done<()> {
        self.bars_at = None;
        if self.columns == 0 {
            return Ok(());
        }
        let (view, search) = (&mut self.source.view, self.search.as_mut());
        match self.histogram.bars(view, search, self.columns, STEP)? {
            Looked::Pending => self.bars_at = Some(Instant::now()),
            Looked::Done(bars) => self.replies.send(LogReply::Bars(bars)).await,
        }
        Ok(())
    }

    async fn tail(&mut self, rows: usize) -> Done<()> {
        self.source.view.refresh()?;
        let end = self.source.view.end();
        let Lines { lines, last } = self.backward(end, rows).await?;
        self.sent = end;
        self.told = false;
        self.lines(Place::Tail, lines, last, true).await?;
        self.tell_what_is_missing().await;
        Ok(())
    }

    /// Notes, if the log's end has been sent, that what comes next is new.
    fn reached(&mut self, end: bool) {
        if end {
            self.sent = self.source.view.end();
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
        let lines = self.source.view.forward(position, rows)?;
        let last = lines.last().is_none_or(|l| l.next >= self.source.view.end());
        Ok(Lines { lines, last })
    }

    /// Returns lines before a position: all, or those that match.
    async fn backward(&mut self, position: u64, rows: usize) -> Done<Lines> {
        if self.only && self.search.is_some() {
            return self.matching(position, rows, Direction::Backward, false).await;
        }
        let lines = self.source.view.backward(position, rows)?;
        let last = lines.len() < rows;
        Ok(Lines { lines, last })
    }

    /// Returns the records that match, each with all its lines. Another question cuts it short,
    /// unless it is `patient`.
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
            let Some(search) = &mut self.search else { break true };
            let view = &mut self.source.view;
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
        self.whole_records(&found, rows, direction, last)
    }

    /// Returns the lines of the records at these positions, those nearest to where one comes from if
    /// they are too many.
    fn whole_records(
        &mut self,
        found: &[u64],
        rows: usize,
        direction: Direction,
        last: bool,
    ) -> Done<Lines> {
        let mut lines: Vec<Line> = Vec::new();
        let mut full = false;
        let most = rows.max(1) + MOST_JOINED;
        match direction {
            Direction::Forward => {
                for position in found {
                    if lines.last().is_some_and(|line| line.next > *position) {
                        continue;
                    }
                    full = lines.len() >= most;
                    if full {
                        break;
                    }
                    lines.extend(self.whole_record(*position)?);
                }
            }
            Direction::Backward => {
                for position in found.iter().rev() {
                    if lines.first().is_some_and(|line| line.position <= *position) {
                        continue;
                    }
                    full = lines.len() >= most;
                    if full {
                        break;
                    }
                    lines.splice(..0, self.whole_record(*position)?);
                }
            }
        }
        Ok(Lines { lines, last: last && !full })
    }

    /// Returns all lines of the record that one of them is at this position.
    fn whole_record(&mut self, position: u64) -> Done<Vec<Line>> {
        let view = &mut self.source.view;
        let mut lines = view.forward(position, 1)?;
        while let Some(first) = lines.first()
            && lines.len() < MOST_JOINED
            && let Some(before) = view.backward(first.position, 1)?.pop()
            && joins(&before, first)
        {
            lines.insert(0, before);
        }
        while let Some(last) = lines.last()
            && lines.len() < MOST_JOINED
            && let Some(next) = view.forward(last.next, 1)?.pop()
            && joins(last, &next)
        {
            lines.push(next);
        }
        Ok(lines)
    }

    async fn find(&mut self, from: u64, direction: Direction) -> Done<()> {
        loop {
            let Some(search) = &mut self.search else { return Ok(()) };
            match search.step(&mut self.source.view, from, direction, STEP)? {
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
        let progress = search.advance(&mut self.source.view, STEP)?;
        self.counting = !progress.complete;
        if progress.complete || self.counted.elapsed() >= COUNT_EVERY {
            self.counted = Instant::now();
            let (count, complete) = (progress.matches, progress.complete);
            self.replies.send(LogReply::Matches { count, complete }).await;
            return self.bars().await;
        }
        Ok(())
    }

    /// Writes all lines, or those that match, as the container wrote them; with their times as `logs -t` has them.
    async fn save(
        &mut self,
        path: &Path,
        times: bool,
    ) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
        let file = std::fs::File::create_new(path).map_err(|cause| match cause.kind() {
            std::io::ErrorKind::AlreadyExists => {
                "it is there already, and isn't written over".into()
            }
            _ => Box::<dyn std::error::Error + Send + Sync>::from(cause),
        })?;
        let mut file = BufWriter::new(file);
        let mut position = self.source.view.start();
        let mut count = 0;
        // Whether the last line goes on in the next record.
        let mut goes_on = false;
        loop {
            let part = if self.only && self.search.is_some() {
                self.matching(position, MANY, Direction::Forward, true).await?
            } else {
                self.plain_forward(position, MANY)?
            };
            let Some(last) = part.lines.last() else { break };
            position = last.next;
            for line in &part.lines {
                if self.origins.len() > 1 && !goes_on {
                    let name = self.origins.get(line.source).map_or("", |o| o.name.as_str());
                    write!(file, "{name} | ")?;
                }
                if let Some(time) = line.time.filter(|_| times && !goes_on) {
                    write!(file, "{} ", time.to_rfc3339_opts(SecondsFormat::Nanos, true))?;
                }
                goes_on = !line.complete;
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

async fn until(when: Option<Instant>) {
    if let Some(when) = when {
        tokio::time::sleep_until(when).await;
    }
}

#[cfg(test)]
mod tests;
