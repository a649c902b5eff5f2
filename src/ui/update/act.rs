//! Actions of the keymap, wherever they come from: a key, a menu, the palette, the mouse.

use crate::app::topology::Node;
use crate::app::{
    App, Choice, Column, Focus, ImageRow, Input, Item, LineEdit, LineFor, Menu, Overlay, Screen,
    Tab, VolumeColumn, Zoom,
};
use crate::keymap::Action;
use crate::layout::layout;
use crate::message::Effect;

use super::{
    arrange, charts, columns, commands, compare, custom, detail, dialog, edits, events, files,
    focus, groups, health, hosts, images, logs, networks, palette, show_screen, system, terminals,
    volumes,
};

/// Takes an action where it belongs.
pub(super) fn act(app: &mut App, action: Action) -> Vec<Effect> {
    if action == Action::Quit {
        return terminals::quit(app);
    }
    if app.line.is_some() {
        return dialog::act_line(app, action);
    }
    if !app.overlays.is_empty() {
        return dialog::act_overlay(app, action);
    }
    main(app, action)
}

/// Takes an action below all dialogs.
pub(super) fn main(app: &mut App, action: Action) -> Vec<Effect> {
    if let Err(reason) = app.can(action) {
        app.tell(reason);
        return Vec::new();
    }
    match action {
        Action::Quit => return terminals::quit(app),
        Action::Suspend => return vec![Effect::Suspend],
        Action::Redraw => return vec![Effect::Repaint],
        Action::Help => app.overlays.push(Overlay::Help { scroll: 0 }),
        Action::ShowErrors => app.overlays.push(Overlay::Errors { scroll: 0 }),
        Action::Palette => return palette::open(app),
        Action::Menu => menu(app),
        Action::Back => return back(app),
        Action::ToggleMouse => {
            app.mouse = !app.mouse;
            let whose = if app.mouse { "wharf's" } else { "the terminal's: it can select text" };
            app.tell(format!("the mouse is {whose}"));
            return vec![Effect::Mouse(app.mouse)];
        }
        Action::ScreenContainers => go_to_screen(app, Screen::Containers),
        Action::ScreenImages => go_to_screen(app, Screen::Images),
        Action::ScreenVolumes => go_to_screen(app, Screen::Volumes),
        Action::ScreenNetworks => go_to_screen(app, Screen::Networks),
        Action::ScreenEvents => go_to_screen(app, Screen::Events),
        Action::ScreenSystem => go_to_screen(app, Screen::System),
        Action::NextScreen => show_screen(app, app.screen.after(1)),
        Action::PreviousScreen => show_screen(app, app.screen.after(-1)),
        Action::ZoomIn => {
            app.zoom = if app.zoom == Zoom::List { Zoom::Split } else { Zoom::Detail };
            let to = if app.zoom == Zoom::Detail { Focus::Detail } else { app.focus };
            focus(app, to);
        }
        Action::ZoomOut => {
            app.zoom = if app.zoom == Zoom::Detail { Zoom::Split } else { Zoom::List };
            focus(app, Focus::List);
        }
        Action::TimeTravel
        | Action::JumpToTime
        | Action::CursorLeft
        | Action::CursorRight
        | Action::FarLeft
        | Action::FarRight
        | Action::Freeze
        | Action::ZoomChart
        | Action::NextChart
        | Action::PreviousChart => return charts::act(app, action),
        Action::HoldEvents | Action::ShowPrograms | Action::GoToObject => {
            return events::act(app, action);
        }
        Action::TravelBack => return charts::act(app, Action::FarLeft),
        Action::TravelOn => return charts::act(app, Action::FarRight),
        Action::LongerWindow => app.turn_window(1),
        Action::ShorterWindow => app.turn_window(-1),
        Action::NextPane => step_pane(app, 1),
        Action::PreviousPane => step_pane(app, -1),
        Action::MorePanes | Action::FewerPanes => change_panes(app, action),
        Action::NextTab => turn_tab(app, 1),
        Action::PreviousTab => turn_tab(app, -1),
        Action::ShowStats => show_tab(app, Tab::Stats),
        Action::ShowLogs => {
            app.logs.merged.clear();
            show_tab(app, Tab::Logs);
        }
        Action::MergeLogs => return logs::merge(app),
        Action::ShowInspect => show_tab(app, Tab::Inspect),
        Action::ShowTop => show_tab(app, Tab::Top),
        Action::ShowHealth => show_tab(app, Tab::Health),
        Action::ShowEvents => show_tab(app, Tab::Events),
        Action::ShowLayers => show_tab(app, Tab::Layers),
        Action::ShowUsers => show_tab(app, Tab::Users),
        Action::ShowFiles => show_tab(app, Tab::Files),
        Action::ShowDetails => show_tab(app, Tab::Details),
        Action::Down
        | Action::Up
        | Action::First
        | Action::Last
        | Action::HalfDown
        | Action::HalfUp
        | Action::PageDown
        | Action::PageUp => return travel(app, action),
        Action::Filter => {
            let before = app.filter().to_owned();
            let input = Input::new(before.clone());
            app.line = Some(LineEdit { input, before, purpose: LineFor::Filter });
        }
        Action::Search => search(app),
        Action::Mark => mark(app),
        Action::ShowAll => {
            app.containers.all = !app.containers.all;
            let which = if app.containers.all { "all containers" } else { "running containers" };
            app.tell(format!("showing {which}"));
            arrange(app);
        }
        Action::Sort | Action::ReverseSort => sort(app, action),
        Action::CopyName | Action::CopyId => return copy(app, action),
        Action::Start
        | Action::Stop
        | Action::Restart
        | Action::PauseResume
        | Action::Kill
        | Action::Remove
        | Action::Bulk => return commands::ask(app, action),
        Action::Rename | Action::Limits | Action::Undo => return edits::act(app, action),
        Action::ChooseHost | Action::HostOnOff | Action::UseHost => {
            return hosts::act(app, action);
        }
        Action::OpenShell
        | Action::OpenToolbox
        | Action::Attach
        | Action::ListShells
        | Action::ShellKeys
        | Action::LeaveShell
        | Action::ZoomShell
        | Action::ShellBack
        | Action::ShellForth
        | Action::NextShell
        | Action::PreviousShell
        | Action::NewShell
        | Action::EndShell => return terminals::act(app, action),
        Action::PruneKind => return system::prune(app),
        Action::Refresh => {
            app.system.listing.mark();
            app.system.usage = None;
            app.tell("measuring");
        }
        Action::Custom(number) => return custom::ask(app, number),
        Action::CopyCommand => {
            return app.last_line.clone().map_or_else(Vec::new, |line| copied(app, line));
        }
        Action::PullImage
        | Action::PushImage
        | Action::PruneImages
        | Action::SaveImage
        | Action::RunImage
        | Action::ShowTransfers
        | Action::TagImage
        | Action::RemoveImage => return images::act(app, action),
        Action::CreateVolume
        | Action::RemoveVolume
        | Action::PruneVolumes
        | Action::ExportVolume => volumes::act(app, action),
        Action::OpenEntry
        | Action::LeaveFolder
        | Action::CopyOut
        | Action::CopyIn
        | Action::Measure
        | Action::Reread => return files::act(app, action),
        Action::DiffTree => return compare::toggle(app),
        Action::CopyPath if app.tab() == Tab::Files => return files::act(app, action),
        Action::GoLeft
        | Action::GoRight
        | Action::Scale
        | Action::CreateNetwork
        | Action::RemoveNetwork
        | Action::PruneNetworks
        | Action::Connect
        | Action::Disconnect
        | Action::TryReach => return networks::act(app, action),
        Action::Fold | Action::FoldIn | Action::FoldOut | Action::FoldAll if app.folds_groups() => {
            groups::fold(app, action);
        }
        Action::GroupOrNot => {
            app.containers.grouped = !app.containers.grouped;
            let which = if app.containers.grouped { "by project" } else { "one by one" };
            app.tell(format!("containers {which}"));
            arrange(app);
        }
        Action::ChooseColumns => columns::open(app),
        Action::NextMatch
        | Action::PreviousMatch
        | Action::Fold
        | Action::FoldIn
        | Action::FoldOut
        | Action::FoldAll
        | Action::CopyValue
        | Action::CopyPath
        | Action::Secrets
        | Action::ReadValue
            if app.tab() == Tab::Inspect =>
        {
            return detail::act_inspect(app, action);
        }
        Action::NextMatch | Action::PreviousMatch | Action::OnlyMatching => {
            return logs::act(app, action);
        }
        action if action.is_of_logs() => return logs::act(app, action),
        _ => {}
    }
    Vec::new()
}

