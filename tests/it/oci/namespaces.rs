//! Namespaces, and what a process is in them.

use std::path::Path;

use serde_json::json;

use super::Bench;
use crate::harness::{Test, eventually};
use crate::tests;

pub(super) fn tests() -> Vec<Test> {
    tests![
        namespaces_are_joined_by_their_paths,
        mounts_that_are_joined_get_the_root,
        a_user_namespace_has_its_maps,
        a_process_is_as_it_is_said,
        mounts_are_as_they_are_listed,
    ]
}

fn namespaces_are_joined_by_their_paths() {
    let bench = Bench::new();
    let config = bench.config("sleep 1000");
    bench.create(&config, &[], "one");
    bench.ok(&["start", "one"]);
    let pid = bench.state("one")["pid"].as_i64().unwrap();
    let mut config = bench.config(
        "for n in net ipc uts pid cgroup; do readlink /proc/self/ns/$n; done; hostname; ps | grep -c '[s]leep'",
    );
    let path = |name: &str| format!("/proc/{pid}/ns/{name}");
    config["linux"]["namespaces"] = json!([
        {"type": "mount"},
        {"type": "network", "path": path("net")},
        {"type": "ipc", "path": path("ipc")},
        {"type": "uts", "path": path("uts")},
        {"type": "pid", "path": path("pid")},
        {"type": "cgroup", "path": path("cgroup")},
    ]);
    config["hostname"] = json!("given");
    config["linux"]["cgroupsPath"] = json!(format!("/{}/two", bench.group));
    bench.write(&config);
    let text = bench.ok(&["run", "two"]);
    let links = ["net", "ipc", "uts", "pid", "cgroup"]
        .map(|name| std::fs::read_link(path(name)).unwrap().display().to_string());
    let expected = format!("{}\ngiven\n1\n", links.join("\n"));
    assert_eq!(text, expected);
    // Without an own PID namespace, its other processes end with it all the same.
    let mut config = bench.config("sleep 1001 & sleep 1002");
    config["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": "uts"}]);
    config["linux"]["cgroupsPath"] = json!(format!("/{}/three", bench.group));
    bench.create(&config, &[], "three");
    bench.ok(&["start", "three"]);
    eventually("both run", || bench.ok(&["ps", "three"]).matches("sleep 100").count() >= 2);
    bench.ok(&["kill", "three", "KILL"]);
    eventually("it has stopped", || bench.status("three") == "stopped");
    bench.ok(&["delete", "three"]);
    bench.ok(&["delete", "--force", "one"]);
}

/// The root is the bundle's in whatever mount namespace; the host's own keeps its.
fn mounts_that_are_joined_get_the_root() {
    let bench = Bench::new();
    let mut other = std::process::Command::new("unshare");
    other.args(["--mount", "--propagation", "private", "sh", "-c", "echo && exec cat"]);
    other.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut other = other.spawn().unwrap();
    let mut ready = [0];
    std::io::Read::read_exact(other.stdout.as_mut().unwrap(), &mut ready).unwrap();
    let path = format!("/proc/{}/ns/mnt", other.id());
    let mut config =
        bench.config("readlink /proc/self/ns/mnt; cat /srv/readme | wc -l; ls /tmp/new");
    config["mounts"].as_array_mut().unwrap().push(json!({
        "destination": "/tmp/new", "type": "tmpfs", "source": "tmpfs",
    }));
    let kinds = ["pid", "network", "ipc", "uts", "cgroup"].map(|kind| json!({"type": kind}));
    let mut namespaces = kinds.to_vec();
    namespaces.push(json!({"type": "mount", "path": path}));
    config["linux"]["namespaces"] = json!(namespaces);
    let found = bench.output(&config);
    let link = std::fs::read_link(&path).unwrap().display().to_string();
    drop(other.stdin.take());
    other.wait().unwrap();
    assert_eq!(found.lines().next(), Some(link.as_str()), "{found}");
    assert_ne!(found.lines().nth(1), Some("0"), "{found}");
    namespaces.pop();
    namespaces.push(json!({"type": "mount", "path": "/proc/self/ns/mnt"}));
    config["linux"]["namespaces"] = json!(namespaces);
    let out = bench.try_create(&config, &[], "c");
    let says = "a container without a mount namespace is not supported";
    assert!(out.code == 1 && out.stderr.contains(says), "{out:?}");
}

fn a_user_namespace_has_its_maps() {
    let bench = Bench::new();
    let mut config = bench.config(
        "cat /proc/self/uid_map; id -u; echo x >/tmp/file; stat -c %u /tmp/file; ls -l /dev/null | cut -c1",
    );
    config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
    config["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 200_000, "size": 1000}]);
    config["linux"]["gidMappings"] = config["linux"]["uidMappings"].clone();
    config["process"]["user"] = json!({"uid": 0, "gid": 0});
    // The folders above the root are everybody's to pass.
    let rootfs = bench.bundle().join("rootfs");
    for path in ["tmp", "dev", "proc", "sys"].map(|name| rootfs.join(name)) {
        let _ = std::fs::create_dir(path);
    }
    // What the kernel's filesystems lack is made by who made the bundle.
    let text = bench.output(&config);
    let words: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(words, ["0", "200000", "1000", "0", "0", "c"], "{text}");
    let found = std::fs::metadata(rootfs.join("tmp/file")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&found), 200_000);
    // A further program is in it, too.
    config["process"]["args"] = json!(["sleep", "1000"]);
    bench.create(&config, &[], "c");
    bench.ok(&["start", "c"]);
    let text = bench.ok(&["exec", "c", "sh", "-c", "id -u; cat /proc/self/uid_map"]);
    assert_eq!(text.split_whitespace().collect::<Vec<_>>(), ["0", "0", "200000", "1000"]);
    bench.ok(&["delete", "--force", "c"]);
}

