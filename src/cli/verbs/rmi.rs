//! `rmi`: remove images.

use wharf_model::{Command, ErrorKind, Outcome};

use super::pull::check_platform;
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, each_in_turn};

pub(crate) static VERB: Verb = Verb {
    name: "rmi",
    paths: &["image rm", "image remove"],
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Remove one or more images",
    group: Group::Images,
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[
        Flag::switch("force", "Even if stopped containers use it").short('f'),
        Flag::switch("no-prune", "Leave untagged parents; images have none here"),
        Flag::list("platform", "strings", "Only if it is for this platform: os/arch"),
    ]],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let force = call.parsed.on("force");
    call.over_engine(async |backend| {
        each_in_turn(&call.parsed.arguments, async |image| {
            let mut lines = Vec::new();
            check_platform(&**backend, call, image).await?;
            let command = Command::RemoveImage { image: image.to_owned(), force };
            let outcome = match backend.execute(command).await {
                // Said, and no failure: with force, what isn't there is as it should be.
                Err(error) if force && error.kind == ErrorKind::NotFound => {
                    crate::report(&error.message);
                    return Ok(String::new());
                }
                outcome => outcome?,
            };
            if let Outcome::ImageRemoved { untagged, deleted } = outcome {
                for name in untagged {
                    lines.push(format!("Untagged: {name}"));
                }
                for digest in deleted {
                    lines.push(format!("Deleted: {digest}"));
                }
            }
            Ok(lines.join("\n"))
        })
        .await
    })
}
