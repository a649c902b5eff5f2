//! Limits of containers.

use bollard_stubs::models::{
    ContainerUpdateBody, DeviceMapping as DockerDevice, HostConfig as DockerHost,
    ResourcesBlkioWeightDevice, ResourcesUlimits, ThrottleDevice,
};
use wharf_model::{DeviceMapping, DeviceRate, Resources, Ulimit};

use crate::answer::Refusal;

/// Returns a limit; zero is docker's way to write none.
fn limit(name: &str, value: Option<i64>) -> Result<Option<u64>, Refusal> {
    match value {
        None | Some(0) => Ok(None),
        Some(value) => u64::try_from(value)
            .map(Some)
            .map_err(|_| Refusal::invalid(format!("{name} can't be {value}"))),
    }
}

/// Returns a limit of processes; whatever is below 1 is docker's way to write none.
fn pids(value: Option<i64>) -> Option<u64> {
    value.and_then(|value| u64::try_from(value).ok()).filter(|limit| *limit > 0)
}

fn text(value: Option<String>) -> String {
    value.unwrap_or_default()
}

fn rates(name: &str, list: Option<Vec<ThrottleDevice>>) -> Result<Vec<DeviceRate>, Refusal> {
    let wrong = || Refusal::invalid(format!("{name} wants a path and a rate from 0 on"));
    let rate = |one: ThrottleDevice| {
        let rate = u64::try_from(one.rate.unwrap_or_default()).map_err(|_| wrong())?;
        Ok(DeviceRate { path: one.path.ok_or_else(wrong)?, rate })
    };
    list.unwrap_or_default().into_iter().map(rate).collect()
}

fn weights(list: Option<Vec<ResourcesBlkioWeightDevice>>) -> Result<Vec<DeviceRate>, Refusal> {
    let wrong = || Refusal::invalid("BlkioWeightDevice wants a path and a weight");
    let weight = |one: ResourcesBlkioWeightDevice| {
        let rate = one.weight.and_then(|weight| u64::try_from(weight).ok()).ok_or_else(wrong)?;
        Ok(DeviceRate { path: one.path.ok_or_else(wrong)?, rate })
    };
    list.unwrap_or_default().into_iter().map(weight).collect()
}

fn ulimit(one: ResourcesUlimits) -> Result<Ulimit, Refusal> {
    let name = one.name.ok_or_else(|| Refusal::invalid("Ulimits want a name"))?;
    let hard = one.hard.unwrap_or_default();
    Ok(Ulimit { name, soft: one.soft.unwrap_or(hard), hard })
}

fn device(one: DockerDevice) -> Result<DeviceMapping, Refusal> {
    let host = one.path_on_host.filter(|path| !path.is_empty());
    let path_on_host = host.ok_or_else(|| Refusal::invalid("Devices want a PathOnHost"))?;
    let inside = one.path_in_container.filter(|path| !path.is_empty());
    let permissions = one.cgroup_permissions.filter(|text| !text.is_empty());
    Ok(DeviceMapping {
        path_in_container: inside.unwrap_or_else(|| path_on_host.clone()),
        path_on_host,
        permissions: permissions.unwrap_or_else(|| "rwm".to_owned()),
    })
}

