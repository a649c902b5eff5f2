//! Tests against the shape of `docker inspect`.

use wharf_model::{
    Bind, ContainerId, DeviceMapping, DeviceRate, Digest, EndpointInfo, EndpointOptions, Health,
    HealthStatus, HostConfig, LogConfig, Mount, NamespaceMode, ProbeResult, RestartKind,
    RestartPolicy, Ulimit,
};

use super::*;

/// Returns the place on a network of a container that isn't there yet.
fn on(network: &str) -> EndpointDetail {
    let options = EndpointOptions { network: network.to_owned(), ..EndpointOptions::default() };
    EndpointDetail { options, ..EndpointDetail::default() }
}

fn detail() -> ContainerDetail {
    ContainerDetail {
        id: ContainerId::from_bytes([0xab; 32]),
        name: "web".into(),
        created: "2026-01-02T03:04:05.123456700Z".parse().unwrap(),
        image_id: Digest::from_bytes(&[1; 32]),
        config: ContainerConfig {
            hostname: "abababababab".into(),
            entrypoint: vec!["/entry".into()],
            cmd: vec!["serve".into(), "-v".into()],
            image: "wharf/demo".into(),
            stop_signal: "SIGTERM".into(),
            ..ContainerConfig::default()
        },
        host_config: HostConfig::default(),
        state: ContainerState::default(),
        networks: vec![on("bridge")],
        endpoints: Vec::new(),
        ports: Vec::new(),
        mounts: Vec::new(),
        log_path: "/l".into(),
        lower_dirs: vec!["/a".into(), "/b".into()],
        upper_dir: "/u".into(),
        work_dir: "/w".into(),
        resolv_conf_path: String::new(),
        hostname_path: String::new(),
        image_manifest: None,
        hosts_path: String::new(),
    }
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_container_that_never_ran() {
    let document = document(&detail());
    assert_eq!(
        keys(&document),
        [
            "Id",
            "Created",
            "Path",
            "Args",
            "State",
            "Image",
            "ResolvConfPath",
            "HostnamePath",
            "HostsPath",
            "LogPath",
            "Name",
            "RestartCount",
            "Driver",
            "Platform",
            "MountLabel",
            "ProcessLabel",
            "AppArmorProfile",
            "ExecIDs",
            "HostConfig",
            "GraphDriver",
            "Mounts",
            "Config",
            "NetworkSettings",
        ]
    );
    assert_eq!(document["Name"], "/web");
    assert_eq!(document["Created"], "2026-01-02T03:04:05.1234567Z");
    assert_eq!(document["Path"], "/entry");
    assert_eq!(document["Args"], json!(["serve", "-v"]));
    assert_eq!(
        document["State"],
        json!({"Status": "created", "Running": false, "Paused": false, "Restarting": false,
            "OOMKilled": false, "Dead": false, "Pid": 0, "ExitCode": 0, "Error": "",
            "StartedAt": "0001-01-01T00:00:00Z", "FinishedAt": "0001-01-01T00:00:00Z"})
    );
    assert_eq!(document["HostConfig"]["Binds"], Value::Null);
    assert_eq!(document["HostConfig"]["PidsLimit"], Value::Null);
    assert_eq!(document["HostConfig"]["Memory"], 0);
    assert!(document["HostConfig"].get("Tmpfs").is_none());
    assert!(document["HostConfig"].get("Init").is_none());
    assert!(document["Config"].get("StopTimeout").is_none());
    assert_eq!(
        document["GraphDriver"],
        json!({"Data": {"LowerDir": "/a:/b", "UpperDir": "/u", "WorkDir": "/w"},
            "Name": "overlay2"})
    );
    assert_eq!(keys(&document["NetworkSettings"]["Networks"]), ["bridge"]);
}

#[test]
fn a_running_container_with_everything() {
    let mut detail = detail();
    detail.state.status = Status::Running;
    detail.state.pid = Some(42);
    detail.state.started_at = Some(detail.created);
    detail.state.health = Some(Health {
        status: HealthStatus::Unhealthy,
        failing_streak: 3,
        log: vec![ProbeResult {
            start: detail.created,
            end: detail.created,
            exit_code: 1,
            output: "no".into(),
        }],
    });
    let host = &mut detail.host_config;
    host.resources.memory = Some(64 << 20);
    host.resources.memory_swap = Some(128 << 20);
    let rate = |rate| vec![wharf_model::DeviceRate { path: "/dev/vda".into(), rate }];
    host.resources.device_read_bps = rate(1024);
    host.resources.blkio_weight_device = rate(100);
    host.resources.ulimits = vec![Ulimit { name: "core".into(), soft: 0, hard: -1 }];
    host.resources.devices = vec![DeviceMapping {
        path_on_host: "/dev/a".into(),
        path_in_container: "/dev/b".into(),
        permissions: "r".into(),
    }];
    host.resources.nano_cpus = Some(1_500_000_000);
    host.resources.pids_limit = Some(100);
    host.binds = vec![Bind {
        source: "/s".into(),
        target: "/t".into(),
        read_only: true,
        options: "ro".into(),
        ..Bind::default()
    }];
    host.tmpfs.insert("/run".into(), "size=1m".into());
    host.no_new_privileges = true;
    host.init = true;
    detail.mounts = vec![
        MountInfo {
            kind: MountKind::Bind,
            name: None,
            source: "/s".into(),
            destination: "/t".into(),
            writable: false,
            mode: "ro".into(),
            ..MountInfo::default()
        },
        MountInfo {
            kind: MountKind::Tmpfs,
            name: None,
            source: String::new(),
            destination: "/run".into(),
            writable: true,
            ..MountInfo::default()
        },
    ];
    detail.networks = vec![EndpointDetail::from(&EndpointInfo {
        network: "bridge".into(),
        ip: "172.17.0.2".parse().unwrap(),
        prefix: 16,
        gateway: Some("172.17.0.1".parse().unwrap()),
        mac: "02:42:ac:11:00:02".into(),
        network_id: String::new(),
        endpoint_id: String::new(),
    })];
    let document = document(&detail);
    assert_eq!(keys(&document["State"]).last(), Some(&"Health"));
    assert_eq!(document["State"]["Health"]["Log"][0]["Output"], "no");
    let host = &document["HostConfig"];
    assert_eq!(host["Binds"], json!(["/s:/t:ro"]));
    assert_eq!(host["MemorySwap"], 128 << 20);
    assert_eq!(host["BlkioDeviceReadBps"], json!([{"Path": "/dev/vda", "Rate": 1024}]));
    assert_eq!(host["BlkioWeightDevice"], json!([{"Path": "/dev/vda", "Weight": 100}]));
    assert_eq!(host["Ulimits"], json!([{"Name": "core", "Hard": -1, "Soft": 0}]));
    assert_eq!(
        host["Devices"],
        json!([{"PathOnHost": "/dev/a", "PathInContainer": "/dev/b", "CgroupPermissions": "r"}])
    );
    assert_eq!(host["Tmpfs"], json!({"/run": "size=1m"}));
    assert_eq!(host["SecurityOpt"], json!(["no-new-privileges"]));
    assert_eq!(host["Init"], true);
    assert_eq!(
        document["Mounts"],
        json!([{"Type": "bind", "Source": "/s", "Destination": "/t", "Mode": "ro", "RW": false,
            "Propagation": "rprivate"}])
    );
    let network = &document["NetworkSettings"];
    assert_eq!(network["IPAddress"], "172.17.0.2");
    assert_eq!(network["Networks"]["bridge"]["IPPrefixLen"], 16);
    assert_eq!(network["Networks"]["bridge"]["Gateway"], "172.17.0.1");
    assert_eq!(network["SandboxKey"], "/proc/42/ns/net");
}

/// Returns the keys of an object and of all in it, with the kind of each value.
fn shape(path: &str, value: &Value, out: &mut Vec<String>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(items) if items.is_empty() => "empty list",
        Value::Array(_) => "list",
        Value::Object(members) if members.is_empty() => "empty object",
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| shape(&format!("{path}/{key}"), value, out));
            return;
        }
    };
    out.push(format!("{path}: {kind}"));
}

