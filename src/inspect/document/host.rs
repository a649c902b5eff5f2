//! `HostConfig`: what a container asked of its host.

use serde_json::{Map, Value, json};
use wharf_model::{
    Bind, DeviceMapping, DeviceRate, HostConfig, MASKED_PATHS, Mount, MountKind, NetworkMode,
    PortBinding, PublishedPort, READ_ONLY_PATHS, ReadOnlyBelow, Ulimit,
};

use super::list;

/// The size docker gives /dev/shm.
const SHM_SIZE: u64 = 64 << 20;

/// Returns ports as docker's maps have them: what serves each, and nothing where it is only exposed.
pub(super) fn bindings(ports: &[PortBinding]) -> Value {
    let mut map = Map::new();
    for port in ports {
        let name = format!("{}/{}", port.container_port, port.protocol);
        let entry = map.entry(name).or_insert(Value::Null);
        if let Some((address, number)) = port.host {
            let binding = json!({"HostIp": address.to_string(), "HostPort": number.to_string()});
            match entry {
                Value::Array(bindings) => bindings.push(binding),
                other => *other = json!([binding]),
            }
        }
    }
    map.into()
}

/// Returns what was asked for in the same form: an empty text is any.
fn wanted_ports(ports: &[PublishedPort]) -> Value {
    let mut map = Map::new();
    for port in ports {
        let name = format!("{}/{}", port.container_port, port.protocol);
        let range = match port.host_ports {
            None => String::new(),
            Some((first, last)) if first == last => first.to_string(),
            Some((first, last)) => format!("{first}-{last}"),
        };
        let address = port.host_ip.map(|address| address.to_string()).unwrap_or_default();
        let binding = json!({"HostIp": address, "HostPort": range});
        match map.entry(name).or_insert_with(|| json!([])) {
            Value::Array(bindings) => bindings.push(binding),
            other => *other = json!([binding]),
        }
    }
    map.into()
}

