//! `linux.resources`: limits in docker's units and names, which the control groups are written from,
//! and what docker has no names for.

use wharf_cgroup::{DeviceAccess, Further, Handles, Limits};
use wharf_model::{DeviceRate, ErrorKind, Resources as Wanted};
use wharf_sys::bpf::{DeviceKind, DeviceRule as Rule, MKNOD, READ, WRITE};

use super::spec::{DeviceRule, Rdma, Resources, ThrottleDevice};
use crate::{Error, Result};

fn refused(what: &str, why: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("linux.resources.{what} {why}"))
}

/// Returns the limits of a container.
///
/// # Errors
/// When something is asked for that can't be done here, by its name.
pub(super) fn limits(wanted: Option<&Resources>) -> Result<Limits> {
    let nothing = Resources::default();
    let wanted = wanted.unwrap_or(&nothing);
    let resources = resources(wanted)?;
    Ok(Limits { resources, devices: devices(&wanted.devices)?, further: further(wanted)? })
}

/// Returns what docker has names for.
pub(super) fn resources(wanted: &Resources) -> Result<Wanted> {
    let Resources { memory, cpu, pids, block_io, .. } = wanted;
    let bytes = |value: Option<i64>| value.and_then(|bytes| u64::try_from(bytes).ok());
    let rates = |devices: &[ThrottleDevice]| {
        devices.iter().map(|d| rate(d.major, d.minor, d.rate)).collect::<Vec<_>>()
    };
    if block_io.leaf_weight.is_some_and(|weight| weight != 0) {
        return Err(refused("blockIO.leafWeight", "is gone from the kernel"));
    }
    if memory.swap.is_some_and(|swap| swap >= 0)
        && memory.limit.is_some_and(|limit| limit >= 0)
        && memory.swap < memory.limit
    {
        let text =
            "linux.resources.memory.swap is memory and swap together, and less than the limit";
        return Err(Error::new(ErrorKind::Invalid, text));
    }
    Ok(Wanted {
        memory: bytes(memory.limit).filter(|limit| *limit > 0),
        // What isn't said is no limit here, where docker doubles the memory.
        memory_swap: match (memory.swap, memory.limit) {
            (Some(swap), _) if swap != 0 => Some(swap.max(-1)),
            (_, Some(limit)) if limit > 0 => Some(-1),
            _ => None,
        },
        memory_reservation: bytes(memory.reservation).filter(|bytes| *bytes > 0),
        memory_swappiness: memory.swappiness,
        oom_kill_disable: memory.disable_oom_killer.filter(|disabled| *disabled),
        cpu_shares: cpu.shares.filter(|shares| *shares > 0),
        cpu_period: cpu.period.filter(|period| *period > 0),
        cpu_quota: cpu.quota.filter(|quota| *quota != 0),
        cpu_rt_period: cpu.realtime_period.filter(|period| *period > 0),
        cpu_rt_runtime: bytes(cpu.realtime_runtime).filter(|runtime| *runtime > 0),
        cpuset_cpus: cpu.cpus.clone(),
        cpuset_mems: cpu.mems.clone(),
        pids_limit: bytes(pids.limit).filter(|limit| *limit > 0),
        blkio_weight: block_io.weight.filter(|weight| *weight > 0),
        blkio_weight_device: block_io
            .weight_device
            .iter()
            .map(|device| rate(device.major, device.minor, device.weight.into()))
            .collect(),
        device_read_bps: rates(&block_io.throttle_read_bps_device),
        device_write_bps: rates(&block_io.throttle_write_bps_device),
        device_read_iops: rates(&block_io.throttle_read_iops_device),
        device_write_iops: rates(&block_io.throttle_write_iops_device),
        ..Wanted::default()
    })
}

fn rate(major: u32, minor: u32, rate: u64) -> DeviceRate {
    DeviceRate { path: format!("{major}:{minor}"), rate }
}

/// Returns what docker has no names for.
pub(super) fn further(wanted: &Resources) -> Result<Further> {
    let Resources { network, rdma, .. } = wanted;
    // The kernel reads words.
    let is_word = |name: &str| !name.is_empty() && !name.contains(char::is_whitespace);
    let names = network.priorities.iter().map(|link| link.name.as_str());
    if let Some(name) = names.chain(rdma.keys().map(String::as_str)).find(|name| !is_word(name)) {
        let text = format!("linux.resources: {name:?} is no name of a link or a device");
        return Err(Error::new(ErrorKind::Invalid, text));
    }
    let says_nothing = |one: &Rdma| one.hca_handles.is_none() && one.hca_objects.is_none();
    if let Some((device, _)) = rdma.iter().find(|(_, one)| says_nothing(one)) {
        let text = format!("linux.resources.rdma: {device} has neither hcaHandles nor hcaObjects");
        return Err(Error::new(ErrorKind::Invalid, text));
    }
    if let Some(name) = wanted.unified.keys().find(|name| name.contains('/') || name.is_empty()) {
        let text = format!("linux.resources.unified: {name:?} must be a file name (no slashes)");
        return Err(Error::new(ErrorKind::Invalid, text));
    }
    Ok(Further {
        unified: wanted.unified.clone(),
        cpu_idle: wanted.cpu.idle.map(|idle| idle != 0),
        cpu_burst: wanted.cpu.burst,
        huge_pages: wanted
            .hugepage_limits
            .iter()
            .map(|pages| (pages.page_size.clone(), pages.limit))
            .collect(),
        packet_class: network.class_id.filter(|class| *class != 0),
        packet_priorities: network
            .priorities
            .iter()
            .map(|link| (link.name.clone(), link.priority))
            .collect(),
        kernel_tcp: wanted
            .memory
            .kernel_tcp
            .and_then(|bytes| u64::try_from(bytes).ok())
            .filter(|bytes| *bytes > 0),
        rdma: rdma
            .iter()
            .map(|(device, &Rdma { hca_handles, hca_objects })| {
                (device.clone(), Handles { handles: hca_handles, objects: hca_objects })
            })
            .collect(),
    })
}

