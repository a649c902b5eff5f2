//! What an attempt and what is known of both sides add up to: the reason of a no, in words. Pure,
//! so that each reason can be tested without a network.

use std::fmt;
use std::io;
use std::net::IpAddr;

use wharf_model::{ContainerDetail, NetworkMode, ReachQuestion, Status};

use super::resolve::Found;
use super::sockets::Listening;

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was made.
    Connected,
    /// It was answered with a reset.
    Refused,
    /// Nothing came back.
    Silence,
    /// There is no way there, the kernel says.
    NoWay(String),
}

impl Outcome {
    pub(super) fn of(cause: &io::Error) -> Self {
        match cause.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Self::Silence,
            io::ErrorKind::NetworkUnreachable => Self::NoWay("network is unreachable".to_owned()),
            io::ErrorKind::HostUnreachable => Self::NoWay("no answer from that address".to_owned()),
            io::ErrorKind::PermissionDenied => Self::NoWay("forbidden by a rule".to_owned()),
            _ => Self::NoWay(cause.to_string()),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::Refused => f.write_str("connection refused"),
            Self::Silence => f.write_str("no answer within 3 s"),
            Self::NoWay(why) => f.write_str(why),
        }
    }
}

/// A container's place on a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) network: String,
    pub(super) address: IpAddr,
    pub(super) gateway: Option<IpAddr>,
    pub(super) internal: bool,
    /// Whether its containers may talk to each other.
    pub(super) icc: bool,
}

/// What is known of both sides.
pub(super) struct Facts {
    pub(super) from: String,
    pub(super) to: String,
    port: u16,
    pub(super) from_detail: ContainerDetail,
    pub(super) to_detail: Option<ContainerDetail>,
    pub(super) from_places: Vec<Place>,
    pub(super) to_places: Vec<Place>,
    /// The interfaces of the first that lead nowhere.
    pub(super) unplugged: Vec<String>,
}

impl Facts {
    pub(super) fn new(
        from: &ContainerDetail,
        to: Option<&ContainerDetail>,
        question: &ReachQuestion,
    ) -> Self {
        Self {
            from: from.name.clone(),
            to: to.map_or_else(|| question.to.clone(), |to| to.name.clone()),
            port: question.port,
            from_detail: from.clone(),
            to_detail: to.cloned(),
            from_places: Vec::new(),
            to_places: Vec::new(),
            unplugged: Vec::new(),
        }
    }

    /// Returns the name to resolve: what was asked for, or of an id the container's name.
    pub(super) fn wanted_name(&self, question: &ReachQuestion) -> String {
        match &self.to_detail {
            Some(to) if to.id.as_str().starts_with(&question.to) => to.name.clone(),
            _ => question.to.clone(),
        }
    }

    /// Returns that a container doesn't run, with the way out.
    pub(super) fn not_running(&self, which: &ContainerDetail) -> String {
        let name = &which.name;
        let word = which.state.status.as_str();
        format!("{name} is not running ({word}): 'wharf start {name}' starts it")
    }

    /// Returns which side doesn't run, if one doesn't.
    pub(super) fn stopped(&self) -> Option<String> {
        let parties = [Some(&self.from_detail), self.to_detail.as_ref()];
        let stopped = parties.into_iter().flatten().find(|d| !d.state.status.is_alive());
        stopped.map(|detail| self.not_running(detail))
    }

    pub(super) fn is_paused(&self, detail: &ContainerDetail) -> bool {
        detail.state.status == Status::Paused
    }

    /// Returns the networks that both are on.
    fn common(&self) -> Vec<&Place> {
        let shared = |place: &&Place| self.to_places.iter().any(|to| to.network == place.network);
        self.from_places.iter().filter(shared).collect()
    }

    fn is_on_host(detail: &ContainerDetail) -> bool {
        detail.host_config.network_mode == NetworkMode::Host
    }

    /// Returns the addresses of a container whose name isn't known: those on common networks, else
    /// all; of one on the host's network, where the host is reached.
    pub(super) fn known_addresses(&self) -> Vec<IpAddr> {
        let common = self.common();
        let is_common = |to: &&Place| common.iter().any(|from| from.network == to.network);
        let all = || self.to_places.iter();
        let mut list: Vec<IpAddr> = all().filter(is_common).map(|place| place.address).collect();
        if list.is_empty() {
            list.extend(all().map(|place| place.address));
        }
        if self.to_detail.as_ref().is_some_and(Self::is_on_host) {
            list.extend(self.from_places.iter().filter_map(|place| place.gateway));
        }
        list
    }

    /// Returns why there is no address to try.
    pub(super) fn nothing_to_try(&self, found: &Found, wanted: &str) -> String {
        if self.from_places.is_empty() && !Self::is_on_host(&self.from_detail) {
            return format!("{} is on no network: it reaches nobody", self.from);
        }
        if let Some(to) = &self.to_detail {
            // The host is reached at the gateway, which none of its networks has.
            return match Self::is_on_host(to) {
                true => format!("{} is on the host's network, and {}", self.to, self.enclosed()),
                false => format!("{} is on no network: nobody reaches it", self.to),
            };
        }
        format!("no container and no host is called {wanted} in {}: {}", self.from, found.how)
    }

    /// Returns whose programs answer at an address: its own, at the loopback.
    fn who(&self, address: IpAddr) -> &str {
        match address.is_loopback() && self.to_detail.is_none() {
            true => &self.from,
            false => &self.to,
        }
    }

