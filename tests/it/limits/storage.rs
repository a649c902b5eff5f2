//! `--storage-opt size=`, on a filesystem that keeps quotas of projects, where the kernel has one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use crate::harness::{IMAGE, Lab, Test, folder, rootfs_archive, run};
use crate::tests;

pub(super) fn tests() -> Vec<Test> {
    let lacks = LACKS.clone();
    let mut tests: Vec<Test> =
        tests![a_container_is_held_to_its_size, sizes_go_with_their_containers]
            .into_iter()
            .map(|test| test.needing(lacks.clone()))
            .collect();
    tests.extend(tests![a_size_is_refused_elsewhere]);
    tests
}

/// A filesystem of 64 MiB that keeps quotas of projects; it goes when dropped.
struct Disk {
    image: PathBuf,
    folder: PathBuf,
    mounted: bool,
}

impl Disk {
    fn new() -> Result<Self, String> {
        let folder = folder();
        let mut disk = Self { image: folder.with_extension("ext4"), folder, mounted: false };
        let said = |words: &[&str]| {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]);
            let out = run(command, b"");
            if out.code == 0 { Ok(()) } else { Err(format!("{}: {}", words[0], out.stderr.trim())) }
        };
        let (image, folder) = (disk.image.to_str().unwrap(), disk.folder.to_str().unwrap());
        // A machine without the program to make one gets it made.
        match std::env::var("WHARF_TEST_QUOTA_DISK") {
            Ok(packed) => said(&["sh", "-c", &format!("gunzip -c {packed} >{image}")])?,
            Err(_) => {
                let which = Command::new("mkfs.ext4").arg("-V").output();
                which.map_err(|_| "it has no mkfs.ext4".to_owned())?;
                std::fs::File::create(image).unwrap().set_len(64 << 20).unwrap();
                let features = ["-O", "quota,project", "-E", "quotatype=prjquota"];
                said(&[&["mkfs.ext4", "-q"], &features[..], &[image]].concat())?;
            }
        }
        said(&["mount", "-t", "ext4", "-o", "loop,prjquota", image, folder]).map_err(|_| {
            "its kernel has no quotas of projects on ext4 (CONFIG_QFMT_V2)".to_owned()
        })?;
        disk.mounted = true;
        Ok(disk)
    }

    /// An engine on it.
    fn lab(&self) -> Lab {
        let lab = Lab::below(&self.folder);
        lab.ok(&["import", rootfs_archive().to_str().unwrap(), IMAGE]);
        lab
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount").arg(&self.folder).output();
        }
        let _ = std::fs::remove_dir(&self.folder);
        let _ = std::fs::remove_file(&self.image);
    }
}

/// What this machine lacks for a disk of the kind.
static LACKS: LazyLock<Option<String>> =
    LazyLock::new(|| Disk::new().err().map(|why| format!("no project quotas here: {why}")));

/// Returns the bytes of a file in a container's own files.
fn written(lab: &Lab, container: &str, file: &str) -> u64 {
    let id = lab.inspect(container, "/Id").as_str().unwrap().to_owned();
    let path: PathBuf =
        [lab.root(), Path::new("containers"), Path::new(&id), Path::new("upper")].iter().collect();
    std::fs::metadata(path.join(file)).unwrap().len()
}

fn a_container_is_held_to_its_size() {
    let disk = Disk::new().unwrap();
    {
        let lab = disk.lab();
        lab.start(&["--name", "neighbour"], "sleep 1000");
        let fill = "dd if=/dev/zero of=/fill bs=64k count=1600";
        // What neither is root's by right, nor runs as root, nor at once: all are held.
        for (name, flags) in [
            ("small", &["--storage-opt", "size=4m"][..]),
            ("privileged", &["--storage-opt", "size=4m", "--privileged"]),
        ] {
            let words = [&["run", "--name", name, "--network", "none"], flags, &[IMAGE]].concat();
            let out = lab.run(&[&words[..], &["sh", "-c", fill]].concat());
            assert_ne!(out.code, 0, "{out:?}");
            assert!(out.stderr.to_lowercase().contains("quota exceeded"), "{out:?}");
            let size = written(&lab, name, "fill");
            assert!((3 << 20..=4 << 20).contains(&size), "{name}: {size} bytes");
        }
        assert_eq!(lab.inspect("small", "/HostConfig/StorageOpt/size"), "4m");
        // The neighbour, with no limit, and others with theirs, are unharmed.
        lab.ok(&["exec", "neighbour", "sh", "-c", "head -c 8m /dev/zero >/mine"]);
        assert_eq!(
            lab.shell(&["--storage-opt", "size=2m"], "head -c 1m /dev/zero >/a; echo ok"),
            "ok"
        );
        // Its own view of the disk is its limit; and it can start again, and make room.
        lab.start(
            &["--name", "sized", "--storage-opt", "size=10M"],
            "df -k / | tail -n 1 | awk '{ print $2 }'; head -c 100m /dev/zero >/fill; rm -f /fill; \
             head -c 5m /dev/zero >/fits && echo fits",
        );
        assert_eq!(lab.ok(&["wait", "sized"]), "0");
        assert_eq!(lab.run(&["logs", "sized"]).stdout, "10240\nfits\n");
        lab.ok(&["start", "-a", "sized"]);
        assert!(written(&lab, "sized", "fits") <= 5 << 20);
    }
}

fn sizes_go_with_their_containers() {
    let disk = Disk::new().unwrap();
    {
        let lab = disk.lab();
        // More containers, one after the other, than the disk could hold at once.
        for _ in 0..12 {
            let out = lab
                .shell(&["--storage-opt", "size=9m"], "head -c 8m /dev/zero >/a && echo written");
            assert_eq!(out, "written");
        }
        lab.fails(
            1,
            "invalid size: 'much'",
            &["create", "--storage-opt", "size=much", IMAGE, "true"],
        );
        lab.fails(1, "unknown option x", &["create", "--storage-opt", "x=1", IMAGE, "true"]);
        assert_eq!(lab.ok(&["ps", "-aq"]), "");
    }
}

fn a_size_is_refused_elsewhere() {
    let lab = Lab::new();
    let words = "--storage-opt is supported only for overlay over xfs with 'pquota' mount option";
    for size in ["size=1g", "Size=10M"] {
        lab.fails(125, words, &["run", "--storage-opt", size, IMAGE, "true"]);
    }
    lab.fails(125, "invalid size: '1x'", &["run", "--storage-opt", "size=1x", IMAGE, "true"]);
    assert_eq!(lab.ok(&["ps", "-aq"]), "");
    assert_eq!(lab.shell(&["--storage-opt", "size=0"], "echo no limit"), "no limit");
}
