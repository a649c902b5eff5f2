//! Attach, exec, logs.

use chrono::Utc;
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use wharf_backend::{AttachOptions, LogSource};
use wharf_model::{ErrorKind, ExecSpec, LogOptions, LogRecord, LogStream, TermSize};

use super::{Bench, Check, checks, drain, kind};
use crate::harness::PATIENCE;

pub(super) const CHECKS: &[(&str, Check)] = checks![
    attach_from_the_start,
    attach_passes_input_and_its_end,
    attach_to_a_terminal,
    attach_to_one_that_runs,
    attach_is_refused,
    auto_remove,
    dropping_a_session_harms_nothing,
    exec_streams_and_code,
    exec_settings,
    exec_terminal,
    exec_input,
    exec_detached,
    exec_is_refused,
    logs_are_records,
    logs_follow_to_the_end,
    logs_of_a_terminal,
];

const FROM_START: AttachOptions =
    AttachOptions { start: true, stdin: false, output: true, size: None };

async fn attach_from_the_start(bench: &Bench) {
    let id = bench.create(Bench::options("echo out; echo err >&2; exit 3")).await.unwrap();
    let output = drain(bench.backend.attach(&id, FROM_START).await.unwrap()).await;
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
    assert_eq!(output.code, 3);
}

async fn attach_passes_input_and_its_end(bench: &Bench) {
    let mut options = Bench::options("cat; echo done");
    options.open_stdin = true;
    options.attach.stdin = true;
    let id = bench.create(options).await.unwrap();
    let how = AttachOptions { stdin: true, ..FROM_START };
    let mut session = bench.backend.attach(&id, how).await.unwrap();
    // More than a pipe holds, so that both directions must move.
    let sent = "0123456789abcde\n".repeat(20_000);
    let mut input = session.input.take().unwrap();
    let text = sent.clone();
    let writer = tokio::spawn(async move {
        input.write_all(text.as_bytes()).await.unwrap();
        input.flush().await.unwrap();
    });
    let output = drain(session).await;
    writer.await.unwrap();
    assert_eq!(output.stdout.len(), sent.len() + 5);
    assert!(output.stdout.ends_with("done\n"));
    assert_eq!(output.code, 0);
}

async fn attach_to_a_terminal(bench: &Bench) {
    let line = "while [ \"$(stty size 2>/dev/null)\" != '31 97' ]; do :; done; echo first; \
                while [ \"$(stty size 2>/dev/null)\" != '20 60' ]; do :; done; printf '\\001second'; tty";
    let mut options = Bench::options(line);
    options.tty = true;
    options.open_stdin = true;
    options.attach.stdin = true;
    let id = bench.create(options).await.unwrap();
    let size = Some(TermSize { columns: 97, rows: 31 });
    let how = AttachOptions { stdin: true, size, ..FROM_START };
    let mut session = bench.backend.attach(&id, how).await.unwrap();
    let _input = session.input.take();
    let mut seen = String::new();
    while !seen.contains("first\r\n") {
        let chunk = session.output.next().await.unwrap().unwrap();
        assert_eq!(chunk.stream, LogStream::Stdout);
        seen.push_str(&String::from_utf8_lossy(&chunk.data));
    }
    session.resize.send(TermSize { columns: 60, rows: 20 }).await.unwrap();
    let output = drain(session).await;
    assert_eq!(output.stdout, "\u{1}second/dev/pts/0\r\n");
    assert_eq!(output.code, 0);
}

async fn attach_to_one_that_runs(bench: &Bench) {
    let mut options = Bench::options("read word; echo \"got $word\"; exit 4");
    options.open_stdin = true;
    options.attach.stdin = true;
    let id = bench.create(options).await.unwrap();
    bench.start(&id).await.unwrap();
    let how = AttachOptions { start: false, stdin: true, output: true, size: None };
    let mut session = bench.backend.attach(&id, how).await.unwrap();
    let mut input = session.input.take().unwrap();
    input.write_all(b"word\n").await.unwrap();
    let output = drain(session).await;
    assert_eq!((output.stdout.as_str(), output.code), ("got word\n", 4));
    drop(input);
}

