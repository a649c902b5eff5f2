//! Taking back what a crash left, and the default network itself.

use std::collections::BTreeSet;

use wharf_model::ErrorKind;
use wharf_sys::netlink::route::RouteSocket;

use super::bridge::failed;
use super::endpoint::delete_link;
use super::lease;
use super::record::{self, DEFAULT_NETWORK};
use super::rules::Table;
use crate::state::Store;
use crate::{Error, Result};

/// The journal's kind of links.
pub(super) const KIND_LINK: &str = "link";

/// Takes back links and addresses of containers that are not `alive` (asked with the container's
/// id), and returns how many containers it took from. Runs to its end whatever fails.
///
/// # Errors
/// All that failed, in one sentence.
pub fn sweep(store: &mut Store, alive: &dyn Fn(&str) -> bool) -> Result<usize> {
    let mut journalled = Vec::new();
    let mut owners = BTreeSet::new();
    {
        let connection = store.connection();
        let mut links = connection.prepare("SELECT key, owner FROM journal WHERE kind = ?1")?;
        for row in links.query_map([KIND_LINK], |row| Ok((row.get(0)?, row.get(1)?)))? {
            let (link, owner): (String, String) = row?;
            owners.insert(owner.clone());
            journalled.push((link, owner));
        }
        let mut leases = connection.prepare("SELECT DISTINCT container FROM lease")?;
        for owner in leases.query_map([], |row| row.get::<_, String>(0))? {
            owners.insert(owner?);
        }
    }
    owners.retain(|owner| !alive(owner));
    if owners.is_empty() {
        return Ok(0);
    }
    let mut route = RouteSocket::open().map_err(failed)?;
    let mut failures = Vec::new();
    for owner in &owners {
        let links = journalled.iter().filter(|(_, of)| of == owner);
        let deleted = links.map(|(link, _)| delete_link(&mut route, link)).collect::<Vec<_>>();
        let problems: Vec<Error> = deleted.into_iter().filter_map(Result::err).collect();
        if problems.is_empty() {
            failures.extend(forget(store, owner).err());
        } else {
            failures.extend(problems);
        }
    }
    if failures.is_empty() {
        return Ok(owners.len());
    }
    let text: Vec<String> = failures.iter().map(ToString::to_string).collect();
    Err(Error::new(ErrorKind::Internal, text.join("; ")))
}

/// Takes back what one container, which doesn't run, still has.
///
/// # Errors
/// When its link can't be deleted or the database not written.
pub fn release(store: &mut Store, container: &str) -> Result<()> {
    sweep(store, &|owner| owner != container).map(drop)
}

/// Forgets all that a container had of the network.
pub(super) fn forget(store: &mut Store, container: &str) -> Result<()> {
    store.transaction(|transaction| {
        lease::release(transaction, container)?;
        transaction
            .prepare_cached("DELETE FROM journal WHERE owner = ?1 AND kind = ?2")?
            .execute([container, KIND_LINK])?;
        Ok(())
    })
}

/// Removes the default network of this root: its bridge, its part of the firewall, its row. For a
/// root that is being torn down; the next start makes the network again.
///
/// # Errors
/// When a container still holds an address ([`ErrorKind::Conflict`]), or the kernel refuses.
pub fn remove_network(store: &mut Store) -> Result<()> {
    let Some(network) = record::network(store, DEFAULT_NETWORK)? else { return Ok(()) };
    let leased = lease::count(store.connection(), &network.id)?;
    if leased > 0 {
        return Err(Error::new(
            ErrorKind::Conflict,
            format!("network {} has {leased} active endpoints: stop them first", network.name),
        ));
    }
    Table::of(store).remove(&network.segment())?;
    let mut route = RouteSocket::open().map_err(failed)?;
    delete_link(&mut route, &network.bridge)?;
    store.transaction(|transaction| {
        // A lease taken since then keeps the row: foreign keys refuse.
        transaction.execute("DELETE FROM network WHERE id = ?1", [&network.id])?;
        Ok(())
    })
}
