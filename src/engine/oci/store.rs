//! What a runtime remembers of its containers: a folder each below its root.
//!
//! `state.json` says what the container is, `config.json` is the bundle's at its creation, `ctl.sock`
//! is where its first process waits for the start, and `lock` is held by whoever changes it. A folder
//! appears whole, by a rename, before anything of its container is made; so whatever there is of a
//! container, its folder knows. One that says "creating" while nobody holds its lock is left of a
//! runtime that was killed, and whoever meets it removes all of it.

use std::fmt;
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::RenameFlags;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};
use wharf_cgroup::{Group, Layout};
use wharf_model::ErrorKind;

use super::check;
use super::spec::Config;
use crate::channel::Channel;
use crate::lock::Lock;
use crate::{Error, Result};

const STATE: &str = "state.json";
const CONFIG: &str = "config.json";
const LOCK: &str = "lock";
const SOCKET: &str = "ctl.sock";
/// The mode of files that say what may be secret: environments.
const PRIVATE: u32 = 0o600;
/// How the names of folders begin that aren't containers yet, or no longer; an id can't contain the sign.
const STAGED: &str = "@";

/// How long the processes of a container may take to be gone once they are killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// How far a container has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Phase {
    Creating,
    Created,
    Started,
}

/// What is remembered of a container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) bundle: String,
    pub(super) rootfs: String,
    /// RFC 3339.
    pub(super) created: String,
    /// Its control group; nothing before there is one.
    pub(super) cgroup: String,
    pub(super) phase: Phase,
    /// Its first process, 0 before there is one.
    pub(super) pid: i32,
    /// When that was started, in the kernel's ticks: with the number it is that process.
    pub(super) start_time: u64,
    /// Whether the first process is the first of a PID namespace, with whose end all others end.
    pub(super) own_pids: bool,
    /// Who created it.
    pub(super) owner: u32,
}

/// The states of the specification, and `paused`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Its creation is under way.
    Creating,
    /// It waits for its start.
    Created,
    /// Its program runs.
    Running,
    /// Its processes stand still.
    Paused,
    /// Its first process has ended.
    Stopped,
}

impl Status {
    /// Returns the word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

/// How weighty a report is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// What is done, for who looks for a mistake.
    Debug,
    /// What went wrong without being a reason to stop.
    Warning,
}

/// Who is told what is done.
type Report = dyn Fn(Level, &str);

/// The containers of one root.
pub struct Runtime {
    root: PathBuf,
    report: Box<Report>,
}

/// A container that this process alone may change.
pub(super) struct Held {
    pub(super) folder: PathBuf,
    pub(super) record: Record,
    lock: Option<Lock>,
}

pub(super) fn missing(id: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("container {id:?} does not exist"))
}

impl Runtime {
    /// Returns that of this root, which needn't be there. What it does is reported as it happens.
    pub fn new(root: impl Into<PathBuf>, report: impl Fn(Level, &str) + 'static) -> Self {
        Self { root: root.into(), report: Box::new(report) }
    }

    pub(super) fn warn(&self, text: &str) {
        (self.report)(Level::Warning, text);
    }

    pub(super) fn debug(&self, text: fmt::Arguments<'_>) {
        (self.report)(Level::Debug, &text.to_string());
    }

    pub(super) fn folder(&self, id: &str) -> PathBuf {
        self.root.join(id)
    }

