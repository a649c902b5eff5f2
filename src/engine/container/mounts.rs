//! A container's mount points: what its flags ask for, what it takes over from other containers,
//! and the checks on all of it, in docker's words.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use rustix::mount::MountFlags;
use serde::{Deserialize, Serialize};
use wharf_model::{Bind, ErrorKind, HostConfig, Mount, MountInfo, MountKind};

use crate::state::{Spec, Store};
use crate::{Error, Paths, Result, volume};

/// A mount, and the options it was asked for with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MountPoint {
    pub(crate) mount: Mount,
    /// As `-v` had it: `ro,rslave`.
    pub(crate) mode: String,
    /// Whether it is a volume that goes away with its last container.
    #[serde(default)]
    pub(crate) anonymous: bool,
}

impl From<&Bind> for MountPoint {
    fn from(bind: &Bind) -> Self {
        let mut mount = Mount {
            source: bind.source.clone(),
            target: bind.target.clone(),
            read_only: bind.read_only,
            propagation: Some(bind.propagation),
            create_source: true,
            ..Mount::default()
        };
        let mut mode = bind.options.clone();
        if bind.is_volume() {
            mount.kind = MountKind::Volume;
            mount.volume.no_copy = mode.split(',').any(|option| option == "nocopy");
            if mode.is_empty() {
                // Docker shows so that a volume may be relabelled.
                "z".clone_into(&mut mode);
            }
        }
        Self { mount, mode, anonymous: false }
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, message)
}

/// Returns a container's mounts, without `--tmpfs`: those of other containers, where none of its own
/// takes their place, and its own.
pub(crate) fn points(spec: &Spec) -> Vec<MountPoint> {
    let host = &spec.host;
    // One without a name stands among the container's volumes, with the name that it was given.
    let named = |mount: &&Mount| mount.kind != MountKind::Volume || !mount.source.is_empty();
    let plain = |mount: &Mount| {
        let mode = if mount.kind == MountKind::Volume { "z" } else { "" };
        MountPoint { mount: mount.clone(), mode: mode.to_owned(), anonymous: false }
    };
    let asked = host.mounts.iter().filter(named).map(plain);
    let own: Vec<MountPoint> =
        host.binds.iter().map(MountPoint::from).chain(asked).chain(spec.volumes.clone()).collect();
    let taken = |target: &String| {
        host.tmpfs.contains_key(target) || own.iter().any(|point| point.mount.target == *target)
    };
    let inherited = spec.inherited.iter().filter(|point| !taken(&point.mount.target)).cloned();
    inherited.chain(own.iter().cloned()).collect()
}

/// Returns what inspection shows of them, and of `--tmpfs`.
pub(crate) fn shown(paths: &Paths, spec: &Spec) -> Vec<MountInfo> {
    let info = |point: MountPoint| MountInfo {
        kind: point.mount.kind,
        source: match point.mount.kind {
            MountKind::Volume => paths.volume_data(&point.mount.source).display().to_string(),
            _ => point.mount.source.clone(),
        },
        name: (point.mount.kind == MountKind::Volume).then_some(point.mount.source),
        destination: point.mount.target,
        writable: !point.mount.read_only,
        mode: point.mode,
        propagation: point.mount.propagation.unwrap_or_default(),
    };
    let tmpfs = spec.host.tmpfs.iter().map(|(target, options)| MountInfo {
        kind: MountKind::Tmpfs,
        destination: target.clone(),
        writable: !options.split(',').any(|option| option == "ro"),
        ..MountInfo::default()
    });
    points(spec).into_iter().map(info).chain(tmpfs).collect()
}

