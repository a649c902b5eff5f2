//! Which devices a container may use: version 1 has a list of its own, version 2 a BPF program.

use rustix::fs::{Mode, OFlags};
use wharf_sys::bpf::{self, DeviceKind, DeviceRule, MKNOD, READ, WRITE};

use crate::error::{Error, Result};
use crate::group::{Group, Member};
use crate::io;
use crate::layout::Controller;
use crate::limits::DeviceAccess;

const ALL: u8 = MKNOD | READ | WRITE;

/// What docker allows by default.
const STANDARD: [DeviceRule; 11] = [
    // Nodes of any device may be made, which is harmless as long as they can't be opened.
    rule(None, None, MKNOD),
    DeviceRule { kind: DeviceKind::Block, major: None, minor: None, access: MKNOD },
    // null, zero, full, random, urandom.
    rule(Some(1), Some(3), ALL),
    rule(Some(1), Some(5), ALL),
    rule(Some(1), Some(7), ALL),
    rule(Some(1), Some(8), ALL),
    rule(Some(1), Some(9), ALL),
    // tty, console, ptmx and the pseudo terminals.
    rule(Some(5), Some(0), ALL),
    rule(Some(5), Some(1), ALL),
    rule(Some(5), Some(2), ALL),
    rule(Some(136), None, ALL),
];

const fn rule(major: Option<u32>, minor: Option<u32>, access: u8) -> DeviceRule {
    DeviceRule { kind: DeviceKind::Character, major, minor, access }
}

/// Restricts a new group, which may use all devices its parent may.
pub(crate) fn apply(group: &Group, access: &DeviceAccess) -> Result<()> {
    if *access == DeviceAccess::Unrestricted {
        return Ok(());
    }
    // In a user namespace nobody can make a node, and the kernel takes no filter from its root.
    if crate::is_ordinary() {
        return Ok(());
    }
    match group.member(Controller::Devices) {
        Some(member) if member.hierarchy.unified => attach(member, access),
        Some(member) => write_list(member, access),
        None => Ok(()),
    }
}

fn attach(member: &Member, access: &DeviceAccess) -> Result<()> {
    let program = match access {
        DeviceAccess::Unrestricted => return Ok(()),
        DeviceAccess::Listed(further) => {
            bpf::device_program(&[further, STANDARD.as_slice()].concat())
        }
        DeviceAccess::AllBut(rules) => bpf::device_program_but(rules),
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(&member.path, flags, Mode::empty())
        .map_err(|cause| Error::io("open", &member.path, cause))?;
    bpf::attach(&folder, &program).map_err(|cause| Error::DeviceProgram { cause })
}

fn write_list(member: &Member, access: &DeviceAccess) -> Result<()> {
    let (file, rules) = match access {
        DeviceAccess::Unrestricted => return Ok(()),
        DeviceAccess::Listed(further) => {
            let deny = member.path.join("devices.deny");
            io::write(&deny, b"a").map_err(|cause| Error::io("write", deny, cause))?;
            ("devices.allow", [further, STANDARD.as_slice()].concat())
        }
        DeviceAccess::AllBut(rules) => ("devices.deny", rules.clone()),
    };
    let path = member.path.join(file);
    let list = io::open_write(&path).map_err(|cause| Error::io("open", &path, cause))?;
    for one in &rules {
        io::write_fd(&list, line(one).as_bytes())
            .map_err(|cause| Error::io("write", &path, cause))?;
    }
    Ok(())
}

/// Returns the rule as version 1 writes it: `c 1:3 rwm`.
fn line(rule: &DeviceRule) -> String {
    let kind = match rule.kind {
        DeviceKind::Block => 'b',
        DeviceKind::Character => 'c',
    };
    let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |n| n.to_string());
    let access: String = [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')]
        .into_iter()
        .filter_map(|(bit, letter)| (rule.access & bit != 0).then_some(letter))
        .collect();
    format!("{kind} {}:{} {access}", number(rule.major), number(rule.minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_written_as_version_1_wants_them() {
        let lines: Vec<String> = STANDARD.iter().map(line).collect();
        assert_eq!(lines[..3], ["c *:* m", "b *:* m", "c 1:3 rwm"]);
        assert_eq!(lines[10], "c 136:* rwm");
    }
}
