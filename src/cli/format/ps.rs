//! The list of containers.

use std::net::{IpAddr, SocketAddr};

use chrono::{DateTime, Utc};
use wharf_inspect::human;
use wharf_inspect::template::{Record, Value};
use wharf_model::{ContainerSummary, MountKind, PortBinding};

use super::{rows, text};

/// The titles of its fields.
pub(crate) const TITLES: &[(&str, &str)] = &[
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Labels", "LABELS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Mounts", "MOUNTS"),
    ("Names", "NAMES"),
    ("Networks", "NETWORKS"),
    ("Platform", "PLATFORM"),
    ("Ports", "PORTS"),
    ("RunningFor", "CREATED"),
    ("Size", "SIZE"),
    ("State", "STATE"),
    ("Status", "STATUS"),
];

const TABLE: &str = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t\
                     {{.Ports}}\t{{.Names}}";

const RAW: &str = "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\n\
                   created_at: {{.CreatedAt}}\nstate: {{- pad .State 1 0}}\n\
                   status: {{- pad .Status 1 0}}\nnames: {{.Names}}\n\
                   labels: {{- pad .Labels 1 0}}\nports: {{- pad .Ports 1 0}}\n";

/// Returns the template that `--format` stands for. `quiet` wants ids alone, `size` the sizes too.
pub(crate) fn format(given: &str, quiet: bool, size: bool) -> String {
    let size = |text: &str| if size { text.to_owned() } else { String::new() };
    match (given, quiet) {
        ("raw", true) => "container_id: {{.ID}}".to_owned(),
        ("raw", false) => format!("{RAW}{}", size("size: {{.Size}}\n")),
        (_, true) => "{{.ID}}".to_owned(),
        ("" | "table", false) => format!("{TABLE}{}", size("\t{{.Size}}")),
        (template, false) => template.to_owned(),
    }
}

/// Returns a container as a row.
pub(crate) fn row(container: &ContainerSummary, truncate: bool, now: DateTime<Utc>) -> Record {
    let command = match truncate {
        true => text::ellipsis(&container.command, 20),
        false => container.command.clone(),
    };
    let labels: Vec<String> = container.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let mounts = container.mounts.iter().filter(|mount| mount.kind != MountKind::Tmpfs);
    let mounts: Vec<String> = mounts
        .map(|mount| mount.name.as_ref().unwrap_or(&mount.source))
        .map(|name| if truncate { text::ellipsis(name, 15) } else { name.clone() })
        .collect();
    let volumes = container.mounts.iter().filter(|mount| mount.kind == MountKind::Volume).count();
    let size = container.size.unwrap_or_default();
    let whole = match size.root {
        0 => String::new(),
        root => format!(" (virtual {})", human::image_size(root)),
    };
    let mut row = rows::row(
        "*formatter.ContainerContext",
        vec![
            ("Command", text::quote(&command)),
            ("CreatedAt", rows::time(container.created)),
            ("ID", id(container, truncate)),
            ("Image", image(container, truncate)),
            ("Labels", labels.join(",")),
            ("LocalVolumes", volumes.to_string()),
            ("Mounts", mounts.join(",")),
            ("Names", container.name.clone()),
            ("Networks", container.networks.join(",")),
            ("Ports", ports(&container.ports)),
            ("RunningFor", human::ago(container.created, now)),
            ("Size", format!("{}{whole}", human::image_size(size.writable))),
            ("State", container.status.as_str().to_owned()),
            ("Status", container.status_text.clone()),
        ],
    );
    // Engines of one platform say nothing of it.
    row.fields.insert(9, ("Platform".to_owned(), Value::Nil));
    row.hidden.push(("Label".to_owned(), rows::label(container.labels.clone())));
    row
}

fn id(container: &ContainerSummary, truncate: bool) -> String {
    if truncate { container.id.short() } else { container.id.as_str() }.to_owned()
}

/// Returns the image as it was named; one that was named by its id, by the short one.
fn image(container: &ContainerSummary, truncate: bool) -> String {
    let named = container.image.as_str();
    match &container.image_id {
        _ if named.is_empty() => "<no image>".to_owned(),
        Some(id) if truncate && (named == id.as_str() || named == id.hex()) => {
            id.short().to_owned()
        }
        _ => named.to_owned(),
    }
}

/// Returns ports as docker lists them: those whose number is the same on both sides first, in ranges
/// (`443/tcp, 0.0.0.0:8000-8010->8000-8010/tcp`), then the others one by one
/// (`0.0.0.0:8080->80/tcp`).
fn ports(ports: &[PortBinding]) -> String {
    let mut ports = ports.to_vec();
    // By address as text, which is docker's order.
    ports.sort_by_cached_key(|port| {
        let host = port.host.map(|(address, number)| (address.to_string(), number));
        (port.container_port, host, port.protocol.clone())
    });
    let mut shown = Vec::new();
    let mut others = Vec::new();
    let mut groups: Vec<(Group, (u16, u16))> = Vec::new();
    for PortBinding { container_port: port, protocol, host } in ports {
        let address = match host {
            Some((address, number)) if number != port => {
                let host = SocketAddr::new(address, number);
                others.push(format!("{host}->{port}/{protocol}"));
                continue;
            }
            host => host.map(|(address, _)| address),
        };
        let key = (address, protocol);
        match groups.iter_mut().find(|(group, _)| *group == key) {
            None => groups.push((key, (port, port))),
            Some((_, (_, last))) if last.checked_add(1) == Some(port) => *last = port,
            Some((_, range)) => shown.push(group(&key, std::mem::replace(range, (port, port)))),
        }
    }
    shown.extend(groups.iter().map(|(key, range)| group(key, *range)));
    shown.append(&mut others);
    shown.join(", ")
}

