//! Documents about the runtime itself: `features`, and the bundle that `spec` begins one with.

use serde_json::{Value, json};

use super::mounts::known_options;
use super::namespaces::Kind;
use super::spec;
use crate::security::{apparmor, capabilities, seccomp};

/// Returns what this runtime can do: the features document of the specification.
pub fn features() -> Value {
    let namespaces: Vec<&str> = Kind::ALL.iter().map(|(name, _)| *name).collect();
    json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": spec::VERSION,
        "hooks": [
            "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
        ],
        "mountOptions": known_options(),
        "linux": {
            "namespaces": namespaces,
            "capabilities": capabilities::names().collect::<Vec<_>>(),
            "cgroup": {
                "v1": true,
                "v2": true,
                "systemd": false,
                "systemdUser": false,
                "rdma": true,
            },
            "seccomp": {
                "enabled": true,
                "actions": seccomp::ACTIONS,
                "operators": seccomp::OPERATORS,
                "archs": seccomp::ARCHITECTURES,
                "knownFlags": seccomp::FLAGS,
                "supportedFlags": seccomp::FLAGS,
            },
            "apparmor": { "enabled": apparmor::is_on() },
            "selinux": { "enabled": false },
            "intelRdt": { "enabled": false },
            "mountExtensions": { "idmap": { "enabled": true } },
        },
    })
}

/// Returns a configuration to begin with; with `rootless`, one for an ordinary user, these numbers of
/// whom are root inside.
pub fn template(rootless: Option<(u32, u32)>) -> Value {
    let capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    let mount = |at: &str, kind: &str, options: &[&str]| json!({ "destination": at, "type": kind, "source": kind, "options": options });
    let plain = ["nosuid", "noexec", "nodev"];
    let terminals: &[&str] = match rootless {
        None => &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        Some(_) => &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
    };
    let shm = ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"];
    let mut mounts = vec![
        mount("/proc", "proc", &[]),
        mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount("/dev/pts", "devpts", terminals),
        json!({ "destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": shm }),
        mount("/dev/mqueue", "mqueue", &plain),
    ];
    match rootless {
        None => mounts.push(mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"])),
        Some(_) => mounts.push(json!({
            "destination": "/sys",
            "type": "none",
            "source": "/sys",
            "options": ["rbind", "nosuid", "noexec", "nodev", "ro"],
        })),
    }
    mounts.push(mount(
        "/sys/fs/cgroup",
        "cgroup",
        &["nosuid", "noexec", "nodev", "relatime", "ro"],
    ));
    let kinds: &[&str] = match rootless {
        None => &["pid", "network", "ipc", "uts", "mount", "cgroup"],
        Some(_) => &["pid", "ipc", "uts", "mount", "cgroup", "user"],
    };
    let namespaces: Vec<Value> = kinds.iter().map(|kind| json!({ "type": kind })).collect();
    let mut linux = json!({
        "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
        "namespaces": namespaces,
        "maskedPaths": wharf_model::MASKED_PATHS,
        "readonlyPaths": wharf_model::READ_ONLY_PATHS,
    });
    if let Some((uid, gid)) = rootless {
        let own = |number: u32| json!([{ "containerID": 0, "hostID": number, "size": 1 }]);
        linux["uidMappings"] = own(uid);
        linux["gidMappings"] = own(gid);
    }
    json!({
        "ociVersion": spec::VERSION,
        "process": {
            "terminal": true,
            "user": { "uid": 0, "gid": 0 },
            "args": ["sh"],
            "env": [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "TERM=xterm",
            ],
            "cwd": "/",
            "capabilities": {
                "bounding": capabilities,
                "effective": capabilities,
                "permitted": capabilities,
            },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
            "noNewPrivileges": true,
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "wharf",
        "mounts": mounts,
        "linux": linux,
    })
}
