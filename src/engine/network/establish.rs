//! Making networks: the three that are always there, and what is asked for.

use std::collections::BTreeMap;
use std::net::IpAddr;

use chrono::Utc;
use ipnet::IpNet;
use rusqlite::Connection;
use wharf_model::{AddressPool, ErrorKind, NetworkCreateOptions};
use wharf_sys::netlink::route::RouteSocket;

use super::bridge::{self, failed};
use super::driver::{self, Driver};
use super::pool::{Pool, Supply, first_free, overlap};
use super::record::{self, DEFAULT_NETWORK, Network, NetworkSpec};
use super::rules::Table;
use super::settings::Settings;
use super::{endpoint, lease, manage, sweep};
use crate::state::Store;
use crate::{Error, Result, userns};

fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, text)
}

/// Returns the blocks that subnets are cut from: the caller's, or docker's, and always this engine's
/// own of IPv6.
fn supplies(store: &Store, settings: &Settings) -> Vec<Supply> {
    let given = &settings.default_address_pools;
    let mut all = if given.is_empty() { Supply::defaults() } else { given.clone() };
    if all.iter().all(|supply| supply.base.addr().is_ipv4()) {
        // What no two hosts have in common, and no two roots.
        let mut seed = std::fs::read("/etc/machine-id").unwrap_or_default();
        seed.extend(rustix::system::uname().nodename().to_bytes());
        seed.extend(record::seed(store));
        all.extend(Supply::own_ipv6(&seed));
    }
    if all.iter().all(|supply| supply.base.addr().is_ipv6()) {
        all.extend(Supply::defaults());
    }
    all
}

/// Returns the subnets of all networks but this one.
fn others(connection: &Connection, id: &str) -> Result<Vec<IpNet>> {
    let networks = record::all(connection)?;
    let others = networks.iter().filter(|network| network.id != id);
    Ok(others.flat_map(Network::pools).map(|pool| pool.subnet).collect())
}

/// Makes the rows of the networks that are always there, unless they are there.
pub(crate) fn predefined(store: &mut Store, settings: &Settings) -> Result<()> {
    let missing = |connection: &Connection| -> Result<Vec<(&str, Driver)>> {
        let all =
            [(DEFAULT_NETWORK, Driver::Bridge), ("host", Driver::Host), ("none", Driver::Null)];
        let mut missing = Vec::new();
        for (name, driver) in all {
            if record::read(connection, name)?.is_none() {
                missing.push((name, driver));
            }
        }
        Ok(missing)
    };
    if missing(store.connection())?.is_empty() {
        return Ok(());
    }
    // One of them may be there still, its removal cut short.
    sweep::finish_removals(store)?;
    let _lock = bridge::lock_namespace()?;
    let (link, supplies) = (record::default_bridge(store), supplies(store, settings));
    let mut route = RouteSocket::open().map_err(failed)?;
    let used = bridge::used_subnets(&mut route, &link)?;
    let current = bridge::subnet_of(&mut route, &link)?;
    store.transaction(|transaction| {
        for (name, driver) in missing(transaction)? {
            let mut spec = NetworkSpec { driver, ..NetworkSpec::default() };
            if driver == Driver::Bridge {
                let mut used = used.clone();
                used.extend(others(transaction, "")?);
                spec.ipv4 = Some(match (settings.default_pool(), current) {
                    (Some(pool), _) => pool,
                    (None, Some(subnet)) => Pool::of(subnet).chosen(),
                    (None, None) => Pool::of(choose(name, &supplies, true, &used)?).chosen(),
                });
                spec.link.clone_from(&link);
                spec.owns_link = true;
                spec.options = default_options(&link);
            }
            let mut network = Network {
                id: record::random_id()?,
                name: name.to_owned(),
                created: Utc::now(),
                spec,
            };
            if driver == Driver::Bridge {
                settings.put_options(&mut network);
            }
            record::write(transaction, &network)?;
        }
        Ok(())
    })
}

