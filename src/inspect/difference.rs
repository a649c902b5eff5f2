//! How two inspect documents differ, path by path.
//!
//! Lists of `NAME=value` are compared by name, and other lists of texts as sets: their order says
//! nothing in a container's document. All texts are made safe to show.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// A value that two documents don't have alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where it is: `Config.Env.PATH`.
    pub path: String,
    /// What the first has there, if anything, in JSON or as a text.
    pub first: Option<String>,
    /// What the second has.
    pub second: Option<String>,
}

/// What each container has of its own, whatever it was asked for.
const OWN: [&str; 22] = [
    "Id",
    "Created",
    "Name",
    "LogPath",
    "HostnamePath",
    "HostsPath",
    "ResolvConfPath",
    "State",
    "GraphDriver",
    "Storage",
    "ProcessLabel",
    "MountLabel",
    "ExecIDs",
    "Config.Hostname",
    "NetworkSettings.SandboxID",
    "NetworkSettings.SandboxKey",
    "NetworkSettings.EndpointID",
    "NetworkSettings.IPAddress",
    "NetworkSettings.MacAddress",
    "RestartCount",
    "SizeRw",
    "HostConfig.ContainerIDFile",
];

/// What each container has of its own in every network.
const OWN_OF_NETWORK: [&str; 6] =
    ["EndpointID", "IPAddress", "MacAddress", "GlobalIPv6Address", "DNSNames", "Aliases"];

/// What a container's configuration has that its image can't say.
const NOT_IN_IMAGES: [&str; 10] = [
    "Hostname",
    "Domainname",
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "Tty",
    "OpenStdin",
    "StdinOnce",
    "Image",
    "MacAddress",
];

/// Returns whether a difference says nothing: ids, times, addresses.
pub fn is_own(path: &str) -> bool {
    let below = |name: &str| {
        path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    OWN.iter().any(|name| below(name))
        || path.starts_with("NetworkSettings.Networks.")
            && OWN_OF_NETWORK.iter().any(|name| path.split('.').any(|part| part == *name))
}

/// Returns how two documents differ, in the order of the first.
pub fn between(first: &Value, second: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", Some(first), Some(second), &mut found);
    found
}

/// Returns how a container's configuration differs from its image's.
pub fn with_image(container: &Value, image: &Value) -> Vec<Difference> {
    let config = |document: &Value| {
        let mut config = match document.get("Config") {
            Some(Value::Object(map)) => map.clone(),
            _ => Map::new(),
        };
        // What isn't said and what is said to be nothing are the same.
        config.retain(|name, value| !NOT_IN_IMAGES.contains(&name.as_str()) && !is_nothing(value));
        Value::Object(config)
    };
    let mut found = Vec::new();
    compare("Config", Some(&config(container)), Some(&config(image)), &mut found);
    found
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Number(_) => false,
    }
}

fn compare(path: &str, first: Option<&Value>, second: Option<&Value>, found: &mut Vec<Difference>) {
    if first == second {
        return;
    }
    let join = |name: &str| match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    match (first, second) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let names: BTreeSet<&String> = b.keys().filter(|name| !a.contains_key(*name)).collect();
            for name in a.keys().chain(names) {
                compare(&join(name), a.get(name), b.get(name), found);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) if is_env(a) && is_env(b) => {
            let (a, b) = (by_name(a), by_name(b));
            compare(path, Some(&Value::Object(a)), Some(&Value::Object(b)), found);
        }
        (Some(Value::Array(a)), Some(Value::Array(b)))
            if is_set(path) && all_texts(a) && all_texts(b) =>
        {
            let only = |a: &[Value], b: &[Value]| -> Option<String> {
                let list: Vec<String> = a.iter().filter(|v| !b.contains(v)).map(text).collect();
                (!list.is_empty()).then(|| list.join(", "))
            };
            let (first, second) = (only(a, b), only(b, a));
            if first.is_some() || second.is_some() {
                found.push(Difference { path: safe(path), first, second });
            }
        }
        (first, second) => found.push(Difference {
            path: safe(path),
            first: first.map(text),
            second: second.map(text),
        }),
    }
}

/// Commands are lists too, and their order is all they say.
fn is_set(path: &str) -> bool {
    let last = path.rsplit('.').next().unwrap_or(path);
    !matches!(last, "Cmd" | "Entrypoint" | "Args" | "Shell" | "Test" | "OnBuild")
}

fn is_env(list: &[Value]) -> bool {
    !list.is_empty() && list.iter().all(|v| v.as_str().is_some_and(|text| text.contains('=')))
}

fn all_texts(list: &[Value]) -> bool {
    list.iter().all(Value::is_string)
}

fn by_name(list: &[Value]) -> Map<String, Value> {
    let pairs = list.iter().filter_map(|value| value.as_str()?.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => safe(text),
        other => safe(&other.to_string()),
    }
}

fn safe(text: &str) -> String {
    crate::tree::safe(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rows(list: &[Difference]) -> Vec<String> {
        let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "-".to_owned());
        list.iter()
            .map(|d| format!("{}: {} / {}", d.path, side(&d.first), side(&d.second)))
            .collect()
    }

    #[test]
    fn variables_are_compared_by_name_and_lists_as_sets() {
        let a = json!({"Id": "1", "Config": {"Env": ["A=1", "B=2"], "Cmd": ["a", "b"]},
            "HostConfig": {"CapAdd": ["X", "Y"], "Memory": 5}});
        let b = json!({"Id": "2", "Config": {"Env": ["B=3", "A=1", "C="], "Cmd": ["b", "a"]},
            "HostConfig": {"CapAdd": ["Y", "X"], "Memory": 6, "Init": true}});
        let list = between(&a, &b);
        assert_eq!(
            rows(&list),
            [
                "Id: 1 / 2",
                "Config.Env.B: 2 / 3",
                "Config.Env.C: - / ",
                "Config.Cmd: [\"a\",\"b\"] / [\"b\",\"a\"]",
                "HostConfig.Memory: 5 / 6",
                "HostConfig.Init: - / true",
            ]
        );
        let own: Vec<_> = list.iter().filter(|d| is_own(&d.path)).collect();
        assert_eq!(own.len(), 1);
        assert!(is_own("State.Pid") && !is_own("Statement"));
        assert!(is_own("NetworkSettings.Networks.web.IPAddress"));
    }

    #[test]
    fn an_image_is_compared_by_what_it_can_say() {
        let container = json!({"Config": {"Hostname": "x", "Env": ["A=1"], "Cmd": ["run"],
            "Labels": {"a": "\u{1b}[2J"}, "User": ""}});
        let image = json!({"Config": {"Env": ["A=1"], "Cmd": null, "Labels": {}}});
        let list = with_image(&container, &image);
        assert_eq!(rows(&list)[0], "Config.Cmd: [\"run\"] / -");
        assert!(!rows(&list).concat().contains(char::is_control), "{list:?}");
        assert_eq!(list.len(), 2);
    }
}
