//! Reads the counters of the host and of all containers, once a tick.
//!
//! Files are opened when a container is added and stay open; a tick is one `pread` of each, into
//! one buffer. A container whose group or first process is gone is missing from the tick, it never
//! shows as zeros.
//!
//! Most containers of a crowded host do nothing most of the time, and most of what a reading costs is
//! the kernel's adding up of memory and pressure. So a container that used neither CPU time nor a
//! block device since the tick before keeps the other counters it had, and they are all read again at
//! every [`WHOLE`]th tick, another one for each container. Once nothing is left that the kernel would
//! write back for it, its CPU time alone tells that it goes on: it is *settled*.
//!
//! Packets come whether a container runs or not. The other ends of its interfaces are links of this
//! host, whose counters are read for all containers at once: its own are read only when these moved.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use wharf_cgroup::{Counters, Layout, RawCounters};
use wharf_model::{ContainerId, HostSample, NetCounters, Sample};

use crate::host::HostReader;
use crate::meter::sample;
use crate::net::{Links, Process};
use crate::{Error, Result};

/// Enough for `/proc/stat` of some 150 CPUs and for any `net/dev` of a container.
const BUFFER: usize = 16 * 1024;

/// After how many ticks even a container that does nothing is wholly read.
const WHOLE: usize = 10;

/// As [`WHOLE`], of a container that is settled.
const WHOLE_OF_SETTLED: usize = 30;

/// How long a container must have rested for the kernel's count of what is to be written to have all
/// that it did: memory is added up every two seconds.
const ADDED_UP: Duration = Duration::from_secs(3);

/// After which rest a container is settled where nobody counts what is to be written: the kernel
/// writes back within half a minute.
const WRITTEN_BACK: Duration = Duration::from_secs(60);

/// A running container to be sampled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Its id.
    pub id: ContainerId,
    /// Its group's name.
    pub group: String,
    /// Its first process.
    pub pid: i32,
    /// When it was started, in milliseconds since 1970.
    pub started_ms: i64,
    /// The links of this process's network namespace that all its traffic passes, one for each of its
    /// interfaces; none where there are others.
    pub links: Option<Vec<String>>,
}

/// What one tick read.
#[derive(Clone, Debug, Default)]
pub struct Tick {
    /// The host.
    pub host: HostSample,
    /// The containers that run, in the order they were added.
    pub containers: Vec<(ContainerId, Sample)>,
    /// Those that were found to be gone; they have been removed from the sampler.
    pub gone: Vec<ContainerId>,
}

/// The open files of the host and of each container.
#[derive(Debug)]
pub struct Sampler {
    layout: Layout,
    origin: Instant,
    host: HostReader,
    links: Links,
    containers: Vec<Entry>,
    /// When each of them was started, and its links.
    known: HashMap<ContainerId, (i64, Option<Vec<String>>)>,
    ticks: usize,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Entry {
    id: ContainerId,
    started_ms: i64,
    links: Option<Vec<String>>,
    counters: Counters,
    process: Process,
    last: Option<Last>,
}

/// What was read last.
#[derive(Clone, Debug)]
struct Last {
    raw: RawCounters,
    network: Option<NetCounters>,
    /// What its links had counted before its traffic was read; none when they don't tell.
    passed: Option<NetCounters>,
    /// Since when it has rested, after the sampler's beginning.
    resting_since: Duration,
    /// Whether nothing was left to be written back.
    written: bool,
}

impl Last {
    fn is_settled(&self, now: Duration) -> bool {
        self.written || now.saturating_sub(self.resting_since) >= WRITTEN_BACK
    }
}

impl Sampler {
    /// Returns a sampler without containers. `root` is the folder of the engine's data.
    pub fn new(layout: Layout, root: &Path) -> Self {
        Self {
            layout,
            origin: Instant::now(),
            host: HostReader::open(root),
            links: Links::default(),
            containers: Vec::new(),
            known: HashMap::new(),
            ticks: 0,
            buffer: vec![0; BUFFER],
        }
    }

    /// Adds a running container. One that was there already is replaced if it was restarted.
    ///
    /// # Errors
    /// When it has no group or no process (any more).
    pub fn add(&mut self, subject: Subject) -> Result<()> {
        let Subject { id, group, pid, started_ms, links } = subject;
        match self.known.get_mut(&id) {
            Some((known, before)) if *known == started_ms => {
                if *before != links {
                    for entry in self.containers.iter_mut().filter(|entry| entry.id == id) {
                        entry.links.clone_from(&links);
                        entry.last = None;
                    }
                    *before = links;
                }
                return Ok(());
            }
            Some(_) => self.remove(&id),
            None => {}
        }
        let counters = Counters::open(&self.layout, &group)?;
        let process = Process::open(pid).ok_or_else(|| Error::Gone(id.short().to_owned()))?;
        self.known.insert(id.clone(), (started_ms, links.clone()));
        self.containers.push(Entry { id, started_ms, links, counters, process, last: None });
        Ok(())
    }