/// Shows a screen that was asked for by its key; on it already, its list gets the keys.
fn go_to_screen(app: &mut App, screen: Screen) {
    if app.screen != screen {
        return show_screen(app, screen);
    }
    if app.focus == Focus::List {
        app.tell("this is that screen");
    }
    focus(app, Focus::List);
}

/// Moves in whatever has the keys.
pub(super) fn travel(app: &mut App, action: Action) -> Vec<Effect> {
    let Some(layout) = layout(app) else { return Vec::new() };
    let on_list = app.focus == Focus::List || !moves(app);
    let rows = match (on_list, app.tab()) {
        (true, _) => layout.list_rows(),
        (false, Tab::Logs) => layout.log_room().1,
        (false, tab) => layout.rows_of(tab),
    };
    let by = match action {
        Action::Down => 1,
        Action::Up => -1,
        Action::HalfDown => isize::try_from(rows / 2).unwrap_or(1).max(1),
        Action::HalfUp => -isize::try_from(rows / 2).unwrap_or(1).max(1),
        Action::PageDown => isize::try_from(rows).unwrap_or(1),
        Action::PageUp => -isize::try_from(rows).unwrap_or(1),
        Action::First => isize::MIN,
        _ => isize::MAX,
    };
    if on_list {
        step_list(app, by);
        return Vec::new();
    }
    match app.tab() {
        Tab::Logs => return logs::travel(app, by),
        tab => detail::step(app, tab, by),
    }
    Vec::new()
}

