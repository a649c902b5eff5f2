//! The image screen: what is asked of images, one or several.

use std::collections::BTreeSet;
use std::path::PathBuf;

use wharf_backend::Error;
use wharf_model::{
    Command, Digest, ErrorKind, Filters, ImageDetail, ImageName, ImageReference, ImageSummary,
    LayerChanges, LayerInfo, PullOptions, PushOptions,
};

use crate::app::files::FilesOf;
use crate::app::run_form::RunForm;
use crate::app::transfers::{Transfer, TransferKind};
use crate::app::{
    App, Choice, Confirm, Cursor, Focus, ImageRow, Item, Menu, Overlay, Pending, PromptFor, Redraw,
    Screen, Tab, Target,
};
use crate::format::size;
use crate::keymap::{Action, Context};
use crate::layout::layout;
use crate::message::{Effect, ScreenTag};
use crate::text::fit_middle;

use super::commands::with_line;
use super::volumes::prompt;
use super::{arrange, files, focus};

/// Returns what to ask for while the screen is shown: layers, which take their time, and what the
/// tab in sight needs.
pub(super) fn sync(app: &mut App, detail_seen: bool) -> Vec<Effect> {
    let mut effects = Vec::new();
    if app.screen != Screen::Images {
        return effects;
    }
    if app.images.loaded && app.images.layering.due() {
        effects.push(Effect::FetchImageLayers);
    }
    if !detail_seen || !matches!(app.tab(), Tab::Layers | Tab::Files) {
        return effects;
    }
    let wanted = app.images.selected().map(|row| row.id.clone());
    if wanted != app.images.history_of {
        app.images.history = None;
        app.images.history_of.clone_from(&wanted);
        effects.extend(wanted.clone().map(Effect::FetchHistory));
    }
    if app.tab() == Tab::Files {
        if app.images.files_of != wanted {
            app.images.files.begin(None);
            app.images.layer_at = Cursor::default();
            app.images.files_of = wanted;
        }
        effects.extend(sync_counts(app));
    }
    effects
}

/// Asks for the counts of the layers in sight, one after the other.
fn sync_counts(app: &mut App) -> Option<Effect> {
    if app.images.counting.is_some() || app.images.files.of.is_some() {
        return None;
    }
    let rows = layout(app)?.rows_of(Tab::Files);
    let id = app.images.files_of.clone()?;
    let top = app.images.layer_at.top;
    let layers = app.images.layers_of_selected();
    let unknown = |layer: &usize| !app.images.counts.contains_key(&(id.clone(), *layer));
    let layer = layers.iter().skip(top).take(rows).map(|row| row.index).find(unknown)?;
    app.images.counting = Some((id.clone(), layer));
    Some(Effect::FetchLayerChanges { image: id, layer })
}

/// Takes a list.
pub(super) fn take(app: &mut App, result: Result<Vec<ImageSummary>, Error>) -> Vec<Effect> {
    let again = app.image_listing.answered();
    let mut effects = Vec::new();
    match result {
        Ok(list) => {
            if app.images.replace(&list) {
                app.images.layering.mark();
                // Its names are part of the document.
                if let Some(tag @ ScreenTag::Image(_)) = &app.inspect.tag
                    && !app.inspect.waiting
                {
                    effects.push(Effect::FetchDocument(tag.clone()));
                    app.inspect.waiting = true;
                }
            }
            arrange(app);
        }
        Err(e) if e.kind == ErrorKind::Unavailable => {}
        Err(e) => app.fail("list images", e.message),
    }
    app.draw(Redraw::Now);
    effects.extend(again.then_some(Effect::FetchImages));
    effects
}

/// Takes the layers of all images. That they can't be told leaves shared sizes unknown.
pub(super) fn take_layers(app: &mut App, result: Result<Vec<(Digest, Vec<LayerInfo>)>, Error>) {
    app.images.layering.answered();
    if let Ok(list) = result {
        app.images.take_layers(list);
    }
    arrange(app);
    app.draw(Redraw::Now);
}

/// Takes what a layer does to those below.
pub(super) fn take_changes(
    app: &mut App,
    image: Digest,
    layer: usize,
    result: Result<LayerChanges, Error>,
) {
    app.images.counting = None;
    let result = result.map_err(|e| wharf_logs::sanitize_line(&e.message).into_owned());
    app.images.counts.insert((image, layer), result);
    app.draw(Redraw::Now);
}

