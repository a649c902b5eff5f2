//! `HostConfig`: what a container asked of its host.

use serde_json::{Map, Value, json};
use wharf_model::{
    Bind, DeviceMapping, DeviceRate, HostConfig, LogDriver, MASKED_PATHS, Mount, MountKind,
    NamespaceMode, NetworkMode, Propagation, READ_ONLY_PATHS, RestartKind, SeccompMode, Ulimit,
};

use super::list;

/// The size docker gives /dev/shm.
const SHM_SIZE: u64 = 64 << 20;

/// Returns `HostConfig` with every field that docker has; what wharf doesn't have is what docker
/// shows where it isn't set.
pub(super) fn config(host: &HostConfig) -> Value {
    let binds: Vec<String> = host.binds.iter().map(bind).collect();
    let limits = &host.resources;
    let memory = limits.memory.unwrap_or(0);
    let mut value = json!({
        "Binds": list(&binds),
        "ContainerIDFile": host.cidfile,
        "LogConfig": {"Type": log_driver(host.log_config.driver), "Config": host.log_config.options},
        "NetworkMode": match host.network_mode {
            // The word that docker's command line sends when no network is asked for.
            NetworkMode::Bridge => "default",
            _ => host.network_mode.as_str(),
        },
        "PortBindings": {},
        "RestartPolicy": {
            "Name": restart(host.restart_policy.kind),
            "MaximumRetryCount": host.restart_policy.maximum_retries,
        },
        "AutoRemove": host.auto_remove,
        "VolumeDriver": "",
        "VolumesFrom": list(&host.volumes_from),
        "ConsoleSize": [0, 0],
        "Annotations": host.annotations,
        "CapAdd": list(&capabilities(&host.cap_add)),
        "CapDrop": list(&capabilities(&host.cap_drop)),
        "CgroupnsMode": namespace(&host.cgroupns_mode, "private"),
        "Dns": host.dns,
        "DnsOptions": host.dns_options,
        "DnsSearch": host.dns_search,
        "ExtraHosts": list(&host.extra_hosts),
        "GroupAdd": list(&host.group_add),
        "IpcMode": namespace(&host.ipc_mode, "private"),
        "Cgroup": "",
        "Links": null,
        "OomScoreAdj": host.oom_score_adj.unwrap_or(0),
        "PidMode": namespace(&host.pid_mode, ""),
        "Privileged": host.privileged,
        "PublishAllPorts": false,
        "ReadonlyRootfs": host.readonly_rootfs,
        "SecurityOpt": list(&security(host)),
        "StorageOpt": host.storage_opt,
        "Tmpfs": host.tmpfs,
        "UTSMode": namespace(&host.uts_mode, ""),
        "UsernsMode": namespace(&host.userns_mode, ""),
        "ShmSize": host.shm_size.unwrap_or(SHM_SIZE),
        "Sysctls": host.sysctls,
        "Runtime": "wharf",
        "Isolation": "",
        "CpuShares": limits.cpu_shares.unwrap_or(0),
        "Memory": memory,
        "NanoCpus": limits.nano_cpus.unwrap_or(0),
        "CgroupParent": host.cgroup_parent,
        "BlkioWeight": limits.blkio_weight.unwrap_or(0),
        "BlkioWeightDevice": rates(&limits.blkio_weight_device, "Weight"),
        "BlkioDeviceReadBps": rates(&limits.device_read_bps, "Rate"),
        "BlkioDeviceWriteBps": rates(&limits.device_write_bps, "Rate"),
        "BlkioDeviceReadIOps": rates(&limits.device_read_iops, "Rate"),
        "BlkioDeviceWriteIOps": rates(&limits.device_write_iops, "Rate"),
        "CpuPeriod": limits.cpu_period.unwrap_or(0),
        "CpuQuota": limits.cpu_quota.unwrap_or(0),
        "CpuRealtimePeriod": limits.cpu_rt_period.unwrap_or(0),
        "CpuRealtimeRuntime": limits.cpu_rt_runtime.unwrap_or(0),
        "CpusetCpus": limits.cpuset_cpus,
        "CpusetMems": limits.cpuset_mems,
        "Devices": limits.devices.iter().map(device).collect::<Vec<_>>(),
        "DeviceCgroupRules": list(&limits.device_cgroup_rules),
        "DeviceRequests": null,
        "MemoryReservation": limits.memory_reservation.unwrap_or(0),
        // Memory and swap together: the same amount of each, if nothing else was said.
        "MemorySwap": match limits.memory_swap {
            Some(swap) => json!(swap),
            None => json!(memory.saturating_mul(2)),
        },
        "MemorySwappiness": limits.memory_swappiness,
        "OomKillDisable": limits.oom_kill_disable.then_some(true),
        "PidsLimit": limits.pids_limit,
        "Ulimits": limits.ulimits.iter().map(ulimit).collect::<Vec<_>>(),
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
        "Mounts": host.mounts.iter().map(mount).collect::<Vec<_>>(),
    });
    if let Some(map) = value.as_object_mut() {
        map.insert("MaskedPaths".to_owned(), protected(host, &MASKED_PATHS));
        map.insert("ReadonlyPaths".to_owned(), protected(host, &READ_ONLY_PATHS));
        map.insert("Init".to_owned(), json!(host.init.then_some(true)));
        // Docker leaves these out while they are empty.
        const OPTIONAL: [&str; 6] =
            ["Annotations", "Init", "Mounts", "StorageOpt", "Sysctls", "Tmpfs"];
        map.retain(|key, value| {
            let empty = match value {
                Value::Null => true,
                Value::Array(items) => items.is_empty(),
                Value::Object(members) => members.is_empty(),
                _ => false,
            };
            !empty || !OPTIONAL.contains(&key.as_str())
        });
    }
    value
}

