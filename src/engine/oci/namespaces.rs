//! `linux.namespaces`: which are made, which are somebody's, and which stay the runtime's.

use std::os::fd::OwnedFd;

use nix::sched::{CloneFlags, setns};
use rustix::fs::{Mode, OFlags};
use wharf_model::ErrorKind;
use wharf_sys::clone::Flags;

use super::spec::{Linux, Namespace};
use crate::{Error, Result};

/// A kind of namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Mount,
    Cgroup,
    Uts,
    Ipc,
    User,
    Pid,
    Network,
    Time,
}

impl Kind {
    pub(super) const ALL: [(&'static str, Self); 8] = [
        ("cgroup", Self::Cgroup),
        ("ipc", Self::Ipc),
        ("mount", Self::Mount),
        ("network", Self::Network),
        ("pid", Self::Pid),
        ("time", Self::Time),
        ("user", Self::User),
        ("uts", Self::Uts),
    ];

    /// Returns what `clone3` makes one of; none for those that are made in another way.
    fn flag(self) -> Option<Flags> {
        match self {
            Self::Mount => Some(Flags::MOUNT),
            Self::Uts => Some(Flags::UTS),
            Self::Ipc => Some(Flags::IPC),
            Self::User => Some(Flags::USER),
            Self::Pid => Some(Flags::PID),
            Self::Network => Some(Flags::NETWORK),
            Self::Cgroup | Self::Time => None,
        }
    }

    /// Returns what `setns` calls it.
    fn joining(self) -> CloneFlags {
        match self {
            Self::Mount => CloneFlags::CLONE_NEWNS,
            Self::Cgroup => CloneFlags::CLONE_NEWCGROUP,
            Self::Uts => CloneFlags::CLONE_NEWUTS,
            Self::Ipc => CloneFlags::CLONE_NEWIPC,
            Self::User => CloneFlags::CLONE_NEWUSER,
            Self::Pid => CloneFlags::CLONE_NEWPID,
            Self::Network => CloneFlags::CLONE_NEWNET,
            Self::Time => time(),
        }
    }
}

/// `CLONE_NEWTIME` of linux/sched.h.
pub(super) fn time() -> CloneFlags {
    CloneFlags::from_bits_retain(0x80)
}

/// The namespaces of a container.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    new: Vec<Kind>,
    /// In the order in which they are joined.
    joined: Vec<(Kind, OwnedFd)>,
}

impl Namespaces {
    /// Opens those that are somebody's.
    ///
    /// # Errors
    /// When one is named twice, isn't known, or isn't there.
    pub(super) fn of(linux: &Linux) -> Result<Self> {
        let mut all = Self::default();
        for Namespace { kind: name, path } in &linux.namespaces {
            let refuse = |why: &str| {
                let text = format!("linux.namespaces: {name}: {why}");
                Error::new(ErrorKind::Invalid, text)
            };
            let kind = Kind::ALL.iter().find(|(known, _)| known == name);
            let (_, kind) = kind.ok_or_else(|| refuse("no such type of namespace is known"))?;
            if all.is_new(*kind) || all.is_joined(*kind) {
                return Err(refuse("it is named twice"));
            }
            if path.is_empty() {
                all.new.push(*kind);
                continue;
            }
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            let file = rustix::fs::open(path.as_str(), flags, Mode::empty())
                .map_err(|cause| refuse(&format!("open {path}: {cause}")))?;
            all.joined.push((*kind, file));
        }
        // With the user namespace goes the right to join those of others.
        all.joined.sort_by_key(|(kind, _)| *kind == Kind::User);
        Ok(all)
    }

    pub(super) fn is_new(&self, kind: Kind) -> bool {
        self.new.contains(&kind)
    }

    pub(super) fn is_joined(&self, kind: Kind) -> bool {
        self.joined.iter().any(|(joined, _)| *joined == kind)
    }

    /// Returns whether the container doesn't have the runtime's.
    pub(super) fn is_own(&self, kind: Kind) -> bool {
        self.is_new(kind) || self.is_joined(kind)
    }

    /// Returns whether the mounts are to be those of the runtime or of the host's first process, whose
    /// root the container's would become.
    pub(super) fn takes_the_host_s_mounts(&self) -> bool {
        let same = |file: &OwnedFd, path: &str| {
            let found = rustix::fs::fstat(file).ok().zip(rustix::fs::stat(path).ok());
            found.is_some_and(|(a, b)| (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
        };
        let joined = self.joined.iter().find(|(kind, _)| *kind == Kind::Mount);
        let hosts = ["/proc/self/ns/mnt", "/proc/1/ns/mnt"];
        joined.is_some_and(|(_, file)| hosts.iter().any(|path| same(file, path)))
    }

    /// Returns whether somebody's are to be joined.
    pub(super) fn joins(&self) -> bool {
        !self.joined.is_empty()
    }

    /// Returns what the first process is cloned with.
    pub(super) fn flags(&self) -> Flags {
        self.new.iter().filter_map(|kind| kind.flag()).fold(Flags::NONE, Flags::and)
    }

    /// Joins somebody's. What is cloned afterwards is in all of them.
    ///
    /// # Errors
    /// When one isn't of the kind that it should be, or may not be joined.
    pub(super) fn join(&self) -> Result<()> {
        self.joined.iter().try_for_each(|(kind, file)| {
            let name =
                Kind::ALL.iter().find(|(_, known)| known == kind).map_or("", |(name, _)| *name);
            setns(file, kind.joining()).map_err(|cause| {
                Error::failed(
                    format_args!("join the {name} namespace that linux.namespaces names"),
                    cause,
                )
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Namespaces> {
        Namespaces::of(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn a_namespace_is_new_joined_or_the_runtime_s() {
        let text = r#"{"namespaces":[{"type":"user","path":"/proc/self/ns/user"},{"type":"mount"},
            {"type":"network","path":"/proc/self/ns/net"},{"type":"cgroup"}]}"#;
        let found = read(text).unwrap();
        assert!(found.is_new(Kind::Mount) && !found.is_joined(Kind::Mount));
        assert!(found.is_joined(Kind::Network) && found.is_own(Kind::Network));
        assert!(!found.is_own(Kind::Pid));
        assert_eq!(found.flags(), Flags::MOUNT);
        assert_eq!(found.joined.last().unwrap().0, Kind::User, "the last one");
        for (bad, says) in [
            (r#"[{"type":"x"}]"#, "x: no such type"),
            (r#"[{"type":"pid"},{"type":"pid"}]"#, "pid: it is named twice"),
            (r#"[{"type":"pid","path":"/nonexistent"}]"#, "pid: open /nonexistent"),
        ] {
            let error = read(&format!("{{\"namespaces\":{bad}}}")).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
