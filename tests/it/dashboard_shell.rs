//! Shells in the dashboard's panes, attached containers, toolboxes, and a recorded session: real
//! programs on a real terminal within a terminal.

use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::dockerd::{self, Dockerd};
use crate::harness::{
    IMAGE, Lab, Out, Test, binary, busybox, copy_program, eventually, folder, rootfs_tar, run,
};
use crate::pty::Terminal;
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    let mut tests = tests![
        a_shell_runs_in_a_pane_and_is_come_back_to,
        a_flood_holds_nothing_up,
        quitting_asks_and_ends_the_shells,
        quitting_waits_for_no_shell,
        attached_containers_go_on,
        a_container_without_a_shell_gets_one_of_a_toolbox,
        a_toolbox_has_the_container_s_rights_and_leaves_nothing,
        records_a_session,
    ];
    let lacks = dockerd::lacks().or_else(|| crate::harness::lacks_programs(&["docker"]));
    tests.push(Test::new("shells_and_toolboxes_at_a_dockerd", docker).needing(lacks));
    tests
}

/// The key after which the next one is the dashboard's, as terminals send it.
const PREFIX: &str = "\u{1d}";

/// Returns the dashboard with its keys on a container that runs, whose name begins the filter.
fn on(lab: &Lab, name: &str, columns: u16, rows: u16) -> Terminal {
    let mut terminal = Terminal::start(&lab.command(&[]), columns, rows);
    select(&mut terminal, name);
    terminal
}

fn select(terminal: &mut Terminal, name: &str) {
    terminal.wait_for(name);
    terminal.send(&format!("/{name}\r"));
    terminal.until("it runs and is selected", |screen| {
        let text = screen.contents();
        let mut lines = text.lines();
        lines.any(|line| line.contains(name) && line.contains("running"))
            && text.contains(&format!("/{name} 1 of"))
            && text.contains("? help")
    });
}

/// Returns how many lines of the screen say this and nothing else.
fn lines(screen: &vt100::Screen, text: &str) -> usize {
    screen.contents().lines().filter(|line| line.trim_end() == text).count()
}

/// Types something in vi, and writes its file. What follows an Esc at once would be taken for a key
/// with Alt.
fn write_in_vi(terminal: &mut Terminal, keys: &str) {
    terminal.send(keys);
    terminal.wait_for(&keys[1..]);
    terminal.send("\u{1b}");
    terminal.until("the end of typing", |screen| {
        let text = screen.contents();
        text.lines().any(|line| line.starts_with("- ") && line.contains("[Modified]"))
    });
    terminal.send(":wq\r");
}

/// Opens a shell and waits for its prompt.
fn shell(terminal: &mut Terminal) {
    terminal.send("e");
    terminal.wait_for("d leaves it running");
    // Blanks at the end of a line may never have been written.
    let is_prompt = |line: &str| line.trim_end().ends_with(" #");
    terminal.until("a prompt", |screen| screen.contents().lines().any(is_prompt));
}

