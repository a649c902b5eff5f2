//! The kernel's side of a network: its bridge, and what the host routes already.

use std::fs::File;

use rustix::fs::{FlockOperation, flock};
use wharf_model::ErrorKind;
use wharf_sys::netlink::Batch;
use wharf_sys::netlink::nftables::NftSocket;
use wharf_sys::netlink::route::{Block, LinkRef, Mac, RouteSocket};

use super::rules::{Table, foreign};
use super::subnet::Subnet;
use crate::state::Store;
use crate::{Error, Result};

/// Whether this host routes packets from one link to another.
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";
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

/// Returns whether this bridge exists and is up.
pub(super) fn is_up(route: &mut RouteSocket, bridge: &str) -> Result<bool> {
    Ok(route.link(bridge).map_err(failed)?.is_some_and(|link| link.up))
}

/// Returns the subnets that the host's links and routes use, other than by this bridge.
pub(super) fn used_subnets(route: &mut RouteSocket, bridge: &str) -> Result<Vec<Subnet>> {
    let own = route.link(bridge).map_err(failed)?.map(|link| link.index);
    let addresses = route.addresses().map_err(failed)?.into_iter();
    let addresses = addresses.filter(|a| Some(a.index) != own).map(|a| a.block);
    let routes = route.routes().map_err(failed)?.into_iter();
    let routes = routes.filter(|r| own.is_none() || r.link != own).map(|r| r.destination);
    Ok(addresses
        .chain(routes)
        .filter(|block| block.prefix >= SHORTEST_SUBNET)
        .map(|block| Subnet::of(block.address, block.prefix))
        .collect())
}

/// Returns the subnet of this bridge, if it exists and is its gateway: the bridge of a root whose
/// database is gone is taken over as it is.
pub(super) fn subnet_of(route: &mut RouteSocket, bridge: &str) -> Result<Option<Subnet>> {
    let Some(link) = route.link(bridge).map_err(failed)? else { return Ok(None) };
    let addresses = route.addresses().map_err(failed)?;
    Ok(addresses.iter().filter(|a| a.index == link.index).find_map(|a| {
        let subnet = Subnet::of(a.block.address, a.block.prefix);
        (subnet.gateway() == a.block.address && subnet.capacity() > 0).then_some(subnet)
    }))
}

/// Makes the bridge with its address unless it is there, brings it up, and returns its number.
/// Several processes may do so at once.
pub(super) fn raise(route: &mut RouteSocket, bridge: &str, gateway: Block) -> Result<u32> {
    let mut batch = Batch::new();
    batch.ensure_bridge(bridge, mac(gateway.address));
    batch.get_link(bridge);
    let link = route.apply(batch).map_err(failed)?.pop().ok_or_else(|| {
        Error::new(ErrorKind::Conflict, format!("bridge {bridge} was deleted while it was made"))
    })?;
    if link.kind.as_deref() != Some("bridge") {
        return Err(Error::new(
            ErrorKind::Conflict,
            format!("link {bridge} exists but is not a bridge: rename or delete it"),
        ));
    }
    let mut batch = Batch::new();
    // Up comes last: who finds the bridge up may rely on its address.
    batch.ensure_address(link.index, gateway);
    batch.set_up(LinkRef::Index(link.index));
    route.apply(batch).map_err(failed)?;
    Ok(link.index)
}

/// Returns the hardware address that goes with this address, as docker makes them: no two of a
/// network are the same, and a reused address needs no new ARP entry.
pub(super) fn mac(address: std::net::Ipv4Addr) -> Mac {
    let [a, b, c, d] = address.octets();
    [0x02, 0x42, a, b, c, d]
}

/// Returns whether the host routes packets.
pub(super) fn is_forwarding() -> Result<bool> {
    let read = std::fs::read(FORWARDING)
        .map_err(|cause| Error::failed(format!("read {FORWARDING}"), cause))?;
    Ok(read.trim_ascii() != b"0")
}

/// Returns what the user should know of what the first container on a network changes on this host,
/// or can't change, before it does.
pub(crate) fn forecast(store: &Store) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    if !is_forwarding()? {
        notes.push(
            "IPv4 forwarding is off on this host: the start of this container turns it on"
                .to_owned(),
        );
    }
    // A kernel without nf_tables says so at the start.
    let Ok(mut nft) = NftSocket::open() else { return Ok(notes) };
    if Table::of(store).is_there(&mut nft).is_ok_and(|there| !there) {
        notes.extend(foreign::drops(&mut nft)?);
    }
    Ok(notes)
}

/// Makes the host route packets, and returns whether it didn't before.
pub(super) fn enable_forwarding() -> Result<bool> {
    if is_forwarding()? {
        return Ok(false);
    }
    std::fs::write(FORWARDING, "1").map_err(|cause| {
        Error::failed(format!("turn on {FORWARDING}, without which containers reach nobody"), cause)
    })?;
    Ok(true)
}
