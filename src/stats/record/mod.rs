//! What a container did, on the disk: a file of fixed size for each, with four rings in it.
//!
//! The newest hour has a sample every ten seconds, the last day one every three minutes, and what
//! happened (events, health probes) has a ring of its own, out of which it goes into one with a record
//! for each six minutes of a day (`thinned`). Samples are counters, not rates: rates are
//! made of them when they are looked at, by the same code as those of the running container
//! ([`crate::Usage`]), so that a recorded chart is the live one. The host has such a file, too, written
//! by whoever has its lock.
//!
//! ```text
//! 0          64
//! | header   | 360 samples    | 480 samples    | 120 happenings | 248 steps      |
//! ```
//!
//! The header says how many records each ring has, how long they are, and how far apart the samples of
//! the second ring: where many containers run, the records of those that come later are divided by two,
//! four or eight ([`Shape`]), so that all of them together keep to the budget and yet reach back a day.
//!
//! Each record has a checksum and a number. A record is written by one `pwrite` in the place of its
//! ring's oldest; one that was cut off half way doesn't match its checksum and isn't there, whatever
//! else is. Nobody waits for the disk, and what the disk doesn't take isn't recorded.
//!
//! Times are those of the wall clock, which may be set. So each sample also has the time since the boot,
//! which tells how much really passed between two of them (`reading`).

mod budget;
mod reading;
mod shape;
mod slot;
mod thinned;

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use wharf_model::{Happening, HostSample, Sample, since_epoch};

pub use budget::{BUDGET, make_room};
pub use reading::{host_at, read, read_at};
pub use shape::{CORES, Shape};
use slot::{Record, Stored, decode, encode};
use thinned::Thinned;

/// The time between samples of the newest ring.
pub const STEP: Duration = Duration::from_secs(10);

/// How far back a record goes.
pub const REACH: Duration = Duration::from_secs(24 * 3600);

/// `O_NOFOLLOW` of Linux on x86-64: nobody but root writes here, and even so.
const NO_FOLLOW: i32 = 0o400_000;

/// The rings.
const FINE: usize = 0;
const COARSE: usize = 1;
const HAPPENINGS: usize = 2;
const THINNED: usize = 3;

/// Who writes a record. There is one at a time: it holds the file's lock.
#[derive(Debug)]
pub struct Recorder {
    file: File,
    shape: Shape,
    /// The number of the next record of each ring.
    next: [u32; shape::RINGS],
    /// The step of the day's ring that has its sample.
    coarse: Option<u64>,
    /// The newest step of what is thinned.
    thinned: Option<Thinned>,
    newest: Newest,
}

/// Where the record of the newest step is, and where the next one goes, as far as that is known.
#[derive(Debug, Default)]
struct Newest {
    slot: Option<u32>,
    spare: Option<u32>,
}

