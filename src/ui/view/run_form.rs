//! The form that makes a container: its fields, what is wrong, and the command line that does the
//! same.

use ratatui::layout::{Position, Rect};

use super::pages::Spans;
use crate::app::App;
use crate::app::run_form::{FieldKind, RunForm};
use crate::text::{fit, head, width, wrap};
use crate::theme::Role;

/// The cells of a field's name.
const LABEL: usize = 9;

/// The most rows that the command line takes.
const COMMAND: usize = 5;

/// Returns how many fields are in sight in so many rows: the rest is for what is below them.
fn fields(rows: usize) -> usize {
    let below = match rows {
        0..12 => 4,
        12..17 => 5,
        _ => 3 + COMMAND,
    };
    rows.saturating_sub(below).clamp(1, FieldKind::ALL.len())
}

/// Returns the first field in sight.
fn top(form: &RunForm, shown: usize) -> usize {
    (form.at + 1).saturating_sub(shown)
}

/// Returns the part of a typed text that is in sight, and where the cursor is in it.
fn window<'a>(text: &'a str, before: &'a str, cells: usize) -> (&'a str, usize) {
    let mut start = 0;
    while width(&before[start..]) >= cells.max(1) {
        let step = before[start..].chars().next().map_or(1, char::len_utf8);
        start += step;
    }
    (head(&text[start..], cells), width(&before[start..]))
}

/// Returns its lines, for a box of so many columns and rows.
pub(super) fn lines(app: &App, form: &RunForm, columns: usize, rows: usize) -> Vec<Spans> {
    let glyphs = app.theme.glyphs();
    let shown = fields(rows);
    let first = top(form, shown);
    let room = columns.saturating_sub(LABEL);
    let mut lines: Vec<Spans> = Vec::new();
    for (at, kind) in FieldKind::ALL.into_iter().enumerate().skip(first).take(shown) {
        let chosen = at == form.at;
        let label = format!("{:<LABEL$}", kind.title());
        let label = (label, if chosen { Role::Key } else { Role::Dim });
        let value = match form.inputs.get(at) {
            _ if kind.is_choice() => {
                let choice = form.chosen(kind);
                let text = if chosen { format!("< {choice} >") } else { choice.to_owned() };
                (text, Role::Text)
            }
            Some(input) if input.text().is_empty() => {
                let text = form.placeholder(kind);
                let text = fit(&text, room.saturating_sub(2), glyphs.ellipsis);
                (if text.is_empty() { String::new() } else { format!("({text})") }, Role::Dim)
            }
            Some(input) if chosen => {
                (window(input.text(), input.before(), room).0.to_owned(), Role::Text)
            }
            Some(input) => (fit(input.text(), room, glyphs.ellipsis).into_owned(), Role::Text),
            None => (String::new(), Role::Text),
        };
        lines.push(vec![label, value]);
    }
    let left = rows.saturating_sub(lines.len());
    let mut below = Vec::new();
    if left > 4 {
        below.push(Vec::new());
    }
    let spinner = glyphs.spinner[app.turn % glyphs.spinner.len()];
    let said: Spans = match (&form.error, form.starting) {
        (Some(why), _) => vec![(format!("{} {why}", glyphs.warning), Role::Bad)],
        (None, Some(_)) => vec![(format!("{spinner} starting"), Role::Info)],
        (None, None) => {
            vec![(format!("{}: {}", form.field().title(), form.field().hint()), Role::Dim)]
        }
    };
    for (text, role) in said {
        let most = left.saturating_sub(3).clamp(1, 4);
        below.extend(wrap(&text, columns).into_iter().take(most).map(|line| vec![(line, role)]));
    }
    if left > 5 {
        below.push(Vec::new());
    }
    let room = left.saturating_sub(below.len()).clamp(1, COMMAND);
    below.extend(command(app, form, columns, room));
    lines.extend(below);
    lines
}

/// Returns the command line in at most so many rows, broken so that a shell takes it.
fn command(app: &App, form: &RunForm, columns: usize, rows: usize) -> Vec<Spans> {
    let Ok(words) = form.command(app.program(app.hosts.current)) else {
        return vec![vec![("a quote isn't closed".to_owned(), Role::Warn)]];
    };
    let room = columns.saturating_sub(4);
    let mut lines: Vec<String> = vec!["$".to_owned()];
    for word in words {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(&word) <= room => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(format!("   {word}")),
        }
    }
    let count = lines.len();
    let more = count > rows;
    let last = count.min(rows).saturating_sub(1);
    let ellipsis = app.theme.glyphs().ellipsis;
    let cut = |(n, line): (usize, String)| {
        let line = fit(&line, columns.saturating_sub(2), ellipsis).into_owned();
        let end = match n == last {
            true if more => format!(" {ellipsis}"),
            true => String::new(),
            false => " \\".to_owned(),
        };
        vec![(line, Role::Text), (end, Role::Dim)]
    };
    lines.into_iter().take(rows).enumerate().map(cut).collect()
}

/// Returns the field in a row of the box.
pub(super) fn field_at(form: &RunForm, rows: usize, row: usize) -> Option<usize> {
    let shown = fields(rows);
    let at = top(form, shown) + row;
    (row < shown && at < FieldKind::ALL.len()).then_some(at)
}

/// Returns where the text cursor is.
pub(super) fn cursor(form: &RunForm, inner: Rect, rows: usize) -> Option<Position> {
    let shown = fields(rows);
    let input = form.inputs.get(form.at).filter(|_| !form.field().is_choice())?;
    let room = usize::from(inner.width).saturating_sub(LABEL);
    let (_, at) = window(input.text(), input.before(), room);
    let x = inner.x + u16::try_from(LABEL + at).unwrap_or(0);
    let y = inner.y + u16::try_from(form.at - top(form, shown)).unwrap_or(0);
    Some(Position::new(x.min(inner.right()), y))
}
