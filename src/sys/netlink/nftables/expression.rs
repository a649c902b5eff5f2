//! The expressions that rules are made of. Each loads a value into a register, tests one, or
//! decides.

use super::super::encode::Message;
use super::LIST_ELEMENT;

const NAME: u16 = 1;
const DATA: u16 = 2;
const VALUE: u16 = 1;
const VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
/// `NFT_REG_VERDICT`.
const VERDICT_REGISTER: u32 = 0;
/// `NFT_CMP_NEQ`.
const NOT_EQUAL: u32 = 1;

/// The family of a packet's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Returns the kernel's number (`NFPROTO_…`).
    fn number(self) -> u8 {
        match self {
            Self::V4 => 2,
            Self::V6 => 10,
        }
    }
}

/// What a packet's metadata is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaKey {
    /// The name of the link that it came in by.
    InputName,
    /// The name of the link that it leaves by.
    OutputName,
    /// The number of its transport protocol.
    Protocol,
}

/// A part of the packet itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Where it goes.
    Destination(Family),
    /// The port that it goes to.
    DestinationPort,
}

/// What a rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The packet goes on.
    Accept,
    /// The packet is gone.
    Drop,
}

/// An expression of a rule. Registers are numbered from 1 and hold 16 bytes each, in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expression<'a> {
    /// Load metadata.
    Meta {
        /// What to load.
        key: MetaKey,
        /// The register it goes to.
        register: u32,
    },
    /// Load a part of the packet.
    Payload {
        /// What to load.
        part: Payload,
        /// The register it goes to.
        register: u32,
    },
    /// Load these bytes.
    Immediate {
        /// The bytes.
        bytes: &'a [u8],
        /// The register they go to.
        register: u32,
    },
    /// Go on if the register begins with these bytes, or with `inverted` if it doesn't.
    Compare {
        /// The register.
        register: u32,
        /// The bytes.
        bytes: &'a [u8],
        /// Whether to go on only if it differs.
        inverted: bool,
    },
    /// Go on if the key is in the set, or with `inverted` if it isn't.
    Lookup {
        /// The set's name.
        set: &'a str,
        /// The register that the key starts in.
        register: u32,
        /// Whether to go on only if the key is not in the set.
        inverted: bool,
    },
    /// Go on if the connection's state has one of these bits.
    ConnectionState(u32),
    /// Go on if the connection's status has one of these bits.
    ConnectionStatus(u32),
    /// Replace the source address by that of the link the packet leaves by.
    Masquerade,
    /// Replace the destination by the address and the port in these registers.
    Redirect {
        /// The family of the address.
        family: Family,
        /// The address.
        address: u32,
        /// The port.
        port: u32,
    },
    /// Decide.
    Verdict(Verdict),
}

impl Expression<'_> {
    /// The connection is known (`ct state established`).
    pub const ESTABLISHED: u32 = 1 << 1;
    /// The connection belongs to a known one (`ct state related`).
    pub const RELATED: u32 = 1 << 2;
    /// The destination address has been replaced (`ct status dnat`).
    pub const DESTINATION_NAT: u32 = 1 << 5;

    /// Writes the expression as elements of a rule's list.
    pub(super) fn encode(&self, list: &mut Message<'_>) {
        match *self {
            Self::Meta { key, register } => element(list, "meta", |data| {
                let key = match key {
                    MetaKey::InputName => 6,
                    MetaKey::OutputName => 7,
                    MetaKey::Protocol => 16,
                };
                data.be32(1, register).be32(2, key);
            }),
            Self::Payload { part, register } => {
                /// `NFT_PAYLOAD_NETWORK_HEADER` and `NFT_PAYLOAD_TRANSPORT_HEADER`.
                const NETWORK: u32 = 1;
                const TRANSPORT: u32 = 2;
                let (base, offset, length) = match part {
                    Payload::Destination(Family::V4) => (NETWORK, 16, 4),
                    Payload::Destination(Family::V6) => (NETWORK, 24, 16),
                    Payload::DestinationPort => (TRANSPORT, 2, 2),
                };
                element(list, "payload", |data| {
                    data.be32(1, register).be32(2, base).be32(3, offset).be32(4, length);
                });
            }
            Self::Immediate { bytes, register } => element(list, "immediate", |data| {
                data.be32(1, register).nested(2, |value| {
                    value.bytes(VALUE, bytes);
                });
            }),
            Self::Compare { register, bytes, inverted } => element(list, "cmp", |data| {
                data.be32(1, register).be32(2, if inverted { NOT_EQUAL } else { 0 });
                data.nested(3, |value| {
                    value.bytes(VALUE, bytes);
                });
            }),
            Self::Lookup { set, register, inverted } => element(list, "lookup", |data| {
                data.text(1, set).be32(2, register).be32(5, inverted.into());
            }),
            Self::ConnectionState(bits) => connection(list, 0, bits),
            Self::ConnectionStatus(bits) => connection(list, 2, bits),
            Self::Masquerade => element(list, "masq", |_| {}),
            Self::Redirect { family, address, port } => element(list, "nat", |data| {
                /// `NFT_NAT_DNAT`.
                const DESTINATION: u32 = 1;
                data.be32(1, DESTINATION).be32(2, family.number().into());
                data.be32(3, address).be32(5, port);
            }),
            Self::Verdict(verdict) => element(list, "immediate", |data| {
                let code = match verdict {
                    Verdict::Drop => 0,
                    Verdict::Accept => 1,
                };
                data.be32(1, VERDICT_REGISTER).nested(2, |value| {
                    value.nested(VERDICT, |verdict| {
                        verdict.be32(VERDICT_CODE, code);
                    });
                });
            }),
        }
    }
}

/// Loads a word about the connection into register 1, and goes on if one of these bits is set.
fn connection(list: &mut Message<'_>, key: u32, bits: u32) {
    element(list, "ct", |data| {
        data.be32(2, key).be32(1, 1);
    });
    element(list, "bitwise", |data| {
        data.be32(1, 1).be32(2, 1).be32(3, 4);
        value(data, 4, bits);
        value(data, 5, 0);
    });
    element(list, "cmp", |data| {
        data.be32(1, 1).be32(2, NOT_EQUAL);
        value(data, 3, 0);
    });
}

/// Adds a word in the machine's byte order, as registers hold it.
fn value(data: &mut Message<'_>, kind: u16, word: u32) {
    data.nested(kind, |value| {
        value.u32(VALUE, word);
    });
}

fn element(list: &mut Message<'_>, name: &str, fill: impl FnOnce(&mut Message<'_>)) {
    list.nested(LIST_ELEMENT, |element| {
        element.text(NAME, name).nested(DATA, fill);
    });
}
