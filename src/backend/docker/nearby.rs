//! Containers of an engine on this host: their counters are read from the kernel, as those of the own
//! engine are. The engine isn't asked for statistics, which cost it far more than they cost us, and more is
//! known: throttling, pressure, out-of-memory kills.
//!
//! That an engine behind a socket is on this host is known by its containers' control groups alone: they
//! have the containers' ids in their names. What stands around the id is usually one of [`NAMES`]; else it
//! is learned of one container's first process. Of a container that has no such group here, the engine has
//! to tell.
//!
//! Nor does the engine tell which links of this host lead into which container; the kernel does, by the
//! numbers of network namespaces. Where the sampler sees that others do, too, it reads the container's own
//! counters.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use wharf_cgroup::{Group, Layout};
use wharf_model::{ContainerId, DetailSample, HostSample, Sample};
use wharf_stats::{Sampler, Subject, raise_open_files_limit};
use wharf_sys::netlink::route::RouteSocket;

/// What stands before and after the id in the name of a container's group: dockerd and podman, each with
/// groups of its own making and with systemd's, and what the own engine's server tells of.
const NAMES: [(&str, &str); 5] = [
    ("docker/", ""),
    ("system.slice/docker-", ".scope"),
    ("libpod_parent/libpod-", ""),
    ("machine.slice/libpod-", ".scope"),
    ("wharf/", ""),
];

/// Milliseconds in a tick of `/proc/PID/stat` (`USER_HZ` is 100 on every architecture but alpha).
const TICK_MS: i64 = 10;

/// How the groups of an engine's containers are named on this host.
#[derive(Debug)]
pub(super) struct Groups {
    layout: Layout,
    /// What stands around the id.
    names: Mutex<Vec<(String, String)>>,
}

impl Groups {
    /// Returns the usual names; none where groups can't be seen.
    pub(super) fn new() -> Option<Self> {
        let layout = Layout::detect().ok().filter(|layout| !layout.is_empty())?;
        let names = NAMES.map(|(before, after)| (before.to_owned(), after.to_owned()));
        Some(Self { layout, names: Mutex::new(names.into()) })
    }

    fn names(&self) -> MutexGuard<'_, Vec<(String, String)>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns from the container whose first process this is how groups are named; returns whether that
    /// is news.
    pub(super) fn learn(&self, id: &ContainerId, pid: i64) -> bool {
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let mut paths = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
        let name = paths.find_map(|path| path.strip_prefix('/')?.split_once(id.as_str()));
        let Some((before, after)) = name else { return false };
        let name = (before.to_owned(), after.to_owned());
        let mut names = self.names();
        let is_new = !names.contains(&name);
        if is_new {
            names.push(name);
        }
        is_new
    }

    /// Returns what is measured only of a container that somebody looks at closely.
    pub(super) fn details(&self, id: &ContainerId) -> Option<DetailSample> {
        let (group, process) = self.find(id)?;
        Some(wharf_stats::details(&group, Some(process.pid)))
    }

    /// Returns a container's group and a process that has its network.
    fn find(&self, id: &ContainerId) -> Option<(Group, Process)> {
        self.names().iter().find_map(|(before, after)| {
            let group = Group::open(&self.layout, &format!("{before}{id}{after}")).ok()?;
            let pids = group.processes().ok()?;
            // An engine inside the container has networks for its own. What was started from outside,
            // the first process before all, is on the container's.
            let mut processes = pids.iter().filter_map(|pid| Process::read(*pid));
            let first = processes.find(|process| !pids.contains(&process.parent))?;
            Some((group, first))
        })
    }
}

/// The containers whose counters are read here.
pub(super) struct Nearby {
    groups: Arc<Groups>,
    /// When this host was started, in milliseconds since 1970.
    booted_ms: i64,
    watched: Mutex<Watched>,
}

struct Watched {
    sampler: Sampler,
    /// Whether there was ever one: then this host is theirs.
    found: bool,
}

