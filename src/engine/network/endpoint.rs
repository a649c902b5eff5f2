//! An endpoint: a container's place on a network, from its lease to its veth pair and back.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::BorrowedFd;

use rusqlite::params;
use serde::{Deserialize, Serialize};
use wharf_model::{ContainerId, EndpointInfo};
use wharf_sys::netlink::nftables::NftSocket;
use wharf_sys::netlink::route::{Block, LinkRef, RouteSocket, VethPair};
use wharf_sys::netlink::{Batch, Errno};

use super::bridge::{self, failed};
use super::record::{self, DEFAULT_NETWORK, Network};
use super::rules::{Found, Segment, Table, foreign};
use super::subnet::Subnet;
use super::{lease, sweep};
use crate::state::Store;
use crate::{Error, Result};
use wharf_model::ErrorKind;

/// The name of the link inside the container.
const INSIDE: &str = "eth0";

/// A container's place on a network. Plain data: it may be handed to another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Endpoint {
    network: String,
    container: ContainerId,
    bridge: String,
    link: String,
    subnet: Subnet,
    gateway: Ipv4Addr,
    address: Ipv4Addr,
}

/// Leases an address of the default network for a container and journals its link's name. The
/// network itself is made when it isn't there: its row, then its bridge.
///
/// # Errors
/// When the subnet is full or none is free, the database can't be written, or the kernel refuses
/// the bridge.
pub fn prepare(store: &mut Store, container: &ContainerId) -> Result<Endpoint> {
    let mut route = RouteSocket::open().map_err(failed)?;
    record::establish(store, &mut route)?;
    let link = link_name(container);
    let (network, address) = store.transaction(|transaction| {
        let mut network = record::read(transaction, DEFAULT_NETWORK)?.ok_or_else(|| {
            Error::new(ErrorKind::Conflict, "network bridge was removed during the start")
        })?;
        let address = lease::acquire(transaction, &mut network, container)?;
        transaction
            .prepare_cached(
                "INSERT OR REPLACE INTO journal (kind, key, owner) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![sweep::KIND_LINK, link, container.as_str()])?;
        Ok((network, address))
    })?;
    Ok(Endpoint::new(&network, container, address))
}

/// Returns the endpoints of all containers that have one, for lists.
///
/// # Errors
/// When the database can't be read.
pub fn endpoints(store: &Store) -> Result<BTreeMap<ContainerId, EndpointInfo>> {
    let Some(network) = record::network(store, DEFAULT_NETWORK)? else {
        return Ok(BTreeMap::new());
    };
    let all = "SELECT container, address FROM lease WHERE network = ?1";
    let mut statement = store.connection().prepare_cached(all)?;
    let mut found = BTreeMap::new();
    for row in statement.query_map([&network.id], |row| Ok((row.get(0)?, row.get(1)?)))? {
        let (container, address): (String, String) = row?;
        if let (Ok(container), Ok(address)) = (container.parse(), address.parse()) {
            let endpoint = Endpoint::new(&network, &container, address);
            found.insert(container, endpoint.info());
        }
    }
    Ok(found)
}

/// Returns the containers that hold addresses, whatever they are called.
pub(crate) fn lease_owners(store: &Store) -> Result<Vec<String>> {
    let mut statement = store.connection().prepare("SELECT DISTINCT container FROM lease")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Returns a container's endpoint, if it has one.
///
/// # Errors
/// When the database can't be read.
pub fn endpoint(store: &Store, container: &ContainerId) -> Result<Option<Endpoint>> {
    let Some(network) = record::network(store, DEFAULT_NETWORK)? else { return Ok(None) };
    let address = lease::held(store.connection(), &network.id, container.as_str())?;
    Ok(address.map(|address| Endpoint::new(&network, container, address)))
}

impl Endpoint {
    fn new(network: &Network, container: &ContainerId, address: Ipv4Addr) -> Self {
        Self {
            network: network.name.clone(),
            container: container.clone(),
            bridge: network.bridge.clone(),
            link: link_name(container),
            subnet: network.subnet,
            gateway: network.gateway,
            address,
        }
    }

    /// Makes the way from the host to the container: bridge, forwarding and firewall table where
    /// they are missing, and the veth pair with its other end, named `eth0`, in the container's
    /// network namespace. To be called in the host's namespace. Returns what the user should know
    /// of changes to the host.
    ///
    /// # Errors
    /// When the kernel refuses a part; [`Endpoint::disconnect`] then takes back what was made.
    pub(crate) fn connect(&self, store: &Store, namespace: BorrowedFd<'_>) -> Result<Vec<String>> {
        let mut notes = Vec::new();
        let mut route = RouteSocket::open().map_err(failed)?;
        let bridge = match route.link(&self.bridge).map_err(failed)? {
            Some(link) if link.up => link.index,
            _ => bridge::raise(&mut route, &self.bridge, self.subnet.block(self.gateway))?,
        };
        if bridge::enable_forwarding()? {
            notes.push("IPv4 forwarding was off on this host and is now on".to_owned());
        }
        let mut nft = NftSocket::open().map_err(failed)?;
        if Table::of(store).ensure(&mut nft, store, &self.segment())? == Found::Made {
            foreign::pass(&mut nft, &self.bridge)?;
        }
        let pair = VethPair {
            name: &self.link,
            master: bridge,
            peer_name: INSIDE,
            peer_mac: bridge::mac(self.address),
            peer_namespace: namespace,
            mtu: None,
        };
        match add_veth(&mut route, &pair) {
            // Of an earlier run: the kernel deletes the links of a dead namespace in its own time.
            Err(error) if error.errno() == Errno::EXIST => {
                delete_link(&mut route, &self.link)?;
                add_veth(&mut route, &pair).map_err(failed)?;
            }
            Err(error) if error.errno() == Errno::XFULL => return Err(self.no_port()),
            result => result.map_err(failed)?,
        }
        Ok(notes)
    }

    fn no_port(&self) -> Error {
        Error::new(
            ErrorKind::Conflict,
            format!(
                "bridge {} has no free port: a bridge of the kernel has at most 1023 (BR_MAX_PORTS); stop \
                 a container of network {}, or put this one on another network",
                self.bridge, self.network
            ),
        )
    }

    fn segment(&self) -> Segment {
        Segment {
            bridge: self.bridge.clone(),
            gateways: vec![self.gateway.into()],
            internal: false,
            icc: true,
            masquerade: true,
        }
    }

    /// Brings loopback and `eth0` up in the calling thread's network namespace, with the address
    /// and the default route.
    ///
    /// # Errors
    /// When `eth0` isn't there yet ([`Endpoint::connect`] must have returned), or the kernel
    /// refuses a part.
    pub fn configure_inside(&self) -> Result<()> {
        let mut route = RouteSocket::open().map_err(failed)?;
        let mut batch = Batch::new();
        batch.set_loopback_up();
        batch.get_link(INSIDE);
        let link = route.apply(batch).map_err(failed)?.pop().ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("{INSIDE} is not in the container's network"))
        })?;
        let mut batch = Batch::new();
        batch.ensure_address(link.index, self.block());
        batch.set_up(LinkRef::Index(link.index));
        batch.add_default_route(link.index, self.gateway);
        route.apply(batch).map_err(failed)?;
        Ok(())
    }

    /// Takes the endpoint back: deletes the veth pair if the kernel hasn't yet, gives the address
    /// back and clears the journal. May be repeated. The kernel takes some tens of milliseconds to
    /// delete a link (it waits for all CPUs), so the exit code should be told before.
    ///
    /// # Errors
    /// When the link can't be deleted (it stays journalled) or the database not written.
    pub fn disconnect(&self, store: &mut Store) -> Result<()> {
        let mut route = RouteSocket::open().map_err(failed)?;
        delete_link(&mut route, &self.link)?;
        sweep::forget(store, self.container.as_str())
    }

    /// Returns what lists and `inspect` say of the endpoint.
    pub fn info(&self) -> EndpointInfo {
        let mac = bridge::mac(self.address).map(|byte| format!("{byte:02x}"));
        EndpointInfo {
            network: self.network.clone(),
            ip: IpAddr::V4(self.address),
            prefix: self.subnet.prefix(),
            gateway: Some(IpAddr::V4(self.gateway)),
            mac: mac.join(":"),
        }
    }

    /// Returns the container's address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Returns the name of its network's bridge.
    pub(crate) fn bridge(&self) -> &str {
        &self.bridge
    }

    /// Returns the name of the pair's end on the host.
    pub fn link(&self) -> &str {
        &self.link
    }

    fn block(&self) -> Block {
        self.subnet.block(self.address)
    }
}

/// Brings the loopback of the calling thread's network namespace up, which is all that network
/// `none` has.
///
/// # Errors
/// When the kernel refuses.
pub fn loopback_up() -> Result<()> {
    let mut batch = Batch::new();
    batch.set_loopback_up();
    RouteSocket::open().and_then(|mut route| route.apply(batch)).map(drop).map_err(failed)
}

fn add_veth(
    route: &mut RouteSocket,
    pair: &VethPair<'_>,
) -> std::result::Result<(), wharf_sys::netlink::Error> {
    let mut batch = Batch::new();
    batch.add_veth(pair);
    batch.set_up(LinkRef::Name(pair.name));
    route.apply(batch).map(drop)
}

/// Deletes this link, if it exists.
pub(super) fn delete_link(route: &mut RouteSocket, link: &str) -> Result<()> {
    let mut batch = Batch::new();
    batch.delete_link(link);
    route.apply(batch).map(drop).map_err(failed)
}

/// Returns the name of a container's link on the host: at most 15 characters, and unlike those of
/// bridges, which have a dash or no hexadecimal digits.
pub(crate) fn link_name(container: &ContainerId) -> String {
    format!("wh{}", container.short())
}