/// Returns the options that docker shows of its default bridge.
fn default_options(link: &str) -> BTreeMap<String, String> {
    [
        ("com.docker.network.bridge.default_bridge", "true"),
        (driver::ICC, "true"),
        (driver::MASQUERADE, "true"),
        ("com.docker.network.bridge.host_binding_ipv4", "0.0.0.0"),
        (driver::BRIDGE_NAME, link),
        (driver::MTU, "1500"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

fn choose(name: &str, supplies: &[Supply], ipv4: bool, used: &[IpNet]) -> Result<IpNet> {
    first_free(supplies, ipv4, used).ok_or_else(|| {
        let of_family = supplies.iter().filter(|supply| supply.base.addr().is_ipv4() == ipv4);
        let all: Vec<String> = of_family.map(|supply| supply.base.to_string()).collect();
        Error::new(
            ErrorKind::Conflict,
            format!(
                "all predefined address pools have been fully subnetted: no subnet is left for \
                 network {name}, since the host's routes and other networks cover all of {}: give \
                 one with --subnet",
                all.join(", ")
            ),
        )
    })
}

/// Returns the network of this name with its link up, making what isn't there.
///
/// A network whose subnet the engine has chosen takes another one when the host has come to use it
/// otherwise, unless containers hold addresses of it.
pub(super) fn establish(
    store: &mut Store,
    route: &mut RouteSocket,
    name: &str,
    settings: &Settings,
) -> Result<Network> {
    let known = match name {
        DEFAULT_NETWORK => record::network(store, name)?,
        _ => Some(record::find(store.connection(), name)?),
    };
    let known = match known {
        Some(network) => network,
        None => {
            predefined(store, settings)?;
            record::find(store.connection(), name)?
        }
    };
    let known = match known.name == DEFAULT_NETWORK && settings.contradicts(&known) {
        true => conform(store, route, &known, settings)?,
        false => known,
    };
    if known.driver != Driver::Bridge || bridge::is_up(route, &known.link)? {
        if known.driver.has_parent() {
            bridge::raise(route, &known)?;
        }
        return Ok(known);
    }
    // The subnet shows in the host's routes only when the bridge is up: until then no other root
    // may choose. Always taken before the database's lock.
    let _lock = bridge::lock_namespace()?;
    let used = bridge::used_subnets(route, &known.link)?;
    let supplies = supplies(store, settings);
    let network = store.transaction(|transaction| {
        let mut network =
            record::by_id(transaction, &known.id)?.ok_or_else(|| record::no_such_network(name))?;
        let leased = lease::count(transaction, &network.id)? > 0;
        let taken = others(transaction, &network.id)?;
        let mut moved = false;
        let (id, title) = (network.id.clone(), network.name.clone());
        for pool in [&mut network.spec.ipv4, &mut network.spec.ipv6].into_iter().flatten() {
            if !used.iter().any(|used| pool.overlaps(used)) {
                continue;
            }
            if leased || !pool.chosen {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    format!(
                        "subnet {} of network {title} is now used by another link or route of the \
                         host: {}",
                        pool.subnet,
                        match pool.chosen {
                            true => "stop all containers on it, then it will move".to_owned(),
                            false => format!(
                                "remove that, or the network: 'wharf network rm {}'",
                                &id[..12]
                            ),
                        }
                    ),
                ));
            }
            let all: Vec<IpNet> = used.iter().chain(&taken).copied().collect();
            *pool = Pool::of(choose(&title, &supplies, pool.is_ipv4(), &all)?).chosen();
            moved = true;
        }
        if moved {
            record::write(transaction, &network)?;
        }
        Ok(network)
    })?;
    bridge::raise(route, &network)?;
    Ok(network)
}

/// Makes the default network what the settings say, which were changed, unless containers hold
/// addresses of it. Returns it as it is then.
fn conform(
    store: &mut Store,
    route: &mut RouteSocket,
    known: &Network,
    settings: &Settings,
) -> Result<Network> {
    let _lock = bridge::lock_namespace()?;
    let used = bridge::used_subnets(route, &known.link)?;
    let supplies = supplies(store, settings);
    let (before, after) = store.transaction(|transaction| {
        let before = record::by_id(transaction, &known.id)?
            .ok_or_else(|| record::no_such_network(&known.name))?;
        if lease::count(transaction, &before.id)? > 0 || !settings.contradicts(&before) {
            return Ok((None, before));
        }
        let mut after = before.clone();
        settings.put_options(&mut after);
        let taken = others(transaction, &after.id)?;
        let all: Vec<IpNet> = used.iter().chain(&taken).copied().collect();
        match (settings.default_pool(), &before.ipv4) {
            (Some(pool), _) => {
                refuse_overlap(&pool.subnet, Driver::Bridge, &taken, &used)?;
                after.spec.ipv4 = Some(pool);
            }
            (None, Some(pool)) if pool.chosen => {}
            (None, _) => {
                let subnet = choose(&after.name, &supplies, true, &all)?;
                after.spec.ipv4 = Some(Pool::of(subnet).chosen());
            }
        }
        record::write(transaction, &after)?;
        Ok((Some(before), after))
    })?;
    // The next start makes them as they are now.
    if let Some(before) = before {
        Table::of(store).remove(&before.segment())?;
        endpoint::delete_link(route, &before.link)?;
    }
    Ok(after)
}

/// Makes the network that is asked for, with its link. Returns it and what the user should know.
///
/// # Errors
/// Docker's, when something of it can't be; nothing is left behind then.
pub(super) fn create(
    store: &mut Store,
    options: &NetworkCreateOptions,
    settings: &Settings,
) -> Result<(Network, Vec<String>)> {
    check_name(&options.name)?;
    if matches!(options.name.as_str(), DEFAULT_NETWORK | "host" | "none" | "default") {
        return Err(Error::new(
            ErrorKind::Denied,
            format!("operation is not permitted on predefined {} network", options.name),
        ));
    }
    let driver: Driver = options.driver.parse()?;
    if matches!(driver, Driver::Host | Driver::Null) {
        return Err(Error::new(
            ErrorKind::Denied,
            format!("only one instance of \"{driver}\" network is allowed"),
        ));
    }
    if !userns::owns_network() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "an ordinary user's engine can't make networks: links on the host are root's",
        ));
    }
    driver::check(driver, &options.options)?;
    let wanted = wanted_pools(options)?;
    predefined(store, settings)?;
    let supplies = supplies(store, settings);
    let mut route = RouteSocket::open().map_err(failed)?;
    let _lock = bridge::lock_namespace()?;
    let id = record::random_id()?;
    let (link, owns_link) = link(&mut route, &id, driver, options)?;
    let used = bridge::used_subnets(&mut route, "")?;
    let network = store.transaction(|transaction| {
        if let Some(other) = record::read(transaction, &options.name)? {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("network with name {} already exists", other.name),
            ));
        }
        for other in record::all(transaction)?.iter().filter(|other| other.link == link) {
            if driver == Driver::Bridge {
                return Err(Error::new(
                    ErrorKind::Denied,
                    format!(
                        "cannot create network {id} ({link}): conflicts with network {} ({}): \
                         networks have same bridge name",
                        other.id, other.link
                    ),
                ));
            }
            if other.driver != driver && other.driver.has_parent() {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    format!(
                        "parent {link} already has links of another kind (network {})",
                        other.name
                    ),
                ));
            }
        }
        let taken = others(transaction, "")?;
        let mut pools = [None, None];
        for (slot, (pool, ipv4)) in pools.iter_mut().zip([(&wanted[0], true), (&wanted[1], false)])
        {
            let Some(pool) = pool else { continue };
            let subnet = match pool.subnet {
                Some(subnet) => {
                    refuse_overlap(&subnet, driver, &taken, &used)?;
                    subnet
                }
                None => {
                    let all: Vec<IpNet> = used.iter().chain(&taken).copied().collect();
                    choose(&options.name, &supplies, ipv4, &all)?
                }
            };
            *slot = Some(complete(pool, subnet)?);
        }
        let [ipv4, ipv6] = pools;
        let network = Network {
            id: id.clone(),
            name: options.name.clone(),
            created: Utc::now(),
            spec: NetworkSpec {
                driver,
                link: link.clone(),
                owns_link,
                ipv4,
                ipv6,
                internal: options.internal,
                attachable: options.attachable,
                options: options.options.clone(),
                labels: options.labels.clone(),
                removing: false,
            },
        };
        // The row is the journal of the link: it comes before and goes after it.
        record::write(transaction, &network)?;
        manage::tell(transaction, &network, "create", None)?;
        Ok(network)
    })?;
    if let Err(error) = bridge::raise(&mut route, &network) {
        // Why it isn't there is what the user wants to know.
        let _ = remove_link(&mut route, &network);
        let _ = store.connection().execute("DELETE FROM network WHERE id = ?1", [&network.id]);
        return Err(error);
    }
    let warnings = match driver.has_parent() {
        true => unplugged(&mut route, &network)?.into_iter().collect(),
        false => Vec::new(),
    };
    Ok((network, warnings))
}

