//! The expressions that rules are made of. Each loads a value into a register, tests one, or
//! decides.

use super::super::encode::Message;
use super::LIST_ELEMENT;

const NAME: u16 = 1;
const DATA: u16 = 2;
const VALUE: u16 = 1;
const VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;
/// `NFT_REG_VERDICT`.
const VERDICT_REGISTER: u32 = 0;
/// `NFT_CMP_NEQ`.
const NOT_EQUAL: u32 = 1;
/// `RTN_LOCAL` of linux/rtnetlink.h.
const LOCAL: u32 = 2;

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
    /// The driver of the link that it leaves by.
    OutputKind,
    /// The number of its transport protocol.
    Protocol,
}

/// A part of the packet itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// The IPv4 address that it comes from.
    Source,
    /// Where it goes.
    Destination(Family),
    /// The port that it comes from.
    SourcePort,
    /// The port that it goes to.
    DestinationPort,
}

impl Payload {
    /// Returns the header that it is in, its offset there, and its length.
    fn place(self) -> (u32, u32, u32) {
        /// `NFT_PAYLOAD_NETWORK_HEADER` and `NFT_PAYLOAD_TRANSPORT_HEADER`.
        const NETWORK: u32 = 1;
        const TRANSPORT: u32 = 2;
        match self {
            Self::Source => (NETWORK, 12, 4),
            Self::Destination(Family::V4) => (NETWORK, 16, 4),
            Self::Destination(Family::V6) => (NETWORK, 24, 16),
            Self::SourcePort => (TRANSPORT, 0, 2),
            Self::DestinationPort => (TRANSPORT, 2, 2),
        }
    }
}

/// What a rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// The packet goes on.
    Accept,
    /// The packet is gone.
    Drop,
    /// The rule that jumped here is done; the one after it is next.
    Return,
    /// The rules of this chain are next, then those after this one.
    Jump(&'a str),
}

