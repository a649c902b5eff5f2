//! The image list, the steps and layers of the selected image, and who uses it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use wharf_model::{FileCount, HistoryEntry};

use super::{Line, say};
use crate::app::{App, Focus, ImageColumn, ImageRow, LayerRow, Target};
use crate::format::{age, size};
use crate::text::{fit_middle, width, wrap};
use crate::theme::Role;

/// The columns of the list and their widths; 0 for one that there is no room for.
struct Columns {
    name: u16,
    id: u16,
    digest: u16,
    shared: u16,
    age: u16,
}

/// The cells of `USED BY`.
const USED: u16 = 8;

impl Columns {
    fn new(width: u16) -> Self {
        let wanted = |least: u16, cells: u16| if width >= least { cells } else { 0 };
        let (id, digest) = (wanted(70, 12), wanted(110, 12));
        let (shared, age) = (wanted(60, 6), wanted(44, 5));
        let taken: u16 = [id, digest, shared, age].iter().filter(|w| **w > 0).map(|w| w + 1).sum();
        // Mark, blanks, size, users.
        let name = width.saturating_sub(2 + taken + 7 + USED + 1);
        Self { name, id, digest, shared, age }
    }
}

/// Draws headings and rows.
pub(super) fn list(app: &App, buffer: &mut Buffer, head: Rect, area: Rect) {
    let images = &app.images;
    let glyphs = app.theme.glyphs();
    buffer.set_style(head, app.theme.style(Role::Bar));
    let columns = Columns::new(head.width);
    let mut line = Line::new(app, buffer, head);
    line.skip(2);
    let mut title = |text: &str, column: Option<ImageColumn>, cells: u16, right: bool| {
        if cells == 0 {
            return;
        }
        let mut text = text.to_owned();
        if column == Some(images.sort) {
            let down = right != images.reversed;
            text.push_str(if down { glyphs.descending } else { glyphs.ascending });
        }
        line.cell(&text, cells, right, app.theme.style(Role::Bar));
    };
    title("NAME", Some(ImageColumn::Name), columns.name, false);
    title("ID", None, columns.id, false);
    title("DIGEST", None, columns.digest, false);
    title("SIZE", Some(ImageColumn::Size), 6, true);
    title("SHARED", Some(ImageColumn::Shared), columns.shared, true);
    title("AGE", Some(ImageColumn::Age), columns.age, true);
    title("USED BY", Some(ImageColumn::Used), USED, false);
    if images.shown.is_empty() {
        let text = if !images.loaded {
            "asking the engine".to_owned()
        } else if images.filter.is_empty() && app.options.read_only {
            "no images yet".to_owned()
        } else if images.filter.is_empty() {
            "no images yet: p pulls one, wharf load and wharf import bring some in".to_owned()
        } else {
            format!("no image matches {}: Esc clears it", images.filter)
        };
        say(app, buffer, area, &text, Role::Dim);
        return;
    }
    for (y, at) in (area.y..area.bottom()).zip(images.cursor.top..images.shown.len()) {
        let Some(row) = images.shown.get(at).and_then(|n| images.rows.get(*n)) else { continue };
        let place = Rect { y, height: 1, ..area };
        list_row(app, buffer, place, row, &columns);
        if at == images.cursor.at {
            let role = if app.focus == Focus::List { Role::Selected } else { Role::Resting };
            buffer.set_style(place, app.theme.style(role));
        }
    }
}

fn list_row(app: &App, buffer: &mut Buffer, place: Rect, row: &ImageRow, columns: &Columns) {
    let glyphs = app.theme.glyphs();
    let text = app.theme.style(if row.containers > 0 { Role::Text } else { Role::Dim });
    let dim = app.theme.style(Role::Dim);
    let reference = row.reference();
    let mut line = Line::new(app, buffer, place);
    let mark = if app.images.marked.contains(&reference) { glyphs.mark } else { " " };
    line.text(mark, app.theme.style(Role::Info)).skip(1);
    let name = match &row.name {
        Some(name) => name.clone(),
        None if columns.id > 0 => "<none> dangling".to_owned(),
        None => format!("<none> {} dangling", row.id.short()),
    };
    let target = Target::Image(reference);
    let frame = glyphs.spinner[app.turn % glyphs.spinner.len()];
    let label = match app.pending.values().find(|p| p.on == target) {
        Some(pending) => format!("{frame} {} {name}", pending.doing),
        None => name,
    };
    let label = fit_middle(&label, usize::from(columns.name), glyphs.ellipsis);
    line.cell(&label, columns.name, false, text);
    if columns.id > 0 {
        line.cell(row.id.short(), columns.id, false, dim);
    }
    if columns.digest > 0 {
        let digest = row.digest.as_deref().and_then(|d| d.split_once(':')).map(|(_, hex)| hex);
        let digest = digest.map_or(glyphs.missing, |hex| hex.get(..12).unwrap_or(hex));
        line.cell(digest, columns.digest, false, dim);
    }
    line.cell(&size(row.size), 6, true, text);
    if columns.shared > 0 {
        let shared = match app.images.shared(&row.id) {
            Some(0) => "-".to_owned(),
            Some(bytes) => size(bytes),
            None => glyphs.missing.to_owned(),
        };
        line.cell(&shared, columns.shared, true, dim);
    }
    if columns.age > 0 {
        let made = row.created.map_or_else(|| glyphs.missing.to_owned(), |t| age(t, app.now));
        line.cell(&made, columns.age, true, dim);
    }
    line.cell(&users_word(app, row), USED, false, text);
}

