//! cp, diff, export, commit.

use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{
    IMAGE, Lab, PATIENCE, Test, entry, eventually, folder, lacks_programs, run, wait_for,
};
use crate::pty::Terminal;
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    let mut tests = tests![
        words_and_refusals,
        a_terminal_is_told,
        mounts_of_running_containers,
        read_only_mounts,
        every_state,
        every_kind_of_file,
        archives_through_pipes,
        virtual_files,
        nothing_is_mounted_on_the_host,
        exports,
        commits,
        a_killed_commit_lets_go,
        commits_of_special_files,
        the_binary_loads_nothing,
    ];
    let lacks = lacks_programs(&["unshare", "gzip"]);
    tests.push(Test::new("a_full_disk_leaves_nothing", full_disk).needing(lacks));
    tests
}

fn words_and_refusals() {
    let lab = Lab::new();
    lab.ok(&["create", "--name", "box", "--network", "none", IMAGE, "true"]);
    let folder = folder();
    let file = folder.join("f").display().to_string();
    std::fs::write(&file, "x").unwrap();
    let out = lab.ends(0, &["cp", "-q=false", &file, "box:/srv/g"]);
    assert_eq!(out.stderr, "Successfully copied 2.05kB to box:/srv/g\n");
    let back = folder.join("back").display().to_string();
    let out = lab.ends(0, &["cp", "--quiet=false", "box:/srv/g", &back]);
    assert_eq!(out.stderr, format!("Successfully copied 2.05kB to {back}\n"));
    let out = lab.ends(0, &["cp", &file, "box:/srv/h"]);
    assert_eq!((out.stdout.as_str(), out.stderr.as_str()), ("", ""), "quiet without a terminal");
    for (says, arguments) in [
        ("copying between containers is not supported", ["box:/a", "box:/b"]),
        ("must specify at least one container source", ["/a", "/b"]),
        ("source can not be empty", ["", "box:/b"]),
        ("destination can not be empty", [&file, ""]),
        ("No such container: none", [&file, "none:/x"]),
        ("No such container: none", ["none:/x", &file]),
        ("Could not find the file /none in container box", ["box:/none", &file]),
        ("Could not find the file /no in container box", [&file, "box:/no/x"]),
        ("must be a directory", ["-", "box:/srv/g"]),
        ("no such file or directory", ["/nonexistent/x", "box:/"]),
        (
            "invalid output path: directory \"/nonexistent\" does not exist",
            ["box:/srv", "/nonexistent/x"],
        ),
        ("got a device", ["box:/srv/g", "/dev/null"]),
        ("cannot copy directory", ["box:/srv", &file]),
    ] {
        lab.fails(1, says, &["cp", arguments[0], arguments[1]]);
    }
    lab.fails(1, "requires 2 arguments", &["cp", "box:/x"]);
    lab.fails(1, "No such container: none", &["diff", "none"]);
    lab.fails(1, "No such container: none", &["export", "none"]);
    std::fs::remove_dir_all(folder).unwrap();
}

fn a_terminal_is_told() {
    let lab = Lab::new();
    lab.ok(&["create", "--name", "box", "--network", "none", IMAGE, "true"]);
    let target = lab.root().join("readme").display().to_string();
    let mut terminal = Terminal::start(&lab.command(&["cp", "box:/srv/readme", &target]), 200, 24);
    terminal.wait_for("Successfully copied 2.05kB to ");
    assert_eq!(terminal.wait(), 0);
    let mut terminal = Terminal::start(&lab.command(&["export", "box"]), 200, 24);
    terminal.wait_for("cowardly refusing to save to a terminal");
    assert_eq!(terminal.wait(), 1);
}

