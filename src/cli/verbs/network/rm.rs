//! `network rm`: remove networks.

use wharf_model::{Command, ErrorKind};

use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, each_in_turn};

pub(crate) static VERB: Verb = Verb {
    name: "network rm",
    paths: &["network rm", "network remove"],
    usage: "[OPTIONS] NETWORK [NETWORK...]",
    about: "Remove one or more networks",
    group: Group::System,
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[Flag::switch("force", "Don't complain about one that isn't there").short('f')]],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let force = call.parsed.on("force");
    call.over_engine(async |backend| {
        each_in_turn(&call.parsed.arguments, async |name| {
            // Docker says which one was not there, and ends well, when it is forced.
            let removed =
                backend.execute(Command::RemoveNetwork { network: name.to_owned(), force: false });
            match removed.await {
                Err(error) if force && error.kind == ErrorKind::NotFound => {
                    crate::report(&error.message);
                    Ok(String::new())
                }
                removed => removed.map(|_| name.to_owned()).map_err(Into::into),
            }
        })
        .await
    })
}
