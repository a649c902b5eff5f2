//! Several engines: what each tells, which one is current, and to whom effects go.

use std::collections::HashMap;

use chrono::TimeDelta;
use wharf_backend::Error;
use wharf_model::{ContainerSummary, ErrorKind};

use crate::app::hosts::host_for;
use crate::app::{
    App, Choice, Fetch, Item, Lazy, Link, Menu, Overlay, Redraw, Screen, TreePane, files,
};
use crate::keymap::Action;
use crate::message::{Effect, Msg};

use super::{arrange, charts};

/// Returns an effect for one engine; where there is but one, the effect itself.
pub(super) fn at(app: &App, host: usize, effect: Effect) -> Effect {
    match app.hosts.several() {
        true => Effect::At { host, effect: Box::new(effect) },
        false => effect,
    }
}

/// Sends effects to the engines they are for.
pub(super) fn route(app: &App, effects: &mut [Effect]) {
    if !app.hosts.several() {
        return;
    }
    for effect in effects {
        if matches!(effect, Effect::At { .. }) {
            continue;
        }
        if let Some(host) = host_for(app, effect) {
            let inner = std::mem::replace(effect, Effect::CloseLog);
            *effect = Effect::At { host, effect: Box::new(inner) };
        }
    }
}

/// Asks for the containers of an engine.
pub(super) fn list(app: &mut App, host: usize) -> Option<Effect> {
    let wanted = app.hosts.get(host).link != Link::Off && app.hosts.get_mut(host).listing.want();
    wanted.then(|| at(app, host, Effect::FetchContainers))
}

/// Asks for the containers of all engines.
pub(super) fn list_all(app: &mut App) -> Vec<Effect> {
    (0..app.hosts.list.len()).filter_map(|host| list(app, host)).collect()
}

/// Takes what one of several engines told.
pub(super) fn take(app: &mut App, host: usize, msg: Msg) -> Vec<Effect> {
    if app.hosts.get(host).link == Link::Off {
        // What was under way when it was disconnected.
        return match msg {
            Msg::Done { .. } | Msg::Ran { .. } | Msg::TransferEnded { .. } => super::take(app, msg),
            Msg::Containers(_) => {
                app.hosts.get_mut(host).listing = Fetch::Idle;
                Vec::new()
            }
            _ => Vec::new(),
        };
    }
    match msg {
        Msg::Containers(result) => containers(app, host, result),
        Msg::Info(result) => {
            if let Ok(info) = result {
                app.hosts.get_mut(host).info = Some(*info);
                app.draw(Redraw::Now);
            }
            Vec::new()
        }
        Msg::Connected => connected(app, host),
        Msg::Lost(error) => {
            lost(app, host, &error.message);
            Vec::new()
        }
        Msg::Latency(latency) => {
            app.hosts.get_mut(host).latency = Some(latency);
            if app.screen == Screen::System {
                app.draw(Redraw::Soon);
            }
            Vec::new()
        }
        Msg::Samples(mut batch) => {
            // A container that two engines have is the first one's.
            let rows = &app.containers.rows;
            let owners: HashMap<_, _> =
                rows.iter().map(|row| (&row.summary.id, row.host)).collect();
            batch.containers.retain(|(id, _)| owners.get(id).is_none_or(|owner| *owner == host));
            super::samples(app, host, batch)
        }
        Msg::Event(event) => super::heard(app, host, &event),
        // What is shown of one engine at a time.
        Msg::Images(_)
        | Msg::Networks(_)
        | Msg::Volumes { .. }
        | Msg::Links { .. }
        | Msg::Usage(_)
        | Msg::ImageLayers(_)
        | Msg::LayerChanges { .. }
        | Msg::History { .. }
        | Msg::Image(_)
            if host != app.hosts.current =>
        {
            Vec::new()
        }
        Msg::EventHistory(result) => {
            super::events::remembered(app, host, result);
            Vec::new()
        }
        Msg::Recorded { id, result } => {
            charts::recorded(app, host, id, result);
            Vec::new()
        }
        Msg::Then { at, result } => charts::arrived(app, host, at, result),
        msg => super::take(app, msg),
    }
}

/// Takes that an engine answers.
pub(super) fn connected(app: &mut App, host: usize) -> Vec<Effect> {
    let known = app.hosts.get_mut(host);
    let was_lost = matches!(known.link, Link::Lost(_));
    known.link = Link::Up;
    known.lost_since = None;
    if was_lost {
        // What was asked of the old connection may never be answered.
        known.listing = Fetch::Idle;
        if host == app.hosts.current {
            app.image_listing = Fetch::Idle;
        }
        let known = app.hosts.get(host);
        let name = known.name().to_owned();
        app.tell(match app.hosts.several() {
            true => format!("{name}: connected again"),
            false => "connected again".to_owned(),
        });
        reopen_logs(app, host);
        ask_again(app, host);
        // What happened meanwhile, the engine may remember.
        app.events.asked = false;
    }
    let mut effects = Vec::from_iter(list(app, host));
    if host == app.hosts.current {
        app.networks.listing.mark();
        app.volumes.listing.mark();
    }
    if was_lost {
        effects.extend(all_else(app, host));
    }
    effects
}

