//! Container lists and process tables.

use std::collections::HashMap;
use std::net::IpAddr;

use bollard::models;
use chrono::{DateTime, Utc};
use serde_json::Value;
use wharf_model::{
    ContainerListOptions, ContainerSize, ContainerSummary, EndpointInfo, ErrorKind, Filters,
    HealthStatus, MountInfo, MountKind, NetworkMode, PortBinding, Propagation, Status, TopTable,
};

use super::{Docker, container_segment, error};
use crate::{Error, Result};

impl Docker {
    /// Returns the containers that are wanted.
    pub(super) async fn container_list(
        &self,
        wanted: &ContainerListOptions,
    ) -> Result<Vec<ContainerSummary>> {
        let flag = |on: bool| if on { "true" } else { "false" };
        let filters = serde_json::to_string(&map(&wanted.filters)).unwrap_or_default();
        let last = wanted.last.map(|last| last.to_string());
        let mut query =
            vec![("all", flag(wanted.all)), ("size", flag(wanted.size)), ("filters", &filters)];
        query.extend(last.iter().map(|last| ("limit", last.as_str())));
        let rows: Vec<Value> = self.transport.get("/containers/json", &query).await?.json().await?;
        rows.into_iter().map(row).collect()
    }

    /// Returns a container's processes as the host's `ps` shows them.
    pub(super) async fn top_table(&self, container: &str, ps_args: &[String]) -> Result<TopTable> {
        let args = if ps_args.is_empty() { "-ef".to_owned() } else { ps_args.join(" ") };
        let path = format!("/containers/{}/top", container_segment(container)?);
        let answer = self.transport.get(&path, &[("ps_args", &args)]).await?.bytes().await?;
        if answer.is_empty() {
            // podman's way of saying that its own look at them failed.
            let text = format!("{container}: the engine tells nothing of its processes");
            return Err(Error::new(ErrorKind::Unavailable, text));
        }
        let table: models::ContainerTopResponse = serde_json::from_slice(&answer)
            .map_err(|cause| error::malformed("processes", cause))?;
        Ok(TopTable {
            titles: table.titles.unwrap_or_default(),
            processes: table.processes.unwrap_or_default(),
        })
    }
}

/// Returns filters as bollard takes them.
pub(super) fn map(filters: &Filters) -> HashMap<String, Vec<String>> {
    filters.keys().map(|key| (key.to_owned(), filters.values(key).to_vec())).collect()
}

/// Reads a row of the list. podman has states of its own, which docker's types don't take; one row of
/// those would be the end of the whole list.
fn row(mut row: Value) -> Result<ContainerSummary> {
    if let Some(Value::String(state)) = row.get_mut("State") {
        let word = match state.as_str() {
            // It has ended, and isn't cleaned up yet.
            "stopped" => "exited",
            "configured" | "initialized" => "created",
            word if is_known(word) => word,
            _ => "",
        };
        *state = word.to_owned();
    }
    let row: models::ContainerSummary =
        serde_json::from_value(row).map_err(|cause| error::malformed("container list", cause))?;
    summary(row)
}

/// Returns whether docker's types know a state.
fn is_known(state: &str) -> bool {
    let state = Value::String(state.to_owned());
    serde_json::from_value::<models::ContainerSummaryStateEnum>(state).is_ok()
}

fn summary(row: models::ContainerSummary) -> Result<ContainerSummary> {
    let id = row
        .id
        .unwrap_or_default()
        .parse()
        .map_err(|cause| error::malformed("container list", cause))?;
    let status_text = row.status.unwrap_or_default();
    let status = row.state.map_or(Status::Dead, |state| status(state.as_ref()));
    let mode = row.host_config.and_then(|host| host.network_mode);
    let networks = row.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let mut names: Vec<String> = networks.keys().cloned().collect();
    names.sort_unstable();
    let mut endpoints: Vec<EndpointInfo> =
        networks.into_iter().filter_map(|(name, settings)| endpoint(name, settings)).collect();
    endpoints.sort_by(|a, b| a.network.cmp(&b.network));
    Ok(ContainerSummary {
        id,
        name: own_name(&row.names.unwrap_or_default()),
        image: row.image.unwrap_or_default(),
        image_id: row.image_id.and_then(|id| id.parse().ok()),
        command: row.command.unwrap_or_default(),
        created: row
            .created
            .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
            .unwrap_or(DateTime::<Utc>::UNIX_EPOCH),
        status,
        exit_code: exit_code(&status_text),
        health: health(&status_text),
        status_text,
        started_at: None,
        restart_count: None,
        // The list doesn't tell.
        auto_remove: false,
        labels: row.labels.unwrap_or_default().into_iter().collect(),
        ports: ports(row.ports.unwrap_or_default()),
        endpoints,
        networks: names,
        network_mode: NetworkMode::from(mode.unwrap_or_default()),
        mounts: row.mounts.unwrap_or_default().into_iter().filter_map(mount).collect(),
        // The engine leaves out what is 0.
        size: row.size_root_fs.map(|root| ContainerSize {
            writable: bytes(row.size_rw.unwrap_or(0)),
            root: bytes(root),
        }),
    })
}

