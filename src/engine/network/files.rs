//! The three files that the engine puts into a container: /etc/hosts, /etc/hostname and
//! /etc/resolv.conf.

use std::net::IpAddr;
use std::path::Path;

use wharf_model::NetworkMode;

use crate::{Error, Result};

const HOSTS: &str = "/etc/hosts";
const RESOLV: &str = "/etc/resolv.conf";
/// Where systemd-resolved keeps the name servers that it forwards to.
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";
/// Docker's name servers for containers of a host that has none they could reach.
const PUBLIC_SERVERS: [&str; 2] = ["8.8.8.8", "8.8.4.4"];

/// The contents of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkFiles {
    /// /etc/hosts.
    pub hosts: String,
    /// /etc/hostname.
    pub hostname: String,
    /// /etc/resolv.conf.
    pub resolv_conf: String,
}

impl NetworkFiles {
    /// Returns the files for a container of this network, from the host's own. `address` is the
    /// container's, where it has one.
    ///
    /// # Errors
    /// When a file of the host exists but can't be read.
    pub fn of_host(mode: &NetworkMode, hostname: &str, address: Option<IpAddr>) -> Result<Self> {
        let resolv = read(RESOLV)?.unwrap_or_default();
        let (hosts, resolv_conf) = match mode {
            // On the host's network what the host knows holds as it is.
            NetworkMode::Host => (read(HOSTS)?.unwrap_or_else(|| hosts(hostname, None)), resolv),
            NetworkMode::None => (hosts(hostname, address), resolv),
            NetworkMode::Bridge => {
                let resolved = if is_resolved(&resolv) { read(RESOLVED)? } else { None };
                (hosts(hostname, address), resolv_conf(resolved.as_deref().unwrap_or(&resolv)))
            }
        };
        Ok(Self { hosts, hostname: format!("{hostname}\n"), resolv_conf })
    }
}

fn read(path: &str) -> Result<Option<String>> {
    match std::fs::read(Path::new(path)) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Error::failed(format!("read {path}"), cause)),
    }
}

/// Returns /etc/hosts: docker's lines for the loopback and the multicast groups, then the
/// container's own address with its host name and, of a qualified one, the part before the dot.
pub fn hosts(hostname: &str, address: Option<IpAddr>) -> String {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::\tip6-localnet\n\
         ff00::\tip6-mcastprefix\n\
         ff02::1\tip6-allnodes\n\
         ff02::2\tip6-allrouters\n",
    );
    if let Some(address) = address {
        text.push_str(&format!("{address}\t{hostname}"));
        if let Some((short, _)) = hostname.split_once('.') {
            text.push_str(&format!(" {short}"));
        }
        text.push('\n');
    }
    text
}

/// Returns the host's /etc/resolv.conf as a container on a bridge can use it: without the name
/// servers on the host's loopback and those with IPv6 addresses, neither of which it reaches, and
/// with public ones if none is left. Other lines stay as they are.
pub fn resolv_conf(host: &str) -> String {
    let mut text = String::with_capacity(host.len());
    let mut servers = 0;
    for line in host.lines() {
        match server(line) {
            Some(server) if !is_reachable(server) => continue,
            Some(_) => servers += 1,
            None => {}
        }
        text.push_str(line);
        text.push('\n');
    }
    if servers == 0 {
        for server in PUBLIC_SERVERS {
            text.push_str(&format!("nameserver {server}\n"));
        }
    }
    text
}

/// Returns whether this host asks systemd-resolved, and nobody else: then that one's file has the
/// servers behind it.
fn is_resolved(resolv: &str) -> bool {
    let mut servers = resolv.lines().filter_map(server).peekable();
    servers.peek().is_some() && servers.all(|server| matches!(server, "127.0.0.53" | "127.0.0.54"))
}

/// Returns the address of a `nameserver` line (`resolv.conf(5)`).
fn server(line: &str) -> Option<&str> {
    let mut words = line.split_ascii_whitespace();
    (words.next()? == "nameserver").then(|| words.next()).flatten()
}

fn is_reachable(server: &str) -> bool {
    // An IPv6 address may carry a zone ("fe80::1%eth0"), which no parser of addresses takes.
    server.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4() && !address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_has_the_loopback_and_the_container() {
        let text = hosts("web.example.org", Some([172, 17, 0, 2].into()));
        assert!(text.starts_with("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost"));
        assert!(text.ends_with("\n172.17.0.2\tweb.example.org web\n"), "{text}");
        assert!(hosts("web", Some([10, 0, 0, 2].into())).ends_with("\n10.0.0.2\tweb\n"));
        assert!(hosts("web", None).ends_with("ip6-allrouters\n"));
    }

    #[test]
    fn unreachable_name_servers_go_and_all_else_stays() {
        let host = "# made by NetworkManager\nsearch corp.example example.org\n\
                    nameserver 127.0.0.1\nnameserver ::1\nnameserver\t10.1.2.3\n\
                    nameserver fe80::1%eth0\noptions edns0 ndots:2\n";
        let wanted = "# made by NetworkManager\nsearch corp.example example.org\n\
                      nameserver\t10.1.2.3\noptions edns0 ndots:2\n";
        assert_eq!(resolv_conf(host), wanted);
        assert_eq!(resolv_conf("nameserver 10.1.2.3"), "nameserver 10.1.2.3\n");
    }

    #[test]
    fn without_a_reachable_name_server_public_ones_are_asked() {
        let public = "nameserver 8.8.8.8\nnameserver 8.8.4.4\n";
        assert_eq!(resolv_conf(""), public);
        assert_eq!(
            resolv_conf("nameserver 127.0.0.53\noptions edns0\n"),
            format!("options edns0\n{public}")
        );
    }

    #[test]
    fn the_stub_of_systemd_resolved_is_known() {
        // As systemd-resolved writes its stub file.
        let stub = "# This is /run/systemd/resolve/stub-resolv.conf\n\
                    nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch lan\n";
        assert!(is_resolved(stub));
        assert!(!is_resolved("nameserver 127.0.0.53\nnameserver 10.0.0.1\n"));
        assert!(!is_resolved("search lan\n"));
    }

    #[test]
    fn the_hosts_own_network_keeps_the_hosts_files() {
        let files = NetworkFiles::of_host(&NetworkMode::Host, "box", None).unwrap();
        assert_eq!(files.hostname, "box\n");
        assert_eq!(files.resolv_conf, read(RESOLV).unwrap().unwrap_or_default());
    }
}
