//! The event screen: what the engine tells.

use wharf_model::Event;

use crate::app::{App, Redraw, Screen};
use crate::layout::layout;

/// Takes in an event.
pub(super) fn heard(app: &mut App, event: &Event) {
    app.events.push(event);
    if app.screen == Screen::Events {
        app.events.arrange(layout(app).map_or(1, |l| l.list_rows()));
        app.draw(Redraw::Lively);
    }
}

/// Moves the cursor.
pub(super) fn step(app: &mut App, by: isize, rows: usize) {
    let count = app.events.shown.len();
    app.events.cursor.step(by, count, rows);
}
