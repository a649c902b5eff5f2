//! Whether a container reaches something, by a real attempt, and if not, why.
//!
//! A thread of this process joins the network namespace of the container that tries, by the handle
//! to its first process, resolves the name as a program in there would, and connects. No program is
//! run, and nothing of the container is loaded. When the attempt fails, what the other side listens
//! on is read in its namespace the same way, and [`verdict`] says what that adds up to.

mod resolve;
mod sockets;
mod verdict;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use wharf_model::{
    ContainerDetail, ContainerListOptions, EndpointInfo, ErrorKind, Filters, NetworkInfo,
    ReachAnswer, ReachQuestion,
};
use wharf_sys::netlink::route::RouteSocket;

use super::bridge::failed;
use crate::container::view::Mounts;
use crate::engine::Engine;
use crate::{Error, Result};
use resolve::{Found, Resolver};
use sockets::Listening;
use verdict::{Facts, Outcome, Place};

/// How long an attempt takes at most: what isn't dropped answers sooner, even far away.
const PATIENCE: Duration = Duration::from_secs(3);

/// The most addresses of one name that are tried.
const MOST: usize = 4;

/// Returns the addresses of a name as a program of this host resolves it, but without the modules of
/// a C library, which a static program can't load.
///
/// # Errors
/// When nobody knows the name.
pub fn host_addresses(name: &str) -> std::io::Result<Vec<IpAddr>> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let found = Resolver::new(&read("/etc/hosts"), &read("/etc/resolv.conf")).resolve(name);
    match name.trim_end_matches('.').to_ascii_lowercase().as_str() {
        // It needs no file to be this host (RFC 6761, section 6.3).
        "localhost" if found.addresses.is_empty() => {
            Ok(vec![Ipv4Addr::LOCALHOST.into(), std::net::Ipv6Addr::LOCALHOST.into()])
        }
        _ if found.addresses.is_empty() => {
            let how = found.how.replace("its /etc/hosts", "/etc/hosts");
            let why = format!("no address for {name}: {how}");
            Err(std::io::Error::new(std::io::ErrorKind::NotFound, why))
        }
        _ => Ok(found.addresses),
    }
}

/// A container that has a part in an attempt.
struct Party {
    detail: ContainerDetail,
    /// Its first process, while it runs.
    process: Option<OwnedFd>,
}

impl Engine {
    /// Tries whether one container reaches another, a name or an address, on a TCP port. That it
    /// doesn't is an answer, not an error.
    ///
    /// # Errors
    /// When there is no container `from`, or the kernel refuses the way into its namespace.
    pub fn reach(&self, question: &ReachQuestion) -> Result<ReachAnswer> {
        let from = self.party(&question.from)?;
        let to = match question.to.parse::<IpAddr>() {
            Ok(address) => self.holder_of(address)?,
            Err(_) => match self.party(&question.to) {
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                found => Some(found?),
            },
        };
        let mut facts = Facts::new(&from.detail, to.as_ref().map(|to| &to.detail), question);
        facts.networks(&self.networks(&Filters::default())?);
        let mut steps = Vec::new();
        let no = |mut steps: Vec<String>, reason: String| {
            steps.push(reason);
            Ok(ReachAnswer { reached: false, micros: 0, steps })
        };
        let (Some(process), false) = (&from.process, facts.stopped().is_some()) else {
            return no(steps, facts.stopped().unwrap_or_else(|| facts.not_running(&from.detail)));
        };
        let theirs = to.as_ref().and_then(|to| to.process.as_ref());
        let resolver = self.resolver(&from.detail)?;
        let wanted = facts.wanted_name(question);
        let found = match question.to.parse::<IpAddr>() {
            Ok(address) => Found { addresses: vec![address], how: String::new() },
            Err(_) => inside(process.as_fd(), || Ok(resolver.resolve(&wanted)))?,
        };
        let shared = match theirs {
            Some(theirs) => sockets::namespace(process)? == sockets::namespace(theirs)?,
            None => false,
        };
        let addresses = facts.addresses(&found, &wanted, shared, &mut steps);
        if addresses.is_empty() {
            return no(steps, facts.nothing_to_try(&found, &wanted));
        }
        let mut last = None;
        for address in addresses.into_iter().take(MOST) {
            let (outcome, micros) =
                inside(process.as_fd(), || Ok(connect(address, question.port)))?;
            let place = SocketAddr::new(address, question.port);
            steps.push(format!("{} tried {place}: {outcome}", facts.from));
            if outcome == Outcome::Connected {
                if to.as_ref().is_some_and(|to| facts.is_paused(&to.detail)) {
                    steps.push(format!(
                        "{} is paused: the kernel took the connection, but nobody \
                                        will answer",
                        facts.to
                    ));
                }
                return Ok(ReachAnswer { reached: true, micros, steps });
            }
            last = Some((address, outcome, micros));
        }
        let Some((address, outcome, micros)) = last else {
            return no(steps, facts.nothing_to_try(&found, &wanted));
        };
        // At the loopback it is itself that answers.
        let answering = if address.is_loopback() { Some(process) } else { theirs };
        let listening = match answering {
            Some(process) => Some(inside(process.as_fd(), || Ok(Listening::read()))?),
            None => None,
        };
        steps.extend(facts.heard(address, listening.as_ref()));
        facts.unplugged = inside(process.as_fd(), unplugged)?;
        steps.push(facts.reason(address, &outcome, listening.as_ref()));
        Ok(ReachAnswer { reached: false, micros, steps })
    }

