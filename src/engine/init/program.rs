//! The last steps of a process before it becomes the user's program: who it is, what it may do,
//! where it stands, and which file it executes.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};
use rustix::fs::{Access, AtFlags, CWD, FileType};
use rustix::io::Errno;
use rustix::process::Signal;
use wharf_model::{ErrorKind, SeccompMode, Ulimit};

use super::rootfs::Root;
use super::user;
use crate::security::capabilities::{self, CapSet};
use crate::security::{apparmor, seccomp};
use crate::{Error, Result, userns};

/// A program to become.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// It and its arguments.
    pub(crate) arguments: Vec<String>,
    /// Its environment, `NAME=value`, without HOME unless the user set it.
    pub(crate) environment: Vec<String>,
    pub(crate) working_dir: String,
    /// `user[:group]`, or empty for root.
    pub(crate) user: String,
    pub(crate) capabilities: CapSet,
    pub(crate) no_new_privileges: bool,
    /// Its resource limits, where they aren't the host's.
    pub(crate) ulimits: Vec<Ulimit>,
    /// How readily the kernel kills it for want of memory.
    pub(crate) oom_score_adj: Option<i32>,
    /// The system call filter.
    pub(crate) seccomp: SeccompMode,
    /// Further groups: names or numbers.
    pub(crate) groups: Vec<String>,
    /// The AppArmor profile.
    pub(crate) apparmor: Option<String>,
    /// This program's own file, when it is to stay as the container's small init.
    pub(crate) init: Option<std::sync::Arc<OwnedFd>>,
}

/// The hidden mode of the small init.
pub(crate) const INIT_MODE: &str = "__pid1";

/// Where programs are looked for when the environment has no PATH: docker's.
pub(crate) const DEFAULT_PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Becomes the program. Must be called inside the container's root filesystem, with standard input,
/// output and error output in place. Every other descriptor is closed by the execution. Returns
/// only on failure.
pub(crate) fn become_program(program: &Program) -> Error {
    match prepare(program) {
        Err(error) => error,
        Ok((path, arguments, environment)) => {
            let result = match &program.init {
                Some(init) => nix::unistd::fexecve(init.as_fd(), &arguments, &environment),
                None => nix::unistd::execve(&path, &arguments, &environment),
            };
            let errno = match result {
                Ok(never) => match never {},
                Err(errno) => errno,
            };
            let name = &program.arguments[0];
            match errno {
                nix::Error::ENOENT | nix::Error::ENOTDIR => Error::new(
                    ErrorKind::CommandNotFound,
                    format!("exec {name}: no such file or directory"),
                ),
                _ => Error::new(
                    ErrorKind::CommandNotExecutable,
                    format!("exec {name}: {}", errno.desc().to_lowercase()),
                ),
            }
        }
    }
}

/// Makes this process end with its supervisor.
pub(crate) fn tie() -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|cause| Error::failed("tie to the supervisor", cause))
}

type Execution = (CString, Vec<CString>, Vec<CString>);

fn prepare(program: &Program) -> Result<Execution> {
    let root = Root::open(Path::new("/")).map_err(|c| Error::failed("open /", c))?;
    let user = user::resolve(&root, &program.user, &program.groups)?;
    check_mapped(user.uid, &user.groups, user.gid)?;
    // Compiled while there is still every right, and without the memory of the supervisor.
    let filter = seccomp::filter(&program.seccomp, program.capabilities)?;
    if let Some(profile) = &program.apparmor {
        apparmor::on_execution(&root, profile)?;
    }
    let failed = |what: &'static str| move |cause: std::io::Error| Error::failed(what, cause);
    let kept = capabilities::bound(program.capabilities).map_err(failed("drop capabilities"))?;
    // While there is still the right to raise them, and after the last file was opened.
    super::limits::apply(&program.ulimits)?;
    let groups: Vec<Gid> = user.groups.iter().copied().map(Gid::from_raw).collect();
    let from_errno = |what: &'static str| move |errno: nix::Error| Error::failed(what, errno);
    // Where a single user is mapped, nobody may change them.
    if !userns::is_nested() || userns::may_set_groups() {
        nix::unistd::setgroups(&groups).map_err(from_errno("set supplementary groups"))?;
    }
    if program.no_new_privileges {
        rustix::thread::set_no_new_privs(true).map_err(|c| Error::failed("set no_new_privs", c))?;
    }
    // Before the change of user and the loss of CAP_SYS_ADMIN, without which the kernel wants
    // no_new_privs; the calls that are still to come are all in the filter.
    if let Some(filter) = filter {
        wharf_sys::seccomp::install(&filter.program, filter.flags)
            .map_err(failed("install the seccomp filter"))?;
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    nix::unistd::setresgid(gid, gid, gid).map_err(from_errno("set the group"))?;
    // With another user than root the kernel takes all but the inheritable set away, as docker has
    // it, and what the engine's caller had inheritable is not the container's.
    nix::unistd::setresuid(uid, uid, uid).map_err(from_errno("set the user"))?;
    let kept = if uid.is_root() { kept } else { CapSet::NONE };
    capabilities::apply(kept).map_err(failed("set capabilities"))?;
    // Again: the change of user has reset it.
    tie()?;
    rustix::process::chdir(program.working_dir.as_str()).map_err(|cause| {
        Error::new(
            ErrorKind::CommandNotExecutable,
            format!("chdir to cwd ({:?}) set in config.json failed: {cause}", program.working_dir),
        )
    })?;
    let mut environment = program.environment.clone();
    if !environment.iter().any(|entry| entry.starts_with("HOME=")) {
        environment.push(format!("HOME={}", user.home));
    }
    let name = program.arguments.first().map_or("", String::as_str);
    let search = environment
        .iter()
        .rev()
        .find_map(|entry| entry.strip_prefix("PATH="))
        .unwrap_or(DEFAULT_PATH);
    let path = find(name, search)?;
    let text = |s: &str| {
        CString::new(s)
            .map_err(|_| Error::new(ErrorKind::Invalid, format!("{s:?} holds a NUL byte")))
    };
    let path_text = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Error::new(ErrorKind::Invalid, "the command holds a NUL byte"))?;
    let mut arguments = Vec::with_capacity(program.arguments.len() + 3);
    if program.init.is_some() {
        arguments.extend([text("wharf")?, text(INIT_MODE)?, path_text.clone()]);
    }
    for argument in &program.arguments {
        arguments.push(text(argument)?);
    }
    let environment = environment.iter().map(|e| text(e)).collect::<Result<_>>()?;
    Ok((path_text, arguments, environment))
}

