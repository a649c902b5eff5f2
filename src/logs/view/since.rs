//! A view of a log from some position on: what lies before is left out.

use chrono::{DateTime, Utc};
use wharf_model::LogRecord;

use super::{Change, Line, LogView, Progress};
use crate::{Matcher, Result};

/// A log from some position on.
pub struct Since {
    view: Box<dyn LogView>,
    from: u64,
}

impl Since {
    /// Returns all of a log.
    pub fn all(view: Box<dyn LogView>) -> Self {
        Self { view, from: 0 }
    }

    /// Leaves out what was written before an instant, or nothing.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn begin(&mut self, time: Option<DateTime<Utc>>) -> Result<()> {
        self.from = match time {
            Some(time) => self.view.at_time(time)?,
            None => 0,
        };
        Ok(())
    }
}

impl LogView for Since {
    fn start(&self) -> u64 {
        self.view.start().max(self.from).min(self.view.end())
    }

    fn end(&self) -> u64 {
        self.view.end()
    }

    fn refresh(&mut self) -> Result<Change> {
        self.view.refresh()
    }

    fn advance(&mut self, budget: u64) -> Result<bool> {
        self.view.advance(budget)
    }

    fn progress(&self) -> Progress {
        self.view.progress()
    }

    fn align(&mut self, position: u64) -> Result<u64> {
        let start = self.start();
        self.view.align(position.max(start))
    }

    fn forward(&mut self, position: u64, rows: usize) -> Result<Vec<Line>> {
        let start = self.start();
        self.view.forward(position.max(start), rows)
    }

    fn backward(&mut self, position: u64, rows: usize) -> Result<Vec<Line>> {
        let start = self.start();
        let mut lines = self.view.backward(position, rows)?;
        lines.retain(|line| line.position >= start);
        Ok(lines)
    }

    fn number(&mut self, position: u64) -> Result<Option<u64>> {
        let start = self.start();
        let before = self.view.number(start)?;
        let number = self.view.number(position)?;
        Ok(number.zip(before).map(|(number, before)| number.saturating_sub(before)))
    }

    fn at_number(&mut self, number: u64) -> Result<Option<u64>> {
        let start = self.start();
        match self.view.number(start)? {
            Some(before) => self.view.at_number(number + before),
            None => Ok(None),
        }
    }

    fn block_size(&self) -> u64 {
        self.view.block_size()
    }

    fn block_end(&self, position: u64) -> u64 {
        self.view.block_end(position)
    }

    fn scan(&mut self, from: u64, to: u64, matcher: &Matcher, hits: &mut Vec<u64>) -> Result<u64> {
        let start = self.start();
        if to <= start {
            return Ok(0);
        }
        self.view.scan(from.max(start), to, matcher, hits)
    }

    fn bytes_read(&self) -> u64 {
        self.view.bytes_read()
    }

    fn feed(&mut self, source: usize, record: LogRecord) {
        self.view.feed(source, record);
    }

    fn at_time_within(&mut self, time: DateTime<Utc>, low: u64, high: u64) -> Result<u64> {
        let start = self.start();
        Ok(self.view.at_time_within(time, low, high)?.max(start))
    }
}
