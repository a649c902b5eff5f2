//! The choice of columns.

use crate::app::{App, Column, ColumnChoice, Overlay};
use crate::keymap::Action;
use crate::message::Effect;

use super::arrange;

/// Opens the choice.
pub(super) fn open(app: &mut App) {
    let choice = ColumnChoice::new(app.columns.as_deref(), app.hosts.several());
    app.overlays.push(Overlay::Columns(choice));
}

/// Takes an action in it.
pub(super) fn act(app: &mut App, action: Action) -> Vec<Effect> {
    let Some(Overlay::Columns(choice)) = app.overlays.last_mut() else { return Vec::new() };
    match action {
        Action::NextChoice => choice.step(1, false),
        Action::PreviousChoice => choice.step(-1, false),
        Action::MoveDown => choice.step(1, true),
        Action::MoveUp => choice.step(-1, true),
        Action::Toggle => {
            let name = choice.list.get(choice.at).map(|(column, _)| *column);
            choice.toggle();
            if name == Some(Column::Name) {
                app.tell("the name stays: without it the list says nothing");
            }
        }
        Action::Sort => {
            if let Some((column, _)) = choice.list.get(choice.at).copied() {
                sort_by(app, column);
            }
        }
        Action::Accept => {
            app.columns = choice.chosen();
            app.overlays.pop();
            app.tell(match &app.columns {
                Some(chosen) => format!("{} columns, as far as there is room", chosen.len()),
                None => "as many columns as there is room for".to_owned(),
            });
        }
        _ => {}
    }
    Vec::new()
}

/// Sorts the containers by a column, and the other way round if they are.
pub(super) fn sort_by(app: &mut App, column: Column) {
    let list = &mut app.containers;
    list.reversed = list.sort == column && !list.reversed;
    list.sort = column;
    app.tell(format!("sorted by {}", column.title().to_lowercase()));
    arrange(app);
}
