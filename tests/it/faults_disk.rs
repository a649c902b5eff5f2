//! A disk that is full at any step, a root that can't be written, and a database that can't be used:
//! one clear sentence, a state that is true, nothing left, and a way on.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

use crate::audit::{Seen, agrees, database, rows};
use crate::harness::{IMAGE, Lab, Out, Test, folder, rootfs_archive, rootfs_tar, run};
use crate::tests;
use crate::verbs_image::image_archive;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        a_disk_that_is_full_when_a_container_is_made,
        a_disk_that_is_full_when_an_image_comes_in,
        a_container_that_fills_the_disk,
        a_root_that_cannot_be_written,
        a_database_of_a_newer_version,
        a_truncated_log_of_writes,
        folders_that_others_could_reach,
    ]
}

/// A small filesystem in memory that goes when dropped.
struct Disk {
    folder: PathBuf,
}

impl Disk {
    fn new(kibibytes: u32) -> Self {
        let folder = folder();
        let options = std::ffi::CString::new(format!("size={kibibytes}k,mode=700")).unwrap();
        mount("tmpfs", &folder, "tmpfs", MountFlags::empty(), Some(options.as_c_str())).unwrap();
        Self { folder }
    }

    fn resize(&self, kibibytes: u32) {
        self.limit(kibibytes, 1 << 20);
    }

    /// Changes how much it holds: kibibytes, and files.
    fn limit(&self, kibibytes: u32, files: u32) {
        let options = format!("size={kibibytes}k,nr_inodes={files}");
        let options = std::ffi::CString::new(options).unwrap();
        mount_remount(&self.folder, MountFlags::empty(), options.as_c_str()).unwrap();
    }

    fn set_read_only(&self, read_only: bool) {
        let flags = if read_only { MountFlags::RDONLY } else { MountFlags::empty() };
        mount_remount(&self.folder, flags, "").unwrap();
    }

    /// Returns the kibibytes that are taken.
    fn used(&self) -> u32 {
        let stat = rustix::fs::statvfs(&self.folder).unwrap();
        u32::try_from((stat.f_blocks - stat.f_bfree) * stat.f_frsize / 1024).unwrap()
    }

    /// Returns how many files there are.
    fn files(&self) -> u32 {
        let stat = rustix::fs::statvfs(&self.folder).unwrap();
        u32::try_from(stat.f_files - stat.f_ffree).unwrap()
    }

    /// An engine on it.
    fn lab(&self) -> Lab {
        Lab::at(self.folder.join("root"))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = unmount(&self.folder, UnmountFlags::DETACH);
        let _ = std::fs::remove_dir(&self.folder);
    }
}

/// A failure on a full disk is told as that, in one line.
#[track_caller]
fn is_full(out: &Out) {
    let text = out.stderr.to_lowercase();
    let told = ["no space left", "disk is full", "disk i/o error", "out of space"];
    assert!(told.iter().any(|words| text.contains(words)), "{} {}", out.code, out.stderr);
    assert_eq!(out.stderr.trim_end().lines().count(), 1, "{}", out.stderr);
}

fn a_disk_that_is_full_when_a_container_is_made() {
    let disk = Disk::new(16 * 1024);
    let lab = disk.lab();
    let mut seen = Seen::default();
    lab.ok(&["import", rootfs_archive().to_str().unwrap(), IMAGE]);
    lab.ok(&["run", "--rm", "--network", "none", IMAGE, "true"]);
    let (mut refused, mut ran) = (0, 0);
    // Each page more, and each file more, lets it come a step further.
    let pages = (0..8).map(|n| (n * 4, 1000));
    let files = (0..24).map(|n| (8192, n));
    for (room, more) in pages.chain(files) {
        for words in [
            &["create", "--name", "made", IMAGE, "true"][..],
            &["run", "--name", "made", "--network", "none", IMAGE, "true"],
            &["run", "-d", "--name", "made", IMAGE, "sleep", "1000"],
        ] {
            disk.limit(disk.used() + room, disk.files() + more);
            let out = lab.run(words);
            if out.code == 0 {
                ran += 1;
            } else {
                is_full(&out);
                refused += 1;
            }
            // Asking is possible on a full disk.
            lab.ok(&["ps", "-a"]);
            let when = format!("{words:?} with {room} KiB and {more} files");
            for row in rows(&lab) {
                assert!(out.code == 0 || row.status != "running", "{when}: {row:?}");
            }
            disk.resize(16 * 1024);
            lab.ok(&["ps", "-a"]);
            agrees(&lab, &mut seen, &when);
            for row in rows(&lab) {
                lab.ok(&["rm", "-f", &row.name]);
            }
            agrees(&lab, &mut seen, &format!("removed after {when}"));
        }
    }
    assert!(refused > 10 && ran > 10, "{refused} refused, {ran} ran");
}

