//! The charts of a container: all of them, or one alone.

use chrono::DateTime;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use wharf_model::ContainerId;
use wharf_stats::{Column, Metric};

use super::chart::{Graph, Plot};
use super::headline::headline;
use super::{Line, put, say};
use crate::app::{App, Chart, Focus, Row, Tab, Window};
use crate::format::{as_f64, bytes, nice, nice_binary, percent, size};
use crate::layout::layout;
use crate::options::Colors;
use crate::text::{width, wrap};
use crate::theme::Role;

/// Cells for the values beside a chart.
const GUTTER: u16 = 6;

/// What the first of two lines is drawn with where letters tell them apart, and the second.
pub(super) const FIRST: char = '*';
pub(super) const SECOND: char = 'o';

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
    /// Whether it has a line of each of two containers.
    compared: bool,
}

/// Returns how many columns the charts of this screen have.
pub(crate) fn chart_columns(app: &App) -> usize {
    let area = layout(app).map(|layout| layout.pane(Tab::Stats).unwrap_or(layout.detail));
    let Some(area) = area else { return 1 };
    let width = match is_grid(app, area) {
        true => beside(area.width, 3),
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
    for (chart, place) in places(app, area) {
        draw_panel(app, buffer, place, row, &panel(app, row, compared, chart));
    }
    if app.charts.alone {
        below(app, buffer, area, &summary.id);
    }
}

/// Returns the chart at a place of a pane, and which of its columns that is; none of its head.
pub(crate) fn chart_at(app: &App, pane: Rect, at: Position) -> Option<(Chart, Option<usize>)> {
    let area = Rect { y: pane.y + 1, height: pane.height.saturating_sub(1), ..pane };
    let (chart, place) = places(app, area).into_iter().find(|(_, place)| place.contains(at))?;
    let (plot, _) = plot_of(place);
    Some((chart, plot.contains(at).then(|| column_in(plot, at.x))))
}

/// Returns the column of a chart that is nearest to a place, and how many columns it has.
pub(crate) fn column_near(app: &App, pane: Rect, chart: Chart, x: u16) -> Option<(usize, usize)> {
    let area = Rect { y: pane.y + 1, height: pane.height.saturating_sub(1), ..pane };
    let (_, place) = places(app, area).into_iter().find(|(one, _)| *one == chart)?;
    let (plot, _) = plot_of(place);
    (plot.width > 0).then(|| (column_in(plot, x), usize::from(plot.width) * 2))
}

/// Two columns share a cell; the later one is meant.
fn column_in(plot: Rect, x: u16) -> usize {
    let cell = x.saturating_sub(plot.x).min(plot.width.saturating_sub(1));
    usize::from(cell) * 2 + 1
}

/// Returns where which charts are.
fn places(app: &App, area: Rect) -> Vec<(Chart, Rect)> {
    if app.charts.alone {
        let height = area.height - below_rows(app, area);
        return vec![(app.charts.chosen, Rect { height, ..area })];
    }
    if !is_grid(app, Rect { height: area.height + 1, ..area }) {
        return stacked(area);
    }
    // Two rows of charts side by side.
    let upper = area.height.div_ceil(2);
    let top = Rect { height: upper, ..area };
    let bottom = Rect { y: area.y + upper, height: area.height - upper, ..area };
    let (first, second) = Chart::ALL.split_at(Chart::ALL.len() / 2);
    let mut all = side_by_side(top, first);
    all.extend(side_by_side(bottom, second));
    all
}

/// Returns how wide each of some charts is that stand side by side with a column between them: all
/// the same, since they share their time.
fn beside(width: u16, count: u16) -> u16 {
    ((width + 1) / count).saturating_sub(1)
}

fn side_by_side(area: Rect, charts: &[Chart]) -> Vec<(Chart, Rect)> {
    let count = u16::try_from(charts.len()).unwrap_or(1).max(1);
    let width = beside(area.width, count);
    let place =
        |(n, chart): (u16, &Chart)| (*chart, Rect { x: area.x + n * (width + 1), width, ..area });
    (0..count).zip(charts).map(place).collect()
}

/// Gives every chart its title, and as many of the first as possible three rows below it.
fn stacked(area: Rect) -> Vec<(Chart, Rect)> {
    let count = u16::try_from(Chart::ALL.len()).unwrap_or(1);
    let mut left = area.height.saturating_sub(count);
    let full = (left / 3).clamp(1, count);
    let each = (left / full).min(8);
    let mut y = area.y;
    let mut all = Vec::new();
    for chart in Chart::ALL {
        if y >= area.bottom() {
            break;
        }
        let rows = if left >= each { each } else { 0 };
        left -= rows;
        let height = (rows + 1).min(area.bottom() - y);
        all.push((chart, Rect { y, height, ..area }));
        y += height;
    }
    all
}

/// Returns where the lines of a chart are drawn, and whether their time is written below them. Without
/// room for it, that is nowhere.
fn plot_of(area: Rect) -> (Rect, bool) {
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    if body.height == 0 || body.width < GUTTER + 8 {
        return (Rect { width: 0, height: 0, ..body }, false);
    }
    let axis = body.height >= 4;
    let height = body.height - u16::from(axis);
    (Rect { x: body.x + GUTTER, width: body.width - GUTTER, height, ..body }, axis)
}

/// Returns how many rows below a chart that has all the room are for what belongs to it.
fn below_rows(app: &App, area: Rect) -> u16 {
    let Some(row) = app.selected().filter(|_| area.height >= 8) else { return 0 };
    match app.charts.chosen {
        Chart::Cpu => {
            let cores = app.metrics.core_count(&row.summary.id);
            let rows = u16::try_from(cores.div_ceil(core_columns(area))).unwrap_or(u16::MAX).max(1);
            rows.min(area.height / 3)
        }
        Chart::Memory => 2,
        _ => 0,
    }
}

/// Draws what belongs to a chart that has all the room.
fn below(app: &App, buffer: &mut Buffer, area: Rect, id: &ContainerId) {
    let rows = below_rows(app, area);
    let lower = Rect { y: area.bottom() - rows, height: rows, ..area };
    match app.charts.chosen {
        Chart::Cpu if rows > 0 => cores(app, buffer, lower, id),
        Chart::Memory if rows > 0 => kinds(app, buffer, lower, id),
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
    let count = app.metrics.core_count(id);
    if count == 0 {
        let told = app.metrics.details(id).and_then(|details| details.no_cores.clone());
        let why = match (&app.travel, told) {
            (_, Some(why)) => why,
            (Some(_), None) => "the use of each core isn't recorded".to_owned(),
            (None, None) => "asking for the use of each core".to_owned(),
        };
        put(buffer, Rect { x: area.x + 1, width: area.width - 1, ..area }, &why, dim);
        return;
    }
    let columns = core_columns(area);
    let each = area.width / u16::try_from(columns).unwrap_or(1).max(1);
    let window = app.chart_window(id);
    let all = chart_columns(app);
    let instant = app.charts.read().map(|at| window.column_of(at, all));
    for core in 0..count.min(columns * usize::from(area.height)) {
        let (Ok(x), Ok(y)) = (u16::try_from(core % columns), u16::try_from(core / columns)) else {
            return;
        };
        let cell = Rect { x: area.x + x * each, y: area.y + y, width: each - 1, height: 1 };
        let mut line = Line::new(app, buffer, cell);
        // As many as the large chart has, so that an instant is found in them.
        let mut columns = whole_cells(app.metrics.core_columns(id, core, all, window), app, window);
        let value = match instant {
            Some(at) => at.and_then(|at| columns.get(at)?.avg).map(f64::from),
            None => app.metrics.core_usage(id, core),
        };
        let value = value.map_or_else(|| app.theme.glyphs().missing.to_owned(), percent);
        line.skip(1).text(&format!("core {core}"), dim);
        line.x = cell.x + 9;
        line.cell(&value, 6, true, app.theme.style(Role::First));
        let from = (cell.x + 17).min(cell.right());
        let chart = Rect { x: from, width: cell.right() - from, ..cell };
        let seen = usize::from(chart.width) * 2;
        columns.drain(..columns.len().saturating_sub(seen));
        let style = app.theme.style(Role::First);
        let plots = vec![Plot { columns, style, letter: '#' }];
        Graph { top: 100.0, ..graph(app, plots) }.draw(buffer, chart);
    }
    if count > columns * usize::from(area.height) {
        let more = count - columns * usize::from(area.height);
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
    // Of another instant, nothing is better than what is true of now.
    let reading = match app.charts.read() {
        Some(at) => app.metrics.reading_at(id, at),
        None => Some(app.metrics.reading(id, None)),
    };
    let Some(memory) = reading.and_then(|reading| reading.memory) else { return };
    let missing = app.theme.glyphs().missing;
    let dim = app.theme.style(Role::Dim);
    for (name, value) in [
        ("charged", Some(memory.usage)),
        ("anonymous", memory.anon),
        ("file", memory.file),
        ("of it unused lately", memory.inactive_file),
        ("kernel", memory.kernel),
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
        _ if !app.metrics.is_measured(&summary.id) => match summary.status.is_alive() {
            true => "measuring".to_owned(),
            false => "nothing is known of what it used".to_owned(),
        },
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
    let reading = app.metrics.reading(id, app.charts.read());
    let one = |metric| vec![trace(id, &[metric], Role::First, '#', "")];
    let two = |a, b| {
        vec![
            trace(id, &[a], Role::First, FIRST, glyphs.down),
            trace(id, &[b], Role::Second, SECOND, glyphs.up),
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
        compared: compared.is_some(),
    };
    let mut panel = match chart {
        Chart::Cpu => {
            let limit = reading.cpu_limit();
            let note = limit.map(|limit| format!("of {}", percent(limit))).unwrap_or_default();
            let mut traces = one(Metric::Cpu);
            if app.charts.alone && app.metrics.has(id, Metric::Throttled) && limit.is_some() {
                traces.push(trace(id, &[Metric::Throttled], Role::Warn, 't', "throttled"));
            }
            // A container far below its limit keeps the chart to itself.
            Panel { traces, limit, reach: 2.0, note, floor: 5.0, ..empty }
        }
        Chart::Memory => {
            let limit = reading.memory_limit();
            let usage = app.metrics.now(id).and_then(|usage| usage.memory_percent);
            let share = usage.filter(|_| limit.is_some() && app.charts.read().is_none());
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
            let limit = reading.pids_limit();
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
        Trace { of, ..trace(id, metrics, Role::First, FIRST, "") },
        Trace { of, ..trace(other, metrics, Role::Second, SECOND, "") },
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
pub(super) fn span(seconds: u64) -> String {
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

/// Leaves out the newest column of a chart by the second while the other one of its cell is to come: the cell
/// is drawn once instead of twice, and the value of the moment stands above it in digits.
fn whole_cells(mut columns: Vec<Column>, app: &App, window: Window) -> Vec<Column> {
    if window.live
        && window.pace == 1
        && app.charts.read().is_none()
        && !window.lead.is_multiple_of(2)
    {
        let newest =
            usize::try_from(window.lead + 1).ok().and_then(|it| columns.len().checked_sub(it));
        if let Some(column) = newest.and_then(|at| columns.get_mut(at)) {
            *column = Column::default();
        }
    }
    columns
}

/// Returns whether lines are drawn with letters: where there is no braille, and where those of two
/// containers aren't told apart by colours.
pub(super) fn letters(app: &App, compared: bool) -> bool {
    let look = app.theme.look();
    !look.unicode || compared && look.colors == Colors::None
}

fn graph(app: &App, plots: Vec<Plot>) -> Graph {
    Graph {
        letters: letters(app, false),
        plots,
        top: 1.0,
        limit: None,
        limit_style: app.theme.style(Role::Limit),
        cursor: None,
        cursor_style: app.theme.style(Role::Key),
        drawn: None,
        drawn_style: app.theme.style(Role::Selected),
        marks: Vec::new(),
        mark_style: app.theme.style(Role::Bad),
        unicode: app.theme.look().unicode,
    }
}

fn draw_panel(app: &App, buffer: &mut Buffer, area: Rect, row: &Row, panel: &Panel) {
    let id = &row.summary.id;
    let dim = app.theme.style(Role::Dim);
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let (plot, axis) = plot_of(area);
    let drawable = !plot.is_empty();
    let columns = usize::from(body.width.saturating_sub(GUTTER)) * 2;
    let window = app.chart_window(id);
    let read = app.charts.read();
    let at = read.and_then(|at| window.column_of(at, columns));
    let plots: Vec<Plot> = panel
        .traces
        .iter()
        .filter(|_| drawable || at.is_some())
        .map(|trace| Plot {
            columns: whole_cells(trace.columns(app, columns, window), app, window),
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
        .map(|(n, trace)| match (read, at) {
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
    let peak = plots.iter().flat_map(|p| &p.columns).filter_map(|c| c.max).fold(0.0, f32::max);
    let mut top = panel.unit.round_up(f64::from(peak).max(panel.floor));
    // A limit that is near enough belongs on the chart.
    if let Some(limit) = panel.limit.filter(|l| *l <= top * panel.reach) {
        top = top.max(limit);
        if limit * 1.5 < top {
            top = limit.max(f64::from(peak));
        }
    }
    let gutter = Rect { x: body.x, width: GUTTER, height: 1, ..plot };
    let mut label = |y: u16, text: &str| {
        let text = format!("{text:>5}");
        put(buffer, Rect { y, ..gutter }, &text, dim);
    };
    label(plot.y, &panel.unit.axis(top));
    if plot.height >= 9 {
        label(plot.y + (plot.height - 1) / 2, &panel.unit.axis(top / 2.0));
    }
    if plot.height > 1 {
        label(plot.bottom() - 1, "0");
    }
    let marks = match panel.chart {
        Chart::Memory => {
            let at = app.metrics.kills(id).into_iter();
            let at =
                at.filter_map(|at| DateTime::from_timestamp(i64::try_from(at.as_secs()).ok()?, 0));
            at.filter_map(|at| window.column_of(at, columns)).collect()
        }
        _ => Vec::new(),
    };
    let cursor = at.filter(|_| app.charts.instant.is_some());
    let drawn = app.charts.drawn.and_then(|(from, to)| {
        Some((window.column_of(from, columns)?, window.column_of(to, columns)?))
    });
    let letters = letters(app, panel.compared);
    Graph { letters, top, limit: panel.limit, cursor, drawn, marks, ..graph(app, plots) }
        .draw(buffer, plot);
    if axis {
        let place = Rect { y: plot.bottom(), height: 1, ..plot };
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
        // What the name begins with needn't be said twice.
        let letter = match letters(app, panel.compared) && panel.traces.len() > 1 {
            true if !name.starts_with(trace.letter) => format!("{} ", trace.letter),
            _ => String::new(),
        };
        line.skip(1).whole(&format!("{letter}{name}{gap}{text}"), app.theme.style(trace.role));
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
