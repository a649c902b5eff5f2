//! Measured values, now and in the past.
//!
//! All times are since 1970. What this dashboard has seen itself is by the second; what was recorded
//! before, or while it looked elsewhere, is asked of the engine for the containers whose charts are in
//! sight ([`Past`]), and fills the gaps.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use wharf_backend::SampleBatch;
use wharf_model::{
    ContainerId, DetailSample, Happening, HostSample, Limit, Recording, Sample, What, since_epoch,
};
use wharf_stats::{Column, History, HostHistory, HostUsage, Metric, Series, Usage};

use crate::format::as_f64;

/// Charts move in steps of so many seconds at least: between steps a frame differs from the one before
/// by its newest column only, which is what a slow terminal can take.
const STEP: u64 = 16;

/// The lengths that charts can have, in seconds. A column has whole seconds, so that a chart may show a
/// little more.
pub(crate) const LENGTHS: [u64; 8] = [60, 300, 900, 3600, 10_800, 21_600, 43_200, 86_400];

/// Of how many containers the past is kept: those that were looked at last.
const PASTS: usize = 4;

/// How many kills for want of memory are kept in mind.
const KILLS: usize = 32;

/// From this difference on between the samples' clock and the wall's, one of them was set or stood
/// still.
const DRIFT: Duration = Duration::from_secs(5);

/// The time that a chart shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// When it ends.
    end: Duration,
    /// Seconds of a column.
    pub pace: u64,
    /// How many columns lie ahead of the newest sample.
    pub lead: u64,
    /// Whether it ends now, and not where a container's samples have ended.
    pub live: bool,
}

impl Window {
    /// Returns the window of such columns whose last one has an instant in it.
    pub fn until(end: DateTime<Utc>, pace: u64) -> Self {
        let at = since_epoch(end).as_secs() / pace;
        Self { end: Duration::from_secs((at + 1) * pace - 1), pace, lead: 0, live: false }
    }

    /// Returns which of so many columns an instant lies in.
    pub fn column_of(self, at: DateTime<Utc>, width: usize) -> Option<usize> {
        let back =
            (self.end.as_secs() / self.pace).checked_sub(since_epoch(at).as_secs() / self.pace)?;
        width.checked_sub(1)?.checked_sub(usize::try_from(back).ok()?)
    }
}

/// What was recorded of a container.
#[derive(Debug, Default)]
pub struct Past {
    /// Its usage, details included.
    pub history: History,
    /// What happened, oldest first; every text is made safe.
    pub happenings: Vec<Happening>,
    /// The oldest sample.
    pub from: Option<Duration>,
    /// The newest sample.
    pub to: Option<Duration>,
}

impl Past {
    /// Makes the charts' values of a recording. That takes milliseconds.
    pub fn new(recording: Recording, host_memory: Option<u64>) -> Self {
        let mut history = History::new();
        history.look_closely(true);
        let from = recording.samples.first().map(|sample| sample.at);
        let to = recording.samples.last().map(|sample| sample.at);
        for sample in recording.samples {
            history.push(sample, host_memory);
        }
        let mut happenings = recording.happenings;
        for happening in &mut happenings {
            let text = match &mut happening.what {
                What::Event { action, .. } => action,
                What::Probes(probes) => &mut probes.output,
            };
            *text = wharf_logs::sanitize_line(text).into_owned();
        }
        Self { history, happenings, from, to }
    }
}

/// What is measured of the containers and the host.
#[derive(Debug, Default)]
pub struct Metrics {
    containers: HashMap<ContainerId, Measured>,
    /// What is known of each engine's host.
    hosts: Vec<Measuring>,
    /// When the newest samples of any of them were taken.
    at: Duration,
    /// What is recorded, the one that was asked for last at the end.
    pasts: Vec<(ContainerId, Past)>,
    /// What was used at another instant, while that is looked at.
    then: Option<HashMap<ContainerId, Usage>>,
    /// The cores of the container that is looked at closely.
    cores: Option<Cores>,
}

