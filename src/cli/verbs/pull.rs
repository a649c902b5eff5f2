//! `pull`: an image from its registry; and what `run` and `create` share with it.

use wharf_backend::Backend;
use wharf_model::{ImageReference, PullOptions};

use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, print_line};
use crate::connect;
use crate::progress::{To, Way, follow};

pub(crate) static VERB: Verb = Verb {
    name: "pull",
    paths: &["image pull"],
    usage: "[OPTIONS] NAME[:TAG|@DIGEST]",
    about: "Download an image from a registry",
    group: Group::Images,
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[&[
        Flag::switch("all-tags", "Download all tagged images in the repository").short('a'),
        Flag::value("platform", "string", "The machine it is for, unless this one: os/arch"),
        Flag::switch("quiet", "Print the image's name alone").short('q'),
    ]],
    missing: &[("disable-content-trust", None)],
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
    if reference.is_name_only() && !all_tags && !quiet {
        print_line("Using default tag: latest")?;
    }
    let canonical = match all_tags {
        true => reference.repository().to_string(),
        false => reference.canonical(),
    };
    let options = PullOptions { reference, all_tags, platform: platform(call) };
    connect::enter(&call.target)?;
    connect::tell_of_namespace();
    call.over_engine(async |backend| {
        let to = if quiet { To::Nobody } else { To::Stdout };
        follow(backend.pull(options).await?, Way::Pull, to).await?;
        print_line(&canonical)?;
        Ok(0)
    })
}

/// Returns the machine that the user named, on the command line or as docker's default.
pub(super) fn platform(call: &Call) -> Option<String> {
    let named = call.parsed.last("platform").map(str::to_owned);
    named
        .or_else(|| std::env::var("DOCKER_DEFAULT_PLATFORM").ok())
        .filter(|platform| !platform.is_empty())
}

/// Fetches the image that a container is to be made from.
///
/// # Errors
/// When it can't be had.
pub(super) async fn fetch(backend: &dyn Backend, call: &Call, image: &str) -> anyhow::Result<()> {
    let reference: ImageReference =
        image.parse().map_err(|error| Failure::new(1, format!("{error}")))?;
    let options = PullOptions { platform: platform(call), ..PullOptions::new(reference) };
    let to = if call.parsed.on("quiet") { To::Nobody } else { To::Stderr };
    follow(backend.pull(options).await?, Way::Pull, to).await
}
