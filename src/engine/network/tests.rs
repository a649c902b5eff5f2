//! Against the real kernel, as root. Each test is a host of its own: a fresh network namespace, so
//! that the machine's links and rules stay as they are.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};
use wharf_model::{ContainerId, EndpointOptions, ErrorKind};
use wharf_sys::netlink::Batch;
use wharf_sys::netlink::nftables::{Chain, Hook, NftSocket, Transaction};
use wharf_sys::netlink::route::{Block, LinkRef, RouteSocket, VethPair};

use super::record::{self, DEFAULT_NETWORK};
use super::rules::{Content, Forward, Protocol, Table};
use super::{
    Endpoint, Guest, configure_inside, endpoint, endpoints, forecast, loopback_up, network,
    publish, release, remove_network, sweep,
};
use crate::state::Store;

/// How many chains of a table are called at hooks.
const CHAINS: usize = 5;

const PATIENCE: Duration = Duration::from_secs(5);

/// Runs `work` on a thread that is in this namespace, or in a fresh one, and returns both.
fn within<T: Send>(namespace: Option<&File>, work: impl FnOnce() -> T + Send) -> (File, T) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            match namespace {
                Some(file) => setns(file, CloneFlags::CLONE_NEWNET).unwrap(),
                None => unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root"),
            }
            let file = File::open("/proc/thread-self/ns/net").unwrap();
            (file, work())
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Leases an address of the default network.
fn prepare(store: &mut Store, container: &ContainerId) -> crate::Result<Endpoint> {
    let network = DEFAULT_NETWORK.to_owned();
    let options = EndpointOptions { network, ..EndpointOptions::default() };
    super::prepare(
        store,
        Guest { container, hostname: "web" },
        &options,
        &super::Settings::default(),
    )
}

fn id(n: u8) -> ContainerId {
    ContainerId::from_bytes([n; 32])
}

/// Returns what a container on the default network alone asks for.
fn on_default() -> [EndpointOptions; 1] {
    [EndpointOptions { network: "bridge".to_owned(), ..EndpointOptions::default() }]
}

/// An engine root in a folder of its own.
struct Root {
    folder: tempfile::TempDir,
    store: Store,
}

impl Root {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("wharf-net-").tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.db")).unwrap();
        Self { folder, store }
    }

    fn again(&self) -> Store {
        Store::open(&self.folder.path().join("state.db")).unwrap()
    }

    /// Starts a container: the engine's steps, in its order.
    fn start(&mut self, n: u8) -> Container {
        let endpoint = prepare(&mut self.store, &id(n)).unwrap();
        let (namespace, ()) = within(None, || ());
        let notes = endpoint.connect(&self.store, namespace.as_fd()).unwrap();
        let inside = || configure_inside(std::slice::from_ref(&endpoint)).unwrap();
        within(Some(&namespace), inside);
        Container { endpoint, namespace, notes }
    }
}

struct Container {
    endpoint: Endpoint,
    namespace: File,
    notes: Vec<String>,
}

/// Returns what a server in one namespace sees and gets from a client in another: the client's
/// address and its word.
fn talk(server: &File, client: &File, to: Ipv4Addr) -> Result<(IpAddr, String), std::io::Error> {
    let (_, listener) = within(Some(server), || TcpListener::bind((to, 0)).unwrap());
    let address: SocketAddr = listener.local_addr().unwrap();
    let (_, stream) = within(Some(client), || TcpStream::connect_timeout(&address, PATIENCE));
    let mut stream = stream?;
    let (mut accepted, peer) = listener.accept().unwrap();
    stream.write_all(b"hello")?;
    drop(stream);
    let mut text = String::new();
    accepted.set_read_timeout(Some(PATIENCE))?;
    accepted.read_to_string(&mut text)?;
    Ok((peer.ip(), text))
}

/// Returns the names of this namespace's links, and its firewall's chains.
fn traces() -> (Vec<String>, usize) {
    let links = RouteSocket::open().unwrap().links().unwrap();
    let names = links.into_iter().map(|link| link.name).filter(|name| name.starts_with("wh"));
    (names.collect(), NftSocket::open().unwrap().base_chains().unwrap().len())
}

