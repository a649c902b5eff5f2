//! The engine's error: the kind, the operation with its object, and the cause.

use std::path::Path;

use wharf_model::ErrorKind;

/// How the sentences of the database's errors begin.
const DATABASE: &str = "state database";

/// A failed operation of the engine.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    #[source]
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// Returns an error of this kind with this sentence.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), cause: None }
    }

    /// Returns an internal error: the operation with its object, then the cause.
    pub fn failed(
        operation: impl std::fmt::Display,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        let cause = cause.into();
        let mut message = format!("{operation}: {cause}");
        if is_unknown_call(&*cause) {
            message.push_str(&way_to_a_kernel());
        }
        Self { kind: ErrorKind::Internal, message, cause: Some(cause) }
    }

    /// Returns the same error, with the database's place if it is one of the database's.
    #[must_use]
    pub(crate) fn of_database(mut self, path: &Path) -> Self {
        if let Some(rest) = self.message.strip_prefix(DATABASE) {
            self.message = format!("state database {}{rest}", path.display());
        }
        self
    }

    /// Returns the same error with another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// Returns whether a disk without room is the cause.
    pub(crate) fn is_full(&self) -> bool {
        let Some(cause) = &self.cause else { return false };
        let full = rusqlite::ErrorCode::DiskFull;
        let database = cause.downcast_ref::<rusqlite::Error>();
        let file = cause.downcast_ref::<std::io::Error>();
        database.is_some_and(|cause| cause.sqlite_error_code() == Some(full))
            || file.is_some_and(|cause| cause.kind() == std::io::ErrorKind::StorageFull)
    }

    /// Returns what kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

/// Returns whether the kernel said that it knows no such system call.
fn is_unknown_call(cause: &(dyn std::error::Error + 'static)) -> bool {
    let unknown = rustix::io::Errno::NOSYS;
    std::iter::successors(Some(cause), |cause| cause.source()).any(|cause| {
        let file = cause.downcast_ref::<std::io::Error>();
        file.and_then(std::io::Error::raw_os_error) == Some(unknown.raw_os_error())
            || cause.downcast_ref::<rustix::io::Errno>() == Some(&unknown)
            || cause.downcast_ref::<nix::Error>() == Some(&nix::Error::ENOSYS)
    })
}

/// Returns what is missing in this kernel and what to do, as the end of a sentence.
pub(crate) fn way_to_a_kernel() -> String {
    wharf_sys::calls::missing().map_or_else(String::new, |(name, since)| {
        format!(
            ": there is no system call {name}, which Linux has since {since}: run wharf on Linux 5.10 or \
             newer, and where a sandbox around it hides the call, let it through"
        )
    })
}

impl From<rusqlite::Error> for Error {
    fn from(cause: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, DiskFull, NotADatabase, ReadOnly};
        let way_out = match cause.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => {
                ": run 'wharf system check --repair', which saves what can be read"
            }
            Some(DiskFull) => ": free some space on its disk",
            Some(ReadOnly) => ": its folder must be writable",
            _ => "",
        };
        // What a column holds, however it came there, isn't what this program writes.
        let way_out = match &cause {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..) => ": run 'wharf system check'",
            _ => way_out,
        };
        let message = format!("{DATABASE}: {cause}{way_out}");
        Self { kind: ErrorKind::Internal, message, cause: Some(Box::new(cause)) }
    }
}

/// The result of every engine operation.
pub type Result<T> = std::result::Result<T, Error>;
