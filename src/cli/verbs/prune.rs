//! `container prune`: all containers that don't run are removed; `image prune`: images nobody uses.

use std::io::{self, BufRead, Write};

use wharf_inspect::human;
use wharf_model::{Command, Outcome};

use crate::args::values::filters;
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, print};

pub(crate) static VERB: Verb = Verb {
    name: "container prune",
    paths: &["container prune"],
    usage: "[OPTIONS]",
    about: "Remove all containers that don't run",
    group: Group::Lifecycle,
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
    if !call.parsed.on("force") && !confirmed("all stopped containers.")? {
        return Ok(0);
    }
    call.over_engine(async |backend| {
        let outcome = backend.execute(Command::Prune { filters }).await?;
        let Outcome::Pruned { deleted, reclaimed, failed } = outcome else { return Ok(0) };
        told("Deleted Containers", &deleted, Some(reclaimed), &failed)
    })
}

pub(crate) static IMAGES: Verb = Verb {
    name: "image prune",
    paths: &["image prune"],
    usage: "[OPTIONS]",
    about: "Remove images that no container uses",
    group: Group::Images,
    arity: Arity::None,
    interspersed: true,
    flags: &[&[
        Flag::switch("all", "Those with names too, not just dangling ones").short('a'),
        Flag::list("filter", "filter", "Only those for which this holds: until=24h, label=NAME"),
        Flag::switch("force", "Do not prompt for confirmation").short('f'),
    ]],
    missing: &[],
    run: run_images,
};

fn run_images(call: &Call) -> anyhow::Result<i32> {
    let filters = filters(&call.parsed)?;
    let all = call.parsed.on("all");
    let what = match all {
        true => "all images without at least one container associated to them.",
        false => "all dangling images.",
    };
    if !call.parsed.on("force") && !confirmed(what)? {
        return Ok(0);
    }
    call.over_engine(async |backend| {
        let outcome = backend.execute(Command::PruneImages { all, filters }).await?;
        let Outcome::ImagesPruned { untagged, deleted, reclaimed, failed } = outcome else {
            return Ok(0);
        };
        let untagged = untagged.iter().map(|name| format!("untagged: {name}"));
        let deleted = deleted.iter().map(|id| format!("deleted: {id}"));
        let lines: Vec<String> = untagged.chain(deleted).collect();
        told("Deleted Images", &lines, Some(reclaimed), &failed)
    })
}

/// Prints what was removed, what that gave back where this is known, and what failed. Returns the exit
/// code.
pub(super) fn told(
    title: &str,
    removed: &[impl std::fmt::Display],
    reclaimed: Option<u64>,
    failed: &[String],
) -> anyhow::Result<i32> {
    let mut text = String::new();
    if !removed.is_empty() {
        let lines: String = removed.iter().map(|one| format!("{one}\n")).collect();
        text.push_str(&format!("{title}:\n{lines}\n"));
    }
    if let Some(reclaimed) = reclaimed {
        text.push_str(&format!("Total reclaimed space: {}\n", human::size(reclaimed)));
    }
    print(&text)?;
    for failure in failed {
        crate::report(failure);
    }
    Ok(i32::from(!failed.is_empty()))
}

/// Asks whether to go on with the removal of this; no is the default.
pub(super) fn confirmed(what: &str) -> io::Result<bool> {
    print(&format!("WARNING! This will remove {what}\nAre you sure you want to continue? [y/N] "))?;
    io::stdout().flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