/// Returns the mounts that `--volumes-from` takes over: host paths, not memory.
///
/// # Errors
/// When a container isn't there, or an option isn't allowed here.
pub(super) fn inherit(store: &Store, host: &HostConfig) -> Result<Vec<MountPoint>> {
    let mut points: Vec<MountPoint> = Vec::new();
    for text in &host.volumes_from {
        if text.is_empty() {
            return Err(invalid("volumes-from specification cannot be an empty string"));
        }
        let (name, mode) = text.split_once(':').unwrap_or((text, "rw"));
        // The groups of options of which one may be given; how it spreads isn't to be changed.
        let mut groups = BTreeSet::new();
        for option in mode.split(',') {
            let group = match option {
                "ro" | "rw" => 0,
                "z" | "Z" => 1,
                "consistent" | "cached" | "delegated" => 2,
                _ => return Err(invalid(format!("invalid mode: {mode}"))),
            };
            if !groups.insert(group) {
                return Err(invalid(format!("invalid mode: {mode}")));
            }
        }
        let read_only = mode.split(',').any(|option| option == "ro");
        for mut point in self::points(&super::namespaces::other(store, name)?.spec) {
            if point.mount.kind == MountKind::Tmpfs {
                continue;
            }
            point.mount.read_only |= read_only;
            point.mode.clear();
            points.retain(|other| other.mount.target != point.mount.target);
            points.push(point);
        }
    }
    Ok(points)
}

/// Checks what is asked for, before anything is made.
///
/// # Errors
/// Docker's sentence.
pub(super) fn check(host: &HostConfig) -> Result<()> {
    let mut targets = Vec::new();
    for bind in &host.binds {
        check_target(&bind.target)?;
        if bind.is_volume() {
            volume::check_name(&bind.source)?;
        }
        targets.push(bind.target.as_str());
    }
    for mount in &host.mounts {
        check_mount(mount)?;
        targets.push(&mount.target);
    }
    for (target, options) in &host.tmpfs {
        check_target(target)?;
        TmpfsOptions::parse(options)?;
        targets.push(target);
    }
    targets.sort_unstable();
    match targets.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(invalid(format!("Duplicate mount point: {}", pair[0]))),
        None => Ok(()),
    }
}

fn check_target(target: &str) -> Result<()> {
    let path = Path::new(target);
    if !path.is_absolute() {
        return Err(invalid(format!("invalid mount path: '{target}' mount path must be absolute")));
    }
    if path.components().all(|c| matches!(c, Component::RootDir | Component::CurDir)) {
        return Err(invalid("invalid specification: destination can't be '/'"));
    }
    Ok(())
}

fn check_mount(mount: &Mount) -> Result<()> {
    let word = match mount.kind {
        MountKind::Bind => "bind",
        MountKind::Volume => "volume",
        MountKind::Tmpfs => "tmpfs",
    };
    let refuse =
        |why: String| Err(invalid(format!("invalid mount config for type {word:?}: {why}")));
    if let Err(error) = check_target(&mount.target) {
        return refuse(error.to_string());
    }
    if mount.kind == MountKind::Tmpfs {
        if !mount.source.is_empty() {
            return refuse("field Source must not be specified".to_owned());
        }
        return match TmpfsOptions::of(mount) {
            Ok(_) => Ok(()),
            Err(error) => refuse(error.to_string()),
        };
    }
    if mount.kind == MountKind::Volume {
        let subpath = Path::new(&mount.volume.subpath);
        let inside = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
        let why = match (mount.source.is_empty(), mount.volume.subpath.is_empty()) {
            (true, _) if mount.read_only => {
                "must not set ReadOnly mode when using anonymous volumes"
            }
            (true, false) => "must not set Subpath when using anonymous volumes",
            (_, false) if !subpath.components().all(inside) => {
                "subpath must be a relative path within the volume"
            }
            (true, true) => return Ok(()),
            (false, _) => return volume::check_name(&mount.source),
        };
        return refuse(why.to_owned());
    }
    if mount.source.is_empty() {
        return refuse("field Source must not be empty".to_owned());
    }
    if !mount.source.starts_with('/') {
        let source = &mount.source;
        return refuse(format!("invalid mount path: '{source}' mount path must be absolute"));
    }
    check_source(mount)
}

