//! What the fake engine has recorded: an hour before its clock began, and what its samples show since.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use wharf_model::{
    CORE_UNIT, ContainerSummary, DetailSample, Happening, HealthStatus, HostMoment, Probes,
    Recorded, Recording, Status, What, since_epoch,
};

use super::data::{self, epoch, sample};

/// How far the record reaches back before [`epoch`], and how far it goes on after it, in seconds.
const BEFORE: u64 = 3600;
const AFTER: u64 = 40;

/// Returns what is recorded of a container.
pub(super) fn recording(number: usize, container: &ContainerSummary) -> Recording {
    let begin = epoch() - TimeDelta::seconds(3600);
    let at = |seconds: i64| begin + TimeDelta::seconds(seconds);
    let event = |seconds, action: &str, exit_code| Happening {
        at: at(seconds),
        what: What::Event { action: action.to_owned(), exit_code },
    };
    let mut happenings = vec![event(0, "start", None)];
    let alive = container.status.is_alive();
    if container.status == Status::Created {
        return Recording::default();
    }
    let end = if alive { BEFORE + AFTER } else { BEFORE - 300 };
    if !alive {
        if container.exit_code == Some(137) {
            happenings.push(event(3299, "oom", None));
        }
        happenings.push(event(3300, "die", container.exit_code));
    }
    if let Some(status) = container.health {
        happenings.push(event(5, "health_status: healthy", None));
        let probes = |from: i64, to: i64, status, exit_code, output: &str| Happening {
            at: at(from),
            what: What::Probes(Probes {
                until: at(to),
                count: u32::try_from((to - from) / 5).unwrap_or(1),
                exit_code,
                status,
                streak: if exit_code == 0 { 0 } else { 3 },
                last: Duration::from_millis(42),
                longest: Duration::from_millis(230),
                output: output.to_owned(),
            }),
        };
        happenings.push(probes(5, 1800, HealthStatus::Healthy, 0, "ok"));
        happenings.push(probes(1805, 3000, HealthStatus::Healthy, 0, "ok"));
        if status == HealthStatus::Unhealthy {
            let failed = "connection refused: 127.0.0.1:80";
            happenings.push(probes(3005, 3600, HealthStatus::Unhealthy, 1, failed));
            happenings.push(event(3015, "health_status: unhealthy", None));
        }
    }
    happenings.sort_by_key(|one| one.at);
    let samples = (0..=end).step_by(10).map(|second| {
        let mut sample = sample(number, container, second);
        sample.at += since_epoch(begin);
        let unit = u64::try_from(CORE_UNIT.as_nanos()).unwrap_or(1);
        #[expect(clippy::cast_possible_truncation, reason = "as it is recorded")]
        let units = |ns: &u64| (ns / unit) as u32;
        let cores = cores(number, second).iter().map(units).collect();
        Recorded { sample, cores, clock_set: false }
    });
    Recording { samples: samples.collect(), happenings, ..Recording::default() }
}

/// Returns what is recorded of the host at an instant.
pub(super) fn host(at: DateTime<Utc>) -> Option<HostMoment> {
    let begin = epoch() - TimeDelta::seconds(3600);
    let second = u64::try_from((at - begin).num_seconds()).ok()? / 10 * 10;
    if second > BEFORE + AFTER {
        return None;
    }
    let sample = |second: u64| {
        let mut sample = data::host(second);
        sample.at += since_epoch(begin);
        sample
    };
    Some(HostMoment { before: second.checked_sub(10).map(sample), now: sample(second) })
}

/// Returns what a container has used of each of eight cores, of which the first does most.
fn cores(number: usize, tick: u64) -> Vec<u64> {
    (0..8).map(|core| tick * (200_000_000 >> core) + number as u64 * 1_000_000).collect()
}

/// Returns the details of a container.
pub(super) fn details(number: usize, tick: u64) -> DetailSample {
    DetailSample {
        at: Duration::from_secs(tick),
        cores: Some(cores(number, tick)),
        ..DetailSample::default()
    }
}
