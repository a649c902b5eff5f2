//! The command line's grammar: tables that describe each verb, and the parser that reads them.
//!
//! A [`Verb`] is data: its flags, how many arguments it takes, and the function that does it. The
//! parser follows the conventions docker's users know (`-it`, `-e=V`, `--rm=false`, `--`), word for
//! word in its complaints. Flags that docker has and this program has not yet are in the tables too,
//! so that they are refused by name.

pub(crate) mod create;
pub(crate) mod create_flags;
pub(crate) mod headings;
mod mount_flag;
pub(crate) mod networks;
mod parse;
pub(crate) mod policy;
mod ports;
mod resource_values;
pub(crate) mod resources;
pub(crate) mod signals;
mod spaces;
pub(crate) mod values;

pub(crate) use parse::{Parsed, UsageError, parse, parse_globals};

use crate::call::Call;

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    /// Nothing, or `=true` and `=false`.
    Switch,
    /// One value, named so in the help; the last one counts.
    Value(&'static str),
    /// One value, and it may be given again.
    List(&'static str),
}

/// A flag that works.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flag {
    /// Its long name without dashes.
    pub(crate) long: &'static str,
    /// Its letter.
    pub(crate) short: Option<char>,
    /// Other long names that mean the same, left out of the help.
    pub(crate) aliases: &'static [&'static str],
    /// What it takes.
    pub(crate) takes: Takes,
    /// One line for the help.
    pub(crate) help: &'static str,
}

impl Flag {
    /// Returns a flag that takes no value.
    pub(crate) const fn switch(long: &'static str, help: &'static str) -> Self {
        Self { long, short: None, aliases: &[], takes: Takes::Switch, help }
    }

    /// Returns a flag whose last value counts.
    pub(crate) const fn value(long: &'static str, what: &'static str, help: &'static str) -> Self {
        Self { long, short: None, aliases: &[], takes: Takes::Value(what), help }
    }

    /// Returns a flag that can be given many times.
    pub(crate) const fn list(long: &'static str, what: &'static str, help: &'static str) -> Self {
        Self { long, short: None, aliases: &[], takes: Takes::List(what), help }
    }

    /// Returns the same flag with a letter.
    pub(crate) const fn short(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }

    /// Returns the same flag with further long names.
    pub(crate) const fn or(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Returns how complaints about its value call it: `-m, --memory`.
    pub(crate) fn display(&self) -> String {
        match self.short {
            Some(letter) => format!("-{letter}, --{}", self.long),
            None => format!("--{}", self.long),
        }
    }
}

/// A flag of docker's that doesn't work yet: its long name, and its letter.
pub(crate) type Missing = (&'static str, Option<char>);

/// How many arguments a verb takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arity {
    /// None.
    None,
    /// So many.
    Exactly(usize),
    /// So many or more.
    AtLeast(usize),
    /// So many or fewer.
    AtMost(usize),
    /// From the first to the second.
    Between(usize, usize),
    /// As many as you like.
    Any,
}

/// Under which heading the help lists a verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// The dashboard.
    Dashboard,
    /// Making and running containers.
    Run,
    /// The life of a container.
    Lifecycle,
    /// Looking at containers.
    Observe,
    /// Images.
    Images,
    /// The engine.
    System,
}

/// A verb of the command line.
pub(crate) struct Verb {
    /// Its name at the top: `ps`.
    pub(crate) name: &'static str,
    /// Where else it is found: `container ls`, `container list`.
    pub(crate) paths: &'static [&'static str],
    /// Its arguments as usage lines show them.
    pub(crate) usage: &'static str,
    /// One line about it.
    pub(crate) about: &'static str,
    /// Its heading in the help.
    pub(crate) group: Group,
    /// How many arguments it takes.
    pub(crate) arity: Arity,
    /// Whether flags may come after the first argument. They may not where what follows is a
    /// command for the container.
    pub(crate) interspersed: bool,
    /// Its flags.
    pub(crate) flags: &'static [&'static [Flag]],
    /// Docker's flags that don't work yet.
    pub(crate) missing: &'static [Missing],
    /// Does it, and returns the exit code.
    pub(crate) run: fn(&Call) -> anyhow::Result<i32>,
}

impl Verb {
    /// Returns all its flags.
    pub(crate) fn all_flags(&self) -> impl Iterator<Item = &'static Flag> + use<> {
        let flags = self.flags;
        flags.iter().flat_map(|part| part.iter())
    }
}
