//! Containers whose root is nobody outside (`--userns`), under root's engine.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

use crate::harness::{IMAGE, Lab, Out, Test, eventually, run};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        what_does_not_go_together_is_refused,
        no_numbers_no_container,
        remapped_root_is_nobody_outside,
        remapped_owners_stay_on_the_disk,
        remapped_files_are_copied_as_the_container_sees_them,
        remapped_binds_are_not_root_s,
        remapped_volumes,
        remapped_exec_and_terminal,
        remapped_network,
        remapped_auto_ranges_are_apart,
        remapped_by_default,
    ]
}

/// Where the ranges of these tests begin.
const FIRST: u32 = 3_600_000_000;

/// An engine whose commands see files of the test's own in the place of `/etc/subuid` and
/// `/etc/subgid`.
struct Remap {
    lab: Lab,
    ranges: PathBuf,
}

impl Remap {
    fn new(lines: &str) -> Self {
        let lab = Lab::new();
        let ranges = lab.root().join("ranges");
        std::fs::write(&ranges, lines).unwrap();
        Self { lab, ranges }
    }

    /// Two users with 65,536 numbers each, and three times as many for `auto`.
    fn usual() -> Self {
        let line =
            |name: &str, part: u32, size: u32| format!("{name}:{}:{size}\n", FIRST + part * 65_536);
        Self::new(
            &[line("ann", 0, 65_536), line("bob", 1, 65_536), line("wharf", 2, 131_072)].concat(),
        )
    }

    fn run(&self, words: &[&str]) -> Out {
        let inner = self.lab.command(words);
        let files = self.ranges.display();
        let line = format!(
            "for f in /etc/subuid /etc/subgid; do mount --bind {files} $f || exit 99; done; exec \"$@\""
        );
        let mut command = Command::new("unshare");
        command
            .args(["-m", "sh", "-c", &line, "sh"])
            .arg(inner.get_program())
            .args(inner.get_args());
        command.env("WHARF_ROOT", self.lab.root()).env_remove("DOCKER_HOST");
        run(command, b"")
    }

    #[track_caller]
    fn ok(&self, words: &[&str]) -> String {
        let out = self.run(words);
        assert_eq!(out.code, 0, "wharf {}: {out:?}", words.join(" "));
        out.stdout.trim_end_matches('\n').to_owned()
    }

    #[track_caller]
    fn fails(&self, code: i32, says: &str, words: &[&str]) {
        let out = self.run(words);
        assert_eq!(out.code, code, "wharf {}: {out:?}", words.join(" "));
        assert!(out.stderr.contains(says), "wharf {}: {out:?}", words.join(" "));
    }

    #[track_caller]
    fn shell(&self, flags: &[&str], line: &str) -> String {
        let mut words = vec!["run", "--rm", "--network", "none", "--userns", "remap:ann"];
        words.extend_from_slice(flags);
        words.extend_from_slice(&[IMAGE, "sh", "-c", line]);
        self.ok(&words)
    }

    /// Starts a container that sleeps; returns the user that its root is outside.
    #[track_caller]
    fn root_of(&self, name: &str, userns: &str) -> u32 {
        self.ok(&[
            "run",
            "-d",
            "--name",
            name,
            "--network",
            "none",
            "--userns",
            userns,
            IMAGE,
            "sleep",
            "1000",
        ]);
        uid_of(self.lab.pid(name))
    }
}

fn uid_of(pid: i32) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn what_does_not_go_together_is_refused() {
    let engine = Remap::usual();
    let refused = |flags: &[&str], says: &str| {
        let words = [&["run", "--rm", "--userns", "remap:ann"], flags, &[IMAGE, "true"]].concat();
        engine.fails(125, says, &words);
    };
    refused(&["--privileged"], "privileged mode is incompatible with user namespaces");
    refused(
        &["--network", "host"],
        "cannot share the host's network namespace when user namespaces",
    );
    engine.fails(125, "valid modes are host, auto", &["run", "--userns", "nope", IMAGE, "true"]);
    engine.fails(
        125,
        "no subordinate numbers for \"carl\"",
        &["run", "--userns", "remap:carl", IMAGE, "true"],
    );
    let words = [
        "run",
        "--rm",
        "--privileged",
        "--userns",
        "host",
        IMAGE,
        "readlink",
        "/proc/self/ns/user",
    ];
    let own = std::fs::read_link("/proc/self/ns/user").unwrap();
    assert_eq!(engine.ok(&words), own.to_str().unwrap());
    assert_eq!(engine.ok(&["ps", "-a", "-q"]), "", "nothing is left of what was refused");
}

