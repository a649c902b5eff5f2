//! Leases: which container has which address of a network.

use std::net::Ipv4Addr;

use rusqlite::{Connection, OptionalExtension, params};
use wharf_model::{ContainerId, ErrorKind};

use super::record::{self, Network};
use crate::{Error, Result};

/// Gives the container an address, the one it already has if it has one. Runs in the caller's
/// transaction, and remembers the address in the network's row: the next container gets the one
/// after it, so that an address comes back as late as possible.
pub(super) fn acquire(
    connection: &Connection,
    network: &mut Network,
    container: &ContainerId,
) -> Result<Ipv4Addr> {
    if let Some(address) = held(connection, &network.id, container.as_str())? {
        return Ok(address);
    }
    let full = || {
        Error::new(
            ErrorKind::Conflict,
            format!(
                "network {} has no free address: all {} of subnet {} are leased; remove containers",
                network.name,
                network.subnet.capacity(),
                network.subnet
            ),
        )
    };
    if count(connection, &network.id)? >= network.subnet.capacity() {
        return Err(full());
    }
    let mut insert = connection.prepare_cached(
        "INSERT OR IGNORE INTO lease (network, address, container) VALUES (?1, ?2, ?3)",
    )?;
    let mut address = network.last_leased.unwrap_or_else(|| network.subnet.gateway());
    for _ in 0..network.subnet.capacity() {
        address = network.subnet.next(address);
        let row = params![network.id, address.to_string(), container.as_str()];
        if insert.execute(row)? == 1 {
            network.last_leased = Some(address);
            record::write(connection, network)?;
            return Ok(address);
        }
    }
    Err(full())
}

/// Returns the address that a container holds.
pub(super) fn held(
    connection: &Connection,
    network: &str,
    container: &str,
) -> Result<Option<Ipv4Addr>> {
    let address = connection
        .prepare_cached("SELECT address FROM lease WHERE container = ?1 AND network = ?2")?
        .query_row([container, network], |row| row.get::<_, String>(0))
        .optional()?;
    Ok(address.and_then(|address| address.parse().ok()))
}

/// Returns how many addresses of a network are leased.
pub(super) fn count(connection: &Connection, network: &str) -> Result<u32> {
    let count = "SELECT count(*) FROM lease WHERE network = ?1";
    Ok(connection.query_row(count, [network], |row| row.get(0))?)
}

/// Gives all addresses of a container back.
pub(super) fn release(connection: &Connection, container: &str) -> Result<()> {
    connection.prepare_cached("DELETE FROM lease WHERE container = ?1")?.execute([container])?;
    Ok(())
}
