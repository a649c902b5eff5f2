//! A container's first process: whether it is there, and the traffic of its network namespace, from
//! `/proc/<pid>/net/dev`.
//!
//! An open `net/dev` file keeps the network namespace alive, and with it the interfaces of a
//! container that has ended (seen on Linux 6.18). So the process's folder is what stays open: it
//! can't come to mean another process, and `net/dev` is opened below it for each reading.

use std::collections::HashMap;
use std::io::Read as _;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, statat};
use wharf_model::NetCounters;

/// Enough for some hundred interfaces.
const INTERFACES: usize = 16 << 10;

/// One process.
#[derive(Debug)]
pub(crate) struct Process {
    folder: OwnedFd,
    /// Whether it has a network of its own; on the host's, the traffic isn't the container's.
    network: bool,
}

impl Process {
    /// Opens a process; none when it is gone.
    pub(crate) fn open(pid: i32) -> Option<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(CWD, format!("/proc/{pid}"), flags, Mode::empty()).ok()?;
        let namespace = |meta: rustix::fs::Stat| (meta.st_dev, meta.st_ino);
        let theirs = statat(&folder, "ns/net", AtFlags::empty()).ok().map(namespace);
        // The first process of the host is on its network; this one may be anywhere.
        let host = statat(CWD, "/proc/1/ns/net", AtFlags::empty())
            .or_else(|_| statat(CWD, "/proc/self/ns/net", AtFlags::empty()))
            .ok()
            .map(namespace);
        Some(Self { folder, network: theirs.is_some() && theirs != host })
    }

    /// Returns whether it is still there.
    pub(crate) fn is_alive(&self) -> bool {
        statat(&self.folder, "stat", AtFlags::empty()).is_ok()
    }

    /// Returns the traffic of its network, and how many interfaces had it besides the loopback; none
    /// when it has no network of its own.
    pub(crate) fn network(&self, buffer: &mut [u8]) -> Option<(NetCounters, usize)> {
        let length = self.read(buffer)?;
        parse(&buffer[..length])
    }

    /// Reads `net/dev`, as far as there is room; none when it has no network of its own.
    fn read(&self, buffer: &mut [u8]) -> Option<usize> {
        if !self.network {
            return None;
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = openat(&self.folder, "net/dev", flags, Mode::empty()).ok()?;
        let mut length = 0;
        while let Ok(count @ 1..) = rustix::io::read(&file, &mut buffer[length..]) {
            length += count;
        }
        Some(length)
    }
}

/// Adds up all interfaces but the loopback.
fn parse(text: &[u8]) -> Option<(NetCounters, usize)> {
    let mut total = NetCounters::default();
    let mut interfaces = 0;
    for (name, counters) in each(text)? {
        if name == "lo" {
            continue;
        }
        let counters = counters?;
        interfaces += 1;
        add(&mut total, counters);
    }
    Some((total, interfaces))
}

fn add(total: &mut NetCounters, more: NetCounters) {
    total.rx_bytes = total.rx_bytes.wrapping_add(more.rx_bytes);
    total.rx_packets = total.rx_packets.wrapping_add(more.rx_packets);
    total.tx_bytes = total.tx_bytes.wrapping_add(more.tx_bytes);
    total.tx_packets = total.tx_packets.wrapping_add(more.tx_packets);
}

/// Returns the interfaces of a `net/dev` file. Columns: bytes and packets received are the first two,
/// bytes and packets sent the ninth and tenth.
fn each(text: &[u8]) -> Option<impl Iterator<Item = (&str, Option<NetCounters>)>> {
    let text = std::str::from_utf8(text).ok()?;
    Some(text.lines().skip(2).map(|line| {
        let (name, numbers) = line.split_once(':').unwrap_or_default();
        let mut numbers = numbers.split_ascii_whitespace().map(|text| text.parse::<u64>().ok());
        let mut counters = || {
            Some(NetCounters {
                rx_bytes: numbers.next()??,
                rx_packets: numbers.next()??,
                tx_bytes: numbers.nth(6)??,
                tx_packets: numbers.next()??,
            })
        };
        (name.trim(), counters())
    }))
}

/// What the links of this process's network namespace had counted at the beginning of a tick.
#[derive(Debug, Default)]
pub(crate) struct Links {
    text: String,
    counters: HashMap<String, NetCounters>,
}

impl Links {
    /// Reads them once; when they aren't `wanted`, or can't be read, none is known.
    pub(crate) fn read(&mut self, wanted: bool) {
        self.counters.clear();
        if !wanted {
            return;
        }
        self.text.clear();
        let file = std::fs::File::open("/proc/self/net/dev");
        if file.and_then(|mut file| file.read_to_string(&mut self.text)).is_ok() {
            let links = each(self.text.as_bytes()).into_iter().flatten();
            let known = links.filter_map(|(name, counters)| Some((name.to_owned(), counters?)));
            self.counters.extend(known);
        }
    }

    /// Returns what passed these links in sum; none when one isn't there.
    pub(crate) fn passed(&self, names: &[String]) -> Option<NetCounters> {
        names.iter().try_fold(NetCounters::default(), |mut sum, name| {
            add(&mut sum, *self.counters.get(name)?);
            Some(sum)
        })
    }
}

/// Returns the traffic of each interface but the loopback of a process's network namespace, in their
/// order; none when the process is gone or has no network of its own.
pub fn interfaces(pid: i32) -> Option<Vec<(String, NetCounters)>> {
    let process = Process::open(pid)?;
    let mut buffer = vec![0; INTERFACES];
    let length = process.read(&mut buffer)?;
    let found = each(&buffer[..length])?;
    let found = found.filter_map(|(name, counters)| Some((name.to_owned(), counters?)));
    Some(found.filter(|(name, _)| name != "lo").collect())
}

/// Returns the traffic of every link of the caller's network namespace.
///
/// # Errors
/// When `/proc` can't be read.
pub fn links() -> std::io::Result<Vec<(String, NetCounters)>> {
    let text = std::fs::read("/proc/self/net/dev")?;
    let links = each(&text).into_iter().flatten();
    Ok(links.filter_map(|(name, counters)| Some((name.to_owned(), counters?))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_added_up() {
        let text = b"Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    9999       9    0    0    0     0          0         0     9999       9    0    0    0     0       0          0
  eth0:    1116      14    0    0    0     0          0         0      656       8    0    0    0     0       0          0
  eth1:1000000000000       1    0    0    0     0          0         0        4       2    0    0    0     0       0          0
";
        assert_eq!(
            parse(text).unwrap(),
            (
                NetCounters {
                    rx_bytes: 1_000_000_001_116,
                    tx_bytes: 660,
                    rx_packets: 15,
                    tx_packets: 10,
                },
                2
            )
        );
        assert_eq!(parse(b"x\ny\n  eth0: 1 2 3\n"), None);
    }
}