/// An engine whose samples come.
#[derive(Debug, Default)]
struct Measuring {
    history: HostHistory,
    /// When its newest samples were taken.
    at: Duration,
    /// The time since 1970 at the zero of its samples' clock.
    zero: Option<Duration>,
}

#[derive(Debug, Default)]
struct Measured {
    history: History,
    /// Its engine, by its place.
    host: usize,
    /// When its newest sample was taken.
    seen: Duration,
    /// When its newest sample was taken by its engine's clock, and of which of its runs it is.
    told: Option<(Duration, i64)>,
    /// When processes of it were killed for want of memory.
    kills: Vec<Duration>,
}

/// What a container uses of each core, and what else is asked for only of one.
#[derive(Debug)]
pub struct Cores {
    id: ContainerId,
    before: DetailSample,
    /// Per cent of each.
    pub usage: Vec<Option<f64>>,
    /// The same over time.
    series: Vec<Series>,
}

impl Measuring {
    /// Returns the time since 1970 at the zero of the samples' clock. A host that slept, or a clock that
    /// was put forward, makes a gap; time never goes back here.
    fn zero(&mut self, newest: Duration, now: DateTime<Utc>) -> Duration {
        let now = since_epoch(now);
        let wanted = now.saturating_sub(newest);
        let zero = match self.zero {
            Some(zero) if wanted < zero + DRIFT => zero,
            _ => wanted,
        };
        self.zero = Some(zero);
        zero
    }
}

impl Metrics {
    /// Returns an empty history.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the samples of a tick of an engine, that came at `now`.
    pub fn take(&mut self, host: usize, batch: SampleBatch, now: DateTime<Utc>) {
        let newest = batch.containers.iter().map(|(_, s)| s.at);
        let Some(newest) = newest.chain(batch.host.iter().map(|h| h.at)).max() else { return };
        if self.hosts.len() <= host {
            self.hosts.resize_with(host + 1, Measuring::default);
        }
        let measuring = &mut self.hosts[host];
        let zero = measuring.zero(newest, now);
        measuring.at = (newest + zero).max(measuring.at);
        let at = measuring.at;
        self.at = self.at.max(at);
        if let Some(mut sample) = batch.host {
            sample.at += zero;
            measuring.history.push(sample);
        }
        let host_memory = self.host_memory(host);
        for (id, mut sample) in batch.containers {
            let measured = self.containers.entry(id).or_default();
            // A container's samples may be a little older than the newest of the tick.
            measured.seen = at;
            measured.host = host;
            // An engine that measures more rarely than it is asked says the same again.
            let told = (sample.at, sample.started_ms);
            if measured.told.replace(told) == Some(told) {
                continue;
            }
            sample.at += zero;
            measured.history.push(sample, host_memory);
            if measured.history.usage().oom_kills.is_some_and(|kills| kills > 0) {
                measured.kills.push(at);
                let old = measured.kills.len().saturating_sub(KILLS);
                measured.kills.drain(..old);
            }
        }
    }

    /// Forgets the containers that aren't kept.
    pub fn retain(&mut self, keep: impl Fn(&ContainerId) -> bool) {
        self.containers.retain(|id, _| keep(id));
        self.pasts.retain(|(id, _)| keep(id));
    }

    /// Takes in what is recorded of a container.
    pub fn take_past(&mut self, id: ContainerId, past: Past) {
        self.pasts.retain(|(known, _)| *known != id);
        self.pasts.push((id, past));
        let old = self.pasts.len().saturating_sub(PASTS);
        self.pasts.drain(..old);
    }

    /// Returns what is recorded of a container, as far as it is known here.
    pub fn past(&self, id: &ContainerId) -> Option<&Past> {
        self.pasts.iter().find(|(known, _)| known == id).map(|(_, past)| past)
    }

    /// Shows what was used at another instant instead of what is used now, or now again.
    pub fn show_then(&mut self, then: Option<HashMap<ContainerId, Usage>>) {
        self.then = then;
    }

