//! Namespaces that are shared, mounts, and what else the flags say of a container's surroundings.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::harness::{IMAGE, Lab, Test, eventually, folder};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        memory_is_shared_as_asked,
        processes_are_shared_as_asked,
        the_end_with_the_hosts_pids_leaves_nothing,
        names_and_cgroups_of_the_host,
        who_is_joined_must_run,
        mounts_of_every_kind,
        mounts_below_a_read_only_one,
        missing_sources,
        mounts_of_other_containers,
        settings_of_namespaces,
        seccomp_profiles,
        paths_unprotected,
        environment_is_taken_away,
        files_of_ids,
        platforms,
        inspection_shows_it,
    ]
}

fn namespace(lab: &Lab, container: &str, name: &str) -> String {
    lab.ok(&["exec", container, "readlink", &format!("/proc/self/ns/{name}")])
}

fn own(name: &str) -> String {
    std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap().to_str().unwrap().to_owned()
}

fn memory_is_shared_as_asked() {
    let lab = Lab::new();
    lab.start(&["--name", "donor", "--ipc", "shareable"], "sleep 1000");
    lab.start(&["--name", "guest", "--ipc", "container:donor"], "sleep 1000");
    lab.ok(&["exec", "guest", "sh", "-c", "echo shared > /dev/shm/file; > /dev/mqueue/queue"]);
    assert_eq!(lab.ok(&["exec", "donor", "cat", "/dev/shm/file"]), "shared");
    assert_eq!(lab.ok(&["exec", "donor", "ls", "/dev/mqueue"]), "queue");
    assert_eq!(namespace(&lab, "donor", "ipc"), namespace(&lab, "guest", "ipc"));
    assert_ne!(namespace(&lab, "donor", "mnt"), namespace(&lab, "guest", "mnt"));
    // The guest of a guest, and what outlives the donor.
    lab.start(&["--name", "second", "--ipc", "container:guest"], "sleep 1000");
    lab.ok(&["rm", "-f", "donor"]);
    assert_eq!(lab.ok(&["exec", "second", "cat", "/dev/shm/file"]), "shared");
    lab.start(&["--name", "alone"], "sleep 1000");
    assert_ne!(namespace(&lab, "alone", "ipc"), namespace(&lab, "guest", "ipc"));
    let words = ["run", "--rm", "--network", "none", "--ipc", "container:alone", IMAGE, "true"];
    lab.fails(125, "non-shareable IPC", &words);
    let out = lab.shell(&["--ipc", "none"], "ls -d /dev/shm 2>&1; readlink /proc/self/ns/ipc");
    assert!(out.starts_with("ls: /dev/shm: No such file") && !out.contains(&own("ipc")), "{out}");
    let marker = format!("/dev/shm/wharf-it-{}", std::process::id());
    std::fs::write(&marker, "host").unwrap();
    let line = format!("cat {marker}; readlink /proc/self/ns/ipc");
    let out = lab.shell(&["--ipc", "host"], &line);
    let hidden = lab.shell(&[], &format!("ls {marker} 2>&1 | tail -1"));
    std::fs::remove_file(&marker).unwrap();
    assert_eq!(out, format!("host{}", own("ipc")));
    assert!(hidden.contains("No such file"), "{hidden}");
    assert_eq!(
        lab.shell(&["--shm-size", "1m"], "df /dev/shm | tail -1 | awk '{print $2}'"),
        "1024"
    );
}

fn processes_are_shared_as_asked() {
    let lab = Lab::new();
    lab.start(&["--name", "donor"], "sleep 12345");
    let line = "ps -o args | grep -v grep | grep -c 'sleep 12345'; echo $$; echo up; sleep 1000";
    lab.start(&["--name", "guest", "--pid", "container:donor"], line);
    lab.wait_for_log("guest", "up");
    let log = lab.ok(&["logs", "guest"]);
    let numbers: Vec<u32> = log.lines().take(2).map(|line| line.parse().unwrap()).collect();
    assert_eq!(numbers[0], 1, "it sees the donor's process");
    assert!(numbers[1] > 1, "and is not the first");
    assert_eq!(namespace(&lab, "donor", "pid"), namespace(&lab, "guest", "pid"));
    let top = lab.ok(&["top", "guest"]);
    assert!(top.contains("sleep 1000") && !top.contains("sleep 12345"), "{top}");
    // A signal is for its own first process; the donor goes on.
    lab.ok(&["kill", "guest"]);
    assert_eq!(lab.ok(&["wait", "guest"]), "137");
    assert_eq!(lab.inspect("donor", "/State/Status"), "running");
    // With the donor's namespace all in it end.
    lab.ok(&["start", "guest"]);
    lab.ok(&["rm", "-f", "donor"]);
    eventually("the guest has ended", || lab.inspect("guest", "/State/Status") == "exited");
    assert_eq!(lab.inspect("guest", "/State/ExitCode"), 137);
    lab.fails(1, "No such container", &["start", "guest"]);
}

