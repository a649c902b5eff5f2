//! `volume create`, `ls`, `inspect`, `rm` and `prune`.

use std::collections::BTreeMap;

use chrono::Utc;
use wharf_inspect::filter::{VolumeFilter, VolumePruneFilter};
use wharf_model::{
    ErrorKind, EventKind, Filters, MountKind, VolumeCreateOptions, VolumeInfo, VolumeUser,
};

use super::folder::{Staged, announce, sweep};
use super::record::{New, Volume, VolumeSpec, insert};
use super::{ANONYMOUS, check_name, lock, mount};
use crate::container::mounts::points;
use crate::engine::Engine;
use crate::state::{Record, Store};
use crate::{Error, Result, disk};

/// The only driver there is.
pub(crate) const DRIVER: &str = "local";

/// Where volumes are known.
pub(crate) const SCOPE: &str = "local";

/// What was removed together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The names of the volumes that are gone.
    pub deleted: Vec<String>,
    /// How many bytes of the disk they had.
    pub reclaimed: u64,
    /// Why others are still there.
    pub failed: Vec<String>,
}

/// Refuses a driver that isn't there.
pub(super) fn check_driver(driver: &str) -> Result<()> {
    match driver {
        "" | DRIVER => Ok(()),
        other => Err(Error::new(
            ErrorKind::NotFound,
            format!("error looking up volume plugin {other}: plugin {other:?} not found"),
        )),
    }
}

