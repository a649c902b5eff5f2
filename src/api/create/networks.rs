//! How a container is to be on its networks.

use bollard_stubs::models::{EndpointSettings, NetworkingConfig};
use serde_json::{Value, json};
use wharf_model::{EndpointOptions, HostConfig, NetworkMode};

use crate::answer::Refusal;

/// Gives networks of which nothing is said an empty document.
pub(super) fn fill(document: &mut Value) {
    let configs = document.pointer_mut("/NetworkingConfig/EndpointsConfig");
    if let Some(Value::Object(configs)) = configs {
        for (_, config) in configs.iter_mut().filter(|(_, config)| config.is_null()) {
            *config = json!({});
        }
    }
}

/// What clients of old say of the first network alone.
pub(super) struct Old {
    pub(super) mac: Option<String>,
    pub(super) links: Vec<String>,
}

/// Returns how the container is to be on each network, if more is said than the network mode does.
/// The network of the mode comes first; a mode that names none takes the first one.
pub(super) fn wanted(
    host: &mut HostConfig,
    config: NetworkingConfig,
    old: Old,
) -> Result<Vec<EndpointOptions>, Refusal> {
    let mut networks = Vec::new();
    let mut configs: Vec<(String, EndpointSettings)> =
        config.endpoints_config.unwrap_or_default().into_iter().collect();
    configs.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (name, settings) in configs {
        let name = if name == "default" { "bridge".to_owned() } else { name };
        networks.push(endpoint(name, settings)?);
    }
    let own = match &host.network_mode {
        NetworkMode::Bridge => "bridge".to_owned(),
        NetworkMode::Named(name) => name.clone(),
        other => {
            // Such a place has no settings; docker's client sends empty ones.
            let named = other.to_string();
            let plain = |one: &EndpointOptions| *one == self::plain(&one.network);
            if let Some(one) = networks.iter().find(|one| one.network != named || !plain(one)) {
                return Err(Refusal::invalid(format!(
                    "conflicting options: network {} and network mode {named}",
                    one.network
                )));
            }
            // What the engine refuses by name.
            let Old { mac, links } = old;
            let own = EndpointOptions { mac, links, ..self::plain(&named) };
            return Ok(if plain(&own) { Vec::new() } else { vec![own] });
        }
    };
    let at = networks.iter().position(|one| one.network == own);
    let mut first = at.map_or_else(|| plain(&own), |at| networks.remove(at));
    if first.mac.is_none() {
        first.mac = old.mac;
    }
    for link in old.links {
        // A container alone is called by its own name.
        let link = if link.contains(':') { link } else { format!("{link}:{link}") };
        if !first.links.contains(&link) {
            first.links.push(link);
        }
    }
    if networks.is_empty() && first == plain(&own) {
        return Ok(Vec::new());
    }
    networks.insert(0, first);
    Ok(networks)
}

fn plain(network: &str) -> EndpointOptions {
    EndpointOptions { network: network.to_owned(), ..EndpointOptions::default() }
}

/// Returns how a container is to be on one network.
///
/// # Errors
/// When an address is none.
pub(crate) fn endpoint(
    network: String,
    settings: EndpointSettings,
) -> Result<EndpointOptions, Refusal> {
    let addresses = settings.ipam_config.unwrap_or_default();
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    fn address<T: std::str::FromStr>(text: Option<String>) -> Result<Option<T>, Refusal> {
        text.map(|text| {
            text.parse().map_err(|_| Refusal::invalid(format!("invalid IP address: {text}")))
        })
        .transpose()
    }
    let link_local = addresses.link_local_ips.unwrap_or_default().into_iter().map(Some);
    let link_local: Result<Vec<Option<_>>, Refusal> = link_local.map(address).collect();
    Ok(EndpointOptions {
        network,
        ipv4: address(filled(addresses.ipv4_address))?,
        ipv6: address(filled(addresses.ipv6_address))?,
        aliases: settings.aliases.unwrap_or_default(),
        links: settings.links.unwrap_or_default(),
        link_local: link_local?.into_iter().flatten().collect(),
        mac: filled(settings.mac_address),
        driver_options: settings.driver_opts.unwrap_or_default().into_iter().collect(),
        gateway_priority: settings.gw_priority.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mode: &str, config: &Value) -> Result<Vec<EndpointOptions>, String> {
        let mut host = HostConfig { network_mode: mode.to_owned().into(), ..HostConfig::default() };
        let mut document = json!({"NetworkingConfig": {"EndpointsConfig": config}});
        fill(&mut document);
        let config = serde_json::from_value(document["NetworkingConfig"].take()).unwrap();
        let old = Old { mac: None, links: Vec::new() };
        wanted(&mut host, config, old).map_err(|refusal| refusal.message)
    }

    #[test]
    fn what_a_place_cannot_have_is_passed_on_to_be_refused() {
        for mode in ["none", "host", "container:other"] {
            let mut host =
                HostConfig { network_mode: mode.to_owned().into(), ..HostConfig::default() };
            let old = Old { mac: None, links: vec!["db:data".to_owned()] };
            let networks = wanted(&mut host, NetworkingConfig::default(), old).unwrap();
            assert_eq!((networks[0].network.as_str(), networks[0].links.len()), (mode, 1));
        }
    }

    #[test]
    fn the_network_of_the_mode_comes_first() {
        assert_eq!(read("default", &json!({"default": null})), Ok(Vec::new()));
        assert_eq!(read("none", &json!({"none": null})), Ok(Vec::new()));
        assert_eq!(read("b", &json!({"b": {}})), Ok(Vec::new()));
        let networks = read("b", &json!({"a": {"Aliases": ["x"]}, "b": {}})).unwrap();
        assert_eq!(networks.iter().map(|n| n.network.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        let ip = json!({"b": {"IPAMConfig": {"IPv4Address": "10.1.2.3", "IPv6Address": ""}}});
        assert_eq!(read("b", &ip).unwrap()[0].ipv4, Some("10.1.2.3".parse().unwrap()));
        let bad = json!({"b": {"IPAMConfig": {"IPv4Address": "x"}}});
        assert!(read("b", &bad).unwrap_err().contains("invalid IP address: x"));
        assert!(read("host", &json!({"a": {}})).unwrap_err().contains("conflicting options"));
    }
}
