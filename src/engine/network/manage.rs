//! The verbs about networks: make, list, remove, and who is on them.

use chrono::Utc;
use rusqlite::Transaction;
use wharf_inspect::filter::{NetworkFilter, NetworkPruneFilter};
use wharf_model::{
    EndpointDetail, EndpointOptions, ErrorKind, Event, EventKind, Filters, NetworkCreateOptions,
    NetworkEndpoint, NetworkInfo, NetworkMode, Status,
};

use super::driver::Driver;
use super::endpoint::{self, Endpoint};
use super::record::{self, Network};
use super::{establish, sweep};
use crate::channel::Request;
use crate::engine::Engine;
use crate::state::{Record, Store, add_event};
use crate::{Error, Result, userns};

fn conflict(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Conflict, text)
}

/// Networks that were removed together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrunedNetworks {
    /// The names of those that are gone.
    pub deleted: Vec<String>,
    /// Why others are still there.
    pub failed: Vec<String>,
}

/// Adds an event about a network within a transaction that makes it true.
pub(super) fn tell(
    transaction: &Transaction<'_>,
    network: &Network,
    action: &str,
    container: Option<&str>,
) -> Result<()> {
    let text = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let mut attributes: std::collections::BTreeMap<String, String> =
        [text("name", &network.name), text("type", network.driver.as_str())].into();
    attributes.extend(container.map(|container| text("container", container)));
    let event = Event {
        time: Utc::now(),
        kind: EventKind::Network,
        action: action.to_owned(),
        id: network.id.clone(),
        attributes,
    };
    add_event(transaction, &event)
}

/// Returns how a container is, or will be, on each of its networks.
pub(crate) fn places(store: &Store, record: &Record) -> Result<Vec<EndpointDetail>> {
    let alive = record.observed.state.status.is_alive();
    let held = match alive {
        true => endpoint::endpoints_of(store, &record.id)?,
        false => Vec::new(),
    };
    let mut wanted = record.spec.networks();
    // Docker lists the two that give no address as well.
    if matches!(record.spec.host.network_mode, NetworkMode::Host | NetworkMode::None) {
        let network = record.spec.host.network_mode.to_string();
        wanted.push(EndpointOptions { network, ..EndpointOptions::default() });
    }
    let place = |options: EndpointOptions| -> Result<EndpointDetail> {
        if let Some(held) = held.iter().find(|held| held.network().name == options.network) {
            return Ok(held.detail(&record.name));
        }
        let known = record::read(store.connection(), &options.network)?;
        let network_id = known.map(|network| network.id).unwrap_or_default();
        Ok(EndpointDetail { options, network_id, ..EndpointDetail::default() })
    };
    wanted.into_iter().map(place).collect()
}

/// Returns a network as lists show it, with the running containers on it.
fn info(store: &Store, network: &Network) -> Result<NetworkInfo> {
    let mut endpoints = Vec::new();
    for endpoint in endpoint::endpoints_on(store, &network.id)? {
        let Ok(record) = store.container(endpoint.container().as_str()) else { continue };
        if record.observed.state.status.is_alive() {
            endpoints.push(shown(&endpoint, record.name));
        }
    }
    endpoints.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(NetworkInfo {
        id: network.id.clone(),
        name: network.name.clone(),
        created: network.created,
        scope: "local".to_owned(),
        driver: network.driver.as_str().to_owned(),
        ipv4: network.ipv4.is_some() || network.pools().next().is_none(),
        ipv6: network.ipv6.is_some(),
        pools: network.pools().map(super::Pool::shown).collect(),
        internal: network.internal,
        attachable: network.attachable,
        options: network.options.clone(),
        labels: network.labels.clone(),
        endpoints,
    })
}

fn shown(endpoint: &Endpoint, name: String) -> NetworkEndpoint {
    NetworkEndpoint {
        container: endpoint.container().clone(),
        name,
        endpoint_id: endpoint.id().to_owned(),
        mac: endpoint.info().mac,
        ipv4: endpoint.net(true),
        ipv6: endpoint.net(false),
        link: endpoint.is_on_host().then(|| endpoint.link().to_owned()),
    }
}

impl Engine {
    /// Brings the rows of networks in order: those that are always there are there, and those whose
    /// removal was cut short are gone.
    fn settle_networks(&self, store: &mut Store) -> Result<()> {
        establish::predefined(store, self.network_settings())?;
        sweep::finish_removals(store)
    }

