//! Published ports: which of the host's ports lead to a container.
//!
//! A port is taken by binding it, as any program would: whoever else has it, another container,
//! another engine or another program, is found out, and nobody gets it while the container runs. The
//! sockets stay with the container's supervisor. Packets of others never reach them: the firewall's
//! maps redirect those to the container, their source address kept. What comes by the loopback, from
//! one address family to the other, or where there are no maps, the supervisor passes on.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use wharf_model::{
    ContainerId, EndpointOptions, ErrorKind, NetworkMode, PortBinding, PublishedPort,
};
use wharf_sys::netlink::conntrack;

use super::driver::Driver;
use super::endpoint::{Endpoint, way_out};
use super::rules::{Forward, Protocol, Table, firewall};
use crate::state::{Record, Store};
use crate::{Error, Result};

/// The journal's kind of ports: `PROTOCOL HOST:PORT CONTAINER:PORT BRIDGE`.
pub(crate) const KIND: &str = "port";
/// How often a free port is looked for that all addresses have.
const TRIES: usize = 64;
/// How many connections may wait for the supervisor.
const BACKLOG: i32 = 1024;

/// A port of the host that has been taken for a container.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) protocol: Protocol,
    pub(crate) container_port: u16,
    pub(crate) host: SocketAddr,
    pub(crate) socket: OwnedFd,
}

impl Bound {
    /// Returns what lists and `inspect` say of it.
    pub(crate) fn binding(&self) -> PortBinding {
        PortBinding {
            container_port: self.container_port,
            protocol: self.protocol.as_str().to_owned(),
            host: Some((self.host.ip(), self.host.port())),
        }
    }

    /// Returns what leads from it to the container: the way of the same family, else the other.
    pub(crate) fn forward(&self, ways: &[Way]) -> Option<Forward> {
        let same = ways.iter().find(|way| way.address.is_ipv4() == self.host.is_ipv4());
        let way = same.or_else(|| ways.first())?;
        let target = SocketAddr::new(way.address, self.container_port);
        let bridge = way.bridge.clone();
        Some(Forward { protocol: self.protocol, host: self.host, target, bridge })
    }
}

/// Where a container is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    /// Its address.
    pub(crate) address: IpAddr,
    /// The bridge of the network that the address is of.
    pub(crate) bridge: String,
}

/// Returns where a container on these networks is reached: where its own packets go out, as with
/// docker. Nothing comes into internal networks, and the host doesn't reach links of its own parents.
pub(crate) fn ways(endpoints: &[Endpoint]) -> Vec<Way> {
    let way = |ipv4: bool| {
        let out = way_out(endpoints, ipv4).filter(|out| out.network().driver == Driver::Bridge)?;
        let address = out.addresses().find(|address| address.is_ipv4() == ipv4)?;
        Some(Way { address, bridge: out.network().link.clone() })
    };
    [true, false].into_iter().filter_map(way).collect()
}

/// Returns whether a container in this mode has ports of its own to be published.
pub(crate) fn has_ports(mode: &NetworkMode) -> bool {
    matches!(mode, NetworkMode::Bridge | NetworkMode::Named(_))
}

/// Returns whether any of these networks lets somebody in: an internal one doesn't, nor one without a
/// bridge.
///
/// # Errors
/// When there is no such network.
pub(crate) fn is_possible(store: &Store, networks: &[EndpointOptions]) -> Result<bool> {
    if !crate::userns::owns_network() {
        return Ok(true);
    }
    for options in networks {
        // The default network is made by the first start.
        let Ok(network) = super::find(store, &options.network) else { return Ok(true) };
        if network.driver == Driver::Bridge && !network.internal {
            return Ok(true);
        }
    }
    Ok(networks.is_empty())
}

/// Reads a port as `--expose` and images name it: `80/tcp`.
pub(crate) fn exposed(text: &str) -> Option<(u16, Protocol)> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    Some((port.parse().ok()?, Protocol::from_word(protocol)?))
}

/// Returns the ports that a container wants of the host: those that were asked for and, with `-P`,
/// those that it is known to serve besides.
fn wanted(record: &Record) -> Vec<PublishedPort> {
    let host = &record.spec.host;
    let mut ports = host.published_ports.clone();
    if host.publish_all_ports {
        for (container_port, protocol) in
            record.spec.config.exposed_ports.iter().filter_map(|text| exposed(text))
        {
            let named = |port: &PublishedPort| {
                (port.container_port, port.protocol.as_str()) == (container_port, protocol.as_str())
            };
            if !host.published_ports.iter().any(named) {
                let protocol = protocol.as_str().to_owned();
                ports.push(PublishedPort {
                    container_port,
                    protocol,
                    host_ip: None,
                    host_ports: None,
                });
            }
        }
    }
    // Those that leave no choice first, so that no other gets what they need.
    ports.sort_by_key(|port| match port.host_ports {
        Some((first, last)) => u32::from(last - first),
        None => u32::MAX,
    });
    ports
}

