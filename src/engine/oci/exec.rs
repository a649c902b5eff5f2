//! `exec`: a further program in a container, by the two clones of the engine's own
//! ([`crate::supervisor`]).

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::thread::CpuSet;
use wharf_cgroup::{Gate, Group};
use wharf_model::{ErrorKind, TermSize};
use wharf_sys::clone::{Child, Flags, clone};

use super::create::{announced, check_console, heard, write_pid};
use super::life::{catch_signals, follow_execution, no_group, not_running, wait};
use super::spec::{Process, User};
use super::store::{Record, Runtime, Status, group, layout, process as first_process};
use super::{check, console, plan, process};
use crate::channel::Channel;
use crate::init::bundle::preserve;
use crate::init::program::{Program, Stages, become_program};
use crate::init::rootfs::Root;
use crate::init::{fresh_signals, terminal};
use crate::supervisor::{abort, join, other_spaces, reap};
use crate::userns::remap;
use crate::{Error, Result};

/// What is run, and how.
#[derive(Clone, Debug, Default)]
pub struct ExecOptions {
    /// The container.
    pub id: String,
    /// A file with a `process` document; nothing is the container's own process with what follows.
    pub process: Option<PathBuf>,
    /// The program and its arguments.
    pub args: Vec<String>,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Where it begins.
    pub cwd: Option<String>,
    /// Further environment.
    pub env: Vec<String>,
    /// `UID[:GID]`.
    pub user: Option<String>,
    /// Further groups.
    pub additional_gids: Vec<u32>,
    /// Further capabilities.
    pub capabilities: Vec<String>,
    /// Whether an execution can give it no rights.
    pub no_new_privileges: bool,
    /// The AppArmor profile.
    pub apparmor: Option<String>,
    /// Whether nobody waits for its end.
    pub detach: bool,
    /// Where its terminal's master is sent.
    pub console_socket: Option<PathBuf>,
    /// Where its number is written.
    pub pid_file: Option<PathBuf>,
    /// How many descriptors from 3 on it inherits.
    pub preserve_fds: u16,
    /// Whether a paused container takes it, too.
    pub ignore_paused: bool,
    /// A control group below the container's that it runs in.
    pub cgroup: Option<String>,
}

impl Runtime {
    /// Runs a further program in a container, and unless it is detached waits for its end and returns
    /// its exit code. To be called by a process with one thread, at its beginning.
    ///
    /// # Errors
    /// When the container doesn't run, or the program can't be executed.
    pub fn exec(&self, options: &ExecOptions) -> Result<i32> {
        let preserved = process::take_preserved(options.preserve_fds)?;
        let record = self.record(&options.id)?;
        match self.status(&record)? {
            Status::Running | Status::Created => {}
            Status::Paused if options.ignore_paused => {}
            Status::Paused => {
                let text = "cannot exec in a paused container (use --ignore-paused to override)";
                return Err(Error::new(ErrorKind::Conflict, text));
            }
            Status::Stopped | Status::Creating => return Err(not_running()),
        }
        let config = self.config(&options.id)?;
        let wanted = wanted(options, config.process.clone().unwrap_or_default())?;
        check::process(&wanted)?;
        check_console(wanted.terminal, options.console_socket.is_some(), !options.detach)?;
        let program = process::program(&wanted, &config.linux)?;
        let size = match process::terminal(&wanted) {
            Some(None) if options.console_socket.is_none() => Some(console::own_size()),
            size => size,
        };
        let may_notify = process::listener(&config.linux).is_some();
        let signals = if options.detach { None } else { Some(catch_signals()?) };
        process::unknown_capabilities(&wanted).for_each(|name| {
            self.warn(&format!("process.capabilities: there is no {name}: left out"));
        });
        let init = first_process(&record).ok_or_else(not_running)?;
        let (gates, folder) = ways_in(&record, options.cgroup.as_deref())?;
        let affinity = &wanted.exec_cpu_affinity;
        let further = Further {
            program: &program,
            size,
            preserved: &preserved,
            may_notify,
            before: process::affinity(&affinity.initial)?,
            after: process::affinity(&affinity.after)?,
        };
        let (child, channel) = begin(&init, record.pid, &gates, folder.as_ref(), &further)
            .map_err(|error| match first_process(&record) {
                Some(_) => error,
                // Killed meanwhile.
                None => not_running(),
            })?;
        self.debug(format_args!("process {} in the container's namespaces", child.pid));
        let told = || {
            let mut master = None;
            if size.is_some() {
                let terminal = heard(&channel)?.into_iter().next();
                let terminal = terminal.ok_or_else(|| Error::failed("exec", "no terminal came"))?;
                match options.console_socket.as_deref() {
                    Some(path) => console::send(path, terminal.as_fd(), b"/dev/ptmx")?,
                    None => master = Some(terminal),
                }
            }
            follow_execution(&channel, &record, &config)?;
            self.debug(format_args!("its program is executed"));
            if let Some(path) = &options.pid_file {
                write_pid(path, child.pid)?;
            }
            Ok(master)
        };
        let master = told().map_err(|error| abort(&child, error))?;
        match signals {
            None => Ok(0),
            Some(signals) => wait(&child, master.as_ref(), &signals),
        }
    }
}