/// Takes the limits out of what a container asks of its host.
pub(super) fn of_host(host: &mut DockerHost) -> Result<Resources, Refusal> {
    Ok(Resources {
        memory: limit("Memory", host.memory)?,
        memory_swap: host.memory_swap.filter(|total| *total != 0),
        memory_reservation: limit("MemoryReservation", host.memory_reservation)?,
        // Clients of old write -1 where nothing is asked for.
        memory_swappiness: host
            .memory_swappiness
            .filter(|percent| *percent != -1)
            .map(|percent| {
                u8::try_from(percent).map_err(|_| {
                    let range = "valid memory swappiness range is 0-100";
                    Refusal::invalid(format!("invalid value: {percent}, {range}"))
                })
            })
            .transpose()?,
        oom_kill_disable: host.oom_kill_disable.filter(|disabled| *disabled),
        nano_cpus: limit("NanoCpus", host.nano_cpus)?,
        cpu_shares: limit("CpuShares", host.cpu_shares)?,
        cpu_period: limit("CpuPeriod", host.cpu_period)?,
        cpu_quota: host.cpu_quota.filter(|quota| *quota != 0),
        cpu_rt_period: limit("CpuRealtimePeriod", host.cpu_realtime_period)?,
        cpu_rt_runtime: limit("CpuRealtimeRuntime", host.cpu_realtime_runtime)?,
        cpuset_cpus: text(host.cpuset_cpus.take()),
        cpuset_mems: text(host.cpuset_mems.take()),
        pids_limit: pids(host.pids_limit),
        blkio_weight: host.blkio_weight.filter(|weight| *weight != 0),
        blkio_weight_device: weights(host.blkio_weight_device.take())?,
        device_read_bps: rates("BlkioDeviceReadBps", host.blkio_device_read_bps.take())?,
        device_write_bps: rates("BlkioDeviceWriteBps", host.blkio_device_write_bps.take())?,
        device_read_iops: rates("BlkioDeviceReadIOps", host.blkio_device_read_iops.take())?,
        device_write_iops: rates("BlkioDeviceWriteIOps", host.blkio_device_write_iops.take())?,
        ulimits: host
            .ulimits
            .take()
            .unwrap_or_default()
            .into_iter()
            .map(ulimit)
            .collect::<Result<_, _>>()?,
        devices: host
            .devices
            .take()
            .unwrap_or_default()
            .into_iter()
            .map(device)
            .collect::<Result<_, _>>()?,
        device_cgroup_rules: host.device_cgroup_rules.take().unwrap_or_default(),
    })
}

/// Returns the limits that an update names.
pub(super) fn changed(body: ContainerUpdateBody) -> Result<Resources, Refusal> {
    let fixed = [
        ("Devices", body.devices.is_some_and(|list| !list.is_empty())),
        ("DeviceCgroupRules", body.device_cgroup_rules.is_some_and(|list| !list.is_empty())),
        ("Ulimits", body.ulimits.is_some_and(|list| !list.is_empty())),
        ("BlkioWeightDevice", body.blkio_weight_device.is_some_and(|list| !list.is_empty())),
        ("BlkioDeviceReadBps", body.blkio_device_read_bps.is_some_and(|list| !list.is_empty())),
        ("BlkioDeviceWriteBps", body.blkio_device_write_bps.is_some_and(|list| !list.is_empty())),
        ("BlkioDeviceReadIOps", body.blkio_device_read_iops.is_some_and(|list| !list.is_empty())),
        ("BlkioDeviceWriteIOps", body.blkio_device_write_iops.is_some_and(|l| !l.is_empty())),
    ];
    if let Some((name, _)) = fixed.iter().find(|(_, asked)| *asked) {
        return Err(Refusal::invalid(format!(
            "{name} of a container can't be changed: make it anew"
        )));
    }
    Ok(Resources {
        memory: limit("Memory", body.memory)?,
        memory_swap: body.memory_swap.filter(|total| *total != 0),
        memory_reservation: limit("MemoryReservation", body.memory_reservation)?,
        nano_cpus: limit("NanoCpus", body.nano_cpus)?,
        cpu_shares: limit("CpuShares", body.cpu_shares)?,
        cpu_period: limit("CpuPeriod", body.cpu_period)?,
        cpu_quota: body.cpu_quota.filter(|quota| *quota != 0),
        cpu_rt_period: limit("CpuRealtimePeriod", body.cpu_realtime_period)?,
        cpu_rt_runtime: limit("CpuRealtimeRuntime", body.cpu_realtime_runtime)?,
        cpuset_cpus: text(body.cpuset_cpus),
        cpuset_mems: text(body.cpuset_mems),
        pids_limit: pids(body.pids_limit),
        blkio_weight: body.blkio_weight.filter(|weight| *weight != 0),
        ..Resources::default()
    })
}
