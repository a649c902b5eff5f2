//! User namespaces: who is who inside and outside.
//!
//! Two things make one. A container that is *remapped* (`--userns`) gets a user namespace of its own
//! below the engine's: its root is nobody outside. An ordinary user's engine enters one as a whole
//! ([`crate::rootless`]), and all its containers share it. What both have in common is here: the
//! numbers of `/etc/subuid` and `/etc/subgid`, and what can't be done in such a namespace.

pub(crate) mod devices;
pub(crate) mod limits;
mod map;
pub(crate) mod remap;
mod setting;
pub(crate) mod subid;
pub(crate) mod trees;

use std::fs::File;
use std::os::fd::AsFd;

pub(crate) use map::{IdMap, Owners, Range};

/// Returns whether this process is in a user namespace below the machine's own: then nobody here may
/// make device nodes, filter devices or write `trusted.` attributes.
pub(crate) fn is_nested() -> bool {
    !wharf_sys::namespace::is_initial_user()
}

/// Returns whether this process may change its network namespace. An ordinary user's engine may not:
/// it shares the host's.
pub(crate) fn owns_network() -> bool {
    if !is_nested() {
        return true;
    }
    // The kernel tells the owner only of what belongs to this namespace or one below it.
    File::open("/proc/self/ns/net")
        .is_ok_and(|network| wharf_sys::namespace::owner(network.as_fd()).is_ok())
}

/// Returns the attribute by which an overlay that is mounted here knows a folder that hides those
/// below it. Whiteouts are the same everywhere: a character device 0:0.
pub(crate) fn opaque_attribute() -> &'static str {
    if is_nested() { "user.overlay.opaque" } else { "trusted.overlay.opaque" }
}

/// Returns the number of users that are mapped here from 0 on, and that of groups.
pub(crate) fn mapped() -> (u32, u32) {
    let count = |file: &str| {
        std::fs::read_to_string(file).map_or(u32::MAX, |text| IdMap::parse(&text).contiguous())
    };
    (count("/proc/self/uid_map"), count("/proc/self/gid_map"))
}

/// Returns whether this namespace lets processes choose their supplementary groups.
pub(crate) fn may_set_groups() -> bool {
    !std::fs::read_to_string("/proc/self/setgroups").is_ok_and(|text| text.trim() == "deny")
}
