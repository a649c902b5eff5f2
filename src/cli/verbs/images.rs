//! `images`: list images.

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use chrono::Utc;
use wharf_model::{ErrorKind, ImageListOptions};

use crate::args::values::filters;
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, print};
use crate::format::images::{TITLES, View, format, rows};
use crate::format::rows::{Rows, template_failed};
use crate::format::tree::{Node, draw};
use crate::session::terminal;

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
        Flag::switch("tree", "With the platform, the size on disk and the use of each"),
    ]],
    missing: &[],
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
    if parsed.on("tree") {
        return tree(call);
    }
    let list = Rows::new(&format(given, view)).map_err(template_failed)?;
    let options = wanted(call)?;
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

/// Returns which images are wanted.
fn wanted(call: &Call) -> Result<ImageListOptions, Failure> {
    let mut options = ImageListOptions { filters: filters(&call.parsed)? };
    if let Some(name) = call.parsed.argument(0) {
        options.filters.insert("reference", name);
    }
    Ok(options)
}

/// `images --tree`.
fn tree(call: &Call) -> anyhow::Result<i32> {
    let parsed = &call.parsed;
    let other = ["no-trunc", "quiet", "digests", "format"];
    if let Some(flag) = other.into_iter().find(|flag| parsed.last(flag).is_some()) {
        return Err(Failure::new(1, format!("--{flag} is not yet supported with --tree")).into());
    }
    let options = wanted(call)?;
    let columns = terminal::size(std::io::stdout().as_fd()).map_or(80, |size| size.columns.into());
    call.over_engine(async |backend| {
        let images = backend.list_images(&options).await?;
        let layers: BTreeMap<_, _> = backend.image_layers().await?.into_iter().collect();
        let mut nodes = Vec::new();
        for image in images {
            let detail = match backend.image(image.id.as_str()).await {
                Err(error) if error.kind == ErrorKind::NotFound => continue,
                detail => detail?,
            };
            let layers = layers.get(&image.id).map_or(&[][..], Vec::as_slice);
            nodes.push(Node::new(&image, layers, &detail));
        }
        print(&draw(&nodes, columns))?;
        Ok(0)
    })
}
