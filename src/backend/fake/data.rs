//! What the fake engine holds and measures.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use wharf_model::{
    BlockCounters, ContainerConfig, ContainerDetail, ContainerId, ContainerState, ContainerSummary,
    CpuCounters, Digest, EndpointInfo, EngineInfo, HealthStatus, HistoryEntry, HostConfig,
    HostSample, ImageConfig, ImageDetail, ImageName, ImageSummary, Limit, LogRecord, LogStream,
    MemoryCounters, MountInfo, MountKind, NetCounters, NetworkMode, PidCounters, PortBinding,
    Pressure, PressureLine, Sample, Status, TopTable,
};

const MIB: u64 = 1 << 20;

/// The fake engine's first second, in seconds since 1970: 2026-03-01 00:00:00 UTC.
pub const EPOCH: i64 = 1_772_323_200;

/// Returns the fake engine's first second.
pub fn epoch() -> DateTime<Utc> {
    DateTime::from_timestamp(EPOCH, 0).unwrap_or_default()
}

/// Returns the instant this many seconds after [`epoch`].
pub fn time(seconds: i64) -> DateTime<Utc> {
    epoch() + TimeDelta::seconds(seconds)
}

/// Returns a container with this number, which makes its id, and in this state.
pub fn container(number: u8, name: &str, image: &str, status: Status) -> ContainerSummary {
    let age = i64::from(number) * 731 + 45;
    let address = Ipv4Addr::new(172, 17, 0, number.saturating_add(2));
    let mut container = ContainerSummary {
        id: id(number),
        name: name.to_owned(),
        image: image.to_owned(),
        image_id: Some(Digest::from_bytes(&[number; 32])),
        command: format!("/usr/bin/{name} --serve"),
        created: time(-age),
        status: Status::Created,
        status_text: String::new(),
        exit_code: None,
        started_at: None,
        health: None,
        restart_count: Some(0),
        auto_remove: false,
        labels: BTreeMap::new(),
        ports: Vec::new(),
        endpoints: vec![EndpointInfo {
            network: "bridge".to_owned(),
            ip: IpAddr::V4(address),
            prefix: 16,
            gateway: Some(IpAddr::V4(Ipv4Addr::new(172, 17, 0, 1))),
            mac: format!("02:42:ac:11:00:{:02x}", number.saturating_add(2)),
            network_id: String::new(),
            endpoint_id: String::new(),
        }],
        networks: vec!["bridge".to_owned()],
        network_mode: NetworkMode::Bridge,
        mounts: Vec::new(),
        size: None,
    };
    set_status(&mut container, status);
    container
}

fn id(number: u8) -> ContainerId {
    let mut bytes = [0_u8; 32];
    for (n, byte) in (0_u8..).zip(bytes.iter_mut()) {
        *byte = number.wrapping_mul(37).wrapping_add(n.wrapping_mul(101)).rotate_left(3) ^ 0x5c;
    }
    ContainerId::from_bytes(bytes)
}

/// Brings a container into a state as an engine would.
pub(super) fn set_status(c: &mut ContainerSummary, status: Status) {
    c.status = status;
    if status != Status::Created && c.started_at.is_none() {
        c.started_at = Some(c.created + TimeDelta::seconds(1));
    }
    c.exit_code = matches!(status, Status::Exited | Status::Dead).then_some(0);
    c.status_text = match status {
        Status::Running => "Up 12 minutes".to_owned(),
        Status::Paused => "Up 12 minutes (Paused)".to_owned(),
        Status::Restarting => "Restarting (1) 4 seconds ago".to_owned(),
        Status::Exited => "Exited (0) 2 minutes ago".to_owned(),
        Status::Created => "Created".to_owned(),
        Status::Removing => "Removal In Progress".to_owned(),
        Status::Dead => "Dead".to_owned(),
    };
    if !status.is_alive() {
        c.endpoints.clear();
        c.health = None;
    }
}

fn port(container_port: u16, host: Option<u16>) -> PortBinding {
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    PortBinding { container_port, protocol: "tcp".to_owned(), host: host.map(|p| (any, p)) }
}

