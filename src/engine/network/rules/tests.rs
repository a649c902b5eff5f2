//! What networks and ports are in the sets.

use super::build::{forward, segment};
use super::*;

fn sets(of: &Segment) -> Vec<&'static str> {
    segment(of).iter().map(|element| element.set).collect()
}

#[test]
fn options_of_a_network_are_memberships() {
    let plain = Segment {
        bridge: "wharf0".to_owned(),
        gateways: vec!["172.17.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
        internal: false,
        icc: true,
        masquerade: true,
    };
    assert_eq!(sets(&plain), ["bridges", "local", "talking", "masqueraded"]);
    let quiet = Segment { icc: false, ..plain.clone() };
    assert_eq!(sets(&quiet), ["bridges", "local", "masqueraded"]);
    let routed = Segment { masquerade: false, ..plain.clone() };
    assert_eq!(sets(&routed), ["bridges", "local", "talking"]);
    let inside = Segment { internal: true, ..plain };
    assert_eq!(
        sets(&inside),
        ["bridges", "local", "talking", "internal", "gateways4", "gateways6"]
    );
}

#[test]
fn ports_are_entries_of_their_family() {
    let of = |host: &str, target: &str| -> Vec<&str> {
        let (host, target) = (host.parse().unwrap(), target.parse().unwrap());
        let bridge = "wharf0".to_owned();
        let elements = forward(&Forward { protocol: Protocol::Tcp, host, target, bridge });
        elements.iter().map(|element| element.set).collect()
    };
    assert_eq!(of("0.0.0.0:80", "172.17.0.2:80"), ["any4", "neighbours"]);
    assert_eq!(of("192.0.2.1:80", "172.17.0.2:80"), ["ports4", "neighbours"]);
    assert_eq!(of("[::]:80", "[fd00::2]:80"), ["any6", "neighbours"]);
    assert_eq!(of("[2001:db8::1]:80", "[fd00::2]:80"), ["ports6", "neighbours"]);
    // Passed on by the supervisor.
    assert_eq!(of("[::]:80", "172.17.0.2:80"), Vec::<&str>::new());
    for (host, target) in [("127.0.0.1:80", "172.17.0.2:80"), ("[::1]:80", "[fd00::2]:80")] {
        assert_eq!(of(host, target), ["loopback"]);
    }
}

#[test]
fn a_link_opens_one_port_one_way() {
    let bridge = "wharf0".to_owned();
    let (from, to) = ("172.17.0.2".parse().unwrap(), "172.17.0.3".parse().unwrap());
    let opening = Opening { bridge, from, to, protocol: Protocol::Tcp, port: 80 };
    let there = super::build::opening(&opening);
    let back = super::build::opening(&Opening { from: to, to: from, ..opening });
    assert_eq!((there.set, there.key.bytes().len()), ("linked", 16 + 4 + 4 + 4 + 4));
    assert_ne!(there.key, back.key);
}

#[test]
fn tables_of_engines_are_known_by_their_names() {
    assert!(is_own("wharf") && is_own("wharf-01234567"));
    assert!(!is_own("wharfage") && !is_own("filter"));
}
