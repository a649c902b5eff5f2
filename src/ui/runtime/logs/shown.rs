//! Records as the log tab shows them: made safe, the parts of a long line put together, JSON folded.

use unicode_width::UnicodeWidthChar;
use wharf_logs::{Line, Sanitizer, Span, Style, continues, fold, plain_text, unfold};

use crate::message::RawLine;

/// Bytes of a line that are shown in a row.
pub(super) const SHOWN: usize = 8 << 10;

/// Bytes of a line that are shown when it is unfolded, and that are copied.
const WHOLE: usize = 1 << 20;

/// Returns whether a line belongs to the one before it in the view.
pub(super) fn joins(before: &Line, line: &Line) -> bool {
    before.source == line.source && before.next == line.position && continues(before, line)
}

/// Returns records as lines to show; `before` is what lies before the first of them.
pub(super) fn lines(before: Option<&Line>, records: &[Line], raw: bool) -> Vec<RawLine> {
    let mut sanitizer = Sanitizer::new();
    let mut shown: Vec<RawLine> = Vec::with_capacity(records.len());
    let mut at = 0;
    let mut last = before;
    while let Some(first) = records.get(at) {
        let parts = parts(&records[at..]);
        let joined = last.is_some_and(|last| joins(last, first));
        shown.push(line(&mut sanitizer, &records[at..at + parts], joined, raw));
        at += parts;
        last = records.get(at - 1);
    }
    shown
}

/// Returns how many records the first line has.
fn parts(records: &[Line]) -> usize {
    let pairs = records.windows(2);
    1 + pairs.take_while(|pair| !pair[0].complete && joins(&pair[0], &pair[1])).count()
}

fn line(sanitizer: &mut Sanitizer, parts: &[Line], joined: bool, raw: bool) -> RawLine {
    let (first, last) = (&parts[0], &parts[parts.len() - 1]);
    let total: usize = parts.iter().map(|part| part.message.len()).sum();
    let message = message(parts, SHOWN);
    let folded = (total <= SHOWN).then(|| fold(&message)).flatten();
    let short = total > message.len() || parts.iter().any(|part| part.cut);
    let folds = folded.is_some() || short;
    let mut spans = match folded.filter(|_| !raw) {
        Some(folded) => folded.line,
        None => sanitizer.line(&message),
    };
    if short {
        let text = format!(" [{total} bytes in all: Enter shows them]");
        spans.push(Span { text, style: Style { reverse: true, ..Style::default() } });
    }
    RawLine {
        position: first.position,
        next: last.next,
        time: first.time,
        stream: first.stream,
        source: first.source,
        joined,
        folds,
        spans,
    }
}

/// Returns the beginning of what some records say together.
fn message(parts: &[Line], most: usize) -> Vec<u8> {
    let mut message = Vec::new();
    for part in parts {
        let room = most - message.len();
        message.extend_from_slice(&part.message[..part.message.len().min(room)]);
    }
    message
}

/// Returns all of a line in rows: the values of JSON, or its text in rows of so many columns.
pub(super) fn whole(parts: &[Line], columns: usize) -> Vec<Vec<Span>> {
    let message = message(parts, WHOLE);
    if let Some(rows) = unfold(&message) {
        return rows;
    }
    let columns = columns.max(8);
    let mut rows: Vec<Vec<Span>> = vec![Vec::new()];
    let mut used = 0;
    for span in Sanitizer::new().line(&message) {
        let mut text = String::new();
        let push = |rows: &mut Vec<Vec<Span>>, text: &mut String| {
            if let Some(row) = rows.last_mut().filter(|_| !text.is_empty()) {
                row.push(Span { text: std::mem::take(text), style: span.style });
            }
        };
        for letter in span.text.chars() {
            let cells = letter.width().unwrap_or(0);
            if used + cells > columns {
                push(&mut rows, &mut text);
                rows.push(Vec::new());
                used = 0;
            }
            text.push(letter);
            used += cells;
        }
        push(&mut rows, &mut text);
    }
    rows
}

/// Appends what a line says as text without anything that a terminal or a shell would take for a
/// command.
pub(super) fn copy(text: &mut String, parts: &[Line]) {
    let message = message(parts, WHOLE);
    text.push_str(&String::from_utf8_lossy(&plain_text(&message)));
    text.push('\n');
}
