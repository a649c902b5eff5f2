//! The health tab: what a container's probes say.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Line, say};
use crate::app::App;
use crate::theme::Role;

/// Draws the verdict, or why there is none.
pub(super) fn health(app: &App, buffer: &mut Buffer, area: Rect) {
    let Some(row) = app.selected() else { return };
    let name = &row.summary.name;
    let Some(health) = row.summary.health else {
        let text = format!("{name} has no health check: run --health-cmd gives it one");
        return say(app, buffer, area, &text, Role::Dim);
    };
    let mut line = Line::new(app, buffer, Rect { height: area.height.min(1), ..area });
    line.skip(1).text(name, app.theme.style(Role::Text)).skip(1);
    line.text(health.as_str(), app.theme.style(app.theme.health(health)));
}
