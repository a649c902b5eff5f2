//! The error of everything here: the operation with its object, and the system's reason.

use std::io;
use std::path::{Path, PathBuf};

/// A failed operation on a log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file operation failed.
    #[error("{operation} log {}: {cause}", path.display())]
    File {
        /// What was done to the file.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        cause: io::Error,
    },
    /// The search pattern isn't a regular expression.
    #[error("search pattern {pattern:?}: {reason}")]
    Pattern {
        /// The pattern as given.
        pattern: String,
        /// What is wrong with it, in one line.
        reason: String,
    },
}

impl Error {
    pub(crate) fn file(operation: &'static str, path: &Path, cause: impl Into<io::Error>) -> Self {
        Self::File { operation, path: path.to_owned(), cause: cause.into() }
    }

    /// Returns the system's reason, if it is a file operation that failed.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::File { cause, .. } => Some(cause.kind()),
            Self::Pattern { .. } => None,
        }
    }
}

/// The result of every log operation.
pub type Result<T> = std::result::Result<T, Error>;