fn no_numbers_no_container() {
    let engine = Remap::new("somebody:100000:65536\n");
    for mode in ["remap", "auto"] {
        engine.fails(125, "echo wharf:", &["run", "--rm", "--userns", mode, IMAGE, "true"]);
    }
    engine.fails(1, "echo wharf:", &["system", "userns-remap", "default"]);
    assert_eq!(engine.ok(&["system", "userns-remap"]), "off");
}

fn remapped_root_is_nobody_outside() {
    let engine = Remap::usual();
    let map = format!("0 {FIRST} 65536");
    let seen = engine.shell(&[], "cat /proc/self/uid_map /proc/self/gid_map; id -u; id -g");
    let seen: Vec<String> =
        seen.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(seen, [&map, &map, "0", "0"]);
    assert_eq!(engine.root_of("one", "remap:ann"), FIRST);
    // All namespaces belong to it: its root may do there what root may.
    assert_eq!(engine.shell(&["--cap-add", "SYS_ADMIN"], "hostname sea; hostname"), "sea");
    // The host can't be reached by what is the host's.
    let line = "echo x > /proc/sys/kernel/hostname 2>/dev/null; echo $?; mknod /d b 8 0 2>/dev/null; echo $?";
    assert_eq!(engine.shell(&[], line), "1\n1");
    let devices = "echo x > /dev/null && head -c 2 /dev/zero | wc -c; ls /dev/pts /dev/mqueue >/dev/null \
                   && echo x > /dev/shm/x && echo good";
    assert_eq!(engine.shell(&[], devices), "2\ngood");
    engine.ok(&["rm", "-f", "one"]);
}

fn remapped_owners_stay_on_the_disk() {
    let engine = Remap::usual();
    let line = "stat -c '%u:%g %a %n' / /tmp /root /bin/busybox; touch /mine; touch /apps; \
                chown 1000:1000 /apps; stat -c %u /mine /apps; echo more >> /srv/readme; rm /etc/group; \
                stat -c %u /etc/hosts; echo '10.0.0.1 x' >> /etc/hosts";
    let words = ["run", "--name", "one", "--network", "none", "--userns", "remap:ann", IMAGE];
    let seen = engine.ok(&[&words[..], &["sh", "-c", line]].concat());
    let wanted = "0:0 755 /\n0:0 1777 /tmp\n0:0 700 /root\n0:0 755 /bin/busybox\n0\n1000\n0";
    assert_eq!(seen, wanted);
    // On the disk all is as the image and the container have it: what reads it needs no map.
    let id = engine.lab.inspect("one", "/Id");
    let upper = engine.lab.root().join("containers").join(id.as_str().unwrap()).join("upper");
    let owner = |name: &str| upper.join(name).symlink_metadata().unwrap().uid();
    assert_eq!((owner("mine"), owner("apps"), owner("srv/readme")), (0, 1000, 0));
    // So it may be started with other numbers: by a row that says so, or after a change of the file.
    let other = format!("ann:{}:65536\n", FIRST + 20 * 65_536);
    std::fs::write(&engine.ranges, other).unwrap();
    assert_eq!(engine.ok(&["start", "-a", "one"]), wanted);
    assert_eq!(engine.shell(&["-u", "app"], "touch /home/app/x 2>/dev/null; id -u"), "1000");
    engine.ok(&["rm", "one"]);
}

fn remapped_files_are_copied_as_the_container_sees_them() {
    let engine = Remap::usual();
    let file = engine.lab.root().join("file");
    let path = file.display().to_string();
    std::fs::write(&file, "hi").unwrap();
    let given = |uid, gid| std::os::unix::fs::chown(&file, Some(uid), Some(gid)).unwrap();
    engine.ok(&[
        "run",
        "-d",
        "--name",
        "one",
        "--userns",
        "remap:ann",
        "--network",
        "none",
        "--tmpfs",
        "/mem",
        IMAGE,
        "sh",
        "-c",
        "echo x > /mine; chown 5:6 /mine; touch /ready; exec sleep 1000",
    ]);
    eventually("it has made its file", || engine.run(&["cp", "one:/ready", "-"]).code == 0);
    // Owner and group of the first entry of an archive (POSIX ustar: octal, at 108 and 116).
    let owner = |archive: &str| {
        let octal = |at: usize| u32::from_str_radix(&archive[at..at + 7], 8).unwrap();
        (octal(108), octal(116))
    };
    for state in ["running", "stopped"] {
        given(7, 8);
        engine.ok(&["cp", &path, &format!("one:/srv/{state}")]);
        engine.ok(&["cp", "-a", &path, &format!("one:/srv/{state}-a")]);
        if state == "running" {
            engine.ok(&["cp", &path, "one:/mem/x"]);
            given(70_000, 0);
            let says = "owner 70000:0 is not mapped in the container's user namespace";
            engine.fails(1, says, &["cp", &path, "one:/srv/nobody"]);
        }
        assert_eq!(owner(&engine.ok(&["cp", "one:/mine", "-"])), (5, 6), "{state}");
        assert_eq!(owner(&engine.ok(&["cp", &format!("one:/srv/{state}"), "-"])), (7, 8));
        let exported = engine.ok(&["export", "one"]);
        let mine = exported.find("\nmine\0").or_else(|| exported.find("\0mine\0")).unwrap() + 1;
        assert_eq!(owner(&exported[mine..]), (5, 6), "{state}");
        if state == "running" {
            let line = "stat -c %u:%g /srv/running /srv/running-a /mem/x; ls /srv";
            let seen = engine.ok(&["exec", "one", "sh", "-c", line]);
            assert!(seen.starts_with("7:8\n7:8\n7:8\n"), "{seen}");
            assert!(!seen.contains("nobody"), "{seen}");
            engine.ok(&["stop", "-t", "0", "one"]);
        }
    }
    engine.ok(&["start", "one"]);
    let line = "stat -c %u:%g /srv/running /srv/stopped /srv/stopped-a";
    assert_eq!(engine.ok(&["exec", "one", "sh", "-c", line]), "7:8\n7:8\n7:8");
}

