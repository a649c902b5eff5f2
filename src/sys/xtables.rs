//! The tables of `iptables-legacy`: what they do to routed packets when no rule of theirs decides
//! (linux/netfilter_ipv4/ip_tables.h, linux/netfilter/x_tables.h).

use std::io;
use std::os::fd::AsRawFd;

use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

/// `struct ipt_getinfo`.
#[repr(C)]
#[derive(Default)]
struct Info {
    table: [u8; 32],
    valid_hooks: u32,
    hook_entries: [u32; 5],
    /// Where the entry stands that decides at the end of each hook's chain: its policy.
    policies: [u32; 5],
    entries: u32,
    size: u32,
}

/// `IPT_SO_GET_INFO` and `IPT_SO_GET_ENTRIES`.
const GET_INFO: libc::c_int = 64;
const GET_ENTRIES: libc::c_int = 65;
/// `NF_INET_FORWARD`.
const FORWARD: usize = 2;
/// `sizeof(struct ipt_get_entries)`: the table's name, the entries' size, and padding.
const HEAD: usize = 40;
/// Where an entry says where its target is, and where a target has its verdict.
const TARGET_OFFSET: usize = 88;
const VERDICT: usize = 32;
/// `-NF_DROP - 1`.
const DROP: i32 = -1;
/// The tables that this network namespace has. Asking for one that isn't there would make it.
const TABLES: &str = "/proc/net/ip_tables_names";

/// Returns whether the filter table drops what is routed unless one of its rules accepts it. Without
/// such a table it doesn't.
///
/// # Errors
/// When the kernel shows this process no tables.
pub fn drops_routed() -> io::Result<bool> {
    let tables = match std::fs::read_to_string(TABLES) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(false),
        read => read?,
    };
    if !tables.lines().any(|table| table == "filter") {
        return Ok(false);
    }
    let (family, flags) = (AddressFamily::Inet, SockFlag::SOCK_CLOEXEC);
    let socket = socket(family, SockType::Raw, flags, SockProtocol::Raw)?;
    let mut info = Info::default();
    info.table[..6].copy_from_slice(b"filter");
    let mut length = socklen(size_of::<Info>());
    // SAFETY: the kernel writes at most `length` bytes to `info`, which is that long, made of plain
    // numbers, and laid out as it expects.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            GET_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    nix::errno::Errno::result(result)?;
    let mut table = vec![0u8; HEAD + info.size as usize];
    table[..6].copy_from_slice(b"filter");
    table[32..36].copy_from_slice(&info.size.to_ne_bytes());
    let mut length = socklen(table.len());
    // SAFETY: the kernel writes at most `length` bytes to `table`, which is that long.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            GET_ENTRIES,
            table.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    nix::errno::Errno::result(result)?;
    let policy = policy(&table[HEAD..], info.policies[FORWARD] as usize);
    Ok(policy == Some(DROP))
}

/// Returns the verdict of the entry that stands there.
fn policy(entries: &[u8], at: usize) -> Option<i32> {
    let entry = entries.get(at..)?;
    let target = entry.get(TARGET_OFFSET..TARGET_OFFSET + 2)?.try_into().ok()?;
    let target = entry.get(usize::from(u16::from_ne_bytes(target))..)?;
    Some(i32::from_ne_bytes(target.get(VERDICT..VERDICT + 4)?.try_into().ok()?))
}

fn socklen(length: usize) -> libc::socklen_t {
    libc::socklen_t::try_from(length).unwrap_or(libc::socklen_t::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_the_verdict_of_its_entry() {
        let mut entries = vec![0; 300];
        entries[100 + TARGET_OFFSET..100 + TARGET_OFFSET + 2]
            .copy_from_slice(&112u16.to_ne_bytes());
        let verdict = 100 + 112 + VERDICT;
        entries[verdict..verdict + 4].copy_from_slice(&DROP.to_ne_bytes());
        assert_eq!(policy(&entries, 100), Some(DROP));
        assert_eq!(policy(&entries, 290), None);
        assert_eq!(policy(&entries, 1000), None);
    }
}
