//! `oci …`: the OCI runtime's command line, as its callers give it: podman, containerd, docker.
//!
//! Flags that hold for all of its verbs stand before the verb. What goes wrong is also the last line
//! of the file that `--log` names, which is where callers look for it.

mod about;
mod create;
mod events;
mod exec;
mod life;
mod log;
mod look;
mod update;

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use wharf_engine::oci::{Level, Runtime, execute_sealed, spec, usual_root};

use crate::args::{self, Flag, Missing, Parsed, UsageError, Verb};
use crate::call::{Call, Failure, print};
use crate::target::{Target, Targets, Wanted};
use crate::{VERSION, help, verbs};
use log::Log;

/// The verbs.
pub(crate) static VERBS: [&Verb; 15] = [
    &create::CREATE,
    &create::RUN,
    &life::START,
    &look::STATE,
    &life::KILL,
    &life::DELETE,
    &exec::VERB,
    &life::PAUSE,
    &life::RESUME,
    &look::PS,
    &look::LIST,
    &update::VERB,
    &events::VERB,
    &about::FEATURES,
    &about::SPEC,
];

/// The group's name.
pub(crate) const NAME: &str = "oci";

/// The name under which this program is the runtime alone: callers take a path, and give it their own
/// flags.
pub(crate) const PROGRAM: &str = "wharf-oci";

/// The word that says that this program has been executed from a file that can't be changed.
pub(crate) const SEALED_MODE: &str = "__oci";

/// Flags before the verb.
pub(crate) const GLOBAL: &[&[Flag]] = &[&[
    Flag::value("cgroup-manager", "string", "Who makes control groups: cgroupfs"),
    Flag::switch("debug", "Log what is done, too, step by step"),
    Flag::value("log", "path", "Where errors are logged besides standard error, and steps instead"),
    Flag::value("log-format", "string", "text or json (text)"),
    Flag::value("root", "path", "Where the runtime keeps its state (/run/wharf/oci)"),
    Flag::switch("systemd-cgroup", "Not supported: control groups are made by wharf itself"),
    Flag::switch("version", "Print the version and quit").short('v'),
]];

const GLOBAL_MISSING: &[Missing] = &[("criu", None), ("log-level", None), ("rootless", None)];

static SEALED: AtomicBool = AtomicBool::new(false);

/// Remembers that this program has been executed from a file that can't be changed.
pub(crate) fn mark_sealed() {
    SEALED.store(true, Ordering::Relaxed);
}

/// Sees to it that this program runs from a file that can't be changed, since it is about to become a
/// container's process.
fn seal() -> anyhow::Result<()> {
    if SEALED.load(Ordering::Relaxed) {
        return Ok(());
    }
    let mut given = std::env::args_os();
    let own = given.next().unwrap_or_default();
    let mut words = vec![OsString::from("wharf"), OsString::from(SEALED_MODE)];
    if is_runtime(&own) {
        words.push(NAME.into());
    }
    words.extend(given);
    let words: Result<Vec<CString>, _> =
        words.into_iter().map(|word| CString::new(word.into_vec())).collect();
    match execute_sealed(&words.context("the command line holds a NUL byte")?)? {}
}

/// Returns whether this program was called as the runtime alone.
pub(crate) fn is_runtime(name: &std::ffi::OsStr) -> bool {
    std::path::Path::new(name).file_name().is_some_and(|name| name == PROGRAM)
}

