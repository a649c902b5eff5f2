//! The nf_tables table `wharf`: NAT to the outside, and what may reach a container.
//!
//! The rules are few and never change; the bridges that they are about are elements of two sets.
//! The table's comment is the version of its rules: a process that finds another one replaces the
//! table in one transaction, with all bridges that the host then has.

use wharf_model::ErrorKind;
use wharf_sys::netlink::Errno;
use wharf_sys::netlink::nftables::{
    Chain, Expression, Hook, LinkNameSet, MetaKey, NftSocket, Transaction, Verdict,
};
use wharf_sys::netlink::route::RouteSocket;

use super::bridge::failed;
use super::record::is_bridge_name;
use crate::{Error, Result};

const TABLE: &str = "wharf";
/// The version of the rules below.
const VERSION: &str = "rules 1";
/// The names of all bridges.
const BRIDGES: &str = "bridges";
/// Each bridge's name twice: the way of a packet that stays within one network.
const LOCAL: &str = "local";
const NAT: &str = "postrouting";
const FILTER: &str = "forward";
/// How often a change is tried when other processes change the firewall at the same time.
const TRIES: usize = 20;

/// What [`ensure`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// All was there.
    Complete,
    /// The table or the bridge in it had to be made.
    Made,
}

/// Makes the table, and this bridge in it, unless they are there.
pub(super) fn ensure(nft: &mut NftSocket, route: &mut RouteSocket, bridge: &str) -> Result<Found> {
    let mut error = None;
    for _ in 0..TRIES {
        let generation = nft.generation().map_err(failed)?;
        let (version, listed) = nft.look_up(TABLE, BRIDGES, &[bridge]).map_err(failed)?;
        let current = version.as_deref() == Some(VERSION);
        if current && listed {
            return Ok(Found::Complete);
        }
        let mut change = Transaction::new(Some(generation));
        if !current {
            if version.is_some() {
                change.delete_table(TABLE);
            }
            create_with_bridges(&mut change, route)?;
        }
        add(&mut change, bridge);
        match nft.commit(change) {
            Ok(()) => return Ok(Found::Made),
            // Another process was faster, or removed the table.
            Err(cause) if raced(cause.errno()) => error = Some(cause),
            Err(cause) => return Err(refused(cause)),
        }
    }
    Err(error.map_or_else(|| Error::new(ErrorKind::Internal, "firewall unchanged"), refused))
}

/// Takes this bridge out of the table, and the table away with the last.
pub(super) fn remove(bridge: &str) -> Result<()> {
    let mut nft = NftSocket::open().map_err(failed)?;
    let mut error = None;
    for _ in 0..TRIES {
        let generation = nft.generation().map_err(failed)?;
        let (version, listed) = nft.look_up(TABLE, BRIDGES, &[bridge]).map_err(failed)?;
        if version.is_none() {
            return Ok(());
        }
        let others = nft.elements(TABLE, BRIDGES).map_err(failed)?;
        let mut change = Transaction::new(Some(generation));
        if others.iter().all(|other| other == bridge) {
            change.delete_table(TABLE);
        } else if listed {
            change.delete_element(TABLE, BRIDGES, &[bridge]);
            change.delete_element(TABLE, LOCAL, &[bridge, bridge]);
        }
        match nft.commit(change) {
            Ok(()) => return Ok(()),
            Err(cause) if raced(cause.errno()) => error = Some(cause),
            Err(cause) => return Err(refused(cause)),
        }
    }
    error.map_or(Ok(()), |cause| Err(refused(cause)))
}

/// Returns whether the table is there as [`ensure`] makes it, down to its rules, and this bridge in
/// it: `ensure` itself, which each start waits for, doesn't count them.
pub(super) fn is_whole(nft: &mut NftSocket, bridge: &str) -> Result<bool> {
    let (version, listed) = nft.look_up(TABLE, BRIDGES, &[bridge]).map_err(failed)?;
    let (_, local) = nft.look_up(TABLE, LOCAL, &[bridge, bridge]).map_err(failed)?;
    if version.as_deref() != Some(VERSION) || !listed || !local {
        return Ok(false);
    }
    let rules = nft.rules(TABLE).map_err(failed)?;
    let count = |chain: &str| rules.iter().filter(|of| *of == chain).count();
    let chains = nft.base_chains().map_err(failed)?;
    let called = |name: &str, hook: Hook| {
        chains.iter().any(|c| c.table == TABLE && c.name == name && c.hook == hook.number())
    };
    Ok(called(NAT, Hook::PostRouting)
        && called(FILTER, Hook::Forward)
        && (count(NAT), count(FILTER)) == (NAT_RULES, FILTER_RULES))
}