/// Returns whether the tab with the keys has something to move in; else they move the list.
fn moves(app: &App) -> bool {
    match app.tab() {
        Tab::Stats | Tab::Shell => false,
        // What fits has nothing to move.
        Tab::Health => health::scrolls(app),
        Tab::Events => events::scrolls(app),
        _ => true,
    }
}

/// Moves the selection of the list.
pub(super) fn step_list(app: &mut App, by: isize) {
    let Some(layout) = layout(app) else { return };
    let rows = layout.list_rows();
    match app.screen {
        Screen::Containers => {
            app.containers.cursor.step(by, app.containers.entries.len(), rows);
            app.containers.take_selection();
        }
        Screen::Images => {
            app.images.cursor.step(by, app.images.shown.len(), rows);
            app.images.take_selection();
        }
        Screen::Volumes => {
            app.volumes.cursor.step(by, app.volumes.shown.len(), rows);
            app.volumes.take_selection();
        }
        Screen::Networks => networks::step(app, by),
        Screen::Events => events::step(app, by, rows),
        Screen::System => system::step(app, by, rows),
    }
}

fn back(app: &mut App) -> Vec<Effect> {
    if let Some(effects) = charts::back(app) {
        return effects;
    }
    if app.focus == Focus::Detail {
        let searching = match app.tab() {
            Tab::Logs => !app.logs.pattern.is_empty(),
            Tab::Inspect => !app.inspect.pattern.is_empty(),
            _ => false,
        };
        if searching && app.tab() == Tab::Logs {
            return logs::clear_search(app);
        }
        if app.tab() == Tab::Logs && app.logs.anchor.take().is_some() {
            return Vec::new();
        }
        if app.tab() == Tab::Logs && !app.logs.merged.is_empty() {
            app.logs.merged.clear();
            return Vec::new();
        }
        if searching {
            app.inspect.pattern.clear();
            return Vec::new();
        }
        if app.tab() == Tab::Inspect && app.inspect.diff.take().is_some() {
            return Vec::new();
        }
        if app.tab() == Tab::Shell {
            terminals::dismiss(app);
        }
        if app.tab() == Tab::Files && app.files_mut().open.take().is_some() {
            return Vec::new();
        }
        if app.tab() == Tab::Files && app.screen == Screen::Images && app.images.files.of.is_some()
        {
            app.images.files.begin(None);
            return Vec::new();
        }
        focus(app, Focus::List);
        return Vec::new();
    }
    if app.zoom == Zoom::List {
        app.zoom = Zoom::Split;
    } else if app.screen == Screen::Containers && app.containers.only.take().is_some() {
        app.tell("containers of all hosts");
    } else if !app.filter().is_empty() {
        app.set_filter(String::new());
    } else if app.marked() > 0 {
        match app.screen {
            Screen::Images => app.images.marked.clear(),
            _ => app.containers.marked.clear(),
        }
    } else {
        app.tell("this is the start: q quits");
    }
    arrange(app);
    Vec::new()
}

