//! The truth about containers whose supervisor is gone: killed, or ended by a reboot.
//!
//! A supervisor holds its container's life lock; a row that says "running" while that lock is free
//! is wrong. Whoever notices it ends what is left of the container, gives back what it took, and
//! corrects the row.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use chrono::Utc;
use wharf_cgroup::{Group, Layout};
use wharf_model::{ContainerId, ErrorKind, Status};

use crate::engine::Engine;
use crate::lock::{self, Idle, Lock};
use crate::state::{Observed, Record, Store};
use crate::supervisor::{boot_id, remove_group};
use crate::{Error, Paths, Result, folder, network, volume};

/// The file in which a supervisor that couldn't store its last observation leaves it.
const NOTE: &str = "observed.json";

/// How long a command that was asked for something else waits for the start that it has seen to.
const RESUMED_WITHIN: Duration = Duration::from_secs(1);

/// Leaves an observation that the database didn't take.
pub(crate) fn leave_note(folder: &Path, observed: &Observed) {
    if let Ok(text) = serde_json::to_vec(observed) {
        // The last resort has none of its own.
        let _ = std::fs::write(folder.join(NOTE), text);
    }
}

/// Gives back what the journal says that a container without supervisor still has. The caller holds
/// the container's life lock.
pub(crate) fn give_back(paths: &Paths, store: &mut Store, owner: &ContainerId) -> Result<()> {
    for (kind, key) in store.journalled_for(owner)? {
        match kind.as_str() {
            "cgroup" => {
                let failed = |cause| Error::failed("cgroups", cause);
                let layout = Layout::detect().map_err(failed)?;
                match Group::open(&layout, &key) {
                    Ok(group) => remove_group(&group)?,
                    Err(wharf_cgroup::Error::NotFound(_)) => {}
                    Err(cause) => return Err(failed(cause)),
                }
                store.settle(&kind, &key)?;
            }
            volume::MOUNT => volume::release(paths, store, owner, &key)?,
            network::publish::KIND => network::publish::give_back(store, &key)?,
            crate::userns::remap::KIND => store.settle(&kind, &key)?,
            // With its lease, which is taken and given back together with it.
            "link" => network::release(store, owner.as_str())?,
            "folder" => folder::remove(paths, store, owner)?,
            _ => {}
        }
    }
    Ok(())
}

impl Engine {
    /// Returns the record as it truly is, after correcting it if its supervisor is gone.
    pub(crate) fn refreshed(&self, store: &mut Store, record: Record) -> Result<Record> {
        let folder = self.paths().container_run(&record.id);
        let held = |folder: &Path| {
            lock::is_held(folder, lock::LIFE)
                .map_err(|cause| Error::failed(format_args!("lock {}", folder.display()), cause))
        };
        if !record.observed.state.status.is_supervised() || held(&folder)? {
            return Ok(record);
        }
        let locked = Lock::try_acquire(&folder, lock::LIFE)
            .map_err(|cause| Error::failed(format_args!("lock {}", folder.display()), cause))?;
        // It may have ended, or been started again, since the row was read.
        let record = self.reread(store, &record, lock::LIFE)?;
        if locked.is_none() || !record.observed.state.status.is_supervised() {
            return Ok(record);
        }
        let record = self.correct(store, record)?;
        drop(locked);
        self.resume(store, record)
    }

    /// Starts a container again whose supervisor was killed, when its policy wants it. Whoever holds
    /// its verbs lock decides otherwise, and the next command sees to what is left to do.
    fn resume(&self, store: &mut Store, record: Record) -> Result<Record> {
        if record.observed.state.status != Status::Restarting {
            return Ok(record);
        }
        let folder = self.paths().container_run(&record.id);
        let failed = |cause| Error::failed(format_args!("lock {}", folder.display()), cause);
        let Some(verbs) = Lock::try_acquire(&folder, lock::VERBS).map_err(failed)? else {
            return Ok(record);
        };
        if lock::is_held(&folder, lock::LIFE).map_err(failed)? {
            return Ok(record);
        }
        let channel = self.spawn(&verbs, &record, None, true)?;
        drop(verbs);
        if channel.is_readable_within(RESUMED_WITHIN) {
            // Whatever came of it, the row says it.
            return store.container(record.id.as_str());
        }
        Ok(record)
    }

