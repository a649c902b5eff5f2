//! An ordinary user's engine. The users are made up: their numbers stand in copies of `/etc/passwd`,
//! `/etc/subuid` and `/etc/subgid` that only the test's own processes see, so that nothing of the
//! host is changed.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{
    IMAGE, Out, PATIENCE, Test, binary, copy_program, eventually, folder, lacks_programs,
    rootfs_archive, run,
};
use crate::tests;
use crate::verbs_image::layered_archive;

pub(crate) fn tests() -> Vec<Test> {
    let mut tests = tests![
        single_user,
        single_user_limits_are_discarded,
        a_group_that_was_handed_down,
        root_and_users_have_different_folders,
    ];
    // Named so that a run can leave them out where there are no such programs.
    for (name, test) in [
        ("as_user_run", as_user_run as fn()),
        ("as_user_owners", as_user_owners),
        ("as_user_volumes", as_user_volumes),
        ("as_user_ports", as_user_ports),
        ("as_user_life", as_user_life),
        ("as_user_killed_supervisor", as_user_killed_supervisor),
        ("as_user_host_network", as_user_host_network),
        ("as_user_pasta", as_user_pasta),
        ("as_user_slirp4netns", as_user_slirp4netns),
        ("as_user_without_a_network_helper", as_user_without_a_network_helper),
        ("as_user_helpers_that_cannot_map", as_user_helpers_that_cannot_map),
        ("as_user_no_namespaces_left", as_user_no_namespaces_left),
        ("as_user_demo_image", as_user_demo_image),
        ("as_user_parts_of_the_host", as_user_parts_of_the_host),
    ] {
        let lacks = lacks_programs(&["newuidmap", "setpriv", "unshare", "pasta", "slirp4netns"]);
        tests.push(Test::new(name, test).needing(lacks));
    }
    tests
}

/// A user with a home folder and an engine in it. Dropping it looks for what is left.
pub(crate) struct User {
    pub(crate) home: PathBuf,
    pub(crate) uid: u32,
    /// The first of 65,536 subordinate numbers; none when the user has no range.
    pub(crate) range: Option<u32>,
    /// Shell lines that root runs in the mount namespace of each command before.
    setup: String,
}

