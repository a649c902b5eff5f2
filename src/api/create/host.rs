//! What a container asks of its host, limits left out.

use std::path::Path;

use bollard_stubs::models::{
    HostConfig as DockerHost, HostConfigLogConfig, Mount as DockerMount, MountType, PortMap,
    RestartPolicy as DockerPolicy, RestartPolicyNameEnum,
};
use wharf_model::mounts::{Asked, volume};
use wharf_model::{
    Bind, HostConfig, LogConfig, LogDriver, Mount, MountKind, NamespaceMode, NetworkMode,
    Propagation, PublishedPort, ReadOnlyBelow, RestartKind, RestartPolicy, SeccompMode,
    VolumeMount,
};

use super::limits;
use crate::answer::Refusal;

/// Returns what a container asks of its host.
pub(super) fn host(mut asked: DockerHost) -> Result<HostConfig, Refusal> {
    let mode = |text: Option<String>, what: &str| {
        let text = text.unwrap_or_default();
        NamespaceMode::from_text(&text)
            .ok_or_else(|| Refusal::invalid(format!("invalid {what} mode: {text}")))
    };
    let mut host = HostConfig {
        resources: limits::of_host(&mut asked)?,
        auto_remove: asked.auto_remove.unwrap_or_default(),
        published_ports: ports(asked.port_bindings.unwrap_or_default())?,
        publish_all_ports: asked.publish_all_ports.unwrap_or_default(),
        volumes_from: asked.volumes_from.unwrap_or_default(),
        volume_driver: asked.volume_driver.unwrap_or_default(),
        tmpfs: asked.tmpfs.unwrap_or_default().into_iter().collect(),
        readonly_rootfs: asked.readonly_rootfs.unwrap_or_default(),
        network_mode: NetworkMode::from(asked.network_mode.unwrap_or_default()),
        cap_add: asked.cap_add.unwrap_or_default(),
        cap_drop: asked.cap_drop.unwrap_or_default(),
        privileged: asked.privileged.unwrap_or_default(),
        init: asked.init.unwrap_or_default(),
        ipc_mode: mode(asked.ipc_mode, "IPC")?,
        pid_mode: mode(asked.pid_mode, "PID")?,
        uts_mode: mode(asked.uts_mode, "UTS")?,
        cgroupns_mode: mode(asked.cgroupns_mode.map(|mode| mode.to_string()), "CGROUP")?,
        userns_mode: asked
            .userns_mode
            .unwrap_or_default()
            .parse()
            .map_err(|why: String| Refusal::invalid(format!("invalid UsernsMode: {why}")))?,
        group_add: asked.group_add.unwrap_or_default(),
        sysctls: asked.sysctls.unwrap_or_default().into_iter().collect(),
        extra_hosts: asked.extra_hosts.unwrap_or_default(),
        dns: asked.dns.unwrap_or_default(),
        dns_options: asked.dns_options.unwrap_or_default(),
        dns_search: asked.dns_search.unwrap_or_default(),
        annotations: asked.annotations.unwrap_or_default().into_iter().collect(),
        storage_opt: asked.storage_opt.unwrap_or_default().into_iter().collect(),
        cgroup_parent: asked.cgroup_parent.unwrap_or_default(),
        cidfile: asked.container_id_file.unwrap_or_default(),
        ..HostConfig::default()
    };
    host.shm_size = match asked.shm_size {
        None | Some(0) => None,
        Some(size) => Some(
            u64::try_from(size).map_err(|_| Refusal::invalid("SHM size can not be less than 0"))?,
        ),
    };
    host.oom_score_adj = match asked.oom_score_adj {
        None | Some(0) => None,
        Some(score) => Some(i32::try_from(score).map_err(|_| {
            Refusal::invalid(format!(
                "Invalid value {score}, range for oom score adj is [-1000, 1000]"
            ))
        })?),
    };
    host.console_size = super::terminal_size(asked.console_size.as_deref());
    if let Some(policy) = &asked.restart_policy {
        host.restart_policy = restart_policy(policy)?;
    }
    if let Some(config) = asked.log_config {
        host.log_config = log_config(config)?;
    }
    for text in asked.binds.unwrap_or_default() {
        host.binds.push(bind(&text)?);
    }
    for mount in asked.mounts.unwrap_or_default() {
        host.mounts.push(self::mount(mount)?);
    }
    for option in asked.security_opt.unwrap_or_default() {
        security(&option, &mut host)?;
    }
    // Empty lists where docker has its own: nothing is protected.
    let none = |list: &Option<Vec<String>>| list.as_ref().is_some_and(Vec::is_empty);
    host.unconfined_paths |= none(&asked.masked_paths) && none(&asked.readonly_paths);
    Ok(host)
}

