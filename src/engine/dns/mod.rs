//! The DNS server of user-defined networks.
//!
//! Each container on one has its own, at 127.0.0.11 in its network namespace, and its supervisor
//! answers there. What the containers of its networks are called is answered from the database, as
//! it is at that instant; all else is forwarded. Sockets are made in the container's namespace, for
//! upstream servers too, except those that the host alone reaches.
//!
//! The event loop of the supervisor watches one descriptor, an event queue of the server's own, and
//! calls [`Dns::serve`] when something is there: nothing in here waits. What a container can make it
//! keep is bounded: queries under way, connections, the length of a query, and the time that each of
//! them takes. When nothing happens it keeps nothing but its sockets.
//!
//! [`resolver`] decides, from bytes and a table; [`flight`] and [`connection`] hold what is under
//! way; [`sockets`] makes what there is to wait for.

mod connection;
mod flight;
mod resolver;
#[cfg(test)]
mod resolver_tests;
#[cfg(test)]
mod server_tests;
mod sockets;
mod source;
mod table;
mod upstream;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use domain::base::iana::Rcode;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use connection::{Connection, Next};
use flight::{Client, Flight, Progress};
use resolver::{Decision, Knowledge, Transport, Turns, decide};
use sockets::{Listening, Namespace};
use source::Names;
use upstream::Upstreams;

pub(crate) use sockets::ADDRESS;
pub(crate) use source::Recorded;
pub(crate) use upstream::Upstream;

use crate::{Error, Result};

/// What an event is about; connections and queries under way are numbered from `FIRST_NUMBER` on.
const UDP: u64 = 0;
const TCP: u64 = 1;
const TIMER: u64 = 2;
const FIRST_NUMBER: u64 = 8;

/// The longest query that is taken, in bytes. One question takes at most 271, what is added to it (a
/// cookie, a signature) some hundreds.
const LONGEST_QUERY: usize = 2048;
/// How many queries may be under way to upstream servers.
const FLIGHTS: usize = 256;
/// How many connections clients may have.
const CONNECTIONS: usize = 16;
/// How many queries are answered before the supervisor's other work gets its turn.
const AT_ONCE: usize = 64;
/// How long connections wait when there is no descriptor left for one.
const FULL_FOR: Duration = Duration::from_secs(1);

const SERVER_FAILURE: Rcode = Rcode::SERVFAIL;

/// What a server is told of its container.
pub(crate) struct Settings {
    /// The names that it knows.
    pub(crate) names: Box<dyn Names>,
    /// Whom it asks about all others.
    pub(crate) upstreams: Vec<Upstream>,
    /// Whether names without a dot are never forwarded: the container has asked for search domains
    /// to be tried first (`ndots`).
    pub(crate) keeps_plain: bool,
}

/// The DNS server of one container.
pub(crate) struct Dns {
    epoll: OwnedFd,
    timer: OwnedFd,
    /// When the timer goes off.
    armed: Option<Instant>,
    listening: Listening,
    namespace: Namespace,
    names: Box<dyn Names>,
    upstreams: Upstreams,
    keeps_plain: bool,
    flights: BTreeMap<u64, Flight>,
    connections: BTreeMap<u64, Connection>,
    /// Connections that have something to do without an event.
    ready: Vec<u64>,
    next_number: u64,
    turns: Turns,
    /// Until when no connections are accepted, for want of descriptors.
    full: Option<Instant>,
}

impl Dns {
    /// Listens in a container's network namespace, whose loopback it brings up. To be called before
    /// the container's program runs.
    ///
    /// # Errors
    /// When the kernel refuses a socket.
    pub(crate) fn start(namespace: OwnedFd, settings: Settings) -> Result<Self> {
        let failed = |cause: io::Error| Error::failed("start the DNS server", cause);
        let namespace = Namespace::new(namespace).map_err(failed)?;
        let listening = namespace.within(sockets::listen).map_err(failed)??;
        let make = || -> io::Result<(OwnedFd, OwnedFd)> {
            let epoll = epoll::create(CreateFlags::CLOEXEC)?;
            let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            for (fd, token) in
                [(listening.udp.as_fd(), UDP), (listening.tcp.as_fd(), TCP), (timer.as_fd(), TIMER)]
            {
                epoll::add(&epoll, fd, EventData::new_u64(token), EventFlags::IN)?;
            }
            Ok((epoll, timer))
        };
        let (epoll, timer) = make().map_err(failed)?;
        Ok(Self {
            epoll,
            timer,
            armed: None,
            listening,
            namespace,
            names: settings.names,
            upstreams: Upstreams::new(&settings.upstreams),
            keeps_plain: settings.keeps_plain,
            flights: BTreeMap::new(),
            connections: BTreeMap::new(),
            ready: Vec::new(),
            next_number: FIRST_NUMBER,
            turns: Turns([0; 64]),
            full: None,
        })
    }

