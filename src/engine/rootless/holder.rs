//! The process that keeps a user's namespace while somebody is in it.
//!
//! It waits for a lock that all who are inside share, gets it when the last of them has ended, and
//! ends too: nothing is polled, and nothing stays. Its own lock, held for life, says that it lives,
//! and the lock's file says its number.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use wharf_model::ErrorKind;
use wharf_sys::clone::{Child, Flags, clone};

use super::{MEMBERS, kernel, namespace_of};
use crate::lock;
use crate::userns::{IdMap, subid};
use crate::{Error, Result};

/// Held by the holder for as long as others may enter by it; its file has the holder's number.
const HOLDER: &str = "holder.lock";

/// Returns the namespace, with a new holder if there is none. The caller holds the entry lock and has
/// its share of the members' lock.
pub(super) fn namespace(folder: &Path) -> Result<File> {
    let failed = |cause| Error::failed(format_args!("lock {}", folder.display()), cause);
    if lock::is_held(folder, HOLDER).map_err(failed)? {
        let text = std::fs::read_to_string(folder.join(HOLDER)).map_err(failed)?;
        let pid = text.trim().parse().map_err(|_| {
            Error::failed(folder.join(HOLDER).display(), "it doesn't say who holds it")
        })?;
        return namespace_of(pid);
    }
    let maps = maps()?;
    let (child, go) = start(folder)?;
    let result = map(&child, &maps).and_then(|()| {
        let namespace = namespace_of(child.pid)?;
        go.release()?;
        Ok(namespace)
    });
    if result.is_err() {
        // It has nothing yet that would have to be given back.
        let _ = rustix::process::pidfd_send_signal(&child.pidfd, rustix::process::Signal::KILL);
        let _ = rustix::process::waitid(
            rustix::process::WaitId::PidFd(child.pidfd.as_fd()),
            rustix::process::WaitIdOptions::EXITED,
        );
    }
    result
}

/// The creator's side of a holder's start.
struct Go {
    to: OwnedFd,
    from: OwnedFd,
}

impl Go {
    /// Lets the holder begin, and waits until it holds its lock.
    fn release(self) -> Result<()> {
        let failed = |cause: io::Error| Error::failed("start the namespace's holder", cause);
        File::from(self.to).write_all(b"g").map_err(failed)?;
        match File::from(self.from).read_exact(&mut [0]) {
            Ok(()) => Ok(()),
            Err(cause) => Err(failed(cause)),
        }
    }
}

fn start(folder: &Path) -> Result<(Child, Go)> {
    let failed = |cause: rustix::io::Errno| Error::failed("make pipes", cause);
    let (wait, to) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
    let (from, ready) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
    let child = clone(Flags::USER, None, || {
        // The creator's ends, and the locks that this copy of it shares with it, go at once; both
        // pipes are used by nobody else here.
        let kept = [wait.as_fd(), ready.as_fd()];
        if wharf_sys::descriptors::close_all_but(&kept).is_err() {
            return 1;
        }
        match hold(folder, &wait, &ready) {
            Ok(()) => 0,
            // The creator sees the pipe close.
            Err(_) => 1,
        }
    })
    .map_err(|cause| kernel::refused("make a user namespace", cause, &kernel::read_setting))?;
    Ok((child, Go { to, from }))
}

/// What the holder does.
fn hold(folder: &Path, wait: &OwnedFd, ready: &OwnedFd) -> io::Result<()> {
    // Out of the creator's session: neither its signals nor its terminal's end are the holder's.
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(c"wharf-userns");
    let _ = wharf_sys::keys::new_session();
    if rustix::io::read(wait, &mut [0; 1])? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    rustix::process::chdir("/")?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    let own = lock::Lock::acquire(folder, HOLDER)?;
    std::fs::write(folder.join(HOLDER), rustix::process::getpid().as_raw_nonzero().to_string())?;
    let members = File::open(folder.join(MEMBERS))?;
    rustix::io::write(ready, b"r")?;
    let _ = wharf_sys::memory::trim();
    rustix::io::retry_on_intr(|| rustix::fs::flock(&members, FlockOperation::LockExclusive))?;
    // First this one: whoever gets a share of the other lock must see that nobody can enter here.
    drop(own);
    drop(members);
    Ok(())
}