/// Returns what the user should know of a parent that leads nowhere: those of its links neither do.
fn unplugged(route: &mut RouteSocket, network: &Network) -> Result<Option<String>> {
    let link = route.link(&network.link).map_err(failed)?.filter(|link| !link.carrier);
    Ok(link.map(|link| {
        let why = match (link.up, link.kind.as_deref()) {
            (false, _) => "is down",
            (true, Some("bridge")) => "has no carrier, since nothing is in that bridge",
            (true, _) => "has no carrier",
        };
        format!(
            "parent {} {why}: containers of network {} reach nobody, nor each other, until that \
             changes",
            link.name, network.name
        )
    }))
}

/// Deletes the network's link, if it is the engine's.
pub(super) fn remove_link(route: &mut RouteSocket, network: &Network) -> Result<()> {
    match network.owns_link {
        true => endpoint::delete_link(route, &network.link),
        false => Ok(()),
    }
}

/// Docker's rule is looser, but it can't tell some names from ids and flags afterwards.
fn check_name(name: &str) -> Result<()> {
    if name.trim().is_empty() {
        return Err(invalid("invalid network name: name is empty"));
    }
    if name.len() > 255 || name.contains(|c: char| c.is_control() || c == ':') {
        return Err(invalid(format!("invalid network name: {name:?}")));
    }
    Ok(())
}

