//! `inspect`: docker's documents of containers, images and volumes.

use serde::Serialize;
use serde_json::Value;
use wharf_backend::{Backend, Error};
use wharf_inspect::typed;
use wharf_model::{ContainerListOptions, ErrorKind, Filters};

use super::pull::check_platform;
use crate::args::{Arity, Flag, Group, Verb};
use crate::call::{Call, Failure, print};
use crate::format::document::Format;
use crate::format::text::is_printable;

pub(super) const FORMAT: Flag =
    Flag::value("format", "string", "Print by a template: json or TEMPLATE").short('f');
const SIZE: Flag = Flag::switch("size", "With the sizes of containers on disk").short('s');

pub(crate) static VERB: Verb = Verb {
    name: "inspect",
    paths: &[],
    usage: "[OPTIONS] NAME|ID [NAME|ID...]",
    about: "Show everything known of containers, images, networks or volumes",
    group: Group::Observe,
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[
        FORMAT,
        SIZE,
        Flag::value(
            "type",
            "string",
            "Only this kind of object: container, image, network or volume",
        ),
    ]],
    missing: &[],
    run: |call| {
        let kind = match call.parsed.last("type") {
            None | Some("") => Kind::Any,
            Some("container") => Kind::Container,
            Some("image") => Kind::Image,
            Some("network") => Kind::Network,
            Some("volume") => Kind::Volume,
            Some(other @ ("node" | "plugin" | "secret" | "service" | "task" | "config")) => {
                return Err(Failure::usage(format!(
                    "--type {other} is not supported yet by this version of wharf"
                ))
                .into());
            }
            Some(other) => {
                return Err(Failure::new(
                    1,
                    format!(
                        "unknown type: {other:?}: must be one of \"container\", \"image\", \
                         \"network\", \"volume\""
                    ),
                )
                .into());
            }
        };
        run(call, kind)
    },
};

pub(crate) static CONTAINER: Verb = Verb {
    name: "container inspect",
    paths: &["container inspect"],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Show everything known of containers",
    group: Group::Observe,
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[FORMAT, SIZE]],
    missing: &[],
    run: |call| run(call, Kind::Container),
};

pub(crate) static IMAGE: Verb = Verb {
    name: "image inspect",
    paths: &["image inspect"],
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Show everything known of images",
    group: Group::Observe,
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[
        FORMAT,
        Flag::value("platform", "string", "Only if they are for this platform: os/arch"),
    ]],
    missing: &[],
    run: |call| run(call, Kind::Image),
};

pub(crate) static VOLUME: Verb = Verb {
    name: "volume inspect",
    paths: &["volume inspect"],
    usage: "[OPTIONS] VOLUME [VOLUME...]",
    about: "Show everything known of volumes",
    group: Group::Observe,
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[FORMAT]],
    missing: &[],
    run: |call| run(call, Kind::Volume),
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Any,
    Container,
    Image,
    Network,
    Volume,
}

pub(super) fn run(call: &Call, kind: Kind) -> anyhow::Result<i32> {
    let parsed = &call.parsed;
    let format = match parsed.last("format").filter(|format| !format.is_empty()) {
        Some(text) => Some(Format::new("", text)?),
        None => None,
    };
    call.over_engine(async |backend| {
        let mut documents = Vec::new();
        let mut errors = Vec::new();
        for name in &parsed.arguments {
            let size = kind != Kind::Network && parsed.on("size");
            let found = match check_platform(&**backend, call, name).await {
                Ok(()) => document(&**backend, name, kind, size).await,
                Err(error) => Err(error),
            };
            match found {
                Ok(document) => documents.push(document),
                Err(error) => errors.push(error.message),
            }
        }
        let text = match &format {
            None => pretty(&documents)?,
            // A list too, as docker has it.
            Some(Format::Json) => {
                let all: Vec<String> =
                    documents.iter().map(|document| typed(document).json()).collect();
                format!("[{}]\n", all.join(","))
            }
            Some(format) => {
                let mut text = String::new();
                for document in &documents {
                    match format.apply(document) {
                        Ok(line) => {
                            text.push_str(&line);
                            text.push('\n');
                        }
                        Err(cause) => errors.push(format!("template parsing error: {cause}")),
                    }
                }
                // Docker ends what it prints, even if that is nothing.
                if text.is_empty() {
                    text.push('\n');
                }
                text
            }
        };
        print(&text)?;
        for error in &errors {
            crate::report(error);
        }
        Ok(i32::from(!errors.is_empty()))
    })
}

