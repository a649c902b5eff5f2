//! Volumes with options: what is mounted on their folders, when, and until when.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount_change, mount_remount, unmount as umount,
};
use wharf_model::{ContainerId, ErrorKind, Mount, MountKind};

use super::lock;
use super::record::{Volume, event};
use crate::container::mounts::{mount_flag, points};
use crate::mount_table::MountTable;
use crate::network::host_addresses;
use crate::state::{Record, Store, add_event};
use crate::{Error, Paths, Result};

/// The kind of the note of a container that runs with a volume; its key is `VOLUME:CONTAINER`.
pub(crate) const MOUNT: &str = "mount";

/// What `mount(2)` gets.
struct Request {
    kind: String,
    device: String,
    flags: MountFlags,
    propagation: MountPropagationFlags,
    data: Vec<String>,
}

/// Refuses options that the driver doesn't have.
///
/// # Errors
/// In docker's words.
pub(super) fn check(options: &BTreeMap<String, String>) -> Result<()> {
    let invalid = |why: String| Err(Error::new(ErrorKind::Invalid, why));
    for key in options.keys() {
        match key.as_str() {
            "type" | "o" | "device" => {}
            "size" => return invalid("quota size requested but no quota support".to_owned()),
            _ => return invalid(format!("invalid option: {key:?}")),
        }
    }
    for key in ["device", "type"] {
        if !options.is_empty() && options.get(key).is_none_or(String::is_empty) {
            return invalid(format!("missing required option: {key:?}"));
        }
    }
    Ok(())
}

fn propagation(word: &str) -> Option<MountPropagationFlags> {
    let all = MountPropagationFlags::REC;
    Some(match word {
        "private" => MountPropagationFlags::PRIVATE,
        "rprivate" => MountPropagationFlags::PRIVATE | all,
        "shared" => MountPropagationFlags::SHARED,
        "rshared" => MountPropagationFlags::SHARED | all,
        "slave" => MountPropagationFlags::DOWNSTREAM,
        "rslave" => MountPropagationFlags::DOWNSTREAM | all,
        "unbindable" => MountPropagationFlags::UNBINDABLE,
        "runbindable" => MountPropagationFlags::UNBINDABLE | all,
        _ => return None,
    })
}

impl Request {
    fn new(options: &BTreeMap<String, String>) -> Self {
        let text = |key: &str| options.get(key).cloned().unwrap_or_default();
        let mut request = Self {
            kind: text("type"),
            device: text("device"),
            flags: MountFlags::empty(),
            propagation: MountPropagationFlags::empty(),
            data: Vec::new(),
        };
        for word in text("o").split(',').filter(|word| !word.is_empty()) {
            if let Some(flags) = propagation(word) {
                request.propagation |= flags;
            } else if let Some((flag, set)) = mount_flag(word) {
                request.flags.set(flag, set);
            } else {
                request.data.push(word.to_owned());
            }
        }
        request
    }

    /// Puts numbers in the place of a server's name: the kernel can't ask for them.
    fn resolve(&mut self) -> io::Result<()> {
        if !matches!(self.kind.as_str(), "nfs" | "nfs4" | "cifs") {
            return Ok(());
        }
        for word in &mut self.data {
            let Some(host) = word.strip_prefix("addr=") else { continue };
            if host.parse::<IpAddr>().is_ok() {
                continue;
            }
            let address = host_addresses(host)?.into_iter().next();
            let address =
                address.ok_or_else(|| io::Error::other(format!("no such host: {host}")))?;
            *word = format!("addr={address}");
        }
        Ok(())
    }

    fn mount(&self, target: &Path) -> io::Result<()> {
        let data = CString::new(self.data.join(","))?;
        let binds = self.flags.contains(MountFlags::BIND);
        rustix::mount::mount(
            self.device.as_str(),
            target,
            self.kind.as_str(),
            self.flags,
            data.as_c_str(),
        )?;
        let finish = || -> rustix::io::Result<()> {
            if !self.propagation.is_empty() {
                mount_change(target, self.propagation)?;
            }
            // A bind takes no other flag at first.
            let rest = self.flags - MountFlags::REC;
            if binds && rest != MountFlags::BIND {
                mount_remount(target, rest, c"")?;
            }
            Ok(())
        };
        finish().map_err(|cause| {
            // What is half right isn't what was asked for.
            let _ = umount(target, UnmountFlags::DETACH);
            cause.into()
        })
    }
}

