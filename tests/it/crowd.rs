//! Many at once: verbs that meet at one container, many containers that start together, and several
//! hundred that run together.

use std::process::{Child, Stdio};

use crate::audit::{Seen, agrees, is_clean, rows};
use crate::harness::{IMAGE, Lab, Out, Test, eventually, folder, joined, run};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        verbs_meet_at_one_container,
        one_name_is_given_once,
        a_hundred_runs_at_once,
        a_hundred_detached_runs_at_once,
        a_new_root_is_opened_by_many,
        two_hundred_run_together,
    ]
}

/// Runs all of these at once, each in a thread of its own.
fn at_once(lab: &Lab, commands: &[Vec<String>]) -> Vec<(String, Out)> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = commands
            .iter()
            .map(|words| {
                scope.spawn(move || {
                    let words: Vec<&str> = words.iter().map(String::as_str).collect();
                    (words.join(" "), run(lab.command(&words), b""))
                })
            })
            .collect();
        threads.into_iter().map(joined).collect()
    })
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

/// What a verb may say when another one was there first.
const REFUSALS: &[&str] = &[
    "is not running",
    "is already running",
    "is already paused",
    "is not paused",
    "is paused",
    "cannot start a paused container",
    "No such container",
    "cannot remove container",
    "You cannot attach to",
    "is already in use",
    "Container is not running",
    "the same name as its current name",
];

fn verbs_meet_at_one_container() {
    let lab = Lab::new();
    let mut seen = Seen::default();
    let renames = lab.run(&["rename", "--help"]).code == 0;
    for round in 0..4 {
        lab.run(&["rm", "-f", "shared"]);
        lab.run(&["rm", "-f", "other"]);
        let network = if round % 2 == 0 { "none" } else { "bridge" };
        let line = ["run", "-d", "--name", "shared", "--network", network, IMAGE, "sleep", "1000"];
        lab.ok(&line);
        let mut lines = vec![
            "start shared",
            "stop -t 0 shared",
            "restart -t 0 shared",
            "kill shared",
            "kill -s USR1 shared",
            "pause shared",
            "unpause shared",
            "exec shared true",
            "start shared",
            "restart -t 0 shared",
            "unpause shared",
            "ps -a",
            "inspect shared",
            "top shared",
            "stats --no-stream",
            "system check",
        ];
        if round == 3 {
            lines.extend(["rm -f shared", "rm shared", "rm -f shared"]);
        }
        if renames {
            lines.extend(["rename shared other", "rename other shared"]);
        }
        let commands: Vec<Vec<String>> =
            lines.iter().chain(&lines).map(|line| words(line)).collect();
        for (line, out) in at_once(&lab, &commands) {
            // A program that its container's end took along.
            let ended = line.starts_with("exec") && out.code == 137;
            let refused = REFUSALS.iter().any(|text| out.stderr.contains(text))
                || line.starts_with("inspect") && out.stderr.contains("No such object");
            assert!(
                out.code == 0 || ended || refused && out.code != 139,
                "{line}: {} {}{}",
                out.code,
                out.stdout,
                out.stderr
            );
        }
        // Paused or not, it can be ended.
        agrees(&lab, &mut seen, "after the crowd");
        is_clean(&lab);
    }
}

fn one_name_is_given_once() {
    let lab = Lab::new();
    let mut seen = Seen::default();
    for _ in 0..5 {
        let line = "run -d --name xy --network none box sleep 1000";
        let results = at_once(&lab, &vec![words(line); 8]);
        let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(|(_, out)| out.code == 0);
        assert_eq!(won.len(), 1, "{won:?} {lost:?}");
        for (_, out) in lost {
            assert_eq!(out.code, 125, "{}", out.stderr);
            assert!(out.stderr.contains("The container name \"/xy\" is already in use"), "{out:?}");
        }
        assert_eq!(lab.ok(&["ps", "-q", "--no-trunc"]), won[0].1.stdout.trim());
        agrees(&lab, &mut seen, "one won");
        lab.ok(&["rm", "-f", "xy"]);
    }
}

