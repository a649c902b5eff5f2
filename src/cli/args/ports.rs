//! What `--publish` and `--expose` take.

use std::net::IpAddr;

use wharf_model::PublishedPort;

use super::Parsed;
use super::values::Reason;
use crate::call::Failure;

/// Returns the ports of `-p`.
///
/// # Errors
/// Docker's, as usage errors (exit code 125).
pub(super) fn published(parsed: &Parsed) -> Result<Vec<PublishedPort>, Failure> {
    let mut ports = Vec::new();
    for text in parsed.all("publish") {
        let plain = if text.contains('=') { long(text) } else { Ok(text.to_owned()) };
        let more = plain.and_then(|plain| publish(&plain)).map_err(Failure::usage)?;
        for port in more {
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
    }
    Ok(ports)
}

/// Returns the ports of `--expose`, as `80/tcp`.
///
/// # Errors
/// Docker's, as usage errors (exit code 125).
pub(super) fn exposed(parsed: &Parsed) -> Result<Vec<String>, Failure> {
    let mut ports = Vec::new();
    for text in parsed.all("expose") {
        let more = expose(text).map_err(Failure::usage)?;
        ports.extend(more);
    }
    Ok(ports)
}

fn expose(text: &str) -> Result<Vec<String>, Reason> {
    if text.contains(':') {
        return Err(format!("invalid port format for --expose: {text}"));
    }
    let (protocol, ports) = protocol(text);
    let (first, last) = range(ports)
        .map_err(|reason| format!("invalid range format for --expose: {text}, error: {reason}"))?;
    if first == 0 {
        return Err(format!("invalid range format for --expose: {text}, error: no port is 0"));
    }
    check_protocol(&protocol, text)?;
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

/// Returns the short form of `published=8080,target=80,protocol=tcp`.
fn long(text: &str) -> Result<String, Reason> {
    let (mut published, mut target, mut protocol) = ("", "", "tcp");
    for field in text.split(',') {
        let Some((name, value)) = field.split_once('=') else {
            return Err(format!(
                "invalid publish opts format (should be name=value but got '{field}')"
            ));
        };
        match name.to_lowercase().as_str() {
            "published" => published = value,
            "target" => target = value,
            "protocol" => protocol = value,
            // On one host both modes are the same.
            "mode" if matches!(value, "host" | "ingress") => {}
            "mode" => return Err(format!("invalid publish mode value ({value})")),
            _ => return Err(format!("invalid field key {name}")),
        }
    }
    if target.is_empty() {
        return Err(format!("missing mandatory field \"target\" in {text}"));
    }
    Ok(format!("{published}:{target}/{protocol}"))
}

/// Returns the ports of `[[IP:][HOST-PORTS]:]PORTS[/PROTOCOL]`.
fn publish(text: &str) -> Result<Vec<PublishedPort>, Reason> {
    let (host, container) = match text.rsplit_once(':') {
        Some((host, container)) => (Some(host), container),
        None => (None, text),
    };
    let (host_ip, host_ports) = match host.map(|host| host.rsplit_once(':').ok_or(host)) {
        None => ("", ""),
        Some(Err(ports)) => ("", ports),
        Some(Ok((address, ports))) => (address, ports),
    };
    let (protocol, container_ports) = protocol(container);
    let host_ip = match host_ip {
        "" => None,
        address => Some(parse_address(address)?),
    };
    if container_ports.is_empty() {
        return Err(format!("no port specified: {text}<empty>"));
    }
    let invalid = |what: &str, ports: &str| format!("invalid {what}: {ports}");
    let (first, last) =
        range(container_ports).map_err(|_| invalid("containerPort", container_ports))?;
    if first == 0 {
        return Err(invalid("containerPort", container_ports));
    }
    let host_range = match host_ports {
        "" => None,
        ports => Some(range(ports).map_err(|_| invalid("hostPort", ports))?),
    };
    if let Some((from, to)) = host_range
        && to - from != last - first
        && last != first
    {
        return Err(format!(
            "Invalid ranges specified for container and host Ports: {container_ports} and {host_ports}"
        ));
    }
    check_protocol(&protocol, text)?;
    let host_of = |port: u16| match host_range? {
        // Docker's word for "any".
        (0, 0) => None,
        // A single port may have any of the range.
        many if first == last => Some(many),
        (from, _) => Some((from + (port - first), from + (port - first))),
    };
    Ok((first..=last)
        .map(|container_port| PublishedPort {
            container_port,
            protocol: protocol.clone(),
            host_ip,
            host_ports: host_of(container_port),
        })
        .collect())
}

fn parse_address(text: &str) -> Result<IpAddr, Reason> {
    let plain = match text.strip_prefix('[') {
        None => text,
        Some(rest) => rest
            .strip_suffix(']')
            .ok_or_else(|| format!("invalid IP address {text}: missing ']' in address"))?,
    };
    plain.parse().map_err(|_| format!("invalid IP address: {plain}"))
}

/// Returns the protocol and what stands before it.
fn protocol(text: &str) -> (String, &str) {
    match text.split_once('/') {
        None | Some((_, "")) => ("tcp".to_owned(), text.trim_end_matches('/')),
        Some(("", _)) => (String::new(), ""),
        Some((ports, protocol)) => (protocol.to_lowercase(), ports),
    }
}

fn check_protocol(protocol: &str, text: &str) -> Result<(), Reason> {
    match protocol {
        "tcp" | "udp" => Ok(()),
        "sctp" => Err(format!(
            "the sctp port {text} is not supported yet by this version of wharf: give tcp or udp"
        )),
        other => Err(format!("invalid proto: {other}")),
    }
}

/// Reads `80` or `8000-8010`, in the words of docker's errors.
fn range(text: &str) -> Result<(u16, u16), Reason> {
    if text.is_empty() {
        return Err("empty string specified for ports".to_owned());
    }
    let port = |digits: &str| {
        let number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<u16>().ok().filter(|_| number).ok_or_else(|| {
            let why = if number { "value out of range" } else { "invalid syntax" };
            format!("strconv.ParseUint: parsing {digits:?}: {why}")
        })
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    if last < first {
        return Err(format!("invalid range specified for port: {text}"));
    }
    Ok((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let ports = publish(text).unwrap_or_else(|reason| panic!("{text}: {reason}"));
        let show = |port: PublishedPort| {
            let address = port.host_ip.map(|address| address.to_string()).unwrap_or_default();
            let ports = port.host_ports.map(|(a, b)| format!("{a}-{b}")).unwrap_or_default();
            format!("{address} {ports} {}/{}", port.container_port, port.protocol)
        };
        ports.into_iter().map(show).collect()
    }

    #[test]
    fn published_ports() {
        for (text, wanted) in [
            ("80", &["  80/tcp"][..]),
            ("80/udp", &["  80/udp"]),
            ("80/", &["  80/tcp"]),
            ("80/TCP", &["  80/tcp"]),
            (":80", &["  80/tcp"]),
            ("0:80", &["  80/tcp"]),
            ("8080:80", &[" 8080-8080 80/tcp"]),
            ("127.0.0.1:8080:80/udp", &["127.0.0.1 8080-8080 80/udp"]),
            ("127.0.0.1::80", &["127.0.0.1  80/tcp"]),
            ("[::1]:8080:80", &["::1 8080-8080 80/tcp"]),
            ("::1:8080:80", &["::1 8080-8080 80/tcp"]),
            ("[::1]::80", &["::1  80/tcp"]),
            ("8000-8010:80", &[" 8000-8010 80/tcp"]),
            ("80-81", &["  80/tcp", "  81/tcp"]),
            ("8080-8081:80-81/udp", &[" 8080-8080 80/udp", " 8081-8081 81/udp"]),
        ] {
            assert_eq!(shown(text), wanted, "{text}");
        }
        assert_eq!(long("published=8080,target=80,protocol=udp").as_deref(), Ok("8080:80/udp"));
        assert_eq!(long("target=80,mode=host").as_deref(), Ok(":80/tcp"));
    }

    #[test]
    fn refusals_are_dockers() {
        for (text, wanted) in [
            ("", "no port specified: <empty>"),
            ("8080:", "no port specified: 8080:<empty>"),
            ("/tcp", "no port specified: /tcp<empty>"),
            ("x", "invalid containerPort: x"),
            ("0", "invalid containerPort: 0"),
            ("65536", "invalid containerPort: 65536"),
            ("-1", "invalid containerPort: -1"),
            ("9-8", "invalid containerPort: 9-8"),
            ("x:80", "invalid hostPort: x"),
            ("65536:80", "invalid hostPort: 65536"),
            ("1.2.3:80:80", "invalid IP address: 1.2.3"),
            ("localhost:80:80", "invalid IP address: localhost"),
            ("[::1:80:80", "invalid IP address [::1: missing ']' in address"),
            ("80/icmp", "invalid proto: icmp"),
            (
                "8000-8002:80-81",
                "Invalid ranges specified for container and host Ports: 80-81 and 8000-8002",
            ),
            (
                "53:53/sctp",
                "the sctp port 53:53/sctp is not supported yet by this version of wharf: give tcp or udp",
            ),
        ] {
            assert_eq!(publish(text).unwrap_err(), wanted, "{text}");
        }
        for (text, wanted) in [
            ("target=80,x", "invalid publish opts format (should be name=value but got 'x')"),
            ("published=80", "missing mandatory field \"target\" in published=80"),
            ("target=80,mode=x", "invalid publish mode value (x)"),
            ("target=80,a=b", "invalid field key a"),
        ] {
            assert_eq!(long(text).unwrap_err(), wanted, "{text}");
        }
    }

    #[test]
    fn exposed_ports() {
        assert_eq!(expose("80").unwrap(), ["80/tcp"]);
        assert_eq!(expose("80-82/udp").unwrap(), ["80/udp", "81/udp", "82/udp"]);
        for (text, wanted) in [
            ("80:80", "invalid port format for --expose: 80:80"),
            (
                "x",
                "invalid range format for --expose: x, error: strconv.ParseUint: parsing \"x\": \
                 invalid syntax",
            ),
            (
                "9-8",
                "invalid range format for --expose: 9-8, error: invalid range specified for port: 9-8",
            ),
            ("", "invalid range format for --expose: , error: empty string specified for ports"),
            ("80/icmp", "invalid proto: icmp"),
        ] {
            assert_eq!(expose(text).unwrap_err(), wanted, "{text}");
        }
    }
}
