//! Quotas of projects: how much the files below some folders may take together.
//!
//! A folder's project is passed on to what is made in it. The limits are the filesystem's, by the number
//! of the project (`quotactl(2)`, with the commands of linux/dqblk_xfs.h, which ext4 answers too).

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;

/// `struct fsxattr` of linux/fs.h.
#[repr(C)]
#[derive(Default)]
struct FileAttributes {
    flags: u32,
    extent_size: u32,
    extents: u32,
    project: u32,
    cow_extent_size: u32,
    padding: [u8; 8],
}

/// `FS_IOC_FSGETXATTR` and `FS_IOC_FSSETXATTR`.
const GET_ATTRIBUTES: libc::c_ulong = 0x801c_581f;
const SET_ATTRIBUTES: libc::c_ulong = 0x401c_5820;
/// What is made in the folder belongs to its project (`FS_XFLAG_PROJINHERIT`).
const INHERITED: u32 = 0x200;

/// `struct fs_disk_quota` of linux/dqblk_xfs.h.
#[repr(C)]
#[derive(Default)]
struct DiskQuota {
    version: i8,
    flags: i8,
    fields: u16,
    id: u32,
    blocks_hard: u64,
    blocks_soft: u64,
    files_hard: u64,
    files_soft: u64,
    blocks: u64,
    files: u64,
    timers: [i32; 2],
    warnings: [u16; 2],
    timers_high: [i8; 4],
    realtime: [u64; 3],
    realtime_timer: i32,
    realtime_warnings: u16,
    padding: [u8; 10],
}

const VERSION: i8 = 1;
/// `FS_PROJ_QUOTA`.
const OF_PROJECT: i8 = 2;
/// `FS_DQ_BSOFT` and `FS_DQ_BHARD`: which fields count.
const BLOCKS: u16 = 0b1100;
/// The unit of blocks.
const BLOCK: u64 = 512;

/// `Q_XGETQUOTA`, `Q_XSETQLIM`, `Q_XGETQSTAT`, each for projects (`PRJQUOTA`).
const GET: u32 = 0x58_0302;
const SET: u32 = 0x58_0402;
const STATE: u32 = 0x58_0502;
/// `FS_QUOTA_PDQ_ENFD`.
const ENFORCED: u16 = 1 << 5;

/// Returns the project that what is made in a folder belongs to; 0 is none.
///
/// # Errors
/// What the kernel says: `ENOTTY` or `EOPNOTSUPP` for a filesystem that has no projects.
pub fn project(folder: BorrowedFd<'_>) -> io::Result<u32> {
    let found = attributes(folder)?;
    Ok(if found.flags & INHERITED != 0 { found.project } else { 0 })
}

/// Has what is made in a folder from now on belong to a project.
///
/// # Errors
/// What the kernel says: as [`project`], and for who isn't the host's root.
pub fn set_project(folder: BorrowedFd<'_>, project: u32) -> io::Result<()> {
    let mut changed = attributes(folder)?;
    changed.project = project;
    changed.flags |= INHERITED;
    // SAFETY: the descriptor is borrowed for the call, and the structure is the one of that request.
    let result =
        unsafe { libc::ioctl(folder.as_raw_fd(), SET_ATTRIBUTES as _, &raw const changed) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn attributes(folder: BorrowedFd<'_>) -> io::Result<FileAttributes> {
    let mut found = FileAttributes::default();
    // SAFETY: the descriptor is borrowed for the call, and the kernel fills in the structure of that
    // request, which is live.
    let result = unsafe { libc::ioctl(folder.as_raw_fd(), GET_ATTRIBUTES as _, &raw mut found) };
    if result == 0 { Ok(found) } else { Err(io::Error::last_os_error()) }
}

/// Returns whether a folder's filesystem keeps projects within their limits.
pub fn is_enforced(folder: BorrowedFd<'_>) -> bool {
    // `struct fs_quota_stat` takes 80 bytes; the flags are 2 bytes after its beginning.
    let mut state = [0_u16; 64];
    // SAFETY: the array is larger than what that command writes.
    unsafe { control(folder, STATE, 0, state.as_mut_ptr().cast()) }.is_ok()
        && state[1] & ENFORCED != 0
}

/// Returns whether a project has files or a limit.
///
/// # Errors
/// What the kernel says.
pub fn is_taken(folder: BorrowedFd<'_>, project: u32) -> io::Result<bool> {
    let mut found = DiskQuota::default();
    // SAFETY: the structure is the one that the command fills in, and is live.
    match unsafe { control(folder, GET, project, (&raw mut found).cast()) } {
        Ok(()) => Ok(found.blocks > 0 || found.files > 0 || found.blocks_hard > 0),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Sets how many bytes a project may have; 0 is no limit.
///
/// # Errors
/// What the kernel says.
pub fn set_limit(folder: BorrowedFd<'_>, project: u32, bytes: u64) -> io::Result<()> {
    let blocks = bytes.div_ceil(BLOCK);
    let mut wanted = DiskQuota {
        version: VERSION,
        flags: OF_PROJECT,
        fields: BLOCKS,
        id: project,
        blocks_hard: blocks,
        blocks_soft: blocks,
        ..DiskQuota::default()
    };
    // SAFETY: the structure is the one that the command reads, and is live.
    unsafe { control(folder, SET, project, (&raw mut wanted).cast()) }
}

/// Asks the filesystem of a folder; before Linux 5.14 by the name of its device.
///
/// # Safety
/// `data` must point to what the command reads or writes.
unsafe fn control(
    folder: BorrowedFd<'_>,
    command: u32,
    id: u32,
    data: *mut libc::c_void,
) -> io::Result<()> {
    // SAFETY: the descriptor is borrowed for the call; the pointer is the caller's part.
    let result =
        unsafe { libc::syscall(libc::SYS_quotactl_fd, folder.as_raw_fd(), command, id, data) };
    if result == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() != Some(libc::ENOSYS) {
        return Err(error);
    }
    let device = device_of(folder)?;
    // SAFETY: the name is a NUL-terminated string; the pointer is the caller's part.
    let result =
        unsafe { libc::syscall(libc::SYS_quotactl, command, CStr::as_ptr(&device), id, data) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Returns the path of the device that a folder's filesystem is on.
fn device_of(folder: BorrowedFd<'_>) -> io::Result<CString> {
    let number = std::fs::metadata(format!("/proc/self/fd/{}", folder.as_raw_fd()))?.dev();
    let (major, minor) = (libc::major(number), libc::minor(number));
    let about = std::fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/uevent"))?;
    let name = about.lines().find_map(|line| line.strip_prefix("DEVNAME="));
    let name = name.ok_or(io::ErrorKind::NotFound)?;
    Ok(CString::new(format!("/dev/{name}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_kernels_sizes() {
        assert_eq!(std::mem::size_of::<FileAttributes>(), 28);
        assert_eq!(std::mem::size_of::<DiskQuota>(), 112);
    }
}
