//! The tabs: keeping them about what is selected, and the keys of trees and tables.

use wharf_logs::sanitize_line;
use wharf_model::{ContainerId, TopTable};

use crate::app::topology::{HOST, Node};
use crate::app::{App, Cursor, LogOrigin, Overlay, Page, Redraw, Row, Screen, Tab};
use crate::keymap::Action;
use crate::layout::layout;
use crate::message::{Effect, LogAsk, ScreenTag};

use super::act::copied;
use super::{charts, events, files, health, hosts, images, logs, networks, volumes};

/// How many lines a freshly opened log shows.
const FIRST_LINES: usize = 200;

/// Seconds between two looks at the processes.
const TOP_EVERY: i64 = 2;

/// Returns what to ask for so that the tab in sight is about what is selected.
pub(super) fn sync(app: &mut App) -> Vec<Effect> {
    let layout = layout(app);
    let seen = layout.as_ref().is_some_and(|l| l.detail.height > 0);
    let tabs: Vec<Tab> = layout.iter().flat_map(|l| &l.panes).map(|pane| pane.tab).collect();
    let mut effects = sync_log(app, tabs.contains(&Tab::Logs));
    effects.extend(charts::sync(app));
    effects.extend(events::sync(app));
    effects.extend(hosts::sync(app));
    effects.extend(networks::sync(app));
    effects.extend(super::system::sync(app));
    effects.extend(volumes::sync(app, seen));
    effects.extend(images::sync(app, seen));
    for tab in tabs {
        match tab {
            Tab::Inspect => effects.extend(sync_inspect(app)),
            Tab::Files if app.screen == Screen::Containers => {
                effects.extend(files::sync_container(app));
            }
            Tab::Top => effects.extend(sync_top(app)),
            Tab::Health => effects.extend(health::sync(app)),
            // These show what is known anyway, or were asked for above.
            Tab::Stats | Tab::Logs | Tab::Events | Tab::Shell => {}
            Tab::Layers | Tab::Users | Tab::Files | Tab::Details => {}
        }
    }
    effects
}

fn sync_log(app: &mut App, seen: bool) -> Vec<Effect> {
    let list = &app.containers;
    app.logs.merged.retain(|id| list.row(id).is_some());
    let wanted: Vec<&Row> = match app.selected() {
        _ if !seen => Vec::new(),
        _ if app.logs.merged.len() > 1 => {
            app.logs.merged.iter().filter_map(|id| list.row(id)).collect()
        }
        selected => selected.into_iter().collect(),
    };
    let origins: Vec<LogOrigin> = wanted.iter().map(|row| origin(app, row)).collect();
    let started = wanted.first().and_then(|row| row.summary.started_at);
    if origins.is_empty() {
        let open = app.logs.is_open();
        app.logs.close();
        return if open { vec![Effect::CloseLog] } else { Vec::new() };
    }
    let is_same = |(a, b): (&LogOrigin, &LogOrigin)| a.id == b.id;
    let same = app.logs.origins.len() == origins.len()
        && app.logs.origins.iter().zip(&origins).all(is_same);
    // A log that comes as a stream ends with its container; a new start is a new stream.
    if same && !(app.logs.ended && app.logs.started != started) {
        return logs::sync_bars(app);
    }
    let generation = app.number();
    app.logs.open(origins.clone(), generation);
    app.logs.started = started;
    let mut effects = vec![Effect::OpenLog { generation, origins, rows: FIRST_LINES }];
    if app.logs.raw {
        effects.push(Effect::Log(LogAsk::Raw(true)));
    }
    match app.logs.goto.take() {
        Some(time) => effects.extend(logs::go_to(app, time)),
        None => effects.push(Effect::Log(LogAsk::Tail { rows: FIRST_LINES })),
    }
    effects.extend(logs::sync_bars(app));
    effects
}

fn origin(app: &App, row: &Row) -> LogOrigin {
    let same = |other: &&Row| other.summary.name == row.summary.name;
    let name = match app.containers.rows.iter().filter(same).count() {
        1 => row.summary.name.clone(),
        _ => format!("{}@{}", row.summary.name, row.host_name),
    };
    LogOrigin { id: row.summary.id.clone(), name, host: row.host }
}