fn a_process_is_as_it_is_said() {
    let bench = Bench::new();
    let mut config = bench.config(
        "umask; id -G; cat /proc/self/oom_score_adj; uname -m; cat /proc/sys/net/ipv4/ip_forward; \
         cat /proc/sys/kernel/msgmax; hostname; cat /proc/sys/kernel/domainname; \
         cut -d' ' -f1 /proc/uptime; echo $HOME; cat /proc/self/limits | grep 'address space'; ionice",
    );
    let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
    let clocks = Path::new("/proc/self/ns/time").exists();
    if clocks {
        namespaces.push(json!({"type": "time"}));
        config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 1_000_000_000}});
    }
    let score: i32 =
        std::fs::read_to_string("/proc/self/oom_score_adj").unwrap().trim().parse().unwrap();
    config["process"]["oomScoreAdj"] = json!((score + 7).min(1000));
    config["process"]["user"] =
        json!({"uid": 1000, "gid": 1000, "umask": 0o27, "additionalGids": [5, 6]});
    config["process"]["rlimits"] =
        json!([{"type": "RLIMIT_AS", "soft": 1u64 << 33, "hard": 1u64 << 34}]);
    config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_IDLE", "priority": 0});
    config["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 3});
    config["linux"]["personality"] = json!({"domain": "LINUX32"});
    config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1", "kernel.msgmax": "4096"});
    config["hostname"] = json!("harbour");
    config["domainname"] = json!("example");
    let text = bench.output(&config);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["0027", "1000 5 6"], "{text}");
    assert_eq!(lines[2], (score + 7).min(1000).to_string());
    assert_eq!(lines[3..8], ["i686", "1", "4096", "harbour", "example"], "{text}");
    let uptime: f64 = lines[8].parse().unwrap();
    assert!(!clocks || uptime > 1e9, "{uptime}");
    assert_eq!(lines[9], "/home/app");
    assert!(lines[10].contains("8589934592") && lines[10].contains("17179869184"), "{text}");
    assert!(lines[11].starts_with("idle"), "{text}");
}

fn mounts_are_as_they_are_listed() {
    let bench = Bench::new();
    let source = bench.path("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("file"), "text").unwrap();
    std::fs::create_dir_all(bench.bundle().join("rootfs/full")).unwrap();
    std::fs::write(bench.bundle().join("rootfs/full/below"), "kept\n").unwrap();
    // A link in the root filesystem that leads out leads nowhere.
    std::os::unix::fs::symlink("/../../..", bench.bundle().join("rootfs/up")).unwrap();
    let mut config = bench.config(
        "cat /a/file; echo x >/a/new || echo refused; cat /b; grep -c ' /up/in ' /proc/self/mountinfo; \
         stat -c %a /t; cat /full/below; echo y >/full/more && rm /full/below; ls /late; \
         echo z >/late/x || echo refused; grep ' /a ' /proc/self/mountinfo; ls /in",
    );
    let mounts = config["mounts"].as_array_mut().unwrap();
    let options = |words: &[&str]| json!(words);
    let bind = |at: &str, from: &Path, words: &[&str]| json!({"destination": at, "type": "bind", "source": from, "options": options(words)});
    mounts.push(bind("/a", &source, &["bind", "ro", "nosuid", "noexec", "rprivate"]));
    mounts.push(bind("/b", &source.join("file"), &["bind"]));
    mounts.push(bind("/up/in", &source, &["rbind"]));
    mounts.push(
        json!({"destination": "/t", "type": "tmpfs", "source": "x", "options": ["mode=1711"]}),
    );
    mounts.push(json!({"destination": "/full", "type": "tmpfs", "source": "x",
        "options": ["tmpcopyup"]}));
    mounts.push(json!({"destination": "/late", "type": "tmpfs", "source": "x", "options": ["ro"]}));
    mounts.push(bind("/late/below", &source, &["bind"]));
    let out = {
        bench.write(&config);
        bench.run(&["run", "c"])
    };
    let lines: Vec<&str> = out.stdout.lines().collect();
    assert_eq!(lines[0], "textrefused", "{out:?}");
    // The link's way ends at the root.
    assert_eq!(lines[1..4], ["text0", "1711", "kept"], "{out:?}");
    assert_eq!(lines[4..6], ["below", "refused"], "{out:?}");
    assert!(lines[6].contains("ro,nosuid,noexec"), "{out:?}");
    assert_eq!(lines[7], "file", "{out:?}");
    assert!(!source.join("new").exists());
    assert!(bench.bundle().join("rootfs/full/below").exists(), "the copy was changed");
    // The root itself, read-only and with a propagation of its own.
    let mut config =
        bench.config("touch /x; grep ' / / \\| / rw\\| / ro' /proc/self/mountinfo | head -1");
    config["root"]["readonly"] = json!(true);
    config["linux"]["rootfsPropagation"] = json!("shared");
    bench.write(&config);
    let out = bench.run(&["run", "c"]);
    assert!(out.stderr.contains("Read-only file system"), "{out:?}");
    assert!(out.stdout.contains("shared:"), "{out:?}");
}
