//! The error of every backend.

use wharf_model::ErrorKind;

/// A failed operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What kind of failure it is.
    pub kind: ErrorKind,
    /// One sentence that names the operation and the object, in docker's words where docker has
    /// them, without `Error response from daemon: `.
    pub message: String,
}

impl Error {
    /// Returns an error of this kind with this sentence.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

/// The result of every backend operation.
pub type Result<T> = std::result::Result<T, Error>;
