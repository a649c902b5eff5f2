//! ps, inspect, stats, top, version, info.

use crate::harness::{IMAGE, Lab, Test};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        ps_lists,
        ps_quiet_and_whole,
        inspect_documents,
        stats_once,
        top_shows_processes,
        version_and_info,
        help,
    ]
}

fn ps_lists() {
    let lab = Lab::new();
    let header: Vec<String> = lab
        .ok(&["ps"])
        .split("  ")
        .map(|word| word.trim().to_owned())
        .filter(|w| !w.is_empty())
        .collect();
    assert_eq!(header, ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]);
    let first = lab.start(&["--name", "one"], "sleep 1000");
    lab.start(&["--name", "two"], "exit 3");
    lab.ok(&["wait", "two"]);
    lab.ok(&["create", "--name", "three", IMAGE, "true"]);
    let running = lab.ok(&["ps"]);
    let lines: Vec<&str> = running.lines().collect();
    assert_eq!(lines.len(), 2, "{running}");
    assert!(lines[1].starts_with(&first[..12]), "{running}");
    assert!(lines[1].contains("\"sh -c 'sleep 1000'\""), "{running}");
    assert!(lines[1].contains(" Up ") && lines[1].ends_with("one"), "{running}");
    let all = lab.ok(&["ps", "-a"]);
    let lines: Vec<&str> = all.lines().collect();
    assert_eq!(lines.len(), 4, "{all}");
    assert!(lines[1].contains("Created") && lines[1].ends_with("three"), "newest first: {all}");
    assert!(lines[2].contains("Exited (3)") && lines[2].ends_with("two"), "{all}");
}

fn ps_quiet_and_whole() {
    let lab = Lab::new();
    let id = lab.start(&[], "echo a long enough line to be cut off somewhere; sleep 1000");
    assert_eq!(lab.ok(&["ps", "-q"]), &id[..12]);
    assert_eq!(lab.ok(&["ps", "-q", "--no-trunc"]), id);
    assert!(lab.ok(&["ps"]).contains('…'));
    let whole = lab.ok(&["ps", "--no-trunc"]);
    assert!(whole.contains("cut off somewhere; sleep 1000") && whole.contains(&id), "{whole}");
}

fn inspect_documents() {
    let lab = Lab::new();
    let id = lab.start(&["--name", "doc", "-m", "64m", "--cpus", "0.5"], "sleep 1000");
    let value = |pointer: &str| lab.inspect("doc", pointer);
    assert_eq!(value("/Id"), id.as_str());
    assert_eq!(value("/Name"), "/doc");
    assert_eq!(value("/Path"), "sh");
    assert_eq!(value("/State/Running"), true);
    assert_eq!(value("/HostConfig/Memory"), 64 << 20);
    assert_eq!(value("/HostConfig/NanoCpus"), 500_000_000);
    assert_eq!(value("/HostConfig/NetworkMode"), "none");
    assert_eq!(value("/GraphDriver/Name"), "overlay2");
    assert!(value("/GraphDriver/Data/UpperDir").as_str().unwrap().contains(&id));
    assert!(value("/Created").as_str().unwrap().ends_with('Z'));
    let image: serde_json::Value = serde_json::from_str(&lab.ok(&["inspect", IMAGE])).unwrap();
    assert_eq!(image[0]["RepoTags"][0], "box:latest");
    let out = lab.ends(1, &["inspect", "nothing"]);
    assert_eq!(out.stdout.trim(), "[]");
    assert!(out.stderr.contains("No such object: nothing"), "{}", out.stderr);
}

fn stats_once() {
    let lab = Lab::new();
    lab.start(&["--name", "busy", "-m", "64m"], "while :; do :; done");
    let text = lab.ok(&["stats", "--no-stream"]);
    let lines: Vec<&str> = text.lines().collect();
    for title in [
        "CONTAINER ID",
        "NAME",
        "CPU %",
        "MEM USAGE / LIMIT",
        "MEM %",
        "NET I/O",
        "BLOCK I/O",
        "PIDS",
    ] {
        assert!(lines[0].contains(title), "{text}");
    }
    assert!(lines[1].contains("busy") && lines[1].contains("/ 64MiB"), "{text}");
    let cpu = lines[1].split_whitespace().find(|word| word.ends_with('%')).unwrap();
    let cpu: f64 = cpu.trim_end_matches('%').parse().unwrap();
    assert!(cpu > 5.0, "{text}");
    lab.fails(1, "none", &["stats", "--no-stream", "none"]);
}

fn top_shows_processes() {
    let lab = Lab::new();
    lab.start(&["--name", "busy"], "sleep 1234 & echo up; sleep 5678");
    lab.wait_for_log("busy", "up");
    // The shell's child takes a moment until it is another program.
    let has_child = || lab.ok(&["top", "busy"]).contains("sleep 1234");
    crate::harness::eventually("the child is shown", has_child);
    let text = lab.ok(&["top", "busy"]);
    for word in ["UID", "PID", "PPID", "STIME", "CMD", "sleep 1234"] {
        assert!(text.contains(word), "{text}");
    }
    let pid = lab.pid("busy").to_string();
    assert!(text.lines().any(|line| line.split_whitespace().nth(1) == Some(&pid)), "{text}");
    lab.ok(&["stop", "-t", "0", "busy"]);
    lab.fails(1, "is not running", &["top", "busy"]);
}

fn version_and_info() {
    let lab = Lab::new();
    let version = lab.ok(&["version"]);
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    lab.start(&[], "sleep 1000");
    let info = lab.ok(&["info"]);
    assert!(info.contains("Containers: 1") && info.contains("Running: 1"), "{info}");
    assert!(info.contains("Images: 1"), "{info}");
}

fn help() {
    let lab = Lab::empty();
    let text = lab.ok(&["--help"]);
    for verb in ["run", "exec", "ps", "logs", "images"] {
        assert!(text.contains(verb), "{text}");
    }
    assert!(lab.ok(&["run", "--help"]).contains("--memory"));
    let out = lab.run(&["no-such-verb"]);
    assert!(out.code != 0 && out.stderr.contains("no-such-verb"), "{out:?}");
}
