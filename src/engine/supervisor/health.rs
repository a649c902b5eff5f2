//! Health probes: when the next one is due, the one that runs, and what its outcome means.
//!
//! A probe is a further program of the container, started as `exec` does. It runs in a part of the
//! container's cgroup of its own, so that one that takes too long is ended with everything it has
//! started, sessions of their own included. What an orderly probe leaves running goes on, as with
//! docker. Its output is cut at 4096 bytes. Only one runs at a time, none while the container is
//! paused.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rustix::event::epoll::{self, EventFlags};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use wharf_cgroup::Group;
use wharf_model::{
    ContainerId, Event, ExecSpec, Health, HealthCheck, HealthStatus, ProbeResult, Status,
};
use wharf_sys::clone::Child;

use super::exec::{self, Progress, Starting};
use super::launch::Container;
use super::run::{PROBE, PROBE_OUTPUT, Supervisor, reap};
use crate::state::Record;
use crate::{Error, Result};

/// The most of a probe's output that is kept.
const OUTPUT: usize = 4096;

/// How many results are kept.
const RESULTS: usize = 5;

/// The exit code of a probe that didn't run to its end.
const NO_CODE: i32 = -1;

/// Returns the health of a container that has just been started; none when it isn't probed.
pub(super) fn at_start(record: &Record) -> Option<Health> {
    let check = record.spec.config.healthcheck.as_ref()?;
    check.is_probed().then(|| Health {
        status: HealthStatus::Starting,
        failing_streak: 0,
        log: Vec::new(),
    })
}

/// The probes of one run of a container.
pub(super) struct Monitor {
    check: HealthCheck,
    command: Vec<String>,
    started: Instant,
    /// When the next probe is to begin.
    due: Instant,
    probe: Option<Probe>,
    /// How long the container had run when the last probe began, by a clock that nobody sets.
    ran_at_probe: Duration,
    number: u64,
    /// Parts of the container's cgroup that ended probes have left, perhaps with processes.
    spent: Vec<Group>,
}

enum Stage {
    Starting(Starting),
    Running(Child),
}

struct Probe {
    id: String,
    begun: DateTime<Utc>,
    deadline: Instant,
    /// Whether it was ended because its time was over.
    late: bool,
    /// Whether nobody wants to know its outcome.
    dropped: bool,
    /// None for an instant while it changes.
    stage: Option<Stage>,
    part: Group,
    output: OwnedFd,
    text: Vec<u8>,
    cut: bool,
}

impl Monitor {
    /// Returns the monitor of a container that has just been started; none when it isn't probed.
    pub(super) fn new(record: &Record) -> Option<Self> {
        let config = &record.spec.config;
        let check = config.healthcheck.as_ref().filter(|check| check.is_probed())?.clone();
        let words = check.test[1..].iter().cloned();
        let command = match check.test[0].as_str() {
            "CMD-SHELL" if config.shell.is_empty() => {
                ["/bin/sh".to_owned(), "-c".to_owned()].into_iter().chain(words).collect()
            }
            "CMD-SHELL" => config.shell.iter().cloned().chain(words).collect(),
            _ => words.collect(),
        };
        let started = Instant::now();
        let mut monitor = Self {
            check,
            command,
            started,
            due: started,
            probe: None,
            ran_at_probe: Duration::ZERO,
            number: 0,
            spent: Vec::new(),
        };
        monitor.plan(HealthStatus::Starting);
        Some(monitor)
    }

    /// Sets when the next probe begins.
    fn plan(&mut self, status: HealthStatus) {
        let early =
            self.started.elapsed() < self.check.start_period() && status == HealthStatus::Starting;
        let wait = if early { self.check.start_interval() } else { self.check.interval() };
        self.due = Instant::now() + wait;
    }

    /// Returns when something is to be done that no descriptor tells.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        match &self.probe {
            None => Some(self.due),
            Some(probe) if !probe.late && !probe.dropped => Some(probe.deadline),
            Some(_) => None,
        }
    }

    /// Lets go of what ended probes have left empty.
    fn tidy(&mut self) {
        // A part that has processes can't be removed: it stays for the next time, or the
        // container's end.
        self.spent.retain(|part| !part.delete_if_bare());
    }
}

impl Probe {
    /// Ends it with everything it has started.
    fn kill(&self) {
        // What the kernel refuses, the container's end makes good.
        let _ = self.part.kill();
    }

