//! `oci state`, `list` and `ps`.

use serde_json::Value;

use super::life::id;
use super::with_runtime;
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, print};

pub(super) static STATE: Verb = Verb {
    name: "oci state",
    paths: &["oci state"],
    usage: "ID",
    about: "Print the state document of a container",
    group: Group::System,
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[],
    missing: &[],
    run: |call| {
        let document = with_runtime(call, |runtime| runtime.state(id(call)))?;
        print(&format!("{document:#}\n"))?;
        Ok(0)
    },
};

pub(super) static LIST: Verb = Verb {
    name: "oci list",
    paths: &["oci list"],
    usage: "[OPTIONS]",
    about: "List containers",
    group: Group::System,
    arity: Arity::None,
    interspersed: true,
    flags: &[&[
        Flag::value("format", "string", "table or json (table)").short('f'),
        Flag::switch("quiet", "Print ids alone").short('q'),
    ]],
    missing: &[],
    run: list,
};

pub(super) static PS: Verb = Verb {
    name: "oci ps",
    paths: &["oci ps"],
    usage: "[OPTIONS] ID [ps OPTIONS]",
    about: "List the processes of a container",
    group: Group::System,
    arity: Arity::AtLeast(1),
    interspersed: false,
    flags: &[&[Flag::value("format", "string", "table or json (table)").short('f')]],
    missing: &[],
    run: ps,
};

/// Returns whether JSON is wanted.
fn wants_json(call: &Call) -> Result<bool, Failure> {
    match call.parsed.last("format") {
        None | Some("table") => Ok(false),
        Some("json") => Ok(true),
        Some(other) => Err(Failure::usage(format!("invalid format {other:?}: table or json"))),
    }
}

/// Returns rows with their columns below each other.
fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(String::len).max();
    let widths: Vec<usize> = (0..count).map(|at| width(at).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

fn list(call: &Call) -> anyhow::Result<i32> {
    let json = wants_json(call)?;
    let all = with_runtime(call, wharf_engine::oci::Runtime::list)?;
    let text = |document: &Value, name: &str| match &document[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    print(&match (call.parsed.on("quiet"), json) {
        (true, _) => all.iter().map(|one| text(one, "id") + "\n").collect(),
        (false, true) => format!("{}\n", Value::Array(all)),
        (false, false) => {
            let names = ["id", "pid", "status", "bundle", "created", "owner"];
            let titles = names.iter().map(|name| name.to_uppercase()).collect();
            let row = |one: &Value| names.iter().map(|name| text(one, name)).collect();
            columns(&std::iter::once(titles).chain(all.iter().map(row)).collect::<Vec<_>>())
        }
    })?;
    Ok(0)
}

fn ps(call: &Call) -> anyhow::Result<i32> {
    if wants_json(call)? {
        let pids = with_runtime(call, |runtime| runtime.processes(id(call)))?;
        print(&format!("{}\n", serde_json::to_string(&pids)?))?;
        return Ok(0);
    }
    let arguments = call.parsed.arguments.get(1..).unwrap_or_default();
    let table = with_runtime(call, |runtime| runtime.process_table(id(call), arguments))?;
    let rows: Vec<Vec<String>> = std::iter::once(table.titles).chain(table.processes).collect();
    print(&columns(&rows))?;
    Ok(0)
}
