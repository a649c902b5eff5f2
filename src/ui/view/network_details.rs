//! The details of what is selected in the drawing of the networks, in words.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use wharf_model::{ContainerId, NetworkEndpoint, NetworkInfo};

use super::networks::rate_text;
use super::pages::Spans;
use super::{Line, say};
use crate::app::App;
use crate::app::topology::{HOST, Node, Reach, Station};
use crate::format::age;
use crate::text::{width, wrap};
use crate::theme::Role;

/// Cells of the words on the left.
const KEY: usize = 11;

/// Draws them from where they are scrolled to.
pub(super) fn details(app: &App, buffer: &mut Buffer, area: Rect) {
    let lines = lines(app, area.width);
    if lines.is_empty() {
        return say(app, buffer, area, "nothing is selected", Role::Dim);
    }
    for (y, spans) in (area.y..area.bottom()).zip(lines.iter().skip(app.details_top)) {
        let mut line = Line::new(app, buffer, Rect { y, height: 1, ..area });
        line.skip(1);
        for (text, role) in spans {
            line.text(text, app.theme.style(*role));
        }
    }
}

/// Returns how many lines there are.
pub(crate) fn details_len(app: &App, columns: u16) -> usize {
    lines(app, columns).len()
}

fn lines(app: &App, columns: u16) -> Vec<Spans> {
    let mut page = Page { lines: Vec::new(), columns: usize::from(columns.saturating_sub(2)) };
    match &app.networks.selected {
        Some(Node::Bus(key)) if key == HOST => host(app, &mut page),
        Some(Node::Bus(key)) => {
            if let Some(network) = app.networks.by_key(key) {
                bus(app, &mut page, network);
            }
        }
        Some(Node::Edge(id, key)) => edge(app, &mut page, id, key),
        Some(Node::Station(id)) => {
            if let Some((_, found)) = app.networks.topology.station(id) {
                station(app, &mut page, found);
            }
        }
        None => {}
    }
    page.lines
}

struct Page {
    lines: Vec<Spans>,
    columns: usize,
}

impl Page {
    /// Adds a word and what it is, wrapped.
    fn add(&mut self, key: &str, text: &str, role: Role) {
        let text = wharf_logs::sanitize_line(text);
        let mut key = format!("{key:KEY$} ");
        for line in wrap(&text, self.columns.saturating_sub(KEY + 1)) {
            self.lines.push(vec![(key, Role::Dim), (line, role)]);
            key = " ".repeat(KEY + 1);
        }
    }
}

fn host(app: &App, page: &mut Page) {
    page.add(
        "host",
        "where published ports are served and what leaves the networks goes",
        Role::Text,
    );
    for (station, edge) in app.networks.topology.on(0) {
        page.add("ports", &format!("{}  {}", station.name, edge.address), Role::Text);
    }
}

fn reach_words(reach: Reach) -> &'static str {
    match reach {
        Reach::Host => "",
        Reach::Out => "its containers get out through the host",
        Reach::Internal => "internal: nothing leaves it, and the host publishes nothing from it",
        Reach::Beside => "its containers stand beside the host, which can't reach them itself",
    }
}