impl User {
    /// Returns a user who is in no file of the host's.
    pub(crate) fn without_range() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = std::process::id() % 500 * 100 + NUMBER.fetch_add(1, Ordering::Relaxed);
        let home = folder();
        let uid = 1_000_000 + number;
        copy_program(&binary(), &home.join("wharf"));
        std::fs::set_permissions(home.join("wharf"), PermissionsExt::from_mode(0o755)).unwrap();
        for name in ["run", "data"] {
            std::fs::create_dir(home.join(name)).unwrap();
            chown(home.join(name), Some(uid), Some(uid)).unwrap();
        }
        chown(&home, Some(uid), Some(uid)).unwrap();
        Self { home, uid, range: None, setup: String::new() }
    }

    /// Returns a user with subordinate numbers, who may use a network helper.
    pub(crate) fn with_range() -> Self {
        let mut user = Self::without_range();
        let (home, uid) = (user.home.display().to_string(), user.uid);
        let range = 100_000_000 + (uid - 1_000_000) * 65_536;
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
        let passwd = format!("{passwd}wharf-it:x:{uid}:{uid}::{home}:/bin/sh\n");
        std::fs::write(user.home.join("passwd"), passwd).unwrap();
        std::fs::write(user.home.join("subid"), format!("wharf-it:{range}:65536\n")).unwrap();
        user.range = Some(range);
        // Machines with udev have a tun device that everybody may open.
        user.setup = format!(
            "mount --bind {home}/passwd /etc/passwd
             mount --bind {home}/subid /etc/subuid
             mount --bind {home}/subid /etc/subgid
             mount -t tmpfs net /dev/net
             mknod -m 666 /dev/net/tun c 10 200\n"
        );
        user
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        self.command_of(&self.home.join("wharf"), words)
    }

    /// Returns a program that the user runs.
    pub(crate) fn command_of(&self, program: &Path, words: &[&str]) -> Command {
        let mut command = if self.setup.is_empty() {
            let mut command = Command::new(program);
            command.uid(self.uid).gid(self.uid);
            command
        } else {
            let uid = self.uid;
            let line = format!(
                "set -e\n{}exec setpriv --reuid {uid} --regid {uid} --clear-groups \"$@\"",
                self.setup
            );
            let mut command = Command::new("unshare");
            command.args(["-m", "sh", "-c", &line, "sh"]).arg(program);
            command
        };
        command
            .args(words)
            .current_dir(&self.home)
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .env("HOME", &self.home)
            .env("XDG_DATA_HOME", self.home.join("data"))
            .env("XDG_RUNTIME_DIR", self.home.join("run"));
        command
    }

    #[track_caller]
    fn ends(&self, code: i32, words: &[&str]) -> Out {
        let out = run(self.command(words), b"");
        assert_eq!(out.code, code, "wharf {}: {out:?}", words.join(" "));
        out
    }

    #[track_caller]
    fn ok(&self, words: &[&str]) -> String {
        self.ends(0, words).stdout.trim_end_matches('\n').to_owned()
    }

    #[track_caller]
    fn fails(&self, code: i32, says: &str, words: &[&str]) {
        let out = self.ends(code, words);
        assert!(out.stderr.contains(says), "wharf {}: {out:?}", words.join(" "));
    }

    /// Runs a program of another image in a container, which leaves something there.
    #[track_caller]
    fn toolbox(&self, container: &str) {
        let line = "id -u; echo tools > /target/made; test -e /made || echo apart";
        let told = self.ok(&["debug", "--image", IMAGE, container, "sh", "-c", line]);
        assert_eq!(told.split_whitespace().collect::<Vec<_>>(), ["0", "apart"]);
        assert_eq!(self.ok(&["exec", container, "cat", "/made"]), "tools");
    }

    /// Makes the image.
    #[track_caller]
    fn import(&self) -> Out {
        let archive = std::fs::read(rootfs_archive()).unwrap();
        let out = run(self.command(&["import", "-", IMAGE]), &archive);
        assert_eq!(out.code, 0, "{out:?}");
        out
    }

    #[track_caller]
    fn shell(&self, flags: &[&str], line: &str) -> String {
        let mut words = vec!["run", "--rm", "--network", "none"];
        words.extend_from_slice(flags);
        words.extend_from_slice(&[IMAGE, "sh", "-c", line]);
        self.ok(&words)
    }

    /// Returns the first process of a container.
    #[track_caller]
    fn pid(&self, container: &str) -> i32 {
        let text = self.ok(&["inspect", container]);
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        i32::try_from(document[0]["State"]["Pid"].as_i64().unwrap()).unwrap()
    }

    /// Returns the processes of the user and of the subordinate numbers, but those that have ended.
    pub(crate) fn processes(&self) -> Vec<String> {
        let own = |uid: u32| {
            uid == self.uid
                || self.range.is_some_and(|first| (first..first + 65_536).contains(&uid))
        };
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let Ok(status) = std::fs::read_to_string(entry.path().join("status")) else { continue };
            let field = |name: &str| {
                status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim()
            };
            let uid = field("Uid:").split_whitespace().next().and_then(|uid| uid.parse().ok());
            if uid.is_some_and(own) && !field("State:").starts_with('Z') {
                found.push(format!("{} {}", field("Name:"), field("Pid:")));
            }
        }
        found
    }

    /// Waits until no process is left.
    #[track_caller]
    fn rests(&self) {
        eventually("the user has no process left", || self.processes().is_empty());
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let out = run(self.command(&["system", "reset", "--force"]), b"");
        if std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.home);
            return;
        }
        // Where the test let the user make no namespace, there is nothing to reset.
        assert!(out.code == 0 || !self.home.join("data/wharf").exists(), "reset: {out:?}");
        self.rests();
        let left = |name: &str| std::fs::read_dir(self.home.join(name)).unwrap().count();
        assert_eq!((left("data"), left("run")), (0, usize::from(out.code != 0)), "left behind");
        std::fs::remove_dir_all(&self.home).unwrap();
    }
}

