//! One stats document of the engine as a [`Sample`]. Counters that the document lacks stay unknown.

use std::time::Duration;

use bollard::models;
use chrono::{DateTime, Utc};
use wharf_model::{
    BlockCounters, CpuCounters, Limit, MemoryCounters, NetCounters, PidCounters, Pressure, Sample,
};

use super::list::instant;

/// What a document doesn't say of its container.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    /// The instant that is 0 on the samples' clock.
    pub(super) origin: DateTime<Utc>,
    /// When the container was started, in milliseconds since 1970.
    pub(super) started_ms: i64,
    /// The host's memory: the limit that the engine writes for a container without one.
    pub(super) host_memory: Option<u64>,
}

/// Returns the sample, or none if the document has no time or was made after the container ended.
pub(super) fn sample(
    document: models::ContainerStatsResponse,
    context: &Context,
) -> Option<Sample> {
    let read = instant(document.read.as_deref()?)?;
    let at = (read - context.origin).to_std().unwrap_or(Duration::ZERO);
    Some(Sample {
        at,
        started_ms: context.started_ms,
        cpu: document.cpu_stats.and_then(cpu),
        memory: document.memory_stats.and_then(|stats| memory(stats, context.host_memory)),
        network: document.networks.map(network),
        block: document.blkio_stats.as_ref().and_then(block),
        pids: document.pids_stats.as_ref().and_then(pids),
        // The engine doesn't tell.
        pressure: Pressure::default(),
    })
}

fn cpu(stats: models::ContainerCpuStats) -> Option<CpuCounters> {
    let usage = stats.cpu_usage?;
    let throttling = stats.throttling_data.unwrap_or_default();
    // Without a quota the three are 0, and so are the periods.
    let limited = throttling.periods.is_some_and(|periods| periods > 0);
    Some(CpuCounters {
        usage_ns: usage.total_usage?,
        user_ns: usage.usage_in_usermode,
        system_ns: usage.usage_in_kernelmode,
        periods: throttling.periods.filter(|_| limited),
        throttled_periods: throttling.throttled_periods.filter(|_| limited),
        throttled_ns: throttling.throttled_time.filter(|_| limited),
        // The engine's counters don't say it.
        limit: None,
    })
}

fn memory(stats: models::ContainerMemoryStats, host_memory: Option<u64>) -> Option<MemoryCounters> {
    let detail = stats.stats.unwrap_or_default();
    // The names of cgroup v1's totals first, then those of v2 (kernel, cgroup-v1/memory.rst and
    // cgroup-v2.rst, `memory.stat`).
    let counter = |names: [&str; 2]| names.iter().find_map(|name| detail.get(*name)).copied();
    let slab = detail.get("slab").copied();
    let stacks = detail.get("kernel_stack").copied();
    Some(MemoryCounters {
        usage: stats.usage?,
        inactive_file: counter(["total_inactive_file", "inactive_file"]),
        anon: counter(["total_rss", "anon"]),
        file: counter(["total_cache", "file"]),
        kernel: slab.zip(stacks).map(|(slab, stacks)| slab + stacks),
        limit: stats.limit.map(|limit| {
            let unlimited = limit == 0 || host_memory.is_some_and(|host| limit >= host);
            if unlimited { Limit::Unlimited } else { Limit::At(limit) }
        }),
        // Older engines call by this name what is a count of refused charges; none tells kills.
        oom_kills: None,
    })
}

fn network(
    interfaces: std::collections::HashMap<String, models::ContainerNetworkStats>,
) -> NetCounters {
    let mut sum = NetCounters::default();
    for counters in interfaces.into_values() {
        sum.rx_bytes += counters.rx_bytes.unwrap_or_default();
        sum.tx_bytes += counters.tx_bytes.unwrap_or_default();
        sum.rx_packets += counters.rx_packets.unwrap_or_default();
        sum.tx_packets += counters.tx_packets.unwrap_or_default();
    }
    sum
}

fn block(stats: &models::ContainerBlkioStats) -> Option<BlockCounters> {
    type Entries = Option<Vec<models::ContainerBlkioStatEntry>>;
    let sum = |entries: &Entries, operation: &str| {
        let entries = entries.as_ref()?;
        let of_operation = entries.iter().filter(|entry| {
            entry.op.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(operation))
        });
        Some(of_operation.filter_map(|entry| entry.value).sum::<u64>())
    };
    let bytes = &stats.io_service_bytes_recursive;
    let operations = &stats.io_serviced_recursive;
    Some(BlockCounters {
        read_bytes: sum(bytes, "read")?,
        write_bytes: sum(bytes, "write")?,
        read_ops: sum(operations, "read"),
        write_ops: sum(operations, "write"),
    })
}

fn pids(stats: &models::ContainerPidsStats) -> Option<PidCounters> {
    Some(PidCounters {
        current: stats.current?,
        limit: stats.limit.map(|limit| match limit {
            0 | u64::MAX => Limit::Unlimited,
            limit => Limit::At(limit),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_of_dockerd_becomes_a_sample() {
        // Captured from Docker 20.10 on cgroup v1 (`GET /containers/web/stats`).
        let text = include_str!("testdata/stats-v1.json");
        let context = Context {
            origin: "2026-11-21T05:17:42.427355379Z".parse().unwrap(),
            started_ms: 7,
            host_memory: Some(8_000_000_000),
        };
        let sample = sample(serde_json::from_str(text).unwrap(), &context).unwrap();
        assert_eq!(sample.at, Duration::from_millis(1_500));
        assert_eq!(sample.started_ms, 7);
        let cpu = sample.cpu.unwrap();
        assert_eq!((cpu.usage_ns, cpu.user_ns), (21_440_090, Some(10_000_000)));
        assert_eq!(cpu.periods, None);
        let memory = sample.memory.unwrap();
        assert_eq!(memory.usage, 1_019_904);
        assert_eq!(memory.inactive_file, Some(4096));
        assert_eq!(memory.limit, Some(Limit::At(67_108_864)));
        assert_eq!(sample.network, None);
        assert_eq!(sample.pids.unwrap().limit, Some(Limit::At(9)));
    }

    #[test]
    fn devices_and_interfaces_are_summed() {
        let text = r#"{"io_service_bytes_recursive":[
            {"major":8,"minor":0,"op":"Read","value":4096},
            {"major":8,"minor":0,"op":"write","value":8192},
            {"major":8,"minor":16,"op":"Write","value":4096},
            {"major":8,"minor":0,"op":"Total","value":16384}],
            "io_serviced_recursive":null}"#;
        let counters = block(&serde_json::from_str(text).unwrap()).unwrap();
        assert_eq!((counters.read_bytes, counters.write_bytes), (4096, 12_288));
        assert_eq!(counters.read_ops, None);
        let text = r#"{"eth0":{"rx_bytes":946,"tx_bytes":42},"eth1":{"rx_bytes":4}}"#;
        let counters = network(serde_json::from_str(text).unwrap());
        assert_eq!((counters.rx_bytes, counters.tx_bytes), (950, 42));
    }

    #[test]
    fn a_document_of_a_stopped_container_is_no_sample() {
        let text = r#"{"read":"0001-01-01T00:00:00Z","pids_stats":{},"cpu_stats":
            {"cpu_usage":{"total_usage":0}},"memory_stats":{}}"#;
        let context = Context { origin: Utc::now(), started_ms: 0, host_memory: None };
        assert_eq!(sample(serde_json::from_str(text).unwrap(), &context), None);
    }
}