/// Refuses a bind whose host path isn't there and isn't to be made.
fn check_source(mount: &Mount) -> Result<()> {
    let missing = !mount.create_source && std::fs::symlink_metadata(&mount.source).is_err();
    if mount.kind == MountKind::Bind && missing {
        return Err(invalid(format!(
            "invalid mount config for type \"bind\": bind source path does not exist: {}",
            mount.source
        )));
    }
    Ok(())
}

/// Makes the host paths that are missing, as docker's `-v` does, and refuses the start over those of
/// `--mount`.
pub(super) fn make_sources(spec: &Spec) -> Result<()> {
    for MountPoint { mount, .. } in points(spec) {
        check_source(&mount)?;
        let path = Path::new(&mount.source);
        if mount.kind == MountKind::Bind
            && let Err(cause) = std::fs::symlink_metadata(path)
            && cause.kind() == std::io::ErrorKind::NotFound
        {
            std::fs::create_dir_all(path).map_err(|cause| {
                Error::failed(format_args!("make bind source {}", mount.source), cause)
            })?;
        }
    }
    Ok(())
}

/// Returns the flag of `mount(2)` that a word of `mount(8)` stands for, and whether it sets it.
pub(crate) fn mount_flag(word: &str) -> Option<(MountFlags, bool)> {
    Some(match word {
        "ro" => (MountFlags::RDONLY, true),
        "rw" => (MountFlags::RDONLY, false),
        "nosuid" => (MountFlags::NOSUID, true),
        "suid" => (MountFlags::NOSUID, false),
        "nodev" => (MountFlags::NODEV, true),
        "dev" => (MountFlags::NODEV, false),
        "noexec" => (MountFlags::NOEXEC, true),
        "exec" => (MountFlags::NOEXEC, false),
        "sync" => (MountFlags::SYNCHRONOUS, true),
        "async" => (MountFlags::SYNCHRONOUS, false),
        "dirsync" => (MountFlags::DIRSYNC, true),
        "mand" => (MountFlags::PERMIT_MANDATORY_FILE_LOCKING, true),
        "nomand" => (MountFlags::PERMIT_MANDATORY_FILE_LOCKING, false),
        "noatime" => (MountFlags::NOATIME, true),
        "atime" => (MountFlags::NOATIME, false),
        "nodiratime" => (MountFlags::NODIRATIME, true),
        "diratime" => (MountFlags::NODIRATIME, false),
        "relatime" => (MountFlags::RELATIME, true),
        "norelatime" => (MountFlags::RELATIME, false),
        "strictatime" => (MountFlags::STRICTATIME, true),
        "nostrictatime" => (MountFlags::STRICTATIME, false),
        "bind" => (MountFlags::BIND, true),
        "rbind" => (MountFlags::BIND.union(MountFlags::REC), true),
        "defaults" => (MountFlags::empty(), true),
        _ => return None,
    })
}

/// The options of memory, as the kernel takes them.
pub(crate) struct TmpfsOptions {
    pub(crate) flags: MountFlags,
    pub(crate) data: Vec<String>,
}

impl TmpfsOptions {
    /// Reads the options of `--tmpfs`: `size=1m,noexec`. Nothing is executed from it, and no device
    /// and set-user-id bit counts, unless that is asked for.
    ///
    /// # Errors
    /// When there is no such option.
    pub(crate) fn parse(options: &str) -> Result<Self> {
        let mut flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        let mut data = Vec::new();
        for option in options.split(',').filter(|option| !option.is_empty()) {
            if matches!(option, "private" | "rprivate") {
                continue;
            }
            let of_memory = mount_flag(option)
                .filter(|(flag, _)| !flag.contains(MountFlags::BIND) && !option.ends_with("mand"));
            let Some((flag, set)) = of_memory else {
                let words: Vec<&str> = option.splitn(2, '=').collect();
                let known = ["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"];
                if words.len() < 2 || !known.contains(&words[0]) {
                    // What isn't known, and what memory can't be.
                    let quoted: Vec<String> =
                        words.iter().map(|word| format!("{word:?}")).collect();
                    return Err(invalid(format!("invalid tmpfs option [{}]", quoted.join(" "))));
                }
                data.push(option.to_owned());
                continue;
            };
            flags.set(flag, set);
        }
        Ok(Self { flags, data })
    }

