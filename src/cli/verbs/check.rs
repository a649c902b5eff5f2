//! `system check`: what disagrees among the database, the folders and the kernel.

use anyhow::bail;
use wharf_engine::check::{Finding, check};

use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, print_line};
use crate::connect::engine_options;
use crate::target::Target;

pub(crate) static VERB: Verb = Verb {
    name: "check",
    paths: &["system check"],
    usage: "[OPTIONS]",
    about: "Find what disagrees among database, folders and kernel, and mend it",
    group: Group::System,
    arity: Arity::None,
    interspersed: true,
    flags: &[&[
        Flag::switch("repair", "Mend what can be mended"),
        Flag::value("format", "string", "One JSON document a finding: json"),
    ]],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let json = match call.parsed.last("format") {
        None => false,
        Some("json") => true,
        Some(other) => {
            return Err(Failure::usage(format!("invalid format {other:?}: only json is")).into());
        }
    };
    let Target::Native(paths) = &call.target else {
        bail!("this is for wharf's own engine, and can't be done elsewhere");
    };
    let repair = call.parsed.on("repair");
    let findings = check(paths, engine_options()?, repair)?;
    for finding in &findings {
        print_line(&if json { serde_json::to_string(finding)? } else { line(finding) })?;
    }
    let left = findings.iter().filter(|finding| !finding.mended).count();
    if !findings.is_empty() && !json {
        crate::notice(&match (repair, left) {
            (false, n) => {
                format!("{n} found; 'wharf system check --repair' mends what can be mended")
            }
            (true, 0) => format!("{} found, all mended", findings.len()),
            (true, n) => format!("{} found, {n} not mended", findings.len()),
        });
    }
    Ok(i32::from(left > 0))
}

fn line(finding: &Finding) -> String {
    let Finding { area, object, problem, mended, way_out } = finding;
    let mut line = format!("{:8}  {object}: {problem}", area.as_str());
    if *mended {
        line.push_str(" (mended)");
    }
    if !way_out.is_empty() {
        line.push_str(": ");
        line.push_str(way_out);
    }
    line
}