/// Makes the table anew, with all bridges that the host has.
pub(super) fn restore(nft: &mut NftSocket, route: &mut RouteSocket) -> Result<()> {
    let mut error = None;
    for _ in 0..TRIES {
        let generation = nft.generation().map_err(failed)?;
        let (version, _) = nft.look_up(TABLE, BRIDGES, &[""]).map_err(failed)?;
        let mut change = Transaction::new(Some(generation));
        if version.is_some() {
            change.delete_table(TABLE);
        }
        create_with_bridges(&mut change, route)?;
        match nft.commit(change) {
            Ok(()) => return Ok(()),
            Err(cause) if raced(cause.errno()) => error = Some(cause),
            Err(cause) => return Err(refused(cause)),
        }
    }
    error.map_or(Ok(()), |cause| Err(refused(cause)))
}

/// Returns a sentence for each chain of others that drops what is routed unless it knows better.
pub(super) fn foreign_drops(nft: &mut NftSocket) -> Result<Vec<String>> {
    let chains = nft.base_chains().map_err(failed)?;
    Ok(chains
        .into_iter()
        .filter(|chain| chain.drops && chain.hook == Hook::Forward.number())
        .filter(|chain| chain.table != TABLE)
        .map(|chain| {
            format!(
                "the host's firewall drops routed packets by default (table {}, chain {}): \
                 containers may not reach the outside until it accepts those of their bridge",
                chain.table, chain.name
            )
        })
        .collect())
}

fn raced(errno: Errno) -> bool {
    matches!(errno, Errno::EXIST | Errno::NOENT | Errno::RESTART | Errno::INTR | Errno::AGAIN)
}

fn refused(cause: wharf_sys::netlink::Error) -> Error {
    if cause.errno() == Errno::NOENT {
        // What the kernel says when it can't load a module for a chain's type or an expression.
        let hint = "is one of the modules nft_chain_nat, nft_masq, nft_ct missing?";
        return Error::failed(format!("network: {hint}"), cause).with_kind(ErrorKind::Unsupported);
    }
    failed(cause)
}

fn create_with_bridges(change: &mut Transaction, route: &mut RouteSocket) -> Result<()> {
    create(change);
    for link in route.links().map_err(failed)? {
        if is_bridge_name(&link.name) && link.kind.as_deref() == Some("bridge") {
            add(change, &link.name);
        }
    }
    Ok(())
}

/// How many rules [`create`] puts into each chain.
const NAT_RULES: usize = 1;
const FILTER_RULES: usize = 4;

fn create(change: &mut Transaction) {
    change.create_table(TABLE, VERSION);
    change.create_set(TABLE, LinkNameSet { name: BRIDGES, names: 1 });
    change.create_set(TABLE, LinkNameSet { name: LOCAL, names: 2 });
    let chain = Chain { name: NAT, kind: "nat", hook: Hook::PostRouting, priority: 100 };
    change.create_chain(TABLE, &chain);
    let chain = Chain { name: FILTER, kind: "filter", hook: Hook::Forward, priority: 0 };
    change.create_chain(TABLE, &chain);

    let load = |key, register| Expression::Meta { key, register };
    let is_in = |set| Expression::Lookup { set, register: 1, inverted: false };
    let not_in = |set| Expression::Lookup { set, register: 1, inverted: true };
    let (input, output) = (MetaKey::InputName, MetaKey::OutputName);

    // What leaves a network does so under the host's address.
    let leaves = [load(input, 1), is_in(BRIDGES), load(output, 1), not_in(BRIDGES)];
    change.append_rule(TABLE, NAT, &[&leaves[..], &[Expression::Masquerade]].concat());

    // A container is reached by answers, from its own network, and where somebody (the engine or
    // the host's administrator) redirected a port to it; not from other networks, nor by hosts that
    // route to its address.
    let accept = Expression::Verdict(Verdict::Accept);
    let known = Expression::ESTABLISHED | Expression::RELATED;
    change.append_rule(TABLE, FILTER, &[Expression::ConnectionState(known), accept]);
    change.append_rule(TABLE, FILTER, &[load(input, 1), load(output, 2), is_in(LOCAL), accept]);
    let redirected = Expression::ConnectionStatus(Expression::DESTINATION_NAT);
    change.append_rule(TABLE, FILTER, &[redirected, accept]);
    let drop = Expression::Verdict(Verdict::Drop);
    change.append_rule(TABLE, FILTER, &[load(output, 1), is_in(BRIDGES), drop]);
}

fn add(change: &mut Transaction, bridge: &str) {
    change.ensure_element(TABLE, BRIDGES, &[bridge]);
    change.ensure_element(TABLE, LOCAL, &[bridge, bridge]);
}