/// Without a PID namespace of its own the kernel ends nobody along with the first process.
fn the_end_with_the_hosts_pids_leaves_nothing() {
    let lab = Lab::new();
    let alive = |number: u32| {
        std::fs::read_dir("/proc").unwrap().flatten().any(|process| {
            let path = process.path();
            let line = std::fs::read(path.join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line) == format!("sleep\0{number}\0")
        })
    };
    let number = 1_000_000 + std::process::id();
    let line = format!(
        "setsid sleep {number} & (setsid sh -c 'trap \"\" TERM; sleep {number}' &) ; \
         [ $$ -gt 1 ] && echo up; exec sleep 1000"
    );
    for end in [&["kill", "hosts"][..], &["stop", "-t", "0", "hosts"], &["rm", "-f", "hosts"]] {
        lab.start(&["--name", "hosts", "--pid", "host"], &line);
        lab.wait_for_log("hosts", "up");
        assert_eq!(namespace(&lab, "hosts", "pid"), own("pid"));
        lab.ok(&["exec", "-d", "hosts", "sleep", &number.to_string()]);
        eventually("they run", || alive(number));
        lab.ok(end);
        if end[0] == "kill" {
            assert_eq!(lab.ok(&["wait", "hosts"]), "137");
        }
        assert!(!alive(number), "left by {end:?}");
        lab.run(&["rm", "-f", "hosts"]);
    }
    // Its own end, and its output to the last byte.
    let line = format!("sleep {number} & echo last words");
    assert_eq!(lab.shell(&["--pid", "host"], &line), "last words");
    eventually("its child ends with it", || !alive(number));
}

fn names_and_cgroups_of_the_host() {
    let lab = Lab::new();
    let host = rustix::system::uname().nodename().to_str().unwrap().to_owned();
    let out = lab.shell(&["--uts", "host"], "hostname; readlink /proc/self/ns/uts");
    assert_eq!(out, format!("{host}\n{}", own("uts")));
    let out = lab.shell(&["--cgroupns", "host"], "readlink /proc/self/ns/cgroup; \
                        grep -c wharf /proc/self/cgroup > /dev/null && echo seen; ls /sys/fs/cgroup");
    assert!(out.starts_with(&format!("{}\nseen\n", own("cgroup"))), "{out}");
    let out = lab.shell(&[], "grep -c wharf /proc/self/cgroup; true");
    assert_eq!(out, "0", "its own view begins at its own group");
    let out = lab.shell(
        &["-h", "box", "--domainname", "example.org"],
        "hostname; \
                        cat /proc/sys/kernel/domainname /etc/hostname",
    );
    assert_eq!(out, "box\nexample.org\nbox");
    lab.start(&["--name", "uts", "--uts", "host"], "sleep 1000");
    assert_eq!(namespace(&lab, "uts", "uts"), own("uts"));
    assert_eq!(rustix::system::uname().nodename().to_str().unwrap(), host);
}

fn who_is_joined_must_run() {
    let lab = Lab::new();
    lab.ok(&["create", "--name", "stopped", "--ipc", "shareable", IMAGE, "true"]);
    for (flag, says) in [("--pid", "is not running"), ("--ipc", "can't join IPC of container")] {
        let words = ["run", "--rm", "--network", "none", flag, "container:stopped", IMAGE, "true"];
        lab.fails(125, says, &words);
        let words = ["run", "--rm", "--network", "none", flag, "container:nobody", IMAGE, "true"];
        lab.fails(125, "No such container: nobody", &words);
    }
    assert_eq!(lab.ok(&["ps", "-a", "-q"]).lines().count(), 1);
    // Joined by name, kept by id: a name may change hands.
    lab.start(&["--name", "donor", "--ipc", "shareable"], "sleep 1000");
    let id = lab.inspect("donor", "/Id").as_str().unwrap().to_owned();
    lab.ok(&["create", "--name", "guest", "--ipc", "container:donor", IMAGE, "true"]);
    assert_eq!(lab.inspect("guest", "/HostConfig/IpcMode"), format!("container:{id}"));
}

