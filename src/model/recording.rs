//! What the recorder has kept of a container's past.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::{ContainerId, HealthStatus, HostSample, Sample, Status};

/// Something that happened to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// When; of probes, when the first of them began.
    pub at: DateTime<Utc>,
    /// What.
    pub what: What,
}

/// What can happen to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Docker's action: `start`, `die`, `oom`, `health_status: unhealthy`, …
    Event {
        /// The action.
        action: String,
        /// The exit code of a container that has ended.
        exit_code: Option<i32>,
    },
    /// Health probes one after the other with the same outcome.
    Probes(Probes),
}

/// Health probes with the same outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probes {
    /// When the last of them ended.
    pub until: DateTime<Utc>,
    /// How many.
    pub count: u32,
    /// What they exited with; -1 for one that didn't run to its end.
    pub exit_code: i32,
    /// The verdict after the last of them.
    pub status: HealthStatus,
    /// How many in a row had failed then.
    pub streak: u32,
    /// How long the last one took.
    pub last: Duration,
    /// How long the longest took.
    pub longest: Duration,
    /// How the last one's output begins.
    pub output: String,
}

impl Probes {
    /// Returns how many of them had ended at an instant, when the first began at `begun`: only both
    /// ends are recorded, and between them they are evenly spread.
    pub fn ended_at(&self, begun: DateTime<Utc>, at: DateTime<Utc>) -> u32 {
        if at >= self.until {
            // Of a clock that was set back meanwhile both ends say little.
            return if at < begun { 0 } else { self.count };
        }
        let first = begun + chrono::TimeDelta::from_std(self.last).unwrap_or_default();
        let (since, all) = (at - first, self.until - first);
        let steps = i64::from(self.count.saturating_sub(1));
        if since < chrono::TimeDelta::zero() || steps == 0 {
            return 0;
        }
        let ended = since.num_milliseconds() * steps / all.num_milliseconds().max(1) + 1;
        u32::try_from(ended.min(steps)).unwrap_or(0)
    }
}

/// Counters as they were recorded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recorded {
    /// The counters. Their [`Sample::at`] is the time since 1970.
    pub sample: Sample,
    /// What was used of each CPU of the host since the start, in units of [`CORE_UNIT`]; a count
    /// that has reached the end of its width begins anew. Empty where the kernel doesn't tell.
    pub cores: Vec<u32>,
    /// Whether the clock was set between the sample before and this one: how much time lies between
    /// them isn't known then.
    pub clock_set: bool,
}

impl From<Sample> for Recorded {
    fn from(sample: Sample) -> Self {
        Self { sample, ..Self::default() }
    }
}

/// The unit of the use of a CPU in a recording.
pub const CORE_UNIT: Duration = Duration::from_micros(100);

/// The longest time between two samples of an undivided record.
pub const LONGEST_STEP: Duration = Duration::from_secs(180);

/// All that is recorded of a container, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// Counters. They are close together lately, and further apart the older they are.
    pub samples: Vec<Recorded>,
    /// What happened.
    pub happenings: Vec<Happening>,
    /// The longest time between two samples while the container runs.
    pub step: Duration,
}

impl Default for Recording {
    fn default() -> Self {
        Self { samples: Vec::new(), happenings: Vec::new(), step: LONGEST_STEP }
    }
}

/// The host's counters at an instant of the past, and those before, unless the clock was set between
/// them. Their times are since 1970.
#[derive(Clone, Debug, PartialEq)]
pub struct HostMoment {
    /// Those before.
    pub before: Option<HostSample>,
    /// The newest that aren't after the instant.
    pub now: HostSample,
}

/// What is recorded of an engine up to an instant, cut down to what tells how it was then.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moment {
    /// Its containers.
    pub containers: Vec<(ContainerId, Recording)>,
    /// Its host; none where nobody recorded it.
    pub host: Option<HostMoment>,
}

impl Recording {
    /// Returns the time from which on what lies between two samples isn't drawn, and isn't told.
    pub fn gap(&self) -> Duration {
        self.step * 2 + Duration::from_secs(40)
    }

    /// Returns the newest sample that isn't after an instant, and the one before it, if a rate can be
    /// made of both; none where nothing is recorded.
    pub fn samples_at(&self, at: DateTime<Utc>) -> Option<(Option<&Sample>, &Sample)> {
        let at = since_epoch(at);
        let end = self.samples.partition_point(|one| one.sample.at <= at);
        let now = self.samples.get(end.checked_sub(1)?)?;
        // One that is missing is no end yet.
        let fresh = at.saturating_sub(now.sample.at) <= self.step * 3;
        let before = end.checked_sub(2).and_then(|n| self.samples.get(n));
        let near = |one: &&Recorded| now.sample.at.saturating_sub(one.sample.at) < self.gap();
        let before = before.filter(|_| !now.clock_set).filter(near);
        fresh.then_some((before.map(|one| &one.sample), &now.sample))
    }

    /// Returns the state in which a container was at an instant, and since when; none where nothing
    /// tells.
    pub fn status_at(&self, at: DateTime<Utc>) -> Option<(Status, DateTime<Utc>)> {
        let told = self.happenings.iter().rev().filter(|one| one.at <= at).find_map(|one| {
            let What::Event { action, .. } = &one.what else { return None };
            Some((status_after(action)?, one.at))
        });
        match told {
            // What ran and left neither samples nor its end was cut off with its host.
            Some((status, _)) if status.is_alive() && self.samples_at(at).is_none() => None,
            Some(told) => Some(told),
            None => {
                let (_, sample) = self.samples_at(at)?;
                let since = DateTime::from_timestamp_millis(sample.started_ms)?;
                Some((Status::Running, since))
            }
        }
    }

