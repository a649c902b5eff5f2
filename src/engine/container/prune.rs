//! `container prune`.

use chrono::Utc;
use wharf_inspect::filter::PruneFilter;
use wharf_model::{ContainerId, ErrorKind, EventKind, Filters, Status};

use super::list::summary;
use crate::engine::Engine;
use crate::{Error, Result, disk};

/// What was removed together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The containers that are gone.
    pub deleted: Vec<ContainerId>,
    /// How many bytes they had written.
    pub reclaimed: u64,
    /// Why others are still there.
    pub failed: Vec<String>,
}

impl Engine {
    /// Removes the containers that don't run and that `filters` lets through.
    ///
    /// # Errors
    /// When a filter means nothing, or the database refuses. A container that can't be removed is
    /// reported and passed over.
    pub fn prune(&self, filters: &Filters) -> Result<Pruned> {
        let filter = PruneFilter::new(filters, Utc::now())
            .map_err(|cause| Error::new(ErrorKind::Invalid, cause.to_string()))?;
        let stopped = |status: Status| !status.is_alive() && status != Status::Restarting;
        self.with_store(|store| {
            let mut pruned = Pruned::default();
            let wanted = self.true_records(store, |record| {
                let wanted = stopped(record.observed.state.status)
                    && filter.matches(&summary(self.paths(), &record));
                wanted.then_some((record.id, record.name))
            })?;
            for (id, name) in wanted.into_iter().flatten() {
                let removed = self.locked(store, id.as_str()).and_then(|(_verbs, record)| {
                    // Somebody may have started it meanwhile.
                    if !stopped(record.observed.state.status) {
                        return Ok(None);
                    }
                    let size = disk::usage(&self.paths().container(&record.id).join("upper"));
                    self.remove_stopped(store, &record, false)?;
                    Ok(Some(size))
                });
                match removed {
                    Ok(Some(size)) => {
                        pruned.reclaimed = pruned.reclaimed.saturating_add(size);
                        pruned.deleted.push(id);
                    }
                    Ok(None) => {}
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => pruned.failed.push(format!("remove {name}: {error}")),
                }
            }
            store.add_prune_event(EventKind::Container, pruned.reclaimed)?;
            Ok(pruned)
        })
    }
}
