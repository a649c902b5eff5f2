//! A wall clock that is set while containers run: what takes time goes by a clock that nobody sets.
//! For the virtual machine alone, whose clock is nobody else's.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};

use crate::harness::{IMAGE, Lab, Test, eventually};
use crate::tests;

/// Set where the clock may be set.
const ALLOWED: &str = "WHARF_TEST_CLOCK";

pub(crate) fn tests() -> Vec<Test> {
    let lacks = match std::env::var_os(ALLOWED) {
        Some(_) => None,
        None => Some(format!("this machine's clock isn't ours to set ({ALLOWED})")),
    };
    tests![the_wall_clock_jumps].into_iter().map(|test| test.needing(lacks.clone())).collect()
}

/// Sets the clock so many seconds forward, or back.
fn jump(seconds: i64) {
    let now = clock_gettime(ClockId::Realtime);
    let then = Timespec { tv_sec: now.tv_sec + seconds, tv_nsec: now.tv_nsec };
    clock_settime(ClockId::Realtime, then).unwrap();
}

const DAY: i64 = 24 * 3600;

/// One test, since there is one clock.
fn the_wall_clock_jumps() {
    let lab = Lab::new();
    let up = |name: &str| {
        let filter = format!("name=^{name}$");
        lab.ok(&["ps", "-a", "--filter", &filter, "--format", "{{.Status}}"])
    };
    for days in [-30 * DAY, 60 * DAY] {
        lab.start(
            &[
                "--name",
                "probed",
                "--health-cmd",
                "echo probe",
                "--health-interval",
                "1s",
                "--health-start-period",
                "1h",
                "--health-retries",
                "1",
            ],
            "trap 'exit 3' TERM; echo up; while :; do sleep 0.1; done",
        );
        lab.start(&["--name", "deaf"], "trap '' TERM; echo up; while :; do sleep 0.1; done");
        lab.wait_for_log("probed", "up");
        lab.wait_for_log("deaf", "up");
        let probes = || lab.inspect("probed", "/State/Health/Log").as_array().unwrap().len();
        eventually("the first probe", || probes() > 0);
        let before = lab.inspect("probed", "/State/Health/Log/0/Start");
        jump(days);
        // Probes go on at their interval, and are judged by how long it has run.
        eventually("probes go on", || {
            let log = lab.inspect("probed", "/State/Health/Log");
            log.as_array().unwrap().iter().all(|probe| probe["Start"] != before)
        });
        assert_eq!(lab.inspect("probed", "/State/Health/Status"), "healthy");
        // It has been up for as long as it was, not for a month, nor since tomorrow.
        let text = up("probed");
        let short = ["second", "minute"].iter().any(|unit| text.contains(unit));
        assert!(text.starts_with("Up ") && short, "{text}");
        // A stop waits for what it was told to wait.
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let stop = scope.spawn(|| lab.ok(&["stop", "-t", "4", "deaf"]));
            jump(-days / 2);
            jump(days / 2);
            stop.join().unwrap();
        });
        assert!(begun.elapsed() >= Duration::from_secs(4), "{:?}", begun.elapsed());
        assert_eq!(lab.inspect("deaf", "/State/ExitCode"), 137);
        // Restarts come at once in the beginning, and a run is as long as it was.
        lab.start(&["--name", "again", "--restart", "on-failure:3"], "echo run; sleep 0.2; exit 1");
        jump(-days / 2);
        eventually("it was restarted three times", || {
            lab.inspect("again", "/RestartCount") == 3
                && lab.inspect("again", "/State/Status") == "exited"
        });
        // What is asked for by time is what was written at that time by the clock of the day.
        lab.ok(&["run", "--name", "late", "--network", "none", IMAGE, "echo", "now"]);
        assert_eq!(lab.ok(&["logs", "--since", "1h", "late"]), "now");
        assert_eq!(lab.ok(&["logs", "--until", "24h", "late"]), "");
        let since = ["events", "--since", "1h", "--until", "0s", "--filter", "container=late"];
        let seen = lab.ok(&since);
        assert!(seen.contains(" container die "), "{seen}");
        jump(-days / 2);
        for name in ["probed", "deaf", "again", "late"] {
            lab.ok(&["rm", "-f", name]);
        }
        lab.ok(&["system", "check"]);
    }
}
