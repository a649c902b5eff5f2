//! `pause` and `unpause`.

use wharf_model::Command;

use crate::args::{Arity, Group, Verb};
use crate::call::{Call, each};

pub(crate) static PAUSE: Verb = Verb {
    name: "pause",
    paths: &["container pause"],
    usage: "CONTAINER [CONTAINER...]",
    about: "Freeze all processes of one or more containers",
    group: Group::Lifecycle,
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[],
    missing: &[],
    run: |call| run(call, |container| Command::Pause { container }),
};

pub(crate) static UNPAUSE: Verb = Verb {
    name: "unpause",
    paths: &["container unpause"],
    usage: "CONTAINER [CONTAINER...]",
    about: "Let them go on",
    group: Group::Lifecycle,
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[],
    missing: &[],
    run: |call| run(call, |container| Command::Unpause { container }),
};

fn run(call: &Call, command: fn(String) -> Command) -> anyhow::Result<i32> {
    call.over_engine(async |backend| {
        each(&call.parsed.arguments, async |name| {
            backend.execute(command(name.to_owned())).await?;
            Ok(name.to_owned())
        })
        .await
    })
}
