//! The container list.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use wharf_model::{HealthStatus, Status};
use wharf_stats::Usage;

use super::{Line, say};
use crate::app::{App, Column, Entry, Focus, Group, Link, Row};
use crate::format::{age, bytes, percent, size};
use crate::text::width;
use crate::theme::Role;

/// Optional columns, the most important first, and the least they need.
const BY_WORTH: [(Column, u16); 12] = [
    (Column::Host, 8),
    (Column::Cpu, 6),
    (Column::Memory, 10),
    (Column::Uptime, 4),
    (Column::Health, 9),
    (Column::Network, 11),
    (Column::Image, 10),
    (Column::Disk, 11),
    (Column::Pids, 5),
    (Column::Restarts, 8),
    (Column::Ports, 12),
    (Column::Ip, 15),
];

/// What a name gets before any optional column gets anything: names that differ only at their ends
/// must be told apart.
const NAME: std::ops::RangeInclusive<u16> = 12..=24;

/// Columns that keep the state, CPU and memory on the screen however long the names are.
const BESIDE_NAME: u16 = 12 + 1 + 6 + 1 + 5 + 1 + 1;

/// Below this width the limit of the memory is left out.
const NARROW: u16 = 60;

/// Returns the columns that there is room for, in their order, with their widths.
fn columns(app: &App, room: u16) -> Vec<(Column, u16)> {
    match &app.columns {
        Some(chosen) => chosen_columns(app, chosen, room),
        None => fitting_columns(app, room),
    }
}

/// Returns how many cells the longest text of a column has.
fn longest(app: &App, column: Column) -> u16 {
    let rows = app.containers.shown.iter().filter_map(|n| app.containers.rows.get(*n));
    let indent = if column == Column::Name && !app.containers.groups.is_empty() { 2 } else { 0 };
    let cells = rows.map(|r| text_of(r, column).map_or(0, width)).max().unwrap_or(0);
    u16::try_from(cells).unwrap_or(u16::MAX).min(48) + indent
}

/// Returns the columns that the user has chosen, in that order, as far as there is room.
fn chosen_columns(app: &App, chosen: &[Column], room: u16) -> Vec<(Column, u16)> {
    let least = |column: Column| match column {
        Column::State => 12,
        Column::Name => longest(app, column).clamp(*NAME.start(), *NAME.end()),
        Column::Memory if room < NARROW => 5,
        _ => BY_WORTH.iter().find(|(c, _)| *c == column).map_or(8, |(_, least)| *least),
    };
    let mut list: Vec<(Column, u16)> = Vec::new();
    let mut left = room.saturating_sub(1);
    let chosen = chosen.iter().filter(|c| **c != Column::Host || app.hosts.several());
    for column in chosen {
        let width = least(*column).min(if list.is_empty() { left } else { u16::MAX });
        // What comes later is worth less to the user, though it might still fit.
        if width > left {
            break;
        }
        left = left.saturating_sub(width + 1);
        list.push((*column, width));
    }
    widen(app, &mut list, left);
    list
}

/// Gives what is left to the columns that can use it.
fn widen(app: &App, columns: &mut [(Column, u16)], mut left: u16) {
    for flexible in [Column::Host, Column::Name, Column::Image, Column::Ports] {
        if let Some((_, width)) = columns.iter_mut().find(|(c, _)| *c == flexible) {
            let more = longest(app, flexible).saturating_sub(*width).min(left);
            *width += more;
            left -= more;
        }
    }
}

/// Returns as many columns as fit, those that are worth most first.
fn fitting_columns(app: &App, room: u16) -> Vec<(Column, u16)> {
    let rows = || app.containers.shown.iter().filter_map(|n| app.containers.rows.get(*n));
    let longest = |column: Column| longest(app, column);
    let name = longest(Column::Name).clamp(*NAME.start(), *NAME.end());
    let name = name.min(room.saturating_sub(BESIDE_NAME)).max(*NAME.start());
    let mut chosen = vec![(Column::State, 12), (Column::Name, name)];
    // One cell for the mark, and a blank after each column.
    let mut used = 1 + 12 + 1 + name + 1;
    for (column, least) in BY_WORTH {
        // Without room for the limit, the memory alone.
        let least = if column == Column::Memory && room < NARROW { 5 } else { least };
        let idle = match column {
            Column::Host => !app.hosts.several(),
            Column::Health => rows().all(|r| r.summary.health.is_none()),
            Column::Ports => rows().all(|r| r.ports.is_empty()),
            Column::Ip => rows().all(|r| r.ip.is_empty()),
            Column::Restarts => rows().all(|r| r.summary.restart_count.unwrap_or(0) == 0),
            _ => false,
        };
        if idle {
            continue;
        }
        // An image's name is worth more than what follows it.
        let left = (room + 1).saturating_sub(used + 1);
        let least = match column {
            Column::Image => longest(column).clamp(least, *NAME.end()).min(left.max(least)),
            _ => least,
        };
        // What is worth less but narrower may still fit.
        if used + least + 1 > room + 1 {
            continue;
        }
        used += least + 1;
        chosen.push((column, least));
    }
    widen(app, &mut chosen, (room + 1).saturating_sub(used));
    chosen.sort_by_key(|(c, _)| Column::ALL.iter().position(|o| o == c));
    chosen
}

