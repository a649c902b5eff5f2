//! Points in time as `--since` and `--until` take them.

use chrono::{DateTime, Local, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Utc};

/// Returns the instant meant by an RFC 3339 time, a date or time without zone (local), seconds since
/// 1970 with up to nine decimals, or a duration before `now` (`42m`, `1h30m`).
///
/// # Errors
/// When it is none of these.
pub fn instant(text: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    let invalid = || {
        format!(
            "invalid time {text:?}: give 2013-01-02T13:23:37Z, seconds since 1970, or a duration \
             such as 42m"
        )
    };
    if let Some(ago) = duration(text) {
        return now.checked_sub_signed(ago).ok_or_else(invalid);
    }
    if let Some(time) = unix(text) {
        return Ok(time);
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let local = |time: NaiveDateTime| Local.from_local_datetime(&time).earliest();
    let naive = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0));
    if let Some(time) = naive {
        return local(time).map(|time| time.to_utc()).ok_or_else(invalid);
    }
    // A zone may follow even a date or a time without seconds.
    for format in ["%Y-%m-%dT%H:%M%#z", "%Y-%m-%dT%H:%M:%S%.f%#z"] {
        let zoned = text.replace('Z', "+00:00");
        if let Ok(time) = DateTime::parse_from_str(&zoned, format) {
            return Ok(time.to_utc());
        }
    }
    if let Some(date) = text.strip_suffix('Z') {
        let date = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok();
        if let Some(time) = date.and_then(|date| date.and_hms_opt(0, 0, 0)) {
            return Ok(time.and_utc());
        }
    }
    Err(invalid())
}

/// Returns a duration such as `1h30m`, `1.5s` or `250ms`.
pub fn duration(text: &str) -> Option<TimeDelta> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if rest.is_empty() {
        return None;
    }
    let mut nanoseconds = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let number: f64 = number.parse().ok()?;
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        nanoseconds += number
            * match unit {
                "ns" => 1.0,
                "us" | "µs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3600e9,
                _ => return None,
            };
        rest = tail;
    }
    if nanoseconds > 9e18 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked above")]
    let delta = TimeDelta::nanoseconds(nanoseconds as i64);
    Some(if negative { -delta } else { delta })
}

/// Returns the instant so many seconds after 1970 began.
fn unix(text: &str) -> Option<DateTime<Utc>> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(seconds) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    DateTime::from_timestamp(seconds.parse().ok()?, format!("{fraction:0<9}").parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms() {
        let now = DateTime::parse_from_rfc3339("2024-05-06T12:00:00Z").unwrap().to_utc();
        let get = |text: &str| instant(text, now).unwrap().to_rfc3339();
        assert_eq!(get("42m"), "2024-05-06T11:18:00+00:00");
        assert_eq!(get("1h30m"), "2024-05-06T10:30:00+00:00");
        assert_eq!(get("1.5s"), "2024-05-06T11:59:58.500+00:00");
        assert_eq!(get("2013-01-02T13:23:37Z"), "2013-01-02T13:23:37+00:00");
        assert_eq!(get("2013-01-02T13:23:37.5+02:00"), "2013-01-02T11:23:37.500+00:00");
        assert_eq!(get("2013-01-02T13:23Z"), "2013-01-02T13:23:00+00:00");
        assert_eq!(get("2013-01-02Z"), "2013-01-02T00:00:00+00:00");
        assert_eq!(get("1136073845.000000001"), "2006-01-01T00:04:05.000000001+00:00");
        assert_eq!(get("0"), "1970-01-01T00:00:00+00:00");
        // Without a zone it is the caller's own; only its shape is checked here.
        for text in ["2013-01-02T13:23:37", "2013-01-02T13:23", "2013-01-02"] {
            assert!(instant(text, now).is_ok(), "{text}");
        }
        for bad in ["", "-", "foo", "1x", "m", "2013-13-01", "1.2.3", "--5m"] {
            assert!(instant(bad, now).is_err(), "{bad}");
        }
    }
}
