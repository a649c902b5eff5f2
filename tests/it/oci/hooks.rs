//! Hooks: when they run, where, and what they are told.

use std::fs;

use serde_json::{Value, json};

use super::Bench;
use crate::harness::Test;
use crate::tests;

pub(super) fn tests() -> Vec<Test> {
    tests![hooks_run_in_their_order_and_place, a_failed_hook_takes_the_container_back,]
}

/// Returns a hook that writes its name, its view of a file, and the state that it reads.
fn hook(name: &str, to: &str) -> Value {
    let line =
        format!("echo {name} $(test -e /srv/readme && echo inside || echo outside) $(cat) >>{to}");
    json!({"path": "/bin/sh", "args": ["sh", "-c", line], "env": ["PATH=/bin:/usr/bin"], "timeout": 60})
}

fn hooks_run_in_their_order_and_place() {
    let bench = Bench::new();
    let mut config = bench.config("echo program >>/out/log");
    fs::create_dir(bench.path("out")).unwrap();
    let out = bench.path("out/log").display().to_string();
    let mounts = config["mounts"].as_array_mut().unwrap();
    mounts.push(json!({"destination": "/out", "type": "bind", "source": bench.path("out"),
        "options": ["rbind", "rw"]}));
    config["hooks"] = json!({
        "prestart": [hook("prestart", &out)],
        "createRuntime": [hook("createRuntime1", &out), hook("createRuntime2", &out)],
        "createContainer": [hook("createContainer", &out)],
        "startContainer": [hook("startContainer", "/out/log")],
        "poststart": [hook("poststart", &out)],
        "poststop": [hook("poststop", &out), {"path": "/bin/false"}, hook("last", &out)],
    });
    config["annotations"] = json!({"a": "b"});
    bench.create(&config, &[], "c");
    let pid = bench.state("c")["pid"].as_i64().unwrap();
    bench.ok(&["start", "c"]);
    crate::harness::eventually("it has ended", || bench.status("c") == "stopped");
    // One that fails at the end is told of, and no reason to stop.
    let removed = bench.run(&["delete", "c"]);
    assert!(removed.code == 0 && removed.stderr.contains("/bin/false"), "{removed:?}");
    let text = fs::read_to_string(bench.path("out/log")).unwrap();
    let mut found: Vec<(String, String, Value)> = Vec::new();
    for line in text.lines() {
        let mut words = line.splitn(3, ' ');
        let name = words.next().unwrap().to_owned();
        let place = words.next().unwrap_or_default().to_owned();
        found.push((
            name,
            place,
            words.next().map_or(Value::Null, |s| serde_json::from_str(s).unwrap()),
        ));
    }
    // The program runs beside the hook that comes after its start.
    let program = found.iter().position(|(name, ..)| name == "program").unwrap();
    assert!(program == 5 || program == 6, "{text}");
    found.remove(program);
    let seen: Vec<(&str, &str, &str)> = found
        .iter()
        .map(|(name, place, state)| {
            (name.as_str(), place.as_str(), state["status"].as_str().unwrap())
        })
        .collect();
    let expected = [
        ("prestart", "outside", "created"),
        ("createRuntime1", "outside", "created"),
        ("createRuntime2", "outside", "created"),
        // In the container's namespaces, before its root is the root.
        ("createContainer", "outside", "created"),
        ("startContainer", "inside", "created"),
        ("poststart", "outside", "running"),
        ("poststop", "outside", "stopped"),
        ("last", "outside", "stopped"),
    ];
    assert_eq!(seen, expected);
    for (name, _, state) in &found {
        assert_eq!(state["id"], "c");
        assert_eq!(state["bundle"], bench.bundle().to_str().unwrap());
        assert_eq!(state["annotations"], json!({"a": "b"}));
        match state["status"].as_str() {
            Some("stopped") => assert!(state.get("pid").is_none(), "{name}"),
            _ => assert_eq!(state["pid"], pid, "{name}"),
        }
    }
}

fn a_failed_hook_takes_the_container_back() {
    let bench = Bench::new();
    let told = bench.path("told").display().to_string();
    for kind in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart"] {
        let mut config = bench.config("sleep 1000");
        config["hooks"] = json!({
            kind: [{"path": "/bin/sh", "args": ["sh", "-c", "echo for a reason >&2; exit 3"]}],
            "poststop": [hook("poststop", &told)],
        });
        let created = bench.try_create(&config, &[], "c");
        let out = match kind {
            "startContainer" | "poststart" => {
                assert_eq!(created.code, 0, "{created:?}");
                let out = bench.run(&["start", "c"]);
                crate::harness::eventually("it has ended", || bench.status("c") == "stopped");
                bench.ok(&["delete", "c"]);
                out
            }
            _ => created,
        };
        let says = format!("error running {kind} hook /bin/sh: exit status 3: for a reason");
        assert!(out.code == 1 && out.stderr.contains(&says), "{kind}: {out:?}");
        assert_eq!(bench.remains(), Vec::<std::path::PathBuf>::new(), "{kind}");
        // The last hooks take back what others before them have made.
        let text = fs::read_to_string(bench.path("told")).unwrap();
        assert!(
            text.starts_with("poststop outside") && text.lines().count() == 1,
            "{kind}: {text}"
        );
        fs::remove_file(bench.path("told")).unwrap();
    }
    let mut config = bench.config("true");
    let slow = json!({"path": "/bin/sleep", "args": ["sleep", "1000"], "timeout": 1});
    config["hooks"] = json!({"createRuntime": [slow]});
    let out = bench.try_create(&config, &[], "c");
    assert!(out.code == 1 && out.stderr.contains("it took longer than 1 s"), "{out:?}");
}
