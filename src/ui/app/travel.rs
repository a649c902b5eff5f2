//! The past as the whole dashboard shows it: the containers, and what they used, as they were at an
//! instant.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use wharf_inspect::human::status_sentence;
use wharf_model::{ContainerSummary, Moment, Recording, Status, What};
use wharf_stats::Usage;

use super::metrics::Then;

/// What is said of a container of which nothing is known of that instant.
pub(super) const NOT_RECORDED: &str = "not recorded";

/// A look at the past of all engines at the same instant.
#[derive(Clone, Debug)]
pub struct Travel {
    /// The instant.
    pub at: DateTime<Utc>,
    /// Each engine's part of it, by its place.
    pub trips: Vec<Trip>,
}

/// One engine's part of a look at the past.
#[derive(Clone, Debug, Default)]
pub struct Trip {
    /// Its containers as they are now, for the way back.
    pub present: Vec<ContainerSummary>,
    /// The instant that was asked for and isn't answered.
    pub asked: Option<DateTime<Utc>>,
    /// The instant that is shown.
    pub shown: Option<DateTime<Utc>>,
    /// Why it has no past.
    pub none: Option<String>,
}

impl Travel {
    /// Returns the engines that are to be asked for the instant now: one question at a time each.
    pub fn due(&mut self) -> Vec<usize> {
        let at = self.at;
        let due =
            |trip: &Trip| trip.asked.is_none() && trip.shown != Some(at) && trip.none.is_none();
        let wanted = self.trips.iter_mut().enumerate().filter(|(_, trip)| due(trip));
        wanted
            .map(|(host, trip)| {
                trip.asked = Some(at);
                host
            })
            .collect()
    }

    /// Returns the instant that is shown of an engine.
    pub fn shown(&self, host: usize) -> DateTime<Utc> {
        self.trips.get(host).and_then(|trip| trip.shown).unwrap_or(self.at)
    }

    /// Returns why an engine has no past.
    pub fn none(&self, host: usize) -> Option<&str> {
        self.trips.get(host)?.none.as_deref()
    }
}

/// Returns the containers of an engine that there were at an instant, as far as they are still there, and
/// what was used.
pub(crate) fn then(
    present: &[ContainerSummary],
    moment: Moment,
    at: DateTime<Utc>,
    host_memory: Option<u64>,
) -> (Vec<ContainerSummary>, Then) {
    let mut used = Then::new(moment.host);
    let host_memory = used.host_memory().or(host_memory);
    let none = Recording::default();
    let recordings: HashMap<_, _> = moment.containers.iter().map(|(id, one)| (id, one)).collect();
    let then = present.iter().filter(|one| one.created <= at).map(|one| {
        let recording = recordings.get(&one.id).copied().unwrap_or(&none);
        let summary = summary_then(one, recording, at);
        if summary.status.is_alive()
            && let Some((before, now)) = recording.samples_at(at)
        {
            used.add(one.id.clone(), Usage::between(before, now, host_memory), now);
        }
        summary
    });
    (then.collect(), used)
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
        summary.status_text = NOT_RECORDED.to_owned();
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
    use std::time::Duration;
    use wharf_backend::fake::{container, sample, time};

    use wharf_model::{Happening, Sample, since_epoch};

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
            samples: samples.map(Into::into).collect(),
            happenings: vec![event(5, "start", None), event(62, "die", Some(137))],
            ..Recording::default()
        };
        let present = [web.clone(), late];
        let then = |at| {
            let containers = vec![(web.id.clone(), recording.clone())];
            let (rows, then) = super::then(&present, Moment { containers, host: None }, at, None);
            (rows, then.containers)
        };
        let (rows, usage) = then(time(55));
        assert_eq!(rows.len(), 1, "what was made later isn't there");
        assert_eq!((rows[0].status, rows[0].started_at), (Status::Running, Some(time(5))));
        assert!(usage[&web.id].0.cpu_percent.is_some());
        let (rows, usage) = then(time(122));
        assert_eq!((rows[0].status, rows[0].exit_code), (Status::Exited, Some(137)));
        assert_eq!(rows[0].status_text, "Exited (137) About a minute ago");
        assert!(usage.is_empty());
        let (rows, _) = then(time(2));
        assert_eq!(rows[0].status_text, "not recorded");
        let (rows, _) = then(time(600));
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn only_the_newest_instant_is_asked_for() {
        let mut travel = Travel { at: time(1), trips: vec![Trip::default(), Trip::default()] };
        travel.trips[1].none = Some("it keeps none".to_owned());
        assert_eq!(travel.due(), [0]);
        travel.at = time(2);
        assert_eq!(travel.due(), [0; 0], "one question at a time");
        assert_eq!(travel.shown(0), time(2));
        travel.trips[0].shown = travel.trips[0].asked.take();
        assert_eq!((travel.due(), travel.shown(0)), (vec![0], time(1)));
        travel.trips[0].shown = travel.trips[0].asked.take();
        assert_eq!(travel.due(), [0; 0]);
        assert_eq!(travel.none(1), Some("it keeps none"));
    }
}
