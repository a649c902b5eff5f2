//! Descriptors that a process finds: those that it must not keep, and those that it was handed.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// The first descriptor that a service manager hands over, `sd_listen_fds(3)`.
const FIRST_GIVEN: RawFd = 3;

/// Takes over the descriptors that the service manager handed to this process, which stays without
/// them from then on: the second call returns none. `count` is what it says in `LISTEN_FDS`. None of
/// them is passed on to programs that this one executes.
///
/// For a process at its beginning: nothing else in it may own these numbers.
///
/// # Errors
/// When one of them isn't open.
pub fn given(count: u16) -> io::Result<Vec<OwnedFd>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(Vec::new());
    }
    let numbers = FIRST_GIVEN..FIRST_GIVEN + RawFd::from(count);
    for number in numbers.clone() {
        // SAFETY: the call takes integers. A number that isn't open is an error.
        if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // SAFETY: they are open, as the calls above have shown; they were so when the process began, so
    // that nothing in it has made them; and they are taken once.
    Ok(numbers.map(|number| unsafe { OwnedFd::from_raw_fd(number) }).collect())
}

/// Closes every descriptor but the standard three and `keep`.
///
/// For a process at its beginning, which owns nothing yet that an ancestor may have left open, and
/// for one that only executes a program from here on: nothing else that it holds open may be used,
/// nor dropped, afterwards.
///
/// # Errors
/// What `close_range` says; Linux 5.9 has it.
pub fn close_all_but(keep: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut kept: Vec<u32> = keep.iter().map(|fd| fd.as_raw_fd().unsigned_abs()).collect();
    kept.sort_unstable();
    gaps(&kept).try_for_each(|(first, last)| {
        // SAFETY: the call takes three integers. That nobody uses what it closes is the caller's
        // part, see above.
        let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    })
}

/// Returns the ranges of numbers from 3 on, ends included, that are not in `kept`, which is sorted.
fn gaps(kept: &[u32]) -> impl Iterator<Item = (u32, u32)> {
    let ends = kept.iter().map(|fd| i64::from(*fd)).chain([i64::from(u32::MAX) + 1]);
    let starts = std::iter::once(3).chain(kept.iter().map(|fd| i64::from(*fd) + 1));
    starts.zip(ends).filter_map(|(start, end)| {
        let (first, last) = (u32::try_from(start.max(3)).ok()?, u32::try_from(end - 1).ok()?);
        (first <= last).then_some((first, last))
    })
}

#[cfg(test)]
mod tests {
    use super::gaps;

    // The test process's own descriptors are in use; closing is tested on programs in containers.
    #[test]
    fn what_is_kept_lies_between_the_ranges() {
        let ranges = |kept: &[u32]| gaps(kept).collect::<Vec<_>>();
        assert_eq!(ranges(&[]), [(3, u32::MAX)]);
        assert_eq!(ranges(&[3]), [(4, u32::MAX)]);
        assert_eq!(ranges(&[5, 6, 9]), [(3, 4), (7, 8), (10, u32::MAX)]);
        assert_eq!(ranges(&[1, 4]), [(3, 3), (5, u32::MAX)]);
    }
}
