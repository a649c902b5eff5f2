//! The kernel's counter files, parsed without allocating.
//!
//! Formats: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/*.rst and accounting/psi.rst of the
//! kernel.

use wharf_model::{BlockCounters, DeviceCounters, Limit, PressureLine};

/// Version 1's way to say "no limit": the greatest multiple of the page size in an i64.
const NO_LIMIT: u64 = 0x7fff_ffff_ffff_f000;

/// Returns the lines.
pub(crate) fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = rest.get(end + 1..).unwrap_or_default();
        Some(line)
    })
}

/// Returns the key and value of each `key value` line.
pub(crate) fn pairs(text: &[u8]) -> impl Iterator<Item = (&[u8], u64)> {
    lines(text).filter_map(|line| {
        let blank = memchr::memchr(b' ', line)?;
        Some((&line[..blank], number(&line[blank + 1..])?))
    })
}

/// Returns the value of one key.
pub(crate) fn keyed(text: &[u8], key: &[u8]) -> Option<u64> {
    pairs(text).find_map(|(name, value)| (name == key).then_some(value))
}

/// Returns a decimal number that may be followed by a line end.
pub(crate) fn number(text: &[u8]) -> Option<u64> {
    let digits = text.trim_ascii_end();
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, digit| {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Returns a limit: a number, or `max`, or version 1's greatest number.
pub(crate) fn limit(text: &[u8]) -> Option<Limit> {
    if text.trim_ascii_end() == b"max" {
        return Some(Limit::Unlimited);
    }
    number(text).map(limit_of)
}

/// Returns the limit that a number of version 1 stands for.
pub(crate) fn limit_of(value: u64) -> Limit {
    if value >= NO_LIMIT { Limit::Unlimited } else { Limit::At(value) }
}

/// Returns the `some` line of a pressure file.
pub(crate) fn pressure(text: &[u8]) -> Option<PressureLine> {
    let line = lines(text).find_map(|line| line.strip_prefix(b"some "))?;
    let mut found = PressureLine { avg10: 0.0, avg60: 0.0, total_us: 0 };
    let mut seen = 0;
    for field in line.split(|byte| *byte == b' ') {
        if let Some(value) = field.strip_prefix(b"avg10=") {
            found.avg10 = decimal(value)?;
        } else if let Some(value) = field.strip_prefix(b"avg60=") {
            found.avg60 = decimal(value)?;
        } else if let Some(value) = field.strip_prefix(b"total=") {
            found.total_us = number(value)?;
        } else {
            continue;
        }
        seen += 1;
    }
    (seen == 3).then_some(found)
}

fn decimal(text: &[u8]) -> Option<f32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Adds up the devices of version 2's `io.stat`: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 …`.
pub(crate) fn io_stat(text: &[u8]) -> BlockCounters {
    let (mut total, mut reads, mut writes) = (BlockCounters::default(), 0, 0);
    for field in lines(text).flat_map(|line| line.split(|byte| *byte == b' ')) {
        let Some(equals) = memchr::memchr(b'=', field) else { continue };
        let Some(value) = number(&field[equals + 1..]) else { continue };
        match &field[..equals] {
            b"rbytes" => total.read_bytes += value,
            b"wbytes" => total.write_bytes += value,
            b"rios" => reads += value,
            b"wios" => writes += value,
            _ => {}
        }
    }
    total.read_ops = Some(reads);
    total.write_ops = Some(writes);
    total
}

/// Adds up the devices of a version 1 `blkio` file, `8:0 Read 1`; returns read and written.
pub(crate) fn blkio(text: &[u8]) -> (u64, u64) {
    let (mut read, mut written) = (0, 0);
    for line in lines(text) {
        let mut fields = line.split(|byte| *byte == b' ').skip(1);
        match (fields.next(), fields.next().and_then(number)) {
            (Some(b"Read"), Some(value)) => read += value,
            (Some(b"Write"), Some(value)) => written += value,
            _ => {}
        }
    }
    (read, written)
}

/// Returns the numbers that a line begins with, `8:16 …`, and the rest of it.
fn device(line: &[u8]) -> Option<((u32, u32), &[u8])> {
    let blank = memchr::memchr(b' ', line)?;
    let (name, rest) = line.split_at(blank);
    let colon = memchr::memchr(b':', name)?;
    let part = |text: &[u8]| u32::try_from(number(text)?).ok();
    Some(((part(&name[..colon])?, part(&name[colon + 1..])?), rest))
}

/// As [`io_stat`], each device by itself.
pub(crate) fn io_stat_by_device(text: &[u8]) -> Vec<DeviceCounters> {
    lines(text)
        .filter_map(|line| {
            let ((major, minor), rest) = device(line)?;
            Some(DeviceCounters { major, minor, counters: io_stat(rest) })
        })
        .collect()
}

/// As [`blkio`], each device by itself, of the files with bytes and with operations.
pub(crate) fn blkio_by_device(bytes: &[u8], operations: &[u8]) -> Vec<DeviceCounters> {
    let mut found: Vec<DeviceCounters> = Vec::new();
    for (text, is_bytes) in [(bytes, true), (operations, false)] {
        for line in lines(text) {
            let Some(((major, minor), _)) = device(line) else { continue };
            let (read, written) = blkio(line);
            let known = found.iter().position(|of| (of.major, of.minor) == (major, minor));
            let at = known.unwrap_or_else(|| {
                found.push(DeviceCounters { major, minor, ..DeviceCounters::default() });
                found.len() - 1
            });
            let counters = &mut found[at].counters;
            if is_bytes {
                counters.read_bytes += read;
                counters.write_bytes += written;
            } else {
                counters.read_ops = Some(counters.read_ops.unwrap_or(0) + read);
                counters.write_ops = Some(counters.write_ops.unwrap_or(0) + written);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyed_files_are_searched_by_the_whole_key() {
        let text = b"oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        assert_eq!(keyed(text, b"oom_kill"), Some(3));
        assert_eq!(keyed(text, b"oom"), None);
        assert_eq!(keyed(b"populated 1\nfrozen 0\n", b"frozen"), Some(0));
    }

    #[test]
    fn devices_are_told_apart() {
        let unified =
            b"8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n259:0 rbytes=5\n8:32 \n";
        let counters = |read_bytes, write_bytes, read_ops, write_ops| BlockCounters {
            read_bytes,
            write_bytes,
            read_ops: Some(read_ops),
            write_ops: Some(write_ops),
        };
        let found = io_stat_by_device(unified);
        assert_eq!(found.len(), 3);
        assert_eq!((found[0].major, found[0].minor), (8, 16));
        assert_eq!(found[0].counters, counters(1, 2, 3, 4));
        assert_eq!((found[1].major, found[1].counters), (259, counters(5, 0, 0, 0)));
        let bytes = b"8:0 Read 10\n8:0 Write 20\n8:0 Total 30\n8:1 Read 7\nTotal 37\n";
        let operations = b"8:0 Read 1\n8:0 Write 2\nTotal 3\n";
        let found = blkio_by_device(bytes, operations);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].counters, counters(10, 20, 1, 2));
        assert_eq!((found[1].minor, found[1].counters.read_bytes), (1, 7));
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        assert_eq!(number(b"184467440737095516150\n"), None);
        assert_eq!(number(b"-1\n"), None);
        assert_eq!(number(b"\n"), None);
        assert_eq!(number(b"18446744073709551615\n"), Some(u64::MAX));
    }

    #[test]
    fn limits_know_both_words_for_none() {
        assert_eq!(limit(b"max\n"), Some(Limit::Unlimited));
        assert_eq!(limit(b"9223372036854771712\n"), Some(Limit::Unlimited));
        assert_eq!(limit(b"67108864\n"), Some(Limit::At(67_108_864)));
        assert_eq!(limit(b""), None);
    }

    #[test]
    fn pressure_is_the_some_line() {
        let text = b"some avg10=0.36 avg60=0.27 avg300=0.23 total=16606937\n\
            full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        let line = pressure(text).unwrap();
        assert_eq!((line.avg10, line.avg60, line.total_us), (0.36, 0.27, 16_606_937));
        assert_eq!(pressure(b"some avg10=0.36\n"), None);
    }

    #[test]
    fn block_devices_are_added_up() {
        let v2 = b"254:16 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0\n\
            254:0 rbytes=90430464 wbytes=299008000 rios=8950 wios=1252 dbytes=0 dios=0\n";
        let sum = io_stat(v2);
        assert_eq!((sum.read_bytes, sum.write_bytes), (91_889_664, 613_781_504));
        assert_eq!((sum.read_ops, sum.write_ops), (Some(9142), Some(1605)));
        let v1 = b"8:0 Read 4096\n8:0 Write 8192\n8:0 Sync 12288\n8:0 Async 0\n8:0 Discard 0\n\
            8:0 Total 12288\n8:16 Read 1\n8:16 Write 2\nTotal 12291\n";
        assert_eq!(blkio(v1), (4097, 8194));
        assert_eq!(blkio(b"Total 0\n"), (0, 0));
    }
}
