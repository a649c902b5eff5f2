//! What can come next on a command line, for the shells' completion.
//!
//! The shells' own functions ([`script`]) are short: on each Tab they run this program as
//! `wharf __complete`, which knows the tables of verbs and flags, and looks for live names only when a
//! name can come next. It never fails, never makes anything, and says nothing but its answer.

mod live;
mod script;
mod values;

use crate::args::{Flag, Takes, Verb};
use crate::target::Wanted;
use crate::verbs::{self, Found};
use crate::{GLOBAL, help};

pub(crate) use live::names;
pub(crate) use script::{SHELLS, script};
use values::{Value, value};

/// The word that asks for completions.
pub(crate) const MODE: &str = "__complete";

/// Something that can come next, and a few words about it.
pub(crate) type Candidate = (String, String);

/// What the shell is to offer besides the candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum More {
    /// Nothing.
    #[default]
    Nothing,
    /// Files.
    Files,
    /// Folders.
    Folders,
}

/// Names that only an engine knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// Containers.
    Containers,
    /// Containers that run.
    Running,
    /// Containers that don't.
    Stopped,
    /// Containers that are paused.
    Paused,
    /// Images.
    Images,
    /// Volumes.
    Volumes,
    /// Networks.
    Networks,
    /// Networks that somebody made.
    OwnNetworks,
    /// Whatever can be inspected.
    All,
}

/// What can come next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The candidates, those that don't fit the word among them left out.
    pub(crate) candidates: Vec<Candidate>,
    /// What else.
    pub(crate) more: More,
}

/// Returns the answer for the shell: the word that is completed, a candidate a line, and what else to
/// offer. `words` are those behind the program's name; the last one is not finished.
pub(crate) fn answer(words: &[String], names: &dyn Fn(Names, &Wanted) -> Vec<Candidate>) -> String {
    let line;
    let words = match words {
        [flag, text] if flag == "--line" => {
            line = split(text);
            line.get(1..).unwrap_or_default()
        }
        [flag, rest @ ..] if flag == "--" => rest,
        words => words,
    };
    let (current, before) = match words.split_last() {
        Some((current, before)) => (current.as_str(), before),
        None => ("", &[][..]),
    };
    let answer = complete(before, current, names);
    let mut out = format!("={current}\n");
    for (value, about) in answer.candidates {
        out.push_str(&format!("{value}\t{about}\n"));
    }
    out.push_str(match answer.more {
        More::Nothing => ":\n",
        More::Files => ":files\n",
        More::Folders => ":folders\n",
    });
    out
}

/// Returns what can come where `current` stands.
pub(crate) fn complete(
    before: &[String],
    current: &str,
    names: &dyn Fn(Names, &Wanted) -> Vec<Candidate>,
) -> Answer {
    let globals: Vec<&Flag> = GLOBAL.iter().flat_map(|part| part.iter()).collect();
    let (found, used) = read(&globals, before, false);
    let global = |long: &str| {
        let given = found.given.iter().rev().find(|(flag, _)| flag.long == long);
        given.map(|(_, value)| value.clone())
    };
    let engine = Wanted {
        hosts: global("host").into_iter().collect(),
        contexts: global("context").into_iter().collect(),
        root: global("root"),
        tls: global("tls").map(|_| true),
        verify: global("tlsverify").map(|_| true),
        authority: global("tlscacert"),
        certificate: global("tlscert"),
        key: global("tlskey"),
    };
    let names = |wanted| names(wanted, &engine);
    if let Some(flag) = found.open {
        return of_value(None, flag, "", current, &names);
    }
    let rest = &before[used..];
    if rest.is_empty() {
        return first(&globals, current, &names);
    }
    let rest = if rest[0] == "help" { &rest[1..] } else { rest };
    let without;
    let rest = match rest.split_first() {
        Some((group, words)) if group == verbs::oci::NAME => {
            // This group has flags of its own before its verbs.
            let flags: Vec<&Flag> =
                verbs::oci::GLOBAL.iter().flat_map(|part| part.iter()).collect();
            let (found, used) = read(&flags, words, false);
            if let Some(flag) = found.open {
                return of_value(None, flag, "", current, &names);
            }
            if current.starts_with('-') && used == words.len() {
                return of_flags(None, &flags, current, &names);
            }
            without = [&rest[..1], &words[used..]].concat();
            &without
        }
        _ => rest,
    };
    match verbs::find(rest) {
        Found::Verb { verb, used, .. } => of_verb(verb, &rest[used..], current, &names),
        Found::Group(section) => {
            let members = help::members(section);
            fitting(members.into_iter().map(|(name, verb)| candidate(name, verb.about)), current)
        }
        Found::Help(_) => first(&[], current, &names),
        _ => Answer::default(),
    }
}

