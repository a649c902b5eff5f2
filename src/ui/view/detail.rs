//! The bar of tabs, the inspect tab and the process tab.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use wharf_inspect::RowKind;
use wharf_model::Status;

use super::{Line, put, say};
use crate::app::{App, Focus, Row, Screen, Tab};
use crate::format::age;
use crate::layout::tab_at;
use crate::text::width;
use crate::theme::Role;

/// Says that the present is shown, where the past is asked for.
pub(super) const NOW: &str = "  as it is now";

/// Returns whether a tab shows what is while the dashboard shows what was: nobody records that.
fn is_of_now(app: &App, tab: Tab) -> bool {
    let told = matches!(tab, Tab::Inspect | Tab::Top | Tab::Files | Tab::Layers | Tab::Users);
    app.travel.is_some() && told
}

/// Draws the tabs' names and what they are about.
pub(super) fn tabs(app: &App, buffer: &mut Buffer, area: Rect) {
    let bar = app.theme.style(Role::Bar);
    buffer.set_style(area, bar);
    let mut end = area.x;
    for (n, tab) in app.tabs().iter().enumerate() {
        let Some(place) = tab_at(app, area, n) else { continue };
        let style = match (*tab == app.tab(), app.focus) {
            (true, Focus::Detail) => app.theme.style(Role::Chosen),
            (true, Focus::List) => bar.patch(app.theme.style(Role::Key)),
            (false, _) => bar.remove_modifier(Modifier::BOLD),
        };
        // The chosen ones are told by their brackets where there are no colours.
        let text = if *tab == app.tab() {
            format!("[{}]", tab.title())
        } else {
            format!(" {} ", tab.title())
        };
        put(buffer, place, &text, style);
        end = end.max(place.right());
    }
    let x = end + 2;
    let now = if is_of_now(app, app.tab()) { NOW } else { "" };
    let room = usize::from(area.right().saturating_sub(x)).saturating_sub(now.len());
    let about = match app.screen {
        Screen::Containers => {
            let one = app.selected();
            let one = one.map(|row| about(app, row, room));
            one.or_else(|| app.about())
        }
        _ => app.about(),
    };
    let about = about.map(|about| format!("{about}{now}"));
    if let Some(about) = about.filter(|_| x < area.right()) {
        let place = Rect { x, width: area.right() - x, height: 1, ..area };
        let style = bar.remove_modifier(Modifier::BOLD);
        Line::new(app, buffer, place).text(&about, style);
    }
}

/// Returns a container's name and how it is: in docker's sentence, or shorter where that has no room.
fn about(app: &App, row: &Row, room: usize) -> String {
    let name = &row.summary.name;
    let long = format!("{name}  {}", row.status_text(app.as_of()));
    if width(&long) <= room {
        return long;
    }
    let status = row.summary.status;
    let code = row.summary.exit_code.filter(|_| status == Status::Exited);
    let code = code.map(|code| format!(" {code}")).unwrap_or_default();
    let since = row.since.map(|since| age(since, app.as_of())).unwrap_or_default();
    if status.is_alive() && !since.is_empty() {
        let health = row.summary.health.map(|health| format!(" {}", health.as_str()));
        return format!("{name}  up {since}{}", health.unwrap_or_default());
    }
    let ago = if since.is_empty() { since } else { format!(" {since} ago") };
    format!("{name}  {}{code}{ago}", status.as_str())
}

/// Draws the title of one of several panes; the one that gets the keys stands out.
pub(super) fn title(app: &App, buffer: &mut Buffer, area: Rect, tab: Tab) {
    let dim = app.theme.style(Role::Dim);
    let rule = app.theme.glyphs().rule;
    buffer.set_string(area.x, area.y, rule.repeat(usize::from(area.width)), dim);
    let active = tab == app.tab();
    let (text, role) = match (active, app.focus) {
        (true, Focus::Detail) => (format!("[{}]", tab.title()), Role::Chosen),
        (true, Focus::List) => (format!("[{}]", tab.title()), Role::Key),
        (false, _) if is_of_now(app, tab) => (format!(" {}{NOW} ", tab.title()), Role::Title),
        (false, _) => (format!(" {} ", tab.title()), Role::Title),
    };
    put(
        buffer,
        Rect { x: area.x + 1, width: area.width - 1, ..area },
        &text,
        app.theme.style(role),
    );
}

/// Returns whether a tab has the keys.
pub(super) fn has_keys(app: &App, tab: Tab) -> bool {
    app.focus == Focus::Detail && app.tab() == tab
}

/// Returns how far a row of the tree is moved to the right.
fn indent(depth: usize, room: u16) -> u16 {
    u16::try_from(depth * 2).unwrap_or(0).min(room / 2)
}

/// Returns whether a row's sign for folding is at this column of the terminal.
pub(crate) fn is_fold_mark(app: &App, body: Rect, row: usize, x: u16) -> bool {
    let Some(Ok(tree)) = &app.inspect.tree else { return false };
    let folds = tree.rows().get(row).filter(|row| row.kind.folds());
    folds.is_some_and(|row| x == body.x + 1 + indent(row.depth, body.width))
}

