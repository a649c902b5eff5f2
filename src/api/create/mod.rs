//! What clients ask of a container, in the engine's terms. What docker has and this engine doesn't is
//! refused by name; what docker itself pays no attention to is left out.

mod host;
mod limits;
mod networks;

use std::time::Duration;

use bollard_stubs::models::{
    ContainerConfig, ContainerCreateBody, ContainerUpdateBody, HealthConfig,
};
use serde_json::{Map, Value};
use wharf_model::{
    Attach, CreateOptions, HealthCheck, ImageConfig, NamespaceMode, NetworkMode, TermSize,
    UpdateOptions,
};

use crate::answer::Refusal;
use crate::request::typed;
use crate::version::Version;

pub(crate) use networks::endpoint;

/// Makes a text at `key` a list of one word: docker takes both.
pub(crate) fn words(document: &mut Value, key: &str) {
    if let Some(value) = document.get_mut(key)
        && let Value::String(text) = value
    {
        *value = Value::Array(vec![Value::String(std::mem::take(text))]);
    }
}

/// Returns a terminal's size that a client names as rows and columns; nothing and zeros are none.
pub(crate) fn terminal_size<T: Copy + TryInto<u16>>(cells: Option<&[T]>) -> Option<TermSize> {
    let &[rows, columns] = cells? else { return None };
    let size = TermSize { rows: rows.try_into().ok()?, columns: columns.try_into().ok()? };
    Some(size).filter(|size| size.rows > 0 && size.columns > 0)
}

fn not_there(field: &str, why: &str) -> Refusal {
    Refusal::invalid(format!("{field} is not supported by wharf: {why}"))
}

/// Fields of `HostConfig` that can be asked for in vain, what may stand there all the same, and why.
const REFUSED: [(&str, &[&str], &str); 10] = [
    ("CpuCount", &[], "it is for Windows"),
    ("CpuPercent", &[], "it is for Windows"),
    ("IOMaximumIOps", &[], "it is for Windows"),
    ("IOMaximumBandwidth", &[], "it is for Windows"),
    ("KernelMemory", &[], "the kernel has no such limit any more"),
    ("KernelMemoryTCP", &[], "the kernel has no such limit on every host"),
    ("DeviceRequests", &[], "name the devices in Devices"),
    ("Isolation", &["default"], "Linux has its own alone"),
    ("Runtime", &["wharf"], "it has no runtime but its own"),
    ("Cgroup", &[], "it is of engines before 1.8"),
];

/// Refuses words that nothing is called by, with docker's sentences: their types know their own alone.
fn check_words(host: &Value) -> Result<(), Refusal> {
    let check = |value: &Value, known: &[&str], sentence: &dyn Fn(&str) -> String| {
        let unknown = value.as_str().filter(|word| !word.is_empty() && !known.contains(word));
        unknown.map_or(Ok(()), |word| Err(Refusal::invalid(sentence(word))))
    };
    let policies = ["no", "always", "on-failure", "unless-stopped"];
    check(&host["RestartPolicy"]["Name"], &policies, &|word| {
        format!(
            "invalid restart policy: unknown policy '{word}'; use one of 'no', 'always', \
             'on-failure', or 'unless-stopped'"
        )
    })?;
    check(&host["CgroupnsMode"], &["host", "private"], &|word| {
        format!("invalid cgroup namespace mode: {word}")
    })?;
    let mounts = host["Mounts"].as_array().map(Vec::as_slice).unwrap_or_default();
    for mount in mounts {
        let kinds = ["bind", "volume", "tmpfs", "npipe", "cluster", "image"];
        check(&mount["Type"], &kinds, &|word| {
            format!("invalid mount config for type {word:?}: mount type unknown")
        })?;
    }
    Ok(())
}

/// Returns whether a value says nothing.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(true) => false,
    }
}

/// Refuses what this engine can't do.
fn check_fields(host: &Value) -> Result<(), Refusal> {
    for (field, allowed, why) in REFUSED {
        let Some(value) = host.get(field).filter(|value| !is_nothing(value)) else { continue };
        if !value.as_str().is_some_and(|text| allowed.contains(&text)) {
            return Err(not_there(&format!("HostConfig.{field}"), why));
        }
    }
    Ok(())
}