fn mounts_of_every_kind() {
    let lab = Lab::new();
    let source = folder();
    std::fs::create_dir_all(source.join("deep/deeper")).unwrap();
    std::fs::write(source.join("file"), "content").unwrap();
    let path = source.to_str().unwrap();
    // Given in the wrong order, mounted in the right one: each target lies in another mount.
    let inner = format!("type=bind,source={path}/file,target=/a/mem/b/file,readonly");
    let memory = "type=tmpfs,dst=/a/mem,tmpfs-size=1m,tmpfs-mode=1770";
    let flags = ["--mount", &inner, "--mount", memory, "-v", &format!("{path}/deep:/a")];
    let line = "cat /a/mem/b/file; stat -c %a /a/mem; df -k /a/mem | tail -1 | awk '{print $2}'; \
                (echo x > /a/mem/b/file) 2>&1 | grep -o 'Read-only.*'; ls /a";
    assert_eq!(lab.shell(&flags, line), "content1770\n1024\nRead-only file system\ndeeper\nmem");
    // The folder that a mount needed was made, in the source that it lies in.
    assert!(source.join("deep/mem").is_dir());
    // The root is read-only, mounts are not; and one of them may be.
    let bind = format!("{path}:/b");
    let flags = ["--read-only", "-v", &bind, "--tmpfs", "/t", "--tmpfs", "/ro:ro"];
    let line = "for f in /x /b/x /t/x /ro/x /dev/shm/x; do (> $f) 2>/dev/null && echo $f; done";
    assert_eq!(lab.shell(&flags, line), "/b/x\n/t/x\n/dev/shm/x");
    // Options of memory: nothing runs from it unless asked.
    let line =
        "for d in /n /e; do cp /bin/busybox $d/true; $d/true && echo ran $d; done 2>/dev/null";
    assert_eq!(lab.shell(&["--tmpfs", "/n", "--tmpfs", "/e:exec"], line), "ran /e");
    // A file of the engine's gives way.
    let bind = format!("{path}/file:/etc/hosts");
    assert_eq!(lab.shell(&["-v", &bind], "cat /etc/hosts"), "content");
    // A folder that is there keeps its mode, a new one is everybody's.
    let line = "stat -c %a /root /new";
    assert_eq!(lab.shell(&["--tmpfs", "/root", "--tmpfs", "/new"], line), "700\n1777");
    std::fs::remove_dir_all(source).unwrap();
}

fn mounts_below_a_read_only_one() {
    let lab = Lab::new();
    let source = folder();
    let below = source.join("below");
    std::fs::create_dir(&below).unwrap();
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("below", &below, "tmpfs", flags, c"").unwrap();
    let path = source.to_str().unwrap();
    let line = "(> /m/x) 2>/dev/null && echo top; (> /m/below/x) 2>/dev/null && echo below; \
                grep -c ' /m' /proc/mounts";
    let plain = format!("type=bind,src={path},dst=/m,readonly");
    let outcomes = [
        ("", "2"),
        (",bind-recursive=disabled", "1"),
        (",bind-recursive=writable", "below\n2"),
        (",bind-recursive=readonly,bind-propagation=rprivate", "2"),
    ]
    .map(|(more, expected)| {
        (lab.shell(&["--mount", &format!("{plain}{more}")], line), expected, more)
    });
    rustix::mount::unmount(&below, rustix::mount::UnmountFlags::DETACH).unwrap();
    std::fs::remove_dir_all(&source).unwrap();
    for (out, expected, more) in outcomes {
        assert_eq!(out, expected, "{more}");
    }
}

fn missing_sources() {
    let lab = Lab::new();
    let base = folder();
    let missing = base.join("not/there");
    let mount = format!("type=bind,src={},dst=/m", missing.display());
    let says = format!("bind source path does not exist: {}", missing.display());
    lab.fails(125, &says, &["run", "--mount", &mount, IMAGE, "true"]);
    assert!(!missing.exists());
    lab.shell(&["-v", &format!("{}:/m", missing.display())], "true");
    assert!(missing.is_dir());
    // Gone between create and start.
    lab.ok(&["create", "--name", "late", "--network", "none", "--mount", &mount, IMAGE, "true"]);
    std::fs::remove_dir(&missing).unwrap();
    lab.fails(1, &says, &["start", "late"]);
    std::fs::remove_dir_all(base).unwrap();
    for (words, says) in [
        (["--pull", "sometimes"], "invalid pull option: 'sometimes'"),
        (["--runtime", "runc"], "unknown or invalid runtime name: runc"),
    ] {
        lab.fails(125, says, &[&["run"], &words[..], &[IMAGE, "true"]].concat());
    }
}

