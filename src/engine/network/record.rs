//! The row of a network: what it is called, which bridge and subnet are its own.

use std::net::Ipv4Addr;
use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};
use wharf_sys::netlink::route::RouteSocket;

use super::bridge;
use super::rules::Segment;
use super::subnet::{Subnet, first_free};
use crate::state::Store;
use crate::{Error, Result};
use wharf_model::ErrorKind;

/// The name of the network that containers join when they don't say otherwise.
pub const DEFAULT_NETWORK: &str = "bridge";

/// The default engine root, whose bridge has the plain name.
const DEFAULT_ROOT: &str = "/var/lib/wharf";
const DEFAULT_BRIDGE: &str = "wharf0";
/// How the bridges of other roots begin.
const PRIVATE_BRIDGE: &str = "wh-";

/// A network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The id, 64 hexadecimal digits.
    pub id: String,
    /// The name.
    pub name: String,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// Its bridge on the host.
    pub bridge: String,
    /// Its addresses.
    pub subnet: Subnet,
    /// The address of the bridge.
    pub gateway: Ipv4Addr,
    /// The address that was leased last.
    pub(super) last_leased: Option<Ipv4Addr>,
}

/// The part of a network that is stored as JSON.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Spec {
    driver: String,
    bridge: String,
    subnet: Subnet,
    gateway: Ipv4Addr,
    #[serde(default)]
    last_leased: Option<Ipv4Addr>,
}

/// Returns the network of this name.
///
/// # Errors
/// When the database can't be read.
pub fn network(store: &Store, name: &str) -> Result<Option<Network>> {
    read(store.connection(), name)
}

pub(super) fn read(connection: &Connection, name: &str) -> Result<Option<Network>> {
    let row = connection
        .query_row("SELECT id, created, spec FROM network WHERE name = ?1", [name], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?))
        })
        .optional()?;
    let Some((id, created, spec)) = row else { return Ok(None) };
    let spec: Spec = serde_json::from_str(&spec)
        .map_err(|cause| Error::failed(format!("read network {name}"), cause))?;
    Ok(Some(Network {
        id,
        name: name.to_owned(),
        created: DateTime::from_timestamp_millis(created).unwrap_or_default(),
        bridge: spec.bridge,
        subnet: spec.subnet,
        gateway: spec.gateway,
        last_leased: spec.last_leased,
    }))
}

/// Returns the networks of this root, as far as the firewall is concerned.
pub(super) fn segments(store: &Store) -> Result<Vec<Segment>> {
    Ok(network(store, DEFAULT_NETWORK)?.iter().map(Network::segment).collect())
}

impl Network {
    /// Returns what the firewall has to know of it.
    pub(super) fn segment(&self) -> Segment {
        Segment {
            bridge: self.bridge.clone(),
            gateways: vec![self.gateway.into()],
            internal: false,
            icc: true,
            masquerade: true,
        }
    }
}

/// Writes the network's row.
pub(super) fn write(connection: &Connection, network: &Network) -> Result<()> {
    let spec = Spec {
        driver: "bridge".to_owned(),
        bridge: network.bridge.clone(),
        subnet: network.subnet,
        gateway: network.gateway,
        last_leased: network.last_leased,
    };
    let spec = serde_json::to_string(&spec)
        .map_err(|cause| Error::failed(format!("write network {}", network.name), cause))?;
    connection
        .prepare_cached(
            "INSERT INTO network (id, name, created, spec) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO UPDATE SET spec = excluded.spec",
        )?
        .execute(params![network.id, network.name, network.created.timestamp_millis(), spec])?;
    Ok(())
}

/// Returns the default network with its bridge up, making either if it isn't there.
///
/// A root that starts for the first time, or for the first time since the host did, takes a subnet
/// that no route, link or other root uses; containers that hold a lease pin the subnet.
pub(super) fn establish(store: &mut Store, route: &mut RouteSocket) -> Result<Network> {
    if let Some(network) = network(store, DEFAULT_NETWORK)?
        && bridge::is_up(route, &network.bridge)?
    {
        return Ok(network);
    }
    // The subnet shows in the host's routes only when the bridge is up: until then no other root
    // may choose. Always taken before the database's lock.
    let _lock = bridge::lock_namespace()?;
    let name = bridge_name(store);
    let used = bridge::used_subnets(route, &name)?;
    let current = bridge::subnet_of(route, &name)?;
    let network = store.transaction(|transaction| {
        let known = read(transaction, DEFAULT_NETWORK)?;
        let choose = || {
            current.or_else(|| first_free(&used)).ok_or_else(|| {
                Error::new(
                    ErrorKind::Conflict,
                    "no subnet is left for network bridge: the host's routes cover all of \
                     172.17.0.0/16 to 172.31.0.0/16 and 192.168.0.0/16",
                )
            })
        };
        let network = match known {
            Some(network) if !used.iter().any(|used| used.overlaps(&network.subnet)) => {
                return Ok(network);
            }
            Some(network) => {
                if super::lease::count(transaction, &network.id)? > 0 {
                    return Err(Error::new(
                        ErrorKind::Conflict,
                        format!(
                            "subnet {} of network {} is now used by another link or route of the \
                             host: stop all containers on it, then it will move",
                            network.subnet, network.name
                        ),
                    ));
                }
                let subnet = choose()?;
                Network { subnet, gateway: subnet.gateway(), last_leased: None, ..network }
            }
            None => {
                let subnet = choose()?;
                Network {
                    id: random_id()?,
                    name: DEFAULT_NETWORK.to_owned(),
                    created: Utc::now(),
                    bridge: name,
                    subnet,
                    gateway: subnet.gateway(),
                    last_leased: None,
                }
            }
        };
        write(transaction, &network)?;
        Ok(network)
    })?;
    bridge::raise(route, &network.bridge, network.subnet.block(network.gateway))?;
    Ok(network)
}

/// Returns the name of the default network's bridge: several roots on one host have one each.
fn bridge_name(store: &Store) -> String {
    let root = store.connection().path().map(Path::new).and_then(Path::parent);
    match root {
        Some(root) if root != Path::new(DEFAULT_ROOT) => {
            format!("{PRIVATE_BRIDGE}{}", root_hash(root))
        }
        _ => DEFAULT_BRIDGE.to_owned(),
    }
}

/// Returns what tells a root from others in names of links and tables.
pub(super) fn root_hash(root: &Path) -> String {
    let text = root.as_os_str().as_encoded_bytes();
    hex(&ring::digest::digest(&ring::digest::SHA256, text).as_ref()[..4])
}

fn random_id() -> Result<String> {
    let mut bytes = [0; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|cause| Error::failed("make up a network id", cause))?;
    Ok(hex(&bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
