//! Further programs in a running container.
//!
//! Two clones lead there. The first joins the container's cgroups and namespaces; a PID namespace
//! only takes in what is cloned afterwards, so it clones once more, as its own sibling: the program
//! is thereby the supervisor's child, to be reaped like the first process. Until the program is
//! executed the copy reports over a channel that the event loop watches; nothing here waits for what
//! the container controls.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::sched::{CloneFlags, setns};
use rustix::process::{DumpableBehavior, PidfdFlags, pidfd_open};
use wharf_cgroup::{Gate, Group};
use wharf_model::{ErrorKind, ExecSpec, TermSize};
use wharf_sys::clone::{Child, Flags, clone};

use super::launch::set;
use crate::channel::{Channel, Reply};
use crate::init::program::{AtOnce, Manners, Program, become_program, tie};
use crate::init::rootfs::Root;
use crate::init::user::Identity;
use crate::init::{Streams, fresh_signals, let_go, terminal};
use crate::security::capabilities;
use crate::userns::remap;
use crate::{Error, Result};

/// A program that is being started.
pub(super) struct Starting {
    channel: Channel,
    /// The first clone, which ends as soon as it has made the second.
    joiner: Child,
    program: Option<Child>,
    terminal: Option<OwnedFd>,
    /// Why it doesn't run. The program may report it before its maker reports the program, which has
    /// to be known to be reaped; so this waits until both have said all.
    failure: Option<Error>,
}

/// How a start went on.
pub(super) enum Progress {
    /// It isn't decided yet.
    Waiting,
    /// The program runs; with a terminal, here is its master.
    Running(Child, Option<OwnedFd>),
    /// It doesn't.
    Failed(Error),
}

/// Begins to start what `spec` says beside the container's own `program`; with `part`, in that part
/// of the container's cgroup.
pub(super) fn begin(
    spec: &ExecSpec,
    size: Option<TermSize>,
    mut descriptors: Vec<OwnedFd>,
    container: &Program,
    init: &Child,
    group: &Group,
    part: Option<&Group>,
) -> Result<Starting> {
    let failed = |cause: std::io::Error| Error::failed("exec", cause);
    let toolbox = match spec.toolbox {
        Some(_) => Some(
            descriptors
                .pop()
                .ok_or_else(|| Error::new(ErrorKind::Invalid, "exec: the toolbox is missing"))?,
        ),
        None => None,
    };
    let program = program(spec, container)?;
    let streams = streams(spec, descriptors)?;
    let cgroup = |cause| Error::failed("join the container's cgroup", cause);
    let mut gates = vec![group.gate().map_err(cgroup)?];
    let mut folder = group.directory_fd().map_err(cgroup)?;
    if let Some(part) = part {
        gates.push(part.gate().map_err(cgroup)?);
        folder = part.directory_fd().map_err(cgroup)?.or(folder);
    }
    let (ours, theirs) = Channel::pair().map_err(failed)?;
    ours.set_nonblocking().map_err(failed)?;
    let remapped = remap::root_outside(init.pid);
    if let (Some(root), Some(streams)) = (remapped, &streams) {
        let pipes = [&streams.stdin, &streams.stdout, &streams.stderr];
        remap::give_pipes(pipes.map(AsFd::as_fd), root);
    }
    let spaces = other_spaces(init.pid);
    let joiner = clone(Flags::NONE, None, || {
        let result = join(&init.pidfd, &gates, program.oom_score_adj, spaces).and_then(|()| {
            let child = clone(Flags::SIBLING, folder.as_ref().map(AsFd::as_fd), || {
                let root = if remapped.is_some() { remap::become_root() } else { Ok(()) };
                let prepared = root
                    .and_then(|()| toolbox.as_ref().map_or(Ok(()), crate::init::toolbox::enter))
                    .and_then(|()| prepare(spec, size, streams.as_ref(), &theirs, &program));
                let error = match prepared {
                    Ok(()) => become_program(&program, &mut AtOnce),
                    Err(error) => error,
                };
                // As docker has it, whatever keeps a further program from running makes it one that
                // can't be executed.
                let error = match error.kind() {
                    ErrorKind::CommandNotFound => error,
                    _ => error.with_kind(ErrorKind::CommandNotExecutable),
                };
                let _ = theirs.send_failure(&error);
                1
            });
            let child = child.map_err(failed)?;
            theirs.send_process(child.pid, &[]).map_err(failed)
        });
        if let Err(error) = &result {
            // When nobody hears it, nobody waits for it.
            let _ = theirs.send_failure(error);
        }
        i32::from(result.is_err())
    })
    .map_err(failed)?;
    Ok(Starting { channel: ours, joiner, program: None, terminal: None, failure: None })
}