/// Returns the process that is asked for.
fn wanted(options: &ExecOptions, own: Process) -> Result<Process> {
    if let Some(path) = &options.process {
        let text = std::fs::read(path)
            .map_err(|cause| Error::failed(format_args!("open {}", path.display()), cause))?;
        let mut process: Process = plan::parse(&text, &path.display().to_string())?;
        process.terminal |= options.tty;
        return Ok(process);
    }
    let mut process = own;
    process.args.clone_from(&options.args);
    process.terminal = options.tty;
    process.console_size = None;
    process.env.extend(options.env.iter().cloned());
    if let Some(cwd) = &options.cwd {
        process.cwd.clone_from(cwd);
    }
    if let Some(user) = &options.user {
        process.user = User { umask: process.user.umask, ..parse_user(user)? };
    }
    process.user.additional_gids.extend(&options.additional_gids);
    let sets = &mut process.capabilities;
    for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
        set.extend(options.capabilities.iter().cloned());
    }
    process.no_new_privileges |= options.no_new_privileges;
    if let Some(profile) = &options.apparmor {
        process.apparmor_profile.clone_from(profile);
    }
    Ok(process)
}

fn parse_user(text: &str) -> Result<User> {
    let (uid, gid) = text.split_once(':').unwrap_or((text, "0"));
    match (uid.parse(), gid.parse()) {
        (Ok(uid), Ok(gid)) => Ok(User { uid, gid, ..User::default() }),
        _ => Err(Error::new(
            ErrorKind::Invalid,
            format!("--user {text:?} is not UID[:GID]: names are not looked up"),
        )),
    }
}

/// A further program.
struct Further<'a> {
    program: &'a Program,
    size: Option<Option<TermSize>>,
    preserved: &'a [OwnedFd],
    may_notify: bool,
    /// The CPUs that it may use before it is in the container's control group, and from then on.
    before: Option<CpuSet>,
    after: Option<CpuSet>,
}

/// Returns the ways into a container's control group, and the open folder of the version 2 group:
/// `below` it, or where the container's first process has gone below it by itself, since with groups
/// below it a version 2 group takes no process.
fn ways_in(record: &Record, below: Option<&str>) -> Result<(Vec<Gate>, Option<OwnedFd>)> {
    let failed = |cause| Error::failed("join the container's cgroup", cause);
    let Some(group) = group(record)? else {
        return match (below, layout()?.is_empty()) {
            (None, true) => Ok((Vec::new(), None)),
            (Some(_), true) => Err(no_group("exec --cgroup")),
            (_, false) => Err(not_running()),
        };
    };
    let mut gates = vec![group.gate().map_err(failed)?];
    let mut folder = group.directory_fd().map_err(failed)?;
    let Some(name) = below else {
        if let Some(name) = moved_below(record) {
            let below = Group::open(&layout()?, &name).map_err(failed)?;
            folder = below.directory_fd().map_err(failed)?;
        }
        return Ok((gates, folder));
    };
    let parts: Vec<&str> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let refused = |why: &str| {
        let text = format!("--cgroup {name}: {why}");
        Error::new(ErrorKind::Invalid, text)
    };
    if parts.contains(&"..") {
        return Err(refused("it leads out of the container's"));
    }
    if name.contains(':') {
        return Err(refused("one path holds for all controllers"));
    }
    if !parts.is_empty() {
        // After the container's own, which has all hierarchies.
        let name = format!("{}/{}", record.cgroup, parts.join("/"));
        let below = Group::open(&layout()?, &name).map_err(|cause| refused(&cause.to_string()))?;
        gates.push(below.gate().map_err(failed)?);
        folder = below.directory_fd().map_err(failed)?.or(folder);
    }
    Ok((gates, folder))
}

/// Returns the name of the version 2 group below its container's that the first process is in, if it has
/// left that.
fn moved_below(record: &Record) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{}/cgroup", record.pid)).ok()?;
    // cgroups(7): the line of version 2.
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    path.strip_prefix(&record.cgroup)?.starts_with('/').then(|| path.to_owned())
}

/// Lets this process run on these CPUs alone.
fn pin(cpus: Option<&CpuSet>) -> Result<()> {
    let pinned = cpus.map_or(Ok(()), |cpus| rustix::thread::sched_setaffinity(None, cpus));
    pinned.map_err(|cause| Error::failed("set process.execCPUAffinity", cause))
}

