//! The keys of the charts and of the way back in time, and what both ask the engine for.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use wharf_backend::Error;
use wharf_model::{ContainerId, ContainerSummary, DetailSample, ErrorKind, Moment};
use wharf_stats::Metric;

use crate::app::Redraw;
use crate::app::travel::{Travel, Trip, then};
use crate::app::{
    App, Asked, Chart, Focus, Goal, Input, Link, Overlay, Past, Prompt, PromptFor, Screen, Tab,
    Zoom, instant,
};
use crate::keymap::Action;
use crate::message::Effect;

use super::{arrange, focus, hosts, logs};

/// How many columns a large step has.
const LARGE: i64 = 20;

/// After how many seconds what happened lately is asked for anew while it is in sight.
const ANEW: i64 = 15;

/// How long after its beginning, in seconds, the dashboard's own samples go on where the record ends: before
/// that the record lacks its newest step, which is half a minute of a container that rests.
const JOINED: TimeDelta = TimeDelta::seconds(35);

/// How far back a first step in time goes.
const BACK: TimeDelta = TimeDelta::minutes(1);

/// Takes an action of the charts.
pub(super) fn act(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::Freeze if app.travel.is_some() => {
            app.tell("the past is held: arrows move it, Esc comes back to now");
        }
        Action::Freeze => app.toggle_freeze(),
        Action::CursorLeft => step(app, -1),
        Action::CursorRight => step(app, 1),
        Action::FarLeft => step(app, -LARGE),
        Action::FarRight => step(app, LARGE),
        Action::ZoomChart => app.charts.alone = !app.charts.alone,
        Action::NextChart => app.charts.chosen = app.charts.chosen.after(1),
        Action::PreviousChart => app.charts.chosen = app.charts.chosen.after(-1),
        Action::TimeTravel if app.travel.is_some() => return leave(app),
        Action::TimeTravel => {
            let at = app.charts.instant.unwrap_or(app.now - BACK);
            go(app, at);
            app.tell("the past: arrows move, { } move far, T asks for a time, Esc comes back");
        }
        Action::JumpToTime => app.overlays.push(Overlay::Prompt(Prompt {
            title: "Go to which time? 12:31, 12:31:05 (UTC), or 15m ago".to_owned(),
            input: Input::default(),
            error: None,
            purpose: PromptFor::Instant,
        })),
        _ => {}
    }
    app.draw(Redraw::Now);
    Vec::new()
}

/// Moves the instant, and with it whatever is at it.
fn step(app: &mut App, by: i64) {
    let before = app.charts.instant;
    app.move_instant(by);
    if by > 0 && before.is_some() && app.charts.instant == before {
        app.tell("this is the newest: Esc lets the charts go on");
    }
    if let (Some(travel), Some(instant)) = (&mut app.travel, app.charts.instant) {
        travel.at = instant;
    }
}

/// Reads the values of an instant; in the past, everything goes there.
pub(super) fn read(app: &mut App, at: DateTime<Utc>) {
    app.set_instant(at);
    step(app, 0);
}

/// Shows the whole dashboard as of an instant.
pub(super) fn go(app: &mut App, at: DateTime<Utc>) {
    app.set_instant(at);
    let at = app.charts.instant.unwrap_or(at);
    match &mut app.travel {
        Some(travel) => travel.at = at,
        None => {
            let trips = (0..app.hosts.list.len()).map(|host| trip(app, host)).collect();
            app.travel = Some(Box::new(Travel { at, trips }));
        }
    }
    // What is known to have no past needn't be asked.
    for host in 0..app.hosts.list.len() {
        if app.travel.as_ref().is_some_and(|travel| travel.none(host).is_some()) {
            show(app, host, Moment::default(), at);
        }
    }
    arrange(app);
}

/// Returns an engine's part of a look at the past.
fn trip(app: &App, host: usize) -> Trip {
    let rows = app.containers.rows.iter().filter(|row| row.host == host);
    let known = app.hosts.get(host);
    let none = match known.link {
        Link::Off | Link::Lost(_) => Some(hosts::state(app, host)),
        Link::Up | Link::Connecting => known.no_past.clone(),
    };
    Trip { present: rows.map(|row| row.summary.clone()).collect(), none, ..Trip::default() }
}

