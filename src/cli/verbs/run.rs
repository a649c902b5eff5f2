//! `run`: create a container, start it and, unless detached, stay with it.

use std::io;
use std::sync::Arc;

use wharf_backend::{AttachOptions, Backend, Error};
use wharf_model::{Command, CreateOptions, ErrorKind, RemoveOptions};

use super::create::{create, wanted, wanted_by};
use crate::args::create::streams;
use crate::args::create_flags::{FLAGS, MISSING};
use crate::args::resources::{CHANGEABLE, FIXED};
use crate::args::{Arity, Flag, Group, UsageError, Verb, parse};
use crate::call::{Call, ENGINE_FAILED, Failure, print_line};
use crate::session::{self, End, Handover, Keys, Signals, terminal};

pub(crate) static VERB: Verb = Verb {
    name: "run",
    paths: &["container run"],
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    about: "Create and run a new container from an image",
    group: Group::Run,
    arity: Arity::AtLeast(1),
    interspersed: false,
    flags: &[
        FLAGS,
        CHANGEABLE,
        FIXED,
        &[
            Flag::switch("detach", "Leave it running and print its ID").short('d'),
            Flag::value("detach-keys", "string", "The keys that leave it (ctrl-p,ctrl-q)"),
            Flag::switch("sig-proxy", "Pass signals on to it (true)"),
        ],
    ],
    missing: MISSING,
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let parsed = &call.parsed;
    let options = wanted(call)?;
    let streams = streams(parsed)?;
    let detach = parsed.on("detach");
    if detach && parsed.last("attach").is_some() {
        return Err(Failure::usage(
            "conflicting options: cannot specify both --attach and --detach",
        )
        .into());
    }
    let keys = Keys::parse(parsed.last("detach-keys")).map_err(Failure::usage)?;
    if !detach && options.tty && streams.stdin && !terminal::stdin_is_terminal() {
        return Err(Failure::new(1, "the input device is not a TTY").into());
    }
    let handover = Handover { streams, tty: options.tty, keys };
    let remove = options.host.auto_remove;
    call.over_engine(async |backend| {
        let created = create(&**backend, call, options).await?;
        let id = created.id.as_str();
        if detach {
            let start = Command::Start { container: id.to_owned() };
            let started = backend.execute(start).await;
            // As docker does when the start fails too: scripts remove by it what is left.
            print_line(id)?;
            return match started {
                Ok(_) => Ok(0),
                Err(error) => Err(not_started(&**backend, id, remove, error).await.into()),
            };
        }
        foreground(backend, id, remove, &handover, parsed.last("sig-proxy") != Some("false")).await
    })
}

/// Understands the words after `run` as this verb does, for a container that isn't stayed with.
///
/// # Errors
/// What the verb would complain of.
pub(crate) fn understand(words: &[String]) -> Result<CreateOptions, String> {
    let parsed = parse(&VERB, words).map_err(|error| match error {
        UsageError::Flag(message) | UsageError::Arguments(message) => message,
    })?;
    wanted_by(&parsed).map_err(|failure| failure.message().to_owned())
}

async fn foreground(
    backend: &Arc<dyn Backend>,
    id: &str,
    remove: bool,
    handover: &Handover,
    proxy: bool,
) -> anyhow::Result<i32> {
    // Caught before the start, so that a signal that comes early reaches the program too.
    let signals = Signals::catch(handover.tty, handover.raw(), proxy)?;
    let attach = AttachOptions {
        start: true,
        stdin: handover.streams.stdin,
        output: handover.streams.stdout || handover.streams.stderr,
        size: session::size(handover.tty),
    };
    let session = match backend.attach(id, attach).await {
        Ok(session) => session,
        Err(error) => return Err(not_started(&**backend, id, remove, error).await.into()),
    };
    let deliver = async |name: &'static str| {
        // The program may have ended meanwhile; its exit is seen anyway.
        let _ = backend
            .execute(Command::Kill { container: id.to_owned(), signal: Some(name.to_owned()) })
            .await;
    };
    let end =
        session::run(session, handover, signals, deliver).await.map_err(|error| match error
            .downcast::<io::Error>(
        ) {
            Ok(error) => error.into(),
            Err(error) => anyhow::Error::from(Failure::new(ENGINE_FAILED, format!("{error:#}"))),
        })?;
    Ok(match end {
        End::Exited(code) => code,
        End::Detached => 0,
        End::Signalled(number) => 128 + number,
    })
}

/// Returns the failure of a start, and removes the container if it was to be removed.
async fn not_started(backend: &dyn Backend, id: &str, remove: bool, error: Error) -> Failure {
    if remove {
        let options = RemoveOptions { force: true, volumes: true };
        let command = Command::Remove { container: id.to_owned(), options };
        // An engine that has removed it already is right too.
        if let Err(error) = backend.execute(command).await
            && !matches!(error.kind, ErrorKind::NotFound | ErrorKind::Conflict)
        {
            crate::report(&error.message);
        }
    }
    Failure::new(start_code(error.kind), error.message)
}

/// Returns the exit code for a start that failed.
fn start_code(kind: ErrorKind) -> i32 {
    match kind {
        ErrorKind::CommandNotFound => 127,
        ErrorKind::CommandNotExecutable => 126,
        _ => ENGINE_FAILED,
    }
}