fn turn_tab(app: &mut App, by: isize) {
    let tabs = app.tabs();
    if seen_panes(app) > 1 {
        app.panes_mut().turn(tabs, by);
    } else {
        let at = tabs.iter().position(|t| *t == app.tab()).unwrap_or(0);
        let next = at.wrapping_add_signed(by).wrapping_add(tabs.len()) % tabs.len();
        app.set_tab(tabs.get(next).copied().unwrap_or(app.tab()));
    }
    if app.zoom == Zoom::List {
        app.zoom = Zoom::Split;
    }
    arrange(app);
}

/// Returns how many panes are on the screen.
fn seen_panes(app: &App) -> usize {
    layout(app).map_or(0, |l| l.panes.len())
}

/// Gives the keys to the next of the list and the panes.
fn step_pane(app: &mut App, by: isize) {
    let to = match app.focus {
        Focus::List => {
            app.panes_mut().enter(by < 0);
            Focus::Detail
        }
        Focus::Detail => match app.panes_mut().step(by) {
            true => Focus::Detail,
            false => Focus::List,
        },
    };
    if app.zoom != Zoom::Split {
        app.zoom = if to == Focus::List { Zoom::List } else { Zoom::Detail };
    }
    focus(app, to);
}

/// Adds a pane beside the one that has the keys, or takes that one away.
fn change_panes(app: &mut App, action: Action) {
    let tabs = app.tabs();
    if action == Action::FewerPanes {
        app.panes_mut().close();
    } else if !app.panes_mut().split(tabs) {
        return app.tell("there are panes enough");
    }
    if app.zoom != Zoom::Split {
        app.zoom = Zoom::Split;
    }
    let wanted = app.panes().tabs().len();
    arrange(app);
    if seen_panes(app) < wanted {
        app.tell(format!("{wanted} panes; a larger terminal shows more of them at once"));
    }
}

/// Shows a tab and gives it the keys; asked for again, it gives them back to the list.
pub(super) fn show_tab(app: &mut App, tab: Tab) {
    let again = app.tab() == tab && app.focus == Focus::Detail;
    if again && app.zoom == Zoom::Detail {
        // The list would get the keys out of sight.
        return app.tell("this is that tab: _ shows the list beside it");
    }
    app.set_tab(tab);
    if app.zoom == Zoom::List {
        app.zoom = Zoom::Split;
    }
    focus(app, if again { Focus::List } else { Focus::Detail });
}

fn search(app: &mut App) {
    let (purpose, before) = match app.tab() {
        Tab::Logs => (LineFor::LogSearch, app.logs.pattern.clone()),
        _ => (LineFor::TreeSearch, app.inspect.pattern.clone()),
    };
    app.line = Some(LineEdit { input: Input::new(before.clone()), before, purpose });
}

