//! The dashboard's logs, documents and files on a terminal, over the embedded engine and over a
//! dockerd.

use std::process::Command;

use crate::dockerd::{self, Dockerd};
use crate::harness::{IMAGE, Lab, Test, binary, eventually, rootfs_tar};
use crate::pty::Terminal;
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    let mut tests = tests![
        reads_a_log_of_any_shape,
        merges_logs_by_time,
        compares_documents,
        browses_and_copies_files,
        draws_nothing_that_a_container_says,
    ];
    let lacks = dockerd::lacks().or_else(|| crate::harness::lacks_programs(&["docker"]));
    tests.push(Test::new("reads_what_a_dockerd_has", docker).needing(lacks));
    tests
}

fn open(lab: &Lab) -> Terminal {
    Terminal::start(&lab.command(&[]), 100, 40)
}

/// Goes back to the list; a key right behind Esc would be another key.
fn back(terminal: &mut Terminal) {
    for _ in 0..4 {
        if at_the_list(&terminal.text()) {
            return;
        }
        terminal.send("\u{1b}");
        let before = terminal.text();
        terminal.until("what Esc does", |screen| screen.contents() != before);
    }
    terminal.until("the list's keys", |screen| at_the_list(&screen.contents()));
}

/// Returns whether the keys that are hinted at are those of the list, over a container in any state.
fn at_the_list(screen: &str) -> bool {
    screen.contains("s stop") || screen.contains("S start")
}

fn quit(mut terminal: Terminal) {
    back(&mut terminal);
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
}

fn reads_a_log_of_any_shape() {
    let lab = Lab::new();
    let line = "i=0; while [ $i -lt 300 ]; do echo plain $i; i=$((i+1)); done; \
                printf '%090000d\\n' 7 | sed 's/7$/the end/'; \
                echo '{\"level\":\"warn\",\"msg\":\"slow query\",\"ms\":812}'; \
                echo done; sleep 1000";
    lab.start(&["--name", "talker"], line);
    lab.wait_for_log("talker", "done");
    let mut terminal = open(&lab);
    terminal.wait_for("talker");
    terminal.send("l");
    terminal.wait_for("WARN  slow query ms=812");
    // The histogram, and a jump along it.
    terminal.wait_for("a bar, most");
    terminal.send("/slow\r");
    terminal.wait_for("1 match");
    terminal.wait_for("▸WARN");
    terminal.send("\r");
    terminal.wait_for("ms: 812");
    terminal.send("\r");
    terminal.wait_until_gone("ms: 812");
    // The long line is one, though the log has it in parts: unfolded it has its end.
    terminal.send("/\u{15}the end\r");
    terminal.until("the line itself", |screen| screen.contents().contains("▸000"));
    terminal.send("\r");
    terminal.until("its rows", |screen| screen.contents().matches("0000000000").count() > 40);
    terminal.send("\r");
    terminal.wait_for("done");
    terminal.send("/\u{15}plain 7$\r");
    terminal.wait_for("1 match");
    // It is above.
    terminal.send("N");
    terminal.wait_for("▸plain 7");
    terminal.wait_for("plain 8");
    terminal.send("F");
    terminal.wait_for("only matches");
    terminal.wait_until_gone("plain 8");
    terminal.send("y");
    terminal.until("the copy", |screen| screen.contents().contains("copied 1 line"));
    // `plain 7` and a newline, in Base64, on its way to the terminal's clipboard.
    assert!(terminal.written().contains("\u{1b}]52;c;cGxhaW4gNwo="));
    terminal.send("F1");
    terminal.wait_for("plain 0");
    terminal.send("T\u{15}10s ago\r");
    terminal.wait_for("held");
    quit(terminal);
}

