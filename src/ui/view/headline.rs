//! The line above the charts: what holds the container back, and which time they show.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use wharf_stats::{Cause, Metric, Signs, causes};

use super::stats::{FIRST, SECOND, chart_columns, letters, span};
use super::{Line, put};
use crate::app::{App, Row};
use crate::format::{age, size};
use crate::text::{fit, width};
use crate::theme::Role;

/// Over how many seconds it is judged what holds a container back.
const JUDGED: u64 = 30;

/// For how long a kill for want of memory is worth a word, in seconds.
const REMEMBERED: u64 = 600;

/// What is left at least of a reason for the sake of what would help.
const LEAST: usize = 16;

/// Says what holds the container back, and which time the charts show.
pub(super) fn headline(
    app: &App,
    buffer: &mut Buffer,
    area: Rect,
    row: &Row,
    compared: Option<&Row>,
) {
    let (causes, role) = why(app, row);
    let wanted = match compared {
        Some(other) => width(&row.summary.name) + " against ".len() + width(&other.summary.name),
        None => causes.first().map_or(0, |cause| width(cause)),
    };
    // What is wrong is worth more than which time it is, as long as that is told at all.
    let states = states(app, row, area.width);
    let fits = |state: &&String| wanted + width(state) + 3 <= usize::from(area.width);
    let state = states.iter().find(fits).or(states.last()).map_or("", String::as_str);
    let right = u16::try_from(width(state)).unwrap_or(0);
    let x = area.right().saturating_sub(right + 1);
    let dim = app.theme.style(Role::Dim);
    put(buffer, Rect { x, width: right.min(area.width), ..area }, state, dim);
    let mut line = Line::new(app, buffer, Rect { width: x.saturating_sub(area.x + 1), ..area });
    line.skip(1);
    if let Some(other) = compared {
        let (first, second) = (app.theme.style(Role::First), app.theme.style(Role::Second));
        line.text(&letter(app, FIRST), first).text(&row.summary.name, first).text(" against ", dim);
        line.text(&letter(app, SECOND), second).text(&other.summary.name, second);
        return;
    }
    let both = causes.join("; ");
    let text = match causes.first() {
        Some(first) if width(&both) > line.room() => first.as_str(),
        _ => both.as_str(),
    };
    let text = squeezed(text, line.room(), app.theme.glyphs().ellipsis);
    line.text(&text, app.theme.style(role));
}

/// Returns a reason as far as there is room. What would help stands behind its last colon, and stays.
fn squeezed<'a>(text: &'a str, room: usize, ellipsis: &str) -> Cow<'a, str> {
    let Some(at) = text.rfind(": ").filter(|_| width(text) > room) else {
        return fit(text, room, ellipsis);
    };
    let (what, help) = text.split_at(at);
    match room.checked_sub(width(help)) {
        Some(left @ LEAST..) => Cow::Owned(format!("{}{help}", fit(what, left, ellipsis))),
        _ => fit(text, room, ellipsis),
    }
}

/// Returns which time the charts show in words, the longest first; how long that is goes without saying
/// where there is little room for it.
fn states(app: &App, row: &Row, width: u16) -> Vec<String> {
    let clock = |at: DateTime<Utc>| at.format("%H:%M:%S").to_string();
    let window = app.chart_window(&row.summary.id);
    let length = span(chart_columns(app) as u64 * window.pace);
    let told = match (app.charts.instant, app.charts.end) {
        (Some(at), _) => {
            let clock = clock(at);
            vec![format!("at {clock} UTC, {} ago", age(at, app.now)), format!("at {clock}"), clock]
        }
        (None, Some(end)) => {
            vec![format!("held at {} UTC", clock(end)), format!("held at {}", clock(end))]
        }
        (None, None) => return vec![length],
    };
    let long = told.first().filter(|_| width >= 80).map(|told| format!("{length} {told}"));
    long.into_iter().chain(told).collect()
}

/// Returns why the container is slow, if it is: what weighs most first, each in a line.
fn why(app: &App, row: &Row) -> (Vec<String>, Role) {
    let id = &row.summary.id;
    let instant = app.charts.read();
    if instant.is_none() && !row.summary.status.is_alive() {
        let kills = app.metrics.kills(id);
        let status = row.status_text(app.as_of());
        return match kills.last() {
            Some(_) => (vec![status, "killed for want of memory".to_owned()], Role::Bad),
            None => (vec![status], Role::Dim),
        };
    }
    let average = |metric| app.metrics.average(id, metric, JUDGED, instant);
    let end = instant.map_or(app.metrics.newest(), wharf_model::since_epoch);
    let reading = app.metrics.reading(id, instant);
    let kills = app.metrics.kills(id);
    let lately =
        kills.iter().filter(|at| **at <= end && end.as_secs() - at.as_secs() <= REMEMBERED).count();
    let whole = |value: Option<f64>| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        value.map(|value| value.max(0.0).round() as u64)
    };
    let tasks = match instant {
        Some(_) => whole(average(Metric::Pids)),
        None => app.metrics.now(id).and_then(|usage| usage.pids),
    };
    let signs = Signs {
        throttled: average(Metric::Throttled),
        cpu_pressure: average(Metric::CpuPressure),
        memory_pressure: average(Metric::MemoryPressure),
        io_pressure: average(Metric::IoPressure),
        oom_kills: lately as u64,
        memory: whole(average(Metric::Memory)),
        memory_limit: reading.memory_limit(),
        cpus: reading.cpu_limit().map(|percent| percent / 100.0),
        block: average(Metric::BlockRead).zip(average(Metric::BlockWrite)),
        pids: tasks.map(|tasks| (tasks, reading.pids_limit())),
        // Where the whole dashboard isn't at that instant, the host is as it is now.
        host_cpu: app
            .metrics
            .host(app.here())
            .and_then(|(usage, _)| usage.cpu_percent)
            .filter(|_| instant.is_none() || app.travel.is_some()),
    };
    let causes = causes(&signs, size);
    match causes.first() {
        Some(worst) => {
            let role = if worst.weight >= 30.0 { Role::Bad } else { Role::Warn };
            (causes.iter().take(2).map(|cause: &Cause| cause.text.clone()).collect(), role)
        }
        None if signs.cpu_pressure.is_none() && signs.throttled.is_none() => {
            (vec!["what it waits for isn't known".to_owned()], Role::Dim)
        }
        None => (vec!["nothing holds it back".to_owned()], Role::Dim),
    }
}

/// Returns what a line is drawn with, where two are told apart by that.
fn letter(app: &App, letter: char) -> String {
    if letters(app, true) { format!("{letter} ") } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::squeezed;

    #[test]
    fn what_would_help_stays_where_there_is_little_room() {
        let text = "waits for memory 12 % of the time, at 95 % of its limit: raise --memory 512M?";
        assert_eq!(squeezed(text, 80, "…"), text);
        assert_eq!(
            squeezed(text, 53, "…"),
            "waits for memory 12 % of the t…: raise --memory 512M?"
        );
        assert_eq!(squeezed(text, 30, "…"), "waits for memory 12 % of the …");
        assert_eq!(squeezed("nothing holds it back", 12, "…"), "nothing hol…");
    }
}
