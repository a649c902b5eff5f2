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

use wharf_sys::process::Scheduling;

use super::rootfs::Root;
use super::user::Identity;
use crate::security::capabilities::Grant;
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
    pub(crate) identity: Identity,
    pub(crate) grant: Grant,
    pub(crate) no_new_privileges: bool,
    /// Its resource limits, where they aren't the host's.
    pub(crate) ulimits: Vec<Ulimit>,
    /// How readily the kernel kills it for want of memory.
    pub(crate) oom_score_adj: Option<i32>,
    /// The system call filter.
    pub(crate) seccomp: SeccompMode,
    /// The AppArmor profile.
    pub(crate) apparmor: Option<String>,
    /// This program's own file, when it is to stay as the container's small init.
    pub(crate) init: Option<std::sync::Arc<OwnedFd>>,
    pub(crate) manners: Manners,
    /// Whether it ends with the process that has started it.
    pub(crate) tied: bool,
}

/// Settings of a program that docker has no flags for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manners {
    pub(crate) umask: Option<u32>,
    /// Class and level, as [`wharf_sys::process::set_io_priority`] has them.
    pub(crate) io_priority: Option<(u8, u8)>,
    pub(crate) scheduling: Option<Scheduling>,
    /// Its execution domain.
    pub(crate) personality: Option<u32>,
}

/// What happens between the steps of [`become_program`].
pub(crate) trait Stages {
    /// All that can be looked up is looked up, and the process still has all its rights.
    ///
    /// # Errors
    /// When it must not go on.
    fn looked_up(&mut self) -> Result<()> {
        Ok(())
    }

    /// Somebody may answer the calls that the filter leaves to others, by this descriptor.
    ///
    /// # Errors
    /// When nobody can be told.
    fn listens(&mut self, _listener: OwnedFd) -> Result<()> {
        Ok(())
    }

    /// Whether there can be such a somebody.
    fn may_notify(&self) -> bool {
        false
    }

    /// The process is as the program will be, and only the execution is left.
    ///
    /// # Errors
    /// When it must not go on.
    fn ready(&mut self) -> Result<()> {
        Ok(())
    }
}

/// One step after the other.
pub(crate) struct AtOnce;

impl Stages for AtOnce {}

/// The hidden mode of the small init.
pub(crate) const INIT_MODE: &str = "__pid1";

/// Where programs are looked for when the environment has no PATH: docker's.
pub(crate) const DEFAULT_PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Becomes the program. Must be called inside the container's root filesystem, with standard input,
/// output and error output in place. Every other descriptor is closed by the execution. Returns
/// only on failure.
pub(crate) fn become_program(program: &Program, stages: &mut dyn Stages) -> Error {
    match prepare(program, stages) {
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

/// The error of a working directory that can't be entered.
pub(super) fn no_working_dir(folder: &str, cause: Errno) -> Error {
    let text = format!("chdir to cwd ({folder:?}) set in config.json failed: {cause}");
    Error::new(ErrorKind::CommandNotExecutable, text)
}

type Execution = (CString, Vec<CString>, Vec<CString>);

fn prepare(program: &Program, stages: &mut dyn Stages) -> Result<Execution> {
    let root = Root::open(Path::new("/")).map_err(|c| Error::failed("open /", c))?;
    let user = program.identity.resolve(&root)?;
    if matches!(program.identity, Identity::Named { .. }) {
        check_mapped(user.uid, &user.groups, user.gid)?;
    }
    // Compiled while there is still every right, and without the memory of the supervisor.
    let filter = seccomp::filter_of(&program.seccomp, program.grant.bounding, stages.may_notify())?;
    if let Some(profile) = &program.apparmor {
        apparmor::on_execution(&root, profile)?;
    }
    stages.looked_up()?;
    let failed = |what: &'static str| move |cause: std::io::Error| Error::failed(what, cause);
    program.manners.apply()?;
    let kept = program.grant.bound().map_err(failed("drop capabilities"))?;
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
        let failed = failed("install the seccomp filter");
        if filter.notifies {
            let listener = wharf_sys::seccomp::install_with_listener(&filter.program, filter.flags);
            stages.listens(listener.map_err(failed)?)?;
        } else {
            wharf_sys::seccomp::install(&filter.program, filter.flags).map_err(failed)?;
        }
    }
    if kept.whoever {
        rustix::thread::set_keep_capabilities(true)
            .map_err(|cause| Error::failed("keep capabilities", cause))?;
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    nix::unistd::setresgid(gid, gid, gid).map_err(from_errno("set the group"))?;
    // With another user than root the kernel takes all but the inheritable set away, as docker has
    // it, and what the engine's caller had inheritable is not the container's.
    nix::unistd::setresuid(uid, uid, uid).map_err(from_errno("set the user"))?;
    kept.apply(uid.is_root()).map_err(failed("set capabilities"))?;
    if program.tied {
        // Again: the change of user has reset it.
        tie()?;
    }
    rustix::process::chdir(program.working_dir.as_str())
        .map_err(|cause| no_working_dir(&program.working_dir, cause))?;
    let mut environment = program.environment.clone();
    if !environment.iter().any(|entry| entry.starts_with("HOME=")) {
        environment.push(format!("HOME={}", user.home));
    }
    stages.ready()?;
    let path = program.file()?;
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

impl Program {
    /// Returns the file of its command, as this process finds it here and now.
    ///
    /// # Errors
    /// When there is none, or it can't be executed.
    pub(crate) fn file(&self) -> Result<PathBuf> {
        let name = self.arguments.first().map_or("", String::as_str);
        let search = self.environment.iter().rev().find_map(|entry| entry.strip_prefix("PATH="));
        find(name, search.unwrap_or(DEFAULT_PATH))
    }
}

impl Manners {
    /// Gives them to this process, which still may.
    fn apply(&self) -> Result<()> {
        use wharf_sys::process;
        if let Some(umask) = self.umask {
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
        }
        if let Some((class, level)) = self.io_priority {
            process::set_io_priority(class, level)
                .map_err(|cause| Error::failed("set ioPriority", cause))?;
        }
        if let Some(wanted) = self.scheduling {
            process::set_scheduling(wanted)
                .map_err(|cause| Error::failed("set scheduler", cause))?;
        }
        if let Some(domain) = self.personality {
            process::set_personality(domain)
                .map_err(|cause| Error::failed("set personality", cause))?;
        }
        Ok(())
    }
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
