//! What volumes hold: out and in again to the last bit, all or nothing, and nothing of the host.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::audit::is_clean;
use crate::harness::{IMAGE, Lab, Test, eventually, folder, joined, run};
use crate::tests;
use crate::volumes::{data, shown};

pub(crate) fn tests() -> Vec<Test> {
    tests![
        what_comes_out_goes_in_again,
        an_archive_is_taken_whole_or_not_at_all,
        what_is_used_is_not_exchanged,
        sizes_are_those_of_the_disk,
        exports_hold_writers_still,
        subpaths_stay_in_their_volume,
        links_exchanged_during_a_start,
    ]
}

/// Fills a folder with everything a filesystem has.
fn fill(at: &Path) {
    let script = r#"
        set -e; cd "$1"; chown 12:34 .; chmod 3751 .
        printf content > file; chmod 4755 file; chown 1000:70000 file; chmod u+s file
        ln file hard; ln -s /etc/passwd soft; ln -s nowhere "a link"; chown -h 7:8 soft
        mkdir -p deep/er/est; chmod 700 deep; mkfifo fifo; mknod device c 1 3; chmod 600 device
        truncate -s 50M sparse; printf middle | dd of=sparse bs=1 seek=20000000 conv=notrunc status=none
        printf x > "$(printf 'odd\nname \377')"; : > empty
        for i in $(seq 50); do mkdir -p many/$i; echo $i > many/$i/f; done
        touch -h -d '2001-02-03 04:05:06.789012345 UTC' soft file deep
        touch -d '1960-01-01 00:00:00.25 UTC' empty
        touch -d '2002-03-04 05:06:07.123456789 UTC' .
    "#;
    let status = Command::new("sh").args(["-c", script, "sh"]).arg(at).status().unwrap();
    assert!(status.success());
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(at.join("many"), "user.note", b"a\0b", flags).unwrap();
    rustix::fs::setxattr(at.join("many"), "trusted.note", b"t", flags).unwrap();
}

/// Returns everything about what is in a folder.
fn picture(at: &Path) -> String {
    let script = r#"cd "$1"; find . -printf '%P %y %m %U:%G %T@ %l %n %s\n' | grep -v '^many\S* d' | sort
        find . -type f -exec sha256sum {} + | sort; find many -type d -printf '%P %m %T@\n' | sort
        du -k sparse"#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(at);
    let out = run(command, b"");
    let attribute = |key: &str| {
        let mut value = vec![0; 100];
        let length = rustix::fs::getxattr(at.join("many"), key, value.as_mut_slice()).unwrap();
        format!("{key} {:?}\n", &value[..length])
    };
    out.stdout + &attribute("user.note") + &attribute("trusted.note")
}

fn exported(lab: &Lab, name: &str) -> Vec<u8> {
    let file = lab.root().join("export.tar");
    lab.ok(&["volume", "export", "-o", file.to_str().unwrap(), name]);
    let bytes = std::fs::read(&file).unwrap();
    std::fs::remove_file(file).unwrap();
    bytes
}

fn what_comes_out_goes_in_again() {
    let lab = Lab::new();
    lab.ok(&["volume", "create", "one"]);
    fill(&data(&lab, "one"));
    let wanted = picture(&data(&lab, "one"));
    let tar = exported(&lab, "one");
    assert!(tar.len() < 1 << 20, "holes are left out");
    let out = lab.run_with(&["volume", "import", "two"], &tar);
    assert_eq!((out.code, out.stdout.as_str()), (0, "two\n"), "{}", out.stderr);
    assert_eq!(picture(&data(&lab, "two")), wanted);
    assert_eq!(exported(&lab, "two"), tar);
    assert_eq!(lab.ok(&["volume", "clone", "one", "three"]), "three");
    assert_eq!(picture(&data(&lab, "three")), wanted);
    lab.fails(1, "create three: volume is there already", &["volume", "clone", "one", "three"]);
    // Compressed, in the place of something else, and read by others.
    let plain = lab.root().join("x.tar");
    std::fs::write(&plain, &tar).unwrap();
    assert!(Command::new("gzip").arg(&plain).status().unwrap().success());
    let zipped = lab.root().join("x.tar.gz");
    lab.ok(&["volume", "create", "four"]);
    std::fs::write(data(&lab, "four").join("old"), "x").unwrap();
    let words = ["volume", "import", "four", zipped.to_str().unwrap()];
    lab.fails(1, "it holds files already: --replace", &words);
    assert!(data(&lab, "four").join("old").exists());
    lab.ok(&[&words[..], &["--replace"]].concat());
    assert_eq!(picture(&data(&lab, "four")), wanted);
    let unpacked = folder();
    let mut command = Command::new("tar");
    command.args(["-xpf", zipped.to_str().unwrap(), "--xattrs", "--xattrs-include=*", "-C"]);
    command.arg(&unpacked);
    let out = run(command, b"");
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(picture(&unpacked), wanted);
    std::fs::remove_dir_all(unpacked).unwrap();
    std::fs::remove_file(zipped).unwrap();
    is_clean(&lab);
}

