//! The counters of one container, for who watches no other.

use std::time::Duration;

use wharf_cgroup::{Counters, Group, RawCounters};
use wharf_model::{NetCounters, Sample};

use crate::net::Process;
use crate::{Error, Result};

/// Enough for `net/dev` of a container with some thirty interfaces; more are cut off, and then the
/// traffic isn't known.
const BUFFER: usize = 4096;

/// The open files of one container.
#[derive(Debug)]
pub struct Meter {
    counters: Counters,
    process: Process,
    started_ms: i64,
    last: Option<RawCounters>,
    quiet: bool,
}

impl Meter {
    /// Opens the counters of a group and of its first process. `started_ms` is when that was started,
    /// in milliseconds since 1970.
    ///
    /// # Errors
    /// [`Error::Gone`] when the process has ended.
    pub fn open(group: &Group, pid: i32, started_ms: i64) -> Result<Self> {
        let process = Process::open(pid).ok_or_else(|| Error::Gone(group.name().to_owned()))?;
        Ok(Self { counters: Counters::of(group), process, started_ms, last: None, quiet: false })
    }

    /// Returns whether the container had done nothing at the last reading since the one before.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Returns the counters as they are now, which is the instant `at` for who asks; none when the
    /// group is gone. Of a container that used neither CPU time nor a block device since the last
    /// reading, only the traffic is read.
    pub fn read(&mut self, at: Duration) -> Option<Sample> {
        self.quiet = match &self.last {
            Some(last) => self.counters.is_quiet_since(last, true).ok()?,
            None => false,
        };
        if !self.quiet {
            self.last = Some(self.counters.read().ok()?);
        }
        let raw = self.last.as_ref()?;
        let mut buffer = [0; BUFFER];
        let network = self.process.network(&mut buffer).map(|(counters, _)| counters);
        Some(sample(at, self.started_ms, raw, network))
    }
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