fn root_and_users_have_different_folders() {
    let user = User::without_range();
    let info = user.ok(&["info"]);
    let root = user.home.join("data/wharf");
    assert!(info.contains(&format!("Root Dir: {}", root.display())), "{info}");
    assert!(info.contains("name=rootless"), "{info}");
    assert_eq!(root.metadata().unwrap().uid(), user.uid);
    assert!(user.home.join("run/wharf").exists());
}

fn single_user() {
    let user = User::without_range();
    let out = user.import();
    assert!(out.stderr.contains("only one user and group are mapped"), "{out:?}");
    let map = user.shell(&[], "id -u; cat /proc/self/uid_map; cat /proc/self/setgroups");
    let words: Vec<&str> = map.split_whitespace().collect();
    assert_eq!(words, ["0", "0", &user.uid.to_string(), "1", "deny"]);
    user.fails(
        125,
        "is not mapped in the container's user namespace",
        &["run", "--rm", "--network", "none", "-u", "app", IMAGE, "true"],
    );
    // Terminals, devices and a program that is executed later work as they do for others.
    assert_eq!(user.shell(&["-t"], "tty; echo x > /dev/null").trim(), "/dev/pts/0");
    user.ok(&["run", "-d", "--name", "one", "--network", "none", IMAGE, "sleep", "1000"]);
    assert_eq!(user.ok(&["exec", "one", "id", "-u"]), "0");
    user.toolbox("one");
    user.ok(&["rm", "-f", "one"]);
}

fn single_user_limits_are_discarded() {
    let user = User::without_range();
    user.import();
    let words =
        ["run", "--rm", "-m", "64m", "--pids-limit", "9", "--network", "none", IMAGE, "true"];
    let out = user.ends(0, &words);
    assert!(out.stderr.contains("--memory, --pids-limit discarded"), "{out:?}");
    assert_eq!(out.stderr.matches("discarded").count(), 1, "{out:?}");
    user.ok(&["run", "-d", "--name", "one", "--network", "none", IMAGE, "sleep", "1000"]);
    user.fails(
        1,
        "pause needs the freezer controller, which was not handed down",
        &["pause", "one"],
    );
    let top = user.ok(&["top", "one"]);
    assert!(top.lines().count() == 2 && top.contains("sleep 1000"), "{top}");
    let stats = user.ends(0, &["stats", "--no-stream"]);
    assert!(stats.stdout.contains("--"), "{stats:?}");
    let why = "no statistics: this user has no control group of its own on this host";
    assert!(stats.stderr.contains(why) && stats.stderr.contains("systemd-run"), "{stats:?}");
    let info = user.ends(0, &["info"]);
    assert!(info.stderr.contains("No limits, statistics and pause"), "{info:?}");
}

/// A version 2 group of the user's own, as systemd hands one down.
struct HandedDown {
    folder: PathBuf,
}

