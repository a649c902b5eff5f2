//! Numbers and times as short texts.

use chrono::{DateTime, TimeDelta, Utc};

/// Returns bytes in at most five letters, in powers of 1024: `0`, `999`, `1.2K`, `38M`, `1023G`.
pub fn bytes(count: f64) -> String {
    let mut value = count.max(0.0);
    let mut unit = "";
    for next in ["K", "M", "G", "T", "P"] {
        if value < 999.5 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit.is_empty() {
        format!("{value:.0}")
    } else if value < 9.95 {
        format!("{value:.1}{unit}")
    } else {
        format!("{value:.0}{unit}")
    }
}

/// Returns a whole count of bytes in at most five letters.
pub fn size(count: u64) -> String {
    bytes(as_f64(count))
}

/// Returns a count as a float; beyond 2^53 it is rounded, which no text here shows.
pub fn as_f64(count: u64) -> f64 {
    count as f64
}

/// Returns per cent in at most five letters: `0.0%`, `99.9%`, `1600%`.
pub fn percent(value: f64) -> String {
    if value < 99.95 { format!("{value:.1}%") } else { format!("{value:.0}%") }
}

/// Returns a span of time in at most four letters: `42s`, `7m`, `3h`, `12d`, `3y`.
pub fn span(delta: TimeDelta) -> String {
    let s = delta.num_seconds().max(0);
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m", s / 60),
        3600..172_800 => format!("{}h", s / 3600),
        172_800..63_072_000 => format!("{}d", s / 86_400),
        _ => format!("{}y", s / 31_536_000),
    }
}

/// Returns how long ago something was.
pub fn age(then: DateTime<Utc>, now: DateTime<Utc>) -> String {
    span(now - then)
}

/// Returns microseconds in words: `0.09 ms`, `1.2 ms`, `3.0 s`.
pub fn micros(count: u64) -> String {
    match count {
        0..1000 => format!("{:.2} ms", as_f64(count) / 1e3),
        1000..1_000_000 => format!("{:.1} ms", as_f64(count) / 1e3),
        _ => format!("{:.1} s", as_f64(count) / 1e6),
    }
}

/// Returns the least of 1, 2, 3, 4, 5, 6, 8, 10, 20, … that is at least `value`.
pub fn nice(value: f64) -> f64 {
    if value.is_nan() || value <= 0.0 {
        return 1.0;
    }
    let base = 10_f64.powf(value.log10().floor());
    let step = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0]
        .into_iter()
        .find(|s| base * s >= value * 0.999_999);
    base * step.unwrap_or(10.0)
}

/// Returns the least of 1, 2, 4, 8, … that is at least `value`: the same for powers of two.
pub fn nice_binary(value: f64) -> f64 {
    2_f64.powf(value.max(1.0).log2().ceil())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_never_take_more_than_five_letters() {
        for (count, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1.0K"),
            (10_200, "10K"),
            (1_048_576, "1.0M"),
            (1_023 << 20, "1.0G"),
            (1 << 40, "1.0T"),
        ] {
            assert_eq!(size(count), text);
        }
        for shift in 0..63 {
            assert!(size((1 << shift) - 1).len() <= 5);
        }
    }

    #[test]
    fn spans_and_shares() {
        assert_eq!(span(TimeDelta::seconds(59)), "59s");
        assert_eq!(span(TimeDelta::seconds(3599)), "59m");
        assert_eq!(span(TimeDelta::hours(47)), "47h");
        assert_eq!(span(TimeDelta::days(60)), "60d");
        assert_eq!(span(TimeDelta::seconds(-5)), "0s");
        assert_eq!(percent(0.04), "0.0%");
        assert_eq!(percent(99.96), "100%");
    }

    #[test]
    fn scales_are_round() {
        assert!((nice(37.0) - 40.0).abs() < 1e-9);
        assert!((nice(100.0) - 100.0).abs() < 1e-9);
        assert!((nice(0.035) - 0.04).abs() < 1e-9);
        assert!((nice_binary(3000.0) - 4096.0).abs() < 1e-9);
    }
}