/// Returns the kinds of namespaces of which a process has others than this one. Only these can be joined:
/// nobody may join the user namespace that he is in, and an ordinary user none of the host's.
pub(crate) fn other_spaces(pid: i32) -> CloneFlags {
    let kinds = [
        ("mnt", CloneFlags::CLONE_NEWNS),
        ("pid", CloneFlags::CLONE_NEWPID),
        ("net", CloneFlags::CLONE_NEWNET),
        ("uts", CloneFlags::CLONE_NEWUTS),
        ("ipc", CloneFlags::CLONE_NEWIPC),
        ("cgroup", CloneFlags::CLONE_NEWCGROUP),
        ("user", CloneFlags::CLONE_NEWUSER),
        // CLONE_NEWTIME of linux/sched.h.
        ("time", CloneFlags::from_bits_retain(0x80)),
    ];
    let space =
        |whose: &str, kind: &str| std::fs::read_link(format!("/proc/{whose}/ns/{kind}")).ok();
    let theirs = pid.to_string();
    let others = kinds.into_iter().filter(|(kind, _)| space("self", kind) != space(&theirs, kind));
    others.fold(CloneFlags::empty(), |all, (_, flag)| all | flag)
}

/// Enters a container's cgroups and namespaces, which are those of `init`, of these kinds.
pub(crate) fn join(
    init: &OwnedFd,
    gates: &[Gate],
    oom_score_adj: Option<i32>,
    spaces: CloneFlags,
) -> Result<()> {
    tie()?;
    gates
        .iter()
        .try_for_each(Gate::enter)
        .map_err(|cause| Error::failed("join the container's cgroup", cause))?;
    // Here, where /proc is the host's and nobody in the container has a hand in it.
    crate::init::limits::set_oom_score(oom_score_adj)?;
    // Until it executes its program, it has rights that the container's processes don't have, and
    // from here on they can see it: they must not be able to trace it. The execution ends this. An
    // ordinary user couldn't write to its own files of /proc any more.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|cause| Error::failed("forbid to trace", cause))?;
    setns(init, spaces).map_err(|cause| Error::failed("join the container's namespaces", cause))
}

fn prepare(
    spec: &ExecSpec,
    size: Option<TermSize>,
    streams: Option<&Streams>,
    channel: &Channel,
    program: &Program,
) -> Result<()> {
    tie()?;
    fresh_signals()?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    rustix::process::setsid().map_err(|cause| Error::failed("setsid", cause))?;
    match streams {
        Some(streams) => streams.install()?,
        None if spec.tty => {
            let root = Root::open(Path::new("/"))
                .map_err(|cause| Error::failed("open the container's root", cause))?;
            drop(terminal::open(&root, size, channel)?);
        }
        None => {}
    }
    let_go(channel, program)
}

/// Returns the standard streams: those that came with the request, or nothing when detached.
fn streams(spec: &ExecSpec, descriptors: Vec<OwnedFd>) -> Result<Option<Streams>> {
    let mut descriptors = descriptors.into_iter();
    match (descriptors.next(), descriptors.next(), descriptors.next()) {
        (Some(stdin), Some(stdout), Some(stderr)) => Ok(Some(Streams { stdin, stdout, stderr })),
        (None, ..) if spec.tty && !spec.detach => Ok(None),
        (None, ..) => {
            let null = || {
                let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
                rustix::fs::open("/dev/null", flags, rustix::fs::Mode::empty())
                    .map_err(|cause| Error::failed("open /dev/null", cause))
            };
            Ok(Some(Streams { stdin: null()?, stdout: null()?, stderr: null()? }))
        }
        _ => Err(Error::new(ErrorKind::Invalid, "exec: three streams are needed, or none")),
    }
}

