//! The rows of networks: what each is called, what makes it, and which addresses are its own.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::driver::{self, Driver};
use super::pool::Pool;
use super::rules::Segment;
use crate::state::Store;
use crate::{Error, Result};
use wharf_model::ErrorKind;

/// The name of the network that containers join when they don't say otherwise.
pub const DEFAULT_NETWORK: &str = "bridge";

/// The default engine root, whose bridge has the plain name.
const DEFAULT_ROOT: &str = "/var/lib/wharf";
const DEFAULT_BRIDGE: &str = "wharf0";
/// How the bridges of other roots, and of networks that somebody made, begin.
const OTHER_BRIDGE: &str = "wh-";

/// A network. Plain data: it may be handed to another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Network {
    /// The id, 64 hexadecimal digits.
    pub id: String,
    /// The name.
    pub name: String,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// The rest of it.
    #[serde(flatten)]
    pub spec: NetworkSpec,
}

/// The part of a network that is stored as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkSpec {
    /// What makes it.
    pub driver: Driver,
    /// The link on the host that it is made with: its bridge, or the parent of its links. Empty for
    /// networks without one.
    pub link: String,
    /// Whether the link is the engine's own to make and delete.
    pub owns_link: bool,
    /// Its IPv4 addresses.
    pub ipv4: Option<Pool>,
    /// Its IPv6 addresses.
    pub ipv6: Option<Pool>,
    /// Whether nothing leaves it.
    pub internal: bool,
    /// Whether containers may join by hand, which every network of one host allows.
    pub attachable: bool,
    /// The driver's options, as they were given.
    pub options: BTreeMap<String, String>,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it is being removed: its link may be gone already.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub removing: bool,
}

impl std::ops::Deref for Network {
    type Target = NetworkSpec;

    fn deref(&self) -> &NetworkSpec {
        &self.spec
    }
}

impl Network {
    /// Returns whether it is one of the three that are always there.
    pub fn is_predefined(&self) -> bool {
        matches!(self.name.as_str(), DEFAULT_NETWORK | "host" | "none")
    }

    /// Returns its pools, IPv4 first.
    pub fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.spec.ipv4.iter().chain(&self.spec.ipv6)
    }

    /// Returns the pool of one family.
    pub fn pool(&self, ipv4: bool) -> Option<&Pool> {
        if ipv4 { self.spec.ipv4.as_ref() } else { self.spec.ipv6.as_ref() }
    }

    /// Returns whether its containers reach each other.
    pub fn icc(&self) -> bool {
        driver::truth(&self.options, driver::ICC, true)
    }

    /// Returns whether what leaves it does so under the host's address.
    pub fn masquerades(&self) -> bool {
        !self.internal && driver::truth(&self.options, driver::MASQUERADE, true)
    }

    /// Returns the largest packet, where it is not the kernel's choice.
    pub fn mtu(&self) -> Option<u32> {
        self.options.get(driver::MTU).and_then(|text| text.parse().ok()).filter(|mtu| *mtu > 0)
    }

    /// Returns how the names of interfaces on it begin.
    pub fn interface_prefix(&self) -> &str {
        self.options.get(driver::PREFIX).map_or("eth", String::as_str)
    }
}

const COLUMNS: &str = "id, name, created, spec";

fn from_row(row: &Row<'_>) -> rusqlite::Result<Network> {
    let spec = row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?;
    Ok(Network {
        id: row.get(0)?,
        name: row.get(1)?,
        created: DateTime::from_timestamp_millis(row.get(2)?).unwrap_or_default(),
        spec: serde_json::from_str(spec).map_err(|cause| {
            rusqlite::Error::FromSqlConversionFailure(
                3,
                rusqlite::types::Type::Text,
                Box::new(cause),
            )
        })?,
    })
}

/// Returns the network of this name.
///
/// # Errors
/// When the database can't be read.
pub fn network(store: &Store, name: &str) -> Result<Option<Network>> {
    read(store.connection(), name)
}

pub(super) fn read(connection: &Connection, name: &str) -> Result<Option<Network>> {
    let named = format!("SELECT {COLUMNS} FROM network WHERE name = ?1");
    let found = connection.prepare_cached(&named)?.query_row([name], from_row).optional()?;
    Ok(found.filter(|network| !network.removing))
}

/// Returns the network of this id.
pub(super) fn by_id(connection: &Connection, id: &str) -> Result<Option<Network>> {
    let with_id = format!("SELECT {COLUMNS} FROM network WHERE id = ?1");
    let found = connection.prepare_cached(&with_id)?.query_row([id], from_row).optional()?;
    Ok(found.filter(|network| !network.removing))
}