impl Recorder {
    /// Opens a record, or begins one of this shape; without one, only opens what is there.
    ///
    /// # Errors
    /// When the file can't be made, written or read; [`io::ErrorKind::WouldBlock`] while somebody else
    /// writes it.
    pub fn open(path: &Path, new: Option<Shape>) -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(new.is_some())
            .truncate(false)
            .mode(0o600)
            .custom_flags(NO_FOLLOW)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(cause)) => return Err(cause),
        }
        let known = Shape::of(&file);
        let (shape, fresh) = match (known, new) {
            (Some(shape), _) => (shape, false),
            (None, Some(shape)) => (shape, true),
            (None, None) => return Err(io::ErrorKind::InvalidData.into()),
        };
        if fresh {
            file.set_len(0)?;
            file.write_all_at(&shape.header(), 0)?;
        }
        // Its length says what it may take, whatever is written yet.
        if file.metadata()?.len() != shape.size() {
            file.set_len(shape.size())?;
        }
        if !shape.is_present(&file) {
            file.write_all_at(&shape.header(), 0)?;
        }
        let mut next = [0; shape::RINGS];
        let (mut coarse, mut thinned) = (None, None);
        if !fresh {
            for (ring, next) in next.iter_mut().enumerate() {
                reading::records(&file, &shape, ring, |_, number, record| {
                    if *next > number {
                        return;
                    }
                    *next = number.wrapping_add(1);
                    match record {
                        Record::Thinned(step) => thinned = Some(step),
                        record if ring == COARSE => {
                            coarse = record.at().map(|at| shape.coarse_step(at));
                        }
                        _ => {}
                    }
                });
            }
        }
        Ok(Self { file, shape, next, coarse, thinned, newest: Newest::default() })
    }

    /// Returns how it is laid out.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Returns whether the file has been removed: what is written would be seen by nobody.
    pub fn is_removed(&self) -> bool {
        self.file.metadata().is_ok_and(|about| about.nlink() == 0)
    }

    /// Records counters, and what was used of each CPU, in nanoseconds since the start. Their time is
    /// that since 1970; `up` is the time since the boot.
    ///
    /// # Errors
    /// When the disk doesn't take it; nothing is recorded then.
    pub fn sample(&mut self, sample: Sample, cores: &[u64], up: Duration) -> io::Result<()> {
        let cores = &cores[..cores.len().min(self.shape.cores())];
        let at = sample.at;
        self.measured(at, &Record::Sample(Stored::new(sample, cores, up)))
    }

    /// Records the host's counters.
    ///
    /// # Errors
    /// As [`Recorder::sample`].
    pub fn host(&mut self, sample: HostSample, up: Duration) -> io::Result<()> {
        self.measured(sample.at, &Record::Host(sample, slot::tenths(up)))
    }

    fn measured(&mut self, at: Duration, record: &Record) -> io::Result<()> {
        self.write(FINE, record)?;
        let step = self.shape.coarse_step(at);
        // A step back is a clock that was set: it begins anew.
        if self.coarse != Some(step) {
            self.write(COARSE, record)?;
            self.coarse = Some(step);
        }
        Ok(())
    }

    /// Records what happened.
    ///
    /// # Errors
    /// As [`Recorder::sample`].
    pub fn happened(&mut self, happening: Happening) -> io::Result<()> {
        // On a full disk what is new counts more than what is old.
        let _ = self.thin();
        self.write(HAPPENINGS, &Record::Happening(happening))
    }

    /// Records what is known by now of what happened last, in the place of it.
    ///
    /// # Errors
    /// As [`Recorder::sample`].
    pub fn went_on(&mut self, happening: Happening) -> io::Result<()> {
        self.next[HAPPENINGS] = self.next[HAPPENINGS].saturating_sub(1);
        self.write(HAPPENINGS, &Record::Happening(happening))
    }

    /// Takes the happening that the next one is written over into the record of its step.
    fn thin(&mut self) -> io::Result<()> {
        let mut bytes = vec![0; self.shape.length()];
        let place = self.shape.place(HAPPENINGS, self.next[HAPPENINGS]);
        if !thinned::can_be(&self.shape, self.next[HAPPENINGS])
            || reading::fill(&self.file, &mut bytes, place) < bytes.len()
        {
            return Ok(());
        }
        let Some((number, Record::Happening(happening))) = decode(&bytes) else { return Ok(()) };
        let step = self.shape.thinned_step(since_epoch(happening.at));
        let known = self.thinned.as_ref();
        if known.is_some_and(|known| known.upto >= number) {
            // It is in there, but what should have been written over it isn't here.
            return Ok(());
        }
        let goes_on = known.filter(|known| known.step == step).cloned();
        let version = goes_on.as_ref().map(|_| self.newest.slot).unwrap_or_default();
        let mut thinned = goes_on.unwrap_or(Thinned { step, ..Thinned::default() });
        thinned.take(number, happening);
        let next = self.next[THINNED];
        let newest = known.map(|known| (next.wrapping_sub(1), known.step));
        let place = || thinned::place(&self.file, &self.shape, newest);
        let slot = self.newest.spare.unwrap_or_else(place);
        let record = Record::Thinned(thinned);
        let bytes = encode(next, &record, self.shape.length());
        self.file.write_all_at(&bytes, self.shape.place(THINNED, slot))?;
        self.next[THINNED] = next.wrapping_add(1);
        // The version before is what is written over next.
        self.newest = Newest { slot: Some(slot), spare: version };
        if let Record::Thinned(thinned) = record {
            self.thinned = Some(thinned);
        }
        Ok(())
    }

    fn write(&mut self, ring: usize, record: &Record) -> io::Result<()> {
        let number = self.next[ring];
        let bytes = encode(number, record, self.shape.length());
        self.file.write_all_at(&bytes, self.shape.place(ring, number))?;
        self.next[ring] = number.wrapping_add(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod thinned_tests;
