//! The container list: rows, order, filter and marks.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use wharf_logs::sanitize_line;
use wharf_model::{ContainerId, ContainerSummary, Status};
use wharf_stats::Usage;

use super::Pending;
use super::list::Cursor;
use super::metrics::{Metrics, disk, network};
use super::since::{refine, sentence, since};
use crate::format::as_f64;
use crate::keymap::Action;

/// A column of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Column {
    /// The life-cycle state.
    #[default]
    State,
    /// The name.
    Name,
    /// What the probes say.
    Health,
    /// Share of a CPU.
    Cpu,
    /// Memory and its limit.
    Memory,
    /// Network traffic.
    Network,
    /// Block device traffic.
    Disk,
    /// Tasks.
    Pids,
    /// Time since the start.
    Uptime,
    /// The image.
    Image,
    /// Published ports.
    Ports,
    /// The first address.
    Ip,
}

impl Column {
    /// Returns the heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::State => "STATE",
            Self::Name => "NAME",
            Self::Health => "HEALTH",
            Self::Cpu => "CPU",
            Self::Memory => "MEM/LIMIT",
            Self::Network => "NET/s",
            Self::Disk => "DISK/s",
            Self::Pids => "PIDS",
            Self::Uptime => "UP",
            Self::Image => "IMAGE",
            Self::Ports => "PORTS",
            Self::Ip => "IP",
        }
    }

    /// Returns whether its greatest values are wanted on top.
    fn is_measured(self) -> bool {
        matches!(self, Self::Cpu | Self::Memory | Self::Network | Self::Disk | Self::Pids)
    }
}

/// One container.
#[derive(Clone, Debug)]
pub struct Row {
    /// What the engine says; every text in it is made safe.
    pub summary: ContainerSummary,
    /// Its ports in one line.
    pub ports: String,
    /// Its first address.
    pub ip: String,
    /// The image, without the tag that goes without saying.
    pub image: String,
    /// Since when it is in its state.
    pub since: Option<DateTime<Utc>>,
    /// All that the filter looks at, in lower case.
    haystack: String,
}

impl Row {
    fn new(mut summary: ContainerSummary, now: DateTime<Utc>) -> Self {
        for text in
            [&mut summary.name, &mut summary.image, &mut summary.command, &mut summary.status_text]
        {
            *text = sanitize_line(text).into_owned();
        }
        let ports = ports(&summary);
        let ip = summary.endpoints.first().map(|e| e.ip.to_string()).unwrap_or_default();
        let mut haystack = format!(
            "{} {} {} {} {ports} {ip}",
            summary.name,
            summary.image,
            summary.status.as_str(),
            summary.id.short(),
        );
        if let Some(health) = summary.health {
            haystack.push(' ');
            haystack.push_str(health.as_str());
        }
        if let Some(project) = summary.labels.get("com.docker.compose.project") {
            haystack.push(' ');
            haystack.push_str(project);
        }
        let haystack = haystack.to_lowercase();
        let image = short_image(&summary.image).to_owned();
        let since = since(&summary, now);
        Self { summary, ports, ip, image, since, haystack }
    }

    /// Returns docker's sentence about its state as of now: `Up 3 minutes (healthy)`.
    pub fn status_text(&self, now: DateTime<Utc>) -> String {
        sentence(&self.summary, self.since, now)
    }
}

/// Returns an image's name without `:latest` and with no more of a bare id than docker shows.
fn short_image(image: &str) -> &str {
    match image.strip_prefix("sha256:") {
        Some(id) => id.get(..12).unwrap_or(id),
        None => image.strip_suffix(":latest").unwrap_or(image),
    }
}

/// Returns the published ports, then the exposed ones: `8080→80 9000`.
fn ports(summary: &ContainerSummary) -> String {
    let mut seen = Vec::new();
    let mut ports: Vec<_> = summary.ports.iter().collect();
    ports.sort_by_key(|p| (p.host.is_none(), p.container_port));
    for port in ports {
        let protocol = match port.protocol.as_str() {
            "tcp" => String::new(),
            other => format!("/{}", sanitize_line(other)),
        };
        // The same port is often published on IPv4 and IPv6.
        let text = match port.host {
            Some((_, host)) => format!("{host}>{}{protocol}", port.container_port),
            None => format!("{}{protocol}", port.container_port),
        };
        if !seen.contains(&text) {
            seen.push(text);
        }
    }
    seen.join(" ")
}

