//! Tests of the log's task: questions in, replies out.

use std::path::PathBuf;

use wharf_backend::LogSource;
use wharf_backend::fake::{Fake, container, time};
use wharf_model::{LogStream, Status};

use super::*;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("wharf-ui-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn write(path: &Path, range: std::ops::Range<i64>) {
    let mut out = Vec::new();
    for n in range {
        let line = format!("line {n} \x1b[31mred\x1b[0m\n");
        wharf_logs::codec::encode(&mut out, LogStream::Stdout, time(n), line.as_bytes());
    }
    let mut file = std::fs::File::options().append(true).create(true).open(path).unwrap();
    file.write_all(&out).unwrap();
}

struct Open {
    job: LogJob,
    receiver: mpsc::Receiver<Msg>,
}

impl Open {
    fn new(source: LogSource) -> Self {
        let fake = Fake::new();
        let c = container(1, "talker", "img", Status::Running);
        fake.put(c.clone());
        fake.set_log_source(source);
        let (sender, receiver) = mpsc::channel(64);
        Self {
            job: LogJob::open(
                vec![Arc::new(fake)],
                vec![LogOrigin { id: c.id, name: "talker".to_owned(), host: 0 }],
                7,
                sender,
            ),
            receiver,
        }
    }

    async fn ask(&mut self, ask: LogAsk) -> LogReply {
        self.job.ask(ask);
        self.next().await
    }

    async fn next(&mut self) -> LogReply {
        let wait = tokio::time::timeout(Duration::from_secs(20), self.receiver.recv());
        match wait.await.unwrap() {
            Some(Msg::Log { generation: 7, reply }) => reply,
            other => panic!("{other:?}"),
        }
    }
}

