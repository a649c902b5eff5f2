//! Random access to a log for a screen, whatever it comes from.
//!
//! A position names a record and stays valid while the view lives. [`FileView`] reads json-file
//! logs of any size in bounded memory: opening reads next to nothing, and line numbers come from an
//! index that [`LogView::advance`] builds bit by bit. [`StreamView`] keeps the newest records that
//! were pushed into it. [`Merged`] is several logs as one, by time; [`Since`] a log from an instant on.

mod file;
mod merged;
mod since;
mod stream;

use chrono::{DateTime, Utc};
use wharf_model::{LogRecord, LogStream};

use crate::{Matcher, Result};

pub use file::FileView;
pub use merged::Merged;
pub use since::Since;
pub use stream::StreamView;

/// One record for a screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where it is.
    pub position: u64,
    /// Where the next one is, or the end.
    pub next: u64,
    /// When it was written; none when the line isn't a well-formed record, whose bytes are then
    /// the message.
    pub time: Option<DateTime<Utc>>,
    /// Where it came from.
    pub stream: LogStream,
    /// What the container wrote, without the newline. Not sanitised.
    pub message: Vec<u8>,
    /// Whether the container ended the line here; else it goes on in a later record.
    pub complete: bool,
    /// Whether the rest of an extremely long line (over 1 MiB) was left out.
    pub cut: bool,
    /// Which of the merged logs it is from; 0 in a log that isn't merged.
    pub source: usize,
}

/// What a refresh found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing new.
    Same,
    /// New records at the end.
    Grown,
    /// The log was rotated or emptied: new records at the end, and the start may have moved.
    Rotated,
}

/// How far the line index is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes indexed.
    pub indexed: u64,
    /// Bytes there are.
    pub total: u64,
    /// Records counted so far, from the oldest on.
    pub lines: u64,
    /// Records that were dropped to bound the memory.
    pub dropped: u64,
    /// Bytes that rotation has removed, as far as that is known.
    pub removed: u64,
}

impl Progress {
    /// Returns whether every record has been counted, so that line numbers are exact.
    pub fn is_complete(&self) -> bool {
        self.indexed >= self.total
    }
}

/// A log to look at. All work is bounded by what is asked for or by a budget; nothing waits.
pub trait LogView: Send {
    /// Returns the position of the oldest record.
    fn start(&self) -> u64;

    /// Returns the position after the newest record.
    fn end(&self) -> u64;

    /// Takes in what was added since the last time.
    ///
    /// # Errors
    /// When the log can't be read.
    fn refresh(&mut self) -> Result<Change>;

    /// Goes on indexing, reading about `budget` bytes. Returns whether all is indexed.
    ///
    /// # Errors
    /// When the log can't be read.
    fn advance(&mut self, budget: u64) -> Result<bool>;

    /// Returns how far the index is.
    fn progress(&self) -> Progress;

    /// Returns the first record's position at or after `position`, or the end.
    ///
    /// # Errors
    /// When the log can't be read.
    fn align(&mut self, position: u64) -> Result<u64>;

    /// Returns up to `rows` records from `position` (a record's position, or the start) on.
    ///
    /// # Errors
    /// When the log can't be read.
    fn forward(&mut self, position: u64, rows: usize) -> Result<Vec<Line>>;

    /// Returns up to `rows` records that lie just before `position`, oldest first.
    ///
    /// # Errors
    /// When the log can't be read.
    fn backward(&mut self, position: u64, rows: usize) -> Result<Vec<Line>>;

    /// Returns a record's number, the oldest being 0, or none while the index isn't that far.
    ///
    /// # Errors
    /// When the log can't be read.
    fn number(&mut self, position: u64) -> Result<Option<u64>>;

    /// Returns the position of the record with this number, or none while the index isn't that
    /// far or there is none.
    ///
    /// # Errors
    /// When the log can't be read.
    fn at_number(&mut self, number: u64) -> Result<Option<u64>>;

    /// Returns how many positions make up a block, the unit of a search.
    fn block_size(&self) -> u64;

    /// Returns where the records of the block around `position` end for now.
    fn block_end(&self, position: u64) -> u64;

    /// Appends the positions of all matching records that begin in `from..to`, a range within one
    /// block. Returns about how many bytes were read.
    ///
    /// # Errors
    /// When the log can't be read.
    fn scan(&mut self, from: u64, to: u64, matcher: &Matcher, hits: &mut Vec<u64>) -> Result<u64>;

    /// Returns how many bytes have been read so far.
    fn bytes_read(&self) -> u64;

    /// Returns the last `rows` records.
    ///
    /// # Errors
    /// When the log can't be read.
    fn last(&mut self, rows: usize) -> Result<Vec<Line>> {
        self.backward(self.end(), rows)
    }

    /// Takes a record that came as a stream's, for the log at this place among the merged ones. Logs
    /// on disk have theirs already.
    fn feed(&mut self, _source: usize, _record: LogRecord) {}

    /// Returns the first record's position at or after an instant, or the end, in about thirty
    /// small reads.
    ///
    /// # Errors
    /// When the log can't be read.
    fn at_time(&mut self, time: DateTime<Utc>) -> Result<u64> {
        self.at_time_within(time, 0, u64::MAX)
    }

    /// Returns the same where it is known to lie between two positions.
    ///
    /// # Errors
    /// When the log can't be read.
    fn at_time_within(&mut self, time: DateTime<Utc>, low: u64, high: u64) -> Result<u64> {
        let (mut low, mut high) = (low.max(self.start()), high.min(self.end()));
        while low < high {
            let middle = low + (high - low) / 2;
            let mut at = self.align(middle)?;
            // Lines that aren't records have no time; look at the next one.
            let line = loop {
                let Some(line) = self.forward(at, 1)?.pop() else { break None };
                if line.time.is_some() || line.next >= high {
                    break Some(line);
                }
                at = line.next;
            };
            match line {
                Some(line) if line.time.is_some_and(|t| t < time) => low = line.next,
                _ => high = middle,
            }
        }
        self.align(low)
    }
}
