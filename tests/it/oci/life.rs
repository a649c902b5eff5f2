//! A container's life by its verbs, and what is said when one doesn't fit.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use super::Bench;
use crate::harness::{Test, eventually};
use crate::tests;

pub(super) fn tests() -> Vec<Test> {
    tests![
        every_verb_has_its_state,
        what_is_wrong_is_refused_by_name_and_leaves_nothing,
        limits_hold_and_change,
        a_killed_creation_leaves_nothing,
        verbs_at_once_leave_one_outcome,
        documents_about_the_runtime,
    ]
}

fn every_verb_has_its_state() {
    let bench = Bench::new();
    let mut config = bench.config("trap 'exit 5' TERM; while :; do sleep 0.1; done");
    config["annotations"] = json!({"org.example.x": "y"});
    let fails = |arguments: &[&str], says: &str| {
        let out = bench.run(arguments);
        assert!(out.code == 1 && out.stderr.contains(says), "{arguments:?}: {out:?}");
    };
    fails(&["state", "c"], "does not exist");
    fails(&["start", "c"], "does not exist");
    fails(&["delete", "c"], "does not exist");
    bench.ok(&["delete", "--force", "c"]);
    let pid_file = bench.path("pid");
    bench.create(&config, &["--pid-file", pid_file.to_str().unwrap()], "c");
    let state = bench.state("c");
    let pid = state["pid"].as_i64().unwrap();
    assert_eq!(fs::read_to_string(pid_file).unwrap(), pid.to_string());
    assert_eq!(state["status"], "created");
    assert_eq!(state["bundle"], bench.bundle().to_str().unwrap());
    assert_eq!(state["annotations"], json!({"org.example.x": "y"}));
    // The program is not executed yet.
    let command = |pid: i64| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(!command(pid).starts_with("sh\0"), "{}", command(pid));
    let again = bench.try_create(&config, &[], "c");
    assert!(again.code == 1 && again.stderr.contains("already exists"), "{again:?}");
    fails(&["resume", "c"], "container not paused");
    // Changes to the bundle mean nothing any more.
    fs::remove_file(bench.bundle().join("config.json")).unwrap();
    bench.ok(&["start", "c"]);
    assert_eq!(bench.status("c"), "running");
    assert!(command(pid).starts_with("sh\0-c\0trap"), "{}", command(pid));
    fails(&["start", "c"], "already running");
    fails(&["delete", "c"], "not stopped: running");
    assert_eq!(
        bench.ok(&["exec", "-e", "A=b", "--cwd", "/srv", "c", "sh", "-c", "pwd; echo $A"]),
        "/srv\nb\n"
    );
    let out = bench.run(&["exec", "-u", "1000:1000", "c", "sh", "-c", "id -u; exit 9"]);
    assert_eq!((out.code, out.stdout.as_str()), (9, "1000\n"));
    let out = bench.run(&["exec", "c", "nosuch"]);
    assert_eq!(out.code, 255, "{out:?}");
    assert!(out.stderr.contains("executable file not found in $PATH"), "{out:?}");
    let pids: Vec<i64> = serde_json::from_str(&bench.ok(&["ps", "--format", "json", "c"])).unwrap();
    assert!(pids.contains(&pid), "{pids:?}");
    assert!(bench.ok(&["ps", "c"]).contains("trap"));
    bench.ok(&["pause", "c"]);
    assert_eq!(bench.status("c"), "paused");
    fails(&["pause", "c"], "already paused");
    assert_eq!(bench.run(&["exec", "c", "true"]).code, 255);
    bench.ok(&["resume", "c"]);
    let list: Value = serde_json::from_str(&bench.ok(&["list", "--format", "json"])).unwrap();
    assert_eq!(list[0]["id"], "c");
    bench.ok(&["kill", "c"]);
    eventually("it has stopped", || bench.status("c") == "stopped");
    assert_eq!(bench.state("c")["pid"], 0);
    fails(&["kill", "c"], "container not running");
    fails(&["start", "c"], "has stopped");
    assert_eq!(bench.run(&["exec", "c", "true"]).code, 255);
    bench.ok(&["delete", "c"]);
    assert_eq!(bench.remains(), Vec::<std::path::PathBuf>::new());
    // One that was never started, and one that is paused, are removed as well.
    let config = bench.config("sleep 1000");
    bench.create(&config, &[], "c");
    bench.ok(&["delete", "c"]);
    bench.create(&config, &[], "c");
    bench.ok(&["start", "c"]);
    bench.ok(&["pause", "c"]);
    bench.ok(&["delete", "--force", "c"]);
    // The exit code of what is run is the program's.
    let config = bench.config("exit 7");
    bench.write(&config);
    assert_eq!(bench.run(&["run", "c"]).code, 7);
}