    /// Returns what is known of a container, whoever is at work on it.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn record(&self, id: &str) -> Result<Record> {
        check::id(id)?;
        let folder = self.folder(id);
        let record = read(&folder).ok_or_else(|| missing(id))?;
        if record.phase == Phase::Creating && sweep(&folder)? {
            return read(&folder).ok_or_else(|| missing(id));
        }
        Ok(record)
    }

    /// Returns a container for whoever changes it, once nobody else does.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn hold(&self, id: &str) -> Result<Held> {
        check::id(id)?;
        let folder = self.folder(id);
        let lock = Lock::acquire_existing(&folder, LOCK).map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound => missing(id),
            _ => failed("lock", &folder, cause),
        })?;
        match read(&folder) {
            Some(record) if record.phase != Phase::Creating => {
                Ok(Held { folder, record, lock: Some(lock) })
            }
            // Whoever was creating it is dead, or has removed it.
            found => {
                give_back(&folder, found.as_ref())?;
                Err(missing(id))
            }
        }
    }

    /// Makes the folder of a new container.
    ///
    /// # Errors
    /// When there is such a container.
    pub(super) fn add(&self, record: Record, config: &[u8]) -> Result<Held> {
        let id = record.id.clone();
        let folder = self.folder(&id);
        let staged = self.root.join(staged("coming", &id));
        let make = || -> io::Result<Lock> {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.root)?;
            let _ = std::fs::remove_dir_all(&staged);
            // So that whoever may not enter can't come by a hook's or a program's folder either.
            DirBuilder::new().mode(0o711).create(&staged)?;
            let lock = Lock::acquire(&staged, LOCK)?;
            write(&staged, CONFIG, config, PRIVATE)?;
            Ok(lock)
        };
        let lock = make().map_err(|cause| failed("make", &staged, cause))?;
        let mut held = Held { folder: staged, record, lock: Some(lock) };
        held.save()?;
        loop {
            let renamed = rustix::fs::renameat_with(
                rustix::fs::CWD,
                &held.folder,
                rustix::fs::CWD,
                &folder,
                RenameFlags::NOREPLACE,
            );
            match renamed {
                Ok(()) => {
                    held.folder = folder;
                    return Ok(held);
                }
                // Left of a creation that was killed?
                Err(rustix::io::Errno::EXIST) if sweep(&folder)? => {}
                Err(cause) => {
                    let _ = std::fs::remove_dir_all(&held.folder);
                    return Err(match cause {
                        rustix::io::Errno::EXIST => Error::new(
                            ErrorKind::Conflict,
                            format!("container with given ID already exists: {id}"),
                        ),
                        cause => failed("make", &folder, cause.into()),
                    });
                }
            }
        }
    }

    /// Returns the ids of all containers, after what killed runtimes have left was removed.
    ///
    /// # Errors
    /// When the root can't be read.
    pub(super) fn ids(&self) -> Result<Vec<String>> {
        let entries = match std::fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => return Err(failed("read", &self.root, cause)),
        };
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|cause| failed("read", &self.root, cause))?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if let Some(staged) = name.strip_prefix(STAGED) {
                let pid = staged.split('-').next().unwrap_or_default();
                if !Path::new("/proc").join(pid).exists() {
                    let _ = std::fs::remove_dir_all(entry.path());
                }
            } else if check::id(&name).is_ok() && entry.path().join(STATE).exists() {
                ids.push(name);
            }
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// Returns the configuration that a container was created from.
    ///
    /// # Errors
    /// When it can't be read.
    pub(super) fn config(&self, id: &str) -> Result<Config> {
        let path = self.folder(id).join(CONFIG);
        let text = std::fs::read(&path).map_err(|cause| failed("read", &path, cause))?;
        super::plan::parse(&text, &path.display().to_string())
    }

    /// Returns the state that a container is in.
    ///
    /// # Errors
    /// When its control group can't be asked.
    pub(super) fn status(&self, record: &Record) -> Result<Status> {
        if record.phase == Phase::Creating {
            return Ok(Status::Creating);
        }
        if process(record).is_none() {
            return Ok(Status::Stopped);
        }
        // Whether it still waits, it knows best: who has started it may have been killed since.
        let waits =
            record.phase == Phase::Created && Channel::connect(&self.folder(&record.id)).is_ok();
        if is_frozen(record)? {
            return Ok(Status::Paused);
        }
        Ok(if waits { Status::Created } else { Status::Running })
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("root", &self.root).finish_non_exhaustive()
    }
}

impl Held {
    /// Writes what is remembered.
    ///
    /// # Errors
    /// When the disk is full.
    pub(super) fn save(&mut self) -> Result<()> {
        let text = serde_json::to_vec(&self.record)
            .map_err(|cause| Error::failed("write a container's state", cause))?;
        write(&self.folder, STATE, &text, PRIVATE)
            .map_err(|cause| failed("write", &self.folder, cause))
    }

