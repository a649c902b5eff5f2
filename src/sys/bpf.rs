//! Device filters of version 2 control groups: the kernel asks a small BPF program
//! (`BPF_PROG_TYPE_CGROUP_DEVICE`) at each open and mknod of a device.
//!
//! [`device_program`] turns a list of what is allowed into instructions (pure), [`attach`] loads
//! them and hangs them on a group, with which they live and die. Encoding and numbers are those of
//! the kernel's `include/uapi/linux/bpf.h` and Documentation/bpf/standardization/instruction-set.

#![expect(unsafe_code, reason = "bpf(2) has no safe wrapper")]

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// May make a node of the device.
pub const MKNOD: u8 = 1;
/// May open it for reading.
pub const READ: u8 = 2;
/// May open it for writing.
pub const WRITE: u8 = 4;

/// Block or character device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// A block device.
    Block,
    /// A character device.
    Character,
}

/// One thing that is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRule {
    /// Block or character.
    pub kind: DeviceKind,
    /// The major number; none is any.
    pub major: Option<u32>,
    /// The minor number; none is any.
    pub minor: Option<u32>,
    /// What may be done: [`MKNOD`], [`READ`], [`WRITE`], or-ed.
    pub access: u8,
}

/// One BPF instruction (`struct bpf_insn`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    code: u8,
    /// The destination in the low four bits, the source in the high ones.
    registers: u8,
    offset: i16,
    immediate: i32,
}

const LOAD_WORD: u8 = 0x61;
const MOVE: u8 = 0xbf;
const MOVE_VALUE: u8 = 0xb7;
const AND_VALUE: u8 = 0x57;
const SHIFT_RIGHT: u8 = 0x77;
const JUMP_UNEQUAL: u8 = 0x5d;
const JUMP_UNEQUAL_VALUE: u8 = 0x55;
const JUMP_EQUAL_VALUE: u8 = 0x15;
const EXIT: u8 = 0x95;

const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
/// The context is not needed once its fields are loaded.
const SCRATCH: u8 = CONTEXT;

fn op(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers: destination | source << 4, offset, immediate }
}

/// Returns the program that allows what one of the rules allows and refuses all else.
pub fn device_program(rules: &[DeviceRule]) -> Vec<Instruction> {
    filter(rules, true)
}

/// Returns the program that refuses what has to do with one of the rules and allows all else.
pub fn device_program_but(rules: &[DeviceRule]) -> Vec<Instruction> {
    filter(rules, false)
}

