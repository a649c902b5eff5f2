//! What a container asks of the host: docker's `HostConfig`, with limits, namespaces and policies.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{PublishedPort, TermSize, UsernsMode};

/// Which network a container is on: docker's `NetworkMode`, stored as docker's text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum NetworkMode {
    /// The default bridge, with NAT to the outside.
    #[default]
    Bridge,
    /// A namespace with nothing but a loopback.
    None,
    /// The host's own network.
    Host,
    /// That of another container: a name or id.
    Container(String),
    /// A network that somebody made: a name or id.
    Named(String),
}

impl NetworkMode {
    /// Returns whether the container has a network namespace of its own.
    pub fn is_private(&self) -> bool {
        !matches!(self, Self::Host | Self::Container(_))
    }

    /// Returns the network it begins on, if it is one with addresses.
    pub fn network(&self) -> Option<&str> {
        match self {
            Self::Bridge => Some("bridge"),
            Self::Named(name) => Some(name),
            Self::None | Self::Host | Self::Container(_) => None,
        }
    }
}

impl std::fmt::Display for NetworkMode {
    /// Writes docker's words: `bridge`, `none`, `host`, `container:NAME`, or a network.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bridge => f.write_str("bridge"),
            Self::None => f.write_str("none"),
            Self::Host => f.write_str("host"),
            Self::Container(whose) => write!(f, "container:{whose}"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

impl From<String> for NetworkMode {
    fn from(text: String) -> Self {
        match text.as_str() {
            "" | "bridge" | "default" => Self::Bridge,
            "none" => Self::None,
            "host" => Self::Host,
            _ => match text.strip_prefix("container:") {
                Some(whose) => Self::Container(whose.to_owned()),
                None => Self::Named(text),
            },
        }
    }
}

impl From<NetworkMode> for String {
    fn from(mode: NetworkMode) -> Self {
        mode.to_string()
    }
}

/// A host path or a volume mounted in a container (`-v SOURCE:TARGET[:OPTIONS]`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Bind {
    /// The absolute path on the host, or a volume's name.
    pub source: String,
    /// The absolute path in the container.
    pub target: String,
    /// Whether the container may not write.
    pub read_only: bool,
    /// How it spreads.
    pub propagation: Propagation,
    /// The options as they were given (`ro,rslave`), or empty; the fields above say what they mean.
    pub options: String,
}

impl Bind {
    /// Returns whether it is a volume that is mounted.
    pub fn is_volume(&self) -> bool {
        !self.source.starts_with('/')
    }
}

/// How a mount and what is mounted below it spread between host and container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagation {
    /// Neither way, without the mounts below.
    Private,
    /// Neither way.
    #[default]
    Rprivate,
    /// Both ways, without the mounts below.
    Shared,
    /// Both ways.
    Rshared,
    /// From the host only, without the mounts below.
    Slave,
    /// From the host only.
    Rslave,
}

impl Propagation {
    /// All of them.
    const ALL: [Self; 6] =
        [Self::Private, Self::Rprivate, Self::Shared, Self::Rshared, Self::Slave, Self::Rslave];

    /// Returns the kernel's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Rprivate => "rprivate",
            Self::Shared => "shared",
            Self::Rshared => "rshared",
            Self::Slave => "slave",
            Self::Rslave => "rslave",
        }
    }

    /// Returns the one of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }

    /// Returns whether the mounts below are meant too.
    pub fn is_recursive(self) -> bool {
        matches!(self, Self::Rprivate | Self::Rshared | Self::Rslave)
    }
}

/// A mount asked for with `--mount`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Mount {
    /// What kind.
    pub kind: MountKind,
    /// The absolute host path of a bind, the name of a volume, empty for memory.
    pub source: String,
    /// The absolute path in the container.
    pub target: String,
    /// Whether the container may not write.
    pub read_only: bool,
    /// How a bind spreads; none is `rprivate`.
    pub propagation: Option<Propagation>,
    /// Whether a bind leaves out the mounts below its source.
    pub non_recursive: bool,
    /// Which mounts below the source of a read-only bind are read-only too.
    pub read_only_below: ReadOnlyBelow,
    /// Whether a bind's missing source is made as a folder.
    pub create_source: bool,
    /// The greatest size of memory, in bytes.
    pub tmpfs_size: Option<u64>,
    /// The mode of the memory's root folder.
    pub tmpfs_mode: Option<u32>,
    /// Further options of memory: `noexec`, `uid=5`, …
    pub tmpfs_options: Vec<String>,
    /// What is asked of a volume.
    pub volume: VolumeMount,
}