/// Does what the words behind `oci` ask for, and returns the exit code. `root` is the engine's, if one
/// was named.
pub(crate) fn dispatch(
    words: &[String],
    root: Option<String>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<i32, Failure> {
    let usage = |error: UsageError| {
        let (UsageError::Flag(text) | UsageError::Arguments(text)) = error;
        Failure::new(1, format!("{text}\n\nRun 'wharf {NAME} --help' for more information"))
    };
    let (globals, used) = args::parse_globals(GLOBAL, GLOBAL_MISSING, words).map_err(usage)?;
    let log = Log::open(&globals)?;
    let result = obey(globals, &words[used..], root, environment);
    result.inspect_err(|failure| log.error(failure.message()))
}

fn obey(
    globals: Parsed,
    words: &[String],
    root: Option<String>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<i32, Failure> {
    if globals.on("version") {
        let text = format!("{PROGRAM} version {VERSION}\nspec: {}\n", spec::VERSION);
        return print(&text).map(|()| 0).map_err(|_| Failure::silent(141));
    }
    check_manager(&globals)?;
    let path = words.first().map(|name| format!("{NAME} {name}"));
    let verb = path
        .as_ref()
        .and_then(|path| VERBS.iter().copied().find(|verb| verb.paths.contains(&path.as_str())));
    let (Some(verb), Some(path)) = (verb, path) else {
        let asked = matches!(words.first().map(String::as_str), None | Some("help"));
        if globals.help || asked {
            let Some(section) = verbs::SECTIONS.iter().find(|section| section.name == NAME) else {
                return Ok(0);
            };
            let text = help::group(section) + "\nOptions before the command:\n";
            return crate::printed(&(text + &help::options(GLOBAL)));
        }
        let name = words.first().map_or("", String::as_str);
        let text = match name {
            "checkpoint" | "restore" => {
                format!("{NAME} {name}: wharf doesn't freeze processes to disk")
            }
            _ => format!(
                "unknown command: wharf {NAME} {name}\n\nRun 'wharf {NAME} --help' for more information"
            ),
        };
        return Err(Failure::new(1, text));
    };
    if globals.help {
        return crate::printed(&help::verb(verb, &path));
    }
    // The engine is always the own one, whatever the environment says of others.
    let wanted = Wanted { root, ..Wanted::default() };
    let own = |name: &str| {
        environment(name).filter(|_| name != "WHARF_HOST" && !name.starts_with("DOCKER_"))
    };
    let targets = Targets::choose(&wanted, None, &own)?;
    crate::invoke_with(verb, &path, targets, &words[1..], globals).map_err(|failure| {
        // A runtime has no code of its own for a line that can't be read.
        match failure.code() {
            crate::call::ENGINE_FAILED => Failure::new(1, failure.message()),
            _ => failure,
        }
    })
}

/// Refuses what only systemd can do.
fn check_manager(globals: &Parsed) -> Result<(), Failure> {
    let manager = globals.last("cgroup-manager").unwrap_or("cgroupfs");
    if globals.on("systemd-cgroup") || manager == "systemd" {
        return Err(Failure::new(
            1,
            "--systemd-cgroup is not supported: wharf makes control groups itself: have the caller use \
             cgroupfs (podman --cgroup-manager=cgroupfs, dockerd --exec-opt \
             native.cgroupdriver=cgroupfs, containerd's SystemdCgroup = false)",
        ));
    }
    match manager {
        "cgroupfs" => Ok(()),
        other => {
            Err(Failure::new(1, format!("--cgroup-manager {other:?}: there is only cgroupfs")))
        }
    }
}

/// Does something with the runtime whose state is where the flags say, and logs what that reports.
fn with_runtime<T>(
    call: &Call,
    work: impl FnOnce(&Runtime) -> Result<T, wharf_engine::Error>,
) -> anyhow::Result<T> {
    let folder = call.parsed.last("root").filter(|folder| !folder.is_empty());
    let root = match (folder, &call.target) {
        (Some(folder), _) => std::path::absolute(folder).unwrap_or_else(|_| folder.into()),
        (None, Target::Native(paths)) => usual_root(paths.run()),
        (None, Target::Docker(_)) => usual_root("/run/wharf".as_ref()),
    };
    let log = Log::open(&call.parsed)?;
    let runtime = Runtime::new(root, move |level, text| match level {
        Level::Debug => log.debug(text),
        Level::Warning => {
            log.warning(text);
            crate::report(&format!("WARNING: {text}"));
        }
    });
    Ok(work(&runtime)?)
}

/// Returns a flag's value as a path.
fn path(parsed: &Parsed, name: &str) -> Option<PathBuf> {
    parsed.last(name).filter(|text| !text.is_empty()).map(PathBuf::from)
}

/// Returns a flag's value as a number.
fn number<T: std::str::FromStr>(parsed: &Parsed, name: &str) -> Result<Option<T>, Failure> {
    let read = |text: &str| {
        text.parse().map_err(|_| Failure::usage(format!("invalid argument {text:?} for --{name}")))
    };
    parsed.last(name).map(read).transpose()
}
