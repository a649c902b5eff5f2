//! The log tab: scrolling its window, searching, and what the runtime sends.

use chrono::{DateTime, TimeDelta, Utc};
use wharf_logs::Direction;
use wharf_model::ContainerId;

use crate::app::{
    App, BATCH, Focus, Input, Overlay, Period, Prompt, PromptFor, Redraw, Screen, Tab,
};
use crate::keymap::Action;
use crate::layout::layout;
use crate::message::{Effect, LogAsk, LogReply, Place};

/// How many cells a step to the side is.
const SIDEWAYS: usize = 16;

fn ask(ask: LogAsk) -> Effect {
    Effect::Log(ask)
}

fn room(app: &App) -> (usize, usize) {
    layout(app).map_or((80, 1), |l| l.log_room())
}

/// Takes what the runtime says of the open log.
pub(super) fn reply(app: &mut App, generation: u64, reply: LogReply) -> Vec<Effect> {
    if generation != app.logs.generation || !app.logs.is_open() {
        return Vec::new();
    }
    let (columns, rows) = room(app);
    app.draw(Redraw::Lively);
    match reply {
        LogReply::Lines { place, lines, at_start, at_end } => {
            let log = &mut app.logs;
            match place {
                Place::Tail | Place::Head | Place::Around(_) => {
                    (log.at_start, log.at_end) = (at_start, at_end);
                }
                Place::After => log.at_end = at_end,
                Place::Before => log.at_start = at_start,
            }
            if log.at_end {
                log.more = false;
            }
            log.take(place, lines, columns, rows);
            return refill(app);
        }
        LogReply::Grown => {
            app.logs.more = true;
            app.logs.at_end = false;
        }
        LogReply::Ended => app.logs.ended = true,
        LogReply::Matches { count, complete } => {
            app.logs.matches = Some((count, complete));
        }
        LogReply::Found(position) => return found(app, position),
        LogReply::NotFound => app.tell(not_found(app)),
        LogReply::Bars(bars) => app.logs.bars = bars,
        LogReply::Whole { position, rows: whole } => {
            app.logs.unfold(position, whole);
            app.logs.reveal(columns, rows);
            app.logs.hold_cursor(columns, rows);
        }
        LogReply::Copied { text, lines } => {
            let what = if lines == 1 { "line" } else { "lines" };
            app.tell(format!("copied {lines} {what}"));
            return vec![Effect::Copy(text)];
        }
        LogReply::Missing { asked, dropped } => app.logs.missing = Some((asked, dropped)),
        LogReply::Removed(bytes) => app.logs.removed = bytes,
        LogReply::Kept(what) => app.logs.kept = Some(what),
        LogReply::Lost(times) => app.logs.lost = times,
        LogReply::Saved(path, lines) => {
            app.tell(format!("saved {lines} lines to {}", path.display()));
        }
        LogReply::Failed(text) => {
            app.logs.waiting = false;
            if app.logs.lines.is_empty() {
                app.logs.error = Some(wharf_logs::sanitize_line(&text).into_owned());
            } else {
                app.fail("log", text);
            }
        }
    }
    Vec::new()
}

fn found(app: &mut App, position: u64) -> Vec<Effect> {
    let (columns, rows) = room(app);
    let mut effects = stop_following(app);
    let log = &mut app.logs;
    log.hit = Some(position);
    log.anchor = None;
    let known = log.lines.front().is_some_and(|l| l.line.position <= position)
        && log.lines.back().is_some_and(|l| l.line.next > position);
    if known {
        log.show(position, columns, rows);
        effects.extend(refill(app));
    } else {
        log.waiting = true;
        effects.push(ask(LogAsk::Around { position, rows: BATCH }));
    }
    effects
}

fn stop_following(app: &mut App) -> Vec<Effect> {
    if !app.logs.follow {
        return Vec::new();
    }
    app.logs.follow = false;
    app.logs.cursor = app.logs.lines.back().map(|l| l.line.position);
    vec![ask(LogAsk::Follow(false))]
}

