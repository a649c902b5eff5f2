//! Attempts to get out of a container, to be taken for dead while alive, and to harm others. Each
//! really tries.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{IMAGE, Lab, Test, binary, busybox, entry, eventually, folder, link, run};
use crate::probe::{self, Probe};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    let mut with_probe = tests![
        a_traced_first_process_is_not_dead,
        a_traced_further_program_is_not_dead,
        many_short_containers_lose_nothing,
        many_short_programs_lose_nothing,
        a_burst_of_orphans_is_reaped,
        the_engine_can_not_be_overwritten,
        nothing_of_the_host_is_open,
        links_swapped_during_a_start,
    ];
    with_probe = with_probe.into_iter().map(|test| test.needing(probe::lacks())).collect();
    with_probe.extend(tests![
        a_working_directory_is_no_way_out,
        images_with_links_for_kernel_folders,
        images_with_links_for_the_engines_files,
        a_dev_of_links,
        mounts_stay_inside,
        mounts_spread_as_asked,
        escape_sequences,
        a_full_disk_is_the_own_trouble,
    ]);
    with_probe
}

/// How many there are of what is done again and again: fewer on a machine that says it is slow.
fn many(number: u32) -> u32 {
    if std::env::var_os("WHARF_TEST_PATIENCE").is_some() { number / 20 } else { number }
}

fn state_of(pid: i32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix("State:")).unwrap().trim().to_owned()
}

/// A process that asks to be traced makes its parent, the supervisor, its tracer; a stop then looks
/// like something to wait for.
fn a_traced_first_process_is_not_dead() {
    let lab = Lab::new();
    let probe = Probe::new();
    let bind = probe.bind();
    let start = |name: &str| {
        let words = ["run", "-d", "--network", "none", "--name", name, "-v", &bind, IMAGE];
        lab.ok(&[&words[..], &["/probe", "traced"]].concat());
        lab.wait_for_log(name, "up");
        let pid = lab.pid(name);
        eventually("it is stopped", || state_of(pid).contains("stop"));
        assert_eq!(lab.inspect(name, "/State/Status"), "running");
        assert_eq!(lab.ok(&["exec", name, "echo", "alive"]), "alive");
        pid
    };
    let pid = start("killed");
    lab.ok(&["kill", "killed"]);
    assert_eq!(lab.ok(&["wait", "killed"]), "137");
    assert!(!Path::new(&format!("/proc/{pid}/root/probe")).exists());
    start("stopped");
    lab.ok(&["stop", "-t", "1", "stopped"]);
    assert_eq!(lab.inspect("stopped", "/State/ExitCode"), 137);
    let pid = start("removed");
    lab.ok(&["rm", "-f", "removed"]);
    assert!(!Path::new(&format!("/proc/{pid}/root/probe")).exists());
}

fn a_traced_further_program_is_not_dead() {
    let lab = Lab::new();
    let probe = Probe::new();
    lab.start(&["--name", "base", "-v", &probe.bind()], "sleep 1000");
    let mut command = lab.command(&["exec", "base", "/probe", "traced"]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let traced = || lab.ok(&["top", "base", "-o", "pid,stat,args"]).contains("/probe traced");
    eventually("it runs", traced);
    assert_eq!(lab.ok(&["exec", "base", "echo", "alive"]), "alive");
    assert!(child.try_wait().unwrap().is_none(), "nobody took its stop for its end");
    lab.ok(&["rm", "-f", "base"]);
    assert_eq!(crate::harness::code_of(child.wait().unwrap()), 137);
}

/// Runs a job so many times, eight at once.
fn at_once(count: u32, job: impl Fn(u32) + Sync) {
    let next = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    job(number);
                }
            });
        }
    });
}

fn many_short_containers_lose_nothing() {
    let lab = Lab::new();
    at_once(many(1000), |number| {
        let line = format!("echo out {number}; echo err {number} >&2; exit {}", number % 100);
        let code = i32::try_from(number % 100).unwrap();
        let out = lab.run(&["run", "--rm", "--network", "none", IMAGE, "sh", "-c", &line]);
        assert_eq!(out.code, code, "{number}: {out:?}");
        assert_eq!(out.stdout, format!("out {number}\n"), "{out:?}");
        assert_eq!(out.stderr, format!("err {number}\n"), "{out:?}");
    });
    assert_eq!(lab.ok(&["ps", "-a", "-q"]), "");
}

