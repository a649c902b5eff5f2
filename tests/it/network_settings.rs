//! What `config.toml` says of the networks that the engine makes by itself, and links where containers
//! don't talk.

use crate::harness::{IMAGE, Lab, PATIENCE, Test, joined, lacks_programs};
use crate::hosts::{Host, SHORT, Server, ask, ask_udp, network_of, succeed};
use crate::tests;

pub(crate) fn tests() -> Vec<Test> {
    let all = tests![address_pools, the_default_bridge, links_open_what_is_exposed];
    all.into_iter().map(|test| test.needing(lacks_programs(&["nsenter", "nft"]))).collect()
}

fn sleeper(lab: &Lab, name: &str, flags: &[&str]) -> String {
    let line = ["run", "-d", "--name", name];
    lab.ok(&[&line[..], flags, &[IMAGE, "sleep", "100000"]].concat());
    network_of(lab, name)
}

fn place(lab: &Lab, container: &str, key: &str) -> String {
    let pointer = format!("/NetworkSettings/Networks/bridge/{key}");
    lab.inspect(container, &pointer).as_str().unwrap().to_owned()
}

fn address_pools() {
    let host = Host::new();
    let lab = host.lab();
    lab.configure("[network]\naddress-pools = [{base = \"10.215.0.0/22\", size = 24}]\n");
    sleeper(&lab, "one", &[]);
    assert_eq!(place(&lab, "one", "Gateway"), "10.215.0.1");
    let subnet = |name: &str| {
        let format = "{{range .IPAM.Config}}{{.Subnet}}{{end}}";
        lab.ok(&["network", "inspect", "-f", format, name])
    };
    for (name, wanted) in [("a", "10.215.1.0/24"), ("b", "10.215.2.0/24")] {
        lab.ok(&["network", "create", name]);
        assert_eq!(subnet(name), wanted);
    }
    // What the host has is left alone.
    host.ip("addr add 10.215.3.7/24 dev lo");
    let says = "all predefined address pools have been fully subnetted: no subnet is left for network \
                c, since the host's routes and other networks cover all of 10.215.0.0/22";
    lab.fails(1, says, &["network", "create", "c"]);
    lab.ok(&["network", "rm", "a"]);
    lab.ok(&["network", "create", "c"]);
    assert_eq!(subnet("c"), "10.215.1.0/24");
    // One that can't be meant is named, and nothing is done.
    lab.configure("[network]\naddress-pools = [{base = \"10.215.0.0/22\", size = 20}]\n");
    lab.fails(1, "size 20 is no prefix length of subnets in it", &["network", "create", "d"]);
    lab.configure("[network]\nadress-pools = []\n");
    let says =
        "config.toml:2:1: there is no setting network.adress-pools: did you mean address-pools?";
    lab.fails(125, says, &["run", IMAGE, "true"]);
    lab.fails(1, says, &["config", "check"]);
    lab.configure("");
    assert_eq!(lab.ok(&["ps", "-a", "--format", "{{.Names}}"]), "one");
}

fn the_default_bridge() {
    let host = Host::new();
    let lab = host.lab();
    sleeper(&lab, "before", &[]);
    let first = place(&lab, "before", "Gateway");
    lab.configure("[network]\nbip = \"10.216.0.9/24\"\n");
    // Whoever is on it keeps it as it is.
    sleeper(&lab, "beside", &[]);
    assert_eq!(place(&lab, "beside", "Gateway"), first);
    lab.ok(&["rm", "-f", "before", "beside"]);
    sleeper(&lab, "after", &["-p", "8080:80"]);
    assert_eq!(place(&lab, "after", "Gateway"), "10.216.0.9");
    assert_eq!(place(&lab, "after", "IPAddress"), "10.216.0.1");
    let _server = Server::new(&network_of(&lab, "after"), 80, "after");
    assert_eq!(host.ask("127.0.0.1:8080").unwrap(), "after 10.216.0.9");
    lab.ok(&["system", "check"]);
    lab.ok(&["rm", "-f", "after"]);
    lab.configure("");
    sleeper(&lab, "again", &[]);
    assert_ne!(place(&lab, "again", "Gateway"), "10.216.0.9");
    lab.ok(&["system", "check"]);
}

