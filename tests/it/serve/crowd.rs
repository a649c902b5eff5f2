//! Many at once, and for long: what dashboards and monitors ask of an engine.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::Served;
use crate::harness::{
    IMAGE, PATIENCE, Test, eventually, joined, lacks_programs, readable, wait_for,
};

pub(crate) fn tests() -> Vec<Test> {
    let lacks = lacks_programs(&["docker", "curl"]);
    [
        Test::new("twenty_are_measured_at_once", measured),
        Test::new("events_tell_of_a_hundred", told),
        Test::new("a_log_is_followed_through_restarts", followed),
    ]
    .into_iter()
    .map(|test| test.needing(lacks.clone()))
    .collect()
}

fn begin(served: &Served, words: &[&str]) -> Child {
    let mut command = served.docker_command(words);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

fn end(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn measured() {
    let served = Served::new();
    served.lab.ok(&["network", "create", "front"]);
    served.lab.ok(&["network", "create", "back"]);
    let name = |number: usize| format!("one-{number}");
    for number in 0..20 {
        let line = "exec sleep 1000";
        served.lab.start(&["--name", &name(number)], line);
    }
    served.docker(&["run", "-d", "--name", "linked", "--network", "front", IMAGE, "sleep", "1000"]);
    served.docker(&["network", "connect", "back", "linked"]);
    // A stream for each, as docker's own client has it, and one that asks once.
    let mut child = begin(&served, &["stats", "--format", "{{.Name}} {{.PIDs}}"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut seen = BTreeMap::new();
    while seen.len() < 21 {
        assert!(!lines.buffer().is_empty() || readable(lines.get_ref(), *PATIENCE), "{seen:?}");
        let mut line = String::new();
        assert!(lines.read_line(&mut line).unwrap() > 0, "{seen:?}");
        // Each screen begins with an order to the terminal.
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [.., name, "1"] = words[..] {
            let plain = name.rsplit(['H', 'J', 'K']).next().unwrap_or(name);
            seen.insert(plain.to_owned(), ());
        }
    }
    let names: Vec<String> = (0..20).map(name).chain(["linked".to_owned()]).collect();
    let documents: BTreeMap<&String, Value> = std::thread::scope(|scope| {
        let served = &served;
        let ask =
            |name: &str| served.ask("GET", &format!("/containers/{name}/stats?stream=0"), None);
        let asked: Vec<_> =
            names.iter().map(|name| (name, scope.spawn(move || ask(name)))).collect();
        asked.into_iter().map(|(name, asked)| (name, joined(asked).json())).collect()
    });
    end(child);
    for (name, document) in documents {
        assert_eq!(document["name"], format!("/{name}"));
        assert_ne!(document["preread"], "0001-01-01T00:00:00Z", "{document}");
        // Interfaces have their own names and counters.
        match name.as_str() {
            "linked" => {
                let networks = document["networks"].as_object().unwrap();
                assert_eq!(networks.keys().collect::<Vec<_>>(), ["eth0", "eth1"], "{document}");
                assert!(networks["eth0"]["tx_bytes"].is_u64(), "{document}");
            }
            _ => assert!(document["networks"].is_null(), "{document}"),
        }
    }
    // Nobody is sampled for when nobody looks.
    let threads = || std::fs::read_dir(format!("/proc/{}/task", served.pid())).unwrap().flatten();
    let samples = || {
        threads().any(|thread| {
            std::fs::read_to_string(thread.path().join("comm"))
                .is_ok_and(|name| name.trim() == "sampler")
        })
    };
    eventually("the sampler rests", || !samples());
}

fn told() {
    let served = Served::new();
    let child = begin(&served, &["events", "--filter", "type=container", "--format", "{{json .}}"]);
    let mut slow = begin(&served, &["events"]);
    let mut child = child;
    let output = child.stdout.take().unwrap();
    let listens = {
        let output = output.as_fd().try_clone_to_owned().unwrap();
        move || readable(&output, Duration::from_millis(200))
    };
    let mut lines = BufReader::new(output);
    let mut actions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut next = |actions: &mut BTreeMap<String, Vec<String>>| {
        assert!(!lines.buffer().is_empty() || readable(lines.get_ref(), *PATIENCE), "{actions:?}");
        let mut line = String::new();
        assert!(lines.read_line(&mut line).unwrap() > 0, "{actions:?}");
        let event: Value = serde_json::from_str(&line).unwrap();
        let name = event["Actor"]["Attributes"]["name"].as_str().unwrap().to_owned();
        actions.entry(name).or_default().push(event["Action"].as_str().unwrap().to_owned());
    };
    // Whoever listens hears of the next thing that happens: so it is known that they do.
    for number in 0.. {
        served.lab.ok(&["create", "--name", &format!("first-{number}"), IMAGE, "true"]);
        if listens() {
            break;
        }
    }
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let served = &served;
            scope.spawn(move || {
                for number in 0..25 {
                    let name = format!("go-{worker}-{number}");
                    served.lab.ok(&[
                        "run",
                        "--rm",
                        "--name",
                        &name,
                        "--network",
                        "none",
                        IMAGE,
                        "true",
                    ]);
                }
            });
        }
    });
    let ended = |actions: &BTreeMap<String, Vec<String>>| {
        actions.values().filter(|of| of.iter().any(|action| action == "destroy")).count()
    };
    while ended(&actions) < 100 {
        next(&mut actions);
    }
    actions.retain(|name, _| !name.starts_with("first-"));
    for (name, of) in &actions {
        let order = |action: &str| of.iter().position(|found| found == action);
        let life = ["create", "start", "die", "destroy"].map(order);
        assert!(life.is_sorted() && life[0].is_some(), "{name}: {of:?}");
        assert_eq!(of.iter().filter(|action| *action == "start").count(), 1, "{name}: {of:?}");
    }
    assert_eq!(actions.len(), 100);
    end(child);
    assert!(slow.try_wait().unwrap().is_none(), "a client that reads nothing is waited for");
    end(slow);
}

fn followed() {
    let served = Served::new();
    let line = "trap 'exit 1' USR1; trap 'echo ended; exit 0' TERM; echo begun; \
                while :; do sleep 0.1; done";
    served.docker(&[
        "run",
        "-d",
        "--name",
        "web",
        "--network",
        "none",
        "--restart",
        "on-failure",
        IMAGE,
        "sh",
        "-c",
        line,
    ]);
    let mut follow = begin(&served, &["logs", "-f", "web"]);
    let mut output = follow.stdout.take().unwrap();
    let mut seen = String::new();
    let mut until = |count: usize, word: &str| {
        while seen.matches(word).count() < count {
            assert!(readable(&output, *PATIENCE), "{seen:?}");
            let mut chunk = [0; 4096];
            let length = output.read(&mut chunk).unwrap();
            if length == 0 {
                return false;
            }
            seen.push_str(std::str::from_utf8(&chunk[..length]).unwrap());
        }
        true
    };
    assert!(until(1, "begun"));
    // Its own policy starts it again: the log goes on.
    for round in 2..4 {
        served.docker(&["exec", "web", "kill", "-USR1", "1"]);
        assert!(until(round, "begun"), "round {round}");
    }
    served.docker(&["stop", "-t", &PATIENCE.as_secs().to_string(), "web"]);
    assert!(until(1, "ended"));
    // As with docker, a stop by hand is the log's end.
    assert!(!until(9, "begun"));
    assert!(wait_for(&mut follow, *PATIENCE).unwrap().success());
    let all = served.docker(&["logs", "web"]);
    assert_eq!(all.matches("begun").count(), 3, "{all}");
}
