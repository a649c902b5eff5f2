//! Networks: what is asked for, what there is, and who is on it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use chrono::{DateTime, Utc};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::{ContainerId, EndpointInfo};

/// Addresses of a network: one entry of docker's `IPAM.Config`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AddressPool {
    /// All of them; none lets the engine choose.
    pub subnet: Option<IpNet>,
    /// Those that containers get without asking; none means all.
    #[serde(rename = "IPRange")]
    pub ip_range: Option<IpNet>,
    /// The bridge's own, where traffic to the outside goes; none means the first.
    pub gateway: Option<IpAddr>,
    /// Those that somebody else has, by what he is called.
    pub aux_addresses: BTreeMap<String, IpAddr>,
}

/// What `network create` is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkCreateOptions {
    /// The name.
    pub name: String,
    /// `bridge`, `macvlan`, `ipvlan`, …; empty means `bridge`.
    pub driver: String,
    /// Whether nothing leaves it.
    pub internal: bool,
    /// Whether containers may join by hand, which every network of one host allows.
    pub attachable: bool,
    /// Whether it has IPv4 addresses; none means yes.
    #[serde(rename = "EnableIPv4")]
    pub ipv4: Option<bool>,
    /// Whether it has IPv6 addresses; none means no.
    #[serde(rename = "EnableIPv6")]
    pub ipv6: Option<bool>,
    /// Its addresses, at most one entry of each family.
    pub pools: Vec<AddressPool>,
    /// The driver's options (`com.docker.network.bridge.name`, `parent`, …).
    pub options: BTreeMap<String, String>,
    /// The labels.
    pub labels: BTreeMap<String, String>,
}

/// A network, as lists and `network inspect` tell it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkInfo {
    /// The id, 64 hexadecimal digits (a remote engine's may be others).
    pub id: String,
    /// The name.
    pub name: String,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// `local`, or `swarm` and `global` on a cluster.
    pub scope: String,
    /// `bridge`, `macvlan`, `host`, `null`, …
    pub driver: String,
    /// Whether it has IPv4 addresses.
    #[serde(rename = "EnableIPv4")]
    pub ipv4: bool,
    /// Whether it has IPv6 addresses.
    #[serde(rename = "EnableIPv6")]
    pub ipv6: bool,
    /// Its addresses.
    pub pools: Vec<AddressPool>,
    /// Whether nothing leaves it.
    pub internal: bool,
    /// Whether containers may join by hand.
    pub attachable: bool,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The running containers on it, by name. Lists of a remote engine leave them out.
    pub endpoints: Vec<NetworkEndpoint>,
}

/// A running container on a network: an entry of docker's `Containers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkEndpoint {
    /// The container.
    pub container: ContainerId,
    /// Its name.
    pub name: String,
    /// The endpoint's id.
    pub endpoint_id: String,
    /// The hardware address, `02:42:ac:11:00:02` for instance.
    pub mac: String,
    /// The IPv4 address with its prefix.
    pub ipv4: Option<IpNet>,
    /// The IPv6 address with its prefix.
    pub ipv6: Option<IpNet>,
    /// Its end of the pair on this host, whose counters are the edge's rate.
    pub link: Option<String>,
}

/// How a container is to be on one network: docker's `EndpointSettings`, as asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EndpointOptions {
    /// The network, by name or id.
    pub network: String,
    /// The IPv4 address it must have.
    pub ipv4: Option<Ipv4Addr>,
    /// The IPv6 address it must have.
    pub ipv6: Option<Ipv6Addr>,
    /// Further names for it on this network.
    pub aliases: Vec<String>,
    /// Names that this container alone has for others: `CONTAINER:NAME`.
    pub links: Vec<String>,
    /// Link-local addresses it has besides.
    pub link_local: Vec<IpAddr>,
    /// The hardware address it must have.
    pub mac: Option<String>,
    /// The driver's options.
    pub driver_options: BTreeMap<String, String>,
    /// Of several networks, the one with the highest gives the default route.
    pub gateway_priority: i64,
}

/// A container's place on one network, as `inspect` tells it: docker's `EndpointSettings`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EndpointDetail {
    /// How it was asked for; the network is there by its name.
    pub options: EndpointOptions,
    /// The network's id, or empty.
    pub network_id: String,
    /// The endpoint's id; empty, as what follows, while the container isn't there.
    pub endpoint_id: String,
    /// The IPv4 address with its prefix.
    pub ipv4: Option<IpNet>,
    /// The IPv6 address with its prefix.
    pub ipv6: Option<IpNet>,
    /// Where its IPv4 traffic to the outside can go.
    pub gateway: Option<IpAddr>,
    /// Where its IPv6 traffic to the outside can go.
    pub ipv6_gateway: Option<IpAddr>,
    /// The hardware address, or empty.
    pub mac: String,
    /// The names that it is found by on this network.
    pub dns_names: Vec<String>,
}

impl From<&EndpointInfo> for EndpointDetail {
    /// Returns what a list says of a place.
    fn from(place: &EndpointInfo) -> Self {
        let net = IpNet::new(place.ip, place.prefix).ok();
        let of = |ipv4: bool| place.ip.is_ipv4() == ipv4;
        Self {
            options: EndpointOptions { network: place.network.clone(), ..Default::default() },
            ipv4: net.filter(|_| of(true)),
            ipv6: net.filter(|_| of(false)),
            gateway: place.gateway.filter(|_| of(true)),
            ipv6_gateway: place.gateway.filter(|_| of(false)),
            mac: place.mac.clone(),
            ..Self::default()
        }
    }
}

/// A port of a container to be served by the host (`-p`): an entry of docker's `PortBindings`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PublishedPort {
    /// The port in the container.
    pub container_port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The host's address; none means all.
    pub host_ip: Option<IpAddr>,
    /// The host's ports to choose from, first and last; none means any free one.
    pub host_ports: Option<(u16, u16)>,
}

/// A question to the network: can `from` reach `to`?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReachQuestion {
    /// The container that tries: a name, an id, or the beginning of an id.
    pub from: String,
    /// A container, a name that resolves, or an address.
    pub to: String,
    /// The TCP port.
    pub port: u16,
}

/// The answer to a [`ReachQuestion`], of a real attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReachAnswer {
    /// Whether the connection was made.
    pub reached: bool,
    /// Microseconds until it was made or refused.
    pub micros: u64,
    /// What was done and found, a sentence each; the last one is the reason of a no.
    pub steps: Vec<String>,
}
