//! `rm`.

use wharf_model::{ErrorKind, RemoveOptions};

use super::stop::SIGKILL;
use crate::channel::Request;
use crate::engine::Engine;
use crate::image::Images;
use crate::lock::{self, Lock};
use crate::state::{Record, Store};
use crate::{Error, Result, folder, reconcile};

impl Engine {
    /// Removes a container and all it wrote; one that runs only with `force`, which kills it.
    ///
    /// # Errors
    /// When it runs, or something of it can't be removed.
    pub fn remove(&self, reference: &str, options: RemoveOptions) -> Result<()> {
        self.with_store(|store| {
            if options.force {
                // Before the lock, which a patient `stop` may hold for long.
                let record = store.container(reference)?;
                let record = self.refreshed(store, record)?;
                if record.observed.state.status.is_supervised() {
                    // A refusal means that it has ended.
                    let _ = self.ask(&record, &Request::Signal(SIGKILL));
                }
            }
            let (_verbs, record) = match self.locked(store, reference) {
                // With `--rm`, the end was the removal.
                Err(error) if options.force && error.kind() == ErrorKind::NotFound => return Ok(()),
                locked => locked?,
            };
            if record.observed.state.status.is_supervised() {
                if !options.force {
                    let state = record.observed.state.status.as_str();
                    return Err(Error::new(
                        ErrorKind::Conflict,
                        format!(
                            "cannot remove container \"/{}\": container is {state}: stop the \
                             container before removing or force remove",
                            record.name
                        ),
                    ));
                }
                self.end_now(store, &record)?;
                // With `--rm` its own supervisor has removed it.
                match store.container(record.id.as_str()) {
                    Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                    found => found?,
                };
            }
            self.remove_stopped(store, &record, options.volumes)
        })
    }

    /// Removes a container that doesn't run, and with `volumes` those that it alone has and that have
    /// no name of the user's.
    pub(crate) fn remove_stopped(
        &self,
        store: &mut Store,
        record: &Record,
        volumes: bool,
    ) -> Result<()> {
        let folder = self.paths().container_run(&record.id);
        // The last supervisor may still be cleaning up.
        let _life = Lock::acquire(&folder, lock::LIFE)
            .map_err(|cause| Error::failed(format_args!("lock {}", folder.display()), cause))?;
        let mut remove = || {
            reconcile::give_back(self.paths(), store, &record.id)?;
            store.remove_container(record, &[("destroy", Vec::new())], volumes)
        };
        match remove() {
            // What it wrote may be all that fills the disk; without it, its row can go.
            Err(error) if error.is_full() => {
                folder::empty(self.paths(), &record.id)?;
                remove()?;
            }
            result => result?,
        }
        folder::remove(self.paths(), store, &record.id)?;
        Images::new(store, self.paths()).collect()
    }
}
