//! The rules themselves, and what a network or a port is in their sets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use wharf_sys::netlink::nftables::{
    Chain, Element, Expression, Hook, MetaKey, PacketFamily, Part, Payload, Set, Transaction,
    Value, Verdict,
};

use super::{Forward, Opening, Segment};

/// The names of all bridges.
pub(super) const BRIDGES: &str = "bridges";
/// Each bridge's name twice: the way of a packet that stays within one network.
const LOCAL: &str = "local";
/// The same of networks whose containers reach each other.
const TALKING: &str = "talking";
/// The bridges that nothing leaves.
const INTERNAL: &str = "internal";
/// The bridges whose containers go out under the host's address.
const MASQUERADED: &str = "masqueraded";
/// Each internal bridge and an address of its own.
const GATEWAYS4: &str = "gateways4";
const GATEWAYS6: &str = "gateways6";
/// An address of the host, protocol and port: the container's address and port.
const PORTS4: &str = "ports4";
const PORTS6: &str = "ports6";
/// The same for ports of all of the host's addresses.
const ANY4: &str = "any4";
const ANY6: &str = "any6";
/// A container's own bridge, protocol and port of the host.
const NEIGHBOURS: &str = "neighbours";
/// A bridge, two of its containers' addresses, protocol and port: what the first may ask of the second
/// although containers don't reach each other there.
pub(super) const LINKED: &str = "linked";
/// Protocol and port of what is published on the loopback alone.
const LOOPBACK: &str = "loopback";

const ONE4: &[Part] = &[Part::Ipv4, Part::Protocol, Part::Port];
const ONE6: &[Part] = &[Part::Ipv6, Part::Protocol, Part::Port];
const ANY: &[Part] = &[Part::Protocol, Part::Port];
const LINK: &[Part] = &[Part::Link, Part::Ipv4, Part::Ipv4, Part::Protocol, Part::Port];
const TARGET4: &[Part] = &[Part::Ipv4, Part::Port];
const TARGET6: &[Part] = &[Part::Ipv6, Part::Port];

/// All sets and maps.
pub(super) const SETS: [Set<'static>; 14] = [
    Set { name: BRIDGES, key: &[Part::Link], data: &[] },
    Set { name: LOCAL, key: &[Part::Link, Part::Link], data: &[] },
    Set { name: TALKING, key: &[Part::Link, Part::Link], data: &[] },
    Set { name: INTERNAL, key: &[Part::Link], data: &[] },
    Set { name: MASQUERADED, key: &[Part::Link], data: &[] },
    Set { name: GATEWAYS4, key: &[Part::Link, Part::Ipv4], data: &[] },
    Set { name: GATEWAYS6, key: &[Part::Link, Part::Ipv6], data: &[] },
    Set { name: PORTS4, key: ONE4, data: TARGET4 },
    Set { name: PORTS6, key: ONE6, data: TARGET6 },
    Set { name: ANY4, key: ANY, data: TARGET4 },
    Set { name: ANY6, key: ANY, data: TARGET6 },
    Set { name: NEIGHBOURS, key: &[Part::Link, Part::Protocol, Part::Port], data: &[] },
    Set { name: LINKED, key: LINK, data: &[] },
    Set { name: LOOPBACK, key: ANY, data: &[] },
];

/// A chain and how many rules [`create`] puts into it.
pub(super) struct ChainPlan {
    pub(super) name: &'static str,
    /// Its type, where it is called, and its order there; none for one that others jump to.
    pub(super) hook: Option<(&'static str, Hook, i32)>,
    pub(super) rules: usize,
}

const PUBLISHED: &str = "published";
const PREROUTING: &str = "prerouting";
const OUTPUT: &str = "output";
const INPUT: &str = "input";
const FORWARD: &str = "forward";
const POSTROUTING: &str = "postrouting";

/// All chains.
pub(super) const CHAINS: [ChainPlan; 6] = [
    ChainPlan { name: PUBLISHED, hook: None, rules: 5 },
    ChainPlan { name: PREROUTING, hook: Some(("nat", Hook::PreRouting, -100)), rules: 1 },
    ChainPlan { name: OUTPUT, hook: Some(("nat", Hook::Output, -100)), rules: 3 },
    ChainPlan { name: INPUT, hook: Some(("filter", Hook::Input, 0)), rules: 4 },
    ChainPlan { name: FORWARD, hook: Some(("filter", Hook::Forward, 0)), rules: 7 },
    ChainPlan { name: POSTROUTING, hook: Some(("nat", Hook::PostRouting, 100)), rules: 1 },
];

/// The registers: names of links and IPv6 addresses take four.
const R0: u32 = Expression::FIRST;
const R1: u32 = R0 + 1;
const R4: u32 = R0 + 4;
const R5: u32 = R0 + 5;
const R6: u32 = R0 + 6;
const R7: u32 = R0 + 7;

const ACCEPT: Expression<'static> = Expression::Verdict(Verdict::Accept);
const DROP: Expression<'static> = Expression::Verdict(Verdict::Drop);

fn load(key: MetaKey, register: u32) -> Expression<'static> {
    Expression::Meta { key, register }
}

