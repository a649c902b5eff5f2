//! Log records and what part of a log is wanted.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Which output of the container a record came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogStream {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

impl LogStream {
    /// Returns the word that docker's log files use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// One record of a container's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// When the engine read it.
    pub time: DateTime<Utc>,
    /// Where it came from.
    pub stream: LogStream,
    /// The bytes as the container wrote them, the newline included when the line is complete. Not
    /// sanitised.
    pub message: Vec<u8>,
    /// What `--log-opt labels`, `env` and `tag` add to it: usually nothing.
    pub attributes: BTreeMap<String, String>,
}

/// Which records are wanted, and whether to wait for more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Only this many of the last records; none means all.
    pub tail: Option<u64>,
    /// Only records at or after this instant.
    pub since: Option<DateTime<Utc>>,
    /// Only records before this instant.
    pub until: Option<DateTime<Utc>>,
    /// Whether to go on with new records until the container ends.
    pub follow: bool,
    /// Whether the records' attributes are wanted.
    pub details: bool,
}
