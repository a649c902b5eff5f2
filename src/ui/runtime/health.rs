//! What the health tab shows of a container, gathered from the engine.

use futures_util::StreamExt;
use wharf_backend::{Backend, Error};
use wharf_logs::sanitize_line;
use wharf_model::{ContainerId, LogOptions};

use crate::app::health::Report;

/// How many of the last lines of a log are shown.
const LINES: usize = 12;

/// The longest line that is kept.
const LONG: usize = 500;

/// Gathers the report; of a container that has `ended` with its last words and what it changed.
///
/// # Errors
/// When the engine doesn't know the container. What else can't be had says why in its place.
pub async fn report(
    backend: &dyn Backend,
    id: &ContainerId,
    ended: bool,
) -> Result<Box<Report>, Error> {
    let detail = backend.container(id.as_str()).await?;
    let mut report =
        Report { state: detail.state, check: detail.config.healthcheck, ..Report::default() };
    report.state.error = sanitize_line(&report.state.error).into_owned();
    if let Some(health) = &mut report.state.health {
        for probe in &mut health.log {
            let first = probe.output.trim().lines().next().unwrap_or_default();
            probe.output = sanitize_line(first).into_owned();
        }
    }
    if ended {
        report.log = last_lines(backend, id).await;
        let changes = backend.changes(id.as_str()).await;
        let mut changes = changes.map_err(|error| sanitize_line(&error.message).into_owned());
        for change in changes.iter_mut().flatten() {
            change.path = sanitize_line(&change.path).into_owned();
        }
        report.changes = Some(changes);
    }
    Ok(Box::new(report))
}

async fn last_lines(
    backend: &dyn Backend,
    id: &ContainerId,
) -> Vec<(Option<chrono::DateTime<chrono::Utc>>, String)> {
    let options = LogOptions { tail: Some(LINES as u64), ..LogOptions::default() };
    // A container without a log has no last words.
    let Ok(mut records) = backend.logs(id.as_str(), options).await else { return Vec::new() };
    let mut lines = Vec::new();
    while let Some(Ok(record)) = records.next().await {
        let text = String::from_utf8_lossy(&record.message);
        let text: String = text.chars().take(LONG).collect();
        lines.push((Some(record.time), sanitize_line(text.trim_end()).into_owned()));
    }
    let old = lines.len().saturating_sub(LINES);
    lines.drain(..old);
    lines
}
