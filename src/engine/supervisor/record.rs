//! The supervisor as recorder: what its container used and what happened to it, in a file that those
//! who look at the past read (`wharf_stats::record`).
//!
//! The file is opened once the container has lived for a second, so that what ends at once never
//! pays; what happened until then is kept in mind. A failure of the disk is nobody's concern but the
//! record's.
//!
//! The host's counters are recorded by one supervisor of all, the one that has the lock of that record.
//! When it ends, another notices that nobody writes there any more.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, Utc};
use wharf_model::{Happening, HealthStatus, ProbeResult, Probes, What, is_passing, since_epoch};
use wharf_stats::record::{BUDGET, Recorder, STEP, Shape, make_room};
use wharf_stats::{HostMeter, Meter, counted_cores};

use super::launch::Container;
use super::run::Supervisor;
use crate::Paths;
use crate::state::Happened;

/// The age of a run at its first sample. Until the usual time between samples is reached, each is taken
/// at twice the age of the one before.
const FIRST: Duration = Duration::from_secs(1);

/// The time between samples while nothing runs: there is nothing to be seen between them.
const RESTING: Duration = Duration::from_secs(30);

/// What is kept in mind until there is a file.
const WAITING: usize = 16;

/// How long probes with the same outcome are one record.
const TOGETHER: chrono::TimeDelta = chrono::TimeDelta::minutes(30);

/// After which time a file that couldn't be opened is tried again.
const AGAIN: Duration = Duration::from_secs(180);

/// After which time without a sample the host's record is nobody's.
const ABANDONED: Duration = Duration::from_secs(25);

/// The record of one container.
pub(super) struct Record {
    path: PathBuf,
    switch: PathBuf,
    meter: Option<Meter>,
    recorder: Option<Recorder>,
    /// The host's record, if that is this supervisor's to write.
    host: Option<(HostMeter, Recorder)>,
    /// When the run began.
    begun: Instant,
    /// When the next sample is to be taken.
    due: Instant,
    /// When to try again to open the file.
    retry: Option<Instant>,
    waiting: Vec<Happening>,
    /// The probes that the last record is about, as long as nothing else happens.
    probes: Option<(DateTime<Utc>, Probes)>,
}

impl Record {
    /// Returns the record of a container that has just been started.
    pub(super) fn new(container: &Container) -> Self {
        let id = &container.record.id;
        let now = Instant::now();
        let mut record = Self {
            path: container.paths.record(id),
            switch: container.paths.recorder(),
            meter: None,
            recorder: None,
            host: None,
            begun: now,
            due: now + FIRST,
            retry: None,
            waiting: Vec::new(),
            probes: None,
        };
        record.started(container);
        record
    }

    /// Notes that a run begins.
    pub(super) fn started(&mut self, container: &Container) {
        let state = &container.record.observed.state;
        let at = state.started_at.unwrap_or_else(Utc::now);
        self.happened(Happening {
            at,
            what: What::Event { action: "start".to_owned(), exit_code: None },
        });
        self.meter = None;
        self.begun = Instant::now();
        self.due = self.begun + FIRST;
    }

    /// Returns when the next sample is to be taken.
    pub(super) fn next_deadline(&self) -> Instant {
        self.due
    }

    /// Takes a sample if it is time. Time that a suspended host missed is not made up for.
    fn take(&mut self, container: &Container, now: Instant) {
        if now < self.due {
            return;
        }
        let age = now.duration_since(self.begun);
        self.sample(container, now);
        self.sample_host(&container.paths);
        let rests = self.meter.as_ref().is_some_and(Meter::is_quiet) && self.host.is_none();
        self.due = match age < STEP {
            true => now + age.max(FIRST),
            false => together(now, if rests { RESTING } else { STEP }),
        };
    }

    /// Records the host's counters, if nobody else does.
    fn sample_host(&mut self, paths: &Paths) {
        if is_off(&self.switch) {
            self.host = None;
            return;
        }
        if self.host.as_ref().is_some_and(|(_, recorder)| recorder.is_removed()) {
            self.host = None;
        }
        let path = paths.host_record();
        if self.host.is_none() && is_abandoned(&path) {
            // Whoever comes first has it.
            let recorder = open(&path, Shape::new(0), paths).ok();
            self.host = recorder.map(|recorder| (HostMeter::open(paths.root()), recorder));
        }
        if let Some((meter, recorder)) = &mut self.host {
            // What a full disk doesn't take isn't recorded.
            let _ = recorder.host(meter.read(since_epoch(Utc::now())), up());
        }
    }

