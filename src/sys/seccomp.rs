//! Installing a seccomp filter on this thread.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// One instruction of classic BPF: `struct sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// The operation.
    pub code: u16,
    /// How many instructions to skip when a comparison holds.
    pub jump_true: u8,
    /// How many to skip when it doesn't.
    pub jump_false: u8,
    /// The operand.
    pub k: u32,
}

/// `struct sock_fprog`.
#[repr(C)]
struct Program {
    length: u16,
    instructions: *const Instruction,
}

/// Installs `filter` for this thread and all that it starts, with the flags of
/// `SECCOMP_SET_MODE_FILTER`. Needs CAP_SYS_ADMIN or no_new_privs,
/// and, unlike the crates that do this, doesn't set the latter.
///
/// # Errors
/// What `seccomp` says; `EINVAL` for a program that isn't valid or is too long.
pub fn install(filter: &[Instruction], flags: u32) -> io::Result<()> {
    set_filter(filter, flags).map(drop)
}

/// As [`install`], and returns the descriptor over which somebody answers the calls that the filter
/// leaves to others (`seccomp_unotify(2)`).
///
/// # Errors
/// As for [`install`]; `EBUSY` when another filter of this thread has a listener already.
pub fn install_with_listener(filter: &[Instruction], flags: u32) -> io::Result<OwnedFd> {
    let number = set_filter(filter, flags | FLAG_NEW_LISTENER)?;
    // SAFETY: with this flag the call returns a descriptor that it has just made, and nobody else
    // has it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// `SECCOMP_FILTER_FLAG_NEW_LISTENER` of linux/seccomp.h.
const FLAG_NEW_LISTENER: u32 = 1 << 3;

fn set_filter(filter: &[Instruction], flags: u32) -> io::Result<i32> {
    let length = u16::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = Program { length, instructions: filter.as_ptr() };
    // SAFETY: `program` points to `length` instructions that live through the call; the kernel
    // copies and checks them.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    };
    match i32::try_from(result) {
        Ok(number) if number >= 0 => Ok(number),
        _ => Err(io::Error::last_os_error()),
    }
}
