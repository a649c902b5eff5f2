//! Real callers: docker, containerd and podman, with this runtime in the place of theirs.

use std::process::Command;

use super::Bench;
use crate::dockerd::{self, Dockerd, remove_groups};
use crate::harness::{Out, Test, eventually, lacks_programs, rootfs_tar, run};

pub(super) fn tests() -> Vec<Test> {
    vec![
        Test::new("docker_and_containerd_run_containers_by_it", docker)
            .needing(dockerd::lacks().or_else(|| lacks_programs(&["docker", "ctr"]))),
        Test::new("podman_runs_containers_by_it", podman)
            .needing(lacks_programs(&["podman", "conmon"])),
    ]
}

/// A loop that ends by SIGTERM with 5, once it has said that it can.
const LOOP: &str = "trap 'echo term; exit 5' TERM; echo ready; while :; do sleep 0.1; done";

fn docker() {
    let bench = Bench::new();
    let runtime = format!("wharf={}", bench.program().display());
    let dockerd = Dockerd::listening(&[
        "--add-runtime",
        &runtime,
        "--exec-opt",
        "native.cgroupdriver=cgroupfs",
    ]);
    let docker = |arguments: &[&str]| -> Out {
        let mut command = Command::new("docker");
        command.args(["--host", &dockerd.host()]).args(arguments);
        run(command, b"")
    };
    let ok = |arguments: &[&str]| -> String {
        let out = docker(arguments);
        assert_eq!(out.code, 0, "{arguments:?}: {out:?}");
        out.stdout.trim_end().to_owned()
    };
    dockerd.docker(&["import", "-", "box"], &rootfs_tar());
    let begin = ["run", "--rm", "--runtime", "wharf"];
    let once = |rest: &[&str]| docker(&[&begin, rest].concat());
    let out = once(&[
        "-m",
        "64m",
        "-u",
        "1000",
        "--tmpfs",
        "/t",
        "--read-only",
        "box",
        "sh",
        "-c",
        "id -u; stat -c %a /t; echo error >&2; exit 3",
    ]);
    assert_eq!(
        (out.code, out.stdout.as_str(), out.stderr.as_str()),
        (3, "1000\n1777\n", "error\n")
    );
    // What goes wrong is told as with docker's own.
    assert_eq!(once(&["box", "nosuch"]).code, 127);
    assert_eq!(once(&["box", "/srv/readme"]).code, 126);
    assert_eq!(once(&["--privileged", "box", "sh", "-c", "head -c 0 /dev/kmsg"]).code, 0);
    ok(&[
        "run",
        "-d",
        "--runtime",
        "wharf",
        "--name",
        "looper",
        "-m",
        "64m",
        "box",
        "sh",
        "-c",
        LOOP,
    ]);
    eventually("it is ready", || ok(&["logs", "looper"]) == "ready");
    assert_eq!(ok(&["exec", "looper", "echo", "inside"]), "inside");
    let line = format!("docker --host {} exec -t looper tty", dockerd.host());
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]);
    let out = run(script, b"");
    assert!(out.stdout.contains("/dev/pts/"), "{out:?}");
    ok(&["pause", "looper"]);
    assert_eq!(ok(&["inspect", "-f", "{{.State.Status}}", "looper"]), "paused");
    ok(&["unpause", "looper"]);
    ok(&["update", "-m", "100m", "--memory-swap", "200m", "looper"]);
    assert!(ok(&["top", "looper"]).contains("trap"));
    ok(&["stop", "-t", "60", "looper"]);
    assert_eq!(ok(&["inspect", "-f", "{{.State.ExitCode}}", "looper"]), "5");
    assert_eq!(ok(&["logs", "looper"]), "ready\nterm");
    ok(&["start", "looper"]);
    ok(&["kill", "looper"]);
    ok(&["rm", "-f", "looper"]);
    // containerd's own client, at the same containerd.
    let rootfs = bench.bundle().join("rootfs");
    let mut ctr = Command::new("ctr");
    ctr.arg("-a").arg(dockerd.containerd_socket()).args(["-n", "wharf", "run", "--rm"]);
    ctr.arg("--runc-binary")
        .arg(bench.program())
        .args(["--cgroup", &format!("/{}/ctr", bench.group)]);
    ctr.args(["--rootfs"]).arg(rootfs).args(["one", "sh", "-c", "echo by containerd; exit 6"]);
    let out = run(ctr, b"");
    assert_eq!((out.code, out.stdout.as_str()), (6, "by containerd\n"), "{out:?}");
}

