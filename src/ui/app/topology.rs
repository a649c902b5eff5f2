//! The drawing of networks, as a pure function of what is known: networks are buses, containers
//! are stations on them, and each attachment is an edge. The host is the first bus: published ports
//! lead there, and every network from which something gets out begins there.

use std::collections::BTreeMap;

use wharf_logs::sanitize_line;
use wharf_model::{ContainerId, ContainerSummary, HealthStatus, NetworkInfo, Status};

use super::Row;

/// The key of the host's bus; a network's key is its id.
pub const HOST: &str = "";

/// What can be selected in the drawing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// A network, or the host.
    Bus(String),
    /// A container's attachment to a bus.
    Edge(ContainerId, String),
    /// A container.
    Station(ContainerId),
}

impl Node {
    /// Returns the container it is or belongs to.
    pub fn container(&self) -> Option<&ContainerId> {
        match self {
            Self::Bus(_) => None,
            Self::Edge(container, _) | Self::Station(container) => Some(container),
        }
    }
}

/// How a bus is tied to the rest of the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It is the host.
    Host,
    /// Its containers get out through the host.
    Out,
    /// Nothing leaves it.
    Internal,
    /// Its containers stand beside the host on the host's own network (macvlan, ipvlan).
    Beside,
}

/// A network.
#[derive(Clone, Debug, PartialEq)]
pub struct Bus {
    /// Its id, or [`HOST`].
    pub key: String,
    /// Its name, made safe.
    pub name: String,
    /// Its driver, made safe.
    pub driver: String,
    /// Its subnets.
    pub subnets: String,
    /// Where it leads.
    pub reach: Reach,
    /// Whether its containers may talk to each other.
    pub icc: bool,
    /// Whether the engine made it for itself, so that it can't be removed.
    pub built_in: bool,
}

/// A container's attachment to a bus.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// The index of the bus.
    pub bus: usize,
    /// Its address there; for the host, the published ports.
    pub address: String,
    /// Bytes received and sent a second, by the container.
    pub rate: Option<(f64, f64)>,
}

/// A container.
#[derive(Clone, Debug, PartialEq)]
pub struct Station {
    /// The container.
    pub id: ContainerId,
    /// Its name, made safe.
    pub name: String,
    /// Its image, made safe.
    pub image: String,
    /// Its state.
    pub status: Status,
    /// What its probes say.
    pub health: Option<HealthStatus>,
    /// Its attachments, in the order of the buses.
    pub edges: Vec<Edge>,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topology {
    /// The host, then the networks.
    pub buses: Vec<Bus>,
    /// The containers, those on the same networks together.
    pub stations: Vec<Station>,
}

/// How much of the drawing is shown of each thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// A box for each container.
    Boxes,
    /// A line for each container.
    Lines,
    /// A line for each network.
    Counts,
}

impl Scale {
    /// Returns its name.
    pub fn title(self) -> &'static str {
        match self {
            Self::Boxes => "boxes",
            Self::Lines => "lines",
            Self::Counts => "counts",
        }
    }
}

/// What a row of the drawing shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The name of a bus, where it begins.
    Bus(usize),
    /// Nothing but the buses.
    Gap,
    /// The top of a container's box.
    Top(usize),
    /// One of its attachments.
    Edge(usize, usize),
    /// That it has none.
    Alone(usize),
    /// The bottom of its box.
    Bottom(usize),
    /// A container in one line.
    Line(usize),
    /// A network and its containers in one line.
    Count(usize),
}

/// Tells how much a container receives and sends.
pub type Rate<'a> = dyn Fn(&ContainerId, Option<&str>) -> Option<(f64, f64)> + 'a;

/// What there is to draw.
pub struct Snapshot<'a> {
    /// The networks, every text made safe.
    pub networks: &'a [NetworkInfo],
    /// The engine that it is about, by its place.
    pub host: usize,
    /// The containers of all engines.
    pub containers: &'a [Row],
    /// What the user looks for, in lower case.
    pub filter: &'a str,
    /// Bytes received and sent a second by a container at a link of this host, or altogether.
    pub rate: &'a Rate<'a>,
}