fn remapped_binds_are_not_root_s() {
    let engine = Remap::usual();
    let shared = engine.lab.root().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::write(shared.join("secret"), "x").unwrap();
    std::fs::set_permissions(shared.join("secret"), PermissionsExt::from_mode(0o600)).unwrap();
    let bind = format!("{}:/shared", shared.display());
    let line = "stat -c %u /shared; cat /shared/secret 2>&1 | grep -c denied; touch /shared/x 2>/dev/null; \
                echo $?";
    assert_eq!(engine.shell(&["-v", &bind], line), "65534\n1\n1");
    // Given to the container's root, it is its own.
    std::os::unix::fs::chown(&shared, Some(FIRST), Some(FIRST)).unwrap();
    engine.shell(&["-v", &bind], "echo y > /shared/x; chown 1000 /shared/x");
    assert_eq!(shared.join("x").metadata().unwrap().uid(), FIRST + 1000);
    let read_only = format!("{bind}:ro");
    assert_eq!(engine.shell(&["-v", &read_only], "touch /shared/z 2>/dev/null; echo $?"), "1");
}

fn remapped_volumes() {
    let engine = Remap::usual();
    let fill =
        "touch /home/app/root /home/app/own; chown app /home/app /home/app/own; touch /anon/x";
    let flags = ["-v", "homes:/home", "-v", "/anon"];
    engine.shell(&flags, fill);
    let owners = |flags: &[&str]| {
        let flags = [flags, &["-v", "homes:/home"]].concat();
        engine.shell(&flags, "cd /home/app; stat -c '%n %u' . root own")
    };
    assert_eq!(owners(&[]), ". 1000\nroot 0\nown 1000");
    // Another range sees the same, and so does one who is not remapped; on the disk they are so too.
    let other = format!("ann:{}:65536\n", FIRST + 20 * 65_536);
    std::fs::write(&engine.ranges, other).unwrap();
    assert_eq!(owners(&[]), ". 1000\nroot 0\nown 1000");
    let line = ["run", "--rm", "--network", "none", "-v", "homes:/home", IMAGE];
    let plain =
        engine.ok(&[&line[..], &["stat", "-c", "%u", "/home/app/root", "/home/app/own"]].concat());
    assert_eq!(plain, "0\n1000");
    let data = engine.lab.root().join("volumes/homes/_data/app");
    let owner = |name: &str| data.join(name).symlink_metadata().unwrap().uid();
    assert_eq!((owner("root"), owner("own")), (0, 1000));
    // What others own isn't the container's, and a part of a volume is mapped as all of it.
    std::fs::write(data.join("foreign"), "").unwrap();
    std::os::unix::fs::chown(data.join("foreign"), Some(70_000), Some(70_000)).unwrap();
    let part = ["--mount", "type=volume,src=homes,dst=/part,volume-subpath=app"];
    let seen = engine.shell(&part, "stat -c %u /part/foreign /part/own; rm /part/root; echo $?");
    assert_eq!(seen, "65534\n1000\n0");
    assert_eq!(engine.ok(&["volume", "ls", "-q"]), "homes");
    engine.ok(&["volume", "rm", "homes"]);
}