fn compose(c: &mut ContainerSummary, project: &str, service: &str) {
    c.labels.insert("com.docker.compose.project".to_owned(), project.to_owned());
    c.labels.insert("com.docker.compose.service".to_owned(), service.to_owned());
    c.networks = vec![format!("{project}_default")];
    for endpoint in &mut c.endpoints {
        endpoint.network = format!("{project}_default");
        if let IpAddr::V4(address) = endpoint.ip {
            let [a, _, c, d] = address.octets();
            endpoint.ip = IpAddr::V4(Ipv4Addr::new(a, 18, c, d));
        }
    }
}

/// Puts a container on the network that nothing leaves.
fn behind(c: &mut ContainerSummary, number: u8) {
    c.networks.insert(0, "shop_back".to_owned());
    c.endpoints.push(EndpointInfo {
        network: "shop_back".to_owned(),
        ip: IpAddr::V4(Ipv4Addr::new(172, 19, 0, number)),
        prefix: 16,
        gateway: None,
        mac: format!("02:42:ac:13:00:{number:02x}"),
        network_id: String::new(),
        endpoint_id: String::new(),
    });
}

/// Returns one container of every kind.
pub(super) fn containers() -> Vec<ContainerSummary> {
    let mut web = container(1, "web-1", "nginx:1.27", Status::Running);
    web.health = Some(HealthStatus::Healthy);
    web.ports = vec![port(80, Some(8080)), port(443, Some(8443))];
    compose(&mut web, "shop", "web");
    web.mounts = vec![MountInfo {
        kind: MountKind::Bind,
        name: None,
        source: "/srv/shop/static".to_owned(),
        destination: "/usr/share/nginx/html".to_owned(),
        writable: false,
        ..MountInfo::default()
    }];
    let mut api = container(2, "api-1", "shop/api:2.3.1", Status::Running);
    api.health = Some(HealthStatus::Unhealthy);
    api.ports = vec![port(9000, None)];
    api.restart_count = Some(3);
    compose(&mut api, "shop", "api");
    behind(&mut api, 4);
    let mut db = container(3, "db-1", "postgres:17", Status::Running);
    db.health = Some(HealthStatus::Starting);
    db.ports = vec![port(5432, None)];
    db.mounts = vec![MountInfo {
        kind: MountKind::Volume,
        name: Some("shop_pgdata".to_owned()),
        source: "/var/lib/fake/volumes/shop_pgdata/_data".to_owned(),
        destination: "/var/lib/postgresql/data".to_owned(),
        writable: true,
        ..MountInfo::default()
    }];
    compose(&mut db, "shop", "db");
    db.networks.clear();
    db.endpoints.clear();
    behind(&mut db, 5);
    api.mounts = db.mounts.clone();
    for mount in &mut api.mounts {
        "/backup".clone_into(&mut mount.destination);
        mount.writable = false;
    }
    let cache = container(4, "cache", "redis:8", Status::Paused);
    let mut job = container(5, "migrate", "shop/api:2.3.1", Status::Exited);
    job.exit_code = Some(137);
    job.mounts = db.mounts.clone();
    job.status_text = "Exited (137) 9 minutes ago".to_owned();
    let crash = container(6, "flaky", "wharf/demo:latest", Status::Restarting);
    let fresh = container(7, "draft", "alpine:3.22", Status::Created);
    let wide = container(8, "日本語-ロガー", "wharf/demo:latest", Status::Running);
    let dead = container(9, "zombie", "alpine:3.22", Status::Dead);
    vec![web, api, db, cache, job, crash, fresh, wide, dead]
}

/// Returns an image with this number, which makes its id.
pub fn image(number: u8, tags: &[&str], mib: u64, containers: usize) -> ImageSummary {
    ImageSummary {
        id: Digest::from_bytes(&[number; 32]),
        tags: tags.iter().filter_map(|t| t.parse::<ImageName>().ok()).collect(),
        repo_digests: Vec::new(),
        created: Some(time(-86_400 * i64::from(number))),
        size: mib * MIB,
        containers,
        labels: BTreeMap::new(),
    }
}

