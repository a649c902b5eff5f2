//! A host that was restarted, that gives a process's number to another, that has no descriptors or
//! processes left, no cgroups, or another time.

use std::process::{Command, Stdio};

use rustix::process::{Pid, Resource, Signal, kill_process};

use crate::audit::{Seen, agrees, cgroups, database, is_clean, kill_supervisor, rows};
use crate::harness::{IMAGE, Lab, Out, Test, binary, eventually, lacks_programs, run};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    let mut all = tests![
        supervisors_killed_in_each_phase,
        a_restarted_host,
        a_number_that_belongs_to_another_process,
        few_descriptors,
        few_processes,
        a_start_in_the_future,
    ];
    let unshare = lacks_programs(&["unshare", "mount", "umount"]);
    all.push(
        Test::new("cgroups_that_are_missing", cgroups_that_are_missing).needing(unshare.clone()),
    );
    all.push(Test::new("cgroups_that_cannot_be_written", read_only_cgroups).needing(unshare));
    all
}

fn kill(pid: i32) {
    // It may have ended by itself.
    let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
}

/// Ends all processes of a container, its supervisor first, as a power cut does.
fn cut(lab: &Lab, id: &str) {
    let inside: Vec<i32> = cgroups(&format!("wharf/{id}"))
        .iter()
        .filter_map(|group| std::fs::read_to_string(group.join("cgroup.procs")).ok())
        .flat_map(|text| text.lines().filter_map(|line| line.parse().ok()).collect::<Vec<i32>>())
        .collect();
    kill_supervisor(lab, id);
    for pid in inside {
        kill(pid);
    }
    eventually("its processes are gone", || {
        cgroups(&format!("wharf/{id}")).iter().all(|group| {
            std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default().is_empty()
        })
    });
}

/// Changes a container's stored state, as another boot or another process left it.
fn rewrite(lab: &Lab, name: &str, change: impl FnOnce(&mut serde_json::Value)) {
    let database = database(lab);
    let sql = "SELECT state FROM container WHERE name = ?1";
    let text: String = database.query_row(sql, [name], |row| row.get(0)).unwrap();
    let mut state: serde_json::Value = serde_json::from_str(&text).unwrap();
    change(&mut state);
    let sql = "UPDATE container SET state = ?2 WHERE name = ?1";
    database.execute(sql, [name, &state.to_string()]).unwrap();
}

fn supervisors_killed_in_each_phase() {
    let lab = Lab::new();
    let mut seen = Seen::default();
    // While it runs, while it is paused, while programs run beside it, and while it writes.
    for (n, line) in ["sleep 1000", "while :; do echo line; done", "sleep 1000", "sleep 1000"]
        .into_iter()
        .enumerate()
    {
        let network = if n % 2 == 0 { "none" } else { "bridge" };
        let words = ["run", "-d", "--name", "it", "--network", network, IMAGE, "sh", "-c", line];
        let id = lab.ok(&words);
        match n {
            2 => drop(lab.ok(&["pause", "it"])),
            3 => drop(lab.ok(&["exec", "-d", "it", "sleep", "1000"])),
            _ => {}
        }
        kill_supervisor(&lab, &id);
        eventually("it is noticed", || {
            lab.ok(&["ps", "-a", "--no-trunc"]).contains("Exited (137)")
        });
        agrees(&lab, &mut seen, line);
        lab.ok(&["start", "it"]);
        lab.ok(&["rm", "-f", "it"]);
    }
    // One that was run with --rm goes with its supervisor.
    let id = lab.ok(&[
        "run",
        "-d",
        "--rm",
        "--name",
        "gone",
        "--network",
        "none",
        IMAGE,
        "sleep",
        "1000",
    ]);
    cut(&lab, &id);
    assert_eq!(lab.ok(&["ps", "-aq"]), "");
    agrees(&lab, &mut seen, "with --rm");
    is_clean(&lab);
}

