//! Docker's documents of an engine.

use chrono::{SecondsFormat, Utc};
use serde_json::{Value, json};
use wharf_model::{EngineInfo, VersionInfo};

/// Returns docker's document of an engine and its host: what `GET /info` answers, as far as it means
/// something for an engine without a daemon and without swarms.
pub fn engine_document(info: &EngineInfo) -> Value {
    // Docker knows no hybrid: what limits containers there is the first version.
    let cgroup_version = if info.cgroup_version == "2" { "2" } else { "1" };
    json!({
        "ID": "",
        "Containers": info.containers,
        "ContainersRunning": info.running,
        "ContainersPaused": info.paused,
        "ContainersStopped": info.stopped,
        "Images": info.images,
        "Driver": info.storage_driver,
        "DriverStatus": null,
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "null"],
            "Authorization": null,
            "Log": ["json-file", "local", "none"],
        },
        "MemoryLimit": !warned(info, "memory limit"),
        "SwapLimit": !warned(info, "swap limit"),
        "CpuCfsPeriod": !warned(info, "cpu cfs period"),
        "CpuCfsQuota": !warned(info, "cpu cfs quota"),
        "CPUShares": !warned(info, "cpu shares"),
        "CPUSet": !warned(info, "cpuset"),
        "PidsLimit": !warned(info, "pids limit"),
        "IPv4Forwarding": true,
        "Debug": false,
        "NFd": 0,
        "OomKillDisable": cgroup_version == "1",
        "NGoroutines": 0,
        "SystemTime": Utc::now().to_rfc3339_opts(SecondsFormat::Nanos, true),
        "LoggingDriver": info.logging_driver,
        "CgroupDriver": info.cgroup_driver,
        "CgroupVersion": cgroup_version,
        "NEventsListener": 0,
        "KernelVersion": info.kernel_version,
        "OperatingSystem": info.operating_system,
        "OSVersion": "",
        "OSType": "linux",
        "Architecture": info.architecture,
        "IndexServerAddress": "",
        "RegistryConfig": null,
        "NCPU": info.cpus,
        "MemTotal": info.memory_total,
        "GenericResources": null,
        "DockerRootDir": info.root_dir,
        "HttpProxy": "",
        "HttpsProxy": "",
        "NoProxy": "",
        "Name": info.name,
        "Labels": [],
        "ExperimentalBuild": false,
        "ServerVersion": info.server_version,
        "Runtimes": {"wharf": {"path": ""}},
        "DefaultRuntime": "wharf",
        "Swarm": {
            "NodeID": "",
            "NodeAddr": "",
            "LocalNodeState": "inactive",
            "ControlAvailable": false,
            "Error": "",
            "RemoteManagers": null,
        },
        "LiveRestoreEnabled": true,
        "Isolation": "",
        "InitBinary": "wharf",
        "ContainerdCommit": {"ID": ""},
        "RuncCommit": {"ID": ""},
        "InitCommit": {"ID": ""},
        "SecurityOptions": info.security_options,
        "CDISpecDirs": null,
        "Warnings": if info.warnings.is_empty() { Value::Null } else { json!(info.warnings) },
    })
}

/// Returns whether the engine can't do this; without any control group it can limit nothing.
fn warned(info: &EngineInfo, what: &str) -> bool {
    let none = info.cgroup_version == "none";
    none || info.warnings.iter().any(|warning| warning.contains(&format!("No {what}")))
}

/// Returns docker's document of an engine's version: what `GET /version` answers.
pub fn version_document(version: &VersionInfo) -> Value {
    json!({
        "Platform": {"Name": ""},
        "Components": [{
            "Name": "Engine",
            "Version": version.version,
            "Details": {
                "ApiVersion": version.api_version,
                "Arch": version.arch,
                "GitCommit": version.git_commit,
                "KernelVersion": version.kernel_version,
                "MinAPIVersion": version.api_version,
                "Os": version.os,
            },
        }],
        "Version": version.version,
        "ApiVersion": version.api_version,
        "MinAPIVersion": version.api_version,
        "GitCommit": version.git_commit,
        "GoVersion": "",
        "Os": version.os,
        "Arch": version.arch,
        "KernelVersion": version.kernel_version,
        "BuildTime": "",
    })
}