/// Returns the column whose heading is at a place.
pub(crate) fn column_at(app: &App, head: Rect, x: u16) -> Option<Column> {
    let mut left = head.x + 1;
    columns(app, head.width).into_iter().find_map(|(column, width)| {
        let range = left..left + width + 1;
        left += width + 1;
        range.contains(&x).then_some(column)
    })
}

/// Returns whether a heading's sign for folding is at this column of the terminal.
pub(crate) fn is_group_mark(app: &App, head: Rect, x: u16) -> bool {
    column_at(app, head, x) == Some(Column::Name)
        && column_at(app, head, x.saturating_sub(1)) != Some(Column::Name)
}

fn text_of(row: &Row, column: Column) -> Option<&str> {
    match column {
        Column::Name => Some(row.called()),
        Column::Host => Some(&row.host_name),
        Column::Image => Some(&row.image),
        Column::Ports => Some(&row.ports),
        _ => None,
    }
}

fn is_number(column: Column) -> bool {
    matches!(
        column,
        Column::Cpu
            | Column::Memory
            | Column::Network
            | Column::Disk
            | Column::Pids
            | Column::Uptime
            | Column::Restarts
    )
}

/// Draws headings and rows.
pub(super) fn list(app: &App, buffer: &mut Buffer, head: Rect, area: Rect) {
    let columns = columns(app, head.width);
    buffer.set_style(head, app.theme.style(Role::Bar));
    let mut line = Line::new(app, buffer, head);
    line.skip(1);
    for (column, cells) in &columns {
        let narrow = *column == Column::Memory && head.width < NARROW;
        let mut title = if narrow { "MEM" } else { column.title() }.to_owned();
        if *column == app.containers.sort {
            let glyphs = app.theme.glyphs();
            let down = is_number(*column) != app.containers.reversed;
            title.push_str(if down { glyphs.descending } else { glyphs.ascending });
        }
        line.cell(&title, *cells, is_number(*column), app.theme.style(Role::Bar));
    }
    if app.containers.shown.is_empty() {
        let (text, role) = why_empty(app);
        say(app, buffer, area, &text, role);
        return;
    }
    let top = app.containers.cursor.top;
    for (y, at) in (area.y..area.bottom()).zip(top..app.containers.entries.len()) {
        let place = Rect { y, height: 1, ..area };
        match app.containers.entries.get(at) {
            Some(Entry::Row(n)) => {
                let Some(row) = app.containers.rows.get(*n) else { continue };
                draw_row(app, buffer, place, row, &columns);
            }
            Some(Entry::Group(n)) => {
                let Some(group) = app.containers.groups.get(*n) else { continue };
                draw_group(app, buffer, place, group, &columns);
            }
            None => continue,
        }
        if at == app.containers.cursor.at {
            let role = if app.focus == Focus::List { Role::Selected } else { Role::Resting };
            buffer.set_style(place, app.theme.style(role));
        }
    }
}