/// Returns `HostConfig` with every field that docker has; what wharf doesn't have is what docker
/// shows where it isn't set.
pub(super) fn config(host: &HostConfig) -> Value {
    let binds: Vec<String> = host.binds.iter().map(bind).collect();
    let limits = &host.resources;
    let mut value = json!({
        "Binds": list(&binds),
        "ContainerIDFile": host.cidfile,
        "LogConfig": {"Type": host.log_config.driver.as_str(), "Config": host.log_config.options},
        "NetworkMode": match &host.network_mode {
            // The word that docker's command line sends when no network is asked for.
            NetworkMode::Bridge => "default".to_owned(),
            mode => mode.to_string(),
        },
        "PortBindings": wanted_ports(&host.published_ports),
        "RestartPolicy": {
            "Name": host.restart_policy.kind.as_str(),
            "MaximumRetryCount": host.restart_policy.maximum_retries,
        },
        "AutoRemove": host.auto_remove,
        "VolumeDriver": host.volume_driver,
        "VolumesFrom": list(&host.volumes_from),
        "ConsoleSize": host.console_size.map_or([0, 0], |size| [size.rows, size.columns]),
        "Annotations": host.annotations,
        "CapAdd": list(&capabilities(&host.cap_add)),
        "CapDrop": list(&capabilities(&host.cap_drop)),
        "CgroupnsMode": host.cgroupns_mode.to_text("private"),
        "Dns": host.dns,
        "DnsOptions": host.dns_options,
        "DnsSearch": host.dns_search,
        "ExtraHosts": list(&host.extra_hosts),
        "GroupAdd": list(&host.group_add),
        "IpcMode": host.ipc_mode.to_text("private"),
        "Cgroup": "",
        "Links": null,
        "OomScoreAdj": host.oom_score_adj.unwrap_or(0),
        "PidMode": host.pid_mode.to_text(""),
        "Privileged": host.privileged,
        "PublishAllPorts": host.publish_all_ports,
        "ReadonlyRootfs": host.readonly_rootfs,
        "SecurityOpt": list(&host.security_options()),
        "StorageOpt": host.storage_opt,
        "Tmpfs": host.tmpfs,
        "UTSMode": host.uts_mode.to_text(""),
        "UsernsMode": host.userns_mode.to_string(),
        "ShmSize": host.shm_size.unwrap_or(SHM_SIZE),
        "Sysctls": host.sysctls,
        "Runtime": "wharf",
        "Isolation": "",
        "CpuShares": limits.cpu_shares.unwrap_or(0),
        "Memory": limits.memory.unwrap_or(0),
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
        "MemorySwap": limits.memory_swap.unwrap_or(0),
        "MemorySwappiness": limits.memory_swappiness,
        "OomKillDisable": limits.oom_kill_disable,
        "PidsLimit": limits.pids_limit,
        "Ulimits": limits.ulimits.iter().map(ulimit).collect::<Vec<_>>(),
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
        "Mounts": host.mounts.iter().map(wanted_mount).collect::<Vec<_>>(),
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
    let colon = if bind.options.is_empty() { "" } else { ":" };
    format!("{}:{}{colon}{}", bind.source, bind.target, bind.options)
}

/// Docker's names have a prefix that the command line leaves out.
fn capabilities(names: &[String]) -> Vec<String> {
    let prefixed = |name: &String| match name.as_str() {
        "ALL" => "ALL".to_owned(),
        name => format!("CAP_{}", name.strip_prefix("CAP_").unwrap_or(name)),
    };
    names.iter().map(prefixed).collect()
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

/// What `--mount` asked for, as docker's client sends it.
fn wanted_mount(mount: &Mount) -> Value {
    let mut value = Map::new();
    value.insert("Type".into(), kind(mount.kind).into());
    if !mount.source.is_empty() {
        value.insert("Source".into(), mount.source.as_str().into());
    }
    value.insert("Target".into(), mount.target.as_str().into());
    if mount.read_only {
        value.insert("ReadOnly".into(), true.into());
    }
    let mut options = Map::new();
    if let Some(propagation) = mount.propagation {
        options.insert("Propagation".into(), propagation.as_str().into());
    }
    for (set, key) in [
        (mount.non_recursive, "NonRecursive"),
        (mount.read_only_below == ReadOnlyBelow::Never, "ReadOnlyNonRecursive"),
        (mount.read_only_below == ReadOnlyBelow::Always, "ReadOnlyForceRecursive"),
    ] {
        if set {
            options.insert(key.into(), true.into());
        }
    }
    if let Some(size) = mount.tmpfs_size {
        options.insert("SizeBytes".into(), size.into());
    }
    if let Some(mode) = mount.tmpfs_mode {
        options.insert("Mode".into(), mode.into());
    }
    let volume = &mount.volume;
    if volume.no_copy {
        options.insert("NoCopy".into(), true.into());
    }
    if !volume.labels.is_empty() {
        options.insert("Labels".into(), json!(volume.labels));
    }
    if !volume.subpath.is_empty() {
        options.insert("Subpath".into(), volume.subpath.as_str().into());
    }
    if !volume.driver.is_empty() || !volume.options.is_empty() {
        let mut driver = Map::new();
        for (key, value) in [
            ("Name", (!volume.driver.is_empty()).then(|| json!(volume.driver))),
            ("Options", (!volume.options.is_empty()).then(|| json!(volume.options))),
        ] {
            driver.extend(value.map(|value| (key.to_owned(), value)));
        }
        options.insert("DriverConfig".into(), driver.into());
    }
    if !options.is_empty() {
        let key = match mount.kind {
            MountKind::Tmpfs => "TmpfsOptions",
            MountKind::Volume => "VolumeOptions",
            MountKind::Bind => "BindOptions",
        };
        value.insert(key.into(), options.into());
    }
    value.into()
}

/// The paths that are hidden and those that are read-only: none where protection is off, and `null`
/// of a privileged container, as docker has it.
fn protected(host: &HostConfig, paths: &[&str]) -> Value {
    match (host.privileged, host.unconfined_paths) {
        (true, _) => Value::Null,
        (false, true) => json!([]),
        (false, false) => json!(paths),
    }
}

/// Returns docker's word for a kind of mount.
pub(super) fn kind(kind: MountKind) -> &'static str {
    match kind {
        MountKind::Bind => "bind",
        MountKind::Volume => "volume",
        MountKind::Tmpfs => "tmpfs",
    }
}
