//! An endpoint: a container's place on a network, from its lease to its link and back.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::BorrowedFd;

use ipnet::IpNet;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize};
use wharf_model::{ContainerId, EndpointDetail, EndpointInfo, EndpointOptions};
use wharf_sys::netlink::route::{Block, ChildLink, LinkRef, Mac, RouteSocket, VethPair};
use wharf_sys::netlink::{Batch, Errno};

use super::bridge::{self, failed, mac_text, parse_mac};
use super::driver::{self, Driver};
use super::establish::establish;
use super::record::{self, Network, no_such_network};
use super::rules::{Table, firewall, foreign};
use super::settings::Settings;
use super::{lease, links, manage, sweep};
use crate::state::Store;
use crate::{Error, Result};
use wharf_model::ErrorKind;

/// A container's place on a network. Plain data: it may be handed to another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Endpoint {
    network: Network,
    container: ContainerId,
    id: String,
    number: u32,
    link: String,
    ipv4: Option<IpAddr>,
    ipv6: Option<IpAddr>,
    mac: Option<String>,
    more: More,
}

/// The part of an endpoint that is stored as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct More {
    hostname: String,
    options: EndpointOptions,
}

/// Who is to be on a network.
#[derive(Clone, Copy, Debug)]
pub struct Guest<'a> {
    /// The container.
    pub container: &'a ContainerId,
    /// Its host name, by which it is found too.
    pub hostname: &'a str,
}

const COLUMNS: &str = "network, container, id, number, link, ipv4, ipv6, mac, spec";

/// Leases addresses of a network for a container and journals its link's name. The network's own
/// link is made when it isn't there, and so is the row of a network that is always there, as `settings`
/// say.
///
/// # Errors
/// When there is no such network, an address can't be had, the database can't be written, or the
/// kernel refuses the network's link.
pub fn prepare(
    store: &mut Store,
    guest: Guest<'_>,
    options: &EndpointOptions,
    settings: &Settings,
) -> Result<Endpoint> {
    let mut route = RouteSocket::open().map_err(failed)?;
    let known = establish(store, &mut route, &options.network, settings)?;
    check(&known, options)?;
    store.transaction(|transaction| {
        let mut network = record::by_id(transaction, &known.id)?
            .ok_or_else(|| no_such_network(&options.network))?;
        if let Some(held) = of(transaction, guest.container, &network.id)? {
            return Ok(held);
        }
        let wanted = options.ipv4.map(IpAddr::V4);
        let ipv4 = lease::choose(transaction, &mut network, true, wanted)?;
        let wanted = options.ipv6.map(IpAddr::V6);
        let ipv6 = lease::choose(transaction, &mut network, false, wanted)?;
        record::write(transaction, &network)?;
        let number: u32 = transaction
            .prepare_cached(
                "SELECT coalesce(max(number) + 1, 0) FROM endpoint WHERE container = ?1",
            )?
            .query_row([guest.container.as_str()], |row| row.get(0))?;
        let id = record::random_id()?;
        let mac = match (&options.mac, network.driver) {
            (Some(mac), _) => parse_mac(mac),
            (None, Driver::Ipvlan) => None,
            (None, _) => ipv4.or(ipv6).map(bridge::mac),
        };
        let endpoint = Endpoint {
            link: link_name(guest.container, number, &id),
            container: guest.container.clone(),
            id,
            number,
            ipv4,
            ipv6,
            mac: mac.map(mac_text),
            more: More { hostname: guest.hostname.to_owned(), options: options.clone() },
            network,
        };
        insert(transaction, &endpoint)?;
        Ok(endpoint)
    })
}

