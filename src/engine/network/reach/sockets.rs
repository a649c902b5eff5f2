//! Who listens in a network namespace, from `/proc/net/tcp` and `/proc/net/tcp6` (proc_net_tcp in
//! the kernel's documentation).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;

use crate::{Error, Result};

/// Where a container's name server listens.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// The kernel's number of the state "listening".
const LISTEN: &str = "0A";

/// The TCP sockets that wait for connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listening {
    places: Vec<(IpAddr, u16)>,
}

impl Listening {
    /// Returns those of the calling thread's network namespace.
    pub(super) fn read() -> Self {
        let text = |name: &str| {
            std::fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default()
        };
        Self::parse(&text("tcp"), &text("tcp6"))
    }

    fn parse(tcp: &str, tcp6: &str) -> Self {
        let lines = tcp.lines().skip(1).chain(tcp6.lines().skip(1));
        // The name server there is its supervisor's, and not what anybody asks about.
        let own = |(address, _): &(IpAddr, u16)| *address != IpAddr::V4(ADDRESS);
        Self { places: lines.filter_map(place).filter(own).collect() }
    }

    #[cfg(test)]
    pub(super) fn parse_for_tests(tcp: &str) -> Self {
        Self::parse(tcp, "")
    }

    /// Returns the addresses at which a port is served.
    pub(super) fn on(&self, port: u16) -> Vec<IpAddr> {
        self.places.iter().filter(|(_, p)| *p == port).map(|(address, _)| *address).collect()
    }

    /// Returns all ports that somebody serves.
    pub(super) fn ports(&self) -> BTreeSet<u16> {
        self.places.iter().map(|(_, port)| *port).collect()
    }
}

/// Returns where the socket of a line listens: `0100007F:1F90`, each word of the address in the
/// machine's byte order.
fn place(line: &str) -> Option<(IpAddr, u16)> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (address, port) = words.next()?.split_once(':')?;
    if words.nth(1)? != LISTEN {
        return None;
    }
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(address.get(at..at + 8)?, 16).ok();
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?.to_ne_bytes())),
        32 => {
            let mut bytes = [0; 16];
            for (n, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(n * 8)?.to_ne_bytes());
            }
            let address = Ipv6Addr::from(bytes);
            // A socket of both families that is bound to an IPv4 address.
            address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4)
        }
        _ => return None,
    };
    Some((address, port))
}

/// Returns what tells network namespaces apart, of the namespace that a process is in.
pub(super) fn namespace(process: &impl AsFd) -> Result<(u64, u64)> {
    super::inside(process.as_fd(), || {
        let found = rustix::fs::stat("/proc/thread-self/ns/net")
            .map_err(|cause| Error::failed("look at a network namespace", cause))?;
        Ok((found.st_dev, found.st_ino))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_that_listen_are_found() {
        let head = "  sl  local_address rem_address   st tx_queue rx_queue\n";
        let tcp = format!(
            "{head}   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 0\n   \
             1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 0\n   \
             2: 0200000A:0050 0300000A:D431 01 00000000:00000000 00:00000000 0\n"
        );
        let tcp6 = format!(
            "{head}   0: 00000000000000000000000000000000:01BB \
             00000000000000000000000000000000:0000 0A 0\n   1: 0000000000000000FFFF00000100007F:0051 \
             00000000000000000000000000000000:0000 0A 0\nshort\n"
        );
        let found = Listening::parse(&tcp, &tcp6);
        assert_eq!(found.on(8080), [IpAddr::from([127, 0, 0, 1])]);
        assert_eq!(found.on(80), [IpAddr::from([0, 0, 0, 0])]);
        assert_eq!(found.on(443), [IpAddr::V6(Ipv6Addr::UNSPECIFIED)]);
        assert_eq!(found.on(81), [IpAddr::from([127, 0, 0, 1])]);
        assert!(found.on(54321).is_empty());
        assert_eq!(found.ports().into_iter().collect::<Vec<_>>(), [80, 81, 443, 8080]);
    }
}
