//! `oci create` and `oci run`.

use std::path::PathBuf;

use wharf_engine::oci::CreateOptions;

use super::{number, path, seal, with_runtime};
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure};

const BOTH: &[Flag] = &[
    Flag::value("bundle", "path", "The bundle's folder (.)").short('b'),
    Flag::value("console-socket", "path", "Where the terminal's master is sent"),
    Flag::switch("no-new-keyring", "Keep the caller's session keyring"),
    Flag::switch("no-pivot", "Move the root filesystem instead of exchanging it"),
    Flag::value("pid-file", "path", "Write the first process's number to a file"),
    Flag::value("preserve-fds", "int", "Pass so many descriptors from 3 on to the program"),
];

pub(super) static CREATE: Verb = Verb {
    name: "oci create",
    paths: &["oci create"],
    usage: "[OPTIONS] ID",
    about: "Create a container from a bundle",
    group: Group::System,
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[BOTH],
    missing: &[("pidfd-socket", None)],
    run: create,
};

pub(super) static RUN: Verb = Verb {
    name: "oci run",
    paths: &["oci run"],
    usage: "[OPTIONS] ID",
    about: "Create a container from a bundle, start it, and remove it at its end",
    group: Group::System,
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[
        BOTH,
        &[
            Flag::switch("detach", "Return once it runs").short('d'),
            Flag::switch("keep", "Don't remove it at its end"),
        ],
    ],
    missing: &[("no-subreaper", None), ("pidfd-socket", None)],
    run,
};

fn options(call: &Call) -> Result<CreateOptions, Failure> {
    let parsed = &call.parsed;
    Ok(CreateOptions {
        id: parsed.argument(0).unwrap_or_default().to_owned(),
        bundle: path(parsed, "bundle").unwrap_or_else(|| PathBuf::from(".")),
        console_socket: path(parsed, "console-socket"),
        pid_file: path(parsed, "pid-file"),
        preserve_fds: number(parsed, "preserve-fds")?.unwrap_or(0),
        no_pivot: parsed.on("no-pivot"),
        no_new_keyring: parsed.on("no-new-keyring"),
    })
}

fn create(call: &Call) -> anyhow::Result<i32> {
    let options = options(call)?;
    seal()?;
    with_runtime(call, |runtime| runtime.create(&options)).map(|()| 0)
}

fn run(call: &Call) -> anyhow::Result<i32> {
    let options = options(call)?;
    seal()?;
    let (detach, keep) = (call.parsed.on("detach"), call.parsed.on("keep"));
    with_runtime(call, |runtime| runtime.run(&options, detach, keep))
}
