//! `version`: of this program and of the engine.

use serde_json::json;

use crate::VERSION;
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, print, print_line};
use crate::format::document::Format;
use crate::format::version::{client, sections};

pub(crate) static VERB: Verb = Verb {
    name: "version",
    paths: &[],
    usage: "[OPTIONS]",
    about: "Show the versions of this program and of the engine",
    group: Group::System,
    arity: Arity::None,
    interspersed: true,
    flags: &[
        &[Flag::value("format", "string", "Print by a template: json or TEMPLATE").short('f')],
    ],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let format = match call.parsed.last("format").filter(|format| !format.is_empty()) {
        Some(text) => Some(Format::new("version", text)?),
        None => None,
    };
    let show = |document: serde_json::Value, format: &Format| {
        let text = format.apply_typed(&document);
        anyhow::Ok(print_line(&text.map_err(|cause| Failure::new(1, cause.to_string()))?)?)
    };
    let done = call.over_engine(async |backend| {
        match &format {
            Some(format) => {
                let server = backend.inspect_version().await?;
                show(json!({"Client": client(), "Server": server}), format)?;
            }
            None => {
                let info = backend.version().await?;
                print(&sections(VERSION, Some((backend.name(), &info))))?;
            }
        }
        Ok(0)
    });
    if let Err(error) = &done
        && error.downcast_ref::<Failure>().is_none()
        && !crate::call::is_broken_pipe(error)
    {
        // What is known is said even when the engine can't be reached.
        match &format {
            Some(format) => show(json!({"Client": client(), "Server": null}), format)?,
            None => print(&sections(VERSION, None))?,
        }
    }
    done
}