    /// Returns what is readable when there is something to do.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    /// Takes note of other networks of the container's, and of other servers to ask, if any are
    /// known. That another container has joined or left, or has another name, it sees by itself.
    pub(crate) fn networks_changed(&mut self, upstreams: Option<Vec<Upstream>>) {
        self.names.forget();
        if let Some(upstreams) = upstreams {
            // Those under way have their answers from a server of before.
            self.upstreams = Upstreams::new(&upstreams);
        }
    }

    /// Gives memory back: nothing has happened for a while.
    pub(crate) fn relax(&mut self) {
        self.names.forget();
        self.ready = Vec::new();
    }

    /// Does what there is to do, without waiting. `buffer` is anybody's, at least some kilobytes.
    pub(crate) fn serve(&mut self, buffer: &mut [u8]) {
        let mut events = Vec::with_capacity(16);
        let space = rustix::buffer::spare_capacity(&mut events);
        // A failure would be found again by the caller's own queue.
        let _ = epoll::wait(&self.epoll, space, Some(&Timespec::default()));
        let mut late = false;
        for event in &events {
            match event.data.u64() {
                UDP => self.read_datagrams(buffer),
                TCP => self.accept(),
                TIMER => late = true,
                number if self.connections.contains_key(&number) => self.ready.push(number),
                number => self.advance(number, buffer),
            }
        }
        if late {
            let mut count = [0; 8];
            let _ = rustix::io::read(&self.timer, &mut count);
            self.armed = None;
            self.expire(Instant::now());
        }
        // Each may make others ready, by what it asks.
        while let Some(number) = self.ready.pop() {
            self.serve_connection(number, buffer);
        }
        self.arm();
    }

    fn decide(&mut self, query: &[u8], transport: Transport) -> Decision {
        let knows = Knowledge { table: self.names.table(), keeps_plain: self.keeps_plain };
        decide(query, transport, knows, &mut self.turns)
    }

    fn read_datagrams(&mut self, buffer: &mut [u8]) {
        for _ in 0..AT_ONCE {
            let (length, from) = match self.listening.udp.recv_from(buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // What an earlier answer met with.
                Err(_) => continue,
            };
            if length > LONGEST_QUERY {
                continue;
            }
            let query = &buffer[..length];
            match self.decide(query, Transport::Udp) {
                Decision::Answer(answer) => self.reply(Client::Udp(from), &answer),
                Decision::Forward => self.forward(Client::Udp(from), query),
                Decision::Drop => {}
            }
        }
    }

    /// Sends a client its answer. One that doesn't listen loses it.
    fn reply(&mut self, client: Client, answer: &[u8]) {
        match client {
            Client::Udp(address) => {
                let _ = self.listening.udp.send_to(answer, address);
            }
            Client::Tcp(number) => {
                if let Some(connection) = self.connections.get_mut(&number) {
                    connection.answer(answer, Instant::now());
                    self.ready.push(number);
                }
            }
        }
    }

    fn forward(&mut self, client: Client, query: &[u8]) {
        // The client lost patience; the answer is under way.
        if self.flights.values().any(|flight| flight.repeats(client, query)) {
            return;
        }
        let order = self.upstreams.order(Instant::now());
        let Some(flight) = Flight::new(client, query, order) else { return };
        match self.flights.len() < FLIGHTS {
            true => self.attempt(flight),
            false => self.give_up(flight),
        }
    }

    fn give_up(&mut self, flight: Flight) {
        let client = flight.client;
        if let Some(answer) = flight.give_up() {
            self.reply(client, &answer);
        }
    }

    /// Asks the next server that can be asked.
    fn attempt(&mut self, mut flight: Flight) {
        let now = Instant::now();
        while let Some(server) = flight.left.pop_front() {
            let Some(upstream) = self.upstreams.get(server) else { continue };
            let dial = || sockets::dial(upstream.address, flight.kind());
            let socket = match upstream.from_host {
                true => dial(),
                false => self.namespace.within(dial).and_then(|dialed| dialed),
            };
            let Ok(socket) = socket else { continue };
            flight.server = server;
            if flight.begin(socket, now).is_err() {
                continue;
            }
            let flags = match flight.client.transport() {
                Transport::Udp => EventFlags::IN,
                Transport::Tcp => EventFlags::OUT,
            };
            let number = self.number();
            if let Some(socket) = flight.socket()
                && epoll::add(&self.epoll, socket, EventData::new_u64(number), flags).is_ok()
            {
                self.flights.insert(number, flight);
                return;
            }
        }
        self.give_up(flight);
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }

