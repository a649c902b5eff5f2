//! The log tab.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;
use wharf_model::LogStream;

use super::{Line, put, say};
use crate::app::{App, Focus, LogPane, Period};
use crate::format::size;
use crate::layout::layout;
use crate::message::RawLine;
use crate::theme::Role;

/// Draws the state of the view and the lines in sight.
pub(super) fn logs(app: &App, buffer: &mut Buffer, area: Rect) {
    let log = &app.logs;
    if app.selected().is_none() && !log.is_merged() {
        return;
    }
    state(app, buffer, Rect { height: 1, ..area });
    let place = layout(app).map(|l| l.log_bars()).unwrap_or_default();
    bars(app, buffer, place);
    let top = 1 + place.height;
    let body = Rect { y: area.y + top, height: area.height.saturating_sub(top), ..area };
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
    let chosen = match app.focus {
        Focus::Detail if log.anchor.is_some() => log.selection(),
        Focus::Detail if log.cursor.is_some() => log.selected().map_or(0..0, |at| at..at + 1),
        _ => 0..0,
    };
    for (n, shown) in log.lines.iter().enumerate().skip(log.top) {
        if y >= body.bottom() {
            break;
        }
        let rest = Rect { y, height: body.bottom() - y, ..body };
        let rows = draw_line(app, buffer, rest, &shown.line, skip);
        if chosen.contains(&n) {
            buffer.set_style(Rect { height: rows, ..rest }, app.theme.style(Role::Selected));
        }
        y += rows;
        skip = 0;
    }
}

/// The heights of a bar, the lowest first.
const UNICODE: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const ASCII: [&str; 9] = [" ", ".", ".", ":", "-", "=", "+", "*", "#"];

