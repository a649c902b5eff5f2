//! Groups of containers: folding them, and marking all that is in one.

use crate::app::{App, Chosen};
use crate::keymap::Action;

use super::arrange;

/// Folds or unfolds.
pub(super) fn fold(app: &mut App, action: Action) {
    let list = &mut app.containers;
    if action == Action::FoldAll {
        let names = list.groups.iter().map(|group| group.name.clone());
        if list.folded.is_empty() {
            list.folded = names.collect();
        } else {
            list.folded.clear();
        }
        return arrange(app);
    }
    let Some(name) = list.project() else { return };
    let folded = list.folded.contains(&name);
    let on_group = list.group().is_some();
    match (action, on_group) {
        // In a group, the way up comes first.
        (Action::FoldIn, false) => list.selected = Some(Chosen::Group(name)),
        (Action::FoldIn, true) if folded => app.tell(format!("{name} is folded")),
        (Action::FoldOut, _) if !folded => {
            if on_group {
                super::act::step_list(app, 1);
            } else {
                app.tell(format!("{name} is unfolded"));
            }
        }
        _ if folded => {
            list.folded.remove(&name);
        }
        _ => {
            list.folded.insert(name);
        }
    }
    arrange(app);
}

/// Marks all of the selected group, or unmarks them if all are marked; false if none is selected.
pub(super) fn mark(app: &mut App) -> bool {
    let list = &mut app.containers;
    let Some(group) = list.group() else { return false };
    let ids: Vec<_> = list.members(group).map(|row| row.summary.id.clone()).collect();
    if ids.iter().all(|id| list.marked.contains(id)) {
        for id in &ids {
            list.marked.remove(id);
        }
    } else {
        list.marked.extend(ids);
    }
    true
}
