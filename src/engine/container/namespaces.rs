//! What `create` checks about a container's namespaces and their settings, in docker's words.

use std::net::IpAddr;

use wharf_model::{CreateOptions, ErrorKind, HostConfig, NamespaceMode, NetworkMode};

use crate::init::settings;
use crate::state::{Record, Store};
use crate::{Error, Result};

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

/// Checks modes against each other, and settings against modes.
///
/// # Errors
/// Docker's sentence.
pub(super) fn check(options: &CreateOptions) -> Result<()> {
    let host = &options.host;
    let allowed = |mode: &NamespaceMode, own: bool, join: bool| match mode {
        NamespaceMode::Default | NamespaceMode::Host => true,
        NamespaceMode::Private => own,
        NamespaceMode::Container(_) => join,
        NamespaceMode::Shareable | NamespaceMode::None => false,
    };
    for (flag, what, fits) in [
        ("pid", "PID", allowed(&host.pid_mode, false, true)),
        ("uts", "UTS", allowed(&host.uts_mode, false, false)),
        ("cgroupns", "CGROUP", allowed(&host.cgroupns_mode, true, false)),
    ] {
        if !fits {
            return Err(invalid(format!("--{flag}: invalid {what} mode")));
        }
    }
    if host.uts_mode == NamespaceMode::Host && options.hostname.is_some() {
        return Err(invalid("conflicting options: hostname and the UTS mode"));
    }
    if options.domainname.len() > 64 || options.domainname.contains(['\0', '\n']) {
        return Err(invalid(format!("invalid domain name: {:?}", options.domainname)));
    }
    host.sysctls.keys().try_for_each(|name| check_sysctl(name, host))?;
    check_names(host)
}

/// Those of an IPC namespace that have no common beginning.
const IPC_SETTINGS: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// Returns whether a setting is an IPC namespace's.
pub(crate) fn is_ipc_setting(name: &str) -> bool {
    IPC_SETTINGS.contains(&name) || name.starts_with("fs.mqueue.")
}

/// Refuses a setting that isn't the container's own.
fn check_sysctl(name: &str, host: &HostConfig) -> Result<()> {
    let ipc = is_ipc_setting(name);
    if !ipc && !name.starts_with("net.") || settings::path(name).is_none() {
        return Err(invalid(format!("sysctl '{name}' is not allowed")));
    }
    let foreign = matches!(host.ipc_mode, NamespaceMode::Host | NamespaceMode::Container(_));
    if ipc && foreign {
        return Err(invalid(format!("sysctl {name:?} is not allowed in the hosts ipc namespace")));
    }
    if !ipc && host.network_mode == NetworkMode::Host {
        return Err(invalid(format!("sysctl {name:?} not allowed in host network namespace")));
    }
    Ok(())
}

/// Checks what goes into /etc/hosts and /etc/resolv.conf, a line each.
fn check_names(host: &HostConfig) -> Result<()> {
    for server in &host.dns {
        if server.parse::<IpAddr>().is_err() {
            return Err(invalid(format!("IP address is not correctly formatted: {server}")));
        }
    }
    for entry in &host.extra_hosts {
        let (name, address) = entry.split_once(':').unwrap_or_default();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(invalid(format!("bad format for add-host: {entry:?}")));
        }
        if address != crate::network::files::HOST_GATEWAY && address.parse::<IpAddr>().is_err() {
            return Err(invalid(format!("invalid IP address in add-host: {address:?}")));
        }
    }
    let mut words = host.dns_search.iter().chain(&host.dns_options);
    match words.find(|word| word.contains(['\n', '\0'])) {
        Some(word) => Err(invalid(format!("{word:?} is not a valid domain or option"))),
        None => Ok(()),
    }
}

/// Returns the settings with other containers named by their ids: their names may change.
///
/// # Errors
/// When there is no such container.
pub(super) fn resolved(store: &Store, mut host: HostConfig) -> Result<HostConfig> {
    for mode in [&mut host.ipc_mode, &mut host.pid_mode] {
        if let NamespaceMode::Container(whose) = mode {
            *whose = other(store, whose)?.id.as_str().to_owned();
        }
    }
    Ok(host)
}

/// Returns the record of another container. That it isn't there is a mistake in what was asked for,
/// not the lack of an image.
pub(super) fn other(store: &Store, name: &str) -> Result<Record> {
    store.container(name).map_err(|error| match error.kind() {
        ErrorKind::NotFound => error.with_kind(ErrorKind::Invalid),
        _ => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut CreateOptions)) -> String {
        let mut options = CreateOptions::default();
        change(&mut options);
        check(&options).unwrap_err().to_string()
    }

    #[test]
    fn modes_and_settings_must_fit() {
        assert!(check(&CreateOptions::default()).is_ok());
        let text = refused(|o| {
            o.host.uts_mode = NamespaceMode::Host;
            o.hostname = Some("x".to_owned());
        });
        assert_eq!(text, "conflicting options: hostname and the UTS mode");
        assert!(refused(|o| o.host.pid_mode = NamespaceMode::None).starts_with("--pid"));
        assert!(refused(|o| o.host.uts_mode = NamespaceMode::Private).starts_with("--uts"));
        let with = |name: &str, o: &mut CreateOptions| {
            o.host.sysctls.insert(name.to_owned(), "1".to_owned());
        };
        for name in [
            "kernel.hostname",
            "vm.swappiness",
            "net/ipv4/x",
            "net.//.vm.swappiness",
            "kernel.msgmax2",
        ] {
            assert!(refused(|o| with(name, o)).contains("is not allowed"), "{name}");
        }
        let mut options = CreateOptions::default();
        with("net.ipv4.conf.eth0/1.forwarding", &mut options);
        assert!(check(&options).is_ok());
        let text = refused(|o| {
            with("net.ipv4.ip_forward", o);
            o.host.network_mode = NetworkMode::Host;
        });
        assert!(text.contains("host network namespace"), "{text}");
        let text = refused(|o| {
            with("fs.mqueue.msg_max", o);
            o.host.ipc_mode = NamespaceMode::Host;
        });
        assert!(text.contains("hosts ipc namespace"), "{text}");
    }

    #[test]
    fn nothing_slips_a_line_into_a_file() {
        for entry in ["a", ":1.2.3.4", "a b:1.2.3.4", "a\n:1.2.3.4", "a:1.2.3", "a:1.2.3.4\n"] {
            assert!(!refused(|o| o.host.extra_hosts.push(entry.to_owned())).is_empty());
        }
        assert!(!refused(|o| o.host.dns.push("1.1.1.1\n".to_owned())).is_empty());
        assert!(!refused(|o| o.host.dns_search.push("a\nnameserver 6.6.6.6".into())).is_empty());
    }
}
