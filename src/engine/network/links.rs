//! What the default network's containers call others (`--link`): lines of /etc/hosts, and variables. On
//! the networks that somebody made, name servers know it.

use wharf_model::ErrorKind;

use super::endpoint::{self, Endpoint};
use super::publish;
use super::record;
use crate::state::{Record, Store};
use crate::{Error, Result};

/// A container that another one has a name for.
struct Linked {
    alias: String,
    record: Record,
    place: Endpoint,
}

/// Returns the containers that one on these endpoints has names for.
///
/// # Errors
/// When one of them isn't there or doesn't run.
fn linked(store: &Store, endpoints: &[Endpoint]) -> Result<Vec<Linked>> {
    let mut found = Vec::new();
    let default = |endpoint: &&Endpoint| endpoint.network().name == record::DEFAULT_NETWORK;
    for endpoint in endpoints.iter().filter(default) {
        for link in &endpoint.options().links {
            let (other, alias) = link.split_once(':').unwrap_or((link, link));
            let record = store.container(other)?;
            let network = &endpoint.network().id;
            let Some(place) = endpoint::of(store.connection(), &record.id, network)? else {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    format!("Cannot link to a non running container: /{} AS /{alias}", record.name),
                ));
            };
            found.push(Linked { alias: alias.to_owned(), record, place });
        }
    }
    Ok(found)
}

/// Returns the lines of /etc/hosts for the containers that one on these endpoints has names for.
///
/// # Errors
/// When one of them isn't there or doesn't run.
pub(crate) fn lines(store: &Store, endpoints: &[Endpoint]) -> Result<String> {
    let mut lines = String::new();
    for Linked { alias, record, place } in linked(store, endpoints)? {
        for address in place.addresses() {
            lines.push_str(&format!("{address}\t{alias} {}", place.hostname()));
            if record.name != alias {
                lines.push_str(&format!(" {}", record.name));
            }
            lines.push('\n');
        }
    }
    Ok(lines)
}

/// Returns the variables that tell a container of this name of those that it has names for: where each
/// serves what, and what its own variables are.
///
/// # Errors
/// When one of them isn't there or doesn't run.
pub(crate) fn environment(
    store: &Store,
    name: &str,
    endpoints: &[Endpoint],
) -> Result<Vec<String>> {
    let mut environment = Vec::new();
    for Linked { alias, record, place } in linked(store, endpoints)? {
        let Some(address) = place.ipv4() else { continue };
        let config = &record.spec.config;
        let mut ports: Vec<(u16, &str)> = config
            .exposed_ports
            .iter()
            .filter_map(|text| publish::exposed(text))
            .map(|(port, protocol)| (port, protocol.as_str()))
            .collect();
        ports.sort_unstable();
        let of = variables(&alias, &address.to_string(), &ports);
        environment.extend(of);
        let prefix = prefix(&alias);
        environment.push(format!("{prefix}_NAME=/{name}/{alias}"));
        // Those that every image has say nothing about this one.
        let telling = config
            .env
            .iter()
            .filter(|entry| !entry.starts_with("PATH=") && !entry.starts_with("HOME="));
        environment.extend(
            telling
                .filter(|entry| entry.contains('='))
                .map(|entry| format!("{prefix}_ENV_{entry}")),
        );
    }
    Ok(environment)
}

fn prefix(alias: &str) -> String {
    alias.to_uppercase().replace('-', "_")
}

/// Returns the variables about the ports, in their order: the first as the one that is meant when none
/// is named, ranges of one protocol by their ends, and each by itself.
fn variables(alias: &str, address: &str, ports: &[(u16, &str)]) -> Vec<String> {
    let prefix = prefix(alias);
    let url = |port: u16, protocol: &str| format!("{protocol}://{address}:{port}");
    let mut variables = Vec::new();
    if let Some((port, protocol)) = ports.first() {
        variables.push(format!("{prefix}_PORT={}", url(*port, protocol)));
    }
    for run in ports.chunk_by(|a, b| a.1 == b.1 && a.0.checked_add(1) == Some(b.0)) {
        let [(first, protocol), .., (last, _)] = run else {
            variables.extend(
                run.iter().flat_map(|(port, protocol)| one(&prefix, address, *port, protocol)),
            );
            continue;
        };
        let word = protocol.to_uppercase();
        let name = format!("{prefix}_PORT_{first}_{word}");
        variables.push(format!("{name}_START={}", url(*first, protocol)));
        variables.push(format!("{name}_PORT_START={first}"));
        variables.push(format!("{name}_END={}", url(*last, protocol)));
        variables.push(format!("{name}_PORT_END={last}"));
        variables
            .extend(run.iter().flat_map(|(port, protocol)| one(&prefix, address, *port, protocol)));
    }
    variables
}

fn one(prefix: &str, address: &str, port: u16, protocol: &str) -> [String; 4] {
    let name = format!("{prefix}_PORT_{port}_{}", protocol.to_uppercase());
    [
        format!("{name}={protocol}://{address}:{port}"),
        format!("{name}_ADDR={address}"),
        format!("{name}_PORT={port}"),
        format!("{name}_PROTO={protocol}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_variables_one_by_one_and_in_ranges() {
        assert_eq!(
            variables("my-db", "10.0.0.2", &[(53, "udp"), (80, "tcp"), (81, "tcp")]),
            [
                "MY_DB_PORT=udp://10.0.0.2:53",
                "MY_DB_PORT_53_UDP=udp://10.0.0.2:53",
                "MY_DB_PORT_53_UDP_ADDR=10.0.0.2",
                "MY_DB_PORT_53_UDP_PORT=53",
                "MY_DB_PORT_53_UDP_PROTO=udp",
                "MY_DB_PORT_80_TCP_START=tcp://10.0.0.2:80",
                "MY_DB_PORT_80_TCP_PORT_START=80",
                "MY_DB_PORT_80_TCP_END=tcp://10.0.0.2:81",
                "MY_DB_PORT_80_TCP_PORT_END=81",
                "MY_DB_PORT_80_TCP=tcp://10.0.0.2:80",
                "MY_DB_PORT_80_TCP_ADDR=10.0.0.2",
                "MY_DB_PORT_80_TCP_PORT=80",
                "MY_DB_PORT_80_TCP_PROTO=tcp",
                "MY_DB_PORT_81_TCP=tcp://10.0.0.2:81",
                "MY_DB_PORT_81_TCP_ADDR=10.0.0.2",
                "MY_DB_PORT_81_TCP_PORT=81",
                "MY_DB_PORT_81_TCP_PROTO=tcp",
            ]
        );
        assert_eq!(variables("x", "10.0.0.2", &[]), Vec::<String>::new());
    }
}
