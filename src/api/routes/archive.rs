//! Files of containers on their way in and out.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use wharf_backend::{ArchivePut, Backend};
use wharf_model::PathStat;

use crate::answer::{self, Answered, Refusal};
use crate::body;
use crate::request::{Ask, Query};
use crate::server::Server;

/// Returns the path that is meant.
fn path(query: &Query) -> Result<&str, Refusal> {
    query.text("path").ok_or_else(|| Refusal::invalid("bad parameter: 'path' cannot be empty"))
}

/// Docker's header with what a path leads to.
fn put_stat(headers: &mut HeaderMap, stat: &PathStat) {
    let text = serde_json::to_vec(stat).unwrap_or_default();
    if let Ok(value) = HeaderValue::from_str(&STANDARD.encode(text)) {
        headers.insert(HeaderName::from_static("x-docker-container-path-stat"), value);
    }
}

pub(crate) async fn head(server: &Arc<Server>, name: &str, query: &Query) -> Answered {
    let stat = server.engine.archive_stat(name, path(query)?).await?;
    let mut answer = answer::status(StatusCode::OK);
    put_stat(answer.headers_mut(), &stat);
    Ok(answer)
}

pub(crate) async fn get(server: &Arc<Server>, name: &str, query: &Query) -> Answered {
    let (stat, archive) = server.engine.archive_get(name, path(query)?).await?;
    let mut answer = answer::of_type("application/x-tar", body::stream(archive));
    put_stat(answer.headers_mut(), &stat);
    Ok(answer)
}

pub(crate) async fn put(server: &Arc<Server>, name: &str, ask: Ask) -> Answered {
    let path = path(&ask.query)?.to_owned();
    let options = ArchivePut {
        keeps_folders: ask.query.on("noOverwriteDirNonDir"),
        keeps_owners: ask.query.on("copyUIDGID"),
    };
    server.engine.archive_put(name, &path, ask.reader(), options).await?;
    Ok(answer::status(StatusCode::OK))
}
