//! The image list and the steps of the selected image.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use wharf_model::HistoryEntry;

use super::{Line, say};
use crate::app::{App, Focus, ImageColumn, Target};
use crate::format::{age, size};
use crate::text::wrap;
use crate::theme::Role;

/// Draws headings and rows.
pub(super) fn list(app: &App, buffer: &mut Buffer, head: Rect, area: Rect) {
    let images = &app.images;
    let glyphs = app.theme.glyphs();
    buffer.set_style(head, app.theme.style(Role::Bar));
    // The id is left out where there is no room for it.
    let id = if head.width >= 70 { 12 } else { 0 };
    let name = head.width.saturating_sub(1 + 6 + 6 + 6 + 3 + if id > 0 { id + 1 } else { 0 });
    let mut line = Line::new(app, buffer, head);
    line.skip(1);
    let mut title = |text: &str, column: Option<ImageColumn>, cells: u16, right: bool| {
        let mut text = text.to_owned();
        if column == Some(images.sort) {
            let down = right != images.reversed;
            text.push_str(if down { glyphs.descending } else { glyphs.ascending });
        }
        line.cell(&text, cells, right, app.theme.style(Role::Bar));
    };
    title("NAME", Some(ImageColumn::Name), name, false);
    if id > 0 {
        title("ID", None, id, false);
    }
    title("SIZE", Some(ImageColumn::Size), 6, true);
    title("AGE", Some(ImageColumn::Age), 6, true);
    title("USED", Some(ImageColumn::Used), 6, true);
    if images.shown.is_empty() {
        let text = if !images.loaded {
            "asking the engine".to_owned()
        } else if images.filter.is_empty() {
            "no images yet: wharf load and wharf import bring some in".to_owned()
        } else {
            format!("no image matches {}: Esc clears it", images.filter)
        };
        say(app, buffer, area, &text, Role::Dim);
        return;
    }
    for (y, at) in (area.y..area.bottom()).zip(images.cursor.top..images.shown.len()) {
        let Some(row) = images.shown.get(at).and_then(|n| images.rows.get(*n)) else { continue };
        let place = Rect { y, height: 1, ..area };
        let text = app.theme.style(if row.containers > 0 { Role::Text } else { Role::Dim });
        let target = Target::Image(row.reference());
        let busy = app.pending.values().find(|p| p.on == target);
        let name_or_id = match &row.name {
            None if id > 0 => "<none>".to_owned(),
            _ => row.label(),
        };
        let label = match busy {
            Some(pending) => {
                let frame = glyphs.spinner[app.turn % glyphs.spinner.len()];
                format!("{frame} {} {name_or_id}", pending.doing)
            }
            None => name_or_id,
        };
        let mut line = Line::new(app, buffer, place);
        line.skip(1).cell(&label, name, false, text);
        if id > 0 {
            line.cell(row.id.short(), id, false, app.theme.style(Role::Dim));
        }
        line.cell(&size(row.size), 6, true, text);
        let made = row.created.map_or_else(|| glyphs.missing.to_owned(), |t| age(t, app.now));
        line.cell(&made, 6, true, text);
        line.cell(&row.containers.to_string(), 6, true, text);
        if at == images.cursor.at {
            let role = if app.focus == Focus::List { Role::Selected } else { Role::Resting };
            buffer.set_style(place, app.theme.style(role));
        }
    }
}