impl Topology {
    /// Returns the drawing of what is known.
    pub fn new(snapshot: &Snapshot<'_>) -> Self {
        let mut buses = vec![host()];
        buses.extend(snapshot.networks.iter().filter(|n| is_bus(n)).map(bus));
        let by_name: BTreeMap<&str, usize> = snapshot
            .networks
            .iter()
            .filter_map(|network| {
                let key = if network.driver == "host" { HOST } else { network.id.as_str() };
                Some((network.name.as_str(), buses.iter().position(|b| b.key == key)?))
            })
            .collect();
        let rows = snapshot.containers.iter().filter(|row| row.host == snapshot.host);
        let mut stations: Vec<Station> = rows.map(|row| station(row, snapshot, &by_name)).collect();
        let words: Vec<&str> = snapshot.filter.split_whitespace().collect();
        let matches = |text: &str| words.iter().all(|word| text.contains(word));
        let wanted: Vec<bool> = buses.iter().map(|b| matches(&words_of_bus(b))).collect();
        if !words.is_empty() {
            stations.retain(|station| {
                matches(&words_of_station(station))
                    || station.edges.iter().any(|e| wanted.get(e.bus) == Some(&true))
            });
        }
        // Networks without a container come last, and those that nothing is asked of not at all.
        let used = |n: usize| stations.iter().any(|s| s.edges.iter().any(|e| e.bus == n));
        let mut order: Vec<usize> = (0..buses.len())
            .filter(|n| *n == 0 || words.is_empty() || wanted[*n] || used(*n))
            .collect();
        order.sort_by_key(|n| (*n != 0, !used(*n), *n));
        let place: BTreeMap<usize, usize> =
            order.iter().enumerate().map(|(new, old)| (*old, new)).collect();
        for station in &mut stations {
            station.edges.retain_mut(|edge| match place.get(&edge.bus) {
                Some(new) => {
                    edge.bus = *new;
                    true
                }
                None => false,
            });
            station.edges.sort_by_key(|edge| edge.bus);
        }
        let first = |station: &Station| {
            let own = station.edges.iter().find(|edge| edge.bus != 0).or(station.edges.first());
            own.map_or(usize::MAX, |edge| edge.bus)
        };
        stations.sort_by(|a, b| {
            (first(a), !a.status.is_alive(), &a.name).cmp(&(
                first(b),
                !b.status.is_alive(),
                &b.name,
            ))
        });
        let buses = order.into_iter().filter_map(|n| buses.get(n).cloned()).collect();
        Self { buses, stations }
    }

    /// Returns the rows of the drawing, from top to bottom.
    pub fn parts(&self, scale: Scale) -> Vec<Part> {
        if scale == Scale::Counts {
            return (0..self.buses.len()).map(Part::Count).collect();
        }
        let mut parts: Vec<Part> = (0..self.buses.len()).map(Part::Bus).collect();
        parts.push(Part::Gap);
        for (n, station) in self.stations.iter().enumerate() {
            if scale == Scale::Lines {
                parts.push(Part::Line(n));
                continue;
            }
            parts.push(Part::Top(n));
            match station.edges.len() {
                0 => parts.push(Part::Alone(n)),
                edges => parts.extend((0..edges).map(|e| Part::Edge(n, e))),
            }
            parts.push(Part::Bottom(n));
        }
        parts
    }

    /// Returns a bus.
    pub fn bus(&self, key: &str) -> Option<(usize, &Bus)> {
        self.buses.iter().enumerate().find(|(_, bus)| bus.key == key)
    }

    /// Returns a container.
    pub fn station(&self, id: &ContainerId) -> Option<(usize, &Station)> {
        self.stations.iter().enumerate().find(|(_, station)| station.id == *id)
    }

    /// Returns a container's attachment to a bus.
    pub fn edge(&self, id: &ContainerId, key: &str) -> Option<(usize, usize, &Edge)> {
        let (bus, _) = self.bus(key)?;
        let (at, station) = self.station(id)?;
        let edge = station.edges.iter().position(|edge| edge.bus == bus)?;
        Some((at, edge, station.edges.get(edge)?))
    }

    /// Returns whether a node is there.
    pub fn has(&self, node: &Node) -> bool {
        match node {
            Node::Bus(key) => self.bus(key).is_some(),
            Node::Edge(id, key) => self.edge(id, key).is_some(),
            Node::Station(id) => self.station(id).is_some(),
        }
    }

