//! The kernel interfaces that no safe crate offers: the only crate with `unsafe` code.
//!
//! Each module wraps one system call family in a safe function; what rustix and nix already offer
//! safely is used from there directly.

#![expect(
    unsafe_code,
    reason = "system calls that no safe crate wraps; each block argues its safety"
)]

pub mod bpf;
pub mod calls;
pub mod clone;
pub mod descriptors;
pub mod keys;
pub mod memory;
pub mod mount;
pub mod namespace;
pub mod netlink;
pub mod process;
pub mod quota;
pub mod seccomp;
pub mod signals;
pub mod writeback;
pub mod xtables;
