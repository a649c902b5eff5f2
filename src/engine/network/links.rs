//! What the default network's containers call others (`--link`): lines of /etc/hosts, and variables. On
//! the networks that somebody made, name servers know it.
//!
//! Where containers of the default network don't reach each other, a link opens the ports that the
//! other one exposes, as with docker. The bridge keeps their links apart all the same: the host
//! answers for the other's address (RFC 3069), and the firewall lets through what the link is for.

use std::net::Ipv4Addr;
use std::path::Path;

use wharf_model::ErrorKind;

use super::bridge;
use super::endpoint::{self, Endpoint};
use super::publish;
use super::record::{self, Network};
use super::rules::{Opening, Table, firewall};
use crate::state::{Record, Store};
use crate::{Error, Paths, Result};

/// A container that another one has a name for.
struct Linked {
    alias: String,
    record: Record,
    place: Endpoint,
}

/// Returns what links open: nothing, where containers reach each other anyway.
pub(super) fn openings(store: &Store) -> Result<Vec<Opening>> {
    let Some(network) = closed(store)? else { return Ok(Vec::new()) };
    let mut openings = Vec::new();
    for endpoint in endpoint::endpoints_on(store, &network.id)? {
        let Some(from) = endpoint.ipv4() else { continue };
        for link in &endpoint.options().links {
            let other = link.split_once(':').map_or(link.as_str(), |(other, _)| other);
            // One that has ended opens nothing, nor one that is gone.
            let Ok(record) = store.container(other) else { continue };
            let place = endpoint::of(store.connection(), &record.id, &network.id)?;
            let Some(to) = place.and_then(|place| place.ipv4()) else { continue };
            let exposed = record.spec.config.exposed_ports.iter();
            openings.extend(exposed.filter_map(|text| publish::exposed(text)).map(
                |(port, protocol)| Opening {
                    bridge: network.link.clone(),
                    from,
                    to,
                    protocol,
                    port,
                },
            ));
        }
    }
    Ok(openings)
}

/// Returns the default network, if its containers don't reach each other.
fn closed(store: &Store) -> Result<Option<Network>> {
    Ok(record::network(store, record::DEFAULT_NETWORK)?.filter(|network| !network.icc()))
}

/// Has the kernel let through what links open now that somebody has joined the default network, or left
/// it.
///
/// # Errors
/// When the database can't be read, or the kernel refuses.
pub(crate) fn settle(store: &Store) -> Result<()> {
    let Some(network) = closed(store)? else { return Ok(()) };
    let Some(mut nft) = firewall()? else { return Ok(()) };
    match Table::of(store).link(&mut nft, store)? {
        true => bridge::answer_for_neighbours(&network.link),
        false => Ok(()),
    }
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
                let name = &record.name;
                let text = match record.observed.state.status.is_alive() {
                    true => format!(
                        "Cannot link to /{name}, as it does not belong to the default network"
                    ),
                    false => format!("Cannot link to a non running container: /{name} AS /{alias}"),
                };
                return Err(Error::new(ErrorKind::Conflict, text));
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
            let names = names(&alias, place.hostname(), &record.name);
            lines.push_str(&format!("{address}\t{names}\n"));
        }
    }
    Ok(lines)
}

/// Gives a container that is about to run its address in /etc/hosts of those that have names for it.
///
/// # Errors
/// When the database can't be read. A file that can't be written stays as it is.
pub(crate) fn announce(
    paths: &Paths,
    store: &Store,
    name: &str,
    endpoints: &[Endpoint],
) -> Result<()> {
    for endpoint in endpoints.iter().filter(|one| one.network().name == record::DEFAULT_NETWORK) {
        let Some(address) = endpoint.ipv4() else { continue };
        let own = endpoint.container().as_str();
        for other in endpoint::mentioning(store.connection(), &endpoint.network().id, own)? {
            for link in &other.options().links {
                let Some(alias) = link.strip_prefix(own).and_then(|rest| rest.strip_prefix(':'))
                else {
                    continue;
                };
                let path = paths.container(other.container()).join("hosts");
                let names = names(alias, endpoint.hostname(), name);
                let _ = readdress(&path, &names, address);
            }
        }
    }
    Ok(())
}

/// Gives the line of a hosts file that has these names another address, in place: the file is mounted
/// in the container.
fn readdress(path: &Path, names: &str, address: Ipv4Addr) -> std::io::Result<()> {
    let text = std::fs::read_to_string(path)?;
    let line = |line: &str| match line.split_once('\t') {
        Some((_, rest)) if rest == names => format!("{address}\t{names}\n"),
        _ => format!("{line}\n"),
    };
    let after: String = text.lines().map(line).collect();
    match after == text {
        true => Ok(()),
        false => std::fs::write(path, after),
    }
}

/// Returns what a container is called in the /etc/hosts of one that has a name for it.
fn names(alias: &str, hostname: &str, name: &str) -> String {
    match name == alias {
        true => format!("{alias} {hostname}"),
        false => format!("{alias} {hostname} {name}"),
    }
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
    fn a_line_gets_another_address_and_the_others_stay() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "10.0.0.2\tstore db1 db\n10.0.0.3\tstore\n# mine\n").unwrap();
        readdress(file.path(), "store db1 db", "10.0.0.9".parse().unwrap()).unwrap();
        let after = std::fs::read_to_string(file.path()).unwrap();
        assert_eq!(after, "10.0.0.9\tstore db1 db\n10.0.0.3\tstore\n# mine\n");
        assert_eq!(names("db", "host", "db"), "db host");
    }

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
