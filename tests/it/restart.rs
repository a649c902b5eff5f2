//! Restart policies, what a manual stop means for them, and what runs after a boot.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{IMAGE, Lab, PATIENCE, Test, eventually, lacks_programs, wait_for};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    let mut tests = tests![
        failures_are_counted,
        success_ends_on_failure,
        waiting_ends_with_the_first_run,
        followers_see_all_runs,
        a_stop_wins_at_any_instant,
        the_wait_for_the_next_start,
        a_start_ends_the_wait,
        a_restart_begins_anew,
        what_cannot_be_started_is_not_tried_again,
        addresses_are_given_back,
        a_killed_supervisor_is_replaced,
        a_killed_supervisor_and_a_stop,
        programs_run_in_the_new_run,
        wrong_policies_are_refused,
        boot_starts_what_ran,
    ];
    tests.push(
        Test::new("the_unit_is_well_formed", the_unit_is_well_formed)
            .needing(lacks_programs(&["systemd-analyze"])),
    );
    tests
}

fn restarts(lab: &Lab, container: &str) -> i64 {
    lab.inspect(container, "/RestartCount").as_i64().unwrap()
}

fn status(lab: &Lab, container: &str) -> String {
    lab.inspect(container, "/State/Status").as_str().unwrap().to_owned()
}

/// Returns the supervisor of a container, whether or not it runs just now.
pub(crate) fn supervisor(lab: &Lab, container: &str) -> Pid {
    let id = lab.inspect(container, "/Id").as_str().unwrap().to_owned();
    let is_one = |pid: &str| {
        std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.contains("__supervise") && line.contains(&id))
    };
    let parent = |pid: &str| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        line.unwrap_or_default().trim().to_owned()
    };
    // A first process that hasn't executed its program yet looks the same, and is its child.
    let found = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .find(|pid| is_one(pid) && !is_one(&parent(pid)));
    Pid::from_raw(found.expect("it has a supervisor").parse().unwrap()).unwrap()
}

/// Kills a supervisor and waits until it is gone.
fn kill(supervisor: Pid) {
    let process = rustix::process::pidfd_open(supervisor, rustix::process::PidfdFlags::empty());
    kill_process(supervisor, Signal::KILL).unwrap();
    assert!(crate::harness::readable(&process.unwrap(), *PATIENCE));
}

fn failures_are_counted() {
    let lab = Lab::new();
    let id = lab.start(&["--restart", "on-failure:3"], "echo run; exit 7");
    eventually("it gives up", || status(&lab, &id) == "exited");
    assert_eq!(restarts(&lab, &id), 3);
    assert_eq!(lab.inspect(&id, "/State/ExitCode"), 7);
    assert_eq!(lab.ok(&["logs", &id]), "run\nrun\nrun\nrun");
    let policy = lab.inspect(&id, "/HostConfig/RestartPolicy");
    assert_eq!(policy, serde_json::json!({"Name": "on-failure", "MaximumRetryCount": 3}));
    // A start counts from the beginning.
    lab.ok(&["start", &id]);
    eventually("it gives up again", || status(&lab, &id) == "exited");
    assert_eq!(restarts(&lab, &id), 3);
}

fn success_ends_on_failure() {
    let lab = Lab::new();
    let line = "echo run >>/tmp/runs; test $(wc -l </tmp/runs) = 3";
    let id = lab.start(&["--restart", "on-failure"], line);
    eventually("it succeeds", || status(&lab, &id) == "exited");
    assert_eq!((restarts(&lab, &id), lab.inspect(&id, "/State/ExitCode")), (2, 0.into()));
}

