//! Docker's inspect document as a [`ContainerDetail`]. What the model has no word for stays in the
//! raw document, which the Inspect tab shows.

use std::time::Duration;

use bollard::models;
use chrono::{DateTime, Utc};
use wharf_model::{
    Attach, ContainerConfig, ContainerDetail, ContainerState, Health, HealthCheck, HealthStatus,
    HostConfig, LogConfig, LogDriver, NetworkMode, ProbeResult, RestartKind, RestartPolicy,
};

use super::{error, list, ports, resources, spaces};
use crate::Result;

/// Returns what the document says of the container.
pub(super) fn container(document: models::ContainerInspectResponse) -> Result<ContainerDetail> {
    let unreadable = |cause| error::malformed("container document", cause);
    let host = document.host_config.unwrap_or_default();
    let network_mode = host.network_mode.clone().unwrap_or_default();
    let settings_of = document.network_settings.unwrap_or_default();
    let mut endpoints: Vec<_> = settings_of
        .networks
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(name, settings)| list::endpoint(name, settings.into()))
        .collect();
    endpoints.sort_by(|a, b| a.network.cmp(&b.network));
    let driver = document.graph_driver.map(|driver| driver.data).unwrap_or_default();
    let folder = |key: &str| driver.get(key).cloned().unwrap_or_default();
    let lower = folder("LowerDir");
    let config = document.config.unwrap_or_default();
    Ok(ContainerDetail {
        id: document.id.unwrap_or_default().parse().map_err(unreadable)?,
        name: document.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        created: document
            .created
            .as_deref()
            .and_then(list::instant)
            .unwrap_or(DateTime::<Utc>::UNIX_EPOCH),
        image_id: document.image.unwrap_or_default().parse().map_err(unreadable)?,
        config: settings(config),
        host_config: host_config(host, &network_mode),
        state: state(document.state.unwrap_or_default(), document.restart_count),
        networks: Vec::new(),
        endpoints,
        ports: ports::served(settings_of.ports.unwrap_or_default()),
        mounts: document.mounts.unwrap_or_default().into_iter().filter_map(list::mount).collect(),
        log_path: document.log_path.unwrap_or_default(),
        lower_dirs: lower.split(':').filter(|dir| !dir.is_empty()).map(str::to_owned).collect(),
        upper_dir: folder("UpperDir"),
        work_dir: folder("WorkDir"),
        resolv_conf_path: document.resolv_conf_path.unwrap_or_default(),
        hostname_path: document.hostname_path.unwrap_or_default(),
        hosts_path: document.hosts_path.unwrap_or_default(),
        // Its own document tells it.
        image_manifest: None,
    })
}

fn settings(config: models::ContainerConfig) -> ContainerConfig {
    ContainerConfig {
        hostname: config.hostname.unwrap_or_default(),
        user: config.user.unwrap_or_default(),
        tty: config.tty.unwrap_or_default(),
        open_stdin: config.open_stdin.unwrap_or_default(),
        attach: Attach {
            stdin: config.attach_stdin.unwrap_or_default(),
            stdout: config.attach_stdout.unwrap_or_default(),
            stderr: config.attach_stderr.unwrap_or_default(),
        },
        env: config.env.unwrap_or_default(),
        cmd: config.cmd.unwrap_or_default(),
        image: config.image.unwrap_or_default(),
        working_dir: config.working_dir.unwrap_or_default(),
        entrypoint: config.entrypoint.unwrap_or_default(),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        // Docker leaves it out when it is the default.
        stop_signal: config
            .stop_signal
            .filter(|signal| !signal.is_empty())
            .unwrap_or_else(|| "SIGTERM".to_owned()),
        stop_timeout: config.stop_timeout.and_then(|seconds| u32::try_from(seconds).ok()),
        domainname: config.domainname.unwrap_or_default(),
        healthcheck: config.healthcheck.map(health_check),
        exposed_ports: {
            let mut ports: Vec<String> =
                config.exposed_ports.unwrap_or_default().into_iter().collect();
            ports.sort();
            ports
        },
        shell: config.shell.unwrap_or_default(),
        volumes: config.volumes.unwrap_or_default().into_iter().collect(),
    }
}

fn health_check(check: models::HealthConfig) -> HealthCheck {
    let time = |nanoseconds: Option<i64>| {
        let set = nanoseconds.and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
        set.map(Duration::from_nanos)
    };
    HealthCheck {
        test: check.test.unwrap_or_default(),
        interval: time(check.interval),
        timeout: time(check.timeout),
        start_period: time(check.start_period),
        start_interval: time(check.start_interval),
        retries: check.retries.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0),
    }
}

