//! The connections that the kernel watches (`linux/netfilter/nfnetlink_conntrack.h`), as far as they
//! are to be forgotten.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use rustix::io::Errno;

use super::decode::{Attribute, Reply};
use super::encode::{Batch, DUMP};
use super::{Family, Result, Socket};

/// `NFNL_SUBSYS_CTNETLINK`, the upper byte of each message's type.
const SUBSYSTEM: u16 = 1 << 8;
const NEW: u16 = SUBSYSTEM;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;
const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const ZONE: u16 = 18;
const TUPLE_ADDRESSES: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
/// Length of `struct nfgenmsg`.
const HEADER: usize = 4;
/// How many are forgotten with one message to the kernel.
const AT_ONCE: usize = 100;

/// A connection, or what comes near to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The number of its transport protocol.
    pub protocol: u8,
    /// Where its first packet was sent to.
    pub destination: SocketAddr,
    /// Where its answers come from.
    pub answers_from: SocketAddr,
}

/// Makes the kernel forget the flows that `concerned` picks, and returns how many.
///
/// # Errors
/// When the kernel doesn't show them.
pub fn forget(concerned: impl Fn(&Flow) -> bool) -> Result<usize> {
    let mut socket = Socket::open(Family::Netfilter)?;
    let mut batch = Batch::new();
    batch.message("list connections", GET, DUMP, &[0; HEADER]);
    let replies = socket.exchange(batch)?.replies;
    let found: Vec<&Reply> = replies
        .iter()
        .filter(|reply| reply.kind == NEW && flow(reply).is_some_and(|flow| concerned(&flow)))
        .collect();
    for some in found.chunks(AT_ONCE) {
        let mut batch = Batch::new();
        for reply in some {
            let attributes = reply.attributes(HEADER);
            let Some(tuple) = attributes.get(TUPLE_ORIGINAL) else { continue };
            let family = reply.body.first().copied().unwrap_or_default();
            let mut message = batch.message("forget a connection", DELETE, 0, &[family, 0, 0, 0]);
            message.nested(TUPLE_ORIGINAL, |nested| {
                nested.raw(tuple.value);
            });
            if let Some(zone) = attributes.get(ZONE) {
                message.bytes(ZONE, zone.value);
            }
            // It may have expired meanwhile.
            message.tolerate(&[Errno::NOENT]);
        }
        socket.exchange(batch)?;
    }
    Ok(found.len())
}

fn flow(reply: &Reply) -> Option<Flow> {
    let attributes = reply.attributes(HEADER);
    let (original, reply) = (attributes.get(TUPLE_ORIGINAL)?, attributes.get(TUPLE_REPLY)?);
    Some(Flow {
        protocol: *original.nested().get(TUPLE_PROTOCOL)?.nested().get(1)?.value.first()?,
        destination: end(original, false)?,
        answers_from: end(reply, true)?,
    })
}

/// Returns where a tuple comes from, or goes to.
fn end(tuple: Attribute<'_>, source: bool) -> Option<SocketAddr> {
    let addresses = tuple.nested().get(TUPLE_ADDRESSES)?;
    // `CTA_IP_V4_SRC`, `CTA_IP_V4_DST`, then the same for IPv6.
    let (four, six) = if source { (1, 3) } else { (2, 4) };
    let four = addresses.nested().get(four).and_then(|four| <[u8; 4]>::try_from(four.value).ok());
    let six = addresses.nested().get(six).and_then(|six| <[u8; 16]>::try_from(six.value).ok());
    let address: IpAddr =
        four.map(Ipv4Addr::from).map(IpAddr::from).or(six.map(Ipv6Addr::from).map(IpAddr::from))?;
    // `CTA_PROTO_SRC_PORT` and `CTA_PROTO_DST_PORT`.
    let port = tuple.nested().get(TUPLE_PROTOCOL)?.nested().get(if source { 2 } else { 3 })?;
    Some(SocketAddr::new(address, u16::from_be_bytes(port.value.try_into().ok()?)))
}