async fn document(
    backend: &dyn Backend,
    name: &str,
    kind: Kind,
    size: bool,
) -> Result<Value, Error> {
    let found = |found: Result<Value, Error>| match found {
        Err(error) if error.kind == ErrorKind::NotFound && kind == Kind::Any => Ok(None),
        // A kind of object that an engine doesn't have.
        Err(error) if error.kind == ErrorKind::Unsupported && kind == Kind::Any => Ok(None),
        found => found.map(Some),
    };
    let wanted = |one: Kind| kind == one || kind == Kind::Any;
    if wanted(Kind::Container)
        && let Some(document) = found(backend.inspect_container(name).await)?
    {
        return if size { with_size(backend, document).await } else { Ok(document) };
    }
    if wanted(Kind::Image)
        && let Some(document) = found(backend.inspect_image(name).await)?
    {
        return Ok(document);
    }
    if wanted(Kind::Network)
        && let Some(document) = found(backend.inspect_network(name).await)?
    {
        return Ok(document);
    }
    if wanted(Kind::Volume)
        && let Some(document) = found(backend.inspect_volume(name).await)?
    {
        return Ok(document);
    }
    Err(Error::new(ErrorKind::NotFound, format!("No such object: {name}")))
}

/// Adds to a container's document what the container takes of the disk.
async fn with_size(backend: &dyn Backend, mut document: Value) -> Result<Value, Error> {
    let id = document["Id"].as_str().unwrap_or_default().to_owned();
    let filters = Filters::from_iter([("id", id.as_str())]);
    let options =
        ContainerListOptions { all: true, size: true, filters, ..ContainerListOptions::default() };
    let size = backend.list_containers(&options).await?.pop().and_then(|row| row.size);
    if let (Some(size), Some(map)) = (size, document.as_object_mut()) {
        let at = map.keys().position(|key| key == "Mounts").unwrap_or(map.len());
        map.shift_insert(at, "SizeRw".to_owned(), size.writable.into());
        map.shift_insert(at + 1, "SizeRootFs".to_owned(), size.root.into());
    }
    Ok(document)
}

/// Returns the documents as an array indented by four spaces, as docker prints it.
fn pretty(documents: &[Value]) -> serde_json::Result<String> {
    let mut out = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    documents.serialize(&mut serde_json::Serializer::with_formatter(&mut out, indent))?;
    let mut text = String::with_capacity(out.len() + 1);
    for c in String::from_utf8_lossy(&out).chars() {
        if c == '\n' || is_printable(c) {
            text.push(c);
        } else {
            // Only strings hold such characters. Escaped, they say the same and do nothing to a
            // terminal.
            for unit in c.encode_utf16(&mut [0; 2]) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_indented_as_dockers() {
        assert_eq!(pretty(&[]).unwrap(), "[]\n");
        assert_eq!(
            pretty(&[serde_json::json!({"Id": "x", "Args": []})]).unwrap(),
            "[\n    {\n        \"Id\": \"x\",\n        \"Args\": []\n    }\n]\n"
        );
        assert_eq!(
            pretty(&["é\u{9b}\x1b\u{e0001}".into()]).unwrap(),
            "[\n    \"é\\u009b\\u001b\\udb40\\udc01\"\n]\n"
        );
    }
}
