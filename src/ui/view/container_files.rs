//! The files tab of a container.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use wharf_logs::sanitize_line;
use wharf_model::MountKind;

use super::{Line, say};
use crate::app::App;
use crate::theme::Role;

/// Draws what is mounted in the container.
pub(super) fn files(app: &App, buffer: &mut Buffer, area: Rect) {
    let Some(row) = app.selected() else { return };
    if row.summary.mounts.is_empty() {
        let text = format!("nothing is mounted in {}", row.summary.name);
        return say(app, buffer, area, &text, Role::Dim);
    }
    for (y, mount) in (area.y..area.bottom()).zip(&row.summary.mounts) {
        let kind = match mount.kind {
            MountKind::Volume => "volume",
            MountKind::Bind => "bind",
            MountKind::Tmpfs => "tmpfs",
        };
        let from = mount.name.as_deref().unwrap_or(&mount.source);
        let mut line = Line::new(app, buffer, Rect { y, height: 1, ..area });
        line.skip(1).cell(kind, 6, false, app.theme.style(Role::Dim));
        line.text(&sanitize_line(&mount.destination), app.theme.style(Role::Text)).skip(2);
        line.text(&sanitize_line(from), app.theme.style(Role::Dim));
    }
}
