//! Links, addresses and routes: the messages of `rtnetlink(7)`.

use std::fmt;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

use super::decode::{Reply, i32_at, u32_at};
use super::encode::{Batch, CREATE, DUMP, EXCL};
use super::{Family, Result, Socket};

const NEW_LINK: u16 = 16;
const DEL_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;
const GET_ROUTE: u16 = 26;

// Attributes of links (`linux/if_link.h`).
const LINK_MAC: u16 = 1;
const LINK_NAME: u16 = 3;
const LINK_MTU: u16 = 4;
const LINK_MASTER: u16 = 10;
const LINK_INFO: u16 = 18;
const LINK_INFO_KIND: u16 = 1;
const LINK_INFO_DATA: u16 = 2;
const LINK_FAMILIES: u16 = 26;
const LINK_NETNS_FD: u16 = 28;
/// `VETH_INFO_PEER`.
const VETH_PEER: u16 = 1;
/// `IFLA_INET6_ADDR_GEN_MODE` and its value for "no link-local address".
const INET6_GEN_MODE: u16 = 8;
const INET6_GEN_NONE: u8 = 1;

// Attributes of addresses and routes.
const ADDRESS_ADDRESS: u16 = 1;
const ADDRESS_LOCAL: u16 = 2;
const ADDRESS_BROADCAST: u16 = 4;
const ROUTE_DESTINATION: u16 = 1;
const ROUTE_LINK: u16 = 4;
const ROUTE_GATEWAY: u16 = 5;
const ROUTE_TABLE: u16 = 15;

const FAMILY_INET: u8 = 2;
const FAMILY_INET6: u16 = 10;
/// `IFF_UP`.
const UP: u32 = 1;
/// Length of `struct ifinfomsg`.
const LINK_HEADER: usize = 16;
/// Length of `struct ifaddrmsg`.
const ADDRESS_HEADER: usize = 8;
/// Length of `struct rtmsg`.
const ROUTE_HEADER: usize = 12;

/// A link's hardware address.
pub type Mac = [u8; 6];

/// How a link is named in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkRef<'a> {
    /// By the kernel's number.
    Index(u32),
    /// By its name, which saves asking for the number.
    Name(&'a str),
}

impl fmt::Display for LinkRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "link {index}"),
            Self::Name(name) => write!(f, "link {name}"),
        }
    }
}

/// A link as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number for it, from 1.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether it is administratively up.
    pub up: bool,
    /// Its driver: `bridge`, `veth`; none for real devices.
    pub kind: Option<String>,
    /// The number of the bridge it is in.
    pub master: Option<u32>,
    /// Its hardware address.
    pub mac: Option<Mac>,
}

/// A block of IPv4 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// An address in it.
    pub address: Ipv4Addr,
    /// How many leading bits its addresses share.
    pub prefix: u8,
}

/// An IPv4 address of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkAddress {
    /// The link.
    pub index: u32,
    /// The address with its subnet's length.
    pub block: Block,
}

/// An IPv4 route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// What it leads to; prefix 0 is the default route.
    pub destination: Block,
    /// The link it leaves through.
    pub link: Option<u32>,
    /// Its routing table; 254 is the main one, 255 the kernel's own.
    pub table: u32,
}

/// A veth pair whose other end is in another network namespace.
#[derive(Clone, Copy, Debug)]
pub struct VethPair<'a> {
    /// The name here.
    pub name: &'a str,
    /// The bridge that this end joins.
    pub master: u32,
    /// The name there.
    pub peer_name: &'a str,
    /// The hardware address there.
    pub peer_mac: Mac,
    /// The namespace of the other end.
    pub peer_namespace: BorrowedFd<'a>,
    /// The largest packet; none leaves the kernel's 1500.
    pub mtu: Option<u32>,
}

impl Batch {
    /// Adds: create this bridge, down, if there is no link of this name.
    pub fn ensure_bridge(&mut self, name: &str, mac: Mac) {
        let operation = format!("create bridge {name}");
        let mut message = self.message(operation, NEW_LINK, CREATE | EXCL, &link_header(0, false));
        message.text(LINK_NAME, name).bytes(LINK_MAC, &mac);
        message.nested(LINK_INFO, |info| {
            info.text(LINK_INFO_KIND, "bridge");
        });
        message.tolerate(&[Errno::EXIST]);
    }

    /// Adds: create this pair, both ends down, this one in its bridge.
    pub fn add_veth(&mut self, pair: &VethPair<'_>) {
        let operation = format!("create veth pair {}", pair.name);
        let mut message = self.message(operation, NEW_LINK, CREATE | EXCL, &link_header(0, false));
        message.text(LINK_NAME, pair.name).u32(LINK_MASTER, pair.master);
        if let Some(mtu) = pair.mtu {
            message.u32(LINK_MTU, mtu);
        }
        message.nested(LINK_INFO, |info| {
            info.text(LINK_INFO_KIND, "veth").nested(LINK_INFO_DATA, |data| {
                data.nested(VETH_PEER, |peer| {
                    peer.raw(&link_header(0, false));
                    peer.text(LINK_NAME, pair.peer_name).bytes(LINK_MAC, &pair.peer_mac);
                    peer.bytes(LINK_NETNS_FD, &pair.peer_namespace.as_raw_fd().to_ne_bytes());
                    if let Some(mtu) = pair.mtu {
                        peer.u32(LINK_MTU, mtu);
                    }
                });
            });
        });
    }

