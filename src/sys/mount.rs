//! `mount_setattr`: properties of a mount and all below it in one call.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Forbids writes through the mount.
pub const READ_ONLY: u64 = 0x1;
/// Ignores set-user-id bits and file capabilities.
pub const NO_SUID: u64 = 0x2;
/// Ignores device nodes.
pub const NO_DEVICES: u64 = 0x4;
/// Refuses to execute programs.
pub const NO_EXEC: u64 = 0x8;
/// All bits that say when the time of the last access is written; no bit is `relatime`.
pub const ACCESS_TIMES: u64 = 0x70;
/// Never writes it.
pub const NO_ACCESS_TIMES: u64 = 0x10;
/// Always writes it.
pub const STRICT_ACCESS_TIMES: u64 = 0x20;
/// Never writes it for folders.
pub const NO_FOLDER_ACCESS_TIMES: u64 = 0x80;
/// Follows no symbolic links (Linux 5.14).
pub const NO_LINKS: u64 = 0x20_0000;

/// `struct mount_attr` of linux/mount.h.
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Shows owners as a user namespace maps them.
const ID_MAPPED: u64 = 0x10_0000;

/// Sets the properties `set` on the mount that `fd` is the root of, and with `recursive` on all
/// mounts below it.
///
/// # Errors
/// What `mount_setattr` says; `ENOSYS` before Linux 5.12.
pub fn set_attributes(fd: BorrowedFd<'_>, set: u64, recursive: bool) -> io::Result<()> {
    set_attr(fd, &MountAttr { set, clear: 0, propagation: 0, user_namespace: 0 }, recursive)
}

/// As [`set_attributes`], and takes the properties `clear` away.
///
/// # Errors
/// As for [`set_attributes`].
pub fn change_attributes(
    fd: BorrowedFd<'_>,
    set: u64,
    clear: u64,
    recursive: bool,
) -> io::Result<()> {
    set_attr(fd, &MountAttr { set, clear, propagation: 0, user_namespace: 0 }, recursive)
}

/// Makes a mount that is not yet in any namespace, and with `recursive` all below it, show owners as
/// `user_namespace` maps them: what belongs to user 0 on the disk belongs to that namespace's root.
///
/// # Errors
/// What `mount_setattr` says: `ENOSYS` before Linux 5.12, `EINVAL` for a filesystem that can't.
pub fn map_ids(
    fd: BorrowedFd<'_>,
    user_namespace: BorrowedFd<'_>,
    recursive: bool,
) -> io::Result<()> {
    let user_namespace = u64::from(user_namespace.as_raw_fd().unsigned_abs());
    set_attr(fd, &MountAttr { set: ID_MAPPED, clear: 0, propagation: 0, user_namespace }, recursive)
}

fn set_attr(fd: BorrowedFd<'_>, attributes: &MountAttr, recursive: bool) -> io::Result<()> {
    const EMPTY: &CStr = c"";
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a NUL-terminated string, the attributes are a live `mount_attr` of the
    // size given, and the descriptors are borrowed for the call. The kernel keeps none of them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            EMPTY.as_ptr(),
            flags,
            std::ptr::from_ref(attributes),
            std::mem::size_of::<MountAttr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