fn bytes(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

/// Returns a container's own name: links show up as `/other/alias`.
fn own_name(names: &[String]) -> String {
    let own = names.iter().find(|name| name.matches('/').count() <= 1).or(names.first());
    own.map(|name| name.trim_start_matches('/').to_owned()).unwrap_or_default()
}

/// Returns the state docker's lower-case word names.
pub(super) fn status(word: &str) -> Status {
    match word {
        "created" => Status::Created,
        // Newer engines tell that a stop is under way.
        "running" | "stopping" => Status::Running,
        "paused" => Status::Paused,
        "restarting" => Status::Restarting,
        "removing" => Status::Removing,
        "exited" => Status::Exited,
        _ => Status::Dead,
    }
}

/// Returns the code in `Exited (137) 2 hours ago` or `Restarting (1) 3 seconds ago`.
fn exit_code(status_text: &str) -> Option<i32> {
    let rest = status_text
        .strip_prefix("Exited (")
        .or_else(|| status_text.strip_prefix("Restarting ("))?;
    rest.split_once(')')?.0.parse().ok()
}

/// Returns the verdict in `Up 2 minutes (health: starting)`; lists carry no other sign of it before
/// API version 1.52.
fn health(status_text: &str) -> Option<HealthStatus> {
    match status_text.rsplit_once(" (")?.1 {
        "healthy)" => Some(HealthStatus::Healthy),
        "unhealthy)" => Some(HealthStatus::Unhealthy),
        "health: starting)" => Some(HealthStatus::Starting),
        _ => None,
    }
}

fn ports(ports: Vec<models::PortSummary>) -> Vec<PortBinding> {
    let mut bindings: Vec<PortBinding> = ports
        .into_iter()
        .map(|port| PortBinding {
            container_port: port.private_port,
            protocol: port.typ.map_or_else(|| "tcp".to_owned(), |typ| typ.to_string()),
            host: port.public_port.map(|public| {
                let ip = port.ip.as_deref().and_then(|ip| ip.parse().ok());
                (ip.unwrap_or(IpAddr::from([0, 0, 0, 0])), public)
            }),
        })
        .collect();
    bindings.sort_unstable();
    bindings
}

/// Returns a place on a network, if the container has an address there.
pub(super) fn endpoint(name: String, settings: models::EndpointSettings) -> Option<EndpointInfo> {
    let address = |text: Option<String>| text.and_then(|text| text.parse().ok());
    let (ip, prefix, gateway) = match address(settings.ip_address) {
        Some(ip) => (ip, settings.ip_prefix_len, address(settings.gateway)),
        None => (
            address(settings.global_ipv6_address)?,
            settings.global_ipv6_prefix_len,
            address(settings.ipv6_gateway),
        ),
    };
    Some(EndpointInfo {
        network: name,
        ip,
        prefix: prefix.and_then(|bits| u8::try_from(bits).ok()).unwrap_or_default(),
        gateway,
        mac: settings.mac_address.unwrap_or_default(),
        network_id: settings.network_id.unwrap_or_default(),
        endpoint_id: settings.endpoint_id.unwrap_or_default(),
    })
}

/// Returns a mount, if it is of a kind that the model has.
pub(super) fn mount(point: models::MountPoint) -> Option<MountInfo> {
    let kind = match point.typ?.as_str() {
        "bind" => MountKind::Bind,
        "volume" => MountKind::Volume,
        "tmpfs" => MountKind::Tmpfs,
        _ => return None,
    };
    Some(MountInfo {
        kind,
        name: point.name.filter(|name| !name.is_empty()),
        source: point.source.unwrap_or_default(),
        destination: point.destination.unwrap_or_default(),
        writable: point.rw.unwrap_or(true),
        mode: point.mode.unwrap_or_default(),
        propagation: point
            .propagation
            .as_deref()
            .and_then(Propagation::from_word)
            .unwrap_or_default(),
    })
}

/// Returns the instant of an RFC 3339 text, none for Go's zero time or nonsense.
pub(super) fn instant(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc);
    (time.timestamp() > 0).then_some(time)
}

