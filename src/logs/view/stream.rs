//! A view of records that come one by one, the newest kept within a bound of bytes.

use std::collections::VecDeque;

use wharf_model::LogRecord;

use super::{Change, Line, LogView, Progress};
use crate::{Matcher, Result};

/// The newest records of a stream. Positions are the records' numbers since the first.
#[derive(Debug)]
pub struct StreamView {
    records: VecDeque<LogRecord>,
    /// Records dropped from the front so far: the number of the oldest that is kept.
    dropped: u64,
    bytes: usize,
    limit: usize,
    grown: bool,
}

/// What a record costs beside its message.
const OVERHEAD: usize = size_of::<LogRecord>();

impl StreamView {
    /// Returns an empty view that keeps about this many bytes, but always the newest record.
    pub fn new(limit: usize) -> Self {
        Self { records: VecDeque::new(), dropped: 0, bytes: 0, limit, grown: false }
    }

    /// Adds the newest record, dropping old ones to make room.
    pub fn push(&mut self, mut record: LogRecord) {
        record.message.shrink_to_fit();
        self.bytes += cost(&record);
        self.records.push_back(record);
        self.grown = true;
        while self.bytes > self.limit && self.records.len() > 1 {
            if let Some(old) = self.records.pop_front() {
                self.bytes -= cost(&old);
                self.dropped += 1;
            }
        }
    }

    /// Returns how many records were dropped to make room.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn index(&self, position: u64) -> usize {
        usize::try_from(position.saturating_sub(self.dropped)).unwrap_or(usize::MAX)
    }

    fn line(&self, position: u64) -> Option<Line> {
        let record = self.records.get(self.index(position))?;
        let (message, complete) = match record.message.strip_suffix(b"\n") {
            Some(message) => (message, true),
            None => (&record.message[..], false),
        };
        Some(Line {
            position,
            next: position + 1,
            time: Some(record.time),
            stream: record.stream,
            message: message.to_vec(),
            complete,
            cut: false,
            source: 0,
        })
    }
}

fn cost(record: &LogRecord) -> usize {
    record.message.capacity() + OVERHEAD
}

impl LogView for StreamView {
    fn start(&self) -> u64 {
        self.dropped
    }

    fn end(&self) -> u64 {
        self.dropped + self.records.len() as u64
    }

    fn refresh(&mut self) -> Result<Change> {
        let grown = std::mem::take(&mut self.grown);
        Ok(if grown { Change::Grown } else { Change::Same })
    }

    fn advance(&mut self, _budget: u64) -> Result<bool> {
        Ok(true)
    }

    fn progress(&self) -> Progress {
        let lines = self.records.len() as u64;
        Progress { indexed: 0, total: 0, lines, dropped: self.dropped, removed: 0 }
    }

    fn align(&mut self, position: u64) -> Result<u64> {
        Ok(position.clamp(self.start(), self.end()))
    }

    fn forward(&mut self, position: u64, rows: usize) -> Result<Vec<Line>> {
        let from = position.max(self.start());
        Ok((from..self.end()).take(rows).filter_map(|at| self.line(at)).collect())
    }

    fn backward(&mut self, position: u64, rows: usize) -> Result<Vec<Line>> {
        let to = position.clamp(self.start(), self.end());
        let from = to.saturating_sub(rows as u64).max(self.start());
        Ok((from..to).filter_map(|at| self.line(at)).collect())
    }

    fn number(&mut self, position: u64) -> Result<Option<u64>> {
        Ok(position.checked_sub(self.start()))
    }

    fn at_number(&mut self, number: u64) -> Result<Option<u64>> {
        Ok((number < self.records.len() as u64).then_some(self.dropped + number))
    }

    fn block_size(&self) -> u64 {
        1024
    }

    fn block_end(&self, position: u64) -> u64 {
        let block = position / self.block_size() * self.block_size();
        self.end().clamp(block, block + self.block_size())
    }

    fn scan(&mut self, from: u64, to: u64, matcher: &Matcher, hits: &mut Vec<u64>) -> Result<u64> {
        let mut bytes = 0;
        for at in from.max(self.start())..to.min(self.end()) {
            let Some(record) = self.records.get(self.index(at)) else { break };
            let message = record.message.strip_suffix(b"\n").unwrap_or(&record.message);
            bytes += message.len() as u64;
            if matcher.is_match(message) {
                hits.push(at);
            }
        }
        Ok(bytes)
    }

    fn bytes_read(&self) -> u64 {
        0
    }

    fn feed(&mut self, _source: usize, record: LogRecord) {
        self.push(record);
    }
}
