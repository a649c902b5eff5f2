//! The kernel's side of a network: its link on the host, and what the host routes already.

use std::fs::File;
use std::net::IpAddr;

use ipnet::IpNet;
use rustix::fs::{FlockOperation, flock};
use wharf_model::{EndpointOptions, ErrorKind};
use wharf_sys::netlink::Batch;
use wharf_sys::netlink::route::{LinkRef, Mac, RouteSocket};

use super::driver::Driver;
use super::record::Network;
use super::rules::{Table, firewall, foreign};
use crate::state::Store;
use crate::{Error, Result};

/// Whether this host routes packets from one link to another.
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";
/// The same, for IPv6.
const FORWARDING_IPV6: &str = "/proc/sys/net/ipv6/conf/all/forwarding";
/// Routes with a shorter prefix are ways to the outside at large (a default route, or the two
/// halves that tunnels put over it), not subnets in use.
const SHORTEST_SUBNET: u8 = 8;

/// Makes a failed netlink request an error of the engine.
pub(super) fn failed(error: wharf_sys::netlink::Error) -> Error {
    use wharf_sys::netlink::Errno;
    let kind = match error.errno() {
        Errno::PERM | Errno::ACCESS => ErrorKind::Denied,
        Errno::OPNOTSUPP | Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT => ErrorKind::Unsupported,
        _ => ErrorKind::Internal,
    };
    Error::failed("network", error).with_kind(kind)
}

/// Waits until no other engine process of this network namespace is choosing a subnet, and keeps
/// others from it until the file is dropped.
pub(super) fn lock_namespace() -> Result<File> {
    // The namespace itself is the lock: it is the same for all roots that could collide.
    let name = "/proc/thread-self/ns/net";
    let file = File::open(name).map_err(|cause| Error::failed(format!("open {name}"), cause))?;
    flock(&file, FlockOperation::LockExclusive)
        .map_err(|cause| Error::failed(format!("lock {name}"), cause))?;
    Ok(file)
}

/// Returns whether this link exists and is up.
pub(super) fn is_up(route: &mut RouteSocket, link: &str) -> Result<bool> {
    Ok(route.link(link).map_err(failed)?.is_some_and(|link| link.up))
}

/// Returns the subnets that the host's links and routes use, other than by this link.
pub(super) fn used_subnets(route: &mut RouteSocket, link: &str) -> Result<Vec<IpNet>> {
    let own = match link {
        "" => None,
        link => route.link(link).map_err(failed)?.map(|link| link.index),
    };
    let addresses = route.addresses().map_err(failed)?.into_iter();
    let addresses = addresses.filter(|a| Some(a.index) != own).map(|a| a.block);
    let routes = route.routes().map_err(failed)?.into_iter();
    let routes = routes.filter(|r| own.is_none() || r.link != own).map(|r| r.destination);
    let long_enough = addresses.chain(routes).filter(|block| block.prefix >= SHORTEST_SUBNET);
    Ok(long_enough
        .filter_map(|block| IpNet::new(block.address, block.prefix).ok())
        .map(|net| net.trunc())
        .collect())
}

/// Returns the IPv4 subnet of this bridge, if it exists and is its gateway: the bridge of a root
/// whose database is gone is taken over as it is.
pub(super) fn subnet_of(route: &mut RouteSocket, bridge: &str) -> Result<Option<IpNet>> {
    let Some(link) = route.link(bridge).map_err(failed)? else { return Ok(None) };
    let addresses = route.addresses().map_err(failed)?;
    Ok(addresses.iter().filter(|a| a.index == link.index).find_map(|a| {
        let subnet = IpNet::new(a.block.address, a.block.prefix).ok()?.trunc();
        let pool = super::pool::Pool::of(subnet);
        let whole = subnet.addr().is_ipv4() && pool.gateway == a.block.address;
        (whole && pool.capacity() > 0).then_some(subnet)
    }))
}