    /// Takes a sample; of a container that has ended only if it was measured before: its first process
    /// is nobody any more.
    fn sample(&mut self, container: &Container, now: Instant) {
        if is_off(&self.switch) {
            self.recorder = None;
            self.waiting.clear();
            return;
        }
        self.open(container, now);
        let Some(recorder) = &mut self.recorder else { return };
        if self.meter.is_none() && container.record.observed.state.status.is_alive() {
            let state = &container.record.observed.state;
            let started = state.started_at.map_or(0, |at| at.timestamp_millis());
            self.meter = Meter::open(&container.group, container.init.pid, started).ok();
        }
        let sample = self.meter.as_mut().and_then(|meter| meter.read(since_epoch(Utc::now())));
        if let Some(mut sample) = sample {
            if !container.record.observed.state.status.is_alive() {
                // What nobody uses any more says nothing of the end; what was counted does.
                (sample.memory, sample.pids) = (None, None);
            }
            let cores = self.meter.as_ref().map_or(&[][..], Meter::cores);
            // What a full disk doesn't take isn't recorded.
            let _ = recorder.sample(sample, cores, up());
        }
    }

    fn open(&mut self, container: &Container, now: Instant) {
        if self.recorder.as_ref().is_some_and(Recorder::is_removed) {
            self.recorder = None;
        }
        if self.recorder.is_some() || self.retry.is_some_and(|at| now < at) {
            return;
        }
        let shape = Shape::new(counted_cores(&container.group));
        match open(&self.path, shape, &container.paths) {
            Ok(recorder) => self.recorder = Some(recorder),
            // That is over in a moment.
            Err(cause) if cause.kind() == ErrorKind::WouldBlock => {}
            Err(_) => self.retry = Some(now + AGAIN),
        }
        if self.recorder.is_some() {
            for happening in std::mem::take(&mut self.waiting) {
                self.happened(happening);
            }
        }
    }

    fn happened(&mut self, happening: Happening) {
        self.probes = None;
        match &mut self.recorder {
            Some(recorder) => {
                let _ = recorder.happened(happening);
            }
            None if self.waiting.len() < WAITING => self.waiting.push(happening),
            // What came first says how it began.
            None => {}
        }
    }

    /// Notes the events that are stored.
    pub(super) fn events(&mut self, events: &[Happened]) {
        for (action, attributes) in events {
            // Those of probes are told by the probes, signals where they are sent; what else passes, by
            // nobody.
            if is_passing(action) || action == "kill" {
                continue;
            }
            let code = attributes.iter().find(|(name, _)| *name == "exitCode");
            let exit_code = code.and_then(|(_, code)| code.parse().ok());
            let what = What::Event { action: action.clone(), exit_code };
            self.happened(Happening { at: Utc::now(), what });
        }
    }

    /// Notes a signal that somebody sends by the engine: who looks at how the container ended wants to
    /// know whether it was asked to.
    pub(super) fn signalled(&mut self, number: i32) {
        let action = format!("kill (signal {number})");
        let what = What::Event { action, exit_code: None };
        self.happened(Happening { at: Utc::now(), what });
    }

    /// Notes a probe, after which the verdict is this one.
    pub(super) fn probed(&mut self, result: &ProbeResult, status: HealthStatus, streak: u32) {
        let took = (result.end - result.start).to_std().unwrap_or_default();
        let text: String = result.output.chars().take(96).collect();
        let known = self.probes.take().filter(|(begun, probes)| {
            probes.exit_code == result.exit_code
                && probes.status == status
                && result.end - *begun < TOGETHER
                // Not over a clock that was set back.
                && result.end >= probes.until
        });
        let (begun, probes) = match known {
            Some((begun, before)) => {
                let probes = Probes {
                    until: result.end,
                    count: before.count + 1,
                    streak,
                    last: took,
                    longest: before.longest.max(took),
                    output: text,
                    ..before
                };
                if let Some(recorder) = &mut self.recorder {
                    let what = What::Probes(probes.clone());
                    let _ = recorder.went_on(Happening { at: begun, what });
                } else if let Some(last) = self.waiting.last_mut()
                    && matches!(last.what, What::Probes(_))
                {
                    last.what = What::Probes(probes.clone());
                }
                (begun, probes)
            }
            None => {
                let probes = Probes {
                    until: result.end,
                    count: 1,
                    exit_code: result.exit_code,
                    status,
                    streak,
                    last: took,
                    longest: took,
                    output: text,
                };
                let what = What::Probes(probes.clone());
                self.happened(Happening { at: result.start, what });
                (result.start, probes)
            }
        };
        self.probes = Some((begun, probes));
    }