/// Takes an action in the list of layers.
pub(super) fn act_layers(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::OpenEntry => {
            let layers = app.images.layers_of_selected();
            let (Some(row), Some(image)) =
                (layers.get(app.images.layer_at.at), app.images.files_of.clone())
            else {
                return Vec::new();
            };
            if let Some(Err(why)) = app.images.counts.get(&(image.clone(), row.index)) {
                let why = why.clone();
                app.tell(why);
                return Vec::new();
            }
            let of = FilesOf::Layer { image: image.as_str().to_owned(), layer: row.index };
            app.images.files.begin(Some(of));
            files::fetch_folder(&app.images.files).into_iter().collect()
        }
        Action::LeaveFolder => {
            focus(app, Focus::List);
            Vec::new()
        }
        _ => {
            app.tell("this is a layer: Enter opens it");
            Vec::new()
        }
    }
}

/// Takes an action of the screen.
pub(super) fn act(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::PullImage => prompt(app, "Pull which image?", "", PromptFor::PullImage),
        Action::PushImage => push_menu(app),
        Action::PruneImages => prune_menu(app),
        Action::RemoveImage => ask_to_remove(app),
        Action::SaveImage => ask_where(app, false),
        Action::ShowTransfers => show_transfers(app),
        Action::RunImage => return open_form(app),
        Action::TagImage => {
            if let Some(row) = app.images.selected() {
                let title = format!("One more name for {}", row.label());
                let name = row.name.clone().unwrap_or_default();
                let purpose = PromptFor::Tag { image: row.reference() };
                prompt(app, &title, &name, purpose);
            }
        }
        _ => {}
    }
    Vec::new()
}

/// Returns how much is freed in a sentence, as far as it is known.
fn bytes(count: Option<u64>) -> String {
    match count {
        None => "an unknown size".to_owned(),
        Some(0) => "nothing, other images have the same layers".to_owned(),
        Some(count) => size(count),
    }
}

fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Returns the command that takes a name from an image, and the image with its last.
fn removal(app: &App, row: &ImageRow) -> (Pending, Command) {
    let reference = row.reference();
    let what = format!("remove image {}", row.label());
    let on = Target::Image(reference.clone());
    // Containers that don't run keep what they need of it: the dialog says so.
    let force = row.is_last() && !app.image_users(&row.id).is_empty();
    let pending = Pending { on, doing: "removing", what, undoable: false };
    (pending, Command::RemoveImage { image: reference, force })
}

/// Returns what takes the names of all marked images, as far as that can be done now.
pub(super) fn removals(app: &App) -> Vec<Command> {
    able(app, Action::RemoveImage).into_iter().map(|row| removal(app, row).1).collect()
}

fn ask_to_remove(app: &mut App) {
    let Some(row) = app.images.selected() else { return };
    let mut body = Vec::new();
    if row.is_last() {
        body.extend(losses(app, &[row]));
    } else {
        body.push(format!("Lost: this name. The image stays as {}.", row.others.join(", ")));
        body.push("No disk space is freed.".to_owned());
    }
    let confirm = Confirm {
        title: format!("Remove image {}?", row.label()),
        body,
        verb: "Remove",
        commands: vec![removal(app, row)],
        ..Confirm::default()
    };
    app.overlays.push(Overlay::Confirm(confirm));
}

/// Returns what is lost with the last names of these images.
fn losses(app: &App, rows: &[&ImageRow]) -> Vec<String> {
    let ids: BTreeSet<&Digest> = rows.iter().map(|row| &row.id).collect();
    let users: Vec<&str> = ids
        .iter()
        .flat_map(|id| app.image_users(id))
        .map(|row| row.summary.name.as_str())
        .collect();
    let whose = if ids.len() == 1 { "the image" } else { "the images" };
    if !users.is_empty() {
        return vec![
            format!("Lost: {whose}; no new container can be made of what has no name."),
            format!("Made from it, and not running: {}.", users.join(", ")),
            "They keep their layers, and can be started: nothing is freed before they are removed."
                .to_owned(),
        ];
    }
    let mut body = Vec::new();
    match app.images.frees(&ids) {
        Some((freed, layers)) => {
            let own = plural(layers, "layer", "layers");
            let and = if layers == 0 {
                String::new()
            } else {
                format!(", and {own} that nothing else has")
            };
            body.push(format!("Lost for good: {whose}{and}."));
            body.push(format!("Freed: {}.", bytes(Some(freed))));
        }
        None => {
            body.push(format!("Lost for good: {whose}, and the layers that nothing else has."));
        }
    }
    let all: usize = ids.iter().filter_map(|id| app.images.layers.get(*id)).map(Vec::len).sum();
    let shared: u64 = rows.iter().filter_map(|row| app.images.shared(&row.id)).sum();
    if shared > 0 && ids.len() == 1 && all > 0 {
        body.push(format!("Kept: {} that other images have too.", size(shared)));
    }
    body
}

