//! The mouse: a click selects or presses what is under it, the wheel scrolls it.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use crate::app::{App, Focus, Overlay, Redraw, Screen, Tab};
use crate::keymap::Action;
use crate::layout::{Layout, layout, screen_at, tab_at};
use crate::message::Effect;
use crate::view::Hit;

use super::{
    act, chart_mouse, columns, detail, dialog, files, focus, groups, images, logs, networks,
    show_screen, terminals,
};

/// Rows a turn of the wheel scrolls.
const WHEEL: isize = 3;

/// Takes what the mouse did.
pub(super) fn mouse(app: &mut App, event: MouseEvent) -> Vec<Effect> {
    let at = Position::new(event.column, event.row);
    if let Some(effects) = terminal(app, event, at) {
        app.draw(Redraw::Quick);
        return effects;
    }
    let effects = match event.kind {
        MouseEventKind::ScrollDown => wheel(app, at, WHEEL),
        MouseEventKind::ScrollUp => wheel(app, at, -WHEEL),
        MouseEventKind::Down(MouseButton::Left) => click(app, at, false),
        MouseEventKind::Down(MouseButton::Right) => click(app, at, true),
        MouseEventKind::Drag(MouseButton::Left) => drag(app, at),
        MouseEventKind::Up(MouseButton::Left) if app.charts.drawn.is_some() => {
            chart_mouse::release(app);
            Vec::new()
        }
        // Moves and other releases mean nothing here.
        _ => return Vec::new(),
    };
    app.draw(Redraw::Now);
    effects
}

/// Gives what happens in a terminal's pane to the terminal, as far as it is that one's affair.
fn terminal(app: &mut App, event: MouseEvent, at: Position) -> Option<Vec<Effect>> {
    let layout = layout(app).filter(|_| app.overlays.is_empty() && app.line.is_none())?;
    let pane = layout.pane(Tab::Shell).filter(|pane| pane.contains(at))?;
    terminals::mouse(app, event, pane)
}

fn wheel(app: &mut App, at: Position, by: isize) -> Vec<Effect> {
    if !app.overlays.is_empty() {
        let action = if by > 0 { Action::Down } else { Action::Up };
        let choice = if by > 0 { Action::NextChoice } else { Action::PreviousChoice };
        let action = match app.overlays.last() {
            Some(Overlay::Menu(_) | Overlay::Palette(_) | Overlay::Run(_)) => choice,
            Some(Overlay::Columns(_)) => choice,
            _ => action,
        };
        return dialog::act_overlay(app, action);
    }
    let Some(layout) = layout(app) else { return Vec::new() };
    if layout.list.contains(at) || layout.head.contains(at) {
        act::step_list(app, by);
    } else if let Some(pane) = layout.panes.iter().find(|pane| pane.body.contains(at)) {
        match pane.tab {
            Tab::Logs => return logs::travel(app, by),
            Tab::Stats => app.turn_window(by.signum()),
            tab => detail::step(app, tab, by),
        }
    }
    Vec::new()
}

/// Draws the log's histogram along, or over a time of the charts; nothing else moves with the mouse.
fn drag(app: &mut App, at: Position) -> Vec<Effect> {
    if app.overlays.is_empty() && chart_mouse::draw(app, at) {
        return Vec::new();
    }
    let Some(layout) = layout(app).filter(|_| app.overlays.is_empty()) else { return Vec::new() };
    let bars = layout.log_bars();
    if app.tab() == Tab::Logs && app.screen == Screen::Containers && bars.contains(at) {
        return logs::scrub(app, usize::from(at.x - bars.x), usize::from(bars.width));
    }
    Vec::new()
}

fn click(app: &mut App, at: Position, menu: bool) -> Vec<Effect> {
    if !app.overlays.is_empty() {
        return click_overlay(app, at);
    }
    let Some(layout) = layout(app) else { return Vec::new() };
    if layout.header.contains(at) {
        let on = |n: &usize| screen_at(app, layout.header, *n).is_some_and(|r| r.contains(at));
        if let Some(screen) = (0..Screen::ALL.len()).find(on).and_then(|n| Screen::ALL.get(n)) {
            show_screen(app, *screen);
        }
    } else if layout.tabs.contains(at) {
        let on = |n: &usize| tab_at(app, layout.tabs, *n).is_some_and(|r| r.contains(at));
        let tab = (0..app.tabs().len()).find(on).and_then(|n| app.tabs().get(n));
        if let Some(tab) = tab.copied() {
            app.set_tab(tab);
            focus(app, Focus::Detail);
        }
    } else if layout.head.contains(at) && app.screen == Screen::Containers {
        if let Some(column) = crate::view::column_at(app, layout.head, at.x) {
            columns::sort_by(app, column);
        }
    } else if layout.list.contains(at) {
        click_list(app, &layout, at);
        if menu {
            return act::main(app, Action::Menu);
        }
    } else if let Some(pane) = layout.panes.iter().find(|pane| pane.head.contains(at)) {
        app.set_tab(pane.tab);
        focus(app, Focus::Detail);
    } else if let Some(pane) = layout.panes.iter().find(|pane| pane.body.contains(at)) {
        // As it was drawn, which the focus changes.
        let step = crate::view::step_at(app, pane.body, at.y);
        app.set_tab(pane.tab);
        focus(app, Focus::Detail);
        return click_detail(app, pane.body, at, step);
    }
    Vec::new()
}