fn a_hundred_runs_at_once() {
    let lab = Lab::new();
    let mut seen = Seen::default();
    let commands: Vec<Vec<String>> = (0..100)
        .map(|n| {
            let network = if n % 3 == 0 { "bridge" } else { "none" };
            words(&format!("run --rm --network {network} box echo said-{n}"))
        })
        .collect();
    for (n, (line, out)) in at_once(&lab, &commands).into_iter().enumerate() {
        assert_eq!((out.code, out.stdout), (0, format!("said-{n}\n")), "{line}: {}", out.stderr);
    }
    assert_eq!(lab.ok(&["ps", "-aq"]), "");
    agrees(&lab, &mut seen, "after a hundred");
    is_clean(&lab);
}

fn a_hundred_detached_runs_at_once() {
    let lab = Lab::new();
    let mut seen = Seen::default();
    let commands: Vec<Vec<String>> = (0..100)
        .map(|n| {
            let network = if n % 3 == 0 { "bridge" } else { "none" };
            words(&format!("run -d --name n{n} --network {network} box sleep 1000"))
        })
        .collect();
    for (line, out) in at_once(&lab, &commands) {
        assert_eq!(out.code, 0, "{line}: {}", out.stderr);
    }
    assert_eq!(lab.ok(&["ps", "-q"]).lines().count(), 100);
    agrees(&lab, &mut seen, "a hundred run");
    is_clean(&lab);
    let commands: Vec<Vec<String>> = (0..100).map(|n| words(&format!("rm -f n{n}"))).collect();
    for (line, out) in at_once(&lab, &commands) {
        assert_eq!(out.code, 0, "{line}: {}", out.stderr);
    }
    assert_eq!(lab.ok(&["ps", "-aq"]), "");
    agrees(&lab, &mut seen, "a hundred are gone");
    is_clean(&lab);
}

fn a_new_root_is_opened_by_many() {
    for _ in 0..5 {
        let lab = Lab::empty();
        for (line, out) in at_once(&lab, &vec![words("ps -a"); 32]) {
            assert_eq!(out.code, 0, "{line}: {}", out.stderr);
        }
        // The built-in image is made by one, and is there for all.
        let line = words("run --rm --network none wharf/demo echo hello");
        for (line, out) in at_once(&lab, &vec![line; 8]) {
            assert_eq!((out.code, out.stdout.as_str()), (0, "hello\n"), "{line}: {}", out.stderr);
        }
        is_clean(&lab);
    }
}

/// A command that goes on until it is dropped.
struct Going(Child);

impl Drop for Going {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn two_hundred_run_together() {
    const COUNT: usize = 200;
    let lab = Lab::new();
    let mut seen = Seen::default();
    let log = folder();
    let output = std::fs::File::create(log.join("stats")).unwrap();
    let mut command = lab.command(&["stats"]);
    command.stdin(Stdio::null()).stdout(output).stderr(Stdio::null());
    let watcher = Going(command.spawn().unwrap());
    let start = |lab: &Lab, lines: &[Vec<String>]| {
        for chunk in lines.chunks(20) {
            for (line, out) in at_once(lab, chunk) {
                assert_eq!(out.code, 0, "{line}: {}", out.stderr);
            }
        }
    };
    let lines: Vec<Vec<String>> = (0..COUNT)
        .map(|n| {
            let network = if n % 5 == 0 { "bridge" } else { "none" };
            words(&format!("run -d --name n{n} --network {network} box sleep 100000"))
        })
        .collect();
    start(&lab, &lines);
    assert_eq!(lab.ok(&["ps", "-q"]).lines().count(), COUNT);
    assert_eq!(lab.ok(&["stats", "--no-stream"]).lines().count(), COUNT + 1);
    agrees(&lab, &mut seen, "all run");
    is_clean(&lab);
    // Whoever has watched from the start has them all.
    eventually("all are sampled", || {
        let text = std::fs::read_to_string(log.join("stats")).unwrap();
        (0..COUNT).all(|n| text.contains(&format!("n{n} ")))
    });
    let names: Vec<String> = (0..COUNT).map(|n| format!("n{n}")).collect();
    let all: Vec<&str> =
        ["stop", "-t", "0"].into_iter().chain(names.iter().map(String::as_str)).collect();
    lab.ok(&all);
    assert!(rows(&lab).iter().all(|row| row.status == "exited"));
    agrees(&lab, &mut seen, "all are stopped");
    let all: Vec<&str> = ["rm"].into_iter().chain(names.iter().map(String::as_str)).collect();
    lab.ok(&all);
    drop(watcher);
    std::fs::remove_dir_all(log).unwrap();
    agrees(&lab, &mut seen, "all are gone");
    is_clean(&lab);
}