/// The program that does with what the rules are about what `allows` says, and with all else the
/// opposite. To be allowed, all of an access must be in one rule; to be refused, a part will do.
fn filter(rules: &[DeviceRule], allows: bool) -> Vec<Instruction> {
    // struct bpf_cgroup_dev_ctx { u32 access_type; u32 major; u32 minor; }: the kind is in the low
    // half of the first word, the access in the high half.
    let mut program = vec![
        op(LOAD_WORD, KIND, CONTEXT, 0, 0),
        op(MOVE, ACCESS, KIND, 0, 0),
        op(AND_VALUE, KIND, 0, 0, 0xffff),
        op(SHIFT_RIGHT, ACCESS, 0, 0, 16),
        op(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        op(LOAD_WORD, MINOR, CONTEXT, 8, 0),
    ];
    for rule in rules {
        let kind = match rule.kind {
            DeviceKind::Block => 1,
            DeviceKind::Character => 2,
        };
        // Asked is more than allowed when masking takes something away.
        let mut tests = vec![
            op(JUMP_UNEQUAL_VALUE, KIND, 0, 0, kind),
            op(MOVE, SCRATCH, ACCESS, 0, 0),
            op(AND_VALUE, SCRATCH, 0, 0, i32::from(rule.access)),
            match allows {
                true => op(JUMP_UNEQUAL, SCRATCH, ACCESS, 0, 0),
                false => op(JUMP_EQUAL_VALUE, SCRATCH, 0, 0, 0),
            },
        ];
        for (register, number) in [(MAJOR, rule.major), (MINOR, rule.minor)] {
            if let Some(number) = number {
                // Numbers of devices have at most 20 bits; a greater one is no device's.
                let number = i32::try_from(number).unwrap_or(-1);
                tests.push(op(JUMP_UNEQUAL_VALUE, register, 0, 0, number));
            }
        }
        // Each failed test leaps over the remaining ones and over the return.
        for (remaining, test) in (2..).zip(tests.iter_mut().rev()) {
            if matches!(test.code, JUMP_UNEQUAL | JUMP_UNEQUAL_VALUE | JUMP_EQUAL_VALUE) {
                test.offset = remaining;
            }
        }
        program.append(&mut tests);
        program.push(op(MOVE_VALUE, RESULT, 0, 0, i32::from(allows)));
        program.push(op(EXIT, 0, 0, 0, 0));
    }
    program.push(op(MOVE_VALUE, RESULT, 0, 0, i32::from(!allows)));
    program.push(op(EXIT, 0, 0, 0, 0));
    program
}

/// Loads the program and attaches it to the group whose folder is `cgroup`.
///
/// # Errors
/// What the kernel said: `EINVAL` or `ENOSYS` where it lacks such programs.
pub fn attach(cgroup: impl AsFd, program: &[Instruction]) -> Result<(), Errno> {
    let loaded = match load(program) {
        // Before Linux 5.11 programs count against the limit on locked memory.
        Err(Errno::PERM) => with_unlimited_memlock(|| load(program))?,
        other => other?,
    };
    let attributes = AttachAttributes {
        target_fd: cgroup.as_fd().as_raw_fd(),
        program_fd: loaded.as_raw_fd(),
        attach_type: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_MULTI,
    };
    // SAFETY: `AttachAttributes` has the layout of the part of `union bpf_attr` that
    // BPF_PROG_ATTACH reads, its length is passed, and both descriptors are open.
    unsafe { bpf(BPF_PROG_ATTACH, &attributes) }.map(|_| ())
}

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

#[repr(C)]
struct LoadAttributes {
    program_type: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    flags: u32,
}

#[repr(C)]
struct AttachAttributes {
    target_fd: i32,
    program_fd: i32,
    attach_type: u32,
    flags: u32,
}

fn load(program: &[Instruction]) -> Result<OwnedFd, Errno> {
    let license = c"Apache-2.0";
    let attributes = LoadAttributes {
        program_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        count: u32::try_from(program.len()).map_err(|_| Errno::TOOBIG)?,
        instructions: program.as_ptr().addr() as u64,
        license: license.as_ptr().addr() as u64,
        log_level: 0,
        log_size: 0,
        log_buffer: 0,
        kernel_version: 0,
        flags: 0,
    };
    // SAFETY: `LoadAttributes` has the layout of the part of `union bpf_attr` that BPF_PROG_LOAD
    // reads; the instructions and the license outlive the call, which copies both.
    let fd = unsafe { bpf(BPF_PROG_LOAD, &attributes) }?;
    // SAFETY: the kernel has just made this descriptor for us (close-on-exec), nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Calls bpf(2).
///
/// # Safety
/// `attributes` must be laid out as `union bpf_attr` is for `command`, and the pointers and
/// descriptors in it must be valid.
unsafe fn bpf<T>(command: libc::c_int, attributes: &T) -> Result<libc::c_int, Errno> {
    // SAFETY: the caller vouches for the content; the pointer and the length describe `attributes`.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            std::mem::size_of::<T>(),
        )
    };
    let result = libc::c_int::try_from(result).map_err(|_| Errno::INVAL)?;
    if result < 0 {
        let cause = std::io::Error::last_os_error();
        return Err(Errno::from_io_error(&cause).unwrap_or(Errno::INVAL));
    }
    Ok(result)
}

