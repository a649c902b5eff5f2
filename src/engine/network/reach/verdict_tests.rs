//! Each reason of a no.

use wharf_model::PortBinding;

use super::*;

fn detail(name: &str, status: &str, mode: &str) -> ContainerDetail {
    let id = name.bytes().map(|b| format!("{b:02x}")).collect::<String>();
    let id = format!("{id:0<64}");
    serde_json::from_value(serde_json::json!({
        "Id": id, "Name": name, "Created": "2026-03-01T00:00:00Z",
        "ImageId": format!("sha256:{}", "0".repeat(64)),
        "Config": {}, "HostConfig": {"NetworkMode": mode}, "State": {"Status": status},
        "Endpoints": [], "Mounts": [], "LogPath": "", "LowerDirs": [], "UpperDir": "",
        "WorkDir": "", "ResolvConfPath": "", "HostnamePath": "", "HostsPath": "",
    }))
    .unwrap()
}

fn place(network: &str, last: u8) -> Place {
    Place {
        network: network.to_owned(),
        address: [10, 0, network.len() as u8, last].into(),
        gateway: Some([10, 0, network.len() as u8, 1].into()),
        internal: network.starts_with("in"),
        icc: !network.ends_with("apart"),
    }
}

fn facts(from: &[&str], to: Option<&[&str]>) -> Facts {
    let places = |networks: &[&str], last| networks.iter().map(|n| place(n, last)).collect();
    let question = ReachQuestion { from: "web".into(), to: "db".into(), port: 80 };
    let other = to.map(|_| detail("db", "running", "bridge"));
    let mut facts = Facts::new(&detail("web", "running", "bridge"), other.as_ref(), &question);
    facts.from_places = places(from, 2);
    facts.to_places = to.map(|to| places(to, 3)).unwrap_or_default();
    facts
}

fn listening(places: &[([u8; 4], u16)]) -> Listening {
    let line = |(ip, port): &([u8; 4], u16)| {
        let word = u32::from_ne_bytes(*ip);
        format!("0: {word:08X}:{port:04X} 00000000:0000 0A\n")
    };
    let text: String = places.iter().map(line).collect();
    Listening::parse_for_tests(&format!("head\n{text}"))
}