fn merges_logs_by_time() {
    let lab = Lab::new();
    lab.start(&["--name", "first"], "echo one of first; sleep 1000");
    lab.wait_for_log("first", "one of first");
    lab.start(&["--name", "second"], "echo two of second; sleep 1000");
    lab.wait_for_log("second", "two of second");
    lab.ok(&["exec", "first", "sh", "-c", "echo three of first > /proc/1/fd/1"]);
    lab.wait_for_log("first", "three of first");
    let mut terminal = open(&lab);
    terminal.wait_for("first");
    terminal.wait_for("second");
    terminal.send("  m");
    terminal.wait_for("2 logs by time");
    terminal.until("all in their order", |screen| {
        let text = screen.contents();
        let at = |what: &str| text.find(what);
        let order = [at("one of first"), at("two of second"), at("three of first")];
        order.iter().all(Option::is_some) && order.is_sorted()
    });
    lab.ok(&["exec", "second", "sh", "-c", "echo four of second > /proc/1/fd/1"]);
    terminal.wait_for("four of second");
    terminal.send("\u{1b}");
    terminal.wait_until_gone("2 logs by time");
    quit(terminal);
}

fn compares_documents() {
    let lab = Lab::new();
    let flags = ["--name", "left", "-e", "COLOUR=red", "-e", "DB_PASSWORD=hunter2"];
    lab.start(&flags, "sleep 1000");
    lab.start(&["--name", "right", "-e", "COLOUR=blue"], "sleep 1000");
    let mut terminal = open(&lab);
    terminal.wait_for("left");
    terminal.wait_for("right");
    terminal.send("/left\riD");
    terminal.wait_for("left / image");
    terminal.wait_for("COLOUR=red");
    assert!(!terminal.text().contains("hunter2"), "{}", terminal.text());
    terminal.send("v");
    terminal.wait_for("hunter2");
    terminal.send("v");
    terminal.wait_until_gone("hunter2");
    back(&mut terminal);
    terminal.send("\u{1b}");
    terminal.wait_for("right");
    terminal.send("  iD");
    terminal.until("both sides", |screen| {
        let text = screen.contents();
        ["red", "blue"]
            .iter()
            .all(|c| text.contains(&format!("-{c}")) || text.contains(&format!("+{c}")))
    });
    quit(terminal);
}

fn browses_and_copies_files() {
    let lab = Lab::new();
    let line = "mkdir -p /srv/deep; echo hello inside > /srv/made; ln -s /etc/../../../../etc /srv/up; \
                rm -f /etc/motd; echo ready; sleep 1000";
    lab.start(&["--name", "box", "-v", "store:/data"], line);
    lab.wait_for_log("box", "ready");
    let mut terminal = open(&lab);
    terminal.wait_for("box");
    let look = |terminal: &mut Terminal| {
        terminal.send("f");
        terminal.until("the marks", |screen| {
            let row = |name: &str| {
                let text = screen.contents();
                text.lines().find(|line| line.contains(name)).unwrap_or_default().to_owned()
            };
            row(" srv/").contains(" C ") && row(" data/").contains("volume store")
        });
        // Clicked once it is selected, twice it is opened.
        let text = terminal.text();
        let row = text.lines().position(|line| line.contains(" srv/")).unwrap() + 1;
        terminal.send(&format!("\u{1b}[<0;20;{row}M\u{1b}[<0;20;{row}m").repeat(2));
        terminal.wait_for("/srv  ");
        terminal.wait_for("deep/");
        terminal.wait_for("made");
    };
    look(&mut terminal);
    terminal.send("j\r");
    terminal.wait_for("hello inside");
    terminal.send("h");
    terminal.wait_for("deep/");
    // Out, by the rules of `cp`: the folder is there, so the file lands in it.
    let place = lab.root().join("out");
    std::fs::create_dir(&place).unwrap();
    terminal.send("c");
    terminal.wait_for("Copy /srv/made of box to");
    terminal.send(&format!("\u{15}{}\r", place.display()));
    eventually("it is copied out", || {
        std::fs::read_to_string(place.join("made")).is_ok_and(|text| text == "hello inside\n")
    });
    // In, while it runs and when it has ended.
    std::fs::write(place.join("brought"), "from outside\n").unwrap();
    terminal.send("p");
    terminal.wait_for("Copy into /srv of box");
    terminal.send(&format!("{}\r", place.join("brought").display()));
    // Its name is on the screen before it is there: it was typed.
    eventually("it is copied in", || {
        lab.run(&["exec", "box", "cat", "/srv/brought"]).stdout == "from outside\n"
    });
    terminal.wait_for("brought");
    terminal.send("z");
    terminal.until("a size", |screen| {
        let text = screen.contents();
        let row = text.lines().find(|line| line.contains("deep/")).unwrap_or_default().to_owned();
        let size = row.split("deep/").next().unwrap_or_default().to_owned();
        size.split_whitespace().any(|word| word.ends_with('K') || word == "0")
    });
    // A link that tries to lead out leads to the container's own folder.
    terminal.send("G\r");
    terminal.wait_for("/etc  ");
    assert!(!terminal.text().contains("leads out"));
    quit(terminal);
    lab.ok(&["kill", "box"]);
    lab.ok(&["wait", "box"]);
    let mut terminal = open(&lab);
    terminal.wait_for("box");
    look(&mut terminal);
    quit(terminal);
    lab.ok(&["start", "box"]);
}