    /// Replaces the configuration that further programs and changes go by.
    ///
    /// # Errors
    /// When the disk is full.
    pub(super) fn save_config(&self, config: &Config) -> Result<()> {
        let text = serde_json::to_vec(config)
            .map_err(|cause| Error::failed("write a container's configuration", cause))?;
        write(&self.folder, CONFIG, &text, PRIVATE)
            .map_err(|cause| failed("write", &self.folder, cause))
    }

    /// Removes the socket that nobody listens at any more.
    pub(super) fn forget_socket(&self) {
        let _ = std::fs::remove_file(self.folder.join(SOCKET));
    }

    /// Ends all processes of the container, and gives back all that it has.
    ///
    /// # Errors
    /// When a process doesn't end, or something can't be removed; the container is then still there.
    pub(super) fn destroy(mut self) -> Result<()> {
        if let Some(process) = process(&self.record) {
            let _ = rustix::process::pidfd_send_signal(&process, rustix::process::Signal::KILL);
        }
        give_back(&self.folder, Some(&self.record))?;
        self.lock = None;
        Ok(())
    }
}

/// Returns the first process of a container, if it lives.
pub(super) fn process(record: &Record) -> Option<OwnedFd> {
    let pid = Pid::from_raw(record.pid)?;
    let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    // After it was opened: the number can't come to mean another process while it is looked at.
    match start_time(record.pid) {
        Some((started, lives)) if started == record.start_time && lives => Some(process),
        _ => None,
    }
}

/// Returns when a process was started, and whether it is more than what its parent has still to reap:
/// proc_pid_stat(5).
pub(super) fn start_time(pid: i32) -> Option<(u64, bool)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text[text.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?;
    Some((fields.nth(18)?.parse().ok()?, !matches!(state, "Z" | "X" | "x")))
}

/// Returns the control groups that there are.
///
/// # Errors
/// When there are none on this host.
pub(super) fn layout() -> Result<Layout> {
    Layout::detect().map_err(|cause| Error::failed("cgroups", cause))
}

/// Returns the control group of a container; none when it is gone, or was never made: nothing was
/// handed down to an ordinary user.
///
/// # Errors
/// When there are none on this host.
pub(super) fn group(record: &Record) -> Result<Option<Group>> {
    let layout = layout()?;
    if record.cgroup.is_empty() {
        return Ok(None);
    }
    match Group::open(&layout, &record.cgroup) {
        Ok(group) => Ok(Some(group)),
        Err(wharf_cgroup::Error::NotFound(_)) => Ok(None),
        Err(cause) => Err(Error::failed("open the container's cgroup", cause)),
    }
}

fn is_frozen(record: &Record) -> Result<bool> {
    let Some(found) = group(record)? else { return Ok(false) };
    match found.is_frozen() {
        // It has gone since.
        Err(_) if group(record)?.is_none() => Ok(false),
        found => found.map_err(|cause| Error::failed("look at the container's cgroup", cause)),
    }
}

/// Removes what a killed runtime has left of a creation; returns whether there is nothing any more.
fn sweep(folder: &Path) -> Result<bool> {
    let _lock = match Lock::try_acquire_existing(folder, LOCK) {
        Ok(Some(lock)) => lock,
        Ok(None) => return Ok(false),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(!folder.exists()),
        Err(cause) => return Err(failed("lock", folder, cause)),
    };
    match read(folder) {
        Some(record) if record.phase != Phase::Creating => Ok(false),
        found => give_back(folder, found.as_ref()).map(|()| true),
    }
}

/// Ends what is left of a container's processes and removes its control group and its folder. The
/// caller holds its lock.
fn give_back(folder: &Path, record: Option<&Record>) -> Result<()> {
    if let Some(record) = record
        && let Some(group) = group(record)?
    {
        let about =
            |cause| Error::failed(format_args!("end the processes of {}", record.id), cause);
        group.kill().map_err(about)?;
        // Killed while it is frozen, a process of a version 1 group waits for the thaw.
        if group.is_frozen().unwrap_or(false) {
            group.thaw().map_err(about)?;
        }
        if !group.wait_empty(PATIENCE).map_err(about)? {
            let text = format!("container {} did not stop: processes of it don't end", record.id);
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        group.delete().map_err(about)?;
    }
    // At once, so that whoever waits for its lock, or takes the id, meets all of it or nothing.
    let own = folder.file_name().unwrap_or_default().to_string_lossy();
    let going = folder.with_file_name(staged("going", &own));
    let _ = std::fs::remove_dir_all(&going);
    match std::fs::rename(folder, &going).and_then(|()| std::fs::remove_dir_all(&going)) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
            Err(failed("remove", folder, cause))
        }
        _ => Ok(()),
    }
}