    /// Forgets all but what tells how a container was at an instant.
    pub fn cut(&mut self, at: DateTime<Utc>) {
        self.happenings.retain(|one| one.at <= at);
        let instant = since_epoch(at);
        let end = self.samples.partition_point(|one| one.sample.at <= instant);
        self.samples.truncate(end);
        self.samples.drain(..end.saturating_sub(2));
        self.samples.shrink_to_fit();
    }

    /// Returns the verdict of the health probes at an instant.
    pub fn health_at(&self, at: DateTime<Utc>) -> Option<HealthStatus> {
        // Of what is older, probes that passed and others that failed are told together: while both go
        // on the worse counts, then that which ended last.
        let told = self.happenings.iter().filter(|one| one.at <= at).filter_map(|one| {
            let (until, status) = match &one.what {
                What::Probes(probes) => (probes.until.max(one.at).min(at), probes.status),
                What::Event { action, .. } => {
                    let status = match action.strip_prefix("health_status: ")? {
                        "healthy" => HealthStatus::Healthy,
                        "unhealthy" => HealthStatus::Unhealthy,
                        _ => HealthStatus::Starting,
                    };
                    (one.at, status)
                }
            };
            Some((until, status == HealthStatus::Unhealthy, status))
        });
        told.max_by_key(|(until, bad, _)| (*until, *bad)).map(|(_, _, status)| status)
    }

    /// Returns the exit code that a container had at an instant, when it had ended.
    pub fn exit_code_at(&self, at: DateTime<Utc>) -> Option<i32> {
        self.happenings.iter().rev().filter(|one| one.at <= at).find_map(|one| match one.what {
            What::Event { exit_code, .. } => exit_code,
            What::Probes(_) => None,
        })
    }
}

/// Returns the time since 1970 (none of before).
pub fn since_epoch(at: DateTime<Utc>) -> Duration {
    Duration::from_millis(u64::try_from(at.timestamp_millis()).unwrap_or(0))
}

/// Returns the state in which an event leaves a container.
fn status_after(action: &str) -> Option<Status> {
    Some(match action {
        "create" => Status::Created,
        "start" | "unpause" | "restart" => Status::Running,
        "pause" => Status::Paused,
        "die" => Status::Exited,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn event(seconds: i64, action: &str, exit_code: Option<i32>) -> Happening {
        Happening { at: at(seconds), what: What::Event { action: action.to_owned(), exit_code } }
    }

    #[test]
    fn states_are_those_of_the_instant() {
        let sample = |seconds| Sample {
            at: Duration::from_secs(seconds),
            started_ms: 100_000,
            ..Sample::default()
        };
        let recording = Recording {
            samples: [sample(101), sample(110), sample(120)].map(Recorded::from).to_vec(),
            happenings: vec![
                event(100, "start", None),
                event(105, "pause", None),
                event(107, "unpause", None),
                event(121, "die", Some(3)),
            ],
            ..Recording::default()
        };
        let status = |seconds| recording.status_at(at(seconds)).map(|(status, _)| status);
        assert_eq!(status(99), None);
        assert_eq!(status(104), Some(Status::Running));
        assert_eq!(status(106), Some(Status::Paused));
        assert_eq!(status(115), Some(Status::Running));
        assert_eq!(status(5000), Some(Status::Exited));
        assert_eq!(recording.exit_code_at(at(5000)), Some(3));
        let (before, now) = recording.samples_at(at(112)).unwrap();
        assert_eq!((before.unwrap().at.as_secs(), now.at.as_secs()), (101, 110));
        assert_eq!(recording.samples_at(at(2000)), None);
        let cut = Recording { happenings: Vec::new(), ..recording.clone() };
        assert_eq!(cut.status_at(at(112)), Some((Status::Running, at(100))));
        let cut = Recording { happenings: recording.happenings[..1].to_vec(), ..recording };
        assert_eq!(cut.status_at(at(112)), Some((Status::Running, at(100))));
        assert_eq!(cut.status_at(at(5000)), None);
    }

    #[test]
    fn of_probes_those_until_an_instant_are_counted() {
        let probes = Probes {
            until: at(141),
            count: 5,
            exit_code: 1,
            status: HealthStatus::Unhealthy,
            streak: 7,
            last: Duration::from_secs(1),
            longest: Duration::from_secs(1),
            output: String::new(),
        };
        // They end at 101, 111, 121, 131 and 141.
        for (instant, ended) in
            [(100, 0), (101, 1), (110, 1), (111, 2), (140, 4), (141, 5), (999, 5)]
        {
            assert_eq!(probes.ended_at(at(100), at(instant)), ended, "{instant}");
        }
        let back = Probes { until: at(50), ..probes.clone() };
        assert_eq!([60, 99, 100].map(|instant| back.ended_at(at(100), at(instant))), [0, 0, 5]);
        let one = Probes { until: at(101), count: 1, ..probes };
        assert_eq!([100, 101].map(|instant| one.ended_at(at(100), at(instant))), [0, 1]);
    }
}
