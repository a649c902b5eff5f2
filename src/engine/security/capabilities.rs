//! Sets of capabilities: docker's default, what is added and dropped, and giving them to a process.

use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
};
use wharf_model::ErrorKind;

use crate::{Error, Result};

/// Returns the names of all capabilities, `CAP_` in front.
pub(crate) fn names() -> impl Iterator<Item = String> {
    NAMES.iter().map(|name| format!("CAP_{name}"))
}

/// linux/capability.h, in the order of their numbers.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// A set of capabilities, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CapSet(u64);

impl CapSet {
    /// None at all.
    pub(crate) const NONE: Self = Self(0);
    /// All that are known here.
    const ALL: Self = Self((1 << NAMES.len()) - 1);
    /// Docker's fourteen.
    pub(crate) const DEFAULT: Self = Self(
        (1 << 0)
            | (1 << 1)
            | (1 << 3)
            | (1 << 4)
            | (1 << 5)
            | (1 << 6)
            | (1 << 7)
            | (1 << 8)
            | (1 << 10)
            | (1 << 13)
            | (1 << 18)
            | (1 << 27)
            | (1 << 29)
            | (1 << 31),
    );

    /// Returns whether the capability of this name, with or without `CAP_`, is in the set.
    pub(crate) fn contains_name(self, name: &str) -> bool {
        let name = name.strip_prefix("CAP_").unwrap_or(name);
        NAMES.iter().position(|n| *n == name).is_some_and(|bit| self.0 & (1 << bit) != 0)
    }

    /// Returns the set with one more.
    pub(crate) fn with(self, name: &str) -> Result<Self> {
        Ok(Self(self.0 | parse(name)?.0))
    }

    /// Returns what is in this set or in the other one.
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn without(self, name: &str) -> Result<Self> {
        Ok(Self(self.0 & !parse(name)?.0))
    }
}

/// Returns the one capability of this name, or all of them for `ALL`.
pub(crate) fn parse(name: &str) -> Result<CapSet> {
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if bare == "ALL" {
        return Ok(CapSet::ALL);
    }
    NAMES.iter().position(|n| *n == bare).map(|bit| CapSet(1 << bit)).ok_or_else(|| {
        Error::new(ErrorKind::Invalid, format!("unknown capability: \"CAP_{bare}\""))
    })
}

/// Returns what a container gets: the default, or all when privileged, with `add` and without
/// `drop`. As in docker, `ALL` in one list leaves the other's single names their say.
///
/// # Errors
/// When a name isn't a capability.
pub(crate) fn select(privileged: bool, add: &[String], drop: &[String]) -> Result<CapSet> {
    if privileged {
        return Ok(CapSet::ALL);
    }
    let is_all = |name: &String| name.eq_ignore_ascii_case("all");
    let mut set = if drop.iter().any(is_all) {
        CapSet::NONE
    } else if add.iter().any(is_all) {
        CapSet::ALL
    } else {
        CapSet::DEFAULT
    };
    let of = |list: &'static str| {
        move |error: Error| Error::new(error.kind(), format!("invalid {list}: {error}"))
    };
    for name in add.iter().filter(|n| !is_all(n)) {
        set = set.with(name).map_err(of("CapAdd"))?;
    }
    for name in drop.iter().filter(|n| !is_all(n)) {
        set = set.without(name).map_err(of("CapDrop"))?;
    }
    Ok(set)
}

/// What a program may do: the sets of capabilities(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) bounding: CapSet,
    pub(crate) effective: CapSet,
    pub(crate) permitted: CapSet,
    pub(crate) inheritable: CapSet,
    pub(crate) ambient: CapSet,
    /// Whether another user than root has the sets as they are here, too: with docker it has none,
    /// as the kernel would have it.
    pub(crate) whoever: bool,
}

impl From<CapSet> for Grant {
    /// What docker makes of one set.
    fn from(set: CapSet) -> Self {
        Self {
            bounding: set,
            effective: set,
            permitted: set,
            inheritable: CapSet::NONE,
            ambient: CapSet::NONE,
            whoever: false,
        }
    }
}

impl CapSet {
    /// Returns those of the set that are in the other one, too.
    fn within(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Grant {
    /// Takes from this process's bounding set what isn't in the grant's, and returns the grant as far
    /// as the process may have it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) fn bound(self) -> std::io::Result<Self> {
        let bounding = bound(self.bounding)?;
        if !self.whoever {
            return Ok(Self { bounding, ..Self::from(bounding) });
        }
        // The bounding set may be the smaller one: it is about programs that are executed later.
        let own = CapSet(rustix::thread::capabilities(None)?.permitted.bits());
        let permitted = self.permitted.within(own);
        Ok(Self {
            bounding,
            effective: self.effective.within(permitted),
            permitted,
            inheritable: self.inheritable.within(own),
            ambient: self.ambient.within(permitted).within(self.inheritable),
            whoever: true,
        })
    }

    /// Gives this process the sets; its user has just become another one, or root.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) fn apply(self, is_root: bool) -> std::io::Result<()> {
        let given = if is_root || self.whoever { self } else { Self::from(CapSet::NONE) };
        apply(given)
    }
}

/// Takes from this process's bounding set all that isn't in `keep`, and returns what is left of
/// `keep` (the process may never have had some of it).
///
/// # Errors
/// When the kernel refuses.
fn bound(keep: CapSet) -> std::io::Result<CapSet> {
    let mut left = CapSet::NONE;
    for bit in 0..64_u32 {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        // An error means that the kernel's list ends here.
        match rustix::thread::capability_is_in_bounding_set(capability) {
            Ok(true) if keep.0 & (1 << bit) != 0 => left.0 |= 1 << bit,
            Ok(true) => remove_capability_from_bounding_set(capability)?,
            Ok(false) => {}
            Err(_) => break,
        }
    }
    Ok(left)
}

fn apply(grant: Grant) -> std::io::Result<()> {
    // There is no ambient set before Linux 4.3; nothing to clear then.
    let _ = clear_ambient_capability_set();
    let set = |set: CapSet| CapabilitySet::from_bits_retain(set.0);
    set_capabilities(
        None,
        CapabilitySets {
            effective: set(grant.effective),
            permitted: set(grant.permitted),
            inheritable: set(grant.inheritable),
        },
    )?;
    for bit in (0..64_u32).filter(|bit| grant.ambient.0 & (1 << bit) != 0) {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        configure_capability_in_ambient_set(capability, true)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_default_is_dockers_fourteen() {
        let default = select(false, &[], &[]).unwrap();
        let expected = "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP \
                        SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE";
        assert_eq!(default.0.count_ones(), 14);
        assert!(expected.split_whitespace().all(|n| default.contains_name(n)));
        // CapEff of a docker container.
        assert_eq!(default.0, 0xa804_25fb);
    }

    #[test]
    fn add_and_drop_work_as_dockers() {
        let set = select(false, &names(&["cap_net_admin"]), &names(&["MKNOD"])).unwrap();
        assert!(set.contains_name("NET_ADMIN") && !set.contains_name("MKNOD"));
        let only = select(false, &names(&["CHOWN"]), &names(&["all"])).unwrap();
        assert_eq!(only.0, 1);
        let most = select(false, &names(&["ALL"]), &names(&["SYS_ADMIN"])).unwrap();
        assert_eq!(most.0.count_ones(), 40);
        assert_eq!(select(true, &[], &names(&["ALL"])).unwrap(), CapSet::ALL);
        let error = select(false, &names(&["NOPE"]), &[]).unwrap_err();
        assert!(error.to_string().contains("NOPE"));
    }
}