/// Returns the marked rows on which an action makes sense now.
fn able<'a>(app: &'a App, action: Action) -> Vec<&'a ImageRow> {
    let able = |row: &&'a ImageRow| app.can_on_image(row, action).is_ok();
    app.images.marked_rows().into_iter().filter(able).collect()
}

/// Opens the menu of what can be done with all marked images.
pub(super) fn bulk_menu(app: &mut App) {
    let marked = app.images.marked_rows();
    let mut items = Vec::new();
    for (action, verb) in
        [(Action::RemoveImage, "remove"), (Action::SaveImage, "save to one file:")]
    {
        let rows = able(app, action);
        if rows.is_empty() || app.options.read_only && action.changes() {
            continue;
        }
        let all = rows.len() == marked.len();
        let text = match rows.as_slice() {
            [row] => format!("{verb} {}", row.label()),
            _ if all => format!("{verb} all {}", rows.len()),
            _ => format!("{verb} {}: {}", rows.len(), names(&rows)),
        };
        let key = app.keymap.key_of(Context::Images, action);
        items.push(Item { key, text, choice: Choice::Bulk(action) });
    }
    if items.is_empty() {
        app.tell("nothing can be done with all that is marked now");
        return;
    }
    let title = format!("Marked: {}", names(&marked));
    app.overlays.push(Overlay::Menu(Menu { title, items, at: 0, lines: Vec::new() }));
}

fn names(rows: &[&ImageRow]) -> String {
    rows.iter().map(|row| row.label()).collect::<Vec<_>>().join(", ")
}

/// Does an action on all marked images, after asking.
pub(super) fn bulk(app: &mut App, action: Action) -> Vec<Effect> {
    if action == Action::SaveImage {
        ask_where(app, true);
        return Vec::new();
    }
    let rows = able(app, action);
    let marked = |name: &String| rows.iter().any(|row| row.name.as_ref() == Some(name));
    // An image goes when all of its names do.
    let goes = |row: &&&ImageRow| row.others.iter().all(marked);
    let gone: Vec<&ImageRow> = rows.iter().filter(goes).copied().collect();
    let mut body: Vec<String> = rows
        .iter()
        .map(|row| match goes(&row) {
            true => format!("  {}, {}", row.label(), size(row.size)),
            false => format!("  {}: only this name, the image stays", row.label()),
        })
        .collect();
    if !gone.is_empty() {
        body.extend(losses(app, &gone));
    }
    let confirm = Confirm {
        title: format!("Remove {}?", plural(rows.len(), "image", "images")),
        body,
        verb: "Remove",
        commands: rows.iter().map(|row| removal(app, row)).collect(),
        ..Confirm::default()
    };
    app.overlays.push(Overlay::Confirm(confirm));
    Vec::new()
}

fn prune_menu(app: &mut App) {
    let mut items = Vec::new();
    let counted = |all: bool| {
        let ids: BTreeSet<&Digest> = app.images.unused(all).iter().map(|row| &row.id).collect();
        (ids.len(), app.images.frees(&ids).map(|(freed, _)| freed))
    };
    let (dangling, all) = (counted(false), counted(true));
    let mut item = |text: &str, (count, freed): (usize, Option<u64>), all: bool| {
        let freed = match freed {
            Some(0) => "nothing".to_owned(),
            freed => bytes(freed),
        };
        let text = format!("{text}: {count}, frees {freed}");
        items.push(Item { key: String::new(), text, choice: Choice::PruneImages { all } });
    };
    if dangling.0 > 0 {
        item("those without a name", dangling, false);
    }
    if all.0 > dangling.0 {
        item("all that no container uses", all, true);
    }
    let title = "Remove unused images".to_owned();
    app.overlays.push(Overlay::Menu(Menu { title, items, at: 0, lines: Vec::new() }));
}