fn mounts_of_running_containers() {
    let lab = Lab::new();
    let bound = folder();
    std::fs::write(bound.join("there"), "from the host").unwrap();
    let bind = format!("{}:/bound", bound.display());
    let flags = ["--name", "box", "-v", &bind, "--tmpfs", "/mem"];
    lab.start(&flags, "echo in memory > /mem/f; echo ready; sleep 1000");
    lab.wait_for_log("box", "ready");
    let out = |path: &str| lab.run(&["cp", &format!("box:{path}"), "-"]).stdout;
    assert!(out("/mem/f").contains("in memory"));
    assert!(out("/bound/there").contains("from the host"));
    assert!(out("/etc/hosts").contains("localhost"));
    let file = lab.root().join("f").display().to_string();
    std::fs::write(&file, "in").unwrap();
    lab.ok(&["cp", &file, "box:/mem/in"]);
    lab.ok(&["cp", &file, "box:/bound/in"]);
    assert_eq!(lab.ok(&["exec", "box", "cat", "/mem/in"]), "in");
    assert_eq!(std::fs::read_to_string(bound.join("in")).unwrap(), "in");
    // A file that is mounted over can't be replaced, and stays.
    lab.fails(1, "busy", &["cp", &file, "box:/etc/hosts"]);
    assert!(out("/etc/hosts").contains("localhost"));
    // What is mounted is no part of the root filesystem.
    let diff = lab.ok(&["diff", "box"]);
    assert!(!diff.contains("there") && !diff.contains("/mem/f"), "{diff}");
    let tar = lab.command(&["export", "box"]).output().unwrap().stdout;
    let names = names(&tar);
    assert!(!names.iter().any(|n| n.starts_with("bound/t") || n.starts_with("mem/i")), "{names:?}");
    // Its first process may have moved its own root; the container's is meant.
    lab.start(&["--name", "moved"], "mkdir -p /jail/bin; cp /bin/busybox /jail/bin/sh; \
               cp /bin/busybox /jail/bin/sleep; echo x > /outside; exec chroot /jail /bin/sleep 1000");
    eventually("it is there", || lab.run(&["cp", "moved:/outside", "-"]).code == 0);
    // Stopped, binds are still seen.
    lab.ok(&["kill", "box"]);
    lab.ok(&["wait", "box"]);
    assert!(out("/bound/there").contains("from the host"));
    lab.ok(&["cp", &file, "box:/bound/later"]);
    assert!(bound.join("later").exists());
    std::fs::remove_dir_all(bound).unwrap();
}

fn names(tar: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().unwrap();
    entries.map(|e| String::from_utf8_lossy(&e.unwrap().path_bytes()).into_owned()).collect()
}

fn read_only_mounts() {
    let lab = Lab::new();
    let bound = folder();
    let bind = format!("{}:/bound:ro", bound.display());
    lab.start(&["--name", "box", "-v", &bind], "sleep 1000");
    let root = ["--name", "fixed", "--read-only", "--tmpfs", "/mem"];
    lab.start(&root, "sleep 1000");
    let file = lab.root().join("f").display().to_string();
    std::fs::write(&file, "x").unwrap();
    for _ in 0..2 {
        lab.fails(1, "mounted volume is marked read-only", &["cp", &file, "box:/bound/x"]);
        lab.fails(1, "container rootfs is marked read-only", &["cp", &file, "fixed:/srv/x"]);
        lab.ok(&["cp", "fixed:/srv/readme", &format!("{file}.out")]);
        if lab.inspect("fixed", "/State/Running") == true {
            lab.ok(&["cp", &file, "fixed:/mem/x"]);
            lab.ends(1, &["cp", &file, "fixed:/proc/sys/kernel/hostname"]);
            lab.ok(&["kill", "box", "fixed"]);
            lab.ok(&["wait", "box", "fixed"]);
        }
    }
    assert!(std::fs::read_dir(&bound).unwrap().next().is_none());
    std::fs::remove_dir_all(bound).unwrap();
}

