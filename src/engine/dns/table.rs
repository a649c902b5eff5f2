//! What names there are: the containers of each network that a container is on.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use domain::base::Name;
use domain::base::name::ToLabelIter;

/// A container on a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Member {
    /// The container's name, which its addresses are translated back to.
    pub(crate) name: String,
    /// What else it is called there: aliases, the short id, the host name.
    pub(crate) others: Vec<String>,
    /// Its IPv4 address.
    pub(crate) ipv4: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub(crate) ipv6: Option<Ipv6Addr>,
}

/// A network and who is on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    name: String,
    internal: bool,
    members: Vec<Member>,
    /// By name in lower case, the positions of those who have it.
    index: HashMap<Box<str>, Vec<u32>>,
}

impl Network {
    /// Returns a network with nobody on it. Nothing leaves an `internal` one.
    pub(crate) fn new(name: &str, internal: bool) -> Self {
        Self { name: name.to_owned(), internal, ..Self::default() }
    }

    /// Adds a container.
    pub(crate) fn add(&mut self, member: Member) {
        let Ok(position) = u32::try_from(self.members.len()) else { return };
        for name in std::iter::once(&member.name).chain(&member.others) {
            self.index_name(name, position);
        }
        self.members.push(member);
    }

    /// Gives the container of this name or id another name.
    pub(crate) fn link(&mut self, target: &str, name: &str) {
        let target = target.to_ascii_lowercase();
        let found = self.index.get(target.as_str()).cloned().unwrap_or_default();
        for position in found {
            self.index_name(name, position);
        }
    }

    fn index_name(&mut self, name: &str, position: u32) {
        let key = name.to_ascii_lowercase().into_boxed_str();
        let positions = self.index.entry(key).or_default();
        if !positions.contains(&position) {
            positions.push(position);
        }
    }

    fn named(&self, name: &str) -> Option<impl Iterator<Item = &Member>> {
        let positions = self.index.get(name)?;
        Some(positions.iter().filter_map(|at| self.members.get(usize::try_from(*at).ok()?)))
    }
}

/// Which addresses a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

/// The names of all networks that a container is on, in the order in which they are asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    networks: Vec<Network>,
}

impl Table {
    /// Returns the names of these networks.
    pub(crate) fn new(networks: Vec<Network>) -> Self {
        Self { networks }
    }

    /// Returns whether questions about names of others may leave: not when nothing else does.
    pub(super) fn has_way_out(&self) -> bool {
        self.networks.iter().any(|network| !network.internal)
    }

    /// Returns the addresses of a name, which may be `NAME.NETWORK`; none when there is no such name
    /// here, an empty list when it has no address of this family. As with docker, the first network
    /// that has some answers alone.
    pub(super) fn addresses(&self, name: &str, family: Family) -> Option<Vec<IpAddr>> {
        let mut known = false;
        let anywhere = self.networks.iter().map(|network| (network, name));
        let scoped = name.match_indices('.').flat_map(|(at, _)| {
            let (name, scope) = (&name[..at], &name[at + 1..]);
            let named = move |network: &&Network| network.name.eq_ignore_ascii_case(scope);
            self.networks.iter().filter(named).map(move |network| (network, name))
        });
        for (network, name) in anywhere.chain(scoped) {
            let Some(members) = network.named(name) else { continue };
            known = true;
            let address = |member: &Member| match family {
                Family::V4 => member.ipv4.map(IpAddr::V4),
                Family::V6 => member.ipv6.map(IpAddr::V6),
            };
            let found: Vec<IpAddr> = members.filter_map(address).collect();
            if !found.is_empty() {
                return Some(found);
            }
        }
        known.then(Vec::new)
    }

    /// Returns what an address is called, `NAME.NETWORK` as with docker.
    pub(super) fn name_of(&self, address: IpAddr) -> Option<Name<Vec<u8>>> {
        self.networks.iter().find_map(|network| {
            let member = network.members.iter().find(|member| match address {
                IpAddr::V4(address) => member.ipv4 == Some(address),
                IpAddr::V6(address) => member.ipv6 == Some(address),
            })?;
            // A label has at most 63 characters, the name of a container may have more.
            Name::vec_from_str(&format!("{}.{}", member.name, network.name)).ok()
        })
    }
}

/// Returns a name of the protocol's as those of a table are compared: in lower case, with dots, and
/// none at its end. None when no container can be called so.
pub(super) fn plain(name: &impl ToLabelIter) -> Option<String> {
    let mut text = String::with_capacity(usize::from(name.compose_len()));
    for label in name.iter_labels().filter(|label| !label.is_root()) {
        if !text.is_empty() {
            text.push('.');
        }
        for byte in label {
            // A dot within a label is none between two.
            if !byte.is_ascii_graphic() || byte == b'.' {
                return None;
            }
            text.push(char::from(byte.to_ascii_lowercase()));
        }
    }
    Some(text).filter(|text| !text.is_empty())
}

/// Returns the address that a name in one of the two reverse zones stands for (RFC 1035, section
/// 3.5; RFC 3596, section 2.5).
pub(super) fn reverse(name: &str) -> Option<IpAddr> {
    if let Some(rest) = name.strip_suffix(".in-addr.arpa") {
        let mut octets = [0; 4];
        let mut parts = rest.rsplit('.');
        for octet in &mut octets {
            let part = parts.next()?;
            let canonical = part == "0" || !part.starts_with(['0', '+']);
            *octet = part.parse().ok().filter(|_| canonical)?;
        }
        return parts.next().is_none().then(|| octets.into());
    }
    let rest = name.strip_suffix(".ip6.arpa")?;
    let mut bits = 0_u128;
    let mut count = 0;
    for part in rest.rsplit('.') {
        let mut digits = part.chars();
        let digit = digits.next()?.to_digit(16)?;
        count += 1;
        if digits.next().is_some() || count > 32 {
            return None;
        }
        bits = bits << 4 | u128::from(digit);
    }
    (count == 32).then(|| Ipv6Addr::from_bits(bits).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reverse_names_are_addresses() {
        assert_eq!(reverse("3.0.77.10.in-addr.arpa"), Some([10, 77, 0, 3].into()));
        let long = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.9.7.0.0.0.0.d.f.ip6.arpa";
        assert_eq!(reverse(long), "fd00:79::2".parse().ok());
        for bad in [
            "in-addr.arpa",
            "1.2.3.in-addr.arpa",
            "1.2.3.4.5.in-addr.arpa",
            "256.0.0.1.in-addr.arpa",
            "01.0.0.1.in-addr.arpa",
            "+1.0.0.1.in-addr.arpa",
            "x.ip6.arpa",
            "1.2.ip6.arpa",
            "1.2.3.4.example",
            &long[2..],
            &format!("0.{long}"),
            &format!("0{long}"),
        ] {
            assert_eq!(reverse(bad), None, "{bad}");
        }
    }
}