/// What a mount asks of its volume, besides its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeMount {
    /// Whether an empty volume stays so, instead of taking what the image has there.
    pub no_copy: bool,
    /// The labels of a volume that is made.
    pub labels: BTreeMap<String, String>,
    /// Its driver; empty is `local`.
    pub driver: String,
    /// Its driver's options.
    pub options: BTreeMap<String, String>,
    /// The folder of the volume that is mounted, or empty for all of it.
    pub subpath: String,
}

/// Which mounts below the source of a read-only bind are read-only too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadOnlyBelow {
    /// All, where the kernel can do that (Linux 5.12).
    #[default]
    IfPossible,
    /// None (`bind-recursive=writable`).
    Never,
    /// All, or the container doesn't start (`bind-recursive=readonly`).
    Always,
}

/// What kind of mount a container has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MountKind {
    /// A host path.
    #[default]
    Bind,
    /// An engine-managed volume.
    Volume,
    /// Memory.
    Tmpfs,
}

/// A resource limit of processes: `--ulimit NAME=SOFT:HARD`. -1 is no limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Ulimit {
    /// `nofile`, `core`, …
    pub name: String,
    /// What holds until the process raises it.
    pub soft: i64,
    /// How far it may raise it.
    pub hard: i64,
}

/// A rate or weight for one block device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeviceRate {
    /// The device's path on the host.
    pub path: String,
    /// Bytes or operations a second, or the weight.
    pub rate: u64,
}

/// A device given to a container: `--device HOST:CONTAINER:rwm`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeviceMapping {
    /// Its path on the host.
    pub path_on_host: String,
    /// Its path in the container.
    pub path_in_container: String,
    /// Some of `r`, `w` and `m`.
    pub permissions: String,
}

/// The limits of a container; `None` is no limit, or the kernel's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Resources {
    /// Memory in bytes (`-m`).
    pub memory: Option<u64>,
    /// Memory and swap together in bytes, -1 for endless swap; none is twice the memory.
    pub memory_swap: Option<i64>,
    /// Memory in bytes that is left to it when the host runs short.
    pub memory_reservation: Option<u64>,
    /// How readily its anonymous memory is swapped out, 0 to 100.
    pub memory_swappiness: Option<u8>,
    /// Whether processes wait for memory instead of being killed; none where the kernel offers no
    /// choice (control groups of version 2).
    pub oom_kill_disable: Option<bool>,
    /// CPU time in billionths of a CPU (`--cpus 1.5` is 1_500_000_000).
    pub nano_cpus: Option<u64>,
    /// CPU weight against others, 2 to 262144, 1024 being the default.
    pub cpu_shares: Option<u64>,
    /// The period of the CPU quota in microseconds.
    pub cpu_period: Option<u64>,
    /// CPU time a period in microseconds; negative is no limit.
    pub cpu_quota: Option<i64>,
    /// The period of real-time scheduling in microseconds.
    pub cpu_rt_period: Option<u64>,
    /// Real-time CPU time a period in microseconds.
    pub cpu_rt_runtime: Option<u64>,
    /// The CPUs it may use: `0-3,5`, or empty.
    pub cpuset_cpus: String,
    /// The memory nodes it may use, or empty.
    pub cpuset_mems: String,
    /// The greatest number of tasks (`--pids-limit`).
    pub pids_limit: Option<u64>,
    /// Block I/O weight against others, 10 to 1000.
    pub blkio_weight: Option<u16>,
    /// Weights for single devices.
    pub blkio_weight_device: Vec<DeviceRate>,
    /// Bytes read a second.
    pub device_read_bps: Vec<DeviceRate>,
    /// Bytes written a second.
    pub device_write_bps: Vec<DeviceRate>,
    /// Reads a second.
    pub device_read_iops: Vec<DeviceRate>,
    /// Writes a second.
    pub device_write_iops: Vec<DeviceRate>,
    /// Limits of its processes.
    pub ulimits: Vec<Ulimit>,
    /// Devices of the host it may use.
    pub devices: Vec<DeviceMapping>,
    /// Rules of the device filter: `c 42:* rmw`.
    pub device_cgroup_rules: Vec<String>,
}

impl Resources {
    /// Memory that no host has, and the swap beside it: what `update` is asked for where there is to
    /// be no limit any more, since 0 leaves things as they are. The swap is half of the sum, for
    /// kernels that limit it by itself.
    const BOUNDLESS: (u64, i64) = (1 << 62, 0x7fff_ffff_ffff_f000);

