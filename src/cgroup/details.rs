//! Counters that cost more than they tell, but to who looks closely at one container.

use std::collections::BTreeMap;

use rustix::fd::OwnedFd;
use wharf_model::DeviceCounters;

use crate::group::Group;
use crate::layout::Controller;
use crate::{io, parse};

/// What [`Group::details`] reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Nanoseconds used of each CPU of the host.
    pub cores: Option<Vec<u64>>,
    /// The traffic of each block device.
    pub devices: Option<Vec<DeviceCounters>>,
    /// Why there are no [`Details::cores`].
    pub no_cores: Option<&'static str>,
    /// Why there is no pressure.
    pub no_pressure: Option<&'static str>,
}

/// The open file that counts the use of each CPU.
#[derive(Debug)]
pub struct CoreCounters(OwnedFd);

impl CoreCounters {
    /// Opens that of a group. Every host with version 1's accounting counts by CPU; version 2 has no
    /// such file.
    pub fn of(group: &Group) -> Option<Self> {
        let member = group.member(Controller::Cpuacct)?;
        io::open_read(&member.path.join("cpuacct.usage_percpu")).ok().map(Self)
    }

    /// Returns the nanoseconds used of each CPU; none when they can't be read just now.
    pub fn read(&self) -> Option<Vec<u64>> {
        let mut buffer = [0; io::BUFFER];
        let text = io::reread(&self.0, &mut buffer).ok()?;
        // A number that was cut off at the buffer's end says nothing.
        let end = text.iter().rposition(u8::is_ascii_whitespace)?;
        let cores = text[..end].split(u8::is_ascii_whitespace).filter_map(parse::number);
        Some(cores.collect::<Vec<u64>>()).filter(|cores| !cores.is_empty())
    }
}

impl Group {
    /// Returns what isn't among the usual counters. What can't be read is none.
    pub fn details(&self) -> Details {
        let cores = CoreCounters::of(self).and_then(|counters| counters.read());
        Details {
            no_cores: cores.is_none().then_some("cgroup v2 doesn't count CPU time by core"),
            cores,
            devices: self.block_devices(),
            no_pressure: self.no_pressure(),
        }
    }

    /// Returns all that `memory.stat` says, by the kernel's names; empty without a memory controller.
    pub fn memory_statistics(&self) -> BTreeMap<String, u64> {
        let member = self.member(Controller::Memory);
        let text = member.and_then(|member| io::read(&member.path.join("memory.stat")).ok());
        let text = String::from_utf8(text.unwrap_or_default()).unwrap_or_default();
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        pairs.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
    }

    /// Returns the traffic of each block device.
    fn block_devices(&self) -> Option<Vec<DeviceCounters>> {
        let member = self.member(Controller::Io)?;
        let read = |file: &str| io::read(&member.path.join(file)).ok();
        if member.hierarchy.unified {
            return Some(parse::io_stat_by_device(&read("io.stat")?));
        }
        let bytes = read("blkio.throttle.io_service_bytes_recursive")?;
        let operations = read("blkio.throttle.io_serviced_recursive").unwrap_or_default();
        Some(parse::blkio_by_device(&bytes, &operations))
    }

    /// Returns why the group has no pressure files that can be read.
    fn no_pressure(&self) -> Option<&'static str> {
        let Some(unified) = self.unified() else {
            return Some("pressure is told by cgroup v2 alone, which this host doesn't have");
        };
        match io::read(&unified.path.join("cpu.pressure")) {
            Ok(_) => None,
            Err(rustix::io::Errno::OPNOTSUPP) => {
                Some("the kernel was started without pressure: psi=1 turns it on")
            }
            Err(_) => Some("this kernel doesn't tell the pressure of control groups"),
        }
    }
}
