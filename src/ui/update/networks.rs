//! The network screen: moving through the drawing, and what is asked of networks.

use wharf_model::{
    AddressPool, Command, ContainerId, EndpointOptions, Filters, NetworkCreateOptions, ReachAnswer,
    ReachQuestion,
};

use crate::app::topology::{HOST, Node, Reach};
use crate::app::{
    App, Choice, Confirm, Input, Item, Menu, Overlay, Page, Pending, Prompt, PromptFor, Redraw,
    Screen, Target,
};
use crate::keymap::Action;
use crate::layout::layout;
use crate::message::Effect;

use super::commands;

/// Returns what to ask for while the screen is shown.
pub(super) fn sync(app: &mut App) -> Option<Effect> {
    let seen = app.screen == Screen::Networks;
    (seen && app.networks.listing.due()).then_some(Effect::FetchNetworks)
}

/// Returns the question for the links' counters, when they tell more than is known.
pub(super) fn sampled(app: &mut App) -> Option<Effect> {
    let wanted = app.screen == Screen::Networks && app.networks.needs_links();
    if !wanted || app.networks.counting {
        return None;
    }
    app.networks.counting = true;
    Some(Effect::FetchLinks)
}

/// Takes an action of the drawing.
pub(super) fn act(app: &mut App, action: Action) -> Vec<Effect> {
    let Some(rows) = layout(app).map(|l| l.list_rows()) else { return Vec::new() };
    match action {
        Action::GoLeft | Action::GoRight => {
            let right = action == Action::GoRight;
            if !app.networks.turn(right, rows) {
                app.tell(if right {
                    "nothing is further right"
                } else {
                    "nothing is further left"
                });
            }
            app.details_top = 0;
        }
        Action::Scale => {
            let scale = app.networks.turn_scale(rows);
            app.tell(format!("the drawing shows {}", scale.title()));
        }
        Action::CreateNetwork => {
            let prompt = Prompt {
                title: "New network: NAME [subnet=…] [driver=…] [internal]".to_owned(),
                input: Input::new(String::new()),
                error: None,
                purpose: PromptFor::CreateNetwork,
            };
            app.overlays.push(Overlay::Prompt(prompt));
        }
        Action::RemoveNetwork => ask_to_remove(app),
        Action::PruneNetworks => ask_to_prune(app),
        Action::Connect => connect_menu(app),
        Action::Disconnect => return disconnect(app),
        Action::TryReach => reach_menu(app),
        _ => {}
    }
    Vec::new()
}

/// Moves in the drawing.
pub(super) fn step(app: &mut App, by: isize) {
    let Some(rows) = layout(app).map(|l| l.list_rows()) else { return };
    app.networks.step(by, rows);
    app.details_top = 0;
}

/// Selects what a click hits.
pub(super) fn select(app: &mut App, node: Node) {
    let Some(rows) = layout(app).map(|l| l.list_rows()) else { return };
    app.networks.selected = Some(node);
    app.networks.settle(rows);
    app.details_top = 0;
}

/// Returns what people call a container.
fn name(app: &App, id: &ContainerId) -> String {
    app.containers.row(id).map_or_else(|| id.short().to_owned(), |row| row.summary.name.clone())
}

fn network_name(app: &App, key: &str) -> String {
    app.networks.by_key(key).map_or_else(|| key.to_owned(), |network| network.name.clone())
}

fn on_network(key: &str, doing: &'static str, what: String) -> Pending {
    Pending { on: Target::Network(key.to_owned()), doing, what, undoable: false }
}