    /// Adds: bring this link up without an IPv6 link-local address. The networks are IPv4 only, and
    /// its announcements would be the only traffic of an idle container.
    pub fn set_up(&mut self, link: LinkRef<'_>) {
        // The kernel looks at a message's flags before its address mode, hence two messages.
        let (index, name) = match link {
            LinkRef::Index(index) => (index, None),
            LinkRef::Name(name) => (0, Some(name)),
        };
        let operation = format!("bring {link} up");
        let mut message = self.message(&operation, NEW_LINK, 0, &link_header(index, false));
        message.optional_text(LINK_NAME, name).nested(LINK_FAMILIES, |families| {
            families.nested(FAMILY_INET6, |inet6| {
                inet6.u8(INET6_GEN_MODE, INET6_GEN_NONE);
            });
        });
        // A host without IPv6 has no such addresses anyway.
        message.tolerate(&[Errno::AFNOSUPPORT]);
        let mut message = self.message(&operation, NEW_LINK, 0, &link_header(index, true));
        message.optional_text(LINK_NAME, name);
    }

    /// Adds: keep this port of a bridge from others that are kept so; the bridge itself is reached.
    pub fn isolate_port(&mut self, name: &str) {
        /// `IFLA_INFO_SLAVE_KIND`, `IFLA_INFO_SLAVE_DATA` and `IFLA_BRPORT_ISOLATED`.
        const PORT_KIND: u16 = 4;
        const PORT_DATA: u16 = 5;
        const ISOLATED: u16 = 33;
        let operation = format!("isolate link {name} in its bridge");
        let mut message = self.message(operation, NEW_LINK, 0, &link_header(0, false));
        message.text(LINK_NAME, name).nested(LINK_INFO, |info| {
            info.text(PORT_KIND, "bridge").nested(PORT_DATA, |data| {
                data.u8(ISOLATED, 1);
            });
        });
    }

    /// Adds: put this link into a bridge.
    pub fn join_bridge(&mut self, name: &str, master: u32) {
        let operation = format!("put link {name} into its bridge");
        let mut message = self.message(operation, NEW_LINK, 0, &link_header(0, false));
        message.text(LINK_NAME, name).u32(LINK_MASTER, master);
    }

    /// Adds: bring the loopback up; the kernel gives it its addresses.
    pub fn set_loopback_up(&mut self) {
        // The loopback is the first link of every namespace.
        self.message("bring the loopback up", NEW_LINK, 0, &link_header(1, true));
    }

    /// Adds: give this link an IPv4 address; nothing happens if it has it.
    pub fn ensure_address(&mut self, index: u32, block: Block) {
        let mut header = [0; ADDRESS_HEADER];
        header[0] = FAMILY_INET;
        header[1] = block.prefix;
        header[4..8].copy_from_slice(&index.to_ne_bytes());
        let operation = format!("add address {}/{}", block.address, block.prefix);
        let mut message = self.message(operation, NEW_ADDRESS, CREATE | EXCL, &header);
        let address = block.address.octets();
        message.bytes(ADDRESS_LOCAL, &address).bytes(ADDRESS_ADDRESS, &address);
        if block.prefix < 31 {
            let last =
                block.address.to_bits() | u32::MAX.checked_shr(block.prefix.into()).unwrap_or(0);
            message.bytes(ADDRESS_BROADCAST, &last.to_be_bytes());
        }
        message.tolerate(&[Errno::EXIST]);
    }

    /// Adds: send what has no other way through this gateway.
    pub fn add_default_route(&mut self, index: u32, gateway: Ipv4Addr) {
        let operation = format!("add the default route through {gateway}");
        // family, lengths, tos; table main, protocol boot, scope universe, type unicast.
        let header = [FAMILY_INET, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
        let mut message = self.message(operation, NEW_ROUTE, CREATE | EXCL, &header);
        message.bytes(ROUTE_GATEWAY, &gateway.octets()).u32(ROUTE_LINK, index);
    }

    /// Adds: delete this link, if it exists.
    pub fn delete_link(&mut self, name: &str) {
        let operation = format!("delete link {name}");
        let mut message = self.message(operation, DEL_LINK, 0, &link_header(0, false));
        message.text(LINK_NAME, name);
        message.tolerate(&[Errno::NODEV]);
    }

    /// Adds: describe this link, if it exists.
    pub fn get_link(&mut self, name: &str) {
        let operation = format!("look for link {name}");
        let mut message = self.message(operation, GET_LINK, 0, &link_header(0, false));
        message.text(LINK_NAME, name);
        message.tolerate(&[Errno::NODEV]);
    }
}

/// A client of the route family.
#[derive(Debug)]
pub struct RouteSocket {
    socket: Socket,
}

impl RouteSocket {
    /// Opens a client of the calling thread's network namespace.
    ///
    /// # Errors
    /// When the kernel refuses the socket.
    pub fn open() -> Result<Self> {
        Ok(Self { socket: Socket::open(Family::Route)? })
    }

