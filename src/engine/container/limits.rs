//! What docker makes of limits: conflicts are refused in its words, and what this kernel can't do is
//! left out with its warning.

use wharf_cgroup::{DeviceAccess, Feature, Layout, Limits};
use wharf_model::{ErrorKind, HostConfig, Resources, RestartKind, UpdateOptions};

use crate::init::devices;
use crate::state::Record;
use crate::{Error, Result};

/// The least memory a container may have, as in docker.
const LEAST_MEMORY: u64 = 6 << 20;

/// The range of CPU weights.
const SHARES: std::ops::RangeInclusive<u64> = 2..=262_144;

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

fn layout() -> Result<Layout> {
    Layout::detect().map_err(|cause| Error::failed("cgroups", cause))
}

/// Completes and checks what a new container asks for. Returns docker's warnings about what this
/// kernel can't do, which is no longer asked for then.
pub(super) fn settle(host: &mut HostConfig) -> Result<Vec<String>> {
    let layout = layout()?;
    let resources = &mut host.resources;
    if resources.memory_swap.is_none() {
        // As much swap as memory.
        let total = resources.memory.map(|memory| memory.saturating_mul(2));
        resources.memory_swap = total.map(|total| i64::try_from(total).unwrap_or(i64::MAX));
    }
    resources.oom_kill_disable.get_or_insert(false);
    let warnings = judge(resources, &layout)?;
    check_whole(resources)?;
    if let Some(score) = host.oom_score_adj.filter(|score| !(-1000..=1000).contains(score)) {
        let text = format!("Invalid value {score}, range for oom score adj is [-1000, 1000]");
        return Err(invalid(text));
    }
    for rule in &host.resources.device_cgroup_rules {
        devices::rules(rule)?;
    }
    for limit in &host.resources.ulimits {
        crate::init::limits::resource(&limit.name)?;
    }
    if host.cgroup_parent.split('/').any(|part| part == "..") {
        let parent = &host.cgroup_parent;
        return Err(invalid(format!("invalid cgroup-parent: {parent}: it leads out of the mount")));
    }
    let access = match host.privileged {
        true => DeviceAccess::Unrestricted,
        false => DeviceAccess::default(),
    };
    let limits = Limits { resources: host.resources.clone(), devices: access, ..Limits::default() };
    limits.check(&layout).map_err(|cause| Error::new(cause.kind(), cause.to_string()))?;
    Ok(warnings)
}

/// Checks the limits of one call by themselves, and leaves out what this kernel can't do.
fn judge(limits: &mut Resources, layout: &Layout) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    judge_memory(limits, layout, &mut warnings)?;
    judge_cpu(limits, layout, &mut warnings)?;
    if limits.pids_limit.is_some() && !layout.supports(Feature::Pids) {
        warnings.push(unsupported("PIDs limit capabilities", true, "PIDs limit discarded."));
        limits.pids_limit = None;
    }
    judge_block(limits, layout, &mut warnings)?;
    Ok(warnings)
}

/// Returns docker's sentence about what a kernel lacks.
fn unsupported(what: &str, or_unmounted: bool, so: &str) -> String {
    let or = if or_unmounted { " or the cgroup is not mounted" } else { "" };
    format!("Your kernel does not support {what}{or}. {so}")
}

