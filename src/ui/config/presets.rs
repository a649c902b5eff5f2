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
    (Context::Containers, Action::OpenShell, &[char('E')]),
    (Context::Containers, Action::Attach, &[char('a'), char('A')]),
    (Context::Containers, Action::ShowLogs, &[char('m'), char('l')]),
    (Context::Containers, Action::MergeLogs, &[char('J')]),
    // `x` is the menu, everywhere.
    (Context::Containers, Action::OpenToolbox, &[char('X')]),
    (Context::Networks, Action::Disconnect, &[char('X')]),
    (Context::Events, Action::ShowPrograms, &[char('X')]),
    (Context::Global, Action::Menu, &[code(KeyCode::Enter), char('x')]),
];

/// <https://k9scli.io/topics/commands/>
///
/// Where k9s has a key for looking or for sorting, nothing here stops, starts or pauses a container by
/// it: these are in the menu and in the palette (`:stop`).
const K9S: &[Row] = &[
    (Context::Containers, Action::OpenShell, &[char('s')]),
    (Context::Containers, Action::Limits, &[char('e'), char('L')]),
    (Context::Containers, Action::Attach, &[char('a')]),
    (Context::Containers, Action::Stop, &[]),
    (Context::Containers, Action::Start, &[]),
    (Context::Containers, Action::PauseResume, &[]),
    (Context::Containers, Action::Restart, &[]),
    (Context::Containers, Action::Remove, &[ctrl('d'), code(KeyCode::Delete)]),
    (Context::Containers, Action::Kill, &[ctrl('k')]),
    (Context::Containers, Action::ShowInspect, &[char('d'), char('y'), char('i')]),
    (Context::Containers, Action::CopyName, &[char('c')]),
    (Context::Containers, Action::ShowStats, &[char('u')]),
    (Context::Containers, Action::ShowAll, &[char('0')]),
    (Context::Containers, Action::Undo, &[char('U')]),
    (Context::Logs, Action::Follow, &[char('s'), char('f')]),
    (Context::Logs, Action::SaveLog, &[ctrl('s')]),
    (Context::Images, Action::RemoveImage, &[ctrl('d'), code(KeyCode::Delete)]),
    (Context::Images, Action::ShowInspect, &[char('d'), char('y'), char('i')]),
    (Context::Images, Action::CopyName, &[char('c')]),
    (Context::Images, Action::SaveImage, &[ctrl('s')]),
    (Context::Volumes, Action::RemoveVolume, &[ctrl('d'), code(KeyCode::Delete)]),
    (Context::Volumes, Action::ShowInspect, &[char('d'), char('y'), char('i')]),
    (Context::Volumes, Action::CopyName, &[char('c')]),
    (Context::Volumes, Action::ExportVolume, &[ctrl('s')]),
    (Context::Networks, Action::RemoveNetwork, &[ctrl('d'), code(KeyCode::Delete)]),
    (Context::Networks, Action::ShowInspect, &[char('d'), char('y'), char('i')]),
];

/// <https://github.com/bcicen/ctop#keybindings>
///
/// ctop starts, stops and restarts from the menu of Enter alone; its `S` keeps the settings, which
/// happens here by itself.
const CTOP: &[Row] = &[
    (Context::Containers, Action::Start, &[]),
    (Context::Containers, Action::Stop, &[]),
    (Context::Containers, Action::Restart, &[]),
    (Context::Containers, Action::Filter, &[char('f'), char('/')]),
    (Context::Containers, Action::ShowFiles, &[char('F')]),
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
