//! Records in order, for `logs`: the last so many, from an instant to an instant, and new ones.

use std::path::Path;

use wharf_model::{LogOptions, LogRecord};

use crate::files::{Files, Refreshed};
use crate::{Result, codec};

/// Reads the records that some [`LogOptions`] ask for.
///
/// To follow: watch the log's folder, then take records until there is none, [`Reader::rest`] until
/// something changes in the folder, and again. When the container has ended, take what is left.
#[derive(Debug)]
pub struct Reader {
    files: Files,
    options: LogOptions,
    position: u64,
    line: Vec<u8>,
    finished: bool,
}

impl Reader {
    /// Opens a log and its rotated files and goes to the first wanted record. As with docker, a
    /// tail is counted in records before `since` is looked at.
    ///
    /// # Errors
    /// When the log doesn't exist or can't be read.
    pub fn open(path: &Path, options: &LogOptions) -> Result<Self> {
        let mut files = Files::open(path)?;
        let position = match options.tail {
            Some(count) => files.back_from_end(count)?,
            None => files.start(),
        };
        Ok(Self { files, options: options.clone(), position, line: Vec::new(), finished: false })
    }

    /// Returns the next wanted record, or none when there is none now. Half a record at the end
    /// waits for its other half; lines that aren't records are passed over.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn next_record(&mut self) -> Result<Option<LogRecord>> {
        while !self.finished {
            let Some((next, _)) = self.files.line(self.position, &mut self.line)? else {
                if !self.options.follow || self.files.refresh(self.position)? == Refreshed::Same {
                    return Ok(None);
                }
                self.position = self.files.align(self.position)?;
                continue;
            };
            self.position = next;
            let Some(record) = codec::decode(&self.line) else { continue };
            if self.options.until.is_some_and(|until| record.time >= until) {
                self.finished = true;
                break;
            }
            if self.options.since.is_none_or(|since| record.time >= since) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Gives memory back that only reading needs, until there may be more records.
    pub fn rest(&mut self) {
        self.files.rest(self.position);
        self.line = Vec::new();
    }

    /// Returns whether no more records can come: a record of `until` or later has been seen.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Returns how many bytes have been read from disk so far.
    pub fn bytes_read(&self) -> u64 {
        self.files.bytes_read()
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
