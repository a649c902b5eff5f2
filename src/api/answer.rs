//! Answers and their statuses.

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use wharf_backend::Error;
use wharf_model::ErrorKind;

use crate::body::{self, Body};

/// An answer.
pub(crate) type Answer = Response<Body>;

/// Why there is none: a status and a sentence.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

/// What the function of a route returns.
pub(crate) type Answered = Result<Answer, Refusal>;

impl Refusal {
    /// Returns a refusal with this status.
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// Returns the refusal of a request that is wrong in itself.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// Returns the refusal of what isn't there.
    pub(crate) fn missing(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// Returns docker's error document.
    pub(crate) fn answer(self) -> Answer {
        if self.status == StatusCode::NOT_MODIFIED {
            return status(self.status);
        }
        with_status(self.status, &json!({"message": self.message}))
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { status: status_of(error.kind), message: error.message }
    }
}

impl From<wharf_registry::Error> for Refusal {
    fn from(error: wharf_registry::Error) -> Self {
        Self { status: status_of(error.kind), message: error.message }
    }
}

fn status_of(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::NotModified => StatusCode::NOT_MODIFIED,
        ErrorKind::Denied => StatusCode::FORBIDDEN,
        ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        // Docker blames the request where a container's own program is at fault.
        ErrorKind::Invalid | ErrorKind::CommandNotFound | ErrorKind::CommandNotExecutable => {
            StatusCode::BAD_REQUEST
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Returns a document with a status; as docker's, it ends with a newline.
pub(crate) fn with_status(status: StatusCode, document: &impl Serialize) -> Answer {
    let mut text = serde_json::to_vec(document).unwrap_or_default();
    text.push(b'\n');
    let mut answer = Response::new(body::full(text));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// Returns a document.
pub(crate) fn document(document: &impl Serialize) -> Answered {
    Ok(with_status(StatusCode::OK, document))
}

/// Returns a document about something that was made.
pub(crate) fn created(document: &Value) -> Answered {
    Ok(with_status(StatusCode::CREATED, document))
}

/// Returns an answer that is a status alone.
pub(crate) fn status(status: StatusCode) -> Answer {
    let mut answer = Response::new(body::full(bytes::Bytes::new()));
    *answer.status_mut() = status;
    answer
}

/// Returns the answer of what is done and has nothing to say.
pub(crate) fn done() -> Answered {
    Ok(status(StatusCode::NO_CONTENT))
}

/// Returns a body of this type.
pub(crate) fn of_type(content_type: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
