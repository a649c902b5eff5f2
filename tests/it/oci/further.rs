//! What callers use beyond the specification: counters, groups below a container's, owners of mounts,
//! and a log of all that is done.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use serde_json::{Value, json};

use super::Bench;
use crate::harness::{Test, eventually};
use crate::tests;

pub(super) fn tests() -> Vec<Test> {
    tests![
        counters_are_told_until_the_end,
        a_further_program_runs_where_it_is_said,
        mounts_of_other_owners,
        steps_are_logged,
        settings_have_dots_in_their_parts,
        rare_controllers_limit_where_they_are,
    ]
}

fn counters_are_told_until_the_end() {
    let bench = Bench::new();
    let mut config = bench.config("sleep 1000");
    config["linux"]["resources"]["memory"] = json!({"limit": 64 << 20});
    config["linux"]["resources"]["pids"] = json!({"limit": 50});
    bench.create(&config, &[], "c");
    bench.ok(&["start", "c"]);
    let document: Value = serde_json::from_str(&bench.ok(&["events", "--stats", "c"])).unwrap();
    assert_eq!((&document["type"], &document["id"]), (&json!("stats"), &json!("c")));
    let data = &document["data"];
    assert_eq!(data["memory"]["usage"]["limit"], 64 << 20, "{document}");
    assert!(data["memory"]["usage"]["usage"].as_u64().unwrap() > 0, "{document}");
    assert!(!data["memory"]["raw"].as_object().unwrap().is_empty(), "{document}");
    assert!(data["cpu"]["usage"]["total"].as_u64().unwrap() > 0, "{document}");
    assert_eq!((&data["pids"]["current"], &data["pids"]["limit"]), (&json!(1), &json!(50)));
    let out = bench.run(&["events", "--interval", "0s", "c"]);
    assert!(out.code == 1 && out.stderr.contains("--interval"), "{out:?}");
    // One after the other, and when memory runs out; the end of the container is theirs.
    let mut command = bench.command(&["events", "--interval", "100ms", "c"]);
    let mut told = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(told.stdout.take().unwrap()).lines();
    let mut next = || {
        let line = lines.next()?.unwrap();
        Some(serde_json::from_str::<Value>(&line).unwrap())
    };
    for _ in 0..3 {
        assert_eq!(next().unwrap()["type"], "stats");
    }
    let greedy = ["exec", "c", "sh", "-c", "dd if=/dev/zero of=/dev/null bs=128M count=1"];
    assert_ne!(bench.run(&greedy).code, 0);
    while next().unwrap()["type"] != "oom" {}
    bench.ok(&["kill", "c", "KILL"]);
    while next().is_some() {}
    assert!(told.wait().unwrap().success());
    assert_eq!(bench.run(&["events", "--stats", "c"]).code, 1);
    bench.ok(&["delete", "c"]);
}

fn a_further_program_runs_where_it_is_said() {
    let bench = Bench::new();
    let mut config = bench.config("sleep 1000");
    config["process"]["execCPUAffinity"] = json!({"initial": "0", "final": "0"});
    // One that isn't started has all that its program will find, and waits on.
    bench.create(&config, &[], "c");
    let pid_file = bench.path("pid").display().to_string();
    let mut detached = bench.command(&["exec", "-d", "--pid-file", &pid_file, "c"]);
    detached.args(["sleep", "1000"]).stdin(Stdio::null()).stdout(Stdio::null());
    assert!(detached.stderr(Stdio::null()).status().unwrap().success());
    let beside = fs::read_to_string(&pid_file).unwrap();
    let groups_of = |pid: &str| fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert_eq!(groups_of(&beside), groups_of(&bench.state("c")["pid"].to_string()));
    assert_eq!(bench.ok(&["exec", "c", "hostname"]), "wharf\n");
    assert_eq!(bench.status("c"), "created");
    bench.ok(&["start", "c"]);
    assert_eq!(bench.ok(&["exec", "c", "pidof", "sleep"]).split_whitespace().count(), 2);
    let cpus = "grep Cpus_allowed_list /proc/self/status | cut -f2";
    assert_eq!(bench.ok(&["exec", "c", "sh", "-c", cpus]).trim(), "0");
    let all = bench.groups().iter().map(|group| group.join("c/below")).collect::<Vec<_>>();
    all.iter().for_each(|folder| fs::create_dir(folder).unwrap());
    // Version 1 has CPUs and memory nodes to be given before anybody can enter.
    for folder in &all {
        for name in ["cpuset.cpus", "cpuset.mems"] {
            if let Ok(text) = fs::read_to_string(folder.join("..").join(name)) {
                let _ = fs::write(folder.join(name), text);
            }
        }
    }
    let groups = |arguments: &[&str]| {
        let text = bench.ok(&[&["exec"], arguments, &["c", "cat", "/proc/self/cgroup"]].concat());
        text.lines().filter(|line| line.ends_with("/below")).count()
    };
    assert_eq!(groups(&[]), 0);
    assert!(groups(&["--cgroup", "below"]) >= all.len().min(1), "no group was entered");
    assert_eq!(groups(&["--cgroup", "/below/"]), groups(&["--cgroup", "below"]));
    for (bad, says) in
        [("../..", "leads out"), ("none", "--cgroup none"), ("memory:below", "all controllers")]
    {
        let out = bench.run(&["exec", "--cgroup", bad, "c", "true"]);
        assert!(out.code == 255 && out.stderr.contains(says), "{bad}: {out:?}");
    }
    // A container that keeps house in its own groups: version 2 takes nobody in above them.
    let unified = all.iter().find(|folder| folder.join("cgroup.events").exists());
    if let Some(unified) = unified {
        let pid = bench.state("c")["pid"].to_string();
        fs::write(unified.join("cgroup.procs"), pid).unwrap();
        assert!(groups(&[]) == 1, "it is where the first process is");
    }
    bench.ok(&["delete", "--force", "c"]);
}

