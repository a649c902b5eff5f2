//! Docker's inspect document of a network.

use serde_json::{Map, Value, json};
use wharf_model::{AddressPool, NetworkEndpoint, NetworkInfo};

use crate::document::time;

/// Returns docker's inspect document of a network: one element of what `docker network inspect`
/// prints.
pub fn network_document(network: &NetworkInfo) -> Value {
    let mut containers = Map::new();
    let mut endpoints: Vec<&NetworkEndpoint> = network.endpoints.iter().collect();
    endpoints.sort_by(|one, other| one.container.cmp(&other.container));
    for endpoint in endpoints {
        let text = |net: Option<ipnet::IpNet>| net.map(|net| net.to_string()).unwrap_or_default();
        let shown = json!({
            "Name": endpoint.name,
            "EndpointID": endpoint.endpoint_id,
            "MacAddress": endpoint.mac,
            "IPv4Address": text(endpoint.ipv4),
            "IPv6Address": text(endpoint.ipv6),
        });
        containers.insert(endpoint.container.to_string(), shown);
    }
    let pools: Vec<Value> = network.pools.iter().map(pool).collect();
    json!({
        "Name": network.name,
        "Id": network.id,
        "Created": time(Some(network.created)),
        "Scope": network.scope,
        "Driver": network.driver,
        "EnableIPv4": network.ipv4,
        "EnableIPv6": network.ipv6,
        "IPAM": {"Driver": "default", "Options": {}, "Config": pools},
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": false,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": false,
        "Containers": containers,
        "Options": network.options,
        "Labels": network.labels,
    })
}

/// What isn't set is left out, as docker has it.
fn pool(pool: &AddressPool) -> Value {
    let mut shown = Map::new();
    let mut add = |name: &str, text: Option<String>| {
        shown.extend(text.map(|text| (name.to_owned(), text.into())));
    };
    add("Subnet", pool.subnet.map(|net| net.to_string()));
    add("IPRange", pool.ip_range.map(|net| net.to_string()));
    add("Gateway", pool.gateway.map(|address| address.to_string()));
    if !pool.aux_addresses.is_empty() {
        shown.insert("AuxiliaryAddresses".to_owned(), json!(pool.aux_addresses));
    }
    shown.into()
}
