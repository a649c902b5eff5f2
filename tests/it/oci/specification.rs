//! What the runtime specification demands, sentence by sentence, where no other test here is about it.

use std::fs;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use serde_json::json;

use super::Bench;
use crate::harness::{Test, eventually};
use crate::tests;

pub(super) fn tests() -> Vec<Test> {
    tests![
        paths_are_hidden_and_kept,
        namespaces_that_are_not_named_are_the_runtime_s,
        a_root_spreads_as_it_is_said,
        devices_are_those_of_the_list,
        what_is_unknown_is_ignored_or_told,
        signals_reach_who_is_there,
        what_others_made_stays,
        limits_are_in_the_groups_as_they_are_said,
    ]
}

/// "The container cannot read from them", and "set as readonly inside the container"; whatever they are.
fn paths_are_hidden_and_kept() {
    let bench = Bench::new();
    let root = bench.bundle().join("rootfs");
    for folder in ["hide/below", "keep/below"] {
        fs::create_dir_all(root.join(folder)).unwrap();
        for name in [format!("{folder}/secret"), format!("{folder}/../secret")] {
            fs::write(root.join(name), "secret").unwrap();
        }
    }
    std::os::unix::fs::symlink("hide/below/secret", root.join("link")).unwrap();
    let mode = Mode::from_raw_mode(0o666);
    mknodat(CWD, root.join("fifo"), FileType::Fifo, mode, 0).unwrap();
    mknodat(CWD, root.join("zero"), FileType::CharacterDevice, mode, makedev(1, 5)).unwrap();
    let mut config = bench.config(
        "cat /hide/secret /hide/below/secret /link /file | wc -c; ls /hide/other | wc -l; \
         head -c 9 /zero | wc -c; test -c /fifo && echo null; \
         for path in /keep/secret /keep/new /keep/below/secret /sealed; do \
         echo x 2>/dev/null >$path && echo written $path; done; cat /keep/secret; echo; cat /sealed",
    );
    fs::write(root.join("file"), "secret").unwrap();
    fs::write(root.join("sealed"), "sealed\n").unwrap();
    fs::create_dir_all(root.join("hide/other/below")).unwrap();
    config["linux"]["maskedPaths"] = json!([
        "/hide/secret",
        "/hide/below",
        "/hide/other",
        "/link",
        "/file",
        "/zero",
        "/fifo",
        "/no"
    ]);
    config["linux"]["readonlyPaths"] = json!(["/keep", "/sealed", "/no/such"]);
    bench.write(&config);
    let out = bench.run(&["run", "c"]);
    let lines: Vec<&str> = out.stdout.lines().collect();
    assert_eq!(lines, ["0", "0", "0", "null", "secret", "sealed"], "{out:?}");
    // "Values MUST be absolute paths", and a link that leads round leads nowhere.
    std::os::unix::fs::symlink("round", root.join("round")).unwrap();
    for (name, path, says) in [
        ("maskedPaths", "hide", "must be absolute"),
        ("readonlyPaths", "hide", "must be absolute"),
        ("maskedPaths", "/round", "mask /round"),
    ] {
        let mut config = bench.config("true");
        config["linux"][name] = json!([path]);
        let out = bench.try_create(&config, &[], "c");
        assert!(out.code == 1 && out.stderr.contains(says), "{name} {path}: {out:?}");
    }
}

/// "If a namespace type is not specified in the namespaces array, the container MUST inherit the runtime
/// namespace of that type"; if it is without a path, "a new container namespace MUST be created".
fn namespaces_that_are_not_named_are_the_runtime_s() {
    let bench = Bench::new();
    let kinds = [
        ("cgroup", "cgroup"),
        ("ipc", "ipc"),
        ("network", "net"),
        ("pid", "pid"),
        ("uts", "uts"),
        ("user", "user"),
    ];
    let files = kinds.map(|(_, file)| file).join(" ");
    let line = format!("for n in {files} mnt; do readlink /proc/self/ns/$n; done");
    let own = kinds.map(|(_, file)| fs::read_link(format!("/proc/self/ns/{file}")).unwrap());
    let mounts = fs::read_link("/proc/self/ns/mnt").unwrap();
    for all in [false, true] {
        let mut config = bench.config(&line);
        let mut namespaces = vec![json!({"type": "mount"})];
        if all {
            namespaces.extend(kinds.map(|(name, _)| json!({"type": name})));
            let map = json!([{"containerID": 0, "hostID": 0, "size": 1000}]);
            config["linux"]["uidMappings"] = map.clone();
            config["linux"]["gidMappings"] = map;
        } else {
            config["hostname"] = json!("");
            // Only the owner of a network may mount what shows it.
            config["mounts"].as_array_mut().unwrap().retain(|mount| mount["type"] != "sysfs");
        }
        config["linux"]["namespaces"] = json!(namespaces);
        let text = bench.output(&config);
        let found: Vec<&Path> = text.lines().map(Path::new).collect();
        for ((name, _), (own, found)) in kinds.iter().zip(own.iter().zip(&found)) {
            assert_eq!(own == found, !all, "{name}, new: {all}: {text}");
        }
        assert!(found[kinds.len()] != mounts, "{text}");
    }
}