/// Shows an engine's containers as they were at an instant.
fn show(app: &mut App, host: usize, moment: Moment, at: DateTime<Utc>) {
    let host_memory = app.metrics.host_memory(host);
    let Some(trip) = app.travel.as_ref().and_then(|travel| travel.trips.get(host)) else { return };
    let (rows, used) = then(&trip.present, moment, at, host_memory);
    place(app, host, rows, at);
    app.metrics.show_then(host, used);
}

/// Comes back to now; charts and log go on.
fn leave(app: &mut App) -> Vec<Effect> {
    let Some(travel) = app.travel.take() else { return Vec::new() };
    app.charts.go_on();
    app.metrics.show_now();
    for (host, trip) in travel.trips.into_iter().enumerate() {
        place(app, host, trip.present, app.now);
    }
    arrange(app);
    app.tell("this is now");
    app.logs.goto = None;
    let mut effects = if app.logs.is_open() { logs::travel(app, isize::MAX) } else { Vec::new() };
    effects.extend(hosts::list_all(app));
    effects
}

/// Puts the containers of an engine into the list.
fn place(app: &mut App, host: usize, list: Vec<ContainerSummary>, at: DateTime<Utc>) {
    let name = app.hosts.several().then(|| app.hosts.get(host).name().to_owned());
    let _ = app.containers.replace(host, name.as_deref(), list, at);
}

/// Goes a step back from what the charts show to now; none if there is no such step.
pub(super) fn back(app: &mut App) -> Option<Vec<Effect>> {
    if app.travel.is_some() {
        return Some(leave(app));
    }
    if app.focus != Focus::Detail || app.tab() != Tab::Stats || app.screen != Screen::Containers {
        return None;
    }
    if app.charts.end.is_some() {
        app.charts.go_on();
        return Some(Vec::new());
    }
    std::mem::take(&mut app.charts.alone).then(Vec::new)
}

/// Goes to a time that was typed.
///
/// # Errors
/// When it is none, or one that hasn't come.
pub(super) fn jump(app: &mut App, text: &str) -> Result<(), String> {
    let at = instant(text, app.now)?;
    if at > app.now {
        return Err("that time hasn't come".to_owned());
    }
    go(app, at);
    Ok(())
}

/// Takes a fresh list while the past is shown: it is for the way back.
pub(super) fn keep_present(app: &mut App, host: usize, list: &mut Vec<ContainerSummary>) -> bool {
    let Some(travel) = &mut app.travel else { return false };
    if let Some(trip) = travel.trips.get_mut(host) {
        trip.present = std::mem::take(list);
    }
    true
}

/// Begins with the past, where the caller wants that.
pub(super) fn begin(app: &mut App) {
    let Some(replay) = app.options.replay.clone() else { return };
    go(app, replay.at);
    if let Some(length) = replay.length {
        app.zoom_charts(replay.at - length, replay.at);
    }
    app.set_tab(Tab::Stats);
    app.zoom = Zoom::Split;
    if let Some(name) = replay.container {
        let is_it = |summary: &ContainerSummary| {
            summary.name == name || summary.id.as_str().starts_with(&name)
        };
        match app.containers.rows.iter().map(|row| &row.summary).find(|one| is_it(one)) {
            Some(found) => {
                let goal = Goal::Container(found.id.clone());
                // It never asks for anything.
                let _ = super::palette::go(app, goal);
            }
            None => app.fail("replay", format!("no container {name} was there at that time")),
        }
    }
    focus(app, Focus::Detail);
}