/// Draws the document as a tree.
pub(super) fn inspect(app: &App, buffer: &mut Buffer, area: Rect) {
    let pane = &app.inspect;
    let tree = match &pane.tree {
        _ if pane.tag.is_none() => return,
        None => return say(app, buffer, area, "asking the engine", Role::Dim),
        Some(Err(e)) => return say(app, buffer, area, e, Role::Bad),
        Some(Ok(tree)) => tree,
    };
    let style = |role| app.theme.style(role);
    let rows = tree.rows();
    let mut line = Line::new(app, buffer, Rect { height: 1, ..area });
    line.skip(1);
    if let Some(row) = rows.get(pane.cursor.at) {
        line.text(&row.path, style(Role::Dim));
    }
    if !pane.pattern.is_empty() {
        let word = if pane.hits == 1 { "match" } else { "matches" };
        let text = format!("/{}/ {} {word}", pane.pattern, pane.hits);
        line.skip(2).text(&text, style(Role::Info));
    }
    if pane.hides_secrets() {
        line.skip(2).whole("secrets hidden: v shows them", style(Role::Warn));
    }
    let glyphs = app.theme.glyphs();
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    for (y, at) in (body.y..body.bottom()).zip(pane.cursor.top..rows.len()) {
        let Some(row) = rows.get(at) else { continue };
        let place = Rect { y, height: 1, ..body };
        let fold = match (row.kind.folds(), row.open) {
            (true, true) => glyphs.unfolded,
            (true, false) => glyphs.folded,
            (false, _) => " ",
        };
        let role = match row.kind {
            RowKind::String => Role::Text,
            RowKind::Number => Role::Info,
            RowKind::Bool => Role::Good,
            RowKind::Object(_) | RowKind::Array(_) | RowKind::Null => Role::Dim,
        };
        let mut line = Line::new(app, buffer, place);
        let indent = indent(row.depth, place.width);
        line.skip(1 + indent).text(fold, style(Role::Dim)).skip(1);
        line.text(&row.key, style(Role::Key)).skip(1);
        if !row.open {
            line.text(&row.preview, style(role));
        }
        if is_match(app, &row.key, &row.preview) {
            let start = place.x + 1 + indent + 2;
            let text = u16::try_from(width(&row.key)).unwrap_or(0).min(place.right() - start);
            buffer.set_style(Rect { x: start, width: text, ..place }, style(Role::Match));
        }
        if at == pane.cursor.at {
            let role = if has_keys(app, Tab::Inspect) { Role::Selected } else { Role::Resting };
            buffer.set_style(place, style(role));
        }
    }
}

fn is_match(app: &App, key: &str, value: &str) -> bool {
    let pattern = &app.inspect.pattern;
    if pattern.is_empty() {
        return false;
    }
    if pattern.chars().any(char::is_uppercase) {
        key.contains(pattern) || value.contains(pattern)
    } else {
        key.to_lowercase().contains(pattern) || value.to_lowercase().contains(pattern)
    }
}

/// Draws the processes.
pub(super) fn top(app: &App, buffer: &mut Buffer, area: Rect) {
    let Some(row) = app.selected() else { return };
    let table = match &app.top.table {
        _ if !row.summary.status.is_alive() => {
            let text =
                format!("{} has no processes: {}", row.summary.name, row.status_text(app.as_of()));
            return say(app, buffer, area, &text, Role::Dim);
        }
        None => return say(app, buffer, area, "asking the engine", Role::Dim),
        Some(Err(e)) => return say(app, buffer, area, e, Role::Bad),
        Some(Ok(table)) => table,
    };
    // The last column is the command line and takes what is left.
    let cells: Vec<u16> = (0..table.titles.len())
        .map(|n| {
            let texts = table.processes.iter().chain([&table.titles]).filter_map(|r| r.get(n));
            let longest = texts.map(|t| width(t)).max().unwrap_or(0).min(20);
            if n + 1 == table.titles.len() {
                area.width
            } else {
                u16::try_from(longest).unwrap_or(20)
            }
        })
        .collect();
    let mut draw = |y: u16, texts: &[String], role: Role| {
        let mut line = Line::new(app, buffer, Rect { y, height: 1, ..area });
        line.skip(1);
        for (text, cells) in texts.iter().zip(&cells) {
            line.cell(text, *cells, false, app.theme.style(role));
        }
    };
    draw(area.y, &table.titles, Role::Dim);
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let list = app.top.cursor.top..table.processes.len();
    for (y, at) in (body.y..body.bottom()).zip(list) {
        if let Some(process) = table.processes.get(at) {
            draw(y, process, Role::Text);
        }
    }
    if has_keys(app, Tab::Top)
        && let Ok(row) = u16::try_from(app.top.cursor.at - app.top.cursor.top)
        && row < body.height
    {
        let place = Rect { y: body.y + row, height: 1, ..body };
        buffer.set_style(place, app.theme.style(Role::Selected));
    }
}
