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
