//! Durations and sizes in the words that docker prints.
//!
//! The rules are those of the go-units package, which docker's command line uses: its boundaries
//! and roundings are kept even where they surprise, since people and scripts compare the output.

use chrono::{DateTime, TimeDelta, Utc};
use wharf_model::{ContainerState, HealthStatus, Status};

/// Returns a duration as docker says it: `Less than a second`, `5 seconds`, `About a minute`,
/// `3 hours`, `2 weeks`.
pub fn duration(length: TimeDelta) -> String {
    let seconds = length.num_seconds();
    let minutes = length.num_minutes();
    // Hours are rounded, half up, as docker does.
    let hours = (length.num_milliseconds() as f64 / 3_600_000.0 + 0.5).floor() as i64;
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => format!("{seconds} seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => format!("{minutes} minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => format!("{hours} hours"),
        () if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        () if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        () if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        () => format!("{} years", length.num_hours() / 24 / 365),
    }
}

/// Returns how long ago something was: `3 hours ago`.
pub fn ago(then: DateTime<Utc>, now: DateTime<Utc>) -> String {
    format!("{} ago", duration(now - then))
}

/// Returns docker's sentence about a container: `Up 3 minutes (healthy)`,
/// `Exited (0) 2 hours ago`, `Created`.
pub fn status_text(state: &ContainerState, now: DateTime<Utc>) -> String {
    let health = state.health.as_ref().map(|h| h.status);
    status_sentence(state.status, state.started_at, state.finished_at, state.exit_code, health, now)
}

/// Returns the sentence of [`status_text`] from its parts.
pub fn status_sentence(
    status: Status,
    started: Option<DateTime<Utc>>,
    finished: Option<DateTime<Utc>>,
    exit_code: i32,
    health: Option<HealthStatus>,
    now: DateTime<Utc>,
) -> String {
    let up = || started.map_or_else(|| "Up".to_owned(), |at| format!("Up {}", duration(now - at)));
    let ended = |word: &str| match finished {
        Some(at) => format!("{word} ({exit_code}) {}", ago(at, now)),
        None => format!("{word} ({exit_code})"),
    };
    match status {
        Status::Created => "Created".to_owned(),
        Status::Running => match health {
            None => up(),
            Some(HealthStatus::Starting) => format!("{} (health: starting)", up()),
            Some(other) => format!("{} ({})", up(), other.as_str()),
        },
        Status::Paused => format!("{} (Paused)", up()),
        Status::Restarting => ended("Restarting"),
        Status::Removing => "Removal In Progress".to_owned(),
        Status::Exited => ended("Exited"),
        Status::Dead => "Dead".to_owned(),
    }
}

const DECIMAL: [&str; 9] = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
const BINARY: [&str; 9] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];

/// Returns a size in powers of 1000 with four significant digits, as docker's network and block
/// columns have it: `1.5kB`, `12.34MB`.
pub fn size(bytes: u64) -> String {
    size_with_precision(bytes, 4)
}

/// Returns a size in powers of 1000 with three significant digits, as docker's image lists have
/// it: `5.83MB`.
pub fn image_size(bytes: u64) -> String {
    size_with_precision(bytes, 3)
}

/// Returns a size in powers of 1000 with so many significant digits.
pub fn size_with_precision(bytes: u64, digits: usize) -> String {
    let (value, unit) = scale(bytes as f64, 1000.0, &DECIMAL);
    format!("{}{unit}", significant(value, digits))
}

/// Returns a size in powers of 1024 with four significant digits, as docker's memory column has
/// it: `1.5MiB`.
pub fn binary_size(bytes: u64) -> String {
    let (value, unit) = scale(bytes as f64, 1024.0, &BINARY);
    format!("{}{unit}", significant(value, 4))
}

