//! What a container or the host uses, from two readings of its counters.
//!
//! The formulas are those of docker's `stats` command, but for CPU: docker divides by the host's
//! CPU time and multiplies by the number of CPUs, which comes to the same as dividing by the wall
//! clock: 100 % is one CPU. A rate needs two readings of the same run; without them, or when a
//! counter went back, it is none.

use std::time::Duration;

use wharf_model::{HostSample, Limit, MemoryCounters, PressureLine, Sample};

/// What a container uses. Rates are over the time since the sample before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Per cent of one CPU.
    pub cpu_percent: Option<f64>,
    /// Bytes of memory, without page cache not lately used.
    pub memory: Option<u64>,
    /// Bytes it may have at most: its limit, or what the host has.
    pub memory_limit: Option<u64>,
    /// Per cent of that.
    pub memory_percent: Option<f64>,
    /// Bytes received a second.
    pub net_rx: Option<f64>,
    /// Bytes sent a second.
    pub net_tx: Option<f64>,
    /// Bytes read from block devices a second.
    pub block_read: Option<f64>,
    /// Bytes written to block devices a second.
    pub block_write: Option<f64>,
    /// Tasks.
    pub pids: Option<u64>,
    /// Per cent of the enforcement periods in which it hit its CPU quota.
    pub throttled_percent: Option<f64>,
    /// Per cent of the time in which some task waited for a CPU.
    pub cpu_pressure: Option<f64>,
    /// Per cent of the time in which some task waited for memory.
    pub memory_pressure: Option<f64>,
    /// Per cent of the time in which some task waited for block devices.
    pub io_pressure: Option<f64>,
    /// Processes killed for want of memory since the sample before.
    pub oom_kills: Option<u64>,
    /// Bytes of anonymous memory.
    pub anon: Option<u64>,
    /// Bytes of page cache.
    pub file: Option<u64>,
    /// Bytes of kernel memory.
    pub kernel: Option<u64>,
}

impl Usage {
    /// Returns the usage at `now`, with rates since `before`. `host_memory` is what the host has,
    /// in bytes.
    pub fn between(before: Option<&Sample>, now: &Sample, host_memory: Option<u64>) -> Self {
        let memory = now.memory.as_ref().map(used);
        let memory_limit = now.memory.as_ref().and_then(|m| effective_limit(m.limit, host_memory));
        let mut usage = Self {
            memory,
            memory_limit,
            memory_percent: memory.zip(memory_limit).and_then(|(used, limit)| share(used, limit)),
            pids: now.pids.map(|p| p.current),
            anon: now.memory.and_then(|m| m.anon),
            file: now.memory.and_then(|m| m.file),
            kernel: now.memory.and_then(|m| m.kernel),
            ..Self::default()
        };
        // A restart begins the counters anew.
        let Some(before) = before.filter(|b| b.started_ms == now.started_ms) else { return usage };
        let Some(wall) = elapsed(before.at, now.at) else { return usage };
        let cpu = before.cpu.zip(now.cpu);
        usage.cpu_percent = cpu
            .and_then(|(b, n)| n.usage_ns.checked_sub(b.usage_ns))
            .map(|ns| ns as f64 / 1e9 / wall * 100.0);
        usage.throttled_percent = cpu.and_then(|(b, n)| {
            let periods = n.periods?.checked_sub(b.periods?)?;
            let held = n.throttled_periods?.checked_sub(b.throttled_periods?)?;
            share(held, periods).or(Some(0.0))
        });
        let rate = |b: u64, n: u64| n.checked_sub(b).map(|d| d as f64 / wall);
        if let Some((b, n)) = before.network.zip(now.network) {
            usage.net_rx = rate(b.rx_bytes, n.rx_bytes);
            usage.net_tx = rate(b.tx_bytes, n.tx_bytes);
        }
        if let Some((b, n)) = before.block.zip(now.block) {
            usage.block_read = rate(b.read_bytes, n.read_bytes);
            usage.block_write = rate(b.write_bytes, n.write_bytes);
        }
        let (b, n) = (&before.pressure, &now.pressure);
        usage.cpu_pressure = pressure(b.cpu, n.cpu, wall);
        usage.memory_pressure = pressure(b.memory, n.memory, wall);
        usage.io_pressure = pressure(b.io, n.io, wall);
        usage.oom_kills =
            before.memory.zip(now.memory).and_then(|(b, n)| n.oom_kills?.checked_sub(b.oom_kills?));
        usage
    }
}

