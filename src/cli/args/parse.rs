//! Reads a verb's flags and arguments by its table.

use super::{Arity, Flag, Missing, Takes, Verb, values};

/// A command line that can't be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UsageError {
    /// A flag that isn't there, has no value or a bad one (exit code 125).
    Flag(String),
    /// Too many or too few arguments (exit code 1).
    Arguments(String),
}

/// The flags and arguments of one call.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    values: Vec<(&'static str, String)>,
    /// What isn't a flag, in order.
    pub(crate) arguments: Vec<String>,
    /// Whether `--help` was among the flags.
    pub(crate) help: bool,
}

impl Parsed {
    /// Returns whether a switch is on.
    pub(crate) fn on(&self, long: &str) -> bool {
        self.last(long) == Some("true")
    }

    /// Returns the last value given for a flag.
    pub(crate) fn last(&self, long: &str) -> Option<&str> {
        self.values.iter().rev().find(|(name, _)| *name == long).map(|(_, value)| value.as_str())
    }

    /// Returns all values given for a flag, in order.
    pub(crate) fn all<'a>(&'a self, long: &'a str) -> impl Iterator<Item = &'a str> {
        self.values.iter().filter(move |(name, _)| *name == long).map(|(_, value)| value.as_str())
    }

    /// Takes over the flags that were given before the verb.
    pub(crate) fn adopt(&mut self, before: Self) {
        self.values.splice(0..0, before.values);
    }

    /// Returns an argument, or nothing where there are fewer.
    pub(crate) fn argument(&self, index: usize) -> Option<&str> {
        self.arguments.get(index).map(String::as_str)
    }
}

/// Returns what a verb was asked for.
///
/// # Errors
/// In docker's words.
pub(crate) fn parse(verb: &Verb, words: &[String]) -> Result<Parsed, UsageError> {
    let grammar =
        Grammar { flags: verb.flags, missing: verb.missing, interspersed: verb.interspersed };
    let (parsed, _) = read(&grammar, words)?;
    if !parsed.help {
        check_arity(verb, parsed.arguments.len())?;
    }
    Ok(parsed)
}

/// Returns the flags before the verb, and how many words they take.
///
/// # Errors
/// In docker's words.
pub(crate) fn parse_globals(
    flags: &'static [&'static [Flag]],
    missing: &'static [Missing],
    words: &[String],
) -> Result<(Parsed, usize), UsageError> {
    read(&Grammar { flags, missing, interspersed: false }, words)
}

/// What can be read.
struct Grammar {
    flags: &'static [&'static [Flag]],
    missing: &'static [Missing],
    interspersed: bool,
}

impl Grammar {
    fn find(&self, wanted: impl Fn(&Flag) -> bool) -> Option<&'static Flag> {
        self.flags.iter().flat_map(|part| part.iter()).find(|flag| wanted(flag))
    }

    fn missing(&self, wanted: impl Fn(&Missing) -> bool) -> Option<&'static str> {
        self.missing.iter().find(|flag| wanted(flag)).map(|(long, _)| *long)
    }
}

/// Returns what was read and how many words came before the first argument.
fn read(grammar: &Grammar, words: &[String]) -> Result<(Parsed, usize), UsageError> {
    let mut parsed = Parsed::default();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        if word == "--" {
            parsed.arguments.extend_from_slice(&words[at + 1..]);
            return Ok((parsed, at + 1));
        }
        if let Some(long) = word.strip_prefix("--") {
            at += 1;
            at += read_long(grammar, long, words.get(at), &mut parsed)?;
        } else if word.len() > 1 && word.starts_with('-') {
            at += 1;
            at += read_short(grammar, &word[1..], words.get(at), &mut parsed)?;
        } else if grammar.interspersed {
            parsed.arguments.push(word.clone());
            at += 1;
        } else {
            parsed.arguments.extend_from_slice(&words[at..]);
            return Ok((parsed, at));
        }
    }
    Ok((parsed, at))
}