/// Asks for what is less urgent than the containers: an engine that answers all at once answers each
/// later.
fn all_else(app: &mut App, host: usize) -> Vec<Effect> {
    let mut effects = vec![at(app, host, Effect::FetchInfo)];
    if host == app.hosts.current && app.image_listing.want() {
        effects.push(at(app, host, Effect::FetchImages));
    }
    effects
}

/// Logs that came as streams ended with the connection.
fn reopen_logs(app: &mut App, host: usize) {
    let here = |id: &str| app.host_of(id) == host;
    if app.logs.ended && app.logs.origins.iter().any(|origin| here(origin.id.as_str())) {
        app.logs.started = None;
    }
}

/// What couldn't be told while an engine was away is asked for again.
fn ask_again(app: &mut App, host: usize) {
    let here = |id: &str| app.host_of(id) == host;
    if app.logs.error.is_some() && app.logs.origins.iter().any(|origin| here(origin.id.as_str())) {
        app.logs.close();
    }
    let document = app.inspect.tag.as_ref().is_some_and(|tag| app.host_of_tag(tag) == host);
    if document && matches!(app.inspect.tree, Some(Err(_))) {
        app.inspect.tag = None;
    }
    if app.health.id.as_ref().is_some_and(|id| app.host_of(id.as_str()) == host) {
        app.health.stale = true;
    }
    let selected = app.selected().is_some_and(|row| row.host == host);
    if selected && matches!(app.container_files.entries, Some(Err(_))) {
        app.container_files.begin(None);
    }
    if host != app.hosts.current {
        return;
    }
    app.system.listing.mark();
    if matches!(app.volumes.files.entries, Some(Err(_))) {
        app.volumes.files.begin(None);
    }
    if matches!(app.images.files.entries, Some(Err(_))) {
        app.images.files.begin(None);
    }
    if matches!(app.images.history, Some(Err(_))) {
        app.images.history_of = None;
    }
    app.images.counts.retain(|_, count| count.is_ok());
}

/// Takes that an engine doesn't answer.
pub(super) fn lost(app: &mut App, host: usize, why: &str) {
    let why = wharf_logs::sanitize_line(why).into_owned();
    let now = app.now;
    let known = app.hosts.get_mut(host);
    known.latency = None;
    if known.link == Link::Up {
        known.lost_since = Some(now);
    }
    if known.link != Link::Lost(why.clone()) {
        known.link = Link::Lost(why);
        app.draw(Redraw::Now);
    }
}

/// Takes the containers of an engine.
pub(super) fn containers(
    app: &mut App,
    host: usize,
    result: Result<Vec<ContainerSummary>, Error>,
) -> Vec<Effect> {
    let again = app.hosts.get_mut(host).listing.answered();
    let mut effects = if again { vec![at(app, host, Effect::FetchContainers)] } else { Vec::new() };
    if app.hosts.get(host).info.is_none() {
        effects.extend(all_else(app, host));
    }
    match result {
        Ok(mut list) => {
            if app.hosts.get(host).link == Link::Connecting {
                app.hosts.get_mut(host).link = Link::Up;
            }
            if charts::keep_present(app, host, &mut list) {
                return effects;
            }
            let first = !app.containers.loaded;
            let name = app.hosts.several().then(|| app.hosts.get(host).name().to_owned());
            let doubles = app.containers.replace(host, name.as_deref(), list, app.now);
            app.hosts.get_mut(host).doubles = doubles;
            if first {
                charts::begin(app);
            }
            if app.settling.is_some_and(|until| app.now < until) && app.travel.is_none() {
                // Whichever answered first, the first of all is selected.
                app.containers.selected = None;
            }
            let list = &app.containers;
            app.metrics.retain(|id| list.row(id).is_some());
            arrange(app);
        }
        Err(e) if e.kind == ErrorKind::Unavailable => lost(app, host, &e.message),
        Err(e) => {
            let name = app.hosts.get(host).name();
            let what = match app.hosts.several() {
                true => format!("list containers of {name}"),
                false => "list containers".to_owned(),
            };
            app.fail(what, e.message);
        }
    }
    app.draw(Redraw::Now);
    effects
}

