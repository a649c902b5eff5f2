//! A log's files, rotated ones included, as one row of bytes.
//!
//! Every position is a number that stays the same for as long as the log is open: the oldest file
//! begins at 0, each newer one at the next multiple of [`BLOCK`]. When the log is rotated the open
//! file keeps its place and the new one is added; when the oldest is deleted the beginning moves.
//! Bytes are read in chunks, one of which is kept.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use memchr::{memchr, memrchr};

use crate::{Error, Result, pack};

/// Positions are grouped in blocks of this many bytes for the index and for searches.
pub(crate) const BLOCK: u64 = 256 * 1024;

/// What is read at once for single lines.
const CHUNK: u64 = 64 * 1024;

/// Longer lines are cut, so that no line can fill the memory.
pub(crate) const MAX_LINE: usize = 1024 * 1024;

/// Returns the path of an older file: `.1` is the newest of them.
pub(crate) fn rotated(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// Returns the path of the file that says how many bytes rotation has removed.
fn tally(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".removed");
    name.into()
}

/// Returns how many bytes of a log rotation has removed, as far as that was counted.
pub(crate) fn removed(path: &Path) -> u64 {
    let text = std::fs::read_to_string(tally(path)).unwrap_or_default();
    text.trim_end().parse().unwrap_or(0)
}

/// Adds to that. The number keeps its width, so that there is no instant without one.
pub(crate) fn add_removed(path: &Path, bytes: u64) -> io::Result<()> {
    let sum = removed(path).saturating_add(bytes);
    let options = OpenOptions::new().write(true).create(true).mode(0o640).clone();
    options.open(tally(path))?.write_all_at(format!("{sum:020}\n").as_bytes(), 0)
}

#[derive(Debug)]
struct Segment {
    file: File,
    /// Whether the file holds the bytes in compressed form.
    packed: bool,
    /// Device and inode, of the file before it was compressed.
    id: Id,
    base: u64,
    /// Bytes that count: whole records only in the newest file, all bytes in older ones.
    len: u64,
    /// Bytes the file has, of which the last may be half a record.
    size: u64,
}

/// Device and inode.
type Id = (u64, u64);

impl Segment {
    fn open(entry: Entry, folder: &Path, base: u64) -> io::Result<Self> {
        let Entry { id, file, packed } = entry;
        if !packed {
            return Ok(Self { id, file, packed, base, len: 0, size: 0 });
        }
        if let Some(stamp) = pack::stamp(&file)? {
            let (len, size) = (stamp.length, stamp.length);
            return Ok(Self { id, file, packed, base, len, size });
        }
        let file = pack::unpack(&file, folder)?;
        let size = file.metadata()?.len();
        Ok(Self { id, file, packed: false, base, len: size, size })
    }

    fn end(&self) -> u64 {
        self.base + self.len
    }

    /// Takes in what was appended. Returns whether the file became shorter.
    fn grow(&mut self, sealed: bool, counter: &mut u64) -> io::Result<bool> {
        if self.packed {
            return Ok(false);
        }
        let size = self.file.metadata()?.len();
        if size < self.size {
            return Ok(true);
        }
        self.size = size;
        if sealed {
            self.len = size;
            return Ok(false);
        }
        // Usually the last byte is a newline.
        let mut end = size;
        let mut step = 1;
        let mut block = vec![0; 4096];
        while end > self.len {
            let start = end.saturating_sub(step).max(self.len);
            let part = &mut block[..usize::try_from(end - start).unwrap_or(0)];
            self.file.read_exact_at(part, start)?;
            *counter += part.len() as u64;
            if let Some(at) = memrchr(b'\n', part) {
                self.len = start + at as u64 + 1;
                break;
            }
            end = start;
            step = 4096;
        }
        Ok(false)
    }
}

/// What [`Files::refresh`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refreshed {
    Same,
    Grown,
    /// A new file was begun, or the file was emptied.
    Rotated,
}

/// A file of the log, as the folder lists it; open, so that it can't become another one.
#[derive(Debug)]
struct Entry {
    id: Id,
    file: File,
    packed: bool,
}

