//! What a container did, on the disk: a file of fixed size for each, with three rings in it.
//!
//! The newest hour has a sample every ten seconds, the last day one every three minutes, and what
//! happened (events, health probes) has a ring of its own. Samples are counters, not rates: rates are
//! made of them when they are looked at, by the same code as those of the running container
//! ([`crate::Usage`]), so that a recorded chart is the live one.
//!
//! ```text
//! 0                64               57,664           134,464          153,664
//! | header         | 360 samples    | 480 samples    | 120 happenings |
//! ```
//!
//! Each record has a checksum and a number. A record is written by one `pwrite` in the place of its
//! ring's oldest; one that was cut off half way doesn't match its checksum and isn't there, whatever
//! else is. Nobody waits for the disk, and what the disk doesn't take isn't recorded.

mod budget;
mod slot;

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use wharf_model::{Happening, Recording, Sample};

pub use budget::{BUDGET, make_room};
use slot::{LENGTH, Record, decode, encode};

/// The time between samples of the newest ring.
pub const STEP: Duration = Duration::from_secs(10);

/// The time between samples of the ring for a day.
pub const COARSE_STEP: Duration = Duration::from_secs(180);

/// How far back a record goes.
pub const REACH: Duration = Duration::from_secs(24 * 3600);

/// `O_NOFOLLOW` of Linux on x86-64: nobody but root writes here, and even so.
const NO_FOLLOW: i32 = 0o400_000;

/// Records in each of the rings.
const RINGS: [u32; 3] = [360, 480, 120];
const FINE: usize = 0;
const COARSE: usize = 1;
const HAPPENINGS: usize = 2;

const HEADER: usize = 64;

/// The length of a whole file.
pub const SIZE: u64 =
    HEADER as u64 + LENGTH as u64 * (RINGS[FINE] + RINGS[COARSE] + RINGS[HAPPENINGS]) as u64;

/// Returns the header: what the file is, and how long its records and rings are.
fn header() -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(b"wharfrec");
    let length = LENGTH as u32;
    for (n, value) in [1, length, RINGS[FINE], RINGS[COARSE], RINGS[HAPPENINGS]].iter().enumerate()
    {
        bytes[8 + n * 4..12 + n * 4].copy_from_slice(&value.to_le_bytes());
    }
    bytes
}

/// Returns where a record is in the file.
fn place(ring: usize, number: u32) -> u64 {
    let before: u32 = RINGS[..ring].iter().sum();
    HEADER as u64 + u64::from(before + number % RINGS[ring]) * LENGTH as u64
}

/// Calls `each` with every whole record of a ring.
fn records(file: &File, ring: usize, mut each: impl FnMut(u32, Record)) {
    // A few at once: whoever records has little memory.
    let mut buffer = [0; LENGTH * 24];
    let mut at = 0;
    while at < RINGS[ring] {
        let count = (RINGS[ring] - at).min(24);
        let wanted = &mut buffer[..count as usize * LENGTH];
        let length = fill(file, wanted, place(ring, at));
        for bytes in wanted[..length].chunks_exact(LENGTH) {
            if let Some((number, record)) = decode(bytes) {
                each(number, record);
            }
        }
        if length < wanted.len() {
            return;
        }
        at += count;
    }
}

