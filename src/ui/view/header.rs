//! The two lines on top: the screens and counts, and how the host does.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use wharf_model::Status;

use super::{Line, put};
use crate::app::{App, Link, Screen};
use crate::format::{age, bytes, percent, size};
use crate::layout::{screen_at, screen_title};
use crate::text::width;
use crate::theme::Role;

/// Draws the screens' names, and on the right counts, filter and engine.
pub(super) fn header(app: &App, buffer: &mut Buffer, area: Rect) {
    buffer.set_style(area, app.theme.style(Role::Bar));
    let mut left = area.x;
    for (n, screen) in Screen::ALL.iter().enumerate() {
        let Some(place) = screen_at(app, area, n) else { continue };
        let chosen = *screen == app.screen;
        let style = app.theme.style(if chosen { Role::Chosen } else { Role::Bar });
        put(buffer, place, &screen_title(app, n), style);
        left = place.right();
    }
    let parts = right(app);
    let room = usize::from(area.right().saturating_sub(left + 1));
    // What is least important comes first and is left out first.
    let mut from = parts.len();
    let mut used = 0;
    while from > 0 {
        let next = width(&parts[from - 1].0) + 2;
        if used + next > room {
            break;
        }
        used += next;
        from -= 1;
    }
    let x = area.right().saturating_sub(u16::try_from(used).unwrap_or(0));
    let mut line = Line::new(app, buffer, Rect { x, ..area });
    for (text, role) in &parts[from..] {
        line.text(text, app.theme.style(*role).patch(bar_background(app))).skip(2);
    }
}

fn bar_background(app: &App) -> ratatui::style::Style {
    let bar = app.theme.style(Role::Bar);
    ratatui::style::Style { fg: None, ..bar }
}

