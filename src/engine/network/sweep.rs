//! Taking back what a crash left, and the default network itself.

use std::collections::BTreeSet;

use wharf_model::ErrorKind;
use wharf_sys::netlink::route::RouteSocket;

use super::bridge::{self, failed};
use super::driver::Driver;
use super::endpoint::{self, delete_link};
use super::record::{self, DEFAULT_NETWORK, Network};
use super::rules::Table;
use super::{establish, lease, links, manage};
use crate::state::Store;
use crate::{Error, Result, userns};

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
        let mut leases = connection.prepare("SELECT DISTINCT container FROM endpoint")?;
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
    failures.extend(links::settle(store).err());
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
        for endpoint in endpoint::held_by(transaction, container)? {
            endpoint.forget(transaction)?;
        }
        // Whatever else is called so, down to what can't be read.
        transaction
            .prepare_cached("DELETE FROM endpoint WHERE container = ?1")?
            .execute([container])?;
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
    match record::network(store, DEFAULT_NETWORK)? {
        Some(network) => remove(store, &network),
        None => Ok(()),
    }
}

/// Removes all networks of this root, as [`remove_network`] does with the default one.
///
/// # Errors
/// When a container still holds an address, or the kernel refuses.
pub fn remove_networks(store: &mut Store) -> Result<()> {
    record::networks(store)?.iter().try_for_each(|network| remove(store, network))
}

/// Removes a network: its part of the firewall, its link, its row.
pub(super) fn remove(store: &mut Store, network: &Network) -> Result<()> {
    // Who finds the mark under this lock finds a removal that was cut short.
    let _lock = bridge::lock_namespace()?;
    // From here on nobody leases an address of it, so that its link can go before its row.
    store.transaction(|transaction| {
        let Some(mut known) = record::by_id(transaction, &network.id)? else { return Ok(()) };
        if lease::count(transaction, &known.id)? > 0 {
            return Err(has_endpoints(transaction, &known)?);
        }
        known.spec.removing = true;
        record::write(transaction, &known)?;
        match known.is_predefined() {
            true => Ok(()),
            false => manage::tell(transaction, &known, "destroy", None),
        }
    })?;
    finish_removal(store, network)
}

/// Goes on with the removals that their processes were killed in.
pub(crate) fn finish_removals(store: &mut Store) -> Result<()> {
    cut_short(store)?.iter().try_for_each(|network| finish_removal(store, network))
}

/// Returns the networks whose removal was cut short.
pub(crate) fn cut_short(store: &Store) -> Result<Vec<Network>> {
    let marked = |store: &Store| -> Result<Vec<Network>> {
        let all = record::networks(store)?.into_iter();
        Ok(all.filter(|network| network.removing).collect())
    };
    if marked(store)?.is_empty() {
        return Ok(Vec::new());
    }
    // Whoever is at it finishes first.
    let _lock = bridge::lock_namespace()?;
    marked(store)
}

/// Returns docker's error for a network that containers are on.
fn has_endpoints(transaction: &rusqlite::Transaction<'_>, network: &Network) -> Result<Error> {
    let mut statement = transaction.prepare(
        "SELECT coalesce(container.name, endpoint.container), endpoint.id FROM endpoint
         LEFT JOIN container ON container.id = endpoint.container
         WHERE endpoint.network = ?1 ORDER BY 1",
    )?;
    let rows = statement.query_map([&network.id], |row| {
        let (name, id): (String, String) = (row.get(0)?, row.get(1)?);
        Ok(format!("name:{name:?} id:{:?}", id.get(..12).unwrap_or_default()))
    })?;
    let all: Vec<String> = rows.collect::<rusqlite::Result<_>>()?;
    Ok(Error::new(
        ErrorKind::Conflict,
        format!(
            "error while removing network: network {} has active endpoints ({}): stop or disconnect \
             them first",
            network.name,
            all.join(", ")
        ),
    ))
}

fn finish_removal(store: &mut Store, network: &Network) -> Result<()> {
    // An ordinary user's engine has nothing on the host.
    if userns::owns_network() {
        if network.driver == Driver::Bridge {
            Table::of(store).remove(&network.segment())?;
        }
        let mut route = RouteSocket::open().map_err(failed)?;
        establish::remove_link(&mut route, network)?;
    }
    store.transaction(|transaction| {
        transaction.execute("DELETE FROM network WHERE id = ?1", [&network.id])?;
        Ok(())
    })
}
