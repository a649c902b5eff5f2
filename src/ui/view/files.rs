//! Files: those of a container with what it changed, of a volume, or of a layer with what it does to
//! those below.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use wharf_model::{ChangeKind, FileEntry, FileKind, MountKind};

use super::{Line, say};
use crate::app::files::{FilesOf, OpenFile, mode, shown};
use crate::app::{App, Focus};
use crate::format::{age, size};
use crate::theme::Role;

/// Draws a folder, or the file that is looked at.
pub(super) fn files(app: &App, buffer: &mut Buffer, area: Rect) {
    let pane = app.files();
    let root = match &pane.of {
        None => return,
        Some(FilesOf::Volume(_) | FilesOf::Container(_)) => String::new(),
        Some(FilesOf::Layer { layer, .. }) => format!("layer {}  ", layer + 1),
    };
    let dim = app.theme.style(Role::Dim);
    let head = Rect { height: 1, ..area };
    let body = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    if let Some(file) = &pane.open {
        return text(app, buffer, head, body, file);
    }
    let mut line = Line::new(app, buffer, head);
    line.skip(1).text(&format!("{root}/{}", shown(&pane.path)), dim);
    let list = match &pane.entries {
        None => return say(app, buffer, body, "looking into it", Role::Dim),
        Some(Err(why)) => return say(app, buffer, body, why, Role::Bad),
        Some(Ok(list)) if list.is_empty() => {
            let text = match pane.of {
                Some(FilesOf::Layer { .. }) => "the layer changes nothing here",
                _ => "nothing is in it",
            };
            return say(app, buffer, body, text, Role::Dim);
        }
        Some(Ok(list)) => list,
    };
    let in_layer = !matches!(pane.of, Some(FilesOf::Volume(_)));
    let count = list.len();
    line.skip(2).whole(&format!("{count} {}", if count == 1 { "entry" } else { "entries" }), dim);
    // What can't be had goes before what can be guessed.
    if let Some(why) = &pane.unknown {
        line.skip(2).text(why, app.theme.style(Role::Warn));
    }
    if in_layer {
        line.skip(2).whole("A added  C changed  D removed", dim);
    }
    if let (Some(layers), Some((entry, _))) = (pane.layers, pane.selected()) {
        let text = match entry.layer {
            Some(layer) => format!("from layer {} of {layers}", layer + 1),
            None => "the container's own".to_owned(),
        };
        line.skip(2).whole(&text, app.theme.style(Role::Info));
    }
    if pane.measuring.is_some() {
        line.skip(2).whole("measuring: z gives it up", app.theme.style(Role::Info));
    }
    for (y, at) in (body.y..body.bottom()).zip(pane.cursor.top..list.len()) {
        let Some(found) = list.get(at) else { continue };
        let place = Rect { y, height: 1, ..body };
        entry(app, buffer, place, found, in_layer);
        if at == pane.cursor.at && app.focus == Focus::Detail {
            buffer.set_style(place, app.theme.style(Role::Selected));
        }
    }
}

/// Returns docker's letter for what a layer does to a file.
fn change(entry: &FileEntry) -> (&'static str, Role) {
    match entry.change.map(|change| change.kind) {
        Some(ChangeKind::Added) => ("A", Role::Good),
        Some(ChangeKind::Modified) => ("C", Role::Warn),
        Some(ChangeKind::Deleted) => ("D", Role::Bad),
        None => (" ", Role::Dim),
    }
}

fn entry(app: &App, buffer: &mut Buffer, place: Rect, entry: &FileEntry, in_layer: bool) {
    let dim = app.theme.style(Role::Dim);
    let mut line = Line::new(app, buffer, place);
    line.skip(1);
    if in_layer {
        let (letter, role) = change(entry);
        line.cell(letter, 1, false, app.theme.style(role));
    }
    if place.width >= 50 {
        line.cell(&mode(entry), 10, false, dim);
        line.cell(&format!("{}:{}", entry.uid, entry.gid), 11, true, dim);
    }
    let measured = app.files().sizes.get(&entry.name);
    let bytes = match (entry.kind, measured) {
        (FileKind::File, _) => size(entry.size),
        (FileKind::Folder, Some(Ok(bytes))) => size(*bytes),
        (FileKind::Folder, Some(Err(_))) => "?".to_owned(),
        _ => String::new(),
    };
    line.cell(&bytes, 6, true, app.theme.style(Role::Text));
    if place.width >= 50 {
        let changed = entry.modified.map(|then| age(then, app.now)).unwrap_or_default();
        line.cell(&changed, 4, true, dim);
    }
    let (after, role) = match entry.kind {
        FileKind::Folder => ("/", Role::Key),
        FileKind::File => ("", Role::Text),
        FileKind::Link => ("", Role::Info),
        FileKind::Other => (" (device, socket or pipe)", Role::Dim),
    };
    line.text(&format!("{}{after}", shown(&entry.name)), app.theme.style(role));
    if let Some(change) = entry.change {
        let note = match (change.kind, change.before) {
            (ChangeKind::Deleted, _) => "  removed".to_owned(),
            (ChangeKind::Modified, Some(before)) if entry.kind == FileKind::File => {
                format!("  was {}", size(before))
            }
            _ => String::new(),
        };
        line.text(&note, dim);
    }
    if app.screen == crate::app::Screen::Containers
        && let Some(mount) = mounted(app, entry)
    {
        line.text(&format!("  {mount}"), app.theme.style(Role::Info));
    }
    if let Some(target) = &entry.target {
        line.text(&format!(" -> {}", shown(target)), dim);
    }
}

/// Returns what is mounted on an entry of the folder that is shown.
fn mounted(app: &App, entry: &FileEntry) -> Option<String> {
    let here = std::path::Path::new("/").join(&app.container_files.path).join(&entry.name);
    let mounts = &app.selected()?.summary.mounts;
    let mount = mounts.iter().find(|mount| std::path::Path::new(&mount.destination) == here)?;
    let kind = match mount.kind {
        MountKind::Volume => "volume",
        MountKind::Bind => "bind",
        MountKind::Tmpfs => "tmpfs",
    };
    let from = mount.name.as_deref().unwrap_or(&mount.source);
    Some(format!("{kind} {}", shown(from)))
}

fn text(app: &App, buffer: &mut Buffer, head: Rect, body: Rect, file: &OpenFile) {
    let dim = app.theme.style(Role::Dim);
    let mut line = Line::new(app, buffer, head);
    line.skip(1).text(&format!("/{}  {}", shown(&file.path), file.about), dim);
    let lines = match &file.lines {
        Err(why) => return say(app, buffer, body, why, Role::Bad),
        Ok(lines) if lines.is_empty() => return say(app, buffer, body, "it is empty", Role::Dim),
        Ok(lines) => lines,
    };
    let rows = usize::from(body.height);
    if lines.len() > rows {
        let last = (file.top + rows).min(lines.len());
        line.skip(2).whole(&format!("lines {}-{last} of {}", file.top + 1, lines.len()), dim);
    }
    for (y, text) in (body.y..body.bottom()).zip(lines.iter().skip(file.top)) {
        let mut line = Line::new(app, buffer, Rect { y, height: 1, ..body });
        line.skip(1).text(text, app.theme.style(Role::Text));
    }
}