fn mounts_of_other_containers() {
    let lab = Lab::new();
    let source = folder();
    for name in ["a", "b", "own"] {
        std::fs::create_dir(source.join(name)).unwrap();
        std::fs::write(source.join(name).join("name"), name).unwrap();
    }
    let path = source.to_str().unwrap();
    let a = format!("{path}/a:/a");
    let b = format!("type=bind,src={path}/b,dst=/b,readonly");
    let words = ["create", "--name", "donor", "--network", "none", "-v", &a, "--mount", &b];
    lab.ok(&[&words[..], &["--tmpfs", "/t", IMAGE, "true"]].concat());
    let line =
        "cat /a/name /b/name; for d in a b t; do (> /$d/x) 2>/dev/null && echo $d; done; true";
    assert_eq!(lab.shell(&["--volumes-from", "donor"], line), "aba");
    assert_eq!(lab.shell(&["--volumes-from", "donor:ro"], line), "ab");
    // One's own takes the place, and what was taken over is handed on.
    let own = format!("{path}/own:/b");
    let words = ["create", "--name", "heir", "--network", "none", "--volumes-from", "donor"];
    lab.ok(&[&words[..], &["-v", &own, IMAGE, "true"]].concat());
    let line = "cat /a/name /b/name";
    assert_eq!(lab.shell(&["--volumes-from", "heir"], line), "aown");
    let mounts = lab.inspect("heir", "/Mounts");
    assert_eq!(mounts.as_array().unwrap().len(), 2, "{mounts}");
    // Fixed at create: the donor may go.
    lab.ok(&["create", "--name", "late", "--volumes-from", "donor", IMAGE, "cat", "/a/name"]);
    lab.ok(&["rm", "donor"]);
    assert_eq!(lab.run(&["start", "-a", "late"]).stdout, "a");
    std::fs::remove_dir_all(source).unwrap();
}

fn settings_of_namespaces() {
    let lab = Lab::new();
    let flags = [
        "--sysctl",
        "net.ipv4.ip_forward=1",
        "--sysctl",
        "kernel.msgmax=4096",
        "--sysctl",
        "fs.mqueue.msg_max=7",
    ];
    let line =
        "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/sys/fs/mqueue/msg_max";
    assert_eq!(lab.shell(&flags, line), "1\n4096\n7");
    // One of the interface that the container gets, and of none that it hasn't.
    let words = ["run", "--rm", "--sysctl", "net.ipv4.conf.eth0.forwarding=0", IMAGE, "cat"];
    let file = "/proc/sys/net/ipv4/conf/eth0/forwarding";
    assert_eq!(lab.ok(&[&words[..], &[file]].concat()), "0");
    let words = ["run", "--rm", "--sysctl", "net.ipv4.no_such=1", IMAGE, "true"];
    lab.fails(125, "net.ipv4.no_such", &words);
    for (flags, says) in [
        (&["--sysctl", "vm.swappiness=1"][..], "is not allowed"),
        (&["--network", "host", "--sysctl", "net.ipv4.ip_forward=1"], "host network namespace"),
        (&["--ipc", "host", "--sysctl", "kernel.msgmax=1"], "hosts ipc namespace"),
    ] {
        lab.fails(125, says, &[&["run", "--rm"], flags, &[IMAGE, "true"]].concat());
    }
    assert_eq!(lab.ok(&["ps", "-a", "-q"]), "");
}

