//! What is shown of a group of containers.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::{Line, say};
use crate::app::{App, EventRow, Group, Tab};
use crate::format::{bytes, percent, size};
use crate::text::width;
use crate::theme::Role;

/// Draws a tab of a group: who uses how much, or what happened to any of them. The rest are a
/// container's own.
pub(super) fn pane(app: &App, buffer: &mut Buffer, area: Rect, tab: Tab, group: &Group) {
    match tab {
        Tab::Stats => usage(app, buffer, area, group),
        Tab::Events => happened(app, buffer, area, group),
        _ => {
            let name = &group.name;
            let text = match tab {
                Tab::Logs => {
                    format!("{name} is a group: m shows the logs of its containers as one, by time")
                }
                Tab::Top => format!("{name} is a group: each of its containers has its processes"),
                Tab::Inspect => {
                    format!("{name} is a group: each of its containers can be inspected")
                }
                _ => {
                    let what = tab.title().to_lowercase();
                    format!("{name} is a group: each of its containers has its {what}")
                }
            };
            say(app, buffer, area, &text, Role::Dim);
        }
    }
}

/// Draws the shares of the CPU and the memory as bars.
fn usage(app: &App, buffer: &mut Buffer, area: Rect, group: &Group) {
    let list = &app.containers;
    let sum = list.sum(group, &app.metrics);
    let style = |role| app.theme.style(role);
    let mut line = Line::new(app, buffer, Rect { height: area.height.min(1), ..area });
    let count = group.members.len();
    let mut facts = vec![format!("{count} container{}", if count == 1 { "" } else { "s" })];
    facts.extend(sum.cpu_percent.map(|cpu| format!("cpu {}", percent(cpu))));
    facts.extend(sum.memory.map(|memory| format!("mem {}", size(memory))));
    let pair = |a: Option<f64>, b: Option<f64>| Some((bytes(a?), bytes(b?)));
    let glyphs = app.theme.glyphs();
    for (name, pair) in
        [("net", pair(sum.net_rx, sum.net_tx)), ("disk", pair(sum.block_read, sum.block_write))]
    {
        facts.extend(pair.map(|(a, b)| format!("{name} {}{a} {}{b}", glyphs.down, glyphs.up)));
    }
    line.skip(1).text(&facts.join("  "), style(Role::Title));
    let names = list.members(group).map(|row| width(row.called())).max().unwrap_or(0);
    let names = u16::try_from(names).unwrap_or(24).min(24);
    for (y, row) in (area.y.saturating_add(1)..area.bottom()).zip(list.members(group)) {
        let mut line = Line::new(app, buffer, Rect { y, height: 1, ..area });
        line.skip(1).cell(row.called(), names, false, style(Role::Text));
        let Some(usage) = app.metrics.now(&row.summary.id) else {
            line.text(row.summary.status.as_str(), style(Role::Dim));
            continue;
        };
        let share = |part: Option<f64>, whole: Option<f64>| match (part, whole) {
            (Some(part), Some(whole)) if whole > 0.0 => (part / whole).clamp(0.0, 1.0),
            _ => 0.0,
        };
        let as_f64 = |n: Option<u64>| n.map(crate::format::as_f64);
        let room = (area.width.saturating_sub(names + 24) / 2).clamp(4, 30);
        for (text, share, role) in [
            (
                usage.cpu_percent.map(percent),
                share(usage.cpu_percent, sum.cpu_percent),
                Role::First,
            ),
            (usage.memory.map(size), share(as_f64(usage.memory), as_f64(sum.memory)), Role::Second),
        ] {
            line.cell(&text.unwrap_or_default(), 7, true, style(Role::Text));
            let filled = (share * f64::from(room)).round();
            let filled = (0..room).take_while(|n| f64::from(*n) < filled).count();
            let bar = glyphs.rule.repeat(filled);
            line.cell(&bar, room, false, style(role));
        }
    }
}

/// Draws the newest events of all of them.
fn happened(app: &App, buffer: &mut Buffer, area: Rect, group: &Group) {
    let ids: Vec<&str> = app.containers.members(group).map(|row| row.summary.id.as_str()).collect();
    let events = &app.events;
    let rows = events.rows.iter().rev().filter(|row| ids.contains(&row.id.as_str()));
    // As of a single container: probes would hide all else.
    let rows = rows.filter(|row| events.programs || !row.is_program());
    let rows = rows.filter(|row| events.until.is_none_or(|until| row.time <= until));
    let rows: Vec<&EventRow> = rows.take(usize::from(area.height)).collect();
    if rows.is_empty() {
        let text = format!("nothing is known of what happened to {}", group.name);
        return say(app, buffer, area, &text, Role::Dim);
    }
    for (y, row) in (area.y..area.bottom()).zip(rows.into_iter().rev()) {
        let cells = super::events::Cells::usual(area.width);
        super::events::draw(app, buffer, Rect { y, height: 1, ..area }, row, Some(cells));
    }
}
