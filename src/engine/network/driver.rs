//! Kinds of networks, and the options that each takes.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use wharf_model::ErrorKind;
use wharf_sys::netlink::route::{ChildKind, IpvlanMode, MacvlanMode};

use crate::{Error, Result};

/// What makes a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A bridge on the host.
    #[default]
    Bridge,
    /// Links with hardware addresses of their own on a link of the host.
    Macvlan,
    /// Links with the hardware address of a link of the host.
    Ipvlan,
    /// The host's own network.
    Host,
    /// Nothing.
    Null,
}

impl Driver {
    /// Returns docker's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Macvlan => "macvlan",
            Self::Ipvlan => "ipvlan",
            Self::Host => "host",
            Self::Null => "null",
        }
    }

    /// Returns whether its links share one of the host's.
    pub fn has_parent(self) -> bool {
        matches!(self, Self::Macvlan | Self::Ipvlan)
    }
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Driver {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "" | "default" | "bridge" => Self::Bridge,
            "macvlan" => Self::Macvlan,
            "ipvlan" => Self::Ipvlan,
            "host" => Self::Host,
            "null" => Self::Null,
            "overlay" => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "driver overlay connects the hosts of a cluster, and wharf has none: use bridge, \
                     or macvlan for a network that the other hosts are on too",
                ));
            }
            other => {
                return Err(Error::new(
                    ErrorKind::NotFound,
                    format!("plugin {other:?} not found: there are bridge, macvlan and ipvlan"),
                ));
            }
        })
    }
}

/// The name of the bridge on the host.
pub(super) const BRIDGE_NAME: &str = "com.docker.network.bridge.name";
/// Whether containers of the network reach each other.
pub(super) const ICC: &str = "com.docker.network.bridge.enable_icc";
/// Whether what leaves it does so under the host's address.
pub(super) const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
/// The largest packet.
pub(super) const MTU: &str = "com.docker.network.driver.mtu";
/// How the names of interfaces begin.
pub(super) const PREFIX: &str = "com.docker.network.container_iface_prefix";
/// The link of the host that a macvlan or ipvlan network is on.
pub(super) const PARENT: &str = "parent";
/// Of an endpoint: the name of its interface.
pub(super) const INTERFACE: &str = "com.docker.network.endpoint.ifname";

/// Of an endpoint: kernel settings of its interface.
pub(super) const SYSCTLS: &str = "com.docker.network.endpoint.sysctls";

/// Options of docker's whose other values would change what packets do, and the value that works.
const FIXED: [(&str, &str); 4] = [
    ("com.docker.network.bridge.gateway_mode_ipv4", "nat"),
    ("com.docker.network.bridge.gateway_mode_ipv6", "nat"),
    ("com.docker.network.bridge.inhibit_ipv4", "false"),
    ("com.docker.network.bridge.trusted_host_interfaces", ""),
];

/// Returns the truth that a text means, as Go reads it.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Returns an option that is a truth, which [`check`] has found to be one.
pub(super) fn truth(options: &BTreeMap<String, String>, name: &str, default: bool) -> bool {
    options.get(name).and_then(|text| boolean(text)).unwrap_or(default)
}

/// Returns whether a link may have this name.
pub(super) fn is_link_name(name: &str) -> bool {
    let odd = |b: u8| b == b'/' || b == b':' || b.is_ascii_whitespace() || b.is_ascii_control();
    (1..=15).contains(&name.len()) && !matches!(name, "." | "..") && !name.bytes().any(odd)
}

/// Checks the options of a network. Those that mean nothing to its driver are kept, as docker does.
///
/// # Errors
/// Docker's sentence about a value that can't be read, and one that names an option or value which
/// doesn't work yet.
pub(super) fn check(driver: Driver, options: &BTreeMap<String, String>) -> Result<()> {
    let invalid = |text: String| Error::new(ErrorKind::Invalid, text);
    if let Some(text) = options.get(MTU) {
        let mtu: u32 = text.parse().map_err(|_| {
            invalid(format!(
                "failed to parse {MTU} value: {text} (strconv.Atoi: parsing {text:?}: invalid syntax)"
            ))
        })?;
        if mtu != 0 && !(68..=65535).contains(&mtu) {
            return Err(invalid(format!("invalid MTU {mtu}: it must be from 68 to 65535")));
        }
    }
    if driver == Driver::Bridge {
        for name in [ICC, MASQUERADE] {
            if let Some(text) = options.get(name).filter(|text| boolean(text).is_none()) {
                return Err(invalid(format!(
                    "failed to parse {name} value: {text} (strconv.ParseBool: parsing {text:?}: \
                     invalid syntax)"
                )));
            }
        }
        for name in [BRIDGE_NAME, PREFIX] {
            if let Some(text) = options.get(name).filter(|text| !is_link_name(text)) {
                return Err(invalid(format!(
                    "invalid {name} value: {text:?}: at most 15 letters, without spaces and slashes"
                )));
            }
        }
        for (name, works) in FIXED {
            if options.get(name).is_some_and(|text| text != works) {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("option {name} is not supported yet by this version of wharf"),
                ));
            }
        }
    }
    if driver.has_parent() {
        child(driver, options)?;
        let parent = options.get(PARENT).map_or("", String::as_str);
        if !parent.is_empty() && !is_link_name(parent) {
            return Err(invalid(format!("invalid subinterface vlan name {parent}")));
        }
    }
    Ok(())
}

/// Returns the kind of links of a macvlan or ipvlan network.
///
/// # Errors
/// When a mode isn't one.
pub(super) fn child(driver: Driver, options: &BTreeMap<String, String>) -> Result<ChildKind> {
    let option = |name: &str| options.get(name).map_or("", String::as_str);
    let invalid = |text: String| Err(Error::new(ErrorKind::Invalid, text));
    if driver == Driver::Macvlan {
        return Ok(ChildKind::Macvlan(match option("macvlan_mode") {
            "" | "bridge" => MacvlanMode::Bridge,
            "private" => MacvlanMode::Private,
            "vepa" => MacvlanMode::Vepa,
            "passthru" => MacvlanMode::Passthru,
            other => return invalid(format!("requested macvlan mode '{other}' is not valid")),
        }));
    }
    let mode = match option("ipvlan_mode") {
        "" | "l2" => IpvlanMode::L2,
        "l3" => IpvlanMode::L3,
        "l3s" => IpvlanMode::L3s,
        other => return invalid(format!("requested ipvlan mode '{other}' is not valid")),
    };
    let flags = match option("ipvlan_flag") {
        "" | "bridge" => 0,
        "private" => 1,
        "vepa" => 2,
        other => return invalid(format!("requested ipvlan flag '{other}' is not valid")),
    };
    Ok(ChildKind::Ipvlan { mode, flags })
}
