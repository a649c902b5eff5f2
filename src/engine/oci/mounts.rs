//! The mounts of a bundle: what their options mean.

use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags};
use wharf_model::ErrorKind;
use wharf_sys::mount as attributes;

use super::spec::Mount;
use crate::container::mounts::mount_flag;
use crate::init::listed::{Listed, NO_SYMBOLIC_LINKS, What};
use crate::{Error, Result};

/// Returns how a word spreads mounts.
pub(super) fn propagation(word: &str) -> Option<MountPropagationFlags> {
    let (word, recursive) = match word.strip_prefix('r') {
        Some(rest) => (rest, MountPropagationFlags::REC),
        None => (word, MountPropagationFlags::empty()),
    };
    let kind = match word {
        "private" => MountPropagationFlags::PRIVATE,
        "shared" => MountPropagationFlags::SHARED,
        "slave" => MountPropagationFlags::DOWNSTREAM,
        "unbindable" => MountPropagationFlags::UNBINDABLE,
        _ => return None,
    };
    Some(kind | recursive)
}

/// All words for how mounts spread.
const PROPAGATIONS: [&str; 8] =
    ["private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable"];

/// What a word says of a mount and all below it: properties that are set and taken away.
fn below(word: &str) -> Option<(u64, u64)> {
    use attributes::{
        ACCESS_TIMES, NO_ACCESS_TIMES, NO_DEVICES, NO_EXEC, NO_FOLDER_ACCESS_TIMES, NO_LINKS,
        NO_SUID, READ_ONLY, STRICT_ACCESS_TIMES,
    };
    Some(match word {
        "rro" => (READ_ONLY, 0),
        "rrw" => (0, READ_ONLY),
        "rnosuid" => (NO_SUID, 0),
        "rsuid" => (0, NO_SUID),
        "rnodev" => (NO_DEVICES, 0),
        "rdev" => (0, NO_DEVICES),
        "rnoexec" => (NO_EXEC, 0),
        "rexec" => (0, NO_EXEC),
        "rnodiratime" => (NO_FOLDER_ACCESS_TIMES, 0),
        "rdiratime" => (0, NO_FOLDER_ACCESS_TIMES),
        "rrelatime" => (0, ACCESS_TIMES),
        "rnorelatime" | "rstrictatime" => (STRICT_ACCESS_TIMES, ACCESS_TIMES),
        "rnoatime" => (NO_ACCESS_TIMES, ACCESS_TIMES),
        "ratime" | "rnostrictatime" => (0, ACCESS_TIMES),
        "rnosymfollow" => (NO_LINKS, 0),
        "rsymfollow" => (0, NO_LINKS),
        _ => return None,
    })
}

/// The flags that docker's words don't name.
fn rare_flag(word: &str) -> Option<(MountFlags, bool)> {
    Some(match word {
        "lazytime" => (MountFlags::LAZYTIME, true),
        "nolazytime" => (MountFlags::LAZYTIME, false),
        "silent" => (MountFlags::SILENT, true),
        "loud" => (MountFlags::SILENT, false),
        // MS_I_VERSION of linux/mount.h.
        "iversion" => (MountFlags::from_bits_retain(1 << 23), true),
        "noiversion" => (MountFlags::from_bits_retain(1 << 23), false),
        "nosymfollow" => (MountFlags::from_bits_retain(NO_SYMBOLIC_LINKS), true),
        "symfollow" => (MountFlags::from_bits_retain(NO_SYMBOLIC_LINKS), false),
        _ => return None,
    })
}

/// Returns all words that are no filesystem's own.
pub(super) fn known_options() -> Vec<String> {
    const PLAIN: [&str; 26] = [
        "async",
        "atime",
        "bind",
        "defaults",
        "dev",
        "diratime",
        "dirsync",
        "exec",
        "iversion",
        "lazytime",
        "loud",
        "mand",
        "noatime",
        "nodev",
        "nodiratime",
        "noexec",
        "noiversion",
        "nolazytime",
        "nomand",
        "norelatime",
        "nostrictatime",
        "nosuid",
        "nosymfollow",
        "rbind",
        "relatime",
        "ro",
    ];
    const REST: [&str; 23] = [
        "rw",
        "silent",
        "strictatime",
        "suid",
        "symfollow",
        "sync",
        "tmpcopyup",
        "ratime",
        "rdev",
        "rdiratime",
        "rexec",
        "rnoatime",
        "rnodev",
        "rnodiratime",
        "rnoexec",
        "rnorelatime",
        "rnostrictatime",
        "rnosuid",
        "rnosymfollow",
        "rrelatime",
        "rro",
        "rrw",
        "rstrictatime",
    ];
    let all = PLAIN.iter().chain(&REST).chain(&PROPAGATIONS);
    let mut all: Vec<String> = all.map(ToString::to_string).collect();
    all.extend(["idmap", "ridmap", "rsuid", "rsymfollow"].map(str::to_owned));
    all.sort_unstable();
    all
}

