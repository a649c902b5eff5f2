//! `update`: kernel, row and supervisor agree on the new limits, or on the old ones.

use crate::harness::{IMAGE, Lab, Test, eventually};
use crate::tests;

use super::{group, has, unified, value};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_running_container_is_changed,
        a_stopped_container_has_it_at_its_next_start,
        a_paused_container_is_changed,
        limits_grow_and_shrink,
        memory_in_use_is_a_refusal,
        conflicts_are_docker_s,
        several_containers_at_once,
        a_killed_supervisor_leaves_row_and_kernel_alike,
        killed_between_the_kernel_and_the_row,
    ]
}

fn memory(lab: &Lab, id: &str) -> u64 {
    value(lab, id, "memory", ["memory.limit_in_bytes", "memory.max"]).parse().unwrap()
}

fn pids(lab: &Lab, id: &str) -> String {
    value(lab, id, "pids", ["pids.max", "pids.max"])
}

fn a_running_container_is_changed() {
    let lab = Lab::new();
    let id = lab.start(&[], "sleep 1000");
    let flags = ["-m", "64m", "--memory-swap", "128m", "--cpus", "0.5", "-c", "512"];
    let further = ["--cpuset-cpus", "0", "--cpuset-mems", "0", "--pids-limit", "7"];
    let reservation = ["--memory-reservation", "32m", &id];
    let out = lab.ok(&[&["update"], &flags[..], &further[..], &reservation[..]].concat());
    assert_eq!(out, id);
    assert_eq!(memory(&lab, &id), 64 << 20);
    assert_eq!(pids(&lab, &id), "7");
    let (_, version_2) = group(&lab, &id, "cpu");
    let quota = value(&lab, &id, "cpu", ["cpu.cfs_quota_us", "cpu.max"]);
    assert_eq!(quota, if version_2 { "50000 100000" } else { "50000" });
    let shares = value(&lab, &id, "cpu", ["cpu.shares", "cpu.weight"]);
    assert_eq!(shares, if version_2 { "59" } else { "512" });
    assert_eq!(value(&lab, &id, "cpuset", ["cpuset.cpus", "cpuset.cpus"]), "0");
    for (key, shown) in [
        ("Memory", 64 << 20),
        ("MemorySwap", 128 << 20),
        ("MemoryReservation", 32 << 20),
        ("NanoCpus", 500_000_000),
        ("CpuShares", 512),
        ("PidsLimit", 7),
    ] {
        assert_eq!(lab.inspect(&id, &format!("/HostConfig/{key}")), shown, "{key}");
    }
    // What isn't named stays; the limit of tasks can be lifted.
    lab.ok(&["update", "--pids-limit", "-1", &id]);
    assert_eq!(pids(&lab, &id), "max");
    assert!(lab.inspect(&id, "/HostConfig/PidsLimit").is_null());
    assert_eq!(memory(&lab, &id), 64 << 20);
    // So can that of CPU time, and nothing is left of it.
    lab.ok(&["update", "--cpu-quota", "-1", &id]);
    let quota = value(&lab, &id, "cpu", ["cpu.cfs_quota_us", "cpu.max"]);
    assert_eq!(quota, if version_2 { "max 100000" } else { "-1" });
    for key in ["NanoCpus", "CpuQuota"] {
        assert_eq!(lab.inspect(&id, &format!("/HostConfig/{key}")), 0, "{key}");
    }
    // It holds at the next start, which comes from the row.
    lab.ok(&["restart", "-t", "0", &id]);
    assert_eq!((memory(&lab, &id), pids(&lab, &id)), (64 << 20, "max".to_owned()));
}

fn a_stopped_container_has_it_at_its_next_start() {
    let lab = Lab::new();
    lab.ok(&["create", "--name", "later", "--network", "none", IMAGE, "sleep", "1000"]);
    let flags = ["-m", "64m", "--memory-swap", "64m", "--pids-limit", "9"];
    assert_eq!(lab.ok(&[&["update"], &flags[..], &["later"]].concat()), "later");
    assert_eq!(lab.inspect("later", "/HostConfig/MemorySwap"), 64 << 20);
    lab.ok(&["start", "later"]);
    assert_eq!((memory(&lab, "later"), pids(&lab, "later")), (64 << 20, "9".to_owned()));
}

fn a_paused_container_is_changed() {
    let lab = Lab::new();
    let id = lab.start(&["-m", "64m"], "sleep 1000");
    lab.ok(&["pause", &id]);
    lab.ok(&["update", "-m", "48m", "--pids-limit", "5", &id]);
    assert_eq!((memory(&lab, &id), pids(&lab, &id)), (48 << 20, "5".to_owned()));
    assert_eq!(lab.inspect(&id, "/State/Status"), "paused");
    lab.ok(&["unpause", &id]);
}