/// An expression of a rule. Registers are numbered from [`Expression::FIRST`] and hold 4 bytes each,
/// in a row.
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
    /// Replace a part of the packet's transport header by what is in the register.
    Replace {
        /// What to replace.
        part: Payload,
        /// The register that has the new value.
        register: u32,
        /// Where that header has its checksum.
        checksum: u32,
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
    /// Go on if the packet is of this family.
    Is(Family),
    /// Go on if the packet goes to an address of this host, or with `inverted` if it doesn't.
    ToThisHost {
        /// Whether to go on only if it doesn't.
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
    /// Go on if the key is in the map, with what it leads to in the registers from this one on.
    Translate {
        /// The map's name.
        map: &'a str,
        /// The register that the key starts in, and then the data.
        register: u32,
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
    Verdict(Verdict<'a>),
}

impl Expression<'_> {
    /// The first register (`NFT_REG32_00`).
    pub const FIRST: u32 = 8;
    /// The connection is known (`ct state established`).
    pub const ESTABLISHED: u32 = 1 << 1;
    /// The connection belongs to a known one (`ct state related`).
    pub const RELATED: u32 = 1 << 2;
    /// The packet belongs to no connection that would be watched (`ct state untracked`), as the
    /// messages by which IPv6 hosts find their neighbours.
    pub const UNTRACKED: u32 = 1 << 6;
    /// The destination address has been replaced (`ct status dnat`).
    pub const DESTINATION_NAT: u32 = 1 << 5;

    /// Writes the expression as elements of a rule's list.
    pub(super) fn encode(&self, list: &mut Message<'_>) {
        match *self {
            Self::Meta { key, register } => {
                let key = match key {
                    MetaKey::InputName => 6,
                    MetaKey::OutputName => 7,
                    MetaKey::Protocol => 16,
                    MetaKey::OutputKind => 27,
                };
                meta(list, key, register);
            }
            Self::Payload { part, register } => {
                let (base, offset, length) = part.place();
                element(list, "payload", |data| {
                    data.be32(1, register).be32(2, base).be32(3, offset).be32(4, length);
                });
            }
            Self::Replace { part, register, checksum } => {
                /// `NFT_PAYLOAD_CSUM_INET`.
                const INTERNET: u32 = 1;
                let (base, offset, length) = part.place();
                element(list, "payload", |data| {
                    data.be32(2, base).be32(3, offset).be32(4, length).be32(5, register);
                    data.be32(6, INTERNET).be32(7, checksum);
                });
            }
            Self::Immediate { bytes, register } => element(list, "immediate", |data| {
                data.be32(1, register).nested(2, |value| {
                    value.bytes(VALUE, bytes);
                });
            }),
            Self::Compare { register, bytes, inverted } => {
                compare(list, register, bytes, inverted);
            }
            Self::Is(family) => {
                /// `NFT_META_NFPROTO`.
                const FAMILY: u32 = 15;
                meta(list, FAMILY, Self::FIRST);
                compare(list, Self::FIRST, &[family.number()], false);
            }
            Self::ToThisHost { inverted } => {
                /// `NFT_FIB_RESULT_ADDRTYPE` and `NFTA_FIB_F_DADDR`.
                const TYPE: u32 = 3;
                const DESTINATION: u32 = 2;
                element(list, "fib", |data| {
                    data.be32(1, Self::FIRST).be32(2, TYPE).be32(3, DESTINATION);
                });
                compare(list, Self::FIRST, &LOCAL.to_ne_bytes(), inverted);
            }
            Self::Lookup { set, register, inverted } => element(list, "lookup", |data| {
                data.text(1, set).be32(2, register).be32(5, inverted.into());
            }),
            Self::Translate { map, register } => element(list, "lookup", |data| {
                data.text(1, map).be32(2, register).be32(3, register);
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
                data.be32(1, VERDICT_REGISTER).nested(2, |value| {
                    value.nested(VERDICT, |decision| match verdict {
                        Verdict::Drop => {
                            decision.be32(VERDICT_CODE, 0);
                        }
                        Verdict::Accept => {
                            decision.be32(VERDICT_CODE, 1);
                        }
                        Verdict::Return => {
                            /// `NFT_RETURN`, which is -5.
                            const RETURN: u32 = u32::MAX - 4;
                            decision.be32(VERDICT_CODE, RETURN);
                        }
                        Verdict::Jump(chain) => {
                            /// `NFT_JUMP`, which is -3.
                            const JUMP: u32 = u32::MAX - 2;
                            decision.be32(VERDICT_CODE, JUMP).text(VERDICT_CHAIN, chain);
                        }
                    });
                });
            }),
        }
    }
}

fn meta(list: &mut Message<'_>, key: u32, register: u32) {
    element(list, "meta", |data| {
        data.be32(1, register).be32(2, key);
    });
}

fn compare(list: &mut Message<'_>, register: u32, bytes: &[u8], inverted: bool) {
    element(list, "cmp", |data| {
        data.be32(1, register).be32(2, if inverted { NOT_EQUAL } else { 0 });
        data.nested(3, |value| {
            value.bytes(VALUE, bytes);
        });
    });
}

/// Loads a word about the connection into the first register, and goes on if one of these bits is
/// set.
fn connection(list: &mut Message<'_>, key: u32, bits: u32) {
    let register = Expression::FIRST;
    element(list, "ct", |data| {
        data.be32(2, key).be32(1, register);
    });
    element(list, "bitwise", |data| {
        data.be32(1, register).be32(2, register).be32(3, 4);
        word(data, 4, bits);
        word(data, 5, 0);
    });
    compare(list, register, &0_u32.to_ne_bytes(), true);
}

/// Adds a word in the machine's byte order, as registers hold it.
fn word(data: &mut Message<'_>, kind: u16, word: u32) {
    data.nested(kind, |value| {
        value.u32(VALUE, word);
    });
}

fn element(list: &mut Message<'_>, name: &str, fill: impl FnOnce(&mut Message<'_>)) {
    list.nested(LIST_ELEMENT, |element| {
        element.text(NAME, name).nested(DATA, fill);
    });
}
