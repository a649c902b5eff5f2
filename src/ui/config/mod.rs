//! The user's settings: a TOML file, checked as a whole, so that all that is wrong with it is told at
//! once, each with its line and column. What is right in it holds in any case.
//!
//! [`SETTINGS`](settings) and the keymap are the only lists of what can be set: the check, the
//! messages and the [reference](reference()) are made from them.

mod hosts;
mod keys;
mod presets;
mod reference;
mod settings;
#[cfg(test)]
mod tests;

use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::app::Column;
use crate::keymap::{Action, Context, KEYMAP, Key};
use crate::options::Colors;

pub use hosts::HostSetting;
pub use presets::Preset;
pub use reference::reference;

/// A command of the user's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Custom {
    /// What the menus call it.
    pub name: String,
    /// Its key; none leaves it to the menu and the palette.
    pub key: Option<Key>,
    /// The list it belongs to.
    pub on: Context,
    /// A line for `/bin/sh`, with `{name}` and the like in it.
    pub run: String,
    /// Whether to ask first.
    pub confirm: bool,
}

/// What can stand in braces in a custom command.
pub const PLACEHOLDERS: [&str; 4] = ["name", "id", "image", "wharf"];

/// Other keys for an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// Where.
    pub context: Context,
    /// Which action.
    pub action: Action,
    /// Its keys; none takes its keys away.
    pub keys: Vec<Key>,
}

/// What the file says; what it doesn't mention is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Whose keys to begin with.
    pub preset: Preset,
    /// Keys that are other than the preset's.
    pub keys: Vec<KeyChange>,
    /// Whether the background is light.
    pub light: Option<bool>,
    /// How many colours to use.
    pub colors: Option<Colors>,
    /// Whether to draw with letters beyond ASCII.
    pub unicode: Option<bool>,
    /// Whether the mouse is taken from the terminal.
    pub mouse: Option<bool>,
    /// The time between samples.
    pub interval: Option<Duration>,
    /// Bytes a second while only numbers change.
    pub byte_budget: Option<u32>,
    /// The columns of the container list.
    pub columns: Option<Vec<Column>>,
    /// Whether containers stand by project.
    pub group: Option<bool>,
    /// The image whose tools a shell has in a container whose own image has none.
    pub toolbox_image: Option<String>,
    /// The user's own commands.
    pub commands: Vec<Custom>,
    /// The engines to show when nothing else says which.
    pub hosts: Vec<HostSetting>,
}

impl Config {
    /// Returns the image whose tools a shell has in a container without any.
    pub fn toolbox_image(&self) -> &str {
        self.toolbox_image.as_deref().unwrap_or(wharf_model::TOOLBOX_IMAGE)
    }
}

/// Something wrong with the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in letters.
    pub column: usize,
    /// What is wrong, and the way out.
    pub text: String,
}

/// Tables of the same file that are the engine's, whoever reads them.
pub const ENGINE_TABLES: [&str; 3] = ["registry", "network", "log"];

/// Reads a file as TOML.
///
/// # Errors
/// What keeps it from being that.
pub fn parse(text: &str) -> Result<Spanned<DeTable<'_>>, Problem> {
    DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        problem_at(text, at, error.message().lines().collect::<Vec<_>>().join(", "))
    })
}

/// Returns a problem at this byte of a file.
pub fn problem_at(file: &str, at: usize, text: impl Into<String>) -> Problem {
    let before = file.get(..at).unwrap_or(file);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Problem { line, column, text: text.into() }
}

/// Returns what a file says, and all that is wrong with it.
pub fn read(text: &str) -> (Config, Vec<Problem>) {
    let mut reader = Reader { text, config: Config::default(), problems: Vec::new() };
    match parse(text) {
        Ok(table) => reader.root(table.get_ref()),
        Err(problem) => reader.problems.push(problem),
    }
    reader.problems.sort_by_key(|problem| (problem.line, problem.column));
    (reader.config, reader.problems)
}

/// A key of a table, where it is.
type Name<'n, 'i> = &'n Spanned<std::borrow::Cow<'i, str>>;

/// A value, where it is.
type Value<'n, 'i> = &'n Spanned<DeValue<'i>>;