/// Takes the ports that a container wants.
///
/// # Errors
/// When one of them is taken or may not be; none is then.
pub(crate) fn bind(store: &Store, record: &Record) -> Result<Vec<Bound>> {
    let mut bound = Vec::new();
    for port in wanted(record) {
        take(&port, &mut bound).map_err(|refusal| {
            let reason = refusal.reason(store);
            let endpoint = format!("{} ({})", record.name, record.id.short());
            let what = "driver failed programming external connectivity on endpoint";
            Error::new(refusal.kind(), format!("{what} {endpoint}: {reason}"))
        })?;
    }
    bound.sort_by_key(|bound| (bound.container_port, bound.protocol, bound.host));
    Ok(bound)
}

/// Why a port couldn't be had.
struct Refusal {
    protocol: &'static str,
    host: SocketAddr,
    /// Of how many ports it was the last.
    of_many: bool,
    errno: Errno,
}

impl Refusal {
    fn kind(&self) -> ErrorKind {
        match self.errno {
            Errno::ADDRINUSE => ErrorKind::Conflict,
            Errno::ACCESS | Errno::PERM => ErrorKind::Denied,
            _ => ErrorKind::Invalid,
        }
    }

    fn reason(&self, store: &Store) -> String {
        let Self { protocol, host, of_many, errno } = self;
        let port = host.port();
        match *errno {
            Errno::ADDRINUSE if *of_many => "all ports are allocated".to_owned(),
            Errno::ADDRINUSE if is_ours(store, protocol, *host) => {
                format!("Bind for {host} failed: port is already allocated")
            }
            Errno::ADDRINUSE => {
                format!(
                    "Bind for {host} failed: port is already allocated: another program of the host \
                     listens on {host}/{protocol}"
                )
            }
            Errno::ACCESS | Errno::PERM => format!(
                "cannot expose privileged port {port}, you can add \
                 'net.ipv4.ip_unprivileged_port_start={port}' to /etc/sysctl.conf, or choose a larger \
                 port number (>= 1024): bind {host}/{protocol}: permission denied"
            ),
            errno => format!("failed to bind host port {host}/{protocol}: {errno}"),
        }
    }
}

/// Returns whether a container of this root has a port of this number.
fn is_ours(store: &Store, protocol: &str, host: SocketAddr) -> bool {
    let same = |forward: &Forward| {
        forward.protocol.as_str() == protocol && forward.host.port() == host.port()
    };
    journalled(store).is_ok_and(|forwards| forwards.iter().any(same))
}

/// Takes one port on all addresses that it is wanted on.
fn take(port: &PublishedPort, bound: &mut Vec<Bound>) -> std::result::Result<(), Refusal> {
    let protocol = Protocol::from_word(&port.protocol).unwrap_or(Protocol::Tcp);
    let addresses: &[IpAddr] = match &port.host_ip {
        Some(address) => std::slice::from_ref(address),
        None => &[IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)],
    };
    let refusal =
        |host, of_many, errno| Err(Refusal { protocol: protocol.as_str(), host, of_many, errno });
    let (choices, of_many): (Box<dyn Iterator<Item = u16>>, bool) = match port.host_ports {
        Some((first, last)) => (Box::new(first..=last), last > first),
        None => (Box::new(std::iter::repeat_n(0, TRIES)), false),
    };
    let mut last = None;
    for choice in choices {
        match take_all(protocol, addresses, choice) {
            Ok(sockets) => {
                bound.extend(sockets.into_iter().map(|(host, socket)| Bound {
                    protocol,
                    container_port: port.container_port,
                    host,
                    socket,
                }));
                return Ok(());
            }
            Err((host, Errno::ADDRINUSE)) => last = Some(host),
            Err((host, errno)) => return refusal(host, of_many, errno),
        }
    }
    let none = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    refusal(last.unwrap_or(none), of_many, Errno::ADDRINUSE)
}

type Sockets = Vec<(SocketAddr, OwnedFd)>;

