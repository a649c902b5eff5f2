//! The log tab: scrolling its window, searching, and what the runtime sends.

use wharf_logs::Direction;

use crate::app::{App, BATCH, Input, Overlay, Prompt, PromptFor, Redraw};
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
    if generation != app.logs.generation || app.logs.id.is_none() {
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
        LogReply::NotFound => app.tell("no more matches that way"),
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
    let log = &mut app.logs;
    log.hit = Some(position);
    let mut effects = stop_following(app);
    let log = &mut app.logs;
    let known = log.lines.front().is_some_and(|l| l.line.position <= position)
        && log.lines.back().is_some_and(|l| l.line.position >= position);
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
            if app.logs.at_start {
                (app.logs.top, app.logs.skip) = (0, 0);
            } else {
                app.logs.waiting = true;
                effects.push(ask(LogAsk::Head { rows: BATCH }));
            }
            effects
        }
        isize::MAX => follow(app),
        by => {
            let mut effects = if by < 0 { stop_following(app) } else { Vec::new() };
            app.logs.scroll(by, columns, rows);
            let log = &app.logs;
            if by > 0 && !log.follow && log.at_end && log.sees_end(columns, rows) {
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
    vec![ask(LogAsk::Follow(true)), ask(LogAsk::Tail { rows: BATCH })]
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
    let here = log.hit.or_else(|| log.lines.get(log.top).map(|l| l.line.position));
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
        Action::Timestamps => app.logs.times = !app.logs.times,
        Action::ScrollRight => {
            let widest = app.logs.lines.iter().map(|l| l.width).max().unwrap_or(0);
            app.logs.wrap = false;
            app.logs.left = (app.logs.left + SIDEWAYS).min(widest.saturating_sub(SIDEWAYS));
        }
        Action::ScrollLeft => app.logs.left = app.logs.left.saturating_sub(SIDEWAYS),
        Action::SaveLog => {
            let name = app.selected().map_or("container", |r| r.summary.name.as_str());
            let safe: String = name
                .chars()
                .map(|c| if c.is_alphanumeric() || "._-".contains(c) { c } else { '_' })
                .collect();
            let file = format!("{safe}-{}.log", app.now.format("%Y%m%dT%H%M%S"));
            let what = if app.logs.only { "the matching lines" } else { "the log" };
            app.overlays.push(Overlay::Prompt(Prompt {
                title: format!("Save {what} of {name} to"),
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
