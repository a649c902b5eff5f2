//! What happened in one step, in one record: as much as there is room for, its texts last.
//!
//! ```text
//! 9    4  the step
//! 13   4  the number of the last happening in it
//! 17   8  the time that those of the happenings count from
//! 25   1  how many of them follow, each a kind and a time
//! ```
//!
//! What the probes put out stands behind all, in their order: of those that failed as much as there is room
//! for, of those that passed what is left.

use chrono::{DateTime, TimeDelta, Utc};
use wharf_model::{Happening, Probes, What};

use super::{EVENT, In, Out, PROBES, STEP, encode_probes, probes};
use crate::record::thinned::Thinned;

/// Where the happenings begin.
const FIRST: usize = 26;

/// The length of an event without its action, and the most of that; the length of probes.
const EVENT_LENGTH: usize = 11;
const ACTION: usize = 24;
const PROBES_LENGTH: usize = 30;

/// Returns the beginning of a text, so many bytes at most.
fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

pub(super) fn encode(thinned: &Thinned, out: &mut Out) {
    let mut room = out.bytes.len() - FIRST;
    let fit: Vec<&Happening> = thinned
        .happenings
        .iter()
        .filter(|one| {
            let length = match &one.what {
                What::Event { action, .. } => EVENT_LENGTH + cut(action, ACTION).len(),
                // And the length of its text.
                What::Probes(_) => PROBES_LENGTH + 1,
            };
            let fits = length <= room;
            room -= if fits { length } else { 0 };
            fits
        })
        .collect();
    let base = fit.first().map_or(0, |one| one.at.timestamp_millis());
    out.put(&[STEP]);
    out.put(&thinned.step.to_le_bytes());
    out.put(&thinned.upto.to_le_bytes());
    out.put(&base.to_le_bytes());
    out.put(&[u8::try_from(fit.len()).unwrap_or(0)]);
    let time = |at: DateTime<Utc>| {
        let after = (at.timestamp_millis() - base).clamp(i32::MIN.into(), i32::MAX.into());
        i32::try_from(after).unwrap_or(0).to_le_bytes()
    };
    for one in &fit {
        match &one.what {
            What::Event { action, exit_code } => {
                let action = cut(action, ACTION);
                out.put(&[EVENT]);
                out.put(&time(one.at));
                out.put(&[u8::from(exit_code.is_some())]);
                out.put(&exit_code.unwrap_or(0).to_le_bytes());
                out.put(&[u8::try_from(action.len()).unwrap_or(0)]);
                out.put(action.as_bytes());
            }
            What::Probes(probes) => {
                out.put(&[PROBES]);
                out.put(&time(one.at));
                out.put(&time(probes.until));
                encode_probes(probes, out);
            }
        }
    }
    let texts = || fit.iter().filter_map(|one| output(one));
    let failed = |probes: &Probes| probes.exit_code != 0;
    let most = room.min(255);
    let wanted: usize = texts().filter(|one| failed(one)).map(|one| one.output.len()).sum();
    for probes in texts() {
        let room = if failed(probes) { most } else { most.saturating_sub(wanted) };
        let text = cut(&probes.output, room);
        out.put(&[u8::try_from(text.len()).unwrap_or(0)]);
        out.put(text.as_bytes());
    }
}

fn output(one: &Happening) -> Option<&Probes> {
    match &one.what {
        What::Probes(probes) => Some(probes),
        What::Event { .. } => None,
    }
}

pub(super) fn decode(from: &mut In<'_>) -> Option<Thinned> {
    let (step, upto) = (from.u32()?, from.u32()?);
    let base = from.time()?;
    let time =
        |from: &mut In<'_>| base.checked_add_signed(TimeDelta::milliseconds(from.i32()?.into()));
    let mut happenings = Vec::new();
    for _ in 0..from.u8()? {
        let kind = from.u8()?;
        let at = time(from)?;
        let what = match kind {
            EVENT => {
                let ended = from.u8()? == 1;
                let code = from.i32()?;
                let action = from.text(from.at)?;
                What::Event { action, exit_code: ended.then_some(code) }
            }
            PROBES => {
                let until = time(from)?;
                What::Probes(probes(until, from)?)
            }
            _ => return None,
        };
        happenings.push(Happening { at, what });
    }
    for one in &mut happenings {
        if let What::Probes(probes) = &mut one.what {
            probes.output = from.text(from.at)?;
        }
    }
    Some(Thinned { step, upto, happenings })
}
