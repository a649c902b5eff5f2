//! Which volumes a new container gets, and what those hold that are made for it.

use std::collections::BTreeSet;
use std::path::Path;

use chrono::Utc;
use wharf_model::mounts::clean;
use wharf_model::{ErrorKind, HostConfig, Mount, MountKind};

use super::fill::{self, ImageFiles};
use super::folder::{Staged, announce};
use super::record::{New, Volume, VolumeSpec};
use super::{ANONYMOUS, change, check_name, mount};
use crate::container::mounts::MountPoint;
use crate::state::Store;
use crate::{Error, Paths, Result};

/// The volumes of a container that is about to be.
#[derive(Default)]
pub(crate) struct Choice {
    /// The mounts of those without a name of the user's.
    pub(crate) points: Vec<MountPoint>,
    /// The names of all.
    pub(crate) names: Vec<String>,
    /// Those that aren't there yet.
    pub(crate) new: Vec<New>,
    /// Those that can take what the image has only once they are in their place, with the path.
    mounted: Vec<(String, String)>,
}

/// Chooses them, and makes ready those that aren't there. An empty one that is there takes what the
/// image has at its path. `wanted` are the paths that want a volume without a name.
///
/// # Errors
/// With docker's words; nothing but staging folders, which go away by themselves, is left.
pub(crate) fn choose(
    paths: &Paths,
    store: &mut Store,
    host: &HostConfig,
    wanted: &BTreeSet<String>,
    inherited: &[MountPoint],
    lower_dirs: &dyn Fn(&mut Store) -> Result<Vec<std::path::PathBuf>>,
) -> Result<Choice> {
    let mut choice = Choice::default();
    let named = host.binds.iter().filter(|bind| bind.is_volume()).map(|bind| {
        let point = MountPoint::from(bind);
        (point.mount, false)
    });
    let asked = host.mounts.iter().filter(|mount| mount.kind == MountKind::Volume);
    let asked = asked.map(|mount| (mount.clone(), mount.source.is_empty()));
    let mut mounts: Vec<(Mount, bool)> = named.chain(asked).collect();
    let covered = |target: &str| {
        host.binds.iter().any(|bind| bind.target == target)
            || host.mounts.iter().any(|mount| mount.target == target)
            || host.tmpfs.contains_key(target)
            || inherited.iter().any(|point| point.mount.target == target)
    };
    let free: BTreeSet<String> = wanted.iter().map(|path| clean(Path::new(path))).collect();
    for target in free.into_iter().filter(|target| !covered(target)) {
        mounts.push((Mount { kind: MountKind::Volume, target, ..Mount::default() }, true));
    }
    if mounts.is_empty() && inherited.iter().all(|point| point.mount.kind != MountKind::Volume) {
        return Ok(choice);
    }
    let mut image: Option<ImageFiles> = None;
    for (mut mount, anonymous) in mounts {
        if anonymous {
            mount.source = change::made_up()?;
        }
        let name = mount.source.clone();
        let first = !choice.names.contains(&name);
        if first {
            let known = store.find_volume(&name)?;
            let copies = !mount.volume.no_copy && mount.volume.subpath.is_empty();
            let is_mount = match &known {
                Some(volume) => volume.is_mount(),
                None => !mount.volume.options.is_empty(),
            };
            if known.is_none() {
                let volume = volume(&name, &mount, anonymous, host)?;
                choice.new.push(New { volume, staged: Staged::new(paths)? });
            }
            let may_fill = match (&known, is_mount) {
                (_, true) => false,
                (None, false) => true,
                (Some(_), false) => fill::is_empty(&paths.volume_data(&name)),
            };
            if copies && is_mount {
                choice.mounted.push((name.clone(), mount.target.clone()));
            } else if copies && may_fill {
                let files = match &image {
                    Some(files) => files,
                    None => image.insert(ImageFiles::open(paths, lower_dirs(store)?)?),
                };
                if let (None, Some(new)) = (&known, choice.new.last()) {
                    files.copy(&mount.target, &new.staged.data())?;
                } else {
                    fill::existing(paths, store, files, &name, &mount.target)?;
                }
            }
            choice.names.push(name);
        }
        if anonymous {
            // As docker shows it: by how it was asked for.
            let mode =
                if host.mounts.iter().any(|one| one.target == mount.target) { "z" } else { "" };
            choice.points.push(MountPoint { mount, mode: mode.to_owned(), anonymous });
        }
    }
    for point in inherited.iter().filter(|point| point.mount.kind == MountKind::Volume) {
        if !covered_by_own(host, &point.mount.target) && !choice.names.contains(&point.mount.source)
        {
            choice.names.push(point.mount.source.clone());
        }
    }
    let new: Vec<&str> = choice.new.iter().map(|new| new.volume.name.as_str()).collect();
    if !new.is_empty() {
        announce(store, paths, &new)?;
    }
    Ok(choice)
}

fn covered_by_own(host: &HostConfig, target: &str) -> bool {
    host.tmpfs.contains_key(target)
        || host.binds.iter().any(|bind| bind.target == target)
        || host.mounts.iter().any(|mount| mount.target == target)
}

impl Choice {
    /// Fills those whose own mounts have to be there for that.
    ///
    /// # Errors
    /// When one can't be mounted, or its filesystem refuses.
    pub(crate) fn fill_mounted(
        &self,
        paths: &Paths,
        store: &mut Store,
        lower_dirs: &dyn Fn(&mut Store) -> Result<Vec<std::path::PathBuf>>,
    ) -> Result<()> {
        if self.mounted.is_empty() {
            return Ok(());
        }
        let files = ImageFiles::open(paths, lower_dirs(store)?)?;
        self.mounted
            .iter()
            .try_for_each(|(name, target)| fill::mounted(paths, store, &files, name, target))
    }
}

/// Returns the row of a volume that a mount asks for.
fn volume(name: &str, asked: &Mount, anonymous: bool, host: &HostConfig) -> Result<Volume> {
    let failed = |error: Error| Error::new(error.kind(), format!("create {name}: {error}"));
    check_name(name)?;
    let driver = match asked.volume.driver.as_str() {
        "" => &host.volume_driver,
        driver => driver,
    };
    // That it isn't there is a mistake in what was asked for, not the lack of an image.
    change::check_driver(driver).map_err(|error| failed(error.with_kind(ErrorKind::Invalid)))?;
    mount::check(&asked.volume.options).map_err(failed)?;
    let mut labels = asked.volume.labels.clone();
    if anonymous {
        labels.insert(ANONYMOUS.to_owned(), String::new());
    }
    let spec = VolumeSpec { labels, options: asked.volume.options.clone() };
    Ok(Volume { name: name.to_owned(), created: Utc::now(), spec })
}

/// Refuses a path that wants a volume and can't have one.
///
/// # Errors
/// In docker's words.
pub(crate) fn check_targets(wanted: &BTreeSet<String>) -> Result<()> {
    match wanted.iter().find(|path| clean(Path::new(path)) == "/") {
        Some(_) => {
            Err(Error::new(ErrorKind::Invalid, "invalid specification: destination can't be '/'"))
        }
        None => Ok(()),
    }
}