fn remapped_exec_and_terminal() {
    let engine = Remap::usual();
    assert_eq!(engine.shell(&["-t"], "tty; stat -c %u $(tty)").replace('\r', ""), "/dev/pts/0\n0");
    // Pipes can be opened again by their names.
    assert_eq!(engine.shell(&[], "echo by name > /dev/stdout"), "by name");
    engine.root_of("one", "remap:ann");
    let line =
        "id -u; readlink /proc/self/ns/user; echo by name > /dev/stdout; touch /x; stat -c %u /x";
    let said = engine.ok(&["exec", "one", "sh", "-c", line]);
    let namespace = std::fs::read_link(format!("/proc/{}/ns/user", engine.lab.pid("one"))).unwrap();
    assert_eq!(said, format!("0\n{}\nby name\n0", namespace.display()));
    assert_eq!(engine.ok(&["exec", "-u", "app", "one", "id", "-u"]), "1000");
    engine.fails(127, "nope", &["exec", "one", "nope"]);
    let top = engine.ok(&["top", "one", "-o", "uid,args"]);
    assert!(top.contains(&FIRST.to_string()), "{top}");
    engine.ok(&["pause", "one"]);
    engine.ok(&["unpause", "one"]);
    engine.ok(&["restart", "-t", "0", "one"]);
    engine.ok(&["rm", "-f", "one"]);
}

fn remapped_network() {
    let engine = Remap::usual();
    let line = "ip -o -4 addr show eth0 | wc -l; ping -c 1 -W 5 $(ip route | sed -n \
                's/default via \\([^ ]*\\).*/\\1/p') > /dev/null; echo $?; cat \
                /proc/sys/net/ipv4/ping_group_range; nc -l -p 80 -w 1 > /dev/null 2>&1; ip link add d type dummy \
                2>/dev/null; echo $?";
    let out = engine.ok(&["run", "--rm", "--userns", "remap:ann", IMAGE, "sh", "-c", line]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[..3], ["1", "0", "0\t65535"], "{out}");
}

fn remapped_auto_ranges_are_apart() {
    let engine = Remap::usual();
    let first = FIRST + 2 * 65_536;
    assert_eq!(engine.root_of("one", "auto"), first);
    assert_eq!(engine.root_of("two", "auto"), first + 65_536);
    let words =
        ["run", "-d", "--name", "three", "--userns", "auto", "--network", "none", IMAGE, "true"];
    engine.fails(125, "no 65536 numbers are left", &words);
    engine.ok(&["rm", "three"]);
    // A toolbox has its range: what its root makes belongs to the container's.
    let line = "id -u; cut -c -32 /proc/self/uid_map | tr -s ' '; echo tools > /target/made";
    let told = engine.ok(&["debug", "--image", IMAGE, "one", "sh", "-c", line]);
    assert_eq!(told.split_whitespace().collect::<Vec<_>>()[..3], ["0", "0", &first.to_string()]);
    assert_eq!(engine.ok(&["exec", "one", "sh", "-c", "cat /made; stat -c %u /made"]), "tools\n0");
    engine.ok(&["stop", "-t", "0", "one"]);
    // The range of one that has ended is free again; who starts again gets another.
    assert_eq!(engine.root_of("four", "auto:size=1024"), first);
    assert_eq!(
        engine.ok(&["exec", "four", "sh", "-c", "cut -c 23- /proc/self/uid_map | tr -d ' '"]),
        "1024"
    );
    engine.ok(&["stop", "-t", "0", "two"]);
    engine.ok(&["start", "one"]);
    assert_eq!(uid_of(engine.lab.pid("one")), first + 1024);
    engine.fails(
        125,
        "users and groups were asked for",
        &["run", "--rm", "--userns", "auto:size=200000", IMAGE, "true"],
    );
}

fn remapped_by_default() {
    let engine = Remap::usual();
    engine.ok(&["system", "userns-remap", "ann"]);
    assert_eq!(engine.ok(&["system", "userns-remap"]), "ann");
    assert!(engine.ok(&["info"]).contains("name=userns"));
    engine.ok(&["run", "-d", "--name", "one", "--network", "none", IMAGE, "sleep", "1000"]);
    assert_eq!(uid_of(engine.lab.pid("one")), FIRST);
    engine.ok(&[
        "run",
        "-d",
        "--name",
        "two",
        "--network",
        "none",
        "--userns",
        "host",
        IMAGE,
        "sleep",
        "1000",
    ]);
    assert_eq!(uid_of(engine.lab.pid("two")), 0);
    engine.fails(
        125,
        "incompatible with user namespaces",
        &["run", "--rm", "--privileged", IMAGE, "true"],
    );
    engine.ok(&["system", "userns-remap", "off"]);
    // What was made before stays as it was made.
    engine.ok(&["restart", "-t", "0", "one"]);
    assert_eq!(uid_of(engine.lab.pid("one")), FIRST);
    assert!(!engine.ok(&["info"]).contains("name=userns"));
}
