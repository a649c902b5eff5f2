//! `create`: the image's defaults and the user's wishes become a container's settings.

use std::time::Duration;

use chrono::Utc;
use wharf_cgroup::Layout;
use wharf_model::{
    ContainerConfig, ContainerId, CreateOptions, Created, EndpointOptions, ErrorKind, HealthAction,
    HealthCheck, HostConfig, ImageConfig, NetworkMode, RestartKind,
};

use super::{mounts, namespaces, networks};
use crate::engine::Engine;
use crate::image::Images;
use crate::lock::{self, Lock};
use crate::network::{forecast, publish};
use crate::security::{capabilities, seccomp};
use crate::state::{Observed, Record, Spec, Store};
use crate::userns::{self, remap};
use crate::{Error, Result, folder, names, quota, volume};

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|cause| Error::failed("get random bytes", cause))?;
    Ok(bytes)
}

impl Engine {
    /// Makes a container, not yet running.
    ///
    /// # Errors
    /// When the image isn't there, a setting is wrong, a limit can't be applied by this kernel, or
    /// the name is taken. Nothing is left behind then.
    pub fn create(&self, options: &CreateOptions) -> Result<Created> {
        self.with_store(|store| self.create_with(store, options))
    }

    fn create_with(&self, store: &mut Store, options: &CreateOptions) -> Result<Created> {
        if let Some(name) = &options.name {
            names::check(name)?;
        }
        if Images::is_demo(&options.image) {
            Images::new(store, self.paths()).ensure_own()?;
        }
        let image = Images::new(store, self.paths()).resolve(&options.image)?;
        let id = ContainerId::from_bytes(random()?);
        if let Some(platform) = &options.platform {
            check_platform(&options.image, platform, &image.os, &image.architecture)?;
        }
        let mut config = merge(&id, options, &image.config)?;
        let mut host = normalised(&options.host);
        host.log_config.settle(self.log_settings());
        check(&config, &host)?;
        namespaces::check(options)?;
        let inherited = mounts::inherit(store, &options.host)?;
        let mut host = namespaces::resolved(store, host)?;
        self.default_userns(&mut host)?;
        remap::check(&host)?;
        let settled = networks::settle(store, options, &mut host, self.network_settings())?;
        config.hostname = settled.hostname.unwrap_or(config.hostname);
        quota::check(self.paths(), &host)?;
        let mut warnings = Vec::new();
        if userns::is_nested() {
            let layout = Layout::detect().map_err(|cause| Error::failed("cgroups", cause))?;
            warnings = userns::limits::discard(&mut host, &layout);
        }
        warnings.extend(super::limits::settle(&mut host)?);
        match host.network_mode {
            NetworkMode::Bridge | NetworkMode::Named(_) if userns::owns_network() => {
                let named = |name: &str| EndpointOptions {
                    network: name.to_owned(),
                    ..EndpointOptions::default()
                };
                let on = settled.networks.clone().unwrap_or_else(|| {
                    host.network_mode.network().map(named).into_iter().collect()
                });
                warnings.extend(forecast(store, &on)?);
                let ports = !host.published_ports.is_empty() || host.publish_all_ports;
                if ports && !publish::is_possible(store, &on)? {
                    warnings.push(
                        "Published ports are discarded: the container is on internal networks, \
                         macvlan and ipvlan ones alone, where this host lets nobody in"
                            .to_owned(),
                    );
                }
            }
            NetworkMode::Host if !host.published_ports.is_empty() || host.publish_all_ports => {
                warnings
                    .push("Published ports are discarded when using host network mode".to_owned());
            }
            _ => {}
        }
        if let Some(name) = &options.name {
            store.check_container_name(name)?;
        }
        let lower_dirs = |store: &mut Store| Images::new(store, self.paths()).lower_dirs(&image.id);
        let volumes =
            volume::choose(self.paths(), store, &host, &config.volumes, &inherited, &lower_dirs)?;
        let record = Record {
            name: options.name.clone().unwrap_or_default(),
            created: Utc::now(),
            image: image.id.clone(),
            spec: Spec {
                config,
                host,
                inherited,
                volumes: volumes.points.clone(),
                networks: settled.networks,
            },
            observed: Observed::default(),
            id,
        };
        // Until it is whole, nobody else may start, remove or judge it, nor sweep its folder away.
        let run = self.paths().container_run(&record.id);
        let lock = |name| {
            Lock::acquire(&run, name)
                .map_err(|cause| Error::failed(format_args!("lock {}", run.display()), cause))
        };
        // The order in which they are given back matters: who waits for the verbs finds the life free.
        let _verbs = lock(lock::VERBS)?;
        let _life = lock(lock::LIFE)?;
        let id = record.id.clone();
        let made = store
            .journal("folder", id.as_str(), &id)
            .and_then(|()| folder::make(self.paths(), &id))
            .and_then(|()| quota::apply(self.paths(), &id, &record.spec.host))
            .and_then(|()| self.add(store, record, options.name.is_none(), &volumes));
        let record = match made {
            Ok(record) => record,
            Err(error) => {
                // The reason why there is no container is the one to report; what can't be removed is
                // journalled.
                let _ = folder::remove(self.paths(), store, &id);
                lock::forget(&run, lock::LIFE);
                lock::forget(&run, lock::VERBS);
                return Err(error);
            }
        };
        if let Err(error) = volumes.fill_mounted(self.paths(), store, &lower_dirs) {
            // The first failure is the one to report; what can't be removed is journalled.
            let _ = store.remove_container(&record, &[("destroy", Vec::new())], true);
            let _ = folder::remove(self.paths(), store, &record.id);
            return Err(error);
        }
        Ok(Created { id: record.id, name: record.name, warnings })
    }