/// Binds the same port, or with 0 any free one, on all addresses.
fn take_all(
    protocol: Protocol,
    addresses: &[IpAddr],
    mut port: u16,
) -> std::result::Result<Sockets, (SocketAddr, Errno)> {
    let mut sockets = Vec::with_capacity(addresses.len());
    for address in addresses {
        let host = SocketAddr::new(*address, port);
        match bind_one(protocol, host) {
            Ok((host, socket)) => {
                port = host.port();
                sockets.push((host, socket));
            }
            // A host without IPv6 serves none.
            Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)
                if address.is_ipv6() && !sockets.is_empty() => {}
            Err(errno) => return Err((host, errno)),
        }
    }
    Ok(sockets)
}

fn bind_one(protocol: Protocol, host: SocketAddr) -> rustix::io::Result<(SocketAddr, OwnedFd)> {
    let family = if host.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let kind = match protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::DGRAM,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, kind, flags, None)?;
    if host.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if protocol == Protocol::Tcp {
        // What waits for the last packets of earlier connections is no reason to refuse.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    rustix::net::bind(&socket, &host)?;
    if protocol == Protocol::Tcp {
        rustix::net::listen(&socket, BACKLOG)?;
    }
    let host = SocketAddr::try_from(rustix::net::getsockname(&socket)?)?;
    Ok((host, socket))
}

/// Notes the ports of a container, before the firewall learns of them.
pub(crate) fn journal(store: &Store, owner: &ContainerId, forwards: &[Forward]) -> Result<()> {
    forwards.iter().try_for_each(|forward| store.journal(KIND, &key(forward), owner))
}

fn key(Forward { protocol, host, target, bridge }: &Forward) -> String {
    format!("{} {host} {target} {bridge}", protocol.as_str())
}

fn from_key(key: &str) -> Option<Forward> {
    let mut words = key.splitn(4, ' ');
    let protocol = Protocol::from_word(words.next()?)?;
    let (host, target) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some(Forward { protocol, host, target, bridge: words.next()?.to_owned() })
}

/// Returns the ports of all containers of this root.
pub(crate) fn journalled(store: &Store) -> Result<Vec<Forward>> {
    let keys = store.journalled()?.into_iter().filter(|(kind, ..)| kind == KIND);
    Ok(keys.filter_map(|(_, key, _)| from_key(&key)).collect())
}

/// Returns the ports of a container.
pub(crate) fn journalled_of(store: &Store, owner: &ContainerId) -> Result<Vec<Forward>> {
    let keys = store.journalled_for(owner)?.into_iter().filter(|(kind, _)| kind == KIND);
    Ok(keys.filter_map(|(_, key)| from_key(&key)).collect())
}

/// Redirects packets for these ports to the container.
///
/// # Errors
/// When the firewall refuses.
pub(crate) fn redirect(store: &Store, forwards: &[Forward]) -> Result<()> {
    if forwards.is_empty() {
        return Ok(());
    }
    // Without a firewall the supervisors pass all on.
    let Some(mut nft) = firewall()? else { return Ok(()) };
    Table::of(store).publish(&mut nft, store, forwards)?;
    forget_flows(forwards);
    Ok(())
}

/// Makes a container's ports lead where they should now that its networks have changed.
///
/// # Errors
/// When the firewall or the database refuses.
pub(crate) fn move_to(store: &Store, owner: &ContainerId, forwards: &[Forward]) -> Result<()> {
    if journalled_of(store, owner)?.iter().collect::<BTreeSet<_>>() == forwards.iter().collect() {
        return Ok(());
    }
    give_back_all(store, owner)?;
    journal(store, owner, forwards)?;
    redirect(store, forwards)
}

/// Takes back what was noted under this key, which may be done already.
///
/// # Errors
/// When the firewall refuses; the note stays.
pub(crate) fn give_back(store: &Store, key: &str) -> Result<()> {
    if let Some(forward) = from_key(key) {
        withdraw(store, &[forward])?;
    }
    store.settle(KIND, key)
}

/// Takes all ports of a container back.
///
/// # Errors
/// When the firewall or the database refuses; the notes stay.
pub(crate) fn give_back_all(store: &Store, owner: &ContainerId) -> Result<()> {
    let keys = store.journalled_for(owner)?.into_iter().filter(|(kind, _)| kind == KIND);
    let keys: Vec<String> = keys.map(|(_, key)| key).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let forwards: Vec<Forward> = keys.iter().filter_map(|key| from_key(key)).collect();
    withdraw(store, &forwards)?;
    keys.iter().try_for_each(|key| store.settle(KIND, key))
}