/// Reads as much as there is; what can't be read isn't there.
fn fill(file: &File, buffer: &mut [u8], from: u64) -> usize {
    let mut length = 0;
    while length < buffer.len() {
        match file.read_at(&mut buffer[length..], from + length as u64) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    length
}

fn is_ours(file: &File) -> bool {
    let mut bytes = [0; HEADER];
    fill(file, &mut bytes, 0) == HEADER && bytes == header()
}

/// Who writes a container's record.
#[derive(Debug)]
pub struct Recorder {
    file: File,
    /// The number of the next record of each ring.
    next: [u32; RINGS.len()],
    /// The step of the day's ring that has its sample.
    coarse: Option<u64>,
}

impl Recorder {
    /// Opens a record, or begins one.
    ///
    /// # Errors
    /// When the file can't be made, written or read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(NO_FOLLOW)
            .open(path)?;
        if !is_ours(&file) {
            file.set_len(0)?;
            file.write_all_at(&header(), 0)?;
        }
        let mut next = [0; RINGS.len()];
        let mut coarse = None;
        for (ring, next) in next.iter_mut().enumerate() {
            records(&file, ring, |number, record| {
                *next = number.wrapping_add(1).max(*next);
                if let (COARSE, Record::Sample(sample)) = (ring, record) {
                    coarse = coarse.max(Some(coarse_step(&sample)));
                }
            });
        }
        Ok(Self { file, next, coarse })
    }

    /// Returns whether the file has been removed: what is written would be seen by nobody.
    pub fn is_removed(&self) -> bool {
        self.file.metadata().is_ok_and(|about| about.nlink() == 0)
    }

    /// Records counters. Their time is that since 1970.
    ///
    /// # Errors
    /// When the disk doesn't take it; nothing is recorded then.
    pub fn sample(&mut self, sample: Sample) -> io::Result<()> {
        let step = coarse_step(&sample);
        let record = Record::Sample(sample);
        self.write(FINE, &record)?;
        // A step back is a clock that was set: it begins anew.
        if self.coarse != Some(step) {
            self.write(COARSE, &record)?;
            self.coarse = Some(step);
        }
        Ok(())
    }

    /// Records what happened.
    ///
    /// # Errors
    /// As [`Recorder::sample`].
    pub fn happened(&mut self, happening: Happening) -> io::Result<()> {
        self.write(HAPPENINGS, &Record::Happening(happening))
    }

    /// Records what is known by now of what happened last, in the place of it.
    ///
    /// # Errors
    /// As [`Recorder::sample`].
    pub fn went_on(&mut self, happening: Happening) -> io::Result<()> {
        self.next[HAPPENINGS] = self.next[HAPPENINGS].saturating_sub(1);
        self.happened(happening)
    }

    fn write(&mut self, ring: usize, record: &Record) -> io::Result<()> {
        let number = self.next[ring];
        self.file.write_all_at(&encode(number, record), place(ring, number))?;
        self.next[ring] = number.wrapping_add(1);
        Ok(())
    }
}

fn coarse_step(sample: &Sample) -> u64 {
    sample.at.as_secs() / COARSE_STEP.as_secs()
}

/// Returns all that a file holds, oldest first; of a file that isn't a record, nothing.
///
/// # Errors
/// When there is no such file, or it can't be opened.
pub fn read(path: &Path) -> io::Result<Recording> {
    let file = File::options().read(true).custom_flags(NO_FOLLOW).open(path)?;
    let mut recording = Recording::default();
    if !is_ours(&file) {
        return Ok(recording);
    }
    let mut fine = Vec::new();
    let mut coarse = Vec::new();
    for (ring, samples) in [(FINE, &mut fine), (COARSE, &mut coarse)] {
        records(&file, ring, |_, record| {
            if let Record::Sample(sample) = record {
                samples.push(sample);
            }
        });
        samples.sort_by_key(|sample| sample.at);
    }
    let oldest = fine.first().map(|sample| sample.at);
    coarse.retain(|sample| oldest.is_none_or(|oldest| sample.at < oldest));
    coarse.extend(fine);
    recording.samples = coarse;
    let mut happenings = Vec::new();
    records(&file, HAPPENINGS, |number, record| {
        if let Record::Happening(happening) = record {
            happenings.push((number, happening));
        }
    });
    happenings.sort_by_key(|(number, happening)| (happening.at, *number));
    recording.happenings = happenings.into_iter().map(|(_, happening)| happening).collect();
    Ok(recording)
}

#[cfg(test)]
mod tests;