fn a_shell_runs_in_a_pane_and_is_come_back_to() {
    let lab = Lab::new();
    lab.start(&["--name", "shelly"], "sleep 1000");
    let mut terminal = on(&lab, "shelly", 100, 30);
    shell(&mut terminal);
    terminal.send("kept=42; echo $((kept * 1000 + 1))\r");
    terminal.wait_for("42001");
    // Colours reach the screen as what they are, everything else that is no text goes nowhere.
    terminal.send(
        "printf '\\033]0;\\145vil\\007\\033]52;c;ZXZpbA==\\007\\033[31mr\\145d\\033[0m\\n'\r",
    );
    terminal.until("a red word", |screen| {
        (0..30).any(|row| {
            let cell = |column| screen.cell(row, column).map(|c| (c.contents(), c.fgcolor()));
            let red = vt100::Color::Idx(1);
            (0..3).map(cell).eq(["r", "e", "d"].map(|letter| Some((letter, red))))
        })
    });
    let written = terminal.written();
    assert!(!written.contains("\u{1b}]"), "no title, no clipboard");
    // An editor on the other screen.
    terminal.send("vi /tmp/note\r");
    terminal.until("vi", |screen| lines(screen, "~") > 10);
    write_in_vi(&mut terminal, "ihello from vi");
    terminal.until("the prompt again", |screen| screen.contents().contains("42001"));
    terminal.send("echo wrote $(cat /tmp/note)\r");
    terminal.wait_for("wrote hello from vi");
    // A program that draws again and again.
    terminal.send("top\r");
    terminal.wait_for("Load average");
    terminal.send("q");
    terminal.until("the prompt again", |screen| {
        let text = screen.contents();
        let mut written = text.lines().filter(|l| !l.trim().is_empty() && !l.contains("Ctrl-]"));
        written.next_back().is_some_and(|line| line.trim_end().ends_with('#'))
    });
    terminal.send("clear; stty size\r");
    terminal.wait_for("19 100");
    terminal.resize(90, 24);
    terminal.send("while :; do stty size; sleep 0.2; done\r");
    terminal.wait_for("13 90");
    terminal.send("\u{3}");
    // Left, it goes on; the list marks it; other screens are other screens.
    terminal.send(PREFIX);
    terminal.wait_for("d leave it running");
    terminal.send("d");
    terminal.wait_for("goes on: e comes back");
    terminal.wait_for("running $");
    terminal.send("2");
    terminal.wait_until_gone("running $");
    terminal.send("$");
    terminal.wait_for("Shells and attached containers");
    terminal.send("\r");
    terminal.wait_for("d leaves it running");
    terminal.send("echo still $((kept + 1))\r");
    terminal.wait_for("still 43");
    terminal.send("exit 7\r");
    terminal.wait_for("has ended: exit code 7");
    terminal.wait_until_gone("running $");
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
    assert!(!terminal.is_raw());
    assert_eq!(lab.inspect("shelly", "/State/Status"), "running");
}

fn a_flood_holds_nothing_up() {
    let lab = Lab::new();
    lab.start(&["--name", "flooded"], "sleep 1000");
    let mut terminal = on(&lab, "flooded", 100, 30);
    shell(&mut terminal);
    terminal.send("yes | sed s/y/wet/\r");
    terminal.until("a flood", |screen| lines(screen, "wet") > 10);
    // Keys go on being taken: the dashboard's, and the program's.
    terminal.send(PREFIX);
    terminal.wait_for("d leave it running");
    terminal.send("d");
    terminal.wait_for("goes on: e comes back");
    terminal.send("i");
    terminal.wait_for("OOMKilled");
    terminal.send("\u{1b}");
    terminal.wait_for("s stop");
    terminal.send("e");
    terminal.wait_for("d leaves it running");
    terminal.send("\u{3}");
    terminal.until("the prompt", |screen| screen.contents().contains("^C"));
    terminal.send("clear; echo dry$((1 + 1))\r");
    terminal.wait_for("dry2");
    // Its memory is bounded: the screen, a thousand lines, and what the dashboard is by itself.
    let status = std::fs::read_to_string(format!("/proc/{}/status", terminal.pid().as_raw_pid()));
    let status = status.unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 150 << 10, "{kib} KiB");
    terminal.send("exit\r");
    terminal.wait_for("has ended: exit code 0");
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
}

fn quitting_asks_and_ends_the_shells() {
    let lab = Lab::new();
    lab.start(&["--name", "left"], "sleep 1000");
    let mut terminal = on(&lab, "left", 80, 24);
    shell(&mut terminal);
    terminal.send("sleep 4321\r");
    eventually("it runs", || lab.ok(&["top", "left"]).contains("sleep 4321"));
    terminal.send(PREFIX);
    terminal.send("d");
    terminal.wait_for("goes on: e comes back");
    terminal.send("q");
    terminal.wait_for("End the shell?");
    terminal.send("\r");
    terminal.wait_until_gone("End the shell?");
    assert!(lab.ok(&["top", "left"]).contains("sleep 4321"));
    terminal.send("q");
    terminal.wait_for("End the shell?");
    terminal.send("y");
    assert_eq!(terminal.wait(), 0);
    eventually("nothing of it is left", || !lab.ok(&["top", "left"]).contains("sleep 4321"));
    assert_eq!(lab.inspect("left", "/State/Status"), "running");
}

/// A process that stands still.
struct Still(Pid);

