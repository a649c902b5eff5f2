//! System call filters, compiled from profiles: the default one is `assets/seccomp.json`.
//!
//! The rules of a profile become classic BPF. Numbers with the same verdict are merged into ranges
//! and found by binary search, so that a call passes some eight comparisons instead of one per
//! known name. What several rules mean together is as libseccomp and runc have it: a rule without
//! arguments overrides those with, and numbers above all that the profile knows answer ENOSYS, so
//! that programs fall back when the kernel is newer than the profile.

use std::collections::{BTreeMap, HashMap};

use wharf_model::{ErrorKind, SeccompMode};
use wharf_sys::seccomp::Instruction;

use super::capabilities::CapSet;
use super::profile::{Action, Argument, Operator, Profile, Rule, Surroundings, numbers};
use super::syscalls::TABLE;
use crate::{Error, Result};

const PROFILE: &str = include_str!("../../../assets/seccomp.json");

// linux/seccomp.h, linux/audit.h, linux/bpf_common.h
const RET_KILL_PROCESS: u32 = 0x8000_0000;
const RET_KILL_THREAD: u32 = 0x0000_0000;
const RET_TRAP: u32 = 0x0003_0000;
const RET_ERRNO: u32 = 0x0005_0000;
const RET_USER_NOTIFY: u32 = 0x7fc0_0000;
const RET_TRACE: u32 = 0x7ff0_0000;
const RET_LOG: u32 = 0x7ffc_0000;
const RET_ALLOW: u32 = 0x7fff_0000;
/// The part of a return value that is the error number.
const RET_DATA: u32 = 0xffff;
const FLAG_LOG: u32 = 1 << 1;
const FLAG_SPEC_ALLOW: u32 = 1 << 2;
const FLAG_WAIT_KILLABLE: u32 = 1 << 5;
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
/// Set in the number of a call through the x32 ABI.
const X32_BIT: u32 = 0x4000_0000;
const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_GREATER: u16 = 0x25;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const AND: u16 = 0x54;
const RETURN: u16 = 0x06;

/// What a profile may ask for, in its words: see [`Action`].
pub(crate) const ACTIONS: [&str; 9] = [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
];
/// How arguments are compared: see [`Operator`].
pub(crate) const OPERATORS: [&str; 7] = [
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_LE",
    "SCMP_CMP_LT",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_NE",
];
/// Whose calls are known. Others' are refused, whatever the profile says.
pub(crate) const ARCHITECTURES: [&str; 1] = ["SCMP_ARCH_X86_64"];
/// The flags of a filter.
pub(crate) const FLAGS: [&str; 4] = [
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];

/// `struct seccomp_data`: number, architecture, instruction pointer, six 64-bit arguments.
const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCH: u32 = 4;
const OFFSET_ARGUMENTS: u32 = 16;

/// A compiled filter.
#[derive(Debug)]
pub(crate) struct Filter {
    /// The program.
    pub(crate) program: Vec<Instruction>,
    /// `SECCOMP_FILTER_FLAG_*`.
    pub(crate) flags: u32,
    /// Whether it leaves calls to somebody who listens.
    pub(crate) notifies: bool,
}

/// What happens to a range of numbers: the first set of conditions that holds decides.
#[derive(Clone, PartialEq, Eq)]
struct Verdict {
    when: Vec<(Vec<Argument>, u32)>,
    otherwise: u32,
    /// Whether a rule without conditions has set `otherwise`.
    settled: bool,
}

/// Returns the filter for a program whose bounding set is `capabilities`; none when it is to have
/// none.
///
/// # Errors
/// When a profile of the user's is none, or asks for what can't be done.
pub(crate) fn filter(mode: &SeccompMode, capabilities: CapSet) -> Result<Option<Filter>> {
    filter_of(mode, capabilities, false)
}

/// As [`filter`]; calls may be left to others where `may_notify`.
///
/// # Errors
/// As for [`filter`].
pub(crate) fn filter_of(
    mode: &SeccompMode,
    capabilities: CapSet,
    may_notify: bool,
) -> Result<Option<Filter>> {
    let text = match mode {
        SeccompMode::Unconfined => return Ok(None),
        SeccompMode::Default => PROFILE,
        SeccompMode::Profile(text) => text,
    };
    let release = rustix::system::uname();
    let kernel = numbers(&release.release().to_string_lossy()).unwrap_or_default();
    let profile = Profile::parse(text)?;
    if !may_notify {
        profile.refuse_notification()?;
    }
    compile(&profile, Surroundings { capabilities, kernel })
}