fn candidate(value: &str, about: &str) -> Candidate {
    (value.to_owned(), about.to_owned())
}

fn fitting(candidates: impl IntoIterator<Item = Candidate>, current: &str) -> Answer {
    let candidates = candidates.into_iter().filter(|(value, _)| value.starts_with(current));
    Answer { candidates: candidates.collect(), more: More::Nothing }
}

/// Where the verb, or a flag before it, can come.
fn first(globals: &[&Flag], current: &str, names: &dyn Fn(Names) -> Vec<Candidate>) -> Answer {
    if current.starts_with('-') {
        return of_flags(None, globals, current, names);
    }
    let verbs = verbs::top_level().map(|verb| candidate(verb.name, verb.about));
    let sections = verbs::SECTIONS.iter().map(|section| candidate(section.name, section.about));
    let help = [candidate("help", "Show the help of a command")];
    fitting(verbs.chain(sections).chain(help), current)
}

fn of_verb(
    verb: &'static Verb,
    words: &[String],
    current: &str,
    names: &dyn Fn(Names) -> Vec<Candidate>,
) -> Answer {
    let flags: Vec<&Flag> = verb.all_flags().collect();
    let (found, _) = read(&flags, words, verb.interspersed);
    if let Some(flag) = found.open {
        return of_value(Some(verb), flag, "", current, names);
    }
    let flags_end = found.ended || !verb.interspersed && found.arguments > 0;
    if current.starts_with('-') && !flags_end {
        return of_flags(Some(verb), &flags, current, names);
    }
    of(values::argument(verb.name, found.arguments), "", current, names)
}

/// Returns the flags that fit, or the values of the one that ends with `=`.
fn of_flags(
    verb: Option<&Verb>,
    flags: &[&Flag],
    current: &str,
    names: &dyn Fn(Names) -> Vec<Candidate>,
) -> Answer {
    if let Some((name, text)) = current.split_once('=') {
        let long = name.trim_start_matches('-');
        return match flags.iter().find(|flag| flag.long == long || flag.aliases.contains(&long)) {
            Some(flag) => of_value(verb, flag, &format!("{name}="), text, names),
            None => Answer::default(),
        };
    }
    let mut candidates: Vec<Candidate> =
        flags.iter().map(|flag| candidate(&format!("--{}", flag.long), flag.help)).collect();
    if current == "-" {
        let letters = flags.iter().filter_map(|flag| Some((flag.short?, flag.help)));
        candidates.extend(letters.map(|(letter, help)| candidate(&format!("-{letter}"), help)));
    }
    if verb.is_some() {
        candidates.push(candidate("--help", "Show the help"));
    }
    candidates.sort_unstable();
    candidates.dedup();
    fitting(candidates, current)
}

fn of_value(
    verb: Option<&Verb>,
    flag: &Flag,
    prefix: &str,
    current: &str,
    names: &dyn Fn(Names) -> Vec<Candidate>,
) -> Answer {
    of(value(verb.map_or("", |verb| verb.name), flag.long, current), prefix, current, names)
}

fn of(
    value: Value,
    prefix: &str,
    current: &str,
    names: &dyn Fn(Names) -> Vec<Candidate>,
) -> Answer {
    let mut answer = match value {
        Value::Nothing => Answer::default(),
        Value::Words(words) => fitting(words.into_iter().map(|word| candidate(&word, "")), current),
        Value::Files => Answer { more: More::Files, ..Answer::default() },
        Value::Folders => Answer { more: More::Folders, ..Answer::default() },
        Value::Names(wanted) => fitting(names(wanted), current),
        Value::Within(prefix, wanted) => {
            let named = names(wanted).into_iter();
            fitting(named.map(|(name, about)| (format!("{prefix}{name}"), about)), current)
        }
        Value::NamesAnd(wanted, words) => {
            let mut all = names(wanted);
            let more = words.iter().filter(|word| all.iter().all(|(name, _)| name != *word));
            all.extend(more.map(|word| candidate(word, "")).collect::<Vec<_>>());
            fitting(all, current)
        }
    };
    for (value, _) in &mut answer.candidates {
        value.insert_str(0, prefix);
    }
    answer
}