impl Docker {
    /// Returns a container's inspect document as bollard reads it.
    pub(super) async fn inspect(
        &self,
        container: &str,
    ) -> Result<models::ContainerInspectResponse> {
        let segment = container_segment(container)?;
        let options = None::<bollard::query_parameters::InspectContainerOptions>;
        self.client.inspect_container(&segment, options).await.map_err(Error::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_docker_does_not_have_is_not_the_end_of_the_list() {
        let id = "a".repeat(64);
        for (word, status) in [
            ("stopped", Status::Exited),
            ("configured", Status::Created),
            ("running", Status::Running),
            ("levitating", Status::Dead),
        ] {
            let told = serde_json::json!({"Id": id, "State": word, "Status": "", "Names": ["/x"]});
            assert_eq!(row(told).unwrap().status, status, "{word}");
        }
    }

    #[test]
    fn a_row_of_dockerd_becomes_a_summary() {
        // Captured from Docker 20.10 (`GET /containers/json?all=1`).
        let row = r#"{"Id":"3b0fc9a5c0d6f0b7d4b0ff9a1e2ef1a7fc19ab1d0d4c0ab77ffb4a2e1cf5a6de",
            "Names":["/web/alias","/web"],"Image":"busybox",
            "ImageID":"sha256:0101010101010101010101010101010101010101010101010101010101010101",
            "Command":"sleep 100","Created":1700000000,
            "Ports":[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},
                     {"PrivatePort":53,"Type":"udp"}],
            "Labels":{"com.docker.compose.project":"shop"},"State":"running",
            "Status":"Up 3 minutes (health: starting)",
            "HostConfig":{"NetworkMode":"default"},
            "NetworkSettings":{"Networks":{"bridge":{"IPAMConfig":null,"Links":null,
            "Aliases":null,"NetworkID":"n","EndpointID":"e","Gateway":"172.17.0.1",
            "IPAddress":"172.17.0.2","IPPrefixLen":16,"IPv6Gateway":"","GlobalIPv6Address":"",
            "GlobalIPv6PrefixLen":0,"MacAddress":"02:42:ac:11:00:02","DriverOpts":null}}},
            "Mounts":[{"Type":"bind","Source":"/srv","Destination":"/data","Mode":"ro",
            "RW":false,"Propagation":"rprivate"}]}"#;
        let summary = summary(serde_json::from_str(row).unwrap()).unwrap();
        assert_eq!(summary.name, "web");
        assert_eq!(summary.status, Status::Running);
        assert_eq!(summary.health, Some(HealthStatus::Starting));
        assert_eq!(summary.exit_code, None);
        assert_eq!(summary.ports[0].container_port, 53);
        assert_eq!(summary.ports[1].host, Some((IpAddr::from([0, 0, 0, 0]), 8080)));
        assert_eq!(summary.endpoints[0].ip, IpAddr::from([172, 17, 0, 2]));
        assert_eq!(summary.networks, ["bridge"]);
        assert!(!summary.mounts[0].writable);
    }

    #[test]
    fn status_sentences_tell_code_and_health() {
        assert_eq!(exit_code("Exited (137) 2 hours ago"), Some(137));
        assert_eq!(exit_code("Restarting (1) 3 seconds ago"), Some(1));
        assert_eq!(exit_code("Up 2 minutes (Paused)"), None);
        assert_eq!(health("Up 2 minutes (unhealthy)"), Some(HealthStatus::Unhealthy));
        assert_eq!(health("Up 2 minutes (Paused)"), None);
        assert_eq!(health("Created"), None);
        assert_eq!(instant("0001-01-01T00:00:00Z"), None);
        assert!(instant("2026-01-01T00:00:00.123456789Z").is_some());
    }
}
