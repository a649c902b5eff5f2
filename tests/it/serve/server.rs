//! The server itself: its socket, its end, and that containers don't notice either.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use super::{Served, ask, docker, server};
use crate::harness::{IMAGE, Lab, PATIENCE, Test, eventually, run, wait_for};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_killed_server_harms_nothing,
        several_serve_one_engine,
        the_socket_is_for_its_group,
        an_idle_server_ends,
        a_service_manager_hands_the_socket_over,
        settings_hold_for_command_line_and_server,
    ]
}

fn a_killed_server_harms_nothing() {
    let mut served = Served::new();
    served
        .lab
        .start(&["--name", "talk"], "i=0; while :; do echo line $i; i=$((i+1)); sleep 0.1; done");
    let id = served.lab.ok(&["inspect", "-f", "{{.Id}}", "talk"]);
    let started = served.lab.inspect("talk", "/State/StartedAt");
    // Streams of every kind, in the middle of which the server goes.
    let begin = |words: &[&str]| {
        let mut command = docker(&served.host(), words);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    };
    let mut clients = [
        begin(&["logs", "-f", "talk"]),
        begin(&["attach", "--no-stdin", "talk"]),
        begin(&["exec", "talk", "sleep", "1000"]),
        begin(&["events"]),
        begin(&["wait", "talk"]),
        begin(&["run", "--rm", "--name", "second", "--network", "none", IMAGE, "sleep", "1000"]),
    ];
    for reader in &clients[..2] {
        assert!(crate::harness::readable(reader.stdout.as_ref().unwrap(), *PATIENCE));
    }
    served.lab.wait_for_log("talk", "line 3");
    eventually("the second one runs", || served.lab.ok(&["ps", "-q"]).lines().count() == 2);
    served.kill();
    for client in &mut clients {
        assert!(wait_for(client, *PATIENCE).is_some(), "a client hears of the end");
    }
    let goes_on = |lab: &Lab| {
        let seen = lab.ok(&["logs", "talk"]).lines().count();
        eventually("it goes on", || lab.ok(&["logs", "talk"]).lines().count() > seen + 2);
    };
    goes_on(&served.lab);
    assert_eq!(served.lab.inspect("talk", "/State/StartedAt"), started);
    assert_eq!(served.lab.inspect("second", "/State/Status"), "running");
    served.restart();
    assert_eq!(served.docker(&["inspect", "-f", "{{.Id}}", "talk"]), id);
    assert_eq!(served.docker(&["logs", "-n", "1", "talk"]).split(' ').next(), Some("line"));
    assert_eq!(served.docker(&["exec", "talk", "echo", "again"]), "again");
    served.docker(&["stop", "-t", "0", "second", "talk"]);
    eventually("it is removed at its end", || served.lab.run(&["inspect", "second"]).code != 0);
}

fn several_serve_one_engine() {
    let served = Served::new();
    let other = served.lab.root().join("other.sock");
    let mut second = server(&served.lab, &other, &[]);
    let host = format!("unix://{}", other.display());
    let there = |words: &[&str]| {
        let out = run(docker(&host, words), b"");
        assert_eq!(out.code, 0, "{words:?}: {out:?}");
        out.stdout.trim_end().to_owned()
    };
    served.docker(&["run", "-d", "--name", "one", "--network", "none", IMAGE, "sleep", "1000"]);
    assert_eq!(there(&["ps", "--format", "{{.Names}}"]), "one");
    let mut waiting = docker(&host, &["wait", "one"]).stdout(Stdio::piped()).spawn().unwrap();
    served.docker(&[
        "create",
        "--name",
        "two",
        "--network",
        "none",
        IMAGE,
        "sh",
        "-c",
        "sleep 1; echo hi",
    ]);
    // Attached at one server, started at the other.
    let mut attached =
        served.docker_command(&["start", "-a", "one"]).stdout(Stdio::null()).spawn().unwrap();
    there(&["start", "two"]);
    there(&["wait", "two"]);
    there(&["stop", "-t", "0", "one"]);
    assert!(wait_for(&mut waiting, *PATIENCE).unwrap().success());
    assert!(wait_for(&mut attached, *PATIENCE).is_some());
    // The same place can't be had twice, and the first keeps it.
    let host = served.host();
    served.lab.fails(1, "another server listens there", &["serve", "--host", &host]);
    assert_eq!(served.ask("GET", "/_ping", None).body, "OK");
    let _ = rustix::process::kill_process(
        rustix::process::Pid::from_child(&second),
        rustix::process::Signal::INT,
    );
    assert!(wait_for(&mut second, *PATIENCE).unwrap().success());
    assert!(!other.exists());
}

fn the_socket_is_for_its_group() {
    let lab = Lab::empty();
    let path = lab.root().join("deep/x.sock");
    let mut child = server(&lab, &path, &["--group", "4242"]);
    let found = std::fs::metadata(&path).unwrap();
    assert_eq!((found.permissions().mode() & 0o7777, found.gid()), (0o660, 4242));
    // A killed server's file is replaced.
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(path.exists());
    let mut child = server(&lab, &path, &[]);
    assert_eq!(ask(&path, "GET", "/_ping", None).status, 200);
    child.kill().unwrap();
    child.wait().unwrap();
    for (flags, says) in [
        (&["--host", "tcp://127.0.0.1:2375"][..], "give --tlsverify, --tlscacert, --tlscert"),
        (&["--host", "x.sock"], "unable to parse host `x.sock`"),
        (&["--group", "no-such-group"], "is not in /etc/group"),
    ] {
        lab.fails(1, says, &[&["serve"], flags].concat());
    }
    lab.fails(125, "invalid duration", &["serve", "--idle-timeout", "x"]);
}