impl Still {
    fn new(process: Pid) -> Self {
        kill_process(process, Signal::STOP).unwrap();
        Self(process)
    }
}

impl Drop for Still {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}

/// The end of the dashboard is that of its shells, but it waits for none: while its supervisor stands
/// still, nothing of the container can be ended.
fn quitting_waits_for_no_shell() {
    let lab = Lab::new();
    lab.start(&["--name", "held"], "sleep 1000");
    let mut terminal = on(&lab, "held", 80, 24);
    shell(&mut terminal);
    terminal.send("trap '' HUP TERM; sleep 4321\r");
    let runs = || lab.ok(&["top", "held"]).contains("sleep 4321");
    eventually("it runs", runs);
    terminal.send(PREFIX);
    terminal.send("d");
    terminal.wait_for("goes on: e comes back");
    {
        let _still = Still::new(crate::restart::supervisor(&lab, "held"));
        terminal.send("q");
        terminal.wait_for("End the shell?");
        terminal.send("y");
        assert_eq!(terminal.wait(), 0);
    }
    eventually("nothing of it is left", || !runs());
    assert_eq!(lab.inspect("held", "/State/Status"), "running");
}

fn attached_containers_go_on() {
    let lab = Lab::new();
    lab.ok(&["run", "-dit", "--name", "typed", IMAGE, "sh"]);
    lab.ok(&["run", "-di", "--name", "piped", IMAGE, "cat"]);
    let mut terminal = on(&lab, "typed", 100, 30);
    terminal.send("A");
    terminal.wait_for("attached to typed");
    terminal.send("echo $((20 + 3))sense\r");
    terminal.wait_for("23sense");
    // What would stop it isn't sent by a slip.
    terminal.send("sleep 1234\r");
    eventually("it runs", || lab.ok(&["top", "typed"]).contains("sleep 1234"));
    terminal.send("\u{3}");
    terminal.wait_for("Ctrl-] Ctrl-c interrupts");
    assert!(lab.ok(&["top", "typed"]).contains("sleep 1234"));
    terminal.send(PREFIX);
    terminal.wait_for("d leave it running");
    terminal.send("\u{3}");
    eventually("it is interrupted", || !lab.ok(&["top", "typed"]).contains("sleep 1234"));
    terminal.send(PREFIX);
    terminal.wait_for("d leave it running");
    terminal.send("x");
    terminal.wait_until_gone("attached to typed");
    assert_eq!(lab.inspect("typed", "/State/Status"), "running");
    // One without a terminal is given whole lines.
    terminal.send("\u{1b}");
    select(&mut terminal, "piped");
    terminal.send("A");
    terminal.wait_for("attached to piped");
    terminal.wait_for("what it writes from now on");
    terminal.send("round trip\r");
    terminal.until("what was typed and what came back", |screen| lines(screen, "round trip") == 2);
    terminal.send(PREFIX);
    terminal.wait_for("d leave it running");
    terminal.send("d");
    terminal.wait_for("which goes on as it was");
    // Nothing ends with the dashboard, so it doesn't ask.
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
    for name in ["typed", "piped"] {
        assert_eq!(lab.inspect(name, "/State/Status"), "running", "{name}");
    }
    let log = lab.ok(&["logs", "piped"]);
    assert_eq!(log, "round trip");
}

/// Makes an image of one program, which is no shell.
fn bare(lab: &Lab) {
    let root = folder();
    std::fs::create_dir(root.join("only")).unwrap();
    copy_program(&busybox(), &root.join("only/sleep"));
    let mut tar = Command::new("tar");
    tar.arg("-C").arg(&root).args(["-cf", "-", "only"]);
    let out = std::process::Command::output(&mut tar).unwrap();
    assert!(out.status.success());
    lab.import(&out.stdout, "bare");
    std::fs::remove_dir_all(root).unwrap();
}

