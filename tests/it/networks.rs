//! Networks as objects: making and removing them, and a container's life on several.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::audit::{Seen, agrees, database, is_clean, kill_supervisor};
use crate::harness::{IMAGE, Lab, Test, busybox, eventually, lacks_programs};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    let mut all = tests![
        made_listed_and_removed,
        what_cannot_be_made_leaves_nothing,
        predefined_networks_are_kept,
        names_and_ids_find_them,
        several_at_once,
        connected_and_disconnected_while_it_runs,
        connected_while_it_is_stopped,
        addresses_are_asked_for_and_refused,
        a_full_network_says_so,
        two_families,
        joined_to_another_container,
        links_of_the_default_bridge,
        addresses_and_settings_of_single_interfaces,
        events_tell,
        check_mends_what_is_gone,
        a_removal_cut_short_is_finished,
        kills_around_connect,
    ];
    let macvlan = Test::new("macvlan_on_a_parent", macvlan_on_a_parent);
    let programs = lacks_programs(&["ip", "nsenter"]);
    all.push(macvlan.needing(lacks_link("macvlan")).needing(programs));
    all.push(Test::new("macvlan_on_a_bridge", macvlan_on_a_bridge).needing(lacks_link("macvlan")));
    all.push(Test::new("on_links_of_a_vlan", on_links_of_a_vlan).needing(lacks_link("vlan")));
    all.push(
        Test::new("on_links_of_an_internal_macvlan", on_links_of_an_internal_macvlan)
            .needing(lacks_link("dummy")),
    );
    all
}

/// Returns why links of this kind can't be made here.
fn lacks_link(kind: &str) -> Option<String> {
    let module = if kind == "vlan" { "8021q" } else { kind };
    let there = std::fs::exists(format!("/sys/module/{module}")).unwrap_or(false)
        || std::fs::read_to_string("/proc/kallsyms")
            .is_ok_and(|symbols| symbols.contains(&format!(" {kind}_newlink")))
        || std::process::Command::new("modprobe")
            .arg(module)
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
            && std::fs::exists(format!("/sys/module/{module}")).unwrap_or(false);
    (!there).then(|| format!("this kernel has no {kind} links"))
}

/// Returns a value of a network's document.
#[track_caller]
fn network(lab: &Lab, name: &str, pointer: &str) -> Value {
    let text = lab.ok(&["network", "inspect", name]);
    let document: Value = serde_json::from_str(&text).unwrap();
    document[0].pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {text}")).clone()
}

/// Returns the address of a container on a network.
#[track_caller]
fn address(lab: &Lab, container: &str, network: &str) -> String {
    let pointer = format!("/NetworkSettings/Networks/{network}/IPAddress");
    lab.inspect(container, &pointer).as_str().unwrap().to_owned()
}

/// Starts a container that sleeps on a network.
#[track_caller]
fn sleeper(lab: &Lab, name: &str, flags: &[&str]) -> String {
    let mut line = vec!["run", "-d", "--name", name];
    line.extend_from_slice(flags);
    line.extend_from_slice(&[IMAGE, "sleep", "1000"]);
    lab.ok(&line)
}