fn withdraw(store: &Store, forwards: &[Forward]) -> Result<()> {
    // An ordinary user's engine has no part in the host's firewall.
    if !crate::userns::owns_network() {
        return Ok(());
    }
    let Some(mut nft) = firewall()? else { return Ok(()) };
    Table::of(store).withdraw(&mut nft, store, forwards)?;
    forget_flows(forwards);
    Ok(())
}

/// Makes the kernel forget where datagrams for these ports went before: a client that goes on sending
/// would never get anywhere else.
fn forget_flows(forwards: &[Forward]) {
    let udp: BTreeSet<&Forward> =
        forwards.iter().filter(|forward| forward.protocol == Protocol::Udp).collect();
    if udp.is_empty() {
        return;
    }
    let concerned = |flow: &conntrack::Flow| {
        flow.protocol == Protocol::Udp.number()
            && udp.iter().any(|Forward { host, target, .. }| {
                let to_host = flow.destination.port() == host.port()
                    && (host.ip().is_unspecified() && host.is_ipv4() == flow.destination.is_ipv4()
                        || host.ip() == flow.destination.ip());
                to_host || flow.answers_from == *target
            })
    };
    // A kernel that doesn't show its connections lets them expire by themselves.
    let _ = conntrack::forget(concerned);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(host: Option<&str>, ports: Option<(u16, u16)>, protocol: &str) -> PublishedPort {
        PublishedPort {
            container_port: 80,
            protocol: protocol.to_owned(),
            host_ip: host.map(|host| host.parse().unwrap()),
            host_ports: ports,
        }
    }

    #[test]
    fn notes_are_read_as_they_are_written() {
        for text in [
            "tcp 0.0.0.0:8080 172.17.0.2:80 wharf0",
            "udp [::]:53 [fd00::2]:53 x",
            "tcp [::1]:1 10.0.0.2:2 ",
        ] {
            assert_eq!(key(&from_key(text).unwrap()), text);
        }
        for text in ["", "tcp", "tcp 1.2.3.4:1", "sctp 1.2.3.4:1 1.2.3.4:1 x", "tcp a:1 b:2 x"] {
            assert_eq!(from_key(text), None);
        }
    }

    #[test]
    fn a_port_is_the_same_on_all_addresses_and_ranges_are_searched() {
        for protocol in ["tcp", "udp"] {
            let mut bound = Vec::new();
            assert!(take(&port(None, None, protocol), &mut bound).is_ok());
            let first = bound[0].host.port();
            assert!(first != 0 && bound.iter().all(|bound| bound.host.port() == first));
            let again = take(&port(Some("127.0.0.1"), Some((first, first)), protocol), &mut bound);
            let refusal = again.unwrap_err();
            assert_eq!((refusal.errno, refusal.of_many), (Errno::ADDRINUSE, false));
            let many = take(&port(None, Some((first, first + 20)), protocol), &mut bound);
            assert!(many.is_ok());
            assert!(bound.iter().any(|bound| bound.host.port() > first));
        }
    }

    #[test]
    fn an_address_that_the_host_has_not_is_refused() {
        let refused = take(&port(Some("192.0.2.77"), None, "tcp"), &mut Vec::new()).unwrap_err();
        assert_eq!(refused.errno, Errno::ADDRNOTAVAIL);
    }

    #[test]
    fn the_way_stays_in_the_family_where_it_can() {
        let bound = |host: &str| Bound {
            protocol: Protocol::Tcp,
            container_port: 80,
            host: host.parse().unwrap(),
            socket: rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap(),
        };
        let way =
            |address: &str| Way { address: address.parse().unwrap(), bridge: "wharf0".to_owned() };
        let (four, six) = (way("10.0.0.2"), way("fd00::2"));
        let target = |host: &str, ways: &[&Way]| {
            let ways: Vec<Way> = ways.iter().map(|way| (*way).clone()).collect();
            bound(host).forward(&ways).map(|forward| forward.target.to_string())
        };
        assert_eq!(target("0.0.0.0:1", &[&four, &six]).as_deref(), Some("10.0.0.2:80"));
        assert_eq!(target("[::]:1", &[&four, &six]).as_deref(), Some("[fd00::2]:80"));
        assert_eq!(target("[::]:1", &[&four]).as_deref(), Some("10.0.0.2:80"));
        assert_eq!(target("[::]:1", &[]), None);
    }
}