/// Returns all networks that have rows, those that are being removed too, by name.
///
/// # Errors
/// When the database can't be read.
pub fn networks(store: &Store) -> Result<Vec<Network>> {
    all(store.connection())
}

pub(super) fn all(connection: &Connection) -> Result<Vec<Network>> {
    let all = format!("SELECT {COLUMNS} FROM network ORDER BY name");
    let mut statement = connection.prepare_cached(&all)?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Returns docker's error for a network that isn't there.
pub(crate) fn no_such_network(reference: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("network {reference} not found"))
}

/// Returns the network with this name, id, or beginning of an id, in this order of preference.
///
/// # Errors
/// Docker's, when there is none or several ids begin so.
pub(crate) fn find(connection: &Connection, reference: &str) -> Result<Network> {
    let exact =
        format!("SELECT {COLUMNS} FROM network WHERE id = ?1 OR name = ?1 ORDER BY id = ?1");
    // An id comes before another network's name that looks like one.
    let mut found: Vec<Network> = connection
        .prepare_cached(&exact)?
        .query_map([reference], from_row)?
        .collect::<rusqlite::Result<_>>()?;
    found.retain(|network| !network.removing);
    if let Some(network) = found.pop() {
        return Ok(network);
    }
    if reference.is_empty() || !reference.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(no_such_network(reference));
    }
    let prefix = format!("SELECT {COLUMNS} FROM network WHERE id >= ?1 AND id < ?1 || 'g' LIMIT 2");
    let mut found: Vec<Network> = connection
        .prepare_cached(&prefix)?
        .query_map([reference], from_row)?
        .collect::<rusqlite::Result<_>>()?;
    match (found.pop(), found.pop()) {
        (None, _) => Err(no_such_network(reference)),
        (Some(network), None) => Ok(network),
        (Some(_), Some(_)) => Err(Error::new(
            ErrorKind::Invalid,
            format!("network {reference} is ambiguous (2 matches found based on ID prefix)"),
        )),
    }
}

/// Returns the networks of this root that have bridges, as far as the firewall is concerned.
pub(super) fn segments(store: &Store) -> Result<Vec<Segment>> {
    let networks = networks(store)?.into_iter();
    let bridged = networks.filter(|network| {
        network.driver == Driver::Bridge && !network.link.is_empty() && !network.removing
    });
    Ok(bridged.map(|network| network.segment()).collect())
}

impl Network {
    /// Returns what the firewall has to know of it.
    pub(super) fn segment(&self) -> Segment {
        Segment {
            bridge: self.link.clone(),
            gateways: self.pools().map(|pool| pool.gateway).collect(),
            internal: self.internal,
            icc: self.icc(),
            masquerade: self.masquerades(),
        }
    }
}

/// Writes the network's row.
pub(super) fn write(connection: &Connection, network: &Network) -> Result<()> {
    let spec = serde_json::to_string(&network.spec)
        .map_err(|cause| Error::failed(format!("write network {}", network.name), cause))?;
    connection
        .prepare_cached(
            "INSERT INTO network (id, name, created, spec) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO UPDATE SET spec = excluded.spec",
        )?
        .execute(params![network.id, network.name, network.created.timestamp_millis(), spec])?;
    Ok(())
}

/// Returns what tells this engine root from others.
pub(super) fn seed(store: &Store) -> Vec<u8> {
    let root = store.connection().path().map(Path::new).and_then(Path::parent);
    root.map(|root| root.as_os_str().as_encoded_bytes().to_vec()).unwrap_or_default()
}

/// Returns the name of the default network's bridge: several roots on one host have one each.
pub(super) fn default_bridge(store: &Store) -> String {
    let root = seed(store);
    if root.is_empty() || root == DEFAULT_ROOT.as_bytes() {
        return DEFAULT_BRIDGE.to_owned();
    }
    format!("{OTHER_BRIDGE}{}", root_hash(&root))
}

/// Returns what tells a root from others in names of links and tables.
pub(super) fn root_hash(root: &[u8]) -> String {
    hex(&ring::digest::digest(&ring::digest::SHA256, root).as_ref()[..4])
}

/// Returns the name of the bridge of a network that somebody made.
pub(super) fn bridge_of(id: &str) -> String {
    format!("{OTHER_BRIDGE}{}", id.get(..12).unwrap_or(id))
}

/// Returns a new id of a network or endpoint.
pub(super) fn random_id() -> Result<String> {
    let mut bytes = [0; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|cause| Error::failed("make up an id", cause))?;
    Ok(hex(&bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
