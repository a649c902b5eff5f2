//! The drawing of the networks: buses from top to bottom on the left, the containers that hang on
//! them on the right. Where an attachment's line crosses a bus that it isn't on, the bus goes on
//! unbroken.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use wharf_model::HealthStatus;

use super::{Line, put, say};
use crate::app::topology::{Bus, Edge, Node, Part, Reach, Scale, Station, Topology};
use crate::app::{App, Focus, Link, Pending, Target};
use crate::format::bytes;
use crate::text::width;
use crate::theme::{Role, Wires};

/// The widest box.
const BOX: u16 = 64;

/// With so many columns, lines have their states and addresses below each other.
const ROOMY: u16 = 64;

/// Columns from one bus to the next.
const STEP: u16 = 3;

/// Where the drawing's parts are across.
struct Across {
    area: Rect,
    /// The first bus in sight after the host.
    first: usize,
    /// How many buses are in sight, the host included.
    count: usize,
    /// The column at which boxes and lines begin.
    right: u16,
}

impl Across {
    fn new(app: &App, area: Rect) -> Self {
        let topology = &app.networks.topology;
        let least = (area.width * 3 / 5).clamp(20, 44);
        let room = usize::from(area.width.saturating_sub(least + 2) / STEP).max(2);
        let count = topology.buses.len().min(room);
        // The selected bus is always in sight.
        let key = match &app.networks.selected {
            Some(Node::Bus(key) | Node::Edge(_, key)) => topology.bus(key).map(|(bus, _)| bus),
            Some(Node::Station(id)) => {
                topology.station(id).and_then(|(_, s)| s.edges.last().map(|edge| edge.bus))
            }
            None => None,
        };
        let first = key.map_or(1, |bus| (bus + 2).saturating_sub(count)).max(1);
        let columns = u16::try_from(count).unwrap_or(u16::MAX).saturating_mul(STEP);
        let right = area.x.saturating_add(1).saturating_add(columns).min(area.right());
        Self { area, first, count, right }
    }

    /// Returns the column of a bus, if it is in sight.
    fn column(&self, bus: usize) -> Option<u16> {
        let place = match bus {
            0 => 0,
            bus => bus.checked_sub(self.first)? + 1,
        };
        let x = u16::try_from(place).ok()?.checked_mul(STEP)?.checked_add(self.area.x + 1)?;
        (place < self.count && x < self.area.right()).then_some(x)
    }
}

/// Draws what is what, and the drawing.
pub(super) fn drawing(app: &App, buffer: &mut Buffer, head: Rect, area: Rect) {
    let networks = &app.networks;
    let scale = networks.scale(usize::from(area.height));
    let parts = networks.topology.parts(scale);
    legend(app, buffer, head, scale, parts.len(), usize::from(area.height));
    if !networks.loaded {
        let (text, role) = match &app.host().link {
            Link::Lost(why) => (why.as_str(), Role::Bad),
            _ => ("asking the engine", Role::Dim),
        };
        return say(app, buffer, area, text, role);
    }
    let across = Across::new(app, area);
    for (y, part) in (area.y..area.bottom()).zip(parts.iter().skip(networks.top)) {
        let mut row = Row { app, buffer, across: &across, y };
        row.draw(*part);
    }
    if app.host().is_stale() {
        // As it was, which may not be as it is.
        buffer.set_style(area, app.theme.style(Role::Dim));
    }
}

fn legend(app: &App, buffer: &mut Buffer, head: Rect, scale: Scale, total: usize, rows: usize) {
    let bar = app.theme.style(Role::Bar);
    buffer.set_style(head, bar);
    let wires = app.theme.wires();
    let mut line = Line::new(app, buffer, head);
    line.skip(1);
    for (glyph, word) in
        [(wires.host, "host"), (wires.bus, "network"), (wires.internal, "internal, no way out")]
    {
        line.whole(&format!("{glyph} {word}  "), bar);
    }
    let top = app.networks.top;
    let scroll = match total > rows {
        true => format!("  rows {}-{} of {total}", top + 1, (top + rows).min(total)),
        false => String::new(),
    };
    let text = format!("{}{scroll} ", scale.title());
    let wide = u16::try_from(width(&text)).unwrap_or(0);
    if wide <= line.end.saturating_sub(line.x) {
        let x = line.end - wide;
        put(buffer, Rect { x, width: wide, ..head }, &text, bar);
    }
}