/// Returns what `POST /containers/create` asks for.
///
/// # Errors
/// When a field has a wrong value, or one that this engine can't do.
pub(crate) fn options(
    mut document: Value,
    name: Option<&str>,
    platform: Option<&str>,
) -> Result<CreateOptions, Refusal> {
    words(&mut document, "Cmd");
    words(&mut document, "Entrypoint");
    if let Some(check) = document.get_mut("Healthcheck") {
        words(check, "Test");
    }
    check_fields(&document["HostConfig"])?;
    check_words(&document["HostConfig"])?;
    networks::fill(&mut document);
    let mac = document["MacAddress"].as_str().filter(|mac| !mac.is_empty()).map(str::to_owned);
    let body: ContainerCreateBody = typed(document)?;
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let stop_timeout = body.stop_timeout.map(u32::try_from).transpose();
    let stop_timeout =
        stop_timeout.map_err(|_| not_there("StopTimeout", "give seconds from 0 on"))?;
    let asked = body.host_config.unwrap_or_default();
    let links = asked.links.clone().unwrap_or_default();
    let mut host = host::host(asked)?;
    if body.network_disabled == Some(true) {
        host.network_mode = NetworkMode::None;
    }
    let networks = networks::wanted(
        &mut host,
        body.networking_config.unwrap_or_default(),
        networks::Old { mac, links },
    )?;
    let stdin = body.attach_stdin.unwrap_or_default() || body.stdin_once.unwrap_or_default();
    let open_stdin = body.open_stdin.unwrap_or_default();
    Ok(CreateOptions {
        name: name.map(|name| name.strip_prefix('/').unwrap_or(name).to_owned()),
        image: body.image.unwrap_or_default(),
        command: body.cmd.unwrap_or_default(),
        // One empty word is docker's way to write "no entrypoint".
        entrypoint: body
            .entrypoint
            .filter(|words| !words.is_empty())
            .map(|words| if words == [""] { Vec::new() } else { words }),
        env: body.env.unwrap_or_default(),
        working_dir: filled(body.working_dir),
        user: filled(body.user),
        hostname: filled(body.hostname),
        tty: body.tty.unwrap_or_default(),
        open_stdin,
        attach: Attach {
            stdin: stdin && open_stdin || body.attach_stdin.unwrap_or_default(),
            stdout: body.attach_stdout.unwrap_or_default(),
            stderr: body.attach_stderr.unwrap_or_default(),
        },
        labels: body.labels.unwrap_or_default().into_iter().collect(),
        stop_signal: filled(body.stop_signal),
        stop_timeout,
        domainname: body.domainname.unwrap_or_default(),
        healthcheck: body.healthcheck.map(health_check).transpose()?,
        platform: platform.map(str::to_owned),
        networks,
        exposed_ports: body.exposed_ports.unwrap_or_default(),
        volumes: body.volumes.unwrap_or_default(),
        host,
    })
}

/// Makes of what is asked for what a version means by it.
///
/// # Errors
/// When the version hasn't got it.
pub(crate) fn as_of(version: Version, options: &mut CreateOptions) -> Result<(), Refusal> {
    if version < Version(40) && options.host.ipc_mode == NamespaceMode::Default {
        options.host.ipc_mode = NamespaceMode::Shareable;
    }
    if version < Version(44) && options.networks.len() > 1 {
        let names: Vec<&str> = options.networks.iter().map(|one| one.network.as_str()).collect();
        return Err(Refusal::invalid(format!(
            "Container cannot be connected to network endpoints: {}",
            names.join(", ")
        )));
    }
    Ok(())
}

/// Zero is docker's way to write what isn't set.
fn health_check(check: HealthConfig) -> Result<HealthCheck, Refusal> {
    let time = |time: Option<i64>, name: &str| {
        let Some(nanoseconds) = time.filter(|time| *time != 0) else { return Ok(None) };
        u64::try_from(nanoseconds)
            .map(|time| Some(Duration::from_nanos(time)))
            .map_err(|_| Refusal::invalid(format!("{name} in Healthcheck cannot be less than 1ms")))
    };
    let retries = check.retries.filter(|retries| *retries != 0).map(u32::try_from).transpose();
    Ok(HealthCheck {
        test: check.test.unwrap_or_default(),
        interval: time(check.interval, "Interval")?,
        timeout: time(check.timeout, "Timeout")?,
        start_period: time(check.start_period, "StartPeriod")?,
        start_interval: time(check.start_interval, "StartInterval")?,
        retries: retries
            .map_err(|_| Refusal::invalid("Retries in Healthcheck cannot be negative"))?,
    })
}

