//! The one way in: a message changes the [`App`] and asks for effects. Nothing here does I/O.

mod act;
mod chart_mouse;
mod charts;
mod columns;
mod commands;
mod compare;
mod custom;
mod detail;
mod dialog;
mod edits;
mod events;
mod files;
mod groups;
mod health;
pub(crate) mod hosts;
mod images;
mod lines;
mod logs;
mod mouse;
mod networks;
mod palette;
mod system;
mod terminals;
mod volumes;

use chrono::TimeDelta;
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use wharf_backend::SampleBatch;
use wharf_model::{ErrorKind, Event, EventKind, is_passing};

use crate::app::{App, Focus, Input, Overlay, PromptFor, Redraw, Screen, Tab, Zoom};
use crate::keymap::{Action, Context, Key, Keymap};
use crate::layout::layout;
use crate::message::{Effect, Msg};
pub(crate) use networks::parse as network_of;
pub(crate) use terminals::{is_open as has_terminal, prefix_name};

/// How long a message stays in the footer, in seconds.
const NOTICE: i64 = 5;

/// Returns what to do before anything has happened.
pub(crate) fn start(app: &mut App) -> Vec<Effect> {
    let mut effects = hosts::list_all(app);
    hosts::route(app, &mut effects);
    effects
}

/// Takes one message into the state and returns what it wants done.
pub fn update(app: &mut App, msg: Msg) -> Vec<Effect> {
    let (before, told) = (asking(app), app.notice.clone());
    let by_hand = matches!(msg, Msg::Key(_) | Msg::Mouse(_) | Msg::Paste(_));
    let mut effects = take(app, msg);
    if asking(app) > before && app.notice == told {
        // It was about something else, and the keys of what has opened stand there.
        app.notice = None;
    }
    effects.extend(detail::sync(app));
    effects.extend(terminals::sync(app));
    guard(app, &mut effects);
    lines::remember(app, &effects, told.as_ref());
    if let Some(notice) = app.notice.as_mut().filter(|notice| Some(&**notice) != told.as_ref()) {
        notice.of_key |= by_hand;
    }
    hosts::route(app, &mut effects);
    lines::show(app);
    effects
}

/// Returns how many questions are open.
fn asking(app: &App) -> usize {
    app.overlays.len() + usize::from(app.line.is_some())
}

/// Lets nothing through that changes anything where nothing may be changed.
fn guard(app: &mut App, effects: &mut Vec<Effect>) {
    if !app.options.read_only || !effects.iter().any(Effect::changes) {
        return;
    }
    for effect in effects.iter().filter(|effect| effect.changes()) {
        if let Effect::Execute { operation, .. } | Effect::Shell { operation, .. } = effect {
            app.pending.remove(operation);
        }
    }
    effects.retain(|effect| !effect.changes());
    app.tell("this dashboard is read-only");
}