fn bind(bind: &Bind) -> String {
    let mode = if bind.read_only { ":ro" } else { "" };
    format!("{}:{}{mode}", bind.source, bind.target)
}

fn log_driver(driver: LogDriver) -> &'static str {
    match driver {
        LogDriver::JsonFile => "json-file",
        LogDriver::Local => "local",
        LogDriver::None => "none",
    }
}

fn restart(kind: RestartKind) -> &'static str {
    match kind {
        RestartKind::No => "no",
        RestartKind::OnFailure => "on-failure",
        RestartKind::Always => "always",
        RestartKind::UnlessStopped => "unless-stopped",
    }
}

/// Docker's names have a prefix that the command line leaves out.
fn capabilities(names: &[String]) -> Vec<String> {
    let prefixed = |name: &String| match name.as_str() {
        "ALL" => "ALL".to_owned(),
        name => format!("CAP_{}", name.strip_prefix("CAP_").unwrap_or(name)),
    };
    names.iter().map(prefixed).collect()
}

fn namespace(mode: &NamespaceMode, default: &str) -> String {
    match mode {
        NamespaceMode::Default => default.to_owned(),
        NamespaceMode::Private => "private".to_owned(),
        NamespaceMode::Shareable => "shareable".to_owned(),
        NamespaceMode::None => "none".to_owned(),
        NamespaceMode::Host => "host".to_owned(),
        NamespaceMode::Container(name) => format!("container:{name}"),
    }
}

fn security(host: &HostConfig) -> Vec<String> {
    let mut options = Vec::new();
    if host.no_new_privileges {
        options.push("no-new-privileges".to_owned());
    }
    match &host.seccomp {
        SeccompMode::Default => {}
        SeccompMode::Unconfined => options.push("seccomp=unconfined".to_owned()),
        SeccompMode::Profile(profile) => options.push(format!("seccomp={profile}")),
    }
    options.extend(host.apparmor.iter().map(|profile| format!("apparmor={profile}")));
    options.extend(host.label.iter().map(|label| format!("label={label}")));
    options
}

/// What is protected: nothing when that was asked for, and not even a list without any protection.
fn protected(host: &HostConfig, paths: &[&str]) -> Value {
    match (host.privileged, host.unconfined_paths) {
        (true, _) => Value::Null,
        (false, true) => json!([]),
        (false, false) => json!(paths),
    }
}

fn rates(rates: &[DeviceRate], what: &str) -> Vec<Value> {
    rates.iter().map(|rate| json!({"Path": rate.path, what: rate.rate})).collect()
}

fn device(device: &DeviceMapping) -> Value {
    json!({
        "PathOnHost": device.path_on_host,
        "PathInContainer": device.path_in_container,
        "CgroupPermissions": device.permissions,
    })
}

fn ulimit(limit: &Ulimit) -> Value {
    json!({"Name": limit.name, "Hard": limit.hard, "Soft": limit.soft})
}

/// A mount as it was asked for; what has its usual value is left out.
fn mount(mount: &Mount) -> Value {
    let mut value = Map::new();
    let mut put = |name: &str, part: Value| {
        value.insert(name.to_owned(), part);
    };
    put("Type", kind(mount.kind).into());
    if !mount.source.is_empty() {
        put("Source", mount.source.as_str().into());
    }
    put("Target", mount.target.as_str().into());
    if mount.read_only {
        put("ReadOnly", true.into());
    }
    let mut options = Map::new();
    match mount.kind {
        MountKind::Bind => {
            if mount.propagation != Propagation::default() {
                options.insert("Propagation".to_owned(), json!(mount.propagation));
            }
            if mount.non_recursive {
                options.insert("NonRecursive".to_owned(), true.into());
            }
            if mount.create_source {
                options.insert("CreateMountpoint".to_owned(), true.into());
            }
        }
        MountKind::Tmpfs => {
            if let Some(size) = mount.tmpfs_size {
                options.insert("SizeBytes".to_owned(), size.into());
            }
            if let Some(mode) = mount.tmpfs_mode {
                options.insert("Mode".to_owned(), mode.into());
            }
            if !mount.tmpfs_options.is_empty() {
                let pairs = mount.tmpfs_options.iter().map(|option| match option.split_once('=') {
                    Some((name, value)) => json!([name, value]),
                    None => json!([option]),
                });
                options.insert("Options".to_owned(), pairs.collect());
            }
        }
        MountKind::Volume => {}
    }
    if !options.is_empty() {
        let name = match mount.kind {
            MountKind::Bind => "BindOptions",
            MountKind::Tmpfs => "TmpfsOptions",
            MountKind::Volume => "VolumeOptions",
        };
        put(name, options.into());
    }
    value.into()
}

/// Returns docker's word for a kind of mount.
pub(super) fn kind(kind: MountKind) -> &'static str {
    match kind {
        MountKind::Bind => "bind",
        MountKind::Volume => "volume",
        MountKind::Tmpfs => "tmpfs",
    }
}
