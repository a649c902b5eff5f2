//! The system screen: disk by kind, then what the engine says of itself.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use wharf_model::{EngineInfo, Space, Status};

use super::{Line, put};
use crate::app::{App, Kind, Link};
use crate::format::size;
use crate::text::wrap;
use crate::theme::Role;

/// The first column's cells.
const NAMES: u16 = 12;

/// Rows that the kinds and the beginning of what is below them need.
const BELOW: u16 = 9;

/// Draws it.
pub(super) fn page(app: &App, buffer: &mut Buffer, head: Rect, area: Rect) {
    let style = |role| app.theme.style(role);
    let mut rows = (area.y..area.bottom()).map(|y| Rect { y, height: 1, ..area });
    if app.hosts.several() {
        hosts_head(app, buffer, head);
        for n in hosts_seen(app, area) {
            let Some(place) = rows.next() else { return };
            draw_host(app, buffer, place, n);
            if n == app.system.cursor.at {
                buffer.set_style(place, style(Role::Selected));
            }
        }
        let Some(place) = rows.next() else { return };
        kinds_head(app, buffer, place);
    } else {
        kinds_head(app, buffer, head);
    }
    for (n, kind) in Kind::ALL.into_iter().enumerate() {
        let Some(place) = rows.next() else { return };
        draw_kind(app, buffer, place, kind);
        if n + app.system.hosts == app.system.cursor.at {
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
    let host = app.described();
    let heading = match app.hosts.several() {
        true => format!("ENGINE of {}", host.name()),
        false => "ENGINE".to_owned(),
    };
    put(buffer, Rect { x: title.x + 1, ..title }, &heading, style(Role::Bar));
    let way = app.hosts.several() || host.options.warning.is_some();
    let mut facts: Vec<(&str, String, Role)> = Vec::new();
    if way {
        facts.push(("address", host.options.address.clone(), Role::Text));
    }
    if let (Link::Lost(why), true) = (&host.link, app.hosts.several()) {
        facts.push(("lost", why.clone(), Role::Bad));
    }
    facts.extend(host.remarks().into_iter().map(|text| ("warning", text, Role::Warn)));
    if let Some(info) = &host.info {
        facts.extend(about(info));
    } else if facts.is_empty() || host.link == Link::Connecting {
        facts.push(("", "asking the engine".to_owned(), Role::Dim));
    }
    let room = usize::from(area.width.saturating_sub(NAMES + 3));
    for (name, value, role) in facts {
        let value = wharf_logs::sanitize_line(&value);
        for (n, text) in wrap(&value, room).into_iter().enumerate() {
            let Some(place) = rows.next() else { return };
            let mut line = Line::new(app, buffer, place);
            line.skip(1).cell(if n == 0 { name } else { "" }, NAMES, false, style(Role::Dim));
            line.text(&text, style(role));
        }
    }
}

/// Returns the engines in sight: the selected one is among them, if one is.
fn hosts_seen(app: &App, area: Rect) -> std::ops::Range<usize> {
    let seen = app.hosts.list.len().min(usize::from(area.height.saturating_sub(BELOW).max(2)));
    let at = app.host_row().unwrap_or(app.hosts.current);
    let from = (at + 1).saturating_sub(seen);
    from..from + seen
}

/// Returns what the cursor is on once a row of the screen is clicked: an engine, or a kind below them.
pub(crate) fn place_at(app: &App, area: Rect, row: usize) -> Option<usize> {
    let kinds = Kind::ALL.len();
    if !app.hosts.several() {
        return (row < kinds).then_some(row);
    }
    let hosts = hosts_seen(app, area);
    if row < hosts.len() {
        return Some(hosts.start + row);
    }
    // Their heading is between.
    let kind = row.checked_sub(hosts.len() + 1)?;
    (kind < kinds).then_some(app.system.hosts + kind)
}

/// Returns what an engine says of itself.
fn about(info: &EngineInfo) -> Vec<(&'static str, String, Role)> {
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
    facts.chain(warnings).collect()
}

fn kinds_head(app: &App, buffer: &mut Buffer, area: Rect) {
    let bar = app.theme.style(Role::Bar);
    buffer.set_style(area, bar);
    let mut line = Line::new(app, buffer, area);
    line.skip(1);
    for (title, cells, right) in
        [("KIND", NAMES, false), ("ALL", 6, true), ("USED", 6, true), ("SIZE", 8, true)]
    {
        line.cell(title, cells, right, bar);
    }
    line.text("FREE AFTER PRUNE", bar);
    if app.hosts.several() {
        line.skip(2).text(&format!("on {}", app.hosts.get(app.hosts.current).name()), bar);
    }
    if app.travel.is_some() {
        line.text(super::detail::NOW, bar);
    }
}

/// The columns of the engines: headings, cells, and whether it is numbers. The address has the rest.
const HOSTS: [(&str, u16, bool); 5] = [
    ("HOST", 14, false),
    ("STATE", 15, false),
    ("ENGINE", 16, false),
    ("RUN/ALL", 8, true),
    ("PING", 6, true),
];

fn hosts_head(app: &App, buffer: &mut Buffer, area: Rect) {
    let bar = app.theme.style(Role::Bar);
    buffer.set_style(area, bar);
    let mut line = Line::new(app, buffer, area);
    line.skip(1);
    for (title, cells, right) in HOSTS {
        line.cell(title, cells, right, bar);
    }
    line.text("ADDRESS", bar);
}

fn draw_host(app: &App, buffer: &mut Buffer, place: Rect, at: usize) {
    let host = app.hosts.get(at);
    let glyphs = app.theme.glyphs();
    let style = |role| app.theme.style(role);
    let mut line = Line::new(app, buffer, place);
    match at == app.hosts.current {
        true => line.text(glyphs.mark, style(Role::Info)),
        false => line.skip(1),
    };
    let (running, _) = app.theme.status(Status::Running);
    let (created, _) = app.theme.status(Status::Created);
    let (state, role) = match &host.link {
        Link::Up => (format!("{running} connected"), Role::Good),
        Link::Connecting => (format!("{created} connecting"), Role::Warn),
        Link::Lost(_) => (format!("{} not connected", glyphs.warning), Role::Bad),
        Link::Off => (format!("{created} disconnected"), Role::Dim),
    };
    let engine = host.info.as_ref().map(|info| {
        let version = info.server_version.split(['+', '-']).next().unwrap_or_default();
        wharf_logs::sanitize_line(&format!("{} {version}", info.engine)).into_owned()
    });
    let rows = || app.containers.rows.iter().filter(|row| row.host == at);
    let alive = rows().filter(|row| row.summary.status.is_alive()).count();
    let known = host.info.is_some() || rows().next().is_some();
    let count = if known { format!("{alive}/{}", rows().count()) } else { String::new() };
    let ping = host.latency.map(|latency| match latency.as_millis() {
        0 => "<1ms".to_owned(),
        ms => format!("{ms}ms"),
    });
    let warned = !host.remarks().is_empty();
    let texts = [
        (host.name().to_owned(), if host.is_stale() { Role::Dim } else { Role::Text }),
        (state, role),
        (engine.unwrap_or_default(), Role::Text),
        (count, Role::Text),
        (ping.unwrap_or_default(), Role::Text),
    ];
    for ((text, role), (_, cells, right)) in texts.into_iter().zip(HOSTS) {
        line.cell(&text, cells, right, style(role));
    }
    if warned {
        line.text(glyphs.warning, style(Role::Warn)).skip(1);
    }
    line.text(&host.options.address, style(Role::Dim));
}

fn draw_kind(app: &App, buffer: &mut Buffer, place: Rect, kind: Kind) {
    let usage = app.system.usage.as_ref().and_then(|usage| usage.as_ref().ok());
    let space = usage.and_then(|usage| match kind {
        Kind::Containers => Some(usage.containers),
        Kind::Images => Some(usage.images),
        Kind::Volumes => Some(usage.volumes),
        Kind::Networks => None,
    });
    if let Some(mut space) = space {
        if kind == Kind::Containers && app.containers.loaded {
            // How many there are is known at any time, their size as of the last measure.
            space.total = app.rows_here().count();
            space.active = space.total - app.stopped().count();
        }
        return draw_space(app, buffer, place, kind.title(), space);
    }
    // Sizes take their time; how many there are is known at once.
    let count = match kind {
        Kind::Containers => Some(app.rows_here().count()).filter(|_| app.containers.loaded),
        Kind::Images => app.hosts.get(app.hosts.current).info.as_ref().map(|info| info.images),
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
