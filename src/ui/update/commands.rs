//! Changes: asking for consent where something is lost, giving the command, and what came of it.

use wharf_backend::Error;
use wharf_model::{Command, ErrorKind, MountKind, Outcome, RemoveOptions, Status};

use crate::app::{App, Choice, Confirm, Item, Menu, Overlay, Pending, Redraw, Row, Screen, Target};
use crate::keymap::{Action, Context};
use crate::message::Effect;

use super::{edits, hosts, images};

/// The signals of the kill menu and what they are for.
const SIGNALS: [(&str, &str); 9] = [
    ("TERM", "ask it to end"),
    ("KILL", "end it at once, whatever it does"),
    ("INT", "interrupt, as Ctrl-c does"),
    ("HUP", "reload, for many servers"),
    ("QUIT", "end, often with a dump"),
    ("USR1", "what the program makes of it"),
    ("USR2", "what the program makes of it"),
    ("STOP", "halt the first process"),
    ("CONT", "let it go on"),
];

/// What can be done with all marked containers.
const BULK: [(Action, &str); 6] = [
    (Action::Start, "start"),
    (Action::Stop, "stop"),
    (Action::Restart, "restart"),
    (Action::PauseResume, "pause or resume"),
    (Action::Kill, "kill"),
    (Action::Remove, "remove"),
];

const LOST: &str = "Lost for good: every file it wrote outside of its mounts, its log and its \
                    settings.";
const ALL_LOST: &str = "Lost for good: every file they wrote outside of their mounts, their logs \
                        and their settings.";

/// Does an action on the selected object, or asks first.
pub(super) fn ask(app: &mut App, action: Action) -> Vec<Effect> {
    if action != Action::Bulk
        && let Some(effects) = on_group(app, action)
    {
        return effects;
    }
    match action {
        Action::Kill => {
            if let Some(row) = app.selected() {
                let item = |(name, text): (&'static str, &str)| Item {
                    key: String::new(),
                    text: format!("{name:<5} {text}"),
                    choice: Choice::Signal(name),
                };
                let end = if row.summary.auto_remove { ", whose end removes it" } else { "" };
                let menu = Menu {
                    title: format!("Signal to {}{end}", row.summary.name),
                    items: SIGNALS.into_iter().map(item).collect(),
                    at: 0,
                    lines: Vec::new(),
                };
                app.overlays.push(Overlay::Menu(menu));
            }
            Vec::new()
        }
        Action::Remove => {
            if let Some(row) = app.selected() {
                let confirm = consent_to_remove(app, row);
                app.overlays.push(Overlay::Confirm(confirm));
            }
            Vec::new()
        }
        Action::Bulk => {
            match app.screen {
                Screen::Images => images::bulk_menu(app),
                _ => bulk_menu(app),
            }
            Vec::new()
        }
        Action::Stop if app.selected().is_some_and(|row| row.summary.auto_remove) => {
            if let Some(row) = app.selected() {
                let confirm = consent_to_end(app, &[row], action, "");
                app.overlays.push(Overlay::Confirm(confirm));
            }
            Vec::new()
        }
        _ => {
            let command = app.selected().and_then(|row| command(app, row, action));
            command.map(|c| give(app, vec![c])).unwrap_or_default()
        }
    }
}

