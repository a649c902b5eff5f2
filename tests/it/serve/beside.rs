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
    "limit",
    "execID",
];

/// Fields that differ for a reason, which `docs/api.md` has.
const REASONED: &[&str] = &[
    // Of the engine, not of the container.
    "ProcessLabel",
    "AppArmorProfile",
    "Driver",
    "Runtime",
    "OomKillDisable",
    "ExecIDs",
    "Parent",
    "DockerVersion",
    "Container",
    "ContainerConfig",
    "Comment",
    "CgroupnsMode",
    "MaskedPaths",
    "ReadonlyPaths",
    "RestartCount",
    "ImageManifestDescriptor",
    "ShmSize",
    "Descriptor",
    // What the dockerd here, which may be older, has no more or not yet.
    "KernelMemory",
    "KernelMemoryTCP",
    "GwPriority",
    "DNSNames",
    "EnableIPv4",
    "Error",
    // A policy that nobody asked for has a name here.
    "RestartPolicy",
    // Counters that differ with the control groups of the host.
    "blkio_stats",
    "networks",
    "stats",
    "percpu_usage",
    "max_usage",
    "failcnt",
    "memory_stats",
    "storage_stats",
    "throttling_data",
    "cpu_stats",
    "precpu_stats",
    "pids_stats",
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
        } else if ours.status < 300 && method != "HEAD" {
            let read = |reply: &Reply| serde_json::from_str(&reply.body).unwrap_or(Value::Null);
            let (ours, theirs): (Value, Value) = (read(&ours), read(&theirs));
            differ(&at, &ours, &theirs, &mut found.borrow_mut());
        }
        for header in ["content-type", "ostype", "docker-experimental"] {
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
    both("POST", "/containers/plain/exec", Some(&json!({"Cmd": ["true"], "AttachStdout": true})));
    both("POST", "/containers/plain/exec", Some(&json!({})));
    both("POST", "/containers/plain/resize?h=5&w=5", None);
    both("POST", "/containers/plain/pause", None);
    both("POST", "/containers/plain/pause", None);
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
    both("DELETE", "/volumes/data", None);
    both("GET", "/networks/nope", None);
    both("DELETE", "/networks/nope", None);
    both("GET", "/networks/none", None);
    both("DELETE", "/networks/none", None);
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
