//! The command lines that do the same: those of dialogs and menus as they open, and those of what is done.

use wharf_model::{Command, EndpointOptions, Filters};

use crate::app::{App, Choice, Notice, Overlay, Row, Screen, deed};
use crate::keymap::Action;
use crate::message::Effect;

use super::commands::{able, command, with_line};
use super::images;

/// Remembers the command lines of what is done, and shows them; `told` is what was told before.
pub(super) fn remember(app: &mut App, effects: &[Effect], told: Option<&Notice>) {
    let mut commands: Vec<Command> = Vec::new();
    let mut others: Vec<String> = Vec::new();
    for effect in effects {
        let Some(deed) = deed(app, effect) else { continue };
        match effect {
            Effect::Execute { command, .. } if !deed.line.is_empty() => {
                commands.push(command.clone());
            }
            _ => others.extend(Some(deed.line.clone()).filter(|line| !line.is_empty())),
        }
        // What a program in a pane is told by is the pane.
        if !matches!(effect, Effect::OpenTerminal { .. })
            && let Some(operation) = effect.operation()
        {
            app.lines.insert(operation, deed.line);
        }
    }
    // Those that differ in their object alone are one.
    let mut lines = crate::app::command_lines(app, commands.iter());
    lines.extend(others);
    if lines.is_empty() {
        return;
    }
    let line = lines.join("; ");
    match &mut app.notice {
        Some(notice) if notice.is_error => {}
        // A dialog's keys stand there, and it shows the line by itself.
        _ if !app.overlays.is_empty() => {}
        Some(notice) if Some(&*notice) != told => {
            notice.text = with_line(std::mem::take(&mut notice.text), &line);
        }
        _ => app.tell(format!("$ {line}")),
    }
    app.last_line = Some(line);
}

/// Fills in the command lines of the topmost dialog, as it opens.
pub(super) fn show(app: &mut App) {
    let lines = match app.overlays.last() {
        Some(Overlay::Confirm(confirm)) if confirm.lines.is_empty() => match &confirm.custom {
            Some((_, line)) => vec![wharf_logs::sanitize_line(line).into_owned()],
            None => crate::app::command_lines(app, confirm.commands.iter().map(|(_, c)| c)),
        },
        Some(Overlay::Menu(menu)) if menu.lines.is_empty() => {
            menu.items.iter().map(|item| line_of(app, &item.choice)).collect()
        }
        _ => return,
    };
    match app.overlays.last_mut() {
        Some(Overlay::Confirm(confirm)) => confirm.lines = lines,
        Some(Overlay::Menu(menu)) => menu.lines = lines,
        _ => {}
    }
}

/// Returns the command line of what can be chosen; empty for what has none.
fn line_of(app: &App, choice: &Choice) -> String {
    let commands: Vec<Command> = match choice {
        Choice::Signal(signal) => app
            .selected()
            .map(|row| Command::Kill {
                container: row.summary.id.as_str().to_owned(),
                signal: Some((*signal).to_owned()),
            })
            .into_iter()
            .collect(),
        Choice::Bulk(action) if app.screen == Screen::Containers => {
            let rows = able(app, app.containers.marked_rows().into_iter(), *action);
            rows.into_iter().filter_map(|row| Some(command(app, row, *action)?.1)).collect()
        }
        Choice::Bulk(Action::RemoveImage) => images::removals(app),
        Choice::Connect { container, network } => {
            let endpoint =
                EndpointOptions { network: network.clone(), ..EndpointOptions::default() };
            let container = container.as_str().to_owned();
            vec![Command::Connect { container, endpoint: Box::new(endpoint) }]
        }
        Choice::Disconnect { container, network } => vec![Command::Disconnect {
            container: container.as_str().to_owned(),
            network: network.clone(),
            force: false,
        }],
        Choice::PruneImages { all } => {
            vec![Command::PruneImages { all: *all, filters: Filters::default() }]
        }
        Choice::PruneVolumes { all } => {
            vec![Command::PruneVolumes { all: *all, filters: Filters::default() }]
        }
        Choice::Push { name } => return crate::app::line_here(app, &["push", name]),
        Choice::Action(action) => return line_of_action(app, *action),
        _ => return String::new(),
    };
    crate::app::command_lines(app, commands.iter()).join("; ")
}

/// Returns the command line of an action on what is selected: of one that asks for more, none.
fn line_of_action(app: &App, action: Action) -> String {
    if app.screen == Screen::Containers {
        let group = app.containers.group();
        let rows: Vec<&Row> = match (app.selected(), group) {
            (Some(row), _) => vec![row],
            (None, Some(group)) => able(app, app.containers.members(group), action),
            (None, None) => Vec::new(),
        };
        let commands: Vec<Command> =
            rows.iter().filter_map(|row| Some(command(app, row, action)?.1)).collect();
        if !commands.is_empty() {
            return crate::app::command_lines(app, commands.iter()).join("; ");
        }
    }
    crate::app::line_of_look(app, action).unwrap_or_default()
}