fn take(app: &mut App, msg: Msg) -> Vec<Effect> {
    match msg {
        Msg::Key(event) => {
            if event.kind == KeyEventKind::Release {
                return Vec::new();
            }
            app.settling = None;
            if let Some(effects) = terminals::key(app, &event) {
                // What a program makes of a key it shows by itself.
                app.draw(Redraw::Quick);
                return effects;
            }
            app.draw(Redraw::Now);
            key(app, &event)
        }
        Msg::Mouse(event) => {
            app.settling = None;
            mouse::mouse(app, event)
        }
        Msg::Paste(text) => {
            if let Some(effects) = terminals::paste(app, &text) {
                return effects;
            }
            if let Some(input) = input(app) {
                // Terminals send a carriage return for the end of a line.
                input.insert(text.split(['\r', '\n']).next().unwrap_or_default());
                app.draw(Redraw::Now);
                return typed(app);
            }
            app.tell("nothing here takes a text: / and : do, and a shell");
            Vec::new()
        }
        Msg::Resize(columns, rows) => {
            app.size = (columns, rows);
            app.draw(Redraw::Now);
            settle(app);
            Vec::new()
        }
        Msg::Tick(now) => tick(app, now),
        Msg::Of { host, msg } => hosts::take(app, host, *msg),
        Msg::Samples(batch) => samples(app, 0, batch),
        Msg::Containers(result) => hosts::containers(app, 0, result),
        Msg::Images(result) => images::take(app, result),
        Msg::Info(result) => {
            if let Ok(info) = result {
                app.hosts.get_mut(0).info = Some(*info);
                app.draw(Redraw::Now);
            }
            Vec::new()
        }
        Msg::Connected => hosts::connected(app, 0),
        Msg::Lost(error) => {
            hosts::lost(app, 0, &error.message);
            Vec::new()
        }
        Msg::Event(event) => heard(app, 0, &event),
        Msg::Latency(latency) => {
            app.hosts.get_mut(0).latency = Some(latency);
            Vec::new()
        }
        Msg::Done { operation, result } => commands::done(app, operation, result),
        Msg::Usage(result) => {
            system::take(app, result);
            Vec::new()
        }
        Msg::Detail(id, result) => edits::take_detail(app, &id, result),
        Msg::Terminal { number, reply } => terminals::take(app, number, reply),
        Msg::ShellEnded { operation, result } => {
            custom::ended(app, operation, result);
            Vec::new()
        }
        Msg::Unaudited(why) => {
            app.fail("audit", format!("what is done can't be written down: {why}"));
            Vec::new()
        }
        Msg::Recorded { id, result } => {
            charts::recorded(app, 0, id, result);
            Vec::new()
        }
        Msg::Then { at, result } => charts::arrived(app, 0, at, result),
        Msg::Health { id, result } => {
            health::take(app, &id, result);
            Vec::new()
        }
        Msg::EventHistory(result) => {
            events::remembered(app, 0, result);
            Vec::new()
        }
        Msg::Details { id, result } => {
            charts::detailed(app, &id, result);
            Vec::new()
        }
        Msg::Document { tag, result } => {
            let result = result.map(|d| *d).map_err(|e| e.message);
            app.inspect.take(&tag, result);
            settle(app);
            app.draw(Redraw::Now);
            Vec::new()
        }
        Msg::Top { id, result } => {
            detail::take_top(app, &id, result.map_err(|e| e.message));
            Vec::new()
        }
        Msg::History { image, result } => {
            app.images.take_history(&image, result.map_err(|e| e.message));
            app.draw(Redraw::Now);
            Vec::new()
        }
        Msg::Networks(result) => {
            networks(app, result);
            Vec::new()
        }
        Msg::Links { at, result } => {
            // That they can't be read is no news: the containers' totals are there.
            app.networks.count(at, result.unwrap_or_default());
            arrange(app);
            app.draw(Redraw::Soon);
            Vec::new()
        }
        Msg::Reached { question, result } => {
            networks::reached(app, &question, result);
            Vec::new()
        }
        Msg::Volumes { sizes, result } => {
            volumes::take(app, sizes, result);
            Vec::new()
        }
        Msg::ImageLayers(result) => {
            images::take_layers(app, result);
            Vec::new()
        }
        Msg::LayerChanges { image, layer, result } => {
            images::take_changes(app, image, layer, result);
            Vec::new()
        }
        Msg::Image(result) => {
            images::take_detail(app, result);
            Vec::new()
        }
        Msg::Transfer { operation, event } => {
            images::moved(app, operation, event);
            Vec::new()
        }
        Msg::TransferEnded { operation, result } => {
            images::ended(app, operation, result.map(|()| None))
        }
        Msg::Ran { operation, result } => images::ran(app, operation, result),
        Msg::Files { of, path, result } => {
            files::take(app, &of, &path, result);
            Vec::new()
        }
        Msg::File { of, path, result } => {
            files::take_file(app, &of, path, result);
            Vec::new()
        }
        Msg::Folder { of, path, result } => {
            files::take_list(app, &of, &path, result);
            Vec::new()
        }
        Msg::FolderSize { operation, name, result } => {
            files::measured(app, operation, name, result);
            Vec::new()
        }
        Msg::FilesCopied { operation, result } => files::copied(app, operation, result),
        Msg::Compared { pair, result } => {
            compare::take(app, &pair, result);
            Vec::new()
        }
        // A number is either a volume's or an image's.
        Msg::Saving { operation, bytes } => {
            volumes::saving(app, operation, bytes);
            images::saving(app, operation, bytes);
            Vec::new()
        }
        Msg::Saved { operation, result } => {
            volumes::saved(app, operation, result.clone());
            images::ended(app, operation, result.map(Some))
        }
        Msg::LogsAt(time) => logs::go_to(app, time),
        Msg::Log { generation, reply } => logs::reply(app, generation, reply),
    }
}

