//! Networks: their documents, and the requests that change them.

use std::collections::{BTreeMap, HashMap};

use bollard::models;
use bollard::query_parameters::PruneNetworksOptionsBuilder;
use chrono::{DateTime, Utc};
use wharf_model::{
    AddressPool, EndpointOptions, ErrorKind, Filters, NetworkCreateOptions, NetworkEndpoint,
    NetworkInfo, Outcome,
};

use super::transport::{full, segment};
use super::{Docker, container_segment, error, list};
use crate::{Error, Result};

impl Docker {
    /// Returns the networks that are wanted, by name.
    pub(super) async fn network_list(&self, filters: &Filters) -> Result<Vec<NetworkInfo>> {
        let filters = serde_json::to_string(filters)
            .map_err(|cause| error::malformed("network list", cause))?;
        let reply = self.transport.get("/networks", &[("filters", &filters)]).await?;
        // The rows of a list lack some of what a document has, and have nothing that it lacks.
        let rows: Vec<models::NetworkInspect> = reply.json().await?;
        let mut networks: Vec<NetworkInfo> = rows.into_iter().map(network).collect();
        networks.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        Ok(networks)
    }

    /// Returns one network.
    pub(super) async fn one_network(&self, name: &str) -> Result<NetworkInfo> {
        let path = format!("/networks/{}", network_segment(name)?);
        Ok(network(self.transport.get(&path, &[]).await?.json().await?))
    }

    /// Returns a network's document as the engine has it.
    pub(super) async fn network_document(&self, name: &str) -> Result<serde_json::Value> {
        let path = format!("/networks/{}", network_segment(name)?);
        self.transport.get(&path, &[]).await?.json().await
    }

    pub(super) async fn create_network(&self, options: NetworkCreateOptions) -> Result<Outcome> {
        let failed = |cause| error::malformed("network create", cause);
        let mut body = serde_json::to_value(request(options)).map_err(failed)?;
        // Engines before 25 make a second network of the same name unless told not to.
        body["CheckDuplicate"] = true.into();
        let body = full(serde_json::to_vec(&body).map_err(failed)?);
        let reply = self.transport.post("/networks/create", &[], body, "application/json").await?;
        let answer: models::NetworkCreateResponse = reply.json().await?;
        Ok(Outcome::NetworkCreated {
            id: answer.id,
            warnings: Some(answer.warning).filter(|text| !text.is_empty()).into_iter().collect(),
        })
    }

