//! The container list: rows, order, filter and marks.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{DateTime, Utc};
use wharf_logs::sanitize_line;
use wharf_model::{ContainerId, ContainerSummary, Status};
use wharf_stats::Usage;

use super::Pending;
use super::columns::Column;
use super::list::Cursor;
use super::metrics::{Metrics, disk, network};
use super::since::{refine, sentence, since};
use super::travel::NOT_RECORDED;
use crate::format::as_f64;
use crate::keymap::Action;

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
    /// The engine that has it, by its place.
    pub host: usize,
    /// What that is called; empty where there is but one.
    pub host_name: String,
    /// The compose project it belongs to; with its engine where there are several.
    pub project: Option<String>,
    /// What it is called here, if it isn't by its name: `toolbox of web`.
    pub title: Option<String>,
    /// Whether the past is shown, and nothing is known of its state then.
    pub unrecorded: bool,
    /// Since when it is in its state.
    pub since: Option<DateTime<Utc>>,
    /// All that the filter looks at, in lower case.
    haystack: String,
}

impl Row {
    fn new(
        mut summary: ContainerSummary,
        (host, host_name): (usize, Option<&str>),
        now: DateTime<Utc>,
    ) -> Self {
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
        let label = |name: &str| {
            let text = summary.labels.get(name).filter(|text| !text.is_empty());
            text.map(|text| sanitize_line(text).into_owned())
        };
        let project = label("com.docker.compose.project").map(|project| match host_name {
            // A project is one engine's affair, whatever others call theirs.
            Some(host) => format!("{project}@{host}"),
            None => project,
        });
        for text in project.iter().chain(&label("com.docker.compose.service")) {
            haystack.push(' ');
            haystack.push_str(text);
        }
        haystack.extend(host_name.into_iter().flat_map(|name| [" ", name]));
        let haystack = haystack.to_lowercase();
        let image = short_image(&summary.image).to_owned();
        let since = since(&summary, now);
        let host_name = host_name.unwrap_or_default().to_owned();
        let title = None;
        let unrecorded = summary.status_text == NOT_RECORDED;
        Self {
            summary,
            ports,
            ip,
            image,
            host,
            host_name,
            project,
            title,
            unrecorded,
            since,
            haystack,
        }
    }

    /// Returns what the list calls it.
    pub fn called(&self) -> &str {
        let name = self.title.as_deref().unwrap_or(&self.summary.name);
        match self.summary.status {
            // While it is put aside, its id is part of its name. That it is, its state says.
            Status::Removing => name.split(".removed-").next().unwrap_or(name),
            _ => name,
        }
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
        None => {
            // podman says in full where an image is from.
            let own = image.strip_prefix("docker.io/library/");
            let image = own.or(image.strip_prefix("docker.io/")).unwrap_or(image);
            image.strip_suffix(":latest").unwrap_or(image)
        }
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

/// A compose project with its containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The project's name.
    pub name: String,
    /// Indices of its rows that are shown, in their order.
    pub members: Vec<usize>,
}

/// A line of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The heading of a group, by its index.
    Group(usize),
    /// A container, by the index of its row.
    Row(usize),
}

/// What is selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// A container.
    Container(ContainerId),
    /// A group, by its name.
    Group(String),
}

/// The container screen's list.
#[derive(Debug)]
pub struct Containers {
    /// All containers, in the engine's order.
    pub rows: Vec<Row>,
    /// Where each of them is among these, by its id.
    pub(super) places: HashMap<String, usize>,
    /// Whether an answer has come.
    pub loaded: bool,
    /// Indices of the rows that the filter lets through, in their order.
    pub shown: Vec<usize>,
    /// The groups among them.
    pub groups: Vec<Group>,
    /// The lines of the list: `shown`, by groups, without those that are folded away.
    pub entries: Vec<Entry>,
    /// Whether what belongs together stands together.
    pub grouped: bool,
    /// The names of the folded groups.
    pub folded: BTreeSet<String>,
    /// What is selected.
    pub selected: Option<Chosen>,
    /// Where that is among the lines.
    pub cursor: Cursor,
    /// The marked ones.
    pub marked: HashSet<ContainerId>,
    /// What is looked for.
    pub filter: String,
    /// Whether those that don't run are shown.
    pub all: bool,
    /// The only engine whose containers are shown, by its place.
    pub only: Option<usize>,
    /// What the order is by.
    pub sort: Column,
    /// Whether the order is reversed.
    pub reversed: bool,
}

