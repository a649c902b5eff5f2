//! `network ls`: list networks.

use crate::args::values::filters;
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, print};
use crate::format::networks::{TITLES, format, row};
use crate::format::rows::{Rows, template_failed};

pub(crate) static VERB: Verb = Verb {
    name: "network ls",
    paths: &["network ls", "network list"],
    usage: "[OPTIONS]",
    about: "List networks",
    group: Group::System,
    arity: Arity::None,
    interspersed: true,
    flags: &[&[
        Flag::list("filter", "filter", "Only those for which this holds: driver=bridge").short('f'),
        Flag::value("format", "string", "Print by a template: table, json, raw or TEMPLATE"),
        Flag::switch("no-trunc", "Shorten nothing"),
        Flag::switch("quiet", "Only their IDs").short('q'),
    ]],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let parsed = &call.parsed;
    let (quiet, truncate) = (parsed.on("quiet"), !parsed.on("no-trunc"));
    let given = parsed.last("format").unwrap_or_default();
    let list = Rows::new(&format(given, quiet)).map_err(template_failed)?;
    let filters = filters(parsed)?;
    call.over_engine(async |backend| {
        let networks = backend.networks(&filters).await?;
        let rows = networks.iter().map(|network| row(network, truncate));
        print(&list.print(rows, TITLES).map_err(template_failed)?)?;
        Ok(0)
    })
}
