//! Where keys are in force.

use super::Action;

/// Where a binding is in force. What is on screen makes a stack of contexts, the first of which
/// that knows a key has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Context {
    /// Everywhere, even while a text is typed.
    Always,
    /// Wherever no dialog is open.
    Global,
    /// Moving in a list or a text.
    Move,
    /// The container list.
    Containers,
    /// The tabs beside a list, when one of them has the focus.
    Detail,
    /// The tabs of a container whose own keys leave room for the names of the others.
    Tabs,
    /// The charts.
    Charts,
    /// The log tab.
    Logs,
    /// An inspect tab.
    Inspect,
    /// The image list.
    Images,
    /// The volume list.
    Volumes,
    /// The files of a volume, or of the layers of an image.
    Files,
    /// The files of a container.
    ContainerFiles,
    /// The drawing of the networks.
    Networks,
    /// The events.
    Events,
    /// The engine.
    System,
    /// A terminal in a container.
    Shell,
    /// A terminal, after the key that makes the next one the dashboard's.
    ShellKeys,
    /// A line being typed: a filter or a search.
    Line,
    /// A dialog that asks for a text.
    Prompt,
    /// The form that makes a container.
    Form,
    /// The look at a pull, a push or a save.
    Transfer,
    /// The choice of columns.
    Columns,
    /// The palette.
    Palette,
    /// A menu.
    Menu,
    /// A dialog that asks for consent.
    Confirm,
    /// A page to read: the help or the errors.
    Reader,
}

impl Context {
    /// Returns the heading of its keys in the help.
    pub fn title(self) -> &'static str {
        match self {
            Self::Always | Self::Global => "Anywhere",
            Self::Move => "Move",
            Self::Containers => "Containers",
            Self::Detail | Self::Tabs => "Tabs",
            Self::Charts => "Charts",
            Self::Logs => "Logs",
            Self::Inspect => "Inspect",
            Self::Images => "Images",
            Self::Volumes => "Volumes",
            Self::Files | Self::ContainerFiles => "Files",
            Self::Networks => "Networks",
            Self::Events => "Events",
            Self::System => "System",
            Self::Shell => "Shell: all keys are the program's, but for",
            Self::ShellKeys => "Shell: after that key",
            Self::Line | Self::Prompt => "While typing",
            Self::Form => "Form",
            Self::Transfer => "On its way",
            Self::Columns => "Columns",
            Self::Palette => "Palette",
            Self::Menu => "Menu",
            Self::Confirm => "Dialog",
            Self::Reader => "Page",
        }
    }
}

impl Context {
    /// Returns its name in the config file.
    pub fn word(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Global => "global",
            Self::Move => "move",
            Self::Containers => "containers",
            Self::Detail => "detail",
            Self::Tabs => "tabs",
            Self::Charts => "charts",
            Self::Logs => "logs",
            Self::Inspect => "inspect",
            Self::Images => "images",
            Self::Volumes => "volumes",
            Self::Files => "files",
            Self::ContainerFiles => "container-files",
            Self::Networks => "networks",
            Self::Events => "events",
            Self::System => "system",
            Self::Shell => "shell",
            Self::ShellKeys => "shell-keys",
            Self::Line => "line",
            Self::Prompt => "prompt",
            Self::Form => "form",
            Self::Transfer => "transfer",
            Self::Columns => "columns",
            Self::Palette => "palette",
            Self::Menu => "menu",
            Self::Confirm => "confirm",
            Self::Reader => "reader",
        }
    }
}

impl Action {
    /// Returns whether it is about a log that is shown, and about nothing else.
    pub(crate) fn is_of_logs(self) -> bool {
        matches!(
            self,
            Self::Follow
                | Self::Wrap
                | Self::Timestamps
                | Self::ScrollLeft
                | Self::ScrollRight
                | Self::LogsAt
                | Self::LogsTail
                | Self::LogsHead
                | Self::Logs1m
                | Self::Logs5m
                | Self::Logs15m
                | Self::Logs30m
                | Self::Logs1h
                | Self::EarlierBar
                | Self::LaterBar
                | Self::OpenLine
                | Self::CopyLine
                | Self::CopyScreen
                | Self::MarkLine
                | Self::RawLines
                | Self::SaveLog
        )
    }
}
