//! The runtime in the hands of an ordinary user, and of an ordinary user's podman.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::{Out, Test, eventually, lacks_programs, rootfs_archive, rootfs_tar, run};
use crate::rootless::User;

pub(super) fn tests() -> Vec<Test> {
    vec![
        Test::new("as_user_runtime", single).needing(lacks_programs(&["setpriv"])),
        Test::new("as_user_runtime_with_a_range", ranged).needing(lacks_programs(&[
            "newuidmap",
            "setpriv",
            "unshare",
        ])),
        Test::new("as_user_podman_runs_containers_by_it", podman).needing(lacks_programs(&[
            "newuidmap",
            "setpriv",
            "unshare",
            "podman",
            "conmon",
        ])),
    ]
}

/// A user's bundle.
struct Bundle {
    user: User,
}

impl Bundle {
    fn new(user: User) -> Self {
        let folder = user.home.join("bundle");
        std::fs::create_dir_all(folder.join("rootfs")).unwrap();
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(folder.join("rootfs")).arg("-xf").arg(rootfs_archive());
        assert_eq!(run(tar, b"").code, 0);
        let mut chown = Command::new("chown");
        chown.args(["-hR", &format!("{0}:{0}", user.uid)]).arg(&folder);
        assert_eq!(run(chown, b"").code, 0);
        Self { user }
    }

    fn folder(&self) -> PathBuf {
        self.user.home.join("bundle")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.user.command(&[&["oci"], words].concat());
        command.current_dir(self.folder());
        command
    }

    fn run(&self, words: &[&str]) -> Out {
        run(self.command(words), b"")
    }

    #[track_caller]
    fn ok(&self, words: &[&str]) -> String {
        let out = self.run(words);
        assert_eq!(out.code, 0, "{words:?}: {out:?}");
        out.stdout
    }

    /// Returns a configuration for one who isn't root, which runs a shell line.
    fn config(&self, line: &str) -> Value {
        let _ = std::fs::remove_file(self.folder().join("config.json"));
        self.ok(&["spec", "--rootless"]);
        let text = std::fs::read(self.folder().join("config.json")).unwrap();
        let mut config: Value = serde_json::from_slice(&text).unwrap();
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(["sh", "-c", line]);
        config
    }

    fn write(&self, config: &Value) {
        std::fs::write(self.folder().join("config.json"), config.to_string()).unwrap();
    }
}

