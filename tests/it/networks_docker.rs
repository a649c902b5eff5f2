//! Networks, ports, names and volumes beside real docker: the same words to both, the same documents,
//! output and complaints. Wording that newer dockers have changed is that of the newer ones.

use serde_json::Value;

use crate::dockerd::{self, Dockerd};
use crate::harness::{Lab, Out, Test, joined, lacks_programs};
use crate::hosts::{Host, succeed, within};
use crate::names::Upstream;
use crate::sides::Side;

pub(crate) fn tests() -> Vec<Test> {
    let lacks = dockerd::lacks().or_else(|| lacks_programs(&["docker", "dig", "nsenter"]));
    vec![
        Test::new("networks_are_those_of_docker", networks).needing(lacks.clone()),
        Test::new("volumes_are_those_of_docker", volumes).needing(lacks),
    ]
}

/// The words of each command; one after the other.
const NETWORKS: &str = include_str!("networks_docker/networks");
const VOLUMES: &str = include_str!("networks_docker/volumes");

/// What depends on the instant, on numbers that are drawn, or on where an engine keeps its things; and
/// what is compared elsewhere.
const OWN: [&str; 22] = [
    "Created",
    "CreatedAt",
    "EndpointID",
    "MacAddress",
    "SandboxID",
    "SandboxKey",
    "Mountpoint",
    "Source",
    "LogPath",
    "ResolvConfPath",
    "HostnamePath",
    "HostsPath",
    "GraphDriver",
    "Pid",
    "StartedAt",
    "Image",
    "CgroupnsMode",
    "Runtime",
    "MaskedPaths",
    "ReadonlyPaths",
    "KernelMemory",
    "KernelMemoryTCP",
];

/// Returns a text with its ids, long and short, as one word.
fn without_ids(text: &str) -> String {
    let mut read = String::new();
    for piece in text.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let word = piece.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let is_id = matches!(word.len(), 12 | 64) && word.bytes().all(is_hex);
        read += if is_id { "<id>" } else { word };
        read += &piece[word.len()..];
    }
    read
}

/// Returns a document in a form that can be compared; none if the text is none.
fn document(text: &str) -> Option<Value> {
    fn comparable(value: Value) -> Value {
        match value {
            Value::String(text) => without_ids(&text).into(),
            Value::Array(all) => all.into_iter().map(comparable).collect(),
            // Of which nobody knows the order.
            Value::Object(all) if all.keys().any(|name| without_ids(name) == "<id>") => {
                let mut all: Vec<Value> =
                    all.into_iter().map(|(_, value)| comparable(value)).collect();
                all.sort_by_key(Value::to_string);
                all.into()
            }
            Value::Object(all) => {
                let known = all.into_iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
                known.map(|(name, value)| (name, comparable(value))).collect()
            }
            other => other,
        }
    }
    let document: Value = serde_json::from_str(text).ok()?;
    (document.is_array() || document.is_object()).then(|| comparable(document))
}

/// Returns the sentence of a failure, without who says it. Versions differ in the case of the first
/// letter.
fn sentence(out: &Out) -> String {
    let mut lines = out.stderr.lines().filter(|line| {
        // docker's own about the kernel, and about what its client has to know.
        !line.starts_with("time=") && !line.starts_with("WARNING: ") && !line.is_empty()
    });
    let mut line = lines.next().unwrap_or_default();
    for prefix in ["docker: ", "wharf: ", "Error response from daemon: ", "Error: "] {
        line = line.strip_prefix(prefix).unwrap_or(line);
    }
    line.to_lowercase().replace("'docker ", "'wharf ")
}

/// Returns where ours lacks what theirs has, or has it otherwise. What is empty may be absent.
fn differences(theirs: &Value, ours: &Value, at: &str, found: &mut Vec<String>) {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.is_empty(),
        Value::Object(all) => all.is_empty(),
        _ => false,
    };
    match (theirs, ours) {
        (Value::Object(all), Value::Object(_)) => {
            for (name, value) in all {
                differences(value, &ours[name.as_str()], &format!("{at}/{name}"), found);
            }
        }
        (Value::Array(all), Value::Array(others)) if all.len() == others.len() => {
            for (n, (value, other)) in all.iter().zip(others).enumerate() {
                differences(value, other, &format!("{at}/{n}"), found);
            }
        }
        _ if theirs == ours || empty(theirs) && empty(ours) => {}
        _ => found.push(format!("{at}\n    docker: {theirs}\n    wharf:  {ours}")),
    }
}

