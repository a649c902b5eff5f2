//! The charts of a container.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use wharf_stats::Metric;

use super::chart::{Chart, Plot};
use super::{Line, put, say};
use crate::app::{App, Row};
use crate::format::{as_f64, bytes, nice, nice_binary, percent, size};
use crate::theme::Role;

/// Cells for the values beside a chart.
const GUTTER: u16 = 6;

/// How a chart's values are written and its scale rounded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Percent,
    Bytes,
    Rate,
    Count,
}

/// A chart with its title.
struct Panel {
    title: &'static str,
    /// The lines: what, how it looks, its letter, and its name before the value.
    lines: Vec<(Metric, Role, char, &'static str)>,
    unit: Unit,
    limit: Option<f64>,
    /// How many times as high as the values a limit may be and still be drawn.
    reach: f64,
    /// Goes after the values.
    note: String,
    /// The least top of the scale.
    floor: f64,
}

/// Draws the charts of the selected container.
pub(super) fn stats(app: &App, buffer: &mut Buffer, area: Rect) {
    let Some(row) = app.selected() else { return };
    let summary = &row.summary;
    if !app.metrics.knows(&summary.id) {
        let missing = app.info.as_ref().and_then(|info| info.no_statistics.clone());
        let text = match (summary.status.is_alive(), missing) {
            (true, Some(why)) => why,
            (true, None) => "waiting for the first samples".to_owned(),
            (false, _) => {
                let status = row.status_text(app.as_of());
                format!("{}: {status}, nothing was measured", summary.name)
            }
        };
        return say(app, buffer, area, &text, Role::Dim);
    }
    let panels = panels(app, row);
    if area.width >= 72 && area.height >= 7 {
        // Two rows of charts side by side.
        let upper = area.height.div_ceil(2);
        let top = Rect { height: upper, ..area };
        let bottom = Rect { y: area.y + upper, height: area.height - upper, ..area };
        let (first, second) = panels.split_at(panels.len() / 2);
        side_by_side(app, buffer, top, row, first);
        side_by_side(app, buffer, bottom, row, second);
    } else {
        stacked(app, buffer, area, row, &panels);
    }
}

fn side_by_side(app: &App, buffer: &mut Buffer, area: Rect, row: &Row, panels: &[Panel]) {
    let count = u16::try_from(panels.len()).unwrap_or(1).max(1);
    let each = area.width / count;
    for (n, panel) in (0..count).zip(panels) {
        let x = area.x + n * each;
        let width = if n + 1 == count { area.right() - x } else { each - 1 };
        draw_panel(app, buffer, Rect { x, width, ..area }, row, panel);
    }
}

/// Gives every chart its title, and as many of the first as possible three rows below it.
fn stacked(app: &App, buffer: &mut Buffer, area: Rect, row: &Row, panels: &[Panel]) {
    let count = u16::try_from(panels.len()).unwrap_or(1);
    let mut left = area.height.saturating_sub(count);
    let full = (left / 3).clamp(1, count);
    let each = (left / full).min(8);
    let mut y = area.y;
    for panel in panels {
        if y >= area.bottom() {
            break;
        }
        let rows = if left >= each { each } else { 0 };
        left -= rows;
        let height = (rows + 1).min(area.bottom() - y);
        draw_panel(app, buffer, Rect { y, height, ..area }, row, panel);
        y += height;
    }
}

fn panels(app: &App, row: &Row) -> Vec<Panel> {
    let id = &row.summary.id;
    let glyphs = app.theme.glyphs();
    let sample = app.metrics.sample(id);
    let pids_limit = sample.and_then(|s| s.pids?.limit).and_then(|l| match l {
        wharf_model::Limit::At(n) => Some(n),
        wharf_model::Limit::Unlimited => None,
    });
    let cpu_limit = app.metrics.cpu_limit(id);
    let memory_limit = app.metrics.memory_limit(id);
    let share =
        app.metrics.now(id).and_then(|u| u.memory_percent).filter(|_| memory_limit.is_some());
    let memory_note = match (memory_limit, share) {
        (Some(limit), Some(share)) => format!("of {}, {share:.0}%", size(limit)),
        (Some(limit), None) => format!("of {}", size(limit)),
        _ => "no limit".to_owned(),
    };
    let pids_note = match pids_limit {
        Some(n) => format!("of {n}"),
        None => "no limit".to_owned(),
    };
    let stalls: Vec<_> = [
        (Metric::CpuPressure, Role::First, '#', "cpu"),
        (Metric::MemoryPressure, Role::Warn, 'm', "mem"),
        (Metric::IoPressure, Role::Second, 'o', "io"),
        (Metric::Throttled, Role::Limit, 't', "throttled"),
    ]
    .into_iter()
    .filter(|(metric, ..)| app.metrics.has(id, *metric))
    .collect();
    let cpu = Panel {
        title: "CPU",
        lines: vec![(Metric::Cpu, Role::First, '#', "")],
        unit: Unit::Percent,
        limit: cpu_limit,
        // A container far below its limit keeps the chart to itself.
        reach: 2.0,
        note: cpu_limit.map(|limit| format!("of {}", percent(limit))).unwrap_or_default(),
        floor: 5.0,
    };
    let memory = Panel {
        title: "Memory",
        lines: vec![(Metric::Memory, Role::First, '#', "")],
        unit: Unit::Bytes,
        limit: memory_limit.map(as_f64),
        // How near it is to the limit is what one wants to know of memory.
        reach: 8.0,
        note: memory_note,
        floor: 1024.0,
    };
    let pids = Panel {
        title: "PIDs",
        lines: vec![(Metric::Pids, Role::First, '#', "")],
        unit: Unit::Count,
        limit: pids_limit.map(as_f64),
        reach: 2.0,
        note: pids_note,
        floor: 5.0,
    };
    let traffic = |title, a, b| Panel {
        title,
        lines: vec![(a, Role::First, '*', glyphs.down), (b, Role::Second, 'o', glyphs.up)],
        unit: Unit::Rate,
        limit: None,
        reach: 0.0,
        note: String::new(),
        floor: 1024.0,
    };
    let network = traffic("Net", Metric::NetRx, Metric::NetTx);
    let disk = traffic("Disk", Metric::BlockRead, Metric::BlockWrite);
    let mut panels = vec![cpu, memory];
    if !stalls.is_empty() {
        panels.push(Panel {
            title: "Pressure",
            lines: stalls,
            unit: Unit::Percent,
            limit: None,
            reach: 0.0,
            note: String::new(),
            floor: 10.0,
        });
    }
    panels.extend([network, disk, pids]);
    panels
}

impl Unit {
    fn write(self, value: f64) -> String {
        match self {
            Self::Percent => percent(value),
            Self::Bytes => bytes(value),
            Self::Rate => format!("{}/s", bytes(value)),
            Self::Count => format!("{value:.0}"),
        }
    }

