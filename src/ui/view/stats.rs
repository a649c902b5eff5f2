//! The charts of a container: all of them, or one alone.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use wharf_model::{ContainerId, What};
use wharf_stats::{Cause, Column, Metric, Signs, causes};

use super::chart::{Graph, Plot};
use super::{Line, put, say};
use crate::app::{App, Chart, Focus, Row, Tab, Window};
use crate::format::{age, as_f64, bytes, nice, nice_binary, percent, size};
use crate::layout::layout;
use crate::text::{width, wrap};
use crate::theme::Role;

/// Cells for the values beside a chart.
const GUTTER: u16 = 6;

/// Over how many seconds it is judged what holds a container back.
const JUDGED: u64 = 30;

/// For how long a kill for want of memory is worth a word, in seconds.
const REMEMBERED: u64 = 600;

/// How a chart's values are written and its scale rounded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Percent,
    Bytes,
    Rate,
    Count,
}

/// How several values make one line.
#[derive(Clone, Copy)]
enum Of {
    Sum,
    Most,
}

/// One line of a chart.
struct Trace {
    id: ContainerId,
    metrics: Vec<Metric>,
    of: Of,
    role: Role,
    letter: char,
    /// Goes before the value.
    name: String,
}

/// A chart with its title.
struct Panel {
    chart: Chart,
    traces: Vec<Trace>,
    unit: Unit,
    limit: Option<f64>,
    /// How many times as high as the values a limit may be and still be drawn.
    reach: f64,
    /// Goes after the values.
    note: String,
    /// The least top of the scale.
    floor: f64,
    /// Why there is nothing to draw.
    gap: Option<String>,
}

/// Returns how many columns the charts of this screen have: those of the narrowest.
pub(crate) fn chart_columns(app: &App) -> usize {
    let area = layout(app).map(|layout| layout.pane(Tab::Stats).unwrap_or(layout.detail));
    let Some(area) = area else { return 1 };
    let width = match is_grid(app, area) {
        true => area.width / 3 - 1,
        false => area.width,
    };
    usize::from(width.saturating_sub(GUTTER)) * 2
}

fn is_grid(app: &App, area: Rect) -> bool {
    !app.charts.alone && area.width >= 72 && area.height >= 8
}