fn is_in(set: &'static str) -> Expression<'static> {
    Expression::Lookup { set, register: R0, inverted: false }
}

fn not_in(set: &'static str) -> Expression<'static> {
    Expression::Lookup { set, register: R0, inverted: true }
}

/// Adds the table with its sets, chains and rules to a transaction.
pub(super) fn create(change: &mut Transaction, table: &str, version: &str) {
    change.create_table(table, version);
    for set in &SETS {
        change.create_set(table, set);
    }
    for ChainPlan { name, hook, .. } in &CHAINS {
        match *hook {
            None => change.create_plain_chain(table, name),
            Some((kind, hook, priority)) => {
                change.create_chain(table, &Chain { name, kind, hook, priority });
            }
        }
    }
    let mut rule = |chain: &str, expressions: &[Expression<'_>]| {
        change.append_rule(table, chain, expressions);
    };
    published(&mut rule);
    nat(&mut rule);
    input(&mut rule);
    forwarded(&mut rule);
}

/// Where a port of this host leads: to one address of it first, then to any. Who asks from the
/// container's own network is served by the supervisor, as with docker: the container's answers to a
/// neighbour, or to itself, would not come back this way.
fn published(rule: &mut impl FnMut(&str, &[Expression<'_>])) {
    let port = |register| Expression::Payload { part: Payload::DestinationPort, register };
    let asked = [load(MetaKey::InputName, R0), load(MetaKey::Protocol, R4), port(R5)];
    rule(PUBLISHED, &[&asked[..], &[is_in(NEIGHBOURS), ACCEPT]].concat());
    for (family, one, any, after) in
        [(PacketFamily::V4, PORTS4, ANY4, R1), (PacketFamily::V6, PORTS6, ANY6, R4)]
    {
        let leads = |map| {
            let translate = Expression::Translate { map, register: R0 };
            [translate, Expression::Redirect { family, address: R0, port: after }]
        };
        let part = Payload::Destination(family);
        let address = Expression::Payload { part, register: R0 };
        let rest = [load(MetaKey::Protocol, after), port(after + 1)];
        let start = [Expression::Is(family), address];
        rule(PUBLISHED, &[&start[..], &rest[..], &leads(one)[..]].concat());
        let rest = [Expression::Is(family), load(MetaKey::Protocol, R0), port(R1)];
        rule(PUBLISHED, &[&rest[..], &leads(any)[..]].concat());
    }
}

fn nat(rule: &mut impl FnMut(&str, &[Expression<'_>])) {
    let here = Expression::ToThisHost { inverted: false };
    let published = Expression::Verdict(Verdict::Jump(PUBLISHED));
    rule(PREROUTING, &[here, published]);
    // Packets to the loopback stay on it: the supervisors serve those, since a packet with such an
    // address may leave the loopback only on hosts that were set up carelessly.
    let [loop4, ..] = Ipv4Addr::LOCALHOST.octets();
    let loop6 = Ipv6Addr::LOCALHOST.octets();
    for (family, bytes) in [(PacketFamily::V4, &[loop4][..]), (PacketFamily::V6, &loop6[..])] {
        let part = Payload::Destination(family);
        let address = Expression::Payload { part, register: R0 };
        let same = Expression::Compare { register: R0, bytes, inverted: false };
        rule(OUTPUT, &[Expression::Is(family), address, same, ACCEPT]);
    }
    rule(OUTPUT, &[here, published]);

    let (input, output) = (MetaKey::InputName, MetaKey::OutputName);
    let way = [load(input, R0), load(output, R4)];
    // What leaves a network does so under the host's address.
    let leaves = [load(input, R0), is_in(MASQUERADED)];
    let rest = [not_in(LOCAL), Expression::Masquerade];
    rule(POSTROUTING, &[&leaves[..], &way[..], &rest[..]].concat());
}

/// Of this host, an internal network reaches its own gateway alone; and what is published on the loopback
/// is reached over the loopback alone, even on a host that was told to take such addresses from elsewhere
/// (`route_localnet`).
fn input(rule: &mut impl FnMut(&str, &[Expression<'_>])) {
    let known = Expression::ESTABLISHED | Expression::RELATED | Expression::UNTRACKED;
    rule(INPUT, &[Expression::ConnectionState(known), ACCEPT]);
    let name = load(MetaKey::InputName, R0);
    let [loop4, ..] = Ipv4Addr::LOCALHOST.octets();
    rule(
        INPUT,
        &[
            Expression::Is(PacketFamily::V4),
            Expression::Payload { part: Payload::Destination(PacketFamily::V4), register: R0 },
            Expression::Compare { register: R0, bytes: &[loop4], inverted: false },
            name,
            Expression::Compare { register: R0, bytes: b"lo\0", inverted: true },
            load(MetaKey::Protocol, R0),
            Expression::Payload { part: Payload::DestinationPort, register: R1 },
            is_in(LOOPBACK),
            DROP,
        ],
    );
    let here = Expression::ToThisHost { inverted: false };
    for (family, gateways) in [(PacketFamily::V4, GATEWAYS4), (PacketFamily::V6, GATEWAYS6)] {
        let part = Payload::Destination(family);
        let address = Expression::Payload { part, register: R4 };
        let inside = [name, is_in(INTERNAL), Expression::Is(family), here];
        rule(INPUT, &[&inside[..], &[name, address, not_in(gateways), DROP]].concat());
    }
}

/// A container is reached by answers, from its own network, and where somebody (the engine or the
/// host's administrator) redirected a port to it; not from other networks, nor by hosts that route to
/// its address. What most packets are comes first.
fn forwarded(rule: &mut impl FnMut(&str, &[Expression<'_>])) {
    let (input, output) = (MetaKey::InputName, MetaKey::OutputName);
    let way = [load(input, R0), load(output, R4)];
    let known = Expression::ESTABLISHED | Expression::RELATED;
    rule(FORWARD, &[Expression::ConnectionState(known), ACCEPT]);
    rule(FORWARD, &[&way[..], &[is_in(TALKING), ACCEPT]].concat());
    for side in [input, output] {
        let inside = [load(side, R0), is_in(INTERNAL)];
        rule(FORWARD, &[&inside[..], &way[..], &[not_in(LOCAL), DROP]].concat());
    }
    let redirected = Expression::ConnectionStatus(Expression::DESTINATION_NAT);
    rule(FORWARD, &[redirected, ACCEPT]);
    let field = |part, register| Expression::Payload { part, register };
    rule(
        FORWARD,
        &[
            // It takes the first register, which keeps the bridge's name from here on.
            &[Expression::Is(PacketFamily::V4)],
            &way[..],
            &[is_in(LOCAL)],
            &[field(Payload::Source, R4), field(Payload::Destination(PacketFamily::V4), R5)],
            &[load(MetaKey::Protocol, R6), field(Payload::DestinationPort, R7)],
            &[is_in(LINKED), ACCEPT],
        ]
        .concat(),
    );
    rule(FORWARD, &[load(output, R0), is_in(BRIDGES), DROP]);
}

/// Returns the element that says that this bridge is one of the root's.
pub(super) fn bridge(name: &str) -> Element {
    Element::member(BRIDGES, Value::new().link(name))
}

/// Returns what a network is in the sets.
pub(super) fn segment(segment: &Segment) -> Vec<Element> {
    let name = || Value::new().link(&segment.bridge);
    let mut elements = vec![bridge(&segment.bridge)];
    elements.push(Element::member(LOCAL, name().link(&segment.bridge)));
    if segment.icc {
        elements.push(Element::member(TALKING, name().link(&segment.bridge)));
    }
    if segment.masquerade && !segment.internal {
        elements.push(Element::member(MASQUERADED, name()));
    }
    if segment.internal {
        elements.push(Element::member(INTERNAL, name()));
        elements.extend(segment.gateways.iter().map(|gateway| {
            let set = if gateway.is_ipv4() { GATEWAYS4 } else { GATEWAYS6 };
            Element::member(set, name().address(*gateway))
        }));
    }
    elements
}

/// Returns what a port is in the sets and maps; nothing for one that the supervisor alone serves.
pub(super) fn forward(forward: &Forward) -> Vec<Element> {
    let Forward { protocol, host, target, bridge } = forward;
    let (address, port) = (host.ip(), Value::new().protocol(protocol.number()).port(host.port()));
    if address.is_loopback() {
        return vec![Element::member(LOOPBACK, port)];
    }
    let (one, any) = match (address, target.ip()) {
        (IpAddr::V4(_), IpAddr::V4(_)) => (PORTS4, ANY4),
        (IpAddr::V6(_), IpAddr::V6(_)) => (PORTS6, ANY6),
        // From one family to the other is the supervisor's to pass on.
        _ => return Vec::new(),
    };
    let (map, key) = match address.is_unspecified() {
        true => (any, port),
        false => {
            let key = Value::new().address(address);
            (one, key.protocol(protocol.number()).port(host.port()))
        }
    };
    let data = Value::new().address(target.ip()).port(target.port());
    let inside = Value::new().link(bridge).protocol(protocol.number()).port(host.port());
    vec![Element::entry(map, key, data), Element::member(NEIGHBOURS, inside)]
}

/// Returns the element that lets one container ask another.
pub(super) fn opening(opening: &Opening) -> Element {
    let Opening { bridge, from, to, protocol, port } = opening;
    let way = Value::new().link(bridge).address((*from).into()).address((*to).into());
    Element::member(LINKED, way.protocol(protocol.number()).port(*port))
}

/// Returns whether an element is there for a port.
pub(super) fn is_of_port(element: &Element) -> bool {
    element.data.is_some() || matches!(element.set, NEIGHBOURS | LOOPBACK | LINKED)
}
