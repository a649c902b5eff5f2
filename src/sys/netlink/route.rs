//! Links, addresses and routes: the messages of `rtnetlink(7)`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

use super::decode::{Reply, i32_at, u32_at};
use super::encode::{Batch, CREATE, DUMP, EXCL, REPLACE};
use super::{Family, Result, Socket};

const NEW_LINK: u16 = 16;
const DEL_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;
const DEL_ROUTE: u16 = 25;
const GET_ROUTE: u16 = 26;
const NEW_NAMESPACE_ID: u16 = 88;
const GET_NAMESPACE_ID: u16 = 90;

// Attributes of links (`linux/if_link.h`).
const LINK_MAC: u16 = 1;
const LINK_NAME: u16 = 3;
const LINK_MTU: u16 = 4;
const LINK_PARENT: u16 = 5;
const LINK_MASTER: u16 = 10;
const LINK_INFO: u16 = 18;
const LINK_INFO_KIND: u16 = 1;
const LINK_INFO_DATA: u16 = 2;
const LINK_FAMILIES: u16 = 26;
const LINK_NETNS_FD: u16 = 28;
const LINK_EXTENT: u16 = 29;
const LINK_NETNS_ID: u16 = 37;
/// `RTEXT_FILTER_SKIP_STATS`: without counters.
const WITHOUT_COUNTERS: u32 = 1 << 3;
/// `VETH_INFO_PEER`.
const VETH_PEER: u16 = 1;
/// `IFLA_INET6_ADDR_GEN_MODE` and its value for "no link-local address".
const INET6_GEN_MODE: u16 = 8;
const INET6_GEN_NONE: u8 = 1;
/// `IFLA_MACVLAN_MODE`, `IFLA_IPVLAN_MODE`, `IFLA_IPVLAN_FLAGS` and `IFLA_VLAN_ID`.
const MACVLAN_MODE: u16 = 1;
const IPVLAN_MODE: u16 = 1;
const IPVLAN_FLAGS: u16 = 2;
const VLAN_ID: u16 = 1;

// Attributes of addresses and routes.
const ADDRESS_ADDRESS: u16 = 1;
const ADDRESS_LOCAL: u16 = 2;
const ADDRESS_BROADCAST: u16 = 4;
const ROUTE_DESTINATION: u16 = 1;
const ROUTE_LINK: u16 = 4;
const ROUTE_GATEWAY: u16 = 5;
const ROUTE_TABLE: u16 = 15;

// Attributes of network namespaces (`linux/net_namespace.h`).
const NAMESPACE_ID: u16 = 1;
const NAMESPACE_PID: u16 = 2;

const FAMILY_INET: u8 = 2;
const FAMILY_INET6: u8 = 10;
/// `IFA_F_NODAD`: the address is used at once, without asking whether somebody else has it.
const WITHOUT_PROBE: u8 = 0x02;
/// `IFF_UP`.
const UP: u32 = 1;
/// `IFF_LOWER_UP`.
const LOWER_UP: u32 = 1 << 16;
/// Length of `struct ifinfomsg`.
const LINK_HEADER: usize = 16;
/// Length of `struct rtgenmsg`, padded.
const NAMESPACE_HEADER: usize = 4;
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
    /// Whether it has somebody to talk to: a plugged cable, or of a bridge a link in it.
    pub carrier: bool,
    /// Its driver: `bridge`, `veth`; none for real devices.
    pub kind: Option<String>,
    /// The number of the bridge it is in.
    pub master: Option<u32>,
    /// Its hardware address.
    pub mac: Option<Mac>,
    /// The number that this namespace has for the one in which its other end is, if that is another.
    pub beyond: Option<i32>,
}

/// A block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// An address in it.
    pub address: IpAddr,
    /// How many leading bits its addresses share.
    pub prefix: u8,
}

/// An address of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkAddress {
    /// The link.
    pub index: u32,
    /// The address with its subnet's length.
    pub block: Block,
}

/// A route.
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

/// What a macvlan link lets through between the links of its parent (`MACVLAN_MODE_…`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacvlanMode {
    /// Nothing.
    Private = 1,
    /// What a switch on the other side sends back.
    Vepa = 2,
    /// All.
    Bridge = 4,
    /// All, and the parent is this link's alone.
    Passthru = 8,
}