    /// Returns the networks that are wanted, by name.
    ///
    /// # Errors
    /// When a filter means nothing, or the database refuses.
    pub fn networks(&self, filters: &Filters) -> Result<Vec<NetworkInfo>> {
        let filter = NetworkFilter::new(filters)
            .map_err(|cause| Error::new(ErrorKind::Invalid, cause.to_string()))?;
        // Corrects what the rows say of containers that no longer run.
        self.running()?;
        self.with_store(|store| {
            self.settle_networks(store)?;
            let mut found = Vec::new();
            for network in record::networks(store)? {
                let info = info(store, &network)?;
                found.extend(filter.matches(&info).then_some(info));
            }
            Ok(found)
        })
    }

    /// Returns one network, by name, id or the beginning of an id.
    ///
    /// # Errors
    /// When there is none, or several ids begin so.
    pub fn network(&self, reference: &str) -> Result<NetworkInfo> {
        self.running()?;
        self.with_store(|store| {
            self.settle_networks(store)?;
            let network = record::find(store.connection(), reference)?;
            info(store, &network)
        })
    }

    /// Makes a network, and returns its id and what the user should know.
    ///
    /// # Errors
    /// Docker's sentences; nothing is left behind then.
    pub fn create_network(&self, options: &NetworkCreateOptions) -> Result<(String, Vec<String>)> {
        self.with_store(|store| {
            self.settle_networks(store)?;
            let (network, warnings) = establish::create(store, options, self.network_settings())?;
            Ok((network.id, warnings))
        })
    }

    /// Removes a network that no container is on; with `force`, one that isn't there counts as
    /// removed.
    ///
    /// # Errors
    /// When it isn't there, is one of those that are always there, or a container is on it.
    pub fn remove_network(&self, reference: &str, force: bool) -> Result<()> {
        self.running()?;
        self.with_store(|store| {
            self.settle_networks(store)?;
            let network = match record::find(store.connection(), reference) {
                Err(error) if force && error.kind() == ErrorKind::NotFound => return Ok(()),
                found => found?,
            };
            if network.is_predefined() {
                return Err(Error::new(
                    ErrorKind::Denied,
                    format!("{} is a pre-defined network and cannot be removed", network.name),
                ));
            }
            self.settle_leases(store, &network)?;
            sweep::remove(store, &network)
        })
    }

