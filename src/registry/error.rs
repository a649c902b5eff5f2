//! The error of everything that has to do with a registry.

use std::error::Error as _;

use wharf_model::ErrorKind;

/// A failed operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What kind of failure it is.
    pub kind: ErrorKind,
    /// One sentence that names the operation and the object, in docker's words where docker has
    /// them. It never holds a secret.
    pub message: String,
}

impl Error {
    /// Returns an error of this kind with this sentence.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }
}

/// The result of every operation.
pub type Result<T> = std::result::Result<T, Error>;

/// Returns what went wrong below: the innermost cause, which names the reason, where those around it
/// only name the layer of the program. The address isn't in it, since those of other hosts hold
/// signatures.
pub(crate) fn innermost(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !inner_text.is_empty() {
            text = inner_text;
        }
        cause = inner.source();
    }
    text
}
