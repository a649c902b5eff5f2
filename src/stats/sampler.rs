//! Reads the counters of the host and of all containers, once a tick.
//!
//! Files are opened when a container is added and stay open; a tick is one `pread` of each, into
//! one buffer. A container whose group or first process is gone is missing from the tick, it never
//! shows as zeros.
//!
//! Most containers of a crowded host do nothing most of the time, and most of what a reading costs is
//! the kernel's adding up of memory and pressure. So a container that used neither CPU time nor a
//! block device since the tick before keeps the other counters it had, and they are all read again at
//! every [`WHOLE`]th tick, another one for each container. Once it has rested for [`LONG`], what it
//! wrote has been written back, too: then its CPU time alone tells that it goes on. Its traffic is
//! read at each tick, since packets come whether it runs or not.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use wharf_cgroup::{Counters, Layout, RawCounters};
use wharf_model::{ContainerId, HostSample, NetCounters, Sample};

use crate::host::HostReader;
use crate::net::Process;
use crate::{Error, Result};

/// Enough for `/proc/stat` of some 150 CPUs and for any `net/dev` of a container.
const BUFFER: usize = 16 * 1024;

/// After how many ticks even a container that does nothing is wholly read.
const WHOLE: usize = 10;

/// How long a container must have rested for its block devices to rest as well: the kernel writes back
/// within half a minute.
const LONG: Duration = Duration::from_secs(60);

/// As [`WHOLE`], of a container that has rested for so long.
const WHOLE_AFTER_LONG: usize = 30;

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
    containers: Vec<Entry>,
    /// When each of them was started.
    known: HashMap<ContainerId, i64>,
    ticks: usize,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Entry {
    id: ContainerId,
    started_ms: i64,
    counters: Counters,
    process: Process,
    last: Option<Last>,
}

/// What was read last.
#[derive(Clone, Debug)]
struct Last {
    raw: RawCounters,
    /// Whether there is an interface that could have traffic.
    connected: bool,
    /// Since when it has rested, after the sampler's beginning.
    resting_since: Duration,
}

impl Last {
    fn has_rested_long(&self, now: Duration) -> bool {
        now.saturating_sub(self.resting_since) >= LONG
    }
}

impl Sampler {
    /// Returns a sampler without containers. `root` is the folder of the engine's data.
    pub fn new(layout: Layout, root: &Path) -> Self {
        Self {
            layout,
            origin: Instant::now(),
            host: HostReader::open(root),
            containers: Vec::new(),
            known: HashMap::new(),
            ticks: 0,
            buffer: vec![0; BUFFER],
        }
    }

    /// Adds a running container: its group's name, its first process, and when it was started, in
    /// milliseconds since 1970. One that was there already is replaced if it was restarted.
    ///
    /// # Errors
    /// When it has no group or no process (any more).
    pub fn add(&mut self, id: &ContainerId, group: &str, pid: i32, started_ms: i64) -> Result<()> {
        if let Some(known) = self.known.get(id) {
            if *known == started_ms {
                return Ok(());
            }
            self.remove(id);
        }
        let counters = Counters::open(&self.layout, group)?;
        let process = Process::open(pid).ok_or_else(|| Error::Gone(id.short().to_owned()))?;
        let entry = Entry { id: id.clone(), started_ms, counters, process, last: None };
        self.containers.push(entry);
        self.known.insert(id.clone(), started_ms);
        Ok(())
    }

    /// Removes a container, closing its files.
    pub fn remove(&mut self, id: &ContainerId) {
        if self.known.remove(id).is_some() {
            self.containers.retain(|entry| entry.id != *id);
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
        let Self { buffer, known, origin, ticks, .. } = self;
        let mut turn = *ticks;
        self.containers.retain_mut(|entry| {
            turn += 1;
            match entry.read(*origin, buffer, turn) {
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
    fn read(&mut self, origin: Instant, buffer: &mut [u8], turn: usize) -> Option<Sample> {
        let now = origin.elapsed();
        let quiet = match &self.last {
            None => false,
            Some(last) => {
                let long = last.has_rested_long(now);
                let whole = turn.is_multiple_of(if long { WHOLE_AFTER_LONG } else { WHOLE });
                // A whole reading finds out by itself, and doesn't end the rest.
                !whole && self.counters.is_quiet_since(&last.raw, !long).ok()?
            }
        };
        let (raw, resting_since, rested) = match self.last.take() {
            Some(last) if quiet => (last.raw, last.resting_since, !last.connected),
            last => {
                let raw = self.counters.read().ok()?;
                let usage = |raw: &RawCounters| raw.cpu.as_ref().map(|cpu| cpu.usage_ns);
                let since = match last {
                    Some(last)
                        if usage(&last.raw) == usage(&raw) && last.raw.block == raw.block =>
                    {
                        last.resting_since
                    }
                    _ => now,
                };
                (raw, since, false)
            }
        };
        // Each sample has its own time: a rate is over what really passed between two readings.
        let at = origin.elapsed();
        let (network, connected) = if rested {
            (Some(NetCounters::default()), false)
        } else {
            match self.process.network(buffer) {
                Some((network, interfaces)) => (Some(network), interfaces > 0),
                None if !self.process.is_alive() => return None,
                None => (None, true),
            }
        };
        self.last = Some(Last { raw: raw.clone(), connected, resting_since });
        Some(Sample {
            at,
            started_ms: self.started_ms,
            cpu: raw.cpu,
            memory: raw.memory,
            network,
            block: raw.block,
            pids: raw.pids,
            pressure: raw.pressure,
        })
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
