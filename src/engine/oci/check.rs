//! What a bundle must and must not say.

use std::path::Path;

use wharf_model::ErrorKind;

use super::namespaces::{Kind, Namespaces};
use super::spec::{Config, Hooks, Process};
use crate::{Error, Result};

fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, text)
}

fn unsupported(what: &str, why: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("{what} is not supported: {why}"))
}

/// Refuses an id that can't be a container's: it becomes the name of a folder.
///
/// # Errors
/// When it can't.
pub(super) fn id(id: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_+-.".contains(c);
    let well_formed = !id.is_empty() && id.len() <= 1024 && id.chars().all(fits);
    match well_formed && !matches!(id, "." | "..") {
        true => Ok(()),
        false => Err(invalid(format!(
            "invalid container ID format: {id:?}: letters, digits and _+-. are allowed"
        ))),
    }
}

/// Checks a whole configuration, but for what is checked where it is used.
///
/// # Errors
/// With the name of the property that is wrong, or can't be met.
pub(super) fn config(config: &Config, namespaces: &Namespaces) -> Result<()> {
    version(&config.oci_version)?;
    let root = config.root.as_ref().ok_or_else(|| invalid("root is missing"))?;
    if root.path.is_empty() {
        return Err(invalid("root.path is missing"));
    }
    if !namespaces.is_own(Kind::Mount) || namespaces.takes_the_host_s_mounts() {
        return Err(unsupported(
            "a container without a mount namespace",
            "its root and its mounts would be the host's; name one in linux.namespaces",
        ));
    }
    if config.annotations.keys().any(String::is_empty) {
        return Err(invalid("annotations: a key is empty"));
    }
    let names = [("hostname", &config.hostname), ("domainname", &config.domainname)];
    for (what, name) in names {
        if !name.is_empty() && !namespaces.is_own(Kind::Uts) {
            return Err(invalid(format!(
                "unable to set {what} without a private UTS namespace: name one in linux.namespaces"
            )));
        }
        if name.len() > 64 || name.contains('\0') {
            return Err(invalid(format!("{what} {name:?} is longer than 64 bytes")));
        }
    }
    hooks(&config.hooks)?;
    linux(config, namespaces)?;
    let process = config.process.as_ref().ok_or_else(|| invalid("process is missing"))?;
    self::process(process)
}

/// Checks the process of a container, or a further one of its.
///
/// # Errors
/// As for [`config`].
pub(super) fn process(process: &Process) -> Result<()> {
    if process.args.is_empty() {
        return Err(invalid("process.args must not be empty"));
    }
    if !Path::new(&process.cwd).is_absolute() {
        return Err(invalid(format!("process.cwd {:?} must be an absolute path", process.cwd)));
    }
    let mut words = process.args.iter().chain(&process.env);
    if let Some(word) = words.find(|word| word.contains('\0')) {
        return Err(invalid(format!("process: {word:?} holds a NUL byte")));
    }
    if let Some(entry) = process.env.iter().find(|entry| !entry.contains('=')) {
        return Err(invalid(format!("process.env: {entry:?} is not NAME=value")));
    }
    let mut kinds: Vec<&str> = process.rlimits.iter().map(|limit| limit.kind.as_str()).collect();
    kinds.sort_unstable();
    if let Some(pair) = kinds.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(invalid(format!("process.rlimits: {} is there twice", pair[0])));
    }
    if !process.apparmor_profile.is_empty() && !crate::security::apparmor::is_on() {
        return Err(unsupported(
            "process.apparmorProfile",
            "this kernel has no AppArmor, or not on",
        ));
    }
    if !process.selinux_label.is_empty() && !has_selinux() {
        return Err(unsupported("process.selinuxLabel", "this kernel has no SELinux, or not on"));
    }
    let affinity = &process.exec_cpu_affinity;
    [&affinity.initial, &affinity.after]
        .into_iter()
        .try_for_each(|list| super::process::affinity(list).map(drop))
}

fn has_selinux() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}

/// Refuses a version of the specification that this is no runtime for: `1.x.y`, and what may follow.
fn version(text: &str) -> Result<()> {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<Option<u32>> = core.split('.').map(|part| part.parse().ok()).collect();
    match numbers.as_slice() {
        [Some(1), Some(_), Some(_)] => Ok(()),
        [Some(_), Some(_), Some(_)] => Err(invalid(format!(
            "ociVersion {text} is not supported: 1.0.0 up to {}, and further ones of major version 1",
            super::spec::VERSION
        ))),
        _ => Err(invalid(format!("ociVersion {text:?} is no version: it must be as 1.0.2"))),
    }
}

