//! What a container may see and do.

use crate::harness::{IMAGE, Lab, Test};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        namespaces_are_its_own,
        mounts_of_the_specification,
        devices,
        default_capabilities,
        capabilities_added_and_dropped,
        privileged,
        seccomp,
        no_new_privileges,
        masked_and_read_only_paths,
        root_cannot_be_left,
        descriptors_of_the_caller_stay_outside,
        two_containers_do_not_meet,
    ]
}

fn status(lab: &Lab, flags: &[&str], field: &str) -> String {
    let text = lab.shell(flags, "cat /proc/self/status");
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
    line.unwrap_or_else(|| panic!("{field} in {text}")).trim().to_owned()
}

fn namespaces_are_its_own() {
    let lab = Lab::new();
    for name in ["mnt", "pid", "net", "uts", "ipc", "cgroup"] {
        let inside = lab.shell(&[], &format!("readlink /proc/self/ns/{name}"));
        let outside = std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        assert_ne!(inside, outside.to_str().unwrap(), "{name}");
    }
    // The shell, its two children and perhaps a copy of it.
    let seen: u32 = lab.shell(&[], "ls /proc | grep -c '^[0-9]'").parse().unwrap();
    assert!((1..=4).contains(&seen), "it sees {seen} processes");
    assert_eq!(lab.shell(&[], "echo $$"), "1");
}

fn mounts_of_the_specification() {
    let lab = Lab::new();
    let text = lab.shell(&[], "cat /proc/mounts");
    for wanted in [
        "overlay / overlay rw",
        "proc /proc proc rw,nosuid,nodev,noexec",
        "tmpfs /dev tmpfs rw,nosuid",
        "devpts /dev/pts devpts rw,nosuid,noexec",
        "sysfs /sys sysfs ro,nosuid,nodev,noexec",
        "mqueue /dev/mqueue mqueue rw,nosuid,nodev,noexec",
        " /dev/shm tmpfs rw,nosuid,nodev,noexec",
    ] {
        assert!(
            text.lines()
                .any(|line| line.starts_with(wanted)
                    || wanted.starts_with(' ') && line.contains(wanted)),
            "{wanted}\n{text}"
        );
    }
    assert!(text.contains("size=65536k"), "64 MiB of /dev/shm\n{text}");
    for file in ["/etc/hosts", "/etc/hostname", "/etc/resolv.conf"] {
        assert!(text.contains(&format!(" {file} ")), "{file}");
    }
}

fn devices() {
    let lab = Lab::new();
    let line = "for d in null zero full random urandom tty; do [ -c /dev/$d ] || echo no $d; done; \
                for l in fd stdin stdout stderr ptmx; do [ -L /dev/$l ] || echo no $l; done; \
                echo x > /dev/null && head -c 4 /dev/zero | wc -c; \
                mknod /tmp/disk b 8 0 && (head -c 1 /tmp/disk > /dev/null) 2>&1";
    let out = lab.run(&["run", "--rm", "--network", "none", IMAGE, "sh", "-c", line]);
    assert!(out.stdout.starts_with("4\n"), "{out:?}");
    assert!(out.stdout.contains("Operation not permitted"), "disks are out of reach: {out:?}");
}

/// CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT
/// MKNOD AUDIT_WRITE SETFCAP, as linux/capability.h numbers them.
const DEFAULT: u64 = 0xa804_25fb;
const NET_RAW: u64 = 1 << 13;
const SYS_TIME: u64 = 1 << 25;

fn capabilities(lab: &Lab, flags: &[&str]) -> [u64; 3] {
    ["CapEff", "CapPrm", "CapBnd"]
        .map(|field| u64::from_str_radix(&status(lab, flags, field), 16).unwrap())
}

fn default_capabilities() {
    let lab = Lab::new();
    assert_eq!(capabilities(&lab, &[]), [DEFAULT; 3]);
    assert_eq!(capabilities(&lab, &["-u", "app"]), [0, 0, DEFAULT]);
    assert_eq!(status(&lab, &[], "CapAmb"), "0000000000000000");
    assert_eq!(status(&lab, &[], "CapInh"), "0000000000000000");
}

fn capabilities_added_and_dropped() {
    let lab = Lab::new();
    assert_eq!(capabilities(&lab, &["--cap-drop", "NET_RAW"]), [DEFAULT & !NET_RAW; 3]);
    assert_eq!(capabilities(&lab, &["--cap-drop", "CAP_NET_RAW"]), [DEFAULT & !NET_RAW; 3]);
    assert_eq!(capabilities(&lab, &["--cap-add", "sys_time"]), [DEFAULT | SYS_TIME; 3]);
    assert_eq!(capabilities(&lab, &["--cap-drop", "ALL"]), [0; 3]);
    let some = ["--cap-drop", "ALL", "--cap-add", "NET_RAW"];
    assert_eq!(capabilities(&lab, &some), [NET_RAW; 3]);
    // All is what this program itself may hand on.
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    let own = own.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap();
    let all = u64::from_str_radix(own.trim(), 16).unwrap();
    assert_eq!(capabilities(&lab, &["--cap-add", "ALL"]), [all; 3]);
    lab.fails(125, "NO_SUCH", &["run", "--rm", "--cap-add", "NO_SUCH", IMAGE, "true"]);
}

