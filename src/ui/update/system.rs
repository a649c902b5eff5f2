//! The system screen: sizes on disk, and removing what nobody uses.

use wharf_backend::Error;
use wharf_model::{Command, DiskUsage, Filters};

use crate::app::{App, Confirm, Kind, Overlay, Pending, Redraw, Screen, Target};
use crate::format::size;
use crate::keymap::Action;
use crate::message::Effect;

use super::{images, networks, volumes};

/// Returns what to ask for while the screen is shown.
pub(super) fn sync(app: &mut App) -> Vec<Effect> {
    let mut effects = Vec::new();
    if app.screen != Screen::System || app.hosts.get(app.hosts.current).info.is_none() {
        return effects;
    }
    if app.system.due(app.now) {
        effects.push(Effect::FetchUsage);
    }
    if app.volumes.listing.due() {
        effects.push(Effect::FetchVolumes { sizes: false });
    }
    if app.networks.listing.due() {
        effects.push(Effect::FetchNetworks);
    }
    if app.images.loaded && app.images.layering.due() {
        effects.push(Effect::FetchImageLayers);
    }
    effects
}

/// Takes the sizes.
pub(super) fn take(app: &mut App, result: Result<Box<DiskUsage>, Error>) {
    app.system.listing.answered();
    app.system.asked = Some(app.now);
    let safe = |text: &str| wharf_logs::sanitize_line(text).into_owned();
    app.system.usage = Some(result.map_err(|error| safe(&error.message)));
    app.draw(Redraw::Now);
}

/// Moves to another kind.
pub(super) fn step(app: &mut App, by: isize, rows: usize) {
    let count = app.system.hosts + Kind::ALL.len();
    app.system.cursor.step(by, count, rows.max(count));
}

/// Asks before what nobody uses of the selected kind is removed.
pub(super) fn prune(app: &mut App) -> Vec<Effect> {
    match app.system.kind() {
        Kind::Containers => containers(app),
        Kind::Images => return images::act(app, Action::PruneImages),
        Kind::Volumes => {
            // Each is told with its size as of the sum that is shown here, if that is the newer one.
            if let (Some(Ok(usage)), Some(asked)) = (&app.system.usage, app.system.asked)
                && app.volumes.sized.is_none_or(|sized| sized < asked)
            {
                app.volumes.measure(&usage.volume_list, asked);
            }
            volumes::act(app, Action::PruneVolumes);
        }
        Kind::Networks => {
            let rows = app.containers.rows.len();
            app.networks.arrange(app.hosts.current, &app.containers.rows, &app.metrics, rows);
            return networks::act(app, Action::PruneNetworks);
        }
    }
    Vec::new()
}

fn containers(app: &mut App) {
    let freed = match &app.system.usage {
        Some(Ok(usage)) => {
            let size = size(usage.containers.reclaimable);
            match app.system.listing.is_idle() {
                true => format!("It frees {size}."),
                false => format!("It freed {size} when it was last measured, before a change."),
            }
        }
        _ => "How much it frees isn't known.".to_owned(),
    };
    let mut body: Vec<String> = app
        .stopped()
        .map(|row| format!("  {}, {}", row.summary.name, row.summary.status.as_str()))
        .collect();
    let count = body.len();
    body.push(
        "Lost for good: every file they wrote outside of their mounts, their logs and their \
         settings."
            .to_owned(),
    );
    body.push(freed);
    body.push("The engine takes what is stopped when it is asked, be it more or less.".to_owned());
    let what = "prune containers".to_owned();
    let pending = Pending { on: Target::Other, doing: "pruning", what, undoable: false };
    let plural = if count == 1 { "container" } else { "containers" };
    app.overlays.push(Overlay::Confirm(Confirm {
        title: format!("Remove {count} stopped {plural}?"),
        body,
        verb: "Remove",
        commands: vec![(pending, Command::Prune { filters: Filters::default() })],
        ..Confirm::default()
    }));
}