fn links() -> Vec<String> {
    let all = std::fs::read_dir("/sys/class/net").unwrap().flatten();
    all.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

fn made_listed_and_removed() {
    let lab = Lab::new();
    let flags = ["--subnet", "10.201.0.0/24", "--ip-range", "10.201.0.128/25", "--gateway"];
    let more = ["10.201.0.5", "--aux-address", "nas=10.201.0.130", "--label", "a=b"];
    let mut line = vec!["network", "create", "-o", "com.docker.network.driver.mtu=1400"];
    line.extend(flags.iter().chain(&more).chain(&["web"]));
    let id = lab.ok(&line);
    assert_eq!(id.len(), 64, "{id}");
    let bridge = format!("wh-{}", &id[..12]);
    assert!(links().contains(&bridge), "{:?}", links());
    let document = network(&lab, "web", "");
    assert_eq!(document["Id"], id.as_str());
    assert_eq!(document["Driver"], "bridge");
    assert_eq!(document["Labels"]["a"], "b");
    assert_eq!(document["Options"]["com.docker.network.driver.mtu"], "1400");
    let pool = &document["IPAM"]["Config"][0];
    assert_eq!(pool["Subnet"], "10.201.0.0/24");
    assert_eq!(pool["IPRange"], "10.201.0.128/25");
    assert_eq!(pool["Gateway"], "10.201.0.5");
    assert_eq!(pool["AuxiliaryAddresses"]["nas"], "10.201.0.130");

    sleeper(&lab, "one", &["--network", "web"]);
    sleeper(&lab, "two", &["--network", "web"]);
    let addresses = [address(&lab, "one", "web"), address(&lab, "two", "web")];
    assert_eq!(addresses, ["10.201.0.128", "10.201.0.129"]);
    let routes = lab.ok(&["exec", "one", "ip", "route"]);
    assert!(routes.contains("default via 10.201.0.5 dev eth0"), "{routes}");
    let link = lab.ok(&["exec", "one", "ip", "link", "show", "eth0"]);
    assert!(link.contains("mtu 1400"), "{link}");
    let containers = network(&lab, "web", "/Containers");
    let names: Vec<&str> =
        containers.as_object().unwrap().values().map(|c| c["Name"].as_str().unwrap()).collect();
    assert!(names.contains(&"one") && names.contains(&"two"), "{names:?}");
    // The third would have had the address of the NAS.
    sleeper(&lab, "three", &["--network", "web"]);
    assert_eq!(address(&lab, "three", "web"), "10.201.0.131");

    let shown =
        lab.ok(&["network", "ls", "--filter", "type=custom", "--format", "{{.Name}} {{.ID}}"]);
    assert_eq!(shown, format!("web {}", &id[..12]));
    assert_eq!(lab.ok(&["network", "ls", "-q", "--no-trunc", "-f", "label=a"]), id);
    assert_eq!(lab.ok(&["network", "ls", "-q", "-f", "dangling=true"]), "");
    assert_eq!(lab.ok(&["ps", "-q", "--filter", "network=web"]).lines().count(), 3);
    assert_eq!(lab.ok(&["ps", "-q", "--filter", &format!("network={id}")]).lines().count(), 3);
    lab.fails(1, "network web has active endpoints (name:\"one\" id:", &["network", "rm", "web"]);
    assert_eq!(lab.ok(&["network", "prune", "-f"]), "");
    lab.ok(&["rm", "-f", "one", "two", "three"]);
    assert_eq!(lab.ok(&["network", "rm", "web"]), "web");
    assert!(!links().contains(&bridge), "{:?}", links());
    lab.fails(1, "network web not found", &["network", "inspect", "web"]);
    lab.ends(0, &["network", "rm", "-f", "web"]);
    is_clean(&lab);
}

fn what_cannot_be_made_leaves_nothing() {
    let lab = Lab::new();
    lab.ok(&["network", "create", "--subnet", "10.202.0.0/24", "first"]);
    for (says, flags) in [
        ("network with name first already exists", &["first"][..]),
        ("operation is not permitted on predefined bridge network", &["bridge"]),
        ("only one instance of \"host\" network is allowed", &["-d", "host", "x"]),
        ("only one instance of \"null\" network is allowed", &["-d", "null", "x"]),
        ("plugin \"foo\" not found", &["-d", "foo", "x"]),
        ("overlay connects the hosts of a cluster", &["-d", "overlay", "x"]),
        ("Pool overlaps with other one", &["--subnet", "10.202.0.128/25", "x"]),
        ("invalid subnet 10.202.1.7/24", &["--subnet", "10.202.1.7/24", "x"]),
        (
            "doesn't support multiple subnets",
            &["--subnet", "10.202.1.0/24", "--subnet", "10.202.2.0/24", "x"],
        ),
        ("enable_icc value: maybe", &["-o", "com.docker.network.bridge.enable_icc=maybe", "x"]),
        ("mtu value: big", &["-o", "com.docker.network.driver.mtu=big", "x"]),
        (
            "existing interface lo is not a bridge",
            &["-o", "com.docker.network.bridge.name=lo", "x"],
        ),
        (
            "gateway_mode_ipv4 is not",
            &["-o", "com.docker.network.bridge.gateway_mode_ipv4=routed", "x"],
        ),
        ("macvlan mode 'x' is not valid", &["-d", "macvlan", "-o", "macvlan_mode=x", "x"]),
        ("invalid parent interface nowhere0", &["-d", "macvlan", "-o", "parent=nowhere0", "x"]),
        ("loopback interface is not a valid macvlan", &["-d", "macvlan", "-o", "parent=lo", "x"]),
        ("vlan id must be between 1-4094", &["-d", "macvlan", "-o", "parent=nowhere0.5000", "x"]),
        (
            "failed to find master interface nowhere0",
            &["-d", "macvlan", "-o", "parent=nowhere0.5", "x"],
        ),
    ] {
        let line: Vec<&str> = ["network", "create"].iter().chain(flags).copied().collect();
        lab.fails(1, says, &line);
        let names = lab.ok(&["network", "ls", "--format", "{{.Name}}"]);
        assert_eq!(names, "bridge\nfirst\nhost\nnone", "after {flags:?}");
    }
    lab.fails(125, "--ipam-driver", &["network", "create", "--ipam-driver", "x", "x"]);
    // The host's own subnets are taken, too.
    let host = network(&lab, "first", "/IPAM/Config/0/Subnet");
    let other = Lab::empty();
    lab.fails(1, "already exists", &["network", "create", "first"]);
    other.fails(
        1,
        "a link or route",
        &["network", "create", "--subnet", host.as_str().unwrap(), "y"],
    );
    lab.ok(&["network", "rm", "first"]);
    is_clean(&lab);
}

fn predefined_networks_are_kept() {
    let lab = Lab::empty();
    let out = lab.ok(&["network", "ls"]);
    let lines: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["NETWORK", "ID", "NAME", "DRIVER", "SCOPE"]);
    let rest: Vec<&[&str]> = lines[1..].iter().map(|line| &line[1..]).collect();
    let wanted: [&[&str]; 3] =
        [&["bridge", "bridge", "local"], &["host", "host", "local"], &["none", "null", "local"]];
    assert_eq!(rest, wanted);
    assert_eq!(out, lab.ok(&["network", "ls"]), "their ids stay");
    for name in ["bridge", "host", "none"] {
        let says = format!("{name} is a pre-defined network and cannot be removed");
        lab.fails(1, &says, &["network", "rm", name]);
    }
    assert_eq!(network(&lab, "none", "/IPAM/Config"), serde_json::json!([]));
    lab.ok(&["network", "prune", "-f"]);
    assert_eq!(lab.ok(&["network", "ls", "-q"]).lines().count(), 3);
}