/// A row that is being drawn.
struct Row<'a, 'b> {
    app: &'a App,
    buffer: &'b mut Buffer,
    across: &'a Across,
    y: u16,
}

impl Row<'_, '_> {
    fn draw(&mut self, part: Part) {
        let topology = &self.app.networks.topology;
        let station = |n: usize| topology.stations.get(n);
        match part {
            Part::Bus(n) => self.bus(topology, n),
            Part::Count(n) => self.count(topology, n),
            Part::Gap => self.buses(topology, topology.buses.len()),
            Part::Top(n) => {
                self.buses(topology, topology.buses.len());
                if let Some(station) = station(n) {
                    self.top(station);
                }
            }
            Part::Edge(n, e) => {
                self.buses(topology, topology.buses.len());
                if let Some(station) = station(n) {
                    self.edge(topology, station, e);
                }
            }
            Part::Alone(n) => {
                self.buses(topology, topology.buses.len());
                if let Some(station) = station(n) {
                    self.sides(station);
                    let inner = self.inner();
                    let style = self.style(Role::Dim);
                    put(self.buffer, inner, "on no network", style);
                }
            }
            Part::Bottom(n) => {
                self.buses(topology, topology.buses.len());
                if let Some(station) = station(n) {
                    self.bottom(station);
                }
            }
            Part::Line(n) => {
                self.buses(topology, topology.buses.len());
                if let Some(station) = station(n) {
                    self.line(topology, station);
                }
            }
        }
    }

    fn style(&self, role: Role) -> Style {
        self.app.theme.style(role)
    }

