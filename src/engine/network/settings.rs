//! What the host's administrator says of the networks that the engine makes by itself.

use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use wharf_model::ErrorKind;

use super::driver::ICC;
use super::pool::{Pool, Supply};
use super::record::Network;
use crate::{Error, Result};

/// The settings, under the keys that docker's `daemon.json` has for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The blocks that subnets are cut from; none are docker's.
    pub default_address_pools: Vec<Supply>,
    /// The address of the default bridge, with the length of its subnet's prefix; none is the first of
    /// a subnet that the engine chooses.
    pub bip: Option<IpNet>,
    /// Whether containers of the default bridge reach each other; none means that they do.
    pub icc: Option<bool>,
}

impl Settings {
    /// Reads the settings of this file; one that isn't there says nothing.
    ///
    /// # Errors
    /// When it can't be read or understood.
    pub fn read(path: &Path) -> Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(cause) => {
                return Err(Error::failed(format_args!("read {}", path.display()), cause));
            }
        };
        Self::parse(&text).map_err(|why| {
            let text = format!("settings of networks {}: {why}", path.display());
            Error::new(ErrorKind::Invalid, text)
        })
    }

    fn parse(text: &str) -> std::result::Result<Self, String> {
        let settings: Self = serde_json::from_str(text).map_err(|cause| cause.to_string())?;
        for Supply { base, size } in &settings.default_address_pools {
            if *base != base.trunc() {
                return Err(format!("address pool {base}: {} is meant", base.trunc()));
            }
            if *size < base.prefix_len() || *size > base.max_prefix_len() - 2 {
                return Err(format!(
                    "address pool {base}: size {size} is no prefix length of subnets in it: {} to {}",
                    base.prefix_len(),
                    base.max_prefix_len() - 2
                ));
            }
        }
        if let Some(bip) = settings.bip {
            let host = bip.addr().is_ipv4()
                && bip.addr() != bip.network()
                && bip.addr() != bip.broadcast()
                && Pool::of(bip).capacity() > 0;
            if !host {
                return Err(format!(
                    "bip {bip}: the bridge's own address and its prefix length are meant: \
                     192.168.5.1/24, for instance"
                ));
            }
        }
        Ok(settings)
    }

    /// Returns the pool that the default bridge is to have, where that is said.
    pub(super) fn default_pool(&self) -> Option<Pool> {
        let bip = self.bip?;
        Some(Pool { gateway: bip.addr(), ..Pool::of(bip) })
    }

    /// Returns whether containers of the default bridge are to reach each other.
    pub(super) fn talks(&self) -> bool {
        self.icc.unwrap_or(true)
    }

    /// Returns whether the default network, as it is, is otherwise than it is to be.
    pub(super) fn contradicts(&self, network: &Network) -> bool {
        let place = |pool: &Pool| -> (IpNet, IpAddr) { (pool.subnet, pool.gateway) };
        let has = network.ipv4.as_ref();
        let moves = match self.default_pool() {
            Some(wanted) => has.map(place) != Some(place(&wanted)),
            // What was asked for once and isn't any more.
            None => has.is_some_and(|pool| !pool.chosen),
        };
        moves || network.icc() != self.talks()
    }

    /// Makes the default network's options those that are asked for.
    pub(super) fn put_options(&self, network: &mut Network) {
        network.spec.options.insert(ICC.to_owned(), self.talks().to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_dockers() {
        let text = r#"{"default-address-pools":[{"base":"10.66.0.0/16","size":24}],
            "bip":"192.168.5.1/24","icc":false}"#;
        let settings = Settings::parse(text).unwrap();
        assert_eq!(settings.default_address_pools[0].size, 24);
        assert!(!settings.talks());
        let pool = settings.default_pool().unwrap();
        assert_eq!((pool.subnet.to_string(), pool.gateway.to_string()), {
            ("192.168.5.0/24".to_owned(), "192.168.5.1".to_owned())
        });
        assert_eq!(Settings::parse("{}").unwrap(), Settings::default());
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        for (text, why) in [
            (r#"{"default-address-pools":[{"base":"10.66.1.0/16","size":24}]}"#, "10.66.0.0/16"),
            (r#"{"default-address-pools":[{"base":"10.66.0.0/16","size":8}]}"#, "size 8"),
            (r#"{"default-address-pools":[{"base":"10.66.0.0/16","size":31}]}"#, "size 31"),
            (r#"{"bip":"192.168.5.0/24"}"#, "own address"),
            (r#"{"bip":"fd00::1/64"}"#, "own address"),
            (r#"{"ipv6":true}"#, "unknown field `ipv6`"),
            ("[", "EOF"),
        ] {
            let said = Settings::parse(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }
}