/// Makes the network's link with its addresses unless it is there, brings it up, and returns its
/// number; 0 for a network without one. Several processes may do so at once.
pub(super) fn raise(route: &mut RouteSocket, network: &Network) -> Result<u32> {
    match network.driver {
        Driver::Bridge => raise_bridge(route, network),
        Driver::Macvlan | Driver::Ipvlan => raise_parent(route, network),
        Driver::Host | Driver::Null => Ok(0),
    }
}

fn raise_bridge(route: &mut RouteSocket, network: &Network) -> Result<u32> {
    let bridge = &network.link;
    let mut batch = Batch::new();
    let first = network.pools().next().map(|pool| pool.gateway);
    if network.owns_link {
        batch.ensure_bridge(bridge, first.map_or([0x02, 0x42, 0, 0, 0, 1], mac));
    }
    batch.get_link(bridge);
    let link = route.apply(batch).map_err(failed)?.pop().ok_or_else(|| {
        Error::new(ErrorKind::Conflict, format!("bridge {bridge} was deleted while it was made"))
    })?;
    if link.kind.as_deref() != Some("bridge") {
        return Err(Error::new(
            ErrorKind::Conflict,
            format!("existing interface {bridge} is not a bridge: rename or delete it"),
        ));
    }
    let mut batch = Batch::new();
    if let Some(mtu) = network.mtu() {
        batch.set_mtu(LinkRef::Index(link.index), mtu);
    }
    // Up comes last: who finds the bridge up may rely on its address.
    for pool in network.pools() {
        batch.ensure_address(link.index, pool.block(pool.gateway));
    }
    match network.ipv6 {
        Some(_) => batch.set_up_with_ipv6(LinkRef::Index(link.index)),
        None => batch.set_up(LinkRef::Index(link.index)),
    }
    route.apply(batch).map_err(failed)?;
    Ok(link.index)
}

/// The parent of a macvlan or ipvlan network: one of the host's own, or a VLAN of it, or one that
/// leads nowhere.
fn raise_parent(route: &mut RouteSocket, network: &Network) -> Result<u32> {
    let parent = &network.link;
    if let Some(link) = route.link(parent).map_err(failed)? {
        if network.owns_link && !link.up {
            let mut batch = Batch::new();
            batch.set_up(LinkRef::Index(link.index));
            route.apply(batch).map_err(failed)?;
        }
        return Ok(link.index);
    }
    if !network.owns_link {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("parent {parent} of network {} isn't there on this host", network.name),
        ));
    }
    let mut batch = Batch::new();
    match vlan(parent)? {
        Some((base, id)) => {
            let base = route.link(base).map_err(failed)?.ok_or_else(|| {
                Error::new(
                    ErrorKind::NotFound,
                    format!(
                        "failed to find master interface {base} on the host: a VLAN needs a link \
                         that it is on"
                    ),
                )
            })?;
            batch.ensure_vlan(parent, base.index, id);
        }
        None => batch.ensure_dummy(parent),
    }
    batch.set_up(LinkRef::Name(parent));
    batch.get_link(parent);
    let made = route.apply(batch).map_err(|cause| {
        let kind = if parent.contains('.') { "VLAN (8021q)" } else { "dummy" };
        match cause.errno() {
            wharf_sys::netlink::Errno::OPNOTSUPP => Error::new(
                ErrorKind::Unsupported,
                format!("this kernel has no {kind} links: give a parent (-o parent=…) it has"),
            ),
            _ => failed(cause),
        }
    })?;
    let gone = || Error::new(ErrorKind::Conflict, format!("link {parent} was deleted meanwhile"));
    Ok(made.into_iter().next().ok_or_else(gone)?.index)
}

/// Returns the link and the number of a VLAN's name: `eth0.10`.
///
/// # Errors
/// Docker's, when what follows the dot is no VLAN's number.
pub(super) fn vlan(name: &str) -> Result<Option<(&str, u16)>> {
    let Some((base, id)) = name.rsplit_once('.') else { return Ok(None) };
    match id.parse::<u16>() {
        Ok(id @ 1..=4094) if !base.is_empty() => Ok(Some((base, id))),
        _ => Err(Error::new(
            ErrorKind::Invalid,
            format!("vlan id must be between 1-4094, received: {id} of parent {name}"),
        )),
    }
}