fn many_short_programs_lose_nothing() {
    let lab = Lab::new();
    lab.start(&["--name", "base"], "sleep 1000");
    at_once(many(1000), |number| {
        let line = format!("echo out {number}; exit {}", number % 100);
        let out = lab.run(&["exec", "base", "sh", "-c", &line]);
        assert_eq!(out.code, i32::try_from(number % 100).unwrap(), "{number}: {out:?}");
        assert_eq!(out.stdout, format!("out {number}\n"), "{out:?}");
    });
    assert_eq!(lab.inspect("base", "/State/Status"), "running");
}

fn a_burst_of_orphans_is_reaped() {
    let lab = Lab::new();
    let probe = Probe::new();
    let bind = probe.bind();
    let line = "/probe burst 1000; echo ended $?; \
                while [ $(ls /proc | grep -c '^[0-9]') -gt 8 ]; do :; done; echo reaped";
    let words = ["run", "--rm", "--init", "--network", "none", "-v", &bind, IMAGE, "sh", "-c"];
    let out = lab.ok(&[&words[..], &[line]].concat());
    assert_eq!(out, "forked 1000\nended 7\nreaped");
}

/// CVE-2019-5736: the engine's own program, reached through the processes that it becomes inside.
fn the_engine_can_not_be_overwritten() {
    let lab = Lab::new();
    let probe = Probe::new();
    let bind = probe.bind();
    let before = std::fs::read(binary()).unwrap();
    // With --init, the first process is the engine's program for all its life.
    let words = ["run", "-d", "--network", "none", "--init", "--name", "evil", "-v", &bind, IMAGE];
    lab.ok(&[&words[..], &["/probe", "overwrite", "1000"]].concat());
    lab.wait_for_log("evil", "refused");
    // A program that is the program of whoever starts it: the engine, in the way in.
    lab.ok(&[
        "exec",
        "evil",
        "sh",
        "-c",
        "cp /bin/busybox /evil; echo '#!/proc/self/exe' > /trap; \
              chmod 755 /trap",
    ]);
    for _ in 0..many(100).max(5) {
        // It doesn't matter how it ends.
        lab.run(&["exec", "evil", "/trap"]);
        lab.run(&["exec", "evil", "true"]);
    }
    let log = lab.ok(&["logs", "evil"]);
    let opened: Vec<&str> = log.lines().filter(|line| line.starts_with("OPENED")).collect();
    assert_eq!(opened, Vec::<&str>::new());
    let direct = lab.run(&["exec", "evil", "sh", "-c", "cat /evil > /proc/1/exe"]);
    assert_ne!(direct.code, 0, "{direct:?}");
    lab.ok(&["rm", "-f", "evil"]);
    assert!(std::fs::read(binary()).unwrap() == before, "the engine's program has changed");
}

/// CVE-2024-21626: a folder of the host's, left open, as the place to stand in.
fn a_working_directory_is_no_way_out() {
    let lab = Lab::new();
    let secret = lab.root().join("secret");
    std::fs::write(&secret, "of the host").unwrap();
    let line = format!("cat ../../../../../../../..{}", secret.display());
    lab.start(&["--name", "base"], "sleep 1000");
    for number in 0..24 {
        for place in ["/proc/self/fd", "/proc/1/fd", "/proc/thread-self/fd"] {
            let place = format!("{place}/{number}");
            let out = lab.run(&["exec", "-w", &place, "base", "sh", "-c", &line]);
            assert!(out.code != 0 && !out.stdout.contains("of the host"), "{place}: {out:?}");
        }
    }
    for number in 3..12 {
        let place = format!("/proc/self/fd/{number}");
        let words = ["run", "--rm", "--network", "none", "-w", &place, IMAGE, "sh", "-c", &line];
        let out = lab.run(&words);
        assert!(out.code != 0 && !out.stdout.contains("of the host"), "{place}: {out:?}");
    }
    // By a link in the image, and for the program itself.
    lab.ok(&["exec", "base", "sh", "-c", "ln -s /proc/self/fd/8 /way; ln -s /proc/self/fd /ways"]);
    for words in [&["-w", "/way"][..], &["-w", "/ways/9"]] {
        let out = lab.run(&[&["exec"], words, &["base", "sh", "-c", &line]].concat());
        assert!(out.code != 0 && !out.stdout.contains("of the host"), "{out:?}");
    }
    let out = lab.run(&["exec", "base", "/proc/self/fd/7/bin/sh"]);
    assert!(matches!(out.code, 126 | 127), "{out:?}");
}

