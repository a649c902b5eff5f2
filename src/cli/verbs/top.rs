//! `top`: the processes of a container.

use crate::args::{Arity, Group, Verb};
use crate::call::{Call, print};
use crate::format;

pub(crate) static VERB: Verb = Verb {
    name: "top",
    paths: &["container top"],
    usage: "CONTAINER [ps OPTIONS]",
    about: "Show the processes of a container",
    group: Group::Observe,
    arity: Arity::AtLeast(1),
    interspersed: false,
    flags: &[],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let name = call.parsed.argument(0).unwrap_or_default();
    let ps_args = call.parsed.arguments.get(1..).unwrap_or_default();
    call.over_engine(async |backend| {
        let table = backend.top(name, ps_args).await?;
        backend.note(name, "top", &[]).await?;
        print(&format::top::table(&table))?;
        Ok(0)
    })
}