fn mark(app: &mut App) {
    if app.screen == Screen::Images {
        let Some(reference) = app.images.selected().map(ImageRow::reference) else { return };
        if !app.images.marked.remove(&reference) {
            app.images.marked.insert(reference);
        }
        return step_list(app, 1);
    }
    if groups::mark(app) {
        return step_list(app, 1);
    }
    let Some(id) = app.selected().map(|r| r.summary.id.clone()) else { return };
    if !app.containers.marked.remove(&id) {
        app.containers.marked.insert(id);
    }
    step_list(app, 1);
}

fn sort(app: &mut App, action: Action) {
    match (app.screen, action) {
        (Screen::Containers, Action::Sort) => {
            let at = Column::ALL.iter().position(|s| *s == app.containers.sort).unwrap_or(0);
            let next = Column::ALL.iter().cycle().skip(at + 1);
            let mut next = next.filter(|c| **c != Column::Host || app.hosts.several());
            app.containers.sort = next.next().copied().unwrap_or_default();
            app.containers.reversed = false;
            let by = app.containers.sort.title().to_lowercase();
            app.tell(format!("sorted by {by}"));
        }
        (Screen::Containers, _) => {
            app.containers.reversed = !app.containers.reversed;
            // The column may be one that isn't shown.
            let by = app.containers.sort.title().to_lowercase();
            let way = if app.containers.reversed { ", reversed" } else { "" };
            app.tell(format!("sorted by {by}{way}"));
        }
        (Screen::Images, Action::Sort) => {
            app.images.sort = app.images.sort.next();
            app.images.reversed = false;
            let by = app.images.sort.title();
            app.tell(format!("sorted by {by}"));
        }
        (Screen::Images, _) => app.images.reversed = !app.images.reversed,
        (Screen::Volumes, Action::Sort) => {
            app.volumes.sort = match app.volumes.sort {
                VolumeColumn::Name => VolumeColumn::Size,
                VolumeColumn::Size => VolumeColumn::Used,
                VolumeColumn::Used => VolumeColumn::Age,
                VolumeColumn::Age => VolumeColumn::Driver,
                VolumeColumn::Driver => VolumeColumn::Name,
            };
            app.volumes.reversed = false;
            let by = app.volumes.sort.title();
            app.tell(format!("sorted by {by}"));
        }
        (Screen::Volumes, _) => app.volumes.reversed = !app.volumes.reversed,
        (Screen::Networks | Screen::Events | Screen::System, _) => {}
    }
    arrange(app);
}

fn copy(app: &mut App, action: Action) -> Vec<Effect> {
    let text = match (app.screen, action) {
        (Screen::Containers, Action::CopyName) => match app.containers.group() {
            Some(group) => Some(group.name.clone()),
            None => app.selected().map(|r| r.summary.name.clone()),
        },
        (Screen::Containers, _) if app.containers.group().is_some() => {
            let group = app.containers.group().into_iter();
            let ids = group.flat_map(|group| app.containers.members(group));
            Some(ids.map(|row| row.summary.id.as_str()).collect::<Vec<_>>().join(" "))
        }
        (Screen::Containers, _) => app.selected().map(|r| r.summary.id.as_str().to_owned()),
        (Screen::Images, Action::CopyName) => app.images.selected().map(ImageRow::reference),
        (Screen::Images, _) => app.images.selected().map(|r| r.id.as_str().to_owned()),
        (Screen::Volumes, Action::CopyName) => app.volumes.selected().map(|r| r.info.name.clone()),
        (Screen::Volumes, _) => app.volumes.selected().map(|r| r.info.mountpoint.clone()),
        (Screen::Networks, action) => network_text(app, action),
        (Screen::Events, Action::CopyName) => app.events.selected().map(|e| e.name.clone()),
        (Screen::Events, _) => app.events.selected().map(|e| e.id.clone()),
        (Screen::System, _) => None,
    };
    match text {
        Some(text) => copied(app, text),
        None => Vec::new(),
    }
}

