//! The event screen and the event tab: what the engine tells.

use wharf_backend::Error;
use wharf_model::{ContainerId, Event, EventKind};

use crate::app::topology::Node;
use crate::app::{App, Goal, ImageRow, Link, Redraw, Screen, Tab};
use crate::keymap::Action;
use crate::layout::layout;
use crate::message::Effect;

use super::{enter, hosts};

/// Takes in an event.
pub(super) fn heard(app: &mut App, host: usize, event: &Event) {
    app.events.push(event, host);
    if app.screen == Screen::Events {
        arrange(app);
        app.draw(Redraw::Lively);
    }
}

/// Takes in what the engine remembers.
pub(super) fn remembered(app: &mut App, host: usize, result: Result<Vec<Event>, Error>) {
    match result {
        Ok(events) => app.events.remember(&events, host),
        // Those to come are heard; these are asked for again when they are looked at again.
        Err(_) if !app.hosts.several() => app.events.asked = false,
        // They are asked for again when this engine is back.
        Err(_) => {}
    }
    arrange(app);
    app.draw(Redraw::Now);
}

/// Asks for what the engine remembers, once, when it is looked at.
pub(super) fn sync(app: &mut App) -> Vec<Effect> {
    let until = app.travel.as_ref().map(|travel| travel.at);
    if app.events.until != until {
        app.events.until = until;
        // The newest of that instant is what is looked for.
        app.events.cursor.at = app.events.shown.len();
        app.events.back = 0;
        arrange(app);
    }
    let sees = |tab| layout(app).is_some_and(|layout| layout.pane(tab).is_some());
    let tab = sees(Tab::Events) || sees(Tab::Health);
    if app.events.asked || !(tab || app.screen == Screen::Events) {
        return Vec::new();
    }
    app.events.asked = true;
    let hosts = 0..app.hosts.list.len();
    let wanted = hosts.filter(|host| app.hosts.get(*host).link != Link::Off);
    wanted.map(|host| hosts::at(app, host, Effect::FetchEvents)).collect()
}

/// Makes the list anew.
fn arrange(app: &mut App) {
    app.events.arrange(layout(app).map_or(1, |l| l.list_rows()));
}

/// Moves the cursor.
pub(super) fn step(app: &mut App, by: isize, rows: usize) {
    let count = app.events.shown.len();
    app.events.cursor.step(by, count, rows);
}

/// Returns how many events of the selected container there are beyond what fits.
fn beyond(app: &App) -> usize {
    let Some(row) = app.selected() else { return 0 };
    let Some(area) = layout(app).and_then(|layout| layout.pane(Tab::Events)) else { return 0 };
    let id = &row.summary.id;
    let past = app.metrics.past(id).map(|past| past.happenings.as_slice()).unwrap_or_default();
    app.events.of(id, past, app.events.until).len().saturating_sub(usize::from(area.height))
}

/// Returns whether the tab of a container has more than fits.
pub(super) fn scrolls(app: &App) -> bool {
    beyond(app) > 0
}

/// Scrolls the tab of a container.
pub(super) fn scroll(app: &mut App, by: isize) {
    // Up is back in time.
    let back = app.events.back.saturating_add_signed(by.checked_neg().unwrap_or(isize::MAX));
    app.events.back = back.min(beyond(app));
}

/// Takes an action of the event screen.
pub(super) fn act(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::HoldEvents => match app.events.paused.take() {
            Some(_) => app.tell("events go on"),
            None => {
                // What has come so far stays, whatever clock it was told by.
                let newest = app.events.rows.back().map_or(app.now, |row| row.time);
                app.events.paused = Some(newest.max(app.now));
                app.tell("events are held: p lets them go on");
            }
        },
        Action::ShowPrograms => {
            app.events.programs = !app.events.programs;
            app.tell(match app.events.programs {
                true => "programs inside of containers are shown, too",
                false => "programs inside of containers aren't shown",
            });
        }
        Action::GoToObject => {
            jump(app);
            return Vec::new();
        }
        _ => {}
    }
    arrange(app);
    Vec::new()
}

/// Goes to what the selected event is about.
fn jump(app: &mut App) {
    let Some(row) = app.events.selected().cloned() else { return };
    let screen = match row.kind {
        EventKind::Container => Screen::Containers,
        EventKind::Image => Screen::Images,
        EventKind::Network => Screen::Networks,
        EventKind::Volume => Screen::Volumes,
        EventKind::Daemon => {
            app.tell("the engine itself is no object to go to");
            return;
        }
    };
    if row.kind != EventKind::Container {
        hosts::switch(app, row.host);
    }
    let there = match row.kind {
        // They are being asked for.
        _ if app.hosts.images_due => true,
        EventKind::Container => app.containers.row_of(&row.id).is_some(),
        EventKind::Image => app.images.rows.iter().any(|image| is_image(image, &row.id, &row.name)),
        // These lists are asked for when they are seen.
        _ => true,
    };
    if !there {
        let about = row.about();
        app.tell(format!("{about} isn't there any more"));
        return;
    }
    enter(app, screen);
    app.set_filter(String::new());
    match row.kind {
        EventKind::Container => {
            app.containers.all = true;
            if let Ok(id) = row.id.parse::<ContainerId>() {
                // It never asks for anything.
                let _ = super::palette::go(app, Goal::Container(id));
            }
        }
        EventKind::Image => {
            let found = app.images.rows.iter().find(|image| is_image(image, &row.id, &row.name));
            app.images.selected = found.map(ImageRow::reference).or(Some(row.id.clone()));
        }
        EventKind::Network => app.networks.selected = Some(Node::Bus(row.id.clone())),
        EventKind::Volume => app.volumes.selected = Some(row.id.clone()),
        EventKind::Daemon => {}
    }
    super::arrange(app);
}

fn is_image(image: &ImageRow, id: &str, name: &str) -> bool {
    image.id.as_str() == id || image.reference() == id || image.reference() == name
}