    /// Takes in what it has written so far; returns whether there may be more.
    fn read(&mut self) -> bool {
        let mut chunk = [0; 4096];
        loop {
            match rustix::io::read(&self.output, &mut chunk) {
                Ok(0) => return false,
                Ok(length) => {
                    let room = OUTPUT - self.text.len();
                    self.text.extend_from_slice(&chunk[..length.min(room)]);
                    self.cut |= length > room;
                }
                Err(Errno::INTR) => {}
                Err(error) => return error == Errno::AGAIN,
            }
        }
    }

    fn output(&self) -> String {
        let text = String::from_utf8_lossy(&self.text);
        if self.cut { format!("{text}...") } else { text.into_owned() }
    }

    fn result(&self, code: i32, timeout: Duration) -> ProbeResult {
        let output = self.output();
        let (exit_code, output) = match self.late {
            false => (code, output),
            true => {
                let text = format!("Health check exceeded timeout ({})", go_duration(timeout));
                (NO_CODE, if output.is_empty() { text } else { format!("{text}: {output}") })
            }
        };
        ProbeResult { start: self.begun, end: Utc::now(), exit_code, output }
    }
}

/// Takes a result into account, as docker does; returns whether the verdict is another one now.
fn judge(health: &mut Health, check: &HealthCheck, result: ProbeResult, ran: Duration) -> bool {
    let before = health.status;
    if result.exit_code == 0 {
        health.failing_streak = 0;
        health.status = HealthStatus::Healthy;
    } else {
        let forgiven = health.status == HealthStatus::Starting && ran < check.start_period();
        if !forgiven {
            health.failing_streak = health.failing_streak.saturating_add(1);
            if health.failing_streak >= check.retries() {
                health.status = HealthStatus::Unhealthy;
            }
        }
    }
    health.log.push(result);
    let old = health.log.len().saturating_sub(RESULTS);
    health.log.drain(..old);
    health.status != before
}