/// Draws the heading of a group: how many of it run, and what they use together.
fn draw_group(
    app: &App,
    buffer: &mut Buffer,
    area: Rect,
    group: &Group,
    columns: &[(Column, u16)],
) {
    let list = &app.containers;
    let glyphs = app.theme.glyphs();
    let title = app.theme.style(Role::Title);
    let folded = list.folded.contains(&group.name);
    let alive = list.members(group).filter(|row| row.summary.status.is_alive()).count();
    let sick = list
        .members(group)
        .filter(|row| row.summary.status.is_alive())
        .filter(|row| row.summary.health == Some(HealthStatus::Unhealthy));
    let sick = sick.count();
    let sum = list.sum(group, &app.metrics);
    let all_marked = list.members(group).all(|row| list.marked.contains(&row.summary.id));
    let mut line = Line::new(app, buffer, area);
    if all_marked {
        line.text(glyphs.mark, app.theme.style(Role::Info));
    } else {
        line.skip(1);
    }
    for (column, cells) in columns {
        let (value, style) = match column {
            Column::State if list.members(group).all(|row| row.unrecorded) => unknown(app),
            Column::State => {
                let role = if alive == group.members.len() { Role::Good } else { Role::Warn };
                (format!("{alive} of {}", group.members.len()), app.theme.style(role))
            }
            Column::Name => {
                let fold = if folded { glyphs.folded } else { glyphs.unfolded };
                // Its engine has a cell of its own, if there is room for it.
                let of = columns.iter().any(|(column, _)| *column == Column::Host);
                let host = list.members(group).next().map_or("", |row| row.host_name.as_str());
                let name = group.name.strip_suffix(host).filter(|_| of && !host.is_empty());
                let name = name.and_then(|name| name.strip_suffix('@')).unwrap_or(&group.name);
                (format!("{fold} {name}"), title)
            }
            Column::Host => {
                let name = list.members(group).next().map(|row| row.host_name.clone());
                (name.unwrap_or_default(), app.theme.style(Role::Info))
            }
            Column::Health if sick > 0 => {
                let sign = glyphs.warning;
                let all = format!("{sign} {sick} of {}", group.members.len());
                let fits = width(&all) <= usize::from(*cells);
                let text = if fits { all } else { format!("{sign} {sick}") };
                (text, app.theme.style(Role::Bad))
            }
            Column::Memory if *cells < 10 => (sum.memory.map(size).unwrap_or_default(), title),
            Column::Restarts => {
                let counts = list.members(group).filter_map(|row| row.summary.restart_count);
                let sum = counts
                    .fold(None, |sum: Option<u32>, n| Some(sum.unwrap_or(0).saturating_add(n)));
                (sum.map(|n| n.to_string()).unwrap_or_default(), title)
            }
            measured if measured.is_measured() && alive > 0 => {
                (number(app, *measured, Some(&sum), None), title)
            }
            _ => (String::new(), title),
        };
        line.cell(&value, *cells, is_number(*column), style);
    }
}

fn why_empty(app: &App) -> (String, Role) {
    match &app.host().link {
        Link::Lost(why) if !app.containers.loaded => (why.clone(), Role::Bad),
        _ if !app.containers.loaded => ("asking the engine".to_owned(), Role::Dim),
        _ if !app.containers.filter.is_empty() => {
            let text = format!("no container matches {}: Esc clears it", app.containers.filter);
            (text, Role::Dim)
        }
        _ if app.containers.rows.is_empty() && app.travel.is_some() => {
            ("none of the containers that are here now was there then".to_owned(), Role::Dim)
        }
        _ if app.containers.rows.is_empty() => {
            let text = "no containers yet: wharf run starts one from another terminal";
            (text.to_owned(), Role::Dim)
        }
        _ => ("no container is running: a shows all".to_owned(), Role::Dim),
    }
}

