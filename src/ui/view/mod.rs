//! Drawing: a pure function of the [`App`]. One file a part of the screen.

mod chart;
mod compare;
mod containers;
mod detail;
mod events;
mod files;
mod footer;
mod groups;
mod header;
mod headline;
mod health;
mod images;
mod logs;
mod network_details;
mod networks;
mod overlay;
mod pages;
mod run_form;
mod stats;
mod system;
mod terminal;
mod transfers;
mod volumes;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use wharf_logs::sanitize_line;

use crate::app::{App, Cursor, Focus, Screen, Tab};
use crate::layout::{LEAST, layout};
use crate::text::{fit, width};
use crate::theme::Role;

pub(crate) use containers::{column_at, is_group_mark};
pub(crate) use detail::is_fold_mark;
pub(crate) use health::health_len;
pub(crate) use images::step_at;
pub(crate) use network_details::details_len;
pub(crate) use networks::node_at;
pub(crate) use overlay::{Hit, hit_overlay, overlay_scroll};
pub(crate) use stats::{chart_at, chart_columns, column_near};
pub(crate) use system::place_at;
pub(crate) use terminal::terminal_grid;

/// Draws the dashboard.
pub fn view(app: &App, frame: &mut Frame<'_>) {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    if let Some(position) = draw(app, buffer, area) {
        frame.set_cursor_position(position);
    }
}

/// Returns the parts of the screen that the user looks at while he presses keys, what he looks at most
/// first: that of a slow line is theirs.
pub(crate) fn attention(app: &App) -> Vec<Rect> {
    let Some(layout) = layout(app) else { return Vec::new() };
    let mut parts: Vec<Rect> =
        app.overlays.iter().rev().map(|it| overlay::place(app, it)).collect();
    if app.line.is_some() {
        parts.push(layout.footer);
    }
    if app.focus == Focus::List {
        let cursor = match app.screen {
            Screen::Containers => app.containers.cursor,
            Screen::Images => app.images.cursor,
            Screen::Volumes => app.volumes.cursor,
            Screen::Events => app.events.cursor,
            Screen::System => app.system.cursor,
            // The selected box may be anywhere.
            Screen::Networks => Cursor::default(),
        };
        let list = layout.list;
        let row = u16::try_from(cursor.at.saturating_sub(cursor.top)).unwrap_or(u16::MAX);
        let row = Rect { y: list.y.saturating_add(row), height: 1, ..list };
        parts.extend([row.intersection(list), list]);
    } else {
        parts.push(layout.detail);
    }
    parts.push(layout.header);
    parts
}

/// Draws everything and returns where the text cursor is, while something is typed.
pub(crate) fn draw(app: &App, buffer: &mut Buffer, area: Rect) -> Option<Position> {
    // The terminal may have changed size before its message came.
    let size = (area.width, area.height);
    let Some(layout) = layout(app).filter(|_| size == app.size) else {
        too_small(app, buffer, area);
        return None;
    };
    header::header(app, buffer, layout.header);
    header::host(app, buffer, layout.host);
    if layout.list.height > 0 {
        match app.screen {
            Screen::Containers => containers::list(app, buffer, layout.head, layout.list),
            Screen::Images => images::list(app, buffer, layout.head, layout.list),
            Screen::Volumes => volumes::list(app, buffer, layout.head, layout.list),
            Screen::Networks => networks::drawing(app, buffer, layout.head, layout.list),
            Screen::Events => events::list(app, buffer, layout.head, layout.list),
            Screen::System => system::page(app, buffer, layout.head, layout.list),
        }
    }
    for rule in &layout.rules {
        for y in rule.y..rule.bottom() {
            let style = app.theme.style(Role::Dim);
            buffer.set_string(rule.x, y, app.theme.glyphs().bar, style);
        }
    }
    if layout.detail.height > 0 {
        detail::tabs(app, buffer, layout.tabs);
    }
    let mut typing = None;
    for part in &layout.panes {
        if !part.head.is_empty() {
            detail::title(app, buffer, part.head, part.tab);
        }
        let cursor = pane(app, buffer, part.body, part.tab);
        typing = typing.or(cursor);
    }
    let typing = footer::footer(app, buffer, layout.footer).or(typing);
    let dialog = overlay::overlays(app, buffer);
    if !app.theme.look().unicode {
        ascii_alone(buffer, area);
    }
    // Below a dialog nothing is typed.
    dialog.or(typing.filter(|_| app.overlays.is_empty()))
}

/// Leaves nothing but ASCII on a terminal that has no other letters, whoever has written them.
fn ascii_alone(buffer: &mut Buffer, area: Rect) {
    for position in area.positions() {
        if let Some(cell) = buffer.cell_mut(position).filter(|cell| !cell.symbol().is_ascii()) {
            cell.set_char('?');
        }
    }
}

