//! Memory and swap.

use cgroups_rs::fs::memory::MemController;
use rustix::io::Errno;
use wharf_model::Resources;

use super::{either_order, errno, home, refused, set, signed};
use crate::error::{Error, Result};
use crate::group::{Group, Member};
use crate::layout::Controller;
use crate::{io, parse};

pub(super) fn change(group: &Group, from: &Resources, to: &Resources) -> Result<()> {
    let (before, after) = (bounds(from)?, bounds(to)?);
    if before != after {
        set_bounds(home(group, "--memory", Controller::Memory)?, before, after)?;
    }
    if from.memory_reservation != to.memory_reservation {
        const FLAG: &str = "--memory-reservation";
        let member = home(group, FLAG, Controller::Memory)?;
        let none = if member.hierarchy.unified { 0 } else { -1 };
        let soft = to.memory_reservation.map_or(Ok(none), |bytes| signed(FLAG, bytes))?;
        control(member)
            .set_soft_limit(soft)
            .map_err(|error| refused(FLAG, Controller::Memory, soft.to_string(), &error))?;
    }
    // Version 2 has neither of these two, and `update` can't change them.
    if let Some(percent) = to.memory_swappiness.filter(|_| from.memory_swappiness.is_none()) {
        const FLAG: &str = "--memory-swappiness";
        let member = home(group, FLAG, Controller::Memory)?;
        if !member.hierarchy.unified {
            control(member)
                .set_swappiness(percent.into())
                .map_err(|error| refused(FLAG, Controller::Memory, percent.to_string(), &error))?;
        }
    }
    if to.oom_kill_disable == Some(true) && from.oom_kill_disable != Some(true) {
        const FLAG: &str = "--oom-kill-disable";
        let member = home(group, FLAG, Controller::Memory)?;
        if !member.hierarchy.unified {
            control(member)
                .disable_oom_killer()
                .map_err(|error| refused(FLAG, Controller::Memory, "1".to_owned(), &error))?;
        }
    }
    Ok(())
}

fn control(member: &Member) -> MemController {
    MemController::new(member.path.clone(), "/".into(), member.hierarchy.unified)
}

/// The greatest memory, and the greatest memory and swap together; -1 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bounds {
    memory: i64,
    total: i64,
}

/// Returns the bounds that are asked for: without a word about swap it gets as much as memory, as
/// docker has it.
fn bounds(limits: &Resources) -> Result<Bounds> {
    let memory = limits.memory.map_or(Ok(-1), |bytes| signed("--memory", bytes))?;
    let total = match limits.memory_swap {
        Some(total) => total.max(-1),
        None if memory < 0 => -1,
        None => memory.saturating_mul(2),
    };
    Ok(Bounds { memory, total })
}

impl Bounds {
    /// Returns the greatest swap alone, as version 2 limits it.
    fn swap(self) -> i64 {
        match self {
            Self { total: ..0, .. } => -1,
            // With endless memory, the total bounds at least the swap.
            Self { memory: ..0, total } => total,
            Self { memory, total } => total.saturating_sub(memory).max(0),
        }
    }
}

fn set_bounds(member: &Member, before: Bounds, after: Bounds) -> Result<()> {
    let unified = member.hierarchy.unified;
    let control = control(member);
    let swap = if unified { after.swap() } else { after.total };
    let shrinks = after.memory >= 0 && (before.memory < 0 || after.memory < before.memory);
    if unified && shrinks {
        make_room(member, after.memory)?;
    }
    let set_limit = || control.set_limit(after.memory);
    // Absent where the kernel doesn't account for swap: then there is nothing to limit.
    let set_swap = || match control.set_memswap_limit(swap) {
        Err(error) if errno(&error) == Errno::NOENT => Ok(()),
        other => other,
    };
    // Version 1 wants memory <= memory and swap at every moment: whether the limits are being
    // raised or lowered decides which comes first.
    either_order(set_limit, set_swap).map_err(|error| match errno(&error) {
        Errno::BUSY => in_use(member, after.memory),
        _ => refused("--memory", Controller::Memory, after.memory.to_string(), &error),
    })
}

/// Sees to it that a version 2 group uses no more than `limit`, or refuses: the kernel would take
/// the lower limit and kill processes until it holds, where version 1 says that it is busy. A write
/// to `memory.high` reclaims what can be reclaimed before it returns.
fn make_room(member: &Member, limit: i64) -> Result<()> {
    let fits = || usage(member).is_none_or(|bytes| i64::try_from(bytes).is_ok_and(|b| b <= limit));
    if fits() {
        return Ok(());
    }
    set(member, "--memory", "memory.high", &limit.to_string())?;
    let fits = fits();
    set(member, "--memory", "memory.high", "max")?;
    if fits { Ok(()) } else { Err(in_use(member, limit)) }
}

/// Returns the bytes in use now.
fn usage(member: &Member) -> Option<u64> {
    let file = if member.hierarchy.unified { "memory.current" } else { "memory.usage_in_bytes" };
    parse::number(&io::read(&member.path.join(file)).ok()?)
}

fn in_use(member: &Member, limit: i64) -> Error {
    Error::InUse { limit, usage: usage(member).unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_is_what_the_total_leaves() {
        let of = |memory: Option<u64>, memory_swap: Option<i64>| {
            let bounds = bounds(&Resources { memory, memory_swap, ..Resources::default() });
            bounds.map(|b| (b.memory, b.total, b.swap())).unwrap()
        };
        assert_eq!(of(None, None), (-1, -1, -1));
        assert_eq!(of(Some(100), None), (100, 200, 100));
        assert_eq!(of(Some(100), Some(150)), (100, 150, 50));
        assert_eq!(of(Some(100), Some(100)), (100, 100, 0));
        assert_eq!(of(Some(100), Some(-1)), (100, -1, -1));
    }
}