/// Returns the program: the container's settings, with what the request says instead.
fn program(spec: &ExecSpec, container: &Program) -> Result<Program> {
    if spec.command.is_empty() {
        return Err(Error::new(ErrorKind::Invalid, "No exec command specified"));
    }
    let mut environment = match spec.toolbox {
        Some(_) => Vec::new(),
        None => container.environment.clone(),
    };
    if spec.tty && !environment.iter().any(|entry| entry.starts_with("TERM=")) {
        environment.push("TERM=xterm".to_owned());
    }
    for entry in &spec.env {
        set(&mut environment, entry);
    }
    let grant = match spec.privileged {
        true => capabilities::select(true, &[], &[])?.into(),
        false => container.grant,
    };
    let identity = match (&spec.user, &container.identity) {
        (None, own) => own.clone(),
        (Some(user), Identity::Named { groups, .. }) => {
            Identity::Named { user: user.clone(), groups: groups.clone() }
        }
        (Some(user), Identity::Numbers { .. }) => {
            Identity::Named { user: user.clone(), groups: Vec::new() }
        }
    };
    Ok(Program {
        arguments: spec.command.clone(),
        environment,
        working_dir: spec.working_dir.clone().unwrap_or_else(|| container.working_dir.clone()),
        identity,
        grant,
        // Docker leaves these as the container has them, with `--privileged` too.
        no_new_privileges: container.no_new_privileges,
        seccomp: container.seccomp.clone(),
        apparmor: container.apparmor.clone(),
        ulimits: container.ulimits.clone(),
        oom_score_adj: container.oom_score_adj,
        init: None,
        manners: Manners::default(),
        tied: true,
    })
}

impl Starting {
    /// Returns what to wait on.
    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Takes in what the new process has reported.
    pub(super) fn advance(mut self) -> (Option<Self>, Progress) {
        loop {
            match self.channel.receive_reply() {
                Ok(Some((Reply::Process(pid), _))) => {
                    // A child of this process, and not reaped: the number is its own.
                    let pidfd = rustix::process::Pid::from_raw(pid)
                        .ok_or(rustix::io::Errno::SRCH)
                        .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()));
                    match pidfd {
                        Ok(pidfd) => self.program = Some(Child { pid, pidfd }),
                        Err(cause) => {
                            let error = Error::failed("exec", cause);
                            return self.end(Progress::Failed(error));
                        }
                    }
                }
                Ok(Some((Reply::Ok, descriptors))) => {
                    self.terminal = descriptors.into_iter().next();
                }
                Ok(Some((Reply::Failed(error), _))) => {
                    self.failure.get_or_insert(error);
                }
                Ok(Some(_)) => {}
                Ok(None) => {
                    if let Some(error) = self.failure.take() {
                        return self.end(Progress::Failed(error));
                    }
                    let progress = match (self.program.take(), self.terminal.take()) {
                        (Some(child), terminal) => Progress::Running(child, terminal),
                        (None, _) => {
                            Progress::Failed(Error::failed("exec", "the process ended at once"))
                        }
                    };
                    return self.end(progress);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    return (Some(self), Progress::Waiting);
                }
                Err(cause) => return self.end(Progress::Failed(Error::failed("exec", cause))),
            }
        }
    }

    fn end(mut self, progress: Progress) -> (Option<Self>, Progress) {
        if matches!(progress, Progress::Failed(_))
            && let Some(child) = self.program.take()
        {
            // It has reported that it ends.
            let _ = super::run::reap(&child);
        }
        let _ = super::run::reap(&self.joiner);
        (None, progress)
    }
}
