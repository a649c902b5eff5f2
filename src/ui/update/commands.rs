//! Changes: asking for consent where something is lost, giving the command, and what came of it.

use wharf_backend::Error;
use wharf_model::{Command, ErrorKind, MountKind, Outcome, RemoveOptions, Status};

use crate::app::{
    App, Choice, Confirm, Consent, Item, Menu, Overlay, Pending, Redraw, Row, Screen, Target,
};
use crate::keymap::Action;
use crate::message::Effect;

use super::images;

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
    match action {
        Action::Kill => {
            if let Some(row) = app.selected() {
                let item = |(name, text): (&'static str, &str)| Item {
                    key: String::new(),
                    text: format!("{name:<5} {text}"),
                    choice: Choice::Signal(name),
                };
                let menu = Menu {
                    title: format!("Signal to {}", row.summary.name),
                    items: SIGNALS.into_iter().map(item).collect(),
                    at: 0,
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
        _ => {
            let command = app.selected().and_then(|row| command(row, action));
            command.map(|c| give(app, vec![c])).unwrap_or_default()
        }
    }
}

/// Returns the command of an action for a container.
fn command(row: &Row, action: Action) -> Option<(Pending, Command)> {
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
        Action::Remove => {
            let options = RemoveOptions { force: alive, volumes: false };
            ("removing", "remove", Command::Remove { container, options })
        }
        _ => return None,
    };
    Some((pending(row, doing, verb), command))
}

fn pending(row: &Row, doing: &'static str, verb: &str) -> Pending {
    Pending {
        on: Target::Container(row.summary.id.clone()),
        doing,
        what: format!("{verb} {}", row.summary.name),
    }
}

/// Sends a signal to the selected container.
pub(super) fn signal(app: &mut App, signal: &'static str) -> Vec<Effect> {
    if let Err(reason) = app.can(Action::Kill) {
        app.tell(reason);
        return Vec::new();
    }
    let Some(row) = app.selected() else { return Vec::new() };
    let pending = pending(row, "signalling", &format!("send {signal} to"));
    let container = row.summary.id.as_str().to_owned();
    let command = Command::Kill { container, signal: Some(signal.to_owned()) };
    give(app, vec![(pending, command)])
}

/// Gives commands to the engine.
pub(super) fn give(app: &mut App, commands: Vec<(Pending, Command)>) -> Vec<Effect> {
    app.notice = None;
    let give = |(pending, command)| {
        let operation = app.number();
        app.pending.insert(operation, pending);
        Effect::Execute { operation, command }
    };
    commands.into_iter().map(give).collect()
}

/// Takes the result of a command.
pub(super) fn done(app: &mut App, operation: u64, result: Result<Outcome, Error>) -> Vec<Effect> {
    let Some(pending) = app.pending.remove(&operation) else { return Vec::new() };
    app.draw(Redraw::Now);
    match result {
        Ok(Outcome::NotModified) => app.tell(format!("{}: nothing to do", pending.what)),
        Ok(outcome) => report(app, &pending.what, outcome),
        Err(e) if e.kind == ErrorKind::NotModified => {
            app.tell(format!("{}: nothing to do", pending.what));
        }
        Err(e) => app.fail(pending.what, e.message),
    }
    // The engine's event says the same, where it can be heard.
    match pending.on {
        Target::Container(_) => {
            app.networks.listing.mark();
            app.listing.want().then_some(Effect::FetchContainers).into_iter().collect()
        }
        Target::Image(_) => {
            app.image_listing.want().then_some(Effect::FetchImages).into_iter().collect()
        }
        Target::Network(_) => {
            app.networks.listing.mark();
            // Who is on what is part of the containers' rows.
            app.listing.want().then_some(Effect::FetchContainers).into_iter().collect()
        }
        Target::Volume(_) => {
            app.volumes.listing.mark();
            Vec::new()
        }
    }
}

/// Tells what a command did.
fn report(app: &mut App, what: &str, outcome: Outcome) {
    let (deleted, freed, failed) = match outcome {
        Outcome::NetworksPruned { deleted, failed } => (deleted, String::new(), failed),
        Outcome::ImagesPruned { untagged, deleted, reclaimed, failed } => {
            // An image that had a name is told by it; of the rest, layers aren't told.
            let nothing = untagged.is_empty() && deleted.is_empty();
            if !nothing {
                app.tell(format!("{what}: {} are free again", crate::format::size(reclaimed)));
            } else if failed.is_empty() {
                app.tell(format!("{what}: nothing to do"));
            }
            for why in failed {
                app.fail(what, why);
            }
            return;
        }
        Outcome::VolumesPruned { deleted, reclaimed, failed } => {
            let freed = format!(", {} are free again", crate::format::size(reclaimed));
            (deleted, freed, failed)
        }
        Outcome::NetworkCreated { warnings, .. } if !warnings.is_empty() => {
            return app.tell(format!("{what}: done, but {}", warnings.join(", ")));
        }
        _ => return app.tell(format!("{what}: done")),
    };
    let names: Vec<String> =
        deleted.iter().map(|name| wharf_logs::sanitize_line(name).into_owned()).collect();
    match names.as_slice() {
        [] if failed.is_empty() => app.tell(format!("{what}: nothing to do")),
        [] => {}
        [name] => app.tell(format!("removed {name}{freed}")),
        _ => app.tell(format!("removed {}{freed}", names.len())),
    }
    for why in failed {
        app.fail(what, why);
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
    body.push(LOST.to_owned());
    body.push(format!("Kept: {}.", kept(&[row])));
    Confirm {
        title: format!("Remove container {}?", row.summary.name),
        body,
        verb: "Remove",
        consent: Consent::Cancel,
        scroll: 0,
        commands: command(row, Action::Remove)
            .into_iter()
            .filter(|_| app.can(Action::Remove).is_ok())
            .collect(),
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

/// Returns the marked containers on which an action makes sense now.
fn able<'a>(app: &'a App, action: Action) -> Vec<&'a Row> {
    let able = |row: &&'a Row| app.can_on(row, action).is_ok();
    app.containers.marked_rows().into_iter().filter(able).collect()
}

fn bulk_menu(app: &mut App) {
    let marked = app.containers.marked_rows();
    let items: Vec<Item> = BULK
        .into_iter()
        .filter_map(|(action, verb)| {
            let rows = able(app, action);
            (!rows.is_empty()).then(|| Item {
                key: String::new(),
                text: match rows.as_slice() {
                    [row] => format!("{verb} {}", row.summary.name),
                    _ if rows.len() == marked.len() => format!("{verb} all {}", rows.len()),
                    _ => format!("{verb} {}: {}", rows.len(), names(&rows)),
                },
                choice: Choice::Bulk(action),
            })
        })
        .collect();
    if items.is_empty() {
        app.tell("nothing can be done with all that is marked now");
        return;
    }
    let title = format!("Marked: {}", names(&marked));
    app.overlays.push(Overlay::Menu(Menu { title, items, at: 0 }));
}

fn names(rows: &[&Row]) -> String {
    let names: Vec<&str> = rows.iter().map(|r| r.summary.name.as_str()).collect();
    names.join(", ")
}

/// Does an action on all that is marked, or asks first.
pub(super) fn bulk(app: &mut App, action: Action) -> Vec<Effect> {
    if app.screen == Screen::Images {
        return images::bulk(app, action);
    }
    let rows = able(app, action);
    let commands: Vec<_> = rows.iter().filter_map(|row| command(row, action)).collect();
    let (verb, what, lost) = match action {
        Action::Remove => ("Remove", "Remove", ALL_LOST),
        Action::Kill => {
            ("Kill", "Send KILL to", "Their processes end at once: what they hadn't saved is lost.")
        }
        _ => return give(app, commands),
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
            format!("  {}, {}{first}", row.summary.name, state.as_str())
        })
        .collect();
    body.push(lost.to_owned());
    if action == Action::Remove {
        body.push(format!("Kept: {}.", kept(&rows)));
    }
    let confirm = Confirm {
        title: format!("{what} {} {plural}?", rows.len()),
        body,
        verb,
        consent: Consent::Cancel,
        scroll: 0,
        commands,
    };
    app.overlays.push(Overlay::Confirm(confirm));
    Vec::new()
}
