//! What a container may use, and how each limit is written, at the start and later.
//!
//! A change goes from one set of limits to another and writes what differs, so that a start writes
//! what was asked for and nothing else. Limits are docker's, which are those of version 1; where
//! version 2 has other units they are converted as the OCI runtimes do it.

mod block;
mod cpu;
mod further;
mod memory;

use std::error::Error as _;

use cgroups_rs::fs::pid::PidController;
use cgroups_rs::fs::{MaxValue, error::Error as CrateError};
use rustix::io::Errno;
use wharf_model::Resources;
use wharf_sys::bpf::DeviceRule;

use crate::error::{Error, Result};
use crate::group::{Group, Member};
use crate::io;
use crate::layout::{Controller, Layout};

pub use further::{Further, Handles};

/// Which devices a container may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceAccess {
    /// docker's default list (null, zero, full, random, urandom, terminals; nodes of any device may
    /// be made but not opened), and these.
    Listed(Vec<DeviceRule>),
    /// All (`--privileged`).
    Unrestricted,
    /// All but what these say.
    AllBut(Vec<DeviceRule>),
}

impl Default for DeviceAccess {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

/// The limits of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// What the container asked for; limits of processes and devices in it mean nothing here.
    pub resources: Resources,
    /// Which devices may be used.
    pub devices: DeviceAccess,
    /// What docker has no flags for.
    pub further: Further,
}

impl Limits {
    /// Checks that this host has a controller for each limit.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the flag and the controller.
    pub fn check(&self, layout: &Layout) -> Result<()> {
        for (flag, set, controller) in wanted(&self.resources) {
            if set && !layout.has(controller) {
                return Err(missing(flag, controller));
            }
        }
        let filtered = self.devices != DeviceAccess::Unrestricted && !crate::is_ordinary();
        if filtered && !layout.has(Controller::Devices) {
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
        change(group, &Resources::default(), &self.resources)?;
        group.limit_further(&self.further)
    }
}

/// Returns each limit's flag, whether it is set, and the controller it needs.
fn wanted(limits: &Resources) -> [(&'static str, bool, Controller); 18] {
    use Controller::{Cpu, Cpuset, Io, Memory, Pids};
    [
        ("--memory", limits.memory.is_some(), Memory),
        ("--memory-swap", limits.memory_swap.is_some_and(|total| total >= 0), Memory),
        ("--memory-reservation", limits.memory_reservation.is_some(), Memory),
        ("--memory-swappiness", limits.memory_swappiness.is_some(), Memory),
        ("--oom-kill-disable", limits.oom_kill_disable == Some(true), Memory),
        ("--cpus", limits.nano_cpus.is_some(), Cpu),
        ("--cpu-quota", limits.cpu_quota.is_some() || limits.cpu_period.is_some(), Cpu),
        ("--cpu-shares", limits.cpu_shares.is_some(), Cpu),
        (
            "--cpu-rt-runtime",
            limits.cpu_rt_runtime.is_some() || limits.cpu_rt_period.is_some(),
            Cpu,
        ),
        ("--cpuset-cpus", !limits.cpuset_cpus.is_empty(), Cpuset),
        ("--cpuset-mems", !limits.cpuset_mems.is_empty(), Cpuset),
        ("--pids-limit", limits.pids_limit.is_some(), Pids),
        ("--blkio-weight", limits.blkio_weight.is_some(), Io),
        ("--blkio-weight-device", !limits.blkio_weight_device.is_empty(), Io),
        ("--device-read-bps", !limits.device_read_bps.is_empty(), Io),
        ("--device-write-bps", !limits.device_write_bps.is_empty(), Io),
        ("--device-read-iops", !limits.device_read_iops.is_empty(), Io),
        ("--device-write-iops", !limits.device_write_iops.is_empty(), Io),
    ]
}

impl Group {
    /// Replaces the limits `from` by the limits `to` while the group runs, in its processes' next
    /// moment; a limit that only `from` has is lifted. What `update` can't change (devices,
    /// swappiness) stays as it was.
    ///
    /// # Errors
    /// When a controller is missing, or the kernel refuses: less memory than is in use, say. All
    /// limits are then as they were.
    pub fn update(&self, from: &Resources, to: &Resources) -> Result<()> {
        change(self, from, to).inspect_err(|_| {
            // What was not reached is as it was, and written once more; what can't be put back
            // has no better remedy than the reason why it was changed.
            let _ = change(self, to, from);
        })
    }
}

fn change(group: &Group, from: &Resources, to: &Resources) -> Result<()> {
    memory::change(group, from, to)?;
    cpu::change(group, from, to)?;
    if from.pids_limit != to.pids_limit {
        set_pids(home(group, "--pids-limit", Controller::Pids)?, to.pids_limit)?;
    }
    block::change(group, from, to)
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

fn signed(flag: &'static str, value: u64) -> Result<i64> {
    i64::try_from(value).map_err(|_| Error::Limit {
        flag,
        value: value.to_string(),
        cause: Errno::OVERFLOW,
    })
}

/// Writes a file that cgroups-rs doesn't know.
fn set(member: &Member, flag: &'static str, file: &str, value: &str) -> Result<()> {
    io::write(&member.path.join(file), value.as_bytes()).map_err(|cause| Error::Limit {
        flag,
        value: value.trim_end().to_owned(),
        cause,
    })
}

/// Does two writes of which the kernel wants one before the other, whichever that is now.
fn either_order(
    first: impl Fn() -> std::result::Result<(), CrateError>,
    second: impl Fn() -> std::result::Result<(), CrateError>,
) -> std::result::Result<(), CrateError> {
    match first() {
        Err(error) if errno(&error) == Errno::INVAL => second().and_then(|()| first()),
        other => other.and_then(|()| second()),
    }
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
