//! The terminals that are open in containers: shells, and containers that are attached to. Each keeps
//! running, whatever is looked at, until its program ends or the user ends it.

use wharf_model::{ContainerId, TermSize};

use super::{Panes, Zoom};
use crate::emulator::Emulator;

/// Most terminals at once: what bounds their memory.
pub const MOST: usize = 16;

/// What a terminal is to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// A shell of the image's, else one of the toolbox image.
    Shell {
        /// The image that has a shell where the container's has none.
        toolbox: String,
    },
    /// A shell of this image, in the container's namespaces.
    Toolbox {
        /// The image.
        image: String,
    },
    /// The container's first process.
    Attach {
        /// Whether to pass input on.
        input: bool,
    },
}

impl Want {
    /// Returns whether what is typed there can change anything.
    pub fn changes(&self) -> bool {
        !matches!(self, Self::Attach { input: false })
    }
}

/// How far a terminal is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The engine is at it.
    Opening,
    /// The program runs.
    Running,
    /// The program has ended, in these words.
    Ended(String),
}

/// A terminal.
#[derive(Debug)]
pub struct Terminal {
    /// Its number, which comes with every message about it.
    pub number: u64,
    /// The container.
    pub container: ContainerId,
    /// What that is called.
    pub name: String,
    /// What was asked for.
    pub want: Want,
    /// What runs in it, for people: `bash`, `sh of busybox`.
    pub program: String,
    /// How far it is.
    pub phase: Phase,
    /// Its screen.
    pub emulator: Emulator,
    /// Whether the program has a terminal; without one its lines come as they are.
    pub tty: bool,
    /// Whether the program can be typed to.
    pub input: bool,
    /// Whether anything has been typed.
    pub typed: bool,
    /// What is typed to a program without a terminal, until Enter sends it.
    pub line: String,
    /// When it was last looked at, counted in looks.
    pub used: u64,
}

impl Terminal {
    /// Returns whether its program runs, or is about to.
    pub fn is_alive(&self) -> bool {
        !matches!(self.phase, Phase::Ended(_))
    }

    /// Returns whether leaving it ends nothing: it is the container's own process.
    pub fn is_attached(&self) -> bool {
        matches!(self.want, Want::Attach { .. })
    }

    /// Returns what runs where, for people.
    pub fn title(&self) -> String {
        match self.want {
            Want::Attach { .. } => format!("attached to {}", self.name),
            _ if self.program.is_empty() => format!("a shell in {}", self.name),
            _ => format!("{} in {}", self.program, self.name),
        }
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Terminals {
    /// The oldest first.
    pub list: Vec<Terminal>,
    /// Whether the key has been pressed after which the next one is the dashboard's.
    pub prefix: bool,
    /// What was in sight before the first of them was.
    pub before: Option<(Panes, Zoom)>,
    looks: u64,
}

impl Terminals {
    /// Returns one by its number.
    pub fn get(&self, number: u64) -> Option<&Terminal> {
        self.list.iter().find(|terminal| terminal.number == number)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, number: u64) -> Option<&mut Terminal> {
        self.list.iter_mut().find(|terminal| terminal.number == number)
    }

    /// Returns the one of a container that was looked at last.
    pub fn of(&self, container: &ContainerId) -> Option<&Terminal> {
        self.all_of(container).max_by_key(|terminal| terminal.used)
    }

    /// Returns all of a container.
    pub fn all_of<'a>(&'a self, container: &ContainerId) -> impl Iterator<Item = &'a Terminal> {
        let container = container.clone();
        self.list.iter().filter(move |terminal| terminal.container == container)
    }

    /// Returns the shells that run: what ends with the dashboard.
    pub fn shells(&self) -> impl Iterator<Item = &Terminal> {
        self.list.iter().filter(|terminal| terminal.is_alive() && !terminal.is_attached())
    }

    /// Adds one, and looks at it.
    pub fn add(
        &mut self,
        number: u64,
        (container, name): (ContainerId, String),
        want: Want,
        size: TermSize,
    ) {
        let input = want.changes();
        self.list.push(Terminal {
            number,
            container,
            name,
            want,
            program: String::new(),
            phase: Phase::Opening,
            emulator: Emulator::new(size),
            tty: true,
            input,
            typed: false,
            line: String::new(),
            used: 0,
        });
        self.look_at(number);
    }

    /// Makes one the one of its container that is shown.
    pub fn look_at(&mut self, number: u64) {
        self.looks += 1;
        let looks = self.looks;
        if let Some(terminal) = self.get_mut(number) {
            terminal.used = looks;
        }
    }

    /// Takes one away.
    pub fn remove(&mut self, number: u64) -> Option<Terminal> {
        let at = self.list.iter().position(|terminal| terminal.number == number)?;
        Some(self.list.remove(at))
    }
}
