//! Flags about a container's namespaces, names and protection, as docker's command line takes them.

use std::net::IpAddr;

use wharf_model::{HostConfig, NamespaceMode, SeccompMode, mounts};

use super::create::invalid;
use super::values;
use super::{Parsed, mount_flag};
use crate::call::Failure;

/// Sets all of it.
///
/// # Errors
/// A usage error (exit code 125) that names the flag.
pub(super) fn take(
    parsed: &Parsed,
    folder: &std::path::Path,
    host: &mut HostConfig,
) -> Result<(), Failure> {
    take_mounts(parsed, folder, host)?;
    take_modes(parsed, host)?;
    take_names(parsed, host)?;
    for text in parsed.all("security-opt") {
        security(text, host)?;
    }
    if let Some(text) = parsed.last("shm-size") {
        let size = values::bytes(text).map_err(|reason| invalid(text, "--shm-size", &reason))?;
        host.shm_size = Some(size).filter(|size| *size > 0);
    }
    for text in parsed.all("sysctl") {
        let allowed = text.split_once('=').filter(|(name, _)| is_namespaced(name));
        let Some((name, value)) = allowed else {
            return Err(invalid(text, "--sysctl", &format!("sysctl '{text}' is not allowed")));
        };
        host.sysctls.insert(name.to_owned(), value.to_owned());
    }
    for text in parsed.all("annotation") {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        if name.is_empty() {
            let reason = format!("invalid annotation '{text}': empty name");
            return Err(invalid(text, "--annotation", &reason));
        }
        host.annotations.insert(name.to_owned(), value.to_owned());
    }
    host.group_add = parsed.all("group-add").map(str::to_owned).collect();
    host.cidfile = parsed.last("cidfile").unwrap_or_default().to_owned();
    if let Some(other) = parsed.last("isolation")
        && !matches!(other, "" | "default")
    {
        let text = format!("invalid isolation ({other}): linux only supports 'default'");
        return Err(Failure::usage(text));
    }
    if parsed.last("disable-content-trust") == Some("false") {
        return Err(Failure::usage(
            "--disable-content-trust=false: wharf asks no notary server who has signed an image",
        ));
    }
    match parsed.last("runtime") {
        None | Some("" | "wharf") => Ok(()),
        Some(other) => Err(Failure::usage(format!(
            "unknown or invalid runtime name: {other}: wharf has no runtime but its own"
        ))),
    }
}

fn take_mounts(
    parsed: &Parsed,
    folder: &std::path::Path,
    host: &mut HostConfig,
) -> Result<(), Failure> {
    for text in parsed.all("volume") {
        match mounts::volume(text, folder).map_err(Failure::usage)? {
            mounts::Asked::Bind(bind) => host.binds.push(bind),
            // For the container's own settings.
            mounts::Asked::Anonymous(_) => {}
        }
    }
    for text in parsed.all("mount") {
        host.mounts.push(mount_flag::mount(text, folder)?);
    }
    for text in parsed.all("tmpfs") {
        let (path, options) =
            mounts::tmpfs(text).map_err(|reason| invalid(text, "--tmpfs", &reason))?;
        host.tmpfs.insert(path, options);
    }
    parsed.last("volume-driver").unwrap_or_default().clone_into(&mut host.volume_driver);
    host.volumes_from = parsed.all("volumes-from").map(str::to_owned).collect();
    let binds = host.binds.iter().map(|bind| &bind.target);
    let mut targets: Vec<&String> =
        binds.chain(host.mounts.iter().map(|m| &m.target)).chain(host.tmpfs.keys()).collect();
    targets.sort_unstable();
    match targets.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Failure::usage(format!("Duplicate mount point: {}", pair[0]))),
        None => Ok(()),
    }
}

fn take_modes(parsed: &Parsed, host: &mut HostConfig) -> Result<(), Failure> {
    let mode = |flag: &str| NamespaceMode::from_text(parsed.last(flag).unwrap_or_default());
    let refuse = |flag: &str, what: &str| Failure::usage(format!("--{flag}: invalid {what} mode"));
    let ipc = parsed.last("ipc").unwrap_or_default();
    host.ipc_mode =
        mode("ipc").ok_or_else(|| Failure::usage(format!("Invalid IPC mode: {ipc}")))?;
    host.pid_mode = mode("pid").ok_or_else(|| refuse("pid", "PID"))?;
    host.uts_mode = mode("uts").ok_or_else(|| refuse("uts", "UTS"))?;
    host.cgroupns_mode = mode("cgroupns").ok_or_else(|| refuse("cgroupns", "CGROUP"))?;
    use NamespaceMode::{Container, Default, Host, Private};
    if !matches!(host.pid_mode, Default | Host | Container(_)) {
        return Err(refuse("pid", "PID"));
    }
    if !matches!(host.uts_mode, Default | Host) {
        return Err(refuse("uts", "UTS"));
    }
    if !matches!(host.cgroupns_mode, Default | Host | Private) {
        return Err(refuse("cgroupns", "CGROUP"));
    }
    Ok(())
}

