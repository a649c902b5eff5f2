//! What comes to published ports by other ways than the firewall's: over the loopback, from one
//! address family to the other, and all of it where the firewall has no part in it.
//!
//! A part of the supervisor's event loop. Nothing here waits, and an idle port costs its socket.
//! Streams go through the kernel's pipes, which are borrowed while something is in them; datagrams
//! through one buffer for all. All sockets are watched by edges: what is ready is used up, or, so that
//! nobody keeps the loop to himself, gone on with in the next round.

mod datagram;
mod inside;
mod pair;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, SocketType};
use wharf_sys::clone::Child;

use self::datagram::Way as Sender;
use self::inside::Inside;
use self::pair::{Pair, Pipes, Progress};
use crate::network::publish::{Bound, Way};
use crate::network::rules::{Forward, Protocol};

/// Where a port leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// To an address that this process reaches.
    Routed(SocketAddr),
    /// To an address that only the container itself reaches.
    Inside(SocketAddr),
}

/// Marks the tokens of this part.
const OWN: u64 = 1 << 62;
const PORT: u64 = 1 << 61;
const CLIENT: u64 = 1 << 60;
const BITS: u64 = CLIENT - 1;

/// How many connections are accepted, or datagrams passed on, in one go.
const AT_ONCE: usize = 64;
/// How long a sender of datagrams is remembered after the last one in either direction: docker's.
const REMEMBERED: Duration = Duration::from_secs(90);
/// The most senders that are remembered; for a further one the longest silent is forgotten.
const MOST_CLIENTS: usize = 1024;
/// The longest datagram.
const DATAGRAM: usize = 65_536;
/// How long accepting rests when there is nothing left to accept with.
const REST: Duration = Duration::from_millis(100);

struct Port {
    bound: Bound,
    target: Target,
    clients: BTreeMap<Sender, u64>,
}

/// Somebody who sends datagrams.
struct Client {
    port: usize,
    sender: Sender,
    /// Connected to the container.
    socket: OwnedFd,
    last: Instant,
}

/// The ports of a container that runs, and who uses them.
#[derive(Default)]
pub(super) struct Proxy {
    ports: Vec<Port>,
    pairs: BTreeMap<u64, Pair>,
    clients: BTreeMap<u64, Client>,
    pipes: Pipes,
    /// Read into and written out of; empty while nothing happens.
    buffer: Vec<u8>,
    next: u64,
    /// What is to be gone on with at once.
    ready: BTreeSet<u64>,
    /// When ports that could accept no more are tried again.
    rested: Option<Instant>,
    inside: Option<Inside>,
}

impl Proxy {
    /// Returns whether an event is this part's.
    pub(super) fn owns(token: u64) -> bool {
        token & OWN != 0
    }

    /// Returns whether any ports are served.
    pub(super) fn has_ports(&self) -> bool {
        !self.ports.is_empty()
    }

    /// Serves these ports of a container whose first process this is.
    pub(super) fn begin(&mut self, epoll: &OwnedFd, ports: Vec<(Bound, Target)>, init: &Child) {
        if ports.iter().any(|(_, target)| matches!(target, Target::Inside(_))) {
            self.inside = Inside::new(init);
        }
        for (bound, target) in ports {
            let token = OWN | PORT | number(self.ports.len());
            if bound.protocol == Protocol::Udp && bound.host.ip().is_unspecified() {
                datagram::watch_destinations(&bound.socket, bound.host.is_ipv4());
            }
            watch(epoll, bound.socket.as_fd(), token, EventFlags::IN);
            self.ports.push(Port { bound, target, clients: BTreeMap::new() });
        }
    }

    /// Leads the ports to where the container is reached now, and returns what else must know it.
    pub(super) fn aim(&mut self, ways: &[Way]) -> Vec<Forward> {
        let mut forwards = Vec::new();
        for port in &mut self.ports {
            let Some(forward) = port.bound.forward(ways) else { continue };
            if let Target::Routed(target) = &mut port.target {
                *target = forward.target;
            }
            forwards.push(forward);
        }
        forwards
    }

    /// Serves nothing any more.
    pub(super) fn end(&mut self) {
        *self = Self { next: self.next, ..Self::default() };
    }

    /// Gives back memory and pipes that are not in use.
    pub(super) fn relax(&mut self) {
        self.buffer = Vec::new();
        self.pipes.clear();
    }