/// Returns whether a volume is a folder of the host's under another name.
pub(super) fn is_bind(volume: &Volume) -> bool {
    Request::new(&volume.spec.options).flags.contains(MountFlags::BIND)
}

/// Mounts what a volume's options say on its folder, unless it is there.
pub(crate) fn mount(paths: &Paths, volume: &Volume) -> Result<()> {
    let target = paths.volume_data(&volume.name);
    let look = |cause| Error::failed(format_args!("look at {}", target.display()), cause);
    if is_mounted(&target).map_err(look)? {
        return Ok(());
    }
    let mut request = Request::new(&volume.spec.options);
    let resolved = request.resolve();
    let device = request.device.clone();
    let flags = match request.flags.bits() {
        0 => String::new(),
        bits => format!(", flags: {bits:#x}"),
    };
    let words = match request.data.join(",") {
        words if words.is_empty() => words,
        words => format!(", data: {words}"),
    };
    let failed = |cause: io::Error| {
        Error::failed(
            format_args!(
                "error while mounting volume '{0}': failed to mount local volume: mount \
                 {device}:{0}{flags}{words}",
                target.display()
            ),
            cause,
        )
    };
    resolved.and_then(|()| request.mount(&target)).map_err(failed)
}

/// Returns whether something is mounted on a folder; what isn't there isn't a mount.
pub(crate) fn is_mounted(path: &Path) -> io::Result<bool> {
    let look = |path: &Path| match statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::MNT_ID) {
        Ok(found) => Ok(Some((found.stx_mnt_id, found.stx_dev_major, found.stx_dev_minor))),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(cause) => Err(io::Error::from(cause)),
    };
    let above = path.parent().unwrap_or(path);
    Ok(match (look(path)?, look(above)?) {
        (Some(found), Some(above)) => found != above,
        _ => false,
    })
}

/// Takes away what is mounted on a volume's folder.
pub(crate) fn unmount(data: &Path) -> Result<()> {
    let failed =
        |cause: io::Error| Error::failed(format_args!("unmount {}", data.display()), cause);
    while is_mounted(data).map_err(failed)? {
        let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
        umount(data, flags).map_err(|cause| failed(cause.into()))?;
    }
    Ok(())
}

/// Returns something that is mounted below a folder.
pub(crate) fn mounted_below(folder: &Path) -> Result<Option<String>> {
    let table = MountTable::read()?;
    let folder = std::fs::canonicalize(folder).unwrap_or_else(|_| folder.to_path_buf());
    let mut points = table.mounts().map(|mounted| mounted.point());
    let below = points.find(|point| point.starts_with(&folder) && *point != folder);
    Ok(below.map(|point| point.display().to_string()))
}

/// Notes that a container runs with its volumes from now on, and mounts those that have mounts of
/// their own. The caller holds the container's life lock.
///
/// # Errors
/// When one can't be mounted; what was noted before is for [`give_back`].
pub(crate) fn take(paths: &Paths, store: &mut Store, record: &Record) -> Result<()> {
    for point in points(&record.spec) {
        let mounted = point.mount;
        if mounted.kind != MountKind::Volume {
            continue;
        }
        let name = mounted.source.as_str();
        let _lock = lock(paths, name)?;
        let volume = store.volume(name)?;
        let attributes = [
            ("container", record.id.to_string()),
            ("destination", mounted.target.clone()),
            ("propagation", String::new()),
            ("read/write", (!mounted.read_only).to_string()),
        ];
        store.transaction(|transaction| {
            transaction.execute(
                "INSERT OR REPLACE INTO journal (kind, key, owner) VALUES (?1, ?2 || ':' || ?3, ?3)",
                [MOUNT, name, record.id.as_str()],
            )?;
            add_event(transaction, &event("mount", name, attributes))
        })?;
        if volume.is_mount() {
            mount(paths, &volume)?;
        }
        let data = paths.volume_data(name);
        if !data.is_dir() {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "the folder {} of volume {name} is gone: 'wharf system check --repair' makes an \
                     empty one",
                    data.display()
                ),
            ));
        }
    }
    Ok(())
}

