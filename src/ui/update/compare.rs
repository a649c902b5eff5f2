//! The comparison of two documents in the inspect tab.

use wharf_backend::Error;

use crate::app::{App, Compared, Cursor, Redraw, Screen, Tab};
use crate::keymap::Action;
use crate::layout::layout;
use crate::message::{Effect, ScreenTag};

use super::act::copied;

/// Compares the selected container with one that is marked, two that are marked with each other, or
/// the selected one with its image; once more shows its document again.
pub(super) fn toggle(app: &mut App) -> Vec<Effect> {
    if app.inspect.diff.take().is_some() {
        return Vec::new();
    }
    if app.screen != Screen::Containers {
        app.tell("only containers are compared");
        return Vec::new();
    }
    let Some(row) = app.selected() else { return Vec::new() };
    let rows = &app.containers.rows;
    let mut marked = rows.iter().filter(|r| app.containers.marked.contains(&r.summary.id));
    let (first, second) = match (marked.next(), marked.next(), marked.next()) {
        (Some(a), Some(b), None) => (a, Some(b)),
        (Some(a), None, None) if a.summary.id != row.summary.id => (row, Some(a)),
        (Some(_), Some(_), Some(_)) => {
            app.tell("two can be compared: more are marked");
            return Vec::new();
        }
        _ => (row, None),
    };
    let tag = ScreenTag::Container(first.summary.id.clone());
    let name = first.summary.name.clone();
    let (other, other_name) = match second {
        Some(row) => (ScreenTag::Container(row.summary.id.clone()), row.summary.name.clone()),
        None => {
            let image = match &row.summary.image_id {
                Some(id) => id.as_str().to_owned(),
                None => row.summary.image.clone(),
            };
            (ScreenTag::Image(image), format!("image {}", row.summary.image))
        }
    };
    app.inspect.diff = Some(Compared {
        pair: (tag.clone(), other.clone()),
        names: (name, other_name),
        rows: None,
        own: 0,
        all: false,
        cursor: Cursor::default(),
        documents: None,
    });
    vec![Effect::Compare(tag, other)]
}

/// Takes the documents.
pub(super) fn take(
    app: &mut App,
    pair: &(ScreenTag, ScreenTag),
    result: Result<Box<(serde_json::Value, serde_json::Value)>, Error>,
) {
    let secrets = app.inspect.secrets;
    let Some(diff) = app.inspect.diff.as_mut().filter(|diff| diff.pair == *pair) else { return };
    match result {
        Ok(documents) => {
            diff.documents = Some(documents);
            diff.compare(secrets);
        }
        Err(e) => {
            diff.rows = Some(Err(wharf_logs::sanitize_line(&e.message).into_owned()));
        }
    }
    app.draw(Redraw::Now);
}

/// Moves in the list.
pub(super) fn step(app: &mut App, by: isize) {
    let Some(rows) = layout(app).map(|l| l.rows_of(Tab::Inspect)) else { return };
    if let Some(diff) = &mut app.inspect.diff {
        let count = diff.list().len();
        diff.cursor.step(by, count, rows);
    }
}

/// Takes an action of the inspect tab.
pub(super) fn act(app: &mut App, action: Action) -> Vec<Effect> {
    let secrets = app.inspect.secrets;
    let pattern = app.inspect.pattern.to_lowercase();
    let Some(diff) = &mut app.inspect.diff else { return Vec::new() };
    let chosen = diff.list().get(diff.cursor.at).cloned();
    match (action, chosen) {
        (Action::CopyValue, Some(row)) => {
            let side = |side: Option<String>| side.unwrap_or_else(|| "(nothing)".to_owned());
            let text = format!("{}: {} -> {}", row.path, side(row.first), side(row.second));
            return copied(app, text);
        }
        (Action::ReadValue, Some(row)) => {
            let sides =
                [(&diff.names.0, row.first), (&diff.names.1, row.second)].map(|(name, side)| {
                    let side = side.unwrap_or_else(|| "(nothing)".to_owned());
                    format!("{name}:\n{side}")
                });
            super::detail::read(app, row.path, &sides.join("\n\n"));
        }
        (Action::CopyPath, Some(row)) => return copied(app, row.path),
        (Action::FoldAll, _) if diff.own == 0 => app.tell("nothing is left out here"),
        (Action::FoldAll, _) => {
            diff.all = !diff.all;
            diff.compare(secrets);
            let (own, all) = (diff.own, diff.all);
            app.tell(match all {
                true => format!("with the {own} that every container has of its own"),
                false => "without what every container has of its own".to_owned(),
            });
            step(app, 0);
        }
        (Action::NextMatch | Action::PreviousMatch, _) => {
            let list = diff.list();
            let hit = |row: &wharf_inspect::difference::Difference| {
                let sides = [Some(&row.path), row.first.as_ref(), row.second.as_ref()];
                sides.into_iter().flatten().any(|text| text.to_lowercase().contains(&pattern))
            };
            let count = list.len();
            let steps = 1..=count;
            let place = |n: usize| match action {
                Action::NextMatch => (diff.cursor.at + n) % count,
                _ => (diff.cursor.at + count - n % count) % count,
            };
            match steps.map(place).find(|at| list.get(*at).is_some_and(hit)) {
                Some(at) => {
                    let rows = layout(app).map_or(1, |l| l.rows_of(Tab::Inspect));
                    if let Some(diff) = &mut app.inspect.diff {
                        diff.cursor.go(at, count, rows);
                    }
                }
                None => app.tell(format!("no match for {pattern}")),
            }
        }
        _ => app.tell("D shows the document again"),
    }
    Vec::new()
}