fn mounts_of_other_owners() {
    let bench = Bench::new();
    let source = bench.path("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "").unwrap();
    std::os::unix::fs::chown(source.join("file"), Some(1000), Some(1000)).unwrap();
    // What the root filesystem lacks is made by who made the bundle.
    for name in ["plain", "mapped", "same", "m", "tmp", "dev", "proc", "sys"] {
        let _ = fs::create_dir(bench.bundle().join("rootfs").join(name));
    }
    let mut config = bench.config(
        "stat -c %u:%g /plain/file /mapped/file /same/file; touch /mapped/new; stat -c %u /mapped/new",
    );
    let map = |outside: u32| json!([{"containerID": 0, "hostID": outside, "size": 2000}]);
    config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
    config["linux"]["uidMappings"] = map(200_000);
    config["linux"]["gidMappings"] = map(200_000);
    let mounts = config["mounts"].as_array_mut().unwrap();
    mounts.push(json!({"destination": "/plain", "type": "bind", "source": source,
        "options": ["rbind"]}));
    mounts.push(json!({"destination": "/mapped", "type": "bind", "source": source,
        "options": ["bind", "idmap", "nosuid"]}));
    mounts.push(json!({"destination": "/same", "type": "bind", "source": source,
        "options": ["bind", "ro"], "uidMappings": map(200_000), "gidMappings": map(200_000)}));
    bench.write(&config);
    let out = bench.run(&["run", "c"]);
    // What belongs to somebody on the disk belongs to the same number inside.
    let lines: Vec<&str> = out.stdout.lines().collect();
    assert_eq!(lines, ["65534:65534", "1000:1000", "1000:1000", "0"], "{out:?}");
    assert_eq!(fs::metadata(source.join("new")).unwrap().uid(), 0);
    for (mount, says) in [
        (json!({"type": "tmpfs", "source": "x", "options": ["idmap"]}), "only a bind"),
        (json!({"type": "bind", "source": source, "uidMappings": map(1)}), "is missing"),
        (json!({"type": "bind", "source": "/proc", "options": ["idmap"]}), "id-mapped mounts"),
    ] {
        let mut config = config.clone();
        let mut mount = mount;
        mount["destination"] = json!("/m");
        config["mounts"].as_array_mut().unwrap().push(mount);
        let out = bench.try_create(&config, &[], "c");
        assert!(out.code == 1 && out.stderr.contains(says), "{says}: {out:?}");
    }
}

fn steps_are_logged() {
    let bench = Bench::new();
    let mut config = bench.config("sleep 1000");
    config["hooks"] = json!({"createRuntime": [{"path": "/bin/true"}],
        "poststop": [{"path": "/bin/true"}]});
    let log = bench.path("log");
    let global = ["--debug", "--log", log.to_str().unwrap(), "--log-format", "json"];
    bench.write(&config);
    let steps = |arguments: &[&str]| -> String {
        let _ = fs::remove_file(&log);
        let mut command = bench.command(&global);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(command.status().unwrap().success(), "{arguments:?}");
        let text = fs::read_to_string(&log).unwrap_or_default();
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line["level"], "debug", "{line}");
        }
        text
    };
    let text = steps(&["create", "c"]);
    let order =
        ["bundle ", "control group ", "first process ", "createRuntime hook /bin/true", "created"];
    let places: Vec<_> = order.iter().map(|word| text.find(word)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}: {text}");
    assert!(steps(&["start", "c"]).contains("its program is executed"));
    assert!(steps(&["exec", "c", "true"]).contains("in the container's namespaces"));
    assert!(steps(&["kill", "c", "KILL"]).contains("send signal 9 to process "));
    eventually("it has stopped", || bench.status("c") == "stopped");
    assert!(steps(&["delete", "c"]).contains("poststop hook /bin/true"));
    // Without a file they go where errors go, and without the flag nowhere.
    let out = bench.run(&["--debug", "delete", "--force", "none"]);
    assert_eq!(out.code, 0, "{out:?}");
    config.as_object_mut().unwrap().remove("hooks");
    config["process"]["args"] = json!(["true"]);
    bench.write(&config);
    assert!(bench.run(&["--debug", "run", "c"]).stderr.contains("debug: first process "));
    assert_eq!(bench.run(&["run", "c"]).stderr, "");
}