    fn axis(self, value: f64) -> String {
        match self {
            Self::Percent => format!("{value:.0}%"),
            Self::Bytes | Self::Rate => bytes(value),
            Self::Count => format!("{value:.0}"),
        }
    }

    fn round_up(self, value: f64) -> f64 {
        match self {
            Self::Bytes | Self::Rate => nice_binary(value),
            Self::Percent | Self::Count => nice(value),
        }
    }
}

fn value_of(metric: Metric, usage: &wharf_stats::Usage) -> Option<f64> {
    match metric {
        Metric::Cpu => usage.cpu_percent,
        Metric::Memory => usage.memory.map(as_f64),
        Metric::NetRx => usage.net_rx,
        Metric::NetTx => usage.net_tx,
        Metric::BlockRead => usage.block_read,
        Metric::BlockWrite => usage.block_write,
        Metric::Pids => usage.pids.map(as_f64),
        Metric::Throttled => usage.throttled_percent,
        Metric::CpuPressure => usage.cpu_pressure,
        Metric::MemoryPressure => usage.memory_pressure,
        Metric::IoPressure => usage.io_pressure,
    }
}

/// Returns a chart's length: `66s`, `38m`, `3h`; two of a unit at least, so that it says enough.
fn length(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        _ => format!("{}h", seconds / 3600),
    }
}

