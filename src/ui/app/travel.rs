//! The past as the whole dashboard shows it: the containers, and what they used, as they were at an
//! instant.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use wharf_inspect::human::status_sentence;
use wharf_model::{ContainerId, ContainerSummary, Recording, Sample, Status, What};
use wharf_stats::Usage;

/// From this time between two samples on, rates aren't those of an instant.
const GAP: Duration = Duration::from_secs(400);

/// A look at the past.
#[derive(Clone, Debug)]
pub struct Travel {
    /// The engine whose past it is, by its place.
    pub host: usize,
    /// The instant.
    pub at: DateTime<Utc>,
    /// Its containers as they are now, for the way back.
    pub present: Vec<ContainerSummary>,
    /// The instant that was asked for and isn't answered.
    pub asked: Option<DateTime<Utc>>,
    /// The instant that is shown.
    pub shown: Option<DateTime<Utc>>,
}

impl Travel {
    /// Returns a look at an instant.
    pub fn new(host: usize, at: DateTime<Utc>, present: Vec<ContainerSummary>) -> Self {
        Self { host, at, present, asked: None, shown: None }
    }

    /// Returns whether to ask for an instant now.
    pub fn due(&mut self) -> Option<DateTime<Utc>> {
        if self.asked.is_some() || self.shown == Some(self.at) {
            return None;
        }
        self.asked = Some(self.at);
        self.asked
    }
}

/// Returns the containers that there were at an instant, as far as they are still there, and what they
/// used.
pub(crate) fn then(
    present: &[ContainerSummary],
    recordings: &[(ContainerId, Recording)],
    at: DateTime<Utc>,
    host_memory: Option<u64>,
) -> (Vec<ContainerSummary>, HashMap<ContainerId, Usage>) {
    let mut usages = HashMap::new();
    let none = Recording::default();
    let then = present.iter().filter(|one| one.created <= at).map(|one| {
        let found = recordings.iter().find(|(id, _)| *id == one.id);
        let recording = found.map_or(&none, |(_, recording)| recording);
        let summary = summary_then(one, recording, at);
        if summary.status.is_alive()
            && let Some((before, now)) = recording.samples_at(at)
        {
            let near = |b: &&Sample| now.at.saturating_sub(b.at) < GAP;
            let before = before.filter(near);
            usages.insert(one.id.clone(), Usage::between(before, now, host_memory));
        }
        summary
    });
    (then.collect(), usages)
}

fn summary_then(
    present: &ContainerSummary,
    recording: &Recording,
    at: DateTime<Utc>,
) -> ContainerSummary {
    let mut summary = present.clone();
    summary.health = None;
    summary.restart_count = None;
    let Some((status, since)) = recording.status_at(at) else {
        // Of one that never ran, or of which nothing was recorded, no more can be said.
        summary.status =
            if present.status == Status::Created { Status::Created } else { Status::Exited };
        summary.status_text = "not recorded".to_owned();
        summary.exit_code = None;
        summary.started_at = None;
        summary.endpoints.clear();
        return summary;
    };
    summary.status = status;
    let alive = status.is_alive();
    summary.exit_code = recording.exit_code_at(at).filter(|_| !alive);
    summary.health = recording.health_at(at).filter(|_| alive);
    let started = recording.happenings.iter().rev().find_map(|one| match &one.what {
        What::Event { action, .. } if action == "start" && one.at <= at => Some(one.at),
        _ => None,
    });
    let started = started.or_else(|| {
        let (_, sample) = recording.samples_at(at)?;
        DateTime::from_timestamp_millis(sample.started_ms)
    });
    summary.started_at = started.filter(|_| alive);
    let code = summary.exit_code.unwrap_or_default();
    summary.status_text = status_sentence(status, started, Some(since), code, summary.health, at);
    if !alive {
        summary.endpoints.clear();
    }
    summary
}

#[cfg(test)]
mod tests {
    use wharf_backend::fake::{container, sample, time};
    use wharf_model::{Happening, since_epoch};

    use super::*;

    #[test]
    fn containers_are_as_they_were() {
        let mut web = container(1, "web", "nginx", Status::Exited);
        web.created = time(0);
        let mut late = container(2, "late", "nginx", Status::Running);
        late.created = time(500);
        let event = |seconds, action: &str, exit_code| Happening {
            at: time(seconds),
            what: What::Event { action: action.to_owned(), exit_code },
        };
        let samples = (10..=60).step_by(10).map(|second| Sample {
            at: since_epoch(time(0)) + Duration::from_secs(second),
            ..sample(0, &web, second)
        });
        let recording = Recording {
            samples: samples.collect(),
            happenings: vec![event(5, "start", None), event(62, "die", Some(137))],
        };
        let present = [web.clone(), late];
        let recordings = [(web.id.clone(), recording)];
        let (rows, usage) = then(&present, &recordings, time(55), None);
        assert_eq!(rows.len(), 1, "what was made later isn't there");
        assert_eq!((rows[0].status, rows[0].started_at), (Status::Running, Some(time(5))));
        assert!(usage[&web.id].cpu_percent.is_some());
        let (rows, usage) = then(&present, &recordings, time(122), None);
        assert_eq!((rows[0].status, rows[0].exit_code), (Status::Exited, Some(137)));
        assert_eq!(rows[0].status_text, "Exited (137) About a minute ago");
        assert!(usage.is_empty());
        let (rows, _) = then(&present, &recordings, time(2), None);
        assert_eq!(rows[0].status_text, "not recorded");
        let (rows, _) = then(&present, &recordings, time(600), None);
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn only_the_newest_instant_is_asked_for() {
        let mut travel = Travel::new(0, time(1), Vec::new());
        assert_eq!(travel.due(), Some(time(1)));
        travel.at = time(2);
        assert_eq!(travel.due(), None, "one question at a time");
        travel.shown = travel.asked.take();
        assert_eq!(travel.due(), Some(time(2)));
        travel.shown = travel.asked.take();
        assert_eq!(travel.due(), None);
    }
}
