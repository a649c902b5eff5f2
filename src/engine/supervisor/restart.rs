//! Starting a container again by its restart policy: whether, when, and what a manual stop means
//! for it.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use wharf_model::{ErrorKind, HealthAction, Status};

use super::health::Monitor;
use super::launch::{self, Ends};
use super::run::{Phase, Supervisor};
use super::streams::ContainerStreams;
use super::teardown;
use crate::channel::AttachRequest;
use crate::container::signal;
use crate::state::{Record, Store};
use crate::{Error, Result};

/// The wait before a restart: docker's, which doubles from the first to the longest, and begins anew
/// after a run that lasted.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    last: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(60);
    /// A run of this length is no failure to start.
    const LASTING: Duration = Duration::from_secs(10);

    /// Returns how long to wait after a run of this length.
    pub(super) fn next(&mut self, ran: Duration) -> Duration {
        if ran >= Self::LASTING {
            self.last = Duration::ZERO;
        }
        self.last = match self.last {
            Duration::ZERO => Self::FIRST,
            last => (last * 2).min(Self::LONGEST),
        };
        self.last
    }
}

/// Returns docker's error for a container that waits to be started again.
pub(crate) fn is_restarting(record: &Record) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!("Container {} is restarting, wait until the container is running", record.id),
    )
}

impl Supervisor {
    /// Returns when the container that has just ended is to be started again, if at all.
    pub(super) fn next_start(&mut self, code: i32) -> Option<Instant> {
        self.reread();
        let Self { container, backoff, started, after_stop, .. } = self;
        let observed = &container.record.observed;
        // What was stopped by hand stays so, whatever the policy.
        let wanted = !observed.stopped
            && (*after_stop == HealthAction::Restart
                || container.record.spec.host.restart_policy.wants_restart(
                    code,
                    observed.state.restart_count,
                    false,
                ));
        *after_stop = HealthAction::None;
        wanted.then(|| Instant::now() + backoff.next(started.elapsed()))
    }

    /// Takes in what verbs have changed in the row since the start: the policy and the name.
    fn reread(&mut self) {
        let record = &mut self.container.record;
        if record.spec.host.auto_remove {
            return;
        }
        let fresh = Store::open(&self.container.paths.database())
            .and_then(|store| store.container(record.id.as_str()));
        // Without an answer, what was known holds.
        if let Ok(fresh) = fresh {
            record.name = fresh.name;
            record.spec.host.restart_policy = fresh.spec.host.restart_policy;
        }
    }

    /// Returns whether a signal asks the container to end, as docker tells it.
    pub(super) fn asks_to_end(&self, number: i32) -> bool {
        let stop = signal::parse(&self.container.record.spec.config.stop_signal);
        number == Signal::KILL.as_raw() || stop.is_ok_and(|stop| stop == number)
    }

    /// Ends the wait for the next start, for good.
    pub(super) fn give_up(&mut self) {
        let observed = &mut self.container.record.observed;
        observed.state.status = Status::Exited;
        observed.stopped = true;
        let code = observed.state.exit_code;
        self.store_events(&[]);
        self.conclude(code);
    }

    /// Starts the container again, now.
    ///
    /// # Errors
    /// Why it didn't start; it has ended for good then, as with docker.
    pub(super) fn start_again(&mut self, attach: Option<AttachRequest>) -> Result<()> {
        let code = self.container.record.observed.state.exit_code;
        let result = launch::again(&mut self.container, attach).and_then(|()| {
            let ends = std::mem::replace(&mut self.container.ends, Ends::Taken);
            ContainerStreams::new(ends).map_err(|cause| Error::failed("set up the streams", cause))
        });
        match result {
            Ok(streams) => {
                self.streams = streams;
                self.phase = Phase::Running;
                self.reading = true;
                self.oom_seen = 0;
                self.killed = false;
                self.started = Instant::now();
                self.trimmed = false;
                self.health = Monitor::new(&self.container.record);
                self.recording.started(&self.container);
                self.watch_container();
                Ok(())
            }
            Err(error) => {
                if self.container.record.observed.state.status.is_alive()
                    && let Ok(mut store) = Store::open(&self.container.paths.database())
                {
                    teardown::stop_at_once(&mut self.container, &mut store);
                    self.container.record.observed.state.error = error.to_string();
                    self.notice_end(code, None);
                }
                self.conclude(code);
                Err(error)
            }
        }
    }

    /// Asks the container to end because its probes failed, and kills it when it doesn't in time.
    pub(super) fn act_on_health(&mut self, action: HealthAction) {
        let record = &mut self.container.record;
        let sent = match action {
            HealthAction::None => return,
            HealthAction::Kill => Signal::KILL.as_raw(),
            HealthAction::Stop | HealthAction::Restart => {
                record.observed.stopped |= action == HealthAction::Stop;
                self.after_stop = action;
                let patience = record.spec.config.stop_timeout.unwrap_or(10);
                self.kill_at = Some(Instant::now() + Duration::from_secs(patience.into()));
                signal::parse(&record.spec.config.stop_signal).unwrap_or(Signal::TERM.as_raw())
            }
        };
        // One that has ended meanwhile needs no signal.
        let _ = self.send(sent);
    }

    /// Tells when the container ended, in the words of its events.
    pub(super) fn end_attributes(&self, code: i32) -> Vec<(&'static str, String)> {
        let ran = self.started.elapsed().as_secs();
        vec![("execDuration", ran.to_string()), ("exitCode", code.to_string())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_model::{RestartKind, RestartPolicy};

    #[test]
    fn the_wait_doubles_up_to_a_minute_and_begins_anew_after_a_lasting_run() {
        let mut backoff = Backoff::default();
        let short = Duration::from_secs(1);
        let waits: Vec<u128> = (0..12).map(|_| backoff.next(short).as_millis()).collect();
        let expected = [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000];
        assert_eq!(waits, expected);
        assert_eq!(backoff.next(Duration::from_secs(10)).as_millis(), 100);
        assert_eq!(backoff.next(Duration::from_millis(9_999)).as_millis(), 200);
    }

    #[test]
    fn policies_decide_as_dockers_do() {
        let policy = |kind, maximum_retries| RestartPolicy { kind, maximum_retries };
        let wants =
            |kind, code, restarts, stopped| policy(kind, 2).wants_restart(code, restarts, stopped);
        assert!(!wants(RestartKind::No, 1, 0, false));
        assert!(wants(RestartKind::Always, 0, 99, true));
        assert!(wants(RestartKind::UnlessStopped, 0, 99, false));
        assert!(!wants(RestartKind::UnlessStopped, 1, 0, true));
        assert!(wants(RestartKind::OnFailure, 1, 1, false));
        assert!(!wants(RestartKind::OnFailure, 1, 2, false));
        assert!(!wants(RestartKind::OnFailure, 0, 0, false));
        assert!(policy(RestartKind::OnFailure, 0).wants_restart(1, 1000, false));
    }
}