fn a_container_without_a_shell_gets_one_of_a_toolbox() {
    let lab = Lab::new();
    bare(&lab);
    lab.ok(&["run", "-d", "--name", "shellless", "bare", "/only/sleep", "1000"]);
    let settings = folder();
    let with = |image: &str| {
        std::fs::create_dir_all(settings.join("wharf")).unwrap();
        let text = format!("toolbox-image = \"{image}\"\n");
        std::fs::write(settings.join("wharf/config.toml"), text).unwrap();
        let mut command = lab.command(&[]);
        command.env("XDG_CONFIG_HOME", &settings);
        command
    };
    // Without such an image it says which one to get.
    let mut terminal = Terminal::start(&with("not-here"), 160, 30);
    select(&mut terminal, "shellless");
    terminal.send("e");
    terminal.wait_for("the toolbox image not-here is not here");
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
    let mut terminal = Terminal::start(&with(IMAGE), 100, 30);
    select(&mut terminal, "shellless");
    shell(&mut terminal);
    terminal.wait_for(&format!("the shell of {IMAGE} in shellless"));
    terminal.send("ls /target/only; ps; vi /target/only/note\r");
    terminal.until("vi", |screen| lines(screen, "~") > 10);
    write_in_vi(&mut terminal, "iwritten through the toolbox");
    terminal.wait_for("/only/sleep 1000");
    terminal.send("exit\r");
    terminal.wait_for("has ended: exit code 0");
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
    let note = lab.ok(&["debug", "--image", IMAGE, "shellless", "cat", "/target/only/note"]);
    assert_eq!(note, "written through the toolbox");
    std::fs::remove_dir_all(settings).unwrap();
}

fn a_toolbox_has_the_container_s_rights_and_leaves_nothing() {
    let lab = Lab::new();
    bare(&lab);
    let image = ["--image", IMAGE];
    let debug = |flags: &[&str], line: &str| -> Out {
        lab.run(&[&["debug"], &image[..], flags, &["strict", "sh", "-c", line]].concat())
    };
    let flags = ["--cap-drop", "ALL", "--cap-add", "CHOWN", "--security-opt", "no-new-privileges"];
    let flags = [&["run", "-d", "--name", "strict", "--hostname", "inside"], &flags[..]].concat();
    lab.ok(&[&flags[..], &["--pids-limit", "20", "bare", "/only/sleep", "1000"]].concat());
    let pid = lab.pid("strict");
    let mounts = || std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let before = mounts();
    // The rights are those of the container's own process, and so are the namespaces but for mounts.
    let line = "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status /proc/1/status";
    let out = debug(&[], line);
    assert_eq!(out.code, 0, "{out:?}");
    let of = |prefix: &str| -> Vec<String> {
        let lines = out.stdout.lines().filter_map(|line| line.strip_prefix(prefix));
        lines.map(str::to_owned).collect()
    };
    let (mine, theirs) = (of("/proc/self/status:"), of("/proc/1/status:"));
    assert!(mine.len() == 7 && mine == theirs, "{mine:?}\n{theirs:?}");
    assert!(mine.iter().any(|line| line.ends_with("0000000000000001")), "CHOWN alone: {mine:?}");
    let out = debug(&[], "for n in pid net ipc uts cgroup mnt; do readlink /proc/self/ns/$n; done");
    for (name, line) in ["pid", "net", "ipc", "uts", "cgroup"].iter().zip(out.stdout.lines()) {
        let theirs = std::fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
        assert_eq!(theirs.to_str(), Some(line));
    }
    let theirs = std::fs::read_link(format!("/proc/{pid}/ns/mnt")).unwrap();
    assert_ne!(out.stdout.lines().last(), theirs.to_str());
    assert_eq!(
        debug(&[], "hostname; cat /etc/hostname; pwd; id -u").stdout,
        "inside\ninside\n/target\n0\n"
    );
    let all = debug(&["--privileged"], "grep CapEff /proc/self/status").stdout;
    assert!(!all.ends_with("0000000000000001\n"), "asked for: {all}");
    // What it writes is its own, unless it is the container's.
    assert_eq!(debug(&[], "echo x > /own && cat /own; echo y > /target/theirs").code, 0);
    assert_eq!(lab.ok(&["diff", "strict"]), "A /theirs");
    assert_eq!(debug(&[], "cat /own").code, 1);
    // What it runs, how it ends, and what isn't there.
    assert_eq!(debug(&[], "exit 9").code, 9);
    let nothing = lab.run(&["debug", "--image", IMAGE, "strict", "/nothing"]);
    assert_eq!(nothing.code, 127, "{nothing:?}");
    let piped = lab.run_with(&["debug", "--image", IMAGE, "strict"], b"echo $((6 * 7)); exit 3");
    assert_eq!((piped.code, piped.stdout.as_str()), (3, "42\n"), "{piped:?}");
    lab.fails(1, "is not here: get it with", &["debug", "--image", "nope", "strict"]);
    lab.fails(1, "No such container: nobody", &["debug", "--image", IMAGE, "nobody"]);
    assert_eq!(mounts(), before, "the container doesn't see it");
    let host = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!host.contains(lab.root().to_str().unwrap()), "{host}");
    assert!(lab.ok(&["top", "strict"]).lines().count() == 2, "nothing runs on");
    // It ends with the container.
    let mut long = lab.command(&["debug", "--image", IMAGE, "strict", "sleep", "1000"]);
    let mut long = long.stdin(std::process::Stdio::null()).spawn().unwrap();
    eventually("it runs", || lab.ok(&["top", "strict"]).lines().count() == 3);
    lab.ok(&["kill", "strict"]);
    assert!(!long.wait().unwrap().success());
}

