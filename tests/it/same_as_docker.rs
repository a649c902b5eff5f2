//! What a container may do, compared with docker bit for bit: the same program under the same flags
//! in both.

use std::collections::BTreeMap;
use std::process::Command;

use crate::dockerd::{self, Dockerd};
use crate::harness::{IMAGE, Lab, Out, Test, lacks_programs, rootfs_archive, run};
use crate::probe::{self, Probe};

pub(crate) fn tests() -> Vec<Test> {
    let lacks = dockerd::lacks().or_else(|| lacks_programs(&["docker"])).or_else(probe::lacks);
    [
        Test::new("capabilities_and_filter_flags", capabilities_and_filter_flags),
        Test::new("every_system_call", every_system_call),
        Test::new("names_files_and_mounts", names_files_and_mounts),
        Test::new("refusals", refusals),
    ]
    .into_iter()
    .map(|test| test.needing(lacks.clone()))
    .collect()
}

/// Both engines, with the same image.
struct Both {
    lab: Lab,
    docker: Dockerd,
    probe: Probe,
}

impl Both {
    fn new() -> Self {
        let both = Self { lab: Lab::new(), docker: Dockerd::start(), probe: Probe::new() };
        let out = both.docker(&["import", rootfs_archive().to_str().unwrap(), IMAGE]);
        assert_eq!(out.code, 0, "{out:?}");
        both
    }

    fn docker(&self, words: &[&str]) -> Out {
        let mut command = Command::new("docker");
        command.args(words).env("DOCKER_HOST", self.docker.host());
        run(command, b"")
    }

    /// Runs a program under the same flags in both; none when docker itself can't start it, as where
    /// this machine lacks a capability that docker insists on.
    fn outputs(&self, flags: &[&str], program: &[&str]) -> Option<(Out, Out)> {
        let bind = self.probe.bind();
        let mut words = vec!["run", "--rm", "--network", "none", "-v", &bind];
        words.extend_from_slice(flags);
        words.push(IMAGE);
        words.extend_from_slice(program);
        let docker = self.docker(&words);
        if docker.code == 125 && docker.stderr.contains("unable to apply caps") {
            eprintln!("docker can't start {flags:?} here");
            return None;
        }
        Some((self.lab.run(&words), docker))
    }
}

const SETS: [&[&str]; 10] = [
    &[],
    &["--cap-add", "NET_ADMIN"],
    &["--cap-add", "ALL"],
    &["--cap-drop", "ALL"],
    &["--cap-drop", "ALL", "--cap-add", "CHOWN"],
    &["--privileged"],
    &["-u", "1000"],
    &["-u", "1000", "--cap-add", "NET_ADMIN"],
    &["--security-opt", "no-new-privileges"],
    &["--security-opt", "seccomp=unconfined"],
];

/// Returns the lines of /proc/self/status that say what a process may do.
fn rights(status: &str) -> Vec<String> {
    let wanted = ["Cap", "NoNewPrivs", "Seccomp:", "Groups", "Uid", "Gid"];
    let lines = status.lines().filter(|line| wanted.iter().any(|start| line.starts_with(start)));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn capabilities_and_filter_flags() {
    let both = Both::new();
    let mut compared = 0;
    for flags in SETS {
        let status = ["cat", "/proc/self/status"];
        let Some((ours, theirs)) = both.outputs(flags, &status) else { continue };
        let (ours, theirs) = (rights(&ours.stdout), rights(&theirs.stdout));
        assert_eq!(theirs.len(), 10, "{flags:?}: {theirs:?}");
        assert_eq!(ours, theirs, "{flags:?}");
        let mut words = vec!["run", "-d", "--network", "none", "--name", "host"];
        words.extend_from_slice(flags);
        words.extend_from_slice(&[IMAGE, "sleep", "1000"]);
        both.lab.ok(&words);
        assert_eq!(both.docker(&words).code, 0);
        let ways: [&[&str]; 6] = [
            &[],
            &["--privileged"],
            &["-u", "1000"],
            &["-u", "0"],
            &["-u", "app:7"],
            &["--privileged", "-u", "1000"],
        ];
        for way in ways {
            let mut words = vec!["exec"];
            words.extend_from_slice(way);
            words.extend_from_slice(&["host", "cat", "/proc/self/status"]);
            let theirs = both.docker(&words);
            if theirs.code != 0 && theirs.stdout.contains("unable to apply caps") {
                continue;
            }
            let theirs = rights(&theirs.stdout);
            assert_eq!(theirs.len(), 10, "{flags:?} {way:?}: {theirs:?}");
            assert_eq!(rights(&both.lab.ok(&words)), theirs, "{flags:?} exec {way:?}");
        }
        both.lab.ok(&["rm", "-f", "host"]);
        assert_eq!(both.docker(&["rm", "-f", "host"]).code, 0);
        compared += 1;
    }
    assert!(compared >= 8, "only {compared} sets of flags could be compared");
}

/// Returns why wharf may answer otherwise than the dockerd of the distribution, whose profile is
/// some years older than the one followed here.
fn may_differ(call: &str, number: u32) -> Option<&'static str> {
    let why = match (call, number) {
        // The lower half of an argument decides, since the kernel takes no more of it: -1 is the
        // question for the personality, and no family that is allowed.
        ("call", 135 | 41) => "64 bits of a 32-bit argument",
        ("call", 303) => "name_to_handle_at is allowed since it gives nothing by itself",
        ("call", 310 | 311 | 440) => "process_vm_* and process_madvise obey the rules of ptrace",
        ("call", 329..=331) => "memory protection keys are allowed by newer profiles",
        ("call", 425..=427) => "io_uring is denied by newer profiles",
        ("call", 450..=462) => "the older profile doesn't know these",
        ("socket", 38 | 40) => "AF_ALG and AF_VSOCK reach the host",
        _ => return None,
    };
    Some(why)
}

