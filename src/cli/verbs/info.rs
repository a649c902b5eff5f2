//! `info`: the engine and its host.

use crate::VERSION;
use crate::args::{Arity, Group, Verb};
use crate::call::{Call, print};
use crate::format;

pub(crate) static VERB: Verb = Verb {
    name: "info",
    paths: &["system info"],
    usage: "",
    about: "Show facts about the engine and its host",
    group: Group::System,
    arity: Arity::None,
    interspersed: true,
    flags: &[],
    missing: &[("format", Some('f'))],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    call.over_engine(async |backend| {
        let info = backend.info().await?;
        print(&format::info::sections(VERSION, &info))?;
        for warning in format::info::warnings(&info) {
            crate::notice(&format!("WARNING: {warning}"));
        }
        Ok(0)
    })
}