impl HandedDown {
    fn new(uid: u32) -> Self {
        let unified = Path::new("/sys/fs/cgroup/unified");
        let mount = if unified.exists() { unified } else { Path::new("/sys/fs/cgroup") };
        let controllers = std::fs::read_to_string(mount.join("cgroup.controllers")).unwrap();
        for one in ["memory", "pids", "cpu"] {
            if controllers.split_whitespace().any(|word| word == one) {
                std::fs::write(mount.join("cgroup.subtree_control"), format!("+{one}")).unwrap();
            }
        }
        let folder = mount.join(format!("wharf-it-{uid}"));
        for path in [folder.clone(), folder.join("session")] {
            std::fs::create_dir(&path).unwrap();
            chown(&path, Some(uid), Some(uid)).unwrap();
            for file in ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control"] {
                chown(path.join(file), Some(uid), Some(uid)).unwrap();
            }
        }
        Self { folder }
    }

    fn has(&self, controller: &str) -> bool {
        let text = std::fs::read_to_string(self.folder.join("cgroup.controllers")).unwrap();
        text.split_whitespace().any(|word| word == controller)
    }

    /// Runs a command of the user's in the session's group.
    fn run(&self, user: &User, words: &[&str]) -> Out {
        let command = user.command(words);
        let mut held = Command::new("/bin/sh");
        held.args(["-c", "read go; exec \"$@\"", "sh"]).arg(command.get_program());
        held.args(command.get_args()).env_clear().current_dir(&user.home);
        held.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        held.uid(user.uid).gid(user.uid);
        held.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = held.spawn().unwrap();
        std::fs::write(self.folder.join("session/cgroup.procs"), child.id().to_string()).unwrap();
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
        let out = child.wait_with_output().unwrap();
        Out {
            code: crate::harness::code_of(out.status),
            stdout: String::from_utf8(out.stdout).unwrap(),
            stderr: String::from_utf8(out.stderr).unwrap(),
        }
    }
}

impl Drop for HandedDown {
    fn drop(&mut self) {
        let empty = |folder: &Path| {
            eventually("the group is empty", || std::fs::remove_dir(folder).is_ok());
        };
        empty(&self.folder.join("session"));
        for name in ["wharf/supervisors", "wharf"] {
            let _ = std::fs::remove_dir(self.folder.join(name));
        }
        empty(&self.folder);
    }
}

fn a_group_that_was_handed_down() {
    let user = User::without_range();
    user.import();
    let group = HandedDown::new(user.uid);
    let ok = |words: &[&str]| {
        let out = group.run(&user, words);
        assert_eq!(out.code, 0, "{words:?}: {out:?}");
        out
    };
    ok(&["run", "-d", "--name", "one", "--network", "none", IMAGE, "sleep", "1000"]);
    let own = std::fs::read_to_string(format!("/proc/{}/cgroup", user.pid("one"))).unwrap();
    let name = group.folder.file_name().unwrap().to_str().unwrap();
    assert!(own.lines().any(|line| line.starts_with(&format!("0::/{name}/wharf/"))), "{own}");
    ok(&["pause", "one"]);
    assert!(ok(&["ps"]).stdout.contains("Paused"));
    ok(&["unpause", "one"]);
    assert!(ok(&["top", "one"]).stdout.contains("sleep 1000"));
    if group.has("memory") {
        let words = ["run", "--rm", "-m", "64m", "--network", "none", IMAGE];
        let words: Vec<&str> =
            words.into_iter().chain(["cat", "/sys/fs/cgroup/memory.max"]).collect();
        let out = ok(&words);
        assert_eq!((out.stdout.trim(), out.stderr.as_str()), ("67108864", ""));
    }
    ok(&["rm", "-f", "one"]);
}

fn as_user_run() {
    let user = User::with_range();
    let out = user.import();
    assert_eq!(out.stderr, "");
    let (uid, range) = (user.uid.to_string(), user.range.unwrap().to_string());
    let map = user.shell(&[], "cat /proc/self/uid_map /proc/self/gid_map");
    let one = ["0", uid.as_str(), "1", "1", range.as_str(), "65536"];
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), [one, one].concat());
    assert_eq!(
        user.shell(&[], "id -u; id -g; cat /proc/sys/net/ipv4/ping_group_range"),
        "0\n0\n0\t65536"
    );
    assert_eq!(user.shell(&["-u", "app"], "id -u; id -G"), "1000\n1000 2000");
    assert_eq!(user.shell(&["-w", "/srv"], "pwd; cat readme"), "/srv\nnot a program");
    let none = ["run", "--rm", "--network", "none", IMAGE];
    let with = |words: &[&'static str]| [&none[..], words].concat();
    user.ends(42, &with(&["sh", "-c", "exit 42"]));
    user.fails(127, "executable file not found", &with(&["nope"]));
    user.fails(126, "permission denied", &with(&["/srv/readme"]));
    user.fails(125, "only root's engine", &["run", "--rm", "--userns", "auto", IMAGE, "true"]);
    let out =
        run(user.command(&["run", "-i", "--rm", "--network", "none", IMAGE, "cat"]), b"through");
    assert_eq!(out.stdout, "through");
    // Nothing can be done to the host by way of the kernel's files.
    let line =
        "echo x > /proc/sys/kernel/core_pattern; mknod /d b 8 0; mount -t tmpfs t /mnt; true";
    user.shell(&["--privileged"], "mkdir -p /mnt; mknod /d b 254 0 2>&1 && exit 9; id -u");
    user.shell(&[], line);
    // No image brings a way to a device.
    assert_eq!(user.shell(&[], "head -c 4 /dev/zero | wc -c"), "4");
}

