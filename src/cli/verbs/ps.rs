//! `ps`: list containers.

use chrono::Utc;
use wharf_inspect::template::TemplateError;
use wharf_model::ContainerListOptions;

use crate::args::create::integer_flag;
use crate::args::values::filters;
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, print};
use crate::format::ps::{TITLES, format, row};
use crate::format::rows::Rows;

const LAST: Flag = Flag::value("last", "int", "Only the newest so many, in any state").short('n');

pub(crate) static VERB: Verb = Verb {
    name: "ps",
    paths: &["container ls", "container list", "container ps"],
    usage: "[OPTIONS]",
    about: "List containers",
    group: Group::Observe,
    arity: Arity::None,
    interspersed: true,
    flags: &[&[
        Flag::switch("all", "Those that don't run too").short('a'),
        Flag::list("filter", "filter", "Only those for which this holds: status=exited").short('f'),
        Flag::value("format", "string", "Print by a template: table, json, raw or TEMPLATE"),
        LAST,
        Flag::switch("latest", "Only the newest one, in any state").short('l'),
        Flag::switch("no-trunc", "Shorten nothing"),
        Flag::switch("quiet", "Only their IDs").short('q'),
        Flag::switch("size", "Show how much disk they take").short('s'),
    ]],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let parsed = &call.parsed;
    let last = if parsed.on("latest") { Some(1) } else { integer_flag(parsed, &LAST)? };
    // Negative means all, which is docker's default.
    let last = last.and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
    let given = parsed.last("format").unwrap_or_default();
    let (quiet, size) = (parsed.on("quiet"), parsed.on("size"));
    if quiet && !given.is_empty() {
        crate::notice(
            "WARNING: Ignoring custom format, because both --format and --quiet are set.",
        );
    }
    let failed = |what: &str, cause: TemplateError| {
        Failure::new(1, format!("failed to {what} template: {cause}"))
    };
    let rows = Rows::new(&format(given, quiet, size)).map_err(|cause| failed("parse", cause))?;
    let options = ContainerListOptions {
        all: parsed.on("all"),
        last,
        // A template that shows sizes asks for them, too.
        size: size || rows.mentions("Size"),
        filters: filters(parsed)?,
    };
    let truncate = !parsed.on("no-trunc");
    call.over_engine(async |backend| {
        let containers = backend.list_containers(&options).await?;
        let now = Utc::now();
        let all = containers.iter().map(|container| row(container, truncate, now));
        print(&rows.print(all, TITLES).map_err(|cause| failed("execute", cause))?)?;
        Ok(0)
    })
}
