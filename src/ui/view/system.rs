//! The system screen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Line, say};
use crate::app::App;
use crate::format::size;
use crate::theme::Role;

/// Draws what the engine says of itself.
pub(super) fn page(app: &App, buffer: &mut Buffer, head: Rect, area: Rect) {
    buffer.set_style(head, app.theme.style(Role::Bar));
    Line::new(app, buffer, head).skip(1).text("ENGINE", app.theme.style(Role::Bar));
    let Some(info) = &app.info else {
        return say(app, buffer, area, "asking the engine", Role::Dim);
    };
    let facts = [
        ("engine", format!("{} {}", info.engine, info.server_version)),
        ("host", info.name.clone()),
        ("system", format!("{} {}", info.operating_system, info.kernel_version)),
        ("processors", format!("{} {}", info.cpus, info.architecture)),
        ("memory", size(info.memory_total)),
        ("storage", format!("{} in {}", info.storage_driver, info.root_dir)),
        ("cgroups", format!("{} {}", info.cgroup_version, info.cgroup_driver)),
        ("security", info.security_options.join(" ")),
    ];
    let facts = facts.into_iter().map(|(name, value)| (name, value, Role::Text));
    let warnings = info.warnings.iter().map(|text| ("warning", text.clone(), Role::Warn));
    for (y, (name, value, role)) in (area.y..area.bottom()).zip(facts.chain(warnings)) {
        let mut line = Line::new(app, buffer, Rect { y, height: 1, ..area });
        line.skip(1).cell(name, 12, false, app.theme.style(Role::Dim));
        line.text(&wharf_logs::sanitize_line(&value), app.theme.style(role));
    }
}
