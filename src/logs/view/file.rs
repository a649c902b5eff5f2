//! A view of json-file logs on disk.

use std::path::Path;

use memchr::{memchr, memchr_iter, memrchr};
use wharf_model::LogStream;

use super::{Change, Line, LogView, Progress};
use crate::codec::{self, RawRecord};
use crate::files::{BLOCK, Files, MAX_LINE, Refreshed};
use crate::{Matcher, Result, time};

/// A json-file log and its rotated files.
#[derive(Debug)]
pub struct FileView {
    files: Files,
    index: Index,
    line: Vec<u8>,
    block: Vec<u8>,
}

/// How many records begin in each block. One number a block: 8 bytes for every 256 KiB of log.
#[derive(Debug, Default)]
struct Index {
    /// The first block that `before` speaks of.
    first: u64,
    /// Records before each block, the one being counted last.
    before: std::collections::VecDeque<u64>,
    /// Records in the last block so far.
    current: u64,
    /// Up to where records are counted: a record's beginning, or a block's.
    to: u64,
}

impl FileView {
    /// Opens a log. Next to nothing is read: the newest lines come from the file's end.
    ///
    /// # Errors
    /// When the log doesn't exist or can't be read.
    pub fn open(path: &Path) -> Result<Self> {
        let files = Files::open(path)?;
        let mut view = Self { files, index: Index::default(), line: Vec::new(), block: Vec::new() };
        view.restart_index();
        Ok(view)
    }

    /// Returns the newest file.
    pub fn path(&self) -> &Path {
        self.files.path()
    }

    fn restart_index(&mut self) {
        let start = self.files.start();
        self.index = Index { first: start / BLOCK, to: start, ..Index::default() };
        self.index.before.push_back(0);
    }

    /// Returns the record at this position.
    fn read_line(&mut self, position: u64) -> Result<Option<Line>> {
        let Some((next, cut)) = self.files.line(position, &mut self.line)? else {
            return Ok(None);
        };
        Ok(Some(decode(position, next, &self.line, cut)))
    }

    /// Counts the records that begin in `from..to` (within one block).
    fn count(&mut self, from: u64, to: u64) -> Result<u64> {
        let Some((base, _)) = self.files.extent(from) else { return Ok(0) };
        // A record begins after each newline, and at the file's beginning.
        let first = u64::from(from == base);
        let begin = from - u64::from(from > base);
        let length = usize::try_from(to.saturating_sub(1).saturating_sub(begin)).unwrap_or(0);
        let mut block = std::mem::take(&mut self.block);
        block.resize(length, 0);
        let read = self.files.read_at(begin, &mut block)?;
        let newlines = memchr_iter(b'\n', &block[..read]).count();
        self.block = block;
        Ok(first + newlines as u64)
    }

    /// Counts the records in the block of `position` that begin before it.
    fn rank_in_block(&mut self, position: u64) -> Result<u64> {
        let from = position / BLOCK * BLOCK;
        if from == position { Ok(0) } else { self.count(from, position) }
    }
}

fn decode(position: u64, next: u64, line: &[u8], cut: bool) -> Line {
    let plain = |message: Vec<u8>| Line {
        position,
        next,
        time: None,
        stream: LogStream::Stdout,
        message,
        complete: true,
        cut,
        source: 0,
    };
    if let Some(raw) = RawRecord::parse(line)
        && let Some((message, complete)) = codec::message(raw.log)
    {
        return Line {
            time: time::parse(raw.time),
            stream: raw.stream,
            complete,
            ..plain(message.into_owned())
        };
    }
    match codec::decode(line) {
        Some(mut record) => {
            let complete = record.message.last() == Some(&b'\n');
            if complete {
                record.message.pop();
            }
            let (time, stream) = (Some(record.time), record.stream);
            Line { time, stream, complete, ..plain(record.message) }
        }
        None => plain(line.to_vec()),
    }
}

impl LogView for FileView {
    fn start(&self) -> u64 {
        self.files.start()
    }

    fn end(&self) -> u64 {
        self.files.end()
    }

    fn refresh(&mut self) -> Result<Change> {
        let start = self.files.start();
        let change = self.files.refresh(u64::MAX)?;
        if self.files.start() != start {
            let first = self.files.start() / BLOCK;
            let gone = usize::try_from(first - self.index.first).unwrap_or(usize::MAX);
            if gone < self.index.before.len() {
                self.index.before.drain(..gone);
                let dropped = self.index.before[0];
                self.index.before.iter_mut().for_each(|n| *n -= dropped);
                self.index.first = first;
            } else {
                self.restart_index();
            }
        }
        Ok(match change {
            Refreshed::Same => Change::Same,
            Refreshed::Grown => Change::Grown,
            Refreshed::Rotated => Change::Rotated,
        })
    }

    fn advance(&mut self, budget: u64) -> Result<bool> {
        let goal = self.bytes_read().saturating_add(budget);
        while self.index.to < self.end() && self.bytes_read() < goal {
            let from = self.index.to;
            let boundary = (from / BLOCK + 1) * BLOCK;
            let to = boundary.min(self.block_end(from));
            if to > from {
                self.index.current += self.count(from, to)?;
                self.index.to = to;
            }
            let more = self.files.extent(from).is_some_and(|(_, end)| end >= boundary);
            let newest = self.files.extent(from) == self.files.extent(self.end());
            if self.index.to == boundary || (!more && !newest) {
                let total = self.index.before.back().copied().unwrap_or(0) + self.index.current;
                self.index.before.push_back(total);
                self.index.current = 0;
                self.index.to = boundary;
            } else if to <= from {
                break;
            }
        }
        Ok(self.index.to >= self.end())
    }

