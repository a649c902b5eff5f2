//! The counters of one container, or of the host, for who watches nothing else.

use std::path::Path;
use std::time::Duration;

use wharf_cgroup::{CoreCounters, Counters, Group, RawCounters};
use wharf_model::{DetailSample, HostSample, NetCounters, Sample};

use crate::host::HostReader;
use crate::net::{Process, interfaces};
use crate::{Error, Result};

/// Enough for `net/dev` of a container with some thirty interfaces; more are cut off, and then the
/// traffic isn't known.
const BUFFER: usize = 4096;

/// Enough for `/proc/stat` of some 150 CPUs.
const HOST_BUFFER: usize = 16 * 1024;

/// After how many readings even a container that does nothing is wholly read: the kernel takes memory
/// from it under pressure, and its limits are changed.
const WHOLE: u32 = 4;

/// Returns what is measured only of a container that somebody looks at closely, of its group and its first
/// process.
pub fn details(group: &Group, pid: Option<i32>) -> DetailSample {
    let details = group.details();
    let clock = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    DetailSample {
        at: Duration::try_from(clock).unwrap_or_default(),
        cores: details.cores,
        interfaces: pid.and_then(interfaces),
        devices: details.devices,
        no_cores: details.no_cores.map(str::to_owned),
        no_pressure: details.no_pressure.map(str::to_owned),
    }
}

/// The open files of one container.
#[derive(Debug)]
pub struct Meter {
    counters: Counters,
    cores: Option<CoreCounters>,
    process: Process,
    started_ms: i64,
    last: Option<RawCounters>,
    used: Vec<u64>,
    quiet: bool,
    /// How many readings there were since the last whole one.
    partial: u32,
}

impl Meter {
    /// Opens the counters of a group and of its first process. `started_ms` is when that was started,
    /// in milliseconds since 1970.
    ///
    /// # Errors
    /// [`Error::Gone`] when the process has ended.
    pub fn open(group: &Group, pid: i32, started_ms: i64) -> Result<Self> {
        let process = Process::open(pid).ok_or_else(|| Error::Gone(group.name().to_owned()))?;
        Ok(Self {
            counters: Counters::of(group),
            cores: CoreCounters::of(group),
            process,
            started_ms,
            last: None,
            used: Vec::new(),
            quiet: false,
            partial: 0,
        })
    }

    /// Returns whether the container had done nothing at the last reading since the one before.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Returns the nanoseconds used of each CPU at the last reading; none where the kernel doesn't tell.
    pub fn cores(&self) -> &[u64] {
        &self.used
    }

    /// Returns the counters as they are now, which is the instant `at` for who asks; none when the
    /// group is gone. Of a container that used neither CPU time nor a block device since the last
    /// reading, only the traffic is read, but at every [`WHOLE`]th.
    pub fn read(&mut self, at: Duration) -> Option<Sample> {
        self.quiet = match &self.last {
            Some(last) => self.counters.is_quiet_since(last, true).ok()?,
            None => false,
        };
        self.partial += 1;
        if !self.quiet || self.partial >= WHOLE {
            self.partial = 0;
            self.last = Some(self.counters.read().ok()?);
            self.used = self.cores.as_ref().and_then(CoreCounters::read).unwrap_or_default();
        }
        let raw = self.last.as_ref()?;
        let mut buffer = [0; BUFFER];
        let network = self.process.network(&mut buffer).map(|(counters, _)| counters);
        Some(sample(at, self.started_ms, raw, network))
    }
}

/// The open files of the host.
#[derive(Debug)]
pub struct HostMeter(HostReader);

impl HostMeter {
    /// Opens them. `root` is the folder of the engine's data, whose filesystem is measured.
    pub fn open(root: &Path) -> Self {
        Self(HostReader::open(root))
    }

    /// Returns the host's counters as they are now, which is the instant `at` for who asks.
    pub fn read(&self, at: Duration) -> HostSample {
        self.0.read(at, &mut vec![0; HOST_BUFFER])
    }
}

/// Returns how many CPUs a group's use is counted of.
pub fn counted_cores(group: &Group) -> usize {
    CoreCounters::of(group).and_then(|counters| counters.read()).map_or(0, |cores| cores.len())
}

/// Puts together what was read of one container.
pub(crate) fn sample(
    at: Duration,
    started_ms: i64,
    raw: &RawCounters,
    network: Option<NetCounters>,
) -> Sample {
    let RawCounters { cpu, memory, block, pids, pressure, .. } = *raw;
    Sample { at, started_ms, cpu, memory, network, block, pids, pressure }
}
