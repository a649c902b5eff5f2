//! Control groups: what is asked for is what the kernel holds, on every version.

use std::path::{Path, PathBuf};

mod block;
mod devices;
mod docker;
mod neighbours;
mod processes;
mod storage;
mod update;

use crate::harness::{IMAGE, Lab, Test};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    let mut tests = tests![
        memory_is_limited,
        every_limit_is_what_the_kernel_holds,
        what_the_kernel_lacks_is_said,
        real_time_is_limited,
        memory_and_swap_together,
        cpu_time_is_held_to_its_quota,
        a_parent_of_the_user_s_holds_the_container,
        out_of_memory,
        out_of_memory_of_a_child,
        cpu_is_limited,
        processes_are_limited,
        no_limit_by_default,
        wrong_limits_are_refused,
        the_container_sees_its_own_group,
    ];
    tests.extend(block::tests());
    tests.extend(devices::tests());
    tests.extend(docker::tests());
    tests.extend(neighbours::tests());
    tests.extend(processes::tests());
    tests.extend(storage::tests());
    tests.extend(update::tests());
    tests
}

/// Returns whether the host has version 2 alone.
fn unified() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// Returns whether a container's group has a file of this name.
fn has(lab: &Lab, container: &str, controller: &str, names: [&str; 2]) -> bool {
    let (folder, version_2) = group(lab, container, controller);
    folder.join(names[usize::from(version_2)]).exists()
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

fn every_limit_is_what_the_kernel_holds() {
    let lab = Lab::new();
    let flags = [
        "-m",
        "64m",
        "--memory-swap",
        "96m",
        "--memory-reservation",
        "32m",
        "--cpu-period",
        "50000",
        "--cpu-quota",
        "20000",
        "-c",
        "512",
        "--cpuset-cpus",
        "0",
        "--cpuset-mems",
        "0",
        "--pids-limit",
        "50",
    ];
    let id = lab.start(&flags, "sleep 1000");
    let mib = |n: u64| (n << 20).to_string();
    let quota = |text: &str| text.to_owned();
    for (controller, names, expected) in [
        ("memory", ["memory.limit_in_bytes", "memory.max"], [mib(64), mib(64)]),
        // Version 1 counts both, version 2 swap alone.
        ("memory", ["memory.memsw.limit_in_bytes", "memory.swap.max"], [mib(96), mib(32)]),
        ("memory", ["memory.soft_limit_in_bytes", "memory.low"], [mib(32), mib(32)]),
        ("cpu", ["cpu.cfs_quota_us", "cpu.max"], [quota("20000"), quota("20000 50000")]),
        ("cpu", ["cpu.cfs_period_us", "cpu.max"], [quota("50000"), quota("20000 50000")]),
        ("cpu", ["cpu.shares", "cpu.weight"], [quota("512"), quota("59")]),
        ("cpuset", ["cpuset.cpus", "cpuset.cpus"], [quota("0"), quota("0")]),
        ("cpuset", ["cpuset.mems", "cpuset.mems"], [quota("0"), quota("0")]),
        ("pids", ["pids.max", "pids.max"], [quota("50"), quota("50")]),
    ] {
        if names[0].contains("memsw") && !has(&lab, &id, controller, names) {
            continue;
        }
        let (_, version_2) = group(&lab, &id, controller);
        let held = value(&lab, &id, controller, names);
        assert_eq!(held, expected[usize::from(version_2)], "{names:?}");
    }
    let cpus = lab.ok(&["exec", &id, "grep", "Cpus_allowed_list", "/proc/self/status"]);
    assert_eq!(cpus.split_whitespace().last(), Some("0"), "{cpus}");
    for (key, shown) in [
        ("Memory", 64 << 20),
        ("MemorySwap", 96 << 20),
        ("MemoryReservation", 32 << 20),
        ("CpuPeriod", 50_000),
        ("CpuQuota", 20_000),
        ("CpuShares", 512),
        ("PidsLimit", 50),
    ] {
        assert_eq!(lab.inspect(&id, &format!("/HostConfig/{key}")), shown, "{key}");
    }
    assert_eq!(lab.inspect(&id, "/HostConfig/CpusetCpus"), "0");
}

fn what_the_kernel_lacks_is_said() {
    let lab = Lab::new();
    let flags = ["-m", "64m", "--memory-swappiness", "10", "--oom-kill-disable"];
    let out = lab.ends(0, &[&["create", "--name", "asks"], &flags[..], &[IMAGE, "true"]].concat());
    let host = |key: &str| lab.inspect("asks", &format!("/HostConfig/{key}"));
    if unified() {
        for sentence in [
            "WARNING: Your kernel does not support memory swappiness capabilities or the cgroup is \
             not mounted. Memory swappiness discarded.",
            "WARNING: Your kernel does not support OomKillDisable. OomKillDisable discarded.",
        ] {
            assert!(out.stderr.contains(sentence), "{}", out.stderr);
        }
        assert!(host("MemorySwappiness").is_null() && host("OomKillDisable").is_null());
        lab.ok(&["start", "-a", "asks"]);
        return;
    }
    assert_eq!(out.stderr, "");
    assert_eq!((host("MemorySwappiness"), host("OomKillDisable")), (10.into(), true.into()));
    let id = lab.start(&flags, "sleep 1000");
    let read = |name: &str| value(&lab, &id, "memory", [name, name]);
    assert_eq!(read("memory.swappiness"), "10");
    assert!(read("memory.oom_control").starts_with("oom_kill_disable 1"));
    let out = lab.ends(0, &["create", "--oom-kill-disable", IMAGE, "true"]);
    assert!(out.stderr.contains("no memory limit is set"), "{}", out.stderr);
}

fn real_time_is_limited() {
    let lab = Lab::new();
    let flags = ["--cpu-rt-period", "500000", "--cpu-rt-runtime", "1000"];
    let arguments = [&["create", "--name", "real"], &flags[..], &[IMAGE, "sleep", "1000"]].concat();
    if unified() || lab.run(&arguments).code != 0 {
        lab.fails(1, "kernel does not support CPU real-time scheduler", &arguments);
        return;
    }
    lab.ok(&["start", "real"]);
    let read = |name: &str| value(&lab, "real", "cpu", [name, name]);
    assert_eq!(read("cpu.rt_runtime_us"), "1000");
    assert_eq!(read("cpu.rt_period_us"), "500000");
    // A second one finds room beside it.
    let id = lab.start(&["--cpu-rt-runtime", "2000"], "sleep 1000");
    assert_eq!(value(&lab, &id, "cpu", ["cpu.rt_runtime_us", ""]), "2000");
    let flags = ["--cpu-rt-period", "1000", "--cpu-rt-runtime", "2000"];
    let arguments = [&["create"], &flags[..], &[IMAGE, "true"]].concat();
    lab.fails(1, "cpu real-time runtime cannot be higher than cpu real-time period", &arguments);
}

fn memory_and_swap_together() {
    let lab = Lab::new();
    // No swap at all: what doesn't fit into memory is the end.
    let flags = ["--network", "none", "-m", "16m", "--memory-swap", "16m"];
    let eats = ["tail", "/dev/zero"];
    lab.ends(137, &[&["run", "--name", "eats"], &flags[..], &[IMAGE], &eats[..]].concat());
    assert_eq!(lab.inspect("eats", "/State/OOMKilled"), true);
    let id = lab.start(&["-m", "16m", "--memory-swap=-1"], "sleep 1000");
    let names = ["memory.memsw.limit_in_bytes", "memory.swap.max"];
    if has(&lab, &id, "memory", names) {
        let swap = value(&lab, &id, "memory", names);
        assert!(swap == "max" || swap.parse::<u64>().unwrap() > 1 << 50, "{swap}");
    }
    assert_eq!(lab.inspect(&id, "/HostConfig/MemorySwap"), -1);
    // Memory on a tmpfs counts, and can't be taken back either.
    let line = "dd if=/dev/zero of=/t/x bs=1M count=64";
    let flags = ["--network", "none", "-m", "16m", "--memory-swap", "16m", "--tmpfs", "/t"];
    let out = lab.run(&[&["run"], &flags[..], &[IMAGE, "sh", "-c", line]].concat());
    assert_eq!(out.code, 137, "{out:?}");
}

fn cpu_time_is_held_to_its_quota() {
    let lab = Lab::new();
    let id = lab.start(&["--cpus", "0.2"], "while :; do :; done");
    let (folder, version_2) = group(&lab, &id, "cpu");
    let counter = |key: &str| -> u64 {
        let stat = std::fs::read_to_string(folder.join("cpu.stat")).unwrap();
        let line = stat.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        line.unwrap().parse().unwrap()
    };
    // Microseconds of CPU time.
    let used = || match version_2 {
        true => counter("usage_usec"),
        false => {
            let (folder, _) = group(&lab, &id, "cpuacct");
            let text = std::fs::read_to_string(folder.join("cpuacct.usage")).unwrap();
            text.trim().parse::<u64>().unwrap() / 1000
        }
    };
    let (periods, before) = (counter("nr_periods"), used());
    crate::harness::eventually("twenty periods", || counter("nr_periods") >= periods + 20);
    let used = used() - before;
    let allowed = (counter("nr_periods") - periods + 2) * 20_000;
    // A scheduler tick may be overrun, and is paid back later.
    assert!(used <= allowed * 3 / 2, "{used} us used of {allowed}");
    assert!(used >= 20_000, "it runs: {used} us");
}

fn a_parent_of_the_user_s_holds_the_container() {
    let lab = Lab::new();
    let parent = format!("wharf-it-parent-{}", std::process::id());
    let below = format!("/{parent}/below/");
    let id = lab.start(&["--cgroup-parent", &below, "-m", "64m"], "sleep 1000");
    let (folder, _) = group(&lab, &id, "memory");
    assert!(folder.ends_with(format!("{parent}/below/{id}")), "{}", folder.display());
    assert_eq!(lab.inspect(&id, "/HostConfig/CgroupParent"), below);
    assert!(lab.ok(&["top", &id]).contains("sleep"));
    lab.ok(&["update", "--pids-limit", "9", &id]);
    assert_eq!(value(&lab, &id, "pids", ["pids.max", "pids.max"]), "9");
    lab.ok(&["rm", "-f", &id]);
    assert!(!folder.exists());
    let arguments = ["create", "--cgroup-parent", "../out", IMAGE, "true"];
    lab.fails(1, "invalid cgroup-parent: ../out", &arguments);
    // What the user named is the user's, and stays as docker leaves it.
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points = mounts.lines().filter(|line| line.contains(" - cgroup"));
    for point in points.filter_map(|line| line.split(' ').nth(4)) {
        let _ = std::fs::remove_dir(Path::new(point).join(&parent).join("below"));
        let _ = std::fs::remove_dir(Path::new(point).join(&parent));
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