fn docker() {
    let dockerd = Dockerd::start();
    dockerd.docker(&["import", "-", IMAGE], &rootfs_tar());
    let start = ["run", "-d", "--network", "none", "--name", "whale", IMAGE, "sleep", "1000"];
    dockerd.docker(&start, b"");
    let mut terminal = dockerd.dashboard(100, 30);
    select(&mut terminal, "whale");
    shell(&mut terminal);
    terminal.send("kept=42; vi /tmp/note\r");
    terminal.until("vi", |screen| lines(screen, "~") > 10);
    write_in_vi(&mut terminal, "ithrough docker");
    terminal.send("echo wrote $(cat /tmp/note)\r");
    terminal.wait_for("wrote through docker");
    terminal.resize(90, 28);
    terminal.send(PREFIX);
    terminal.wait_for("d leave it running");
    terminal.send("d");
    terminal.wait_for("goes on: e comes back");
    terminal.send("e");
    terminal.wait_for("d leaves it running");
    terminal.send("echo still $kept\r");
    terminal.wait_for("still 42");
    // The size goes another way than what is typed.
    terminal.send("while :; do stty size; sleep 0.2; done\r");
    terminal.wait_for("23 90");
    terminal.send("\u{3}");
    // What is typed while it is interrupted is thrown away by its terminal.
    terminal.wait_for("^C");
    terminal.until("the prompt", |screen| {
        let text = screen.contents();
        let mut written = text.lines().filter(|l| !l.trim().is_empty() && !l.contains("Ctrl-]"));
        written.next_back().is_some_and(|line| line.trim_end().ends_with('#'))
    });
    // A flood through the engine.
    terminal.send("yes | sed s/y/wet/\r");
    terminal.until("a flood", |screen| lines(screen, "wet") > 10);
    terminal.send("\u{3}");
    terminal.until("the prompt", |screen| screen.contents().contains("^C"));
    // Quitting ends it at the engine too.
    terminal.send(PREFIX);
    terminal.wait_for("d leave it running");
    terminal.send("dq");
    terminal.wait_for("End the shell?");
    terminal.send("y");
    assert_eq!(terminal.wait(), 0);
    let top = || dockerd.docker(&["top", "whale"], b"");
    eventually("nothing of it is left", || top().lines().count() == 2);
    // A toolbox is a container beside it, and gone afterwards. Its prompt asks nobody where it is: the kernel
    // doesn't know.
    let mut command = Command::new(binary());
    let line = "ps | grep -c 'sleep 100[0]'; cat /target/tmp/note; echo \"$PWD, $PS1\"";
    command.args(["--host", &dockerd.host(), "debug", "--image", IMAGE, "whale", "sh", "-c", line]);
    let out = run(command, b"");
    assert_eq!(
        (out.code, out.stdout.as_str()),
        (0, "1\nthrough docker\n/target, $PWD # \n"),
        "{out:?}"
    );
    eventually("it is gone", || dockerd.docker(&["ps", "-aq"], b"").lines().count() == 1);
    let mut command = Command::new(binary());
    command.args(["--host", &dockerd.host(), "debug", "--image", "nope", "whale"]);
    let out = run(command, b"");
    assert!(out.code == 1 && out.stderr.contains("docker pull nope"), "{out:?}");
}

