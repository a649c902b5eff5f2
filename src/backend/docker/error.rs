//! From what a Docker engine answers to this crate's error.

use std::io;

use bollard::errors::Error as BollardError;
use hyper::StatusCode;
use wharf_model::ErrorKind;

use crate::Error;

/// Returns the error that an answer with this status stands for. The kinds follow the Engine API's
/// documented statuses; `start` and `exec` tell a missing or unusable command only in the text.
pub(super) fn from_status(status: StatusCode, message: &str) -> Error {
    let kind = match status.as_u16() {
        304 => ErrorKind::NotModified,
        401 | 403 => ErrorKind::Denied,
        404 => ErrorKind::NotFound,
        409 => ErrorKind::Conflict,
        501 => ErrorKind::Unsupported,
        503 => ErrorKind::Unavailable,
        status @ (400 | 500) => command_kind(message).unwrap_or(if status == 400 {
            ErrorKind::Invalid
        } else {
            ErrorKind::Internal
        }),
        400..=499 => ErrorKind::Invalid,
        _ => ErrorKind::Internal,
    };
    let message = message.trim_end();
    if message.is_empty() {
        let reason = status.canonical_reason().unwrap_or("an unknown status");
        return Error::new(kind, format!("the engine answered {} ({reason})", status.as_u16()));
    }
    Error::new(kind, message)
}

/// Returns the kind of a failure to execute the container's command, by the sentences of runc, crun
/// and youki that docker passes on (docker's own command line chooses 126 and 127 by them too).
fn command_kind(message: &str) -> Option<ErrorKind> {
    let about_exec = ["OCI runtime", "exec", "starting container process"]
        .iter()
        .any(|words| message.contains(words));
    if !about_exec {
        return None;
    }
    if message.contains("executable file not found")
        || message.contains("no such file or directory")
        || message.contains("No such file or directory")
    {
        return Some(ErrorKind::CommandNotFound);
    }
    let refused = ["permission denied", "Permission denied", "is a directory", "exec format error"];
    refused.iter().any(|words| message.contains(words)).then_some(ErrorKind::CommandNotExecutable)
}

/// Returns the error of an address that doesn't take the connection, with the way out.
pub(super) fn unreachable(place: &str, cause: &io::Error) -> Error {
    match cause.kind() {
        io::ErrorKind::PermissionDenied => Error::new(
            ErrorKind::Denied,
            format!(
                "permission denied at the Docker engine's socket {place}: run as root or as a \
                 member of the socket's group"
            ),
        ),
        _ => Error::new(
            ErrorKind::Unavailable,
            format!("cannot connect to the Docker engine at {place}: is it running? ({cause})"),
        ),
    }
}

/// Returns the error of a conversation that broke.
pub(super) fn broken(operation: &str, cause: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{operation}: the Docker engine hung up: {cause}"))
}

/// Returns the error of an answer that isn't what the Engine API promises.
pub(super) fn malformed(operation: &str, cause: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Internal,
        format!("{operation}: the Docker engine's answer can't be read: {cause}"),
    )
}

/// Carries an error of ours through bollard, which knows only its own.
pub(super) fn into_bollard(error: Error) -> BollardError {
    BollardError::IOError { err: io::Error::other(error) }
}

impl From<BollardError> for Error {
    fn from(error: BollardError) -> Self {
        match error {
            BollardError::DockerResponseServerError { status_code, message } => {
                let status =
                    StatusCode::from_u16(status_code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                from_status(status, &message)
            }
            BollardError::IOError { err } => match err.downcast::<Self>() {
                Ok(ours) => ours,
                Err(err) => broken("Docker engine", err),
            },
            BollardError::HyperResponseError { err } => broken("Docker engine", err),
            BollardError::RequestTimeoutError => Self::new(
                ErrorKind::Unavailable,
                "the Docker engine took too long to answer: is it overloaded?",
            ),
            BollardError::DockerStreamError { error } => Self::new(ErrorKind::Internal, error),
            other => malformed("Docker engine", other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_and_texts_of_dockerd_get_their_kinds() {
        let not_found = "OCI runtime create failed: container_linux.go:380: starting container \
                         process caused: exec: \"nope\": executable file not found in $PATH: unknown";
        let denied = "failed to create shim task: OCI runtime create failed: runc create failed: \
                      unable to start container process: exec: \"/etc\": permission denied: unknown";
        for (status, text, kind) in [
            (400, not_found, ErrorKind::CommandNotFound),
            (400, denied, ErrorKind::CommandNotExecutable),
            (400, "invalid reference format", ErrorKind::Invalid),
            (404, "No such container: x", ErrorKind::NotFound),
            (409, "Conflict. The container name \"/a\" is already in use", ErrorKind::Conflict),
            (304, "", ErrorKind::NotModified),
            (500, "driver failed programming external connectivity", ErrorKind::Internal),
        ] {
            let error = from_status(StatusCode::from_u16(status).unwrap(), text);
            assert_eq!(error.kind, kind, "{text}");
        }
        assert_eq!(
            from_status(StatusCode::NOT_MODIFIED, "").message,
            "the engine answered 304 (Not Modified)"
        );
    }

    #[test]
    fn a_missing_socket_and_a_closed_one_say_what_to_do() {
        let missing =
            unreachable("unix:///run/none.sock", &io::Error::from(io::ErrorKind::NotFound));
        assert_eq!(missing.kind, ErrorKind::Unavailable);
        assert!(missing.message.contains("unix:///run/none.sock: is it running?"), "{missing}");
        let denied =
            unreachable("unix:///run/none.sock", &io::Error::from(io::ErrorKind::PermissionDenied));
        assert_eq!(denied.kind, ErrorKind::Denied);
    }
}
