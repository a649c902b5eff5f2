//! An ordinary user's engine.
//!
//! Every command of the user enters one user namespace, in which the user is root and the numbers of
//! `/etc/subuid` and `/etc/subgid` are the others; from there on the engine is the same as root's.
//! Before anything else it enters ([`enter`]): the namespace is kept by a small process, the
//! [`holder`], that ends with the last command or supervisor that is in it. Each command then takes a
//! mount namespace of its own, which needs no privilege there and keeps its working folder.
//!
//! What can't be had in such a namespace is decided where it is needed, by [`crate::userns`]: device
//! nodes are bound from the host, overlays keep their attributes below `user.`, cgroups are those
//! that were handed down to the user, and the network is that of a helper ([`network`]).

mod holder;
mod kernel;
pub(crate) mod network;

pub(crate) use holder::write_maps;

use std::fs::{DirBuilder, File};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, setns, unshare};
use wharf_model::ErrorKind;

use crate::lock::Lock;
use crate::{Error, Paths, Result, userns};

/// The folder of the namespace's locks, in the run folder.
const FOLDER: &str = "userns";
/// Held for the instant of entering.
const ENTRY: &str = "enter.lock";
/// Shared by all that are in the namespace.
const MEMBERS: &str = "members.lock";

/// What the user should know of the namespace.
pub const SINGLE_USER: &str = "only one user and group are mapped: files of images that belong to \
    others belong to root, and containers can't change to another user; to have more, add a range to \
    /etc/subuid and /etc/subgid as root: usermod --add-subuids 100000-165535 --add-subgids \
    100000-165535 USER";

/// Enters the user namespace of this user's engine, which is made if it isn't there. Root stays where
/// it is. To be called before the process has a second thread.
///
/// # Errors
/// When this host lets the user make no user namespace, or the folders can't be made; says the way
/// out.
pub fn enter(paths: &Paths) -> Result<()> {
    if rustix::process::geteuid().is_root() {
        return Ok(());
    }
    make_private(paths.run())?;
    let folder = paths.run().join(FOLDER);
    let failed = |cause| Error::failed(format_args!("lock {}", folder.display()), cause);
    let entry = Lock::acquire(&folder, ENTRY).map_err(failed)?;
    // For as long as this process lives.
    std::mem::forget(Lock::share(&folder, MEMBERS).map_err(failed)?);
    let namespace = holder::namespace(&folder)?;
    setns(namespace.as_fd(), CloneFlags::CLONE_NEWUSER)
        .map_err(|cause| Error::failed("enter the user namespace", cause))?;
    drop(entry);
    // Mounts of the host appear in it, and what is mounted in it doesn't appear on the host.
    unshare(CloneFlags::CLONE_NEWNS).map_err(|cause| {
        kernel::refused("make a mount namespace", cause.into(), &kernel::read_setting)
    })
}

/// Keeps the user namespace for as long as this supervisor lives. Does nothing for root's engine.
pub(crate) fn stay(paths: &Paths) -> Result<()> {
    let folder = paths.run().join(FOLDER);
    if userns::is_nested() && folder.join(MEMBERS).exists() {
        let lock = Lock::share(&folder, MEMBERS)
            .map_err(|cause| Error::failed(format_args!("lock {}", folder.display()), cause))?;
        std::mem::forget(lock);
    }
    Ok(())
}

/// Returns whether this is an ordinary user's engine.
pub fn is_rootless() -> bool {
    userns::is_nested() && !userns::owns_network()
}

/// Returns what this user's engine can't do for want of mapped numbers, if so.
pub fn note() -> Option<&'static str> {
    (is_rootless() && userns::mapped().0 <= 1).then_some(SINGLE_USER)
}

/// Returns the folders of an ordinary user's engine: `$XDG_DATA_HOME/wharf` and
/// `$XDG_RUNTIME_DIR/wharf`, or what stands for them where the variables aren't set
/// (XDG Base Directory Specification). `variable` returns those of the user's environment.
///
/// # Errors
/// When the user has no home folder.
pub fn folders(variable: &dyn Fn(&str) -> Option<String>) -> Result<Paths> {
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
    let data = data.ok_or_else(|| {
        Error::new(ErrorKind::Invalid, "HOME is not set: name a folder with --root or WHARF_ROOT")
    })?;
    let uid = rustix::process::geteuid().as_raw();
    let login = PathBuf::from(format!("/run/user/{uid}"));
    let run = absolute("XDG_RUNTIME_DIR")
        .into_iter()
        .chain([login])
        .find(|folder| is_own(folder, uid))
        // Without a session there is no such folder; one of the user's own below /tmp is as private.
        .map_or_else(|| PathBuf::from(format!("/tmp/wharf-run-{uid}")), |run| run.join("wharf"));
    Ok(Paths::new(data.join("wharf"), run))
}

fn is_own(folder: &Path, uid: u32) -> bool {
    std::fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir() && found.uid() == uid)
}

/// Makes the run folder, and refuses one that somebody else has made in its place.
fn make_private(folder: &Path) -> Result<()> {
    let failed = |cause| Error::failed(format_args!("make {}", folder.display()), cause);
    if let Some(parent) = folder.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(failed)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(cause) if cause.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(failed(cause));
        }
        _ => {}
    }
    let found = std::fs::symlink_metadata(folder).map_err(failed)?;
    let own = found.is_dir() && found.uid() == rustix::process::geteuid().as_raw();
    if own && found.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Denied,
        format!(
            "{} is not a folder that only this user can write: remove it, or set XDG_RUNTIME_DIR",
            folder.display()
        ),
    ))
}

/// Opens the user namespace of a process.
fn namespace_of(pid: i32) -> Result<File> {
    File::open(format!("/proc/{pid}/ns/user"))
        .map_err(|cause| Error::failed("open the user namespace", cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_follow_the_variables() {
        let run = tempfile::tempdir().unwrap();
        let run_text = run.path().to_str().unwrap().to_owned();
        let of = |data: Option<&str>, home: Option<&str>, runtime: Option<&str>| {
            let variable = |name: &str| {
                let value = match name {
                    "XDG_DATA_HOME" => data,
                    "HOME" => home,
                    "XDG_RUNTIME_DIR" => runtime,
                    _ => None,
                };
                value.map(str::to_owned)
            };
            folders(&variable)
        };
        let paths = of(Some("/data"), Some("/home/ann"), Some(&run_text)).unwrap();
        assert_eq!(paths, Paths::new("/data/wharf", run.path().join("wharf")));
        let paths = of(None, Some("/home/ann"), Some("relative")).unwrap();
        assert_eq!(paths.root(), Path::new("/home/ann/.local/share/wharf"));
        assert!(paths.run().ends_with("wharf") || paths.run().starts_with("/tmp"));
        assert!(of(None, None, None).unwrap_err().to_string().contains("--root"));
    }

    #[test]
    fn a_run_folder_that_others_can_write_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("run");
        make_private(&folder).unwrap();
        make_private(&folder).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(make_private(&folder).is_err());
        std::fs::remove_dir(&folder).unwrap();
        std::os::unix::fs::symlink("/tmp", &folder).unwrap();
        assert!(make_private(&folder).is_err());
    }
}
