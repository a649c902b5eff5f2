//! The network screen: the networks, what of their drawing is seen, and what is selected in it.

use std::collections::HashMap;
use std::time::Duration;

use wharf_logs::sanitize_line;
use wharf_model::{ContainerId, NetCounters, NetworkInfo};

use super::topology::{HOST, Node, Scale, Snapshot, Topology};
use super::{App, Lazy, Metrics, Row, Target};
use crate::format::as_f64;
use crate::keymap::Action;

/// The network screen.
#[derive(Debug, Default)]
pub struct Networks {
    /// The networks, every text made safe.
    pub list: Vec<NetworkInfo>,
    /// Whether an answer has come.
    pub loaded: bool,
    /// Whether they were asked for.
    pub listing: Lazy,
    /// What is looked for.
    pub filter: String,
    /// How much is drawn of each thing; none for as much as there is room for.
    pub scale: Option<Scale>,
    /// What is selected.
    pub selected: Option<Node>,
    /// The first row in sight.
    pub top: usize,
    /// The drawing as it is.
    pub topology: Topology,
    /// The counters of the host's links, and when they were read.
    links: HashMap<String, Traffic>,
    /// Whether they were asked for and haven't come.
    pub counting: bool,
}

#[derive(Clone, Copy, Debug)]
struct Traffic {
    at: Duration,
    counters: NetCounters,
    /// Received and sent a second by the host's end.
    rate: Option<(f64, f64)>,
}

impl Networks {
    /// Takes a new list.
    pub fn replace(&mut self, list: Vec<NetworkInfo>) {
        let safe = |text: &mut String| *text = sanitize_line(text).into_owned();
        self.list = list;
        for network in &mut self.list {
            safe(&mut network.name);
            safe(&mut network.driver);
        }
        self.loaded = true;
    }

    /// Makes the drawing anew, and keeps the selection, or chooses one when it is gone.
    pub fn arrange(&mut self, host: usize, containers: &[Row], metrics: &Metrics, rows: usize) {
        let links = &self.links;
        let rate = |id: &ContainerId, link: Option<&str>| match link {
            // What the host's end receives, the container has sent.
            Some(link) => links.get(link)?.rate.map(|(rx, tx)| (tx, rx)),
            None => {
                let usage = metrics.now(id)?;
                Some((usage.net_rx?, usage.net_tx?))
            }
        };
        self.topology = Topology::new(&Snapshot {
            networks: &self.list,
            host,
            containers,
            filter: &self.filter.to_lowercase(),
            rate: &rate,
        });
        let gone = self.selected.as_ref().is_none_or(|node| !self.topology.has(node));
        if gone && self.loaded {
            // Of an attachment that is gone, its container; else the first network.
            let container = self.selected.as_ref().and_then(Node::container).cloned();
            let container = container.map(Node::Station).filter(|node| self.topology.has(node));
            let first = self.topology.buses.get(1).or(self.topology.buses.first());
            self.selected = container.or(first.map(|bus| Node::Bus(bus.key.clone())));
        }
        self.settle(rows);
    }

    /// Returns all networks.
    pub fn list(&self) -> &[NetworkInfo] {
        &self.list
    }

    /// Returns the names of all networks.
    pub fn names(&self) -> Vec<String> {
        self.list.iter().map(|network| network.name.clone()).collect()
    }

    /// Returns how much is drawn of each thing in so many rows.
    pub fn scale(&self, rows: usize) -> Scale {
        self.scale.unwrap_or_else(|| {
            let fits = |scale: &Scale| self.topology.parts(*scale).len() <= rows;
            [Scale::Boxes, Scale::Lines].into_iter().find(fits).unwrap_or(Scale::Lines)
        })
    }

    /// Brings the selection into sight.
    pub fn settle(&mut self, rows: usize) {
        let scale = self.scale(rows);
        if scale == Scale::Counts
            && let Some(node @ (Node::Edge(..) | Node::Station(_))) = &self.selected
        {
            // Containers can't be selected there; their network can.
            let edge = self.topology.left(node);
            let bus = match (edge.as_ref(), node) {
                (_, Node::Edge(_, key)) | (Some(Node::Edge(_, key)), _) => key.clone(),
                _ => HOST.to_owned(),
            };
            self.selected = Some(Node::Bus(bus));
        }
        let total = self.topology.parts(scale).len();
        let place = self.selected.as_ref().and_then(|node| self.topology.place(node, scale));
        if let Some((first, count)) = place {
            self.top = self.top.max((first + count).saturating_sub(rows)).min(first);
        }
        self.top = self.top.min(total.saturating_sub(rows));
    }

    /// Moves the selection, or scrolls where there is nothing else to select.
    pub fn step(&mut self, by: isize, rows: usize) {
        let scale = self.scale(rows);
        let Some(from) = &self.selected else { return };
        if let Some(to) = self.topology.step(from, by, scale) {
            self.selected = Some(to);
        } else if by < 0 {
            self.top = 0;
        }
        self.settle(rows);
    }

    /// Moves the selection to the left or right; returns whether there was anything.
    pub fn turn(&mut self, right: bool, rows: usize) -> bool {
        let Some(from) = &self.selected else { return false };
        let to = match (self.scale(rows), right) {
            (Scale::Counts, _) => None,
            (_, true) => self.topology.right(from),
            (_, false) => self.topology.left(from),
        };
        let found = to.is_some();
        if found {
            self.selected = to;
        }
        self.settle(rows);
        found
    }

    /// Shows more or less of each thing.
    pub fn turn_scale(&mut self, rows: usize) -> Scale {
        let next = match self.scale(rows) {
            Scale::Boxes => Scale::Lines,
            Scale::Lines => Scale::Counts,
            Scale::Counts => Scale::Boxes,
        };
        self.scale = Some(next);
        self.settle(rows);
        next
    }

