//! Control groups of every kind the kernel offers: version 1, version 2 and hybrid hosts (version 1
//! controllers with a bare version 2 hierarchy beside them).
//!
//! [`Layout::detect`] learns once what is mounted where. [`Group::create`] makes a container's
//! group in every hierarchy that matters and applies its [`Limits`]; [`Group::open`] finds an
//! existing one again. Processes enter either by `clone3` into [`Group::directory_fd`] plus
//! [`Group::gate`] (fast, see below), or by [`Group::add`]. [`OomWatch`] tells the supervisor of
//! kills for want of memory, [`Events`] of the last process that left, and [`Counters`] reads the
//! accounting through files that stay open.
//!
//! # The fast way in
//! Moving a process through `cgroup.procs` takes a lock over every thread of the system, whose
//! first taking waits for an RCU grace period: 1 to 3 ms. Two ways avoid it: `clone3` with
//! `CLONE_INTO_CGROUP`, which version 2 alone has, and a single-threaded process that writes `0`
//! (itself) into a version 1 `tasks` file. So a container's first process is cloned into the
//! version 2 group and then passes the [`Gate`], about 10 µs for each version 1 hierarchy. It must
//! unshare its cgroup namespace after that: the namespace's root is where the process is when it is
//! made, and `clone3` with `CLONE_NEWCGROUP` would take the parent's place.
//!
//! # What `cgroups-rs` does here
//! Limits are written through its controllers, on both versions, on paths from [`Layout`]; only the
//! weights of block devices aren't, since it writes to files that kernels no longer have. Everything
//! else is plain file access: the crate knows nothing of hybrid hosts (it would ignore the version 2
//! hierarchy there), searches the mounts anew for each group, sleeps 10 ms and more between attempts
//! to remove one, has no device filter for version 2, and opens each counter file at each reading.
//! Its types stay inside this crate.

mod add;
mod counters;
mod create;
mod delegated;
mod delete;
mod details;
mod devices;
mod error;
mod events;
mod freeze;
mod group;
mod io;
mod kill;
mod layout;
mod limits;
mod oom;
mod parse;
mod support;
mod sweep;

pub use add::Gate;
pub use counters::{Counters, RawCounters};
pub use create::leaf;
pub use details::{CoreCounters, Details};
pub use error::{Error, Result};
pub use events::Events;
pub use group::Group;
pub use layout::{Controller, Layout, View};
pub use limits::{DeviceAccess, Further, Handles, Limits};
pub use oom::OomWatch;
pub use support::Feature;
pub use sweep::list;

/// Returns whether this process is an ordinary user's, who has of control groups what was handed down:
/// in a user namespace, or not root.
fn is_ordinary() -> bool {
    !wharf_sys::namespace::is_initial_user() || !rustix::process::geteuid().is_root()
}

#[cfg(test)]
mod kernel_tests;
