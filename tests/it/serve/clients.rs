//! Docker's own command line.

use std::io::Read;
use std::process::Stdio;
use std::time::Instant;

use super::Served;
use crate::harness::{IMAGE, PATIENCE, Test, eventually, folder, lacks_programs, readable};
use crate::pty::Terminal;

pub(crate) fn tests() -> Vec<Test> {
    let lacks = lacks_programs(&["docker"]);
    [
        Test::new("docker_runs_containers", runs),
        Test::new("docker_lists_and_inspects", lists),
        Test::new("docker_in_a_terminal", terminal),
        Test::new("docker_copies_and_follows", copies),
        Test::new("docker_with_images_networks_and_volumes", objects),
    ]
    .into_iter()
    .map(|test| test.needing(lacks.clone()))
    .collect()
}

const ALONE: [&str; 2] = ["--network", "none"];

fn runs() {
    let served = Served::new();
    let run = |words: &[&str], input: &[u8]| {
        served.docker_run(&[&["run", "--rm"], &ALONE[..], words].concat(), input)
    };
    let out = run(&[IMAGE, "sh", "-c", "echo out; echo err >&2; exit 7"], b"");
    assert_eq!((out.code, out.stdout.as_str(), out.stderr.as_str()), (7, "out\n", "err\n"));
    let out = run(&["-i", IMAGE, "sh", "-c", "cat; echo end"], b"some\ninput\n");
    assert_eq!((out.code, out.stdout.as_str()), (0, "some\ninput\nend\n"));
    // More than any buffer, each way.
    let data: Vec<u8> = (0..600_000_u32).flat_map(u32::to_le_bytes).collect();
    let out = run(&["-i", IMAGE, "md5sum"], &data);
    let again = run(&[IMAGE, "sh", "-c", "head -c 20000000 /dev/zero | tr '\\0' x"], b"");
    assert_eq!((out.code, out.stdout.len()), (0, 36));
    assert_eq!((again.code, again.stdout.len()), (0, 20_000_000));
    for (program, code) in [("no-such-program", 127), ("/etc", 126)] {
        let out = run(&[IMAGE, program], b"");
        assert_eq!(out.code, code, "{out:?}");
        assert!(out.stderr.contains(program), "{out:?}");
    }
    // What `--rm` leaves goes right after the end.
    eventually("all are removed", || served.docker(&["ps", "-a", "-q"]).is_empty());
    let id = served
        .docker(&[&["run", "-d", "--name", "web"], &ALONE[..], &[IMAGE, "sleep", "1000"]].concat());
    assert_eq!(id.len(), 64);
    let exec =
        |words: &[&str], input: &[u8]| served.docker_run(&[&["exec"], words].concat(), input);
    let out = exec(&["web", "sh", "-c", "echo a; echo b >&2; exit 3"], b"");
    assert_eq!((out.code, out.stdout.as_str(), out.stderr.as_str()), (3, "a\n", "b\n"));
    let out =
        exec(&["-i", "-e", "X=1", "-w", "/srv", "web", "sh", "-c", "pwd; echo $X; cat"], b"in");
    assert_eq!((out.code, out.stdout.as_str()), (0, "/srv\n1\nin"));
    assert_eq!(exec(&["web", "no-such-program"], b"").code, 127);
    served.docker(&["exec", "-d", "web", "touch", "/tmp/made"]);
    eventually("the detached program ran", || {
        exec(&["web", "test", "-e", "/tmp/made"], b"").code == 0
    });
    assert!(served.docker(&["top", "web"]).contains("sleep 1000"));
    for words in [
        &["pause", "web"][..],
        &["unpause", "web"],
        &["rename", "web", "site"],
        &["update", "--memory", "64m", "--memory-swap", "64m", "site"],
        &["restart", "-t", "0", "site"],
        &["kill", "site"],
    ] {
        served.docker(words);
    }
    assert_eq!(served.docker(&["wait", "site"]), "137");
    let memory = served.docker(&["inspect", "-f", "{{.HostConfig.Memory}}", "site"]);
    assert_eq!(memory, (64 << 20).to_string());
    let out = served.docker_run(&["start", "-a", "nope"], b"");
    assert!(out.code == 1 && out.stderr.contains("No such container: nope"), "{out:?}");
    let out = served.docker_run(&["build", "-"], b"FROM scratch\n");
    assert!(out.code != 0 && out.stderr.contains("builds no images yet"), "{out:?}");
    let out = served.docker_run(&["swarm", "leave"], b"");
    assert!(out.code != 0 && out.stderr.contains("not a swarm manager"), "{out:?}");
    assert!(served.docker(&["rm", "-f", "site"]).contains("site"));
}