/// "Rootfs mount propagation is either shared, slave, private or unbindable."
fn a_root_spreads_as_it_is_said() {
    let bench = Bench::new();
    for (word, tag) in
        [("shared", "shared:"), ("private", "-"), ("slave", "-"), ("unbindable", "unbindable")]
    {
        // proc_pid_mountinfo(5): what follows the options, up to a dash, says how it spreads.
        let mut config = bench.config("awk '$5 == \"/\" { print $7 }' /proc/self/mountinfo");
        config["linux"]["rootfsPropagation"] = json!(word);
        let text = bench.output(&config);
        let found = text.trim();
        let slave = word == "slave" && found.starts_with("master:");
        assert!(found.starts_with(tag) || slave, "{word}: {found}");
    }
}

/// "The runtime MUST supply" these, and those that are listed, "with the same" number, mode and owner.
fn devices_are_those_of_the_list() {
    let bench = Bench::new();
    let mut config = bench.config(
        "stat -c '%n %F %a %u %g %t:%T' /dev/null /dev/zero /dev/full /dev/random /dev/urandom \
         /dev/tty /dev/x /dev/deep/y /srv/fifo; for link in ptmx fd stdin; do readlink /dev/$link; done",
    );
    config["linux"]["devices"] = json!([
        {"path": "/dev/x", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 3, "gid": 4},
        {"path": "/dev/deep/y", "type": "b", "major": 7, "minor": 200},
        {"path": "/srv/fifo", "type": "p", "fileMode": 0o600, "uid": 5, "gid": 6},
    ]);
    let text = bench.output(&config);
    let standard = [("null", 3), ("zero", 5), ("full", 7), ("random", 8), ("urandom", 9)];
    let standard = standard
        .map(|(name, minor)| format!("/dev/{name} character special file 666 0 0 1:{minor}"));
    let mut expected: Vec<&str> = standard.iter().map(String::as_str).collect();
    expected.extend([
        "/dev/tty character special file 666 0 0 5:0",
        "/dev/x character special file 640 3 4 a:e5",
        "/dev/deep/y block special file 666 0 0 7:c8",
        "/srv/fifo fifo 600 5 6 0:0",
        "pts/ptmx",
        "/proc/self/fd",
        "/proc/self/fd/0",
    ]);
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

/// "MUST NOT generate an error if they encounter an unknown property", nor for an unknown annotation; a
/// capability that can't be granted "MUST be logged as a warning".
fn what_is_unknown_is_ignored_or_told() {
    let bench = Bench::new();
    let mut config = bench.config("grep CapBnd /proc/self/status");
    config["unknown"] = json!({"deep": [1]});
    config["process"]["unknown"] = json!("x");
    config["linux"]["resources"]["unknown"] = json!(1);
    config["annotations"] = json!({"org.example.unknown": ""});
    let set = json!(["CAP_CHOWN", "CAP_NOT_YET"]);
    config["process"]["capabilities"] =
        json!({"bounding": set, "permitted": set, "effective": set});
    bench.write(&config);
    let log = bench.path("log");
    let mut command = bench.command(&["--log", log.to_str().unwrap(), "--log-format", "json"]);
    command.args(["run", "c"]);
    let out = crate::harness::run(command, b"");
    assert_eq!((out.code, out.stdout.trim()), (0, "CapBnd:\t0000000000000001"), "{out:?}");
    let text = fs::read_to_string(&log).unwrap();
    let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(line["level"], "warning", "{text}");
    assert!(line["msg"].as_str().unwrap().contains("CAP_NOT_YET"), "{text}");
    // "Unless otherwise stated, generating an error MUST leave the state of the environment as if the
    // operation were never attempted": an id, a bundle and a container are needed.
    for arguments in [
        &["create"][..],
        &["start"],
        &["state"],
        &["kill"],
        &["delete"],
        &["create", "--bundle", "/no/such", "c"],
        &["start", "none"],
        &["kill", "none", "KILL"],
    ] {
        let out = bench.run(arguments);
        assert!(out.code != 0 && !out.stderr.is_empty(), "{arguments:?}: {out:?}");
    }
    assert_eq!(bench.remains(), Vec::<std::path::PathBuf>::new());
}

/// "This operation MUST send the specified signal to the container process", of one that is created or
/// runs; else it "MUST have no effect on the container and MUST generate an error".
fn signals_reach_who_is_there() {
    let bench = Bench::new();
    let config =
        bench.config("trap 'exit 3' USR1; echo ready >/tmp/ready; while :; do sleep 0.1; done");
    bench.create(&config, &[], "c");
    bench.ok(&["kill", "c", "0"]);
    bench.ok(&["kill", "c", "KILL"]);
    eventually("a created one ends", || bench.status("c") == "stopped");
    for signal in ["0", "TERM", "KILL"] {
        let out = bench.run(&["kill", "c", signal]);
        assert!(out.code == 1 && out.stderr.contains("container not running"), "{out:?}");
    }
    bench.ok(&["delete", "c"]);
    bench.create(&config, &[], "c");
    bench.ok(&["start", "c"]);
    eventually("it is ready", || bench.bundle().join("rootfs/tmp/ready").exists());
    for bad in ["NOPE", "99", "-1", "SIGUSR1x"] {
        let out = bench.run(&["kill", "c", bad]);
        assert!(out.code == 1 && out.stderr.contains(bad), "{bad}: {out:?}");
    }
    assert_eq!(bench.status("c"), "running");
    bench.ok(&["kill", "c", "SIGUSR1"]);
    eventually("it has ended", || bench.status("c") == "stopped");
    bench.ok(&["delete", "c"]);
}

/// "Note that resources associated with the container, but not created by this container, MUST NOT be
/// deleted."
fn what_others_made_stays() {
    let bench = Bench::new();
    let config = bench.config("sleep 1000");
    bench.create(&config, &[], "c");
    let others: Vec<_> = bench.groups().iter().map(|group| group.join("other")).collect();
    others.iter().for_each(|folder| fs::create_dir(folder).unwrap());
    // A group that somebody is in is nobody else's.
    let mut second = config.clone();
    second["linux"]["cgroupsPath"] = config["linux"]["cgroupsPath"].clone();
    let out = bench.try_create(&second, &[], "second");
    assert!(out.code == 1 && out.stderr.contains("make the cgroup"), "{out:?}");
    assert_eq!(bench.status("c"), "created");
    bench.ok(&["delete", "--force", "c"]);
    for folder in &others {
        assert!(folder.exists(), "{}", folder.display());
        fs::remove_dir(folder).unwrap();
    }
    assert!(bench.bundle().join("rootfs/srv/readme").exists());
}

/// "The runtime MUST apply entries in the listed order", and limits in the kernel's files, of version 1.
fn limits_are_in_the_groups_as_they_are_said() {
    let bench = Bench::new();
    let mut config = bench.config("sleep 1000");
    config["linux"]["resources"] = json!({
        "devices": [
            {"allow": false, "access": "rwm"},
            {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm"},
            {"allow": true, "type": "b", "major": 8, "minor": 20, "access": "rw"},
        ],
        "memory": {"limit": 64 << 20, "kernelTCP": 8 << 20},
    });
    let out = bench.try_create(&config, &[], "c");
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        assert!(out.code == 1 && out.stderr.contains("memory.kernelTCP needs"), "{out:?}");
        return;
    }
    assert_eq!(out.code, 0, "{out:?}");
    let read = |file: &str| -> String {
        let paths = bench.groups().into_iter().map(|group| group.join("c").join(file));
        paths.filter_map(|path| fs::read_to_string(path).ok()).collect()
    };
    assert_eq!(read("memory.kmem.tcp.limit_in_bytes").trim(), (8 << 20).to_string());
    let list = read("devices.list");
    let rules: Vec<&str> = list.lines().take(3).collect();
    assert_eq!(rules, ["c 10:229 rwm", "b 8:20 rw", "c *:* m"], "{list}");
    bench.ok(&["delete", "--force", "c"]);
}
