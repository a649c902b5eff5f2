//! `push`: an image to its registry.

use wharf_model::PushOptions;

use super::pull::Named;

use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, print_line};
use crate::progress::{Way, follow};

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
        Flag::value("platform", "string", "The machine it must be for: os/arch[/variant]"),
        Flag::switch("quiet", "Print the image's name alone").short('q'),
    ]],
    missing: &[("disable-content-trust", None)],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let named = Named::of(call)?;
    if named.reference.digest().is_some() {
        return Err(Failure::new(1, "cannot push a digest reference").into());
    }
    named.tell_default()?;
    let reference = &named.reference;
    let tag = reference.name().map(|name| name.tag().to_owned()).filter(|_| !named.all_tags);
    let options = PushOptions {
        repository: reference.repository().clone(),
        tag,
        platform: call.parsed.last("platform").filter(|text| !text.is_empty()).map(str::to_owned),
    };
    call.over_engine(async |backend| {
        follow(backend.push(options).await?, Way::Push, named.told()).await?;
        if named.quiet {
            print_line(&named.canonical())?;
        }
        Ok(0)
    })
}
