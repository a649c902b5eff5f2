//! The three files that the engine puts into a container: /etc/hosts, /etc/hostname and
//! /etc/resolv.conf.

use std::net::IpAddr;
use std::path::Path;

use wharf_model::{ErrorKind, NetworkMode};

use crate::dns::{self, Upstream};
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
    /// Whom its own name server asks, if it has one.
    pub(crate) forwarding: Option<Forwarding>,
}

/// What a container's own name server does about names that it doesn't know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Forwarding {
    /// The servers that it asks.
    pub(crate) upstreams: Vec<Upstream>,
    /// Whether names without a dot go to none of them, so that search domains are tried.
    pub(crate) keeps_plain: bool,
}

/// What a container's files depend on.
#[derive(Clone, Copy, Debug)]
pub struct Wishes<'a> {
    /// Its network.
    pub mode: &'a NetworkMode,
    /// Its host name.
    pub hostname: &'a str,
    /// Its domain, or empty.
    pub domainname: &'a str,
    /// Its addresses.
    pub addresses: &'a [IpAddr],
    /// Lines for others that it alone calls so.
    pub links: &'a str,
    /// Where it reaches the host, where there is a way.
    pub gateway: Option<IpAddr>,
    /// `NAME:ADDRESS` lines; the address may be `host-gateway`.
    pub extra_hosts: &'a [String],
    /// Name servers instead of the host's.
    pub dns: &'a [String],
    /// Search domains instead of the host's; `.` is none.
    pub dns_search: &'a [String],
    /// Options of the resolver instead of the host's.
    pub dns_options: &'a [String],
    /// Whether it has a name server of its own, which forwards to those that it would have else.
    pub name_server: bool,
}

/// The word for the host's address in `--add-host`.
pub const HOST_GATEWAY: &str = "host-gateway";

impl NetworkFiles {
    /// Returns the files of a container, from the host's own and what it wants instead.
    ///
    /// # Errors
    /// When a file of the host exists but can't be read, or it has no gateway and wants its address.
    pub fn of_host(wishes: &Wishes<'_>) -> Result<Self> {
        let extra = extra_lines(wishes)?;
        let host_resolv = read(RESOLV)?.unwrap_or_default();
        let own = || hosts(wishes, &extra);
        let (hosts, resolv) = match wishes.mode {
            // On the host's network what the host knows holds as it is.
            NetworkMode::Host if extra.is_empty() => {
                (read(HOSTS)?.unwrap_or_else(own), host_resolv)
            }
            NetworkMode::Host | NetworkMode::None => (own(), host_resolv),
            NetworkMode::Bridge | NetworkMode::Named(_) | NetworkMode::Container(_) => {
                (own(), resolv_conf(&behind(host_resolv)?))
            }
        };
        let hostname = format!("{}\n", wishes.hostname);
        let (resolv_conf, forwarding) = match resolver(wishes)? {
            Some((text, forwarding)) => (text, Some(forwarding)),
            None => (override_resolver(&resolv, wishes), None),
        };
        Ok(Self { hosts, hostname, resolv_conf, forwarding })
    }
}

/// Returns the lines of `--add-host`.
fn extra_lines(wishes: &Wishes<'_>) -> Result<String> {
    let mut lines = String::new();
    for entry in wishes.extra_hosts {
        let (name, address) = entry.split_once(':').unwrap_or((entry, ""));
        let address = match (address, wishes.gateway) {
            (HOST_GATEWAY, Some(gateway)) => gateway.to_string(),
            (HOST_GATEWAY, None) => {
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    "unable to derive the IP value for host-gateway: there is no bridge yet, which \
                     the first container on it brings",
                ));
            }
            (address, _) => address.to_owned(),
        };
        lines.push_str(&format!("{address}\t{name}\n"));
    }
    Ok(lines)
}

/// Returns a resolv.conf in which what the container wants stands instead; unchanged when it wants
/// nothing.
fn override_resolver(text: &str, wishes: &Wishes<'_>) -> String {
    let Wishes { dns, dns_search, dns_options, .. } = wishes;
    if dns.is_empty() && dns_search.is_empty() && dns_options.is_empty() {
        return text.to_owned();
    }
    let servers: Vec<String> = match dns.is_empty() {
        true => text.lines().filter_map(server).map(str::to_owned).collect(),
        false => dns.to_vec(),
    };
    let (search, options) = search_and_options(text, wishes);
    compose(&search, &servers, &options)
}

/// Returns the resolv.conf of a container that has a name server of its own, and what that one does
/// about names that it doesn't know.
///
/// # Errors
/// When a file of the host exists but can't be read.
pub(crate) fn resolver(wishes: &Wishes<'_>) -> Result<Option<(String, Forwarding)>> {
    if !wishes.name_server {
        return Ok(None);
    }
    let host = behind(read(RESOLV)?.unwrap_or_default())?;
    Ok(Some(own_name_server(&host, wishes)))
}