fn texts(reply: &LogReply) -> Vec<String> {
    match reply {
        LogReply::Lines { lines, .. } => {
            lines.iter().map(|l| l.spans.iter().map(|s| s.text.as_str()).collect()).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_file_is_paged_followed_searched_and_saved() {
    let folder = Folder::new("log");
    let path = folder.0.join("c-json.log");
    write(&path, 0..1000);
    let mut open = Open::new(LogSource::Files(path.clone()));
    let tail = open.ask(LogAsk::Tail { rows: 3 }).await;
    assert_eq!(texts(&tail), ["line 997 red", "line 998 red", "line 999 red"]);
    let LogReply::Lines { lines, at_start: false, at_end: true, .. } = tail else { panic!() };
    let before = LogAsk::Before { position: lines[0].position, rows: 2 };
    assert_eq!(texts(&open.ask(before).await), ["line 995 red", "line 996 red"]);
    // What is new comes by itself.
    write(&path, 1000..1002);
    assert_eq!(texts(&open.next().await), ["line 1000 red", "line 1001 red"]);
    open.job.ask(LogAsk::Follow(false));
    open.job.ask(LogAsk::Search { pattern: "e 5. r".to_owned() });
    assert_eq!(open.next().await, LogReply::Matches { count: 10, complete: true });
    let end = lines[2].next;
    let find = LogAsk::Find { from: end, direction: Direction::Backward };
    let LogReply::Found(position) = open.ask(find).await else { panic!() };
    let around = open.ask(LogAsk::Around { position, rows: 1 }).await;
    assert_eq!(texts(&around), ["line 58 red", "line 59 red"]);
    open.job.ask(LogAsk::Only(true));
    let head = open.ask(LogAsk::Head { rows: 2 }).await;
    assert_eq!(texts(&head), ["line 50 red", "line 51 red"]);
    let copy = folder.0.join("saved.log");
    let saved = open.ask(LogAsk::Save { path: copy.clone(), times: false }).await;
    assert_eq!(saved, LogReply::Saved(copy.clone(), 10));
    let text = std::fs::read_to_string(&copy).unwrap();
    assert!(
        text.starts_with("line 50 \x1b[31mred") && text.ends_with("line 59 \x1b[31mred\x1b[0m\n")
    );
    // Nothing is ever overwritten.
    let again = open.ask(LogAsk::Save { path: copy.clone(), times: true }).await;
    let LogReply::Failed(why) = again else { panic!("{again:?}") };
    assert!(why.ends_with("saved.log: it is there already, and isn't written over"), "{why}");
    // With times as `logs -t` has them.
    let timed = folder.0.join("timed.log");
    open.ask(LogAsk::Save { path: timed.clone(), times: true }).await;
    let text = std::fs::read_to_string(&timed).unwrap();
    let (time, rest) = text.split_once(' ').unwrap();
    assert!(chrono::DateTime::parse_from_rfc3339(time).is_ok() && time.ends_with('Z'), "{time}");
    assert!(rest.starts_with("line 50 "), "{rest}");
}

#[tokio::test]
async fn matches_far_apart_are_all_found_and_paged() {
    let folder = Folder::new("sparse");
    let path = folder.0.join("c-json.log");
    // Some megabytes with a match in every block that a search takes at a time.
    write(&path, 0..60_000);
    let mut open = Open::new(LogSource::Files(path));
    open.job.ask(LogAsk::Follow(false));
    open.ask(LogAsk::Tail { rows: 1 }).await;
    open.job.ask(LogAsk::Search { pattern: "000 ".to_owned() });
    loop {
        if open.next().await == (LogReply::Matches { count: 59, complete: true }) {
            break;
        }
    }
    open.job.ask(LogAsk::Only(true));
    let head = open.ask(LogAsk::Head { rows: 40 }).await;
    assert_eq!(texts(&head).len(), 40);
    assert!(texts(&head)[39].contains("line 40000"), "{head:?}");
    let LogReply::Lines { lines, at_start: true, at_end: false, .. } = head else {
        panic!("{head:?}")
    };
    let after = LogAsk::After { position: lines[39].next, rows: 40 };
    let after = open.ask(after).await;
    assert_eq!(texts(&after).len(), 19);
    assert!(matches!(after, LogReply::Lines { at_end: true, .. }), "{after:?}");
    let before = LogAsk::Before { position: lines[39].position, rows: 10 };
    let before = open.ask(before).await;
    assert!(texts(&before)[0].contains("line 30000"), "{before:?}");
    assert!(matches!(before, LogReply::Lines { at_start: false, .. }), "{before:?}");
}

#[tokio::test]
async fn nobody_following_is_told_once_that_there_is_more() {
    let folder = Folder::new("held");
    let path = folder.0.join("c-json.log");
    write(&path, 0..10);
    let mut open = Open::new(LogSource::Files(path.clone()));
    open.ask(LogAsk::Tail { rows: 3 }).await;
    open.job.ask(LogAsk::Follow(false));
    let head = open.ask(LogAsk::Head { rows: 2 }).await;
    assert_eq!(texts(&head).len(), 2);
    write(&path, 10..11);
    assert_eq!(open.next().await, LogReply::Grown);
    write(&path, 11..12);
    let position = match open.ask(LogAsk::Tail { rows: 1 }).await {
        LogReply::Lines { lines, .. } => lines[0].position,
        other => panic!("{other:?}"),
    };
    let after = open.ask(LogAsk::After { position, rows: 5 }).await;
    assert_eq!(texts(&after), ["line 11 red"]);
}

#[tokio::test]
async fn a_log_that_is_a_stream_is_kept_and_followed() {
    let mut open = Open::new(LogSource::Stream);
    // The fake container says something now and then.
    let reply = open.next().await;
    assert!(texts(&reply)[0].starts_with("talker"), "{reply:?}");
}

fn append(path: &Path, at: i64, text: &[u8]) {
    let mut out = Vec::new();
    wharf_logs::codec::encode(&mut out, LogStream::Stdout, time(at), text);
    let mut file = std::fs::File::options().append(true).create(true).open(path).unwrap();
    file.write_all(&out).unwrap();
}

#[tokio::test]
async fn a_long_line_is_one_and_is_shown_whole_when_asked() {
    let folder = Folder::new("long");
    let path = folder.0.join("c-json.log");
    append(&path, 1, b"before\n");
    for _ in 0..5 {
        append(&path, 2, &[b'x'; 16 * 1024]);
    }
    append(&path, 2, b"the end\n");
    append(&path, 3, b"{\"level\":\"info\",\"msg\":\"up\",\"n\":1}\n");
    let mut open = Open::new(LogSource::Files(path));
    // Even a page that would begin in the middle of it.
    let tail = open.ask(LogAsk::Tail { rows: 3 }).await;
    let LogReply::Lines { lines, .. } = &tail else { panic!("{tail:?}") };
    assert_eq!(lines.len(), 2, "{tail:?}");
    assert!(lines[0].folds && texts(&tail)[0].contains("[81927 bytes in all"), "{tail:?}");
    assert_eq!(texts(&tail)[1], "INFO  up n=1");
    let (position, next) = (lines[0].position, lines[0].next);
    let whole = open.ask(LogAsk::Whole { position, next, columns: 100 }).await;
    let LogReply::Whole { rows, .. } = whole else { panic!("{whole:?}") };
    assert_eq!(rows.len(), 820);
    assert!(rows[819][0].text.ends_with("the end"));
    let copied = open.ask(LogAsk::Copy(vec![(position, next)])).await;
    let LogReply::Copied { text, lines: 1 } = copied else { panic!("{copied:?}") };
    assert_eq!(text.len(), 5 * 16 * 1024 + 8);
}

#[tokio::test]
async fn a_trace_is_found_as_a_whole_and_times_are_jumped_to() {
    let folder = Folder::new("trace");
    let path = folder.0.join("c-json.log");
    write(&path, 0..50);
    for text in ["boom\n", "java.lang.Error: x\n", "\tat Shop.store(Shop.java:7)\n"] {
        append(&path, 50, text.as_bytes());
    }
    write(&path, 51..100);
    let mut open = Open::new(LogSource::Files(path));
    open.ask(LogAsk::Tail { rows: 1 }).await;
    open.job.ask(LogAsk::Follow(false));
    open.ask(LogAsk::Search { pattern: "Shop.store".to_owned() }).await;
    open.job.ask(LogAsk::Only(true));
    let head = open.ask(LogAsk::Head { rows: 10 }).await;
    assert_eq!(texts(&head), ["boom", "java.lang.Error: x", "        at Shop.store(Shop.java:7)"]);
    open.job.ask(LogAsk::Only(false));
    let at = open.ask(LogAsk::At { time: time(70), rows: 1 }).await;
    assert_eq!(texts(&at), ["line 69 red", "line 70 red"]);
    let bars = open.ask(LogAsk::Bars { columns: 10 }).await;
    let LogReply::Bars(Some(bars)) = bars else { panic!("{bars:?}") };
    assert_eq!(bars.counts.iter().sum::<u64>(), 102);
    assert_eq!(bars.matches.iter().sum::<u64>(), 1);
    let since = open.ask(LogAsk::Since(Some(time(90)))).await;
    let LogReply::Bars(Some(bars)) = since else { panic!("{since:?}") };
    assert_eq!(bars.counts.iter().sum::<u64>(), 10);
    let head = open.ask(LogAsk::Head { rows: 1 }).await;
    assert_eq!(texts(&head), ["line 90 red"]);
}