fn draw_panel(app: &App, buffer: &mut Buffer, area: Rect, row: &Row, panel: &Panel) {
    let id = &row.summary.id;
    // What doesn't run uses nothing, however new its last sample is.
    let alive = row.summary.status.is_alive();
    let usage = app.metrics.now(id).filter(|_| alive);
    let mut line = Line::new(app, buffer, Rect { height: area.height.min(1), ..area });
    line.skip(1).text(panel.title, app.theme.style(Role::Title));
    let mut values: Vec<_> = panel
        .lines
        .iter()
        .map(|(metric, role, _, name)| (usage.and_then(|u| value_of(*metric, u)), role, name))
        .collect();
    if values.len() > 2 {
        // Of many values, only those that say something are named, the worst first.
        values.retain(|(value, ..)| value.is_some_and(|v| v >= 0.05));
        values.sort_by(|(a, ..), (b, ..)| b.partial_cmp(a).unwrap_or(std::cmp::Ordering::Equal));
    }
    let named = values.len();
    for (value, role, name) in values {
        let text = match value {
            Some(value) => panel.unit.write(value),
            None => app.theme.glyphs().missing.to_owned(),
        };
        let gap = if name.len() > 1 && name.is_ascii() { " " } else { "" };
        line.skip(1).whole(&format!("{name}{gap}{text}"), app.theme.style(*role));
    }
    if named == 0 && usage.is_some() {
        line.skip(1).text("none", app.theme.style(Role::Dim));
    }
    if !panel.note.is_empty() {
        line.skip(1).whole(&panel.note, app.theme.style(Role::Dim));
    }
    let mut body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    if body.height == 0 || body.width < GUTTER + 8 {
        return;
    }
    let width = usize::from(body.width - GUTTER) * 2;
    let window = app.metrics.window(id, app.pace());
    let axis = body.height >= 4;
    let bottom = Rect { y: body.bottom() - 1, height: 1, ..body };
    body.height -= u16::from(axis);
    let plots: Vec<Plot> = panel
        .lines
        .iter()
        .map(|(metric, role, letter, _)| Plot {
            columns: app.metrics.columns(id, *metric, width, window),
            style: app.theme.style(*role),
            letter: *letter,
        })
        .collect();
    let peak = plots.iter().flat_map(|p| &p.columns).filter_map(|c| c.max).fold(0.0, f32::max);
    let mut top = panel.unit.round_up(f64::from(peak).max(panel.floor));
    // A limit that is near enough belongs on the chart.
    if let Some(limit) = panel.limit.filter(|l| *l <= top * panel.reach) {
        top = top.max(limit);
        if limit * 1.5 < top {
            top = limit.max(f64::from(peak));
        }
    }
    let dim = app.theme.style(Role::Dim);
    let gutter = Rect { width: GUTTER, height: 1, ..body };
    let mut label = |y: u16, text: &str| {
        let text = format!("{text:>5}");
        put(buffer, Rect { y, ..gutter }, &text, dim);
    };
    label(body.y, &panel.unit.axis(top));
    if body.height > 1 {
        label(body.bottom() - 1, "0");
    }
    let plot = Rect { x: body.x + GUTTER, width: body.width - GUTTER, ..body };
    let limit_style = app.theme.style(Role::Limit);
    let unicode = app.theme.look().unicode;
    Chart { plots, top, limit: panel.limit, limit_style, unicode }.draw(buffer, plot);
    if axis {
        let text = format!("-{}", length(width as u64 * window.pace));
        let after = put(buffer, Rect { x: plot.x, width: plot.width, ..bottom }, &text, dim);
        // Two columns share a cell; the word ends below the newest.
        let live = alive && window.live && app.lost_since.is_none();
        let word = if live { "now" } else { "end" };
        let lead = u16::try_from(window.lead / 2).unwrap_or(0);
        let x = plot.right().saturating_sub(lead + 3);
        if x > after {
            put(buffer, Rect { x, width: 3, ..bottom }, word, dim);
        }
    }
}