/// Returns the resolv.conf with the servers behind systemd-resolved, if the host asks that one.
fn behind(host: String) -> Result<String> {
    let resolved = if is_resolved(&host) { read(RESOLVED)? } else { None };
    Ok(resolved.unwrap_or(host))
}

/// Returns the resolv.conf of a container with a name server of its own, and whom that one asks:
/// the servers that the container wants, or the host's. A name is asked for as it is first, as with
/// docker, unless the host or the container want it otherwise.
fn own_name_server(host: &str, wishes: &Wishes<'_>) -> (String, Forwarding) {
    let has_ipv6 = wishes.addresses.iter().any(IpAddr::is_ipv6);
    let hosts_own = || host.lines().filter_map(server);
    let mut upstreams: Vec<Upstream> = match wishes.dns.is_empty() {
        true => hosts_own().filter_map(|text| Upstream::parse(text, true, has_ipv6)).collect(),
        false => {
            let asked = wishes.dns.iter();
            asked.filter_map(|text| Upstream::parse(text, false, has_ipv6)).collect()
        }
    };
    if upstreams.is_empty() {
        upstreams
            .extend(PUBLIC_SERVERS.iter().filter_map(|text| Upstream::parse(text, true, true)));
    }
    let (search, mut options) = search_and_options(host, wishes);
    let dots = options.iter().rev().find_map(|option| option.strip_prefix("ndots:"));
    let keeps_plain = dots.is_some_and(|dots| dots.parse::<u32>().is_ok_and(|dots| dots > 0));
    if dots.is_none() {
        options.push("ndots:0".to_owned());
    }
    let text = compose(&search, &[dns::ADDRESS.to_string()], &options);
    (text, Forwarding { upstreams, keeps_plain })
}

/// Returns the search domains and the options: what the container wants, or the host's.
fn search_and_options(text: &str, wishes: &Wishes<'_>) -> (Vec<String>, Vec<String>) {
    let Wishes { dns_search, dns_options, .. } = wishes;
    // The last line of these two holds (resolv.conf(5)).
    let last = |keyword: &str| -> Vec<String> {
        let words = |line: &str| line.split_ascii_whitespace().map(str::to_owned).collect();
        let mut lines = text
            .lines()
            .map(words)
            .filter(|words: &Vec<String>| words.first().is_some_and(|first| first == keyword));
        lines.next_back().map(|words| words[1..].to_vec()).unwrap_or_default()
    };
    let search = if dns_search.is_empty() { last("search") } else { dns_search.to_vec() };
    let options = if dns_options.is_empty() { last("options") } else { dns_options.to_vec() };
    (search, options)
}

fn compose(search: &[String], servers: &[String], options: &[String]) -> String {
    let mut text = String::new();
    if !search.is_empty() && search.join(" ").trim() != "." {
        text.push_str(&format!("search {}\n", search.join(" ")));
    }
    for server in servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !options.is_empty() {
        text.push_str(&format!("options {}\n", options.join(" ")));
    }
    text
}

fn read(path: &str) -> Result<Option<String>> {
    match std::fs::read(Path::new(path)) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Error::failed(format!("read {path}"), cause)),
    }
}

/// Returns /etc/hosts: docker's lines for the loopback and the multicast groups, those asked for,
/// then the container's own address with its full name and, of a qualified one, the part before the
/// dot.
fn hosts(wishes: &Wishes<'_>, extra: &str) -> String {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::\tip6-localnet\n\
         ff00::\tip6-mcastprefix\n\
         ff02::1\tip6-allnodes\n\
         ff02::2\tip6-allrouters\n",
    );
    text.push_str(extra);
    text.push_str(wishes.links);
    for address in wishes.addresses {
        text.push_str(&own_line(*address, wishes.hostname, wishes.domainname));
    }
    text
}