    /// Returns the containers on a bus.
    pub fn on(&self, bus: usize) -> impl Iterator<Item = (&Station, &Edge)> {
        self.stations.iter().filter_map(move |station| {
            Some((station, station.edges.iter().find(|edge| edge.bus == bus)?))
        })
    }

    /// Returns what goes through a bus, as far as it is known: bytes a second received and sent by
    /// its containers.
    pub fn traffic(&self, bus: usize) -> Option<(f64, f64)> {
        let rates = self.on(bus).filter_map(|(_, edge)| edge.rate);
        rates.reduce(|a, b| (a.0 + b.0, a.1 + b.1))
    }

    /// Returns the rows that a node takes: the first, and how many.
    pub fn place(&self, node: &Node, scale: Scale) -> Option<(usize, usize)> {
        let parts = self.parts(scale);
        let is = |part: &Part| self.node_of(*part, node).is_some_and(|found| found == *node);
        let first = parts.iter().position(is)?;
        let count = parts.iter().skip(first).take_while(|part| is(part)).count();
        Some((first, count))
    }

    /// Returns what a row shows that could be `like`: a row of a box is its container, or one of
    /// its attachments when an attachment is asked about.
    fn node_of(&self, part: Part, like: &Node) -> Option<Node> {
        let id = |n: usize| self.stations.get(n).map(|station| station.id.clone());
        let key = |bus: usize| self.buses.get(bus).map(|bus| bus.key.clone());
        match (part, like) {
            (Part::Bus(n) | Part::Count(n), _) => key(n).map(Node::Bus),
            (Part::Edge(n, e), Node::Edge(..)) => {
                let edge = self.stations.get(n)?.edges.get(e)?;
                Some(Node::Edge(id(n)?, key(edge.bus)?))
            }
            (Part::Line(n), Node::Edge(_, bus)) => Some(Node::Edge(id(n)?, bus.clone())),
            (
                Part::Top(n) | Part::Edge(n, _) | Part::Alone(n) | Part::Bottom(n) | Part::Line(n),
                _,
            ) => id(n).map(Node::Station),
            (Part::Gap, _) => None,
        }
    }

    /// Returns the next node in a direction; none at the end.
    pub fn step(&self, from: &Node, by: isize, scale: Scale) -> Option<Node> {
        let list: Vec<Node> = match (from, scale) {
            (Node::Edge(..), Scale::Boxes | Scale::Lines) => self.edges().collect(),
            _ => self.spine(scale),
        };
        let at = list.iter().position(|node| node == from)?;
        let to = at.saturating_add_signed(by).min(list.len().saturating_sub(1));
        list.into_iter().nth(to).filter(|node| node != from)
    }

    /// Returns the buses and containers from top to bottom.
    pub fn spine(&self, scale: Scale) -> Vec<Node> {
        let buses = self.buses.iter().map(|bus| Node::Bus(bus.key.clone()));
        let stations = self.stations.iter().map(|station| Node::Station(station.id.clone()));
        match scale {
            Scale::Counts => buses.collect(),
            _ => buses.chain(stations).collect(),
        }
    }

    fn edges(&self) -> impl Iterator<Item = Node> {
        self.stations.iter().flat_map(move |station| {
            station.edges.iter().filter_map(move |edge| {
                let bus = self.buses.get(edge.bus)?;
                Some(Node::Edge(station.id.clone(), bus.key.clone()))
            })
        })
    }

    /// Returns what is left of a node: of a container its first attachment, of that its network.
    pub fn left(&self, from: &Node) -> Option<Node> {
        match from {
            Node::Station(id) => {
                self.edges().find(|node| matches!(node, Node::Edge(of, _) if of == id))
            }
            Node::Edge(_, key) => Some(Node::Bus(key.clone())),
            Node::Bus(_) => None,
        }
    }

    /// Returns what is right of a node: of a network its first attachment, of that its container.
    pub fn right(&self, from: &Node) -> Option<Node> {
        match from {
            Node::Bus(key) => {
                self.edges().find(|node| matches!(node, Node::Edge(_, bus) if bus == key))
            }
            Node::Edge(id, _) => Some(Node::Station(id.clone())),
            Node::Station(_) => None,
        }
    }
}

