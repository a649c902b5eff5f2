//! `save`: images as one archive.

use super::export::Output;
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::Call;

pub(crate) static VERB: Verb = Verb {
    name: "save",
    paths: &["image save"],
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Write images to an archive that docker, podman and skopeo read",
    group: Group::Images,
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[
        Flag::value("output", "string", "Write to this file instead of standard output").short('o'),
        Flag::value("platform", "string", "Only if they are for this platform: os/arch"),
    ]],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let output = Output::new(call, "failed to save image")?;
    let platform = call.parsed.last("platform").filter(|text| !text.is_empty());
    call.over_engine(async |backend| {
        output.write(backend.save(&call.parsed.arguments, platform).await?).await
    })
}