fn limits_grow_and_shrink() {
    let lab = Lab::new();
    let id = lab.start(&["-m", "64m", "--memory-swap", "64m"], "sleep 1000");
    let names = ["memory.memsw.limit_in_bytes", "memory.swap.max"];
    // Beyond the old total, below the old memory, and without a bound on swap.
    for (limit, total) in [(256u64, 512i64), (32, 48), (512, -1), (64, 64)] {
        let text = |mib: i64| if mib < 0 { "-1".to_owned() } else { format!("{mib}m") };
        let flags = ["-m", &format!("{limit}m"), "--memory-swap", &text(total)];
        lab.ok(&[&["update"], &flags[..], &[&id]].concat());
        assert_eq!(memory(&lab, &id), limit << 20);
        if !has(&lab, &id, "memory", names) {
            continue;
        }
        let (_, version_2) = group(&lab, &id, "memory");
        let held = value(&lab, &id, "memory", names);
        let mib = u64::try_from(total).unwrap_or(0);
        match (total, version_2) {
            (..0, true) => assert_eq!(held, "max"),
            (..0, false) => assert!(held.parse::<u64>().unwrap() > 1 << 50, "{held}"),
            (_, true) => assert_eq!(held, ((mib - limit) << 20).to_string()),
            (_, false) => assert_eq!(held, (mib << 20).to_string()),
        }
    }
    // The period too, with the quota that goes with it.
    for (period, quota) in [("1000", "1000"), ("1000000", "2000"), ("10000", "10000")] {
        lab.ok(&["update", "--cpu-period", period, "--cpu-quota", quota, &id]);
        let (_, version_2) = group(&lab, &id, "cpu");
        let held = value(&lab, &id, "cpu", ["cpu.cfs_quota_us", "cpu.max"]);
        assert_eq!(held, if version_2 { format!("{quota} {period}") } else { quota.to_owned() });
    }
}

fn memory_in_use_is_a_refusal() {
    let lab = Lab::new();
    let line = "dd if=/dev/zero of=/t/x bs=1M count=40 2>/dev/null; echo full; sleep 1000";
    let id = lab.start(&["-m", "64m", "--memory-swap", "64m", "--tmpfs", "/t"], line);
    lab.wait_for_log(&id, "full");
    let held = || {
        let of = |names| has(&lab, &id, "memory", names).then(|| value(&lab, &id, "memory", names));
        [
            of(["memory.limit_in_bytes", "memory.max"]),
            of(["memory.memsw.limit_in_bytes", "memory.swap.max"]),
            of(["memory.limit_in_bytes", "memory.high"]),
            Some(pids(&lab, &id)),
        ]
    };
    let before = held();
    let flags = ["-m", "16m", "--memory-swap", "16m", "--pids-limit", "3"];
    let arguments = [&["update"], &flags[..], &[&id]].concat();
    lab.fails(1, "unable to set memory limit to 16777216 (current usage: ", &arguments);
    lab.fails(1, &format!("Cannot update container {id}"), &arguments);
    assert_eq!(held(), before);
    assert_eq!(lab.inspect(&id, "/HostConfig/Memory"), 64 << 20);
    assert!(lab.inspect(&id, "/HostConfig/PidsLimit").is_null());
    assert_eq!(lab.inspect(&id, "/State/OOMKilled"), false);
    assert_eq!(lab.ok(&["exec", &id, "echo", "alive"]), "alive");
    // What was in the way has gone.
    lab.ok(&["exec", &id, "rm", "/t/x"]);
    lab.ok(&arguments);
    assert_eq!(memory(&lab, &id), 16 << 20);
}

fn conflicts_are_docker_s() {
    let lab = Lab::new();
    let id = lab.start(&["--cpus", "0.5", "-m", "64m"], "sleep 1000");
    lab.ok(&["create", "--name", "brief", "--rm", IMAGE, "true"]);
    let refused = |says: &str, flags: &[&str], container: &str| {
        lab.fails(1, says, &[&["update"], flags, &[container]].concat());
    };
    let nano = "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set";
    refused(nano, &["--cpu-quota", "5000"], &id);
    let nano = "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set";
    refused(nano, &["--cpu-period", "5000"], &id);
    let swap = "Memory limit should be smaller than already set memoryswap limit, update the \
                memoryswap at the same time";
    refused(swap, &["-m", "1g"], &id);
    let total = "Minimum memoryswap limit should be larger than memory limit, see usage";
    refused(total, &["--memory-swap", "32m"], &id);
    refused("Minimum memory limit allowed is 6MB", &["-m", "1m"], &id);
    refused("Requested CPUs are not available", &["--cpuset-cpus", "4000"], &id);
    refused("you must provide one or more flags when using this command", &[], &id);
    let policy = "Restart policy cannot be updated because AutoRemove is enabled for the container";
    refused(policy, &["--restart", "always"], "brief");
    refused("invalid restart policy", &["--restart", "sometimes"], &id);
    refused("No such container: nobody", &["-m", "64m"], "nobody");
    lab.fails(125, "Linux has no such limit", &["update", "--kernel-memory", "50m", &id]);
    assert_eq!(lab.inspect(&id, "/HostConfig/NanoCpus"), 500_000_000);
    assert_eq!(memory(&lab, &id), 64 << 20);
    if unified() {
        let says = "kernel does not support CPU real-time scheduler";
        refused(says, &["--cpu-rt-runtime", "1000"], &id);
    }
}

