//! The command line: docker's verbs, flags, output and exit codes over any
//! [`wharf_backend::Backend`].
//!
//! [`main`] takes the words of the command line, finds the verb in the tables of `verbs`, reads its
//! flags by `args`, and calls it. A verb asks or commands the backend that `connect` opens, and
//! prints what the pure functions of `format` make of the answers; `run`, `start -a`, `attach` and
//! `exec` hand the terminal to a `session`. Errors are reported here, once.

mod args;
mod call;
mod complete;
mod connect;
mod engine_settings;
mod format;
mod help;
mod paths;
mod progress;
mod roff;
mod session;
mod target;
#[cfg(test)]
mod tests;
mod verbs;

use std::ffi::OsString;
use std::io::IsTerminal;

use args::{Flag, Missing, UsageError};
use call::{Call, ENGINE_FAILED, Failure};
use target::{Targets, Wanted};
use verbs::Found;

/// The version of this program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Flags before the verb.
pub(crate) const GLOBAL: &[&[Flag]] = &[&[
    Flag::value("config", "string", "Docker's folder of credentials (or DOCKER_CONFIG)"),
    Flag::list("context", "string", "The engine that docker knows by this name").short('c'),
    Flag::list("host", "string", "Docker engine to talk to instead: unix://, ssh:// or tcp://")
        .short('H'),
    Flag::switch("read-only", "Open the dashboard without what changes anything"),
    Flag::value("root", "path", "Where wharf keeps its data (or WHARF_ROOT)"),
    Flag::switch("tls", "Use TLS with a tcp:// host"),
    Flag::value("tlscacert", "path", "Authority of the host's certificate: ~/.docker/ca.pem"),
    Flag::value("tlscert", "path", "Your certificate: ~/.docker/cert.pem"),
    Flag::value("tlskey", "path", "Its key: ~/.docker/key.pem"),
    Flag::switch("tlsverify", "Use TLS and check the host's certificate"),
    Flag::switch("version", "Print the version and quit").short('v'),
]];

/// Docker's flags before the verb that don't work yet.
const GLOBAL_MISSING: &[Missing] = &[("debug", Some('D')), ("log-level", Some('l'))];

/// Does what the command line asks for and returns the exit code. `args` begins with the program's
/// own name.
pub fn main(args: Vec<OsString>) -> i32 {
    let mut words = Vec::with_capacity(args.len() + 1);
    let mut args = args.into_iter();
    if args.next().is_some_and(|name| verbs::oci::is_runtime(&name)) {
        words.push(verbs::oci::NAME.to_owned());
    }
    for arg in args {
        match arg.into_string() {
            Ok(word) => words.push(word),
            Err(arg) => {
                report(&format!("argument {arg:?} is not UTF-8"));
                return ENGINE_FAILED;
            }
        }
    }
    if words.first().is_some_and(|word| word == verbs::oci::SEALED_MODE) {
        verbs::oci::mark_sealed();
        words.remove(0);
    }
    let environment = |name: &str| std::env::var(name).ok();
    match dispatch(&words, &environment) {
        Ok(code) => code,
        Err(failure) => {
            if !failure.message().is_empty() {
                report(failure.message());
            }
            failure.code()
        }
    }
}

/// Tells the user what went wrong.
pub(crate) fn report(message: &str) {
    use std::io::Write;
    #[cfg(test)]
    if tests::captured(&format!("2> {message}\n")) {
        return;
    }
    // Nobody is left to hear of it if standard error is closed.
    let _ = writeln!(std::io::stderr(), "wharf: {message}");
}

/// Tells the user something that isn't a failure.
pub(crate) fn notice(message: &str) {
    use std::io::Write;
    #[cfg(test)]
    if tests::captured(&format!("2> {message}\n")) {
        return;
    }
    let _ = writeln!(std::io::stderr(), "{message}");
}

