//! Sets and maps: what their keys and data are made of, and how those are written.

use std::net::IpAddr;

use super::super::decode::Attributes;

/// How many bits the `nft` program shifts a type to join several.
const TYPE_BITS: u32 = 6;
/// The greatest length of a link's name with its NUL, and so the length of one in a key.
const NAME_LENGTH: usize = 16;

/// One part of a key or of data. The kernel knows lengths only; the numbers of the types are kept
/// for the `nft` program, whose numbers they are (`enum datatypes` of its `datatype.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A link's name.
    Link,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// The number of a transport protocol.
    Protocol,
    /// A port.
    Port,
}

impl Part {
    fn number(self) -> u32 {
        match self {
            Self::Ipv4 => 7,
            Self::Ipv6 => 8,
            Self::Protocol => 12,
            Self::Port => 13,
            Self::Link => 41,
        }
    }

    /// Returns its length in a key: a multiple of four bytes.
    fn length(self) -> u32 {
        match self {
            Self::Ipv4 | Self::Protocol | Self::Port => 4,
            Self::Ipv6 | Self::Link => 16,
        }
    }
}

/// Returns the number of the type that these parts in a row are, and their length in bytes.
pub(super) fn type_of(parts: &[Part]) -> (u32, u32) {
    let kind = parts.iter().fold(0, |kind, part| kind << TYPE_BITS | part.number());
    // A single part has its own length, not that of a place in a row.
    let length = match parts {
        [Part::Port] => 2,
        [Part::Protocol] => 1,
        _ => parts.iter().map(|part| part.length()).sum(),
    };
    (kind, length)
}

/// A set to be made, or a map if it has data.
#[derive(Clone, Copy, Debug)]
pub struct Set<'a> {
    /// Its name.
    pub name: &'a str,
    /// What its keys are.
    pub key: &'a [Part],
    /// What the keys lead to; nothing for a set.
    pub data: &'a [Part],
}

/// The bytes of a key or of data, part after part as the kernel compares them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(Vec<u8>);

impl Value {
    /// Returns a value without parts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a link's name.
    #[must_use]
    pub fn link(mut self, name: &str) -> Self {
        let mut bytes = [0; NAME_LENGTH];
        for (to, from) in bytes.iter_mut().zip(name.bytes().take(NAME_LENGTH - 1)) {
            *to = from;
        }
        self.0.extend_from_slice(&bytes);
        self
    }

    /// Adds an address, of either family.
    #[must_use]
    pub fn address(mut self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => self.0.extend_from_slice(&address.octets()),
            IpAddr::V6(address) => self.0.extend_from_slice(&address.octets()),
        }
        self
    }

    /// Adds the number of a protocol.
    #[must_use]
    pub fn protocol(mut self, number: u8) -> Self {
        self.0.extend_from_slice(&[number, 0, 0, 0]);
        self
    }

    /// Adds a port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        let [high, low] = port.to_be_bytes();
        self.0.extend_from_slice(&[high, low, 0, 0]);
        self
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A member of a set, and what it leads to in a map.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Element {
    /// The set's name.
    pub set: &'static str,
    /// The key.
    pub key: Value,
    /// What it leads to.
    pub data: Option<Value>,
}

impl Element {
    /// Returns a member of a set.
    pub fn member(set: &'static str, key: Value) -> Self {
        Self { set, key, data: None }
    }

    /// Returns an entry of a map.
    pub fn entry(map: &'static str, key: Value, data: Value) -> Self {
        Self { set: map, key, data: Some(data) }
    }
}

/// Reads a key, or the data that a key leads to, of an element that the kernel lists.
pub(super) fn value(element: &Attributes<'_>, kind: u16) -> Option<Value> {
    /// `NFTA_DATA_VALUE`.
    const VALUE: u16 = 1;
    Some(Value(element.get(kind)?.nested().get(VALUE)?.value.to_vec()))
}