fn is_bus(network: &NetworkInfo) -> bool {
    !matches!(network.driver.as_str(), "host" | "null")
}

fn host() -> Bus {
    Bus {
        key: HOST.to_owned(),
        name: "host".to_owned(),
        driver: String::new(),
        subnets: String::new(),
        reach: Reach::Host,
        icc: true,
        built_in: true,
    }
}

fn bus(network: &NetworkInfo) -> Bus {
    let subnets: Vec<String> =
        network.pools.iter().filter_map(|pool| pool.subnet).map(|s| s.to_string()).collect();
    let icc = network.options.get("com.docker.network.bridge.enable_icc");
    Bus {
        key: network.id.clone(),
        name: network.name.clone(),
        driver: network.driver.clone(),
        subnets: subnets.join(" "),
        reach: match network.driver.as_str() {
            _ if network.internal => Reach::Internal,
            "macvlan" | "ipvlan" => Reach::Beside,
            _ => Reach::Out,
        },
        icc: icc.is_none_or(|value| value != "false"),
        built_in: is_built_in(network),
    }
}

/// Returns whether an engine makes a network for itself, and lets nobody remove it.
pub fn is_built_in(network: &NetworkInfo) -> bool {
    matches!(network.name.as_str(), "bridge" | "host" | "none" | "podman")
}

fn station(row: &Row, snapshot: &Snapshot<'_>, by_name: &BTreeMap<&str, usize>) -> Station {
    let summary = &row.summary;
    let mut edges: Vec<Edge> = Vec::new();
    let own: Vec<&String> = summary
        .networks
        .iter()
        .filter(|name| by_name.get(name.as_str()).is_some_and(|n| *n != 0))
        .collect();
    for name in &summary.networks {
        let Some(bus) = by_name.get(name.as_str()).copied() else { continue };
        if bus == 0 {
            let address = "on the host's network".to_owned();
            edges.push(Edge { bus, address, rate: None });
            continue;
        }
        let addresses: Vec<String> = summary
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.network == *name)
            .map(|endpoint| endpoint.ip.to_string())
            .collect();
        let link = snapshot.networks.iter().find(|network| network.name == *name).and_then(|n| {
            let endpoint = n.endpoints.iter().find(|e| e.container == summary.id)?;
            endpoint.link.as_deref()
        });
        // A container's total is one network's when it has no other.
        let rate = link
            .and_then(|link| (snapshot.rate)(&summary.id, Some(link)))
            .or_else(|| if own.len() == 1 { (snapshot.rate)(&summary.id, None) } else { None });
        edges.push(Edge { bus, address: addresses.join(" "), rate });
    }
    let published = published(summary);
    if !published.is_empty() {
        match edges.iter_mut().find(|edge| edge.bus == 0) {
            Some(edge) => edge.address = format!("{}: {published}", edge.address),
            None => edges.push(Edge { bus: 0, address: published, rate: None }),
        }
    }
    Station {
        id: summary.id.clone(),
        name: summary.name.clone(),
        image: row.image.clone(),
        status: summary.status,
        health: summary.health,
        edges,
    }
}

/// Returns the published ports: `8080>80 127.0.0.1:5432>5432`.
fn published(summary: &ContainerSummary) -> String {
    let mut list: Vec<String> = Vec::new();
    for port in &summary.ports {
        let Some((ip, host)) = port.host else { continue };
        let ip = if ip.is_unspecified() {
            String::new()
        } else if ip.is_ipv6() {
            format!("[{ip}]:")
        } else {
            format!("{ip}:")
        };
        let protocol = match port.protocol.as_str() {
            "tcp" => String::new(),
            other => format!("/{}", sanitize_line(other)),
        };
        let text = format!("{ip}{host}>{}{protocol}", port.container_port);
        if !list.contains(&text) {
            list.push(text);
        }
    }
    list.join(" ")
}

fn words_of_bus(bus: &Bus) -> String {
    let reach = if bus.reach == Reach::Internal { "internal" } else { "" };
    format!("{} {} {} {reach}", bus.name, bus.driver, bus.subnets).to_lowercase()
}

