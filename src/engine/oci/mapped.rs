//! Owners that are others outside: the maps of a container's user namespace, and of single mounts.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use wharf_model::ErrorKind;
use wharf_sys::clone::{Child, Flags, clone};

use super::plan;
use super::spec::{Config, IdMapping};
use crate::init::listed::{Listed, What, open_source};
use crate::init::program::tie;
use crate::supervisor::reap;
use crate::userns::remap::Maps;
use crate::{Error, Result, rootless};

/// Writes the maps of a process's new user namespace.
///
/// # Errors
/// When they aren't allowed, or overlap.
pub(super) fn write(child: &Child, users: &[IdMapping], groups: &[IdMapping]) -> Result<()> {
    let (users, groups) = (plan::map(users)?, plan::map(groups)?);
    match rustix::process::geteuid().is_root() {
        true => Maps::of(users, groups).apply(child).map(drop),
        false => rootless::write_maps(child, users, groups),
    }
}

/// Opens the sources of those mounts that show other owners, by their places among all of them. The
/// container's first process couldn't: it may be root in its own user namespace alone.
///
/// # Errors
/// When a filesystem can't show other owners, or a source isn't there.
pub(super) fn trees(config: &Config, mounts: &[Listed]) -> Result<BTreeMap<usize, OwnedFd>> {
    let mut trees = BTreeMap::new();
    for (index, (listed, mount)) in mounts.iter().zip(&config.mounts).enumerate() {
        let (Some(recursive), What::Bind { source, recursive: whole }) =
            (listed.mapped, &listed.what)
        else {
            continue;
        };
        let (users, groups) = match mount.uid_mappings.is_empty() {
            true => (&config.linux.uid_mappings, &config.linux.gid_mappings),
            false => (&mount.uid_mappings, &mount.gid_mappings),
        };
        let what = || format!("mount on {}", listed.target.display());
        if users.is_empty() || groups.is_empty() {
            let text = format!("{}: it has no uidMappings and gidMappings", what());
            return Err(Error::new(ErrorKind::Invalid, text));
        }
        let namespace = namespace(users, groups)?;
        let tree = open_source(source, *whole).map_err(|cause| {
            Error::failed(format_args!("{}: {}", what(), source.display()), cause)
        })?;
        wharf_sys::mount::map_ids(tree.as_fd(), namespace.as_fd(), recursive).map_err(|cause| {
            match Errno::from_io_error(&cause) {
                Some(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => Error::new(
                    ErrorKind::Unsupported,
                    format!(
                        "{}: the filesystem of {} can't show other owners on this kernel (id-mapped \
                         mounts)",
                        what(),
                        source.display()
                    ),
                ),
                _ => Error::failed(format_args!("{}: map owners", what()), cause),
            }
        })?;
        trees.insert(index, tree);
    }
    Ok(trees)
}

/// Returns a user namespace with these maps. Nobody is in it.
fn namespace(users: &[IdMapping], groups: &[IdMapping]) -> Result<File> {
    let maps = Maps::of(plan::map(users)?, plan::map(groups)?);
    // A namespace has its maps from outside, by way of a process in it.
    let child = clone(Flags::USER, None, || {
        let _ = tie();
        nix::unistd::pause();
        0
    })
    .map_err(|cause| Error::failed("make a user namespace", cause))?;
    let made = maps.apply(&child);
    // It is this process's child: it can't be gone before it is reaped.
    let _ = rustix::process::pidfd_send_signal(&child.pidfd, rustix::process::Signal::KILL);
    let _ = reap(&child);
    made
}