fn as_user_owners() {
    let user = User::with_range();
    user.import();
    let archive = layered_archive();
    let out = run(user.command(&["load"]), &archive);
    assert_eq!(out.code, 0, "{out:?}");
    // What a layer hides stays hidden.
    let line = "cat /kept; echo; ls /gone 2>/dev/null; ls /dir";
    let layers = "wharf-test/layers:1";
    let words = ["run", "--rm", "--network", "none", layers, "sh", "-c", line];
    assert_eq!(user.ok(&words), "kept\nnew");
    // What the container takes away and makes anew stays so over a restart.
    let line = "if [ -e /made ]; then ls /dir; else rm /kept; rm -r /dir; mkdir /dir; touch /dir/mine \
                /made; touch /apps; chown 1000:1000 /apps; fi";
    user.ok(&["run", "--name", "twice", "--network", "none", layers, "sh", "-c", line]);
    assert_eq!(user.ok(&["start", "-a", "twice"]), "mine");
    let containers = user.home.join("data/wharf/containers");
    let id = user.ok(&["ps", "-a", "-q", "--no-trunc"]);
    let upper = containers.join(&id).join("upper");
    let owner = |name: &str| upper.join(name).metadata().unwrap().uid();
    assert_eq!((owner("made"), owner("apps")), (user.uid, user.range.unwrap() + 999));
    // A folder of the user's: what root inside makes there is the user's outside.
    let shared = user.home.join("shared");
    std::fs::create_dir(&shared).unwrap();
    chown(&shared, Some(user.uid), Some(user.uid)).unwrap();
    let bind = format!("{}:/shared", shared.display());
    user.shell(&["-v", &bind], "touch /shared/root; touch /shared/app; chown 1000 /shared/app");
    let owner = |name: &str| shared.join(name).metadata().unwrap().uid();
    assert_eq!((owner("root"), owner("app")), (user.uid, user.range.unwrap() + 999));
    // And what belongs to the host's root can be neither written nor given away.
    let etc = "/etc:/host";
    assert_eq!(
        user.shell(&["-v", etc], "stat -c %u /host/passwd; echo x >> /host/group || true"),
        "65534"
    );
    let read_only = format!("{}:/shared:ro", shared.display());
    user.ends(
        1,
        &["run", "--rm", "--network", "none", "-v", &read_only, IMAGE, "touch", "/shared/x"],
    );
}

