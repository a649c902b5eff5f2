//! The same flags given to docker's own command line and dockerd: the same settings, and the same
//! complaints.

use std::process::Command;

use serde_json::Value;

use crate::dockerd::{self, Dockerd};
use crate::harness::{IMAGE, Lab, Out, Test, lacks_programs, rootfs_archive, run};
use crate::tests;

use super::unified;

pub(crate) fn tests() -> Vec<Test> {
    let lacks = dockerd::lacks().or_else(|| lacks_programs(&["docker"]));
    let tests = tests![limits_are_what_docker_makes_of_them];
    tests.into_iter().map(|test| test.needing(lacks.clone())).collect()
}

/// Flags that are taken; those of a group are given at once.
const TAKEN: [&[&str]; 22] = [
    &[],
    &["-m", "64m"],
    &["-m", "0.5g", "--memory-swap", "1GiB", "--memory-reservation", "6MB"],
    &["-m", "67108864", "--memory-swap=-1"],
    &["-m", "65536k", "--memory-swap", "65536K", "--memory-swappiness", "0"],
    &["-m", "+64m", "--oom-kill-disable"],
    &["--cpus", "1/2", "-c", "512"],
    &["--cpus", "5e-1"],
    &["--cpus=1.25", "--cpuset-cpus", "0", "--cpuset-mems", "0"],
    &["--cpu-period", "50000", "--cpu-quota", "25000"],
    &["--cpu-quota=-1"],
    &["--cpus", "0", "-m", "0", "--cpu-shares", "0", "--pids-limit", "0"],
    &["--pids-limit=-5"],
    &["--pids-limit", "100", "--oom-score-adj", "-500"],
    &["--ulimit", "nofile=1024:2048", "--ulimit", "core=-1", "--ulimit", "nofile=64"],
    &["--device", "/dev/null", "--device", "/dev/zero:/dev/o", "--device", "/dev/full:rw"],
    &["--device", "/dev/null:/dev/n:m", "--device-cgroup-rule", "c 42:* rmw"],
    &["--device-read-bps", "/dev/vda:1mb", "--device-write-bps", "/dev/vda:1.5k"],
    &["--device-read-iops", "/dev/vda:100", "--device-write-iops", "/dev/vdb:200"],
    &["--device-write-iops", "/dev/vda:0"],
    &["--cgroup-parent", "/some/where"],
    &["--memory-reservation", "64m", "--cpu-quota", "1000"],
];

/// Flags that are refused.
const REFUSED: [&[&str]; 47] = [
    &["-m", "5m"],
    &["-m", "1q"],
    &["-m", ""],
    &["-m", "-1"],
    &["-m", "5 5m"],
    &["-m", "0x10m"],
    &["-m", "1.5xb"],
    &["-m", "64m", "--memory-swap", "32m"],
    &["--memory-swap", "64m"],
    &["--memory-swap=-2"],
    &["-m", "64m", "--memory-reservation", "128m"],
    &["--memory-reservation", "1m"],
    &["--memory-swappiness", "101"],
    &["--memory-swappiness=-2"],
    &["--memory-swappiness", "x"],
    &["--oom-score-adj", "2000"],
    &["--oom-score-adj", "x"],
    &["--cpus", "1", "--cpu-period", "1000"],
    &["--cpus", "1", "--cpu-quota", "1000"],
    &["--cpus", "1000"],
    &["--cpus", "many"],
    &["--cpu-period", "10"],
    &["--cpu-quota", "10"],
    &["--cpu-shares=x"],
    &["--cpuset-cpus", "4000"],
    &["--cpuset-cpus", "0-"],
    &["--cpuset-cpus", "1-0"],
    &["--cpuset-mems", "x"],
    &["--pids-limit", "x"],
    &["--blkio-weight", "70000"],
    &["--blkio-weight-device", "/dev/x"],
    &["--blkio-weight-device", "x:500"],
    &["--blkio-weight-device", "/dev/vda:5"],
    &["--device-read-bps", "/dev/vda"],
    &["--device-read-bps", "/dev/vda:-1"],
    &["--device-write-iops", "/dev/vda:1k"],
    &["--ulimit", "x"],
    &["--ulimit", "x=1"],
    &["--ulimit", "nofile=1:2:3"],
    &["--ulimit", "nofile=5:4"],
    &["--ulimit", "nofile=-1:5"],
    &["--device", "x"],
    &["--device", "/dev/null:/dev/n:z"],
    &["--device", "a:b:c:d"],
    &["--device-cgroup-rule", "c 1:3 rwx"],
    &["--storage-opt", "size=10G"],
    &["--storage-opt", "x"],
];

/// The settings that are compared.
const KEYS: [&str; 25] = [
    "Memory",
    "MemorySwap",
    "MemoryReservation",
    "MemorySwappiness",
    "OomKillDisable",
    "NanoCpus",
    "CpuShares",
    "CpuPeriod",
    "CpuQuota",
    "CpuRealtimePeriod",
    "CpuRealtimeRuntime",
    "CpusetCpus",
    "CpusetMems",
    "PidsLimit",
    "OomScoreAdj",
    "BlkioWeight",
    "BlkioWeightDevice",
    "BlkioDeviceReadBps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteIOps",
    "Devices",
    "DeviceCgroupRules",
    "Ulimits",
    "CgroupParent",
];

