//! start, stop, kill, restart, pause, unpause, rm, wait.

use std::time::Instant;

use crate::harness::{IMAGE, Lab, Test, eventually};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        stop_asks_then_kills,
        stop_takes_its_time_from_the_flag,
        kill_sends_signals,
        restart_makes_a_new_process,
        pause_freezes,
        remove_refuses_and_forces,
        remove_leaves_nothing,
        wait_tells_codes,
        several_at_once_go_on_after_a_failure,
        start_of_what_runs,
        prefixes_must_be_clear,
        writes_survive_a_restart,
        stop_and_restart_with_another_signal,
    ]
}

const TRAP: &str = "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.1; done";

fn stop_asks_then_kills() {
    let lab = Lab::new();
    lab.start(&["--name", "polite"], TRAP);
    lab.wait_for_log("polite", "up");
    assert_eq!(lab.ok(&["stop", "polite"]), "polite");
    assert_eq!(lab.inspect("polite", "/State/ExitCode"), 5);
    assert_eq!(lab.ok(&["logs", "polite"]), "up\nbye");
    assert_eq!(lab.ok(&["stop", "polite"]), "polite", "it is stopped already");
}

fn stop_takes_its_time_from_the_flag() {
    let lab = Lab::new();
    lab.start(&["--name", "deaf"], "trap '' TERM; echo up; while :; do sleep 0.1; done");
    lab.wait_for_log("deaf", "up");
    let start = Instant::now();
    lab.ok(&["stop", "-t", "1", "deaf"]);
    let took = start.elapsed().as_millis();
    assert!((1000..6000).contains(&took), "{took} ms");
    assert_eq!(lab.inspect("deaf", "/State/ExitCode"), 137);
    lab.ok(&["start", "deaf"]);
    let start = Instant::now();
    lab.ok(&["stop", "-t", "0", "deaf"]);
    assert!(start.elapsed().as_millis() < 1000, "at once");
}

fn kill_sends_signals() {
    let lab = Lab::new();
    let line = "trap 'echo one' USR1; trap 'echo two' USR2; echo up; while :; do sleep 0.05; done";
    lab.start(&["--name", "ear"], line);
    lab.wait_for_log("ear", "up");
    for (signal, says) in [("USR1", "one"), ("SIGUSR2", "two")] {
        assert_eq!(lab.ok(&["kill", "-s", signal, "ear"]), "ear");
        lab.wait_for_log("ear", says);
    }
    lab.fails(1, "NOSUCH", &["kill", "-s", "NOSUCH", "ear"]);
    lab.ok(&["kill", "ear"]);
    assert_eq!(lab.ok(&["wait", "ear"]), "137");
    lab.fails(1, "is not running", &["kill", "ear"]);
}

fn restart_makes_a_new_process() {
    let lab = Lab::new();
    lab.start(&["--name", "again"], "echo up; exec sleep 1000");
    let before = lab.pid("again");
    assert_eq!(lab.ok(&["restart", "-t", "0", "again"]), "again");
    assert_ne!(lab.pid("again"), before);
    assert_eq!(lab.inspect("again", "/State/Status"), "running");
}

fn pause_freezes() {
    let lab = Lab::new();
    lab.start(&["--name", "ice"], "i=0; while :; do i=$((i+1)); echo $i; sleep 0.02; done");
    lab.wait_for_log("ice", "3");
    assert_eq!(lab.ok(&["pause", "ice"]), "ice");
    assert_eq!(lab.inspect("ice", "/State/Status"), "paused");
    assert!(lab.ok(&["ps"]).contains("(Paused)"));
    let count = lab.ok(&["logs", "ice"]).lines().count();
    lab.fails(1, "already paused", &["pause", "ice"]);
    lab.fails(1, "paused", &["exec", "ice", "true"]);
    assert_eq!(lab.ok(&["logs", "ice"]).lines().count(), count, "it doesn't run");
    assert_eq!(lab.ok(&["unpause", "ice"]), "ice");
    lab.wait_for_log("ice", &format!("\n{}\n", count + 3));
    lab.fails(1, "is not paused", &["unpause", "ice"]);
    // A frozen one can be removed.
    lab.ok(&["pause", "ice"]);
    lab.ok(&["rm", "-f", "ice"]);
}

fn remove_refuses_and_forces() {
    let lab = Lab::new();
    lab.start(&["--name", "alive"], "sleep 1000");
    lab.fails(1, "running", &["rm", "alive"]);
    let pid = lab.pid("alive");
    assert_eq!(lab.ok(&["rm", "-f", "alive"]), "alive");
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "its process is gone");
    lab.fails(1, "No such container: alive", &["rm", "alive"]);
    lab.ok(&["create", "--name", "alive", IMAGE, "true"]);
    lab.ok(&["rm", "alive"]);
}