fn draws_nothing_that_a_container_says() {
    let lab = Lab::new();
    let evil = "\u{1b}]0;evil\u{7}\u{1b}[66;66H\u{202e}";
    let line = format!(
        "printf '%s\\n' '{evil}said'; mkdir \"/srv{evil}\"; echo x > \"/name{evil}\"; echo ready; \
         sleep 1000"
    );
    let flags = ["--name", "mean", "-e", &format!("E={evil}"), "-l", &format!("l={evil}")];
    lab.start(&flags, &line);
    lab.wait_for_log("mean", "ready");
    let mut terminal = open(&lab);
    terminal.wait_for("mean");
    terminal.send("l");
    terminal.wait_for("said");
    back(&mut terminal);
    terminal.send("i/Labels\r");
    terminal.wait_for("Labels");
    terminal.send("zG");
    back(&mut terminal);
    terminal.send("f");
    terminal.wait_for("entries");
    back(&mut terminal);
    terminal.send("t");
    terminal.wait_for("PID");
    back(&mut terminal);
    terminal.send("5");
    terminal.wait_for("start");
    terminal.send("1");
    terminal.wait_for("s stop");
    let written = terminal.written();
    for hostile in ["\u{1b}]0;evil", "\u{1b}[66;66H", "\u{202e}"] {
        assert!(!written.contains(hostile), "{hostile:?} reached the terminal");
    }
    quit(terminal);
}

fn docker() {
    let dockerd = Dockerd::start();
    let docker = |arguments: &[&str], input: &[u8]| dockerd.docker(arguments, input);
    docker(&["import", "-", IMAGE], &rootfs_tar());
    let line = "i=0; while [ $i -lt 6000 ]; do echo line $i; i=$((i+1)); done; mkdir /new; \
                echo made > /new/made; echo ready; sleep 1000";
    docker(&["run", "-d", "--name", "whale", "--network", "none", IMAGE, "sh", "-c", line], b"");
    eventually("it has said all", || docker(&["logs", "whale"], b"").contains("ready"));
    let mut command = Command::new(binary());
    command.args(["--host", &dockerd.host()]);
    let mut terminal = Terminal::start(&command, 100, 40);
    terminal.wait_for("whale");
    terminal.send("l");
    terminal.wait_for("ready");
    terminal.send("g");
    // From its first line on: nothing is left out.
    terminal.until("the first line", |screen| {
        screen.contents().lines().any(|line| line.trim().ends_with("line 0"))
    });
    back(&mut terminal);
    terminal.send("f");
    terminal.until("what was added", |screen| {
        let text = screen.contents();
        let row = text.lines().find(|line| line.contains(" new/")).unwrap_or_default().to_owned();
        row.contains(" A ")
    });
    terminal.wait_for("layers: not from this engine");
    quit(terminal);
    docker(&["rm", "-f", "whale"], b"");
}