    /// Returns the options of a mount of memory.
    ///
    /// # Errors
    /// As for [`TmpfsOptions::parse`].
    pub(crate) fn of(mount: &Mount) -> Result<Self> {
        let mut options = Self::parse(&mount.tmpfs_options.join(","))?;
        options
            .flags
            .set(MountFlags::RDONLY, mount.read_only || options.flags.contains(MountFlags::RDONLY));
        options.data.extend(mount.tmpfs_size.map(|size| format!("size={size}")));
        let mode = mount.tmpfs_mode.filter(|mode| *mode != 0);
        options.data.extend(mode.map(|mode| format!("mode={mode:o}")));
        Ok(options)
    }

    /// Returns whether the mode of its root folder is given.
    pub(crate) fn has_mode(&self) -> bool {
        self.data.iter().any(|option| option.starts_with("mode="))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_model::VolumeMount;

    #[test]
    fn options_of_memory() {
        let options = TmpfsOptions::parse("size=1m,exec,ro,mode=700").unwrap();
        assert_eq!(options.flags, MountFlags::NOSUID | MountFlags::NODEV | MountFlags::RDONLY);
        assert_eq!(options.data, ["size=1m", "mode=700"]);
        assert!(options.has_mode());
        let refused = |text: &str| TmpfsOptions::parse(text).err().unwrap().to_string();
        assert_eq!(refused("foo=1"), "invalid tmpfs option [\"foo\" \"1\"]");
        assert_eq!(refused("noexec,bar"), "invalid tmpfs option [\"bar\"]");
        assert_eq!(refused("tmpcopyup"), "invalid tmpfs option [\"tmpcopyup\"]");
    }

    #[test]
    fn mounts_are_checked_in_dockers_words() {
        let refused = |mount: Mount| check_mount(&mount).unwrap_err().to_string();
        let bind = |source: &str, target: &str| Mount {
            source: source.to_owned(),
            target: target.to_owned(),
            ..Mount::default()
        };
        let start = "invalid mount config for type \"bind\": ";
        for (mount, reason) in [
            (bind("", "/x"), "field Source must not be empty"),
            (bind("a", "/x"), "invalid mount path: 'a' mount path must be absolute"),
            (bind("/tmp", "x"), "invalid mount path: 'x' mount path must be absolute"),
            (bind("/tmp", "/"), "invalid specification: destination can't be '/'"),
            (bind("/no/such", "/x"), "bind source path does not exist: /no/such"),
        ] {
            assert_eq!(refused(mount), format!("{start}{reason}"));
        }
        let memory = Mount { kind: MountKind::Tmpfs, ..bind("/a", "/x") };
        assert_eq!(
            refused(memory),
            "invalid mount config for type \"tmpfs\": field Source must not be specified"
        );
        let start = "invalid mount config for type \"volume\": ";
        let volume = |source: &str, subpath: &str, read_only: bool| Mount {
            kind: MountKind::Volume,
            read_only,
            volume: VolumeMount { subpath: subpath.to_owned(), ..VolumeMount::default() },
            ..bind(source, "/x")
        };
        for (mount, reason) in [
            (volume("", "", true), "must not set ReadOnly mode when using anonymous volumes"),
            (volume("", "a", false), "must not set Subpath when using anonymous volumes"),
            (volume("vol", "../a", false), "subpath must be a relative path within the volume"),
            (volume("vol", "/a", false), "subpath must be a relative path within the volume"),
        ] {
            assert_eq!(refused(mount), format!("{start}{reason}"));
        }
        assert!(refused(volume("/abs", "", false)).starts_with("create /abs: \"/abs\" includes"));
        check_mount(&volume("vol", "a/./b", true)).unwrap();
        check_mount(&volume("", "", false)).unwrap();
    }
}
