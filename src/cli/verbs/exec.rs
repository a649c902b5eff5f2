//! `exec`: run a further program in a running container.

use wharf_model::{Attach, ErrorKind, ExecSpec};

use crate::args::create::{file_environment, flag_environment};
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure};
use crate::session::{self, End, Handover, Keys, Signals, terminal};

pub(crate) static VERB: Verb = Verb {
    name: "exec",
    paths: &["container exec"],
    usage: "[OPTIONS] CONTAINER COMMAND [ARG...]",
    about: "Execute a command in a running container",
    group: Group::Run,
    arity: Arity::AtLeast(2),
    interspersed: false,
    flags: &[&[
        Flag::switch("detach", "Leave it running and return at once").short('d'),
        Flag::value("detach-keys", "string", "The keys that leave it (ctrl-p,ctrl-q)"),
        Flag::list("env", "list", "Set an environment variable").short('e'),
        Flag::list("env-file", "list", "Read environment variables from a file"),
        Flag::switch("interactive", "Pass standard input on").short('i'),
        Flag::switch("privileged", "Lift all protection"),
        Flag::switch("tty", "Give it a terminal").short('t'),
        Flag::value("user", "string", "User, or UID, and group: <name|uid>[:<group|gid>]")
            .short('u'),
        Flag::value("workdir", "string", "Its working directory").short('w'),
    ]],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let parsed = &call.parsed;
    let stdin = parsed.on("interactive") && !parsed.on("detach");
    let keys = Keys::parse(parsed.last("detach-keys")).map_err(Failure::usage)?;
    let spec = spec(call, stdin)?;
    if parsed.on("tty") && stdin && !terminal::stdin_is_terminal() {
        return Err(Failure::new(1, "the input device is not a TTY").into());
    }
    attend(call, spec, keys)
}

/// Runs a program in the container that the first argument names, and stays until its end.
pub(super) fn attend(call: &Call, spec: ExecSpec, keys: Keys) -> anyhow::Result<i32> {
    let ExecSpec { detach, tty, stdin, .. } = spec;
    let container = call.parsed.argument(0).unwrap_or_default();
    let handover = Handover { streams: Attach { stdin, stdout: true, stderr: true }, tty, keys };
    call.over_engine(async |backend| {
        let signals = Signals::catch(tty && !detach, handover.raw(), false)?;
        let size = if detach { None } else { session::size(tty) };
        let failed = |error: wharf_backend::Error| Failure::new(code(error.kind), error.message);
        let session = backend.exec(container, spec, size).await.map_err(failed)?;
        if detach {
            return Ok(0);
        }
        let end =
            session::run(session, &handover, signals, async |_| {}).await.map_err(|error| {
                match error.downcast::<wharf_backend::Error>() {
                    Ok(error) => failed(error).into(),
                    Err(error) => error,
                }
            })?;
        match end {
            End::Exited(code) => Ok(code),
            End::Detached => Err(Failure::new(1, "read escape sequence").into()),
            End::Signalled(number) => Ok(128 + number),
        }
    })
}

fn spec(call: &Call, stdin: bool) -> Result<ExecSpec, Failure> {
    let parsed = &call.parsed;
    let lookup = |name: &str| std::env::var(name).ok();
    let mut env = file_environment(parsed, &lookup)?;
    env.extend(flag_environment(parsed, &lookup)?);
    let non_empty =
        |flag: &str| parsed.last(flag).filter(|value| !value.is_empty()).map(str::to_owned);
    Ok(ExecSpec {
        id: String::new(),
        command: parsed.arguments.iter().skip(1).cloned().collect(),
        env,
        user: non_empty("user"),
        working_dir: non_empty("workdir"),
        tty: parsed.on("tty"),
        stdin,
        detach: parsed.on("detach"),
        privileged: parsed.on("privileged"),
        toolbox: None,
    })
}

/// Returns the exit code for a program that didn't run.
fn code(kind: ErrorKind) -> i32 {
    match kind {
        ErrorKind::CommandNotFound => 127,
        ErrorKind::CommandNotExecutable => 126,
        _ => 1,
    }
}
