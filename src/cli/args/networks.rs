//! Flags about a container's networks, as docker's command line takes them.

use std::collections::BTreeMap;

use wharf_model::{EndpointOptions, NetworkMode};

use super::Parsed;
use super::create::invalid;
use crate::call::Failure;

/// Returns the network mode, and how the container is to be on each network, if more is said of it
/// than that.
///
/// # Errors
/// A usage error (exit code 125) that names the flag.
pub(super) fn take(parsed: &Parsed) -> Result<(NetworkMode, Vec<EndpointOptions>), Failure> {
    let mut networks: Vec<EndpointOptions> = Vec::new();
    for text in parsed.all("network") {
        let endpoint = endpoint(text)?;
        if networks.iter().any(|other| other.network == endpoint.network) {
            return Err(Failure::usage(format!(
                "network {:?} is specified multiple times",
                endpoint.network
            )));
        }
        networks.push(endpoint);
    }
    if networks.is_empty() {
        networks.push(EndpointOptions { network: "default".to_owned(), ..Default::default() });
    }
    let several = networks.len() > 1;
    if let Some(first) = networks.first_mut() {
        add_flags(parsed, first)?;
    }
    for endpoint in &mut networks {
        let mode = NetworkMode::from(endpoint.network.clone());
        let made = matches!(mode, NetworkMode::Named(_));
        if several && !made {
            return Err(Failure::usage(
                "conflicting options: cannot attach both user-defined and non-user-defined \
                 network-modes",
            ));
        }
        if !endpoint.aliases.is_empty() && !made {
            return Err(Failure::usage(
                "network-scoped aliases are only supported for user-defined networks",
            ));
        }
        if mode == NetworkMode::Bridge {
            "bridge".clone_into(&mut endpoint.network);
        }
    }
    let mode = NetworkMode::from(networks[0].network.clone());
    if mode == NetworkMode::Container(String::new()) {
        return Err(Failure::usage(
            "Invalid network mode: invalid container format container:<name|id>",
        ));
    }
    let name = networks[0].network.clone();
    let plain = EndpointOptions { network: name, ..EndpointOptions::default() };
    if !several && networks[0] == plain {
        networks.clear();
    }
    Ok((mode, networks))
}

/// Returns what one `--network` asks for: a name, or `name=…,alias=…,…`.
fn endpoint(text: &str) -> Result<EndpointOptions, Failure> {
    let mut endpoint = EndpointOptions::default();
    let bad = |reason: String| invalid(text, "--network", &reason);
    if text.is_empty() {
        return Err(Failure::usage("no name set for network"));
    }
    if !text.contains('=') {
        text.clone_into(&mut endpoint.network);
        return Ok(endpoint);
    }
    for field in fields(text) {
        let Some((key, value)) = field.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(bad(format!("invalid field {field}")));
        };
        let (key, value) = (key.trim().to_lowercase(), value.trim());
        match key.as_str() {
            "name" => value.clone_into(&mut endpoint.network),
            "alias" => endpoint.aliases.push(value.to_owned()),
            "driver-opt" => {
                let (name, value) = driver_option(value).map_err(bad)?;
                endpoint.driver_options.insert(name, value);
            }
            "ip" => endpoint.ipv4 = Some(value.parse().map_err(|_| bad(not_ip(4, value)))?),
            "ip6" => endpoint.ipv6 = Some(value.parse().map_err(|_| bad(not_ip(6, value)))?),
            "mac-address" => endpoint.mac = Some(mac(value)?),
            "gw-priority" => {
                endpoint.gateway_priority = value
                    .parse()
                    .map_err(|_| bad(format!("invalid gw-priority ({value}): invalid syntax")))?;
            }
            "link-local-ip" => endpoint.link_local.push(
                value
                    .parse()
                    .map_err(|_| bad(format!("invalid link-local IP address: {value}")))?,
            ),
            _ => return Err(bad(format!("invalid field key {key}"))),
        }
    }
    match endpoint.network.is_empty() {
        true => Err(bad("network name/id is not specified".to_owned())),
        false => Ok(endpoint),
    }
}

