//! `ps`: list containers.

use chrono::Utc;

use crate::args::create::integer_flag;
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, print};
use crate::format;

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
        LAST,
        Flag::switch("latest", "Only the newest one, in any state").short('l'),
        Flag::switch("no-trunc", "Shorten nothing"),
        Flag::switch("quiet", "Only their IDs").short('q'),
    ]],
    missing: &[("filter", Some('f')), ("format", None), ("size", Some('s'))],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let parsed = &call.parsed;
    let last = if parsed.on("latest") { Some(1) } else { integer_flag(parsed, &LAST)? };
    // Negative means all, which is docker's default.
    let last = last.and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
    let truncate = !parsed.on("no-trunc");
    call.over_engine(async |backend| {
        let mut containers = backend.containers(parsed.on("all") || last.is_some()).await?;
        if let Some(count) = last {
            containers.truncate(count);
        }
        print(&if parsed.on("quiet") {
            format::ps::ids(&containers, truncate)
        } else {
            format::ps::table(&containers, truncate, Utc::now())
        })?;
        Ok(0)
    })
}