    /// Returns the memory of an engine's host, in bytes.
    pub fn host_memory(&self, host: usize) -> Option<u64> {
        self.host_sample(host).and_then(|sample| sample.memory_total)
    }

    /// Takes in the details of a container, which is the only one whose details are kept.
    pub fn take_details(&mut self, id: &ContainerId, details: DetailSample) {
        let before = self.cores.take().filter(|cores| cores.id == *id);
        let count = details.cores.as_ref().map_or(0, Vec::len);
        let (mut series, usage, since) = match before {
            Some(old) => {
                let wall = details.at.saturating_sub(old.before.at).as_secs_f64();
                let used = |n: usize| {
                    let of = |sample: &DetailSample| sample.cores.as_ref()?.get(n).copied();
                    let spent = of(&details)?.checked_sub(of(&old.before)?)?;
                    (wall > 0.0).then(|| (as_f64(spent) / 1e7 / wall).min(100.0))
                };
                let usage: Vec<_> = (0..count).map(used).collect();
                let since = details.at.saturating_sub(old.before.at);
                (old.series, usage, Some(self.at.saturating_sub(since)))
            }
            None => (Vec::new(), vec![None; count], None),
        };
        series.resize_with(count, Series::new);
        for (series, value) in series.iter_mut().zip(&usage) {
            series.push(since, self.at, value.map(|value| value as f32));
        }
        self.cores = Some(Cores { id: id.clone(), before: details, usage, series });
    }

    /// Keeps the memory's kinds of one container only.
    pub fn look_closely(&mut self, id: Option<&ContainerId>) {
        for (known, measured) in &mut self.containers {
            measured.history.look_closely(Some(known) == id);
        }
    }

    /// Returns the cores of a container, if they are known.
    pub fn cores(&self, id: &ContainerId) -> Option<&Cores> {
        self.cores.as_ref().filter(|cores| cores.id == *id)
    }

    /// Returns the details of a container that were told last.
    pub fn details(&self, id: &ContainerId) -> Option<&DetailSample> {
        self.cores(id).map(|cores| &cores.before)
    }

    /// Returns what a container uses now; none for one that wasn't in the newest samples.
    pub fn now(&self, id: &ContainerId) -> Option<&Usage> {
        if let Some(then) = &self.then {
            return then.get(id);
        }
        let measured = self.containers.get(id)?;
        (measured.seen == self.newest_of(measured.host)).then(|| measured.history.usage())
    }

