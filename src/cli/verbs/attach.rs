//! `attach`: connect the caller's streams to a running container.

use std::sync::Arc;

use wharf_backend::{AttachOptions, Backend};
use wharf_model::{Attach, Command, ContainerDetail, Status, TermSize};

use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure};
use crate::session::{self, End, Handover, Keys, Signals, terminal};

pub(crate) static VERB: Verb = Verb {
    name: "attach",
    paths: &["container attach"],
    usage: "[OPTIONS] CONTAINER",
    about: "Connect the terminal to a running container",
    group: Group::Run,
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[&[
        Flag::value("detach-keys", "string", "The keys that leave it (ctrl-p,ctrl-q)"),
        Flag::switch("no-stdin", "Leave standard input alone"),
        Flag::switch("sig-proxy", "Pass signals on to it (true)"),
    ]],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let parsed = &call.parsed;
    let keys = Keys::parse(parsed.last("detach-keys")).map_err(Failure::usage)?;
    let name = parsed.argument(0).unwrap_or_default();
    call.over_engine(async |backend| {
        let container = backend.container(name).await?;
        let refused = match container.state.status {
            Status::Running => None,
            Status::Paused => Some("You cannot attach to a paused container, unpause it first"),
            Status::Restarting => {
                Some("You cannot attach to a restarting container, wait until it is running")
            }
            _ => Some("You cannot attach to a stopped container, start it first"),
        };
        if let Some(message) = refused {
            return Err(Failure::new(1, message).into());
        }
        let stdin = container.config.open_stdin && !parsed.on("no-stdin");
        let proxy = parsed.last("sig-proxy") != Some("false");
        match stay(backend, &container, Stay { start: false, stdin, proxy, keys }).await? {
            End::Exited(code) => Ok(code),
            End::Detached => Err(Failure::new(1, "read escape sequence").into()),
            End::Signalled(number) => Ok(128 + number),
        }
    })
}

/// How to stay with a container.
pub(super) struct Stay {
    /// Start it once connected.
    pub(super) start: bool,
    /// Pass standard input on.
    pub(super) stdin: bool,
    /// Pass signals on.
    pub(super) proxy: bool,
    /// The keys that leave it.
    pub(super) keys: Keys,
}

/// Connects to a container that exists and stays until the end.
pub(super) async fn stay(
    backend: &Arc<dyn Backend>,
    container: &ContainerDetail,
    stay: Stay,
) -> anyhow::Result<End> {
    let tty = container.config.tty;
    if tty && stay.stdin && !terminal::stdin_is_terminal() {
        return Err(Failure::new(1, "the input device is not a TTY").into());
    }
    let handover = Handover {
        streams: Attach { stdin: stay.stdin, stdout: true, stderr: true },
        tty,
        keys: stay.keys,
    };
    let id = container.id.as_str();
    let signals = Signals::catch(tty, handover.raw(), stay.proxy && !tty)?;
    let size = session::size(tty);
    let options = AttachOptions {
        start: stay.start,
        stdin: stay.stdin,
        output: true,
        size: size.filter(|_| stay.start),
    };
    let session = backend.attach(id, options).await?;
    if let Some(size) = size.filter(|_| !stay.start) {
        // A program draws itself anew when the size changes, and only then.
        let larger =
            TermSize { columns: size.columns.saturating_add(1), rows: size.rows.saturating_add(1) };
        for size in [larger, size] {
            // The program may just have ended; then nobody wants the size.
            let _ = session.resize.send(size).await;
        }
    }
    let deliver = async |name: &'static str| {
        // It may have ended meanwhile; its exit is seen anyway.
        let _ = backend
            .execute(Command::Kill { container: id.to_owned(), signal: Some(name.to_owned()) })
            .await;
    };
    session::run(session, &handover, signals, deliver).await
}
