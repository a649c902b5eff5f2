//! A container that takes all it can get, and the one beside it.

use crate::harness::{IMAGE, Lab, Test, eventually};
use crate::tests;

use super::{group, value};

pub(crate) fn tests() -> Vec<Test> {
    tests![a_fork_bomb_stays_in_its_container, a_memory_hog_dies_alone, a_cpu_hog_yields]
}

fn a_fork_bomb_stays_in_its_container() {
    let lab = Lab::new();
    let neighbour = lab.start(&["--pids-limit", "20"], "sleep 1000");
    let flags = ["--pids-limit", "40", "--cpus", "0.5", "-m", "64m"];
    let attacker = lab.start(&flags, "sleep 1000");
    let read = |name: &str| value(&lab, &attacker, "pids", [name, name]);
    let current = || read("pids.current").parse::<u64>().unwrap();
    let refused = || read("pids.events").rsplit(' ').next().unwrap().parse::<u64>().unwrap();
    // Each makes two of itself until that fails, and then ends; what it has made goes on sleeping.
    let bomb = "boom() { boom & boom & sleep 1000; }; boom";
    for _ in 0..3 {
        let before = refused();
        // When nothing more fits in, the bomb itself is what is refused.
        lab.run(&["exec", "-d", &attacker, "sh", "-c", bomb]);
        eventually("the limit is met", || refused() > before);
        assert!(current() <= 40, "{}", current());
        // The neighbour still makes processes of its own, and others still start.
        let line = "for n in 1 2 3 4 5; do sleep 0 & done; wait; echo works";
        assert_eq!(lab.ok(&["exec", &neighbour, "sh", "-c", line]), "works");
        assert_eq!(lab.shell(&[], "echo new"), "new");
    }
    // It can be ended although nothing more fits into it.
    lab.ok(&["rm", "-f", &attacker]);
    assert_eq!(lab.inspect(&neighbour, "/State/Status"), "running");
}

fn a_memory_hog_dies_alone() {
    let lab = Lab::new();
    let flags = ["-m", "64m", "--memory-swap", "64m", "--tmpfs", "/t"];
    let line = "dd if=/dev/zero of=/t/kept bs=1M count=24 2>/dev/null; echo ready; sleep 1000";
    let neighbour = lab.start(&flags, line);
    lab.wait_for_log(&neighbour, "ready");
    // Not for ever: each kill is a page in the kernel's log, which is slow on an emulated console.
    let hog = "n=0; while [ $n -lt 6 ]; do tail /dev/zero; n=$((n+1)); echo killed $n; done; \
               sleep 1000";
    let attacker = lab.start(&["-m", "32m", "--memory-swap", "32m"], hog);
    lab.wait_for_log(&attacker, "killed 2");
    assert_eq!(lab.inspect(&attacker, "/State/OOMKilled"), true);
    // While it goes on, the neighbour has all of its own.
    let more =
        "dd if=/dev/zero of=/t/more bs=1M count=24 2>/dev/null && cat /t/kept /t/more | wc -c";
    assert_eq!(lab.ok(&["exec", &neighbour, "sh", "-c", more]), (48 << 20).to_string());
    assert_eq!(lab.inspect(&neighbour, "/State/OOMKilled"), false);
    assert_eq!(lab.inspect(&neighbour, "/State/Status"), "running");
    let held: u64 = value(&lab, &attacker, "memory", ["memory.usage_in_bytes", "memory.current"])
        .parse()
        .unwrap();
    assert!(held <= 32 << 20, "{held}");
}

fn a_cpu_hog_yields() {
    let lab = Lab::new();
    let spin = "while :; do :; done";
    let many = format!("for n in 1 2 3 4 5 6 7; do ({spin}) & done; {spin}");
    // On one CPU, so that there is something to share.
    let attacker = lab.start(&["--cpuset-cpus", "0", "-c", "128"], &many);
    let neighbour = lab.start(&["--cpuset-cpus", "0", "-c", "1024"], spin);
    // Milliseconds of CPU time.
    let used = |id: &str| -> u64 {
        let (folder, version_2) = group(&lab, id, "cpuacct");
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        match version_2 {
            true => {
                let stat = read("cpu.stat");
                let line = stat.lines().find_map(|line| line.strip_prefix("usage_usec "));
                line.unwrap().parse::<u64>().unwrap() / 1000
            }
            false => read("cpuacct.usage").trim().parse::<u64>().unwrap() / 1_000_000,
        }
    };
    let (hog_before, before) = (used(&attacker), used(&neighbour));
    eventually("the neighbour has worked", || used(&neighbour) >= before + 1500);
    let (hog, own) = (used(&attacker) - hog_before, used(&neighbour) - before);
    // Eight to one is asked for; eight processes against one would have it the other way round.
    assert!(own >= 3 * hog, "{own} ms beside a hog's {hog} ms");
    // And it can be stopped and looked at all the while.
    assert_eq!(lab.ok(&["exec", &attacker, "echo", "in"]), "in");
    lab.ok(&["run", "--rm", "--network", "none", IMAGE, "true"]);
}