async fn attach_is_refused(bench: &Bench) {
    let how = AttachOptions { start: false, ..FROM_START };
    let missing = bench.backend.attach("wharf-none", how).await.map(|_| ());
    assert_eq!(kind(missing), ErrorKind::NotFound);
    let id = bench.create(Bench::options("true")).await.unwrap();
    let stopped = bench.backend.attach(&id, how).await.map(|_| ());
    assert_eq!(kind(stopped), ErrorKind::Conflict);
    let mut options = Bench::options("true");
    options.command = vec!["no-such-program".to_owned()];
    let id = bench.create(options).await.unwrap();
    let failed = bench.backend.attach(&id, FROM_START).await.map(|_| ());
    assert_eq!(kind(failed), ErrorKind::CommandNotFound);
}

async fn auto_remove(bench: &Bench) {
    let mut options = Bench::options("echo bye; exit 5");
    options.host.auto_remove = true;
    let id = bench.create(options).await.unwrap();
    let output = drain(bench.backend.attach(&id, FROM_START).await.unwrap()).await;
    assert_eq!((output.stdout.as_str(), output.code), ("bye\n", 5));
    assert_eq!(kind(bench.backend.container(&id).await), ErrorKind::NotFound);
}

async fn dropping_a_session_harms_nothing(bench: &Bench) {
    let id = bench.create(Bench::options("echo a; sleep 1000")).await.unwrap();
    let mut session = bench.backend.attach(&id, FROM_START).await.unwrap();
    assert!(session.output.next().await.is_some());
    drop(session);
    let output = bench.backend.exec(&id, spec("echo alive"), None).await.unwrap();
    assert_eq!(drain(output).await.stdout, "alive\n");
}

fn spec(line: &str) -> ExecSpec {
    ExecSpec { command: ["sh", "-c", line].map(str::to_owned).to_vec(), ..Default::default() }
}

async fn exec_streams_and_code(bench: &Bench) {
    let id = bench.run("sleep 1000").await;
    let session = bench.backend.exec(&id, spec("echo out; echo err >&2; exit 6"), None).await;
    let output = drain(session.unwrap()).await;
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
    assert_eq!(output.code, 6);
    let session = bench.backend.exec(&id, spec("kill -KILL $$"), None).await.unwrap();
    assert_eq!(drain(session).await.code, 137);
    // The exit code needs nobody to read the output.
    let session = bench.backend.exec(&id, spec("exit 9"), None).await.unwrap();
    let code = tokio::time::timeout(*PATIENCE, session.exit).await.unwrap();
    assert_eq!(code, Ok(9));
}

async fn exec_settings(bench: &Bench) {
    let mut options = Bench::options("sleep 1000");
    options.env = vec!["KEPT=yes".to_owned(), "WORD=old".to_owned()];
    let id = bench.create(options).await.unwrap();
    bench.start(&id).await.unwrap();
    let spec = ExecSpec {
        env: vec!["WORD=new".to_owned()],
        user: Some("app".to_owned()),
        working_dir: Some("/srv".to_owned()),
        ..spec("echo $KEPT $WORD $(id -un) $(id -G) $PWD")
    };
    let output = drain(bench.backend.exec(&id, spec, None).await.unwrap()).await;
    assert_eq!(output.stdout, "yes new app 1000 2000 /srv\n");
}

async fn exec_terminal(bench: &Bench) {
    let id = bench.run("sleep 1000").await;
    let line = "while [ \"$(stty size 2>/dev/null)\" != '31 97' ]; do :; done; tty; exit 2";
    let spec = ExecSpec { tty: true, stdin: true, ..spec(line) };
    let size = Some(TermSize { columns: 97, rows: 31 });
    let mut session = bench.backend.exec(&id, spec, size).await.unwrap();
    let _input = session.input.take();
    let output = drain(session).await;
    assert!(output.stdout.starts_with("/dev/pts/"), "{}", output.stdout);
    assert!(output.stdout.ends_with("\r\n"), "{:?}", output.stdout);
    assert_eq!(output.code, 2);
}

async fn exec_input(bench: &Bench) {
    let id = bench.run("sleep 1000").await;
    let spec = ExecSpec { stdin: true, ..spec("cat; echo end") };
    let mut session = bench.backend.exec(&id, spec, None).await.unwrap();
    let mut input = session.input.take().unwrap();
    input.write_all(b"hello\n").await.unwrap();
    drop(input);
    assert_eq!(drain(session).await.stdout, "hello\nend\n");
}