    /// Waits for supervisors that are still giving back addresses of this network: their containers
    /// have ended.
    fn settle_leases(&self, store: &mut Store, network: &Network) -> Result<()> {
        for endpoint in endpoint::endpoints_on(store, &network.id)? {
            match store.container(endpoint.container().as_str()) {
                Ok(record) if !record.observed.state.status.is_alive() => {
                    self.settled(store, &record)?;
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => self.settle_all(store)?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Removes the networks that no container is on and that `filters` lets through.
    ///
    /// # Errors
    /// When a filter means nothing, or the database refuses. A network that can't be removed is
    /// reported and passed over.
    pub fn prune_networks(&self, filters: &Filters) -> Result<PrunedNetworks> {
        let filter = NetworkPruneFilter::new(filters, Utc::now())
            .map_err(|cause| Error::new(ErrorKind::Invalid, cause.to_string()))?;
        let mut pruned = PrunedNetworks::default();
        for network in self.networks(&Filters::default())? {
            let predefined = matches!(network.name.as_str(), "bridge" | "host" | "none");
            if predefined || !network.endpoints.is_empty() || !filter.matches(&network) {
                continue;
            }
            match self.remove_network(&network.id, false) {
                Ok(()) => pruned.deleted.push(network.name),
                // Somebody has removed it, or joined it, meanwhile.
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Conflict) => {
                }
                Err(error) => pruned.failed.push(format!("remove {}: {error}", network.name)),
            }
        }
        self.with_store(|store| store.add_prune_event(EventKind::Network, 0))?;
        Ok(pruned)
    }

    /// Puts a container on one more network: now if it runs, and at each start.
    ///
    /// # Errors
    /// Docker's sentences; the container is then as it was.
    pub fn connect(&self, reference: &str, options: &EndpointOptions) -> Result<()> {
        self.with_store(|store| {
            let record = store.container(reference)?;
            let record = self.refreshed(store, record)?;
            self.settle_networks(store)?;
            let network = record::find(store.connection(), &options.network)?;
            let mut options = options.clone();
            options.network.clone_from(&network.name);
            options.links = resolved_links(store, &options.links)?;
            check_join(&record, &network, &options)?;
            self.change_networks(store, &record, &Request::Connect(Box::new(options.clone())), {
                |store, record| {
                    let mut networks = record.spec.networks();
                    networks.retain(|other| other.network != options.network);
                    networks.push(options.clone());
                    record.spec.networks = Some(networks);
                    store.change_spec(record, None)
                }
            })
        })
    }

    /// Takes a container from a network: now if it runs, and for each start to come.
    ///
    /// # Errors
    /// When it isn't on it; with `force`, a container that isn't there is no error of its own.
    pub fn disconnect(&self, reference: &str, network: &str, force: bool) -> Result<()> {
        self.with_store(|store| {
            self.settle_networks(store)?;
            let network = record::find(store.connection(), network)?;
            let record = match store.container(reference) {
                Err(error) if force && error.kind() == ErrorKind::NotFound => {
                    return Err(Error::new(
                        ErrorKind::NotFound,
                        format!("endpoint {reference} not found"),
                    ));
                }
                found => self.refreshed(store, found?)?,
            };
            check_leave(&record, &network)?;
            self.change_networks(store, &record, &Request::Disconnect(network.name.clone()), {
                |store, record| {
                    check_leave(record, &network)?;
                    let mut networks = record.spec.networks();
                    networks.retain(|other| other.network != network.name);
                    record.spec.networks = Some(networks);
                    store.change_spec(record, None)
                }
            })
        })
    }

    /// Has a container's supervisor change its networks, or changes the row of one without.
    fn change_networks(
        &self,
        store: &mut Store,
        record: &Record,
        request: &Request,
        change: impl FnOnce(&mut Store, &mut Record) -> Result<()>,
    ) -> Result<()> {
        let supervised = |status: Status| status.is_alive() || status == Status::Restarting;
        if supervised(record.observed.state.status) {
            match self.ask_running(record, request) {
                // It has just ended.
                Err(error) if error.kind() == ErrorKind::NotModified => {}
                answer => return answer.map(drop),
            }
        }
        let (_verbs, mut record) = self.locked(store, record.id.as_str())?;
        match supervised(record.observed.state.status) {
            true => self.ask(&record, request).map(drop),
            false => change(store, &mut record),
        }
    }
}

/// Returns links with the others by their ids: their names may change.
pub(crate) fn resolved_links(store: &Store, links: &[String]) -> Result<Vec<String>> {
    let resolved = |link: &String| {
        let (other, alias) = link.split_once(':').unwrap_or((link, link));
        let record = store.container(other).map_err(|error| {
            Error::new(ErrorKind::Invalid, format!("could not get container for {other}: {error}"))
        })?;
        Ok(format!("{}:{}", record.id, alias.trim_start_matches('/')))
    };
    links.iter().map(resolved).collect()
}

/// Refuses what can't be connected.
pub(crate) fn check_join(
    record: &Record,
    network: &Network,
    options: &EndpointOptions,
) -> Result<()> {
    if !userns::owns_network() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "an ordinary user's engine can't connect containers: links on the host are root's",
        ));
    }
    match (&record.spec.host.network_mode, network.driver) {
        (NetworkMode::Container(_), _) => {
            return Err(Error::new(
                ErrorKind::Invalid,
                "container sharing network namespace with another container or host cannot be \
                 connected to any other network",
            ));
        }
        (NetworkMode::Host, _) | (_, Driver::Host) => {
            return Err(Error::new(
                ErrorKind::Invalid,
                "container cannot be disconnected from host network or connected to host network",
            ));
        }
        (NetworkMode::None, _) | (_, Driver::Null) => {
            return Err(Error::new(
                ErrorKind::Invalid,
                "container cannot be connected to multiple networks with one of the networks in \
                 private (none) mode",
            ));
        }
        _ => {}
    }
    endpoint::check(network, options)?;
    let already = record.spec.networks().iter().any(|other| other.network == network.name);
    match already && record.observed.state.status.is_alive() {
        true => Err(Error::new(
            ErrorKind::Denied,
            format!(
                "endpoint with name {} already exists in network {}",
                record.name, network.name
            ),
        )),
        false => Ok(()),
    }
}

/// Refuses to take a container from a network that it isn't on.
pub(crate) fn check_leave(record: &Record, network: &Network) -> Result<()> {
    if network.driver == Driver::Host && record.spec.host.network_mode == NetworkMode::Host {
        return Err(conflict(
            "container cannot be disconnected from host network or connected to host network",
        ));
    }
    match record.spec.networks().iter().any(|other| other.network == network.name) {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::Denied,
            format!("container {} is not connected to network {}", record.id, network.name),
        )),
    }
}