    /// Stores the container, under a made-up name when it is `unnamed`.
    fn add(
        &self,
        store: &mut Store,
        mut record: Record,
        unnamed: bool,
        volumes: &volume::Choice,
    ) -> Result<Record> {
        for attempt in 0.. {
            if unnamed {
                record.name = names::make_up(random()?, attempt);
            }
            match store.add_container(self.paths(), &record, volumes) {
                Ok(()) => break,
                // The name is checked first of all: nothing has been moved.
                Err(error) if unnamed && attempt < 20 && error.kind() == ErrorKind::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        Ok(record)
    }
}

/// Merges the image's defaults into what the user asked for.
fn merge(
    id: &ContainerId,
    options: &CreateOptions,
    image: &ImageConfig,
) -> Result<ContainerConfig> {
    // The user's own come first, and one that only names a variable takes the image's away.
    let name = |entry: &String| entry.split('=').next().unwrap_or_default().to_owned();
    let mut env = Vec::new();
    for entry in &options.env {
        match env.iter_mut().find(|other| name(other) == name(entry)) {
            Some(other) => entry.clone_into(other),
            None => env.push(entry.clone()),
        }
    }
    let own: Vec<String> = env.iter().map(name).collect();
    env.extend(image.env.iter().filter(|entry| !own.contains(&name(entry))).cloned());
    // An entrypoint of the user's own leaves nothing of the image's command.
    let (entrypoint, cmd) = match &options.entrypoint {
        Some(entrypoint) => (entrypoint.clone(), options.command.clone()),
        None if options.command.is_empty() => (image.entrypoint.clone(), image.cmd.clone()),
        None => (image.entrypoint.clone(), options.command.clone()),
    };
    if entrypoint.is_empty() && cmd.is_empty() {
        return Err(invalid("no command specified"));
    }
    let mut labels = image.labels.clone();
    labels.extend(options.labels.clone());
    let hostname =
        match (&options.hostname, options.host.network_mode == wharf_model::NetworkMode::Host) {
            (Some(name), _) => name.clone(),
            (None, true) => rustix::system::uname().nodename().to_string_lossy().into_owned(),
            (None, false) => id.short().to_owned(),
        };
    let pick = |wanted: &Option<String>, default: &str| {
        wanted.clone().unwrap_or_else(|| default.to_owned())
    };
    Ok(ContainerConfig {
        hostname,
        user: pick(&options.user, &image.user),
        tty: options.tty,
        open_stdin: options.open_stdin,
        attach: options.attach,
        env,
        cmd,
        image: options.image.clone(),
        working_dir: pick(&options.working_dir, &image.working_dir),
        entrypoint,
        labels,
        stop_signal: options
            .stop_signal
            .clone()
            .or_else(|| image.stop_signal.clone())
            .unwrap_or_else(|| "SIGTERM".to_owned()),
        stop_timeout: options.stop_timeout,
        domainname: options.domainname.clone(),
        healthcheck: health_check(options.healthcheck.as_ref(), image.healthcheck.as_ref())?,
        exposed_ports: exposed_ports(options, image)?,
        shell: image.shell.clone(),
        volumes: image.volumes.keys().chain(&options.volumes).cloned().collect(),
    })
}

/// Returns the ports that the image and the user say it serves, those to be published among them.
fn exposed_ports(options: &CreateOptions, image: &ImageConfig) -> Result<Vec<String>> {
    let published = options.host.published_ports.iter();
    let published = published.map(|port| format!("{}/{}", port.container_port, port.protocol));
    let named = image.exposed_ports.keys().chain(&options.exposed_ports).cloned();
    let mut ports = Vec::new();
    for text in named.chain(published) {
        match publish::exposed(&text) {
            Some((port, protocol)) if port > 0 => ports.push((port, protocol)),
            // An image may say what it likes; only what is asked for must be had.
            _ if image.exposed_ports.contains_key(&text) => {}
            _ => {
                return Err(invalid(format!(
                    "invalid port specification {text:?}: give PORT/tcp or PORT/udp, from 1 to 65535"
                )));
            }
        }
    }
    ports.sort_unstable();
    ports.dedup();
    Ok(ports.into_iter().map(|(port, protocol)| format!("{port}/{}", protocol.as_str())).collect())
}

/// The least that a time of a health check may be, as in docker.
const LEAST_HEALTH_TIME: Duration = Duration::from_millis(1);

/// Merges the user's health check and the image's.
fn health_check(
    wanted: Option<&HealthCheck>,
    image: Option<&HealthCheck>,
) -> Result<Option<HealthCheck>> {
    if let Some(check) = wanted {
        for (time, name) in [
            (check.interval, "Interval"),
            (check.timeout, "Timeout"),
            (check.start_period, "StartPeriod"),
            (check.start_interval, "StartInterval"),
        ] {
            if time.is_some_and(|time| time < LEAST_HEALTH_TIME) {
                return Err(invalid(format!("{name} in Healthcheck cannot be less than 1ms")));
            }
        }
    }
    let Some(mut check) = wanted.or(image).cloned() else { return Ok(None) };
    if let Some(image) = image {
        check.merge(image);
    }
    match check.test.first().map(String::as_str) {
        None => Ok(None),
        Some("NONE" | "CMD" | "CMD-SHELL") => Ok(Some(check)),
        Some(other) => Err(invalid(format!(
            "unknown health check type {other:?}: give NONE, CMD or CMD-SHELL"
        ))),
    }
}

fn check_policy(host: &HostConfig) -> Result<()> {
    if host.auto_remove && host.health_on_failure == HealthAction::Restart {
        return Err(invalid(
            "can't create 'AutoRemove' container that is restarted when unhealthy",
        ));
    }
    let policy = host.restart_policy;
    if policy.kind == RestartKind::No {
        return Ok(());
    }
    if host.auto_remove {
        return Err(invalid("can't create 'AutoRemove' container with restart policy"));
    }
    if policy.maximum_retries > 0 && policy.kind != RestartKind::OnFailure {
        return Err(invalid(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        ));
    }
    Ok(())
}

fn check(config: &ContainerConfig, host: &HostConfig) -> Result<()> {
    check_policy(host)?;
    wharf_logs::check(&host.log_config).map_err(invalid)?;
    super::signal::parse(&config.stop_signal)?;
    if !config.working_dir.is_empty() && !config.working_dir.starts_with('/') {
        return Err(invalid(format!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            config.working_dir
        )));
    }
    let name = &config.hostname;
    let letters = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if name.is_empty() || name.len() > 63 || !name.bytes().all(letters) {
        return Err(invalid(format!("invalid hostname format: {name}")));
    }
    for text in config.env.iter().chain(&config.cmd).chain(&config.entrypoint) {
        if text.contains('\0') {
            return Err(invalid(format!("{text:?} holds a NUL byte")));
        }
    }
    if let Some(entry) = config.env.iter().find(|e| e.starts_with('=') || e.is_empty()) {
        return Err(invalid(format!("invalid environment variable: {entry}")));
    }
    let granted = capabilities::select(host.privileged, &host.cap_add, &host.cap_drop)?;
    volume::check_targets(&config.volumes)?;
    seccomp::filter(&host.seccomp, granted)?;
    // Labels mean nothing without SELinux, and docker lets them pass then.
    let labelled = host.label.iter().any(|label| label != "disable");
    if labelled && std::path::Path::new("/sys/fs/selinux/enforce").exists() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "--security-opt label=… is not supported yet by this version of wharf on a host with \
             SELinux: label=disable is",
        ));
    }
    mounts::check(host)
}