/// Returns a duration as Go writes it: `1.5s`, `250ms`, `1m30s`.
fn go_duration(duration: Duration) -> String {
    let fraction = |whole: u128, rest: u128, digits: usize, unit: &str| {
        let text = format!("{whole}.{rest:0digits$}");
        format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
    };
    let nanos = duration.as_nanos();
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => fraction(nanos / 1_000, nanos % 1_000, 3, "µs"),
        1_000_000..1_000_000_000 => fraction(nanos / 1_000_000, nanos % 1_000_000, 6, "ms"),
        _ => {
            let (hours, minutes) = (nanos / 3_600_000_000_000, nanos / 60_000_000_000 % 60);
            let rest = nanos % 60_000_000_000;
            let seconds = fraction(rest / 1_000_000_000, rest % 1_000_000_000, 9, "s");
            match (hours, minutes) {
                (0, 0) => seconds,
                (0, _) => format!("{minutes}m{seconds}"),
                _ => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

impl Supervisor {
    /// Does what is due: begins a probe, or ends one whose time is over.
    pub(super) fn check_health(&mut self, now: Instant) {
        let paused = self.is_paused();
        let Some(monitor) = &mut self.health else { return };
        match &mut monitor.probe {
            Some(probe) if !probe.late && !probe.dropped && now >= probe.deadline => {
                probe.late = true;
                probe.kill();
            }
            None if now >= monitor.due && !paused => self.begin_probe(),
            Some(_) | None => {}
        }
    }

    fn begin_probe(&mut self) {
        let Some(monitor) = &mut self.health else { return };
        monitor.tidy();
        monitor.ran_at_probe = monitor.started.elapsed();
        monitor.number += 1;
        let name = format!("probe-{}", monitor.number);
        let spec = ExecSpec { command: monitor.command.clone(), ..ExecSpec::default() };
        let deadline = Instant::now() + monitor.check.timeout();
        let begun = Utc::now();
        let id = probe_id();
        let container = &self.container;
        let start = || -> Result<(Starting, Group, OwnedFd)> {
            let part = container
                .group
                .part(&name)
                .map_err(|cause| Error::failed("make the probe's cgroup", cause))?;
            let begin = || {
                let failed = |cause: rustix::io::Errno| Error::failed("make a pipe", cause);
                let (output, theirs) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
                rustix::io::ioctl_fionbio(&output, true).map_err(failed)?;
                let null = rustix::fs::open("/dev/null", OFlags::CLOEXEC, Mode::empty())
                    .map_err(|cause| Error::failed("open /dev/null", cause))?;
                let copy =
                    theirs.try_clone().map_err(|cause| Error::failed("make a pipe", cause))?;
                let streams = vec![null, theirs, copy];
                let Container { program, init, group, .. } = container;
                let starting =
                    exec::begin(&spec, None, streams, program, init, group, Some(&part))?;
                Ok((starting, output))
            };
            match begin() {
                Ok((starting, output)) => Ok((starting, part, output)),
                Err(error) => {
                    part.delete_if_bare();
                    Err(error)
                }
            }
        };
        let begun_one = start();
        let attributes = vec![("execID", id.clone())];
        self.store_events(&[
            (Event::of_program("exec_create", &spec.command), attributes.clone()),
            (Event::of_program("exec_start", &spec.command), attributes),
        ]);
        match begun_one {
            Ok((starting, part, output)) => {
                self.watch(starting.channel().as_fd(), PROBE, EventFlags::IN);
                self.watch(output.as_fd(), PROBE_OUTPUT, EventFlags::IN);
                let stage = Some(Stage::Starting(starting));
                let probe = Probe {
                    id,
                    begun,
                    deadline,
                    late: false,
                    dropped: false,
                    stage,
                    part,
                    output,
                    text: Vec::new(),
                    cut: false,
                };
                if let Some(monitor) = &mut self.health {
                    monitor.probe = Some(probe);
                }
            }
            Err(error) => self.probed(failure(begun, &error), None),
        }
    }

    /// Takes in what the running probe has written.
    pub(super) fn read_probe(&mut self) {
        let Some(probe) = self.health.as_mut().and_then(|monitor| monitor.probe.as_mut()) else {
            return;
        };
        if !probe.read() {
            // Otherwise the end would be told again and again.
            let _ = epoll::delete(&self.epoll, &probe.output);
        }
    }

    /// Goes on with the probe: it runs now, or has ended.
    pub(super) fn advance_probe(&mut self) {
        let Some(monitor) = &mut self.health else { return };
        let Some(mut probe) = monitor.probe.take() else { return };
        let timeout = monitor.check.timeout();
        match probe.stage.take() {
            Some(Stage::Starting(starting)) => {
                let _ = epoll::delete(&self.epoll, starting.channel().as_fd());
                match starting.advance() {
                    (Some(starting), _) => {
                        self.watch(starting.channel().as_fd(), PROBE, EventFlags::IN);
                        probe.stage = Some(Stage::Starting(starting));
                    }
                    (None, Progress::Running(child, _)) => {
                        if probe.late || probe.dropped {
                            // It was not there yet when it was to end.
                            probe.kill();
                        }
                        self.watch(child.pidfd.as_fd(), PROBE, EventFlags::IN);
                        probe.stage = Some(Stage::Running(child));
                    }
                    (None, Progress::Failed(error)) => {
                        let result = match probe.late {
                            true => probe.result(NO_CODE, timeout),
                            false => failure(probe.begun, &error),
                        };
                        self.probe_over(probe, result, None);
                        return;
                    }
                    (None, Progress::Waiting) => {}
                }
                if let Some(monitor) = &mut self.health {
                    monitor.probe = Some(probe);
                }
            }
            Some(Stage::Running(child)) => {
                let _ = epoll::delete(&self.epoll, child.pidfd.as_fd());
                let code = reap(&child).unwrap_or(255);
                probe.read();
                let result = probe.result(code, timeout);
                self.probe_over(probe, result, Some(code));
            }
            None => {}
        }
    }

    fn probe_over(&mut self, probe: Probe, result: ProbeResult, code: Option<i32>) {
        let _ = epoll::delete(&self.epoll, &probe.output);
        let Probe { id, dropped, part, .. } = probe;
        if let Some(monitor) = &mut self.health {
            monitor.spent.push(part);
        }
        if dropped {
            self.plan_probe();
        } else {
            self.probed(result, code.map(|code| (id, code)));
        }
    }

    fn plan_probe(&mut self) {
        let health = self.container.record.observed.state.health.as_ref();
        let status = health.map_or(HealthStatus::Starting, |health| health.status);
        if let Some(monitor) = &mut self.health {
            monitor.plan(status);
        }
    }

    /// Takes a result into account, and tells who listens.
    fn probed(&mut self, result: ProbeResult, ended: Option<(String, i32)>) {
        let Some(monitor) = &self.health else { return };
        let state = &mut self.container.record.observed.state;
        let Some(health) = &mut state.health else { return };
        let ran = monitor.ran_at_probe;
        let changed = judge(health, &monitor.check, result, ran);
        let (status, streak) = (health.status, health.failing_streak);
        if let Some(result) = health.log.last() {
            self.recording.probed(result, status, streak);
        }
        let mut events = Vec::new();
        if let Some((id, code)) = ended {
            let attributes = vec![("execID", id), ("exitCode", code.to_string())];
            events.push(("exec_die".to_owned(), attributes));
        }
        if changed {
            events.push((format!("health_status: {}", status.as_str()), Vec::new()));
        }
        self.store_events(&events);
        self.plan_probe();
        if changed && status == HealthStatus::Unhealthy {
            self.act_on_health(self.container.record.spec.host.health_on_failure);
        }
    }

    /// Ends the running probe before the container is frozen: a frozen process doesn't end.
    pub(super) fn drop_probe(&mut self) {
        if let Some(probe) = self.health.as_mut().and_then(|monitor| monitor.probe.as_mut()) {
            probe.dropped = true;
            probe.kill();
        }
    }

    /// Begins to probe anew once the container goes on.
    pub(super) fn resume_probes(&mut self) {
        self.plan_probe();
    }

    /// Ends all probing with the container's first process.
    pub(super) fn end_probes(&mut self) {
        let Some(monitor) = self.health.take() else { return };
        if let Some(health) = &mut self.container.record.observed.state.health {
            // As with docker: nobody can say that what doesn't run is well.
            health.status = HealthStatus::Unhealthy;
        }
        let Some(mut probe) = monitor.probe else { return };
        probe.kill();
        let _ = epoll::delete(&self.epoll, &probe.output);
        match probe.stage.take() {
            Some(Stage::Running(child)) => {
                let _ = epoll::delete(&self.epoll, child.pidfd.as_fd());
                let _ = reap(&child);
            }
            // It finds out by itself that there is nothing to join; nobody waits for it here.
            Some(Stage::Starting(starting)) => {
                let _ = epoll::delete(&self.epoll, starting.channel().as_fd());
                self.adopt_starting(starting);
            }
            None => {}
        }
    }

    pub(super) fn is_paused(&self) -> bool {
        self.container.record.observed.state.status == Status::Paused
    }
}

fn failure(begun: DateTime<Utc>, error: &Error) -> ProbeResult {
    ProbeResult { start: begun, end: Utc::now(), exit_code: NO_CODE, output: error.to_string() }
}

/// Returns an identifier of the form that docker gives further programs.
fn probe_id() -> String {
    let mut bytes = [0; 32];
    // Unique enough without: it only tells the events of one probe from those of the next.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK);
    ContainerId::from_bytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(exit_code: i32) -> ProbeResult {
        let time = DateTime::<Utc>::UNIX_EPOCH;
        ProbeResult { start: time, end: time, exit_code, output: String::new() }
    }

    #[test]
    fn verdicts_are_dockers() {
        let check = HealthCheck {
            retries: Some(2),
            start_period: Some(Duration::from_secs(10)),
            ..HealthCheck::default()
        };
        let mut health =
            Health { status: HealthStatus::Starting, failing_streak: 0, log: Vec::new() };
        let early = Duration::from_secs(9);
        let late = Duration::from_secs(10);
        assert!(!judge(&mut health, &check, result(1), early));
        assert_eq!((health.failing_streak, health.log.len()), (0, 1), "the start period forgives");
        assert!(!judge(&mut health, &check, result(1), late));
        assert!(judge(&mut health, &check, result(-1), late));
        assert_eq!((health.status, health.failing_streak), (HealthStatus::Unhealthy, 2));
        assert!(judge(&mut health, &check, result(0), late));
        assert_eq!((health.status, health.failing_streak), (HealthStatus::Healthy, 0));
        // Once it has been well, the start period no longer counts.
        assert!(!judge(&mut health, &check, result(2), early));
        assert!(judge(&mut health, &check, result(2), early));
        assert_eq!(health.log.len(), 5);
        assert_eq!(health.log[4].exit_code, 2);
        assert_eq!(health.log[0].exit_code, 1, "the oldest has gone");
    }

    #[test]
    fn durations_are_written_as_go_does() {
        for (millis, text) in [
            (1, "1ms"),
            (1_500, "1.5s"),
            (30_000, "30s"),
            (90_000, "1m30s"),
            (3_600_000, "1h0m0s"),
            (0, "0s"),
        ] {
            assert_eq!(go_duration(Duration::from_millis(millis)), text);
        }
        assert_eq!(go_duration(Duration::from_nanos(1_500)), "1.5µs");
        assert_eq!(go_duration(Duration::from_micros(1_050)), "1.05ms");
    }
}
