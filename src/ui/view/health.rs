//! The health tab: the timeline of a container's probes; of one that has ended, how that came about.

use chrono::{DateTime, TimeDelta, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use wharf_inspect::human::duration;
use wharf_model::{ChangeKind, HealthStatus, ProbeResult, Probes, Status, What, since_epoch};
use wharf_stats::Metric;

use super::{Line, say};
use crate::app::health::{Report, counts, end_words};
use crate::app::{App, EventRow, Row};
use crate::format::{age, as_f64, bytes, percent, size, span};
use crate::theme::Role;

/// How long before the end is looked at for what was used most, in seconds.
const BEFORE: u64 = 600;

/// How long before the end averages are over, in seconds.
const SHORTLY: u64 = 60;

/// How many changed files are named.
const NAMED: usize = 12;

/// The longest time that the timeline shows.
const DAY: TimeDelta = TimeDelta::hours(24);

/// One line of the tab.
type Spans = Vec<(String, Role)>;

/// Returns how many lines the tab has at a width.
pub(crate) fn health_len(app: &App, width: u16) -> usize {
    app.selected().map_or(0, |row| lines(app, row, width).len())
}

/// Draws the tab.
pub(super) fn health(app: &App, buffer: &mut Buffer, area: Rect) {
    let Some(row) = app.selected() else { return };
    let lines = lines(app, row, area.width);
    if lines.is_empty() {
        let name = &row.summary.name;
        let text = match &app.health.report {
            Some(Err(why)) => why.clone(),
            None if app.travel.is_none() => "asking the engine".to_owned(),
            // Whether it was probed then, nobody knows.
            _ if app.travel.is_some() => format!("no probes of {name} are recorded until then"),
            _ if row.summary.status == Status::Created => format!("{name} has never run"),
            _ => format!("{name} has no health check: run --health-cmd gives it one"),
        };
        return say(app, buffer, area, &text, Role::Dim);
    }
    for (y, spans) in (area.y..area.bottom()).zip(lines.into_iter().skip(app.health.top)) {
        let mut line = Line::new(app, buffer, Rect { y, height: 1, ..area });
        line.skip(1);
        for (text, role) in spans {
            line.text(&text, app.theme.style(role));
        }
    }
}

fn plain(text: impl Into<String>, role: Role) -> Spans {
    vec![(text.into(), role)]
}

/// A heading with what follows it.
fn labelled(label: &str, text: impl Into<String>, role: Role) -> Spans {
    vec![(format!("{label:<12}"), Role::Dim), (text.into(), role)]
}

fn lines(app: &App, row: &Row, width: u16) -> Vec<Spans> {
    let report = match &app.health.report {
        Some(Ok(report)) if app.health.id.as_ref() == Some(&row.summary.id) => Some(&**report),
        _ => None,
    };
    match (row.summary.status, report) {
        (Status::Exited | Status::Dead | Status::Restarting, Some(report))
            if app.travel.is_none() =>
        {
            let lines = post_mortem(app, row, report).into_iter();
            let mut lines: Vec<Spans> = lines.flat_map(|line| folded(line, width)).collect();
            lines.extend(probes(app, row, Some(report), width));
            lines
        }
        _ => probes(app, row, report, width),
    }
}

/// What an ended container leaves behind.
fn post_mortem(app: &App, row: &Row, report: &Report) -> Vec<Spans> {
    let state = &report.state;
    let id = &row.summary.id;
    let mut lines = Vec::new();
    let bad = state.exit_code != 0 || state.oom_killed || !state.error.is_empty();
    let role = if bad { Role::Bad } else { Role::Good };
    let glyph = if bad { format!("{} ", app.theme.glyphs().warning) } else { String::new() };
    lines.push(plain(format!("{glyph}{}", end_words(state)), role));
    if !state.error.is_empty() {
        lines.push(labelled("start", state.error.clone(), Role::Bad));
    }
    if let Some(finished) = state.finished_at {
        let ran = state.started_at.map(|started| {
            format!(", after it ran for {}", duration(finished - started).to_lowercase())
        });
        let restarts = match state.restart_count {
            0 => String::new(),
            1 => ", restarted once".to_owned(),
            count => format!(", restarted {count} times"),
        };
        let at = finished.format("%Y-%m-%d %H:%M:%S UTC");
        let ago = age(finished, app.now);
        let text = format!("{at}, {ago} ago{}{restarts}", ran.unwrap_or_default());
        lines.push(labelled("ended", text, Role::Text));
        lines.push(labelled("used", used_before(app, row, finished, state.oom_killed), Role::Text));
        let text = waited_before(app, row, finished);
        if !text.is_empty() {
            lines.push(labelled("", text, Role::Warn));
        }
    }
    if let Some(probe) = state.health.as_ref().and_then(|health| health.log.last()) {
        let (word, role) = verdict(probe.exit_code);
        let text = format!("{word} at {}: {}", probe.end.format("%H:%M:%S"), probe.output);
        lines.push(labelled("last probe", text, role));
    }
    let past = app.metrics.past(id).map(|past| past.happenings.as_slice()).unwrap_or_default();
    let events = app.events.of(id, past, None);
    let events: Vec<_> = events.iter().filter(|row| !row.is_program()).collect();
    if !events.is_empty() {
        let last = events.len().saturating_sub(5);
        let texts: Vec<String> = events[last..].iter().map(|row| event_words(row)).collect();
        lines.push(labelled("events", texts.join(", "), Role::Text));
    }
    lines.extend(changed_files(report));
    lines.push(plain("last lines of the log", Role::Title));
    if report.log.is_empty() {
        lines.push(plain("it wrote nothing, or has no log", Role::Dim));
    }
    for (time, text) in &report.log {
        let time = time.map(|time| time.format("%H:%M:%S ").to_string()).unwrap_or_default();
        lines.push(vec![(time, Role::Dim), (text.clone(), Role::Text)]);
    }
    lines
}

/// Returns what an event says, for people: `12:31:05 die (exit code 137)`.
fn event_words(row: &EventRow) -> String {
    let details = row.details.split(' ').filter_map(|word| {
        let (key, value) = word.split_once('=')?;
        match key {
            "exitCode" => Some(format!(" (exit code {value})")),
            "signal" => Some(format!(" (signal {value})")),
            _ => None,
        }
    });
    format!("{} {}{}", row.time.format("%H:%M:%S"), row.action, details.collect::<String>())
}

/// Breaks a line that is too long, between words, below where its text begins.
fn folded(line: Spans, width: u16) -> Vec<Spans> {
    let room = usize::from(width).saturating_sub(1);
    let cells =
        |spans: &[(String, Role)]| spans.iter().map(|(text, _)| crate::text::width(text)).sum();
    let whole: usize = cells(&line);
    let Some(((text, role), before)) = line.split_last().filter(|_| whole > room) else {
        return vec![line];
    };
    let indent: usize = cells(before);
    if room < indent + 16 {
        return vec![line];
    }
    let mut texts = crate::text::wrap(text, room - indent).into_iter();
    let first = before.iter().cloned().chain(texts.next().map(|text| (text, *role))).collect();
    let more = texts.map(|text| vec![(" ".repeat(indent), *role), (text, *role)]);
    std::iter::once(first).chain(more).collect()
}

/// What a container used before its end, as far as that was recorded.
fn used_before(app: &App, row: &Row, end: DateTime<Utc>, oom: bool) -> String {
    let id = &row.summary.id;
    let average = |metric| app.metrics.average(id, metric, SHORTLY, Some(end));
    let mut parts = Vec::new();
    if let Some(cpu) = average(Metric::Cpu) {
        let limit = app.metrics.cpu_limit(id).map(|limit| format!(" of {}", percent(limit)));
        parts.push(format!("CPU {}{}", percent(cpu), limit.unwrap_or_default()));
    }
    if let Some(most) = app.metrics.peak(id, Metric::Memory, BEFORE, end) {
        parts.push(match app.metrics.memory_limit(id) {
            // What happens between two samples isn't in them.
            Some(limit) if oom && most < as_f64(limit) * 0.9 => {
                let (limit, most) = (size(limit), bytes(most));
                format!("memory up to its limit of {limit} ({most} when it was measured)")
            }
            Some(limit) => format!("memory up to {} of {}", bytes(most), size(limit)),
            None => format!("memory up to {}", bytes(most)),
        });
    }
    if let Some(pids) = app.metrics.peak(id, Metric::Pids, BEFORE, end) {
        let tasks = if pids < 1.5 { "task" } else { "tasks" };
        parts.push(format!("{pids:.0} {tasks} at most"));
    }
    if parts.is_empty() {
        let told = app.host().no_past.clone();
        return told.unwrap_or_else(|| "nothing is recorded of its last minutes".to_owned());
    }
    parts.join(", ")
}

/// What a container waited for before its end.
fn waited_before(app: &App, row: &Row, end: DateTime<Utc>) -> String {
    let waits = [
        (Metric::Throttled, "throttled"),
        (Metric::MemoryPressure, "waited for memory"),
        (Metric::IoPressure, "waited for block devices"),
        (Metric::CpuPressure, "waited for a CPU"),
    ];
    let text = waits.into_iter().filter_map(|(metric, word)| {
        let share = app.metrics.average(&row.summary.id, metric, SHORTLY, Some(end))?;
        (share >= 5.0).then(|| format!("{word} {share:.0} %"))
    });
    text.collect::<Vec<_>>().join(", ")
}

fn changed_files(report: &Report) -> Vec<Spans> {
    let changes = match &report.changes {
        None => return Vec::new(),
        Some(Err(why)) => return vec![labelled("files", why.clone(), Role::Dim)],
        Some(Ok(changes)) if changes.is_empty() => {
            return vec![labelled("files", "it changed none", Role::Dim)];
        }
        Some(Ok(changes)) => changes,
    };
    let (added, modified, deleted) = counts(changes);
    let text = format!("{added} added, {modified} changed, {deleted} removed");
    let mut lines = vec![labelled("files", text, Role::Text)];
    // Folders are changed by what is in them, which says more.
    let within = |path: &str| {
        changes.iter().any(|other| {
            other.path.len() > path.len()
                && other.path.starts_with(path)
                && other.path.as_bytes().get(path.len()) == Some(&b'/')
        })
    };
    let named = changes.iter().filter(|one| one.kind != ChangeKind::Modified || !within(&one.path));
    let names: Vec<String> = named
        .take(NAMED)
        .map(|change| {
            let kind = match change.kind {
                ChangeKind::Added => 'A',
                ChangeKind::Modified => 'C',
                ChangeKind::Deleted => 'D',
            };
            format!("{kind} {}", change.path)
        })
        .collect();
    lines.push(labelled("", names.join("  "), Role::Dim));
    lines
}

/// Recorded probes with the same outcome, as far as they had ended by the instant that is shown.
struct Run<'a> {
    begun: DateTime<Utc>,
    probes: &'a Probes,
    count: u32,
}

