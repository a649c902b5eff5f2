//! What happened longer ago, step by step.
//!
//! The ring of happenings has room for so many, and a check that flaps or a container that is started
//! again and again fills it within minutes. So what would be written over goes into the record of the
//! step in which it happened: there are as many of these as a day has steps, whatever happens how often.
//! Of a step, probes that passed are one, those that failed another; of every other kind there are the
//! first and the last.
//!
//! Such a record says up to which happening it has taken them in, and is never written over by its own
//! next version, which goes to the place of the oldest. So a version that was torn leaves the one before,
//! and what it should have taken in is still in the ring of happenings.

use std::fs::File;

use wharf_model::{Happening, HealthStatus, Probes, What};

use super::reading::records;
use super::shape::Shape;
use super::slot::Record;
use super::{HAPPENINGS, THINNED};

/// How many happenings of one step are kept at most: it is a matter of memory, not of the file.
const MOST: usize = 16;

/// What happened in one step.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Thinned {
    /// Which ([`Shape::thinned_step`]).
    pub(super) step: u32,
    /// The number of the last of the happenings that it has taken in.
    pub(super) upto: u32,
    pub(super) happenings: Vec<Happening>,
}

impl Thinned {
    /// Takes in one more happening.
    pub(super) fn take(&mut self, number: u32, happening: Happening) {
        self.upto = number;
        match happening.what {
            What::Probes(probes) => {
                let passed = probes.exit_code == 0;
                let known = self.happenings.iter_mut().find_map(|one| match &mut one.what {
                    What::Probes(known) if (known.exit_code == 0) == passed => Some(known),
                    _ => None,
                });
                match known {
                    Some(known) => add(known, probes),
                    None => self.push(Happening { what: What::Probes(probes), ..happening }),
                }
            }
            What::Event { ref action, .. } => {
                let same = |one: &&mut Happening| matches!(&one.what, What::Event { action: known, .. } if known == action);
                let mut known = self.happenings.iter_mut().filter(same).skip(1);
                match known.next() {
                    Some(last) => *last = happening,
                    None => self.push(happening),
                }
            }
        }
    }

    fn push(&mut self, happening: Happening) {
        if self.happenings.len() < MOST {
            self.happenings.push(happening);
        }
    }
}

/// Adds later probes to those that ended alike.
fn add(known: &mut Probes, later: Probes) {
    let severity = |status| match status {
        HealthStatus::Starting => 0,
        HealthStatus::Healthy => 1,
        HealthStatus::Unhealthy => 2,
    };
    let worst = [known.status, later.status].into_iter().max_by_key(|status| severity(*status));
    *known = Probes {
        until: known.until.max(later.until),
        count: known.count.saturating_add(later.count),
        status: worst.unwrap_or(later.status),
        streak: known.streak.max(later.streak),
        longest: known.longest.max(later.longest),
        ..later
    };
}

/// Returns what happened as far as it is thinned, and the number of the last of the happenings that are
/// in it.
pub(super) fn thinned(file: &File, shape: &Shape) -> (Vec<Happening>, Option<u32>) {
    let mut found: Vec<(u32, Thinned)> = Vec::new();
    records(file, shape, THINNED, |_, number, record| {
        if let Record::Thinned(one) = record {
            found.push((number, one));
        }
    });
    found.sort_by_key(|(number, _)| *number);
    let upto = found.last().map(|(_, newest)| newest.upto);
    let mut happenings = Vec::new();
    let mut all = found.into_iter().peekable();
    while let Some((number, one)) = all.next() {
        let next = all.peek().map(|(number, next)| (*number, next.step));
        // One that has a next version.
        if next != Some((number.wrapping_add(1), one.step)) {
            happenings.extend(one.happenings);
        }
    }
    (happenings, upto)
}

/// Returns the place for the next record: that of a version that has a next one, else one that is free,
/// else that of the oldest.
pub(super) fn place(file: &File, shape: &Shape, newest: Option<(u32, u32)>) -> u32 {
    let (mut stale, mut free, mut oldest) = (None, None, None);
    let mut expected = 0;
    records(file, shape, THINNED, |slot, number, record| {
        if slot > expected {
            free = free.or(Some(expected));
        }
        expected = slot + 1;
        let Record::Thinned(one) = record else { return };
        if newest.is_some_and(|newest| (number.wrapping_add(1), one.step) == newest) {
            stale = Some(slot);
        }
        if oldest.is_none_or(|(known, _)| number < known) {
            oldest = Some((number, slot));
        }
    });
    if expected < shape.count(THINNED) {
        free = free.or(Some(expected));
    }
    stale.or(free).or(oldest.map(|(_, slot)| slot)).unwrap_or(0)
}

/// Returns whether there can be anything thinned beside happenings of which the newest has this number.
pub(super) fn can_be(shape: &Shape, newest: u32) -> bool {
    newest >= shape.count(HAPPENINGS)
}
