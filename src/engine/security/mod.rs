//! What a container may do: capabilities and the system call filter.

pub(crate) mod capabilities;
pub(crate) mod seccomp;
mod syscalls;
