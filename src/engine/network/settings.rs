//! What the host's administrator says of the networks that the engine makes by itself.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::driver::ICC;
use super::pool::{Pool, Supply};
use super::record::Network;

/// The settings: docker's `default-address-pools`, `bip` and `icc`.
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
    /// Adds a block that subnets are cut from.
    ///
    /// # Errors
    /// A sentence, when it can't be meant.
    pub fn add_pool(&mut self, base: IpNet, size: u8) -> std::result::Result<(), String> {
        if base != base.trunc() {
            return Err(format!("address pool {base}: {} is meant", base.trunc()));
        }
        if size < base.prefix_len() || size > base.max_prefix_len() - 2 {
            return Err(format!(
                "address pool {base}: size {size} is no prefix length of subnets in it: {} to {}",
                base.prefix_len(),
                base.max_prefix_len() - 2
            ));
        }
        self.default_address_pools.push(Supply { base, size });
        Ok(())
    }

    /// Says which address the default bridge has.
    ///
    /// # Errors
    /// A sentence, when it can't be a bridge's.
    pub fn set_bip(&mut self, bip: IpNet) -> std::result::Result<(), String> {
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
        self.bip = Some(bip);
        Ok(())
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
    fn what_is_said_holds() {
        let mut settings = Settings { icc: Some(false), ..Settings::default() };
        settings.add_pool("10.66.0.0/16".parse().unwrap(), 24).unwrap();
        settings.set_bip("192.168.5.1/24".parse().unwrap()).unwrap();
        assert_eq!(settings.default_address_pools[0].size, 24);
        assert!(!settings.talks());
        let pool = settings.default_pool().unwrap();
        assert_eq!((pool.subnet.to_string(), pool.gateway.to_string()), {
            ("192.168.5.0/24".to_owned(), "192.168.5.1".to_owned())
        });
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        let mut settings = Settings::default();
        for (base, size, why) in [
            ("10.66.1.0/16", 24, "10.66.0.0/16"),
            ("10.66.0.0/16", 8, "size 8"),
            ("10.66.0.0/16", 31, "size 31"),
        ] {
            let said = settings.add_pool(base.parse().unwrap(), size).unwrap_err();
            assert!(said.contains(why), "{base}: {said}");
        }
        for bip in ["192.168.5.0/24", "192.168.5.255/24", "fd00::1/64"] {
            let said = settings.set_bip(bip.parse().unwrap()).unwrap_err();
            assert!(said.contains("own address"), "{bip}: {said}");
        }
        assert_eq!(settings, Settings::default());
    }
}
