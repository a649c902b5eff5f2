//! Which of the system calls that cannot be done without the kernel has: asked only when one was missed.

/// What can't be done without, and since which version of Linux it is there.
const NEEDED: &[(libc::c_long, &str, &str)] = &[
    (libc::SYS_close_range, "close_range", "5.9"),
    (libc::SYS_openat2, "openat2", "5.6"),
    (libc::SYS_open_tree, "open_tree", "5.2"),
    (libc::SYS_move_mount, "move_mount", "5.2"),
    (libc::SYS_pidfd_send_signal, "pidfd_send_signal", "5.1"),
    (libc::SYS_pidfd_open, "pidfd_open", "5.3"),
    (libc::SYS_statx, "statx", "4.11"),
    (libc::SYS_seccomp, "seccomp", "3.17"),
    (libc::SYS_getrandom, "getrandom", "3.17"),
    (libc::SYS_setns, "setns", "3.0"),
    (libc::SYS_unshare, "unshare", "2.6.16"),
    (libc::SYS_pivot_root, "pivot_root", "2.4"),
    (libc::SYS_capset, "capset", "2.2"),
    // Last: the filter of a container, which its first process may have by now, hides it on purpose.
    (libc::SYS_clone3, "clone3", "5.3"),
];

/// Returns the name of the first needed system call that isn't there, and the version of Linux that has
/// it; none when all are.
pub fn missing() -> Option<(&'static str, &'static str)> {
    let absent = |number: libc::c_long| {
        // SAFETY: with these arguments none of the calls does anything: descriptors that aren't any,
        // null pointers, flags that don't exist, a range that ends before it begins. `unshare(-1)` and
        // `seccomp(-1)` name no possible set of flags, and are refused.
        let result = unsafe { libc::syscall(number, -1_i64, 0_i64, -1_i64, 0_i64, -1_i64, 0_i64) };
        result == -1 && std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS)
    };
    let found = NEEDED.iter().find(|(number, ..)| absent(*number));
    found.map(|(_, name, since)| (*name, *since))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_changes_nothing_and_finds_all_on_a_kernel_that_will_do() {
        assert_eq!(missing(), None);
    }
}