fn several_containers_at_once() {
    let lab = Lab::new();
    let first = lab.start(&[], "sleep 1000");
    let second = lab.start(&[], "sleep 1000");
    let out = lab.run(&["update", "--pids-limit", "6", &first, "nobody", &second]);
    assert_eq!((out.code, out.stdout.as_str()), (1, &*format!("{first}\n{second}\n")));
    assert!(out.stderr.contains("No such container: nobody"), "{}", out.stderr);
    assert_eq!((pids(&lab, &first), pids(&lab, &second)), ("6".to_owned(), "6".to_owned()));
    // Many changes of one container at once: one of them is the last, for kernel and row alike.
    std::thread::scope(|scope| {
        for n in 10..20 {
            let (lab, first) = (&lab, &first);
            scope.spawn(move || lab.ok(&["update", "--pids-limit", &n.to_string(), first]));
        }
    });
    let held = lab.inspect(&first, "/HostConfig/PidsLimit").to_string();
    assert_eq!(held, pids(&lab, &first));
}

fn a_killed_supervisor_leaves_row_and_kernel_alike() {
    let lab = Lab::new();
    let id = lab.start(&["--pids-limit", "50"], "sleep 1000");
    for round in 0..8u32 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", lab.pid(&id))).unwrap();
        let parent = stat.rsplit(')').next().unwrap().split_whitespace().nth(1).unwrap();
        let supervisor = rustix::process::Pid::from_raw(parent.parse().unwrap()).unwrap();
        let limit = (60 + round).to_string();
        let mut update = lab.command(&["update", "--pids-limit", &limit, &id]);
        update.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut update = update.spawn().unwrap();
        // At another moment each time.
        for _ in 0..round * 400 {
            std::thread::yield_now();
        }
        rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).unwrap();
        // It may be told no, or have been first, or have changed what then no longer ran.
        let _ = crate::harness::wait_for(&mut update, *crate::harness::PATIENCE).unwrap();
        eventually("it has ended", || lab.inspect(&id, "/State/Status") == "exited");
        let row = lab.inspect(&id, "/HostConfig/PidsLimit").to_string();
        lab.ok(&["start", &id]);
        assert_eq!(pids(&lab, &id), row, "round {round}");
    }
}

/// The change is in the kernel, and whoever is to write it down is killed. Rows and kernel agree after
/// the next command, whoever it was.
fn killed_between_the_kernel_and_the_row() {
    use rustix::process::{Pid, Signal, kill_process};
    let lab = Lab::new();
    for victim in ["command", "supervisor", "both"] {
        lab.start(&["--name", "held", "-m", "64m", "--memory-swap", "-1"], "sleep 1000");
        let (folder, version_2) = super::group(&lab, "held", "memory");
        let file = folder.join(if version_2 { "memory.max" } else { "memory.limit_in_bytes" });
        let limit = || std::fs::read_to_string(&file).unwrap().trim().parse::<u64>().unwrap();
        let row = || lab.inspect("held", "/HostConfig/Memory").as_u64().unwrap();
        let (old, new) = (64 << 20, 96 << 20);
        assert_eq!((limit(), row()), (old, old));
        // Nobody can write a row now.
        let database = crate::audit::database(&lab);
        database.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mut command = lab.command(&["update", "-m", "96m", "--memory-swap", "-1", "held"]);
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
        crate::harness::eventually("the kernel has it", || limit() == new);
        assert_eq!(row(), old, "the row is still to come");
        let supervisor = Pid::from_raw(crate::harness::parent_of(lab.pid("held"))).unwrap();
        if victim != "supervisor" {
            child.kill().unwrap();
        }
        if victim != "command" {
            kill_process(supervisor, Signal::KILL).unwrap();
        }
        database.execute_batch("ROLLBACK").unwrap();
        drop(database);
        child.wait().unwrap();
        if victim == "command" {
            crate::harness::eventually("the supervisor has written it down", || row() == new);
            assert_eq!(limit(), new);
        } else {
            crate::harness::eventually("it ended with its supervisor", || {
                lab.inspect("held", "/State/Status") == "exited"
            });
            let kept = row();
            assert!([old, new].contains(&kept), "{kept}");
            lab.ok(&["start", "held"]);
            assert_eq!((limit(), row()), (kept, kept), "{victim}");
        }
        lab.ok(&["rm", "-f", "held"]);
        lab.ok(&["system", "check"]);
    }
}