/// Makes another engine the current one: what is shown of the old one is forgotten, how it is shown
/// isn't.
pub(super) fn switch(app: &mut App, to: usize) {
    if to == app.hosts.current || to >= app.hosts.list.len() {
        return;
    }
    app.hosts.current = to;
    app.images.replace(&[]);
    app.images.loaded = false;
    app.images.layering = Lazy::default();
    app.images.layers.clear();
    app.images.marked.clear();
    app.images.selected = None;
    app.images.history_of = None;
    app.images.files = files::FilePane::default();
    app.images.files_of = None;
    app.images.counts.clear();
    app.images.counting = None;
    app.image_listing = Fetch::Idle;
    app.volumes.replace(Vec::new());
    app.volumes.loaded = false;
    app.volumes.listing = Lazy::default();
    app.volumes.sizing = false;
    app.volumes.sized = None;
    app.volumes.selected = None;
    app.volumes.files = files::FilePane::default();
    app.networks.replace(Vec::new());
    app.networks.loaded = false;
    app.networks.listing = Lazy::default();
    app.networks.selected = None;
    app.networks.forget_counters();
    app.system.usage = None;
    app.system.asked = None;
    app.system.listing = Lazy::default();
    // Objects of two engines may have one name.
    app.inspect = TreePane::default();
    arrange(app);
    app.hosts.images_due = true;
    app.draw(Redraw::Now);
}

/// Opens the choice of an engine.
pub(super) fn choose(app: &mut App) {
    let on_list = app.screen == Screen::Containers;
    let mut items = Vec::new();
    let mut item = |text: String, choice: Choice| {
        items.push(Item { key: String::new(), text, choice });
    };
    if on_list {
        item("all hosts".to_owned(), Choice::AllHosts);
    }
    for (n, host) in app.hosts.list.iter().enumerate() {
        item(format!("{}  {}", host.name(), state(app, n)), Choice::Host(n));
    }
    let at = match app.containers.only {
        _ if !on_list => app.hosts.current,
        Some(host) => host + 1,
        None => 0,
    };
    let title = if on_list { "Containers of" } else { "Show which host?" };
    let (title, lines) = (title.to_owned(), vec![String::new(); items.len()]);
    app.overlays.push(Overlay::Menu(Menu { title, items, at, lines }));
}

/// Takes the choice.
pub(super) fn chosen(app: &mut App, host: Option<usize>) {
    if app.screen == Screen::Containers {
        app.containers.only = host;
        return arrange(app);
    }
    let Some(host) = host else { return };
    // The selected container would take its own engine along when the screen is left again.
    let rows = &app.containers.rows;
    let first = app.containers.shown.iter().filter_map(|n| rows.get(*n)).find(|r| r.host == host);
    if let Some(row) = first {
        app.containers.selected = Some(crate::app::Chosen::Container(row.summary.id.clone()));
    }
    switch(app, host);
}

/// Returns how an engine does, in a few words.
pub(crate) fn state(app: &App, host: usize) -> String {
    match &app.hosts.get(host).link {
        Link::Up => "connected".to_owned(),
        Link::Connecting => "connecting".to_owned(),
        Link::Lost(_) => "not connected".to_owned(),
        Link::Off => "disconnected by hand".to_owned(),
    }
}

/// Takes an action of the system screen's hosts.
pub(super) fn act(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::ChooseHost => {
            choose(app);
            return Vec::new();
        }
        Action::UseHost => {
            let Some(host) = app.host_row() else { return Vec::new() };
            let name = app.hosts.get(host).name().to_owned();
            app.tell(format!("images, volumes, networks and sizes are those of {name}"));
            chosen(app, Some(host));
            return Vec::new();
        }
        _ => {}
    }
    let Some(host) = app.host_row() else { return Vec::new() };
    let known = app.hosts.get_mut(host);
    let name = known.name().to_owned();
    known.listing = Fetch::Idle;
    known.latency = None;
    known.lost_since = None;
    if known.link == Link::Off {
        known.link = Link::Connecting;
        app.tell(format!("{name}: connecting"));
        app.look_again = Some(app.now + TimeDelta::seconds(1));
        return vec![at(app, host, Effect::Watch(true))];
    }
    known.link = Link::Off;
    known.info = None;
    known.doubles = 0;
    let _ = app.containers.replace(host, None, Vec::new(), app.now);
    app.tell(format!("{name}: disconnected; its containers go on, and c connects again"));
    if app.containers.only == Some(host) {
        app.containers.only = None;
    }
    arrange(app);
    vec![at(app, host, Effect::Watch(false))]
}

/// Asks for what is shown of an engine that became the current one.
pub(super) fn sync(app: &mut App) -> Option<Effect> {
    let current = app.hosts.current;
    let up = app.hosts.get(current).link == Link::Up;
    if !up || !std::mem::take(&mut app.hosts.images_due) {
        return None;
    }
    app.image_listing.want().then_some(Effect::FetchImages)
}
