//! `oci features` and `oci spec`.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use wharf_engine::oci::{features, template};

use super::path;
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, print};

pub(super) static FEATURES: Verb = Verb {
    name: "oci features",
    paths: &["oci features"],
    usage: "",
    about: "Print what the runtime can do",
    group: Group::System,
    arity: Arity::None,
    interspersed: true,
    flags: &[],
    missing: &[],
    run: |_| {
        print(&format!("{:#}\n", features()))?;
        Ok(0)
    },
};

pub(super) static SPEC: Verb = Verb {
    name: "oci spec",
    paths: &["oci spec"],
    usage: "[OPTIONS]",
    about: "Write a config.json to begin a bundle with",
    group: Group::System,
    arity: Arity::None,
    interspersed: true,
    flags: &[&[
        Flag::value("bundle", "path", "The bundle's folder (.)").short('b'),
        Flag::switch("rootless", "One that needs no root"),
    ]],
    missing: &[],
    run: spec,
};

fn spec(call: &Call) -> anyhow::Result<i32> {
    let user = || (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let rootless = call.parsed.on("rootless").then(user);
    let folder = path(&call.parsed, "bundle");
    let file = folder.as_deref().unwrap_or(Path::new(".")).join("config.json");
    let mut made =
        std::fs::OpenOptions::new().write(true).create_new(true).open(&file).map_err(|error| {
            match error.kind() {
                std::io::ErrorKind::AlreadyExists => {
                    Failure::new(1, format!("file {} exists. Remove it first", file.display()))
                }
                _ => Failure::new(1, format!("make {}: {error}", file.display())),
            }
        })?;
    made.write_all(format!("{:#}\n", template(rootless)).as_bytes())
        .with_context(|| format!("write {}", file.display()))?;
    Ok(0)
}
