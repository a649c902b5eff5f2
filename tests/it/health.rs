//! Health probes of real containers.

use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{Value, json};
use wharf_backend::Backend;

use crate::harness::{IMAGE, Lab, Test, entry, eventually, rootfs_tar};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        verdicts_come_and_go,
        a_probe_is_who_the_container_is,
        output_is_cut,
        a_late_probe_ends_with_all_it_started,
        what_an_orderly_probe_left_goes_on,
        a_missing_program_is_a_failure,
        the_start_period_forgives,
        paused_is_not_probed,
        a_stop_waits_for_no_probe,
        the_image_says_how,
        failing_has_consequences,
        events_are_dockers,
        wrong_settings_are_refused,
        the_supervisor_stays_small,
    ]
}

fn status(lab: &Lab, container: &str) -> String {
    lab.inspect(container, "/State/Health/Status").as_str().unwrap().to_owned()
}

fn log(lab: &Lab, container: &str) -> Vec<Value> {
    lab.inspect(container, "/State/Health/Log").as_array().unwrap().clone()
}

#[track_caller]
fn wait_for_status(lab: &Lab, container: &str, wanted: &str) {
    eventually(wanted, || status(lab, container) == wanted);
}

/// Waits for a result and returns the newest.
#[track_caller]
fn result(lab: &Lab, container: &str) -> Value {
    eventually("a probe has ended", || !log(lab, container).is_empty());
    log(lab, container).pop().unwrap()
}

fn verdicts_come_and_go() {
    let lab = Lab::new();
    let flags = ["--health-cmd", "test -e /tmp/well", "--health-interval", "50ms"];
    let id = lab.start(&[&flags[..], &["--health-retries", "2"]].concat(), "sleep 1000");
    wait_for_status(&lab, &id, "unhealthy");
    assert!(lab.inspect(&id, "/State/Health/FailingStreak").as_i64().unwrap() >= 2);
    assert!(lab.ok(&["ps"]).contains("(unhealthy)"));
    lab.ok(&["exec", &id, "touch", "/tmp/well"]);
    wait_for_status(&lab, &id, "healthy");
    assert_eq!(lab.inspect(&id, "/State/Health/FailingStreak"), 0);
    assert!(lab.ok(&["ps"]).contains("(healthy)"));
    eventually("five results", || log(&lab, &id).len() == 5);
    let last = result(&lab, &id);
    eventually("the oldest are forgotten", || {
        let log = log(&lab, &id);
        assert!(log.len() <= 5, "{log:?}");
        !log.contains(&last)
    });
    lab.ok(&["stop", "-t", "0", &id]);
    // As with docker.
    assert_eq!(status(&lab, &id), "unhealthy");
    lab.ok(&["start", &id]);
    wait_for_status(&lab, &id, "healthy");
}

fn a_probe_is_who_the_container_is() {
    let lab = Lab::new();
    let line = "id -u; pwd; echo $NOTE; hostname; grep -E '^(Cap|Seccomp|NoNew)' /proc/self/status; \
                readlink /proc/self/ns/pid; ls /proc/self/fd | wc -l";
    let id = lab.start(
        &[
            "--user",
            "app",
            "--workdir",
            "/srv",
            "-e",
            "NOTE=remember",
            "--health-interval",
            "50ms",
            "--health-cmd",
            line,
        ],
        "sleep 1000",
    );
    let probe = result(&lab, &id);
    assert_eq!(probe["ExitCode"], 0, "{probe}");
    let executed = lab.ok(&["exec", &id, "sh", "-c", line]);
    assert_eq!(probe["Output"].as_str().unwrap().trim_end(), executed);
    assert!(executed.starts_with("1000\n/srv\nremember\n"), "{executed}");
}

fn output_is_cut() {
    let lab = Lab::new();
    let line = "head -c 3000 /dev/zero | tr '\\0' o; head -c 200000 /dev/zero | tr '\\0' e >&2";
    let id = lab.start(&["--health-interval", "50ms", "--health-cmd", line], "sleep 1000");
    let output = result(&lab, &id)["Output"].as_str().unwrap().to_owned();
    assert_eq!(output, format!("{}{}...", "o".repeat(3000), "e".repeat(1096)));
}

