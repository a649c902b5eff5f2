//! `network create`: make a network.

use std::net::IpAddr;

use ipnet::IpNet;
use wharf_model::{AddressPool, Command, NetworkCreateOptions, Outcome};

use crate::args::create::invalid;
use crate::args::networks::driver_option;
use crate::args::{Arity, Flag, Group, Parsed, Verb, values};
use crate::call::{Call, Failure, print_line};

pub(crate) static VERB: Verb = Verb {
    name: "network create",
    paths: &["network create"],
    usage: "[OPTIONS] NETWORK",
    about: "Create a network",
    group: Group::System,
    arity: Arity::Exactly(1),
    interspersed: true,
    flags: &[&[
        Flag::switch("attachable", "Containers may join by hand, as they always may"),
        Flag::list("aux-address", "map", "An address that somebody else has: NAME=ADDRESS"),
        Flag::value("driver", "string", "What makes it: bridge, macvlan or ipvlan").short('d'),
        Flag::list("gateway", "strings", "Where traffic to the outside goes"),
        Flag::switch("internal", "Nothing leaves it"),
        Flag::list("ip-range", "strings", "The addresses that containers get without asking"),
        Flag::switch("ipv4", "It has IPv4 addresses (default true)"),
        Flag::switch("ipv6", "It has IPv6 addresses"),
        Flag::list("label", "list", "Set a label"),
        Flag::list("opt", "map", "An option of its driver").short('o'),
        Flag::list("subnet", "strings", "Its addresses: 10.1.0.0/16"),
    ]],
    missing: &[
        ("config-from", None),
        ("config-only", None),
        ("ingress", None),
        ("ipam-driver", None),
        ("ipam-opt", None),
        ("scope", None),
    ],
    run,
};

fn run(call: &Call) -> anyhow::Result<i32> {
    let options = options(&call.parsed)?;
    call.over_engine(async |backend| {
        let made = backend.execute(Command::CreateNetwork(Box::new(options))).await?;
        if let Outcome::NetworkCreated { id, warnings } = made {
            for warning in &warnings {
                crate::notice(&format!("WARNING: {warning}"));
            }
            print_line(&id)?;
        }
        Ok(0)
    })
}

fn options(parsed: &Parsed) -> Result<NetworkCreateOptions, Failure> {
    let mut options = NetworkCreateOptions {
        name: parsed.argument(0).unwrap_or_default().to_owned(),
        driver: parsed.last("driver").unwrap_or_default().to_owned(),
        internal: parsed.on("internal"),
        attachable: parsed.on("attachable"),
        ipv4: parsed.last("ipv4").map(|_| parsed.on("ipv4")),
        ipv6: parsed.last("ipv6").map(|_| parsed.on("ipv6")),
        pools: pools(parsed)?,
        ..NetworkCreateOptions::default()
    };
    for text in parsed.all("opt") {
        let (name, value) = driver_option(text)
            .or_else(|_| Ok::<_, String>((text.to_owned(), String::new())))
            .map_err(|reason| invalid(text, "-o, --opt", &reason))?;
        options.options.insert(name, value);
    }
    for text in parsed.all("label") {
        let (name, value) =
            values::label(text).map_err(|reason| invalid(text, "--label", &reason))?;
        options.labels.insert(name, value);
    }
    Ok(options)
}

/// Returns the addresses, what belongs to each subnet with it. Docker's complaints about what
/// belongs to none are no usage errors.
fn pools(parsed: &Parsed) -> Result<Vec<AddressPool>, Failure> {
    let refuse = |text: String| Failure::new(1, text);
    // Several in one word, as docker takes them.
    let all = |flag: &str| -> Vec<String> {
        let words = parsed.all(flag).flat_map(|text| text.split(','));
        words.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect()
    };
    let (ranges, gateways) = (all("ip-range"), all("gateway"));
    let mut pools: Vec<AddressPool> = Vec::new();
    for text in all("subnet") {
        let cidr =
            |text: &str| refuse(format!("invalid subnet {text}: invalid CIDR block notation"));
        let subnet: IpNet = text.parse().map_err(|_| cidr(&text))?;
        let overlaps = |other: &AddressPool| {
            other.subnet.is_some_and(|other| {
                other.contains(&subnet.network()) || subnet.contains(&other.network())
            })
        };
        if pools.iter().any(overlaps) {
            return Err(refuse(
                "multiple overlapping subnet configuration is not supported".into(),
            ));
        }
        pools.push(AddressPool { subnet: Some(subnet), ..AddressPool::default() });
    }
    if pools.is_empty() && !(ranges.is_empty() && gateways.is_empty()) {
        return Err(refuse("every ip-range or gateway must have a corresponding subnet".into()));
    }
    for text in ranges {
        let range: IpNet = text
            .parse()
            .map_err(|_| refuse(format!("invalid ip-range {text}: invalid CIDR block notation")))?;
        let Some(pool) = of(&mut pools, range.addr()) else {
            return Err(refuse(format!("no matching subnet for range {text}")));
        };
        if pool.ip_range.replace(range).is_some() {
            return Err(refuse(format!(
                "cannot configure multiple ranges ({text}) on the same subnet"
            )));
        }
    }
    for text in gateways {
        let gateway: IpAddr =
            text.parse().map_err(|_| refuse(format!("invalid gateway {text}: no address")))?;
        let Some(pool) = of(&mut pools, gateway) else {
            return Err(refuse(format!("no matching subnet for gateway {text}")));
        };
        if pool.gateway.replace(gateway).is_some() {
            return Err(refuse(format!(
                "cannot configure multiple gateways ({text}) on the same subnet"
            )));
        }
    }
    for text in parsed.all("aux-address") {
        let (name, address) = text.split_once('=').unwrap_or((text, ""));
        let found = address.parse().ok().and_then(|address| of(&mut pools, address));
        match (found, address.parse()) {
            (Some(pool), Ok(address)) => {
                pool.aux_addresses.insert(name.to_owned(), address);
            }
            _ => return Err(refuse(format!("no matching subnet for aux-address {address}"))),
        }
    }
    Ok(pools)
}

