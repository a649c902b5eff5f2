//! Files of containers: descriptions, archives both ways, changes, exports, commits.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use futures_util::TryStreamExt;
use wharf_backend::{ArchivePut, ByteStream};
use wharf_model::{ChangeKind, Command, CommitOptions, ErrorKind, Outcome, PathStat};

use super::{Bench, Check, checks, kind};
use crate::harness::{IMAGE, entry, link};

pub(super) const CHECKS: &[(&str, Check)] = checks![
    paths_are_described,
    files_come_out,
    files_go_in,
    folders_are_kept,
    what_is_read_only_stays_so,
    changes_and_exports,
    commits_make_images,
];

async fn bytes(stream: ByteStream) -> Vec<u8> {
    stream.try_collect::<Vec<_>>().await.unwrap().concat()
}

/// Returns the files of an archive.
fn files(archive: &[u8]) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mut text = Vec::new();
        entry.read_to_end(&mut text).unwrap();
        files.insert(path, String::from_utf8_lossy(&text).into_owned());
    }
    files
}

async fn made(bench: &Bench, line: &str) -> String {
    let id = bench.run(line).await;
    assert_eq!(bench.backend.wait(&id).await, Ok(0));
    id
}

async fn paths_are_described(bench: &Bench) {
    let line =
        "cd /srv; echo 12345 > f; chmod 4640 f; ln -s f l; ln -s /nowhere/x d; mkfifo p; sleep 99";
    let id = bench.run(line).await;
    let stat = async |path: &str| bench.backend.archive_stat(&id, path).await;
    while stat("/srv/p").await.is_err() {
        tokio::task::yield_now().await;
    }
    let file = stat("/srv/f").await.unwrap();
    assert_eq!((file.name.as_str(), file.size, file.mode), ("f", 6, PathStat::mode_of(0o104_640)));
    assert!((chrono::Utc::now() - file.mtime).num_minutes().abs() < 10, "{}", file.mtime);
    let link = stat("srv/../srv/l").await.unwrap();
    assert!(link.is_symlink());
    assert_eq!(link.link_target, "/srv/f");
    assert_eq!(stat("/srv/d").await.unwrap().link_target, "/nowhere/x");
    assert_eq!(stat("/srv/p").await.unwrap().mode, PathStat::mode_of(0o010_644));
    for (path, name) in [("/", "/"), ("/srv/", "srv"), ("/srv/.", ".")] {
        let folder = stat(path).await.unwrap();
        assert!(folder.is_dir(), "{path}");
        assert_eq!(folder.name, name);
    }
    let missing = stat("/none/x").await.unwrap_err();
    assert_eq!(missing.kind, ErrorKind::NotFound);
    assert!(missing.message.contains("Could not find the file /none/x in container"), "{missing}");
    assert!(stat("/srv/f/").await.is_err());
    assert_eq!(kind(bench.backend.archive_stat("wharf-none", "/").await), ErrorKind::NotFound);
}

async fn files_come_out(bench: &Bench) {
    let id = made(bench, "mkdir -p /srv/a/b; echo x > /srv/a/b/f; ln -s /srv/a /srv/l").await;
    let get = async |path: &str| {
        let (stat, stream) = bench.backend.archive_get(&id, path).await.unwrap();
        (stat, files(&bytes(stream).await))
    };
    let (stat, found) = get("/srv/a").await;
    assert!(stat.is_dir());
    assert_eq!(found.keys().collect::<Vec<_>>(), ["a/", "a/b/", "a/b/f"]);
    assert_eq!(found["a/b/f"], "x\n");
    assert_eq!(get("/srv/a/b/f").await.1.keys().collect::<Vec<_>>(), ["f"]);
    assert_eq!(get("/srv/l").await.1.keys().collect::<Vec<_>>(), ["l"]);
    assert_eq!(get("/srv/l/").await.1.keys().collect::<Vec<_>>(), ["l/", "l/b/", "l/b/f"]);
    assert_eq!(get("/srv/a/.").await.1.keys().collect::<Vec<_>>(), ["./", "./b/", "./b/f"]);
    assert_eq!(kind(bench.backend.archive_get(&id, "/x").await.map(drop)), ErrorKind::NotFound);
}

fn two_files() -> Box<Cursor<Vec<u8>>> {
    let mut tar = tar::Builder::new(Vec::new());
    entry(&mut tar, "d/one", 0o640, tar::EntryType::Regular, b"1");
    entry(&mut tar, "two", 0o600, tar::EntryType::Regular, b"2");
    link(&mut tar, "l", "two");
    Box::new(Cursor::new(tar.into_inner().unwrap()))
}