/// Returns what the document of `POST /commit` says of the image. What only containers have is left
/// out.
///
/// # Errors
/// As [`options`].
pub(crate) fn image_config(mut document: Value) -> Result<ImageConfig, Refusal> {
    words(&mut document, "Cmd");
    words(&mut document, "Entrypoint");
    if let Some(check) = document.get_mut("Healthcheck") {
        words(check, "Test");
    }
    let asked: ContainerConfig = typed(document)?;
    let keys = |list: Option<Vec<String>>| {
        list.unwrap_or_default().into_iter().map(|key| (key, Value::Object(Map::new()))).collect()
    };
    Ok(ImageConfig {
        user: asked.user.unwrap_or_default(),
        exposed_ports: keys(asked.exposed_ports),
        env: asked.env.unwrap_or_default(),
        entrypoint: asked.entrypoint.unwrap_or_default(),
        cmd: asked.cmd.unwrap_or_default(),
        volumes: keys(asked.volumes),
        working_dir: asked.working_dir.unwrap_or_default(),
        labels: asked.labels.unwrap_or_default().into_iter().collect(),
        stop_signal: asked.stop_signal,
        shell: asked.shell.unwrap_or_default(),
        healthcheck: asked.healthcheck.map(health_check).transpose()?,
        on_build: asked.on_build.unwrap_or_default(),
    })
}