    /// Returns the network of the selected bus or attachment; none for the host.
    pub fn network(&self) -> Option<&NetworkInfo> {
        match self.selected.as_ref()? {
            Node::Bus(key) | Node::Edge(_, key) => self.by_key(key),
            Node::Station(_) => None,
        }
    }

    /// Returns a network by its id.
    pub fn by_key(&self, key: &str) -> Option<&NetworkInfo> {
        self.list.iter().find(|network| network.id == key)
    }

    /// Returns the selected container, or the one whose attachment is selected.
    pub fn container(&self) -> Option<&ContainerId> {
        self.selected.as_ref()?.container()
    }

    /// Returns whether links of this host tell more than the containers' totals do: whether a
    /// container is on several networks.
    pub fn needs_links(&self) -> bool {
        let mut seen = std::collections::HashSet::new();
        let endpoints = self.list.iter().flat_map(|network| &network.endpoints);
        let mut linked = endpoints.filter(|endpoint| endpoint.link.is_some());
        linked.any(|endpoint| !seen.insert(&endpoint.container))
    }

    /// Takes the counters of the host's links, read at an instant of a clock that never jumps.
    pub fn count(&mut self, at: Duration, list: Vec<(String, NetCounters)>) {
        self.counting = false;
        let before = std::mem::take(&mut self.links);
        self.links = list
            .into_iter()
            .map(|(name, counters)| {
                let rate = before.get(&name).and_then(|old| {
                    let passed = at.checked_sub(old.at)?.as_secs_f64();
                    let per_second = |now: u64, then: u64| {
                        Some(as_f64(now.checked_sub(then)?) / passed).filter(|r| r.is_finite())
                    };
                    let rx = per_second(counters.rx_bytes, old.counters.rx_bytes)?;
                    Some((rx, per_second(counters.tx_bytes, old.counters.tx_bytes)?))
                });
                (name, Traffic { at, counters, rate })
            })
            .collect();
    }

    /// Forgets the counters: what comes after a pause says nothing of now.
    pub fn forget_counters(&mut self) {
        self.links.clear();
        self.counting = false;
    }
}

impl App {
    /// Returns whether an action makes sense for what is selected among the networks; if not, why.
    pub(super) fn can_on_network(&self, action: Action) -> Result<(), String> {
        let no = |text: &str| Err(text.to_owned());
        let topology = &self.networks.topology;
        let Some(node) = &self.networks.selected else { return no("nothing is selected") };
        let bus = match node {
            Node::Bus(key) | Node::Edge(_, key) => topology.bus(key).map(|(_, bus)| bus),
            Node::Station(_) => None,
        };
        match (action, node) {
            (Action::RemoveNetwork, Node::Bus(key)) => {
                let busy = self.pending.values().find(|p| p.on == Target::Network(key.clone()));
                match (bus, busy) {
                    (_, Some(busy)) => Err(format!("it is {} already", busy.doing)),
                    (Some(bus), _) if bus.key == HOST => no("the host can't be removed"),
                    (Some(bus), _) if bus.built_in => {
                        Err(format!("{} is the engine's own network", bus.name))
                    }
                    _ => Ok(()),
                }
            }
            (Action::RemoveNetwork, _) => no("a network must be selected: h leads to it"),
            (Action::Connect, Node::Station(_) | Node::Edge(..)) => Ok(()),
            (Action::Connect | Action::Disconnect, Node::Bus(key)) if key == HOST => {
                no("the host is no network: select another, or a container")
            }
            (Action::Disconnect, Node::Edge(_, key)) if key == HOST => {
                no("published ports stay as long as their container")
            }
            (Action::Disconnect, Node::Bus(key)) => {
                let bus = topology.bus(key).map(|(n, _)| n);
                match bus.and_then(|bus| topology.on(bus).next()) {
                    Some(_) => Ok(()),
                    None => no("no container is on it"),
                }
            }
            (Action::Disconnect, Node::Station(id)) => {
                let station = topology.station(id).map(|(_, station)| station);
                match station.is_some_and(|s| s.edges.iter().any(|edge| edge.bus != 0)) {
                    true => Ok(()),
                    false => no("it is on no network"),
                }
            }
            (Action::TryReach, _) => match node.container().map(|id| self.containers.row(id)) {
                None => no("a container must be selected: l leads to one"),
                Some(Some(row)) if !row.summary.status.is_alive() => {
                    Err(format!("{} is {}", row.summary.name, row.summary.status.as_str()))
                }
                Some(_) => Ok(()),
            },
            (Action::CopyId | Action::ShowInspect, Node::Bus(key)) if key == HOST => {
                no("the host is no object of the engine")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_have_rates_from_their_second_reading_on() {
        let mut networks = Networks::default();
        let read = |rx: u64, tx: u64| {
            let counters = NetCounters { rx_bytes: rx, tx_bytes: tx, ..NetCounters::default() };
            vec![("wh1".to_owned(), counters)]
        };
        networks.count(Duration::from_secs(1), read(100, 50));
        assert!(networks.links["wh1"].rate.is_none());
        networks.count(Duration::from_secs(3), read(300, 60));
        assert_eq!(networks.links["wh1"].rate, Some((100.0, 5.0)));
        // A link that was made anew under the same name begins again.
        networks.count(Duration::from_secs(4), read(10, 70));
        assert!(networks.links["wh1"].rate.is_none());
        // Two readings at the same instant.
        networks.count(Duration::from_secs(4), read(20, 70));
        assert!(networks.links["wh1"].rate.is_none());
    }
}