fn tick(app: &mut App, now: chrono::DateTime<chrono::Utc>) -> Vec<Effect> {
    let second = now.timestamp() != app.now.timestamp();
    app.now = now;
    app.turn = app.turn.wrapping_add(1);
    if second {
        let selected = app.containers.selected.clone();
        app.rested = app.at_tick == selected;
        app.at_tick = selected;
    } else if app.at_tick != app.containers.selected {
        app.rested = false;
    }
    if app.is_animated() {
        app.draw(Redraw::Lively);
    } else if second {
        // Uptimes and ages.
        app.draw(Redraw::Soon);
    }
    if app.notice.as_ref().is_some_and(|n| (now - n.at).num_seconds() >= NOTICE && !n.is_error) {
        app.notice = None;
        app.draw(Redraw::Now);
    }
    let undoable = app.undo.len();
    app.undo.retain(|undo| undo.until > now);
    if app.undo.len() < undoable {
        // What could be taken back is gone for good, which the engine sees to when it is asked.
        return hosts::list_all(app);
    }
    if app.look_again.take_if(|when| *when <= now).is_some() {
        app.networks.listing.mark();
        return hosts::list_all(app);
    }
    Vec::new()
}

/// Takes the samples of an engine.
fn samples(app: &mut App, host: usize, batch: SampleBatch) -> Vec<Effect> {
    let now = app.now;
    app.metrics.take(host, batch, now);
    if app.containers.follows_samples() || app.screen == Screen::Networks {
        arrange(app);
    }
    app.draw(Redraw::Soon);
    networks::sampled(app).into_iter().collect()
}

fn networks(app: &mut App, result: Result<Vec<wharf_model::NetworkInfo>, wharf_backend::Error>) {
    app.networks.listing.answered();
    match result {
        Ok(list) => {
            app.networks.replace(list);
            arrange(app);
            images::give_networks(app);
            palette::search_again(app);
        }
        Err(e) if e.kind == ErrorKind::Unavailable => {}
        Err(e) => {
            app.networks.loaded = true;
            arrange(app);
            app.fail("list networks", e.message);
        }
    }
    app.draw(Redraw::Now);
}