/// Asks before the images that nobody uses are removed.
pub(super) fn ask_to_prune(app: &mut App, all: bool) {
    let rows = app.images.unused(all);
    let ids: BTreeSet<&Digest> = rows.iter().map(|row| &row.id).collect();
    let freed = app.images.frees(&ids).map(|(freed, _)| freed);
    let mut body = vec![
        format!("Freed: {}.", bytes(freed)),
        "Lost for good, with all of their names:".to_owned(),
    ];
    body.extend(rows.iter().map(|row| {
        let mut names = vec![row.label()];
        names.extend(row.others.iter().cloned());
        format!("  {}, {}", names.join(", "), size(row.size))
    }));
    body.push("The engine takes what is unused when it is asked, be it more or less.".to_owned());
    let title = format!("Remove {}?", plural(rows.len(), "image", "images"));
    let on = Target::Image(String::new());
    let pending =
        Pending { on, doing: "pruning", what: "prune images".to_owned(), undoable: false };
    app.overlays.push(Overlay::Confirm(Confirm {
        title,
        body,
        verb: "Remove",
        commands: vec![(pending, Command::PruneImages { all, filters: Filters::default() })],
        ..Confirm::default()
    }));
}

/// Asks for the file to save to: the selected image, or all that are marked.
fn ask_where(app: &mut App, marked: bool) {
    let rows = match marked {
        true => able(app, Action::SaveImage),
        false => app.images.selected().into_iter().collect(),
    };
    let images: Vec<String> = rows.iter().map(|row| row.reference()).collect();
    let (what, file) = match rows.as_slice() {
        [] => return,
        [row] => {
            let name = row.name.clone().unwrap_or_else(|| row.id.short().to_owned());
            let last = name.rsplit('/').next().unwrap_or_default();
            (row.label(), last.replace(':', "-"))
        }
        rows => (plural(rows.len(), "image", "images"), "images".to_owned()),
    };
    let ids: BTreeSet<&Digest> = rows.iter().map(|row| &row.id).collect();
    let total = ids.iter().filter_map(|id| rows.iter().find(|row| row.id == **id));
    let bytes = total.map(|row| row.size).sum();
    let short = fit_middle(&what, 28, app.theme.glyphs().ellipsis).into_owned();
    let title = format!("Save {short} to which file?");
    let purpose = PromptFor::SaveImages { images, what, bytes };
    prompt(app, &title, &format!("{file}.tar"), purpose);
}

/// Saves images to a file.
pub(super) fn save(
    app: &mut App,
    images: Vec<String>,
    what: String,
    bytes: u64,
    path: &str,
) -> Vec<Effect> {
    let operation = app.number();
    let mut transfer = Transfer::new(operation, TransferKind::Save, what);
    transfer.note = format!("to {}", wharf_logs::sanitize_line(path));
    transfer.size = Some(bytes);
    begin(app, transfer);
    vec![Effect::SaveImages { operation, images, path: PathBuf::from(path) }]
}

fn begin(app: &mut App, transfer: Transfer) {
    let operation = transfer.operation;
    app.transfers.push(transfer);
    app.overlays.push(Overlay::Transfer { operation, scroll: 0 });
}

/// Begins a pull, or says what is wrong with the name.
pub(super) fn pull(app: &mut App, text: &str) -> Result<Vec<Effect>, String> {
    let reference: ImageReference = text.parse().map_err(|e| format!("{e}"))?;
    let what = reference.to_string();
    let busy = |t: &Transfer| t.kind == TransferKind::Pull && t.what == what && t.end.is_none();
    if app.transfers.iter().any(busy) {
        return Err(format!("{what} is being pulled already"));
    }
    let operation = app.number();
    app.overlays.pop();
    begin(app, Transfer::new(operation, TransferKind::Pull, what));
    Ok(vec![Effect::Pull { operation, options: PullOptions::new(reference) }])
}

fn push_menu(app: &mut App) {
    let Some(name) = app.images.selected().and_then(|row| row.name.clone()) else { return };
    let Ok(parsed) = name.parse::<ImageName>() else { return };
    let title = format!("Push {name}?");
    let text = format!("send it to {}", parsed.domain());
    let choice = Choice::Push { name };
    let items = vec![Item { key: String::new(), text, choice }];
    app.overlays.push(Overlay::Menu(Menu { title, items, at: 0, lines: Vec::new() }));
}

