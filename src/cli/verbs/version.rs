//! `version`: of this program and of the engine.

use crate::VERSION;
use crate::args::{Arity, Group, Verb};
use crate::call::{Call, print};
use crate::format::version::sections;

pub(crate) static VERB: Verb = Verb {
    name: "version",
    paths: &[],
    usage: "",
    about: "Show the versions of this program and of the engine",
    group: Group::System,
    arity: Arity::None,
    interspersed: true,
    flags: &[],
    missing: &[("format", Some('f'))],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let done = call.over_engine(async |backend| {
        let info = backend.version().await?;
        print(&sections(VERSION, Some((backend.name(), &info))))?;
        Ok(0)
    });
    if let Err(error) = &done
        && !crate::call::is_broken_pipe(error)
    {
        // What is known is said even when the engine can't be reached.
        print(&sections(VERSION, None))?;
    }
    done
}
