//! Which hierarchies the host has, and where: learned from one look at `/sys/fs/cgroup` and, on
//! version 1 and hybrid hosts, one read of `/proc/self/mountinfo`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::{delegated, io};

const STANDARD_MOUNT: &str = "/sys/fs/cgroup";
/// `CGROUP2_SUPER_MAGIC` of linux/magic.h.
const CGROUP2_MAGIC: u64 = 0x6367_7270;

/// A part of the kernel that limits or counts one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Controller {
    /// CPU time limits.
    Cpu,
    /// CPU time accounting.
    Cpuacct,
    /// Which CPUs and memory nodes.
    Cpuset,
    /// Memory and swap.
    Memory,
    /// The number of tasks.
    Pids,
    /// Which devices may be opened or made.
    Devices,
    /// Stops all tasks at once.
    Freezer,
    /// Block devices (`blkio` in version 1).
    Io,
    /// Huge pages.
    Hugetlb,
    /// Remote direct memory access.
    Rdma,
    /// The class of packets (version 1 alone).
    NetCls,
    /// The priority of packets (version 1 alone).
    NetPrio,
}

impl Controller {
    const ALL: [Self; 12] = [
        Self::Cpu,
        Self::Cpuacct,
        Self::Cpuset,
        Self::Memory,
        Self::Pids,
        Self::Devices,
        Self::Freezer,
        Self::Io,
        Self::Hugetlb,
        Self::Rdma,
        Self::NetCls,
        Self::NetPrio,
    ];

    /// Returns the kernel's word, that of version 2 where they differ.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cpuacct => "cpuacct",
            Self::Cpuset => "cpuset",
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Devices => "devices",
            Self::Freezer => "freezer",
            Self::Io => "io",
            Self::Hugetlb => "hugetlb",
            Self::Rdma => "rdma",
            Self::NetCls => "net_cls",
            Self::NetPrio => "net_prio",
        }
    }

    fn from_word(word: &[u8]) -> Option<Self> {
        if word == b"blkio" {
            return Some(Self::Io);
        }
        Self::ALL.into_iter().find(|controller| controller.as_str().as_bytes() == word)
    }

    fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of controllers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Controllers(u16);

impl Controllers {
    pub(crate) fn from_words<'a>(words: impl Iterator<Item = &'a [u8]>) -> Self {
        Self(words.filter_map(Controller::from_word).fold(0, |set, one| set | one.bit()))
    }

    pub(crate) fn has(self, controller: Controller) -> bool {
        self.0 & controller.bit() != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Controller> {
        Controller::ALL.into_iter().filter(move |controller| self.has(*controller))
    }

    pub(crate) fn of(controllers: &[Controller]) -> Self {
        Self(controllers.iter().fold(0, |set, one| set | one.bit()))
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    pub(crate) mount: PathBuf,
    /// What must be handed down with `cgroup.subtree_control` in version 2; all in version 1.
    pub(crate) controllers: Controllers,
    /// The mount options that select a version 1 hierarchy; empty in version 2.
    pub(crate) options: String,
    /// Whether it is the version 2 hierarchy.
    pub(crate) unified: bool,
}

impl Hierarchy {
    /// Returns whether groups of it have the controller, those that version 2 always has included.
    pub(crate) fn has(&self, controller: Controller) -> bool {
        let always = [Controller::Cpuacct, Controller::Freezer, Controller::Devices];
        self.controllers.has(controller) || self.unified && always.contains(&controller)
    }
}

/// The hierarchies of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The version 2 hierarchy first, when there is one.
    hierarchies: Vec<Hierarchy>,
}

impl Layout {
    /// Returns what this host has. For an ordinary user it is what was handed down to the user, each
    /// hierarchy beginning at the folder that was handed down; possibly nothing.
    ///
    /// # Errors
    /// When nothing is mounted, or `/proc` isn't.
    pub fn detect() -> Result<Self> {
        let standard = Path::new(STANDARD_MOUNT);
        let mut hierarchies = if is_cgroup2(standard) {
            vec![Hierarchy {
                mount: standard.to_path_buf(),
                controllers: Controllers::default(),
                options: String::new(),
                unified: true,
            }]
        } else {
            let path = Path::new("/proc/self/mountinfo");
            parse_mountinfo(&io::read(path).map_err(|cause| Error::io("read", path, cause))?)
        };
        let nested = crate::is_ordinary();
        if nested {
            let own = Path::new("/proc/self/cgroup");
            let own = io::read(own).map_err(|cause| Error::io("read", own, cause))?;
            hierarchies.retain_mut(|hierarchy| delegated::keep(hierarchy, &own));
        }
        for hierarchy in &mut hierarchies {
            if hierarchy.unified {
                hierarchy.controllers = root_controllers(&hierarchy.mount)?;
            }
        }
        match hierarchies.is_empty() && !nested {
            true => Err(Error::NotMounted),
            false => Ok(Self { hierarchies }),
        }
    }

    /// Returns a host on which nothing was handed down to this user.
    pub fn empty() -> Self {
        Self { hierarchies: Vec::new() }
    }

