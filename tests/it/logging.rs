//! Log drivers, their options, rotation and compression.

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{IMAGE, Lab, Test, eventually};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        rotation_loses_nothing_under_a_follower,
        local_rotates_and_compresses_by_itself,
        parts_of_a_rotated_log,
        long_lines_and_bytes_survive,
        none_keeps_nothing,
        details,
        options_are_checked,
        many_short_lines,
        a_log_that_is_not_waited_for,
        a_log_that_is_not_waited_for_rotates,
    ]
}

/// Returns the names of a container's log files.
fn files(lab: &Lab, id: &str) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(lab.root().join("containers").join(id))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.split_once("-json.log").map(|(_, rest)| rest.to_owned()))
        .collect();
    names.sort();
    names
}

/// A shell line that writes numbered lines.
fn numbers(count: u32) -> String {
    format!("awk 'BEGIN {{ while (++i <= {count}) printf \"line %06d of the log\\n\", i }}'")
}

#[track_caller]
fn assert_numbers(text: &str, from: u32, to: u32) {
    let mut lines = text.lines();
    for number in from..=to {
        assert_eq!(lines.next(), Some(format!("line {number:06} of the log").as_str()));
    }
    assert_eq!(lines.next(), None);
}

fn rotation_loses_nothing_under_a_follower() {
    let lab = Lab::new();
    const COUNT: u32 = 10_000;
    for compress in ["false", "true"] {
        let id = lab.start(
            &[
                "--log-opt",
                "max-size=50k",
                "--log-opt",
                "max-file=100",
                "--log-opt",
                &format!("compress={compress}"),
            ],
            &format!(
                "until test -e /tmp/go; do sleep 0.01; done; {}; \
                 until test -e /tmp/end; do sleep 0.01; done",
                numbers(COUNT)
            ),
        );
        std::thread::scope(|scope| {
            let follower = scope.spawn(|| lab.ok(&["logs", "-f", &id]));
            lab.ok(&["exec", &id, "touch", "/tmp/go"]);
            lab.wait_for_log(&id, &format!("line {COUNT:06}"));
            assert_numbers(&lab.ok(&["logs", &id]), 1, COUNT);
            eventually("the old files are as they are to be", || {
                let names = files(&lab, &id);
                let old: Vec<&String> = names.iter().filter(|name| !name.is_empty()).collect();
                let packed = old.iter().filter(|name| name.ends_with(".gz")).count();
                old.len() > 3 && packed == if compress == "true" { old.len() } else { 0 }
            });
            assert_numbers(&lab.ok(&["logs", &id]), 1, COUNT);
            // The container ends as soon as the file is there, and may take who made it along.
            let out = lab.run(&["exec", &id, "touch", "/tmp/end"]);
            assert!(matches!(out.code, 0 | 137), "{out:?}");
            assert_numbers(&follower.join().unwrap(), 1, COUNT);
        });
        lab.ok(&["rm", "-f", &id]);
    }
}

fn local_rotates_and_compresses_by_itself() {
    let lab = Lab::new();
    let id = lab.start(
        &["--log-driver", "local", "--log-opt", "max-size=100k"],
        &format!("{}; echo done; sleep 1000", numbers(30_000)),
    );
    lab.wait_for_log(&id, "done");
    assert_eq!(lab.inspect(&id, "/HostConfig/LogConfig/Type"), "local");
    eventually("five files, the old ones compressed", || {
        files(&lab, &id) == ["", ".1.gz", ".2.gz", ".3.gz", ".4.gz", ".removed"]
    });
    let text = lab.ok(&["logs", &id]);
    let first: u32 = text.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(first > 10_000, "the oldest are gone: {first}");
    assert_numbers(text.strip_suffix("\ndone").unwrap(), first, 30_000);
    // What is packed is smaller than what it was made of.
    let folder = lab.root().join("containers").join(&id);
    let size = std::fs::metadata(folder.join(format!("{id}-json.log.1.gz"))).unwrap().len();
    assert!(size < 30_000, "{size}");
    // How much the oldest had is remembered: whole files of a little more than the size.
    let removed = std::fs::read_to_string(folder.join(format!("{id}-json.log.removed"))).unwrap();
    let removed: u32 = removed.trim_end().parse().unwrap();
    assert!(removed > 100_000 && removed > first * 80, "{removed} bytes, {first} lines");
}

