//! What happened to an object, as the engine tells it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The kind of object an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// A container.
    Container,
    /// An image.
    Image,
    /// A network.
    Network,
    /// A volume.
    Volume,
    /// The engine itself.
    Daemon,
}

impl EventKind {
    /// Returns docker's lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Network => "network",
            Self::Volume => "volume",
            Self::Daemon => "daemon",
        }
    }
}

/// One event: docker's `type`, `action` and `actor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Event {
    /// When it happened.
    pub time: DateTime<Utc>,
    /// What it happened to.
    pub kind: EventKind,
    /// Docker's verb: `create`, `start`, `die`, `oom`, `destroy`, `tag`, …
    pub action: String,
    /// The object's id.
    pub id: String,
    /// More about it: `name`, `image`, `exitCode`, the labels.
    pub attributes: BTreeMap<String, String>,
}

impl Event {
    /// Returns docker's action of a further program: `exec_start: sh -c x`. One without arguments has a
    /// space at its end there, and so it has here.
    pub fn of_program(verb: &str, command: &[String]) -> String {
        let (program, arguments) =
            command.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        format!("{verb}: {program} {}", arguments.join(" "))
    }
}

/// What programs in containers and those who look at containers do.
const PASSING: [&str; 5] = ["exec_", "attach", "detach", "resize", "top"];

/// Returns whether an action of a container's is a matter of the moment: it changes nothing that anybody
/// could look up, and there may be any number of it.
pub fn is_passing(action: &str) -> bool {
    PASSING.iter().any(|word| action.starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_programs_are_named_as_docker_names_them() {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let of = |list: &[&str]| Event::of_program("exec_start", &words(list));
        assert_eq!(of(&["sh", "-c", "x y"]), "exec_start: sh -c x y");
        assert_eq!(of(&["true"]), "exec_start: true ");
    }

    #[test]
    fn what_changes_nothing_is_known() {
        for action in ["exec_die", "exec_create: sh ", "attach", "detach", "resize", "top"] {
            assert!(is_passing(action), "{action}");
        }
        for action in ["start", "die", "export", "archive-path", "health_status: healthy"] {
            assert!(!is_passing(action), "{action}");
        }
    }
}