/// Begins a push.
pub(super) fn push(app: &mut App, name: &str) -> Vec<Effect> {
    let Ok(parsed) = name.parse::<ImageName>() else { return Vec::new() };
    let operation = app.number();
    begin(app, Transfer::new(operation, TransferKind::Push, name.to_owned()));
    let tag = Some(parsed.tag().to_owned());
    let options = PushOptions { repository: parsed.repository().clone(), tag, platform: None };
    vec![Effect::Push { operation, options }]
}

fn show_transfers(app: &mut App) {
    match app.transfers.as_slice() {
        [] => {}
        [transfer] => {
            let operation = transfer.operation;
            app.overlays.push(Overlay::Transfer { operation, scroll: 0 });
        }
        several => {
            let item = |transfer: &Transfer| Item {
                key: String::new(),
                text: transfer.summary(),
                choice: Choice::Transfer(transfer.operation),
            };
            let items = several.iter().map(item).collect();
            let title = "On their way".to_owned();
            app.overlays.push(Overlay::Menu(Menu { title, items, at: 0, lines: Vec::new() }));
        }
    }
}

/// Takes a step of a pull or a push.
pub(super) fn moved(app: &mut App, operation: u64, event: wharf_model::TransferEvent) {
    if let Some(transfer) = app.transfers.iter_mut().find(|t| t.operation == operation) {
        transfer.take(event);
        app.draw(Redraw::Lively);
    }
}

/// Takes how far a save is.
pub(super) fn saving(app: &mut App, operation: u64, bytes: u64) {
    if let Some(transfer) = app.transfers.iter_mut().find(|t| t.operation == operation) {
        transfer.bytes = bytes;
        app.draw(Redraw::Lively);
    }
}

/// Takes the end of a transfer: bytes written, of a save.
pub(super) fn ended(
    app: &mut App,
    operation: u64,
    result: Result<Option<u64>, Error>,
) -> Vec<Effect> {
    let Some(at) = app.transfers.iter().position(|t| t.operation == operation) else {
        return Vec::new();
    };
    let line = app.lines.remove(&operation).unwrap_or_default();
    let watched = |overlay: &Overlay| matches!(overlay, Overlay::Transfer { operation: of, .. } if *of == operation);
    let transfer = &mut app.transfers[at];
    let what = format!("{} {}", transfer.kind.verb(), transfer.what);
    let pulled = transfer.kind == TransferKind::Pull;
    match result {
        Ok(written) => {
            let text = match (transfer.kind, written) {
                (TransferKind::Save, Some(bytes)) => {
                    format!("saved {}, {} {}", transfer.what, size(bytes), transfer.note)
                }
                (TransferKind::Push, _) => format!("pushed {}", transfer.what),
                _ if transfer.note.is_empty() => format!("pulled {}", transfer.what),
                _ => transfer.note.clone(),
            };
            transfer.end = Some(Ok(text.clone()));
            app.tell(with_line(text, &line));
        }
        Err(error) => {
            let text = wharf_logs::sanitize_line(&error.message).into_owned();
            transfer.end = Some(Err(text.clone()));
            app.fail(what, text);
        }
    }
    // One that is looked at stays until that ends.
    if !app.overlays.iter().any(watched) {
        app.transfers.remove(at);
    }
    app.draw(Redraw::Now);
    // The engine's event says the same, where it can be heard.
    let fetch = pulled && app.image_listing.want();
    fetch.then_some(Effect::FetchImages).into_iter().collect()
}

/// Takes an action while a transfer is looked at.
pub(super) fn act_transfer(app: &mut App, action: Action, limit: usize) -> Vec<Effect> {
    let Some(Overlay::Transfer { operation, scroll }) = app.overlays.last_mut() else {
        return Vec::new();
    };
    let operation = *operation;
    match action {
        Action::Down => *scroll = (*scroll + 1).min(limit),
        Action::Up => *scroll = scroll.saturating_sub(1),
        Action::CancelTransfer => {
            let at = app.transfers.iter().position(|t| t.operation == operation);
            app.overlays.pop();
            let Some(transfer) = at.map(|at| app.transfers.remove(at)) else { return Vec::new() };
            if transfer.end.is_none() {
                app.lines.remove(&operation);
                app.tell(format!("gave up {} {}", transfer.kind.doing(), transfer.what));
                return vec![Effect::Abort(operation)];
            }
        }
        _ => close_transfer(app),
    }
    Vec::new()
}