    /// Asks for no limit of memory.
    pub fn lift_memory(&mut self) {
        let (memory, total) = Self::BOUNDLESS;
        (self.memory, self.memory_swap) = (Some(memory), Some(total));
    }

    /// Drops a limit of memory that was asked for as none.
    pub fn drop_lifted(&mut self) {
        if self.memory.is_some_and(|memory| memory >= Self::BOUNDLESS.0) {
            self.memory = None;
            self.memory_swap = self.memory_swap.filter(|total| *total < 0);
        }
    }
}

/// When a container that has ended is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartKind {
    /// Never.
    #[default]
    No,
    /// When its exit code wasn't 0.
    OnFailure,
    /// Always, and at boot even if it was stopped by hand.
    Always,
    /// Always, but not at boot once it was stopped by hand.
    UnlessStopped,
}

impl RestartKind {
    /// Returns docker's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::OnFailure => "on-failure",
            Self::Always => "always",
            Self::UnlessStopped => "unless-stopped",
        }
    }
}

/// `--restart`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RestartPolicy {
    /// When.
    pub kind: RestartKind,
    /// How often at most, for `on-failure`; 0 is no bound.
    pub maximum_retries: u32,
}

impl RestartPolicy {
    /// Returns whether a container that ended with this code after so many restarts is to be started
    /// again. `stopped` is whether it was stopped by hand, which only `always` at boot overrules.
    pub fn wants_restart(&self, exit_code: i32, restarts: u32, stopped: bool) -> bool {
        match self.kind {
            RestartKind::No => false,
            RestartKind::Always => true,
            RestartKind::UnlessStopped => !stopped,
            RestartKind::OnFailure => {
                exit_code != 0 && (self.maximum_retries == 0 || restarts < self.maximum_retries)
            }
        }
    }
}

/// What a container's probes lead to (`--health-on-failure`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthAction {
    /// Nothing but an event.
    #[default]
    None,
    /// It is stopped and started again.
    Restart,
    /// It is stopped.
    Stop,
    /// It is killed.
    Kill,
}

impl HealthAction {
    /// Returns the word of `--health-on-failure`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Restart => "restart",
            Self::Stop => "stop",
            Self::Kill => "kill",
        }
    }
}

/// How a container is probed: docker's `Healthcheck`. What is `None` has docker's default (30 s,
/// 30 s, 0 s, 5 s, 3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HealthCheck {
    /// `NONE`, or `CMD` and words, or `CMD-SHELL` and a line; empty inherits the image's.
    pub test: Vec<String>,
    /// Between the end of a probe and the next one.
    #[serde(with = "nanoseconds")]
    pub interval: Option<Duration>,
    /// How long a probe may take.
    #[serde(with = "nanoseconds")]
    pub timeout: Option<Duration>,
    /// How long failures don't count after the start.
    #[serde(with = "nanoseconds")]
    pub start_period: Option<Duration>,
    /// Between probes while the start period lasts.
    #[serde(with = "nanoseconds")]
    pub start_interval: Option<Duration>,
    /// How many failures in a row make it unhealthy.
    pub retries: Option<u32>,
}

impl HealthCheck {
    /// Docker's time between probes, and the most that one may take.
    const INTERVAL: Duration = Duration::from_secs(30);
    /// Docker's time between probes in the start period.
    const START_INTERVAL: Duration = Duration::from_secs(5);
    /// Docker's number of failures in a row.
    const RETRIES: u32 = 3;

    /// Returns whether there is anything to run: a test that is neither missing nor `NONE`.
    pub fn is_probed(&self) -> bool {
        matches!(self.test.first().map(String::as_str), Some("CMD" | "CMD-SHELL"))
            && self.test.len() > 1
    }

    /// Returns the time between probes.
    pub fn interval(&self) -> Duration {
        self.interval.unwrap_or(Self::INTERVAL)
    }

