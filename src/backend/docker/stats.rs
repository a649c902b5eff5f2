//! One stats document of the engine as a [`Sample`]. Counters that the document lacks stay unknown.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
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

/// What is read of a document. There is one a second of each container, and most of it is of no use: the
/// models of the whole would spend their time on names that nobody asks for.
#[derive(Deserialize)]
pub(super) struct Document<'a> {
    #[serde(borrow)]
    read: Option<Cow<'a, str>>,
    cpu_stats: Option<Cpu>,
    memory_stats: Option<Memory>,
    #[serde(default)]
    networks: Networks,
    #[serde(borrow)]
    blkio_stats: Option<Block<'a>>,
    pids_stats: Option<Pids>,
}

#[derive(Deserialize)]
struct Cpu {
    cpu_usage: Option<CpuUsage>,
    throttling_data: Option<Throttling>,
}

#[derive(Deserialize)]
struct CpuUsage {
    total_usage: Option<u64>,
    usage_in_usermode: Option<u64>,
    usage_in_kernelmode: Option<u64>,
}

#[derive(Default, Deserialize)]
struct Throttling {
    periods: Option<u64>,
    throttled_periods: Option<u64>,
    throttled_time: Option<u64>,
}

#[derive(Deserialize)]
struct Memory {
    usage: Option<u64>,
    limit: Option<u64>,
    stats: Option<MemoryDetail>,
}

/// The names of cgroup v1's totals, and those of v2 (kernel, cgroup-v1/memory.rst and cgroup-v2.rst,
/// `memory.stat`).
#[derive(Default, Deserialize)]
struct MemoryDetail {
    total_inactive_file: Option<u64>,
    inactive_file: Option<u64>,
    total_rss: Option<u64>,
    anon: Option<u64>,
    total_cache: Option<u64>,
    file: Option<u64>,
    slab: Option<u64>,
    kernel_stack: Option<u64>,
}

/// The sum over all interfaces; none where the engine says nothing of them.
#[derive(Default)]
struct Networks(Option<NetCounters>);

#[derive(Deserialize)]
struct Interface {
    rx_bytes: Option<u64>,
    tx_bytes: Option<u64>,
    rx_packets: Option<u64>,
    tx_packets: Option<u64>,
}

impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sum;
        impl<'de> Visitor<'de> for Sum {
            type Value = Networks;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("counters of interfaces")
            }

            fn visit_unit<E>(self) -> Result<Networks, E> {
                Ok(Networks(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Networks, A::Error> {
                let mut sum = NetCounters::default();
                while let Some((_, counters)) = map.next_entry::<Cow<'_, str>, Interface>()? {
                    sum.rx_bytes += counters.rx_bytes.unwrap_or_default();
                    sum.tx_bytes += counters.tx_bytes.unwrap_or_default();
                    sum.rx_packets += counters.rx_packets.unwrap_or_default();
                    sum.tx_packets += counters.tx_packets.unwrap_or_default();
                }
                Ok(Networks(Some(sum)))
            }
        }
        deserializer.deserialize_any(Sum)
    }
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow)]
    io_service_bytes_recursive: Option<Vec<BlockEntry<'a>>>,
    #[serde(borrow)]
    io_serviced_recursive: Option<Vec<BlockEntry<'a>>>,
}

#[derive(Deserialize)]
struct BlockEntry<'a> {
    #[serde(borrow)]
    op: Option<Cow<'a, str>>,
    value: Option<u64>,
}

#[derive(Deserialize)]
struct Pids {
    current: Option<u64>,
    limit: Option<u64>,
}

/// Returns the sample, or none if the document has no time or was made after the container ended.
pub(super) fn sample(document: Document<'_>, context: &Context) -> Option<Sample> {
    let read = instant(document.read.as_deref()?)?;
    let at = (read - context.origin).to_std().unwrap_or(Duration::ZERO);
    Some(Sample {
        at,
        started_ms: context.started_ms,
        cpu: document.cpu_stats.and_then(cpu),
        memory: document.memory_stats.and_then(|stats| memory(stats, context.host_memory)),
        network: document.networks.0,
        block: document.blkio_stats.as_ref().and_then(block),
        pids: document.pids_stats.as_ref().and_then(pids),
        // The engine doesn't tell.
        pressure: Pressure::default(),
    })
}

fn cpu(stats: Cpu) -> Option<CpuCounters> {
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

fn memory(stats: Memory, host_memory: Option<u64>) -> Option<MemoryCounters> {
    let detail = stats.stats.unwrap_or_default();
    Some(MemoryCounters {
        usage: stats.usage?,
        inactive_file: detail.total_inactive_file.or(detail.inactive_file),
        anon: detail.total_rss.or(detail.anon),
        file: detail.total_cache.or(detail.file),
        kernel: detail.slab.zip(detail.kernel_stack).map(|(slab, stacks)| slab + stacks),
        limit: stats.limit.map(|limit| {
            let unlimited = limit == 0 || host_memory.is_some_and(|host| limit >= host);
            if unlimited { Limit::Unlimited } else { Limit::At(limit) }
        }),
        // Older engines call by this name what is a count of refused charges; none tells kills.
        oom_kills: None,
    })
}

fn block(stats: &Block<'_>) -> Option<BlockCounters> {
    let sum = |entries: &Option<Vec<BlockEntry<'_>>>, operation: &str| {
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

fn pids(stats: &Pids) -> Option<PidCounters> {
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
        let counters = serde_json::from_str::<Networks>(text).unwrap().0.unwrap();
        assert_eq!((counters.rx_bytes, counters.tx_bytes), (950, 42));
        for none in ["{}", "{\"networks\":null}"] {
            assert_eq!(serde_json::from_str::<Document<'_>>(none).unwrap().networks.0, None);
        }
    }

    #[test]
    fn a_document_of_a_stopped_container_is_no_sample() {
        let text = r#"{"read":"0001-01-01T00:00:00Z","pids_stats":{},"cpu_stats":
            {"cpu_usage":{"total_usage":0}},"memory_stats":{}}"#;
        let context = Context { origin: Utc::now(), started_ms: 0, host_memory: None };
        assert_eq!(sample(serde_json::from_str(text).unwrap(), &context), None);
    }
}
