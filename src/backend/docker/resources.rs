//! Limits as a Docker engine writes and reads them.

use bollard::models::{
    ContainerUpdateBody, DeviceMapping as DockerDevice, HostConfig as DockerHostConfig,
    ResourcesBlkioWeightDevice, ResourcesUlimits, RestartPolicy as DockerPolicy,
    RestartPolicyNameEnum, ThrottleDevice,
};
use wharf_model::{
    DeviceMapping, DeviceRate, Resources, RestartKind, RestartPolicy, Ulimit, UpdateOptions,
};

fn number(value: Option<u64>) -> Option<i64> {
    value.map(|value| i64::try_from(value).unwrap_or(i64::MAX))
}

fn text(value: String) -> Option<String> {
    Some(value).filter(|text| !text.is_empty())
}

fn filled<A, B>(list: Vec<A>, convert: impl Fn(A) -> B) -> Option<Vec<B>> {
    (!list.is_empty()).then(|| list.into_iter().map(convert).collect())
}

/// Returns the settings of a container to be made as far as they are limits.
pub(super) fn of_container(limits: Resources) -> DockerHostConfig {
    let rate = |one: DeviceRate| ThrottleDevice {
        path: Some(one.path),
        rate: Some(i64::try_from(one.rate).unwrap_or(i64::MAX)),
    };
    let weight = |one: DeviceRate| ResourcesBlkioWeightDevice {
        path: Some(one.path),
        weight: usize::try_from(one.rate).ok(),
    };
    DockerHostConfig {
        memory: number(limits.memory),
        memory_swap: limits.memory_swap,
        memory_reservation: number(limits.memory_reservation),
        memory_swappiness: limits.memory_swappiness.map(i64::from),
        oom_kill_disable: limits.oom_kill_disable,
        nano_cpus: number(limits.nano_cpus),
        cpu_shares: number(limits.cpu_shares),
        cpu_period: number(limits.cpu_period),
        cpu_quota: limits.cpu_quota,
        cpu_realtime_period: number(limits.cpu_rt_period),
        cpu_realtime_runtime: number(limits.cpu_rt_runtime),
        cpuset_cpus: text(limits.cpuset_cpus),
        cpuset_mems: text(limits.cpuset_mems),
        pids_limit: number(limits.pids_limit),
        blkio_weight: limits.blkio_weight,
        blkio_weight_device: filled(limits.blkio_weight_device, weight),
        blkio_device_read_bps: filled(limits.device_read_bps, rate),
        blkio_device_write_bps: filled(limits.device_write_bps, rate),
        blkio_device_read_iops: filled(limits.device_read_iops, rate),
        blkio_device_write_iops: filled(limits.device_write_iops, rate),
        ulimits: filled(limits.ulimits, |limit| ResourcesUlimits {
            name: Some(limit.name),
            soft: Some(limit.soft),
            hard: Some(limit.hard),
        }),
        devices: filled(limits.devices, |device| DockerDevice {
            path_on_host: Some(device.path_on_host),
            path_in_container: Some(device.path_in_container),
            cgroup_permissions: Some(device.permissions),
        }),
        device_cgroup_rules: filled(limits.device_cgroup_rules, |rule| rule),
        ..Default::default()
    }
}

/// Returns the limits of a container that there is.
pub(super) fn from_container(host: &DockerHostConfig) -> Resources {
    // Docker writes 0, and for some -1, where there is no limit.
    let limit = |value: Option<i64>| {
        value.filter(|value| *value > 0).and_then(|value| u64::try_from(value).ok())
    };
    let rates = |list: &Option<Vec<ThrottleDevice>>| {
        let rate = |one: &ThrottleDevice| {
            let rate = one.rate.and_then(|rate| u64::try_from(rate).ok())?;
            Some(DeviceRate { path: one.path.clone()?, rate })
        };
        list.iter().flatten().filter_map(rate).collect()
    };
    let weight = |one: &ResourcesBlkioWeightDevice| {
        let rate = one.weight.and_then(|weight| u64::try_from(weight).ok())?;
        Some(DeviceRate { path: one.path.clone()?, rate })
    };
    let ulimit = |one: &ResourcesUlimits| {
        Some(Ulimit { name: one.name.clone()?, soft: one.soft?, hard: one.hard? })
    };
    let device = |one: &DockerDevice| {
        Some(DeviceMapping {
            path_on_host: one.path_on_host.clone()?,
            path_in_container: one.path_in_container.clone()?,
            permissions: one.cgroup_permissions.clone()?,
        })
    };
    let mut limits = Resources {
        memory: limit(host.memory),
        memory_swap: host.memory_swap.filter(|total| *total != 0),
        memory_reservation: limit(host.memory_reservation),
        memory_swappiness: host.memory_swappiness.and_then(|percent| u8::try_from(percent).ok()),
        oom_kill_disable: host.oom_kill_disable,
        nano_cpus: limit(host.nano_cpus),
        cpu_shares: limit(host.cpu_shares),
        cpu_period: limit(host.cpu_period),
        cpu_quota: host.cpu_quota.filter(|quota| *quota != 0),
        cpu_rt_period: limit(host.cpu_realtime_period),
        cpu_rt_runtime: limit(host.cpu_realtime_runtime),
        cpuset_cpus: host.cpuset_cpus.clone().unwrap_or_default(),
        cpuset_mems: host.cpuset_mems.clone().unwrap_or_default(),
        pids_limit: limit(host.pids_limit),
        blkio_weight: host.blkio_weight.filter(|weight| *weight != 0),
        blkio_weight_device: host.blkio_weight_device.iter().flatten().filter_map(weight).collect(),
        device_read_bps: rates(&host.blkio_device_read_bps),
        device_write_bps: rates(&host.blkio_device_write_bps),
        device_read_iops: rates(&host.blkio_device_read_iops),
        device_write_iops: rates(&host.blkio_device_write_iops),
        ulimits: host.ulimits.iter().flatten().filter_map(ulimit).collect(),
        devices: host.devices.iter().flatten().filter_map(device).collect(),
        device_cgroup_rules: host.device_cgroup_rules.clone().unwrap_or_default(),
    };
    limits.drop_lifted();
    limits
}