#[test]
fn a_whole_document_has_dockers_shape() {
    let all: Value = serde_json::from_str(include_str!("testdata/templates.json")).unwrap();
    // The container that docker was asked about.
    let mut detail = detail();
    detail.state.status = Status::Running;
    detail.state.pid = Some(42);
    detail.config.labels.insert("a".into(), "1".into());
    detail.config.labels.insert("com.x".into(), "y".into());
    detail.config.entrypoint.clear();
    let host = &mut detail.host_config;
    host.network_mode = wharf_model::NetworkMode::None;
    detail.networks = vec![on("none")];
    host.binds = vec![Bind {
        source: "/srv".into(),
        target: "/data".into(),
        read_only: true,
        options: "ro".into(),
        ..Bind::default()
    }];
    host.tmpfs.insert("/run".into(), String::new());
    detail.mounts = vec![MountInfo {
        kind: MountKind::Bind,
        name: None,
        source: "/srv".into(),
        destination: "/data".into(),
        writable: false,
        mode: "ro".into(),
        propagation: wharf_model::Propagation::default(),
    }];
    let (mut dockers, mut ours) = (Vec::new(), Vec::new());
    shape("", &all["document"], &mut dockers);
    shape("", &document(&detail), &mut ours);
    let known = |line: &String| {
        ![
            // The engine that was asked is older: it has these still, and those not yet.
            "/HostConfig/KernelMemory",
            "/NetworkSettings/Networks/none/GwPriority",
            "/NetworkSettings/Networks/none/DNSNames",
            // With the first version of cgroups docker says "false", with the second nothing.
            "/HostConfig/OomKillDisable",
            // Its storage wasn't overlayfs.
            "/GraphDriver/Data",
        ]
        .iter()
        .any(|path| line.starts_with(path))
    };
    for lines in [&mut dockers, &mut ours] {
        lines.retain(known);
        lines.sort_unstable();
    }
    assert_eq!(ours, dockers);
}

