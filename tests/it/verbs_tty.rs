//! `-it`: a real terminal outside, a real terminal inside.

use rustix::process::{Signal, kill_process};

use crate::harness::{IMAGE, Lab, Test};
use crate::pty::Terminal;
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_shell,
        resizing,
        control_c_reaches_the_program,
        detaching_and_attaching,
        exec_in_a_terminal,
        an_exec_that_was_left_goes_on,
        terminal_is_restored_after_a_signal,
        no_terminal_no_tty,
        closing_the_window_harms_nothing,
    ]
}

const IT: [&str; 5] = ["run", "--rm", "-it", "--network", "none"];

fn a_shell() {
    let lab = Lab::new();
    let mut terminal = Terminal::start(&lab.command(&[&IT[..], &[IMAGE, "sh"]].concat()), 80, 24);
    terminal.wait_for("/ # ");
    assert!(terminal.is_raw(), "every key is the container's");
    terminal.send("tty; stty size; echo $TERM\r");
    terminal.wait_for("/dev/pts/0");
    terminal.wait_for("24 80");
    terminal.wait_for("xterm");
    terminal.send("exit 7\r");
    assert_eq!(terminal.wait(), 7);
    assert!(!terminal.is_raw(), "restored");
}

fn resizing() {
    let lab = Lab::new();
    let line = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done";
    let command = lab.command(&[&IT[..], &[IMAGE, "sh", "-c", line]].concat());
    let mut terminal = Terminal::start(&command, 80, 24);
    terminal.wait_for("ready");
    terminal.resize(111, 33);
    terminal.wait_for("33 111");
    terminal.send("\u{3}");
    terminal.wait();
}

fn control_c_reaches_the_program() {
    let lab = Lab::new();
    let line = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.05; done";
    let command = lab.command(&[&IT[..], &[IMAGE, "sh", "-c", line]].concat());
    let mut terminal = Terminal::start(&command, 80, 24);
    terminal.wait_for("ready");
    terminal.send("\u{3}");
    assert_eq!(terminal.wait(), 9);
    assert!(terminal.text().contains("caught"));
}

fn detaching_and_attaching() {
    let lab = Lab::new();
    let run = ["run", "-it", "--name", "shell", "--network", "none", IMAGE, "sh"];
    let mut terminal = Terminal::start(&lab.command(&run), 80, 24);
    terminal.wait_for("/ # ");
    terminal.send("word=kept\r");
    terminal.send("\u{10}\u{11}");
    assert_eq!(terminal.wait(), 0);
    assert!(!terminal.is_raw());
    assert_eq!(lab.inspect("shell", "/State/Status"), "running");
    let mut terminal = Terminal::start(&lab.command(&["start", "-a", "-i", "shell"]), 80, 24);
    terminal.send("echo it is $word\r");
    terminal.wait_for("it is kept");
    terminal.send("exit 3\r");
    assert_eq!(terminal.wait(), 3);
    assert_eq!(lab.inspect("shell", "/State/ExitCode"), 3);
}

fn exec_in_a_terminal() {
    let lab = Lab::new();
    lab.start(&["--name", "base"], "sleep 1000");
    let mut terminal = Terminal::start(&lab.command(&["exec", "-it", "base", "sh"]), 90, 20);
    terminal.wait_for("/ # ");
    terminal.send("tty; stty size\r");
    terminal.wait_for("/dev/pts/");
    terminal.wait_for("20 90");
    terminal.resize(70, 15);
    terminal.send("until [ \"$(stty size)\" = '15 70' ]; do :; done; echo resi''zed\r");
    terminal.wait_for("resized");
    terminal.send("exit 5\r");
    assert_eq!(terminal.wait(), 5);
    assert!(!terminal.is_raw());
    assert_eq!(lab.inspect("base", "/State/Status"), "running");
}

fn an_exec_that_was_left_goes_on() {
    let lab = Lab::new();
    lab.start(&["--name", "base"], "sleep 1000");
    let mut terminal = Terminal::start(&lab.command(&["exec", "-it", "base", "sh"]), 80, 24);
    terminal.wait_for("/ # ");
    // More than a terminal holds that nobody reads.
    let fill = "n=0; until [ $n = 9000 ]; do echo full; n=$((n+1)); done";
    let script =
        format!("echo begun; until [ -e /go ]; do sleep 0.05; done; {fill}; echo over >/over");
    lab.ends(0, &["exec", "base", "sh", "-c", &format!("echo '{script}' >/script")]);
    terminal.send("sh /script; exit\r");
    terminal.wait_for("begun");
    terminal.send("\u{10}\u{11}");
    // As docker's, which takes the keys for an error.
    assert_eq!(terminal.wait(), 1);
    assert!(!terminal.is_raw());
    lab.ends(0, &["exec", "base", "touch", "/go"]);
    let seen = "n=0; until [ -e /over ]; do n=$((n+1)); [ $n = 600 ] && exit 9; sleep 0.05; done";
    lab.ends(0, &["exec", "base", "sh", "-c", seen]);
}

fn terminal_is_restored_after_a_signal() {
    let lab = Lab::new();
    let run = ["run", "-it", "--name", "shell", "--network", "none", IMAGE, "sh"];
    let mut terminal = Terminal::start(&lab.command(&run), 80, 24);
    terminal.wait_for("/ # ");
    kill_process(terminal.pid(), Signal::TERM).unwrap();
    terminal.wait();
    assert!(!terminal.is_raw());
}

fn no_terminal_no_tty() {
    let lab = Lab::new();
    lab.fails(1, "input device is not a TTY", &[&IT[..], &[IMAGE, "true"]].concat());
    // Without input passed on a terminal inside needs none outside.
    let out = lab.ends(0, &["run", "--rm", "-t", "--network", "none", IMAGE, "tty"]);
    assert_eq!(out.stdout, "/dev/pts/0\r\n");
}

fn closing_the_window_harms_nothing() {
    let lab = Lab::new();
    let run = ["run", "-it", "--name", "shell", "--network", "none", IMAGE, "sh"];
    let mut terminal = Terminal::start(&lab.command(&run), 80, 24);
    terminal.wait_for("/ # ");
    terminal.hang_up();
    terminal.wait();
    assert_eq!(lab.inspect("shell", "/State/Status"), "running");
    assert_eq!(lab.ok(&["exec", "shell", "echo", "alive"]), "alive");
}
