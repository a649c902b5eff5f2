//! `kill`, `pause` and `unpause`: words to the supervisor.

use std::time::Duration;

use wharf_model::{ErrorKind, Status};

use crate::channel::{Channel, Request};
use crate::engine::Engine;
use crate::state::{Record, Store};
use crate::{Error, Result};

/// The signal that nothing survives.
const SIGKILL: i32 = 9;

/// How long docker waits for the end of what it has killed.
const KILLED: Duration = Duration::from_secs(10);

/// Names without `SIG`, by their numbers from 1 (signal(7), x86).
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// Returns the number of a signal given by name, with or without `SIG`, or by number.
///
/// # Errors
/// Docker's sentence when there is no such signal.
pub(crate) fn parse(text: &str) -> Result<i32> {
    let invalid = || Error::new(ErrorKind::Invalid, format!("invalid signal: {text}"));
    if let Ok(number) = text.parse::<i32>() {
        return if (1..=64).contains(&number) { Ok(number) } else { Err(invalid()) };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let name = match name {
        "IOT" => "ABRT",
        "CLD" => "CHLD",
        "POLL" => "IO",
        other => other,
    };
    if let Some(index) = NAMES.iter().position(|known| *known == name) {
        return i32::try_from(index + 1).map_err(|_| invalid());
    }
    // RTMIN is 34 for programs that use glibc.
    let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(""), _) => Some(34),
        (Some(rest), _) => rest.strip_prefix('+').and_then(|n| n.parse().ok()).map(|n: i32| 34 + n),
        (_, Some("")) => Some(64),
        (_, Some(rest)) => rest.strip_prefix('-').and_then(|n| n.parse().ok()).map(|n: i32| 64 - n),
        _ => None,
    };
    number.filter(|n| (34..=64).contains(n)).ok_or_else(invalid)
}

/// Returns docker's error for a container that should run and doesn't.
pub(crate) fn not_running(record: &Record) -> Error {
    Error::new(ErrorKind::Conflict, format!("container {} is not running", record.id))
}

/// Returns docker's error for a container that should be paused and isn't.
pub(crate) fn not_paused(record: &Record) -> Error {
    Error::new(ErrorKind::Conflict, format!("container {} is not paused", record.id))
}

impl Engine {
    /// Finds a container for a verb that is a single word to its supervisor, which has one thread
    /// and judges by itself. Such a verb takes no lock: it must get through while another one, a
    /// `stop` without an end say, waits.
    fn current(&self, store: &mut Store, reference: &str) -> Result<Record> {
        let record = store.container(reference)?;
        self.refreshed(store, record)
    }

    /// Connects to a running container's supervisor.
    pub(crate) fn supervisor_of(&self, record: &Record) -> Result<Channel> {
        Channel::connect(&self.paths().container_run(&record.id)).map_err(|cause| {
            match cause.kind() {
                // It has ended since its record was read.
                std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::NotFound => {
                    not_running(record)
                }
                _ => Error::failed(format_args!("connect to container {}", record.name), cause),
            }
        })
    }

    /// Asks a running container's supervisor for something.
    pub(crate) fn ask(&self, record: &Record, request: &Request) -> Result<Channel> {
        let channel = self.supervisor_of(record)?;
        channel.send_request(request, &[]).map_err(|_| not_running(record))?;
        match channel.answer() {
            Ok(_) => Ok(channel),
            // It ended while it was asked.
            Err(error) if error.kind() == ErrorKind::Unavailable => Err(not_running(record)),
            Err(error) => Err(error),
        }
    }

    /// Sends a signal (SIGKILL when none is named) to a running container's first process.
    ///
    /// # Errors
    /// When it doesn't run, or there is no such signal.
    pub fn kill(&self, reference: &str, signal: Option<&str>) -> Result<()> {
        let refuse = |error: Error| {
            Error::new(error.kind(), format!("cannot kill container: {reference}: {error}"))
        };
        let signal = parse(signal.unwrap_or("KILL")).map_err(refuse)?;
        let ending = self.with_store(|store| {
            let record = self.current(store, reference).map_err(refuse)?;
            if !record.observed.state.status.is_supervised() {
                return Err(refuse(not_running(&record)));
            }
            // A frozen one ends when it is thawed.
            let ends = signal == SIGKILL && record.observed.state.status == Status::Running;
            let ending = ends.then(|| self.ask(&record, &Request::Wait).ok()).flatten();
            self.ask(&record, &Request::Signal(signal)).map(drop).map_err(refuse)?;
            Ok(ending)
        })?;
        // As with docker, what is killed can be removed at once.
        if let Some(ending) = ending {
            ending.is_readable_within(KILLED);
        }
        Ok(())
    }

    /// Freezes all processes of a container.
    ///
    /// # Errors
    /// When it doesn't run, or is frozen already.
    pub fn pause(&self, reference: &str) -> Result<()> {
        self.with_store(|store| {
            let record = self.current(store, reference)?;
            match record.observed.state.status.is_supervised() {
                true => self.ask(&record, &Request::Pause).map(drop),
                false => Err(not_running(&record)),
            }
        })
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// When it isn't frozen.
    pub fn unpause(&self, reference: &str) -> Result<()> {
        self.with_store(|store| {
            let record = self.current(store, reference)?;
            match record.observed.state.status.is_alive() {
                true => self.ask(&record, &Request::Unpause).map(drop),
                false => Err(not_paused(&record)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_known_by_name_and_number() {
        for (text, number) in [
            ("KILL", 9),
            ("SIGKILL", 9),
            ("sigterm", 15),
            ("9", 9),
            ("RTMIN+3", 37),
            ("SIGRTMAX-1", 63),
            ("sys", 31),
            ("SIGPOLL", 29),
            ("64", 64),
        ] {
            assert_eq!(parse(text).unwrap(), number, "{text}");
        }
        for bad in ["", "0", "65", "SIGNOPE", "-1", "RTMIN+31", "RTMAX-31"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