fn click_list(app: &mut App, layout: &Layout, at: Position) {
    let row = usize::from(at.y - layout.list.y);
    match app.screen {
        Screen::Containers => {
            let wanted = app.containers.cursor.top + row;
            if wanted < app.containers.entries.len() {
                let again = app.containers.cursor.at == wanted && app.focus == Focus::List;
                let folds = again || crate::view::is_group_mark(app, layout.head, at.x);
                app.containers.cursor.at = wanted;
                app.containers.take_selection();
                if folds && app.containers.group().is_some() {
                    groups::fold(app, Action::Fold);
                }
            }
        }
        Screen::Images => {
            let wanted = app.images.cursor.top + row;
            if wanted < app.images.shown.len() {
                app.images.cursor.at = wanted;
                app.images.take_selection();
            }
        }
        Screen::Volumes => {
            let wanted = app.volumes.cursor.top + row;
            if wanted < app.volumes.shown.len() {
                app.volumes.cursor.at = wanted;
                app.volumes.take_selection();
            }
        }
        Screen::Networks => {
            if let Some(node) = crate::view::node_at(app, layout.list, at) {
                networks::select(app, node);
            }
        }
        Screen::Events => {
            let wanted = app.events.cursor.top + row;
            if wanted < app.events.shown.len() {
                app.events.cursor.at = wanted;
            }
        }
        Screen::System => {
            if let Some(place) = crate::view::place_at(app, layout.list, row) {
                app.system.cursor.at = place;
            }
        }
    }
    focus(app, Focus::List);
}

fn click_detail(app: &mut App, area: Rect, at: Position, step: Option<usize>) -> Vec<Effect> {
    if app.tab() == Tab::Logs {
        let Some(bars) = layout(app).map(|l| l.log_bars()) else { return Vec::new() };
        if bars.contains(at) {
            return logs::scrub(app, usize::from(at.x - bars.x), usize::from(bars.width));
        }
        let first = area.y + 1 + bars.height;
        return at.y.checked_sub(first).map_or_else(Vec::new, |row| logs::click(app, row.into()));
    }
    if app.tab() == Tab::Stats {
        chart_mouse::click(app, at);
        return Vec::new();
    }
    // The first row is a heading.
    let Some(row) = usize::from(at.y - area.y).checked_sub(1) else { return Vec::new() };
    match app.tab() {
        Tab::Inspect => {
            let wanted = app.inspect.cursor.top + row;
            let again = wanted == app.inspect.cursor.at;
            let folds = again || crate::view::is_fold_mark(app, area, wanted, at.x);
            if wanted < app.inspect.len() {
                app.inspect.cursor.at = wanted;
                if folds {
                    detail::act_inspect(app, Action::Fold);
                }
            }
        }
        Tab::Top => {
            let wanted = app.top.cursor.top + row;
            if wanted < detail::processes(app) {
                app.top.cursor.at = wanted;
            }
        }
        Tab::Layers => {
            if let Some(step) = step {
                app.images.layer.at = step;
            }
        }
        Tab::Users if app.screen == Screen::Images => {
            let wanted = app.images.user.top + row;
            if app.images.selected().is_some_and(|r| wanted < app.image_users(&r.id).len()) {
                app.images.user.at = wanted;
            }
        }
        Tab::Files if app.screen == Screen::Images && app.images.files.of.is_none() => {
            let wanted = app.images.layer_at.top + row;
            let again = wanted == app.images.layer_at.at;
            if wanted < app.images.layers_of_selected().len() {
                app.images.layer_at.at = wanted;
                if again {
                    return files::act(app, Action::OpenEntry);
                }
            }
        }
        Tab::Users => {
            let wanted = app.volumes.user.top + row;
            if app.volumes.selected().is_some_and(|r| wanted < r.info.users.len()) {
                app.volumes.user.at = wanted;
            }
        }
        Tab::Files => {
            let pane = app.files_mut();
            let wanted = pane.cursor.top + row;
            let again = wanted == pane.cursor.at;
            if pane.open.is_none() && wanted < pane.list().len() {
                pane.cursor.at = wanted;
                if again {
                    return files::act(app, Action::OpenEntry);
                }
            }
        }
        Tab::Stats | Tab::Logs | Tab::Health | Tab::Events | Tab::Details | Tab::Shell => {}
    }
    Vec::new()
}

fn click_overlay(app: &mut App, at: Position) -> Vec<Effect> {
    match crate::view::hit_overlay(app, at) {
        Hit::Outside if matches!(app.overlays.last(), Some(Overlay::Transfer { .. })) => {
            images::close_transfer(app);
            Vec::new()
        }
        // What was typed isn't lost by a slip.
        Hit::Outside if matches!(app.overlays.last(), Some(Overlay::Run(_))) => Vec::new(),
        Hit::Outside => {
            app.overlays.pop();
            Vec::new()
        }
        Hit::Inside => Vec::new(),
        Hit::Item(n) => match app.overlays.last_mut() {
            Some(Overlay::Menu(menu)) => {
                menu.at = n;
                dialog::choose(app)
            }
            Some(Overlay::Run(form)) => {
                let again = form.at == n;
                form.at = n;
                if again {
                    form.turn(1);
                }
                Vec::new()
            }
            Some(Overlay::Columns(choice)) => {
                choice.at = n;
                choice.toggle();
                Vec::new()
            }
            Some(Overlay::Palette(palette)) => {
                palette.at = n;
                dialog::act_overlay(app, Action::Accept)
            }
            _ => Vec::new(),
        },
        Hit::Yes => dialog::consent(app),
        Hit::Cancel => {
            app.overlays.pop();
            Vec::new()
        }
    }
}
