//! Networks, endpoints and address leases.
//!
//! The default network is a bridge of its own for each engine root, with one IPv4 subnet, and NAT
//! to the outside by an nf_tables table of each root. A start goes
//! through three hands: [`prepare`] leases an address and journals the link's name in `state.db`,
//! [`Endpoint::connect`] makes the veth pair from the host's side, and the container's init calls
//! [`Endpoint::configure_inside`] in its own namespace. [`Endpoint::disconnect`] takes it back;
//! [`sweep`] takes back what a crash left.
//!
//! All of it is netlink: no program is run, nothing is polled. Bridge, subnet and rules are looked
//! at on each start (three questions, some ten microseconds each) and only made when missing, so
//! the engine survives whatever was done to them from outside.

mod bridge;
pub(crate) mod check;
mod endpoint;
pub mod files;
mod lease;
pub(crate) mod publish;
mod record;
pub(crate) mod rules;
mod subnet;
mod sweep;

pub(crate) use bridge::forecast;
pub use endpoint::{Endpoint, endpoint, endpoints, loopback_up, prepare};
pub(crate) use endpoint::{lease_owners, link_name};
pub use record::{DEFAULT_NETWORK, Network, network};
pub use subnet::Subnet;
pub use sweep::{release, remove_network, sweep};

/// What docker sets in each container's network namespace, so that any user may ping and listen on
/// low ports: files below `/proc/sys`, written inside before that is made read-only.
pub const NAMESPACE_SETTINGS: [(&str, &str); 2] =
    [("net/ipv4/ip_unprivileged_port_start", "0"), ("net/ipv4/ping_group_range", "0 2147483647")];

#[cfg(test)]
mod tests;