/// Returns how many processes of a container have this command line.
fn count(lab: &Lab, container: &str, line: &str) -> usize {
    let out = lab.run(&["top", container, "-o", "pid,args"]);
    let words = |row: &str| row.trim().split_once(' ').map(|(_, words)| words.trim().to_owned());
    out.stdout.lines().filter(|row| words(row).as_deref() == Some(line)).count()
}

fn a_late_probe_ends_with_all_it_started() {
    let lab = Lab::new();
    // A grandchild in a session of its own, and one whose parent has gone.
    let line = "setsid sleep 4242 & (sleep 4243 &); echo begun; sleep 4244";
    let id = lab.start(
        &[
            "--health-cmd",
            line,
            "--health-interval",
            "50ms",
            "--health-timeout",
            "2s",
            "--health-retries",
            "100000",
        ],
        "sleep 1000",
    );
    let probe = result(&lab, &id);
    assert_eq!(probe["ExitCode"], -1);
    assert_eq!(probe["Output"], "Health check exceeded timeout (2s): begun\n");
    eventually("three probes", || log(&lab, &id).len() >= 3);
    for word in ["sleep 4242", "sleep 4243", "sleep 4244"] {
        // One probe at a time, and none leaves anything.
        assert!(count(&lab, &id, word) <= 1, "{}", lab.ok(&["top", &id, "-ef"]));
    }
    // The container itself goes on.
    assert_eq!(lab.inspect(&id, "/State/Status"), "running");
    assert_eq!(count(&lab, &id, "sleep 1000"), 1);
}

fn what_an_orderly_probe_left_goes_on() {
    let lab = Lab::new();
    let line = "test -e /tmp/once || { touch /tmp/once; sleep 4242 & }; echo done";
    let id = lab.start(&["--health-cmd", line, "--health-interval", "50ms"], "sleep 1000");
    wait_for_status(&lab, &id, "healthy");
    eventually("five probes", || log(&lab, &id).len() == 5);
    assert_eq!(count(&lab, &id, "sleep 4242"), 1);
    lab.ok(&["stop", "-t", "0", &id]);
}

fn a_missing_program_is_a_failure() {
    let lab = Lab::new();
    let image = image_with(
        &lab,
        "odd",
        &json!({"Healthcheck": {"Test": ["CMD", "/no/such"], "Interval": 50_000_000}}),
    );
    let id = lab.ok(&["run", "-d", "--network", "none", &image, "sleep", "1000"]);
    let probe = result(&lab, &id);
    assert_eq!(probe["ExitCode"], -1);
    assert!(probe["Output"].as_str().unwrap().contains("no such file"), "{probe}");
    eventually("three more", || log(&lab, &id).len() >= 3);
    assert_eq!(lab.inspect(&id, "/State/Status"), "running");
}

fn the_start_period_forgives() {
    let lab = Lab::new();
    let id = lab.start(
        &[
            "--health-cmd",
            "test -e /tmp/well",
            "--health-interval",
            "50ms",
            "--health-start-period",
            "1h",
            "--health-start-interval",
            "50ms",
            "--health-retries",
            "1",
        ],
        "sleep 1000",
    );
    eventually("five failures", || log(&lab, &id).len() == 5);
    assert_eq!(status(&lab, &id), "starting");
    assert_eq!(lab.inspect(&id, "/State/Health/FailingStreak"), 0);
    assert!(lab.ok(&["ps"]).contains("(health: starting)"));
    lab.ok(&["exec", &id, "touch", "/tmp/well"]);
    wait_for_status(&lab, &id, "healthy");
    // From now on failures count.
    lab.ok(&["exec", &id, "rm", "/tmp/well"]);
    wait_for_status(&lab, &id, "unhealthy");
}

fn paused_is_not_probed() {
    let lab = Lab::new();
    let flags = ["--health-cmd", "sleep 0.02; echo $$ >>/tmp/count", "--health-interval", "50ms"];
    let id = lab.start(&flags, "sleep 1000");
    // Its probes are the clock.
    let clock = lab.start(&flags, "sleep 1000");
    wait_for_status(&lab, &id, "healthy");
    let file = format!("/proc/{}/root/tmp/count", lab.pid(&id));
    let size = || std::fs::metadata(&file).unwrap().size();
    lab.ok(&["pause", &id]);
    let before = size();
    let ticks = format!("/proc/{}/root/tmp/count", lab.pid(&clock));
    let lines = || std::fs::read_to_string(&ticks).map_or(0, |text| text.lines().count());
    let goal = lines() + 8;
    eventually("the other is probed", || lines() >= goal);
    assert_eq!(size(), before, "probed while paused");
    assert_eq!(lab.inspect(&id, "/State/Status"), "paused");
    lab.ok(&["unpause", &id]);
    eventually("probed again", || size() > before);
    wait_for_status(&lab, &id, "healthy");
}