async fn files_go_in(bench: &Bench) {
    let id = bench
        .create(Bench::options("cat /srv/d/one /srv/two /tmp/l; echo; sleep 99"))
        .await
        .unwrap();
    let put = async |path: &str| {
        bench.backend.archive_put(&id, path, two_files(), ArchivePut::default()).await
    };
    put("/srv").await.unwrap();
    put("tmp/").await.unwrap();
    bench.start(&id).await.unwrap();
    bench.wait_for_log(&id, "122").await;
    put("/home").await.unwrap();
    let (_, stream) = bench.backend.archive_get(&id, "/home/two").await.unwrap();
    assert_eq!(files(&bytes(stream).await)["two"], "2");
    let missing = put("/none").await.unwrap_err();
    assert_eq!(missing.kind, ErrorKind::NotFound);
    assert!(missing.message.contains("Could not find the file /none in container"), "{missing}");
    let file = put("/srv/two").await.unwrap_err();
    assert_eq!(file.message, "extraction point is not a directory");
    let nonsense = Box::new(Cursor::new(vec![7; 5000]));
    assert!(bench.backend.archive_put(&id, "/srv", nonsense, ArchivePut::default()).await.is_err());
}

async fn folders_are_kept(bench: &Bench) {
    let id = made(bench, "mkdir -p /srv/two; echo x > /srv/d").await;
    let put = async |keeps_folders: bool| {
        let options = ArchivePut { keeps_folders, ..Default::default() };
        bench.backend.archive_put(&id, "/srv", two_files(), options).await
    };
    let refused = put(true).await.unwrap_err();
    assert!(!refused.message.is_empty(), "{refused}");
    put(false).await.ok();
    let stat = bench.backend.archive_stat(&id, "/srv/two").await.unwrap();
    assert!(stat.is_dir() || stat.size == 1);
}

async fn what_is_read_only_stays_so(bench: &Bench) {
    let mut options = Bench::options("sleep 99");
    options.host.readonly_rootfs = true;
    let id = bench.create(options).await.unwrap();
    for _ in 0..2 {
        let put = bench.backend.archive_put(&id, "/srv", two_files(), ArchivePut::default()).await;
        let error = put.unwrap_err();
        assert_eq!(error.message, "container rootfs is marked read-only");
        bench.start(&id).await.unwrap();
    }
}

async fn changes_and_exports(bench: &Bench) {
    let id = made(bench, "echo x > /srv/new; rm /srv/readme; chmod 700 /home").await;
    let mut changes = bench.backend.changes(&id).await.unwrap();
    changes.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    let found: Vec<_> = changes.iter().map(|c| (c.kind, c.path.as_str())).collect();
    use ChangeKind::{Added, Deleted, Modified};
    assert_eq!(
        found,
        [(Modified, "/home"), (Modified, "/srv"), (Added, "/srv/new"), (Deleted, "/srv/readme")]
    );
    let untouched = bench.create(Bench::options("true")).await.unwrap();
    assert_eq!(bench.backend.changes(&untouched).await, Ok(Vec::new()));
    let files = files(&bytes(bench.backend.export(&id).await.unwrap()).await);
    assert_eq!(files["srv/new"], "x\n");
    assert!(files.contains_key("bin/busybox") && !files.contains_key("srv/readme"));
    assert_eq!(kind(bench.backend.changes("wharf-none").await), ErrorKind::NotFound);
    assert_eq!(kind(bench.backend.export("wharf-none").await.map(drop)), ErrorKind::NotFound);
}

async fn commits_make_images(bench: &Bench) {
    // The file is whole once it has its name.
    let id = bench.run("echo x > /srv/half; mv /srv/half /srv/new; sleep 99").await;
    while bench.backend.archive_stat(&id, "/srv/new").await.is_err() {
        tokio::task::yield_now().await;
    }
    let options = CommitOptions {
        container: id.clone(),
        name: Some("wharf-test/commit:1".parse().unwrap()),
        author: "me".to_owned(),
        message: "why".to_owned(),
        pause: true,
        changes: vec!["ENV A=b".to_owned(), "CMD [\"cat\", \"/srv/new\"]".to_owned()],
        config: None,
    };
    let commit = Command::Commit(Box::new(options.clone()));
    let image = match bench.backend.execute(commit).await.unwrap() {
        Outcome::Committed(image) => image,
        other => panic!("{other:?}"),
    };
    assert_eq!(bench.detail(&id).await.state.status.as_str(), "running");
    let detail = bench.backend.image("wharf-test/commit:1").await.unwrap();
    assert_eq!((&detail.summary.id, detail.layers.len()), (&image, 2));
    assert_eq!((detail.author.as_str(), detail.comment.as_str()), ("me", "why"));
    assert!(detail.config.env.contains(&"A=b".to_owned()));
    let mut again = Bench::options("");
    (again.image, again.command) = ("wharf-test/commit:1".to_owned(), Vec::new());
    let copy = bench.create(again).await.unwrap();
    bench.start(&copy).await.unwrap();
    assert_eq!(bench.backend.wait(&copy).await, Ok(0));
    bench.wait_for_log(&copy, "x").await;
    let mut wrong = options;
    wrong.changes = vec!["RUN x".to_owned()];
    let error = bench.backend.execute(Command::Commit(Box::new(wrong))).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert_eq!(error.message, "run is not a valid change command");
    bench.remove(&copy, true).await.unwrap();
    let remove = Command::RemoveImage { image: "wharf-test/commit:1".to_owned(), force: false };
    bench.backend.execute(remove).await.unwrap();
    assert!(bench.backend.image(IMAGE).await.is_ok());
}