    /// Returns whether no group can be made at all: an ordinary user to whom none was handed down.
    pub fn is_empty(&self) -> bool {
        self.hierarchies.is_empty()
    }

    /// Returns `1`, `2` or `hybrid`; `none` when no group can be made.
    pub fn version_word(&self) -> &'static str {
        if self.is_empty() {
            return "none";
        }
        match (self.unified().is_some(), self.hierarchies.iter().any(|one| !one.unified)) {
            (true, true) => "hybrid",
            (true, false) => "2",
            (false, _) => "1",
        }
    }

    /// Returns whether a group can have this controller.
    pub fn has(&self, controller: Controller) -> bool {
        self.home(controller).is_some()
    }

    /// Returns the hierarchy that has this controller, a version 1 one before the other.
    pub(crate) fn home(&self, controller: Controller) -> Option<&Hierarchy> {
        let mut homes = self.hierarchies.iter().filter(|one| one.has(controller));
        let first = homes.next();
        first.filter(|one| !one.unified).or_else(|| homes.next()).or(first)
    }

    pub(crate) fn unified(&self) -> Option<&Hierarchy> {
        self.hierarchies.iter().find(|hierarchy| hierarchy.unified)
    }

    pub(crate) fn hierarchies(&self) -> &[Hierarchy] {
        &self.hierarchies
    }

    /// Returns the mounts by which a container sees its own groups below its /sys/fs/cgroup.
    pub fn views(&self) -> Vec<View> {
        let alone = self.hierarchies.len() == 1;
        let view = |hierarchy: &Hierarchy| {
            let folder = match hierarchy.mount.file_name() {
                Some(name) if !(alone && hierarchy.unified) => name.to_string_lossy().into_owned(),
                _ => String::new(),
            };
            let kind = if hierarchy.unified { "cgroup2" } else { "cgroup" };
            let options = hierarchy.options.clone();
            View { folder, kind, options, mount: hierarchy.mount.clone() }
        };
        self.hierarchies.iter().map(view).collect()
    }

    /// A version 2 hierarchy that seems to begin at this folder.
    #[cfg(test)]
    pub(crate) fn unified_at(mount: &Path) -> Self {
        let controllers = root_controllers(mount).unwrap();
        let mount = mount.to_path_buf();
        let options = String::new();
        Self { hierarchies: vec![Hierarchy { mount, controllers, options, unified: true }] }
    }

    #[cfg(test)]
    pub(crate) fn from_mountinfo(text: &[u8]) -> Self {
        Self { hierarchies: parse_mountinfo(text) }
    }
}

/// A mount by which a container sees its groups of one hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The folder's name below /sys/fs/cgroup; empty for that folder itself.
    pub folder: String,
    /// `cgroup` or `cgroup2`.
    pub kind: &'static str,
    /// The mount's options.
    pub options: String,
    /// Where the host has the hierarchy.
    pub mount: PathBuf,
}

fn is_cgroup2(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|stat| u64::try_from(stat.f_type) == Ok(CGROUP2_MAGIC))
}

/// Returns those of the version 2 hierarchy's controllers that are used here.
fn root_controllers(mount: &Path) -> Result<Controllers> {
    let path = mount.join("cgroup.controllers");
    match io::read(&path) {
        Ok(text) => Ok(Controllers::from_words(text.split(u8::is_ascii_whitespace))),
        Err(Errno::NOENT) => Ok(Controllers::default()),
        Err(cause) => Err(Error::io("read", path, cause)),
    }
}

/// Returns the hierarchies among the mounts (proc_pid_mountinfo(5)), the first mount of each.
fn parse_mountinfo(text: &[u8]) -> Vec<Hierarchy> {
    let mut devices: Vec<&[u8]> = Vec::new();
    let mut found = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        // The optional fields before the dash vary in number: the type comes after it.
        let Some(dash) = memchr::memmem::find(line, b" - cgroup") else { continue };
        let mut before = line[..dash].split(|byte| *byte == b' ').skip(2);
        let (Some(device), Some(mount)) = (before.next(), before.nth(1)) else { continue };
        let mut after = line[dash + 3..].split(|byte| *byte == b' ');
        let (Some(kind), Some(options)) = (after.next(), after.nth(1)) else { continue };
        let unified = match kind {
            b"cgroup2" => true,
            b"cgroup" => false,
            _ => continue,
        };
        let words = || options.split(|byte| *byte == b',');
        let mut hierarchy = Hierarchy {
            mount: unescape(mount),
            controllers: Controllers::default(),
            options: String::new(),
            unified,
        };
        if !unified {
            hierarchy.controllers = Controllers::from_words(words());
            // systemd finds the processes of its units and sessions through its named hierarchy,
            // so a container must leave the session it was started from.
            let systemd = words().any(|word| word == b"name=systemd");
            if hierarchy.controllers.is_empty() && !systemd {
                continue;
            }
            hierarchy.options = selectors(words());
        }
        if !devices.contains(&device) {
            devices.push(device);
            found.push(hierarchy);
        }
    }
    found.sort_by_key(|hierarchy| !hierarchy.unified);
    found
}

