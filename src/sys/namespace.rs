//! `namespaces(7)`: which user namespace this process is in, and which one another namespace
//! belongs to (`ioctl_ns(2)`).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `NS_GET_USERNS` of linux/nsfs.h: `_IO(0xb7, 1)`.
const NS_GET_USERNS: libc::c_ulong = 0xb701;

/// Returns the user namespace that owns `namespace`.
///
/// # Errors
/// What `ioctl` says: `EPERM` when it is not the caller's own user namespace, nor one below it.
pub fn owner(namespace: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: the request takes no argument and returns a new descriptor or -1.
    let fd = unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_USERNS as _) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor, and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The inode number of the user namespace that the machine begins with: `PROC_USER_INIT_INO` of
/// linux/proc_ns.h.
const INITIAL_USER: u64 = 0xEFFF_FFFD;

/// Returns whether this process is in the machine's first user namespace, where root is root. True
/// as well where that can't be told.
pub fn is_initial_user() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self/ns/user").is_ok_and(|found| found.ino() == INITIAL_USER)
        || !std::path::Path::new("/proc/self/ns/user").exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn the_network_of_root_belongs_to_roots_user_namespace() {
        let network = std::fs::File::open("/proc/self/ns/net").unwrap();
        let found = std::fs::File::from(owner(network.as_fd()).unwrap()).metadata().unwrap();
        let own = std::fs::metadata("/proc/self/ns/user").unwrap();
        assert_eq!((found.dev(), found.ino()), (own.dev(), own.ino()));
    }
}