fn names_and_ids_find_them() {
    let lab = Lab::new();
    let id = lab.ok(&["network", "create", "web"]);
    assert_eq!(network(&lab, &id[..5], "/Name"), "web");
    // A name comes before the beginning of an id.
    let other = lab.ok(&["network", "create", &id[..4]]);
    assert_eq!(network(&lab, &id[..4], "/Id"), other.as_str());
    assert_eq!(network(&lab, &id, "/Name"), "web");
    lab.fails(1, "network  not found", &["network", "inspect", ""]);
    let execute = |line: &str| database(&lab).execute(line, []).unwrap();
    execute("UPDATE network SET id = 'abc1' || substr(id, 5) WHERE name = 'web'");
    execute("UPDATE network SET id = 'abc2' || substr(id, 5) WHERE name = 'none'");
    lab.fails(1, "network abc is ambiguous (2 matches found", &["network", "inspect", "abc"]);
    assert_eq!(lab.ok(&["inspect", "-f", "{{.Driver}}", "abc1"]), "bridge");
    assert_eq!(lab.ok(&["inspect", "--type", "network", "-f", "{{.Name}}", "abc2"]), "none");
}

fn several_at_once() {
    let lab = Lab::new();
    lab.ok(&["network", "create", "--subnet", "10.203.0.0/24", "aaa"]);
    lab.ok(&["network", "create", "--subnet", "10.203.1.0/24", "bbb"]);
    let both = ["--network", "bbb", "--network", "name=aaa,alias=x,mac-address=02:00:00:00:00:07"];
    let line = [&both[..], &["--ip", "10.203.1.77"]].concat();
    let id = sleeper(&lab, "web", &line);
    sleeper(&lab, "one", &["--network", "aaa"]);
    assert_eq!(address(&lab, "web", "bbb"), "10.203.1.77");
    let shown = lab.ok(&["exec", "web", "ip", "-o", "-4", "addr"]);
    assert!(shown.contains("eth0    inet 10.203.1.77/24"), "{shown}");
    assert!(shown.contains("eth1    inet 10.203.0.2/24"), "{shown}");
    let mac = lab.ok(&["exec", "web", "cat", "/sys/class/net/eth1/address"]);
    assert_eq!(mac, "02:00:00:00:00:07");
    // Of equals, the first by name gives the way out.
    let routes = lab.ok(&["exec", "web", "ip", "route"]);
    assert!(routes.contains("default via 10.203.0.1 dev eth1"), "{routes}");
    let hosts = lab.ok(&["exec", "web", "cat", "/etc/hosts"]);
    let own: Vec<&str> = hosts.lines().filter(|line| line.ends_with(&id[..12])).collect();
    assert_eq!(own, [format!("10.203.1.77\t{}", &id[..12]), format!("10.203.0.2\t{}", &id[..12])]);
    lab.ok(&["exec", "web", "ping", "-c", "1", "-W", "5", &address(&lab, "one", "aaa")]);
    assert_eq!(lab.inspect("web", "/HostConfig/NetworkMode"), "bbb");
    let place = lab.inspect("web", "/NetworkSettings/Networks/aaa");
    assert_eq!(place["Aliases"], serde_json::json!(["x"]));
    assert_eq!(place["DNSNames"], serde_json::json!(["web", "x", &id[..12]]));
    assert_eq!(place["NetworkID"], network(&lab, "aaa", "/Id"));
    let endpoint = format!("/Containers/{id}/EndpointID");
    assert_eq!(place["EndpointID"], network(&lab, "aaa", &endpoint));
    let mut seen = Seen::default();
    agrees(&lab, &mut seen, "on two networks");
    is_clean(&lab);
    lab.ok(&["restart", "-t", "0", "web"]);
    assert_eq!(address(&lab, "web", "bbb"), "10.203.1.77");
    let shown = lab.ok(&["exec", "web", "ip", "-o", "-4", "addr"]);
    assert!(shown.contains("eth0    inet 10.203.1.77/24") && shown.contains("eth1"), "{shown}");
    let out = lab.ok(&[
        "run",
        "--rm",
        "--network",
        "name=aaa,gw-priority=-1",
        "--network",
        "name=bbb,driver-opt=com.docker.network.endpoint.ifname=lan",
        IMAGE,
        "ip",
        "route",
    ]);
    assert!(out.contains("default via 10.203.1.1 dev lan"), "{out}");
    lab.ok(&["rm", "-f", "web", "one"]);
    agrees(&lab, &mut seen, "gone");
    lab.ok(&["network", "rm", "aaa", "bbb"]);
}