/// Returns whether an action makes sense for a container now.
pub(super) fn can(row: &Row, action: Action, pending: Option<&Pending>) -> Result<(), String> {
    let name = &row.summary.name;
    if let Some(pending) = pending {
        return Err(format!("{name} is {} already", pending.doing));
    }
    let status = row.summary.status;
    let fine = match action {
        Action::Start => matches!(status, Status::Created | Status::Exited | Status::Dead),
        Action::Stop => matches!(status, Status::Running | Status::Paused | Status::Restarting),
        Action::Restart => status != Status::Removing && status != Status::Dead,
        Action::PauseResume | Action::Kill => status.is_alive(),
        Action::Remove => status != Status::Removing,
        _ => true,
    };
    if fine { Ok(()) } else { Err(format!("{name} is {}", status.as_str())) }
}

/// The container screen's list.
#[derive(Debug)]
pub struct Containers {
    /// All containers, in the engine's order.
    pub rows: Vec<Row>,
    /// Whether an answer has come.
    pub loaded: bool,
    /// Indices of the rows that are shown, in their order.
    pub shown: Vec<usize>,
    /// The selected one.
    pub selected: Option<ContainerId>,
    /// Where the selected one is among those shown.
    pub cursor: Cursor,
    /// The marked ones.
    pub marked: HashSet<ContainerId>,
    /// What is looked for.
    pub filter: String,
    /// Whether those that don't run are shown.
    pub all: bool,
    /// What the order is by.
    pub sort: Column,
    /// Whether the order is reversed.
    pub reversed: bool,
}

impl Default for Containers {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            loaded: false,
            shown: Vec::new(),
            selected: None,
            cursor: Cursor::default(),
            marked: HashSet::new(),
            filter: String::new(),
            all: true,
            sort: Column::State,
            reversed: false,
        }
    }
}

impl Containers {
    /// Takes a new list that came at `now`.
    pub fn replace(&mut self, list: Vec<ContainerSummary>, now: DateTime<Utc>) {
        let before = std::mem::take(&mut self.rows);
        let before: HashMap<_, _> = before.iter().map(|r| (&r.summary.id, r)).collect();
        let row = |summary| {
            let mut row = Row::new(summary, now);
            let old = before.get(&row.summary.id);
            let old = old.filter(|old| old.summary.status == row.summary.status);
            if let (Some(new), Some(old)) = (row.since, old.and_then(|old| old.since)) {
                row.since = Some(refine(old, new, now));
            }
            row
        };
        self.rows = list.into_iter().map(row).collect();
        self.loaded = true;
        let rows = &self.rows;
        self.marked.retain(|id| rows.iter().any(|r| r.summary.id == *id));
    }

    /// Makes the shown rows anew and keeps the selection, or its place if it is gone.
    pub fn arrange(&mut self, metrics: &Metrics, height: usize) {
        let words: Vec<String> =
            self.filter.to_lowercase().split_whitespace().map(str::to_owned).collect();
        let rows = &self.rows;
        self.shown.clear();
        self.shown.extend((0..rows.len()).filter(|n| {
            let row = &rows[*n];
            let lives = row.summary.status.is_alive() || row.summary.status == Status::Restarting;
            (self.all || lives) && words.iter().all(|w| row.haystack.contains(w))
        }));
        let (sort, reversed) = (self.sort, self.reversed);
        self.shown.sort_by(|a, b| {
            let (a, b) = (&rows[*a], &rows[*b]);
            let order = compare(sort, a, b, metrics);
            let order = if reversed != sort.is_measured() { order.reverse() } else { order };
            order
                .then_with(|| a.summary.name.cmp(&b.summary.name))
                .then_with(|| a.summary.id.as_str().cmp(b.summary.id.as_str()))
        });
        let selected = self.selected.as_ref();
        if let Some(at) = self.shown.iter().position(|n| Some(&rows[*n].summary.id) == selected) {
            self.cursor.at = at;
        }
        self.cursor.settle(self.shown.len(), height);
        self.take_selection();
    }

    /// Makes the row under the cursor the selected one.
    pub fn take_selection(&mut self) {
        self.selected = self.under_cursor().map(|r| r.summary.id.clone());
    }

    /// Returns whether new samples change the order.
    pub fn follows_samples(&self) -> bool {
        self.sort.is_measured()
    }

    fn under_cursor(&self) -> Option<&Row> {
        self.shown.get(self.cursor.at).and_then(|n| self.rows.get(*n))
    }

    /// Returns the selected row.
    pub fn selected(&self) -> Option<&Row> {
        self.under_cursor().filter(|r| Some(&r.summary.id) == self.selected.as_ref())
    }

    /// Returns a row by id.
    pub fn row(&self, id: &ContainerId) -> Option<&Row> {
        self.rows.iter().find(|r| r.summary.id == *id)
    }

