//! Kernel settings of the container's namespaces: docker's own and those of `--sysctl`.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::Plan;
use super::mounts::failed;
use super::rootfs::Root;
use crate::{Result, userns};

/// Opens /proc/sys while it is just mounted: later it is read-only, and something of the user's may
/// lie over it.
pub(super) fn open(root: &Root) -> Result<OwnedFd> {
    root.path(Path::new("/proc/sys"), OFlags::PATH | OFlags::DIRECTORY)
        .map_err(|cause| failed("open /proc/sys", cause))
}

/// Sets what docker sets for a network namespace of the container's own (ports below 1024 and echo
/// requests need no privilege), and what the user wants set.
pub(super) fn write(folder: &OwnedFd, plan: &Plan) -> Result<()> {
    if plan.network.is_private() {
        for (path, value) in crate::network::NAMESPACE_SETTINGS {
            // Of groups only those that are mapped can be named.
            let value = match value {
                "0 2147483647" if plan.nested || plan.remapped => {
                    let last = userns::mapped().1.saturating_sub(1);
                    format!("0 {}", last.min(i32::MAX.unsigned_abs()))
                }
                value => value.to_owned(),
            };
            match set(folder, Path::new(path), &value) {
                // A kernel without it needs no permission for it.
                Err(Errno::NOENT) => {}
                result => result.map_err(|cause| failed(format_args!("set {path}"), cause))?,
            }
        }
    }
    write_all(folder, &plan.sysctls)
}

/// Sets what is asked for, by names with dots.
pub(super) fn write_all(folder: &OwnedFd, settings: &BTreeMap<String, String>) -> Result<()> {
    settings.iter().try_for_each(|(name, value)| {
        let path = PathBuf::from(name.replace('.', "/"));
        set(folder, &path, value)
            .map_err(|cause| failed(format_args!("set the sysctl {name} to {value:?}"), cause))
    })
}

fn set(folder: &OwnedFd, path: &Path, value: &str) -> rustix::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let file = rustix::fs::openat2(folder, path, flags, Mode::empty(), resolve)?;
    rustix::io::write(&file, value.as_bytes()).map(drop)
}
