//! Who is on a network, and by which names: what the name servers of its containers answer from.

use std::net::{Ipv4Addr, Ipv6Addr};

use wharf_model::ContainerId;

use super::endpoint;
use crate::Result;
use crate::state::Store;

/// A container on a network, as others on it find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The container, whose short id is a name too.
    pub container: ContainerId,
    /// The container's name.
    pub name: String,
    /// Its further names on this network.
    pub aliases: Vec<String>,
    /// Its host name.
    pub hostname: String,
    /// What it alone calls others, as docker has it: `CONTAINER:NAME`.
    pub links: Vec<String>,
    /// Its IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
}

/// Returns the containers on a network that have their addresses now, in the order of their ids.
/// `network` is the network's id.
///
/// # Errors
/// When the database can't be read.
pub fn names(store: &Store, network: &str) -> Result<Vec<Names>> {
    let mut name = store.connection().prepare_cached("SELECT name FROM container WHERE id = ?1")?;
    let mut found = Vec::new();
    for endpoint in endpoint::endpoints_on(store, network)? {
        let container = endpoint.container().clone();
        // One that was run with --rm has no row any more while it gives its address back.
        let Ok(name) = name.query_row([container.as_str()], |row| row.get(0)) else { continue };
        found.push(Names {
            container,
            name,
            aliases: endpoint.options().aliases.clone(),
            hostname: endpoint.hostname().to_owned(),
            links: endpoint.options().links.clone(),
            ipv4: endpoint.ipv4(),
            ipv6: endpoint.ipv6(),
        });
    }
    Ok(found)
}
