//! Looking through files: the same for volumes and for layers of images.

use std::path::PathBuf;

use wharf_backend::Error;
use wharf_model::{FileEntry, FileHead, FileKind};

use crate::app::files::{FilePane, FilesOf};
use crate::app::{App, Focus, Redraw, Screen};
use crate::keymap::Action;
use crate::message::Effect;

use super::{act, focus, images, settle};

/// Returns the question for the folder that is shown.
pub(super) fn fetch_folder(pane: &FilePane) -> Option<Effect> {
    Some(Effect::FetchFiles { of: pane.of.clone()?, path: pane.path.clone() })
}

fn pane<'a>(app: &'a mut App, of: &FilesOf) -> &'a mut FilePane {
    match of {
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
        Action::LeaveFolder => {
            let reading = app.files().open.is_some();
            if app.files_mut().leave() {
                return match reading {
                    true => Vec::new(),
                    false => fetch_folder(app.files()).into_iter().collect(),
                };
            }
            match app.screen {
                Screen::Images => app.images.files.begin(None),
                _ => focus(app, Focus::List),
            }
        }
        Action::CopyPath => {
            let root = match app.screen {
                Screen::Images => Some("/".to_owned()),
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
    if pane.open.is_some() {
        app.tell("this is a file: h goes back");
        return Vec::new();
    }
    let Some((entry, path)) = pane.selected() else { return Vec::new() };
    let gone = entry.change.is_some_and(|c| c.kind == wharf_model::ChangeKind::Deleted);
    match (entry.kind, &pane.of) {
        (FileKind::Folder, _) if gone => {
            app.tell("the layer removes all of this folder");
            Vec::new()
        }
        (FileKind::Folder, _) => {
            pane.enter(path);
            fetch_folder(pane).into_iter().collect()
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
