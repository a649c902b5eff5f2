//! Devices of the host that a container may use (`--device`, `--device-cgroup-rule`).

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, Uid};
use rustix::io::Errno;
use wharf_model::{DeviceMapping, ErrorKind};
use wharf_sys::bpf::{DeviceKind, DeviceRule, MKNOD, READ, WRITE};

use super::rootfs::Root;
use crate::{Error, Result, userns};

/// A device to be made in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// Where the host has it.
    host: PathBuf,
    /// Where, inside.
    path: PathBuf,
    /// A device of either kind, or a FIFO, which has no number.
    kind: FileType,
    number: u64,
    mode: u32,
    owner: (u32, u32),
    /// What may be done with it, as in [`DeviceRule`].
    access: u8,
}

impl Node {
    /// Returns the device of this number, or the FIFO, to be made at `path`; a device where no nodes can
    /// be made is bound from where the host has it by the same path. Who may use it is somebody else's
    /// affair.
    pub(crate) fn new(
        path: PathBuf,
        kind: FileType,
        number: u64,
        mode: u32,
        owner: (u32, u32),
    ) -> Self {
        Self { host: path.clone(), path, kind, number, mode, owner, access: 0 }
    }

    /// Returns where it is, inside.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Refuses whatever else is in its place.
    ///
    /// # Errors
    /// When something is there that isn't this device.
    pub(super) fn check(&self, root: &Root) -> Result<()> {
        let what = || format!("make the device {}", self.path.display());
        let found = root
            .path(&self.path, rustix::fs::OFlags::PATH)
            .and_then(rustix::fs::fstat)
            .map_err(|cause| Error::failed(what(), cause))?;
        if FileType::from_raw_mode(found.st_mode) == self.kind && found.st_rdev == self.number {
            return Ok(());
        }
        let text = format!("{}: something else is there in the root filesystem", what());
        Err(Error::new(ErrorKind::Invalid, text))
    }

    /// Returns the rule that allows to use it.
    pub(crate) fn rule(&self) -> DeviceRule {
        DeviceRule {
            kind: match self.kind {
                FileType::BlockDevice => DeviceKind::Block,
                _ => DeviceKind::Character,
            },
            major: Some(rustix::fs::major(self.number)),
            minor: Some(rustix::fs::minor(self.number)),
            access: self.access,
        }
    }
}

/// Returns the devices behind the mappings, as the host has them now: one, or all in a folder.
pub(crate) fn gather(mappings: &[DeviceMapping]) -> Result<Vec<Node>> {
    let mut nodes: Vec<Node> = Vec::new();
    for mapping in mappings {
        let failed = |why: &str| {
            let text = format!(
                "error gathering device information while adding custom device {:?}: {why}",
                mapping.path_on_host
            );
            Error::new(ErrorKind::Invalid, text)
        };
        let access = access(&mapping.permissions);
        // Links are followed here, and only here: what lies in a folder is taken as it is.
        let host = match std::fs::canonicalize(&mapping.path_on_host) {
            Ok(path) => path,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                return Err(failed("no such file or directory"));
            }
            Err(cause) => return Err(failed(&cause.to_string())),
        };
        let before = nodes.len();
        collect(&host, Path::new(&mapping.path_in_container), access, &mut nodes)
            .map_err(|cause| failed(&cause.to_string()))?;
        if nodes.len() == before {
            return Err(failed("not a device node"));
        }
    }
    Ok(nodes)
}

/// Adds the device at `host`, or those below it.
fn collect(host: &Path, inside: &Path, access: u8, nodes: &mut Vec<Node>) -> std::io::Result<()> {
    let found = rustix::fs::lstat(host)?;
    let kind = match FileType::from_raw_mode(found.st_mode) {
        kind @ (FileType::CharacterDevice | FileType::BlockDevice) => kind,
        FileType::Directory => {
            for entry in std::fs::read_dir(host)? {
                let name = entry?.file_name();
                match collect(&host.join(&name), &inside.join(&name), access, nodes) {
                    // It has gone since the folder was read.
                    Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
                    other => other?,
                }
            }
            return Ok(());
        }
        _ => return Ok(()),
    };
    nodes.push(Node {
        host: host.to_path_buf(),
        path: inside.to_path_buf(),
        kind,
        number: found.st_rdev,
        mode: found.st_mode & 0o7777,
        owner: (found.st_uid, found.st_gid),
        access,
    });
    Ok(())
}

/// Returns the bits of some of the letters `r`, `w` and `m`.
fn access(letters: &str) -> u8 {
    letters.bytes().fold(0, |bits, letter| {
        bits | match letter {
            b'r' => READ,
            b'w' => WRITE,
            b'm' => MKNOD,
            _ => 0,
        }
    })
}

