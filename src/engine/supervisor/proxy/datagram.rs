//! Datagrams with the address of this host that they were sent to, so that the answer comes from there:
//! a socket of all addresses would answer from whichever is nearest to the asker.

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
};

/// Has the kernel say of each datagram where it was sent to. A kernel that won't leaves the choice of
/// the answer's address to itself.
pub(super) fn watch_destinations(socket: &OwnedFd, ipv4: bool) {
    let _ = match ipv4 {
        true => setsockopt(socket, Ipv4PacketInfo, &true),
        false => setsockopt(socket, Ipv6RecvPacketInfo, &true),
    };
}

/// A datagram's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Way {
    /// Who sent it.
    pub(super) from: SocketAddr,
    /// The address of this host that it was sent to, where that is known.
    pub(super) to: Option<IpAddr>,
}

/// Receives a datagram; returns its length and its way, which is none when it came from nobody.
pub(super) fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> Result<(usize, Option<Way>), Errno> {
    let mut space = nix::cmsg_space!(in_pktinfo, in6_pktinfo);
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::empty();
    let message = recvmsg::<SockaddrStorage>(
        socket.as_fd().as_raw_fd(),
        &mut parts,
        Some(&mut space),
        flags,
    )?;
    let to = message.cmsgs()?.find_map(|part| match part {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(IpAddr::V4(Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes())))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            Some(IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)))
        }
        _ => None,
    });
    let from = message.address.as_ref().and_then(address);
    Ok((message.bytes, from.map(|from| Way { from, to })))
}

/// Sends a datagram back the way that one came.
pub(super) fn send_back(socket: &OwnedFd, data: &[u8], way: Way) -> Result<(), Errno> {
    let to = SockaddrStorage::from(way.from);
    let (four, six);
    let source = match way.to {
        Some(IpAddr::V4(from)) => {
            let nowhere = in_addr { s_addr: 0 };
            let s_addr = u32::from_ne_bytes(from.octets());
            let ipi_spec_dst = in_addr { s_addr };
            four = in_pktinfo { ipi_ifindex: 0, ipi_spec_dst, ipi_addr: nowhere };
            Some(ControlMessage::Ipv4PacketInfo(&four))
        }
        Some(IpAddr::V6(from)) => {
            let ipi6_addr = in6_addr { s6_addr: from.octets() };
            six = in6_pktinfo { ipi6_addr, ipi6_ifindex: 0 };
            Some(ControlMessage::Ipv6PacketInfo(&six))
        }
        None => None,
    };
    let parts = [IoSlice::new(data)];
    let socket = socket.as_fd().as_raw_fd();
    sendmsg(socket, &parts, source.as_slice(), MsgFlags::empty(), Some(&to)).map(drop)
}

fn address(found: &SockaddrStorage) -> Option<SocketAddr> {
    let four = found.as_sockaddr_in().map(|v4| SocketAddrV4::from(*v4).into());
    four.or_else(|| found.as_sockaddr_in6().map(|v6| SocketAddrV6::from(*v6).into()))
}
