//! Templates, filters, events, rename, prune, port; several objects and short ids; completion and
//! manual pages.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::harness::{self, IMAGE, Lab, Test, lacks_programs};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    let mut all = tests![
        inspect_by_template,
        lists_by_template,
        ps_filters,
        image_filters,
        sizes,
        events_of_the_past,
        events_are_neither_missed_nor_doubled,
        rename,
        prune,
        port,
        each_verb_goes_on_past_a_failure,
        short_and_ambiguous_ids,
    ];
    let needing =
        |name, run: fn(), program| Test::new(name, run).needing(lacks_programs(&[program]));
    all.push(needing("completion_in_bash", completion_in_bash, "bash"));
    all.push(needing("completion_in_zsh", completion_in_zsh, "zsh"));
    all.push(needing("completion_in_fish", completion_in_fish, "fish"));
    all.push(needing("manual_pages", manual_pages, "man"));
    all
}

fn inspect_by_template() {
    let lab = Lab::new();
    let id = lab.start(&["--name", "one", "-l", "a=1", "-m", "64m"], "sleep 1000");
    lab.ok(&["create", "--name", "two", IMAGE, "true"]);
    let get = |template: &str| lab.ok(&["inspect", "-f", template, "one"]);
    assert_eq!(get("{{.Id}} {{.Name}} {{.HostConfig.Memory}}"), format!("{id} /one 67108864"));
    assert_eq!(get("{{index .Config.Labels \"a\"}}{{.Config.Labels.b}}"), "1<no value>");
    assert_eq!(get("{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}"), "none");
    assert_eq!(get("{{range $k, $v := .NetworkSettings.Networks}}{{$k}}{{end}}"), "none");
    assert_eq!(get("{{.State.Status | upper | printf \"%-9s|\"}}"), "RUNNING  |");
    assert_eq!(get("{{json .Args}}"), "[\"-c\",\"sleep 1000\"]");
    assert_eq!(lab.ok(&["inspect", "-f", "{{.Name}}", "one", "two"]), "/one\n/two");
    assert_eq!(lab.ok(&["container", "inspect", "--format", "{{.Name}}", "two"]), "/two");
    assert_eq!(lab.ok(&["image", "inspect", "-f", "{{.RepoTags}}", IMAGE]), "[box:latest]");
    let json = lab.ok(&["inspect", "-f", "json", "one", "two"]);
    let documents: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(documents[1]["Name"], "/two");
    assert_eq!(json.lines().count(), 1);
    // What can't be parsed is refused before anything is looked for.
    lab.fails(
        64,
        "template parsing error: template: :1: unclosed action",
        &["inspect", "-f", "{{", "nobody"],
    );
    let missing = "template parsing error: template: :1:8: executing \"\" at <.State.Foo>: map has \
                   no entry for key \"Foo\"";
    lab.fails(1, missing, &["inspect", "-f", "{{.State.Foo}}", "one"]);
    let out = lab.ends(1, &["inspect", "-f", "{{.Name}}", "one", "nobody", "two"]);
    assert_eq!(out.stdout, "/one\n/two\n");
    assert!(out.stderr.contains("No such object: nobody"), "{}", out.stderr);
    let sized = lab.ok(&["inspect", "-s", "-f", "{{.SizeRw}} {{gt .SizeRootFs 1000}}", "one"]);
    assert!(sized.ends_with(" true"), "{sized}");
    assert_eq!(lab.ok(&["inspect", "-f", "{{.SizeRw}}", "one"]), "<nil>");
}