/// What words hold that are flags and arguments.
#[derive(Default)]
struct Read<'a> {
    given: Vec<(&'a Flag, String)>,
    arguments: usize,
    /// A flag whose value comes next.
    open: Option<&'a Flag>,
    /// Whether `--` ended the flags.
    ended: bool,
}

/// Reads words as the parser does, but forgives everything; returns how many came before the first
/// argument, too.
fn read<'a>(flags: &[&'a Flag], words: &[String], interspersed: bool) -> (Read<'a>, usize) {
    let mut found = Read::default();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let argument = found.ended || word == "-" || !word.starts_with('-');
        if argument {
            if !interspersed {
                found.arguments += words.len() - at;
                return (found, at);
            }
            found.arguments += 1;
            at += 1;
            continue;
        }
        at += 1;
        if word == "--" {
            found.ended = true;
            continue;
        }
        let Some((flag, value)) = flag_of(flags, word) else { continue };
        if flag.takes == Takes::Switch {
            continue;
        }
        match value.or_else(|| words.get(at).cloned().inspect(|_| at += 1)) {
            Some(value) => found.given.push((flag, value)),
            None => found.open = Some(flag),
        }
    }
    (found, at)
}

/// Returns the flag that a word names, the last one of several letters, and its value if the word
/// has it.
fn flag_of<'a>(flags: &[&'a Flag], word: &str) -> Option<(&'a Flag, Option<String>)> {
    if let Some(text) = word.strip_prefix("--") {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let named = |flag: &&&Flag| flag.long == name || flag.aliases.contains(&name);
        return Some((flags.iter().find(named)?, value));
    }
    let letters = word.strip_prefix('-')?;
    for (index, letter) in letters.char_indices() {
        let flag = flags.iter().find(|flag| flag.short == Some(letter))?;
        let rest = &letters[index + letter.len_utf8()..];
        if flag.takes != Takes::Switch || rest.is_empty() {
            let value = rest.strip_prefix('=').unwrap_or(rest);
            return Some((flag, (!rest.is_empty()).then(|| value.to_owned())));
        }
    }
    None
}

