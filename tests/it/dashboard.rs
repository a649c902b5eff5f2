//! The dashboard on a terminal: the embedded engine's and a real dockerd's containers on the same
//! screens, and the terminal given back however it ends.

use std::process::Command;

use rustix::process::{Signal, kill_process};

use crate::dockerd::{self, Dockerd};
use crate::harness::{IMAGE, Lab, Test, binary, eventually, rootfs_tar, run};
use crate::pty::Terminal;
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    let mut tests = tests![
        shows_what_runs_and_restores_the_terminal,
        steers_containers,
        asks_before_it_removes,
        follows_what_others_do,
        filters,
        resizes_down_to_nothing,
        shows_logs_and_inspect,
        shows_images,
        read_only_changes_nothing,
        a_closed_window_ends_it,
        a_signal_ends_it,
        needs_a_terminal,
    ];
    let lacks = dockerd::lacks().or_else(|| crate::harness::lacks_programs(&["docker"]));
    tests.push(Test::new("shows_and_steers_a_dockerd", docker).needing(lacks));
    tests
}

/// Entering and leaving the alternate screen, and the cursor shown again.
const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?1049l";
const SHOW_CURSOR: &str = "\u{1b}[?25h";

fn open(lab: &Lab, columns: u16, rows: u16) -> Terminal {
    Terminal::start(&lab.command(&[]), columns, rows)
}

#[track_caller]
fn assert_restored(terminal: &Terminal) {
    let written = terminal.written();
    assert!(written.contains(ENTER), "it used a screen of its own");
    assert!(written.rfind(LEAVE) > written.rfind(ENTER), "the shell's screen is back");
    assert!(written.rfind(SHOW_CURSOR).is_some(), "the cursor is back");
    assert!(!terminal.is_raw(), "the line discipline is back");
}

fn shows_what_runs_and_restores_the_terminal() {
    let lab = Lab::new();
    lab.start(&["--name", "busy-one"], "while :; do :; done");
    lab.start(&["--name", "gone-one"], "exit 3");
    lab.ok(&["wait", "gone-one"]);
    let mut terminal = open(&lab, 100, 30);
    terminal.wait_for("busy-one");
    terminal.wait_for("running");
    // A measured share of a CPU.
    terminal.until("a CPU share", |screen| {
        let text = screen.contents();
        let row = text.lines().find(|line| line.contains("busy-one")).unwrap_or_default();
        row.contains('%') && !row.contains(" 0.0%")
    });
    assert!(terminal.is_raw());
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
    assert_restored(&terminal);
    assert_eq!(lab.inspect("busy-one", "/State/Status"), "running", "it harms nothing");
}

fn steers_containers() {
    let lab = Lab::new();
    lab.start(&["--name", "steered"], "trap 'exit 0' TERM; while :; do sleep 0.05; done");
    let status = |wanted: &str| lab.inspect("steered", "/State/Status") == wanted;
    let mut terminal = open(&lab, 100, 30);
    terminal.wait_for("steered");
    // One thing after the other: what is still being done isn't begun again.
    terminal.send("p");
    terminal.wait_for("pause steered: done");
    terminal.wait_for("paused");
    assert!(status("paused"));
    terminal.send("p");
    terminal.wait_for("resume steered: done");
    terminal.until("running again", |screen| row(screen, "steered").contains("running"));
    assert!(status("running"));
    terminal.send("s");
    terminal.wait_for("stop steered: done");
    terminal.until("stopped", |screen| row(screen, "steered").contains("exited"));
    assert!(status("exited"));
    terminal.send("S");
    terminal.wait_for("start steered: done");
    terminal.until("started", |screen| row(screen, "steered").contains("running"));
    let before = lab.pid("steered");
    terminal.send("r");
    eventually("it has another process", || {
        status("running") && lab.inspect("steered", "/State/Pid") != before
    });
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
}

/// Returns the screen's first row that has a word.
fn row(screen: &vt100::Screen, word: &str) -> String {
    let text = screen.contents();
    text.lines().find(|line| line.contains(word)).unwrap_or_default().to_owned()
}

fn asks_before_it_removes() {
    let lab = Lab::new();
    lab.start(&["--name", "doomed"], "sleep 1000");
    let mut terminal = open(&lab, 100, 30);
    terminal.wait_for("doomed");
    terminal.send("d");
    terminal.wait_for("Remove container doomed?");
    // The default is to cancel.
    terminal.send("\r");
    terminal.wait_until_gone("Remove container doomed?");
    assert_eq!(lab.inspect("doomed", "/State/Status"), "running");
    terminal.send("d");
    terminal.wait_for("Remove container doomed?");
    terminal.send("y");
    eventually("it is removed", || lab.run(&["inspect", "doomed"]).code != 0);
    terminal.until("the list without it", |screen| !row(screen, "doomed").contains("running"));
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
}

fn follows_what_others_do() {
    let lab = Lab::new();
    let mut terminal = open(&lab, 100, 30);
    terminal.wait_for("Containers");
    lab.start(&["--name", "newcomer"], "sleep 1000");
    terminal.wait_for("newcomer");
    lab.ok(&["kill", "newcomer"]);
    terminal.until("its end", |screen| row(screen, "newcomer").contains("exited"));
    lab.ok(&["rm", "newcomer"]);
    terminal.until("its removal", |screen| !row(screen, "newcomer").contains("exited"));
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
}

