//! Containers as lists and documents tell of them.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use wharf_backend::Backend;
use wharf_model::{
    ChangeKind, Command, ContainerDetail, ContainerId, ContainerListOptions, ContainerSummary,
    EndpointInfo, ErrorKind, Filters, MountInfo, MountKind, Outcome, PortBinding,
};

use crate::answer::{self, Answered, Refusal};
use crate::body;
use crate::request::{Ask, Query};
use crate::server::Server;
use crate::version::Version;

pub(crate) async fn list(server: &Arc<Server>, ask: &Ask) -> Answered {
    let query = &ask.query;
    let limit = query.number("limit")?.filter(|limit| *limit > 0);
    let options = ContainerListOptions {
        all: query.on("all"),
        last: limit.and_then(|limit| usize::try_from(limit).ok()),
        size: query.on("size"),
        filters: query.filters()?,
    };
    let containers = match server.engine.list_containers(&options).await {
        // A container that a filter names and that isn't there, as docker has it.
        Err(error) if error.kind == ErrorKind::NotFound => {
            return Err(Refusal::missing(error.message));
        }
        containers => containers?,
    };
    answer::document(&rows(server, &containers, ask.version).await?)
}

/// Returns docker's rows of a list.
pub(super) async fn rows(
    server: &Server,
    containers: &[ContainerSummary],
    version: Version,
) -> Result<Vec<Value>, Refusal> {
    // Ids of networks on which a container isn't now.
    let named = containers.iter().any(|container| !container.networks.is_empty());
    let networks = match named {
        true => server.engine.networks(&Filters::default()).await?,
        false => Vec::new(),
    };
    let id = |name: &str| {
        let found = networks.iter().find(|network| network.name == name);
        found.map_or("", |network| network.id.as_str())
    };
    Ok(containers.iter().map(|container| row(container, &id, version)).collect())
}

fn row<'a>(
    container: &ContainerSummary,
    network_id: &impl Fn(&str) -> &'a str,
    version: Version,
) -> Value {
    let mut networks = Map::new();
    for name in &container.networks {
        let held = container.endpoints.iter().find(|endpoint| endpoint.network == *name);
        networks.insert(name.clone(), place(held, network_id(name)));
    }
    let mode = match container.network_mode.to_string() {
        mode if mode == "bridge" && version < Version(44) => "default".to_owned(),
        mode => mode,
    };
    let mut row = json!({
        "Id": container.id.as_str(),
        "Names": [format!("/{}", container.name)],
        "Image": container.image,
        "ImageID": container.image_id.as_ref().map_or("", |id| id.as_str()),
        "Command": container.command,
        "Created": container.created.timestamp(),
        "Ports": container.ports.iter().map(port).collect::<Vec<_>>(),
        "Labels": container.labels,
        "State": container.status.as_str(),
        "Status": container.status_text,
        "HostConfig": {"NetworkMode": mode},
        "NetworkSettings": {"Networks": networks},
        "Mounts": container.mounts.iter().filter(kept).map(mount).collect::<Vec<_>>(),
    });
    if let Some(size) = container.size {
        // Docker leaves out what is 0.
        if size.writable > 0 {
            row["SizeRw"] = size.writable.into();
        }
        row["SizeRootFs"] = size.root.into();
    }
    row
}

fn place(held: Option<&EndpointInfo>, network_id: &str) -> Value {
    let ipv6 = held.is_some_and(|held| held.ip.is_ipv6());
    let of = |ipv4: bool| held.filter(|_| ipv4 != ipv6);
    let address =
        |held: Option<&EndpointInfo>| held.map(|held| held.ip.to_string()).unwrap_or_default();
    let gateway = |held: Option<&EndpointInfo>| {
        held.and_then(|held| held.gateway).map(|ip| ip.to_string()).unwrap_or_default()
    };
    json!({
        "IPAMConfig": null,
        "Links": null,
        "Aliases": null,
        "MacAddress": held.map_or("", |held| held.mac.as_str()),
        "DriverOpts": null,
        "GwPriority": 0,
        "NetworkID": held.map_or(network_id, |held| held.network_id.as_str()),
        "EndpointID": held.map_or("", |held| held.endpoint_id.as_str()),
        "Gateway": gateway(of(true)),
        "IPAddress": address(of(true)),
        "IPPrefixLen": of(true).map_or(0, |held| held.prefix),
        "IPv6Gateway": gateway(of(false)),
        "GlobalIPv6Address": address(of(false)),
        "GlobalIPv6PrefixLen": of(false).map_or(0, |held| held.prefix),
        "DNSNames": null,
    })
}

fn port(port: &PortBinding) -> Value {
    let mut row = Map::new();
    if let Some((ip, _)) = port.host {
        row.insert("IP".to_owned(), ip.to_string().into());
    }
    row.insert("PrivatePort".to_owned(), port.container_port.into());
    if let Some((_, number)) = port.host {
        row.insert("PublicPort".to_owned(), number.into());
    }
    row.insert("Type".to_owned(), port.protocol.as_str().into());
    row.into()
}

