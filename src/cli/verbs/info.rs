//! `info`: the engine and its host.

use serde_json::json;

use crate::VERSION;
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, print, print_line};
use crate::format;
use crate::format::document::Format;
use crate::format::version::client;

pub(crate) static VERB: Verb = Verb {
    name: "info",
    paths: &["system info"],
    usage: "[OPTIONS]",
    about: "Show facts about the engine and its host",
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
        Some(text) => Some(Format::new("", text)?),
        None => None,
    };
    call.over_engine(async |backend| {
        if let Some(format) = &format {
            let mut document = backend.inspect_engine().await?;
            let mut ours = json!({"Debug": false});
            if let (Some(ours), Some(client)) = (ours.as_object_mut(), client().as_object()) {
                ours.extend(client.clone());
                ours.shift_remove("ApiVersion");
                ours.insert("Plugins".to_owned(), json!([]));
                ours.insert("Warnings".to_owned(), json!(null));
            }
            document["ClientInfo"] = ours;
            let text = format.apply_typed(&document);
            print_line(&text.map_err(|cause| Failure::new(1, cause.to_string()))?)?;
            return Ok(0);
        }
        let info = backend.info().await?;
        print(&format::info::sections(VERSION, &info))?;
        for warning in format::info::warnings(&info) {
            crate::notice(&format!("WARNING: {warning}"));
        }
        Ok(0)
    })
}
