//! A terminal's pane: a title that shows the way out, and the grid. Every cell is drawn by itself, as a
//! letter of a known width: what a container wrote can't reach the user's terminal in any other way.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Modifier, Style};

use super::{Line, say};
use crate::app::terminals::{Phase, Terminal};
use crate::app::{App, Focus, Tab};
use crate::text::width;
use crate::theme::Role;
use crate::update::prefix_name;

/// Returns where the grid is in a pane.
pub(crate) fn terminal_grid(pane: Rect) -> Rect {
    if pane.is_empty() {
        return pane;
    }
    Rect { y: pane.y + 1, height: pane.height - 1, ..pane }
}

/// Draws it and returns where its cursor is, if it has the keys and shows one.
pub(super) fn terminal(app: &App, buffer: &mut Buffer, pane: Rect) -> Option<Position> {
    let row = app.selected()?;
    let Some(terminal) = app.terminals.of(&row.summary.id) else {
        let text = format!("no shell is open in {}: e opens one", row.summary.name);
        say(app, buffer, pane, &text, Role::Dim);
        return None;
    };
    title(app, buffer, Rect { height: 1, ..pane }, terminal);
    let area = terminal_grid(pane);
    let screen = terminal.emulator.screen();
    if terminal.phase == Phase::Opening {
        say(app, buffer, area, "starting", Role::Dim);
        return None;
    }
    let plain = Style::new();
    let unicode = app.theme.look().unicode;
    let stale = app.hosts.get(app.host_of(terminal.container.as_str())).is_stale();
    let (row, column) = screen.cursor_position();
    // Where it is larger than its pane, the part that is being written.
    let rows = terminal.emulator.size().rows;
    let above = (row + 1).saturating_sub(area.height).min(rows.saturating_sub(area.height));
    for y in 0..area.height {
        let mut x = 0;
        while x < area.width {
            let Some(cell) = screen.cell(y + above, x) else { break };
            let style = style(app, cell, stale);
            let wide = u16::from(cell.is_wide()) + 1;
            let fits = x + wide <= area.width;
            let symbol = symbol(cell.contents(), usize::from(wide), unicode);
            let symbol = if fits { symbol } else { Symbol::Blank };
            let (left, top) = (area.x + x, area.y + y);
            match symbol {
                Symbol::Blank => {
                    for x in left..(left + wide).min(area.right()) {
                        put(buffer, (x, top), " ", style);
                    }
                }
                Symbol::Text(text) => {
                    put(buffer, (left, top), text, style);
                    if wide == 2 {
                        put(buffer, (left + 1, top), "", style);
                    }
                }
            }
            x += wide;
        }
    }
    let written = screen.contents();
    if terminal.is_attached() && written.is_empty() {
        let text = "what it writes from now on is shown here; l shows what it wrote before";
        let line = Rect { height: 1, ..area };
        Line::new(app, buffer, line).text(text, app.theme.style(Role::Dim).patch(plain));
    }
    let has_keys = app.focus == Focus::Detail && app.tab() == Tab::Shell && terminal.is_alive();
    let shown = terminal.input && !screen.hide_cursor() && terminal.emulator.back() == 0;
    if !has_keys || !shown {
        return None;
    }
    let at = Position::new(area.x + column.min(area.width - 1), area.y + row - above);
    area.contains(at).then_some(at)
}

fn put(buffer: &mut Buffer, at: (u16, u16), symbol: &str, style: Style) {
    if let Some(cell) = buffer.cell_mut(at) {
        cell.reset();
        cell.set_symbol(if symbol.is_empty() { " " } else { symbol }).set_style(style);
    }
}

/// What a cell shows.
enum Symbol<'c> {
    Blank,
    Text(&'c str),
}

/// Returns what is drawn of a cell: a letter that takes as many columns as the grid gave it, and a mark
/// in place of any other.
fn symbol(text: &str, columns: usize, unicode: bool) -> Symbol<'_> {
    if text.is_empty() || text == " " {
        return Symbol::Blank;
    }
    if !unicode && !text.is_ascii() {
        return Symbol::Text(ascii(text));
    }
    let safe = wharf_logs::sanitize_line(text) == text && width(text) == columns;
    if safe { Symbol::Text(text) } else { Symbol::Text("?") }
}

/// Returns the nearest to a letter that a terminal without Unicode has.
fn ascii(text: &str) -> &'static str {
    match text.chars().next() {
        Some('─' | '━' | '═' | '⎺' | '⎻' | '⎼' | '⎽') => "-",
        Some('│' | '┃' | '║') => "|",
        Some('\u{2500}'..='\u{257f}' | '◆') => "+",
        Some('\u{2580}'..='\u{259f}') => "#",
        Some('•' | '·') => ".",
        _ => "?",
    }
}

fn style(app: &App, cell: &vt100::Cell, stale: bool) -> Style {
    let color = |color: vt100::Color| match color {
        vt100::Color::Default => None,
        vt100::Color::Idx(n) => Some(wharf_logs::Color::Indexed(n)),
        vt100::Color::Rgb(r, g, b) => Some(wharf_logs::Color::Rgb(r, g, b)),
    };
    let mut style = app.theme.foreign(wharf_logs::Style {
        fg: color(cell.fgcolor()),
        bg: color(cell.bgcolor()),
        bold: cell.bold(),
        dim: cell.dim(),
        italic: cell.italic(),
        underline: cell.underline(),
        reverse: cell.inverse(),
    });
    if stale {
        style = style.add_modifier(Modifier::DIM);
    }
    style
}

fn title(app: &App, buffer: &mut Buffer, area: Rect, terminal: &Terminal) {
    let style = |role| app.theme.style(role);
    let has_keys = app.focus == Focus::Detail && app.tab() == Tab::Shell && terminal.is_alive();
    let prefix = prefix_name(app);
    let mut line = Line::new(app, buffer, area);
    line.skip(1);
    let role = if has_keys { Role::Chosen } else { Role::Title };
    line.text(&format!(" {} ", terminal.title()), style(role)).skip(1);
    match &terminal.phase {
        Phase::Ended(how) => {
            line.text(
                &format!("has ended: {how}; Esc closes it, e opens another"),
                style(Role::Warn),
            );
            return;
        }
        Phase::Opening | Phase::Running => {}
    }
    let back = terminal.emulator.back();
    if back > 0 {
        line.text(&format!("{back} lines back"), style(Role::Warn)).skip(2);
    }
    if !terminal.input {
        let why = if app.options.read_only { "read-only" } else { "its input isn't open" };
        line.text(why, style(Role::Warn)).skip(2);
    }
    let hint = match has_keys {
        false => " to type there: e, A or a click".to_owned(),
        true if app.terminals.prefix => format!("{prefix} and now one of those below"),
        true if terminal.is_attached() => format!("{prefix} d leaves it running, {prefix} ? help"),
        true => format!("{prefix} d leaves it running, x ends it, ? help"),
    };
    line.text(&hint, style(Role::Dim));
}
