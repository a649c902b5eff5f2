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
    ContainerId, DetailSample, Happening, HostMoment, HostSample, Limit, MemoryCounters, Recording,
    Sample, What, since_epoch,
};
use wharf_stats::{Column, CoreHistory, History, HostHistory, HostUsage, Metric, Usage};

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

    /// Returns the last second of one of so many columns.
    pub fn instant_of(self, column: usize, width: usize) -> Option<DateTime<Utc>> {
        let back = width.checked_sub(column + 1)? as u64;
        let at = (self.end.as_secs() / self.pace).checked_sub(back)?;
        let second = i64::try_from((at + 1) * self.pace - 1).ok()?;
        DateTime::from_timestamp(second, 0)
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
    /// What it used of each core.
    cores: CoreHistory,
    /// What is read as numbers, of each sample.
    readings: Vec<(Duration, Reading)>,
    /// What happened, oldest first; every text is made safe.
    pub happenings: Vec<Happening>,
    /// The oldest sample.
    pub from: Option<Duration>,
    /// The newest sample.
    pub to: Option<Duration>,
}

/// What of a sample is read as numbers beside the charts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// What its memory consists of.
    pub memory: Option<MemoryCounters>,
    /// Its own CPU limit, in billionths of a CPU.
    cpus: Option<Limit>,
    /// How many tasks it may have.
    pids: Option<Limit>,
}

impl Reading {
    fn of(sample: &Sample) -> Self {
        Self {
            memory: sample.memory,
            cpus: sample.cpu.and_then(|cpu| cpu.limit),
            pids: sample.pids.and_then(|pids| pids.limit),
        }
    }

    /// Returns the container's own memory limit, in bytes.
    pub fn memory_limit(&self) -> Option<u64> {
        at(self.memory?.limit?)
    }

    /// Returns its own CPU limit, in per cent of one CPU.
    pub fn cpu_limit(&self) -> Option<f64> {
        Some(as_f64(at(self.cpus?)?) / 1e7)
    }

    /// Returns how many tasks it may have.
    pub fn pids_limit(&self) -> Option<u64> {
        at(self.pids?)
    }
}

fn at(limit: Limit) -> Option<u64> {
    match limit {
        Limit::At(limit) => Some(limit),
        Limit::Unlimited => None,
    }
}

impl Past {
    /// Makes the charts' values of a recording. That takes milliseconds.
    pub fn new(recording: Recording, host_memory: Option<u64>) -> Self {
        let gap = recording.gap();
        let (mut history, mut cores) = (History::with_gap(gap), CoreHistory::default());
        history.look_closely(true);
        let from = recording.samples.first().map(|one| one.sample.at);
        let to = recording.samples.last().map(|one| one.sample.at);
        let mut readings = Vec::with_capacity(recording.samples.len());
        for one in recording.samples {
            if one.clock_set {
                history.break_off();
                cores.break_off();
            }
            cores.push_recorded(one.sample.at, one.sample.started_ms, gap, &one.cores);
            readings.push((one.sample.at, Reading::of(&one.sample)));
            history.push(one.sample, host_memory);
        }
        let mut happenings = recording.happenings;
        for happening in &mut happenings {
            let text = match &mut happening.what {
                What::Event { action, .. } => action,
                What::Probes(probes) => &mut probes.output,
            };
            *text = wharf_logs::sanitize_line(text).into_owned();
        }
        Self { history, cores, readings, happenings, from, to }
    }

    /// Returns what was read at an instant; none of before the record, and of what is newer.
    fn reading(&self, at: Duration) -> Option<Reading> {
        let end = self.readings.partition_point(|(read, _)| *read <= at);
        let known = self.to.is_some_and(|to| at <= to) || end < self.readings.len();
        self.readings.get(end.checked_sub(1)?).map(|(_, reading)| *reading).filter(|_| known)
    }
}

/// What an engine's containers and its host used at another instant.
#[derive(Debug, Default)]
pub struct Then {
    /// What each container used that ran.
    pub containers: HashMap<ContainerId, (Usage, Reading)>,
    /// The host, if it is known.
    host: Option<(HostUsage, HostSample)>,
}

impl Then {
    /// Returns what a host did, and nothing of its containers yet.
    pub fn new(host: Option<HostMoment>) -> Self {
        let host = host
            .map(|moment| (HostUsage::between(moment.before.as_ref(), &moment.now), moment.now));
        Self { containers: HashMap::new(), host }
    }

    /// Returns the memory of the host, in bytes.
    pub fn host_memory(&self) -> Option<u64> {
        self.host.as_ref().and_then(|(_, sample)| sample.memory_total)
    }

    /// Takes in what a container used.
    pub fn add(&mut self, id: ContainerId, usage: Usage, now: &Sample) {
        self.containers.insert(id, (usage, Reading::of(now)));
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
    /// What was used at another instant, while that is looked at, by the places of the engines.
    then: Option<Vec<Then>>,
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
    /// How many samples of it have come.
    samples: u32,
    /// When processes of it were killed for want of memory.
    kills: Vec<Duration>,
}

/// What a container uses of each core, and what else is asked for only of one.
#[derive(Debug)]
struct Cores {
    id: ContainerId,
    details: DetailSample,
    history: CoreHistory,
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
            measured.samples = measured.samples.saturating_add(1);
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

    /// Shows what an engine's containers used at another instant instead of what they use now; of those
    /// of other engines nothing, until that is told, too.
    pub fn show_then(&mut self, host: usize, then: Then) {
        let all = self.then.get_or_insert_default();
        if all.len() <= host {
            all.resize_with(host + 1, Then::default);
        }
        all[host] = then;
    }

    /// Shows what is used now.
    pub fn show_now(&mut self) {
        self.then = None;
    }

