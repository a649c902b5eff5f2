//! Measured values, now and in the past.

use std::collections::HashMap;
use std::time::Duration;

use wharf_backend::SampleBatch;
use wharf_model::{ContainerId, HostSample, Limit, Sample};
use wharf_stats::{Column, History, HostHistory, HostUsage, Metric, Usage};

use crate::format::as_f64;

/// Charts of seconds move in steps of so many: between steps a frame differs from the one before by
/// its newest column only, which is what a slow terminal can take.
const STEP: u64 = 16;

/// Seconds of one column of a chart, from the shortest window to the longest. The last covers what
/// is kept of a day at most.
pub(crate) const PACES: [u64; 4] = [1, 5, 30, 180];

/// The time that a chart shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// When it ends, on the backend's clock.
    end: Duration,
    /// Seconds of a column.
    pub pace: u64,
    /// How many columns lie ahead of the newest sample.
    pub lead: u64,
    /// Whether it ends now, and not where a container's samples have ended.
    pub live: bool,
}

/// What is measured of the containers and the host.
#[derive(Debug, Default)]
pub struct Metrics {
    containers: HashMap<ContainerId, Measured>,
    host: HostHistory,
    /// When the newest samples were taken, on the backend's clock.
    at: Duration,
}

#[derive(Debug, Default)]
struct Measured {
    history: History,
    /// When its newest sample was taken.
    seen: Duration,
}

impl Metrics {
    /// Returns an empty history.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the samples of a tick.
    pub fn take(&mut self, batch: SampleBatch) {
        let newest = batch.containers.iter().map(|(_, s)| s.at);
        let newest = newest.chain(batch.host.iter().map(|h| h.at)).max();
        self.at = newest.unwrap_or(self.at).max(self.at);
        if let Some(host) = batch.host {
            self.host.push(host);
        }
        let host_memory = self.host_sample().and_then(|h| h.memory_total);
        for (id, sample) in batch.containers {
            let measured = self.containers.entry(id).or_default();
            // A container's samples may be a little older than the newest of the tick.
            measured.seen = self.at;
            measured.history.push(sample, host_memory);
        }
    }

    /// Forgets the containers that aren't kept.
    pub fn retain(&mut self, keep: impl Fn(&ContainerId) -> bool) {
        self.containers.retain(|id, _| keep(id));
    }

    /// Returns what a container uses now; none for one that wasn't in the newest samples.
    pub fn now(&self, id: &ContainerId) -> Option<&Usage> {
        let measured = self.containers.get(id)?;
        (measured.seen == self.at).then(|| measured.history.usage())
    }

    /// Returns a container's newest counters.
    pub fn sample(&self, id: &ContainerId) -> Option<&Sample> {
        self.containers.get(id)?.history.sample()
    }

    /// Returns a container's own memory limit.
    pub fn memory_limit(&self, id: &ContainerId) -> Option<u64> {
        match self.sample(id)?.memory?.limit? {
            Limit::At(limit) => Some(limit),
            Limit::Unlimited => None,
        }
    }

    /// Returns a container's own CPU limit in per cent of one CPU.
    pub fn cpu_limit(&self, id: &ContainerId) -> Option<f64> {
        match self.sample(id)?.cpu?.limit? {
            Limit::At(nano_cpus) => Some(as_f64(nano_cpus) / 1e7),
            Limit::Unlimited => None,
        }
    }

    /// Returns whether anything is known of a container's past.
    pub fn knows(&self, id: &ContainerId) -> bool {
        self.containers.contains_key(id)
    }

    /// Returns whether a value is known of a container.
    pub fn has(&self, id: &ContainerId, metric: Metric) -> bool {
        self.containers.get(id).is_some_and(|m| m.history.has(metric))
    }

    /// Returns the time that a container's charts show: up to now, or up to its last sample if it
    /// doesn't run any more. `pace` is how many seconds a column has.
    pub fn window(&self, id: &ContainerId, pace: u64) -> Window {
        let seen = self.containers.get(id).map_or(self.at, |m| m.seen);
        let live = seen == self.at;
        // What has ended doesn't move, and may as well end at the edge.
        let step = match (live, pace) {
            (false, _) => 1,
            (true, 1) => STEP,
            (true, _) => 2,
        };
        let at = seen.as_secs() / pace;
        let lead = step - 1 - at % step;
        Window { end: Duration::from_secs((at + lead + 1) * pace - 1), pace, lead, live }
    }

    /// Returns so many columns of a chart, oldest first. The chart moves in steps so that the
    /// window's lead is still empty.
    pub fn columns(
        &self,
        id: &ContainerId,
        metric: Metric,
        width: usize,
        window: Window,
    ) -> Vec<Column> {
        let Some(measured) = self.containers.get(id) else { return Vec::new() };
        let length = Duration::from_secs(width as u64 * window.pace);
        measured.history.columns(metric, width, length, window.end)
    }

    /// Returns what the host uses.
    pub fn host(&self) -> &HostUsage {
        self.host.usage()
    }

    /// Returns the host's newest counters.
    pub fn host_sample(&self) -> Option<&HostSample> {
        self.host.sample()
    }
}

/// Returns received and sent together.
pub(crate) fn network(usage: &Usage) -> Option<f64> {
    sum(usage.net_rx, usage.net_tx)
}

/// Returns read and written together.
pub(crate) fn disk(usage: &Usage) -> Option<f64> {
    sum(usage.block_read, usage.block_write)
}

fn sum(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (None, None) => None,
        (a, b) => Some(a.unwrap_or(0.0) + b.unwrap_or(0.0)),
    }
}

#[cfg(test)]
mod tests {
    use wharf_backend::fake::Fake;
    use wharf_model::Status;

    use super::*;

    #[test]
    fn a_container_that_stops_has_a_past_but_no_present() {
        let fake = Fake::demo();
        let mut metrics = Metrics::new();
        for tick in 1..5 {
            metrics.take(fake.batch(tick));
        }
        let mut web = wharf_backend::fake::container(1, "web-1", "nginx", Status::Running);
        let id = web.id.clone();
        assert!(metrics.now(&id).unwrap().cpu_percent.is_some());
        web = wharf_backend::fake::container(1, "web-1", "nginx", Status::Exited);
        fake.put(web);
        metrics.take(fake.batch(5));
        assert_eq!(metrics.now(&id), None);
        // Its charts end with it.
        let window = metrics.window(&id, 1);
        assert!(!window.live);
        let columns = metrics.columns(&id, Metric::Memory, 32, window);
        assert_eq!(columns.iter().filter(|c| c.avg.is_some()).count(), 4);
        assert!(columns[28].avg.is_some() && columns[31].avg.is_some());
        // Those of another go on.
        let db = wharf_backend::fake::container(2, "db-1", "", Status::Running).id;
        let window = metrics.window(&db, 1);
        assert_eq!((window.live, window.lead), (true, 10));
        let columns = metrics.columns(&db, Metric::Memory, 32, window);
        assert!(
            columns[17].avg.is_some() && columns[21].avg.is_some() && columns[22].avg.is_none()
        );
        let window = metrics.window(&db, 5);
        let columns = metrics.columns(&db, Metric::Memory, 32, window);
        assert_eq!(columns.iter().filter(|c| c.avg.is_some()).count(), 2, "{columns:?}");
        metrics.retain(|_| false);
        assert!(!metrics.knows(&id));
    }
}