fn insert(connection: &Transaction<'_>, endpoint: &Endpoint) -> Result<()> {
    let spec = serde_json::to_string(&endpoint.more)
        .map_err(|cause| Error::failed("write an endpoint", cause))?;
    let text = |address: Option<IpAddr>| address.map(|address| address.to_string());
    let insert =
        format!("INSERT INTO endpoint ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)");
    connection.prepare_cached(&insert)?.execute(params![
        endpoint.network.id,
        endpoint.container.as_str(),
        endpoint.id,
        endpoint.number,
        endpoint.link,
        text(endpoint.ipv4),
        text(endpoint.ipv6),
        endpoint.mac,
        spec
    ])?;
    connection
        .prepare_cached("INSERT OR REPLACE INTO journal (kind, key, owner) VALUES (?1, ?2, ?3)")?
        .execute(params![sweep::KIND_LINK, endpoint.link, endpoint.container.as_str()])?;
    Ok(())
}

/// Refuses what a network hasn't, in docker's words.
///
/// # Errors
/// When an address isn't the network's, or its driver doesn't take what is asked for.
pub(crate) fn check(network: &Network, options: &EndpointOptions) -> Result<()> {
    let invalid = |text: String| Error::new(ErrorKind::Invalid, text);
    if options.mac.as_ref().is_some_and(|mac| parse_mac(mac).is_none()) {
        let mac = options.mac.clone().unwrap_or_default();
        return Err(invalid(format!("{mac} is not a valid mac address")));
    }
    if let Some(name) = options.driver_options.get(driver::INTERFACE)
        && (!driver::is_link_name(name) || name == "lo")
    {
        return Err(invalid(format!("invalid {} value: {name:?}", driver::INTERFACE)));
    }
    let default = network.name == record::DEFAULT_NETWORK;
    let wanted = [options.ipv4.map(IpAddr::V4), options.ipv6.map(IpAddr::V6)];
    for address in wanted.into_iter().flatten() {
        if default {
            return Err(invalid(
                "invalid config for network bridge: invalid endpoint settings: user specified IP \
                 address is supported on user defined networks only"
                    .to_owned(),
            ));
        }
        let pool = network.pool(address.is_ipv4());
        if pool.is_some_and(|pool| pool.chosen) {
            return Err(invalid(format!(
                "invalid config for network {}: invalid endpoint settings: user specified IP \
                 address is supported only when connecting to networks with user configured subnets",
                network.name
            )));
        }
        if pool.is_none_or(|pool| !pool.subnet.contains(&address)) {
            return Err(invalid(format!(
                "invalid config for network {}: invalid endpoint settings: no configured subnet \
                 contains IP address {address}",
                network.name
            )));
        }
    }
    if default && !options.aliases.is_empty() {
        return Err(invalid(
            "network-scoped aliases are only supported for user-defined networks".to_owned(),
        ));
    }
    let local = |address: &&IpAddr| match address {
        IpAddr::V4(address) => !address.is_link_local(),
        IpAddr::V6(address) => !address.is_unicast_link_local(),
    };
    if let Some(address) = options.link_local.iter().find(local) {
        return Err(invalid(format!("invalid link local IP address: {address}")));
    }
    sysctls_of(options, "eth0").map(drop)?;
    Ok(())
}

/// Reads the driver's option for kernel settings: `net.ipv4.conf.IFNAME.log_martians=1,…`.
fn sysctls_of(options: &EndpointOptions, interface: &str) -> Result<Vec<(String, String)>> {
    let Some(text) = options.driver_options.get(driver::SYSCTLS) else { return Ok(Vec::new()) };
    let invalid = |text: String| Error::new(ErrorKind::Invalid, text);
    let read = |setting: &str| {
        let (name, value) = setting
            .split_once('=')
            .ok_or_else(|| invalid(format!("invalid {} value: {setting:?}", driver::SYSCTLS)))?;
        let parts: Vec<&str> = name.split('.').collect();
        match parts[..] {
            ["net", "ipv4" | "ipv6" | "mpls", _, "IFNAME", setting]
                if !setting.contains('/') && !parts[2].contains('/') =>
            {
                // A dot within a part of the name is a slash.
                Ok((name.replace("IFNAME", &interface.replace('.', "/")), value.to_owned()))
            }
            _ => Err(invalid(format!(
                "invalid {} value: {name:?} is no setting of an interface: \
                 net.ipv4.conf.IFNAME.SETTING, for instance",
                driver::SYSCTLS
            ))),
        }
    };
    text.split(',').filter(|setting| !setting.is_empty()).map(read).collect()
}

