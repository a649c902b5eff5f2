//! `kill`: send a signal.

use wharf_model::Command;

use crate::args::{Arity, Flag, Group, Verb, signals};
use crate::call::{Call, Failure, each};

pub(crate) static VERB: Verb = Verb {
    name: "kill",
    paths: &["container kill"],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Send a signal to one or more running containers",
    group: Group::Lifecycle,
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[Flag::value("signal", "string", "The signal to send (KILL)").short('s')]],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let signal = call.parsed.last("signal").filter(|name| !name.is_empty());
    if let Some(name) = signal {
        signals::signal(name).map_err(|reason| Failure::new(1, reason))?;
    }
    call.over_engine(async |backend| {
        each(&call.parsed.arguments, async |name| {
            let (container, signal) = (name.to_owned(), signal.map(str::to_owned));
            backend.execute(Command::Kill { container, signal }).await?;
            Ok(name.to_owned())
        })
        .await
    })
}