/// What the host uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HostUsage {
    /// Per cent of all CPUs.
    pub cpu_percent: Option<f64>,
    /// Bytes of memory that programs can't have any more.
    pub memory: Option<u64>,
    /// Per cent of all memory.
    pub memory_percent: Option<f64>,
    /// Bytes used of the engine's filesystem.
    pub disk: Option<u64>,
    /// Per cent of it.
    pub disk_percent: Option<f64>,
    /// Per cent of the time in which some task waited for a CPU.
    pub cpu_pressure: Option<f64>,
    /// Per cent of the time in which some task waited for memory.
    pub memory_pressure: Option<f64>,
    /// Per cent of the time in which some task waited for block devices.
    pub io_pressure: Option<f64>,
}

impl HostUsage {
    /// Returns the usage at `now`, with rates since `before`.
    pub fn between(before: Option<&HostSample>, now: &HostSample) -> Self {
        let memory = now
            .memory_total
            .zip(now.memory_available)
            .map(|(total, free)| total.saturating_sub(free));
        let disk =
            now.disk_total.zip(now.disk_free).map(|(total, free)| total.saturating_sub(free));
        let mut usage = Self {
            memory,
            memory_percent: memory.zip(now.memory_total).and_then(|(m, t)| share(m, t)),
            disk,
            disk_percent: disk.zip(now.disk_total).and_then(|(d, t)| share(d, t)),
            ..Self::default()
        };
        let Some(before) = before else { return usage };
        let Some(wall) = elapsed(before.at, now.at) else { return usage };
        usage.cpu_percent =
            before.busy_ns.zip(now.busy_ns).zip(now.cpus).and_then(|((b, n), cpus)| {
                let busy = n.checked_sub(b)? as f64 / 1e9;
                (cpus > 0).then(|| (busy / wall / f64::from(cpus) * 100.0).min(100.0))
            });
        let (b, n) = (&before.pressure, &now.pressure);
        usage.cpu_pressure = pressure(b.cpu, n.cpu, wall);
        usage.memory_pressure = pressure(b.memory, n.memory, wall);
        usage.io_pressure = pressure(b.io, n.io, wall);
        usage
    }
}

/// Docker's `calculateMemUsageUnixNoCache`: the inactive page cache counts as free, unless it is
/// larger than the usage.
fn used(memory: &MemoryCounters) -> u64 {
    match memory.inactive_file {
        Some(inactive) if inactive < memory.usage => memory.usage - inactive,
        _ => memory.usage,
    }
}

/// No container can have more than the host has.
fn effective_limit(limit: Option<Limit>, host_memory: Option<u64>) -> Option<u64> {
    match (limit, host_memory) {
        (Some(Limit::At(limit)), Some(host)) => Some(limit.min(host)),
        (Some(Limit::At(limit)), None) => Some(limit),
        (_, host) => host,
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64 * 100.0)
}

/// Seconds from one reading to the next.
fn elapsed(before: Duration, now: Duration) -> Option<f64> {
    now.checked_sub(before).filter(|d| !d.is_zero()).map(|d| d.as_secs_f64())
}

