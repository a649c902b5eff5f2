//! Writes what a container says as records, with rotation.
//!
//! For a supervisor: one thread, no more memory than two unfinished lines and one batch. Chunks
//! come in as they were read from the container's pipes; they are cut into lines, encoded, and
//! appended with one `write` a batch. The file always ends with a whole record, whatever fails.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use memchr::{memchr, memrchr};
use wharf_model::LogStream;

use crate::files::{add_removed, rotated};
use crate::{Error, Result, codec, pack};

/// The longest message of one record in bytes; longer lines become several records, all but the
/// last without a newline. Docker's value.
pub const MAX_RECORD: usize = 16 * 1024;

/// A batch is written once it has grown to this.
const BATCH: usize = 128 * 1024;

/// Buffers that grew beyond this are given back after use; smaller ones by [`Writer::relax`].
const KEEP: usize = 256 * 1024;

/// When to begin a new file, and how many to keep: docker's `max-size` and `max-file`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The size in bytes at which a file is full; none never rotates.
    pub max_size: Option<u64>,
    /// How many files are kept, the current one included; 0 counts as 1.
    pub max_files: u32,
    /// Whether the older ones are to be compressed: see [`Writer::take_unpacked`].
    pub compress: bool,
}

impl Default for Rotation {
    /// Never rotates, as docker's default.
    fn default() -> Self {
        Self { max_size: None, max_files: 1, compress: false }
    }
}

/// The writing end of a container's log.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: File,
    size: u64,
    rotation: Rotation,
    /// Whether the file ends in the middle of a record that couldn't be cut off.
    torn: bool,
    partial: [Partial; 2],
    batch: Vec<u8>,
    /// What follows the message in the records of this batch.
    tail: Vec<u8>,
    /// The attributes as an object of JSON, or nothing.
    attributes: Vec<u8>,
    lost: u64,
    /// Whether the newest rotated file is still to be compressed.
    unpacked: bool,
    /// Whether somebody is compressing it.
    packing: bool,
}

/// The unfinished line of one stream.
#[derive(Debug, Default)]
struct Partial {
    data: Vec<u8>,
    /// When the first record of an overlong line came; its other records bear the same time.
    time: Option<DateTime<Utc>>,
}

fn slot(stream: LogStream) -> usize {
    match stream {
        LogStream::Stdout => 0,
        LogStream::Stderr => 1,
    }
}

impl Writer {
    /// Opens a log to append to, making it (mode 0640) when it doesn't exist. Half a record that a
    /// crash left at its end is cut off.
    ///
    /// # Errors
    /// When the file can't be opened.
    pub fn open(path: impl Into<PathBuf>, rotation: Rotation) -> Result<Self> {
        let path = path.into();
        let file = open_append(&path).map_err(|e| Error::file("open", &path, e))?;
        let size = file.metadata().map_err(|e| Error::file("open", &path, e))?.len();
        let mut writer = Self {
            path,
            file,
            size,
            rotation,
            torn: false,
            partial: Default::default(),
            batch: Vec::new(),
            tail: Vec::new(),
            attributes: Vec::new(),
            lost: 0,
            unpacked: false,
            packing: false,
        };
        writer.repair();
        if rotation.compress {
            let newest = rotated(&writer.path, 1);
            // What an earlier writer's end has interrupted.
            let _ = std::fs::remove_file(pack::unfinished(&newest));
            writer.unpacked = newest.exists();
        }
        Ok(writer)
    }

    /// Sets what each record bears from now on.
    pub fn set_attributes(&mut self, attributes: &BTreeMap<String, String>) {
        self.attributes = match attributes.is_empty() {
            true => Vec::new(),
            // A map of strings has no value that JSON can't express.
            false => serde_json::to_vec(attributes).unwrap_or_default(),
        };
    }

    /// Returns whether the newest rotated file has yet to get its last form, and so its place.
    fn is_packing(&self) -> bool {
        self.unpacked || self.packing
    }

    /// Returns whether there is a rotated file to be compressed now.
    pub fn wants_packing(&self) -> bool {
        self.unpacked && !self.packing
    }

    /// Returns the rotated file that is to be compressed now with [`crate::pack`], if there is one.
    /// From its rotation to [`Writer::packed`] the log isn't rotated again.
    pub fn take_unpacked(&mut self) -> Option<PathBuf> {
        if !self.wants_packing() {
            return None;
        }
        self.unpacked = false;
        self.packing = true;
        Some(rotated(&self.path, 1))
    }