    fn progress(&self) -> Progress {
        let total = self.files.bytes();
        // The gaps between files count as nothing.
        let left = self.end().saturating_sub(self.index.to).min(total);
        let lines = self.index.before.back().copied().unwrap_or(0) + self.index.current;
        Progress { indexed: total - left, total, lines, dropped: 0, removed: self.files.removed() }
    }

    fn align(&mut self, position: u64) -> Result<u64> {
        self.files.align(position.max(self.start()))
    }

    fn forward(&mut self, position: u64, rows: usize) -> Result<Vec<Line>> {
        let mut lines = Vec::new();
        let mut at = position.max(self.start());
        while lines.len() < rows {
            let Some(line) = self.read_line(at)? else { break };
            at = line.next;
            lines.push(line);
        }
        Ok(lines)
    }

    fn backward(&mut self, position: u64, rows: usize) -> Result<Vec<Line>> {
        let mut at = position;
        for _ in 0..rows {
            let Some(before) = self.files.before(at)? else { break };
            at = before;
        }
        let mut lines = Vec::new();
        while at < position {
            let Some(line) = self.read_line(at)? else { break };
            at = line.next;
            lines.push(line);
        }
        Ok(lines)
    }

    fn number(&mut self, position: u64) -> Result<Option<u64>> {
        if position > self.index.to {
            return Ok(None);
        }
        let block = usize::try_from((position / BLOCK).saturating_sub(self.index.first));
        let before = block.ok().and_then(|b| self.index.before.get(b)).copied();
        let Some(before) = before else { return Ok(None) };
        Ok(Some(before + self.rank_in_block(position)?))
    }

    fn at_number(&mut self, number: u64) -> Result<Option<u64>> {
        if number >= self.progress().lines {
            return Ok(None);
        }
        // The last block with at most this many records before it; of several, all but the last
        // hold no beginning.
        let block = self.index.before.partition_point(|n| *n <= number).saturating_sub(1);
        let mut left = number - self.index.before[block];
        let from = (self.index.first + block as u64) * BLOCK;
        let mut at = self.files.align(from)?;
        while left > 0 {
            let Some((next, _)) = self.files.line(at, &mut self.line)? else { return Ok(None) };
            at = next;
            left -= 1;
        }
        Ok(Some(at))
    }

    fn block_size(&self) -> u64 {
        BLOCK
    }

    fn block_end(&self, position: u64) -> u64 {
        let block = position / BLOCK * BLOCK;
        match self.files.extent(block.max(self.start())) {
            Some((_, end)) => end.clamp(block, block + BLOCK),
            None => block,
        }
    }

    fn scan(&mut self, from: u64, to: u64, matcher: &Matcher, hits: &mut Vec<u64>) -> Result<u64> {
        let read_before = self.bytes_read();
        let Some((_, end)) = self.files.extent(from) else { return Ok(0) };
        let begin = self.files.align(from)?;
        if begin >= to.min(end) {
            return Ok(self.bytes_read() - read_before);
        }
        let mut block = std::mem::take(&mut self.block);
        let length = usize::try_from(to.min(end) - begin).unwrap_or(0);
        block.resize(length, 0);
        let read = self.files.read_at(begin, &mut block)?;
        block.truncate(read);
        // The last record may go on beyond: read up to its end.
        while block.last() != Some(&b'\n') && block.len() < length + MAX_LINE {
            let old = block.len();
            block.resize(old + 4096, 0);
            let more = self.files.read_at(begin + old as u64, &mut block[old..])?;
            block.truncate(old + more);
            if let Some(at) = memchr(b'\n', &block[old..]) {
                block.truncate(old + at + 1);
            }
            if more == 0 {
                break;
            }
        }
        find_in(&block, matcher, |at| hits.push(begin + at as u64));
        self.block = block;
        Ok(self.bytes_read() - read_before)
    }

    fn bytes_read(&self) -> u64 {
        self.files.bytes_read()
    }
}

/// Calls `found` with the offset of each line whose message matches.
fn find_in(block: &[u8], matcher: &Matcher, mut found: impl FnMut(usize)) {
    let mut at = 0;
    while at < block.len() {
        let Some(candidate) = matcher.candidate(block, at) else { return };
        let begin = memrchr(b'\n', &block[at..candidate]).map_or(at, |n| at + n + 1);
        let end = memchr(b'\n', &block[candidate..]).map_or(block.len(), |n| candidate + n);
        if line_matches(&block[begin..end], matcher) {
            found(begin);
        }
        at = end + 1;
    }
}

fn line_matches(line: &[u8], matcher: &Matcher) -> bool {
    match RawRecord::parse(line).and_then(|raw| codec::message(raw.log)) {
        Some((message, _)) => matcher.is_match(&message),
        None => {
            let line = decode(0, 0, line, false);
            matcher.is_match(&line.message)
        }
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