/// The kernel adds up stalls at its own pace, so that a short time can seem to have more than all.
fn pressure(before: Option<PressureLine>, now: Option<PressureLine>, wall: f64) -> Option<f64> {
    let stalled = now?.total_us.checked_sub(before?.total_us)?;
    Some((stalled as f64 / 1e6 / wall * 100.0).min(100.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_model::{BlockCounters, CpuCounters, NetCounters, PidCounters, Pressure};

    fn sample(seconds: u64, scale: u64) -> Sample {
        let line = PressureLine { avg10: 0.0, avg60: 0.0, total_us: scale * 100_000 };
        Sample {
            at: Duration::from_secs(seconds),
            started_ms: 7,
            cpu: Some(CpuCounters {
                usage_ns: scale * 1_500_000_000,
                periods: Some(scale * 10),
                throttled_periods: Some(scale * 4),
                ..CpuCounters::default()
            }),
            memory: Some(MemoryCounters {
                usage: 300,
                inactive_file: Some(100),
                limit: Some(Limit::At(800)),
                oom_kills: Some(scale),
                ..MemoryCounters::default()
            }),
            network: Some(NetCounters { rx_bytes: scale * 1000, ..NetCounters::default() }),
            block: Some(BlockCounters { write_bytes: scale * 500, ..BlockCounters::default() }),
            pids: Some(PidCounters { current: 3, limit: None }),
            pressure: Pressure { cpu: Some(line), memory: None, io: Some(line) },
        }
    }

    #[test]
    fn rates_are_differences_over_the_measured_time() {
        let usage = Usage::between(Some(&sample(10, 1)), &sample(12, 2), Some(1000));
        assert_eq!(usage.cpu_percent, Some(75.0));
        assert_eq!(usage.throttled_percent, Some(40.0));
        assert_eq!(usage.memory, Some(200));
        assert_eq!(usage.memory_limit, Some(800));
        assert_eq!(usage.memory_percent, Some(25.0));
        assert_eq!((usage.net_rx, usage.net_tx), (Some(500.0), Some(0.0)));
        assert_eq!((usage.block_read, usage.block_write), (Some(0.0), Some(250.0)));
        assert_eq!(usage.pids, Some(3));
        assert_eq!(usage.cpu_pressure, Some(5.0));
        assert_eq!(usage.memory_pressure, None);
        assert_eq!(usage.oom_kills, Some(1));
    }

    #[test]
    fn what_cannot_be_known_is_a_gap() {
        let now = sample(12, 2);
        let only_now = Usage::between(None, &now, None);
        assert_eq!(only_now.cpu_percent, None);
        assert_eq!(only_now.net_rx, None);
        assert_eq!(only_now.memory, Some(200));
        let restarted = Sample { started_ms: 8, ..sample(13, 3) };
        assert_eq!(Usage::between(Some(&now), &restarted, None).cpu_percent, None);
        let went_back = sample(13, 1);
        let usage = Usage::between(Some(&now), &went_back, None);
        assert_eq!((usage.cpu_percent, usage.net_rx, usage.io_pressure), (None, None, None));
        assert_eq!(Usage::between(Some(&now), &now, None).cpu_percent, None, "no time passed");
        let without = Sample { cpu: None, network: None, ..sample(13, 3) };
        let usage = Usage::between(Some(&now), &without, None);
        assert_eq!((usage.cpu_percent, usage.net_rx), (None, None));
        assert!(usage.block_write.is_some());
    }

    #[test]
    fn memory_is_counted_as_docker_does() {
        let mut now = sample(1, 1);
        let set = |s: &mut Sample, usage, inactive, limit| {
            s.memory = Some(MemoryCounters {
                usage,
                inactive_file: inactive,
                limit,
                ..MemoryCounters::default()
            });
        };
        set(&mut now, 100, Some(200), None);
        assert_eq!(Usage::between(None, &now, Some(400)).memory, Some(100));
        assert_eq!(Usage::between(None, &now, Some(400)).memory_percent, Some(25.0));
        set(&mut now, 100, None, Some(Limit::Unlimited));
        assert_eq!(Usage::between(None, &now, Some(400)).memory_limit, Some(400));
        assert_eq!(Usage::between(None, &now, None).memory_percent, None);
        set(&mut now, 100, None, Some(Limit::At(5000)));
        assert_eq!(Usage::between(None, &now, Some(400)).memory_limit, Some(400));
    }

    #[test]
    fn the_host_is_measured_against_all_its_cpus() {
        let host = |seconds, busy| HostSample {
            at: Duration::from_secs(seconds),
            cpus: Some(4),
            busy_ns: Some(busy),
            memory_total: Some(100),
            memory_available: Some(60),
            ..HostSample::default()
        };
        let usage = HostUsage::between(Some(&host(1, 0)), &host(3, 2_000_000_000));
        assert_eq!(usage.cpu_percent, Some(25.0));
        assert_eq!(usage.memory, Some(40));
        assert_eq!(usage.disk, None);
    }
}