    /// Sends the messages and returns the links that they asked for.
    ///
    /// # Errors
    /// The first failure of a message; the others were handled all the same.
    pub fn apply(&mut self, batch: Batch) -> Result<Vec<Link>> {
        Ok(self.socket.exchange(batch)?.replies.iter().filter_map(link).collect())
    }

    /// Returns this link, if it exists.
    ///
    /// # Errors
    /// When the kernel refuses to answer.
    pub fn link(&mut self, name: &str) -> Result<Option<Link>> {
        let mut batch = Batch::new();
        batch.get_link(name);
        Ok(self.apply(batch)?.pop())
    }

    /// Returns all links of the namespace.
    ///
    /// # Errors
    /// When the kernel refuses to answer.
    pub fn links(&mut self) -> Result<Vec<Link>> {
        let mut batch = Batch::new();
        batch.message("list links", GET_LINK, DUMP, &link_header(0, false));
        self.apply(batch)
    }

    /// Returns all IPv4 addresses of the namespace.
    ///
    /// # Errors
    /// When the kernel refuses to answer.
    pub fn addresses(&mut self) -> Result<Vec<LinkAddress>> {
        let mut batch = Batch::new();
        let header = [FAMILY_INET, 0, 0, 0, 0, 0, 0, 0];
        batch.message("list addresses", GET_ADDRESS, DUMP, &header);
        Ok(self.socket.exchange(batch)?.replies.iter().filter_map(address).collect())
    }

    /// Returns the IPv4 routes of all tables of the namespace.
    ///
    /// # Errors
    /// When the kernel refuses to answer.
    pub fn routes(&mut self) -> Result<Vec<Route>> {
        let mut batch = Batch::new();
        let mut header = [0; ROUTE_HEADER];
        header[0] = FAMILY_INET;
        batch.message("list routes", GET_ROUTE, DUMP, &header);
        Ok(self.socket.exchange(batch)?.replies.iter().filter_map(route).collect())
    }
}

/// Returns `struct ifinfomsg`: family, type, index, flags, changed flags.
fn link_header(index: u32, up: bool) -> [u8; LINK_HEADER] {
    let mut header = [0; LINK_HEADER];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    if up {
        header[8..12].copy_from_slice(&UP.to_ne_bytes());
        header[12..16].copy_from_slice(&UP.to_ne_bytes());
    }
    header
}

fn link(reply: &Reply) -> Option<Link> {
    if reply.kind != NEW_LINK {
        return None;
    }
    let attributes = reply.attributes(LINK_HEADER);
    Some(Link {
        index: u32::try_from(i32_at(&reply.body, 4)?).ok()?,
        name: attributes.get(LINK_NAME)?.text()?.to_owned(),
        up: u32_at(&reply.body, 8)? & UP != 0,
        kind: attributes
            .get(LINK_INFO)
            .and_then(|info| info.nested().get(LINK_INFO_KIND))
            .and_then(|kind| kind.text())
            .map(str::to_owned),
        master: attributes.get(LINK_MASTER).and_then(|master| master.u32()),
        mac: attributes.get(LINK_MAC).and_then(|mac| mac.value.try_into().ok()),
    })
}

fn address(reply: &Reply) -> Option<LinkAddress> {
    if reply.kind != NEW_ADDRESS || *reply.body.first()? != FAMILY_INET {
        return None;
    }
    let attributes = reply.attributes(ADDRESS_HEADER);
    let local = attributes.get(ADDRESS_LOCAL).or_else(|| attributes.get(ADDRESS_ADDRESS))?;
    Some(LinkAddress {
        index: u32_at(&reply.body, 4)?,
        block: Block { address: ipv4(local.value)?, prefix: *reply.body.get(1)? },
    })
}

fn route(reply: &Reply) -> Option<Route> {
    if reply.kind != NEW_ROUTE || *reply.body.first()? != FAMILY_INET {
        return None;
    }
    let attributes = reply.attributes(ROUTE_HEADER);
    let destination = match attributes.get(ROUTE_DESTINATION) {
        Some(destination) => ipv4(destination.value)?,
        None => Ipv4Addr::UNSPECIFIED,
    };
    Some(Route {
        destination: Block { address: destination, prefix: *reply.body.get(1)? },
        link: attributes.get(ROUTE_LINK).and_then(|link| link.u32()),
        table: match attributes.get(ROUTE_TABLE).and_then(|table| table.u32()) {
            Some(table) => table,
            None => (*reply.body.get(4)?).into(),
        },
    })
}

fn ipv4(bytes: &[u8]) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?))
}