async fn exec_detached(bench: &Bench) {
    let id = bench.run("while [ ! -e /tmp/made ]; do sleep 0.05; done; echo seen").await;
    let spec = ExecSpec { detach: true, ..spec("touch /tmp/made") };
    let session = bench.backend.exec(&id, spec, None).await.unwrap();
    drop(session);
    assert_eq!(bench.backend.wait(&id).await, Ok(0));
}

async fn exec_is_refused(bench: &Bench) {
    let missing = bench.backend.exec("wharf-none", spec("true"), None).await.map(|_| ());
    assert_eq!(kind(missing), ErrorKind::NotFound);
    let id = bench.create(Bench::options("sleep 1000")).await.unwrap();
    let stopped = bench.backend.exec(&id, spec("true"), None).await.map(|_| ());
    assert_eq!(kind(stopped), ErrorKind::Conflict);
    bench.start(&id).await.unwrap();
    let spec = ExecSpec { command: vec!["no-such-program".to_owned()], ..Default::default() };
    // Docker tells of it in the program's output, the embedded engine at once.
    match bench.backend.exec(&id, spec, None).await {
        Err(error) => assert_eq!(error.kind, ErrorKind::CommandNotFound),
        Ok(session) => {
            let output = drain(session).await;
            assert!([126, 127].contains(&output.code), "{output:?}");
        }
    }
    bench.pause(&id).await.unwrap();
    let paused = bench.backend.exec(&id, self::spec("true"), None).await.map(|_| ());
    assert_eq!(kind(paused), ErrorKind::Conflict);
}

async fn records(bench: &Bench, id: &str, options: LogOptions) -> Vec<LogRecord> {
    assert!(matches!(
        bench.backend.log_source(id).await.unwrap(),
        LogSource::Files(_) | LogSource::Stream
    ));
    let stream = bench.backend.logs(id, options).await.unwrap();
    stream.map(Result::unwrap).collect().await
}

async fn logs_are_records(bench: &Bench) {
    let before = Utc::now();
    let id = bench.run("echo one; echo two >&2; printf three").await;
    bench.backend.wait(&id).await.unwrap();
    let all = records(bench, &id, LogOptions::default()).await;
    // The order between the two streams is not promised.
    let of = |stream| {
        let mine = all.iter().filter(|record| record.stream == stream);
        mine.flat_map(|record| record.message.clone()).collect::<Vec<u8>>()
    };
    assert_eq!(of(LogStream::Stderr), b"two\n");
    let stdout = of(LogStream::Stdout);
    assert!(stdout == b"one\nthree" || stdout == b"one\nthree\n", "{stdout:?}");
    assert!(all.iter().all(|record| record.time >= before && record.time <= Utc::now()));
    let tail = records(bench, &id, LogOptions { tail: Some(1), ..Default::default() }).await;
    assert_eq!(tail.len(), 1);
    let since = LogOptions { since: Some(Utc::now()), ..Default::default() };
    assert!(records(bench, &id, since).await.is_empty());
    let until = LogOptions { until: Some(before), ..Default::default() };
    assert!(records(bench, &id, until).await.is_empty());
    let missing = bench.backend.logs("wharf-none", LogOptions::default()).await.map(|_| ());
    assert_eq!(kind(missing), ErrorKind::NotFound);
}

async fn logs_follow_to_the_end(bench: &Bench) {
    let mut options = Bench::options("echo first; read line; echo last");
    options.open_stdin = true;
    options.attach.stdin = true;
    let id = bench.create(options).await.unwrap();
    let how = AttachOptions { start: true, stdin: true, output: false, size: None };
    let mut session = bench.backend.attach(&id, how).await.unwrap();
    let follow = LogOptions { follow: true, ..Default::default() };
    let mut stream = bench.backend.logs(&id, follow).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().message, b"first\n");
    session.input.as_mut().unwrap().write_all(b"\n").await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().message, b"last\n");
    assert!(stream.next().await.is_none(), "the container has ended");
}

async fn logs_of_a_terminal(bench: &Bench) {
    let mut options = Bench::options("echo one; echo two; printf three");
    options.tty = true;
    let id = bench.create(options).await.unwrap();
    bench.start(&id).await.unwrap();
    bench.backend.wait(&id).await.unwrap();
    let all = records(bench, &id, LogOptions::default()).await;
    let text: Vec<u8> = all.iter().flat_map(|record| record.message.clone()).collect();
    assert!(text.starts_with(b"one\r\ntwo\r\nthree"), "{:?}", String::from_utf8_lossy(&text));
    assert_eq!(all.len(), 3);
}
