//! `ui`: the dashboard.

use std::io::IsTerminal;
use std::sync::Arc;

use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure};
use crate::connect;

pub(crate) static VERB: Verb = Verb {
    name: "ui",
    paths: &[],
    usage: "[OPTIONS]",
    about: "Open the dashboard",
    group: Group::Dashboard,
    arity: Arity::None,
    interspersed: true,
    flags: &[&[Flag::switch("read-only", "Leave out every action that changes anything")]],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(Failure::new(1, "the dashboard needs a terminal").into());
    }
    let read_only = call.parsed.on("read-only");
    call.over_engine(async |backend| {
        let environment = |name: &str| std::env::var(name).ok();
        connect::dashboard(&call.target, Arc::clone(backend), read_only, None, &environment)
            .await?;
        Ok(0)
    })
}
