//! The default system call filter, compiled from `assets/seccomp.json`.
//!
//! The profile is a list of names; this module turns it into classic BPF. Allowed numbers are
//! merged into ranges and found by binary search, so that a call passes some eight comparisons
//! instead of one per known name.

use std::collections::BTreeMap;

use serde::Deserialize;
use wharf_sys::seccomp::Instruction;

use super::capabilities::CapSet;
use super::syscalls::TABLE;
use crate::{Error, Result};

const PROFILE: &str = include_str!("../../../assets/seccomp.json");

// linux/seccomp.h, linux/audit.h, linux/bpf_common.h
const RET_ALLOW: u32 = 0x7fff_0000;
const RET_ERRNO: u32 = 0x0005_0000;
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
/// Set in the number of a call through the x32 ABI.
const X32_BIT: u32 = 0x4000_0000;
const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;

/// `struct seccomp_data`: number, architecture, instruction pointer, six 64-bit arguments.
const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCH: u32 = 4;
const OFFSET_ARGUMENTS: u32 = 16;

/// The profile as it stands in the file.
#[derive(Deserialize)]
struct Profile {
    default: Errno,
    unknown: Errno,
    allow: Vec<String>,
    when: Vec<Condition>,
    with: BTreeMap<String, Vec<String>>,
    errno: BTreeMap<String, Errno>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
enum Errno {
    #[serde(rename = "EPERM")]
    NotPermitted,
    #[serde(rename = "ENOSYS")]
    NoSuchCall,
}

impl Errno {
    fn action(self) -> u32 {
        RET_ERRNO
            | match self {
                Self::NotPermitted => EPERM,
                Self::NoSuchCall => ENOSYS,
            }
    }
}

/// A call that is allowed depending on the lower 32 bits of one argument.
#[derive(Clone, Deserialize, PartialEq, Eq)]
struct Condition {
    syscall: String,
    argument: u32,
    mask: u32,
    #[serde(default)]
    equals: Vec<u32>,
    #[serde(default)]
    differs: Vec<u32>,
}

/// What happens to a range of numbers.
#[derive(Clone, PartialEq, Eq)]
enum Verdict {
    Return(u32),
    When(Condition),
}

/// Returns the filter for a container whose bounding set is `capabilities`.
///
/// # Errors
/// When the profile names a call that doesn't exist.
pub(crate) fn default_filter(capabilities: CapSet) -> Result<Vec<Instruction>> {
    let profile: Profile = serde_json::from_str(PROFILE)
        .map_err(|cause| Error::failed("default seccomp profile", cause))?;
    compile(&profile, capabilities)
}

fn compile(profile: &Profile, capabilities: CapSet) -> Result<Vec<Instruction>> {
    let numbers: BTreeMap<&str, u32> = TABLE.iter().copied().collect();
    let number = |name: &str| {
        numbers.get(name).copied().ok_or_else(|| {
            Error::failed("default seccomp profile", format!("no system call named {name:?}"))
        })
    };
    let mut verdicts: BTreeMap<u32, Verdict> = TABLE
        .iter()
        .map(|&(_, number)| (number, Verdict::Return(profile.default.action())))
        .collect();
    for (name, errno) in &profile.errno {
        verdicts.insert(number(name)?, Verdict::Return(errno.action()));
    }
    for condition in &profile.when {
        verdicts.insert(number(&condition.syscall)?, Verdict::When(condition.clone()));
    }
    let granted = profile
        .with
        .iter()
        .filter(|(capability, _)| capabilities.contains_name(capability))
        .flat_map(|(_, names)| names);
    for name in profile.allow.iter().chain(granted) {
        verdicts.insert(number(name)?, Verdict::Return(RET_ALLOW));
    }
    Ok(assemble(&segments(&verdicts, profile.unknown.action())))
}

/// Merges neighbours with the same verdict; numbers without one get `unknown`. Each segment begins
/// at its number and ends before the next one's.
fn segments(verdicts: &BTreeMap<u32, Verdict>, unknown: u32) -> Vec<(u32, Verdict)> {
    let mut segments: Vec<(u32, Verdict)> = Vec::new();
    let mut push = |start: u32, verdict: Verdict| {
        if segments.last().is_none_or(|(_, last)| *last != verdict) {
            segments.push((start, verdict));
        }
    };
    let mut next = 0;
    for (&number, verdict) in verdicts {
        if number > next {
            push(next, Verdict::Return(unknown));
        }
        push(number, verdict.clone());
        next = number + 1;
    }
    push(next, Verdict::Return(unknown));
    segments
}

fn assemble(segments: &[(u32, Verdict)]) -> Vec<Instruction> {
    let no_such_call = RET_ERRNO | ENOSYS;
    let mut program = vec![
        load(OFFSET_ARCH),
        jump_if(JUMP_IF_EQUAL, AUDIT_ARCH_X86_64, 1, 0),
        // A 32-bit program: its numbers mean other calls.
        ret(no_such_call),
        load(OFFSET_NUMBER),
        jump_if(JUMP_IF_AT_LEAST, X32_BIT, 0, 1),
        ret(no_such_call),
    ];
    search(segments, &mut program);
    program
}

/// Emits a binary search over the segments.
fn search(segments: &[(u32, Verdict)], program: &mut Vec<Instruction>) {
    if let [(_, verdict)] = segments {
        match verdict {
            Verdict::Return(action) => program.push(ret(*action)),
            Verdict::When(condition) => test(condition, program),
        }
        return;
    }
    let (lower, upper) = segments.split_at(segments.len() / 2);
    program.push(jump_if(JUMP_IF_AT_LEAST, upper[0].0, 0, 1));
    let jump = program.len();
    // A conditional jump reaches 255 instructions, an unconditional one any number.
    program.push(Instruction { code: JUMP, jump_true: 0, jump_false: 0, k: 0 });
    search(lower, program);
    program[jump].k = u32::try_from(program.len() - jump - 1).unwrap_or(u32::MAX);
    search(upper, program);
}

fn test(condition: &Condition, program: &mut Vec<Instruction>) {
    let refused = RET_ERRNO | EPERM;
    program.push(load(OFFSET_ARGUMENTS + 8 * condition.argument));
    program.push(Instruction { code: AND, jump_true: 0, jump_false: 0, k: condition.mask });
    let (values, hit, miss) = if condition.equals.is_empty() {
        (&condition.differs, refused, RET_ALLOW)
    } else {
        (&condition.equals, RET_ALLOW, refused)
    };
    for &value in values {
        program.push(jump_if(JUMP_IF_EQUAL, value, 0, 1));
        program.push(ret(hit));
    }
    program.push(ret(miss));
}

fn load(offset: u32) -> Instruction {
    Instruction { code: LOAD, jump_true: 0, jump_false: 0, k: offset }
}

fn jump_if(code: u16, k: u32, jump_true: u8, jump_false: u8) -> Instruction {
    Instruction { code, jump_true, jump_false, k }
}

fn ret(action: u32) -> Instruction {
    Instruction { code: RETURN, jump_true: 0, jump_false: 0, k: action }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a filter as the kernel would.
    fn run(program: &[Instruction], arch: u32, number: u32, arguments: [u32; 2]) -> u32 {
        let (mut at, mut a) = (0, 0u32);
        loop {
            let i = program[at];
            at += 1;
            match i.code {
                LOAD => {
                    a = match i.k {
                        OFFSET_NUMBER => number,
                        OFFSET_ARCH => arch,
                        16 => arguments[0],
                        24 => arguments[1],
                        other => panic!("load from {other}"),
                    }
                }
                AND => a &= i.k,
                JUMP => at += i.k as usize,
                JUMP_IF_EQUAL => {
                    at += usize::from(if a == i.k { i.jump_true } else { i.jump_false });
                }
                JUMP_IF_AT_LEAST => {
                    at += usize::from(if a >= i.k { i.jump_true } else { i.jump_false });
                }
                RETURN => return i.k,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    fn number(name: &str) -> u32 {
        TABLE.iter().find(|(n, _)| *n == name).unwrap().1
    }

    fn verdict(capabilities: CapSet, name: &str, argument: u32) -> u32 {
        let filter = default_filter(capabilities).unwrap();
        run(&filter, AUDIT_ARCH_X86_64, number(name), [argument, 0])
    }

    #[test]
    fn every_number_gets_the_verdict_of_the_profile() {
        let profile: Profile = serde_json::from_str(PROFILE).unwrap();
        let filter = default_filter(CapSet::DEFAULT).unwrap();
        assert!(filter.len() < 1000, "{}", filter.len());
        for &(name, n) in TABLE {
            if profile.when.iter().any(|c| c.syscall == name) || name == "chroot" {
                continue;
            }
            let expected = if name == "clone3" {
                RET_ERRNO | ENOSYS
            } else if profile.allow.iter().any(|a| a == name) {
                RET_ALLOW
            } else {
                RET_ERRNO | EPERM
            };
            assert_eq!(run(&filter, AUDIT_ARCH_X86_64, n, [0, 0]), expected, "{name}");
        }
        for n in [100_000, 335, X32_BIT, X32_BIT + 1, u32::MAX] {
            assert_eq!(run(&filter, AUDIT_ARCH_X86_64, n, [0, 0]), RET_ERRNO | ENOSYS, "{n}");
        }
        assert_eq!(run(&filter, 0x4000_0003, 1, [0, 0]), RET_ERRNO | ENOSYS);
    }

    #[test]
    fn arguments_decide_where_the_profile_says_so() {
        let plain = CapSet::DEFAULT;
        assert_eq!(verdict(plain, "clone", 0x11), RET_ALLOW);
        assert_eq!(verdict(plain, "clone", 0x1000_0000), RET_ERRNO | EPERM);
        assert_eq!(verdict(plain, "socket", 2), RET_ALLOW);
        assert_eq!(verdict(plain, "socket", 38), RET_ERRNO | EPERM);
        assert_eq!(verdict(plain, "socket", 40), RET_ERRNO | EPERM);
        assert_eq!(verdict(plain, "personality", 8), RET_ALLOW);
        assert_eq!(verdict(plain, "personality", 4), RET_ERRNO | EPERM);
    }

    #[test]
    fn capabilities_open_what_belongs_to_them() {
        let plain = CapSet::DEFAULT;
        assert_eq!(verdict(plain, "chroot", 0), RET_ALLOW);
        assert_eq!(verdict(plain, "mount", 0), RET_ERRNO | EPERM);
        let admin = plain.with("SYS_ADMIN").unwrap();
        for name in ["mount", "clone", "clone3", "unshare", "setns"] {
            assert_eq!(verdict(admin, name, 0x1000_0000), RET_ALLOW, "{name}");
        }
        assert_eq!(verdict(admin, "reboot", 0), RET_ERRNO | EPERM);
    }
}
