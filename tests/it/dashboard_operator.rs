//! The dashboard in tired hands: suspended and come back to, keys that would stop a whole service,
//! commands of one's own, the clipboard, and a look that changes nothing whatever is pressed.

use std::fs;
use std::process::Command;

use crate::harness::{Lab, Test, binary, busybox, eventually, folder};
use crate::pty::Terminal;
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        suspends_to_the_shell_and_comes_back,
        asks_before_a_whole_group_is_interrupted,
        runs_commands_of_ones_own_and_copies,
        reads_only_whatever_is_pressed,
    ]
}

/// Keys that change something, and those that answer a question.
const CHANGES: &str = "sSrpKdRLubexAmDPnUtcz";

/// Returns whether the shell waits for a line: what is typed before may be lost.
fn prompts(screen: &vt100::Screen) -> bool {
    !screen.alternate_screen() && screen.contents().trim_end().ends_with("ready$")
}

fn suspends_to_the_shell_and_comes_back() {
    let lab = Lab::new();
    lab.start(&["--name", "stays"], "sleep 1000");
    let mut shell = Command::new(busybox());
    shell.args(["sh", "-i"]).env("WHARF_ROOT", lab.root()).env("PS1", "ready$ ");
    let mut terminal = Terminal::start(&shell, 100, 30);
    terminal.wait_for("ready$");
    terminal.send(&format!("{}\r", binary().display()));
    terminal.until("the dashboard", |screen| {
        screen.alternate_screen() && screen.contents().contains("stays")
    });
    for _ in 0..2 {
        terminal.send("\x1a");
        terminal
            .until("the shell", |screen| prompts(screen) && screen.contents().contains("Stopped"));
        terminal.send("echo $((6 * 7)) is it\r");
        terminal.until("the answer", |screen| {
            prompts(screen) && screen.contents().contains("42 is it")
        });
        assert_eq!(lab.inspect("stays", "/State/Status"), "running");
        terminal.send("clear; fg\r");
        terminal.until("the dashboard again", |screen| {
            screen.alternate_screen() && screen.contents().contains("stays")
        });
    }
    // It listens again, and leaves the shell as it was.
    terminal.send("?");
    terminal.wait_for("Keys");
    terminal.send("\x1b");
    terminal.wait_until_gone("Keys");
    terminal.send("q");
    terminal.until("the shell", prompts);
    terminal.send("exit\r");
    assert_eq!(terminal.wait(), 0);
}

fn asks_before_a_whole_group_is_interrupted() {
    let lab = Lab::new();
    for name in ["web", "db"] {
        let flags = ["--name", name, "--label", "com.docker.compose.project=shop"];
        lab.start(&flags, "trap 'exit 0' TERM; while :; do sleep 0.05; done");
    }
    let mut terminal = Terminal::start(&lab.command(&[]), 80, 24);
    terminal.wait_for("2 of 2");
    terminal.send(":shop\r");
    terminal.wait_for("2 containers");
    terminal.send("p");
    terminal.wait_for("Pause 2 containers of shop?");
    terminal.send("\r");
    terminal.wait_until_gone("Pause 2 containers");
    // The menu has the keys that it shows; its answer is the same question.
    terminal.send("\r");
    terminal.wait_for("s  stop its containers");
    terminal.send("s");
    terminal.wait_for("Stop 2 containers of shop?");
    assert_eq!(lab.inspect("web", "/State/Status"), "running");
    terminal.send("y");
    terminal.wait_for("0 of 2");
    eventually("both are stopped", || {
        ["web", "db"].iter().all(|name| lab.inspect(name, "/State/Status") == "exited")
    });
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
}

