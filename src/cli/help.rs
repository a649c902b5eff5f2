//! Help texts, made from the tables that the parser reads.

use crate::args::headings::{HEADINGS, heading};
use crate::args::{Flag, Group, Takes, Verb};
use crate::verbs::{self, Section};

/// The headings of the verbs.
pub(crate) const GROUPS: [(Group, &str); 6] = [
    (Group::Dashboard, "Dashboard"),
    (Group::Run, "Run containers"),
    (Group::Lifecycle, "Steer containers"),
    (Group::Observe, "Watch containers"),
    (Group::Images, "Images"),
    (Group::System, "Engine"),
];

/// Returns `wharf --help`.
pub(crate) fn overview(globals: &[&[Flag]]) -> String {
    let mut out = String::from(
        "Usage:  wharf [OPTIONS] COMMAND\n\nRuns containers and shows them. Without a command, \
         opens the dashboard.\n",
    );
    for (group, title) in GROUPS {
        out.push_str(&format!("\n{title}:\n"));
        for verb in verbs::top_level().filter(|verb| verb.group == group) {
            out.push_str(&format!("  {:<10}  {}\n", verb.name, verb.about));
        }
    }
    out.push_str("\nGrouped as docker has them:\n");
    for section in &verbs::SECTIONS {
        out.push_str(&format!("  {:<10}  {}\n", section.name, section.about));
    }
    out.push_str("\nOptions:\n");
    out.push_str(&options(globals));
    out.push_str("\nRun 'wharf COMMAND --help' for more information on a command.\n");
    out
}

/// Returns the help of a group such as `container`.
pub(crate) fn group(section: &Section) -> String {
    let mut out =
        format!("Usage:  wharf {} COMMAND\n\n{}\n\nCommands:\n", section.name, section.about);
    for (name, verb) in members(section) {
        out.push_str(&format!("  {name:<10}  {}\n", verb.about));
    }
    out.push_str(&format!(
        "\nRun 'wharf {} COMMAND --help' for more information on a command.\n",
        section.name
    ));
    out
}

/// Returns the verbs of a group by what they are called there, in the order of these names.
pub(crate) fn members(section: &Section) -> Vec<(&'static str, &'static Verb)> {
    let mut members: Vec<(&str, &Verb)> = verbs::all()
        .flat_map(|verb| verb.paths.iter().map(move |path| (*path, verb)))
        .filter_map(|(path, verb)| {
            let (first, rest) = path.split_once(' ')?;
            (first == section.name).then_some((rest, verb))
        })
        .collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    members
}

/// Returns the help of one verb.
pub(crate) fn verb(verb: &Verb, path: &str) -> String {
    let mut out = format!("Usage:  wharf {path}");
    if !verb.usage.is_empty() {
        out.push(' ');
        out.push_str(verb.usage);
    }
    out.push_str(&format!("\n\n{}\n", verb.about));
    let others: Vec<&&str> = verb.paths.iter().filter(|path| **path != verb.name).collect();
    if !others.is_empty() {
        let mut names: Vec<String> = others.iter().map(|path| format!("wharf {path}")).collect();
        names.push(format!("wharf {}", verb.name));
        out.push_str(&format!("\nAliases:\n  {}\n", names.join(", ")));
    }
    for (title, flags) in sections(verb) {
        out.push_str(&format!("\n{title}:\n"));
        out.push_str(&self::flags(flags.into_iter(), width(verb.all_flags().copied())));
    }
    out
}

/// Above this many flags, they have headings of their own.
const MANY: usize = 20;

/// Returns a verb's flags by name, below the headings that a reader needs.
pub(crate) fn sections(verb: &Verb) -> Vec<(String, Vec<Flag>)> {
    let mut all: Vec<Flag> = verb.all_flags().copied().collect();
    all.sort_unstable_by_key(|flag| flag.long);
    if all.is_empty() {
        return Vec::new();
    }
    if all.len() <= MANY {
        return vec![("Options".to_owned(), all)];
    }
    let below = |title: &str| -> Vec<Flag> {
        all.iter().filter(|flag| heading(flag) == title).copied().collect()
    };
    HEADINGS
        .iter()
        .map(|heading| (format!("{} options", heading.title), below(heading.title)))
        .filter(|(_, flags)| !flags.is_empty())
        .collect()
}

/// Returns a table of flags.
pub(crate) fn options(tables: &[&[Flag]]) -> String {
    let all = || tables.iter().flat_map(|part| part.iter()).copied();
    flags(all(), width(all()))
}

/// Returns a flag as the help shows it: `-m, --memory bytes`.
pub(crate) fn spelled(flag: &Flag) -> String {
    let letter = flag.short.map_or("    ".to_owned(), |letter| format!("-{letter}, "));
    let what = match flag.takes {
        Takes::Switch => String::new(),
        Takes::Value(what) | Takes::List(what) => format!(" {what}"),
    };
    format!("{letter}--{}{what}", flag.long)
}

fn width(flags: impl Iterator<Item = Flag>) -> usize {
    flags.map(|flag| spelled(&flag).len()).max().unwrap_or(0)
}

fn flags(flags: impl Iterator<Item = Flag>, width: usize) -> String {
    flags.map(|flag| format!("  {:<width$}   {}\n", spelled(&flag), flag.help)).collect()
}