fn links_open_what_is_exposed() {
    let host = Host::new();
    let lab = host.lab();
    lab.configure("[network]\nicc = false\n");
    let flags = ["--expose", "80", "--expose", "53/udp"];
    let db = sleeper(&lab, "db", &flags);
    let other = sleeper(&lab, "other", &[]);
    let web = sleeper(&lab, "web", &["--link", "db:store"]);
    let serve = |name: &str, network: &str| {
        [80, 81, 53].map(|port| Server::new(network, port, &format!("{name}:{port}")))
    };
    let servers = [serve("db", &db), serve("web", &web)];
    let at = |name: &str, port: u16| format!("{}:{port}", place(&lab, name, "IPAddress"));
    let opened = |from: &str, to: &str| ask(from, to, *PATIENCE).unwrap();
    // Each takes its time, so all of them at once.
    let closed = |ways: &[(&str, &str)]| {
        std::thread::scope(|scope| {
            let asked = ways.iter().map(|(from, to)| (to, scope.spawn(|| ask(from, to, SHORT))));
            for (to, thread) in asked.collect::<Vec<_>>() {
                let got = joined(thread);
                assert!(got.is_err(), "{to}: {got:?}");
            }
        });
    };
    let own = place(&lab, "web", "IPAddress");
    // What is exposed, of whom it is linked to, with its own address; and nothing besides.
    assert_eq!(opened(&web, &at("db", 80)), format!("db:80 {own}"));
    assert_eq!(ask_udp(&web, &at("db", 53)).unwrap(), format!("db:53 {own}"));
    let (shut, back, to_db) = (at("db", 81), at("web", 80), at("db", 80));
    closed(&[(&web, &shut), (&db, &back), (&other, &to_db)]);
    let ping = ["exec", "web", "ping", "-c", "1", "-W", "1", &place(&lab, "db", "IPAddress")];
    assert_ne!(lab.run(&ping).code, 0, "nor anything else");
    lab.ok(&["system", "check"]);
    // The rules are made anew with the rest.
    succeed(&mut host.command(&["nft", "flush", "ruleset"]));
    lab.ends(1, &["system", "check"]);
    lab.ok(&["system", "check", "--repair"]);
    assert_eq!(opened(&web, &at("db", 80)), format!("db:80 {own}"));
    closed(&[(&web, &shut)]);
    // It is closed when either side goes, and open again with the other's next address.
    drop(servers);
    lab.ok(&["stop", "-t", "0", "db"]);
    let taker = sleeper(&lab, "taker", &[]);
    let server = Server::new(&taker, 80, "taker");
    closed(&[(&web, &at("taker", 80))]);
    drop(server);
    lab.ok(&["start", "db"]);
    let server = Server::new(&network_of(&lab, "db"), 80, "db");
    assert_eq!(opened(&web, &at("db", 80)), format!("db {own}"));
    // By its name too, wherever it is now.
    let hosts = lab.ok(&["exec", "web", "cat", "/etc/hosts"]);
    let line = format!("{}\tstore", place(&lab, "db", "IPAddress"));
    assert!(hosts.contains(&line), "{line}: {hosts}");
    assert_eq!(hosts.matches("store").count(), 1, "{hosts}");
    let to = at("db", 80);
    lab.ok(&["rm", "-f", "web"]);
    let another = sleeper(&lab, "another", &[]);
    lab.ok(&["system", "check"]);
    // On networks that somebody made a link is a name, as with docker.
    let option = "com.docker.network.bridge.enable_icc=false";
    lab.ok(&["network", "create", "-o", option, "quiet"]);
    let one = sleeper(&lab, "one", &["--network", "quiet", "--expose", "80"]);
    let _first = Server::new(&one, 80, "one");
    let two = sleeper(&lab, "two", &["--network", "quiet", "--link", "one:first"]);
    let address = lab.inspect("one", "/NetworkSettings/Networks/quiet/IPAddress");
    let quiet = format!("{}:80", address.as_str().unwrap());
    closed(&[(&two, &quiet), (&another, &to)]);
    drop(server);
    lab.ok(&["system", "check"]);
}
