//! `update`: other limits, and another restart policy.
//!
//! A running container is changed by its supervisor, which writes the kernel's limits first and the
//! row then. When it is killed in between, the container ends with it, and the row says what the
//! next start will have.

use wharf_model::{ErrorKind, Status, UpdateOptions};

use super::limits;
use super::signal::not_running;
use crate::Result;
use crate::channel::Request;
use crate::engine::Engine;
use crate::state::{Record, Store};

impl Engine {
    /// Changes a container's limits and restart policy, whether it runs or not. Returns docker's
    /// warnings about what this kernel can't do.
    ///
    /// # Errors
    /// When settings conflict, or the kernel refuses (of kind `Conflict` when more memory is in
    /// use); the container is then as it was.
    pub fn update(&self, reference: &str, options: &UpdateOptions) -> Result<Vec<String>> {
        self.with_store(|store| {
            let record = store.container(reference)?;
            let record = self.refreshed(store, record)?;
            let (_, warnings) = limits::updated(&record, options)?;
            // Between two runs its supervisor holds the row as well.
            let status = record.observed.state.status;
            if status.is_alive() || status == Status::Restarting {
                // Without the lock, which a patient `stop` may hold for long.
                match self.update_running(&record, options) {
                    // It has just ended.
                    Err(error) if error.kind() == ErrorKind::NotModified => {}
                    answer => return answer.map(|()| warnings),
                }
            }
            let (_verbs, record) = self.locked(store, record.id.as_str())?;
            match record.observed.state.status.is_alive() {
                // It has been started since; one that doesn't answer now can't be changed.
                true => self.update_running(&record, options).map_err(|error| {
                    let gone = error.kind() == ErrorKind::NotModified;
                    if gone { not_running(&record) } else { error }
                })?,
                false => update_stopped(store, record, options)?,
            }
            Ok(warnings)
        })
    }

    fn update_running(&self, record: &Record, options: &UpdateOptions) -> Result<()> {
        self.ask_running(record, &Request::Update(Box::new(options.clone())))
    }

    /// Asks the supervisor for a change; an error of kind `NotModified` says that there is none any
    /// more.
    pub(crate) fn ask_running(&self, record: &Record, request: &Request) -> Result<()> {
        let channel =
            self.supervisor_of(record).map_err(|error| error.with_kind(ErrorKind::NotModified))?;
        channel
            .send_request(request, &[])
            .map_err(|cause| crate::Error::failed("ask the supervisor", cause))
            .map_err(|error| error.with_kind(ErrorKind::NotModified))?;
        channel.answer().map(drop).map_err(|error| match error.kind() {
            // It ended while it was asked.
            ErrorKind::Unavailable => error.with_kind(ErrorKind::NotModified),
            _ => error,
        })
    }
}

fn update_stopped(store: &mut Store, mut record: Record, options: &UpdateOptions) -> Result<()> {
    record.spec.host = limits::updated(&record, options)?.0;
    store.change_spec(&record, Some("update"))
}