/// Where in the configuration something is put, what, and what is said to it.
type Case = (&'static str, Value, &'static str);

fn what_is_wrong_is_refused_by_name_and_leaves_nothing() {
    let bench = Bench::new();
    let log = bench.path("log");
    let cases: Vec<Case> = vec![
        ("/ociVersion", json!("0.9"), "ociVersion"),
        ("/ociVersion", json!("2.0.0"), "ociVersion 2.0.0 is not supported"),
        ("/root/path", json!("nowhere"), "root.path"),
        ("/root/path", json!("/"), "the host's own root"),
        ("/process/cwd", json!("srv"), "must be an absolute path"),
        ("/process/args", json!(["nosuch"]), "executable file not found in $PATH"),
        ("/process/args", json!(["/srv/readme"]), "permission denied"),
        ("/process/rlimits", json!([{"type": "RLIMIT_NO", "soft": 1, "hard": 1}]), "RLIMIT_NO"),
        ("/process/terminal", json!(true), "without setting console socket"),
        ("/hostname", json!("x".repeat(65)), "longer than 64 bytes"),
        (
            "/mounts",
            json!([{"destination": "/m", "type": "nofs", "source": "x"}]),
            "mount nofs on /m",
        ),
        (
            "/mounts",
            json!([{"destination": "/m", "type": "bind", "source": "/no/such"}]),
            "/no/such",
        ),
        ("/mounts", json!([{"destination": "/m", "source": "x"}]), "it has no type"),
        ("/linux/namespaces", json!([{"type": "pid"}]), "without a mount namespace"),
        ("/linux/namespaces", json!([{"type": "mount"}, {"type": "nope"}]), "nope"),
        ("/linux/namespaces", json!([{"type": "mount"}, {"type": "mount"}]), "named twice"),
        (
            "/linux/namespaces",
            // A namespace of another kind.
            json!([{"type": "mount"}, {"type": "uts"}, {"type": "network", "path": "/proc/self/ns/pid"}]),
            "join the network namespace",
        ),
        (
            "/linux/devices",
            json!([{"path": "/dev/x", "type": "q", "major": 1, "minor": 1}]),
            "type",
        ),
        ("/linux/sysctl", json!({"vm.swappiness": "1"}), "not in a separate kernel namespace"),
        ("/linux/rootfsPropagation", json!("sideways"), "sideways"),
        ("/linux/intelRdt", json!({"closID": "x"}), "linux.intelRdt is not supported"),
        ("/linux/resources/rdma", json!({"x": {}}), "neither hcaHandles nor hcaObjects"),
        ("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_NO"}), "seccomp"),
        ("/linux/personality", json!({"domain": "BSD"}), "BSD"),
    ];
    for (pointer, value, says) in cases {
        let mut config = bench.config("true");
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[name] = value;
        bench.write(&config);
        let _ = fs::remove_file(&log);
        let mut command = bench.command(&[]);
        command.args(["--log", log.to_str().unwrap(), "--log-format", "json", "create", "c"]);
        let out = crate::harness::run(command, b"");
        assert!(out.code == 1 && out.stderr.contains(says), "{pointer}: {says}: {out:?}");
        // Callers read the last line of the log.
        let text = fs::read_to_string(&log).unwrap();
        let line: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(line["level"], "error");
        assert!(line["msg"].as_str().unwrap().contains(says), "{line}");
        assert!(line["time"].is_string());
        assert_eq!(bench.remains(), Vec::<std::path::PathBuf>::new(), "{pointer}");
    }
    fs::write(bench.bundle().join("config.json"), "{").unwrap();
    assert!(bench.run(&["create", "c"]).stderr.contains("config.json"));
    for bad in ["a/b", "", "..", "a b"] {
        bench.write(&bench.config("true"));
        let out = bench.run(&["create", bad]);
        assert!(out.code == 1 && out.stderr.contains("invalid container ID"), "{bad:?}: {out:?}");
    }
    let out = bench.run(&["--systemd-cgroup", "list"]);
    assert!(out.code == 1 && out.stderr.contains("cgroupfs"), "{out:?}");
    let out = bench.run(&["checkpoint", "c"]);
    assert!(out.code == 1 && out.stderr.contains("freeze processes to disk"), "{out:?}");
}

