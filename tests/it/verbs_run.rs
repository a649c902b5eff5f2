//! `run` and `create`: each flag, and the exit codes that docker promises.

use crate::harness::{IMAGE, Lab, Test};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        output_and_exit_codes,
        codes_of_its_own,
        input,
        detached,
        names,
        settings_of_the_process,
        users,
        entrypoint,
        binds,
        tmpfs,
        read_only,
        auto_remove,
        init_reaps,
        labels_and_signals,
        create_then_start,
        unknown_flags_are_refused_by_name,
        flags_of_docker_not_there_yet_are_refused_by_name,
        twenty_at_once,
        standard_streams_are_apart,
        a_big_output_arrives_whole,
    ]
}

const RUN: [&str; 4] = ["run", "--rm", "--network", "none"];

fn run<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    [&RUN[..], rest].concat()
}

fn output_and_exit_codes() {
    let lab = Lab::new();
    assert_eq!(lab.ok(&run(&[IMAGE, "echo", "hello", "world"])), "hello world");
    for code in [1, 3, 125, 126, 127, 255] {
        lab.ends(code, &run(&[IMAGE, "sh", "-c", &format!("exit {code}")]));
    }
    lab.ends(137, &run(&[IMAGE, "sh", "-c", "sh -c 'kill -9 $$'; exit $?"]));
    // Signals end a first process only from outside; an init's child shows what came of it.
    lab.ends(143, &run(&["--init", IMAGE, "sh", "-c", "kill -TERM $$; sleep 100"]));
}

fn codes_of_its_own() {
    let lab = Lab::new();
    lab.fails(127, "no-such-program", &run(&[IMAGE, "no-such-program"]));
    lab.fails(127, "/no/such", &run(&[IMAGE, "/no/such"]));
    lab.fails(126, "/srv/readme", &run(&[IMAGE, "/srv/readme"]));
    lab.fails(126, "/srv", &run(&[IMAGE, "/srv"]));
    lab.fails(
        125,
        "wharf-no-such-image",
        &run(&["--pull", "never", "wharf-no-such-image", "true"]),
    );
    lab.fails(125, "--no-such-flag", &run(&["--no-such-flag", IMAGE, "true"]));
    lab.ends(1, &["run"]);
    // None of them leaves a container.
    assert_eq!(lab.ok(&["ps", "-a", "-q"]), "");
}

fn input() {
    let lab = Lab::new();
    let out = lab.run_with(&run(&["-i", IMAGE, "cat"]), b"one\ntwo\n");
    assert_eq!((out.code, out.stdout.as_str()), (0, "one\ntwo\n"));
    let out = lab.run_with(&run(&[IMAGE, "cat"]), b"not passed on\n");
    assert_eq!((out.code, out.stdout.as_str()), (0, ""));
}

fn detached() {
    let lab = Lab::new();
    let id = lab.start(&["--name", "back"], "echo up; sleep 1000");
    assert_eq!(id.len(), 64);
    lab.wait_for_log("back", "up");
    assert_eq!(lab.inspect("back", "/Id"), id.as_str());
    assert_eq!(lab.inspect("back", "/State/Status"), "running");
}

fn names() {
    let lab = Lab::new();
    let id = lab.start(&["--name", "first"], "sleep 1000");
    let taken = ["run", "-d", "--name", "first", "--network", "none", IMAGE, "true"];
    lab.fails(125, "/first", &taken);
    lab.fails(125, &id, &taken);
    lab.fails(125, "Invalid container name", &run(&["--name", "a b", IMAGE, "true"]));
    lab.fails(125, "Invalid container name", &run(&["--name", "-", IMAGE, "true"]));
    let unnamed = lab.start(&[], "sleep 1000");
    let name = lab.inspect(&unnamed, "/Name");
    assert!(name.as_str().unwrap().contains('_'), "{name}");
    // What was made is told although it doesn't start.
    let out = lab.run(&["run", "-d", "--name", "lost", "--network", "none", IMAGE, "/nope"]);
    assert_eq!((out.code, out.stdout.trim().into()), (127, lab.inspect("lost", "/Id")));
}

fn settings_of_the_process() {
    let lab = Lab::new();
    let flags = ["-e", "A=1", "-e", "B=x y", "--env", "EMPTY=", "-w", "/srv", "--hostname", "sea"];
    let out = lab
        .shell(&flags, "echo $A,$B,$EMPTY,$HOME,$HOSTNAME,$PWD,$(hostname),$(cat /etc/hostname)");
    assert_eq!(out, "1,x y,,/root,sea,/srv,sea,sea");
    assert!(lab.shell(&[], "echo $PATH").contains("/usr/local/sbin:/usr/local/bin:/usr/sbin"));
    // Without a hostname it is the short id.
    let id = lab.start(&[], "hostname; sleep 1000");
    lab.wait_for_log(&id, &id[..12]);
    // A name without a value takes the caller's, or nothing.
    let mut command = lab.command(&run(&["-e", "GIVEN", "-e", "NOT_GIVEN", IMAGE, "env"]));
    command.env("GIVEN", "from outside").env_remove("NOT_GIVEN");
    let out = crate::harness::run(command, b"");
    assert!(out.stdout.contains("GIVEN=from outside\n"), "{out:?}");
    assert!(!out.stdout.contains("NOT_GIVEN"), "{out:?}");
    // A working directory that isn't there is made.
    assert_eq!(lab.shell(&["-w", "/new/place"], "pwd"), "/new/place");
    lab.fails(125, "relative", &run(&["-w", "relative", IMAGE, "true"]));
}