fn seccomp_profiles() {
    let lab = Lab::new();
    let base = folder();
    let write = |name: &str, text: &str| {
        let path = base.join(name);
        std::fs::write(&path, text).unwrap();
        format!("seccomp={}", path.display())
    };
    let denied = write(
        "deny.json",
        "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mkdir\",\"no_such_call\"],\
         \"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":5}]}",
    );
    let out = lab.run(&["run", "--rm", "--security-opt", &denied, IMAGE, "mkdir", "/new"]);
    assert!(out.code == 1 && out.stderr.contains("Input/output error"), "{out:?}");
    // Programs run by exec, and privileged ones, have it too.
    lab.start(&["--name", "base", "--security-opt", &denied], "sleep 1000");
    for words in
        [&["exec", "base", "mkdir", "/new"][..], &["exec", "--privileged", "base", "mkdir", "/n"]]
    {
        let out = lab.run(words);
        assert!(out.stderr.contains("Input/output error"), "{out:?}");
    }
    let shown = lab.inspect("base", "/HostConfig/SecurityOpt/0");
    assert!(shown.as_str().unwrap().starts_with("seccomp={\"defaultAction\""), "{shown}");
    let killed = write(
        "kill.json",
        "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mkdir\"],\
         \"action\":\"SCMP_ACT_KILL_PROCESS\"}]}",
    );
    let words = ["run", "--rm", "--network", "none", "--security-opt", &killed, IMAGE];
    assert_eq!(lab.run(&[&words[..], &["mkdir", "/new"]].concat()).code, 128 + 31);
    for (text, says) in [
        ("{", "compacting json for seccomp profile"),
        ("{\"defaultAction\":\"SCMP_ACT_NOPE\"}", "Decoding seccomp profile failed"),
        ("{\"defaultAction\":\"SCMP_ACT_NOTIFY\"}", "SCMP_ACT_NOTIFY is not supported yet"),
    ] {
        let profile = write("bad.json", text);
        lab.fails(125, says, &["run", "--rm", "--security-opt", &profile, IMAGE, "true"]);
    }
    std::fs::remove_dir_all(&base).unwrap();
    assert_eq!(lab.ok(&["ps", "-a", "-q"]).lines().count(), 1);
    let line = "grep Seccomp: /proc/self/status | cut -f2";
    assert_eq!(lab.shell(&["--security-opt", "seccomp=unconfined"], line), "0");
    assert_eq!(lab.shell(&["--security-opt", "seccomp=builtin"], line), "2");
}

fn paths_unprotected() {
    let lab = Lab::new();
    let line = "grep -c ' /proc/' /proc/mounts; true";
    assert_ne!(lab.shell(&[], line), "0");
    assert_eq!(lab.shell(&["--security-opt", "systempaths=unconfined"], line), "0");
}

fn environment_is_taken_away() {
    let lab = Lab::new();
    let base = folder();
    let file = base.join("file");
    std::fs::write(&file, "# comment\n  A=from file \nHOSTNAME\nNOT_SET_ANYWHERE\nB=x=y\r\n")
        .unwrap();
    let file = file.to_str().unwrap();
    let flags =
        ["--env-file", file, "-e", "PATH", "-e", "C=1", "-e", "NOT_SET_ANYWHERE", "-h", "h"];
    let mut command = lab.command(&["run", "--rm", "--network", "none"]);
    command.args(flags).args([IMAGE, "/bin/env"]).env_remove("HOSTNAME").env_remove("PATH");
    let out = crate::harness::run(command, b"").stdout;
    let mut lines: Vec<&str> = out.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["A=from file ", "B=x=y", "C=1", "HOME=/root", "HOSTNAME=h"]);
    lab.start(&["--name", "base", "-e", "KEPT=1", "-e", "GONE=1"], "sleep 1000");
    let mut command = lab.command(&["exec", "-e", "GONE", "--env-file", file, "base", "env"]);
    command.env_remove("GONE").env_remove("HOSTNAME");
    let out = crate::harness::run(command, b"").stdout;
    assert!(out.contains("KEPT=1\n") && out.contains("B=x=y\n") && !out.contains("GONE"), "{out}");
    for (text, says) in
        [("A B=1", "variable 'A B' contains whitespaces"), ("=x", "no variable name on line '=x'")]
    {
        std::fs::write(file, text).unwrap();
        lab.fails(125, says, &["run", "--rm", "--env-file", file, IMAGE, "true"]);
        lab.fails(125, says, &["run", "--rm", "--label-file", file, IMAGE, "true"]);
    }
    std::fs::remove_dir_all(base).unwrap();
}

fn files_of_ids() {
    let lab = Lab::new();
    let base = folder();
    let file = base.join("id");
    let path = file.to_str().unwrap();
    let id = lab.ok(&["create", "--cidfile", path, IMAGE, "true"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), id);
    assert_eq!(lab.inspect(&id, "/HostConfig/ContainerIDFile"), path);
    lab.fails(125, "container ID file found", &["run", "--cidfile", path, IMAGE, "true"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), id);
    // A failure leaves none.
    let other = base.join("other");
    let path = other.to_str().unwrap();
    lab.fails(125, "", &["run", "--pull", "never", "--cidfile", path, "no-such-image", "true"]);
    assert!(!other.exists());
    let path = "/no/such/folder/id";
    lab.fails(125, "failed to create the container ID file", &["run", "--cidfile", path, IMAGE]);
    std::fs::remove_dir_all(base).unwrap();
}