fn podman() {
    let bench = Bench::new();
    let path = |name: &str| bench.path(name).display().to_string();
    let settings = "[containers]\ndefault_ulimits = [\"nofile=256:256\", \"nproc=256:256\"]\n";
    std::fs::write(path("containers.conf"), settings).unwrap();
    let podman = |arguments: &[&str], input: &[u8]| -> Out {
        let mut command = Command::new("podman");
        command.env("CONTAINERS_CONF", path("containers.conf"));
        command.args(["--root", &path("storage"), "--runroot", &path("run")]);
        command.args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"]);
        command.args(["--events-backend", "file", "--tmpdir", &path("podman")]);
        command.arg("--runtime").arg(bench.program()).args(arguments);
        run(command, input)
    };
    let ok = |arguments: &[&str]| -> String {
        let out = podman(arguments, b"");
        assert_eq!(out.code, 0, "{arguments:?}: {out:?}");
        out.stdout.trim_end().to_owned()
    };
    assert_eq!(podman(&["import", "-", "localhost/box"], &rootfs_tar()).code, 0);
    let parent = format!("/{}", bench.group);
    let flags = ["--network", "none", "--cgroup-parent", &parent];
    let once = |rest: &[&str]| podman(&[&["run", "--rm"], &flags[..], rest].concat(), b"");
    let out = once(&["-u", "1000", "--read-only", "localhost/box", "sh", "-c", "id -u; exit 3"]);
    assert_eq!((out.code, out.stdout.as_str()), (3, "1000\n"), "{out:?}");
    assert_eq!(once(&["localhost/box", "nosuch"]).code, 127);
    assert_eq!(once(&["localhost/box", "/srv/readme"]).code, 126);
    let out = once(&["-t", "localhost/box", "tty"]);
    assert!(out.stdout.contains("/dev/pts/0"), "{out:?}");
    let rest = ["-d", "--name", "c", "-m", "64m", "localhost/box", "sh", "-c", LOOP];
    ok(&[&["run"], &flags[..], &rest].concat());
    eventually("it is ready", || ok(&["logs", "c"]) == "ready");
    assert_eq!(ok(&["exec", "c", "echo", "inside"]), "inside");
    assert_eq!(podman(&["exec", "c", "nosuch"], b"").code, 127);
    ok(&["pause", "c"]);
    assert_eq!(ok(&["inspect", "-f", "{{.State.Status}}", "c"]), "paused");
    ok(&["unpause", "c"]);
    ok(&["stop", "-t", "60", "c"]);
    assert_eq!(ok(&["inspect", "-f", "{{.State.ExitCode}}", "c"]), "5");
    assert_eq!(ok(&["logs", "c"]), "ready\nterm");
    ok(&["start", "c"]);
    ok(&["kill", "c"]);
    ok(&["rm", "-f", "c"]);
    // Several in one another's namespaces, one that says how it is, and what can't be done.
    let infra = ["--infra-image", "localhost/box", "--infra-command", "/bin/tail -f /dev/null"];
    let pod = ["pod", "create", "--name", "p", "--share", "ipc,uts,pid"];
    ok(&[&pod[..], &flags, &infra].concat());
    let health = ["--health-cmd", "echo fine", "--health-interval", "disable"];
    let member = ["run", "-d", "--pod", "p", "--name", "a"];
    ok(&[&member[..], &health, &["localhost/box", "sleep", "1000"]].concat());
    let seen = ok(&["run", "--rm", "--pod", "p", "localhost/box", "ps"]);
    assert!(seen.contains("tail -f /dev/null") && seen.contains("sleep 1000"), "{seen}");
    assert_eq!(podman(&["healthcheck", "run", "a"], b"").code, 0);
    let out = podman(&["container", "checkpoint", "a"], b"");
    assert!(out.code != 0 && out.stderr.contains("does not support checkpoint"), "{out:?}");
    ok(&["pod", "rm", "-t", "0", "-f", "p"]);
    // conmon ends a moment after its container, and leaves its own group.
    eventually("podman's groups are gone", || {
        bench.groups().iter().for_each(|group| remove_groups(group));
        bench.groups().is_empty()
    });
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let ours = bench.path("").display().to_string();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    for point in
        points.filter(|point| point.starts_with(&ours)).collect::<Vec<_>>().into_iter().rev()
    {
        let _ = rustix::mount::unmount(point, rustix::mount::UnmountFlags::DETACH);
    }
}