impl Run<'_> {
    /// Returns how many in a row had failed then.
    fn streak(&self) -> u32 {
        self.probes.streak.saturating_sub(self.probes.count - self.count)
    }
}

/// Returns a probe's result in a word.
fn verdict(exit_code: i32) -> (String, Role) {
    match exit_code {
        0 => ("passed".to_owned(), Role::Good),
        -1 => ("no answer".to_owned(), Role::Bad),
        code => (format!("failed {code}"), Role::Bad),
    }
}

/// The probes: how they are made, their timeline, and each of the last ones.
fn probes(app: &App, row: &Row, report: Option<&Report>, width: u16) -> Vec<Spans> {
    let id = &row.summary.id;
    let until = app.as_of();
    let past = app.metrics.past(id).map(|past| past.happenings.as_slice()).unwrap_or_default();
    let runs: Vec<Run<'_>> = past
        .iter()
        .filter_map(|one| match &one.what {
            What::Probes(probes) => {
                let count = probes.ended_at(one.at, until);
                Some(Run { begun: one.at, probes, count }).filter(|run| run.count > 0)
            }
            What::Event { .. } => None,
        })
        .collect();
    let health = report.and_then(|report| report.state.health.as_ref());
    let latest = health.map(|health| health.log.as_slice()).unwrap_or_default();
    let latest: Vec<&ProbeResult> = latest.iter().filter(|probe| probe.end <= until).collect();
    let check = report.and_then(|report| report.check.as_ref()).filter(|check| check.is_probed());
    if check.is_none() && runs.is_empty() && latest.is_empty() {
        return Vec::new();
    }
    let mut lines = Vec::new();
    if row.summary.status.is_alive()
        && let Some(status) = row.summary.health
    {
        let streak = match app.travel {
            None => health.map_or(0, |health| health.failing_streak),
            // Of what is thinned, those that passed and those that failed began side by side.
            Some(_) => {
                let last = runs.iter().max_by_key(|run| run.probes.until.min(until));
                last.map_or(0, Run::streak)
            }
        };
        let mut text = status.as_str().to_owned();
        if streak > 0 {
            text.push_str(&format!(", {streak} failed in a row"));
        }
        let next = check.zip(latest.last()).map(|(check, last)| {
            let due = last.end + TimeDelta::from_std(check.interval()).unwrap_or_default();
            match (due - app.now).num_seconds() {
                ..=0 => ", a probe is due".to_owned(),
                left => format!(", next probe in {left}s"),
            }
        });
        if app.travel.is_none() {
            text.push_str(&next.unwrap_or_default());
        }
        lines.push(plain(text, app.theme.health(status)));
    }
    if let Some(check) = check {
        let words = check.test.iter().skip(1).map(|word| wharf_logs::sanitize_line(word));
        let words = words.collect::<Vec<_>>().join(" ");
        lines.push(labelled("probe", words, Role::Text));
        let length =
            |time: std::time::Duration| span(TimeDelta::from_std(time).unwrap_or_default());
        let failures = match check.retries() {
            1 => "one failure makes".to_owned(),
            n => format!("{n} failures in a row make"),
        };
        let text = format!(
            "every {}, {} at most, {failures} it unhealthy",
            length(check.interval()),
            length(check.timeout()),
        );
        lines.push(labelled("", text, Role::Dim));
    }
    lines.extend(timeline(app, row, &runs, &latest, until, width));
    lines.extend(results(app, &runs, &latest));
    lines
}

