//! `push`: an image to its registry.

use wharf_model::{ImageReference, PushOptions};

use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, print_line};
use crate::progress::{To, Way, follow};

pub(crate) static VERB: Verb = Verb {
    name: "push",
    paths: &["image push"],
    usage: "[OPTIONS] NAME[:TAG]",
    about: "Upload an image to a registry",
    group: Group::Images,
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[&[
        Flag::switch("all-tags", "Push all tags of the image that are here").short('a'),
        Flag::switch("quiet", "Print the image's name alone").short('q'),
    ]],
    missing: &[("disable-content-trust", None), ("platform", None)],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let text = call.parsed.argument(0).unwrap_or_default();
    let reference: ImageReference =
        text.parse().map_err(|error| Failure::new(1, format!("{error}")))?;
    let (all_tags, quiet) = (call.parsed.on("all-tags"), call.parsed.on("quiet"));
    if all_tags && !reference.is_name_only() {
        return Err(Failure::new(1, "tag can't be used with --all-tags/-a").into());
    }
    if reference.digest().is_some() {
        return Err(Failure::new(1, "cannot push a digest reference").into());
    }
    if reference.is_name_only() && !all_tags && !quiet {
        print_line("Using default tag: latest")?;
    }
    let canonical = match all_tags {
        true => reference.repository().to_string(),
        false => reference.canonical(),
    };
    let tag = reference.name().map(|name| name.tag().to_owned()).filter(|_| !all_tags);
    let options = PushOptions { repository: reference.repository().clone(), tag };
    call.over_engine(async |backend| {
        let to = if quiet { To::Nobody } else { To::Stdout };
        follow(backend.push(options).await?, Way::Push, to).await?;
        if quiet {
            print_line(&canonical)?;
        }
        Ok(0)
    })
}
