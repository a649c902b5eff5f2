//! Counters as the kernel has them. Everything is optional: a kernel, a hierarchy or a remote
//! engine may not have it. Rates are made in `wharf-stats`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A limit that may not be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// No limit.
    Unlimited,
    /// At most this much, in the unit of the counter.
    At(u64),
}

/// CPU time used by a container since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuCounters {
    /// Nanoseconds, user and system together.
    pub usage_ns: u64,
    /// Nanoseconds in user mode.
    pub user_ns: Option<u64>,
    /// Nanoseconds in the kernel.
    pub system_ns: Option<u64>,
    /// Enforcement periods in which the container was runnable.
    pub periods: Option<u64>,
    /// Periods in which it hit its quota.
    pub throttled_periods: Option<u64>,
    /// Nanoseconds it was held back.
    pub throttled_ns: Option<u64>,
    /// The most CPU time it may use, in billionths of a CPU.
    pub limit: Option<Limit>,
}

/// Memory of a container now, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryCounters {
    /// All that is charged to it.
    pub usage: u64,
    /// Page cache not lately used (docker subtracts it from the usage it shows).
    pub inactive_file: Option<u64>,
    /// Anonymous memory.
    pub anon: Option<u64>,
    /// Page cache.
    pub file: Option<u64>,
    /// Kernel memory.
    pub kernel: Option<u64>,
    /// The limit.
    pub limit: Option<Limit>,
    /// How often the kernel killed a process of it for want of memory.
    pub oom_kills: Option<u64>,
}

/// Traffic of all its interfaces but the loopback, since they were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetCounters {
    /// Bytes received.
    pub rx_bytes: u64,
    /// Bytes sent.
    pub tx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets sent.
    pub tx_packets: u64,
}

/// Block device traffic since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockCounters {
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub write_bytes: u64,
    /// Read operations.
    pub read_ops: Option<u64>,
    /// Write operations.
    pub write_ops: Option<u64>,
}

/// The traffic of one block device since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceCounters {
    /// The device's numbers.
    pub major: u32,
    /// As above.
    pub minor: u32,
    /// What went over it.
    pub counters: BlockCounters,
}

/// Tasks of a container now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PidCounters {
    /// How many there are.
    pub current: u64,
    /// The limit.
    pub limit: Option<Limit>,
}

/// One line of a pressure file: the share of time lost, and the total.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PressureLine {
    /// Per cent over the last ten seconds.
    pub avg10: f32,
    /// Per cent over the last minute.
    pub avg60: f32,
    /// Microseconds in all.
    pub total_us: u64,
}

/// Pressure stall information: how long some task waited for a resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pressure {
    /// Waiting for a CPU.
    pub cpu: Option<PressureLine>,
    /// Waiting for memory.
    pub memory: Option<PressureLine>,
    /// Waiting for block devices.
    pub io: Option<PressureLine>,
}

/// The counters of one container at one instant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When it was read, on a monotonic clock whose origin is the backend's (for rates).
    pub at: Duration,
    /// When its container was started, or when it was first looked at since, in milliseconds since
    /// 1970: a change means that the counters began anew.
    pub started_ms: i64,
    /// CPU time.
    pub cpu: Option<CpuCounters>,
    /// Memory.
    pub memory: Option<MemoryCounters>,
    /// Network traffic.
    pub network: Option<NetCounters>,
    /// Block device traffic.
    pub block: Option<BlockCounters>,
    /// Tasks.
    pub pids: Option<PidCounters>,
    /// Pressure.
    pub pressure: Pressure,
}

/// The host at one instant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostSample {
    /// When it was read, on the same clock as the samples.
    pub at: Duration,
    /// CPUs on line.
    pub cpus: Option<u32>,
    /// The load average over one minute.
    pub load1: Option<f32>,
    /// Nanoseconds all CPUs were busy, in all.
    pub busy_ns: Option<u64>,
    /// Bytes of memory in all.
    pub memory_total: Option<u64>,
    /// Bytes that programs can still have.
    pub memory_available: Option<u64>,
    /// Pressure of the whole host.
    pub pressure: Pressure,
    /// Bytes of the filesystem the engine keeps its data on.
    pub disk_total: Option<u64>,
    /// Bytes of it that are free.
    pub disk_free: Option<u64>,
}

/// What is measured of a container only while somebody looks at it closely. What a kernel doesn't
/// count is none, and there is a word for why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DetailSample {
    /// When it was read, on a clock that never goes back.
    pub at: Duration,
    /// Nanoseconds used of each CPU of the host, since the start.
    pub cores: Option<Vec<u64>>,
    /// The traffic of each of its interfaces but the loopback, by their names in the container; none
    /// when it has no network of its own.
    pub interfaces: Option<Vec<(String, NetCounters)>>,
    /// The traffic of each block device; none when nobody counts it.
    pub devices: Option<Vec<DeviceCounters>>,
    /// Why there is no [`DetailSample::cores`].
    pub no_cores: Option<String>,
    /// Why there is no pressure.
    pub no_pressure: Option<String>,
}
