//! `tag`: one more name for an image.

use wharf_model::{Command, ImageName};

use crate::args::{Arity, Group, Verb};
use crate::call::{Call, Failure};

pub(crate) static VERB: Verb = Verb {
    name: "tag",
    paths: &["image tag"],
    usage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    about: "Give an image one more name",
    group: Group::Images,
    arity: Arity::Exactly(2),
    interspersed: true,
    flags: &[],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let image = call.parsed.argument(0).unwrap_or_default().to_owned();
    let target = call.parsed.argument(1).unwrap_or_default();
    let name: ImageName = target.parse().map_err(|error| {
        let text = "is not a valid repository/tag";
        Failure::new(1, format!("Error parsing reference: \"{target}\" {text}: {error}"))
    })?;
    call.over_engine(async |backend| {
        backend.execute(Command::Tag { image, name }).await?;
        Ok(0)
    })
}