/// Asks for more lines when the screen comes near the end of those that are known.
fn refill(app: &mut App) -> Vec<Effect> {
    let (_, rows) = room(app);
    let log = &mut app.logs;
    if log.waiting {
        return Vec::new();
    }
    if log.lines.is_empty() && !(log.at_start && log.at_end) {
        // Another question cut the search short before it had found anything.
        log.waiting = true;
        return vec![ask(LogAsk::Tail { rows: BATCH })];
    }
    let near = rows.max(20);
    if log.top < near
        && !log.at_start
        && !log.follow
        && let Some(first) = log.lines.front()
    {
        log.waiting = true;
        return vec![ask(LogAsk::Before { position: first.line.position, rows: BATCH })];
    }
    if log.below(rows) < near
        && !log.at_end
        && !log.follow
        && let Some(last) = log.lines.back()
    {
        log.waiting = true;
        return vec![ask(LogAsk::After { position: last.line.next, rows: BATCH })];
    }
    Vec::new()
}

/// Scrolls by rows, or to an end.
pub(super) fn travel(app: &mut App, by: isize) -> Vec<Effect> {
    let (columns, rows) = room(app);
    match by {
        isize::MIN => {
            let mut effects = stop_following(app);
            // While other lines are on their way, those here say nothing of where the log begins.
            if app.logs.at_start && !app.logs.waiting {
                (app.logs.top, app.logs.skip) = (0, 0);
                app.logs.cursor = app.logs.lines.front().map(|l| l.line.position);
            } else {
                app.logs.cursor = None;
                app.logs.waiting = true;
                effects.push(ask(LogAsk::Head { rows: BATCH }));
            }
            effects
        }
        isize::MAX => follow(app),
        by => {
            let mut effects = if by < 0 { stop_following(app) } else { Vec::new() };
            let at_last = match by {
                1 | -1 => app.logs.step(by > 0, columns, rows),
                _ => {
                    let seen = app.logs.sees_end(columns, rows);
                    app.logs.scroll(by, columns, rows);
                    app.logs.hold_cursor(columns, rows);
                    seen || app.logs.sees_end(columns, rows)
                }
            };
            let log = &app.logs;
            if by > 0 && !log.follow && log.at_end && at_last {
                effects.extend(follow(app));
            } else {
                effects.extend(refill(app));
            }
            effects
        }
    }
}

fn follow(app: &mut App) -> Vec<Effect> {
    app.logs.follow = true;
    app.logs.more = false;
    app.logs.waiting = true;
    (app.logs.cursor, app.logs.anchor) = (None, None);
    vec![ask(LogAsk::Follow(true)), ask(LogAsk::Tail { rows: BATCH })]
}

/// Shows an instant: in the log that is open, or in the next one that opens.
pub(super) fn go_to(app: &mut App, time: DateTime<Utc>) -> Vec<Effect> {
    if !app.logs.is_open() {
        app.logs.goto = Some(time);
        return Vec::new();
    }
    let mut effects = stop_following(app);
    app.logs.follow = false;
    app.logs.waiting = true;
    app.logs.anchor = None;
    effects.push(ask(LogAsk::At { time, rows: BATCH }));
    effects
}

/// Asks for as many bars as there is room for.
pub(super) fn sync_bars(app: &mut App) -> Vec<Effect> {
    let area = layout(app).map(|l| l.log_bars()).filter(|area| area.height > 0);
    let columns = area.map_or(0, |area| usize::from(area.width));
    if columns == app.logs.columns {
        return Vec::new();
    }
    app.logs.columns = columns;
    vec![ask(LogAsk::Bars { columns })]
}

/// Goes to the instant of a column of the histogram.
pub(super) fn scrub(app: &mut App, column: usize, columns: usize) -> Vec<Effect> {
    let Some(bars) = &app.logs.bars else { return Vec::new() };
    let bar = column * bars.counts.len() / columns.max(1);
    let time = bars.time(bar.min(bars.counts.len().saturating_sub(1)));
    if app.travel.is_some() {
        // All that is shown goes there, the log with it.
        super::charts::go(app, time);
        return Vec::new();
    }
    go_to(app, time)
}