/// Returns the command of an action for a container.
pub(super) fn command(app: &App, row: &Row, action: Action) -> Option<(Pending, Command)> {
    let undoable = app.hosts.get(row.host).undo_seconds().is_some();
    let container = row.summary.id.as_str().to_owned();
    let alive = row.summary.status.is_alive() || row.summary.status == Status::Restarting;
    let (doing, verb, command) = match action {
        Action::Start => ("starting", "start", Command::Start { container }),
        Action::Stop => {
            ("stopping", "stop", Command::Stop { container, timeout: None, signal: None })
        }
        Action::Restart => {
            ("restarting", "restart", Command::Restart { container, timeout: None, signal: None })
        }
        Action::PauseResume if row.summary.status == Status::Paused => {
            ("resuming", "resume", Command::Unpause { container })
        }
        Action::PauseResume => ("pausing", "pause", Command::Pause { container }),
        Action::Kill => ("killing", "kill", Command::Kill { container, signal: None }),
        // What is put aside already goes for good.
        Action::Remove if undoable && row.summary.status != Status::Removing => {
            let pending = Pending { undoable, ..pending(app, row, "removing", "remove") };
            return Some((pending, Command::Discard { container }));
        }
        Action::Remove => {
            let options = RemoveOptions { force: alive, volumes: false };
            ("removing", "remove", Command::Remove { container, options })
        }
        _ => return None,
    };
    Some((pending(app, row, doing, verb), command))
}

fn pending(app: &App, row: &Row, doing: &'static str, verb: &str) -> Pending {
    Pending {
        on: Target::Container(row.summary.id.clone()),
        doing,
        what: format!("{verb} {}", app.called(row)),
        undoable: false,
    }
}

/// Sends a signal to the selected container.
pub(super) fn signal(app: &mut App, signal: &'static str) -> Vec<Effect> {
    if let Err(reason) = app.can(Action::Kill) {
        app.tell(reason);
        return Vec::new();
    }
    let Some(row) = app.selected() else { return Vec::new() };
    let pending = pending(app, row, "signalling", &format!("send {signal} to"));
    let container = row.summary.id.as_str().to_owned();
    let command = Command::Kill { container, signal: Some(signal.to_owned()) };
    give(app, vec![(pending, command)])
}

/// Gives commands to the engine.
pub(super) fn give(app: &mut App, commands: Vec<(Pending, Command)>) -> Vec<Effect> {
    app.notice = None;
    let mut effects = Vec::new();
    let together = app.next_number + 1;
    for (pending, command) in commands {
        let operation = app.number();
        let name = pending.what.split_once(' ').map_or("", |(_, name)| name).to_owned();
        if let (Target::Container(id), Command::Discard { .. }) = (&pending.on, &command) {
            edits::removed(app, (operation, together), id, &name);
        }
        app.pending.insert(operation, pending);
        effects.push(Effect::Execute { operation, command });
    }
    effects
}

/// Takes the result of a command.
pub(super) fn done(app: &mut App, operation: u64, result: Result<Outcome, Error>) -> Vec<Effect> {
    let Some(pending) = app.pending.remove(&operation) else { return Vec::new() };
    let line = app.lines.remove(&operation).unwrap_or_default();
    if result.is_err() {
        // What hasn't been done needn't be taken back.
        app.undo.retain(|undo| undo.by != operation);
    }
    app.draw(Redraw::Now);
    match result {
        Ok(Outcome::NotModified) => app.tell(format!("{}: nothing to do", pending.what)),
        Ok(outcome) => report(app, &pending, &line, outcome),
        Err(e) if e.kind == ErrorKind::NotModified => {
            app.tell(format!("{}: nothing to do", pending.what));
        }
        Err(e) => app.fail(pending.what, e.message),
    }
    app.system.listing.mark();
    let host = match &pending.on {
        Target::Container(id) => app.host_of(id.as_str()),
        _ => app.hosts.current,
    };
    // The engine's event says the same, where it can be heard.
    match pending.on {
        Target::Container(_) => {
            app.networks.listing.mark();
            hosts::list(app, host).into_iter().collect()
        }
        Target::Image(_) => {
            app.image_listing.want().then_some(Effect::FetchImages).into_iter().collect()
        }
        Target::Network(_) => {
            app.networks.listing.mark();
            // Who is on what is part of the containers' rows.
            hosts::list(app, host).into_iter().collect()
        }
        Target::Volume(_) => {
            app.volumes.listing.mark();
            Vec::new()
        }
        Target::Other => hosts::list(app, host).into_iter().collect(),
    }
}

