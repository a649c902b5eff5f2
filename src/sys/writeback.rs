//! Writing to the disk ahead of those who wait for it.

use std::os::fd::{AsFd, AsRawFd};

/// Of smaller files the call costs more than it gains.
const WORTH_IT: u64 = 256 << 10;

/// As [`begin`], for a whole file of this size, if that is worth it.
pub fn of_file(file: impl AsFd, size: u64) {
    if size >= WORTH_IT {
        begin(file, 0, 0);
    }
}

/// Begins to write what a file has in memory to the disk, from `offset` on; `length` 0 means to its end.
/// Waits for nothing, and promises nothing: whoever needs it on the disk syncs as before, and finds less
/// left to do.
pub fn begin(file: impl AsFd, offset: u64, length: u64) {
    let (Ok(offset), Ok(length)) = (i64::try_from(offset), i64::try_from(length)) else { return };
    let file = file.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open as long as it is borrowed, and no memory is passed. What the kernel
    // says doesn't matter: see above.
    unsafe { libc::sync_file_range(file, offset, length, libc::SYNC_FILE_RANGE_WRITE) };
}