fn hooks(hooks: &Hooks) -> Result<()> {
    let all = [
        &hooks.prestart,
        &hooks.create_runtime,
        &hooks.create_container,
        &hooks.start_container,
        &hooks.poststart,
        &hooks.poststop,
    ];
    for hook in all.into_iter().flatten() {
        if !Path::new(&hook.path).is_absolute() {
            return Err(invalid(format!("hooks: path {:?} must be absolute", hook.path)));
        }
        if hook.timeout.is_some_and(|seconds| seconds <= 0) {
            return Err(invalid(format!(
                "hooks: the timeout of {} must be greater than zero",
                hook.path
            )));
        }
    }
    Ok(())
}

fn linux(config: &Config, namespaces: &Namespaces) -> Result<()> {
    let linux = &config.linux;
    let maps = !linux.uid_mappings.is_empty() || !linux.gid_mappings.is_empty();
    if maps && !namespaces.is_new(Kind::User) {
        return Err(invalid(
            "linux.uidMappings and gidMappings need a new user namespace in linux.namespaces",
        ));
    }
    if namespaces.is_new(Kind::User)
        && (linux.uid_mappings.is_empty() || linux.gid_mappings.is_empty())
    {
        return Err(invalid("a new user namespace needs linux.uidMappings and linux.gidMappings"));
    }
    if !linux.time_offsets.is_empty() && !namespaces.is_new(Kind::Time) {
        return Err(invalid("linux.timeOffsets needs a new time namespace in linux.namespaces"));
    }
    if let Some(clock) =
        linux.time_offsets.keys().find(|clock| !matches!(clock.as_str(), "monotonic" | "boottime"))
    {
        return Err(invalid(format!("linux.timeOffsets: there is no clock {clock:?}")));
    }
    // Some callers write all that there could be.
    let says = |value: &serde_json::Value| {
        !value.is_null() && value.as_object().is_none_or(|object| !object.is_empty())
    };
    if says(&linux.intel_rdt) {
        return Err(unsupported("linux.intelRdt", "wharf knows no classes of service"));
    }
    if says(&linux.memory_policy) {
        return Err(unsupported("linux.memoryPolicy", "linux.resources.cpu.mems names nodes"));
    }
    if !linux.net_devices.is_empty() {
        return Err(unsupported("linux.netDevices", "move the links in by a createRuntime hook"));
    }
    if !linux.mount_label.is_empty() && !has_selinux() {
        return Err(unsupported("linux.mountLabel", "this kernel has no SELinux, or not on"));
    }
    let absolute = [("maskedPaths", &linux.masked_paths), ("readonlyPaths", &linux.readonly_paths)];
    for (what, paths) in absolute {
        if let Some(path) = paths.iter().find(|path| !path.starts_with('/')) {
            return Err(invalid(format!("linux.{what}: {path:?} must be absolute")));
        }
    }
    if linux.cgroups_path.split('/').any(|part| part == "..") {
        return Err(invalid(format!(
            "linux.cgroupsPath {:?} leads out of the mount",
            linux.cgroups_path
        )));
    }
    linux.sysctl.keys().try_for_each(|name| sysctl(name, namespaces))
}