fn users() {
    let lab = Lab::new();
    let who = "echo $(id -u):$(id -g) $(id -G) $HOME";
    for (user, expected) in [
        ("app", "1000:1000 1000 2000 /home/app"),
        ("1000", "1000:1000 1000 2000 /home/app"),
        ("app:extra", "1000:2000 2000 /home/app"),
        ("1234:5678", "1234:5678 5678 /"),
        ("0", "0:0 0 /root"),
    ] {
        assert_eq!(lab.shell(&["-u", user], who), expected, "{user}");
    }
    lab.fails(125, "nobody-here", &run(&["-u", "nobody-here", IMAGE, "true"]));
}

fn entrypoint() {
    let lab = Lab::new();
    assert_eq!(lab.ok(&run(&["--entrypoint", "echo", IMAGE, "a", "b"])), "a b");
    let id = lab.ok(&["create", "--entrypoint", "echo", IMAGE, "a"]);
    assert_eq!(lab.inspect(&id, "/Path"), "echo");
    assert_eq!(lab.inspect(&id, "/Args/0"), "a");
    lab.fails(125, "o command specified", &run(&["--entrypoint", "", IMAGE]));
}

fn binds() {
    let lab = Lab::new();
    let host = lab.root().join("shared");
    std::fs::create_dir_all(&host).unwrap();
    std::fs::write(host.join("in"), "from the host\n").unwrap();
    let host = host.to_str().unwrap();
    let writable = format!("{host}:/data");
    assert_eq!(
        lab.shell(&["-v", &writable], "cat /data/in; echo back > /data/out"),
        "from the host"
    );
    assert_eq!(std::fs::read_to_string(format!("{host}/out")).unwrap(), "back\n");
    let read_only = format!("{host}:/data:ro");
    let out = lab.run(&run(&["-v", &read_only, IMAGE, "sh", "-c", "echo x > /data/no"]));
    assert!(out.code != 0 && out.stderr.contains("Read-only file system"), "{out:?}");
    // One file.
    let file = format!("{host}/in:/etc/motd:ro");
    assert_eq!(lab.shell(&["-v", &file], "cat /etc/motd"), "from the host");
    let id = lab.start(&["-v", &read_only], "sleep 1000");
    assert_eq!(lab.inspect(&id, "/Mounts/0/Type"), "bind");
    assert_eq!(lab.inspect(&id, "/Mounts/0/Destination"), "/data");
    assert_eq!(lab.inspect(&id, "/Mounts/0/RW"), false);
    lab.ends(125, &run(&["-v", "/data", "-v", "x", IMAGE, "true"]));
    // Nothing of the host is mounted there any more once it has ended.
    lab.ok(&["rm", "-f", &id]);
    assert!(std::fs::metadata(format!("{host}/in")).is_ok());
}

fn tmpfs() {
    let lab = Lab::new();
    let out =
        lab.shell(&["--tmpfs", "/scratch:size=1m,mode=700"], "grep ' /scratch ' /proc/mounts");
    assert!(out.starts_with("tmpfs /scratch tmpfs rw,nosuid,nodev,noexec"), "{out}");
    assert!(out.contains("size=1024k") && out.contains("mode=700"), "{out}");
    let full = "dd if=/dev/zero of=/scratch/x bs=1024 count=2000 2>/dev/null || echo full";
    assert_eq!(lab.shell(&["--tmpfs", "/scratch:size=1m"], full), "full");
}

fn read_only() {
    let lab = Lab::new();
    let line = "echo x > /new || echo refused; echo x > /tmp/new && echo written";
    let out = lab.ends(0, &run(&["--read-only", "--tmpfs", "/tmp", IMAGE, "sh", "-c", line]));
    assert_eq!(out.stdout, "refused\nwritten\n");
    assert!(out.stderr.contains("Read-only file system"), "{}", out.stderr);
    assert_eq!(lab.shell(&["--read-only"], "echo x > /dev/shm/y && cat /dev/shm/y"), "x");
}

fn auto_remove() {
    let lab = Lab::new();
    lab.ok(&run(&[IMAGE, "true"]));
    lab.ends(9, &run(&[IMAGE, "sh", "-c", "exit 9"]));
    assert_eq!(lab.ok(&["ps", "-a", "-q"]), "");
    let id = lab.ok(&["run", "-d", "--rm", "--network", "none", IMAGE, "sleep", "1000"]);
    lab.ok(&["stop", "-t", "0", &id]);
    crate::harness::eventually("it is removed", || lab.run(&["inspect", &id]).code != 0);
}

