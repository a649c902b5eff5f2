//! The addresses of a network, and the choice of a subnet that nobody uses.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};
use wharf_model::AddressPool;
use wharf_sys::netlink::route::Block;

/// The addresses of one family that a network has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Pool {
    /// All of them.
    pub subnet: IpNet,
    /// Those that containers get without asking; none means all.
    #[serde(default, rename = "IPRange", skip_serializing_if = "Option::is_none")]
    pub range: Option<IpNet>,
    /// Where traffic to the outside goes: the bridge's own address.
    pub gateway: IpAddr,
    /// Those that somebody else has, by what he is called.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub aux: BTreeMap<String, IpAddr>,
    /// Whether the engine has chosen the subnet: nobody relies on it while no container is there.
    #[serde(default)]
    pub chosen: bool,
    /// The address that was leased last.
    #[serde(default)]
    pub(super) last_leased: Option<IpAddr>,
}

impl Pool {
    /// Returns the pool of all addresses of a subnet, with the first as the gateway.
    pub fn of(subnet: IpNet) -> Self {
        let subnet = subnet.trunc();
        Self {
            subnet,
            range: None,
            gateway: address(subnet.addr().is_ipv4(), bits(subnet.network()) | 1),
            aux: BTreeMap::new(),
            chosen: false,
            last_leased: None,
        }
    }

    /// Returns the same pool, as one that the engine has chosen.
    pub(super) fn chosen(mut self) -> Self {
        self.chosen = true;
        self
    }

    /// Returns whether its addresses are IPv4 ones.
    pub fn is_ipv4(&self) -> bool {
        self.subnet.addr().is_ipv4()
    }

    /// Returns this address with the subnet's prefix length, as links carry it.
    pub fn block(&self, address: IpAddr) -> Block {
        Block { address, prefix: self.subnet.prefix_len() }
    }

    /// Returns this address with the subnet's prefix length, as documents carry it.
    pub fn net(&self, address: IpAddr) -> IpNet {
        IpNet::new(address, self.subnet.prefix_len()).unwrap_or(self.subnet)
    }

    /// Returns the first and the last address that are given out without asking.
    fn bounds(&self) -> (u128, u128) {
        let range = self.range.unwrap_or(self.subnet);
        let (mut first, mut last) = (bits(range.network()), bits(range.broadcast()));
        // A subnet's own address, and its broadcast, are nobody's; in IPv6 the first is all routers'.
        let (own, broadcast) = (bits(self.subnet.network()), bits(self.subnet.broadcast()));
        if self.subnet.max_prefix_len() - self.subnet.prefix_len() > 1 {
            first = first.max(own + 1);
            if self.is_ipv4() {
                last = last.min(broadcast.saturating_sub(1));
            }
        }
        (first, last)
    }

    /// Returns how many containers fit, those with addresses of their own choice left out.
    pub fn capacity(&self) -> u128 {
        let (first, last) = self.bounds();
        if last < first {
            return 0;
        }
        let within = |address: &IpAddr| (first..=last).contains(&bits(*address));
        let mut reserved: Vec<&IpAddr> = self.aux.values().collect();
        reserved.push(&self.gateway);
        reserved.sort_unstable();
        reserved.dedup();
        let reserved = reserved.into_iter().filter(|address| within(address)).count();
        (last - first).saturating_add(1).saturating_sub(reserved as u128)
    }

    /// Returns whether no container may have this address.
    pub(super) fn is_reserved(&self, address: IpAddr) -> bool {
        address == self.gateway || self.aux.values().any(|aux| *aux == address)
    }

    /// Returns the address given out after this one, from the beginning after the last. None when
    /// there is none at all.
    pub(super) fn next(&self, after: Option<IpAddr>) -> Option<IpAddr> {
        if self.capacity() == 0 {
            return None;
        }
        let (first, last) = self.bounds();
        let mut at = after.map_or(first, |after| bits(after).wrapping_add(1));
        loop {
            if !(first..=last).contains(&at) {
                at = first;
            }
            let next = address(self.is_ipv4(), at);
            if !self.is_reserved(next) {
                return Some(next);
            }
            at += 1;
        }
    }

    /// Returns whether the two share an address.
    pub fn overlaps(&self, other: &IpNet) -> bool {
        overlap(&self.subnet, other)
    }

    /// Returns docker's `IPAM.Config` of it.
    pub(super) fn shown(&self) -> AddressPool {
        AddressPool {
            subnet: Some(self.subnet),
            ip_range: self.range,
            gateway: Some(self.gateway),
            aux_addresses: self.aux.clone(),
        }
    }
}

/// Returns whether two subnets share an address.
pub(super) fn overlap(one: &IpNet, other: &IpNet) -> bool {
    one.contains(&other.network()) || other.contains(&one.network())
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn address(ipv4: bool, bits: u128) -> IpAddr {
    match (ipv4, u32::try_from(bits)) {
        (true, Ok(bits)) => Ipv4Addr::from_bits(bits).into(),
        _ => Ipv6Addr::from_bits(bits).into(),
    }
}

/// A block of addresses that subnets of one size are cut from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supply {
    /// All addresses.
    pub base: IpNet,
    /// How long the prefixes of the subnets are.
    pub size: u8,
}

impl Supply {
    /// Returns docker's default: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/16 in blocks of
    /// 4096.
    pub fn defaults() -> Vec<Self> {
        let of = |a, b, prefix, size| {
            let base = Ipv4Net::new(Ipv4Addr::new(a, b, 0, 0), prefix);
            base.ok().map(|base| Self { base: base.into(), size })
        };
        let wide = (17..=31).filter_map(|b| of(172, b, 16, 16));
        wide.chain(of(192, 168, 16, 20)).collect()
    }

