//! Which keys can be changed, and how they are written.

use std::str::FromStr;

use crossterm::event::{KeyCode, KeyModifiers};

use crate::keymap::{Action, Context, KEYMAP, Key};

/// The lists that custom commands can belong to.
pub(super) const LISTS: [Context; 4] =
    [Context::Containers, Context::Images, Context::Volumes, Context::Networks];

/// Returns the contexts whose keys can be changed: all but the way out.
pub(super) fn contexts() -> impl Iterator<Item = Context> {
    let mut seen = vec![Context::Always];
    KEYMAP.iter().filter_map(move |binding| {
        let fresh = !seen.contains(&binding.context);
        seen.push(binding.context);
        fresh.then_some(binding.context)
    })
}

/// Returns the actions of a context, in the keymap's order.
pub(super) fn actions(context: Context) -> impl Iterator<Item = Action> {
    KEYMAP.iter().filter(move |binding| binding.context == context).map(|binding| binding.action)
}

impl FromStr for Key {
    type Err = String;

    /// Reads a key as [`Key::name`] writes it.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no key: write x, Ctrl-x, Alt-x, F5, Enter, PgUp, …");
        let mut modifiers = KeyModifiers::NONE;
        let mut rest = text;
        for (prefix, modifier) in [
            ("Ctrl-", KeyModifiers::CONTROL),
            ("Alt-", KeyModifiers::ALT),
            ("Shift-", KeyModifiers::SHIFT),
        ] {
            if let Some(after) = rest.strip_prefix(prefix).filter(|after| !after.is_empty()) {
                modifiers |= modifier;
                rest = after;
            }
        }
        let mut letters = rest.chars();
        let code = match (letters.next(), letters.next()) {
            (Some(letter), None) if !letter.is_control() => KeyCode::Char(letter),
            _ => named(rest).ok_or_else(wrong)?,
        };
        if modifiers.contains(KeyModifiers::SHIFT) {
            match code {
                // A terminal sends another letter, or another key.
                KeyCode::Char(_) => {
                    return Err(format!("{text:?}: write the letter as it appears"));
                }
                KeyCode::Tab => {
                    return Ok(Self { code: KeyCode::BackTab, modifiers: KeyModifiers::NONE });
                }
                _ => {}
            }
        }
        Ok(Self { code, modifiers })
    }
}

fn named(name: &str) -> Option<KeyCode> {
    if let Some(number) = name.strip_prefix('F').and_then(|n| n.parse::<u8>().ok()) {
        return (1..=24).contains(&number).then_some(KeyCode::F(number));
    }
    Some(match name {
        "Space" => KeyCode::Char(' '),
        "Enter" => KeyCode::Enter,
        "Esc" => KeyCode::Esc,
        "Tab" => KeyCode::Tab,
        "Backspace" => KeyCode::Backspace,
        "Del" => KeyCode::Delete,
        "Ins" => KeyCode::Insert,
        "Up" => KeyCode::Up,
        "Down" => KeyCode::Down,
        "Left" => KeyCode::Left,
        "Right" => KeyCode::Right,
        "Home" => KeyCode::Home,
        "End" => KeyCode::End,
        "PgUp" => KeyCode::PageUp,
        "PgDn" => KeyCode::PageDown,
        _ => return None,
    })
}