fn filters() {
    let lab = Lab::new();
    for name in ["apple", "banana"] {
        lab.start(&["--name", name], "sleep 1000");
    }
    let mut terminal = open(&lab, 100, 30);
    terminal.wait_for("apple");
    terminal.wait_for("banana");
    terminal.send("/bana\r");
    terminal.until("only one", |screen| {
        let text = screen.contents();
        text.contains("banana") && !text.contains("apple")
    });
    terminal.send("\u{1b}");
    terminal.wait_for("apple");
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
}

fn resizes_down_to_nothing() {
    let lab = Lab::new();
    lab.start(&["--name", "small"], "sleep 1000");
    let mut terminal = open(&lab, 120, 40);
    terminal.wait_for("small");
    for (columns, rows) in [(80, 24), (40, 12), (10, 3), (1, 1), (200, 50)] {
        terminal.resize(columns, rows);
    }
    terminal.until("the list over the whole width", |screen| {
        screen.contents().contains("small")
            && screen.contents().lines().any(|line| line.chars().count() > 120)
    });
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
}

fn shows_logs_and_inspect() {
    let lab = Lab::new();
    let line = "echo first line; printf '\\033]0;evil\\007\\033[2Jstill here\\n'; sleep 1000";
    lab.start(&["--name", "talker"], line);
    lab.wait_for_log("talker", "still here");
    let mut terminal = open(&lab, 100, 40);
    terminal.wait_for("talker");
    terminal.send("l");
    terminal.wait_for("first line");
    terminal.wait_for("still here");
    assert!(!terminal.written().contains("\u{1b}]0;evil"), "what it wrote is made safe");
    lab.ok(&["exec", "talker", "sh", "-c", "echo said later > /proc/1/fd/1"]);
    terminal.wait_for("said later");
    terminal.send("\u{1b}");
    terminal.wait_for("s stop");
    terminal.send("i");
    terminal.wait_for("State");
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
}

fn shows_images() {
    let lab = Lab::new();
    let mut terminal = open(&lab, 100, 30);
    terminal.wait_for("Containers");
    terminal.send("2");
    terminal.wait_for("box");
    terminal.send("1");
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
}

fn read_only_changes_nothing() {
    let lab = Lab::new();
    lab.start(&["--name", "safe"], "sleep 1000");
    let mut terminal = Terminal::start(&lab.command(&["--read-only"]), 100, 30);
    terminal.wait_for("safe");
    terminal.send("spKd");
    // A key that is answered, pressed after those that must not be.
    terminal.send("?");
    terminal.wait_for("Keys");
    terminal.send("\u{1b}");
    terminal.wait_until_gone("Keys");
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
    assert_eq!(lab.inspect("safe", "/State/Status"), "running");
}

fn a_closed_window_ends_it() {
    let lab = Lab::new();
    lab.start(&["--name", "stays"], "sleep 1000");
    let mut terminal = open(&lab, 100, 30);
    terminal.wait_for("stays");
    terminal.hang_up();
    terminal.wait();
    assert_eq!(lab.inspect("stays", "/State/Status"), "running");
}

fn a_signal_ends_it() {
    let lab = Lab::new();
    lab.start(&["--name", "stays"], "sleep 1000");
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let mut terminal = open(&lab, 100, 30);
        terminal.wait_for("stays");
        kill_process(terminal.pid(), signal).unwrap();
        terminal.wait();
        assert_restored(&terminal);
    }
    assert_eq!(lab.inspect("stays", "/State/Status"), "running");
}

fn needs_a_terminal() {
    let lab = Lab::empty();
    lab.fails(1, "needs a terminal", &["ui"]);
    assert!(lab.ok(&[]).contains("Usage:"), "without a terminal it tells how it is used");
}

fn docker() {
    let dockerd = Dockerd::start();
    let docker = |arguments: &[&str], input: &[u8]| dockerd.docker(arguments, input);
    docker(&["import", "-", IMAGE], &rootfs_tar());
    let line = "trap 'exit 0' TERM; echo hello from docker; while :; do sleep 0.05; done";
    docker(&["run", "-d", "--name", "whale", "--network", "none", IMAGE, "sh", "-c", line], b"");
    let mut command = Command::new(binary());
    command.args(["--host", &dockerd.host()]);
    let mut terminal = Terminal::start(&command, 100, 40);
    terminal.wait_for("whale");
    terminal.until("a CPU share", |screen| row(screen, "whale").contains('%'));
    terminal.send("l");
    terminal.wait_for("hello from docker");
    terminal.send("\u{1b}");
    terminal.wait_for("s stop");
    terminal.send("p");
    terminal.until("paused", |screen| row(screen, "whale").contains("paused"));
    terminal.send("p");
    terminal.until("running", |screen| row(screen, "whale").contains("running"));
    terminal.send("s");
    terminal.until("stopped", |screen| row(screen, "whale").contains("exited"));
    assert!(docker(&["ps", "-a"], b"").contains("Exited (0)"));
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
    assert_restored(&terminal);
    // The command line steers it too.
    let wharf = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        command.args(["--host", &dockerd.host()]).args(arguments);
        let out = run(command, b"");
        assert_eq!(out.code, 0, "{out:?}");
        out.stdout
    };
    assert!(wharf(&["ps", "-a"]).contains("whale"));
    assert_eq!(wharf(&["start", "whale"]), "whale\n");
    assert_eq!(wharf(&["exec", "whale", "echo", "inside"]), "inside\n");
    assert!(wharf(&["logs", "whale"]).starts_with("hello from docker\n"));
    assert!(wharf(&["inspect", "whale"]).contains("\"/whale\""));
    assert_eq!(wharf(&["run", "--rm", "--network", "none", IMAGE, "echo", "ran"]), "ran\n");
    assert_eq!(wharf(&["rm", "-f", "whale"]), "whale\n");
}
