//! The log tab.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;
use wharf_model::LogStream;

use super::{Line, put, say};
use crate::app::{App, LogPane};
use crate::message::RawLine;
use crate::theme::Role;

/// Draws the state of the view and the lines in sight.
pub(super) fn logs(app: &App, buffer: &mut Buffer, area: Rect) {
    let log = &app.logs;
    if app.selected().is_none() {
        return;
    }
    state(app, buffer, Rect { height: 1, ..area });
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    if let Some(error) = &log.error {
        return say(app, buffer, body, error, Role::Bad);
    }
    if log.lines.is_empty() {
        let text = if log.waiting {
            "reading the log"
        } else if log.only {
            "no line matches: F shows all"
        } else {
            "the log is empty"
        };
        return say(app, buffer, body, text, Role::Dim);
    }
    let mut y = body.y;
    let mut skip = log.skip;
    for shown in log.lines.iter().skip(log.top) {
        if y >= body.bottom() {
            break;
        }
        let rest = Rect { y, height: body.bottom() - y, ..body };
        y += draw_line(app, buffer, rest, &shown.line, skip);
        skip = 0;
    }
}

/// Draws whether new lines are followed, what is searched for, and how it is shown.
fn state(app: &App, buffer: &mut Buffer, area: Rect) {
    let log = &app.logs;
    let style = |role| app.theme.style(role);
    let mut line = Line::new(app, buffer, area);
    line.skip(1);
    if log.follow {
        let word = if log.ended { "ended" } else { "following" };
        line.text(word, style(Role::Good));
    } else if log.more {
        line.text("held: new lines below", style(Role::Warn));
    } else {
        line.text("held", style(Role::Warn));
    }
    if !log.pattern.is_empty() {
        let count = match log.matches {
            None => String::new(),
            Some((1, true)) => " 1 match".to_owned(),
            Some((n, true)) => format!(" {n} matches"),
            Some((n, false)) => format!(" {n} matches so far"),
        };
        line.skip(2).text(&format!("/{}/{count}", log.pattern), style(Role::Info));
    }
    for (on, word) in [(log.only, "only matches"), (log.wrap, "wrapped")] {
        if on {
            line.skip(2).text(word, style(Role::Info));
        }
    }
    if log.left > 0 {
        line.skip(2).text(&format!("from column {}", log.left + 1), style(Role::Info));
    }
    if log.waiting {
        line.skip(2).text("reading", style(Role::Dim));
    }
}

/// Draws a line from its row `skip` on and returns how many rows it took.
fn draw_line(app: &App, buffer: &mut Buffer, area: Rect, line: &RawLine, skip: usize) -> u16 {
    let log = &app.logs;
    let hit = log.hit == Some(line.position);
    let gutter = u16::try_from(LogPane::gutter(log)).unwrap_or(area.width).min(area.width);
    let mark = if hit {
        Some((app.theme.glyphs().folded, Role::Match))
    } else if line.stream == LogStream::Stderr {
        Some(("!", Role::Bad))
    } else {
        None
    };
    if let Some((glyph, role)) = mark.filter(|_| skip == 0) {
        put(buffer, Rect { width: 1, ..area }, glyph, app.theme.style(role));
    }
    if log.times && skip == 0 {
        let time = line.time.map(|t| t.format("%H:%M:%S%.3f").to_string()).unwrap_or_default();
        let place = Rect { x: area.x + 1, width: area.width.saturating_sub(2).min(12), ..area };
        put(buffer, place, &time, app.theme.style(Role::Dim));
    }
    let body = Rect { x: area.x + gutter, width: area.width - gutter, ..area };
    if body.width == 0 {
        return 1;
    }
    let matches = matches(app, line);
    let room = usize::from(body.width);
    let (mut row, mut column, mut at) = (0_usize, 0_usize, 0_usize);
    let mut cut = false;
    'line: for span in &line.spans {
        let style = app.theme.foreign(span.style);
        for letter in span.text.graphemes(true) {
            let cells = letter.width();
            let in_match = matches.iter().any(|m| m.contains(&at));
            at += letter.len();
            let style = if in_match { style.patch(app.theme.style(Role::Match)) } else { style };
            if log.wrap {
                if column + cells > room {
                    row += 1;
                    column = 0;
                }
                if row >= skip + usize::from(body.height) {
                    break 'line;
                }
                if row >= skip {
                    letter_at(buffer, body, column, row - skip, letter, style);
                }
                column += cells;
                continue;
            }
            if column + cells > log.left + room {
                cut = true;
                break 'line;
            }
            if column >= log.left {
                letter_at(buffer, body, column - log.left, 0, letter, style);
            }
            column += cells;
        }
    }
    if cut {
        let last = Rect { x: body.right() - 1, width: 1, ..body };
        put(buffer, last, app.theme.glyphs().ellipsis, app.theme.style(Role::Dim));
    }
    let rows = if log.wrap { (row + 1).saturating_sub(skip).max(1) } else { 1 };
    u16::try_from(rows).unwrap_or(area.height).min(area.height)
}

fn letter_at(
    buffer: &mut Buffer,
    area: Rect,
    column: usize,
    row: usize,
    letter: &str,
    style: Style,
) {
    let (Ok(dx), Ok(dy)) = (u16::try_from(column), u16::try_from(row)) else { return };
    if dx < area.width && dy < area.height {
        let room = usize::from(area.width - dx);
        buffer.set_stringn(area.x + dx, area.y + dy, letter, room, style);
    }
}

/// Returns where the searched pattern matches, as byte ranges of the line's text.
fn matches(app: &App, line: &RawLine) -> Vec<std::ops::Range<usize>> {
    let Some(matcher) = &app.logs.matcher else { return Vec::new() };
    match line.spans.as_slice() {
        [one] => matcher.find_in(&one.text).collect(),
        spans => {
            let text: String = spans.iter().map(|s| s.text.as_str()).collect();
            matcher.find_in(&text).collect()
        }
    }
}