fn parts_of_a_rotated_log() {
    let lab = Lab::new();
    let line = format!(
        "{}; sleep 0.3; date -u +%s.%N; sleep 0.3; {} | sed s/line/later/; echo done; sleep 1000",
        numbers(3000),
        numbers(3000)
    );
    let options = ["--log-opt=max-size=50k", "--log-opt=max-file=50", "--log-opt=compress=true"];
    let id = lab.start(&options, &line);
    lab.wait_for_log(&id, "done");
    eventually("files are compressed", || {
        files(&lab, &id).iter().filter(|name| name.ends_with(".gz")).count() > 1
    });
    let text = lab.ok(&["logs", "--tail", "2001", &id]);
    assert!(text.starts_with("later 001001 of the log\n"), "{}", &text[..60]);
    // The instant between the halves, as the engine knows it.
    let times = lab.ok(&["logs", "-t", &id]);
    let middle = times.lines().nth(3000).unwrap().split(' ').next().unwrap();
    let before = lab.ok(&["logs", "--until", middle, &id]);
    assert_numbers(&before, 1, 3000);
    let after = lab.ok(&["logs", "--since", middle, &id]);
    assert_eq!(after.lines().count(), 3002);
    assert_eq!(lab.ok(&["logs", "--since", middle, "--until", middle, &id]), "");
    lab.ok(&["stop", "-t", "0", &id]);
    lab.ok(&["start", &id]);
    lab.ok(&["rm", "-f", &id]);
}

fn long_lines_and_bytes_survive() {
    let lab = Lab::new();
    for driver in ["json-file", "local"] {
        let line = "head -c 1000000 /dev/zero | tr '\\0' x; echo; printf 'a\\200\\377z\\0\\033[1m\\n'; \
                    printf 'no newline'";
        let id = lab.start(&["--log-driver", driver], line);
        lab.ok(&["wait", &id]);
        let out = lab.command(&["logs", &id]).output().unwrap();
        let mut lines = out.stdout.split(|byte| *byte == b'\n');
        let long = lines.next().unwrap();
        assert!(long.len() == 1_000_000 && long.iter().all(|byte| *byte == b'x'));
        // As with docker, what isn't UTF-8 becomes U+FFFD.
        assert_eq!(lines.next().unwrap(), "a\u{fffd}\u{fffd}z\0\u{1b}[1m".as_bytes());
        assert_eq!(lines.next().unwrap(), b"no newline");
    }
}

fn none_keeps_nothing() {
    let lab = Lab::new();
    let flags = ["run", "--name", "quiet", "--network", "none", "--log-driver", "none", IMAGE];
    let out = lab.ok(&[&flags[..], &["sh", "-c", "echo seen"]].concat());
    assert_eq!(out, "seen", "who is attached still sees it");
    let id = lab.inspect("quiet", "/Id").as_str().unwrap().to_owned();
    assert_eq!(files(&lab, &id), Vec::<String>::new());
    lab.fails(1, "configured logging driver does not support reading", &["logs", "quiet"]);
    lab.fails(1, "configured logging driver does not support reading", &["logs", "-f", "quiet"]);
    assert_eq!(lab.inspect("quiet", "/LogPath"), "");
}

fn details() {
    let lab = Lab::new();
    let id = lab.start(
        &[
            "--name",
            "teller",
            "--label",
            "tier=front end",
            "--label",
            "other=x",
            "-e",
            "REGION=eu",
            "--log-opt",
            "labels=tier,nope",
            "--log-opt",
            "env-regex=^REG",
            "--log-opt",
            "tag={{.Name}}",
        ],
        "echo one; echo two",
    );
    lab.ok(&["wait", &id]);
    let expected =
        "REGION=eu,tag=teller,tier=front+end one\nREGION=eu,tag=teller,tier=front+end two";
    assert_eq!(lab.ok(&["logs", "--details", &id]), expected);
    assert_eq!(lab.ok(&["logs", &id]), "one\ntwo");
    let plain = lab.start(&[], "echo one");
    lab.ok(&["wait", &plain]);
    assert_eq!(lab.ok(&["logs", "--details", &plain]), " one", "as docker writes it");
}

fn options_are_checked() {
    let lab = Lab::new();
    for (flags, says) in [
        (&["--log-opt", "foo=1"][..], "unknown log opt 'foo' for json-file log driver"),
        (&["--log-driver=local", "--log-opt=tag=x"], "unknown log opt 'tag' for local log driver"),
        (&["--log-driver", "none", "--log-opt", "a=b"], "invalid logging opts for driver none"),
        (&["--log-driver", "syslog"], "--log-driver syslog is not supported yet"),
        (&["--log-driver", "odd"], "no log driver named 'odd' is registered"),
        (&["--log-opt", "max-file=0"], "max-file cannot be less than 1"),
        (&["--log-opt", "max-size=lots"], "invalid size: 'lots'"),
        (&["--log-opt", "compress=true"], "compress cannot be true when max-file is less than 2"),
        (&["--log-opt", "mode=sideways"], "logging mode not supported: sideways"),
        (&["--log-opt", "max-buffer-size=1m"], "only supported with 'mode=non-blocking'"),
    ] {
        lab.fails(125, says, &[&["run", "-d"], flags, &[IMAGE, "true"]].concat());
    }
    assert_eq!(lab.ok(&["ps", "-aq"]), "");
}