    fn party(&self, reference: &str) -> Result<Party> {
        let detail = self.container(reference)?;
        let process = match detail.state.status.is_alive() {
            true => self.with_store(|store| {
                let record = store.container(detail.id.as_str())?;
                match self.process_of(&record) {
                    Ok(process) => Ok(Some(process)),
                    // It has ended meanwhile.
                    Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
                    Err(error) => Err(error),
                }
            })?,
            false => None,
        };
        Ok(Party { detail, process })
    }

    /// Returns the container that has an address.
    fn holder_of(&self, address: IpAddr) -> Result<Option<Party>> {
        let list = self.list_containers(&ContainerListOptions::default())?;
        let holds = list.iter().find(|c| c.endpoints.iter().any(|e| e.ip == address));
        holds.map(|container| self.party(container.id.as_str())).transpose()
    }

    /// Returns what a program in the container would resolve names with, as its files are now.
    fn resolver(&self, from: &ContainerDetail) -> Result<Resolver> {
        self.with_store(|store| {
            let (_, view) = self.view(store, from.id.as_str(), Mounts::Seen)?;
            let read = |path: &str| view.root.read_small(Path::new(path)).unwrap_or_default();
            Ok(Resolver::new(&read("/etc/hosts"), &read("/etc/resolv.conf")))
        })
    }
}

/// Runs `work` in the network namespace of a process, on a thread that ends with it.
fn inside<T: Send>(process: BorrowedFd<'_>, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let failed = |cause: &dyn std::fmt::Display| {
        Error::failed("enter the container's network", cause.to_string())
    };
    let joined = move || {
        setns(process, CloneFlags::CLONE_NEWNET).map_err(|cause| failed(&cause))?;
        work()
    };
    std::thread::scope(|scope| match scope.spawn(joined).join() {
        Ok(result) => result,
        Err(_) => Err(failed(&"its thread panicked")),
    })
}

/// Connects, and closes again at once; returns what came of it and how long that took.
fn connect(address: IpAddr, port: u16) -> (Outcome, u64) {
    let begin = Instant::now();
    let made = TcpStream::connect_timeout(&SocketAddr::new(address, port), PATIENCE);
    let micros = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
    (made.map_or_else(|cause| Outcome::of(&cause), |_| Outcome::Connected), micros)
}

/// Returns the interfaces of this network namespace that are up and lead nowhere.
fn unplugged() -> Result<Vec<String>> {
    let mut route = RouteSocket::open().map_err(failed)?;
    let links = route.links().map_err(failed)?.into_iter();
    Ok(links.filter(|link| link.up && !link.carrier).map(|link| link.name).collect())
}

/// Returns where a running container is.
fn places(detail: &ContainerDetail, list: &[NetworkInfo]) -> Vec<Place> {
    let place = |endpoint: &EndpointInfo| {
        let network = list.iter().find(|network| network.name == endpoint.network);
        let icc = network.and_then(|n| n.options.get("com.docker.network.bridge.enable_icc"));
        Place {
            network: endpoint.network.clone(),
            address: endpoint.ip,
            gateway: endpoint.gateway,
            internal: network.is_some_and(|n| n.internal),
            icc: icc.is_none_or(|value| value != "false"),
        }
    };
    let mut places: Vec<Place> = detail.endpoints.iter().map(place).collect();
    // With and without an IPv6 address it is one network.
    places.dedup_by(|a, b| a.network == b.network && b.address.is_ipv4());
    places
}

impl Facts {
    /// Takes in what is known of the networks.
    fn networks(&mut self, list: &[NetworkInfo]) {
        self.from_places = places(&self.from_detail, list);
        let to = self.to_detail.as_ref();
        self.to_places = to.map(|detail| places(detail, list)).unwrap_or_default();
    }

    /// Returns the addresses to try: those that the name resolves to, else those that the container
    /// is known to have. Tells what was found.
    fn addresses(
        &self,
        found: &Found,
        wanted: &str,
        shared: bool,
        steps: &mut Vec<String>,
    ) -> Vec<IpAddr> {
        if !found.addresses.is_empty() {
            if !found.how.is_empty() {
                let list: Vec<String> = found.addresses.iter().map(ToString::to_string).collect();
                steps.push(format!("{wanted} resolves to {} ({})", list.join(", "), found.how));
            }
            return found.addresses.clone();
        }
        if self.to_detail.is_none() {
            return Vec::new();
        }
        if shared {
            steps.push(format!("{} and {} share one network stack", self.from, self.to));
            return vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
        }
        let addresses = self.known_addresses();
        if !addresses.is_empty() {
            steps.push(format!("the name {wanted} is not known in {}: {}", self.from, found.how));
        }
        addresses
    }
}
