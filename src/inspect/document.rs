//! Docker's inspect document of a container.
//!
//! Keys, their order, and what is `null`, empty or absent follow the Docker Engine API. What docker
//! has and this engine can't know (identifiers of its own sandboxes, say) is the empty value that
//! the API gives where there is none.

use std::net::IpAddr;

use chrono::{DateTime, Datelike, SecondsFormat, Utc};
use ipnet::IpNet;
use serde_json::{Map, Value, json};
use wharf_model::{
    ContainerConfig, ContainerDetail, ContainerState, EndpointDetail, HealthCheck, MountInfo,
    MountKind, Status,
};

mod host;

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
        "HostConfig": host::config(&detail.host_config),
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
    value.insert("Type".into(), host::kind(mount.kind).into());
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

/// The paths that want a volume, as docker writes a set.
fn volumes(config: &ContainerConfig) -> Value {
    if config.volumes.is_empty() {
        return Value::Null;
    }
    config.volumes.iter().map(|path| (path.clone(), json!({}))).collect::<Map<_, _>>().into()
}

fn config(config: &ContainerConfig) -> Value {
    let mut value = json!({
        "Hostname": config.hostname,
        "Domainname": config.domainname,
        "User": config.user,
        "AttachStdin": config.attach.stdin,
        "AttachStdout": config.attach.stdout,
        "AttachStderr": config.attach.stderr,
        "Tty": config.tty,
        "OpenStdin": config.open_stdin,
        "StdinOnce": config.open_stdin && config.attach.stdin,
        "Env": list(&config.env),
        "Cmd": list(&config.cmd),
        "Image": config.image,
        "Volumes": volumes(config),
        "WorkingDir": config.working_dir,
        "Entrypoint": list(&config.entrypoint),
        "OnBuild": null,
        "Labels": config.labels,
    });
    if let Some(map) = value.as_object_mut() {
        if !config.exposed_ports.is_empty() {
            let at = map.keys().position(|key| key == "Tty").unwrap_or(map.len());
            let ports = config.exposed_ports.iter().map(|port| (port.clone(), json!({})));
            let ports: Map<String, Value> = ports.collect();
            map.shift_insert(at, "ExposedPorts".to_owned(), ports.into());
        }
        if let Some(check) = &config.healthcheck {
            let at = map.keys().position(|key| key == "Image").unwrap_or(map.len());
            map.shift_insert(at, "Healthcheck".to_owned(), health_check(check));
        }
        if !config.shell.is_empty() {
            map.insert("Shell".to_owned(), json!(config.shell));
        }
        // Docker shows what was asked for; that nobody asked is the usual signal here.
        if !matches!(config.stop_signal.as_str(), "" | "SIGTERM") {
            map.insert("StopSignal".to_owned(), config.stop_signal.as_str().into());
        }
        if let Some(seconds) = config.stop_timeout {
            map.insert("StopTimeout".to_owned(), seconds.into());
        }
    }
    value
}

/// What isn't set is left out, as docker has it.
pub(crate) fn health_check(check: &HealthCheck) -> Value {
    let mut value = Map::new();
    if !check.test.is_empty() {
        value.insert("Test".to_owned(), json!(check.test));
    }
    for (name, time) in [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ] {
        let nanoseconds = time.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        if let Some(nanoseconds) = nanoseconds.filter(|n| *n > 0) {
            value.insert(name.to_owned(), nanoseconds.into());
        }
    }
    if let Some(retries) = check.retries.filter(|n| *n > 0) {
        value.insert("Retries".to_owned(), retries.into());
    }
    value.into()
}

fn network_settings(detail: &ContainerDetail) -> Value {
    let mut places: Vec<EndpointDetail> = detail.networks.clone();
    if places.is_empty() {
        places.extend(detail.endpoints.iter().map(EndpointDetail::from));
    }
    places.sort_by(|one, other| one.options.network.cmp(&other.options.network));
    let mut networks = Map::new();
    for place in &places {
        networks.insert(place.options.network.clone(), endpoint(place));
    }
    // The flat fields are those of the default bridge.
    let default = places.iter().find(|place| place.options.network == "bridge");
    let flat = endpoint(default.unwrap_or(&EndpointDetail::default()));
    let sandbox = detail.state.pid.map_or_else(String::new, |pid| format!("/proc/{pid}/ns/net"));
    json!({
        "Bridge": "",
        "SandboxID": "",
        "SandboxKey": sandbox,
        "Ports": host::bindings(&detail.ports),
        "HairpinMode": false,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": null,
        "SecondaryIPv6Addresses": null,
        "EndpointID": flat["EndpointID"],
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

fn endpoint(place: &EndpointDetail) -> Value {
    let options = &place.options;
    let text = |address: Option<IpAddr>| address.map(|a| a.to_string()).unwrap_or_default();
    let address = |net: Option<IpNet>| text(net.map(|net| net.addr()));
    let length = |net: Option<IpNet>| net.map_or(0, |net| net.prefix_len());
    let mut wanted = Map::new();
    let addresses = [
        ("IPv4Address", options.ipv4.map(|address| address.to_string())),
        ("IPv6Address", options.ipv6.map(|address| address.to_string())),
    ];
    for (name, address) in addresses {
        wanted.extend(address.map(|address| (name.to_owned(), address.into())));
    }
    if !options.link_local.is_empty() {
        wanted.insert("LinkLocalIPs".to_owned(), json!(options.link_local));
    }
    json!({
        "IPAMConfig": if wanted.is_empty() { Value::Null } else { wanted.into() },
        "Links": list(&options.links),
        "Aliases": list(&options.aliases),
        "MacAddress": place.mac,
        "DriverOpts": match options.driver_options.is_empty() {
            true => Value::Null,
            false => json!(options.driver_options),
        },
        "GwPriority": options.gateway_priority,
        "NetworkID": place.network_id,
        "EndpointID": place.endpoint_id,
        "Gateway": text(place.gateway),
        "IPAddress": address(place.ipv4),
        "IPPrefixLen": length(place.ipv4),
        "IPv6Gateway": text(place.ipv6_gateway),
        "GlobalIPv6Address": address(place.ipv6),
        "GlobalIPv6PrefixLen": length(place.ipv6),
        "DNSNames": list(&place.dns_names),
    })
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
