//! `history`: the steps of an image.

use chrono::Utc;

use super::pull::check_platform;
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, print};
use crate::format::history::{TITLES, format, row};
use crate::format::rows::{Rows, template_failed};

pub(crate) static VERB: Verb = Verb {
    name: "history",
    paths: &["image history"],
    usage: "[OPTIONS] IMAGE",
    about: "Show the steps of an image",
    group: Group::Images,
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[&[
        Flag::value("format", "string", "Print by a template: table, json or TEMPLATE"),
        Flag::switch("human", "Sizes and ages for people (true)").short('H'),
        Flag::switch("no-trunc", "Shorten nothing"),
        Flag::value("platform", "string", "Only if it is for this platform: os/arch"),
        Flag::switch("quiet", "Only their IDs").short('q'),
    ]],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let parsed = &call.parsed;
    let truncate = !parsed.on("no-trunc");
    let human = parsed.last("human") != Some("false");
    let given = parsed.last("format").unwrap_or_default();
    let rows = Rows::new(format(given, parsed.on("quiet"), human)).map_err(template_failed)?;
    call.over_engine(async |backend| {
        let image = parsed.argument(0).unwrap_or_default();
        check_platform(&**backend, call, image).await?;
        let entries = backend.history(image).await?;
        let now = Utc::now();
        let all = entries.iter().map(|entry| row(entry, truncate, human, now));
        print(&rows.print(all, TITLES).map_err(template_failed)?)?;
        Ok(0)
    })
}
