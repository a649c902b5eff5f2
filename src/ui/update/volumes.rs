//! The volume screen: its files, and what is asked of volumes.

use std::path::PathBuf;

use wharf_backend::Error;
use wharf_model::{Command, ErrorKind, Filters, VolumeCreateOptions, VolumeInfo};

use crate::app::files::FilesOf;
use crate::app::volumes::Saving;
use crate::app::{
    App, Choice, Confirm, Input, Item, Link, Menu, Overlay, Pending, Prompt, PromptFor, Redraw,
    Screen, Tab, Target,
};
use crate::format::size;
use crate::keymap::Action;
use crate::message::Effect;

use super::{arrange, commands, files, palette};

/// Returns what to ask for while the screen is shown: the list, then sizes, which take their time.
pub(super) fn sync(app: &mut App, detail_seen: bool) -> Vec<Effect> {
    let mut effects = Vec::new();
    if app.screen != Screen::Volumes {
        return effects;
    }
    if app.volumes.listing.due() {
        effects.push(Effect::FetchVolumes { sizes: false });
    }
    if app.hosts.get(app.hosts.current).link == Link::Up && app.volumes.wants_sizes(app.now) {
        app.volumes.sizing = true;
        effects.push(Effect::FetchVolumes { sizes: true });
    }
    if detail_seen && app.tab() == Tab::Files {
        let wanted = app.volumes.selected().map(|row| FilesOf::Volume(row.info.name.clone()));
        if app.volumes.files.of != wanted {
            app.volumes.files.begin(wanted);
            effects.extend(files::fetch_folder(&app.volumes.files));
        }
    }
    effects
}

/// Takes a list.
pub(super) fn take(app: &mut App, sizes: bool, result: Result<Vec<VolumeInfo>, Error>) {
    if sizes {
        app.volumes.sizing = false;
        match result {
            Ok(list) => app.volumes.measure(&list, app.now),
            Err(e) => {
                // Tried: not again at once.
                app.volumes.sized = Some(app.now);
                if e.kind != ErrorKind::Unavailable {
                    app.fail("measure volumes", e.message);
                }
            }
        }
    } else {
        app.volumes.listing.answered();
        match result {
            Ok(list) => {
                app.volumes.replace(list);
                palette::search_again(app);
            }
            Err(e) if e.kind == ErrorKind::Unavailable => {}
            Err(e) => {
                app.volumes.loaded = true;
                app.fail("list volumes", e.message);
            }
        }
    }
    arrange(app);
    app.draw(Redraw::Now);
}

/// Takes an action of the list.
pub(super) fn act(app: &mut App, action: Action) {
    match action {
        Action::CreateVolume => prompt(app, "Name of the new volume", "", PromptFor::CreateVolume),
        Action::RemoveVolume => ask_to_remove(app),
        Action::PruneVolumes => prune_menu(app),
        Action::ExportVolume => {
            if let Some(row) = app.volumes.selected() {
                let title = format!("Save {} to which file?", row.label);
                let file = format!("{}.tar", row.label.split(' ').next().unwrap_or_default());
                let purpose = PromptFor::SaveVolume { volume: row.info.name.clone() };
                prompt(app, &title, &file, purpose);
            }
        }
        _ => {}
    }
}

pub(super) fn prompt(app: &mut App, title: &str, text: &str, purpose: PromptFor) {
    let (title, input) = (title.to_owned(), Input::new(text.to_owned()));
    app.overlays.push(Overlay::Prompt(Prompt { title, input, error: None, purpose }));
}

/// Returns a volume's size in a sentence.
fn sized(volume: &VolumeInfo) -> String {
    volume.size.map_or_else(|| "of unknown size".to_owned(), size)
}

fn ask_to_remove(app: &mut App) {
    let Some(row) = app.volumes.selected() else { return };
    let (name, label) = (row.info.name.clone(), row.label.clone());
    let body = vec![
        format!("Lost for good: all that is in it ({}).", sized(&row.info)),
        format!("It is at {}. No container has it.", row.info.mountpoint),
    ];
    let what = format!("remove volume {label}");
    let pending =
        Pending { on: Target::Volume(name.clone()), doing: "removing", what, undoable: false };
    app.overlays.push(Overlay::Confirm(Confirm {
        title: format!("Remove volume {label}?"),
        body,
        verb: "Remove",
        commands: vec![(pending, Command::RemoveVolume { volume: name, force: false })],
        ..Confirm::default()
    }));
}