fn docker(engine: &Dockerd, arguments: &[&str]) -> Out {
    let mut command = Command::new("docker");
    command.args(arguments).env("DOCKER_HOST", engine.host());
    run(command, b"")
}

/// Returns the sentence of a failure, without who says it. Versions of docker differ in the case of
/// the first letter.
fn sentence(out: &Out) -> String {
    let mut line = out.stderr.lines().next().unwrap_or_default();
    for prefix in ["docker: ", "wharf: ", "Error response from daemon: "] {
        line = line.strip_prefix(prefix).unwrap_or(line);
    }
    line.to_lowercase()
}

/// Returns a setting; older versions write an empty list where newer ones write nothing.
fn setting(document: &Value, key: &str) -> Value {
    let value = document[0]["HostConfig"][key].clone();
    if value.as_array().is_some_and(Vec::is_empty) { Value::Null } else { value }
}

fn limits_are_what_docker_makes_of_them() {
    let lab = Lab::new();
    let engine = Dockerd::start();
    let archive = rootfs_archive();
    let import = docker(&engine, &["import", archive.to_str().unwrap(), IMAGE]);
    assert_eq!(import.code, 0, "{import:?}");
    let host = engine.host();
    for flags in TAKEN {
        let arguments = [&["create", "--network", "none"], flags, &[IMAGE, "true"]].concat();
        let theirs = docker(&engine, &arguments);
        assert_eq!(theirs.code, 0, "docker {arguments:?}: {}", theirs.stderr);
        let ours = lab.ends(0, &arguments);
        // The same flags through docker's API.
        let remote = lab.ends(0, &[&["--host", &host], &arguments[..]].concat());
        let read = |out: &Out| -> Value {
            serde_json::from_str(&out.stdout).unwrap_or_else(|e| panic!("{out:?}: {e}"))
        };
        let theirs = read(&docker(&engine, &["inspect", theirs.stdout.trim()]));
        let remote = read(&docker(&engine, &["inspect", remote.stdout.trim()]));
        let ours = read(&lab.ends(0, &["inspect", ours.stdout.trim()]));
        for key in KEYS {
            let expected = setting(&theirs, key);
            assert_eq!(setting(&ours, key), expected, "{key} of {flags:?}");
            assert_eq!(setting(&remote, key), expected, "{key} of {flags:?} through the API");
        }
    }
    for flags in REFUSED {
        // dockerd may know no filesystem that could, and knows other controllers of version 2.
        if unified() && flags.iter().any(|flag| flag.contains("blkio") || flag.contains("swappi")) {
            continue;
        }
        let arguments = [&["create", "--network", "none"], flags, &[IMAGE, "true"]].concat();
        let theirs = docker(&engine, &arguments);
        let ours = lab.run(&arguments);
        assert_ne!(theirs.code, 0, "docker takes {flags:?}");
        assert_eq!(sentence(&ours), sentence(&theirs), "{flags:?}");
        assert_eq!(ours.code, theirs.code, "{flags:?}: {}", theirs.stderr);
    }
    updates(&lab, &engine);
}

/// What docker and wharf make of updates, one after the other, of a container that doesn't run.
fn updates(lab: &Lab, engine: &Dockerd) {
    let create = ["create", "--name", "changes", "--network", "none", IMAGE, "true"];
    assert_eq!(docker(engine, &create).code, 0);
    lab.ok(&create);
    for flags in [
        &["-m", "64m"][..],
        &["-m", "64m", "--memory-swap", "128m"],
        &["-m", "128m"],
        &["-m", "256m"],
        &["--memory-swap=-1"],
        &["-m", "300m"],
        &["--cpus", "0.5"],
        &["--cpu-quota", "5000"],
        &["--cpu-period", "5000"],
        &["--cpus", "1", "--cpu-quota", "5000"],
        &["--cpus", "0"],
        &["-c", "100", "--cpuset-cpus", "0"],
        &["--cpuset-mems", "7000"],
        &["--pids-limit", "5"],
        &["--memory-reservation", "32m"],
        &["--memory-reservation", "1"],
        &[],
    ] {
        let arguments = [&["update"], flags, &["changes"]].concat();
        let (theirs, ours) = (docker(engine, &arguments), lab.run(&arguments));
        assert_eq!(ours.code, theirs.code, "{flags:?}: {} {}", theirs.stderr, ours.stderr);
        if theirs.code != 0 {
            // The container's id is in some.
            let tail = |out: &Out| {
                let text = sentence(out);
                let after = text.strip_prefix("cannot update container ").and_then(|t| t.get(64..));
                after.map_or(text.clone(), str::to_owned)
            };
            assert_eq!(tail(&ours), tail(&theirs), "{flags:?}");
        }
        let read = |out: Out| -> Value { serde_json::from_str(&out.stdout).unwrap() };
        let theirs = read(docker(engine, &["inspect", "changes"]));
        let ours = read(lab.ends(0, &["inspect", "changes"]));
        for key in KEYS {
            assert_eq!(setting(&ours, key), setting(&theirs, key), "{key} after {flags:?}");
        }
    }
}