    fn wires(&self) -> &'static Wires {
        self.app.theme.wires()
    }

    fn set(&mut self, x: u16, glyph: &str, style: Style) {
        if x < self.across.area.right() {
            self.buffer.set_string(x, self.y, glyph, style);
        }
    }

    /// Returns the style of what is selected.
    fn chosen(&self) -> Style {
        let list = self.app.focus == Focus::List;
        self.style(if list { Role::Selected } else { Role::Resting })
    }

    fn is_selected(&self, node: &Node) -> bool {
        self.app.networks.selected.as_ref() == Some(node)
    }

    fn bus_style(&self, bus: &Bus) -> Style {
        let style = self.style(match bus.reach {
            Reach::Host => Role::Key,
            Reach::Out | Reach::Beside => Role::Info,
            Reach::Internal => Role::Warn,
        });
        match self.is_selected(&Node::Bus(bus.key.clone())) {
            true => style.patch(self.chosen()),
            false => style,
        }
    }

    /// Draws the buses that have begun.
    fn buses(&mut self, topology: &Topology, begun: usize) {
        for (n, bus) in topology.buses.iter().enumerate().take(begun) {
            if let Some(x) = self.across.column(n) {
                let glyph = self.wires().of(bus.reach);
                let style = self.bus_style(bus);
                self.set(x, glyph, style);
            }
        }
    }

    /// Draws a line from a bus to the right, up to `end`, over the blanks between other buses.
    fn wire(&mut self, topology: &Topology, from: usize, end: u16, glyph: &str, style: Style) {
        let start = self.across.column(from).map_or(self.across.area.x, |x| x + 1);
        let taken: Vec<u16> =
            (0..topology.buses.len()).filter_map(|n| self.across.column(n)).collect();
        for x in (start..end).filter(|x| !taken.contains(x)) {
            self.set(x, glyph, style);
        }
    }

    /// Draws where a network begins, its way out, and its name.
    fn bus(&mut self, topology: &Topology, n: usize) {
        let Some(bus) = topology.buses.get(n) else { return };
        self.buses(topology, n);
        let style = self.bus_style(bus);
        let column = self.across.column(n);
        let wires = self.wires();
        if let Some(x) = column {
            let glyph = match bus.reach {
                Reach::Host => wires.host,
                Reach::Internal => wires.closed,
                Reach::Out | Reach::Beside => wires.begins,
            };
            if matches!(bus.reach, Reach::Out | Reach::Beside) {
                let line = self.style(Role::Dim);
                if let (Some(host), Some(first)) = (self.across.column(0), topology.buses.first()) {
                    let style = self.bus_style(first);
                    self.set(host, wires.host_joint, style);
                }
                self.wire(topology, 0, x, wires.line, line);
            }
            self.set(x, glyph, style);
        }
        let x = column.unwrap_or(self.across.right) + 2;
        let right = self.across.area.right();
        let area = Rect { x, y: self.y, width: right.saturating_sub(x), height: 1 };
        let name = match bus.reach {
            Reach::Host => self.style(Role::Title),
            _ => style.patch(self.style(Role::Title)),
        };
        let name = match self.is_selected(&Node::Bus(bus.key.clone())) {
            true => name.patch(self.chosen()),
            false => name,
        };
        let (about, role) = about(topology, n, bus);
        let rate = topology.traffic(n).map(|rate| rate_text(self.app, rate));
        let (dim, warn) = (self.style(Role::Dim), self.style(role));
        let busy = busy(self.app, &bus.key);
        let mut line = Line::new(self.app, self.buffer, area);
        line.text(&bus.name, name).skip(2);
        if let Some(pending) = busy {
            let frames = self.app.theme.glyphs().spinner;
            let frame = frames[self.app.turn % frames.len()];
            line.text(&format!("{frame} {}  ", pending.doing), warn);
        }
        for text in [&bus.driver, &bus.subnets].into_iter().filter(|text| !text.is_empty()) {
            line.text(text, dim).skip(2);
        }
        if !about.is_empty() {
            line.text(&about, warn).skip(2);
        }
        if let Some(rate) = rate {
            line.whole(&rate, dim);
        }
    }

    /// Draws a network and its containers in one line.
    fn count(&mut self, topology: &Topology, n: usize) {
        let Some(bus) = topology.buses.get(n) else { return };
        let app = self.app;
        let longest = |pick: fn(&Bus) -> &str, most: usize| {
            let widths = topology.buses.iter().map(|bus| width(pick(bus)));
            u16::try_from(widths.max().unwrap_or(0).min(most)).unwrap_or(0)
        };
        let (name, subnet) = (longest(|bus| &bus.name, 24), longest(|bus| &bus.subnets, 18));
        let wide = self.across.area.width >= 60;
        let style = self.bus_style(bus);
        let (dim, text) = (self.style(Role::Dim), self.style(Role::Text));
        let glyph = self.wires().of(bus.reach);
        let stations: Vec<&Station> = topology.on(n).map(|(station, _)| station).collect();
        let rate = topology.traffic(n).map(|rate| rate_text(app, rate)).unwrap_or_default();
        let area = Rect { y: self.y, height: 1, ..self.across.area };
        let mut line = Line::new(app, self.buffer, area);
        line.skip(1).text(glyph, style).skip(1).cell(&bus.name, name, false, style);
        if wide {
            line.cell(&bus.subnets, subnet, false, dim);
            line.cell(if bus.reach == Reach::Internal { "internal" } else { "" }, 8, false, dim);
        }
        line.cell(&stations.len().to_string(), 4, true, text);
        let after = if rate.is_empty() { 0 } else { width(&rate) + 2 };
        let dots = line.room().saturating_sub(after + 6);
        for station in stations.iter().take(dots) {
            let (glyph, role) = mark(app, station);
            line.text(glyph, app.theme.style(role));
        }
        if stations.len() > dots {
            line.text(&format!(" +{}", stations.len() - dots), dim);
        }
        line.skip(2).whole(&rate, dim);
    }

    /// Returns the room of boxes in this row.
    fn frame(&self) -> Rect {
        let x = self.across.right;
        let width = self.across.area.right().saturating_sub(x).min(BOX);
        Rect { x, y: self.y, width, height: 1 }
    }

    /// Returns the room inside a box in this row.
    fn inner(&self) -> Rect {
        let frame = self.frame();
        Rect { x: frame.x + 2, width: frame.width.saturating_sub(4), ..frame }
    }

    /// Returns the style of a box.
    fn box_style(&self, station: &Station) -> Style {
        let unwell = station.health == Some(HealthStatus::Unhealthy);
        let role = if unwell { Role::Bad } else { Role::Dim };
        let style = self.style(role);
        match self.is_selected(&Node::Station(station.id.clone())) {
            true => style.patch(self.chosen()),
            false => style,
        }
    }

    fn rule(&mut self, station: &Station, left: &str, right: &str) {
        let frame = self.frame();
        if frame.width < 2 {
            return;
        }
        let style = self.box_style(station);
        let rule = self.app.theme.glyphs().rule.repeat(usize::from(frame.width - 2));
        self.set(frame.x, left, style);
        self.set(frame.x + 1, &rule, style);
        self.set(frame.right() - 1, right, style);
    }

    fn top(&mut self, station: &Station) {
        let [left, right, ..] = self.app.theme.glyphs().corners;
        self.rule(station, left, right);
        let inner = self.inner();
        let selected = self.is_selected(&Node::Station(station.id.clone()));
        let patch = |style: Style| if selected { style.patch(self.chosen()) } else { style };
        let title = patch(self.style(Role::Title));
        let dim = patch(self.style(Role::Dim));
        let (glyph, role) = mark(self.app, station);
        let state = patch(self.style(role));
        let mut line = Line::new(self.app, self.buffer, inner);
        line.text(glyph, state).text(" ", title).text(&station.name, title);
        let words = words(station);
        if !words.is_empty() {
            line.text(" ", title).text(&words, state);
        }
        line.whole(&format!("  {}", station.image), dim);
        if line.room() > 0 {
            line.text(" ", dim);
        }
    }

    fn sides(&mut self, station: &Station) {
        let frame = self.frame();
        if frame.width < 2 {
            return;
        }
        let style = self.box_style(station);
        let bar = self.app.theme.glyphs().bar;
        self.set(frame.x, bar, style);
        self.set(frame.right() - 1, bar, style);
    }

    fn bottom(&mut self, station: &Station) {
        let [_, _, left, right] = self.app.theme.glyphs().corners;
        self.rule(station, left, right);
    }

    /// Draws an attachment: its joint, its line, and in the box its address and rate.
    fn edge(&mut self, topology: &Topology, station: &Station, n: usize) {
        let Some(edge) = station.edges.get(n) else { return };
        let Some(bus) = topology.buses.get(edge.bus) else { return };
        self.sides(station);
        let selected = self.is_selected(&Node::Edge(station.id.clone(), bus.key.clone()));
        self.joint(topology, station, edge, selected);
        let frame = self.frame();
        let style = self.wire_style(bus, selected);
        let tee = self.wires().tee;
        self.set(frame.x, tee, style);
        let inner = self.inner();
        if selected {
            let chosen = self.chosen();
            self.buffer.set_style(inner, chosen);
        }
        let patch = |style: Style| if selected { style.patch(self.chosen()) } else { style };
        let (text, dim) = (patch(self.style(Role::Text)), patch(self.style(Role::Dim)));
        let address = match (edge.address.is_empty(), station.status.is_alive()) {
            (false, _) => edge.address.clone(),
            (true, true) => self.app.theme.glyphs().missing.to_owned(),
            (true, false) => "no address while it doesn't run".to_owned(),
        };
        let rate = edge.rate.map(|rate| rate_text(self.app, rate)).unwrap_or_default();
        let after = if rate.is_empty() { 0 } else { width(&rate) + 1 };
        let room = usize::from(inner.width).saturating_sub(after);
        let left = Rect { width: u16::try_from(room).unwrap_or(0), ..inner };
        let mut line = Line::new(self.app, self.buffer, left);
        line.text(&address, text);
        line.whole(&format!("  {}", bus.name), dim);
        if after > 0 && room > 0 {
            let x = inner.x + left.width + 1;
            let place = Rect { x, width: inner.right().saturating_sub(x), ..inner };
            put(self.buffer, place, &rate, text);
        }
    }

    fn wire_style(&self, bus: &Bus, selected: bool) -> Style {
        let style = self.style(match bus.reach {
            Reach::Host => Role::Key,
            Reach::Out | Reach::Beside => Role::Info,
            Reach::Internal => Role::Warn,
        });
        if selected { style.patch(self.chosen()) } else { style }
    }

    /// Draws an attachment's joint, and its line up to the boxes.
    fn joint(&mut self, topology: &Topology, station: &Station, edge: &Edge, selected: bool) {
        let Some(bus) = topology.buses.get(edge.bus) else { return };
        let style = self.wire_style(bus, selected);
        let wires = self.wires();
        let line = if station.status.is_alive() { wires.line } else { wires.dead };
        self.wire(topology, edge.bus, self.across.right, line, style);
        if let Some(x) = self.across.column(edge.bus) {
            let joint = if bus.reach == Reach::Host { wires.host_joint } else { wires.joint };
            let on_bus = self.bus_style(bus);
            self.set(x, joint, if selected { style } else { on_bus });
        }
    }

    /// Draws a container in one line.
    fn line(&mut self, topology: &Topology, station: &Station) {
        let app = self.app;
        // The first attachment's line goes over those of the others.
        for edge in station.edges.iter().rev() {
            self.joint(topology, station, edge, false);
        }
        let on = |edge: &&Edge| {
            let bus = topology.buses.get(edge.bus);
            bus.is_some_and(|b| self.is_selected(&Node::Edge(station.id.clone(), b.key.clone())))
        };
        let chosen_edge = station.edges.iter().find(on);
        if let Some(edge) = chosen_edge {
            self.joint(topology, station, edge, true);
        }
        let longest = topology.stations.iter().map(|s| width(&s.name)).max().unwrap_or(0).min(24);
        let own: Vec<&Edge> = station.edges.iter().filter(|edge| edge.bus != 0).collect();
        let shown = chosen_edge.or(own.first().copied()).or(station.edges.first());
        let mut address = shown.map(|edge| edge.address.clone()).unwrap_or_default();
        if chosen_edge.is_none() && own.len() > 1 {
            address.push_str(&format!(" +{}", own.len() - 1));
        }
        if station.edges.is_empty() {
            address = "on no network".to_owned();
        }
        let rate = match chosen_edge {
            Some(edge) => edge.rate,
            None => own.iter().filter_map(|e| e.rate).reduce(|a, b| (a.0 + b.0, a.1 + b.1)),
        };
        let ports = station.edges.iter().find(|edge| edge.bus == 0 && !own.is_empty());
        let selected = self.is_selected(&Node::Station(station.id.clone()));
        let place = Rect { width: self.across.area.right() - self.across.right, ..self.frame() };
        if selected {
            let chosen = self.chosen();
            self.buffer.set_style(place, chosen);
        }
        let patch = |style: Style| if selected { style.patch(self.chosen()) } else { style };
        let alive = station.status.is_alive();
        let text = patch(self.style(if alive { Role::Text } else { Role::Dim }));
        let dim = patch(self.style(Role::Dim));
        let (glyph, role) = mark(app, station);
        let state = patch(self.style(role));
        let at = match chosen_edge {
            Some(_) => text.patch(self.chosen()),
            None => text,
        };
        // With room, states and addresses are columns.
        let cells = |texts: &mut dyn Iterator<Item = usize>| {
            u16::try_from(texts.max().unwrap_or(0)).unwrap_or(0)
        };
        let state_cells = cells(&mut topology.stations.iter().map(|s| width(&words(s))));
        let edges = || topology.stations.iter().flat_map(|s| &s.edges).filter(|e| e.bus != 0);
        let address_cells = cells(&mut edges().map(|e| width(&e.address) + 3)).clamp(13, 24);
        let room = place.width;
        let mut line = Line::new(app, self.buffer, place);
        line.text(glyph, state).skip(1);
        line.cell(&station.name, u16::try_from(longest).unwrap_or(24), false, text);
        if room >= ROOMY {
            line.cell(&words(station), state_cells, false, state);
            // Beside what has nothing more to say there is room for all of it.
            match rate.is_some() || ports.is_some() {
                true => line.cell(&address, address_cells, false, at),
                false => line.text(&address, at),
            };
        } else {
            let words = words(station);
            if !words.is_empty() {
                line.text(&words, state).skip(1);
            }
            line.text(&address, at).skip(1);
        }
        if let Some(rate) = rate {
            line.whole(&rate_text(app, rate), text);
            line.skip(1);
        }
        if let Some(ports) = ports {
            line.text(&ports.address, dim);
        }
    }
}

