//! `system recorder`: whether the past of containers is kept.

use crate::args::{Arity, Group, Verb};
use crate::call::{Call, Failure, print_line};
use crate::connect;

pub(crate) static VERB: Verb = Verb {
    name: "recorder",
    paths: &["system recorder"],
    usage: "[on|off]",
    about: "Show or set whether statistics, events and health of containers are recorded",
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
        None => print_line(if engine.records() { "on" } else { "off" })?,
        Some("on") => engine.set_records(true)?,
        Some("off") => engine.set_records(false)?,
        Some(other) => {
            let text = format!("system recorder: {other:?} is neither on nor off");
            return Err(Failure::new(125, text).into());
        }
    }
    Ok(0)
}
