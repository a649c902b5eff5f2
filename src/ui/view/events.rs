//! The event screen, and the event tab of a container.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Line, put, say};
use crate::app::{App, EventRow};
use crate::theme::Role;

/// The cells of an engine's name.
const HOST: u16 = 10;

/// Draws the events of all engines.
pub(super) fn list(app: &App, buffer: &mut Buffer, head: Rect, area: Rect) {
    buffer.set_style(head, app.theme.style(Role::Bar));
    let mut line = Line::new(app, buffer, head);
    line.skip(1);
    let wide = action_cells(area.width);
    let hosts = if app.hosts.several() { HOST } else { 0 };
    for (title, cells) in
        [("TIME", 11), ("HOST", hosts), ("OBJECT", 9), ("ACTION", wide), ("NAME", 24), ("MORE", 40)]
    {
        line.cell(title, cells, false, app.theme.style(Role::Bar));
    }
    let events = &app.events;
    let mut told = Vec::new();
    if events.paused.is_some() {
        told.push(format!("held, {} more", events.missed()));
    }
    if events.hidden() > 0 {
        told.push(format!("{} programs left out", events.hidden()));
    }
    let told = told.join(", ");
    let right = u16::try_from(told.len() + 1).unwrap_or(0).min(head.width);
    let place = Rect { x: head.right() - right, width: right, ..head };
    put(buffer, place, &told, app.theme.style(Role::Bar));
    if events.shown.is_empty() {
        let text = match events.filter.as_str() {
            "" => "nothing has happened that the engine remembers".to_owned(),
            filter => format!("no event matches {filter}: Esc clears it"),
        };
        return say(app, buffer, area, &text, Role::Dim);
    }
    for (y, at) in (area.y..area.bottom()).zip(events.cursor.top..events.shown.len()) {
        let Some(row) = events.shown.get(at).and_then(|n| events.rows.get(*n)) else { continue };
        let place = Rect { y, height: 1, ..area };
        draw(app, buffer, place, row, true);
        if at == events.cursor.at {
            buffer.set_style(place, app.theme.style(Role::Selected));
        }
    }
}

/// Draws the events of the selected container, the newest last.
pub(super) fn of_container(app: &App, buffer: &mut Buffer, area: Rect) {
    let Some(selected) = app.selected() else { return };
    let id = &selected.summary.id;
    let past = app.metrics.past(id).map(|past| past.happenings.as_slice()).unwrap_or_default();
    let rows = app.events.of(id, past, app.events.until);
    if rows.is_empty() {
        let text = format!("nothing is known of what happened to {}", selected.summary.name);
        return say(app, buffer, area, &text, Role::Dim);
    }
    let end = rows.len() - app.events.back.min(rows.len() - 1);
    let from = end.saturating_sub(usize::from(area.height));
    for (y, row) in (area.y..area.bottom()).zip(&rows[from..end]) {
        draw(app, buffer, Rect { y, height: 1, ..area }, row, false);
    }
}

/// Returns the room for an action: `health_status: unhealthy` where there is enough.
fn action_cells(width: u16) -> u16 {
    if width >= 100 { 24 } else { 14 }
}

pub(super) fn draw(app: &App, buffer: &mut Buffer, area: Rect, row: &EventRow, named: bool) {
    let style = |role| app.theme.style(role);
    let action = match row.action.as_str() {
        "oom" | "health_status: unhealthy" => Role::Bad,
        "die" | "kill" | "destroy" => Role::Warn,
        _ => Role::Text,
    };
    let mut line = Line::new(app, buffer, area);
    line.skip(1);
    // A time of day is enough of what happened today.
    let today = row.time.date_naive() == app.now.date_naive();
    let format = if today { "%H:%M:%S" } else { "%m-%d %H:%M" };
    line.cell(&row.time.format(format).to_string(), 11, false, style(Role::Dim));
    if named && app.hosts.several() {
        line.cell(app.hosts.get(row.host).name(), HOST, false, style(Role::Info));
    }
    if named {
        line.cell(row.kind.as_str(), 9, false, style(Role::Dim));
    }
    let cells = u16::try_from(crate::text::width(&row.action)).unwrap_or(14).clamp(14, 40);
    let cells = if named { action_cells(area.width) } else { cells };
    line.cell(&row.action, cells, false, style(action));
    if named {
        line.cell(&row.name, 24, false, style(Role::Text));
    }
    line.text(&row.details, style(Role::Dim));
}