fn every_system_call() {
    let both = Both::new();
    let sets: [&[&str]; 4] = [
        &[],
        &["--cap-drop", "ALL"],
        &["--cap-add", "SYS_ADMIN"],
        &["--security-opt", "seccomp=unconfined"],
    ];
    for flags in sets {
        let Some((ours, theirs)) = both.outputs(flags, &["/probe", "calls"]) else { continue };
        let outcomes = |out: &Out| -> BTreeMap<(String, u32), String> {
            let parse = |line: &str| {
                let mut words = line.splitn(3, ' ');
                let call = words.next().unwrap().to_owned();
                let number = words.next().unwrap().parse().unwrap();
                ((call, number), words.next().unwrap().to_owned())
            };
            out.stdout.lines().map(parse).collect()
        };
        let (ours, theirs) = (outcomes(&ours), outcomes(&theirs));
        assert!(theirs.len() > 580, "{}", theirs.len());
        let differences: Vec<String> = theirs
            .iter()
            .filter(|(call, outcome)| ours.get(*call) != Some(*outcome))
            .filter(|((call, number), _)| may_differ(call, *number).is_none())
            .map(|(call, outcome)| {
                format!("{call:?}: docker {outcome}, wharf {:?}", ours.get(call))
            })
            .collect();
        assert_eq!(differences, Vec::<String>::new(), "{flags:?}");
    }
}

fn names_files_and_mounts() {
    let both = Both::new();
    let folder = both.lab.root().join("bound");
    std::fs::create_dir_all(folder.join("below")).unwrap();
    let bound = folder.to_str().unwrap();
    let read_only = format!("{bound}:/ro:ro");
    let mount = format!("type=bind,src={bound},dst=/m,readonly");
    let show = "cat /etc/hosts /etc/resolv.conf /etc/hostname /proc/sys/kernel/domainname; \
                hostname; id; cat /proc/sys/net/ipv4/ip_forward; df /dev/shm | tail -1";
    let hosts = |out: &Out| out.stdout.replace("::0\t", "::\t");
    let cases: [(&[&str], &str); 8] = [
        (&["-h", "box", "--add-host", "a:1.2.3.4", "--add-host", "v6=[::1]"], show),
        (
            &["-h", "box", "--domainname", "example.org", "--dns", "1.1.1.1", "--dns", "9.9.9.9"],
            show,
        ),
        (&["-h", "box", "--dns", "1.1.1.1", "--dns-search", "a.b", "--dns-opt", "ndots:2"], show),
        (&["-h", "box", "--dns-search", ".", "--dns", "1.1.1.1"], show),
        (&["-h", "box", "--group-add", "7", "--group-add", "extra", "-u", "app"], show),
        (&["-h", "box", "--sysctl", "net.ipv4.ip_forward=1", "--shm-size", "1m"], show),
        (
            &["-e", "A=1", "-e", "B=2", "-e", "A=3", "-e", "NOT_SET_ANYWHERE", "-e", "HOSTNAME"],
            "env | grep -v ^SHLVL | sort",
        ),
        (
            &[
                "-v",
                &read_only,
                "--mount",
                &mount,
                "--tmpfs",
                "/t:size=1m,exec",
                "--tmpfs",
                "/root",
            ],
            "for d in /ro /m /t /root; do grep \" $d \" /proc/mounts | cut -d' ' -f2-4; \
             touch $d/x; stat -c %a $d; done 2>&1",
        ),
    ];
    for (flags, line) in cases {
        let (ours, theirs) = both.outputs(flags, &["sh", "-c", line]).expect("docker starts it");
        assert_eq!(theirs.code, 0, "{flags:?}: {theirs:?}");
        assert_eq!(hosts(&ours), hosts(&theirs), "{flags:?}");
    }
}