fn waiting_ends_with_the_first_run() {
    let lab = Lab::new();
    let line = "test -e /tmp/again && sleep 1000; touch /tmp/again; echo out; exit 4";
    let flags = ["--name", "first", "--restart", "always", "--network", "none"];
    let out = lab.run(&[&["run"], &flags[..], &[IMAGE, "sh", "-c", line]].concat());
    assert_eq!((out.code, out.stdout.as_str()), (4, "out\n"), "{}", out.stderr);
    eventually("the second run", || status(&lab, "first") == "running");
    let mut wait = lab.command(&["wait", "first"]);
    let mut wait = wait.stdout(Stdio::piped()).spawn().unwrap();
    eventually("it waits", || {
        let wchan = std::fs::read_to_string(format!("/proc/{}/wchan", wait.id()));
        wchan.is_ok_and(|wchan| wchan.contains("poll") || wchan == "0")
    });
    lab.ok(&["kill", "first"]);
    let mut text = String::new();
    std::io::Read::read_to_string(wait.stdout.as_mut().unwrap(), &mut text).unwrap();
    wait_for(&mut wait, *PATIENCE).unwrap();
    assert_eq!(text, "137\n");
    eventually("a kill is for good", || status(&lab, "first") == "exited");
}

fn followers_see_all_runs() {
    let lab = Lab::new();
    let id = lab.start(&["--restart", "on-failure:3"], "sleep 0.05; echo run; exit 1");
    // Ends with the last run, not with the first.
    assert_eq!(lab.ok(&["logs", "-f", &id]), "run\nrun\nrun\nrun");
    assert_eq!(status(&lab, &id), "exited");
}

fn a_stop_wins_at_any_instant() {
    let lab = Lab::new();
    for step in 0..30_u32 {
        let id = lab.start(&["--restart", "always"], "sleep 0.01; exit 1");
        // A spread of instants over the runs and the waits between them.
        let until = Instant::now() + Duration::from_millis((step * 17).into());
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        match step % 3 {
            0 => {
                lab.ok(&["stop", "-t", "0", &id]);
                assert_eq!(status(&lab, &id), "exited", "step {step}");
            }
            1 => {
                lab.ok(&["kill", &id]);
                eventually("it is dead", || status(&lab, &id) == "exited");
                let count = restarts(&lab, &id);
                let lock = lab.root().join("run/containers").join(&id).join("life.lock");
                let lock = std::fs::File::open(lock).unwrap();
                let free = rustix::fs::FlockOperation::NonBlockingLockShared;
                eventually("nobody stands behind it", || rustix::fs::flock(&lock, free).is_ok());
                drop(lock);
                assert_eq!(restarts(&lab, &id), count, "step {step}");
            }
            _ => {
                lab.ok(&["rm", "-f", &id]);
                assert_ne!(lab.run(&["inspect", &id]).code, 0);
            }
        }
    }
}

fn the_wait_for_the_next_start() {
    let lab = Lab::new();
    // After six runs the wait is long enough to look at.
    let id = lab.start(&["--restart", "always", "--name", "looping"], "exit 3");
    let waits = || status(&lab, &id) == "restarting" && restarts(&lab, &id) >= 6;
    eventually("it waits", waits);
    let text = lab.ok(&["ps"]);
    assert!(text.contains("Restarting (3)"), "{text}");
    assert_eq!(lab.inspect(&id, "/State/Restarting"), true);
    assert_eq!(lab.inspect(&id, "/State/Running"), true);
    let says = "is restarting, wait until the container is running";
    lab.fails(1, says, &["exec", &id, "true"]);
    lab.fails(1, says, &["pause", &id]);
    lab.fails(1, "cannot attach to a restarting container", &["attach", &id]);
    let refusal = "container is restarting: stop the container before removing or force remove";
    lab.fails(1, refusal, &["rm", &id]);
    lab.ok(&["stop", &id]);
    assert_eq!(status(&lab, &id), "exited");
    lab.ok(&["rm", &id]);
}

fn a_start_ends_the_wait() {
    let lab = Lab::new();
    let line = "test -e /tmp/go && sleep 1000; exit 3";
    let id = lab.start(&["--restart", "always"], line);
    eventually("it waits", || status(&lab, &id) == "restarting" && restarts(&lab, &id) >= 6);
    lab.ok(&["start", &id]);
    eventually("the count begins anew", || restarts(&lab, &id) < 6);
    lab.ok(&["rm", "-f", &id]);
}

fn a_restart_begins_anew() {
    let lab = Lab::new();
    let id = lab.start(&["--restart", "always"], "exit 3");
    eventually("it waits", || status(&lab, &id) == "restarting" && restarts(&lab, &id) >= 5);
    lab.ok(&["restart", &id]);
    assert!(restarts(&lab, &id) < 5);
    lab.ok(&["rm", "-f", &id]);
}