/// Where the recorded session is kept.
const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/dashboard.cast");

/// The most that it may take.
const MOST_BYTES: usize = 300 << 10;

/// The longest pause in it, so that watching it doesn't bore.
const PAUSE: Duration = Duration::from_millis(1200);

fn records_a_session() {
    let lab = Lab::new();
    lab.start(
        &["--name", "worker", "-m", "64m"],
        "while :; do echo \"$(date -u +%T) order $RANDOM packed\"; sleep 0.3; done",
    );
    lab.start(
        &["--name", "web", "--health-cmd", "true"],
        "while :; do n=0; while [ $n -lt 20000 ]; do n=$((n + 1)); done; sleep 0.2; done",
    );
    lab.start(&["--name", "job"], "echo 'cannot reach the database' >&2; exit 3");
    lab.ok(&["wait", "job"]);
    let mut terminal = Terminal::start(&lab.command(&[]), 100, 30);
    terminal.wait_for("worker");
    terminal.until("a CPU share", |screen| {
        let text = screen.contents();
        let row = text.lines().find(|line| line.contains(" web ")).unwrap_or_default();
        row.contains('%') && !row.contains(" 0.0%")
    });
    // The log of one, and a search in it.
    select(&mut terminal, "worker");
    terminal.send("l");
    terminal.wait_for("packed");
    terminal.send("/order [0-9]*5\r");
    terminal.wait_for("match");
    terminal.send("\u{1b}");
    terminal.wait_until_gone(" match");
    terminal.send("\u{1b}");
    terminal.wait_for("s stop");
    // A shell in it.
    shell(&mut terminal);
    for line in ["ps", "echo 'fetched again' > /tmp/note", "vi /tmp/note"] {
        terminal.send(&format!("{line}\r"));
    }
    terminal.until("vi", |screen| lines(screen, "~") > 10);
    write_in_vi(&mut terminal, "onothing is lost");
    terminal.wait_for("echo 'fetched again'");
    terminal.send(PREFIX);
    terminal.wait_for("d leave it running");
    terminal.send("d");
    terminal.wait_for("running $");
    // Why another has ended, and the networks.
    terminal.send("\u{1b}");
    terminal.wait_for("job");
    terminal.send("/job\r");
    terminal.send("H");
    terminal.wait_for("cannot reach the database");
    // Two escapes are one, which can't be taken for the beginning of another key.
    terminal.send("\u{1b}\u{1b}4");
    terminal.wait_for("bridge");
    terminal.send("1$");
    terminal.wait_for("Shells and attached containers");
    terminal.send("\r");
    terminal.wait_for("d leaves it running");
    terminal.send("exit\r");
    terminal.wait_for("has ended: exit code 0");
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
    let cast = terminal.cast("wharf's dashboard", PAUSE);
    assert!(cast.len() < MOST_BYTES, "{} bytes", cast.len());
    if std::env::var_os("WHARF_WRITE_DOCS").is_some() {
        std::fs::write(RECORDING, &cast).unwrap();
    }
    // In the virtual machine there is no such file.
    if let Ok(kept) = std::fs::read_to_string(RECORDING) {
        assert!(kept.len() < MOST_BYTES);
        check_cast(&kept);
    }
    check_cast(&cast);
}

/// Checks what asciicast's second version asks for, and that it shows what it is for.
#[track_caller]
fn check_cast(cast: &str) {
    let mut lines = cast.lines();
    let header: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    assert_eq!((&header["version"], &header["width"]), (&2.into(), &100.into()));
    let cells = |count: u16| std::num::NonZero::new(count).unwrap();
    let mut parser = vt100::Parser::new(cells(30), cells(100), 0);
    let (mut last, mut seen) = (0.0, String::new());
    for line in lines {
        let event: (f64, String, String) = serde_json::from_str(line).unwrap();
        assert!(event.0 >= last && event.1 == "o", "{event:?}");
        last = event.0;
        parser.process(event.2.as_bytes());
        seen.push_str(&parser.screen().contents());
    }
    for text in ["worker", "order", "nothing is lost", "cannot reach the database"] {
        assert!(seen.contains(text), "{text}");
    }
}