/// No descriptor, and no place to stand in, comes along from whoever starts something.
fn nothing_of_the_host_is_open() {
    let lab = Lab::new();
    let probe = Probe::new();
    let bind = probe.bind();
    let wharf = binary();
    // A caller with open files, and in a folder of its own.
    let from_outside = |words: &[&str]| {
        let mut command = Command::new("sh");
        let line = "cd /etc; exec 5</etc/passwd 7</ 9>/dev/null; exec \"$@\"";
        command.args(["-c", line, "sh", wharf.to_str().unwrap()]).args(words);
        command.env("WHARF_ROOT", lab.root()).env_remove("DOCKER_HOST");
        let out = run(command, b"");
        assert_eq!(out.code, 0, "{words:?}: {out:?}");
        out.stdout
    };
    // The pipe or folder that lists has no descriptor of its own: these are all.
    let clean = "cwd /\n0\n1\n2\n";
    let start = ["run", "--rm", "--network", "none", "-v", &bind];
    let mine = ["/probe", "descriptors", "self"];
    assert_eq!(from_outside(&[&start[..], &[IMAGE], &mine].concat()), clean);
    assert_eq!(from_outside(&[&start[..], &["--init", IMAGE], &mine].concat()), clean);
    let first = ["/probe", "descriptors", "1"];
    assert_eq!(from_outside(&[&start[..], &["--init", IMAGE], &first].concat()), clean);
    from_outside(&["run", "-d", "--init", "--name", "base", "-v", &bind, IMAGE, "sleep", "1000"]);
    assert_eq!(from_outside(&[&["exec", "base"][..], &mine].concat()), clean);
    assert_eq!(from_outside(&[&["exec", "base"][..], &first].concat()), clean);
    let inherited = lab.inspect("base", "/State/Pid");
    let environment = std::fs::read_to_string(format!("/proc/{inherited}/environ")).unwrap();
    assert!(!environment.contains("WHARF_ROOT"), "{environment:?}");
}

/// Returns a small root filesystem: a shell, and what `more` adds.
fn image(more: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    more(&mut tar);
    let program = std::fs::read(busybox()).unwrap();
    entry(&mut tar, "bin/busybox", 0o755, tar::EntryType::Regular, &program);
    for applet in ["sh", "cat", "ls", "true"] {
        link(&mut tar, &format!("bin/{applet}"), "busybox");
    }
    tar.into_inner().unwrap()
}

/// What belongs in /proc, /sys and /dev would land elsewhere, and be unprotected there.
fn images_with_links_for_kernel_folders() {
    let lab = Lab::empty();
    for (number, path) in ["proc", "sys", "dev"].into_iter().enumerate() {
        let links = [("tmp", "link"), ("/tmp", "absolute"), ("../../../../tmp", "upward")];
        for (target, kind) in links {
            let name = format!("links{number}:{kind}");
            lab.import(
                &image(|tar| {
                    entry(tar, "tmp", 0o1777, tar::EntryType::Directory, b"");
                    link(tar, path, target);
                }),
                &name,
            );
            let says = format!("mount on /{path}: it is no folder in the image");
            lab.fails(125, &says, &["run", "--rm", "--network", "none", &name, "true"]);
        }
        let name = format!("file{number}");
        lab.import(&image(|tar| entry(tar, path, 0o644, tar::EntryType::Regular, b"x")), &name);
        let says = format!("mount on /{path}: it is no folder in the image");
        lab.fails(125, &says, &["run", "--rm", "--network", "none", &name, "true"]);
    }
    assert_eq!(lab.ok(&["ps", "-a", "-q"]), "");
}