    /// Returns how long a probe may take.
    pub fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(Self::INTERVAL)
    }

    /// Returns how long failures don't count after the start.
    pub fn start_period(&self) -> Duration {
        self.start_period.unwrap_or_default()
    }

    /// Returns the time between probes in the start period.
    pub fn start_interval(&self) -> Duration {
        self.start_interval.unwrap_or(Self::START_INTERVAL)
    }

    /// Returns how many failures in a row make the container unhealthy.
    pub fn retries(&self) -> u32 {
        self.retries.filter(|retries| *retries > 0).unwrap_or(Self::RETRIES)
    }

    /// Fills in what isn't set from the image's check.
    pub fn merge(&mut self, image: &Self) {
        if self.test.is_empty() {
            self.test.clone_from(&image.test);
        }
        self.interval = self.interval.or(image.interval);
        self.timeout = self.timeout.or(image.timeout);
        self.start_period = self.start_period.or(image.start_period);
        self.start_interval = self.start_interval.or(image.start_interval);
        self.retries = self.retries.or(image.retries);
    }
}

/// Docker writes durations as nanoseconds, and 0 for one that isn't set.
mod nanoseconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let nanoseconds = duration.unwrap_or_default().as_nanos();
        serializer.serialize_u64(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let nanoseconds = Option::<i64>::deserialize(deserializer)?.unwrap_or_default();
        let set = u64::try_from(nanoseconds).ok().filter(|n| *n > 0);
        Ok(set.map(Duration::from_nanos))
    }
}

/// Where a container's output is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogDriver {
    /// What the engine's administrator says, `json-file` else. No container has it: it is settled
    /// when one is made.
    #[default]
    Default,
    /// Records of JSON, docker's form.
    JsonFile,
    /// As `json-file`, rotated at 20 MB and compressed by default.
    Local,
    /// Nowhere.
    None,
}

impl LogDriver {
    /// Returns the one of docker's word, if it is there; nothing is the default.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "" => Self::Default,
            "json-file" => Self::JsonFile,
            "local" => Self::Local,
            "none" => Self::None,
            _ => return None,
        })
    }

    /// Returns docker's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default | Self::JsonFile => "json-file",
            Self::Local => "local",
            Self::None => "none",
        }
    }
}

/// `--log-driver` and `--log-opt`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LogConfig {
    /// Where to.
    pub driver: LogDriver,
    /// `max-size`, `max-file`, …
    pub options: BTreeMap<String, String>,
}

impl LogConfig {
    /// Settles what the container's creator left open; options hold for their own driver alone.
    pub fn settle(&mut self, default: &Self) {
        let settled = |driver| match driver {
            LogDriver::Default => LogDriver::JsonFile,
            driver => driver,
        };
        let usual = settled(default.driver);
        if self.driver == LogDriver::Default {
            self.driver = usual;
        }
        if self.driver == usual {
            for (name, value) in &default.options {
                self.options.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
    }
}

/// Whose namespace of one kind a container uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NamespaceMode {
    /// The engine's default for this kind.
    #[default]
    Default,
    /// One of its own.
    Private,
    /// One of its own that others may join (IPC).
    Shareable,
    /// None (IPC: one of its own without `/dev/shm`).
    None,
    /// The host's.
    Host,
    /// That of another container: a name or id.
    Container(String),
}

impl NamespaceMode {
    /// Returns docker's words; `default` is those for [`NamespaceMode::Default`].
    pub fn to_text(&self, default: &str) -> String {
        match self {
            Self::Default => default.to_owned(),
            Self::Private => "private".to_owned(),
            Self::Shareable => "shareable".to_owned(),
            Self::None => "none".to_owned(),
            Self::Host => "host".to_owned(),
            Self::Container(whose) => format!("container:{whose}"),
        }
    }

    /// Returns the mode of docker's words.
    pub fn from_text(text: &str) -> Option<Self> {
        Some(match text {
            "" => Self::Default,
            "private" => Self::Private,
            "shareable" => Self::Shareable,
            "none" => Self::None,
            "host" => Self::Host,
            _ => Self::Container(
                text.strip_prefix("container:").filter(|whose| !whose.is_empty())?.to_owned(),
            ),
        })
    }
}

/// The system call filter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeccompMode {
    /// The engine's profile.
    #[default]
    Default,
    /// None.
    Unconfined,
    /// A profile in docker's JSON form, as read from the user's file.
    Profile(String),
}

/// Paths that are hidden from a container: what tells of, or reaches, the host.
pub const MASKED_PATHS: [&str; 13] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
];