/// Returns the line for an address of the container's own.
pub(crate) fn own_line(address: IpAddr, hostname: &str, domainname: &str) -> String {
    let full = match domainname {
        "" => hostname.to_owned(),
        domain => format!("{hostname}.{domain}"),
    };
    match full.split_once('.') {
        Some((short, _)) => format!("{address}\t{full} {short}\n"),
        None => format!("{address}\t{full}\n"),
    }
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

    const PLAIN: Wishes<'static> = Wishes {
        mode: &NetworkMode::Bridge,
        hostname: "web",
        domainname: "",
        addresses: &[],
        links: "",
        gateway: None,
        extra_hosts: &[],
        dns: &[],
        dns_search: &[],
        dns_options: &[],
        name_server: false,
    };

    #[test]
    fn hosts_has_the_loopback_and_the_container() {
        let addresses = &[IpAddr::from([172, 17, 0, 2])];
        let text = hosts(&Wishes { hostname: "web.example.org", addresses, ..PLAIN }, "");
        assert!(text.starts_with("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost"));
        assert!(text.ends_with("\n172.17.0.2\tweb.example.org web\n"), "{text}");
        let text = hosts(&Wishes { domainname: "example.org", addresses, ..PLAIN }, "");
        assert!(text.ends_with("\n172.17.0.2\tweb.example.org web\n"), "{text}");
        let text = hosts(&Wishes { addresses, ..PLAIN }, "1.2.3.4\tfoo\n");
        assert!(text.ends_with("allrouters\n1.2.3.4\tfoo\n172.17.0.2\tweb\n"), "{text}");
        assert!(hosts(&PLAIN, "").ends_with("ip6-allrouters\n"));
    }

    #[test]
    fn names_are_added_and_the_host_is_one() {
        let entries = ["a:1.2.3.4", "v6:::1", "gate:host-gateway"].map(str::to_owned);
        let wishes = Wishes { extra_hosts: &entries, gateway: "10.0.0.1".parse().ok(), ..PLAIN };
        let lines = extra_lines(&wishes).unwrap();
        assert_eq!(lines, "1.2.3.4\ta\n::1\tv6\n10.0.0.1\tgate\n");
        assert!(extra_lines(&Wishes { gateway: None, ..wishes }).is_err());
    }

    #[test]
    fn what_is_asked_for_stands_instead_of_the_hosts() {
        let host = "search corp\nnameserver 10.1.2.3\noptions edns0\n";
        let list = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(override_resolver(host, &PLAIN), host);
        let (dns, search, options) =
            (list(&["1.1.1.1", "8.8.4.4"]), list(&["a.b", "c"]), list(&["ndots:2", "rotate"]));
        let all = Wishes { dns: &dns, dns_search: &search, dns_options: &options, ..PLAIN };
        assert_eq!(
            override_resolver(host, &all),
            "search a.b c\nnameserver 1.1.1.1\nnameserver 8.8.4.4\noptions ndots:2 rotate\n"
        );
        let dot = list(&["."]);
        assert_eq!(
            override_resolver(host, &Wishes { dns_search: &dot, ..PLAIN }),
            "nameserver 10.1.2.3\noptions edns0\n"
        );
    }

    #[test]
    fn a_name_server_of_its_own_forwards_to_the_hosts_or_those_asked_for() {
        let host = "search corp.example\nnameserver 127.0.0.1\nnameserver 10.1.2.3\n\
                    nameserver 2001:db8::1\noptions edns0\n";
        let of = |wishes: &Wishes<'_>| {
            let (text, forwarding) = own_name_server(host, wishes);
            let servers = forwarding.upstreams.iter();
            let servers = servers.map(|one| (one.address.to_string(), one.from_host));
            (text, servers.collect::<Vec<_>>(), forwarding.keeps_plain)
        };
        let server = |address: &str, from_host| (address.to_owned(), from_host);
        // As dockerd writes it.
        let text = "search corp.example\nnameserver 127.0.0.11\noptions edns0 ndots:0\n";
        let servers = [("127.0.0.1:53", true), ("10.1.2.3:53", false), ("[2001:db8::1]:53", true)];
        let servers = servers.map(|(address, from_host)| server(address, from_host)).to_vec();
        assert_eq!(of(&PLAIN), (text.to_owned(), servers, false));
        let addresses = &["fd00::2".parse().unwrap()];
        assert!(!of(&Wishes { addresses, ..PLAIN }).1[2].1, "its own IPv6 leads there");

        let list = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (dns, search, options) = (list(&["127.0.0.1"]), list(&["x.y"]), list(&["ndots:2"]));
        let asked = Wishes { dns: &dns, dns_search: &search, dns_options: &options, ..PLAIN };
        let text = "search x.y\nnameserver 127.0.0.11\noptions ndots:2\n";
        let servers = vec![server("127.0.0.1:53", false)];
        assert_eq!(of(&asked), (text.to_owned(), servers, true));
        let public = own_name_server("", &PLAIN).1.upstreams;
        assert_eq!(public.len(), PUBLIC_SERVERS.len());
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
        let files =
            NetworkFiles::of_host(&Wishes { mode: &NetworkMode::Host, hostname: "box", ..PLAIN })
                .unwrap();
        assert_eq!(files.hostname, "box\n");
        assert_eq!(files.resolv_conf, read(RESOLV).unwrap().unwrap_or_default());
    }
}