/// Refuses options of another kind of mount than the one that is asked for.
fn options_of(asked: &DockerMount) -> Result<(), Refusal> {
    let given = [
        ("BindOptions", MountType::BIND, asked.bind_options.is_some()),
        ("VolumeOptions", MountType::VOLUME, asked.volume_options.is_some()),
        ("TmpfsOptions", MountType::TMPFS, asked.tmpfs_options.is_some()),
    ];
    match (asked.typ, given.iter().find(|(_, of, given)| *given && Some(*of) != asked.typ)) {
        (Some(kind), Some((field, ..))) => Err(Refusal::invalid(format!(
            "invalid mount config for type {:?}: field {field} must not be specified",
            kind.to_string()
        ))),
        _ => Ok(()),
    }
}

fn bind(text: &str) -> Result<Bind, Refusal> {
    // A client's paths are the host's already, never relative.
    match volume(text, Path::new("/")).map_err(Refusal::invalid)? {
        Asked::Bind(bind) => Ok(bind),
        Asked::Anonymous(_) => {
            Err(Refusal::invalid(format!("invalid volume specification: '{text}'")))
        }
    }
}

fn security(option: &str, host: &mut HostConfig) -> Result<(), Refusal> {
    // Docker's numbers: which of its two readings failed.
    let invalid = |at: u8| Refusal::invalid(format!("invalid --security-opt {at}: {option:?}"));
    match option.split_once(['=', ':']) {
        None if option == "no-new-privileges" => host.no_new_privileges = true,
        None => return Err(invalid(1)),
        Some(("no-new-privileges", value)) => {
            host.no_new_privileges = value.parse().map_err(|_| invalid(2))?;
        }
        Some(("seccomp", "unconfined")) => host.seccomp = SeccompMode::Unconfined,
        Some(("seccomp", "builtin" | "")) => host.seccomp = SeccompMode::Default,
        Some(("seccomp", profile)) => host.seccomp = SeccompMode::Profile(profile.to_owned()),
        Some(("systempaths", "unconfined")) => host.unconfined_paths = true,
        Some(("apparmor", profile)) => host.apparmor = Some(profile.to_owned()),
        Some(("label", label)) => host.label.push(label.to_owned()),
        Some(_) => return Err(invalid(2)),
    }
    Ok(())
}

/// Returns when a container is started again.
pub(super) fn restart_policy(policy: &DockerPolicy) -> Result<RestartPolicy, Refusal> {
    let kind = match policy.name.unwrap_or(RestartPolicyNameEnum::EMPTY) {
        RestartPolicyNameEnum::EMPTY | RestartPolicyNameEnum::NO => RestartKind::No,
        RestartPolicyNameEnum::ALWAYS => RestartKind::Always,
        RestartPolicyNameEnum::UNLESS_STOPPED => RestartKind::UnlessStopped,
        RestartPolicyNameEnum::ON_FAILURE => RestartKind::OnFailure,
    };
    let count = policy.maximum_retry_count.unwrap_or_default();
    let maximum_retries = u32::try_from(count).map_err(|_| {
        Refusal::invalid("invalid restart policy: maximum retry count cannot be negative")
    })?;
    if maximum_retries > 0 && kind != RestartKind::OnFailure {
        return Err(Refusal::invalid(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        ));
    }
    Ok(RestartPolicy { kind, maximum_retries })
}

fn log_config(config: HostConfigLogConfig) -> Result<LogConfig, Refusal> {
    let word = config.typ.as_deref().unwrap_or_default();
    let driver = LogDriver::from_word(word).ok_or_else(|| {
        Refusal::invalid(format!("logger: no log driver named '{word}' is registered"))
    })?;
    Ok(LogConfig { driver, options: config.config.unwrap_or_default().into_iter().collect() })
}

