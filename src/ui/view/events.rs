//! The event screen, and the event tab of a container.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Line, say};
use crate::app::{App, EventRow};
use crate::theme::Role;

/// Draws the events of the whole engine.
pub(super) fn list(app: &App, buffer: &mut Buffer, head: Rect, area: Rect) {
    buffer.set_style(head, app.theme.style(Role::Bar));
    let mut line = Line::new(app, buffer, head);
    line.skip(1);
    for (title, cells) in [("TIME", 8), ("OBJECT", 9), ("ACTION", 14), ("NAME", 24), ("MORE", 40)] {
        line.cell(title, cells, false, app.theme.style(Role::Bar));
    }
    let events = &app.events;
    if events.shown.is_empty() {
        let text = match events.filter.as_str() {
            "" => "nothing has happened since the dashboard was opened".to_owned(),
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

/// Draws the newest events of the selected container.
pub(super) fn of_container(app: &App, buffer: &mut Buffer, area: Rect) {
    let Some(selected) = app.selected() else { return };
    let rows: Vec<&EventRow> =
        app.events.of(selected.summary.id.as_str()).rev().take(usize::from(area.height)).collect();
    if rows.is_empty() {
        let name = &selected.summary.name;
        let text = format!("nothing has happened to {name} since the dashboard was opened");
        return say(app, buffer, area, &text, Role::Dim);
    }
    for (y, row) in (area.y..area.bottom()).zip(rows.into_iter().rev()) {
        draw(app, buffer, Rect { y, height: 1, ..area }, row, false);
    }
}

pub(super) fn draw(app: &App, buffer: &mut Buffer, area: Rect, row: &EventRow, named: bool) {
    let style = |role| app.theme.style(role);
    let action = match row.action.as_str() {
        "die" | "oom" | "kill" | "destroy" => Role::Warn,
        _ => Role::Text,
    };
    let mut line = Line::new(app, buffer, area);
    line.skip(1);
    line.cell(&row.time.format("%H:%M:%S").to_string(), 8, false, style(Role::Dim));
    if named {
        line.cell(row.kind.as_str(), 9, false, style(Role::Dim));
    }
    line.cell(&row.action, 14, false, style(action));
    if named {
        line.cell(&row.name, 24, false, style(Role::Text));
    }
    line.text(&row.details, style(Role::Dim));
}