fn from_row(connection: &Connection, row: &Row<'_>) -> Result<Option<Endpoint>> {
    let text = |column: usize| row.get::<_, String>(column);
    let Some(network) = record::by_id(connection, &text(0)?)? else { return Ok(None) };
    let address = |column: usize| -> Result<Option<IpAddr>> {
        Ok(row.get::<_, Option<String>>(column)?.and_then(|text| text.parse().ok()))
    };
    let Ok(container) = text(1)?.parse() else { return Ok(None) };
    let (ipv4, ipv6) = (address(5)?, address(6)?);
    let mac: Option<String> = row.get(7)?;
    // Version 1 of the database didn't tell it.
    let shares = network.driver == Driver::Ipvlan;
    let mac = mac.or_else(|| ipv4.or(ipv6).filter(|_| !shares).map(bridge::mac).map(mac_text));
    Ok(Some(Endpoint {
        network,
        container,
        id: text(2)?,
        number: row.get(3)?,
        link: text(4)?,
        ipv4,
        ipv6,
        mac,
        more: serde_json::from_str(&text(8)?)
            .map_err(|cause| Error::failed("read an endpoint", cause))?,
    }))
}

fn select(connection: &Connection, condition: &str, values: &[&str]) -> Result<Vec<Endpoint>> {
    let sql = format!("SELECT {COLUMNS} FROM endpoint {condition} ORDER BY container, number");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.extend(from_row(connection, row)?);
    }
    Ok(found)
}

/// Returns a container's endpoint on one network, if it has one.
pub(super) fn of(
    connection: &Connection,
    container: &ContainerId,
    network: &str,
) -> Result<Option<Endpoint>> {
    let values = [container.as_str(), network];
    Ok(select(connection, "WHERE container = ?1 AND network = ?2", &values)?.pop())
}

/// Returns a container's endpoints, in the order in which it came by them.
///
/// # Errors
/// When the database can't be read.
pub fn endpoints_of(store: &Store, container: &ContainerId) -> Result<Vec<Endpoint>> {
    held_by(store.connection(), container.as_str())
}

pub(super) fn held_by(connection: &Connection, container: &str) -> Result<Vec<Endpoint>> {
    select(connection, "WHERE container = ?1", &[container])
}

/// Returns the endpoints of a network.
///
/// # Errors
/// When the database can't be read.
pub fn endpoints_on(store: &Store, network: &str) -> Result<Vec<Endpoint>> {
    select(store.connection(), "WHERE network = ?1", &[network])
}

/// Returns the endpoints of a network whose settings mention a container.
pub(super) fn mentioning(
    connection: &Connection,
    network: &str,
    container: &str,
) -> Result<Vec<Endpoint>> {
    select(connection, "WHERE network = ?1 AND instr(spec, ?2) > 0", &[network, container])
}

/// Returns the endpoints of all containers that have some, for lists.
///
/// # Errors
/// When the database can't be read.
pub fn endpoints(store: &Store) -> Result<BTreeMap<ContainerId, Vec<Endpoint>>> {
    let mut found: BTreeMap<ContainerId, Vec<Endpoint>> = BTreeMap::new();
    for endpoint in select(store.connection(), "", &[])? {
        found.entry(endpoint.container.clone()).or_default().push(endpoint);
    }
    Ok(found)
}