fn a_restarted_host() {
    let lab = Lab::new();
    let mut seen = Seen::default();
    let flags = |name: &'static str| ["--name", name, IMAGE, "sleep", "1000"];
    let stays = lab.ok(&[&["run", "-d"], &flags("stays")[..]].concat());
    let goes = lab.ok(&[&["run", "-d", "--rm"], &flags("goes")[..]].concat());
    lab.ok(&["create", "--name", "idle", IMAGE, "true"]);
    seen.look(&lab);
    cut(&lab, &stays);
    cut(&lab, &goes);
    // A boot takes cgroups, links and the run folder; rows, journal and folders stay.
    for id in [&stays, &goes] {
        eventually("the kernel forgets", || {
            for group in cgroups(&format!("wharf/{id}")) {
                let _ = std::fs::remove_dir(group);
            }
            cgroups(&format!("wharf/{id}")).is_empty()
        });
    }
    std::fs::remove_dir_all(lab.root().join("run/containers")).unwrap();
    for name in ["stays", "goes"] {
        rewrite(&lab, name, |state| state["boot"] = "another".into());
    }
    let list = lab.ok(&["ps", "-a"]);
    assert!(list.contains("Exited (255)") && list.contains("Created"), "{list}");
    assert!(!list.contains("goes"), "{list}");
    assert_eq!(lab.inspect("stays", "/State/Error"), "the host was restarted");
    agrees(&lab, &mut seen, "after the restart");
    is_clean(&lab);
    lab.ok(&["start", "stays", "idle"]);
    assert_eq!(lab.inspect("stays", "/State/Running"), true);
}

fn a_number_that_belongs_to_another_process() {
    let lab = Lab::new();
    let id = lab.start(&["--name", "web"], "sleep 1000");
    cut(&lab, &id);
    // The number now belongs to somebody else's process.
    let mut foreign = Command::new("sleep").arg("1000").spawn().unwrap();
    rewrite(&lab, "web", |state| {
        let text = state.to_string();
        let pid = state.pointer("/state/pid").or(state.pointer("/state/Pid")).unwrap().to_string();
        *state = serde_json::from_str(&text.replace(&pid, &foreign.id().to_string())).unwrap();
    });
    let row = rows(&lab).pop().unwrap();
    assert_eq!(row.pid, i32::try_from(foreign.id()).ok(), "{row:?}");
    for words in [
        &["kill", "web"][..],
        &["stop", "-t", "0", "web"],
        &["pause", "web"],
        &["exec", "web", "true"],
        &["top", "web"],
        &["stats", "--no-stream", "web"],
        &["restart", "-t", "0", "web"],
        &["rm", "-f", "web"],
    ] {
        lab.run(words);
        assert_eq!(foreign.try_wait().unwrap(), None, "{words:?} ended a process of somebody else");
    }
    foreign.kill().unwrap();
    foreign.wait().unwrap();
    agrees(&lab, &mut Seen::default(), "removed");
}

/// Runs a command of a lab under a limit.
fn limited(lab: &Lab, resource: Resource, most: u64, words: &[&str]) -> Out {
    let mut command = lab.command(words);
    // By a shell's means: what a test may do between fork and exec is little.
    let flag = match resource {
        Resource::Nofile => "-n",
        _ => "-u",
    };
    let line = format!("ulimit {flag} {most}; exec \"$0\" \"$@\"");
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(line).arg(command.get_program());
    shell.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    command.stdin(Stdio::null());
    run(shell, b"")
}

fn few_descriptors() {
    let lab = Lab::new();
    let mut seen = Seen::default();
    let (mut refused, mut ran) = (0, 0);
    for most in 3..40 {
        let words = ["run", "--rm", "--network", "none", IMAGE, "echo", "ran"];
        let out = limited(&lab, Resource::Nofile, most, &words);
        if out.code == 0 {
            assert_eq!(out.stdout, "ran\n");
            ran += 1;
        } else {
            let lines = out.stderr.trim_end().lines().count();
            assert!(lines == 1 && !out.stderr.contains("panic"), "{most}: {}", out.stderr);
            refused += 1;
        }
        lab.ok(&["ps", "-a"]);
        for row in rows(&lab) {
            assert_ne!(row.status, "running");
            lab.ok(&["rm", "-f", &row.name]);
        }
        agrees(&lab, &mut seen, &format!("with {most} descriptors"));
    }
    assert!(refused > 0 && ran > 0, "{refused} refused, {ran} ran");
}

