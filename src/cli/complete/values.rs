//! What flags and arguments take, as far as it can be known.

use super::Names;
use crate::args::signals::SIGNALS;
use crate::args::values::CAPABILITIES;

/// What can stand in one place.
pub(super) enum Value {
    /// Nobody knows.
    Nothing,
    /// One of these.
    Words(Vec<String>),
    /// A file.
    Files,
    /// A folder.
    Folders,
    /// A name that the engine knows.
    Names(Names),
    /// Such a name behind a word.
    Within(&'static str, Names),
    /// Such a name, or one of these words, which needn't be known to an engine.
    NamesAnd(Names, &'static [&'static str]),
}

/// What stands before the container whose network another one joins.
const JOINED: &str = "container:";

fn words(words: &[&str]) -> Value {
    Value::Words(words.iter().map(|word| (*word).to_owned()).collect())
}

/// Returns what the argument at this place of a verb is.
pub(super) fn argument(verb: &str, index: usize) -> Value {
    let first = |names| if index == 0 { Value::Names(names) } else { Value::Nothing };
    match verb {
        "stop" | "restart" | "kill" | "stats" => Value::Names(Names::Running),
        "pause" | "top" | "attach" | "exec" | "debug" => first(Names::Running),
        "unpause" => Value::Names(Names::Paused),
        "start" => Value::Names(Names::Stopped),
        "rm" | "wait" | "container inspect" | "update" => Value::Names(Names::Containers),
        "logs" | "port" | "rename" | "diff" | "export" | "commit" => first(Names::Containers),
        "run" | "create" | "tag" | "history" | "images" => first(Names::Images),
        "pull" | "push" | "rmi" | "save" | "image inspect" => Value::Names(Names::Images),
        "inspect" => Value::Names(Names::All),
        "network rm" => Value::Names(Names::OwnNetworks),
        "network inspect" => Value::Names(Names::Networks),
        "network connect" | "network disconnect" if index == 0 => Value::Names(Names::Networks),
        "network connect" | "network disconnect" if index == 1 => Value::Names(Names::Containers),
        "network reach" if index == 0 => Value::Names(Names::Running),
        "network reach" if index == 1 => Value::Names(Names::Containers),
        "volume inspect" | "volume rm" | "volume size" => Value::Names(Names::Volumes),
        "volume export" | "volume clone" => first(Names::Volumes),
        "volume import" if index == 0 => Value::Names(Names::Volumes),
        "volume import" => Value::Files,
        "import" if index == 0 => Value::Files,
        "import" => Value::Names(Names::Images),
        "cp" => Value::Files,
        "man" => Value::Folders,
        "completion" => words(&super::SHELLS),
        _ => Value::Nothing,
    }
}

/// Returns what a verb's flag takes; `current` is what is there of it.
pub(super) fn value(verb: &str, flag: &str, current: &str) -> Value {
    match flag {
        "attach" => words(&["stdin", "stdout", "stderr"]),
        "cap-add" | "cap-drop" => words(&[&["ALL"][..], &CAPABILITIES].concat()),
        "cgroup-manager" => words(&["cgroupfs"]),
        "cgroupns" => words(&["host", "private"]),
        "log-format" => words(&["json", "text"]),
        "console-socket" | "log" | "pid-file" | "process" | "resources" => Value::Files,
        "cidfile" | "env-file" | "input" | "label-file" | "output" => Value::Files,
        "filter" => filter(verb, current),
        "format" => words(match verb {
            "ps" | "images" => &["table", "json", "raw"],
            "volume ls" | "volume size" | "network ls" => &["table", "json"],
            "stats" | "history" => &["table", "json"],
            _ => &["json"],
        }),
        "image" if verb == "debug" => Value::Names(Names::Images),
        "health-on-failure" => words(&["none", "kill", "restart", "stop"]),
        "host" => words(&["unix:///var/run/docker.sock"]),
        "ipc" => words(&["container:", "host", "none", "private", "shareable"]),
        "log-driver" => words(&["json-file", "local", "none"]),
        "network" => match current.starts_with(JOINED) {
            true => Value::Within(JOINED, Names::Containers),
            false => Value::NamesAnd(Names::Networks, &["bridge", "host", "none", JOINED]),
        },
        "link" => Value::Names(Names::Containers),
        "pid" => words(&["container:", "host"]),
        "platform" => words(&["linux/amd64"]),
        "pull" => words(&["always", "missing", "never"]),
        "restart" => words(&["always", "no", "on-failure", "on-failure:", "unless-stopped"]),
        "bundle" | "root" | "workdir" => Value::Folders,
        "security-opt" => words(&[
            "apparmor=",
            "label=",
            "no-new-privileges",
            "seccomp=",
            "seccomp=unconfined",
            "systempaths=unconfined",
        ]),
        "signal" | "stop-signal" => {
            let with = if current.to_ascii_uppercase().starts_with("SIG") { "SIG" } else { "" };
            Value::Words(SIGNALS.iter().map(|(name, _)| format!("{with}{name}")).collect())
        }
        "tail" => words(&["all"]),
        "type" => words(&["container", "image", "network", "volume"]),
        "userns" | "uts" => words(&["host"]),
        "driver" if verb == "network create" => words(&["bridge", "ipvlan", "macvlan"]),
        "driver" | "volume-driver" => words(&["local"]),
        "volume" | "mount" | "device" => Value::Files,
        "volumes-from" => Value::Names(Names::Containers),
        _ => Value::Nothing,
    }
}