    /// Returns the memory of an engine's host, in bytes.
    pub fn host_memory(&self, host: usize) -> Option<u64> {
        let measuring = self.hosts.get(host)?;
        measuring.history.sample().and_then(|sample| sample.memory_total)
    }

    /// Takes in the details of a container, which is the only one whose details are kept.
    pub fn take_details(&mut self, id: &ContainerId, details: DetailSample) {
        let before = self.cores.take().filter(|cores| cores.id == *id);
        let mut history = before.map(|cores| cores.history).unwrap_or_default();
        if let Some(used) = &details.cores {
            let started_ms = self.containers.get(id).and_then(|m| m.history.sample());
            let started_ms = started_ms.map_or(0, |sample| sample.started_ms);
            history.push(self.at, details.at, started_ms, Recording::default().gap(), used);
        }
        self.cores = Some(Cores { id: id.clone(), details, history });
    }

    /// Keeps the memory's kinds of one container only.
    pub fn look_closely(&mut self, id: Option<&ContainerId>) {
        for (known, measured) in &mut self.containers {
            measured.history.look_closely(Some(known) == id);
        }
    }

    /// Returns how many cores' use is known of a container.
    pub fn core_count(&self, id: &ContainerId) -> usize {
        let live = self.live_cores(id).map_or(0, |cores| cores.history.usage().len());
        live.max(self.past(id).map_or(0, |past| past.cores.usage().len()))
    }

    /// Returns what a container uses of each core now, in per cent.
    pub fn core_usage(&self, id: &ContainerId, core: usize) -> Option<f64> {
        *self.live_cores(id)?.history.usage().get(core)?
    }

    fn live_cores(&self, id: &ContainerId) -> Option<&Cores> {
        self.cores.as_ref().filter(|cores| cores.id == *id)
    }

    /// Returns the details of a container that were told last.
    pub fn details(&self, id: &ContainerId) -> Option<&DetailSample> {
        self.live_cores(id).map(|cores| &cores.details)
    }

    /// Returns what a container uses now; none for one that wasn't in the newest samples.
    pub fn now(&self, id: &ContainerId) -> Option<&Usage> {
        if self.then.is_some() {
            return self.then_of(id).map(|(usage, _)| usage);
        }
        let measured = self.containers.get(id)?;
        (measured.seen == self.newest_of(measured.host)).then(|| measured.history.usage())
    }

    fn then_of(&self, id: &ContainerId) -> Option<&(Usage, Reading)> {
        self.then.as_ref()?.iter().find_map(|then| then.containers.get(id))
    }

    /// Returns what was read of a container at an instant, or last; of before what is known, too, what
    /// was read last.
    pub fn reading(&self, id: &ContainerId, at: Option<DateTime<Utc>>) -> Reading {
        if let Some((_, reading)) = self.then_of(id) {
            return *reading;
        }
        let past = self.past(id);
        let then = at.and_then(|at| past?.reading(since_epoch(at)));
        let live = || self.containers.get(id).and_then(|measured| measured.history.sample());
        // The last sample of what has ended says nothing of its memory any more.
        let last = || {
            let mut known = past?.readings.iter().rev().map(|(_, reading)| *reading);
            known.find(|reading| reading.memory.is_some())
        };
        then.or_else(|| live().map(Reading::of)).or_else(last).unwrap_or_default()
    }

    /// Returns what was read of a container at an instant; none where only what was read last is known.
    pub fn reading_at(&self, id: &ContainerId, at: DateTime<Utc>) -> Option<Reading> {
        let then = self.then_of(id).map(|(_, reading)| *reading);
        then.or_else(|| self.past(id)?.reading(since_epoch(at)))
    }

    /// Returns a container's own memory limit, in bytes.
    pub fn memory_limit(&self, id: &ContainerId) -> Option<u64> {
        self.reading(id, None).memory_limit()
    }

    /// Returns a container's own CPU limit in per cent of one CPU.
    pub fn cpu_limit(&self, id: &ContainerId) -> Option<f64> {
        self.reading(id, None).cpu_limit()
    }

    /// Returns whether anything is known of a container's past.
    pub fn knows(&self, id: &ContainerId) -> bool {
        self.containers.contains_key(id) || self.past(id).is_some_and(|past| past.to.is_some())
    }

    /// Returns whether what isn't known of a container by now won't be known: rates need two samples.
    pub fn is_measured(&self, id: &ContainerId) -> bool {
        self.containers.get(id).is_some_and(|m| m.samples > 1)
            || self.past(id).is_some_and(|past| past.to.is_some())
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
        fill(live, || self.past(id).map(|past| of(&past.history)))
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
        let of = |history: &CoreHistory| {
            let columns = history.columns(core, width, length, window.end);
            Some(columns).filter(|columns| !columns.is_empty())
        };
        let live = self.live_cores(id).and_then(|cores| of(&cores.history));
        fill(live, || self.past(id).and_then(|past| of(&past.cores)))
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

    /// Returns what an engine's host uses, and its newest counters; both of the instant that is shown.
    pub fn host(&self, host: usize) -> Option<(&HostUsage, &HostSample)> {
        if let Some(then) = &self.then {
            return then.get(host)?.host.as_ref().map(|(usage, sample)| (usage, sample));
        }
        let measuring = self.hosts.get(host)?;
        Some((measuring.history.usage(), measuring.history.sample()?))
    }
}

/// Returns the columns that are known live, and in their gaps those that were recorded. Where all is known
/// live, what was recorded isn't looked at.
fn fill(live: Option<Vec<Column>>, past: impl FnOnce() -> Option<Vec<Column>>) -> Vec<Column> {
    let whole = live.as_ref().is_some_and(|columns| columns.iter().all(|c| c.avg.is_some()));
    match (live, if whole { None } else { past() }) {
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
