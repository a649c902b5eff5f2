//! The event loop of a running container, and its end.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use chrono::Utc;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Signal, WaitId, WaitIdOptions, waitid};
use rustix::time::Timespec;
use wharf_model::{HealthAction, LogStream, Status, TermSize};
use wharf_sys::clone::Child;

use super::clients::{Client, Role};
use super::exec::{Progress, Starting};
use super::health::Monitor;
use super::launch::{Container, has_own_pids};
use super::log::{self, Log};
use super::proxy::Proxy;
use super::record::Record;
use super::restart::Backoff;
use super::streams::{ContainerStreams, Taken};
use super::teardown;
use crate::channel::{AttachRequest, CHUNK, Channel, Input};
use crate::container::signal::not_running;
use crate::init::terminal;
use crate::state::{Happened, Store};
use crate::{Error, folder};

/// What an event is about; connections and further programs are numbered from `FIRST_NUMBER` on.
const INIT: u64 = 0;
const LISTENER: u64 = 1;
const STDOUT: u64 = 2;
const STDERR: u64 = 3;
const STDIN: u64 = 4;
const OOM: u64 = 5;
/// The start of a probe, or the probe itself.
pub(super) const PROBE: u64 = 6;
pub(super) const PROBE_OUTPUT: u64 = 7;
pub(super) const PACKER: u64 = 8;
/// The container's name server.
const DNS: u64 = 9;
/// Room in the connection to who writes the log.
pub(super) const LOG: u64 = 10;
const FIRST_NUMBER: u64 = 16;

/// How long nothing must happen before memory is given back: a program that ends at once, or writes
/// all the time, never pays for it.
const QUIET: Duration = Duration::from_secs(1);

/// Where the container is in its life, as far as its supervisor is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its first process lives.
    Running,
    /// It is started again at this instant.
    Waiting(Instant),
    /// It has ended for good.
    Ended,
}

/// Waits for a child's end and returns its exit code: 128+n when signal n ended it. A stop is no
/// end, even when a tracer makes it look like one.
pub(crate) fn reap(child: &Child) -> rustix::io::Result<i32> {
    let status = rustix::io::retry_on_intr(|| {
        waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED)
    })?;
    Ok(status.map_or(255, |status| {
        let signal = status.terminating_signal().map(|signal| 128 + signal);
        status.exit_status().or(signal).unwrap_or(255)
    }))
}

/// A supervisor at work.
pub(super) struct Supervisor {
    pub(super) container: Container,
    pub(super) epoll: OwnedFd,
    pub(super) streams: ContainerStreams,
    pub(super) log: Option<Log>,
    /// The process that compresses a rotated log.
    pub(super) packer: Option<Child>,
    pub(super) clients: BTreeMap<u64, Client>,
    pub(super) starting: BTreeMap<u64, (Starting, u64)>,
    /// Further programs, and who wants to know their end.
    pub(super) programs: BTreeMap<u64, (Child, u64)>,
    /// The ids that events tell of them under.
    pub(super) told: BTreeMap<u64, String>,
    /// The terminals of those that their clients have left.
    pub(super) left: BTreeMap<u64, OwnedFd>,
    next_number: u64,
    pub(super) oom_seen: u64,
    pub(super) phase: Phase,
    /// When the first process was started.
    pub(super) started: Instant,
    pub(super) backoff: Backoff,
    pub(super) health: Option<Monitor>,
    /// What is to follow the stop that failed probes have led to.
    pub(super) after_stop: HealthAction,
    /// Whether this run's kill was told.
    pub(super) killed: bool,
    /// When that stop becomes a kill.
    pub(super) kill_at: Option<Instant>,
    /// Whether output is being read, or waits for a client that is behind.
    pub(super) reading: bool,
    /// Whether memory was given back since something happened.
    pub(super) trimmed: bool,
    /// When something happened last.
    busy: Instant,
    /// Whether there was no descriptor left for a further connection.
    full: bool,
    /// Whether it is paused only because clients hold it.
    pub(super) held: bool,
    /// What comes to the container's published ports by other ways than the firewall's.
    pub(super) proxy: Proxy,
    /// What is kept of its past.
    pub(super) recording: Record,
}