    /// Returns a container's newest counters.
    pub fn sample(&self, id: &ContainerId) -> Option<&Sample> {
        let live = self.containers.get(id).and_then(|measured| measured.history.sample());
        live.or_else(|| self.past(id)?.history.sample())
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

    /// Returns how many tasks a container may have.
    pub fn pids_limit(&self, id: &ContainerId) -> Option<u64> {
        match self.sample(id)?.pids?.limit? {
            Limit::At(limit) => Some(limit),
            Limit::Unlimited => None,
        }
    }

    /// Returns whether anything is known of a container's past.
    pub fn knows(&self, id: &ContainerId) -> bool {
        self.containers.contains_key(id) || self.past(id).is_some_and(|past| past.to.is_some())
    }

    /// Returns whether a value is known of a container.
    pub fn has(&self, id: &ContainerId, metric: Metric) -> bool {
        self.containers.get(id).is_some_and(|m| m.history.has(metric))
            || self.past(id).is_some_and(|past| past.history.has(metric))
    }

    /// Returns when processes of a container were killed for want of memory, as far as is known.
    pub fn kills(&self, id: &ContainerId) -> Vec<Duration> {
        let live = self.containers.get(id).map(|m| m.kills.as_slice()).unwrap_or_default();
        let told = self.past(id).map(|past| past.happenings.as_slice()).unwrap_or_default();
        let told = told.iter().filter_map(|one| match &one.what {
            What::Event { action, .. } if action == "oom" => Some(since_epoch(one.at)),
            _ => None,
        });
        live.iter().copied().chain(told).collect()
    }

    /// Returns the time that a container's charts show: up to now, or up to its last sample if it
    /// doesn't run any more. `pace` is how many seconds a column has.
    pub fn window(&self, id: &ContainerId, pace: u64) -> Window {
        let live = self.containers.get(id).map(|m| m.seen);
        let recorded = self.past(id).and_then(|past| past.to);
        let newest = self.newest_for(id);
        let seen = live.max(recorded).unwrap_or(newest);
        let live = seen >= newest;
        // What has ended doesn't move, and may as well end at the edge.
        let step = if live { (STEP / pace).max(2) } else { 1 };
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
        let length = Duration::from_secs(width as u64 * window.pace);
        let of = |history: &History| history.columns(metric, width, length, window.end);
        let live = self.containers.get(id).map(|measured| of(&measured.history));
        // Where all is known here, what was recorded needn't be looked at.
        let whole = live.as_ref().is_some_and(|columns| columns.iter().all(|c| c.avg.is_some()));
        let past = self.past(id).filter(|_| !whole).map(|past| of(&past.history));
        match (live, past) {
            (Some(mut live), Some(past)) => {
                for (column, past) in live.iter_mut().zip(past) {
                    if column.avg.is_none() {
                        *column = past;
                    }
                }
                live
            }
            (columns, None) | (None, columns) => columns.unwrap_or_default(),
        }
    }

    /// Returns the columns of one core.
    pub fn core_columns(
        &self,
        id: &ContainerId,
        core: usize,
        width: usize,
        window: Window,
    ) -> Vec<Column> {
        let length = Duration::from_secs(width as u64 * window.pace);
        let series = self.cores(id).and_then(|cores| cores.series.get(core));
        series.map(|series| series.columns(width, length, window.end)).unwrap_or_default()
    }

    /// Returns the average of a value over a time up to now, or up to an instant.
    pub fn average(
        &self,
        id: &ContainerId,
        metric: Metric,
        seconds: u64,
        until: Option<DateTime<Utc>>,
    ) -> Option<f64> {
        let end = until.map_or(self.newest_for(id), since_epoch);
        let window = Window { end, pace: seconds, lead: 0, live: true };
        let column = self.columns(id, metric, 1, window).first()?.avg;
        // A column lies at a multiple of its length: the one that has just begun knows little.
        let before = Window { end: end.saturating_sub(Duration::from_secs(seconds)), ..window };
        let before = self.columns(id, metric, 1, before).first().and_then(|c| c.avg);
        let share = (end.as_secs() % seconds + 1) as f64 / seconds as f64;
        match (before, column) {
            (Some(a), Some(b)) => Some(f64::from(a) * (1.0 - share) + f64::from(b) * share),
            (a, b) => b.or(a).map(f64::from),
        }
    }

    /// Returns the greatest value over a time up to an instant.
    pub fn peak(
        &self,
        id: &ContainerId,
        metric: Metric,
        seconds: u64,
        until: DateTime<Utc>,
    ) -> Option<f64> {
        let columns = self.columns(id, metric, 60, Window::until(until, seconds.div_ceil(60)));
        columns.iter().filter_map(|c| c.max).reduce(f32::max).map(f64::from)
    }

    /// Returns when the newest samples were taken.
    pub fn newest(&self) -> Duration {
        self.at
    }

    /// Returns when the newest samples of an engine were taken.
    fn newest_of(&self, host: usize) -> Duration {
        self.hosts.get(host).map_or(self.at, |measuring| measuring.at)
    }

    /// Returns when the newest samples of a container's engine were taken.
    fn newest_for(&self, id: &ContainerId) -> Duration {
        self.containers.get(id).map_or(self.at, |measured| self.newest_of(measured.host))
    }

    /// Returns what an engine's host uses.
    pub fn host(&self, host: usize) -> Option<&HostUsage> {
        self.hosts.get(host).map(|measuring| measuring.history.usage())
    }

    /// Returns the newest counters of an engine's host.
    pub fn host_sample(&self, host: usize) -> Option<&HostSample> {
        self.hosts.get(host)?.history.sample()
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
#[path = "metrics_tests.rs"]
mod tests;