fn dispatch(
    words: &[String],
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<i32, Failure> {
    if let Some((first, rest)) = words.split_first()
        && first == complete::MODE
    {
        let names = |wanted, engine: &Wanted| {
            let folder = connect::docker_folder();
            let found = Targets::choose(engine, folder.as_deref(), environment);
            found.map(|found| complete::names(wanted, &found.first)).unwrap_or_default()
        };
        return printed(&complete::answer(rest, &names));
    }
    let (globals, used) = args::parse_globals(GLOBAL, GLOBAL_MISSING, words).map_err(|error| {
        let (UsageError::Flag(message) | UsageError::Arguments(message)) = error;
        Failure::new(
            ENGINE_FAILED,
            format!(
                "{message}\n\nUsage:  wharf [OPTIONS] COMMAND\n\nRun 'wharf --help' for more \
                 information"
            ),
        )
    })?;
    if globals.on("version") {
        return printed(&format!("wharf version {VERSION}\n"));
    }
    let rest = &words[used..];
    if globals.help {
        return printed(&help::overview(GLOBAL));
    }
    if rest.first().is_some_and(|word| word == verbs::oci::NAME) {
        let root = globals.last("root").map(str::to_owned);
        return verbs::oci::dispatch(&rest[1..], root, environment);
    }
    if let Some(folder) = globals.last("config") {
        connect::use_docker_folder(folder);
    }
    let target = || {
        let folder = connect::docker_folder();
        Targets::choose(&Wanted::of(&globals), folder.as_deref(), environment)
    };
    if rest.is_empty() {
        let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        if !terminal {
            return printed(&help::overview(GLOBAL));
        }
        return invoke_with(&verbs::ui::VERB, "ui", target()?, &[], globals);
    }
    match verbs::find(rest) {
        Found::Verb { verb, path, used } => {
            let rest = &rest[used..];
            if std::ptr::eq(verb, &verbs::ui::VERB) {
                return invoke_with(verb, &path, target()?, rest, globals);
            }
            if globals.on("read-only") {
                let text =
                    format!("--read-only is the dashboard's: 'wharf {path}' doesn't know it");
                return Err(Failure::new(ENGINE_FAILED, text));
            }
            invoke(verb, &path, target()?, rest)
        }
        Found::Group(group) => printed(&help::group(group)),
        Found::Help(words) => match verbs::find(words) {
            Found::Verb { verb, path, .. } => printed(&help::verb(verb, &path)),
            Found::Group(group) => printed(&help::group(group)),
            Found::Missing(path) => Err(missing(&path)),
            _ => printed(&help::overview(GLOBAL)),
        },
        Found::Missing(path) => Err(missing(&path)),
        Found::Unknown(path) => Err(Failure::new(
            1,
            format!("unknown command: wharf {path}\n\nRun 'wharf --help' for more information"),
        )),
    }
}

fn missing(path: &str) -> Failure {
    let way = match verbs::way_out(path) {
        "" => String::new(),
        way => format!(": {way}"),
    };
    Failure::new(1, format!("'wharf {path}' is not supported yet by this version of wharf{way}"))
}

fn invoke(
    verb: &'static args::Verb,
    path: &str,
    targets: Targets,
    words: &[String],
) -> Result<i32, Failure> {
    invoke_with(verb, path, targets, words, args::Parsed::default())
}

/// Calls a verb, with `before` among its flags: those that were given before its name.
fn invoke_with(
    verb: &'static args::Verb,
    path: &str,
    targets: Targets,
    words: &[String],
    before: args::Parsed,
) -> Result<i32, Failure> {
    let usage = |code: i32, message: &str| {
        Failure::new(
            code,
            format!(
                "{message}\n\nUsage:  wharf {path}{}{}\n\nRun 'wharf {path} --help' for more \
                 information",
                if verb.usage.is_empty() { "" } else { " " },
                verb.usage
            ),
        )
    };
    let mut parsed = args::parse(verb, words).map_err(|error| match error {
        UsageError::Flag(message) => usage(ENGINE_FAILED, &message),
        UsageError::Arguments(message) => usage(1, &message),
    })?;
    if parsed.help {
        return printed(&help::verb(verb, path));
    }
    parsed.adopt(before);
    if !targets.others.is_empty() && !std::ptr::eq(verb, &verbs::ui::VERB) {
        // Docker's sentence for one of each.
        let text = "conflicting options: only the dashboard takes several of --host and --context";
        return Err(Failure::new(1, text));
    }
    let Targets { first: target, others, chosen } = targets;
    let call = Call { path: path.to_owned(), target, others, chosen, parsed };
    (verb.run)(&call).map_err(|error| {
        if call::is_broken_pipe(&error) {
            // What a program ends with whose reader has gone: 128 and SIGPIPE.
            return Failure::silent(141);
        }
        match error.downcast::<Failure>() {
            Ok(failure) if failure.is_usage() => Failure::new(
                failure.code(),
                format!("{}\n\nSee 'wharf {} --help'.", failure.message(), call.path),
            ),
            Ok(failure) => failure,
            Err(error) => Failure::new(1, format!("{error:#}")),
        }
    })
}

fn printed(text: &str) -> Result<i32, Failure> {
    match call::print(text) {
        Ok(()) => Ok(0),
        Err(_) => Err(Failure::silent(141)),
    }
}
