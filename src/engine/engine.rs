//! The engine as its callers hold it.

use std::collections::HashMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use wharf_model::{ContainerListOptions, Digest, DiskUsage, ErrorKind, Filters};

use crate::image::{Images, PrunedImages, Removed};
use crate::lock::{self, Lock};
use crate::network;
use crate::state::{Record, Store};
use crate::{Error, Paths, Result, home};

/// How many open databases are kept for the next callers: each has memory and descriptors of its own.
const IDLE: usize = 4;

/// Settings of an engine, which its callers hand in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineOptions {
    /// What is so for networks that the engine makes by itself.
    pub network: network::Settings,
    /// Where containers write that nobody said it of.
    pub log: wharf_model::LogConfig,
    /// What is wrong with the settings and doesn't keep the engine from working, a sentence each, for
    /// those who ask for its facts.
    pub warnings: Vec<String>,
}

impl EngineOptions {
    /// Says where containers write that nobody said it of.
    ///
    /// # Errors
    /// A sentence, when an option isn't the driver's or has no sense.
    pub fn set_log(&mut self, log: wharf_model::LogConfig) -> std::result::Result<(), String> {
        wharf_logs::check(&log)?;
        self.log = log;
        Ok(())
    }
}

/// An engine on this host. Shared between threads; each call is complete in itself.
pub struct Engine {
    paths: Paths,
    options: EngineOptions,
    /// Open databases that nobody uses now.
    idle: Mutex<Vec<Store>>,
    /// What the layers' folders take of the disk, by chain ID, as far as somebody has asked.
    pub(crate) layer_sizes: Mutex<HashMap<Digest, u64>>,
}

impl Engine {
    /// Opens the engine below these folders, making them when they are missing.
    ///
    /// # Errors
    /// When the caller is an ordinary user who hasn't entered ([`crate::rootless::enter`]), or the
    /// folders can't be used.
    pub fn open(paths: Paths) -> Result<Self> {
        Self::open_with(paths, EngineOptions::default())
    }

    /// Opens the engine below these folders, with these settings.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn open_with(paths: Paths, options: EngineOptions) -> Result<Self> {
        Self::need_root()?;
        let engine = Self { paths, options, idle: Mutex::default(), layer_sizes: Mutex::default() };
        if !engine.paths.database().exists() || !engine.paths.volumes().exists() {
            engine.make_folders()?;
        }
        engine.with_store(|store| home::check(&engine.paths, store))?;
        Ok(engine)
    }

    pub(crate) fn need_root() -> Result<()> {
        if rustix::process::geteuid().is_root() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Denied,
            "the embedded engine was opened by an ordinary user outside of the user's namespace",
        ))
    }

    fn make_folders(&self) -> Result<()> {
        let root = self.paths.root();
        let make = |path: &Path, mode: u32| {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(mode)
                .create(path)
                .map_err(|cause| Error::failed(format_args!("make {}", path.display()), cause))
        };
        make(root, 0o711)?;
        // Set-user-id programs of images must not be within reach of the host's users.
        for name in ["containers", "layers", "blobs/sha256", "tmp", "volumes"] {
            make(&root.join(name), 0o700)?;
        }
        make(self.paths.run(), 0o700)
    }

    /// Returns what is so for networks that the engine makes by itself.
    pub(crate) fn network_settings(&self) -> &network::Settings {
        &self.options.network
    }

    /// Returns where containers write that nobody said it of.
    pub(crate) fn log_settings(&self) -> &wharf_model::LogConfig {
        &self.options.log
    }

    /// Returns what is wrong with the settings.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.options.warnings
    }

    /// Returns where the engine keeps what it has.
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Runs `work` with an open database, which is kept for the next caller.
    pub(crate) fn with_store<T>(&self, work: impl FnOnce(&mut Store) -> Result<T>) -> Result<T> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut store = match idle {
            Some(store) => store,
            None => Store::open(&self.paths.database())?,
        };
        let result = work(&mut store).map_err(|error| error.of_database(&self.paths.database()));
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE {
            idle.push(store);
        }
        result
    }

    /// Closes the databases that nobody uses now.
    pub(crate) fn close(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Runs `work` with the images.
    ///
    /// # Errors
    /// What `work` returns, or a database that can't be opened.
    pub fn with_images<T>(&self, work: impl FnOnce(&mut Images<'_>) -> Result<T>) -> Result<T> {
        self.with_store(|store| work(&mut Images::new(store, &self.paths)))
    }

    /// Removes an image's name, and the image with its last one: see [`Images::remove`].
    ///
    /// # Errors
    /// As there.
    pub fn remove_image(&self, reference: &str, force: bool) -> Result<Removed> {
        // A container whose supervisor was killed doesn't run, whatever its row still says.
        self.running()?;
        self.with_images(|images| images.remove(reference, force))
    }

    /// Removes images that no container uses: those without a name, or all.
    ///
    /// # Errors
    /// When a filter means nothing, or the database can't be read.
    pub fn prune_images(&self, all: bool, filters: &Filters) -> Result<PrunedImages> {
        self.with_images(|images| images.prune(all, filters))
    }

    /// Returns how much disk all of it takes. Everything is looked at, which takes its time.
    ///
    /// # Errors
    /// When the database refuses.
    pub fn disk_usage(&self) -> Result<DiskUsage> {
        let options =
            ContainerListOptions { all: true, size: true, ..ContainerListOptions::default() };
        let containers = self.list_containers(&options)?;
        let volumes = self.volumes(&Filters::default(), true)?;
        Ok(self.with_images(|images| images.usage())?.with_objects(containers, volumes))
    }

    /// Finds a container, takes the lock that serialises its verbs, and returns its true record.
    pub(crate) fn locked(&self, store: &mut Store, reference: &str) -> Result<(Lock, Record)> {
        let record = store.container(reference)?;
        let folder = self.paths.container_run(&record.id);
        let lock = Lock::acquire(&folder, lock::VERBS)
            .map_err(|cause| Error::failed(format_args!("lock {}", folder.display()), cause))?;
        // What was read before the lock may be history.
        let record = self.reread(store, &record, lock::VERBS)?;
        let record = self.refreshed(store, record)?;
        Ok((lock, record))
    }

    /// Reads a container's row again under the lock that was taken since. When it has gone
    /// meanwhile, the lock's file may be a new one, which nobody else would remove.
    pub(crate) fn reread(&self, store: &Store, record: &Record, lock: &str) -> Result<Record> {
        store.container(record.id.as_str()).inspect_err(|error| {
            if error.kind() == ErrorKind::NotFound {
                lock::forget(&self.paths().container_run(&record.id), lock);
            }
        })
    }
}