    /// Returns when something is to be done even if nothing happens.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        if !self.ready.is_empty() {
            return Some(Instant::now());
        }
        let silent = self.clients.values().map(|client| client.last + REMEMBERED).min();
        silent.into_iter().chain(self.rested).min()
    }

    /// Goes on with what wasn't finished, and forgets who has been silent for long.
    pub(super) fn act_in_time(&mut self, epoll: &OwnedFd, now: Instant) {
        for token in std::mem::take(&mut self.ready) {
            self.serve(epoll, token);
        }
        if self.rested.is_some_and(|at| now >= at) {
            self.rested = None;
            for at in 0..self.ports.len() {
                self.serve(epoll, OWN | PORT | number(at));
            }
        }
        let silent = |client: &Client| now.saturating_duration_since(client.last) >= REMEMBERED;
        let gone = self.clients.iter().filter(|(_, client)| silent(client)).map(|(id, _)| *id);
        for id in gone.collect::<Vec<_>>() {
            self.forget(id);
        }
    }

    /// Does what an event asks for.
    pub(super) fn serve(&mut self, epoll: &OwnedFd, token: u64) {
        let id = token & BITS;
        if token & PORT != 0 {
            let Some(at) = usize::try_from(id).ok().filter(|at| *at < self.ports.len()) else {
                return;
            };
            let more = match self.ports[at].bound.protocol {
                Protocol::Tcp => self.accept(epoll, at),
                Protocol::Udp => self.receive(epoll, at),
            };
            if more {
                self.ready.insert(token);
            }
        } else if token & CLIENT != 0 {
            if self.answer(id) {
                self.ready.insert(token);
            }
        } else {
            // Both ends of a connection have the same number.
            self.pass_on(token);
        }
    }

    /// Accepts connections; returns whether there may be more.
    fn accept(&mut self, epoll: &OwnedFd, at: usize) -> bool {
        for _ in 0..AT_ONCE {
            let port = &self.ports[at];
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let client = match rustix::net::accept_with(&port.bound.socket, flags) {
                Ok(client) => client,
                Err(Errno::AGAIN) => return false,
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    self.rested = Some(Instant::now() + REST);
                    return false;
                }
                // Who came has left again.
                Err(_) => continue,
            };
            let Ok(server) = self.connect(port.target, SocketType::STREAM) else { continue };
            let id = self.next;
            self.next += 1;
            for socket in [&client, &server] {
                let _ = rustix::net::sockopt::set_tcp_nodelay(socket, true);
                watch(epoll, socket.as_fd(), OWN | id, EventFlags::IN | EventFlags::OUT);
            }
            self.pairs.insert(id, Pair::new(client, server));
        }
        true
    }

    /// Begins a connection to the container.
    fn connect(&self, target: Target, kind: SocketType) -> std::io::Result<OwnedFd> {
        match (target, &self.inside) {
            (Target::Routed(address), _) => inside::connect(address, kind),
            (Target::Inside(address), Some(inside)) => inside.connect(address, kind),
            (Target::Inside(_), None) => Err(Errno::NETUNREACH.into()),
        }
    }

    fn pass_on(&mut self, token: u64) {
        let id = token & BITS;
        let Some(pair) = self.pairs.get_mut(&id) else { return };
        match pair.pass_on(&mut self.pipes) {
            Progress::Waiting => {}
            Progress::More => {
                self.ready.insert(token);
            }
            Progress::Over => {
                self.pairs.remove(&id);
            }
        }
    }

    /// Passes datagrams on to the container; returns whether there may be more.
    fn receive(&mut self, epoll: &OwnedFd, at: usize) -> bool {
        self.buffer.resize(DATAGRAM, 0);
        for _ in 0..AT_ONCE {
            let socket = &self.ports[at].bound.socket;
            let (length, from) = match datagram::receive(socket, &mut self.buffer) {
                Ok((length, Some(from))) => (length, from),
                Err(nix::errno::Errno::EAGAIN) => return false,
                // Of an earlier answer that couldn't be delivered.
                Ok((_, None)) | Err(_) => continue,
            };
            let Some(id) = self.client(epoll, at, from) else { continue };
            if let Some(client) = self.clients.get_mut(&id) {
                client.last = Instant::now();
                // What can't be delivered is lost, as datagrams are.
                let _ =
                    rustix::net::send(&client.socket, &self.buffer[..length], SendFlags::empty());
            }
        }
        true
    }

    /// Returns the number of a sender, who may be new.
    fn client(&mut self, epoll: &OwnedFd, at: usize, sender: Sender) -> Option<u64> {
        if let Some(id) = self.ports[at].clients.get(&sender) {
            return Some(*id);
        }
        if self.clients.len() >= MOST_CLIENTS {
            let silent = self.clients.iter().min_by_key(|(_, client)| client.last);
            let silent = silent.map(|(id, _)| *id);
            silent.into_iter().for_each(|id| self.forget(id));
        }
        let socket = self.connect(self.ports[at].target, SocketType::DGRAM).ok()?;
        let id = self.next;
        self.next += 1;
        watch(epoll, socket.as_fd(), OWN | CLIENT | id, EventFlags::IN);
        self.ports[at].clients.insert(sender, id);
        self.clients.insert(id, Client { port: at, sender, socket, last: Instant::now() });
        Some(id)
    }

    fn forget(&mut self, id: u64) {
        if let Some(client) = self.clients.remove(&id)
            && let Some(port) = self.ports.get_mut(client.port)
        {
            port.clients.remove(&client.sender);
        }
    }

    /// Passes the container's answers on; returns whether there may be more.
    fn answer(&mut self, id: u64) -> bool {
        self.buffer.resize(DATAGRAM, 0);
        for _ in 0..AT_ONCE {
            let Some(client) = self.clients.get_mut(&id) else { return false };
            match rustix::net::recv(&client.socket, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => {
                    client.last = Instant::now();
                    if let Some(port) = self.ports.get(client.port) {
                        let data = &self.buffer[..length];
                        let _ = datagram::send_back(&port.bound.socket, data, client.sender);
                    }
                }
                Err(Errno::AGAIN) => return false,
                // Nobody listens there, or not yet: the next datagram is told so anew.
                Err(_) => {}
            }
        }
        true
    }
}

fn number(at: usize) -> u64 {
    u64::try_from(at).unwrap_or(BITS)
}

/// Adding fails only for want of memory or watches; then nobody is served by this socket.
fn watch(epoll: &OwnedFd, socket: BorrowedFd<'_>, token: u64, flags: EventFlags) {
    let _ = epoll::add(epoll, socket, EventData::new_u64(token), flags | EventFlags::ET);
}