/// Returns those options of a version 1 mount that name its hierarchy: its controllers, all of
/// them, or its name.
fn selectors<'a>(words: impl Iterator<Item = &'a [u8]>) -> String {
    const FURTHER: [&str; 2] = ["perf_event", "misc"];
    words
        .filter_map(|word| {
            let text = std::str::from_utf8(word).ok()?;
            let named = text.starts_with("name=");
            let known = named || Controller::from_word(word).is_some() || FURTHER.contains(&text);
            known.then_some(text)
        })
        .collect::<Vec<_>>()
        .join(",")
}

/// Returns a path whose blanks and backslashes are written as octal escapes, decoded.
fn unescape(field: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|digits| digits.iter().all(|d| (b'0'..b'8').contains(d)));
        match digits {
            Some(digits) if byte == b'\\' => {
                path.push(
                    digits
                        .iter()
                        .fold(0u8, |value, digit| value.wrapping_mul(8).wrapping_add(digit - b'0')),
                );
                rest = &tail[3..];
            }
            _ => {
                path.push(byte);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsStr::from_bytes(&path))
}

/// Returns the controllers as `cgroup.subtree_control` wants them: `+cpu +memory`.
pub(crate) fn enable_words(controllers: Controllers) -> String {
    controllers.iter().map(|one| format!("+{}", one.as_str())).collect::<Vec<_>>().join(" ")
}

impl Controllers {
    /// The controllers of version 2 that are handed down to all containers; the others, to those that
    /// have a limit of theirs.
    pub(crate) const DELEGATED: [Controller; 5] =
        [Controller::Cpu, Controller::Cpuset, Controller::Memory, Controller::Pids, Controller::Io];
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &[u8] = b"\
23 1 254:0 / / rw,relatime - ext4 /dev/root rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
    const SYSTEMD_V1: &[u8] = b"\
30 25 0:26 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/systemd rw shared:10 - cgroup cgroup rw,xattr,name=systemd
34 30 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:11 - cgroup cgroup rw,cpu,cpuacct
35 30 0:31 / /sys/fs/cgroup/net_cls,net_prio rw shared:12 - cgroup cgroup rw,net_cls,net_prio
36 30 0:32 / /sys/fs/cgroup/blkio rw shared:13 master:4 - cgroup cgroup rw,blkio
99 30 0:30 / /srv/again rw shared:11 - cgroup cgroup rw,cpu,cpuacct
98 30 0:99 / /srv/a\\040b rw - cgroup cgroup rw,seclabel,pids,hugetlb
";

    #[test]
    fn hybrid_hosts_have_version_1_homes_and_a_unified_hierarchy() {
        let layout = Layout::from_mountinfo(HYBRID);
        assert_eq!(layout.version_word(), "hybrid");
        assert_eq!(layout.hierarchies().len(), 4);
        assert!(layout.hierarchies()[0].unified);
        let memory = layout.home(Controller::Memory).unwrap();
        assert_eq!(memory.mount, Path::new("/sys/fs/cgroup/memory"));
        assert!(layout.home(Controller::Freezer).unwrap().unified);
        assert!(!layout.has(Controller::Pids));
    }

    #[test]
    fn co_mounted_controllers_share_one_hierarchy_and_repeated_mounts_count_once() {
        let layout = Layout::from_mountinfo(SYSTEMD_V1);
        assert_eq!(layout.version_word(), "1");
        assert_eq!(layout.hierarchies().len(), 5);
        assert!(layout.has(Controller::Hugetlb) && !layout.has(Controller::Rdma));
        let cpu = layout.home(Controller::Cpu).unwrap();
        assert_eq!(cpu.mount, Path::new("/sys/fs/cgroup/cpu,cpuacct"));
        assert_eq!(layout.home(Controller::Cpuacct), Some(cpu));
        assert_eq!(layout.home(Controller::Pids).unwrap().mount, Path::new("/srv/a b"));
        assert!(!layout.has(Controller::Freezer));
        let views: Vec<_> =
            layout.views().into_iter().map(|view| (view.folder, view.options)).collect();
        let expected = [
            ("systemd", "name=systemd"),
            ("cpu,cpuacct", "cpu,cpuacct"),
            ("net_cls,net_prio", "net_cls,net_prio"),
            ("blkio", "blkio"),
            ("a b", "pids,hugetlb"),
        ];
        assert_eq!(views, expected.map(|(folder, options)| (folder.into(), options.into())));
    }

    #[test]
    fn a_host_with_version_2_alone_is_2() {
        let text = b"31 23 0:28 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let layout = Layout::from_mountinfo(text);
        assert_eq!(layout.version_word(), "2");
        assert!(layout.has(Controller::Freezer) && layout.has(Controller::Devices));
    }

    #[test]
    fn subtree_control_gets_words_with_a_plus() {
        let set = Controllers::from_words(b"cpuset cpu io memory hugetlb pids".split(|b| *b == 32));
        let handed_down = set.and(Controllers::of(&Controllers::DELEGATED));
        assert_eq!(enable_words(handed_down), "+cpu +cpuset +memory +pids +io");
    }
}
