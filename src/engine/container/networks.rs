//! What `create` checks about a container's networks, in docker's words.

use wharf_model::{CreateOptions, EndpointOptions, ErrorKind, HostConfig, NetworkMode, UsernsMode};

use super::namespaces::other;
use crate::network;
use crate::state::Store;
use crate::{Error, Result, userns};

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

/// The networks of a container to be.
pub(super) struct Settled {
    /// Each with how it is to be there, by its name; none where its network mode says all.
    pub(super) networks: Option<Vec<EndpointOptions>>,
    /// The host name of the container whose network it joins.
    pub(super) hostname: Option<String>,
}

/// Checks what is asked for against the networks that there are, and gives the host's network mode
/// one form.
///
/// # Errors
/// When there is no such network or container, or settings conflict.
pub(super) fn settle(
    store: &mut Store,
    options: &CreateOptions,
    host: &mut HostConfig,
    settings: &network::Settings,
) -> Result<Settled> {
    if let NetworkMode::Container(whose) = &host.network_mode {
        let joined = other(store, whose)?;
        check_joined(options, host)?;
        host.network_mode = NetworkMode::Container(joined.id.to_string());
        let hostname = Some(joined.spec.config.hostname);
        return Ok(Settled { networks: None, hostname });
    }
    let plain = Settled { networks: None, hostname: None };
    if options.networks.is_empty() && !matches!(host.network_mode, NetworkMode::Named(_)) {
        return Ok(plain);
    }
    let wanted = match (host.network_mode.network(), options.networks.is_empty()) {
        (Some(name), true) => {
            vec![EndpointOptions { network: name.to_owned(), ..EndpointOptions::default() }]
        }
        _ => options.networks.clone(),
    };
    if !userns::owns_network() {
        return check_rootless(host, &wanted).map(|()| plain);
    }
    network::predefined(store, settings)?;
    let mut networks: Vec<EndpointOptions> = Vec::new();
    for mut endpoint in wanted {
        // That it isn't there is a mistake in what was asked for, not the lack of an image.
        let known =
            network::find(store, &endpoint.network).map_err(|error| match error.kind() {
                ErrorKind::NotFound => error.with_kind(ErrorKind::Invalid),
                _ => error,
            })?;
        if matches!(known.name.as_str(), "host" | "none") {
            if networks.is_empty() && options.networks.len() < 2 {
                check_addressless(&endpoint)?;
                host.network_mode = NetworkMode::from(known.name);
                return Ok(plain);
            }
            return Err(invalid(format!(
                "conflicting options: network {} can't be combined with others",
                known.name
            )));
        }
        if networks.iter().any(|other| other.network == known.name) {
            return Err(invalid(format!(
                "network {:?} is specified multiple times",
                endpoint.network
            )));
        }
        endpoint.network.clone_from(&known.name);
        endpoint.links = network::resolved_links(store, &endpoint.links)?;
        network::check_options(&known, &endpoint)?;
        networks.push(endpoint);
    }
    if let Some(first) = networks.first() {
        host.network_mode = NetworkMode::from(first.network.clone());
    }
    let of_mode = networks.len() == 1
        && networks.iter().all(|endpoint| {
            let network = endpoint.network.clone();
            *endpoint == EndpointOptions { network, ..EndpointOptions::default() }
        });
    Ok(Settled { networks: (!of_mode).then_some(networks), hostname: None })
}

/// A network without addresses takes nothing that is about one.
fn check_addressless(endpoint: &EndpointOptions) -> Result<()> {
    if endpoint.ipv4.is_some() || endpoint.ipv6.is_some() {
        return Err(invalid(
            "user specified IP address is supported on user defined networks only",
        ));
    }
    if !endpoint.aliases.is_empty() {
        return Err(invalid("network-scoped aliases are only supported for user-defined networks"));
    }
    if !endpoint.links.is_empty() {
        return Err(invalid(
            "conflicting options: host type networking can't be used with links. This would result \
             in undefined behavior",
        ));
    }
    match endpoint.mac {
        None => Ok(()),
        Some(_) => Err(invalid("conflicting options: mac-address and the network mode")),
    }
}

/// What belongs to the network of the other container can't be this one's.
fn check_joined(options: &CreateOptions, host: &HostConfig) -> Result<()> {
    let endpoints = &options.networks;
    let any = |holds: fn(&EndpointOptions) -> bool| endpoints.iter().any(holds);
    for (conflicts, what) in [
        (options.hostname.is_some(), "hostname and the network mode"),
        (
            any(|endpoint| !endpoint.links.is_empty()),
            "container type network can't be used with links. This would result in undefined behavior",
        ),
        (!host.dns.is_empty(), "dns and the network mode"),
        (!host.extra_hosts.is_empty(), "custom host-to-IP mapping and the network mode"),
        (any(|endpoint| endpoint.mac.is_some()), "mac-address and the network mode"),
        (
            !host.published_ports.is_empty() || host.publish_all_ports,
            "port publishing and the container type network mode",
        ),
        (!options.exposed_ports.is_empty(), "port exposing and the container type network mode"),
    ] {
        if conflicts {
            return Err(invalid(format!("conflicting options: {what}")));
        }
    }
    if !matches!(host.userns_mode, UsernsMode::Default | UsernsMode::Host) {
        return Err(invalid(
            "a container with a user namespace of its own can't join another's network: leave out \
             --userns",
        ));
    }
    endpoints.iter().try_for_each(check_addressless)
}

/// An ordinary user's engine has the default network alone, by a helper that takes no settings.
fn check_rootless(host: &HostConfig, wanted: &[EndpointOptions]) -> Result<()> {
    if let NetworkMode::Named(name) = &host.network_mode {
        return Err(invalid(format!(
            "network {name} not found: an ordinary user's engine has none"
        )));
    }
    let plain = |endpoint: &EndpointOptions| {
        let network = endpoint.network.clone();
        *endpoint == EndpointOptions { network, ..EndpointOptions::default() }
    };
    match wanted.len() < 2 && wanted.iter().all(plain) {
        true => Ok(()),
        false => Err(Error::new(
            ErrorKind::Unsupported,
            "an ordinary user's engine takes no settings of a container's network",
        )),
    }
}