/// Returns the keys of a verb's filters, or the values of one where these are known.
fn filter(verb: &str, current: &str) -> Value {
    let all = |key: &str, values: &[&str]| {
        Value::Words(values.iter().map(|value| format!("{key}={value}")).collect())
    };
    match (verb, current.split_once('=').map(|(key, _)| key)) {
        ("ps", Some("status")) => all(
            "status",
            &["created", "dead", "exited", "paused", "removing", "restarting", "running"],
        ),
        ("ps", Some("health")) => all("health", &["healthy", "none", "starting", "unhealthy"]),
        (_, Some("network")) => Value::Within("network=", Names::Networks),
        (_, Some("volume")) => Value::Within("volume=", Names::Volumes),
        (_, Some("container")) => Value::Within("container=", Names::Containers),
        ("images", Some("dangling")) => all("dangling", &["false", "true"]),
        ("events", Some("type")) => all("type", &["container", "image", "network", "volume"]),
        ("events", Some("event")) => all(
            "event",
            &[
                "attach",
                "connect",
                "create",
                "delete",
                "destroy",
                "detach",
                "die",
                "disconnect",
                "exec_create",
                "exec_detach",
                "exec_die",
                "exec_start",
                "health_status",
                "import",
                "kill",
                "load",
                "mount",
                "oom",
                "pause",
                "prune",
                "pull",
                "push",
                "rename",
                "resize",
                "restart",
                "save",
                "start",
                "stop",
                "tag",
                "top",
                "unmount",
                "unpause",
                "untag",
                "update",
            ],
        ),
        ("volume ls" | "network ls", Some("dangling")) => all("dangling", &["false", "true"]),
        ("network ls", Some("driver")) => {
            all("driver", &["bridge", "host", "ipvlan", "macvlan", "null"])
        }
        ("network ls", Some("scope")) => all("scope", &["local"]),
        ("network ls", Some("type")) => all("type", &["builtin", "custom"]),
        (_, Some(_)) => Value::Nothing,
        ("ps", None) => words(&[
            "ancestor=",
            "before=",
            "exited=",
            "expose=",
            "health=",
            "id=",
            "is-task=",
            "label=",
            "name=",
            "network=",
            "publish=",
            "since=",
            "status=",
            "volume=",
        ]),
        ("images", None) => {
            words(&["before=", "dangling=", "label=", "reference=", "since=", "until="])
        }
        ("events", None) => words(&[
            "container=",
            "event=",
            "image=",
            "label=",
            "network=",
            "scope=",
            "type=",
            "volume=",
        ]),
        ("network ls", None) => {
            words(&["dangling=", "driver=", "id=", "label=", "name=", "scope=", "type="])
        }
        ("network prune", None) => words(&["label!=", "label=", "until="]),
        ("volume ls", None) => words(&["dangling=", "driver=", "label=", "name="]),
        ("volume prune", None) => words(&["all=", "label!=", "label="]),
        ("container prune", None) => words(&["label!=", "label=", "until="]),
        _ => Value::Nothing,
    }
}
