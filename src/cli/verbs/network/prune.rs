//! `network prune`: all networks that no container is on are removed.

use wharf_model::Command;

use crate::args::values::filters;
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, print};
use crate::verbs::prune::{Told, confirmed};

pub(crate) static VERB: Verb = Verb {
    name: "network prune",
    paths: &["network prune"],
    usage: "[OPTIONS]",
    about: "Remove all networks that no container is on",
    group: Group::System,
    arity: Arity::None,
    interspersed: true,
    flags: &[&[
        Flag::list("filter", "filter", "Only those for which this holds: until=24h, label=NAME"),
        Flag::switch("force", "Do not prompt for confirmation").short('f'),
    ]],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let filters = filters(&call.parsed)?;
    let what = "all custom networks not used by at least one container";
    if !call.parsed.on("force") && !confirmed(what)? {
        return Ok(0);
    }
    call.over_engine(async |backend| {
        let told = Told::of(backend.execute(Command::PruneNetworks { filters }).await?);
        print(&told.text)?;
        for failure in &told.failed {
            crate::report(failure);
        }
        Ok(i32::from(!told.failed.is_empty()))
    })
}