/// Asks for what the charts in sight need and isn't known.
pub(super) fn sync(app: &mut App) -> Vec<Effect> {
    let mut effects = Vec::new();
    if let Some(travel) = &mut app.travel {
        let (at, due) = (travel.at, travel.due());
        effects.extend(due.iter().map(|host| hosts::at(app, *host, Effect::FetchThen(at))));
        // With them, so that a log is asked no more often than the engines answer.
        if !due.is_empty() && app.logs.goto != Some(at) && app.logs.is_open() {
            effects.extend(logs::go_to(app, at));
        }
        // A log that is opened meanwhile begins there, too.
        if !due.is_empty() || !app.logs.is_open() {
            app.logs.goto = Some(at);
        }
    }
    let layout = crate::layout::layout(app);
    let sees = |tab| layout.as_ref().is_some_and(|layout| layout.pane(tab).is_some());
    let (charts, others) = (sees(Tab::Stats), sees(Tab::Health) || sees(Tab::Events));
    if !(charts || others) || app.screen != Screen::Containers {
        return effects;
    }
    let selected = app.selected().map(|row| (row.summary.id.clone(), row.summary.started_at));
    let compared = app.compared().map(|row| (row.summary.id.clone(), row.summary.started_at));
    let Some((id, started)) = selected else { return effects };
    let wanted = [Some((id.clone(), started)), compared];
    for (id, started) in wanted.into_iter().flatten() {
        // Only of one that stays selected: whoever walks through the list asks for nothing.
        let known = app.charts.asked.iter().any(|asked| {
            let fresh = !others || (app.now - asked.at).num_seconds() < ANEW;
            let joined = app.began + JOINED;
            let whole = asked.at >= joined || app.now < joined;
            asked.id == id && whole && (app.travel.is_some() || asked.run == started && fresh)
        });
        let host = app.host_of(id.as_str());
        if known || !app.rested || app.hosts.get(host).no_past.is_some() {
            continue;
        }
        app.charts.asked.retain(|asked| asked.id != id);
        app.charts.asked.push(Asked { id: id.clone(), run: started, at: app.now });
        let old = app.charts.asked.len().saturating_sub(4);
        app.charts.asked.drain(..old);
        effects.push(Effect::FetchRecording { id, host_memory: app.metrics.host_memory(host) });
    }
    if charts {
        effects.extend(sync_details(app, id));
    }
    effects
}

/// Asks for the details of the container whose chart of them is in sight, once a second; and once for
/// the reason of a gap.
fn sync_details(app: &mut App, id: ContainerId) -> Option<Effect> {
    let close = app.charts.alone && matches!(app.charts.chosen, Chart::Cpu | Chart::Memory);
    app.metrics.look_closely(Some(&id).filter(|_| close));
    let alive = app.selected().is_some_and(|row| row.summary.status.is_alive());
    if !alive || app.travel.is_some() {
        return None;
    }
    let known = app.metrics.details(&id).is_some();
    let gap = app.metrics.knows(&id) && !app.metrics.has(&id, Metric::CpuPressure) && !known;
    let due = app.charts.details_asked != Some(app.now);
    if !(due && app.rested && (close || gap)) {
        return None;
    }
    app.charts.details_asked = Some(app.now);
    Some(Effect::FetchDetails(id))
}

/// Takes in the past of a container.
pub(super) fn recorded(
    app: &mut App,
    host: usize,
    id: ContainerId,
    result: Result<Box<Past>, Error>,
) {
    match result {
        Ok(past) => app.metrics.take_past(id, *past),
        Err(error) if error.kind == ErrorKind::Unsupported => {
            app.hosts.get_mut(host).no_past =
                Some(wharf_logs::sanitize_line(&error.message).into_owned());
        }
        // It was removed meanwhile, or the engine can't be reached: asked again when it is selected.
        Err(_) => app.charts.asked.retain(|asked| asked.id != id),
    }
    app.draw(Redraw::Soon);
}

/// Takes in the details of a container.
pub(super) fn detailed(app: &mut App, id: &ContainerId, result: Result<DetailSample, Error>) {
    let details = result.unwrap_or_else(|error| DetailSample {
        at: Duration::ZERO,
        no_cores: Some(wharf_logs::sanitize_line(&error.message).into_owned()),
        ..DetailSample::default()
    });
    app.metrics.take_details(id, details);
    app.draw(Redraw::Soon);
}

/// Takes in how an engine's containers were at an instant.
pub(super) fn arrived(
    app: &mut App,
    host: usize,
    at: DateTime<Utc>,
    result: Result<Moment, Error>,
) -> Vec<Effect> {
    let Some(travel) = &mut app.travel else { return Vec::new() };
    let Some(trip) = travel.trips.get_mut(host) else { return Vec::new() };
    trip.asked = None;
    trip.shown = Some(at);
    let moment = match result {
        Ok(moment) => moment,
        Err(error) => {
            let why = wharf_logs::sanitize_line(&error.message).into_owned();
            trip.none = Some(why.clone());
            let nobody = travel.trips.iter().all(|trip| trip.none.is_some());
            if error.kind == ErrorKind::Unsupported {
                app.hosts.get_mut(host).no_past = Some(why.clone());
            }
            if nobody {
                let effects = leave(app);
                app.fail("look at the past", why);
                return effects;
            }
            Moment::default()
        }
    };
    show(app, host, moment, at);
    arrange(app);
    app.draw(Redraw::Now);
    Vec::new()
}