/// Returns whether a kernel setting belongs to a namespace that a container can have.
fn is_namespaced(name: &str) -> bool {
    const SINGLE: [&str; 8] = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    SINGLE.contains(&name) || name.starts_with("net.") || name.starts_with("fs.mqueue.")
}

/// The resolver and /etc/hosts.
fn take_names(parsed: &Parsed, host: &mut HostConfig) -> Result<(), Failure> {
    for text in parsed.all("dns") {
        let address: IpAddr = text.trim().parse().map_err(|_| {
            invalid(text, "--dns", &format!("IP address is not correctly formatted: {text}"))
        })?;
        host.dns.push(address.to_string());
    }
    for text in parsed.all("dns-search") {
        let domain = text.trim_matches(' ');
        if domain != "." && !is_domain(domain) {
            return Err(invalid(text, "--dns-search", &format!("{text} is not a valid domain")));
        }
        host.dns_search.push(domain.to_owned());
    }
    host.dns_options = parsed.all("dns-option").map(str::to_owned).collect();
    for text in parsed.all("add-host") {
        let bad = |reason: String| invalid(text, "--add-host", &reason);
        // An IPv6 address has colons of its own.
        let (name, address) = text
            .split_once('=')
            .or_else(|| text.split_once(':'))
            .filter(|(name, _)| !name.is_empty() && !name.contains(':'))
            .ok_or_else(|| bad(format!("bad format for add-host: {text:?}")))?;
        let inner = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let address = inner.unwrap_or(address);
        if address != "host-gateway" && address.parse::<IpAddr>().is_err() {
            return Err(bad(format!("invalid IP address in add-host: {address:?}")));
        }
        host.extra_hosts.push(format!("{name}:{address}"));
    }
    Ok(())
}