/// Returns the name of a folder of this process's that is no container's: not yet, or no longer.
fn staged(what: &str, id: &str) -> String {
    let name = format!("{STAGED}{}-{what}-{id}", std::process::id());
    name[..name.floor_char_boundary(200)].to_owned()
}

/// Waits until a process has ended.
pub(super) fn wait_for_end(process: &OwnedFd, time: Duration) -> bool {
    let timeout = Timespec::try_from(time).ok();
    let mut fds = [PollFd::new(process, PollFlags::IN)];
    rustix::io::retry_on_intr(|| poll(&mut fds, timeout.as_ref())).is_ok_and(|count| count > 0)
}

fn read(folder: &Path) -> Option<Record> {
    serde_json::from_slice(&std::fs::read(folder.join(STATE)).ok()?).ok()
}

/// Writes a file whole or not at all.
pub(super) fn write(folder: &Path, name: &str, text: &[u8], mode: u32) -> io::Result<()> {
    let new = folder.join(format!(".{name}.new"));
    std::fs::write(&new, text)?;
    std::fs::set_permissions(&new, Permissions::from_mode(mode))?;
    std::fs::rename(&new, folder.join(name))
}

fn failed(what: &str, path: &Path, cause: io::Error) -> Error {
    Error::failed(format_args!("{what} {}", path.display()), cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, phase: Phase) -> Record {
        Record {
            id: id.to_owned(),
            bundle: String::new(),
            rootfs: String::new(),
            created: String::new(),
            cgroup: "wharf-oci-test/none".to_owned(),
            phase,
            pid: 0,
            start_time: 0,
            own_pids: true,
            owner: 0,
        }
    }

    #[test]
    fn an_id_is_one_container_s_until_it_is_removed() {
        let base = tempfile::tempdir().unwrap();
        let runtime = Runtime::new(base.path().join("root"), |_, _| {});
        assert!(runtime.ids().unwrap().is_empty());
        let held = runtime.add(record("a", Phase::Created), b"{}").unwrap();
        assert_eq!(runtime.ids().unwrap(), ["a"]);
        let again = runtime.add(record("a", Phase::Created), b"{}").err().unwrap();
        assert_eq!(again.to_string(), "container with given ID already exists: a");
        assert_eq!(runtime.status(&held.record).unwrap(), Status::Stopped);
        held.destroy().unwrap();
        assert!(runtime.record("a").is_err() && runtime.hold("a").is_err());
        assert_eq!(std::fs::read_dir(base.path().join("root")).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_creation_leaves_is_removed_by_whoever_meets_it() {
        let base = tempfile::tempdir().unwrap();
        let runtime = Runtime::new(base.path(), |_, _| {});
        let held = runtime.add(record("a", Phase::Creating), b"{}").unwrap();
        // While it is held, its creation is under way.
        assert_eq!(runtime.record("a").unwrap().phase, Phase::Creating);
        drop(held);
        assert_eq!(runtime.record("a").unwrap_err().kind(), ErrorKind::NotFound);
        drop(runtime.add(record("a", Phase::Creating), b"{}").unwrap());
        drop(runtime.add(record("a", Phase::Creating), b"{}").unwrap());
        // Of one that was killed before its folder was whole.
        std::fs::create_dir(base.path().join("@999999999-b")).unwrap();
        assert_eq!(runtime.ids().unwrap(), ["a"]);
        assert!(!base.path().join("@999999999-b").exists());
    }

    #[test]
    fn a_process_is_known_by_when_it_was_started() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let (start_time, lives) = start_time(pid).unwrap();
        assert!(lives);
        let own = Record { pid, start_time, ..record("a", Phase::Started) };
        assert!(process(&own).is_some());
        assert!(process(&Record { start_time: start_time + 1, ..own }).is_none());
    }
}