fn connected_and_disconnected_while_it_runs() {
    let lab = Lab::new();
    lab.ok(&["network", "create", "--subnet", "10.204.0.0/24", "net"]);
    lab.ok(&["network", "create", "--internal", "--subnet", "10.204.1.0/24", "zone"]);
    let id = sleeper(&lab, "web", &[]);
    sleeper(&lab, "peer", &["--network", "net"]);
    let peer = address(&lab, "peer", "net");
    // A client that runs all the while sees the other come and go.
    let watch = format!(
        "until ping -c 1 -W 1 {peer} > /dev/null 2>&1; do sleep 0.1; done; echo there > /seen; \
         while ping -c 1 -W 1 {peer} > /dev/null 2>&1; do sleep 0.1; done; echo gone"
    );
    let mut client = lab.command(&["exec", "web", "sh", "-c", &watch]);
    let client = client.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut seen = Seen::default();
    lab.ok(&["network", "connect", "--alias", "other", "net", "web"]);
    lab.fails(1, "already exists in network net", &["network", "connect", "net", "web"]);
    agrees(&lab, &mut seen, "connected");
    is_clean(&lab);
    let shown = lab.ok(&["exec", "web", "ip", "-o", "-4", "addr", "show", "eth1"]);
    let own = address(&lab, "web", "net");
    assert!(shown.contains(&format!("inet {own}/24")), "{shown}");
    let hosts = lab.ok(&["exec", "web", "cat", "/etc/hosts"]);
    assert!(hosts.contains(&format!("{own}\t{}", &id[..12])), "{hosts}");
    assert_eq!(lab.inspect("web", "/NetworkSettings/Networks/net/Aliases/0"), "other");
    eventually("it is reached", || {
        lab.run(&["exec", "peer", "ping", "-c", "1", "-W", "1", &own]).code == 0
    });
    eventually("the client has reached the other", || {
        lab.run(&["exec", "web", "cat", "/seen"]).stdout == "there\n"
    });
    lab.ok(&["network", "connect", "zone", "web"]);
    let routes = lab.ok(&["exec", "web", "ip", "route"]);
    assert!(routes.contains("default via") && routes.contains("dev eth0"), "{routes}");
    // The way out moves to what is left.
    lab.ok(&["network", "disconnect", "bridge", "web"]);
    let routes = lab.ok(&["exec", "web", "ip", "route"]);
    assert!(routes.contains("default via 10.204.0.1 dev eth1"), "{routes}");
    lab.ok(&["network", "disconnect", "net", "web"]);
    let routes = lab.ok(&["exec", "web", "ip", "route"]);
    assert!(!routes.contains("default") && routes.contains("10.204.1.0/24 dev eth2"), "{routes}");
    let hosts = lab.ok(&["exec", "web", "cat", "/etc/hosts"]);
    assert!(!hosts.contains(&own) && hosts.contains("10.204.1.2\t"), "{hosts}");
    let out = client.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout), "gone\n", "{out:?}");
    lab.fails(1, "is not connected to network net", &["network", "disconnect", "net", "web"]);
    agrees(&lab, &mut seen, "disconnected");
    is_clean(&lab);
    // As it was left, so it starts.
    lab.ok(&["restart", "-t", "0", "web"]);
    let shown = lab.ok(&["exec", "web", "ip", "-o", "-4", "addr"]);
    assert!(shown.contains("eth0    inet 10.204.1."), "{shown}");
    lab.fails(1, "network nope not found", &["network", "connect", "nope", "web"]);
    lab.fails(1, "No such container: nope", &["network", "connect", "net", "nope"]);
    lab.fails(1, "host network", &["network", "connect", "host", "web"]);
    lab.fails(1, "private (none) mode", &["network", "connect", "none", "web"]);
    sleeper(&lab, "alone", &["--network", "none"]);
    lab.fails(1, "private (none) mode", &["network", "connect", "net", "alone"]);
    lab.ok(&["rm", "-f", "web", "peer", "alone"]);
    lab.ok(&["network", "prune", "-f"]);
}

fn connected_while_it_is_stopped() {
    let lab = Lab::new();
    lab.ok(&["network", "create", "--subnet", "10.205.0.0/24", "net"]);
    lab.ok(&["create", "--name", "web", IMAGE, "sleep", "1000"]);
    lab.ok(&["network", "connect", "--ip", "10.205.0.9", "net", "web"]);
    let networks = lab.inspect("web", "/NetworkSettings/Networks");
    let names: Vec<&String> = networks.as_object().unwrap().keys().collect();
    assert_eq!(names, ["bridge", "net"]);
    assert_eq!(networks["net"]["IPAMConfig"]["IPv4Address"], "10.205.0.9");
    assert_eq!(networks["net"]["IPAddress"], "");
    // A container that doesn't run keeps nobody from removing a network.
    lab.ok(&["network", "rm", "net"]);
    lab.fails(1, "network net not found", &["start", "web"]);
    lab.ok(&["network", "create", "--subnet", "10.205.0.0/24", "net"]);
    lab.ok(&["start", "web"]);
    assert_eq!(address(&lab, "web", "net"), "10.205.0.9");
    lab.ok(&["stop", "-t", "0", "web"]);
    lab.ok(&["network", "disconnect", "net", "web"]);
    lab.ok(&["network", "disconnect", "bridge", "web"]);
    lab.ok(&["start", "web"]);
    assert_eq!(lab.ok(&["exec", "web", "ls", "/sys/class/net"]), "lo");
    assert_eq!(lab.inspect("web", "/NetworkSettings/Networks"), serde_json::json!({}));
    agrees(&lab, &mut Seen::default(), "on no network");
    lab.ok(&["network", "connect", "bridge", "web"]);
    assert!(lab.ok(&["exec", "web", "ip", "route"]).contains("default via"));
    lab.ok(&["rm", "-f", "web"]);
    lab.ok(&["network", "rm", "net"]);
}

