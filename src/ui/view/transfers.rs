//! A pull, a push or a save: a line a layer.

use wharf_model::LayerState;

use super::pages::Spans;
use crate::app::App;
use crate::app::transfers::{MovingLayer, Transfer, TransferKind};
use crate::format::size;
use crate::text::wrap;
use crate::theme::Role;

/// The cells of a layer's bar.
const BAR: usize = 16;

fn find(app: &App, operation: u64) -> Option<&Transfer> {
    app.transfers.iter().find(|transfer| transfer.operation == operation)
}

/// Returns the heading.
pub(super) fn title(app: &App, operation: u64) -> String {
    let Some(transfer) = find(app, operation) else { return String::new() };
    match (&transfer.end, transfer.kind) {
        (None, _) => {
            let summary = transfer.summary();
            let mut letters = summary.chars();
            letters.next().map_or_else(String::new, |c| c.to_uppercase().chain(letters).collect())
        }
        (Some(Err(_)), kind) => format!("Failed to {} {}", kind.verb(), transfer.what),
        (Some(Ok(_)), TransferKind::Pull) => format!("Pulled {}", transfer.what),
        (Some(Ok(_)), TransferKind::Push) => format!("Pushed {}", transfer.what),
        (Some(Ok(_)), TransferKind::Save) => format!("Saved {}", transfer.what),
    }
}

/// Returns what is told of it.
pub(super) fn lines(app: &App, operation: u64, columns: usize) -> Vec<Spans> {
    let Some(transfer) = find(app, operation) else { return Vec::new() };
    let mut lines: Vec<Spans> = Vec::new();
    let mut say = |text: &str, role: Role| {
        lines.extend(wrap(text, columns).into_iter().map(|line| vec![(line, role)]));
    };
    match &transfer.end {
        Some(Err(why)) => say(why, Role::Bad),
        Some(Ok(text)) => say(text, Role::Good),
        None if !transfer.note.is_empty() => say(&transfer.note, Role::Text),
        None if transfer.kind == TransferKind::Save => {}
        None => say("asking the registry", Role::Dim),
    }
    if transfer.kind == TransferKind::Save && transfer.end.is_none() {
        let total = transfer.size.unwrap_or_default();
        let text = format!(" {} written, of about {}", size(transfer.bytes), size(total));
        let bar = bar(app, transfer.bytes, total);
        lines.push(vec![(bar, Role::Info), (text, Role::Text)]);
    }
    if let Some(line) = app.lines.get(&operation).filter(|line| !line.is_empty()) {
        let rows = wrap(&format!("$ {line}"), columns).into_iter();
        lines.extend(rows.map(|row| vec![(row, Role::Dim)]));
    }
    if !transfer.layers.is_empty() {
        lines.push(Vec::new());
        lines.extend(transfer.layers.iter().map(|layer| layer_line(app, layer)));
    }
    lines
}

fn bar(app: &App, done: u64, total: u64) -> String {
    let full = (done.min(total) * BAR as u64).checked_div(total).unwrap_or(0);
    let full = usize::try_from(full).unwrap_or(0);
    let (on, off) = if app.theme.look().unicode { ("━", "┄") } else { ("#", ".") };
    format!("{}{}", on.repeat(full), off.repeat(BAR - full))
}

fn layer_line(app: &App, layer: &MovingLayer) -> Spans {
    let of = |done: u64, total: Option<u64>| match total {
        Some(total) => format!("{} of {}", size(done), size(total)),
        None => size(done),
    };
    let (word, role, amount) = match &layer.state {
        LayerState::Preparing => ("preparing", Role::Dim, String::new()),
        LayerState::Waiting => ("waiting", Role::Dim, String::new()),
        LayerState::Downloading { done, total } => ("downloading", Role::Info, of(*done, *total)),
        LayerState::Retrying { seconds } => {
            ("again soon", Role::Warn, format!("in {seconds} s, the connection broke"))
        }
        LayerState::Verifying => ("verifying", Role::Info, String::new()),
        LayerState::Downloaded => ("downloaded", Role::Text, String::new()),
        LayerState::Extracting { done, total } => ("unpacking", Role::Info, of(*done, *total)),
        LayerState::Complete => ("complete", Role::Good, String::new()),
        LayerState::Exists => ("was there", Role::Dim, String::new()),
        LayerState::Uploading { done, total } => ("uploading", Role::Info, of(*done, *total)),
        LayerState::Pushed => ("pushed", Role::Good, String::new()),
        LayerState::Mounted { from } => {
            let from = wharf_logs::sanitize_line(from);
            ("was there", Role::Dim, format!("in {from}"))
        }
        _ => ("on its way", Role::Info, String::new()),
    };
    let moves = match &layer.state {
        LayerState::Downloading { done, total: Some(total) }
        | LayerState::Extracting { done, total: Some(total) }
        | LayerState::Uploading { done, total: Some(total) } => Some(bar(app, *done, *total)),
        _ => None,
    };
    let mut line = vec![(format!("{:<12}  ", layer.id), Role::Dim), (format!("{word:<12}"), role)];
    if let Some(bar) = moves {
        line.push((format!("{bar} "), Role::Info));
    }
    line.push((amount, Role::Text));
    line
}