/// Makes its process, and lets it go on.
fn begin(
    init: &OwnedFd,
    pid: i32,
    gates: &[Gate],
    folder: Option<&OwnedFd>,
    further: &Further<'_>,
) -> Result<(Child, Channel)> {
    let failed = |cause: std::io::Error| Error::failed("exec", cause);
    let remapped = remap::root_outside(pid).is_some();
    let spaces = other_spaces(pid);
    let (ours, theirs) = Channel::pair().map_err(failed)?;
    let ours_raw = ours.as_fd().as_raw_fd();
    let joiner = clone(Flags::NONE, None, || {
        let _ = nix::unistd::close(ours_raw);
        let oom_score_adj = further.program.oom_score_adj;
        let joined =
            pin(further.before.as_ref()).and_then(|()| join(init, gates, oom_score_adj, spaces));
        let made = joined.and_then(|()| {
            clone(Flags::SIBLING, folder.map(AsFd::as_fd), || {
                // What it says must come after its maker has said who it is.
                let Ok(Some(_)) = theirs.receive(1) else { return 1 };
                let error = match further.prepare(remapped, &theirs) {
                    Ok(()) => {
                        let mut stages = Telling { channel: &theirs, further };
                        become_program(further.program, &mut stages)
                    }
                    Err(error) => error,
                };
                let _ = theirs.send_failure(&error);
                1
            })
            .map_err(failed)
        });
        let told = made.and_then(|child| theirs.send_process(child.pid, &[]).map_err(failed));
        if let Err(error) = &told {
            // When nobody hears it, nobody waits for it.
            let _ = theirs.send_failure(error);
        }
        i32::from(told.is_err())
    })
    .map_err(failed)?;
    drop(theirs);
    let child = announced(&ours);
    let _ = reap(&joiner);
    Ok((child?, ours))
}

impl Further<'_> {
    /// What is done between the joining and the execution.
    fn prepare(&self, remapped: bool, channel: &Channel) -> Result<()> {
        pin(self.after.as_ref())?;
        if remapped {
            remap::become_root()?;
        }
        fresh_signals()?;
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        rustix::process::setsid().map_err(|cause| Error::failed("setsid", cause))?;
        if let Some(size) = self.size {
            let root = Root::open(Path::new("/"))
                .map_err(|cause| Error::failed("open the container's root", cause))?;
            drop(terminal::open(&root, size, channel)?);
        }
        let preserved = self.preserved.iter().map(AsFd::as_fd);
        let keep: Vec<_> = std::iter::once(channel.as_fd()).chain(preserved).collect();
        wharf_sys::descriptors::close_all_but(&keep)
            .map_err(|cause| Error::failed("close descriptors", cause))?;
        crate::init::bundle::give_streams(&self.program.identity);
        Ok(())
    }
}

/// Tells the runtime of who may answer system calls.
struct Telling<'a> {
    channel: &'a Channel,
    further: &'a Further<'a>,
}

impl Stages for Telling<'_> {
    fn may_notify(&self) -> bool {
        self.further.may_notify
    }

    fn listens(&mut self, listener: OwnedFd) -> Result<()> {
        self.channel
            .send_ok(&[listener.as_fd()])
            .map_err(|cause| Error::failed("hand over the seccomp listener", cause))
    }

    fn ready(&mut self) -> Result<()> {
        preserve(self.further.preserved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_further_process_is_the_container_s_but_for_what_is_said() {
        let own: Process = serde_json::from_str(
            r#"{"args":["sh"],"cwd":"/","env":["A=1"],"terminal":true,
                "user":{"uid":1,"gid":2,"additionalGids":[3]},"capabilities":{"bounding":["CAP_KILL"]}}"#,
        )
        .unwrap();
        let options = ExecOptions {
            args: vec!["id".to_owned()],
            env: vec!["B=2".to_owned()],
            capabilities: vec!["CAP_CHOWN".to_owned()],
            user: Some("7".to_owned()),
            ..ExecOptions::default()
        };
        let found = wanted(&options, own.clone()).unwrap();
        assert_eq!(
            (found.args, found.env),
            (vec!["id".to_owned()], vec!["A=1".into(), "B=2".into()])
        );
        assert_eq!((found.user.uid, found.user.gid, found.terminal), (7, 0, false));
        assert!(found.user.additional_gids.is_empty());
        assert_eq!(found.capabilities.bounding, ["CAP_KILL", "CAP_CHOWN"]);
        let found = wanted(&ExecOptions::default(), own).unwrap();
        assert_eq!((found.user.uid, found.user.additional_gids), (1, vec![3]));
        assert!(parse_user("root").is_err() && parse_user("1:x").is_err());
    }
}