fn what_cannot_be_started_is_not_tried_again() {
    let lab = Lab::new();
    let id = lab.start(&["--restart", "always"], "rm /bin/sh; exit 1");
    eventually("it gives up", || status(&lab, &id) == "exited");
    assert_eq!(lab.inspect(&id, "/State/ExitCode"), 127);
    let error = lab.inspect(&id, "/State/Error");
    assert!(error.as_str().unwrap().contains("executable file not found"), "{error}");
    assert_eq!(restarts(&lab, &id), 1);
}

fn addresses_are_given_back() {
    let lab = Lab::new();
    let line = ["run", "-d", "--restart", "always", IMAGE, "sh", "-c", "sleep 0.05; exit 1"];
    let id = lab.ok(&line);
    eventually("some runs", || restarts(&lab, &id) >= 4);
    lab.ok(&["rm", "-f", &id]);
    let database = rusqlite::Connection::open(lab.root().join("state.db")).unwrap();
    let count = |table: &str| -> u32 {
        let query = format!("SELECT count(*) FROM {table}");
        database.query_row(&query, [], |row| row.get(0)).unwrap()
    };
    assert_eq!((count("endpoint"), count("journal")), (0, 0));
}

fn a_killed_supervisor_is_replaced() {
    let lab = Lab::new();
    for policy in ["always", "unless-stopped", "on-failure"] {
        let id = lab.start(&["--restart", policy], "sleep 1000");
        let first = lab.pid(&id);
        kill(supervisor(&lab, &id));
        // The next command tells it, and sees to it.
        let text = lab.ok(&["ps", "-a", "--no-trunc"]);
        let line = text.lines().find(|line| line.contains(&id)).unwrap();
        assert!(line.contains("Restarting (137)") || line.contains("Up "), "{line}");
        eventually("it runs again", || status(&lab, &id) == "running");
        assert_eq!(restarts(&lab, &id), 1);
        assert_ne!(lab.pid(&id), first);
        assert_eq!(lab.ok(&["exec", &id, "echo", "here"]), "here");
        lab.ok(&["rm", "-f", &id]);
    }
}

fn a_killed_supervisor_and_a_stop() {
    let lab = Lab::new();
    let id = lab.start(&["--restart", "always"], "sleep 1000");
    kill(supervisor(&lab, &id));
    lab.ok(&["stop", &id]);
    for _ in 0..5 {
        assert_eq!(status(&lab, &id), "exited");
    }
    lab.ok(&["start", &id]);
    assert_eq!(status(&lab, &id), "running");
    // While it waits for its next start, too.
    let id = lab.start(&["--restart", "always"], "sleep 0.2; exit 1");
    let behind = supervisor(&lab, &id);
    eventually("it waits", || status(&lab, &id) == "restarting" && restarts(&lab, &id) >= 3);
    kill(behind);
    eventually("it goes on", || restarts(&lab, &id) >= 4);
    lab.ok(&["rm", "-f", &id]);
}

fn programs_run_in_the_new_run() {
    let lab = Lab::new();
    let id = lab.start(&["-i", "--restart", "always"], "echo up; sleep 1000");
    lab.wait_for_log(&id, "up");
    let first = lab.pid(&id);
    kill_process(Pid::from_raw(first).unwrap(), Signal::KILL).unwrap();
    eventually("it is started again", || {
        let pid = lab.inspect(&id, "/State/Pid");
        pid != 0 && pid != first
    });
    assert_eq!(lab.ok(&["exec", &id, "sh", "-c", "echo $((6 * 7))"]), "42");
    lab.ok(&["pause", &id]);
    lab.ok(&["unpause", &id]);
    lab.ok(&["stop", "-t", "0", &id]);
    assert_eq!(lab.ok(&["logs", &id]), "up\nup");
}

