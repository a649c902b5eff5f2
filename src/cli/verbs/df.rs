//! `system df`: how much disk the engine takes.

use chrono::Utc;

use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, print};
use crate::format::rows::template_failed;
use crate::format::usage;

pub(crate) static VERB: Verb = Verb {
    name: "system df",
    paths: &["system df"],
    usage: "[OPTIONS]",
    about: "Show how much disk images, containers and volumes take",
    group: Group::System,
    arity: Arity::None,
    interspersed: true,
    flags: &[&[
        Flag::value("format", "string", "Print by a template: table, json, raw or TEMPLATE"),
        Flag::switch("verbose", "Each object with its size").short('v'),
    ]],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let parsed = &call.parsed;
    let verbose = parsed.on("verbose");
    let given = parsed.last("format").unwrap_or_default();
    if verbose && !matches!(given, "" | "table" | "raw" | "json") {
        let text = "the verbose and the format options conflict: leave one of them out";
        return Err(Failure::new(1, text).into());
    }
    call.over_engine(async |backend| {
        let usage = backend.disk_usage().await?;
        let text = match verbose {
            true => usage::verbose(&usage, given, Utc::now()),
            false => usage::summary(&usage, given),
        };
        print(&text.map_err(template_failed)?)?;
        Ok(0)
    })
}
