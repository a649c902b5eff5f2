//! `oci events`: what a container uses, a document a line.

use std::time::Duration;

use super::life::id;
use super::with_runtime;
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, print};

pub(super) static VERB: Verb = Verb {
    name: "oci events",
    paths: &["oci events"],
    usage: "[OPTIONS] ID",
    about: "Tell what a container uses, and when it runs out of memory",
    group: Group::System,
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[&[
        Flag::value("interval", "duration", "How often what it uses is told (5s)"),
        Flag::switch("stats", "Tell once what it uses"),
    ]],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let interval = match call.parsed.last("interval") {
        None => Duration::from_secs(5),
        Some(text) => wharf_inspect::duration(text)
            .and_then(|length| length.to_std().ok())
            .filter(|length| !length.is_zero())
            .ok_or_else(|| {
                Failure::new(1, format!("invalid --interval {text:?}: as 5s or 500ms"))
            })?,
    };
    if call.parsed.on("stats") {
        let document = with_runtime(call, |runtime| runtime.stats(id(call)))?;
        print(&format!("{document}\n"))?;
        return Ok(0);
    }
    let mut printed = Ok(());
    with_runtime(call, |runtime| {
        runtime.watch(id(call), interval, |document| {
            printed = print(&format!("{document}\n"));
            printed.is_ok()
        })
    })?;
    printed?;
    Ok(0)
}
