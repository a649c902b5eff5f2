//! The verbs, one a file, and how words find them.

mod attach;
mod boot;
mod check;
mod commit;
mod completion;
pub(crate) mod config;
mod context;
pub(crate) mod cp;
pub(crate) mod create;
mod debug;
mod demo;
mod df;
mod diff;
mod events;
mod exec;
mod export;
mod history;
mod images;
mod import;
mod info;
mod inspect;
mod kill;
mod load;
mod login;
mod logs;
mod man;
mod manifest;
mod network;
pub(crate) mod oci;
mod pause;
mod port;
mod prune;
mod ps;
mod pull;
mod push;
mod recorder;
mod rename;
mod replay;
mod reset;
mod rm;
mod rmi;
pub(crate) mod run;
mod save;
mod serve;
mod service;
mod start;
mod stats;
mod stop;
mod tag;
mod top;
pub(crate) mod ui;
pub(crate) mod update;
mod userns_remap;
mod version;
mod volume;
mod volume_data;
mod wait;

use crate::args::Verb;

/// All verbs, in the order the help lists them.
static VERBS: &[&Verb] = &[
    &ui::VERB,
    &replay::VERB,
    &demo::VERB,
    &run::VERB,
    &create::VERB,
    &exec::VERB,
    &debug::VERB,
    &attach::VERB,
    &cp::VERB,
    &start::VERB,
    &stop::STOP,
    &stop::RESTART,
    &kill::VERB,
    &pause::PAUSE,
    &pause::UNPAUSE,
    &update::VERB,
    &wait::VERB,
    &rename::VERB,
    &rm::VERB,
    &ps::VERB,
    &logs::VERB,
    &stats::VERB,
    &top::VERB,
    &port::VERB,
    &inspect::VERB,
    &diff::VERB,
    &images::VERB,
    &history::VERB,
    &commit::VERB,
    &export::VERB,
    &import::VERB,
    &load::VERB,
    &pull::VERB,
    &push::VERB,
    &login::LOGIN,
    &login::LOGOUT,
    &save::VERB,
    &tag::VERB,
    &rmi::VERB,
    &events::VERB,
    &info::VERB,
    &version::VERB,
    &boot::VERB,
    &serve::VERB,
    &completion::VERB,
    &man::VERB,
];

/// Verbs that are found in a group only, since at the top their names mean more.
static GROUPED: &[&Verb] = &[
    &inspect::CONTAINER,
    &inspect::IMAGE,
    &manifest::INSPECT,
    &prune::VERB,
    &prune::IMAGES,
    &prune::SYSTEM,
    &config::CHECK,
    &config::REFERENCE,
    &context::LS,
    &context::USE,
    &context::SHOW,
    &context::INSPECT,
    &context::CREATE,
    &context::RM,
    &df::VERB,
    &check::VERB,
    &reset::VERB,
    &service::VERB,
    &userns_remap::VERB,
    &recorder::VERB,
    &volume::CREATE,
    &volume::LS,
    &inspect::VOLUME,
    &volume::RM,
    &volume::PRUNE,
    &volume::UPDATE,
    &volume_data::SIZE,
    &volume_data::EXPORT,
    &volume_data::IMPORT,
    &volume_data::CLONE,
];

/// A group of docker's.
pub(crate) struct Section {
    /// Its name.
    pub(crate) name: &'static str,
    /// One line about it.
    pub(crate) about: &'static str,
}

/// The groups that have verbs.
pub(crate) static SECTIONS: [Section; 9] = [
    Section { name: "config", about: "Settings of the dashboard and of the engine" },
    Section { name: "context", about: "Names for engines, as docker knows them" },
    Section { name: "container", about: "Manage containers" },
    Section { name: "image", about: "Manage images" },
    Section { name: "manifest", about: "Look at manifests in registries" },
    Section { name: "network", about: "Manage networks" },
    Section { name: "oci", about: "Be the OCI runtime of podman, containerd and docker" },
    Section { name: "system", about: "Manage wharf" },
    Section { name: "volume", about: "Manage volumes" },
];

/// Docker's commands that don't work yet; a group's name stands for all of it.
const MISSING: &[&str] = &[
    "build",
    "builder",
    "buildx",
    "checkpoint",
    "compose",
    "config create",
    "config inspect",
    "config ls",
    "config rm",
    "context export",
    "context import",
    "context update",
    "image build",
    "manifest annotate",
    "manifest create",
    "manifest push",
    "manifest rm",
    "node",
    "plugin",
    "search",
    "secret",
    "service",
    "stack",
    "swarm",
    "trust",
];

