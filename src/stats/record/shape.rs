//! How a record is laid out, as its header says.

use std::fs::File;
use std::time::Duration;

use wharf_model::LONGEST_STEP;

use super::reading::fill;
use super::slot;

/// How many rings there are.
pub(super) const RINGS: usize = 4;

/// Records in each of the rings of an undivided file.
const COUNTS: [u32; RINGS] = [360, 480, 120, 248];

/// How often a file can be divided by two.
const HALVINGS: u32 = 3;

/// The use of how many CPUs is recorded at most.
pub const CORES: usize = 128;

const HEADER: usize = 64;

/// Where the header's checksum is: at its end.
const SUM_AT: usize = HEADER - 4;
const MAGIC: &[u8; 8] = b"wharfrec";
const VERSION: u32 = 3;

/// The version before had the same rings but the last one: such a file is one whose last ring is empty.
const WITHOUT_THINNED: u32 = 2;

/// How many records each ring has, how long they are, and the time between those of the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    length: usize,
    rings: [u32; RINGS],
    /// Seconds.
    step: u32,
}

impl Shape {
    /// Returns an undivided shape for samples with the use of so many CPUs.
    pub fn new(cores: usize) -> Self {
        let length = slot::length(cores.min(CORES));
        Self { length, rings: COUNTS, step: seconds(LONGEST_STEP) }
    }

    /// Returns this shape and those it can be divided to, the largest first. All reach back a day: the
    /// smaller ones by longer steps.
    pub fn divided(self) -> impl Iterator<Item = Self> {
        (0..=HALVINGS).map(move |halvings| Self {
            rings: self.rings.map(|count| count >> halvings),
            step: self.step << halvings,
            ..self
        })
    }

    /// Returns the shape of a file; none for what isn't a record.
    pub(super) fn of(file: &File) -> Option<Self> {
        let mut bytes = [0; HEADER];
        let whole = fill(file, &mut bytes, 0) == HEADER && bytes.starts_with(MAGIC);
        let number = |n: usize| {
            let bytes = bytes.get(8 + n * 4..12 + n * 4)?.try_into().ok()?;
            Some(u32::from_le_bytes(bytes))
        };
        let version = number(0)?;
        if !whole || ![VERSION, WITHOUT_THINNED].contains(&version) {
            return None;
        }
        let coarse = number(3)?;
        let thinned = match version {
            VERSION => number(6)?,
            _ => COUNTS[3].saturating_mul(coarse) / COUNTS[1],
        };
        let shape = Self {
            length: usize::try_from(number(1)?).ok()?,
            rings: [number(2)?, coarse, number(4)?, thinned],
            step: number(5)?,
        };
        let sane = (slot::LEAST..=slot::length(CORES)).contains(&shape.length)
            && shape.rings.iter().zip(COUNTS).all(|(count, most)| (1..=most).contains(count))
            && shape.step > 0
            && bytes == shape.header_of(version);
        sane.then_some(shape)
    }

    /// Returns the header: what the file is, and how it is laid out.
    pub(super) fn header(self) -> [u8; HEADER] {
        self.header_of(VERSION)
    }

    /// Returns whether a file's header is that of the present version.
    pub(super) fn is_present(self, file: &File) -> bool {
        let mut bytes = [0; HEADER];
        fill(file, &mut bytes, 0) == HEADER && bytes == self.header()
    }

    /// Returns the header as a version has it.
    pub(super) fn header_of(self, version: u32) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(MAGIC);
        let [fine, coarse, happenings, thinned] = self.rings;
        let thinned = if version == VERSION { thinned } else { 0 };
        let length = u32::try_from(self.length).unwrap_or(0);
        let numbers = [version, length, fine, coarse, happenings, self.step, thinned];
        for (place, number) in bytes[8..].chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let sum = crc32fast::hash(&bytes[..SUM_AT]);
        bytes[SUM_AT..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Returns the length of a record, in bytes.
    pub(super) fn length(self) -> usize {
        self.length
    }

    /// Returns how many records a ring has.
    pub(super) fn count(self, ring: usize) -> u32 {
        self.rings[ring]
    }

    /// Returns where a record is in the file.
    pub(super) fn place(self, ring: usize, number: u32) -> u64 {
        let before: u32 = self.rings[..ring].iter().sum();
        HEADER as u64 + u64::from(before + number % self.rings[ring]) * self.length as u64
    }

    /// Returns of how many CPUs the use fits into a record.
    pub(super) fn cores(self) -> usize {
        slot::cores_in(self.length)
    }

    /// Returns the length of the whole file, in bytes.
    pub fn size(self) -> u64 {
        self.place(RINGS - 1, 0) + u64::from(self.rings[RINGS - 1]) * self.length as u64
    }

    /// Returns the longest time between two samples of what runs.
    pub fn step(self) -> Duration {
        Duration::from_secs(self.step.into())
    }

    /// Returns which step of the second ring an instant lies in.
    pub(super) fn coarse_step(self, at: Duration) -> u64 {
        at.as_secs() / u64::from(self.step)
    }

    /// Returns which step of what is thinned an instant lies in: twice as long as one between samples.
    pub(super) fn thinned_step(self, at: Duration) -> u32 {
        u32::try_from(self.coarse_step(at) / 2).unwrap_or(u32::MAX)
    }
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}