    /// Says that the compression has ended, whether or not it succeeded.
    pub fn packed(&mut self) {
        self.packing = false;
    }

    /// Returns whether the writing is so far ahead of the compression that it had better wait.
    pub fn is_behind(&self) -> bool {
        self.is_packing()
            && self.rotation.max_size.is_some_and(|max| self.size >= max.saturating_mul(2))
    }

    /// Gives back the memory that only busy times need.
    pub fn relax(&mut self) {
        self.batch = Vec::new();
        self.tail = Vec::new();
    }

    /// Takes in a chunk as it was read. Complete lines are on disk when this returns; the rest
    /// waits for more, or for [`Writer::finish`].
    ///
    /// # Errors
    /// When not all could be written (a full disk). The records that couldn't are lost and counted
    /// by [`Writer::lost`]; the file stays well-formed and the writer usable.
    pub fn write(&mut self, stream: LogStream, time: DateTime<Utc>, data: &[u8]) -> Result<()> {
        let mut result = Ok(());
        let mut rest = data;
        // The same for all lines of the chunk: only what began before has another time.
        self.tail.clear();
        codec::encode_tail(&mut self.tail, stream, &self.attributes, time);
        while !rest.is_empty() {
            let room = MAX_RECORD - self.partial[slot(stream)].data.len();
            let line = memchr(b'\n', &rest[..rest.len().min(room)]).map(|at| at + 1);
            let take = line.unwrap_or(rest.len().min(room));
            let (piece, after) = rest.split_at(take);
            rest = after;
            let partial = &mut self.partial[slot(stream)];
            if line.is_some() && partial.data.is_empty() && partial.time.is_none() {
                codec::encode_with(&mut self.batch, piece, &self.tail);
            } else {
                partial.data.extend_from_slice(piece);
                if line.is_none() && partial.data.len() < MAX_RECORD {
                    continue;
                }
                let cut = match line {
                    Some(_) => partial.data.len(),
                    None => whole_letters(&partial.data),
                };
                let first = if line.is_some() { partial.time.take() } else { partial.time };
                match first {
                    None => codec::encode_with(&mut self.batch, &partial.data[..cut], &self.tail),
                    Some(first) => {
                        let mut tail = Vec::new();
                        codec::encode_tail(&mut tail, stream, &self.attributes, first);
                        codec::encode_with(&mut self.batch, &partial.data[..cut], &tail);
                    }
                }
                if line.is_none() {
                    partial.time.get_or_insert(time);
                }
                partial.data.drain(..cut);
            }
            result = result.and(self.flush_if_due());
        }
        result.and(self.flush())
    }

