//! The list of containers.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use wharf_model::{ContainerSummary, PortBinding};

use wharf_inspect::human;

use super::{table, text};

/// Returns the table of `ps`.
pub(crate) fn table(containers: &[ContainerSummary], truncate: bool, now: DateTime<Utc>) -> String {
    let header = ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"];
    let mut rows = vec![header.map(str::to_owned)];
    rows.extend(containers.iter().map(|container| {
        let command = if truncate {
            text::ellipsis(&container.command, 20)
        } else {
            container.command.clone()
        };
        [
            if truncate { container.id.short() } else { container.id.as_str() }.to_owned(),
            text::clean(&container.image),
            text::quote(&command),
            human::ago(container.created, now),
            text::clean(&container.status_text),
            ports(&container.ports),
            text::clean(&container.name),
        ]
    }));
    table::render(&rows, table::LIST)
}

/// Returns the ids, one a line.
pub(crate) fn ids(containers: &[ContainerSummary], truncate: bool) -> String {
    containers
        .iter()
        .map(|container| {
            let id = if truncate { container.id.short() } else { container.id.as_str() };
            format!("{id}\n")
        })
        .collect()
}

/// Returns ports as docker lists them: `0.0.0.0:8080->80/tcp, 443/tcp`.
fn ports(ports: &[PortBinding]) -> String {
    let mut ports = ports.to_vec();
    ports.sort();
    let shown: Vec<String> = ports
        .iter()
        .map(|port| match port.host {
            None => format!("{}/{}", port.container_port, port.protocol),
            Some((address, host_port)) => {
                let address = match address {
                    IpAddr::V4(address) => address.to_string(),
                    IpAddr::V6(address) => format!("[{address}]"),
                };
                format!("{address}:{host_port}->{}/{}", port.container_port, port.protocol)
            }
        })
        .collect();
    text::clean(&shown.join(", "))
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
            labels: std::collections::BTreeMap::default(),
            ports: Vec::new(),
            endpoints: Vec::new(),
            networks: Vec::new(),
            mounts: Vec::new(),
            size: None,
        }
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
        insta::assert_snapshot!(table(&[web, container("b", "sleep")], true, now), @r#"
        CONTAINER ID   IMAGE        COMMAND                     CREATED         STATUS         PORTS                           NAMES
        abababababab   wharf/demo   "httpd --port 80 \x1b[3…"   2 minutes ago   Up 2 minutes   0.0.0.0:8080->80/tcp, 443/tcp   web
        abababababab   wharf/demo   "sleep"                     2 minutes ago   Up 2 minutes                                   b
        "#);
        assert_eq!(ids(&[container("a", "")], true), "abababababab\n");
        assert_eq!(ids(&[container("a", "")], false), format!("{}\n", "ab".repeat(32)));
    }
}