fn runs_commands_of_ones_own_and_copies() {
    let lab = Lab::new();
    let home = folder();
    fs::create_dir_all(home.join("wharf")).unwrap();
    let config = "[[command]]\nname = \"its state\"\nkey = \"Ctrl-n\"\n\
                  run = \"echo begin; {wharf} port {name}; {wharf} top {name} | wc -l; exit 3\"\n";
    fs::write(home.join("wharf/config.toml"), config).unwrap();
    lab.start(&["--name", "mine"], "sleep 1000");
    let mut command = lab.command(&[]);
    command.env("XDG_CONFIG_HOME", &home).env("XDG_STATE_HOME", &home);
    // Nobody has installed it.
    command.env("PATH", "/usr/bin:/bin");
    let mut terminal = Terminal::start(&command, 100, 30);
    terminal.wait_for("mine");
    terminal.wait_for("? help");
    terminal.send("\x0e");
    terminal.wait_for("Run its state (mine)?");
    terminal.send("\r");
    terminal.wait_until_gone("Run its state");
    terminal.send("\x0e");
    terminal.wait_for("Run its state (mine)?");
    terminal.send("y");
    terminal.wait_for("exit code 3");
    let text = terminal.text();
    assert!(text.contains("begin") && !text.contains("not found"), "{text}");
    terminal.send("\x1b");
    terminal.wait_until_gone("exit code 3");
    terminal.send("y");
    terminal.wait_for("copied mine");
    assert!(terminal.written().contains("\x1b]52;c;bWluZQ==\x07"), "by way of the terminal");
    // The mouse can be left to the terminal.
    terminal.send("M");
    terminal.wait_for("the mouse is the terminal's");
    assert!(terminal.written().contains("\x1b[?1000l"));
    // The command is there while something of the container is looked at, too.
    terminal.send("f");
    terminal.wait_for("bin/");
    terminal.send("\x0e");
    terminal.wait_for("Run its state (mine)?");
    terminal.send("\x1b");
    terminal.wait_until_gone("Run its state");
    terminal.send("c");
    terminal.wait_for("of mine to");
    terminal.send(&format!("\x15{}\r", home.join("out").display()));
    terminal.wait_for("copied mine:/");
    terminal.wait_for(" cp mine:/");
    terminal.send("h");
    // A shell ends with the dashboard, and what came of it is written down.
    terminal.send("e");
    terminal.wait_for("Ctrl-] d leaves it");
    terminal.wait_for("/ #");
    terminal.send("\x1dd");
    terminal.wait_for("goes on");
    terminal.send("q");
    terminal.wait_for("End the shell?");
    terminal.send("y");
    assert_eq!(terminal.wait(), 0);
    let audit = fs::read_to_string(home.join("wharf/audit.log")).unwrap();
    assert!(audit.contains("its state (mine)") && audit.contains("exit code 3"), "{audit}");
    let lines: Vec<serde_json::Value> =
        audit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for action in ["command", "cp", "exec"] {
        let of: Vec<_> = lines.iter().filter(|line| line["action"] == action).collect();
        assert_eq!(of.len(), 2, "{action}: {audit}");
        assert_eq!(of[0]["result"], "begun", "{audit}");
    }
    fs::remove_dir_all(home).unwrap();
}

fn reads_only_whatever_is_pressed() {
    let lab = Lab::new();
    let home = folder();
    fs::create_dir_all(home.join("wharf")).unwrap();
    let touched = home.join("touched");
    let config = format!(
        "[[command]]\nname = \"touch\"\nkey = \"Ctrl-n\"\nrun = \"touch {}\"\nconfirm = false\n",
        touched.display()
    );
    fs::write(home.join("wharf/config.toml"), config).unwrap();
    lab.ok(&["network", "create", "lonely"]);
    lab.ok(&["volume", "create", "lonely"]);
    lab.start(&["--name", "safe", "-t", "-i", "-m", "64m"], "sleep 1000");
    lab.start(&["--name", "ended"], "exit 3");
    lab.ok(&["wait", "ended"]);
    let all = || {
        [
            lab.ok(&["ps", "-a", "--format", "{{.ID}} {{.Names}} {{.State}} {{.Networks}}"]),
            lab.ok(&["images", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}"]),
            lab.ok(&["volume", "ls", "-q"]),
            lab.ok(&["network", "ls", "-q"]),
            lab.inspect("safe", "/HostConfig").to_string(),
        ]
    };
    let before = all();
    let mut command = lab.command(&["ui", "--read-only"]);
    command.env("XDG_CONFIG_HOME", &home).env("XDG_STATE_HOME", &home).current_dir(&home);
    let mut terminal = Terminal::start(&command, 80, 24);
    terminal.wait_for("READ-ONLY");
    terminal.wait_for("safe");
    for screen in '1'..='6' {
        for key in CHANGES.chars().chain(['\x0e', '\x7f']) {
            // Whatever it opens is consented to, and left.
            terminal.send(&format!("{screen}{key}\ry"));
            // Two escapes are one, which can't be taken for the beginning of another key.
            terminal.send("\x1dd\x1b\x1b\x1b\x1b\x1b\x1b");
        }
        // All of it has been taken in.
        terminal.send("?");
        terminal.wait_for("Keys");
        terminal.send("\x1b");
        terminal.wait_until_gone("Keys");
    }
    terminal.send("1q");
    // Attached containers are asked about, and let go of.
    terminal.send("y");
    assert_eq!(terminal.wait(), 0);
    assert_eq!(all(), before);
    assert!(!touched.exists());
    let audit = fs::read_to_string(home.join("wharf/audit.log")).unwrap_or_default();
    for verb in ["stop", "start", "rm", "kill", "update", "exec", "network", "volume", "command"] {
        assert!(!audit.contains(&format!("\"action\":\"{verb}")), "{audit}");
    }
    fs::remove_dir_all(home).unwrap();
}