fn as_user_volumes() {
    let user = User::with_range();
    user.import();
    let mount = ["-v", "homes:/home"];
    user.shell(&mount, "touch /home/root /home/app; chown 1000 /home/app");
    assert_eq!(user.shell(&mount, "stat -c %u /home/root /home/app"), "0\n1000");
    let data = user.home.join("data/wharf/volumes/homes/_data");
    let owner = |name: &str| data.join(name).metadata().unwrap().uid();
    assert_eq!((owner("root"), owner("app")), (user.uid, user.range.unwrap() + 999));
    // Out and in again, owners and all.
    let archive = user.command(&["volume", "export", "homes"]).output().unwrap();
    assert!(archive.status.success(), "{archive:?}");
    let out = run(user.command(&["volume", "import", "again"]), &archive.stdout);
    assert_eq!(out.code, 0, "{out:?}");
    user.ok(&["volume", "clone", "again", "third"]);
    assert_eq!(user.shell(&["-v", "third:/h"], "stat -c %u /h/root /h/app"), "0\n1000");
    let memory = ["-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,mode=750"];
    user.ok(&[&["volume", "create", "mem"], &memory[..]].concat());
    assert_eq!(user.shell(&["-v", "mem:/m"], "echo x > /m/x; stat -c %a /m"), "750");
    // What is mounted by options is the user's to mount, or it isn't.
    let device = ["-o", "type=ext4", "-o", "device=/dev/null"];
    user.ok(&[&["volume", "create", "disk"], &device[..]].concat());
    let run = ["run", "--rm", "--network", "none", "-v", "disk:/m", IMAGE, "true"];
    user.fails(125, "failed to mount local volume: mount /dev/null:", &run);
    user.ok(&["volume", "prune", "-af"]);
    assert_eq!(user.ok(&["volume", "ls", "-q"]), "disk\nmem");
    user.ok(&["volume", "rm", "disk", "mem"]);
    user.rests();
}