impl Default for Containers {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            places: HashMap::new(),
            loaded: false,
            shown: Vec::new(),
            groups: Vec::new(),
            entries: Vec::new(),
            grouped: true,
            folded: BTreeSet::new(),
            selected: None,
            cursor: Cursor::default(),
            marked: HashSet::new(),
            filter: String::new(),
            all: true,
            only: None,
            sort: Column::State,
            reversed: false,
        }
    }
}

impl Containers {
    /// Takes a new list of an engine, that came at `now`; `name` is its name where there are several. A
    /// container that two of them have is the first one's. Returns how many were left out for that.
    pub fn replace(
        &mut self,
        host: usize,
        name: Option<&str>,
        mut list: Vec<ContainerSummary>,
        now: DateTime<Utc>,
    ) -> usize {
        let all = list.len();
        let mut others = Vec::new();
        let mut before = std::mem::take(&mut self.rows);
        if name.is_some() || before.iter().any(|row| row.host != host) {
            let mine;
            (mine, others) = before.into_iter().partition(|row| row.host == host);
            before = mine;
            let owners: HashMap<_, _> = others.iter().map(|r| (&r.summary.id, r.host)).collect();
            list.retain(|one| owners.get(&one.id).is_none_or(|owner| *owner > host));
            let ids: HashSet<_> = list.iter().map(|one| one.id.clone()).collect();
            others.retain(|row| !ids.contains(&row.summary.id));
        }
        let left_out = all - list.len();
        let before: HashMap<_, _> = before.iter().map(|r| (&r.summary.id, r)).collect();
        let row = |summary| {
            let mut row = Row::new(summary, (host, name), now);
            let old = before.get(&row.summary.id);
            let old = old.filter(|old| old.summary.status == row.summary.status);
            if let (Some(new), Some(old)) = (row.since, old.and_then(|old| old.since)) {
                row.since = Some(refine(old, new, now));
            }
            row
        };
        self.rows = list.into_iter().map(row).chain(others).collect();
        self.loaded = true;
        let places =
            self.rows.iter().zip(0..).map(|(row, n)| (row.summary.id.as_str().to_owned(), n));
        self.places = places.collect();
        self.name_toolboxes();
        self.marked.retain(|id| self.places.contains_key(id.as_str()));
        left_out
    }

