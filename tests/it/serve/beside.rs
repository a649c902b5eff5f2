//! The answers of wharf and of a dockerd to the same calls, field by field.

use std::cell::RefCell;

use serde_json::{Map, Value, json};

use super::{Reply, Served, ask};
use crate::dockerd::{self, Dockerd};
use crate::harness::{IMAGE, Test, lacks_programs, rootfs_tar, run};

pub(crate) fn tests() -> Vec<Test> {
    let lacks = dockerd::lacks().or_else(|| lacks_programs(&["docker", "curl"]));
    vec![Test::new("answers_are_those_of_a_dockerd", same).needing(lacks)]
}

/// Values that differ from run to run, or from host to host: their types must agree. What is below
/// one of these isn't looked at.
const OWN: &[&str] = &[
    "Id",
    "ID",
    "Created",
    "CreatedAt",
    "StartedAt",
    "FinishedAt",
    "Pid",
    "Hostname",
    "Names",
    "ResolvConfPath",
    "HostnamePath",
    "HostsPath",
    "LogPath",
    "SandboxKey",
    "Image",
    "ImageID",
    "Mountpoint",
    "Status",
    "time",
    "timeNano",
    "GraphDriver",
    "Size",
    "SizeRw",
    "SizeRootFs",
    "NetworkID",
    "EndpointID",
    "MacAddress",
    "SandboxID",
    "ContainerID",
    "RepoDigests",
    "id",
    "LastTagTime",
    "Layers",
    "read",
    "preread",
    "total_usage",
    "usage_in_kernelmode",
    "usage_in_usermode",
    "system_cpu_usage",
    "usage",
    "Processes",
    "VirtualSize",
    "execDuration",
    "image",
    "Source",
    "execID",
    "percpu_usage",
    "blkio_stats",
    "throttling_data",
];

/// Fields that differ for a reason, which `docs/api.md` has.
const REASONED: &[&str] = &[
    "Runtime",
    "CgroupnsMode",
    "MaskedPaths",
    "ReadonlyPaths",
    "ExecIDs",
    "DockerVersion",
    // A policy that nobody asked for has a name here.
    "RestartPolicy",
    // What hosts have that confine programs by their labels, and those with control groups of version 2.
    "AppArmorProfile",
    "ProcessLabel",
    "OomKillDisable",
    // What the dockerd here, which is older, has no more or not yet.
    "KernelMemory",
    "KernelMemoryTCP",
    "GwPriority",
    "DNSNames",
    "EnableIPv4",
    // Counters that differ with the control groups of the host.
    "stats",
    "max_usage",
    "failcnt",
    "limit",
];

/// Tells where two documents disagree.
fn differ(at: &str, ours: &Value, theirs: &Value, found: &mut Vec<String>) {
    let name = at.rsplit('/').next().unwrap_or_default();
    if REASONED.contains(&name) {
        return;
    }
    if OWN.contains(&name) {
        let either = |value: &Value| value.is_null() || value.is_array();
        let same = std::mem::discriminant(ours) == std::mem::discriminant(theirs);
        if !(same || either(ours) && either(theirs)) {
            found.push(format!("{at}: {ours} is of another kind than {theirs}"));
        }
        return;
    }
    // What a client left out is empty here, as docker's own client sends it, and `null` there.
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    };
    match (ours, theirs) {
        _ if empty(ours) && empty(theirs) => {}
        (Value::Object(one), Value::Object(other)) => objects(at, one, other, found),
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (number, (one, other)) in one.iter().zip(other).enumerate() {
                differ(&format!("{at}/{number}"), one, other, found);
            }
        }
        _ if ours == theirs => {}
        _ => found.push(format!("{at}: {ours}, not {theirs}")),
    }
}

fn objects(
    at: &str,
    ours: &Map<String, Value>,
    theirs: &Map<String, Value>,
    found: &mut Vec<String>,
) {
    for (key, value) in ours {
        let path = format!("{at}/{key}");
        match theirs.get(key) {
            Some(other) => differ(&path, value, other, found),
            None if REASONED.contains(&key.as_str()) => {}
            None => found.push(format!("{path}: {value} isn't there")),
        }
    }
    for key in theirs.keys().filter(|key| !ours.contains_key(*key)) {
        if !REASONED.contains(&key.as_str()) {
            found.push(format!("{at}/{key}: {} is there", theirs[key]));
        }
    }
}