/// Returns the rules that a line such as `c 42:* rwm` stands for; `a` is both kinds.
///
/// # Errors
/// Docker's sentence when it can't be read.
pub(crate) fn rules(line: &str) -> Result<Vec<DeviceRule>> {
    let read = || {
        let mut words = line.split(' ');
        let (kind, numbers, letters) = (words.next()?, words.next()?, words.next()?);
        let kinds: &[DeviceKind] = match kind {
            "a" => &[DeviceKind::Block, DeviceKind::Character],
            "b" => &[DeviceKind::Block],
            "c" => &[DeviceKind::Character],
            _ => return None,
        };
        let number = |text: &str| match text {
            "*" => Some(None),
            _ if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().ok().map(Some),
            _ => None,
        };
        let (major, minor) = numbers.split_once(':')?;
        let (major, minor) = (number(major)?, number(minor)?);
        let known = letters.bytes().all(|letter| b"rwm".contains(&letter));
        if words.next().is_some() || !known || !(1..=3).contains(&letters.len()) {
            return None;
        }
        let access = access(letters);
        Some(kinds.iter().map(|kind| DeviceRule { kind: *kind, major, minor, access }).collect())
    };
    let refused =
        || Error::new(ErrorKind::Invalid, format!("invalid device cgroup format '{line}'"));
    read().ok_or_else(refused)
}

/// Makes the devices inside, or, where a user namespace's root can't, binds the host's own. One that is
/// there already stays, as with the OCI runtimes.
pub(super) fn make(root: &Root, nodes: &[Node], in_namespace: bool) -> Result<()> {
    nodes.iter().try_for_each(|node| {
        make_one(root, node, in_namespace).map_err(|cause| {
            Error::failed(format_args!("make the device {}", node.path.display()), cause)
        })
    })
}

fn make_one(root: &Root, node: &Node, in_namespace: bool) -> rustix::io::Result<()> {
    let (folder, name) = split(&node.path).ok_or(Errno::INVAL)?;
    let folder = root.make_folder(folder, 0o755)?;
    if in_namespace && node.kind != FileType::Fifo {
        return userns::devices::bind_once(&node.host, &folder, name);
    }
    let mode = Mode::from_raw_mode(node.mode);
    // With its whole mode at once: a later change could be led elsewhere by whoever shares a folder
    // with the container.
    let umask = rustix::process::umask(Mode::empty());
    let made = rustix::fs::mknodat(&folder, name, node.kind, mode, node.number);
    rustix::process::umask(umask);
    match made {
        Ok(()) => {}
        Err(Errno::EXIST) => return Ok(()),
        Err(cause) => return Err(cause),
    }
    let (uid, gid) = (Uid::from_raw(node.owner.0), Gid::from_raw(node.owner.1));
    rustix::fs::chownat(&folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
}

/// Returns the folder and the last name of a path.
fn split(path: &Path) -> Option<(&Path, &OsStr)> {
    match path.components().next_back()? {
        Component::Normal(name) => Some((path.parent()?, name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(host: &str, inside: &str, permissions: &str) -> DeviceMapping {
        DeviceMapping {
            path_on_host: host.to_owned(),
            path_in_container: inside.to_owned(),
            permissions: permissions.to_owned(),
        }
    }

    #[test]
    fn a_device_and_a_folder_of_devices_are_gathered() {
        let nodes = gather(&[mapping("/dev/null", "/opt/hole", "rm")]).unwrap();
        assert_eq!(nodes[0].path, Path::new("/opt/hole"));
        let rule = nodes[0].rule();
        assert_eq!((rule.kind, rule.major, rule.minor), (DeviceKind::Character, Some(1), Some(3)));
        assert_eq!(rule.access, READ | MKNOD);
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("below")).unwrap();
        std::fs::write(path("plain"), "").unwrap();
        let mode = Mode::from_raw_mode(0o640);
        for (name, minor) in [("one", 3), ("below/two", 5)] {
            let number = rustix::fs::makedev(1, minor);
            rustix::fs::mknodat(
                rustix::fs::CWD,
                path(name),
                FileType::CharacterDevice,
                mode,
                number,
            )
            .unwrap();
        }
        let host = folder.path().to_str().unwrap();
        let mut nodes = gather(&[mapping(host, "/dev/here", "rwm")]).unwrap();
        nodes.sort_by(|a, b| a.path.cmp(&b.path));
        let paths: Vec<_> = nodes.iter().map(|node| node.path.to_str().unwrap()).collect();
        assert_eq!(paths, ["/dev/here/below/two", "/dev/here/one"]);
        for bad in ["/nonexistent", path("plain").to_str().unwrap()] {
            assert!(gather(&[mapping(bad, "/x", "r")]).is_err(), "{bad}");
        }
    }

    #[test]
    fn rules_are_read_as_docker_reads_them() {
        assert_eq!(
            rules("c 42:* rw").unwrap(),
            [DeviceRule {
                kind: DeviceKind::Character,
                major: Some(42),
                minor: None,
                access: READ | WRITE
            }]
        );
        assert_eq!(rules("a *:* rwm").unwrap().len(), 2);
        for bad in ["", "x", "c 1:3", "c 1:3 rwx", "c 1 rwm", "c 1:3 rwmr", "d 1:3 r", "c +1:3 r"] {
            let text = rules(bad).unwrap_err().to_string();
            assert_eq!(text, format!("invalid device cgroup format '{bad}'"));
        }
    }
}
