//! Records in order, for `logs`: the last so many, from an instant to an instant, and new ones.

use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;

use chrono::Utc;
use wharf_model::{LogOptions, LogRecord};

use crate::files::{Files, Refreshed};
use crate::{Follow, Result, Wake, codec};

/// Reads the records that some [`LogOptions`] ask for.
///
/// To follow: take records until there is none, [`Reader::wait`], and again. When the container has
/// ended, make the stop descriptor readable, and take what is left.
#[derive(Debug)]
pub struct Reader {
    files: Files,
    options: LogOptions,
    position: u64,
    follow: Option<Follow>,
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
        // The watch comes first, so that no change falls between it and the first reading.
        let follow = options.follow.then(|| Follow::new(path)).transpose()?;
        let mut files = Files::open(path)?;
        let position = match options.tail {
            Some(count) => files.back_from_end(count)?,
            None => files.start(),
        };
        Ok(Self {
            files,
            options: options.clone(),
            position,
            follow,
            line: Vec::new(),
            finished: false,
        })
    }

    /// Returns the next wanted record, or none when there is none now. Half a record at the end
    /// waits for its other half; lines that aren't records are passed over.
    ///
    /// # Errors
    /// When the log can't be read.
    pub fn next_record(&mut self) -> Result<Option<LogRecord>> {
        while !self.finished {
            let Some((next, _)) = self.files.line(self.position, &mut self.line)? else {
                if self.follow.is_none() || self.files.refresh(self.position)? == Refreshed::Same {
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

    /// Waits until there may be more records. [`Wake::Stopped`] when `stop` became readable, and
    /// at once when no more can come: not following, or past `until`.
    ///
    /// # Errors
    /// When waiting fails.
    pub fn wait(&mut self, stop: BorrowedFd<'_>, timeout: Option<Duration>) -> Result<Wake> {
        let Some(follow) = &self.follow else { return Ok(Wake::Stopped) };
        if self.finished {
            return Ok(Wake::Stopped);
        }
        let Some(until) = self.options.until else { return follow.wait(Some(stop), timeout) };
        let Ok(left) = (until - Utc::now()).to_std() else {
            self.finished = true;
            return Ok(Wake::Stopped);
        };
        let wake = follow.wait(Some(stop), Some(timeout.map_or(left, |t| t.min(left))))?;
        if wake == Wake::TimedOut && timeout.is_none_or(|t| t >= left) {
            // What was written before `until` may still be unread.
            return Ok(Wake::Changed);
        }
        Ok(wake)
    }

    /// Returns how many bytes have been read from disk so far.
    pub fn bytes_read(&self) -> u64 {
        self.files.bytes_read()
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
