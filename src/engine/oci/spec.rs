//! `config.json`, the document of the OCI runtime specification, as far as Linux goes.
//!
//! Types of our own, since those of the crates turn whatever they don't know into an error of the
//! parser: a capability, an option or a policy that is too new is to be refused by name, and where the
//! specification says so, left out. `null` is as good as nothing: Go writes it.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The version of the specification that this engine follows.
pub const VERSION: &str = "1.2.0";

/// Reads what is `null` as what is left out.
fn or_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Makes a type whose fields may all be missing or `null`, and are left out when they are empty.
macro_rules! document {
    ($(#[$about:meta])* $name:ident { $($(#[$more:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name {
            $(
                $(#[$more])*
                #[serde(deserialize_with = "or_empty", skip_serializing_if = "is_default")]
                pub $field: $type,
            )*
        }
    };
}

document! {
    /// The whole document.
    Config {
        /// The version of the specification that it follows.
        oci_version: String,
        /// The first process.
        process: Option<Process>,
        /// The root filesystem.
        root: Option<Root>,
        /// The host name inside.
        hostname: String,
        /// The NIS domain name inside.
        domainname: String,
        /// What is mounted, in this order.
        mounts: Vec<Mount>,
        /// Programs of the caller's.
        hooks: Hooks,
        /// What the caller wants remembered.
        annotations: BTreeMap<String, String>,
        /// What only Linux has.
        linux: Linux,
    }
}

document! {
    /// The root filesystem.
    Root {
        /// Its folder, relative to the bundle's.
        path: String,
        /// Whether it is read-only inside.
        readonly: bool,
    }
}

document! {
    /// A mount.
    Mount {
        /// Where, inside.
        destination: String,
        /// The filesystem's type.
        #[serde(rename = "type")]
        kind: String,
        /// A device, a name, or a path of the host's.
        source: String,
        /// As `mount(8)` has them.
        options: Vec<String>,
        /// Owners of an id-mapped mount.
        uid_mappings: Vec<IdMapping>,
        /// Groups of an id-mapped mount.
        gid_mappings: Vec<IdMapping>,
    }
}

document! {
    /// A process.
    Process {
        /// Whether it has a terminal.
        terminal: bool,
        /// The terminal's size.
        console_size: Option<Size>,
        /// Whom it runs as.
        user: User,
        /// Its arguments, itself first.
        args: Vec<String>,
        /// Its environment.
        env: Vec<String>,
        /// Where it begins.
        cwd: String,
        /// What it may do.
        capabilities: Capabilities,
        /// Its resource limits.
        rlimits: Vec<Rlimit>,
        /// Whether an execution can give it no rights.
        no_new_privileges: bool,
        /// The AppArmor profile.
        apparmor_profile: String,
        /// How readily the kernel kills it for want of memory.
        oom_score_adj: Option<i32>,
        /// How it is scheduled.
        scheduler: Option<Scheduler>,
        /// The SELinux label.
        selinux_label: String,
        /// Its priority at block devices.
        io_priority: Option<IoPriority>,
        /// On which processors a further program runs.
        #[serde(rename = "execCPUAffinity")]
        exec_cpu_affinity: CpuAffinity,
    }
}

document! {
    /// On which processors a further program runs.
    CpuAffinity {
        /// Before it is in the container's control group: `0-3,7`.
        initial: String,
        /// Once it is.
        #[serde(rename = "final")]
        after: String,
    }
}

document! {
    /// A terminal's size in cells.
    Size {
        /// Cells down.
        height: u16,
        /// Cells across.
        width: u16,
    }
}

document! {
    /// Whom a process runs as.
    User {
        /// The user's number.
        uid: u32,
        /// The group's number.
        gid: u32,
        /// What files that it makes don't get of their modes.
        umask: Option<u32>,
        /// Supplementary groups.
        additional_gids: Vec<u32>,
    }
}

document! {
    /// The sets of capabilities(7).
    Capabilities {
        /// What it can ever get by an execution.
        bounding: Vec<String>,
        /// What counts.
        effective: Vec<String>,
        /// What it may make count.
        permitted: Vec<String>,
        /// What it may hand to programs that are allowed to have it.
        inheritable: Vec<String>,
        /// What programs keep.
        ambient: Vec<String>,
    }
}

document! {
    /// A resource limit.
    Rlimit {
        /// `RLIMIT_NOFILE`.
        #[serde(rename = "type")]
        kind: String,
        /// How far it may be raised.
        hard: u64,
        /// What holds.
        soft: u64,
    }
}

document! {
    /// How a process is scheduled, `sched_setattr(2)`.
    Scheduler {
        /// `SCHED_OTHER`.
        policy: String,
        /// For ordinary policies.
        nice: i32,
        /// For real-time policies.
        priority: u32,
        /// `SCHED_FLAG_RESET_ON_FORK`.
        flags: Vec<String>,
        /// In nanoseconds.
        runtime: u64,
        /// In nanoseconds.
        deadline: u64,
        /// In nanoseconds.
        period: u64,
    }
}

document! {
    /// A priority at block devices.
    IoPriority {
        /// `IOPRIO_CLASS_BE`.
        class: String,
        /// 0 to 7.
        priority: u8,
    }
}

document! {
    /// Programs of the caller's, by when they run.
    Hooks {
        /// As `createRuntime`, and before those.
        prestart: Vec<Hook>,
        /// Outside, once the namespaces and mounts are there.
        create_runtime: Vec<Hook>,
        /// Inside, before the root becomes the root.
        create_container: Vec<Hook>,
        /// Inside, before the program.
        start_container: Vec<Hook>,
        /// Outside, once the program runs.
        poststart: Vec<Hook>,
        /// Outside, once nothing is left.
        poststop: Vec<Hook>,
    }
}

document! {
    /// A program of the caller's.
    Hook {
        /// Its file.
        path: String,
        /// Its arguments, its name first.
        args: Vec<String>,
        /// Its environment.
        env: Vec<String>,
        /// The seconds that it may take.
        timeout: Option<i64>,
    }
}

document! {
    /// What only Linux has.
    Linux {
        /// Users inside and outside.
        uid_mappings: Vec<IdMapping>,
        /// Groups inside and outside.
        gid_mappings: Vec<IdMapping>,
        /// Clocks of a time namespace.
        time_offsets: BTreeMap<String, TimeOffset>,
        /// Settings of the kernel.
        sysctl: BTreeMap<String, String>,
        /// Limits.
        resources: Option<Resources>,
        /// The control group.
        cgroups_path: String,
        /// Namespaces, new ones and others'.
        namespaces: Vec<Namespace>,
        /// Devices.
        devices: Vec<Device>,
        /// The system call filter; read by who makes it.
        seccomp: Value,
        /// How the root's mount spreads.
        rootfs_propagation: String,
        /// What is hidden.
        masked_paths: Vec<String>,
        /// What can't be changed.
        readonly_paths: Vec<String>,
        /// The SELinux label of its mounts.
        mount_label: String,
        /// Cache and memory bandwidth of Intel's processors.
        intel_rdt: Value,
        /// The execution domain.
        personality: Option<Personality>,
        /// Policy of memory nodes.
        memory_policy: Value,
        /// Links that are moved in.
        net_devices: BTreeMap<String, Value>,
    }
}

document! {
    /// Numbers inside and outside.
    IdMapping {
        /// The first one inside.
        #[serde(rename = "containerID")]
        container_id: u32,
        /// The first one outside.
        #[serde(rename = "hostID")]
        host_id: u32,
        /// How many.
        size: u32,
    }
}

document! {
    /// How far a clock is ahead.
    TimeOffset {
        /// Seconds.
        secs: i64,
        /// And nanoseconds.
        nanosecs: u32,
    }
}

document! {
    /// A namespace.
    Namespace {
        /// `pid`, `network`, `mount`, `ipc`, `uts`, `user`, `cgroup` or `time`.
        #[serde(rename = "type")]
        kind: String,
        /// Somebody else's; nothing is a new one.
        path: String,
    }
}

document! {
    /// A device.
    Device {
        /// Where, inside.
        path: String,
        /// `c`, `u`, `b` or `p`.
        #[serde(rename = "type")]
        kind: String,
        /// The number's first part.
        major: i64,
        /// The number's second part.
        minor: i64,
        /// Its mode.
        file_mode: Option<u32>,
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
    }
}

document! {
    /// An execution domain.
    Personality {
        /// `LINUX` or `LINUX32`.
        domain: String,
        /// None is known.
        flags: Vec<String>,
    }
}

document! {
    /// Limits of a container.
    Resources {
        /// Which devices may be used, one rule after the other.
        devices: Vec<DeviceRule>,
        /// Memory.
        memory: Memory,
        /// CPU time.
        cpu: Cpu,
        /// Tasks.
        pids: Pids,
        /// Block devices.
        #[serde(rename = "blockIO")]
        block_io: BlockIo,
        /// Huge pages.
        hugepage_limits: Vec<HugePages>,
        /// Marks of packets.
        network: NetworkMarks,
        /// Remote direct memory access, by devices.
        rdma: BTreeMap<String, Rdma>,
        /// Files of the version 2 group.
        unified: BTreeMap<String, String>,
    }
}

document! {
    /// A rule about devices.
    DeviceRule {
        /// Whether it allows.
        allow: bool,
        /// `a`, `b` or `c`.
        #[serde(rename = "type")]
        kind: String,
        /// Any, when missing or negative.
        major: Option<i64>,
        /// Any, when missing or negative.
        minor: Option<i64>,
        /// Some of `rwm`; all, when missing.
        access: String,
    }
}

document! {
    /// Limits of memory in bytes; negative is none.
    Memory {
        /// At most.
        limit: Option<i64>,
        /// Left to it when the host runs short.
        reservation: Option<i64>,
        /// Memory and swap together at most.
        swap: Option<i64>,
        /// For what is on its way through TCP, at most.
        #[serde(rename = "kernelTCP")]
        kernel_tcp: Option<i64>,
        /// How readily it is swapped out.
        swappiness: Option<u8>,
        /// Whether processes wait for memory instead of being killed.
        #[serde(rename = "disableOOMKiller")]
        disable_oom_killer: Option<bool>,
    }
}

document! {
    /// Limits of CPU time.
    Cpu {
        /// The weight against others.
        shares: Option<u64>,
        /// Microseconds a period.
        quota: Option<i64>,
        /// Microseconds that may be saved up.
        burst: Option<u64>,
        /// In microseconds.
        period: Option<u64>,
        /// Of real-time tasks, microseconds a period.
        realtime_runtime: Option<i64>,
        /// In microseconds.
        realtime_period: Option<u64>,
        /// The CPUs it may use.
        cpus: String,
        /// The memory nodes it may use.
        mems: String,
        /// 1: only when nobody else wants any.
        idle: Option<i64>,
    }
}

document! {
    /// Limits of tasks.
    Pids {
        /// At most; none when 0 or less.
        limit: Option<i64>,
    }
}

document! {
    /// Weights and rates of block devices.
    BlockIo {
        /// The weight against others.
        weight: Option<u16>,
        /// Gone from the kernel.
        leaf_weight: Option<u16>,
        /// Weights for single devices.
        weight_device: Vec<WeightDevice>,
        /// Bytes read a second.
        throttle_read_bps_device: Vec<ThrottleDevice>,
        /// Bytes written a second.
        throttle_write_bps_device: Vec<ThrottleDevice>,
        /// Reads a second.
        #[serde(rename = "throttleReadIOPSDevice")]
        throttle_read_iops_device: Vec<ThrottleDevice>,
        /// Writes a second.
        #[serde(rename = "throttleWriteIOPSDevice")]
        throttle_write_iops_device: Vec<ThrottleDevice>,
    }
}

document! {
    /// A weight for one device.
    WeightDevice {
        /// Its number's first part.
        major: u32,
        /// Its number's second part.
        minor: u32,
        /// The weight.
        weight: u16,
    }
}

document! {
    /// A rate for one device.
    ThrottleDevice {
        /// Its number's first part.
        major: u32,
        /// Its number's second part.
        minor: u32,
        /// A second.
        rate: u64,
    }
}

document! {
    /// How packets are marked.
    NetworkMarks {
        /// Their class; 0 is none.
        #[serde(rename = "classID")]
        class_id: Option<u32>,
        /// Their priorities, by links.
        priorities: Vec<LinkPriority>,
    }
}

document! {
    /// The priority of packets on one link.
    LinkPriority {
        /// The link's name, as the runtime sees it.
        name: String,
        /// The priority.
        priority: u32,
    }
}

document! {
    /// What may be held of a device for remote direct memory access.
    Rdma {
        /// Handles at most.
        hca_handles: Option<u32>,
        /// Objects at most.
        hca_objects: Option<u32>,
    }
}

document! {
    /// A limit of huge pages.
    HugePages {
        /// `2MB`.
        page_size: String,
        /// In bytes.
        limit: u64,
    }
}