    /// Calls the containers of shells that need one of their own after those they are beside.
    fn name_toolboxes(&mut self) {
        let titles: Vec<(usize, String)> = (self.rows.iter().enumerate())
            .filter_map(|(n, row)| {
                let target = self.row_of(row.summary.labels.get(wharf_model::TOOLBOX)?)?;
                Some((n, format!("toolbox of {}", target.summary.name)))
            })
            .collect();
        for (n, title) in titles {
            self.rows[n].title = Some(title);
        }
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
            (self.all || lives)
                && self.only.is_none_or(|host| host == row.host)
                && words.iter().all(|w| row.haystack.contains(w))
        }));
        let (sort, reversed) = (self.sort, self.reversed);
        // Looked up once for each, and not at every comparison.
        let measured: Vec<f64> = match sort.is_measured() {
            true => rows.iter().map(|row| measured(sort, row, metrics)).collect(),
            false => Vec::new(),
        };
        self.shown.sort_by(|at, other| {
            let (a, b) = (&rows[*at], &rows[*other]);
            let order = match (measured.get(*at), measured.get(*other)) {
                (Some(x), Some(y)) => x.total_cmp(y),
                _ => compare(sort, a, b),
            };
            let order = if reversed != sort.is_measured() { order.reverse() } else { order };
            order
                .then_with(|| a.summary.name.cmp(&b.summary.name))
                .then_with(|| a.host.cmp(&b.host))
                .then_with(|| a.summary.id.as_str().cmp(b.summary.id.as_str()))
        });
        self.gather();
        let place = self.place_of_selection();
        match place {
            Some(at) => self.cursor.at = at,
            // At first a container, not the heading of its group; and the first one, too, where the
            // filter has taken the selected one away.
            None if self.selected.is_none() || self.is_filtered_away() => {
                let row = |entry: &Entry| matches!(entry, Entry::Row(_));
                self.cursor.at = self.entries.iter().position(row).unwrap_or(0);
            }
            None => {}
        }
        self.cursor.settle(self.entries.len(), height);
        // In the place of a container that is gone stands another one, not the heading of a group.
        let gone = place.is_none() && matches!(self.selected, Some(Chosen::Container(_)));
        let heading = matches!(self.entries.get(self.cursor.at), Some(Entry::Group(_)));
        if gone && heading && matches!(self.entries.get(self.cursor.at + 1), Some(Entry::Row(_))) {
            self.cursor.step(1, self.entries.len(), height);
        }
        self.take_selection();
    }

    /// Puts what belongs together where the first of it is.
    fn gather(&mut self) {
        self.groups.clear();
        self.entries.clear();
        if !self.grouped {
            self.entries.extend(self.shown.iter().map(|n| Entry::Row(*n)));
            return;
        }
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut place = |n: &usize| {
            let name = self.rows.get(*n)?.project.as_deref()?;
            let next = places.len();
            Some((*places.entry(name).or_insert(next), name))
        };
        let mut groups: Vec<Group> = Vec::new();
        // Where a group begins, its number; where it goes on, nothing.
        let mut lines: Vec<Entry> = Vec::new();
        for n in &self.shown {
            match place(n) {
                None => lines.push(Entry::Row(*n)),
                Some((at, name)) => {
                    if at == groups.len() {
                        groups.push(Group { name: name.to_owned(), members: Vec::new() });
                        lines.push(Entry::Group(at));
                    }
                    groups[at].members.push(*n);
                }
            }
        }
        for line in lines {
            self.entries.push(line);
            if let Entry::Group(at) = line
                && !self.folded.contains(&groups[at].name)
            {
                self.entries.extend(groups[at].members.iter().map(|n| Entry::Row(*n)));
            }
        }
        self.groups = groups;
    }

    /// Returns where the selection is; that of a container in a folded group is the group's.
    fn place_of_selection(&self) -> Option<usize> {
        let is = |wanted: &Chosen, entry: &Entry| match (wanted, entry) {
            (Chosen::Container(id), Entry::Row(n)) => {
                self.rows.get(*n).is_some_and(|row| row.summary.id == *id)
            }
            (Chosen::Group(name), Entry::Group(at)) => {
                self.groups.get(*at).is_some_and(|group| group.name == *name)
            }
            _ => false,
        };
        let chosen = self.selected.as_ref()?;
        let at = self.entries.iter().position(|entry| is(chosen, entry));
        let Chosen::Container(id) = chosen else { return at };
        at.or_else(|| {
            let folded = self.row(id)?.project.clone().filter(|name| self.folded.contains(name));
            let group = Chosen::Group(folded?);
            self.entries.iter().position(|entry| is(&group, entry))
        })
    }

    /// Returns whether the selected container is there, and the filter doesn't let it through.
    fn is_filtered_away(&self) -> bool {
        let Some(Chosen::Container(id)) = &self.selected else { return false };
        !self.filter.is_empty()
            && self.row(id).is_some()
            && !self.shown.iter().any(|n| self.rows[*n].summary.id == *id)
    }

    /// Makes what is under the cursor the selected one.
    pub fn take_selection(&mut self) {
        self.selected = match self.entries.get(self.cursor.at) {
            Some(Entry::Row(n)) => {
                self.rows.get(*n).map(|row| Chosen::Container(row.summary.id.clone()))
            }
            Some(Entry::Group(at)) => {
                self.groups.get(*at).map(|group| Chosen::Group(group.name.clone()))
            }
            None => None,
        };
    }

    /// Returns the selected group.
    pub fn group(&self) -> Option<&Group> {
        match self.entries.get(self.cursor.at)? {
            Entry::Group(at) => self.groups.get(*at),
            Entry::Row(_) => None,
        }
    }

    /// Returns the rows of a group.
    pub fn members<'a>(&'a self, group: &'a Group) -> impl Iterator<Item = &'a Row> {
        group.members.iter().filter_map(|n| self.rows.get(*n))
    }

    /// Returns what the containers of a group use together; what none of them tells is none.
    pub fn sum(&self, group: &Group, metrics: &Metrics) -> Usage {
        fn add<T: std::ops::Add<Output = T>>(sum: &mut Option<T>, value: Option<T>) {
            *sum = match (sum.take(), value) {
                (Some(a), Some(b)) => Some(a + b),
                (a, b) => a.or(b),
            };
        }
        let mut sum = Usage::default();
        for usage in self.members(group).filter_map(|row| metrics.now(&row.summary.id)) {
            add(&mut sum.cpu_percent, usage.cpu_percent);
            add(&mut sum.memory, usage.memory);
            add(&mut sum.net_rx, usage.net_rx);
            add(&mut sum.net_tx, usage.net_tx);
            add(&mut sum.block_read, usage.block_read);
            add(&mut sum.block_write, usage.block_write);
            add(&mut sum.pids, usage.pids);
        }
        sum
    }

    /// Returns the name of the group that is selected, or that the selected container is in.
    pub fn project(&self) -> Option<String> {
        if !self.grouped {
            return None;
        }
        match self.group() {
            Some(group) => Some(group.name.clone()),
            None => self.selected()?.project.clone(),
        }
    }

    /// Returns whether new samples change the order.
    pub fn follows_samples(&self) -> bool {
        self.sort.is_measured()
    }

    /// Returns the selected row; none if a group is selected.
    pub fn selected(&self) -> Option<&Row> {
        let Entry::Row(n) = self.entries.get(self.cursor.at)? else { return None };
        let row = self.rows.get(*n)?;
        matches!(&self.selected, Some(Chosen::Container(id)) if *id == row.summary.id)
            .then_some(row)
    }

    /// Returns a row by id.
    pub fn row(&self, id: &ContainerId) -> Option<&Row> {
        self.row_of(id.as_str())
    }

    /// Returns a row by all digits of its id.
    pub fn row_of(&self, id: &str) -> Option<&Row> {
        self.rows.get(*self.places.get(id)?)
    }

    /// Returns the marked rows, in the order they are shown, then those that are filtered away.
    pub fn marked_rows(&self) -> Vec<&Row> {
        let shown: HashSet<usize> = self.shown.iter().copied().collect();
        let hidden = (0..self.rows.len()).filter(|n| !shown.contains(n));
        let all = self.shown.iter().copied().chain(hidden);
        let marked = |row: &&Row| self.marked.contains(&row.summary.id);
        all.filter_map(|n| self.rows.get(n)).filter(marked).collect()
    }

    /// Returns how many containers are in a state that is known.
    pub fn count(&self, status: Status) -> usize {
        self.rows.iter().filter(|r| r.summary.status == status && !r.unrecorded).count()
    }

    /// Returns of how many containers it isn't known in which state they were.
    pub fn unrecorded(&self) -> usize {
        self.rows.iter().filter(|row| row.unrecorded).count()
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

/// Returns what a column that is measured is sorted by; what isn't known is least.
fn measured(sort: Column, row: &Row, metrics: &Metrics) -> f64 {
    let value = |usage: &Usage| match sort {
        // As it is shown: rows don't change places for what nobody can see.
        Column::Cpu => usage.cpu_percent.map(|cpu| (cpu * 10.0).round()),
        Column::Memory => usage.memory.map(as_f64),
        Column::Network => network(usage),
        Column::Disk => disk(usage),
        Column::Pids => usage.pids.map(as_f64),
        _ => None,
    };
    metrics.now(&row.summary.id).and_then(value).unwrap_or(-1.0)
}

/// Compares by a column that isn't measured, so that what isn't known is least.
fn compare(sort: Column, a: &Row, b: &Row) -> Ordering {
    let (x, y) = (&a.summary, &b.summary);
    match sort {
        Column::State => rank(x.status).cmp(&rank(y.status)),
        Column::Host => a.host.cmp(&b.host),
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
        Column::Cpu | Column::Memory | Column::Network | Column::Disk | Column::Pids => {
            Ordering::Equal
        }
        Column::Restarts => x.restart_count.cmp(&y.restart_count),
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
        let _ = list.replace(
            0,
            None,
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
    fn a_group_stands_where_its_first_is_folds_and_keeps_the_selection() {
        let mut list = Containers::default();
        let container = |n: u8, name: &str, project: &str| {
            let mut made = fake::container(n, name, "img", Status::Running);
            if !project.is_empty() {
                let label = "com.docker.compose.project".to_owned();
                made.labels.insert(label, project.to_owned());
            }
            made
        };
        let rows = [
            container(1, "a", ""),
            container(2, "b", "shop"),
            container(3, "c", ""),
            container(4, "d", "shop"),
        ];
        let _ = list.replace(0, None, rows.to_vec(), fake::time(0));
        let metrics = Metrics::new();
        list.arrange(&metrics, 10);
        let of = |list: &Containers| -> String {
            let line = |entry: &Entry| match entry {
                Entry::Group(at) => format!("[{}]", list.groups[*at].name),
                Entry::Row(n) => list.rows[*n].summary.name.clone(),
            };
            list.entries.iter().map(line).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of(&list), "a [shop] b d c");
        list.cursor.at = 3;
        list.take_selection();
        assert_eq!(list.selected().unwrap().summary.name, "d");
        list.folded.insert("shop".to_owned());
        list.arrange(&metrics, 10);
        assert_eq!(of(&list), "a [shop] c");
        assert_eq!(list.group().unwrap().name, "shop", "the group has what it hides");
        assert_eq!(list.selected().map(|row| &row.summary.name), None);
        list.grouped = false;
        list.arrange(&metrics, 10);
        assert_eq!(of(&list), "a b c d");
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_reason() {
        let (list, _) = list();
        let row = &list.rows[1];
        assert_eq!(can(row, Action::Stop, None), Err("a is exited".to_owned()));
        assert_eq!(can(row, Action::Start, None), Ok(()));
    }
}