struct Reader<'t> {
    text: &'t str,
    config: Config,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, at: usize, text: impl Into<String>) {
        self.problems.push(problem_at(self.text, at, text));
    }

    fn unknown(&mut self, name: Name<'_, '_>, what: &str, known: &[String]) {
        let word = name.get_ref();
        let hint = match nearest(word, known) {
            Some(near) => format!("did you mean {near}?"),
            None => "wharf config reference lists them all".to_owned(),
        };
        self.problem(name.span().start, format!("there is no {what} {word}: {hint}"));
    }

    fn root(&mut self, table: &DeTable<'_>) {
        for (name, value) in table {
            match name.get_ref().as_ref() {
                "keys" => self.keys(value),
                "command" => self.commands(value),
                "hosts" => self.hosts(value),
                table if ENGINE_TABLES.contains(&table) => {}
                "theme" => match value.get_ref() {
                    DeValue::Table(table) => self.settings("theme.", table),
                    _ => self.problem(value.span().start, "theme is a table: [theme]"),
                },
                _ => self.setting("", name, value),
            }
        }
    }

    fn settings(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            self.setting(prefix, name, value);
        }
    }

    fn setting(&mut self, prefix: &str, name: Name<'_, '_>, value: Value<'_, '_>) {
        let path = format!("{prefix}{}", name.get_ref());
        let Some(setting) = settings::SETTINGS.iter().find(|setting| setting.path == path) else {
            let known: Vec<String> =
                settings::SETTINGS.iter().map(|setting| setting.path.to_owned()).collect();
            let known: Vec<String> = known
                .iter()
                .filter_map(|path| path.strip_prefix(prefix))
                .map(str::to_owned)
                .collect();
            return self.unknown(name, "setting", &known);
        };
        if let Err(at) = (setting.set)(&mut self.config, value) {
            let text = format!("{path} is {}", setting.values);
            self.problem(at, text);
        }
    }

    fn keys(&mut self, value: Value<'_, '_>) {
        let DeValue::Table(table) = value.get_ref() else {
            return self.problem(value.span().start, "keys is a table: [keys.containers]");
        };
        for (name, value) in table {
            let known: Vec<String> =
                keys::contexts().map(|context| context.word().to_owned()).collect();
            let context = keys::contexts().find(|context| context.word() == name.get_ref());
            match (context, value.get_ref()) {
                (None, _) => self.unknown(name, "list of keys", &known),
                (Some(context), DeValue::Table(actions)) => self.actions(context, actions),
                (Some(context), _) => {
                    let text = format!("keys.{0} is a table: [keys.{0}]", context.word());
                    self.problem(value.span().start, text);
                }
            }
        }
    }

    fn actions(&mut self, context: Context, table: &DeTable<'_>) {
        for (name, value) in table {
            let known: Vec<String> = keys::actions(context).map(Action::word).collect();
            let action = keys::actions(context).find(|a| a.word() == *name.get_ref());
            let Some(action) = action else {
                self.unknown(name, &format!("action in {}:", context.word()), &known);
                continue;
            };
            let Some(keys) = self.key_list(value) else { continue };
            let mut taken = self.config.keys.iter().filter(|change| change.context == context);
            let twice = taken.find(|change| change.keys.iter().any(|key| keys.contains(key)));
            if let Some(twice) = twice {
                let text = format!("{} has this key already", twice.action.word());
                self.problem(value.span().start, text);
                continue;
            }
            self.config.keys.push(KeyChange { context, action, keys });
        }
    }

    /// Returns the keys of a value: one, or a list of them.
    fn key_list(&mut self, value: Value<'_, '_>) -> Option<Vec<Key>> {
        let values = match value.get_ref() {
            DeValue::String(_) => vec![value],
            DeValue::Array(list) => list.iter().collect(),
            _ => {
                self.problem(value.span().start, "a key is a text, several a list of texts");
                return None;
            }
        };
        let mut list = Vec::new();
        for value in values {
            let DeValue::String(text) = value.get_ref() else {
                self.problem(value.span().start, "a key is a text: \"Ctrl-r\"");
                return None;
            };
            list.push(self.key(value.span().start, text)?);
        }
        Some(list)
    }

    /// Returns the key of a text.
    fn key(&mut self, start: usize, text: &str) -> Option<Key> {
        let way_out = |key: &Key| {
            let always = KEYMAP.iter().filter(|binding| binding.context == Context::Always);
            always.flat_map(|binding| binding.keys).any(|always| always == key)
        };
        match text.parse::<Key>() {
            Ok(key) if way_out(&key) => {
                self.problem(start, format!("{text} is the way out, and stays so"));
                None
            }
            Ok(key) => Some(key),
            Err(why) => {
                self.problem(start, why);
                None
            }
        }
    }

    fn commands(&mut self, value: Value<'_, '_>) {
        let DeValue::Array(list) = value.get_ref() else {
            return self.problem(value.span().start, "commands are a list: [[command]]");
        };
        for value in list {
            let DeValue::Table(table) = value.get_ref() else {
                self.problem(value.span().start, "a command is a table: [[command]]");
                continue;
            };
            self.command(value.span().start, table);
        }
    }

    fn command(&mut self, at: usize, table: &DeTable<'_>) {
        let mut custom = Custom {
            name: String::new(),
            key: None,
            on: Context::Containers,
            run: String::new(),
            confirm: true,
        };
        let before = self.problems.len();
        let mut key_at = at;
        for (name, value) in table {
            let start = value.span().start;
            match (name.get_ref().as_ref(), value.get_ref()) {
                ("name", DeValue::String(text)) => custom.name = text.to_string(),
                ("key", DeValue::String(text)) => {
                    custom.key = self.key(start, text);
                    key_at = start;
                }
                ("on", DeValue::String(text)) => {
                    match keys::LISTS.into_iter().find(|context| context.word() == *text) {
                        Some(context) => custom.on = context,
                        None => {
                            let lists = keys::LISTS.map(Context::word).join(", ");
                            self.problem(start, format!("on is one of {lists}"));
                        }
                    }
                }
                ("run", DeValue::String(text)) => {
                    for unknown in placeholders(text).filter(|p| !PLACEHOLDERS.contains(p)) {
                        let known = PLACEHOLDERS.map(|name| format!("{{{name}}}")).join(" ");
                        self.problem(start, format!("{{{unknown}}} is nothing: there are {known}"));
                    }
                    custom.run = text.to_string();
                }
                ("confirm", DeValue::Boolean(confirm)) => custom.confirm = *confirm,
                ("name" | "key" | "on" | "run", _) => {
                    self.problem(start, format!("{} is a text", name.get_ref()));
                }
                ("confirm", _) => self.problem(start, "confirm is true or false"),
                _ => {
                    let known = ["name", "key", "on", "run", "confirm"].map(str::to_owned);
                    self.unknown(name, "setting of a command", &known);
                }
            }
        }
        for (missing, what) in [(custom.name.is_empty(), "name"), (custom.run.is_empty(), "run")] {
            if missing && self.problems.len() == before {
                self.problem(at, format!("this command has no {what}"));
            }
        }
        let same = |other: &&Custom| {
            other.on == custom.on && other.key == custom.key && other.key.is_some()
        };
        if let Some(other) = self.config.commands.iter().find(same) {
            let text = format!("the command {:?} has this key already", other.name);
            self.problem(key_at, text);
        }
        if self.problems.len() == before {
            self.config.commands.push(custom);
        }
    }
}

/// Returns the words in braces of a template.
fn placeholders(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).filter_map(|rest| {
        let (word, _) = rest.split_once('}')?;
        let is_word = !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase());
        is_word.then_some(word)
    })
}

/// Returns a template with its placeholders filled in, each as one word of a shell.
pub(crate) fn fill(template: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let word = after.split_once('}').filter(|(word, _)| PLACEHOLDERS.contains(word));
        match word {
            Some((word, after)) => {
                filled.push_str(&value(word).unwrap_or_default());
                rest = after;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// Returns the known word that a mistyped one is nearest to, if any is near.
pub fn nearest<'k>(word: &str, known: &'k [String]) -> Option<&'k String> {
    let near = known.iter().map(|k| (distance(word, k), k)).min_by_key(|(far, _)| *far)?;
    (near.0 <= 1 + word.chars().count() / 4).then_some(near.1)
}

/// Returns how many letters have to be put in, taken out or exchanged (Levenshtein's distance).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (n, letter) in a.chars().enumerate() {
        let mut corner = n;
        row[0] = n + 1;
        for (m, other) in b.iter().enumerate() {
            let changed = corner + usize::from(letter != *other);
            corner = row[m + 1];
            row[m + 1] = changed.min(row[m] + 1).min(corner + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}