    /// Writes a stream's unfinished line, at its end.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub fn finish(&mut self, stream: LogStream, time: DateTime<Utc>) -> Result<()> {
        let partial = &mut self.partial[slot(stream)];
        let time = partial.time.take().unwrap_or(time);
        if !partial.data.is_empty() {
            self.tail.clear();
            codec::encode_tail(&mut self.tail, stream, &self.attributes, time);
            codec::encode_with(&mut self.batch, &partial.data, &self.tail);
        }
        partial.data = Vec::new();
        self.flush()
    }

    /// Returns whether a stream has an unfinished line.
    pub fn has_partial(&self, stream: LogStream) -> bool {
        !self.partial[slot(stream)].data.is_empty()
    }

    /// Returns how many records could not be written.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Returns the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Flushes when the batch is large or the file is full.
    fn flush_if_due(&mut self) -> Result<()> {
        let reached = self.size + self.batch.len() as u64;
        let full = self.rotation.max_size.is_some_and(|max| reached >= max);
        if full || self.batch.len() >= BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let rotated = self.rotate_if_full();
        let written = self.append();
        self.batch.clear();
        if self.batch.capacity() > KEEP {
            self.batch = Vec::new();
        }
        written.and(rotated)
    }

    /// Appends the batch; on failure leaves the file at a record's end.
    fn append(&mut self) -> Result<()> {
        if self.torn {
            self.repair();
        }
        if self.torn {
            self.batch.insert(0, b'\n');
        }
        let mut done = 0;
        while done < self.batch.len() {
            match self.file.write(&self.batch[done..]) {
                Ok(0) => return self.give_up(done, io::ErrorKind::WriteZero.into()),
                Ok(count) => done += count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return self.give_up(done, e),
            }
        }
        self.torn = false;
        self.size += done as u64;
        Ok(())
    }

    /// Keeps the whole records among the first `done` bytes of the batch, drops the rest.
    fn give_up(&mut self, done: usize, cause: io::Error) -> Result<()> {
        let keep = memrchr(b'\n', &self.batch[..done]).map_or(0, |at| at + 1);
        self.lost += memchr::memchr_iter(b'\n', &self.batch[keep..]).count() as u64;
        let whole = self.size + keep as u64;
        if done == keep || self.file.set_len(whole).is_ok() {
            self.size = whole;
            self.torn &= keep == 0;
        } else {
            self.size += done as u64;
            self.torn = true;
        }
        Err(Error::file("write", &self.path, cause))
    }

    /// Cuts off half a record at the end of the file, or remembers that it is there.
    fn repair(&mut self) {
        self.torn = false;
        let mut end = self.size;
        let mut block = [0; 4096];
        while end > 0 {
            let start = end.saturating_sub(block.len() as u64);
            let part = &mut block[..usize::try_from(end - start).unwrap_or(0)];
            // The file is open for appending and reading.
            if self.file.read_exact_at(part, start).is_err() {
                self.torn = true;
                return;
            }
            if let Some(at) = memrchr(b'\n', part) {
                end = start + at as u64 + 1;
                break;
            }
            end = start;
        }
        if end < self.size {
            if self.file.set_len(end).is_ok() {
                self.size = end;
            } else {
                self.torn = true;
            }
        }
    }

    fn rotate_if_full(&mut self) -> Result<()> {
        match self.rotation.max_size {
            Some(max) if self.size >= max && self.size > 0 && !self.is_packing() => {
                self.rotate().map_err(|e| Error::file("rotate", &self.path, e))
            }
            _ => Ok(()),
        }
    }

    /// Makes the new file first, so that a full disk changes nothing, then moves the old ones up
    /// and puts it in place.
    fn rotate(&mut self) -> io::Result<()> {
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let fresh = PathBuf::from(name);
        let file = open_append(&fresh)?;
        file.set_len(0)?;
        let keep = self.rotation.max_files.max(1) - 1;
        // Each is there in one of two forms.
        let forms = |number: u32| {
            let plain = rotated(&self.path, number);
            [pack::packed(&plain), plain]
        };
        let exists = |number: &u32| forms(*number).iter().any(|path| path.exists());
        let older = (1..keep).take_while(exists).last().unwrap_or(0);
        let mut removed = if keep == 0 { self.size } else { 0 };
        if keep > 0 && older + 1 == keep {
            for oldest in forms(keep) {
                removed = removed.max(text_length(&oldest));
                remove(&oldest)?;
            }
        }
        for number in (1..=older).rev() {
            for (from, to) in forms(number).into_iter().zip(forms(number + 1)) {
                rename(&from, &to)?;
            }
        }
        if keep > 0 {
            // When somebody has deleted it, there is nothing to keep.
            rename(&self.path, &rotated(&self.path, 1))?;
            self.unpacked = self.rotation.compress;
        }
        if removed > 0 {
            // A log that doesn't know what it lacks is better than none. Whoever reads looks at it once
            // the new file is there.
            let _ = add_removed(&self.path, removed);
        }
        std::fs::rename(&fresh, &self.path)?;
        self.file = file;
        self.size = 0;
        self.torn = false;
        Ok(())
    }
}

/// Returns how many bytes of a log a rotated file holds, compressed or not.
fn text_length(path: &Path) -> u64 {
    let Ok(file) = File::open(path) else { return 0 };
    match pack::stamp(&file) {
        Ok(Some(stamp)) => stamp.length,
        _ => file.metadata().map_or(0, |found| found.len()),
    }
}

/// Renames a file, if it is there.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Removes a file, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn open_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(path)
}

/// Returns how many bytes to cut so that no letter is torn in two.
fn whole_letters(data: &[u8]) -> usize {
    let tail = data.len().saturating_sub(3);
    for at in (tail..data.len()).rev() {
        let length = match data[at] {
            0x00..=0x7f => 1,
            0x80..=0xbf => continue,
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xff => 4,
        };
        return if at + length > data.len() { at } else { data.len() };
    }
    data.len()
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