fn judge_memory(limits: &mut Resources, layout: &Layout, warnings: &mut Vec<String>) -> Result<()> {
    if limits.memory.is_some_and(|bytes| bytes < LEAST_MEMORY) {
        return Err(invalid("Minimum memory limit allowed is 6MB"));
    }
    if limits.memory.is_some() && !layout.supports(Feature::Memory) {
        warnings.push(unsupported("memory limit capabilities", true, "Limitation discarded."));
        limits.memory = None;
        limits.memory_swap = None;
    }
    if limits.memory.is_some()
        && limits.memory_swap.is_some_and(|total| total >= 0)
        && !layout.supports(Feature::Swap)
    {
        let so = "Memory limited without swap.";
        warnings.push(unsupported("swap limit capabilities", true, so));
        limits.memory_swap = Some(-1);
    }
    if limits.memory_swappiness.is_some() && !layout.supports(Feature::MemorySwappiness) {
        let so = "Memory swappiness discarded.";
        warnings.push(unsupported("memory swappiness capabilities", true, so));
        limits.memory_swappiness = None;
    }
    if let Some(percent) = limits.memory_swappiness.filter(|percent| *percent > 100) {
        let text = format!("Invalid value: {percent}, valid memory swappiness range is 0-100");
        return Err(invalid(text));
    }
    if limits.memory_reservation.is_some() && !layout.supports(Feature::MemoryReservation) {
        warnings.push(unsupported("memory soft limit capabilities", true, "Limitation discarded."));
        limits.memory_reservation = None;
    }
    if limits.memory_reservation.is_some_and(|bytes| bytes < LEAST_MEMORY) {
        return Err(invalid("Minimum memory reservation allowed is 6MB"));
    }
    if let Some(asked) = limits.oom_kill_disable {
        if !layout.supports(Feature::OomKillDisable) {
            if asked {
                let so = "OomKillDisable discarded.";
                warnings.push(unsupported("OomKillDisable", false, so));
            }
            limits.oom_kill_disable = None;
        } else if asked && limits.memory.is_none() {
            warnings.push(
                "OOM killer is disabled for the container, but no memory limit is set, this can \
                 result in the system running out of resources."
                    .to_owned(),
            );
        }
    }
    Ok(())
}

fn judge_cpu(limits: &mut Resources, layout: &Layout, warnings: &mut Vec<String>) -> Result<()> {
    if limits.nano_cpus.is_some() {
        let with = |other: &str| {
            invalid(format!("Conflicting options: Nano CPUs and {other} cannot both be set"))
        };
        if limits.cpu_period.is_some() {
            return Err(with("CPU Period"));
        }
        if limits.cpu_quota.is_some_and(|quota| quota > 0) {
            return Err(with("CPU Quota"));
        }
        if !layout.supports(Feature::CpuQuota) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or \
                 the cgroup is not mounted",
            ));
        }
        let cpus = rustix::thread::sched_getaffinity(None)
            .map_err(|cause| Error::failed("count the CPUs", cause))?
            .count();
        if limits.nano_cpus.is_some_and(|nano| nano > u64::from(cpus) * 1_000_000_000) {
            return Err(invalid(format!(
                "range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"
            )));
        }
    }
    if limits.cpu_shares.is_some() && !layout.supports(Feature::CpuShares) {
        warnings.push(unsupported("CPU shares", true, "Shares discarded."));
        limits.cpu_shares = None;
    }
    if let Some(shares) = limits.cpu_shares.filter(|shares| !SHARES.contains(shares)) {
        let (word, bound) = match shares < *SHARES.start() {
            true => ("minimum", SHARES.start()),
            false => ("maximum", SHARES.end()),
        };
        return Err(invalid(format!("the {word} allowed cpu-shares is {bound}")));
    }
    let quota = limits.cpu_period.is_some() || limits.cpu_quota.is_some();
    if quota && !layout.supports(Feature::CpuQuota) {
        warnings.push(unsupported("CPU CFS scheduler", false, "CPU period/quota discarded."));
        limits.cpu_period = None;
        limits.cpu_quota = None;
    }
    if limits.cpu_period.is_some_and(|period| !(1000..=1_000_000).contains(&period)) {
        return Err(invalid(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ));
    }
    if limits.cpu_quota.is_some_and(|quota| (1..1000).contains(&quota)) {
        return Err(invalid("CPU cfs quota can not be less than 1ms (i.e. 1000)"));
    }
    let realtime = limits.cpu_rt_period.is_some() || limits.cpu_rt_runtime.is_some();
    if realtime && !layout.supports(Feature::CpuRealtime) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "kernel does not support CPU real-time scheduler",
        ));
    }
    judge_cpuset(limits, layout, warnings)
}

