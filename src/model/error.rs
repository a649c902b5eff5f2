//! What kind of failure an error is, so that callers can choose an exit code or an HTTP status.

use serde::{Deserialize, Serialize};

/// The kind of a failure, the same for every backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The named object doesn't exist.
    NotFound,
    /// The object's state, or another object, stands in the way (a name in use, a running container).
    Conflict,
    /// The request itself is wrong.
    Invalid,
    /// The object already is in the wanted state.
    NotModified,
    /// This engine, kernel or backend can't do it.
    Unsupported,
    /// The caller lacks a right.
    Denied,
    /// The container's command was not found in its root filesystem (exit code 127).
    CommandNotFound,
    /// The container's command can't be executed (exit code 126).
    CommandNotExecutable,
    /// The engine can't be reached.
    Unavailable,
    /// Anything else that went wrong below.
    Internal,
}

/// A text that isn't a well-formed value of its type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(pub String);
