//! The two lines on top: the screens and counts, and how the host does.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use wharf_model::Status;

use super::{Line, put};
use crate::app::{App, Link, Screen};
use crate::format::{age, bytes, size};
use crate::layout::{screen_at, screen_title};
use crate::text::width;
use crate::theme::Role;

/// What parts the pieces of the line on top.
const GAP: usize = 2;

/// Docker's words for what runs, what has ended, and what fails its probes; the shorter word for the first
/// is that of `docker ps`.
const RUNNING: &str = "running";
const UP: &str = "up";
const STOPPED: &str = "stopped";
const UNHEALTHY: &str = "unhealthy";
const RESTARTING: &str = "restarting";

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
    let mut room = usize::from(area.right().saturating_sub(left + 1));
    let (up, kept) = up_word(app, room);
    let mut parts = right(app, up);
    let wide = |parts: &[Corner]| {
        let gaps = parts.len().saturating_sub(1) * GAP;
        parts.iter().map(|part| width(&part.text)).sum::<usize>() + gaps
    };
    // What is least important loses its word first, and then is left out.
    while wide(&parts) > room {
        let word = |n: &usize| parts[*n].short.is_some();
        let least = (0..parts.len()).filter(word).max_by_key(|n| parts[*n].rank);
        if let Some(least) = least {
            let part = &mut parts[least];
            part.text = part.short.take().unwrap_or_default();
        } else {
            let least = (0..parts.len()).max_by_key(|n| parts[*n].rank);
            let Some(least) = least else { break };
            parts.remove(least);
        }
    }
    let wanted = wide(&parts);
    room -= wanted.max(kept).min(room);
    // The host's name stands beside the screens and what is there always at the edge, so that nothing
    // moves by what comes and goes between them.
    if let Some(name) = engine(app).filter(|name| width(name) + GAP <= room) {
        let place = Rect { x: left + 1, width: area.right() - left - 1, ..area };
        let style = app.theme.style(Role::Dim).patch(bar_background(app));
        Line::new(app, buffer, place).text(&name, style);
    }
    let x = area.right().saturating_sub(u16::try_from(wanted).unwrap_or(0));
    let mut line = Line::new(app, buffer, Rect { x, ..area });
    for part in parts.iter().rev() {
        line.text(&part.text, app.theme.style(part.role).patch(bar_background(app))).skip(2);
    }
}

fn bar_background(app: &App) -> ratatui::style::Style {
    let bar = app.theme.style(Role::Bar);
    ratatui::style::Style { fg: None, ..bar }
}

/// Returns which engine it is, and where.
fn engine(app: &App) -> Option<String> {
    let info = app.host().info.as_ref()?;
    let name = wharf_logs::sanitize_line(&info.name);
    let name = if app.hosts.several() { app.host().name() } else { &*name };
    Some(format!("{} on {name}", info.engine))
}

/// Returns what says that containers run, and how much room is kept for the counts: neither goes by the
/// counts themselves, so that nothing moves by them. The engine's name is worth the longer word.
fn up_word(app: &App, room: usize) -> (&'static str, usize) {
    if app.screen != Screen::Containers || !app.containers.loaded {
        return (UP, 0);
    }
    let piece = |word: &str| 1 + 1 + digits(app) + 1 + word.len() + GAP;
    let wide = |up: &str| piece(up) + piece(STOPPED) + piece(UNHEALTHY) - GAP;
    let name = engine(app).map_or(0, |name| width(&name) + GAP);
    // One more that comes and goes has room, too.
    let long = wide(RUNNING) + piece(RESTARTING) + name <= room;
    let word = if long { RUNNING } else { UP };
    (word, wide(word))
}

/// Returns how wide a count of containers is: as wide as that of all.
fn digits(app: &App) -> usize {
    app.containers.rows.len().to_string().len()
}