fn a_disk_that_is_full_when_an_image_comes_in() {
    let disk = Disk::new(64 * 1024);
    let lab = disk.lab();
    let mut seen = Seen::default();
    lab.ok(&["ps"]);
    let mut layer = tar::Builder::new(Vec::new());
    let data = vec![b'x'; 700 * 1024];
    crate::harness::entry(&mut layer, "file", 0o644, tar::EntryType::Regular, &data);
    let layer = layer.into_inner().unwrap();
    let archive = image_archive("loaded", &[rootfs_tar(), layer.clone()]);
    let at_rest = disk.used();
    let (mut refused, mut came) = (0, 0);
    for room in (0..9000).step_by(500) {
        for (verb, bytes) in [(&["load"][..], &archive), (&["import", "-", "imported"], &layer)] {
            disk.resize(disk.used().max(at_rest) + room);
            let out = lab.run_with(verb, bytes);
            disk.resize(64 * 1024);
            if out.code == 0 {
                came += 1;
            } else {
                is_full(&out);
                refused += 1;
                assert_eq!(lab.ok(&["images", "-q"]), "", "{verb:?} with {room} KiB");
            }
            for image in lab.ok(&["images", "-q"]).lines() {
                lab.ok(&["rmi", "-f", image]);
            }
            agrees(&lab, &mut seen, &format!("{verb:?} with {room} KiB"));
        }
    }
    assert!(refused > 3 && came > 3, "{refused} refused, {came} came");
}

fn a_container_that_fills_the_disk() {
    let disk = Disk::new(24 * 1024);
    let lab = disk.lab();
    lab.ok(&["import", rootfs_archive().to_str().unwrap(), IMAGE]);
    // By what it writes to its files, while its log grows, too.
    let line =
        "dd if=/dev/zero of=/fill bs=64k 2>/dev/null; while :; do echo a line; sleep 0.01; done";
    lab.ok(&["run", "-d", "--name", "greedy", "--network", "none", IMAGE, "sh", "-c", line]);
    crate::harness::eventually("the disk is full", || {
        rustix::fs::statvfs(lab.root()).unwrap().f_bavail == 0
    });
    // Asking, entering and ending are possible, and the end is told as it was.
    lab.ok(&["ps"]);
    lab.ok(&["logs", "greedy"]);
    lab.ok(&["exec", "greedy", "true"]);
    lab.run(&["kill", "-s", "TERM", "greedy"]);
    lab.run(&["stop", "-t", "0", "greedy"]);
    crate::harness::eventually("it has ended", || {
        rows(&lab).iter().all(|row| row.status == "exited") || {
            lab.run(&["ps", "-a"]);
            false
        }
    });
    assert_eq!(lab.inspect("greedy", "/State/ExitCode"), 137);
    assert_eq!(lab.inspect("greedy", "/State/Error"), "");
    // And so is making room.
    lab.ok(&["rm", "-f", "greedy"]);
    agrees(&lab, &mut Seen::default(), "room was made");
    lab.shell(&[], "true");
}