fn addresses_are_asked_for_and_refused() {
    let lab = Lab::new();
    lab.ok(&["network", "create", "--subnet", "10.206.0.0/24", "net"]);
    lab.ok(&["network", "create", "free"]);
    sleeper(&lab, "web", &["--network", "net", "--ip", "10.206.0.2"]);
    let mut seen = Seen::default();
    for (says, flags) in [
        ("Address already in use", &["--network", "net", "--ip", "10.206.0.2"][..]),
        ("Address already in use", &["--network", "net", "--ip", "10.206.0.1"]),
        (
            "no configured subnet contains IP address 10.9.9.9",
            &["--network", "net", "--ip", "10.9.9.9"],
        ),
        (
            "no configured subnet contains IP address fd00::9",
            &["--network", "net", "--ip6", "fd00::9"],
        ),
        ("networks with user configured subnets", &["--network", "free", "--ip", "10.206.0.9"]),
        ("supported on user defined networks only", &["--ip", "172.17.0.9"]),
        ("only supported for user-defined networks", &["--network-alias", "x"]),
        ("network nope not found", &["--network", "nope"]),
        ("not a valid mac address", &["--mac-address", "foo"]),
        ("cannot attach both user-defined", &["--network", "net", "--network", "bridge"]),
    ] {
        let line = [&["run", "--rm"][..], flags, &[IMAGE, "true"]].concat();
        lab.fails(125, says, &line);
        agrees(&lab, &mut seen, "after a refusal");
    }
    // The next one goes around what was asked for.
    sleeper(&lab, "two", &["--network", "net"]);
    assert_eq!(address(&lab, "two", "net"), "10.206.0.3");
    assert_eq!(lab.ok(&["ps", "-aq"]).lines().count(), 2);
    lab.ok(&["rm", "-f", "web", "two"]);
    lab.ok(&["network", "prune", "-f"]);
    agrees(&lab, &mut seen, "all gone");
}

fn a_full_network_says_so() {
    let lab = Lab::new();
    lab.ok(&["network", "create", "--subnet", "10.207.0.0/30", "tiny"]);
    sleeper(&lab, "one", &["--network", "tiny"]);
    let says = "no available IPv4 addresses on this network's address pools: tiny";
    lab.fails(125, says, &["run", "--rm", "--network", "tiny", IMAGE, "true"]);
    sleeper(&lab, "two", &[]);
    lab.fails(1, says, &["network", "connect", "tiny", "two"]);
    let mut seen = Seen::default();
    agrees(&lab, &mut seen, "full");
    lab.ok(&["network", "disconnect", "tiny", "one"]);
    lab.ok(&["network", "connect", "tiny", "two"]);
    assert_eq!(address(&lab, "two", "tiny"), "10.207.0.2");
    lab.ok(&["rm", "-f", "one", "two"]);
    lab.ok(&["network", "rm", "tiny"]);
}

fn two_families() {
    let lab = Lab::new();
    lab.ok(&["network", "create", "--ipv6", "own"]);
    let subnet = network(&lab, "own", "/IPAM/Config/1/Subnet");
    assert!(subnet.as_str().unwrap().starts_with("fd"), "{subnet}");
    assert_eq!(network(&lab, "own", "/EnableIPv6"), true);
    let given = "fd12:3456:789a:1::/64";
    lab.ok(&["network", "create", "--ipv6", "--ipv4=false", "--subnet", given, "six"]);
    let ip6 = ["--ip6", "fd12:3456:789a:1::77"];
    sleeper(&lab, "web", &[&["--network", "six"][..], &ip6].concat());
    let place = lab.inspect("web", "/NetworkSettings/Networks/six");
    assert_eq!(place["GlobalIPv6Address"], "fd12:3456:789a:1::77");
    assert_eq!(place["GlobalIPv6PrefixLen"], 64);
    assert_eq!(place["IPv6Gateway"], "fd12:3456:789a:1::1");
    assert_eq!(place["IPAddress"], "");
    sleeper(&lab, "both", &["--network", "own", "--network", "six"]);
    // At once: nobody waits for addresses to be tried out.
    let reach = ["exec", "both", "ping", "-6", "-c", "1", "-W", "5", "fd12:3456:789a:1::77"];
    lab.ok(&reach);
    let route = lab.ok(&["exec", "web", "ip", "-6", "route"]);
    assert!(route.contains("default via fd12:3456:789a:1::1 dev eth0"), "{route}");
    let hosts = lab.ok(&["exec", "web", "cat", "/etc/hosts"]);
    assert!(hosts.contains("fd12:3456:789a:1::77\t"), "{hosts}");
    agrees(&lab, &mut Seen::default(), "two families");
    is_clean(&lab);
    lab.ok(&["rm", "-f", "web", "both"]);
    lab.ok(&["network", "rm", "own", "six"]);
}

