//! logs, exec, attach and what they promise about streams.

use crate::harness::{IMAGE, Lab, Test};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        logs_show_what_was_written,
        logs_tail,
        logs_since,
        logs_timestamps,
        logs_follow,
        logs_on_disk_are_docker_s,
        exec_runs_beside,
        exec_flags,
        exec_codes,
        exec_detached,
        exec_enters_the_same_world,
        start_attached_passes_input,
        a_reader_that_leaves_harms_nothing,
    ]
}

fn finished(lab: &Lab, line: &str) -> String {
    let id = lab.start(&[], line);
    lab.ok(&["wait", &id]);
    id
}

fn logs_show_what_was_written() {
    let lab = Lab::new();
    let id = finished(&lab, "echo out; echo err >&2; printf tail");
    let out = lab.ends(0, &["logs", &id]);
    assert_eq!(out.stdout.trim_end(), "out\ntail");
    assert_eq!(out.stderr, "err\n");
    lab.fails(1, "No such container: none", &["logs", "none"]);
    let created = lab.ok(&["create", IMAGE, "true"]);
    assert_eq!(lab.ok(&["logs", &created]), "");
}

fn logs_tail() {
    let lab = Lab::new();
    let id = finished(&lab, "seq 1 3000");
    assert_eq!(lab.ok(&["logs", "--tail", "2", &id]), "2999\n3000");
    assert_eq!(lab.ok(&["logs", "-n", "1", &id]), "3000");
    assert_eq!(lab.ok(&["logs", "--tail", "0", &id]), "");
    assert_eq!(lab.ok(&["logs", "--tail", "all", &id]).lines().count(), 3000);
    assert_eq!(lab.ok(&["logs", "--tail", "9999", &id]).lines().count(), 3000);
}

fn logs_since() {
    let lab = Lab::new();
    let id = finished(&lab, "echo a; sleep 0.3; echo b");
    let stamped = lab.ok(&["logs", "-t", &id]);
    let second = stamped.lines().nth(1).unwrap().split(' ').next().unwrap();
    assert_eq!(lab.ok(&["logs", "--since", second, &id]), "b");
    assert_eq!(lab.ok(&["logs", "--since", "1h", &id]), "a\nb");
    assert_eq!(lab.ok(&["logs", "--since", "2000-01-01", &id]), "a\nb");
    assert_eq!(lab.ok(&["logs", "--since", "2100-01-01T00:00:00Z", &id]), "");
    lab.ends(1, &["logs", "--since", "yesterday-ish", &id]);
}

fn logs_timestamps() {
    let lab = Lab::new();
    let id = finished(&lab, "echo a; echo b");
    for line in lab.ok(&["logs", "-t", &id]).lines() {
        let (time, _) = line.split_once(' ').unwrap();
        let time: chrono::DateTime<chrono::Utc> = time.parse().unwrap();
        let age = chrono::Utc::now() - time;
        assert!((0..60).contains(&age.num_seconds()), "{line}");
    }
}

fn logs_follow() {
    let lab = Lab::new();
    let id = lab.start(&[], "echo first; while [ ! -e /tmp/go ]; do sleep 0.02; done; echo last");
    let mut follower = lab.command(&["logs", "-f", &id]);
    follower.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    let mut follower = follower.spawn().unwrap();
    lab.wait_for_log(&id, "first");
    // The container ends as soon as the file is there, and may take who made it along.
    let out = lab.run(&["exec", &id, "touch", "/tmp/go"]);
    assert!(matches!(out.code, 0 | 137), "{out:?}");
    let status = crate::harness::wait_for(&mut follower, *crate::harness::PATIENCE);
    assert!(status.unwrap().success(), "it ends with the container");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut follower.stdout.take().unwrap(), &mut text).unwrap();
    assert_eq!(text, "first\nlast\n");
}

