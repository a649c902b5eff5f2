//! The health tab: when it is asked for, and how it is scrolled.

use wharf_backend::Error;
use wharf_model::{ContainerId, Status};

use crate::app::health::{HealthPane, Report};
use crate::app::{App, Redraw, Tab};
use crate::layout::layout;
use crate::message::Effect;
use crate::view::health_len;

/// Seconds between two looks at a container whose probes go on.
const EVERY: i64 = 2;

/// Asks for the report of the selected container while it is in sight.
pub(super) fn sync(app: &mut App) -> Option<Effect> {
    let row = app.selected()?;
    let (id, status) = (row.summary.id.clone(), row.summary.status);
    let ended = matches!(status, Status::Exited | Status::Dead | Status::Restarting);
    let probed = row.summary.health.is_some();
    if app.health.id.as_ref() != Some(&id) {
        app.health = HealthPane { id: Some(id.clone()), stale: true, ..HealthPane::default() };
    }
    let due = (app.now - app.health.asked).num_seconds() >= EVERY;
    let wanted = app.health.stale || (status.is_alive() && probed && due);
    // The past is told by what was recorded.
    if app.health.waiting || !wanted || app.travel.is_some() {
        return None;
    }
    app.health.waiting = true;
    app.health.stale = false;
    app.health.asked = app.now;
    Some(Effect::FetchHealth { id, ended })
}

/// Takes in a report.
pub(super) fn take(app: &mut App, id: &ContainerId, result: Result<Box<Report>, Error>) {
    if app.health.id.as_ref() != Some(id) {
        return;
    }
    app.health.waiting = false;
    let safe = |error: Error| wharf_logs::sanitize_line(&error.message).into_owned();
    app.health.report = Some(result.map_err(safe));
    scroll(app, 0);
    app.draw(Redraw::Soon);
}

/// Notes that something has happened to a container.
pub(super) fn changed(app: &mut App, id: &str) {
    if app.health.id.as_ref().is_some_and(|known| known.as_str() == id) {
        app.health.stale = true;
    }
}

/// Returns whether there is more than fits.
pub(super) fn scrolls(app: &App) -> bool {
    let area = layout(app).and_then(|layout| layout.pane(Tab::Health));
    area.is_some_and(|area| health_len(app, area.width) > usize::from(area.height))
}

/// Scrolls by so many lines.
pub(super) fn scroll(app: &mut App, by: isize) {
    let Some(area) = layout(app).and_then(|layout| layout.pane(Tab::Health)) else { return };
    let most = health_len(app, area.width).saturating_sub(usize::from(area.height));
    app.health.top = app.health.top.saturating_add_signed(by).min(most);
}
