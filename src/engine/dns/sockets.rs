//! Sockets in a container's network namespace.
//!
//! Clients ask 127.0.0.11, port 53. As with docker the server listens on another port of that
//! address, and rules of the container's own firewall lead there: so a container may listen on port
//! 53 of all its addresses. Unlike docker's, they replace the port in the packets of either direction
//! and leave it at that: NAT would have the kernel keep track of all connections of the container,
//! which costs each of them some tenth. Where the kernel has no nf_tables, the server takes port 53
//! itself.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

use nix::sched::{CloneFlags, setns};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use wharf_sys::netlink::nftables::{
    Chain, Expression, Hook, MetaKey, NftSocket, PacketFamily, Payload, Transaction,
};

use crate::{Error, Result};

/// Where containers find the server: docker's address.
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const PORT: u16 = 53;
/// The table in the container's namespace.
const TABLE: &str = "wharf-dns";
/// How often a port that is free for UDP is looked for among those free for TCP.
const TRIES: usize = 16;

/// A container's network namespace, and the way back.
#[derive(Debug)]
pub(super) struct Namespace {
    container: OwnedFd,
    home: OwnedFd,
}

impl Namespace {
    /// Takes the namespace of a container; this process is in the engine's own.
    pub(super) fn new(container: OwnedFd) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        // Of the thread, which is the only one but in tests.
        let home = rustix::fs::open("/proc/thread-self/ns/net", flags, Mode::empty())?;
        Ok(Self { container, home })
    }

    /// Does something in the container's namespace.
    pub(super) fn within<T>(&self, work: impl FnOnce() -> T) -> io::Result<T> {
        setns(&self.container, CloneFlags::CLONE_NEWNET)?;
        let done = work();
        if setns(&self.home, CloneFlags::CLONE_NEWNET).is_err() {
            // All that it would do to the host from now on it would do to the container. It has just
            // been allowed to do the same, so this can't be.
            std::process::abort();
        }
        Ok(done)
    }
}

/// The sockets that clients' queries come to.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) udp: UdpSocket,
    pub(super) tcp: TcpListener,
}

/// Listens in the calling thread's network namespace, where nobody does yet.
///
/// # Errors
/// When the kernel refuses the sockets.
pub(super) fn listen() -> Result<Listening> {
    crate::network::loopback_up()?;
    let failed = |cause: io::Error| {
        Error::failed(format_args!("listen for DNS queries at {ADDRESS}"), cause)
    };
    let (listening, port) = bind_any().map_err(failed)?;
    if redirect(port).is_ok() {
        return Ok(listening);
    }
    drop(listening);
    bind(PORT).map_err(failed)
}

fn bind(port: u16) -> io::Result<Listening> {
    let udp = UdpSocket::bind((ADDRESS, port))?;
    let tcp = TcpListener::bind((ADDRESS, udp.local_addr()?.port()))?;
    udp.set_nonblocking(true)?;
    tcp.set_nonblocking(true)?;
    Ok(Listening { udp, tcp })
}

fn bind_any() -> io::Result<(Listening, u16)> {
    let mut last = None;
    for _ in 0..TRIES {
        match bind(0) {
            Ok(listening) => {
                let port = listening.udp.local_addr()?.port();
                return Ok((listening, port));
            }
            Err(cause) if cause.kind() == io::ErrorKind::AddrInUse => last = Some(cause),
            Err(cause) => return Err(cause),
        }
    }
    Err(last.unwrap_or_else(|| Errno::ADDRINUSE.into()))
}

/// Leads what goes to the known port to this one.
fn redirect(port: u16) -> std::result::Result<(), wharf_sys::netlink::Error> {
    let mut nft = NftSocket::open()?;
    match nft.commit(redirection(port, false)) {
        // A server of before has left it.
        Err(error) if error.errno() == Errno::EXIST => nft.commit(redirection(port, true)),
        done => done,
    }
}

fn redirection(port: u16, replaces: bool) -> Transaction {
    /// The numbers of the protocols, and where their headers have a checksum.
    const PROTOCOLS: [(&[u8], u32); 2] = [(&[17], 6), (&[6], 16)];
    const R0: u32 = Expression::FIRST;
    let mut change = Transaction::new(None);
    if replaces {
        change.delete_table(TABLE);
    }
    change.create_table(TABLE, "leads to the engine's DNS server");
    let (known, own, address) = (PORT.to_be_bytes(), port.to_be_bytes(), ADDRESS.octets());
    let equal = |bytes| Expression::Compare { register: R0, bytes, inverted: false };
    let load = |part| Expression::Payload { part, register: R0 };
    // A container that keeps track of its connections (at -200) sees the known port both ways.
    let queries = (Payload::Destination(PacketFamily::V4), Payload::DestinationPort, &known, &own);
    let answers = (Payload::Source, Payload::SourcePort, &own, &known);
    for (name, priority, (end, part, from, to)) in
        [("queries", -150, queries), ("answers", -300, answers)]
    {
        change.create_chain(TABLE, &Chain { name, kind: "filter", hook: Hook::Output, priority });
        for (protocol, checksum) in PROTOCOLS {
            // Whatever else the container sends is let go by the first comparison.
            let rule = [
                load(end),
                equal(&address),
                Expression::Is(PacketFamily::V4),
                Expression::Meta { key: MetaKey::Protocol, register: R0 },
                equal(protocol),
                load(part),
                equal(from),
                Expression::Immediate { bytes: to, register: R0 },
                Expression::Replace { part, register: R0, checksum },
            ];
            change.append_rule(TABLE, name, &rule);
        }
    }
    change
}

/// Begins to connect to a server, from the calling thread's network namespace.
pub(super) fn dial(server: SocketAddr, kind: SocketType) -> io::Result<OwnedFd> {
    let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, kind, flags, None)?;
    match rustix::net::connect(&socket, &server) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket),
        Err(cause) => Err(cause.into()),
    }
}
