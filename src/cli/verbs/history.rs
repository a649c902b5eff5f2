//! `history`: the steps of an image.

use chrono::Utc;

use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, print};
use crate::format::history::{ids, table};

pub(crate) static VERB: Verb = Verb {
    name: "history",
    paths: &["image history"],
    usage: "[OPTIONS] IMAGE",
    about: "Show the steps of an image",
    group: Group::Images,
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[&[
        Flag::switch("human", "Sizes and ages for people (true)").short('H'),
        Flag::switch("no-trunc", "Shorten nothing"),
        Flag::switch("quiet", "Only their IDs").short('q'),
    ]],
    missing: &[("format", None), ("platform", None)],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let parsed = &call.parsed;
    let truncate = !parsed.on("no-trunc");
    let human = parsed.last("human") != Some("false");
    call.over_engine(async |backend| {
        let entries = backend.history(parsed.argument(0).unwrap_or_default()).await?;
        print(&if parsed.on("quiet") {
            ids(&entries, truncate)
        } else {
            table(&entries, truncate, human, Utc::now())
        })?;
        Ok(0)
    })
}
