//! `diff`: what a container changed.

use crate::args::{Arity, Group, Verb};
use crate::call::{Call, print};
use crate::format::text::clean;

pub(crate) static VERB: Verb = Verb {
    name: "diff",
    paths: &["container diff"],
    usage: "CONTAINER",
    about: "Show what a container changed of its image's files",
    group: Group::Observe,
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let name = call.parsed.argument(0).unwrap_or_default();
    call.over_engine(async |backend| {
        let changes = backend.changes(name).await?;
        // A name is whatever the container made it.
        let lines: String = changes
            .iter()
            .map(|change| format!("{} {}\n", change.kind.letter(), clean(&change.path)))
            .collect();
        print(&lines)?;
        Ok(0)
    })
}
