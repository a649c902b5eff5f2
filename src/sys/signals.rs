//! Signals that no safe crate sends, and the signal settings of a fresh process.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// `struct sigaction` as the kernel of x86-64 and arm64 has it.
#[repr(C)]
#[derive(Default)]
struct KernelAction {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

/// Sends a signal by its number, real-time ones included, to the process behind a pidfd.
///
/// # Errors
/// What `pidfd_send_signal` says; `EINVAL` when there is no such signal.
pub fn send(process: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let no_information = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is borrowed for the call, which reads no memory of this process.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            process.as_raw_fd(),
            signal,
            no_information,
            0_u32,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives every signal its default action again. What is ignored stays ignored through `exec`; the
/// Rust runtime ignores SIGPIPE, and a shell may have left others ignored.
pub fn reset() {
    let default = KernelAction::default();
    for signal in 1..=64_i32 {
        // SAFETY: the action is a live structure of the kernel's layout, with an 8-byte mask; the
        // default action runs no code of this process. The system call is made directly because
        // glibc keeps signals 32 and 33 from its callers. For SIGKILL and SIGSTOP it is an error
        // that changes nothing.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                &raw const default,
                std::ptr::null_mut::<KernelAction>(),
                8_usize,
            )
        };
    }
}