fn every_state() {
    let lab = Lab::new();
    let file = lab.root().join("f").display().to_string();
    std::fs::write(&file, "x").unwrap();
    lab.ok(&["create", "--name", "box", "--network", "none", IMAGE, "sh", "-c", "sleep 1000"]);
    let copies = |state: &str| {
        assert_eq!(lab.inspect("box", "/State/Status"), state);
        lab.ok(&["cp", &file, &format!("box:/srv/{state}")]);
        let back = lab.root().join("back").display().to_string();
        lab.ok(&["cp", &format!("box:/srv/{state}"), &back]);
        assert_eq!(std::fs::read_to_string(&back).unwrap(), "x", "{state}");
        assert!(lab.ok(&["diff", "box"]).contains(&format!("A /srv/{state}")));
        assert_eq!(lab.inspect("box", "/State/Status"), state);
    };
    copies("created");
    lab.ok(&["start", "box"]);
    copies("running");
    lab.ok(&["pause", "box"]);
    copies("paused");
    lab.ok(&["commit", "box", "paused:1"]);
    assert_eq!(lab.inspect("box", "/State/Status"), "paused", "a commit thaws only what it froze");
    lab.ok(&["unpause", "box"]);
    lab.ok(&["kill", "box"]);
    lab.ok(&["wait", "box"]);
    copies("exited");
    lab.ok(&["start", "box"]);
    assert_eq!(lab.ok(&["exec", "box", "cat", "/srv/exited", "/srv/created"]), "xx");
}