/// Goes some bars of the histogram back or on, past those that are empty.
fn step_bar(app: &mut App, by: isize) -> Vec<Effect> {
    let (_, rows) = room(app);
    let log = &app.logs;
    let Some(bars) = &log.bars else { return Vec::new() };
    let cursor = log.cursor.and(log.selected()).and_then(|at| log.lines.get(at));
    let here = cursor.and_then(|l| l.line.time).or(log.in_sight(rows).map(|(_, last)| last));
    let mut at = bars.place(here.unwrap_or(app.now));
    loop {
        let Some(next) = at.checked_add_signed(by).filter(|n| *n < bars.counts.len()) else {
            let end = if by < 0 { "earlier" } else { "later" };
            app.tell(format!("there is nothing {end}"));
            return Vec::new();
        };
        at = next;
        if bars.counts[at] > 0 {
            let time = bars.time(at);
            return go_to(app, time);
        }
    }
}

/// Shows the last so many minutes, or all.
fn period(app: &mut App, minutes: Option<i64>) -> Vec<Effect> {
    let since = minutes.and_then(|minutes| {
        let since = app.now.checked_sub_signed(TimeDelta::minutes(minutes))?;
        app.logs.period = Period::Since(since);
        Some(since)
    });
    if since.is_none() {
        app.logs.period = Period::All;
    }
    app.logs.hit = None;
    let mut effects = vec![ask(LogAsk::Since(since))];
    effects.extend(follow(app));
    effects
}

/// Shows the logs of these containers by time, or again that of the selected one.
pub(super) fn merge(app: &mut App) -> Vec<Effect> {
    let list = &app.containers;
    let ids = list.rows.iter().map(|row| &row.summary.id);
    let mut marked: Vec<ContainerId> = ids.filter(|id| list.marked.contains(id)).cloned().collect();
    if let Some(group) = list.group().filter(|_| marked.len() < 2) {
        marked = list.members(group).map(|row| row.summary.id.clone()).collect();
    }
    if app.focus == Focus::Detail && app.tab() == Tab::Logs && !app.logs.merged.is_empty() {
        app.logs.merged.clear();
        return Vec::new();
    }
    if app.screen == Screen::Containers && marked.len() > 1 {
        app.logs.merged = marked;
        if app.tab() != Tab::Logs || app.focus != Focus::Detail {
            super::act::show_tab(app, Tab::Logs);
        }
    }
    Vec::new()
}

/// Returns what to say where there is no match that way, with the keys that look the other way.
fn not_found(app: &App) -> String {
    let key = |action: Action| {
        let keys = app.keymap.of(&[crate::keymap::Context::Logs]);
        let mut keys = keys.filter(|bound| bound.action == action);
        keys.next().and_then(|bound| bound.keys.first()).map(|key| key.name())
    };
    match (app.logs.matches, key(Action::NextMatch), key(Action::PreviousMatch)) {
        (Some((1..=u64::MAX, _)), Some(down), Some(up)) => {
            format!("no more matches that way: {down} looks further down, {up} further up")
        }
        (Some((0, true)), ..) => "nothing matches".to_owned(),
        _ => "no more matches that way".to_owned(),
    }
}

/// Unfolds a line, or folds it again; of one that has no more to show, opens the menu.
fn open_line(app: &mut App) -> Vec<Effect> {
    let (columns, rows) = room(app);
    let log = &mut app.logs;
    let Some(line) = log.selected().and_then(|at| log.lines.get(at)).filter(|l| l.line.folds)
    else {
        super::act::menu(app);
        return Vec::new();
    };
    let (position, next) = (line.line.position, line.line.next);
    if log.unfolded.remove(&position).is_some() {
        log.scroll(0, columns, rows);
        log.hold_cursor(columns, rows);
        return Vec::new();
    }
    let mut effects = stop_following(app);
    app.logs.cursor = Some(position);
    let columns = columns.saturating_sub(app.logs.gutter());
    effects.push(ask(LogAsk::Whole { position, next, columns }));
    effects
}

