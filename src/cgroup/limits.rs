//! What a container may use, and how each limit is written, at the start and later.

use std::error::Error as _;

use cgroups_rs::fs::cpu::CpuController;
use cgroups_rs::fs::memory::MemController;
use cgroups_rs::fs::pid::PidController;
use cgroups_rs::fs::{MaxValue, error::Error as CrateError};
use rustix::io::Errno;
use wharf_model::Resources;

use crate::error::{Error, Result};
use crate::group::{Group, Member};
use crate::layout::{Controller, Layout};

/// The enforcement period of CPU limits in microseconds, docker's and the kernel's default.
const PERIOD_US: u64 = 100_000;

/// The least quota that the kernel takes, in microseconds.
const MIN_QUOTA_US: i64 = 1000;

/// Which devices a container may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceAccess {
    /// docker's default list: null, zero, full, random, urandom, terminals; nodes of any device may
    /// be made but not opened.
    #[default]
    Standard,
    /// All (`--privileged`).
    Unrestricted,
}

/// The limits of a group; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Memory in bytes. Swap gets the same amount again, as docker does.
    pub memory: Option<u64>,
    /// CPU time in billionths of a CPU.
    pub nano_cpus: Option<u64>,
    /// The greatest number of tasks.
    pub pids: Option<u64>,
    /// Which devices may be used.
    pub devices: DeviceAccess,
}

impl Limits {
    /// Returns the limits that a container asked for.
    pub fn new(resources: &Resources, privileged: bool) -> Self {
        Self {
            memory: resources.memory,
            nano_cpus: resources.nano_cpus,
            pids: resources.pids_limit,
            devices: if privileged { DeviceAccess::Unrestricted } else { DeviceAccess::Standard },
        }
    }

    /// Checks that this host has a controller for each limit.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the flag and the controller.
    pub fn check(&self, layout: &Layout) -> Result<()> {
        let wanted = [
            ("--memory", self.memory.is_some(), Controller::Memory),
            ("--cpus", self.nano_cpus.is_some(), Controller::Cpu),
            ("--pids-limit", self.pids.is_some(), Controller::Pids),
        ];
        for (flag, set, controller) in wanted {
            if set && !layout.has(controller) {
                return Err(missing(flag, controller));
            }
        }
        let filtered = wharf_sys::namespace::is_initial_user();
        if filtered && self.devices == DeviceAccess::Standard && !layout.has(Controller::Devices) {
            return Err(Error::Unsupported {
                flag: "a container that isn't --privileged",
                controller: "devices",
                why: "this host has not mounted; mount it or a cgroup2 hierarchy",
            });
        }
        Ok(())
    }

    /// Writes those limits that are set into a new group, which has none.
    pub(crate) fn apply(&self, group: &Group) -> Result<()> {
        if let Some(bytes) = self.memory {
            set_memory(home(group, "--memory", Controller::Memory)?, Some(bytes))?;
        }
        if let Some(nano_cpus) = self.nano_cpus {
            set_cpu(home(group, "--cpus", Controller::Cpu)?, Some(nano_cpus))?;
        }
        if let Some(pids) = self.pids {
            set_pids(home(group, "--pids-limit", Controller::Pids)?, Some(pids))?;
        }
        Ok(())
    }
}

impl Group {
    /// Replaces the memory, CPU and task limits while the group runs; a `None` lifts a limit. The
    /// access to devices stays as it was.
    ///
    /// # Errors
    /// When a controller is missing, or the kernel refuses (less memory than can be reclaimed, say).
    pub fn update(&self, limits: &Limits) -> Result<()> {
        let wanted = [
            ("--memory", limits.memory, Controller::Memory),
            ("--cpus", limits.nano_cpus, Controller::Cpu),
            ("--pids-limit", limits.pids, Controller::Pids),
        ];
        for (flag, value, controller) in wanted {
            let member = match home(self, flag, controller) {
                Ok(member) => member,
                Err(_) if value.is_none() => continue,
                Err(error) => return Err(error),
            };
            match controller {
                Controller::Memory => set_memory(member, value)?,
                Controller::Cpu => set_cpu(member, value)?,
                _ => set_pids(member, value)?,
            }
        }
        Ok(())
    }
}