/// Returns what was done, followed by the command line that does the same.
pub(super) fn with_line(text: String, line: &str) -> String {
    if line.is_empty() { text } else { format!("{text}   {line}") }
}

/// Returns how much a prune has given back, as the end of a sentence.
fn freed(bytes: u64) -> String {
    match bytes {
        0 => String::new(),
        bytes => format!(", {} are free again", crate::format::size(bytes)),
    }
}

/// Tells what a command did.
fn report(app: &mut App, pending: &Pending, line: &str, outcome: Outcome) {
    let what = pending.what.as_str();
    let (deleted, freed, failed) = match outcome {
        Outcome::NetworksPruned { deleted, failed } => (deleted, String::new(), failed),
        Outcome::Pruned { deleted, reclaimed, failed } => {
            (deleted.iter().map(|id| id.short().to_owned()).collect(), freed(reclaimed), failed)
        }
        Outcome::ImagesPruned { untagged, deleted, reclaimed, failed } => {
            // An image that had a name is told by it; of the rest, layers aren't told.
            let nothing = untagged.is_empty() && deleted.is_empty();
            if !nothing {
                let told = match reclaimed {
                    0 => "done".to_owned(),
                    bytes => format!("{} are free again", crate::format::size(bytes)),
                };
                app.tell(with_line(format!("{what}: {told}"), line));
            } else if failed.is_empty() {
                app.tell(format!("{what}: nothing to do"));
            }
            for why in failed {
                app.fail(what, why);
            }
            return;
        }
        Outcome::VolumesPruned { deleted, reclaimed, failed } => {
            (deleted, freed(reclaimed), failed)
        }
        Outcome::NetworkCreated { warnings, .. } if !warnings.is_empty() => {
            let text = format!("{what}: done, but {}", warnings.join(", "));
            return app.tell(with_line(text, line));
        }
        Outcome::Updated { warnings } if !warnings.is_empty() => {
            let text = format!("{what}: done, but {}", warnings.join(", "));
            return app.tell(with_line(text, line));
        }
        _ if pending.doing == "restoring" => {
            return app.tell(format!("{what}: done, it is stopped as its removal left it"));
        }
        _ if pending.undoable => {
            return app.tell(with_line(format!("{what}: done, u takes it back"), line));
        }
        _ => return app.tell(with_line(format!("{what}: done"), line)),
    };
    let names: Vec<String> =
        deleted.iter().map(|name| wharf_logs::sanitize_line(name).into_owned()).collect();
    match names.as_slice() {
        [] if failed.is_empty() => app.tell(format!("{what}: nothing to do")),
        [] => {}
        [name] => app.tell(with_line(format!("removed {name}{freed}"), line)),
        _ => app.tell(with_line(format!("removed {}{freed}", names.len()), line)),
    }
    for why in failed {
        app.fail(what, why);
    }
}

/// Returns what a removal costs: where it can be taken back, when.
fn lost(app: &App, rows: &[&Row], text: &str) -> String {
    let seconds = |row: &&Row| app.hosts.get(row.host).undo_seconds();
    let Some(seconds) = rows.iter().filter_map(seconds).min() else { return text.to_owned() };
    let minutes = seconds / 60;
    let what = text.trim_start_matches("Lost for good: ");
    let never = rows.iter().filter(|row| app.hosts.get(row.host).undo_seconds().is_none());
    let mut never: Vec<&str> = never.map(|row| row.host_name.as_str()).collect();
    never.dedup();
    match never.is_empty() {
        true => format!("u takes it back for {minutes} minutes; then it is lost for good: {what}"),
        false => format!(
            "What is on {} is lost for good: {what} The rest u takes back for {minutes} minutes.",
            never.join(" and ")
        ),
    }
}