/// Splits a line of comma-separated values, in which quotes hold commas together.
fn fields(text: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for c in text.chars() {
        match (c, fields.last_mut()) {
            ('"', _) => quoted = !quoted,
            (',', _) if !quoted => fields.push(String::new()),
            (c, Some(last)) => last.push(c),
            _ => {}
        }
    }
    fields
}

fn not_ip(version: u8, text: &str) -> String {
    format!("invalid IPv{version} address: {text}")
}

/// Returns a driver's option, `NAME=VALUE`.
pub(crate) fn driver_option(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err(format!("invalid key value pair format in driver options: {text}")),
    }
}

fn mac(text: &str) -> Result<String, Failure> {
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    let parts: Vec<&str> = text.split([':', '-']).collect();
    match parts.len() == 6 && parts.iter().all(|part| digits(part)) {
        true => Ok(parts.join(":").to_lowercase()),
        false => Err(Failure::usage(format!("{text} is not a valid mac address"))),
    }
}

/// Adds what the flags that are older than `--network name=…` say, which is about the first network.
fn add_flags(parsed: &Parsed, first: &mut EndpointOptions) -> Result<(), Failure> {
    let twice = |flag: &str, what: &str| {
        Failure::usage(format!(
            "conflicting options: cannot specify both --{flag} and per-network {what}"
        ))
    };
    let aliases: Vec<String> = parsed.all("network-alias").map(str::to_owned).collect();
    if !aliases.is_empty() {
        if !first.aliases.is_empty() {
            return Err(twice("network-alias", "alias"));
        }
        first.aliases = aliases;
    }
    if let Some(text) = parsed.last("ip").filter(|text| !text.is_empty()) {
        if first.ipv4.is_some() {
            return Err(twice("ip", "IPv4 address"));
        }
        first.ipv4 = Some(text.parse().map_err(|_| Failure::usage(not_ip(4, text)))?);
    }
    if let Some(text) = parsed.last("ip6").filter(|text| !text.is_empty()) {
        if first.ipv6.is_some() {
            return Err(twice("ip6", "IPv6 address"));
        }
        first.ipv6 = Some(text.parse().map_err(|_| Failure::usage(not_ip(6, text)))?);
    }
    if let Some(text) = parsed.last("mac-address").filter(|text| !text.is_empty()) {
        if first.mac.is_some() {
            return Err(twice("mac-address", "MAC address"));
        }
        first.mac = Some(mac(text)?);
    }
    for text in parsed.all("link-local-ip") {
        first.link_local.push(link_local(text)?);
    }
    for text in parsed.all("link") {
        first.links.push(link(text).map_err(|reason| invalid(text, "--link", &reason))?);
    }
    Ok(())
}

fn link_local(text: &str) -> Result<std::net::IpAddr, Failure> {
    let reason = "is not an ip address";
    text.parse().map_err(|_| invalid(text, "--link-local-ip", &format!("{text} {reason}")))
}

/// Returns a link with its alias, `CONTAINER:NAME`.
pub(crate) fn link(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts[..] {
        [""] => Err("empty string specified for links".to_owned()),
        [name] => Ok(format!("{name}:{name}")),
        [name, alias] if !name.is_empty() && !alias.is_empty() => Ok(format!("{name}:{alias}")),
        _ => Err(format!("bad format for links: {text}")),
    }
}