/// /etc/hosts and its like are mounted where the image leads; that must stay inside, and off /proc.
fn images_with_links_for_the_engines_files() {
    let lab = Lab::empty();
    let outside = folder();
    std::fs::write(outside.join("target"), "of the host").unwrap();
    let upward = format!("../../../../../..{}/target", outside.display());
    lab.import(
        &image(|tar| {
            entry(tar, "etc", 0o755, tar::EntryType::Directory, b"");
            link(tar, "etc/hosts", &upward);
            link(tar, "etc/hostname", "/srv/elsewhere");
        }),
        "led:away",
    );
    let words = ["run", "--rm", "--network", "none", "-h", "box", "led:away", "sh", "-c"];
    let out = lab.ok(&[&words[..], &["cat /etc/hosts /etc/hostname /srv/elsewhere"]].concat());
    assert!(out.contains("127.0.0.1\tlocalhost") && out.ends_with("box\nbox"), "{out}");
    assert_eq!(std::fs::read_to_string(outside.join("target")).unwrap(), "of the host");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    std::fs::remove_dir_all(&outside).unwrap();
    for (number, target) in
        ["/proc/sys/kernel/core_pattern", "/proc/self/attr/exec", "/proc/1/environ"]
            .into_iter()
            .enumerate()
    {
        let name = format!("led:to{number}");
        let tar = image(|tar| {
            entry(tar, "etc", 0o755, tar::EntryType::Directory, b"");
            link(tar, "etc/hosts", target);
        });
        lab.import(&tar, &name);
        let words = ["run", "--rm", "--network", "none", &name, "true"];
        lab.fails(125, "cannot be mounted because it is inside /proc", &words);
    }
}

/// CVE-2025-31133 and CVE-2025-52565: what the engine hides paths with, and where it puts the
/// terminal, are links in a folder that the user mounts on /dev.
fn a_dev_of_links() {
    let lab = Lab::new();
    let dev = folder();
    std::fs::create_dir(dev.join("pts")).unwrap();
    let bind = format!("{}:/dev", dev.display());
    let run = |flags: &[&str]| {
        let words = ["run", "--rm", "--network", "none", "-v", &bind];
        lab.run(&[&words[..], flags, &[IMAGE, "sh", "-c", "cat /proc/kcore | wc -c"]].concat())
    };
    let pattern = "/proc/sys/kernel/core_pattern";
    std::os::unix::fs::symlink(pattern, dev.join("null")).unwrap();
    let before = std::fs::read_to_string(pattern).unwrap();
    let out = run(&[]);
    assert!(out.code == 125 && out.stderr.contains("not the null device"), "{out:?}");
    std::fs::remove_file(dev.join("null")).unwrap();
    std::fs::write(dev.join("null"), "").unwrap();
    let out = run(&[]);
    assert!(out.code == 125 && out.stderr.contains("not the null device"), "{out:?}");
    assert_eq!(std::fs::read_to_string(pattern).unwrap(), before);
    std::fs::remove_dir_all(&dev).unwrap();
}

/// CVE-2021-30465: while one container starts, another swaps the folder that the first one's mount
/// goes into for a link that leads out.
fn links_swapped_during_a_start() {
    let lab = Lab::new();
    let probe = Probe::new();
    let shared = folder();
    let outside = folder();
    let source = folder();
    std::fs::write(source.join("planted"), "").unwrap();
    std::fs::create_dir(shared.join("real")).unwrap();
    let way_out = PathBuf::from(format!("../../../../../../../..{}", outside.display()));
    std::os::unix::fs::symlink(way_out, shared.join("link")).unwrap();
    let bind = format!("{}:/shared", shared.display());
    let words = ["run", "-d", "--network", "none", "--name", "swapper", "-v", &bind];
    let swap = [IMAGE, "/probe", "swap", "/shared/real", "/shared/link"];
    lab.ok(&[&words[..], &["-v", &probe.bind()], &swap].concat());
    lab.wait_for_log("swapper", "up");
    let mount = format!("{}:/shared/real/mounted", source.display());
    let (mut inside, mut refused) = (0, 0);
    for round in 0..many(100).max(10) {
        let words = ["run", "--rm", "--network", "none", "-v", &bind, "-v", &mount];
        let memory = format!("/shared/real/memory{round}");
        let work = format!("/shared/real/work{round}");
        let more = ["--tmpfs", &memory, "-w", &work, IMAGE, "sh", "-c", "ls /shared/*/mounted"];
        let out = lab.run(&[&words[..], &more].concat());
        match out.stdout.contains("planted") {
            true => inside += 1,
            false => refused += 1,
        }
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0, "round {round}: {out:?}");
    }
    assert!(inside + refused >= 10);
    lab.ok(&["rm", "-f", "swapper"]);
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    for folder in [&shared, &outside] {
        assert!(!mounts.contains(folder.to_str().unwrap()), "{mounts}");
    }
    for folder in [shared, outside, source] {
        std::fs::remove_dir_all(folder).unwrap();
    }
}