fn consent_to_remove(app: &App, row: &Row) -> Confirm {
    let mut body = Vec::new();
    match row.summary.status {
        Status::Running | Status::Paused | Status::Restarting => {
            body.push(format!(
                "It is {}: its processes are killed first.",
                row.summary.status.as_str()
            ));
        }
        _ => {}
    }
    body.push(if row.summary.status == Status::Removing {
        LOST.to_owned()
    } else {
        lost(app, &[row], LOST)
    });
    body.push(format!("Kept: {}.", kept(&[row])));
    Confirm {
        title: format!("Remove container {}?", app.called(row)),
        body,
        verb: "Remove",
        commands: command(app, row, Action::Remove)
            .into_iter()
            .filter(|_| app.can(Action::Remove).is_ok())
            .collect(),
        ..Confirm::default()
    }
}

/// Returns what removing containers leaves behind: images, volumes and host folders.
fn kept(rows: &[&Row]) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut add = |part: String| {
        if !parts.contains(&part) {
            parts.push(part);
        }
    };
    for row in rows {
        add(format!("image {}", row.summary.image));
    }
    for mount in rows.iter().flat_map(|r| &r.summary.mounts) {
        let name = mount.name.as_deref().unwrap_or(&mount.source);
        let name = wharf_logs::sanitize_line(name);
        match mount.kind {
            MountKind::Volume => add(format!("volume {name}")),
            MountKind::Bind => add(format!("host path {name}")),
            MountKind::Tmpfs => {}
        }
    }
    parts.join(", ")
}

/// Returns those of some containers on which an action makes sense now.
pub(super) fn able<'a>(
    app: &'a App,
    rows: impl Iterator<Item = &'a Row>,
    action: Action,
) -> Vec<&'a Row> {
    app.able(rows, action).collect()
}

fn bulk_menu(app: &mut App) {
    let marked = app.containers.marked_rows();
    let items: Vec<Item> = BULK
        .into_iter()
        .filter_map(|(action, verb)| {
            let rows = able(app, marked.iter().copied(), action);
            (!rows.is_empty()).then(|| Item {
                key: app.keymap.key_of(Context::Containers, action),
                text: match rows.as_slice() {
                    [row] => format!("{verb} {}", app.called(row)),
                    _ if rows.len() == marked.len() => format!("{verb} all {}", rows.len()),
                    _ => format!("{verb} {}: {}", rows.len(), names(app, &rows)),
                },
                choice: Choice::Bulk(action),
            })
        })
        .collect();
    if items.is_empty() {
        app.tell("nothing can be done with all that is marked now");
        return;
    }
    let title = format!("Marked: {}", names(app, &marked));
    app.overlays.push(Overlay::Menu(Menu { title, items, at: 0, lines: Vec::new() }));
}

fn names(app: &App, rows: &[&Row]) -> String {
    let names: Vec<String> = rows.iter().map(|row| app.called(row)).collect();
    names.join(", ")
}

/// Does an action on all that is marked, or asks first.
pub(super) fn bulk(app: &mut App, action: Action) -> Vec<Effect> {
    if app.screen == Screen::Images {
        return images::bulk(app, action);
    }
    let rows = able(app, app.containers.marked_rows().into_iter(), action);
    let plan = plan(app, &rows, action, "");
    carry_out(app, plan)
}

/// Does an action on all of the selected group, or asks first; none if no group is selected.
fn on_group(app: &mut App, action: Action) -> Option<Vec<Effect>> {
    let group = app.containers.group()?;
    let mut rows = able(app, app.containers.members(group), action);
    // What half of them are already is wanted of the rest.
    if action == Action::PauseResume {
        let running: Vec<&Row> =
            rows.iter().copied().filter(|row| row.summary.status == Status::Running).collect();
        if !running.is_empty() {
            rows = running;
        }
    }
    let whose = format!(" of {}", group.name);
    let plan = match rows.len() {
        0 | 1 => plan(app, &rows, action, &whose),
        _ => interruption(app, &rows, action, &whose)
            .map_or_else(|| plan(app, &rows, action, &whose), Plan::Ask),
    };
    Some(carry_out(app, plan))
}

/// What an action on several containers comes to.
enum Plan {
    /// These commands, at once.
    Do(Vec<(Pending, Command)>),
    /// A question first.
    Ask(Confirm),
}

