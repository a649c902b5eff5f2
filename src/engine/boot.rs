//! `boot`: after a restart of the host, the containers whose restart policies say so run again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use wharf_model::{ContainerId, ErrorKind, NamespaceMode, NetworkMode, RestartKind};

use crate::engine::Engine;
use crate::state::Record;
use crate::supervisor::boot_id;
use crate::{Error, Result};

/// How many containers are started at once.
const AT_ONCE: usize = 8;

/// What [`Engine::boot`] did.
#[derive(Debug, Default)]
pub struct Booted {
    /// The names of the containers that were started, in order.
    pub started: Vec<String>,
    /// Those that couldn't be, and why.
    pub failed: Vec<(String, Error)>,
}

impl Engine {
    /// Starts the containers that ran, or whose policy is `always`, before the host was restarted:
    /// what others join comes before them, and several start at once. Called again in the same boot,
    /// it only does what failed before.
    ///
    /// # Errors
    /// When the database refuses; a container that doesn't start is told in the answer.
    pub fn boot(&self) -> Result<Booted> {
        let records = self.with_store(|store| self.true_records(store, |record| record))?;
        let boot = boot_id();
        let wanted: Vec<&Record> = records.iter().filter(|r| is_wanted(r, &boot)).collect();
        let booted = Mutex::new(Booted::default());
        for wave in waves(&wanted, &records) {
            let next = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                for _ in 0..wave.len().min(AT_ONCE) {
                    scope.spawn(|| {
                        while let Some(record) = wave.get(next.fetch_add(1, Ordering::Relaxed)) {
                            let result = self.start(record.id.as_str(), None);
                            let mut booted = booted.lock().unwrap_or_else(PoisonError::into_inner);
                            match result {
                                Ok(_) => booted.started.push(record.name.clone()),
                                // Somebody was faster, or has removed it.
                                Err(error)
                                    if matches!(
                                        error.kind(),
                                        ErrorKind::NotModified | ErrorKind::NotFound
                                    ) => {}
                                Err(error) => booted.failed.push((record.name.clone(), error)),
                            }
                        }
                    });
                }
            });
        }
        Ok(booted.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Returns whether a container is to be started after a boot. One that was started since then isn't:
/// whatever became of it is not the boot's doing.
fn is_wanted(record: &Record, boot: &str) -> bool {
    let observed = &record.observed;
    let state = &observed.state;
    let started_before = !observed.boot.is_empty() && observed.boot != boot;
    let policy = &record.spec.host.restart_policy;
    let stopped = observed.stopped && policy.kind != RestartKind::Always;
    started_before
        && observed.discarded.is_none()
        && !state.status.is_supervised()
        && !stopped
        && policy.wants_restart(state.exit_code, state.restart_count, observed.stopped)
}

/// Returns the names and ids of the containers whose namespaces a container joins.
fn joined(record: &Record) -> impl Iterator<Item = &str> {
    let host = &record.spec.host;
    let modes = [&host.ipc_mode, &host.pid_mode, &host.uts_mode, &host.cgroupns_mode];
    let network = match &host.network_mode {
        NetworkMode::Container(other) => Some(other.as_str()),
        _ => None,
    };
    let others = modes.into_iter().filter_map(|mode| match mode {
        NamespaceMode::Container(other) => Some(other.as_str()),
        _ => None,
    });
    others.chain(network)
}

/// Groups containers so that what each joins is in an earlier group. Those that join each other in
/// a circle come last, and fail by themselves.
fn waves<'a>(wanted: &[&'a Record], all: &[Record]) -> Vec<Vec<&'a Record>> {
    let find = |reference: &str| {
        let named = all.iter().find(|r| r.name == reference || r.id.as_str() == reference);
        named.or_else(|| all.iter().find(|r| r.id.as_str().starts_with(reference))).map(|r| &r.id)
    };
    let among: BTreeSet<&ContainerId> = wanted.iter().map(|record| &record.id).collect();
    let mut left: BTreeMap<&ContainerId, (&'a Record, BTreeSet<&ContainerId>)> = wanted
        .iter()
        .map(|record| {
            let before = joined(record).filter_map(find).filter(|id| among.contains(*id)).collect();
            (&record.id, (*record, before))
        })
        .collect();
    let mut waves = Vec::new();
    while !left.is_empty() {
        let free =
            |before: &BTreeSet<&ContainerId>| before.iter().all(|id| !left.contains_key(*id));
        let mut ready: Vec<&ContainerId> =
            left.iter().filter(|(_, (_, before))| free(before)).map(|(id, _)| *id).collect();
        if ready.is_empty() {
            ready = left.keys().copied().collect();
        }
        waves.push(ready.iter().filter_map(|id| left.remove(*id)).map(|(r, _)| r).collect());
    }
    waves
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Observed, Spec};
    use wharf_model::{Digest, RestartPolicy, Status};

    fn record(number: u8, name: &str) -> Record {
        let mut observed = Observed { boot: "before".to_owned(), ..Observed::default() };
        observed.state.status = Status::Exited;
        observed.state.exit_code = 255;
        Record {
            id: ContainerId::from_bytes([number; 32]),
            name: name.to_owned(),
            created: chrono::Utc::now(),
            image: Digest::from_bytes(&[1; 32]),
            spec: Spec::default(),
            observed,
        }
    }

    #[test]
    fn policies_say_what_runs_after_a_boot() {
        let wanted = |kind, change: fn(&mut Record)| {
            let mut record = record(1, "a");
            record.spec.host.restart_policy = RestartPolicy { kind, maximum_retries: 0 };
            change(&mut record);
            is_wanted(&record, "now")
        };
        assert!(wanted(RestartKind::Always, |_| ()));
        assert!(wanted(RestartKind::Always, |r| r.observed.stopped = true));
        assert!(wanted(RestartKind::UnlessStopped, |_| ()));
        assert!(!wanted(RestartKind::UnlessStopped, |r| r.observed.stopped = true));
        assert!(wanted(RestartKind::OnFailure, |_| ()));
        assert!(!wanted(RestartKind::OnFailure, |r| r.observed.state.exit_code = 0));
        assert!(!wanted(RestartKind::OnFailure, |r| r.observed.stopped = true));
        assert!(!wanted(RestartKind::No, |_| ()));
        assert!(!wanted(RestartKind::Always, |r| r.observed.boot = "now".to_owned()));
        assert!(!wanted(RestartKind::Always, |r| r.observed.boot = String::new()));
    }

    #[test]
    fn what_is_joined_comes_first() {
        let mut all = vec![record(1, "a"), record(2, "b"), record(3, "c"), record(4, "d")];
        all[0].spec.host.ipc_mode = NamespaceMode::Container("c".to_owned());
        all[2].spec.host.pid_mode = NamespaceMode::Container("b".to_owned());
        let wanted: Vec<&Record> = all.iter().collect();
        let names = |wanted: &[&Record]| -> Vec<Vec<String>> {
            let name = |wave: Vec<&Record>| wave.iter().map(|r| r.name.clone()).collect();
            waves(wanted, &all).into_iter().map(name).collect()
        };
        assert_eq!(names(&wanted), [vec!["b", "d"], vec!["c"], vec!["a"]]);
        // One that isn't to be started is no reason to wait.
        assert_eq!(names(&[&all[0]]), [vec!["a"]]);
    }

    #[test]
    fn a_circle_is_still_tried() {
        let mut all = vec![record(1, "a"), record(2, "b")];
        all[0].spec.host.ipc_mode = NamespaceMode::Container("b".to_owned());
        all[1].spec.host.ipc_mode = NamespaceMode::Container("a".to_owned());
        let wanted: Vec<&Record> = all.iter().collect();
        assert_eq!(waves(&wanted, &all)[0].len(), 2);
    }
}
