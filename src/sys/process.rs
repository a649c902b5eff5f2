//! Settings of a process that no safe crate offers: execution domain, and priorities.

use std::io;

fn checked(result: libc::c_long) -> io::Result<()> {
    if result >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sets the execution domain of this process, `personality(2)`.
///
/// # Errors
/// What the kernel says.
pub fn set_personality(domain: u32) -> io::Result<()> {
    // SAFETY: the call takes an integer.
    checked(unsafe { libc::syscall(libc::SYS_personality, libc::c_ulong::from(domain)) })
}

/// Sets the priority of this process's access to block devices, `ioprio_set(2)`: the class (1
/// real-time, 2 best effort, 3 idle), and the level within it, 0 to 7.
///
/// # Errors
/// What the kernel says: `EPERM` for the real-time class without CAP_SYS_ADMIN or CAP_SYS_NICE.
pub fn set_io_priority(class: u8, level: u8) -> io::Result<()> {
    // linux/ioprio.h: who it is about, and where the class lies in the value.
    const WHO_PROCESS: libc::c_long = 1;
    const CLASS_SHIFT: u32 = 13;
    let value = libc::c_long::from(class) << CLASS_SHIFT | libc::c_long::from(level);
    // SAFETY: the call takes integers; 0 is the calling thread.
    checked(unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0 as libc::c_long, value) })
}

/// How a process is scheduled: the fields of `struct sched_attr`, `sched_setattr(2)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scheduling {
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// For the ordinary policies.
    pub nice: i32,
    /// For the real-time policies.
    pub priority: u32,
    /// For deadlines, in nanoseconds.
    pub runtime: u64,
    /// For deadlines, in nanoseconds.
    pub deadline: u64,
    /// For deadlines, in nanoseconds.
    pub period: u64,
}

/// `struct sched_attr` of linux/sched/types.h in its first version.
#[repr(C)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Sets how this process is scheduled.
///
/// # Errors
/// What the kernel says: `EPERM` for what takes CAP_SYS_NICE.
pub fn set_scheduling(wanted: Scheduling) -> io::Result<()> {
    let Scheduling { policy, flags, nice, priority, runtime, deadline, period } = wanted;
    let size = u32::try_from(std::mem::size_of::<Attributes>()).unwrap_or(u32::MAX);
    let attributes = Attributes { size, policy, flags, nice, priority, runtime, deadline, period };
    // SAFETY: the attributes are a live structure of the size that they say; 0 is the calling
    // thread; there are no flags.
    checked(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_may_make_itself_less_important() {
        // Of the testing thread alone.
        std::thread::spawn(|| {
            set_io_priority(3, 0).unwrap();
            // SCHED_BATCH.
            set_scheduling(Scheduling { policy: 3, nice: 5, ..Scheduling::default() }).unwrap();
            set_personality(0).unwrap();
            assert!(set_scheduling(Scheduling { policy: 99, ..Scheduling::default() }).is_err());
        })
        .join()
        .unwrap();
    }
}