/// Draws the charts of the selected container.
pub(super) fn stats(app: &App, buffer: &mut Buffer, area: Rect) {
    let Some(row) = app.selected() else { return };
    let summary = &row.summary;
    if !app.metrics.knows(&summary.id) {
        let missing = app.host().info.as_ref().and_then(|info| info.no_statistics.clone());
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
    let compared = app.compared();
    headline(app, buffer, Rect { height: area.height.min(1), ..area }, row, compared);
    let area = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    if area.is_empty() {
        return;
    }
    if app.charts.alone {
        return alone(app, buffer, area, row, compared);
    }
    let panels: Vec<_> =
        Chart::ALL.into_iter().map(|chart| panel(app, row, compared, chart)).collect();
    if is_grid(app, Rect { height: area.height + 1, ..area }) {
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

/// One chart with all the room, and what belongs to it.
fn alone(app: &App, buffer: &mut Buffer, area: Rect, row: &Row, compared: Option<&Row>) {
    let panel = panel(app, row, compared, app.charts.chosen);
    let id = &row.summary.id;
    let below = match app.charts.chosen {
        Chart::Cpu if area.height >= 8 => {
            let cores = app.metrics.cores(id).map_or(0, |cores| cores.usage.len());
            let columns = core_columns(area);
            let rows = u16::try_from(cores.div_ceil(columns)).unwrap_or(u16::MAX).max(1);
            rows.min(area.height / 3)
        }
        Chart::Memory if area.height >= 8 => 2,
        _ => 0,
    };
    let upper = Rect { height: area.height - below, ..area };
    draw_panel(app, buffer, upper, row, &panel);
    let lower = Rect { y: upper.bottom(), height: below, ..area };
    match app.charts.chosen {
        Chart::Cpu if below > 0 => cores(app, buffer, lower, id),
        Chart::Memory if below > 0 => kinds(app, buffer, lower, id),
        _ => {}
    }
}

/// The least room for one core: its name, its share and a chart.
const CORE: u16 = 26;

fn core_columns(area: Rect) -> usize {
    usize::from((area.width / CORE).max(1))
}

/// Draws what is used of each core.
fn cores(app: &App, buffer: &mut Buffer, area: Rect, id: &ContainerId) {
    let dim = app.theme.style(Role::Dim);
    let usage = app.metrics.cores(id).map(|cores| cores.usage.as_slice()).unwrap_or_default();
    if usage.is_empty() {
        let told = app.metrics.details(id).and_then(|details| details.no_cores.clone());
        let why = match (&app.travel, told) {
            (Some(_), _) => "the use of each core isn't recorded".to_owned(),
            (None, Some(why)) => why,
            (None, None) => "asking for the use of each core".to_owned(),
        };
        put(buffer, Rect { x: area.x + 1, width: area.width - 1, ..area }, &why, dim);
        return;
    }
    let columns = core_columns(area);
    let each = area.width / u16::try_from(columns).unwrap_or(1).max(1);
    let window = app.chart_window(id);
    for (n, value) in usage.iter().enumerate().take(columns * usize::from(area.height)) {
        let (Ok(x), Ok(y)) = (u16::try_from(n % columns), u16::try_from(n / columns)) else {
            return;
        };
        let cell = Rect { x: area.x + x * each, y: area.y + y, width: each - 1, height: 1 };
        let mut line = Line::new(app, buffer, cell);
        let value = value.map_or_else(|| app.theme.glyphs().missing.to_owned(), percent);
        line.skip(1).text(&format!("core {n}"), dim);
        line.x = cell.x + 9;
        line.cell(&value, 6, true, app.theme.style(Role::First));
        let from = (cell.x + 17).min(cell.right());
        let chart = Rect { x: from, width: cell.right() - from, ..cell };
        let columns = app.metrics.core_columns(id, n, usize::from(chart.width) * 2, window);
        let style = app.theme.style(Role::First);
        let plots = vec![Plot { columns, style, letter: '#' }];
        Graph { top: 100.0, ..graph(app, plots) }.draw(buffer, chart);
    }
    if usage.len() > columns * usize::from(area.height) {
        let more = usage.len() - columns * usize::from(area.height);
        let text = format!(" {more} more ");
        let x = area.right().saturating_sub(u16::try_from(width(&text)).unwrap_or(0));
        let place = Rect { x, y: area.bottom() - 1, width: area.right() - x, height: 1 };
        put(buffer, place, &text, dim);
    }
}

/// Says in numbers what a container's memory consists of.
fn kinds(app: &App, buffer: &mut Buffer, area: Rect, id: &ContainerId) {
    let mut line = Line::new(app, buffer, Rect { height: 1, y: area.bottom() - 1, ..area });
    line.skip(1);
    let sample = app.metrics.sample(id).and_then(|sample| sample.memory);
    let Some(memory) = sample else { return };
    let kernel = memory.kernel.or_else(|| app.metrics.details(id)?.kernel);
    let missing = app.theme.glyphs().missing;
    let dim = app.theme.style(Role::Dim);
    for (name, value) in [
        ("charged", Some(memory.usage)),
        ("anonymous", memory.anon),
        ("file", memory.file),
        ("of it unused lately", memory.inactive_file),
        ("kernel", kernel),
        ("killed", memory.oom_kills.filter(|kills| *kills > 0)),
    ] {
        if name == "killed" && value.is_none() {
            continue;
        }
        let text = match (name, value) {
            ("killed", Some(count)) => format!("{count} processes"),
            (_, Some(value)) => size(value),
            (_, None) => missing.to_owned(),
        };
        if width(name) + 1 + width(&text) > line.room() {
            break;
        }
        let role = if name == "killed" { Role::Bad } else { Role::Text };
        line.text(name, dim).skip(1).text(&text, app.theme.style(role)).skip(2);
    }
}

/// Says what holds the container back, and which time the charts show.
fn headline(app: &App, buffer: &mut Buffer, area: Rect, row: &Row, compared: Option<&Row>) {
    let state = state(app, row);
    let right = u16::try_from(width(&state)).unwrap_or(0);
    let x = area.right().saturating_sub(right + 1);
    put(
        buffer,
        Rect { x, width: right.min(area.width), ..area },
        &state,
        app.theme.style(Role::Dim),
    );
    let mut line = Line::new(app, buffer, Rect { width: x.saturating_sub(area.x + 1), ..area });
    line.skip(1);
    if let Some(other) = compared {
        let (first, second) = (app.theme.style(Role::First), app.theme.style(Role::Second));
        line.text(&row.summary.name, first).text(" against ", app.theme.style(Role::Dim));
        line.text(&other.summary.name, second);
        return;
    }
    let (text, role) = why(app, row);
    line.text(&text, app.theme.style(role));
}

/// Returns which time the charts show, in words.
fn state(app: &App, row: &Row) -> String {
    let clock = |at: DateTime<Utc>| at.format("%H:%M:%S UTC").to_string();
    match (app.charts.instant, app.charts.end) {
        (Some(at), _) => format!("at {}, {} ago", clock(at), age(at, app.now)),
        (None, Some(end)) => format!("held at {}", clock(end)),
        (None, None) => {
            let window = app.metrics.window(&row.summary.id, app.pace());
            span(chart_columns(app) as u64 * window.pace)
        }
    }
}

/// Returns in one line why the container is slow, if it is.
fn why(app: &App, row: &Row) -> (String, Role) {
    let id = &row.summary.id;
    let instant = app.charts.instant;
    if instant.is_none() && !row.summary.status.is_alive() {
        let kills = app.metrics.kills(id);
        let status = row.status_text(app.as_of());
        return match kills.last() {
            Some(_) => (format!("{status}; killed for want of memory before"), Role::Bad),
            None => (status, Role::Dim),
        };
    }
    let average = |metric| app.metrics.average(id, metric, JUDGED, instant);
    let end = instant.map_or(app.metrics.newest(), wharf_model::since_epoch);
    let kills = app.metrics.kills(id);
    let lately =
        kills.iter().filter(|at| **at <= end && end.as_secs() - at.as_secs() <= REMEMBERED).count();
    let whole = |value: Option<f64>| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        value.map(|value| value.max(0.0).round() as u64)
    };
    let signs = Signs {
        throttled: average(Metric::Throttled),
        cpu_pressure: average(Metric::CpuPressure),
        memory_pressure: average(Metric::MemoryPressure),
        io_pressure: average(Metric::IoPressure),
        oom_kills: lately as u64,
        memory: whole(average(Metric::Memory)),
        memory_limit: app.metrics.memory_limit(id),
        cpus: app.metrics.cpu_limit(id).map(|percent| percent / 100.0),
        block: average(Metric::BlockRead).zip(average(Metric::BlockWrite)),
        pids: app
            .metrics
            .now(id)
            .and_then(|usage| usage.pids)
            .map(|pids| (pids, app.metrics.pids_limit(id))),
        // The host of another time isn't recorded.
        host_cpu: app
            .metrics
            .host(app.here())
            .and_then(|usage| usage.cpu_percent)
            .filter(|_| instant.is_none()),
    };
    let causes = causes(&signs, size);
    match causes.first() {
        Some(worst) => {
            let texts: Vec<&str> = causes.iter().take(2).map(|c: &Cause| c.text.as_str()).collect();
            let role = if worst.weight >= 30.0 { Role::Bad } else { Role::Warn };
            (texts.join("; "), role)
        }
        None if signs.cpu_pressure.is_none() && signs.throttled.is_none() => {
            ("what it waits for isn't known".to_owned(), Role::Dim)
        }
        None => ("nothing holds it back".to_owned(), Role::Dim),
    }
}

/// Returns why a chart has nothing to show.
fn gap(app: &App, row: &Row, chart: Chart) -> String {
    let summary = &row.summary;
    let engine = app.host().info.as_ref().map_or("this engine", |info| info.engine.as_str());
    let on = |network: &str| summary.networks.iter().any(|name| name == network);
    match chart {
        Chart::Network if on("host") => {
            "it shares the host's network, whose traffic isn't its own".to_owned()
        }
        Chart::Network if on("none") || summary.networks.is_empty() => {
            "it is on no network".to_owned()
        }
        Chart::Pressure => {
            let told = app.metrics.details(&summary.id).and_then(|d| d.no_pressure.clone());
            told.unwrap_or_else(|| format!("{engine} doesn't tell what it waits for"))
        }
        _ => format!("{engine} doesn't count this: its control group has no such controller"),
    }
}

fn trace(id: &ContainerId, metrics: &[Metric], role: Role, letter: char, name: &str) -> Trace {
    let (id, metrics) = (id.clone(), metrics.to_vec());
    Trace { id, metrics, of: Of::Sum, role, letter, name: name.to_owned() }
}

fn panel(app: &App, row: &Row, compared: Option<&Row>, chart: Chart) -> Panel {
    let id = &row.summary.id;
    let glyphs = app.theme.glyphs();
    let one = |metric| vec![trace(id, &[metric], Role::First, '#', "")];
    let two = |a, b| {
        vec![
            trace(id, &[a], Role::First, '*', glyphs.down),
            trace(id, &[b], Role::Second, 'o', glyphs.up),
        ]
    };
    let empty = Panel {
        chart,
        traces: Vec::new(),
        unit: Unit::Percent,
        limit: None,
        reach: 0.0,
        note: String::new(),
        floor: 1.0,
        gap: None,
    };
    let mut panel = match chart {
        Chart::Cpu => {
            let limit = app.metrics.cpu_limit(id);
            let note = limit.map(|limit| format!("of {}", percent(limit))).unwrap_or_default();
            let mut traces = one(Metric::Cpu);
            if app.charts.alone && app.metrics.has(id, Metric::Throttled) && limit.is_some() {
                traces.push(trace(id, &[Metric::Throttled], Role::Warn, 't', "throttled"));
            }
            // A container far below its limit keeps the chart to itself.
            Panel { traces, limit, reach: 2.0, note, floor: 5.0, ..empty }
        }
        Chart::Memory => {
            let limit = app.metrics.memory_limit(id);
            let usage = app.metrics.now(id).and_then(|usage| usage.memory_percent);
            let share = usage.filter(|_| limit.is_some() && app.charts.instant.is_none());
            let note = match (limit, share) {
                (Some(limit), Some(share)) => format!("of {}, {share:.0}%", size(limit)),
                (Some(limit), None) => format!("of {}", size(limit)),
                _ => "no limit".to_owned(),
            };
            let mut traces = one(Metric::Memory);
            if app.charts.alone {
                for (metric, role, letter, name) in [
                    (Metric::Anon, Role::Good, 'a', "anonymous"),
                    (Metric::File, Role::Second, 'f', "file"),
                    (Metric::Kernel, Role::Warn, 'k', "kernel"),
                ] {
                    if app.metrics.has(id, metric) {
                        traces.push(trace(id, &[metric], role, letter, name));
                    }
                }
            }
            let (limit, unit) = (limit.map(as_f64), Unit::Bytes);
            // How near it is to the limit is what one wants to know of memory.
            Panel { traces, unit, limit, reach: 8.0, note, floor: 1024.0, ..empty }
        }
        Chart::Pressure => {
            let traces = [
                (Metric::CpuPressure, Role::First, '#', "cpu"),
                (Metric::MemoryPressure, Role::Warn, 'm', "mem"),
                (Metric::IoPressure, Role::Second, 'o', "io"),
                (Metric::Throttled, Role::Limit, 't', "throttled"),
            ];
            let traces = traces.into_iter().filter(|(metric, ..)| app.metrics.has(id, *metric));
            let traces =
                traces.map(|(metric, role, letter, name)| trace(id, &[metric], role, letter, name));
            Panel { traces: traces.collect(), floor: 10.0, ..empty }
        }
        Chart::Network => {
            let traces = two(Metric::NetRx, Metric::NetTx);
            Panel { traces, unit: Unit::Rate, floor: 1024.0, ..empty }
        }
        Chart::Disk => {
            let traces = two(Metric::BlockRead, Metric::BlockWrite);
            Panel { traces, unit: Unit::Rate, floor: 1024.0, ..empty }
        }
        Chart::Pids => {
            let limit = app.metrics.pids_limit(id);
            let note = limit.map_or_else(|| "no limit".to_owned(), |n| format!("of {n}"));
            let (traces, limit) = (one(Metric::Pids), limit.map(as_f64));
            Panel { traces, unit: Unit::Count, limit, reach: 2.0, note, floor: 5.0, ..empty }
        }
    };
    if let Some(other) = compared {
        against(&mut panel, id, &other.summary.id);
    }
    let known = |trace: &Trace| trace.metrics.iter().any(|m| app.metrics.has(&trace.id, *m));
    if !panel.traces.iter().any(known) {
        panel.gap = Some(gap(app, row, chart));
    }
    panel
}

/// Makes a chart one of two containers: a line of each.
fn against(panel: &mut Panel, id: &ContainerId, other: &ContainerId) {
    let (metrics, of): (&[Metric], Of) = match panel.chart {
        Chart::Cpu => (&[Metric::Cpu], Of::Sum),
        Chart::Memory => (&[Metric::Memory], Of::Sum),
        Chart::Pressure => {
            (&[Metric::CpuPressure, Metric::MemoryPressure, Metric::IoPressure], Of::Most)
        }
        Chart::Network => (&[Metric::NetRx, Metric::NetTx], Of::Sum),
        Chart::Disk => (&[Metric::BlockRead, Metric::BlockWrite], Of::Sum),
        Chart::Pids => (&[Metric::Pids], Of::Sum),
    };
    panel.traces = vec![
        Trace { of, ..trace(id, metrics, Role::First, '*', "") },
        Trace { of, ..trace(other, metrics, Role::Second, 'o', "") },
    ];
    // Each has its own.
    panel.limit = None;
    panel.note = String::new();
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

/// Returns a length of time: `66s`, `38m`, `3h`; two of a unit at least, so that it says enough.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        // Columns have whole seconds, so that a length is a little off what was asked for.
        120..7200 => format!("{}m", (seconds + 29) / 60),
        _ => format!("{}h", (seconds + 1799) / 3600),
    }
}

impl Trace {
    fn columns(&self, app: &App, width: usize, window: Window) -> Vec<Column> {
        let mut all = self.metrics.iter().map(|m| app.metrics.columns(&self.id, *m, width, window));
        let mut columns = all.next().unwrap_or_default();
        let join = |a: Option<f32>, b: Option<f32>| match (a, b, self.of) {
            (Some(a), Some(b), Of::Sum) => Some(a + b),
            (Some(a), Some(b), Of::Most) => Some(a.max(b)),
            (a, b, _) => a.or(b),
        };
        for more in all {
            for (column, more) in columns.iter_mut().zip(more) {
                column.min = join(column.min, more.min);
                column.avg = join(column.avg, more.avg);
                column.max = join(column.max, more.max);
            }
        }
        columns
    }

    fn now(&self, app: &App) -> Option<f64> {
        let usage = app.metrics.now(&self.id)?;
        let values = self.metrics.iter().filter_map(|metric| metric.of(usage));
        values.reduce(|a, b| match self.of {
            Of::Sum => a + b,
            Of::Most => a.max(b),
        })
    }
}

fn graph(app: &App, plots: Vec<Plot>) -> Graph {
    Graph {
        plots,
        top: 1.0,
        limit: None,
        limit_style: app.theme.style(Role::Limit),
        cursor: None,
        cursor_style: app.theme.style(Role::Key),
        marks: Vec::new(),
        mark_style: app.theme.style(Role::Bad),
        unicode: app.theme.look().unicode,
    }
}

fn draw_panel(app: &App, buffer: &mut Buffer, area: Rect, row: &Row, panel: &Panel) {
    let id = &row.summary.id;
    let dim = app.theme.style(Role::Dim);
    let mut body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let drawable = body.height > 0 && body.width >= GUTTER + 8;
    let columns = usize::from(body.width.saturating_sub(GUTTER)) * 2;
    let window = app.chart_window(id);
    let at = app.charts.instant.and_then(|at| window.column_of(at, columns));
    let plots: Vec<Plot> = panel
        .traces
        .iter()
        .filter(|_| drawable || at.is_some())
        .map(|trace| Plot {
            columns: trace.columns(app, columns, window),
            style: app.theme.style(trace.role),
            letter: trace.letter,
        })
        .collect();
    // What doesn't run uses nothing, however new its last sample is.
    let alive = row.summary.status.is_alive();
    let values: Vec<Option<f64>> = panel
        .traces
        .iter()
        .enumerate()
        .map(|(n, trace)| match (app.charts.instant, at) {
            (Some(_), Some(at)) => plots.get(n)?.columns.get(at)?.avg.map(f64::from),
            (Some(_), None) => None,
            (None, _) => trace.now(app).filter(|_| alive),
        })
        .collect();
    title(app, buffer, Rect { height: area.height.min(1), ..area }, panel, &values);
    if !drawable {
        return;
    }
    if let Some(why) = &panel.gap {
        let lines = wrap(why, usize::from(body.width.saturating_sub(4)));
        for (y, line) in (body.y + 1..body.bottom()).zip(lines) {
            put(buffer, Rect { x: body.x + 3, y, width: body.width - 3, height: 1 }, &line, dim);
        }
        return;
    }
    let axis = body.height >= 4;
    let bottom = Rect { y: body.bottom() - 1, height: 1, ..body };
    body.height -= u16::from(axis);
    let peak = plots.iter().flat_map(|p| &p.columns).filter_map(|c| c.max).fold(0.0, f32::max);
    let mut top = panel.unit.round_up(f64::from(peak).max(panel.floor));
    // A limit that is near enough belongs on the chart.
    if let Some(limit) = panel.limit.filter(|l| *l <= top * panel.reach) {
        top = top.max(limit);
        if limit * 1.5 < top {
            top = limit.max(f64::from(peak));
        }
    }
    let gutter = Rect { width: GUTTER, height: 1, ..body };
    let mut label = |y: u16, text: &str| {
        let text = format!("{text:>5}");
        put(buffer, Rect { y, ..gutter }, &text, dim);
    };
    label(body.y, &panel.unit.axis(top));
    if body.height >= 9 {
        label(body.y + (body.height - 1) / 2, &panel.unit.axis(top / 2.0));
    }
    if body.height > 1 {
        label(body.bottom() - 1, "0");
    }
    let plot = Rect { x: body.x + GUTTER, width: body.width - GUTTER, ..body };
    let marks = match panel.chart {
        Chart::Memory => {
            let at = app.metrics.kills(id).into_iter();
            let at =
                at.filter_map(|at| DateTime::from_timestamp(i64::try_from(at.as_secs()).ok()?, 0));
            at.filter_map(|at| window.column_of(at, columns)).collect()
        }
        _ => Vec::new(),
    };
    Graph { top, limit: panel.limit, cursor: at, marks, ..graph(app, plots) }.draw(buffer, plot);
    if axis {
        let place = Rect { x: plot.x, width: plot.width, ..bottom };
        time_axis(app, buffer, place, columns, window, alive);
    }
}

/// Writes a chart's name, its values and what goes with them.
fn title(app: &App, buffer: &mut Buffer, area: Rect, panel: &Panel, values: &[Option<f64>]) {
    let focused = app.focus == Focus::Detail && app.tab() == Tab::Stats;
    let chosen = focused && app.charts.chosen == panel.chart;
    let mut line = Line::new(app, buffer, area);
    let role = if chosen { Role::Chosen } else { Role::Title };
    line.skip(1).text(panel.chart.title(), app.theme.style(role));
    if panel.gap.is_some() {
        line.skip(1).text(app.theme.glyphs().missing, app.theme.style(Role::Dim));
        return;
    }
    let mut named: Vec<_> = values.iter().zip(&panel.traces).collect();
    if named.len() > 2 && panel.chart == Chart::Pressure {
        // Of many values, only those that say something are named, the worst first.
        named.retain(|(value, _)| value.is_some_and(|v| v >= 0.05));
        named.sort_by(|(a, _), (b, _)| b.partial_cmp(a).unwrap_or(std::cmp::Ordering::Equal));
        if named.is_empty() && values.iter().any(Option::is_some) {
            line.skip(1).text("none", app.theme.style(Role::Dim));
        }
    }
    for (value, trace) in named {
        let text = match value {
            Some(value) => panel.unit.write(*value),
            None => app.theme.glyphs().missing.to_owned(),
        };
        let name = &trace.name;
        let gap = if name.len() > 1 && name.is_ascii() { " " } else { "" };
        line.skip(1).whole(&format!("{name}{gap}{text}"), app.theme.style(trace.role));
    }
    if !panel.note.is_empty() {
        line.skip(1).whole(&panel.note, app.theme.style(Role::Dim));
    }
}

/// Writes from when to when a chart goes.
fn time_axis(
    app: &App,
    buffer: &mut Buffer,
    area: Rect,
    columns: usize,
    window: Window,
    alive: bool,
) {
    let dim = app.theme.style(Role::Dim);
    let text = format!("-{}", span(columns as u64 * window.pace));
    let after = put(buffer, area, &text, dim);
    // Two columns share a cell; the word ends below the newest.
    let live = alive && window.live && !app.host().is_stale() && app.charts.end.is_none();
    let word = match app.charts.end {
        Some(end) if area.width >= 20 => end.format("%H:%M:%S").to_string(),
        None if live => "now".to_owned(),
        _ => "end".to_owned(),
    };
    let length = u16::try_from(word.len()).unwrap_or(3);
    let lead = u16::try_from(window.lead / 2).unwrap_or(0);
    let x = area.right().saturating_sub(lead + length);
    if x > after {
        put(buffer, Rect { x, width: length, ..area }, &word, dim);
    }
}

/// Returns what an event says, for people: `die (exit code 137)`.
pub(super) fn event_words(what: &What) -> String {
    match what {
        What::Event { action, exit_code: Some(code) } => format!("{action} (exit code {code})"),
        What::Event { action, exit_code: None } => action.clone(),
        What::Probes(probes) => format!("{} probes", probes.count),
    }
}