fn prune_menu(app: &mut App) {
    let count = |all: bool| app.volumes.unused(all).count();
    let (anonymous, all) = (count(false), count(true));
    let mut items = Vec::new();
    let mut item = |text: String, all: bool| {
        items.push(Item { key: String::new(), text, choice: Choice::PruneVolumes { all } });
    };
    if anonymous > 0 {
        item(format!("those without a name: {anonymous}"), false);
    }
    if all > anonymous {
        item(format!("all that no container has: {all}"), true);
    }
    let title = "Remove unused volumes".to_owned();
    app.overlays.push(Overlay::Menu(Menu { title, items, at: 0, lines: Vec::new() }));
}

/// Asks before the volumes that nobody has are removed.
pub(super) fn ask_to_prune(app: &mut App, all: bool) {
    let list = |row: &crate::app::VolumeRow| format!("  {}, {}", row.label, sized(&row.info));
    let mut body = vec!["Lost for good, with all that is in them:".to_owned()];
    body.extend(app.volumes.unused(all).map(list));
    body.push("The engine takes what is unused when it is asked, be it more or less.".to_owned());
    let count = app.volumes.unused(all).count();
    let on = Target::Volume(String::new());
    let pending =
        Pending { on, doing: "pruning", what: "prune volumes".to_owned(), undoable: false };
    let plural = if count == 1 { "volume" } else { "volumes" };
    app.overlays.push(Overlay::Confirm(Confirm {
        title: format!("Remove {count} {plural}?"),
        body,
        verb: "Remove",
        commands: vec![(pending, Command::PruneVolumes { all, filters: Filters::default() })],
        ..Confirm::default()
    }));
}

/// Makes a volume.
pub(super) fn create(app: &mut App, name: &str) -> Vec<Effect> {
    let name = Some(name.to_owned()).filter(|name| !name.is_empty());
    let what = format!("create volume {}", name.as_deref().unwrap_or("without a name"));
    let on = Target::Volume(String::new());
    let pending = Pending { on, doing: "making", what, undoable: false };
    let options = VolumeCreateOptions { name, ..VolumeCreateOptions::default() };
    commands::give(app, vec![(pending, Command::CreateVolume(Box::new(options)))])
}

/// Saves a volume's content to a file.
pub(super) fn save(app: &mut App, volume: String, path: &str) -> Vec<Effect> {
    let operation = app.number();
    let saving = Saving { volume: volume.clone(), bytes: 0 };
    app.volumes.saving.push((operation, saving));
    app.tell(format!("saving to {path}"));
    vec![Effect::SaveVolume { operation, volume, path: PathBuf::from(path) }]
}

/// Takes how far an export is.
pub(super) fn saving(app: &mut App, operation: u64, bytes: u64) {
    if let Some((_, saving)) = app.volumes.saving.iter_mut().find(|(n, _)| *n == operation) {
        saving.bytes = bytes;
        app.draw(Redraw::Lively);
    }
}

/// Takes the end of an export.
pub(super) fn saved(app: &mut App, operation: u64, result: Result<u64, Error>) {
    let Some(at) = app.volumes.saving.iter().position(|(n, _)| *n == operation) else { return };
    let (_, saving) = app.volumes.saving.remove(at);
    let line = app.lines.remove(&operation).unwrap_or_default();
    let label = app.volumes.row(&saving.volume).map(|row| row.label.clone());
    let label = label.unwrap_or_else(|| wharf_logs::sanitize_line(&saving.volume).into_owned());
    match result {
        Ok(bytes) => {
            app.tell(commands::with_line(format!("saved {label}: {}", size(bytes)), &line));
        }
        Err(e) => app.fail(format!("save volume {label}"), e.message),
    }
    app.draw(Redraw::Now);
}
