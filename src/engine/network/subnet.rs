//! Blocks of IPv4 addresses, and the choice of one that the host doesn't use.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use wharf_model::ParseError;
use wharf_sys::netlink::route::Block;

/// A subnet: an IPv4 address whose bits after the prefix are zero, and the prefix's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    address: Ipv4Addr,
    prefix: u8,
}

impl Subnet {
    /// Returns the subnet that this address with this prefix length is in; lengths over 32 count as
    /// 32.
    pub fn of(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = prefix.min(32);
        Self { address: Ipv4Addr::from_bits(address.to_bits() & !host_mask(prefix)), prefix }
    }

    /// Returns the length of the prefix in bits.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Returns the first address after the subnet's own, where the gateway is.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() | 1)
    }

    /// Returns the last address, which is the broadcast address.
    fn last(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.address.to_bits() | host_mask(self.prefix))
    }

    /// Returns how many containers fit: all addresses but the subnet's own, the gateway's and the
    /// broadcast.
    pub fn capacity(&self) -> u32 {
        host_mask(self.prefix).saturating_sub(2)
    }

    /// Returns the container address after this one, from the beginning after the last.
    pub(super) fn next(&self, address: Ipv4Addr) -> Ipv4Addr {
        let next = Ipv4Addr::from_bits(address.to_bits().wrapping_add(1));
        if next > self.gateway() && next < self.last() {
            next
        } else {
            Ipv4Addr::from_bits(self.gateway().to_bits().wrapping_add(1))
        }
    }

    /// Returns whether the two share an address.
    pub fn overlaps(&self, other: &Self) -> bool {
        let mask = !host_mask(self.prefix.min(other.prefix));
        self.address.to_bits() & mask == other.address.to_bits() & mask
    }

    /// Returns this address with the subnet's prefix length, as links carry it.
    pub(super) fn block(&self, address: Ipv4Addr) -> Block {
        Block { address, prefix: self.prefix }
    }
}

fn host_mask(prefix: u8) -> u32 {
    u32::MAX.checked_shr(prefix.into()).unwrap_or(0)
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Subnet {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let parse = || {
            let (address, prefix) = text.split_once('/')?;
            let (address, prefix) = (address.parse().ok()?, prefix.parse().ok()?);
            Some(Self { address, prefix })
                .filter(|s| prefix <= 32 && *s == Self::of(address, prefix))
        };
        parse().ok_or_else(|| ParseError(format!("{text:?} is not a subnet (172.17.0.0/16)")))
    }
}

impl TryFrom<String> for Subnet {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

/// Returns docker's default address pools in its order: 172.17.0.0/16 to 172.31.0.0/16, then
/// 192.168.0.0/16 in blocks of 4096.
fn pools() -> impl Iterator<Item = Subnet> {
    let wide = (17..=31).map(|n| Subnet::of(Ipv4Addr::new(172, n, 0, 0), 16));
    let narrow = (0..=240).step_by(16).map(|n| Subnet::of(Ipv4Addr::new(192, 168, n, 0), 20));
    wide.chain(narrow)
}

/// Returns the first pool that overlaps none of these.
pub(super) fn first_free(used: &[Subnet]) -> Option<Subnet> {
    pools().find(|pool| !used.iter().any(|subnet| subnet.overlaps(pool)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_pool_without_overlap_is_chosen() {
        assert_eq!(first_free(&[]), Some(subnet("172.17.0.0/16")));
        assert_eq!(first_free(&[subnet("172.17.3.0/24")]), Some(subnet("172.18.0.0/16")));
        assert_eq!(first_free(&[subnet("172.16.0.0/12")]), Some(subnet("192.168.0.0/20")));
        let used = [subnet("172.16.0.0/12"), subnet("192.168.1.0/24")];
        assert_eq!(first_free(&used), Some(subnet("192.168.16.0/20")));
        assert_eq!(first_free(&[subnet("172.16.0.0/12"), subnet("192.168.0.0/16")]), None);
    }

    #[test]
    fn container_addresses_leave_out_gateway_and_broadcast() {
        let small = subnet("10.0.0.8/29");
        assert_eq!(small.capacity(), 5);
        let mut address = small.gateway();
        let all: Vec<String> = (0..6)
            .map(|_| {
                address = small.next(address);
                address.to_string()
            })
            .collect();
        let wanted = ["10.0.0.10", "10.0.0.11", "10.0.0.12", "10.0.0.13", "10.0.0.14", "10.0.0.10"];
        assert_eq!(all, wanted);
        assert_eq!(subnet("172.17.0.0/16").capacity(), 65533);
    }

    #[test]
    fn only_whole_subnets_are_read() {
        for bad in ["10.0.0.1/8", "10.0.0.0", "10.0.0.0/33", "x/8", "10.0.0.0/-1"] {
            assert!(bad.parse::<Subnet>().is_err(), "{bad}");
        }
        assert_eq!(subnet("0.0.0.0/0").to_string(), "0.0.0.0/0");
    }
}
