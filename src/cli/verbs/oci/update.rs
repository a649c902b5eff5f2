//! `oci update`: other limits for a container that is there.

use std::io::Read;

use anyhow::Context;
use serde_json::{Value, json};

use super::life::id;
use super::{number, with_runtime};
use crate::args::resources::CHANGEABLE;
use crate::args::{Arity, Flag, Group, Verb, values};
use crate::call::{Call, Failure};

pub(super) static VERB: Verb = Verb {
    name: "oci update",
    paths: &["oci update"],
    usage: "[OPTIONS] ID",
    about: "Change the limits of a container",
    group: Group::System,
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[
        CHANGEABLE,
        &[
            Flag::value("cpu-burst", "int", "CPU time that may be saved up, in microseconds"),
            Flag::value("cpu-idle", "int", "1: CPU time only when nobody else wants any"),
            Flag::value("cpu-share", "int", "The same as --cpu-shares"),
            Flag::value(
                "resources",
                "path",
                "A file with a resources document; - is standard input",
            )
            .short('r'),
        ],
    ],
    missing: &[
        ("kernel-memory", None),
        ("kernel-memory-tcp", None),
        ("l3-cache-schema", None),
        ("mem-bw-schema", None),
    ],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let document = match call.parsed.last("resources") {
        Some(path) => read(path)?,
        None => of_flags(call)?,
    };
    with_runtime(call, |runtime| runtime.update(id(call), &document)).map(|()| 0)
}

fn read(path: &str) -> anyhow::Result<Value> {
    let mut text = String::new();
    match path {
        "-" => std::io::stdin().read_to_string(&mut text).map(drop),
        path => std::fs::read_to_string(path).map(|found| text = found),
    }
    .with_context(|| format!("read {path}"))?;
    serde_json::from_str(&text).with_context(|| path.to_owned())
}

fn of_flags(call: &Call) -> Result<Value, Failure> {
    let parsed = &call.parsed;
    let mut document = json!({ "memory": {}, "cpu": {}, "pids": {}, "blockIO": {} });
    for (flag, part, name) in [
        ("blkio-weight", "blockIO", "weight"),
        ("cpu-burst", "cpu", "burst"),
        ("cpu-idle", "cpu", "idle"),
        ("cpu-period", "cpu", "period"),
        ("cpu-quota", "cpu", "quota"),
        ("cpu-rt-period", "cpu", "realtimePeriod"),
        ("cpu-rt-runtime", "cpu", "realtimeRuntime"),
        ("cpu-share", "cpu", "shares"),
        ("cpu-shares", "cpu", "shares"),
        ("pids-limit", "pids", "limit"),
    ] {
        if let Some(value) = number::<i64>(parsed, flag)? {
            document[part][name] = value.into();
        }
    }
    if let Some(text) = parsed.last("cpus") {
        let refused =
            |reason| Failure::usage(format!("invalid argument {text:?} for --cpus: {reason}"));
        // Thousandths of a millionth, of a period of a tenth of a second.
        let quota = values::cpus(text).map_err(refused)?.map_or(0, |nano| nano / 10_000);
        document["cpu"]["period"] = 100_000.into();
        document["cpu"]["quota"] = quota.into();
    }
    for (flag, name) in [("cpuset-cpus", "cpus"), ("cpuset-mems", "mems")] {
        if let Some(value) = parsed.last(flag) {
            document["cpu"][name] = value.into();
        }
    }
    for (flag, name) in
        [("memory", "limit"), ("memory-reservation", "reservation"), ("memory-swap", "swap")]
    {
        let Some(text) = parsed.last(flag) else { continue };
        let bytes = match text {
            "-1" => -1,
            text => values::bytes(text)
                .ok()
                .and_then(|bytes| i64::try_from(bytes).ok())
                .ok_or_else(|| Failure::usage(format!("invalid argument {text:?} for --{flag}")))?,
        };
        document["memory"][name] = bytes.into();
    }
    Ok(document)
}