/// Refuses a user or group that this user namespace doesn't have.
fn check_mapped(uid: u32, groups: &[u32], gid: u32) -> Result<()> {
    if !userns::is_nested() {
        return Ok(());
    }
    let (users, all_groups) = userns::mapped();
    let greatest = groups.iter().copied().fold(gid, u32::max);
    if uid < users && greatest < all_groups {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Invalid,
        format!(
            "user {uid}:{greatest} is not mapped in the container's user namespace, which has \
             {users} users and {all_groups} groups: see /etc/subuid and /etc/subgid"
        ),
    ))
}

/// Finds the file of a command as a shell does.
fn find(name: &str, search: &str) -> Result<PathBuf> {
    let not_found = |text: String| Error::new(ErrorKind::CommandNotFound, text);
    let denied = |path: &Path| {
        Error::new(
            ErrorKind::CommandNotExecutable,
            format!("exec: {:?}: permission denied", path.display().to_string()),
        )
    };
    if name.is_empty() {
        return Err(not_found("exec: \"\": executable file not found in $PATH".into()));
    }
    if name.contains('/') {
        let path = PathBuf::from(name);
        return match executable(&path) {
            Ok(true) => Ok(path),
            Ok(false) => Err(denied(&path)),
            Err(_) => {
                Err(not_found(format!("exec: {name:?}: stat {name}: no such file or directory")))
            }
        };
    }
    let mut refused = None;
    for folder in search.split(':') {
        let folder = if folder.is_empty() { "." } else { folder };
        let path = Path::new(folder).join(OsStr::new(name));
        match executable(&path) {
            Ok(true) => return Ok(path),
            Ok(false) => refused = Some(path),
            Err(_) => {}
        }
    }
    match refused {
        Some(path) => Err(denied(&path)),
        None => Err(not_found(format!("exec: {name:?}: executable file not found in $PATH"))),
    }
}

/// Returns whether this is a file that may be executed.
fn executable(path: &Path) -> std::result::Result<bool, Errno> {
    let found = rustix::fs::stat(path)?;
    let is_file = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
    Ok(is_file && rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn commands_are_found_as_a_shell_does() {
        let folder = tempfile::tempdir().unwrap();
        let search = format!("/nonexistent:{}", folder.path().display());
        for (name, mode) in [("good", 0o755), ("plain", 0o644)] {
            let path = folder.path().join(name);
            std::fs::write(&path, "").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        std::fs::create_dir(folder.path().join("folder")).unwrap();
        assert_eq!(find("good", &search).unwrap(), folder.path().join("good"));
        let kind = |name: &str| find(name, &search).unwrap_err().kind();
        assert_eq!(kind("plain"), ErrorKind::CommandNotExecutable);
        assert_eq!(kind("folder"), ErrorKind::CommandNotExecutable);
        assert_eq!(kind("missing"), ErrorKind::CommandNotFound);
        assert_eq!(kind("/missing"), ErrorKind::CommandNotFound);
        assert_eq!(kind(""), ErrorKind::CommandNotFound);
    }
}