fn sync_inspect(app: &mut App) -> Option<Effect> {
    let wanted = match app.screen {
        Screen::Containers => app.selected().map(|r| ScreenTag::Container(r.summary.id.clone())),
        Screen::Images => app.images.selected().map(|r| ScreenTag::Image(r.reference())),
        Screen::Volumes => app.volumes.selected().map(|r| ScreenTag::Volume(r.info.name.clone())),
        Screen::Networks => match &app.networks.selected {
            Some(Node::Station(id)) => Some(ScreenTag::Container(id.clone())),
            Some(Node::Bus(key) | Node::Edge(_, key)) if key != HOST => {
                Some(ScreenTag::Network(key.clone()))
            }
            _ => None,
        },
        Screen::Events | Screen::System => None,
    };
    if app.inspect.tag == wanted {
        return None;
    }
    app.inspect.tree = None;
    app.inspect.diff = None;
    app.inspect.cursor = Cursor::default();
    app.inspect.hits = 0;
    app.inspect.tag.clone_from(&wanted);
    app.inspect.waiting = wanted.is_some();
    wanted.map(Effect::FetchDocument)
}

fn sync_top(app: &mut App) -> Option<Effect> {
    let row = app.selected()?;
    let (id, alive) = (row.summary.id.clone(), row.summary.status.is_alive());
    if app.top.id.as_ref() != Some(&id) {
        app.top = crate::app::TopPane { id: Some(id.clone()), ..Default::default() };
    }
    if !alive {
        app.top.table = None;
        return None;
    }
    let due = (app.now - app.top.asked).num_seconds() >= TOP_EVERY;
    if app.top.waiting || !due {
        return None;
    }
    app.top.waiting = true;
    app.top.asked = app.now;
    Some(Effect::FetchTop(id))
}

/// Asks anew for the document of a container that has changed.
pub(super) fn changed(app: &mut App, id: &str) -> Option<Effect> {
    match &app.inspect.tag {
        Some(ScreenTag::Container(shown))
            if shown.as_str() == id && in_sight(app, Tab::Inspect) && !app.inspect.waiting =>
        {
            app.inspect.waiting = true;
            Some(Effect::FetchDocument(ScreenTag::Container(shown.clone())))
        }
        Some(ScreenTag::Container(shown)) if shown.as_str() == id => {
            // Out of sight: asked for when it is looked at.
            app.inspect.tag = None;
            None
        }
        _ => None,
    }
}

/// Returns whether a tab is on the screen.
fn in_sight(app: &App, tab: Tab) -> bool {
    layout(app).is_some_and(|l| l.pane(tab).is_some())
}

/// Takes the processes of a container, made safe.
pub(super) fn take_top(app: &mut App, id: &ContainerId, result: Result<TopTable, String>) {
    if app.top.id.as_ref() != Some(id) {
        return;
    }
    app.top.waiting = false;
    let safe = |text: &mut String| *text = sanitize_line(text).into_owned();
    app.top.table = Some(match result {
        Ok(mut table) => {
            table.titles.iter_mut().for_each(safe);
            table.processes.iter_mut().flatten().for_each(safe);
            Ok(table)
        }
        Err(mut e) => {
            safe(&mut e);
            Err(e)
        }
    });
    step(app, Tab::Top, 0);
    app.draw(Redraw::Soon);
}

/// Returns how many processes are shown.
pub(super) fn processes(app: &App) -> usize {
    app.top.table.as_ref().and_then(|t| t.as_ref().ok()).map_or(0, |t| t.processes.len())
}

/// Returns how many steps of an image are shown.
pub(super) fn steps(app: &App) -> usize {
    app.images.history.as_ref().and_then(|h| h.as_ref().ok()).map_or(0, Vec::len)
}