/// Returns what there is to copy of what is selected in the drawing: an attachment's name is its
/// address.
fn network_text(app: &App, action: Action) -> Option<String> {
    let topology = &app.networks.topology;
    match (app.networks.selected.as_ref()?, action) {
        (Node::Bus(key), Action::CopyName) => topology.bus(key).map(|(_, bus)| bus.name.clone()),
        (Node::Edge(id, key), Action::CopyName) => {
            topology.edge(id, key).map(|(_, _, edge)| edge.address.clone())
        }
        (Node::Station(id), Action::CopyName) => {
            topology.station(id).map(|(_, station)| station.name.clone())
        }
        (Node::Bus(key) | Node::Edge(_, key), _) => Some(key.clone()),
        (Node::Station(id), _) => Some(id.as_str().to_owned()),
    }
}

/// Puts a text on the clipboard and says so.
pub(super) fn copied(app: &mut App, text: String) -> Vec<Effect> {
    let first = text.lines().next().unwrap_or_default();
    app.tell(format!("copied {}", crate::text::fit(first, 50, app.theme.glyphs().ellipsis)));
    vec![Effect::Copy(text)]
}

/// Opens the menu of all that can be done with what is selected.
pub(super) fn menu(app: &mut App) {
    let contexts = app.main_contexts();
    let near = &contexts[..contexts.len().min(2)];
    let items: Vec<Item> = app
        .keymap
        .effective(near)
        .into_iter()
        .filter(|(b, _)| b.action.is_on_object() && app.can(b.action).is_ok())
        .filter(|(b, _)| !is_where_we_are(app, b.action) && !is_of_one(app, b.action))
        .map(|(b, keys)| Item {
            key: keys.first().map(|k| k.name()).unwrap_or_default(),
            text: words(app, b.action, &b.text),
            choice: Choice::Action(b.action),
        })
        .collect();
    match app.about() {
        Some(title) if !items.is_empty() => {
            app.overlays.push(Overlay::Menu(Menu { title, items, at: 0, lines: Vec::new() }));
        }
        _ => app.tell("nothing is selected"),
    }
}

/// Returns whether an action shows what single containers have, and a group is selected.
fn is_of_one(app: &App, action: Action) -> bool {
    let of_one = matches!(
        action,
        Action::ShowLogs
            | Action::ShowInspect
            | Action::ShowTop
            | Action::ShowHealth
            | Action::ShowFiles
    );
    of_one && app.screen == Screen::Containers && app.containers.group().is_some()
}

fn is_where_we_are(app: &App, action: Action) -> bool {
    app.focus == Focus::Detail && tab_of(action) == Some(app.tab())
}

/// Returns the tab that an action shows.
pub(super) fn tab_of(action: Action) -> Option<Tab> {
    Some(match action {
        Action::ShowStats => Tab::Stats,
        Action::ShowLogs => Tab::Logs,
        Action::ShowInspect => Tab::Inspect,
        Action::ShowTop => Tab::Top,
        Action::ShowHealth => Tab::Health,
        Action::ShowEvents => Tab::Events,
        Action::ShowLayers => Tab::Layers,
        Action::ShowUsers => Tab::Users,
        Action::ShowFiles => Tab::Files,
        Action::ShowDetails => Tab::Details,
        _ => return None,
    })
}

/// Returns what an action does to what is selected now.
pub(super) fn words(app: &App, action: Action, text: &str) -> String {
    let paused = app.selected().is_some_and(|r| r.summary.status == wharf_model::Status::Paused);
    let on_group = app.screen == Screen::Containers && app.containers.group().is_some();
    match action {
        Action::PauseResume if on_group => "pause or resume its containers".to_owned(),
        _ if on_group && text.contains("the container") => {
            text.replace("the container", "its containers")
        }
        Action::PauseResume if paused => "resume the container".to_owned(),
        Action::PauseResume => "pause the container".to_owned(),
        Action::HostOnOff if app.host_row_is_off() => "connect to it".to_owned(),
        Action::HostOnOff => "disconnect from it".to_owned(),
        Action::Bulk => format!("act on the {} marked", app.marked()),
        Action::MergeLogs if app.containers.group().is_some() && app.marked() < 2 => {
            "the logs of its containers as one, by time".to_owned()
        }
        _ => text.to_owned(),
    }
}