fn joined_to_another_container() {
    let lab = Lab::new();
    let id = sleeper(&lab, "web", &["--hostname", "box"]);
    let own = address(&lab, "web", "bridge");
    sleeper(&lab, "side", &["--network", "container:web"]);
    assert_eq!(lab.inspect("side", "/HostConfig/NetworkMode"), format!("container:{id}"));
    assert_eq!(lab.inspect("side", "/NetworkSettings/Networks"), serde_json::json!({}));
    let shown = lab.ok(&["exec", "side", "ip", "-o", "-4", "addr", "show", "eth0"]);
    assert!(shown.contains(&own), "{shown}");
    assert_eq!(lab.ok(&["exec", "side", "ls", "/sys/class/net"]), "eth0\nlo");
    assert_eq!(lab.ok(&["exec", "side", "hostname"]), "box");
    assert!(lab.ok(&["exec", "side", "cat", "/etc/hosts"]).contains(&format!("{own}\tbox")));
    let server = "echo hello | nc -l -p 7000";
    lab.ok(&["exec", "-d", "web", "sh", "-c", server]);
    let fetch = "until nc -w 5 127.0.0.1 7000 < /dev/null 2> /dev/null; do :; done";
    assert_eq!(lab.ok(&["exec", "side", "sh", "-c", fetch]), "hello");
    for (says, flags) in [
        ("hostname and the network mode", &["-h", "x"][..]),
        ("dns and the network mode", &["--dns", "1.1.1.1"]),
        ("custom host-to-IP mapping and the network mode", &["--add-host", "a:1.1.1.1"]),
        ("mac-address and the network mode", &["--mac-address", "02:00:00:00:00:01"]),
        ("can't be used with links", &["--link", "web:x"]),
    ] {
        let line = [&["run", "--rm", "--network", "container:web"][..], flags, &[IMAGE, "true"]];
        lab.fails(125, says, &line.concat());
    }
    lab.fails(
        125,
        "No such container: nope",
        &["run", "--network", "container:nope", IMAGE, "true"],
    );
    lab.fails(1, "sharing network namespace", &["network", "connect", "bridge", "side"]);
    let mut seen = Seen::default();
    agrees(&lab, &mut seen, "joined");
    is_clean(&lab);
    lab.ok(&["stop", "-t", "0", "side", "web"]);
    lab.fails(1, "cannot join network of a non running container", &["start", "side"]);
    lab.ok(&["start", "web"]);
    lab.ok(&["start", "side"]);
    lab.ok(&["rm", "-f", "web", "side"]);
    agrees(&lab, &mut seen, "gone");
}

fn links_of_the_default_bridge() {
    let lab = Lab::new();
    let id = sleeper(&lab, "db", &[]);
    let own = address(&lab, "db", "bridge");
    let line = ["run", "--rm", "--link", "db:store", IMAGE, "cat", "/etc/hosts"];
    let hosts = lab.ok(&line);
    assert!(hosts.contains(&format!("{own}\tstore {} db\n", &id[..12])), "{hosts}");
    lab.ok(&["stop", "-t", "0", "db"]);
    lab.fails(125, "Cannot link to a non running container: /db AS /store", &line);
    lab.ok(&["start", "db"]);
    lab.ok(&["network", "create", "quay"]);
    lab.ok(&["network", "connect", "quay", "db"]);
    lab.ok(&["network", "disconnect", "bridge", "db"]);
    let text = "Cannot link to /db, as it does not belong to the default network";
    lab.fails(125, text, &line);
    lab.fails(125, "could not get container for nope", &["run", "--link", "nope", IMAGE, "true"]);
    // Where it serves what, and what its own variables say.
    sleeper(&lab, "api", &["--expose", "8000-8001", "-e", "LEVEL=3"]);
    let api = address(&lab, "api", "bridge");
    let flags =
        ["--name", "asker", "--link", "api:the-api", "-e", "THE_API_PORT_8001_TCP_PORT=own"];
    let variables = lab.ok(&[&["run", "--rm"], &flags[..], &[IMAGE, "env"]].concat());
    for line in [
        &format!("THE_API_PORT=tcp://{api}:8000"),
        &format!("THE_API_PORT_8001_TCP_ADDR={api}"),
        "THE_API_PORT_8000_TCP_PORT_END=8001",
        "THE_API_PORT_8001_TCP_PORT=own",
        "THE_API_NAME=/asker/the-api",
        "THE_API_ENV_LEVEL=3",
    ] {
        assert!(variables.lines().any(|one| one == line), "{line}: {variables}");
    }
    // While it runs, too.
    lab.ok(&["network", "create", "net"]);
    sleeper(&lab, "late", &["--network", "net"]);
    lab.ok(&["network", "connect", "--link", "api:svc", "bridge", "late"]);
    let hosts = || lab.ok(&["exec", "late", "cat", "/etc/hosts"]);
    assert!(hosts().contains(&format!("{api}\tsvc ")), "{}", hosts());
    lab.ok(&["network", "disconnect", "bridge", "late"]);
    assert!(!hosts().contains("svc"), "{}", hosts());
}

fn addresses_and_settings_of_single_interfaces() {
    let lab = Lab::new();
    let setting = "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1";
    for name in ["net", "two"] {
        lab.ok(&["network", "create", name]);
    }
    let net = format!("name=net,link-local-ip=169.254.7.7,driver-opt={setting}");
    sleeper(&lab, "web", &["--network", &net]);
    let connect = ["network", "connect", "--link-local-ip", "169.254.8.8", "--driver-opt", setting];
    lab.ok(&[&connect[..], &["two", "web"]].concat());
    for (interface, local) in [("eth0", "169.254.7.7"), ("eth1", "169.254.8.8")] {
        let line = format!(
            "ip addr show {interface}; cat /proc/sys/net/ipv4/conf/{interface}/log_martians"
        );
        let shown = lab.ok(&["exec", "web", "sh", "-c", &line]);
        assert!(shown.contains(&format!("inet {local}/16")) && shown.ends_with('1'), "{shown}");
    }
    let flags = ["run", "--rm", "--network", "net"];
    let fails = |says: &str, more: &[&str]| {
        lab.fails(125, says, &[&flags[..], more, &[IMAGE, "true"]].concat());
    };
    fails("invalid link local IP address: 10.0.0.1", &["--link-local-ip", "10.0.0.1"]);
    let odd = "name=two,driver-opt=com.docker.network.endpoint.sysctls=kernel.x.IFNAME.y=1";
    fails("is no setting of an interface", &["--network", odd]);
    // Nobody is let into an internal network.
    lab.ok(&["network", "create", "--internal", "inside"]);
    let words = ["create", "--network", "inside", "-p", "8080:80", IMAGE, "true"];
    let out = lab.ends(0, &words);
    assert!(out.stderr.contains("Published ports are discarded: the container is on"), "{out:?}");
}

