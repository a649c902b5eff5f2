//! `container prune`, `image prune` and `system prune`: what nobody uses is removed.

use std::io::{self, BufRead, Write};

use wharf_inspect::human;
use wharf_model::{Command, Filters, Outcome};

use crate::args::values::filters;
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, print};

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

pub(crate) static SYSTEM: Verb = Verb {
    name: "system prune",
    paths: &["system prune"],
    usage: "[OPTIONS]",
    about: "Remove the containers, networks and images that nobody uses",
    group: Group::System,
    arity: Arity::None,
    interspersed: true,
    flags: &[&[
        Flag::switch("all", "Images with names too, not just dangling ones").short('a'),
        Flag::list("filter", "filter", "Only those for which this holds: until=24h, label=NAME"),
        Flag::switch("force", "Do not prompt for confirmation").short('f'),
        Flag::switch("volumes", "Volumes without a name too"),
    ]],
    missing: &[],
    run: run_system,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let filters = filters(&call.parsed)?;
    if !call.parsed.on("force") && !confirmed("all stopped containers.")? {
        return Ok(0);
    }
    prune_all(call, vec![Command::Prune { filters }])
}

fn run_images(call: &Call) -> anyhow::Result<i32> {
    let filters = filters(&call.parsed)?;
    let all = call.parsed.on("all");
    if !call.parsed.on("force") && !confirmed(&format!("{}.", images(all)))? {
        return Ok(0);
    }
    prune_all(call, vec![Command::PruneImages { all, filters }])
}

fn images(all: bool) -> &'static str {
    match all {
        true => "all images without at least one container associated to them",
        false => "all dangling images",
    }
}

fn run_system(call: &Call) -> anyhow::Result<i32> {
    let filters = filters(&call.parsed)?;
    let (all, volumes) = (call.parsed.on("all"), call.parsed.on("volumes"));
    if volumes && filters.contains("until") {
        let text = "the \"until\" filter is not supported with \"--volumes\"";
        return Err(Failure::new(1, text).into());
    }
    if !call.parsed.on("force") && !confirmed(&warning(&filters, all, volumes))? {
        return Ok(0);
    }
    let mut commands = vec![
        Command::Prune { filters: filters.clone() },
        Command::PruneNetworks { filters: filters.clone() },
    ];
    if volumes {
        commands.push(Command::PruneVolumes { all: false, filters: filters.clone() });
    }
    commands.push(Command::PruneImages { all, filters });
    prune_all(call, commands)
}

fn warning(filters: &Filters, all: bool, volumes: bool) -> String {
    let mut text = ":\n  - all stopped containers\n  - all networks not used by at least one \
                    container\n"
        .to_owned();
    if volumes {
        text.push_str("  - all anonymous volumes not used by at least one container\n");
    }
    text.push_str(&format!("  - {}\n", images(all)));
    text.push_str(if all { "  - all build cache\n" } else { "  - unused build cache\n" });
    let mut given = Vec::new();
    for name in ["label", "label!", "until"] {
        given.extend(filters.values(name).iter().map(|value| format!("  - {name}={value}\n")));
    }
    if !given.is_empty() {
        text.push_str(&format!("\n  Items to be filtered with:\n{}", given.concat()));
    }
    text
}

/// Removes what these commands mean, one after the other, and tells of all of it.
pub(super) fn prune_all(call: &Call, commands: Vec<Command>) -> anyhow::Result<i32> {
    call.over_engine(async |backend| {
        let (mut reclaimed, mut failed) = (0_u64, false);
        for command in commands {
            let told = Told::of(backend.execute(command).await?);
            print(&told.text)?;
            for failure in &told.failed {
                crate::report(failure);
            }
            reclaimed = reclaimed.saturating_add(told.reclaimed);
            failed |= !told.failed.is_empty();
        }
        print(&format!("Total reclaimed space: {}\n", human::size(reclaimed)))?;
        Ok(i32::from(failed))
    })
}

/// What is told of things that were removed together.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// What is printed.
    pub(super) text: String,
    /// Bytes of the disk.
    pub(super) reclaimed: u64,
    /// Why others are still there.
    pub(super) failed: Vec<String>,
}

impl Told {
    /// Returns what is told of a prune.
    pub(super) fn of(outcome: Outcome) -> Self {
        let (title, lines, reclaimed, failed) = match outcome {
            Outcome::Pruned { deleted, reclaimed, failed } => {
                let lines: Vec<String> = deleted.iter().map(ToString::to_string).collect();
                ("Containers", lines, reclaimed, failed)
            }
            Outcome::ImagesPruned { untagged, deleted, reclaimed, failed } => {
                let untagged = untagged.iter().map(|name| format!("untagged: {name}"));
                let deleted = deleted.iter().map(|id| format!("deleted: {id}"));
                ("Images", untagged.chain(deleted).collect(), reclaimed, failed)
            }
            Outcome::NetworksPruned { deleted, failed } => ("Networks", deleted, 0, failed),
            Outcome::VolumesPruned { deleted, reclaimed, failed } => {
                ("Volumes", deleted, reclaimed, failed)
            }
            _ => return Self::default(),
        };
        let text = match lines.is_empty() {
            true => String::new(),
            false => format!("Deleted {title}:\n{}\n\n", lines.join("\n")),
        };
        Self { text, reclaimed, failed }
    }
}

/// Asks whether to go on with the removal of this; no is the default.
pub(super) fn confirmed(what: &str) -> io::Result<bool> {
    let gap = if what.starts_with(':') { "" } else { " " };
    print(&format!(
        "WARNING! This will remove{gap}{what}\nAre you sure you want to continue? [y/N] "
    ))?;
    io::stdout().flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