/// What to do instead of some of them.
const WAYS_OUT: &[(&str, &str)] = &[
    ("image build", "build the image elsewhere, and pull, load or import it"),
    ("build", "build the image elsewhere, and pull, load or import it"),
    (
        "manifest annotate",
        "docker or podman make lists of manifests; 'manifest inspect' reads them",
    ),
    ("manifest create", "docker or podman make lists of manifests; 'manifest inspect' reads them"),
    ("manifest push", "docker or podman make lists of manifests; 'manifest inspect' reads them"),
    ("manifest rm", "docker or podman make lists of manifests; 'manifest inspect' reads them"),
    ("search", "look for images at hub.docker.com, and pull them by name"),
];

/// Returns what to do instead of a command that doesn't work yet, or nothing.
pub(crate) fn way_out(path: &str) -> &'static str {
    WAYS_OUT.iter().find(|(missing, _)| *missing == path).map_or("", |(_, way)| way)
}

/// What words mean.
pub(crate) enum Found<'a> {
    /// A verb, as it was called, and how many words that took.
    Verb {
        /// Its entry.
        verb: &'static Verb,
        /// As it was called.
        path: String,
        /// Words before its flags.
        used: usize,
    },
    /// A group without a verb.
    Group(&'static Section),
    /// `help` and what it is wanted for.
    Help(&'a [String]),
    /// A command of docker's that doesn't work yet.
    Missing(String),
    /// Nothing known.
    Unknown(String),
}

/// Returns the verbs at the top.
pub(crate) fn top_level() -> impl Iterator<Item = &'static Verb> {
    VERBS.iter().copied()
}

/// Returns all verbs.
pub(crate) fn all() -> impl Iterator<Item = &'static Verb> {
    let groups = network::VERBS.iter().chain(oci::VERBS.iter());
    VERBS.iter().chain(GROUPED.iter()).chain(groups).copied()
}

/// Returns the verb that words begin with.
pub(crate) fn find(words: &[String]) -> Found<'_> {
    let Some(first) = words.first() else { return Found::Help(&[]) };
    if first == "help" {
        return Found::Help(&words[1..]);
    }
    if let Some(verb) = VERBS.iter().find(|verb| verb.name == first) {
        return Found::Verb { verb, path: first.clone(), used: 1 };
    }
    let section = SECTIONS.iter().find(|section| section.name == first);
    if let Some(section) = section {
        let Some(second) = words.get(1).filter(|word| !word.starts_with('-')) else {
            return Found::Group(section);
        };
        let path = format!("{first} {second}");
        return match all().find(|verb| verb.paths.contains(&path.as_str())) {
            Some(verb) => Found::Verb { verb, path, used: 2 },
            None if MISSING.contains(&path.as_str()) => Found::Missing(path),
            None => Found::Unknown(path),
        };
    }
    if MISSING.contains(&first.as_str()) {
        return Found::Missing(first.clone());
    }
    Found::Unknown(first.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_of(line: &str) -> Option<(&'static str, usize)> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        match find(&words) {
            Found::Verb { verb, used, .. } => Some((verb.name, used)),
            _ => None,
        }
    }

    #[test]
    fn verbs_and_groups_are_found() {
        assert_eq!(path_of("ps -a"), Some(("ps", 1)));
        assert_eq!(path_of("container ls -a"), Some(("ps", 2)));
        assert_eq!(path_of("container ps"), Some(("ps", 2)));
        assert_eq!(path_of("image rm x"), Some(("rmi", 2)));
        assert_eq!(path_of("container inspect x"), Some(("container inspect", 2)));
        assert_eq!(path_of("system info"), Some(("info", 2)));
        assert_eq!(path_of("foo"), None);
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(matches!(find(&words("search x")), Found::Missing(_)));
        assert!(matches!(find(&words("image build")), Found::Missing(_)));
        assert!(matches!(find(&words("container foo")), Found::Unknown(_)));
        assert!(matches!(find(&words("container --help")), Found::Group(_)));
    }

    #[test]
    fn tables_hold_no_name_twice() {
        for verb in all() {
            let mut names: Vec<&str> = verb.all_flags().map(|flag| flag.long).collect();
            names.extend(verb.all_flags().flat_map(|flag| flag.aliases));
            names.extend(verb.missing.iter().map(|(long, _)| long));
            let mut letters: Vec<char> = verb.all_flags().filter_map(|flag| flag.short).collect();
            letters.extend(verb.missing.iter().filter_map(|(_, letter)| *letter));
            let (count, letter_count) = (names.len(), letters.len());
            names.sort_unstable();
            names.dedup();
            letters.sort_unstable();
            letters.dedup();
            assert_eq!((names.len(), letters.len()), (count, letter_count), "{}", verb.name);
        }
        let mut paths: Vec<&str> = all().flat_map(|verb| verb.paths).copied().collect();
        let count = paths.len();
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), count);
    }
}