    /// Returns the block of IPv6 addresses that is this engine's own (RFC 4193), by a seed that no
    /// other has: 65536 subnets of 64 bits, as docker cuts them.
    pub fn own_ipv6(seed: &[u8]) -> Option<Self> {
        let digest = ring::digest::digest(&ring::digest::SHA256, seed);
        let mut octets = [0; 16];
        octets[0] = 0xfd;
        octets[1..6].copy_from_slice(&digest.as_ref()[..5]);
        let base = Ipv6Net::new(octets.into(), 48).ok()?;
        Some(Self { base: base.into(), size: 64 })
    }

    /// Returns its first subnet that overlaps none of these.
    fn first_free(&self, used: &[IpNet]) -> Option<IpNet> {
        let (first, last) = (bits(self.base.network()), bits(self.base.broadcast()));
        let width = u32::from(self.base.max_prefix_len().checked_sub(self.size)?);
        let step = 1_u128.checked_shl(width)?;
        let mut at = first;
        loop {
            let subnet = IpNet::new(address(self.base.addr().is_ipv4(), at), self.size).ok()?;
            match used
                .iter()
                .filter(|used| overlap(used, &subnet))
                .map(|u| bits(u.broadcast()))
                .max()
            {
                None => return Some(subnet),
                // The next one behind what is in the way.
                Some(end) => {
                    at = (end.max(bits(subnet.broadcast())) / step)
                        .checked_add(1)?
                        .checked_mul(step)?;
                }
            }
            if at > last {
                return None;
            }
        }
    }
}

/// Returns the first subnet of one family that overlaps none of these.
pub(super) fn first_free(supplies: &[Supply], ipv4: bool, used: &[IpNet]) -> Option<IpNet> {
    let of_family = supplies.iter().filter(|supply| supply.base.addr().is_ipv4() == ipv4);
    of_family.into_iter().find_map(|supply| supply.first_free(used))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_subnet_without_overlap_is_chosen() {
        let first = |used: &[&str]| {
            let used: Vec<IpNet> = used.iter().map(|text| net(text)).collect();
            first_free(&Supply::defaults(), true, &used)
        };
        assert_eq!(first(&[]), Some(net("172.17.0.0/16")));
        assert_eq!(first(&["172.17.3.0/24"]), Some(net("172.18.0.0/16")));
        assert_eq!(first(&["172.16.0.0/12"]), Some(net("192.168.0.0/20")));
        assert_eq!(first(&["172.16.0.0/12", "192.168.1.0/24"]), Some(net("192.168.16.0/20")));
        assert_eq!(first(&["172.16.0.0/12", "192.168.0.0/16"]), None);
        assert_eq!(first(&["fd00::/8"]), Some(net("172.17.0.0/16")));
        let own = Supply { base: net("10.0.0.0/8"), size: 24 };
        let used = [net("10.0.0.0/9"), net("10.128.0.5/32")];
        assert_eq!(first_free(&[own], true, &used), Some(net("10.128.1.0/24")));
        assert_eq!(first_free(&[own], false, &[]), None);
    }

    #[test]
    fn an_engine_has_a_block_of_ipv6_of_its_own() {
        let (one, other) = (Supply::own_ipv6(b"a").unwrap(), Supply::own_ipv6(b"b").unwrap());
        assert_ne!(one, other);
        let first = first_free(&[one], false, &[]).unwrap();
        assert_eq!(first.prefix_len(), 64);
        assert!(net("fd00::/8").contains(&first) && one.base.contains(&first));
        let second = first_free(&[one], false, &[first]).unwrap();
        assert!(!overlap(&first, &second) && one.base.contains(&second));
        assert_eq!(first_free(&[one], false, &[net("fd00::/8")]), None);
    }

    #[test]
    fn container_addresses_leave_out_what_is_not_theirs() {
        let all = |pool: &Pool| {
            let mut last = None;
            let mut found = Vec::new();
            for _ in 0..=pool.capacity() {
                last = pool.next(last);
                found.extend(last.map(|address| address.to_string()));
            }
            found
        };
        let small = Pool::of(net("10.0.0.8/29"));
        assert_eq!((small.capacity(), small.gateway.to_string().as_str()), (5, "10.0.0.9"));
        let wanted = ["10.0.0.10", "10.0.0.11", "10.0.0.12", "10.0.0.13", "10.0.0.14", "10.0.0.10"];
        assert_eq!(all(&small), wanted);
        assert_eq!(Pool::of(net("172.17.0.0/16")).capacity(), 65533);
        let mut range = Pool::of(net("10.0.0.0/24"));
        range.range = Some(net("10.0.0.252/30"));
        range.aux.insert("router".to_owned(), "10.0.0.253".parse().unwrap());
        assert_eq!(all(&range), ["10.0.0.252", "10.0.0.254", "10.0.0.252"]);
        let mut six = Pool::of(net("fd00:1::/64"));
        assert_eq!(six.gateway.to_string(), "fd00:1::1");
        assert_eq!(six.next(None).unwrap().to_string(), "fd00:1::2");
        assert_eq!(six.capacity(), (1 << 64) - 2);
        six.range = Some(net("fd00:1::ffff:ffff:ffff:fffe/127"));
        assert_eq!(all(&six).len(), 3);
        let pair = Pool::of(net("10.0.0.0/31"));
        assert_eq!(all(&pair), ["10.0.0.0", "10.0.0.0"]);
        assert_eq!(Pool::of(net("10.0.0.1/32")).next(None), None);
        assert_eq!(Pool::of(net("::/0")).capacity(), u128::MAX - 1);
    }
}