/// On which layer an ipvlan link works (`IPVLAN_MODE_…`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpvlanMode {
    /// As a switch.
    L2 = 0,
    /// As a router.
    L3 = 1,
    /// As a router that the host's firewall sees.
    L3s = 2,
}

/// The kinds of links that share a parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildKind {
    /// With a hardware address of its own.
    Macvlan(MacvlanMode),
    /// With the parent's.
    Ipvlan {
        /// Its layer.
        mode: IpvlanMode,
        /// 0 is bridge, 1 private, 2 vepa.
        flags: u16,
    },
}

impl ChildKind {
    fn word(self) -> &'static str {
        match self {
            Self::Macvlan(_) => "macvlan",
            Self::Ipvlan { .. } => "ipvlan",
        }
    }
}

/// A link on a parent, in another network namespace.
#[derive(Clone, Copy, Debug)]
pub struct ChildLink<'a> {
    /// Which kind.
    pub kind: ChildKind,
    /// Its name there.
    pub name: &'a str,
    /// The number of the parent, here.
    pub parent: u32,
    /// Its hardware address; none leaves the kernel's choice.
    pub mac: Option<Mac>,
    /// The namespace that it is made in.
    pub namespace: BorrowedFd<'a>,
    /// The largest packet; none leaves the parent's.
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

    /// Adds: bring this link up without an IPv6 link-local address, whose announcements would be the
    /// only traffic of an idle container on a network without IPv6.
    pub fn set_up(&mut self, link: LinkRef<'_>) {
        // The kernel looks at a message's flags before its address mode, hence two messages.
        let (index, name) = match link {
            LinkRef::Index(index) => (index, None),
            LinkRef::Name(name) => (0, Some(name)),
        };
        let operation = format!("bring {link} up");
        let mut message = self.message(&operation, NEW_LINK, 0, &link_header(index, false));
        message.optional_text(LINK_NAME, name).nested(LINK_FAMILIES, |families| {
            families.nested(FAMILY_INET6.into(), |inet6| {
                inet6.u8(INET6_GEN_MODE, INET6_GEN_NONE);
            });
        });
        // A host without IPv6 has no such addresses anyway.
        message.tolerate(&[Errno::AFNOSUPPORT]);
        self.set_up_with_ipv6(link);
    }

    /// Adds: bring this link up, with a link-local address where the kernel has IPv6.
    pub fn set_up_with_ipv6(&mut self, link: LinkRef<'_>) {
        let (index, name) = match link {
            LinkRef::Index(index) => (index, None),
            LinkRef::Name(name) => (0, Some(name)),
        };
        let operation = format!("bring {link} up");
        let mut message = self.message(operation, NEW_LINK, 0, &link_header(index, true));
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

    /// Adds: create this VLAN's link on a parent, if there is no link of this name.
    pub fn ensure_vlan(&mut self, name: &str, parent: u32, id: u16) {
        let operation = format!("create VLAN link {name}");
        let mut message = self.message(operation, NEW_LINK, CREATE | EXCL, &link_header(0, false));
        message.text(LINK_NAME, name).u32(LINK_PARENT, parent);
        message.nested(LINK_INFO, |info| {
            info.text(LINK_INFO_KIND, "vlan").nested(LINK_INFO_DATA, |data| {
                data.bytes(VLAN_ID, &id.to_ne_bytes());
            });
        });
        message.tolerate(&[Errno::EXIST]);
    }

    /// Adds: create this link that leads nowhere, if there is none of this name.
    pub fn ensure_dummy(&mut self, name: &str) {
        let operation = format!("create dummy link {name}");
        let mut message = self.message(operation, NEW_LINK, CREATE | EXCL, &link_header(0, false));
        message.text(LINK_NAME, name);
        message.nested(LINK_INFO, |info| {
            info.text(LINK_INFO_KIND, "dummy");
        });
        message.tolerate(&[Errno::EXIST]);
    }

    /// Adds: create this link on a parent, down, in another network namespace.
    pub fn add_child(&mut self, child: &ChildLink<'_>) {
        let operation = format!("create {} link {}", child.kind.word(), child.name);
        let mut message = self.message(operation, NEW_LINK, CREATE | EXCL, &link_header(0, false));
        message.text(LINK_NAME, child.name).u32(LINK_PARENT, child.parent);
        message.bytes(LINK_NETNS_FD, &child.namespace.as_raw_fd().to_ne_bytes());
        if let Some(mac) = child.mac {
            message.bytes(LINK_MAC, &mac);
        }
        if let Some(mtu) = child.mtu {
            message.u32(LINK_MTU, mtu);
        }
        message.nested(LINK_INFO, |info| {
            info.text(LINK_INFO_KIND, child.kind.word()).nested(LINK_INFO_DATA, |data| match child
                .kind
            {
                ChildKind::Macvlan(mode) => {
                    data.u32(MACVLAN_MODE, mode as u32);
                }
                ChildKind::Ipvlan { mode, flags } => {
                    data.bytes(IPVLAN_MODE, &(mode as u16).to_ne_bytes());
                    data.bytes(IPVLAN_FLAGS, &flags.to_ne_bytes());
                }
            });
        });
    }

    /// Adds: set the largest packet of this link.
    pub fn set_mtu(&mut self, link: LinkRef<'_>, mtu: u32) {
        let (index, name) = match link {
            LinkRef::Index(index) => (index, None),
            LinkRef::Name(name) => (0, Some(name)),
        };
        let operation = format!("set the MTU of {link} to {mtu}");
        let mut message = self.message(operation, NEW_LINK, 0, &link_header(index, false));
        message.optional_text(LINK_NAME, name).u32(LINK_MTU, mtu);
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

    /// Adds: give this link an address, which is used at once; nothing happens if it has it.
    pub fn ensure_address(&mut self, index: u32, block: Block) {
        let mut header = [0; ADDRESS_HEADER];
        header[0] = family(block.address);
        header[1] = block.prefix;
        // The engine leases addresses, so that the kernel needn't look for others that have them:
        // that takes a second or more, in which nothing can be sent from it.
        header[2] = if block.address.is_ipv6() { WITHOUT_PROBE } else { 0 };
        header[4..8].copy_from_slice(&index.to_ne_bytes());
        let operation = format!("add address {}/{}", block.address, block.prefix);
        let mut message = self.message(operation, NEW_ADDRESS, CREATE | EXCL, &header);
        let address = octets(block.address);
        message.bytes(ADDRESS_LOCAL, &address).bytes(ADDRESS_ADDRESS, &address);
        if let IpAddr::V4(address) = block.address
            && block.prefix < 31
        {
            let last = address.to_bits() | u32::MAX.checked_shr(block.prefix.into()).unwrap_or(0);
            message.bytes(ADDRESS_BROADCAST, &last.to_be_bytes());
        }
        message.tolerate(&[Errno::EXIST]);
    }

    /// Adds: send what has no other way through this gateway.
    pub fn add_default_route(&mut self, index: u32, gateway: IpAddr) {
        self.default_route(NEW_ROUTE, CREATE | EXCL, index, Some(gateway), gateway.is_ipv4());
    }

    /// Adds: send what has no other way through this gateway from now on, or, without a gateway,
    /// straight out of this link.
    pub fn replace_default_route(&mut self, index: u32, gateway: Option<IpAddr>, ipv4: bool) {
        self.default_route(NEW_ROUTE, CREATE | REPLACE, index, gateway, ipv4);
    }

    /// Adds: forget the way through this link of what has no other, if there is one.
    pub fn delete_default_route(&mut self, index: u32, ipv4: bool) {
        self.default_route(DEL_ROUTE, 0, index, None, ipv4);
    }

    fn default_route(
        &mut self,
        kind: u16,
        flags: u16,
        index: u32,
        gateway: Option<IpAddr>,
        ipv4: bool,
    ) {
        let family = if ipv4 { FAMILY_INET } else { FAMILY_INET6 };
        let operation = match gateway {
            Some(gateway) => format!("add the default route through {gateway}"),
            None => format!("change the default route of link {index}"),
        };
        // family, lengths, tos; table main, protocol boot, scope universe (or link, where no gateway
        // is on the way), type unicast.
        let scope = if gateway.is_none() && ipv4 { 253 } else { 0 };
        let deletes = kind == DEL_ROUTE;
        let scope = if deletes { 255 } else { scope };
        let header = [family, 0, 0, 0, 254, if deletes { 0 } else { 3 }, scope, 1, 0, 0, 0, 0];
        let mut message = self.message(operation, kind, flags, &header);
        if let Some(gateway) = gateway {
            message.bytes(ROUTE_GATEWAY, &octets(gateway));
        }
        message.u32(ROUTE_LINK, index);
        if deletes {
            message.tolerate(&[Errno::SRCH, Errno::NODEV]);
        }
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
        let mut message = batch.message("list links", GET_LINK, DUMP, &link_header(0, false));
        message.u32(LINK_EXTENT, WITHOUT_COUNTERS);
        self.apply(batch)
    }

    /// Returns the numbers that this namespace has for those of these processes, in their order; none for
    /// one that it has no link into, or that is its own.
    ///
    /// # Errors
    /// When the kernel refuses to answer.
    pub fn namespaces(&mut self, pids: &[i32]) -> Result<Vec<Option<i32>>> {
        let mut numbers = Vec::with_capacity(pids.len());
        for pid in pids {
            let mut batch = Batch::new();
            let operation = format!("look for the network of process {pid}");
            let mut message = batch.message(operation, GET_NAMESPACE_ID, 0, &[0; NAMESPACE_HEADER]);
            message.bytes(NAMESPACE_PID, &pid.to_ne_bytes());
            // The process is gone.
            message.tolerate(&[Errno::SRCH, Errno::INVAL, Errno::NOENT]);
            let answers = self.socket.exchange(batch)?;
            numbers.push(answers.replies.iter().find_map(namespace));
        }
        Ok(numbers)
    }

    /// Returns all addresses of the namespace.
    ///
    /// # Errors
    /// When the kernel refuses to answer.
    pub fn addresses(&mut self) -> Result<Vec<LinkAddress>> {
        let mut batch = Batch::new();
        batch.message("list addresses", GET_ADDRESS, DUMP, &[0; ADDRESS_HEADER]);
        Ok(self.socket.exchange(batch)?.replies.iter().filter_map(address).collect())
    }

    /// Returns the routes of all tables of the namespace.
    ///
    /// # Errors
    /// When the kernel refuses to answer.
    pub fn routes(&mut self) -> Result<Vec<Route>> {
        let mut batch = Batch::new();
        batch.message("list routes", GET_ROUTE, DUMP, &[0; ROUTE_HEADER]);
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
        carrier: u32_at(&reply.body, 8)? & LOWER_UP != 0,
        kind: attributes
            .get(LINK_INFO)
            .and_then(|info| info.nested().get(LINK_INFO_KIND))
            .and_then(|kind| kind.text())
            .map(str::to_owned),
        master: attributes.get(LINK_MASTER).and_then(|master| master.u32()),
        mac: attributes.get(LINK_MAC).and_then(|mac| mac.value.try_into().ok()),
        beyond: attributes
            .get(LINK_NETNS_ID)
            .and_then(|number| i32_at(number.value, 0))
            .filter(|number| *number >= 0),
    })
}

