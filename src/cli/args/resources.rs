//! The flags that limit a container: those of `update`, and the further ones of `run` and `create`.

use wharf_model::{HostConfig, Resources, UpdateOptions};

use super::create::invalid;
use super::values::{self, Reason};
use super::{Flag, Parsed, resource_values as parse};
use crate::call::Failure;

/// What can be changed later.
pub(crate) const CHANGEABLE: &[Flag] = &[
    Flag::value("blkio-weight", "uint16", "Block I/O weight against others: 10 to 1000, 0: none"),
    Flag::value("cpu-period", "int", "The period of --cpu-quota in microseconds"),
    Flag::value("cpu-quota", "int", "CPU time it may use each period, in microseconds"),
    Flag::value("cpu-rt-period", "int", "The period of --cpu-rt-runtime in microseconds"),
    Flag::value("cpu-rt-runtime", "int", "Real-time CPU time each period, in microseconds"),
    Flag::value("cpu-shares", "int", "CPU weight against others (1024)").short('c'),
    Flag::value("cpus", "decimal", "CPU time it may use, in CPUs"),
    Flag::value("cpuset-cpus", "string", "The CPUs it may use: 0-3, 0,1"),
    Flag::value("cpuset-mems", "string", "The memory nodes it may use: 0-3, 0,1"),
    Flag::value("memory", "bytes", "Memory it may use").short('m'),
    Flag::value("memory-reservation", "bytes", "Memory left to it when the host runs short"),
    Flag::value("memory-swap", "bytes", "Memory and swap together (-1: endless swap)"),
    Flag::value("pids-limit", "int", "Processes and threads it may have (-1: no limit)"),
];

/// What can't.
pub(crate) const FIXED: &[Flag] = &[
    Flag::list("blkio-weight-device", "list", "Block I/O weight for a device: PATH:WEIGHT"),
    Flag::value("cgroup-parent", "string", "The control group its own is made in"),
    Flag::list("device", "list", "Let it use a device: HOST[:CONTAINER][:rwm]"),
    Flag::list("device-cgroup-rule", "list", "Let it use devices by number: c 42:* rwm"),
    Flag::list("device-read-bps", "list", "Bytes it may read a second: PATH:SIZE"),
    Flag::list("device-read-iops", "list", "Reads it may do a second: PATH:NUMBER"),
    Flag::list("device-write-bps", "list", "Bytes it may write a second: PATH:SIZE"),
    Flag::list("device-write-iops", "list", "Writes it may do a second: PATH:NUMBER"),
    Flag::value("memory-swappiness", "int", "How readily its memory is swapped out: 0 to 100"),
    Flag::switch("oom-kill-disable", "Let it wait for memory instead of being killed"),
    Flag::value("oom-score-adj", "int", "How readily it is killed for want of memory"),
    Flag::list("storage-opt", "list", "Storage option: size=SIZE (xfs, ext4 with project quotas)"),
    Flag::list("ulimit", "ulimit", "A limit of its processes: NAME=SOFT[:HARD]"),
];

/// Reads values of flags that may be missing.
struct Reader<'a>(&'a Parsed);

impl Reader<'_> {
    fn value<T>(
        &self,
        flag: &str,
        read: impl Fn(&str) -> Result<T, Reason>,
    ) -> Result<Option<T>, Failure> {
        let text = self.0.last(flag);
        text.map(|text| read(text).map_err(|reason| invalid(text, &shown(flag), &reason)))
            .transpose()
    }

    fn list<T>(
        &self,
        flag: &str,
        read: impl Fn(&str) -> Result<T, Reason>,
    ) -> Result<Vec<T>, Failure> {
        let all = self.0.all(flag);
        all.map(|text| read(text).map_err(|reason| invalid(text, &shown(flag), &reason))).collect()
    }

    /// Returns a size; 0 is none.
    fn bytes(&self, flag: &str) -> Result<Option<u64>, Failure> {
        Ok(self.value(flag, values::bytes)?.filter(|bytes| *bytes > 0))
    }

    /// Returns a number that isn't negative; 0 is none.
    fn count(&self, flag: &str) -> Result<Option<u64>, Failure> {
        let count = |text: &str| {
            let number = values::integer(text)?;
            u64::try_from(number).map_err(|_| "it can't be negative".to_owned())
        };
        Ok(self.value(flag, count)?.filter(|number| *number > 0))
    }
}