fn platforms() {
    let lab = Lab::new();
    for platform in ["linux/amd64", "linux", "amd64", "linux/x86_64"] {
        lab.ok(&["run", "--rm", "--network", "none", "--platform", platform, IMAGE, "true"]);
    }
    for (platform, says) in [
        ("linux/arm64", "does not match the specified platform: wanted linux/arm64"),
        ("foo", "unknown operating system or architecture"),
        ("a/b/c/d", "cannot parse platform specifier"),
    ] {
        let words = ["run", "--rm", "--pull", "never", "--platform", platform, IMAGE, "true"];
        lab.fails(125, says, &words);
    }
}

fn inspection_shows_it() {
    let lab = Lab::new();
    let source = folder();
    let path = source.to_str().unwrap();
    let bind = format!("{path}:/a:ro,z");
    let mount = format!("type=bind,src={path},dst=/b,bind-propagation=private,readonly");
    let flags = [
        "--dns",
        "1.1.1.1",
        "--dns-search",
        "a.b",
        "--dns-opt",
        "x:1",
        "--add-host",
        "a:1.2.3.4",
        "--annotation",
        "k=v",
        "--group-add",
        "7",
        "--ipc",
        "host",
        "--pid",
        "host",
        "--uts",
        "host",
        "--cgroupns",
        "host",
        "--shm-size",
        "1m",
        "--security-opt",
        "no-new-privileges",
        "--security-opt",
        "seccomp=unconfined",
        "--security-opt",
        "label=disable",
        "--security-opt",
        "systempaths=unconfined",
        "--domainname",
        "d",
        "--sysctl",
        "net.ipv4.ip_forward=1",
        "-v",
        &bind,
        "--mount",
        &mount,
        "--tmpfs",
        "/t:size=1m",
    ];
    lab.ok(&[&["create", "--name", "all"], &flags[..], &[IMAGE, "true"]].concat());
    let host = lab.inspect("all", "/HostConfig");
    for (key, expected) in [
        ("Dns", serde_json::json!(["1.1.1.1"])),
        ("DnsSearch", serde_json::json!(["a.b"])),
        ("DnsOptions", serde_json::json!(["x:1"])),
        ("ExtraHosts", serde_json::json!(["a:1.2.3.4"])),
        ("Annotations", serde_json::json!({"k": "v"})),
        ("GroupAdd", serde_json::json!(["7"])),
        ("IpcMode", "host".into()),
        ("PidMode", "host".into()),
        ("UTSMode", "host".into()),
        ("CgroupnsMode", "host".into()),
        ("ShmSize", (1 << 20).into()),
        (
            "SecurityOpt",
            serde_json::json!(["no-new-privileges", "seccomp=unconfined", "label=disable"]),
        ),
        ("MaskedPaths", serde_json::json!([])),
        ("ReadonlyPaths", serde_json::json!([])),
        ("Sysctls", serde_json::json!({"net.ipv4.ip_forward": "1"})),
        ("Binds", serde_json::json!([bind])),
        (
            "Mounts",
            serde_json::json!([{"Type": "bind", "Source": path, "Target": "/b", "ReadOnly": true,
                "BindOptions": {"Propagation": "private"}}]),
        ),
        ("Tmpfs", serde_json::json!({"/t": "size=1m"})),
    ] {
        assert_eq!(host[key], expected, "{key}");
    }
    assert_eq!(
        lab.inspect("all", "/Mounts"),
        serde_json::json!([
            {"Type": "bind", "Source": path, "Destination": "/a", "Mode": "ro,z", "RW": false,
                "Propagation": "rprivate"},
            {"Type": "bind", "Source": path, "Destination": "/b", "Mode": "", "RW": false,
                "Propagation": "private"},
        ])
    );
    assert_eq!(lab.inspect("all", "/Config/Domainname"), "d");
    assert!(Path::new(path).metadata().unwrap().is_dir() && source.metadata().unwrap().ino() > 0);
    std::fs::remove_dir_all(source).unwrap();
}
