//! `process`: what a program is and how it runs.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};

use rustix::thread::CpuSet;
use wharf_model::{ErrorKind, SeccompMode, TermSize, Ulimit};
use wharf_sys::process::Scheduling;

use super::spec::{Capabilities, IoPriority, Linux, Process, Scheduler};
use crate::container::number_list;
use crate::init::limits;
use crate::init::program::{Manners, Program};
use crate::init::user::Identity;
use crate::security::capabilities::{self, CapSet, Grant};
use crate::{Error, Result};

fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, text)
}

/// Returns a process of a container as it is executed.
///
/// # Errors
/// When a name in it isn't known.
pub(super) fn program(process: &Process, linux: &Linux) -> Result<Program> {
    Ok(Program {
        arguments: process.args.clone(),
        environment: process.env.clone(),
        working_dir: process.cwd.clone(),
        identity: Identity::Numbers {
            uid: process.user.uid,
            gid: process.user.gid,
            groups: process.user.additional_gids.clone(),
        },
        grant: grant(&process.capabilities),
        no_new_privileges: process.no_new_privileges,
        ulimits: rlimits(process)?,
        // What isn't said stays as it is.
        oom_score_adj: Some(process.oom_score_adj.map_or_else(limits::own_oom_score, Ok)?),
        seccomp: seccomp(linux),
        apparmor: Some(process.apparmor_profile.clone()).filter(|profile| !profile.is_empty()),
        init: None,
        manners: Manners {
            umask: process.user.umask,
            io_priority: process.io_priority.as_ref().map(io_priority).transpose()?,
            scheduling: process.scheduler.as_ref().map(scheduling).transpose()?,
            personality: personality(linux)?,
        },
        tied: false,
    })
}

/// Returns the size of its terminal, if it has one.
pub(super) fn terminal(process: &Process) -> Option<Option<TermSize>> {
    process.terminal.then(|| {
        let size = process.console_size.as_ref();
        size.map(|size| TermSize { columns: size.width, rows: size.height })
    })
}

/// Returns the filter's document, which is docker's without what that adds.
fn seccomp(linux: &Linux) -> SeccompMode {
    match linux.seccomp.is_null() {
        true => SeccompMode::Unconfined,
        false => SeccompMode::Profile(linux.seccomp.to_string()),
    }
}

/// Returns where somebody listens to system calls, and what is said to him about this container.
pub(super) fn listener(linux: &Linux) -> Option<(&str, &str)> {
    let text = |name: &str| linux.seccomp.get(name).and_then(serde_json::Value::as_str);
    let path = text("listenerPath").filter(|path| !path.is_empty())?;
    Some((path, text("listenerMetadata").unwrap_or_default()))
}

/// Returns the sets that are named. What isn't known, here or on this kernel, is left out, as the
/// specification has it.
fn grant(sets: &Capabilities) -> Grant {
    let set = |names: &[String]| {
        names.iter().filter_map(|name| capability(name)).fold(CapSet::NONE, CapSet::and)
    };
    Grant {
        bounding: set(&sets.bounding),
        effective: set(&sets.effective),
        permitted: set(&sets.permitted),
        inheritable: set(&sets.inheritable),
        ambient: set(&sets.ambient),
        whoever: true,
    }
}

/// Returns the capability of this whole name.
fn capability(name: &str) -> Option<CapSet> {
    capabilities::names().find(|known| known == name)?;
    capabilities::parse(name).ok()
}

/// Returns the names of capabilities that are none.
pub(super) fn unknown_capabilities(process: &Process) -> impl Iterator<Item = &str> {
    let Capabilities { bounding, effective, permitted, inheritable, ambient } =
        &process.capabilities;
    let all = [bounding, effective, permitted, inheritable, ambient].into_iter().flatten();
    let unknown: BTreeSet<&str> =
        all.map(String::as_str).filter(|name| capability(name).is_none()).collect();
    unknown.into_iter()
}

/// Returns the CPUs of a list such as `0-3,7`; none when nothing is said.
///
/// # Errors
/// When it is no such list.
pub(super) fn affinity(list: &str) -> Result<Option<CpuSet>> {
    let refused = |part: &str| invalid(format!("process.execCPUAffinity {list:?}: {part:?}"));
    if list.is_empty() {
        return Ok(None);
    }
    let mut set = CpuSet::new();
    for range in number_list(list).map_err(refused)? {
        for cpu in range {
            match usize::try_from(cpu) {
                Ok(cpu) if cpu < CpuSet::MAX_CPU => set.set(cpu),
                _ => return Err(refused(&cpu.to_string())),
            }
        }
    }
    Ok(Some(set))
}

fn rlimits(process: &Process) -> Result<Vec<Ulimit>> {
    let limit = |limit: &super::spec::Rlimit| {
        let name = limit.kind.strip_prefix("RLIMIT_").unwrap_or_default().to_ascii_lowercase();
        if limits::known(&name).is_none() {
            return Err(invalid(format!("process.rlimits: there is no limit {:?}", limit.kind)));
        }
        // The greatest number is no limit.
        let bound = |value: u64| i64::try_from(value).unwrap_or(-1);
        Ok(Ulimit { name, soft: bound(limit.soft), hard: bound(limit.hard) })
    };
    process.rlimits.iter().map(limit).collect()
}

fn io_priority(wanted: &IoPriority) -> Result<(u8, u8)> {
    let class = match wanted.class.as_str() {
        "IOPRIO_CLASS_RT" => 1,
        "IOPRIO_CLASS_BE" => 2,
        "IOPRIO_CLASS_IDLE" => 3,
        other => return Err(invalid(format!("process.ioPriority: there is no class {other:?}"))),
    };
    match wanted.priority {
        0..=7 => Ok((class, wanted.priority)),
        other => Err(invalid(format!("process.ioPriority: {other} is not from 0 to 7"))),
    }
}

