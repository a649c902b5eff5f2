//! What a caller chooses, and what the terminal can show.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use wharf_backend::Backend;
use wharf_model::{CreateOptions, UpdateOptions};

use crate::app::Screen;
use crate::config::Config;

/// How many colours a terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Colors {
    /// Bold, dim, underlined and reversed only.
    None,
    /// The user's own sixteen.
    Ansi16,
    /// The 256 of xterm.
    Ansi256,
    /// Any.
    True,
}

/// What the terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// How many colours.
    pub colors: Colors,
    /// Whether letters beyond ASCII are shown.
    pub unicode: bool,
    /// Whether the background is light.
    pub light: bool,
}

impl Look {
    /// Returns what these environment variables say: `NO_COLOR`, `COLORTERM`, `TERM`, `LC_ALL`,
    /// `LC_CTYPE`, `LANG` and `COLORFGBG`. A variable that is empty counts as missing.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| variable(name).filter(|v| !v.is_empty());
        let term = get("TERM").unwrap_or_default();
        let truecolor = |v: String| v == "truecolor" || v == "24bit";
        let colors = if get("NO_COLOR").is_some() || term == "dumb" {
            Colors::None
        } else if get("COLORTERM").is_some_and(truecolor) || term.ends_with("-direct") {
            Colors::True
        } else if term.contains("256") {
            Colors::Ansi256
        } else {
            Colors::Ansi16
        };
        let locale = get("LC_ALL").or_else(|| get("LC_CTYPE")).or_else(|| get("LANG"));
        let unicode = locale.is_some_and(|l| {
            let l = l.to_ascii_lowercase();
            l.contains("utf-8") || l.contains("utf8")
        });
        // The last part is the background, one of the sixteen colours.
        let background = get("COLORFGBG").and_then(|v| v.rsplit(';').next()?.parse::<u8>().ok());
        let light = match background {
            Some(n) => n == 7 || n == 15,
            // Of sixteen colours, those for a light background can be read on a dark one, too. The console's
            // is dark.
            None => colors == Colors::Ansi16 && !term.starts_with("linux"),
        };
        Self { colors, unicode, light }
    }
}

impl Default for Look {
    fn default() -> Self {
        Self { colors: Colors::True, unicode: true, light: false }
    }
}

/// Where in the past to begin.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The instant that is shown.
    pub at: DateTime<Utc>,
    /// How long a time before it the charts show; none leaves that as it was.
    pub length: Option<TimeDelta>,
    /// The container whose charts are shown: its name, or how its id begins.
    pub container: Option<String>,
}

/// What a caller chooses.
#[derive(Clone, Debug)]
pub struct Options {
    /// Take away every action that changes anything.
    pub read_only: bool,
    /// The time between samples.
    pub interval: Duration,
    /// The instant to show at first, in place of now.
    pub replay: Option<Replay>,
    /// The screen to begin with.
    pub screen: Screen,
    /// Whether the mouse is taken from the terminal.
    pub mouse: bool,
    /// What the terminal can show.
    pub look: Look,
    /// Bytes a second that may go to the terminal while only numbers change.
    pub byte_budget: u32,
    /// The user's settings.
    pub config: Config,
    /// What is wrong with the file they are from, a sentence.
    pub complaint: Option<String>,
    /// The folder for what is kept between runs; none keeps nothing.
    pub state: Option<PathBuf>,
    /// The engines, in the order of the backends.
    pub hosts: Vec<HostOptions>,
    /// What understands the words after `run`; without one no containers can be made here.
    pub run: Option<RunParser>,
    /// What copies files by the rules of `cp`; without it none are copied.
    pub copy: Option<Copier>,
    /// What understands the words after `update`; without one no limits can be changed here.
    pub update: Option<UpdateParser>,
    /// What gives memory back that nobody needs while numbers change alone; it is called when no key has
    /// been pressed for a while.
    pub rest: Option<fn()>,
}

impl Options {
    /// Takes over what a config says.
    #[must_use]
    pub fn with(mut self, config: Config) -> Self {
        self.look.light = config.light.unwrap_or(self.look.light);
        self.look.colors = config.colors.unwrap_or(self.look.colors);
        self.look.unicode = config.unicode.unwrap_or(self.look.unicode);
        self.mouse = config.mouse.unwrap_or(self.mouse);
        self.interval = config.interval.unwrap_or(self.interval);
        self.byte_budget = config.byte_budget.unwrap_or(self.byte_budget);
        self.config = config;
        self
    }
}

/// What is known of an engine before it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostOptions {
    /// What it is called.
    pub name: String,
    /// Where it is: `ssh://host`.
    pub address: String,
    /// The words of a command line that lead to its verbs: `wharf --root /srv/wharf`.
    pub program: Vec<String>,
    /// What its user should know of the way there.
    pub warning: Option<String>,
}

impl Default for HostOptions {
    fn default() -> Self {
        Self {
            name: "local".to_owned(),
            address: "wharf://".to_owned(),
            program: vec!["wharf".to_owned()],
            warning: None,
        }
    }
}

/// Understands the words that follow `run`, or says what is wrong with them.
pub type RunParser = fn(&[String]) -> Result<CreateOptions, String>;

/// Files to copy between a container and this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyRequest {
    /// The container's id.
    pub container: String,
    /// The path in the container.
    pub inside: String,
    /// The path on this host.
    pub outside: String,
    /// Whether they go out of the container.
    pub out: bool,
}

/// Copies files, or says why it can't.
pub type Copier = fn(Arc<dyn Backend>, CopyRequest) -> BoxFuture<'static, Result<(), String>>;

/// Understands the flags of `update`, or says what is wrong with them.
pub type UpdateParser = fn(&[String]) -> Result<UpdateOptions, String>;

impl Default for Options {
    fn default() -> Self {
        Self {
            read_only: false,
            interval: Duration::from_secs(1),
            replay: None,
            screen: Screen::Containers,
            mouse: true,
            look: Look::default(),
            byte_budget: 2000,
            config: Config::default(),
            complaint: None,
            state: None,
            hosts: vec![HostOptions::default()],
            run: None,
            copy: None,
            update: None,
            rest: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(variables: &[(&str, &str)]) -> Look {
        Look::from_env(|name| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned())
        })
    }

    #[test]
    fn the_environment_decides_the_look() {
        let utf8 = ("LANG", "de_DE.UTF-8");
        assert_eq!(look(&[utf8, ("TERM", "xterm-256color")]).colors, Colors::Ansi256);
        assert_eq!(look(&[("TERM", "xterm"), ("COLORTERM", "truecolor")]).colors, Colors::True);
        assert_eq!(look(&[("TERM", "linux")]).colors, Colors::Ansi16);
        assert_eq!(look(&[("TERM", "xterm"), ("NO_COLOR", "1")]).colors, Colors::None);
        assert_eq!(look(&[("TERM", "xterm"), ("NO_COLOR", "")]).colors, Colors::Ansi16);
        assert!(look(&[utf8]).unicode);
        assert!(!look(&[utf8, ("LC_ALL", "C")]).unicode);
        assert!(!look(&[]).unicode);
        assert!(look(&[("COLORFGBG", "0;15")]).light);
        assert!(!look(&[("COLORFGBG", "15;default;0")]).light);
        assert!(look(&[("TERM", "xterm")]).light && !look(&[("TERM", "linux")]).light);
        assert!(!look(&[("TERM", "xterm-256color")]).light);
    }
}
