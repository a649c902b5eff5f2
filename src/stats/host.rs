//! The host's counters, from files that stay open.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, fstatvfs, openat};
use wharf_model::{HostSample, Pressure, PressureLine};

/// Nanoseconds in a tick of `/proc/stat` (USER_HZ is 100 on every architecture but alpha).
const TICK_NS: u64 = 10_000_000;

/// The open files; what this kernel doesn't have is none.
#[derive(Debug)]
pub(crate) struct HostReader {
    stat: Option<OwnedFd>,
    loadavg: Option<OwnedFd>,
    meminfo: Option<OwnedFd>,
    pressure: [Option<OwnedFd>; 3],
    root: Option<OwnedFd>,
}

impl HostReader {
    /// Opens them; `root` is the folder whose filesystem is measured.
    pub(crate) fn open(root: &Path) -> Self {
        let file =
            |path: &str| openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok();
        let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Self {
            stat: file("/proc/stat"),
            loadavg: file("/proc/loadavg"),
            meminfo: file("/proc/meminfo"),
            // Opening works where the kernel was started without pressure; reading fails.
            pressure: ["/proc/pressure/cpu", "/proc/pressure/memory", "/proc/pressure/io"]
                .map(file),
            root: openat(CWD, root, folder, Mode::empty()).ok(),
        }
    }

    pub(crate) fn read(&self, at: Duration, buffer: &mut [u8]) -> HostSample {
        let mut sample = HostSample { at, ..HostSample::default() };
        if let Some(text) = read(self.stat.as_ref(), buffer) {
            (sample.busy_ns, sample.cpus) = parse_stat(text);
        }
        if let Some(text) = read(self.loadavg.as_ref(), buffer) {
            sample.load1 = text.split(' ').next().and_then(|n| n.parse().ok());
        }
        if let Some(text) = read(self.meminfo.as_ref(), buffer) {
            sample.memory_total = parse_meminfo(text, "MemTotal:");
            sample.memory_available = parse_meminfo(text, "MemAvailable:");
        }
        let mut line =
            |index: usize| parse_pressure(read(self.pressure.get(index)?.as_ref(), buffer)?);
        sample.pressure = Pressure { cpu: line(0), memory: line(1), io: line(2) };
        if let Some(stat) = self.root.as_ref().and_then(|root| fstatvfs(root).ok()) {
            sample.disk_total = Some(stat.f_blocks.saturating_mul(stat.f_frsize));
            sample.disk_free = Some(stat.f_bavail.saturating_mul(stat.f_frsize));
        }
        sample
    }
}

/// Reads a file from its beginning; what doesn't fit is left out.
fn read<'a>(file: Option<&OwnedFd>, buffer: &'a mut [u8]) -> Option<&'a str> {
    let mut length = 0;
    while length < buffer.len() {
        match rustix::io::pread(file?, &mut buffer[length..], length as u64) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(_) => return None,
        }
    }
    std::str::from_utf8(&buffer[..length]).ok()
}

/// Returns the time all CPUs were busy, and how many there are. Idle and waiting for I/O don't
/// count as busy; guest time is in user time already.
fn parse_stat(text: &str) -> (Option<u64>, Option<u32>) {
    let mut busy = None;
    let mut cpus = 0;
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("cpu") else { break };
        match rest.strip_prefix(' ') {
            Some(numbers) => {
                let ticks: Vec<u64> =
                    numbers.split_ascii_whitespace().filter_map(|n| n.parse().ok()).collect();
                // user nice system idle iowait irq softirq steal
                if let [user, nice, system, _, _, irq, softirq, steal, ..] = ticks[..] {
                    let sum = user + nice + system + irq + softirq + steal;
                    busy = Some(sum.saturating_mul(TICK_NS));
                }
            }
            None => cpus += 1,
        }
    }
    (busy, (cpus > 0).then_some(cpus))
}

fn parse_meminfo(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1024)
}

/// Returns the `some` line of a pressure file.
fn parse_pressure(text: &str) -> Option<PressureLine> {
    let line = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let field = |key: &str| line.split(' ').find_map(|word| word.strip_prefix(key));
    Some(PressureLine {
        avg10: field("avg10=")?.parse().ok()?,
        avg60: field("avg60=")?.parse().ok()?,
        total_us: field("total=")?.trim_end().parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_understood() {
        let stat = "cpu  100 1 20 9999 50 2 3 4 7 0\ncpu0 50 0 10 5000 25 1 1 2 3 0\n\
                    cpu1 50 1 10 4999 25 1 2 2 4 0\nintr 12345 0 1\nctxt 5\n";
        assert_eq!(parse_stat(stat), (Some(1_300_000_000), Some(2)));
        assert_eq!(parse_stat(""), (None, None));
        let meminfo = "MemTotal:       24547804 kB\nMemFree:  1 kB\nMemAvailable:   24018676 kB\n";
        assert_eq!(parse_meminfo(meminfo, "MemTotal:"), Some(25_136_951_296));
        assert_eq!(parse_meminfo(meminfo, "MemAvailable:"), Some(24_595_124_224));
        assert_eq!(parse_meminfo(meminfo, "SwapTotal:"), None);
        let pressure = "some avg10=1.50 avg60=0.25 avg300=0.00 total=123456\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        assert_eq!(
            parse_pressure(pressure),
            Some(PressureLine { avg10: 1.5, avg60: 0.25, total_us: 123_456 })
        );
    }

    #[test]
    fn this_host_has_what_every_linux_has() {
        let reader = HostReader::open(Path::new("/"));
        let mut buffer = vec![0; 16 * 1024];
        let at = Duration::from_secs(1);
        let first = reader.read(at, &mut buffer);
        assert!(first.cpus.unwrap() >= 1);
        assert!(first.memory_total.unwrap() > first.memory_available.unwrap());
        assert!(first.disk_total.unwrap() >= first.disk_free.unwrap());
        assert!(first.load1.unwrap() >= 0.0);
        // The kept files give new values: burn time until the kernel has counted some.
        let mut second = reader.read(at, &mut buffer);
        while second.busy_ns == first.busy_ns {
            second = reader.read(at, &mut buffer);
        }
        assert!(second.busy_ns > first.busy_ns);
    }
}
