//! The servers that know all other names, and which of them is asked next.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// How many servers are used: as many as resolv.conf(5) and docker allow.
const MOST: usize = 3;
/// How long a server that didn't answer comes last.
const AILING: Duration = Duration::from_secs(30);
/// How often each server is asked about one query. A lost packet is no reason to fail.
const ROUNDS: usize = 2;
const PORT: u16 = 53;

/// A server to forward to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    /// Whether it is asked from the host's network, not the container's.
    pub(crate) from_host: bool,
}

impl Upstream {
    /// Returns the server of a `nameserver` line or a `--dns`. Those of the host's file that only
    /// the host reaches are asked from there: on its loopback, or by a link of its own; with
    /// `ipv6` false, also those with an IPv6 address, as the container has none.
    pub(crate) fn parse(text: &str, of_host: bool, ipv6: bool) -> Option<Self> {
        if let Ok(address) = text.parse::<IpAddr>() {
            let out_of_reach = address.is_loopback() || (address.is_ipv6() && !ipv6);
            let address = SocketAddr::new(address, PORT);
            return Some(Self { address, from_host: of_host && out_of_reach });
        }
        let (address, zone) = text.split_once('%')?;
        let address: Ipv6Addr = address.parse().ok()?;
        let zone = zone.parse().ok().or_else(|| {
            let path = format!("/sys/class/net/{zone}/ifindex");
            std::fs::read_to_string(path).ok()?.trim().parse().ok()
        })?;
        let address = SocketAddrV6::new(address, PORT, 0, zone).into();
        Some(Self { address, from_host: of_host })
    }
}

/// The servers, with what is known of them.
#[derive(Debug)]
pub(super) struct Upstreams {
    all: Vec<(Upstream, Option<Instant>)>,
}

impl Upstreams {
    pub(super) fn new(servers: &[Upstream]) -> Self {
        Self { all: servers.iter().take(MOST).map(|server| (*server, None)).collect() }
    }

    /// Returns whom to ask, and in which order: the first first, but who hasn't answered lately
    /// after all others.
    pub(super) fn order(&self, now: Instant) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.all.len()).collect();
        order.sort_by_key(|at| self.all[*at].1.is_some_and(|until| until > now));
        order.repeat(ROUNDS)
    }

    pub(super) fn get(&self, at: usize) -> Option<Upstream> {
        self.all.get(at).map(|(server, _)| *server)
    }

    /// Notes whether a server has answered.
    pub(super) fn note(&mut self, at: usize, answered: bool, now: Instant) {
        if let Some((_, ailing)) = self.all.get_mut(at) {
            *ailing = (!answered).then(|| now + AILING);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_the_host_alone_reaches_are_asked_from_there() {
        let from_host = |text, of_host, ipv6| {
            Upstream::parse(text, of_host, ipv6).map(|upstream| upstream.from_host)
        };
        for (text, of_host, ipv6, expected) in [
            ("127.0.0.53", true, false, true),
            ("127.0.0.53", false, false, false),
            ("::1", true, true, true),
            ("10.0.0.1", true, false, false),
            ("2001:db8::1", true, false, true),
            ("2001:db8::1", true, true, false),
            ("2001:db8::1", false, false, false),
            ("fe80::1%1", true, true, true),
            ("fe80::1%lo", true, true, true),
        ] {
            assert_eq!(from_host(text, of_host, ipv6), Some(expected), "{text} {of_host} {ipv6}");
        }
        for bad in ["", "dns.example", "1.2.3", "fe80::1%no-such-link", "1.2.3.4%lo"] {
            assert_eq!(from_host(bad, true, true), None, "{bad}");
        }
    }

    #[test]
    fn who_does_not_answer_comes_last_for_a_while() {
        let server = |n: u8| Upstream { address: ([10, 0, 0, n], 53).into(), from_host: false };
        let mut servers = Upstreams::new(&[server(1), server(2), server(3), server(4)]);
        let now = Instant::now();
        assert_eq!(servers.order(now), [0, 1, 2, 0, 1, 2]);
        assert_eq!(servers.get(3), None);
        servers.note(0, false, now);
        assert_eq!(servers.order(now), [1, 2, 0, 1, 2, 0]);
        assert_eq!(servers.order(now + AILING), [0, 1, 2, 0, 1, 2]);
        servers.note(0, true, now);
        assert_eq!(servers.order(now)[0], 0);
    }
}