    /// Returns which port of the other side is meant by one that it has on the host only.
    fn published(&self) -> Option<String> {
        let inner = self.to_detail.as_ref()?.published_at(self.port)?;
        Some(format!(
            "{} is where the host publishes {inner} of {}: among containers it is {inner}",
            self.port, self.to
        ))
    }

    /// Returns what was heard on the other side.
    pub(super) fn heard(&self, address: IpAddr, listening: Option<&Listening>) -> Option<String> {
        let listening = listening?;
        let at = listening.on(self.port);
        let who = self.who(address);
        if at.is_empty() {
            let ports: Vec<String> = listening.ports().iter().map(ToString::to_string).collect();
            return Some(match ports.is_empty() {
                true => format!("{who} listens on no TCP port"),
                false => format!("{who} listens on {}", ports.join(", ")),
            });
        }
        let places: Vec<String> =
            at.iter().map(|ip| std::net::SocketAddr::new(*ip, self.port).to_string()).collect();
        Some(format!("{who} listens on {}", places.join(", ")))
    }

    /// Returns why an attempt failed.
    pub(super) fn reason(
        &self,
        address: IpAddr,
        outcome: &Outcome,
        listening: Option<&Listening>,
    ) -> String {
        let Facts { from, to, port, .. } = self;
        let unanswered = matches!(outcome, Outcome::Silence | Outcome::NoWay(_));
        if unanswered && self.from_places.is_empty() && !Self::is_on_host(&self.from_detail) {
            return format!("{from} is on no network: it reaches nobody");
        }
        // With all others in order it is where packets went.
        if unanswered
            && !self.unplugged.is_empty()
            && self.unplugged.len() >= self.from_places.len()
        {
            return format!(
                "{} of {from} has no carrier: what it is on is unplugged, or is a bridge without any \
                 link in it",
                self.unplugged.join(", ")
            );
        }
        let common = self.common();
        if let (true, Some(_), true) = (unanswered, &self.to_detail, common.is_empty())
            && !address.is_loopback()
            && !self.to_places.is_empty()
        {
            return self.apart();
        }
        if let Some(listening) = listening {
            let at = listening.on(*port);
            if at.is_empty() && *outcome == Outcome::Refused {
                let nothing =
                    format!("nothing listens on TCP port {port} in {}", self.who(address));
                return match self.published() {
                    Some(meant) => format!("{nothing}; {meant}"),
                    None => nothing,
                };
            }
            if !at.is_empty() && at.iter().all(IpAddr::is_loopback) && !address.is_loopback() {
                return format!(
                    "the program in {to} listens at the loopback only, where nobody outside of \
                     {to} gets: let it listen on 0.0.0.0"
                );
            }
            let open = at.iter().any(|ip| ip.is_unspecified() || *ip == address);
            if !at.is_empty() && !open {
                let list: Vec<String> = at.iter().map(ToString::to_string).collect();
                return format!(
                    "the program in {to} listens at {} only, not at {address}",
                    list.join(", ")
                );
            }
        }
        if let (true, Some(place)) = (unanswered, common.iter().find(|place| !place.icc)) {
            return format!(
                "network {} keeps its containers apart \
                 (com.docker.network.bridge.enable_icc=false)",
                place.network
            );
        }
        if self.to_detail.is_none() && unanswered {
            return self.unanswered_outside(address, outcome);
        }
        let listens = listening.is_some_and(|l| !l.on(*port).is_empty());
        match (outcome, listens) {
            (Outcome::Refused, true) => format!(
                "{to} listens, yet something refused for it: a firewall rule, or its queue is full"
            ),
            (Outcome::Refused, false) => format!("nothing listens on TCP port {port} at {address}"),
            (_, true) => format!(
                "{to} listens, yet nothing came back: a firewall rule drops it, on the host or in \
                 one of the two"
            ),
            (Outcome::NoWay(why), false) => format!("there is no way to {address}: {why}"),
            (_, false) => format!(
                "nothing came back from {address}: a firewall rule drops it, on the host or in one \
                 of the two; nothing listens on port {port} there either"
            ),
        }
    }

    /// Returns that the two have no network in common, and what would give them one.
    fn apart(&self) -> String {
        let (from, to) = (&self.from, &self.to);
        let first = self.to_places.first().map_or("NETWORK", |place| place.network.as_str());
        format!(
            "no common network: {from} is on {}, {to} on {}; 'wharf network connect {first} \
             {from}' gives them one",
            names(&self.from_places),
            names(&self.to_places)
        )
    }

    /// Returns that the first has no way out of its networks.
    fn enclosed(&self) -> String {
        let networks = names(&self.from_places);
        format!("{} is on internal networks only ({networks}), which nothing leaves", self.from)
    }

    /// Returns why an address that is no container's gives no answer.
    fn unanswered_outside(&self, address: IpAddr, outcome: &Outcome) -> String {
        let from = &self.from;
        let internal = self.from_places.iter().all(|place| place.internal);
        if internal && !self.from_places.is_empty() {
            return self.enclosed();
        }
        match outcome {
            Outcome::NoWay(why) => format!("there is no way to {address} from {from}: {why}"),
            _ => {
                format!("nothing came back from {address}: it isn't there, or a firewall drops it")
            }
        }
    }
}

fn names(places: &[Place]) -> String {
    places.iter().map(|place| place.network.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
