//! The error of every operation on control groups.

use std::path::{Path, PathBuf};

use rustix::io::Errno;
use wharf_model::ErrorKind;

/// A failed operation on control groups.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder of a hierarchy could not be used.
    #[error("{operation} {path}: {cause}{hint}", path = path.display(), hint = hint(*cause))]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        cause: Errno,
    },
    /// No hierarchy is mounted.
    #[error("no control groups are mounted; mount them with: mount -t cgroup2 none /sys/fs/cgroup")]
    NotMounted,
    /// A limit that this host's kernel or its mounts can't apply.
    #[error("{flag} needs the {controller} controller, which {why}")]
    Unsupported {
        /// The flag that asked for it.
        flag: &'static str,
        /// The controller that is missing.
        controller: &'static str,
        /// Why it is missing and what to do.
        why: &'static str,
    },
    /// A limit that the kernel refused.
    #[error("{flag} {value}: {cause}")]
    Limit {
        /// The flag that asked for it.
        flag: &'static str,
        /// What was asked, in the kernel's unit.
        value: String,
        /// What the kernel said.
        cause: Errno,
    },
    /// More memory is in use than a lower limit would allow.
    #[error("unable to set memory limit to {limit} (current usage: {usage})")]
    InUse {
        /// The limit in bytes.
        limit: i64,
        /// Bytes in use.
        usage: u64,
    },
    /// The device's I/O scheduler knows no weights.
    #[error(
        "--blkio-weight-device {device}: its I/O scheduler has no weights (write bfq into \
         /sys/block/NAME/queue/scheduler)"
    )]
    NoWeights {
        /// The device's path.
        device: String,
    },
    /// The kernel has no huge pages of a size.
    #[error("hugepageLimits: this kernel has no pages of {size:?} (see /sys/kernel/mm/hugepages)")]
    NoPages {
        /// The size as it was asked for.
        size: String,
    },
    /// The version 2 parent has processes of its own, so that its controllers can't be handed down.
    #[error(
        "enable controllers below {path}: it holds processes itself; move them into a group below \
         it first (mkdir {path}/init, then write each pid of {path}/cgroup.procs into \
         {path}/init/cgroup.procs)", path = .0.display()
    )]
    ParentOccupied(PathBuf),
    /// The kernel can't filter device access in a version 2 group.
    #[error(
        "limit device access: the kernel took no device program ({cause}); it needs \
         CONFIG_CGROUP_BPF (--privileged does without)"
    )]
    DeviceProgram {
        /// What the kernel said.
        cause: Errno,
    },
    /// A group of that name holds processes.
    #[error("control group {0} is in use by running processes")]
    Occupied(String),
    /// There is no group of that name in any hierarchy.
    #[error("no such control group: {0}")]
    NotFound(String),
    /// A name that can't be a group's.
    #[error("invalid control group name: {0:?}")]
    Name(String),
    /// Something took longer than it may.
    #[error("{operation} control group {name}: still not done after {millis} ms")]
    Timeout {
        /// What was waited for.
        operation: &'static str,
        /// The group.
        name: String,
        /// How long was waited.
        millis: u128,
    },
    /// Some hierarchies still have the group.
    #[error("remove control group {name}: {}", join(failures))]
    Delete {
        /// The group.
        name: String,
        /// Each folder that is still there.
        failures: Vec<Error>,
    },
}

/// The result of operations on control groups.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn io(operation: &'static str, path: impl AsRef<Path>, cause: Errno) -> Self {
        Self::Io { operation, path: path.as_ref().to_path_buf(), cause }
    }

    /// Returns what kind of failure it is, for exit codes and HTTP statuses.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { cause, .. } => match *cause {
                Errno::NOENT | Errno::NODEV | Errno::SRCH => ErrorKind::NotFound,
                Errno::ACCESS | Errno::PERM | Errno::ROFS => ErrorKind::Denied,
                Errno::BUSY => ErrorKind::Conflict,
                _ => ErrorKind::Internal,
            },
            Self::NotMounted
            | Self::Unsupported { .. }
            | Self::DeviceProgram { .. }
            | Self::NoWeights { .. } => ErrorKind::Unsupported,
            Self::Limit { .. } | Self::Name(_) | Self::NoPages { .. } => ErrorKind::Invalid,
            Self::InUse { .. } | Self::ParentOccupied(_) | Self::Occupied(_) => ErrorKind::Conflict,
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::Timeout { .. } | Self::Delete { .. } => ErrorKind::Internal,
        }
    }
}

fn hint(cause: Errno) -> &'static str {
    match cause {
        Errno::ACCESS | Errno::PERM => " (control groups need root)",
        Errno::ROFS => " (mounted read-only: inside a container it must be privileged)",
        _ => "",
    }
}

fn join(failures: &[Error]) -> String {
    failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