fn carry_out(app: &mut App, plan: Plan) -> Vec<Effect> {
    match plan {
        Plan::Do(commands) => give(app, commands),
        Plan::Ask(confirm) => {
            app.overlays.push(Overlay::Confirm(confirm));
            Vec::new()
        }
    }
}

/// Returns what to ask before containers are ended that their end removes, among others.
fn consent_to_end(app: &App, rows: &[&Row], action: Action, whose: &str) -> Confirm {
    let title = match rows {
        [row] => format!("Stop {}?", app.called(row)),
        _ => format!("Stop {} containers{whose}?", rows.len()),
    };
    let of = |row: &&&Row| row.summary.auto_remove;
    let going: Vec<&Row> = rows.iter().filter(of).copied().collect();
    let mut body =
        vec![format!("Started with --rm: the end of {} removes it.", names(app, &going))];
    body.push(if going.len() == 1 { LOST.to_owned() } else { ALL_LOST.to_owned() });
    body.push(format!("Kept: {}.", kept(&going)));
    Confirm {
        title,
        body,
        verb: "Stop",
        commands: rows.iter().filter_map(|row| command(app, row, action)).collect(),
        ..Confirm::default()
    }
}

/// Returns what to ask before a key interrupts all of a group: a whole service is one letter away.
fn interruption(app: &App, rows: &[&Row], action: Action, whose: &str) -> Option<Confirm> {
    let pauses = rows.iter().any(|row| row.summary.status == Status::Running);
    let (verb, lost) = match action {
        Action::Stop => ("Stop", "They are asked to end, and killed after their time of grace."),
        Action::Restart => (
            "Restart",
            "They are asked to end, killed after their time of grace, and started again.",
        ),
        Action::PauseResume if pauses => ("Pause", "They answer nobody until they are resumed."),
        _ => return None,
    };
    let mut body: Vec<String> = rows
        .iter()
        .map(|row| format!("  {}, {}", app.called(row), row.summary.status.as_str()))
        .collect();
    body.push(lost.to_owned());
    if action == Action::Stop && rows.iter().any(|row| row.summary.auto_remove) {
        body.extend(consent_to_end(app, rows, action, whose).body);
    }
    Some(Confirm {
        title: format!("{verb} {} containers{whose}?", rows.len()),
        body,
        verb,
        commands: rows.iter().filter_map(|row| command(app, row, action)).collect(),
        ..Confirm::default()
    })
}

/// Returns what an action on these containers comes to; `whose` follows their number.
fn plan(app: &App, rows: &[&Row], action: Action, whose: &str) -> Plan {
    let commands: Vec<_> = rows.iter().filter_map(|row| command(app, row, action)).collect();
    let (verb, what, lost) = match action {
        Action::Remove => ("Remove", "Remove", lost(app, rows, ALL_LOST)),
        Action::Kill => {
            let text = "Their processes end at once: what they hadn't saved is lost.";
            ("Kill", "Send KILL to", text.to_owned())
        }
        Action::Stop if rows.iter().any(|row| row.summary.auto_remove) => {
            return Plan::Ask(consent_to_end(app, rows, action, whose));
        }
        _ => return Plan::Do(commands),
    };
    let plural = if rows.len() == 1 { "container" } else { "containers" };
    let mut body: Vec<String> = rows
        .iter()
        .map(|row| {
            let state = row.summary.status;
            let first = if action == Action::Remove && state.is_alive() {
                ": its processes are killed first"
            } else {
                ""
            };
            format!("  {}, {}{first}", app.called(row), state.as_str())
        })
        .collect();
    body.push(lost);
    if action == Action::Remove {
        body.push(format!("Kept: {}.", kept(rows)));
    }
    Plan::Ask(Confirm {
        title: format!("{what} {} {plural}{whose}?", rows.len()),
        body,
        verb,
        commands,
        ..Confirm::default()
    })
}