fn limits_hold_and_change() {
    let bench = Bench::new();
    let mut config = bench.config("sleep 1000");
    config["linux"]["resources"]["memory"] = json!({"limit": 64 << 20});
    config["linux"]["resources"]["pids"] = json!({"limit": 20});
    config["linux"]["resources"]["devices"] = json!([
        {"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "major": 10, "minor": 200, "access": "rw"},
    ]);
    bench.create(&config, &[], "c");
    bench.ok(&["start", "c"]);
    let read = |names: [&str; 2]| {
        let found =
            bench.groups().into_iter().flat_map(|group| names.map(|n| group.join("c").join(n)));
        let texts: Vec<String> = found.filter_map(|path| fs::read_to_string(path).ok()).collect();
        texts.first().map(|text| text.trim().to_owned())
    };
    let memory = || read(["memory.limit_in_bytes", "memory.max"]).unwrap();
    let tasks = || read(["pids.max", "pids.max"]).unwrap();
    assert_eq!((memory().as_str(), tasks().as_str()), ("67108864", "20"));
    // No other device can be opened, though its node can be made.
    let tried = bench.run(&[
        "exec",
        "--cap",
        "CAP_MKNOD",
        "c",
        "sh",
        "-c",
        "mknod /tmp/kmsg c 1 11 && head -c 1 /tmp/kmsg",
    ]);
    assert!(tried.code != 0 && tried.stderr.contains("not permitted"), "{tried:?}");
    assert_eq!(bench.ok(&["exec", "c", "sh", "-c", "head -c 3 /dev/zero | wc -c"]).trim(), "3");
    bench.ok(&["update", "--memory", "100m", "c"]);
    assert_eq!((memory().as_str(), tasks().as_str()), ("104857600", "20"));
    let mut command = bench.command(&["update", "--resources", "-", "c"]);
    command.stdin(Stdio::piped());
    let out = crate::harness::run(command, br#"{"pids": {"limit": 30}, "memory": null}"#);
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!((memory().as_str(), tasks().as_str()), ("104857600", "30"));
    let out = bench.run(&["update", "--memory", "lots", "c"]);
    assert!(out.code != 0 && out.stderr.contains("lots"), "{out:?}");
    bench.ok(&["delete", "--force", "c"]);
}

fn a_killed_creation_leaves_nothing() {
    let bench = Bench::new();
    let mut config = bench.config("sleep 1000");
    let here = bench.path("here").display().to_string();
    let hook = format!("cat >/dev/null; echo $$ >{here}.new; mv {here}.new {here}; sleep 1000");
    config["hooks"] = json!({"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", hook]}]});
    bench.write(&config);
    let mut command = bench.command(&["create", "c"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut runtime = command.spawn().unwrap();
    eventually("the hook runs", || bench.path("here").exists());
    let state = bench.state("c");
    assert_eq!(state["status"], "creating");
    let init = state["pid"].as_i64().unwrap();
    // SIGKILL, half way.
    runtime.kill().unwrap();
    runtime.wait().unwrap();
    let hook: i32 = fs::read_to_string(bench.path("here")).unwrap().trim().parse().unwrap();
    let hook = rustix::process::Pid::from_raw(hook).unwrap();
    rustix::process::kill_process(hook, rustix::process::Signal::KILL).unwrap();
    let lives = || {
        let stat = fs::read_to_string(format!("/proc/{init}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z")
    };
    eventually("its process has ended with it", || !lives());
    // Whoever asks next finds nothing, and nothing is left.
    assert!(bench.run(&["state", "c"]).stderr.contains("does not exist"));
    assert_eq!(bench.ok(&["list", "-q"]), "");
    assert_eq!(bench.remains(), Vec::<std::path::PathBuf>::new());
    config.as_object_mut().unwrap().remove("hooks");
    bench.create(&config, &[], "c");
    bench.ok(&["delete", "c"]);
}

fn verbs_at_once_leave_one_outcome() {
    const VERBS: [&[&str]; 11] = [
        &["delete", "--force", "c"],
        &["start", "c"],
        &["kill", "c", "KILL"],
        &["create", "c"],
        &["delete", "c"],
        &["exec", "c", "true"],
        &["list"],
        &["delete", "--force", "c"],
        &["pause", "c"],
        &["ps", "c"],
        &["state", "c"],
    ];
    // What somebody may be told who comes too early or too late; of nothing that is half there.
    const EXPECTED: [&str; 8] = [
        "does not exist",
        "already exists",
        "container not running",
        "has stopped",
        "not stopped: ",
        "already running",
        "a paused container",
        // Ended by the force of another.
        "it has ended",
    ];
    let bench = Bench::new();
    let config = bench.config("sleep 1000");
    for round in 0..4 {
        bench.create(&config, &[], "c");
        let begin = |index: usize| {
            let index = (index + 3 * round) % VERBS.len();
            let errors = bench.path(&format!("{index}.stderr"));
            let mut command = bench.command(VERBS[index]);
            command.stdin(Stdio::null()).stdout(Stdio::null());
            command.stderr(fs::File::create(&errors).unwrap());
            (VERBS[index], errors, command.spawn().unwrap())
        };
        let all: Vec<_> = (0..VERBS.len()).map(begin).collect();
        for (verb, errors, mut child) in all {
            let status = child.wait().unwrap();
            let said = fs::read_to_string(errors).unwrap();
            let expected = EXPECTED.iter().any(|text| said.contains(text))
                // Its program ran, and was killed with the container.
                || (verb[0] == "exec" && status.code() == Some(137) && said.is_empty());
            assert!(status.success() || expected, "{verb:?}: {status}: {said}");
        }
        bench.ok(&["delete", "--force", "c"]);
        assert_eq!(bench.remains(), Vec::<std::path::PathBuf>::new());
    }
}

fn documents_about_the_runtime() {
    let bench = Bench::new();
    let features: Value = serde_json::from_str(&bench.ok(&["features"])).unwrap();
    assert_eq!(features["linux"]["namespaces"].as_array().unwrap().len(), 8);
    assert!(features["hooks"].as_array().unwrap().contains(&json!("startContainer")));
    assert!(bench.ok(&["--version"]).contains("\nspec: 1."));
    let out = bench.run(&["spec", "--bundle", bench.path("").to_str().unwrap()]);
    assert_eq!(out.code, 0, "{out:?}");
    let out = bench.run(&["spec", "--bundle", bench.path("").to_str().unwrap()]);
    assert!(out.code == 1 && out.stderr.contains("Remove it first"), "{out:?}");
    for arguments in [&["--help"][..], &["create", "--help"]] {
        assert!(bench.ok(arguments).contains("Usage:"));
    }
}