fn a_root_that_cannot_be_written() {
    let disk = Disk::new(24 * 1024);
    let lab = disk.lab();
    lab.ok(&["import", rootfs_archive().to_str().unwrap(), IMAGE]);
    lab.ok(&["create", "--name", "web", IMAGE, "true"]);
    disk.set_read_only(true);
    for words in [
        &["run", "--rm", IMAGE, "true"][..],
        &["create", IMAGE, "true"],
        &["start", "web"],
        &["rm", "web"],
        &["tag", IMAGE, "other"],
        &["import", rootfs_archive().to_str().unwrap(), "more"],
    ] {
        let out = lab.run(words);
        assert_ne!(out.code, 0, "{words:?}");
        let text = out.stderr.to_lowercase();
        let told = text.contains("read-only") || text.contains("readonly");
        assert!(told && text.contains(&lab.root().display().to_string()), "{words:?}: {text}");
        assert_eq!(text.trim_end().lines().count(), 1, "{text}");
    }
    disk.set_read_only(false);
    assert_eq!(lab.ok(&["start", "-a", "web"]), "");
    agrees(&lab, &mut Seen::default(), "written again");
}

fn a_database_of_a_newer_version() {
    let lab = Lab::new();
    lab.ok(&["create", "--name", "web", IMAGE, "true"]);
    let set = |version: i64| database(&lab).pragma_update(None, "user_version", version).unwrap();
    let version: i64 =
        database(&lab).query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    set(version + 1);
    let says = "use the newer wharf";
    for words in [&["ps"][..], &["rm", "web"], &["system", "check"], &["system", "reset", "-f"]] {
        lab.fails(1, says, words);
    }
    lab.fails(125, says, &["run", IMAGE, "true"]);
    set(version);
    lab.ok(&["start", "-a", "web"]);
}

/// A crash of the host may leave the write-ahead log cut off anywhere: what is before the cut counts.
fn a_truncated_log_of_writes() {
    let lab = Lab::new();
    lab.ok(&["ps"]);
    database(&lab).query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let network = ["--network", "none"];
    for n in 0..6 {
        let name = format!("c{n}");
        lab.ok(&[&["run", "--name", &name], &network[..], &[IMAGE, "true"]].concat());
    }
    agrees(&lab, &mut Seen::default(), "before the cut");
    // Few enough that none of it is in the database's own file yet.
    let log = lab.root().join("state.db-wal");
    let file = |suffix: &str| lab.root().join(format!("state.db{suffix}"));
    let whole: Vec<(PathBuf, Vec<u8>)> = ["", "-wal"]
        .iter()
        .map(|suffix| (file(suffix), std::fs::read(file(suffix)).unwrap()))
        .collect();
    let length = std::fs::metadata(&log).unwrap().len();
    for part in 0..8 {
        for (path, bytes) in &whole {
            std::fs::write(path, bytes).unwrap();
        }
        // As after a boot: nobody has it open, and the index of the log is made anew.
        let _ = std::fs::remove_file(file("-shm"));
        let cut = std::fs::File::options().write(true).open(&log).unwrap();
        cut.set_len(length * part / 8 + 100).unwrap();
        drop(cut);
        // Rows may have been lost, and what they had is found; nothing is refused.
        lab.ok(&["ps", "-a"]);
        assert!(rows(&lab).len() <= 6);
        lab.run(&["system", "check", "--repair"]);
        lab.ends(0, &["system", "check"]);
        lab.ok(&[&["run", "--name", "last"], &network[..], &[IMAGE, "true"]].concat());
        // Its supervisor must not come upon the next cut.
        agrees(&lab, &mut Seen::default(), "after a cut");
        lab.ok(&["rm", "last"]);
    }
}

fn folders_that_others_could_reach() {
    use std::os::unix::fs::PermissionsExt;
    let lab = Lab::new();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    for name in ["containers", "layers", "tmp", "run"] {
        assert_eq!(mode(&lab.root().join(name)), 0o700, "{name}");
    }
    // A user of the host gets nowhere.
    let id = lab.ok(&["create", IMAGE, "true"]);
    let path = lab.root().join("containers").join(id).join("upper");
    let mut command = Command::new("busybox");
    command.args(["su", "-s", "/bin/sh", "nobody", "-c", &format!("ls {}", path.display())]);
    assert_ne!(run(command, b"").code, 0);
}
