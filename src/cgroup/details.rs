//! Counters that cost more than they tell, but to who looks closely at one container.

use wharf_model::DeviceCounters;

use crate::group::Group;
use crate::layout::Controller;
use crate::{io, parse};

/// What [`Group::details`] reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Nanoseconds used of each CPU of the host.
    pub cores: Option<Vec<u64>>,
    /// Bytes of kernel memory.
    pub kernel: Option<u64>,
    /// The traffic of each block device.
    pub devices: Option<Vec<DeviceCounters>>,
    /// Why there are no [`Details::cores`].
    pub no_cores: Option<&'static str>,
    /// Why there is no pressure.
    pub no_pressure: Option<&'static str>,
}

/// What of version 2's `memory.stat` is the kernel's own, before Linux 5.18 had a sum of it.
const KERNEL: [&[u8]; 5] = [b"slab", b"kernel_stack", b"pagetables", b"percpu", b"sec_pagetables"];

impl Group {
    /// Returns what isn't among the usual counters. What can't be read is none.
    pub fn details(&self) -> Details {
        let read = |controller: Controller, file: &str| {
            io::read(&self.member(controller)?.path.join(file)).ok()
        };
        // Every host with version 1's accounting counts by CPU; version 2 has no such file.
        let cores = read(Controller::Cpuacct, "cpuacct.usage_percpu").map(|text| {
            text.split(u8::is_ascii_whitespace).filter_map(parse::number).collect::<Vec<u64>>()
        });
        let kernel = read(Controller::Memory, "memory.kmem.usage_in_bytes")
            .and_then(|text| parse::number(&text))
            .or_else(|| {
                let text = read(Controller::Memory, "memory.stat")?;
                parse::keyed(&text, b"kernel").or_else(|| {
                    let parts = parse::pairs(&text).filter(|(key, _)| KERNEL.contains(key));
                    parts.map(|(_, bytes)| bytes).reduce(|a, b| a + b)
                })
            });
        let cores = cores.filter(|cores| !cores.is_empty());
        Details {
            no_cores: cores.is_none().then_some("cgroup v2 doesn't count CPU time by core"),
            cores,
            kernel,
            devices: self.block_devices(),
            no_pressure: self.no_pressure(),
        }
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
