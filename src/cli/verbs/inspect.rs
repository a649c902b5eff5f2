//! `inspect`: docker's documents of containers and images.

use serde::Serialize;
use serde_json::Value;
use wharf_backend::{Backend, Error};
use wharf_model::ErrorKind;

use crate::args::{Arity, Flag, Group, Missing, Verb};
use crate::call::{Call, Failure, print};
use crate::format::text::is_printable;

const MISSING: &[Missing] = &[("format", Some('f')), ("size", Some('s')), ("platform", None)];

pub(crate) static VERB: Verb = Verb {
    name: "inspect",
    paths: &[],
    usage: "[OPTIONS] NAME|ID [NAME|ID...]",
    about: "Show everything known of containers or images",
    group: Group::Observe,
    arity: Arity::AtLeast(1),
    interspersed: true,
    flags: &[&[Flag::value("type", "string", "Only this kind of object: container or image")]],
    missing: MISSING,
    run: |call| {
        let kind = match call.parsed.last("type") {
            None | Some("") => Kind::Any,
            Some("container") => Kind::Container,
            Some("image") => Kind::Image,
            Some(
                other @ ("network" | "volume" | "node" | "plugin" | "secret" | "service" | "task"
                | "config"),
            ) => {
                return Err(Failure::usage(format!(
                    "--type {other} is not supported yet by this version of wharf"
                ))
                .into());
            }
            Some(other) => {
                return Err(Failure::new(
                    1,
                    format!("unknown type: {other:?}: must be one of \"container\", \"image\""),
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
    flags: &[],
    missing: MISSING,
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
    flags: &[],
    missing: MISSING,
    run: |call| run(call, Kind::Image),
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Any,
    Container,
    Image,
}

fn run(call: &Call, kind: Kind) -> anyhow::Result<i32> {
    call.over_engine(async |backend| {
        let mut documents = Vec::new();
        let mut errors = Vec::new();
        for name in &call.parsed.arguments {
            match document(&**backend, name, kind).await {
                Ok(document) => documents.push(document),
                Err(error) => errors.push(error.message),
            }
        }
        print(&pretty(&documents)?)?;
        for error in &errors {
            crate::report(error);
        }
        Ok(i32::from(!errors.is_empty()))
    })
}

async fn document(backend: &dyn Backend, name: &str, kind: Kind) -> Result<Value, Error> {
    if kind == Kind::Image {
        return backend.inspect_image(name).await;
    }
    match backend.inspect_container(name).await {
        Err(error) if error.kind == ErrorKind::NotFound && kind == Kind::Any => {
            match backend.inspect_image(name).await {
                Err(error) if error.kind == ErrorKind::NotFound => {
                    Err(Error::new(error.kind, format!("No such object: {name}")))
                }
                document => document,
            }
        }
        document => document,
    }
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
