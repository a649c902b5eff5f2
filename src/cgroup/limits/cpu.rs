//! CPU time, weight, real-time scheduling, and which CPUs and memory nodes.

use std::path::Path;

use cgroups_rs::fs::cpu::CpuController;
use cgroups_rs::fs::cpuset::CpuSetController;
use rustix::io::Errno;
use wharf_model::Resources;

use super::{either_order, errno, home, refused, set, signed};
use crate::create::parents;
use crate::error::{Error, Result};
use crate::group::{Group, Member};
use crate::layout::Controller;
use crate::{io, parse};

/// The enforcement period of CPU limits in microseconds, docker's and the kernel's default.
const PERIOD_US: u64 = 100_000;

/// The least quota that the kernel takes, in microseconds.
const MIN_QUOTA_US: i64 = 1000;

/// The weight of a new group, in each version's unit.
const DEFAULT_SHARES: u64 = 1024;
const DEFAULT_WEIGHT: u64 = 100;

/// The kernel's default period of real-time limits in microseconds.
const REALTIME_PERIOD_US: u64 = 1_000_000;

pub(super) fn change(group: &Group, from: &Resources, to: &Resources) -> Result<()> {
    let (before, after) = (bandwidth(from)?, bandwidth(to)?);
    if before != after {
        set_bandwidth(home(group, after.flag, Controller::Cpu)?, before, after)?;
    }
    if from.cpu_shares != to.cpu_shares {
        const FLAG: &str = "--cpu-shares";
        let member = home(group, FLAG, Controller::Cpu)?;
        let value = match (member.hierarchy.unified, to.cpu_shares) {
            (true, shares) => shares.map_or(DEFAULT_WEIGHT, weight),
            (false, shares) => shares.unwrap_or(DEFAULT_SHARES),
        };
        control(member)
            .set_shares(value)
            .map_err(|error| refused(FLAG, Controller::Cpu, value.to_string(), &error))?;
    }
    if (from.cpu_rt_period, from.cpu_rt_runtime) != (to.cpu_rt_period, to.cpu_rt_runtime) {
        set_realtime(home(group, "--cpu-rt-runtime", Controller::Cpu)?, from, to)?;
    }
    for (flag, file, before, after) in [
        ("--cpuset-cpus", "cpuset.cpus", &from.cpuset_cpus, &to.cpuset_cpus),
        ("--cpuset-mems", "cpuset.mems", &from.cpuset_mems, &to.cpuset_mems),
    ] {
        if before != after {
            set_cpuset(home(group, flag, Controller::Cpuset)?, flag, file, after)?;
        }
    }
    Ok(())
}

fn control(member: &Member) -> CpuController {
    CpuController::new(member.path.clone(), "/".into(), member.hierarchy.unified)
}

/// How much CPU time in which period, in microseconds; a quota of -1 is no limit.
#[derive(Clone, Copy, Debug)]
struct Bandwidth {
    flag: &'static str,
    quota: i64,
    period: u64,
}

impl PartialEq for Bandwidth {
    fn eq(&self, other: &Self) -> bool {
        (self.quota, self.period) == (other.quota, other.period)
    }
}

fn bandwidth(limits: &Resources) -> Result<Bandwidth> {
    let Some(nano_cpus) = limits.nano_cpus else {
        return Ok(Bandwidth {
            flag: "--cpu-quota",
            quota: limits.cpu_quota.filter(|quota| *quota > 0).unwrap_or(-1),
            period: limits.cpu_period.unwrap_or(PERIOD_US),
        });
    };
    let flag = "--cpus";
    let us = u128::from(nano_cpus) * u128::from(PERIOD_US) / 1_000_000_000;
    let quota = signed(flag, u64::try_from(us).unwrap_or(u64::MAX))?;
    // The crate would write a quota of 0 as "max".
    if quota < MIN_QUOTA_US {
        let value = format!("{quota} us of {PERIOD_US}");
        return Err(Error::Limit { flag, value, cause: Errno::INVAL });
    }
    Ok(Bandwidth { flag, quota, period: PERIOD_US })
}

fn set_bandwidth(member: &Member, before: Bandwidth, after: Bandwidth) -> Result<()> {
    let control = control(member);
    let Bandwidth { flag, quota, period } = after;
    let result = if member.hierarchy.unified {
        // One file has both.
        control.set_cfs_quota_and_period(Some(quota), Some(period))
    } else if before.period == period {
        control.set_cfs_quota(quota)
    } else {
        // A group above may allow no more than a share that one of the two alone would exceed.
        either_order(|| control.set_cfs_period(period), || control.set_cfs_quota(quota))
    };
    let value = || format!("{quota} us of {period}");
    result.map_err(|error| refused(flag, Controller::Cpu, value(), &error))
}

/// Returns the version 2 weight for version 1 shares, as runc has it since 1.3.2: a curve through
/// the least, the default and the greatest of both (2 and 1, 1024 and 100, 262144 and 10000).
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "both are below 2^19 and not negative"
)]
fn weight(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        3..262_144 => {
            let exponent = (shares as f64).log2();
            let power = (exponent * exponent + 125.0 * exponent) / 612.0 - 7.0 / 34.0;
            // What is a whole number but for rounding stays one.
            (10_f64.powf(power) - 1e-9).ceil() as u64
        }
        _ => 10_000,
    }
}