/// Copies the selected lines, or those on the screen.
fn copy(app: &mut App, all: bool) -> Vec<Effect> {
    let (columns, rows) = room(app);
    let log = &mut app.logs;
    let range = match all {
        true => {
            let end =
                log.line_at(rows.saturating_sub(1), columns).map_or(log.lines.len(), |n| n + 1);
            log.top.min(end)..end
        }
        false => log.selection(),
    };
    let lines: Vec<_> = log.lines.range(range).map(|l| (l.line.position, l.line.next)).collect();
    log.anchor = None;
    if lines.is_empty() {
        app.tell("there is no line to copy");
        return Vec::new();
    }
    vec![ask(LogAsk::Copy(lines))]
}

/// Selects the line in a row of the screen; once more unfolds it.
pub(super) fn click(app: &mut App, row: usize) -> Vec<Effect> {
    let (columns, _) = room(app);
    let Some(at) = app.logs.line_at(row, columns) else { return Vec::new() };
    let position = app.logs.lines.get(at).map(|l| l.line.position);
    let again = app.logs.cursor.is_some() && app.logs.cursor == position;
    let effects = stop_following(app);
    app.logs.cursor = position;
    if again && app.logs.lines.get(at).is_some_and(|l| l.line.folds) {
        return open_line(app);
    }
    effects
}

/// Begins a search, or ends it with an empty pattern.
pub(super) fn search(app: &mut App, pattern: &str) -> Result<Vec<Effect>, String> {
    app.logs.set_pattern(pattern)?;
    if pattern.is_empty() {
        return Ok(clear_search(app));
    }
    let mut effects = vec![ask(LogAsk::Search { pattern: pattern.to_owned() })];
    let log = &app.logs;
    if log.only {
        effects.push(ask(LogAsk::Tail { rows: BATCH }));
    } else if log.follow {
        // At the end: what was last is wanted first.
        let from = log.lines.back().map_or(0, |l| l.line.next);
        effects.push(ask(LogAsk::Find { from, direction: Direction::Backward }));
    } else if let Some(first) = log.lines.get(log.top) {
        let from = first.line.position.saturating_sub(1);
        effects.push(ask(LogAsk::Find { from, direction: Direction::Forward }));
    }
    Ok(effects)
}

/// Ends the search.
pub(super) fn clear_search(app: &mut App) -> Vec<Effect> {
    let only = app.logs.only;
    // An empty pattern is always one.
    let _ = app.logs.set_pattern("");
    app.logs.only = false;
    let mut effects = vec![ask(LogAsk::Search { pattern: String::new() })];
    if only {
        effects.push(ask(LogAsk::Only(false)));
        effects.extend(reload(app));
    }
    effects
}

/// Asks anew for the lines around what is on screen.
fn reload(app: &mut App) -> Vec<Effect> {
    app.logs.waiting = true;
    let log = &app.logs;
    let here = log.cursor.or(log.hit).or_else(|| log.lines.get(log.top).map(|l| l.line.position));
    match here {
        Some(position) if !log.follow => vec![ask(LogAsk::Around { position, rows: BATCH })],
        _ => vec![ask(LogAsk::Tail { rows: BATCH })],
    }
}