    /// Removes a container, closing its files.
    pub fn remove(&mut self, id: &ContainerId) {
        if self.known.remove(id).is_some() {
            self.containers.retain(|entry| entry.id != *id);
        }
    }

    /// Has all of a container read at the next tick: one that rests isn't asked for its limits.
    pub fn changed(&mut self, id: &ContainerId) {
        for entry in self.containers.iter_mut().filter(|entry| entry.id == *id) {
            entry.last = None;
        }
    }

    /// Keeps only the containers for which `keep` is true.
    pub fn retain(&mut self, mut keep: impl FnMut(&ContainerId) -> bool) {
        let known = &mut self.known;
        self.containers.retain(|entry| {
            let kept = keep(&entry.id);
            if !kept {
                known.remove(&entry.id);
            }
            kept
        });
    }

    /// Returns the containers that are being sampled.
    pub fn containers(&self) -> impl Iterator<Item = &ContainerId> {
        self.containers.iter().map(|entry| &entry.id)
    }

    /// Reads everything once.
    pub fn tick(&mut self) -> Tick {
        let mut tick = Tick {
            host: self.host.read(self.origin.elapsed(), &mut self.buffer),
            containers: Vec::with_capacity(self.containers.len()),
            gone: Vec::new(),
        };
        self.ticks += 1;
        let wanted = self.containers.iter().any(|entry| entry.links.is_some());
        self.links.read(wanted);
        let Self { links, buffer, known, origin, ticks, .. } = self;
        let mut turn = *ticks;
        self.containers.retain_mut(|entry| {
            turn += 1;
            match entry.read(*origin, links, buffer, turn) {
                Some(sample) => {
                    tick.containers.push((entry.id.clone(), sample));
                    true
                }
                None => {
                    known.remove(&entry.id);
                    tick.gone.push(entry.id.clone());
                    false
                }
            }
        });
        tick
    }
}

impl Entry {
    /// Reads what may have changed, or everything, when it is its turn.
    fn read(
        &mut self,
        origin: Instant,
        links: &Links,
        buffer: &mut [u8],
        turn: usize,
    ) -> Option<Sample> {
        let now = origin.elapsed();
        let quiet = match &self.last {
            None => false,
            Some(last) => {
                let settled = last.is_settled(now);
                let whole = turn.is_multiple_of(if settled { WHOLE_OF_SETTLED } else { WHOLE });
                // A whole reading finds out by itself, and doesn't end the rest.
                !whole && self.counters.is_quiet_since(&last.raw, !settled).ok()?
            }
        };
        let mut last = match self.last.take() {
            Some(last) if quiet => last,
            before => {
                let raw = self.counters.read().ok()?;
                let usage = |raw: &RawCounters| raw.cpu.as_ref().map(|cpu| cpu.usage_ns);
                let rests = |before: &Last| {
                    usage(&before.raw) == usage(&raw) && before.raw.block == raw.block
                };
                let resting_since = before.filter(rests).map_or(now, |before| before.resting_since);
                let rested = now.saturating_sub(resting_since);
                let written = raw.unwritten == Some(0) && rested >= ADDED_UP;
                Last { raw, network: None, passed: None, resting_since, written }
            }
        };
        // Each sample has its own time: a rate is over what really passed between two readings.
        let at = origin.elapsed();
        let passed = self.links.as_ref().and_then(|names| links.passed(names));
        if passed.is_none() || passed != last.passed {
            last.network = match self.process.network(buffer) {
                Some((network, interfaces)) => {
                    let all = self.links.as_ref().is_some_and(|names| names.len() == interfaces);
                    last.passed = passed.filter(|_| all);
                    Some(network)
                }
                None if !self.process.is_alive() => return None,
                None => None,
            };
        }
        let sample = sample(at, self.started_ms, &last.raw, last.network);
        self.last = Some(last);
        Some(sample)
    }
}

/// Raises this process's limit on open files as far as it may, and returns what it is now. A
/// sampler keeps up to eighteen open for each container, and 1024 is a common limit.
///
/// Child processes inherit it: whoever starts containers sets their limit explicitly.
pub fn raise_open_files_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    setrlimit(Resource::Nofile, raised).ok()?;
    maximum
}

#[cfg(test)]
#[path = "sampler_tests.rs"]
mod tests;