pub(super) fn images() -> Vec<ImageSummary> {
    vec![
        image(1, &["nginx:1.27"], 187, 1),
        image(2, &["shop/api:2.3.1", "shop/api:latest"], 412, 2),
        image(3, &["postgres:17"], 431, 1),
        image(4, &["redis:8"], 117, 1),
        image(5, &["wharf/demo:latest"], 18, 2),
        image(6, &["alpine:3.22"], 8, 2),
        image(7, &[], 96, 0),
    ]
}

/// Returns a wave between 0 and 1 without floating point surprises: a triangle of this period.
fn wave(tick: u64, period: u64) -> f64 {
    let phase = u32::try_from(tick % period).unwrap_or(0);
    let half = f64::from(u32::try_from(period).unwrap_or(2)) / 2.0;
    1.0 - (f64::from(phase) - half).abs() / half
}

/// Returns the sum of a wave over all ticks so far, times `scale`, as a counter would show it.
fn counter(tick: u64, period: u64, scale: u64) -> u64 {
    let whole = tick / period;
    let unit = |n: u64| {
        let half = period / 2;
        (half - n.abs_diff(half).min(half)) * scale / half.max(1)
    };
    let rest: u64 = (0..tick % period).map(unit).sum();
    let full: u64 = (0..period).map(unit).sum();
    whole * full + rest
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
fn part(of: u64, share: f64) -> u64 {
    (of as f64 * share) as u64
}

#[expect(clippy::cast_possible_truncation, reason = "a share of a hundred")]
fn pressure(tick: u64, period: u64, top: f64) -> Option<PressureLine> {
    let avg10 = (wave(tick, period) * top) as f32;
    Some(PressureLine { avg10, avg60: avg10 / 2.0, total_us: counter(tick, period, 1000) })
}

/// Returns the counters of a container at a tick.
pub fn sample(number: usize, c: &ContainerSummary, tick: u64) -> Sample {
    let n = number as u64;
    let started_ms = c.started_at.map_or(0, |t| t.timestamp_millis());
    let at = Duration::from_secs(tick);
    let limit = (64 << (n % 4)) * MIB;
    if c.status == Status::Paused {
        return Sample {
            at,
            started_ms,
            cpu: Some(CpuCounters { usage_ns: 5_000_000_000, ..CpuCounters::default() }),
            memory: Some(MemoryCounters { usage: 21 * MIB, ..MemoryCounters::default() }),
            ..Sample::default()
        };
    }
    let period = 20 + n * 7 % 30;
    let periods = tick * 10;
    Sample {
        at,
        started_ms,
        cpu: Some(CpuCounters {
            usage_ns: counter(tick + n * 3, period, 180_000_000 + n * 90_000_000 % 900_000_000),
            periods: Some(periods),
            throttled_periods: Some(if n % 3 == 1 { periods / 4 } else { 0 }),
            limit: Some(match n % 3 {
                1 => Limit::At(200_000_000 + n * 90_000_000 % 900_000_000),
                _ => Limit::Unlimited,
            }),
            ..CpuCounters::default()
        }),
        memory: Some(MemoryCounters {
            usage: limit / 8 + part(limit / 2, wave(tick + n * 5, period * 2)),
            inactive_file: Some(MIB),
            anon: Some(limit / 16 + part(limit / 4, wave(tick + n * 5, period * 2))),
            file: Some(limit / 32 + MIB),
            kernel: Some(3 * MIB),
            limit: Some(if n % 4 == 3 { Limit::Unlimited } else { Limit::At(limit) }),
            ..MemoryCounters::default()
        }),
        network: Some(NetCounters {
            rx_bytes: counter(tick + n, period, 140_000 * (n + 1)),
            tx_bytes: counter(tick + n * 2, period + 6, 36_000 * (n + 1)),
            ..NetCounters::default()
        }),
        block: Some(BlockCounters {
            read_bytes: counter(tick, 44, 9_000 * n),
            write_bytes: counter(tick + n, 30, 800_000 * (n % 3)),
            ..BlockCounters::default()
        }),
        pids: Some(PidCounters {
            current: 3 + n % 5 + part(6, wave(tick + n, 16)),
            limit: Some(if n.is_multiple_of(2) { Limit::At(64) } else { Limit::Unlimited }),
        }),
        pressure: Pressure {
            cpu: pressure(tick + n, period, 20.0),
            memory: pressure(tick, 90, 3.0),
            io: pressure(tick + n, 50, 8.0),
        },
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a small load")]
pub(super) fn host(tick: u64) -> HostSample {
    HostSample {
        at: Duration::from_secs(tick),
        cpus: Some(8),
        load1: Some((0.4 + wave(tick, 60) * 2.0) as f32),
        busy_ns: Some(counter(tick, 40, 3_000_000_000)),
        memory_total: Some(16 << 30),
        memory_available: Some((9 << 30) + part(2 << 30, wave(tick, 80))),
        pressure: Pressure {
            cpu: pressure(tick, 40, 12.0),
            memory: pressure(tick, 70, 1.0),
            io: pressure(tick, 50, 6.0),
        },
        disk_total: Some(100 << 30),
        disk_free: Some(61 << 30),
    }
}

pub(super) fn info(containers: &[ContainerSummary], images: usize) -> EngineInfo {
    let count = |s: Status| containers.iter().filter(|c| c.status == s).count();
    let (running, paused) = (count(Status::Running), count(Status::Paused));
    EngineInfo {
        engine: "fake".to_owned(),
        server_version: "0.0.0".to_owned(),
        name: "harbour".to_owned(),
        containers: containers.len(),
        running,
        paused,
        stopped: containers.len() - running - paused,
        images,
        cpus: 8,
        memory_total: 16 << 30,
        ..EngineInfo::default()
    }
}

pub(super) fn detail(c: &ContainerSummary) -> ContainerDetail {
    ContainerDetail {
        id: c.id.clone(),
        name: c.name.clone(),
        created: c.created,
        image_id: c.image_id.clone().unwrap_or_else(|| Digest::from_bytes(&[0; 32])),
        config: ContainerConfig {
            hostname: c.id.short().to_owned(),
            env: vec![
                "PATH=/usr/sbin:/usr/bin".to_owned(),
                format!("NAME={}", c.name),
                format!("API_TOKEN=tok-{}", c.id.short()),
            ],
            cmd: c.command.split(' ').map(str::to_owned).collect(),
            image: c.image.clone(),
            working_dir: "/".to_owned(),
            labels: c.labels.clone(),
            stop_signal: "SIGTERM".to_owned(),
            ..ContainerConfig::default()
        },
        host_config: HostConfig::default(),
        state: ContainerState {
            status: c.status,
            pid: c.status.is_alive().then_some(4242),
            exit_code: c.exit_code.unwrap_or(0),
            started_at: c.started_at,
            ..ContainerState::default()
        },
        networks: Vec::new(),
        endpoints: c.endpoints.clone(),
        ports: c.ports.clone(),
        mounts: c.mounts.clone(),
        log_path: format!("/var/lib/fake/containers/{0}/{0}-json.log", c.id.as_str()),
        lower_dirs: Vec::new(),
        upper_dir: String::new(),
        image_manifest: None,
        work_dir: String::new(),
        resolv_conf_path: String::new(),
        hostname_path: String::new(),
        hosts_path: String::new(),
    }
}

pub(super) fn document(c: &ContainerSummary) -> serde_json::Value {
    let detail = detail(c);
    json!({
        "Id": c.id.as_str(),
        "Created": c.created,
        "Path": detail.config.cmd.first(),
        "Args": detail.config.cmd.get(1..),
        "State": {
            "Status": c.status.as_str(),
            "Running": c.status.is_alive(),
            "Pid": detail.state.pid,
            "ExitCode": detail.state.exit_code,
            "StartedAt": c.started_at,
        },
        "Image": detail.image_id.as_str(),
        "Name": format!("/{}", c.name),
        "RestartCount": c.restart_count,
        "Config": {
            "Hostname": detail.config.hostname,
            "Env": detail.config.env,
            "Cmd": detail.config.cmd,
            "Image": c.image,
            "Labels": c.labels,
            "StopSignal": detail.config.stop_signal,
        },
        "NetworkSettings": {
            "Networks": c.endpoints.iter().map(|e| (e.network.clone(), json!({
                "IPAddress": e.ip, "IPPrefixLen": e.prefix, "MacAddress": e.mac,
            }))).collect::<serde_json::Map<_, _>>(),
        },
        "Mounts": c.mounts.iter().map(|m| json!({
            "Source": m.source, "Destination": m.destination, "RW": m.writable,
        })).collect::<Vec<_>>(),
    })
}

pub(super) fn top(c: &ContainerSummary) -> TopTable {
    let row = |pid: u32, parent: u32, command: &str| {
        ["root", &pid.to_string(), &parent.to_string(), "0", "12:00", "?", "00:00:01", command]
            .map(str::to_owned)
            .to_vec()
    };
    let titles = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"].map(str::to_owned);
    let mut processes = vec![row(4242, 4200, &c.command)];
    processes.extend((0..4).map(|n| row(4250 + n, 4242, &format!("{}: worker {n}", c.name))));
    TopTable { titles: titles.to_vec(), processes }
}

pub(super) fn image_detail(summary: ImageSummary) -> ImageDetail {
    ImageDetail {
        layers: super::images::layers(&summary),
        architecture: "amd64".to_owned(),
        os: "linux".to_owned(),
        author: String::new(),
        comment: String::new(),
        config: ImageConfig {
            env: vec!["PATH=/usr/sbin:/usr/bin".to_owned()],
            cmd: vec!["/bin/sh".to_owned()],
            ..ImageConfig::default()
        },
        summary,
    }
}

pub(super) fn history(image: &ImageSummary) -> Vec<HistoryEntry> {
    let layers = super::images::layers(image);
    let sizes: Vec<u64> = layers.iter().map(|layer| layer.size).collect();
    let step = |n: i64, created_by: &str, size: u64| HistoryEntry {
        id: (n == 0).then(|| image.id.clone()),
        created: image.created.map(|t| t - TimeDelta::seconds(n * 40)),
        created_by: created_by.to_owned(),
        comment: String::new(),
        size,
        empty_layer: size == 0,
        tags: if n == 0 { image.tags.clone() } else { Vec::new() },
    };
    vec![
        step(0, "CMD [\"/usr/bin/serve\" \"--port\" \"80\"]", 0),
        step(1, "ENTRYPOINT [\"/docker-entrypoint.sh\"]", 0),
        step(2, "COPY app/ /srv/app # buildkit", sizes[2]),
        step(
            3,
            "RUN /bin/sh -c apt-get update && apt-get install -y ca-certificates \
                 && rm -rf /var/lib/apt/lists/*",
            sizes[1],
        ),
        step(4, "ENV LANG=C.UTF-8", 0),
        step(5, "ADD rootfs.tar.xz / # buildkit", sizes[0]),
    ]
}

pub(super) fn log(name: &str) -> Vec<LogRecord> {
    (0..120).map(|n| record(name, n, time(i64::try_from(n).unwrap_or(0) - 120))).collect()
}

pub(super) fn live_record(name: &str, number: usize) -> LogRecord {
    record(name, number, Utc::now())
}

fn record(name: &str, n: usize, time: DateTime<Utc>) -> LogRecord {
    let stream = if n % 11 == 5 { LogStream::Stderr } else { LogStream::Stdout };
    let message = match n % 11 {
        0 => format!("{name}: listening on 0.0.0.0:{}", 8000 + n),
        1 => format!("\x1b[32mINFO\x1b[0m  request {n} GET /healthz 200 in {}ms", n % 40),
        2 => format!("{{\"level\":\"info\",\"n\":{n},\"path\":\"/cart\",\"ms\":{}}}", n % 90),
        3 => format!(
            "\x1b[33mWARN\x1b[0m  slow query {n}: SELECT * FROM orders WHERE \
                      customer = 17 AND state IN ('open', 'paid', 'sent') ORDER BY created"
        ),
        4 => format!("tab\tseparated\tvalues {n}"),
        5 => format!("\x1b[1;31mERROR\x1b[0m upstream timed out ({n})"),
        6 => format!("日本語のログ行 {n} と絵文字 🚢"),
        7 => format!("nasty \x1b]0;owned\x07 \x1b[2J\x1b[10;10H title and cursor moves {n}"),
        _ => format!("plain line {n}"),
    };
    LogRecord { time, stream, message: (message + "\n").into_bytes(), attributes: BTreeMap::new() }
}