/// Returns a container's sign: what is wrong with it comes first.
fn mark(app: &App, station: &Station) -> (&'static str, Role) {
    match station.health {
        Some(HealthStatus::Unhealthy) => (app.theme.glyphs().warning, Role::Bad),
        _ => app.theme.status(station.status),
    }
}

/// Returns what a container's sign means in words, unless it is just running.
fn words(station: &Station) -> String {
    match station.health {
        Some(HealthStatus::Unhealthy) => "unhealthy".to_owned(),
        Some(HealthStatus::Starting) => "starting".to_owned(),
        _ if station.status == wharf_model::Status::Running => String::new(),
        _ => station.status.as_str().to_owned(),
    }
}

/// Returns what there is to say of a network besides its name, and how important that is.
fn about(topology: &Topology, n: usize, bus: &Bus) -> (String, Role) {
    match bus.reach {
        Reach::Host => {
            let published = topology.on(0).count();
            let text = match published {
                0 => "nothing is published".to_owned(),
                1 => "1 container has its ports".to_owned(),
                count => format!("{count} containers have its ports"),
            };
            (text, Role::Dim)
        }
        Reach::Internal => ("internal: no way out".to_owned(), Role::Warn),
        _ if !bus.icc => ("containers kept apart".to_owned(), Role::Warn),
        Reach::Beside => ("beside the host".to_owned(), Role::Dim),
        Reach::Out if topology.on(n).next().is_none() => ("nobody is on it".to_owned(), Role::Dim),
        Reach::Out => (String::new(), Role::Dim),
    }
}

