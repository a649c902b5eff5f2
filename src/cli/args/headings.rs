//! Under which heading the help lists a flag of `run` and `create`, which have too many for one list.

use super::Flag;

/// A heading of the help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heading {
    /// What it says.
    pub(crate) title: &'static str,
    /// How names of flags below it are spelled or begin (those that end with `-`).
    names: &'static [&'static str],
}

/// The headings, in the order of the help; what is below none of the others is below the first.
pub(crate) const HEADINGS: [Heading; 9] = [
    Heading { title: "Common", names: &[] },
    Heading { title: "Lifecycle", names: &["cidfile", "init", "restart", "rm", "stop-"] },
    Heading {
        title: "Resource",
        names: &[
            "blkio-",
            "cgroup-parent",
            "cpu-",
            "cpus",
            "cpuset-",
            "device-read-",
            "device-write-",
            "gpus",
            "io-",
            "kernel-memory",
            "memory",
            "memory-",
            "oom-",
            "pids-limit",
            "shm-size",
            "ulimit",
        ],
    },
    Heading { title: "Health", names: &["health-", "no-healthcheck"] },
    Heading {
        title: "Network",
        names: &[
            "add-host",
            "dns",
            "dns-",
            "domainname",
            "expose",
            "hostname",
            "ip",
            "ip6",
            "link",
            "link-",
            "mac-address",
            "network",
            "network-",
            "publish",
            "publish-",
        ],
    },
    Heading {
        title: "Storage",
        names: &["mount", "read-only", "storage-opt", "tmpfs", "volume", "volume-", "volumes-"],
    },
    Heading {
        title: "Security",
        names: &["cap-", "device", "device-cgroup-rule", "group-add", "privileged", "security-opt"],
    },
    Heading {
        title: "Namespace",
        names: &["cgroupns", "ipc", "isolation", "pid", "runtime", "sysctl", "userns", "uts"],
    },
    Heading { title: "Logging", names: &["log-"] },
];

/// Returns a flag's heading.
pub(crate) fn heading(flag: &Flag) -> &'static str {
    let below = |heading: &&Heading| {
        heading.names.iter().any(|name| match name.strip_suffix('-') {
            Some(_) => flag.long.starts_with(name),
            None => flag.long == *name,
        })
    };
    HEADINGS.iter().find(below).map_or(HEADINGS[0].title, |heading| heading.title)
}
