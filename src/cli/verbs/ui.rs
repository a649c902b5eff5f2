//! `ui`: the dashboard.

use std::io::IsTerminal;

use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, over};
use crate::connect;
use crate::target::Target;

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
    let environment = |name: &str| std::env::var(name).ok();
    let hosts = connect::hosts(call, &environment)?;
    let targets: Vec<Target> = hosts.iter().map(|(_, target)| target.clone()).collect();
    over(&targets, async || {
        let backends = match targets.as_slice() {
            // A mistyped address is told where it was typed.
            [target] => vec![connect::backend(target).await?],
            targets => {
                let mut backends = Vec::new();
                for target in targets {
                    backends.push(connect::backend_or_reason(target).await?);
                }
                backends
            }
        };
        connect::dashboard(hosts, backends, read_only, None, &environment).await?;
        Ok(0)
    })
}