fn right(app: &App) -> Vec<(String, Role)> {
    let mut parts = Vec::new();
    if let Some(info) = &app.host().info {
        let name = wharf_logs::sanitize_line(&info.name);
        let name = if app.hosts.several() { app.host().name() } else { &*name };
        parts.push((format!("{} on {name}", info.engine), Role::Dim));
    }
    if app.screen == Screen::Containers && app.containers.loaded {
        let count = |status| app.containers.count(status);
        let stopped = count(Status::Exited) + count(Status::Created) + count(Status::Dead);
        for (count, status, word) in [
            (stopped, Status::Exited, "stopped"),
            (count(Status::Paused), Status::Paused, "paused"),
            (count(Status::Running), Status::Running, "running"),
            (count(Status::Restarting), Status::Restarting, "restarting"),
        ] {
            if count > 0 || status == Status::Running {
                let (glyph, role) = app.theme.status(status);
                parts.push((format!("{glyph} {count} {word}"), role));
            }
        }
        if app.containers.unhealthy() > 0 {
            let glyph = app.theme.glyphs().warning;
            parts.push((format!("{glyph} {} unhealthy", app.containers.unhealthy()), Role::Bad));
        }
        if !app.containers.marked.is_empty() {
            let glyph = app.theme.glyphs().mark;
            parts.push((format!("{glyph}{} marked", app.containers.marked.len()), Role::Info));
        }
    }
    if app.screen == Screen::Images && app.images.loaded {
        let ids: std::collections::BTreeSet<_> = app.images.rows.iter().map(|r| &r.id).collect();
        let word = if ids.len() == 1 { "image" } else { "images" };
        let total = app.images.total().map(|total| format!(", {}", size(total)));
        parts.push((format!("{} {word}{}", ids.len(), total.unwrap_or_default()), Role::Text));
        let dangling = app.images.rows.iter().filter(|row| row.name.is_none()).count();
        if dangling > 0 {
            parts.push((format!("{dangling} dangling"), Role::Warn));
        }
        if !app.images.marked.is_empty() {
            let glyph = app.theme.glyphs().mark;
            parts.push((format!("{glyph}{} marked", app.images.marked.len()), Role::Info));
        }
    }
    let moving: Vec<_> = app.transfers.iter().filter(|t| t.end.is_none()).collect();
    if let Some(transfer) = moving.last() {
        let frames = app.theme.glyphs().spinner;
        let frame = frames[app.turn % frames.len()];
        let more = match moving.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let text =
            crate::text::fit_middle(&transfer.what, 24, app.theme.glyphs().ellipsis).into_owned();
        let percent = transfer.percent().map(|p| format!(" {p}%")).unwrap_or_default();
        let doing = transfer.kind.doing();
        parts.push((format!("{frame} {doing} {text}{percent}{more}"), Role::Info));
    }
    if app.screen == Screen::Volumes && app.volumes.loaded {
        let count = app.volumes.rows.len();
        let word = if count == 1 { "volume" } else { "volumes" };
        let sizes: Option<u64> = app.volumes.rows.iter().map(|row| row.info.size).sum();
        // Of nothing there is no unit to tell it from a count.
        let total = match sizes {
            None => String::new(),
            Some(0) => ", empty".to_owned(),
            Some(total) => format!(", {}", size(total)),
        };
        parts.push((format!("{count} {word}{total}"), Role::Text));
    }
    if app.screen == Screen::Networks && app.networks.loaded {
        let count = app.networks.topology.buses.len().saturating_sub(1);
        let word = if count == 1 { "network" } else { "networks" };
        let stations = app.networks.topology.stations.len();
        let plural = if stations == 1 { "container" } else { "containers" };
        parts.push((format!("{count} {word}, {stations} {plural}"), Role::Text));
    }
    let (filter, shown, all) = match app.screen {
        Screen::Events => (&app.events.filter, app.events.shown.len(), app.events.rows.len()),
        Screen::System => (&String::new(), 0, 0),
        Screen::Containers => {
            (&app.containers.filter, app.containers.shown.len(), app.containers.rows.len())
        }
        Screen::Images => (&app.images.filter, app.images.shown.len(), app.images.rows.len()),
        Screen::Volumes => (&app.volumes.filter, app.volumes.shown.len(), app.volumes.rows.len()),
        Screen::Networks => {
            let shown = app.networks.topology.stations.len();
            (&app.networks.filter, shown, app.rows_here().count())
        }
    };
    if !filter.is_empty() {
        parts.push((format!("/{filter} {shown} of {all}"), Role::Warn));
    } else if app.screen == Screen::Containers && !app.containers.all {
        parts.push((format!("running only: {shown} of {all}"), Role::Warn));
    }
    if let Some(travel) = &app.travel {
        parts.push((format!("PAST {}", travel.at.format("%H:%M:%S")), Role::Warn));
    }
    if let Some(host) = app.containers.only.filter(|_| app.screen == Screen::Containers) {
        parts.push((format!("only {}", app.hosts.get(host).name()), Role::Warn));
    }
    if app.options.read_only {
        parts.push(("READ-ONLY".to_owned(), Role::Warn));
    }
    if app.hosts.several() {
        let mut lost: Vec<&str> = app.hosts.lost().map(crate::app::hosts::Host::name).collect();
        let all = lost.len();
        lost.truncate(2);
        if all > 0 {
            let glyph = app.theme.glyphs().warning;
            let more = if all > 2 { format!(" and {} more", all - 2) } else { String::new() };
            let text = format!("{glyph} lost: {}{more}", lost.join(", "));
            parts.push((text, Role::Bad));
        }
        return parts;
    }
    match &app.host().link {
        Link::Up | Link::Off => {}
        Link::Connecting => parts.push(("connecting".to_owned(), Role::Warn)),
        Link::Lost(_) => {
            let glyph = app.theme.glyphs().warning;
            parts.push((format!("{glyph} not connected"), Role::Bad));
        }
    }
    parts
}

/// Draws how the host does, as far as it is known and there is room.
pub(super) fn host(app: &App, buffer: &mut Buffer, area: Rect) {
    let mut line = Line::new(app, buffer, area);
    line.skip(1);
    let host = app.host();
    if app.hosts.several() {
        line.text("host", app.theme.style(Role::Dim)).skip(1);
        line.text(host.name(), app.theme.style(Role::Text)).skip(2);
    }
    if let Link::Lost(why) = &host.link {
        let text = match host.lost_since {
            Some(since) => {
                let ago = age(since, app.now);
                format!("last seen {ago} ago, trying again: {why}")
            }
            None => format!("{why}; trying again"),
        };
        line.text(&text, app.theme.style(Role::Bad));
        return;
    }
    if let Some(travel) = &app.travel {
        let at = travel.shown(app.here());
        // The day is worth its room only where it is another one.
        let today = at.date_naive() == app.now.date_naive();
        let clock = at.format(if today { "%H:%M:%S UTC" } else { "%Y-%m-%d %H:%M:%S UTC" });
        let text = format!("THE PAST: {clock}, {} ago", age(at, app.now));
        line.text(&text, app.theme.style(Role::Warn)).skip(2);
        if let Some(why) = travel.none(app.here()) {
            line.text(&format!("not of this host: {why}"), app.theme.style(Role::Bad));
            return;
        }
        tell(app, &mut line);
        let hint = "{ } move, t in the charts or Esc comes back to now";
        line.whole(hint, app.theme.style(Role::Dim));
        return;
    }
    tell(app, &mut line);
}

