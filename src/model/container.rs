//! Containers: what the user asked for, what the engine made of it, and how it is doing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::host::{HealthCheck, HostConfig, MountKind, NetworkMode, Propagation};
use crate::{ContainerId, Digest, EndpointDetail, EndpointOptions, ManifestDescriptor};

/// The life-cycle state of a container, in docker's words.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Made, never started.
    #[default]
    Created,
    /// Its first process runs.
    Running,
    /// All its processes are frozen.
    Paused,
    /// It ended and its restart policy will start it again.
    Restarting,
    /// It is being removed.
    Removing,
    /// Its first process ended.
    Exited,
    /// It could not be removed, or its state can't be known.
    Dead,
}

impl Status {
    /// Returns docker's lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }

    /// Returns whether the container has live processes.
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }

    /// Returns whether somebody stands behind the container: it has live processes, or its restart
    /// policy is about to start it again.
    pub fn is_supervised(self) -> bool {
        self.is_alive() || self == Self::Restarting
    }
}

/// What health probes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// Within the start period, or no probe has ended yet.
    Starting,
    /// The last probe passed.
    Healthy,
    /// As many probes in a row as the retries allow have failed.
    Unhealthy,
}

impl HealthStatus {
    /// Returns docker's lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// The outcome of one health probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProbeResult {
    /// When the probe began.
    pub start: DateTime<Utc>,
    /// When it ended.
    pub end: DateTime<Utc>,
    /// Its exit code.
    pub exit_code: i32,
    /// What it wrote, at most 4096 bytes.
    pub output: String,
}

/// The health of a container that has a health check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Health {
    /// The verdict.
    pub status: HealthStatus,
    /// How many probes in a row have failed.
    pub failing_streak: u32,
    /// The last five results, oldest first.
    pub log: Vec<ProbeResult>,
}

/// How a container is doing: docker's `State`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerState {
    /// The life-cycle state.
    pub status: Status,
    /// The first process, as the host counts it, while it runs.
    pub pid: Option<i32>,
    /// The exit code of the first process; 128+n when signal n ended it.
    pub exit_code: i32,
    /// Whether the kernel killed a process of the container for want of memory during this run.
    #[serde(rename = "OOMKilled")]
    pub oom_killed: bool,
    /// Why the last start failed, or empty.
    pub error: String,
    /// When it was last started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it last ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// How often the restart policy has started it.
    pub restart_count: u32,
    /// What its probes say, when it has a health check.
    pub health: Option<Health>,
}

/// What `create` and `run` are asked for, before the image's defaults are merged in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateOptions {
    /// The wanted name; none makes one up.
    pub name: Option<String>,
    /// The image: name, tag, digest or id prefix.
    pub image: String,
    /// The command and its arguments; empty means the image's.
    pub command: Vec<String>,
    /// Replaces the image's entrypoint; an empty list clears it.
    pub entrypoint: Option<Vec<String>>,
    /// `NAME=value` entries that override or extend the image's.
    pub env: Vec<String>,
    /// The working directory; none means the image's.
    pub working_dir: Option<String>,
    /// `user[:group]`, names or numbers; none means the image's.
    pub user: Option<String>,
    /// The host name; none means the short id.
    pub hostname: Option<String>,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// Whether its standard input stays open (`-i`).
    pub open_stdin: bool,
    /// The streams that its creator means to attach to.
    pub attach: Attach,
    /// Labels that override or extend the image's.
    pub labels: BTreeMap<String, String>,
    /// The signal that asks it to stop; none means the image's or SIGTERM.
    pub stop_signal: Option<String>,
    /// Seconds between that signal and SIGKILL; none means 10.
    pub stop_timeout: Option<u32>,
    /// The NIS domain name.
    pub domainname: String,
    /// How it is probed; what is not set comes from the image.
    pub healthcheck: Option<HealthCheck>,
    /// `os/architecture[/variant]` that the image must be for (`--platform`).
    pub platform: Option<String>,
    /// How it is on its networks, those that need more said than the host's `network_mode` does.
    pub networks: Vec<EndpointOptions>,
    /// Ports it serves besides the image's: `80/tcp` (`--expose`).
    pub exposed_ports: Vec<String>,
    /// Paths that want a volume without a name, besides the image's (`-v /path`).
    pub volumes: Vec<String>,
    /// What is asked of the host.
    pub host: HostConfig,
}