    pub(super) async fn remove_network(&self, network: &str, force: bool) -> Result<Outcome> {
        let removed = self.client.remove_network(&network_segment(network)?).await;
        match removed.map_err(Error::from) {
            Ok(()) => Ok(Outcome::Done),
            Err(error) if force && error.kind == ErrorKind::NotFound => Ok(Outcome::NotModified),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn connect_network(
        &self,
        container: &str,
        endpoint: EndpointOptions,
    ) -> Result<Outcome> {
        container_segment(container)?;
        let network = network_segment(&endpoint.network)?;
        let body = models::NetworkConnectRequest {
            container: container.to_owned(),
            endpoint_config: Some(settings(endpoint)),
        };
        self.client.connect_network(&network, body).await?;
        Ok(Outcome::Done)
    }

    pub(super) async fn disconnect_network(
        &self,
        container: &str,
        network: &str,
        force: bool,
    ) -> Result<Outcome> {
        let body = models::NetworkDisconnectRequest {
            container: container.to_owned(),
            force: Some(force),
        };
        self.client.disconnect_network(&network_segment(network)?, body).await?;
        Ok(Outcome::Done)
    }

    pub(super) async fn prune_networks(&self, filters: &Filters) -> Result<Outcome> {
        let options = PruneNetworksOptionsBuilder::default().filters(&list::map(filters)).build();
        let answer = self.client.prune_networks(Some(options)).await?;
        let deleted = answer.networks_deleted.unwrap_or_default();
        Ok(Outcome::NetworksPruned { deleted, failed: Vec::new() })
    }
}

/// Returns a network's name or id as a path segment.
fn network_segment(network: &str) -> Result<String> {
    // URLs give these a meaning of their own, escaped or not.
    if matches!(network, "" | "." | "..") {
        return Err(Error::new(ErrorKind::NotFound, format!("network {network} not found")));
    }
    Ok(segment(network))
}

/// Returns how a container is to be on a network, as the API has it.
pub(super) fn settings(endpoint: EndpointOptions) -> models::EndpointSettings {
    let filled = |list: Vec<String>| (!list.is_empty()).then_some(list);
    let local: Vec<String> = endpoint.link_local.iter().map(ToString::to_string).collect();
    let addressed = endpoint.ipv4.is_some() || endpoint.ipv6.is_some() || !local.is_empty();
    models::EndpointSettings {
        ipam_config: addressed.then(|| models::EndpointIpamConfig {
            ipv4_address: endpoint.ipv4.map(|address| address.to_string()),
            ipv6_address: endpoint.ipv6.map(|address| address.to_string()),
            link_local_ips: filled(local),
        }),
        aliases: filled(endpoint.aliases),
        links: filled(endpoint.links),
        mac_address: endpoint.mac,
        driver_opts: (!endpoint.driver_options.is_empty())
            .then(|| endpoint.driver_options.into_iter().collect()),
        gw_priority: (endpoint.gateway_priority != 0).then_some(endpoint.gateway_priority),
        ..Default::default()
    }
}

fn request(options: NetworkCreateOptions) -> models::NetworkCreateRequest {
    let filled = |map: BTreeMap<String, String>| -> Option<HashMap<String, String>> {
        (!map.is_empty()).then(|| map.into_iter().collect())
    };
    let pool = |pool: AddressPool| models::IpamConfig {
        subnet: pool.subnet.map(|subnet| subnet.to_string()),
        ip_range: pool.ip_range.map(|range| range.to_string()),
        gateway: pool.gateway.map(|gateway| gateway.to_string()),
        auxiliary_addresses: filled(
            pool.aux_addresses.into_iter().map(|(name, ip)| (name, ip.to_string())).collect(),
        ),
    };
    models::NetworkCreateRequest {
        name: options.name,
        driver: Some(options.driver).filter(|driver| !driver.is_empty()),
        internal: Some(options.internal),
        attachable: Some(options.attachable),
        enable_ipv4: options.ipv4,
        enable_ipv6: options.ipv6,
        ipam: (!options.pools.is_empty()).then(|| models::Ipam {
            config: Some(options.pools.into_iter().map(pool).collect()),
            ..Default::default()
        }),
        options: filled(options.options),
        labels: filled(options.labels),
        ..Default::default()
    }
}

fn network(document: models::NetworkInspect) -> NetworkInfo {
    let sorted = |map: Option<HashMap<String, String>>| -> BTreeMap<String, String> {
        map.unwrap_or_default().into_iter().collect()
    };
    let pools = document.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    let mut endpoints: Vec<NetworkEndpoint> = document
        .containers
        .unwrap_or_default()
        .into_iter()
        // Services of a cluster have keys of their own (`lb-…`).
        .filter_map(|(id, resource)| endpoint(&id, resource))
        .collect();
    endpoints.sort_by(|a, b| a.name.cmp(&b.name));
    NetworkInfo {
        id: document.id.unwrap_or_default(),
        name: document.name.unwrap_or_default(),
        created: document
            .created
            .and_then(|text| list::instant(&text))
            .unwrap_or(DateTime::<Utc>::UNIX_EPOCH),
        scope: document.scope.unwrap_or_default(),
        driver: document.driver.unwrap_or_default(),
        // Engines before 28 don't say so, and have it always.
        ipv4: document.enable_ipv4.unwrap_or(true),
        ipv6: document.enable_ipv6.unwrap_or(false),
        pools: pools.into_iter().map(pool).collect(),
        internal: document.internal.unwrap_or(false),
        attachable: document.attachable.unwrap_or(false),
        options: sorted(document.options),
        labels: sorted(document.labels),
        endpoints,
    }
}

fn pool(config: models::IpamConfig) -> AddressPool {
    let aux = config.auxiliary_addresses.unwrap_or_default();
    AddressPool {
        subnet: config.subnet.and_then(|text| text.parse().ok()),
        ip_range: config.ip_range.and_then(|text| text.parse().ok()),
        gateway: config.gateway.and_then(|text| text.parse().ok()),
        aux_addresses: aux
            .into_iter()
            .filter_map(|(name, text)| Some((name, text.parse().ok()?)))
            .collect(),
    }
}

fn endpoint(id: &str, resource: models::EndpointResource) -> Option<NetworkEndpoint> {
    let block = |text: Option<String>| text.and_then(|text| text.parse().ok());
    Some(NetworkEndpoint {
        container: id.parse().ok()?,
        name: resource.name.unwrap_or_default(),
        endpoint_id: resource.endpoint_id.unwrap_or_default(),
        mac: resource.mac_address.unwrap_or_default(),
        ipv4: block(resource.ipv4_address),
        ipv6: block(resource.ipv6_address),
        link: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_of_dockerd_becomes_a_network() {
        // Captured from Docker 20.10 (`GET /networks/back`).
        let document = r#"{"Name":"back","Id":"5c1f","Created":"2026-03-01T10:00:00.5Z",
            "Scope":"local","Driver":"bridge","EnableIPv6":false,"IPAM":{"Driver":"default",
            "Options":null,"Config":[{"Subnet":"172.19.0.0/16","Gateway":"172.19.0.1",
            "IPRange":"","AuxiliaryAddresses":{"router":"172.19.0.9"}}]},"Internal":true,
            "Attachable":false,"Ingress":false,"ConfigFrom":{"Network":""},"ConfigOnly":false,
            "Containers":{"3b0fc9a5c0d6f0b7d4b0ff9a1e2ef1a7fc19ab1d0d4c0ab77ffb4a2e1cf5a6de":
            {"Name":"db","EndpointID":"e1","MacAddress":"02:42:ac:13:00:02",
            "IPv4Address":"172.19.0.2/16","IPv6Address":""},"lb-x":{"Name":"x"}},
            "Options":{"com.docker.network.bridge.enable_icc":"false"},"Labels":null}"#;
        let network = network(serde_json::from_str(document).unwrap());
        assert_eq!((network.name.as_str(), network.internal), ("back", true));
        assert_eq!((network.ipv4, network.ipv6), (true, false));
        assert_eq!(network.pools[0].subnet, "172.19.0.0/16".parse().ok());
        assert_eq!(network.pools[0].gateway, "172.19.0.1".parse().ok());
        assert_eq!(network.pools[0].ip_range, None);
        assert_eq!(network.pools[0].aux_addresses.len(), 1);
        assert_eq!(network.endpoints.len(), 1);
        assert_eq!(network.endpoints[0].ipv4, "172.19.0.2/16".parse().ok());
        assert_eq!(network.endpoints[0].ipv6, None);
        assert_eq!(network.options.len(), 1);
    }

    #[test]
    fn what_is_asked_for_becomes_a_request() {
        let options = NetworkCreateOptions {
            name: "back".to_owned(),
            internal: true,
            pools: vec![AddressPool {
                subnet: "10.9.0.0/24".parse().ok(),
                gateway: "10.9.0.7".parse().ok(),
                ..AddressPool::default()
            }],
            ..NetworkCreateOptions::default()
        };
        let body = serde_json::to_value(request(options)).unwrap();
        assert_eq!(body["Name"], "back");
        assert_eq!(body["Internal"], true);
        assert_eq!(body.get("Driver"), None);
        assert_eq!(body["IPAM"]["Config"][0]["Subnet"], "10.9.0.0/24");
        assert_eq!(body["IPAM"]["Config"][0]["Gateway"], "10.9.0.7");
        let endpoint = EndpointOptions {
            network: "back".to_owned(),
            ipv4: Some([10, 9, 0, 4].into()),
            aliases: vec!["store".to_owned()],
            ..EndpointOptions::default()
        };
        let body = serde_json::to_value(settings(endpoint)).unwrap();
        assert_eq!(body["IPAMConfig"]["IPv4Address"], "10.9.0.4");
        assert_eq!(body["Aliases"], serde_json::json!(["store"]));
        assert_eq!(body.get("MacAddress"), None);
    }
}
