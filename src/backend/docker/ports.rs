//! Ports in docker's documents: maps from `80/tcp` to where the host serves it.

use bollard::models;
use wharf_model::{HostConfig, PortBinding, PublishedPort};

/// Reads where the host serves a container's ports.
pub(super) fn served(map: models::PortMap) -> Vec<PortBinding> {
    let mut ports = Vec::new();
    for (name, bindings) in map {
        let Some((container_port, protocol)) = port(&name) else { continue };
        let binding = |host| PortBinding { container_port, protocol: protocol.to_owned(), host };
        match bindings {
            None => ports.push(binding(None)),
            Some(bindings) => ports.extend(bindings.into_iter().map(|found| {
                let address = found.host_ip.and_then(|text| text.parse().ok());
                let number = found.host_port.and_then(|text| text.parse().ok());
                binding(address.zip(number))
            })),
        }
    }
    ports.sort();
    ports
}

/// Reads what a container asked for.
pub(super) fn wanted(map: models::PortMap) -> Vec<PublishedPort> {
    let mut ports = Vec::new();
    for (name, bindings) in map {
        let Some((container_port, protocol)) = port(&name) else { continue };
        ports.extend(bindings.unwrap_or_default().into_iter().map(|binding| {
            let range = binding.host_port.unwrap_or_default();
            let (first, last) = range.split_once('-').unwrap_or((&range, &range));
            PublishedPort {
                container_port,
                protocol: protocol.to_owned(),
                host_ip: binding.host_ip.and_then(|text| text.parse().ok()),
                host_ports: first.parse().ok().zip(last.parse().ok()),
            }
        }));
    }
    ports.sort();
    ports
}

/// Writes what a container asks for, if it asks for anything.
pub(super) fn map(host: &HostConfig) -> Option<models::PortMap> {
    let mut map = models::PortMap::new();
    for port in &host.published_ports {
        let name = format!("{}/{}", port.container_port, port.protocol);
        let binding = models::PortBinding {
            host_ip: port.host_ip.map(|address| address.to_string()),
            host_port: port.host_ports.map(|(first, last)| match first == last {
                true => first.to_string(),
                false => format!("{first}-{last}"),
            }),
        };
        map.entry(name).or_default().get_or_insert_default().push(binding);
    }
    (!map.is_empty()).then_some(map)
}

/// Writes the ports that a container says it has; docker wants those among them that are published.
pub(super) fn exposed(mut ports: Vec<String>, host: &HostConfig) -> Option<Vec<String>> {
    let published = host.published_ports.iter();
    ports.extend(published.map(|port| format!("{}/{}", port.container_port, port.protocol)));
    ports.sort();
    ports.dedup();
    (!ports.is_empty()).then_some(ports)
}

fn port(name: &str) -> Option<(u16, &str)> {
    let (port, protocol) = name.split_once('/')?;
    Some((port.parse().ok()?, protocol))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let port = |container_port, address: Option<&str>, host_ports| PublishedPort {
            container_port,
            protocol: "tcp".to_owned(),
            host_ip: address.map(|address| address.parse().unwrap()),
            host_ports,
        };
        let published_ports = vec![
            port(80, None, None),
            port(80, Some("::1"), Some((8080, 8080))),
            port(81, Some("127.0.0.1"), Some((8000, 8010))),
        ];
        let host = HostConfig { published_ports: published_ports.clone(), ..HostConfig::default() };
        assert_eq!(wanted(map(&host).unwrap()), published_ports);
        assert_eq!(exposed(vec!["81/tcp".into()], &host).unwrap(), ["80/tcp", "81/tcp"]);
        assert_eq!(map(&HostConfig::default()), None);
        assert_eq!(exposed(Vec::new(), &HostConfig::default()), None);
    }
}
