//! The volume list, and who has a volume.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Line, say};
use crate::app::{App, Focus, Link, Target, VolumeColumn, VolumeRow};
use crate::format::{age, size};
use crate::text::width;
use crate::theme::Role;

/// Below this width the driver is left out.
const DRIVER: u16 = 60;

/// Draws headings and rows.
pub(super) fn list(app: &App, buffer: &mut Buffer, head: Rect, area: Rect) {
    let volumes = &app.volumes;
    let glyphs = app.theme.glyphs();
    buffer.set_style(head, app.theme.style(Role::Bar));
    let rows = || volumes.shown.iter().filter_map(|n| volumes.rows.get(*n));
    let longest = rows().map(|row| width(&label(app, row))).max().unwrap_or(0);
    let driver = if head.width >= DRIVER { 8 } else { 0 };
    // Mark, size, users, age, and a blank after each column.
    let fixed = 1 + 7 + 9 + 6 + if driver > 0 { driver + 1 } else { 0 };
    let left = head.width.saturating_sub(fixed);
    let name = u16::try_from(longest).unwrap_or(u16::MAX).clamp(12, 48).min(left.max(8));
    let place = left.saturating_sub(name + 1);
    // A mount point that would be all ellipsis is better left out.
    let place = if place >= 20 { place } else { 0 };
    let name = if place == 0 { left.saturating_sub(1) } else { name };
    let mut line = Line::new(app, buffer, head);
    line.skip(1);
    let mut title = |text: &str, column: Option<VolumeColumn>, cells: u16, right: bool| {
        if cells == 0 {
            return;
        }
        let mut text = text.to_owned();
        if column == Some(volumes.sort) {
            let down = right != volumes.reversed;
            text.push_str(if down { glyphs.descending } else { glyphs.ascending });
        }
        line.cell(&text, cells, right, app.theme.style(Role::Bar));
    };
    title("NAME", Some(VolumeColumn::Name), name, false);
    title("SIZE", Some(VolumeColumn::Size), 6, true);
    title("USED BY", Some(VolumeColumn::Used), 8, false);
    title("AGE", Some(VolumeColumn::Age), 5, true);
    title("DRIVER", Some(VolumeColumn::Driver), driver, false);
    title("MOUNT POINT", None, place, false);
    if volumes.shown.is_empty() {
        let (text, role) = why_empty(app);
        return say(app, buffer, area, &text, role);
    }
    for (y, at) in (area.y..area.bottom()).zip(volumes.cursor.top..volumes.shown.len()) {
        let Some(row) = volumes.shown.get(at).and_then(|n| volumes.rows.get(*n)) else { continue };
        let line_area = Rect { y, height: 1, ..area };
        let used = !row.info.users.is_empty();
        let text = app.theme.style(if used { Role::Text } else { Role::Dim });
        let dim = app.theme.style(Role::Dim);
        let mut line = Line::new(app, buffer, line_area);
        line.skip(1).cell(&label(app, row), name, false, text);
        line.cell(&row_size(app, row), 6, true, text);
        line.cell(&users_word(row), 8, false, text);
        let made = row.info.created.map_or_else(|| glyphs.missing.to_owned(), |t| age(t, app.now));
        line.cell(&made, 5, true, dim);
        if driver > 0 {
            line.cell(&row.info.driver, driver, false, dim);
        }
        if place > 0 {
            line.cell(&row.info.mountpoint, place, false, dim);
        }
        if at == volumes.cursor.at {
            let role = if app.focus == Focus::List { Role::Selected } else { Role::Resting };
            buffer.set_style(line_area, app.theme.style(role));
        }
    }
}

fn why_empty(app: &App) -> (String, Role) {
    let volumes = &app.volumes;
    match &app.host().link {
        Link::Lost(why) if !volumes.loaded => (why.clone(), Role::Bad),
        _ if !volumes.loaded => ("asking the engine".to_owned(), Role::Dim),
        _ if volumes.filter.is_empty() => (
            "no volumes yet: n makes one, and so does wharf run -v NAME:/path".to_owned(),
            Role::Dim,
        ),
        _ => (format!("no volume matches {}: Esc clears it", volumes.filter), Role::Dim),
    }
}

/// Returns the name; what is happening to the volume goes before it.
fn label(app: &App, row: &VolumeRow) -> String {
    let frames = app.theme.glyphs().spinner;
    let frame = frames[app.turn % frames.len()];
    if let Some(saving) = app.volumes.saving(&row.info.name) {
        return format!("{frame} saved {} of {}", size(saving.bytes), row.label);
    }
    let on = Target::Volume(row.info.name.clone());
    match app.pending.values().find(|pending| pending.on == on) {
        Some(pending) => format!("{frame} {} {}", pending.doing, row.label),
        None => row.label.clone(),
    }
}

fn row_size(app: &App, row: &VolumeRow) -> String {
    match row.info.size {
        Some(bytes) => size(bytes),
        None if app.volumes.sizing => app.theme.glyphs().ellipsis.to_owned(),
        None => app.theme.glyphs().missing.to_owned(),
    }
}

/// Returns how many containers have a volume, and whether any of them runs.
fn users_word(row: &VolumeRow) -> String {
    match (row.info.users.len(), row.running()) {
        (0, _) => "nobody".to_owned(),
        (1, 1) => "1 up".to_owned(),
        (all, running) if all == running => format!("{all} up"),
        (all, 0) => format!("{all} down"),
        (all, running) => format!("{running}/{all} up"),
    }
}

/// Draws who has the selected volume, and how.
pub(super) fn users(app: &App, buffer: &mut Buffer, area: Rect) {
    let Some(row) = app.volumes.selected() else { return };
    if row.info.users.is_empty() {
        let text = format!("no container has {}", row.label);
        return say(app, buffer, area, &text, Role::Dim);
    }
    let users = &row.info.users;
    let longest = users.iter().map(|user| width(&user.name)).max().unwrap_or(0).clamp(9, 30);
    let name = u16::try_from(longest).unwrap_or(30);
    let dim = app.theme.style(Role::Dim);
    let mut line = Line::new(app, buffer, Rect { height: 1, ..area });
    line.skip(1).cell("CONTAINER", name, false, dim).cell("STATE", 12, false, dim);
    line.cell("MAY", 5, false, dim).text("WHERE", dim);
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    for (y, at) in (body.y..body.bottom()).zip(app.volumes.user.top..users.len()) {
        let Some(user) = users.get(at) else { continue };
        let place = Rect { y, height: 1, ..body };
        let status = app.containers.row(&user.container).map(|row| row.summary.status);
        let (state, role) = match status {
            Some(status) => {
                let (glyph, role) = app.theme.status(status);
                (format!("{glyph} {}", status.as_str()), role)
            }
            None => (if user.running { "running" } else { "down" }.to_owned(), Role::Dim),
        };
        let text = app.theme.style(if user.running { Role::Text } else { Role::Dim });
        let mut line = Line::new(app, buffer, place);
        line.skip(1).cell(&user.name, name, false, text);
        line.cell(&state, 12, false, app.theme.style(role));
        line.cell(if user.writable { "write" } else { "read" }, 5, false, text);
        line.text(&user.destination, text);
        if at == app.volumes.user.at && app.focus == Focus::Detail {
            buffer.set_style(place, app.theme.style(Role::Selected));
        }
    }
}