/// Draws how much was written when, with the part that is on the screen, and below it where matches
/// are.
fn bars(app: &App, buffer: &mut Buffer, area: Rect) {
    let log = &app.logs;
    let Some(bars) = log.bars.as_ref().filter(|b| area.height > 0 && !b.counts.is_empty()) else {
        return;
    };
    let style = |role| app.theme.style(role);
    let (count, width) = (bars.counts.len(), usize::from(area.width));
    let most = bars.counts.iter().copied().max().unwrap_or(0).max(1);
    let rows = layout(app).map_or(1, |l| l.log_room().1);
    let seen = log.in_sight(rows).map(|(first, last)| bars.place(first)..=bars.place(last));
    let unicode = app.theme.look().unicode;
    let glyphs = if unicode { &UNICODE } else { &ASCII };
    for column in 0..area.width {
        let bar = usize::from(column) * count / width;
        let amount = bars.counts.get(bar).copied().unwrap_or(0);
        let height = usize::try_from((amount * 8).div_ceil(most)).unwrap_or(8).min(8);
        let here = seen.as_ref().is_some_and(|seen| seen.contains(&bar));
        let role = if here { Role::Selected } else { Role::First };
        let cell = Rect { x: area.x + column, width: 1, height: 1, ..area };
        put(buffer, cell, glyphs[height], style(role));
    }
    let below = Rect { y: area.y + 1, height: 1, ..area };
    let last = bars.time(count);
    let long = (last - bars.begin).num_hours() >= 24;
    let format = if long { "%m-%d %H:%M" } else { "%H:%M:%S" };
    let (begin, end) = (bars.begin.format(format).to_string(), last.format(format).to_string());
    let step = match bars.step.num_seconds() {
        step @ 0..60 => format!("{step} s a bar"),
        step @ 60..3600 => format!("{} min a bar", step / 60),
        step @ 3600..86_400 => format!("{} h a bar", step / 3600),
        step => format!("{} d a bar", step / 86_400),
    };
    let most = match bars.unit {
        wharf_logs::Unit::Lines if most == 1 => "most 1 line".to_owned(),
        wharf_logs::Unit::Lines => format!("most {most} lines"),
        wharf_logs::Unit::Bytes => format!("most {}", size(most)),
    };
    let middle = format!("{step}, {most}");
    let (from, to) = (begin.len(), end.len());
    let mut words = vec![(0, begin)];
    if width > from + to + middle.len() + 8 {
        words.push(((width - middle.len()) / 2, middle));
    }
    if width > from + to + 2 {
        words.push((width - to, end));
    }
    for (at, text) in &words {
        let x = area.x + u16::try_from(*at).unwrap_or(0);
        let place = Rect { x, width: area.right().saturating_sub(x), ..below };
        put(buffer, place, text, style(Role::Dim));
    }
    let mark = if unicode { "▴" } else { "^" };
    for column in 0..area.width {
        let first = usize::from(column) * count / width;
        // Where a column shows less than a bar, only the first one is marked.
        let before = (usize::from(column) > 0).then(|| (usize::from(column) - 1) * count / width);
        if bars.matches.get(first).copied().unwrap_or(0) == 0 || before == Some(first) {
            continue;
        }
        let cell = Rect { x: area.x + column, width: 1, ..below };
        // Where the axis says something, and beside that, a match is told by how it looks.
        let at = usize::from(column);
        if words.iter().any(|(from, text)| (*from..from + text.len() + 2).contains(&(at + 1))) {
            buffer.set_style(cell, style(Role::Match));
        } else {
            put(buffer, cell, mark, style(Role::Match));
        }
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
        let folds = log.lines.iter().any(|shown| shown.line.folds);
        if log.matches == Some((0, true)) && !log.raw && folds {
            // What is searched is what was written, and that isn't what is shown.
            line.skip(1).text("JSON is searched as it is: z shows it", style(Role::Warn));
        }
    }
    if let Period::Since(since) = log.period {
        // The instant stays where it is while time goes on.
        let text = format!("since {}", since.format("%H:%M:%S"));
        line.skip(2).text(&text, style(Role::Info));
    }
    if log.is_merged() {
        line.skip(2).text(&format!("{} logs by time", log.origins.len()), style(Role::Info));
    }
    if log.raw {
        line.skip(2).text("JSON as it is", style(Role::Info));
    }
    if let Some((asked, dropped)) = log.missing {
        let text = match dropped {
            0 => format!("the last {asked} lines of the engine's"),
            n => format!("{n} older lines dropped to bound the memory"),
        };
        line.skip(2).text(&text, style(Role::Warn));
    }
    if log.removed > 0 {
        let text = format!("{} of older lines removed by rotation", size(log.removed));
        line.skip(2).text(&text, style(Role::Warn));
    }
    if log.lost > 0 {
        let gaps = if log.lost == 1 { "a gap".to_owned() } else { format!("{} gaps", log.lost) };
        let text = format!("{gaps}: rotated before it was read");
        line.skip(2).text(&text, style(Role::Bad));
    }
    if let Some(kept) = &log.kept {
        line.skip(2).text(&format!("engine keeps {kept}"), style(Role::Warn));
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
    // A long line that the log has in parts is found by one of them.
    let hit = log.hit.is_some_and(|at| (line.position..line.next).contains(&at));
    let gutter = u16::try_from(LogPane::gutter(log)).unwrap_or(area.width).min(area.width);
    let mark = if hit {
        Some((app.theme.glyphs().folded, Role::Match))
    } else if line.joined {
        Some((app.theme.glyphs().bar, Role::Dim))
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
    let names = log.name_cells().unwrap_or(0);
    if let Some(origin) = log.origins.get(line.source).filter(|_| names > 0 && skip == 0) {
        let cells = u16::try_from(names).unwrap_or(0);
        let x = area.x + gutter.saturating_sub(cells + 1);
        let place = Rect { x, width: cells.min(area.right().saturating_sub(x)), ..area };
        Line::new(app, buffer, place).text(&origin.name, app.theme.source(line.source));
    }
    let body = Rect { x: area.x + gutter, width: area.width - gutter, ..area };
    if body.width == 0 {
        return 1;
    }
    if let Some(rows) = log.unfolded.get(&line.position) {
        return draw_unfolded(app, buffer, body, rows, skip);
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

/// Draws the rows of an unfolded line.
fn draw_unfolded(
    app: &App,
    buffer: &mut Buffer,
    area: Rect,
    rows: &[Vec<wharf_logs::Span>],
    skip: usize,
) -> u16 {
    let mut drawn = 0;
    for (y, row) in (area.y..area.bottom()).zip(rows.iter().skip(skip)) {
        let mut line = Line::new(app, buffer, Rect { y, height: 1, ..area });
        for span in row {
            line.text(&span.text, app.theme.foreign(span.style));
        }
        drawn += 1;
    }
    drawn.max(1)
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
