//! `clone3`: a child in new namespaces that goes on with a copy of this process.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Which namespaces a child gets anew, as `CLONE_NEW*` bits, and what else is asked of `clone3`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u64);

impl Flags {
    /// Nothing new: like `fork`.
    pub const NONE: Self = Self(0);
    /// A mount namespace.
    pub const MOUNT: Self = Self(libc::CLONE_NEWNS as u64);
    /// A PID namespace, in which the child is process 1.
    pub const PID: Self = Self(libc::CLONE_NEWPID as u64);
    /// A network namespace.
    pub const NETWORK: Self = Self(libc::CLONE_NEWNET as u64);
    /// A UTS namespace (host name).
    pub const UTS: Self = Self(libc::CLONE_NEWUTS as u64);
    /// An IPC namespace.
    pub const IPC: Self = Self(libc::CLONE_NEWIPC as u64);
    /// A user namespace, in which the child has every capability and nobody is mapped yet. All other
    /// namespaces made with it belong to it.
    pub const USER: Self = Self(libc::CLONE_NEWUSER as u64);
    /// The child's parent is the caller's parent.
    pub const SIBLING: Self = Self(libc::CLONE_PARENT as u64);

    /// Returns these and those.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A process made by [`clone`].
#[derive(Debug)]
pub struct Child {
    /// Its number in the caller's PID namespace.
    pub pid: i32,
    /// A handle to it that can't come to mean another process.
    pub pidfd: OwnedFd,
}

/// From linux/sched.h; the libc crate's constant has too narrow a type.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// `struct clone_args` of linux/sched.h, as of Linux 5.7.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Runs `child` in a new process with a copy of this one's memory and descriptors, and returns a
/// handle to it. The new process ends with the code that `child` returns. With `cgroup`, a
/// descriptor of a cgroup v2 folder, it starts in that cgroup.
///
/// The caller must have one thread only: locks that other threads hold would stay locked for ever in
/// the child. Debug builds check it.
///
/// # Errors
/// What `clone3` says.
pub fn clone(
    flags: Flags,
    cgroup: Option<BorrowedFd<'_>>,
    child: impl FnOnce() -> i32,
) -> io::Result<Child> {
    debug_assert_eq!(
        std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count),
        1,
        "clone from a process with several threads"
    );
    let mut pidfd: libc::c_int = -1;
    let mut args = CloneArgs {
        flags: flags.0 | libc::CLONE_PIDFD as u64,
        pidfd: &raw mut pidfd as u64,
        // With CLONE_PARENT the kernel takes the caller's own exit signal, and refuses another.
        exit_signal: if flags.0 & Flags::SIBLING.0 != 0 { 0 } else { libc::SIGCHLD as u64 },
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::from(cgroup.as_raw_fd().unsigned_abs());
    }
    // SAFETY: the arguments are a live, correctly laid out `clone_args` of the size given, whose
    // `pidfd` points to a live int. Without CLONE_VM the child has its own copy of the address
    // space, and it uses this stack only within its copy. The process has one thread (see above),
    // so the copy holds no lock of another thread.
    let pid = unsafe {
        libc::syscall(libc::SYS_clone3, &raw const args, std::mem::size_of::<CloneArgs>())
    };
    match pid {
        0 => {
            let code = child();
            // SAFETY: `_exit` only ends this process; no destructor or exit handler of the parent's
            // runs twice.
            unsafe { libc::_exit(code) }
        }
        pid if pid > 0 => {
            // SAFETY: on success the kernel stored a new descriptor, which nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Child { pid: i32::try_from(pid).unwrap_or(i32::MAX), pidfd })
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// Runs `child` in a new process with a copy of this one's memory and descriptors, and returns its
/// number. For a process inside a container, where the system call filter doesn't know `clone3`.
///
/// The caller must have one thread only, as for [`clone`].
///
/// # Errors
/// What `fork` says.
pub fn fork(child: impl FnOnce() -> i32) -> io::Result<i32> {
    // SAFETY: the process has one thread (see above), so the copy holds no lock of another one.
    match unsafe { libc::fork() } {
        0 => {
            let code = child();
            // SAFETY: as in `clone`.
            unsafe { libc::_exit(code) }
        }
        pid if pid > 0 => Ok(pid),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The test harness has several threads, so `clone` itself is exercised by the engine's tests;
    // here only the shape of what goes to the kernel.
    #[test]
    fn clone_args_have_the_size_of_linux_5_7() {
        assert_eq!(std::mem::size_of::<CloneArgs>(), 88);
    }

    #[test]
    fn flags_add_up() {
        let both = Flags::MOUNT.and(Flags::PID);
        assert_eq!(both, Flags(0x2002_0000));
        assert_eq!(Flags::NONE.and(Flags::UTS), Flags::UTS);
    }
}
