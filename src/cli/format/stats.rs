//! The table of resource use.

use wharf_inspect::human;
use wharf_inspect::template::Record;
use wharf_model::{Limit, MemoryCounters, Sample};

use super::rows;

/// The titles of its fields.
pub(crate) const TITLES: &[(&str, &str)] = &[
    ("BlockIO", "BLOCK I/O"),
    ("CPUPerc", "CPU %"),
    ("Container", "CONTAINER"),
    ("ID", "CONTAINER ID"),
    ("MemPerc", "MEM %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("Name", "NAME"),
    ("NetIO", "NET I/O"),
    ("PIDs", "PIDS"),
];

/// The usual table.
pub(crate) const TABLE: &str = "table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t\
                                {{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";

/// What is shown for a number that isn't known.
const UNKNOWN: &str = "--";

/// One row: a container, its newest sample, and the one before.
#[derive(Clone, Debug)]
pub(crate) struct Row<'a> {
    /// What the user called it, or its id.
    pub(crate) asked: &'a str,
    /// Its id as it shall be shown.
    pub(crate) id: &'a str,
    /// Its name.
    pub(crate) name: &'a str,
    /// Whether it runs.
    pub(crate) running: bool,
    /// The newest sample; none when there is none yet.
    pub(crate) now: Option<&'a Sample>,
    /// The sample before.
    pub(crate) before: Option<&'a Sample>,
}

/// Returns a container as a row. `total` is the host's memory in bytes.
pub(crate) fn row(row: &Row<'_>, total: Option<u64>) -> Record {
    let unknown = || UNKNOWN.to_owned();
    let both = |pair: Option<(u64, u64)>| {
        pair.map_or("-- / --".to_owned(), |(a, b)| {
            format!("{} / {}", human::image_size(a), human::image_size(b))
        })
    };
    // What doesn't run uses nothing.
    let or_nothing = |pair: Option<(u64, u64)>| pair.or((!row.running).then_some((0, 0)));
    let memory = row.now.and_then(|sample| sample.memory);
    let (used, limit) = match memory {
        Some(memory) => (Some(memory_used(&memory)), memory_limit(&memory, total)),
        None => or_nothing(None).unzip(),
    };
    let cpu = cpu_percent(row.now, row.before).or((!row.running).then_some(0.0));
    let pids = row.now.and_then(|s| s.pids).map(|pids| pids.current);
    rows::row(
        "*container.statsContext",
        vec![
            (
                "BlockIO",
                both(or_nothing(
                    row.now.and_then(|s| s.block).map(|io| (io.read_bytes, io.write_bytes)),
                )),
            ),
            ("CPUPerc", cpu.map_or_else(unknown, percent)),
            ("Container", row.asked.to_owned()),
            ("ID", row.id.to_owned()),
            (
                "MemPerc",
                match (used, limit) {
                    (Some(used), Some(limit)) if limit > 0 => percent(share(used, limit)),
                    (Some(0), _) => percent(0.0),
                    _ => unknown(),
                },
            ),
            (
                "MemUsage",
                format!(
                    "{} / {}",
                    used.map_or_else(unknown, human::binary_size),
                    limit.map_or_else(unknown, human::binary_size)
                ),
            ),
            ("Name", row.name.to_owned()),
            (
                "NetIO",
                both(or_nothing(
                    row.now.and_then(|s| s.network).map(|net| (net.rx_bytes, net.tx_bytes)),
                )),
            ),
            ("PIDs", pids.or((!row.running).then_some(0)).map_or_else(unknown, |n| n.to_string())),
        ],
    )
}

fn percent(value: f64) -> String {
    format!("{value:.2}%")
}

#[expect(clippy::cast_precision_loss, reason = "two decimals are shown")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64 * 100.0
}

/// Returns the per cent of one CPU used between two samples: CPU time over wall time. None for the
/// first sample and after a restart.
fn cpu_percent(now: Option<&Sample>, before: Option<&Sample>) -> Option<f64> {
    let (now, before) = (now?, before?);
    if now.started_ms != before.started_ms {
        return None;
    }
    let used = now.cpu?.usage_ns.checked_sub(before.cpu?.usage_ns)?;
    let wall = now.at.checked_sub(before.at)?.as_nanos();
    let wall = u64::try_from(wall).ok().filter(|wall| *wall > 0)?;
    Some(share(used, wall))
}

/// Returns the memory in use as docker counts it: without page cache that isn't active.
fn memory_used(memory: &MemoryCounters) -> u64 {
    match memory.inactive_file {
        Some(cache) if cache < memory.usage => memory.usage - cache,
        _ => memory.usage,
    }
}

/// Returns the limit, or the host's memory where that is less or there is no limit.
fn memory_limit(memory: &MemoryCounters, total: Option<u64>) -> Option<u64> {
    match (memory.limit?, total) {
        (Limit::At(limit), Some(total)) => Some(limit.min(total)),
        (Limit::At(limit), None) => Some(limit),
        (Limit::Unlimited, total) => total,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use wharf_model::{BlockCounters, CpuCounters, NetCounters, PidCounters};

    fn sample(at_ms: u64, usage_ns: u64) -> Sample {
        Sample {
            at: Duration::from_millis(at_ms),
            started_ms: 1,
            cpu: Some(CpuCounters { usage_ns, ..CpuCounters::default() }),
            memory: Some(MemoryCounters {
                usage: 5 << 20,
                inactive_file: Some(1 << 20),
                limit: Some(Limit::At(64 << 20)),
                ..MemoryCounters::default()
            }),
            network: Some(NetCounters { rx_bytes: 1300, tx_bytes: 0, ..NetCounters::default() }),
            block: Some(BlockCounters {
                read_bytes: 0,
                write_bytes: 4096,
                ..BlockCounters::default()
            }),
            pids: Some(PidCounters { current: 3, limit: None }),
            ..Sample::default()
        }
    }

    #[test]
    fn numbers_as_docker_computes_them_and_gaps() {
        let (before, now) = (sample(0, 0), sample(2000, 1_000_000_000));
        let rows = [
            Row {
                asked: "w",
                id: "abababababab",
                name: "web",
                running: true,
                now: Some(&now),
                before: Some(&before),
            },
            Row {
                asked: "f",
                id: "cdcdcdcdcdcd",
                name: "first",
                running: true,
                now: Some(&now),
                before: None,
            },
            Row {
                asked: "s",
                id: "efefefefefef",
                name: "stopped",
                running: false,
                now: None,
                before: None,
            },
        ];
        let shown = |format: &str| {
            let all = rows.iter().map(|each| row(each, Some(8 << 30)));
            rows::Rows::new(format).unwrap().print(all, TITLES).unwrap()
        };
        insta::assert_snapshot!(shown(TABLE), @r"
        CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT   MEM %     NET I/O      BLOCK I/O    PIDS
        abababababab   web       50.00%    4MiB / 64MiB        6.25%     1.3kB / 0B   0B / 4.1kB   3
        cdcdcdcdcdcd   first     --        4MiB / 64MiB        6.25%     1.3kB / 0B   0B / 4.1kB   3
        efefefefefef   stopped   0.00%     0B / 0B             0.00%     0B / 0B      0B / 0B      0
        ");
        assert_eq!(shown("{{.Container}} {{.PIDs}}").lines().next(), Some("w 3"));
        let mut again = now.clone();
        again.started_ms = 2;
        assert_eq!(cpu_percent(Some(&again), Some(&now)), None);
        assert_eq!(cpu_percent(Some(&before), Some(&now)), None);
    }
}