/// Returns the link that a network is made with, and whether the engine makes it.
fn link(
    route: &mut RouteSocket,
    id: &str,
    driver: Driver,
    options: &NetworkCreateOptions,
) -> Result<(String, bool)> {
    let option = |name: &str| options.options.get(name).filter(|text| !text.is_empty());
    if driver == Driver::Bridge {
        let Some(name) = option(driver::BRIDGE_NAME) else {
            return Ok((record::bridge_of(id), true));
        };
        return match route.link(name).map_err(failed)? {
            None => Ok((name.clone(), true)),
            Some(link) if link.kind.as_deref() == Some("bridge") => Ok((name.clone(), false)),
            Some(_) => Err(Error::new(
                ErrorKind::Denied,
                format!("existing interface {name} is not a bridge"),
            )),
        };
    }
    let Some(parent) = option(driver::PARENT) else {
        // Docker's name for a link that leads nowhere.
        return Ok((format!("dm-{}", &id[..12]), true));
    };
    if matches!(parent.as_str(), "lo") {
        return Err(Error::new(
            ErrorKind::Denied,
            format!("loopback interface is not a valid {driver} parent link"),
        ));
    }
    match (route.link(parent).map_err(failed)?, bridge::vlan(parent)) {
        (Some(_), _) => Ok((parent.clone(), false)),
        (None, Ok(Some(_))) => Ok((parent.clone(), true)),
        (None, Err(error)) => Err(error),
        (None, Ok(None)) => Err(Error::new(
            ErrorKind::NotFound,
            format!("invalid parent interface {parent}: this host has no such link"),
        )),
    }
}

