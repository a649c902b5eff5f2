//! Networks, endpoints and address leases.
//!
//! Each engine root has the three networks that are always there, and those that somebody makes; a
//! bridge of its own for each (or, with macvlan, a link of the host's), with a subnet of either
//! family, and NAT to the outside by an nf_tables table of the root. A
//! start goes through three hands: [`prepare`] leases the addresses on one network and journals the
//! link's name in `state.db`, [`Endpoint::connect`] makes the link from the host's side, and the
//! container's init calls [`configure_inside`] in its own namespace. [`Endpoint::disconnect`] takes
//! it back; [`sweep`] takes back what a crash left. A network's row is the journal of its own link.
//!
//! All of it is netlink: no program is run, nothing is polled. Bridge, subnet and rules are looked
//! at on each start (three questions, some ten microseconds each) and only made when missing, so
//! the engine survives whatever was done to them from outside.

mod bridge;
pub(crate) mod check;
mod driver;
mod endpoint;
mod establish;
pub mod files;
mod lease;
pub(crate) mod links;
mod manage;
mod names;
mod pool;
pub(crate) mod publish;
mod reach;
mod record;
pub(crate) mod rules;
mod settings;
mod sweep;

pub(crate) use bridge::forecast;
pub use driver::Driver;
pub use endpoint::{
    Endpoint, Guest, configure_inside, endpoint, endpoints, endpoints_of, endpoints_on,
    loopback_up, prepare,
};
pub(crate) use endpoint::{check as check_options, lease_owners, set_routes, way_out};
pub(crate) use establish::predefined;
pub use manage::PrunedNetworks;
pub(crate) use manage::{check_join, check_leave, places, resolved_links};
pub use names::{Names, names};
pub use pool::{Pool, Supply};
pub use reach::host_addresses;
pub use record::{DEFAULT_NETWORK, Network, NetworkSpec, network, networks};
pub use settings::Settings;
pub(crate) use sweep::{cut_short, finish_removals};
pub use sweep::{release, remove_network, remove_networks, sweep};

/// Returns the network with this name, id, or beginning of an id.
pub(crate) fn find(store: &crate::state::Store, reference: &str) -> crate::Result<Network> {
    record::find(store.connection(), reference)
}

/// What docker sets in each container's network namespace, so that any user may ping and listen on
/// low ports: files below `/proc/sys`, written inside before that is made read-only.
pub const NAMESPACE_SETTINGS: [(&str, &str); 2] =
    [("net/ipv4/ip_unprivileged_port_start", "0"), ("net/ipv4/ping_group_range", "0 2147483647")];

#[cfg(test)]
mod tests;