/// What ports of one range have in common: the address that serves them, and the protocol.
type Group = (Option<IpAddr>, String);

fn group((address, protocol): &Group, (first, last): (u16, u16)) -> String {
    let range = match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    match address {
        None => format!("{range}/{protocol}"),
        Some(IpAddr::V4(address)) => format!("{address}:{range}->{range}/{protocol}"),
        Some(IpAddr::V6(address)) => format!("[{address}]:{range}->{range}/{protocol}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_model::{ContainerId, Status};

    fn container(name: &str, command: &str) -> ContainerSummary {
        ContainerSummary {
            id: ContainerId::from_bytes([0xab; 32]),
            name: name.to_owned(),
            image: "wharf/demo".to_owned(),
            image_id: None,
            command: command.to_owned(),
            created: "2024-05-06T11:58:00Z".parse().unwrap(),
            status: Status::Running,
            status_text: "Up 2 minutes".to_owned(),
            exit_code: None,
            started_at: None,
            health: None,
            restart_count: None,
            auto_remove: false,
            labels: std::collections::BTreeMap::default(),
            ports: Vec::new(),
            endpoints: Vec::new(),
            networks: Vec::new(),
            network_mode: Default::default(),
            mounts: Vec::new(),
            size: None,
        }
    }

    #[test]
    fn ports_of_a_row_are_joined_as_docker_joins_them() {
        let port = |container_port, protocol: &str, host: Option<(&str, u16)>| PortBinding {
            container_port,
            protocol: protocol.to_owned(),
            host: host.map(|(address, port)| (address.parse().unwrap(), port)),
        };
        let both = |port_: u16, number| {
            [
                port(port_, "tcp", Some(("0.0.0.0", number))),
                port(port_, "tcp", Some(("::", number))),
            ]
        };
        assert_eq!(ports(&both(80, 8080)), "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp");
        let range = [both(80, 80), both(81, 81), both(82, 82), both(90, 90)].concat();
        assert_eq!(
            ports(&range),
            "0.0.0.0:80-82->80-82/tcp, [::]:80-82->80-82/tcp, 0.0.0.0:90->90/tcp, [::]:90->90/tcp"
        );
        let exposed = [7, 8, 9, 11].map(|n| port(n, "udp", None));
        assert_eq!(ports(&exposed), "7-9/udp, 11/udp");
        assert_eq!(ports(&[port(65535, "tcp", None)]), "65535/tcp");
    }

    #[test]
    fn table_is_dockers() {
        let now = "2024-05-06T12:00:00Z".parse().unwrap();
        let mut web = container("web", "httpd --port 80 \x1b[31m and much more");
        web.ports = vec![
            PortBinding { container_port: 443, protocol: "tcp".into(), host: None },
            PortBinding {
                container_port: 80,
                protocol: "tcp".into(),
                host: Some(("0.0.0.0".parse().unwrap(), 8080)),
            },
        ];
        web.labels = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "<2>".to_owned())].into();
        web.size = Some(wharf_model::ContainerSize { writable: 1500, root: 7_500_000 });
        let shown = |given: &str, quiet, size, truncate| {
            let rows = rows::Rows::new(&format(given, quiet, size)).unwrap();
            let all = [&web, &container("b", "sleep")].map(|c| row(c, truncate, now));
            rows.print(all, TITLES).unwrap()
        };
        insta::assert_snapshot!(shown("", false, false, true), @r#"
        CONTAINER ID   IMAGE        COMMAND                     CREATED         STATUS         PORTS                           NAMES
        abababababab   wharf/demo   "httpd --port 80 \x1b[3…"   2 minutes ago   Up 2 minutes   443/tcp, 0.0.0.0:8080->80/tcp   web
        abababababab   wharf/demo   "sleep"                     2 minutes ago   Up 2 minutes                                   b
        "#);
        assert_eq!(shown("", true, false, true), "abababababab\nabababababab\n");
        assert_eq!(shown("{{.ID}}", false, false, false), format!("{0}\n{0}\n", "ab".repeat(32)));
        assert!(shown("table", false, true, true).contains("web       1.5kB (virtual 7.5MB)\n"));
        assert_eq!(
            shown("{{.Label \"b\"}}|{{.Label \"c\"}}|{{.Labels}}|{{.Size}}", false, false, true),
            "<2>||a=1,b=<2>|1.5kB (virtual 7.5MB)\n||||0B\n".replace("||||", "|||")
        );
        let json = shown("json", false, false, true);
        let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
        let keys: Vec<&str> = first.as_object().unwrap().keys().map(String::as_str).collect();
        let mut titled: Vec<&str> = TITLES.iter().map(|(field, _)| *field).collect();
        assert_eq!(keys, titled);
        titled.sort_unstable();
        assert_eq!(keys, titled, "as docker, by name");
        assert_eq!(first["Platform"], serde_json::Value::Null);
        assert_eq!(
            shown("raw", false, false, true).lines().take(4).collect::<Vec<_>>()[0],
            "container_id: abababababab"
        );
        assert!(shown("raw", false, false, true).contains("\nports:\n\n"));
    }
}
