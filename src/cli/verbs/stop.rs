//! `stop` and `restart`.

use wharf_model::Command;

use crate::args::create::integer_flag;
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, each};

const TIMEOUT: Flag = Flag::value("timeout", "int", "Seconds until it is killed (-1: never)")
    .short('t')
    .or(&["time"]);

const SIGNAL: Flag = Flag::value("signal", "string", "The signal that asks it to stop").short('s');

pub(crate) static STOP: Verb = Verb {
    name: "stop",
    paths: &["container stop"],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Stop one or more running containers",
    group: Group::Lifecycle,
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[TIMEOUT, SIGNAL]],
    missing: &[],
    run: |call| {
        run(call, |container, timeout, signal| Command::Stop { container, timeout, signal })
    },
};

pub(crate) static RESTART: Verb = Verb {
    name: "restart",
    paths: &["container restart"],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Restart one or more containers",
    group: Group::Lifecycle,
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[TIMEOUT, SIGNAL]],
    missing: &[],
    run: |call| {
        run(call, |container, timeout, signal| Command::Restart { container, timeout, signal })
    },
};

fn run(
    call: &Call,
    command: fn(String, Option<i64>, Option<String>) -> Command,
) -> anyhow::Result<i32> {
    let signal = call.parsed.last("signal").filter(|signal| !signal.is_empty());
    let timeout = integer_flag(&call.parsed, &TIMEOUT)?;
    call.over_engine(async |backend| {
        each(&call.parsed.arguments, async |name| {
            backend.execute(command(name.to_owned(), timeout, signal.map(str::to_owned))).await?;
            Ok(name.to_owned())
        })
        .await
    })
}
