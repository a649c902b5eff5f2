//! `boot`: what ran before the host was restarted runs again, as the restart policies say.

use crate::args::{Arity, Group, Verb};
use crate::call::{Call, print_line};
use crate::connect;

pub(crate) static VERB: Verb = Verb {
    name: "boot",
    paths: &[],
    usage: "",
    about: "Start the containers whose restart policies want it after a restart of the host",
    group: Group::System,
    arity: Arity::None,
    interspersed: true,
    flags: &[],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let booted = connect::engine(&call.target)?.boot()?;
    for name in &booted.started {
        print_line(name)?;
    }
    for (_, error) in &booted.failed {
        crate::report(&error.to_string());
    }
    Ok(i32::from(!booted.failed.is_empty()))
}