    /// Returns the marked rows, in the order they are shown, then those that are filtered away.
    pub fn marked_rows(&self) -> Vec<&Row> {
        let shown = self.shown.iter().filter_map(|n| self.rows.get(*n));
        let mut rows: Vec<_> = shown.filter(|r| self.marked.contains(&r.summary.id)).collect();
        let hidden = self.rows.iter().filter(|r| {
            self.marked.contains(&r.summary.id)
                && !rows.iter().any(|s| s.summary.id == r.summary.id)
        });
        let hidden: Vec<_> = hidden.collect();
        rows.extend(hidden);
        rows
    }

    /// Returns how many containers are in a state.
    pub fn count(&self, status: Status) -> usize {
        self.rows.iter().filter(|r| r.summary.status == status).count()
    }

    /// Returns how many containers fail their probes.
    pub fn unhealthy(&self) -> usize {
        let bad = Some(wharf_model::HealthStatus::Unhealthy);
        self.rows.iter().filter(|r| r.summary.health == bad).count()
    }
}

fn rank(status: Status) -> u8 {
    match status {
        Status::Running => 0,
        Status::Restarting => 1,
        Status::Paused => 2,
        Status::Created => 3,
        Status::Removing => 4,
        Status::Exited => 5,
        Status::Dead => 6,
    }
}

/// Compares so that what isn't known is least.
fn compare(sort: Column, a: &Row, b: &Row, metrics: &Metrics) -> Ordering {
    let (x, y) = (&a.summary, &b.summary);
    let measured = |pick: fn(&Usage) -> Option<f64>| {
        let value = |row: &Row| metrics.now(&row.summary.id).and_then(pick).unwrap_or(-1.0);
        value(a).total_cmp(&value(b))
    };
    match sort {
        Column::State => rank(x.status).cmp(&rank(y.status)),
        Column::Name => x.name.cmp(&y.name),
        Column::Health => {
            let rank = |h| match h {
                Some(wharf_model::HealthStatus::Unhealthy) => 0,
                Some(wharf_model::HealthStatus::Starting) => 1,
                Some(wharf_model::HealthStatus::Healthy) => 2,
                None => 3,
            };
            rank(x.health).cmp(&rank(y.health))
        }
        Column::Cpu => measured(|n| n.cpu_percent),
        Column::Memory => measured(|n| n.memory.map(as_f64)),
        Column::Network => measured(network),
        Column::Disk => measured(disk),
        Column::Pids => measured(|n| n.pids.map(as_f64)),
        Column::Uptime => {
            let begin = |r: &Row| {
                if r.summary.status.is_alive() {
                    r.since.unwrap_or(r.summary.created).timestamp()
                } else {
                    0
                }
            };
            begin(b).cmp(&begin(a))
        }
        Column::Image => x.image.cmp(&y.image),
        Column::Ports => a.ports.cmp(&b.ports),
        Column::Ip => x.endpoints.first().map(|e| e.ip).cmp(&y.endpoints.first().map(|e| e.ip)),
    }
}

#[cfg(test)]
mod tests {
    use wharf_backend::fake;

    use super::*;

    fn list() -> (Containers, Metrics) {
        let mut list = Containers::default();
        let names =
            [("b", Status::Running), ("a", Status::Exited), ("c\u{1b}[2J", Status::Running)];
        list.replace(
            (1..)
                .zip(names)
                .map(|(n, (name, status))| fake::container(n, name, "img", status))
                .collect(),
            fake::time(0),
        );
        let metrics = Metrics::new();
        list.arrange(&metrics, 10);
        (list, metrics)
    }

    fn names(list: &Containers) -> Vec<&str> {
        list.shown.iter().map(|n| list.rows[*n].summary.name.as_str()).collect()
    }

    #[test]
    fn order_filter_and_selection() {
        let (mut list, metrics) = list();
        assert_eq!(names(&list), ["b", "c\u{fffd}[2J", "a"]);
        list.cursor.at = 2;
        list.take_selection();
        list.sort = Column::Name;
        list.arrange(&metrics, 10);
        assert_eq!(list.selected().unwrap().summary.name, "a");
        assert_eq!(list.cursor.at, 0);
        list.filter = "RUN b".to_owned();
        list.arrange(&metrics, 10);
        assert_eq!(names(&list), ["b"]);
        list.filter.clear();
        list.all = false;
        list.reversed = true;
        list.arrange(&metrics, 10);
        assert_eq!(names(&list), ["c\u{fffd}[2J", "b"]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_reason() {
        let (list, _) = list();
        let row = &list.rows[1];
        assert_eq!(can(row, Action::Stop, None), Err("a is exited".to_owned()));
        assert_eq!(can(row, Action::Start, None), Ok(()));
    }
}
