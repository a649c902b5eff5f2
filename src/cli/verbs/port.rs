//! `port`: where the host serves a container's ports.

use std::net::IpAddr;

use wharf_model::{ContainerListOptions, Filters, PortBinding};

use crate::args::{Arity, Group, Verb};
use crate::call::{Call, Failure, print};

pub(crate) static VERB: Verb = Verb {
    name: "port",
    paths: &["container port"],
    usage: "CONTAINER [PRIVATE_PORT[/PROTO]]",
    about: "List the ports of a container that the host serves",
    group: Group::Observe,
    arity: Arity::Between(1, 2),
    interspersed: true,
    flags: &[],
    missing: &[],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let name = call.parsed.argument(0).unwrap_or_default();
    let wanted = call.parsed.argument(1);
    call.over_engine(async |backend| {
        let id = backend.container(name).await?.id;
        let filters = Filters::from_iter([("id", id.as_str())]);
        let options = ContainerListOptions { all: true, filters, ..Default::default() };
        let ports = backend.list_containers(&options).await?.pop().map(|c| c.ports);
        print(&lines(name, &ports.unwrap_or_default(), wanted)?)?;
        Ok(0)
    })
}

/// Returns the lines for all ports, or for the one that is wanted.
fn lines(name: &str, ports: &[PortBinding], wanted: Option<&str>) -> Result<String, Failure> {
    let mut served: Vec<(&PortBinding, String)> = ports
        .iter()
        .filter_map(|port| {
            let (address, number) = port.host?;
            let host = match address {
                IpAddr::V4(address) => format!("{address}:{number}"),
                IpAddr::V6(address) => format!("[{address}]:{number}"),
            };
            Some((port, host))
        })
        .collect();
    served.sort();
    let Some(wanted) = wanted else {
        let line = |(port, host): &(&PortBinding, String)| {
            format!("{}/{} -> {host}\n", port.container_port, port.protocol)
        };
        return Ok(served.iter().map(line).collect());
    };
    let (digits, protocol) = wanted.split_once('/').unwrap_or((wanted, "tcp"));
    let number: u16 = digits.parse().map_err(|_| {
        let digit = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let why = if digit { "value out of range" } else { "invalid syntax" };
        let message =
            format!("invalid port ({digits}): strconv.ParseUint: parsing {digits:?}: {why}");
        Failure::new(1, message)
    })?;
    served.retain(|(port, _)| port.container_port == number && port.protocol == protocol);
    if served.is_empty() {
        let message = format!("No public port '{wanted}' published for {name}");
        return Err(Failure::new(1, message));
    }
    Ok(served.iter().map(|(_, host)| format!("{host}\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_shown_as_docker_shows_them() {
        let port = |container_port, protocol: &str, host: Option<(&str, u16)>| PortBinding {
            container_port,
            protocol: protocol.to_owned(),
            host: host.map(|(address, port)| (address.parse().unwrap(), port)),
        };
        let ports = [
            port(80, "tcp", Some(("0.0.0.0", 8080))),
            port(80, "tcp", Some(("::", 8080))),
            port(53, "udp", Some(("127.0.0.1", 53))),
            port(443, "tcp", None),
        ];
        assert_eq!(
            lines("web", &ports, None).unwrap(),
            "53/udp -> 127.0.0.1:53\n80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080\n"
        );
        assert_eq!(lines("web", &ports, Some("80")).unwrap(), "0.0.0.0:8080\n[::]:8080\n");
        assert_eq!(lines("web", &ports, Some("53/udp")).unwrap(), "127.0.0.1:53\n");
        for (wanted, complaint) in [
            ("443", "No public port '443' published for web"),
            ("80/udp", "No public port '80/udp' published for web"),
            ("x", "invalid port (x): strconv.ParseUint: parsing \"x\": invalid syntax"),
            (
                "99999",
                "invalid port (99999): strconv.ParseUint: parsing \"99999\": value out of range",
            ),
        ] {
            assert_eq!(lines("web", &ports, Some(wanted)).unwrap_err().message(), complaint);
        }
    }
}
