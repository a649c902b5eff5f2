//! `system userns-remap`: dockerd's setting of that name, for an engine without a daemon.

use crate::args::{Arity, Group, Verb};
use crate::call::{Call, print_line};
use crate::connect;

pub(crate) static VERB: Verb = Verb {
    name: "userns-remap",
    paths: &["system userns-remap"],
    usage: "[default|USER[:GROUP]|off]",
    about: "Show or set whose subordinate users new containers have instead of the host's",
    group: Group::System,
    arity: Arity::Between(0, 1),
    interspersed: true,
    flags: &[],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let engine = connect::engine(&call.target)?;
    match call.parsed.argument(0) {
        None => print_line(engine.userns_remap()?.as_deref().unwrap_or("off"))?,
        Some("off" | "") => engine.set_userns_remap(None)?,
        Some(user) => engine.set_userns_remap(Some(user))?,
    }
    Ok(0)
}