fn ask_to_remove(app: &mut App) {
    let Some(network) = app.networks.network() else { return };
    let (id, name) = (network.id.clone(), network.name.clone());
    let mut body = vec![format!("Lost: the network {name} with its addresses and settings.")];
    let bus = app.networks.topology.bus(&id).map(|(bus, _)| bus);
    let on: Vec<_> = bus.into_iter().flat_map(|bus| app.networks.topology.on(bus)).collect();
    let names = |alive: bool| {
        let list = on.iter().filter(|(s, _)| s.status.is_alive() == alive);
        list.map(|(s, _)| s.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let (running, others) = (names(true), names(false));
    if !running.is_empty() {
        body.push(format!("On it: {running}. The engine will refuse until x has taken them off."));
    }
    if !others.is_empty() {
        body.push(format!("{others} can't start any more until put on another network."));
    }
    if on.is_empty() {
        body.push("No container is on it.".to_owned());
    }
    let pending = on_network(&id, "removing", format!("remove network {name}"));
    app.overlays.push(Overlay::Confirm(Confirm {
        title: format!("Remove network {name}?"),
        body,
        verb: "Remove",
        commands: vec![(pending, Command::RemoveNetwork { network: id, force: false })],
        ..Confirm::default()
    }));
}

fn ask_to_prune(app: &mut App) {
    let topology = &app.networks.topology;
    let mut lost = Vec::new();
    for network in &app.networks.list {
        let Some((bus, drawn)) = topology.bus(&network.id) else { continue };
        let alive = topology.on(bus).any(|(station, _)| station.status.is_alive());
        if drawn.built_in || alive || !network.endpoints.is_empty() {
            continue;
        }
        let stopped: Vec<&str> = topology.on(bus).map(|(s, _)| s.name.as_str()).collect();
        lost.push(match stopped.is_empty() {
            true => format!("  {}", network.name),
            false => format!("  {} (without it can't start: {})", network.name, stopped.join(", ")),
        });
    }
    if lost.is_empty() {
        app.tell("every network has a running container, or is the engine's own");
        return;
    }
    let mut body = vec!["Lost, unless a container gets on one meanwhile:".to_owned()];
    body.extend(lost);
    let pending = on_network("", "pruning", "prune networks".to_owned());
    app.overlays.push(Overlay::Confirm(Confirm {
        title: "Remove the networks that no running container is on?".to_owned(),
        body,
        verb: "Remove",
        commands: vec![(pending, Command::PruneNetworks { filters: Filters::default() })],
        ..Confirm::default()
    }));
}

fn connect_menu(app: &mut App) {
    let topology = &app.networks.topology;
    let (title, items): (String, Vec<Item>) = match &app.networks.selected {
        Some(Node::Station(id) | Node::Edge(id, _)) => {
            let on = |key: &str| topology.edge(id, key).is_some();
            let free = app
                .networks
                .list
                .iter()
                .filter(|n| !matches!(n.driver.as_str(), "host" | "null") && !on(&n.id));
            let item = |network: &wharf_model::NetworkInfo| Item {
                key: String::new(),
                text: describe(app, &network.id),
                choice: Choice::Connect { container: id.clone(), network: network.id.clone() },
            };
            (format!("Connect {} to", name(app, id)), free.map(item).collect())
        }
        Some(Node::Bus(key)) => {
            let rows = app.rows_here();
            let free = rows.filter(|row| topology.edge(&row.summary.id, key).is_none());
            let item = |row: &crate::app::Row| Item {
                key: String::new(),
                text: format!("{}  {}", row.summary.name, row.summary.status.as_str()),
                choice: Choice::Connect { container: row.summary.id.clone(), network: key.clone() },
            };
            (format!("Connect to {}", network_name(app, key)), free.map(item).collect())
        }
        None => return,
    };
    if items.is_empty() {
        app.tell("there is nothing left to connect");
        return;
    }
    app.overlays.push(Overlay::Menu(Menu { title, items, at: 0, lines: Vec::new() }));
}

/// Returns a network in a few words.
fn describe(app: &App, key: &str) -> String {
    let Some((_, bus)) = app.networks.topology.bus(key) else { return network_name(app, key) };
    let internal = if bus.reach == Reach::Internal { "  internal" } else { "" };
    format!("{}  {}  {}{internal}", bus.name, bus.driver, bus.subnets)
}

/// Connects a container to a network: nothing is lost by it.
pub(super) fn connect(app: &mut App, container: &ContainerId, network: &str) -> Vec<Effect> {
    let what = format!("connect {} to {}", name(app, container), network_name(app, network));
    let pending = on_network(network, "connecting", what);
    let endpoint = EndpointOptions { network: network.to_owned(), ..EndpointOptions::default() };
    let container = container.as_str().to_owned();
    let command = Command::Connect { container, endpoint: Box::new(endpoint) };
    commands::give(app, vec![(pending, command)])
}

fn disconnect(app: &mut App) -> Vec<Effect> {
    let topology = &app.networks.topology;
    let choices: Vec<(ContainerId, String)> = match &app.networks.selected {
        Some(Node::Edge(id, key)) => vec![(id.clone(), key.clone())],
        Some(Node::Station(id)) => topology
            .station(id)
            .into_iter()
            .flat_map(|(_, station)| &station.edges)
            .filter_map(|edge| topology.buses.get(edge.bus))
            .filter(|bus| bus.key != HOST)
            .map(|bus| (id.clone(), bus.key.clone()))
            .collect(),
        Some(Node::Bus(key)) => topology
            .bus(key)
            .into_iter()
            .flat_map(|(bus, _)| topology.on(bus))
            .map(|(station, _)| (station.id.clone(), key.clone()))
            .collect(),
        None => Vec::new(),
    };
    if let [(container, network)] = choices.as_slice() {
        ask_to_disconnect(app, &container.clone(), &network.clone());
        return Vec::new();
    }
    let item = |(container, network): (ContainerId, String)| Item {
        key: String::new(),
        text: format!("{} from {}", name(app, &container), network_name(app, &network)),
        choice: Choice::Disconnect { container, network },
    };
    let items = choices.into_iter().map(item).collect();
    app.overlays.push(Overlay::Menu(Menu {
        title: "Disconnect".to_owned(),
        items,
        at: 0,
        lines: Vec::new(),
    }));
    Vec::new()
}

/// Asks before a container is taken from a network.
pub(super) fn ask_to_disconnect(app: &mut App, container: &ContainerId, network: &str) {
    let (who, what) = (name(app, container), network_name(app, network));
    let found = app.networks.topology.edge(container, network);
    let mut body = Vec::new();
    match found.map(|(_, _, edge)| edge.address.as_str()) {
        Some(address) if !address.is_empty() => body.push(format!(
            "Lost: its address {address} there, and every open connection that uses it."
        )),
        _ => body.push(format!("Lost: its place on {what} at its next start.")),
    }
    let others = found.is_some_and(|(at, ..)| {
        let station = app.networks.topology.stations.get(at);
        station.is_some_and(|s| s.edges.iter().filter(|edge| edge.bus != 0).count() > 1)
    });
    body.push(match others {
        true => "It stays on its other networks.".to_owned(),
        false => "It is on no other network: it will reach nobody, and nobody it.".to_owned(),
    });
    let pending = on_network(network, "disconnecting", format!("disconnect {who} from {what}"));
    let command = Command::Disconnect {
        container: container.as_str().to_owned(),
        network: network.to_owned(),
        force: false,
    };
    app.overlays.push(Overlay::Confirm(Confirm {
        title: format!("Disconnect {who} from {what}?"),
        body,
        verb: "Disconnect",
        commands: vec![(pending, command)],
        ..Confirm::default()
    }));
}

fn reach_menu(app: &mut App) {
    let Some(from) = app.networks.container().cloned() else { return };
    let mut items = vec![Item {
        key: String::new(),
        text: "a name or an address".to_owned(),
        choice: Choice::Reach { from: from.clone(), to: None },
    }];
    // All of them, whatever the drawing is filtered by.
    for row in app.rows_here().filter(|row| row.summary.id != from) {
        let status = row.summary.status;
        let state = if status.is_alive() { "" } else { status.as_str() };
        items.push(Item {
            key: String::new(),
            text: format!("{}  {state}", row.summary.name).trim_end().to_owned(),
            choice: Choice::Reach { from: from.clone(), to: Some(row.summary.id.clone()) },
        });
    }
    let title = format!("Can {} reach", name(app, &from));
    let at = usize::from(items.len() > 1);
    app.overlays.push(Overlay::Menu(Menu { title, items, at, lines: Vec::new() }));
}

/// Asks for the port that is to be tried.
pub(super) fn ask_port(app: &mut App, from: ContainerId, to: Option<ContainerId>) {
    let who = name(app, &from);
    let title = match &to {
        Some(to) => format!("Can {who} reach {}, on which TCP port?", name(app, to)),
        None => format!("Can {who} reach what? NAME:PORT or ADDRESS:PORT"),
    };
    // Most often it is the port that the container is there for.
    let row = to.as_ref().and_then(|to| app.containers.row(to));
    let tcp = row.and_then(|row| row.summary.ports.iter().find(|port| port.protocol == "tcp"));
    let port = tcp.map(|port| port.container_port.to_string()).unwrap_or_default();
    let purpose = PromptFor::Reach { from, name: who, to };
    let prompt = Prompt { title, input: Input::new(port), error: None, purpose };
    app.overlays.push(Overlay::Prompt(prompt));
}

/// Returns the question that a typed text asks.
///
/// # Errors
/// What is wrong with it, for people.
pub(super) fn question(
    from: &ContainerId,
    to: Option<&ContainerId>,
    text: &str,
) -> Result<ReachQuestion, String> {
    let (to, port) = match to {
        Some(to) => (to.as_str().to_owned(), text),
        None => {
            let (to, port) =
                text.rsplit_once(':').ok_or("write the port after a colon: example.org:443")?;
            (to.trim_start_matches('[').trim_end_matches(']').to_owned(), port)
        }
    };
    if to.is_empty() {
        return Err("what is to be reached is missing".to_owned());
    }
    match port.trim().parse::<u16>() {
        Ok(port @ 1..) => Ok(ReachQuestion { from: from.as_str().to_owned(), to, port }),
        _ => Err(format!("{port:?} is no port: 1 to 65535")),
    }
}

/// Tells whether something was reached.
pub(super) fn reached(
    app: &mut App,
    question: &ReachQuestion,
    result: Result<ReachAnswer, wharf_backend::Error>,
) {
    let called = |text: &str| {
        let id = text.parse::<ContainerId>().ok();
        let row = id.and_then(|id| app.containers.row(&id));
        row.map_or_else(|| wharf_logs::sanitize_line(text).into_owned(), |r| r.summary.name.clone())
    };
    let (from, to) = (called(&question.from), called(&question.to));
    let what = format!("{from} to {to} port {}", question.port);
    let answer = match result {
        Ok(answer) => answer,
        Err(error) => return app.fail(format!("try {what}"), error.message),
    };
    let time = crate::format::micros(answer.micros);
    let verdict = match answer.reached {
        true => (format!("Yes, connected within {time}."), true),
        false => ("No.".to_owned(), false),
    };
    let safe = |step: &String| wharf_logs::sanitize_line(step).into_owned();
    app.notice = None;
    app.overlays.push(Overlay::Page(Page {
        title: format!("From {what}"),
        verdict: Some(verdict),
        body: answer.steps.iter().map(safe).collect(),
        scroll: 0,
    }));
    app.draw(Redraw::Now);
}

/// Returns what a typed text asks of a new network.
///
/// # Errors
/// What is wrong with it, for people.
pub(crate) fn parse(text: &str) -> Result<NetworkCreateOptions, String> {
    let mut words = text.split_whitespace();
    let name = words.next().ok_or("a network needs a name")?;
    if name.contains('=') {
        return Err("the name comes first".to_owned());
    }
    let mut options = NetworkCreateOptions { name: name.to_owned(), ..Default::default() };
    let mut pool = AddressPool::default();
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let bad = |what: &str| format!("{value:?} is no {what}");
        match key {
            "internal" if value.is_empty() => options.internal = true,
            "driver" if !value.is_empty() => options.driver = value.to_owned(),
            "subnet" => {
                pool.subnet = Some(value.parse().map_err(|_| bad("subnet: 10.1.0.0/24 is one"))?);
            }
            "gateway" => pool.gateway = Some(value.parse().map_err(|_| bad("address"))?),
            "range" => pool.ip_range = Some(value.parse().map_err(|_| bad("range of addresses"))?),
            _ => {
                let known = "subnet=, gateway=, range=, driver= and internal";
                return Err(format!("{word:?} is not known: there are {known}"));
            }
        }
    }
    if pool != AddressPool::default() {
        options.pools = vec![pool];
    }
    Ok(options)
}

/// Makes a network.
pub(super) fn create(app: &mut App, options: NetworkCreateOptions) -> Vec<Effect> {
    let pending = on_network("", "making", format!("create network {}", options.name));
    commands::give(app, vec![(pending, Command::CreateNetwork(Box::new(options)))])
}

/// Scrolls the details.
pub(super) fn scroll_details(app: &mut App, by: isize) {
    let Some(layout) = layout(app) else { return };
    let rows = usize::from(layout.detail.height);
    let lines = crate::view::details_len(app, layout.detail.width);
    app.details_top = app.details_top.saturating_add_signed(by).min(lines.saturating_sub(rows));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_described_in_one_line() {
        let options = parse("back subnet=10.9.0.0/24 gateway=10.9.0.7 internal").unwrap();
        assert_eq!((options.name.as_str(), options.internal), ("back", true));
        assert_eq!(options.pools[0].gateway, "10.9.0.7".parse().ok());
        assert!(parse("plain").unwrap().pools.is_empty());
        for (text, wanted) in [
            ("", "needs a name"),
            ("subnet=10.9.0.0/24", "name comes first"),
            ("a subnet=10.9.0.0", "is no subnet"),
            ("a fast", "is not known"),
            ("a driver=", "is not known"),
        ] {
            assert!(parse(text).unwrap_err().contains(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_to_be_reached_is_read_from_a_line() {
        let id: ContainerId = "ab".repeat(32).parse().unwrap();
        let ask = |text: &str| question(&id, None, text).map(|q| (q.to, q.port));
        assert_eq!(ask("example.org:443"), Ok(("example.org".to_owned(), 443)));
        assert_eq!(ask("[fd00::1]:80"), Ok(("fd00::1".to_owned(), 80)));
        assert!(ask("example.org").is_err() && ask(":80").is_err());
        assert_eq!(question(&id, Some(&id), "5432").unwrap().port, 5432);
        assert!(question(&id, Some(&id), "0").is_err());
        assert!(question(&id, Some(&id), "http").is_err());
    }
}