fn bus(app: &App, page: &mut Page, network: &NetworkInfo) {
    let Some((n, bus)) = app.networks.topology.bus(&network.id) else { return };
    let made = age(network.created, app.now);
    page.add("network", &format!("{}  {}  made {made} ago", bus.name, bus.driver), Role::Title);
    for pool in &network.pools {
        let subnet = pool.subnet.map(|s| s.to_string()).unwrap_or_default();
        let gateway = pool.gateway.map(|g| format!("  gateway {g}")).unwrap_or_default();
        let range = pool.ip_range.map(|r| format!("  gives {r}")).unwrap_or_default();
        page.add("addresses", &format!("{subnet}{gateway}{range}"), Role::Text);
    }
    let role = if bus.reach == Reach::Internal { Role::Warn } else { Role::Text };
    page.add("way out", reach_words(bus.reach), role);
    if !bus.icc {
        page.add("isolation", "its containers can't talk to each other", Role::Warn);
    }
    if let Some(rate) = app.networks.topology.traffic(n) {
        page.add("traffic", &rate_text(app, rate), Role::Text);
    }
    let pairs = |map: &std::collections::BTreeMap<String, String>| {
        map.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>()
    };
    for option in pairs(&network.options) {
        page.add("option", &option, Role::Text);
    }
    for label in pairs(&network.labels) {
        page.add("label", &label, Role::Text);
    }
    let stations: Vec<_> = app.networks.topology.on(n).collect();
    if stations.is_empty() {
        page.add("containers", "nobody is on it", Role::Dim);
    }
    let longest = stations.iter().map(|(s, _)| width(&s.name)).max().unwrap_or(0).min(24);
    for (n, (station, edge)) in stations.iter().enumerate() {
        let key = if n == 0 { "containers" } else { "" };
        let rate = edge.rate.map(|rate| rate_text(app, rate)).unwrap_or_default();
        let state = match station.status.is_alive() {
            true => edge.address.clone(),
            false => station.status.as_str().to_owned(),
        };
        // Letters may be two cells wide.
        let blank = " ".repeat(longest.saturating_sub(width(&station.name)));
        let text = format!("{}{blank}  {state:15}  {rate}", station.name);
        page.add(key, text.trim_end(), Role::Text);
    }
}

fn endpoint<'a>(network: &'a NetworkInfo, id: &ContainerId) -> Option<&'a NetworkEndpoint> {
    network.endpoints.iter().find(|endpoint| endpoint.container == *id)
}

fn edge(app: &App, page: &mut Page, id: &ContainerId, key: &str) {
    let topology = &app.networks.topology;
    let Some((at, _, edge)) = topology.edge(id, key) else { return };
    let (Some(station), Some((_, bus))) = (topology.stations.get(at), topology.bus(key)) else {
        return;
    };
    page.add("connection", &format!("{} on {}", station.name, bus.name), Role::Title);
    if key == HOST {
        page.add("ports", &edge.address, Role::Text);
        return;
    }
    let address = if edge.address.is_empty() { "none while it doesn't run" } else { &edge.address };
    page.add("address", address, Role::Text);
    match edge.rate {
        Some(rate) => page.add("traffic", &rate_text(app, rate), Role::Text),
        None => page.add("traffic", "not known for this connection alone", Role::Dim),
    }
    page.add("way out", reach_words(bus.reach), Role::Text);
    let row = app.containers.row(id);
    let place = row.and_then(|r| r.summary.endpoints.iter().find(|e| e.network == bus.name));
    if let Some(place) = place {
        page.add("mac", &place.mac, Role::Text);
        if let Some(gateway) = place.gateway {
            page.add("gateway", &gateway.to_string(), Role::Text);
        }
    }
    let Some(endpoint) = app.networks.by_key(key).and_then(|network| endpoint(network, id)) else {
        return;
    };
    if let Some(link) = &endpoint.link {
        page.add("link", &format!("{link} on this host"), Role::Text);
    }
}

fn station(app: &App, page: &mut Page, station: &Station) {
    let row = app.containers.row(&station.id);
    page.add("container", &format!("{}  {}", station.name, station.image), Role::Title);
    if let Some(row) = row {
        page.add("state", &row.status_text(app.as_of()), Role::Text);
    }
    if station.edges.is_empty() {
        page.add("networks", "on none: it reaches nobody, and nobody it", Role::Warn);
    }
    for edge in &station.edges {
        let Some(bus) = app.networks.topology.buses.get(edge.bus) else { continue };
        let rate = edge.rate.map(|rate| rate_text(app, rate)).unwrap_or_default();
        let key = if edge.bus == 0 { "published" } else { &bus.name };
        let key = crate::text::fit(key, KEY, app.theme.glyphs().ellipsis);
        let address = match edge.address.as_str() {
            "" if station.status.is_alive() => app.theme.glyphs().missing,
            "" => "no address while it doesn't run",
            address => address,
        };
        page.add(&key, format!("{address:15}  {rate}").trim_end(), Role::Text);
    }
    let exposed: Vec<String> = row
        .into_iter()
        .flat_map(|row| &row.summary.ports)
        .filter(|port| port.host.is_none())
        .map(|port| format!("{}/{}", port.container_port, port.protocol))
        .collect();
    if !exposed.is_empty() {
        page.add("exposed", &exposed.join(" "), Role::Text);
    }
}
