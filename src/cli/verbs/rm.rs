//! `rm`: remove containers.

use wharf_model::{Command, RemoveOptions};

use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, each};

pub(crate) static VERB: Verb = Verb {
    name: "rm",
    paths: &["container rm", "container remove"],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Remove one or more containers",
    group: Group::Lifecycle,
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[
        Flag::switch("force", "Kill it first if it runs").short('f'),
        Flag::switch("volumes", "Remove its anonymous volumes too").short('v'),
    ]],
    missing: &[("link", Some('l'))],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let parsed = &call.parsed;
    let options = RemoveOptions { force: parsed.on("force"), volumes: parsed.on("volumes") };
    call.over_engine(async |backend| {
        each(&parsed.arguments, async |name| {
            let removed =
                backend.execute(Command::Remove { container: name.to_owned(), options }).await;
            match removed {
                // What is gone is as the user wants it, if they insist.
                Err(error) if options.force && error.kind == wharf_model::ErrorKind::NotFound => {
                    crate::report(&error.message);
                    Ok(String::new())
                }
                removed => {
                    removed?;
                    Ok(name.to_owned())
                }
            }
        })
        .await
    })
}