/// As with docker, a list has no mounts of memory.
fn kept(mount: &&MountInfo) -> bool {
    mount.kind != MountKind::Tmpfs
}

fn mount(mount: &MountInfo) -> Value {
    let mut row = Map::new();
    let kind = match mount.kind {
        MountKind::Bind => "bind",
        MountKind::Volume => "volume",
        MountKind::Tmpfs => "tmpfs",
    };
    row.insert("Type".to_owned(), kind.into());
    if let Some(name) = &mount.name {
        row.insert("Name".to_owned(), name.as_str().into());
    }
    // A list doesn't say where volumes are.
    let source = if mount.kind == MountKind::Volume { "" } else { mount.source.as_str() };
    row.insert("Source".to_owned(), source.into());
    row.insert("Destination".to_owned(), mount.destination.as_str().into());
    if mount.kind == MountKind::Volume {
        row.insert("Driver".to_owned(), "local".into());
    }
    row.insert("Mode".to_owned(), mount.mode.as_str().into());
    row.insert("RW".to_owned(), mount.writable.into());
    let propagation = match mount.kind {
        MountKind::Bind => mount.propagation.as_str(),
        MountKind::Volume | MountKind::Tmpfs => "",
    };
    row.insert("Propagation".to_owned(), propagation.into());
    row.into()
}

pub(crate) async fn inspect(server: &Arc<Server>, name: &str, ask: &Ask) -> Answered {
    let query = &ask.query;
    let detail = server.engine.container(name).await?;
    let mut document = wharf_inspect::document(&detail);
    put_old(&mut document, &detail, ask.version);
    let running = server.execs.of(detail.id.as_str());
    if !running.is_empty() {
        document["ExecIDs"] = running.into();
    }
    if query.on("size") {
        let id = detail.id.as_str();
        let options = ContainerListOptions {
            all: true,
            size: true,
            filters: Filters::from_iter([("id", id)]),
            ..ContainerListOptions::default()
        };
        let sizes = server.engine.list_containers(&options).await?;
        if let Some(size) = sizes.first().and_then(|container| container.size) {
            document["SizeRw"] = size.writable.into();
            document["SizeRootFs"] = size.root.into();
        }
    }
    answer::document(&document)
}

/// Adds what newer versions of the API have elsewhere.
fn put_old(document: &mut Value, detail: &ContainerDetail, version: Version) {
    let mode = detail.host_config.network_mode.network();
    for place in &detail.networks {
        let options = &place.options;
        // The place of old for the hardware address that was asked for.
        if let Some(mac) = options.mac.as_ref().filter(|_| mode == Some(options.network.as_str())) {
            document["Config"]["MacAddress"] = mac.as_str().into();
        }
        // Before there were `DNSNames`, the names that a container has by itself were aliases, by which
        // docker-compose still knows whose they are.
        if version < Version(45) && !place.dns_names.is_empty() {
            let own = [detail.id.short(), detail.config.hostname.as_str()];
            let mut aliases = options.aliases.clone();
            for name in own {
                if !aliases.iter().any(|alias| alias == name) {
                    aliases.push(name.to_owned());
                }
            }
            document["NetworkSettings"]["Networks"][&options.network]["Aliases"] = json!(aliases);
        }
    }
}

pub(crate) async fn top(server: &Arc<Server>, name: &str, query: &Query) -> Answered {
    let arguments = query.get("ps_args").unwrap_or_default();
    let words: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
    let table = server.engine.top(name, &words).await?;
    server.engine.note(name, "top", &[]).await?;
    answer::document(&json!({"Titles": table.titles, "Processes": table.processes}))
}

pub(crate) async fn changes(server: &Arc<Server>, name: &str) -> Answered {
    let changes = server.engine.changes(name).await?;
    if changes.is_empty() {
        return answer::document(&Value::Null);
    }
    let rows = changes.iter().map(|change| {
        let kind = match change.kind {
            ChangeKind::Modified => 0,
            ChangeKind::Added => 1,
            ChangeKind::Deleted => 2,
        };
        json!({"Path": change.path, "Kind": kind})
    });
    answer::document(&rows.collect::<Vec<_>>())
}

pub(crate) async fn export(server: &Arc<Server>, name: &str) -> Answered {
    let archive = server.engine.export(name).await?;
    Ok(answer::of_type("application/octet-stream", body::stream(archive)))
}

pub(crate) async fn prune(server: &Arc<Server>, query: &Query) -> Answered {
    let filters = query.filters()?;
    match server.engine.execute(Command::Prune { filters }).await? {
        Outcome::Pruned { deleted, reclaimed, .. } => {
            let ids: Vec<&str> = deleted.iter().map(ContainerId::as_str).collect();
            let ids = if ids.is_empty() { Value::Null } else { json!(ids) };
            answer::document(&json!({"ContainersDeleted": ids, "SpaceReclaimed": reclaimed}))
        }
        other => Err(super::unexpected("prune", &other)),
    }
}
