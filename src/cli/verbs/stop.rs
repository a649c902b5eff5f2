//! `stop` and `restart`.

use wharf_model::Command;

use crate::args::create::integer_flag;
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, each};

const TIMEOUT: Flag = Flag::value("timeout", "int", "Seconds until it is killed (-1: never)")
    .short('t')
    .or(&["time"]);

pub(crate) static STOP: Verb = Verb {
    name: "stop",
    paths: &["container stop"],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Stop one or more running containers",
    group: Group::Lifecycle,
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[TIMEOUT]],
    missing: &[("signal", Some('s'))],
    run: |call| run(call, |container, timeout| Command::Stop { container, timeout }),
};

pub(crate) static RESTART: Verb = Verb {
    name: "restart",
    paths: &["container restart"],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Restart one or more containers",
    group: Group::Lifecycle,
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[TIMEOUT]],
    missing: &[("signal", Some('s'))],
    run: |call| run(call, |container, timeout| Command::Restart { container, timeout }),
};

fn run(call: &Call, command: fn(String, Option<i64>) -> Command) -> anyhow::Result<i32> {
    let timeout = integer_flag(&call.parsed, &TIMEOUT)?;
    call.over_engine(async |backend| {
        each(&call.parsed.arguments, async |name| {
            backend.execute(command(name.to_owned(), timeout)).await?;
            Ok(name.to_owned())
        })
        .await
    })
}