fn as_user_ports() {
    let user = User::with_range();
    user.import();
    let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port = free();
    let line = "echo 'hello from inside' > /index.html; exec httpd -f -p 80 -h /";
    let published = format!("{port}:80");
    let flags = ["run", "-d", "--name", "web", "-p", &published, IMAGE, "sh", "-c", line];
    user.ok(&flags);
    assert_eq!(user.ok(&["port", "web", "80"]), format!("0.0.0.0:{port}\n[::]:{port}"));
    let get = |to: &str| -> std::io::Result<String> {
        let mut stream = std::net::TcpStream::connect((to, port))?;
        stream.set_read_timeout(Some(*PATIENCE))?;
        write!(stream, "GET / HTTP/1.0\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    let says = |to: &str| get(to).is_ok_and(|text| text.ends_with("hello from inside\n"));
    eventually("the server answers", || says("127.0.0.1"));
    assert!(host_address().is_none_or(|address| says(&address.to_string())));
    let taken = format!("{port}:81");
    let second = ["run", "--rm", "-p", &taken, IMAGE, "true"];
    user.fails(125, &format!("Bind for 0.0.0.0:{port} failed: port is already allocated"), &second);
    let privileged = ["run", "--rm", "-p", "443:443", IMAGE, "true"];
    let low = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    if low.trim().parse::<u16>().unwrap() > 443 {
        user.fails(125, "cannot expose privileged port 443", &privileged);
    }
    user.ok(&["restart", "-t", "0", "web"]);
    eventually("it answers again", || says("127.0.0.1"));
    user.ok(&["rm", "-f", "web"]);
    assert!(get("127.0.0.1").is_err());
    user.rests();
}

fn as_user_life() {
    let user = User::with_range();
    user.import();
    let line = "echo up; while :; do sleep 1; done";
    user.ok(&["run", "-d", "--name", "one", "--network", "none", IMAGE, "sh", "-c", line]);
    eventually("it has written", || user.ok(&["logs", "one"]) == "up");
    assert!(user.ok(&["ps"]).contains("one"));
    assert_eq!(user.ok(&["exec", "-u", "app", "one", "id", "-u"]), "1000");
    assert_eq!(user.ends(3, &["exec", "one", "sh", "-c", "exit 3"]).stdout, "");
    user.toolbox("one");
    // All are in one namespace, and it is not the host's.
    let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/user")).unwrap();
    user.ok(&["run", "-d", "--name", "two", "--network", "none", IMAGE, "sleep", "1000"]);
    let (one, two) = (user.pid("one").to_string(), user.pid("two").to_string());
    assert_eq!(namespace(&one), namespace(&two));
    assert_ne!(namespace(&one), namespace("self"));
    let top = user.ok(&["top", "one"]);
    assert!(top.contains("sleep 1"), "{top}");
    user.ok(&["restart", "-t", "0", "one"]);
    user.ok(&["stop", "-t", "0", "one", "two"]);
    // The namespace's holder goes with the last container.
    user.rests();
    user.ok(&["start", "one"]);
    user.ok(&["rm", "-f", "one", "two"]);
    user.rests();
    assert_eq!(user.ok(&["ps", "-a", "-q"]), "");
}

fn as_user_killed_supervisor() {
    let user = User::with_range();
    user.import();
    user.ok(&["run", "-d", "--name", "one", IMAGE, "sleep", "1000"]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", user.pid("one"))).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    kill_process(Pid::from_raw(parent.trim().parse().unwrap()).unwrap(), Signal::KILL).unwrap();
    // The container and its network helper go with it.
    user.rests();
    let text = user.ok(&["ps", "-a"]);
    assert!(text.contains("Exited (137)"), "{text}");
    user.ok(&["start", "one"]);
    assert!(user.ok(&["exec", "one", "ip", "route"]).contains("default via"));
    user.ok(&["rm", "-f", "one"]);
    user.rests();
}

fn as_user_host_network() {
    let user = User::with_range();
    user.import();
    let line = "readlink /proc/self/ns/net; ls /sys/class/net; touch /sys/x 2>/dev/null || echo no";
    let out = user.ok(&["run", "--rm", "--network", "host", IMAGE, "sh", "-c", line]);
    let outside = std::fs::read_link("/proc/self/ns/net").unwrap();
    assert!(out.starts_with(outside.to_str().unwrap()) && out.contains("lo"), "{out}");
    assert!(out.ends_with("no"), "{out}");
}

/// Returns an address of this host that is not its loopback, if it has a way out.
fn host_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("198.51.100.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|address| !address.is_loopback())
}

/// Serves one word to each who connects.
fn serve(address: &str) -> (u16, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let _ = client.write_all(b"reached\n");
        let _ = client.shutdown(std::net::Shutdown::Write);
        // Until the other side has heard it and closed too.
        let _ = client.read(&mut [0]);
    });
    (port, thread)
}

fn reaches_the_outside(user: &User) {
    let Some(address) = host_address() else { return };
    let (port, served) = serve(&address.to_string());
    // Old helpers don't always pass on that the other side has closed; what counts is what came.
    let fetch = format!(
        "nc {address} {port} < /dev/null > /tmp/got & until grep reached /tmp/got; do sleep 0.1; done"
    );
    let out = user.ok(&["run", "--rm", IMAGE, "sh", "-c", &fetch]);
    assert!(out.starts_with("reached"), "{out}");
    served.join().unwrap();
    // The host's loopback is the host's: neither its own nor the gateway's address leads there.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for address in ["127.0.0.1", "10.0.2.2"] {
        let fetch = format!("nc -w 3 {address} {port} < /dev/null");
        let out = run(user.command(&["run", "--rm", IMAGE, "sh", "-c", &fetch]), b"");
        assert_ne!(out.code, 0, "{address}: {out:?}");
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "somebody has connected");
    user.rests();
}

fn as_user_pasta() {
    let user = User::with_range();
    user.import();
    let route = user.ok(&["run", "--rm", IMAGE, "ip", "route"]);
    assert!(route.contains("default via 10.0.2.2 dev eth0"), "{route}");
    reaches_the_outside(&user);
}

/// A file that nobody can execute takes a program's place.
fn hidden(programs: &[&str]) -> String {
    let line =
        |name: &&str| format!("mount --bind /dev/null $(readlink -f $(command -v {name}))\n");
    programs.iter().map(line).collect()
}

fn as_user_slirp4netns() {
    let mut user = User::with_range();
    user.setup += &hidden(&["pasta"]);
    user.import();
    let route = user.ok(&["run", "--rm", IMAGE, "ip", "route"]);
    assert!(route.contains("default via 10.0.2.2 dev tap0"), "{route}");
    reaches_the_outside(&user);
}

