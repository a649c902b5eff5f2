//! What the engine says about itself and its host.

use serde::{Deserialize, Serialize};

/// `info`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EngineInfo {
    /// `wharf`, `docker` or `podman`.
    pub engine: String,
    /// Its version.
    pub server_version: String,
    /// The host's name.
    pub name: String,
    /// Containers in all.
    pub containers: usize,
    /// Of these, running.
    pub running: usize,
    /// Of these, paused.
    pub paused: usize,
    /// Of these, neither.
    pub stopped: usize,
    /// Images.
    pub images: usize,
    /// `overlay2` for instance.
    pub storage_driver: String,
    /// `json-file` for instance.
    pub logging_driver: String,
    /// `1`, `2` or `hybrid`.
    pub cgroup_version: String,
    /// `cgroupfs` for instance.
    pub cgroup_driver: String,
    /// The kernel's release.
    pub kernel_version: String,
    /// The distribution's name.
    pub operating_system: String,
    /// `x86_64` for instance.
    pub architecture: String,
    /// CPUs.
    pub cpus: u32,
    /// Bytes of memory.
    pub memory_total: u64,
    /// Where the engine keeps its data.
    pub root_dir: String,
    /// `seccomp`, `apparmor`, … as in use.
    pub security_options: Vec<String>,
    /// What the user should know (a missing controller, say).
    pub warnings: Vec<String>,
    /// How many seconds a removal can be taken back; none where it can't.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo_seconds: Option<u32>,
    /// Why its containers have no statistics, and the way to them; none when they have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_statistics: Option<String>,
}

/// `version`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VersionInfo {
    /// The engine's version.
    pub version: String,
    /// The newest Docker Engine API version it speaks.
    pub api_version: String,
    /// The commit it was built from, if known.
    pub git_commit: String,
    /// `linux`.
    pub os: String,
    /// `amd64` for instance.
    pub arch: String,
    /// The kernel's release.
    pub kernel_version: String,
}
