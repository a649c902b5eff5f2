//! Signals by name and number.

use super::values::Reason;

/// The signals of x86-64 Linux by name, `signal(7)`.
pub(crate) const SIGNALS: [(&str, i32); 31] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// Returns the number of a signal from its name, with or without `SIG`, or from a number. Real-time
/// signals are `RTMIN`, `RTMIN+n`, `RTMAX-n` and `RTMAX`.
///
/// # Errors
/// When there is no such signal.
pub(crate) fn signal(text: &str) -> Result<i32, Reason> {
    const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;
    let invalid = || format!("invalid signal: {text}");
    if let Ok(number) = text.parse::<i32>() {
        return if (1..=64).contains(&number) { Ok(number) } else { Err(invalid()) };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some((_, number)) = SIGNALS.iter().find(|(known, _)| *known == name) {
        return Ok(*number);
    }
    let offset = |rest: &str, sign: char| -> Option<i32> {
        if rest.is_empty() { Some(0) } else { rest.strip_prefix(sign)?.parse().ok() }
    };
    let number = match (name, name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        ("IOT", ..) => Some(6),
        ("CLD", ..) => Some(17),
        ("POLL", ..) => Some(29),
        (_, Some(rest), _) => offset(rest, '+').and_then(|n| REAL_TIME.start().checked_add(n)),
        (_, _, Some(rest)) => offset(rest, '-').and_then(|n| REAL_TIME.end().checked_sub(n)),
        _ => return Err(invalid()),
    };
    number.filter(|n| *n == 6 || *n == 17 || *n == 29 || REAL_TIME.contains(n)).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        assert_eq!(signal("TERM"), Ok(15));
        assert_eq!(signal("sigusr1"), Ok(10));
        assert_eq!(signal("9"), Ok(9));
        assert_eq!(signal("RTMIN+3"), Ok(37));
        assert_eq!(signal("SIGRTMAX-1"), Ok(63));
        for bad in ["", "0", "65", "SIG", "FOO", "RTMIN+40", "RTMAX+1"] {
            assert_eq!(signal(bad), Err(format!("invalid signal: {bad}")));
        }
    }
}