/// Asks anew for what an event says has changed.
fn heard(app: &mut App, host: usize, event: &Event) -> Vec<Effect> {
    let mut effects = Vec::new();
    events::heard(app, host, event);
    if host != app.hosts.current {
        // Of the other engines only the containers are shown.
        if event.kind == EventKind::Container && !is_idle(&event.action) {
            health::changed(app, &event.id);
            effects.extend(hosts::list(app, host));
            effects.extend(detail::changed(app, &event.id));
        }
        return effects;
    }
    // Sizes change with what is there; what is written meanwhile is found out by and by.
    let sized = ["create", "destroy", "delete", "pull", "import", "load", "prune", "die"];
    if sized.contains(&event.action.as_str()) {
        app.system.listing.mark();
    }
    health::changed(app, &event.id);
    match event.kind {
        EventKind::Container => {
            let action = event.action.as_str();
            if is_idle(action) {
                return effects;
            }
            effects.extend(hosts::list(app, host));
            effects.extend(detail::changed(app, &event.id));
            // Who is on a network, and who has a volume; asked for when it is seen.
            app.networks.listing.mark();
            if matches!(action, "create" | "destroy" | "start" | "die") {
                app.volumes.listing.mark();
            }
            // How many containers use an image is part of its row.
            let counts = matches!(action, "create" | "destroy") && app.images.loaded;
            if counts && app.image_listing.want() {
                effects.push(Effect::FetchImages);
            }
        }
        EventKind::Image => {
            effects.extend(app.image_listing.want().then_some(Effect::FetchImages));
        }
        EventKind::Network => {
            app.networks.listing.mark();
            // Who is on what is part of the containers' rows.
            if matches!(event.action.as_str(), "connect" | "disconnect") {
                effects.extend(hosts::list(app, host));
                // An engine tells of it while it is at it: its rows may follow a moment later.
                app.look_again = Some(app.now + TimeDelta::seconds(1));
            }
        }
        EventKind::Volume => app.volumes.listing.mark(),
        EventKind::Daemon => {}
    }
    effects
}

/// Returns whether an event of a container changes nothing that is listed.
fn is_idle(action: &str) -> bool {
    let idle = ["copy", "export", "archive"];
    is_passing(action) || idle.iter().any(|word| action.starts_with(word))
}

/// Makes the lists anew from what is known.
fn arrange(app: &mut App) {
    let rows = layout(app).map_or(1, |l| l.list_rows());
    app.containers.arrange(&app.metrics, rows);
    app.images.arrange(rows);
    match app.screen {
        Screen::Networks => {
            app.networks.arrange(app.hosts.current, &app.containers.rows, &app.metrics, rows);
            // The room depends on how much there is to draw.
            if let Some(now) = layout(app).map(|l| l.list_rows()).filter(|now| *now != rows) {
                app.networks.settle(now);
            }
        }
        Screen::Volumes => app.volumes.arrange(rows),
        Screen::Events => app.events.arrange(rows),
        Screen::Containers | Screen::Images | Screen::System => {}
    }
    settle(app);
}

/// Brings every cursor back into its list and into sight.
fn settle(app: &mut App) {
    let Some(layout) = layout(app) else { return };
    let rows = layout.list_rows();
    app.containers.cursor.settle(app.containers.entries.len(), rows);
    app.images.cursor.settle(app.images.shown.len(), rows);
    app.volumes.cursor.settle(app.volumes.shown.len(), rows);
    app.networks.settle(rows);
    app.events.cursor.settle(app.events.shown.len(), rows);
    app.inspect.cursor.settle(app.inspect.len(), layout.rows_of(Tab::Inspect));
    let processes = detail::processes(app);
    app.top.cursor.settle(processes, layout.rows_of(Tab::Top));
    let rows = layout.rows_of(app.tab());
    let steps = detail::steps(app);
    app.images.layer.settle(steps, rows);
    let users = app.volumes.selected().map_or(0, |row| row.info.users.len());
    app.volumes.user.settle(users, rows);
    let users = app.images.selected().map_or(0, |row| app.image_users(&row.id).len());
    app.images.user.settle(users, rows);
    files::step(app, 0, rows);
    networks::scroll_details(app, 0);
    let (columns, rows) = layout.log_room();
    if app.logs.follow {
        app.logs.to_end(columns, rows);
    } else {
        app.logs.scroll(0, columns, rows);
    }
}