/// Runs a started container until it has ended and everybody who waits knows.
///
/// `verbs` is the lock that the starter holds too; from here on verbs find a container that listens.
pub(super) fn run(
    container: Container,
    starter: Channel,
    attach: Option<AttachRequest>,
    verbs: Vec<OwnedFd>,
) -> i32 {
    let mut supervisor = match Supervisor::new(container) {
        Ok(supervisor) => supervisor,
        Err((container, error)) => {
            let _ = starter.send_failure(&error);
            if let Ok(mut store) = Store::open(&container.paths.database()) {
                teardown::abandon(*container, &mut store);
            }
            return 1;
        }
    };
    drop(verbs);
    let answered = starter.send_ok(&[]);
    if let (Ok(()), Some(attach)) = (answered, attach) {
        supervisor.adopt(starter, attach);
    } else {
        drop(starter);
    }
    supervisor.run();
    0
}

impl Supervisor {
    fn new(container: Container) -> std::result::Result<Self, (Box<Container>, Error)> {
        let epoll = match epoll::create(CreateFlags::CLOEXEC) {
            Ok(epoll) => epoll,
            Err(cause) => {
                return Err((Box::new(container), Error::failed("make an event queue", cause)));
            }
        };
        let mut container = container;
        let ends = std::mem::replace(&mut container.ends, super::launch::Ends::Taken);
        let streams = match ContainerStreams::new(ends) {
            Ok(streams) => streams,
            Err(cause) => {
                return Err((Box::new(container), Error::failed("set up the streams", cause)));
            }
        };
        let health = Monitor::new(&container.record);
        let recording = Record::new(&container);
        let supervisor = Self {
            recording,
            log: log::open(&container.paths, &container.record),
            packer: None,
            container,
            epoll,
            streams,
            clients: BTreeMap::new(),
            starting: BTreeMap::new(),
            programs: BTreeMap::new(),
            told: BTreeMap::new(),
            left: BTreeMap::new(),
            next_number: FIRST_NUMBER,
            oom_seen: 0,
            phase: Phase::Running,
            started: Instant::now(),
            backoff: Backoff::default(),
            health,
            after_stop: HealthAction::None,
            kill_at: None,
            killed: false,
            reading: true,
            trimmed: false,
            busy: Instant::now(),
            full: false,
            held: false,
            proxy: Proxy::default(),
        };
        let mut supervisor = supervisor;
        supervisor.watch_container();
        if let Some(listener) = &supervisor.container.listener {
            supervisor.watch(listener.as_fd(), LISTENER, EventFlags::IN);
        }
        Ok(supervisor)
    }

    /// Watches a run of the container.
    pub(super) fn watch_container(&mut self) {
        let ports = std::mem::take(&mut self.container.ports);
        self.proxy.begin(&self.epoll, ports, &self.container.init);
        self.watch(self.container.init.pidfd.as_fd(), INIT, EventFlags::IN);
        if let Some(oom) = &self.container.oom {
            self.watch(oom.fd(), OOM, oom.interest());
        }
        self.watch_names();
        for (stream, token) in [(LogStream::Stdout, STDOUT), (LogStream::Stderr, STDERR)] {
            if let Some(fd) = self.streams.output(stream) {
                self.watch(fd, token, EventFlags::IN);
            }
        }
    }

    /// Watches the container's name server, if it has one.
    pub(super) fn watch_names(&self) {
        if let Some(dns) = &self.container.dns {
            self.watch(dns.fd(), DNS, EventFlags::IN);
        }
    }

    fn answer_names(&mut self, buffer: &mut [u8]) {
        if let Some(dns) = &mut self.container.dns {
            dns.serve(buffer);
        }
    }

