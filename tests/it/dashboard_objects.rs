//! The dashboard's networks and volumes on a terminal, over the embedded engine and over a dockerd.

use crate::dockerd::{self, Dockerd};
use crate::harness::{IMAGE, Lab, Test, eventually, rootfs_tar, whole_tar};
use crate::pty::Terminal;
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    let mut tests = tests![draws_networks_and_steers_them, tries_whether_one_reaches_another];
    tests.push(Test::new("lists_volumes_and_their_files", lists_volumes_and_their_files));
    let lacks = dockerd::lacks().or_else(|| crate::harness::lacks_programs(&["docker"]));
    tests.push(Test::new("shows_those_of_a_dockerd", docker).needing(lacks));
    tests
}

/// Starts a container that runs a shell line, on the default network unless told otherwise.
fn start(lab: &Lab, flags: &[&str], line: &str) {
    lab.ok(&[&["run", "-d"], flags, &[IMAGE, "sh", "-c", line]].concat());
}

fn draws_networks_and_steers_them() {
    let lab = Lab::new();
    lab.ok(&["network", "create", "--subnet", "10.219.7.0/24", "front"]);
    lab.ok(&["network", "create", "--internal", "inner"]);
    start(&lab, &["--name", "stands", "--network", "front"], "sleep 1000");
    let mut terminal = Terminal::start(&lab.command(&[]), 100, 40);
    terminal.wait_for("stands");
    terminal.send("4");
    terminal.wait_for("10.219.7.0/24");
    terminal.wait_for("internal: no way out");
    terminal.wait_for("10.219.7.2");
    // Its rate is measured.
    terminal.until("a rate", |screen| screen.contents().contains("10.219.7.2  front  "));
    // What others do shows up.
    lab.ok(&["network", "connect", "inner", "stands"]);
    terminal.until("two connections", |screen| {
        screen.contents().lines().filter(|line| line.contains("┤")).count() == 2
    });
    // Taken away again by keys: the container, its connections, the one to front.
    terminal.send("/stands\rGhx");
    terminal.wait_for("Disconnect stands from");
    terminal.send("\r");
    terminal.wait_until_gone("Disconnect stands from");
    let networks = || lab.inspect("stands", "/NetworkSettings/Networks");
    assert_eq!(networks().as_object().unwrap().len(), 2, "the default is to cancel");
    terminal.send("x");
    terminal.wait_for("Disconnect stands from");
    terminal.send("y");
    eventually("it is on one network", || networks().as_object().unwrap().len() == 1);
    terminal.send("\u{1b}");
    terminal.wait_for("nobody is on it");
    terminal.send("n");
    terminal.wait_for("New network");
    terminal.send("made subnet=10.219.8.0/24 internal\r");
    eventually("it is made", || {
        lab.run(&["network", "inspect", "-f", "{{.Internal}}", "made"]).stdout.trim() == "true"
    });
    terminal.wait_until_gone("New network");
    terminal.wait_for("10.219.8.0/24");
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
}

fn tries_whether_one_reaches_another() {
    let lab = Lab::new();
    start(&lab, &["--name", "asks"], "sleep 1000");
    start(&lab, &["--name", "hides"], "sleep 1000");
    let mut terminal = Terminal::start(&lab.command(&["ui", "--read-only"]), 100, 40);
    terminal.wait_for("asks");
    terminal.send("4");
    terminal.wait_for("172.");
    terminal.send("/asks\rGr");
    terminal.wait_for("Can asks reach");
    terminal.send("\r");
    terminal.wait_for("on which TCP port?");
    terminal.send("80\r");
    terminal.wait_for("nothing listens on TCP port 80 in hides");
    terminal.send("q");
    terminal.wait_until_gone("nothing listens");
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
}

fn lists_volumes_and_their_files() {
    let lab = Lab::new();
    if lab.run(&["volume", "ls"]).code != 0 {
        // This engine has none: the screen says so instead of showing nothing.
        let mut terminal = Terminal::start(&lab.command(&[]), 100, 40);
        terminal.wait_for("Containers");
        terminal.send("3");
        terminal.wait_for("volumes are not there yet");
        terminal.send("q");
        terminal.wait();
        return;
    }
    let line = "mkdir /data/deep; printf 'one\\033[2Jtwo\\n' > /data/notes; echo up; sleep 1000";
    start(&lab, &["--name", "keeper", "-v", "store:/data"], line);
    lab.wait_for_log("keeper", "up");
    let mut terminal = Terminal::start(&lab.command(&[]), 100, 40);
    terminal.wait_for("keeper");
    terminal.send("3");
    terminal.wait_for("store");
    terminal.wait_for("1 up");
    terminal.send("f");
    terminal.wait_for("deep/");
    terminal.send("G\r");
    terminal.wait_for("two");
    assert!(!terminal.written().contains("one\u{1b}[2J"), "what it holds is made safe");
    terminal.send("\u{1b}\u{1b}");
    let file = lab.root().join("store.tar");
    terminal.send("s");
    terminal.wait_for("Save store to which file?");
    terminal.send(&format!("\u{15}{}\r", file.display()));
    eventually("it is saved", || {
        whole_tar(&file).is_some_and(|files| files.keys().any(|path| path.ends_with("notes")))
    });
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
}

fn docker() {
    let dockerd = Dockerd::start();
    let docker = |arguments: &[&str], input: &[u8]| dockerd.docker(arguments, input);
    docker(&["import", "-", IMAGE], &rootfs_tar());
    docker(&["network", "create", "--internal", "--subnet", "10.219.9.0/24", "pond"], b"");
    let line = "echo words > /data/notes; sleep 1000";
    let flags = ["run", "-d", "--name", "whale", "--network", "pond", "-v", "krill:/data"];
    docker(&[&flags[..], &[IMAGE, "sh", "-c", line]].concat(), b"");
    let mut terminal = dockerd.dashboard(100, 40);
    terminal.wait_for("whale");
    terminal.send("4");
    terminal.wait_for("10.219.9.0/24");
    terminal.wait_for("internal: no way out");
    terminal.wait_for("10.219.9.2");
    terminal.send("r");
    terminal.wait_for("a container must be selected");
    terminal.send("3");
    terminal.wait_for("krill");
    terminal.wait_for("1 up");
    terminal.send("f");
    terminal.wait_for("notes");
    terminal.send("\r");
    terminal.wait_for("words");
    terminal.send("\u{1b}\u{1b}ncoral\r");
    // The list has it, not only the form.
    terminal.wait_for("2 volumes");
    assert!(docker(&["volume", "ls", "-q"], b"").contains("coral"));
    terminal.send("/coral\rd");
    terminal.wait_for("Remove volume coral?");
    terminal.send("y");
    eventually("it is removed", || !docker(&["volume", "ls", "-q"], b"").contains("coral"));
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
    docker(&["rm", "-f", "whale"], b"");
    docker(&["network", "rm", "pond"], b"");
}