fn judge_cpuset(limits: &mut Resources, layout: &Layout, warnings: &mut Vec<String>) -> Result<()> {
    if limits.cpuset_cpus.is_empty() && limits.cpuset_mems.is_empty() {
        return Ok(());
    }
    let Some((cpus, nodes)) = layout.cpus_and_memory_nodes() else {
        warnings.push(unsupported("cpuset", true, "Cpuset discarded."));
        limits.cpuset_cpus.clear();
        limits.cpuset_mems.clear();
        return Ok(());
    };
    for (wanted, there, kind, what) in [
        (&limits.cpuset_cpus, cpus, "cpus", "CPUs"),
        (&limits.cpuset_mems, nodes, "mems", "memory nodes"),
    ] {
        let list = number_list(wanted).map_err(|part| {
            invalid(format!("Invalid value {wanted} for cpuset {kind}: invalid format: {part}"))
        })?;
        let available = number_list(&there).unwrap_or_default();
        if list.iter().any(|range| !range.clone().all(|n| available.iter().any(|r| r.contains(&n))))
        {
            return Err(invalid(format!(
                "Requested {what} are not available - requested {wanted}, available: {there}"
            )));
        }
    }
    Ok(())
}

/// Returns the ranges of a list such as `0-3,5`; the part that can't be read otherwise.
pub(crate) fn number_list(
    text: &str,
) -> std::result::Result<Vec<std::ops::RangeInclusive<u32>>, &str> {
    /// The most CPUs that docker takes a list for.
    const MOST: u32 = 8192;
    let number = |text: &str| text.parse().ok().filter(|n| *n < MOST);
    text.split(',')
        .filter(|_| !text.is_empty())
        .map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let range = number(first).zip(number(last)).filter(|(first, last)| first <= last);
            range.map(|(first, last)| first..=last).ok_or(part)
        })
        .collect()
}

fn judge_block(limits: &mut Resources, layout: &Layout, warnings: &mut Vec<String>) -> Result<()> {
    if limits.blkio_weight.is_some() && !layout.supports(Feature::BlockWeight) {
        warnings.push(unsupported("Block I/O weight", true, "Weight discarded."));
        limits.blkio_weight = None;
    }
    if limits.blkio_weight.is_some_and(|weight| !(10..=1000).contains(&weight)) {
        return Err(invalid("Range of blkio weight is from 10 to 1000"));
    }
    for (list, feature, what, so) in [
        (
            &mut limits.blkio_weight_device,
            Feature::BlockWeightDevice,
            "Block I/O weight_device",
            "Weight-device discarded.",
        ),
        (
            &mut limits.device_read_bps,
            Feature::ReadBps,
            "BPS Block I/O read limit",
            "Block I/O BPS read limit discarded.",
        ),
        (
            &mut limits.device_write_bps,
            Feature::WriteBps,
            "BPS Block I/O write limit",
            "Block I/O BPS write limit discarded.",
        ),
        (
            &mut limits.device_read_iops,
            Feature::ReadIops,
            "IOPS Block read limit",
            "Block I/O IOPS read limit discarded.",
        ),
        (
            &mut limits.device_write_iops,
            Feature::WriteIops,
            "IOPS Block write limit",
            "Block I/O IOPS write limit discarded.",
        ),
    ] {
        if !list.is_empty() && !layout.supports(feature) {
            warnings.push(unsupported(what, true, so));
            list.clear();
        }
    }
    Ok(())
}

/// Checks limits against each other that one call names.
fn check_pairs(limits: &Resources) -> Result<()> {
    let total = limits.memory_swap.and_then(|total| u64::try_from(total).ok());
    if limits.memory.zip(total).is_some_and(|(memory, total)| total < memory) {
        return Err(invalid(
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ));
    }
    if limits.memory.zip(limits.memory_reservation).is_some_and(|(most, least)| most < least) {
        return Err(invalid(
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        ));
    }
    Ok(())
}

/// Checks limits against each other: those of one call, and what an update makes of the old ones.
fn check_whole(limits: &Resources) -> Result<()> {
    check_pairs(limits)?;
    if limits.memory.is_none() && limits.memory_swap.is_some_and(|total| total > 0) {
        return Err(invalid(
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        ));
    }
    let realtime = limits.cpu_rt_runtime.zip(limits.cpu_rt_period);
    if realtime.is_some_and(|(runtime, period)| runtime > period) {
        return Err(invalid("cpu real-time runtime cannot be higher than cpu real-time period"));
    }
    Ok(())
}