/// Returns what is wanted of each family, IPv4 first; none is a family that the network hasn't.
fn wanted_pools(options: &NetworkCreateOptions) -> Result<[Option<AddressPool>; 2]> {
    let mut wanted = [None, None];
    for pool in &options.pools {
        let ipv4 = match (pool.subnet, pool.ip_range, pool.gateway) {
            (Some(net), ..) => net.addr().is_ipv4(),
            (None, Some(net), _) => net.addr().is_ipv4(),
            (None, None, gateway) => gateway.is_none_or(|gateway| gateway.is_ipv4()),
        };
        let slot = &mut wanted[usize::from(!ipv4)];
        if slot.is_some() {
            let driver = if options.driver.is_empty() { "bridge" } else { &options.driver };
            return Err(invalid(format!("{driver} driver doesn't support multiple subnets")));
        }
        *slot = Some(pool.clone());
    }
    let [ipv4, ipv6] = wanted;
    let has_ipv4 = options.ipv4.unwrap_or(true);
    let has_ipv6 = options.ipv6.unwrap_or(ipv6.is_some());
    if !has_ipv4 && !has_ipv6 {
        return Err(invalid("IPv4 or IPv6 must be enabled"));
    }
    if has_ipv6 && !bridge::has_ipv6() {
        return Err(Error::new(ErrorKind::Unsupported, "this kernel has no IPv6"));
    }
    if !has_ipv4 && ipv4.is_some() || !has_ipv6 && ipv6.is_some() {
        return Err(invalid("a subnet is given for a family that the network isn't to have"));
    }
    Ok([has_ipv4.then(|| ipv4.unwrap_or_default()), has_ipv6.then(|| ipv6.unwrap_or_default())])
}

/// Refuses a subnet that somebody has. A macvlan's is, of course, that of its parent.
fn refuse_overlap(subnet: &IpNet, driver: Driver, taken: &[IpNet], used: &[IpNet]) -> Result<()> {
    if let Some(other) = taken.iter().find(|other| overlap(subnet, other)) {
        return Err(Error::new(
            ErrorKind::Denied,
            format!(
                "invalid pool request: Pool overlaps with other one on this address space: {subnet} \
                 and {other}, which another network has"
            ),
        ));
    }
    let used = used.iter().filter(|_| !driver.has_parent());
    match used.into_iter().find(|other| overlap(subnet, other)) {
        None => Ok(()),
        Some(other) => Err(Error::new(
            ErrorKind::Conflict,
            format!(
                "invalid pool request: Pool overlaps with other one on this address space: {subnet} \
                 and {other}, which a link or route of this host has"
            ),
        )),
    }
}

/// Returns the pool of a subnet, with what was asked for of it.
fn complete(wanted: &AddressPool, subnet: IpNet) -> Result<Pool> {
    if subnet.addr() != subnet.network() {
        return Err(invalid(format!("invalid subnet {subnet}: it should be {}", subnet.trunc())));
    }
    let within = |address: &IpAddr| subnet.contains(address);
    let mut pool = Pool::of(subnet);
    pool.chosen = wanted.subnet.is_none();
    if let Some(range) = wanted.ip_range {
        if !subnet.contains(&range) {
            return Err(invalid(format!(
                "invalid ip-range {range}: it isn't part of subnet {subnet}"
            )));
        }
        pool.range = Some(range.trunc());
    }
    if let Some(gateway) = wanted.gateway {
        if !within(&gateway) {
            return Err(invalid(format!("invalid gateway {gateway}: parent subnet is {subnet}")));
        }
        pool.gateway = gateway;
    }
    for (name, address) in &wanted.aux_addresses {
        if !within(address) {
            return Err(invalid(format!(
                "invalid auxiliary address {name}={address}: parent subnet is {subnet}"
            )));
        }
    }
    pool.aux.clone_from(&wanted.aux_addresses);
    Ok(pool)
}