/// Returns the containers that hold addresses, whatever they are called.
pub(crate) fn lease_owners(store: &Store) -> Result<Vec<String>> {
    let mut statement = store.connection().prepare("SELECT DISTINCT container FROM endpoint")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

impl Endpoint {
    /// Makes the way from the host to the container: the network's link, forwarding and firewall
    /// table where they are missing, and the container's link in its network namespace. To be called
    /// in the host's namespace. Returns what the user should know of changes to the host.
    ///
    /// # Errors
    /// When the kernel refuses a part; [`Endpoint::disconnect`] then takes back what was made.
    pub(crate) fn connect(&self, store: &Store, namespace: BorrowedFd<'_>) -> Result<Vec<String>> {
        let mut notes = Vec::new();
        let mut route = RouteSocket::open().map_err(failed)?;
        let network = &self.network;
        let host_link = match route.link(&network.link).map_err(failed)? {
            Some(link) if link.up => link.index,
            _ => bridge::raise(&mut route, network)?,
        };
        if network.driver.has_parent() {
            return self.connect_child(&mut route, host_link, namespace).map(|()| notes);
        }
        if let Some(mut nft) = firewall()? {
            if bridge::enable_forwarding(false)? {
                notes.push("IPv4 forwarding was off on this host and is now on".to_owned());
            }
            if network.ipv6.is_some() && !network.internal && bridge::enable_forwarding(true)? {
                notes.push("IPv6 forwarding was off on this host and is now on".to_owned());
            }
            Table::of(store).ensure(&mut nft, store, &network.segment())?;
            if network.name == record::DEFAULT_NETWORK && !network.icc() {
                links::settle(store)?;
            }
            // A dockerd that was started since the last time has others of ours in its way too.
            if !foreign::unknown(&mut nft, std::slice::from_ref(&network.link))?.is_empty() {
                let bridges: Vec<_> =
                    record::segments(store)?.into_iter().map(|segment| segment.bridge).collect();
                foreign::pass(&mut nft, &bridges)?;
            }
        }
        let interface = self.interface();
        let pair = VethPair {
            name: &self.link,
            master: host_link,
            peer_name: &interface,
            peer_mac: self.mac().unwrap_or([0x02, 0x42, 0, 0, 0, 2]),
            peer_namespace: namespace,
            mtu: network.mtu(),
        };
        // Where containers don't talk to each other, they have to be kept apart in the bridge itself.
        let isolated = !network.icc();
        match add_veth(&mut route, &pair, isolated) {
            // Of an earlier run: the kernel deletes the links of a dead namespace in its own time.
            Err(error) if error.errno() == Errno::EXIST => {
                delete_link(&mut route, &self.link)?;
                add_veth(&mut route, &pair, isolated).map_err(failed)?;
            }
            Err(error) if error.errno() == Errno::XFULL => return Err(self.no_port()),
            result => result.map_err(failed)?,
        }
        Ok(notes)
    }

    fn no_port(&self) -> Error {
        let network = &self.network;
        Error::new(
            ErrorKind::Conflict,
            format!(
                "bridge {} has no free port: a bridge of the kernel has at most 1023 (BR_MAX_PORTS); stop \
                 a container of network {}, or put this one on another network",
                network.link, network.name
            ),
        )
    }

    fn connect_child(
        &self,
        route: &mut RouteSocket,
        parent: u32,
        namespace: BorrowedFd<'_>,
    ) -> Result<()> {
        let network = &self.network;
        let mut batch = Batch::new();
        batch.add_child(&ChildLink {
            kind: driver::child(network.driver, &network.options)?,
            name: &self.interface(),
            parent,
            mac: self.mac(),
            namespace,
            mtu: network.mtu(),
        });
        match route.apply(batch) {
            Ok(_) => Ok(()),
            Err(cause) if cause.errno() == Errno::OPNOTSUPP => Err(Error::new(
                ErrorKind::Unsupported,
                format!("this kernel has no {} links", network.driver),
            )),
            Err(cause) if cause.errno() == Errno::BUSY => Err(Error::new(
                ErrorKind::Conflict,
                format!(
                    "link {} is in a bridge, or has links of another kind, and can't have {} ones",
                    network.link, network.driver
                ),
            )),
            Err(cause) => Err(failed(cause)),
        }
    }

    /// Brings the endpoint's interface up with its addresses, by a socket of the container's network
    /// namespace.
    ///
    /// # Errors
    /// When the interface isn't there yet ([`Endpoint::connect`] must have returned), or the kernel
    /// refuses a part.
    pub(crate) fn configure(&self, route: &mut RouteSocket) -> Result<()> {
        let index = self.index(route)?;
        let mut batch = Batch::new();
        for (address, pool) in
            [(self.ipv4, self.network.pool(true)), (self.ipv6, self.network.pool(false))]
        {
            if let (Some(address), Some(pool)) = (address, pool) {
                batch.ensure_address(index, pool.block(address));
            }
        }
        let local = &self.more.options.link_local;
        for address in local {
            let prefix = if address.is_ipv4() { 16 } else { 64 };
            batch.ensure_address(index, Block { address: *address, prefix });
        }
        match self.ipv6.or_else(|| local.iter().copied().find(IpAddr::is_ipv6)) {
            Some(_) => batch.set_up_with_ipv6(LinkRef::Index(index)),
            None => batch.set_up(LinkRef::Index(index)),
        }
        route.apply(batch).map(drop).map_err(failed)
    }

    fn index(&self, route: &mut RouteSocket) -> Result<u32> {
        let name = self.interface();
        let missing =
            || Error::new(ErrorKind::Internal, format!("{name} is not in the container's network"));
        Ok(route.link(&name).map_err(failed)?.ok_or_else(missing)?.index)
    }

    /// Deletes the endpoint's interface by a socket of the container's network namespace, if it is
    /// there.
    pub(crate) fn unplug(&self, route: &mut RouteSocket) -> Result<()> {
        delete_link(route, &self.interface())
    }

    /// Tells that the container has joined, once all rows say so.
    ///
    /// # Errors
    /// When the database can't be written.
    pub(crate) fn tell(&self, transaction: &Transaction<'_>) -> Result<()> {
        manage::tell(transaction, &self.network, "connect", Some(self.container.as_str()))
    }

    /// Takes the endpoint back: deletes its link if the kernel hasn't yet, gives the addresses back
    /// and clears the journal. May be repeated. The kernel takes some tens of milliseconds to delete
    /// a link (it waits for all CPUs), so the exit code should be told before.
    ///
    /// # Errors
    /// When the link can't be deleted (it stays journalled) or the database not written.
    pub fn disconnect(&self, store: &mut Store) -> Result<()> {
        self.unlink()?;
        store.transaction(|transaction| self.forget(transaction))?;
        links::settle(store)
    }

    /// Deletes the link's end on the host, if it is there.
    pub(crate) fn unlink(&self) -> Result<()> {
        delete_link(&mut RouteSocket::open().map_err(failed)?, &self.link)
    }

    /// Gives the addresses back and clears the journal, in the caller's transaction.
    pub(crate) fn forget(&self, connection: &Transaction<'_>) -> Result<()> {
        let gone = connection
            .prepare_cached("DELETE FROM endpoint WHERE container = ?1 AND network = ?2")?
            .execute([self.container.as_str(), &self.network.id])?;
        connection
            .prepare_cached("DELETE FROM journal WHERE kind = ?1 AND key = ?2 AND owner = ?3")?
            .execute([sweep::KIND_LINK, &self.link, self.container.as_str()])?;
        match gone {
            0 => Ok(()),
            _ => {
                let container = Some(self.container.as_str());
                manage::tell(connection, &self.network, "disconnect", container)
            }
        }
    }

    /// Returns what lists say of the endpoint.
    pub fn info(&self) -> EndpointInfo {
        let first = self.network.pools().next();
        let ip = self.ipv4.or(self.ipv6).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        EndpointInfo {
            network: self.network.name.clone(),
            ip,
            prefix: first.map_or(0, |pool| pool.subnet.prefix_len()),
            gateway: self.gateway(ip.is_ipv4()),
            mac: self.mac.clone().unwrap_or_default(),
            network_id: self.network.id.clone(),
            endpoint_id: self.id.clone(),
        }
    }

    /// Returns what `inspect` says of the endpoint; `name` is the container's.
    pub fn detail(&self, name: &str) -> EndpointDetail {
        let mut options = self.more.options.clone();
        options.network.clone_from(&self.network.name);
        EndpointDetail {
            options,
            network_id: self.network.id.clone(),
            endpoint_id: self.id.clone(),
            ipv4: self.net(true),
            ipv6: self.net(false),
            gateway: self.gateway(true),
            ipv6_gateway: self.gateway(false),
            mac: self.mac.clone().unwrap_or_default(),
            dns_names: self.dns_names(name),
        }
    }

    /// Returns the names that the container is found by on this network; none on the default one.
    pub fn dns_names(&self, name: &str) -> Vec<String> {
        if self.network.name == record::DEFAULT_NETWORK {
            return Vec::new();
        }
        let mut seen = BTreeSet::new();
        std::iter::once(name)
            .chain(self.more.options.aliases.iter().map(String::as_str))
            .chain([self.container.short(), self.more.hostname.as_str()])
            .filter(|name| !name.is_empty() && seen.insert((*name).to_owned()))
            .map(str::to_owned)
            .collect()
    }

    /// Returns the network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Returns the container.
    pub fn container(&self) -> &ContainerId {
        &self.container
    }

    /// Returns the endpoint's id, 64 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns how it was asked for.
    pub fn options(&self) -> &EndpointOptions {
        &self.more.options
    }

    /// Returns the container's host name.
    pub fn hostname(&self) -> &str {
        &self.more.hostname
    }

    /// Returns the IPv4 address.
    pub fn ipv4(&self) -> Option<Ipv4Addr> {
        match self.ipv4 {
            Some(IpAddr::V4(address)) => Some(address),
            _ => None,
        }
    }

    /// Returns the IPv6 address.
    pub fn ipv6(&self) -> Option<Ipv6Addr> {
        match self.ipv6 {
            Some(IpAddr::V6(address)) => Some(address),
            _ => None,
        }
    }

    /// Returns its addresses, IPv4 first.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.ipv4.into_iter().chain(self.ipv6)
    }

    /// Returns the address of one family with its prefix.
    pub fn net(&self, ipv4: bool) -> Option<IpNet> {
        let address = if ipv4 { self.ipv4 } else { self.ipv6 }?;
        Some(self.network.pool(ipv4)?.net(address))
    }

    /// Returns where its traffic of one family can go to the outside: nowhere, where the network has
    /// none.
    pub fn gateway(&self, ipv4: bool) -> Option<IpAddr> {
        let pool = self.network.pool(ipv4).filter(|_| !self.network.internal)?;
        (if ipv4 { self.ipv4 } else { self.ipv6 }).map(|_| pool.gateway)
    }

    /// Returns the hardware address.
    pub fn mac(&self) -> Option<Mac> {
        self.mac.as_deref().and_then(parse_mac)
    }

    /// Returns the name of the interface in the container.
    pub fn interface(&self) -> String {
        match self.more.options.driver_options.get(driver::INTERFACE) {
            Some(name) => name.clone(),
            None => format!("{}{}", self.network.interface_prefix(), self.number),
        }
    }

    /// Returns the kernel settings that are asked for on its interface.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn sysctls(&self) -> Result<Vec<(String, String)>> {
        sysctls_of(&self.more.options, &self.interface())
    }

    /// Returns the name of the pair's end on the host. Links of macvlan and ipvlan networks have
    /// none there.
    pub fn link(&self) -> &str {
        &self.link
    }

    /// Returns whether it has an end on the host.
    pub fn is_on_host(&self) -> bool {
        self.network.driver == Driver::Bridge
    }
}

