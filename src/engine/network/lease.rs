//! Leases: which addresses of a network are somebody's, and which comes next.

use std::net::IpAddr;

use rusqlite::Connection;
use wharf_model::ErrorKind;

use super::pool::Pool;
use super::record::Network;
use crate::{Error, Result};

/// Returns an address of one family for one more container, the wanted one if there is one. Runs in
/// the caller's transaction, whose network it changes: the next container gets the address after
/// this one, so that an address comes back as late as possible.
pub(super) fn choose(
    connection: &Connection,
    network: &mut Network,
    ipv4: bool,
    wanted: Option<IpAddr>,
) -> Result<Option<IpAddr>> {
    let leased = count(connection, &network.id)?;
    let (id, name) = (network.id.clone(), network.name.clone());
    let Some(pool) = (if ipv4 { &mut network.spec.ipv4 } else { &mut network.spec.ipv6 }) else {
        return Ok(None);
    };
    if let Some(wanted) = wanted {
        if pool.is_reserved(wanted) || is_taken(connection, &id, wanted)? {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("Address already in use: {wanted} on network {name}"),
            ));
        }
        return Ok(Some(wanted));
    }
    // Of so many addresses in a row one is free, if any is.
    let tries = u128::from(leased).saturating_add(1).min(pool.capacity());
    let mut last = pool.last_leased;
    for _ in 0..tries {
        let Some(next) = pool.next(last) else { break };
        if !is_taken(connection, &id, next)? {
            pool.last_leased = Some(next);
            return Ok(Some(next));
        }
        last = Some(next);
    }
    Err(full(pool, &name, &id))
}

fn full(pool: &Pool, name: &str, id: &str) -> Error {
    let family = if pool.is_ipv4() { "IPv4" } else { "IPv6" };
    let (what, block) = match pool.range {
        Some(range) => ("range", range),
        None => ("subnet", pool.subnet),
    };
    Error::new(
        ErrorKind::Conflict,
        format!(
            "no available {family} addresses on this network's address pools: {name} ({id}): all {} \
             of {what} {block} are leased; remove containers",
            pool.capacity()
        ),
    )
}

fn is_taken(connection: &Connection, network: &str, address: IpAddr) -> Result<bool> {
    let taken = "SELECT EXISTS (SELECT 1 FROM endpoint
                 WHERE network = ?1 AND (ipv4 = ?2 OR ipv6 = ?2))";
    let row = [network, &address.to_string()];
    Ok(connection.prepare_cached(taken)?.query_row(row, |row| row.get(0))?)
}

/// Returns how many containers are on a network.
pub(super) fn count(connection: &Connection, network: &str) -> Result<u32> {
    let count = "SELECT count(*) FROM endpoint WHERE network = ?1";
    Ok(connection.prepare_cached(count)?.query_row([network], |row| row.get(0))?)
}
