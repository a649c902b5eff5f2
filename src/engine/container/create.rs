//! `create`: the image's defaults and the user's wishes become a container's settings.

use std::path::{Component, Path};
use std::time::Duration;

use chrono::Utc;
use wharf_cgroup::{Layout, Limits};
use wharf_model::{
    ContainerConfig, ContainerId, CreateOptions, Created, ErrorKind, HealthAction, HealthCheck,
    HostConfig, ImageConfig, RestartKind,
};

use crate::engine::Engine;
use crate::image::Images;
use crate::security::capabilities;
use crate::state::{Observed, Record, Spec, Store};
use crate::supervisor::set;
use crate::{Error, Result, folder, names};

/// The least memory a container may have, as in docker.
const LEAST_MEMORY: u64 = 6 * 1024 * 1024;

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

fn random<const N: usize>() -> Result<[u8; N]> {
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
            let own = std::fs::File::open("/proc/self/exe")
                .map_err(|cause| Error::failed("open this program's file", cause))?;
            Images::new(store, self.paths()).ensure_demo(&own)?;
        }
        let image = Images::new(store, self.paths()).resolve(&options.image)?;
        let id = ContainerId::from_bytes(random()?);
        let config = merge(&id, options, &image.config)?;
        check(&config, &options.host)?;
        let warnings = check_limits(&options.host)?;
        let record = Record {
            name: options.name.clone().unwrap_or_default(),
            created: Utc::now(),
            image: image.id,
            spec: Spec { config, host: normalised(&options.host) },
            observed: Observed::default(),
            id,
        };
        let record = add(store, record, options.name.is_none())?;
        let made = folder::make(self.paths(), &record.id)
            // Somebody may have removed it already.
            .and_then(|()| store.container(record.id.as_str()).map(drop));
        if let Err(error) = made {
            // The reason why there is no container is the one to report; what can't be removed is
            // journalled.
            let _ = store.remove_container(&record, &[("destroy", Vec::new())]);
            let _ = folder::remove(self.paths(), store, &record.id);
            return Err(error);
        }
        Ok(Created { id: record.id, name: record.name, warnings })
    }
}

/// Stores the container, under a made-up name when it is `unnamed`.
fn add(store: &mut Store, mut record: Record, unnamed: bool) -> Result<Record> {
    for attempt in 0.. {
        if unnamed {
            record.name = names::make_up(random()?, attempt);
        }
        match store.add_container(&record) {
            Ok(()) => break,
            Err(error) if unnamed && attempt < 20 && error.kind() == ErrorKind::Conflict => {}
            Err(error) => return Err(error),
        }
    }
    Ok(record)
}

/// Merges the image's defaults into what the user asked for.
fn merge(
    id: &ContainerId,
    options: &CreateOptions,
    image: &ImageConfig,
) -> Result<ContainerConfig> {
    let mut env = image.env.clone();
    for entry in &options.env {
        set(&mut env, entry);
    }
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
        shell: image.shell.clone(),
    })
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
    capabilities::select(host.privileged, &host.cap_add, &host.cap_drop)?;
    let mut targets = Vec::new();
    for bind in &host.binds {
        check_target(&bind.target)?;
        if !bind.source.starts_with('/') {
            return Err(invalid(format!("bind source {:?} is not an absolute path", bind.source)));
        }
        targets.push(bind.target.as_str());
    }
    for target in host.tmpfs.keys() {
        check_target(target)?;
        targets.push(target);
    }
    targets.sort_unstable();
    match targets.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(invalid(format!("Duplicate mount point: {}", pair[0]))),
        None => Ok(()),
    }
}

fn check_target(target: &str) -> Result<()> {
    let path = Path::new(target);
    if !path.is_absolute() {
        return Err(invalid(format!(
            "invalid volume specification: mount path must be absolute: {target:?}"
        )));
    }
    if path.components().all(|c| matches!(c, Component::RootDir | Component::CurDir)) {
        return Err(invalid("invalid specification: destination can't be '/'"));
    }
    Ok(())
}

/// Checks limits against their bounds and this kernel.
fn check_limits(host: &HostConfig) -> Result<Vec<String>> {
    let resources = &host.resources;
    if resources.memory.is_some_and(|bytes| bytes < LEAST_MEMORY) {
        return Err(invalid("Minimum memory limit allowed is 6MB"));
    }
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if let Some(nano) = resources.nano_cpus {
        let most = u64::try_from(cpus).unwrap_or(u64::MAX).saturating_mul(1_000_000_000);
        if nano == 0 || nano > most {
            return Err(invalid(format!(
                "range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"
            )));
        }
    }
    let layout = Layout::detect().map_err(|cause| Error::failed("cgroups", cause))?;
    Limits::new(resources, host.privileged)
        .check(&layout)
        .map_err(|cause| Error::new(cause.kind(), cause.to_string()))?;
    Ok(Vec::new())
}

/// Host paths that don't exist are made, as docker's `-v` does; capability names get one form.
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
