//! `volume create`, `ls`, `rm` and `prune`.

use std::collections::BTreeMap;

use wharf_model::{Command, Outcome, VolumeCreateOptions};

use super::prune::{confirmed, prune_all};
use crate::args::values::{self, filters};
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, each, print, print_line};
use crate::format::rows::{Rows, template_failed};
use crate::format::volumes::{TITLES, format, row};

pub(crate) static CREATE: Verb = Verb {
    name: "volume create",
    paths: &["volume create"],
    usage: "[OPTIONS] [VOLUME]",
    about: "Make a volume",
    group: Group::System,
    arity: Arity::AtMost(1),
    interspersed: true,
    flags: &[&[
        Flag::value("driver", "string", "Its driver: local").short('d'),
        Flag::list("label", "list", "Set a label"),
        Flag::list("opt", "map", "Option of the driver: type=nfs, device=:/path, o=addr=…")
            .short('o'),
    ]],
    missing: &[
        ("availability", None),
        ("group", None),
        ("limit-bytes", None),
        ("required-bytes", None),
        ("scope", None),
        ("secret", None),
        ("sharing", None),
        ("topology-preferred", None),
        ("topology-required", None),
        ("type", None),
    ],
    run: create,
};

pub(crate) static LS: Verb = Verb {
    name: "volume ls",
    paths: &["volume ls", "volume list"],
    usage: "[OPTIONS]",
    about: "List volumes",
    group: Group::System,
    arity: Arity::None,
    interspersed: true,
    flags: &[&[
        Flag::list("filter", "filter", "Only those for which this holds: dangling=true").short('f'),
        Flag::value("format", "string", "Print by a template: table, json or TEMPLATE"),
        Flag::switch("quiet", "Only their names").short('q'),
    ]],
    missing: &[("cluster", None)],
    run: list,
};

pub(crate) static RM: Verb = Verb {
    name: "volume rm",
    paths: &["volume rm", "volume remove"],
    usage: "[OPTIONS] VOLUME [VOLUME...]",
    about: "Remove volumes that no container has",
    group: Group::System,
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[Flag::switch("force", "One that isn't there counts as removed").short('f')]],
    missing: &[],
    run: remove,
};

pub(crate) static PRUNE: Verb = Verb {
    name: "volume prune",
    paths: &["volume prune"],
    usage: "[OPTIONS]",
    about: "Remove the volumes without a name that no container has",
    group: Group::System,
    arity: Arity::None,
    interspersed: true,
    flags: &[&[
        Flag::switch("all", "Those with names too").short('a'),
        Flag::list("filter", "filter", "Only those for which this holds: label=NAME"),
        Flag::switch("force", "Do not prompt for confirmation").short('f'),
    ]],
    missing: &[],
    run: prune,
};

pub(crate) static UPDATE: Verb = Verb {
    name: "volume update",
    paths: &["volume update"],
    usage: "[OPTIONS] VOLUME",
    about: "Change a volume of a cluster, which this engine has none of",
    group: Group::System,
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[&[Flag::value("availability", "string", "Its availability in a cluster")]],
    missing: &[],
    run: |_| {
        let text = "volume update only valid for cluster volumes, but swarm is unavailable";
        Err(Failure::new(1, text).into())
    },
};

fn create(call: &Call) -> anyhow::Result<i32> {
    let parsed = &call.parsed;
    let mut labels = BTreeMap::new();
    for text in parsed.all("label") {
        let (name, value) = values::label(text).map_err(|reason| {
            Failure::usage(format!("invalid argument {text:?} for \"--label\" flag: {reason}"))
        })?;
        labels.insert(name, value);
    }
    let mut options = BTreeMap::new();
    for text in parsed.all("opt") {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        options.insert(name.to_owned(), value.to_owned());
    }
    let options = VolumeCreateOptions {
        name: parsed.argument(0).filter(|name| !name.is_empty()).map(str::to_owned),
        driver: parsed.last("driver").unwrap_or_default().to_owned(),
        options,
        labels,
    };
    call.over_engine(async |backend| {
        let outcome = backend.execute(Command::CreateVolume(Box::new(options))).await?;
        if let Outcome::VolumeCreated(volume) = outcome {
            print_line(&volume.name)?;
        }
        Ok(0)
    })
}

fn list(call: &Call) -> anyhow::Result<i32> {
    let parsed = &call.parsed;
    let given = parsed.last("format").unwrap_or_default();
    let rows = Rows::new(format(given, parsed.on("quiet"))).map_err(template_failed)?;
    let filters = filters(parsed)?;
    call.over_engine(async |backend| {
        let volumes = backend.volumes(&filters, false).await?;
        print(&rows.print(volumes.iter().map(row), TITLES).map_err(template_failed)?)?;
        Ok(0)
    })
}

fn remove(call: &Call) -> anyhow::Result<i32> {
    let force = call.parsed.on("force");
    call.over_engine(async |backend| {
        each(&call.parsed.arguments, async |name| {
            backend.execute(Command::RemoveVolume { volume: name.to_owned(), force }).await?;
            Ok(name.to_owned())
        })
        .await
    })
}

fn prune(call: &Call) -> anyhow::Result<i32> {
    let filters = filters(&call.parsed)?;
    let all = call.parsed.on("all");
    if all && filters.contains("all") {
        let text = "conflicting options: cannot specify both --all and --filter all=1";
        return Err(Failure::new(1, text).into());
    }
    let which = if all { "all" } else { "anonymous" };
    let what = format!("{which} local volumes not used by at least one container");
    if !call.parsed.on("force") && !confirmed(&what)? {
        return Ok(0);
    }
    prune_all(call, vec![Command::PruneVolumes { all, filters }])
}