/// Nothing that a container mounts appears outside.
fn mounts_stay_inside() {
    let lab = Lab::new();
    let bound = folder();
    std::fs::create_dir(bound.join("place")).unwrap();
    let before = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let bind = format!("{}:/bound", bound.display());
    let line = "mount -t tmpfs inside /bound/place && mkdir -p /mnt && mount -t tmpfs inside /mnt \
                && echo secret > /bound/place/file && echo mounted; sleep 1000";
    let flags = ["--cap-add", "SYS_ADMIN", "--security-opt", "apparmor=unconfined", "-v", &bind];
    lab.start(&[&flags[..], &["--name", "mounter"]].concat(), line);
    lab.wait_for_log("mounter", "mounted");
    assert_eq!(std::fs::read_dir(bound.join("place")).unwrap().count(), 0);
    let now = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let new: Vec<&str> = now
        .lines()
        .filter(|line| line.contains(bound.to_str().unwrap()) || line.contains(" inside "))
        .filter(|line| !before.contains(*line))
        .collect();
    assert_eq!(new, Vec::<&str>::new());
    lab.ok(&["rm", "-f", "mounter"]);
    std::fs::remove_dir_all(bound).unwrap();
}

/// A mount of the host's that is taken away when the test ends, however it ends.
struct Mounted(PathBuf);

