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
    let named = Named::of(call)?;
    named.tell_default()?;
    let options = PullOptions {
        reference: named.reference.clone(),
        all_tags: named.all_tags,
        platform: platform(call),
    };
    connect::enter(&call.target)?;
    connect::tell_of_namespace();
    call.over_engine(async |backend| {
        follow(backend.pull(options).await?, Way::Pull, named.told()).await?;
        print_line(&named.canonical())?;
        Ok(0)
    })
}

/// What a pull or a push is asked for.
pub(super) struct Named {
    pub(super) reference: ImageReference,
    pub(super) all_tags: bool,
    pub(super) quiet: bool,
}

impl Named {
    /// Reads the argument and the flags that both have.
    pub(super) fn of(call: &Call) -> Result<Self, Failure> {
        let text = call.parsed.argument(0).unwrap_or_default();
        let reference: ImageReference =
            text.parse().map_err(|error| Failure::new(1, format!("{error}")))?;
        let (all_tags, quiet) = (call.parsed.on("all-tags"), call.parsed.on("quiet"));
        match all_tags && !reference.is_name_only() {
            true => Err(Failure::new(1, "tag can't be used with --all-tags/-a")),
            false => Ok(Self { reference, all_tags, quiet }),
        }
    }

    /// Says what tag is meant where none is named.
    pub(super) fn tell_default(&self) -> std::io::Result<()> {
        match self.reference.is_name_only() && !self.all_tags && !self.quiet {
            true => print_line("Using default tag: latest"),
            false => Ok(()),
        }
    }

    /// Returns where the steps are told.
    pub(super) fn told(&self) -> To {
        if self.quiet { To::Nobody } else { To::Stdout }
    }

    /// Returns the whole name.
    pub(super) fn canonical(&self) -> String {
        match self.all_tags {
            true => self.reference.repository().to_string(),
            false => self.reference.canonical(),
        }
    }
}

/// Returns the machine that the user named, on the command line or as docker's default.
pub(super) fn platform(call: &Call) -> Option<String> {
    let named = call.parsed.last("platform").map(str::to_owned);
    named
        .or_else(|| std::env::var("DOCKER_DEFAULT_PLATFORM").ok())
        .filter(|platform| !platform.is_empty())
}

/// Refuses an image that isn't for a machine that the command line names.
///
/// # Errors
/// When it is for another one, or isn't there.
pub(super) async fn check_platform(
    backend: &dyn Backend,
    call: &Call,
    image: &str,
) -> Result<(), wharf_backend::Error> {
    let given = call.parsed.all("platform").flat_map(|list| list.split(','));
    for platform in given.filter(|platform| !platform.is_empty()) {
        wharf_backend::check_platform(backend, image, platform).await?;
    }
    Ok(())
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