fn an_idle_server_ends() {
    let lab = Lab::new();
    let path = lab.root().join("idle.sock");
    let mut child = server(&lab, &path, &["--idle-timeout", "1s"]);
    lab.start(&["--name", "talk"], "sleep 2; echo late");
    // A stream keeps it, for longer than it would wait for anybody.
    let host = format!("unix://{}", path.display());
    let out = run(docker(&host, &["logs", "-f", "talk"]), b"");
    assert_eq!((out.code, out.stdout.as_str()), (0, "late\n"), "{out:?}");
    assert!(wait_for(&mut child, *PATIENCE).unwrap().success());
    assert!(!path.exists());
}

fn a_service_manager_hands_the_socket_over() {
    let lab = Lab::empty();
    std::fs::create_dir_all(lab.root()).unwrap();
    let path = lab.root().join("given.sock");
    let listener = UnixListener::bind(&path).unwrap();
    // A shell puts it where a service manager does, and becomes the server.
    let mut command = Command::new("sh");
    let line =
        "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" serve --idle-timeout 1s";
    command.args(["-c", line]).arg(crate::harness::binary()).env("WHARF_ROOT", lab.root());
    command.stdin(Stdio::from(std::os::fd::OwnedFd::from(listener)));
    let mut child = command.spawn().unwrap();
    assert_eq!(ask(&path, "GET", "/_ping", None).body, "OK");
    assert!(wait_for(&mut child, *PATIENCE).unwrap().success());
    assert!(path.exists(), "it is the service manager's");
}

fn settings_hold_for_command_line_and_server() {
    let lab = Lab::new();
    lab.configure(
        "[log]\ndriver = \"local\"\noptions = { max-size = \"3m\", max-file = \"2\" }\n[registry]\n\
         insecure = [\"registry.lan:5000\", \"10.0.0.0/8\"]\nmirrors = [\"https://mirror.lan\"]\n",
    );
    let checked = lab.ok(&["config", "check"]);
    assert!(checked.contains("config.toml is fine"), "{checked}");
    let served = Served::over(lab);
    let info = served.ask("GET", "/info", None).json();
    assert_eq!(info["LoggingDriver"], "local");
    let registries = &info["RegistryConfig"];
    assert_eq!(registries["Mirrors"], serde_json::json!(["https://mirror.lan"]));
    assert_eq!(registries["IndexConfigs"]["registry.lan:5000"]["Secure"], false);
    assert_eq!(registries["IndexConfigs"]["docker.io"]["Secure"], true);
    assert_eq!(registries["InsecureRegistryCIDRs"][2], "10.0.0.0/8");
    let log = |name: &str| served.lab.inspect(name, "/HostConfig/LogConfig");
    let plain = serde_json::json!({"Type": "local", "Config": {"max-size": "3m", "max-file": "2"}});
    let own = serde_json::json!({"Type": "local", "Config": {"max-size": "1m", "max-file": "2"}});
    let other = serde_json::json!({"Type": "json-file", "Config": {}});
    fn words<'w>(name: &'w str, flags: &[&'w str]) -> Vec<&'w str> {
        [&["create", "--name", name, "--network", "none"][..], flags, &[IMAGE, "true"]].concat()
    }
    for (name, flags, wanted) in [
        ("plain", &[][..], &plain),
        ("own", &["--log-opt", "max-size=1m"], &own),
        ("other", &["--log-driver", "json-file"], &other),
    ] {
        served.lab.ok(&words(name, flags));
        assert_eq!(log(name), *wanted, "{name}");
        let by_api = format!("api-{name}");
        served.docker(&words(&by_api, flags));
        assert_eq!(log(&by_api), *wanted, "{by_api}");
    }
    drop(served);
    // A file that can't be understood as a whole isn't half in force.
    let lab = Lab::empty();
    lab.configure("[log]\ndrver = \"local\"\n[network]\nicc = maybe\n");
    let says = "config.toml:4:7: ";
    lab.fails(1, says, &["config", "check"]);
    lab.configure("mouse = false\n[log]\ndrver = \"local\"\n");
    let says = "config.toml:3:1: there is no setting log.drver: did you mean driver?";
    lab.fails(1, says, &["config", "check"]);
    lab.fails(1, "config.toml:1:1: mouse is not the engine's", &["config", "check"]);
    lab.fails(1, says, &["serve"]);
    lab.fails(1, says, &["ps"]);
    lab.configure("");
    // What was a file of its own once isn't passed over without a word.
    let old = lab.config().join("registries.json");
    std::fs::write(&old, "{\"insecure-registries\": [\"registry.lan\"]}").unwrap();
    let says = "registries.json isn't read: say it in [registry] of ";
    let out = lab.run(&["info"]);
    assert!(out.code == 0 && out.stderr.contains(says), "{out:?}");
    lab.fails(1, says, &["config", "check"]);
    let served = Served::over(lab);
    let info = served.ask("GET", "/info", None).json();
    assert!(info["Warnings"].to_string().contains(says), "{info}");
}