fn restart_policy(policy: &models::RestartPolicy) -> RestartPolicy {
    use models::RestartPolicyNameEnum as Name;
    let kind = match policy.name {
        Some(Name::ALWAYS) => RestartKind::Always,
        Some(Name::UNLESS_STOPPED) => RestartKind::UnlessStopped,
        Some(Name::ON_FAILURE) => RestartKind::OnFailure,
        _ => RestartKind::No,
    };
    let count = policy.maximum_retry_count.and_then(|count| u32::try_from(count).ok());
    RestartPolicy { kind, maximum_retries: count.unwrap_or_default() }
}

/// What sends the log elsewhere has no word here, and is shown as the default; the raw document
/// tells it.
fn log_config(config: models::HostConfigLogConfig) -> LogConfig {
    LogConfig {
        driver: match config.typ.as_deref() {
            Some("local") => LogDriver::Local,
            Some("none") => LogDriver::None,
            _ => LogDriver::JsonFile,
        },
        options: config.config.unwrap_or_default().into_iter().collect(),
    }
}

fn host_config(mut host: models::HostConfig, network_mode: &str) -> HostConfig {
    let resources = resources::from_container(&host);
    let capabilities = |list: Option<Vec<String>>| {
        let plain = |name: String| name.strip_prefix("CAP_").map(str::to_owned).unwrap_or(name);
        list.unwrap_or_default().into_iter().map(plain).collect()
    };
    let mut wanted = HostConfig::default();
    spaces::read(&mut host, &mut wanted);
    HostConfig {
        auto_remove: host.auto_remove.unwrap_or_default(),
        published_ports: ports::wanted(host.port_bindings.take().unwrap_or_default()),
        publish_all_ports: host.publish_all_ports.unwrap_or_default(),
        tmpfs: host.tmpfs.unwrap_or_default().into_iter().collect(),
        readonly_rootfs: host.readonly_rootfs.unwrap_or_default(),
        network_mode: NetworkMode::from(network_mode.to_owned()),
        resources,
        oom_score_adj: host
            .oom_score_adj
            .and_then(|score| i32::try_from(score).ok())
            .filter(|score| *score != 0),
        storage_opt: host.storage_opt.unwrap_or_default().into_iter().collect(),
        cgroup_parent: host.cgroup_parent.unwrap_or_default(),
        cap_add: capabilities(host.cap_add),
        cap_drop: capabilities(host.cap_drop),
        privileged: host.privileged.unwrap_or_default(),
        init: host.init.unwrap_or_default(),
        restart_policy: host.restart_policy.as_ref().map(restart_policy).unwrap_or_default(),
        log_config: host.log_config.map(log_config).unwrap_or_default(),
        ..wanted
    }
}

fn state(state: models::ContainerState, restart_count: Option<i64>) -> ContainerState {
    ContainerState {
        status: list::status(&state.status.map(|status| status.to_string()).unwrap_or_default()),
        pid: state.pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0),
        exit_code: state.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or_default(),
        oom_killed: state.oom_killed.unwrap_or_default(),
        error: state.error.unwrap_or_default(),
        started_at: state.started_at.as_deref().and_then(list::instant),
        finished_at: state.finished_at.as_deref().and_then(list::instant),
        restart_count: restart_count.and_then(|n| u32::try_from(n).ok()).unwrap_or_default(),
        health: state.health.and_then(health),
    }
}

fn health(health: models::Health) -> Option<Health> {
    let status = match health.status?.to_string().as_str() {
        "starting" => HealthStatus::Starting,
        "healthy" => HealthStatus::Healthy,
        "unhealthy" => HealthStatus::Unhealthy,
        _ => return None,
    };
    let probe = |result: models::HealthcheckResult| {
        Some(ProbeResult {
            start: list::instant(&result.start?)?,
            end: list::instant(&result.end?)?,
            exit_code: result.exit_code.and_then(|code| i32::try_from(code).ok())?,
            output: result.output.unwrap_or_default(),
        })
    };
    Some(Health {
        status,
        failing_streak: health
            .failing_streak
            .and_then(|streak| u32::try_from(streak).ok())
            .unwrap_or_default(),
        log: health.log.unwrap_or_default().into_iter().filter_map(probe).collect(),
    })
}
