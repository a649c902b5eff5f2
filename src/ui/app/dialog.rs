//! What can lie over the screen: menus, questions, pages.

use wharf_model::{Command, ContainerId, UpdateOptions};

use super::Pending;
use super::columns::{Column, ColumnChoice};
use super::input::Input;
use super::run_form::RunForm;
use crate::keymap::Action;
use crate::message::Effect;

/// Something over the screen.
#[derive(Clone, Debug)]
pub enum Overlay {
    /// The keys.
    Help {
        /// Lines scrolled away.
        scroll: usize,
    },
    /// Past failures.
    Errors {
        /// Lines scrolled away.
        scroll: usize,
    },
    /// A choice.
    Menu(Menu),
    /// A question before something is lost.
    Confirm(Confirm),
    /// A question for a text.
    Prompt(Prompt),
    /// All actions by name.
    Palette(Palette),
    /// Something to read.
    Page(Page),
    /// A pull, a push or a save, layer by layer.
    Transfer {
        /// Its number.
        operation: u64,
        /// Lines scrolled away.
        scroll: usize,
    },
    /// The columns of the container list.
    Columns(ColumnChoice),
    /// The form that makes a container of an image.
    Run(Box<RunForm>),
}

/// Something to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// What it is about.
    pub title: String,
    /// What it says first, and whether that is good; none says neither.
    pub verdict: Option<(String, bool)>,
    /// What it says.
    pub body: Vec<String>,
    /// Lines scrolled away.
    pub scroll: usize,
}

/// A choice from a list.
#[derive(Clone, Debug)]
pub struct Menu {
    /// What it is about.
    pub title: String,
    /// What can be chosen.
    pub items: Vec<Item>,
    /// Which is selected.
    pub at: usize,
    /// For each, the command line that does the same; empty where there is none.
    pub lines: Vec<String>,
}

/// An entry of a menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The key that does the same, or empty.
    pub key: String,
    /// What it does.
    pub text: String,
    /// What is done when it is chosen.
    pub choice: Choice,
}

/// What a menu entry does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// An action of the keymap.
    Action(Action),
    /// A signal to the selected container.
    Signal(&'static str),
    /// An action on all that is marked.
    Bulk(Action),
    /// Connect a container to a network.
    Connect {
        /// The container.
        container: ContainerId,
        /// The network's id.
        network: String,
    },
    /// Take a container from a network, after asking.
    Disconnect {
        /// The container.
        container: ContainerId,
        /// The network's id.
        network: String,
    },
    /// Ask for the port, then try whether a container reaches another.
    Reach {
        /// The one that tries.
        from: ContainerId,
        /// The other; none is asked for.
        to: Option<ContainerId>,
    },
    /// Remove the images that nobody uses, after asking: those without a name, or all.
    PruneImages {
        /// Whether those with names go too.
        all: bool,
    },
    /// Send an image to its registry.
    Push {
        /// Its name.
        name: String,
    },
    /// Look at a transfer.
    Transfer(u64),
    /// Go to an object.
    Go(Goal),
    /// Show one of the engines, by its place.
    Host(usize),
    /// Show the containers of all engines.
    AllHosts,
    /// Show a terminal.
    Shell(u64),
    /// Remove the volumes that nobody has, after asking: those without a name, or all.
    PruneVolumes {
        /// Whether those with names go too.
        all: bool,
    },
}

/// Where the palette can lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// A container.
    Container(ContainerId),
    /// A group of containers.
    Group(String),
    /// An image, by its name or id.
    Image(String),
    /// A volume.
    Volume(String),
    /// A network, by its id.
    Network(String),
    /// The containers by this column.
    Sort(Column),
}

/// A question before something is lost. What it would do is fixed when it opens: a list that
/// changes under it can't make it hit anything else.
#[derive(Clone, Debug, Default)]
pub struct Confirm {
    /// The question.
    pub title: String,
    /// What will be lost, and what will be kept.
    pub body: Vec<String>,
    /// What the button says.
    pub verb: &'static str,
    /// Whether that button is chosen instead of Cancel.
    pub consent: Consent,
    /// Lines scrolled away.
    pub scroll: usize,
    /// A command of the user's own that is run then: its name and its line.
    pub custom: Option<(String, String)>,
    /// What else is done then.
    pub effects: Vec<Effect>,
    /// The command lines that do the same.
    pub lines: Vec<String>,
    /// What is done then.
    pub commands: Vec<(Pending, Command)>,
}

/// Which button is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consent {
    /// Leave everything as it is.
    #[default]
    Cancel,
    /// Do it.
    Yes,
}

/// A question for a text.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// The question.
    pub title: String,
    /// What is typed.
    pub input: Input,
    /// Why it can't be taken as it is.
    pub error: Option<String>,
    /// What it is for.
    pub purpose: PromptFor,
}

/// What a text is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PromptFor {
    /// One more name for this image.
    Tag {
        /// The image's name or id.
        image: String,
    },
    /// The image to pull.
    PullImage,
    /// The file to save images to.
    SaveImages {
        /// Their names or ids.
        images: Vec<String>,
        /// What people call them.
        what: String,
        /// Their bytes.
        bytes: u64,
    },
    /// The file to save the log to.
    SaveLog,
    /// The instant to go back to.
    Instant,
    /// The instant that the log is to show.
    LogsAt,
    /// Where to copy files from a container, or what to copy into it.
    CopyFiles {
        /// The container, and how it is called.
        container: ContainerId,
        /// Its name.
        name: String,
        /// The path in the container.
        inside: String,
        /// Whether they go out.
        out: bool,
    },
    /// The name of a new network, and what else is asked of it.
    CreateNetwork,
    /// The name of a new volume.
    CreateVolume,
    /// Another name for a container.
    Rename {
        /// The container.
        container: ContainerId,
    },
    /// Other limits for a container, as flags of `update`.
    Limits {
        /// The container.
        container: ContainerId,
        /// What it is called.
        name: String,
        /// What brings it back to where it is now, once that is known.
        before: Option<Box<UpdateOptions>>,
        /// What of that can't be brought back, in words.
        lasting: Option<String>,
        /// Whether what is typed is to be done as soon as that is known.
        accepted: bool,
    },
    /// The file to save a volume to.
    SaveVolume {
        /// The volume.
        volume: String,
    },
    /// The port to try, or the target and the port.
    Reach {
        /// The container that tries.
        from: ContainerId,
        /// What it is called.
        name: String,
        /// The container that is tried; none is part of the text.
        to: Option<ContainerId>,
    },
}

/// All actions by name.
#[derive(Clone, Debug, Default)]
pub struct Palette {
    /// What is typed.
    pub input: Input,
    /// The actions and objects that match, the best first.
    pub found: Vec<Item>,
    /// Which is selected.
    pub at: usize,
}