impl Mounted {
    fn new(flags: MountPropagationFlags) -> Self {
        let folder = folder();
        rustix::mount::mount("spread", &folder, "tmpfs", MountFlags::empty(), c"").unwrap();
        let mounted = Self(folder);
        rustix::mount::mount_change(&mounted.0, flags).unwrap();
        mounted
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        while rustix::mount::unmount(&self.0, UnmountFlags::DETACH).is_ok() {}
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// `rslave` lets the host's mounts in, `rshared` lets them out too, and the default neither.
fn mounts_spread_as_asked() {
    let lab = Lab::new();
    let source = Mounted::new(MountPropagationFlags::SHARED);
    for place in ["in", "out"] {
        std::fs::create_dir(source.0.join(place)).unwrap();
    }
    let line = "while [ ! -e /go ]; do :; done; mount -t tmpfs none /b/out; \
                echo x > /b/out/file; echo done; sleep 1000";
    let spread = [("", false, false), ("rslave", true, false), ("rshared", true, true)];
    for (word, gets_in, gets_out) in spread {
        let name = format!("spread{word}");
        let colon = if word.is_empty() { "" } else { ":" };
        let bind = format!("{}:/b{colon}{word}", source.0.display());
        lab.start(&["--name", &name, "--cap-add", "SYS_ADMIN", "-v", &bind], line);
        let shown = if word.is_empty() { "rprivate" } else { word };
        assert_eq!(lab.inspect(&name, "/Mounts/0/Propagation"), shown);
        assert_eq!(lab.inspect(&name, "/Mounts/0/Mode"), word);
        let inner = source.0.join("in");
        rustix::mount::mount("new", &inner, "tmpfs", MountFlags::empty(), c"").unwrap();
        std::fs::write(inner.join("file"), "").unwrap();
        let seen = lab.run(&["exec", &name, "ls", "/b/in/file"]).code == 0;
        rustix::mount::unmount(&inner, UnmountFlags::empty()).unwrap();
        assert_eq!(seen, gets_in, "{word}: a mount of the host's");
        lab.ok(&["exec", &name, "sh", "-c", "> /go"]);
        lab.wait_for_log(&name, "done");
        let file = source.0.join("out/file");
        assert_eq!(file.exists(), gets_out, "{word}: a mount of the container's");
        lab.ok(&["rm", "-f", &name]);
        // What was let out is the host's to take away, as with docker.
        let _ = rustix::mount::unmount(source.0.join("out"), UnmountFlags::DETACH);
        let _ = std::fs::remove_file(file);
    }
    drop(source);
    let private = Mounted::new(MountPropagationFlags::PRIVATE);
    for word in ["rshared", "rslave"] {
        let bind = format!("{}:/b:{word}", private.0.display());
        let words = ["run", "--rm", "--network", "none", "-v", &bind, IMAGE, "true"];
        lab.fails(125, "but it is not a shared", &words);
    }
}

/// What a container's settings and output hold can't steer the terminal that shows the settings,
/// and its output comes out byte for byte.
fn escape_sequences() {
    let lab = Lab::new();
    const EVIL: &str = "\x1b[2J\x1b]0;owned\x07\x1b[31m";
    let label = format!("evil={EVIL}");
    let environment = format!("EVIL={EVIL}");
    let line = format!("printf '%s\\n' '{EVIL}'; sleep 1000");
    lab.start(&["--name", "evil", "-l", &label, "-e", &environment], &line);
    lab.wait_for_log("evil", "owned");
    for words in [&["ps", "-a", "--no-trunc"][..], &["inspect", "evil"], &["top", "evil"]] {
        let out = lab.ok(words);
        assert!(!out.contains('\x1b') && !out.contains('\x07'), "{words:?}: {out:?}");
    }
    assert_eq!(lab.inspect("evil", "/Config/Labels/evil"), EVIL);
    assert_eq!(lab.run(&["logs", "evil"]).stdout, format!("{EVIL}\n"));
    for bad in ["\x1b[31mx", "a\nb", "a b"] {
        lab.fails(125, "container name", &["run", "--name", bad, IMAGE, "true"]);
        lab.fails(125, "hostname", &["run", "-h", bad, IMAGE, "true"]);
    }
}

/// A container that fills the disk, or its log, stops neither its neighbours nor the engine.
fn a_full_disk_is_the_own_trouble() {
    let disk = folder();
    let options = std::ffi::CString::new("size=96m,mode=755").unwrap();
    rustix::mount::mount("small", &disk, "tmpfs", MountFlags::empty(), options.as_c_str()).unwrap();
    let mounted = Mounted(disk.clone());
    {
        let lab = Lab::below(&disk);
        lab.ok(&["import", crate::harness::rootfs_archive().to_str().unwrap(), IMAGE]);
        lab.start(&["--name", "neighbour"], "while :; do echo tick; sleep 0.05; done");
        lab.wait_for_log("neighbour", "tick");
        lab.start(
            &["--name", "filler"],
            "cat /dev/zero > /fill; echo full; while :; do echo more and more and more; done",
        );
        eventually("the disk is full", || {
            rustix::fs::statvfs(&disk).is_ok_and(|found| found.f_bavail == 0)
        });
        assert_eq!(lab.inspect("neighbour", "/State/Status"), "running");
        assert_eq!(lab.ok(&["exec", "neighbour", "echo", "alive"]), "alive");
        assert_eq!(lab.ok(&["ps", "-q"]).lines().count(), 2);
        let pid = lab.pid("filler");
        // Even its death is told, with nowhere to write it down.
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        eventually("its end is seen", || lab.inspect("filler", "/State/Status") == "exited");
        assert_eq!(lab.inspect("filler", "/State/ExitCode"), 137);
        assert_eq!(lab.ok(&["ps", "-q"]).lines().count(), 1);
        lab.ok(&["rm", "-f", "filler"]);
        assert_eq!(lab.inspect("neighbour", "/State/Status"), "running");
        assert_eq!(lab.shell(&[], "echo there is room again"), "there is room again");
    }
    drop(mounted);
}