/// Reads `--name`, `--name=value` or `--name value`; returns how many further words it took.
fn read_long(
    grammar: &Grammar,
    text: &str,
    next: Option<&String>,
    parsed: &mut Parsed,
) -> Result<usize, UsageError> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    if name.is_empty() || name.starts_with('-') {
        return Err(UsageError::Flag(format!("bad flag syntax: --{text}")));
    }
    let named = |flag: &Flag| flag.long == name || flag.aliases.contains(&name);
    let Some(flag) = grammar.find(named) else {
        if name == "help" {
            parsed.help = true;
            return Ok(0);
        }
        return Err(match grammar.missing(|(long, _)| *long == name) {
            Some(long) => refused(long, &format!("--{long}")),
            None => UsageError::Flag(format!("unknown flag: --{name}")),
        });
    };
    match (flag.takes, value, next) {
        (Takes::Switch, None, _) => parsed.values.push((flag.long, "true".to_owned())),
        (Takes::Switch, Some(value), _) => {
            parsed.values.push((flag.long, boolean(flag, value)?.to_string()));
        }
        (_, Some(value), _) => parsed.values.push((flag.long, value.to_owned())),
        (_, None, Some(next)) => {
            parsed.values.push((flag.long, next.clone()));
            return Ok(1);
        }
        (_, None, None) => {
            return Err(UsageError::Flag(format!("flag needs an argument: --{name}")));
        }
    }
    Ok(0)
}

/// Reads `-abc`, `-mVALUE`, `-m=VALUE` or `-m VALUE`; returns how many further words it took.
fn read_short(
    grammar: &Grammar,
    letters: &str,
    next: Option<&String>,
    parsed: &mut Parsed,
) -> Result<usize, UsageError> {
    for (index, letter) in letters.char_indices() {
        let rest = &letters[index + letter.len_utf8()..];
        let Some(flag) = grammar.find(|flag| flag.short == Some(letter)) else {
            if let Some(long) = grammar.missing(|(_, short)| *short == Some(letter)) {
                return Err(refused(long, &format!("-{letter}, --{long}")));
            }
            if letter == 'h' {
                parsed.help = true;
                return Ok(0);
            }
            return Err(UsageError::Flag(format!(
                "unknown shorthand flag: {letter:?} in -{letters}"
            )));
        };
        if let Some(value) = rest.strip_prefix('=') {
            let value = match flag.takes {
                Takes::Switch => boolean(flag, value)?.to_string(),
                _ => value.to_owned(),
            };
            parsed.values.push((flag.long, value));
            return Ok(0);
        }
        if flag.takes == Takes::Switch {
            parsed.values.push((flag.long, "true".to_owned()));
            continue;
        }
        if !rest.is_empty() {
            parsed.values.push((flag.long, rest.to_owned()));
            return Ok(0);
        }
        let Some(next) = next else {
            return Err(UsageError::Flag(format!(
                "flag needs an argument: {letter:?} in -{letters}"
            )));
        };
        parsed.values.push((flag.long, next.clone()));
        return Ok(1);
    }
    Ok(0)
}

/// Returns why a flag of docker's isn't taken.
fn refused(long: &str, shown: &str) -> UsageError {
    UsageError::Flag(match long {
        "cpu-count" | "cpu-percent" | "io-maxbandwidth" | "io-maxiops" => format!(
            "\"{shown}\" is only supported on a Docker daemon running on windows, but wharf is \
             running on linux"
        ),
        "kernel-memory" => {
            format!("{shown}: Linux has no such limit any more; --memory counts kernel memory too")
        }
        "gpus" => format!(
            "{shown}: could not select device driver \"\" with capabilities: [[gpu]]: wharf has no \
             drivers of GPUs; --device gives a container single devices"
        ),
        "use-api-socket" => {
            format!("{shown}: there is no API socket, wharf has no daemon that could serve one")
        }
        "checkpoint" | "checkpoint-dir" => {
            format!("{shown}: checkpoint not supported: wharf doesn't freeze processes to disk")
        }
        "availability" | "cluster" | "group" | "limit-bytes" | "required-bytes" | "secret"
        | "sharing" | "topology-preferred" | "topology-required" => {
            format!("{shown}: cluster volumes need a Swarm, and wharf works on one machine")
        }
        "config-from" | "config-only" => format!(
            "{shown}: networks that are only settings for others serve the nodes of a Swarm, and \
             wharf works on one machine"
        ),
        "ingress" | "scope" => {
            format!("{shown}: wharf works on one machine, and has nothing but local scope")
        }
        "ipam-driver" | "ipam-opt" => {
            format!(
                "{shown}: wharf has no drivers for addresses but its own, which takes no options"
            )
        }
        _ => format!("{shown} is not supported yet by this version of wharf"),
    })
}