/// Draws a tab and returns where its text cursor is, if it has one.
fn pane(app: &App, buffer: &mut Buffer, area: Rect, tab: Tab) -> Option<Position> {
    if app.screen == Screen::Containers
        && let Some(group) = app.containers.group()
        && !(tab == Tab::Logs && app.logs.is_merged())
    {
        groups::pane(app, buffer, area, tab, group);
        return None;
    }
    match tab {
        Tab::Stats => stats::stats(app, buffer, area),
        Tab::Logs => logs::logs(app, buffer, area),
        Tab::Inspect if app.inspect.diff.is_some() => compare::compare(app, buffer, area),
        Tab::Inspect => detail::inspect(app, buffer, area),
        Tab::Health => health::health(app, buffer, area),
        Tab::Top => detail::top(app, buffer, area),
        Tab::Events => events::of_container(app, buffer, area),
        Tab::Layers => images::layers(app, buffer, area),
        Tab::Users if app.screen == Screen::Images => images::users(app, buffer, area),
        Tab::Users => volumes::users(app, buffer, area),
        Tab::Files if app.screen == Screen::Images && app.images.files.of.is_none() => {
            images::layer_list(app, buffer, area);
        }
        Tab::Files => files::files(app, buffer, area),
        Tab::Details => network_details::details(app, buffer, area),
        Tab::Shell => return terminal::terminal(app, buffer, area),
    }
    None
}

fn too_small(app: &App, buffer: &mut Buffer, area: Rect) {
    let text =
        format!("{}x{} is too small: wharf needs {}x{}", area.width, area.height, LEAST.0, LEAST.1);
    let lines = crate::text::wrap(&text, usize::from(area.width));
    for (y, line) in (area.y..area.bottom()).zip(lines) {
        put(buffer, Rect { y, height: 1, ..area }, &line, app.theme.style(Role::Text));
    }
}

/// Writes a text at the start of an area and returns the column after it. This and [`Line`] are the
/// only ways for texts to the screen: whoever has forgotten to make one safe, it is made safe here.
fn put(buffer: &mut Buffer, area: Rect, text: &str, style: Style) -> u16 {
    if area.is_empty() {
        return area.x;
    }
    let text = sanitize_line(text);
    buffer.set_stringn(area.x, area.y, text, usize::from(area.width), style).0
}

/// A row that is filled from left to right.
struct Line<'b> {
    buffer: &'b mut Buffer,
    x: u16,
    y: u16,
    end: u16,
    ellipsis: &'static str,
}

impl<'b> Line<'b> {
    fn new(app: &App, buffer: &'b mut Buffer, area: Rect) -> Self {
        let ellipsis = app.theme.glyphs().ellipsis;
        // An empty area has no row to write to.
        let end = if area.is_empty() { area.x } else { area.right() };
        Self { buffer, x: area.x, y: area.y, end, ellipsis }
    }

    /// Returns how many cells are left.
    fn room(&self) -> usize {
        usize::from(self.end.saturating_sub(self.x))
    }

    /// Writes as much of a text as there is room for.
    fn text(&mut self, text: &str, style: Style) -> &mut Self {
        let room = self.room();
        if room > 0 {
            let text = sanitize_line(text);
            let text = fit(&text, room, self.ellipsis);
            self.x = self.buffer.set_stringn(self.x, self.y, text, room, style).0;
        }
        self
    }

    /// Writes a text only if all of it fits.
    fn whole(&mut self, text: &str, style: Style) -> bool {
        let fits = width(text) <= self.room();
        if fits {
            self.text(text, style);
        }
        fits
    }

    /// Leaves some cells as they are.
    fn skip(&mut self, cells: u16) -> &mut Self {
        self.x = self.x.saturating_add(cells).min(self.end);
        self
    }

    /// Writes a text into a cell of a table and leaves a blank after it.
    fn cell(&mut self, text: &str, cells: u16, right: bool, style: Style) -> &mut Self {
        let cells = cells.min(self.end.saturating_sub(self.x));
        if cells == 0 {
            return self;
        }
        let text = sanitize_line(text);
        let text = fit(&text, usize::from(cells), self.ellipsis);
        let blank = if right { usize::from(cells).saturating_sub(width(&text)) } else { 0 };
        let blank = u16::try_from(blank).unwrap_or(0);
        let room = usize::from(cells - blank);
        self.buffer.set_stringn(self.x + blank, self.y, text, room, style);
        self.x = self.x.saturating_add(cells + 1).min(self.end);
        self
    }
}

/// Says in the middle of an area why it is empty.
fn say(app: &App, buffer: &mut Buffer, area: Rect, text: &str, role: Role) {
    let lines = crate::text::wrap(text, usize::from(area.width.saturating_sub(4)));
    let rows = u16::try_from(lines.len()).unwrap_or(area.height);
    let top = area.y + area.height.saturating_sub(rows) / 3;
    for (y, line) in (top..area.bottom()).zip(lines) {
        let blank = usize::from(area.width).saturating_sub(width(&line)) / 2;
        let x = area.x + u16::try_from(blank).unwrap_or(0);
        let area = Rect { x, y, width: area.right() - x, height: 1 };
        put(buffer, area, &line, app.theme.style(role));
    }
}