/// Returns how complaints about its value call a flag.
fn shown(name: &str) -> String {
    let flag = CHANGEABLE.iter().chain(FIXED).find(|flag| flag.long == name);
    flag.map_or_else(|| format!("--{name}"), Flag::display)
}

/// Returns the limits that `update` can change.
fn changeable(parsed: &Parsed) -> Result<Resources, Failure> {
    let read = Reader(parsed);
    let swap = read.value("memory-swap", parse::memory_swap)?;
    let pids = read.value("pids-limit", values::integer)?;
    Ok(Resources {
        blkio_weight: read.value("blkio-weight", parse::weight)?.flatten(),
        cpu_period: read.count("cpu-period")?,
        cpu_quota: read.value("cpu-quota", values::integer)?.filter(|quota| *quota != 0),
        cpu_rt_period: read.count("cpu-rt-period")?,
        cpu_rt_runtime: read.count("cpu-rt-runtime")?,
        cpu_shares: read.count("cpu-shares")?,
        nano_cpus: read.value("cpus", values::cpus)?.flatten(),
        cpuset_cpus: parsed.last("cpuset-cpus").unwrap_or_default().to_owned(),
        cpuset_mems: parsed.last("cpuset-mems").unwrap_or_default().to_owned(),
        memory: read.bytes("memory")?,
        memory_reservation: read.bytes("memory-reservation")?,
        memory_swap: swap.filter(|total| *total != 0),
        // Zero and negative mean no limit, as docker has it.
        pids_limit: pids.and_then(|limit| u64::try_from(limit).ok()).filter(|limit| *limit > 0),
        ..Resources::default()
    })
}

/// Reads the flags of `run` and `create` into a container's settings.
///
/// # Errors
/// A usage error that names the flag.
pub(crate) fn create(parsed: &Parsed, host: &mut HostConfig) -> Result<(), Failure> {
    let read = Reader(parsed);
    let swappiness = read.value("memory-swappiness", values::integer)?;
    let devices: Result<_, Reason> = parsed.all("device").map(parse::device).collect();
    host.resources = Resources {
        memory_swappiness: match swappiness {
            Some(percent) => parse::swappiness(percent).map_err(Failure::usage)?,
            None => None,
        },
        oom_kill_disable: parsed.last("oom-kill-disable").map(|word| word == "true"),
        blkio_weight_device: read.list("blkio-weight-device", parse::device_weight)?,
        device_read_bps: read.list("device-read-bps", parse::device_bytes)?,
        device_write_bps: read.list("device-write-bps", parse::device_bytes)?,
        device_read_iops: read.list("device-read-iops", parse::device_operations)?,
        device_write_iops: read.list("device-write-iops", parse::device_operations)?,
        ulimits: Vec::new(),
        devices: devices.map_err(Failure::usage)?,
        device_cgroup_rules: read.list("device-cgroup-rule", parse::device_rule)?,
        ..changeable(parsed)?
    };
    for limit in read.list("ulimit", parse::ulimit)? {
        // The last one of a name counts.
        host.resources.ulimits.retain(|other| other.name != limit.name);
        host.resources.ulimits.push(limit);
    }
    host.resources.ulimits.sort_by(|a, b| a.name.cmp(&b.name));
    let score = read.value("oom-score-adj", values::integer)?.filter(|score| *score != 0);
    host.oom_score_adj = score.map(|score| {
        // What no number of the kernel's can be is refused with those out of its range.
        i32::try_from(score).unwrap_or(i32::MAX)
    });
    host.cgroup_parent = parsed.last("cgroup-parent").unwrap_or_default().to_owned();
    for option in parsed.all("storage-opt") {
        let pair =
            option.split_once('=').ok_or_else(|| Failure::usage("invalid storage option"))?;
        host.storage_opt.insert(pair.0.to_owned(), pair.1.to_owned());
    }
    Ok(())
}

/// Returns what the flags of `update` change.
///
/// # Errors
/// A usage error that names the flag.
pub(crate) fn update(parsed: &Parsed) -> Result<UpdateOptions, Failure> {
    let resources = changeable(parsed)?;
    let restart = parsed.last("restart").filter(|text| !text.is_empty());
    Ok(UpdateOptions {
        unlimited_pids: parsed.last("pids-limit").is_some() && resources.pids_limit.is_none(),
        resources,
        restart_policy: restart
            .map(parse::restart_policy)
            .transpose()
            .map_err(|reason| Failure::new(1, reason))?,
    })
}
