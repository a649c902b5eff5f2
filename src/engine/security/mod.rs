//! What a container may do: capabilities and the system call filter.

pub(crate) mod apparmor;
pub(crate) mod capabilities;
mod profile;
pub(crate) mod seccomp;
mod syscalls;