/// Says the same to both, line by line, and returns what they make otherwise of it. A line may end in
/// `# code` when only its exit code is the same, on purpose, in `# beside` when it takes docker long besides
/// and needn't be waited for, or in `# sorted` when the order of its output is anybody's.
fn compare(docker: &Side, wharf: &Side, lines: &str) -> Vec<String> {
    let lines = lines.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lines: Vec<(&str, &str)> =
        lines.map(|line| line.split_once(" # ").unwrap_or((line, ""))).collect();
    let outs = |side: &Side| -> Vec<Out> {
        let run = |line: &str| {
            let words = words(line);
            side.run(&words.iter().map(String::as_str).collect::<Vec<_>>(), b"")
        };
        std::thread::scope(|scope| {
            let (beside, rest): (Vec<_>, Vec<_>) =
                lines.iter().enumerate().partition(|(_, (_, remark))| *remark == "beside");
            let beside: Vec<_> = beside
                .into_iter()
                .map(|(n, (line, _))| (n, scope.spawn(move || run(line))))
                .collect();
            let mut outs: Vec<(usize, Out)> =
                rest.into_iter().map(|(n, (line, _))| (n, run(line))).collect();
            outs.extend(beside.into_iter().map(|(n, thread)| (n, joined(thread))));
            outs.sort_by_key(|(n, _)| *n);
            outs.into_iter().map(|(_, out)| out).collect()
        })
    };
    let (theirs, ours) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| outs(docker));
        let ours = outs(wharf);
        (joined(theirs), ours)
    });
    let mut found = Vec::new();
    for (((line, remark), their), our) in lines.iter().zip(&theirs).zip(&ours) {
        if their.code != our.code {
            found.push(format!("{line}\n  docker: {their:?}\n  wharf:  {our:?}"));
            continue;
        }
        let mut differing = Vec::new();
        if let (Some(their), Some(our)) = (document(&their.stdout), document(&our.stdout)) {
            differences(&their, &our, "", &mut differing);
        } else {
            let output = |out: &Out| {
                let text = without_ids(&out.stdout);
                let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
                if *remark == "sorted" {
                    lines.sort();
                }
                lines
            };
            let (their, our) = (output(their), output(our));
            if their != our {
                differing.push(format!("  docker: {their:?}\n  wharf:  {our:?}"));
            }
        }
        let (their, our) = (without_ids(&sentence(their)), without_ids(&sentence(our)));
        if their != our && !matches!(*remark, "code" | "beside") {
            differing.push(format!("  docker: {their}\n  wharf:  {our}"));
        }
        if !differing.is_empty() {
            found.push(format!("{line}\n{}", differing.join("\n")));
        }
    }
    found
}

/// Splits a line as a shell would, with single quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (n, part) in line.split('\'').enumerate() {
        match n % 2 {
            1 => words.push(part.to_owned()),
            _ => words.extend(part.split_whitespace().map(str::to_owned)),
        }
    }
    words
}

/// Returns docker and wharf, each on a host of its own with an outside and a name server.
fn both() -> ([Host; 2], Side, Side) {
    let hosts = [Host::new(), Host::new()];
    for host in &hosts {
        host.ip("addr add 192.0.2.1/24 dev lo");
    }
    let docker = Side::docker(Dockerd::on(&hosts[0]));
    let wharf = Side::wharf(Lab::empty().on(&hosts[1]));
    (hosts, docker, wharf)
}

fn networks() {
    let (hosts, docker, wharf) = both();
    let _upstreams = hosts
        .each_ref()
        .map(|host| within(&host.file(), || Upstream::start("192.0.2.1".parse().unwrap())));
    let (before, after) = NETWORKS.split_once("# NAMES\n").unwrap();
    let mut found = compare(&docker, &wharf, before);
    // Without extensions, of which docker's server knows nothing.
    for question in [
        "c2 A",
        "C2 A",
        "c2.n2 A",
        "c2.other A",
        "web A",
        "far.example A",
        "c2 AAAA",
        "c6 A",
        "six A",
        "six AAAA",
        "six.m6 AAAA",
        "-x 10.90.0.200",
        "-x 10.90.0.222",
        "-x fd00:92::77",
        "-x 10.90.0.77",
        "elsewhere.example A",
        "elsewhere.example AAAA",
        "nobody A",
        "c2 A +tcp",
    ] {
        let ask = |side: &Side| {
            let pid = side.ok(&["inspect", "-f", "{{.State.Pid}}", "c1"]);
            let net = format!("--net=/proc/{pid}/ns/net");
            let fixed = ["dig", "@127.0.0.11", "+time=5", "+tries=3", "+noall", "+comments"];
            let mut command = std::process::Command::new("nsenter");
            command.arg(net).args(fixed).args(["+answer", "+noedns"]).args(question.split(' '));
            let text = succeed(&mut command);
            let lines = text.lines().map(|line| match line.split_once(", id: ") {
                Some((line, _)) => line.to_owned(),
                None => line.split_whitespace().collect::<Vec<_>>().join(" "),
            });
            lines.filter(|line| !line.is_empty()).collect::<Vec<_>>()
        };
        let (theirs, ours) = (ask(&docker), ask(&wharf));
        if theirs != ours {
            found.push(format!("dig {question}\n  docker: {theirs:#?}\n  wharf:  {ours:#?}"));
        }
    }
    found.extend(compare(&docker, &wharf, after));
    assert!(found.is_empty(), "{} differ:\n{}", found.len(), found.join("\n"));
}

fn volumes() {
    let (_hosts, docker, wharf) = both();
    let found = compare(&docker, &wharf, VOLUMES);
    assert!(found.is_empty(), "{} differ:\n{}", found.len(), found.join("\n"));
}