/// Something on the right of the line on top.
struct Corner {
    text: String,
    /// What of it is left where there is less room.
    short: Option<String>,
    role: Role,
    /// How soon it is left out where there is no room: the greater, the sooner.
    rank: u8,
}

/// Returns how many containers are in each state, where they are shown.
fn counts(app: &App, up: &'static str) -> Vec<Corner> {
    let mut parts = Vec::new();
    if app.screen != Screen::Containers || !app.containers.loaded {
        return parts;
    }
    let count = |status| app.containers.count(status);
    let stopped = count(Status::Exited) + count(Status::Created) + count(Status::Dead);
    let digits = digits(app);
    let warning = app.theme.glyphs().warning;
    let of = |status: Status| app.theme.status(status);
    let bad = (warning, Role::Bad);
    for (rank, count, (glyph, role), word) in [
        (4, count(Status::Running), of(Status::Running), up),
        (6, stopped, of(Status::Exited), STOPPED),
        (3, app.containers.unhealthy(), bad, UNHEALTHY),
        (7, count(Status::Paused), of(Status::Paused), "paused"),
        (5, count(Status::Restarting), of(Status::Restarting), RESTARTING),
        (5, app.containers.unrecorded(), ("?", Role::Dim), "unknown"),
    ] {
        if count > 0 || word == up {
            let short = format!("{glyph} {count:>digits$}");
            let text = format!("{short} {word}");
            parts.push(Corner { text, short: Some(short), role, rank });
        }
    }
    parts
}