/// Returns whether this is a domain: labels of letters, digits and dashes inside, one letter in all.
fn is_domain(text: &str) -> bool {
    let labels = text.strip_suffix('.').unwrap_or(text);
    text.len() < 255
        && text.bytes().any(|b| b.is_ascii_alphabetic())
        && labels.split('.').all(|label| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

fn security(text: &str, host: &mut HostConfig) -> Result<(), Failure> {
    let invalid = || Failure::usage(format!("invalid --security-opt 2: {text:?}"));
    let (name, value) = match text.split_once('=').or_else(|| text.split_once(':')) {
        Some((name, value)) => (name, Some(value).filter(|value| !value.is_empty())),
        None => (text, None),
    };
    match (name, value) {
        ("no-new-privileges", None) if name == text => host.no_new_privileges = true,
        (_, None) => return Err(Failure::usage(format!("Invalid --security-opt: {text:?}"))),
        ("no-new-privileges", Some(value)) => {
            host.no_new_privileges = values::boolean(value).ok_or_else(invalid)?;
        }
        ("seccomp", Some("builtin")) => host.seccomp = SeccompMode::Default,
        ("seccomp", Some("unconfined")) => host.seccomp = SeccompMode::Unconfined,
        ("seccomp", Some(path)) => {
            let failed = |why: String| {
                Failure::usage(format!("opening seccomp profile ({path}) failed: {why}"))
            };
            let text = std::fs::read_to_string(path)
                .map_err(|cause| failed(format!("open {path}: {}", values::cause(&cause))))?;
            let profile: serde_json::Value = serde_json::from_str(&text).map_err(|cause| {
                Failure::usage(format!(
                    "compacting json for seccomp profile ({path}) failed: {cause}"
                ))
            })?;
            host.seccomp = SeccompMode::Profile(profile.to_string());
        }
        ("systempaths", Some("unconfined")) => host.unconfined_paths = true,
        ("apparmor", Some(profile)) => host.apparmor = Some(profile.to_owned()),
        ("label", Some(label)) => host.label.push(label.to_owned()),
        _ => return Err(invalid()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::parse;
    use crate::verbs::run::VERB;

    fn read(words: &[&str]) -> Result<HostConfig, String> {
        let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        words.push("image".to_owned());
        let parsed = parse(&VERB, &words).map_err(|error| format!("{error:?}"))?;
        let mut host = HostConfig::default();
        take(&parsed, std::path::Path::new("/home/me"), &mut host)
            .map(|()| host)
            .map_err(|failure| failure.message().to_owned())
    }

    #[test]
    fn flags_become_settings() {
        let host = read(&[
            "--ipc",
            "container:a",
            "--pid",
            "host",
            "--uts",
            "host",
            "--cgroupns",
            "private",
            "--shm-size",
            "1m",
            "--sysctl",
            "net.ipv4.ip_forward=1",
            "--group-add",
            "audio",
            "--security-opt",
            "seccomp=unconfined",
            "--security-opt",
            "systempaths=unconfined",
            "--security-opt",
            "no-new-privileges:true",
            "--security-opt",
            "apparmor=x",
            "--security-opt",
            "label:disable",
            "--dns",
            "1.1.1.1",
            "--dns-search",
            ".",
            "--dns-opt",
            "ndots:1",
            "--dns-option",
            "rotate",
            "--add-host",
            "v6=[::1]",
            "--add-host",
            "gate:host-gateway",
            "--annotation",
            "a=b=c",
            "--cidfile",
            "/c",
            "--volumes-from",
            "x:ro",
        ])
        .unwrap();
        assert_eq!(host.ipc_mode, NamespaceMode::Container("a".into()));
        assert_eq!((&host.pid_mode, &host.uts_mode), (&NamespaceMode::Host, &NamespaceMode::Host));
        assert_eq!(host.cgroupns_mode, NamespaceMode::Private);
        assert_eq!(host.shm_size, Some(1 << 20));
        assert_eq!(host.sysctls["net.ipv4.ip_forward"], "1");
        assert_eq!(host.seccomp, SeccompMode::Unconfined);
        assert!(host.unconfined_paths && host.no_new_privileges);
        assert_eq!(
            (host.apparmor.as_deref(), &host.label[..]),
            (Some("x"), &["disable".into()][..])
        );
        assert_eq!(host.dns_options, ["ndots:1", "rotate"]);
        assert_eq!(host.extra_hosts, ["v6:::1", "gate:host-gateway"]);
        assert_eq!(host.annotations["a"], "b=c");
        assert_eq!(host.volumes_from, ["x:ro"]);
    }

    #[test]
    fn complaints_are_dockers() {
        for (flag, value, part) in [
            ("--ipc", "foo", "Invalid IPC mode: foo"),
            ("--pid", "foo", "--pid: invalid PID mode"),
            ("--pid", "private", "--pid: invalid PID mode"),
            ("--uts", "container:x", "--uts: invalid UTS mode"),
            ("--cgroupns", "none", "--cgroupns: invalid CGROUP mode"),
            ("--sysctl", "foo=1", "\"--sysctl\" flag: sysctl 'foo=1' is not allowed"),
            ("--sysctl", "kernel.msgmax", "sysctl 'kernel.msgmax' is not allowed"),
            ("--shm-size", "-1", "invalid size: '-1'"),
            ("--dns", "foo", "IP address is not correctly formatted: foo"),
            ("--dns-search", "f oo", "f oo is not a valid domain"),
            ("--add-host", "foo", "bad format for add-host: \"foo\""),
            ("--add-host", "foo:bar", "invalid IP address in add-host: \"bar\""),
            ("--add-host", "foo:", "invalid IP address in add-host: \"\""),
            ("--security-opt", "foo", "Invalid --security-opt: \"foo\""),
            ("--security-opt", "foo=bar", "invalid --security-opt 2: \"foo=bar\""),
            ("--security-opt", "no-new-privileges:maybe", "invalid --security-opt 2:"),
            (
                "--security-opt",
                "seccomp=/nope",
                "opening seccomp profile (/nope) failed: open /nope: no such file or directory",
            ),
            ("--runtime", "runc", "unknown or invalid runtime name: runc"),
            ("--annotation", "=x", "empty name"),
        ] {
            let reason = read(&[flag, value]).unwrap_err();
            assert!(reason.contains(part), "{flag} {value}: {reason}");
        }
    }
}