fn a_stop_waits_for_no_probe() {
    let lab = Lab::new();
    let flags = ["--health-cmd", "trap '' TERM; sleep 4242", "--health-interval", "50ms"];
    let id = lab.start(&flags, "trap 'exit 5' TERM; while :; do sleep 0.05; done");
    eventually("the probe runs", || count(&lab, &id, "sleep 4242") > 0);
    let begun = Instant::now();
    lab.ok(&["stop", "-t", "300", &id]);
    assert!(begun.elapsed() < Duration::from_secs(200));
    assert_eq!(lab.inspect(&id, "/State/ExitCode"), 5);
    lab.ok(&["start", &id]);
    eventually("the probe runs again", || count(&lab, &id, "sleep 4242") > 0);
    lab.ok(&["rm", "-f", &id]);
}

/// Makes an image of busybox with this configuration; returns its name.
fn image_with(lab: &Lab, name: &str, config: &Value) -> String {
    let layer = rootfs_tar();
    let digest = |bytes: &[u8]| {
        let out = crate::harness::run(std::process::Command::new("sha256sum"), bytes);
        out.stdout.split(' ').next().unwrap().to_owned()
    };
    let document = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", digest(&layer))]},
    });
    let document = document.to_string();
    let manifest = json!([{"Config": "config.json", "RepoTags": [format!("{name}:latest")], "Layers": ["l.tar"]}]);
    let mut archive = tar::Builder::new(Vec::new());
    let file = tar::EntryType::Regular;
    entry(&mut archive, "config.json", 0o644, file, document.as_bytes());
    entry(&mut archive, "l.tar", 0o644, file, &layer);
    entry(&mut archive, "manifest.json", 0o644, file, manifest.to_string().as_bytes());
    let out = lab.run_with(&["load"], &archive.into_inner().unwrap());
    assert_eq!(out.code, 0, "{}", out.stderr);
    name.to_owned()
}

fn the_image_says_how() {
    let lab = Lab::new();
    let test = ["CMD-SHELL", "echo \"$0 says $NOTE\""];
    let config = json!({
        "Env": ["NOTE=hello"],
        "Shell": ["/bin/sh", "-eu", "-c"],
        "Healthcheck": {"Test": test, "Interval": 50_000_000, "Timeout": 9_000_000_000_u64,
                        "Retries": 7},
    });
    let image = image_with(&lab, "probed", &config);
    let run = |flags: &[&str]| {
        let line = [&["run", "-d", "--network", "none"], flags, &[&image, "sleep", "1000"]];
        lab.ok(&line.concat())
    };
    let id = run(&["--health-retries", "2"]);
    let check = lab.inspect(&id, "/Config/Healthcheck");
    assert_eq!(check["Test"], json!(test));
    assert_eq!(check["Retries"], 2, "the user's word counts");
    assert_eq!(check["Timeout"], 9_000_000_000_u64, "the image's fills in");
    assert_eq!(result(&lab, &id)["Output"], "/bin/sh says hello\n");
    let none = run(&["--no-healthcheck"]);
    let document = lab.ok(&["inspect", &none]);
    assert!(!document.contains("\"Health\""), "{document}");
    assert_eq!(lab.inspect(&none, "/Config/Healthcheck/Test"), json!(["NONE"]));
    let own = run(&["--health-cmd", "echo mine"]);
    assert_eq!(result(&lab, &own)["Output"], "mine\n");
}