/// Closes the look at a transfer, which goes on; one that has ended is forgotten.
pub(super) fn close_transfer(app: &mut App) {
    if let Some(Overlay::Transfer { operation, .. }) = app.overlays.pop() {
        app.transfers.retain(|t| t.operation != operation || t.end.is_none());
        if let Some(transfer) = app.transfers.iter().find(|t| t.operation == operation) {
            let text = format!("{} goes on: w shows it", transfer.summary());
            app.tell(text);
        }
    }
}

fn open_form(app: &mut App) -> Vec<Effect> {
    let Some(row) = app.images.selected() else { return Vec::new() };
    let image = row.name.clone().unwrap_or_else(|| row.id.short().to_owned());
    let id = row.id.as_str().to_owned();
    let form = RunForm::new(row.label(), image);
    app.overlays.push(Overlay::Run(Box::new(form)));
    give_networks(app);
    let mut effects = vec![Effect::FetchImage(id)];
    effects.extend(app.networks.listing.due().then_some(Effect::FetchNetworks));
    effects
}

/// Gives the form that is open the networks to choose from.
pub(super) fn give_networks(app: &mut App) {
    let names: Vec<String> = app.networks.names();
    if let Some(Overlay::Run(form)) = app.overlays.last_mut() {
        form.take_networks(names.iter().map(String::as_str));
    }
}

/// Takes what the form's image says.
pub(super) fn take_detail(app: &mut App, result: Result<Box<ImageDetail>, Error>) {
    if let Some(Overlay::Run(form)) = app.overlays.last_mut() {
        match result {
            Ok(detail) => form.config = Some(detail.config),
            Err(error) => form.error = Some(wharf_logs::sanitize_line(&error.message).into_owned()),
        }
        app.draw(Redraw::Now);
    }
}

/// Takes an action in the form.
pub(super) fn act_form(app: &mut App, action: Action) -> Vec<Effect> {
    let program = app.program(app.hosts.current).to_vec();
    let Some(Overlay::Run(form)) = app.overlays.last_mut() else { return Vec::new() };
    match action {
        Action::NextChoice => form.step(1),
        Action::PreviousChoice => form.step(-1),
        Action::CopyCommand => match form.command(&program) {
            Ok(words) => return super::act::copied(app, words.join(" ")),
            Err(why) => form.error = Some(why),
        },
        Action::Accept if form.starting.is_none() => match form.words() {
            Err(why) => form.error = Some(why),
            Ok(words) => {
                form.error = None;
                app.next_number += 1;
                let operation = app.next_number;
                form.starting = Some(operation);
                return vec![Effect::Run { operation, words }];
            }
        },
        _ => {}
    }
    Vec::new()
}

/// Takes the end of a start: the container's name and the engine's warnings.
pub(super) fn ran(
    app: &mut App,
    operation: u64,
    result: Result<(String, Vec<String>), Error>,
) -> Vec<Effect> {
    let line = app.lines.remove(&operation).unwrap_or_default();
    let waits = |overlay: &Overlay| matches!(overlay, Overlay::Run(form) if form.starting == Some(operation));
    let at = app.overlays.iter().position(waits);
    match (result, at) {
        (Ok((name, warnings)), at) => {
            if let Some(at) = at {
                app.overlays.remove(at);
            }
            let name = wharf_logs::sanitize_line(&name).into_owned();
            let text = match warnings.first() {
                Some(warning) => {
                    format!("{name} runs, but {}", wharf_logs::sanitize_line(warning))
                }
                None => format!("{name} runs: 1 shows it"),
            };
            app.tell(with_line(text, &line));
        }
        (Err(error), Some(at)) => {
            if let Some(Overlay::Run(form)) = app.overlays.get_mut(at) {
                form.starting = None;
                form.error = Some(wharf_logs::sanitize_line(&error.message).into_owned());
            }
        }
        // It was closed meanwhile.
        (Err(error), None) => app.fail("run a container", error.message),
    }
    app.draw(Redraw::Now);
    super::hosts::list(app, app.hosts.current).into_iter().collect()
}
