//! `system check`: what disagrees among the database, the folders and the kernel, and its mending.
//!
//! The engine may be busy meanwhile, and a container that is being started or removed is of two
//! minds. So nothing is believed at first sight: what concerns a container that doesn't run is
//! judged under both of its locks, what concerns layers under the database's write lock, and what
//! concerns running containers when it is still so while their rows haven't changed. A container
//! that somebody works on is that process's business.

mod database;
mod files;
mod kernel;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use wharf_model::{ContainerId, ErrorKind};

use crate::engine::{Engine, EngineOptions};
use crate::lock::{self, Idle};
use crate::state::{Record, Store};
use crate::{Error, Paths, Result};

/// Where something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// The state database.
    Database,
    /// The engine's folders.
    Files,
    /// Cgroups, links, firewall, mounts, processes.
    Kernel,
}

impl Area {
    /// Returns its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Files => "files",
            Self::Kernel => "kernel",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Finding {
    /// Where.
    pub area: Area,
    /// What it is: `container web`, `link wh0123456789ab`.
    pub object: String,
    /// What is wrong with it.
    pub problem: String,
    /// Whether it has been mended.
    pub mended: bool,
    /// What the user can do, where a repair can't do it or has failed; empty otherwise.
    pub way_out: String,
}

/// Checks the engine below these folders, which may be too damaged to be opened, and with `repair`
/// mends what can be mended.
///
/// # Errors
/// When it isn't root who asks, nothing is there to be checked, or the database is of a newer version or
/// can't be read for another reason than damage.
pub fn check(paths: &Paths, options: EngineOptions, repair: bool) -> Result<Vec<Finding>> {
    Engine::need_root()?;
    if !paths.root().is_dir() {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("{}: no engine has its data here", paths.root().display()),
        ));
    }
    let mut findings = Vec::new();
    files::modes(paths, repair, &mut findings);
    let whole = database::file(paths, repair, &mut findings)?;
    if !whole && !repair {
        // Nothing more can be known.
        return Ok(findings);
    }
    let engine = Engine::open_with(paths.clone(), options)?;
    engine.with_store(|store| {
        let mut check = Check {
            engine: &engine,
            store,
            repair,
            // What was lost may yet be wanted: its files are for a second look.
            keep_unknown: !whole,
            unreadable: BTreeSet::new(),
            findings,
        };
        check.references()?;
        let records = check.readable()?;
        check.containers(&records)?;
        check.journal()?;
        check.folders()?;
        check.volumes()?;
        check.layers()?;
        check.blobs()?;
        check.leftovers()?;
        check.groups(&records)?;
        check.network()?;
        check.mounts()?;
        Ok(check.findings)
    })
}

/// A check under way.
struct Check<'a> {
    engine: &'a Engine,
    store: &'a mut Store,
    repair: bool,
    keep_unknown: bool,
    /// Containers whose rows can't be read, and which nothing more can be said of.
    unreadable: BTreeSet<String>,
    findings: Vec<Finding>,
}

/// Returns the finding, mended or not: `mending` is none when it wasn't to be mended.
fn finding(
    area: Area,
    object: String,
    problem: impl Into<String>,
    mending: Option<Result<()>>,
) -> Finding {
    let (mended, way_out) = match mending {
        Some(Ok(())) => (true, String::new()),
        Some(Err(error)) => (false, error.to_string()),
        None => (false, String::new()),
    };
    Finding { area, object, problem: problem.into(), mended, way_out }
}

/// Returns the finding of something that can't be mended here.
fn beyond_repair(
    area: Area,
    object: String,
    problem: impl Into<String>,
    way_out: impl Into<String>,
) -> Finding {
    let (problem, way_out) = (problem.into(), way_out.into());
    Finding { area, object, problem, mended: false, way_out }
}

impl Check<'_> {
    fn add(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    fn paths(&self) -> &Paths {
        self.engine.paths()
    }

    /// Runs `judge` while nobody can work on this container; does nothing if somebody does.
    fn idle(
        &mut self,
        id: &ContainerId,
        judge: impl FnOnce(&mut Self, Option<Record>) -> Result<()>,
    ) -> Result<()> {
        if self.unreadable.contains(id.as_str()) {
            return Ok(());
        }
        let folder = self.paths().container_run(id);
        let failed = |cause| Error::failed(format_args!("lock {}", folder.display()), cause);
        let Some(locks) = Idle::try_acquire(&folder).map_err(failed)? else { return Ok(()) };
        let record = match self.store.container(id.as_str()) {
            Ok(record) => Some(record),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let unknown = record.is_none();
        let judged = judge(self, record);
        if unknown {
            lock::forget(&folder, lock::VERBS);
            lock::forget(&folder, lock::LIFE);
        }
        drop(locks);
        judged
    }

    /// Returns the rows that can be read.
    fn records(&self) -> Result<BTreeMap<ContainerId, Record>> {
        let rows = self.store.container_rows()?.into_iter();
        Ok(rows.filter_map(|(_, row)| row.ok()).map(|row| (row.id.clone(), row)).collect())
    }
}