/// Returns the flags of `network connect` as what they ask for.
///
/// # Errors
/// A usage error that names the flag.
pub(crate) fn connect(parsed: &Parsed, network: &str) -> Result<EndpointOptions, Failure> {
    let mut endpoint =
        EndpointOptions { network: network.to_owned(), ..EndpointOptions::default() };
    endpoint.aliases = parsed.all("alias").map(str::to_owned).collect();
    let mut options = BTreeMap::new();
    for text in parsed.all("driver-opt") {
        let (name, value) =
            driver_option(text).map_err(|reason| invalid(text, "--driver-opt", &reason))?;
        options.insert(name, value);
    }
    endpoint.driver_options = options;
    if let Some(text) = parsed.last("ip").filter(|text| !text.is_empty()) {
        endpoint.ipv4 = Some(text.parse().map_err(|_| Failure::usage(not_ip(4, text)))?);
    }
    if let Some(text) = parsed.last("ip6").filter(|text| !text.is_empty()) {
        endpoint.ipv6 = Some(text.parse().map_err(|_| Failure::usage(not_ip(6, text)))?);
    }
    if let Some(text) = parsed.last("gw-priority") {
        endpoint.gateway_priority = super::values::integer(text)
            .map_err(|reason| invalid(text, "--gw-priority", &reason))?;
    }
    for text in parsed.all("link-local-ip") {
        endpoint.link_local.push(link_local(text)?);
    }
    for text in parsed.all("link") {
        endpoint.links.push(link(text).map_err(|reason| invalid(text, "--link", &reason))?);
    }
    Ok(endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::parse;
    use crate::verbs::run::VERB;

    fn read(words: &[&str]) -> Result<(NetworkMode, Vec<EndpointOptions>), String> {
        let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        words.push("image".to_owned());
        let parsed = parse(&VERB, &words).map_err(|error| format!("{error:?}"))?;
        take(&parsed).map_err(|failure| failure.message().to_owned())
    }

    #[test]
    fn networks_are_named_and_described() {
        assert_eq!(read(&[]), Ok((NetworkMode::Bridge, vec![])));
        assert_eq!(read(&["--net", "bridge"]), Ok((NetworkMode::Bridge, vec![])));
        let (mode, networks) = read(&["--network", "container:web"]).unwrap();
        assert_eq!((mode, networks.len()), (NetworkMode::Container("web".into()), 0));
        let (mode, networks) = read(&["--network", "web"]).unwrap();
        assert_eq!((mode, networks.len()), (NetworkMode::Named("web".into()), 0));
        let all = "name=web,alias=a,alias=b,ip=10.0.0.5,ip6=fd00::5,mac-address=02-00-00-00-00-0A,\
                   gw-priority=-3,driver-opt=com.docker.network.endpoint.ifname=lan0";
        let (mode, networks) = read(&["--network", all, "--network", "db"]).unwrap();
        assert_eq!(mode, NetworkMode::Named("web".into()));
        let web = &networks[0];
        assert_eq!(
            (&web.network[..], &web.aliases[..]),
            ("web", &["a".to_owned(), "b".into()][..])
        );
        assert_eq!(web.ipv4, Some("10.0.0.5".parse().unwrap()));
        assert_eq!(web.ipv6, Some("fd00::5".parse().unwrap()));
        assert_eq!((web.mac.as_deref(), web.gateway_priority), (Some("02:00:00:00:00:0a"), -3));
        assert_eq!(web.driver_options["com.docker.network.endpoint.ifname"], "lan0");
        assert_eq!(networks[1].network, "db");
        let flags = ["--network", "web", "--ip", "10.0.0.6", "--network-alias", "x", "--link", "a"];
        let (_, networks) = read(&flags).unwrap();
        assert_eq!(
            (networks[0].ipv4.is_some(), &networks[0].links[..]),
            (true, &["a:a".into()][..])
        );
    }

    #[test]
    fn complaints_are_dockers() {
        for (line, complaint) in [
            (&["--network", ""][..], "no name set for network"),
            (&["--network", "name=a,foo=1"], "invalid field key foo"),
            (&["--network", "name=a,foo"], "invalid field foo"),
            (&["--network", "alias=a"], "network name/id is not specified"),
            (&["--network", "a", "--network", "a"], "network \"a\" is specified multiple times"),
            (&["--network", "a", "--network", "host"], "cannot attach both user-defined and"),
            (&["--network-alias", "a"], "network-scoped aliases are only supported for"),
            (&["--network", "name=a,ip=10.0.0.1", "--ip", "10.0.0.2"], "both --ip and per-network"),
            (&["--ip", "foo"], "invalid IPv4 address: foo"),
            (&["--ip6", "10.0.0.1"], "invalid IPv6 address: 10.0.0.1"),
            (&["--mac-address", "foo"], "foo is not a valid mac address"),
            (&["--network", "container:"], "invalid container format container:<name|id>"),
            (&["--link", "a:b:c"], "bad format for links: a:b:c"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(complaint), "{line:?}: {error}");
        }
    }
}