/// Brings loopback and the interfaces of these endpoints up in the calling thread's network
/// namespace, with addresses and default routes.
///
/// # Errors
/// When an interface isn't there yet, or the kernel refuses a part.
pub fn configure_inside(endpoints: &[Endpoint]) -> Result<()> {
    let mut route = RouteSocket::open().map_err(failed)?;
    let mut batch = Batch::new();
    batch.set_loopback_up();
    route.apply(batch).map_err(failed)?;
    endpoints.iter().try_for_each(|endpoint| endpoint.configure(&mut route))?;
    set_routes(&mut route, endpoints)
}

/// Sets the default routes of a container with these endpoints, by a socket of its namespace.
pub(crate) fn set_routes(route: &mut RouteSocket, endpoints: &[Endpoint]) -> Result<()> {
    for ipv4 in [true, false] {
        let Some(endpoint) = way_out(endpoints, ipv4) else { continue };
        let index = endpoint.index(route)?;
        let through = endpoint.gateway(ipv4).filter(|_| !is_routed(endpoint));
        let mut batch = Batch::new();
        batch.replace_default_route(index, through, ipv4);
        route.apply(batch).map_err(failed)?;
    }
    Ok(())
}

/// Returns whether an endpoint's link is a router of its own: then there is no gateway.
fn is_routed(endpoint: &Endpoint) -> bool {
    let mode = endpoint.network.options.get("ipvlan_mode").map_or("", String::as_str);
    endpoint.network.driver == Driver::Ipvlan && matches!(mode, "l3" | "l3s")
}