fn busy<'a>(app: &'a App, key: &str) -> Option<&'a Pending> {
    let on = Target::Network(key.to_owned());
    app.pending.values().find(|pending| pending.on == on)
}

/// Returns bytes received and sent a second by a container.
pub(super) fn rate_text(app: &App, (received, sent): (f64, f64)) -> String {
    let glyphs = app.theme.glyphs();
    format!("{}{:>4} {}{:>4}", glyphs.down, bytes(received), glyphs.up, bytes(sent))
}

/// Returns what is drawn at a place.
pub(crate) fn node_at(app: &App, area: Rect, at: Position) -> Option<Node> {
    let networks = &app.networks;
    let topology = &networks.topology;
    let scale = networks.scale(usize::from(area.height));
    let row = networks.top + usize::from(at.y.checked_sub(area.y)?);
    let part = topology.parts(scale).get(row).copied()?;
    let across = Across::new(app, area);
    let key = |bus: usize| topology.buses.get(bus).map(|bus| bus.key.clone());
    let column = (0..topology.buses.len()).find(|n| across.column(*n) == Some(at.x));
    match part {
        Part::Bus(n) | Part::Count(n) => {
            match column.filter(|c| *c < n && scale != Scale::Counts) {
                Some(column) => key(column).map(Node::Bus),
                None => key(n).map(Node::Bus),
            }
        }
        Part::Gap => column.and_then(key).map(Node::Bus),
        Part::Edge(n, e) => {
            let station = topology.stations.get(n)?;
            let edge = station.edges.get(e)?;
            match column.filter(|column| *column != edge.bus) {
                Some(column) => key(column).map(Node::Bus),
                None if at.x < across.right => Some(Node::Edge(station.id.clone(), key(edge.bus)?)),
                // The box's own words about an attachment are it.
                None if at.x > across.right => Some(Node::Edge(station.id.clone(), key(edge.bus)?)),
                None => Some(Node::Station(station.id.clone())),
            }
        }
        Part::Top(n) | Part::Alone(n) | Part::Bottom(n) | Part::Line(n) => {
            let station = topology.stations.get(n)?;
            if at.x >= across.right {
                return Some(Node::Station(station.id.clone()));
            }
            let joined = column.filter(|c| station.edges.iter().any(|edge| edge.bus == *c));
            match (part, joined) {
                (Part::Line(_), Some(bus)) => Some(Node::Edge(station.id.clone(), key(bus)?)),
                _ => column.and_then(key).map(Node::Bus),
            }
        }
    }
}
