//! Gives an inspect document the types that docker's own program knows its parts to have.
//!
//! JSON alone doesn't tell a thing with fields from a map, nor what a `null` would be; templates
//! depend on both: a label that isn't there is `<no value>`, a field that isn't there is an error,
//! and a health that isn't there is `<nil>`.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value as Json;

use crate::template::{Options, Record, Template, TemplateError, Value};

/// Keys whose objects are maps.
const MAPS: [&str; 18] = [
    "Annotations",
    "Attributes",
    "AuxiliaryAddresses",
    "Containers",
    "Data",
    "Details",
    "DriverOpts",
    "ExposedPorts",
    "Labels",
    "Networks",
    "Options",
    "PortBindings",
    "Ports",
    "Runtimes",
    "StorageOpt",
    "Sysctls",
    "Tmpfs",
    "Volumes",
];

/// Keys whose `null` is a pointer to nothing.
const POINTERS: [&str; 10] = [
    "Health",
    "Healthcheck",
    "IPAMConfig",
    "Init",
    "MemorySwappiness",
    "OomKillDisable",
    "PidsLimit",
    "SizeRootFs",
    "SizeRw",
    "StopTimeout",
];

/// Fields that are left out of the JSON while they are empty, by the key of what they belong to;
/// the document itself has the empty one.
const OPTIONAL: [(&str, &[&str]); 5] = [
    ("", &["SizeRootFs", "SizeRw"]),
    ("State", &["Health"]),
    ("HostConfig", &["Annotations", "Init", "Mounts", "StorageOpt", "Sysctls", "Tmpfs"]),
    ("Config", &["ExposedPorts", "Healthcheck", "Shell", "StopSignal", "StopTimeout"]),
    ("Mounts", &["Driver", "Name"]),
];

/// Of these, the texts.
const TEXTS: [&str; 3] = ["Driver", "Name", "StopSignal"];

/// Returns an inspect document of a container or image with the types that docker gives its parts.
pub fn typed(document: &Json) -> Value {
    of("", "", document)
}

/// Returns what a template prints for an inspect document. Where docker's own types fail it, the
/// document as it stands is tried, as docker does; the error then is that of the second attempt.
///
/// # Errors
/// When a field isn't there, or a function fails.
pub fn inspect(template: &Template, document: &Json) -> Result<String, TemplateError> {
    template.execute(&typed(document), Options::default()).or_else(|_| {
        let options = Options { missing_is_error: true, ..Options::default() };
        template.execute(&Value::from(document), options)
    })
}

fn of(parent: &str, key: &str, document: &Json) -> Value {
    // What a log driver is configured with has the name of a container's own settings.
    let is_map = MAPS.contains(&key) || (parent, key) == ("LogConfig", "Config");
    match document {
        Json::Null => nothing(key, is_map),
        Json::Array(items) => {
            items.iter().map(|item| of(parent, key, item)).collect::<Vec<_>>().into()
        }
        Json::Object(map) if is_map => {
            let member = |(name, value): (&String, &Json)| (name.clone(), of(key, "", value));
            Value::Map(Some(Rc::new(map.iter().map(member).collect::<BTreeMap<_, _>>())))
        }
        Json::Object(map) => {
            let optional = OPTIONAL
                .iter()
                .find(|(of, _)| *of == key && (!key.is_empty() || parent.is_empty()));
            let hidden = optional.iter().flat_map(|(_, names)| names.iter().copied());
            Value::from(Record {
                type_name: "struct",
                fields: map.iter().map(|(name, v)| (name.clone(), of(key, name, v))).collect(),
                hidden: hidden
                    .filter(|name| !map.contains_key(*name))
                    .map(|name| (name.to_owned(), nothing(name, MAPS.contains(&name))))
                    .collect(),
                escapes_html: false,
            })
        }
        Json::Number(number) => Value::number(number),
        other => Value::from(other),
    }
}

fn nothing(key: &str, is_map: bool) -> Value {
    match key {
        _ if is_map => Value::Map(None),
        _ if POINTERS.contains(&key) => Value::Nil,
        _ if TEXTS.contains(&key) => "".into(),
        _ => Value::List(None),
    }
}
