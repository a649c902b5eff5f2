//! Container lists and process tables.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use bollard::models;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use wharf_model::{
    ContainerListOptions, ContainerSize, ContainerSummary, EndpointInfo, ErrorKind, Filters,
    HealthStatus, MountInfo, MountKind, NetworkMode, PortBinding, Propagation, Status, TopTable,
};

use super::transport::parse;
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
        let answer = self.transport.get("/containers/json", &query).await?.bytes().await?;
        let rows: Vec<Row<'_>> = parse(&answer, "container list")?;
        rows.into_iter().map(summary).collect()
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

/// What is read of a row of the list. An engine may have a thousand, and what nobody looks at is not
/// taken apart.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Row<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    names: Option<Vec<String>>,
    image: Option<String>,
    #[serde(rename = "ImageID", borrow)]
    image_id: Option<Cow<'a, str>>,
    command: Option<String>,
    created: Option<i64>,
    ports: Option<Vec<models::PortSummary>>,
    labels: Option<BTreeMap<String, String>>,
    #[serde(borrow)]
    state: Option<Cow<'a, str>>,
    status: Option<String>,
    host_config: Option<HostConfig>,
    network_settings: Option<NetworkSettings>,
    mounts: Option<Vec<models::MountPoint>>,
    size_rw: Option<i64>,
    size_root_fs: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    network_mode: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    networks: Option<HashMap<String, Option<Place>>>,
}

/// A container's place on a network, as lists and documents have it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Place {
    #[serde(rename = "IPAddress")]
    pub(super) ip_address: Option<String>,
    #[serde(rename = "IPPrefixLen")]
    pub(super) ip_prefix_len: Option<i64>,
    pub(super) gateway: Option<String>,
    #[serde(rename = "GlobalIPv6Address")]
    pub(super) global_ipv6_address: Option<String>,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    pub(super) global_ipv6_prefix_len: Option<i64>,
    #[serde(rename = "IPv6Gateway")]
    pub(super) ipv6_gateway: Option<String>,
    pub(super) mac_address: Option<String>,
    #[serde(rename = "NetworkID")]
    pub(super) network_id: Option<String>,
    #[serde(rename = "EndpointID")]
    pub(super) endpoint_id: Option<String>,
}

impl From<models::EndpointSettings> for Place {
    fn from(settings: models::EndpointSettings) -> Self {
        Self {
            ip_address: settings.ip_address,
            ip_prefix_len: settings.ip_prefix_len,
            gateway: settings.gateway,
            global_ipv6_address: settings.global_ipv6_address,
            global_ipv6_prefix_len: settings.global_ipv6_prefix_len,
            ipv6_gateway: settings.ipv6_gateway,
            mac_address: settings.mac_address,
            network_id: settings.network_id,
            endpoint_id: settings.endpoint_id,
        }
    }
}

fn summary(row: Row<'_>) -> Result<ContainerSummary> {
    let id = row.id.parse().map_err(|cause| error::malformed("container list", cause))?;
    let status_text = row.status.unwrap_or_default();
    let mode = row.host_config.and_then(|host| host.network_mode);
    let networks = row.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let mut names: Vec<String> = networks.keys().cloned().collect();
    names.sort_unstable();
    let mut endpoints: Vec<EndpointInfo> = networks
        .into_iter()
        .filter_map(|(name, place)| endpoint(name, place.unwrap_or_default()))
        .collect();
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
        status: status(row.state.as_deref().unwrap_or_default()),
        exit_code: exit_code(&status_text),
        health: health(&status_text),
        status_text,
        started_at: None,
        restart_count: None,
        // The list doesn't tell.
        auto_remove: false,
        labels: row.labels.unwrap_or_default(),
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

/// Returns the state that the engine's lower-case word names. podman has some of its own.
pub(super) fn status(word: &str) -> Status {
    match word {
        "created" | "configured" | "initialized" => Status::Created,
        // Newer engines tell that a stop is under way.
        "running" | "stopping" => Status::Running,
        "paused" => Status::Paused,
        "restarting" => Status::Restarting,
        "removing" => Status::Removing,
        // The second is podman's for one that isn't cleaned up yet.
        "exited" | "stopped" => Status::Exited,
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
pub(super) fn endpoint(name: String, place: Place) -> Option<EndpointInfo> {
    let address = |text: Option<String>| text.and_then(|text| text.parse().ok());
    let (ip, prefix, gateway) = match address(place.ip_address) {
        Some(ip) => (ip, place.ip_prefix_len, address(place.gateway)),
        None => (
            address(place.global_ipv6_address)?,
            place.global_ipv6_prefix_len,
            address(place.ipv6_gateway),
        ),
    };
    Some(EndpointInfo {
        network: name,
        ip,
        prefix: prefix.and_then(|bits| u8::try_from(bits).ok()).unwrap_or_default(),
        gateway,
        mac: place.mac_address.unwrap_or_default(),
        network_id: place.network_id.unwrap_or_default(),
        endpoint_id: place.endpoint_id.unwrap_or_default(),
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
            let told = serde_json::json!({"Id": id, "State": word, "Status": "", "Names": ["/x"],
                "Ports": null, "Labels": null, "Mounts": null,
                "NetworkSettings": {"Networks": {"none": null}}});
            let told = told.to_string();
            let row = summary(parse(told.as_bytes(), "row").unwrap()).unwrap();
            assert_eq!(
                (row.status, &row.networks[..]),
                (status, &["none".to_owned()][..]),
                "{word}"
            );
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