/// Returns the words of a line as a shell splits it; the last one is what the cursor is at, perhaps
/// empty.
fn split(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    let mut letters = line.chars();
    let mut between = true;
    while let Some(c) = letters.next() {
        match (quote, c) {
            (None, ' ' | '\t' | '\n') => {
                if !between {
                    words.push(String::new());
                }
                between = true;
                continue;
            }
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            (None | Some('"'), '\\') => {
                if let (Some(word), Some(c)) = (words.last_mut(), letters.next()) {
                    word.push(c);
                }
            }
            (_, c) => {
                if let Some(word) = words.last_mut() {
                    word.push(c);
                }
            }
        }
        between = false;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(names: Names, engine: &Wanted) -> Vec<Candidate> {
        let all: &[&str] = match names {
            Names::Running => &["web"],
            Names::Stopped => &["done"],
            Names::Paused => &[],
            Names::Containers => &["web", "done"],
            Names::Volumes => &["data"],
            Names::Networks => &["bridge", "host", "none", "net"],
            Names::OwnNetworks => &["net"],
            Names::Images => &["box:latest", "wharf/demo:latest"],
            Names::All => &["web", "done", "box:latest", "bridge", "net", "data"],
        };
        let root = engine.root.clone().unwrap_or_default();
        all.iter().map(|name| candidate(name, &root)).collect()
    }

    fn values(line: &str) -> Vec<String> {
        let words = split(line);
        let (current, before) = words.split_last().unwrap();
        let answer = complete(&before[1..], current, &live);
        answer.candidates.into_iter().map(|(value, _)| value).collect()
    }

    #[test]
    fn lines_are_split_as_shells_do() {
        assert_eq!(
            split("wharf  run 'a b' c\\ d \"e\\\"f\" g"),
            ["wharf", "run", "a b", "c d", "e\"f", "g"]
        );
        assert_eq!(split("wharf ps "), ["wharf", "ps", ""]);
        assert_eq!(split(""), [""]);
        assert_eq!(split("wharf 'open"), ["wharf", "open"]);
    }

    #[test]
    fn verbs_and_groups() {
        assert_eq!(values("wharf res"), ["restart"]);
        assert!(values("wharf ").len() > 20 && values("wharf ").contains(&"container".to_owned()));
        assert_eq!(values("wharf container pr"), ["prune"]);
        assert_eq!(values("wharf --root /x system ev"), ["events"]);
        assert_eq!(values("wharf help resta"), ["restart"]);
        assert!(values("wharf nonsense x").is_empty());
        assert_eq!(values("wharf oci --root /x --debug sta"), ["start", "state"]);
        assert_eq!(values("wharf oci --log-f"), ["--log-format"]);
        assert_eq!(values("wharf oci --log-format j"), ["json"]);
        assert_eq!(values("wharf oci --debug kill --a"), ["--all"]);
    }

    #[test]
    fn flags_and_their_values() {
        assert_eq!(values("wharf ps --no"), ["--no-trunc"]);
        assert!(values("wharf ps -").contains(&"-q".to_owned()));
        assert_eq!(values("wharf --ro"), ["--root"]);
        assert_eq!(values("wharf run --network h"), ["host"]);
        assert_eq!(values("wharf run --network=h"), ["--network=host"]);
        assert_eq!(values("wharf run --net c"), ["container:"]);
        assert_eq!(values("wharf kill -s SIGK"), ["SIGKILL"]);
        assert_eq!(values("wharf kill -s KI"), ["KILL"]);
        assert_eq!(values("wharf ps --filter stat"), ["status="]);
        assert_eq!(values("wharf ps --filter status=ex"), ["status=exited"]);
        assert_eq!(values("wharf ps -af status=p"), ["status=paused"]);
        assert_eq!(values("wharf ps --format j"), ["json"]);
        assert_eq!(values("wharf inspect --type i"), ["image"]);
        // What comes after the image is a command for the container.
        assert!(values("wharf run box --").is_empty());
        assert!(values("wharf run -it box sh -").is_empty());
        assert!(values("wharf rm -- --").is_empty());
    }

    #[test]
    fn names_are_asked_for_where_they_can_come() {
        assert_eq!(values("wharf stop "), ["web"]);
        assert_eq!(values("wharf start "), ["done"]);
        assert_eq!(values("wharf rm -f w"), ["web"]);
        assert_eq!(values("wharf container inspect d"), ["done"]);
        assert_eq!(values("wharf run -d --name x b"), ["box:latest"]);
        assert_eq!(values("wharf run --rm -m 64m wharf"), ["wharf/demo:latest"]);
        assert_eq!(values("wharf inspect b"), ["box:latest", "bridge"]);
        assert_eq!(values("wharf inspect d"), ["done", "data"]);
        assert_eq!(values("wharf network rm "), ["net"]);
        assert_eq!(values("wharf network inspect n"), ["none", "net"]);
        assert_eq!(values("wharf network connect n"), ["none", "net"]);
        assert_eq!(values("wharf network connect net "), ["web", "done"]);
        assert!(values("wharf network disconnect net web ").is_empty());
        assert_eq!(values("wharf network reach "), ["web"]);
        assert_eq!(values("wharf network reach web d"), ["done"]);
        assert_eq!(values("wharf run --network n"), ["none", "net"]);
        assert_eq!(values("wharf run --net=ne"), ["--net=net"]);
        assert_eq!(values("wharf run --network container:w"), ["container:web"]);
        assert_eq!(values("wharf run --link w"), ["web"]);
        assert_eq!(values("wharf ps --filter network=n"), ["network=none", "network=net"]);
        assert_eq!(values("wharf volume rm d"), ["data"]);
        assert_eq!(values("wharf volume clone d"), ["data"]);
        assert_eq!(values("wharf ps --filter volume="), ["volume=data"]);
        assert_eq!(values("wharf rename w"), ["web"]);
        assert!(values("wharf rename web ").is_empty());
        assert_eq!(values("wharf exec -it "), ["web"]);
        let words = split("wharf --root=/r stop w");
        let answer = complete(&words[1..3], &words[3], &live);
        assert_eq!(answer.candidates, [candidate("web", "/r")]);
        let text = answer_of("wharf load -i ");
        assert_eq!(text, "=\n:files\n");
    }

    fn answer_of(line: &str) -> String {
        answer(&["--line".to_owned(), line.to_owned()], &live)
    }

    #[test]
    fn no_word_is_the_end() {
        for verb in verbs::all() {
            for tail in ["", "-", "--", "--=", "--x=", "-- ", "é", "--filter ", "--format=", "a b "]
            {
                answer_of(&format!("wharf {} {tail}", verb.name));
                answer_of(&format!("wharf --root {} {tail}", verb.name));
            }
        }
        assert_eq!(answer(&[], &live).lines().next(), Some("="));
    }
}