/// As sysctl(8) has it: the dot of a link's name is a slash where dots are between the parts.
fn settings_have_dots_in_their_parts() {
    let bench = Bench::new();
    let mut config = bench.config(
        "cd /proc/sys/net/ipv4/conf; cat v.1/forwarding v.1/log_martians v.1/rp_filter lo/rp_filter",
    );
    let add = "pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); \
               nsenter --target $pid --net ip link add v.1 type veth peer name w";
    config["hooks"] = json!({"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", add],
        "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]}]});
    config["linux"]["sysctl"] = json!({
        "net.ipv4.conf.v/1.forwarding": "1",
        "net/ipv4/conf/v.1/log_martians": "1",
        "net/ipv4/conf/v.1/rp_filter": "2",
        "net.ipv4.conf.lo.rp_filter": "1",
    });
    assert_eq!(bench.output(&config), "1\n1\n2\n1\n");
    for bad in ["net/../vm/swappiness", "net.//.vm.swappiness", "net..ipv4"] {
        config["linux"]["sysctl"] = json!({bad: "1"});
        let out = bench.try_create(&config, &[], "c");
        assert!(out.code == 1 && out.stderr.contains("no name of a setting"), "{bad}: {out:?}");
    }
}

/// Returns whether a controller is mounted, in either version.
fn has(controller: &str) -> bool {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap();
    // "number:names:path".
    let names = groups.lines().filter_map(|line| line.split(':').nth(1));
    let unified = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    names
        .flat_map(|names| names.split(','))
        .chain(unified.split_whitespace())
        .any(|name| name == controller)
}

/// Marks of packets, huge pages and what else few hosts mount: limited where the controller is, refused by
/// its name where it isn't.
fn rare_controllers_limit_where_they_are() {
    let bench = Bench::new();
    let mut config = bench.config("sleep 1000");
    let devices = fs::read_dir("/sys/class/infiniband").into_iter().flatten().flatten();
    let devices: Vec<String> =
        devices.map(|device| device.file_name().into_string().unwrap()).collect();
    let device = devices.first().cloned().unwrap_or_else(|| "mlx5_0".to_owned());
    let handles = format!("{device} hca_handle=2 hca_object=3");
    let pages = json!([{"pageSize": "2MB", "limit": 4 << 20}]);
    for (controller, property, value, file, found) in [
        ("net_cls", "network", json!({"classID": 1_048_577}), "net_cls.classid", "1048577"),
        (
            "net_prio",
            "network",
            json!({"priorities": [{"name": "lo", "priority": 7}]}),
            "net_prio.ifpriomap",
            "lo 7",
        ),
        ("hugetlb", "hugepageLimits", pages.clone(), "hugetlb.2MB.limit_in_bytes", "4194304"),
        ("hugetlb", "hugepageLimits", pages, "hugetlb.2MB.rsvd.limit_in_bytes", "4194304"),
        (
            "rdma",
            "rdma",
            json!({&device: {"hcaHandles": 2, "hcaObjects": 3}}),
            "rdma.max",
            &handles,
        ),
    ] {
        config["linux"]["resources"] = json!({"devices": [{"allow": false}], property: value});
        let out = bench.try_create(&config, &[], "c");
        if out.code == 0 {
            // This host has it: in version 2 its limits have another name.
            let names = [file.to_owned(), file.replace("limit_in_bytes", "max")];
            let groups = bench.groups();
            let paths =
                groups.iter().flat_map(|group| names.iter().map(|n| group.join("c").join(n)));
            let text: String = paths.filter_map(|path| fs::read_to_string(path).ok()).collect();
            assert!(text.lines().any(|line| line.trim_end() == found), "{file}: {text}");
            bench.ok(&["delete", "--force", "c"]);
            continue;
        }
        let lacks = out.stderr.contains(&format!("needs the {controller} controller"));
        // Limits are for a device, and few machines have one.
        let no_device = controller == "rdma" && devices.is_empty() && out.stderr.contains(&device);
        assert!(out.code == 1 && (lacks || no_device), "{out:?}");
        assert!(!has(controller) || no_device, "{controller} is here: {out:?}");
    }
}
