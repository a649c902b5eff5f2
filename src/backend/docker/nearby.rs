//! Containers of an engine on this host: their counters are read from the kernel, as those of the own
//! engine are. The engine isn't asked for statistics, which cost it far more than they cost us, and more is
//! known: throttling, pressure, out-of-memory kills.
//!
//! That an engine behind a socket is on this host is known by its containers' control groups alone: they
//! have the containers' ids in their names. What stands around the id is usually one of [`NAMES`]; else it
//! is learned of one container's first process. Of a container that has no such group here, the engine has
//! to tell.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use wharf_cgroup::{Group, Layout};
use wharf_model::{ContainerId, DetailSample, HostSample, Sample};
use wharf_stats::{Sampler, Subject, raise_open_files_limit};

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

/// The containers whose counters are read here.
pub(super) struct Nearby {
    layout: Layout,
    /// When this host was started, in milliseconds since 1970.
    booted_ms: i64,
    watched: Mutex<Watched>,
}

struct Watched {
    /// What stands around the id in the names of groups.
    names: Vec<(String, String)>,
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
    /// Returns the place for containers of an engine that may be on this host; none where groups can't be
    /// seen. `root` is the folder of its data.
    pub(super) fn new(root: &Path) -> Option<Self> {
        let layout = Layout::detect().ok().filter(|layout| !layout.is_empty())?;
        raise_open_files_limit();
        let sampler = Sampler::new(layout.clone(), root);
        let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let up = Duration::try_from(up).unwrap_or_default();
        let booted_ms = (Utc::now() - up).timestamp_millis();
        let names =
            NAMES.iter().map(|(before, after)| ((*before).into(), (*after).into())).collect();
        let watched = Mutex::new(Watched { names, sampler, found: false });
        Some(Self { layout, booted_ms, watched })
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a running container, if its group is found. `isolated` is one that has no network.
    pub(super) fn add(&self, id: &ContainerId, isolated: bool) -> bool {
        let mut watched = self.watched();
        let Some((group, process)) = find(&self.layout, &watched.names, id) else { return false };
        let subject = Subject {
            id: id.clone(),
            group: group.name().to_owned(),
            pid: process.pid,
            started_ms: self.booted_ms + process.started_ms,
            links: isolated.then(Vec::new),
        };
        let added = watched.sampler.add(subject).is_ok();
        watched.found |= added;
        added
    }

    /// Learns from the container whose first process this is how groups are named; returns whether that
    /// is news.
    pub(super) fn learn(&self, id: &ContainerId, pid: i64) -> bool {
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let mut paths = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2));
        let name = paths.find_map(|path| path.strip_prefix('/')?.split_once(id.as_str()));
        let Some((before, after)) = name else { return false };
        let name = (before.to_owned(), after.to_owned());
        let names = &mut self.watched().names;
        let is_new = !names.contains(&name);
        if is_new {
            names.push(name);
        }
        is_new
    }

    /// Returns what is measured only of a container that somebody looks at closely.
    pub(super) fn details(&self, id: &ContainerId) -> Option<DetailSample> {
        let (group, process) = find(&self.layout, &self.watched().names, id)?;
        Some(wharf_stats::details(&group, Some(process.pid)))
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
        for id in tick.gone {
            // Usually the container has ended, and the event that says so is on its way. It may be that
            // only the process has by which its network was seen.
            self.add(&id, false);
        }
        Look { host: Some(tick.host), containers: tick.containers }
    }
}

/// Returns a container's group and a process that has its network.
fn find(layout: &Layout, names: &[(String, String)], id: &ContainerId) -> Option<(Group, Process)> {
    names.iter().find_map(|(before, after)| {
        let group = Group::open(layout, &format!("{before}{id}{after}")).ok()?;
        let pids = group.processes().ok()?;
        // An engine inside the container has networks for its own. What was started from outside, the
        // first process before all, is on the container's.
        let mut processes = pids.iter().filter_map(|pid| Process::read(*pid));
        let first = processes.find(|process| !pids.contains(&process.parent))?;
        Some((group, first))
    })
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