fn logs_on_disk_are_docker_s() {
    let lab = Lab::new();
    let id = finished(&lab, "echo 'a \"quoted\" line'; echo err >&2");
    let path = lab.inspect(&id, "/LogPath");
    let text = std::fs::read_to_string(path.as_str().unwrap()).unwrap();
    let mut streams: Vec<(String, String)> = text
        .lines()
        .map(|line| {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            record["time"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
            let word = |key: &str| record[key].as_str().unwrap().to_owned();
            (word("stream"), word("log"))
        })
        .collect();
    streams.sort();
    let expected = [("stderr", "err\n"), ("stdout", "a \"quoted\" line\n")];
    assert_eq!(streams, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
}

fn exec_runs_beside() {
    let lab = Lab::new();
    let id = lab.start(&["--name", "base"], "sleep 1000");
    let out = lab.ends(0, &["exec", "base", "sh", "-c", "echo out; echo err >&2"]);
    assert_eq!((out.stdout.as_str(), out.stderr.as_str()), ("out\n", "err\n"));
    // Its output is nobody else's.
    assert_eq!(lab.ok(&["logs", &id]), "");
    let out = lab.run_with(&["exec", "-i", "base", "cat"], b"through\n");
    assert_eq!(out.stdout, "through\n");
    let out = lab.run_with(&["exec", "base", "cat"], b"not passed on\n");
    assert_eq!(out.stdout, "");
}

fn exec_flags() {
    let lab = Lab::new();
    lab.start(&["--name", "base", "-e", "KEPT=yes", "-w", "/srv"], "sleep 1000");
    let show = "echo $KEPT,$NEW,$PWD,$(id -u):$(id -g),$(id -G),$HOME";
    assert_eq!(lab.ok(&["exec", "base", "sh", "-c", show]), "yes,,/srv,0:0,0,/root");
    let flags = ["exec", "-e", "NEW=1", "-w", "/tmp", "-u", "app", "base", "sh", "-c", show];
    assert_eq!(lab.ok(&flags), "yes,1,/tmp,1000:1000,1000 2000,/home/app");
    assert_eq!(lab.ok(&["exec", "-u", "5:6", "base", "sh", "-c", "id -u; id -g"]), "5\n6");
    // One that fails at once is reaped too: else the container could never end.
    for _ in 0..20 {
        lab.fails(126, "nobody-here", &["exec", "-u", "nobody-here", "base", "true"]);
    }
}

fn exec_codes() {
    let lab = Lab::new();
    lab.start(&["--name", "base"], "sleep 1000");
    lab.ends(7, &["exec", "base", "sh", "-c", "exit 7"]);
    lab.ends(137, &["exec", "base", "sh", "-c", "kill -9 $$"]);
    lab.fails(127, "no-such-program", &["exec", "base", "no-such-program"]);
    lab.fails(126, "/srv/readme", &["exec", "base", "/srv/readme"]);
    lab.fails(1, "No such container: none", &["exec", "none", "true"]);
    lab.ok(&["stop", "-t", "0", "base"]);
    lab.fails(1, "is not running", &["exec", "base", "true"]);
}

fn exec_detached() {
    let lab = Lab::new();
    lab.start(&["--name", "base"], "while [ ! -e /tmp/made ]; do sleep 0.02; done; echo seen");
    assert_eq!(lab.ok(&["exec", "-d", "base", "touch", "/tmp/made"]), "");
    assert_eq!(lab.ok(&["wait", "base"]), "0");
}

fn exec_enters_the_same_world() {
    let lab = Lab::new();
    lab.start(&["--name", "base", "--cap-drop", "NET_RAW", "-m", "64m"], "sleep 1000");
    let names = "for n in mnt pid net uts ipc cgroup; do readlink /proc/self/ns/$n; done";
    let of_first = "for n in mnt pid net uts ipc cgroup; do readlink /proc/1/ns/$n; done";
    assert_eq!(
        lab.ok(&["exec", "base", "sh", "-c", names]),
        lab.ok(&["exec", "base", "sh", "-c", of_first])
    );
    let fields = "grep -E '^(CapEff|CapBnd|Seccomp|NoNewPrivs):' /proc/$P/status";
    let of = |process: &str| {
        lab.ok(&["exec", "-e", &format!("P={process}"), "base", "sh", "-c", fields])
    };
    assert_eq!(of("self"), of("1"));
    let group = "cat /proc/$P/cgroup";
    let of =
        |process: &str| lab.ok(&["exec", "-e", &format!("P={process}"), "base", "sh", "-c", group]);
    assert_eq!(of("self"), of("1"));
}

fn start_attached_passes_input() {
    let lab = Lab::new();
    lab.ok(&[
        "create",
        "-i",
        "--name",
        "ear",
        "--network",
        "none",
        IMAGE,
        "sh",
        "-c",
        "cat; exit 4",
    ]);
    let out = lab.run_with(&["start", "-a", "-i", "ear"], b"hello\n");
    assert_eq!((out.code, out.stdout.as_str()), (4, "hello\n"));
}

fn a_reader_that_leaves_harms_nothing() {
    let lab = Lab::new();
    let mut command = lab.command(&[
        "run",
        "--name",
        "talk",
        "--network",
        "none",
        IMAGE,
        "sh",
        "-c",
        "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo line $i; done; echo end; sleep 1000",
    ]);
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Read a little, then close the pipe in its face.
    let mut output = child.stdout.take().unwrap();
    std::io::Read::read_exact(&mut output, &mut [0; 10]).unwrap();
    drop(output);
    lab.wait_for_log("talk", "line 20000");
    lab.wait_for_log("talk", "end");
    assert_eq!(lab.inspect("talk", "/State/Status"), "running");
    let _ = child.kill();
    let _ = child.wait();
}