/// Standard streams that whoever makes a container is attached to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Attach {
    /// Its input; when that is open, it ends with this client.
    pub stdin: bool,
    /// Its output.
    pub stdout: bool,
    /// Its errors.
    pub stderr: bool,
}

/// A container's own settings, the image's defaults merged in: docker's `Config`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerConfig {
    /// The host name.
    pub hostname: String,
    /// `user[:group]`, or empty for root.
    pub user: String,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether its standard input stays open.
    pub open_stdin: bool,
    /// The streams that its creator meant to attach to.
    pub attach: Attach,
    /// The environment, `NAME=value`.
    pub env: Vec<String>,
    /// The command, or the entrypoint's arguments.
    pub cmd: Vec<String>,
    /// The image as the user named it.
    pub image: String,
    /// The working directory.
    pub working_dir: String,
    /// The entrypoint; empty when there is none.
    pub entrypoint: Vec<String>,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The signal that asks it to stop, `SIGTERM` for instance.
    pub stop_signal: String,
    /// Seconds between that signal and SIGKILL.
    pub stop_timeout: Option<u32>,
    /// The NIS domain name, or empty.
    pub domainname: String,
    /// How it is probed.
    pub healthcheck: Option<HealthCheck>,
    /// The ports it says it serves, `80/tcp` for instance, in order.
    pub exposed_ports: Vec<String>,
    /// The shell of `CMD-SHELL` probes and its flags; empty is `/bin/sh -c`.
    pub shell: Vec<String>,
    /// Paths that want a volume.
    pub volumes: BTreeSet<String>,
}

/// What `create` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Created {
    /// The new container.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// What the user should know (a limit that was lowered, say).
    pub warnings: Vec<String>,
}

/// A container's place on one network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EndpointInfo {
    /// The network's name.
    pub network: String,
    /// The address.
    pub ip: IpAddr,
    /// How many bits of the address name the subnet.
    pub prefix: u8,
    /// Where traffic to the outside goes.
    pub gateway: Option<IpAddr>,
    /// The hardware address, `02:42:ac:11:00:02` for instance.
    pub mac: String,
    /// The network's id, as far as the backend says.
    #[serde(default)]
    pub network_id: String,
    /// The endpoint's own id, as far as the backend says.
    #[serde(default)]
    pub endpoint_id: String,
}

/// A port of a container that the host serves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PortBinding {
    /// The port in the container.
    pub container_port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The host's address and port when published; none when only exposed.
    pub host: Option<(IpAddr, u16)>,
}

/// A mount of a container: docker's `Mounts` entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MountInfo {
    /// What is mounted.
    pub kind: MountKind,
    /// The volume's name, for a volume.
    pub name: Option<String>,
    /// The path on the host; empty for memory.
    pub source: String,
    /// The path in the container.
    pub destination: String,
    /// Whether the container may write.
    pub writable: bool,
    /// The options as they were given with `-v`, or empty.
    pub mode: String,
    /// How a bind spreads.
    pub propagation: Propagation,
}

/// How much disk a container takes, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerSize {
    /// What it wrote.
    pub writable: u64,
    /// That and its image.
    pub root: u64,
}

/// One row of a container list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerSummary {
    /// The id.
    pub id: ContainerId,
    /// The name, without a leading slash.
    pub name: String,
    /// The image as the user named it.
    pub image: String,
    /// The image's id.
    pub image_id: Option<Digest>,
    /// The whole command line, entrypoint first.
    pub command: String,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// Its life-cycle state.
    pub status: Status,
    /// Docker's sentence: `Up 3 minutes (healthy)`, `Exited (0) 2 hours ago`.
    pub status_text: String,
    /// Its exit code, once it has ended.
    pub exit_code: Option<i32>,
    /// When it was last started, as far as the backend says.
    pub started_at: Option<DateTime<Utc>>,
    /// What its probes say.
    pub health: Option<HealthStatus>,
    /// How often its restart policy has started it, as far as the backend says.
    pub restart_count: Option<u32>,
    /// Whether its end removes it (`run --rm`), as far as the backend says.
    #[serde(default)]
    pub auto_remove: bool,
    /// Its labels (`com.docker.compose.project` groups it).
    pub labels: BTreeMap<String, String>,
    /// Its ports.
    pub ports: Vec<PortBinding>,
    /// Its places on networks.
    pub endpoints: Vec<EndpointInfo>,
    /// The networks it is on, by name (`host` and `none` too).
    pub networks: Vec<String>,
    /// Which network it was made for: docker's `NetworkMode`.
    #[serde(default)]
    pub network_mode: NetworkMode,
    /// Its mounts.
    pub mounts: Vec<MountInfo>,
    /// How much disk it takes, when that was asked for.
    #[serde(default)]
    pub size: Option<ContainerSize>,
}

