//! The dashboard's frame on a terminal: groups, settings, layouts that are kept, commands of one's
//! own, the audit file, live limits, and removals that are taken back.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Lab, Test, eventually, folder, run};
use crate::pty::Terminal;
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_removal_is_taken_back_and_else_finished_by_the_next_command,
        groups_limits_and_the_audit_file,
        settings_and_layouts,
        config_is_checked_by_line,
    ]
}

/// A home folder of its own, removed at the end.
struct Home(PathBuf);

impl Home {
    fn new() -> Self {
        let home = folder();
        fs::create_dir_all(home.join("config/wharf")).unwrap();
        Self(home)
    }

    fn configure(&self, text: &str) -> PathBuf {
        let file = self.0.join("config/wharf/config.toml");
        fs::write(&file, text).unwrap();
        file
    }

    fn state(&self, name: &str) -> PathBuf {
        self.0.join("state/wharf").join(name)
    }

    fn command(&self, mut command: Command) -> Command {
        command.env("XDG_CONFIG_HOME", self.0.join("config"));
        command.env("XDG_STATE_HOME", self.0.join("state"));
        command
    }

    fn open(&self, lab: &Lab, arguments: &[&str], size: (u16, u16)) -> Terminal {
        Terminal::start(&self.command(lab.command(arguments)), size.0, size.1)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn quit(mut terminal: Terminal) {
    terminal.send("q");
    assert_eq!(terminal.wait(), 0);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn a_removal_is_taken_back_and_else_finished_by_the_next_command() {
    let lab = Lab::new();
    let home = Home::new();
    let line = "test -e /kept || echo precious > /kept; sleep 1000";
    let id = lab.start(&["--name", "doomed"], line);
    let id = id.trim();
    eventually("it has written", || lab.run(&["exec", "doomed", "test", "-s", "/kept"]).code == 0);
    let mut terminal = home.open(&lab, &[], (100, 30));
    terminal.wait_for("doomed");
    // What the engine can undo is known with its name.
    terminal.wait_for("wharf on ");
    terminal.send("d");
    terminal.wait_for("u takes it back for 10 minutes");
    terminal.send("y");
    terminal.wait_for("done, u takes it back");
    // It is told, it can't be started, and its name is free.
    let aside = format!("doomed.removed-{}", &id[..12]);
    let format = "{{.Names}} {{.Status}} {{.State}}";
    let listed = format!("{aside} Removal In Progress removing");
    assert_eq!(lab.ok(&["ps", "-a", "--format", format]), listed);
    assert_eq!(lab.ok(&["ps", "-q"]), "");
    lab.fails(1, "marked for removal", &["start", &aside]);
    let containers = "{{if eq .Type \"Containers\"}}{{.TotalCount}} {{.Active}}{{end}}";
    assert_eq!(lab.ok(&["system", "df", "--format", containers]).trim(), "1 0");
    let image = crate::harness::IMAGE;
    lab.ok(&["create", "--name", "doomed", image, "true"]);
    lab.ok(&["rm", "doomed"]);
    // The dashboard that removed it needn't live.
    quit(terminal);
    let mut terminal = home.open(&lab, &[], (100, 30));
    terminal.wait_for("removing");
    terminal.wait_for("wharf on ");
    terminal.send("u");
    terminal.until("it is back", |screen| screen.contents().contains("exited"));
    assert_eq!(lab.ok(&["ps", "-a", "--format", "{{.Names}} {{.State}}"]), "doomed exited");
    lab.ok(&["start", "doomed"]);
    assert_eq!(lab.ok(&["exec", "doomed", "cat", "/kept"]), "precious");
    // Again, and this time nobody takes it back.
    terminal.until("it runs", |screen| screen.contents().contains("running"));
    terminal.send("d");
    terminal.wait_for("Remove container doomed?");
    terminal.send("y");
    eventually("it is put aside", || lab.run(&["inspect", "doomed"]).code != 0);
    eventually("all of it", || lab.ok(&["ps", "-a"]).contains(".removed-"));
    quit(terminal);
    let data = lab.root().join("containers").join(id);
    assert!(data.exists(), "all that it wrote is there");
    let database = rusqlite::Connection::open(lab.root().join("state.db")).unwrap();
    let changed = database.execute(
        "UPDATE container SET state = json_set(state, '$.discarded.until', '2001-01-01T00:00:00Z')",
        [],
    );
    assert_eq!(changed.unwrap(), 1);
    drop(database);
    assert_eq!(lab.ok(&["ps", "-aq"]), "");
    assert!(!data.exists(), "the command that came next has finished it");
}

fn groups_limits_and_the_audit_file() {
    let lab = Lab::new();
    let home = Home::new();
    for name in ["web", "db"] {
        let label = format!("com.docker.compose.service={name}");
        let flags =
            ["--name", name, "--label", "com.docker.compose.project=shop", "--label", &label];
        lab.start(&flags, "trap 'exit 0' TERM; while :; do sleep 0.05; done");
    }
    lab.start(&["--name", "alone"], "sleep 1000");
    let mut terminal = home.open(&lab, &[], (120, 40));
    terminal.wait_for("2 of 2");
    terminal.wait_for("shop");
    // All of a group.
    terminal.send(":shop\r");
    terminal.wait_for("2 containers");
    terminal.send("d");
    terminal.wait_for("Remove 2 containers of shop?");
    for wanted in ["web, running", "db, running", "$ wharf"] {
        terminal.wait_for(wanted);
    }
    terminal.send("\x1b");
    terminal.wait_until_gone("Remove 2 containers");
    terminal.send("s");
    terminal.wait_for("Stop 2 containers of shop?");
    terminal.send("y");
    terminal.wait_for("0 of 2");
    for name in ["web", "db"] {
        assert_eq!(lab.inspect(name, "/State/Status"), "exited");
    }
    assert_eq!(lab.inspect("alone", "/State/Status"), "running");
    // Limits while it runs, and back.
    terminal.send(":alone\r");
    terminal.wait_for("alone  Up");
    terminal.send("L");
    terminal.wait_for("Limits of alone");
    // What it has now is there.
    terminal.wait_for("--restart no");
    terminal.send("\x15--cpus 0.5 --memory 64m --memory-swap 128m --restart always\r");
    terminal.wait_for("done, u takes it back");
    let nano = || lab.inspect("alone", "/HostConfig/NanoCpus");
    let policy = || lab.inspect("alone", "/HostConfig/RestartPolicy/Name");
    let memory = || lab.inspect("alone", "/HostConfig/Memory");
    assert_eq!((nano(), policy()), (500_000_000.into(), "always".into()));
    assert_eq!(memory(), 64 << 20);
    // What its own control group says of it.
    let limit = || lab.ok(&["stats", "--no-stream", "--format", "{{.MemUsage}}", "alone"]);
    assert!(limit().contains("/ 64MiB"), "{}", limit());
    terminal.send("u");
    eventually("the limits are back", || policy() == "no" && nano() != 500_000_000);
    assert_eq!(memory(), 0);
    assert!(!limit().contains("/ 64MiB"), "{}", limit());
    quit(terminal);
    // What was done is written down, each once when it began and once when it had ended.
    let audit = home.state("audit.log");
    assert_eq!(mode(&audit), 0o600);
    let text = fs::read_to_string(&audit).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |object: &str, result: &str| -> Vec<String> {
        let wanted =
            |line: &&serde_json::Value| line["object"] == object && line["result"] == result;
        let action = |line: &serde_json::Value| line["action"].as_str().unwrap().to_owned();
        lines.iter().filter(wanted).map(action).collect()
    };
    for result in ["begun", "done"] {
        assert_eq!(of("web", result), ["stop"], "{text}");
        assert_eq!(of("alone", result), ["update", "update"], "{text}");
    }
    let first = &lines[0];
    assert!(first["user"].as_str().is_some_and(|user| !user.is_empty()), "{first}");
    assert!(first["command"].as_str().unwrap().contains(" stop "), "{first}");
}

fn settings_and_layouts() {
    let lab = Lab::new();
    let home = Home::new();
    home.configure(
        "[keys.containers]\nstop = \"F9\"\n\n[[command]]\nname = \"greet\"\nkey = \"Ctrl-n\"\n\
         run = \"echo hello {name}\"\nconfirm = false\n",
    );
    lab.start(&["--name", "first"], "sleep 1000");
    let mut terminal = home.open(&lab, &[], (120, 40));
    terminal.wait_for("F9 stop");
    terminal.send("\x0e");
    terminal.wait_for("hello first");
    terminal.send("\x1b");
    terminal.wait_until_gone("hello first");
    // A layout: sorted by name, and the processes in the first pane.
    terminal.send("o");
    terminal.wait_for("sorted by health");
    terminal.send("t");
    terminal.wait_for("[Top]");
    quit(terminal);
    assert_eq!(mode(&home.state("layout.json")), 0o600);
    let mut terminal = home.open(&lab, &[], (120, 40));
    terminal.wait_for("[Top]");
    terminal.wait_for("CMD");
    quit(terminal);
    // Garbage is as good as nothing.
    fs::write(home.state("layout.json"), b"\xff{").unwrap();
    home.configure("mouse = maybe\n");
    let mut terminal = home.open(&lab, &[], (120, 40));
    terminal.wait_for("[Stats]");
    terminal.wait_for("config.toml:1:");
    quit(terminal);
    // Who may only read has no command of his own.
    let touched = home.0.join("touched");
    let line = format!("touch {}", touched.display());
    home.configure(&format!("[[command]]\nname = \"touch\"\nkey = \"Ctrl-n\"\nrun = {line:?}\n"));
    let mut terminal = home.open(&lab, &["ui", "--read-only"], (120, 40));
    terminal.wait_for("first");
    terminal.send("\x0e");
    terminal.wait_for("this dashboard is read-only");
    quit(terminal);
    assert!(!touched.exists());
}

fn config_is_checked_by_line() {
    let lab = Lab::empty();
    let home = Home::new();
    let check = |arguments: &[&str]| run(home.command(lab.command(arguments)), b"");
    let out = check(&["config", "check"]);
    assert_eq!((out.code, out.stdout.contains("isn't there")), (0, true), "{out:?}");
    let file =
        home.configure("mouse = true\ncolumns = [\"nmae\"]\n[keys.containers]\nstpo = \"x\"\n");
    let out = check(&["config", "check"]);
    let shown = file.display();
    assert_eq!(out.code, 1);
    let said: Vec<&str> = out.stderr.lines().collect();
    assert!(said[0].starts_with(&format!("{shown}:2:12: columns is a list")), "{out:?}");
    assert!(said[1].starts_with(&format!("{shown}:4:1: there is no action")), "{out:?}");
    assert!(said[1].contains("did you mean stop?") && said.len() == 2, "{out:?}");
    let reference = check(&["config", "reference"]).stdout;
    fs::write(&file, reference).unwrap();
    let out = check(&["config", "check", file.to_str().unwrap()]);
    assert_eq!((out.code, out.stdout), (0, format!("{shown} is fine\n")));
    let out = check(&["config", "check", "/nowhere.toml"]);
    assert!(out.code == 1 && out.stderr.contains("/nowhere.toml"), "{out:?}");
}
