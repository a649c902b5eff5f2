//! `wharf oci`: what the runtime specification demands, by real bundles and real callers.

mod clients;
mod console;
mod further;
mod hooks;
mod life;
mod namespaces;
mod ordinary;
mod peers;
mod specification;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::dockerd::remove_groups;
use crate::harness::{Out, Test, binary, folder, rootfs_archive, run};

pub(crate) fn tests() -> Vec<Test> {
    let mut tests = life::tests();
    tests.extend(hooks::tests());
    tests.extend(console::tests());
    tests.extend(namespaces::tests());
    tests.extend(specification::tests());
    tests.extend(further::tests());
    tests.extend(ordinary::tests());
    tests.extend(peers::tests());
    tests.extend(clients::tests());
    tests
}

/// A bundle of busybox, and a runtime's root beside it. Dropping it removes all of it, and looks for
/// what is left.
struct Bench {
    folder: PathBuf,
    /// The control group of all its containers.
    group: String,
}

impl Bench {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let folder = folder();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let group = format!("wharf-it-oci-{}-{number}", std::process::id());
        std::fs::create_dir_all(folder.join("bundle/rootfs")).unwrap();
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(folder.join("bundle/rootfs")).arg("-xf").arg(rootfs_archive());
        assert_eq!(run(tar, b"").code, 0);
        std::os::unix::fs::symlink(binary(), folder.join("wharf-oci")).unwrap();
        Self { folder, group }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn bundle(&self) -> PathBuf {
        self.path("bundle")
    }

    /// Returns the program by its name as a runtime.
    fn program(&self) -> PathBuf {
        self.path("wharf-oci")
    }

    /// Returns a configuration that runs a shell line.
    fn config(&self, line: &str) -> Value {
        let _ = std::fs::remove_file(self.bundle().join("config.json"));
        self.ok(&["spec", "--bundle", self.bundle().to_str().unwrap()]);
        let text = std::fs::read(self.bundle().join("config.json")).unwrap();
        let mut config: Value = serde_json::from_slice(&text).unwrap();
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(["sh", "-c", line]);
        config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 64, "hard": 128}]);
        config["root"]["readonly"] = json!(false);
        config["linux"]["cgroupsPath"] = json!(format!("/{}/c", self.group));
        config
    }

    fn write(&self, config: &Value) {
        std::fs::write(self.bundle().join("config.json"), config.to_string()).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program());
        command.arg("--root").arg(self.path("root")).args(arguments).current_dir(self.bundle());
        command
    }

    fn run(&self, arguments: &[&str]) -> Out {
        run(self.command(arguments), b"")
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let out = self.run(arguments);
        assert_eq!(out.code, 0, "{arguments:?}: {out:?}");
        out.stdout
    }

    /// Creates a container from a configuration. Its streams are /dev/null: it outlives the command.
    #[track_caller]
    fn create(&self, config: &Value, flags: &[&str], id: &str) {
        let out = self.try_create(config, flags, id);
        assert_eq!(out.code, 0, "{out:?}");
    }

    fn try_create(&self, config: &Value, flags: &[&str], id: &str) -> Out {
        self.write(config);
        let errors = self.path(&format!("{id}.stderr"));
        let mut command = self.command(&[&["create"], flags, &[id]].concat());
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        command.stderr(std::fs::File::create(&errors).unwrap());
        let status = command.status().unwrap();
        Out {
            code: crate::harness::code_of(status),
            stdout: String::new(),
            stderr: std::fs::read_to_string(errors).unwrap(),
        }
    }

    /// Runs a configuration to its end.
    #[track_caller]
    fn output(&self, config: &Value) -> String {
        self.write(config);
        self.ok(&["run", "c"])
    }

    fn state(&self, id: &str) -> Value {
        serde_json::from_str(&self.ok(&["state", id])).unwrap()
    }

    fn status(&self, id: &str) -> String {
        self.state(id)["status"].as_str().unwrap().to_owned()
    }

    /// Returns the folders of its control groups in all hierarchies.
    fn groups(&self) -> Vec<PathBuf> {
        let base = Path::new("/sys/fs/cgroup");
        let mut all: Vec<PathBuf> =
            std::fs::read_dir(base).unwrap().flatten().map(|entry| entry.path()).collect();
        all.push(base.to_path_buf());
        all.into_iter().map(|path| path.join(&self.group)).filter(|path| path.exists()).collect()
    }

    /// Returns what there is of containers.
    fn remains(&self) -> Vec<PathBuf> {
        let root = std::fs::read_dir(self.path("root")).into_iter().flatten().flatten();
        let folders = root.map(|entry| entry.path());
        let groups = self.groups().into_iter().map(|group| group.join("c"));
        folders.chain(groups.filter(|group| group.exists())).collect()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let ids = self.run(&["list", "-q"]).stdout;
        for id in ids.lines() {
            self.run(&["delete", "--force", id]);
        }
        let remains = self.remains();
        self.groups().iter().for_each(|group| remove_groups(group));
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mounted = mounts.contains(self.folder.to_str().unwrap());
        if !std::thread::panicking() {
            assert!(ids.is_empty(), "a test removes its containers: {ids}");
            assert_eq!(remains, Vec::<PathBuf>::new(), "left behind");
            assert!(!mounted, "a mount is left: {mounts}");
        }
        if !mounted {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}
