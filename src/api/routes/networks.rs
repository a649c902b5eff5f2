//! Networks.

use std::sync::Arc;

use bollard_stubs::models::{
    IpamConfig, NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest,
};
use hyper::StatusCode;
use serde_json::{Value, json};
use wharf_backend::Backend;
use wharf_model::{AddressPool, Command, NetworkCreateOptions, Outcome};

use crate::answer::{self, Answered, Refusal};
use crate::create::endpoint;
use crate::request::{Ask, Query};
use crate::server::Server;

pub(crate) async fn list(server: &Arc<Server>, query: &Query) -> Answered {
    let networks = server.engine.networks(&query.filters()?).await?;
    let rows = networks.into_iter().map(|mut network| {
        // A list doesn't say who is on a network.
        network.endpoints.clear();
        wharf_inspect::network_document(&network)
    });
    answer::document(&rows.collect::<Vec<_>>())
}

pub(crate) async fn inspect(server: &Arc<Server>, name: &str, ask: &Ask) -> Answered {
    match ask.query.get("scope").unwrap_or_default() {
        "" | "local" => answer::document(&server.engine.inspect_network(name).await?),
        _ => Err(Refusal::missing(format!("network {name} not found"))),
    }
}

pub(crate) async fn create(server: &Arc<Server>, ask: Ask) -> Answered {
    let mut document: Value = ask.json().await?;
    if let Some(configs) = document.pointer_mut("/IPAM/Config").filter(|list| list.is_null()) {
        *configs = json!([]);
    }
    let request: NetworkCreateRequest = crate::request::typed(document)?;
    let is = |flag: Option<bool>| flag.unwrap_or_default();
    for (name, asked) in [
        ("Ingress", is(request.ingress)),
        ("ConfigOnly", is(request.config_only)),
        (
            "ConfigFrom",
            request.config_from.and_then(|from| from.network).is_some_and(|name| !name.is_empty()),
        ),
        ("Scope", request.scope.is_some_and(|scope| !matches!(scope.as_str(), "" | "local"))),
    ] {
        if asked {
            return Err(Refusal::invalid(format!(
                "{name} is for networks of swarms, of which wharf has none"
            )));
        }
    }
    let ipam = request.ipam.unwrap_or_default();
    let driver = ipam.driver.unwrap_or_default();
    if !matches!(driver.as_str(), "" | "default") {
        return Err(Refusal::invalid(format!(
            "could not resolve driver {driver} in registry: wharf has the default one alone"
        )));
    }
    let pools: Result<Vec<AddressPool>, Refusal> =
        ipam.config.unwrap_or_default().into_iter().map(pool).collect();
    let options = NetworkCreateOptions {
        name: request.name,
        driver: request.driver.unwrap_or_default(),
        internal: is(request.internal),
        attachable: is(request.attachable),
        ipv4: request.enable_ipv4,
        ipv6: request.enable_ipv6,
        pools: pools?,
        options: request.options.unwrap_or_default().into_iter().collect(),
        labels: request.labels.unwrap_or_default().into_iter().collect(),
    };
    match server.engine.execute(Command::CreateNetwork(Box::new(options))).await? {
        Outcome::NetworkCreated { id, warnings } => {
            answer::created(&json!({"Id": id, "Warning": warnings.join("\n")}))
        }
        other => Err(super::unexpected("network create", &other)),
    }
}

fn pool(config: IpamConfig) -> Result<AddressPool, Refusal> {
    fn read<T: std::str::FromStr>(text: Option<String>, what: &str) -> Result<Option<T>, Refusal> {
        text.filter(|text| !text.is_empty())
            .map(|text| {
                text.parse().map_err(|_| Refusal::invalid(format!("invalid {what} {text}")))
            })
            .transpose()
    }
    let mut aux_addresses = std::collections::BTreeMap::new();
    for (name, text) in config.auxiliary_addresses.unwrap_or_default() {
        if let Some(address) = read(Some(text), "auxiliary address")? {
            aux_addresses.insert(name, address);
        }
    }
    Ok(AddressPool {
        subnet: read(config.subnet, "subnet")?,
        ip_range: read(config.ip_range, "ip-range")?,
        gateway: read(config.gateway, "gateway address")?,
        aux_addresses,
    })
}

pub(crate) async fn remove(server: &Arc<Server>, name: &str) -> Answered {
    let command = Command::RemoveNetwork { network: name.to_owned(), force: false };
    server.engine.execute(command).await?;
    answer::done()
}

pub(crate) async fn connect(server: &Arc<Server>, name: &str, ask: Ask) -> Answered {
    let request: NetworkConnectRequest = ask.json().await?;
    let endpoint = endpoint(name.to_owned(), request.endpoint_config.unwrap_or_default())?;
    let command = Command::Connect { container: request.container, endpoint: Box::new(endpoint) };
    server.engine.execute(command).await?;
    Ok(answer::status(StatusCode::OK))
}

pub(crate) async fn disconnect(server: &Arc<Server>, name: &str, ask: Ask) -> Answered {
    let request: NetworkDisconnectRequest = ask.json().await?;
    let command = Command::Disconnect {
        container: request.container,
        network: name.to_owned(),
        force: request.force.unwrap_or_default(),
    };
    server.engine.execute(command).await?;
    Ok(answer::status(StatusCode::OK))
}

pub(crate) async fn prune(server: &Arc<Server>, query: &Query) -> Answered {
    let filters = query.filters()?;
    match server.engine.execute(Command::PruneNetworks { filters }).await? {
        Outcome::NetworksPruned { deleted, .. } => {
            let deleted = if deleted.is_empty() { Value::Null } else { json!(deleted) };
            answer::document(&json!({"NetworksDeleted": deleted}))
        }
        other => Err(super::unexpected("network prune", &other)),
    }
}