/// Mistakes have docker's exit codes, and its words where they matter.
fn refusals() {
    let both = Both::new();
    both.lab.ok(&["create", "--name", "stopped", IMAGE, "true"]);
    assert_eq!(both.docker(&["create", "--name", "stopped", IMAGE, "true"]).code, 0);
    let words = ["run", "-d", "--network", "none", "--name", "private", IMAGE, "sleep", "1000"];
    both.lab.ok(&words);
    assert_eq!(both.docker(&words).code, 0);
    let cases: [(&[&str], &str); 26] = [
        (
            &["--mount", "type=bind,src=/no/such,dst=/x"],
            "bind source path does not exist: /no/such",
        ),
        (&["--mount", "type=bind,dst=/x"], "field Source must not be empty"),
        (&["--mount", "type=bind,src=/tmp,dst=x"], "mount path must be absolute"),
        (&["--mount", "type=bind,src=/tmp,dst=/"], "destination can't be '/'"),
        (&["--mount", "type=tmpfs,src=/tmp,dst=/x"], "field Source must not be specified"),
        (&["--mount", "type=bind,src=/tmp,dst=/x,foo=1"], "unexpected key 'foo' in 'foo=1'"),
        (&["--tmpfs", "/x:foo=1"], "invalid tmpfs option [\"foo\" \"1\"]"),
        (&["--tmpfs", "/x", "-v", "/tmp:/x"], "Duplicate mount point: /x"),
        (&["-v", "/tmp:/x:ro,rw"], "invalid mode: ro,rw"),
        (&["-v", "/tmp:/x:nocopy"], "field VolumeOptions must not be specified"),
        (&["-v", "/tmp:/proc"], "cannot be mounted because it is not of type proc"),
        (&["-v", "/tmp:/proc/sys"], "cannot be mounted because it is inside /proc"),
        (&["--volumes-from", "nobody"], "No such container: nobody"),
        (&["--volumes-from", "stopped:foo"], "invalid mode: foo"),
        (&["--pid", "container:stopped"], "is not running"),
        (&["--ipc", "container:stopped"], "can't join IPC of container"),
        (&["--ipc", "container:private"], "non-shareable IPC"),
        (&["--ipc", "foo"], "Invalid IPC mode: foo"),
        (&["--uts", "host", "-h", "x"], "conflicting options: hostname and the UTS mode"),
        (&["--sysctl", "vm.swappiness=1"], "sysctl 'vm.swappiness=1' is not allowed"),
        (
            &["--ipc", "host", "--sysctl", "kernel.msgmax=1"],
            "not allowed in the hosts ipc namespace",
        ),
        (&["--group-add", "nobody"], "Unable to find group nobody"),
        (&["--security-opt", "foo=bar"], "invalid --security-opt 2: \"foo=bar\""),
        (&["--security-opt", "seccomp=/no"], "opening seccomp profile (/no) failed"),
        (&["--dns", "x"], "IP address is not correctly formatted: x"),
        (&["--env-file", "/no/such"], "open /no/such: no such file or directory"),
    ];
    for (flags, says) in cases {
        let (ours, theirs) = both.outputs(flags, &["true"]).expect("docker answers");
        assert_eq!((ours.code, theirs.code), (125, 125), "{flags:?}: {ours:?} {theirs:?}");
        for out in [&ours, &theirs] {
            assert!(out.stderr.contains(says), "{flags:?}: {}", out.stderr);
        }
    }
    // None of them has left a container.
    assert_eq!(both.lab.ok(&["ps", "-a", "-q"]).lines().count(), 2);
}
