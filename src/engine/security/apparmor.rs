//! The AppArmor profile of a program, where the kernel has AppArmor.

use std::path::Path;

use rustix::fs::OFlags;
use wharf_model::ErrorKind;

use crate::init::rootfs::Root;
use crate::{Error, Result};

/// `PROC_SUPER_MAGIC` of linux/magic.h.
const PROC_MAGIC: u64 = 0x9fa0;

/// Returns whether this kernel has AppArmor, switched on.
pub(crate) fn is_on() -> bool {
    std::fs::read("/sys/module/apparmor/parameters/enabled")
        .is_ok_and(|text| text.starts_with(b"Y"))
}

/// Makes the next program of this process run under a profile. Without AppArmor there is nothing to
/// do, as docker has it.
///
/// # Errors
/// When the profile isn't loaded, or /proc isn't the kernel's.
pub(crate) fn on_execution(root: &Root, profile: &str) -> Result<()> {
    if profile == "unconfined" || !is_on() {
        return Ok(());
    }
    let failed = |cause: rustix::io::Errno| {
        Error::new(
            ErrorKind::Invalid,
            format!("apply the apparmor profile {profile:?}: {cause}: is it loaded?"),
        )
    };
    let open = |path: &str| root.path(Path::new(path), OFlags::WRONLY);
    let file = open("/proc/thread-self/attr/apparmor/exec")
        .or_else(|_| open("/proc/thread-self/attr/exec"))
        .map_err(failed)?;
    // What a container puts in its place must not get the word instead.
    let found = rustix::fs::fstatfs(&file).map_err(failed)?;
    if u64::try_from(found.f_type) != Ok(PROC_MAGIC) {
        return Err(Error::failed("apply the apparmor profile", "/proc is not the kernel's"));
    }
    rustix::io::write(&file, format!("exec {profile}").as_bytes()).map(drop).map_err(failed)
}