/// Returns what a filter returns for an action.
fn returned(action: Action, errno: Option<u32>) -> u32 {
    let data = errno.unwrap_or(EPERM) & RET_DATA;
    match action {
        Action::Allow => RET_ALLOW,
        Action::Errno => RET_ERRNO | data,
        Action::Trace => RET_TRACE | data,
        Action::Log => RET_LOG,
        Action::Trap => RET_TRAP,
        Action::KillThread => RET_KILL_THREAD,
        Action::KillProcess => RET_KILL_PROCESS,
        Action::Notify => RET_USER_NOTIFY,
    }
}

fn compile(profile: &Profile, around: Surroundings) -> Result<Option<Filter>> {
    let Some(default) = profile.default_action else { return Ok(None) };
    let default_return = returned(default, profile.default_errno_ret);
    let by_name: HashMap<&str, u32> = TABLE.iter().copied().collect();
    let fresh = || Verdict { when: Vec::new(), otherwise: default_return, settled: false };
    let mut verdicts: BTreeMap<u32, Verdict> = BTreeMap::new();
    let mut newest = 0;
    for rule in profile.syscalls.iter().filter(|rule| rule.applies(around)) {
        // A call of another architecture, or of a newer kernel than this table.
        for number in rule.names().filter_map(|name| by_name.get(name).copied()) {
            newest = newest.max(number);
            add(verdicts.entry(number).or_insert_with(fresh), rule, default_return);
        }
    }
    let permissive = matches!(default, Action::Allow | Action::Log | Action::Trace);
    let unknown = Verdict {
        otherwise: if permissive { default_return } else { RET_ERRNO | ENOSYS },
        ..fresh()
    };
    let mut flags = 0;
    for flag in &profile.flags {
        flags |= match flag.as_str() {
            "SECCOMP_FILTER_FLAG_LOG" => FLAG_LOG,
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => FLAG_SPEC_ALLOW,
            // The process has one thread.
            "SECCOMP_FILTER_FLAG_TSYNC" => 0,
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" if profile.notifies() => FLAG_WAIT_KILLABLE,
            other => {
                let text = format!("seccomp flag {other:?} is not known");
                return Err(Error::new(ErrorKind::Invalid, text));
            }
        };
    }
    let program = assemble(&segments(&verdicts, &fresh(), newest, &unknown))?;
    Ok(Some(Filter { program, flags, notifies: profile.notifies() }))
}

/// Adds what a rule says to the verdict on one call.
fn add(verdict: &mut Verdict, rule: &Rule, default: u32) {
    let action = returned(rule.action, rule.errno_ret);
    if verdict.settled || action == default {
        return;
    }
    if rule.args.is_empty() {
        *verdict = Verdict { when: Vec::new(), otherwise: action, settled: true };
        return;
    }
    // One argument twice means "or" to runc, since libseccomp can't have it in one rule.
    let twice = (0..6).any(|i| rule.args.iter().filter(|a| a.index == i).count() > 1);
    if twice {
        verdict.when.extend(rule.args.iter().map(|argument| (vec![*argument], action)));
    } else {
        verdict.when.push((rule.args.clone(), action));
    }
}

/// Merges neighbours with the same verdict; numbers without one get `default` up to `newest`, and
/// `unknown` above. Each segment begins at its number and ends before the next one's.
fn segments(
    verdicts: &BTreeMap<u32, Verdict>,
    default: &Verdict,
    newest: u32,
    unknown: &Verdict,
) -> Vec<(u32, Verdict)> {
    let mut segments: Vec<(u32, Verdict)> = Vec::new();
    let mut push = |start: u32, verdict: &Verdict| {
        let same =
            |last: &Verdict| last.when == verdict.when && last.otherwise == verdict.otherwise;
        if segments.last().is_none_or(|(_, last)| !same(last)) {
            segments.push((start, verdict.clone()));
        }
    };
    let mut next = 0;
    for (&number, verdict) in verdicts {
        if number > next {
            push(next, default);
        }
        push(number, verdict);
        next = number + 1;
    }
    if newest >= next {
        push(next, default);
        next = newest + 1;
    }
    push(next, unknown);
    segments
}

fn assemble(segments: &[(u32, Verdict)]) -> Result<Vec<Instruction>> {
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
    search(segments, &mut program)?;
    Ok(program)
}

