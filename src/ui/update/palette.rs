//! The palette: any action by a few letters of its name.

use crate::app::{App, Overlay, Palette, Screen};
use crate::keymap::Action;
use crate::message::Effect;

use super::act;

/// Opens the palette.
pub(super) fn open(app: &mut App) {
    app.overlays.push(Overlay::Palette(Palette::default()));
    search(app);
}

/// Finds the actions that match what is typed.
pub(super) fn search(app: &mut App) {
    let Some(Overlay::Palette(palette)) = app.overlays.last() else { return };
    let typed = palette.input.text().to_lowercase();
    let mut found: Vec<(i32, usize, (String, String, Action))> = Vec::new();
    for (n, (key, text, action)) in entries(app).into_iter().enumerate() {
        let name = text.to_lowercase();
        // `:q` is in many fingers: a whole key name wins.
        // With nothing typed, the order is the keymap's.
        let by_key = match palette.input.text() {
            "" => Some(0),
            text => (key == text).then_some(1000),
        };
        if let Some(score) = by_key.or_else(|| score(&typed, &name)) {
            found.push((-score, n, (key, text, action)));
        }
    }
    found.sort_by_key(|(score, n, _)| (*score, *n));
    if let Some(Overlay::Palette(palette)) = app.overlays.last_mut() {
        palette.found = found.into_iter().map(|(_, _, entry)| entry).collect();
        palette.at = 0;
    }
}

/// Returns all that can be done here: key, name and action.
fn entries(app: &App) -> Vec<(String, String, Action)> {
    let mut list: Vec<(String, String, Action)> = Vec::new();
    for (binding, keys) in app.keymap.effective(app.main_contexts()) {
        let moves = binding.context == crate::keymap::Context::Move;
        let idle = matches!(binding.action, Action::Palette | Action::Back | Action::Menu);
        let known = list.iter().any(|(_, _, action)| *action == binding.action);
        if moves || idle || known || app.can(binding.action).is_err() {
            continue;
        }
        let key = keys.first().map(|k| k.name()).unwrap_or_default();
        let text = act::words(app, binding.action, binding.text);
        list.push((key, text, binding.action));
    }
    // The tabs can be named from anywhere on their screen.
    if app.screen == Screen::Containers {
        for (name, action) in [
            ("show its charts", Action::ShowStats),
            ("show its log", Action::ShowLogs),
            ("inspect it", Action::ShowInspect),
            ("show its processes", Action::ShowTop),
        ] {
            if !list.iter().any(|(_, _, a)| *a == action) {
                list.push((String::new(), name.to_owned(), action));
            }
        }
    }
    list
}

/// Returns how well a name has the typed letters in their order; greater is better.
fn score(typed: &str, name: &str) -> Option<i32> {
    let mut letters = typed.chars().filter(|c| !c.is_whitespace()).peekable();
    let mut score = 0;
    let mut run = 0;
    let mut before = ' ';
    for letter in name.chars() {
        if letters.peek() == Some(&letter) {
            letters.next();
            run += 1;
            score += run * 2 + if before == ' ' { 8 } else { 0 };
        } else {
            run = 0;
        }
        before = letter;
    }
    let length = i32::try_from(name.len()).unwrap_or(i32::MAX);
    letters.peek().is_none().then(|| score * 4 - length / 4)
}

/// Takes an action in the palette.
pub(super) fn act(app: &mut App, action: Action) -> Vec<Effect> {
    let Some(Overlay::Palette(palette)) = app.overlays.last_mut() else { return Vec::new() };
    let last = palette.found.len().saturating_sub(1);
    match action {
        Action::NextChoice => palette.at = if palette.at < last { palette.at + 1 } else { 0 },
        Action::PreviousChoice => palette.at = palette.at.checked_sub(1).unwrap_or(last),
        Action::Complete => {
            if let Some((_, text, _)) = palette.found.get(palette.at) {
                palette.input = crate::app::Input::new(text.clone());
                search(app);
            }
        }
        Action::Accept => {
            let chosen = palette.found.get(palette.at).map(|(_, _, action)| *action);
            app.overlays.pop();
            if let Some(action) = chosen {
                return act::main(app, action);
            }
        }
        _ => {}
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::score;

    #[test]
    fn letters_count_in_order_and_word_starts_most() {
        assert!(score("rst", "restart the container").is_some());
        assert!(score("xyz", "restart the container").is_none());
        assert!(score("quit", "quit") > score("quit", "quit at once"));
        assert!(score("rm", "remove") > score("rm", "charm"));
        assert!(score("", "anything").is_some());
    }
}