fn few_processes() {
    let lab = Lab::new();
    // The limit counts a user's processes, of whom root is exempt: it is the container's limit then.
    let line = "i=0; while [ $i -lt 20 ]; do sleep 100 & i=$((i+1)); done; echo all";
    let out = lab.run(&[
        "run",
        "--rm",
        "--network",
        "none",
        "--pids-limit",
        "8",
        IMAGE,
        "sh",
        "-c",
        line,
    ]);
    assert!(out.stderr.contains("fork") && !out.stdout.contains("all"), "{out:?}");
    agrees(&lab, &mut Seen::default(), "with few processes");
    // A container that is full can't be entered, which is said, and can be ended.
    let id = lab.start(&["--pids-limit", "2"], "sleep 1000 & sleep 1000");
    eventually("it is full", || {
        let text = lab.ok(&["top", &id]);
        text.lines().count() >= 3
    });
    let out = lab.run(&["exec", &id, "true"]);
    assert_eq!(out.stderr.trim_end().lines().count(), 1, "{out:?}");
    assert_ne!(out.code, 0, "{out:?}");
    lab.ok(&["rm", "-f", &id]);
    agrees(&lab, &mut Seen::default(), "ended");
}

fn a_start_in_the_future() {
    let lab = Lab::new();
    lab.ok(&["run", "-d", "--name", "web", "--network", "none", IMAGE, "sleep", "1000"]);
    rewrite(&lab, "web", |state| {
        let text = state.to_string();
        let year = chrono::Utc::now().format("\"%Y-").to_string();
        *state = serde_json::from_str(&text.replace(&year, "\"2099-")).unwrap();
    });
    assert!(lab.inspect("web", "/State/StartedAt").as_str().unwrap().starts_with("2099"));
    // The clock was set back since: how long it has run, another clock tells.
    let status = lab.ok(&["ps", "--format", "{{.Status}}"]);
    assert!(status.starts_with("Up ") && status.contains(" second"), "{status}");
    lab.ok(&["stats", "--no-stream"]);
    lab.ok(&["logs", "--since", "1m", "web"]);
    lab.ok(&["stop", "-t", "0", "web"]);
    assert!(lab.ok(&["ps", "-a"]).contains("Exited (137)"));
    is_clean(&lab);
}

/// Runs a shell line in a mount namespace of its own; `$0` is the binary.
fn apart(lab: &Lab, line: &str) -> Out {
    let mut command = Command::new("unshare");
    command.args(["-m", "--propagation", "private", "sh", "-c", line]).arg(binary());
    command.env("WHARF_ROOT", lab.root()).env_remove("DOCKER_HOST").env_remove("WHARF_HOST");
    run(command, b"")
}

fn cgroups_that_are_missing() {
    let lab = Lab::new();
    let mut seen = Seen::default();
    // No hierarchy at all.
    let line = "umount -l /sys/fs/cgroup && exec \"$0\" run --rm --network none box true";
    let out = apart(&lab, line);
    assert_eq!(out.code, 125, "{out:?}");
    assert!(out.stderr.contains("cgroup") && out.stderr.trim_end().lines().count() == 1, "{out:?}");
    lab.ok(&["ps", "-a"]);
    assert_eq!(lab.ok(&["ps", "-aq"]), "");
    agrees(&lab, &mut seen, "without cgroups");
    // A version 1 host without the memory controller: a limit of it is dropped, and said, as docker
    // does.
    if std::path::Path::new("/sys/fs/cgroup/memory").is_dir() {
        let line = "umount /sys/fs/cgroup/memory && \"$0\" run --rm --network none box true && \
                    exec \"$0\" run --rm -m 32m --network none box true";
        let out = apart(&lab, line);
        assert_eq!(out.code, 0, "{out:?}");
        assert!(out.stderr.contains("does not support memory limit"), "{out:?}");
        agrees(&lab, &mut seen, "without the memory controller");
    }
}

fn read_only_cgroups() {
    let lab = Lab::new();
    let line = "for m in $(awk '$3 ~ /^cgroup/ { print $2 }' /proc/mounts); do \
                mount -o remount,bind,ro $m || exit 99; done; \
                exec \"$0\" run --rm --network none box true";
    let out = apart(&lab, line);
    assert_eq!(out.code, 125, "{out:?}");
    assert!(out.stderr.contains("cgroup") && out.stderr.trim_end().lines().count() == 1, "{out:?}");
    assert_eq!(lab.ok(&["ps", "-aq"]), "");
    agrees(&lab, &mut Seen::default(), "with cgroups that can't be written");
    lab.shell(&[], "true");
}