/// Returns the pool that an address is in.
fn of(pools: &mut [AddressPool], address: IpAddr) -> Option<&mut AddressPool> {
    pools.iter_mut().find(|pool| pool.subnet.is_some_and(|subnet| subnet.contains(&address)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::parse;

    fn read(words: &[&str]) -> Result<NetworkCreateOptions, String> {
        let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        words.push("web".to_owned());
        let parsed = parse(&VERB, &words).map_err(|error| format!("{error:?}"))?;
        options(&parsed).map_err(|failure| failure.message().to_owned())
    }

    #[test]
    fn everything_at_once() {
        let got = read(&[
            "-d",
            "macvlan",
            "--internal",
            "--attachable",
            "--ipv6",
            "--ipv4=false",
            "--subnet",
            "10.1.0.0/16,fd00:1::/64",
            "--gateway",
            "10.1.0.9",
            "--ip-range",
            "10.1.2.0/24",
            "--aux-address",
            "router=10.1.0.7",
            "-o",
            "parent=eth0",
            "-o",
            "alone",
            "--label",
            "a=b",
        ])
        .unwrap();
        assert_eq!((got.name.as_str(), got.driver.as_str()), ("web", "macvlan"));
        assert!(got.internal && got.attachable);
        assert_eq!((got.ipv4, got.ipv6), (Some(false), Some(true)));
        let [first, second] = &got.pools[..] else { panic!("{:?}", got.pools) };
        assert_eq!(first.gateway.unwrap().to_string(), "10.1.0.9");
        assert_eq!(first.ip_range.unwrap().to_string(), "10.1.2.0/24");
        assert_eq!(first.aux_addresses["router"].to_string(), "10.1.0.7");
        assert_eq!(second.subnet.unwrap().to_string(), "fd00:1::/64");
        assert_eq!((got.options["parent"].as_str(), got.options["alone"].as_str()), ("eth0", ""));
        assert_eq!(got.labels["a"], "b");
        let got = read(&[]).unwrap();
        assert_eq!((got.ipv4, got.ipv6, got.pools.len()), (None, None, 0));
    }

    #[test]
    fn complaints_are_dockers() {
        for (line, complaint) in [
            (&["--subnet", "foo"][..], "invalid subnet foo: invalid CIDR block notation"),
            (
                &["--subnet", "10.7.0.0/24", "--gateway", "10.8.0.1"],
                "no matching subnet for gateway 10.8.0.1",
            ),
            (
                &["--gateway", "10.8.0.1"],
                "every ip-range or gateway must have a corresponding subnet",
            ),
            (
                &["--subnet", "10.7.0.0/24", "--ip-range", "10.8.0.0/24"],
                "no matching subnet for range 10.8.0.0/24",
            ),
            (
                &["--subnet", "10.7.0.0/24", "--aux-address", "a=10.9.0.1"],
                "no matching subnet for aux-address 10.9.0.1",
            ),
            (
                &["--subnet", "10.7.0.0/24", "--aux-address", "a"],
                "no matching subnet for aux-address ",
            ),
            (
                &["--subnet", "10.7.0.0/24", "--subnet", "10.7.0.0/25"],
                "multiple overlapping subnet configuration is not supported",
            ),
        ] {
            assert_eq!(read(line).unwrap_err(), complaint);
        }
    }
}
