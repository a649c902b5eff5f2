//! The usage of a container, or of the host, over time.

use std::time::Duration;

use wharf_model::{HostSample, Recording, Sample};

use crate::{HostUsage, Series, Usage};

/// What is kept of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// Per cent of one CPU.
    Cpu,
    /// Bytes of memory.
    Memory,
    /// Bytes received a second.
    NetRx,
    /// Bytes sent a second.
    NetTx,
    /// Bytes read from block devices a second.
    BlockRead,
    /// Bytes written to block devices a second.
    BlockWrite,
    /// Tasks.
    Pids,
    /// Per cent of enforcement periods in which the CPU quota was hit.
    Throttled,
    /// Per cent of the time some task waited for a CPU.
    CpuPressure,
    /// Per cent of the time some task waited for memory.
    MemoryPressure,
    /// Per cent of the time some task waited for block devices.
    IoPressure,
    /// Bytes of anonymous memory.
    Anon,
    /// Bytes of page cache.
    File,
    /// Bytes of kernel memory.
    Kernel,
}

impl Metric {
    /// All of them, in the order of the variants.
    pub const ALL: [Self; 14] = [
        Self::Cpu,
        Self::Memory,
        Self::NetRx,
        Self::NetTx,
        Self::BlockRead,
        Self::BlockWrite,
        Self::Pids,
        Self::Throttled,
        Self::CpuPressure,
        Self::MemoryPressure,
        Self::IoPressure,
        Self::Anon,
        Self::File,
        Self::Kernel,
    ];

    /// Returns whether it is kept only of containers that somebody looks at closely.
    pub fn is_detail(self) -> bool {
        matches!(self, Self::Anon | Self::File | Self::Kernel)
    }

    /// Returns its value.
    pub fn of(self, usage: &Usage) -> Option<f64> {
        match self {
            Self::Cpu => usage.cpu_percent,
            Self::Memory => usage.memory.map(|n| n as f64),
            Self::NetRx => usage.net_rx,
            Self::NetTx => usage.net_tx,
            Self::BlockRead => usage.block_read,
            Self::BlockWrite => usage.block_write,
            Self::Pids => usage.pids.map(|n| n as f64),
            Self::Throttled => usage.throttled_percent,
            Self::CpuPressure => usage.cpu_pressure,
            Self::MemoryPressure => usage.memory_pressure,
            Self::IoPressure => usage.io_pressure,
            Self::Anon => usage.anon.map(|n| n as f64),
            Self::File => usage.file.map(|n| n as f64),
            Self::Kernel => usage.kernel.map(|n| n as f64),
        }
    }
}

/// A container's samples made into usage, and its history. A series takes memory only once it has
/// a value that isn't zero: most containers are never throttled.
#[derive(Clone, Debug)]
pub struct History {
    before: Option<Sample>,
    /// From this time between two samples on, what lies between them isn't drawn.
    gap: Duration,
    usage: Usage,
    series: [Option<Box<Series>>; Metric::ALL.len()],
    /// When each series that has known zeros only began to: enough to draw them.
    zeros: [Zeros; Metric::ALL.len()],
    /// Whether the details are kept, too.
    close: bool,
}

/// The known zeros before a series' first other value; gaps among them aren't kept.
#[derive(Clone, Copy, Debug, Default)]
struct Zeros {
    from: Option<Duration>,
    to: Option<Duration>,
}

impl Default for History {
    fn default() -> Self {
        Self::with_gap(Recording::default().gap())
    }
}

impl History {
    /// Returns an empty history.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns an empty history of samples that are further apart than so only where something is
    /// missing.
    pub fn with_gap(gap: Duration) -> Self {
        Self {
            before: None,
            gap,
            usage: Usage::default(),
            series: Default::default(),
            zeros: Default::default(),
            close: false,
        }
    }

    /// Makes no rate of the next sample and the one before it.
    pub fn break_off(&mut self) {
        self.before = None;
    }

    /// Takes in a sample. `host_memory` is what the host has, in bytes.
    pub fn push(&mut self, sample: Sample, host_memory: Option<u64>) {
        let same_run = self.before.as_ref().filter(|b| b.started_ms == sample.started_ms);
        // Over a long gap the rate is known, but not how it came about.
        let since =
            same_run.map(|b| b.at).filter(|since| sample.at.saturating_sub(*since) < self.gap);
        self.usage = Usage::between(self.before.as_ref(), &sample, host_memory);
        let at = sample.at;
        for metric in Metric::ALL.into_iter().filter(|metric| self.close || !metric.is_detail()) {
            let value = metric.of(&self.usage).map(|v| v as f32);
            let slot = metric as usize;
            match &mut self.series[slot] {
                Some(series) => series.push(since, at, value),
                None if matches!(value, None | Some(0.0)) => self.zeros[slot].add(at, value),
                empty => {
                    let mut series = Box::new(Series::new());
                    self.zeros[slot].replay(&mut series);
                    series.push(since, at, value);
                    *empty = Some(series);
                }
            }
        }
        self.before = Some(sample);
    }

    /// Keeps the details from now on, or forgets them.
    pub fn look_closely(&mut self, close: bool) {
        if self.close && !close {
            for metric in Metric::ALL.into_iter().filter(|metric| metric.is_detail()) {
                self.series[metric as usize] = None;
                self.zeros[metric as usize] = Zeros::default();
            }
        }
        self.close = close;
    }

    /// Returns the newest usage.
    pub fn usage(&self) -> &Usage {
        &self.usage
    }

