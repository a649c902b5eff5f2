//! The counters of one container, read through files that stay open: one `pread` each, into one
//! buffer on the stack, parsed in place.
//!
//! Where both exist (hybrid hosts) CPU time comes from the version 2 group, which has all of it in
//! one file, the rest from version 1.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use wharf_model::{
    BlockCounters, CpuCounters, Limit, MemoryCounters, PidCounters, Pressure, PressureLine,
};

use crate::error::{Error, Result};
use crate::group::{Group, Member};
use crate::layout::{Controller, Layout};
use crate::{io, parse};

/// What the kernel counted for one group; what it doesn't count is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawCounters {
    /// CPU time.
    pub cpu: Option<CpuCounters>,
    /// Memory.
    pub memory: Option<MemoryCounters>,
    /// Bytes of files in memory that have yet to be written to a block device.
    pub unwritten: Option<u64>,
    /// Block devices.
    pub block: Option<BlockCounters>,
    /// Tasks.
    pub pids: Option<PidCounters>,
    /// Pressure.
    pub pressure: Pressure,
}

/// The open counter files of one group: up to seventeen descriptors, so that a program that watches
/// many should raise its limit on open files.
#[derive(Debug)]
pub struct Counters {
    name: String,
    cpu: Option<CpuFiles>,
    throttling: Option<OwnedFd>,
    quota: Option<QuotaFiles>,
    memory: Option<MemoryFiles>,
    block: Option<BlockFiles>,
    pids: Option<(OwnedFd, Option<OwnedFd>)>,
    pressure: [Option<OwnedFd>; 3],
}

#[derive(Debug)]
enum CpuFiles {
    /// `cpu.stat`.
    Unified(OwnedFd),
    /// `cpuacct.usage` and `cpuacct.stat`.
    Legacy(OwnedFd, Option<OwnedFd>),
}

#[derive(Debug)]
enum QuotaFiles {
    /// `cpu.max`.
    Unified(OwnedFd),
    /// `cpu.cfs_quota_us` and `cpu.cfs_period_us`.
    Legacy(OwnedFd, OwnedFd),
}

#[derive(Debug)]
struct MemoryFiles {
    usage: OwnedFd,
    stat: Option<OwnedFd>,
    /// Version 2; in version 1 the limit is in `memory.stat`.
    max: Option<OwnedFd>,
    /// `memory.oom_control` or `memory.events`.
    kills: Option<OwnedFd>,
    /// Version 1; in version 2 it is in `memory.stat`.
    kernel: Option<OwnedFd>,
}

#[derive(Debug)]
enum BlockFiles {
    /// `io.stat`.
    Unified(OwnedFd),
    /// Bytes and operations.
    Legacy(OwnedFd, Option<OwnedFd>),
}

impl Counters {
    /// Opens the counters of the group `name` (`wharf/<id>`).
    ///
    /// # Errors
    /// [`Error::NotFound`] when no hierarchy has the group.
    pub fn open(layout: &Layout, name: &str) -> Result<Self> {
        Ok(Self::of(&Group::open(layout, name)?))
    }

    /// Opens the counters of a group; those of one that is gone fail when they are read.
    pub fn of(group: &Group) -> Self {
        let unified = group.unified();
        let open =
            |member: Option<&Member>, file: &str| io::open_read(&member?.path.join(file)).ok();
        let is_unified = |member: Option<&Member>| member.is_some_and(|m| m.hierarchy.unified);
        let cpu = group.member(Controller::Cpu);
        let memory = group.member(Controller::Memory);
        let block = group.member(Controller::Io);
        let pids = group.member(Controller::Pids);
        let v2_memory = is_unified(memory);
        Self {
            cpu: open(unified, "cpu.stat").map(CpuFiles::Unified).or_else(|| {
                let member = group.member(Controller::Cpuacct);
                let usage = open(member, "cpuacct.usage")?;
                Some(CpuFiles::Legacy(usage, open(member, "cpuacct.stat")))
            }),
            throttling: open(cpu.filter(|member| !member.hierarchy.unified), "cpu.stat"),
            quota: if is_unified(cpu) {
                open(cpu, "cpu.max").map(QuotaFiles::Unified)
            } else {
                let quota = open(cpu, "cpu.cfs_quota_us").zip(open(cpu, "cpu.cfs_period_us"));
                quota.map(|(quota, period)| QuotaFiles::Legacy(quota, period))
            },
            memory: open(
                memory,
                if v2_memory { "memory.current" } else { "memory.usage_in_bytes" },
            )
            .map(|usage| MemoryFiles {
                usage,
                stat: open(memory, "memory.stat"),
                max: open(memory.filter(|_| v2_memory), "memory.max"),
                kills: open(memory, if v2_memory { "memory.events" } else { "memory.oom_control" }),
                kernel: open(memory.filter(|_| !v2_memory), "memory.kmem.usage_in_bytes"),
            }),
            block: if is_unified(block) {
                open(block, "io.stat").map(BlockFiles::Unified)
            } else {
                open(block, "blkio.throttle.io_service_bytes_recursive").map(|bytes| {
                    let operations = open(block, "blkio.throttle.io_serviced_recursive");
                    BlockFiles::Legacy(bytes, operations)
                })
            },
            pids: open(pids, "pids.current").map(|current| (current, open(pids, "pids.max"))),
            pressure: ["cpu.pressure", "memory.pressure", "io.pressure"]
                .map(|file| open(unified, file)),
            name: group.name().to_owned(),
        }
    }