/// Refuses an image that is for another platform than the one asked for.
pub(crate) fn check_platform(
    image: &str,
    wanted: &str,
    os: &str,
    architecture: &str,
) -> Result<()> {
    let (system, machine) = parse_platform(wanted)?;
    let architecture = if architecture.is_empty() { "amd64" } else { architecture };
    let os = if os.is_empty() { "linux" } else { os };
    if system == os && machine.as_ref().is_none_or(|machine| machine == architecture) {
        return Ok(());
    }
    Err(invalid(format!(
        "image with reference {image} was found but does not match the specified platform: \
         wanted {wanted}, actual: {os}/{architecture}"
    )))
}

/// Returns the operating system, and the architecture if it is named, of `os[/arch[/variant]]`, or of
/// one of the two alone.
pub(crate) fn parse_platform(wanted: &str) -> Result<(String, Option<String>)> {
    let wrong = |why: &str| {
        invalid(format!("error parsing specified platform: {wanted:?}: {why}: invalid argument"))
    };
    let parts: Vec<&str> = wanted.split('/').collect();
    let usual = |word: &str| match word.to_ascii_lowercase().as_str() {
        "x86_64" | "x86-64" => "amd64".to_owned(),
        "aarch64" => "arm64".to_owned(),
        "i386" | "i686" => "386".to_owned(),
        "macos" => "darwin".to_owned(),
        other => other.to_owned(),
    };
    let systems = ["linux", "windows", "darwin", "freebsd"];
    let machines =
        ["amd64", "386", "arm", "arm64", "loong64", "mips64le", "ppc64le", "riscv64", "s390x"];
    let (system, machine) = match parts[..] {
        [one] if systems.contains(&usual(one).as_str()) => (usual(one), None),
        [one] if machines.contains(&usual(one).as_str()) => ("linux".to_owned(), Some(usual(one))),
        [_] => return Err(wrong("unknown operating system or architecture")),
        [system, machine] | [system, machine, _] => (usual(system), Some(usual(machine))),
        _ => return Err(wrong("cannot parse platform specifier")),
    };
    if parts.iter().any(|part| part.is_empty()) {
        return Err(wrong("cannot parse platform specifier"));
    }
    Ok((system, machine))
}

/// Gives capability names one form.
fn normalised(host: &HostConfig) -> HostConfig {
    let mut host = host.clone();
    for list in [&mut host.cap_add, &mut host.cap_drop] {
        for name in list {
            let upper = name.to_ascii_uppercase();
            upper.strip_prefix("CAP_").unwrap_or(&upper).clone_into(name);
        }
    }
    host
}