fn scheduling(wanted: &Scheduler) -> Result<Scheduling> {
    // linux/sched.h.
    let policy = match wanted.policy.as_str() {
        "SCHED_OTHER" => 0,
        "SCHED_FIFO" => 1,
        "SCHED_RR" => 2,
        "SCHED_BATCH" => 3,
        "SCHED_ISO" => 4,
        "SCHED_IDLE" => 5,
        "SCHED_DEADLINE" => 6,
        other => return Err(invalid(format!("process.scheduler: there is no policy {other:?}"))),
    };
    let flags = wanted.flags.iter().try_fold(0, |flags, flag| {
        Ok(flags
            | match flag.as_str() {
                "SCHED_FLAG_RESET_ON_FORK" => 0x01,
                "SCHED_FLAG_RECLAIM" => 0x02,
                "SCHED_FLAG_DL_OVERRUN" => 0x04,
                "SCHED_FLAG_KEEP_POLICY" => 0x08,
                "SCHED_FLAG_KEEP_PARAMS" => 0x10,
                other => {
                    return Err(invalid(format!("process.scheduler: there is no flag {other:?}")));
                }
            })
    })?;
    let Scheduler { nice, priority, runtime, deadline, period, .. } = *wanted;
    Ok(Scheduling { policy, flags, nice, priority, runtime, deadline, period })
}

fn personality(linux: &Linux) -> Result<Option<u32>> {
    let Some(wanted) = &linux.personality else { return Ok(None) };
    if let Some(flag) = wanted.flags.first() {
        return Err(invalid(format!("linux.personality: there is no flag {flag:?}")));
    }
    // linux/personality.h.
    match wanted.domain.as_str() {
        "LINUX" => Ok(Some(0)),
        "LINUX32" => Ok(Some(8)),
        other => Err(invalid(format!("linux.personality: there is no domain {other:?}"))),
    }
}

/// Takes over the descriptors that the program is to inherit, and closes all others that the caller's
/// ancestors left open. To be called before this process has opened any.
///
/// # Errors
/// When one of them isn't open.
pub(super) fn take_preserved(count: u16) -> Result<Vec<OwnedFd>> {
    let given = wharf_sys::descriptors::given(count).map_err(|cause| {
        Error::failed(format_args!("preserve {count} descriptors from 3 on"), cause)
    })?;
    let keep: Vec<_> = given.iter().map(AsFd::as_fd).collect();
    wharf_sys::descriptors::close_all_but(&keep)
        .map_err(|cause| Error::failed("close descriptors", cause))?;
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Program> {
        program(&serde_json::from_str(text).unwrap(), &Linux::default())
    }

    #[test]
    fn a_process_is_read_as_it_stands() {
        let text = r#"{"args":["a"],"cwd":"/","user":{"uid":7,"gid":8,"umask":63,"additionalGids":[9]},
            "capabilities":{"bounding":["CAP_CHOWN"],"effective":null},
            "rlimits":[{"type":"RLIMIT_AS","soft":5,"hard":18446744073709551615}],
            "scheduler":{"policy":"SCHED_BATCH","nice":3,"flags":["SCHED_FLAG_RESET_ON_FORK"]},
            "ioPriority":{"class":"IOPRIO_CLASS_IDLE"}}"#;
        let found = read(text).unwrap();
        assert_eq!(found.identity, Identity::Numbers { uid: 7, gid: 8, groups: vec![9] });
        assert_eq!(found.manners.umask, Some(0o77));
        assert_eq!(found.manners.io_priority, Some((3, 0)));
        let scheduling = found.manners.scheduling.unwrap();
        assert_eq!((scheduling.policy, scheduling.nice, scheduling.flags), (3, 3, 1));
        assert!(found.grant.bounding.contains_name("CHOWN"));
        assert_eq!(found.grant.effective, CapSet::NONE);
        let limit = &found.ulimits[0];
        assert_eq!((limit.name.as_str(), limit.soft, limit.hard), ("as", 5, -1));
        for bad in [
            r#"{"rlimits":[{"type":"RLIMIT_X"}]}"#,
            r#"{"rlimits":[{"type":"nofile"}]}"#,
            r#"{"scheduler":{"policy":"SCHED_X"}}"#,
            r#"{"ioPriority":{"class":"IOPRIO_CLASS_BE","priority":8}}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn capabilities_that_are_none_are_left_out_and_named() {
        let sets = r#"{"capabilities":{"bounding":["CAP_KILL","CAP_X","CHOWN"],
            "ambient":["CAP_ALL","CAP_X"]}}"#;
        let process: Process = serde_json::from_str(sets).unwrap();
        let names: Vec<&str> = unknown_capabilities(&process).collect();
        assert_eq!(names, ["CAP_ALL", "CAP_X", "CHOWN"]);
        let grant = grant(&process.capabilities);
        assert!(grant.bounding.contains_name("KILL") && !grant.bounding.contains_name("CHOWN"));
        assert_eq!(grant.ambient, CapSet::NONE);
    }

    #[test]
    fn a_list_of_cpus_is_a_set() {
        assert!(affinity("").unwrap().is_none());
        let found = affinity("0,2-3").unwrap().unwrap();
        let has: Vec<bool> = (0..5).map(|cpu| found.is_set(cpu)).collect();
        assert_eq!(has, [true, false, true, true, false]);
        for bad in ["x", "3-1", "0-", "1024"] {
            assert!(affinity(bad).is_err(), "{bad}");
        }
    }
}
