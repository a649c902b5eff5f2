//! Control groups: what is asked for is what the kernel holds, on every version.

use std::path::{Path, PathBuf};

use crate::harness::{IMAGE, Lab, Test};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        memory_is_limited,
        out_of_memory,
        out_of_memory_of_a_child,
        cpu_is_limited,
        processes_are_limited,
        no_limit_by_default,
        wrong_limits_are_refused,
        the_container_sees_its_own_group,
    ]
}

/// Returns a container's group in the hierarchy of a controller, and whether it is version 2's.
fn group(lab: &Lab, container: &str, controller: &str) -> (PathBuf, bool) {
    let text = std::fs::read_to_string(format!("/proc/{}/cgroup", lab.pid(container))).unwrap();
    let rows = || text.lines().map(|line| line.splitn(3, ':').collect::<Vec<_>>());
    let version_1 = rows().find(|row| row[1].split(',').any(|name| name == controller));
    if let Some(row) = version_1 {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let point = mounts
            .lines()
            .filter(|line| line.contains(" - cgroup "))
            .find(|line| line.rsplit(' ').next().unwrap().split(',').any(|o| o == controller))
            .and_then(|line| line.split(' ').nth(4))
            .unwrap();
        return (Path::new(point).join(&row[2][1..]), false);
    }
    let row = rows().find(|row| row[0] == "0").unwrap();
    (Path::new("/sys/fs/cgroup").join(&row[2][1..]), true)
}

/// Returns what a group's file says; its name may differ between the versions.
fn value(lab: &Lab, container: &str, controller: &str, names: [&str; 2]) -> String {
    let (folder, version_2) = group(lab, container, controller);
    let path = folder.join(names[usize::from(version_2)]);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.trim().to_owned()
}

fn memory_is_limited() {
    let lab = Lab::new();
    for (given, bytes) in [("64m", 64 << 20), ("67108864", 64 << 20), ("65536k", 64 << 20)] {
        let id = lab.start(&["-m", given], "sleep 1000");
        let limit = value(&lab, &id, "memory", ["memory.limit_in_bytes", "memory.max"]);
        assert_eq!(limit, bytes.to_string(), "{given}");
        assert_eq!(lab.inspect(&id, "/HostConfig/Memory"), bytes);
    }
}

fn out_of_memory() {
    let lab = Lab::new();
    lab.ends(
        137,
        &["run", "--name", "eats", "--network", "none", "-m", "16m", IMAGE, "tail", "/dev/zero"],
    );
    assert_eq!(lab.inspect("eats", "/State/OOMKilled"), true);
    assert_eq!(lab.inspect("eats", "/State/ExitCode"), 137);
    // A new run begins anew.
    lab.ok(&["create", "--name", "well", "--network", "none", "-m", "16m", IMAGE, "true"]);
    lab.ok(&["start", "-a", "well"]);
    assert_eq!(lab.inspect("well", "/State/OOMKilled"), false);
}

fn out_of_memory_of_a_child() {
    let lab = Lab::new();
    let id = lab.start(&["-m", "16m"], "tail /dev/zero; echo child $?; exit 0");
    assert_eq!(lab.ok(&["wait", &id]), "0");
    lab.wait_for_log(&id, "child 137");
    assert_eq!(lab.inspect(&id, "/State/OOMKilled"), true);
}

fn cpu_is_limited() {
    let lab = Lab::new();
    let id = lab.start(&["--cpus", "0.25"], "while :; do :; done");
    let (folder, version_2) = group(&lab, &id, "cpu");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap().trim().to_owned();
    if version_2 {
        assert_eq!(read("cpu.max"), "25000 100000");
    } else {
        assert_eq!(read("cpu.cfs_quota_us"), "25000");
        assert_eq!(read("cpu.cfs_period_us"), "100000");
    }
    crate::harness::eventually("it is held back", || {
        let stat = read("cpu.stat");
        let held = stat.lines().find_map(|line| line.strip_prefix("nr_throttled ")).unwrap();
        held != "0"
    });
}

fn processes_are_limited() {
    let lab = Lab::new();
    let line = "i=0; while [ $i -lt 20 ]; do sleep 1000 & i=$((i+1)); done; echo all";
    let out = lab.run(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--pids-limit",
        "10",
        IMAGE,
        "sh",
        "-c",
        line,
    ]);
    assert!(!out.stdout.contains("all"), "{out:?}");
    assert!(out.stderr.contains("can't fork"), "{out:?}");
    let id = lab.start(&["--pids-limit", "10"], "sleep 1000");
    assert_eq!(value(&lab, &id, "pids", ["pids.max", "pids.max"]), "10");
    let id = lab.start(&["--pids-limit", "-1"], "sleep 1000");
    assert_eq!(value(&lab, &id, "pids", ["pids.max", "pids.max"]), "max");
}

fn no_limit_by_default() {
    let lab = Lab::new();
    let id = lab.start(&[], "sleep 1000");
    let memory = value(&lab, &id, "memory", ["memory.limit_in_bytes", "memory.max"]);
    assert!(memory == "max" || memory.parse::<u64>().unwrap() > 1 << 50, "{memory}");
    assert_eq!(value(&lab, &id, "pids", ["pids.max", "pids.max"]), "max");
}

fn wrong_limits_are_refused() {
    let lab = Lab::new();
    for flags in [["-m", "lots"], ["-m", "1m"], ["--cpus", "many"], ["--cpus", "1000"]] {
        let out = lab.ends(125, &[&["run", "--rm"], &flags[..], &[IMAGE, "true"]].concat());
        assert!(!out.stderr.is_empty());
    }
    assert_eq!(lab.ok(&["ps", "-aq"]), "");
}

fn the_container_sees_its_own_group() {
    let lab = Lab::new();
    let text = lab.shell(&[], "cat /proc/self/cgroup");
    for line in text.lines() {
        assert!(line.ends_with(":/"), "the root of its namespace: {text}");
    }
    let line = "ls -d /sys/fs/cgroup; touch /sys/fs/cgroup/x 2>&1 || echo refused";
    assert!(lab.shell(&[], line).ends_with("refused"));
}
