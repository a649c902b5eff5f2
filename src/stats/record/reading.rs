//! Reading records: what is whole, in the order in which it happened.
//!
//! A clock that is set forward leaves a gap, and one that is set back makes two stretches of the same
//! time. What was written later stands then, and what was written before stays where nothing else is.
//! No rate is made over the instant at which the clock was set.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use wharf_model::{Happening, HostMoment, HostSample, Recorded, Recording, since_epoch};

use super::shape::Shape;
use super::slot::{Record, Stored, decode, sampled_at};
use super::{COARSE, FINE, HAPPENINGS, NO_FOLLOW, thinned};

/// How many records are read at once: whoever records has little memory.
const AT_ONCE: u32 = 24;

/// By how much, in tenths of a second, the wall's clock may be slewed against the one since the boot
/// between two samples.
const SLEWED: i64 = 20;

/// Calls `each` with every whole record of a ring: its place in it, its number, and what it says.
pub(super) fn records(
    file: &File,
    shape: &Shape,
    ring: usize,
    mut each: impl FnMut(u32, u32, Record),
) {
    let length = shape.length();
    let mut buffer = vec![0; length * AT_ONCE as usize];
    let mut at = 0;
    while at < shape.count(ring) {
        let count = (shape.count(ring) - at).min(AT_ONCE);
        let wanted = &mut buffer[..count as usize * length];
        let filled = fill(file, wanted, shape.place(ring, at));
        for (slot, bytes) in (at..).zip(wanted[..filled].chunks_exact(length)) {
            if let Some((number, record)) = decode(bytes) {
                each(slot, number, record);
            }
        }
        if filled < wanted.len() {
            return;
        }
        at += count;
    }
}

