//! Help texts, made from the tables that the parser reads.

use crate::args::{Flag, Group, Takes, Verb};
use crate::verbs::{self, Section};

const GROUPS: [(Group, &str); 6] = [
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
    out.push_str(&flags(globals.iter().flat_map(|part| part.iter()).copied()));
    out.push_str("\nRun 'wharf COMMAND --help' for more information on a command.\n");
    out
}

/// Returns the help of a group such as `container`.
pub(crate) fn group(section: &Section) -> String {
    let mut out =
        format!("Usage:  wharf {} COMMAND\n\n{}\n\nCommands:\n", section.name, section.about);
    let mut rows: Vec<(&str, &str)> = verbs::all()
        .flat_map(|verb| verb.paths.iter().map(move |path| (*path, verb.about)))
        .filter_map(|(path, about)| {
            let (first, rest) = path.split_once(' ')?;
            (first == section.name).then_some((rest, about))
        })
        .collect();
    rows.sort_unstable();
    for (name, about) in rows {
        out.push_str(&format!("  {name:<10}  {about}\n"));
    }
    out.push_str(&format!(
        "\nRun 'wharf {} COMMAND --help' for more information on a command.\n",
        section.name
    ));
    out
}

/// Returns the help of one verb.
pub(crate) fn verb(verb: &Verb, path: &str) -> String {
    let mut out = format!("Usage:  wharf {path}");
    if !verb.usage.is_empty() {
        out.push(' ');
        out.push_str(verb.usage);
    }
    out.push_str(&format!("\n\n{}\n", verb.about));
    if !verb.paths.is_empty() {
        let mut names: Vec<String> =
            verb.paths.iter().map(|path| format!("wharf {path}")).collect();
        names.push(format!("wharf {}", verb.name));
        out.push_str(&format!("\nAliases:\n  {}\n", names.join(", ")));
    }
    if verb.all_flags().next().is_some() {
        out.push_str("\nOptions:\n");
        out.push_str(&flags(verb.all_flags().copied()));
    }
    out
}

fn flags(flags: impl Iterator<Item = Flag>) -> String {
    let mut flags: Vec<Flag> = flags.collect();
    flags.sort_unstable_by_key(|flag| flag.long);
    let rows: Vec<(String, &str)> = flags
        .iter()
        .map(|flag| {
            let letter = flag.short.map_or("    ".to_owned(), |letter| format!("-{letter}, "));
            let what = match flag.takes {
                Takes::Switch => String::new(),
                Takes::Value(what) | Takes::List(what) => format!(" {what}"),
            };
            (format!("{letter}--{}{what}", flag.long), flag.help)
        })
        .collect();
    let width = rows.iter().map(|(left, _)| left.len()).max().unwrap_or(0);
    rows.iter().map(|(left, help)| format!("  {left:<width$}   {help}\n")).collect()
}