/// Returns what stands on the right, from the edge inwards: what comes and goes is last, so that it
/// moves nothing.
fn right(app: &App, up: &'static str) -> Vec<Corner> {
    let mut parts = counts(app, up);
    let mut add = |rank, role, text: String| parts.push(Corner { text, short: None, role, rank });
    match app.screen {
        Screen::Containers if app.containers.loaded => {
            let marked = app.containers.marked.len();
            if marked > 0 {
                add(2, Role::Info, format!("{}{marked} marked", app.theme.glyphs().mark));
            }
        }
        Screen::Images if app.images.loaded => {
            let ids: std::collections::BTreeSet<_> =
                app.images.rows.iter().map(|row| &row.id).collect();
            let word = if ids.len() == 1 { "image" } else { "images" };
            let total = app.images.total().map(|total| format!(", {}", size(total)));
            add(4, Role::Text, format!("{} {word}{}", ids.len(), total.unwrap_or_default()));
            let dangling = app.images.rows.iter().filter(|row| row.name.is_none()).count();
            if dangling > 0 {
                add(5, Role::Warn, format!("{dangling} dangling"));
            }
            let marked = app.images.marked.len();
            if marked > 0 {
                add(2, Role::Info, format!("{}{marked} marked", app.theme.glyphs().mark));
            }
        }
        Screen::Volumes if app.volumes.loaded => {
            let count = app.volumes.rows.len();
            let word = if count == 1 { "volume" } else { "volumes" };
            let sizes: Option<u64> = app.volumes.rows.iter().map(|row| row.info.size).sum();
            // Of nothing there is no unit to tell it from a count.
            let total = match sizes {
                None => String::new(),
                Some(0) => ", empty".to_owned(),
                Some(total) => format!(", {}", size(total)),
            };
            add(4, Role::Text, format!("{count} {word}{total}"));
        }
        Screen::Networks if app.networks.loaded => {
            let count = app.networks.topology.buses.len().saturating_sub(1);
            let word = if count == 1 { "network" } else { "networks" };
            let stations = app.networks.topology.stations.len();
            let plural = if stations == 1 { "container" } else { "containers" };
            add(4, Role::Text, format!("{count} {word}, {stations} {plural}"));
        }
        _ => {}
    }
    if app.options.read_only {
        add(1, Role::Warn, "READ-ONLY".to_owned());
    }
    if let Some(host) = app.containers.only.filter(|_| app.screen == Screen::Containers) {
        add(1, Role::Warn, format!("only {}", app.hosts.get(host).name()));
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
        add(1, Role::Warn, format!("/{filter} {shown} of {all}"));
    } else if app.screen == Screen::Containers && !app.containers.all {
        add(1, Role::Warn, format!("running only: {shown} of {all}"));
    }
    if let Some(travel) = &app.travel {
        add(0, Role::Warn, format!("PAST {}", travel.at.format("%H:%M:%S")));
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
        let percent = transfer.percent().map(|p| format!(" {p:>2}%")).unwrap_or_default();
        let doing = transfer.kind.doing();
        add(2, Role::Info, format!("{frame} {doing} {text}{percent}{more}"));
    }
    let warning = app.theme.glyphs().warning;
    if app.hosts.several() {
        let mut lost: Vec<&str> = app.hosts.lost().map(crate::app::hosts::Host::name).collect();
        let all = lost.len();
        lost.truncate(2);
        if all > 0 {
            let more = if all > 2 { format!(" and {} more", all - 2) } else { String::new() };
            add(0, Role::Bad, format!("{warning} lost: {}{more}", lost.join(", ")));
        }
        return parts;
    }
    match &app.host().link {
        Link::Up | Link::Off => {}
        Link::Connecting => add(0, Role::Warn, "connecting".to_owned()),
        Link::Lost(_) => add(0, Role::Bad, format!("{warning} not connected")),
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
    // What changes has a width of its own, so that what follows it neither moves nor is drawn again.
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
    let of = if brief { "/" } else { " of " };
    let cpus = sample.cpus.map(|n| format!("{of}{n}")).unwrap_or_default();
    match usage.cpu_percent {
        Some(cpu) => {
            // A tenth of a percent would change every second, and say nothing.
            parts.push(("cpu", format!("{cpu:>3.0}%{cpus}"), level(cpu, 80.0, 95.0)));
        }
        None if sample.cpus.is_some() => {
            parts.push(("cpu", format!("{}{cpus}", app.theme.glyphs().missing), Role::Text));
        }
        None => {}
    }
    if let Some(load) = sample.load1 {
        let per_cpu = sample.cpus.map_or(0.0, |n| load / n as f32 * 100.0);
        let text = if brief { format!("{load:>4.1}") } else { format!("{load:>5.2}") };
        parts.push(("load", text, level(f64::from(per_cpu), 100.0, 200.0)));
    }
    if let (Some(used), Some(total)) = (usage.memory, sample.memory_total) {
        let share = usage.memory_percent.unwrap_or(0.0);
        let text = match brief {
            true => format!("{share:>2.0}%/{}", size(total)),
            false => format!("{:>4}/{} {share:>2.0}%", size(used), size(total)),
        };
        parts.push(("mem", text, level(share, 85.0, 95.0)));
    }
    let pressure =
        [("cpu", usage.cpu_pressure), ("mem", usage.memory_pressure), ("io", usage.io_pressure)];
    if pressure.iter().any(|(_, p)| p.is_some()) {
        let known = pressure.iter().filter_map(|(name, p)| p.map(|p| (name, p)));
        let texts: Vec<String> = match brief {
            true => known.map(|(name, p)| format!("{name} {p:>2.0}")).collect(),
            false => known.map(|(name, p)| format!("{name} {p:>2.0}%")).collect(),
        };
        let most = pressure.iter().filter_map(|(_, p)| *p).fold(0.0, f64::max);
        let name = if brief { "psi%" } else { "pressure" };
        parts.push((name, texts.join(" "), level(most, 20.0, 50.0)));
    }
    if let (Some(used), Some(total)) = (usage.disk, sample.disk_total) {
        let share = usage.disk_percent.unwrap_or(0.0);
        let free = bytes(crate::format::as_f64(total.saturating_sub(used)));
        let text = match brief {
            true => format!("{free:>4} free"),
            false => format!("{share:>2.0}% {free:>4} free"),
        };
        parts.push(("disk", text, level(share, 85.0, 95.0)));
    }
    parts
}