impl Entry {
    /// Returns the file of this number, in whichever form it is there.
    fn find(log: &Path, number: u32) -> Option<Self> {
        let path = if number == 0 { log.to_owned() } else { rotated(log, number) };
        if let Ok(file) = File::open(&path) {
            let meta = file.metadata().ok()?;
            return Some(Self { id: (meta.dev(), meta.ino()), file, packed: false });
        }
        // The compressed form is there before the other one goes.
        let file = File::open(pack::packed(&path)).ok().filter(|_| number > 0)?;
        let meta = file.metadata().ok()?;
        let inode = pack::stamp(&file).ok()?.map_or(meta.ino(), |stamp| stamp.inode);
        Some(Self { id: (meta.dev(), inode), file, packed: true })
    }
}

#[derive(Debug)]
pub(crate) struct Files {
    path: PathBuf,
    segments: VecDeque<Segment>,
    chunk: Vec<u8>,
    chunk_at: u64,
    read: u64,
    removed: u64,
}

impl Files {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut files = Self {
            path: path.to_owned(),
            segments: VecDeque::new(),
            chunk: Vec::new(),
            chunk_at: 0,
            read: 0,
            removed: removed(path),
        };
        let fail = |e| Error::file("open", path, e);
        files.add_newer().map_err(fail)?;
        if files.segments.is_empty() {
            let reason = File::open(path).err();
            return Err(fail(reason.unwrap_or_else(|| io::ErrorKind::NotFound.into())));
        }
        files.grow_all().map_err(fail)?;
        Ok(files)
    }

    /// Returns how many bytes rotation has removed.
    pub(crate) fn removed(&self) -> u64 {
        self.removed
    }

    /// Returns the files on disk, oldest first, as they were at one instant.
    fn listing(&self) -> Vec<Entry> {
        let list = || {
            let mut found = Vec::new();
            let mut gap = false;
            for number in 0.. {
                match Entry::find(&self.path, number) {
                    Some(entry) => found.push(entry),
                    // A rotation, which moves the files one by one, leaves one gap on its way, and may
                    // rest there: older files are behind it.
                    None if !gap => gap = true,
                    None => break,
                }
            }
            found.reverse();
            found
        };
        // A rotation may be under way: believe it when it looks the same twice.
        let mut before = list();
        for _ in 0..64 {
            let now = list();
            if now.iter().map(|entry| entry.id).eq(before.iter().map(|entry| entry.id)) {
                break;
            }
            before = now;
        }
        before
    }

    /// Opens the files that are newer than the newest open one. Returns whether there were any.
    fn add_newer(&mut self) -> io::Result<bool> {
        let mut listing = self.listing();
        let known = self.segments.back().map(|s| s.id);
        // An inode that is still open here can't be another file's; of compressed ones that bear its
        // number, the newest is it.
        let is_known = |entry: &Entry| Some(entry.id) == known;
        let newer = listing.iter().rposition(is_known).map_or(0, |at| at + 1);
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut added = false;
        for entry in listing.drain(newer..) {
            let base = match self.segments.back_mut() {
                Some(last) => {
                    last.grow(true, &mut self.read)?;
                    (last.end() + BLOCK).next_multiple_of(BLOCK)
                }
                None => 0,
            };
            self.segments.push_back(Segment::open(entry, folder, base)?);
            added = true;
        }
        Ok(added)
    }

    fn grow_all(&mut self) -> io::Result<bool> {
        let newest = self.segments.len().saturating_sub(1);
        let mut shrunk = false;
        for (at, segment) in self.segments.iter_mut().enumerate() {
            if at == newest {
                shrunk = segment.grow(false, &mut self.read)?;
            } else if segment.size == 0 {
                segment.grow(true, &mut self.read)?;
            }
        }
        Ok(shrunk)
    }

    /// Takes in what happened on disk since the last time. Deleted files are let go of when they
    /// end at or before `done`.
    pub(crate) fn refresh(&mut self, done: u64) -> Result<Refreshed> {
        self.try_refresh(done).map_err(|e| Error::file("read", &self.path, e))
    }

    fn try_refresh(&mut self, done: u64) -> io::Result<Refreshed> {
        let before = self.end();
        let current = std::fs::metadata(&self.path).ok().map(|m| (m.dev(), m.ino()));
        let moved = current.is_some() && current != self.segments.back().map(|s| s.id);
        let mut rotated = moved && self.add_newer()?;
        if self.grow_all()? {
            // Emptied in place: what was there is gone, what comes begins anew.
            self.reopen_emptied()?;
            rotated = true;
        }
        if rotated {
            self.drop_deleted(done);
            self.removed = removed(&self.path);
            return Ok(Refreshed::Rotated);
        }
        Ok(if self.end() == before { Refreshed::Same } else { Refreshed::Grown })
    }

    fn reopen_emptied(&mut self) -> io::Result<()> {
        if let Some(old) = self.segments.pop_back() {
            let base = (old.end() + BLOCK).next_multiple_of(BLOCK);
            let mut segment = Segment { base, len: 0, size: 0, ..old };
            segment.grow(false, &mut self.read)?;
            self.segments.push_back(segment);
        }
        self.chunk.clear();
        Ok(())
    }

    /// Lets go of files that nobody can find any more, so that their space comes free.
    fn drop_deleted(&mut self, done: u64) {
        let listing = self.listing();
        while self.segments.len() > 1
            && self.segments[0].end() <= done
            && listing.iter().all(|entry| entry.id != self.segments[0].id)
        {
            self.segments.pop_front();
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the position of the oldest record.
    pub(crate) fn start(&self) -> u64 {
        self.segments.front().map_or(0, |s| s.base)
    }

    /// Returns the position after the last whole record.
    pub(crate) fn end(&self) -> u64 {
        self.segments.back().map_or(0, Segment::end)
    }

    /// Returns how many bytes of records there are.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|s| s.len).sum()
    }

    /// Returns how many bytes have been read from disk so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.read
    }

    fn segment_at(&self, position: u64) -> Option<usize> {
        let after = self.segments.partition_point(|s| s.base <= position);
        after.checked_sub(1)
    }

    /// Returns the bytes that lie between two positions of the same file, as begin and end, for a
    /// position anywhere: those of the file it lies in.
    pub(crate) fn extent(&self, position: u64) -> Option<(u64, u64)> {
        let segment = &self.segments[self.segment_at(position)?];
        Some((segment.base, segment.end()))
    }

    /// Reads as many of the bytes from `position` on as fit in `buf` and lie in the same file.
    pub(crate) fn read_at(&mut self, position: u64, buf: &mut [u8]) -> Result<usize> {
        let Some(index) = self.segment_at(position) else { return Ok(0) };
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let segment = &mut self.segments[index];
        if segment.packed {
            segment.file = pack::unpack(&segment.file, folder)
                .map_err(|e| Error::file("unpack", &self.path, e))?;
            segment.packed = false;
        }
        let available =
            usize::try_from(segment.end().saturating_sub(position)).unwrap_or(usize::MAX);
        let want = available.min(buf.len());
        let mut done = 0;
        while done < want {
            let at = position - segment.base + done as u64;
            match segment.file.read_at(&mut buf[done..want], at) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::file("read", &self.path, e)),
            }
        }
        self.read += done as u64;
        Ok(done)
    }

    /// Makes sure that the byte at `position` is in the kept chunk, and returns its place there, or
    /// none if there is no such byte.
    fn load(&mut self, position: u64) -> Result<Option<usize>> {
        let inside = |at: u64, len: usize| {
            position.checked_sub(at).and_then(|o| usize::try_from(o).ok()).filter(|o| *o < len)
        };
        if let Some(offset) = inside(self.chunk_at, self.chunk.len()) {
            return Ok(Some(offset));
        }
        // Of a chunk that may grow only the rest is read; others begin where all readers have them.
        let grows = position >= self.chunk_at && position - self.chunk_at < CHUNK;
        let at = if grows { self.chunk_at } else { position / CHUNK * CHUNK };
        let mut chunk = std::mem::take(&mut self.chunk);
        let known = if at == self.chunk_at { chunk.len() } else { 0 };
        chunk.resize(usize::try_from(CHUNK).unwrap_or(0), 0);
        let count = self.read_at(at + known as u64, &mut chunk[known..])?;
        chunk.truncate(known + count);
        let length = chunk.len();
        self.chunk = chunk;
        self.chunk_at = at;
        Ok(inside(at, length))
    }

    /// Gives back the memory of what lies before `position`, from where reading goes on later.
    pub(crate) fn rest(&mut self, position: u64) {
        let read = position.checked_sub(self.chunk_at).and_then(|read| usize::try_from(read).ok());
        match read.filter(|read| *read <= self.chunk.len()) {
            Some(read) => drop(self.chunk.drain(..read)),
            None => self.chunk.clear(),
        }
        self.chunk.shrink_to_fit();
        self.chunk_at = position;
    }

    /// Returns the first record's beginning at or after `position`, or the end.
    pub(crate) fn align(&mut self, position: u64) -> Result<u64> {
        if position >= self.end() {
            return Ok(self.end());
        }
        let Some(index) = self.segment_at(position) else { return Ok(self.start()) };
        let (base, end) = (self.segments[index].base, self.segments[index].end());
        if position == base && position < end {
            return Ok(position);
        }
        let mut at = position.saturating_sub(1).max(base);
        while at < end {
            let Some(offset) = self.load(at)? else { break };
            match memchr(b'\n', &self.chunk[offset..]) {
                Some(found) => {
                    at += found as u64 + 1;
                    if at < end {
                        return Ok(at);
                    }
                }
                None => at = self.chunk_at + self.chunk.len() as u64,
            }
        }
        Ok(self.after(index))
    }

    /// Returns where the next record after a file begins.
    fn after(&self, index: usize) -> u64 {
        self.segments
            .iter()
            .skip(index + 1)
            .find(|s| s.len > 0)
            .map_or_else(|| self.end(), |s| s.base)
    }

    /// Reads the line that begins at `position` into `line`, without its newline, cut at
    /// [`MAX_LINE`]. Returns where the next one begins and whether it was cut, or none at the end.
    pub(crate) fn line(
        &mut self,
        position: u64,
        line: &mut Vec<u8>,
    ) -> Result<Option<(u64, bool)>> {
        line.clear();
        if position >= self.end() {
            return Ok(None);
        }
        let Some(index) = self.segment_at(position) else { return Ok(None) };
        let end = self.segments[index].end();
        let mut at = position;
        let mut cut = false;
        while at < end {
            let Some(offset) = self.load(at)? else { break };
            let rest = &self.chunk[offset..];
            let found = memchr(b'\n', rest);
            let part = &rest[..found.unwrap_or(rest.len())];
            let room = MAX_LINE - line.len();
            cut |= part.len() > room;
            line.extend_from_slice(&part[..part.len().min(room)]);
            at += part.len() as u64;
            if found.is_some() {
                at += 1;
                break;
            }
        }
        let next = if at >= end { self.after(index) } else { at };
        Ok((at > position).then_some((next, cut)))
    }

    /// Returns the beginning of the record before the one that begins at `position`, or none at
    /// the start.
    pub(crate) fn before(&mut self, position: u64) -> Result<Option<u64>> {
        let position = position.min(self.end());
        let Some(mut index) = self.segment_at(position) else { return Ok(None) };
        let mut at = position.min(self.segments[index].end());
        while at == self.segments[index].base {
            let Some(older) = index.checked_sub(1) else { return Ok(None) };
            index = older;
            at = self.segments[index].end();
        }
        let base = self.segments[index].base;
        // The byte before is this record's own newline (or the last byte of a torn one).
        at -= 1;
        while at > base {
            let Some(offset) = self.load(at - 1)? else { break };
            match memrchr(b'\n', &self.chunk[..=offset]) {
                Some(found) => return Ok(Some((self.chunk_at + found as u64 + 1).max(base))),
                None => at = self.chunk_at.max(base),
            }
        }
        Ok(Some(base))
    }

    /// Returns the beginning of the record that is `count` records before the end, or the oldest.
    pub(crate) fn back_from_end(&mut self, count: u64) -> Result<u64> {
        let mut at = self.end();
        for _ in 0..count {
            match self.before(at)? {
                Some(before) => at = before,
                None => break,
            }
        }
        Ok(at)
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