/// The maps of users and groups; none of subordinate numbers when the user has no ranges.
struct Maps {
    users: IdMap,
    groups: IdMap,
    helpers: Option<[PathBuf; 2]>,
}

fn maps() -> Result<Maps> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let name = subid::host_user(&uid.to_string()).map(|user| user.name);
    let ranges = |file| subid::ranges(file, name.as_deref(), Some(uid));
    let (users, groups) = (ranges(subid::SUBUID)?, ranges(subid::SUBGID)?);
    if users.is_empty() || groups.is_empty() {
        let (users, groups) = (IdMap::stacked([(uid, 1)]), IdMap::stacked([(gid, 1)]));
        return Ok(Maps { users, groups, helpers: None });
    }
    Ok(Maps {
        users: IdMap::stacked(std::iter::once((uid, 1)).chain(users)),
        groups: IdMap::stacked(std::iter::once((gid, 1)).chain(groups)),
        helpers: Some([helper("newuidmap")?, helper("newgidmap")?]),
    })
}

/// Finds one of the set-user-id programs that write the maps of ordinary users.
fn helper(name: &str) -> Result<PathBuf> {
    let path = super::network::find_program(name).ok_or_else(|| {
        Error::new(
            ErrorKind::Denied,
            format!(
                "{name} is not installed: as root install the package uidmap (or shadow-utils)"
            ),
        )
    })?;
    let found = std::fs::metadata(&path)
        .map_err(|cause| Error::failed(format_args!("look at {}", path.display()), cause))?;
    let mut value = [0; 64];
    let capable = rustix::fs::getxattr(&path, "security.capability", &mut value).is_ok();
    if capable || found.uid() == 0 && found.permissions().mode() & 0o4000 != 0 {
        return Ok(path);
    }
    Err(Error::new(
        ErrorKind::Denied,
        format!("{path} may not write maps: as root: chmod u+s {path}", path = path.display()),
    ))
}

/// Writes the maps of a process's new namespace as an ordinary user may: the own numbers alone, or, by
/// the set-user-id programs, those that were handed down as well.
///
/// # Errors
/// When they aren't the user's, or a program is missing.
pub(crate) fn write_maps(child: &Child, users: IdMap, groups: IdMap) -> Result<()> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let is_own = |map: &IdMap, own: u32| matches!(map.0.as_slice(), [one] if one.outside == own && one.length == 1);
    let helpers = match is_own(&users, uid) && is_own(&groups, gid) {
        true => None,
        false => Some([helper("newuidmap")?, helper("newgidmap")?]),
    };
    map(child, &Maps { users, groups, helpers })
}

/// Writes the new namespace's maps.
fn map(child: &Child, maps: &Maps) -> Result<()> {
    let Some([newuidmap, newgidmap]) = &maps.helpers else {
        let write = |file: &str, text: &str| {
            std::fs::write(format!("/proc/{}/{file}", child.pid), text)
                .map_err(|cause| Error::failed(format_args!("write the {file}"), cause))
        };
        write("setgroups", "deny")?;
        write("uid_map", &maps.users.text())?;
        return write("gid_map", &maps.groups.text());
    };
    for (program, map, file) in
        [(newuidmap, &maps.users, subid::SUBUID), (newgidmap, &maps.groups, subid::SUBGID)]
    {
        let output = Command::new(program)
            .arg(child.pid.to_string())
            .args(map.words())
            .stdin(Stdio::null())
            .output()
            .map_err(|cause| Error::failed(format_args!("run {}", program.display()), cause))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Error::new(
                ErrorKind::Denied,
                format!(
                    "map the numbers of {file}: {}; if the file was changed, containers that still \
                     run have the old numbers",
                    said.trim().lines().next().unwrap_or("the helper failed")
                ),
            ));
        }
    }
    Ok(())
}