/// The networks of both sides, how the attempt ended, who listens, and what is to be said.
type Case<'a> = (&'a [&'a str], Option<&'a [&'a str]>, &'a Outcome, Option<&'a Listening>, &'a str);

#[test]
fn every_no_has_its_reason() {
    let open = listening(&[([0, 0, 0, 0], 80)]);
    let loopback = listening(&[([127, 0, 0, 1], 80)]);
    let other = listening(&[([0, 0, 0, 0], 8080)]);
    let none = listening(&[]);
    let address: IpAddr = [10, 0, 3, 3].into();
    let (silence, refused) = (Outcome::Silence, Outcome::Refused);
    let no_way = Outcome::NoWay("network is unreachable".into());
    let cases: &[Case<'_>] = &[
        (&["net"], Some(&["net"]), &refused, Some(&none), "nothing listens on TCP port 80 in db"),
        (&["net"], Some(&["net"]), &refused, Some(&other), "nothing listens on TCP port 80 in db"),
        (&["net"], Some(&["net"]), &refused, Some(&loopback), "at the loopback only"),
        (&["net"], Some(&["net"]), &refused, Some(&open), "listens, yet something refused"),
        (&["net"], Some(&["net"]), &silence, Some(&open), "listens, yet nothing came back"),
        (
            &["net"],
            Some(&["net"]),
            &silence,
            Some(&none),
            "nothing listens on port 80 there either",
        ),
        (&["apart"], Some(&["apart"]), &silence, Some(&open), "keeps its containers apart"),
        (
            &["net"],
            Some(&["back"]),
            &silence,
            Some(&open),
            "no common network: web is on net, db on back",
        ),
        (&["net"], Some(&["back"]), &silence, Some(&open), "'wharf network connect back web'"),
        (&[], Some(&["net"]), &no_way, Some(&open), "web is on no network"),
        (&["inner"], None, &no_way, None, "web is on internal networks only (inner)"),
        (&["net"], None, &silence, None, "it isn't there, or a firewall drops it"),
        (&["net"], None, &refused, None, "nothing listens on TCP port 80 at 10.0.3.3"),
        (&["net", "inner"], None, &no_way, None, "network is unreachable"),
    ];
    for (from, to, outcome, listening, wanted) in cases {
        let reason = facts(from, *to).reason(address, outcome, *listening);
        assert!(reason.contains(wanted), "{wanted}: {reason}");
    }
}

#[test]
fn a_link_that_leads_nowhere_is_named() {
    let address = place("net", 3).address;
    let mut facts = facts(&["net"], Some(&["net"]));
    facts.unplugged = vec!["eth0".to_owned()];
    let reason = facts.reason(address, &Outcome::Silence, None);
    assert!(reason.starts_with("eth0 of web has no carrier"), "{reason}");
    let refused = facts.reason(address, &Outcome::Refused, None);
    assert!(!refused.contains("carrier"), "{refused}");
}

#[test]
fn a_side_that_does_not_run_is_named() {
    let mut facts = facts(&["net"], Some(&["net"]));
    assert_eq!(facts.stopped(), None);
    facts.to_detail = Some(detail("db", "exited", "bridge"));
    assert!(facts.stopped().unwrap().contains("db is not running (exited)"));
    facts.from_detail = detail("web", "created", "bridge");
    assert!(facts.stopped().unwrap().starts_with("web is not running"));
}

#[test]
fn addresses_on_common_networks_are_tried() {
    let known = facts(&["net"], Some(&["other", "net"])).known_addresses();
    assert_eq!(known, [place("net", 3).address]);
    let known = facts(&["net"], Some(&["other"])).known_addresses();
    assert_eq!(known, [place("other", 3).address]);
    let mut facts = facts(&["net"], Some(&[]));
    assert!(facts.known_addresses().is_empty());
    assert!(facts.nothing_to_try(&Found::default(), "db").contains("db is on no network"));
    facts.to_detail = Some(detail("db", "running", "host"));
    assert_eq!(facts.known_addresses(), [place("net", 3).gateway.unwrap()]);
    facts.to_detail = None;
    let found = Found { addresses: Vec::new(), how: "nobody knows".into() };
    let reason = facts.nothing_to_try(&found, "db");
    assert_eq!(reason, "no container and no host is called db in web: nobody knows");
}

#[test]
fn the_host_is_out_of_reach_of_internal_networks() {
    let mut facts = facts(&["inner"], Some(&[]));
    facts.from_places[0].gateway = None;
    facts.to_detail = Some(detail("db", "running", "host"));
    assert!(facts.known_addresses().is_empty());
    let reason = facts.nothing_to_try(&Found::default(), "db");
    let wanted = "db is on the host's network, and web is on internal networks only (inner)";
    assert!(reason.starts_with(wanted), "{reason}");
    facts.from_places.clear();
    let reason = facts.nothing_to_try(&Found::default(), "db");
    assert_eq!(reason, "web is on no network: it reaches nobody");
}

#[test]
fn a_port_of_the_host_is_told_from_the_container_s() {
    let mut facts = facts(&["net"], Some(&["net"]));
    let host = Some(("0.0.0.0".parse().unwrap(), 80));
    let published = PortBinding { container_port: 8080, protocol: "tcp".to_owned(), host };
    facts.to_detail.as_mut().unwrap().ports = vec![published];
    let other = listening(&[([0, 0, 0, 0], 8080)]);
    let reason = facts.reason(place("net", 3).address, &Outcome::Refused, Some(&other));
    let wanted = "80 is where the host publishes 8080 of db: among containers it is 8080";
    assert!(reason.ends_with(wanted), "{reason}");
}

#[test]
fn at_the_loopback_its_own_programs_are_spoken_of() {
    let mut facts = facts(&["net"], None);
    facts.to = "127.0.0.1".to_owned();
    let (address, none) = ([127, 0, 0, 1].into(), listening(&[]));
    assert_eq!(facts.heard(address, Some(&none)).unwrap(), "web listens on no TCP port");
    let reason = facts.reason(address, &Outcome::Refused, Some(&none));
    assert_eq!(reason, "nothing listens on TCP port 80 in web");
}