/// Forgets that a container runs with its volumes, and unmounts those that no other runs with.
pub(crate) fn give_back(paths: &Paths, store: &mut Store, owner: &ContainerId) -> Result<()> {
    for (kind, key) in store.journalled_for(owner)? {
        if kind == MOUNT {
            release(paths, store, owner, &key)?;
        }
    }
    Ok(())
}

/// The same for one note.
pub(crate) fn release(
    paths: &Paths,
    store: &mut Store,
    owner: &ContainerId,
    key: &str,
) -> Result<()> {
    let name = key.split(':').next().unwrap_or(key);
    let held = lock(paths, name)?;
    let known = store.find_volume(name)?;
    if store.volume_runners(name)?.iter().all(|other| other == owner) {
        unmount(&paths.volume_data(name))?;
    }
    store.transaction(|transaction| {
        let sql = "DELETE FROM journal WHERE kind = ?1 AND key = ?2";
        let noted = transaction.execute(sql, [MOUNT, key])? > 0;
        if noted && known.is_some() {
            let attributes = [("container", owner.to_string())];
            add_event(transaction, &event("unmount", name, attributes))?;
        }
        Ok(())
    })?;
    if known.is_none() {
        crate::lock::forget(&paths.volume_locks(), name);
    }
    drop(held);
    Ok(())
}

/// Returns a volume with a mount of its own that isn't there now, since nobody uses it.
pub(crate) fn unmounted(paths: &Paths, store: &Store, name: &str) -> Result<Option<Volume>> {
    let data = paths.volume_data(name);
    let is_mounted = is_mounted(&data)
        .map_err(|cause| Error::failed(format_args!("look at {}", data.display()), cause))?;
    Ok(store.find_volume(name)?.filter(|volume| volume.is_mount() && !is_mounted))
}

/// Returns a container's mount with the host path of its volume in the place of the volume's name.
/// What is a folder of the host's by its volume's options is treated as one.
pub(crate) fn located(paths: &Paths, store: &Store, mut mount: Mount) -> Result<Mount> {
    if mount.kind != MountKind::Volume {
        return Ok(mount);
    }
    if store.find_volume(&mount.source)?.is_some_and(|volume| is_bind(&volume)) {
        mount.kind = MountKind::Bind;
    }
    mount.source = paths.volume_data(&mount.source).display().to_string();
    Ok(mount)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn options_are_checked_in_dockers_words() {
        check(&options(&[])).unwrap();
        check(&options(&[("type", "tmpfs"), ("device", "tmpfs"), ("o", "size=1m")])).unwrap();
        for (pairs, reason) in [
            (&[("foo", "bar")][..], "invalid option: \"foo\""),
            (&[("type", "tmpfs")], "missing required option: \"device\""),
            (&[("device", "x")], "missing required option: \"type\""),
            (&[("o", "size=1m")], "missing required option: \"device\""),
            (&[("size", "1m")], "quota size requested but no quota support"),
        ] {
            assert_eq!(check(&options(pairs)).unwrap_err().to_string(), reason);
        }
    }

    #[test]
    fn servers_names_become_addresses() {
        let data = |o: &str| {
            let pairs = [("type", "nfs"), ("device", ":/srv"), ("o", o)];
            let mut request = Request::new(&options(&pairs));
            request.resolve().map(|()| request.data)
        };
        assert_eq!(data("addr=192.0.2.1,nfsvers=4").unwrap(), ["addr=192.0.2.1", "nfsvers=4"]);
        assert_eq!(data("nfsvers=4,addr=localhost").unwrap()[0], "nfsvers=4");
        let named = data("addr=localhost").unwrap().remove(0);
        assert!(named == "addr=127.0.0.1" || named == "addr=::1", "{named}");
        assert!(data("addr=no-such-host.invalid").is_err());
    }

    #[test]
    fn words_are_flags_or_data() {
        let pairs = [("type", "none"), ("device", "/srv"), ("o", "rbind,ro,noexec,rslave,uid=5,x")];
        let request = Request::new(&options(&pairs));
        let binds = MountFlags::BIND | MountFlags::REC;
        assert_eq!(request.flags, binds | MountFlags::RDONLY | MountFlags::NOEXEC);
        assert_eq!(
            request.propagation,
            MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC
        );
        assert_eq!(request.data, ["uid=5", "x"]);
    }
}