/// Returns the hardware address that goes with this address, as docker makes them: no two of a
/// network are the same, and a reused address needs no new ARP entry.
pub(super) fn mac(address: IpAddr) -> Mac {
    let [a, b, c, d] = match address {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(address) => {
            let [.., a, b, c, d] = address.octets();
            [a, b, c, d]
        }
    };
    [0x02, 0x42, a, b, c, d]
}

/// Returns a hardware address as text.
pub(super) fn mac_text(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Returns the hardware address of a text; dashes count as colons.
pub(super) fn parse_mac(text: &str) -> Option<Mac> {
    let mut bytes = text.split([':', '-']).map(|part| match part.len() {
        2 => u8::from_str_radix(part, 16).ok(),
        _ => None,
    });
    let mut mac = [0; 6];
    for byte in &mut mac {
        *byte = bytes.next()??;
    }
    bytes.next().is_none().then_some(mac)
}

/// Returns whether the host routes packets of the families that networks have.
pub(super) fn is_forwarding(ipv6: bool) -> Result<bool> {
    let path = if ipv6 { FORWARDING_IPV6 } else { FORWARDING };
    let read = std::fs::read(path).map_err(|cause| Error::failed(format!("read {path}"), cause))?;
    Ok(read.trim_ascii() != b"0")
}

/// Returns what the user should know of what the first container on a network changes on this host,
/// or can't change, before it does. `networks` are those that it will be on.
pub(crate) fn forecast(store: &Store, networks: &[EndpointOptions]) -> Result<Vec<String>> {
    let bridged = |options: &EndpointOptions| {
        // The default network is made by the first start.
        super::find(store, &options.network).map_or(true, |found| found.driver == Driver::Bridge)
    };
    if !networks.iter().any(bridged) {
        return Ok(Vec::new());
    }
    let forwarding = is_forwarding(false)?;
    let Some(mut nft) = firewall()? else {
        let apart = match forwarding {
            true => "nothing keeps networks apart",
            false => "networks are kept apart only as long as IPv4 forwarding stays off",
        };
        return Ok(vec![format!(
            "this kernel has no nf_tables (CONFIG_NF_TABLES, or the module nf_tables): containers \
             have no way out of their network, published ports show them the gateway instead of who \
             asks, and {apart}"
        )]);
    };
    let mut notes = Vec::new();
    if !forwarding {
        notes.push(
            "IPv4 forwarding is off on this host: the start of this container turns it on"
                .to_owned(),
        );
    }
    if Table::of(store).is_there(&mut nft).is_ok_and(|there| !there) {
        notes.extend(foreign::drops(&mut nft)?);
    }
    Ok(notes)
}

/// Makes the host route packets, and returns whether it didn't before.
pub(super) fn enable_forwarding(ipv6: bool) -> Result<bool> {
    if is_forwarding(ipv6)? {
        return Ok(false);
    }
    let path = if ipv6 { FORWARDING_IPV6 } else { FORWARDING };
    std::fs::write(path, "1").map_err(|cause| {
        Error::failed(format!("turn on {path}, without which containers reach nobody"), cause)
    })?;
    Ok(true)
}

/// Has the host answer on a bridge for the addresses behind it, at once, so that containers that the
/// bridge keeps apart send to it what is for each other. What becomes of that is the firewall's to say.
pub(super) fn answer_for_neighbours(bridge: &str) -> Result<()> {
    for (path, value) in [
        (format!("/proc/sys/net/ipv4/neigh/{bridge}/proxy_delay"), "0"),
        (format!("/proc/sys/net/ipv4/conf/{bridge}/proxy_arp_pvlan"), "1"),
    ] {
        std::fs::write(&path, value)
            .map_err(|cause| Error::failed(format_args!("set {path} to {value}"), cause))?;
    }
    Ok(())
}

/// Returns whether this kernel has IPv6.
pub(super) fn has_ipv6() -> bool {
    std::fs::exists(FORWARDING_IPV6).unwrap_or(false)
}