/// Returns a mount as the first process makes it; `bundle` is the bundle's folder.
///
/// # Errors
/// When it has what can't be done.
pub(super) fn listed(mount: &Mount, bundle: &Path) -> Result<Listed> {
    let refuse = |why: String| {
        let text = format!("mount on {}: {why}", mount.destination);
        Err(Error::new(ErrorKind::Invalid, text))
    };
    if mount.destination.is_empty() {
        return refuse("it has no destination".to_owned());
    }
    let mut found = Listed {
        target: Path::new("/").join(&mount.destination),
        what: What::Cgroups,
        set: MountFlags::empty(),
        cleared: MountFlags::empty(),
        data: String::new(),
        propagation: Vec::new(),
        below: (0, 0),
        copies_up: false,
        mapped: None,
    };
    let mut is_bind = mount.kind == "bind";
    let mut recursive = false;
    let mut data: Vec<&str> = Vec::new();
    for option in &mount.options {
        if let Some((flag, on)) = mount_flag(option).or_else(|| rare_flag(option)) {
            if flag.contains(MountFlags::BIND) {
                is_bind = true;
                recursive = flag.contains(MountFlags::REC);
                continue;
            }
            found.set.set(flag, on);
            found.cleared.set(flag, !on);
        } else if let Some(flags) = propagation(option) {
            found.propagation.push(flags);
        } else if let Some((set, clear)) = below(option) {
            let (before, cleared) = found.below;
            found.below = (before & !clear | set, cleared & !set | clear);
        } else {
            match option.as_str() {
                "tmpcopyup" => found.copies_up = true,
                "idmap" | "ridmap" => found.mapped = Some(option == "ridmap"),
                _ => data.push(option),
            }
        }
    }
    if mount.uid_mappings.is_empty() != mount.gid_mappings.is_empty() {
        return refuse("one of uidMappings and gidMappings is missing".to_owned());
    }
    if !mount.uid_mappings.is_empty() {
        found.mapped = found.mapped.or(Some(false));
    }
    if found.mapped.is_some() && !is_bind {
        return refuse("only a bind can show other owners".to_owned());
    }
    found.data = data.join(",");
    found.what = match mount.kind.as_str() {
        _ if is_bind && mount.source.is_empty() => {
            return refuse("a bind needs a source".to_owned());
        }
        _ if is_bind => What::Bind { source: resolved(bundle, &mount.source), recursive },
        "" => return refuse("it has no type".to_owned()),
        "cgroup" | "cgroup2" => What::Cgroups,
        kind => What::Filesystem {
            kind: kind.to_owned(),
            source: match mount.source.as_str() {
                "" => kind.to_owned(),
                source => source.to_owned(),
            },
        },
    };
    if found.copies_up && mount.kind != "tmpfs" {
        return refuse("tmpcopyup is for tmpfs alone".to_owned());
    }
    Ok(found)
}

/// Returns a path that may be relative to the bundle.
fn resolved(bundle: &Path, path: &str) -> PathBuf {
    bundle.join(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(kind: &str, options: &[&str]) -> Result<Listed> {
        let mount = Mount {
            destination: "data".to_owned(),
            kind: kind.to_owned(),
            source: "src".to_owned(),
            options: options.iter().map(ToString::to_string).collect(),
            ..Mount::default()
        };
        listed(&mount, Path::new("/bundle"))
    }

    #[test]
    fn options_are_sorted_into_what_they_mean() {
        let found = mount("tmpfs", &["nosuid", "noexec", "exec", "mode=755", "size=1k"]).unwrap();
        assert_eq!(found.target, Path::new("/data"));
        assert_eq!((found.set, found.cleared), (MountFlags::NOSUID, MountFlags::NOEXEC));
        assert_eq!(found.data, "mode=755,size=1k");
        let found = mount("none", &["rbind", "ro", "rprivate", "rro", "rexec"]).unwrap();
        let source = PathBuf::from("/bundle/src");
        assert_eq!(found.what, What::Bind { source, recursive: true });
        assert_eq!(found.below, (attributes::READ_ONLY, attributes::NO_EXEC));
        let rest = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        assert_eq!((found.propagation, found.mapped), (vec![rest], None));
        assert_eq!(mount("bind", &["idmap"]).unwrap().mapped, Some(false));
        assert_eq!(mount("bind", &["rbind", "ridmap"]).unwrap().mapped, Some(true));
        for (kind, options) in
            [("", &[] as &[&str]), ("tmpfs", &["idmap"]), ("proc", &["tmpcopyup"])]
        {
            assert!(mount(kind, options).is_err(), "{kind} {options:?}");
        }
    }

    #[test]
    fn every_option_that_is_said_to_be_known_is_known() {
        for word in known_options() {
            let known = mount_flag(&word).is_some()
                || rare_flag(&word).is_some()
                || propagation(&word).is_some()
                || below(&word).is_some()
                || ["tmpcopyup", "idmap", "ridmap"].contains(&word.as_str());
            assert!(known, "{word}");
        }
    }
}