/// Draws the steps that made the selected image, newest first.
pub(super) fn layers(app: &App, buffer: &mut Buffer, area: Rect) {
    let images = &app.images;
    let entries = match &images.history {
        _ if images.selected().is_none() => return,
        None => return say(app, buffer, area, "asking the engine", Role::Dim),
        Some(Err(e)) => return say(app, buffer, area, e, Role::Bad),
        Some(Ok(entries)) => entries,
    };
    let mut line = Line::new(app, buffer, Rect { height: 1, ..area });
    let dim = app.theme.style(Role::Dim);
    line.skip(1).cell("SIZE", 6, true, dim).cell("AGE", 5, true, dim).cell("STEP", 4, false, dim);
    let rest = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    for (y, (at, part)) in (rest.y..rest.bottom()).zip(step_rows(app, rest, entries)) {
        let Some(entry) = entries.get(at) else { continue };
        let place = Rect { y, height: 1, ..rest };
        let role = if entry.empty_layer { Role::Dim } else { Role::Text };
        let style = app.theme.style(role);
        let mut line = Line::new(app, buffer, place);
        match part {
            Part::Whole(text) => {
                let bytes = if entry.empty_layer { String::new() } else { size(entry.size) };
                let made = entry.created.map_or_else(String::new, |t| age(t, app.now));
                line.skip(1).cell(&bytes, 6, true, style).cell(&made, 5, true, dim);
                line.text(&text, style);
            }
            Part::Rest(text) => {
                line.skip(STEP).text(&text, style);
            }
        }
        if at == images.layer.at && app.focus == Focus::Detail {
            buffer.set_style(place, app.theme.style(Role::Selected));
        }
    }
}

/// The column at which a step's text begins.
const STEP: u16 = 1 + 6 + 1 + 5 + 1;

/// What a row shows of a step.
enum Part {
    /// Its first row, with all of its text or the first part.
    Whole(String),
    /// More of its text.
    Rest(String),
}

/// Returns the rows of the list of steps and which step each is of. The selected step is shown in
/// full as far as there is room; the others take a row each.
fn step_rows(app: &App, area: Rect, entries: &[HistoryEntry]) -> Vec<(usize, Part)> {
    let cursor = &app.images.layer;
    let height = usize::from(area.height);
    let room = usize::from(area.width.saturating_sub(STEP));
    let text = |entry: &HistoryEntry| {
        // An import has no instruction, only a remark.
        let step = match entry.created_by.is_empty() {
            true => &entry.comment,
            false => &entry.created_by,
        };
        instruction(step)
    };
    let selected = match entries.get(cursor.at) {
        Some(entry) if app.focus == Focus::Detail => wrap(&text(entry), room),
        _ => Vec::new(),
    };
    let tall = selected.len().clamp(1, height.max(1));
    // The selected one stays on the screen with all of its rows.
    let top = cursor.top.max((cursor.at + tall).saturating_sub(height));
    let mut rows = Vec::new();
    for (at, entry) in entries.iter().enumerate().skip(top).take(height) {
        if at != cursor.at || selected.is_empty() {
            rows.push((at, Part::Whole(text(entry))));
            continue;
        }
        for (n, line) in selected.iter().take(tall).enumerate() {
            let part = if n == 0 { Part::Whole(line.clone()) } else { Part::Rest(line.clone()) };
            rows.push((at, part));
        }
    }
    rows
}

/// Returns the step that is shown in a row of the tab.
pub(crate) fn step_at(app: &App, area: Rect, y: u16) -> Option<usize> {
    let Some(Ok(entries)) = &app.images.history else { return None };
    let rest = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let row = usize::from(y.checked_sub(rest.y)?);
    step_rows(app, rest, entries).get(row).map(|(at, _)| *at)
}

/// Returns a step as its Dockerfile has it, without the wrapping that old builders put around it.
fn instruction(text: &str) -> String {
    let text = text.strip_prefix("/bin/sh -c #(nop)").map_or(text, str::trim_start);
    let text = text.strip_suffix("# buildkit").unwrap_or(text).trim();
    let bare = text.strip_prefix("RUN ").unwrap_or(text);
    match bare.strip_prefix("/bin/sh -c ") {
        Some(command) => format!("RUN {command}"),
        None => text.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::instruction;

    #[test]
    fn steps_read_like_a_dockerfile() {
        assert_eq!(instruction("/bin/sh -c #(nop)  CMD [\"sh\"]"), "CMD [\"sh\"]");
        assert_eq!(instruction("/bin/sh -c apk add curl"), "RUN apk add curl");
        assert_eq!(instruction("RUN /bin/sh -c true # buildkit"), "RUN true");
        assert_eq!(instruction("COPY a /b # buildkit"), "COPY a /b");
    }
}
