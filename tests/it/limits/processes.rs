//! Resource limits of processes, and their standing when memory runs out.

use crate::harness::{IMAGE, Lab, Test};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        ulimits_hold_for_every_program,
        a_ulimit_above_the_host_s_is_refused_by_name,
        the_oom_score_is_the_container_s_own,
    ]
}

/// Returns the soft and the hard limit of a line of /proc/PID/limits.
fn limit(text: &str, title: &str) -> (String, String) {
    let line = text.lines().find_map(|line| line.strip_prefix(title)).unwrap();
    let mut words = line.split_whitespace().map(str::to_owned);
    (words.next().unwrap(), words.next().unwrap())
}

/// Returns whether this process may raise limits and lower OOM scores.
fn may_raise() -> bool {
    const SYS_RESOURCE: u64 = 1 << 24;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(capabilities.trim(), 16).unwrap() & SYS_RESOURCE != 0
}

fn ulimits_hold_for_every_program() {
    let lab = Lab::new();
    let flags = ["--ulimit", "nofile=64:128", "--ulimit", "core=0", "--ulimit", "nproc=100"];
    let id = lab.start(&flags, "cat /proc/self/limits; sleep 1000");
    lab.wait_for_log(&id, "Max realtime timeout");
    let own = lab.ok(&["logs", &id]);
    let further = lab.ok(&["exec", &id, "cat", "/proc/self/limits"]);
    let pair = |soft: &str, hard: &str| (soft.to_owned(), hard.to_owned());
    for text in [&own, &further] {
        assert_eq!(limit(text, "Max open files"), pair("64", "128"));
        assert_eq!(limit(text, "Max core file size"), pair("0", "0"));
        assert_eq!(limit(text, "Max processes"), pair("100", "100"));
    }
    // And by effect: the shell has three open.
    let line = "i=3; while [ $i -lt 200 ]; do eval \"exec $i</dev/null\" || exit 7; i=$((i+1)); \
                done; echo all";
    let out = lab.run(&["exec", &id, "sh", "-c", line]);
    assert!(out.code != 0 && !out.stdout.contains("all"), "{out:?}");
    let ulimits = lab.inspect(&id, "/HostConfig/Ulimits");
    assert_eq!(ulimits[1], serde_json::json!({"Name": "nofile", "Hard": 128, "Soft": 64}));
    // The last one of a name counts.
    let flags = ["--ulimit", "nofile=64", "--ulimit", "nofile=80"];
    let text = lab.shell(&flags, "cat /proc/self/limits");
    assert_eq!(limit(&text, "Max open files"), pair("80", "80"));
    // Without a word, it is what the host gives, whatever the caller's own limits are.
    let mut command = lab.command(&["run", "--rm", "--network", "none", IMAGE]);
    command.args(["cat", "/proc/self/limits"]);
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", "ulimit -S -n 40; ulimit -S -c 0; exec \"$0\" \"$@\""]);
    shell.arg(command.get_program()).args(command.get_args());
    shell.env("WHARF_ROOT", lab.root());
    let out = crate::harness::run(shell, b"");
    let (soft, hard) = limit(&out.stdout, "Max open files");
    assert!(soft == hard || soft == "1048576", "{soft} of {hard}");
    let (soft, hard) = limit(&out.stdout, "Max core file size");
    assert_eq!(soft, hard);
}

fn a_ulimit_above_the_host_s_is_refused_by_name() {
    let lab = Lab::new();
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let (_, hard) = limit(&limits, "Max open files");
    let more = hard.parse::<u64>().unwrap() + 1;
    let asked = format!("nofile={more}");
    if may_raise() {
        let text = lab.shell(&["--ulimit", &asked], "cat /proc/self/limits");
        assert_eq!(limit(&text, "Max open files").1, more.to_string());
        return;
    }
    let arguments = ["run", "--rm", "--network", "none", "--ulimit", &asked, IMAGE, "true"];
    let says = format!("error setting ulimit nofile={more}:{more}: Operation not permitted");
    lab.fails(125, &says, &arguments);
    lab.fails(125, &format!("the host's hard limit is {hard}"), &arguments);
    assert_eq!(lab.ok(&["ps", "-aq"]), "");
}

fn the_oom_score_is_the_container_s_own() {
    let lab = Lab::new();
    let score = "cat /proc/self/oom_score_adj";
    assert_eq!(lab.shell(&[], score), "0");
    let id = lab.start(&["--oom-score-adj", "500"], "sleep 1000");
    assert_eq!(lab.ok(&["exec", &id, "sh", "-c", score]), "500");
    let of = |pid: &str| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
        text.trim().to_owned()
    };
    let first = lab.pid(&id).to_string();
    assert_eq!(of(&first), "500");
    let lowered = ["run", "--rm", "--network", "none", "--oom-score-adj", "-500", IMAGE];
    let lowered = [&lowered[..], &["cat", "/proc/self/oom_score_adj"]].concat();
    if may_raise() {
        // The supervisor outlives its container.
        let stat = std::fs::read_to_string(format!("/proc/{first}/stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        assert_eq!(of(fields[1]), "-999");
        assert_eq!(lab.ok(&lowered), "-500");
    } else {
        lab.fails(125, "error setting oom-score-adj -500: Permission denied", &lowered);
    }
    assert_eq!(lab.inspect(&id, "/HostConfig/OomScoreAdj"), 500);
    // Even where the first process hides its /proc.
    let hides = "mount -t tmpfs x /proc && mkdir -p /proc/self && echo 0 >/proc/self/oom_score_adj \
                 && echo hidden; sleep 1000";
    let flags = ["--cap-add", "SYS_ADMIN", "--security-opt", "no-new-privileges"];
    let id = lab.start(&[&flags[..], &["--oom-score-adj", "300"]].concat(), hides);
    lab.wait_for_log(&id, "hidden");
    lab.ok(&["exec", "-d", &id, "sleep", "777"]);
    let mut found = String::new();
    crate::harness::eventually("the further program runs", || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        for process in processes {
            let read = |file: &str| std::fs::read_to_string(process.path().join(file));
            let ours = read("cgroup").is_ok_and(|text| text.contains(&id));
            if ours && read("cmdline").is_ok_and(|line| line == "sleep\x00777\x00") {
                found = read("oom_score_adj").unwrap_or_default();
                return true;
            }
        }
        false
    });
    assert_eq!(found.trim(), "300");
    let arguments = ["create", "--oom-score-adj", "1001", IMAGE, "true"];
    lab.fails(1, "Invalid value 1001, range for oom score adj is [-1000, 1000]", &arguments);
}