/// Ends what a user still runs, however the test ends: podman leaves a process that keeps its namespace.
struct Ended<'a>(&'a User);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        for process in self.0.processes() {
            // Its name and its number.
            let pid = process.rsplit(' ').next().and_then(|pid| pid.parse().ok());
            let pid = pid.and_then(rustix::process::Pid::from_raw).unwrap();
            // It may have ended by itself.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

fn single() {
    let bundle = Bundle::new(User::without_range());
    let _ended = Ended(&bundle.user);
    let uid = bundle.user.uid.to_string();
    bundle.write(&bundle.config("id -u; cat /proc/self/uid_map; echo x >/dev/null; exit 4"));
    let out = bundle.run(&["run", "c"]);
    let words: Vec<&str> = out.stdout.split_whitespace().collect();
    assert_eq!((out.code, words.as_slice()), (4, ["0", "0", &uid, "1"].as_slice()), "{out:?}");
    // The whole life, without a control group.
    bundle.write(&bundle.config("sleep 1000 & trap 'exit 3' TERM; echo >/dev/null; wait"));
    let mut create = bundle.command(&["create", "c"]);
    create.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(create.status().unwrap().success());
    let status = || {
        let state: Value = serde_json::from_str(&bundle.ok(&["state", "c"])).unwrap();
        state["status"].as_str().unwrap().to_owned()
    };
    assert_eq!(status(), "created");
    bundle.ok(&["start", "c"]);
    assert_eq!(status(), "running");
    eventually("both processes run", || bundle.ok(&["ps", "c"]).matches("sleep 1000").count() == 2);
    assert_eq!(bundle.ok(&["exec", "c", "id", "-u"]), "0\n");
    for (words, says) in [
        (&["pause", "c"][..], "has no control group"),
        (&["events", "--stats", "c"], "has no control group"),
        (&["update", "--memory", "64m", "c"], "has no control group"),
        (&["exec", "--cgroup", "x", "c", "true"], "has no control group"),
    ] {
        let out = bundle.run(words);
        assert!(out.code != 0 && out.stderr.contains(says), "{words:?}: {out:?}");
    }
    bundle.ok(&["kill", "--all", "c", "KILL"]);
    eventually("it has stopped", || status() == "stopped");
    bundle.ok(&["delete", "c"]);
    assert_eq!(bundle.ok(&["list", "-q"]), "");
    // A limit that can't be had is no container without it.
    let mut limited = bundle.config("true");
    limited["linux"]["resources"]["memory"] = json!({"limit": 64 << 20});
    bundle.write(&limited);
    let out = bundle.run(&["run", "c"]);
    assert!(out.code == 1 && out.stderr.contains("--memory"), "{out:?}");
    let mut others = bundle.config("true");
    others["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
    bundle.write(&others);
    assert_eq!(bundle.run(&["run", "c"]).code, 1);
    assert_eq!(bundle.ok(&["list", "-q"]), "");
    std::fs::remove_dir_all(bundle.user.home.join("run/wharf")).unwrap();
}

fn ranged() {
    let bundle = Bundle::new(User::with_range());
    let (uid, range) = (bundle.user.uid, bundle.user.range.unwrap());
    let mut config = bundle.config("id -u; id -G; touch /tmp/file; stat -c %u /tmp/file");
    let map = json!([
        {"containerID": 0, "hostID": uid, "size": 1},
        {"containerID": 1, "hostID": range, "size": 65_536},
    ]);
    config["linux"]["uidMappings"] = map.clone();
    config["linux"]["gidMappings"] = map;
    config["root"]["readonly"] = json!(false);
    config["process"]["user"] = json!({"uid": 1000, "gid": 1000, "additionalGids": [7]});
    bundle.write(&config);
    assert_eq!(bundle.ok(&["run", "c"]), "1000\n1000 7\n1000\n");
    let made = std::fs::metadata(bundle.folder().join("rootfs/tmp/file")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&made), range + 999);
    std::fs::remove_dir_all(bundle.user.home.join("run/wharf")).unwrap();
}

fn podman() {
    let user = User::with_range();
    let ended = Ended(&user);
    let program = user.home.join("wharf-oci");
    std::os::unix::fs::symlink(user.home.join("wharf"), &program).unwrap();
    let path = |name: &str| user.home.join(name).display().to_string();
    let settings = "[containers]\ndefault_ulimits = [\"nofile=256:256\", \"nproc=256:256\"]\n";
    std::fs::write(path("containers.conf"), settings).unwrap();
    let podman = |words: &[&str], input: &[u8]| -> Out {
        let storage = path("storage");
        let (scratch, runtime) = (path("run/podman"), program.display().to_string());
        let before = [
            "--root",
            &storage,
            "--runroot",
            &scratch,
            "--storage-driver",
            "vfs",
            "--cgroup-manager",
            "cgroupfs",
            "--events-backend",
            "file",
            "--runtime",
            &runtime,
        ];
        let all = [&before[..], words].concat();
        let mut command = user.command_of(Path::new("podman"), &all);
        command.env("CONTAINERS_CONF", path("containers.conf"));
        run(command, input)
    };
    let ok = |words: &[&str]| -> String {
        let out = podman(words, b"");
        assert_eq!(out.code, 0, "{words:?}: {out:?}");
        out.stdout.trim_end().to_owned()
    };
    let out = podman(&["import", "-", "localhost/box"], &rootfs_tar());
    assert_eq!(out.code, 0, "{out:?}");
    let once = |rest: &[&str]| podman(&[&["run", "--rm", "--network", "none"], rest].concat(), b"");
    let out = once(&["-u", "1000", "localhost/box", "sh", "-c", "id -u; exit 3"]);
    assert_eq!((out.code, out.stdout.as_str()), (3, "1000\n"), "{out:?}");
    assert_eq!(once(&["localhost/box", "nosuch"]).code, 127);
    ok(&["run", "-d", "--network", "none", "--name", "c", "localhost/box", "sleep", "1000"]);
    assert_eq!(ok(&["exec", "c", "id", "-u"]), "0");
    ok(&["kill", "c"]);
    ok(&["rm", "-f", "c"]);
    ok(&["system", "reset", "--force"]);
    drop(ended);
    // What is left belongs to the user's subordinate numbers.
    let everything = std::fs::read_dir(path("run")).unwrap().flatten().map(|entry| entry.path());
    for folder in everything.chain(["storage", "data/containers"].map(|name| user.home.join(name)))
    {
        let _ = std::fs::remove_dir_all(folder);
    }
}