/// Limits real-time tasks, which have no CPU time at all in a new group of a kernel that limits
/// them.
fn set_realtime(member: &Member, from: &Resources, to: &Resources) -> Result<()> {
    const FLAG: &str = "--cpu-rt-runtime";
    if member.hierarchy.unified {
        return Err(Error::Unsupported {
            flag: FLAG,
            controller: "cpu",
            why: "has no limits for real-time tasks in version 2",
        });
    }
    let control = control(member);
    let period = to.cpu_rt_period.unwrap_or(REALTIME_PERIOD_US);
    let runtime = to.cpu_rt_runtime.unwrap_or(0);
    let more = u128::from(runtime) * u128::from(from.cpu_rt_period.unwrap_or(REALTIME_PERIOD_US))
        > u128::from(from.cpu_rt_runtime.unwrap_or(0)) * u128::from(period);
    if more {
        make_room(member, runtime, period)?;
    }
    let signed_runtime = signed(FLAG, runtime)?;
    either_order(|| control.set_rt_period_us(period), || control.set_rt_runtime(signed_runtime))
        .map_err(|error| {
            let value = format!("{runtime} us of {period}");
            match errno(&error) {
                Errno::NOENT => Error::Unsupported {
                    flag: FLAG,
                    controller: "cpu",
                    why: "this kernel offers without limits for real-time tasks",
                },
                _ => refused(FLAG, Controller::Cpu, value, &error),
            }
        })
}

/// Gives the groups above a real-time group as much as those below them need: a group can only
/// hand down what it has.
fn make_room(member: &Member, runtime: u64, period: u64) -> Result<()> {
    let read = |path: &Path, file: &str| {
        io::read(&path.join(file)).ok().and_then(|text| parse::number(&text))
    };
    let of = |path: &Path| {
        (read(path, "cpu.rt_runtime_us").unwrap_or(0), read(path, "cpu.rt_period_us").unwrap_or(0))
    };
    // In millionths of a CPU, rounded up, so that what is handed down always fits.
    let share = |(runtime, period): (u64, u64)| {
        (u128::from(runtime) * 1_000_000).div_ceil(u128::from(period.max(1)))
    };
    let more = share((runtime, period)).saturating_sub(share(of(&member.path)));
    for parent in parents(member) {
        let (own, own_period) = of(&parent);
        let below = crate::group::children(&parent)?;
        let used: u128 = below.iter().map(|child| share(of(child))).sum();
        let wanted = (used + more).saturating_mul(own_period.into()) / 1_000_000 + 1;
        if wanted > own.into() {
            let value = wanted.to_string();
            io::write(&parent.join("cpu.rt_runtime_us"), value.as_bytes())
                .map_err(|cause| Error::Limit { flag: "--cpu-rt-runtime", value, cause })?;
        }
    }
    Ok(())
}

fn set_cpuset(member: &Member, flag: &'static str, file: &str, list: &str) -> Result<()> {
    if list.is_empty() {
        // Version 2 takes an empty line for "as above"; version 1 wants what is above by name.
        let above = match (member.hierarchy.unified, member.path.parent()) {
            (false, Some(parent)) => {
                let path = parent.join(file);
                io::read(&path).map_err(|cause| Error::io("read", path, cause))?
            }
            _ => b"\n".to_vec(),
        };
        return set(member, flag, file, &String::from_utf8_lossy(&above));
    }
    let control = CpuSetController::new(member.path.clone(), "/".into(), member.hierarchy.unified);
    let result = match file {
        "cpuset.cpus" => control.set_cpus(list),
        _ => control.set_mems(list),
    };
    result.map_err(|error| refused(flag, Controller::Cpuset, list.to_owned(), &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_weights_through_the_defaults() {
        let points = [
            (0, 1),
            (2, 1),
            (512, 59),
            (1024, 100),
            (2000, 170),
            (262_144, 10_000),
            (300_000, 10_000),
        ];
        for (shares, expected) in points {
            assert_eq!(weight(shares), expected, "{shares}");
        }
        assert!((3..3000).all(|shares| weight(shares) <= weight(shares + 1)));
    }

    #[test]
    fn a_quota_comes_from_either_way_to_ask_for_it() {
        let of = |limits: &Resources| bandwidth(limits).map(|b| (b.quota, b.period)).ok();
        let none = Resources::default();
        assert_eq!(of(&none), Some((-1, 100_000)));
        assert_eq!(
            of(&Resources { nano_cpus: Some(1_500_000_000), ..none.clone() }),
            Some((150_000, 100_000))
        );
        assert_eq!(
            of(&Resources { cpu_quota: Some(20_000), cpu_period: Some(50_000), ..none.clone() }),
            Some((20_000, 50_000))
        );
        assert_eq!(of(&Resources { cpu_quota: Some(-5), ..none.clone() }), Some((-1, 100_000)));
        assert_eq!(of(&Resources { nano_cpus: Some(1000), ..none }), None);
    }
}
