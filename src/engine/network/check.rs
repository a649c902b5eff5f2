//! What the kernel has of the network, against what the running containers need of it.

use std::collections::BTreeMap;

use wharf_model::ContainerId;
use wharf_sys::netlink::Batch;
use wharf_sys::netlink::nftables::NftSocket;
use wharf_sys::netlink::route::{Link, LinkRef, RouteSocket};

use super::bridge::{self, failed};
use super::driver::Driver;
use super::endpoint::{self, delete_link};
use super::record;
use super::rules::{Content, Table, foreign};
use crate::Result;
use crate::state::Store;

/// Something of the network that isn't as the engine makes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The bridge is gone or down.
    Bridge(String),
    /// The host doesn't route packets.
    Forwarding,
    /// The firewall's table has no longer all that belongs in it: its name, and what is wrong.
    Firewall(String, String),
    /// Another firewall drops the packets of this bridge.
    Foreign(String),
    /// A running container's link is gone; only its next start makes a new one.
    LinkGone(ContainerId, String),
    /// A running container's link is down or not in the bridge.
    LinkLoose(ContainerId, String),
    /// A link in the bridge that no container has.
    LinkStray(String),
}

/// Returns what is wrong for these running containers. `owned` are the links of all containers that
/// have or may be taking one. What it finds may be about to change: ask again before it is believed.
pub(crate) fn faults(
    store: &Store,
    running: &[ContainerId],
    owned: &dyn Fn(&str) -> bool,
) -> Result<Vec<Fault>> {
    let networks = record::networks(store)?;
    let mut route = RouteSocket::open().map_err(failed)?;
    let links: BTreeMap<String, Link> =
        route.links().map_err(failed)?.into_iter().map(|link| (link.name.clone(), link)).collect();
    let addresses = route.addresses().map_err(failed)?;
    let mut faults = Vec::new();
    let mut wanted = Vec::new();
    for container in running {
        wanted.extend(endpoint::endpoints_of(store, container)?);
    }
    for network in networks.iter().filter(|network| !network.link.is_empty()) {
        let link = links.get(&network.link);
        let used = wanted.iter().any(|endpoint| endpoint.network().id == network.id);
        if used {
            let has_all = |index: u32| {
                network.driver != Driver::Bridge
                    || network.pools().all(|pool| {
                        let gateway = pool.block(pool.gateway);
                        addresses.iter().any(|a| a.index == index && a.block == gateway)
                    })
            };
            if link.is_none_or(|link| !link.up || !has_all(link.index)) {
                faults.push(Fault::Bridge(network.link.clone()));
            }
            if network.driver == Driver::Bridge && !bridge::is_forwarding(false)? {
                faults.push(Fault::Forwarding);
            }
        }
        if network.driver != Driver::Bridge {
            continue;
        }
        let master = link.map(|link| link.index);
        for endpoint in wanted.iter().filter(|endpoint| endpoint.network().id == network.id) {
            let (container, name) = (endpoint.container().clone(), endpoint.link().to_owned());
            match links.get(&name) {
                None => faults.push(Fault::LinkGone(container, name)),
                Some(link) if !link.up || link.master != master || master.is_none() => {
                    faults.push(Fault::LinkLoose(container, name));
                }
                Some(_) => {}
            }
        }
        if let Some(master) = master {
            let inside = links.values().filter(|link| link.master == Some(master));
            let stray = inside.filter(|link| link.name.starts_with("wh") && !owned(&link.name));
            faults.extend(stray.map(|link| Fault::LinkStray(link.name.clone())));
        }
    }
    let bridged = |endpoint: &endpoint::Endpoint| endpoint.network().driver == Driver::Bridge;
    if wanted.iter().any(bridged) {
        let (table, content) = (Table::of(store), Content::read(store)?);
        let mut nft = NftSocket::open().map_err(failed)?;
        let found = table.faults(&mut nft, &content)?;
        if !found.is_empty() {
            faults.push(Fault::Firewall(table.name().to_owned(), found.join(", ")));
        }
        let used = wanted.iter().filter(|endpoint| bridged(endpoint));
        let bridges: Vec<String> = used.map(|endpoint| endpoint.network().link.clone()).collect();
        faults.extend(foreign::cut_off(&mut nft, &bridges)?.into_iter().map(Fault::Foreign));
    }
    faults.sort();
    faults.dedup();
    Ok(faults)
}

/// Mends one of them, where that is possible.
pub(crate) fn mend(store: &Store, fault: &Fault) -> Result<()> {
    let mut route = RouteSocket::open().map_err(failed)?;
    match fault {
        Fault::Bridge(link) => {
            let networks = record::networks(store)?.into_iter();
            networks
                .filter(|network| network.link == *link)
                .try_for_each(|network| bridge::raise(&mut route, &network).map(drop))
        }
        Fault::Forwarding => bridge::enable_forwarding(false).map(drop),
        Fault::Firewall(..) => {
            Table::of(store).restore(&mut NftSocket::open().map_err(failed)?, store)
        }
        Fault::Foreign(bridge) => {
            let mut nft = NftSocket::open().map_err(failed)?;
            foreign::pass(&mut nft, std::slice::from_ref(bridge))
        }
        Fault::LinkGone(..) => Ok(()),
        Fault::LinkLoose(container, link) => {
            let endpoints = endpoint::endpoints_of(store, container)?;
            let Some(endpoint) = endpoints.iter().find(|endpoint| endpoint.link() == link) else {
                return Ok(());
            };
            let master = bridge::raise(&mut route, endpoint.network())?;
            let mut batch = Batch::new();
            batch.join_bridge(link, master);
            batch.set_up(LinkRef::Name(link));
            route.apply(batch).map(drop).map_err(failed)
        }
        Fault::LinkStray(link) => delete_link(&mut route, link),
    }
}