fn wrong_policies_are_refused() {
    let lab = Lab::new();
    for (policy, says) in [
        ("sometimes", "unknown policy 'sometimes'"),
        ("always:3", "can only be used with 'on-failure'"),
        ("on-failure:many", "maximum retry count must be an integer"),
    ] {
        lab.fails(125, says, &["run", "-d", "--restart", policy, IMAGE, "true"]);
    }
    let both = "cannot specify both --restart and --rm";
    lab.fails(125, both, &["run", "--rm", "--restart", "always", IMAGE, "true"]);
    assert_eq!(lab.ok(&["ps", "-aq"]), "");
}

/// Makes the state say what it says after the host went down and came up again: processes and
/// supervisors are gone, and another boot's id is in the rows.
fn reboot(lab: &Lab) {
    for id in lab.ok(&["ps", "-q", "--no-trunc"]).lines() {
        kill(supervisor(lab, id));
    }
    let database = rusqlite::Connection::open(lab.root().join("state.db")).unwrap();
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let changed = database
        .execute(
            "UPDATE container SET state = replace(state, ?1, 'the-boot-before')",
            [boot.trim()],
        )
        .unwrap();
    assert!(changed > 0);
}

fn boot_starts_what_ran() {
    let lab = Lab::new();
    let start = |name: &str, policy: &str| {
        lab.start(&["--name", name, "--restart", policy], "sleep 1000");
    };
    for policy in ["no", "always", "unless-stopped", "on-failure"] {
        start(&format!("ran-{policy}"), policy);
    }
    for policy in ["always", "unless-stopped", "on-failure"] {
        let name = format!("stopped-{policy}");
        start(&name, policy);
        lab.ok(&["stop", "-t", "0", &name]);
    }
    lab.ok(&["create", "--name", "never-started", "--restart", "always", IMAGE, "sleep", "9"]);
    reboot(&lab);
    // What is looked at before the boot's own command stays as it is.
    let text = lab.ok(&["ps", "-a"]);
    assert_eq!(text.matches("Exited (255)").count(), 4, "{text}");
    assert_eq!(lab.inspect("ran-always", "/State/Error"), "the host was restarted");
    let mut started: Vec<String> = lab.ok(&["boot"]).lines().map(str::to_owned).collect();
    started.sort();
    let expected = ["ran-always", "ran-on-failure", "ran-unless-stopped", "stopped-always"];
    assert_eq!(started, expected);
    for name in expected {
        assert_eq!(status(&lab, name), "running");
    }
    // Once more is no more, even after a stop.
    lab.ok(&["stop", "-t", "0", "ran-always"]);
    assert_eq!(lab.ok(&["boot"]), "");
    assert_eq!(status(&lab, "ran-always"), "exited");
    // One that can't be started is told, and the others are started.
    lab.ok(&["exec", "ran-on-failure", "rm", "/bin/sh"]);
    reboot(&lab);
    let out = lab.run(&["boot"]);
    assert_eq!(out.code, 1);
    assert!(out.stderr.contains("failed to start container ran-on-failure"), "{}", out.stderr);
    assert_eq!(status(&lab, "ran-unless-stopped"), "running");
}

fn the_unit_is_well_formed() {
    let lab = Lab::new();
    let units = crate::harness::folder();
    let folder = units.to_str().unwrap();
    let flag = format!("--unit-dir={folder}");
    lab.fails(1, "is not installed", &["system", "service", "uninstall", &flag]);
    lab.ok(&["system", "service", "install", &flag]);
    assert!(lab.ok(&["system", "service", "status", &flag]).contains("is installed, enabled"));
    let unit = std::fs::read_dir(&units)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "service"))
        .unwrap();
    let mut verify = std::process::Command::new("systemd-analyze");
    verify.args(["verify", "--man=no", unit.to_str().unwrap()]);
    let out = crate::harness::run(verify, b"");
    let name = unit.file_name().unwrap().to_str().unwrap();
    let complaints: Vec<&str> = out.stderr.lines().filter(|line| line.contains(name)).collect();
    assert_eq!((out.code, complaints), (0, Vec::<&str>::new()), "{}", out.stderr);
    lab.ok(&["system", "service", "uninstall", &flag]);
    assert_eq!(lab.ends(4, &["system", "service", "status", &flag]).code, 4);
    std::fs::remove_dir_all(units).unwrap();
}