    /// Returns the newest sample.
    pub fn sample(&self) -> Option<&Sample> {
        self.before.as_ref()
    }

    /// Returns the columns of a chart: see [`Series::columns`].
    pub fn columns(
        &self,
        metric: Metric,
        width: usize,
        window: Duration,
        now: Duration,
    ) -> Vec<crate::Column> {
        match &self.series[metric as usize] {
            Some(series) => series.columns(width, window, now),
            None => {
                let mut series = Series::new();
                self.zeros[metric as usize].replay(&mut series);
                series.columns(width, window, now)
            }
        }
    }

    /// Returns the greatest value in a time window that ends at `now`.
    pub fn peak(&self, metric: Metric, window: Duration, now: Duration) -> Option<f32> {
        match &self.series[metric as usize] {
            Some(series) => series.peak(window, now),
            None => self.columns(metric, 1, window, now).first().and_then(|c| c.max),
        }
    }

    /// Returns whether any value, zero included, is known of this metric.
    pub fn has(&self, metric: Metric) -> bool {
        let slot = metric as usize;
        self.series[slot].is_some() || self.zeros[slot].from.is_some()
    }

    /// Returns how many bytes of memory this takes.
    pub fn bytes(&self) -> usize {
        let series = |s: &Series| size_of::<Series>() + s.heap_bytes();
        size_of::<Self>() + self.series.iter().flatten().map(|s| series(s)).sum::<usize>()
    }
}

impl Zeros {
    fn add(&mut self, at: Duration, value: Option<f32>) {
        if value.is_some() {
            self.from.get_or_insert(at);
            self.to = Some(at);
        }
    }

    fn replay(self, series: &mut Series) {
        if let (Some(from), Some(to)) = (self.from, self.to) {
            series.push(None, from, Some(0.0));
            series.push(Some(from), to, Some(0.0));
        }
    }
}

/// The host's samples made into usage, and the history of its CPU and memory.
#[derive(Clone, Debug, Default)]
pub struct HostHistory {
    before: Option<HostSample>,
    usage: HostUsage,
    cpu: Series,
    memory: Series,
}

impl HostHistory {
    /// Returns an empty history.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a sample.
    pub fn push(&mut self, sample: HostSample) {
        let since = self.before.as_ref().map(|b| b.at);
        self.usage = HostUsage::between(self.before.as_ref(), &sample);
        self.cpu.push(since, sample.at, self.usage.cpu_percent.map(|v| v as f32));
        self.memory.push(since, sample.at, self.usage.memory.map(|v| v as f32));
        self.before = Some(sample);
    }

    /// Returns the newest usage.
    pub fn usage(&self) -> &HostUsage {
        &self.usage
    }

    /// Returns the newest sample.
    pub fn sample(&self) -> Option<&HostSample> {
        self.before.as_ref()
    }

    /// Returns the history of the CPUs, in per cent of all of them.
    pub fn cpu(&self) -> &Series {
        &self.cpu
    }

    /// Returns the history of the memory, in bytes.
    pub fn memory(&self) -> &Series {
        &self.memory
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_model::{CpuCounters, MemoryCounters, NetCounters};

    fn sample(second: u64, started_ms: i64, cpu: u64) -> Sample {
        Sample {
            at: Duration::from_secs(second),
            started_ms,
            cpu: Some(CpuCounters { usage_ns: cpu, ..CpuCounters::default() }),
            memory: Some(MemoryCounters { usage: second * 1000, ..MemoryCounters::default() }),
            network: Some(NetCounters::default()),
            ..Sample::default()
        }
    }

    #[test]
    fn a_restart_makes_a_gap_and_no_spike() {
        let mut history = History::new();
        for second in 1..=5 {
            history.push(sample(second, 1, second * 500_000_000), None);
        }
        for second in 6..=8 {
            history.push(sample(second, 2, second * 10_000_000), None);
        }
        let now = Duration::from_secs(8);
        let columns = history.columns(Metric::Cpu, 8, Duration::from_secs(8), now);
        let values: Vec<_> = columns.iter().map(|c| c.avg.map(f32::round)).collect();
        let (half, one) = (Some(50.0), Some(1.0));
        assert_eq!(values, [None, half, half, half, half, None, one, one]);
    }

    #[test]
    fn zeros_are_known_without_memory() {
        let mut history = History::new();
        for second in 1..=20 {
            history.push(sample(second, 1, 0), None);
        }
        assert!(history.has(Metric::NetRx));
        assert!(!history.has(Metric::BlockRead));
        assert!(history.bytes() < 4096, "{}", history.bytes());
        let (window, now) = (Duration::from_secs(10), Duration::from_secs(20));
        let columns = history.columns(Metric::NetRx, 10, window, now);
        assert!(columns.iter().all(|c| c.avg == Some(0.0)));
        assert_eq!(history.peak(Metric::BlockRead, window, now), None);
    }

    #[test]
    fn a_day_of_everything_fits() {
        let mut history = History::new();
        for second in 1..=90_000_u64 {
            let mut now = sample(second, 1, second * 500_000_000);
            now.network = Some(NetCounters {
                rx_bytes: second * 7,
                tx_bytes: second * 9,
                ..NetCounters::default()
            });
            history.push(now, Some(1 << 30));
        }
        // CPU, memory and network: four of the eight that most containers can have.
        assert!(history.bytes() < 34 * 1024, "{}", history.bytes());
    }
}