fn an_archive_is_taken_whole_or_not_at_all() {
    let lab = Lab::new();
    lab.ok(&["volume", "create", "one"]);
    std::fs::write(data(&lab, "one").join("a"), vec![b'a'; 3000]).unwrap();
    std::fs::create_dir(data(&lab, "one").join("b")).unwrap();
    std::fs::write(data(&lab, "one").join("b/c"), "c").unwrap();
    let tar = exported(&lab, "one");
    lab.ok(&["volume", "clone", "one", "two"]);
    std::fs::write(data(&lab, "two").join("kept"), "kept").unwrap();
    let untouched = || {
        let mut names: Vec<_> = std::fs::read_dir(data(&lab, "two"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["a", "b", "kept"]);
    };
    // Cut off anywhere, between two entries too, and at the very beginning.
    let mut cuts: Vec<usize> = (0..tar.len() - 1024).step_by(512).collect();
    cuts.extend([1, 100, 513, 1500]);
    for cut in cuts {
        let out = lab.run_with(&["volume", "import", "--replace", "two"], &tar[..cut]);
        assert_eq!(out.code, 1, "cut at {cut}: {out:?}");
        assert!(out.stderr.contains("import two: it ends too early"), "{cut}: {}", out.stderr);
        untouched();
    }
    let out = lab.run_with(&["volume", "import", "--replace", "two"], &[b'x'; 5000]);
    assert!(out.code == 1 && out.stderr.contains("not a tar archive"), "{out:?}");
    let out = lab.run_with(&["volume", "import", "new", "-"], &tar[..1024]);
    assert_eq!(out.code, 1, "{out:?}");
    assert_eq!(lab.ok(&["volume", "ls", "-q"]), "one\ntwo");
    // Nothing that an archive names is outside.
    let secret = folder();
    let mut bad = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    bad.append_link(&mut header, "way", &secret).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    header.set_mode(0o644);
    bad.append_data(&mut header, "way/planted", &b"x"[..]).unwrap();
    let out = lab.run_with(&["volume", "import", "new"], &bad.into_inner().unwrap());
    assert_eq!(std::fs::read_dir(&secret).unwrap().count(), 0, "{out:?}");
    std::fs::remove_dir(secret).unwrap();
    untouched();
    assert_eq!(lab.run_with(&["volume", "import", "--replace", "two"], &tar).code, 0);
    assert!(!data(&lab, "two").join("kept").exists());
    is_clean(&lab);
}

fn what_is_used_is_not_exchanged() {
    let lab = Lab::new();
    lab.start(&["--name", "one", "-v", "used:/d"], "sleep 1000");
    let tar = exported(&lab, "used");
    let import = || lab.run_with(&["volume", "import", "--replace", "used"], &tar);
    let out = import();
    assert_eq!(out.code, 1);
    assert!(out.stderr.contains("container one runs with it: stop it first"), "{}", out.stderr);
    lab.ok(&["kill", "one"]);
    eventually("it has ended", || lab.inspect("one", "/State/Status") == "exited");
    assert_eq!(import().code, 0);
    let words = ["volume", "create", "mem", "-o", "type=tmpfs", "-o", "device=tmpfs"];
    lab.ok(&words);
    let out = lab.run_with(&["volume", "import", "mem"], &tar);
    assert!(out.code == 1 && out.stderr.contains("is elsewhere (tmpfs)"), "{out:?}");
    // What is mounted only while it is used is read all the same, and nothing stays mounted.
    assert_eq!(exported(&lab, "mem").len() % 512, 0);
    lab.start(&["--name", "two", "-v", "mem:/m"], "echo live > /m/file; echo done; sleep 1000");
    lab.wait_for_log("two", "done");
    assert!(String::from_utf8_lossy(&exported(&lab, "mem")).contains("live"));
    is_clean(&lab);
}

fn sizes_are_those_of_the_disk() {
    let lab = Lab::new();
    lab.ok(&["volume", "create", "one"]);
    lab.ok(&["volume", "create", "none"]);
    fill(&data(&lab, "one"));
    let mut command = Command::new("du");
    command.args(["-s", "-B1"]).arg(data(&lab, "one"));
    let all = run(command, b"").stdout;
    let all: u64 = all.split('\t').next().unwrap().parse().unwrap();
    let own = std::os::unix::fs::MetadataExt::blocks(&data(&lab, "one").metadata().unwrap()) * 512;
    let size = shown(all - own);
    let format = ["--format", "{{.Name}} {{.Links}} {{.Size}}"];
    let sizes = lab.ok(&[&["volume", "size"], &format[..]].concat());
    assert_eq!(sizes, format!("none 0 0B\none 0 {size}"));
    let one = lab.ok(&[&["volume", "size", "one"], &format[..]].concat());
    assert_eq!(one, format!("one 0 {size}"));
    lab.fails(1, "get nope: no such volume", &["volume", "size", "nope"]);
    let out = lab.ok(&["volume", "prune", "-af"]);
    assert!(out.ends_with(&format!("Total reclaimed space: {size}")), "{out}");
}

fn exports_hold_writers_still() {
    let lab = Lab::new();
    let line = "i=0; while :; do i=$((i+1)); echo $i > /d/a; echo $i > /d/b; done";
    lab.start(&["--name", "writer", "-v", "data:/d"], line);
    eventually("it writes", || data(&lab, "data").join("b").exists());
    for _ in 0..5 {
        let file = lab.root().join("export.tar");
        lab.ok(&["volume", "export", "--pause", "-o", file.to_str().unwrap(), "data"]);
        let mut archive = tar::Archive::new(std::fs::File::open(&file).unwrap());
        let count = archive.entries().unwrap().count();
        assert_eq!(count, 3);
        eventually("it runs again", || lab.inspect("writer", "/State/Status") == "running");
        let before = std::fs::read_to_string(data(&lab, "data").join("a")).unwrap();
        eventually("it goes on", || {
            std::fs::read_to_string(data(&lab, "data").join("a")).unwrap() != before
        });
        std::fs::remove_file(file).unwrap();
    }
}

fn subpaths_stay_in_their_volume() {
    let lab = Lab::new();
    lab.shell(&["-v", "data:/d"], "mkdir -p /d/a/b /d/c; echo in > /d/a/b/f; ln -s a/b /d/way");
    let at = data(&lab, "data");
    symlink("/etc", at.join("abs")).unwrap();
    symlink("../../../..", at.join("up")).unwrap();
    symlink("b/../../../../..", at.join("a/crooked")).unwrap();
    let run = |subpath: &str| {
        let mount = format!("src=data,dst=/x,volume-subpath={subpath}");
        lab.run(&["run", "--rm", "--network", "none", "--mount", &mount, IMAGE, "cat", "/x/f"])
    };
    for subpath in ["a/b", "way", "./a/./b"] {
        assert_eq!(run(subpath).stdout, "in\n", "{subpath}");
    }
    for subpath in ["abs", "up", "up/etc", "a/crooked", "abs/passwd"] {
        let out = run(subpath);
        assert_eq!(out.code, 125, "{subpath}: {out:?}");
        assert!(out.stderr.contains("escapes the base directory"), "{subpath}: {}", out.stderr);
    }
    let out = run("nope");
    assert!(out.code == 125 && out.stderr.contains("no such file or directory"), "{out:?}");
    // A file is mounted as one.
    let mount = "src=data,dst=/file,volume-subpath=a/b/f";
    assert_eq!(lab.shell(&["--mount", mount], "cat /file"), "in");
    is_clean(&lab);
}

/// Two containers share a volume: one exchanges folders for links while the other starts.
fn links_exchanged_during_a_start() {
    let lab = Lab::new();
    let secret = folder();
    std::fs::write(secret.join("secret"), "the host's secret").unwrap();
    let path = secret.display();
    let line = format!(
        "mkdir -p /d/a/real; echo inside > /d/a/real/secret; cd /d/a; echo ready; while :; do \
         ln -s {path} x; mv x y; rm -f y; mkdir x; echo inside > x/secret; rm -rf x; \
         ln -s ../../../../../../../../..{path} x; rm x; ln -s real x; rm x; \
         ln -s /proc/self/root{path} x; rm x; mv ../a ../b; ln -s {path} ../a; rm ../a; mv ../b ../a; \
         done"
    );
    lab.start(&["--name", "hostile", "-v", "data:/d"], &line);
    lab.wait_for_log("hostile", "ready");
    let rounds = if std::env::var_os("WHARF_TEST_ALL").is_some() { 150 } else { 25 };
    std::thread::scope(|scope| {
        let workers: Vec<_> = ["a/x", "a/x/.", "a"]
            .into_iter()
            .map(|subpath| {
                let lab = &lab;
                scope.spawn(move || {
                    let mount = format!("src=data,dst=/x,volume-subpath={subpath}");
                    for _ in 0..rounds {
                        let out = lab.run(&[
                            "run",
                            "--rm",
                            "--network",
                            "none",
                            "--mount",
                            &mount,
                            IMAGE,
                            "sh",
                            "-c",
                            "cat /x/secret; cat /x/x/secret; echo planted > /x/planted",
                        ]);
                        assert!(!out.stdout.contains("host's secret"), "{out:?}");
                    }
                })
            })
            .collect();
        for worker in workers {
            joined(worker);
        }
    });
    assert_eq!(std::fs::read_dir(&secret).unwrap().count(), 1);
    assert_eq!(std::fs::read_to_string(secret.join("secret")).unwrap(), "the host's secret");
    // What lies in the way of an export leads nowhere either.
    let tar = exported(&lab, "data");
    assert!(!String::from_utf8_lossy(&tar).contains("host's secret"));
    std::fs::remove_dir_all(secret).unwrap();
    lab.ok(&["rm", "-f", "hostile"]);
    is_clean(&lab);
}
