//! `images`: list images.

use chrono::Utc;

use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, print};
use crate::format::images::{View, ids, table};

pub(crate) static VERB: Verb = Verb {
    name: "images",
    paths: &["image ls", "image list"],
    usage: "[OPTIONS] [REPOSITORY[:TAG]]",
    about: "List images",
    group: Group::Images,
    arity: Arity::AtMost(1),
    interspersed: true,
    flags: &[&[
        Flag::switch("all", "Intermediate images too; there are none").short('a'),
        Flag::switch("digests", "Show digests"),
        Flag::switch("no-trunc", "Shorten nothing"),
        Flag::switch("quiet", "Only their IDs").short('q'),
    ]],
    missing: &[("filter", Some('f')), ("format", None), ("tree", None)],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let parsed = &call.parsed;
    let wanted = parsed.argument(0);
    let view = View { truncate: !parsed.on("no-trunc"), digests: parsed.on("digests") };
    call.over_engine(async |backend| {
        let images = backend.images().await?;
        print(&if parsed.on("quiet") {
            ids(&images, wanted, view.truncate)
        } else {
            table(&images, wanted, view, Utc::now())
        })?;
        Ok(0)
    })
}
