//! The last line: what is being typed, what has happened, or which keys do what.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

use super::Line;
use crate::app::{App, LineFor, Screen};
use crate::keymap::Action;
use crate::text::width;
use crate::theme::Role;

/// Draws it and returns where the text cursor is, while something is typed.
pub(super) fn footer(app: &App, buffer: &mut Buffer, area: Rect) -> Option<Position> {
    let style = |role| app.theme.style(role);
    if let Some(edit) = &app.line {
        let (prompt, hint) = match edit.purpose {
            LineFor::Filter => ("filter: ", filter_hint(app.screen)),
            LineFor::LogSearch => ("search: ", "a regular expression"),
            LineFor::TreeSearch => ("search: ", "a part of a name or value"),
        };
        let mut line = Line::new(app, buffer, area);
        line.skip(1).text(prompt, style(Role::Key));
        let start = line.x;
        line.text(edit.input.text(), style(Role::Text));
        if edit.input.text().is_empty() {
            line.skip(1).text(hint, style(Role::Dim));
        } else if let Some(notice) = &app.notice {
            line.skip(2).text(&notice.text, style(Role::Bad));
        }
        let x = start.saturating_add(u16::try_from(width(edit.input.before())).unwrap_or(0));
        return Some(Position::new(x.min(area.right() - 1), area.y));
    }
    if let Some(notice) = &app.notice {
        let mut line = Line::new(app, buffer, area);
        line.skip(1);
        if !notice.is_error {
            line.text(&notice.text, style(Role::Info));
            return None;
        }
        let text = format!("{} {}", app.theme.glyphs().warning, notice.text);
        let more = "  E: all of it";
        if width(&text) > line.room() {
            let cut = Rect { width: area.width - u16::try_from(width(more)).unwrap_or(0), ..area };
            Line::new(app, buffer, cut).skip(1).text(&text, style(Role::Bad));
            let rest = Rect { x: cut.right(), width: area.right() - cut.right(), ..area };
            Line::new(app, buffer, rest).text(more, style(Role::Key));
        } else {
            line.text(&text, style(Role::Bad));
        }
        return None;
    }
    hints(app, buffer, area);
    None
}

/// Returns what a filter looks at.
fn filter_hint(screen: Screen) -> &'static str {
    match screen {
        Screen::Containers => "words of name, image, state, port",
        Screen::Images => "words of name, id, digest, or unused, or dangling",
        Screen::Volumes => "words of name, driver, container, place, or unused",
        Screen::Networks => "words of network, container, address, state",
        Screen::Events => "words of object, action, name",
        Screen::System => "",
    }
}

/// Draws the keys of what can be done here; the help comes first, so that it is always there.
fn hints(app: &App, buffer: &mut Buffer, area: Rect) {
    let mut list: Vec<(String, String, bool)> = app
        .keymap
        .effective(app.contexts())
        .into_iter()
        .filter(|(b, keys)| !b.hint.is_empty() && !keys.is_empty() && app.can(b.action).is_ok())
        .map(|(b, keys)| {
            let key = keys.first().map(|k| k.name()).unwrap_or_default();
            let paused =
                app.selected().is_some_and(|r| r.summary.status == wharf_model::Status::Paused);
            let hint = match b.action {
                Action::PauseResume if paused => "resume",
                Action::HostOnOff if !app.host_row_is_off() => "disconnect",
                Action::Cancel if app.transfer_has_ended() => "close",
                Action::TimeTravel if app.travel.is_some() => "now",
                _ => b.hint,
            };
            (key, hint.to_owned(), b.action == Action::Help)
        })
        .collect();
    list.sort_by_key(|(_, _, help)| !help);
    let mut line = Line::new(app, buffer, area);
    line.skip(1);
    for (key, hint, _) in list {
        if width(&key) + 1 + width(&hint) > line.room() {
            continue;
        }
        line.text(&key, app.theme.style(Role::Key)).skip(1);
        line.text(&hint, app.theme.style(Role::Dim)).skip(2);
    }
}