fn lists() {
    let served = Served::new();
    let lab = &served.lab;
    // What wharf's own command line makes, docker's sees.
    lab.ok(&["create", "--name", "idle", "--label", "kind=idle", IMAGE, "true"]);
    lab.start(&["--name", "busy", "--label", "kind=busy"], "echo hello; exec sleep 1000");
    lab.wait_for_log("busy", "hello");
    let ps = |words: &[&str]| served.docker(&[&["ps", "--format", "{{.Names}}"], words].concat());
    assert_eq!(ps(&[]), "busy");
    assert_eq!(ps(&["-a"]), "busy\nidle");
    assert_eq!(ps(&["-a", "-f", "status=created"]), "idle");
    assert_eq!(ps(&["-a", "-f", "label=kind=busy"]), "busy");
    assert_eq!(ps(&["-a", "-f", "name=idl", "-f", "ancestor=box"]), "idle");
    assert_eq!(ps(&["-n", "1"]), "busy");
    let out = served.docker_run(&["ps", "-f", "nope=1"], b"");
    assert!(out.code != 0 && out.stderr.contains("invalid filter 'nope'"), "{out:?}");
    let sizes = served.docker(&["ps", "-a", "-s", "--format", "{{.Size}}"]);
    assert!(sizes.lines().all(|line| line.contains("virtual")), "{sizes}");
    let state = served.docker(&["inspect", "-f", "{{.State.Status}} {{.Name}}", "busy"]);
    assert_eq!(state, "running /busy");
    let version = served.docker(&["version", "-f", "{{.Server.APIVersion}} {{.Server.Os}}"]);
    assert!(version.ends_with(" linux"), "{version}");
    assert_eq!(
        served.docker(&["info", "-f", "{{.ContainersRunning}} {{.Swarm.LocalNodeState}}"]),
        "1 inactive"
    );
    let stats = served.docker(&["stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "busy"]);
    assert_eq!(stats, "busy 1");
    assert!(served.docker(&["system", "df"]).contains("Containers"));
    let events = served.docker(&[
        "events",
        "--since",
        "1h",
        "--until",
        "0s",
        "-f",
        "container=busy",
        "--format",
        "{{.Action}}",
    ]);
    let mut actions = events.lines();
    assert!(actions.any(|action| action == "create") && actions.any(|action| action == "start"));
    assert_eq!(served.docker(&["logs", "-n", "1", "busy"]), "hello");
    let stamped = served.docker(&["logs", "-t", "busy"]);
    assert!(stamped.ends_with("Z hello"), "{stamped}");
}

fn terminal() {
    let served = Served::new();
    let words = ["run", "-it", "--name", "shell", "--network", "none", IMAGE, "sh"];
    let mut terminal = Terminal::start(&served.docker_command(&words), 90, 30);
    terminal.wait_for("/ # ");
    terminal.send("stty size; tty\r");
    terminal.wait_for("/dev/pts/0");
    terminal.wait_for("30 90");
    terminal.resize(111, 33);
    // The new size comes by a request of its own, however late.
    let mut number = 0;
    eventually("the terminal has its new size", || {
        number += 1;
        terminal.send(&format!("clear; stty size; echo do''ne-{number}\r"));
        terminal.wait_for(&format!("done-{number}"));
        terminal.text().contains("33 111")
    });
    terminal.send("word=kept\r");
    terminal.send("\u{10}\u{11}");
    assert_eq!(terminal.wait(), 0);
    assert_eq!(served.lab.inspect("shell", "/State/Status"), "running");
    let mut again = Terminal::start(&served.docker_command(&["attach", "shell"]), 80, 24);
    // What is typed before is lost with the change of the terminal's mode.
    eventually("docker has the terminal", || again.is_raw());
    again.send("echo it is $word\r");
    again.wait_for("it is kept");
    let mut inside =
        Terminal::start(&served.docker_command(&["exec", "-it", "shell", "sh"]), 70, 20);
    inside.wait_for("/ # ");
    inside.send("tty; exit 4\r");
    inside.wait_for("/dev/pts/1");
    assert_eq!(inside.wait(), 4);
    again.send("exit 3\r");
    assert_eq!(again.wait(), 3);
}

fn copies() {
    let served = Served::new();
    served.lab.start(
        &["--name", "talk"],
        "echo one; while ! test -e /tmp/go; do sleep 0.1; done; echo two; exec sleep 1000",
    );
    let mut follow = served
        .docker_command(&["logs", "-f", "talk"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = follow.stdout.take().unwrap();
    let mut seen = String::new();
    let mut until = |text: &str| {
        let deadline = Instant::now() + *PATIENCE;
        while !seen.contains(text) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(readable(&output, left), "{seen:?} has no {text}");
            let mut chunk = [0; 4096];
            let length = output.read(&mut chunk).unwrap();
            assert!(length > 0, "{seen:?} ends without {text}");
            seen.push_str(&String::from_utf8_lossy(&chunk[..length]));
        }
    };
    until("one\n");
    let place = folder();
    std::fs::write(place.join("go"), "it's time\n").unwrap();
    let path = |name: &str| place.join(name).to_str().unwrap().to_owned();
    served.docker(&["cp", &path("go"), "talk:/tmp/go"]);
    until("two\n");
    served.docker(&["cp", "talk:/tmp/go", &path("back")]);
    assert_eq!(std::fs::read_to_string(place.join("back")).unwrap(), "it's time\n");
    served.docker(&["cp", "talk:/srv", &path("srv")]);
    assert!(place.join("srv/readme").exists());
    assert!(served.docker(&["diff", "talk"]).contains("A /tmp/go"));
    let out = served.docker_run(&["cp", "talk:/nope", &path("x")], b"");
    assert!(out.code != 0 && out.stderr.contains("Could not find the file /nope"), "{out:?}");
    let out = served.docker_run(&["export", "-o", &path("all.tar"), "talk"], b"");
    assert_eq!(out.code, 0, "{out:?}");
    assert!(std::fs::metadata(place.join("all.tar")).unwrap().len() > 100_000);
    served.docker(&["stop", "-t", "0", "talk"]);
    // The end of the container is the end of its log.
    assert!(follow.wait().unwrap().success());
    std::fs::remove_dir_all(&place).unwrap();
}

fn objects() {
    let served = Served::new();
    served.docker(&["tag", IMAGE, "other/name:v1"]);
    assert_eq!(served.docker(&["images", "-q", "other/name"]).len(), 12);
    let base = served.docker(&["create", "--network", "none", IMAGE, "sh"]);
    let committed =
        served.docker(&["commit", "-c", "CMD [\"true\"]", "-m", "remark", &base, "made:1"]);
    assert!(committed.starts_with("sha256:"));
    assert!(served.docker(&["history", "made:1"]).contains("remark"));
    let place = folder();
    let file = place.join("made.tar").to_str().unwrap().to_owned();
    served.docker(&["save", "-o", &file, "made:1"]);
    served.docker(&["rmi", "made:1", "other/name:v1"]);
    assert_eq!(served.docker(&["load", "-i", &file]), "Loaded image: made:1");
    std::fs::remove_dir_all(&place).unwrap();
    let imported = served.docker_run(&["import", "-", "mine:1"], &crate::harness::rootfs_tar());
    assert!(imported.stdout.starts_with("sha256:"), "{imported:?}");
    served.docker(&["rmi", "mine:1", "made:1"]);
    let out = served.docker_run(&["pull", "127.0.0.1:1/nope:1"], b"");
    assert!(out.code != 0, "{out:?}");
    served.docker(&["rm", &base]);

    served.docker(&["network", "create", "--label", "a=b", "back"]);
    assert_eq!(served.docker(&["network", "ls", "-q", "-f", "label=a=b"]).len(), 12);
    served.docker(&["volume", "create", "data"]);
    let words = [
        "run",
        "-d",
        "--name",
        "db",
        "--network",
        "back",
        "-v",
        "data:/data",
        IMAGE,
        "sleep",
        "1000",
    ];
    served.docker(&words);
    served.docker(&[
        "run",
        "--rm",
        "--network",
        "back",
        IMAGE,
        "ping",
        "-c",
        "1",
        "-W",
        "10",
        "db",
    ]);
    served.docker(&["exec", "db", "sh", "-c", "echo kept > /data/x"]);
    let inspect = served.docker(&[
        "network",
        "inspect",
        "-f",
        "{{range .Containers}}{{.Name}}{{end}}",
        "back",
    ]);
    assert_eq!(inspect, "db");
    served.docker(&["network", "disconnect", "back", "db"]);
    served.docker(&["network", "connect", "--alias", "store", "back", "db"]);
    let out = served.docker_run(&["volume", "rm", "data"], b"");
    assert!(out.code != 0 && out.stderr.contains("volume is in use"), "{out:?}");
    served.docker(&["rm", "-f", "db"]);
    let kept =
        served.docker(&["run", "--rm", "--network", "none", "-v", "data:/d", IMAGE, "cat", "/d/x"]);
    assert_eq!(kept, "kept");
    eventually("the volume is free", || {
        served.docker_run(&["volume", "rm", "data"], b"").code == 0
    });
    served.docker(&["network", "rm", "back"]);
    served.docker(&["system", "prune", "-f"]);
}