fn as_user_without_a_network_helper() {
    let mut user = User::with_range();
    user.setup += &hidden(&["pasta", "slirp4netns"]);
    user.import();
    let says = "install passt, or run with --network none or --network host";
    user.fails(125, says, &["run", "--rm", IMAGE, "true"]);
    assert_eq!(user.shell(&[], "echo alone"), "alone");
    assert_eq!(user.ok(&["ps", "-a", "-q"]), "");
    user.rests();
}

fn as_user_helpers_that_cannot_map() {
    let mut user = User::with_range();
    let setup = user.setup.clone();
    user.setup += &hidden(&["newuidmap"]);
    user.fails(125, "newuidmap is not installed", &["ps"]);
    // As it is when a package was unpacked without its rights.
    let plain = user.home.join("newuidmap");
    copy_program(Path::new("/usr/bin/newuidmap"), &plain);
    std::fs::set_permissions(&plain, PermissionsExt::from_mode(0o755)).unwrap();
    user.setup = format!("{setup}mount --bind {} /usr/bin/newuidmap\n", plain.display());
    user.fails(125, "chmod u+s /usr/bin/newuidmap", &["ps"]);
    user.setup = setup;
    assert_eq!(user.ok(&["ps", "-q"]), "");
}

fn as_user_no_namespaces_left() {
    let user = User::without_range();
    // In a user namespace of the test's, so that the host's own setting stays.
    let line = format!(
        "read go
         exec sh -c 'echo 0 > /proc/sys/user/max_user_namespaces
         exec setpriv --reuid {uid} --regid {uid} --clear-groups env HOME={home} \
         XDG_RUNTIME_DIR={home}/run XDG_DATA_HOME={home}/data {home}/wharf ps'",
        uid = user.uid,
        home = user.home.display()
    );
    let mut command = Command::new("unshare");
    command.args(["-U", "sh", "-c", &line]);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let folder = PathBuf::from(format!("/proc/{}", child.id()));
    let namespace = |folder: &Path| std::fs::read_link(folder.join("ns/user")).unwrap();
    eventually("it has its namespace", || namespace(&folder) != namespace(Path::new("/proc/self")));
    for map in ["uid_map", "gid_map"] {
        std::fs::write(folder.join(map), "0 0 3000000").unwrap();
    }
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let out = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(125), "{stderr}");
    assert!(stderr.contains("sysctl user.max_user_namespaces="), "{stderr}");
    user.rests();
}

fn as_user_demo_image() {
    let user = User::with_range();
    assert_eq!(user.ok(&["run", "--rm", "wharf/demo", "echo", "hello"]), "hello");
}

fn as_user_parts_of_the_host() {
    let user = User::with_range();
    user.import();
    for (flag, namespace) in [("--pid", "pid"), ("--ipc", "ipc"), ("--uts", "uts")] {
        let host = std::fs::read_link(format!("/proc/self/ns/{namespace}")).unwrap();
        let line = format!("readlink /proc/self/ns/{namespace}");
        assert_eq!(user.shell(&[flag, "host"], &line), host.display().to_string());
    }
    // What is protected stays so, in the host's own /proc, too.
    let line = "wc -c </proc/timer_list; echo x >/proc/sysrq-trigger; true";
    assert_eq!(user.shell(&["--pid", "host"], line), "0");
    let zero = ["--device", "/dev/zero:/opt/hole:rw", "--device", "/dev/zero:/dev/null"];
    let line = "head -c 3 /opt/hole | wc -c; head -c 3 /dev/null | wc -c";
    assert_eq!(user.shell(&zero, line), "3\n0");
    let words = ["run", "--rm", "--oom-score-adj", "-100", IMAGE, "true"];
    user.fails(125, "error setting oom-score-adj -100", &words);
    // The row of a network that has nothing on the host doesn't keep the end of it all.
    assert!(user.ok(&["network", "ls"]).contains("bridge"));
}