    /// Records how the container has ended, while its counters are still there. What nobody can look
    /// at later isn't recorded.
    pub(super) fn end(&mut self, container: &Container) {
        if container.record.spec.host.auto_remove {
            return;
        }
        self.retry = None;
        self.sample(container, Instant::now());
        self.meter = None;
        // While it waits to be started again, somebody else sees to the host.
        self.host = None;
    }
}

impl Supervisor {
    /// Takes a sample for the record, if it is time.
    pub(super) fn record_in_time(&mut self, now: Instant) {
        self.recording.take(&self.container, now);
    }
}

/// Returns whether nothing is to be recorded.
fn is_off(switch: &Path) -> bool {
    rustix::fs::access(switch, rustix::fs::Access::EXISTS).is_ok()
}

/// Returns the instant after this time, give or take half of it, at which every supervisor of the host
/// takes its samples. What a wakeup costs is mostly what the processor has to fetch again after it has
/// done other things: who comes right after another one finds the kernel's and the supervisor's code in
/// its caches.
fn together(now: Instant, step: Duration) -> Instant {
    let clock = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let clock = Duration::try_from(clock).unwrap_or_default();
    now + until_together(clock, step)
}

/// Returns the time from this one of the monotonic clock until the multiple of `step` that is nearest to
/// one step later.
fn until_together(clock: Duration, step: Duration) -> Duration {
    let past = Duration::from_nanos(
        u64::try_from(clock.as_nanos() % step.as_nanos().max(1)).unwrap_or_default(),
    );
    if past * 2 < step { step - past } else { step * 2 - past }
}

/// Returns whether nobody has written to the host's record lately.
fn is_abandoned(path: &Path) -> bool {
    let Ok(about) = path.metadata() else { return true };
    let since = about.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    // What was written in times to come was written by a clock that was set.
    since.is_none_or(|since| since > ABANDONED)
}

/// Returns the time since the boot.
fn up() -> Duration {
    let clock = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(clock).unwrap_or_default()
}

/// Opens a record, if there is room for it.
///
/// # Errors
/// [`ErrorKind::WouldBlock`] while somebody else opens one, or writes this one.
fn open(path: &Path, wanted: Shape, paths: &Paths) -> std::io::Result<Recorder> {
    let known = match Recorder::open(path, None) {
        Ok(recorder) => Some(recorder),
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => None,
        Err(cause) => return Err(cause),
    };
    let wanted = known.as_ref().map_or(wanted, Recorder::shape);
    let folder = paths.containers();
    // Two at once would count on the same room. Nobody waits: there is a next time.
    let lock = File::open(&folder)?;
    lock.try_lock()?;
    let others = std::fs::read_dir(&folder)?.flatten().map(|folder| folder.path().join("record"));
    let others = others.chain([paths.host_record()]).filter(|other| other != path);
    let room = make_room(others, wanted, BUDGET, SystemTime::now())?;
    match (known, room.ok_or(ErrorKind::StorageFull)?) {
        (Some(recorder), room) if room == wanted => Ok(recorder),
        (Some(recorder), room) => {
            // It rested, and others have taken what it would need now.
            drop(recorder);
            std::fs::remove_file(path)?;
            Recorder::open(path, Some(room))
        }
        (None, room) => Recorder::open(path, Some(room)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_samples_are_taken_at_the_same_instants() {
        let after = |tenths: u64| until_together(Duration::from_millis(tenths * 100), STEP);
        let tenths = |tenths: u64| Duration::from_millis(tenths * 100);
        assert_eq!(after(7_000), STEP, "on the instant");
        // A timer is never early, and a little late.
        assert_eq!(after(7_001), tenths(99));
        assert_eq!(after(7_049), tenths(51));
        assert_eq!(after(7_050), tenths(150));
        assert_eq!(after(7_099), tenths(101));
        let rested = until_together(Duration::from_secs(7_010), RESTING);
        assert_eq!(rested, Duration::from_secs(40), "to an instant that others have, too");
    }
}
