//! What of a hierarchy an ordinary user may use: the folders that were handed down to the user
//! ("Delegation" in the kernel's documentation of control groups, version 2; systemd's `Delegate=`).

use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};

use crate::layout::Hierarchy;

/// Returns whether a hierarchy can be used by this process, and lets it begin at the folder that was
/// handed down. `own` is `/proc/self/cgroup`.
pub(crate) fn keep(hierarchy: &mut Hierarchy, own: &[u8]) -> bool {
    if !hierarchy.unified {
        // Nothing is handed down in version 1; a whole hierarchy may be.
        return writable(&hierarchy.mount.join("cgroup.procs"));
    }
    let Some(own) = own_group(own) else { return false };
    match root(&hierarchy.mount, &own, &|folder| {
        writable(&folder.join("cgroup.procs")) && writable(&folder.join("cgroup.subtree_control"))
    }) {
        Some(folder) => {
            hierarchy.mount = folder;
            true
        }
        None => false,
    }
}

fn writable(path: &Path) -> bool {
    rustix::fs::accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

/// Returns the path of this process's version 2 group (cgroups(7)): the line `0::/path`.
fn own_group(text: &[u8]) -> Option<String> {
    let line = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"0::/"))?;
    Some(std::str::from_utf8(line).ok()?.to_owned())
}

/// Returns the outermost folder from which on all down to the own group are the user's: processes
/// may be moved between any groups below it.
fn root(mount: &Path, own: &str, usable: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    let own = if own.is_empty() { mount.to_path_buf() } else { mount.join(own) };
    own.ancestors()
        .take_while(|folder| folder.starts_with(mount) && usable(folder))
        .last()
        .map(Path::to_path_buf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_down_begins_as_high_as_it_can() {
        let mount = Path::new("/sys/fs/cgroup");
        let user = "user.slice/user-1000.slice/user@1000.service";
        let handed = |folder: &Path| folder.starts_with(mount.join(user));
        let own = format!("{user}/app.slice/run-1.scope");
        assert_eq!(root(mount, &own, &handed), Some(mount.join(user)));
        // A session's own group is systemd's.
        let session = "user.slice/user-1000.slice/session-2.scope";
        assert_eq!(root(mount, session, &handed), None);
        // In a container that owns its cgroup namespace.
        assert_eq!(root(mount, "", &|_| true), Some(mount.to_path_buf()));
    }

    #[test]
    fn the_own_group_stands_in_the_line_of_version_2() {
        let text = b"9:name=systemd:/x\n1:cpu:/\n0::/user.slice/a b\n";
        assert_eq!(own_group(text).as_deref(), Some("user.slice/a b"));
        assert_eq!(own_group(b"0::/\n").as_deref(), Some(""));
        assert_eq!(own_group(b"1:cpu:/\n"), None);
    }
}