    fn advance(&mut self, number: u64, buffer: &mut [u8]) {
        let Some(mut flight) = self.flights.remove(&number) else { return };
        match flight.advance(buffer) {
            progress @ (Progress::Waiting | Progress::Sent) => {
                if let (Progress::Sent, Some(socket)) = (progress, flight.socket()) {
                    let data = EventData::new_u64(number);
                    let _ = epoll::modify(&self.epoll, socket, data, EventFlags::IN);
                }
                self.flights.insert(number, flight);
            }
            Progress::Landed(answer) => {
                self.upstreams.note(flight.server, true, Instant::now());
                self.hang_up(&mut flight);
                self.reply(flight.client, &answer);
            }
            Progress::Refused => {
                self.hang_up(&mut flight);
                let server = flight.server;
                flight.left.retain(|other| *other != server);
                self.attempt(flight);
            }
            Progress::Lost => self.lose(flight),
        }
    }

    fn lose(&mut self, mut flight: Flight) {
        self.upstreams.note(flight.server, false, Instant::now());
        self.hang_up(&mut flight);
        self.attempt(flight);
    }

    fn hang_up(&self, flight: &mut Flight) {
        if let Some(socket) = flight.take_socket() {
            let _ = epoll::delete(&self.epoll, &socket);
        }
    }

    fn accept(&mut self) {
        let now = Instant::now();
        match self.listening.tcp.accept() {
            Ok((socket, _)) => {
                if self.connections.len() >= CONNECTIONS {
                    // Who has been silent for longest makes room.
                    let idle = self.connections.iter().filter(|(_, other)| other.is_idle());
                    let Some((number, _)) = idle.min_by_key(|(_, other)| other.deadline) else {
                        return;
                    };
                    self.close(*number);
                }
                let Ok(connection) = Connection::new(socket, now) else { return };
                let number = self.number();
                let (data, flags) = (EventData::new_u64(number), connection.interest);
                if epoll::add(&self.epoll, connection.fd(), data, flags).is_ok() {
                    self.connections.insert(number, connection);
                }
            }
            // Who came has left again.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted
                ) => {}
            Err(_) => {
                // Asking again at once is no help.
                let _ = epoll::delete(&self.epoll, &self.listening.tcp);
                self.full = Some(now + FULL_FOR);
            }
        }
    }

    fn serve_connection(&mut self, number: u64, buffer: &mut [u8]) {
        for _ in 0..AT_ONCE {
            let Some(connection) = self.connections.get_mut(&number) else { return };
            match connection.next(buffer, Instant::now()) {
                Next::Query(query) => match self.decide(&query, Transport::Tcp) {
                    Decision::Answer(answer) => {
                        let Some(connection) = self.connections.get_mut(&number) else { return };
                        connection.answer(&answer, Instant::now());
                    }
                    Decision::Forward => {
                        let Some(connection) = self.connections.get_mut(&number) else { return };
                        connection.waits = true;
                        self.forward(Client::Tcp(number), &query);
                    }
                    Decision::Drop => return self.close(number),
                },
                Next::Wait(flags) => return self.watch(number, flags),
                Next::Close => return self.close(number),
            }
        }
        // There is more, and at the next turn there will be room to write.
        self.watch(number, EventFlags::IN | EventFlags::OUT);
    }

    fn watch(&mut self, number: u64, flags: EventFlags) {
        if let Some(connection) = self.connections.get_mut(&number)
            && connection.interest != flags
        {
            connection.interest = flags;
            let data = EventData::new_u64(number);
            let _ = epoll::modify(&self.epoll, connection.fd(), data, flags);
        }
    }

    fn close(&mut self, number: u64) {
        if let Some(connection) = self.connections.remove(&number) {
            let _ = epoll::delete(&self.epoll, connection.fd());
        }
    }

    /// Goes on with what has taken too long.
    fn expire(&mut self, now: Instant) {
        let late = self.flights.extract_if(.., |_, flight| flight.deadline <= now);
        for (_, flight) in late.collect::<Vec<_>>() {
            self.lose(flight);
        }
        let late = self.connections.iter();
        let late = late.filter(|(_, other)| !other.waits && other.deadline <= now);
        for number in late.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.close(number);
        }
        if self.full.is_some_and(|until| until <= now) {
            self.full = None;
            let data = EventData::new_u64(TCP);
            let _ = epoll::add(&self.epoll, &self.listening.tcp, data, EventFlags::IN);
        }
    }

    /// Sets the timer to what comes first.
    fn arm(&mut self) {
        let flights = self.flights.values().map(|flight| flight.deadline);
        let silent = self.connections.values().filter(|other| !other.waits);
        let next = flights.chain(silent.map(|other| other.deadline)).chain(self.full).min();
        let Some(next) = next.filter(|next| self.armed.is_none_or(|armed| *next < armed)) else {
            return;
        };
        // Zero would be never.
        let left = next.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let Ok(it_value) = Timespec::try_from(left) else { return };
        let time = Itimerspec { it_interval: Timespec::default(), it_value };
        if timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &time).is_ok() {
            self.armed = Some(next);
        }
    }
}
