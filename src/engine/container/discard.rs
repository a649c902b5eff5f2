//! A removal that can be taken back. The container is ended and put aside under another name, so that
//! its own is free; everything it wrote stays. Whichever command lists containers first once the time
//! is over removes it for good; nothing waits for that, so it doesn't matter who has ended meanwhile.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use wharf_model::{ErrorKind, Status};

use super::stop::SIGKILL;
use crate::channel::Request;
use crate::engine::Engine;
use crate::lock::{self, Lock};
use crate::state::{Record, Store};
use crate::{Error, Result, reconcile};

/// How long a removal can be taken back.
pub(crate) const RESTORABLE: TimeDelta = TimeDelta::minutes(10);

/// What is written down of a container that is put aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Discarded {
    /// Its name before.
    pub(crate) name: String,
    /// Its state before.
    pub(crate) status: Status,
    /// When it is removed for good.
    pub(crate) until: DateTime<Utc>,
}

impl Engine {
    /// Puts a container aside, running or not, for ten minutes in which [`Engine::restore`] brings it
    /// back. One that was run with `--rm` is gone at once: its end is its removal.
    ///
    /// # Errors
    /// When it isn't there, is put aside already, or can't be ended.
    pub fn discard(&self, reference: &str) -> Result<()> {
        self.with_store(|store| {
            // Before the lock, which a patient `stop` may hold for long.
            let record = store.container(reference)?;
            let record = self.refreshed(store, record)?;
            if record.observed.state.status.is_supervised() {
                // A refusal means that it has ended.
                let _ = self.ask(&record, &Request::Signal(SIGKILL));
            }
            let id = record.id.clone();
            let gone = |error: &Error| error.kind() == ErrorKind::NotFound;
            let (_verbs, mut record) = match self.locked(store, id.as_str()) {
                Err(error) if gone(&error) => return Ok(()),
                locked => locked?,
            };
            if record.observed.discarded.is_some() {
                let text = format!("removal of container {} is already in progress", record.name);
                return Err(Error::new(ErrorKind::Conflict, text));
            }
            if record.observed.state.status.is_supervised() {
                self.end_now(store, &record)?;
                record = match store.container(id.as_str()) {
                    Err(error) if gone(&error) => return Ok(()),
                    found => found?,
                };
            }
            let folder = self.paths().container_run(&record.id);
            // The last supervisor may still be cleaning up.
            let _life = Lock::acquire(&folder, lock::LIFE)
                .map_err(|cause| Error::failed(format_args!("lock {}", folder.display()), cause))?;
            reconcile::give_back(self.paths(), store, &record.id)?;
            record.observed.discarded = Some(Discarded {
                name: record.name.clone(),
                status: record.observed.state.status,
                until: Utc::now() + RESTORABLE,
            });
            record.observed.state.status = Status::Removing;
            // Whoever is killed between the two has put it aside under its own name.
            store.observe_all(&record, &[])?;
            let aside = format!("{}.removed-{}", record.name, record.id.short());
            store.rename_container(&record, &aside)
        })
    }

    /// Brings back a container that was put aside, as it was when it had ended.
    ///
    /// # Errors
    /// When it isn't put aside, or somebody else has its name by now.
    pub fn restore(&self, reference: &str) -> Result<()> {
        self.with_store(|store| {
            let (_verbs, mut record) = self.locked(store, reference)?;
            let Some(discarded) = record.observed.discarded.take() else {
                let text = format!("container {} isn't being removed", record.name);
                return Err(Error::new(ErrorKind::Conflict, text));
            };
            if record.name != discarded.name {
                store.rename_container(&record, &discarded.name).map_err(|error| {
                    let text = format!(
                        "{error}; rename the other container, or take this one as \
                         {} with a rename before",
                        record.name
                    );
                    Error::new(error.kind(), text)
                })?;
                record.name = discarded.name;
            }
            record.observed.state.status = discarded.status;
            store.observe_all(&record, &[])
        })
    }

    /// Removes a container that was put aside, once its time is over; returns whether it did. Somebody
    /// who holds it at that moment is left alone.
    pub(crate) fn finish_discarded(&self, store: &mut Store, record: &Record) -> Result<bool> {
        if !is_over(record) {
            return Ok(false);
        }
        let folder = self.paths().container_run(&record.id);
        let locked = Lock::try_acquire(&folder, lock::VERBS)
            .map_err(|cause| Error::failed(format_args!("lock {}", folder.display()), cause))?;
        let Some(_verbs) = locked else { return Ok(false) };
        let record = store.container(record.id.as_str())?;
        if !is_over(&record) {
            return Ok(false);
        }
        self.remove_stopped(store, &record, false)?;
        Ok(true)
    }
}

/// Returns whether a container was put aside and its time is over.
pub(crate) fn is_over(record: &Record) -> bool {
    record.observed.discarded.as_ref().is_some_and(|discarded| discarded.until <= Utc::now())
}

/// Refuses to start what is put aside.
///
/// # Errors
/// In docker's words, when it is.
pub(crate) fn check(record: &Record) -> Result<()> {
    match record.observed.discarded {
        None => Ok(()),
        Some(_) => Err(Error::new(
            ErrorKind::Conflict,
            "container is marked for removal and cannot be started",
        )),
    }
}
