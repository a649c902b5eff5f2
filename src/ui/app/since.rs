//! Since when a container is in its state. Engines that don't tell the instant tell it in words
//! ("Up 3 minutes"), which go stale on the screen: what they meant when they came is kept instead.

use chrono::{DateTime, TimeDelta, Utc};
use wharf_inspect::human::{duration, status_sentence};
use wharf_model::{ContainerSummary, Status};

/// Returns since when a container is in its state, from a summary that came at `now`; none if
/// neither the engine says so nor its words can be read.
pub(super) fn since(summary: &ContainerSummary, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let started = summary.started_at.filter(|_| summary.status.is_alive());
    started.or_else(|| Some(now - read(&summary.status_text)?))
}

/// Returns the better of two readings of the same words: the earlier one, as long as it would be
/// told by the same words now. "2 minutes" may be nearly three. Whole seconds round up or down with the
/// instant at which they are asked for, and would jump to and fro.
pub(super) fn refine(
    before: DateTime<Utc>,
    new: DateTime<Utc>,
    now: DateTime<Utc>,
) -> DateTime<Utc> {
    let is_rounding = (before - new).abs() <= TimeDelta::seconds(1);
    if is_rounding || duration(now - before) == duration(now - new) { before } else { new }
}

/// Returns the sentence about a container as of now.
pub(super) fn sentence(
    summary: &ContainerSummary,
    since: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> String {
    // Without an instant, the engine's own words are the best there is.
    if since.is_none() || summary.status == Status::Exited && summary.exit_code.is_none() {
        return summary.status_text.clone();
    }
    let code = summary.exit_code.unwrap_or_default();
    status_sentence(summary.status, since, since, code, summary.health, now)
}

/// Returns the span in a sentence of docker's (`units.HumanDuration` of its go-units).
fn read(text: &str) -> Option<TimeDelta> {
    if text.contains("Less than a second") {
        return Some(TimeDelta::zero());
    }
    if text.contains("About a minute") {
        return Some(TimeDelta::minutes(1));
    }
    if text.contains("About an hour") {
        return Some(TimeDelta::hours(1));
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    words.windows(2).find_map(|pair| {
        let count: i64 = pair[0].parse().ok()?;
        let unit = pair[1].trim_end_matches('s');
        match unit {
            "second" => TimeDelta::try_seconds(count),
            "minute" => TimeDelta::try_minutes(count),
            "hour" => TimeDelta::try_hours(count),
            "day" => TimeDelta::try_days(count),
            "week" => TimeDelta::try_weeks(count),
            "month" => TimeDelta::try_days(count.checked_mul(30)?),
            "year" => TimeDelta::try_days(count.checked_mul(365)?),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use wharf_backend::fake::{container, time};

    use super::*;

    #[test]
    fn words_are_read_and_do_not_go_stale() {
        for (text, seconds) in [
            ("Up Less than a second", Some(0)),
            ("Up 42 seconds (healthy)", Some(42)),
            ("Up About a minute", Some(60)),
            ("Exited (137) 3 hours ago", Some(10_800)),
            ("Up 5 weeks (Paused)", Some(3_024_000)),
            ("Created", None),
            ("Dead", None),
        ] {
            assert_eq!(read(text).map(|d| d.num_seconds()), seconds, "{text}");
        }
        let mut web = container(1, "web", "nginx", Status::Running);
        web.started_at = None;
        web.status_text = "Up 2 seconds".to_owned();
        let at = since(&web, time(10));
        assert_eq!(at, Some(time(8)));
        assert_eq!(sentence(&web, at, time(13)), "Up 5 seconds");
        web.status_text = "Up 4 weird words".to_owned();
        assert_eq!(sentence(&web, since(&web, time(10)), time(13)), "Up 4 weird words");
    }

    #[test]
    fn a_coarser_reading_does_not_replace_a_finer_one() {
        assert_eq!(refine(time(0), time(30), time(150)), time(0), "both are 2 minutes");
        assert_eq!(refine(time(0), time(90), time(95)), time(90), "it was started again");
        assert_eq!(refine(time(0), time(1), time(6)), time(0), "five seconds, nearly six");
        assert_eq!(refine(time(0), time(2), time(6)), time(2), "it was started again");
    }
}