fn boolean(flag: &Flag, text: &str) -> Result<bool, UsageError> {
    values::boolean(text).ok_or_else(|| {
        UsageError::Flag(format!(
            "invalid argument {text:?} for {:?} flag: strconv.ParseBool: parsing {text:?}: invalid \
             syntax",
            flag.display()
        ))
    })
}

fn check_arity(verb: &Verb, count: usize) -> Result<(), UsageError> {
    let plural = |n: usize| if n == 1 { "argument" } else { "arguments" };
    let wanted = match verb.arity {
        Arity::None if count > 0 => "accepts no arguments".to_owned(),
        Arity::Exactly(n) if count != n => format!("requires {n} {}", plural(n)),
        Arity::AtLeast(n) if count < n => format!("requires at least {n} {}", plural(n)),
        Arity::AtMost(n) if count > n => format!("requires at most {n} {}", plural(n)),
        Arity::Between(low, high) if count < low || count > high => {
            format!("requires at least {low} and at most {high} {}", plural(high))
        }
        _ => return Ok(()),
    };
    Err(UsageError::Arguments(format!("'wharf {}' {wanted}", verb.name)))
}

#[cfg(test)]
mod tests {
    use super::super::Group;
    use super::*;

    static VERB: Verb = Verb {
        name: "run",
        paths: &[],
        usage: "IMAGE",
        about: "",
        group: Group::Run,
        arity: Arity::AtLeast(1),
        interspersed: false,
        flags: &[&[
            Flag::switch("interactive", "").short('i'),
            Flag::switch("tty", "").short('t'),
            Flag::switch("rm", ""),
            Flag::list("env", "list", "").short('e'),
            Flag::value("network", "name", "").or(&["net"]),
        ]],
        missing: &[("publish", Some('p')), ("gpus", None)],
        run: |_| Ok(0),
    };

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn flags_are_read_as_docker_reads_them() {
        let parsed = parse(
            &VERB,
            &words("-ite A=1 -eB=2 -e=C=3 --env D --env=E= --rm=false --net none img -i -- --x"),
        )
        .unwrap();
        assert!(parsed.on("interactive") && parsed.on("tty") && !parsed.on("rm"));
        assert_eq!(parsed.all("env").collect::<Vec<_>>(), ["A=1", "B=2", "C=3", "D", "E="]);
        assert_eq!(parsed.last("network"), Some("none"));
        assert_eq!(parsed.arguments, ["img", "-i", "--", "--x"]);
        let parsed = parse(&VERB, &words("-i -- -t")).unwrap();
        assert_eq!(parsed.arguments, ["-t"]);
        let parsed = parse(&VERB, &words("- a")).unwrap();
        assert_eq!(parsed.arguments, ["-", "a"]);
    }

    #[test]
    fn complaints_are_in_docker_words() {
        for (line, message) in [
            ("--foo x", "unknown flag: --foo"),
            ("-zz x", "unknown shorthand flag: 'z' in -zz"),
            ("-iz x", "unknown shorthand flag: 'z' in -iz"),
            ("--env", "flag needs an argument: --env"),
            ("-ie", "flag needs an argument: 'e' in -ie"),
            ("--=x y", "bad flag syntax: --=x"),
            ("-p 80 x", "-p, --publish is not supported yet by this version of wharf"),
            ("--publish=80 x", "--publish is not supported yet by this version of wharf"),
            (
                "--gpus all x",
                "--gpus: could not select device driver \"\" with capabilities: [[gpu]]: wharf has no \
                 drivers of GPUs; --device gives a container single devices",
            ),
            (
                "--rm=maybe x",
                "invalid argument \"maybe\" for \"--rm\" flag: strconv.ParseBool: parsing \
                 \"maybe\": invalid syntax",
            ),
        ] {
            assert_eq!(
                parse(&VERB, &words(line)).unwrap_err(),
                UsageError::Flag(message.to_owned()),
                "{line}"
            );
        }
        assert_eq!(
            parse(&VERB, &words("--rm")).unwrap_err(),
            UsageError::Arguments("'wharf run' requires at least 1 argument".to_owned())
        );
    }

    #[test]
    fn help_needs_no_arguments() {
        assert!(parse(&VERB, &words("--help")).unwrap().help);
        assert!(parse(&VERB, &words("-ih")).unwrap().help);
    }
}
