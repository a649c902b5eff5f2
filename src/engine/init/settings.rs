//! Kernel settings of the container's namespaces: docker's own and those of `--sysctl`.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;

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

/// Returns where a setting is below /proc/sys, as sysctl(8) reads names: whichever of the dot and the
/// slash comes first is between the parts, and the other one is a dot within a part, so that both
/// `net.ipv4.conf.eth0/1.forwarding` and `net/ipv4/conf/eth0.1/forwarding` are that of `eth0.1`. None
/// when it is no name, but leads elsewhere.
pub(crate) fn path(name: &str) -> Option<String> {
    let swap = |letter: char| match letter {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    let path: String = match name.find(['.', '/']).map(|at| name.as_bytes()[at]) {
        Some(b'.') => name.chars().map(swap).collect(),
        _ => name.to_owned(),
    };
    let leads_on = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    path.split('/').all(leads_on).then_some(path)
}

/// Sets what is asked for.
pub(super) fn write_all(folder: &OwnedFd, settings: &BTreeMap<String, String>) -> Result<()> {
    settings.iter().try_for_each(|(name, value)| {
        let what = path(name).ok_or(Errno::INVAL);
        what.and_then(|path| set(folder, Path::new(&path), value))
            .map_err(|cause| failed(format_args!("set the sysctl {name} to {value:?}"), cause))
    })
}

fn set(folder: &OwnedFd, path: &Path, value: &str) -> rustix::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let file = rustix::fs::openat2(folder, path, flags, Mode::empty(), resolve)?;
    rustix::io::write(&file, value.as_bytes()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_sysctl_reads_them() {
        for (name, found) in [
            ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
            ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
            ("net.ipv4.conf.eth0/1.forwarding", "net/ipv4/conf/eth0.1/forwarding"),
            ("net/ipv4/conf/eth0.1/forwarding", "net/ipv4/conf/eth0.1/forwarding"),
            ("plain", "plain"),
        ] {
            assert_eq!(path(name).as_deref(), Some(found), "{name}");
        }
        for bad in ["", ".", "net..x", "net/../vm/x", "net.//.vm.x", "/net/x", "net.x.", "net.a\0"]
        {
            assert_eq!(path(bad), None, "{bad}");
        }
    }
}