fn draw_row(app: &App, buffer: &mut Buffer, area: Rect, row: &Row, columns: &[(Column, u16)]) {
    let summary = &row.summary;
    let usage = app.metrics.now(&summary.id).filter(|_| summary.status.is_alive());
    let marked = app.containers.marked.contains(&summary.id);
    let style = |role: Role| app.theme.style(role);
    let alive = summary.status.is_alive() || summary.status == Status::Restarting;
    let text = if alive { style(Role::Text) } else { style(Role::Dim) };
    let mut line = Line::new(app, buffer, area);
    if marked {
        line.text(app.theme.glyphs().mark, style(Role::Info));
    } else {
        line.skip(1);
    }
    for (column, cells) in columns {
        let (value, style) = match column {
            Column::State => state(app, row),
            Column::Name if app.containers.grouped && row.project.is_some() => {
                (format!("  {}", row.called()), text)
            }
            Column::Name => (row.called().to_owned(), text),
            Column::Health => match summary.health {
                Some(health) => (health.as_str().to_owned(), style(app.theme.health(health))),
                None => (String::new(), text),
            },
            Column::Image => (row.image.clone(), style(Role::Dim)),
            Column::Host => (row.host_name.clone(), style(Role::Info)),
            Column::Uptime => (uptime(app, row), text),
            Column::Ports => (row.ports.clone(), text),
            Column::Ip => (row.ip.clone(), text),
            Column::Restarts => {
                let count = summary.restart_count.map(|n| n.to_string());
                (count.unwrap_or_else(|| app.theme.glyphs().missing.to_owned()), text)
            }
            Column::Memory if *cells < 10 => {
                let used = usage.and_then(|u| u.memory).map(size);
                (used.unwrap_or_default(), text)
            }
            measured => {
                let quiet = usage.is_some_and(|u| is_quiet(*measured, u));
                let role = if quiet { style(Role::Dim) } else { text };
                let limit = app.metrics.memory_limit(&summary.id);
                // What doesn't run uses nothing; what runs and isn't known is another matter.
                let known = summary.status.is_alive();
                let text = if known { number(app, *measured, usage, limit) } else { String::new() };
                (text, role)
            }
        };
        line.cell(&value, *cells, is_number(*column), style);
    }
    if app.hosts.get(row.host).is_stale() {
        // As it was, which may not be as it is.
        buffer.set_style(area, app.theme.style(Role::Dim));
    }
}

/// Returns whether a container does nothing there: what does something shall stand out.
fn is_quiet(column: Column, usage: &Usage) -> bool {
    let pair = match column {
        Column::Network => (usage.net_rx, usage.net_tx),
        Column::Disk => (usage.block_read, usage.block_write),
        _ => return false,
    };
    matches!(pair, (Some(a), Some(b)) if a < 0.5 && b < 0.5)
}

/// Returns the state's letter and word; what is happening to the container goes before it.
fn state(app: &App, row: &Row) -> (String, Style) {
    let status = row.summary.status;
    if let Some(pending) = app.pending_on(&row.summary.id) {
        let frames = app.theme.glyphs().spinner;
        let frame = frames[app.turn % frames.len()];
        return (format!("{frame} {}", pending.doing), app.theme.style(Role::Warn));
    }
    if row.unrecorded && status != Status::Created {
        return unknown(app);
    }
    let (mut glyph, mut role) = app.theme.status(status);
    if status.is_alive() && row.summary.health == Some(HealthStatus::Unhealthy) {
        // Where there is no room for its column, it is told here.
        (glyph, role) = (app.theme.glyphs().warning, Role::Bad);
    }
    let failed = row.summary.exit_code.filter(|c| *c != 0 && status == Status::Exited);
    let word = status.as_str();
    let text = match failed {
        Some(code) => format!("{glyph} {word} {code}"),
        None if crate::update::has_terminal(app, &row.summary.id) => format!("{glyph} {word} $"),
        None => format!("{glyph} {word}"),
    };
    if failed.is_some() {
        role = Role::Bad;
    }
    (text, app.theme.style(role))
}

/// Returns the state of what nothing is known of.
fn unknown(app: &App) -> (String, Style) {
    ("? unknown".to_owned(), app.theme.style(Role::Dim))
}

fn uptime(app: &App, row: &Row) -> String {
    match row.since {
        Some(since) if row.summary.status.is_alive() => age(since, app.as_of_host(row.host)),
        _ => String::new(),
    }
}

fn number(app: &App, column: Column, usage: Option<&Usage>, limit: Option<u64>) -> String {
    let glyphs = app.theme.glyphs();
    let missing = || glyphs.missing.to_owned();
    let both = |a: Option<f64>, b: Option<f64>, one: &str, two: &str| match (a, b) {
        (Some(a), Some(b)) => format!("{one}{:>4} {two}{:>4}", bytes(a), bytes(b)),
        _ => missing(),
    };
    let Some(usage) = usage else { return missing() };
    match column {
        Column::Cpu => usage.cpu_percent.map_or_else(missing, percent),
        Column::Memory => match (usage.memory, limit) {
            (Some(used), Some(limit)) => format!("{}/{:<4}", size(used), size(limit)),
            (Some(used), None) => format!("{}     ", size(used)),
            _ => missing(),
        },
        Column::Network => both(usage.net_rx, usage.net_tx, glyphs.down, glyphs.up),
        Column::Disk => both(usage.block_read, usage.block_write, glyphs.down, glyphs.up),
        Column::Pids => usage.pids.map_or_else(missing, |n| n.to_string()),
        _ => String::new(),
    }
}