fn init_reaps() {
    let lab = Lab::new();
    // An orphan's end is reaped by the init; without one the program is its parent and doesn't.
    let line = "(sh -c 'exit 0' & exec sleep 0.2) & wait; cat /proc/1/comm; \
                grep -l '^State:.*Z' /proc/[0-9]*/status 2>/dev/null | wc -l";
    let out = lab.shell(&["--init"], line);
    let lines: Vec<&str> = out.lines().collect();
    assert_ne!(lines[0], "sh", "the init is the first process");
    assert_eq!(lines[1], "0", "no zombies");
    assert_eq!(lab.shell(&[], "cat /proc/1/comm; true"), "sh");
    lab.ends(7, &run(&["--init", IMAGE, "sh", "-c", "exit 7"]));
}

fn labels_and_signals() {
    let lab = Lab::new();
    let flags = ["--label", "a=1", "--label", "b", "--stop-signal", "USR1", "--stop-timeout", "30"];
    let id = lab.start(&flags, "trap 'exit 5' USR1; echo up; while :; do sleep 0.1; done");
    assert_eq!(lab.inspect(&id, "/Config/Labels/a"), "1");
    assert_eq!(lab.inspect(&id, "/Config/Labels/b"), "");
    assert_eq!(lab.inspect(&id, "/Config/StopTimeout"), 30);
    lab.wait_for_log(&id, "up");
    lab.ok(&["stop", &id]);
    assert_eq!(lab.inspect(&id, "/State/ExitCode"), 5);
    lab.ends(125, &run(&["--stop-signal", "NOSUCH", IMAGE, "true"]));
}

fn create_then_start() {
    let lab = Lab::new();
    let id = lab.ok(&["create", "--name", "later", "--network", "none", IMAGE, "echo", "now"]);
    assert_eq!(lab.inspect("later", "/State/Status"), "created");
    assert_eq!(lab.ok(&["start", "-a", "later"]), "now");
    assert_eq!(lab.inspect(&id, "/State/Status"), "exited");
    assert_eq!(lab.ok(&["start", "later"]), "later");
    assert_eq!(lab.ok(&["wait", "later"]), "0");
    assert_eq!(lab.ok(&["logs", "later"]), "now\nnow");
}

fn unknown_flags_are_refused_by_name() {
    let lab = Lab::empty();
    for verb in [
        "run", "create", "start", "stop", "kill", "restart", "pause", "unpause", "rm", "ps",
        "logs", "inspect", "stats", "exec", "update", "wait", "top", "version", "info", "images",
        "tag", "rmi", "history", "import", "load",
    ] {
        let out = lab.run(&[verb, "--wharf-nonsense"]);
        assert!(out.code != 0, "{verb}");
        // `top` hands its words to ps.
        if verb != "top" {
            assert!(out.stderr.contains("--wharf-nonsense"), "{verb}: {}", out.stderr);
        }
    }
}

fn flags_of_docker_not_there_yet_are_refused_by_name() {
    let lab = Lab::new();
    for flag in ["--gpus=all", "--use-api-socket=true", "--isolation=process"] {
        let name = flag.split('=').next().unwrap();
        lab.fails(125, name.trim_start_matches('-'), &run(&[flag, IMAGE, "true"]));
    }
}

fn twenty_at_once() {
    let lab = Lab::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..20)
            .map(|number| {
                let lab = &lab;
                scope.spawn(move || {
                    let word = number.to_string();
                    let line = format!("echo {word}; exit {number}");
                    let out = lab.ends(number, &run(&[IMAGE, "sh", "-c", &line]));
                    assert_eq!(out.stdout.trim_end(), word);
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause));
        }
    });
    assert_eq!(lab.ok(&["ps", "-a", "-q"]), "");
}

fn standard_streams_are_apart() {
    let lab = Lab::new();
    let out = lab.ends(0, &run(&[IMAGE, "sh", "-c", "echo out; echo err >&2"]));
    assert_eq!((out.stdout.as_str(), out.stderr.as_str()), ("out\n", "err\n"));
}

fn a_big_output_arrives_whole() {
    let lab = Lab::new();
    let out = lab.ends(0, &run(&[IMAGE, "seq", "1", "200000"]));
    assert_eq!(out.stdout.lines().count(), 200_000);
    assert!(out.stdout.ends_with("\n200000\n"));
    // And binary, byte for byte.
    let mut bytes: Vec<u8> = (0..=255).collect();
    bytes = bytes.repeat(400);
    let mut command = lab.command(&run(&["-i", IMAGE, "md5sum"]));
    command.env("LC_ALL", "C");
    let out = crate::harness::run(command, &bytes);
    let mut local = std::process::Command::new(crate::harness::busybox());
    local.arg("md5sum");
    assert_eq!(out.stdout, crate::harness::run(local, &bytes).stdout);
}