/// Moves the cursor of a tab's tree or table.
pub(super) fn step(app: &mut App, tab: Tab, by: isize) {
    let Some(rows) = layout(app).map(|l| l.rows_of(tab)) else { return };
    match tab {
        Tab::Inspect if app.inspect.diff.is_some() => super::compare::step(app, by),
        Tab::Inspect => {
            let count = app.inspect.len();
            app.inspect.cursor.step(by, count, rows);
        }
        Tab::Top => {
            let count = processes(app);
            app.top.cursor.step(by, count, rows);
        }
        Tab::Layers => {
            let count = steps(app);
            app.images.layer.step(by, count, rows);
        }
        Tab::Users if app.screen == Screen::Images => {
            let count = app.images.selected().map(|row| app.image_users(&row.id).len());
            app.images.user.step(by, count.unwrap_or(0), rows);
        }
        Tab::Users => {
            let count = app.volumes.selected().map_or(0, |row| row.info.users.len());
            app.volumes.user.step(by, count, rows);
        }
        Tab::Files => files::step(app, by, rows),
        Tab::Details => networks::scroll_details(app, by),
        Tab::Health => health::scroll(app, by),
        Tab::Events => events::scroll(app, by),
        Tab::Stats | Tab::Logs | Tab::Shell => {}
    }
}

/// Takes an action in the tree.
pub(super) fn act_inspect(app: &mut App, action: Action) -> Vec<Effect> {
    let Some(rows) = layout(app).map(|l| l.rows_of(Tab::Inspect)) else { return Vec::new() };
    let at = app.inspect.cursor.at;
    if action == Action::Secrets {
        app.inspect.toggle_secrets();
        return Vec::new();
    }
    if app.inspect.diff.is_some() {
        return super::compare::act(app, action);
    }
    let Some(tree) = app.inspect.tree_mut() else {
        app.tell("there is no document");
        return Vec::new();
    };
    let (mut to, rows_before) = (at, tree.rows().len());
    match action {
        Action::Fold if tree.rows().get(at).is_some_and(|r| r.kind.folds()) => tree.toggle(at),
        // What can't be folded lies in what can.
        Action::Fold => to = tree.fold(at),
        Action::FoldIn => to = tree.fold(at),
        Action::FoldOut => to = tree.unfold(at),
        Action::FoldAll => {
            if tree.rows().iter().any(|r| r.open) {
                tree.fold_all();
            } else {
                tree.open_all();
            }
            to = 0;
        }
        Action::CopyValue => {
            return tree.value(at).map_or_else(Vec::new, |value| copied(app, value));
        }
        Action::ReadValue => {
            let title = tree.rows().get(at).map(|row| row.path.clone());
            if let (Some(title), Some(value)) = (title, tree.value(at)) {
                read(app, title, &value);
            }
            return Vec::new();
        }
        Action::CopyPath => {
            let path = tree.rows().get(at).map(|r| r.path.clone());
            return path.map_or_else(Vec::new, |path| copied(app, path));
        }
        Action::NextMatch | Action::PreviousMatch => {
            find(app, action == Action::PreviousMatch);
            return Vec::new();
        }
        _ => return Vec::new(),
    }
    let count = app.inspect.len();
    if (to, count) == (at, rows_before) {
        app.tell(match action {
            Action::FoldOut => "there is nothing in it to unfold",
            _ => "there is nothing around it to fold",
        });
    }
    app.inspect.cursor.go(to, count, rows);
    Vec::new()
}

/// Shows all of a text that a row has no room for.
pub(super) fn read(app: &mut App, title: String, text: &str) {
    let body = text.lines().map(|line| sanitize_line(line).into_owned()).collect();
    app.overlays.push(Overlay::Page(Page { title, verdict: None, body, scroll: 0 }));
}

/// Searches for a text in the tree.
pub(super) fn search(app: &mut App, text: &str) {
    text.clone_into(&mut app.inspect.pattern);
    app.inspect.hits = app.inspect.tree().map_or(0, |t| t.count(text));
    if app.inspect.diff.is_some() {
        super::compare::act(app, Action::NextMatch);
        return;
    }
    if !text.is_empty() {
        find(app, false);
    }
}

fn find(app: &mut App, backward: bool) {
    let Some(rows) = layout(app).map(|l| l.rows_of(Tab::Inspect)) else { return };
    let (at, pattern) = (app.inspect.cursor.at, app.inspect.pattern.clone());
    let found = app.inspect.tree_mut().and_then(|t| t.find(&pattern, at, backward));
    match found {
        Some(row) => {
            let count = app.inspect.len();
            app.inspect.cursor.go(row, count, rows);
        }
        None => app.tell(format!("no match for {pattern}")),
    }
}
