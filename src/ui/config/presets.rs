//! The keys of other dashboards, for hands that know them. A preset says only what differs from the
//! keymap; an action whose key another takes is still in the menu and in the palette.

use crossterm::event::{KeyCode, KeyModifiers};

use crate::keymap::{Action, Context, Key};

/// Whose keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// The keymap as it is.
    #[default]
    Wharf,
    /// lazydocker's.
    Lazydocker,
    /// k9s's.
    K9s,
    /// ctop's.
    Ctop,
}

/// A row of a preset.
type Row = (Context, Action, &'static [Key]);

const fn char(c: char) -> Key {
    Key { code: KeyCode::Char(c), modifiers: KeyModifiers::NONE }
}

const fn ctrl(c: char) -> Key {
    Key { code: KeyCode::Char(c), modifiers: KeyModifiers::CONTROL }
}

const fn code(code: KeyCode) -> Key {
    Key { code, modifiers: KeyModifiers::NONE }
}

/// <https://github.com/jesseduffield/lazydocker/blob/master/docs/keybindings/Keybindings_en.md>
const LAZYDOCKER: &[Row] = &[
    (Context::Containers, Action::ShowAll, &[char('e')]),
    (Context::Containers, Action::ShowLogs, &[char('m'), char('l')]),
    (Context::Global, Action::Menu, &[code(KeyCode::Enter), char('x')]),
];

/// <https://k9scli.io/topics/commands/>
const K9S: &[Row] = &[
    (Context::Containers, Action::Remove, &[ctrl('d'), code(KeyCode::Delete)]),
    (Context::Containers, Action::Kill, &[ctrl('k')]),
    (Context::Containers, Action::ShowInspect, &[char('d'), char('y'), char('i')]),
    (Context::Containers, Action::CopyName, &[char('c')]),
    (Context::Containers, Action::ShowStats, &[char('u')]),
    (Context::Containers, Action::ShowAll, &[char('0'), char('a')]),
    (Context::Logs, Action::Follow, &[char('s'), char('f')]),
    (Context::Logs, Action::SaveLog, &[ctrl('s')]),
    (Context::Images, Action::RemoveImage, &[ctrl('d'), code(KeyCode::Delete)]),
    (Context::Images, Action::ShowInspect, &[char('d'), char('y'), char('i')]),
    (Context::Images, Action::CopyName, &[char('c')]),
    (Context::Volumes, Action::RemoveVolume, &[ctrl('d'), code(KeyCode::Delete)]),
    (Context::Volumes, Action::ShowInspect, &[char('d'), char('y'), char('i')]),
    (Context::Volumes, Action::CopyName, &[char('c')]),
];

/// <https://github.com/bcicen/ctop#keybindings>
const CTOP: &[Row] = &[
    (Context::Containers, Action::Filter, &[char('f'), char('/')]),
    (Context::Containers, Action::Sort, &[char('s')]),
    (Context::Containers, Action::ReverseSort, &[char('r')]),
    (Context::Containers, Action::ShowStats, &[char('o')]),
    (Context::Containers, Action::ChooseColumns, &[char('c')]),
    (Context::Containers, Action::PreviousTab, &[]),
    (Context::Global, Action::Help, &[char('?'), char('h')]),
];

impl Preset {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Wharf, Self::Lazydocker, Self::K9s, Self::Ctop];

    /// Returns its name in the config file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Wharf => "wharf",
            Self::Lazydocker => "lazydocker",
            Self::K9s => "k9s",
            Self::Ctop => "ctop",
        }
    }

    /// Returns how its keys differ from the keymap.
    pub(crate) fn rows(self) -> &'static [Row] {
        match self {
            Self::Wharf => &[],
            Self::Lazydocker => LAZYDOCKER,
            Self::K9s => K9S,
            Self::Ctop => CTOP,
        }
    }
}
