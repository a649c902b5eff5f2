//! The comparison of two documents.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use wharf_inspect::difference::Difference;

use super::{Line, say};
use crate::app::{App, Focus};
use crate::text::{fit, width};
use crate::theme::Role;

/// Draws each difference: where it is, what the first has, and what the second has.
pub(super) fn compare(app: &App, buffer: &mut Buffer, area: Rect) {
    let Some(diff) = &app.inspect.diff else { return };
    let style = |role| app.theme.style(role);
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let mut line = Line::new(app, buffer, Rect { height: 1, ..area });
    line.skip(1).text(&diff.names.0, style(Role::Bad)).text(" / ", style(Role::Dim));
    line.text(&diff.names.1, style(Role::Good)).skip(2);
    let list = match &diff.rows {
        None => return say(app, buffer, body, "asking the engine", Role::Dim),
        Some(Err(why)) => return say(app, buffer, body, why, Role::Bad),
        Some(Ok(list)) => list,
    };
    let what = if list.len() == 1 { "difference" } else { "differences" };
    line.whole(&format!("{} {what}", list.len()), style(Role::Info));
    if diff.own > 0 && !diff.all {
        let text = format!("and {} that every container has of its own: z", diff.own);
        line.skip(2).whole(&text, style(Role::Dim));
    }
    if list.is_empty() {
        return say(app, buffer, body, "they are alike", Role::Good);
    }
    let widest = list.iter().map(|row| width(&row.path)).max().unwrap_or(0);
    let room = usize::from(area.width) * 2 / 5;
    let cells = u16::try_from(widest.min(room)).unwrap_or(area.width / 2);
    let rows = list.iter().enumerate().skip(diff.cursor.top);
    for (y, (at, row)) in (body.y..body.bottom()).zip(rows) {
        let place = Rect { y, height: 1, ..body };
        let mut line = Line::new(app, buffer, place);
        line.skip(1).cell(&row.path, cells, false, style(Role::Key)).skip(1);
        let (first, second) = sides(row, line.room(), app.theme.glyphs().ellipsis);
        // Signs tell the sides where there are no colours.
        line.text(&first, style(Role::Bad)).text(&second, style(Role::Good));
        if at == diff.cursor.at {
            let role = if app.focus == Focus::Detail { Role::Selected } else { Role::Resting };
            buffer.set_style(place, style(role));
        }
    }
}

/// What both sides begin with is left out from this length on, but for its end.
const ALIKE: usize = 12;

/// How much of it stays.
const END: usize = 4;

/// Returns what each side has, so that how they differ is in sight of both.
fn sides(row: &Difference, room: usize, ellipsis: &str) -> (String, String) {
    let (first, second) = match (&row.first, &row.second) {
        (Some(first), Some(second)) => (first.as_str(), second.as_str()),
        (Some(first), None) => return (format!("-{first}"), String::new()),
        (None, second) => return (String::new(), format!("+{}", second.as_deref().unwrap_or(""))),
    };
    let signs = "-  +".len();
    let left = room.saturating_sub(signs);
    if width(first) + width(second) <= left {
        return (format!("-{first}"), format!("  +{second}"));
    }
    let alike = first.chars().zip(second.chars()).take_while(|(a, b)| a == b).count();
    let apart = |text: &str| match alike {
        ALIKE.. => {
            let rest: String = text.chars().skip(alike - END).collect();
            format!("{ellipsis}{rest}")
        }
        _ => text.to_owned(),
    };
    let (first, second) = (apart(first), apart(second));
    // Each has half, and what the other doesn't need.
    let mine = (left / 2).max(left.saturating_sub(width(&second)));
    let first = fit(&first, mine, ellipsis);
    let second = fit(&second, left.saturating_sub(width(&first)), ellipsis);
    (format!("-{first}"), format!("  +{second}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(first: &str, second: &str) -> (String, String) {
        let side = |text: &str| Some(text.to_owned());
        let row = Difference { path: "a".to_owned(), first: side(first), second: side(second) };
        sides(&row, 40, "…")
    }

    #[test]
    fn both_sides_of_a_long_difference_are_in_sight() {
        assert_eq!(both("1", "22"), ("-1".to_owned(), "  +22".to_owned()));
        let (long, other) = ("a".repeat(60), "b".repeat(60));
        let (first, second) = both(&long, &other);
        assert_eq!((width(&first), width(&second)), (19, 21));
        let (first, second) = both(&long, "null");
        assert_eq!((width(&first), second.as_str()), (33, "  +null"));
        // What they begin with alike says nothing.
        let (first, second) = both(&format!("{long}xyz"), &format!("{long}!"));
        assert_eq!((first.as_str(), second.as_str()), ("-…aaaaxyz", "  +…aaaa!"));
    }
}
