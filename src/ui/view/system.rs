//! The system screen: disk by kind, then what the engine says of itself.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use wharf_model::Space;

use super::{Line, put, say};
use crate::app::{App, Kind};
use crate::format::size;
use crate::text::wrap;
use crate::theme::Role;

/// The first column's cells.
const NAMES: u16 = 12;

/// Draws it.
pub(super) fn page(app: &App, buffer: &mut Buffer, head: Rect, area: Rect) {
    let style = |role| app.theme.style(role);
    buffer.set_style(head, style(Role::Bar));
    let mut line = Line::new(app, buffer, head);
    line.skip(1);
    for (title, cells, right) in
        [("KIND", NAMES, false), ("ALL", 6, true), ("USED", 6, true), ("SIZE", 8, true)]
    {
        line.cell(title, cells, right, style(Role::Bar));
    }
    line.text("FREE AFTER PRUNE", style(Role::Bar));
    let mut rows = (area.y..area.bottom()).map(|y| Rect { y, height: 1, ..area });
    for (n, kind) in Kind::ALL.into_iter().enumerate() {
        let Some(place) = rows.next() else { return };
        draw_kind(app, buffer, place, kind);
        if n == app.system.cursor.at {
            buffer.set_style(place, style(Role::Selected));
        }
    }
    match &app.system.usage {
        Some(Err(why)) => {
            let Some(place) = rows.next() else { return };
            Line::new(app, buffer, place).skip(1).text(why, style(Role::Warn));
        }
        Some(Ok(usage)) if usage.build_cache.total > 0 => {
            let Some(place) = rows.next() else { return };
            draw_space(app, buffer, place, "build cache", usage.build_cache);
        }
        _ => {}
    }
    rows.next();
    let Some(title) = rows.next() else { return };
    buffer.set_style(title, style(Role::Bar));
    put(buffer, Rect { x: title.x + 1, ..title }, "ENGINE", style(Role::Bar));
    let Some(info) = &app.info else {
        let rest = Rect { y: title.bottom(), height: area.bottom() - title.bottom(), ..area };
        return say(app, buffer, rest, "asking the engine", Role::Dim);
    };
    let undo = match info.undo_seconds {
        Some(seconds) => format!("u takes back a removal for {} minutes", seconds / 60),
        None => "a removal can't be taken back: this engine removes at once".to_owned(),
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
        ("undo", undo),
    ];
    let facts = facts.into_iter().map(|(name, value)| (name, value, Role::Text));
    let warnings = info.warnings.iter().map(|text| ("warning", text.clone(), Role::Warn));
    let room = usize::from(area.width.saturating_sub(NAMES + 3));
    for (name, value, role) in facts.chain(warnings) {
        let value = wharf_logs::sanitize_line(&value);
        for (n, text) in wrap(&value, room).into_iter().enumerate() {
            let Some(place) = rows.next() else { return };
            let mut line = Line::new(app, buffer, place);
            line.skip(1).cell(if n == 0 { name } else { "" }, NAMES, false, style(Role::Dim));
            line.text(&text, style(role));
        }
    }
}

fn draw_kind(app: &App, buffer: &mut Buffer, place: Rect, kind: Kind) {
    let usage = app.system.usage.as_ref().and_then(|usage| usage.as_ref().ok());
    let space = usage.and_then(|usage| match kind {
        Kind::Containers => Some(usage.containers),
        Kind::Images => Some(usage.images),
        Kind::Volumes => Some(usage.volumes),
        Kind::Networks => None,
    });
    if let Some(space) = space {
        return draw_space(app, buffer, place, kind.title(), space);
    }
    // Sizes take their time; how many there are is known at once.
    let count = match kind {
        Kind::Containers => Some(app.containers.rows.len()).filter(|_| app.containers.loaded),
        Kind::Images => app.info.as_ref().map(|info| info.images),
        Kind::Volumes => Some(app.volumes.rows.len()).filter(|_| app.volumes.loaded),
        Kind::Networks => Some(app.networks.list.len()).filter(|_| app.networks.loaded),
    };
    let mut line = Line::new(app, buffer, place);
    let text = app.theme.style(Role::Text);
    line.skip(1).cell(kind.title(), NAMES, false, text);
    let missing = app.theme.glyphs().missing;
    line.cell(&count.map_or(missing.to_owned(), |n| n.to_string()), 6, true, text);
    if kind != Kind::Networks && app.system.usage.is_none() {
        line.cell("", 6, true, text).text("measuring", app.theme.style(Role::Dim));
    }
}

fn draw_space(app: &App, buffer: &mut Buffer, place: Rect, name: &str, space: Space) {
    let text = app.theme.style(Role::Text);
    let mut line = Line::new(app, buffer, place);
    line.skip(1).cell(name, NAMES, false, text);
    line.cell(&space.total.to_string(), 6, true, text);
    line.cell(&space.active.to_string(), 6, true, text);
    line.cell(&size(space.size), 8, true, text);
    let role = if space.reclaimable > 0 { Role::Info } else { Role::Dim };
    line.text(&size(space.reclaimable), app.theme.style(role));
}