/// Everything the engine knows of one container; `wharf-inspect` makes docker's document of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerDetail {
    /// The id.
    pub id: ContainerId,
    /// The name, without a leading slash.
    pub name: String,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// The image's id.
    pub image_id: Digest,
    /// Its own settings.
    pub config: ContainerConfig,
    /// What it asked of the host.
    pub host_config: HostConfig,
    /// How it is doing.
    pub state: ContainerState,
    /// Its places on networks; empty while it does not run.
    pub endpoints: Vec<EndpointInfo>,
    /// Its ports; empty while it does not run.
    #[serde(default)]
    pub ports: Vec<PortBinding>,
    /// The networks that it is on, or will be on when it runs.
    #[serde(default)]
    pub networks: Vec<EndpointDetail>,
    /// Its mounts.
    pub mounts: Vec<MountInfo>,
    /// The host's file of its log.
    pub log_path: String,
    /// The overlay's read-only folders, topmost first.
    pub lower_dirs: Vec<String>,
    /// The overlay's writable folder.
    pub upper_dir: String,
    /// The overlay's work folder.
    pub work_dir: String,
    /// The host's file bound as /etc/resolv.conf.
    pub resolv_conf_path: String,
    /// The host's file bound as /etc/hostname.
    pub hostname_path: String,
    /// The host's file bound as /etc/hosts.
    pub hosts_path: String,
    /// The manifest of its image, where that came with one.
    #[serde(default)]
    pub image_manifest: Option<ManifestDescriptor>,
}

impl ContainerDetail {
    /// Returns the TCP port of the container that the host publishes at this one of its own.
    #[must_use]
    pub fn published_at(&self, host_port: u16) -> Option<u16> {
        let is_at = |port: &&PortBinding| {
            port.protocol == "tcp" && port.host.is_some_and(|(_, at)| at == host_port)
        };
        self.ports.iter().find(is_at).map(|port| port.container_port)
    }
}

/// A terminal's size in character cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermSize {
    /// Cells across.
    pub columns: u16,
    /// Cells down.
    pub rows: u16,
}

/// A further program in a running container (`exec`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ExecSpec {
    /// The id that events tell of it under. Whoever gives it one has told of its making; where it is
    /// empty, the engine does both.
    pub id: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// `NAME=value` entries added to the container's.
    pub env: Vec<String>,
    /// `user[:group]`; none means the container's.
    pub user: Option<String>,
    /// The working directory; none means the container's.
    pub working_dir: Option<String>,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// Whether the caller's input is passed on.
    pub stdin: bool,
    /// Whether nobody waits for it (`-d`).
    pub detach: bool,
    /// Whether it gets all capabilities.
    pub privileged: bool,
    /// An image whose files it has in place of the container's own, which are below [`TARGET`] then.
    /// All else, rights and namespaces, are the container's. Without a command it is a shell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub toolbox: Option<String>,
}

/// The label of containers that are toolboxes beside another one, whose id is its value.
pub const TOOLBOX: &str = "wharf.toolbox";

/// Where a program with a toolbox finds the container's files.
pub const TARGET: &str = "/target";

/// The image of the toolbox, when nobody says which.
pub const TOOLBOX_IMAGE: &str = "busybox";

/// The processes of a container, as `ps` on the host shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TopTable {
    /// The column titles.
    pub titles: Vec<String>,
    /// One row a process, as many cells as titles.
    pub processes: Vec<Vec<String>>,
}