/// Returns how many containers were made from an image, and whether any of them runs.
fn users_word(app: &App, row: &ImageRow) -> String {
    let users = app.image_users(&row.id);
    if users.is_empty() {
        // The engine counts some that aren't listed here.
        return match row.containers {
            0 => "nobody".to_owned(),
            count => count.to_string(),
        };
    }
    let up = users.iter().filter(|user| user.summary.status.is_alive()).count();
    match (users.len(), up) {
        (all, 0) => format!("{all} down"),
        (all, up) if all == up => format!("{all} up"),
        (all, up) => format!("{up}/{all} up"),
    }
}

/// Draws the containers that were made from the selected image.
pub(super) fn users(app: &App, buffer: &mut Buffer, area: Rect) {
    let Some(row) = app.images.selected() else { return };
    let users = app.image_users(&row.id);
    if users.is_empty() {
        let text = match row.containers {
            0 => format!("no container was made from {}", row.label()),
            count => format!("{count} containers, which aren't listed here"),
        };
        return say(app, buffer, area, &text, Role::Dim);
    }
    let longest = users.iter().map(|user| width(&user.summary.name)).max().unwrap_or(0);
    let name = u16::try_from(longest.clamp(9, 30)).unwrap_or(30);
    let dim = app.theme.style(Role::Dim);
    let mut line = Line::new(app, buffer, Rect { height: 1, ..area });
    line.skip(1).cell("CONTAINER", name, false, dim).cell("STATE", 12, false, dim);
    line.cell("SINCE", 26, false, dim).text("COMMAND", dim);
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    for (y, at) in (body.y..body.bottom()).zip(app.images.user.top..users.len()) {
        let Some(user) = users.get(at) else { continue };
        let place = Rect { y, height: 1, ..body };
        let (glyph, role) = app.theme.status(user.summary.status);
        let alive = user.summary.status.is_alive();
        let text = app.theme.style(if alive { Role::Text } else { Role::Dim });
        let mut line = Line::new(app, buffer, place);
        line.skip(1).cell(&user.summary.name, name, false, text);
        let state = format!("{glyph} {}", user.summary.status.as_str());
        line.cell(&state, 12, false, app.theme.style(role));
        line.cell(&user.status_text(app.as_of()), 26, false, text);
        line.text(&user.summary.command, dim);
        if at == app.images.user.at && app.focus == Focus::Detail {
            buffer.set_style(place, app.theme.style(Role::Selected));
        }
    }
}

/// Draws the layers of the selected image with what each does to those below, the topmost first.
pub(super) fn layer_list(app: &App, buffer: &mut Buffer, area: Rect) {
    let images = &app.images;
    let Some(row) = images.selected() else { return };
    let layers = images.layers_of_selected();
    if layers.is_empty() {
        let text = match images.layers.get(&row.id) {
            Some(_) => "the image has no layers",
            None if images.layering.is_idle() => "the engine doesn't tell the image's layers",
            None => "asking the engine",
        };
        return say(app, buffer, area, text, Role::Dim);
    }
    let counts = |layer: &LayerRow| images.counts.get(&(row.id.clone(), layer.index));
    // An engine that can't look into one can't look into any.
    if let Some(Some(Err(why))) = layers.iter().map(counts).find(Option::is_some) {
        return say(app, buffer, area, why, Role::Dim);
    }
    let glyphs = app.theme.glyphs();
    let dim = app.theme.style(Role::Dim);
    let wide = area.width >= 60;
    let count = if wide { 12 } else { 6 };
    let mut line = Line::new(app, buffer, Rect { height: 1, ..area });
    line.skip(1).cell("LAYER", 5, true, dim).cell("SIZE", 6, true, dim);
    let heads = if wide { ["ADDED", "CHANGED", "REMOVED"] } else { ["ADD", "CHANGE", "REMOVE"] };
    for head in heads {
        line.cell(head, count, true, dim);
    }
    line.text("STEP", dim);
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    for (y, at) in (body.y..body.bottom()).zip(images.layer_at.top..layers.len()) {
        let Some(layer) = layers.get(at) else { continue };
        let place = Rect { y, height: 1, ..body };
        let text = app.theme.style(Role::Text);
        let mut line = Line::new(app, buffer, place);
        line.skip(1).cell(&(layer.index + 1).to_string(), 5, true, dim);
        line.cell(&size(layer.size), 6, true, text);
        match counts(layer) {
            Some(Ok(found)) => {
                let more = if found.complete { "" } else { "+" };
                let unit = |bytes: u64| if bytes < 1024 { "B" } else { "" };
                let told = |files: FileCount, sign: &str| match (files.files, wide) {
                    (0, _) => "-".to_owned(),
                    (count, false) => format!("{count}{more}"),
                    (count, true) => {
                        let bytes = format!("{}{}", size(files.bytes), unit(files.bytes));
                        format!("{count}{more} {sign}{bytes}")
                    }
                };
                for (files, sign, role) in [
                    (found.added, "+", Role::Good),
                    (found.changed, "", Role::Warn),
                    (found.removed, "-", Role::Bad),
                ] {
                    let role = if files.files == 0 { Role::Dim } else { role };
                    line.cell(&told(files, sign), count, true, app.theme.style(role));
                }
            }
            _ => {
                for _ in 0..3 {
                    line.cell(glyphs.ellipsis, count, true, dim);
                }
            }
        }
        let step = match layer.step.as_str() {
            "" => glyphs.missing.to_owned(),
            step => instruction(step),
        };
        line.text(&step, text);
        if at == images.layer_at.at && app.focus == Focus::Detail {
            buffer.set_style(place, app.theme.style(Role::Selected));
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