fn events_tell() {
    let lab = Lab::new();
    let id = lab.ok(&["network", "create", "net"]);
    lab.ok(&["run", "--rm", "--network", "net", IMAGE, "true"]);
    lab.ok(&["network", "rm", "net"]);
    let told = || {
        let format =
            "{{.Action}} {{.Actor.ID}} {{.Actor.Attributes.name}} {{.Actor.Attributes.type}}";
        let line = ["events", "--since", "1", "--until", "0s", "--filter", "type=network"];
        lab.ok(&[&line[..], &["--format", format]].concat())
    };
    let of = |action: &str| format!("{action} {id} net bridge");
    let wanted = ["create", "connect", "disconnect", "destroy"].map(of).join("\n");
    assert_eq!(told(), wanted);
}

fn check_mends_what_is_gone() {
    let lab = Lab::new();
    let net = lab.ok(&["network", "create", "--ipv6", "--subnet", "10.208.0.0/24", "net"]);
    sleeper(&lab, "web", &["--network", "net"]);
    sleeper(&lab, "one", &["--network", "net"]);
    let bridge = format!("wh-{}", &net[..12]);
    let ip = |words: &[&str]| {
        let done = std::process::Command::new("ip").args(words).status();
        done.is_ok_and(|status| status.success())
    };
    if !ip(&["addr", "flush", "dev", &bridge]) {
        eprintln!("skipped in part: no ip program to take addresses away");
        return;
    }
    let found = lab.ends(1, &["system", "check"]).stdout;
    assert!(found.contains(&format!("bridge {bridge}")), "{found}");
    lab.ends(0, &["system", "check", "--repair"]);
    is_clean(&lab);
    lab.ok(&["exec", "web", "ping", "-c", "1", "-W", "5", "10.208.0.1"]);
    // What a restart of the host takes away, the next start makes again.
    lab.ok(&["stop", "-t", "0", "web", "one"]);
    agrees(&lab, &mut Seen::default(), "stopped");
    assert!(ip(&["link", "delete", &bridge]));
    is_clean(&lab);
    lab.ok(&["start", "web"]);
    lab.ok(&["exec", "web", "ping", "-c", "1", "-W", "5", "10.208.0.1"]);
    is_clean(&lab);
    lab.ok(&["rm", "-f", "web", "one"]);
    lab.ok(&["network", "rm", "net"]);
}

fn a_removal_cut_short_is_finished() {
    let lab = Lab::new();
    let id = lab.ok(&["network", "create", "net"]);
    let marked = "UPDATE network SET spec = json_set(spec, '$.Removing', json('true'))
                  WHERE name = 'net'";
    database(&lab).execute(marked, []).unwrap();
    lab.fails(125, "network net not found", &["run", "--rm", "--network", "net", IMAGE, "true"]);
    lab.ok(&["network", "create", "net"]);
    assert!(!links().contains(&format!("wh-{}", &id[..12])));
    database(&lab).execute(marked, []).unwrap();
    let found = lab.ends(1, &["system", "check"]).stdout;
    assert!(found.contains("network net: its removal was cut short"), "{found}");
    lab.ends(0, &["system", "check", "--repair"]);
    is_clean(&lab);
    lab.fails(1, "network net not found", &["network", "rm", "net"]);
}

fn kills_around_connect() {
    let lab = Lab::new();
    lab.ok(&["network", "create", "--subnet", "10.209.0.0/24", "net"]);
    let mut seen = Seen::default();
    sleeper(&lab, "web", &[]);
    for round in 0..24_u64 {
        let connected = lab.inspect("web", "/NetworkSettings/Networks").get("net").is_some();
        let verb = if connected { "disconnect" } else { "connect" };
        let mut child = lab.command(&["network", verb, "net", "web"]).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(round * 700));
        let _ = child.kill();
        child.wait().unwrap();
        agrees(&lab, &mut seen, verb);
        is_clean(&lab);
    }
    // And the supervisor in the middle of it: the container ends with it, and all is given back.
    for round in 0..8_u64 {
        lab.run(&["start", "web"]);
        let connected = lab.inspect("web", "/NetworkSettings/Networks").get("net").is_some();
        let verb = if connected { "disconnect" } else { "connect" };
        let id = lab.inspect("web", "/Id").as_str().unwrap().to_owned();
        let mut child = lab.command(&["network", verb, "net", "web"]).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(round * 1500));
        assert!(kill_supervisor(&lab, &id));
        child.wait().unwrap();
        eventually("its end is seen", || lab.inspect("web", "/State/Running") == false);
        agrees(&lab, &mut seen, "killed");
        is_clean(&lab);
    }
    lab.ok(&["rm", "-f", "web"]);
    lab.ok(&["network", "rm", "net"]);
}

