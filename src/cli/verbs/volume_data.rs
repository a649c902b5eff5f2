//! `volume size`, `export`, `import` and `clone`: what docker needs a container for.

use std::io::{self, IsTerminal};

use wharf_backend::Reader;
use wharf_model::{Command, Filters};

use super::export::Output;
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, print, print_line};
use crate::format::rows::{Rows, template_failed};
use crate::format::volumes::{TITLES, row, size_format};

pub(crate) static SIZE: Verb = Verb {
    name: "volume size",
    paths: &["volume size"],
    usage: "[OPTIONS] [VOLUME...]",
    about: "Show how much disk volumes take",
    group: Group::System,
    arity: Arity::Any,
    interspersed: true,
    flags: &[&[Flag::value("format", "string", "Print by a template: table, json or TEMPLATE")]],
    missing: &[],
    run: size,
};

pub(crate) static EXPORT: Verb = Verb {
    name: "volume export",
    paths: &["volume export"],
    usage: "[OPTIONS] VOLUME",
    about: "Write what a volume holds as a tar",
    group: Group::System,
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[&[
        Flag::value("output", "string", "Write to this file instead of standard output").short('o'),
        Flag::switch("pause", "Freeze the containers that may write to it meanwhile").short('p'),
    ]],
    missing: &[],
    run: export,
};

pub(crate) static IMPORT: Verb = Verb {
    name: "volume import",
    paths: &["volume import"],
    usage: "[OPTIONS] VOLUME [FILE|-]",
    about: "Fill a volume from a tar, all or nothing",
    group: Group::System,
    arity: Arity::Between(1, 2),
    interspersed: true,
    flags: &[&[Flag::switch("replace", "Put it in the place of all that the volume holds")]],
    missing: &[],
    run: import,
};

pub(crate) static CLONE: Verb = Verb {
    name: "volume clone",
    paths: &["volume clone"],
    usage: "VOLUME NEW_VOLUME",
    about: "Make a volume with all that another one holds",
    group: Group::System,
    arity: Arity::Exactly(2),
    interspersed: true,
    flags: &[],
    missing: &[],
    run: clone,
};

fn size(call: &Call) -> anyhow::Result<i32> {
    let names = &call.parsed.arguments;
    let given = call.parsed.last("format").unwrap_or_default();
    let rows = Rows::new(size_format(given)).map_err(template_failed)?;
    let mut filters = Filters::default();
    for name in names {
        filters.insert("name", &format!("^{}$", regex_escaped(name)));
    }
    call.over_engine(async |backend| {
        let volumes = backend.volumes(&filters, true).await?;
        print(&rows.print(volumes.iter().map(row), TITLES).map_err(template_failed)?)?;
        let mut code = 0;
        for name in names.iter().filter(|name| volumes.iter().all(|one| one.name != **name)) {
            crate::report(&format!("get {name}: no such volume"));
            code = 1;
        }
        Ok(code)
    })
}

/// Returns a pattern that fits this text alone.
fn regex_escaped(text: &str) -> String {
    text.chars()
        .flat_map(|c| [(!c.is_alphanumeric() && c.is_ascii()).then_some('\\'), Some(c)])
        .flatten()
        .collect()
}

fn export(call: &Call) -> anyhow::Result<i32> {
    let name = call.parsed.argument(0).unwrap_or_default();
    let output = Output::new(call, "failed to export volume")?;
    call.over_engine(async |backend| {
        output.write(backend.volume_export(name, call.parsed.on("pause")).await?).await
    })
}

fn import(call: &Call) -> anyhow::Result<i32> {
    let name = call.parsed.argument(0).unwrap_or_default();
    let archive: Reader = match call.parsed.argument(1).unwrap_or("-") {
        "-" if io::stdin().is_terminal() => {
            let text =
                "cowardly refusing to read an archive from a terminal: name a file or redirect";
            return Err(Failure::new(1, text).into());
        }
        "-" => Box::new(io::stdin()),
        path => Box::new(super::import::open(path)?),
    };
    call.over_engine(async |backend| {
        backend.volume_import(name, archive, call.parsed.on("replace")).await?;
        print_line(name)?;
        Ok(0)
    })
}

fn clone(call: &Call) -> anyhow::Result<i32> {
    let argument = |index| call.parsed.argument(index).unwrap_or_default().to_owned();
    call.over_engine(async |backend| {
        backend.execute(Command::CloneVolume { from: argument(0), to: argument(1) }).await?;
        print_line(&argument(1))?;
        Ok(0)
    })
}