#[test]
fn every_setting_is_shown_as_docker_shows_it() {
    let mut detail = detail();
    let host = &mut detail.host_config;
    host.resources.memory = Some(100 << 20);
    host.resources.memory_swap = Some(-1);
    host.resources.memory_swappiness = Some(10);
    host.resources.oom_kill_disable = Some(true);
    host.resources.device_read_bps = vec![DeviceRate { path: "/dev/vda".into(), rate: 1 << 20 }];
    host.resources.ulimits = vec![Ulimit { name: "nofile".into(), soft: 100, hard: 200 }];
    host.resources.devices = vec![DeviceMapping {
        path_on_host: "/dev/null".into(),
        path_in_container: "/dev/xnull".into(),
        permissions: "rw".into(),
    }];
    host.cap_add = vec!["SYS_TIME".into(), "ALL".into()];
    host.ipc_mode = NamespaceMode::Shareable;
    host.pid_mode = NamespaceMode::Container("web".into());
    host.restart_policy = RestartPolicy { kind: RestartKind::OnFailure, maximum_retries: 3 };
    host.log_config =
        LogConfig { options: [("max-size".into(), "1m".into())].into(), ..LogConfig::default() };
    host.sysctls.insert("net.ipv4.ip_forward".into(), "1".into());
    host.mounts = vec![
        Mount {
            kind: MountKind::Tmpfs,
            target: "/tt".into(),
            tmpfs_size: Some(1 << 20),
            tmpfs_mode: Some(0o1770),
            ..Mount::default()
        },
        Mount { source: "/srv".into(), target: "/ss".into(), read_only: true, ..Mount::default() },
    ];
    host.unconfined_paths = true;
    detail.config.domainname = "dd".into();
    detail.config.healthcheck = Some(HealthCheck {
        test: vec!["CMD-SHELL".into(), "true".into()],
        interval: Some(std::time::Duration::from_secs(5)),
        retries: Some(2),
        ..HealthCheck::default()
    });
    let document = document(&detail);
    let host = &document["HostConfig"];
    // As docker 20.10 shows them.
    for (key, wanted) in [
        ("MemorySwap", json!(-1)),
        ("MemorySwappiness", json!(10)),
        ("OomKillDisable", json!(true)),
        ("BlkioDeviceReadBps", json!([{"Path": "/dev/vda", "Rate": 1_048_576}])),
        ("Ulimits", json!([{"Name": "nofile", "Hard": 200, "Soft": 100}])),
        (
            "Devices",
            json!([{"PathOnHost": "/dev/null", "PathInContainer": "/dev/xnull",
                "CgroupPermissions": "rw"}]),
        ),
        ("CapAdd", json!(["CAP_SYS_TIME", "ALL"])),
        ("IpcMode", json!("shareable")),
        ("PidMode", json!("container:web")),
        ("RestartPolicy", json!({"Name": "on-failure", "MaximumRetryCount": 3})),
        ("LogConfig", json!({"Type": "json-file", "Config": {"max-size": "1m"}})),
        ("Sysctls", json!({"net.ipv4.ip_forward": "1"})),
        ("SecurityOpt", json!(null)),
        ("MaskedPaths", json!([])),
        ("ReadonlyPaths", json!([])),
        (
            "Mounts",
            json!([
                {"Type": "tmpfs", "Target": "/tt",
                    "TmpfsOptions": {"SizeBytes": 1_048_576, "Mode": 1016}},
                {"Type": "bind", "Source": "/srv", "Target": "/ss", "ReadOnly": true},
            ]),
        ),
    ] {
        assert_eq!(host[key], wanted, "{key}");
    }
    assert_eq!(document["Config"]["Domainname"], "dd");
    assert_eq!(
        document["Config"]["Healthcheck"],
        json!({"Test": ["CMD-SHELL", "true"], "Interval": 5_000_000_000_u64, "Retries": 2})
    );
}