/// Returns which of several endpoints gives the default route: the one with the highest priority,
/// and of equal ones the first by the network's name.
pub(crate) fn way_out(endpoints: &[Endpoint], ipv4: bool) -> Option<&Endpoint> {
    endpoints.iter().filter(|endpoint| endpoint.gateway(ipv4).is_some()).min_by_key(|endpoint| {
        (-i128::from(endpoint.more.options.gateway_priority), &endpoint.network.name)
    })
}

/// Brings the loopback of the calling thread's network namespace up, which is all that network
/// `none` has.
///
/// # Errors
/// When the kernel refuses.
pub fn loopback_up() -> Result<()> {
    configure_inside(&[])
}

fn add_veth(
    route: &mut RouteSocket,
    pair: &VethPair<'_>,
    isolated: bool,
) -> std::result::Result<(), wharf_sys::netlink::Error> {
    let mut batch = Batch::new();
    batch.add_veth(pair);
    if isolated {
        batch.isolate_port(pair.name);
    }
    batch.set_up(LinkRef::Name(pair.name));
    route.apply(batch).map(drop)
}

/// Deletes this link, if it exists.
pub(super) fn delete_link(route: &mut RouteSocket, link: &str) -> Result<()> {
    let mut batch = Batch::new();
    batch.delete_link(link);
    route.apply(batch).map(drop).map_err(failed)
}

/// Returns the name of a container's link on the host: at most 15 characters, and unlike those of
/// bridges, which have a dash or no hexadecimal digits. The first has the container's id, the next
/// ones a further letter; whoever has more than 36 gets those by the endpoint's id.
pub(crate) fn link_name(container: &ContainerId, number: u32, id: &str) -> String {
    match (number, char::from_digit(number, 36)) {
        (0, _) => format!("wh{}", container.short()),
        (_, Some(letter)) => format!("wh{}{letter}", container.short()),
        (_, None) => format!("whx{}", id.get(..12).unwrap_or(id)),
    }
}

/// Returns a container's endpoint on the network of this name, if it has one.
///
/// # Errors
/// When the database can't be read.
pub fn endpoint(store: &Store, container: &ContainerId, network: &str) -> Result<Option<Endpoint>> {
    let id: Option<String> = store
        .connection()
        .prepare_cached("SELECT id FROM network WHERE name = ?1")?
        .query_row([network], |row| row.get(0))
        .optional()?;
    id.map_or(Ok(None), |id| of(store.connection(), container, &id))
}