fn failing_has_consequences() {
    let lab = Lab::new();
    let run = |flags: &[&str]| {
        let probe = ["--health-cmd", "false", "--health-interval", "50ms", "--health-retries", "2"];
        lab.start(&[&probe[..], flags].concat(), "trap 'exit 6' TERM; while :; do sleep 0.02; done")
    };
    let ended = |id: &str| {
        eventually("it has ended", || lab.inspect(id, "/State/Status") == "exited");
        lab.inspect(id, "/State/ExitCode").as_i64().unwrap()
    };
    assert_eq!(ended(&run(&["--health-on-failure", "kill"])), 137);
    // A stop is a stop: the policy doesn't undo it.
    assert_eq!(ended(&run(&["--health-on-failure=stop", "--restart=always"])), 6);
    let restarts = |id: &str| lab.inspect(id, "/RestartCount").as_i64().unwrap();
    let again = run(&["--health-on-failure", "restart"]);
    eventually("it is started again", || restarts(&again) >= 2);
    let killed = run(&["--health-on-failure", "kill", "--restart", "always"]);
    eventually("its policy starts it again", || restarts(&killed) >= 1);
    for id in [again, killed] {
        lab.ok(&["stop", "-t", "0", &id]);
        assert_eq!(lab.inspect(&id, "/State/Status"), "exited");
    }
}

fn events_are_dockers() {
    let lab = Lab::new();
    let paths = wharf_engine::Paths::new(lab.root(), lab.root().join("run"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let seen = runtime.block_on(async {
        let backend = wharf_backend::native::Native::open(paths).unwrap();
        let mut events = backend.events().await.unwrap();
        let id = lab.start(&["--health-cmd", "true", "--health-interval", "50ms"], "sleep 1000");
        let mut seen = Vec::new();
        while let Some(event) = events.next().await {
            let event = event.unwrap();
            assert_eq!(event.id, id);
            let last = event.action == "health_status: healthy";
            seen.push(event);
            if last {
                break;
            }
        }
        seen
    });
    let actions: Vec<&str> = seen.iter().map(|event| event.action.as_str()).collect();
    let expected = [
        "create",
        "start",
        "exec_create: /bin/sh -c true",
        "exec_start: /bin/sh -c true",
        "exec_die",
        "health_status: healthy",
    ];
    assert_eq!(actions, expected);
    assert_eq!(seen[2].attributes["execID"].len(), 64);
    assert_eq!(seen[2].attributes["execID"], seen[4].attributes["execID"]);
    assert_eq!(seen[4].attributes["exitCode"], "0");
}

fn wrong_settings_are_refused() {
    let lab = Lab::new();
    for (flags, says) in [
        (&["--health-interval", "500us"][..], "Interval in Healthcheck cannot be less than 1ms"),
        (&["--health-timeout", "1us"], "Timeout in Healthcheck cannot be less than 1ms"),
        (&["--health-retries", "-1"], "--health-retries cannot be negative"),
        (&["--health-interval", "5"], "missing unit in duration"),
        (&["--health-on-failure", "sing"], "must be one of none, restart, stop or kill"),
        (&["--no-healthcheck", "--health-cmd", "x"], "conflicts with --health-* options"),
    ] {
        let line = [&["run", "-d"], flags, &[IMAGE, "true"]].concat();
        lab.fails(125, says, &line);
    }
    assert_eq!(lab.ok(&["ps", "-aq"]), "");
}

fn the_supervisor_stays_small() {
    let lab = Lab::new();
    let flags = ["--health-cmd", "echo well", "--health-interval", "20ms"];
    let id = lab.start(&flags, "sleep 1000");
    let status = std::fs::read_to_string(format!("/proc/{}/status", lab.pid(&id))).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    let supervisor: i32 = line.trim().parse().unwrap();
    let rollup = || {
        let text = std::fs::read_to_string(format!("/proc/{supervisor}/smaps_rollup")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("Private_Dirty:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap()
    };
    let mut last = Value::Null;
    for _ in 0..20 {
        eventually("a further probe", || result(&lab, &id) != last);
        last = result(&lab, &id);
    }
    eventually("it is small", || rollup() < 1024);
    let open = || std::fs::read_dir(format!("/proc/{supervisor}/fd")).unwrap().flatten();
    // The counters stay open from the recorder's first sample on: its own, then the host's, of which the
    // folder whose disk is measured comes last.
    eventually("it is recorded, and the host", || {
        let open: Vec<_> = open().filter_map(|fd| std::fs::read_link(fd.path()).ok()).collect();
        open.iter().any(|to| to.ends_with("cpu.stat")) && open.iter().any(|to| to == lab.root())
    });
    // A probe that is under way has some of its own.
    let descriptors = || open().count();
    let before = (0..100).map(|_| descriptors()).min().unwrap();
    for _ in 0..20 {
        eventually("a further probe", || result(&lab, &id) != last);
        last = result(&lab, &id);
    }
    eventually("no descriptor stays open", || descriptors() <= before + 6);
}
