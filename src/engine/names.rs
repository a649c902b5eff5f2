//! Container names: what is allowed, and one made up when the user gives none.

use wharf_model::ErrorKind;

use crate::{Error, Result};

const ADJECTIVES: [&str; 32] = [
    "amber", "brisk", "calm", "clear", "cosy", "deft", "eager", "fair", "fleet", "gentle",
    "golden", "handy", "hardy", "keen", "kind", "lively", "lucid", "mellow", "nimble", "noble",
    "placid", "polite", "quick", "quiet", "ready", "sleek", "steady", "sunny", "swift", "tidy",
    "vivid", "warm",
];

const NOUNS: [&str; 32] = [
    "anchor", "barge", "bay", "beacon", "bollard", "bow", "bridge", "buoy", "cable", "canal",
    "capstan", "cargo", "crane", "cutter", "deck", "dinghy", "dock", "ferry", "harbour", "hatch",
    "helm", "hull", "jetty", "keel", "ketch", "lock", "mast", "pier", "quay", "rudder", "sloop",
    "tide",
];

/// Returns a name like `calm_harbour` from random bytes; `attempt` above 0 adds a number, so that
/// a crowded host finds a free one.
pub(crate) fn make_up(random: [u8; 4], attempt: u32) -> String {
    let adjective = ADJECTIVES[usize::from(random[0]) % ADJECTIVES.len()];
    let noun = NOUNS[usize::from(random[1]) % NOUNS.len()];
    match attempt {
        0 => format!("{adjective}_{noun}"),
        _ => format!("{adjective}_{noun}{}", u16::from_le_bytes([random[2], random[3]])),
    }
}

/// Checks a name against docker's rule, `[a-zA-Z0-9][a-zA-Z0-9_.-]+`.
///
/// # Errors
/// Docker's sentence.
pub(crate) fn check(name: &str) -> Result<()> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric());
    let rest = bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
    if first && rest && name.len() > 1 && name.len() <= 255 {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Invalid,
        format!("Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule() {
        for good in ["ab", "a.b-c_d", "0x", "A1"] {
            check(good).unwrap();
        }
        for bad in ["", "a", "-ab", "a b", "a/b", ".a", "é1"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        check(&make_up([255, 255, 255, 255], 0)).unwrap();
        check(&make_up([3, 4, 5, 6], 1)).unwrap();
    }
}