/// A network namespace like a host's, with a cable `up0` whose other end is up.
struct Host(std::process::Child);

impl Host {
    fn new() -> Self {
        let mut command = std::process::Command::new(busybox());
        let host = Self(command.args(["unshare", "-n", "sleep", "1000"]).spawn().unwrap());
        let pid = host.0.id().to_string();
        let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
        eventually("it has its namespace", || namespace(&pid) != namespace("self"));
        for line in [
            "link set lo up",
            "link add up0 type veth peer name up1",
            "link set up0 up",
            "link set up1 up",
        ] {
            let mut command = std::process::Command::new("nsenter");
            let command = command.arg(host.enter()).arg("ip").args(line.split(' '));
            assert!(command.status().unwrap().success(), "ip {line}");
        }
        host
    }

    fn enter(&self) -> String {
        format!("--net=/proc/{}/ns/net", self.0.id())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn macvlan_on_a_parent() {
    let host = Host::new();
    let lab = Lab::new().in_network(&host.enter());
    let line = ["network", "create", "-d", "macvlan", "-o", "parent=up0"];
    lab.ok(&[&line[..], &["--subnet", "10.210.1.0/24", "lan"]].concat());
    sleeper(&lab, "one", &["--network", "lan"]);
    sleeper(&lab, "two", &["--network", "lan", "--ip", "10.210.1.77"]);
    let reach = |from: &str| {
        let out = lab.run(&["exec", from, "ping", "-c", "1", "-W", "2", "10.210.1.77"]);
        out.code == 0
    };
    eventually("they reach each other", || reach("one"));
    let routes = lab.ok(&["exec", "one", "ip", "route"]);
    assert!(routes.contains("default via 10.210.1.1 dev eth0"), "{routes}");
    is_clean(&lab);
    sleeper(&lab, "web", &[]);
    lab.ok(&["network", "connect", "lan", "web"]);
    eventually("it reaches them", || reach("web"));
    lab.ok(&["network", "disconnect", "lan", "web"]);
    assert_eq!(lab.ok(&["exec", "web", "ls", "/sys/class/net"]), "eth0\nlo");
    is_clean(&lab);
    lab.ok(&["rm", "-f", "one", "two", "web"]);
    lab.ok(&["network", "rm", "lan"]);
    let line = ["network", "create", "-d", "macvlan", "-o", "parent=up0", "again"];
    lab.ok(&line);
}

fn macvlan_on_a_bridge() {
    let lab = Lab::new();
    let bridge = format!("wmb{}", std::process::id() % 100_000);
    let option = format!("com.docker.network.bridge.name={bridge}");
    lab.ok(&["network", "create", "-o", &option, "--subnet", "10.212.0.0/24", "under"]);
    // A bridge that nothing is in has no carrier, and neither has what is on it.
    let parent = format!("parent={bridge}");
    let line = ["network", "create", "-d", "macvlan", "-o", &parent, "--subnet", "10.212.1.0/24"];
    let out = lab.ends(0, &[&line[..], &["lan"]].concat());
    assert!(out.stderr.contains("has no carrier, since nothing is in that bridge"), "{out:?}");
    sleeper(&lab, "one", &["--network", "lan"]);
    sleeper(&lab, "two", &["--network", "lan"]);
    let to = address(&lab, "one", "lan");
    let out = lab.ends(1, &["network", "reach", "two", &to, "80"]);
    assert!(out.stdout.contains("eth0 of two has no carrier"), "{out:?}");
    sleeper(&lab, "inside", &["--network", "under"]);
    let reach = || lab.run(&["exec", "two", "ping", "-c", "1", "-W", "2", &to]).code == 0;
    eventually("they reach each other", reach);
    lab.ok(&["rm", "-f", "one", "two", "inside"]);
    lab.ok(&["network", "rm", "lan", "under"]);
}

fn on_links_of_a_vlan() {
    let lab = Lab::new();
    let name = format!("wvl{}", std::process::id() % 100_000);
    let option = format!("com.docker.network.bridge.name={name}");
    lab.ok(&["network", "create", "-o", &option, "--subnet", "10.211.0.0/24", "under"]);
    let parent = format!("parent={name}.10");
    lab.ok(&[
        "network",
        "create",
        "-d",
        "macvlan",
        "-o",
        &parent,
        "--subnet",
        "10.211.1.0/24",
        "lan",
    ]);
    assert!(links().contains(&format!("{name}.10")));
    sleeper(&lab, "one", &["--network", "lan"]);
    lab.ok(&["rm", "-f", "one"]);
    lab.ok(&["network", "rm", "lan"]);
    assert!(!links().contains(&format!("{name}.10")));
    lab.ok(&["network", "rm", "under"]);
}

fn on_links_of_an_internal_macvlan() {
    let lab = Lab::new();
    let id = lab.ok(&["network", "create", "-d", "macvlan", "--internal", "lan"]);
    let dummy = format!("dm-{}", &id[..12]);
    assert!(links().contains(&dummy));
    sleeper(&lab, "one", &["--network", "lan"]);
    assert!(!lab.ok(&["exec", "one", "ip", "route"]).contains("default"));
    lab.ok(&["rm", "-f", "one"]);
    lab.ok(&["network", "rm", "lan"]);
    assert!(!links().contains(&dummy));
}
