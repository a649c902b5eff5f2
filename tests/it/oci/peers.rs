//! The same bundles by this runtime, by runc and by crun: what a process finds is the same.

use std::process::Command;

use serde_json::{Value, json};

use super::Bench;
use crate::harness::{Out, Test, eventually, lacks_programs, run};

pub(super) fn tests() -> Vec<Test> {
    vec![
        Test::new("what_a_process_finds_is_what_others_give_it", what_a_process_finds)
            .needing(lacks_programs(&["runc", "crun", "unshare"])),
        Test::new("errors_and_states_are_runc_s", errors_and_states)
            .needing(lacks_programs(&["runc"])),
    ]
}

/// Runs a configuration to its end by another runtime. crun refuses a host whose version 2 hierarchy
/// has no controllers: it must not see that one.
fn by(bench: &Bench, runtime: &str, arguments: &[&str]) -> Out {
    let line = "grep -q memory /sys/fs/cgroup/cgroup.controllers 2>/dev/null || \
                umount /sys/fs/cgroup/unified 2>/dev/null; exec \"$@\"";
    let root = bench.path(runtime);
    let mut command = match runtime {
        "crun" => {
            let mut command = Command::new("unshare");
            command.args(["-m", "--propagation", "private", "sh", "-c", line, "sh", "crun"]);
            command
        }
        other => Command::new(other),
    };
    command.arg("--root").arg(root).args(arguments).current_dir(bench.bundle());
    run(command, b"")
}

const LOOK: &str = "grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp:|Umask)' /proc/self/status; \
    cat /proc/self/limits; id; hostname; pwd; env | sort; \
    ls -l /dev | awk '{print $1, $3, $4, $5, $6, $NF}' | grep -v 'kcore\\|null' | sort; \
    ls /proc/self/fd | wc -l; cat /proc/sys/net/ipv4/ip_forward; \
    awk '{print $5, $6}' /proc/self/mountinfo | grep -v ' /sys/fs/cgroup\\|^/sys/fs/cgroup' | sort";

fn what_a_process_finds() {
    let bench = Bench::new();
    let mut config = bench.config(LOOK);
    // The newest that both of them know.
    config["ociVersion"] = json!("1.0.2");
    let zero = json!({"allow": false, "access": "rwm"});
    config["linux"]["resources"] = json!({"devices": [zero], "pids": {"limit": 50}});
    // As much as any process has that may run tests.
    config["process"]["rlimits"] = json!([
        {"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
    ]);
    config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
    // Each hides paths by mounts with other flags, and crun gives the null device away.
    config["linux"]["maskedPaths"] = json!([]);
    let plain = config.clone();
    let mut user = config.clone();
    user["process"]["user"] = json!({"uid": 1000, "gid": 2000, "additionalGids": [3, 4]});
    user["process"]["cwd"] = json!("/home/app");
    user["process"]["env"] = json!(["PATH=/bin", "A=b c"]);
    user["process"]["noNewPrivileges"] = json!(false);
    user["root"]["readonly"] = json!(true);
    let mut ambient = config.clone();
    let set = json!(["CAP_CHOWN", "CAP_NET_BIND_SERVICE"]);
    ambient["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    ambient["process"]["capabilities"] = json!({"bounding": set, "effective": set,
        "permitted": set, "inheritable": set, "ambient": ["CAP_CHOWN"]});
    let filter = json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": ["chroot"], "action": "SCMP_ACT_ERRNO"}]});
    ambient["linux"]["seccomp"] = filter;
    for (name, config) in [("plain", plain), ("user", user), ("ambient", ambient)] {
        bench.write(&config);
        let own = bench.run(&["run", "c"]);
        assert_eq!(own.code, 0, "{name}: {own:?}");
        for runtime in ["runc", "crun"] {
            let theirs = by(&bench, runtime, &["run", "c"]);
            assert_eq!(theirs.code, 0, "{name} by {runtime}: {theirs:?}");
            let lines = |out: &Out| out.stdout.lines().map(str::to_owned).collect::<Vec<_>>();
            let (own, theirs) = (lines(&own), lines(&theirs));
            let differs = |a: &[String], b: &[String]| -> Vec<String> {
                a.iter().filter(|line| !b.contains(line)).cloned().collect()
            };
            let (more, less) = (differs(&own, &theirs), differs(&theirs, &own));
            assert!(
                more.is_empty() && less.is_empty(),
                "{name}: wharf {more:#?}, {runtime} {less:#?}"
            );
        }
    }
}

/// Removes what runc has of a bench, however the test ends.
struct Ended<'a>(&'a Bench);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        by(self.0, "runc", &["delete", "--force", "c"]);
    }
}

fn errors_and_states() {
    let bench = Bench::new();
    let config = bench.config("sleep 1000");
    bench.create(&config, &[], "c");
    let mut other = config.clone();
    other["linux"]["cgroupsPath"] = json!(format!("/{}/r", bench.group));
    bench.write(&other);
    let create = |id: &str| {
        let mut command = Command::new("runc");
        command.arg("--root").arg(bench.path("runc")).args(["create", id]);
        command.current_dir(bench.bundle()).stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        assert!(command.status().unwrap().success());
    };
    create("c");
    let _ended = Ended(&bench);
    let states = || {
        let theirs = by(&bench, "runc", &["state", "c"]).stdout;
        let theirs: Value = serde_json::from_str(&theirs).unwrap();
        (bench.state("c"), theirs)
    };
    let fields = |state: &Value| {
        let names: Vec<String> = state.as_object().unwrap().keys().cloned().collect();
        (names, ["id", "status", "bundle", "rootfs"].map(|name| state[name].clone()))
    };
    let both = |own: Out, theirs: Out| {
        assert_eq!(own.code, theirs.code, "{own:?} {theirs:?}");
    };
    let (own, theirs) = states();
    assert_eq!(fields(&own).1, fields(&theirs).1);
    assert!(fields(&own).0.iter().all(|name| fields(&theirs).0.contains(name)), "{own} {theirs}");
    for arguments in [
        &["start", "c"][..],
        &["start", "c"],
        &["state", "nope"],
        &["delete", "c"],
        &["delete", "nope"],
        &["delete", "--force", "nope"],
        &["kill", "nope"],
        &["exec", "c", "true"],
        &["exec", "c", "false"],
        &["exec", "c", "nosuch"],
        &["pause", "c"],
        &["resume", "c"],
        &["resume", "c"],
        &["kill", "c", "KILL"],
    ] {
        both(bench.run(arguments), by(&bench, "runc", arguments));
    }
    eventually("both have stopped", || {
        let (own, theirs) = states();
        own["status"] == "stopped" && theirs["status"] == "stopped"
    });
    let (own, theirs) = states();
    assert_eq!((own["pid"].clone(), theirs["pid"].clone()), (json!(0), json!(0)));
    for arguments in
        [&["kill", "c", "TERM"][..], &["start", "c"], &["exec", "c", "true"], &["delete", "c"]]
    {
        both(bench.run(arguments), by(&bench, "runc", arguments));
    }
}