/// Writes as many of the host's values as there is room for.
fn tell(app: &App, line: &mut Line<'_>) {
    let wide =
        |parts: &[Part]| parts.iter().map(|(n, v, _)| width(n) + width(v) + 3).sum::<usize>();
    let all = parts(app, false);
    // What is left out says less than the last of them.
    let all = if wide(&all) > line.room() + 2 { parts(app, true) } else { all };
    for (name, value, role) in all {
        let needed = width(name) + 1 + width(&value);
        if needed > line.room() {
            break;
        }
        line.text(name, app.theme.style(Role::Dim)).skip(1);
        line.text(&value, app.theme.style(role)).skip(2);
    }
}

/// A name, a value, and how it is drawn.
type Part = (&'static str, String, Role);

/// Returns what is known of the host, with fewer words where they have no room.
fn parts(app: &App, brief: bool) -> Vec<Part> {
    // Where there is room, what changes has a width of its own, so that what follows it isn't drawn again.
    let mut parts = Vec::new();
    let here = app.here();
    let Some((usage, sample)) = app.metrics.host(here) else {
        if app.travel.is_some() {
            parts.push(("host", "not recorded".to_owned(), Role::Dim));
            return parts;
        }
        // A remote engine tells how large its host is, not what it does.
        if let Some(info) = &app.host().info {
            parts.push(("cpus", info.cpus.to_string(), Role::Text));
            parts.push(("mem", size(info.memory_total), Role::Text));
        }
        return parts;
    };
    let level = |value: f64, warn: f64, bad: f64| {
        if value >= bad {
            Role::Bad
        } else if value >= warn {
            Role::Warn
        } else {
            Role::Text
        }
    };
    let cpus = sample.cpus.map(|n| format!(" of {n}")).unwrap_or_default();
    match usage.cpu_percent {
        Some(cpu) => {
            parts.push(("cpu", format!("{:>5}{cpus}", percent(cpu)), level(cpu, 80.0, 95.0)));
        }
        None if sample.cpus.is_some() => {
            parts.push(("cpu", format!("{}{cpus}", app.theme.glyphs().missing), Role::Text));
        }
        None => {}
    }
    if let Some(load) = sample.load1 {
        let per_cpu = sample.cpus.map_or(0.0, |n| load / n as f32 * 100.0);
        parts.push(("load", format!("{load:.2}"), level(f64::from(per_cpu), 100.0, 200.0)));
    }
    if let (Some(used), Some(total)) = (usage.memory, sample.memory_total) {
        let share = usage.memory_percent.unwrap_or(0.0);
        let text = match brief {
            true => format!("{share:.0}% of {}", size(total)),
            false => format!("{}/{} {share:.0}%", size(used), size(total)),
        };
        parts.push(("mem", text, level(share, 85.0, 95.0)));
    }
    let pressure =
        [("cpu", usage.cpu_pressure), ("mem", usage.memory_pressure), ("io", usage.io_pressure)];
    if pressure.iter().any(|(_, p)| p.is_some()) {
        let known = pressure.iter().filter_map(|(name, p)| p.map(|p| (name, p)));
        let texts: Vec<String> = match brief {
            true => known.map(|(name, p)| format!("{name} {p:.0}")).collect(),
            false => known.map(|(name, p)| format!("{name} {p:>2.0}%")).collect(),
        };
        let most = pressure.iter().filter_map(|(_, p)| *p).fold(0.0, f64::max);
        let name = if brief { "psi%" } else { "pressure" };
        parts.push((name, texts.join(" "), level(most, 20.0, 50.0)));
    }
    if let (Some(used), Some(total)) = (usage.disk, sample.disk_total) {
        let share = usage.disk_percent.unwrap_or(0.0);
        let free = bytes(crate::format::as_f64(total.saturating_sub(used)));
        let text = if brief { format!("{free} free") } else { format!("{share:.0}% {free} free") };
        parts.push(("disk", text, level(share, 85.0, 95.0)));
    }
    parts
}