fn privileged() {
    let lab = Lab::new();
    let [effective, ..] = capabilities(&lab, &["--privileged"]);
    assert_eq!(effective & DEFAULT, DEFAULT);
    assert!(effective & (1 << 21) != 0, "SYS_ADMIN");
    assert_eq!(status(&lab, &["--privileged"], "Seccomp"), "0");
    let line = "mount -t tmpfs none /mnt 2>/dev/null || mkdir -p /mnt && mount -t tmpfs none /mnt \
                && echo mounted; ls /dev | wc -l";
    let out = lab.shell(&["--privileged"], line);
    assert!(out.starts_with("mounted\n"), "{out}");
    let devices: u32 = out.lines().nth(1).unwrap().parse().unwrap();
    assert!(devices > 20, "the host's devices: {out}");
}

fn seccomp() {
    let lab = Lab::new();
    assert_eq!(status(&lab, &[], "Seccomp"), "2");
    for (line, what) in [
        ("unshare -m true", "unshare"),
        ("mount -t tmpfs none /tmp", "mount"),
        ("reboot -f", "reboot"),
    ] {
        let out = lab.run(&["run", "--rm", "--network", "none", IMAGE, "sh", "-c", line]);
        let refused = out.stderr.contains("not permitted") || out.stderr.contains("denied");
        assert!(out.code != 0 && refused, "{what}: {out:?}");
    }
    // With its capability a call is let through.
    let line = "unshare -m true && echo let";
    assert_eq!(lab.shell(&["--cap-add", "SYS_ADMIN"], line), "let");
}

fn no_new_privileges() {
    let lab = Lab::new();
    assert_eq!(status(&lab, &[], "NoNewPrivs"), "0");
    let flags = ["--security-opt", "no-new-privileges"];
    assert_eq!(status(&lab, &flags, "NoNewPrivs"), "1");
    lab.fails(125, "nonsense", &["run", "--rm", "--security-opt", "nonsense", IMAGE, "true"]);
}

fn masked_and_read_only_paths() {
    let lab = Lab::new();
    for path in ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts"] {
        if std::path::Path::new(path).exists() {
            assert_eq!(lab.shell(&[], &format!("head -c 10 {path} | wc -c")), "0", "{path}");
        }
    }
    for path in ["/proc/acpi", "/proc/scsi", "/sys/firmware"] {
        if std::path::Path::new(path).exists() {
            assert_eq!(lab.shell(&[], &format!("ls {path} | wc -l")), "0", "{path}");
        }
    }
    for path in ["/proc/sys/kernel/hostname", "/proc/sysrq-trigger"] {
        if !std::path::Path::new(path).exists() {
            continue;
        }
        let line = format!("(echo x > {path}) 2>&1");
        let out = lab.run(&["run", "--rm", "--network", "none", IMAGE, "sh", "-c", &line]);
        assert!(out.stdout.contains("Read-only file system"), "{path}: {out:?}");
    }
}

fn root_cannot_be_left() {
    let lab = Lab::new();
    let line = "[ \"$(stat -c %d:%i /)\" = \"$(stat -c %d:%i /..)\" ] && echo same";
    assert_eq!(lab.shell(&[], line), "same");
}

fn descriptors_of_the_caller_stay_outside() {
    let lab = Lab::new();
    let out = lab.shell(&[], "ls /proc/self/fd");
    // 0, 1, 2 and the one that lists.
    assert_eq!(out, "0\n1\n2\n3");
    lab.start(&["--name", "base"], "sleep 1000");
    assert_eq!(lab.ok(&["exec", "base", "ls", "/proc/self/fd"]), "0\n1\n2\n3");
}

fn two_containers_do_not_meet() {
    let lab = Lab::new();
    let first =
        lab.start(&[], "echo secret > /secret; echo secret > /dev/shm/s; echo up; sleep 1000");
    lab.wait_for_log(&first, "up");
    let line = "cat /secret /dev/shm/s 2>/dev/null; ps | wc -l; kill -9 -1; echo alive";
    let out = lab.shell(&[], line);
    assert!(!out.contains("secret") && out.ends_with("alive"), "{out}");
    assert_eq!(lab.inspect(&first, "/State/Status"), "running");
}