/// Connects the calling thread's namespace to an outside one, 192.0.2.1 here and 192.0.2.2 there.
/// The outside knows no way to the containers.
fn outside() -> File {
    let (outside, ()) = within(None, || ());
    let mut route = RouteSocket::open().unwrap();
    let mut batch = Batch::new();
    batch.ensure_bridge("up0", [2, 0, 0, 0, 0, 1]);
    batch.get_link("up0");
    let index = route.apply(batch).unwrap()[0].index;
    let mut batch = Batch::new();
    let block = |last| Block { address: Ipv4Addr::new(192, 0, 2, last).into(), prefix: 24 };
    batch.ensure_address(index, block(1));
    batch.set_up(LinkRef::Index(index));
    batch.add_veth(&VethPair {
        name: "up1",
        master: index,
        peer_name: "eth0",
        peer_mac: [2, 0, 0, 0, 0, 2],
        peer_namespace: outside.as_fd(),
        mtu: None,
    });
    batch.set_up(LinkRef::Name("up1"));
    route.apply(batch).unwrap();
    within(Some(&outside), || {
        let mut route = RouteSocket::open().unwrap();
        let index = route.link("eth0").unwrap().unwrap().index;
        let mut batch = Batch::new();
        batch.ensure_address(index, block(2));
        batch.set_up(LinkRef::Index(index));
        route.apply(batch).unwrap();
    });
    outside
}

#[test]
fn containers_reach_each_other_the_host_and_the_outside() {
    let (_, ()) = within(None, || {
        loopback_up().unwrap();
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        let host = File::open("/proc/thread-self/ns/net").unwrap();
        let outside = outside();
        let mut root = Root::new();
        let (first, second) = (root.start(1), root.start(2));
        assert_eq!(first.notes, ["IPv4 forwarding was off on this host and is now on"]);
        assert_eq!(forecast(&root.store, &on_default()).unwrap(), Vec::<String>::new());
        assert_eq!(second.notes, Vec::<String>::new());
        let (one, two) = (first.endpoint.ipv4().unwrap(), second.endpoint.ipv4().unwrap());
        let info = first.endpoint.info();
        assert_eq!(info.ip.to_string(), "172.17.0.2");
        assert_eq!(info.gateway.unwrap().to_string(), "172.17.0.1");
        assert_eq!((info.prefix, info.mac.as_str()), (16, "02:42:ac:11:00:02"));

        let listed = endpoints(&root.store).unwrap();
        assert_eq!((listed.len(), listed[&id(1)][0].info()), (2, info));
        let found = endpoint(&root.store, &id(1), DEFAULT_NETWORK).unwrap();
        assert_eq!(found.map(|found| found.info()), Some(first.endpoint.info()));

        let hello = |from: [u8; 4]| (IpAddr::from(from), "hello".to_owned());
        let seen = talk(&second.namespace, &first.namespace, two).unwrap();
        assert_eq!(seen, hello([172, 17, 0, 2]));
        let seen = talk(&first.namespace, &host, one).unwrap();
        assert_eq!(seen, hello([172, 17, 0, 1]));
        let seen = talk(&host, &first.namespace, Ipv4Addr::new(172, 17, 0, 1)).unwrap();
        assert_eq!(seen, hello([172, 17, 0, 2]));
        // The outside sees the host's address, and has no way to the container's.
        let seen = talk(&outside, &first.namespace, Ipv4Addr::new(192, 0, 2, 2)).unwrap();
        assert_eq!(seen, hello([192, 0, 2, 1]));
        // To itself, over its loopback.
        let seen = talk(&first.namespace, &first.namespace, Ipv4Addr::LOCALHOST).unwrap();
        assert_eq!(seen, hello([127, 0, 0, 1]));

        for container in [&first, &second] {
            container.endpoint.disconnect(&mut root.store).unwrap();
            container.endpoint.disconnect(&mut root.store).unwrap();
        }
        assert_eq!(endpoint(&root.store, &id(1), DEFAULT_NETWORK).unwrap(), None);
        assert_eq!(
            traces().0,
            [network(&root.store, DEFAULT_NETWORK).unwrap().unwrap().link.clone()]
        );
        remove_network(&mut root.store).unwrap();
        remove_network(&mut root.store).unwrap();
        assert_eq!(traces(), (vec![], 0));
        assert_eq!(network(&root.store, DEFAULT_NETWORK).unwrap(), None);
    });
}