/// What one look found.
#[derive(Default)]
pub(super) struct Look {
    pub(super) host: Option<HostSample>,
    pub(super) containers: Vec<(ContainerId, Sample)>,
}

impl Nearby {
    /// Returns the place for containers of an engine that may be on this host. `root` is the folder of
    /// its data.
    pub(super) fn new(groups: Arc<Groups>, root: &Path) -> Self {
        raise_open_files_limit();
        let sampler = Sampler::new(groups.layout.clone(), root);
        let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let up = Duration::try_from(up).unwrap_or_default();
        let booted_ms = (Utc::now() - up).timestamp_millis();
        Self { groups, booted_ms, watched: Mutex::new(Watched { sampler, found: false }) }
    }

    pub(super) fn groups(&self) -> &Arc<Groups> {
        &self.groups
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds running containers, or looks anew which links lead into them; returns those whose groups
    /// aren't found.
    pub(super) fn add(&self, containers: Vec<ContainerId>) -> Vec<ContainerId> {
        let (mut found, mut strange) = (Vec::new(), Vec::new());
        for id in containers {
            match self.groups.find(&id) {
                Some((group, process)) => found.push((id, group, process)),
                None => strange.push(id),
            }
        }
        let pids: Vec<_> = found.iter().map(|(_, _, process)| process.pid).collect();
        let mut watched = self.watched();
        for ((id, group, process), links) in found.into_iter().zip(links_into(&pids)) {
            let subject = Subject {
                id: id.clone(),
                group: group.name().to_owned(),
                pid: process.pid,
                started_ms: self.booted_ms + process.started_ms,
                links,
            };
            match watched.sampler.add(subject) {
                Ok(()) => watched.found = true,
                Err(_) => strange.push(id),
            }
        }
        strange
    }

    /// Returns whether a container's counters are read here.
    pub(super) fn has(&self, id: &ContainerId) -> bool {
        self.watched().sampler.containers().any(|known| known == id)
    }

    /// Removes a container.
    pub(super) fn remove(&self, id: &ContainerId) {
        self.watched().sampler.remove(id);
    }

    /// Has a container's limits read again.
    pub(super) fn changed(&self, id: &ContainerId) {
        self.watched().sampler.changed(id);
    }

    /// Reads all counters once.
    pub(super) fn look(&self) -> Look {
        let tick = {
            let mut watched = self.watched();
            if !watched.found {
                return Look::default();
            }
            watched.sampler.tick()
        };
        if !tick.gone.is_empty() {
            // Usually the container has ended, and the event that says so is on its way. It may be that
            // only the process has by which its network was seen.
            self.add(tick.gone);
        }
        Look { host: Some(tick.host), containers: tick.containers }
    }
}

/// Returns the links of this host that lead into the networks of these processes, in their order; none
/// where that can't be told.
fn links_into(pids: &[i32]) -> Vec<Option<Vec<String>>> {
    let unknown = vec![None; pids.len()];
    if pids.is_empty() {
        return unknown;
    }
    let Ok(mut route) = RouteSocket::open() else { return unknown };
    // A namespace has a number once somebody has seen a link into it.
    let Ok(links) = route.links() else { return unknown };
    let mut leading: HashMap<i32, Vec<String>> = HashMap::new();
    for link in links {
        if let Some(number) = link.beyond {
            leading.entry(number).or_default().push(link.name);
        }
    }
    let Ok(numbers) = route.namespaces(pids) else { return unknown };
    let known = |number| leading.get(&number).cloned().unwrap_or_default();
    numbers.into_iter().map(|number| Some(number.map(known).unwrap_or_default())).collect()
}

/// A process, as `/proc/PID/stat` tells (proc(5): the fields 4 and 22).
struct Process {
    pid: i32,
    parent: i32,
    /// Milliseconds after the host was.
    started_ms: i64,
}

impl Process {
    fn read(pid: i32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(1);
        let parent = fields.next()?.parse().ok()?;
        let ticks: i64 = fields.nth(17)?.parse().ok()?;
        Some(Self { pid, parent, started_ms: ticks * TICK_MS })
    }
}
