//! `images`: list images.

use chrono::Utc;
use wharf_model::ImageListOptions;

use crate::args::values::filters;
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, print};
use crate::format::images::{TITLES, View, format, rows};
use crate::format::rows::{Rows, template_failed};

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
        Flag::list("filter", "filter", "Only those for which this holds: dangling=true").short('f'),
        Flag::value("format", "string", "Print by a template: table, json, raw or TEMPLATE"),
        Flag::switch("no-trunc", "Shorten nothing"),
        Flag::switch("quiet", "Only their IDs").short('q'),
    ]],
    missing: &[("tree", None)],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let parsed = &call.parsed;
    let view = View {
        quiet: parsed.on("quiet"),
        truncate: !parsed.on("no-trunc"),
        digests: parsed.on("digests"),
    };
    let given = parsed.last("format").unwrap_or_default();
    let list = Rows::new(&format(given, view)).map_err(template_failed)?;
    let mut options = ImageListOptions { filters: filters(parsed)? };
    if let Some(name) = parsed.argument(0) {
        options.filters.insert("reference", name);
    }
    // Ids alone are each shown once, however many names an image has.
    let ids = view.quiet && matches!(given, "" | "table");
    call.over_engine(async |backend| {
        let images = backend.list_images(&options).await?;
        let now = Utc::now();
        let all = images.iter().flat_map(|image| {
            let mut rows = rows(image, view.truncate, now);
            rows.truncate(if ids { 1 } else { usize::MAX });
            rows
        });
        print(&list.print(all, TITLES).map_err(template_failed)?)?;
        Ok(0)
    })
}