    /// Returns the counters as they are now.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the group has been removed.
    pub fn read(&mut self) -> Result<RawCounters> {
        let mut reader = Reader { buffer: [0; io::BUFFER], gone: false };
        let cpu = self.read_cpu(&mut reader);
        let memory = self.memory.as_ref().and_then(|files| files.read(&mut reader));
        let counters = RawCounters {
            cpu,
            unwritten: memory.as_ref().and_then(|(_, unwritten)| *unwritten),
            memory: memory.map(|(memory, _)| memory),
            block: self.block.as_ref().and_then(|files| files.read(&mut reader)),
            pids: self.pids.as_ref().and_then(|(current, max)| {
                Some(PidCounters {
                    current: parse::number(reader.read(current)?)?,
                    limit: max.as_ref().and_then(|file| parse::limit(reader.read(file)?)),
                })
            }),
            pressure: Pressure {
                cpu: self.read_pressure(0, &mut reader),
                memory: self.read_pressure(1, &mut reader),
                io: self.read_pressure(2, &mut reader),
            },
        };
        if reader.gone { Err(Error::NotFound(self.name.clone())) } else { Ok(counters) }
    }

    /// Returns whether the group has used no CPU time and, where that is asked for, no block `devices`
    /// since it counted this: a fraction of what a whole reading costs, since the memory controller has
    /// to add up first. What nobody runs in keeps its other counters, too, but for memory that the
    /// kernel reclaims.
    ///
    /// # Errors
    /// As [`Counters::read`].
    pub fn is_quiet_since(&self, before: &RawCounters, devices: bool) -> Result<bool> {
        let mut reader = Reader { buffer: [0; io::BUFFER], gone: false };
        let usage = self.read_usage(&mut reader).map(|cpu| cpu.usage_ns);
        let quiet = usage.is_some()
            && usage == before.cpu.map(|cpu| cpu.usage_ns)
            && (!devices
                || self.block.as_ref().and_then(|files| files.bytes(&mut reader))
                    == before.block.map(|block| (block.read_bytes, block.write_bytes)));
        if reader.gone { Err(Error::NotFound(self.name.clone())) } else { Ok(quiet) }
    }

    fn read_usage(&self, reader: &mut Reader) -> Option<CpuCounters> {
        let mut cpu = CpuCounters::default();
        match self.cpu.as_ref()? {
            CpuFiles::Unified(stat) => read_cpu_stat(reader.read(stat)?, &mut cpu)?,
            CpuFiles::Legacy(usage, stat) => {
                cpu.usage_ns = parse::number(reader.read(usage)?)?;
                if let Some(text) = stat.as_ref().and_then(|file| reader.read(file)) {
                    // The kernel reports these in hundredths of a second (USER_HZ).
                    let ns = |ticks: u64| ticks.saturating_mul(10_000_000);
                    cpu.user_ns = parse::keyed(text, b"user").map(ns);
                    cpu.system_ns = parse::keyed(text, b"system").map(ns);
                }
            }
        }
        Some(cpu)
    }

    fn read_cpu(&self, reader: &mut Reader) -> Option<CpuCounters> {
        let mut cpu = self.read_usage(reader)?;
        if let Some(text) = self.throttling.as_ref().and_then(|file| reader.read(file)) {
            cpu.periods = parse::keyed(text, b"nr_periods");
            cpu.throttled_periods = parse::keyed(text, b"nr_throttled");
            cpu.throttled_ns = parse::keyed(text, b"throttled_time");
        }
        cpu.limit = self.quota.as_ref().and_then(|files| files.read(reader));
        Some(cpu)
    }

    fn read_pressure(&self, which: usize, reader: &mut Reader) -> Option<PressureLine> {
        parse::pressure(reader.read(self.pressure.get(which)?.as_ref()?)?)
    }
}

/// One buffer for all files of one reading.
struct Reader {
    buffer: [u8; io::BUFFER],
    gone: bool,
}

impl Reader {
    /// Returns the file's content; none when it can't be read just now.
    fn read(&mut self, file: &OwnedFd) -> Option<&[u8]> {
        match io::reread(file, &mut self.buffer) {
            Ok(text) => Some(text),
            Err(cause) => {
                self.gone |= cause == Errno::NODEV;
                None
            }
        }
    }
}