#[test]
fn roots_take_subnets_of_their_own_and_are_isolated() {
    let (_, ()) = within(None, || {
        let mut roots: Vec<Root> = (0..4).map(|_| Root::new()).collect();
        let start = |(n, root): (usize, &mut Root)| root.start(u8::try_from(n).unwrap());
        let host = File::open("/proc/thread-self/ns/net").unwrap();
        // All at once, so that they race for the subnets and the firewall table.
        let containers: Vec<Container> = std::thread::scope(|scope| {
            let threads: Vec<_> = roots
                .iter_mut()
                .enumerate()
                .map(|root| scope.spawn(|| within(Some(&host), || start(root)).1))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let mut gateways: Vec<_> =
            containers.iter().map(|c| c.endpoint.info().gateway.unwrap().to_string()).collect();
        gateways.sort();
        assert_eq!(gateways, ["172.17.0.1", "172.18.0.1", "172.19.0.1", "172.20.0.1"]);
        let target = &containers[1];
        // Neither answered nor refused: the packets are gone.
        let (_, listener) = within(Some(&target.namespace), || {
            TcpListener::bind((target.endpoint.ipv4().unwrap(), 0)).unwrap()
        });
        let address = listener.local_addr().unwrap();
        let (_, reached) = within(Some(&containers[0].namespace), || {
            TcpStream::connect_timeout(&address, Duration::from_millis(300))
        });
        assert_eq!(reached.unwrap_err().kind(), std::io::ErrorKind::TimedOut);

        for (at, (container, root)) in containers.iter().zip(&mut roots).enumerate() {
            let error = remove_network(&mut root.store).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
            container.endpoint.disconnect(&mut root.store).unwrap();
            remove_network(&mut root.store).unwrap();
            assert_eq!(traces().1, (3 - at) * CHAINS, "each root's table goes with its bridge");
        }
        assert_eq!(traces(), (vec![], 0));
    });
}

#[test]
fn peers_of_one_root_race_to_make_its_network() {
    let (_, ()) = within(None, || {
        let root = Root::new();
        let host = File::open("/proc/thread-self/ns/net").unwrap();
        let mut addresses: Vec<Ipv4Addr> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|n| {
                    let (path, host) = (root.folder.path().join("state.db"), &host);
                    scope.spawn(move || {
                        let (namespace, ()) = within(None, || ());
                        let connect = || {
                            let mut store = Store::open(&path).unwrap();
                            let endpoint = prepare(&mut store, &id(n)).unwrap();
                            endpoint.connect(&store, namespace.as_fd()).unwrap();
                            endpoint
                        };
                        let (_, endpoint) = within(Some(host), connect);
                        let inside = || configure_inside(std::slice::from_ref(&endpoint)).unwrap();
                        within(Some(&namespace), inside);
                        endpoint.ipv4().unwrap()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        addresses.sort();
        let wanted: Vec<Ipv4Addr> = (2..10).map(|n| Ipv4Addr::new(172, 17, 0, n)).collect();
        assert_eq!(addresses, wanted);
        assert_eq!(traces().1, CHAINS, "one table");
    });
}

#[test]
fn a_sweep_takes_back_what_the_dead_left() {
    let (_, ()) = within(None, || {
        let mut root = Root::new();
        let (dead, living) = (root.start(1), root.start(2));
        let alive = |owner: &str| owner == id(2).as_str();
        let mut store = root.again();
        assert_eq!(sweep(&mut store, &alive).unwrap(), 1);
        assert_eq!(sweep(&mut store, &alive).unwrap(), 0);
        let (links, _) = traces();
        assert!(!links.iter().any(|link| link == dead.endpoint.link()), "{links:?}");
        assert!(links.iter().any(|link| link == living.endpoint.link()), "{links:?}");
        living.endpoint.disconnect(&mut store).unwrap();
        let left = "SELECT (SELECT count(*) FROM endpoint) + (SELECT count(*) FROM journal)";
        let left: i64 = store.connection().query_row(left, [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0);
    });
}

#[test]
fn a_restart_finds_the_way_free_and_the_bridge_made_again() {
    let (_, ()) = within(None, || {
        let mut root = Root::new();
        let first = root.start(1);
        // The old namespace is still alive, and with it the old link.
        let second = root.start(1);
        assert_eq!(first.endpoint.id(), second.endpoint.id());
        let bridge = network(&root.store, DEFAULT_NETWORK).unwrap().unwrap().link.clone();
        let mut batch = Batch::new();
        batch.delete_link(&bridge);
        RouteSocket::open().unwrap().apply(batch).unwrap();
        let mut rules = Transaction::new(None);
        rules.delete_table(Table::of(&root.store).name());
        NftSocket::open().unwrap().commit(rules).unwrap();
        let third = root.start(1);
        let host = File::open("/proc/thread-self/ns/net").unwrap();
        let seen = talk(&third.namespace, &host, third.endpoint.ipv4().unwrap()).unwrap();
        assert_eq!(seen.0.to_string(), "172.17.0.1");
        assert_eq!(traces().1, CHAINS);
    });
}

#[test]
fn a_subnet_that_the_host_took_over_is_left_when_nobody_is_on_it() {
    let (_, ()) = within(None, || {
        let mut root = Root::new();
        let container = root.start(1);
        let network = network(&root.store, DEFAULT_NETWORK).unwrap().unwrap();
        let mut route = RouteSocket::open().unwrap();
        let mut batch = Batch::new();
        batch.delete_link(&network.link);
        batch.ensure_bridge("vpn0", [2, 0, 0, 0, 0, 9]);
        batch.get_link("vpn0");
        let index = route.apply(batch).unwrap()[0].index;
        let mut batch = Batch::new();
        batch.ensure_address(
            index,
            Block { address: Ipv4Addr::new(172, 17, 4, 1).into(), prefix: 24 },
        );
        route.apply(batch).unwrap();
        let error = prepare(&mut root.store, &id(2)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains("172.17.0.0/16"), "{error}");
        container.endpoint.disconnect(&mut root.store).unwrap();
        let moved = prepare(&mut root.store, &id(2)).unwrap();
        assert_eq!(moved.ipv4().unwrap().to_string(), "172.18.0.2");
    });
}

#[test]
fn a_foreign_firewall_that_drops_is_told_of() {
    let (_, ()) = within(None, || {
        let done = std::process::Command::new("nft")
            .arg(
                "add table ip other; add chain ip other FORWARD \
                  { type filter hook forward priority 0; policy drop; }",
            )
            .status();
        if !done.is_ok_and(|status| status.success()) {
            eprintln!("skipped: no nft program to play the other firewall");
            return;
        }
        let root = Root::new();
        let notes = forecast(&root.store, &on_default()).unwrap();
        assert!(notes.iter().any(|n| n.contains("table other, chain FORWARD")), "{notes:?}");
    });
}

#[test]
fn a_full_bridge_is_named() {
    let (_, ()) = within(None, || {
        let mut root = Root::new();
        root.start(1);
        let bridge = network(&root.store, DEFAULT_NETWORK).unwrap().unwrap().link.clone();
        let mut route = RouteSocket::open().unwrap();
        let master = route.link(&bridge).unwrap().unwrap().index;
        let (namespace, ()) = within(None, || ());
        // Until the kernel has no room for one more.
        for n in 0.. {
            assert!(n < 2000, "a bridge has no limit here");
            let mut batch = Batch::new();
            let name = format!("full{n}");
            batch.add_veth(&VethPair {
                name: &name,
                master,
                peer_name: &name,
                peer_mac: [2, 0, 0, 0, 0, 3],
                peer_namespace: namespace.as_fd(),
                mtu: None,
            });
            if route.apply(batch).is_err() {
                break;
            }
        }
        let endpoint = prepare(&mut root.store, &id(2)).unwrap();
        let error = endpoint.connect(&root.store, namespace.as_fd()).unwrap_err();
        assert!(error.to_string().contains("BR_MAX_PORTS"), "{error}");
        assert_eq!(error.kind(), ErrorKind::Conflict);
        endpoint.disconnect(&mut root.store).unwrap();
        let (links, _) = traces();
        assert!(!links.iter().any(|link| link == endpoint.link()), "{links:?}");
    });
}

#[test]
fn docker_is_asked_to_let_pass() {
    let (_, ()) = within(None, || {
        let iptables = |line: &str| {
            let done = std::process::Command::new("iptables").args(line.split(' ')).output();
            let out = done.map(|out| (out.status.success(), out.stdout));
            out.map_or((false, String::new()), |(ok, out)| (ok, String::from_utf8(out).unwrap()))
        };
        let made = ["-N DOCKER-USER", "-A DOCKER-USER -j RETURN", "-I FORWARD -j DOCKER-USER"];
        if !made.iter().all(|line| iptables(line).0) || !iptables("-P FORWARD DROP").0 {
            eprintln!("skipped: no iptables to play docker's firewall");
            return;
        }
        let mut root = Root::new();
        let container = root.start(1);
        assert!(container.notes.iter().all(|n| n.contains("forwarding")), "{:?}", container.notes);
        root.start(2);
        let bridge = network(&root.store, DEFAULT_NETWORK).unwrap().unwrap().link.clone();
        // Its own program can read them, and there is one of each.
        let (ok, rules) = iptables("-S DOCKER-USER");
        let lines: Vec<String> = [
            "-N DOCKER-USER",
            "-A DOCKER-USER -o BR -j ACCEPT",
            "-A DOCKER-USER -i BR -o docker0 -j RETURN",
            "-A DOCKER-USER -i BR -o br-+ -j RETURN",
            "-A DOCKER-USER -i BR -j ACCEPT",
            "-A DOCKER-USER -j RETURN",
        ]
        .map(|line| line.replace("BR", &bridge))
        .to_vec();
        assert_eq!(
            (ok, rules.lines().collect::<Vec<_>>()),
            (true, lines.iter().map(String::as_str).collect())
        );
        release(&mut root.store, id(1).as_str()).unwrap();
        release(&mut root.store, id(2).as_str()).unwrap();
        remove_network(&mut root.store).unwrap();
        assert_eq!(iptables("-S DOCKER-USER").1.lines().count(), 2);
    });
}

#[test]
fn an_older_table_is_replaced_with_all_that_belongs_in_it() {
    let (_, ()) = within(None, || {
        let mut root = Root::new();
        root.start(1);
        let forward = Forward {
            protocol: Protocol::Udp,
            host: "0.0.0.0:53".parse().unwrap(),
            target: "172.17.0.2:53".parse().unwrap(),
            bridge: network(&root.store, DEFAULT_NETWORK).unwrap().unwrap().link.clone(),
        };
        publish::journal(&root.store, &id(1), std::slice::from_ref(&forward)).unwrap();
        let table = Table::of(&root.store);
        let mut old = Transaction::new(None);
        old.delete_table(table.name());
        old.create_table(table.name(), "rules 0");
        let chain = Chain { name: "old", kind: "filter", hook: Hook::Forward, priority: 5 };
        old.create_chain(table.name(), &chain);
        let mut nft = NftSocket::open().unwrap();
        nft.commit(old).unwrap();
        let faults =
            |nft: &mut NftSocket| table.faults(nft, &Content::read(&root.store).unwrap()).unwrap();
        assert_eq!(faults(&mut nft), ["is gone or of another version"]);
        let mut store = root.again();
        let endpoint = prepare(&mut store, &id(2)).unwrap();
        let (namespace, ()) = within(None, || ());
        endpoint.connect(&store, namespace.as_fd()).unwrap();
        assert_eq!(faults(&mut nft), Vec::<String>::new());
        assert!(nft.base_chains().unwrap().iter().all(|chain| chain.name != "old"));
        publish::give_back_all(&root.store, &id(1)).unwrap();
        assert_eq!(nft.elements(table.name(), "any4").unwrap(), []);
        assert_eq!(faults(&mut nft), Vec::<String>::new());
        // What somebody else puts there is found too.
        publish::redirect(&root.store, &[forward]).unwrap();
        assert_eq!(
            faults(&mut nft),
            ["has an element too many in any4", "has an element too many in neighbours"]
        );
    });
}

#[test]
fn addresses_run_out_with_a_clear_error_and_come_back_late() {
    let (_, ()) = within(None, || {
        let mut root = Root::new();
        let first = prepare(&mut root.store, &id(0)).unwrap();
        first.disconnect(&mut root.store).unwrap();
        // Shrink the subnet to five containers.
        let small = |transaction: &rusqlite::Transaction<'_>| {
            let mut network = record::read(transaction, DEFAULT_NETWORK)?.unwrap();
            network.spec.ipv4 = Some(super::Pool::of("172.17.0.0/29".parse().unwrap()).chosen());
            record::write(transaction, &network)
        };
        root.store.transaction(small).unwrap();
        let all: Vec<Endpoint> =
            (1..=5).map(|n| prepare(&mut root.store, &id(n)).unwrap()).collect();
        let addresses: Vec<u8> = all.iter().map(|e| e.ipv4().unwrap().octets()[3]).collect();
        assert_eq!(addresses, [2, 3, 4, 5, 6]);
        let error = prepare(&mut root.store, &id(9)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains("all 5 of subnet 172.17.0.0/29"), "{error}");
        // Who has a lease keeps it.
        assert_eq!(prepare(&mut root.store, &id(3)).unwrap().id(), all[2].id());
        all[1].disconnect(&mut root.store).unwrap();
        all[3].disconnect(&mut root.store).unwrap();
        let next = |n, root: &mut Root| {
            prepare(&mut root.store, &id(n)).unwrap().ipv4().unwrap().octets()[3]
        };
        assert_eq!([next(10, &mut root), next(11, &mut root)], [3, 5]);
    });
}