fn scale(mut value: f64, base: f64, units: &[&'static str; 9]) -> (f64, &'static str) {
    let mut unit = 0;
    while value >= base && unit < units.len() - 1 {
        value /= base;
        unit += 1;
    }
    (value, units[unit])
}

/// C's `%.*g`: so many significant digits, trailing zeros left out, an exponent when there are more
/// digits before the point than that.
fn significant(value: f64, digits: usize) -> String {
    let digits = digits.max(1);
    let scientific = format!("{value:.*e}", digits - 1);
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i64 = exponent.parse().unwrap_or(0);
    let limit = i64::try_from(digits).unwrap_or(i64::MAX);
    if (-4..limit).contains(&exponent) {
        let decimals = usize::try_from(limit - 1 - exponent).unwrap_or(0);
        without_zeros(&format!("{value:.decimals$}")).to_owned()
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", without_zeros(mantissa), exponent.abs())
    }
}

fn without_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// Returns a per-cent value as docker writes it: `12.34%`.
pub fn percent(value: f64) -> String {
    format!("{value:.2}%")
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_model::Health;

    #[test]
    fn durations_are_those_of_go_units() {
        const MINUTE: i64 = 60;
        const HOUR: i64 = 60 * MINUTE;
        const DAY: i64 = 24 * HOUR;
        const WEEK: i64 = 7 * DAY;
        const MONTH: i64 = 30 * DAY;
        const YEAR: i64 = 365 * DAY;
        for (seconds, text) in [
            (-5, "Less than a second"),
            (0, "Less than a second"),
            (1, "1 second"),
            (45, "45 seconds"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (3 * MINUTE + 40, "3 minutes"),
            (35 * MINUTE + 40, "35 minutes"),
            (HOUR, "About an hour"),
            (HOUR + 29 * MINUTE, "About an hour"),
            (HOUR + 45 * MINUTE, "2 hours"),
            (3 * HOUR, "3 hours"),
            (3 * HOUR + 40 * MINUTE, "4 hours"),
            (47 * HOUR, "47 hours"),
            (2 * DAY, "2 days"),
            (9 * DAY, "9 days"),
            (2 * WEEK - HOUR, "13 days"),
            (2 * WEEK, "2 weeks"),
            (2 * MONTH - DAY, "8 weeks"),
            (2 * MONTH, "2 months"),
            (2 * MONTH + 2 * WEEK, "2 months"),
            (23 * MONTH, "23 months"),
            (2 * YEAR, "2 years"),
            (3 * YEAR + 2 * MONTH, "3 years"),
        ] {
            assert_eq!(duration(TimeDelta::seconds(seconds)), text, "{seconds}");
        }
    }

    #[test]
    fn sizes_are_those_of_go_units() {
        for (bytes, text) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (1024, "1.024kB"),
            (1500, "1.5kB"),
            (999_950, "1000kB"),
            (999_949, "999.9kB"),
            (1_000_000, "1MB"),
            (1_048_576, "1.049MB"),
            (2_000_000_000_000, "2TB"),
            (3_420_000_000_000_000, "3.42PB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(image_size(5_832_704), "5.83MB");
        assert_eq!(image_size(123_456_789), "123MB");
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1KiB"),
            (1_048_576, "1MiB"),
            (1_572_864, "1.5MiB"),
            (2_105_344, "2.008MiB"),
            (33_543_585_792, "31.24GiB"),
        ] {
            assert_eq!(binary_size(bytes), text);
        }
        assert_eq!(percent(0.0), "0.00%");
        assert_eq!(percent(123.456), "123.46%");
    }

    #[test]
    fn sentences_are_dockers() {
        let now: DateTime<Utc> = "2026-01-02T12:00:00Z".parse().unwrap();
        let mut state = ContainerState::default();
        assert_eq!(status_text(&state, now), "Created");
        state.status = Status::Running;
        state.started_at = Some(now - TimeDelta::minutes(3));
        assert_eq!(status_text(&state, now), "Up 3 minutes");
        for (status, text) in [
            (HealthStatus::Healthy, "Up 3 minutes (healthy)"),
            (HealthStatus::Unhealthy, "Up 3 minutes (unhealthy)"),
            (HealthStatus::Starting, "Up 3 minutes (health: starting)"),
        ] {
            state.health = Some(Health { status, failing_streak: 0, log: Vec::new() });
            assert_eq!(status_text(&state, now), text);
        }
        state.status = Status::Paused;
        assert_eq!(status_text(&state, now), "Up 3 minutes (Paused)");
        state.status = Status::Exited;
        state.exit_code = 137;
        state.finished_at = Some(now - TimeDelta::hours(2));
        assert_eq!(status_text(&state, now), "Exited (137) 2 hours ago");
        state.status = Status::Restarting;
        state.exit_code = 1;
        state.finished_at = Some(now - TimeDelta::seconds(4));
        assert_eq!(status_text(&state, now), "Restarting (1) 4 seconds ago");
        state.status = Status::Removing;
        assert_eq!(status_text(&state, now), "Removal In Progress");
    }
}
