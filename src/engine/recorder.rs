//! What the supervisors have recorded, and whether they do.

use std::io::ErrorKind as Io;

use chrono::{DateTime, Utc};
use wharf_cgroup::{Group, Layout};
use wharf_model::{ContainerId, DetailSample, Happening, Moment, Recording, What};
use wharf_stats::record::{self, Recorder};

use crate::engine::Engine;
use crate::state::Store;
use crate::supervisor::cgroup_name;
use crate::{Error, Result};

impl Engine {
    /// Returns all that is recorded of a container; nothing, if nothing is.
    ///
    /// # Errors
    /// When there is no such container, or its record can't be read.
    pub fn recording(&self, container: &str) -> Result<Recording> {
        let id = self.with_store(|store| Ok(store.container(container)?.id))?;
        self.read_recording(&id)
    }

    /// Returns what was recorded of every container that there is, and of the host, up to an instant, cut
    /// down to what tells how it was then.
    ///
    /// # Errors
    /// When the containers can't be listed.
    pub fn moment(&self, at: DateTime<Utc>) -> Result<Moment> {
        let mut moment = Moment::default();
        let mut ids = Vec::new();
        self.with_store(|store| {
            store.each_container(|record| {
                ids.push(record.id);
                Ok(())
            })
        })?;
        for id in ids {
            // One that can't be read says nothing, as one that isn't there.
            let recording = record::read_at(&self.paths().record(&id), at).unwrap_or_default();
            moment.containers.push((id, recording));
        }
        moment.host = record::host_at(&self.paths().host_record(), at).unwrap_or_default();
        Ok(moment)
    }

    /// Returns what is measured only of a container that somebody looks at closely.
    ///
    /// # Errors
    /// When there is no such container, or it doesn't run.
    pub fn details(&self, container: &str) -> Result<DetailSample> {
        self.with_store(|store| details(store, &layout()?, container))
    }

    /// Returns as much of several containers, in their order; of those that don't run, nothing.
    ///
    /// # Errors
    /// When none can be measured.
    pub fn details_of(&self, containers: &[ContainerId]) -> Result<Vec<Option<DetailSample>>> {
        let layout = layout()?;
        self.with_store(|store| {
            let mut of = |id: &ContainerId| details(store, &layout, id.as_str()).ok();
            Ok(containers.iter().map(&mut of).collect())
        })
    }

    fn read_recording(&self, id: &ContainerId) -> Result<Recording> {
        let path = self.paths().record(id);
        match record::read(&path) {
            Ok(recording) => Ok(recording),
            Err(cause) if cause.kind() == Io::NotFound => Ok(Recording::default()),
            Err(cause) => Err(Error::failed(format_args!("read {}", path.display()), cause)),
        }
    }

    /// Records the end of a container whose supervisor couldn't.
    pub(crate) fn record_end(&self, record: &crate::state::Record) {
        let state = &record.observed.state;
        let what = What::Event { action: "die".to_owned(), exit_code: Some(state.exit_code) };
        let at = state.finished_at.unwrap_or_else(Utc::now);
        // Where there is no record, or no room in it, the row alone tells.
        if let Ok(mut recorder) = Recorder::open(&self.paths().record(&record.id), None) {
            let _ = recorder.happened(Happening { at, what });
        }
    }

    /// Returns whether supervisors record what their containers do.
    pub fn records(&self) -> bool {
        !self.paths().recorder().exists()
    }

    /// Turns recording on or off, for all containers, at their next sample. What is recorded stays.
    ///
    /// # Errors
    /// When the setting can't be written.
    pub fn set_records(&self, on: bool) -> Result<()> {
        let path = self.paths().recorder();
        let done = match on {
            true => std::fs::remove_file(&path),
            false => std::fs::write(&path, "off\n"),
        };
        match done {
            Err(cause) if !(on && cause.kind() == Io::NotFound) => {
                Err(Error::failed(format_args!("write {}", path.display()), cause))
            }
            _ => Ok(()),
        }
    }
}

fn layout() -> Result<Layout> {
    Layout::detect().map_err(|cause| Error::failed("measure containers", cause))
}

fn details(store: &Store, layout: &Layout, container: &str) -> Result<DetailSample> {
    let record = store.container(container)?;
    let failed = |cause: wharf_cgroup::Error| {
        Error::failed(format_args!("measure container {}", record.id), cause)
    };
    let group = Group::open(layout, &cgroup_name(&record)).map_err(failed)?;
    Ok(wharf_stats::details(&group, record.observed.state.pid))
}
