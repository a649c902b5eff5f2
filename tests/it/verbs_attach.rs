//! attach and wait, with several clients at once.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{IMAGE, Lab, PATIENCE, Test, code_of, eventually, wait_for};
use crate::pty::Terminal;
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        signals_reach_the_container,
        signals_stay_here_when_asked,
        several_clients_see_the_same,
        input_is_left_alone_when_asked,
        detach_keys_and_sizes,
        what_was_typed_before_the_keys_arrives,
        refusals,
        waiting_for_several,
    ]
}

/// Attaches, and returns once output has come through.
fn attached(lab: &Lab, flags: &[&str], name: &str) -> (Child, BufReader<ChildStdout>) {
    let mut child = lab
        .command(&[&["attach"][..], flags, &[name]].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    read_until(&mut output, "tick");
    (child, output)
}

fn read_until(output: &mut BufReader<ChildStdout>, text: &str) {
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "it ends before {text:?}");
    }
}

fn ended(child: &mut Child) -> i32 {
    code_of(wait_for(child, *PATIENCE).expect("it ends"))
}

const TICKING: &str = "trap 'echo caught; exit 7' TERM; trap 'echo one' USR1; \
    while :; do echo tick; sleep 0.05; done";

fn signals_reach_the_container() {
    let lab = Lab::new();
    lab.start(&["--name", "box"], TICKING);
    let (mut child, mut output) = attached(&lab, &[], "box");
    kill_process(Pid::from_child(&child), Signal::USR1).unwrap();
    read_until(&mut output, "one");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    read_until(&mut output, "caught");
    assert_eq!(ended(&mut child), 7, "its exit code is the container's");
}

fn signals_stay_here_when_asked() {
    let lab = Lab::new();
    lab.start(&["--name", "box"], TICKING);
    let (mut child, _output) = attached(&lab, &["--sig-proxy=false"], "box");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(ended(&mut child), 143);
    assert_eq!(lab.inspect("box", "/State/Running"), true);
}

fn several_clients_see_the_same() {
    let lab = Lab::new();
    let flags = ["--name", "box", "-i"];
    lab.start(
        &flags,
        "while :; do echo tick; read -t 0.1 word && break; done; echo got $word; exit 4",
    );
    let mut clients: Vec<_> = (0..3).map(|_| attached(&lab, &[], "box")).collect();
    // One that leaves takes nobody along.
    let (mut gone, _) = clients.pop().unwrap();
    kill_process(Pid::from_child(&gone), Signal::KILL).unwrap();
    ended(&mut gone);
    clients[0].0.stdin.take().unwrap().write_all(b"hello\n").unwrap();
    for (child, output) in &mut clients {
        read_until(output, "got hello");
        assert_eq!(ended(child), 4);
    }
}

fn input_is_left_alone_when_asked() {
    let lab = Lab::new();
    lab.start(
        &["--name", "box", "-i"],
        "while :; do echo tick; read -t 0.05 word && echo got $word; done",
    );
    let (mut child, mut output) = attached(&lab, &["--no-stdin"], "box");
    // It may close its end unread.
    let _ = child.stdin.take().unwrap().write_all(b"unwanted\n");
    for _ in 0..5 {
        read_until(&mut output, "tick");
    }
    lab.ok(&["kill", "box"]);
    assert_eq!(ended(&mut child), 137);
    assert!(!lab.ok(&["logs", "box"]).contains("unwanted"));
}

fn detach_keys_and_sizes() {
    let lab = Lab::new();
    lab.ok(&["run", "-dit", "--name", "box", "--network", "none", IMAGE, "sh"]);
    let attach = ["attach", "--detach-keys", "ctrl-x,x", "box"];
    let mut terminal = Terminal::start(&lab.command(&attach), 77, 21);
    terminal.send("until [ \"$(stty size)\" = '21 77' ]; do :; done; echo si''zed\r");
    terminal.wait_for("sized");
    terminal.resize(66, 16);
    terminal.send("until [ \"$(stty size)\" = '16 66' ]; do :; done; echo resi''zed\r");
    terminal.wait_for("resized");
    terminal.send("\u{18}x");
    assert_eq!(terminal.wait(), 1);
    assert!(terminal.text().contains("read escape sequence"), "{}", terminal.text());
    assert_eq!(lab.inspect("box", "/State/Running"), true);
    lab.fails(125, "invalid detach keys", &["attach", "--detach-keys", "ctrl-", "box"]);
}

/// While its supervisor stands still, a client types something, leaves by its keys, and is gone. The
/// container has written meanwhile, which nobody takes any more.
fn what_was_typed_before_the_keys_arrives() {
    let lab = Lab::new();
    let talks = "{ while :; do echo tick; sleep 0.01; done; } & \
                 while read -r word; do echo $word >>/tmp/words; done";
    lab.start(&["-it", "--name", "box"], talks);
    let words = || lab.run(&["exec", "box", "cat", "/tmp/words"]).stdout;
    let supervisor = crate::restart::supervisor(&lab, "box");
    let leave = |arguments: &[&str], typed: &str| {
        let arguments = [&arguments[..1], &["--detach-keys", "ctrl-x"], &arguments[1..]].concat();
        let mut terminal = Terminal::start(&lab.command(&arguments), 80, 24);
        terminal.wait_for("tick");
        kill_process(supervisor, Signal::STOP).unwrap();
        terminal.send(&format!("{typed}\r\u{18}"));
        terminal.wait();
        kill_process(supervisor, Signal::CONT).unwrap();
        assert!(terminal.text().contains("read escape sequence"), "{}", terminal.text());
    };
    leave(&["attach", "box"], "attached");
    eventually("what was typed is there", || words() == "attached\n");
    let program =
        "while :; do echo tick; sleep 0.01; done & read -r word; echo $word >>/tmp/words; wait";
    leave(&["exec", "-it", "box", "sh", "-c", program], "executed");
    eventually("what was typed is there too", || words() == "attached\nexecuted\n");
    let told = |action: &str| {
        let filter = format!("event={action}");
        lab.ok(&["events", "--since", "1", "--until", "0s", "--filter", &filter])
    };
    for action in ["detach", "exec_detach"] {
        eventually("it is told", || told(action).contains(&format!("container {action}")));
    }
}

fn refusals() {
    let lab = Lab::new();
    lab.fails(1, "No such container: none", &["attach", "none"]);
    lab.ok(&["create", "--name", "box", "--network", "none", IMAGE, "sleep", "1000"]);
    let stopped = "You cannot attach to a stopped container, start it first";
    lab.fails(1, stopped, &["attach", "box"]);
    lab.ok(&["start", "box"]);
    lab.ok(&["pause", "box"]);
    let paused = "You cannot attach to a paused container, unpause it first";
    lab.fails(1, paused, &["attach", "box"]);
}

fn waiting_for_several() {
    let lab = Lab::new();
    lab.start(&["--name", "one"], "sleep 0.2; exit 3");
    lab.start(&["--name", "two"], "exit 5");
    let out = lab.ends(1, &["wait", "one", "none", "two"]);
    assert_eq!(out.stdout, "3\n5\n");
    assert!(out.stderr.contains("No such container: none"), "{}", out.stderr);
}
