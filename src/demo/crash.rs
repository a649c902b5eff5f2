//! `crash`: serves like `http` for a while, turns unwell halfway, and dies.
//!
//! Settings: `AFTER` seconds (20), then `CODE` (1) or `SIGNAL` (a name or a number); `UNHEALTHY`
//! (half of `AFTER`).

use std::io::Write;
use std::time::Duration;

use nix::sys::signal::{Signal, raise};

use crate::health::Schedule;
use crate::http::{Ended, serve};
use crate::setting;

pub(crate) fn main(_args: &[String]) -> i32 {
    let after: f64 = setting("AFTER", 20.0);
    let after = Duration::try_from_secs_f64(after).unwrap_or(Duration::from_secs(20));
    let schedule = match std::env::var("UNHEALTHY") {
        Ok(text) => Schedule::parse(&text),
        Err(_) => Schedule::Until(after.as_secs() / 2),
    };
    match serve("crash", schedule, Some(after)) {
        Ended::Failed => return 1,
        Ended::Asked => return 0,
        Ended::Timeout => {}
    }
    let _ = writeln!(
        std::io::stderr(),
        "\x1b[31mfatal\x1b[0m: as scheduled, after {} s\n  at crash::main (src/crash.rs)\n  at \
         main (src/main.rs)",
        after.as_secs_f64()
    );
    match signal(&setting("SIGNAL", String::new())) {
        Some(signal) => die(signal),
        None => setting("CODE", 1),
    }
}

fn signal(text: &str) -> Option<Signal> {
    let text = text.trim().to_ascii_uppercase();
    match text.parse::<i32>() {
        Ok(number) => Signal::try_from(number).ok(),
        Err(_) => format!("SIG{}", text.trim_start_matches("SIG")).parse().ok(),
    }
}

/// Dies of a signal as far as the kernel allows: the first process of a container ignores those
/// without a handler that come from inside, except for its own faults.
fn die(signal: Signal) -> i32 {
    let _ = raise(signal);
    if matches!(signal, Signal::SIGSEGV | Signal::SIGABRT | Signal::SIGILL | Signal::SIGBUS) {
        std::process::abort();
    }
    128 + signal as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        assert_eq!(signal("segv"), Some(Signal::SIGSEGV));
        assert_eq!(signal("SIGKILL"), Some(Signal::SIGKILL));
        assert_eq!(signal("6"), Some(Signal::SIGABRT));
        assert_eq!((signal(""), signal("x")), (None, None));
    }
}
