//! `wait`: until containers stop.

use crate::args::{Arity, Group, Verb};
use crate::call::{Call, each_in_turn};

pub(crate) static VERB: Verb = Verb {
    name: "wait",
    paths: &["container wait"],
    usage: "CONTAINER [CONTAINER...]",
    about: "Wait until one or more containers stop and print their exit codes",
    group: Group::Lifecycle,
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    call.over_engine(async |backend| {
        each_in_turn(&call.parsed.arguments, async |name| {
            let code = backend.wait(name).await?;
            Ok(code.to_string())
        })
        .await
    })
}