/// Returns what `POST /containers/{id}/update` asks for.
///
/// # Errors
/// As [`options`].
pub(crate) fn update(document: Value) -> Result<UpdateOptions, Refusal> {
    check_fields(&document)?;
    check_words(&document)?;
    let body: ContainerUpdateBody = typed(document)?;
    let unlimited_pids = body.pids_limit.is_some_and(|limit| limit <= 0);
    let restart_policy = body.restart_policy.as_ref().map(host::restart_policy).transpose()?;
    Ok(UpdateOptions { resources: limits::changed(body)?, unlimited_pids, restart_policy })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use wharf_model::{MountKind, RestartKind, SeccompMode};

    fn read(document: Value) -> Result<CreateOptions, String> {
        options(document, Some("/web"), None).map_err(|refusal| refusal.message)
    }

    #[test]
    fn a_document_becomes_options() {
        let got = read(json!({
            "Image": "box",
            "Cmd": "true",
            "Entrypoint": [""],
            "Env": ["A=1", "GONE"],
            "AttachStdin": true, "OpenStdin": true, "StdinOnce": true, "Tty": true,
            "ExposedPorts": {"80/tcp": {}},
            "Volumes": {"/data": {}},
            "Labels": {"a": "b"},
            "Healthcheck": {"Test": ["CMD", "true"], "Interval": 1_000_000_000, "Timeout": 0},
            "MacAddress": "02:42:ac:11:00:09",
            "StopTimeout": 3,
            "Unknown": 5,
            "HostConfig": {
                "Binds": ["/a:/b:ro", "data:/c"],
                "Memory": 64 << 20, "NanoCpus": 500_000_000, "PidsLimit": -5,
                "MemorySwappiness": -1,
                "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}], "81": null},
                "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2},
                "LogConfig": {"Type": "", "Config": {}},
                "NetworkMode": "default", "IpcMode": "", "PidMode": "host",
                "SecurityOpt": ["no-new-privileges", "seccomp=unconfined"],
                "Mounts": [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 5}}],
                "Isolation": "", "Runtime": "", "CpuCount": 0, "DeviceRequests": null,
                "ConsoleSize": [24, 80],
            },
            "NetworkingConfig": {"EndpointsConfig": {"default": null}},
        }))
        .unwrap();
        assert_eq!(got.name.as_deref(), Some("web"));
        assert_eq!(got.command, ["true"]);
        assert_eq!(got.entrypoint, Some(Vec::new()));
        assert!(got.tty && got.open_stdin && got.attach.stdin && !got.attach.stdout);
        assert_eq!((got.exposed_ports, got.volumes), (vec!["80/tcp".into()], vec!["/data".into()]));
        let check = got.healthcheck.unwrap();
        assert_eq!((check.interval, check.timeout), (Some(Duration::from_secs(1)), None));
        assert_eq!(got.stop_timeout, Some(3));
        assert_eq!(got.networks.len(), 1);
        assert_eq!(got.networks[0].mac.as_deref(), Some("02:42:ac:11:00:09"));
        let host = got.host;
        assert!(host.binds[0].read_only && host.binds[1].is_volume());
        assert_eq!(host.resources.memory, Some(64 << 20));
        assert_eq!((host.resources.pids_limit, host.resources.memory_swappiness), (None, None));
        assert_eq!(host.published_ports.len(), 1);
        assert_eq!(host.published_ports[0].host_ports, Some((8080, 8080)));
        assert_eq!(host.restart_policy.kind, RestartKind::OnFailure);
        assert_eq!(host.network_mode, NetworkMode::Bridge);
        assert_eq!(host.console_size, Some(TermSize { rows: 24, columns: 80 }));
        assert!(host.no_new_privileges && host.seccomp == SeccompMode::Unconfined);
        assert_eq!(host.mounts[0].kind, MountKind::Tmpfs);
    }

    #[test]
    fn nothing_is_ignored_in_silence() {
        for (host, part) in [
            (json!({"DeviceRequests": [{"Count": -1}]}), "HostConfig.DeviceRequests"),
            (json!({"Runtime": "runc"}), "HostConfig.Runtime"),
            (json!({"Isolation": "hyperv"}), "HostConfig.Isolation"),
            (json!({"KernelMemory": 5}), "HostConfig.KernelMemory"),
            (json!({"LogConfig": {"Type": "syslog"}}), "no log driver named 'syslog'"),
            (json!({"Binds": ["/a:b"]}), "must be absolute"),
            (json!({"Binds": ["/a"]}), "invalid volume specification"),
            (json!({"SecurityOpt": ["foo"]}), "invalid --security-opt 1: \"foo\""),
            (json!({"PortBindings": {"x/tcp": []}}), "invalid port"),
            (json!({"PortBindings": {"80/tcp": [{"HostPort": "x"}]}}), "invalid port"),
            (json!({"PortBindings": {"80/tcp": [{"HostIp": "x"}]}}), "invalid IP address"),
            (
                json!({"Mounts": [{"Type": "bind", "Target": "/x", "TmpfsOptions": {}}]}),
                "field TmpfsOptions must not be specified",
            ),
            (json!({"Mounts": [{"Type": "image", "Target": "/x"}]}), "image"),
            (json!({"Mounts": [{"Type": "x", "Target": "/x"}]}), "mount type unknown"),
            (json!({"RestartPolicy": {"Name": "x"}}), "unknown policy 'x'"),
            (json!({"CgroupnsMode": "x"}), "invalid cgroup namespace mode: x"),
            (json!({"Memory": "5"}), "invalid JSON"),
            (json!({"PidMode": "foo"}), "invalid PID mode"),
            (json!({"Memory": -5}), "Memory"),
        ] {
            let reason = read(json!({"Image": "x", "HostConfig": host})).unwrap_err();
            assert!(reason.contains(part), "{part}: {reason}");
        }
        assert!(read(json!([])).is_err() && read(json!("x")).is_err());
        assert!(read(json!({"StopTimeout": -1})).unwrap_err().contains("StopTimeout"));
    }

    #[test]
    fn an_update_changes_what_it_names() {
        let got = update(json!({
            "Memory": 64 << 20, "CpuShares": 0, "PidsLimit": 0, "Devices": [],
            "RestartPolicy": {"Name": "always", "MaximumRetryCount": 0},
        }))
        .unwrap();
        assert!(got.unlimited_pids);
        assert_eq!(got.resources.memory, Some(64 << 20));
        assert_eq!(got.resources.cpu_shares, None);
        assert_eq!(got.restart_policy.unwrap().kind, RestartKind::Always);
        let nothing = update(json!({"RestartPolicy": {"Name": ""}})).unwrap();
        assert_eq!(nothing.restart_policy.map(|policy| policy.kind), Some(RestartKind::No));
    }
}