    /// Adding fails only for want of memory or watches; then the descriptor is not heard, and the
    /// container's end, which is watched first, still is.
    pub(super) fn watch(&self, fd: BorrowedFd<'_>, token: u64, flags: EventFlags) {
        let _ = epoll::add(&self.epoll, fd, EventData::new_u64(token), flags);
    }

    pub(super) fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }

    /// Makes the starter's connection the first attached client.
    fn adopt(&mut self, starter: Channel, attach: AttachRequest) {
        let AttachRequest { stdin, output, .. } = attach;
        let role = Role::Attached { stdin, output, starter: true };
        if let Ok(client) = Client::new(starter, role) {
            self.add_client(client);
        }
    }

    fn add_client(&mut self, client: Client) {
        let number = self.number();
        self.watch(client.fd(), number, EventFlags::IN);
        self.clients.insert(number, client);
    }

    fn run(&mut self) {
        let mut events = Vec::with_capacity(16);
        let mut buffer = vec![0; CHUNK].into_boxed_slice();
        loop {
            // After the end, clients get all the time they need to take what waits for them: by now
            // nothing but this process waits with it.
            if self.phase == Phase::Ended && self.clients.values().all(|c| !c.has_queue()) {
                return;
            }
            events.clear();
            let timeout = self.patience();
            match epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                timeout.as_ref(),
            ) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
            let mut ended = false;
            for event in &events {
                let token = event.data.u64();
                // A probe leaves nothing behind that would be worth the giving back.
                if !matches!(token, PROBE | PROBE_OUTPUT) {
                    self.busy = Instant::now();
                    self.trimmed = false;
                }
                match token {
                    INIT => ended = true,
                    LISTENER => self.accept(),
                    STDOUT => self.read(LogStream::Stdout, &mut buffer),
                    STDERR => self.read(LogStream::Stderr, &mut buffer),
                    STDIN => self.streams.flush(),
                    OOM => self.notice_oom(),
                    PROBE => self.advance_probe(),
                    PROBE_OUTPUT => self.read_probe(),
                    PACKER => self.packed(),
                    DNS => self.answer_names(&mut buffer),
                    token if Proxy::owns(token) => self.proxy.serve(&self.epoll, token),
                    LOG => self.feed_log(),
                    number => self.serve(number, event.flags),
                }
            }
            if ended && self.phase == Phase::Running {
                self.end(&mut buffer);
            }
            self.act_in_time();
            self.balance();
            self.watch_log();
        }
    }

    /// Returns how long to wait for something to happen before something is to be done anyway.
    fn patience(&self) -> Option<Timespec> {
        let deadline = match self.phase {
            Phase::Running => {
                let probe = self.health.as_ref().filter(|_| !self.is_paused());
                let probe = probe.and_then(Monitor::next_deadline);
                let sample = self.recording.next_deadline();
                probe.into_iter().chain(self.kill_at).chain([sample]).min()
            }
            Phase::Waiting(until) => Some(until),
            Phase::Ended => return None,
        };
        let deadline = deadline.into_iter().chain(self.proxy.next_deadline()).min();
        let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        let quiet = (!self.trimmed).then(|| QUIET.saturating_sub(self.busy.elapsed()));
        let wait = left.into_iter().chain(quiet).min()?;
        // A wait that can't be told is as good as one without an end.
        Timespec::try_from(wait).ok()
    }

    /// Does what the clock asks for.
    fn act_in_time(&mut self) {
        let now = Instant::now();
        self.proxy.act_in_time(&self.epoll, now);
        match self.phase {
            Phase::Running => {
                if self.kill_at.is_some_and(|at| now >= at) {
                    self.kill_at = None;
                    // One that has ended meanwhile needs no signal.
                    let _ = self.send(Signal::KILL.as_raw());
                }
                self.record_in_time(now);
                self.check_health(now);
            }
            Phase::Waiting(until) if now >= until => {
                // Its state says why it failed; there is nobody else to tell.
                let _ = self.start_again(None);
            }
            Phase::Waiting(_) | Phase::Ended => {}
        }
        if !self.trimmed && now.duration_since(self.busy) >= QUIET {
            // A matter of size only. The first quiet second is used to become small.
            if let Some(log) = &mut self.log {
                log.relax();
            }
            if let Some(dns) = &mut self.container.dns {
                dns.relax();
            }
            self.proxy.relax();
            let _ = wharf_sys::memory::trim();
            self.trimmed = true;
        }
    }

    /// Watches for what there is to do now: room in a full input, and output only while no client
    /// is behind.
    fn balance(&mut self) {
        if let Some(stdin) = self.streams.input() {
            let _ = epoll::delete(&self.epoll, stdin);
            if self.streams.has_pending() {
                self.watch(stdin, STDIN, EventFlags::OUT);
            }
        }
        let room = self.streams.has_room();
        for (number, client) in &self.clients {
            let mut flags = EventFlags::empty();
            if !client.silent && (room || !client.gives_input()) {
                flags |= EventFlags::IN;
            }
            if client.has_queue() {
                flags |= EventFlags::OUT;
            }
            let _ = epoll::modify(&self.epoll, client.fd(), EventData::new_u64(*number), flags);
        }
        let reading = !self.clients.values().any(Client::is_behind)
            && !self.log.as_ref().is_some_and(Log::is_behind);
        if reading != self.reading {
            self.reading = reading;
            let flags = if reading { EventFlags::IN } else { EventFlags::empty() };
            for (stream, token) in [(LogStream::Stdout, STDOUT), (LogStream::Stderr, STDERR)] {
                if let Some(fd) = self.streams.output(stream) {
                    let _ = epoll::modify(&self.epoll, fd, EventData::new_u64(token), flags);
                }
            }
        }
    }

    fn accept(&mut self) {
        let Some(listener) = &self.container.listener else { return };
        let flags = rustix::net::SocketFlags::CLOEXEC;
        match rustix::net::accept_with(listener, flags) {
            Ok(socket) => {
                if let Ok(client) = Client::new(Channel::from(socket), Role::New) {
                    self.add_client(client);
                }
            }
            Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                // Who comes has to wait until somebody leaves; asking again at once is no help.
                let _ = epoll::delete(&self.epoll, listener);
                self.full = true;
            }
            // Who came has left again.
            Err(_) => {}
        }
    }

    /// Passes one piece of output on; returns whether there may be more.
    fn pass_on(&mut self, stream: LogStream, buffer: &mut [u8]) -> bool {
        match self.streams.read(stream, buffer) {
            Taken::Data(length) => {
                let data = &buffer[..length];
                if let Some(log) = &mut self.log {
                    log.write(stream, data);
                    self.pack_log();
                }
                for client in self.clients.values_mut().filter(|client| client.wants_output()) {
                    client.output(stream, data);
                }
                true
            }
            Taken::NothingNow => false,
            Taken::Closed => {
                if let Some(fd) = self.streams.output(stream) {
                    let _ = epoll::delete(&self.epoll, fd);
                }
                self.streams.close_output(stream);
                if let Some(log) = &mut self.log {
                    log.finish(stream);
                }
                false
            }
        }
    }

    fn read(&mut self, stream: LogStream, buffer: &mut [u8]) {
        if self.reading && !self.pass_on(stream, buffer) && self.streams.terminal().is_some() {
            // A terminal that nobody holds open is always "ready" with an error: wait for the next
            // change instead of asking again and again.
            if let Some(fd) = self.streams.output(stream) {
                let flags = EventFlags::IN | EventFlags::ET;
                let _ = epoll::modify(&self.epoll, fd, EventData::new_u64(STDOUT), flags);
            }
        }
    }

    fn notice_oom(&mut self) {
        let kills = self.container.oom.as_ref().and_then(|oom| oom.oom_kills().ok()).unwrap_or(0);
        if kills > self.oom_seen {
            self.oom_seen = kills;
            self.container.record.observed.state.oom_killed = true;
            self.store_observed("oom", &[]);
        }
    }

    /// Stores the state; when even that fails (a full disk), what waits is told all the same, and
    /// the row is corrected when the container's lock is found free.
    pub(super) fn store_observed(&mut self, action: &str, attributes: &[(&'static str, String)]) {
        self.store_events(&[(action.to_owned(), attributes.to_vec())]);
    }

    /// Stores the state and what happened, as far as the database takes it.
    pub(super) fn store_events(&mut self, events: &[Happened]) {
        self.recording.events(events);
        let stored = Store::open(&self.container.paths.database())
            .and_then(|mut store| store.observe_all(&self.container.record, events));
        if stored.is_err() {
            let folder = self.container.paths.container_run(&self.container.record.id);
            crate::reconcile::leave_note(&folder, &self.container.record.observed);
        }
    }

    fn serve(&mut self, number: u64, flags: EventFlags) {
        if self.starting.contains_key(&number) {
            self.advance(number);
        } else if self.programs.contains_key(&number) {
            self.program_ended(number);
        } else if self.clients.contains_key(&number) {
            self.serve_client(number, flags);
        } else if self.left.contains_key(&number) {
            self.empty(number);
        }
    }

    fn serve_client(&mut self, number: u64, flags: EventFlags) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        if flags.contains(EventFlags::OUT) && client.flush().is_err() {
            client.deafen();
        }
        if !flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            return;
        }
        if client.role == Role::New {
            let request = client.channel().receive_request();
            match request {
                Ok(Some((request, descriptors))) => self.request(number, request, descriptors),
                _ => self.drop_client(number),
            }
            return;
        }
        match client.channel().receive_input() {
            Ok(Some(Input::Leave(terminal))) => self.leave(number, terminal),
            Ok(Some(input)) if client.gives_input() => match input {
                Input::Data(data) => self.streams.push(&data),
                Input::End => self.streams.end_input(),
                Input::Resize(size) => self.resize(size),
                Input::Leave(_) => {}
            },
            Ok(Some(Input::Resize(size))) if matches!(client.role, Role::Attached { .. }) => {
                self.resize(size);
            }
            Ok(Some(_)) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Ok(None) if !flags.contains(EventFlags::HUP) && client.role != Role::Holding => {
                // It will say nothing more, but still listens.
                client.silent = true;
            }
            Ok(None) | Err(_) => self.drop_client(number),
        }
    }

    pub(super) fn resize(&mut self, size: TermSize) {
        // A size the kernel doesn't take changes nothing.
        if self.streams.terminal().is_some_and(|master| terminal::resize(master, size).is_ok()) {
            self.store_events(&[resized(size)]);
        }
    }

    /// Accepts connections again, now that something was closed.
    pub(super) fn make_room(&mut self) {
        if self.full
            && let Some(listener) = &self.container.listener
        {
            self.watch(listener.as_fd(), LISTENER, EventFlags::IN);
            self.full = false;
        }
    }

    pub(super) fn drop_client(&mut self, number: u64) {
        if let Some(client) = self.clients.remove(&number) {
            let _ = epoll::delete(&self.epoll, client.fd());
            let role = client.role;
            if role == Role::Holding {
                // Before the connection closes, which is what who has let go may wait for.
                self.release();
            }
            drop(client);
            self.make_room();
            // As with docker, the input belongs to the one who started the container with it.
            if matches!(role, Role::Attached { stdin: true, starter: true, .. }) {
                self.streams.end_input();
            }
        }
    }

    /// Goes on with a program that is being started.
    fn advance(&mut self, token: u64) {
        let Some((starting, number)) = self.starting.remove(&token) else { return };
        let _ = epoll::delete(&self.epoll, starting.channel().as_fd());
        match starting.advance() {
            (Some(starting), _) => {
                self.watch(starting.channel().as_fd(), token, EventFlags::IN);
                self.starting.insert(token, (starting, number));
            }
            (None, Progress::Running(child, terminal)) => {
                self.watch(child.pidfd.as_fd(), token, EventFlags::IN);
                let pid = child.pid;
                self.programs.insert(token, (child, number));
                let descriptors: Vec<_> = terminal.iter().map(AsFd::as_fd).collect();
                if let Some(client) = self.clients.get(&number)
                    && client.channel().send_process(pid, &descriptors).is_err()
                {
                    self.drop_client(number);
                }
            }
            (None, Progress::Failed(error)) => {
                self.told.remove(&token);
                // Whatever it failed with, that its container has ended is the reason.
                let error = match self.has_ended() {
                    true => not_running(&self.container.record),
                    false => error,
                };
                self.answer(number, &Err(error), Role::Answered);
            }
            (None, Progress::Waiting) => {}
        }
    }

    /// Returns whether the first process has ended, which may not have been noticed yet, or is on
    /// its way: it has left its namespaces before its pidfd tells of the end.
    fn has_ended(&self) -> bool {
        let init = &self.container.init;
        let mut fds = [PollFd::new(&init.pidfd, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
            || is_exiting(init.pid)
    }

    fn program_ended(&mut self, token: u64) {
        let Some((child, number)) = self.programs.remove(&token) else { return };
        let _ = epoll::delete(&self.epoll, child.pidfd.as_fd());
        let code = reap(&child).unwrap_or(255);
        drop(child);
        self.make_room();
        if let Some(id) = self.told.remove(&token) {
            let attributes = vec![("execID", id), ("exitCode", code.to_string())];
            self.store_events(&[("exec_die".to_owned(), attributes)]);
        }
        if let Some(client) = self.clients.get_mut(&number)
            && client.exit(code).is_err()
        {
            self.drop_client(number);
        }
    }

    /// Records the end of the container, gives back what it took, and tells who waits.
    fn end(&mut self, buffer: &mut [u8]) {
        let code = reap(&self.container.init).unwrap_or(255);
        let _ = epoll::delete(&self.epoll, self.container.init.pidfd.as_fd());
        // Its sockets would keep the network namespace.
        if let Some(dns) = self.container.dns.take() {
            let _ = epoll::delete(&self.epoll, dns.fd());
        }
        if !has_own_pids(&self.container.record.spec.host.pid_mode) {
            // What is still there is killed again, and reported, when the cgroup is given back.
            let _ = teardown::end_all(&self.container.group);
        }
        // With the first process all others have ended, so that what the pipes hold now is all there
        // will be.
        for stream in [LogStream::Stdout, LogStream::Stderr] {
            while self.pass_on(stream, buffer) {}
            if let Some(log) = &mut self.log {
                log.finish(stream);
            }
            if let Some(fd) = self.streams.output(stream) {
                let _ = epoll::delete(&self.epoll, fd);
            }
        }
        if let Some(log) = &mut self.log {
            // Whoever reads it after the end finds all of it.
            log.settle();
        }
        self.kill_at = None;
        self.end_probes();
        let next = self.next_start(code);
        self.notice_end(code, next);
        for token in self.programs.keys().copied().collect::<Vec<_>>() {
            self.program_ended(token);
        }
        match next {
            None => self.conclude(code),
            Some(next) => {
                self.tell(code, Client::wants_exit);
                self.phase = Phase::Waiting(next);
                self.recording.end(&self.container);
                self.give_back();
            }
        }
    }

    /// Ends for good: tells everybody who waits, and gives back all.
    pub(super) fn conclude(&mut self, code: i32) {
        self.log = None;
        self.end_packing();
        self.phase = Phase::Ended;
        self.tell(code, |client| client.wants_exit() || client.role == Role::Following);
        self.close();
        self.recording.end(&self.container);
        self.give_back();
        self.container.life = None;
    }

    /// Tells the exit code to those who want it.
    fn tell(&mut self, code: i32, wants: impl Fn(&Client) -> bool) {
        let number_of = |(number, client): (&u64, &Client)| wants(client).then_some(*number);
        for number in self.clients.iter().filter_map(number_of).collect::<Vec<_>>() {
            if self.clients.get_mut(&number).is_some_and(|client| client.exit(code).is_err()) {
                self.clients.remove(&number);
            }
        }
    }

    /// Goes on with the start of a program that nobody waits for any more.
    pub(super) fn adopt_starting(&mut self, starting: Starting) {
        let token = self.number();
        self.watch(starting.channel().as_fd(), token, EventFlags::IN);
        self.starting.insert(token, (starting, 0));
    }

    /// Stores how the container has ended, and whether it is to be started again.
    pub(super) fn notice_end(&mut self, code: i32, next: Option<Instant>) {
        let kills = self.container.oom.as_ref().and_then(|oom| oom.oom_kills().ok()).unwrap_or(0);
        let attributes = self.end_attributes(code);
        let mut events: Vec<Happened> = Vec::new();
        // The first process may go with the kill before that is heard of.
        if kills > std::mem::replace(&mut self.oom_seen, kills) {
            events.push(("oom".to_owned(), Vec::new()));
        }
        events.push(("die".to_owned(), attributes.clone()));
        let observed = &mut self.container.record.observed;
        observed.state.oom_killed |= kills > 0;
        observed.state.status = Status::Exited;
        if next.is_some() {
            observed.state.status = Status::Restarting;
            observed.state.restart_count = observed.state.restart_count.saturating_add(1);
        }
        observed.state.pid = None;
        observed.state.exit_code = code;
        observed.state.finished_at = Some(Utc::now());
        observed.ports.clear();
        if !self.container.record.spec.host.auto_remove {
            self.store_events(&events);
            return;
        }
        let removed = Store::open(&self.container.paths.database()).and_then(|mut store| {
            store.remove_container(
                &self.container.record,
                &[("die", attributes.clone()), ("destroy", Vec::new())],
                true,
            )
        });
        if removed.is_err() {
            self.store_events(&events);
        }
    }

    /// Lets nobody connect any more.
    fn close(&mut self) {
        if let Some(listener) = self.container.listener.take() {
            let _ = epoll::delete(&self.epoll, &listener);
        }
    }

    /// Gives back cgroup, network and, with `--rm`, the folder. What fails is journalled.
    fn give_back(&mut self) {
        // Nobody serves these ports any more, whatever else takes its time.
        self.proxy.end();
        let Ok(mut store) = Store::open(&self.container.paths.database()) else { return };
        let Container { paths, record, group, endpoints, .. } = &mut self.container;
        let _ = teardown::give_back_group(&store, record, group);
        let _ = crate::userns::remap::give_back(&store, &record.id);
        let _ = crate::volume::give_back(paths, &mut store, &record.id);
        let _ = crate::network::publish::give_back_all(&store, &record.id);
        for endpoint in std::mem::take(endpoints) {
            let _ = endpoint.disconnect(&mut store);
        }
        if record.spec.host.auto_remove {
            let _ = folder::remove(paths, &store, &record.id);
            let _ = crate::image::Images::new(&mut store, paths).collect();
        }
    }
}

/// Returns what says that a container's terminal has another size.
pub(super) fn resized(size: TermSize) -> Happened {
    let attributes = vec![("height", size.rows.to_string()), ("width", size.columns.to_string())];
    ("resize".to_owned(), attributes)
}

/// Returns whether a child of this process, which is not reaped, is on its way out of the kernel.
fn is_exiting(pid: i32) -> bool {
    /// The kernel's flag of a process that exits (`PF_EXITING`).
    const EXITING: u64 = 0x4;
    // The name, which the container chooses, is in parentheses and may contain some; the flags are
    // the seventh field after it (proc_pid_stat(5)).
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let flags = stat.rsplit(')').next().and_then(|rest| rest.split_ascii_whitespace().nth(6));
    flags.and_then(|flags| flags.parse::<u64>().ok()).is_some_and(|flags| flags & EXITING != 0)
}
