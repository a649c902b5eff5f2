//! Looking through files: the same for volumes and for layers of images.

use std::ffi::OsString;
use std::path::PathBuf;

use wharf_backend::Error;
use wharf_logs::sanitize_line;
use wharf_model::{ChangeKind, ContainerId, FileEntry, FileHead, FileKind, FolderList};

use crate::app::files::{FilePane, FilesOf, shown};
use crate::app::{App, Focus, Input, Overlay, Pending, Prompt, PromptFor, Redraw, Screen, Target};
use crate::keymap::Action;
use crate::message::Effect;
use crate::options::CopyRequest;

use super::{act, commands, focus, images, settle};

/// Returns the question for the folder that is shown.
pub(super) fn fetch_folder(pane: &FilePane) -> Option<Effect> {
    Some(Effect::FetchFiles { of: pane.of.clone()?, path: pane.path.clone() })
}

fn pane<'a>(app: &'a mut App, of: &FilesOf) -> &'a mut FilePane {
    match of {
        FilesOf::Container(_) => &mut app.container_files,
        FilesOf::Volume(_) => &mut app.volumes.files,
        FilesOf::Layer { .. } => &mut app.images.files,
    }
}

/// Takes what is in a folder.
pub(super) fn take(
    app: &mut App,
    of: &FilesOf,
    path: &std::path::Path,
    result: Result<Vec<FileEntry>, Error>,
) {
    pane(app, of).take(of, path, result.map_err(|e| e.message));
    settle(app);
    app.draw(Redraw::Now);
}

/// Takes what is in a folder of a container.
pub(super) fn take_list(
    app: &mut App,
    of: &FilesOf,
    path: &std::path::Path,
    result: Result<FolderList, Error>,
) {
    pane(app, of).take_list(of, path, result.map_err(|e| e.message));
    settle(app);
    app.draw(Redraw::Now);
}

/// Keeps the files of a container about the one that is selected.
pub(super) fn sync_container(app: &mut App) -> Vec<Effect> {
    let wanted = app.selected().map(|row| FilesOf::Container(row.summary.id.clone()));
    if app.container_files.of == wanted {
        return Vec::new();
    }
    let mut effects = give_up(app);
    app.container_files.begin(wanted);
    effects.extend(fetch_folder(&app.container_files));
    effects
}

/// Ends the measuring of folders.
fn give_up(app: &mut App) -> Vec<Effect> {
    app.container_files.measuring.take().map(Effect::Abort).into_iter().collect()
}

/// Takes how much a folder takes.
pub(super) fn measured(
    app: &mut App,
    operation: u64,
    name: Option<OsString>,
    result: Result<u64, Error>,
) {
    let pane = &mut app.container_files;
    if pane.measuring != Some(operation) {
        return;
    }
    match name {
        Some(name) => {
            let result = result.map_err(|e| sanitize_line(&e.message).into_owned());
            if let Err(why) = &result {
                let why = why.clone();
                pane.sizes.insert(name, Err(String::new()));
                app.fail("measure", why);
            } else {
                pane.sizes.insert(name, result);
            }
        }
        None => pane.measuring = None,
    }
    app.draw(Redraw::Lively);
}

/// Asks where to copy to, or what to copy.
fn ask_to_copy(app: &mut App, out: bool) {
    let Some(row) = app.selected() else { return };
    let (container, name) = (row.summary.id.clone(), row.summary.name.clone());
    let pane = &app.container_files;
    let entry = pane.selected().map(|(_, path)| path);
    let path = match (&pane.open, out) {
        (Some(file), true) => Some(file.path.clone()),
        (_, true) => entry,
        (_, false) => Some(pane.path.clone()),
    };
    let Some(path) = path else { return };
    let inside = PathBuf::from("/").join(path).to_string_lossy().into_owned();
    let what = shown(&inside);
    let title = match out {
        true => format!("Copy {what} of {name} to (a path on this host)"),
        false => format!("Copy into {what} of {name} (a path on this host)"),
    };
    let input = Input::new(if out { "." } else { "" }.to_owned());
    let purpose = PromptFor::CopyFiles { container, name, inside, out };
    app.overlays.push(Overlay::Prompt(Prompt { title, input, error: None, purpose }));
}

/// Copies files as the dialog says.
pub(super) fn copy(
    app: &mut App,
    container: &ContainerId,
    name: &str,
    (inside, out): (String, bool),
    outside: &str,
) -> Vec<Effect> {
    let operation = app.number();
    // One dash alone would be this terminal.
    let outside = if outside == "-" { "./-".to_owned() } else { outside.to_owned() };
    let (from, to) = match out {
        true => (format!("{name}:{inside}"), outside.clone()),
        false => (outside.clone(), format!("{name}:{inside}")),
    };
    let what = shown(format!("copy {from} to {to}"));
    app.tell(what.replacen("copy", "copying", 1));
    let on = Target::Container(container.clone());
    app.pending.insert(operation, Pending { on, doing: "copying", what, undoable: false });
    let container = container.as_str().to_owned();
    let request = CopyRequest { container, inside, outside, out };
    vec![Effect::CopyFiles { operation, request }]
}

