//! What this host's kernel and mounts can limit.

use crate::io;
use crate::layout::{Controller, Layout};

/// One thing that a kernel may be able to limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Memory.
    Memory,
    /// Swap.
    Swap,
    /// Memory that is left to a group when the host runs short.
    MemoryReservation,
    /// How readily a group's memory is swapped out.
    MemorySwappiness,
    /// Waiting for memory instead of being killed.
    OomKillDisable,
    /// CPU weight.
    CpuShares,
    /// CPU time a period.
    CpuQuota,
    /// CPU time of real-time tasks.
    CpuRealtime,
    /// Which CPUs and memory nodes.
    Cpuset,
    /// The number of tasks.
    Pids,
    /// Block device weight.
    BlockWeight,
    /// Weights for single block devices.
    BlockWeightDevice,
    /// Bytes read a second.
    ReadBps,
    /// Bytes written a second.
    WriteBps,
    /// Reads a second.
    ReadIops,
    /// Writes a second.
    WriteIops,
}

/// How version 2 has a feature.
enum InVersion2 {
    /// With its controller.
    Yes,
    No,
    /// With its controller, where this path exists.
    Where(&'static str),
}

impl Feature {
    /// Returns the controller, the files of version 1 of which one tells, and version 2's way.
    fn place(self) -> (Controller, &'static [&'static str], InVersion2) {
        use Controller::{Cpu, Cpuset, Io, Memory, Pids};
        use InVersion2::{No, Where, Yes};
        match self {
            Self::Memory => (Memory, &["memory.limit_in_bytes"], Yes),
            // The root group has no file that would tell; a kernel without swap has no such list.
            Self::Swap => (Memory, &["memory.memsw.limit_in_bytes"], Where("/proc/swaps")),
            Self::MemoryReservation => (Memory, &["memory.soft_limit_in_bytes"], Yes),
            Self::MemorySwappiness => (Memory, &["memory.swappiness"], No),
            Self::OomKillDisable => (Memory, &["memory.oom_control"], No),
            Self::CpuShares => (Cpu, &["cpu.shares"], Yes),
            Self::CpuQuota => (Cpu, &["cpu.cfs_quota_us"], Yes),
            Self::CpuRealtime => (Cpu, &["cpu.rt_runtime_us"], No),
            Self::Cpuset => (Cpuset, &["cpuset.cpus"], Yes),
            // The root group has no limit of its own.
            Self::Pids => (Pids, &["cgroup.procs"], Yes),
            // Nor has it a weight of BFQ's, but its counters.
            Self::BlockWeight => (Io, &["blkio.weight", "blkio.bfq.io_serviced"], Yes),
            Self::BlockWeightDevice => (Io, &["blkio.weight_device", "blkio.bfq.io_serviced"], Yes),
            Self::ReadBps => (Io, &["blkio.throttle.read_bps_device"], Yes),
            Self::WriteBps => (Io, &["blkio.throttle.write_bps_device"], Yes),
            Self::ReadIops => (Io, &["blkio.throttle.read_iops_device"], Yes),
            Self::WriteIops => (Io, &["blkio.throttle.write_iops_device"], Yes),
        }
    }
}

impl Layout {
    /// Returns whether this host can limit it.
    pub fn supports(&self, feature: Feature) -> bool {
        let exists =
            |path: &std::path::Path| rustix::fs::access(path, rustix::fs::Access::EXISTS).is_ok();
        let (controller, files, in_version_2) = feature.place();
        let Some(hierarchy) = self.home(controller) else { return false };
        match in_version_2 {
            _ if !hierarchy.unified => files.iter().any(|file| exists(&hierarchy.mount.join(file))),
            InVersion2::Yes => true,
            InVersion2::No => false,
            InVersion2::Where(path) => exists(path.as_ref()),
        }
    }

    /// Returns the CPUs and the memory nodes that a group can be given: `0-3,5`; none without the
    /// controller.
    pub fn cpus_and_memory_nodes(&self) -> Option<(String, String)> {
        let hierarchy = self.home(Controller::Cpuset)?;
        let read = |names: [&str; 2]| {
            let text = io::read(&hierarchy.mount.join(names[usize::from(hierarchy.unified)]));
            text.ok().map(|text| String::from_utf8_lossy(&text).trim().to_owned())
        };
        Some((
            read(["cpuset.cpus", "cpuset.cpus.effective"])?,
            read(["cpuset.mems", "cpuset.mems.effective"])?,
        ))
    }
}