/// Emits a binary search over the segments.
fn search(segments: &[(u32, Verdict)], program: &mut Vec<Instruction>) -> Result<()> {
    if let [(_, verdict)] = segments {
        for (arguments, action) in &verdict.when {
            test(arguments, *action, program)?;
        }
        program.push(ret(verdict.otherwise));
        return Ok(());
    }
    let (lower, upper) = segments.split_at(segments.len() / 2);
    program.push(jump_if(JUMP_IF_AT_LEAST, upper[0].0, 0, 1));
    let jump = program.len();
    // A conditional jump reaches 255 instructions, an unconditional one any number.
    program.push(Instruction { code: JUMP, jump_true: 0, jump_false: 0, k: 0 });
    search(lower, program)?;
    program[jump].k = u32::try_from(program.len() - jump - 1).unwrap_or(u32::MAX);
    search(upper, program)
}

/// Where a comparison goes on.
#[derive(Clone, Copy)]
enum To {
    /// The next instruction.
    Next,
    /// So many further.
    Skip(u8),
    /// Behind the rule: the condition doesn't hold.
    Miss,
}

/// An instruction whose jumps aren't numbers yet.
struct Step(u16, u32, To, To);

/// Emits one rule: `action` when all conditions hold, and on with what follows when not.
fn test(arguments: &[Argument], action: u32, program: &mut Vec<Instruction>) -> Result<()> {
    let mut steps = Vec::new();
    for argument in arguments {
        compare(argument, &mut steps);
    }
    let length = steps.len();
    for (at, Step(code, k, yes, no)) in steps.into_iter().enumerate() {
        let offset = |to: To| match to {
            To::Next => Some(0),
            To::Skip(count) => Some(count),
            // Over the rest and the return.
            To::Miss => u8::try_from(length - at).ok(),
        };
        let (Some(jump_true), Some(jump_false)) = (offset(yes), offset(no)) else {
            let text = "a rule of the seccomp profile has too many arguments";
            return Err(Error::new(ErrorKind::Invalid, text));
        };
        program.push(Instruction { code, jump_true, jump_false, k });
    }
    program.push(ret(action));
    Ok(())
}

/// Emits the comparison of one argument, whose halves are compared one after the other.
fn compare(argument: &Argument, steps: &mut Vec<Step>) {
    use To::{Miss, Next, Skip};
    let halves = |value: u64| ((value >> 32) as u32, (value & 0xffff_ffff) as u32);
    let (high, low) = halves(argument.value);
    let at = OFFSET_ARGUMENTS + 8 * argument.index;
    let load = |offset| Step(LOAD, offset, Next, Next);
    match argument.op {
        Operator::Equal => steps.extend([
            load(at + 4),
            Step(JUMP_IF_EQUAL, high, Next, Miss),
            load(at),
            Step(JUMP_IF_EQUAL, low, Next, Miss),
        ]),
        Operator::NotEqual => steps.extend([
            load(at + 4),
            Step(JUMP_IF_EQUAL, high, Next, Skip(2)),
            load(at),
            Step(JUMP_IF_EQUAL, low, Miss, Next),
        ]),
        Operator::Greater | Operator::GreaterOrEqual => {
            let last = match argument.op {
                Operator::Greater => JUMP_IF_GREATER,
                _ => JUMP_IF_AT_LEAST,
            };
            steps.extend([
                load(at + 4),
                Step(JUMP_IF_GREATER, high, Skip(3), Next),
                Step(JUMP_IF_EQUAL, high, Next, Miss),
                load(at),
                Step(last, low, Next, Miss),
            ]);
        }
        Operator::Less | Operator::LessOrEqual => {
            let last = match argument.op {
                Operator::Less => JUMP_IF_AT_LEAST,
                _ => JUMP_IF_GREATER,
            };
            steps.extend([
                load(at + 4),
                Step(JUMP_IF_AT_LEAST, high, Next, Skip(3)),
                Step(JUMP_IF_EQUAL, high, Next, Miss),
                load(at),
                Step(last, low, Miss, Next),
            ]);
        }
        Operator::MaskedEqual => {
            let (wanted_high, wanted_low) = halves(argument.value_two);
            if high != 0 || wanted_high != 0 {
                steps.extend([
                    load(at + 4),
                    Step(AND, high, Next, Next),
                    Step(JUMP_IF_EQUAL, wanted_high, Next, Miss),
                ]);
            }
            steps.extend([
                load(at),
                Step(AND, low, Next, Next),
                Step(JUMP_IF_EQUAL, wanted_low, Next, Miss),
            ]);
        }
    }
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
#[path = "seccomp_tests.rs"]
mod tests;
