//! Docker's inspect document of a container.
//!
//! Keys, their order, and what is `null`, empty or absent follow the Docker Engine API. What docker
//! has and this engine can't know (identifiers of its own sandboxes, say) is the empty value that
//! the API gives where there is none.

use std::time::Duration;

use chrono::{DateTime, Datelike, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use wharf_model::{
    Bind, ContainerConfig, ContainerDetail, ContainerState, DeviceMapping, DeviceRate,
    EndpointInfo, HealthCheck, HostConfig, MASKED_PATHS, Mount, MountInfo, MountKind, NetworkMode,
    READ_ONLY_PATHS, ReadOnlyBelow, Status, Ulimit,
};

/// The size docker gives /dev/shm.
const SHM_SIZE: u64 = 64 << 20;

/// Returns docker's inspect document of a container: one element of what `docker inspect` prints.
pub fn document(detail: &ContainerDetail) -> Value {
    let mut words = detail.config.entrypoint.iter().chain(&detail.config.cmd);
    let path = words.next().cloned().unwrap_or_default();
    let args: Vec<&String> = words.collect();
    json!({
        "Id": detail.id.as_str(),
        "Created": time(Some(detail.created)),
        "Path": path,
        "Args": args,
        "State": state(&detail.state),
        "Image": detail.image_id.as_str(),
        "ResolvConfPath": detail.resolv_conf_path,
        "HostnamePath": detail.hostname_path,
        "HostsPath": detail.hosts_path,
        "LogPath": detail.log_path,
        "Name": format!("/{}", detail.name),
        "RestartCount": detail.state.restart_count,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": null,
        "HostConfig": host_config(&detail.host_config),
        "GraphDriver": graph_driver(detail),
        "Mounts": mounts(detail),
        "Config": config(&detail.config),
        "NetworkSettings": network_settings(detail),
    })
}

/// Docker's "never" is Go's zero time.
pub(crate) fn time(at: Option<DateTime<Utc>>) -> String {
    let Some(at) = at.filter(|at| (1..=9999).contains(&at.year())) else {
        return "0001-01-01T00:00:00Z".to_owned();
    };
    let text = at.to_rfc3339_opts(SecondsFormat::Nanos, true);
    match text.strip_suffix('Z') {
        Some(digits) => {
            format!("{}Z", digits.trim_end_matches('0').trim_end_matches('.'))
        }
        None => text,
    }
}

/// `null` for an empty list, as docker has it where a client sent none.
pub(crate) fn list(items: &[String]) -> Value {
    if items.is_empty() { Value::Null } else { json!(items) }
}

fn state(state: &ContainerState) -> Value {
    let status = state.status;
    let alive = status.is_alive() || status == Status::Restarting;
    let mut value = json!({
        "Status": status.as_str(),
        "Running": alive,
        "Paused": status == Status::Paused,
        "Restarting": status == Status::Restarting,
        "OOMKilled": state.oom_killed,
        "Dead": status == Status::Dead,
        "Pid": state.pid.unwrap_or(0),
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": time(state.started_at),
        "FinishedAt": time(state.finished_at),
    });
    if let Some(health) = &state.health {
        let log: Vec<Value> = health
            .log
            .iter()
            .map(|probe| {
                json!({
                    "Start": time(Some(probe.start)),
                    "End": time(Some(probe.end)),
                    "ExitCode": probe.exit_code,
                    "Output": probe.output,
                })
            })
            .collect();
        value["Health"] = json!({
            "Status": health.status.as_str(),
            "FailingStreak": health.failing_streak,
            "Log": log,
        });
    }
    value
}

fn bind(bind: &Bind) -> String {
    let colon = if bind.options.is_empty() { "" } else { ":" };
    format!("{}:{}{colon}{}", bind.source, bind.target, bind.options)
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
    if !options.is_empty() {
        let key = if mount.kind == MountKind::Tmpfs { "TmpfsOptions" } else { "BindOptions" };
        value.insert(key.into(), options.into());
    }
    value.into()
}

fn kind(kind: MountKind) -> &'static str {
    match kind {
        MountKind::Bind => "bind",
        MountKind::Volume => "volume",
        MountKind::Tmpfs => "tmpfs",
    }
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

fn host_config(host: &HostConfig) -> Value {
    let binds: Vec<String> = host.binds.iter().map(bind).collect();
    let security = host.security_options();
    let limits = &host.resources;
    let rates = |list: &[DeviceRate]| match list {
        [] => Value::Null,
        list => list.iter().map(|one| json!({"Path": one.path, "Rate": one.rate})).collect(),
    };
    let weight = |one: &DeviceRate| json!({"Path": one.path, "Weight": one.rate});
    let weights: Vec<Value> = limits.blkio_weight_device.iter().map(weight).collect();
    let devices: Vec<Value> = limits.devices.iter().map(device).collect();
    let ulimits: Vec<Value> = limits.ulimits.iter().map(ulimit).collect();
    let mut value = json!({
        "Binds": list(&binds),
        "ContainerIDFile": host.cidfile,
        "LogConfig": {
            "Type": host.log_config.driver.as_str(),
            "Config": host.log_config.options,
        },
        "NetworkMode": match host.network_mode {
            // The word that docker's command line sends when no network is asked for.
            NetworkMode::Bridge => "default",
            _ => host.network_mode.as_str(),
        },
        "PortBindings": {},
        "RestartPolicy": {
            "Name": host.restart_policy.kind.as_str(),
            "MaximumRetryCount": host.restart_policy.maximum_retries,
        },
        "AutoRemove": host.auto_remove,
        "VolumeDriver": "",
        "VolumesFrom": list(&host.volumes_from),
        "CapAdd": list(&host.cap_add),
        "CapDrop": list(&host.cap_drop),
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
        "PublishAllPorts": false,
        "ReadonlyRootfs": host.readonly_rootfs,
        "SecurityOpt": list(&security),
        "Mounts": host.mounts.iter().map(wanted_mount).collect::<Vec<_>>(),
        "Annotations": host.annotations,
        "Tmpfs": host.tmpfs,
        "UTSMode": host.uts_mode.to_text(""),
        "UsernsMode": "",
        "ShmSize": host.shm_size.unwrap_or(SHM_SIZE),
        "Sysctls": host.sysctls,
        "Runtime": "wharf",
        "Isolation": "",
        "CpuShares": limits.cpu_shares.unwrap_or(0),
        "Memory": limits.memory.unwrap_or(0),
        "NanoCpus": limits.nano_cpus.unwrap_or(0),
        "CgroupParent": host.cgroup_parent,
        "BlkioWeight": limits.blkio_weight.unwrap_or(0),
        "BlkioWeightDevice": weights,
        "BlkioDeviceReadBps": rates(&limits.device_read_bps),
        "BlkioDeviceWriteBps": rates(&limits.device_write_bps),
        "BlkioDeviceReadIOps": rates(&limits.device_read_iops),
        "BlkioDeviceWriteIOps": rates(&limits.device_write_iops),
        "CpuPeriod": limits.cpu_period.unwrap_or(0),
        "CpuQuota": limits.cpu_quota.unwrap_or(0),
        "CpuRealtimePeriod": limits.cpu_rt_period.unwrap_or(0),
        "CpuRealtimeRuntime": limits.cpu_rt_runtime.unwrap_or(0),
        "CpusetCpus": limits.cpuset_cpus,
        "CpusetMems": limits.cpuset_mems,
        "Devices": devices,
        "DeviceCgroupRules": list(&limits.device_cgroup_rules),
        "DeviceRequests": null,
        "MemoryReservation": limits.memory_reservation.unwrap_or(0),
        "MemorySwap": limits.memory_swap.unwrap_or(0),
        "MemorySwappiness": limits.memory_swappiness,
        "OomKillDisable": limits.oom_kill_disable,
        "PidsLimit": limits.pids_limit,
        "Ulimits": if ulimits.is_empty() { Value::Null } else { ulimits.into() },
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
        "MaskedPaths": protected(host, &MASKED_PATHS),
        "ReadonlyPaths": protected(host, &READ_ONLY_PATHS),
    });
    if let Some(map) = value.as_object_mut() {
        for (key, empty) in [
            ("Tmpfs", host.tmpfs.is_empty()),
            ("Sysctls", host.sysctls.is_empty()),
            ("Mounts", host.mounts.is_empty()),
            ("Annotations", host.annotations.is_empty()),
        ] {
            if empty {
                map.shift_remove(key);
            }
        }
        if host.init {
            map.insert("Init".to_owned(), true.into());
        }
        if !host.storage_opt.is_empty() {
            map.insert("StorageOpt".to_owned(), json!(host.storage_opt));
        }
    }
    value
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

fn graph_driver(detail: &ContainerDetail) -> Value {
    let mut data = Map::new();
    data.insert("LowerDir".into(), detail.lower_dirs.join(":").into());
    // The overlay is mounted in the container's own mount namespace only.
    if let Some(pid) = detail.state.pid {
        data.insert("MergedDir".into(), format!("/proc/{pid}/root").into());
    }
    data.insert("UpperDir".into(), detail.upper_dir.as_str().into());
    data.insert("WorkDir".into(), detail.work_dir.as_str().into());
    json!({"Data": data, "Name": "overlay2"})
}

/// As with docker, what `--tmpfs` asks for is in `HostConfig` only.
fn mounts(detail: &ContainerDetail) -> Vec<Value> {
    let shown = |m: &&MountInfo| {
        m.kind != MountKind::Tmpfs || !detail.host_config.tmpfs.contains_key(&m.destination)
    };
    detail.mounts.iter().filter(shown).map(mount).collect()
}

fn mount(mount: &MountInfo) -> Value {
    let mut value = Map::new();
    value.insert("Type".into(), kind(mount.kind).into());
    if let Some(name) = &mount.name {
        value.insert("Name".into(), name.as_str().into());
    }
    value.insert("Source".into(), mount.source.as_str().into());
    value.insert("Destination".into(), mount.destination.as_str().into());
    if mount.kind == MountKind::Volume {
        value.insert("Driver".into(), "local".into());
    }
    value.insert("Mode".into(), mount.mode.as_str().into());
    value.insert("RW".into(), mount.writable.into());
    let propagation = match mount.kind {
        MountKind::Bind => mount.propagation.as_str(),
        MountKind::Volume | MountKind::Tmpfs => "",
    };
    value.insert("Propagation".into(), propagation.into());
    value.into()
}

fn config(config: &ContainerConfig) -> Value {
    let mut value = json!({
        "Hostname": config.hostname,
        "Domainname": config.domainname,
        "User": config.user,
        "AttachStdin": false,
        "AttachStdout": false,
        "AttachStderr": false,
        "Tty": config.tty,
        "OpenStdin": config.open_stdin,
        "StdinOnce": false,
        "Env": config.env,
        "Cmd": list(&config.cmd),
        "Image": config.image,
        "Volumes": null,
        "WorkingDir": config.working_dir,
        "Entrypoint": list(&config.entrypoint),
        "OnBuild": null,
        "Labels": config.labels,
    });
    if let Some(map) = value.as_object_mut() {
        if let Some(check) = &config.healthcheck {
            map.insert("Healthcheck".to_owned(), health_check(check));
        }
        if !config.shell.is_empty() {
            map.insert("Shell".to_owned(), json!(config.shell));
        }
        if !config.stop_signal.is_empty() {
            map.insert("StopSignal".to_owned(), config.stop_signal.as_str().into());
        }
        if let Some(seconds) = config.stop_timeout {
            map.insert("StopTimeout".to_owned(), seconds.into());
        }
    }
    value
}

/// What isn't set is left out, as docker does.
pub(crate) fn health_check(check: &HealthCheck) -> Value {
    let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let mut value = Map::new();
    if !check.test.is_empty() {
        value.insert("Test".to_owned(), json!(check.test));
    }
    for (key, time) in [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ] {
        if let Some(time) = time {
            value.insert(key.to_owned(), nanoseconds(time).into());
        }
    }
    if let Some(retries) = check.retries.filter(|retries| *retries > 0) {
        value.insert("Retries".to_owned(), retries.into());
    }
    value.into()
}

fn network_settings(detail: &ContainerDetail) -> Value {
    let mut networks = Map::new();
    for place in &detail.endpoints {
        networks.insert(place.network.clone(), endpoint(place));
    }
    // Docker lists a network that gives no address, and one that waits for the container, too.
    let mode = detail.host_config.network_mode.as_str();
    if networks.is_empty() {
        networks.insert(mode.to_owned(), no_endpoint());
    }
    // The flat fields are those of the default bridge.
    let flat =
        detail.endpoints.iter().find(|e| e.network == "bridge").map_or_else(no_endpoint, endpoint);
    let sandbox = detail.state.pid.map_or_else(String::new, |pid| format!("/proc/{pid}/ns/net"));
    json!({
        "Bridge": "",
        "SandboxID": "",
        "SandboxKey": sandbox,
        "Ports": {},
        "HairpinMode": false,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": null,
        "SecondaryIPv6Addresses": null,
        "EndpointID": "",
        "Gateway": flat["Gateway"],
        "GlobalIPv6Address": flat["GlobalIPv6Address"],
        "GlobalIPv6PrefixLen": flat["GlobalIPv6PrefixLen"],
        "IPAddress": flat["IPAddress"],
        "IPPrefixLen": flat["IPPrefixLen"],
        "IPv6Gateway": flat["IPv6Gateway"],
        "MacAddress": flat["MacAddress"],
        "Networks": networks,
    })
}

fn no_endpoint() -> Value {
    json!({
        "IPAMConfig": null,
        "Links": null,
        "Aliases": null,
        "MacAddress": "",
        "DriverOpts": null,
        "NetworkID": "",
        "EndpointID": "",
        "Gateway": "",
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
    })
}

fn endpoint(place: &EndpointInfo) -> Value {
    let mut value = no_endpoint();
    let gateway = place.gateway.map(|g| g.to_string()).unwrap_or_default();
    let (address, prefix, router) = if place.ip.is_ipv4() {
        ("IPAddress", "IPPrefixLen", "Gateway")
    } else {
        ("GlobalIPv6Address", "GlobalIPv6PrefixLen", "IPv6Gateway")
    };
    value[address] = place.ip.to_string().into();
    value[prefix] = place.prefix.into();
    value[router] = gateway.into();
    value["MacAddress"] = place.mac.as_str().into();
    value
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
