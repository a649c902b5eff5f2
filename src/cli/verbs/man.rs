//! `man`: the manual pages.

use std::path::Path;

use anyhow::Context;

use crate::args::{Arity, Group, Verb};
use crate::call::{Call, print};
use crate::roff;

pub(crate) static VERB: Verb = Verb {
    name: "man",
    paths: &[],
    usage: "[DIR]",
    about: "Write the manual pages into a folder, or print the main one",
    group: Group::System,
    arity: Arity::AtMost(1),
    interspersed: true,
    flags: &[],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let Some(folder) = call.parsed.argument(0) else {
        print(&roff::main_page())?;
        return Ok(0);
    };
    let folder = Path::new(folder);
    std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    for (name, text) in roff::pages() {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(0)
}