fn home<'g>(group: &'g Group, flag: &'static str, controller: Controller) -> Result<&'g Member> {
    group.member(controller).ok_or_else(|| missing(flag, controller))
}

fn missing(flag: &'static str, controller: Controller) -> Error {
    Error::Unsupported {
        flag,
        controller: controller.as_str(),
        why: match controller {
            Controller::Memory => {
                "this kernel doesn't offer (boot it with cgroup_enable=memory, or mount it)"
            }
            _ => "this kernel doesn't offer, or has not mounted (see /proc/cgroups)",
        },
    }
}

fn set_memory(member: &Member, bytes: Option<u64>) -> Result<()> {
    let unified = member.hierarchy.unified;
    let control = MemController::new(member.path.clone(), "/".into(), unified);
    let limit = bytes.map_or(Ok(-1), |bytes| signed("--memory", bytes))?;
    // Version 1 limits memory and swap together, version 2 swap alone.
    let swap = if unified || limit < 0 { limit } else { limit.saturating_mul(2) };
    let set_limit = || control.set_limit(limit);
    // Absent where the kernel doesn't account for swap: then there is nothing to limit.
    let set_swap = || match control.set_memswap_limit(swap) {
        Err(error) if errno(&error) == Errno::NOENT => Ok(()),
        other => other,
    };
    // Version 1 wants memory <= memory and swap at every moment: when the first order is refused
    // the limits are being raised, and the other order passes.
    let result = match set_limit() {
        Ok(()) => set_swap(),
        Err(error) if !unified && errno(&error) == Errno::INVAL => {
            set_swap().and_then(|()| set_limit())
        }
        Err(error) => Err(error),
    };
    result.map_err(|error| refused("--memory", Controller::Memory, limit.to_string(), &error))
}

fn set_cpu(member: &Member, nano_cpus: Option<u64>) -> Result<()> {
    let control = CpuController::new(member.path.clone(), "/".into(), member.hierarchy.unified);
    let quota = match nano_cpus {
        Some(nano_cpus) => {
            let us = u128::from(nano_cpus) * u128::from(PERIOD_US) / 1_000_000_000;
            let quota = signed("--cpus", u64::try_from(us).unwrap_or(u64::MAX))?;
            // The crate would write a quota of 0 as "max".
            if quota < MIN_QUOTA_US {
                let value = format!("{quota} us of {PERIOD_US}");
                return Err(Error::Limit { flag: "--cpus", value, cause: Errno::INVAL });
            }
            quota
        }
        None => -1,
    };
    // Version 1 groups begin with this period; version 2 writes both at once.
    let period = member.hierarchy.unified.then_some(PERIOD_US);
    control
        .set_cfs_quota_and_period(Some(quota), period)
        .map_err(|error| refused("--cpus", Controller::Cpu, format!("{quota} us"), &error))
}

fn set_pids(member: &Member, pids: Option<u64>) -> Result<()> {
    let control = PidController::new(member.path.clone(), "/".into(), member.hierarchy.unified);
    let limit = match pids {
        Some(pids) => MaxValue::Value(signed("--pids-limit", pids)?),
        None => MaxValue::Max,
    };
    control
        .set_pid_max(limit)
        .map_err(|error| refused("--pids-limit", Controller::Pids, limit.to_string(), &error))
}

fn signed(flag: &'static str, value: u64) -> Result<i64> {
    i64::try_from(value).map_err(|_| Error::Limit {
        flag,
        value: value.to_string(),
        cause: Errno::OVERFLOW,
    })
}

fn refused(flag: &'static str, controller: Controller, value: String, error: &CrateError) -> Error {
    match errno(error) {
        // The folder exists, its file does not: the controller was not handed down to it.
        Errno::NOENT => missing(flag, controller),
        cause => Error::Limit { flag, value, cause },
    }
}

/// Returns what the kernel said, from the cause that the crate wraps.
fn errno(error: &CrateError) -> Errno {
    error
        .source()
        .and_then(|cause| cause.downcast_ref::<std::io::Error>())
        .and_then(Errno::from_io_error)
        .unwrap_or(Errno::IO)
}