/// Makes files of every kind below a folder.
fn make_kinds(at: &Path) {
    use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
    std::fs::write(at.join("plain"), "data").unwrap();
    std::os::unix::fs::chown(at.join("plain"), Some(1234), Some(5678)).unwrap();
    std::fs::hard_link(at.join("plain"), at.join("same")).unwrap();
    symlink("plain", at.join("link")).unwrap();
    symlink("/absolute/../x", at.join("absolute")).unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"odd \xff\x1b[31m\n");
    std::fs::write(at.join(odd), "odd").unwrap();
    let deep = (0..12).fold(at.to_owned(), |path, _| path.join("n".repeat(200)));
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(deep.join("m".repeat(255)), "deep").unwrap();
    let sparse = std::fs::File::create(at.join("sparse")).unwrap();
    std::os::unix::fs::FileExt::write_at(&sparse, b"end", 16 << 20).unwrap();
    std::os::unix::fs::FileExt::write_at(&sparse, b"middle", 8 << 20).unwrap();
    std::fs::File::create(at.join("all-hole")).unwrap().set_len(1 << 26).unwrap();
    mknodat(CWD, at.join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
    let device = FileType::CharacterDevice;
    mknodat(CWD, at.join("null"), device, Mode::from_raw_mode(0o666), makedev(1, 3)).unwrap();
    drop(std::os::unix::net::UnixListener::bind(at.join("socket")).unwrap());
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(at.join("plain"), "user.note", b"v\0\n=", flags).unwrap();
    std::fs::create_dir(at.join("sticky")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
    std::fs::set_permissions(at.join("sticky"), mode).unwrap();
}

fn check_kinds(at: &Path, owners: bool) {
    let found = |name: &str| at.join(name).symlink_metadata().unwrap();
    assert_eq!(found("plain").ino(), found("same").ino(), "hard links stay");
    if owners {
        assert_eq!((found("plain").uid(), found("plain").gid()), (1234, 5678));
    }
    assert_eq!(std::fs::read_link(at.join("absolute")).unwrap(), Path::new("/absolute/../x"));
    let odd = std::ffi::OsStr::from_bytes(b"odd \xff\x1b[31m\n");
    assert_eq!(std::fs::read_to_string(at.join(odd)).unwrap(), "odd");
    let deep = (0..12).fold(at.to_owned(), |path, _| path.join("n".repeat(200)));
    assert_eq!(std::fs::read_to_string(deep.join("m".repeat(255))).unwrap(), "deep");
    let sparse = found("sparse");
    assert_eq!(sparse.size(), (16 << 20) + 3);
    assert!(sparse.blocks() * 512 < 4 << 20, "{} blocks", sparse.blocks());
    assert!(std::fs::read(at.join("sparse")).unwrap().ends_with(b"\0end"));
    assert_eq!((found("all-hole").size(), found("all-hole").blocks()), (1 << 26, 0));
    assert!(found("fifo").file_type().is_fifo());
    assert_eq!(found("fifo").mode() & 0o7777, 0o640);
    let null = found("null");
    assert!(null.file_type().is_char_device() && null.rdev() == rustix::fs::makedev(1, 3));
    assert!(!at.join("socket").exists(), "no archive holds a socket");
    let mut value = [0; 16];
    let length = rustix::fs::getxattr(at.join("plain"), "user.note", &mut value[..]).unwrap();
    assert_eq!(&value[..length], b"v\0\n=");
    assert_eq!(found("sticky").mode() & 0o7777, 0o1777);
}

fn every_kind_of_file() {
    let lab = Lab::new();
    let folder = folder();
    let here = folder.join("here");
    std::fs::create_dir(&here).unwrap();
    make_kinds(&here);
    lab.start(&["--name", "box"], "sleep 1000");
    for flags in [&["cp"][..], &["cp", "-a"]] {
        let target = format!("box:/srv/there{}", flags.len());
        lab.ok(&[flags, &[here.to_str().unwrap(), &target]].concat());
        let back = folder.join(format!("back{}", flags.len()));
        lab.ok(&[flags, &[&target, back.to_str().unwrap()]].concat());
        check_kinds(&back, false);
        assert_eq!(back.join("plain").metadata().unwrap().uid(), 0, "they are the caller's");
    }
    // In the container the owners are those of the archive, as with docker.
    assert_eq!(
        lab.ok(&["exec", "box", "stat", "-c", "%u:%g %h", "/srv/there1/plain"]),
        "1234:5678 2"
    );
    // And in an image of it.
    lab.ok(&["commit", "box", "kinds:1"]);
    lab.ok(&["create", "--name", "copy", "--network", "none", "kinds:1", "true"]);
    let layer = lab.inspect("copy", "/GraphDriver/Data/LowerDir");
    let layer = layer.as_str().unwrap().split(':').next().unwrap();
    check_kinds(&Path::new(layer).join("srv/there1"), true);
    std::fs::remove_dir_all(folder).unwrap();
}

fn archives_through_pipes() {
    let lab = Lab::new();
    lab.start(&["--name", "box"], "sleep 1000");
    let mut tar = tar::Builder::new(Vec::new());
    entry(&mut tar, "a/b", 0o640, tar::EntryType::Regular, b"content");
    let tar = tar.into_inner().unwrap();
    let out = lab.run_with(&["cp", "-", "box:/srv"], &tar);
    assert_eq!(out.code, 0, "{out:?}");
    assert_eq!(lab.ok(&["exec", "box", "cat", "/srv/a/b"]), "content");
    let out = lab.command(&["cp", "box:/srv/a", "-"]).output().unwrap();
    assert_eq!(names(&out.stdout), ["a/", "a/b"]);
    // A reader that leaves early ends it.
    let mut child = lab
        .command(&["cp", "box:/bin", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdout.take().unwrap().read_exact(&mut [0; 10]).unwrap();
    assert!(!wait_for(&mut child, *PATIENCE).unwrap().success());
    // One that is cut off says so.
    let out = lab.run_with(&["cp", "-", "box:/srv"], &tar[..515]);
    assert_eq!(out.code, 1, "{out:?}");
}

fn virtual_files() {
    let lab = Lab::new();
    lab.start(&["--name", "box"], "sleep 1000");
    let content = |path: &str| {
        let tar = lab.command(&["cp", path, "-"]).output().unwrap().stdout;
        let mut archive = tar::Archive::new(tar.as_slice());
        let mut text = String::new();
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        entry.read_to_string(&mut text).unwrap();
        text
    };
    eventually("the shell is the program now", || content("box:/proc/1/comm") == "sleep\n");
    assert!(
        content("box:/proc/1/status").contains("Pid:\t1\n")
            || !content("box:/proc/1/status").is_empty()
    );
    assert!(content("box:/proc/meminfo").contains("MemTotal"));
    assert!(content("box:/sys/kernel/mm/transparent_hugepage/enabled").len() < 100);
    let tar = lab.command(&["cp", "box:/proc/1/exe", "-"]).output().unwrap().stdout;
    let mut archive = tar::Archive::new(tar.as_slice());
    let entry = archive.entries().unwrap().next().unwrap().unwrap();
    assert!(entry.header().entry_type().is_symlink(), "magic links are not followed");
    // Devices are nodes, not what is behind them.
    let tar = lab.command(&["cp", "box:/dev/zero", "-"]).output().unwrap().stdout;
    assert_eq!(tar.len(), 1536);
}

fn nothing_is_mounted_on_the_host() {
    let lab = Lab::new();
    let bound = folder();
    let bind = format!("{}:/bound", bound.display());
    let host = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    lab.ok(&["create", "--name", "box", "--network", "none", "-v", &bind, IMAGE, "sleep", "1000"]);
    let mut child = lab
        .command(&["cp", "box:/bin", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 512]).unwrap();
    // It is in the middle of it now, and waits for its reader.
    assert!(!host().contains(lab.root().to_str().unwrap()));
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    wait_for(&mut child, *PATIENCE);
    assert!(!host().contains(lab.root().to_str().unwrap()));
    lab.ok(&["start", "box"]);
    lab.ok(&["rm", "-f", "box"]);
    std::fs::remove_dir_all(bound).unwrap();
}

fn exports() {
    let lab = Lab::new();
    lab.ok(&["run", "--name", "box", "--network", "none", IMAGE, "sh", "-c", "echo x > /srv/new"]);
    let file = lab.root().join("out.tar");
    assert_eq!(lab.ok(&["export", "-o", file.to_str().unwrap(), "box"]), "");
    let piped = lab.command(&["export", "box"]).output().unwrap().stdout;
    assert_eq!(std::fs::read(&file).unwrap(), piped, "the same bytes each time");
    lab.ok(&["import", file.to_str().unwrap(), "again:1"]);
    let shown = lab.ok(&["run", "--rm", "--network", "none", "again:1", "cat", "/srv/new"]);
    assert_eq!(shown, "x");
    let missing = "invalid output path: directory \"/nonexistent\" does not exist";
    lab.fails(1, missing, &["export", "-o", "/nonexistent/x", "box"]);
    let before: Vec<_> =
        std::fs::read_dir(lab.root()).unwrap().flatten().map(|e| e.path()).collect();
    lab.ends(1, &["export", "-o", lab.root().join("y").to_str().unwrap(), "none"]);
    let after: Vec<_> =
        std::fs::read_dir(lab.root()).unwrap().flatten().map(|e| e.path()).collect();
    assert_eq!(before, after);
}

fn diff_ids(lab: &Lab, image: &str) -> Vec<String> {
    let layers = lab.inspect(image, "/RootFS/Layers");
    layers.as_array().unwrap().iter().map(|l| l.as_str().unwrap().to_owned()).collect()
}

fn commits() {
    let lab = Lab::new();
    let line = "echo x > /srv/new; rm /srv/readme; rm -rf /home; mkdir -p /home/app; ln /srv/new /srv/same";
    lab.ok(&["run", "--name", "box", "--network", "none", IMAGE, "sh", "-c", line]);
    let first = lab.ok(&["commit", "box", "made:1"]);
    lab.ok(&["commit", "-m", "other", "box", "made:2"]);
    assert_eq!(diff_ids(&lab, "made:1"), diff_ids(&lab, "made:2"), "the same layer each time");
    assert_eq!(lab.ok(&["commit", "box"]).len(), first.len());
    let listed = lab.ok(&["run", "--rm", "--network", "none", "made:1", "ls", "-1", "/srv"]);
    assert_eq!(listed, "new\nsame");
    // A container of the new image has changed nothing, and is one to commit again.
    lab.ok(&["create", "--name", "next", "--network", "none", "made:1", "true"]);
    assert_eq!(lab.ok(&["diff", "next"]), "");
    lab.ok(&["commit", "next", "made:3"]);
    assert_eq!(diff_ids(&lab, "made:3"), diff_ids(&lab, "made:1"));
    let history = lab.ok(&["history", "made:2"]);
    assert!(history.contains("other") && history.contains("sh -c"), "{history}");
    // What is on is of no matter to the first image.
    lab.ok(&["rm", "box", "next"]);
    lab.ok(&["rmi", "made:1", "made:2"]);
    assert_eq!(lab.ok(&["run", "--rm", "--network", "none", "made:3", "cat", "/srv/same"]), "x");
    // A name that would mean something else in a layer.
    lab.ok(&["run", "--name", "odd", "--network", "none", IMAGE, "touch", "/srv/.wh.readme"]);
    lab.fails(1, ".wh.readme\" can't be in an image", &["commit", "odd"]);
    assert!(empty(&lab.root().join("tmp")));
}

/// Returns whether nothing half made is left.
fn empty(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries.filter(|e| e.file_name() != ".lock").count() == 0
}

fn a_killed_commit_lets_go() {
    let lab = Lab::new();
    let line = "dd if=/dev/urandom of=/srv/big bs=1M count=64 2>/dev/null; echo ready; \
                i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done";
    lab.start(&["--name", "box"], line);
    lab.wait_for_log("box", "ready");
    for step in 0..6_u64 {
        let mut child = lab
            .command(&["commit", "box", "cut:1"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        if step % 2 == 0 {
            eventually("it stands still", || {
                lab.inspect("box", "/State/Status") == "paused"
                    || lab.run(&["inspect", "cut:1"]).code == 0
            });
        }
        let _ = kill_process(Pid::from_child(&child), Signal::KILL);
        wait_for(&mut child, *PATIENCE);
        eventually("it goes on", || lab.inspect("box", "/State/Status") == "running");
        let lines = lab.ok(&["logs", "box"]).lines().count();
        eventually("it writes", || lab.ok(&["logs", "box"]).lines().count() > lines);
    }
    let _ = lab.run(&["rmi", "cut:1"]);
    lab.ok(&["commit", "box", "whole:1"]);
    assert!(empty(&lab.root().join("tmp")), "what was cut off is swept");
    lab.ok(&["commit", "--pause=false", "box", "whole:2"]);
}

fn commits_of_special_files() {
    let lab = Lab::new();
    let line = "cd /srv; truncate -s 256M sparse; echo end >> sparse; echo c > capable; echo ready; sleep 1000";
    lab.start(&["--name", "box"], line);
    lab.wait_for_log("box", "ready");
    let upper = lab.inspect("box", "/GraphDriver/Data/UpperDir");
    let upper = Path::new(upper.as_str().unwrap());
    // cap_net_raw=ep, revision 2.
    let capability = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let (key, flags) = ("security.capability", rustix::fs::XattrFlags::empty());
    rustix::fs::setxattr(upper.join("srv/capable"), key, &capability, flags).unwrap();
    lab.ok(&["commit", "box", "special:1"]);
    lab.ok(&["create", "--name", "copy", "--network", "none", "special:1", "true"]);
    let layers = lab.inspect("copy", "/GraphDriver/Data/LowerDir");
    let layer = Path::new(layers.as_str().unwrap().split(':').next().unwrap());
    let mut value = [0; 32];
    let length = rustix::fs::getxattr(layer.join("srv/capable"), key, &mut value[..]).unwrap();
    assert_eq!(&value[..length], capability);
    let sparse = layer.join("srv/sparse").metadata().unwrap();
    assert_eq!(sparse.size(), (256 << 20) + 4);
    assert!(sparse.blocks() * 512 < 8 << 20, "{}", sparse.blocks());
    // Only what changed is in it.
    assert!(!layer.join("bin").exists() && !layer.join("proc").exists());
}

fn full_disk() {
    let lab = Lab::empty();
    let root = lab.root().join("small");
    let outside = folder();
    let archive = outside.join("rootfs.tar");
    std::fs::copy(crate::harness::rootfs_archive(), &archive).unwrap();
    // Zeros that take no space until they are unpacked.
    let mut zeros = tar::Header::new_gnu();
    zeros.set_size(200 << 20);
    zeros.set_path("zeros").unwrap();
    zeros.set_cksum();
    let mut packer = Command::new("gzip")
        .stdin(Stdio::piped())
        .stdout(std::fs::File::create(outside.join("bomb.tar.gz")).unwrap())
        .spawn()
        .unwrap();
    let mut stdin = packer.stdin.take().unwrap();
    stdin.write_all(zeros.as_bytes()).unwrap();
    for _ in 0..201 {
        stdin.write_all(&vec![0; 1 << 20]).unwrap();
    }
    drop(stdin);
    assert!(packer.wait().unwrap().success());
    let script = format!(
        "set -e; mkdir -p {root}; mount -t tmpfs -o size=48m none {root}; \
         w() {{ {binary} --root {root} \"$@\"; }}; used() {{ du -s {root} | cut -f1; }}; \
         w import {archive} box >/dev/null; \
         if w import {outside}/bomb.tar.gz bomb 2>{outside}/import; then exit 11; fi; \
         if w load -i {outside}/bomb.tar.gz 2>{outside}/load; then exit 12; fi; \
         w run --name full --network none box sh -c \
           'dd if=/dev/urandom of=/f bs=1M count=26 2>/dev/null' >/dev/null; before=$(used); \
         if w commit full x 2>{outside}/commit; then exit 13; fi; \
         if zcat {outside}/bomb.tar.gz | w cp - full:/srv 2>{outside}/cp; then exit 14; fi; \
         w rm -f full >/dev/null; ls {root}/tmp; w images; w system reset -f",
        root = root.display(),
        outside = outside.display(),
        binary = crate::harness::binary().display(),
        archive = archive.display(),
    );
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &script]);
    let out = run(command, b"");
    assert_eq!(out.code, 0, "{out:?}");
    for what in ["import", "load", "commit", "cp"] {
        let said = std::fs::read_to_string(outside.join(what)).unwrap();
        assert!(said.contains("No space left on device"), "{what}: {said}");
    }
    let lines: Vec<&str> = out.stdout.lines().filter(|l| !l.is_empty()).collect();
    assert!(lines[0].starts_with("REPOSITORY"), "nothing is left in tmp: {out:?}");
    assert!(lines[1].starts_with("box") && lines.len() <= 4, "{out:?}");
    std::fs::remove_dir_all(outside).unwrap();
}

/// A library of the container's can't be loaded (CVE-2019-14271) by a program that loads none.
fn the_binary_loads_nothing() {
    let binary = std::fs::read(crate::harness::binary()).unwrap();
    let number = |at: usize, length: usize| {
        binary[at..at + length].iter().rev().fold(0_usize, |n, byte| n << 8 | usize::from(*byte))
    };
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    const INTERPRETER: usize = 3;
    for n in 0..count {
        assert_ne!(number(table + n * size, 4), INTERPRETER, "no dynamic loader");
    }
}