/// Paths that a container may read but not write.
pub const READ_ONLY_PATHS: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What a container asks of the host: docker's `HostConfig`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostConfig {
    /// Whether the container is removed when it exits (`--rm`).
    pub auto_remove: bool,
    /// Host paths bound in (`-v`).
    pub binds: Vec<Bind>,
    /// Ports that the host serves for it (`-p`).
    pub published_ports: Vec<PublishedPort>,
    /// Whether the host serves all the ports that it says it has (`-P`).
    pub publish_all_ports: bool,
    /// Mounts (`--mount`).
    pub mounts: Vec<Mount>,
    /// Containers whose mounts it gets too: `NAME[:ro|rw]` (`--volumes-from`).
    pub volumes_from: Vec<String>,
    /// The driver of volumes that are made for it (`--volume-driver`); empty is `local`.
    pub volume_driver: String,
    /// In-memory filesystems: path to mount options, possibly empty (`--tmpfs`).
    pub tmpfs: BTreeMap<String, String>,
    /// Whether the root filesystem is read-only.
    pub readonly_rootfs: bool,
    /// Which network it joins.
    pub network_mode: NetworkMode,
    /// Its limits.
    pub resources: Resources,
    /// Capabilities added to the default ones, without `CAP_`, upper case; `ALL` is all of them.
    pub cap_add: Vec<String>,
    /// Capabilities taken from the default ones.
    pub cap_drop: Vec<String>,
    /// Whether all protection is off.
    pub privileged: bool,
    /// Whether set-user-id programs gain nothing (`--security-opt no-new-privileges`).
    pub no_new_privileges: bool,
    /// The system call filter (`--security-opt seccomp=…`).
    pub seccomp: SeccompMode,
    /// Whether no path of `/proc` and `/sys` is masked or read-only
    /// (`--security-opt systempaths=unconfined`).
    pub unconfined_paths: bool,
    /// The AppArmor profile, where the kernel has AppArmor.
    pub apparmor: Option<String>,
    /// SELinux label options, where the kernel has SELinux.
    pub label: Vec<String>,
    /// Whether a small init is the first process and reaps orphans (`--init`).
    pub init: bool,
    /// When it is started again.
    pub restart_policy: RestartPolicy,
    /// What becoming unhealthy leads to.
    pub health_on_failure: HealthAction,
    /// Where its output is written.
    pub log_config: LogConfig,
    /// Its IPC namespace.
    pub ipc_mode: NamespaceMode,
    /// Its PID namespace.
    pub pid_mode: NamespaceMode,
    /// Its UTS namespace.
    pub uts_mode: NamespaceMode,
    /// Its cgroup namespace.
    pub cgroupns_mode: NamespaceMode,
    /// Its user namespace.
    pub userns_mode: UsernsMode,
    /// Further groups of its user: names or numbers.
    pub group_add: Vec<String>,
    /// The size of `/dev/shm` in bytes; none is 64 MiB.
    pub shm_size: Option<u64>,
    /// Kernel settings of its namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// How readily the kernel kills it for want of memory, -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// Further lines of `/etc/hosts`: `NAME:ADDRESS`.
    pub extra_hosts: Vec<String>,
    /// Name servers; empty is the host's.
    pub dns: Vec<String>,
    /// Options of the resolver.
    pub dns_options: Vec<String>,
    /// Search domains; `.` is none.
    pub dns_search: Vec<String>,
    /// OCI annotations.
    pub annotations: BTreeMap<String, String>,
    /// Options of the storage: `size`.
    pub storage_opt: BTreeMap<String, String>,
    /// The cgroup to be in instead of the engine's own, or empty.
    pub cgroup_parent: String,
    /// The file that got the container's id, or empty (`--cidfile`).
    pub cidfile: String,
    /// The size that its terminal has at the start, where nobody is attached who has one.
    pub console_size: Option<TermSize>,
}

impl HostConfig {
    /// Returns docker's `SecurityOpt`.
    pub fn security_options(&self) -> Vec<String> {
        let seccomp = match &self.seccomp {
            SeccompMode::Default => None,
            SeccompMode::Unconfined => Some("seccomp=unconfined".to_owned()),
            SeccompMode::Profile(text) => Some(format!("seccomp={text}")),
        };
        let first = self.no_new_privileges.then(|| "no-new-privileges".to_owned());
        let apparmor = self.apparmor.iter().map(|profile| format!("apparmor={profile}"));
        let label = self.label.iter().map(|label| format!("label={label}"));
        first.into_iter().chain(seccomp).chain(apparmor).chain(label).collect()
    }
}

/// What `update` changes; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateOptions {
    /// Limits: fields that are set replace the old ones. Only those that the flags of `update` name
    /// can change.
    pub resources: Resources,
    /// Whether the PID limit is lifted.
    pub unlimited_pids: bool,
    /// The restart policy.
    pub restart_policy: Option<RestartPolicy>,
}
