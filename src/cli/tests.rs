//! Whole command lines over the fake engine: what is printed, what is commanded, and the exit code.

use std::cell::RefCell;
use std::sync::Arc;

use wharf_backend::fake::Fake;
use wharf_backend::{Backend, Error};
use wharf_model::{Command, ErrorKind, RemoveOptions};

use super::dispatch;

thread_local! {
    static GIVEN: RefCell<Option<Arc<dyn Backend>>> = const { RefCell::new(None) };
    static CAPTURED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Returns the engine of the test that runs on this thread.
pub(crate) fn given() -> Option<Arc<dyn Backend>> {
    GIVEN.with_borrow(Clone::clone)
}

/// Takes what would be printed, if a test that runs on this thread wants it.
pub(crate) fn captured(text: &str) -> bool {
    CAPTURED.with_borrow_mut(|out| match out {
        Some(out) => {
            out.push_str(text);
            true
        }
        None => false,
    })
}

/// Returns the exit code, and what was printed with `2> ` before errors.
fn wharf(fake: &Fake, line: &str) -> (i32, String) {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    GIVEN.set(Some(Arc::new(fake.clone())));
    CAPTURED.set(Some(String::new()));
    let code = dispatch(&words, &|_| None).unwrap_or_else(|failure| {
        if !failure.message().is_empty() {
            super::report(failure.message());
        }
        failure.code()
    });
    (code, CAPTURED.take().unwrap_or_default())
}

#[test]
fn several_objects_each_get_their_turn() {
    let fake = Fake::many(3);
    assert_eq!(
        wharf(&fake, "stop -t 3 worker-000 nobody worker-002"),
        (1, "worker-000\n2> No such container: nobody\nworker-002\n".to_owned())
    );
    assert_eq!(
        fake.commands()[0],
        Command::Stop { container: "worker-000".to_owned(), timeout: Some(3), signal: None }
    );
    assert_eq!(wharf(&fake, "start worker-000"), (0, "worker-000\n".to_owned()));
    assert_eq!(wharf(&fake, "pause worker-000"), (0, "worker-000\n".to_owned()));
    assert_eq!(wharf(&fake, "unpause worker-000"), (0, "worker-000\n".to_owned()));
    assert_eq!(wharf(&fake, "kill -s TERM worker-000"), (0, "worker-000\n".to_owned()));
    assert_eq!(wharf(&fake, "kill worker-000"), (0, "worker-000\n".to_owned()));
    let (code, text) = wharf(&fake, "wait worker-000");
    assert_eq!((code, text.lines().count()), (0, 1));
}

#[test]
fn signals_are_checked_before_the_engine_is_asked() {
    let fake = Fake::many(1);
    assert_eq!(wharf(&fake, "kill -s FOO worker-000"), (1, "2> invalid signal: FOO\n".to_owned()));
    assert!(fake.commands().is_empty());
}

#[test]
fn lists() {
    let fake = Fake::many(2);
    let (code, text) = wharf(&fake, "ps");
    assert_eq!(code, 0);
    assert_eq!(text.lines().count(), 3);
    assert!(text.starts_with("CONTAINER ID   IMAGE"), "{text}");
    let (_, quiet) = wharf(&fake, "container ls -q --no-trunc");
    assert!(quiet.lines().all(|line| line.len() == 64), "{quiet}");
    assert_eq!(wharf(&fake, "ps -aq -n 1").1.lines().count(), 1);
    let demo = Fake::demo();
    assert!(wharf(&demo, "images").1.starts_with("REPOSITORY"));
    assert!(wharf(&demo, "info").1.contains("Containers: "));
    assert!(wharf(&demo, "version").1.contains("Engine: fake"));
    assert!(wharf(&demo, "top web-1").1.lines().count() > 1);
}

#[test]
fn inspect_prints_what_it_finds() {
    let fake = Fake::many(1);
    assert_eq!(wharf(&fake, "inspect nothing"), (1, "[]\n2> No such object: nothing\n".to_owned()));
    let (code, text) = wharf(&fake, "inspect worker-000 nothing");
    assert_eq!(code, 1);
    assert!(text.starts_with("[\n    {\n        \""), "{text}");
    assert_eq!(
        wharf(&fake, "inspect --type volume x"),
        (1, "[]\n2> get x: no such volume\n".to_owned())
    );
    assert_eq!(
        wharf(&fake, "container inspect nothing"),
        (1, "[]\n2> No such container: nothing\n".to_owned())
    );
}

#[test]
fn rm_forgives_what_is_gone_only_with_force() {
    let fake = Fake::many(1);
    assert_eq!(wharf(&fake, "rm x").0, 1);
    assert_eq!(wharf(&fake, "rm -f x"), (0, "2> No such container: x\n".to_owned()));
    assert_eq!(wharf(&fake, "rm worker-000").0, 1);
    assert_eq!(wharf(&fake, "rm -fv worker-000"), (0, "worker-000\n".to_owned()));
    assert_eq!(
        fake.commands().pop(),
        Some(Command::Remove {
            container: "worker-000".to_owned(),
            options: RemoveOptions { force: true, volumes: true }
        })
    );
}

#[test]
fn run_pulls_a_missing_image() {
    let fake = Fake::new();
    let missing = || Error::new(ErrorKind::NotFound, "No such image: x:latest");
    fake.fail_next(missing());
    let (code, text) = wharf(&fake, "run -d x");
    assert_eq!(code, 125);
    assert!(text.contains("Unable to find image 'x:latest' locally"), "{text}");
    for line in [
        "latest: Pulling from library/x",
        "aaaaaaaaaaaa: Already exists",
        "bbbbbbbbbbbb: Pull complete",
        "Status: Downloaded newer image for x:latest",
    ] {
        assert!(text.contains(&format!("2> {line}\n")), "no {line:?} in {text}");
    }
    fake.fail_next(missing());
    fake.fail_next(Error::new(ErrorKind::Denied, "pull access denied for y"));
    let (code, text) = wharf(&fake, "run -d y");
    assert!(code == 125 && text.ends_with("\n2> pull access denied for y\n"), "{text}");
    fake.fail_next(missing());
    assert_eq!(
        wharf(&fake, "run --pull never -d x"),
        (125, "2> No such image: x:latest\n".to_owned())
    );
    fake.fail_next(missing());
    assert_eq!(wharf(&fake, "create x").0, 1);
    fake.fail_next(Error::new(ErrorKind::Conflict, "name in use"));
    assert_eq!(wharf(&fake, "run --name ab x"), (125, "2> name in use\n".to_owned()));
}

#[test]
fn usage_errors_have_dockers_form_and_codes() {
    let fake = Fake::new();
    assert_eq!(
        wharf(&fake, "ps --foo"),
        (
            125,
            "2> unknown flag: --foo\n\nUsage:  wharf ps [OPTIONS]\n\nRun 'wharf ps --help' for \
             more information\n"
                .to_owned()
        )
    );
    for (line, code) in [
        ("run", 1),
        ("run --foo x", 125),
        ("run -m 1q x", 125),
        ("update x", 1),
        ("update --kernel-memory 1m x", 125),
        ("stop -t x y", 125),
        ("ps extra", 1),
        ("logs", 1),
        ("logs --since foo x", 1),
        ("foo", 1),
        ("pull", 1),
        ("pull UPPER", 1),
        ("search x", 1),
        ("container foo", 1),
        ("--foo", 125),
        ("--read-only ps", 125),
        ("-H tcp://h:x ps", 1),
        ("start -a x y", 1),
        ("tag x UPPER", 1),
    ] {
        let (got, text) = wharf(&fake, line);
        assert_eq!(got, code, "{line}: {text}");
        assert!(text.starts_with("2> "), "{line}: {text}");
    }
    assert!(fake.commands().is_empty());
}

#[test]
fn help_lists_every_verb_and_flag() {
    let fake = Fake::new();
    let (code, overview) = wharf(&fake, "--help");
    assert_eq!(code, 0);
    for verb in super::verbs::top_level() {
        assert!(overview.contains(&format!("\n  {} ", verb.name)), "{}", verb.name);
        let (code, text) = wharf(&fake, &format!("{} --help", verb.name));
        assert_eq!(code, 0);
        for flag in verb.all_flags() {
            assert!(text.contains(&format!("--{}", flag.long)), "{} {}", verb.name, flag.long);
            assert!(!flag.help.is_empty());
        }
        assert_eq!(wharf(&fake, &format!("help {}", verb.name)).1, text);
    }
    assert!(wharf(&fake, "image").1.contains("\n  ls "));
}

#[test]
fn images_are_tagged_and_removed() {
    let fake = Fake::demo();
    let (_, list) = wharf(&fake, "images");
    let row = list.lines().nth(1).unwrap();
    let mut cells = row.split_whitespace();
    let name = format!("{}:{}", cells.next().unwrap(), cells.next().unwrap());
    assert_eq!(wharf(&fake, &format!("tag {name} other:v2")), (0, String::new()));
    assert_eq!(wharf(&fake, "rmi other:v2"), (0, "Untagged: other:v2\n".to_owned()));
    assert_eq!(wharf(&fake, "rmi other:v2").0, 1);
    let (code, text) = wharf(&fake, &format!("history {name}"));
    assert_eq!(code, 0);
    assert!(text.starts_with("IMAGE "), "{text}");
}

#[test]
fn files_and_images_of_containers() {
    use wharf_model::{Change, ChangeKind};
    let fake = Fake::many(1);
    let change = |kind, path: &str| Change { kind, path: path.to_owned() };
    fake.set_changes(vec![
        change(ChangeKind::Modified, "/etc"),
        change(ChangeKind::Added, "/etc/\u{1b}[2J"),
        change(ChangeKind::Deleted, "/gone"),
    ]);
    assert_eq!(
        wharf(&fake, "diff worker-000"),
        (0, "C /etc\nA /etc/\u{fffd}[2J\nD /gone\n".to_owned())
    );
    let line = "commit -m why -a me -c CMD=x --pause=false worker-000 made:1";
    let (code, text) = wharf(&fake, line);
    assert_eq!((code, text.len()), (0, "sha256:".len() + 64 + 1));
    match fake.commands().pop() {
        Some(Command::Commit(options)) => {
            assert_eq!((options.message.as_str(), options.author.as_str()), ("why", "me"));
            assert_eq!((options.pause, options.changes), (false, vec!["CMD=x".to_owned()]));
        }
        other => panic!("{other:?}"),
    }
    for (line, says) in [
        ("cp a:/x b:/y", "copying between containers is not supported"),
        ("cp /x /y", "must specify at least one container source"),
        ("cp nobody:/x /tmp/", "No such container: nobody"),
        ("cp worker-000:/x /tmp/", "Could not find the file /x in container worker-000"),
        ("commit worker-000 Not/Good", "invalid reference format"),
        ("diff nobody", "No such container: nobody"),
    ] {
        let (code, text) = wharf(&fake, line);
        assert!(code == 1 && text.contains(says), "{line}: {code} {text}");
    }
}
