//! `start`: start containers that don't run, or one and stay with it.

use wharf_model::Command;

use super::attach::{Stay, stay};
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, each_in_turn};
use crate::session::{End, Keys};

pub(crate) static VERB: Verb = Verb {
    name: "start",
    paths: &["container start"],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Start one or more stopped containers",
    group: Group::Lifecycle,
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[
        Flag::switch("attach", "Show its output and pass signals on").short('a'),
        Flag::value("detach-keys", "string", "The keys that leave it (ctrl-p,ctrl-q)"),
        Flag::switch("interactive", "Pass standard input on").short('i'),
    ]],
    missing: &[("checkpoint", None), ("checkpoint-dir", None)],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let parsed = &call.parsed;
    let interactive = parsed.on("interactive");
    if !interactive && !parsed.on("attach") {
        return call.over_engine(async |backend| {
            each_in_turn(&parsed.arguments, async |name| {
                backend.execute(Command::Start { container: name.to_owned() }).await?;
                Ok(name.to_owned())
            })
            .await
        });
    }
    let [name] = parsed.arguments.as_slice() else {
        return Err(
            Failure::new(1, "you cannot start and attach multiple containers at once").into()
        );
    };
    let keys = Keys::parse(parsed.last("detach-keys")).map_err(Failure::usage)?;
    call.over_engine(async |backend| {
        let container = backend.container(name).await?;
        let stdin = interactive && container.config.open_stdin;
        // One that runs already is attached to.
        let start = !container.state.status.is_alive();
        let end = stay(backend, &container, Stay { start, stdin, proxy: true, keys }).await?;
        Ok(match end {
            End::Exited(code) => code,
            End::Detached => 0,
            End::Signalled(number) => 128 + number,
        })
    })
}
