//! What is known of a container's probes, and of one that has ended: why.

use chrono::{DateTime, Utc};
use wharf_model::{Change, ChangeKind, ContainerId, ContainerState, HealthCheck};

/// What the engine tells of a container's health, or of its end. Every text is made safe.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Its state, with the results of the last probes.
    pub state: ContainerState,
    /// How it is probed.
    pub check: Option<HealthCheck>,
    /// Of one that has ended, the last lines of its log, the oldest first.
    pub log: Vec<(Option<DateTime<Utc>>, String)>,
    /// Of one that has ended, which files it changed, or why that isn't known.
    pub changes: Option<Result<Vec<Change>, String>>,
}

/// The health tab.
#[derive(Clone, Debug, Default)]
pub struct HealthPane {
    /// Whose.
    pub id: Option<ContainerId>,
    /// What the engine told, or why it didn't.
    pub report: Option<Result<Box<Report>, String>>,
    /// Whether an answer is awaited.
    pub waiting: bool,
    /// When it was last asked for.
    pub asked: DateTime<Utc>,
    /// Whether something has happened since.
    pub stale: bool,
    /// The first line in sight.
    pub top: usize,
}

/// Returns in words how a container has ended.
pub(crate) fn end_words(state: &ContainerState) -> String {
    let code = state.exit_code;
    if state.oom_killed && code == 137 {
        return "the kernel killed it for want of memory (137, SIGKILL)".to_owned();
    }
    let words = match code {
        0 => "it ended by itself, without a failure (0)".to_owned(),
        126 => "its command can't be run (126)".to_owned(),
        127 => "its command wasn't found (127)".to_owned(),
        129..=192 => match signal(code - 128) {
            Some((name, what)) => format!("ended by SIG{name}: {what} ({code})"),
            None => format!("ended by signal {} ({code})", code - 128),
        },
        code => format!("it ended by itself with a failure ({code})"),
    };
    if state.oom_killed {
        format!("{words}; the kernel killed a process of it for want of memory")
    } else {
        words
    }
}

/// Returns a signal's name, and what it commonly means.
fn signal(number: i32) -> Option<(&'static str, &'static str)> {
    Some(match number {
        1 => ("HUP", "its terminal went away, or somebody asked"),
        2 => ("INT", "somebody interrupted it"),
        3 => ("QUIT", "somebody asked for its end and a dump"),
        4 => ("ILL", "it ran what this CPU doesn't know"),
        6 => ("ABRT", "it gave up by itself"),
        7 => ("BUS", "it reached for memory that can't be had"),
        8 => ("FPE", "a division by zero, or the like"),
        9 => ("KILL", "somebody killed it, or it didn't stop in time"),
        11 => ("SEGV", "it reached for memory that isn't its own"),
        13 => ("PIPE", "it wrote to what nobody reads"),
        14 => ("ALRM", "its own timer"),
        15 => ("TERM", "somebody asked for its end"),
        31 => ("SYS", "it made a system call that its seccomp profile forbids"),
        _ => return None,
    })
}

/// Returns how many files were added, changed and removed.
pub(crate) fn counts(changes: &[Change]) -> (usize, usize, usize) {
    let of = |kind| changes.iter().filter(|change| change.kind == kind).count();
    (of(ChangeKind::Added), of(ChangeKind::Modified), of(ChangeKind::Deleted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_in_words() {
        let state = |exit_code, oom_killed| ContainerState {
            exit_code,
            oom_killed,
            ..ContainerState::default()
        };
        for (code, oom, text) in [
            (0, false, "it ended by itself, without a failure (0)"),
            (3, false, "it ended by itself with a failure (3)"),
            (127, false, "its command wasn't found (127)"),
            (137, true, "the kernel killed it for want of memory (137, SIGKILL)"),
            (139, false, "ended by SIGSEGV: it reached for memory that isn't its own (139)"),
            (128 + 35, false, "ended by signal 35 (163)"),
        ] {
            assert_eq!(end_words(&state(code, oom)), text);
        }
        assert!(end_words(&state(1, true)).contains("want of memory"));
    }
}