fn many_short_lines() {
    let lab = Lab::new();
    // Faster than a shell can count: what is lost would show in the sum.
    let id = lab.start(&[], "yes 'a short line' | head -n 50000");
    assert_eq!(lab.ok(&["wait", &id]), "0");
    let text = lab.ok(&["logs", &id]);
    assert_eq!(text.lines().count(), 50_000);
    assert!(text.lines().all(|line| line == "a short line"));
}

/// Returns the process that writes the log of a container that doesn't wait for it.
fn log_writer(supervisor: i32) -> Option<Pid> {
    let children = format!("/proc/{supervisor}/task/{supervisor}/children");
    let children = std::fs::read_to_string(children).unwrap();
    children.split_whitespace().find_map(|pid| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        (name.trim() == "wharf-log").then(|| Pid::from_raw(pid.parse().unwrap()).unwrap())
    })
}

fn a_log_that_is_not_waited_for() {
    let lab = Lab::new();
    let id = lab.start(
        &["--name", "loud", "--log-opt", "mode=non-blocking", "--log-opt", "max-buffer-size=256k"],
        &format!(
            "rm -f /tmp/go /tmp/end; echo first; until test -e /tmp/go; do sleep 0.01; done; {}; echo all >/tmp/written; \
             until test -e /tmp/end; do sleep 0.01; done; echo last",
            numbers(100_000)
        ),
    );
    lab.wait_for_log("loud", "first");
    let supervisor = crate::harness::parent_of(lab.pid("loud"));
    let writer = log_writer(supervisor).expect("somebody writes the log");
    // As if the disk took nothing more.
    kill_process(writer, Signal::STOP).unwrap();
    lab.ok(&["exec", "loud", "touch", "/tmp/go"]);
    eventually("it goes on without its log", || {
        lab.run(&["exec", "loud", "cat", "/tmp/written"]).stdout == "all\n"
    });
    assert_eq!(lab.ok(&["logs", "loud"]), "first", "nothing was written meanwhile");
    kill_process(writer, Signal::CONT).unwrap();
    let out = lab.run(&["exec", "loud", "touch", "/tmp/end"]);
    assert!(matches!(out.code, 0 | 137), "{out:?}");
    assert_eq!(lab.ok(&["wait", "loud"]), "0");
    let out = lab.ends(0, &["logs", "loud"]);
    let (said, kept): (Vec<&str>, Vec<&str>) =
        (out.stderr.lines().collect(), out.stdout.lines().collect());
    assert_eq!((kept[0], *kept.last().unwrap()), ("first", "last"));
    let number = |word: &str| word.parse::<usize>().ok();
    let lost: Vec<usize> =
        said.iter().flat_map(|line| line.split(' ').filter_map(number)).collect();
    assert!(!said.is_empty() && said.iter().all(|line| line.starts_with("wharf: dropped ")));
    // Each line came whole or was counted; a gap may tear the line before it, which then counts as both.
    let whole: Vec<&&str> = kept.iter().filter(|line| line.ends_with(" of the log")).collect();
    let counted: usize = lost.chunks(2).map(|pair| pair[1]).sum();
    assert_eq!(whole.len() + counted, 100_000, "{said:?}");
    assert!(counted > 50_000 && whole.len() > 5_000, "{counted} lost, {} kept", whole.len());
    // And again: what ends by itself is replaced.
    lab.ok(&["start", "loud"]);
    lab.wait_for_log(&id, "last\nfirst");
    let writer = log_writer(crate::harness::parent_of(lab.pid("loud"))).unwrap();
    kill_process(writer, Signal::KILL).unwrap();
    lab.ok(&["exec", "loud", "touch", "/tmp/end"]);
    lab.ok(&["rm", "-f", "loud"]);
}

fn a_log_that_is_not_waited_for_rotates() {
    let lab = Lab::new();
    const COUNT: u32 = 20_000;
    let opts = ["mode=non-blocking", "max-buffer-size=64m", "max-size=100k", "max-file=50"];
    let mut flags: Vec<&str> = opts.iter().flat_map(|opt| ["--log-opt", *opt]).collect();
    flags.extend(["--log-opt", "compress=true"]);
    let id = lab.start(&flags, &numbers(COUNT));
    assert_eq!(lab.ok(&["wait", &id]), "0");
    assert_numbers(&lab.ok(&["logs", &id]), 1, COUNT);
    assert!(files(&lab, &id).iter().any(|name| name.ends_with(".gz")), "{:?}", files(&lab, &id));
}