/// Returns a name for a volume that was given none.
pub(super) fn made_up() -> Result<String> {
    let mut bytes = [0; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|cause| Error::failed("get random bytes", cause))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Engine {
    /// Makes a volume, unless there is one of that name.
    ///
    /// # Errors
    /// When the name or an option can't be taken.
    pub fn create_volume(&self, options: &VolumeCreateOptions) -> Result<VolumeInfo> {
        let given = options.name.clone().filter(|name| !name.is_empty());
        let mut labels = options.labels.clone();
        let name = match given {
            Some(name) => name,
            None => {
                labels.insert(ANONYMOUS.to_owned(), String::new());
                made_up()?
            }
        };
        let about = |error: Error| Error::new(error.kind(), format!("create {name}: {error}"));
        check_driver(&options.driver).map_err(about)?;
        check_name(&name)?;
        mount::check(&options.options).map_err(about)?;
        let spec = VolumeSpec { labels, options: options.options.clone() };
        self.with_store(|store| {
            if store.find_volume(&name)?.is_none() {
                let volume = Volume { name: name.clone(), created: Utc::now(), spec };
                let new = New { volume, staged: Staged::new(self.paths())? };
                self.add_volume(store, &new)?;
            }
            self.volume_info(store, &name)
        })
    }

    /// Puts a volume in its place; returns whether there was none of its name.
    pub(super) fn add_volume(&self, store: &mut Store, new: &New) -> Result<bool> {
        announce(store, self.paths(), &[&new.volume.name])?;
        store.transaction(|transaction| insert(transaction, self.paths(), new))
    }

    /// Returns the volumes that are wanted, by name; with `sizes` how much disk each takes.
    ///
    /// # Errors
    /// When a filter means nothing.
    pub fn volumes(&self, filters: &Filters, sizes: bool) -> Result<Vec<VolumeInfo>> {
        let filter = VolumeFilter::new(filters)
            .map_err(|cause| Error::new(ErrorKind::Invalid, cause.to_string()))?;
        self.with_store(|store| {
            let mut users = self.volume_users(store)?;
            let all = store.volumes()?.into_iter().map(|volume| {
                let users = users.remove(&volume.name).unwrap_or_default();
                self.described(volume, users)
            });
            let mut wanted: Vec<VolumeInfo> = all.filter(|one| filter.matches(one)).collect();
            for info in wanted.iter_mut().filter(|_| sizes) {
                info.size = Some(self.size_of(&store.volume(&info.name)?)?);
            }
            Ok(wanted)
        })
    }

    /// Returns one volume.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn volume(&self, name: &str) -> Result<VolumeInfo> {
        self.with_store(|store| {
            let mut info = self.volume_info(store, name)?;
            let mut users = self.volume_users(store)?;
            info.users = users.remove(name).unwrap_or_default();
            Ok(info)
        })
    }

    /// Returns who has which volume.
    fn volume_users(&self, store: &mut Store) -> Result<BTreeMap<String, Vec<VolumeUser>>> {
        let mut users: BTreeMap<String, Vec<VolumeUser>> = BTreeMap::new();
        for (volume, user) in
            self.true_records(store, |record| used(&record))?.into_iter().flatten()
        {
            users.entry(volume).or_default().push(user);
        }
        Ok(users)
    }

    /// Returns one volume, without its users.
    pub(super) fn volume_info(&self, store: &Store, name: &str) -> Result<VolumeInfo> {
        Ok(self.described(store.volume(name)?, Vec::new()))
    }

    fn described(&self, volume: Volume, users: Vec<VolumeUser>) -> VolumeInfo {
        VolumeInfo {
            anonymous: volume.is_anonymous(),
            mountpoint: self.paths().volume_data(&volume.name).display().to_string(),
            name: volume.name,
            driver: DRIVER.to_owned(),
            created: Some(volume.created),
            labels: volume.spec.labels,
            options: volume.spec.options,
            scope: SCOPE.to_owned(),
            users,
            size: None,
        }
    }

    /// Returns how many bytes of the disk a volume takes. What is elsewhere by its options counts
    /// only while it is mounted.
    fn size_of(&self, volume: &Volume) -> Result<u64> {
        Ok(disk::blocks(&self.paths().volume_data(&volume.name)))
    }

    /// Removes a volume that no container has. With `force`, one that isn't there counts as removed.
    ///
    /// # Errors
    /// In docker's words, when a container has it.
    pub fn remove_volume(&self, name: &str, force: bool) -> Result<()> {
        self.with_store(|store| match self.drop_volume(store, name) {
            Err(error) if force && error.kind() == ErrorKind::NotFound => Ok(()),
            result => result,
        })
    }

    fn drop_volume(&self, store: &mut Store, name: &str) -> Result<()> {
        store.volume(name)?;
        {
            let _lock = lock(self.paths(), name)?;
            let place = self.paths().volume_data(name);
            if let Some(point) = mount::mounted_below(&place)? {
                return Err(Error::new(
                    ErrorKind::Conflict,
                    format!("remove {name}: {point} is mounted in it: unmount it first"),
                ));
            }
            store.remove_volume(name)?;
        }
        sweep(self.paths(), store)
    }

    /// Removes the volumes that no container has and that `filters` lets through: those without a name
    /// of the user's, or `all`.
    ///
    /// # Errors
    /// When a filter means nothing. A volume that can't be removed is reported and passed over.
    pub fn prune_volumes(&self, all: bool, filters: &Filters) -> Result<Pruned> {
        let filter = VolumePruneFilter::new(filters, all)
            .map_err(|cause| Error::new(ErrorKind::Invalid, cause.to_string()))?;
        let unused = self.volumes(&Filters::from_iter([("dangling", "true")]), false)?;
        self.with_store(|store| {
            let mut pruned = Pruned::default();
            for info in unused.iter().filter(|info| filter.matches(info)) {
                let removed = (|| {
                    let size = self.size_of(&store.volume(&info.name)?)?;
                    self.drop_volume(store, &info.name)?;
                    Ok::<u64, Error>(size)
                })();
                match removed {
                    Ok(size) => {
                        pruned.reclaimed = pruned.reclaimed.saturating_add(size);
                        pruned.deleted.push(info.name.clone());
                    }
                    // Somebody has removed it, or uses it now.
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) if error.to_string().contains("volume is in use") => {}
                    Err(error) => pruned.failed.push(format!("remove {}: {error}", info.name)),
                }
            }
            store.add_prune_event(EventKind::Volume, pruned.reclaimed)?;
            Ok(pruned)
        })
    }
}

/// Returns the volumes that a container has, and how.
fn used(record: &Record) -> Vec<(String, VolumeUser)> {
    let volumes = points(&record.spec).into_iter().map(|point| point.mount);
    volumes
        .filter(|mount| mount.kind == MountKind::Volume)
        .map(|mount| {
            let user = VolumeUser {
                container: record.id.clone(),
                name: record.name.clone(),
                destination: mount.target,
                writable: !mount.read_only,
                running: record.observed.state.status.is_alive(),
            };
            (mount.source, user)
        })
        .collect()
}
