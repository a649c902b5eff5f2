//! `talk`: log lines of all kinds, on both outputs.
//!
//! Settings: `RATE` lines a second (2), `COUNT` of them in all (no end), `KINDS`, a list out of
//! `plain,colour,json,trace,long,unicode`.

use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::setting;
use crate::signals::Signals;

const KINDS: &str = "plain,colour,json,trace,long,unicode";
const VERBS: [&str; 6] = ["fetched", "stored", "refused", "sent", "cached", "dropped"];
const THINGS: [&str; 7] = ["order", "invoice", "parcel", "session", "picture", "ticket", "letter"];
/// A name and its colour.
const LEVELS: [(&str, u8); 4] = [("DEBUG", 36), ("INFO", 32), ("WARN", 33), ("ERROR", 31)];

pub(crate) fn main(_args: &[String]) -> i32 {
    let Ok(signals) = Signals::take() else { return 1 };
    let pause = Duration::try_from_secs_f64(1.0 / setting("RATE", 2.0f64).max(0.001));
    let pause = pause.unwrap_or(Duration::from_millis(500));
    let count: u64 = setting("COUNT", u64::MAX);
    let kinds: String = setting("KINDS", KINDS.to_owned());
    let kinds: Vec<&str> = kinds.split(',').map(str::trim).collect();
    let mut dice = Dice(SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |d| d.as_secs()));
    for n in 0..count {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let kind = kinds[dice.below(kinds.len())];
        let (to_stderr, text) = line(kind, n, now, &mut dice);
        let written = if to_stderr {
            io::stderr().write_all(text.as_bytes())
        } else {
            io::stdout().lock().write_all(text.as_bytes())
        };
        if written.is_err() {
            return 1;
        }
        if let Some(code) = signals.sleep(Some(pause)) {
            return code;
        }
    }
    0
}

/// Returns what to write, several lines perhaps, and whether it is for standard error.
fn line(kind: &str, n: u64, now: Duration, dice: &mut Dice) -> (bool, String) {
    let (level, colour) = LEVELS[dice.below(LEVELS.len())];
    let verb = VERBS[dice.below(VERBS.len())];
    let thing = THINGS[dice.below(THINGS.len())];
    let number = dice.below(10_000);
    let time = timestamp(now);
    match kind {
        "colour" => (
            level == "ERROR",
            format!(
                "\x1b[2m{time}\x1b[0m \x1b[1;{colour}m{level:>5}\x1b[0m {verb} {thing} \
                 \x1b[4m#{number}\x1b[0m\n"
            ),
        ),
        "json" => (
            false,
            format!(
                "{{\"time\":\"{time}\",\"level\":\"{}\",\"msg\":\"{verb} {thing}\",\
                 \"id\":{number},\"seq\":{n}}}\n",
                level.to_lowercase()
            ),
        ),
        "trace" => (
            true,
            format!(
                "{time} ERROR {thing} #{number} could not be {verb}\njava.lang.Illegal\
                 StateException: no {thing}\n\tat demo.Shop.{verb}(Shop.java:{number})\n\tat \
                 demo.Main.main(Main.java:7)\nCaused by: java.io.IOException: closed\n\t... 2 \
                 more\n"
            ),
        ),
        "long" => {
            (false, format!("{time} {level} {}\n", vec![format!("{verb}={thing}"); 40].join(" ")))
        }
        "unicode" => (false, format!("{time} {level} {verb} 郵便 ✉ naïve é 👩‍🚀 #{number}\n")),
        _ => (level == "ERROR", format!("{time} {level} {verb} {thing} #{number}\n")),
    }
}

/// Returns a time in RFC 3339, in UTC, to the millisecond. Days become dates by the proleptic
/// Gregorian calendar, counted in eras of 400 years that begin on a first of March.
fn timestamp(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs();
    let days = seconds / 86_400 + 719_468;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = days / 146_097 * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
        since_epoch.subsec_millis()
    )
}

/// A generator of numbers that look random (xorshift); nothing depends on how well.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 |= 1 << 40;
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 16) % (end.max(1) as u64)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates() {
        for (seconds, wanted) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_767_225_599, "2025-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(timestamp(Duration::from_secs(seconds)), wanted);
        }
    }

    #[test]
    fn each_kind_has_its_form() {
        let mut dice = Dice(1);
        let mut of = |kind| line(kind, 1, Duration::ZERO, &mut dice);
        assert!(of("colour").1.contains("\x1b["));
        assert!(of("json").1.starts_with("{\"time\":\"1970"));
        assert!(of("trace").0 && of("trace").1.lines().count() == 6);
        assert!(KINDS.split(',').all(|kind| of(kind).1.ends_with('\n')));
    }
}
