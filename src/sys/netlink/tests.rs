//! Against the real kernel, as root, each test in a network namespace of its own.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;

use nix::sched::{CloneFlags, setns, unshare};

use super::route::{Block, LinkRef, RouteSocket, VethPair};
use super::{Batch, Errno};

/// Runs `work` on a thread with a fresh network namespace.
pub(super) fn in_namespace<T: Send>(work: impl FnOnce(File) -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root");
            work(File::open("/proc/thread-self/ns/net").unwrap())
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

const MAC: [u8; 6] = [2, 0x42, 10, 0, 0, 2];

#[test]
fn a_veth_pair_joins_a_bridge_to_another_namespace() {
    in_namespace(|here| {
        let there = in_namespace(|namespace| namespace);
        let mut route = RouteSocket::open().unwrap();
        let mut batch = Batch::new();
        batch.ensure_bridge("wh-test", [2, 0x42, 10, 0, 0, 1]);
        batch.ensure_bridge("wh-test", [2, 0x42, 10, 0, 0, 1]);
        batch.get_link("wh-test");
        batch.get_link("wh-other");
        let links = route.apply(batch).unwrap();
        let [bridge] = &links[..] else { panic!("{links:?}") };
        assert_eq!(bridge.kind.as_deref(), Some("bridge"));
        assert_eq!(bridge.mac, Some([2, 0x42, 10, 0, 0, 1]));
        assert!(!bridge.up);

        let gateway = Block { address: Ipv4Addr::new(10, 0, 0, 1).into(), prefix: 24 };
        let mut batch = Batch::new();
        batch.ensure_address(bridge.index, gateway);
        batch.ensure_address(bridge.index, gateway);
        batch.set_up(LinkRef::Index(bridge.index));
        batch.add_veth(&VethPair {
            name: "whtest0",
            master: bridge.index,
            peer_name: "eth0",
            peer_mac: MAC,
            peer_namespace: there.as_fd(),
            mtu: Some(1400),
        });
        batch.set_up(LinkRef::Name("whtest0"));
        route.apply(batch).unwrap();
        let end = route.link("whtest0").unwrap().unwrap();
        assert_eq!((end.master, end.up), (Some(bridge.index), true));
        let addresses = route.addresses().unwrap();
        assert!(addresses.iter().any(|a| a.index == bridge.index && a.block == gateway));
        let routes = route.routes().unwrap();
        let subnet = Block { address: Ipv4Addr::new(10, 0, 0, 0).into(), prefix: 24 };
        assert!(routes.iter().any(|r| r.table == 254 && r.destination == subnet), "{routes:?}");

        let isolated = || std::fs::read_to_string("/sys/class/net/whtest0/brport/isolated");
        let mut batch = Batch::new();
        batch.isolate_port("whtest0");
        route.apply(batch).unwrap();
        // What is mounted there may be the view of another network namespace.
        assert!(isolated().map_or(true, |text| text.trim() == "1"));

        setns(&there, CloneFlags::CLONE_NEWNET).unwrap();
        let mut inside = RouteSocket::open().unwrap();
        let peer = inside.link("eth0").unwrap().unwrap();
        assert_eq!((peer.mac, peer.up), (Some(MAC), false));
        let mut batch = Batch::new();
        batch.set_loopback_up();
        batch.ensure_address(
            peer.index,
            Block { address: Ipv4Addr::new(10, 0, 0, 2).into(), prefix: 24 },
        );
        batch.set_up(LinkRef::Index(peer.index));
        batch.add_default_route(peer.index, gateway.address);
        inside.apply(batch).unwrap();
        let routes = inside.routes().unwrap();
        assert!(routes.iter().any(|r| r.destination.prefix == 0 && r.link == Some(peer.index)));
        assert!(inside.link("lo").unwrap().unwrap().up);
        let inet6 = std::fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap_or_default();
        assert!(!inet6.contains("eth0"), "no link-local address is wanted: {inet6}");

        setns(&here, CloneFlags::CLONE_NEWNET).unwrap();
        let inet6 = std::fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap_or_default();
        assert!(!inet6.contains("wh"), "no link-local address is wanted: {inet6}");
        let mut batch = Batch::new();
        batch.delete_link("whtest0");
        batch.delete_link("whtest0");
        batch.delete_link("wh-test");
        route.apply(batch).unwrap();
        let names: Vec<String> = route.links().unwrap().into_iter().map(|link| link.name).collect();
        assert!(!names.iter().any(|name| name.starts_with("wh")), "{names:?}");
    });
}

#[test]
fn a_process_is_found_behind_the_links_into_its_namespace() {
    in_namespace(|_| {
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                unshare(CloneFlags::CLONE_NEWNET).unwrap();
                let namespace = File::open("/proc/thread-self/ns/net").unwrap();
                tell.send((namespace, nix::unistd::gettid().as_raw())).unwrap();
                let _ = ended.recv();
            });
            let (there, pid) = told.recv().unwrap();
            let mut route = RouteSocket::open().unwrap();
            let own = nix::unistd::gettid().as_raw();
            let nobody = i32::MAX;
            assert_eq!(route.namespaces(&[pid, own, nobody]).unwrap(), [None; 3]);
            let mut batch = Batch::new();
            batch.ensure_bridge("wh-test", MAC);
            batch.get_link("wh-test");
            let bridge = route.apply(batch).unwrap()[0].index;
            let mut batch = Batch::new();
            batch.add_veth(&VethPair {
                name: "whtest0",
                master: bridge,
                peer_name: "eth0",
                peer_mac: MAC,
                peer_namespace: there.as_fd(),
                mtu: None,
            });
            route.apply(batch).unwrap();
            let links = route.links().unwrap();
            let beyond: Vec<_> =
                links.iter().filter_map(|link| Some((link.name.as_str(), link.beyond?))).collect();
            let [("whtest0", number)] = beyond[..] else { panic!("{beyond:?}") };
            let found = route.namespaces(&[pid, own, nobody]).unwrap();
            assert_eq!(found, [Some(number), None, None]);
            drop(end);
        });
    });
}

#[test]
fn a_refusal_names_the_operation_and_carries_the_kernels_sentence() {
    in_namespace(|_| {
        let mut route = RouteSocket::open().unwrap();
        let mut batch = Batch::new();
        batch.add_default_route(1, Ipv4Addr::new(10, 0, 0, 1).into());
        batch.get_link("lo");
        let error = route.apply(batch).unwrap_err();
        assert!(error.to_string().starts_with("add the default route through 10.0.0.1: "));
        assert_ne!(error.to_string().matches(": ").count(), 1, "{error}");
        // The answers that were still due don't confuse the next request.
        assert_eq!(route.link("lo").unwrap().unwrap().index, 1);
    });
}

#[test]
fn a_kernel_without_nf_tables_is_told_so() {
    let error = super::Error::new("create firewall table wharf", Errno::OPNOTSUPP, None);
    let text = super::nftables::missing(error).to_string();
    assert!(text.contains("this kernel has no nf_tables"), "{text}");
    let other = super::Error::new("create firewall table wharf", Errno::PERM, None);
    assert_eq!(super::nftables::missing(other.clone()), other);
}