fn lists_by_template() {
    let lab = Lab::new();
    lab.start(&["--name", "web", "-l", "com.example.part=shop"], "sleep 1000");
    assert_eq!(
        lab.ok(&["ps", "--format", "table {{.Names}}\\t{{.Label \"com.example.part\"}}"]),
        "NAMES     part\nweb       shop"
    );
    let json = lab.ok(&["ps", "--format", "json"]);
    let row: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(row["Names"], "web");
    assert_eq!(row["State"], "running");
    assert_eq!(row["Networks"], "none");
    assert!(lab.ok(&["ps", "--format", "raw"]).contains("\nnames: web\nlabels: com.example.part"));
    let out = lab.ends(0, &["ps", "-q", "--format", "{{.Names}}"]);
    assert!(out.stderr.contains("WARNING: Ignoring custom format"), "{}", out.stderr);
    lab.fails(
        1,
        "failed to execute template: template: :1:2: executing \"\" at <.Foo>",
        &["ps", "--format", "{{.Foo}}"],
    );
    lab.fails(
        1,
        "failed to parse template: template: :1: unclosed action",
        &["ps", "--format", "{{"],
    );
    assert_eq!(lab.ok(&["images", "--format", "{{.Repository}}:{{.Tag}}"]), "box:latest");
    assert_eq!(lab.ok(&["history", "--format", "{{.Comment}}", IMAGE]).lines().count(), 1);
    lab.fails(1, "template parsing error", &["images", "--format", "{{.Foo}}"]);
    let stats = lab.ok(&["stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "web"]);
    assert_eq!(stats, "web 1");
    assert_eq!(lab.ok(&["info", "-f", "{{.ContainersRunning}} {{.Driver}}"]), "1 overlay2");
    let versions = lab.ok(&["version", "-f", "{{.Client.Version}} {{.Server.Version}}"]);
    let own = env!("CARGO_PKG_VERSION");
    assert_eq!(versions, format!("{own} {own}"));
    lab.fails(
        64,
        "template parsing error: template: version:1: unclosed action",
        &["version", "-f", "{{"],
    );
    for (verb, field) in [("info", "Containers"), ("version", "Server")] {
        let document: serde_json::Value =
            serde_json::from_str(&lab.ok(&[verb, "--format", "json"])).unwrap();
        assert!(document.get(field).is_some(), "{document}");
        assert_eq!(lab.ends(1, &[verb, "-f", "{{.Foo}}"]).stdout, "");
    }
}

fn ps_filters() {
    let lab = Lab::new();
    lab.start(&["--name", "up", "-l", "a=1", "-v", "/tmp:/data:ro"], "sleep 1000");
    lab.start(&["--name", "gone", "-l", "a=2"], "exit 3");
    lab.ok(&["wait", "gone"]);
    lab.ok(&["create", "--name", "new", IMAGE, "true"]);
    lab.ok(&["pause", "up"]);
    let names = |filters: &[&str]| {
        let mut arguments = vec!["ps", "-a", "--format", "{{.Names}}"];
        filters.iter().for_each(|filter| arguments.extend(["--filter", *filter]));
        lab.ok(&arguments).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    for (filters, wanted) in [
        (&["status=exited"][..], &["gone"][..]),
        (&["status=created", "status=paused"], &["new", "up"]),
        (&["exited=3"], &["gone"]),
        (&["exited=0"], &[]),
        (&["name=^/up$"], &["up"]),
        (&["name=n"], &["new", "gone"]),
        (&["label=a"], &["gone", "up"]),
        (&["label=a=1"], &["up"]),
        (&["before=gone"], &["up"]),
        (&["since=up"], &["new", "gone"]),
        (&["ancestor=box"], &["new", "gone", "up"]),
        (&["ancestor=nothing"], &[]),
        (&["network=none"], &["gone", "up"]),
        (&["volume=/data"], &["up"]),
        (&["health=none"], &["new", "gone", "up"]),
        (&["is-task=true"], &[]),
        (&["publish=80"], &[]),
        (&["expose=80"], &[]),
    ] {
        assert_eq!(names(filters), wanted, "{filters:?}");
    }
    // A state asks for containers that don't run, too.
    assert_eq!(lab.ok(&["ps", "-f", "status=exited", "--format", "{{.Names}}"]), "gone");
    assert_eq!(lab.ok(&["ps", "-n", "1", "-f", "label=a", "--format", "{{.Names}}"]), "gone");
    assert_eq!(lab.ok(&["ps", "-l", "--format", "{{.Names}}"]), "new");
    lab.fails(1, "invalid filter 'foo'", &["ps", "-f", "foo=bar"]);
    lab.fails(1, "invalid filter 'status=foo'", &["ps", "-f", "status=foo"]);
    lab.fails(1, "No such container: nope", &["ps", "-f", "before=nope"]);
    let bad = "invalid argument \"foo\" for \"-f, --filter\" flag: bad format of filter (expected \
               name=value)";
    lab.fails(125, bad, &["ps", "-f", "foo"]);
}

fn image_filters() {
    let lab = Lab::new();
    lab.ok(&["tag", IMAGE, "other/name:v2"]);
    let names = |arguments: &[&str]| {
        let mut all = vec!["images", "--format", "{{.Repository}}:{{.Tag}}"];
        all.extend_from_slice(arguments);
        lab.ok(&all).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(names(&["-f", "reference=b*"]), ["box:latest"]);
    assert_eq!(names(&["*/*"]), ["other/name:v2"]);
    assert_eq!(names(&["-f", "reference=*:v*"]), Vec::<String>::new());
    assert_eq!(names(&["-f", "dangling=true"]), Vec::<String>::new());
    assert_eq!(names(&["-f", "before=box"]), Vec::<String>::new());
    assert_eq!(names(&["-f", "dangling=false"]).len(), 2);
    assert_eq!(lab.ok(&["images", "-q"]).lines().count(), 1);
    lab.fails(1, "invalid filter 'foo'", &["images", "-f", "foo=bar"]);
    lab.fails(1, "invalid filter 'dangling=[x]'", &["images", "-f", "dangling=x"]);
}

fn sizes() {
    let lab = Lab::new();
    lab.start(&["--name", "writer"], "head -c 1500 /dev/zero > /file; ln /file /again; sleep 1000");
    harness::eventually("the file is written", || {
        lab.ok(&["ps", "-s", "--format", "{{.Size}}"]).starts_with("1.5kB (virtual ")
    });
    let table = lab.ok(&["ps", "-s"]);
    assert!(table.lines().next().unwrap().ends_with("SIZE"), "{table}");
    // A template that shows it asks for it; others don't pay for it.
    assert!(lab.ok(&["ps", "--format", "{{.Size}}"]).starts_with("1.5kB"));
    assert!(lab.ok(&["ps", "--format", "json"]).contains("\"Size\":\"0B\""));
}

fn events_of_the_past() {
    let lab = Lab::new();
    let id = lab.start(&["--name", "one", "-l", "a=1"], "exit 3");
    lab.ok(&["wait", "one"]);
    harness::eventually("the end is told", || {
        lab.ok(&["events", "--since", "1h", "--until", "0s"]).contains("container die")
    });
    let events = |arguments: &[&str]| {
        let mut all = vec!["events", "--since", "1h", "--until", "0s"];
        all.extend_from_slice(arguments);
        lab.ok(&all)
    };
    let die = events(&["-f", "event=die"]);
    let line = die.split_once(' ').map_or("", |(_, line)| line);
    // How many seconds it ran is its own affair.
    let head = format!("container die {id} (a=1, execDuration=");
    assert!(
        line.starts_with(&head) && line.ends_with(", exitCode=3, image=box, name=one)"),
        "{die}"
    );
    let actions = events(&["-f", "container=one", "--format", "{{.Action}}"]);
    let actions: Vec<&str> = actions.lines().collect();
    assert_eq!(actions.first(), Some(&"create"));
    assert!(actions.contains(&"start") && actions.contains(&"die"), "{actions:?}");
    assert!(events(&["-f", "type=image"]).lines().all(|line| line.contains(" image ")));
    assert!(!events(&["-f", "type=image"]).is_empty());
    assert_eq!(events(&["-f", "label=a=2"]), "");
    assert_eq!(events(&["-f", "image=box", "-f", "event=create"]).lines().count(), 1);
    let json = events(&["-f", "event=die", "--format", "json"]);
    let document: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(document["Actor"]["Attributes"]["exitCode"], "3");
    assert_eq!(document["scope"], "local");
    assert_eq!(lab.ok(&["events", "--since", "0s", "--until", "0s"]), "");
    lab.fails(64, "Error parsing format: template: :1:2", &["events", "--format", "{{.Foo}}"]);
    lab.fails(1, "cannot be after `until` time", &["events", "--since", "0s", "--until", "1h"]);
    lab.fails(1, "failed to parse value as time or duration: \"x\"", &["events", "--since", "x"]);
    lab.fails(1, "invalid filter 'foo'", &["events", "-f", "foo=bar", "--until", "0s"]);
}

/// Followers that begin at different times while containers come and go all see the same.
fn events_are_neither_missed_nor_doubled() {
    const ROUNDS: usize = 12;
    let lab = Lab::new();
    let follow = || {
        let mut child = lab
            .command(&[
                "events",
                "--since",
                "1h",
                "-f",
                "type=container",
                "--format",
                "{{.Actor.Attributes.name}} {{.Action}}",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        (child, lines)
    };
    let mut followers = Vec::new();
    for round in 0..ROUNDS {
        let name = format!("box-{round}");
        lab.ok(&["create", "--name", &name, IMAGE, "true"]);
        if round % 4 == 1 {
            followers.push(follow());
        }
        lab.ok(&["rename", &name, &format!("{name}-b")]);
        lab.ok(&["rm", &format!("{name}-b")]);
    }
    let wanted: Vec<String> = (0..ROUNDS)
        .flat_map(|round| {
            [
                format!("box-{round} create"),
                format!("box-{round}-b rename"),
                format!("box-{round}-b destroy"),
            ]
        })
        .collect();
    for (mut child, lines) in followers {
        let seen: Vec<String> = lines.map(Result::unwrap).take(wanted.len()).collect();
        let _ = child.kill();
        let _ = child.wait();
        assert_eq!(seen, wanted);
    }
}

fn rename() {
    let lab = Lab::new();
    let id = lab.start(&["--name", "one"], "sleep 1000");
    lab.ok(&["create", "--name", "two", IMAGE, "true"]);
    lab.ok(&["rename", "one", "uno"]);
    assert_eq!(lab.inspect("uno", "/Id"), id.as_str());
    assert_eq!(lab.inspect("uno", "/Name"), "/uno");
    lab.fails(1, "No such object: one", &["inspect", "one"]);
    let taken = "Error when allocating new name: Conflict. The container name \"/two\" is already \
                 in use by container";
    lab.fails(1, taken, &["rename", "uno", "two"]);
    lab.fails(1, "failed to rename container named uno", &["rename", "uno", "two"]);
    lab.fails(1, "No such container: nope", &["rename", "nope", "x1"]);
    lab.fails(1, "Renaming a container with the same name", &["rename", "uno", "uno"]);
    lab.fails(1, "Invalid container name (a b)", &["rename", "uno", "a b"]);
    lab.fails(1, "Neither old nor new names may be empty", &["rename", "uno", ""]);
    // What its supervisor tells later has the new name.
    lab.ok(&["kill", "uno"]);
    lab.ok(&["wait", "uno"]);
    let told = lab.ok(&["events", "--since", "1h", "--until", "0s", "-f", "container=uno"]);
    assert!(told.contains("container rename") && told.contains("oldName=/one"), "{told}");
    assert!(told.contains("container die"), "{told}");
    lab.ok(&["start", "uno"]);
    assert_eq!(lab.inspect("uno", "/State/Running"), true);
}

fn prune() {
    let lab = Lab::new();
    let up = lab.start(&["--name", "up"], "sleep 1000");
    let gone = lab.start(&["--name", "gone"], "head -c 1500 /dev/zero > /file");
    lab.ok(&["wait", "gone"]);
    let kept = lab.ok(&["create", "--name", "kept", "-l", "keep", IMAGE, "true"]);
    let none = lab.run_with(&["container", "prune"], b"n\n");
    assert_eq!(none.code, 0);
    assert_eq!(
        none.stdout,
        "WARNING! This will remove all stopped containers.\nAre you sure you want to continue? \
         [y/N] "
    );
    assert_eq!(
        lab.ok(&["container", "prune", "-f", "--filter", "until=1h"]),
        "Total reclaimed space: 0B"
    );
    assert_eq!(
        lab.ok(&["container", "prune", "-f", "--filter", "label!=keep"]),
        format!("Deleted Containers:\n{gone}\n\nTotal reclaimed space: 1.5kB")
    );
    let rest = lab.run_with(&["container", "prune"], b"y\n");
    assert!(rest.stdout.contains(&format!("Deleted Containers:\n{kept}\n")), "{}", rest.stdout);
    assert_eq!(lab.ok(&["ps", "-aq", "--no-trunc"]), up);
    lab.fails(1, "invalid filter 'foo'", &["container", "prune", "-f", "--filter", "foo=bar"]);
}

fn port() {
    let lab = Lab::new();
    lab.ok(&["create", "--name", "one", IMAGE, "true"]);
    assert_eq!(lab.ok(&["port", "one"]), "");
    lab.fails(1, "No public port '80' published for one", &["port", "one", "80"]);
    lab.fails(1, "invalid port (x): strconv.ParseUint", &["container", "port", "one", "x"]);
    lab.fails(1, "No such container: nope", &["port", "nope"]);
}

fn each_verb_goes_on_past_a_failure() {
    let lab = Lab::new();
    lab.start(&["--name", "one"], "trap 'exit 0' TERM; while :; do sleep 0.1; done");
    lab.start(&["--name", "two"], "trap 'exit 0' TERM; while :; do sleep 0.1; done");
    let both = |verb: &[&str], shown: &str| {
        let mut arguments = verb.to_vec();
        arguments.extend(["one", "nope", "two"]);
        let out = lab.ends(1, &arguments);
        assert_eq!(out.stdout, shown, "{verb:?}");
        let complaints: Vec<&str> = out.stderr.lines().filter(|l| l.contains("nope")).collect();
        assert_eq!(complaints.len(), 1, "{verb:?}: {}", out.stderr);
        assert!(complaints[0].contains("No such "), "{verb:?}: {}", out.stderr);
    };
    both(&["pause"], "one\ntwo\n");
    both(&["unpause"], "one\ntwo\n");
    both(&["restart", "-t", "20"], "one\ntwo\n");
    both(&["container", "restart", "--time=20"], "one\ntwo\n");
    both(&["inspect", "-f", "{{.State.Running}}"], "true\ntrue\n");
    both(&["kill", "-s", "KILL"], "one\ntwo\n");
    both(&["wait"], "137\n137\n");
    both(&["start"], "one\ntwo\n");
    both(&["stop", "--timeout", "20"], "one\ntwo\n");
    both(&["container", "start"], "one\ntwo\n");
    both(&["stop", "--time", "20"], "one\ntwo\n");
    both(&["rm"], "one\ntwo\n");
    // What is gone is as wanted, if one insists.
    let out = lab.ends(0, &["rm", "-f", "one", "two"]);
    assert_eq!(out.stderr.lines().count(), 2, "{}", out.stderr);
    lab.ok(&["tag", IMAGE, "other:v1"]);
    let out = lab.ends(1, &["rmi", "other:v1", "nope", "nope2"]);
    assert_eq!(out.stdout, "Untagged: other:v1\n");
    assert_eq!(out.stderr.matches("No such image").count(), 2, "{}", out.stderr);
}

fn short_and_ambiguous_ids() {
    let lab = Lab::new();
    // Of seventeen ids two begin with the same digit.
    let ids: Vec<String> = (0..17).map(|_| lab.ok(&["create", IMAGE, "true"])).collect();
    let twice = ids
        .iter()
        .map(|id| &id[..1])
        .find(|digit| ids.iter().filter(|id| id.starts_with(digit)).count() > 1)
        .unwrap();
    let ambiguous = format!("multiple IDs found with provided prefix: {twice}");
    for verb in [
        &["start"][..],
        &["stop"],
        &["restart"],
        &["kill"],
        &["pause"],
        &["unpause"],
        &["wait"],
        &["rm"],
        &["inspect"],
        &["logs"],
        &["top"],
        &["port"],
        &["stats", "--no-stream"],
        &["attach"],
    ] {
        let mut arguments = verb.to_vec();
        arguments.push(twice);
        lab.fails(1, &ambiguous, &arguments);
    }
    lab.fails(1, &ambiguous, &["exec", twice, "true"]);
    lab.fails(1, &ambiguous, &["rename", twice, "x1"]);
    let first = &ids[0];
    assert_eq!(lab.ok(&["inspect", "-f", "{{.Id}}", &first[..12]]), *first);
    assert_eq!(lab.ok(&["rm", &first[..12]]), &first[..12]);
    assert_eq!(lab.ok(&["ps", "-aq"]).lines().count(), 16);
}

/// Returns the folder of the binary, to be searched first.
fn path() -> String {
    let binary = harness::binary();
    let folder = binary.parent().unwrap().to_str().unwrap();
    format!("{folder}:{}", std::env::var("PATH").unwrap_or_default())
}

fn shell(lab: &Lab, program: &str, arguments: &[&str]) -> Vec<String> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("PATH", path())
        .env("HOME", lab.root())
        .env("WHARF_ROOT", lab.root())
        .env_remove("WHARF_HOST")
        .env_remove("DOCKER_HOST");
    let out = harness::run(command, b"");
    assert_eq!((out.code, out.stderr.as_str()), (0, ""), "{}", out.stdout);
    out.stdout.lines().map(str::to_owned).collect()
}

/// What each shell offers for the same lines: what is typed, and what comes.
fn offers(lab: &Lab, complete: impl Fn(&str) -> Vec<String>) {
    lab.start(&["--name", "web-up"], "sleep 1000");
    lab.ok(&["create", "--name", "web-new", IMAGE, "true"]);
    assert_eq!(complete("wharf resta"), ["restart"]);
    assert_eq!(complete("wharf container pru"), ["prune"]);
    assert_eq!(complete("wharf stop w"), ["web-up"]);
    assert_eq!(complete("wharf start w"), ["web-new"]);
    assert_eq!(complete("wharf inspect web-"), ["web-new", "web-up"]);
    assert_eq!(complete("wharf run --rm b"), ["box:latest"]);
    assert_eq!(complete("wharf run --network h"), ["host"]);
    lab.ok(&["network", "create", "net-back"]);
    lab.ok(&["volume", "create", "data"]);
    assert_eq!(complete("wharf network rm n"), ["net-back"]);
    assert_eq!(complete("wharf network inspect n"), ["net-back", "none"]);
    assert_eq!(complete("wharf run --network n"), ["net-back", "none"]);
    assert_eq!(complete("wharf network connect net-back web-u"), ["web-up"]);
    assert_eq!(complete("wharf volume rm d"), ["data"]);
    assert_eq!(complete("wharf volume export d"), ["data"]);
    assert_eq!(complete("wharf ps --no-tr"), ["--no-trunc"]);
    assert_eq!(complete("wharf ps -a --filter status=exi"), ["status=exited"]);
    assert_eq!(complete("wharf --root /nonexistent stop w"), Vec::<String>::new());
    assert!(!std::path::Path::new("/nonexistent").exists());
}

fn completion_in_bash() {
    let lab = Lab::new();
    offers(&lab, |line| {
        // Bash splits at `=`, and replaces only what is behind it.
        let script = format!(
            "source <(wharf completion bash); complete -p wharf >/dev/null; COMP_LINE={line:?}; \
             COMP_POINT=${{#COMP_LINE}}; read -ra COMP_WORDS <<<\"${{COMP_LINE//=/ = }}\"; \
             COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _wharf wharf; printf '%s\\n' \
             \"${{COMPREPLY[@]}}\""
        );
        let mut offered = shell(&lab, "bash", &["--norc", "-c", &script]);
        offered.retain(|line| !line.is_empty());
        offered.sort_unstable();
        if line.contains("status=") {
            offered.iter_mut().for_each(|value| value.insert_str(0, "status="));
        }
        offered
    });
}

fn completion_in_zsh() {
    let lab = Lab::new();
    offers(&lab, |line| {
        let script = format!(
            "compdef() {{ }}\ncompadd() {{ local name; [[ $1 == -l ]] && name=${{@[-1]}}; print -l \
             -- ${{(P)name}} }}\nsource <(wharf completion zsh)\nwords=(${{(s: :)line::={line:?}}})\
             \nCURRENT=${{#words}}\nPREFIX=${{words[CURRENT]}}\n_wharf\ntrue"
        );
        let mut offered = shell(&lab, "zsh", &["-f", "-c", &script]);
        offered.retain(|line| !line.is_empty());
        offered.sort_unstable();
        offered
    });
}

fn completion_in_fish() {
    let lab = Lab::new();
    offers(&lab, |line| {
        let script = format!("wharf completion fish | source; complete -C {line:?}");
        let offered = shell(&lab, "fish", &["--no-config", "-c", &script]);
        let mut offered: Vec<String> = offered
            .iter()
            .map(|line| line.split('\t').next().unwrap_or_default().to_owned())
            .collect();
        offered.sort_unstable();
        offered
    });
}

fn manual_pages() {
    let lab = Lab::empty();
    let folder = harness::folder();
    lab.ok(&["man", folder.to_str().unwrap()]);
    let mut count = 0;
    for page in std::fs::read_dir(&folder).unwrap().flatten() {
        let mut command = Command::new("man");
        command
            .args(["-l", "--warnings", "-E", "UTF-8", "-P", "cat"])
            .arg(page.path())
            .env("LC_ALL", "C.UTF-8")
            .env("MANWIDTH", "80");
        let out = harness::run(command, b"");
        assert_eq!((out.code, out.stderr.as_str()), (0, ""), "{:?}", page.path());
        let name = page.file_name().to_string_lossy().replace(".1", "");
        assert!(out.stdout.contains(&name), "{name}: {}", out.stdout);
        count += 1;
    }
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(count > 30);
    assert!(lab.ok(&["man"]).starts_with(".TH WHARF 1 "));
    lab.fails(1, "no completion for the shell \"tcsh\"", &["completion", "tcsh"]);
}