/// Returns what a container's settings become by an update, and docker's warnings.
pub(crate) fn updated(
    record: &Record,
    options: &UpdateOptions,
) -> Result<(HostConfig, Vec<String>)> {
    let mut wanted = options.resources.clone();
    let warnings = judge(&mut wanted, &layout()?)?;
    check_pairs(&wanted)?;
    let mut host = record.spec.host.clone();
    let refused = |text: &str| {
        let text = format!("Cannot update container {}: {text}", record.id);
        Error::new(ErrorKind::Conflict, text)
    };
    if let Some(policy) = options.restart_policy {
        if host.auto_remove && policy.kind != RestartKind::No {
            return Err(refused(
                "Restart policy cannot be updated because AutoRemove is enabled for the container",
            ));
        }
        host.restart_policy = policy;
    }
    merge(&mut host.resources, wanted).map_err(refused)?;
    host.resources.drop_lifted();
    if options.unlimited_pids {
        host.resources.pids_limit = None;
    }
    check_whole(&host.resources).map_err(|error| refused(&error.to_string()))?;
    Ok((host, warnings))
}

/// Takes over what `update` can change, or says why it conflicts with what there is.
fn merge(old: &mut Resources, new: Resources) -> std::result::Result<(), &'static str> {
    let quota = new.cpu_quota.is_some_and(|quota| quota > 0);
    let old_quota = old.cpu_quota.is_some_and(|quota| quota > 0);
    if new.nano_cpus.is_some() && old.cpu_period.is_some() {
        return Err("Conflicting options: Nano CPUs cannot be updated as CPU Period has already \
                    been set");
    }
    if new.nano_cpus.is_some() && old_quota {
        return Err("Conflicting options: Nano CPUs cannot be updated as CPU Quota has already \
                    been set");
    }
    if new.cpu_period.is_some() && old.nano_cpus.is_some() {
        return Err("Conflicting options: CPU Period cannot be updated as NanoCPUs has already \
                    been set");
    }
    if quota && old.nano_cpus.is_some() {
        return Err("Conflicting options: CPU Quota cannot be updated as NanoCPUs has already \
                    been set");
    }
    // As docker has it, no limit of swap counts as the least one here.
    let total = old.memory_swap.and_then(|total| u64::try_from(total).ok()).unwrap_or(0);
    if new.memory_swap.is_none() && new.memory.is_some_and(|memory| memory > total) {
        return Err(
            "Memory limit should be smaller than already set memoryswap limit, update the \
                    memoryswap at the same time",
        );
    }
    fn take<T>(old: &mut Option<T>, new: Option<T>) {
        if new.is_some() {
            *old = new;
        }
    }
    take(&mut old.memory, new.memory);
    take(&mut old.memory_swap, new.memory_swap);
    take(&mut old.memory_reservation, new.memory_reservation);
    take(&mut old.nano_cpus, new.nano_cpus);
    take(&mut old.cpu_period, new.cpu_period);
    if new.cpu_quota.is_some_and(|quota| quota < 0) && old.nano_cpus.is_some() {
        // Docker's engine lifts the limit and remembers it nevertheless; the quota was none before.
        old.nano_cpus = new.nano_cpus;
    } else {
        take(&mut old.cpu_quota, new.cpu_quota);
    }
    take(&mut old.cpu_shares, new.cpu_shares);
    take(&mut old.cpu_rt_period, new.cpu_rt_period);
    take(&mut old.cpu_rt_runtime, new.cpu_rt_runtime);
    take(&mut old.pids_limit, new.pids_limit);
    take(&mut old.blkio_weight, new.blkio_weight);
    for (old, new) in
        [(&mut old.cpuset_cpus, new.cpuset_cpus), (&mut old.cpuset_mems, new.cpuset_mems)]
    {
        if !new.is_empty() {
            *old = new;
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;