/// Runs `action` with the limit on locked memory lifted, and puts the limit back.
fn with_unlimited_memlock<T>(action: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
    let before = getrlimit(Resource::Memlock);
    setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None })?;
    let result = action();
    setrlimit(Resource::Memlock, before)?;
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program as the kernel would.
    fn run(program: &[Instruction], kind: u64, access: u64, major: u64, minor: u64) -> u64 {
        let context = [kind | access << 16, major, minor];
        let mut registers = [0u64; 11];
        let mut at = 0usize;
        loop {
            let one = program[at];
            let (to, from) = (usize::from(one.registers & 15), usize::from(one.registers >> 4));
            let value = u64::try_from(one.immediate).unwrap();
            at += 1;
            let jump = match one.code {
                LOAD_WORD => {
                    registers[to] = context[usize::try_from(one.offset).unwrap() / 4];
                    false
                }
                MOVE => {
                    registers[to] = registers[from];
                    false
                }
                MOVE_VALUE => {
                    registers[to] = value;
                    false
                }
                AND_VALUE => {
                    registers[to] &= value;
                    false
                }
                SHIFT_RIGHT => {
                    registers[to] >>= value;
                    false
                }
                JUMP_UNEQUAL => registers[to] != registers[from],
                JUMP_UNEQUAL_VALUE => registers[to] != value,
                JUMP_EQUAL_VALUE => registers[to] == value,
                EXIT => return registers[0],
                other => panic!("unknown instruction {other:#x}"),
            };
            if jump {
                at += usize::try_from(one.offset).unwrap();
            }
        }
    }

    #[test]
    fn a_program_allows_what_its_rules_say_and_nothing_else() {
        let rules = [
            DeviceRule {
                kind: DeviceKind::Character,
                major: Some(1),
                minor: Some(3),
                access: MKNOD | READ | WRITE,
            },
            DeviceRule { kind: DeviceKind::Block, major: None, minor: None, access: MKNOD },
            DeviceRule { kind: DeviceKind::Character, major: Some(136), minor: None, access: READ },
        ];
        let program = device_program(&rules);
        assert_eq!(run(&program, 2, 7, 1, 3), 1, "null may be used");
        assert_eq!(run(&program, 2, 2, 1, 3), 1, "and only read");
        assert_eq!(run(&program, 2, 2, 1, 5), 0, "another minor");
        assert_eq!(run(&program, 1, 1, 8, 0), 1, "a node of a disk may be made");
        assert_eq!(run(&program, 1, 2, 8, 0), 0, "but not read");
        assert_eq!(run(&program, 1, 3, 8, 0), 0, "nor made and read");
        assert_eq!(run(&program, 2, 2, 136, 9), 1, "any terminal may be read");
        assert_eq!(run(&program, 2, 6, 136, 9), 0, "but not written");
        assert_eq!(run(&device_program(&[]), 2, 2, 1, 3), 0);
    }

    #[test]
    fn a_program_refuses_what_its_rules_say_and_nothing_else() {
        let rule =
            DeviceRule { kind: DeviceKind::Character, major: Some(1), minor: None, access: WRITE };
        let program = device_program_but(&[rule]);
        assert_eq!(run(&program, 2, 2, 1, 3), 1, "reading");
        assert_eq!(run(&program, 2, 4, 1, 3), 0, "writing");
        assert_eq!(run(&program, 2, 6, 1, 3), 0, "reading and writing");
        assert_eq!(run(&program, 1, 4, 1, 3), 1, "a block device");
        assert_eq!(run(&program, 2, 4, 5, 3), 1, "another one");
        assert_eq!(run(&device_program_but(&[]), 2, 6, 1, 3), 1);
    }

    #[test]
    fn instructions_are_eight_bytes() {
        assert_eq!(std::mem::size_of::<Instruction>(), 8);
    }
}