fn remove_leaves_nothing() {
    let lab = Lab::new();
    let id = lab.start(&[], "sleep 1000 & sleep 1000 & sleep 1000");
    let folder = lab.root().join("containers").join(&id);
    assert!(folder.exists());
    lab.ok(&["rm", "-f", &id]);
    assert!(!folder.exists());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&id));
    let mut groups = Vec::new();
    find_groups(std::path::Path::new("/sys/fs/cgroup"), &id, 0, &mut groups);
    assert_eq!(groups, Vec::<String>::new());
}

/// Finds the control groups whose name has this text.
pub(crate) fn find_groups(
    folder: &std::path::Path,
    text: &str,
    depth: u32,
    found: &mut Vec<String>,
) {
    for child in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if child.file_type().is_ok_and(|kind| kind.is_dir()) {
            if child.file_name().to_string_lossy().contains(text) {
                found.push(child.path().display().to_string());
            }
            if depth < 6 {
                find_groups(&child.path(), text, depth + 1, found);
            }
        }
    }
}

fn wait_tells_codes() {
    let lab = Lab::new();
    lab.start(&["--name", "aa"], "exit 3");
    lab.start(&["--name", "bb"], "exit 4");
    assert_eq!(lab.ok(&["wait", "aa", "bb"]), "3\n4");
    assert_eq!(lab.ok(&["wait", "aa"]), "3");
    lab.fails(1, "No such container: none", &["wait", "none"]);
}

fn several_at_once_go_on_after_a_failure() {
    let lab = Lab::new();
    for name in ["xx", "yy"] {
        lab.start(&["--name", name], "sleep 1000");
    }
    let out = lab.ends(1, &["stop", "-t", "0", "xx", "none", "yy"]);
    assert_eq!(out.stdout, "xx\nyy\n");
    assert_eq!(lab.ok(&["ps", "-q"]), "");
}

fn start_of_what_runs() {
    let lab = Lab::new();
    lab.start(&["--name", "runs"], "sleep 1000");
    let pid = lab.pid("runs");
    assert_eq!(lab.ok(&["start", "runs"]), "runs");
    assert_eq!(lab.pid("runs"), pid);
    lab.fails(1, "No such container: none", &["start", "none"]);
}

fn prefixes_must_be_clear() {
    let lab = Lab::new();
    // Seventeen ids can't all begin differently.
    let ids: Vec<String> =
        (0..17).map(|_| lab.ok(&["create", "--network", "none", IMAGE, "true"])).collect();
    let shared = ids
        .iter()
        .map(|id| &id[..1])
        .find(|first| ids.iter().filter(|id| id.starts_with(first)).count() > 1)
        .unwrap();
    let out = lab.run(&["inspect", shared]);
    assert!(out.code != 0, "{shared} is several");
    assert_eq!(lab.inspect(&ids[0][..20], "/Id"), ids[0].as_str());
}

fn writes_survive_a_restart() {
    let lab = Lab::new();
    let line = "cat /kept 2>/dev/null || echo first; echo second > /kept";
    let id = lab.start(&[], line);
    lab.ok(&["wait", &id]);
    lab.ok(&["start", &id]);
    lab.ok(&["wait", &id]);
    eventually("the second run's line", || lab.ok(&["logs", &id]) == "first\nsecond");
}

fn stop_and_restart_with_another_signal() {
    let lab = Lab::new();
    let line = "trap 'exit 7' USR1; trap '' TERM; echo up; while :; do sleep 0.1; done";
    // What was stopped by hand stays so, whatever the signal was.
    lab.start(&["--name", "deaf", "--restart", "always"], line);
    lab.wait_for_log("deaf", "up");
    let first = lab.pid("deaf");
    lab.fails(1, "invalid signal: NOPE", &["stop", "-s", "NOPE", "deaf"]);
    lab.ok(&["restart", "--signal", "SIGUSR1", "-t", "1000", "deaf"]);
    assert_ne!(lab.pid("deaf"), first);
    lab.wait_for_log("deaf", "up\nup");
    lab.ok(&["stop", "-s", "USR1", "-t", "1000", "deaf"]);
    assert_eq!(lab.inspect("deaf", "/State/Status"), "exited");
    assert_eq!(lab.inspect("deaf", "/State/ExitCode"), 7);
    // One that is paused hears it too.
    lab.ok(&["start", "deaf"]);
    lab.wait_for_log("deaf", "up\nup\nup");
    lab.ok(&["pause", "deaf"]);
    lab.ok(&["stop", "-s", "10", "-t", "1000", "deaf"]);
    assert_eq!(lab.inspect("deaf", "/State/ExitCode"), 7);
}