/// Returns the ports that are to be published, in order.
fn ports(map: PortMap) -> Result<Vec<PublishedPort>, Refusal> {
    let mut ports = Vec::new();
    for (name, bindings) in map {
        let invalid =
            |what: &str| Refusal::invalid(format!("invalid port specification: {what:?}"));
        let (number, protocol) = name.split_once('/').unwrap_or((&name, "tcp"));
        let container_port: u16 = number.parse().map_err(|_| invalid(&name))?;
        for binding in bindings.unwrap_or_default() {
            let range = binding.host_port.unwrap_or_default();
            let (first, last) = range.split_once('-').unwrap_or((&range, &range));
            let host_ports = match range.as_str() {
                "" | "0" => None,
                _ => {
                    let port = |text: &str| text.parse::<u16>().map_err(|_| invalid(&range));
                    let (first, last) = (port(first)?, port(last)?);
                    if last < first {
                        return Err(invalid(&range));
                    }
                    Some((first, last))
                }
            };
            let host_ip = match binding.host_ip.as_deref().unwrap_or_default() {
                "" => None,
                text => Some(
                    text.parse()
                        .map_err(|_| Refusal::invalid(format!("invalid IP address: {text}")))?,
                ),
            };
            let protocol = protocol.to_lowercase();
            ports.push(PublishedPort { container_port, protocol, host_ip, host_ports });
        }
    }
    ports.sort();
    Ok(ports)
}

fn mount(asked: DockerMount) -> Result<Mount, Refusal> {
    options_of(&asked)?;
    let bind = asked.bind_options.unwrap_or_default();
    let memory = asked.tmpfs_options.unwrap_or_default();
    let of_volume = asked.volume_options.unwrap_or_default();
    let driver = of_volume.driver_config.unwrap_or_default();
    let is = |flag: Option<bool>| flag.unwrap_or_default();
    let kind = match asked.typ {
        Some(MountType::BIND) => MountKind::Bind,
        Some(MountType::VOLUME) => MountKind::Volume,
        Some(MountType::TMPFS) => MountKind::Tmpfs,
        other => {
            let kind = other.map(|kind| kind.to_string()).unwrap_or_default();
            return Err(Refusal::invalid(format!(
                "mount type {kind:?} is not supported by wharf: give bind, volume or tmpfs"
            )));
        }
    };
    let propagation = bind.propagation.map(|one| one.to_string()).filter(|one| !one.is_empty());
    let propagation = propagation.map(|word| {
        Propagation::from_word(&word)
            .ok_or_else(|| Refusal::invalid(format!("invalid mount propagation: {word:?}")))
    });
    let negative = |_| Refusal::invalid("TmpfsOptions can't be negative");
    Ok(Mount {
        kind,
        source: asked.source.unwrap_or_default(),
        target: asked.target.unwrap_or_default(),
        read_only: is(asked.read_only),
        propagation: propagation.transpose()?,
        non_recursive: is(bind.non_recursive),
        read_only_below: match (
            is(bind.read_only_non_recursive),
            is(bind.read_only_force_recursive),
        ) {
            (true, true) => {
                return Err(Refusal::invalid(
                    "mount options conflict: ReadOnlyNonRecursive and ReadOnlyForceRecursive",
                ));
            }
            (true, false) => ReadOnlyBelow::Never,
            (false, true) => ReadOnlyBelow::Always,
            (false, false) => ReadOnlyBelow::IfPossible,
        },
        create_source: is(bind.create_mountpoint),
        tmpfs_size: match memory.size_bytes {
            None | Some(0) => None,
            Some(size) => Some(u64::try_from(size).map_err(negative)?),
        },
        tmpfs_mode: match memory.mode {
            None | Some(0) => None,
            Some(mode) => Some(u32::try_from(mode).map_err(negative)?),
        },
        tmpfs_options: memory
            .options
            .unwrap_or_default()
            .into_iter()
            .map(|words| words.join("="))
            .collect(),
        volume: VolumeMount {
            no_copy: is(of_volume.no_copy),
            labels: of_volume.labels.unwrap_or_default().into_iter().collect(),
            driver: driver.name.unwrap_or_default(),
            options: driver.options.unwrap_or_default().into_iter().collect(),
            subpath: of_volume.subpath.unwrap_or_default(),
        },
    })
}
