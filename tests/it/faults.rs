//! What happens when a process of the engine's is killed.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{IMAGE, Lab, PATIENCE, Test, eventually, wait_for};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        killing_the_caller_harms_nothing,
        killing_the_supervisor_is_told,
        killing_callers_at_any_instant,
        a_first_process_that_stops_itself,
        the_first_process_killed_from_outside,
    ]
}

/// Returns the parent of a process.
fn parent(pid: i32) -> i32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    line.trim().parse().unwrap()
}

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

fn killing_the_caller_harms_nothing() {
    let lab = Lab::new();
    let line = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done";
    let mut command =
        lab.command(&["run", "--name", "goes-on", "--network", "none", IMAGE, "sh", "-c", line]);
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    lab.wait_for_log_of("goes-on", "line 3");
    child.kill().unwrap();
    child.wait().unwrap();
    let lines = lab.ok(&["logs", "goes-on"]).lines().count();
    lab.wait_for_log("goes-on", &format!("line {}\n", lines + 5));
    assert_eq!(lab.inspect("goes-on", "/State/Status"), "running");
    lab.ok(&["stop", "-t", "0", "goes-on"]);
    assert_eq!(lab.inspect("goes-on", "/State/ExitCode"), 137);
}

fn killing_the_supervisor_is_told() {
    let lab = Lab::new();
    let id = lab.start(&["--name", "orphan"], "sleep 1000");
    let pid = lab.pid("orphan");
    let supervisor = parent(pid);
    let name = std::fs::read_to_string(format!("/proc/{supervisor}/cmdline")).unwrap();
    assert!(name.contains("__supervise"), "{name:?}");
    kill(supervisor);
    // It takes its container with it, and the next command tells so.
    eventually("the container's process ends", || {
        std::fs::read_to_string(format!("/proc/{pid}/status"))
            .map_or(true, |status| status.contains("State:\tZ"))
    });
    let text = lab.ok(&["ps", "-a"]);
    assert!(text.contains("Exited (137)"), "{text}");
    assert_eq!(lab.inspect("orphan", "/State/Running"), false);
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&id), "its mounts are gone");
    // And it can be started again.
    assert_eq!(lab.ok(&["start", "orphan"]), "orphan");
    assert_eq!(lab.inspect("orphan", "/State/Running"), true);
}

fn killing_callers_at_any_instant() {
    let lab = Lab::new();
    for step in 0..24_u32 {
        let name = format!("cut-{step}");
        let mut command = lab.command(&[
            "run",
            "-d",
            "--name",
            &name,
            "--network",
            "none",
            IMAGE,
            "sleep",
            "1000",
        ]);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // A spread of instants over the time that a start takes.
        let until = std::time::Instant::now() + std::time::Duration::from_millis(step.into());
        while std::time::Instant::now() < until {
            std::hint::spin_loop();
        }
        let _ = child.kill();
        wait_for(&mut child, *PATIENCE);
        // Whatever was reached, the engine answers and tells a state that can be acted on.
        lab.ok(&["ps", "-a"]);
        if lab.run(&["inspect", &name]).code == 0 {
            eventually("it can be removed", || lab.run(&["rm", "-f", &name]).code == 0);
        }
    }
    assert_eq!(lab.ok(&["ps", "-aq"]), "");
    lab.ok(&["run", "--rm", "--network", "none", IMAGE, "true"]);
}

fn a_first_process_that_stops_itself() {
    let lab = Lab::new();
    // Stopped is not ended.
    let id = lab.start(&["--init"], "echo up; kill -STOP $$; echo woken; exit 4");
    lab.wait_for_log(&id, "up");
    assert_eq!(lab.inspect(&id, "/State/Status"), "running");
    lab.ok(&["exec", &id, "sh", "-c", "kill -CONT $(pidof sh | tr ' ' '\\n' | tail -1)"]);
    lab.ok(&["stop", "-t", "1", &id]);
    assert_ne!(lab.inspect(&id, "/State/Status"), "running");
}

fn the_first_process_killed_from_outside() {
    let lab = Lab::new();
    let id = lab.start(&[], "sleep 1000");
    kill(lab.pid(&id));
    assert_eq!(lab.ok(&["wait", &id]), "137");
    assert_eq!(lab.inspect(&id, "/State/OOMKilled"), false);
}
