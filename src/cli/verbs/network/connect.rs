//! `network connect` and `network disconnect`.

use wharf_model::Command;

use crate::args::{Arity, Flag, Group, Verb, networks};
use crate::call::Call;

pub(crate) static CONNECT: Verb = Verb {
    name: "network connect",
    paths: &["network connect"],
    usage: "[OPTIONS] NETWORK CONTAINER",
    about: "Connect a container to a network",
    group: Group::System,
    arity: Arity::Exactly(2),
    interspersed: true,
    flags: &[&[
        Flag::list("alias", "strings", "A further name of it on this network"),
        Flag::list("driver-opt", "strings", "An option of the network's driver"),
        Flag::value("gw-priority", "int", "The network with the highest gives the default route"),
        Flag::value("ip", "string", "Its IPv4 address"),
        Flag::value("ip6", "string", "Its IPv6 address"),
        Flag::list("link", "list", "Call another container so: CONTAINER:NAME"),
        Flag::list("link-local-ip", "strings", "A link-local address that it has besides"),
    ]],
    missing: &[],
    run: connect,
};

pub(crate) static DISCONNECT: Verb = Verb {
    name: "network disconnect",
    paths: &["network disconnect"],
    usage: "[OPTIONS] NETWORK CONTAINER",
    about: "Disconnect a container from a network",
    group: Group::System,
    arity: Arity::Exactly(2),
    interspersed: true,
    flags: &[&[Flag::switch("force", "Even if the container isn't there any more").short('f')]],
    missing: &[],
    run: disconnect,
};

fn connect(call: &Call) -> anyhow::Result<i32> {
    let [network, container] = &call.parsed.arguments[..] else { return Ok(1) };
    let endpoint = Box::new(networks::connect(&call.parsed, network)?);
    call.over_engine(async |backend| {
        backend.execute(Command::Connect { container: container.clone(), endpoint }).await?;
        Ok(0)
    })
}

fn disconnect(call: &Call) -> anyhow::Result<i32> {
    let [network, container] = &call.parsed.arguments[..] else { return Ok(1) };
    let (network, container) = (network.clone(), container.clone());
    let force = call.parsed.on("force");
    call.over_engine(async |backend| {
        backend.execute(Command::Disconnect { container, network, force }).await?;
        Ok(0)
    })
}
