//! Giving memory back to the system.

use std::io;

/// Returns to the system what the allocator holds but nobody uses, and unmaps the pages of this
/// program's file that were read while it started. What is needed again is mapped again, from the
/// page cache; a process that mostly waits thereby keeps only what its waiting touches.
///
/// # Errors
/// When `/proc/self/smaps` can't be read; the allocator's memory is given back all the same.
pub fn trim() -> io::Result<()> {
    trim_heaps();
    for (start, length) in clean_file_mappings(&std::fs::read_to_string("/proc/self/smaps")?) {
        // SAFETY: the range is a mapping of this process that nothing can write to and that holds
        // no page of its own (see below), so that each page dropped here is found again, the same,
        // in the file.
        unsafe { libc::madvise(start as *mut libc::c_void, length, libc::MADV_DONTNEED) };
    }
    Ok(())
}

/// Returns to the system what the allocator holds but nobody uses.
pub fn trim_heaps() {
    // SAFETY: glibc's allocator takes its own locks; nothing that is allocated moves.
    unsafe { libc::malloc_trim(0) };
}

/// Lets all threads allocate from so many heaps, where there would be one for each of a program's first
/// threads: each keeps what its thread needed at some time. To be called before there is a second
/// thread.
pub fn limit_heaps(count: i32) {
    // SAFETY: it sets a number of the allocator's.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, count) };
}

/// Returns start and length of the mappings, among those `smaps` lists (proc_pid_smaps(5)), that
/// belong to a file, can't be written, and have no page that differs from the file. The last is not
/// a matter of course: relocated constants are made read-only after they were written.
fn clean_file_mappings(smaps: &str) -> Vec<(usize, usize)> {
    let mut clean = Vec::new();
    let mut current = None;
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(first) = words.next() else { continue };
        if let Some((start, end)) = first.split_once('-') {
            current = None;
            let bounds = (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16));
            let (Ok(start), Ok(end)) = bounds else { continue };
            let permissions = words.next().unwrap_or_default();
            let inode = words.nth(2).unwrap_or("0");
            if permissions.starts_with('r') && !permissions.contains('w') && inode != "0" {
                current = Some((start, end - start));
            }
        } else if first == "Anonymous:"
            && words.next() == Some("0")
            && let Some(mapping) = current.take()
        {
            clean.push(mapping);
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
00400000-00500000 r--p 00000000 fe:00 1234 /usr/bin/wharf
Rss:                 100 kB
Anonymous:             0 kB
VmFlags: rd mr
00500000-00900000 r-xp 00100000 fe:00 1234 /usr/bin/wharf
Anonymous:             0 kB
00900000-00910000 r--p 00500000 fe:00 1234 /usr/bin/wharf
Anonymous:            64 kB
00910000-00920000 rw-p 00510000 fe:00 1234 /usr/bin/wharf
Anonymous:             0 kB
7ffe0000-7fff0000 r--p 00000000 00:00 0    [vvar]
Anonymous:             0 kB
";

    #[test]
    fn only_what_the_file_holds_unchanged_is_dropped() {
        assert_eq!(clean_file_mappings(SMAPS), [(0x40_0000, 0x10_0000), (0x50_0000, 0x40_0000)]);
    }

    #[test]
    fn a_trimmed_process_goes_on() {
        trim().unwrap();
        assert_eq!("still here".len(), 10);
    }
}
