//! Rates and weights of block devices, on a loop device of the test's own.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use crate::harness::{IMAGE, Lab, Test, busybox, folder};
use crate::tests;

use super::{group, value};

pub(crate) fn tests() -> Vec<Test> {
    let lacks =
        (!std::path::Path::new("/dev/loop-control").exists()).then(|| "no loop devices".to_owned());
    let on_loop = tests![writes_are_held_back, a_device_has_its_own_weight];
    let mut tests: Vec<Test> =
        on_loop.into_iter().map(|test| test.needing(lacks.clone())).collect();
    tests.extend(tests![weights_are_written, what_has_no_rate_is_refused]);
    tests
}

/// A loop device over a file; both go with it.
struct Loop {
    device: String,
    folder: PathBuf,
}

impl Loop {
    fn new(bytes: u64) -> Self {
        let folder = folder();
        let file = folder.join("disk");
        std::fs::File::create(&file).unwrap().set_len(bytes).unwrap();
        // Another may take the same free one at the same time.
        for _ in 0..20 {
            let free = Command::new(busybox()).args(["losetup", "-f"]).output().unwrap();
            let device = String::from_utf8(free.stdout).unwrap().trim().to_owned();
            let mut setup = Command::new(busybox());
            setup.arg("losetup").arg(&device).arg(&file);
            if setup.output().unwrap().status.success() {
                return Self { device, folder };
            }
        }
        panic!("no loop device could be had");
    }
}

impl Loop {
    fn scheduler(&self) -> PathBuf {
        let name = self.device.trim_start_matches("/dev/");
        PathBuf::from(format!("/sys/block/{name}/queue/scheduler"))
    }

    /// Returns its number as control groups write it.
    fn number(&self) -> String {
        use std::os::unix::fs::MetadataExt;
        let found = std::fs::metadata(&self.device).unwrap().rdev();
        format!("{}:{}", rustix::fs::major(found), rustix::fs::minor(found))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = std::fs::write(self.scheduler(), "none");
        let _ = Command::new(busybox()).args(["losetup", "-d", &self.device]).output();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn writes_are_held_back() {
    let lab = Lab::new();
    let disk = Loop::new(8 << 20);
    let rate = format!("{}:1mb", disk.device);
    let operations = format!("{}:1000", disk.device);
    let flags = [
        "--device",
        &disk.device,
        "--device-write-bps",
        &rate,
        "--device-read-bps",
        &rate,
        "--device-read-iops",
        &operations,
        "--device-write-iops",
        &operations,
    ];
    let id = lab.start(&flags, "sleep 1000");
    let number = disk.number();
    let (_, version_2) = group(&lab, &id, "blkio");
    let held = |name: &str| value(&lab, &id, "blkio", [name, "io.max"]);
    match version_2 {
        true => assert_eq!(
            held(""),
            format!("{number} rbps=1048576 wbps=1048576 riops=1000 wiops=1000")
        ),
        false => {
            for kind in ["read", "write"] {
                let bytes = held(&format!("blkio.throttle.{kind}_bps_device"));
                assert_eq!(bytes, format!("{number} 1048576"));
                let operations = held(&format!("blkio.throttle.{kind}_iops_device"));
                assert_eq!(operations, format!("{number} 1000"));
            }
        }
    }
    // Past the page cache: 3 MiB at 1 MiB a second.
    let begin = Instant::now();
    let of = format!("of={}", disk.device);
    let write = ["dd", "if=/dev/zero", &of, "bs=256k", "count=12", "oflag=direct", "conv=notrunc"];
    lab.ok(&[&["exec", &id], &write[..]].concat());
    let took = begin.elapsed();
    assert!(took.as_millis() > 1900, "3 MiB at 1 MiB a second in {took:?}");
    let key = "/HostConfig/BlkioDeviceWriteBps/0";
    let shown = serde_json::json!({"Path": disk.device, "Rate": 1 << 20});
    assert_eq!(lab.inspect(&id, key), shown);
}

fn weights_are_written() {
    let lab = Lab::new();
    let create = ["create", "--name", "weighs", "--blkio-weight", "300", IMAGE];
    let out = lab.ends(0, &[&create[..], &["sleep", "1000"]].concat());
    if out.stderr.contains("does not support Block I/O weight or the cgroup is not mounted") {
        assert_eq!(lab.inspect("weighs", "/HostConfig/BlkioWeight"), 0);
        return;
    }
    lab.ok(&["start", "weighs"]);
    let (folder, version_2) = group(&lab, "weighs", "blkio");
    let names: &[&str] = match version_2 {
        true => &["io.bfq.weight", "io.weight"],
        false => &["blkio.weight", "blkio.bfq.weight"],
    };
    let name = names.iter().find(|name| folder.join(name).exists()).unwrap();
    let held = std::fs::read_to_string(folder.join(name)).unwrap();
    let held = held.lines().next().unwrap().trim_start_matches("default ");
    assert_eq!(held, if *name == "io.weight" { "2930" } else { "300" });
    lab.ok(&["update", "--blkio-weight", "500", "weighs"]);
    let held = std::fs::read_to_string(folder.join(name)).unwrap();
    let held = held.lines().next().unwrap().trim_start_matches("default ").to_owned();
    assert_eq!(held, if *name == "io.weight" { "4950" } else { "500" });
    assert_eq!(lab.inspect("weighs", "/HostConfig/BlkioWeight"), 500);
    let arguments = ["create", "--blkio-weight", "5", IMAGE, "true"];
    lab.fails(1, "Range of blkio weight is from 10 to 1000", &arguments);
}

fn a_device_has_its_own_weight() {
    let lab = Lab::new();
    let disk = Loop::new(1 << 20);
    let weight = format!("{}:300", disk.device);
    let flags = ["--network", "none", "--blkio-weight-device", &weight];
    let create = |name: &str| {
        let arguments = [&["create", "--name", name], &flags[..], &[IMAGE, "sleep", "1000"]];
        lab.ends(0, &arguments.concat()).stderr
    };
    let _ = std::fs::write(disk.scheduler(), "none");
    if create("without").contains("does not support Block I/O weight_device") {
        return;
    }
    let started = lab.run(&["start", "without"]);
    if started.code != 0 {
        let says = "its I/O scheduler has no weights";
        assert!(started.stderr.contains(says), "{}", started.stderr);
    }
    if std::fs::write(disk.scheduler(), "bfq").is_err() {
        return;
    }
    create("with");
    lab.ok(&["start", "with"]);
    let (folder, _) = group(&lab, "with", "blkio");
    let names = ["io.bfq.weight", "io.weight", "blkio.weight_device", "blkio.bfq.weight_device"];
    let held = names.iter().find_map(|name| std::fs::read_to_string(folder.join(name)).ok());
    let held = held.unwrap();
    assert!(held.lines().any(|line| line == format!("{} 300", disk.number())), "{held}");
    let shown = serde_json::json!({"Path": disk.device, "Weight": 300});
    assert_eq!(lab.inspect("with", "/HostConfig/BlkioWeightDevice/0"), shown);
}

fn what_has_no_rate_is_refused() {
    let lab = Lab::new();
    let run = |device: &str| {
        let rate = format!("{device}:1mb");
        let arguments = ["run", "--rm", "--device-read-bps", &rate, IMAGE, "true"];
        lab.fails(125, &format!("--device-read-bps {device}"), &arguments);
    };
    run("/dev/null");
    run("/dev/nonexistent");
    assert_eq!(lab.ok(&["ps", "-aq"]), "");
}