/// Which of two results is the worse.
fn rank(mark: Mark) -> u8 {
    match mark {
        Mark::None => 0,
        Mark::Passed => 1,
        Mark::Starting => 2,
        Mark::Failed => 3,
        Mark::Unhealthy => 4,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    None,
    Passed,
    Starting,
    Failed,
    Unhealthy,
}

impl Mark {
    fn of(exit_code: i32, status: HealthStatus) -> Self {
        match (exit_code, status) {
            (0, _) => Self::Passed,
            (_, HealthStatus::Starting) => Self::Starting,
            (_, HealthStatus::Healthy) => Self::Failed,
            (_, HealthStatus::Unhealthy) => Self::Unhealthy,
        }
    }

    fn draw(self, unicode: bool) -> (char, Role) {
        match (self, unicode) {
            (Self::None, _) => (' ', Role::Dim),
            (Self::Passed, true) => ('▂', Role::Good),
            (Self::Passed, false) => ('.', Role::Good),
            (Self::Starting, true) => ('░', Role::Info),
            (Self::Starting, false) => ('-', Role::Info),
            (Self::Failed, true) => ('▅', Role::Warn),
            (Self::Failed, false) => ('x', Role::Warn),
            (Self::Unhealthy, true) => ('█', Role::Bad),
            (Self::Unhealthy, false) => ('X', Role::Bad),
        }
    }
}

/// Draws the results over time, up to a day.
fn timeline(
    app: &App,
    row: &Row,
    runs: &[Run<'_>],
    latest: &[&ProbeResult],
    until: DateTime<Utc>,
    width: u16,
) -> Vec<Spans> {
    let columns = usize::from(width).saturating_sub(2);
    let first = runs.first().map(|run| run.begun);
    let first = first.into_iter().chain(latest.first().map(|probe| probe.start)).min();
    let Some(first) = first.filter(|_| columns >= 20) else { return Vec::new() };
    let begin = first.max(until - DAY);
    let length = (until - begin).max(TimeDelta::minutes(1));
    let (begin, length) = (since_epoch(until - length), length.num_milliseconds());
    let column = |at: DateTime<Utc>| {
        let after = i64::try_from(since_epoch(at).saturating_sub(begin).as_millis()).unwrap_or(0);
        let column = after.saturating_mul(i64::try_from(columns).unwrap_or(1)) / length.max(1);
        usize::try_from(column).unwrap_or(0).min(columns - 1)
    };
    let mut marks = vec![Mark::None; columns];
    let mut mark = |from: DateTime<Utc>, to: DateTime<Utc>, what: Mark| {
        // Where the clock was set back meanwhile, it ended before it began.
        let (from, to) = (from.min(to), from.max(to));
        if since_epoch(to) < begin {
            return;
        }
        for known in &mut marks[column(from)..=column(to)] {
            if rank(what) > rank(*known) {
                *known = what;
            }
        }
    };
    for Run { begun, probes, .. } in runs {
        mark(*begun, probes.until.min(until), Mark::of(probes.exit_code, probes.status));
    }
    for probe in latest {
        // Of these the verdict is that of now.
        let status = row.summary.health.unwrap_or(HealthStatus::Healthy);
        mark(probe.start, probe.end, Mark::of(probe.exit_code, status));
    }
    let unicode = app.theme.look().unicode;
    let mut spans: Spans = Vec::new();
    for mark in marks {
        let (letter, role) = mark.draw(unicode);
        match spans.last_mut() {
            Some((text, known)) if *known == role => text.push(letter),
            _ => spans.push((letter.to_string(), role)),
        }
    }
    let from = format!("-{}", span(TimeDelta::milliseconds(length)));
    let to =
        if app.travel.is_some() { until.format("%H:%M:%S").to_string() } else { "now".to_owned() };
    let gap = columns.saturating_sub(from.len() + to.len());
    let axis = format!("{from}{}{to}", " ".repeat(gap));
    vec![spans, plain(axis, Role::Dim)]
}

/// Lists the results, the newest first: each of the last ones, then what came before together.
fn results(app: &App, runs: &[Run<'_>], latest: &[&ProbeResult]) -> Vec<Spans> {
    if runs.is_empty() && latest.is_empty() {
        return vec![plain("no probe has ended yet", Role::Dim)];
    }
    let mut lines = vec![plain(
        format!(
            "{:<9} {:<11} {:>6} {:>8} {:>8} OUTPUT",
            "TIME", "RESULT", "PROBES", "TOOK", "LONGEST"
        ),
        Role::Dim,
    )];
    let millis = |time: std::time::Duration| match time.as_millis() {
        ms @ 0..10_000 => format!("{ms}ms"),
        ms => format!("{}s", ms / 1000),
    };
    let line = |at: DateTime<Utc>,
                code: i32,
                count: u32,
                took: [Option<std::time::Duration>; 2],
                text: &str| {
        let (word, role) = verdict(code);
        let missing = app.theme.glyphs().missing;
        let [took, longest] = took.map(|time| time.map_or_else(|| missing.to_owned(), millis));
        vec![
            (format!("{:<9} ", at.format("%H:%M:%S")), Role::Dim),
            (format!("{word:<11} "), role),
            (format!("{count:>6} {took:>8} {longest:>8} "), Role::Text),
            (text.to_owned(), Role::Text),
        ]
    };
    let mut oldest = None;
    for probe in latest.iter().rev() {
        let took = (probe.end - probe.start).to_std().unwrap_or_default();
        lines.push(line(probe.start, probe.exit_code, 1, [Some(took); 2], &probe.output));
        oldest = Some(probe.start);
    }
    for Run { begun, probes, count } in runs.iter().rev() {
        // Those of the last ones alone are listed already.
        if oldest.is_some_and(|oldest| *begun >= oldest) {
            continue;
        }
        // Of some of them how long they took isn't recorded; their output began alike.
        let all = *count == probes.count;
        let took = [probes.last, probes.longest].map(|time| Some(time).filter(|_| all));
        lines.push(line(*begun, probes.exit_code, *count, took, &probes.output));
    }
    lines
}
