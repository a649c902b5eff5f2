//! `rename`: another name for a container.

use wharf_model::Command;

use crate::args::{Arity, Group, Verb};
use crate::call::{Call, Failure};

pub(crate) static VERB: Verb = Verb {
    name: "rename",
    paths: &["container rename"],
    usage: "CONTAINER NEW_NAME",
    about: "Rename a container",
    group: Group::Lifecycle,
    arity: Arity::Exactly(2),
    interspersed: true,
    flags: &[],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let argument = |index| call.parsed.argument(index).unwrap_or_default().trim().to_owned();
    let (container, name) = (argument(0), argument(1));
    if container.is_empty() || name.is_empty() {
        return Err(Failure::new(1, "Neither old nor new names may be empty").into());
    }
    call.over_engine(async |backend| {
        let command = Command::Rename { container: container.clone(), name };
        if let Err(error) = backend.execute(command).await {
            crate::report(&error.message);
            let message = format!("failed to rename container named {container}");
            return Err(Failure::new(1, message).into());
        }
        Ok(0)
    })
}
