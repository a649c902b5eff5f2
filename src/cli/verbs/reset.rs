//! `system reset`: everything of one engine is removed.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure};
use crate::connect;

pub(crate) static VERB: Verb = Verb {
    name: "reset",
    paths: &["system reset"],
    usage: "[OPTIONS]",
    about: "Remove all containers, images and networks of the embedded engine",
    group: Group::System,
    arity: Arity::None,
    interspersed: true,
    flags: &[&[Flag::switch("force", "Do not prompt for confirmation").short('f')]],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let engine = connect::engine(&call.target)?;
    if !call.parsed.on("force") && !confirmed(&engine.paths().root().display().to_string())? {
        return Ok(1);
    }
    engine.reset()?;
    Ok(0)
}

/// Asks whether to go on; no is the default, and the only answer without a terminal.
fn confirmed(root: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new(1, "nobody to ask: confirm with --force").into());
    }
    let mut out = io::stdout().lock();
    write!(
        out,
        "This kills and removes all containers below {root}, with what they wrote, and removes all \
         images.\nGo on? [y/N] "
    )?;
    out.flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
