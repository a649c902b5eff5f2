//! Containers and archives that mean harm: links exchanged under `cp`, archives that want out.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tar::EntryType as Kind;

use crate::copy_docker::saved;
use crate::harness::{IMAGE, Lab, Out, Test, folder};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        links_exchanged_during_cp,
        links_in_the_image_stay_inside,
        archives_that_want_out,
        damaged_archives_leave_nothing,
        names_are_shown_harmless,
    ]
}

/// A folder of the host that nobody may touch.
struct Secret(PathBuf);

impl Secret {
    fn new() -> Self {
        let folder = folder();
        std::fs::write(folder.join("secret"), "the host's secret").unwrap();
        std::fs::set_permissions(folder.join("secret"), PermissionsExt::from_mode(0o600)).unwrap();
        Self(folder)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    #[track_caller]
    fn assert_untouched(&self) {
        let names: Vec<_> =
            std::fs::read_dir(&self.0).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(names, ["secret"]);
        let secret = self.0.join("secret");
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), "the host's secret");
        let found = secret.metadata().unwrap();
        assert_eq!(found.permissions().mode() & 0o7777, 0o600);
        assert_eq!(std::os::unix::fs::MetadataExt::nlink(&found), 1);
        assert_eq!(std::os::unix::fs::MetadataExt::uid(&found), 0);
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// CVE-2018-15664: what `cp` has looked at becomes a link to the host before it is used.
fn links_exchanged_during_cp() {
    let lab = Lab::new();
    let secret = Secret::new();
    // A path that exists on the host alone, behind links of every form; FIFOs and devices come too.
    let line = format!(
        "mkdir -p /srv/real; echo inside > /srv/real/secret; cd /srv; echo ready; while :; do \
         ln -s {path} x; mv x y; rm -f y; mkdir x; echo inside > x/secret; rm -rf x; \
         ln -s ../../../../../../..{path} x; rm x; ln -s real x; rm x; mkfifo x; rm x; \
         mknod x c 1 5; rm x; ln -s /proc/self/root{path} x; rm x; done",
        path = secret.path()
    );
    lab.start(&["--name", "box"], &line);
    lab.wait_for_log("box", "ready");
    let out = lab.root().join("out");
    std::fs::create_dir(&out).unwrap();
    let payload = lab.root().join("payload");
    std::fs::create_dir(&payload).unwrap();
    std::fs::write(payload.join("secret"), "overwritten").unwrap();
    std::fs::write(payload.join("new"), "planted").unwrap();
    symlink(secret.path(), payload.join("link")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        payload.join("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o777),
        0,
    )
    .unwrap();
    let rounds = if std::env::var_os("WHARF_TEST_ALL").is_some() { 300 } else { 60 };
    let leaked = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for worker in 0..3 {
            let (lab, out, payload, leaked) = (&lab, &out, &payload, &leaked);
            scope.spawn(move || {
                for round in 0..rounds {
                    let target = out.join(format!("{worker}-{round}")).display().to_string();
                    let payload = payload.to_str().unwrap();
                    let content = format!("{payload}/.");
                    let arguments: [&str; 4] = match (worker, round % 4) {
                        (0, 0) => ["cp", "-q", "box:/srv/x/.", &target],
                        (0, 1) => ["cp", "-q", "box:/srv/x/secret", &target],
                        (0, 2) => ["cp", "-L", "box:/srv/x", &target],
                        (0, _) => ["cp", "-q", "box:/srv", &target],
                        (1, 0) => ["cp", "-a", &content, "box:/srv/x"],
                        (1, _) => ["cp", "-q", &content, "box:/srv/x/"],
                        (_, 0) => ["cp", "-q", payload, "box:/srv/x/"],
                        (_, _) => ["cp", "-q", payload, "box:/srv/x"],
                    };
                    // It may fail, in whatever way; it may not get out.
                    let said = lab.run(&arguments);
                    if said.stdout.contains("host's secret")
                        || said.stderr.contains("host's secret")
                    {
                        leaked.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    secret.assert_untouched();
    assert!(!leaked.load(Ordering::Relaxed));
    assert!(!holds(&out, "host's secret"), "the host's file was copied out");
    assert_eq!(lab.inspect("box", "/State/Running"), true, "it went on all the time");
}

/// Returns whether a regular file below a folder holds this. Links are not followed.
fn holds(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().flatten().any(|entry| {
        let kind = entry.file_type().unwrap();
        let path = entry.path();
        (kind.is_dir() && holds(&path, text))
            || (kind.is_file()
                && String::from_utf8_lossy(&std::fs::read(path).unwrap()).contains(text))
    })
}

fn links_in_the_image_stay_inside() {
    let lab = Lab::new();
    let secret = Secret::new();
    let line = format!(
        "ln -s {0} /srv/out; ln -s ../../../../../..{0} /srv/up; ln -s {0}/secret /srv/file; \
         ln -s {0}/new /srv/new; ln -s / /srv/root",
        secret.path()
    );
    lab.ok(&["run", "--name", "box", "--network", "none", IMAGE, "sh", "-c", &line]);
    let file = lab.root().join("f").display().to_string();
    std::fs::write(&file, "planted").unwrap();
    for round in ["stopped", "running"] {
        for target in ["out", "out/", "up/x", "up/", "file", "new"] {
            lab.run(&["cp", &file, &format!("box:/srv/{target}")]);
        }
        for (n, source) in ["out/secret", "up/secret", "file", "out/."].iter().enumerate() {
            let target = lab.root().join(format!("{round}{n}"));
            lab.run(&["cp", "-L", &format!("box:/srv/{source}"), target.to_str().unwrap()]);
            assert!(!target.exists(), "{source} is not there inside");
        }
        secret.assert_untouched();
        // The container's own root is where its links lead.
        let hosts = lab.run(&["cp", "box:/srv/root/srv/readme", "-"]);
        assert!(hosts.stdout.contains("not a program"), "{hosts:?}");
        if round == "stopped" {
            lab.ok(&["rm", "box"]);
            lab.start(&["--name", "box"], &format!("{line}; touch /srv/done; sleep 1000"));
            crate::harness::eventually("links are there", || {
                lab.run(&["cp", "box:/srv/done", "-"]).code == 0
            });
        }
    }
}

/// An archive written as it is, without a library's checks.
#[derive(Default)]
struct Raw(Vec<u8>);

impl Raw {
    fn add(mut self, kind: Kind, path: &str, link: &str, data: &[u8]) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o6777);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        header.set_size(data.len() as u64);
        header.set_device_major(1).unwrap();
        header.set_device_minor(5).unwrap();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, path: &str) -> Self {
        self.add(Kind::Regular, path, "", b"planted")
    }

    fn pax(self, records: &[u8]) -> Self {
        self.add(Kind::XHeader, "pax", "", records)
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

/// Gives an archive to everything that takes one; returns what each said.
fn everywhere(lab: &Lab, archive: &[u8]) -> Vec<(&'static str, Out)> {
    vec![
        ("import", lab.run_with(&["import", "-", "hostile:1"], archive)),
        ("load", lab.run_with(&["load"], &saved(&[archive.to_vec()], "hostile:2"))),
        ("cp", lab.run_with(&["cp", "-", "box:/srv"], archive)),
        ("cp to a stopped one", lab.run_with(&["cp", "-", "stopped:/srv"], archive)),
    ]
}

fn targets() -> Lab {
    let lab = Lab::new();
    lab.start(&["--name", "box"], "sleep 1000");
    lab.ok(&["create", "--name", "stopped", "--network", "none", IMAGE, "true"]);
    lab
}

/// Nothing half made is left, and the engine works.
#[track_caller]
fn assert_clean(lab: &Lab) {
    let left: Vec<_> = std::fs::read_dir(lab.root().join("tmp"))
        .unwrap()
        .flatten()
        .map(|e| e.file_name())
        .filter(|name| name != ".lock")
        .collect();
    assert!(left.is_empty(), "{left:?}");
    lab.ok(&["exec", "box", "true"]);
}

fn archives_that_want_out() {
    let lab = targets();
    let secret = Secret::new();
    let out = secret.path();
    let up = format!("../../../../../../../..{out}");
    let archives: Vec<(&str, Vec<u8>)> = vec![
        ("absolute name", Raw::default().file(&format!("{out}/new")).end()),
        ("dots", Raw::default().file(&format!("{up}/new")).end()),
        ("dots inside", Raw::default().file(&format!("a/b/../../../../..{out}/new")).end()),
        ("through a link", Raw::default().add(Kind::Symlink, "l", out, b"").file("l/new").end()),
        (
            "through a link of dots",
            Raw::default().add(Kind::Symlink, "l", &up, b"").file("l/new").end(),
        ),
        (
            "through two links",
            Raw::default()
                .add(Kind::Symlink, "a", "b", b"")
                .add(Kind::Symlink, "b", out, b"")
                .file("a/secret")
                .end(),
        ),
        (
            "onto a link",
            Raw::default().add(Kind::Symlink, "l", &format!("{out}/secret"), b"").file("l").end(),
        ),
        (
            "a folder onto a link",
            Raw::default()
                .add(Kind::Symlink, "l", out, b"")
                .add(Kind::Directory, "l", "", b"")
                .file("l/new")
                .end(),
        ),
        (
            "mode through a link",
            Raw::default()
                .add(Kind::Symlink, "l", &format!("{out}/secret"), b"")
                .add(Kind::Fifo, "l", "", b"")
                .end(),
        ),
        (
            "hard link outside",
            Raw::default().add(Kind::Link, "h", &format!("{out}/secret"), b"").file("h").end(),
        ),
        (
            "hard link of dots",
            Raw::default().add(Kind::Link, "h", &format!("{up}/secret"), b"").end(),
        ),
        (
            "hard link to a link",
            Raw::default()
                .add(Kind::Symlink, "l", &format!("{out}/secret"), b"")
                .add(Kind::Link, "h", "l", b"")
                .file("h")
                .end(),
        ),
        (
            "hard link through a link",
            Raw::default()
                .add(Kind::Symlink, "l", out, b"")
                .add(Kind::Link, "h", "l/secret", b"")
                .end(),
        ),
        ("whiteout of dots", Raw::default().file(".wh...").file("d/.wh...").end()),
        ("whiteout of nothing", Raw::default().file(".wh.").end()),
        ("whiteout of itself", Raw::default().file(".wh..").end()),
        ("opaque at the root", Raw::default().file(".wh..wh..opq").file("x").end()),
        ("bookkeeping of aufs", Raw::default().file(".wh..wh.plnk/x").file(".wh..wh.aufs").end()),
        (
            "whiteout through a link",
            Raw::default().add(Kind::Symlink, "l", out, b"").file("l/.wh.secret").end(),
        ),
        (
            "opaque through a link",
            Raw::default().add(Kind::Symlink, "l", out, b"").file("l/.wh..wh..opq").end(),
        ),
        ("under a file", Raw::default().file("f").file("f/x").end()),
        ("twice", Raw::default().file("f").add(Kind::Directory, "f", "", b"").file("f/x").end()),
        ("the root as a file", Raw::default().file("./").add(Kind::Symlink, ".", out, b"").end()),
        (
            "overlay's own attributes",
            Raw::default()
                .pax(&record("SCHILY.xattr.trusted.overlay.redirect", out))
                .add(Kind::Directory, "d", "", b"")
                .end(),
        ),
        (
            "long path of dots",
            Raw::default().pax(&record("path", &format!("{up}/new"))).file("x").end(),
        ),
        (
            "long link",
            Raw::default()
                .pax(&record("linkpath", out))
                .add(Kind::Symlink, "l", "", b"")
                .file("l/n")
                .end(),
        ),
    ];
    for (what, archive) in &archives {
        for (verb, said) in everywhere(&lab, archive) {
            secret.assert_untouched();
            assert!(said.code == 0 || said.code == 1, "{what}: {verb}: {said:?}");
            assert!(!said.stderr.contains("panicked"), "{what}: {verb}: {said:?}");
        }
        assert_clean(&lab);
    }
    // What may be in an image, but not lead out: devices are nodes that the container's rules hold.
    let devices =
        Raw::default().add(Kind::Char, "zero", "", b"").add(Kind::Block, "disk", "", b"").end();
    for (verb, said) in everywhere(&lab, &devices) {
        assert_eq!(said.code, 0, "{verb}: {said:?}");
    }
    let read = lab.run(&["exec", "box", "cat", "/srv/disk"]);
    assert_ne!(read.code, 0, "a device that isn't allowed can't be read: {read:?}");
}

/// Returns a PAX record.
fn record(key: &str, value: &str) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let length = (rest..).find(|n| *n == rest + n.to_string().len()).unwrap();
    format!("{length} {key}={value}\n").into_bytes()
}

fn damaged_archives_leave_nothing() {
    let lab = targets();
    let mut negative = Raw::default().file("x").end();
    negative[124..136].copy_from_slice(&[0xff; 12]);
    let mut huge = Raw::default().file("x").end();
    huge[124..136]
        .copy_from_slice(&[0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    for archive in [&mut negative, &mut huge] {
        archive[148..156].fill(b' ');
        let sum: u32 = archive[..512].iter().map(|b| u32::from(*b)).sum();
        archive[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    let records = [
        record("size", "18446744073709551616"),
        record("size", "-1"),
        record("size", "9223372036854775807"),
        record("uid", "4294967295"),
        record("gid", "99999999999"),
        record("mtime", "x"),
        b"999999 path=x\n".to_vec(),
        b"0 path=x\n".to_vec(),
        b"nonsense".to_vec(),
        [record("GNU.sparse.major", "1"), record("GNU.sparse.realsize", "5")].concat(),
        [record("GNU.sparse.size", "99"), record("GNU.sparse.map", "5,9223372036854775807,1,1")]
            .concat(),
    ];
    let mut archives: Vec<(String, Vec<u8>)> = vec![
        ("negative size".to_owned(), negative),
        ("huge size".to_owned(), huge),
        ("cut off".to_owned(), Raw::default().file("x").0[..515].to_vec()),
        ("noise".to_owned(), vec![0x5a; 4096]),
        ("huge header".to_owned(), Raw::default().pax(&vec![b'x'; 3 << 20]).file("x").end()),
    ];
    for record in &records {
        let text = String::from_utf8_lossy(record).into_owned();
        archives.push((text, Raw::default().pax(record).file("x").end()));
    }
    for (what, archive) in &archives {
        for (verb, said) in everywhere(&lab, archive) {
            assert_eq!(said.code, 1, "{what}: {verb}: {said:?}");
            assert!(said.stderr.starts_with("wharf: "), "{what}: {verb}: {said:?}");
            assert!(!said.stderr.contains("panicked"), "{what}: {verb}: {said:?}");
        }
        assert_clean(&lab);
    }
    assert_eq!(lab.ok(&["images", "-q"]).lines().count(), 1);
}

fn names_are_shown_harmless() {
    let lab = targets();
    let evil = "a\u{1b}]0;owned\u{7}\u{1b}[2J\nb";
    let archive = Raw::default().file(evil).file(&format!("{evil}/x")).end();
    for (verb, said) in everywhere(&lab, &archive) {
        assert_eq!(said.code, 1, "{verb}: {said:?}");
        let raw = |c: char| c.is_control() && c != '\n';
        assert!(!said.stderr.contains(raw), "{verb}: {said:?}");
        assert_eq!(said.stderr.trim_end().lines().count(), 1, "{verb}: {said:?}");
    }
    let diff = lab.ok(&["diff", "box"]);
    assert!(diff.contains("owned") && !diff.contains('\u{1b}'), "{diff:?}");
}