/// Refuses a setting of the kernel that isn't the container's own.
fn sysctl(name: &str, namespaces: &Namespaces) -> Result<()> {
    let Some(path) = crate::init::settings::path(name) else {
        return Err(invalid(format!("linux.sysctl: {name:?} is no name of a setting")));
    };
    let dotted = path.replace('/', ".");
    let (own, of) = if crate::container::is_ipc_setting(&dotted) {
        (namespaces.is_own(Kind::Ipc), "IPC")
    } else if dotted.starts_with("net.") {
        (namespaces.is_own(Kind::Network), "network")
    } else if dotted == "kernel.domainname" {
        (namespaces.is_own(Kind::Uts), "UTS")
    } else if dotted == "kernel.hostname" {
        return Err(invalid("linux.sysctl: kernel.hostname conflicts with hostname: use that"));
    } else {
        return Err(invalid(format!("sysctl {name:?} is not in a separate kernel namespace")));
    };
    match own {
        true => Ok(()),
        false => Err(invalid(format!(
            "sysctl {name:?} is not allowed: the {of} namespace is not the container's own"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_names_of_folders() {
        for good in ["a", "a.b_c+d-e", "0", &"x".repeat(1024)] {
            assert!(id(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "ä", "a\0", &"x".repeat(1025)] {
            assert!(id(bad).is_err(), "{bad}");
        }
    }

    const GOOD: &str = r#"{"ociVersion":"1.0.2-dev","root":{"path":"rootfs"},
        "process":{"args":["true"],"cwd":"/"},
        "linux":{"namespaces":[{"type":"mount"},{"type":"ipc"}]}}"#;

    fn outcome(change: impl FnOnce(&mut serde_json::Value)) -> String {
        let mut document: serde_json::Value = serde_json::from_str(GOOD).unwrap();
        change(&mut document);
        let config: Config = serde_json::from_value(document).unwrap();
        let namespaces = Namespaces::of(&config.linux).unwrap();
        super::config(&config, &namespaces)
            .map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn what_the_specification_demands_is_demanded() {
        use serde_json::json;
        assert_eq!(outcome(|_| {}), "");
        let cases: [(&str, serde_json::Value, &str); 29] = [
            ("/ociVersion", json!("2.0.0"), "ociVersion 2.0.0 is not supported"),
            ("/ociVersion", json!("one"), "is no version"),
            ("/ociVersion", json!(""), "is no version"),
            ("/root", json!(null), "root is missing"),
            ("/root/path", json!(""), "root.path is missing"),
            ("/process", json!(null), "process is missing"),
            ("/process/args", json!([]), "process.args must not be empty"),
            ("/process/cwd", json!("tmp"), "must be an absolute path"),
            ("/process/env", json!(["A"]), "is not NAME=value"),
            ("/process/execCPUAffinity", json!({"initial": "x"}), "execCPUAffinity"),
            ("/process/apparmorProfile", json!("x"), "process.apparmorProfile"),
            ("/process/selinuxLabel", json!("x"), "process.selinuxLabel"),
            ("/hostname", json!("x"), "without a private UTS namespace"),
            ("/annotations", json!({"": "x"}), "a key is empty"),
            ("/hooks", json!({"poststop": [{"path": "x"}]}), "must be absolute"),
            ("/hooks", json!({"poststop": [{"path": "/x", "timeout": 0}]}), "greater than zero"),
            ("/linux/namespaces", json!([]), "without a mount namespace"),
            ("/linux/uidMappings", json!([{"size": 1}]), "need a new user namespace"),
            ("/linux/timeOffsets", json!({"boottime": {}}), "needs a new time namespace"),
            ("/linux/intelRdt", json!({"closID": "x"}), "linux.intelRdt is not supported"),
            ("/linux/memoryPolicy", json!({"mode": "x"}), "linux.memoryPolicy is not supported"),
            ("/linux/netDevices", json!({"eth0": {}}), "linux.netDevices is not supported"),
            ("/linux/maskedPaths", json!(["proc"]), "must be absolute"),
            ("/linux/cgroupsPath", json!("/a/../../b"), "leads out"),
            ("/linux/sysctl", json!({"net.x": "1"}), "network namespace is not"),
            ("/linux/sysctl", json!({"vm.x": "1"}), "not in a separate kernel namespace"),
            ("/linux/sysctl", json!({"net/../vm/x": "1"}), "is no name of a setting"),
            ("/linux/sysctl", json!({"net.//.vm.x": "1"}), "is no name of a setting"),
            ("/linux/sysctl", json!({"kernel.hostname": "1"}), "conflicts with hostname"),
        ];
        for (pointer, value, says) in cases {
            let found = outcome(|document| {
                let (parent, name) = pointer.rsplit_once('/').unwrap();
                document.pointer_mut(parent).unwrap()[name] = value.clone();
            });
            let kernel_has_it =
                (says.contains("apparmor") || says.contains("selinux")) && found.is_empty();
            assert!(found.contains(says) || kernel_has_it, "{pointer} {value}: {found:?}");
        }
        let own = outcome(|document| document["linux"]["sysctl"] = json!({"kernel.msgmax": "1"}));
        assert_eq!(own, "");
        let twice = json!([{"type": "RLIMIT_NOFILE"}, {"type": "RLIMIT_NOFILE"}]);
        let found = outcome(|document| document["process"]["rlimits"] = twice);
        assert!(found.contains("RLIMIT_NOFILE is there twice"), "{found}");
    }
}
