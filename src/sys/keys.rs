//! Session keyrings: what `keyctl` offers and no safe crate does.

use std::io;

/// Gives this process, and all that it starts, a new, empty session keyring, so that the keys of the
/// session it was started in are out of reach.
///
/// # Errors
/// What `keyctl` says; `ENOSYS` for a kernel without keys.
pub fn new_session() -> io::Result<()> {
    let unnamed = std::ptr::null::<libc::c_char>();
    // SAFETY: the operation takes a name, and none means a keyring of this process alone.
    let result =
        unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, unnamed) };
    if result >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