/// Reads as much as there is; what can't be read isn't there.
pub(super) fn fill(file: &File, buffer: &mut [u8], from: u64) -> usize {
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

/// What has a time by both clocks.
trait Timed {
    /// The time since 1970.
    fn at(&self) -> Duration;
    /// Tenths of a second since the boot.
    fn up(&self) -> u32;
    /// What changes with each beginning of the counters.
    fn run(&self) -> i64;
}

impl Timed for Stored {
    fn at(&self) -> Duration {
        self.sample.at
    }

    fn up(&self) -> u32 {
        self.up
    }

    fn run(&self) -> i64 {
        self.sample.started_ms
    }
}

impl Timed for (HostSample, u32) {
    fn at(&self) -> Duration {
        self.0.at
    }

    fn up(&self) -> u32 {
        self.1
    }

    fn run(&self) -> i64 {
        0
    }
}

/// Returns whether as much time passed between two samples as the wall's clock says.
fn agree(before: &impl Timed, now: &impl Timed) -> bool {
    let tenths = |at: Duration| i64::try_from(at.as_millis() / 100).unwrap_or(i64::MAX);
    let wall = tenths(now.at()) - tenths(before.at());
    let passed = i64::from(now.up()) - i64::from(before.up());
    now.at() >= before.at() && (wall - passed).abs() <= SLEWED
}

/// Puts the samples of both rings, each in the order of their writing, into that of their times. Returns
/// each with whether the clock was set between the one before and it.
fn in_order<T: Timed>(coarse: Vec<T>, fine: Vec<T>) -> Vec<(T, bool)> {
    let mut all: Vec<T> = Vec::with_capacity(coarse.len() + fine.len());
    for samples in [coarse, fine] {
        let mut stretch: Vec<T> = Vec::new();
        for sample in samples {
            let goes_on = stretch.last().is_none_or(|last| {
                // Of another run, or after a restart of the host, only the wall's clock tells.
                let set = last.run() == sample.run() && !agree(last, &sample);
                !set && last.at() <= sample.at()
            });
            if !goes_on {
                lay_over(&mut all, std::mem::take(&mut stretch));
            }
            stretch.push(sample);
        }
        lay_over(&mut all, stretch);
    }
    let mut ordered: Vec<(T, bool)> = Vec::with_capacity(all.len());
    for sample in all {
        let set = ordered
            .last()
            .is_some_and(|(before, _)| before.run() == sample.run() && !agree(before, &sample));
        ordered.push((sample, set));
    }
    ordered
}

/// Puts a stretch of samples in the place of those that are in its time. What was measured by the same
/// clock, and is missing in it, stays.
fn lay_over<T: Timed>(all: &mut Vec<T>, stretch: Vec<T>) {
    let (Some(first), Some(last)) = (stretch.first(), stretch.last()) else { return };
    let begin = all.partition_point(|one| one.at() < first.at());
    let end = all.partition_point(|one| one.at() <= last.at());
    let fills = |one: &T| {
        let before = stretch.partition_point(|other| other.at() <= one.at());
        let before = before.checked_sub(1).and_then(|n| stretch.get(n));
        before.is_some_and(|before| before.at() < one.at() && agree(before, one))
    };
    let (kept, _): (Vec<T>, Vec<T>) = all.drain(begin..end).partition(fills);
    let mut both: Vec<T> = stretch.into_iter().chain(kept).collect();
    both.sort_by_key(Timed::at);
    all.splice(begin..begin, both);
}

/// Returns the samples of a ring in the order of their writing.
fn written<T>(
    file: &File,
    shape: &Shape,
    ring: usize,
    take: impl Fn(Record) -> Option<T>,
) -> Vec<T> {
    let mut found = Vec::new();
    records(file, shape, ring, |_, number, record| {
        if let Some(record) = take(record) {
            found.push((number, record));
        }
    });
    found.sort_by_key(|(number, _)| *number);
    found.into_iter().map(|(_, record)| record).collect()
}

fn open(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(NO_FOLLOW).open(path)
}

/// Returns all that a file holds, oldest first; of a file that isn't a record, nothing.
///
/// # Errors
/// When there is no such file, or it can't be opened.
pub fn read(path: &Path) -> io::Result<Recording> {
    let file = open(path)?;
    let mut recording = Recording::default();
    let Some(shape) = Shape::of(&file) else { return Ok(recording) };
    recording.step = shape.step();
    let sample = |record| match record {
        Record::Sample(stored) => Some(stored),
        _ => None,
    };
    let [coarse, fine] = [COARSE, FINE].map(|ring| written(&file, &shape, ring, sample));
    recording.samples = recorded(coarse, fine);
    recording.happenings = happenings(&file, &shape);
    Ok(recording)
}

/// Returns what a file tells of how its container was at an instant, as [`read`] and
/// [`Recording::cut`] would: who looks through the past of a thousand containers needs little of each.
///
/// # Errors
/// As [`read`].
pub fn read_at(path: &Path, at: DateTime<Utc>) -> io::Result<Recording> {
    let file = open(path)?;
    let mut recording = Recording::default();
    let Some(shape) = Shape::of(&file) else { return Ok(recording) };
    recording.step = shape.step();
    // As far back as a sample tells of the instant, and the one before it.
    let end = since_epoch(at);
    let begin = end.saturating_sub(recording.step * 3 + recording.gap());
    // And those that follow, since they stand for what lies before them.
    let until = end + recording.step;
    let [coarse, fine] = [COARSE, FINE].map(|ring| between(&file, &shape, ring, begin, until));
    recording.samples = recorded(coarse, fine);
    recording.happenings = happenings(&file, &shape);
    recording.cut(at);
    Ok(recording)
}

/// Returns the samples of a ring that were taken between two instants, in the order of their writing.
fn between(file: &File, shape: &Shape, ring: usize, begin: Duration, end: Duration) -> Vec<Stored> {
    let mut bytes = vec![0; shape.length() * shape.count(ring) as usize];
    let filled = fill(file, &mut bytes, shape.place(ring, 0));
    let slots = bytes[..filled].chunks_exact(shape.length());
    let within = |slot: &&[u8]| sampled_at(slot).is_some_and(|at| (begin..=end).contains(&at));
    let mut found: Vec<(u32, Stored)> = (slots.filter(within).filter_map(decode))
        .filter_map(|(number, record)| match record {
            Record::Sample(stored) => Some((number, stored)),
            _ => None,
        })
        .collect();
    found.sort_by_key(|(number, _)| *number);
    found.into_iter().map(|(_, stored)| stored).collect()
}

/// Puts the samples of both rings, each in the order of their writing, into that of their times.
fn recorded(coarse: Vec<Stored>, fine: Vec<Stored>) -> Vec<Recorded> {
    let samples = in_order(coarse, fine).into_iter().map(|(stored, clock_set)| Recorded {
        sample: stored.sample,
        cores: stored.cores,
        clock_set,
    });
    samples.collect()
}

/// Returns what happened, oldest first.
fn happenings(file: &File, shape: &Shape) -> Vec<Happening> {
    let mut newest = Vec::new();
    records(file, shape, HAPPENINGS, |_, number, record| {
        if let Record::Happening(happening) = record {
            newest.push((number, happening));
        }
    });
    newest.sort_by_key(|(number, _)| *number);
    let mut happenings = Vec::new();
    if newest.last().is_some_and(|(number, _)| thinned::can_be(shape, *number)) {
        let (older, upto) = thinned::thinned(file, shape);
        happenings = older;
        // One that is thinned and hasn't been written over yet.
        newest.retain(|(number, _)| upto.is_none_or(|upto| upto < *number));
    }
    happenings.extend(newest.into_iter().map(|(_, happening)| happening));
    // A stable order: what happened at the same instant stays as it was written.
    happenings.sort_by_key(|happening| happening.at);
    happenings
}

/// Returns what the host's record tells of an instant; none where nothing is recorded.
///
/// # Errors
/// As [`read`].
pub fn host_at(path: &Path, at: DateTime<Utc>) -> io::Result<Option<HostMoment>> {
    let file = open(path)?;
    let Some(shape) = Shape::of(&file) else { return Ok(None) };
    let sample = |record| match record {
        Record::Host(sample, up) => Some((sample, up)),
        _ => None,
    };
    let [coarse, fine] = [COARSE, FINE].map(|ring| written(&file, &shape, ring, sample));
    let mut samples = in_order(coarse, fine);
    let at = since_epoch(at);
    samples.truncate(samples.partition_point(|((sample, _), _)| sample.at <= at));
    let Some(((now, _), set)) = samples.pop() else { return Ok(None) };
    if at.saturating_sub(now.at) > shape.step() * 3 {
        return Ok(None);
    }
    let before = samples.pop().map(|((before, _), _)| before).filter(|_| !set);
    let gap = shape.step() * 2 + Duration::from_secs(40);
    let before = before.filter(|before| now.at.saturating_sub(before.at) < gap);
    Ok(Some(HostMoment { before, now }))
}