/// Takes the end of a copy.
pub(super) fn copied(app: &mut App, operation: u64, result: Result<(), String>) -> Vec<Effect> {
    let Some(pending) = app.pending.remove(&operation) else { return Vec::new() };
    let line = app.lines.remove(&operation).unwrap_or_default();
    match result {
        Ok(()) => {
            app.tell(commands::with_line(pending.what.replacen("copy", "copied", 1), &line));
            fetch_folder(&app.container_files).into_iter().collect()
        }
        Err(why) => {
            app.fail(pending.what, why);
            Vec::new()
        }
    }
}

/// Takes the beginning of a file.
pub(super) fn take_file(
    app: &mut App,
    of: &FilesOf,
    path: PathBuf,
    result: Result<FileHead, Error>,
) {
    pane(app, of).take_file(of, path, result.map_err(|e| e.message));
    app.draw(Redraw::Now);
}

/// Takes an action of the tab.
pub(super) fn act(app: &mut App, action: Action) -> Vec<Effect> {
    if app.screen == Screen::Images && app.images.files.of.is_none() {
        return images::act_layers(app, action);
    }
    match action {
        Action::OpenEntry => return open(app),
        Action::CopyOut => ask_to_copy(app, true),
        Action::CopyIn => ask_to_copy(app, false),
        Action::Reread => {
            app.tell("looked again");
            return fetch_folder(app.files()).into_iter().collect();
        }
        Action::Measure if app.container_files.measuring.is_some() => {
            app.tell("given up");
            return give_up(app);
        }
        Action::Measure => {
            let Some(FilesOf::Container(container)) = app.container_files.of.clone() else {
                return Vec::new();
            };
            let operation = app.number();
            let pane = &mut app.container_files;
            pane.sizes.clear();
            pane.measuring = Some(operation);
            let folders = pane.list().iter().filter(|entry| {
                let gone = entry.change.is_some_and(|c| c.kind == ChangeKind::Deleted);
                entry.kind == FileKind::Folder && !gone
            });
            let names = folders.map(|entry| entry.name.clone()).collect();
            let path = pane.path.clone();
            return vec![Effect::MeasureFolders { operation, container, path, names }];
        }
        Action::LeaveFolder => {
            let reading = app.files().open.is_some();
            let mut given_up = match app.screen {
                Screen::Containers => give_up(app),
                _ => Vec::new(),
            };
            if app.files_mut().leave() {
                return match reading {
                    true => given_up,
                    false => {
                        given_up.extend(fetch_folder(app.files()));
                        given_up
                    }
                };
            }
            match app.screen {
                Screen::Images => app.images.files.begin(None),
                _ => focus(app, Focus::List),
            }
        }
        Action::CopyPath => {
            let root = match app.screen {
                Screen::Images | Screen::Containers => Some("/".to_owned()),
                _ => app.volumes.selected().map(|row| row.info.mountpoint.clone()),
            };
            let path = app.files().selected().map(|(_, path)| path);
            if let (Some(root), Some(path)) = (root, path) {
                let text = PathBuf::from(root).join(path).to_string_lossy().into_owned();
                return act::copied(app, text);
            }
        }
        _ => {}
    }
    Vec::new()
}

fn open(app: &mut App) -> Vec<Effect> {
    let pane = app.files_mut();
    let Some((entry, path)) = pane.selected() else { return Vec::new() };
    let gone = entry.change.is_some_and(|c| c.kind == wharf_model::ChangeKind::Deleted);
    match (entry.kind, &pane.of) {
        (FileKind::Folder, _) if gone => {
            app.tell("all of this folder is removed");
            Vec::new()
        }
        (FileKind::Folder, _) => {
            pane.enter(path);
            let fetch = fetch_folder(pane);
            let mut effects = match app.screen {
                Screen::Containers => give_up(app),
                _ => Vec::new(),
            };
            effects.extend(fetch);
            effects
        }
        // It leads into the image as a whole, not into this layer.
        (FileKind::Link, Some(FilesOf::Layer { .. })) => {
            app.tell("it is a link: what it leads to is found by its path");
            Vec::new()
        }
        // A link is followed as far as it stays in the volume, and only to a file.
        (FileKind::File | FileKind::Link, Some(of)) => {
            vec![Effect::FetchFile { of: of.clone(), path }]
        }
        (FileKind::Other, _) => {
            app.tell("it is neither a folder nor a file");
            Vec::new()
        }
        (_, None) => Vec::new(),
    }
}

/// Moves in the files.
pub(super) fn step(app: &mut App, by: isize, rows: usize) {
    if app.screen == Screen::Images && app.images.files.of.is_none() {
        let count = app.images.layers_of_selected().len();
        app.images.layer_at.step(by, count, rows);
        return;
    }
    let pane = app.files_mut();
    match &mut pane.open {
        Some(file) => file.scroll(by, rows),
        None => {
            let count = pane.list().len();
            pane.cursor.step(by, count, rows);
        }
    }
}