    /// Tells the truth about a container whose supervisor is gone. The caller holds its life lock.
    pub(crate) fn correct(&self, store: &mut Store, mut record: Record) -> Result<Record> {
        let folder = self.paths().container_run(&record.id);
        // On a full disk nothing can be written down. What is true is told all the same, and found
        // out again by the next one who looks.
        let unless_full = |result: Result<()>| match result {
            Err(error) if error.is_full() => Ok(()),
            result => result,
        };
        unless_full(give_back(self.paths(), store, &record.id))?;
        let note = std::fs::read(folder.join(NOTE)).ok();
        match note.and_then(|text| serde_json::from_slice::<Observed>(&text).ok()) {
            Some(noted) if !noted.state.status.is_alive() => record.observed = noted,
            // It waited for its next start, which somebody else has to make now.
            _ if record.observed.state.status == Status::Restarting
                && record.observed.boot == boot_id() =>
            {
                return Ok(record);
            }
            _ => {
                let state = &mut record.observed.state;
                let rebooted = record.observed.boot != boot_id();
                state.status = Status::Exited;
                state.pid = None;
                state.exit_code = if rebooted { 255 } else { 137 };
                state.finished_at = Some(Utc::now());
                state.error = match rebooted {
                    true => "the host was restarted".to_owned(),
                    false => "its supervisor ended unexpectedly, and took it along".to_owned(),
                };
            }
        }
        record.observed.ports.clear();
        let Record { spec, observed, .. } = &mut record;
        let policy = &spec.host.restart_policy;
        let state = &mut observed.state;
        // After a restart of the host it is up to `boot`.
        if observed.boot == boot_id()
            && state.status != Status::Restarting
            && !observed.stopped
            && policy.wants_restart(state.exit_code, state.restart_count, observed.stopped)
        {
            state.status = Status::Restarting;
            state.restart_count = state.restart_count.saturating_add(1);
        }
        let attributes = vec![("exitCode", record.observed.state.exit_code.to_string())];
        if record.spec.host.auto_remove {
            store.remove_container(
                &record,
                &[("die", attributes), ("destroy", Vec::new())],
                true,
            )?;
            folder::remove(self.paths(), store, &record.id)?;
            crate::image::Images::new(store, self.paths()).collect()?;
        } else {
            unless_full(store.observe(&record, "die", &attributes))?;
            self.record_end(&record);
            // The note is now told; one that stays would be told again.
            let _ = std::fs::remove_file(folder.join(NOTE));
        }
        Ok(record)
    }

    /// Gives back what containers that no longer run, or no longer exist, still have: the traces of
    /// supervisors that were killed while they cleaned up. `alive` are those that run.
    pub(crate) fn sweep(&self, store: &mut Store, alive: &BTreeSet<ContainerId>) -> Result<()> {
        volume::sweep(self.paths(), store)?;
        let owners: BTreeSet<String> =
            store.journalled()?.into_iter().map(|(_, _, owner)| owner).collect();
        for owner in owners {
            let Ok(id) = owner.parse::<ContainerId>() else { continue };
            if alive.contains(&id) {
                continue;
            }
            let folder = self.paths().container_run(&id);
            // Held by a supervisor that is starting or still cleaning up.
            if let Ok(Some(_life)) = Lock::try_acquire(&folder, lock::LIFE) {
                let row = store.container(id.as_str());
                if row.as_ref().is_ok_and(|r| r.observed.state.status.is_alive()) {
                    continue;
                }
                match give_back(self.paths(), store, &id) {
                    // For a later sweep, which finds room.
                    Err(error) if error.is_full() => continue,
                    result => result?,
                }
                if row.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
                    lock::forget(&folder, lock::LIFE);
                }
            }
        }
        Ok(())
    }

    /// Removes the lock folders of containers that aren't there: what is left when somebody is killed
    /// between a look-up and the lock, or between the lock and a new row. `known` are those with rows.
    pub(crate) fn sweep_locks(&self, store: &Store, known: &BTreeSet<ContainerId>) -> Result<()> {
        let parent = self.paths().run().join("containers");
        let Ok(entries) = std::fs::read_dir(&parent) else { return Ok(()) };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse::<ContainerId>().ok()) else {
                continue;
            };
            if known.contains(&id) {
                continue;
            }
            // Held by whoever is making it, or is at its end.
            let Ok(Some(_locks)) = Idle::try_acquire(&entry.path()) else { continue };
            let row = store.container(id.as_str());
            let gone = row.is_err_and(|error| error.kind() == ErrorKind::NotFound);
            if gone && store.journalled_for(&id)?.is_empty() {
                // Somebody else may be doing the same.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        Ok(())
    }

    /// Waits for the supervisors of removed containers that are still giving back, and gives back
    /// what is left of others.
    pub(crate) fn settle_all(&self, store: &mut Store) -> Result<()> {
        let mut owners: Vec<String> =
            store.journalled()?.into_iter().map(|(_, _, owner)| owner).collect();
        owners.extend(network::endpoints(store)?.into_keys().map(String::from));
        owners.sort_unstable();
        owners.dedup();
        for owner in owners {
            let Ok(id) = owner.parse::<ContainerId>() else { continue };
            let folder = self.paths().container_run(&id);
            let _life = Lock::acquire(&folder, lock::LIFE)
                .map_err(|cause| Error::failed(format_args!("lock {}", folder.display()), cause))?;
            give_back(self.paths(), store, &id)?;
        }
        Ok(())
    }
}