fn key(app: &mut App, event: &KeyEvent) -> Vec<Effect> {
    let key = Key::of(event);
    if app.notice.as_ref().is_some_and(|n| n.of_key) && app.overlays.is_empty() {
        // A failure stays in the footer until a key shows that somebody has seen it, and what a key
        // was told isn't about the next one.
        app.notice = None;
    }
    if let Some(action) = app.keymap.lookup(app.contexts(), key) {
        return act::act(app, action);
    }
    if let Some(effects) = dialog::key_of_menu(app, key) {
        return effects;
    }
    if let Some(Overlay::Run(form)) = app.overlays.last_mut().filter(|_| app.line.is_none())
        && form.field().is_choice()
    {
        match key.code {
            KeyCode::Right | KeyCode::Char(' ') => form.turn(1),
            KeyCode::Left => form.turn(-1),
            _ => {}
        }
        return Vec::new();
    }
    // What is about the terminal itself, no dialog stands in the way of.
    if (app.line.is_some() || !app.overlays.is_empty())
        && let Some(action @ (Action::Suspend | Action::Redraw)) =
            app.keymap.lookup(&[Context::Global], key)
    {
        return act::main(app, action);
    }
    if input(app).is_none() && app.overlays.is_empty() {
        if is_withheld(app, key) {
            app.tell("this dashboard is read-only");
            return Vec::new();
        }
        let back = if app.focus == Focus::Detail { ", Esc goes to the list" } else { "" };
        app.tell(format!("{} does nothing here: ? shows what does{back}", key.name()));
        return Vec::new();
    }
    if input(app).is_none() {
        app.tell(format!("{} does nothing here: Esc goes back", key.name()));
        return Vec::new();
    }
    edit(app, key)
}

/// Returns whether a key would do something here if anything might be changed.
fn is_withheld(app: &App, key: Key) -> bool {
    app.options.read_only
        && Keymap::new(false, &app.options.config).lookup(app.contexts(), key).is_some()
}

/// Returns the text that is being typed, if any.
fn input(app: &mut App) -> Option<&mut Input> {
    if let Some(line) = &mut app.line {
        return Some(&mut line.input);
    }
    match app.overlays.last_mut() {
        Some(Overlay::Prompt(prompt)) => Some(&mut prompt.input),
        Some(Overlay::Run(form)) => form.input_mut(),
        Some(Overlay::Palette(palette)) => Some(&mut palette.input),
        _ => None,
    }
}

/// Gives a key to the text that is being typed.
fn edit(app: &mut App, key: Key) -> Vec<Effect> {
    let Some(input) = input(app) else { return Vec::new() };
    match key.code {
        KeyCode::Char(c) if (key.modifiers - KeyModifiers::SHIFT).is_empty() => {
            input.insert(c.encode_utf8(&mut [0; 4]));
        }
        KeyCode::Backspace => input.backspace(),
        KeyCode::Delete => input.delete(),
        KeyCode::Left => input.left(),
        KeyCode::Right => input.right(),
        KeyCode::Home => input.home(),
        KeyCode::End => input.end(),
        _ => return Vec::new(),
    }
    typed(app)
}

/// Does what follows from a text having changed.
fn typed(app: &mut App) -> Vec<Effect> {
    if app.line.is_some() {
        return dialog::line_changed(app);
    }
    match app.overlays.last_mut() {
        Some(Overlay::Palette(_)) => palette::search(app),
        Some(Overlay::Prompt(prompt)) => {
            prompt.error = None;
            if let PromptFor::Limits { accepted, .. } = &mut prompt.purpose {
                *accepted = false;
            }
        }
        Some(Overlay::Run(form)) => form.error = None,
        _ => {}
    }
    Vec::new()
}

/// Gives the keys to the list or to the tab.
fn focus(app: &mut App, focus: Focus) {
    app.focus = if app.screen.tabs().is_empty() { Focus::List } else { focus };
    // What has the keys is to be seen.
    if app.focus == Focus::List && app.zoom == Zoom::Detail {
        app.zoom = Zoom::Split;
    }
    arrange(app);
}

/// Shows a screen. From the containers' it is about the engine of the selected one.
fn show_screen(app: &mut App, screen: Screen) {
    if app.screen == Screen::Containers && app.screen != screen {
        hosts::switch(app, app.here());
    }
    enter(app, screen);
}

/// Shows a screen about the current engine.
fn enter(app: &mut App, screen: Screen) {
    if app.screen != screen {
        app.screen = screen;
        app.networks.forget_counters();
        focus(app, Focus::List);
    }
}