/// Returns the request that changes a container.
pub(super) fn update(options: UpdateOptions) -> ContainerUpdateBody {
    let limits = options.resources;
    ContainerUpdateBody {
        memory: number(limits.memory),
        memory_swap: limits.memory_swap,
        memory_reservation: number(limits.memory_reservation),
        nano_cpus: number(limits.nano_cpus),
        cpu_shares: number(limits.cpu_shares),
        cpu_period: number(limits.cpu_period),
        cpu_quota: limits.cpu_quota,
        cpu_realtime_period: number(limits.cpu_rt_period),
        cpu_realtime_runtime: number(limits.cpu_rt_runtime),
        cpuset_cpus: text(limits.cpuset_cpus),
        cpuset_mems: text(limits.cpuset_mems),
        pids_limit: number(limits.pids_limit).or(options.unlimited_pids.then_some(-1)),
        blkio_weight: limits.blkio_weight,
        restart_policy: options.restart_policy.map(restart_policy),
        ..Default::default()
    }
}

fn restart_policy(policy: RestartPolicy) -> DockerPolicy {
    let name = match policy.kind {
        RestartKind::No => RestartPolicyNameEnum::NO,
        RestartKind::OnFailure => RestartPolicyNameEnum::ON_FAILURE,
        RestartKind::Always => RestartPolicyNameEnum::ALWAYS,
        RestartKind::UnlessStopped => RestartPolicyNameEnum::UNLESS_STOPPED,
    };
    DockerPolicy { name: Some(name), maximum_retry_count: Some(i64::from(policy.maximum_retries)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_come_back_as_they_went() {
        let rate = |rate| vec![DeviceRate { path: "/dev/vda".to_owned(), rate }];
        let limits = Resources {
            memory: Some(64 << 20),
            memory_swap: Some(-1),
            memory_reservation: Some(32 << 20),
            memory_swappiness: Some(0),
            oom_kill_disable: Some(false),
            nano_cpus: Some(1_500_000_000),
            cpu_shares: Some(512),
            cpu_period: Some(50_000),
            cpu_quota: Some(-1),
            cpu_rt_period: Some(1_000_000),
            cpu_rt_runtime: Some(1000),
            cpuset_cpus: "0".to_owned(),
            cpuset_mems: "0".to_owned(),
            pids_limit: Some(5),
            blkio_weight: Some(300),
            blkio_weight_device: rate(200),
            device_read_bps: rate(1),
            device_write_bps: rate(2),
            device_read_iops: rate(3),
            device_write_iops: rate(4),
            ulimits: vec![Ulimit { name: "core".to_owned(), soft: 0, hard: -1 }],
            devices: vec![DeviceMapping {
                path_on_host: "/dev/fuse".to_owned(),
                path_in_container: "/dev/f".to_owned(),
                permissions: "r".to_owned(),
            }],
            device_cgroup_rules: vec!["c 1:* r".to_owned()],
        };
        assert_eq!(from_container(&of_container(limits.clone())), limits);
        let none = Resources::default();
        assert_eq!(from_container(&of_container(none.clone())), none);
    }

    #[test]
    fn an_update_names_what_changes_only() {
        let options = UpdateOptions {
            resources: Resources { memory: Some(64 << 20), ..Resources::default() },
            unlimited_pids: true,
            restart_policy: Some(RestartPolicy {
                kind: RestartKind::OnFailure,
                maximum_retries: 3,
            }),
        };
        let body = serde_json::to_value(update(options)).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "Memory": 64 << 20,
                "PidsLimit": -1,
                "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
            })
        );
    }
}
