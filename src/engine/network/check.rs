//! What the kernel has of the network, against what the running containers need of it.

use std::collections::BTreeMap;

use wharf_model::ContainerId;
use wharf_sys::netlink::Batch;
use wharf_sys::netlink::nftables::NftSocket;
use wharf_sys::netlink::route::{Link, LinkRef, RouteSocket};

use super::bridge::{self, failed};
use super::endpoint::{delete_link, link_name};
use super::record::{DEFAULT_NETWORK, Network, network};
use super::rules::{Content, Table};
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
    let Some(network) = network(store, DEFAULT_NETWORK)? else { return Ok(Vec::new()) };
    let mut route = RouteSocket::open().map_err(failed)?;
    let links: BTreeMap<String, Link> =
        route.links().map_err(failed)?.into_iter().map(|link| (link.name.clone(), link)).collect();
    let bridge = links.get(&network.bridge);
    let mut faults = Vec::new();
    if !running.is_empty() {
        if bridge.is_none_or(|bridge| !bridge.up) {
            faults.push(Fault::Bridge(network.bridge.clone()));
        }
        if !bridge::is_forwarding()? {
            faults.push(Fault::Forwarding);
        }
        let (table, content) = (Table::of(store), Content::read(store)?);
        let found = table.faults(&mut NftSocket::open().map_err(failed)?, &content)?;
        if !found.is_empty() {
            faults.push(Fault::Firewall(table.name().to_owned(), found.join(", ")));
        }
    }
    let master = bridge.map(|bridge| bridge.index);
    for container in running {
        let name = link_name(container);
        match links.get(&name) {
            None => faults.push(Fault::LinkGone(container.clone(), name)),
            Some(link) if !link.up || link.master != master || master.is_none() => {
                faults.push(Fault::LinkLoose(container.clone(), name));
            }
            Some(_) => {}
        }
    }
    if let Some(master) = master {
        let inside = links.values().filter(|link| link.master == Some(master));
        let stray = inside.filter(|link| link.name.starts_with("wh") && !owned(&link.name));
        faults.extend(stray.map(|link| Fault::LinkStray(link.name.clone())));
    }
    Ok(faults)
}

/// Mends one of them, where that is possible.
pub(crate) fn mend(store: &Store, fault: &Fault) -> Result<()> {
    let mut route = RouteSocket::open().map_err(failed)?;
    let raise = |route: &mut RouteSocket| match network(store, DEFAULT_NETWORK)? {
        Some(Network { bridge, subnet, gateway, .. }) => {
            bridge::raise(route, &bridge, subnet.block(gateway)).map(Some)
        }
        None => Ok(None),
    };
    match fault {
        Fault::Bridge(_) => raise(&mut route).map(drop),
        Fault::Forwarding => bridge::enable_forwarding().map(drop),
        Fault::Firewall(..) => {
            Table::of(store).restore(&mut NftSocket::open().map_err(failed)?, store)
        }
        Fault::LinkGone(..) => Ok(()),
        Fault::LinkLoose(_, link) => {
            let Some(master) = raise(&mut route)? else { return Ok(()) };
            let mut batch = Batch::new();
            batch.join_bridge(link, master);
            batch.set_up(LinkRef::Name(link));
            route.apply(batch).map(drop).map_err(failed)
        }
        Fault::LinkStray(link) => delete_link(&mut route, link),
    }
}
