//! The event screen, and the event tab of a container.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Line, put, say};
use crate::app::{App, EventRow};
use crate::theme::Role;

/// Below this width, names are worth more than of what kind they are.
const NARROW: u16 = 60;

/// The cells of an engine's name.
const HOST: u16 = 10;

/// Draws the events of all engines.
pub(super) fn list(app: &App, buffer: &mut Buffer, head: Rect, area: Rect) {
    buffer.set_style(head, app.theme.style(Role::Bar));
    let mut line = Line::new(app, buffer, head);
    line.skip(1);
    let cells = Cells::of(app, area.width);
    let hosts = if app.hosts.several() { HOST } else { 0 };
    let Cells { kind, action, name } = cells;
    for (title, wide) in
        [("TIME", 11), ("HOST", hosts), ("OBJECT", kind), ("ACTION", action), ("NAME", name)]
    {
        line.cell(title, wide, false, app.theme.style(Role::Bar));
    }
    let more = line.x;
    let events = &app.events;
    let mut told = Vec::new();
    if events.paused.is_some() {
        told.push(format!("held, {} more", events.missed()));
    }
    match events.hidden() {
        0 => {}
        1 => told.push("1 program left out".to_owned()),
        n => told.push(format!("{n} programs left out")),
    }
    let mut told = told.join(", ");
    // Where the titles leave no room, only that time stands still is told.
    let titles = more.saturating_sub(name + 1) + u16::try_from("NAME ".len()).unwrap_or(0);
    if told.len() + 1 > usize::from(head.right().saturating_sub(titles)) {
        told = events.paused.map_or_else(String::new, |_| "held".to_owned());
    }
    let right = u16::try_from(told.len() + 1).unwrap_or(0).min(head.width);
    let place = Rect { x: head.right() - right, width: right, ..head };
    put(buffer, place, &told, app.theme.style(Role::Bar));
    // A title is left out where what is told reaches it.
    if u16::try_from("MORE".len() + 1).is_ok_and(|wide| more + wide < place.x) {
        put(buffer, Rect { x: more, width: 4, ..head }, "MORE", app.theme.style(Role::Bar));
    }
    if events.shown.is_empty() {
        let text = match events.filter.as_str() {
            "" if events.hidden() > 0 => {
                "nothing but programs inside of containers: x shows them".to_owned()
            }
            "" => "nothing has happened that the engine remembers".to_owned(),
            filter => format!("no event matches {filter}: Esc clears it"),
        };
        return say(app, buffer, area, &text, Role::Dim);
    }
    for (y, at) in (area.y..area.bottom()).zip(events.cursor.top..events.shown.len()) {
        let Some(row) = events.shown.get(at).and_then(|n| events.rows.get(*n)) else { continue };
        let place = Rect { y, height: 1, ..area };
        draw(app, buffer, place, row, Some(cells));
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
        draw(app, buffer, Rect { y, height: 1, ..area }, row, None);
    }
}

/// How wide the columns are whose texts differ most.
#[derive(Clone, Copy)]
pub(super) struct Cells {
    /// That of the kind; none where its name alone has room.
    kind: u16,
    action: u16,
    name: u16,
}

impl Cells {
    /// What is enough for most.
    pub(super) fn usual(width: u16) -> Self {
        Self { kind: 9, action: if width >= 100 { 24 } else { 14 }, name: 24 }
    }

    /// Where there is little room, that of the longest texts in sight.
    fn of(app: &App, width: u16) -> Self {
        if width >= 100 {
            return Self::usual(width);
        }
        let narrow = width < NARROW;
        let most = if narrow { 12 } else { 20 };
        let action = longest(app, |row| short(&row.action)).clamp(10, most);
        let name = longest(app, |row| &row.name).clamp(10, 24);
        Self { kind: if narrow { 0 } else { 9 }, action, name }
    }
}

/// Returns the width of the longest text of the events that are shown.
fn longest(app: &App, text: impl Fn(&EventRow) -> &str) -> u16 {
    let events = &app.events;
    let rows = events.shown.iter().skip(events.cursor.top).take(usize::from(app.size.1));
    let rows = rows.filter_map(|n| events.rows.get(*n));
    let widest = rows.map(|row| crate::text::width(text(row))).max().unwrap_or(0);
    u16::try_from(widest + 1).unwrap_or(u16::MAX)
}

/// Returns an action as the list shows it. What probes say comes before the word that says that it is
/// from them.
fn short(action: &str) -> &str {
    action.strip_prefix("health_status: ").unwrap_or(action)
}

pub(super) fn draw(
    app: &App,
    buffer: &mut Buffer,
    area: Rect,
    row: &EventRow,
    cells: Option<Cells>,
) {
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
    let named = cells.is_some();
    if named && app.hosts.several() {
        line.cell(app.hosts.get(row.host).name(), HOST, false, style(Role::Info));
    }
    if let Some(Cells { kind: kind @ 1.., .. }) = cells {
        line.cell(row.kind.as_str(), kind, false, style(Role::Dim));
    }
    match cells {
        Some(Cells { action: wide, name, .. }) => {
            let text = if wide < 24 { short(&row.action) } else { &row.action };
            line.cell(text, wide, false, style(action));
            line.cell(&row.name, name, false, style(Role::Text));
        }
        None => {
            let wide = u16::try_from(crate::text::width(&row.action)).unwrap_or(14).clamp(14, 40);
            line.cell(&row.action, wide, false, style(action));
        }
    }
    if !row.container.is_empty() {
        // By its name, as long as it is there.
        let known = app.containers.row_of(&row.container).map(|row| row.summary.name.as_str());
        let name = known.or(row.container.get(..12)).unwrap_or(&row.container);
        line.text(&format!("container={name}"), style(Role::Dim)).skip(1);
    }
    line.text(&row.details, style(Role::Dim));
}
