//! The comparison of two documents.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Line, say};
use crate::app::{App, Focus};
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
    let widest = list.iter().map(|row| crate::text::width(&row.path)).max().unwrap_or(0);
    let room = usize::from(area.width) / 2;
    let cells = u16::try_from(widest.min(room)).unwrap_or(area.width / 2);
    let rows = list.iter().enumerate().skip(diff.cursor.top);
    for (y, (at, row)) in (body.y..body.bottom()).zip(rows) {
        let place = Rect { y, height: 1, ..body };
        let mut line = Line::new(app, buffer, place);
        line.skip(1).cell(&row.path, cells, false, style(Role::Key)).skip(1);
        // Signs tell the sides where there are no colours.
        match &row.first {
            Some(text) => line.text("-", style(Role::Bad)).text(text, style(Role::Bad)),
            None => line.text("", style(Role::Dim)),
        };
        if let Some(text) = &row.second {
            let gap = if row.first.is_some() { "  +" } else { "+" };
            line.text(gap, style(Role::Good)).text(text, style(Role::Good));
        }
        if at == diff.cursor.at {
            let role = if app.focus == Focus::Detail { Role::Selected } else { Role::Resting };
            buffer.set_style(place, style(role));
        }
    }
}