/// Takes an action of the log tab.
pub(super) fn act(app: &mut App, action: Action) -> Vec<Effect> {
    let (columns, rows) = room(app);
    match action {
        Action::NextMatch | Action::PreviousMatch => {
            let direction = match action {
                Action::NextMatch => Direction::Forward,
                _ => Direction::Backward,
            };
            let from = app.logs.search_from().unwrap_or(0);
            return vec![ask(LogAsk::Find { from, direction })];
        }
        Action::OnlyMatching => {
            app.logs.only = !app.logs.only;
            let mut effects = vec![ask(LogAsk::Only(app.logs.only))];
            effects.extend(reload(app));
            return effects;
        }
        Action::Follow if app.logs.follow => return stop_following(app),
        Action::Follow => return follow(app),
        Action::Wrap => {
            app.logs.wrap = !app.logs.wrap;
            app.logs.left = 0;
            app.logs.skip = 0;
        }
        Action::LogsAt => {
            let (_, rows) = room(app);
            let now = app.logs.in_sight(rows).map_or(app.now, |(first, _)| first);
            app.overlays.push(Overlay::Prompt(Prompt {
                // Of an old log the day has to be said.
                title: now
                    .format("Show the log at (UTC: 14:05, %Y-%m-%d %H:%M; or 10m ago)")
                    .to_string(),
                input: Input::default(),
                error: None,
                purpose: PromptFor::LogsAt,
            }));
        }
        Action::LogsTail => return period(app, None),
        Action::LogsHead => {
            let mut effects = period(app, None);
            effects.extend(travel(app, isize::MIN));
            return effects;
        }
        Action::Logs1m => return period(app, Some(1)),
        Action::Logs5m => return period(app, Some(5)),
        Action::Logs15m => return period(app, Some(15)),
        Action::Logs30m => return period(app, Some(30)),
        Action::Logs1h => return period(app, Some(60)),
        Action::EarlierBar => return step_bar(app, -1),
        Action::LaterBar => return step_bar(app, 1),
        Action::OpenLine => return open_line(app),
        Action::CopyLine => return copy(app, false),
        Action::CopyScreen => return copy(app, true),
        Action::MarkLine => {
            let mut effects = stop_following(app);
            let log = &mut app.logs;
            let here = log.selected().and_then(|at| log.lines.get(at)).map(|l| l.line.position);
            log.cursor = here;
            log.anchor = if log.anchor.is_some() { None } else { here };
            let selecting = log.anchor.is_some();
            app.tell(match selecting {
                true => "selecting from here: y copies, Space ends it",
                false => "nothing is selected any more",
            });
            effects.extend(refill(app));
            return effects;
        }
        Action::RawLines => {
            app.logs.raw = !app.logs.raw;
            app.logs.unfolded.clear();
            let mut effects = vec![ask(LogAsk::Raw(app.logs.raw))];
            effects.extend(reload(app));
            return effects;
        }
        Action::Timestamps => app.logs.times = !app.logs.times,
        Action::ScrollRight => {
            let widest = app.logs.lines.iter().map(|l| l.width).max().unwrap_or(0);
            let to = (app.logs.left + SIDEWAYS).min(widest.saturating_sub(SIDEWAYS));
            if to == app.logs.left && !app.logs.wrap {
                app.tell("no line goes further right");
            }
            (app.logs.wrap, app.logs.left) = (false, to);
        }
        Action::ScrollLeft if app.logs.left == 0 => app.tell("the lines begin here"),
        Action::ScrollLeft => app.logs.left = app.logs.left.saturating_sub(SIDEWAYS),
        Action::SaveLog => {
            let (name, whose) = match app.logs.origins.as_slice() {
                [one] => (one.name.as_str(), one.name.clone()),
                many => ("merged", format!("{} containers", many.len())),
            };
            let safe: String = name
                .chars()
                .map(|c| if c.is_alphanumeric() || "._-".contains(c) { c } else { '_' })
                .collect();
            let file = format!("{safe}-{}.log", app.now.format("%Y%m%dT%H%M%S"));
            let what = if app.logs.only { "the matching lines" } else { "the log" };
            let with = if app.logs.times { ", with times" } else { "" };
            app.overlays.push(Overlay::Prompt(Prompt {
                title: format!("Save {what} of {whose}{with} to"),
                input: Input::new(file),
                error: None,
                purpose: PromptFor::SaveLog,
            }));
        }
        _ => {}
    }
    if app.logs.follow {
        app.logs.to_end(columns, rows);
    } else {
        app.logs.scroll(0, columns, rows);
    }
    Vec::new()
}