/// What Docker 28, whose words these are, says otherwise than the dockerd here, which is older.
const REWORDED: &[(&str, &str)] = &[
    ("bad parameter: 'path' cannot be empty", "bad parameter: pathcannot be empty"),
    ("cannot kill container: plain: invalid signal: NOPE", "invalid signal: NOPE"),
    ("cannot remove container \"/plain\": container is running: ", "you cannot remove a running"),
    ("cannot remove container \"/plain\": container is paused: ", "you cannot remove a paused"),
    ("No such image: nope:latest", "no such image: nope: No such image: nope:latest"),
    ("repository name (library/UPPER) must be lowercase", "repository name must be lowercase"),
    ("use one of 'no', 'always', 'on-failure', or 'unless-stopped'", "invalid restart policy 'x'"),
    ("maximum retry count can only be used with", "maximum retry count cannot be used with"),
    ("invalid JSON: got EOF while reading request body", "got EOF while reading request body"),
    ("No such image: nope:latest", "No such image: nope"),
    ("invalid detach keys (x,y,): ", "Invalid detach keys (x,y,) provided"),
    // Newer dockers name a container by its id here.
    ("is paused, unpause the container before", "is paused, unpause the container before"),
];

/// Returns whether an error begins as docker's does, ids and capital letters aside. More may be said.
fn says_the_same(ours: &str, theirs: &str) -> bool {
    let plain = |text: &str| {
        let words = text.to_lowercase();
        let is_id = |word: &&str| {
            matches!(word.len(), 12 | 64) && word.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        let words = words.trim().split_inclusive(|byte: char| !byte.is_ascii_alphanumeric());
        let words = words.map(|word| {
            let bare = word.trim_end_matches(|byte: char| !byte.is_ascii_alphanumeric());
            if is_id(&bare) { word.replace(bare, "*") } else { word.to_owned() }
        });
        words.collect::<String>()
    };
    let (ours, theirs) = (plain(ours), plain(theirs));
    let has = |text: &str, part: &str| text.contains(&plain(part));
    ours.starts_with(&theirs)
        || REWORDED.iter().any(|(new, old)| has(&ours, new) && has(&theirs, old))
}

/// Containers that can't be, and why not.
fn refused() -> Vec<Value> {
    let host = |host: Value| json!({"HostConfig": host});
    vec![
        host(json!({"Memory": 1})),
        host(json!({"NanoCpus": 1_000_000_000_000_000_u64})),
        host(json!({"CpusetCpus": "x"})),
        host(json!({"CpusetCpus": "99"})),
        host(json!({"CapAdd": ["NOPE"]})),
        host(json!({"CapDrop": ["NOPE"]})),
        host(json!({"Mounts": [{"Type": "bind", "Source": "/nope/x", "Target": "/b"}]})),
        host(json!({"Mounts": [{"Type": "bind", "Target": "/b"}]})),
        host(json!({"Mounts": [{"Type": "x", "Target": "/b"}]})),
        host(json!({"Mounts": [{"Type": "volume", "Target": "b"}]})),
        host(json!({"Mounts": [{"Type": "tmpfs", "Target": "/b", "Source": "x"}]})),
        host(json!({"Mounts": [{"Type": "volume", "Source": "vv", "Target": "/b",
            "BindOptions": {}}]})),
        host(json!({"Tmpfs": {"b": ""}})),
        host(json!({"Binds": ["/etc:/b", "/etc:/b"]})),
        host(json!({"RestartPolicy": {"Name": "x"}})),
        host(json!({"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}})),
        host(json!({"AutoRemove": true, "RestartPolicy": {"Name": "always"}})),
        host(json!({"LogConfig": {"Type": "json-file", "Config": {"nope": "x"}}})),
        host(json!({"PortBindings": {"80/tcp": [{"HostPort": "x"}]}})),
        host(json!({"ShmSize": -1})),
        host(json!({"OomScoreAdj": 5000})),
        host(json!({"MemorySwappiness": 500})),
        host(json!({"MemorySwap": 5})),
        host(json!({"CpuPeriod": 5})),
        host(json!({"CpuQuota": 5})),
        host(json!({"NanoCpus": 1, "CpuPeriod": 1000})),
        host(json!({"ExtraHosts": ["x"]})),
        host(json!({"VolumesFrom": ["nope"]})),
        host(json!({"NetworkMode": "host", "Links": ["nope:x"]})),
        host(json!({"NetworkMode": "container:plain", "Links": ["nope:x"]})),
        json!({"WorkingDir": "x"}),
        json!({"StopSignal": "x"}),
        json!({"Healthcheck": {"Test": ["CMD", "x"], "Interval": 5}}),
        json!({"Healthcheck": {"Test": ["CMD", "x"], "Retries": -1}}),
        json!({"Cmd": []}),
    ]
}

fn same() {
    let served = Served::new();
    let dockerd = Dockerd::start();
    let there = dockerd.host();
    let imported = run(super::docker(&there, &["import", "-", IMAGE]), &rootfs_tar());
    assert_eq!(imported.code, 0, "{imported:?}");
    let socket = std::path::PathBuf::from(there.trim_start_matches("unix://"));
    let found = RefCell::new(Vec::new());
    let both = |method: &str, path: &str, body: Option<&Value>| -> (Reply, Reply) {
        let path = format!("/v1.41{path}");
        let (ours, theirs) = (served.ask(method, &path, body), ask(&socket, method, &path, body));
        let at = format!("{method} {path}");
        if ours.status != theirs.status {
            found.borrow_mut().push(format!(
                "{at}: {} {}, not {} {}",
                ours.status, ours.body, theirs.status, theirs.body
            ));
        } else if ours.status >= 400 && method != "HEAD" {
            // Some of docker's aren't documents.
            let said = |reply: &Reply| {
                let document = serde_json::from_str::<Value>(&reply.body).unwrap_or_default();
                document["message"].as_str().unwrap_or(&reply.body).to_owned()
            };
            let (ours, theirs) = (said(&ours), said(&theirs));
            if !says_the_same(&ours, &theirs) {
                found.borrow_mut().push(format!("{at}: {ours:?}, not {theirs:?}"));
            }
        } else if ours.status < 300 && method != "HEAD" {
            let read = |reply: &Reply| serde_json::from_str(&reply.body).unwrap_or(Value::Null);
            let (ours, theirs): (Value, Value) = (read(&ours), read(&theirs));
            differ(&at, &ours, &theirs, &mut found.borrow_mut());
        }
        for header in ["content-type", "ostype", "docker-experimental"] {
            // What attaching can't do is said in a document here.
            let is_text = theirs.status >= 400
                && theirs.header(header).is_some_and(|kind| kind.ends_with("raw-stream"));
            if is_text {
                continue;
            }
            if theirs.header(header).is_some() && ours.header(header) != theirs.header(header) {
                found.borrow_mut().push(format!(
                    "{at}: {header}: {:?}, not {:?}",
                    ours.header(header),
                    theirs.header(header)
                ));
            }
        }
        (ours, theirs)
    };
    both("GET", "/_ping", None);
    both("HEAD", "/_ping", None);
    let plain = json!({"Image": IMAGE, "Cmd": ["sh", "-c", "echo hello; exec sleep 1000"],
        "HostConfig": {"NetworkMode": "none"}});
    let rich = json!({
        "Image": IMAGE, "Cmd": ["sleep", "1000"], "Env": ["A=1"], "Labels": {"a": "b"},
        "Tty": true, "OpenStdin": true, "User": "app", "WorkingDir": "/srv", "StopTimeout": 3,
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 30_000_000_000_u64},
        "HostConfig": {
            "NetworkMode": "none", "Memory": 67_108_864, "NanoCpus": 500_000_000,
            "RestartPolicy": {"Name": "unless-stopped"}, "Binds": ["/usr:/host:ro"],
            "CapAdd": ["CAP_NET_ADMIN"], "Tmpfs": {"/t": "size=1m"}, "PidsLimit": 50,
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
            "SecurityOpt": ["no-new-privileges"], "ExtraHosts": ["a:1.2.3.4"], "Init": true,
        },
    });
    both("POST", "/containers/create?name=plain", Some(&plain));
    both("POST", "/containers/create?name=rich", Some(&rich));
    both("POST", "/containers/create?name=plain", Some(&plain));
    both("POST", "/containers/create", Some(&json!({"Image": "nope"})));
    both("POST", "/containers/create?name=a+b", Some(&plain));
    for wrong in refused() {
        let mut body = plain.clone();
        for (key, value) in wrong.as_object().unwrap() {
            match (body.get_mut(key), value) {
                (Some(Value::Object(into)), Value::Object(more)) => into.extend(more.clone()),
                _ => body[key] = value.clone(),
            }
        }
        both("POST", "/containers/create?name=wrong", Some(&body));
    }
    for name in ["plain", "rich"] {
        both("GET", &format!("/containers/{name}/json"), None);
        both("POST", &format!("/containers/{name}/start"), None);
        both("POST", &format!("/containers/{name}/start"), None);
        both("GET", &format!("/containers/{name}/json"), None);
    }
    for host in [served.host(), there.clone()] {
        let deadline = std::time::Instant::now() + *crate::harness::PATIENCE;
        loop {
            let out = run(super::docker(&host, &["logs", "plain"]), b"");
            if out.stdout == "hello\n" {
                break;
            }
            assert!(std::time::Instant::now() < deadline, "{host}: {out:?}: {found:?}");
        }
    }
    both("GET", "/containers/json?all=1", None);
    both("GET", "/containers/json?filters=%7B%22name%22:%5B%22plain%22%5D%7D", None);
    both("GET", "/containers/json?filters=%7B%22nope%22:%5B%22x%22%5D%7D", None);
    both("GET", "/containers/plain/logs?stdout=1", None);
    both("GET", "/containers/plain/logs", None);
    both("GET", "/containers/plain/top", None);
    both("GET", "/containers/plain/changes", None);
    both("GET", "/containers/plain/stats?stream=0&one-shot=1", None);
    both("HEAD", "/containers/plain/archive?path=/srv", None);
    both("HEAD", "/containers/plain/archive?path=/nope", None);
    both("GET", "/containers/plain/archive", None);
    both("GET", "/containers/plain/archive?path=/nope", None);
    both("PUT", "/containers/plain/archive?path=/nope", None);
    both("POST", "/containers/plain/exec", Some(&json!({"Cmd": ["true"], "AttachStdout": true})));
    both("POST", "/containers/plain/exec", Some(&json!({})));
    both("POST", "/containers/plain/resize?h=5&w=5", None);
    both("POST", "/containers/plain/pause", None);
    both("POST", "/containers/plain/pause", None);
    both("POST", "/containers/plain/exec", Some(&json!({"Cmd": ["true"]})));
    both("POST", "/containers/plain/attach?stream=1", None);
    both("DELETE", "/containers/plain", None);
    both("POST", "/containers/plain/unpause", None);
    both("POST", "/containers/plain/rename?name=rich", None);
    both(
        "POST",
        "/containers/plain/update",
        Some(&json!({"Memory": 67_108_864, "MemorySwap": 67_108_864})),
    );
    both("POST", "/containers/plain/kill?signal=NOPE", None);
    both("DELETE", "/containers/plain", None);
    both("POST", "/containers/plain/stop?t=0", None);
    both("POST", "/containers/plain/stop", None);
    both("POST", "/containers/plain/wait", None);
    both("POST", "/containers/plain/kill", None);
    both("GET", "/containers/plain/json", None);
    both("DELETE", "/containers/plain?v=1", None);
    both("DELETE", "/containers/rich?force=1", None);
    both("DELETE", "/containers/rich", None);
    for path in ["start", "stop", "restart", "kill", "pause", "unpause", "wait", "resize?h=1&w=1"] {
        both("POST", &format!("/containers/nope/{path}"), None);
    }
    for path in ["json", "logs?stdout=1", "top", "stats", "changes", "export", "archive?path=/"] {
        both("GET", &format!("/containers/nope/{path}"), None);
    }
    both("GET", "/images/json", None);
    both("GET", &format!("/images/{IMAGE}/json"), None);
    both("GET", &format!("/images/{IMAGE}/history"), None);
    both("POST", &format!("/images/{IMAGE}/tag?repo=other&tag=v1"), None);
    both("GET", "/images/nope/json", None);
    both("DELETE", "/images/nope", None);
    both("DELETE", "/images/other:v1", None);
    both("POST", "/images/create?fromImage=UPPER", None);
    both("POST", "/volumes/create", Some(&json!({"Name": "data", "Labels": {"a": "b"}})));
    both("GET", "/volumes/data", None);
    both("GET", "/volumes", None);
    both("POST", "/volumes/create", Some(&json!({"Name": "a/b"})));
    both("GET", "/volumes/nope", None);
    both("DELETE", "/volumes/nope", None);
    both("POST", "/volumes/create", Some(&json!({"Name": "other", "Driver": "nope"})));
    both("POST", "/volumes/create", Some(&json!({"Name": "other", "DriverOpts": {"x": "y"}})));
    both("DELETE", "/volumes/data", None);
    both("GET", "/networks/nope", None);
    both("DELETE", "/networks/nope", None);
    both("GET", "/networks/none", None);
    both("DELETE", "/networks/none", None);
    both("POST", "/networks/create", Some(&json!({"Name": "none"})));
    both("POST", "/networks/create", Some(&json!({"Name": "other", "Driver": "nope"})));
    both("POST", "/networks/none/connect", Some(&json!({"Container": "nope"})));
    for path in ["enable?timeout=0", "disable", "push"] {
        both("POST", &format!("/plugins/nope/{path}"), None);
    }
    both("GET", "/plugins", None);
    both("GET", "/plugins/nope/json", None);
    both("DELETE", "/plugins/nope", None);
    both("POST", "/containers/prune", None);
    both("POST", "/volumes/prune", None);
    both("POST", "/images/prune", None);
    both("GET", "/swarm", None);
    both("GET", "/nodes", None);
    both("GET", "/nope", None);
    both("GET", "/exec/nope/json", None);
    both("POST", "/exec/nope/start", Some(&json!({})));
    both("GET", "/events?since=1&until=2", None);
    let found = found.into_inner();
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}