/// Returns which devices may be used after all rules, one after the other. To begin with none may but
/// those that every container has.
fn devices(rules: &[DeviceRule]) -> Result<DeviceAccess> {
    let mut by_default = false;
    let mut exceptions: Vec<Rule> = Vec::new();
    for rule in rules {
        let access = access(&rule.access)?;
        let number = |number: Option<i64>| number.and_then(|number| u32::try_from(number).ok());
        let (major, minor) = (number(rule.major), number(rule.minor));
        let kinds: &[DeviceKind] = match rule.kind.as_str() {
            "a" | "" => &[DeviceKind::Block, DeviceKind::Character],
            "b" => &[DeviceKind::Block],
            "c" | "u" => &[DeviceKind::Character],
            other => {
                let text = format!("linux.resources.devices: there is no type {other:?}");
                return Err(Error::new(ErrorKind::Invalid, text));
            }
        };
        if kinds.len() == 2 {
            // As the kernel has it: a rule about all kinds is about all devices.
            by_default = rule.allow;
            exceptions.clear();
            continue;
        }
        for kind in kinds {
            let one = Rule { kind: *kind, major, minor, access };
            if rule.allow != by_default {
                exceptions.push(one);
                continue;
            }
            for other in &mut exceptions {
                if (other.kind, other.major, other.minor) == (one.kind, one.major, one.minor) {
                    other.access &= !one.access;
                }
            }
            exceptions.retain(|other| other.access != 0);
        }
    }
    Ok(match (by_default, exceptions.is_empty()) {
        (false, _) => DeviceAccess::Listed(exceptions),
        (true, true) => DeviceAccess::Unrestricted,
        (true, false) => DeviceAccess::AllBut(exceptions),
    })
}

fn access(letters: &str) -> Result<u8> {
    if letters.is_empty() {
        return Ok(READ | WRITE | MKNOD);
    }
    letters.chars().try_fold(0, |bits, letter| {
        Ok(bits
            | match letter {
                'r' => READ,
                'w' => WRITE,
                'm' => MKNOD,
                _ => {
                    let text = format!("linux.resources.devices: access {letters:?} is not of rwm");
                    return Err(Error::new(ErrorKind::Invalid, text));
                }
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Limits> {
        limits(Some(&serde_json::from_str(text).unwrap()))
    }

    #[test]
    fn device_rules_hold_one_after_the_other() {
        let of = |text: &str| read(&format!("{{\"devices\":{text}}}")).unwrap().devices;
        assert_eq!(of("[]"), DeviceAccess::Listed(Vec::new()));
        assert_eq!(of(r#"[{"allow":true,"access":"rwm"}]"#), DeviceAccess::Unrestricted);
        let rule = Rule {
            kind: DeviceKind::Character,
            major: Some(10),
            minor: None,
            access: READ | WRITE,
        };
        let text = r#"[{"allow":true},{"allow":false,"access":"rwm"},
            {"allow":true,"type":"c","major":10,"minor":-1,"access":"rw"}]"#;
        assert_eq!(of(text), DeviceAccess::Listed(vec![rule]));
        let text =
            r#"[{"allow":true,"type":"a"},{"allow":false,"type":"c","major":10,"access":"rw"}]"#;
        assert_eq!(of(text), DeviceAccess::AllBut(vec![rule]));
        let text = r#"[{"allow":true,"type":"c","major":10,"access":"rw"},
            {"allow":false,"type":"c","major":10,"access":"w"}]"#;
        assert_eq!(of(text), DeviceAccess::Listed(vec![Rule { access: READ, ..rule }]));
        for bad in [r#"[{"allow":true,"type":"x"}]"#, r#"[{"access":"z"}]"#] {
            assert!(read(&format!("{{\"devices\":{bad}}}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn limits_are_docker_s_but_for_swap() {
        let found = read(r#"{"memory":{"limit":1000},"pids":{"limit":-1},"cpu":{"quota":-1}}"#);
        let found = found.unwrap().resources;
        assert_eq!((found.memory, found.memory_swap), (Some(1000), Some(-1)));
        assert_eq!((found.pids_limit, found.cpu_quota), (None, Some(-1)));
        let found = read(
            r#"{"memory":{"limit":-1,"swap":-1},"blockIO":
            {"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":7}]}}"#,
        );
        let found = found.unwrap().resources;
        assert_eq!((found.memory, found.memory_swap), (None, Some(-1)));
        assert_eq!(found.device_read_bps[0].path, "8:0");
        for bad in [
            r#"{"memory":{"limit":1000,"swap":10}}"#,
            r#"{"rdma":{"mlx5_1":{}}}"#,
            r#"{"network":{"priorities":[{"name":"a 1\nb","priority":1}]}}"#,
            r#"{"unified":{"../x":"1"}}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        // Callers write all that there could be.
        let found = read(r#"{"network":{"classID":0,"priorities":null},"rdma":null}"#).unwrap();
        assert_eq!(found.further, Further::default());
        let found = read(
            r#"{"network":{"classID":7,"priorities":[{"name":"lo","priority":3}]},
            "rdma":{"mlx5_1":{"hcaHandles":2}}}"#,
        );
        let found = found.unwrap().further;
        assert_eq!(found.packet_class, Some(7));
        assert_eq!(found.packet_priorities["lo"], 3);
        assert_eq!(found.rdma["mlx5_1"], Handles { handles: Some(2), objects: None });
    }
}
