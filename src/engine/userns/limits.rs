//! Limits of a container whose engine may not make cgroups, or lacks controllers.

use wharf_cgroup::{Controller, Layout};
use wharf_model::HostConfig;

/// Takes the limits away that an ordinary user's engine can't apply, and returns one sentence that
/// says which and what to do. Root's engine refuses such limits instead.
pub(crate) fn discard(host: &mut HostConfig, layout: &Layout) -> Vec<String> {
    let limits = &mut host.resources;
    let mut names = Vec::new();
    let mut discard = |flag: &'static str, set: bool| {
        if set {
            names.push(flag);
        }
        set
    };
    if !layout.has(Controller::Memory) {
        if discard("--memory", limits.memory.take().is_some()) {
            limits.memory_swap = None;
        }
        discard("--memory-swap", limits.memory_swap.take().is_some());
        discard("--memory-reservation", limits.memory_reservation.take().is_some());
        discard("--memory-swappiness", limits.memory_swappiness.take().is_some());
        discard("--oom-kill-disable", limits.oom_kill_disable.take() == Some(true));
    }
    if !layout.has(Controller::Cpu) {
        discard("--cpus", limits.nano_cpus.take().is_some());
        discard("--cpu-shares", limits.cpu_shares.take().is_some());
        discard("--cpu-period", limits.cpu_period.take().is_some());
        discard("--cpu-quota", limits.cpu_quota.take().is_some());
        discard("--cpu-rt-period", limits.cpu_rt_period.take().is_some());
        discard("--cpu-rt-runtime", limits.cpu_rt_runtime.take().is_some());
    }
    if !layout.has(Controller::Cpuset) {
        discard("--cpuset-cpus", !std::mem::take(&mut limits.cpuset_cpus).is_empty());
        discard("--cpuset-mems", !std::mem::take(&mut limits.cpuset_mems).is_empty());
    }
    if !layout.has(Controller::Pids) {
        discard("--pids-limit", limits.pids_limit.take().is_some());
    }
    if !layout.has(Controller::Io) {
        discard("--blkio-weight", limits.blkio_weight.take().is_some());
        discard(
            "--blkio-weight-device",
            !std::mem::take(&mut limits.blkio_weight_device).is_empty(),
        );
        discard("--device-read-bps", !std::mem::take(&mut limits.device_read_bps).is_empty());
        discard("--device-write-bps", !std::mem::take(&mut limits.device_write_bps).is_empty());
        discard("--device-read-iops", !std::mem::take(&mut limits.device_read_iops).is_empty());
        discard("--device-write-iops", !std::mem::take(&mut limits.device_write_iops).is_empty());
    }
    if names.is_empty() {
        return Vec::new();
    }
    vec![format!("{} discarded: {}", names.join(", "), why(layout))]
}

/// Returns why there are no limits, and the way to them.
pub(crate) fn why(layout: &Layout) -> String {
    let command = "systemd-run --user --scope -p Delegate=yes wharf …";
    match layout.is_empty() {
        true => format!(
            "this user has no control group of its own on this host; with systemd and cgroup v2: \
             {command}"
        ),
        false => "the control group of this user lacks the controllers (systemd's Delegate= of \
                  user@.service names those that are handed down)"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_discarded_is_named_once() {
        let mut host = HostConfig::default();
        assert!(discard(&mut host, &Layout::empty()).is_empty());
        host.resources.memory = Some(64 << 20);
        host.resources.memory_swap = Some(-1);
        host.resources.pids_limit = Some(5);
        let warnings = discard(&mut host, &Layout::empty());
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].starts_with("--memory, --pids-limit discarded: "), "{warnings:?}");
        assert_eq!(host, HostConfig::default());
    }
}