/// Reads a version 2 `cpu.stat`; the lines on throttling are there when the controller is.
fn read_cpu_stat(text: &[u8], cpu: &mut CpuCounters) -> Option<()> {
    let ns = |us: u64| us.saturating_mul(1000);
    let mut usage = None;
    for (key, value) in parse::pairs(text) {
        match key {
            b"usage_usec" => usage = Some(ns(value)),
            b"user_usec" => cpu.user_ns = Some(ns(value)),
            b"system_usec" => cpu.system_ns = Some(ns(value)),
            b"nr_periods" => cpu.periods = Some(value),
            b"nr_throttled" => cpu.throttled_periods = Some(value),
            b"throttled_usec" => cpu.throttled_ns = Some(ns(value)),
            _ => {}
        }
    }
    cpu.usage_ns = usage?;
    Some(())
}

/// Reads `memory.stat` of either version: version 1 has `total_` before what includes the groups
/// below. Returns how much has yet to be written to block devices.
fn read_memory_stat(text: &[u8], memory: &mut MemoryCounters) -> Option<u64> {
    let mut unwritten = None;
    let mut parts = None;
    for (key, value) in parse::pairs(text) {
        match key {
            b"inactive_file" | b"total_inactive_file" => memory.inactive_file = Some(value),
            b"anon" | b"total_rss" => memory.anon = Some(value),
            b"file" | b"total_cache" => memory.file = Some(value),
            b"kernel" => memory.kernel = Some(value),
            // The sum of these is there since Linux 5.18.
            b"slab" | b"kernel_stack" | b"pagetables" | b"percpu" | b"sec_pagetables" => {
                parts = Some(parts.unwrap_or(0) + value);
            }
            b"hierarchical_memory_limit" => memory.limit = Some(parse::limit_of(value)),
            b"file_dirty" | b"total_dirty" | b"file_writeback" | b"total_writeback" => {
                unwritten = Some(unwritten.unwrap_or(0) + value);
            }
            _ => {}
        }
    }
    memory.kernel = memory.kernel.or(parts);
    unwritten
}

impl QuotaFiles {
    /// Returns the limit in billionths of a CPU.
    fn read(&self, reader: &mut Reader) -> Option<Limit> {
        let (quota, period) = match self {
            Self::Unified(max) => {
                let mut words = reader.read(max)?.split(|byte| *byte == b' ');
                let (quota, period) = (words.next()?, words.next().and_then(parse::number)?);
                (parse::number(quota), period)
            }
            Self::Legacy(quota, period) => {
                // -1 without one, and then the period says nothing.
                let Some(quota) = parse::number(reader.read(quota)?) else {
                    return Some(Limit::Unlimited);
                };
                (Some(quota), parse::number(reader.read(period)?)?)
            }
        };
        let Some(quota) = quota else { return Some(Limit::Unlimited) };
        let nano = u128::from(quota) * 1_000_000_000 / u128::from(period.max(1));
        Some(Limit::At(u64::try_from(nano).unwrap_or(u64::MAX)))
    }
}

impl MemoryFiles {
    /// Returns the memory, and how much of it has yet to be written to block devices.
    fn read(&self, reader: &mut Reader) -> Option<(MemoryCounters, Option<u64>)> {
        let usage = parse::number(reader.read(&self.usage)?)?;
        let mut memory = MemoryCounters { usage, ..MemoryCounters::default() };
        let unwritten = match self.stat.as_ref().and_then(|file| reader.read(file)) {
            Some(text) => read_memory_stat(text, &mut memory),
            None => None,
        };
        if let Some(text) = self.max.as_ref().and_then(|file| reader.read(file)) {
            memory.limit = parse::limit(text);
        }
        if let Some(text) = self.kills.as_ref().and_then(|file| reader.read(file)) {
            memory.oom_kills = parse::keyed(text, b"oom_kill");
        }
        if let Some(text) = self.kernel.as_ref().and_then(|file| reader.read(file)) {
            memory.kernel = parse::number(text);
        }
        Some((memory, unwritten))
    }
}

impl BlockFiles {
    /// Returns the bytes that were read and written.
    fn bytes(&self, reader: &mut Reader) -> Option<(u64, u64)> {
        match self {
            Self::Unified(stat) => {
                let counters = parse::io_stat(reader.read(stat)?);
                Some((counters.read_bytes, counters.write_bytes))
            }
            Self::Legacy(bytes, _) => Some(parse::blkio(reader.read(bytes)?)),
        }
    }

    fn read(&self, reader: &mut Reader) -> Option<BlockCounters> {
        match self {
            Self::Unified(stat) => Some(parse::io_stat(reader.read(stat)?)),
            Self::Legacy(bytes, operations) => {
                let (read_bytes, write_bytes) = parse::blkio(reader.read(bytes)?);
                let operations =
                    operations.as_ref().and_then(|file| Some(parse::blkio(reader.read(file)?)));
                Some(BlockCounters {
                    read_bytes,
                    write_bytes,
                    read_ops: operations.map(|(reads, _)| reads),
                    write_ops: operations.map(|(_, writes)| writes),
                })
            }
        }
    }
}