fn namespace(reply: &Reply) -> Option<i32> {
    if reply.kind != NEW_NAMESPACE_ID {
        return None;
    }
    let number = reply.attributes(NAMESPACE_HEADER).get(NAMESPACE_ID)?;
    i32_at(number.value, 0).filter(|number| *number >= 0)
}

fn address(reply: &Reply) -> Option<LinkAddress> {
    if reply.kind != NEW_ADDRESS {
        return None;
    }
    let attributes = reply.attributes(ADDRESS_HEADER);
    let local = attributes.get(ADDRESS_LOCAL).or_else(|| attributes.get(ADDRESS_ADDRESS))?;
    Some(LinkAddress {
        index: u32_at(&reply.body, 4)?,
        block: Block {
            address: ip(*reply.body.first()?, local.value)?,
            prefix: *reply.body.get(1)?,
        },
    })
}

fn route(reply: &Reply) -> Option<Route> {
    if reply.kind != NEW_ROUTE {
        return None;
    }
    let attributes = reply.attributes(ROUTE_HEADER);
    let family = *reply.body.first()?;
    let destination = match (attributes.get(ROUTE_DESTINATION), family) {
        (Some(destination), _) => ip(family, destination.value)?,
        (None, FAMILY_INET) => Ipv4Addr::UNSPECIFIED.into(),
        (None, FAMILY_INET6) => Ipv6Addr::UNSPECIFIED.into(),
        (None, _) => return None,
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

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { FAMILY_INET } else { FAMILY_INET6 }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn ip(family: u8, bytes: &[u8]) -> Option<IpAddr> {
    match family {
        FAMILY_INET => Some(<[u8; 4]>::try_from(bytes).ok()?.into()),
        FAMILY_INET6 => Some(<[u8; 16]>::try_from(bytes).ok()?.into()),
        _ => None,
    }
}