fn words_of_station(station: &Station) -> String {
    let mut text = format!("{} {} {}", station.name, station.image, station.status.as_str());
    for edge in &station.edges {
        text.push(' ');
        text.push_str(&edge.address);
    }
    if let Some(health) = station.health {
        text.push(' ');
        text.push_str(health.as_str());
    }
    text.to_lowercase()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use wharf_backend::Backend;
    use wharf_backend::fake::{self, Fake};
    use wharf_model::Filters;

    use super::*;

    fn topology(filter: &str) -> Topology {
        let fake = Fake::demo();
        let networks = fake.networks(&Filters::default()).now_or_never().unwrap().unwrap();
        let containers = fake.containers(true).now_or_never().unwrap().unwrap();
        let mut list = crate::app::Containers::default();
        let _ = list.replace(0, None, containers, fake::time(0));
        let rows = list.rows;
        let rate = |_: &ContainerId, _: Option<&str>| Some((1.0, 2.0));
        let (networks, containers) = (&networks, &rows);
        Topology::new(&Snapshot { networks, host: 0, containers, filter, rate: &rate })
    }

    fn names(topology: &Topology) -> (Vec<&str>, Vec<&str>) {
        let buses = topology.buses.iter().map(|b| b.name.as_str()).collect();
        (buses, topology.stations.iter().map(|s| s.name.as_str()).collect())
    }

    #[test]
    fn containers_hang_on_each_of_their_networks() {
        let all = topology("");
        let (buses, stations) = names(&all);
        assert_eq!(buses, ["host", "bridge", "shop_back", "shop_default", "spare"]);
        assert_eq!(stations.len(), 9);
        let api = all.stations.iter().find(|s| s.name == "api-1").unwrap();
        let on: Vec<usize> = api.edges.iter().map(|e| e.bus).collect();
        assert_eq!(on, [2, 3], "on both, and nothing published");
        let web = all.stations.iter().find(|s| s.name == "web-1").unwrap();
        assert_eq!(web.edges[0].address, "8080>80 8443>443");
        assert_eq!(web.edges[1].address, "172.18.0.3");
        assert_eq!(all.buses[2].reach, Reach::Internal);
        assert_eq!(all.buses[3].reach, Reach::Out);
    }

    #[test]
    fn a_filter_keeps_what_hangs_together() {
        let (buses, stations) = {
            let found = topology("back");
            let (buses, stations) = names(&found);
            (buses.join(" "), stations.join(" "))
        };
        assert_eq!(buses, "host shop_back shop_default");
        assert_eq!(stations, "api-1 db-1");
        let found = topology("internal db");
        assert!(found.stations.is_empty() && found.buses.len() == 1);
    }

    #[test]
    fn ways_through_the_drawing() {
        let all = topology("");
        let api = all.stations.iter().find(|s| s.name == "api-1").unwrap().id.clone();
        let station = Node::Station(api.clone());
        let edge = all.left(&station).unwrap();
        let back = all.buses[2].key.clone();
        assert_eq!(edge, Node::Edge(api.clone(), back.clone()));
        assert_eq!(all.left(&edge), Some(Node::Bus(back.clone())));
        assert_eq!(all.right(&Node::Bus(back)), Some(edge.clone()));
        assert_eq!(all.right(&edge), Some(station));
        let next = all.step(&edge, 1, Scale::Boxes).unwrap();
        assert_eq!(next, Node::Edge(api, all.buses[3].key.clone()));
        let spine = all.spine(Scale::Boxes);
        assert_eq!(all.step(&spine[0], 1, Scale::Boxes).as_ref(), spine.get(1));
        assert_eq!(all.step(&spine[0], -1, Scale::Boxes), None);
        assert_eq!(all.step(&spine[0], isize::MAX, Scale::Boxes).as_ref(), spine.last());
        assert_eq!(all.place(&spine[0], Scale::Boxes), Some((0, 1)));
        let (first, rows) = all.place(&next, Scale::Boxes).unwrap();
        let number = all.stations.iter().position(|s| s.name == "api-1").unwrap();
        assert_eq!(all.parts(Scale::Boxes)[first], Part::Edge(number, 1));
        assert_eq!(rows, 1);
    }
}
